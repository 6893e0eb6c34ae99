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

/* ---- control and exceptions -------------------------------------------------------- */

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

/* ---- two operands ---------------------------------------------------------------------- */

/* The forms of an operation d = f(d, operand). */
#define FLOAT_BINARY(name, f32, f64) \
    SIMD(name##ps) \
    { \
        union i386_xmm b, r; \
        ENTER_SSE; \
        struct float_status s = status(st); \
        if (!load_xmm(c, op, &b)) \
            return UOP_FAULT; \
        for (unsigned i = 0; i < 4; i++) \
            r.l[i] = f32(st->xmm[op_reg(op)].l[i], b.l[i], &s); \
        if (commit(c, &s)) \
            return UOP_FAULT; \
        st->xmm[op_reg(op)] = r; \
        return UOP_NEXT; \
    } \
    SIMD(name##pd) \
    { \
        union i386_xmm b, r; \
        ENTER_SSE; \
        struct float_status s = status(st); \
        if (!load_xmm(c, op, &b)) \
            return UOP_FAULT; \
        for (unsigned i = 0; i < 2; i++) \
            r.q[i] = f64(st->xmm[op_reg(op)].q[i], b.q[i], &s); \
        if (commit(c, &s)) \
            return UOP_FAULT; \
        st->xmm[op_reg(op)] = r; \
        return UOP_NEXT; \
    } \
    SIMD(name##ss) \
    { \
        uint32_t b, r; \
        ENTER_SSE; \
        struct float_status s = status(st); \
        if (!load_xmm32(c, op, &b)) \
            return UOP_FAULT; \
        r = f32(st->xmm[op_reg(op)].l[0], b, &s); \
        if (commit(c, &s)) \
            return UOP_FAULT; \
        st->xmm[op_reg(op)].l[0] = r; \
        return UOP_NEXT; \
    } \
    SIMD(name##sd) \
    { \
        uint64_t b, r; \
        ENTER_SSE; \
        struct float_status s = status(st); \
        if (!load_xmm64(c, op, &b)) \
            return UOP_FAULT; \
        r = f64(st->xmm[op_reg(op)].q[0], b, &s); \
        if (commit(c, &s)) \
            return UOP_FAULT; \
        st->xmm[op_reg(op)].q[0] = r; \
        return UOP_NEXT; \
    }

#define SQRT32(a, b, s) f32_sqrt(b, s)
#define SQRT64(a, b, s) f64_sqrt(b, s)

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

/* `st` is the handler's. */
#define CMP32(a, b, s) \
    (predicate_holds(op_imm8(st), f32_compare(a, b, predicate_is_quiet(op_imm8(st)), s)) ? UINT32_MAX : 0)
#define CMP64(a, b, s) \
    (predicate_holds(op_imm8(st), f64_compare(a, b, predicate_is_quiet(op_imm8(st)), s)) ? UINT64_MAX : 0)

FLOAT_BINARY(add, f32_add, f64_add)
FLOAT_BINARY(sub, f32_sub, f64_sub)
FLOAT_BINARY(mul, f32_mul, f64_mul)
FLOAT_BINARY(div, f32_div, f64_div)
FLOAT_BINARY(min, f32_min, f64_min)
FLOAT_BINARY(max, f32_max, f64_max)
FLOAT_BINARY(sqrt, SQRT32, SQRT64)
FLOAT_BINARY(cmp, CMP32, CMP64)

/* ---- comparisons into EFLAGS ---------------------------------------------------------------- */

INLINE int compare_flags(struct i386_cpu *c, enum float_relation r, const struct float_status *s)
{
    static const uint16_t flags[] = {FLAG_C, FLAG_Z, 0, FLAG_C | FLAG_P | FLAG_Z};

    if (commit(c, s))
        return UOP_FAULT;
    c->st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags[r + 1]};
    return UOP_NEXT;
}

INLINE int compare_single(struct ucpu *u, const struct uop *op, bool quiet)
{
    uint32_t b;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm32(c, op, &b))
        return UOP_FAULT;
    enum float_relation r = f32_compare(st->xmm[op_reg(op)].l[0], b, quiet, &s);
    return compare_flags(c, r, &s);
}

INLINE int compare_double(struct ucpu *u, const struct uop *op, bool quiet)
{
    uint64_t b;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &b))
        return UOP_FAULT;
    enum float_relation r = f64_compare(st->xmm[op_reg(op)].q[0], b, quiet, &s);
    return compare_flags(c, r, &s);
}

SIMD(ucomiss) { return compare_single(u, op, true); }
SIMD(comiss)  { return compare_single(u, op, false); }
SIMD(ucomisd) { return compare_double(u, op, true); }
SIMD(comisd)  { return compare_double(u, op, false); }

/* ---- approximations ------------------------------------------------------------------------------ */

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

/* ---- conversions between floating-point formats -------------------------------------------------------- */

