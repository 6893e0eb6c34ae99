/*
 * The 80-bit format: encodings, basic arithmetic, remainder, scaling, extraction.
 * SDM 1, chapter 8; SDM 2, the F* instructions. The transcendental functions
 * are in transcendental.c.
 */
#include "softfloat/floatx80.h"
#include "softfloat/x80parts.h"

static struct format x80_format(const struct float_status *s)
{
    unsigned precision = s->precision == 24 || s->precision == 53 ? s->precision : 64;

    return (struct format){X80_BIAS, precision, true};
}

struct parts fx80_unpack(struct floatx80 a)
{
    struct parts p = {.sig = a.sig, .exp = (a.se & 0x7fff) - X80_BIAS, .sign = a.se >> 15};
    unsigned e = a.se & 0x7fff;

    if (likely(e != 0 && e != 0x7fff)) {
        p.cls = a.sig & SIG_TOP ? PART_NUMBER : PART_UNSUPPORTED;
    } else if (e != 0) {
        if (!(a.sig & SIG_TOP))
            p.cls = PART_UNSUPPORTED;
        else if (!(a.sig << 1))
            p.cls = PART_INF;
        else
            p.cls = a.sig & SIG_QUIET ? PART_QNAN : PART_SNAN;
    } else if (a.sig == 0) {
        p.cls = PART_ZERO;
    } else {
        int n = __builtin_clzll(a.sig);
        p.sig = a.sig << n;
        p.exp = 1 - X80_BIAS - n;
        p.cls = PART_NUMBER;
        p.denormal = true;
    }
    return p;
}

struct floatx80 fx80_pack(struct parts p)
{
    uint16_t sign = (uint16_t)(p.sign << 15);

    switch (p.cls) {
    case PART_ZERO:
        return (struct floatx80){0, sign};
    case PART_NUMBER: /* for a denormal the exponent is that of the field's zero */
        return (struct floatx80){p.sig, (uint16_t)(sign | (p.exp + X80_BIAS))};
    case PART_INF:
        return (struct floatx80){SIG_TOP, sign | 0x7fff};
    default:
        return (struct floatx80){p.sig, sign | 0x7fff};
    }
}

enum floatx80_class fx80_classify(struct floatx80 a)
{
    struct parts p = fx80_unpack(a);

    switch (p.cls) {
    case PART_ZERO:        return X80_ZERO;
    case PART_NUMBER:      return p.denormal ? X80_DENORMAL : X80_NORMAL;
    case PART_INF:         return X80_INFINITY;
    case PART_UNSUPPORTED: return X80_UNSUPPORTED;
    default:               return X80_NAN;
    }
}

struct floatx80 fx80_default_nan(void)
{
    return (struct floatx80){SIG_TOP | SIG_QUIET, 0xffff};
}

struct floatx80 fx80_add(struct floatx80 a, struct floatx80 b, struct float_status *s)
{
    return fx80_pack(parts_add(fx80_unpack(a), fx80_unpack(b), x80_format(s), s));
}

struct floatx80 fx80_sub(struct floatx80 a, struct floatx80 b, struct float_status *s)
{
    struct parts pb = fx80_unpack(b);

    pb.sign ^= !is_nan(pb);
    return fx80_pack(parts_add(fx80_unpack(a), pb, x80_format(s), s));
}

struct floatx80 fx80_mul(struct floatx80 a, struct floatx80 b, struct float_status *s)
{
    return fx80_pack(parts_mul(fx80_unpack(a), fx80_unpack(b), x80_format(s), s));
}

struct floatx80 fx80_div(struct floatx80 a, struct floatx80 b, struct float_status *s)
{
    return fx80_pack(parts_div(fx80_unpack(a), fx80_unpack(b), x80_format(s), s));
}

struct floatx80 fx80_sqrt(struct floatx80 a, struct float_status *s)
{
    return fx80_pack(parts_sqrt(fx80_unpack(a), x80_format(s), s));
}

struct floatx80 fx80_round_to_int(struct floatx80 a, struct float_status *s)
{
    return fx80_pack(parts_round_to_int(fx80_unpack(a), (enum float_rounding)s->rounding, X80_FULL, s));
}

enum float_relation fx80_compare(struct floatx80 a, struct floatx80 b, bool quiet, struct float_status *s)
{
    return parts_compare(fx80_unpack(a), fx80_unpack(b), quiet, s);
}

int64_t fx80_to_int(struct floatx80 a, unsigned bits, enum float_rounding rounding, struct float_status *s)
{
    return parts_to_int(fx80_unpack(a), 0, bits, rounding, s);
}

struct floatx80 fx80_from_int(int64_t v)
{
    struct float_status none = {0};

    return fx80_pack(parts_from_int(v, 0, X80_FULL, &none));
}

uint32_t fx80_to_f32(struct floatx80 a, struct float_status *s)
{
    return f32_pack(parts_convert(fx80_unpack(a), f32_format, s));
}

uint64_t fx80_to_f64(struct floatx80 a, struct float_status *s)
{
    return f64_pack(parts_convert(fx80_unpack(a), f64_format, s));
}

