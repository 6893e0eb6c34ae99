/*
 * libsoftfloat against the host's SSE and x87: the same result and the same
 * flags for random and special operands in every rounding mode, with and
 * without flushing, at every precision. The transcendental functions: within
 * one ulp of the host's. On other hosts only the fixed cases run.
 */
#include <stdlib.h>

#include "host_fpu.h"
#include "softfloat/floatx80.h"
#include "tests/check_main.h"
#include "tests/storm.h"

#ifdef HOST_FPU

#define ROUNDS STORM(60000)

static struct float_status sse_status(uint32_t mxcsr)
{
    return (struct float_status){
        .rounding = (mxcsr >> 13) & 3,
        .denormals_are_zero = (mxcsr >> 6) & 1,
        .flush = mxcsr & 0x8000 ? FLUSH_TINY : FLUSH_NEVER,
    };
}

static uint32_t random_mxcsr(void)
{
    uint64_t r = host_random();
    return 0x1f80 | (r & 0x6000) | (r % 4 == 0 ? 0x8000 : 0) | (r % 8 < 3 ? 0x40 : 0);
}

#define HOST_SSE2OP(name, T, insn) \
    static T host_##name(T a, T b, uint32_t mxcsr, uint32_t *flags) \
    { \
        __asm__ volatile("ldmxcsr %2\n\t" insn " %1, %0" : "+x"(*(host_##T *)&a) : "x"(*(host_##T *)&b), "m"(mxcsr)); \
        *flags = host_get_mxcsr() & 0x3f; \
        host_set_mxcsr(0x1f80); \
        return a; \
    }
#define HOST_SSE1OP(name, T, TR, insn) \
    static TR host_##name(T a, uint32_t mxcsr, uint32_t *flags) \
    { \
        TR r = 0; \
        __asm__ volatile("ldmxcsr %2\n\t" insn " %1, %0" : "+x"(*(host_##TR *)&r) : "x"(*(host_##T *)&a), "m"(mxcsr)); \
        *flags = host_get_mxcsr() & 0x3f; \
        host_set_mxcsr(0x1f80); \
        return r; \
    }
#define HOST_SSE2INT(name, T, TR, insn) \
    static TR host_##name(T a, uint32_t mxcsr, uint32_t *flags) \
    { \
        TR r; \
        __asm__ volatile("ldmxcsr %2\n\t" insn " %1, %0" : "=r"(r) : "x"(*(host_##T *)&a), "m"(mxcsr)); \
        *flags = host_get_mxcsr() & 0x3f; \
        host_set_mxcsr(0x1f80); \
        return r; \
    }
#define HOST_INT2SSE(name, T, TR, insn) \
    static TR host_##name(T a, uint32_t mxcsr, uint32_t *flags) \
    { \
        TR r = 0; \
        __asm__ volatile("ldmxcsr %2\n\t" insn " %1, %0" : "+x"(*(host_##TR *)&r) : "r"(a), "m"(mxcsr)); \
        *flags = host_get_mxcsr() & 0x3f; \
        host_set_mxcsr(0x1f80); \
        return r; \
    }

typedef float host_uint32_t __attribute__((may_alias));
typedef double host_uint64_t __attribute__((may_alias));

HOST_SSE2OP(f32_add, uint32_t, "addss")
HOST_SSE2OP(f32_sub, uint32_t, "subss")
HOST_SSE2OP(f32_mul, uint32_t, "mulss")
HOST_SSE2OP(f32_div, uint32_t, "divss")
HOST_SSE2OP(f64_add, uint64_t, "addsd")
HOST_SSE2OP(f64_sub, uint64_t, "subsd")
HOST_SSE2OP(f64_mul, uint64_t, "mulsd")
HOST_SSE2OP(f64_div, uint64_t, "divsd")
HOST_SSE1OP(f32_sqrt, uint32_t, uint32_t, "sqrtss")
HOST_SSE1OP(f64_sqrt, uint64_t, uint64_t, "sqrtsd")
HOST_SSE1OP(f32_to_f64, uint32_t, uint64_t, "cvtss2sd")
HOST_SSE1OP(f64_to_f32, uint64_t, uint32_t, "cvtsd2ss")
HOST_SSE2INT(f32_to_int32, uint32_t, int32_t, "cvtss2si")
HOST_SSE2INT(f32_to_int64, uint32_t, int64_t, "cvtss2si")
HOST_SSE2INT(f64_to_int32, uint64_t, int32_t, "cvtsd2si")
HOST_SSE2INT(f64_to_int64, uint64_t, int64_t, "cvtsd2si")
HOST_INT2SSE(f32_from_int64, int64_t, uint32_t, "cvtsi2ssq")
HOST_INT2SSE(f64_from_int64, int64_t, uint64_t, "cvtsi2sdq")
HOST_INT2SSE(f32_from_int32, int32_t, uint32_t, "cvtsi2ssl")

/* Inexact is raised already, which opens a faster way. */
static uint16_t random_sticky(void)
{
    return host_random() & 1 ? FLOAT_INEXACT : 0;
}

#define SSE_BINARY_TEST(name, T, EB, FB) \
    START_TEST(name##_equals_the_host) \
    { \
        for (int i = 0; i < ROUNDS; i++) { \
            T a = (T)host_operand(EB, FB), b = (T)host_operand(EB, FB); \
            uint32_t mxcsr = random_mxcsr(), flags; \
            struct float_status s = sse_status(mxcsr); \
            T want, got; \
            s.flags = random_sticky(); \
            want = host_##name(a, b, mxcsr, &flags); \
            flags |= s.flags; \
            got = name(a, b, &s); \
            ck_assert_msg(want == got && flags == (s.flags & FLOAT_FLAGS), \
                          "%llx %llx mxcsr %x: host %llx %x, here %llx %x", (long long)a, (long long)b, mxcsr, \
                          (long long)want, flags, (long long)got, s.flags); \
        } \
    } \
    END_TEST
#define SSE_UNARY_TEST(name, call, T, TR, random_operand) \
    START_TEST(name##_equals_the_host) \
    { \
        for (int i = 0; i < ROUNDS; i++) { \
            T a = (T)random_operand; \
            uint32_t mxcsr = random_mxcsr(), flags; \
            struct float_status s = sse_status(mxcsr); \
            TR want, got; \
            s.flags = random_sticky(); \
            want = host_##name(a, mxcsr, &flags); \
            flags |= s.flags; \
            got = (TR)call; \
            ck_assert_msg(want == got && flags == (s.flags & FLOAT_FLAGS), \
                          "%llx mxcsr %x: host %llx %x, here %llx %x", (long long)a, mxcsr, \
                          (long long)want, flags, (long long)got, s.flags); \
        } \
    } \
    END_TEST

SSE_BINARY_TEST(f32_add, uint32_t, 8, 23)
SSE_BINARY_TEST(f32_sub, uint32_t, 8, 23)
SSE_BINARY_TEST(f32_mul, uint32_t, 8, 23)
SSE_BINARY_TEST(f32_div, uint32_t, 8, 23)
SSE_BINARY_TEST(f64_add, uint64_t, 11, 52)
SSE_BINARY_TEST(f64_sub, uint64_t, 11, 52)
SSE_BINARY_TEST(f64_mul, uint64_t, 11, 52)
SSE_BINARY_TEST(f64_div, uint64_t, 11, 52)
SSE_UNARY_TEST(f32_sqrt, f32_sqrt(a, &s), uint32_t, uint32_t, host_operand(8, 23))
SSE_UNARY_TEST(f64_sqrt, f64_sqrt(a, &s), uint64_t, uint64_t, host_operand(11, 52))
SSE_UNARY_TEST(f32_to_f64, f32_to_f64(a, &s), uint32_t, uint64_t, host_operand(8, 23))
SSE_UNARY_TEST(f64_to_f32, f64_to_f32(a, &s), uint64_t, uint32_t, host_operand(11, 52) & (host_random() & 1 ? ~0ull : ~0ull << 28))
SSE_UNARY_TEST(f32_to_int32, f32_to_int(a, 0, 32, s.rounding, &s), uint32_t, int32_t, host_operand(8, 23))
SSE_UNARY_TEST(f32_to_int64, f32_to_int(a, 0, 64, s.rounding, &s), uint32_t, int64_t, host_operand(8, 23))
SSE_UNARY_TEST(f64_to_int32, f64_to_int(a, 0, 32, s.rounding, &s), uint64_t, int32_t, host_operand(11, 52))
SSE_UNARY_TEST(f64_to_int64, f64_to_int(a, 0, 64, s.rounding, &s), uint64_t, int64_t, host_operand(11, 52))
SSE_UNARY_TEST(f32_from_int64, f32_from_int(a, 0, &s), int64_t, uint32_t, (host_random() >> (host_random() & 63)))
SSE_UNARY_TEST(f64_from_int64, f64_from_int(a, 0, &s), int64_t, uint64_t, (host_random() >> (host_random() & 63)))
SSE_UNARY_TEST(f32_from_int32, f32_from_int(a, 0, &s), int32_t, uint32_t, (host_random() >> (host_random() & 63)))

START_TEST(comparisons_equal_the_host)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t a = host_operand(11, 52), b = host_random() & 1 ? host_operand(11, 52) : a;
        uint32_t mxcsr = random_mxcsr(), flags;
        bool quiet = host_random() & 1;
        struct float_status s = sse_status(mxcsr);
        enum float_relation want, got = f64_compare(a, b, quiet, &s);
        uint8_t z, p, c;

        if (quiet)
            __asm__ volatile("ldmxcsr %5; ucomisd %4, %3; setz %0; setp %1; setc %2"
                             : "=r"(z), "=r"(p), "=r"(c)
                             : "x"(*(host_uint64_t *)&a), "x"(*(host_uint64_t *)&b), "m"(mxcsr));
        else
            __asm__ volatile("ldmxcsr %5; comisd %4, %3; setz %0; setp %1; setc %2"
                             : "=r"(z), "=r"(p), "=r"(c)
                             : "x"(*(host_uint64_t *)&a), "x"(*(host_uint64_t *)&b), "m"(mxcsr));
        flags = host_get_mxcsr() & 0x3f;
        host_set_mxcsr(0x1f80);
        want = p ? FLOAT_UNORDERED : z ? FLOAT_EQUAL : c ? FLOAT_LESS : FLOAT_GREATER;
        ck_assert_msg(want == got && flags == (s.flags & FLOAT_FLAGS), "%llx %llx: host %d %x, here %d %x",
                      (long long)a, (long long)b, want, flags, got, s.flags);
    }
}
END_TEST

START_TEST(fused_multiply_add_equals_the_host)
{
    if (!__builtin_cpu_supports("fma"))
        return;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t a = host_operand(11, 52), b = host_operand(11, 52), c = host_operand(11, 52), want;
        uint32_t mxcsr = random_mxcsr() & ~0x8040u, flags;
        struct float_status s = sse_status(mxcsr);
        uint16_t sticky;
        uint64_t got;

        if (i % 3 == 0) { /* make cancellation likely */
            struct float_status t = {0};
            c = f64_mul(a, b, &t) ^ (uint64_t)1 << 63;
        }
        if (f64_is_nan(a) || f64_is_nan(b) || f64_is_nan(c))
            continue; /* which NaN: the A64 rule, not the host's */
        s.flags = sticky = random_sticky();
        got = f64_fma(a, b, c, &s);
        want = a;
        __asm__ volatile("ldmxcsr %3; vfmadd213sd %2, %1, %0"
                         : "+x"(*(host_uint64_t *)&want)
                         : "x"(*(host_uint64_t *)&b), "x"(*(host_uint64_t *)&c), "m"(mxcsr));
        flags = (host_get_mxcsr() & 0x3f) | sticky;
        host_set_mxcsr(0x1f80);
        ck_assert_msg(want == got && flags == (s.flags & FLOAT_FLAGS), "%llx %llx %llx: host %llx %x, here %llx %x",
                      (long long)a, (long long)b, (long long)c, (long long)want, flags, (long long)got, s.flags);
    }
}
END_TEST

/* ---- x87 ---- */

static const uint16_t precisions[] = {0x0000, 0x0200, 0x0300};

static struct float_status x87_status(uint16_t fcw)
{
    static const uint8_t bits[] = {24, 64, 53, 64};
    return (struct float_status){
        .rounding = (fcw >> 10) & 3, .precision = bits[(fcw >> 8) & 3], .nan_rule = NAN_LARGER};
}

static uint16_t random_fcw(void)
{
    uint64_t r = host_random();
    return (uint16_t)(0x7f | (r & 0x0c00) | precisions[(r >> 16) % 3]);
}

#define HOST_X87_2(name, insns) \
    static struct host_x80 host_##name(struct host_x80 a, struct host_x80 b, uint16_t fcw, uint16_t *fsw) \
    { \
        struct host_x80 r; \
        host_set_fcw(fcw); \
        __asm__ volatile("fldt %3; fldt %2; " insns "; fnstsw %1; fstpt %0; fstp %%st(0); fnclex" \
                         : "=m"(r), "=m"(*fsw) : "m"(a), "m"(b)); \
        return r; \
    }
/* ST0 = a, ST1 = b; result in ST0, one more register in use */
HOST_X87_2(fx80_add, "fadd %%st(1), %%st")
HOST_X87_2(fx80_sub, "fsub %%st(1), %%st")
HOST_X87_2(fx80_mul, "fmul %%st(1), %%st")
HOST_X87_2(fx80_div, "fdiv %%st(1), %%st")
HOST_X87_2(fx80_scale, "fscale")
HOST_X87_2(fprem, "fprem")
HOST_X87_2(fprem1, "fprem1")

static struct floatx80 x80(struct host_x80 v)
{
    return (struct floatx80){v.sig, v.se};
}

static bool same(struct host_x80 want, struct floatx80 got)
{
    return want.sig == got.sig && want.se == got.se;
}

#define C1(fsw, flags) ((((fsw) >> 9) & 1) == !!((flags) & FLOAT_ROUNDED_UP))

#define X87_BINARY_TEST(name, with_c1) \
    START_TEST(name##_equals_the_host) \
    { \
        for (int i = 0; i < ROUNDS; i++) { \
            struct host_x80 a = host_operand80(), b = host_operand80(), want; \
            uint16_t fcw = random_fcw(), fsw; \
            struct float_status s = x87_status(fcw); \
            struct floatx80 got; \
            want = host_##name(a, b, fcw, &fsw); \
            got = name(x80(a), x80(b), &s); \
            ck_assert_msg(same(want, got) && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && \
                              (!(with_c1) || !(s.flags & FLOAT_INEXACT) || C1(fsw, s.flags)), \
                          "%04x.%016llx %04x.%016llx fcw %x: host %04x.%016llx %x, here %04x.%016llx %x", a.se, \
                          (long long)a.sig, b.se, (long long)b.sig, fcw, want.se, (long long)want.sig, fsw, got.se, \
                          (long long)got.sig, s.flags); \
        } \
    } \
    END_TEST

X87_BINARY_TEST(fx80_add, true)
X87_BINARY_TEST(fx80_sub, true)
X87_BINARY_TEST(fx80_mul, true)
X87_BINARY_TEST(fx80_div, true)
X87_BINARY_TEST(fx80_scale, false)

static void check_remainder(bool nearest)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct host_x80 a = host_operand80(), b = host_operand80(), want;
        uint16_t fcw = random_fcw(), fsw;
        struct float_status s = x87_status(fcw);
        struct floatx80 got;
        uint64_t q;
        bool partial;

        want = nearest ? host_fprem1(a, b, fcw, &fsw) : host_fprem(a, b, fcw, &fsw);
        got = fx80_rem(x80(a), x80(b), nearest, &q, &partial, &s);
        if (partial && !host_details())
            continue;
        ck_assert_msg(same(want, got) && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && partial == ((fsw >> 10) & 1) &&
                          ((got.se & 0x7fff) == 0x7fff ||
                           (((fsw >> 9) & 1) == (q & 1) && ((fsw >> 14) & 1) == ((q >> 1) & 1) &&
                            ((fsw >> 8) & 1) == ((q >> 2) & 1))),
                      "%04x.%016llx %04x.%016llx fcw %x: host %04x.%016llx %x, here %04x.%016llx %x q %llx", a.se,
                      (long long)a.sig, b.se, (long long)b.sig, fcw, want.se, (long long)want.sig, fsw, got.se,
                      (long long)got.sig, s.flags, (long long)q);
    }
}

START_TEST(fprem_equals_the_host)
{
    check_remainder(false);
}
END_TEST

START_TEST(fprem1_equals_the_host)
{
    check_remainder(true);
}
END_TEST

#define HOST_X87_1(name, insn) \
    static struct host_x80 host_##name(struct host_x80 a, uint16_t fcw, uint16_t *fsw) \
    { \
        struct host_x80 r; \
        host_set_fcw(fcw); \
        __asm__ volatile("fldt %2; " insn "; fnstsw %1; fstpt %0; fnclex" : "=m"(r), "=m"(*fsw) : "m"(a)); \
        return r; \
    }
HOST_X87_1(fx80_sqrt, "fsqrt")
HOST_X87_1(fx80_round_to_int, "frndint")
HOST_X87_1(fx80_2xm1, "f2xm1")
HOST_X87_1(fsin, "fsin")
HOST_X87_1(fcos, "fcos")
HOST_X87_2(fx80_yl2x, "fyl2x; fldz; fxch")
HOST_X87_2(fx80_yl2xp1, "fyl2xp1; fldz; fxch")
HOST_X87_2(fx80_patan, "fpatan; fldz; fxch")

#define X87_UNARY_TEST(name) \
    START_TEST(name##_equals_the_host) \
    { \
        for (int i = 0; i < ROUNDS; i++) { \
            struct host_x80 a = host_operand80(), want; \
            uint16_t fcw = random_fcw(), fsw; \
            struct float_status s = x87_status(fcw); \
            struct floatx80 got; \
            want = host_##name(a, fcw, &fsw); \
            got = name(x80(a), &s); \
            ck_assert_msg(same(want, got) && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && \
                              (!(s.flags & FLOAT_INEXACT) || C1(fsw, s.flags)), \
                          "%04x.%016llx fcw %x: host %04x.%016llx %x, here %04x.%016llx %x", a.se, \
                          (long long)a.sig, fcw, want.se, (long long)want.sig, fsw, got.se, (long long)got.sig, s.flags); \
        } \
    } \
    END_TEST
X87_UNARY_TEST(fx80_sqrt)
X87_UNARY_TEST(fx80_round_to_int)

START_TEST(narrowing_stores_equal_the_host)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct host_x80 a = host_operand80();
        uint16_t fcw = random_fcw(), fsw;
        struct float_status s = x87_status(fcw);
        uint64_t d, got;
        uint32_t f;
        int64_t l;
        int32_t w;
        int16_t h;

        if (host_random() % 4) /* in the range of a double, or of a float */
            a.se = (uint16_t)((a.se & 0x8000) | (16383 + (host_random() % 2 ? host_random() % 2120 - 1080
                                                                            : host_random() % 300 - 160)));
        host_set_fcw(fcw);
        __asm__ volatile("fldt %2; fstpl %0; fnstsw %1; fnclex" : "=m"(d), "=m"(fsw) : "m"(a));
        got = fx80_to_f64(x80(a), &s);
        ck_assert_msg(d == got && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && C1(fsw, s.flags),
                      "f64 of %04x.%016llx fcw %x: host %llx %x, here %llx %x", a.se, (long long)a.sig, fcw,
                      (long long)d, fsw, (long long)got, s.flags);
        s.flags = 0;
        __asm__ volatile("fldt %2; fstps %0; fnstsw %1; fnclex" : "=m"(f), "=m"(fsw) : "m"(a));
        got = fx80_to_f32(x80(a), &s);
        ck_assert_msg(f == got && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && C1(fsw, s.flags),
                      "f32 of %04x.%016llx fcw %x: host %x %x, here %llx %x", a.se, (long long)a.sig, fcw, f, fsw,
                      (long long)got, s.flags);
        s.flags = 0;
        __asm__ volatile("fldt %2; fistpll %0; fnstsw %1; fnclex" : "=m"(l), "=m"(fsw) : "m"(a));
        got = (uint64_t)fx80_to_int(x80(a), 64, s.rounding, &s);
        ck_assert_msg((uint64_t)l == got && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && C1(fsw, s.flags), "fistp64");
        s.flags = 0;
        __asm__ volatile("fldt %2; fistpl %0; fnstsw %1; fnclex" : "=m"(w), "=m"(fsw) : "m"(a));
        got = (uint64_t)fx80_to_int(x80(a), 32, s.rounding, &s);
        ck_assert_msg((uint64_t)w == got && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && C1(fsw, s.flags), "fistp32");
        s.flags = 0;
        __asm__ volatile("fldt %2; fistps %0; fnstsw %1; fnclex" : "=m"(h), "=m"(fsw) : "m"(a));
        got = (uint64_t)fx80_to_int(x80(a), 16, s.rounding, &s);
        ck_assert_msg((uint64_t)h == got && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS) && C1(fsw, s.flags), "fistp16");
    }
}
END_TEST

START_TEST(widening_loads_equal_the_host)
{
    host_set_fcw(0x37f);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t d = host_operand(11, 52);
        uint32_t f = (uint32_t)host_operand(8, 23);
        struct float_status s = x87_status(0x37f);
        struct host_x80 r;
        uint16_t fsw;

        __asm__ volatile("fldl %2; fnstsw %1; fstpt %0; fnclex" : "=m"(r), "=m"(fsw) : "m"(d));
        ck_assert(same(r, fx80_from_f64(d, &s)) && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS));
        s.flags = 0;
        __asm__ volatile("flds %2; fnstsw %1; fstpt %0; fnclex" : "=m"(r), "=m"(fsw) : "m"(f));
        ck_assert(same(r, fx80_from_f32(f, &s)) && (fsw & 0x3f) == (s.flags & FLOAT_FLAGS));
        s.flags = 0;
        __asm__ volatile("fildll %1; fstpt %0" : "=m"(r) : "m"(d));
        ck_assert(same(r, fx80_from_int((int64_t)d)));
    }
}
END_TEST

/* Distance in ulps; far apart or different special values: large. */
static uint64_t ulps(struct host_x80 a, struct floatx80 b)
{
    uint64_t d;

    if (same(a, b))
        return 0;
    if (a.se == b.se)
        d = a.sig > b.sig ? a.sig - b.sig : b.sig - a.sig;
    else if (((a.se ^ b.se) & 0x7fff) <= 1 || ((a.se - b.se) & 0x7fff) == 1 || ((b.se - a.se) & 0x7fff) == 1)
        d = (a.se & 0x7fff) > (b.se & 0x7fff) ? 2 * (a.sig - ((uint64_t)1 << 63)) - b.sig
                                               : 2 * (b.sig - ((uint64_t)1 << 63)) - a.sig;
    else
        return UINT64_MAX;
    return d;
}

static void check_close(const char *what, struct host_x80 a, struct host_x80 b, struct host_x80 want, struct floatx80 got,
                        uint16_t fsw, struct float_status s)
{
    bool special = (got.se & 0x7fff) == 0x7fff;
    /* The host reports underflow for exact denormal results too. */
    unsigned compared = (want.se & 0x7fff) == 0 || !host_details() ? 0x0f : 0x1f;
    ck_assert_msg(ulps(want, got) <= (special ? 0 : 1) && (fsw & compared) == (s.flags & compared),
                  "%s %04x.%016llx %04x.%016llx: host %04x.%016llx %x, here %04x.%016llx %x", what, a.se,
                  (long long)a.sig, b.se, (long long)b.sig, want.se, (long long)want.sig, fsw, got.se,
                  (long long)got.sig, s.flags);
}

#define TRANSCENDENTAL_ROUNDS 8000

START_TEST(powers_and_logarithms_are_within_an_ulp_of_the_host)
{
    for (int i = 0; i < TRANSCENDENTAL_ROUNDS; i++) {
        struct host_x80 a = host_operand80(), b = host_operand80(), want;
        struct float_status s = x87_status(0x37f);
        uint16_t fsw;

        want = host_fx80_yl2x(a, b, 0x37f, &fsw);
        check_close("yl2x", a, b, want, fx80_yl2x(x80(a), x80(b), &s), fsw, s);
        if ((a.se & 0x7fff) > 0x3ffd && (a.se & 0x7fff) < 0x7fff)
            a.se = (uint16_t)((a.se & 0x8000) | (0x3ffc - host_random() % 80));
        s.flags = 0;
        want = host_fx80_2xm1(a, 0x37f, &fsw);
        check_close("2xm1", a, a, want, fx80_2xm1(x80(a), &s), fsw, s);
        if ((a.se & 0x7fff) == 0x7fff)
            continue;
        s.flags = 0;
        want = host_fx80_yl2xp1(a, b, 0x37f, &fsw);
        check_close("yl2xp1", a, b, want, fx80_yl2xp1(x80(a), x80(b), &s), fsw, s);
    }
}
END_TEST

START_TEST(angles_are_within_an_ulp_of_the_host)
{
    for (int i = 0; i < TRANSCENDENTAL_ROUNDS; i++) {
        struct host_x80 a = host_operand80(), b = host_operand80(), want;
        struct float_status s = x87_status(0x37f);
        struct floatx80 sine, cosine, tangent;
        uint16_t fsw;

        want = host_fx80_patan(a, b, 0x37f, &fsw);
        check_close("patan", a, b, want, fx80_patan(x80(a), x80(b), &s), fsw, s);
        if ((a.se & 0x7fff) >= 0x403e && (a.se & 0x7fff) < 0x7fff)
            a.se = (uint16_t)((a.se & 0x8000) | (0x403d - host_random() % 80));
        s.flags = 0;
        want = host_fsin(a, 0x37f, &fsw);
        ck_assert(fx80_trig(x80(a), &sine, NULL, NULL, &s));
        check_close("sin", a, a, want, sine, fsw, s);
        s.flags = 0;
        want = host_fcos(a, 0x37f, &fsw);
        ck_assert(fx80_trig(x80(a), NULL, &cosine, NULL, &s));
        check_close("cos", a, a, want, cosine, fsw, s);
        s.flags = 0;
        host_set_fcw(0x37f);
        __asm__ volatile("fldt %2; fptan; fstp %%st(0); fnstsw %1; fstpt %0; fnclex" : "=m"(want), "=m"(fsw) : "m"(a));
        ck_assert(fx80_trig(x80(a), NULL, NULL, &tangent, &s));
        check_close("tan", a, a, want, tangent, fsw, s);
    }
}
END_TEST

#endif

START_TEST(default_nans_are_those_of_the_architecture)
{
    struct float_status x86 = {0}, a64 = {.positive_default = true};

    ck_assert_uint_eq(f32_div(0, 0, &x86), 0xffc00000u);
    ck_assert_uint_eq(f32_div(0, 0, &a64), 0x7fc00000u);
    ck_assert_uint_eq(f16_div(0, 0, &a64), 0x7e00u);
    ck_assert_uint_eq(x86.flags, FLOAT_INVALID);
}
END_TEST

START_TEST(a64_conversions_saturate)
{
    struct float_status s = {.saturate = true};

    ck_assert_int_eq(f64_to_int(0x43f0000000000000u, 0, 64, ROUND_ZERO, &s), INT64_MAX);
    ck_assert_int_eq(f64_to_int(0x7ff8000000000000u, 0, 64, ROUND_ZERO, &s), 0);
    ck_assert_uint_eq(f32_to_uint(0xbf800000u, 0, 32, ROUND_ZERO, &s), 0);
    ck_assert_uint_eq(f32_to_uint(0x4f800000u, 0, 32, ROUND_ZERO, &s), UINT32_MAX);
    ck_assert_int_eq(f32_to_int(0x3fc00000u, 4, 32, ROUND_ZERO, &s), 24);
}
END_TEST

START_TEST(halves_convert_and_round)
{
    struct float_status s = {0};

    ck_assert_uint_eq(f32_to_f16(0x3f800000u, &s), 0x3c00);
    ck_assert_uint_eq(f64_to_f16(0x40effc0000000000u, &s), 0x7bff); /* 65504 */
    ck_assert_uint_eq(s.flags & FLOAT_FLAGS, 0);
    ck_assert_uint_eq(f64_to_f16(0x40f0000000000000u, &s), 0x7c00);
    ck_assert_uint_eq(s.flags & FLOAT_FLAGS, FLOAT_OVERFLOW | FLOAT_INEXACT);
    ck_assert_uint_eq(f16_to_f32(0x0001, &s), 0x33800000u);
    ck_assert_uint_eq(f16_add(0x3c00, 0x3c00, &s), 0x4000);
}
END_TEST

START_TEST(remainder_is_exact_and_nearest)
{
    struct float_status s = {0};

    ck_assert_uint_eq(f64_rem(0x4014000000000000u, 0x4008000000000000u, &s), 0xbff0000000000000u); /* 5 rem 3 = -1 */
    ck_assert_uint_eq(f64_rem(0x0000000000000003u, 0x7fe0000000000000u, &s), 3);
    ck_assert_uint_eq(f32_rem(0x40000000u, 0x40400000u, &s), 0xbf800000u); /* 2 rem 3 = -1 */
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("softfloat");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
#ifdef HOST_FPU
    tcase_add_test(t, f32_add_equals_the_host);
    tcase_add_test(t, f32_sub_equals_the_host);
    tcase_add_test(t, f32_mul_equals_the_host);
    tcase_add_test(t, f32_div_equals_the_host);
    tcase_add_test(t, f64_add_equals_the_host);
    tcase_add_test(t, f64_sub_equals_the_host);
    tcase_add_test(t, f64_mul_equals_the_host);
    tcase_add_test(t, f64_div_equals_the_host);
    tcase_add_test(t, f32_sqrt_equals_the_host);
    tcase_add_test(t, f64_sqrt_equals_the_host);
    tcase_add_test(t, f32_to_f64_equals_the_host);
    tcase_add_test(t, f64_to_f32_equals_the_host);
    tcase_add_test(t, f32_to_int32_equals_the_host);
    tcase_add_test(t, f32_to_int64_equals_the_host);
    tcase_add_test(t, f64_to_int32_equals_the_host);
    tcase_add_test(t, f64_to_int64_equals_the_host);
    tcase_add_test(t, f32_from_int64_equals_the_host);
    tcase_add_test(t, f64_from_int64_equals_the_host);
    tcase_add_test(t, f32_from_int32_equals_the_host);
    tcase_add_test(t, comparisons_equal_the_host);
    tcase_add_test(t, fused_multiply_add_equals_the_host);
    tcase_add_test(t, fx80_add_equals_the_host);
    tcase_add_test(t, fx80_sub_equals_the_host);
    tcase_add_test(t, fx80_mul_equals_the_host);
    tcase_add_test(t, fx80_div_equals_the_host);
    tcase_add_test(t, fx80_scale_equals_the_host);
    tcase_add_test(t, fprem_equals_the_host);
    tcase_add_test(t, fprem1_equals_the_host);
    tcase_add_test(t, fx80_sqrt_equals_the_host);
    tcase_add_test(t, fx80_round_to_int_equals_the_host);
    tcase_add_test(t, narrowing_stores_equal_the_host);
    tcase_add_test(t, widening_loads_equal_the_host);
    tcase_add_test(t, powers_and_logarithms_are_within_an_ulp_of_the_host);
    tcase_add_test(t, angles_are_within_an_ulp_of_the_host);
#endif
    tcase_add_test(t, default_nans_are_those_of_the_architecture);
    tcase_add_test(t, a64_conversions_saturate);
    tcase_add_test(t, halves_convert_and_round);
    tcase_add_test(t, remainder_is_exact_and_nearest);
    suite_add_tcase(suite, t);
    return suite;
}