SIMD(cvtps2pd)
{
    uint64_t v;
    union i386_xmm r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &v))
        return UOP_FAULT;
    r.q[0] = f32_to_f64((uint32_t)v, &s);
    r.q[1] = f32_to_f64((uint32_t)(v >> 32), &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = r;
    return UOP_NEXT;
}

SIMD(cvtpd2ps)
{
    union i386_xmm b, r = {.q = {0, 0}};
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm(c, op, &b))
        return UOP_FAULT;
    r.l[0] = f64_to_f32(b.q[0], &s);
    r.l[1] = f64_to_f32(b.q[1], &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = r;
    return UOP_NEXT;
}

SIMD(cvtss2sd)
{
    uint32_t b;
    uint64_t r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm32(c, op, &b))
        return UOP_FAULT;
    r = f32_to_f64(b, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[0] = r;
    return UOP_NEXT;
}

SIMD(cvtsd2ss)
{
    uint64_t b;
    uint32_t r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &b))
        return UOP_FAULT;
    r = f64_to_f32(b, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)].l[0] = r;
    return UOP_NEXT;
}

/* ---- conversions from integers ------------------------------------------------------------------------------ */

SIMD(cvtsi2ss)
{
    uint32_t v, r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_gpr32(c, op, &v))
        return UOP_FAULT;
    r = f32_from_int((int32_t)v, 0, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)].l[0] = r;
    return UOP_NEXT;
}

SIMD(cvtsi2sd)
{
    uint32_t v;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_gpr32(c, op, &v))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[0] = f64_from_int((int32_t)v, 0, &s);
    return UOP_NEXT;
}

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

SIMD(cvtdq2ps)
{
    union i386_xmm b, r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm(c, op, &b))
        return UOP_FAULT;
    for (unsigned i = 0; i < 4; i++)
        r.l[i] = f32_from_int((int32_t)b.l[i], 0, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = r;
    return UOP_NEXT;
}

SIMD(cvtdq2pd)
{
    uint64_t v;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &v))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[0] = f64_from_int((int32_t)v, 0, &s);
    st->xmm[op_reg(op)].q[1] = f64_from_int((int32_t)(v >> 32), 0, &s);
    return UOP_NEXT;
}

/* ---- conversions to integers: T forms truncate ---------------------------------------------------------------- */

INLINE uint32_t int_from_single(uint32_t a, bool truncate, struct float_status *s)
{
    return (uint32_t)f32_to_int(a, 0, 32, truncate ? ROUND_ZERO : (enum float_rounding)s->rounding, s);
}

INLINE uint32_t int_from_double(uint64_t a, bool truncate, struct float_status *s)
{
    return (uint32_t)f64_to_int(a, 0, 32, truncate ? ROUND_ZERO : (enum float_rounding)s->rounding, s);
}

INLINE int single_to_gpr(struct ucpu *u, const struct uop *op, bool truncate)
{
    uint32_t b, r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm32(c, op, &b))
        return UOP_FAULT;
    r = int_from_single(b, truncate, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->gpr[op_reg(op)] = r;
    return UOP_NEXT;
}

INLINE int double_to_gpr(struct ucpu *u, const struct uop *op, bool truncate)
{
    uint64_t b;
    uint32_t r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm64(c, op, &b))
        return UOP_FAULT;
    r = int_from_double(b, truncate, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->gpr[op_reg(op)] = r;
    return UOP_NEXT;
}

SIMD(cvtss2si)  { return single_to_gpr(u, op, false); }
SIMD(cvttss2si) { return single_to_gpr(u, op, true); }
SIMD(cvtsd2si)  { return double_to_gpr(u, op, false); }
SIMD(cvttsd2si) { return double_to_gpr(u, op, true); }

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

INLINE int singles_to_dwords(struct ucpu *u, const struct uop *op, bool truncate)
{
    union i386_xmm b, r;
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm(c, op, &b))
        return UOP_FAULT;
    for (unsigned i = 0; i < 4; i++)
        r.l[i] = int_from_single(b.l[i], truncate, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = r;
    return UOP_NEXT;
}

INLINE int doubles_to_dwords(struct ucpu *u, const struct uop *op, bool truncate)
{
    union i386_xmm b, r = {.q = {0, 0}};
    ENTER_SSE;
    struct float_status s = status(st);

    if (!load_xmm(c, op, &b))
        return UOP_FAULT;
    for (unsigned i = 0; i < 2; i++)
        r.l[i] = int_from_double(b.q[i], truncate, &s);
    if (commit(c, &s))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = r;
    return UOP_NEXT;
}

SIMD(cvtps2dq)  { return singles_to_dwords(u, op, false); }
SIMD(cvttps2dq) { return singles_to_dwords(u, op, true); }
SIMD(cvtpd2dq)  { return doubles_to_dwords(u, op, false); }
SIMD(cvttpd2dq) { return doubles_to_dwords(u, op, true); }
