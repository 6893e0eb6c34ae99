/*
 * Integer Advanced SIMD, vector and scalar forms, but for shifts (DDI 0487
 * C4.1.96, C7.2): three registers, two registers, across lanes, by element,
 * copies, permutes, modified immediates.
 *
 * Not modelled: dot products, complex numbers, and what else came after
 * Armv8.1.
 */
#include "aarch64/fp.h"

#define EL(name, expr) \
    INLINE uint64_t name(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size) \
    { \
        (void)e, (void)d, (void)a, (void)b, (void)size; \
        return (uint64_t)(expr); \
    }
#define SA sx(a, size)
#define SB sx(b, size)
#define TRUE_IF(c) ((c) ? ~(uint64_t)0 : 0)

/* ---- three of the same size ---- */

EL(el_shadd, (SA + SB) >> 1)
EL(el_uhadd, (a + b) >> 1)
EL(el_srhadd, (SA + SB + 1) >> 1)
EL(el_urhadd, (a + b + 1) >> 1)
EL(el_shsub, (SA - SB) >> 1)
EL(el_uhsub, (int64_t)(a - b) >> 1)
EL(el_sqadd, saturate(e, (a64_i128)SA + SB, size, false))
EL(el_uqadd, saturate(e, (a64_i128)a + b, size, true))
EL(el_sqsub, saturate(e, (a64_i128)SA - SB, size, false))
EL(el_uqsub, saturate(e, (a64_i128)a - b, size, true))
EL(el_cmgt, TRUE_IF(SA > SB))
EL(el_cmge, TRUE_IF(SA >= SB))
EL(el_cmhi, TRUE_IF(a > b))
EL(el_cmhs, TRUE_IF(a >= b))
EL(el_cmeq, TRUE_IF(a == b))
EL(el_cmle, TRUE_IF(SA <= SB))
EL(el_cmlt, TRUE_IF(SA < SB))
EL(el_cmtst, TRUE_IF(a & b))
EL(el_smax, SA > SB ? a : b)
EL(el_smin, SA < SB ? a : b)
EL(el_umax, a > b ? a : b)
EL(el_umin, a < b ? a : b)
EL(el_sabd, SA > SB ? a - b : b - a)
EL(el_uabd, a > b ? a - b : b - a)
EL(el_saba, d + (SA > SB ? a - b : b - a))
EL(el_uaba, d + (a > b ? a - b : b - a))
EL(el_add, a + b)
EL(el_sub, a - b)
EL(el_mul, a * b)
EL(el_mla, d + a * b)
EL(el_mls, d - a * b)
EL(el_sqdmulh, saturate(e, ((a64_i128)(SA * SB) * 2) >> (8u << size), size, false))
EL(el_sqrdmulh, saturate(e, ((a64_i128)(SA * SB) * 2 + ((a64_i128)1 << ((8u << size) - 1))) >> (8u << size), size,
                         false))
EL(el_sqrdmlah, saturate(e, (((a64_i128)sx(d, size) * ((a64_i128)1 << (8u << size))) + (a64_i128)(SA * SB) * 2 +
                             ((a64_i128)1 << ((8u << size) - 1))) >> (8u << size), size, false))
EL(el_sqrdmlsh, saturate(e, (((a64_i128)sx(d, size) * ((a64_i128)1 << (8u << size))) - (a64_i128)(SA * SB) * 2 +
                             ((a64_i128)1 << ((8u << size) - 1))) >> (8u << size), size, false))

/* Product of polynomials over {0, 1}. */
static a64_u128 multiply_carryless(uint64_t a, uint64_t b, unsigned bits)
{
    a64_u128 r = 0;

    for (unsigned i = 0; i < bits; i++)
        r ^= (a64_u128)(b >> i & 1 ? a : 0) << i;
    return r;
}
EL(el_pmul, multiply_carryless(a, b, 8))

