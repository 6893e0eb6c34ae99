/*
 * Inside libsoftfloat: a number taken apart, and the one place that rounds.
 *
 * A finite non-zero value is sig / 2^63 * 2^exp with bit 63 of sig set. Results
 * before rounding have 64 more bits (`lo`), the lowest of them sticky; every
 * format here has at most 64 significant bits, so that is enough to round
 * correctly.
 */
#ifndef HINDCAST_SOFTFLOAT_PARTS_H
#define HINDCAST_SOFTFLOAT_PARTS_H

#include "softfloat/softfloat.h"

__extension__ typedef unsigned __int128 u128;

#define SIG_TOP   0x8000000000000000u
#define SIG_QUIET 0x4000000000000000u

enum parts_class { PART_ZERO, PART_NUMBER, PART_INF, PART_QNAN, PART_SNAN, PART_UNSUPPORTED };

struct parts {
    uint64_t sig;  /* PART_NUMBER: normalised; NaN: bit 63 set, payload below, SIG_QUIET */
    int32_t exp;   /* PART_NUMBER: unbiased exponent of bit 63 */
    uint8_t cls;   /* enum parts_class */
    bool sign;
    bool denormal; /* the encoding was (pseudo-)denormal */
    uint8_t reserved;
};

/* A format, as far as rounding knows it. */
struct format {
    int bias;
    unsigned precision; /* significant bits, the integer bit included */
    bool wraps;         /* unmasked overflow and underflow wrap the exponent */
};

static inline bool is_nan(struct parts a)
{
    return a.cls >= PART_QNAN;
}

static inline void raise_flags(struct float_status *s, unsigned flags)
{
    s->flags |= (uint16_t)flags;
}

static inline void raise_denormal(struct float_status *s, bool denormal)
{
    if (denormal)
        s->flags |= FLOAT_DENORMAL;
}

static inline struct parts parts_default_nan(const struct float_status *s)
{
    return (struct parts){.sig = SIG_TOP | SIG_QUIET, .cls = PART_QNAN, .sign = !s->positive_default};
}

static inline struct parts parts_invalid(struct float_status *s)
{
    raise_flags(s, FLOAT_INVALID);
    return parts_default_nan(s);
}

static inline struct parts parts_zero(bool sign)
{
    return (struct parts){.cls = PART_ZERO, .sign = sign};
}

static inline struct parts parts_inf(bool sign)
{
    return (struct parts){.cls = PART_INF, .sign = sign};
}

/* Shift (hi, lo) right by n >= 0, the bits lost collected in the lowest one. */
static inline void shift_right_jam(uint64_t *hi, uint64_t *lo, unsigned n)
{
    if (n == 0)
        return;
    if (n < 64) {
        *lo = *hi << (64 - n) | *lo >> n | ((*lo << (64 - n)) != 0);
        *hi >>= n;
    } else if (n < 128) {
        uint64_t lost = n == 64 ? *lo : (*hi << (128 - n)) | *lo;
        *lo = (n == 64 ? *hi : *hi >> (n - 64)) | (lost != 0);
        *hi = 0;
    } else {
        *lo = (*hi | *lo) != 0;
        *hi = 0;
    }
}

struct rounded {
    uint64_t sig;
    bool inexact, up, carry; /* carry: sig wrapped to SIG_TOP, one exponent up */
};

/* Round (hi, lo) to the bits of hi above its lowest `drop` (0 to 63). */
static inline struct rounded round_bits(uint64_t hi, uint64_t lo, unsigned drop, unsigned mode, bool sign)
{
    struct rounded r;
    uint64_t rest = drop ? hi << (64 - drop) | (lo != 0) : lo;
    uint64_t unit = (uint64_t)1 << drop;

    r.sig = hi & ~(unit - 1);
    r.inexact = rest != 0;
    r.up = false;
    r.carry = false;
    switch (mode) {
    case ROUND_NEAREST_EVEN: r.up = rest > SIG_TOP || (rest == SIG_TOP && (r.sig & unit)); break;
    case ROUND_DOWN:         r.up = sign && rest; break;
    case ROUND_UP:           r.up = !sign && rest; break;
    case ROUND_NEAREST_AWAY: r.up = rest >= SIG_TOP; break;
    case ROUND_ODD:
        if (rest)
            r.sig |= unit;
        break;
    default: break;
    }
    if (r.up) {
        r.sig += unit;
        if (r.sig < unit) {
            r.sig = SIG_TOP;
            r.carry = true;
        }
    }
    return r;
}

/* The end of every operation: round a non-zero sig * 2^exp to the format, raising what is due.
 * The result is PART_ZERO, PART_INF, or PART_NUMBER whose exponent is below the format's
 * minimum exactly if it is to be encoded as denormal: then sig is *not* normalised but as
 * the encoding wants it, and exp is the minimum minus 1. */
