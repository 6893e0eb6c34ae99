/*
 * Floating-point operations on elements, single and double (DDI 0487 J1.3,
 * shared/functions/float): what the manual's FPxxx() functions say, on top of
 * libsoftfloat. Rounding, flushing to zero, NaNs: as fp_begin() set up.
 *
 * Not here: half-precision arithmetic (FEAT_FP16), only its conversions.
 */
#include "aarch64/fp.h"

#define SIGN(size)     ((size) == 3 ? (uint64_t)1 << 63 : (uint64_t)1 << 31)
#define INFINITY_(size) ((size) == 3 ? (uint64_t)0x7ff << 52 : (uint64_t)0xff << 23)
#define FRACTION(size) ((size) == 3 ? 52u : 23u)
#define EXPONENT_MASK(size) ((size) == 3 ? 0x7ffu : 0xffu)
#define ONE(size)      ((size) == 3 ? (uint64_t)0x3ff << 52 : (uint64_t)0x7f << 23)

static bool any_nan(uint64_t a, unsigned size)
{
    return (a & ~SIGN(size) & element_mask(size)) > INFINITY_(size);
}

static bool quiet_nan(uint64_t a, unsigned size)
{
    return any_nan(a, size) && (a >> (FRACTION(size) - 1) & 1);
}

static bool infinite(uint64_t a, unsigned size)
{
    return (a & ~SIGN(size) & element_mask(size)) == INFINITY_(size);
}

/* Zero once flushed. */
static bool as_zero(const struct fp_env *e, uint64_t a, unsigned size)
{
    a &= ~SIGN(size) & element_mask(size);
    return a == 0 || (e->fs.denormals_are_zero && a < (uint64_t)1 << FRACTION(size));
}

static void note_flushed(struct fp_env *e, uint64_t a, unsigned size)
{
    a &= ~SIGN(size) & element_mask(size);
    if (a && e->fs.denormals_are_zero && a < (uint64_t)1 << FRACTION(size))
        e->fs.flags |= FLOAT_FLUSHED;
}

#define ARITH(name, op) \
    uint64_t name(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size) \
    { \
        (void)d; \
        return size == 3 ? f64_##op(a, b, &e->fs) : f32_##op((uint32_t)a, (uint32_t)b, &e->fs); \
    }
ARITH(fp_add, add)
ARITH(fp_sub, sub)
ARITH(fp_mul, mul)
ARITH(fp_div, div)

static uint64_t multiply_add(struct fp_env *e, uint64_t a, uint64_t b, uint64_t c, unsigned size)
{
    return size == 3 ? f64_fma(a, b, c, &e->fs) : f32_fma((uint32_t)a, (uint32_t)b, (uint32_t)c, &e->fs);
}

uint64_t fp_mla(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return multiply_add(e, a, b, d, size);
}

uint64_t fp_mls(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return multiply_add(e, a ^ SIGN(size), b, d, size);
}

uint64_t fp_nmul(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_mul(e, d, a, b, size) ^ SIGN(size);
}

static bool infinity_by_zero(const struct fp_env *e, uint64_t a, uint64_t b, unsigned size)
{
    return (infinite(a, size) && as_zero(e, b, size)) || (as_zero(e, a, size) && infinite(b, size));
}

uint64_t fp_mulx(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    if (!infinity_by_zero(e, a, b, size))
        return fp_mul(e, d, a, b, size);
    note_flushed(e, a, size);
    note_flushed(e, b, size);
    return ((a ^ b) & SIGN(size)) | (ONE(size) + ((uint64_t)1 << FRACTION(size)));
}

uint64_t fp_abs(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)e, (void)d, (void)b;
    return a & ~SIGN(size);
}

uint64_t fp_neg(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)e, (void)d, (void)b;
    return a ^ SIGN(size);
}

uint64_t fp_abd(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_sub(e, d, a, b, size) & ~SIGN(size);
}

uint64_t fp_sqrt(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d, (void)b;
    return size == 3 ? f64_sqrt(a, &e->fs) : f32_sqrt((uint32_t)a, &e->fs);
}

/* FPProcessNaN() */
static uint64_t process_nan(struct fp_env *e, uint64_t a, unsigned size)
{
    return fp_sqrt(e, 0, a, 0, size);
}

static enum float_relation compare(struct fp_env *e, uint64_t a, uint64_t b, unsigned size, bool quiet)
{
    return size == 3 ? f64_compare(a, b, quiet, &e->fs) : f32_compare((uint32_t)a, (uint32_t)b, quiet, &e->fs);
}

