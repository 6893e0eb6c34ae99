/*
 * IEEE 754 arithmetic: operations on parts, and the binary16/32/64 formats
 * around them. IEEE 754-2008 clauses 5 to 7; where that leaves a choice, SDM 1
 * chapters 4, 8 and 11 or DDI 0487 A1.5, as struct float_status says.
 *
 * Every operation computes exactly, or with a sticky lowest bit, and rounds
 * once in parts_round(). The functions on parts are inlined into each format's
 * operations so that the format's constants fold.
 */
#include "softfloat/softfloat.h"
#include "softfloat/parts.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

static const struct format f16_format = {15, 11, false};
const struct format f32_format = {127, 24, false};
const struct format f64_format = {1023, 53, false};

/* ---- NaNs ---- */

static bool larger_significand_wins(struct parts a, struct parts b)
{
    if (a.cls != b.cls)
        return a.cls == PART_QNAN;
    if ((a.sig | SIG_QUIET) != (b.sig | SIG_QUIET))
        return (a.sig | SIG_QUIET) > (b.sig | SIG_QUIET);
    return !a.sign;
}

struct parts parts_quiet_nan(struct parts a, struct float_status *s)
{
    if (a.cls >= PART_SNAN)
        raise_flags(s, FLOAT_INVALID);
    if (a.cls == PART_UNSUPPORTED || s->default_nan)
        return parts_default_nan(s);
    a.sig |= SIG_QUIET;
    a.cls = PART_QNAN;
    return a;
}

/* The NaN result of an operation on a and b, at least one of which is a NaN. */
struct parts parts_pick_nan(struct parts a, struct parts b, struct float_status *s)
{
    bool first;

    if (a.cls >= PART_SNAN || b.cls >= PART_SNAN)
        raise_flags(s, FLOAT_INVALID);
    if (a.cls == PART_UNSUPPORTED || b.cls == PART_UNSUPPORTED || s->default_nan)
        return parts_default_nan(s);
    if (!is_nan(b))
        first = true;
    else if (!is_nan(a))
        first = false;
    else if (s->nan_rule == NAN_LARGER)
        first = larger_significand_wins(a, b);
    else if (s->nan_rule == NAN_SIGNALING_FIRST)
        first = a.cls == PART_SNAN || b.cls != PART_SNAN;
    else
        first = true;
    return parts_quiet_nan(first ? a : b, s);
}

/* ---- operations on parts ---- */

INLINE struct parts add_magnitudes(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    uint64_t hi = b.sig, lo = 0, sum;

    shift_right_jam(&hi, &lo, (unsigned)(a.exp - b.exp));
    sum = a.sig + hi;
    if (sum >= a.sig)
        return parts_round(a.sign, a.exp, sum, lo, f, s);
    lo = sum << 63 | lo >> 1 | (lo & 1);
    return parts_round(a.sign, a.exp + 1, SIG_TOP | sum >> 1, lo, f, s);
}

/* |a| > |b| */
INLINE struct parts subtract_magnitudes(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    uint64_t hi = b.sig, lo = 0;
    u128 diff;
    int n;

    shift_right_jam(&hi, &lo, (unsigned)(a.exp - b.exp));
    diff = ((u128)a.sig << 64) - ((u128)hi << 64 | lo);
    hi = (uint64_t)(diff >> 64);
    lo = (uint64_t)diff;
    n = hi ? __builtin_clzll(hi) : 64 + __builtin_clzll(lo);
    diff <<= n;
    return parts_round(a.sign, a.exp - n, (uint64_t)(diff >> 64), (uint64_t)diff, f, s);
}

