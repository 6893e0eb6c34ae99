/*
 * SSE and SSE2 floating point: arithmetic, comparisons, conversions, and
 * the exceptions of MXCSR (SDM 1, 11.5; SDM 2).
 *
 * All lanes are computed, then the exceptions of all of them are looked at
 * together: an unmasked one leaves the destination alone and raises #XM (#UD
 * without CR4.OSXMMEXCPT); if it is one that is found before computing (invalid,
 * denormal, divide by zero), the flags of rounding are not set (SDM 1, 11.5.2).
 *
 * RCPPS and RSQRTPS give approximations of 12 bits that meet the manual's bound
 * of 1.5 * 2^-12; real processors of one family differ among themselves in the
 * bits that they give, so nothing may depend on them.
 */
#include "i386/sse.h"

#include <string.h>

/* ---- control and exceptions ---- */

INLINE struct float_status status(const struct i386_state *st)
{
    return (struct float_status){
        .rounding = (st->mxcsr >> 13) & 3,
        .nan_rule = NAN_FIRST,
        .flush = st->mxcsr & MXCSR_FTZ ? FLUSH_TINY : FLUSH_NEVER,
        .denormals_are_zero = (st->mxcsr & MXCSR_DAZ) != 0,
        .trap_overflow = !(st->mxcsr >> 7 & FLOAT_OVERFLOW),
        .trap_underflow = !(st->mxcsr >> 7 & FLOAT_UNDERFLOW),
        /* raised and masked: raised again, it changes nothing, and need not be found out */
        .flags = st->mxcsr & st->mxcsr >> 7 & FLOAT_INEXACT,
    };
}