/* ---- maximum and minimum ---- */

static uint64_t max_min(struct fp_env *e, uint64_t a, uint64_t b, unsigned size, bool max)
{
    enum float_relation rel;

    if (any_nan(a, size) || any_nan(b, size))
        return fp_add(e, 0, a, b, size); /* FPProcessNaNs() */
    rel = compare(e, a, b, size, true);
    if (as_zero(e, a, size))
        a &= SIGN(size);
    if (as_zero(e, b, size))
        b &= SIGN(size);
    if (rel == FLOAT_EQUAL) /* the same number, or zeros */
        return max ? a & b : a | b;
    return (rel == FLOAT_GREATER) == max ? a : b;
}

uint64_t fp_max(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return max_min(e, a, b, size, true);
}

uint64_t fp_min(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return max_min(e, a, b, size, false);
}

/* A quiet NaN next to a number gives way. */
static uint64_t max_min_num(struct fp_env *e, uint64_t a, uint64_t b, unsigned size, bool max)
{
    uint64_t worst = INFINITY_(size) | (max ? SIGN(size) : 0);

    if (quiet_nan(a, size) && !quiet_nan(b, size))
        a = worst;
    else if (quiet_nan(b, size) && !quiet_nan(a, size))
        b = worst;
    return max_min(e, a, b, size, max);
}

uint64_t fp_maxnm(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return max_min_num(e, a, b, size, true);
}

uint64_t fp_minnm(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return max_min_num(e, a, b, size, false);
}

/* ---- comparisons ---- */

uint64_t fp_cmeq(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return compare(e, a, b, size, true) == FLOAT_EQUAL ? ~(uint64_t)0 : 0;
}

uint64_t fp_cmge(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    enum float_relation r = compare(e, a, b, size, false);

    (void)d;
    return r == FLOAT_EQUAL || r == FLOAT_GREATER ? ~(uint64_t)0 : 0;
}

uint64_t fp_cmgt(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return compare(e, a, b, size, false) == FLOAT_GREATER ? ~(uint64_t)0 : 0;
}

uint64_t fp_cmle(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_cmge(e, d, b, a, size);
}

uint64_t fp_cmlt(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_cmgt(e, d, b, a, size);
}

uint64_t fp_acge(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_cmge(e, d, a & ~SIGN(size), b & ~SIGN(size), size);
}

uint64_t fp_acgt(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    return fp_cmgt(e, d, a & ~SIGN(size), b & ~SIGN(size), size);
}

/* ---- reciprocals and square roots by steps ---- */

uint64_t fp_recps(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    const uint64_t two = ONE(size) + ((uint64_t)1 << FRACTION(size));

    (void)d;
    if (infinity_by_zero(e, a, b, size)) {
        note_flushed(e, a, size);
        note_flushed(e, b, size);
        return two;
    }
    return multiply_add(e, a ^ SIGN(size), b, two, size);
}

static unsigned exponent(uint64_t a, unsigned size)
{
    return (unsigned)(a >> FRACTION(size)) & EXPONENT_MASK(size);
}

/* (3 - a * b) / 2 with one rounding, as 1.5 - (a / 2) * b: the larger factor is halved,
 * exactly; where neither can be, the product is far below the last place anyway. */
uint64_t fp_rsqrts(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    const uint64_t one_and_half = ONE(size) | (uint64_t)1 << (FRACTION(size) - 1);
    uint64_t *larger;
    unsigned exp;

    (void)d;
    if (infinity_by_zero(e, a, b, size)) {
        note_flushed(e, a, size);
        note_flushed(e, b, size);
        return one_and_half;
    }
    a ^= SIGN(size);
    larger = exponent(a, size) >= exponent(b, size) ? &a : &b;
    exp = exponent(*larger, size);
    if (exp > 1 && exp < EXPONENT_MASK(size))
        *larger -= (uint64_t)1 << FRACTION(size);
    return multiply_add(e, a, b, one_and_half, size);
}

/* RecipEstimate(): 256 to 511 in and out. */
static unsigned reciprocal_estimate(unsigned a)
{
    return ((1u << 19) / (2 * a + 1) + 1) / 2;
}

/* RecipSqrtEstimate(): 128 to 511 in, 256 to 511 out. */
static unsigned root_estimate(unsigned a)
{
    unsigned b = 512;

    a = a < 256 ? 2 * a + 1 : ((a & ~1u) + 1) * 2;
    while ((uint64_t)a * (b + 1) * (b + 1) < 1u << 28)
        b++;
    return (b + 1) / 2;
}