INLINE struct parts add_core(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    if (unlikely(is_nan(a) || is_nan(b)))
        return parts_pick_nan(a, b, s);
    if (unlikely(a.cls == PART_INF && b.cls == PART_INF && a.sign != b.sign))
        return parts_invalid(s);
    raise_denormal(s, a.denormal | b.denormal);
    if (likely(a.cls == PART_NUMBER && b.cls == PART_NUMBER)) {
        bool a_larger = a.exp > b.exp || (a.exp == b.exp && a.sig >= b.sig);
        if (a.sign == b.sign)
            return a_larger ? add_magnitudes(a, b, f, s) : add_magnitudes(b, a, f, s);
        if (a.exp == b.exp && a.sig == b.sig)
            return parts_zero(s->rounding == ROUND_DOWN);
        return a_larger ? subtract_magnitudes(a, b, f, s) : subtract_magnitudes(b, a, f, s);
    }
    if (a.cls == PART_INF)
        return a;
    if (b.cls == PART_INF)
        return b;
    if (a.cls == PART_ZERO && b.cls == PART_ZERO)
        return a.sign == b.sign ? a : parts_zero(s->rounding == ROUND_DOWN);
    if (a.cls == PART_ZERO)
        a = b;
    return parts_round(a.sign, a.exp, a.sig, 0, f, s);
}

INLINE struct parts mul_core(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    bool sign = a.sign ^ b.sign;
    int32_t exp;
    u128 product;

    if (unlikely(is_nan(a) || is_nan(b)))
        return parts_pick_nan(a, b, s);
    if (unlikely((a.cls == PART_INF && b.cls == PART_ZERO) || (a.cls == PART_ZERO && b.cls == PART_INF)))
        return parts_invalid(s);
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls == PART_INF || b.cls == PART_INF)
        return parts_inf(sign);
    if (a.cls == PART_ZERO || b.cls == PART_ZERO)
        return parts_zero(sign);
    product = (u128)a.sig * b.sig;
    exp = a.exp + b.exp + 1;
    if (!(product >> 127)) {
        product <<= 1;
        exp--;
    }
    return parts_round(sign, exp, (uint64_t)(product >> 64), (uint64_t)product, f, s);
}

INLINE struct parts div_core(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    bool sign = a.sign ^ b.sign, less;
    uint64_t quotient, rest, lo;
    u128 dividend;

    if (unlikely(is_nan(a) || is_nan(b)))
        return parts_pick_nan(a, b, s);
    if (unlikely((a.cls == PART_INF && b.cls == PART_INF) || (a.cls == PART_ZERO && b.cls == PART_ZERO)))
        return parts_invalid(s);
    if (unlikely(b.cls == PART_ZERO && a.cls != PART_INF)) {
        raise_flags(s, FLOAT_DIVZERO);
        return parts_inf(sign);
    }
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls == PART_INF)
        return parts_inf(sign);
    if (a.cls == PART_ZERO || b.cls == PART_INF)
        return parts_zero(sign);
    less = a.sig < b.sig;
    dividend = (u128)a.sig << (63 + less);
    quotient = (uint64_t)(dividend / b.sig);
    rest = (uint64_t)(dividend - (u128)quotient * b.sig);
    /* The next bit and whether anything follows it. */
    lo = rest == 0 ? 0 : rest > b.sig - rest ? SIG_TOP | 1 : rest == b.sig - rest ? SIG_TOP : 1;
    return parts_round(sign, a.exp - b.exp - less, quotient, lo, f, s);
}

