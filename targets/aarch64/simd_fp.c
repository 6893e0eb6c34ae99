/*
 * Floating-point Advanced SIMD, vector and scalar forms (DDI 0487 C4.1.96;
 * C7.2 by instruction). Elements are single and double; half precision only
 * where FCVTN and FCVTL convert it.
 */
#include "aarch64/fp.h"

/* ---- three same ---- */

BY_SIZE_SD(fmaxnm, loop_three, fp_maxnm, true)
BY_SIZE_SD(fmla, loop_three, fp_mla, true)
BY_SIZE_SD(fadd, loop_three, fp_add, true)
BY_SIZE_SD(fmulx, loop_three, fp_mulx, true)
BY_SIZE_SD(fcmeq, loop_three, fp_cmeq, true)
BY_SIZE_SD(fmax, loop_three, fp_max, true)
BY_SIZE_SD(frecps, loop_three, fp_recps, true)
BY_SIZE_SD(fminnm, loop_three, fp_minnm, true)
BY_SIZE_SD(fmls, loop_three, fp_mls, true)
BY_SIZE_SD(fsub, loop_three, fp_sub, true)
BY_SIZE_SD(fmin, loop_three, fp_min, true)
BY_SIZE_SD(frsqrts, loop_three, fp_rsqrts, true)
BY_SIZE_SD(fmul, loop_three, fp_mul, true)
BY_SIZE_SD(fcmge, loop_three, fp_cmge, true)
BY_SIZE_SD(facge, loop_three, fp_acge, true)
BY_SIZE_SD(fdiv, loop_three, fp_div, true)
BY_SIZE_SD(fabd, loop_three, fp_abd, true)
BY_SIZE_SD(fcmgt, loop_three, fp_cmgt, true)
BY_SIZE_SD(facgt, loop_three, fp_acgt, true)
BY_SIZE_SD(fmaxnmp, loop_pairs, fp_maxnm, true)
BY_SIZE_SD(faddp, loop_pairs, fp_add, true)
BY_SIZE_SD(fmaxp, loop_pairs, fp_max, true)
BY_SIZE_SD(fminnmp, loop_pairs, fp_minnm, true)
BY_SIZE_SD(fminp, loop_pairs, fp_min, true)

#define SD(name)        {SIZES_SD(name), 0xc, 0xc}
#define SD_VECTOR(name) {SIZES_SD(name), 0xc, 0}
#define SD_SCALAR(name) {SIZES_SD(name), 0, 0xc}

a64_helper *a64_simd_fp_three_same(uint32_t w)
{
    static const struct simd_row table[2][2][8] = { /* U, a, opcode's low bits */
        {{[0] = SD_VECTOR(fmaxnm), [1] = SD_VECTOR(fmla), [2] = SD_VECTOR(fadd), [3] = SD(fmulx), [4] = SD(fcmeq),
          [6] = SD_VECTOR(fmax), [7] = SD(frecps)},
         {[0] = SD_VECTOR(fminnm), [1] = SD_VECTOR(fmls), [2] = SD_VECTOR(fsub), [6] = SD_VECTOR(fmin),
          [7] = SD(frsqrts)}},
        {{[0] = SD_VECTOR(fmaxnmp), [2] = SD_VECTOR(faddp), [3] = SD_VECTOR(fmul), [4] = SD(fcmge), [5] = SD(facge),
          [6] = SD_VECTOR(fmaxp), [7] = SD_VECTOR(fdiv)},
         {[0] = SD_VECTOR(fminnmp), [2] = SD(fabd), [4] = SD(fcmgt), [5] = SD(facgt), [6] = SD_VECTOR(fminp)}},
    };

    return simd_row_pick(&table[BIT(w, 29)][BIT(w, 23)][BITS(w, 11, 3)], w, 2 + BIT(w, 22));
}

a64_helper *a64_simd_fp_pairwise(uint32_t w)
{
    static const struct simd_row maxnm = SD_SCALAR(fmaxnmp), minnm = SD_SCALAR(fminnmp), add = SD_SCALAR(faddp),
                                 max = SD_SCALAR(fmaxp), min = SD_SCALAR(fminp);
    const struct simd_row *r = NULL;

    switch (BIT(w, 23) << 5 | BITS(w, 12, 5)) {
    case 0x0c: r = &maxnm; break;
    case 0x0d: r = &add; break;
    case 0x0f: r = &max; break;
    case 0x2c: r = &minnm; break;
    case 0x2f: r = &min; break;
    default:   return NULL;
    }
    return BIT(w, 29) ? simd_row_pick(r, w, 2 + BIT(w, 22)) : NULL;
}

/* ---- by element ---- */

BY_SIZE_SD(fmla_e, loop_element, fp_mla, true)
BY_SIZE_SD(fmls_e, loop_element, fp_mls, true)
BY_SIZE_SD(fmul_e, loop_element, fp_mul, true)
BY_SIZE_SD(fmulx_e, loop_element, fp_mulx, true)