uint64_t fp_recpe(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    const uint64_t sign = a & SIGN(size);
    const int top = size == 3 ? 2045 : 253;
    const unsigned fbits = FRACTION(size);
    uint64_t fraction = (a & (((uint64_t)1 << fbits) - 1)) << (52 - fbits);
    int exp = (int)exponent(a, size);
    bool to_inf;

    (void)d, (void)b;
    if (any_nan(a, size))
        return process_nan(e, a, size);
    if (infinite(a, size))
        return sign;
    note_flushed(e, a, size);
    if (as_zero(e, a, size)) {
        e->fs.flags |= FLOAT_DIVZERO;
        return sign | INFINITY_(size);
    }
    if (exp == 0 && fraction < (uint64_t)1 << 50) { /* below 2^-128, 2^-1024: the result overflows */
        to_inf = e->fs.rounding == ROUND_NEAREST_EVEN || e->fs.rounding == (sign ? ROUND_DOWN : ROUND_UP);
        e->fs.flags |= FLOAT_OVERFLOW | FLOAT_INEXACT;
        return sign | (INFINITY_(size) - !to_inf);
    }
    if (e->fs.flush != FLUSH_NEVER && exp >= top) {
        e->fs.flags |= FLOAT_UNDERFLOW;
        return sign;
    }
    if (exp == 0) {
        if (fraction >> 51) {
            fraction <<= 1;
        } else {
            exp = -1;
            fraction <<= 2;
        }
    }
    exp = top - exp;
    fraction = (uint64_t)(reciprocal_estimate(256 | (unsigned)(fraction >> 44 & 255)) & 255) << 44;
    if (exp <= 0) {
        fraction = ((uint64_t)1 << 52 | fraction) >> (1 - exp);
        exp = 0;
    }
    return sign | (uint64_t)exp << fbits | fraction >> (52 - fbits);
}

uint64_t fp_rsqrte(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    const unsigned fbits = FRACTION(size);
    uint64_t fraction = (a & (((uint64_t)1 << fbits) - 1)) << (52 - fbits);
    int exp = (int)exponent(a, size);
    unsigned estimate;

    (void)d, (void)b;
    if (any_nan(a, size))
        return process_nan(e, a, size);
    note_flushed(e, a, size);
    if (as_zero(e, a, size)) {
        e->fs.flags |= FLOAT_DIVZERO;
        return (a & SIGN(size)) | INFINITY_(size);
    }
    if (a & SIGN(size)) {
        e->fs.flags |= FLOAT_INVALID;
        return size == 3 ? f64_default_nan(&e->fs) : f32_default_nan(&e->fs);
    }
    if (infinite(a, size))
        return 0;
    if (exp == 0) {
        for (; !(fraction >> 51 & 1); exp--)
            fraction <<= 1;
        fraction = fraction << 1 & (((uint64_t)1 << 52) - 1);
    }
    estimate = exp & 1 ? root_estimate(128 | (unsigned)(fraction >> 45)) : root_estimate(256 | (unsigned)(fraction >> 44));
    exp = ((size == 3 ? 3068 : 380) - exp) >> 1;
    return (uint64_t)exp << fbits | (uint64_t)(estimate & 255) << (fbits - 8);
}

uint64_t fp_recpx(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    unsigned exp = exponent(a, size);

    (void)d, (void)b;
    if (any_nan(a, size))
        return process_nan(e, a, size);
    note_flushed(e, a, size);
    exp = exp == 0 ? EXPONENT_MASK(size) - 1 : ~exp & EXPONENT_MASK(size);
    return (a & SIGN(size)) | (uint64_t)exp << FRACTION(size);
}

uint64_t simd_urecpe(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)e, (void)d, (void)b, (void)size;
    return a >> 31 & 1 ? (uint64_t)reciprocal_estimate((unsigned)(a >> 23 & 511)) << 23 : 0xffffffff;
}

uint64_t simd_ursqrte(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)e, (void)d, (void)b, (void)size;
    return a >> 30 & 3 ? (uint64_t)root_estimate((unsigned)(a >> 23 & 511)) << 23 : 0xffffffff;
}

/* ---- roundings and conversions ---- */

static enum float_rounding pick_rounding(const struct fp_env *e, uint64_t b)
{
    return (b & 255) == ROUND_FPCR ? (enum float_rounding)e->fs.rounding : (enum float_rounding)(b & 255);
}