/* Square root of n >= 2^62, rounded down. */
static uint32_t root64(uint64_t n, uint64_t *rest)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;

    for (; bit; bit >>= 2) {
        if (n >= root + bit) {
            n -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    *rest = n;
    return (uint32_t)root;
}

/* Square root of n >= 2^126, rounded down: one division step on the root of the upper half. */
static uint64_t root128(u128 n, u128 *rest)
{
    uint64_t high_rest;
    uint64_t high = root64((uint64_t)(n >> 64), &high_rest);
    u128 dividend = (u128)high_rest << 32 | ((uint64_t)n >> 32);
    u128 q = dividend / (2 * high);
    u128 root = ((u128)high << 32) + q;

    while (root >> 64 || root * root > n)
        root--;
    *rest = n - root * root;
    return (uint64_t)root;
}

INLINE struct parts sqrt_core(struct parts a, struct format f, struct float_status *s)
{
    bool odd = a.exp & 1;
    uint64_t root, lo;
    u128 rest;

    if (unlikely(is_nan(a)))
        return parts_quiet_nan(a, s);
    if (a.cls == PART_ZERO)
        return a;
    if (unlikely(a.sign))
        return parts_invalid(s);
    raise_denormal(s, a.denormal);
    if (a.cls == PART_INF)
        return a;
    root = root128((u128)a.sig << (63 + odd), &rest);
    lo = rest > root ? SIG_TOP | 1 : rest != 0;
    return parts_round(false, (a.exp - odd) / 2, root, lo, f, s);
}

/* a * b + c with one rounding. Precise for formats of at most 53 bits. */
INLINE struct parts fma_core(struct parts a, struct parts b, struct parts c, struct format f, struct float_status *s)
{
    bool sign = a.sign ^ b.sign;
    bool inf_by_zero = (a.cls == PART_INF && b.cls == PART_ZERO) || (a.cls == PART_ZERO && b.cls == PART_INF);
    int32_t exp, n;
    u128 product, addend, sum;

    if (unlikely(is_nan(a) || is_nan(b) || is_nan(c))) {
        if (s->nan_rule == NAN_SIGNALING_FIRST) {
            if (inf_by_zero && c.cls == PART_QNAN)
                return parts_invalid(s);
            if (c.cls == PART_SNAN || (is_nan(c) && a.cls != PART_SNAN && b.cls != PART_SNAN))
                return parts_quiet_nan(c, s);
        }
        if (c.cls >= PART_SNAN)
            raise_flags(s, FLOAT_INVALID);
        return is_nan(a) || is_nan(b) ? parts_pick_nan(a, b, s) : parts_quiet_nan(c, s);
    }
    if (unlikely(inf_by_zero))
        return parts_invalid(s);
    if (a.cls == PART_INF || b.cls == PART_INF) {
        if (c.cls == PART_INF && c.sign != sign)
            return parts_invalid(s);
        raise_denormal(s, a.denormal | b.denormal | c.denormal);
        return parts_inf(sign);
    }
    if (c.cls == PART_INF) {
        raise_denormal(s, a.denormal | b.denormal);
        return c;
    }
    raise_denormal(s, a.denormal | b.denormal | c.denormal);
    if (a.cls == PART_ZERO || b.cls == PART_ZERO)
        return add_core(parts_zero(sign), c, f, s);
    product = (u128)a.sig * b.sig;
    exp = a.exp + b.exp + 1;
    if (!(product >> 127)) {
        product <<= 1;
        exp--;
    }
    if (c.cls == PART_ZERO)
        return parts_round(sign, exp, (uint64_t)(product >> 64), (uint64_t)product, f, s);
    addend = (u128)c.sig << 64;
    if (c.exp > exp || (c.exp == exp && addend > product)) {
        u128 t = product;
        int32_t e = exp;
        product = addend, addend = t;
        exp = c.exp, c.exp = e;
        c.sign ^= sign, sign ^= c.sign, c.sign ^= sign;
    }
    n = exp - c.exp;
    if (n > 0)
        addend = n < 128 ? addend >> n | ((addend << (128 - n)) != 0) : 1;
    if (sign == c.sign) {
        sum = product + addend;
        if (sum < product) {
            sum = sum >> 1 | (sum & 1) | (u128)1 << 127;
            exp++;
        }
    } else {
        sum = product - addend;
        if (sum == 0)
            return parts_zero(s->rounding == ROUND_DOWN);
        n = sum >> 64 ? __builtin_clzll((uint64_t)(sum >> 64)) : 64 + __builtin_clzll((uint64_t)sum);
        sum <<= n;
        exp -= n;
    }
    return parts_round(sign, exp, (uint64_t)(sum >> 64), (uint64_t)sum, f, s);
}

struct parts parts_round_to_int(struct parts a, enum float_rounding rounding, struct format f, struct float_status *s)
{
    struct rounded r;
    uint64_t hi = a.sig, lo = 0;

    (void)f;
    if (is_nan(a))
        return parts_quiet_nan(a, s);
    if (a.cls != PART_NUMBER)
        return a;
    raise_denormal(s, a.denormal);
    if (a.exp >= 63)
        return a;
    /* As a 64-bit integer in hi with its fraction in lo. */
    shift_right_jam(&hi, &lo, (unsigned)(63 - a.exp));
    r = round_bits(hi, lo, 0, rounding, a.sign);
    raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
    if (r.sig == 0)
        return parts_zero(a.sign);
    a.exp = 63 - __builtin_clzll(r.sig);
    a.sig = r.sig << (63 - a.exp);
    return a;
}

struct parts parts_convert(struct parts a, struct format f, struct float_status *s)
{
    if (is_nan(a))
        return parts_quiet_nan(a, s);
    if (a.cls != PART_NUMBER)
        return a;
    return parts_round(a.sign, a.exp, a.sig, 0, f, s);
}

enum float_relation parts_compare(struct parts a, struct parts b, bool quiet, struct float_status *s)
{
    bool greater;

    if (is_nan(a) || is_nan(b)) {
        if (!quiet || a.cls >= PART_SNAN || b.cls >= PART_SNAN)
            raise_flags(s, FLOAT_INVALID);
        return FLOAT_UNORDERED;
    }
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls == PART_ZERO && b.cls == PART_ZERO)
        return FLOAT_EQUAL;
    if (a.cls == PART_ZERO)
        return b.sign ? FLOAT_GREATER : FLOAT_LESS;
    if (b.cls == PART_ZERO || a.sign != b.sign)
        return a.sign ? FLOAT_LESS : FLOAT_GREATER;
    if (a.cls == PART_INF || b.cls == PART_INF) {
        if (a.cls == b.cls)
            return FLOAT_EQUAL;
        greater = a.cls == PART_INF;
    } else {
        if (a.exp == b.exp && a.sig == b.sig)
            return FLOAT_EQUAL;
        greater = a.exp > b.exp || (a.exp == b.exp && a.sig > b.sig);
    }
    return greater == !a.sign ? FLOAT_GREATER : FLOAT_LESS;
}

