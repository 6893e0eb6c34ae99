/*
 * a64_fp_handler(): from instruction words to helpers, and scalar floating
 * point (DDI 0487 C4.1, "Data Processing -- Scalar Floating-Point and Advanced
 * SIMD").
 *
 * Not modelled: FEAT_FP16 and everything newer than Armv8.0, but for SQRDMLAH
 * and SQRDMLSH (by ID_AA64ISAR0_EL1.RDM); trapped floating-point exceptions
 * (FPCR's enable bits are RAZ).
 * To add an instruction: a helper, and a row where its encoding group is decoded.
 */
#include "aarch64/fp.h"

#include <string.h>

/* Bits 23-22 of the scalar FP instructions: size 2 or 3; half and reserved: 0. */
static unsigned scalar_size(uint32_t w)
{
    static const uint8_t sizes[4] = {2, 3, 0, 0};

    return sizes[BITS(w, 22, 2)];
}

static void set_scalar(struct a64_state *s, unsigned r, uint64_t x, unsigned size)
{
    s->v[r] = (union a64_vreg){.d = {size == 3 ? x : size == 2 ? (uint32_t)x : (uint16_t)x, 0}};
}

/* ---- one, two, three sources ---- */

INLINE int scalar_two(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    struct fp_env e;

    fp_begin(&e, s->fpcr, s->fpsr);
    set_scalar(s, RD(w), f(&e, 0, element(&s->v[RN(w)], size, 0), element(&s->v[RM(w)], size, 0), size), size);
    fp_end(s, &e);
    return UOP_NEXT;
}

INLINE int scalar_one(struct ucpu *u, const struct uop *op, unsigned size, element_op *f, uint64_t b)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    struct fp_env e;

    fp_begin(&e, s->fpcr, s->fpsr);
    set_scalar(s, RD(w), f(&e, 0, element(&s->v[RN(w)], size, 0), b, size), size);
    fp_end(s, &e);
    return UOP_NEXT;
}

INLINE int scalar_three(struct ucpu *u, const struct uop *op, unsigned size, bool negate_product, bool negate_addend)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const uint64_t sign = (uint64_t)1 << ((8u << size) - 1);
    uint64_t a = element(&s->v[RA(w)], size, 0) ^ (negate_addend ? sign : 0);
    uint64_t n = element(&s->v[RN(w)], size, 0) ^ (negate_product ? sign : 0);
    struct fp_env e;

    fp_begin(&e, s->fpcr, s->fpsr);
    set_scalar(s, RD(w), fp_mla(&e, a, n, element(&s->v[RM(w)], size, 0), size), size);
    fp_end(s, &e);
    return UOP_NEXT;
}

BY_SIZE_SD(fmul, scalar_two, fp_mul)
BY_SIZE_SD(fdiv, scalar_two, fp_div)
BY_SIZE_SD(fadd, scalar_two, fp_add)
BY_SIZE_SD(fsub, scalar_two, fp_sub)
BY_SIZE_SD(fmax, scalar_two, fp_max)
BY_SIZE_SD(fmin, scalar_two, fp_min)
BY_SIZE_SD(fmaxnm, scalar_two, fp_maxnm)
BY_SIZE_SD(fminnm, scalar_two, fp_minnm)
BY_SIZE_SD(fnmul, scalar_two, fp_nmul)

static a64_helper *two_source(uint32_t w)
{
    static a64_helper *const table[9][2] = {
        {fmul_s, fmul_d}, {fdiv_s, fdiv_d}, {fadd_s, fadd_d}, {fsub_s, fsub_d}, {fmax_s, fmax_d},
        {fmin_s, fmin_d}, {fmaxnm_s, fmaxnm_d}, {fminnm_s, fminnm_d}, {fnmul_s, fnmul_d},
    };
    unsigned size = scalar_size(w), opcode = BITS(w, 12, 4);

    return size && opcode < 9 ? table[opcode][size - 2] : NULL;
}

BY_SIZE_SD(fmadd, scalar_three, false, false)
BY_SIZE_SD(fmsub, scalar_three, true, false)
BY_SIZE_SD(fnmadd, scalar_three, true, true)
BY_SIZE_SD(fnmsub, scalar_three, false, true)

static a64_helper *three_source(uint32_t w)
{
    static a64_helper *const table[4][2] = {
        {fmadd_s, fmadd_d}, {fmsub_s, fmsub_d}, {fnmadd_s, fnmadd_d}, {fnmsub_s, fnmsub_d},
    };
    unsigned size = scalar_size(w);

    return size && !BIT(w, 31) && !BIT(w, 29) ? table[BIT(w, 21) << 1 | BIT(w, 15)][size - 2] : NULL;
}