BY_SIZE(shadd, loop_three, el_shadd, false)
BY_SIZE(uhadd, loop_three, el_uhadd, false)
BY_SIZE(srhadd, loop_three, el_srhadd, false)
BY_SIZE(urhadd, loop_three, el_urhadd, false)
BY_SIZE(shsub, loop_three, el_shsub, false)
BY_SIZE(uhsub, loop_three, el_uhsub, false)
BY_SIZE(sqadd, loop_three, el_sqadd, false)
BY_SIZE(uqadd, loop_three, el_uqadd, false)
BY_SIZE(sqsub, loop_three, el_sqsub, false)
BY_SIZE(uqsub, loop_three, el_uqsub, false)
BY_SIZE(cmgt, loop_three, el_cmgt, false)
BY_SIZE(cmge, loop_three, el_cmge, false)
BY_SIZE(cmhi, loop_three, el_cmhi, false)
BY_SIZE(cmhs, loop_three, el_cmhs, false)
BY_SIZE(cmeq, loop_three, el_cmeq, false)
BY_SIZE(cmtst, loop_three, el_cmtst, false)
BY_SIZE(smax, loop_three, el_smax, false)
BY_SIZE(smin, loop_three, el_smin, false)
BY_SIZE(umax, loop_three, el_umax, false)
BY_SIZE(umin, loop_three, el_umin, false)
BY_SIZE(sabd, loop_three, el_sabd, false)
BY_SIZE(uabd, loop_three, el_uabd, false)
BY_SIZE(saba, loop_three, el_saba, false)
BY_SIZE(uaba, loop_three, el_uaba, false)
BY_SIZE(add, loop_three, el_add, false)
BY_SIZE(sub, loop_three, el_sub, false)
BY_SIZE_BHS(mul, loop_three, el_mul, false)
BY_SIZE_BHS(mla, loop_three, el_mla, false)
BY_SIZE_BHS(mls, loop_three, el_mls, false)
BY_SIZE_HS(sqdmulh, loop_three, el_sqdmulh, false)
BY_SIZE_HS(sqrdmulh, loop_three, el_sqrdmulh, false)
BY_SIZE_HS(sqrdmlah, loop_three, el_sqrdmlah, false)
BY_SIZE_HS(sqrdmlsh, loop_three, el_sqrdmlsh, false)
BY_SIZE_BHS(smaxp, loop_pairs, el_smax, false)
BY_SIZE_BHS(sminp, loop_pairs, el_smin, false)
BY_SIZE_BHS(umaxp, loop_pairs, el_umax, false)
BY_SIZE_BHS(uminp, loop_pairs, el_umin, false)
BY_SIZE(addp, loop_pairs, el_add, false)
HELPER(pmul_b, loop_three(u, op, 0, el_pmul, false))

/* Logic, two 64-bit halves at once. */
#define LOGIC(name, expr) \
    static int name(struct ucpu *u, const struct uop *op) \
    { \
        struct a64_state *s = fp_state(u); \
        const uint32_t w = a64_fp_word(op); \
        union a64_vreg *r = &s->v[RD(w)]; \
        uint64_t d = r->d[0], n = s->v[RN(w)].d[0], m = s->v[RM(w)].d[0]; \
        const uint64_t low = (expr); \
        d = r->d[1], n = s->v[RN(w)].d[1], m = s->v[RM(w)].d[1]; \
        r->d[1] = BIT(w, 30) ? (expr) : 0; \
        r->d[0] = low; \
        (void)d; \
        return UOP_NEXT; \
    }
LOGIC(v_and, n & m)
LOGIC(v_bic, n & ~m)
LOGIC(v_orr, n | m)
LOGIC(v_orn, n | ~m)
LOGIC(v_eor, n ^ m)
LOGIC(v_bsl, m ^ ((m ^ n) & d))
LOGIC(v_bit, d ^ ((d ^ n) & m))
LOGIC(v_bif, d ^ ((d ^ n) & ~m))

a64_helper *a64_simd_three_same(uint32_t w)
{
    static a64_helper *const logic[8] = {v_and, v_bic, v_orr, v_orn, v_eor, v_bsl, v_bit, v_bif};
    static const struct simd_row table[2][24] = {
        {[0] = {SIZES(shadd), 7, 0}, [1] = {SIZES(sqadd), 15, 15}, [2] = {SIZES(srhadd), 7, 0},
         [4] = {SIZES(shsub), 7, 0}, [5] = {SIZES(sqsub), 15, 15}, [6] = {SIZES(cmgt), 15, 8},
         [7] = {SIZES(cmge), 15, 8}, [12] = {SIZES(smax), 7, 0}, [13] = {SIZES(smin), 7, 0},
         [14] = {SIZES(sabd), 7, 0}, [15] = {SIZES(saba), 7, 0}, [16] = {SIZES(add), 15, 8},
         [17] = {SIZES(cmtst), 15, 8}, [18] = {SIZES_BHS(mla), 7, 0}, [19] = {SIZES_BHS(mul), 7, 0},
         [20] = {SIZES_BHS(smaxp), 7, 0}, [21] = {SIZES_BHS(sminp), 7, 0}, [22] = {SIZES_HS(sqdmulh), 6, 6},
         [23] = {SIZES(addp), 15, 0}},
        {[0] = {SIZES(uhadd), 7, 0}, [1] = {SIZES(uqadd), 15, 15}, [2] = {SIZES(urhadd), 7, 0},
         [4] = {SIZES(uhsub), 7, 0}, [5] = {SIZES(uqsub), 15, 15}, [6] = {SIZES(cmhi), 15, 8},
         [7] = {SIZES(cmhs), 15, 8}, [12] = {SIZES(umax), 7, 0}, [13] = {SIZES(umin), 7, 0},
         [14] = {SIZES(uabd), 7, 0}, [15] = {SIZES(uaba), 7, 0}, [16] = {SIZES(sub), 15, 8},
         [17] = {SIZES(cmeq), 15, 8}, [18] = {SIZES_BHS(mls), 7, 0}, [19] = {{pmul_b, NULL, NULL, NULL}, 1, 0},
         [20] = {SIZES_BHS(umaxp), 7, 0}, [21] = {SIZES_BHS(uminp), 7, 0}, [22] = {SIZES_HS(sqrdmulh), 6, 6}},
    };
    unsigned opcode = BITS(w, 11, 5), size = BITS(w, 22, 2);

    if (opcode >= 24)
        return a64_simd_fp_three_same(w);
    if (opcode >= 8 && opcode < 12)
        return a64_simd_shift_register(w);
    if (opcode == 3)
        return is_scalar(w) ? NULL : logic[BIT(w, 29) << 2 | size];
    return simd_row_pick(&table[BIT(w, 29)][opcode], w, size);
}

