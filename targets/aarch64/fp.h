/*
 * What the floating-point and Advanced SIMD helpers share.
 *
 *   fp.c          a64_fp_handler(), scalar floating point (C4.1.96)
 *   fp_arith.c    FP operations on single elements (shared/functions/float, J1.3)
 *   simd.c        integer Advanced SIMD by vectors: copies, permutes, three same...
 *   simd_shift.c  shifts by immediate and by register
 *   simd_fp.c     FP Advanced SIMD
 *   crypto.c      AES, SHA1, SHA256
 *
 * Elements travel as uint64_t; a `size` is log2 of an element's bytes. Element
 * functions may return garbage above their element: it is cut off when stored.
 * The loops over elements are always inlined, with element function and size
 * constant, so every row of a table of helpers is straight code.
 */
#ifndef HINDCAST_AARCH64_FP_H
#define HINDCAST_AARCH64_FP_H

#include <string.h>

#include "aarch64/lower.h"
#include "softfloat/softfloat.h"

#define INLINE static inline __attribute__((always_inline))

__extension__ typedef __int128 a64_i128;
__extension__ typedef unsigned __int128 a64_u128;

/* FPCR (C5.2.7) and FPSR (C5.2.8). */
#define FPCR_RMODE_SHIFT 22
#define FPCR_FZ          (1u << 24)
#define FPCR_DN          (1u << 25)
#define FPCR_AHP         (1u << 26)
#define FPSR_QC          (1u << 27)
#define FPSR_IXC         (1u << 4)

/* Fields of the instruction word. */
#define RD(w)      ((w) & 31)
#define RN(w)      ((w) >> 5 & 31)
#define RA(w)      ((w) >> 10 & 31)
#define RM(w)      ((w) >> 16 & 31)
#define BIT(w, n)  ((w) >> (n) & 1)
#define BITS(w, low, n) ((w) >> (low) & ((1u << (n)) - 1))

/* An instruction in progress. */
struct fp_env {
    struct float_status fs; /* made from FPCR by fp_begin() */
    bool ahp;               /* FPCR.AHP */
    bool qc;                /* something saturated */
};

static inline struct a64_state *fp_state(struct ucpu *u)
{
    return a64_of(u)->st;
}

/* FPSR's cumulative inexact need not be found out again. */
INLINE void fp_begin(struct fp_env *e, uint32_t fpcr, uint32_t fpsr)
{
    static const uint8_t modes[4] = {ROUND_NEAREST_EVEN, ROUND_UP, ROUND_DOWN, ROUND_ZERO};
    bool fz = fpcr & FPCR_FZ;

    *e = (struct fp_env){
        .fs = {.rounding = modes[fpcr >> FPCR_RMODE_SHIFT & 3], .nan_rule = NAN_SIGNALING_FIRST,
               .flush = fz ? FLUSH_TINY_EXACTLY : FLUSH_NEVER, .denormals_are_zero = fz,
               .default_nan = fpcr & FPCR_DN, .positive_default = true, .tiny_before = true, .saturate = true,
               .flags = fpsr & FPSR_IXC ? FLOAT_INEXACT : 0},
        .ahp = fpcr & FPCR_AHP,
    };
}

/* The cumulative exception bits. */
INLINE void fp_end(struct a64_state *s, const struct fp_env *e)
{
    unsigned f = e->fs.flags;

    s->fpsr |= (f & FLOAT_INVALID) | (f >> 1 & 0x1e) | (f & FLOAT_FLUSHED) | (e->qc ? FPSR_QC : 0);
}

/* ---- elements ---- */

INLINE uint64_t element(const union a64_vreg *v, unsigned size, unsigned i)
{
    switch (size) {
    case 0:  return v->b[i];
    case 1:  return v->h[i];
    case 2:  return v->s[i];
    default: return v->d[i];
    }
}