BY_SIZE_SD(fsqrt, scalar_one, fp_sqrt, 0)
BY_SIZE_SD(frintn, scalar_one, fp_rint, ROUND_NEAREST_EVEN)
BY_SIZE_SD(frintp, scalar_one, fp_rint, ROUND_UP)
BY_SIZE_SD(frintm, scalar_one, fp_rint, ROUND_DOWN)
BY_SIZE_SD(frintz, scalar_one, fp_rint, ROUND_ZERO)
BY_SIZE_SD(frinta, scalar_one, fp_rint, ROUND_NEAREST_AWAY)
BY_SIZE_SD(frintx, scalar_one, fp_rintx, ROUND_FPCR)
BY_SIZE_SD(frinti, scalar_one, fp_rint, ROUND_FPCR)

/* FMOV, FABS, FNEG: no arithmetic, no flags. */
#define BITWISE(name, T, lane, expr) \
    static int name(struct ucpu *u, const struct uop *op) \
    { \
        struct a64_state *s = fp_state(u); \
        const uint32_t w = a64_fp_word(op); \
        const T x = s->v[RN(w)].lane[0]; \
        s->v[RD(w)] = (union a64_vreg){.d = {(T)(expr), 0}}; \
        return UOP_NEXT; \
    }
#define SIGN_S 0x80000000u
#define SIGN_D ((uint64_t)1 << 63)
BITWISE(fmov_s, uint32_t, s, x)
BITWISE(fmov_d, uint64_t, d, x)
BITWISE(fabs_s, uint32_t, s, x & ~SIGN_S)
BITWISE(fabs_d, uint64_t, d, x & ~SIGN_D)
BITWISE(fneg_s, uint32_t, s, x ^ SIGN_S)
BITWISE(fneg_d, uint64_t, d, x ^ SIGN_D)

/* ---- FCVT between formats ---- */

#define CONVERSION(name, from, to, expr) \
    static int name(struct ucpu *u, const struct uop *op) \
    { \
        struct a64_state *s = fp_state(u); \
        const uint32_t w = a64_fp_word(op); \
        const uint64_t x = element(&s->v[RN(w)], from, 0); \
        struct fp_env e; \
        fp_begin(&e, s->fpcr, s->fpsr); \
        set_scalar(s, RD(w), expr, to); \
        fp_end(s, &e); \
        return UOP_NEXT; \
    }
CONVERSION(fcvt_hs, 1, 2, fp_half_to(&e, x, 2))
CONVERSION(fcvt_hd, 1, 3, fp_half_to(&e, x, 3))
CONVERSION(fcvt_sh, 2, 1, fp_to_half(&e, x, 2))
CONVERSION(fcvt_dh, 3, 1, fp_to_half(&e, x, 3))
CONVERSION(fcvt_sd, 2, 3, f32_to_f64((uint32_t)x, &e.fs))
CONVERSION(fcvt_ds, 3, 2, f64_to_f32(x, &e.fs))

static a64_helper *one_source(uint32_t w)
{
    static a64_helper *const table[16][2] = {
        [0] = {fmov_s, fmov_d}, [1] = {fabs_s, fabs_d}, [2] = {fneg_s, fneg_d}, [3] = {fsqrt_s, fsqrt_d},
        [4] = {NULL, fcvt_ds}, [5] = {fcvt_sd, NULL}, [7] = {fcvt_sh, fcvt_dh},
        [8] = {frintn_s, frintn_d}, [9] = {frintp_s, frintp_d}, [10] = {frintm_s, frintm_d},
        [11] = {frintz_s, frintz_d}, [12] = {frinta_s, frinta_d}, [14] = {frintx_s, frintx_d},
        [15] = {frinti_s, frinti_d},
    };
    unsigned size = scalar_size(w), opcode = BITS(w, 15, 6);

    if (BITS(w, 22, 2) == 3)
        return opcode == 4 ? fcvt_hs : opcode == 5 ? fcvt_hd : NULL;
    return size && opcode < 16 ? table[opcode][size - 2] : NULL;
}

/* ---- comparisons and selection ---- */