a64_helper *a64_simd_three_extra(uint32_t w)
{
    static const struct simd_row mlah = {SIZES_HS(sqrdmlah), 6, 6}, mlsh = {SIZES_HS(sqrdmlsh), 6, 6};

    if (!BIT(w, 29) || BITS(w, 12, 3))
        return NULL;
    return simd_row_pick(BIT(w, 11) ? &mlsh : &mlah, w, BITS(w, 22, 2));
}

a64_helper *a64_simd_scalar_pairwise(uint32_t w)
{
    if (BITS(w, 12, 5) == 0x1b)
        return BITS(w, 22, 2) == 3 && !BIT(w, 29) ? addp_d : NULL;
    return a64_simd_fp_pairwise(w);
}

/* ---- three of different sizes ---- */

/* 2 * a * b, saturated to twice the size, then added to d. */
INLINE a64_i128 doubled(struct fp_env *e, uint64_t a, uint64_t b, unsigned size)
{
    return sx(saturate(e, (a64_i128)SA * SB * 2, size + 1, false), size + 1);
}

EL(el_saddl, SA + SB)
EL(el_uaddl, a + b)
EL(el_ssubl, SA - SB)
EL(el_usubl, a - b)
EL(el_sabal, d + (uint64_t)(SA > SB ? SA - SB : SB - SA))
EL(el_sabdl, SA > SB ? SA - SB : SB - SA)
EL(el_smlal, d + (uint64_t)(SA * SB))
EL(el_smlsl, d - (uint64_t)(SA * SB))
EL(el_smull, SA * SB)
EL(el_sqdmull, doubled(e, a, b, size))
EL(el_sqdmlal, saturate(e, sx(d, size + 1) + doubled(e, a, b, size), size + 1, false))
EL(el_sqdmlsl, saturate(e, sx(d, size + 1) - doubled(e, a, b, size), size + 1, false))
EL(el_addhn, (a + b) >> (8u << size))
EL(el_raddhn, (a + b + ((uint64_t)1 << ((8u << size) - 1))) >> (8u << size))
EL(el_subhn, (a - b) >> (8u << size))
EL(el_rsubhn, (a - b + ((uint64_t)1 << ((8u << size) - 1))) >> (8u << size))

/* Rd[i] = Rn[i] + or - Rm[part + i], which is of half the size */
INLINE int loop_wide(struct ucpu *u, const struct uop *op, unsigned size, bool is_unsigned, bool subtract)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned count = 8u >> size, first = BIT(w, 30) ? count : 0;
    union a64_vreg r;

    for (unsigned i = 0; i < count; i++) {
        uint64_t m = element(&s->v[RM(w)], size, first + i), n = element(&s->v[RN(w)], size + 1, i);
        if (!is_unsigned)
            m = (uint64_t)sx(m, size);
        set_element(&r, size + 1, i, subtract ? n - m : n + m);
    }
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

BY_SIZE_BHS(saddl, loop_long, el_saddl, false)
BY_SIZE_BHS(uaddl, loop_long, el_uaddl, false)
BY_SIZE_BHS(ssubl, loop_long, el_ssubl, false)
BY_SIZE_BHS(usubl, loop_long, el_usubl, false)
BY_SIZE_BHS(saddw, loop_wide, false, false)
BY_SIZE_BHS(uaddw, loop_wide, true, false)
BY_SIZE_BHS(ssubw, loop_wide, false, true)
BY_SIZE_BHS(usubw, loop_wide, true, true)
BY_SIZE_BHS(addhn, loop_narrow, el_addhn, true, 0, false)
BY_SIZE_BHS(raddhn, loop_narrow, el_raddhn, true, 0, false)
BY_SIZE_BHS(subhn, loop_narrow, el_subhn, true, 0, false)
BY_SIZE_BHS(rsubhn, loop_narrow, el_rsubhn, true, 0, false)
BY_SIZE_BHS(sabal, loop_long, el_sabal, false)
BY_SIZE_BHS(uabal, loop_long, el_uaba, false)
BY_SIZE_BHS(sabdl, loop_long, el_sabdl, false)
BY_SIZE_BHS(uabdl, loop_long, el_uabd, false)
BY_SIZE_BHS(smlal, loop_long, el_smlal, false)
BY_SIZE_BHS(umlal, loop_long, el_mla, false)
BY_SIZE_BHS(smlsl, loop_long, el_smlsl, false)
BY_SIZE_BHS(umlsl, loop_long, el_mls, false)
BY_SIZE_BHS(smull, loop_long, el_smull, false)
BY_SIZE_BHS(umull, loop_long, el_mul, false)
BY_SIZE_HS(sqdmlal, loop_long, el_sqdmlal, false)
BY_SIZE_HS(sqdmlsl, loop_long, el_sqdmlsl, false)
BY_SIZE_HS(sqdmull, loop_long, el_sqdmull, false)
HELPER(pmull_b, loop_long(u, op, 0, el_pmul, false))

