/*
 * The transcendental functions of the x87 (SDM 1, 8.3.7 to 8.3.10; SDM 2, F2XM1,
 * FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FSINCOS, FPTAN).
 *
 * Computed by their power series after argument reduction, with 128-bit
 * significands that truncate; the sum is rounded once. Integers only, so the
 * result does not depend on the host. A real processor's results differ from
 * these in the last place now and then, where its own error exceeds half an
 * ulp; the exact results and the directions of special cases are those of the
 * manual's tables.
 *
 * Outside the range that the manual defines: F2XM1 returns its operand;
 * FYL2XP1 computes log2(1 + x) for all x > -1, divides by zero at -1 and is invalid below.
 */
#include "softfloat/floatx80.h"
#include "softfloat/x80parts.h"

/* sig / 2^127 * 2^exp; bit 127 of sig is set, or the value is zero. */
struct wide {
    u128 sig;
    int32_t exp;
    bool sign;
};

#define W(hi, lo) ((u128)(hi) << 64 | (lo))

static const struct wide inverse_factorial[] = { /* 1 / n! */
    {W(0x8000000000000000, 0x0000000000000000), 0, false},
    {W(0x8000000000000000, 0x0000000000000000), 0, false},
    {W(0x8000000000000000, 0x0000000000000000), -1, false},
    {W(0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaab), -3, false},
    {W(0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaab), -5, false},
    {W(0x8888888888888888, 0x8888888888888889), -7, false},
    {W(0xb60b60b60b60b60b, 0x60b60b60b60b60b6), -10, false},
    {W(0xd00d00d00d00d00d, 0x00d00d00d00d00d0), -13, false},
    {W(0xd00d00d00d00d00d, 0x00d00d00d00d00d0), -16, false},
    {W(0xb8ef1d2ab6399c7d, 0x560e4472800b8ef2), -19, false},
    {W(0x93f27dbbc4fae397, 0x780b69f5333c725b), -22, false},
    {W(0xd7322b3faa271c7f, 0x3a3f25c1bee38f10), -26, false},
    {W(0x8f76c77fc6c4bdaa, 0x26d4c3d67f425f60), -29, false},
    {W(0xb092309d43684be5, 0x1c198e91d7b4269e), -33, false},
    {W(0xc9cba54603e4e905, 0xd6f8a2efd1f27546), -37, false},
    {W(0xd73f9f399dc0f88e, 0xc32b58774657f48f), -41, false},
    {W(0xd73f9f399dc0f88e, 0xc32b58774657f48f), -45, false},
    {W(0xca963b81856a5359, 0x3028cbbb8d7ff53c), -49, false},
    {W(0xb413c31dcbecbbdd, 0x8024435161554bc3), -53, false},
    {W(0x97a4da340a0ab926, 0x50f61dbdcb3a5abf), -57, false},
    {W(0xf2a15d201011283d, 0x4e5695fc785d5dff), -62, false},
    {W(0xb8dc77b6e7ab8c5f, 0x78a37e77372290c2), -66, false},
    {W(0x8671cb6dbfc294a2, 0x86485bf99c763abc), -70, false},
    {W(0xbb0da098b1c0cecb, 0xdc3826ebfb13cc27), -75, false},
    {W(0xf96780cb97abbe65, 0x25a033e54ec51034), -80, false},
    {W(0x9f9e66e8b2fd46a7, 0x22520cbbb7885c4a), -84, false},
    {W(0xc4742fe35272cd1c, 0x790285d3580a4a34), -89, false},
    {W(0xe8d58e16e6751905, 0x4d0c78aea13b9a50), -94, false},
    {W(0x850c5131a842e9b9, 0xe2e28e1aa546a152), -98, false},
    {W(0x92cfcc5a1ac56bd5, 0xf1873bb378948eb3), -103, false},
    {W(0x9c9962823eb07306, 0x56f6a614c4e2ba59), -108, false},
    {W(0xa1a6973c1fade217, 0x0f7237d35fe1c89e), -113, false},
    {W(0xa1a6973c1fade217, 0x0f7237d35fe1c89e), -118, false},
    {W(0x9cc092a6e86a8da9, 0xc166ffd4ba113ea8), -123, false},
};