/* The magnitude of a * 2^scale as an integer; false if 64 bits cannot hold it. */
static bool integer_magnitude(struct parts a, int scale, enum float_rounding rounding, struct rounded *r)
{
    uint64_t hi = a.sig, lo = 0;
    int32_t exp = a.exp + scale;

    if (exp > 63)
        return false;
    shift_right_jam(&hi, &lo, (unsigned)(63 - exp));
    *r = round_bits(hi, lo, 0, rounding, a.sign);
    return !r->carry;
}

int64_t parts_to_int(struct parts a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s)
{
    const uint64_t limit = (uint64_t)1 << (bits - 1); /* magnitude of the least integer */
    const int64_t least = -(int64_t)(limit - 1) - 1;
    struct rounded r = {0, false, false, false};

    if (a.cls == PART_ZERO)
        return 0;
    if (is_nan(a)) {
        raise_flags(s, FLOAT_INVALID);
        return s->saturate ? 0 : least;
    }
    if (a.cls == PART_INF || !integer_magnitude(a, scale, rounding, &r) || r.sig > limit ||
        (r.sig == limit && !a.sign)) {
        raise_flags(s, FLOAT_INVALID);
        return s->saturate && !a.sign ? (int64_t)(limit - 1) : least;
    }
    raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
    return a.sign ? (int64_t)(0 - r.sig) : (int64_t)r.sig;
}

static uint64_t parts_to_uint(struct parts a, int scale, unsigned bits, enum float_rounding rounding,
                              struct float_status *s)
{
    const uint64_t greatest = ~(uint64_t)0 >> (64 - bits);
    struct rounded r = {0, false, false, false};

    if (a.cls == PART_ZERO)
        return 0;
    if (is_nan(a)) {
        raise_flags(s, FLOAT_INVALID);
        return s->saturate ? 0 : greatest;
    }
    if (a.cls == PART_INF || !integer_magnitude(a, scale, rounding, &r) || r.sig > greatest || (a.sign && r.sig)) {
        raise_flags(s, FLOAT_INVALID);
        return s->saturate && a.sign ? 0 : greatest;
    }
    raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
    return r.sig;
}

static struct parts from_magnitude(bool sign, uint64_t v, int scale, struct format f, struct float_status *s)
{
    int n;