static bool condition_holds(struct ucpu *u, unsigned cond)
{
    const uint32_t f = a64_get_nzcv(a64_of(u));
    const bool n = f & PSTATE_N, z = f & PSTATE_Z, c = f & PSTATE_C, v = f & PSTATE_V;
    bool r;

    switch (cond >> 1) {
    case 0:  r = z; break;
    case 1:  r = c; break;
    case 2:  r = n; break;
    case 3:  r = v; break;
    case 4:  r = c && !z; break;
    case 5:  r = n == v; break;
    case 6:  r = n == v && !z; break;
    default: return true;
    }
    return r != (cond & 1);
}

INLINE void compare(struct ucpu *u, uint32_t w, unsigned size, bool zero, bool quiet)
{
    struct a64_state *s = fp_state(u);
    const uint64_t a = element(&s->v[RN(w)], size, 0), b = zero ? 0 : element(&s->v[RM(w)], size, 0);
    enum float_relation r;
    struct fp_env e;

    fp_begin(&e, s->fpcr, s->fpsr);
    r = size == 3 ? f64_compare(a, b, quiet, &e.fs) : f32_compare((uint32_t)a, (uint32_t)b, quiet, &e.fs);
    fp_end(s, &e);
    a64_set_nzcv(a64_of(u), r == FLOAT_LESS    ? PSTATE_N
                          : r == FLOAT_EQUAL   ? PSTATE_Z | PSTATE_C
                          : r == FLOAT_GREATER ? PSTATE_C
                                               : PSTATE_C | PSTATE_V);
}

INLINE int fcmp(struct ucpu *u, const struct uop *op, unsigned size, bool zero)
{
    const uint32_t w = a64_fp_word(op);

    compare(u, w, size, zero, !BIT(w, 4));
    return UOP_NEXT;
}

BY_SIZE_SD(fcmp_reg, fcmp, false)
BY_SIZE_SD(fcmp_zero, fcmp, true)

INLINE int fccmp(struct ucpu *u, const struct uop *op, unsigned size, bool unused)
{
    const uint32_t w = a64_fp_word(op);

    (void)unused;
    if (condition_holds(u, BITS(w, 12, 4)))
        compare(u, w, size, false, !BIT(w, 4));
    else
        a64_set_nzcv(a64_of(u), (w & 15) << 28);
    return UOP_NEXT;
}

BY_SIZE_SD(fccmp, fccmp, false)

INLINE int fcsel(struct ucpu *u, const struct uop *op, unsigned size, bool unused)
{
    const uint32_t w = a64_fp_word(op);
    struct a64_state *s = fp_state(u);

    (void)unused;
    set_scalar(s, RD(w), s->v[condition_holds(u, BITS(w, 12, 4)) ? RN(w) : RM(w)].d[0], size);
    return UOP_NEXT;
}

BY_SIZE_SD(fcsel, fcsel, false)

static a64_helper *comparison(uint32_t w)
{
    unsigned size = scalar_size(w);

    if (!size || BITS(w, 14, 2) || (w & 7))
        return NULL;
    if (BIT(w, 3))
        return size == 3 ? fcmp_zero_d : fcmp_zero_s;
    return size == 3 ? fcmp_reg_d : fcmp_reg_s;
}

/* ---- immediates, general registers ---- */

INLINE int fmov_immediate(struct ucpu *u, const struct uop *op, unsigned size, bool unused)
{
    const uint32_t w = a64_fp_word(op);

    (void)unused;
    set_scalar(fp_state(u), RD(w), fp_expand_imm(BITS(w, 13, 8), size), size);
    return UOP_NEXT;
}

BY_SIZE_SD(fmov_imm, fmov_immediate, false)

static inline uint64_t general(const struct a64_state *s, unsigned r)
{
    return r == 31 ? 0 : s->x[r];
}

static inline void set_general(struct a64_state *s, unsigned r, uint64_t x)
{
    if (r != 31)
        s->x[r] = x;
}

/* FMOV between a general register and element i of a vector register. */
INLINE int fmov_to_general(struct ucpu *u, const struct uop *op, unsigned size, unsigned i)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);

    set_general(s, RD(w), element(&s->v[RN(w)], size, i));
    return UOP_NEXT;
}

INLINE int fmov_from_general(struct ucpu *u, const struct uop *op, unsigned size, unsigned i)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);

    if (i)
        set_element(&s->v[RD(w)], size, i, general(s, RN(w)));
    else
        set_scalar(s, RD(w), general(s, RN(w)), size);
    return UOP_NEXT;
}

