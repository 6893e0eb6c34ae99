/*
 * Claims about instructions on XMM and YMM registers that a differential test in a user program cannot make: who may
 * execute them, alignment, what a fault leaves behind, masks and page faults.
 */
#include "i386/lower.h"
#include "i386/vector.h"
#include "i386_bench.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

static void with_model(const char *model)
{
    b = bench_new(model);
    s = b->s;
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    s->mxcsr = 0x1f80;
    refresh(b);
}

static void setup(void)
{
    with_model("max");
}

static void enable_avx(void)
{
    s->cr4 |= CR4_OSXSAVE;
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    refresh(b);
}

static void teardown(void)
{
    bench_free(b);
}

/* Run the code at KCODE. */
static void run(const void *bytes, unsigned len)
{
    s->rip = KCODE;
    s->seg[SEG_CS] = flat(S_CODE, 0x9b);
    s->gpr[ESP] = KSTACK;
    refresh(b);
    poke(b, KCODE, bytes, len);
    EQ(steps(b, 1), STOP_LIMIT);
}
#define RUN(...) \
    do { \
        static const uint8_t bytes_[] = {__VA_ARGS__}; \
        run(bytes_, sizeof bytes_); \
    } while (0)
#define RAISES(v, ...) \
    do { \
        RUN(__VA_ARGS__); \
        EXPECT_VECTOR(b, v); \
    } while (0)
#define RUNS(...) \
    do { \
        static const uint8_t code_[] = {__VA_ARGS__}; \
        run(code_, sizeof code_); \
        EQ(s->rip, KCODE + sizeof code_); \
    } while (0)

/* Paging on, everything mapped 1:1; the page at `address` gets `flags`. */
static void paging_with(uint32_t address, uint32_t flags)
{
    poke32(b, PAGES, (PAGES + 0x1000) | 7);
    for (uint32_t n = 0; n < 1024; n++)
        poke32(b, PAGES + 0x1000 + 4 * n, n << 12 | 0x67);
    poke32(b, PAGES + 0x1000 + (address >> 12) * 4, (address & ~0xfffu) | flags);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG | CR0_WP;
    refresh(b);
}

/* ---- who may ---- */

START_TEST(em_ts_and_osfxsr_raise_the_right_faults)
{
    enable_avx();
    s->cr0 |= CR0_TS;
    RAISES(EXC_NM, 0x0f, 0x58, 0xc1);       /* addps */
    RAISES(EXC_NM, 0xc5, 0xf8, 0x58, 0xc1); /* vaddps */
    RAISES(EXC_NM, 0x66, 0x0f, 0x38, 0x00, 0xc1);
    s->cr0 = (s->cr0 & ~CR0_TS) | CR0_EM;
    RAISES(EXC_UD, 0x0f, 0x58, 0xc1);
    RAISES(EXC_UD, 0x66, 0x0f, 0x3a, 0x0f, 0xc1, 0x01);
    RUNS(0xc5, 0xf8, 0x58, 0xc1); /* what has VEX does not ask EM and OSFXSR */
    s->cr0 &= ~CR0_EM;
    s->cr4 &= ~CR4_OSFXSR;
    RAISES(EXC_UD, 0x0f, 0x58, 0xc1);
    RAISES(EXC_UD, 0x66, 0x0f, 0x38, 0x00, 0xc1);
    RUNS(0xc5, 0xf8, 0x58, 0xc1);
    RUNS(0x0f, 0x38, 0x00, 0xc1); /* PSHUFB on MMX registers */
}
END_TEST

START_TEST(vex_needs_osxsave_and_xcr0_and_protected_mode)
{
    RAISES(EXC_UD, 0xc5, 0xf8, 0x58, 0xc1);
    enable_avx();
    RUNS(0xc5, 0xf8, 0x58, 0xc1);
    RUNS(0xc5, 0xfc, 0x58, 0xc1);
    s->xcr0 = XCR0_X87 | XCR0_SSE;
    RAISES(EXC_UD, 0xc5, 0xf8, 0x58, 0xc1);
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    s->cr4 &= ~CR4_OSXSAVE;
    RAISES(EXC_UD, 0xc5, 0xf8, 0x58, 0xc1);
    s->cr4 |= CR4_OSXSAVE;
    real_mode(b);
    CODE(b, 0xc5, 0xf8, 0x58, 0xc1);
    poke32(b, 4 * EXC_UD, 0x12345678);
    EQ(steps(b, 1), STOP_LIMIT);
    EQ(s->rip, 0x5678);
}
END_TEST