static const struct wide inverse_odd[] = { /* 1 / (2n + 1) */
    {W(0x8000000000000000, 0x0000000000000000), 0, false},
    {W(0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaab), -2, false},
    {W(0xcccccccccccccccc, 0xcccccccccccccccd), -3, false},
    {W(0x9249249249249249, 0x2492492492492492), -3, false},
    {W(0xe38e38e38e38e38e, 0x38e38e38e38e38e4), -4, false},
    {W(0xba2e8ba2e8ba2e8b, 0xa2e8ba2e8ba2e8ba), -4, false},
    {W(0x9d89d89d89d89d89, 0xd89d89d89d89d89e), -4, false},
    {W(0x8888888888888888, 0x8888888888888889), -4, false},
    {W(0xf0f0f0f0f0f0f0f0, 0xf0f0f0f0f0f0f0f1), -5, false},
    {W(0xd79435e50d79435e, 0x50d79435e50d7943), -5, false},
    {W(0xc30c30c30c30c30c, 0x30c30c30c30c30c3), -5, false},
    {W(0xb21642c8590b2164, 0x2c8590b21642c859), -5, false},
    {W(0xa3d70a3d70a3d70a, 0x3d70a3d70a3d70a4), -5, false},
    {W(0x97b425ed097b425e, 0xd097b425ed097b42), -5, false},
    {W(0x8d3dcb08d3dcb08d, 0x3dcb08d3dcb08d3e), -5, false},
    {W(0x8421084210842108, 0x4210842108421084), -5, false},
    {W(0xf83e0f83e0f83e0f, 0x83e0f83e0f83e0f8), -6, false},
    {W(0xea0ea0ea0ea0ea0e, 0xa0ea0ea0ea0ea0ea), -6, false},
    {W(0xdd67c8a60dd67c8a, 0x60dd67c8a60dd67d), -6, false},
    {W(0xd20d20d20d20d20d, 0x20d20d20d20d20d2), -6, false},
    {W(0xc7ce0c7ce0c7ce0c, 0x7ce0c7ce0c7ce0c8), -6, false},
    {W(0xbe82fa0be82fa0be, 0x82fa0be82fa0be83), -6, false},
    {W(0xb60b60b60b60b60b, 0x60b60b60b60b60b6), -6, false},
    {W(0xae4c415c9882b931, 0x0572620ae4c415ca), -6, false},
};

static const struct wide one = {W(SIG_TOP, 0), 0, false};
static const struct wide two = {W(SIG_TOP, 0), 1, false};
static const struct wide pi = {W(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), 1, false};
static const struct wide ln_2 = {W(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af), -1, false};
static const struct wide two_log2_e = {W(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89), 1, false};
/* atan(n / 4) */
static const struct wide atan_quarters[] = {
    {0, 0, false},
    {W(0xfadbafc96406eb15, 0x6dc79ef5f7a217e6), -3, false},
    {W(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03), -2, false},
    {W(0xa4bc7d1934f70924, 0x19a87f2a457dac9f), -1, false},
    {W(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), -1, false},
};
/* The processor's pi/2, in units of 2^-65. */
static const u128 half_pi_66 = W(3, 0x243f6a8885a308d3);

/* ---- arithmetic on wide numbers: error below 2^-126 of the result ---- */

static inline struct wide wide_normal(bool sign, int32_t exp, u128 sig)
{
    int n;

    if (sig == 0)
        return (struct wide){0, 0, sign};
    n = sig >> 64 ? __builtin_clzll((uint64_t)(sig >> 64)) : 64 + __builtin_clzll((uint64_t)sig);
    return (struct wide){sig << n, exp - n, sign};
}