static int numeric_fault(struct i386_cpu *c, unsigned flags)
{
    const unsigned pre = FLOAT_INVALID | FLOAT_DENORMAL | FLOAT_DIVZERO;

    if (flags & ~(c->st->mxcsr >> 7) & pre)
        flags &= pre;
    c->st->mxcsr |= flags;
    return i386_raise(c, c->st->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* Take over the flags. UOP_FAULT: one is unmasked, nothing else may change. */
INLINE int commit(struct i386_cpu *c, const struct float_status *s)
{
    unsigned flags = s->flags & FLOAT_FLAGS;

    if (unlikely(flags & ~(c->st->mxcsr >> 7)))
        return numeric_fault(c, flags);
    c->st->mxcsr |= flags;
    return UOP_NEXT;
}

/* ---- one lane ---- */

/* MIN and MAX give the second operand unless the first is really less (greater): when both are
 * zeros, or either is a NaN. */
#define MIN_MAX(T, f, sign_and_exponent, fraction) \
    INLINE T f##_flush(T a, const struct float_status *s) \
    { \
        bool denormal = (a & (T)(sign_and_exponent) & ~((T)1 << (8 * sizeof(T) - 1))) == 0; \
        return s->denormals_are_zero && denormal ? a & (T)~(T)(fraction) : a; \
    } \
    INLINE T f##_min(T a, T b, struct float_status *s) \
    { \
        return f##_flush(f##_compare(a, b, false, s) == FLOAT_LESS ? a : b, s); \
    } \
    INLINE T f##_max(T a, T b, struct float_status *s) \
    { \
        return f##_flush(f##_compare(a, b, false, s) == FLOAT_GREATER ? a : b, s); \
    }
MIN_MAX(uint32_t, f32, 0xff800000u, 0x007fffffu)
MIN_MAX(uint64_t, f64, 0xfff0000000000000u, 0x000fffffffffffffu)

/* CMPccPS and so on: the predicate is imm8. */
enum { CMP_EQ, CMP_LT, CMP_LE, CMP_UNORDERED, CMP_NEGATED = 4 };

INLINE bool predicate_is_quiet(unsigned predicate)
{
    return (predicate & 3) == CMP_EQ || (predicate & 3) == CMP_UNORDERED;
}

INLINE bool predicate_holds(unsigned predicate, enum float_relation r)
{
    bool holds;

    switch (predicate & 3) {
    case CMP_EQ: holds = r == FLOAT_EQUAL; break;
    case CMP_LT: holds = r == FLOAT_LESS; break;
    case CMP_LE: holds = r == FLOAT_LESS || r == FLOAT_EQUAL; break;
    default:     holds = r == FLOAT_UNORDERED; break;
    }
    return holds != !!(predicate & CMP_NEGATED);
}

/* ---- comparisons into EFLAGS ---- */

INLINE int compare_flags(struct i386_cpu *c, enum float_relation r, const struct float_status *s)
{
    static const uint16_t flags[] = {FLAG_C, FLAG_Z, 0, FLAG_C | FLAG_P | FLAG_Z};

    if (commit(c, s))
        return UOP_FAULT;
    c->st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags[r + 1]};
    return UOP_NEXT;
}

/* ---- approximations ---- */

#define F32_SIGN 0x80000000u
#define F32_INF  0x7f800000u

/* The value at the middle of each interval that 11 leading bits of the fraction give, to 12 bits. */
static uint32_t reciprocal(uint32_t a)
{
    uint32_t sign = a & F32_SIGN, e = a >> 23 & 0xff;
    uint64_t middle, q;

    if (f32_is_nan(a))
        return a | 0x00400000u;
    if (e == 0)
        return sign | F32_INF;
    if (e >= 253) /* the result would be tiny, or is zero */
        return sign;
    middle = 4096 + 2 * (a >> 12 & 0x7ff) + 1;   /* significand * 2^12 */
    q = (((uint64_t)1 << 26) / middle + 1) >> 1; /* 2^13 / significand, rounded: 4096 to 8191 */
    return sign | (253 - e) << 23 | (uint32_t)(q - 4096) << 11;
}

static uint32_t integer_root(uint64_t n)
{
    uint64_t r = 0;

    for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
        if ((r + bit) * (r + bit) <= n)
            r += bit;
    return (uint32_t)r;
}

static uint32_t reciprocal_root(uint32_t a)
{
    uint32_t sign = a & F32_SIGN, e = a >> 23 & 0xff;
    uint64_t middle, root;
    uint32_t half;

    if (f32_is_nan(a))
        return a | 0x00400000u;
    if (e == 0)
        return sign | F32_INF;
    if (sign)
        return 0xffc00000u;
    if (e == 255)
        return 0;
    /* a = m * 4^k with m in [1, 4); the result is 1 / sqrt(m) in (1/2, 1] times 2^-k. */
    half = (e + 1) >> 1; /* k + 64 */
    middle = 4096 + 2 * (a >> 12 & 0x7ff) + 1; /* significand * 2^12 */
    if (!(e & 1))
        middle *= 2;
    root = integer_root(((uint64_t)1 << 56) / middle); /* 2^22 / sqrt(m) */
    root = ((root >> 8) + 1) >> 1;                     /* 2^13 / sqrt(m), rounded: 4096 to 8191 */
    return (190 - half) << 23 | (uint32_t)(root - 4096) << 11;
}

#define APPROXIMATION(name, f) \
    SIMD(name##ps) \
    { \
        union i386_xmm b; \
        ENTER_SSE; \
        if (!load_xmm(c, op, &b)) \
            return UOP_FAULT; \
        for (unsigned i = 0; i < 4; i++) \
            st->xmm[op_reg(op)].l[i] = f(b.l[i]); \
        return UOP_NEXT; \
    } \
    SIMD(name##ss) \
    { \
        uint32_t b; \
        ENTER_SSE; \
        if (!load_xmm32(c, op, &b)) \
            return UOP_FAULT; \
        st->xmm[op_reg(op)].l[0] = f(b); \
        return UOP_NEXT; \
    }
APPROXIMATION(rcp, reciprocal)
APPROXIMATION(rsqrt, reciprocal_root)

/* ---- conversions between integers in MMX registers and floating point ---- */

SIMD(cvtpi2ps)
{
    uint64_t v;
    uint32_t low, high;
    ENTER_SSE_MMX;
    struct float_status s = status(st);

    if (!load_mm(c, op, &v))
        return UOP_FAULT;
    low = f32_from_int((int32_t)v, 0, &s);
    high = f32_from_int((int32_t)(v >> 32), 0, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    to_mmx_state(st);
    st->xmm[op_reg(op)].l[0] = low;
    st->xmm[op_reg(op)].l[1] = high;
    return UOP_NEXT;
}

SIMD(cvtpi2pd) /* from memory it leaves the x87 alone */
{
    uint64_t v;
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    struct float_status s = {0};

    if (is_mem(op) ? sse_available(c) : sse_mmx_available(c))
        return UOP_FAULT;
    if (!load_mm(c, op, &v))
        return UOP_FAULT;
    if (!is_mem(op))
        to_mmx_state(st);
    st->xmm[op_reg(op)].q[0] = f64_from_int((int32_t)v, 0, &s);
    st->xmm[op_reg(op)].q[1] = f64_from_int((int32_t)(v >> 32), 0, &s);
    return UOP_NEXT;
}

INLINE uint32_t int_from_single(uint32_t a, bool truncate, struct float_status *s)
{
    return (uint32_t)f32_to_int(a, 0, 32, truncate ? ROUND_ZERO : (enum float_rounding)s->rounding, s);
}

INLINE uint32_t int_from_double(uint64_t a, bool truncate, struct float_status *s)
{
    return (uint32_t)f64_to_int(a, 0, 32, truncate ? ROUND_ZERO : (enum float_rounding)s->rounding, s);
}

INLINE int singles_to_mm(struct ucpu *u, const struct uop *op, bool truncate)
{
    uint64_t v, r;
    ENTER_SSE_MMX;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &v))
        return UOP_FAULT;
    r = int_from_single((uint32_t)v, truncate, &s);
    r |= (uint64_t)int_from_single((uint32_t)(v >> 32), truncate, &s) << 32;
    if (commit(c, &s))
        return UOP_FAULT;
    put_mm(st, op_reg(op), r);
    return UOP_NEXT;
}

INLINE int doubles_to_mm(struct ucpu *u, const struct uop *op, bool truncate)
{
    union i386_xmm b;
    uint64_t r;
    ENTER_SSE_MMX;
    struct float_status s = status(st);

    if (!load_xmm(c, op, &b))
        return UOP_FAULT;
    r = int_from_double(b.q[0], truncate, &s);
    r |= (uint64_t)int_from_double(b.q[1], truncate, &s) << 32;
    if (commit(c, &s))
        return UOP_FAULT;
    put_mm(st, op_reg(op), r);
    return UOP_NEXT;
}

SIMD(cvtps2pi)  { return singles_to_mm(u, op, false); }
SIMD(cvttps2pi) { return singles_to_mm(u, op, true); }
SIMD(cvtpd2pi)  { return doubles_to_mm(u, op, false); }
SIMD(cvttpd2pi) { return doubles_to_mm(u, op, true); }

/* ---- the micro-ops SSE and SSE_COMPARE ---- */

union value {
    union i386_xmm v;
    uint32_t s[4];
    uint64_t d[2];
};

/* One lane of an instruction on two operands. */
#define LANE(T, f)     static T f##_lane(unsigned opcode, T a, T b, unsigned imm8, struct float_status *s)     {         switch (opcode) {         case 0x51: return f##_sqrt(b, s);         case 0x58: return f##_add(a, b, s);         case 0x59: return f##_mul(a, b, s);         case 0x5c: return f##_sub(a, b, s);         case 0x5d: return f##_min(a, b, s);         case 0x5e: return f##_div(a, b, s);         case 0x5f: return f##_max(a, b, s);         default: return predicate_holds(imm8, f##_compare(a, b, predicate_is_quiet(imm8), s)) ? (T)~(T)0 : 0;         }     }
LANE(uint32_t, f32)
LANE(uint64_t, f64)

static void shuffle(union value *r, const union value *a, const union value *b, unsigned prefix, unsigned imm8)
{
    union value x = *a, y = *b;

    if (prefix) {
        r->d[0] = x.d[imm8 & 1];
        r->d[1] = y.d[imm8 >> 1 & 1];
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = (i < 2 ? x : y).s[imm8 >> 2 * i & 3];
}

/* CVTPS2PD CVTPD2PS CVTSS2SD CVTSD2SS: r is a before it. */
static void between_formats(union value *r, const union value *b, unsigned prefix, struct float_status *s)
{
    switch (prefix) {
    case 0:
        *r = (union value){.d = {f32_to_f64(b->s[0], s), f32_to_f64(b->s[1], s)}};
        break;
    case 0x66:
        *r = (union value){.s = {f64_to_f32(b->d[0], s), f64_to_f32(b->d[1], s), 0, 0}};
        break;
    case 0xf3:
        r->d[0] = f32_to_f64(b->s[0], s);
        break;
    default:
        r->s[0] = f64_to_f32(b->d[0], s);
        break;
    }
}

/* 5B: CVTDQ2PS CVTPS2DQ CVTTPS2DQ; E6: CVTDQ2PD CVTPD2DQ CVTTPD2DQ. */
static void packed_integers(union value *r, const union value *b, uint32_t imm, struct float_status *s)
{
    unsigned prefix = SSE_PREFIX(imm);
    bool truncate = SSE_OPCODE(imm) == 0x5b ? prefix == 0xf3 : prefix == 0x66;

    if (SSE_OPCODE(imm) == 0xe6) {
        if (prefix == 0xf3)
            *r = (union value){.d = {f64_from_int((int32_t)b->s[0], 0, s), f64_from_int((int32_t)b->s[1], 0, s)}};
        else
            *r = (union value){.s = {int_from_double(b->d[0], truncate, s), int_from_double(b->d[1], truncate, s), 0, 0}};
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = prefix ? int_from_single(b->s[i], truncate, s) : f32_from_int((int32_t)b->s[i], 0, s);
}

static void compute(union value *r, const union value *a, const union value *b, uint32_t imm, struct float_status *s)
{
    unsigned opcode = SSE_OPCODE(imm), prefix = SSE_PREFIX(imm), imm8 = SSE_IMM8(imm);
    bool wide = prefix == 0x66 || prefix == 0xf2;
    unsigned lanes = prefix >= 0xf2 ? 1 : wide ? 2 : 4;

    *r = *a;
    switch (opcode) {
    case 0x5a: between_formats(r, b, prefix, s); return;
    case 0x5b: case 0xe6: packed_integers(r, b, imm, s); return;
    case 0xc6: shuffle(r, a, b, prefix, imm8); return;
    default: break;
    }
    for (unsigned i = 0; i < lanes; i++)
        if (wide)
            r->d[i] = f64_lane(opcode, a->d[i], b->d[i], imm8, s);
        else
            r->s[i] = f32_lane(opcode, a->s[i], b->s[i], imm8, s);
}

/* CVTSI2SS CVTSI2SD */
static int from_integer(struct i386_cpu *c, const struct uop *op, struct float_status *s)
{
    union value r;
    int64_t v;

    memcpy(&v, c->u.s + op->b, op->imm & SSE_WIDE ? 8 : 4);
    if (!(op->imm & SSE_WIDE))
        v = (int32_t)v;
    memcpy(&r, c->u.s + op->a, sizeof r);
    if (SSE_PREFIX(op->imm) == 0xf3)
        r.s[0] = f32_from_int(v, 0, s);
    else
        r.d[0] = f64_from_int(v, 0, s);
    if (commit(c, s))
        return UOP_FAULT;
    memcpy(c->u.s + op->d, &r, sizeof r);
    return UOP_NEXT;
}

/* CVTSS2SI CVTSD2SI, and truncating */
static int to_integer(struct i386_cpu *c, const struct uop *op, struct float_status *s)
{
    enum float_rounding rounding = SSE_OPCODE(op->imm) == 0x2c ? ROUND_ZERO : (enum float_rounding)s->rounding;
    unsigned bits = op->imm & SSE_WIDE ? 64 : 32;
    union value b;
    int64_t r;

    if (SSE_PREFIX(op->imm) == 0xf3) {
        memcpy(&b.s[0], c->u.s + op->b, 4);
        r = f32_to_int(b.s[0], 0, bits, rounding, s);
    } else {
        memcpy(&b.d[0], c->u.s + op->b, 8);
        r = f64_to_int(b.d[0], 0, bits, rounding, s);
    }
    if (commit(c, s))
        return UOP_FAULT;
    if (bits == 32)
        r = (int64_t)(uint32_t)r; /* zero-extended; outside 64-bit mode that is the same */
    memcpy(c->u.s + op->d, &r, 8);
    return UOP_NEXT;
}

static int compare(struct i386_cpu *c, const struct uop *op, struct float_status *s)
{
    bool quiet = SSE_OPCODE(op->imm) == 0x2e;
    union value a, b;

    if (SSE_PREFIX(op->imm)) {
        memcpy(&a.d[0], c->u.s + op->a, 8);
        memcpy(&b.d[0], c->u.s + op->b, 8);
        return compare_flags(c, f64_compare(a.d[0], b.d[0], quiet, s), s);
    }
    memcpy(&a.s[0], c->u.s + op->a, 4);
    memcpy(&b.s[0], c->u.s + op->b, 4);
    return compare_flags(c, f32_compare(a.s[0], b.s[0], quiet, s), s);
}

int i386_sse_op(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct float_status s = status(c->st);
    union value a, b, r;

    switch (SSE_OPCODE(op->imm)) {
    case 0x2a: return from_integer(c, op, &s);
    case 0x2c: case 0x2d: return to_integer(c, op, &s);
    case 0x2e: case 0x2f: return compare(c, op, &s);
    default: break;
    }
    memcpy(&a, u->s + op->a, sizeof a);
    memcpy(&b, u->s + op->b, sizeof b);
    compute(&r, &a, &b, op->imm, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    memcpy(u->s + op->d, &r, sizeof r);
    return UOP_NEXT;
}

/* Bytes of the operand b in memory. */
static unsigned operand_bytes(uint32_t imm)
{
    unsigned prefix = SSE_PREFIX(imm);

    switch (SSE_OPCODE(imm)) {
    case 0x2a: return imm & SSE_WIDE ? 8 : 4;
    case 0x2c: case 0x2d: return prefix == 0xf3 ? 4 : 8;
    case 0x2e: case 0x2f: return prefix ? 8 : 4;
    case 0x5a: return prefix == 0xf3 ? 4 : prefix == 0x66 ? 16 : 8;
    case 0x5b: return 16;
    case 0xe6: return prefix == 0xf3 ? 8 : 16;
    default: return prefix == 0xf3 ? 4 : prefix == 0xf2 ? 8 : 16;
    }
}

/* The same instructions where the micro-op cannot have the operand loaded for it (segments that are not flat). */
SIMD(sse_operation)
{
    unsigned prefix = op->b & I386_FX_F3 ? 0xf3 : op->b & I386_FX_F2 ? 0xf2 : op->b & I386_FX_66 ? 0x66 : 0, bytes;
    struct uop o = {.imm = SSE_OPERATION(op->d & 0xff, prefix, 0)};
    int result;
    ENTER_SSE;

    o.imm |= SSE_OPERATION(0, 0, op_imm8(st)) | (is_wide(op) ? SSE_WIDE : 0);
    o.d = o.a = (uint16_t)(S_OFF(xmm) + 16 * op_reg(op));
    if ((op->d & 0xfe) == 0x2c)
        o.d = (uint16_t)S_GPR32(op_reg(op));
    o.b = (uint16_t)((op->d & 0xff) == 0x2a ? S_GPR32(op_rm(op)) : S_OFF(xmm) + 16 * op_rm(op));
    if (is_mem(op)) {
        union i386_xmm v = {.q = {0, 0}};

        bytes = operand_bytes(o.imm);
        if (bytes == 16 ? !load_xmm(c, op, &v) : !fx_read(c, op, &v, bytes))
            return UOP_FAULT;
        st->xt[0] = v;
        o.b = (uint16_t)S_XT(0);
    }
    result = i386_sse_op(u, &o);
    st->xt[0] = (union i386_xmm){.q = {0, 0}};
    return result;
}