START_TEST(models_lack_later_instructions)
{
    static const struct { const char *model; uint8_t code[6]; bool has; } claims[] = {
        {"pentium3", {0x0f, 0x58, 0xc1}, true},              {"pentium3", {0x66, 0x0f, 0x58, 0xc1}, false},
        {"pentium3", {0x66, 0x0f, 0xef, 0xc1}, false},       {"pentium4", {0x66, 0x0f, 0xef, 0xc1}, true},
        {"pentium4", {0xf2, 0x0f, 0x7c, 0xc1}, false},       {"coreduo", {0xf2, 0x0f, 0x7c, 0xc1}, true},
        {"coreduo", {0x66, 0x0f, 0x38, 0x00, 0xc1}, false},  {"n270", {0x66, 0x0f, 0x38, 0x00, 0xc1}, true},
        {"n270", {0x66, 0x0f, 0x38, 0x17, 0xc1}, false},     {"Nehalem", {0x66, 0x0f, 0x38, 0x17, 0xc1}, true},
        {"Nehalem", {0x66, 0x0f, 0x38, 0x37, 0xc1}, true},   {"Nehalem", {0x66, 0x0f, 0x38, 0xdc, 0xc1}, false},
        {"core2duo", {0x66, 0x0f, 0x38, 0x17, 0xc1}, false}, {"Haswell", {0x66, 0x0f, 0x38, 0xdc, 0xc1}, true},
        {"Nehalem", {0xc5, 0xf8, 0x58, 0xc1}, false},        {"Haswell", {0xc5, 0xf8, 0x58, 0xc1}, true},
        {"Haswell", {0xc4, 0xe2, 0x71, 0x98, 0xc1}, true},   {"Haswell", {0xc5, 0xfd, 0xfe, 0xc1}, true},
        {"Haswell", {0xc4, 0xe2, 0x75, 0xdc, 0xc1}, false},  {"max", {0xc4, 0xe2, 0x75, 0xdc, 0xc1}, true},
        {"max,-vaes", {0xc4, 0xe2, 0x75, 0xdc, 0xc1}, false}, {"max,-vaes", {0xc4, 0xe2, 0x71, 0xdc, 0xc1}, true},
        {"max,-vpclmulqdq", {0xc4, 0xe3, 0x75, 0x44, 0xc1, 0x00}, false}, {"max", {0xc4, 0xe3, 0x75, 0x44, 0xc1, 0x00}, true},
        {"max32", {0xc5, 0xfd, 0xfe, 0xc1}, true},           {"qemu64", {0x66, 0x0f, 0x38, 0x00, 0xc1}, false},
    };

    for (size_t n = 0; n < ARRAY_LEN(claims); n++) {
        bench_free(b);
        with_model(claims[n].model);
        enable_avx();
        run(claims[n].code, sizeof claims[n].code);
        ck_assert_msg((s->rip == handler(EXC_UD)) != claims[n].has, "claim %zu: %s", n, claims[n].model);
    }
}
END_TEST

