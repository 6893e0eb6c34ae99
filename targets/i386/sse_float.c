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
#include "i386/protect.h"
#include "i386/simd.h"
#include "i386/sse.h"
#include "i386/vector.h"

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

/* CMPccPS and so on: the predicate is imm8, of three bits, with VEX of five (SDM 2, table 3-1): the low two say which
 * relation, 4 negates it, 8 makes of it what it is or "unordered or" (FALSE for UNORDERED), 16 turns signaling round. */
enum { CMP_EQ, CMP_LT, CMP_LE, CMP_UNORDERED, CMP_NEGATED = 4, CMP_OTHER = 8, CMP_OTHER_SIGNAL = 16 };

INLINE bool predicate_is_quiet(unsigned predicate)
{
    bool quiet = (predicate & 3) == CMP_EQ || (predicate & 3) == CMP_UNORDERED;

    return quiet != !!(predicate & CMP_OTHER_SIGNAL);
}

INLINE bool predicate_holds(unsigned predicate, enum float_relation r)
{
    bool holds, unordered = r == FLOAT_UNORDERED, other = predicate & CMP_OTHER;

    switch (predicate & 3) {
    case CMP_EQ: holds = r == FLOAT_EQUAL || (unordered && other); break;
    case CMP_LT: holds = r == FLOAT_LESS || (unordered && other); break;
    case CMP_LE: holds = r == FLOAT_LESS || r == FLOAT_EQUAL || (unordered && other); break;
    default:     holds = unordered && !other; break;
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
    VECTOR_FUNCTION(name##ps) \
    { \
        for (unsigned i = 0; i < 4; i++) \
            r->l[i] = f(b->l[i]); \
    } \
    VECTOR_FUNCTION(name##ss) \
    { \
        *r = *a; \
        r->l[0] = f(b->l[0]); \
    }
APPROXIMATION(rcp, reciprocal)
APPROXIMATION(rsqrt, reciprocal_root)

uint32_t i386_approximation(bool root, uint32_t a)
{
    return root ? reciprocal_root(a) : reciprocal(a);
}

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

SIMD(cvtpi2pd) /* of registers */
{
    uint64_t v;
    ENTER_SSE_MMX;
    struct float_status s = {0};

    v = st->fpr[op_rm(op) & 7].mantissa;
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
#define LANE(T, f) \
    static T f##_lane(unsigned opcode, T a, T b, unsigned imm8, struct float_status *s) \
    { \
        switch (opcode) { \
        case 0x51: return f##_sqrt(b, s); \
        case 0x58: return f##_add(a, b, s); \
        case 0x59: return f##_mul(a, b, s); \
        case 0x5c: return f##_sub(a, b, s); \
        case 0x5d: return f##_min(a, b, s); \
        case 0x5e: return f##_div(a, b, s); \
        case 0x5f: return f##_max(a, b, s); \
        default: return predicate_holds(imm8, f##_compare(a, b, predicate_is_quiet(imm8), s)) ? (T)~(T)0 : 0; \
        } \
    }
LANE(uint32_t, f32)
LANE(uint64_t, f64)

/* ---- SSE3: with neighbours ---- */

/* ADDSUBPS, HADDPS, HSUBPS and their kin. */
#define NEIGHBOURS(T, f, member, n) \
    static void f##_neighbours(union value *r, const union value *a, const union value *b, unsigned opcode, struct float_status *s) \
    { \
        for (unsigned i = 0; i < (n); i++) { \
            const T *from = i < (n) / 2 ? a->member : b->member; \
            T x = from[2 * i % (n)], y = from[2 * i % (n) + 1]; \
            if (opcode == 0xd0) \
                r->member[i] = i & 1 ? f##_add(a->member[i], b->member[i], s) : f##_sub(a->member[i], b->member[i], s); \
            else \
                r->member[i] = opcode == 0x7c ? f##_add(x, y, s) : f##_sub(x, y, s); \
        } \
    }
NEIGHBOURS(uint32_t, f32, s, 4)
NEIGHBOURS(uint64_t, f64, d, 2)

/* ---- SSE4.1: ROUNDPS and its kin ---- */

/* imm8: rounding, or (4) that of MXCSR; 8: inexact is not signalled. */
#define ROUND(T, f) \
    static T f##_round(T a, unsigned imm8, struct float_status *s) \
    { \
        enum float_rounding rounding = imm8 & 4 ? (enum float_rounding)s->rounding : (enum float_rounding)(imm8 & 3); \
        uint16_t before = s->flags; \
        T r = f##_round_to_int(a, rounding, s); \
        s->flags &= (uint16_t)~FLOAT_DENORMAL | before; \
        if (imm8 & 8) \
            s->flags &= (uint16_t)~FLOAT_INEXACT | before; \
        return r; \
    }
ROUND(uint32_t, f32)
ROUND(uint64_t, f64)

/* ---- FMA ---- */

/* 96-9F, A6-AF, B6-BF: x * y + z. The high digit says which operand is which, the low one the signs. */
#define FUSED(T, f, sign) \
    static T f##_negated(T a, bool negate) \
    { \
        return negate && !f##_is_nan(a) ? a ^ (sign) : a; \
    } \
    static T f##_fused(unsigned opcode, T d, T a, T b, unsigned lane, struct float_status *s) \
    { \
        unsigned kind = opcode & 15; \
        bool negate_product = kind >= 0xc, negate_addend; \
        T x, y, z; \
        \
        switch (opcode >> 4) { \
        case 0x9: x = d; y = b; z = a; break; \
        case 0xa: x = a; y = d; z = b; break; \
        default:  x = a; y = b; z = d; break; \
        } \
        if (kind < 8) /* FMADDSUB, FMSUBADD */ \
            negate_addend = (kind == 6) != (lane & 1); \
        else \
            negate_addend = (kind & 2) != 0; \
        return f##_fma(f##_negated(x, negate_product), y, f##_negated(z, negate_addend), s); \
    }
FUSED(uint32_t, f32, 0x80000000u)
FUSED(uint64_t, f64, (uint64_t)1 << 63)

static void fused(union value *r, const union value *a, const union value *b, uint32_t imm, struct float_status *s)
{
    unsigned opcode = SSE_OPCODE(imm), lanes;
    bool scalar = (opcode & 15) > 8 && (opcode & 1), wide = imm & SSE_WIDE;
    union value d = *r;

    lanes = scalar ? 1 : wide ? 2 : 4;
    for (unsigned i = 0; i < lanes; i++)
        if (wide)
            r->d[i] = f64_fused(opcode, d.d[i], a->d[i], b->d[i], i, s);
        else
            r->s[i] = f32_fused(opcode, d.s[i], a->s[i], b->s[i], i, s);
}

/* ---- between formats ---- */

/* VCVTPH2PS takes denormal halves as they are, whatever DAZ says, and signals none. */
static uint32_t single_from_half(uint16_t h, struct float_status *s)
{
    bool daz = s->denormals_are_zero;
    uint16_t before = s->flags;
    uint32_t r;

    s->denormals_are_zero = false;
    r = f16_to_f32(h, s);
    s->denormals_are_zero = daz;
    s->flags &= (uint16_t)~FLOAT_DENORMAL | before;
    return r;
}

/* VCVTPS2PH; imm8: rounding, or (4) that of MXCSR. Tiny results are not flushed. */
static uint16_t half_from_single(uint32_t a, unsigned imm8, struct float_status *s)
{
    struct float_status t = *s;
    uint16_t r;

    t.flush = FLUSH_NEVER;
    if (!(imm8 & 4))
        t.rounding = imm8 & 3;
    r = f32_to_f16(a, &t);
    s->flags = t.flags;
    return r;
}

/* The half of `b`'s elements, which may be the upper one, is what d is made of. */
static void widen(union value *r, const union value *b, unsigned first, uint32_t imm, struct float_status *s)
{
    if (SSE_MAP_OF(imm) == 2) {
        for (unsigned i = 0; i < 4; i++)
            r->s[i] = single_from_half(b->v.w[2 * first + i], s);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        r->d[i] = SSE_OPCODE(imm) == 0x5a ? f32_to_f64(b->s[first + i], s) : f64_from_int((int32_t)b->s[first + i], 0, s);
}

/* CVTPD2PS CVTPD2DQ CVTTPD2DQ: two elements. */
static uint32_t narrowed(uint64_t b, uint32_t imm, struct float_status *s)
{
    if (SSE_OPCODE(imm) == 0x5a)
        return f64_to_f32(b, s);
    return int_from_double(b, SSE_PREFIX(imm) == 0x66, s);
}

/* 5B: CVTDQ2PS CVTPS2DQ CVTTPS2DQ. */
static void packed_integers(union value *r, const union value *b, unsigned prefix, struct float_status *s)
{
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = prefix ? int_from_single(b->s[i], prefix == 0xf3, s) : f32_from_int((int32_t)b->s[i], 0, s);
}

/* ---- 128 bits: r is d before it ---- */

static void compute_0f3a(union value *r, const union value *a, const union value *b, uint32_t imm, struct float_status *s)
{
    unsigned imm8 = SSE_IMM8(imm);
    union value d = *a;

    switch (SSE_OPCODE(imm)) {
    case 0x08:
        for (unsigned i = 0; i < 4; i++)
            d.s[i] = f32_round(b->s[i], imm8, s);
        break;
    case 0x09:
        for (unsigned i = 0; i < 2; i++)
            d.d[i] = f64_round(b->d[i], imm8, s);
        break;
    case 0x0a: d.s[0] = f32_round(b->s[0], imm8, s); break;
    default: d.d[0] = f64_round(b->d[0], imm8, s); break;
    }
    *r = d;
}

static void compute_0f(union value *r, const union value *a, const union value *b, uint32_t imm, struct float_status *s)
{
    unsigned opcode = SSE_OPCODE(imm), prefix = SSE_PREFIX(imm), imm8 = SSE_IMM8(imm);
    bool wide = prefix == 0x66 || prefix == 0xf2;
    unsigned lanes = prefix >= 0xf2 ? 1 : wide ? 2 : 4;

    *r = *a;
    switch (opcode) {
    case 0x5a: /* CVTSS2SD CVTSD2SS */
        if (prefix == 0xf3)
            r->d[0] = f32_to_f64(b->s[0], s);
        else
            r->s[0] = f64_to_f32(b->d[0], s);
        return;
    case 0x5b:
        packed_integers(r, b, prefix, s);
        return;
    case 0x7c: case 0x7d: case 0xd0:
        if (prefix == 0x66)
            f64_neighbours(r, a, b, opcode, s);
        else
            f32_neighbours(r, a, b, opcode, s);
        return;
    default:
        break;
    }
    for (unsigned i = 0; i < lanes; i++)
        if (wide)
            r->d[i] = f64_lane(opcode, a->d[i], b->d[i], imm8, s);
        else
            r->s[i] = f32_lane(opcode, a->s[i], b->s[i], imm8, s);
}

static void compute(union value *r, const union value *a, const union value *b, uint32_t imm, struct float_status *s)
{
    if (SSE_MAP_OF(imm) == 2)
        fused(r, a, b, imm, s);
    else if (SSE_MAP_OF(imm) == 3)
        compute_0f3a(r, a, b, imm, s);
    else
        compute_0f(r, a, b, imm, s);
}

/* ---- whole micro-ops ---- */

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

/* Does the result have elements of twice the size, or of half of it? */
static bool widens(uint32_t imm)
{
    unsigned opcode = SSE_OPCODE(imm), prefix = SSE_PREFIX(imm);

    if (SSE_MAP_OF(imm) == 2)
        return opcode == 0x13;
    return SSE_MAP_OF(imm) == 1 && ((opcode == 0x5a && !prefix) || (opcode == 0xe6 && prefix == 0xf3));
}

static bool narrows(uint32_t imm)
{
    unsigned opcode = SSE_OPCODE(imm), prefix = SSE_PREFIX(imm);

    return SSE_MAP_OF(imm) == 1 && ((opcode == 0x5a && prefix == 0x66) || (opcode == 0xe6 && prefix != 0xf3));
}

static bool is_to_half(uint32_t imm)
{
    return SSE_MAP_OF(imm) == 3 && SSE_OPCODE(imm) == 0x1d;
}

/* What has another number of elements in the result than in an operand. `halves`: of 256 bits there are two. */
static void convert(union value r[2], const union value b[2], uint32_t imm, unsigned halves, struct float_status *s)
{
    if (widens(imm)) {
        for (unsigned half = 0; half < halves; half++)
            widen(&r[half], b, 2 * half, imm, s);
        return;
    }
    r[0] = (union value){.d = {0, 0}};
    if (is_to_half(imm)) {
        for (unsigned i = 0; i < 4 * halves; i++)
            r[0].v.w[i] = half_from_single(b[i / 4].s[i % 4], SSE_IMM8(imm), s);
        return;
    }
    for (unsigned i = 0; i < 2 * halves; i++)
        r[0].s[i] = narrowed(b[i / 2].d[i % 2], imm, s);
}

int i386_sse_op(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct float_status s = status(c->st);
    unsigned halves = op->imm & SSE_PAIR ? 2 : 1, results = halves;
    union value a[2], b[2], r[2];

    if (SSE_MAP_OF(op->imm) == 1)
        switch (SSE_OPCODE(op->imm)) {
        case 0x2a: return from_integer(c, op, &s);
        case 0x2c: case 0x2d: return to_integer(c, op, &s);
        case 0x2e: case 0x2f: return compare(c, op, &s);
        default: break;
        }
    for (unsigned half = 0; half < halves; half++) {
        memcpy(&a[half], u->s + op->a + half * S_VECTOR_HIGH, sizeof a[0]);
        memcpy(&b[half], u->s + op->b + half * S_VECTOR_HIGH, sizeof b[0]);
        memcpy(&r[half], u->s + op->d + half * S_VECTOR_HIGH, sizeof r[0]);
    }
    if (widens(op->imm)) {
        convert(r, b, op->imm, halves, &s);
    } else if (narrows(op->imm) || is_to_half(op->imm)) {
        convert(r, b, op->imm, halves, &s);
        results = 1;
    } else {
        for (unsigned half = 0; half < halves; half++)
            compute(&r[half], &a[half], &b[half], op->imm, &s);
    }
    if (commit(c, &s))
        return UOP_FAULT;
    for (unsigned half = 0; half < results; half++)
        memcpy(u->s + op->d + half * S_VECTOR_HIGH, &r[half], sizeof r[0]);
    return UOP_NEXT;
}