static struct wide wide_from(struct parts a)
{
    if (a.cls == PART_ZERO)
        return (struct wide){0, 0, a.sign};
    return (struct wide){(u128)a.sig << 64, a.exp, a.sign};
}

static struct wide wide_negate(struct wide a)
{
    a.sign = !a.sign;
    return a;
}

static struct wide wide_scale(struct wide a, int n)
{
    a.exp += n;
    return a;
}

static bool wide_less(struct wide a, struct wide b) /* in magnitude */
{
    if (a.sig == 0 || b.sig == 0)
        return b.sig != 0;
    return a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig);
}

static inline struct wide wide_add(struct wide a, struct wide b)
{
    u128 sig;
    int32_t n;

    if (wide_less(a, b)) {
        struct wide t = a;
        a = b;
        b = t;
    }
    if (b.sig == 0)
        return a;
    n = a.exp - b.exp;
    if (n > 0)
        b.sig = n < 128 ? b.sig >> n | ((b.sig << (128 - n)) != 0) : 1;
    if (a.sign != b.sign)
        return wide_normal(a.sign, a.exp, a.sig - b.sig);
    sig = a.sig + b.sig;
    if (sig < a.sig)
        return (struct wide){sig >> 1 | (sig & 1) | (u128)1 << 127, a.exp + 1, a.sign};
    return (struct wide){sig, a.exp, a.sign};
}

static struct wide wide_sub(struct wide a, struct wide b)
{
    return wide_add(a, wide_negate(b));
}

static inline struct wide wide_mul(struct wide a, struct wide b)
{
    uint64_t ah = (uint64_t)(a.sig >> 64), al = (uint64_t)a.sig;
    uint64_t bh = (uint64_t)(b.sig >> 64), bl = (uint64_t)b.sig;
    u128 low = (u128)al * bl, mid1 = (u128)ah * bl, mid2 = (u128)al * bh;
    u128 carry = (low >> 64) + (uint64_t)mid1 + (uint64_t)mid2;
    u128 high = (u128)ah * bh + (mid1 >> 64) + (mid2 >> 64) + (carry >> 64);
    int32_t exp = a.exp + b.exp + 1;

    if (high == 0)
        return (struct wide){0, 0, a.sign != b.sign};
    if (!(high >> 127)) {
        high = high << 1 | ((uint64_t)carry >> 63);
        exp--;
    }
    return (struct wide){high, exp, a.sign != b.sign};
}

/* b is not zero. */
static struct wide wide_div(struct wide a, struct wide b)
{
    u128 rest = a.sig, q = 0;
    int32_t exp = a.exp - b.exp;

    if (a.sig == 0)
        return (struct wide){0, 0, a.sign != b.sign};
    if (rest < b.sig) {
        exp--;
    } else {
        rest -= b.sig;
        q = 1;
    }
    while (!(q >> 127)) {
        bool carry = (bool)(rest >> 127);
        rest <<= 1;
        q <<= 1;
        if (carry || rest >= b.sig) {
            rest -= b.sig;
            q |= 1;
        }
    }
    return (struct wide){q | (rest != 0), exp, a.sign != b.sign};
}

/* Round an irrational result (`exact` false) or an exact one. */
static struct floatx80 wide_round(struct wide a, bool exact, struct float_status *s)
{
    uint64_t lo = (uint64_t)a.sig | !exact;

    if (a.sig == 0)
        return fx80_pack(parts_zero(a.sign));
    return fx80_pack(parts_round(a.sign, a.exp, (uint64_t)(a.sig >> 64), lo, X80_FULL, s));
}