START_TEST(lengths_w_and_vvvv_that_do_not_exist)
{
    enable_avx();
    RAISES(EXC_UD, 0xc5, 0xfd, 0x6e, 0xc1);             /* VMOVD of 256 bits */
    RAISES(EXC_UD, 0xc5, 0xfd, 0xd6, 0xc1);             /* VMOVQ */
    RAISES(EXC_UD, 0xc4, 0xe2, 0x7d, 0xdb, 0xc1);       /* VAESIMC */
    RAISES(EXC_UD, 0xc4, 0xe3, 0x7d, 0x14, 0xc1, 0x00); /* VPEXTRB */
    RAISES(EXC_UD, 0xc4, 0xe2, 0x79, 0x19, 0x01);       /* VBROADCASTSD of 128 bits */
    RAISES(EXC_UD, 0xc4, 0xe3, 0x71, 0x06, 0xc1, 0x00); /* VPERM2F128 */
    RAISES(EXC_UD, 0xc4, 0xe3, 0x7d, 0x00, 0xc1, 0x00); /* VPERMQ with W clear */
    RAISES(EXC_UD, 0xc4, 0xe2, 0xfd, 0x18, 0x01);       /* VBROADCASTSS with W set */
    RAISES(EXC_UD, 0xc4, 0xe3, 0xf1, 0x4a, 0xc1, 0x00); /* VBLENDVPS */
    RAISES(EXC_UD, 0xc5, 0xe8, 0x28, 0xc1);             /* VMOVAPS with a vvvv */
    RAISES(EXC_UD, 0xc5, 0xea, 0x10, 0x01);             /* VMOVSS from memory */
    RUNS(0xc5, 0xea, 0x10, 0xc1);
    RAISES(EXC_UD, 0xc5, 0xf1, 0x71, 0xc8, 0x01);       /* group 12, /1 */
    RAISES(EXC_UD, 0xc5, 0xfd, 0x77);                   /* VZEROUPPER with a prefix 66 */
    RAISES(EXC_UD, 0xc5, 0xf8, 0xc8, 0xc1);
    RAISES(EXC_UD, 0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x11); /* VPGATHERDD: index is the mask */
    RAISES(EXC_UD, 0xf0, 0x0f, 0x58, 0x01);             /* LOCK ADDPS */
}
END_TEST

/* ---- alignment ---- */

START_TEST(alignment_is_asked_without_vex_and_of_moves_that_say_so)
{
    enable_avx();
    s->gpr[EBX] = DATA + 4;
    RAISES(EXC_GP, 0x0f, 0x28, 0x03); /* movaps */
    RAISES(EXC_GP, 0x0f, 0x29, 0x03);
    RAISES(EXC_GP, 0x0f, 0x58, 0x03); /* addps */
    RAISES(EXC_GP, 0x66, 0x0f, 0xfc, 0x03);
    RAISES(EXC_GP, 0x66, 0x0f, 0x38, 0x00, 0x03);
    RUNS(0x0f, 0x10, 0x03);
    RUNS(0xf3, 0x0f, 0x58, 0x03);
    RUNS(0xf2, 0x0f, 0xf0, 0x03);                   /* lddqu */
    RUNS(0x66, 0x0f, 0x3a, 0x63, 0x03, 0x00);       /* pcmpistri */
    RUNS(0x66, 0x0f, 0x38, 0x20, 0x03);             /* pmovsxbw */
    RUNS(0xc5, 0xf8, 0x58, 0x03);
    RUNS(0xc5, 0xfd, 0xfe, 0x03);
    RAISES(EXC_GP, 0xc5, 0xf8, 0x28, 0x03);         /* vmovaps */
    RAISES(EXC_GP, 0xc4, 0xe2, 0x79, 0x2a, 0x03);   /* vmovntdqa */
    s->gpr[EBX] = DATA + 16;
    RUNS(0xc5, 0xf8, 0x28, 0x03);
    RAISES(EXC_GP, 0xc5, 0xfc, 0x28, 0x03);         /* of 32 bytes */
    RAISES(EXC_GP, 0xc5, 0xfd, 0xe7, 0x03);         /* vmovntdq */
}
END_TEST

/* ---- faults ---- */

START_TEST(an_unmasked_error_is_xm_or_ud_and_changes_nothing_but_flags)
{
    enable_avx();
    s->mxcsr = 0x1f80 & ~0x0200u; /* zero divide unmasked */
    s->xmm[0].l[0] = 0x3f800000;
    s->ymm_high[0].l[3] = 0x3f800000;
    RAISES(EXC_XM, 0xf3, 0x0f, 0x5e, 0xc1);
    EQ(s->mxcsr & 0x3f, 4);
    EQ(s->xmm[0].l[0], 0x3f800000);
    s->mxcsr &= ~0x3fu;
    s->xmm[0].l[0] = 0;
    s->xmm[1].l[0] = s->xmm[1].l[1] = s->xmm[1].l[2] = s->xmm[1].l[3] = 0x3f800000;
    RAISES(EXC_XM, 0xc5, 0xfc, 0x5e, 0xc1); /* only in the upper half */
    EQ(s->ymm_high[0].l[3], 0x3f800000);
    s->cr4 &= ~CR4_OSXMMEXCPT;
    RAISES(EXC_UD, 0xc5, 0xfc, 0x5e, 0xc1);
}
END_TEST