    if (v == 0)
        return parts_zero(false);
    n = __builtin_clzll(v);
    return parts_round(sign, 63 - n - scale, v << n, 0, f, s);
}

struct parts parts_from_int(int64_t v, int scale, struct format f, struct float_status *s)
{
    return from_magnitude(v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, scale, f, s);
}

struct parts parts_add(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    return add_core(a, b, f, s);
}

struct parts parts_mul(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    return mul_core(a, b, f, s);
}

struct parts parts_div(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    return div_core(a, b, f, s);
}

struct parts parts_sqrt(struct parts a, struct format f, struct float_status *s)
{
    return sqrt_core(a, f, s);
}

/* IEEE remainder: a - b * n, n the integer nearest a / b, ties to even. Exact. */
static struct parts rem_core(struct parts a, struct parts b, struct format f, struct float_status *s)
{
    uint64_t rest, odd = 0;
    int32_t n;

    if (is_nan(a) || is_nan(b))
        return parts_pick_nan(a, b, s);
    if (a.cls == PART_INF || b.cls == PART_ZERO)
        return parts_invalid(s);
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls == PART_ZERO)
        return a;
    if (b.cls == PART_INF || a.exp < b.exp - 1)
        return parts_round(a.sign, a.exp, a.sig, 0, f, s);
    if (a.exp < b.exp) { /* |a| < |b|: the quotient is 0 or 1 */
        if (a.sig <= b.sig)
            return parts_round(a.sign, a.exp, a.sig, 0, f, s);
        /* |b| - |a| with the other sign; below half of b's unit, so exact */
        return parts_round(!a.sign, b.exp - 1 - __builtin_clzll(2 * b.sig - a.sig),
                           (2 * b.sig - a.sig) << __builtin_clzll(2 * b.sig - a.sig), 0, f, s);
    }
    rest = a.sig >= b.sig ? a.sig - b.sig : a.sig;
    odd = a.sig >= b.sig;
    for (n = a.exp - b.exp; n > 0; n--) {
        bool carry = rest >> 63;
        rest <<= 1;
        odd = carry || rest >= b.sig;
        if (odd)
            rest -= b.sig;
    }
    if (rest > b.sig - rest || (rest == b.sig - rest && odd)) {
        rest = b.sig - rest;
        a.sign = !a.sign;
    }
    if (rest == 0)
        return parts_zero(a.sign);
    n = __builtin_clzll(rest);
    return parts_round(a.sign, b.exp - n, rest << n, 0, f, s);
}

/* ---- encodings ---- */

INLINE struct parts unpack(uint64_t a, unsigned ebits, unsigned fbits, struct float_status *s)
{
    const int32_t emax = (1 << ebits) - 1, bias = emax >> 1;
    int32_t e = (int32_t)(a >> fbits) & emax;
    uint64_t frac = a & (((uint64_t)1 << fbits) - 1);
    struct parts p = {.sign = (a >> (ebits + fbits)) & 1};

    p.sig = SIG_TOP | frac << (63 - fbits);
    p.exp = e - bias;
    if (likely(e != 0 && e != emax)) {
        p.cls = PART_NUMBER;
    } else if (e == emax) {
        p.cls = frac == 0 ? PART_INF : p.sig & SIG_QUIET ? PART_QNAN : PART_SNAN;
    } else if (frac == 0) {
        p.cls = PART_ZERO;
    } else if (s->denormals_are_zero) {
        raise_flags(s, FLOAT_FLUSHED);
        p.cls = PART_ZERO;
    } else {
        int n = __builtin_clzll(frac << (63 - fbits));
        p.sig = frac << (63 - fbits) << n;
        p.exp = 1 - bias - n;
        p.cls = PART_NUMBER;
        p.denormal = true;
    }
    return p;
}