/* c + sum * x, |sum * x| < c: wide_add() of a wide_mul(), of which nothing is asked that is known. */
static inline __attribute__((always_inline)) struct wide series_step(struct wide c, struct wide sum, struct wide x)
{
    struct wide p = wide_mul(sum, x);
    int32_t n = c.exp - p.exp;
    u128 sig;

    if (p.sig == 0)
        return c;
    if (n > 0)
        p.sig = n < 128 ? p.sig >> n | ((p.sig << (128 - n)) != 0) : 1;
    if (p.sign)
        return wide_normal(false, c.exp, c.sig - p.sig);
    sig = c.sig + p.sig;
    if (sig < c.sig)
        return (struct wide){sig >> 1 | (sig & 1) | (u128)1 << 127, c.exp + 1, false};
    return (struct wide){sig, c.exp, false};
}

/* coefficient[0] +- coefficient[step] * x +- ... +- coefficient[n * step] * x^n, of positive coefficients and terms that
 * become less */
static struct wide series(const struct wide *coefficient, unsigned n, unsigned step, bool alternate, struct wide x)
{
    struct wide sum = coefficient[n * step];

    if (alternate)
        x = wide_negate(x);
    while (n-- > 0)
        sum = series_step(coefficient[n * step], sum, x);
    return sum;
}

/* ---- powers and logarithms ---- */

struct floatx80 fx80_2xm1(struct floatx80 fa, struct float_status *s)
{
    struct parts a = fx80_unpack(fa);
    struct wide x;

    if (is_nan(a))
        return fx80_pack(parts_quiet_nan(a, s));
    if (a.cls == PART_INF)
        return fx80_pack(a.sign ? (struct parts){.sig = SIG_TOP, .cls = PART_NUMBER, .sign = true} : a);
    if (a.cls == PART_ZERO)
        return fx80_pack(a);
    raise_denormal(s, a.denormal);
    if (a.exp >= 0) {
        if (a.sign && a.exp == 0 && a.sig == SIG_TOP)
            a.exp = -1; /* 2^-1 - 1 */
        return fx80_pack(a);
    }
    x = wide_mul(wide_from(a), ln_2);
    return wide_round(wide_mul(x, series(inverse_factorial + 1, 31, 1, false, x)), false, s);
}

/* 2 log2(e) atanh(t), |t| <= 0.172 */
static struct wide log2_by_atanh(struct wide t)
{
    struct wide sum = series(inverse_odd, 23, 1, false, wide_mul(t, t));

    return wide_mul(wide_mul(t, sum), two_log2_e);
}

static struct wide wide_log2(struct wide a)
{
    static const struct wide root_2 = {W(0xb504f333f9de6484, 0x597d89b3754abe9f), 0, false};
    int32_t exp = a.exp;
    struct wide whole;

    a.exp = 0;
    if (!wide_less(a, root_2)) {
        a.exp = -1;
        exp++;
    }
    whole = wide_normal(exp < 0, 127, (u128)(exp < 0 ? -(int64_t)exp : exp));
    return wide_add(whole, log2_by_atanh(wide_div(wide_sub(a, one), wide_add(a, one))));
}

/* y * log2(v), where v is above 1 (`grows`) or below, and one of y and log2(v) is special. */
static struct parts special_product(struct parts y, bool grows)
{
    y.sign ^= !grows;
    return y;
}

struct floatx80 fx80_yl2x(struct floatx80 fx, struct floatx80 fy, struct float_status *s)
{
    struct parts x = fx80_unpack(fx), y = fx80_unpack(fy);
    bool is_one = x.cls == PART_NUMBER && x.exp == 0 && x.sig == SIG_TOP;
    bool power_of_2 = x.sig == SIG_TOP;