a64_helper *a64_simd_fp_by_element(uint32_t w)
{
    static const struct simd_row mla = SD(fmla_e), mls = SD(fmls_e), mul = SD(fmul_e), mulx = SD(fmulx_e);
    const struct simd_row *r;
    unsigned size = BITS(w, 22, 2);

    switch (BIT(w, 29) << 4 | BITS(w, 12, 4)) {
    case 0x01: r = &mla; break;
    case 0x05: r = &mls; break;
    case 0x09: r = &mul; break;
    case 0x19: r = &mulx; break;
    default:   return NULL;
    }
    if (size == 3 && BIT(w, 21))
        return NULL;
    return simd_row_pick(r, w, size);
}

/* ---- two registers ---- */

BY_SIZE_SD(frintn, loop_two, fp_rint, ROUND_NEAREST_EVEN, true)
BY_SIZE_SD(frintm, loop_two, fp_rint, ROUND_DOWN, true)
BY_SIZE_SD(frintp, loop_two, fp_rint, ROUND_UP, true)
BY_SIZE_SD(frintz, loop_two, fp_rint, ROUND_ZERO, true)
BY_SIZE_SD(frinta, loop_two, fp_rint, ROUND_NEAREST_AWAY, true)
BY_SIZE_SD(frintx, loop_two, fp_rintx, ROUND_FPCR, true)
BY_SIZE_SD(frinti, loop_two, fp_rint, ROUND_FPCR, true)
BY_SIZE_SD(fcvtns, loop_two, fp_to_int, ROUND_NEAREST_EVEN, true)
BY_SIZE_SD(fcvtms, loop_two, fp_to_int, ROUND_DOWN, true)
BY_SIZE_SD(fcvtps, loop_two, fp_to_int, ROUND_UP, true)
BY_SIZE_SD(fcvtzs, loop_two, fp_to_int, ROUND_ZERO, true)
BY_SIZE_SD(fcvtas, loop_two, fp_to_int, ROUND_NEAREST_AWAY, true)
BY_SIZE_SD(fcvtnu, loop_two, fp_to_uint, ROUND_NEAREST_EVEN, true)
BY_SIZE_SD(fcvtmu, loop_two, fp_to_uint, ROUND_DOWN, true)
BY_SIZE_SD(fcvtpu, loop_two, fp_to_uint, ROUND_UP, true)
BY_SIZE_SD(fcvtzu, loop_two, fp_to_uint, ROUND_ZERO, true)
BY_SIZE_SD(fcvtau, loop_two, fp_to_uint, ROUND_NEAREST_AWAY, true)
BY_SIZE_SD(scvtf, loop_two, fp_from_int, 0, true)
BY_SIZE_SD(ucvtf, loop_two, fp_from_uint, 0, true)
BY_SIZE_SD(fcmgt0, loop_two, fp_cmgt, 0, true)
BY_SIZE_SD(fcmge0, loop_two, fp_cmge, 0, true)
BY_SIZE_SD(fcmeq0, loop_two, fp_cmeq, 0, true)
BY_SIZE_SD(fcmle0, loop_two, fp_cmle, 0, true)
BY_SIZE_SD(fcmlt0, loop_two, fp_cmlt, 0, true)
BY_SIZE_SD(fabs, loop_two, fp_abs, 0, false)
BY_SIZE_SD(fneg, loop_two, fp_neg, 0, false)
BY_SIZE_SD(fsqrt, loop_two, fp_sqrt, 0, true)
BY_SIZE_SD(frecpe, loop_two, fp_recpe, 0, true)
BY_SIZE_SD(frsqrte, loop_two, fp_rsqrte, 0, true)
BY_SIZE_SD(frecpx, loop_two, fp_recpx, 0, true)
HELPER(urecpe_s, loop_two(u, op, 2, simd_urecpe, 0, false))
HELPER(ursqrte_s, loop_two(u, op, 2, simd_ursqrte, 0, false))

static uint64_t narrow(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d, (void)b;
    return size == 1 ? fp_to_half(e, a, 2) : f64_to_f32(a, &e->fs);
}

static uint64_t narrow_to_odd(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d, (void)b, (void)size;
    e->fs.rounding = ROUND_ODD;
    return f64_to_f32(a, &e->fs);
}

HELPER(fcvtn_h, loop_narrow(u, op, 1, narrow, false, 0, true))
HELPER(fcvtn_s, loop_narrow(u, op, 2, narrow, false, 0, true))
HELPER(fcvtxn_s, loop_narrow(u, op, 2, narrow_to_odd, false, 0, true))

INLINE int lengthen(struct ucpu *u, const struct uop *op, unsigned size)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned count = 8u >> size, first = BIT(w, 30) ? count : 0;
    union a64_vreg r;
    struct fp_env e;

    fp_begin(&e, s->fpcr, s->fpsr);
    for (unsigned i = 0; i < count; i++) {
        uint64_t a = element(&s->v[RN(w)], size, first + i);
        set_element(&r, size + 1, i, size == 1 ? fp_half_to(&e, a, 2) : f32_to_f64((uint32_t)a, &e.fs));
    }
    s->v[RD(w)] = r;
    fp_end(s, &e);
    return UOP_NEXT;
}