static struct floatx80 widen(struct parts p, struct float_status *s)
{
    raise_denormal(s, p.denormal);
    if (is_nan(p))
        p = parts_quiet_nan(p, s);
    return fx80_pack(p);
}

struct floatx80 fx80_from_f32(uint32_t a, struct float_status *s)
{
    return widen(f32_unpack(a, s), s);
}

struct floatx80 fx80_from_f64(uint64_t a, struct float_status *s)
{
    return widen(f64_unpack(a, s), s);
}

struct floatx80 fx80_operand_f32(uint32_t a, bool *denormal)
{
    struct float_status none = {0};
    struct parts p = f32_unpack(a, &none);

    *denormal = p.denormal;
    return fx80_pack(p);
}

struct floatx80 fx80_operand_f64(uint64_t a, bool *denormal)
{
    struct float_status none = {0};
    struct parts p = f64_unpack(a, &none);

    *denormal = p.denormal;
    return fx80_pack(p);
}

/* rest = rest * 2^n mod b, with the quotient's bits shifted into *q. rest < b. */
static uint64_t reduce(uint64_t rest, uint64_t b, int n, uint64_t *q)
{
    for (; n > 0; n--) {
        bool carry = rest >> 63, bit;
        rest <<= 1;
        bit = carry || rest >= b;
        if (bit)
            rest -= b;
        *q = *q << 1 | bit;
    }
    return rest;
}

struct floatx80 fx80_rem(struct floatx80 fa, struct floatx80 fb, bool nearest, uint64_t *quotient,
                         bool *partial, struct float_status *s)
{
    struct parts a = fx80_unpack(fa), b = fx80_unpack(fb);
    uint64_t rest, q = 0;
    int32_t distance = a.exp - b.exp, n;

    *quotient = 0;
    *partial = false;
    if (is_nan(a) || is_nan(b))
        return fx80_pack(parts_pick_nan(a, b, s));
    if (a.cls == PART_INF || b.cls == PART_ZERO)
        return fx80_pack(parts_invalid(s));
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls == PART_ZERO)
        return fx80_pack(a);
    if (b.cls == PART_INF || distance < -1 || (distance < 0 && (!nearest || a.sig <= b.sig)))
        return fx80_pack(parts_round(a.sign, a.exp, a.sig, 0, X80_FULL, s));
    if (distance < 0) { /* b/2 < |a| < b: to nearest, the quotient is 1 */
        rest = 2 * b.sig - a.sig;
        b.exp--;
        a.sign = !a.sign;
        q = 1;
    } else {
        *partial = distance >= 64;
        n = *partial ? 32 + (distance & 31) : distance;
        q = a.sig >= b.sig;
        rest = reduce(q ? a.sig - b.sig : a.sig, b.sig, n, &q);
        b.exp += distance - n;
        if (nearest && !*partial && (rest > b.sig - rest || (rest == b.sig - rest && (q & 1)))) {
            rest = b.sig - rest;
            a.sign = !a.sign;
            q++;
        }
    }
    *quotient = *partial ? 0 : q;
    if (rest == 0)
        return fx80_pack(parts_zero(a.sign));
    n = __builtin_clzll(rest);
    return fx80_pack(parts_round(a.sign, b.exp - n, rest << n, 0, X80_FULL, s));
}

struct floatx80 fx80_scale(struct floatx80 fa, struct floatx80 fb, struct float_status *s)
{
    struct parts a = fx80_unpack(fa), b = fx80_unpack(fb);
    struct float_status quiet = {.rounding = ROUND_ZERO};
    int64_t n;

    if (is_nan(a) || is_nan(b))
        return fx80_pack(parts_pick_nan(a, b, s));
    if (b.cls == PART_INF) {
        if ((a.cls == PART_INF && b.sign) || (a.cls == PART_ZERO && !b.sign))
            return fx80_pack(parts_invalid(s));
        raise_denormal(s, a.denormal);
        return fx80_pack(b.sign ? parts_zero(a.sign) : parts_inf(a.sign));
    }
    raise_denormal(s, a.denormal | b.denormal);
    if (a.cls != PART_NUMBER)
        return fx80_pack(a);
    n = parts_to_int(b, 0, 32, ROUND_ZERO, &quiet); /* the least integer when out of range */
    if (n > 0x10000 || n < -0x10000)
        n = b.sign ? -0x10000 : 0x10000;
    return fx80_pack(parts_round(a.sign, a.exp + (int32_t)n, a.sig, 0, X80_FULL, s));
}

struct floatx80 fx80_extract(struct floatx80 fa, struct floatx80 *exponent, struct float_status *s)
{
    struct parts a = fx80_unpack(fa);

    if (is_nan(a)) {
        *exponent = fx80_pack(parts_quiet_nan(a, s));
        return *exponent;
    }
    if (a.cls == PART_INF) {
        *exponent = fx80_pack(parts_inf(false));
        return fx80_pack(a);
    }
    if (a.cls == PART_ZERO) {
        raise_flags(s, FLOAT_DIVZERO);
        *exponent = fx80_pack(parts_inf(true));
        return fx80_pack(a);
    }
    raise_denormal(s, a.denormal);
    *exponent = fx80_from_int(a.exp);
    a.exp = 0;
    return fx80_pack(a);
}