    if (is_nan(x) || is_nan(y))
        return fx80_pack(parts_pick_nan(x, y, s));
    if (x.sign && x.cls != PART_ZERO)
        return fx80_pack(parts_invalid(s));
    if (x.cls == PART_ZERO) {
        if (y.cls == PART_ZERO)
            return fx80_pack(parts_invalid(s));
        if (y.cls == PART_NUMBER)
            raise_flags(s, FLOAT_DIVZERO);
        return fx80_pack(parts_inf(!y.sign));
    }
    if (x.cls == PART_INF) {
        if (y.cls == PART_ZERO)
            return fx80_pack(parts_invalid(s));
        raise_denormal(s, y.denormal);
        return fx80_pack(parts_inf(y.sign));
    }
    if (is_one && y.cls == PART_INF)
        return fx80_pack(parts_invalid(s));
    raise_denormal(s, x.denormal | y.denormal);
    if (is_one)
        return fx80_pack(parts_zero(y.sign));
    if (y.cls != PART_NUMBER)
        return fx80_pack(special_product(y, x.exp >= 0));
    return wide_round(wide_mul(wide_from(y), wide_log2(wide_from(x))), power_of_2, s);
}

struct floatx80 fx80_yl2xp1(struct floatx80 fx, struct floatx80 fy, struct float_status *s)
{
    struct parts x = fx80_unpack(fx), y = fx80_unpack(fy);
    /* -(1 - sqrt(2)/2) and sqrt(2) - 1, a little inside */
    static const struct wide low = {W(0x95f6000000000000, 0), -2, true}, high = {W(0xd413000000000000, 0), -2, false};
    struct wide v, log;

    if (is_nan(x) || is_nan(y))
        return fx80_pack(parts_pick_nan(x, y, s));
    if (x.sign && (x.cls == PART_INF || (x.cls == PART_NUMBER && (x.exp > 0 || (x.exp == 0 && x.sig != SIG_TOP)))))
        return fx80_pack(parts_invalid(s));
    if ((x.cls == PART_ZERO && y.cls == PART_INF) || (x.cls == PART_INF && y.cls == PART_ZERO))
        return fx80_pack(parts_invalid(s));
    if (x.sign && x.cls == PART_NUMBER && x.exp == 0) { /* -1 */
        if (y.cls == PART_ZERO)
            return fx80_pack(parts_invalid(s));
        if (y.cls == PART_NUMBER)
            raise_flags(s, FLOAT_DIVZERO);
        return fx80_pack(parts_inf(!y.sign));
    }
    raise_denormal(s, x.denormal | y.denormal);
    if (x.cls == PART_ZERO || y.cls == PART_ZERO)
        return fx80_pack(parts_zero(x.sign ^ y.sign));
    if (x.cls == PART_INF || y.cls == PART_INF)
        return fx80_pack(parts_inf(x.sign ^ y.sign));
    v = wide_from(x);
    if (wide_less(v, x.sign ? low : high))
        log = log2_by_atanh(wide_div(v, wide_add(v, two)));
    else
        log = wide_log2(wide_add(v, one));
    /* The exact cases are x = 2^n - 1: rare, and told by the sum being a power of two. */
    return wide_round(wide_mul(wide_from(y), log), wide_add(v, one).sig == (u128)1 << 127 && x.exp > -64, s);
}

/* ---- angles ---- */

/* atan(z), 0 < z <= 1 */
static struct wide wide_atan(struct wide z)
{
    /* The quarter nearest z; atan(z) = atan(q) + atan((z - q) / (1 + z q)), the rest within 1/8. */
    struct wide eighths = wide_scale(z, 3), quarter, t = z;
    unsigned n = eighths.exp < 0 ? 0 : ((unsigned)(eighths.sig >> 120) >> (7 - eighths.exp)) + 1;

    n /= 2;
    if (n > 0) {
        quarter = wide_normal(false, 125, n);
        t = wide_div(wide_sub(z, quarter), wide_add(one, wide_mul(z, quarter)));
    }
    t = wide_mul(t, series(inverse_odd, 20, 1, true, wide_mul(t, t)));
    return wide_add(atan_quarters[n], t);
}