static int pmull_d(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned i = BIT(w, 30);
    a64_u128 r = multiply_carryless(s->v[RN(w)].d[i], s->v[RM(w)].d[i], 64);

    s->v[RD(w)] = (union a64_vreg){.d = {(uint64_t)r, (uint64_t)(r >> 64)}};
    return UOP_NEXT;
}

a64_helper *a64_simd_three_different(uint32_t w, const struct a64_model *model)
{
    static const struct simd_row table[2][16] = {
        {{SIZES_BHS(saddl), 7, 0}, {SIZES_BHS(saddw), 7, 0}, {SIZES_BHS(ssubl), 7, 0}, {SIZES_BHS(ssubw), 7, 0},
         {SIZES_BHS(addhn), 7, 0}, {SIZES_BHS(sabal), 7, 0}, {SIZES_BHS(subhn), 7, 0}, {SIZES_BHS(sabdl), 7, 0},
         {SIZES_BHS(smlal), 7, 0}, {SIZES_HS(sqdmlal), 6, 6}, {SIZES_BHS(smlsl), 7, 0}, {SIZES_HS(sqdmlsl), 6, 6},
         {SIZES_BHS(smull), 7, 0}, {SIZES_HS(sqdmull), 6, 6}, {{pmull_b, NULL, NULL, NULL}, 1, 0},
         {{NULL, NULL, NULL, NULL}, 0, 0}},
        {{SIZES_BHS(uaddl), 7, 0}, {SIZES_BHS(uaddw), 7, 0}, {SIZES_BHS(usubl), 7, 0}, {SIZES_BHS(usubw), 7, 0},
         {SIZES_BHS(raddhn), 7, 0}, {SIZES_BHS(uabal), 7, 0}, {SIZES_BHS(rsubhn), 7, 0}, {SIZES_BHS(uabdl), 7, 0},
         [8] = {SIZES_BHS(umlal), 7, 0}, [10] = {SIZES_BHS(umlsl), 7, 0}, [12] = {SIZES_BHS(umull), 7, 0}},
    };
    unsigned opcode = BITS(w, 12, 4), size = BITS(w, 22, 2);

    if (opcode == 14 && size == 3)
        return !BIT(w, 29) && !is_scalar(w) && model->crypto ? pmull_d : NULL;
    return simd_row_pick(&table[BIT(w, 29)][opcode], w, size);
}

/* ---- by element ---- */

BY_SIZE_HS(mul_e, loop_element, el_mul, false)
BY_SIZE_HS(mla_e, loop_element, el_mla, false)
BY_SIZE_HS(mls_e, loop_element, el_mls, false)
BY_SIZE_HS(sqdmulh_e, loop_element, el_sqdmulh, false)
BY_SIZE_HS(sqrdmulh_e, loop_element, el_sqrdmulh, false)
BY_SIZE_HS(sqrdmlah_e, loop_element, el_sqrdmlah, false)
BY_SIZE_HS(sqrdmlsh_e, loop_element, el_sqrdmlsh, false)
BY_SIZE_HS(smlal_e, loop_long, el_smlal, true)
BY_SIZE_HS(umlal_e, loop_long, el_mla, true)
BY_SIZE_HS(smlsl_e, loop_long, el_smlsl, true)
BY_SIZE_HS(umlsl_e, loop_long, el_mls, true)
BY_SIZE_HS(smull_e, loop_long, el_smull, true)
BY_SIZE_HS(umull_e, loop_long, el_mul, true)
BY_SIZE_HS(sqdmlal_e, loop_long, el_sqdmlal, true)
BY_SIZE_HS(sqdmlsl_e, loop_long, el_sqdmlsl, true)
BY_SIZE_HS(sqdmull_e, loop_long, el_sqdmull, true)