INLINE uint64_t pack(struct parts p, unsigned ebits, unsigned fbits)
{
    const int32_t emax = (1 << ebits) - 1, bias = emax >> 1;
    const uint64_t frac = (p.sig & ~SIG_TOP) >> (63 - fbits);
    const uint64_t sign = (uint64_t)p.sign << (ebits + fbits);

    switch (p.cls) {
    case PART_ZERO:
        return sign;
    case PART_NUMBER: /* for a denormal the exponent is that of the field's zero */
        return sign | (uint64_t)(p.exp + bias) << fbits | frac;
    case PART_INF:
        return sign | (uint64_t)emax << fbits;
    default:
        return sign | (uint64_t)emax << fbits | frac;
    }
}

struct parts f32_unpack(uint32_t a, struct float_status *s)
{
    return unpack(a, 8, 23, s);
}

struct parts f64_unpack(uint64_t a, struct float_status *s)
{
    return unpack(a, 11, 52, s);
}

uint32_t f32_pack(struct parts a)
{
    return (uint32_t)pack(a, 8, 23);
}

uint64_t f64_pack(struct parts a)
{
    return pack(a, 11, 52);
}

/* ---- the formats ---- */

/* ---- the host's instructions, where they give the same bits ---- */
/*
 * Rounding to nearest, numbers whose exponents are neither the least nor the greatest, and
 * zeros, have one correct result whatever the machine, if the result too is such a number with one
 * more exponent to spare (so that nothing could be tiny, before or after rounding) or is a zero for
 * a reason that is sure. It raises at most inexact: whether it does is not known, so the caller must
 * have it raised already. An infinite result of an infinite operand is exact, and raises nothing.
 * The host's control register is as the program began: nearest, no flushing. The barrier keeps the
 * compiler from contracting or computing ahead of time. */