HELPER(fcvtl_h, lengthen(u, op, 1))
HELPER(fcvtl_s, lengthen(u, op, 2))

a64_helper *a64_simd_fp_two_misc(uint32_t w)
{
    static const struct simd_row table[2][2][20] = { /* U, size<1>, opcode - 12 */
        {{[12] = SD_VECTOR(frintn), [13] = SD_VECTOR(frintm), [14] = SD(fcvtns), [15] = SD(fcvtms),
          [16] = SD(fcvtas), [17] = SD(scvtf)},
         {[0] = SD(fcmgt0), [1] = SD(fcmeq0), [2] = SD(fcmlt0), [3] = SD_VECTOR(fabs), [12] = SD_VECTOR(frintp),
          [13] = SD_VECTOR(frintz), [14] = SD(fcvtps), [15] = SD(fcvtzs), [16] = {{NULL, NULL, urecpe_s, NULL}, 4, 0},
          [17] = SD(frecpe), [19] = SD_SCALAR(frecpx)}},
        {{[12] = SD_VECTOR(frinta), [13] = SD_VECTOR(frintx), [14] = SD(fcvtnu), [15] = SD(fcvtmu),
          [16] = SD(fcvtau), [17] = SD(ucvtf)},
         {[0] = SD(fcmge0), [1] = SD(fcmle0), [3] = SD_VECTOR(fneg), [13] = SD_VECTOR(frinti), [14] = SD(fcvtpu),
          [15] = SD(fcvtzu), [16] = {{NULL, NULL, ursqrte_s, NULL}, 4, 0}, [17] = SD(frsqrte),
          [19] = SD_VECTOR(fsqrt)}},
    };
    unsigned opcode = BITS(w, 12, 5), u = BIT(w, 29), sz = BIT(w, 22);

    if (opcode < 12)
        return NULL;
    if (!BIT(w, 23) && opcode == 22) {
        if (u)
            return sz ? fcvtxn_s : NULL;
        return is_scalar(w) ? NULL : sz ? fcvtn_s : fcvtn_h;
    }
    if (!BIT(w, 23) && opcode == 23)
        return u || is_scalar(w) ? NULL : sz ? fcvtl_s : fcvtl_h;
    return simd_row_pick(&table[u][BIT(w, 23)][opcode - 12], w, 2 + sz);
}

/* ---- across lanes: four singles, as a tree (Reduce(), J1.1) ---- */

INLINE int across(struct ucpu *u, const struct uop *op, element_op *f)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg *n = &s->v[RN(w)];
    struct fp_env e;
    uint64_t low, high;

    fp_begin(&e, s->fpcr, s->fpsr);
    low = f(&e, 0, n->s[0], n->s[1], 2);
    high = f(&e, 0, n->s[2], n->s[3], 2);
    s->v[RD(w)] = (union a64_vreg){.d = {(uint32_t)f(&e, 0, low, high, 2), 0}};
    fp_end(s, &e);
    return UOP_NEXT;
}

HELPER(fmaxnmv, across(u, op, fp_maxnm))
HELPER(fminnmv, across(u, op, fp_minnm))
HELPER(fmaxv, across(u, op, fp_max))
HELPER(fminv, across(u, op, fp_min))

a64_helper *a64_simd_fp_across(uint32_t w)
{
    if (!BIT(w, 29) || !BIT(w, 30) || BIT(w, 22))
        return NULL;
    switch (BITS(w, 12, 5)) {
    case 12: return BIT(w, 23) ? fminnmv : fmaxnmv;
    case 15: return BIT(w, 23) ? fminv : fmaxv;
    default: return NULL;
    }
}

/* ---- fixed point: immh:immb says the fraction bits ---- */

INLINE int fixed(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    uint64_t fraction = (16u << size) - BITS(a64_fp_word(op), 16, 7);

    return loop_two(u, op, size, f, fraction << 8 | ROUND_ZERO, true);
}

BY_SIZE_SD(scvtf_x, fixed, fp_from_int)
BY_SIZE_SD(ucvtf_x, fixed, fp_from_uint)
BY_SIZE_SD(fcvtzs_x, fixed, fp_to_int)
BY_SIZE_SD(fcvtzu_x, fixed, fp_to_uint)

a64_helper *a64_simd_fp_shift(uint32_t w)
{
    static const struct simd_row from[2] = {SD(scvtf_x), SD(ucvtf_x)}, to[2] = {SD(fcvtzs_x), SD(fcvtzu_x)};
    unsigned size = 31 - (unsigned)__builtin_clz(BITS(w, 19, 4));

    return simd_row_pick(BITS(w, 11, 5) == 0x1c ? &from[BIT(w, 29)] : &to[BIT(w, 29)], w, size);
}