a64_helper *a64_simd_by_element(uint32_t w, const struct a64_model *model)
{
    static const struct simd_row table[2][16] = {
        {[2] = {SIZES_HS(smlal_e), 6, 0}, [3] = {SIZES_HS(sqdmlal_e), 6, 6}, [6] = {SIZES_HS(smlsl_e), 6, 0},
         [7] = {SIZES_HS(sqdmlsl_e), 6, 6}, [8] = {SIZES_HS(mul_e), 6, 0}, [10] = {SIZES_HS(smull_e), 6, 0},
         [11] = {SIZES_HS(sqdmull_e), 6, 6}, [12] = {SIZES_HS(sqdmulh_e), 6, 6},
         [13] = {SIZES_HS(sqrdmulh_e), 6, 6}},
        {[0] = {SIZES_HS(mla_e), 6, 0}, [2] = {SIZES_HS(umlal_e), 6, 0}, [4] = {SIZES_HS(mls_e), 6, 0},
         [6] = {SIZES_HS(umlsl_e), 6, 0}, [10] = {SIZES_HS(umull_e), 6, 0}, [13] = {SIZES_HS(sqrdmlah_e), 6, 6},
         [15] = {SIZES_HS(sqrdmlsh_e), 6, 6}},
    };
    unsigned opcode = BITS(w, 12, 4), u = BIT(w, 29);

    if ((opcode & 3) == 1 && opcode != 13)
        return a64_simd_fp_by_element(w);
    if (u && opcode >= 13 && !(model->id_aa64isar0 >> 28 & 15))
        return NULL;
    return simd_row_pick(&table[u][opcode], w, BITS(w, 22, 2));
}

/* ---- two registers ---- */

INLINE uint64_t reverse_elements(uint64_t x, unsigned size, unsigned within)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 8; i += 1u << size)
        r |= (x >> (8 * i) & element_mask(size)) << (8 * (i ^ ((1u << within) - (1u << size))));
    return r;
}

INLINE unsigned leading(uint64_t a, unsigned size)
{
    a = zx(a, size);
    return a ? (unsigned)__builtin_clzll(a) - (64 - (8u << size)) : 8u << size;
}

static uint64_t reverse_bits(uint64_t a)
{
    a = (a >> 1 & 0x55) | (a & 0x55) << 1;
    a = (a >> 2 & 0x33) | (a & 0x33) << 2;
    return (a >> 4 & 0x0f) | (a & 0x0f) << 4;
}

EL(el_suqadd, saturate(e, (a64_i128)sx(d, size) + a, size, false))
EL(el_usqadd, saturate(e, (a64_i128)d + SA, size, true))
EL(el_cls, leading(a ^ (uint64_t)(SA >> 1), size) - 1 + (leading(a ^ (uint64_t)(SA >> 1), size) == 0))
EL(el_clz, leading(a, size))
EL(el_cnt, __builtin_popcountll(a))
EL(el_not, ~a)
EL(el_rbit, reverse_bits(a))
EL(el_abs, SA < 0 ? 0 - a : a)
EL(el_neg, 0 - a)
EL(el_sqabs, saturate(e, SA < 0 ? -(a64_i128)SA : (a64_i128)SA, size, false))
EL(el_sqneg, saturate(e, -(a64_i128)SA, size, false))
EL(el_xtn, a)
EL(el_sqxtn, saturate(e, sx(a, size + 1), size, false))
EL(el_sqxtun, saturate(e, sx(a, size + 1), size, true))
EL(el_uqxtn, saturate(e, a, size, true))
EL(el_shll, a << (8u << size))

INLINE int loop_reverse(struct ucpu *u, const struct uop *op, unsigned size, unsigned within)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg n = s->v[RN(w)];

    s->v[RD(w)].d[0] = reverse_elements(n.d[0], size, within);
    s->v[RD(w)].d[1] = BIT(w, 30) ? reverse_elements(n.d[1], size, within) : 0;
    return UOP_NEXT;
}

/* SADDLP, SADALP... */
INLINE int loop_add_pairs(struct ucpu *u, const struct uop *op, unsigned size, bool is_unsigned, bool accumulate)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)];
    union a64_vreg r = {.d = {0, 0}};

    for (unsigned i = 0, count = (BIT(w, 30) ? 8u : 4u) >> size; i < count; i++) {
        uint64_t a = element(n, size, 2 * i), b = element(n, size, 2 * i + 1);
        uint64_t sum = is_unsigned ? a + b : (uint64_t)(sx(a, size) + sx(b, size));
        set_element(&r, size + 1, i, accumulate ? sum + element(&s->v[RD(w)], size + 1, i) : sum);
    }
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