#if defined(__x86_64__)
#define HOST_ARITHMETIC(f, T, H, EB, FB) \
    INLINE H f##_host(T a) \
    { \
        H h; \
        memcpy(&h, &a, sizeof h); \
        return h; \
    } \
    INLINE T f##_bits(H h) \
    { \
        T a; \
        __asm__("" : "+x"(h)); \
        memcpy(&a, &h, sizeof a); \
        return a; \
    } \
    INLINE unsigned f##_exponent(T a) \
    { \
        return (unsigned)(a >> FB) & ((1u << EB) - 1); \
    } \
    INLINE bool f##_zero(T a) \
    { \
        return !(T)(a << 1); \
    } \
    /* a number that is not denormal, or a zero */ \
    INLINE bool f##_plain(T a) \
    { \
        return f##_exponent(a) - 1 < (1u << EB) - 2 || f##_zero(a); \
    } \
    /* what an operand may be, if the result is looked at: all but denormal */ \
    INLINE bool f##_usable(T a) \
    { \
        return f##_exponent(a) || f##_zero(a); \
    } \
    INLINE bool f##_infinite(T a) \
    { \
        return (T)(a << 1) == (T)((((T)1 << EB) - 1) << (FB + 1)); \
    } \
    INLINE bool f##_safe(T r) \
    { \
        return f##_exponent(r) - 2 < (1u << EB) - 3; \
    } \
    INLINE bool f##_fast_add(T a, T b, T *r) \
    { \
        if (!f##_usable(a) || !f##_usable(b)) \
            return false; \
        *r = f##_bits(f##_host(a) + f##_host(b)); \
        return f##_safe(*r) || f##_zero(*r) || (f##_infinite(*r) && (f##_infinite(a) || f##_infinite(b))); \
    } \
    INLINE bool f##_fast_mul(T a, T b, T *r) \
    { \
        if (!f##_usable(a) || !f##_usable(b)) \
            return false; \
        *r = f##_bits(f##_host(a) * f##_host(b)); \
        return f##_safe(*r) || (f##_zero(*r) && (f##_zero(a) || f##_zero(b))) || \
               (f##_infinite(*r) && (f##_infinite(a) || f##_infinite(b))); \
    } \
    INLINE bool f##_fast_div(T a, T b, T *r) \
    { \
        if (!f##_plain(a) || !f##_plain(b) || f##_zero(b)) \
            return false; \
        *r = f##_bits(f##_host(a) / f##_host(b)); \
        return f##_safe(*r) || f##_zero(a); /* b is a number */ \
    } \
    INLINE bool f##_fast_compare(T a, T b, enum float_relation *r) \
    { \
        H x = f##_host(a), y = f##_host(b); \
        if (!f##_plain(a) || !f##_plain(b)) \
            return false; \
        *r = x < y ? FLOAT_LESS : x > y ? FLOAT_GREATER : FLOAT_EQUAL; \
        return true; \
    }
HOST_ARITHMETIC(f32, uint32_t, float, 8, 23)
HOST_ARITHMETIC(f64, uint64_t, double, 11, 52)

__attribute__((target("fma"))) static uint64_t f64_fma_host(uint64_t a, uint64_t b, uint64_t c)
{
    return f64_bits(__builtin_fma(f64_host(a), f64_host(b), f64_host(c)));
}

__attribute__((target("fma"))) static uint32_t f32_fma_host(uint32_t a, uint32_t b, uint32_t c)
{
    return f32_bits(__builtin_fmaf(f32_host(a), f32_host(b), f32_host(c)));
}

#define HOST_FMA(f, T) \
    INLINE bool f##_fast_fma(T a, T b, T c, T *r) \
    { \
        if (!f##_usable(a) || !f##_usable(b) || !f##_usable(c) || !__builtin_cpu_supports("fma")) \
            return false; \
        *r = f##_fma_host(a, b, c); \
        return f##_safe(*r) || (f##_infinite(*r) && (f##_infinite(a) || f##_infinite(b) || f##_infinite(c))); \
    }
HOST_FMA(f32, uint32_t)
HOST_FMA(f64, uint64_t)

#define FAST(s) ((s)->rounding == ROUND_NEAREST_EVEN && ((s)->flags & FLOAT_INEXACT))
#else
#define NO_HOST(f, T) \
    INLINE bool f##_fast_add(T a, T b, T *r) { (void)a, (void)b, (void)r; return false; } \
    INLINE bool f##_fast_mul(T a, T b, T *r) { (void)a, (void)b, (void)r; return false; } \
    INLINE bool f##_fast_div(T a, T b, T *r) { (void)a, (void)b, (void)r; return false; } \
    INLINE bool f##_fast_fma(T a, T b, T c, T *r) { (void)a, (void)b, (void)c, (void)r; return false; } \
    INLINE bool f##_fast_compare(T a, T b, enum float_relation *r) { (void)a, (void)b, (void)r; return false; }
NO_HOST(f32, uint32_t)
NO_HOST(f64, uint64_t)
#define FAST(s) false
#endif

/* Half precision has no instructions there. */
#define f16_fast_add(a, b, r) (*(r) = 0, false)
#define f16_fast_mul(a, b, r) (*(r) = 0, false)
#define f16_fast_div(a, b, r) (*(r) = 0, false)
#define f16_fast_fma(a, b, c, r) (*(r) = 0, false)
#define f16_fast_compare(a, b, r) (*(r) = FLOAT_EQUAL, false)

#define DEFINE_FORMAT(f, T, EB, FB) \
    T f##_add(T a, T b, struct float_status *s) \
    { \
        T r; \
        if (FAST(s) && likely(f##_fast_add(a, b, &r))) \
            return r; \
        return (T)pack(add_core(unpack(a, EB, FB, s), unpack(b, EB, FB, s), f##_format, s), EB, FB); \
    } \
    T f##_sub(T a, T b, struct float_status *s) \
    { \
        T r; \
        struct parts pb; \
        if (FAST(s) && likely(f##_fast_add(a, (T)(b ^ (T)1 << (EB + FB)), &r))) \
            return r; \
        pb = unpack(b, EB, FB, s); \
        pb.sign ^= !is_nan(pb); \
        return (T)pack(add_core(unpack(a, EB, FB, s), pb, f##_format, s), EB, FB); \
    } \
    T f##_mul(T a, T b, struct float_status *s) \
    { \
        T r; \
        if (FAST(s) && likely(f##_fast_mul(a, b, &r))) \
            return r; \
        return (T)pack(mul_core(unpack(a, EB, FB, s), unpack(b, EB, FB, s), f##_format, s), EB, FB); \
    } \
    T f##_div(T a, T b, struct float_status *s) \
    { \
        T r; \
        if (FAST(s) && likely(f##_fast_div(a, b, &r))) \
            return r; \
        return (T)pack(div_core(unpack(a, EB, FB, s), unpack(b, EB, FB, s), f##_format, s), EB, FB); \
    } \
    T f##_rem(T a, T b, struct float_status *s) \
    { \
        return (T)pack(rem_core(unpack(a, EB, FB, s), unpack(b, EB, FB, s), f##_format, s), EB, FB); \
    } \
    T f##_sqrt(T a, struct float_status *s) \
    { \
        return (T)pack(sqrt_core(unpack(a, EB, FB, s), f##_format, s), EB, FB); \
    } \
    T f##_fma(T a, T b, T c, struct float_status *s) \
    { \
        T r; \
        if (FAST(s) && likely(f##_fast_fma(a, b, c, &r))) \
            return r; \
        return (T)pack(fma_core(unpack(a, EB, FB, s), unpack(b, EB, FB, s), unpack(c, EB, FB, s), f##_format, s), \
                       EB, FB); \
    } \
    T f##_round_to_int(T a, enum float_rounding rounding, struct float_status *s) \
    { \
        struct parts p = unpack(a, EB, FB, s); \
        p = parts_round_to_int(p, rounding, f##_format, s); \
        return (T)pack(p, EB, FB); \
    } \
    enum float_relation f##_compare(T a, T b, bool quiet, struct float_status *s) \
    { \
        enum float_relation r; \
        if (likely(f##_fast_compare(a, b, &r))) \
            return r; \
        return parts_compare(unpack(a, EB, FB, s), unpack(b, EB, FB, s), quiet, s); \
    } \
    int64_t f##_to_int(T a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s) \
    { \
        return parts_to_int(unpack(a, EB, FB, s), scale, bits, rounding, s); \
    } \
    uint64_t f##_to_uint(T a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s) \
    { \
        return parts_to_uint(unpack(a, EB, FB, s), scale, bits, rounding, s); \
    } \
    T f##_from_int(int64_t v, int scale, struct float_status *s) \
    { \
        return (T)pack(parts_from_int(v, scale, f##_format, s), EB, FB); \
    } \
    T f##_from_uint(uint64_t v, int scale, struct float_status *s) \
    { \
        return (T)pack(from_magnitude(false, v, scale, f##_format, s), EB, FB); \
    } \
    bool f##_is_nan(T a) \
    { \
        return (a & (((uint64_t)1 << (EB + FB)) - 1)) > (((uint64_t)1 << EB) - 1) << FB; \
    } \
    bool f##_is_snan(T a) \
    { \
        return f##_is_nan(a) && !(a & (uint64_t)1 << (FB - 1)); \
    } \
    T f##_default_nan(const struct float_status *s) \
    { \
        return (T)pack(parts_default_nan(s), EB, FB); \
    }

DEFINE_FORMAT(f16, uint16_t, 5, 10)
DEFINE_FORMAT(f32, uint32_t, 8, 23)
DEFINE_FORMAT(f64, uint64_t, 11, 52)

#define DEFINE_CONVERSION(from, TF, EF, FF, to, TT, ET, FT) \
    TT from##_to_##to(TF a, struct float_status *s) \
    { \
        struct parts p = unpack(a, EF, FF, s); \
        raise_denormal(s, p.denormal); \
        return (TT)pack(parts_convert(p, to##_format, s), ET, FT); \
    }

DEFINE_CONVERSION(f16, uint16_t, 5, 10, f32, uint32_t, 8, 23)
DEFINE_CONVERSION(f16, uint16_t, 5, 10, f64, uint64_t, 11, 52)
DEFINE_CONVERSION(f32, uint32_t, 8, 23, f16, uint16_t, 5, 10)
DEFINE_CONVERSION(f32, uint32_t, 8, 23, f64, uint64_t, 11, 52)
DEFINE_CONVERSION(f64, uint64_t, 11, 52, f16, uint16_t, 5, 10)
DEFINE_CONVERSION(f64, uint64_t, 11, 52, f32, uint32_t, 8, 23)