INLINE void set_element(union a64_vreg *v, unsigned size, unsigned i, uint64_t x)
{
    switch (size) {
    case 0:  v->b[i] = (uint8_t)x; break;
    case 1:  v->h[i] = (uint16_t)x; break;
    case 2:  v->s[i] = (uint32_t)x; break;
    default: v->d[i] = x; break;
    }
}

INLINE uint64_t element_mask(unsigned size)
{
    return ~(uint64_t)0 >> (64 - (8u << size));
}

INLINE int64_t sx(uint64_t v, unsigned size)
{
    unsigned n = 64 - (8u << size);

    return (int64_t)(v << n) >> n;
}

INLINE uint64_t zx(uint64_t v, unsigned size)
{
    return v & element_mask(size);
}

/* Bit 28 tells the scalar forms of Advanced SIMD instructions from the vector ones. */
INLINE bool is_scalar(uint32_t w)
{
    return BIT(w, 28);
}

INLINE unsigned element_count(uint32_t w, unsigned size)
{
    return is_scalar(w) ? 1 : (BIT(w, 30) ? 16u : 8u) >> size;
}

/* Clamp to an element, signed or unsigned, noting saturation. */
INLINE uint64_t saturate(struct fp_env *e, a64_i128 v, unsigned size, bool is_unsigned)
{
    const a64_i128 max = is_unsigned ? (a64_i128)element_mask(size) : (a64_i128)(element_mask(size) >> 1);
    const a64_i128 min = is_unsigned ? 0 : -max - 1;

    if (v > max) {
        e->qc = true;
        return (uint64_t)max;
    }
    if (v < min) {
        e->qc = true;
        return (uint64_t)min;
    }
    return (uint64_t)v;
}

/* An operation on elements: d is the destination's old one. The result's size is `size`,
 * or twice that for the long forms. */
typedef uint64_t element_op(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size);

/* The same by sizes: helpers for elements of 1, 2, 4 and 8 bytes. */
#define HELPER(name, ...) \
    static int name(struct ucpu *u, const struct uop *op) \
    { \
        return __VA_ARGS__; \
    }