START_TEST(an_access_of_32_bytes_that_faults_in_its_second_page_does_nothing)
{
    enable_avx();
    paging_with(DATA + 0x1000, 0);
    s->gpr[EBX] = DATA + 0xff0;
    for (unsigned k = 0; k < 16; k++)
        s->xmm[2].b[k] = s->ymm_high[2].b[k] = (uint8_t)(k + 1);
    RAISES(EXC_PF, 0xc5, 0xfe, 0x7f, 0x13); /* vmovdqu [ebx], ymm2 */
    EQ(s->cr2, DATA + 0x1000);
    EQ(peek32(b, DATA + 0xff0), 0);
    RAISES(EXC_PF, 0xc5, 0xfe, 0x6f, 0x13);
    EQ(s->xmm[2].b[0], 1);
    RAISES(EXC_PF, 0xc5, 0xed, 0xfe, 0x13); /* vpaddd ymm2, ymm2, [ebx] */
    EQ(s->xmm[2].b[0], 1);
    RUNS(0xc5, 0xfa, 0x7f, 0x13); /* 16 bytes are there */
    EQ(peek32(b, DATA + 0xff0), 0x04030201);
}
END_TEST

START_TEST(masked_out_elements_are_not_accessed)
{
    enable_avx();
    paging_with(DATA + 0x1000, 0);
    s->gpr[EBX] = DATA + 0xff8;
    for (unsigned k = 0; k < 4; k++)
        s->xmm[2].l[k] = 100 + k;
    s->xmm[1].l[0] = s->xmm[1].l[1] = 0x80000000u;
    s->xmm[1].l[2] = s->xmm[1].l[3] = 0x7fffffff;
    RUNS(0xc4, 0xe2, 0x71, 0x2e, 0x13); /* vmaskmovps [ebx], xmm1, xmm2 */
    EQ(peek32(b, DATA + 0xff8), 100);
    EQ(peek32(b, DATA + 0xffc), 101);
    s->ymm_high[3].q[1] = 5;
    RUNS(0xc4, 0xe2, 0x71, 0x2c, 0x1b); /* vmaskmovps xmm3, xmm1, [ebx] */
    EQ(s->xmm[3].l[1], 101);
    EQ(s->xmm[3].q[1], 0);
    EQ(s->ymm_high[3].q[1], 0);
    s->xmm[1].l[3] = 0xffffffffu;
    RAISES(EXC_PF, 0xc4, 0xe2, 0x71, 0x8e, 0x13); /* vpmaskmovd: the whole or nothing */
    EQ(s->cr2, DATA + 0x1004);
    poke32(b, DATA + 0xff8, 7);
    RAISES(EXC_PF, 0xc4, 0xe2, 0x71, 0x8e, 0x13);
    EQ(peek32(b, DATA + 0xff8), 7);
}
END_TEST

START_TEST(a_gather_that_faults_goes_on_where_it_was)
{
    enable_avx();
    paging_with(DATA + 0x1000, 0);
    for (unsigned k = 0; k < 8; k++)
        poke32(b, DATA + 4 * k, 1000 + k);
    s->gpr[EBX] = DATA;
    for (unsigned k = 0; k < 4; k++) {
        s->xmm[2].l[k] = k;          /* indices */
        s->ymm_high[2].l[k] = 4 + k;
        s->xmm[3].l[k] = s->ymm_high[3].l[k] = 0xffffffffu;
        s->xmm[1].l[k] = s->ymm_high[1].l[k] = 5;
    }
    s->xmm[3].l[1] = 0;             /* not this one, wherever it is */
    s->xmm[2].l[1] = 0x10000000;
    s->xmm[2].l[3] = 0x400 + 3;     /* in the page that is not there */
    RAISES(EXC_PF, 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x93); /* vpgatherdd ymm1, [ebx + ymm2 * 4], ymm3 */
    EQ(s->cr2, DATA + 0x100c);
    EQ(s->xmm[1].l[0], 1000);
    EQ(s->xmm[1].l[1], 5);
    EQ(s->xmm[1].l[2], 1002);
    EQ(s->xmm[1].l[3], 5);
    EQ(s->xmm[3].q[0], 0);
    EQ(s->xmm[3].q[1], UINT64_C(0xffffffff00000000));
    EQ(s->ymm_high[3].q[0], UINT64_MAX);
    paging_with(DATA + 0x1000, (DATA + 0x1000) | 0x67);
    poke32(b, DATA, 0); /* what is loaded stays so */
    RUNS(0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x93);
    EQ(s->xmm[1].l[0], 1000);
    EQ(s->xmm[1].l[3], 0);
    EQ(s->ymm_high[1].l[3], 1007);
    EQ(s->xmm[3].q[1] | s->xmm[3].q[0] | s->ymm_high[3].q[0] | s->ymm_high[3].q[1], 0);
}
END_TEST