BY_SIZE_BHS(rev64, loop_reverse, 3)
HELPER(rev32_b, loop_reverse(u, op, 0, 2))
HELPER(rev32_h, loop_reverse(u, op, 1, 2))
HELPER(rev16_b, loop_reverse(u, op, 0, 1))
BY_SIZE_BHS(saddlp, loop_add_pairs, false, false)
BY_SIZE_BHS(uaddlp, loop_add_pairs, true, false)
BY_SIZE_BHS(sadalp, loop_add_pairs, false, true)
BY_SIZE_BHS(uadalp, loop_add_pairs, true, true)
BY_SIZE(suqadd, loop_two, el_suqadd, 0, false)
BY_SIZE(usqadd, loop_two, el_usqadd, 0, false)
BY_SIZE_BHS(cls, loop_two, el_cls, 0, false)
BY_SIZE_BHS(clz, loop_two, el_clz, 0, false)
HELPER(cnt_b, loop_two(u, op, 0, el_cnt, 0, false))
HELPER(not_b, loop_two(u, op, 0, el_not, 0, false))
HELPER(rbit_b, loop_two(u, op, 0, el_rbit, 0, false))
BY_SIZE(sqabs, loop_two, el_sqabs, 0, false)
BY_SIZE(sqneg, loop_two, el_sqneg, 0, false)
BY_SIZE(cmgt0, loop_two, el_cmgt, 0, false)
BY_SIZE(cmge0, loop_two, el_cmge, 0, false)
BY_SIZE(cmeq0, loop_two, el_cmeq, 0, false)
BY_SIZE(cmle0, loop_two, el_cmle, 0, false)
BY_SIZE(cmlt0, loop_two, el_cmlt, 0, false)
BY_SIZE(abs, loop_two, el_abs, 0, false)
BY_SIZE(neg, loop_two, el_neg, 0, false)
BY_SIZE_BHS(xtn, loop_narrow, el_xtn, false, 0, false)
BY_SIZE_BHS(sqxtn, loop_narrow, el_sqxtn, false, 0, false)
BY_SIZE_BHS(sqxtun, loop_narrow, el_sqxtun, false, 0, false)
BY_SIZE_BHS(uqxtn, loop_narrow, el_uqxtn, false, 0, false)
BY_SIZE_BHS(shll, loop_long, el_shll, false)

a64_helper *a64_simd_two_misc(uint32_t w)
{
    static const struct simd_row table[2][21] = {
        {[0] = {SIZES_BHS(rev64), 7, 0}, [1] = {{rev16_b, NULL, NULL, NULL}, 1, 0}, [2] = {SIZES_BHS(saddlp), 7, 0},
         [3] = {SIZES(suqadd), 15, 15}, [4] = {SIZES_BHS(cls), 7, 0}, [5] = {{cnt_b, NULL, NULL, NULL}, 1, 0},
         [6] = {SIZES_BHS(sadalp), 7, 0}, [7] = {SIZES(sqabs), 15, 15}, [8] = {SIZES(cmgt0), 15, 8},
         [9] = {SIZES(cmeq0), 15, 8}, [10] = {SIZES(cmlt0), 15, 8}, [11] = {SIZES(abs), 15, 8},
         [18] = {SIZES_BHS(xtn), 7, 0}, [20] = {SIZES_BHS(sqxtn), 7, 7}},
        {[0] = {{rev32_b, rev32_h, NULL, NULL}, 3, 0}, [2] = {SIZES_BHS(uaddlp), 7, 0},
         [3] = {SIZES(usqadd), 15, 15}, [4] = {SIZES_BHS(clz), 7, 0}, [5] = {{not_b, rbit_b, NULL, NULL}, 3, 0},
         [6] = {SIZES_BHS(uadalp), 7, 0}, [7] = {SIZES(sqneg), 15, 15}, [8] = {SIZES(cmge0), 15, 8},
         [9] = {SIZES(cmle0), 15, 8}, [11] = {SIZES(neg), 15, 8}, [18] = {SIZES_BHS(sqxtun), 7, 7},
         [19] = {SIZES_BHS(shll), 7, 0}, [20] = {SIZES_BHS(uqxtn), 7, 7}},
    };
    unsigned opcode = BITS(w, 12, 5);

    if (opcode > 20 || (opcode >= 12 && opcode < 16))
        return a64_simd_fp_two_misc(w);
    return simd_row_pick(&table[BIT(w, 29)][opcode], w, BITS(w, 22, 2));
}

/* ---- across lanes ---- */

INLINE int loop_across(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, bool is_signed, bool longer)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)];
    uint64_t r = is_signed ? (uint64_t)sx(element(n, size, 0), size) : element(n, size, 0);

    for (unsigned i = 1, count = element_count(w, size); i < count; i++) {
        uint64_t x = element(n, size, i);
        r = f(NULL, 0, r, is_signed ? (uint64_t)sx(x, size) : x, longer ? 3 : size);
    }
    s->v[RD(w)] = (union a64_vreg){.d = {zx(r, longer ? size + 1 : size), 0}};
    return UOP_NEXT;
}

BY_SIZE_BHS(saddlv, loop_across, el_add, true, true)
BY_SIZE_BHS(uaddlv, loop_across, el_add, false, true)
BY_SIZE_BHS(addv, loop_across, el_add, false, false)
BY_SIZE_BHS(smaxv, loop_across, el_smax, true, false)
BY_SIZE_BHS(umaxv, loop_across, el_umax, false, false)
BY_SIZE_BHS(sminv, loop_across, el_smin, true, false)
BY_SIZE_BHS(uminv, loop_across, el_umin, false, false)