#define BY_SIZE(name, loop, ...) \
    HELPER(name##_b, loop(u, op, 0, __VA_ARGS__)) \
    HELPER(name##_h, loop(u, op, 1, __VA_ARGS__)) \
    HELPER(name##_s, loop(u, op, 2, __VA_ARGS__)) \
    HELPER(name##_d, loop(u, op, 3, __VA_ARGS__))
#define SIZES(name)    {name##_b, name##_h, name##_s, name##_d}
#define BY_SIZE_HS(name, loop, ...) \
    HELPER(name##_h, loop(u, op, 1, __VA_ARGS__)) \
    HELPER(name##_s, loop(u, op, 2, __VA_ARGS__))
#define SIZES_HS(name) {NULL, name##_h, name##_s, NULL}
#define BY_SIZE_SD(name, loop, ...) \
    HELPER(name##_s, loop(u, op, 2, __VA_ARGS__)) \
    HELPER(name##_d, loop(u, op, 3, __VA_ARGS__))
#define SIZES_SD(name) {NULL, NULL, name##_s, name##_d}
#define BY_SIZE_BHS(name, loop, ...) \
    HELPER(name##_b, loop(u, op, 0, __VA_ARGS__)) \
    BY_SIZE_HS(name, loop, __VA_ARGS__)
#define SIZES_BHS(name) {name##_b, name##_h, name##_s, NULL}

/* A row of a decode table: masks have bit n for elements of size n. */
struct simd_row {
    a64_helper *fn[4];
    uint8_t vector, scalar; /* sizes that are allocated */
};

/* size 3 (one element in 64 bits) needs Q in the vector forms. */
static inline a64_helper *simd_row_pick(const struct simd_row *r, uint32_t w, unsigned size)
{
    unsigned allowed = is_scalar(w) ? r->scalar : r->vector;

    if (!(allowed >> size & 1) || (size == 3 && !is_scalar(w) && !BIT(w, 30)))
        return NULL;
    return r->fn[size];
}

/* ---- loops ---- */

INLINE void loop_begin(struct fp_env *e, struct a64_state *s, bool fp)
{
    if (fp)
        fp_begin(e, s->fpcr, s->fpsr);
    else
        e->qc = false;
}

INLINE void loop_end(struct fp_env *e, struct a64_state *s, bool fp)
{
    if (fp)
        fp_end(s, e);
    else if (e->qc)
        s->fpsr |= FPSR_QC;
}

/* Rd[i] = f(Rd[i], Rn[i], Rm[i]) */
INLINE int loop_three(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool fp)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *d = &s->v[RD(w)], *n = &s->v[RN(w)], *m = &s->v[RM(w)];
    union a64_vreg r = {.d = {0, 0}};
    struct fp_env e;

    loop_begin(&e, s, fp);
    for (unsigned i = 0, count = element_count(w, size); i < count; i++)
        set_element(&r, size, i, f(&e, element(d, size, i), element(n, size, i), element(m, size, i), size));
    s->v[RD(w)] = r;
    loop_end(&e, s, fp);
    return UOP_NEXT;
}

/* Rd[i] = f(Rd[i], Rn[i], b) */
INLINE int loop_two(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, uint64_t b, bool fp)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *d = &s->v[RD(w)], *n = &s->v[RN(w)];
    union a64_vreg r = {.d = {0, 0}};
    struct fp_env e;

    loop_begin(&e, s, fp);
    for (unsigned i = 0, count = element_count(w, size); i < count; i++)
        set_element(&r, size, i, f(&e, element(d, size, i), element(n, size, i), b, size));
    s->v[RD(w)] = r;
    loop_end(&e, s, fp);
    return UOP_NEXT;
}

/* Rd[i] = f(Rn:Rm [2i], [2i + 1]); the scalar form of two registers: of Rn alone. */
INLINE int loop_pairs(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool fp)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)], *m = &s->v[RM(w)];
    const unsigned count = element_count(w, size), half = (count + 1) / 2;
    union a64_vreg r = {.d = {0, 0}};
    struct fp_env e;

    loop_begin(&e, s, fp);
    for (unsigned i = 0; i < half; i++)
        set_element(&r, size, i, f(&e, 0, element(n, size, 2 * i), element(n, size, 2 * i + 1), size));
    for (unsigned i = 0; i < count / 2; i++)
        set_element(&r, size, half + i, f(&e, 0, element(m, size, 2 * i), element(m, size, 2 * i + 1), size));
    s->v[RD(w)] = r;
    loop_end(&e, s, fp);
    return UOP_NEXT;
}

/* The element that a by-element form names. */
INLINE uint64_t indexed_element(const struct a64_state *s, uint32_t w, unsigned size)
{
    unsigned h = BIT(w, 11), l = BIT(w, 21), m = BIT(w, 20);

    switch (size) {
    case 1:  return s->v[BITS(w, 16, 4)].h[h << 2 | l << 1 | m];
    case 2:  return s->v[RM(w)].s[h << 1 | l];
    default: return s->v[RM(w)].d[h];
    }
}

INLINE int loop_element(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool fp)
{
    return loop_two(u, op, size, f, indexed_element(fp_state(u), a64_fp_word(op), size), fp);
}

/* Rd[i] (twice the size) = f(Rd[i], Rn[part + i], b[part + i] or b[index]) */
INLINE int loop_long(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool indexed)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *d = &s->v[RD(w)], *n = &s->v[RN(w)], *m = &s->v[RM(w)];
    const unsigned count = is_scalar(w) ? 1 : 8u >> size, first = !is_scalar(w) && BIT(w, 30) ? count : 0;
    const uint64_t fixed = indexed ? indexed_element(s, w, size) : 0;
    union a64_vreg r = {.d = {0, 0}};
    struct fp_env e = {.qc = false};

    for (unsigned i = 0; i < count; i++) {
        uint64_t b = indexed ? fixed : element(m, size, first + i);
        set_element(&r, size + 1, i, f(&e, element(d, size + 1, i), element(n, size, first + i), b, size));
    }
    s->v[RD(w)] = r;
    if (e.qc)
        s->fpsr |= FPSR_QC;
    return UOP_NEXT;
}

/* Rd[part + i] = f(Rn[i], Rm[i] or b, both of twice the size); the "2" forms keep Rd's lower half. */
INLINE int loop_narrow(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool three, uint64_t b,
                       bool fp)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)], *m = &s->v[RM(w)];
    const bool upper = !is_scalar(w) && BIT(w, 30);
    const unsigned count = is_scalar(w) ? 1 : 8u >> size, first = upper ? count : 0;
    union a64_vreg r = {.d = {upper ? s->v[RD(w)].d[0] : 0, 0}};
    struct fp_env e;

    loop_begin(&e, s, fp);
    for (unsigned i = 0; i < count; i++)
        set_element(&r, size, first + i,
                    f(&e, 0, element(n, size + 1, i), three ? element(m, size + 1, i) : b, size));
    s->v[RD(w)] = r;
    loop_end(&e, s, fp);
    return UOP_NEXT;
}