static int fmov_to_w(struct ucpu *u, const struct uop *op) { return fmov_to_general(u, op, 2, 0); }
static int fmov_to_x(struct ucpu *u, const struct uop *op) { return fmov_to_general(u, op, 3, 0); }
static int fmov_to_x_top(struct ucpu *u, const struct uop *op) { return fmov_to_general(u, op, 3, 1); }
static int fmov_from_w(struct ucpu *u, const struct uop *op) { return fmov_from_general(u, op, 2, 0); }
static int fmov_from_x(struct ucpu *u, const struct uop *op) { return fmov_from_general(u, op, 3, 0); }
static int fmov_from_x_top(struct ucpu *u, const struct uop *op) { return fmov_from_general(u, op, 3, 1); }

/* FCVT*: to an integer of 32 or 64 bits with `scale` fraction bits. */
INLINE int to_general(struct ucpu *u, const struct uop *op, unsigned size, bool is_unsigned, unsigned rounding,
                      bool fixed)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const int scale = fixed ? 64 - (int)BITS(w, 10, 6) : 0;
    const unsigned bits = BIT(w, 31) ? 64 : 32;
    const enum float_rounding mode = (enum float_rounding)rounding;
    const uint64_t a = element(&s->v[RN(w)], size, 0);
    struct fp_env e;
    uint64_t r;

    fp_begin(&e, s->fpcr, s->fpsr);
    if (is_unsigned)
        r = size == 3 ? f64_to_uint(a, scale, bits, mode, &e.fs) : f32_to_uint((uint32_t)a, scale, bits, mode, &e.fs);
    else
        r = (uint64_t)(size == 3 ? f64_to_int(a, scale, bits, mode, &e.fs)
                                 : f32_to_int((uint32_t)a, scale, bits, mode, &e.fs));
    fp_end(s, &e);
    set_general(s, RD(w), bits == 64 ? r : (uint32_t)r);
    return UOP_NEXT;
}

INLINE int from_general(struct ucpu *u, const struct uop *op, unsigned size, bool is_unsigned, bool fixed)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const int scale = fixed ? 64 - (int)BITS(w, 10, 6) : 0;
    const uint64_t x = general(s, RN(w));
    struct fp_env e;
    uint64_t r;

    fp_begin(&e, s->fpcr, s->fpsr);
    if (is_unsigned) {
        uint64_t v = BIT(w, 31) ? x : (uint32_t)x;
        r = size == 3 ? f64_from_uint(v, scale, &e.fs) : f32_from_uint(v, scale, &e.fs);
    } else {
        int64_t v = BIT(w, 31) ? (int64_t)x : (int32_t)x;
        r = size == 3 ? f64_from_int(v, scale, &e.fs) : f32_from_int(v, scale, &e.fs);
    }
    set_scalar(s, RD(w), r, size);
    fp_end(s, &e);
    return UOP_NEXT;
}

BY_SIZE_SD(fcvtns, to_general, false, ROUND_NEAREST_EVEN, false)
BY_SIZE_SD(fcvtnu, to_general, true, ROUND_NEAREST_EVEN, false)
BY_SIZE_SD(fcvtps, to_general, false, ROUND_UP, false)
BY_SIZE_SD(fcvtpu, to_general, true, ROUND_UP, false)
BY_SIZE_SD(fcvtms, to_general, false, ROUND_DOWN, false)
BY_SIZE_SD(fcvtmu, to_general, true, ROUND_DOWN, false)
BY_SIZE_SD(fcvtzs, to_general, false, ROUND_ZERO, false)
BY_SIZE_SD(fcvtzu, to_general, true, ROUND_ZERO, false)
BY_SIZE_SD(fcvtas, to_general, false, ROUND_NEAREST_AWAY, false)
BY_SIZE_SD(fcvtau, to_general, true, ROUND_NEAREST_AWAY, false)
BY_SIZE_SD(fcvtzs_fixed, to_general, false, ROUND_ZERO, true)
BY_SIZE_SD(fcvtzu_fixed, to_general, true, ROUND_ZERO, true)
BY_SIZE_SD(scvtf, from_general, false, false)
BY_SIZE_SD(ucvtf, from_general, true, false)
BY_SIZE_SD(scvtf_fixed, from_general, false, true)
BY_SIZE_SD(ucvtf_fixed, from_general, true, true)