a64_helper *a64_simd_across(uint32_t w)
{
    static const struct simd_row addlv[2] = {{SIZES_BHS(saddlv), 7, 0}, {SIZES_BHS(uaddlv), 7, 0}},
                                 max[2] = {{SIZES_BHS(smaxv), 7, 0}, {SIZES_BHS(umaxv), 7, 0}},
                                 min[2] = {{SIZES_BHS(sminv), 7, 0}, {SIZES_BHS(uminv), 7, 0}},
                                 sum[2] = {{SIZES_BHS(addv), 7, 0}, {SIZES_BHS(addv), 0, 0}};
    const struct simd_row *r;
    unsigned size = BITS(w, 22, 2), opcode = BITS(w, 12, 5);

    switch (opcode) {
    case 0x03: r = addlv; break;
    case 0x0a: r = max; break;
    case 0x1a: r = min; break;
    case 0x1b: r = sum; break;
    default:   return a64_simd_fp_across(w);
    }
    return size == 2 && !BIT(w, 30) ? NULL : simd_row_pick(&r[BIT(w, 29)], w, size);
}

/* ---- copies: imm5 has the size (its lowest bit set) and the index above it ---- */

INLINE unsigned copy_index(uint32_t w, unsigned size)
{
    return BITS(w, 16, 5) >> (size + 1);
}

static inline uint64_t general(const struct a64_state *s, unsigned r)
{
    return r == 31 ? 0 : s->x[r];
}

INLINE int duplicate(struct ucpu *u, const struct uop *op, unsigned size, bool from_general)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    uint64_t x = from_general ? general(s, RN(w)) : element(&s->v[RN(w)], size, copy_index(w, size));
    union a64_vreg r;

    for (unsigned i = 0; i < 16u >> size; i++)
        set_element(&r, size, i, x);
    if (is_scalar(w))
        r.d[0] = zx(r.d[0], size);
    if (is_scalar(w) || !BIT(w, 30))
        r.d[1] = 0;
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

INLINE int insert(struct ucpu *u, const struct uop *op, unsigned size, bool from_general)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    uint64_t x = from_general ? general(s, RN(w)) : element(&s->v[RN(w)], size, BITS(w, 11, 4) >> size);

    set_element(&s->v[RD(w)], size, copy_index(w, size), x);
    return UOP_NEXT;
}

INLINE int move_out(struct ucpu *u, const struct uop *op, unsigned size, bool sign)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    uint64_t x = element(&s->v[RN(w)], size, copy_index(w, size));

    if (sign)
        x = (uint64_t)sx(x, size);
    if (RD(w) != 31)
        s->x[RD(w)] = sign && !BIT(w, 30) ? (uint32_t)x : x;
    return UOP_NEXT;
}

BY_SIZE(dup_e, duplicate, false)
BY_SIZE(dup_r, duplicate, true)
BY_SIZE(ins_e, insert, false)
BY_SIZE(ins_r, insert, true)
BY_SIZE(umov, move_out, false)
BY_SIZE_BHS(smov, move_out, true)

a64_helper *a64_simd_copy(uint32_t w)
{
    static a64_helper *const dup_element[4] = SIZES(dup_e), *const dup_register[4] = SIZES(dup_r),
                      *const ins_element[4] = SIZES(ins_e), *const ins_register[4] = SIZES(ins_r),
                      *const umovs[4] = SIZES(umov), *const smovs[4] = SIZES_BHS(smov);
    unsigned imm5 = BITS(w, 16, 5), size, q = BIT(w, 30), imm4 = BITS(w, 11, 4);

    if (BITS(w, 21, 3) || !(imm5 & 15))
        return NULL;
    size = (unsigned)__builtin_ctz(imm5);
    if (is_scalar(w))
        return BIT(w, 29) || imm4 ? NULL : dup_element[size];
    if (BIT(w, 29))
        return q ? ins_element[size] : NULL;
    switch (imm4) {
    case 0:  return size == 3 && !q ? NULL : dup_element[size];
    case 1:  return size == 3 && !q ? NULL : dup_register[size];
    case 3:  return q ? ins_register[size] : NULL;
    case 5:  return size == 2 && !q ? NULL : smovs[size];
    case 7:  return q == (size == 3) ? umovs[size] : NULL;
    default: return NULL;
    }
}

/* ---- permutes ---- */

static int extract(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned len = BIT(w, 30) ? 16 : 8, at = BITS(w, 11, 4);
    uint8_t both[32];

    memcpy(both, s->v[RN(w)].b, len);
    memcpy(both + len, s->v[RM(w)].b, len);
    s->v[RD(w)].d[1] = 0;
    memcpy(s->v[RD(w)].b, both + at, len);
    return UOP_NEXT;
}