START_TEST(vzeroupper_outside_64_bit_mode_knows_eight_registers)
{
    enable_avx();
    for (unsigned n = 0; n < 16; n++)
        s->xmm[n].q[0] = s->ymm_high[n].q[1] = n + 1;
    RUNS(0xc5, 0xf8, 0x77);
    EQ(s->xmm[7].q[0], 8);
    EQ(s->ymm_high[7].q[1], 0);
    EQ(s->ymm_high[8].q[1], 9);
    RUNS(0xc5, 0xfc, 0x77);
    EQ(s->xmm[7].q[0], 0);
    EQ(s->xmm[8].q[0], 9);
}
END_TEST

/* ---- segments ---- */

START_TEST(a_segment_limit_holds_for_what_is_accessed)
{
    enable_avx();
    s->seg[SEG_DS] = flat(S_SMALL, 0x93);
    s->seg[SEG_DS].limit = 0xff;
    s->gpr[EBX] = 0xf0;
    RUNS(0x0f, 0x10, 0x03);
    RUNS(0xc5, 0xf8, 0x58, 0x03);
    RAISES(EXC_GP, 0xc5, 0xfc, 0x58, 0x03); /* 32 bytes */
    s->gpr[EBX] = 0xfc;
    RUNS(0xf3, 0x0f, 0x58, 0x03);
    RAISES(EXC_GP, 0xf2, 0x0f, 0x58, 0x03);
    RUNS(0x66, 0x0f, 0x38, 0x21, 0x03); /* pmovsxbd: 4 bytes */
    RAISES(EXC_GP, 0x66, 0x0f, 0x38, 0x20, 0x03);
}
END_TEST

/* ---- approximations ---- */

static double number(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, 4);
    return (double)f;
}

START_TEST(approximations_are_within_the_manuals_bound)
{
    union i386_xmm a = {.q = {0, 0}}, x = {.q = {0, 0}}, r;

    for (uint32_t i = 0; i < 0x01000000; i += 613) {
        double value, error;

        x.l[0] = 0x3f800000u + i;
        value = number(x.l[0]);
        vector_rcpss(&r, &a, &x, &x, 0);
        error = number(r.l[0]) * value - 1;
        ck_assert(error < 1.5 / 4096 && error > -1.5 / 4096);
        vector_rsqrtss(&r, &a, &x, &x, 0);
        error = number(r.l[0]) * number(r.l[0]) * value - 1; /* (1 + e)^2 - 1 */
        ck_assert(error < 3.0 / 4096 && error > -3.0 / 4096);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 XMM and YMM registers");
    TCase *t = tcase_create("simd");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, em_ts_and_osfxsr_raise_the_right_faults);
    tcase_add_test(t, vex_needs_osxsave_and_xcr0_and_protected_mode);
    tcase_add_test(t, models_lack_later_instructions);
    tcase_add_test(t, lengths_w_and_vvvv_that_do_not_exist);
    tcase_add_test(t, alignment_is_asked_without_vex_and_of_moves_that_say_so);
    tcase_add_test(t, an_unmasked_error_is_xm_or_ud_and_changes_nothing_but_flags);
    tcase_add_test(t, an_access_of_32_bytes_that_faults_in_its_second_page_does_nothing);
    tcase_add_test(t, masked_out_elements_are_not_accessed);
    tcase_add_test(t, a_gather_that_faults_goes_on_where_it_was);
    tcase_add_test(t, vzeroupper_outside_64_bit_mode_knows_eight_registers);
    tcase_add_test(t, a_segment_limit_holds_for_what_is_accessed);
    tcase_add_test(t, approximations_are_within_the_manuals_bound);
    suite_add_tcase(suite, t);
    return suite;
}