static inline struct parts parts_round(bool sign, int32_t exp, uint64_t hi, uint64_t lo, struct format f,
                                       struct float_status *s)
{
    const int32_t emin = 1 - f.bias, emax = f.bias;
    const unsigned drop = 64 - f.precision;
    const int32_t wrap = 3 << 13; /* 24576, for the 15-bit exponent */
    struct rounded r = round_bits(hi, lo, drop, s->rounding, sign);
    int32_t e = exp + r.carry;
    bool tiny;

    if (likely(exp >= emin && e <= emax)) {
        raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
        return (struct parts){.sig = r.sig, .exp = e, .cls = PART_NUMBER, .sign = sign};
    }
    if (e > emax) {
        bool to_inf = s->rounding == ROUND_NEAREST_EVEN || s->rounding == ROUND_NEAREST_AWAY ||
                      (s->rounding == ROUND_UP && !sign) || (s->rounding == ROUND_DOWN && sign);

        raise_flags(s, FLOAT_OVERFLOW);
        if (f.wraps && s->trap_overflow) {
            if (e - wrap > emax) { /* FSCALE: too far to wrap (SDM 1, 8.5.4) */
                raise_flags(s, FLOAT_INEXACT | FLOAT_ROUNDED_UP);
                return parts_inf(sign);
            }
            raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
            return (struct parts){.sig = r.sig, .exp = e - wrap, .cls = PART_NUMBER, .sign = sign};
        }
        raise_flags(s, (r.inexact || f.wraps || !s->trap_overflow ? FLOAT_INEXACT : 0) |
                           (to_inf ? FLOAT_ROUNDED_UP : 0));
        if (to_inf)
            return parts_inf(sign);
        return (struct parts){.sig = ~(uint64_t)0 << drop, .exp = emax, .cls = PART_NUMBER, .sign = sign};
    }

    tiny = s->tiny_before || e < emin;
    if (tiny && f.wraps && s->trap_underflow) {
        if (e + wrap < emin) {
            raise_flags(s, FLOAT_UNDERFLOW | FLOAT_INEXACT);
            return parts_zero(sign);
        }
        raise_flags(s, FLOAT_UNDERFLOW | (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
        return (struct parts){.sig = r.sig, .exp = e + wrap, .cls = PART_NUMBER, .sign = sign};
    }
    if (tiny && s->flush != FLUSH_NEVER && !s->trap_underflow) {
        raise_flags(s, FLOAT_UNDERFLOW | (s->flush == FLUSH_TINY ? FLOAT_INEXACT : 0));
        return parts_zero(sign);
    }
    if (tiny && !f.wraps && s->trap_underflow) { /* there will be no result */
        raise_flags(s, FLOAT_UNDERFLOW | (r.inexact ? FLOAT_INEXACT : 0));
        return parts_zero(sign);
    }
    shift_right_jam(&hi, &lo, (unsigned)(emin - exp));
    r = round_bits(hi, lo, drop, s->rounding, sign);
    if (tiny && (r.inexact || s->trap_underflow))
        raise_flags(s, FLOAT_UNDERFLOW);
    raise_flags(s, (r.inexact ? FLOAT_INEXACT : 0) | (r.up ? FLOAT_ROUNDED_UP : 0));
    if (r.sig == 0)
        return parts_zero(sign);
    return (struct parts){.sig = r.sig, .exp = r.sig & SIG_TOP ? emin : emin - 1, .cls = PART_NUMBER, .sign = sign};
}

/* ---- the operations on parts: softfloat.c. Results are rounded to `f`. ---- */
struct parts parts_pick_nan(struct parts a, struct parts b, struct float_status *s);
struct parts parts_quiet_nan(struct parts a, struct float_status *s);
struct parts parts_add(struct parts a, struct parts b, struct format f, struct float_status *s);
struct parts parts_mul(struct parts a, struct parts b, struct format f, struct float_status *s);
struct parts parts_div(struct parts a, struct parts b, struct format f, struct float_status *s);
struct parts parts_sqrt(struct parts a, struct format f, struct float_status *s);
struct parts parts_round_to_int(struct parts a, enum float_rounding rounding, struct format f, struct float_status *s);
/* Round a number of the widest precision to another format; NaNs are quieted. */
struct parts parts_convert(struct parts a, struct format f, struct float_status *s);
enum float_relation parts_compare(struct parts a, struct parts b, bool quiet, struct float_status *s);
int64_t parts_to_int(struct parts a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s);
struct parts parts_from_int(int64_t v, int scale, struct format f, struct float_status *s);

struct parts f32_unpack(uint32_t a, struct float_status *s);
struct parts f64_unpack(uint64_t a, struct float_status *s);
uint32_t f32_pack(struct parts a);
uint64_t f64_pack(struct parts a);
extern const struct format f32_format, f64_format;

#endif