INLINE int table_lookup(struct ucpu *u, const struct uop *op, bool keep)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned count = BIT(w, 30) ? 16 : 8, limit = 16 * (BITS(w, 13, 2) + 1);
    union a64_vreg r = {.d = {0, 0}};

    for (unsigned i = 0; i < count; i++) {
        unsigned index = s->v[RM(w)].b[i];
        if (index < limit)
            r.b[i] = s->v[(RN(w) + index / 16) & 31].b[index & 15];
        else if (keep)
            r.b[i] = s->v[RD(w)].b[i];
    }
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

HELPER(tbl, table_lookup(u, op, false))
HELPER(tbx, table_lookup(u, op, true))

enum permute { UZP, TRN, ZIP };

INLINE int permute(struct ucpu *u, const struct uop *op, unsigned size, enum permute kind)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)], *m = &s->v[RM(w)];
    const unsigned count = element_count(w, size), half = count / 2, part = BIT(w, 14);
    union a64_vreg r = {.d = {0, 0}};

    for (unsigned i = 0; i < half; i++) {
        switch (kind) {
        case UZP:
            set_element(&r, size, i, element(n, size, 2 * i + part));
            set_element(&r, size, half + i, element(m, size, 2 * i + part));
            break;
        case TRN:
            set_element(&r, size, 2 * i, element(n, size, 2 * i + part));
            set_element(&r, size, 2 * i + 1, element(m, size, 2 * i + part));
            break;
        case ZIP:
            set_element(&r, size, 2 * i, element(n, size, part * half + i));
            set_element(&r, size, 2 * i + 1, element(m, size, part * half + i));
            break;
        }
    }
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

BY_SIZE(uzp, permute, UZP)
BY_SIZE(trn, permute, TRN)
BY_SIZE(zip, permute, ZIP)

a64_helper *a64_simd_permute(uint32_t w)
{
    static const struct simd_row table[4] = {
        {{NULL, NULL, NULL, NULL}, 0, 0}, {SIZES(uzp), 15, 0}, {SIZES(trn), 15, 0}, {SIZES(zip), 15, 0},
    };
    unsigned size = BITS(w, 22, 2);

    if (BIT(w, 29))
        return size || (!BIT(w, 30) && BIT(w, 14)) ? NULL : extract;
    if (BIT(w, 11))
        return simd_row_pick(&table[BITS(w, 12, 2)], w, size);
    return size ? NULL : BIT(w, 12) ? tbx : tbl;
}

/* ---- modified immediate ---- */

uint64_t a64_simd_expand_immediate(uint32_t w)
{
    const uint32_t imm8 = BITS(w, 16, 3) << 5 | BITS(w, 5, 5), cmode = BITS(w, 12, 4), op = BIT(w, 29);
    const uint64_t words = (uint64_t)1 << 32 | 1, halves = words << 16 | words;
    uint64_t r = 0;

    if (cmode < 8)
        return ((uint64_t)imm8 << (8 * (cmode >> 1))) * words;
    if (cmode < 12)
        return ((uint64_t)imm8 << (8 * (cmode >> 1 & 1))) * halves;
    if (cmode == 12)
        return ((uint64_t)imm8 << 8 | 0xff) * words;
    if (cmode == 13)
        return ((uint64_t)imm8 << 16 | 0xffff) * words;
    if (cmode == 15)
        return op ? fp_expand_imm(imm8, 3) : fp_expand_imm(imm8, 2) * words;
    if (!op)
        return imm8 * (halves << 8 | halves);
    for (unsigned i = 0; i < 8; i++)
        r |= (imm8 >> i & 1 ? (uint64_t)0xff : 0) << (8 * i);
    return r;
}

#define IMMEDIATE(name, expr) \
    static int name(struct ucpu *u, const struct uop *op) \
    { \
        struct a64_state *s = fp_state(u); \
        const uint32_t w = a64_fp_word(op); \
        const uint64_t imm = a64_simd_expand_immediate(w); \
        union a64_vreg *r = &s->v[RD(w)]; \
        uint64_t d = r->d[0]; \
        r->d[0] = (expr); \
        d = r->d[1]; \
        r->d[1] = BIT(w, 30) ? (expr) : 0; \
        (void)d; \
        return UOP_NEXT; \
    }
IMMEDIATE(movi, imm)
IMMEDIATE(mvni, ~imm)
IMMEDIATE(orr_imm, d | imm)
IMMEDIATE(bic_imm, d & ~imm)

a64_helper *a64_simd_immediate(uint32_t w)
{
    unsigned cmode = BITS(w, 12, 4), op = BIT(w, 29);

    if (BIT(w, 11)) /* FMOV, half precision */
        return NULL;
    if (cmode < 12 && (cmode & 1))
        return op ? bic_imm : orr_imm;
    if (cmode < 14)
        return op ? mvni : movi;
    return cmode == 15 && op && !BIT(w, 30) ? NULL : movi;
}