/* ---- parts of a64_fp_handler(); NULL: unallocated ---- */
a64_helper *a64_simd_three_same(uint32_t w);
a64_helper *a64_simd_three_extra(uint32_t w);
a64_helper *a64_simd_three_different(uint32_t w, const struct a64_model *model);
a64_helper *a64_simd_by_element(uint32_t w, const struct a64_model *model);
a64_helper *a64_simd_two_misc(uint32_t w);
a64_helper *a64_simd_across(uint32_t w);
a64_helper *a64_simd_scalar_pairwise(uint32_t w);
a64_helper *a64_simd_copy(uint32_t w);
a64_helper *a64_simd_permute(uint32_t w);
a64_helper *a64_simd_immediate(uint32_t w);
/* AdvSIMDExpandImm(): 64 bits. */
uint64_t a64_simd_expand_immediate(uint32_t w);
a64_helper *a64_simd_shift(uint32_t w);
a64_helper *a64_simd_shift_register(uint32_t w); /* three same, opcodes 010xx */
a64_helper *a64_simd_fp_three_same(uint32_t w);
a64_helper *a64_simd_fp_by_element(uint32_t w);
a64_helper *a64_simd_fp_two_misc(uint32_t w);
a64_helper *a64_simd_fp_across(uint32_t w);
a64_helper *a64_simd_fp_pairwise(uint32_t w);
a64_helper *a64_simd_fp_shift(uint32_t w);       /* conversions to and from fixed point */
a64_helper *a64_crypto(uint32_t w);

/* ---- fp_arith.c: elements of size 2 (single) or 3 (double) ---- */
element_op fp_add, fp_sub, fp_mul, fp_div, fp_mulx, fp_nmul, fp_max, fp_min, fp_maxnm, fp_minnm, fp_abd;
element_op fp_mla, fp_mls;                       /* d + a * b, d - a * b */
element_op fp_cmeq, fp_cmge, fp_cmgt, fp_acge, fp_acgt; /* all ones or zero */
element_op fp_cmle, fp_cmlt;
element_op fp_recps, fp_rsqrts;
element_op fp_abs, fp_neg, fp_sqrt, fp_recpe, fp_rsqrte, fp_recpx; /* of a */
/* Of a; b is an enum float_rounding, or ROUND_FPCR. */
#define ROUND_FPCR 255u
element_op fp_rint, fp_rintx;
/* a, b the rounding | fraction bits << 8; to and from integers of the same size. */
element_op fp_to_int, fp_to_uint, fp_from_int, fp_from_uint;
element_op simd_urecpe, simd_ursqrte;
/* Conversions between formats. */
uint64_t fp_half_to(struct fp_env *e, uint64_t a, unsigned size);
uint64_t fp_to_half(struct fp_env *e, uint64_t a, unsigned size);
/* VFPExpandImm(). */
uint64_t fp_expand_imm(uint32_t imm8, unsigned size);

#endif