static a64_helper *integer_conversion(uint32_t w)
{
    /* by rmode and opcode's lowest bit */
    static a64_helper *const to_integer[4][2][2] = {
        {{fcvtns_s, fcvtns_d}, {fcvtnu_s, fcvtnu_d}}, {{fcvtps_s, fcvtps_d}, {fcvtpu_s, fcvtpu_d}},
        {{fcvtms_s, fcvtms_d}, {fcvtmu_s, fcvtmu_d}}, {{fcvtzs_s, fcvtzs_d}, {fcvtzu_s, fcvtzu_d}},
    };
    unsigned size = scalar_size(w), rmode = BITS(w, 19, 2), opcode = BITS(w, 16, 3), sf = BIT(w, 31);

    if (BITS(w, 22, 2) == 2)
        return sf && rmode == 1 ? (opcode == 6 ? fmov_to_x_top : opcode == 7 ? fmov_from_x_top : NULL) : NULL;
    if (!size)
        return NULL;
    if (opcode < 2)
        return to_integer[rmode][opcode][size - 2];
    if (rmode)
        return NULL;
    switch (opcode) {
    case 2:  return size == 3 ? scvtf_d : scvtf_s;
    case 3:  return size == 3 ? ucvtf_d : ucvtf_s;
    case 4:  return size == 3 ? fcvtas_d : fcvtas_s;
    case 5:  return size == 3 ? fcvtau_d : fcvtau_s;
    default: break;
    }
    if (sf != (size == 3))
        return NULL;
    if (opcode == 6)
        return sf ? fmov_to_x : fmov_to_w;
    return sf ? fmov_from_x : fmov_from_w;
}

static a64_helper *fixed_conversion(uint32_t w)
{
    unsigned size = scalar_size(w);

    if (!size || (!BIT(w, 31) && !BIT(w, 15)))
        return NULL;
    switch (BITS(w, 16, 5)) {
    case 2:  return size == 3 ? scvtf_fixed_d : scvtf_fixed_s;
    case 3:  return size == 3 ? ucvtf_fixed_d : ucvtf_fixed_s;
    case 24: return size == 3 ? fcvtzs_fixed_d : fcvtzs_fixed_s;
    case 25: return size == 3 ? fcvtzu_fixed_d : fcvtzu_fixed_s;
    default: return NULL;
    }
}

/* ---- decoding ---- */

/* ---- micro-ops ---- */

struct float_rules a64_float_rules(void)
{
    return (struct float_rules){.clear_at = S_OFF(fpcr), .clear = 3u << FPCR_RMODE_SHIFT | FPCR_FZ,
                                .set_at = S_OFF(fpsr), .set = FPSR_IXC};
}

static uint64_t operand(const struct ucpu *u, unsigned offset, unsigned size)
{
    uint64_t v;

    memcpy(&v, u->s + offset, sizeof v);
    return zx(v, size);
}

static uint64_t float_result(struct fp_env *e, const struct ucpu *u, const struct uop *op, unsigned size)
{
    const uint64_t sign = (uint64_t)1 << ((8u << size) - 1);
    uint64_t a = operand(u, op->a, size), b = operand(u, op->b, size), c = 0;

    switch (op->op) {
    case UOP_FADD32: case UOP_FADD64: return fp_add(e, 0, a, b, size);
    case UOP_FSUB32: case UOP_FSUB64: return fp_sub(e, 0, a, b, size);
    case UOP_FMUL32: case UOP_FMUL64: return fp_mul(e, 0, a, b, size);
    case UOP_FDIV32: case UOP_FDIV64: return fp_div(e, 0, a, b, size);
    case UOP_FSCVT32: return f32_from_int((int64_t)operand(u, op->a, 3), 0, &e->fs);
    case UOP_FSCVT64: return f64_from_int((int64_t)operand(u, op->a, 3), 0, &e->fs);
    default: break;
    }
    c = operand(u, op->imm, size);
    switch (op->op) {
    case UOP_FMADD32: case UOP_FMADD64: break;
    case UOP_FMSUB32: case UOP_FMSUB64: a ^= sign; break;
    case UOP_FNMADD32: case UOP_FNMADD64: a ^= sign, c ^= sign; break;
    default: c ^= sign; break; /* FNMSUB */
    }
    return fp_mla(e, c, a, b, size);
}