uint64_t fp_rintx(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    enum float_rounding r = pick_rounding(e, b);

    (void)d;
    return size == 3 ? f64_round_to_int(a, r, &e->fs) : f32_round_to_int((uint32_t)a, r, &e->fs);
}

uint64_t fp_rint(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    unsigned inexact = e->fs.flags & FLOAT_INEXACT;
    uint64_t r = fp_rintx(e, d, a, b, size);

    e->fs.flags = (uint16_t)((e->fs.flags & ~FLOAT_INEXACT) | inexact);
    return r;
}

uint64_t fp_to_int(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    enum float_rounding r = pick_rounding(e, b);

    (void)d;
    return (uint64_t)(size == 3 ? f64_to_int(a, (int)(b >> 8), 64, r, &e->fs)
                                : f32_to_int((uint32_t)a, (int)(b >> 8), 32, r, &e->fs));
}

uint64_t fp_to_uint(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    enum float_rounding r = pick_rounding(e, b);

    (void)d;
    return size == 3 ? f64_to_uint(a, (int)(b >> 8), 64, r, &e->fs)
                     : f32_to_uint((uint32_t)a, (int)(b >> 8), 32, r, &e->fs);
}

uint64_t fp_from_int(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return size == 3 ? f64_from_int((int64_t)a, (int)(b >> 8), &e->fs) : f32_from_int(sx(a, 2), (int)(b >> 8), &e->fs);
}

uint64_t fp_from_uint(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size)
{
    (void)d;
    return size == 3 ? f64_from_uint(a, (int)(b >> 8), &e->fs) : f32_from_uint(zx(a, 2), (int)(b >> 8), &e->fs);
}

/* FPCR.FZ does not concern half precision. */
uint64_t fp_half_to(struct fp_env *e, uint64_t a, unsigned size)
{
    struct float_status fs = e->fs;
    bool huge = e->ahp && (a & 0x7c00) == 0x7c00; /* alternative format: numbers like others */
    uint64_t r;

    fs.denormals_are_zero = false;
    fs.flags = 0;
    if (huge)
        a &= ~(uint64_t)0x0400;
    r = size == 3 ? f16_to_f64((uint16_t)a, &fs) : f16_to_f32((uint16_t)a, &fs);
    e->fs.flags |= fs.flags & (FLOAT_INVALID | FLOAT_INEXACT);
    return huge ? r + ((uint64_t)1 << FRACTION(size)) : r;
}

static uint64_t to_alternative_half(struct fp_env *e, uint64_t a, unsigned size, struct float_status *fs)
{
    const uint64_t sign = (a & SIGN(size)) ? 0x8000 : 0;
    bool scaled = exponent(a, size) >= exponent(ONE(size), size);
    uint64_t r;

    if (any_nan(a, size)) {
        e->fs.flags |= FLOAT_INVALID;
        return sign;
    }
    if (infinite(a, size)) {
        e->fs.flags |= FLOAT_INVALID;
        return sign | 0x7fff;
    }
    if (scaled) /* half of it fits into the IEEE format's range */
        a -= (uint64_t)1 << FRACTION(size);
    r = size == 3 ? f64_to_f16(a, fs) : f32_to_f16((uint32_t)a, fs);
    if (fs->flags & FLOAT_OVERFLOW) {
        e->fs.flags |= FLOAT_INVALID;
        return sign | 0x7fff;
    }
    e->fs.flags |= fs->flags;
    return scaled ? r + 0x0400 : r;
}

uint64_t fp_to_half(struct fp_env *e, uint64_t a, unsigned size)
{
    struct float_status fs = e->fs;
    uint64_t r;

    fs.flush = FLUSH_NEVER;
    fs.flags = 0;
    if (e->ahp)
        return to_alternative_half(e, a, size, &fs);
    r = size == 3 ? f64_to_f16(a, &fs) : f32_to_f16((uint32_t)a, &fs);
    e->fs.flags |= fs.flags;
    return r;
}

uint64_t fp_expand_imm(uint32_t imm8, unsigned size)
{
    const uint64_t sign = imm8 >> 7, b6 = BIT(imm8, 6), low = imm8 & 0x3f;

    if (size == 3)
        return sign << 63 | (b6 ? (uint64_t)0x3fc : (uint64_t)0x400) << 52 | low << 48;
    return sign << 31 | (b6 ? (uint64_t)0x7c : (uint64_t)0x80) << 23 | low << 19;
}