struct floatx80 fx80_patan(struct floatx80 fx, struct floatx80 fy, struct float_status *s)
{
    struct parts x = fx80_unpack(fx), y = fx80_unpack(fy);
    struct wide angle, wx, wy;

    if (is_nan(x) || is_nan(y))
        return fx80_pack(parts_pick_nan(x, y, s));
    raise_denormal(s, x.denormal | y.denormal);
    if (y.cls == PART_ZERO || (x.cls == PART_INF && y.cls != PART_INF)) {
        if (!x.sign)
            return fx80_pack(parts_zero(y.sign));
        angle = pi;
    } else if (x.cls == PART_INF) {
        angle = x.sign ? wide_sub(pi, wide_scale(pi, -2)) : wide_scale(pi, -2);
    } else if (x.cls == PART_ZERO || y.cls == PART_INF) {
        angle = wide_scale(pi, -1);
    } else {
        wx = wide_from(x);
        wy = wide_from(y);
        wx.sign = wy.sign = false;
        if (wide_less(wx, wy))
            angle = wide_sub(wide_scale(pi, -1), wide_atan(wide_div(wx, wy)));
        else
            angle = wide_atan(wide_div(wy, wx));
        if (x.sign)
            angle = wide_sub(pi, angle);
    }
    angle.sign = y.sign;
    return wide_round(angle, false, s);
}

/* *r = a minus the nearest multiple of pi/2; returns that multiple modulo 4. */
static unsigned reduce_angle(struct parts a, struct wide *r)
{
    u128 x, rest;
    unsigned n;

    if (a.exp < -1) { /* below pi/4 */
        *r = wide_from(a);
        return 0;
    }
    x = (u128)a.sig << (a.exp + 2);
    rest = x % half_pi_66;
    n = (unsigned)(x / half_pi_66) & 3;
    if (rest > half_pi_66 / 2) {
        *r = wide_normal(!a.sign, 127 - 65, half_pi_66 - rest);
        n++;
    } else {
        *r = wide_normal(a.sign, 127 - 65, rest);
    }
    return a.sign ? (4 - n) & 3 : n & 3;
}

bool fx80_trig(struct floatx80 fa, struct floatx80 *sine, struct floatx80 *cosine, struct floatx80 *tangent,
               struct float_status *s)
{
    struct parts a = fx80_unpack(fa);
    struct wide r, square, of_r[2] = {{0}}, sin, cos; /* of_r: sine and cosine, if they are wanted */
    struct floatx80 special;
    unsigned n, swap;

    if (a.cls == PART_NUMBER && a.exp >= 63)
        return false;
    if (a.cls != PART_NUMBER) {
        special = fx80_pack(a.cls == PART_ZERO ? a : a.cls == PART_INF ? parts_invalid(s) : parts_quiet_nan(a, s));
        if (sine)
            *sine = special;
        if (tangent)
            *tangent = special;
        if (cosine)
            *cosine = a.cls == PART_ZERO ? (struct floatx80){SIG_TOP, X80_BIAS} : special;
        return true;
    }
    raise_denormal(s, a.denormal);
    n = reduce_angle(a, &r);
    square = wide_mul(r, r);
    swap = n & 1;
    if (tangent || (swap ? cosine : sine))
        of_r[0] = wide_mul(r, series(inverse_factorial + 1, 16, 2, true, square));
    if (tangent || (swap ? sine : cosine))
        of_r[1] = series(inverse_factorial, 16, 2, true, square);
    sin = of_r[swap];
    cos = swap ? wide_negate(of_r[0]) : of_r[1];
    if (n & 2) {
        sin = wide_negate(sin);
        cos = wide_negate(cos);
    }
    if (sine)
        *sine = wide_round(sin, false, s);
    if (cosine)
        *cosine = wide_round(cos, false, s);
    if (tangent)
        *tangent = wide_round(wide_div(sin, cos), false, s);
    return true;
}