static void vector_float_op(struct ucpu *u, const struct uop *op, unsigned size)
{
    static element_op *const functions[] = {fp_add, fp_sub, fp_mul, fp_div, fp_mla, fp_mls};
    element_op *f = functions[(op->op - UOP_VFADD32) / 2];
    struct a64_state *s = fp_state(u);
    union a64_vreg r = {.d = {0, 0}}, d, a, b;
    struct fp_env e;

    memcpy(&d, u->s + op->d, sizeof d);
    memcpy(&a, u->s + op->a, sizeof a);
    memcpy(&b, u->s + op->b, sizeof b);
    fp_begin(&e, s->fpcr, s->fpsr);
    for (unsigned i = 0; i < 16u >> size; i++)
        set_element(&r, size, i, f(&e, element(&d, size, i), element(&a, size, i), element(&b, size, i), size));
    memcpy(u->s + op->d, &r, sizeof r);
    fp_end(s, &e);
}

void a64_float_op(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    unsigned size = (op->op - UOP_FADD32) & 1 ? 3 : 2;
    struct fp_env e;
    union a64_vreg r = {.d = {0, 0}};

    if (op->op >= UOP_VFADD32) {
        vector_float_op(u, op, size);
        return;
    }
    fp_begin(&e, s->fpcr, s->fpsr);
    r.d[0] = zx(float_result(&e, u, op, size), size);
    memcpy(u->s + op->d, &r, sizeof r);
    fp_end(s, &e);
}
_Static_assert((UOP_VFMLS64 - UOP_FADD32) % 2 == 1 && UOP_VFMLS64 - UOP_VFADD32 == 11, "micro-ops of 32 and 64 bits in turn");

static a64_helper *scalar_fp(uint32_t w)
{
    unsigned size = scalar_size(w);

    if (BIT(w, 29))
        return NULL;
    if (BIT(w, 24))
        return three_source(w);
    if (!BIT(w, 21))
        return fixed_conversion(w);
    if (BITS(w, 10, 6) == 0)
        return integer_conversion(w);
    if (BIT(w, 31))
        return NULL;
    if (BITS(w, 10, 5) == 16)
        return one_source(w);
    if (BITS(w, 10, 4) == 8)
        return comparison(w);
    if (BITS(w, 10, 3) == 4)
        return RN(w) || !size ? NULL : size == 3 ? fmov_imm_d : fmov_imm_s;
    switch (BITS(w, 10, 2)) {
    case 1:  return !size ? NULL : size == 3 ? fccmp_d : fccmp_s;
    case 2:  return two_source(w);
    case 3:  return !size ? NULL : size == 3 ? fcsel_d : fcsel_s;
    default: return NULL;
    }
}

/* AES is among the vectors, SHA among the scalars. */
static bool is_crypto_of_two(uint32_t w, bool scalar)
{
    if (BITS(w, 17, 5) != 0x14 || BITS(w, 22, 2) != 0 || BIT(w, 29))
        return false;
    return scalar || BIT(w, 30);
}

/* Bits 28-24 are 01110: vectors; bits 31-24 are 01x11110: scalars. */
static a64_helper *simd_registers(uint32_t w, const struct a64_model *model, bool scalar)
{
    if (BIT(w, 21)) {
        if (BIT(w, 10))
            return a64_simd_three_same(w);
        if (!BIT(w, 11))
            return a64_simd_three_different(w, model);
        if (BITS(w, 17, 5) == 0x10)
            return a64_simd_two_misc(w);
        if (BITS(w, 17, 5) == 0x18)
            return scalar ? a64_simd_scalar_pairwise(w) : a64_simd_across(w);
        return is_crypto_of_two(w, scalar) && model->crypto ? a64_crypto(w) : NULL;
    }
    if (BIT(w, 15))
        return BIT(w, 10) && (model->id_aa64isar0 >> 28 & 15) ? a64_simd_three_extra(w) : NULL;
    if (BIT(w, 10))
        return a64_simd_copy(w);
    if (!scalar)
        return a64_simd_permute(w);
    if (BITS(w, 10, 2) == 0 && !BIT(w, 29) && BITS(w, 22, 2) == 0) /* SHA of three registers */
        return model->crypto ? a64_crypto(w) : NULL;
    return NULL;
}

a64_helper *a64_fp_handler(uint32_t w, const struct a64_model *model)
{
    if (BITS(w, 25, 3) != 7)
        return NULL;
    if (BIT(w, 28) && !BIT(w, 30))
        return scalar_fp(w);
    if (BIT(w, 31))
        return NULL;
    if (!BIT(w, 24))
        return simd_registers(w, model, BIT(w, 28));
    if (!BIT(w, 10))
        return a64_simd_by_element(w, model);
    if (BIT(w, 23))
        return NULL;
    if (BITS(w, 19, 4))
        return a64_simd_shift(w);
    return BIT(w, 28) ? NULL : a64_simd_immediate(w);
}
