/*
 * Claims about instructions on XMM and YMM registers that a differential test in a user program cannot make: who may
 * execute them, alignment, what a fault leaves behind, masks and page faults.
 */
#include "i386/fpu.h"
#include "i386/lower.h"
#include "i386/vector.h"
#include "i386_bench.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

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

/* ---- what is masked by bytes, and conversions of MMX registers: interpreted and compiled (bit 0 of _i) ---- */

/* Code that goes round: EMMS; FINCSTP; `bytes`; ADD EDI, EDX; ADD EBX, EDX; DEC EBP; JNZ. Not `resets`: without the first two. Traps stay at
 * their handlers. */
static uint32_t loop_insns;
static void begin_loop(bool compiled, bool resets, const void *bytes, unsigned len)
{
    unsigned at = KCODE;

    if (compiled)
        with_jit(&b->c->u);
    if (resets) {
        poke(b, at, "\x0f\x77\xd9\xf7", 4);
        at += 4;
    }
    poke(b, at, bytes, len);
    at += len;
    poke(b, at, (uint8_t[]){0x01, 0xd7, 0x01, 0xd3, 0x4d, 0x75, (uint8_t)(KCODE - at - 7)}, 7);
    loop_insns = resets ? 7 : 5;
    for (unsigned v = 0; v < 32; v++)
        poke16(b, handler(v), 0xfeeb);
    s->seg[SEG_CS] = flat(S_CODE, 0x9b);
}

/* Go round so many times, EDI and EBX by so many bytes each; or to an exception. */
static enum stop_kind loop_by(unsigned times, uint32_t by)
{
    s->rip = KCODE;
    s->gpr[EBP] = times + 1;
    s->gpr[EDX] = by;
    s->gpr[ESP] = KSTACK;
    refresh(b);
    return steps(b, loop_insns * times);
}

static enum stop_kind loop(unsigned times)
{
    return loop_by(times, 0);
}

/* MASKMOVDQU xmm1, xmm2, or MASKMOVQ mm1, mm2. */
static void begin_masked(bool compiled, bool resets, bool vector)
{
    if (vector)
        begin_loop(compiled, resets, "\x66\x0f\xf7\xca", 4);
    else
        begin_loop(compiled, resets, "\x0f\xf7\xca", 3);
    for (unsigned k = 0; k < 16; k++)
        s->xmm[1].b[k] = (uint8_t)(0x90 + k);
    memcpy(&s->fpr[1].mantissa, &s->xmm[1], 8);
    s->fcw = 0x37f;
}

static void set_mask(unsigned mask)
{
    for (unsigned k = 0; k < 16; k++)
        s->xmm[2].b[k] = (uint8_t)(mask >> k & 1 ? 0x80 | k : 0x7f - k);
    memcpy(&s->fpr[2].mantissa, &s->xmm[2], 8);
}

/* After a loop that resets. */
static void expect_mmx_state(bool gone_to)
{
    EQ(s->ftag, gone_to ? 0xff : 0);
    EQ(s->fsw & FSW_TOP, gone_to ? 0 : 1 << 11);
}

#define COMPILED (_i & 1)
#define VECTOR   ((_i & 2) != 0)
#define WAYS     4

START_TEST(bytes_whose_mask_is_set_are_stored_and_no_others)
{
    static const unsigned masks[] = {0xffff, 0, 1, 0x8000, 0x80, 0x5aa5, 0x00ff, 0x7ffe};
    static const uint32_t places[] = {DATA, DATA + 3, DATA + 0xff0, DATA + 0xff8, DATA + 0xff9, DATA + 0xfff};
    const unsigned n = VECTOR ? 16 : 8;

    begin_masked(COMPILED, true, VECTOR);
    for (unsigned i = 0; i < ARRAY_LEN(masks); i++)
        for (unsigned k = 0; k < ARRAY_LEN(places); k++) {
            for (unsigned at = 0; at < 48; at++)
                poke8(b, places[k] - 16 + at, (uint8_t)at);
            set_mask(masks[i]);
                    s->gpr[EDI] = places[k];
            EQ(loop(20), STOP_LIMIT);
            EQ(s->rip, KCODE);
            expect_mmx_state(!VECTOR);
            for (unsigned at = 0; at < 48; at++)
                EQ(peek8(b, places[k] - 16 + at), at >= 16 && at < 16 + n && masks[i] >> (at - 16) & 1 ? 0x90 + at - 16 : at);
        }
}
END_TEST

START_TEST(no_mask_is_no_access_and_a_fault_changes_nothing)
{
    paging_with(DATA, 0);
    begin_masked(COMPILED, true, VECTOR);
    set_mask(0);
    s->gpr[EDI] = DATA + 8;
    EQ(loop(20), STOP_LIMIT);
    EQ(s->rip, KCODE);
    expect_mmx_state(!VECTOR);
    set_mask(0x42);
    for (unsigned i = 0; i < 2; i++) {
        s->gpr[EDI] = DATA + 0x1810; /* three there, the fourth not */
        loop_by(20, 0u - 0x400u);
        EXPECT_VECTOR(b, EXC_PF);
        EQ(s->gpr[EBP], 18);
        EQ(s->cr2, DATA + 0xc10);
        expect_mmx_state(false);
    }
    s->gpr[EDI] = DATA - 0x100 - (VECTOR ? 15 : 7); /* the last but one byte is across the page's begin */
    set_mask(1);
    loop_by(20, 0x100);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(s->gpr[EBP], 20);
    EQ(s->cr2, DATA);
    EQ(peek8(b, DATA - (VECTOR ? 15 : 7)), 0);
    EQ(peek8(b, DATA - 0x100 - (VECTOR ? 15 : 7)), 0x90);
    expect_mmx_state(false);
}
END_TEST

static unsigned hits;

static bool count(void *ctx, const struct trap_hit *hit)
{
    (void)ctx;
    EQ(hit->kind, TRAP_WRITE);
    hits++;
    return false;
}

START_TEST(a_watchpoint_hits_bytes_whose_mask_is_set)
{
    static const struct trap at = {.address = DATA + 5, .len = 1, .kinds = TRAP_WRITE};

    begin_masked(COMPILED, true, VECTOR);
    s->gpr[EDI] = DATA;
    set_mask(0xff);
    loop(20); /* it is served in line */
    b->m->traps->hit = count;
    machine_set_traps(b->m, &at, 1);
    hits = 0;
    set_mask(0xffdf);
    loop(20);
    EQ(hits, 0);
    set_mask(0x20);
    loop(20);
    EQ(hits, 20);
    EQ(s->rip, KCODE);
    EQ(peek8(b, DATA + 5), 0x95);
}
END_TEST

START_TEST(no_mask_leaves_a_page_clean)
{
    const uint32_t page = memory_page_of(&b->m->memory, DATA);

    begin_masked(COMPILED, true, VECTOR);
    s->gpr[EDI] = DATA;
    set_mask(0xff);
    loop(20);
    page_space_clean(&b->m->memory.pages);
    set_mask(0);
    loop(20);
    EQ(b->m->memory.flags[page] & PAGE_FLAG_DIRTY, 0);
    set_mask(0x80);
    loop(1);
    EQ(b->m->memory.flags[page] & PAGE_FLAG_DIRTY, PAGE_FLAG_DIRTY);
}
END_TEST

/* It stores over itself: what is run next is what is there then. */
START_TEST(bytes_over_code_are_seen_at_once)
{
    begin_masked(COMPILED, true, VECTOR);
    s->xmm[1].b[3] = 0x45; /* INC EBP for DEC EBP */
    memcpy(&s->fpr[1].mantissa, &s->xmm[1], 8);
    set_mask(8);
    s->gpr[EDI] = DATA;
    loop(20);
    s->gpr[EDI] = KCODE + (VECTOR ? 9 : 8);
    loop(1);
    EQ(s->rip, KCODE);
    EQ(s->gpr[EBP], 3);
}
END_TEST

START_TEST(masked_bytes_go_by_segment_and_address_size)
{
    begin_masked(COMPILED, true, VECTOR);
    set_mask(0x81);
    s->seg[SEG_FS] = flat(S_SMALL, 0x93);
    s->seg[SEG_FS].base = 0x100;
    s->seg[SEG_FS].limit = DATA + 0x1f;
    s->gpr[EDI] = DATA + 0x10;
    if (VECTOR)
        begin_loop(false, true, "\x64\x66\x0f\xf7\xca", 5);
    else
        begin_loop(false, true, "\x64\x0f\xf7\xca", 4);
    loop(20);
    EQ(s->rip, KCODE);
    EQ(peek32(b, DATA + 0x10), 0);
    EQ(peek8(b, DATA + 0x110), 0x90);
    EQ(peek8(b, DATA + 0x111), 0);
    EQ(peek8(b, DATA + 0x117), 0x97);
    s->gpr[EDI] = DATA + (VECTOR ? 0x11 : 0x19); /* the last one is beyond the limit */
    loop(20);
    EXPECT_VECTOR(b, EXC_GP);
    expect_mmx_state(false);
    if (VECTOR)
        begin_loop(false, true, "\x67\x66\x0f\xf7\xca", 5);
    else
        begin_loop(false, true, "\x67\x0f\xf7\xca", 4);
    s->gpr[EDI] = 0x7fff0000 + 0xc000; /* at DI */
    loop(20);
    EQ(s->rip, KCODE);
    EQ(peek8(b, 0xc000), 0x90);
    EQ(peek8(b, 0xc001), 0);
}
END_TEST

START_TEST(who_may_store_by_a_mask)
{
    begin_masked(COMPILED, false, VECTOR);
    set_mask(0);
    s->gpr[EDI] = DATA;
    loop(20);
    s->cr0 |= CR0_TS;
    loop(20);
    EXPECT_VECTOR(b, EXC_NM);
    s->cr0 |= CR0_EM;
    loop(20);
    EXPECT_VECTOR(b, EXC_UD);
    s->cr0 = (s->cr0 & ~(CR0_TS | CR0_EM)) | CR0_NE;
    s->cr4 &= ~CR4_OSFXSR;
    loop(20);
    EQ(s->rip, VECTOR ? handler(EXC_UD) : KCODE);
    s->cr4 |= CR4_OSFXSR;
    s->fcw = 0x37e;
    s->fsw = 0x8081;
    loop(20);
    EQ(s->rip, VECTOR ? KCODE : handler(EXC_MF));
}
END_TEST

/* CVTPI2PS, CVTPI2PD xmm1, [ebx] */
static void begin_from_integers(bool compiled, bool resets, bool pd)
{
    if (pd)
        begin_loop(compiled, resets, "\x66\x0f\x2a\x0b", 4);
    else
        begin_loop(compiled, resets, "\x0f\x2a\x0b", 3);
    s->fcw = 0x37f;
    s->gpr[EBX] = DATA + 4;
    poke32(b, DATA + 4, 3);
    poke32(b, DATA + 8, 0xfffffffeu);
    s->xmm[1].q[1] = 77;
    s->fpr[0].exponent = 0x3fff;
}

START_TEST(integers_in_memory_become_floats_and_only_cvtpi2ps_goes_to_mmx_state)
{
    const bool pd = VECTOR;

    begin_from_integers(COMPILED, true, pd);
    loop(20);
    EQ(s->rip, KCODE);
    expect_mmx_state(!pd);
    EQ(s->fpr[0].exponent, 0x3fff);
    EQ(s->xmm[1].q[0], pd ? 0x4008000000000000u : 0xc000000040400000u);
    EQ(s->xmm[1].q[1], pd ? 0xc000000000000000u : 77);
    EQ(s->mxcsr, 0x1f80);
    poke32(b, DATA + 4, 0x7fffffff);
    loop(20);
    EQ(s->mxcsr, pd ? 0x1f80 : 0x1fa0); /* inexact */
    s->mxcsr = 0x1f80 & ~0x1000u;
    loop(20);
    EQ(s->rip, pd ? KCODE : handler(EXC_XM));
    expect_mmx_state(false);
}
END_TEST

START_TEST(cvtpi2pd_of_memory_is_no_matter_of_the_x87)
{
    const bool pd = VECTOR;

    begin_from_integers(COMPILED, false, pd);
    loop(20);
    s->cr0 |= CR0_NE;
    s->fcw = 0x37e;
    s->fsw = 0x8081;
    loop(20);
    EQ(s->rip, pd ? KCODE : handler(EXC_MF));
    s->fsw = 0;
    s->cr0 |= CR0_TS;
    loop(20);
    EXPECT_VECTOR(b, EXC_NM);
    s->cr0 &= ~CR0_TS;
    s->cr4 &= ~CR4_OSFXSR;
    loop(20);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

/* CVTPD2PI, CVTTPD2PI mm1, [ebx] */
START_TEST(doubles_in_memory_become_integers_if_they_are_aligned)
{
    const bool truncates = VECTOR;

    if (truncates)
        begin_loop(COMPILED, true, "\x66\x0f\x2c\x0b", 4);
    else
        begin_loop(COMPILED, true, "\x66\x0f\x2d\x0b", 4);
    s->fcw = 0x37f;
    for (unsigned k = 0; k < 64; k += 16) {
        poke64(b, DATA + k, 0x4005000000000000u);     /* 2.625 */
        poke64(b, DATA + k + 8, 0xc00c000000000000u); /* -3.5 */
    }
    s->gpr[EBX] = DATA + 16;
    loop(20);
    EQ(s->rip, KCODE);
    expect_mmx_state(true);
    EQ(s->fpr[1].mantissa, truncates ? 0xfffffffd00000002u : 0xfffffffc00000003u);
    EQ(s->fpr[1].exponent, 0xffff);
    EQ(s->mxcsr, 0x1fa0);
    s->gpr[EBX] = DATA + 8;
    loop(20);
    EXPECT_VECTOR(b, EXC_GP);
    s->gpr[EBX] = DATA;
    loop_by(20, 8); /* the first is aligned */
    EXPECT_VECTOR(b, EXC_GP);
    EQ(s->gpr[EBP], 20);
    expect_mmx_state(false);
    s->mxcsr = 0x1f80 & ~0x1000u;
    s->gpr[EBX] = DATA + 16;
    loop(20);
    EXPECT_VECTOR(b, EXC_XM);
    expect_mmx_state(false);
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

/* ---- dot products ---- */

#if defined(__x86_64__)

enum { DOT_CASES = 64, DOT_A = 0, DOT_B = 32, DOT_R = 64, DOT_BEGIN = 96, DOT_END = 100, DOT_STEP = 128, MX_FLAGS = 0x3f };

/* One step, by the host: its flags come to those of *mxcsr. */
#define STEP(type, name, insn) \
    static type name(type a, type b_, uint32_t *mxcsr) \
    { \
        uint32_t was; \
\
        __asm__ volatile("stmxcsr %0\n\tldmxcsr %1\n\t" insn " %3, %2\n\tstmxcsr %1\n\tldmxcsr %0" \
                         : "=m"(was), "+m"(*mxcsr), "+x"(a) : "x"(b_)); \
        return a; \
    }
STEP(float, mul_s, "mulss")
STEP(float, add_s, "addss")
STEP(double, mul_d, "mulsd")
STEP(double, add_d, "addsd")

/* The pseudo-code of DPPS and DPPD (SDM 2A), of 128 bits. */
static void dot_s(float r[4], const float x[4], const float y[4], unsigned imm8, uint32_t *mxcsr)
{
    float p[4], sum;

    for (unsigned n = 0; n < 4; n++)
        p[n] = imm8 >> (4 + n) & 1 ? mul_s(x[n], y[n], mxcsr) : 0;
    sum = add_s(p[0], p[1], mxcsr);
    sum = add_s(sum, add_s(p[2], p[3], mxcsr), mxcsr);
    for (unsigned n = 0; n < 4; n++)
        r[n] = imm8 >> n & 1 ? sum : 0;
}

static void dot_d(double r[2], const double x[2], const double y[2], unsigned imm8, uint32_t *mxcsr)
{
    double p[2], sum;

    for (unsigned n = 0; n < 2; n++)
        p[n] = imm8 >> (4 + n) & 1 ? mul_d(x[n], y[n], mxcsr) : 0;
    sum = add_d(p[0], p[1], mxcsr);
    for (unsigned n = 0; n < 2; n++)
        r[n] = imm8 >> n & 1 ? sum : 0;
}

/* Numbers at random, among them those that exceptions are made of. */
static uint64_t any_number(bool doubles)
{
    static const uint32_t special[] = {0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
                                       0x7f800001, 0xffa00002, 0x7fc00003, 0xffc00004, 0x3f800000, 0xbf800000, 0x20000001, 0x9f800003};
    static uint64_t seed = 88172645463325252u;
    uint32_t v;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    v = seed >> 60 < 9 ? special[(seed >> 20) % ARRAY_LEN(special)] : ((uint32_t)(seed >> 20) & 0x83ffffff) + 0x3e000000;
    if (!doubles)
        return v;
    return (uint64_t)(v & 0x80000000) << 32 | (uint64_t)((v >> 23 & 0xff) == 0xff ? 0x7ff : (v >> 23 & 0xff) ? (v >> 23 & 0xff) + 896 : 0) << 52 |
           (uint64_t)(v & 0x7fffff) << 29 | (seed >> 8 & (v & 0x7fffff ? 0xff : 0));
}

static void put_dot_cases(bool doubles, uint32_t control)
{
    for (uint32_t at = DATA; at < DATA + DOT_CASES * DOT_STEP; at += DOT_STEP) {
        for (unsigned n = 0; n < 64; n += doubles ? 8 : 4) {
            uint64_t v = any_number(doubles);

            poke(b, at + DOT_A + n, &v, doubles ? 8 : 4);
        }
        poke32(b, at + DOT_BEGIN, control);
    }
}

/* Were the results those of single steps? */
static void check_dots(bool doubles, bool pair, unsigned imm8, uint32_t control)
{
    for (uint32_t at = DATA; at < DATA + DOT_CASES * DOT_STEP; at += DOT_STEP) {
        union i386_xmm x[2], y[2], r[2], got[2];
        uint32_t mxcsr = control;

        memory_read_bytes(&b->m->memory, at + DOT_A, x, 32);
        memory_read_bytes(&b->m->memory, at + DOT_B, y, 32);
        memory_read_bytes(&b->m->memory, at + DOT_R, got, 32);
        for (unsigned half = 0; half < (pair ? 2 : 1); half++) {
            if (doubles)
                dot_d((double *)&r[half], (double *)&x[half], (double *)&y[half], imm8, &mxcsr);
            else
                dot_s((float *)&r[half], (float *)&x[half], (float *)&y[half], imm8, &mxcsr);
            ck_assert_mem_eq(&got[half], &r[half], 16);
        }
        EQ(peek32(b, at + DOT_END), mxcsr);
    }
}

START_TEST(a_dot_product_is_its_steps_each_with_its_flags)
{
    static const uint32_t controls[] = {0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x1fc0, 0x9f80, 0xff80};

    enable_avx();
    for (unsigned round = 0; round < 400; round++) {
        bool doubles = round % 4 == 3, pair = round % 4 == 2;
        unsigned imm8 = round < 100 ? 0xff : round * 37 & 0xff;
        uint32_t control = controls[round % ARRAY_LEN(controls)];
        uint8_t legacy[] = {0x0f, 0xae, 0x57, DOT_BEGIN, /* ldmxcsr [edi+DOT_BEGIN] */
                            0x0f, 0x10, 0x07, 0x0f, 0x10, 0x4f, DOT_B, /* movups xmm0, [edi]; movups xmm1, [edi+DOT_B] */
                            0x66, 0x0f, 0x3a, doubles ? 0x41 : 0x40, 0xc1, (uint8_t)imm8, /* dpps xmm0, xmm1, imm8 */
                            0x0f, 0x11, 0x47, DOT_R, 0x0f, 0xae, 0x5f, DOT_END}; /* movups [edi+DOT_R], xmm0; stmxcsr [edi+DOT_END] */
        uint8_t vex[] = {0x0f, 0xae, 0x57, DOT_BEGIN,
                         0xc5, 0xfc, 0x10, 0x07, 0xc5, 0xfc, 0x10, 0x4f, DOT_B, /* the same of ymm0 and ymm1 */
                         0xc4, 0xe3, 0x7d, 0x40, 0xc1, (uint8_t)imm8,
                         0xc5, 0xfc, 0x11, 0x47, DOT_R, 0x0f, 0xae, 0x5f, DOT_END};

        put_dot_cases(doubles, control);
        begin_loop(_i && !round, false, pair ? vex : legacy, pair ? sizeof vex : sizeof legacy);
        loop_insns = 10;
        s->gpr[EDI] = DATA;
        EQ(loop_by(DOT_CASES, DOT_STEP), STOP_LIMIT);
        check_dots(doubles, pair, imm8, control);
    }
}
END_TEST

/* An unmasked step is where it ends: flags up to there, and nothing else. */
START_TEST(a_dot_product_ends_at_a_step_that_is_not_masked)
{
    static const uint32_t big[4] = {0x7f000000, 0x7f000000, 0, 0}, more[4] = {0x3fc00000, 0x3fc00000, 0x3f800000, 0x3f800000};
    uint32_t kept;

    poke(b, DATA, big, 16);
    poke(b, DATA + 16, more, 16);
    s->xmm[0].q[0] = s->xmm[0].q[1] = 0;
    memcpy(&s->xmm[0], big, 16);
    kept = s->xmm[0].l[0];
    s->gpr[EDI] = DATA;
    s->mxcsr = 0x1f80 & ~0x400u; /* overflow: in the sum of two, not in the products */
    RAISES(EXC_XM, 0x66, 0x0f, 0x3a, 0x40, 0x47, 0x10, 0xff);
    EQ(s->xmm[0].l[0], kept);
    EQ(s->mxcsr & 8, 8);
}
END_TEST
#endif

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

/* Every sign, exponent and fraction of eleven bits, and others below them: compiled as the functions have it. */
START_TEST(approximations_are_the_same_in_compiled_code)
{
    enum { SOURCE = 0x80000, TARGET = 0x100000, VECTORS = 4096 };
    static union i386_xmm in[VECTORS], out[4 * VECTORS];
    static const union i386_xmm first = {.q = {0x1111111122222222u, 0x3333333344444444u}};
    uint32_t noise = 1;

    ck_assert(with_jit(&b->c->u) || true);
    for (uint32_t top = 0; top < 1u << 20;) {
        for (unsigned i = 0; i < VECTORS; i++)
            for (unsigned k = 0; k < 4; k++, top++)
                in[i].l[k] = top << 12 | (noise = noise * 1664525u + 1013904223u) >> 20;
        poke(b, SOURCE, in, sizeof in);
        s->rip = b->at = KCODE;
        s->gpr[ESI] = SOURCE;
        s->gpr[EDI] = TARGET;
        s->gpr[ECX] = VECTORS;
        s->xmm[2] = first;
        s->halted = 0;
        CODE(b, 0x0f, 0x53, 0x06, 0x0f, 0x29, 0x07,                         /* rcpps (%esi), %xmm0; movaps %xmm0, (%edi) */
             0x0f, 0x28, 0x0e, 0x0f, 0x52, 0xc9, 0x0f, 0x29, 0x4f, 0x10,    /* movaps (%esi), %xmm1; rsqrtps %xmm1, %xmm1; movaps %xmm1, 16(%edi) */
             0x0f, 0x28, 0xda, 0xf3, 0x0f, 0x53, 0x1e, 0x0f, 0x29, 0x5f, 0x20, /* movaps %xmm2, %xmm3; rcpss (%esi), %xmm3; movaps %xmm3, 32(%edi) */
             0x0f, 0x28, 0x26, 0xf3, 0x0f, 0x52, 0xe4, 0x0f, 0x29, 0x67, 0x30, /* movaps (%esi), %xmm4; rsqrtss %xmm4, %xmm4; movaps %xmm4, 48(%edi) */
             0x83, 0xc6, 0x10, 0x83, 0xc7, 0x40, 0x49, 0x75, 0xd1, 0xf4);   /* add $16, %esi; add $64, %edi; dec %ecx; jnz; hlt */
        steps(b, 15 * VECTORS + 1);
        ck_assert_msg(s->halted == I386_HALTED, "at %llx", (unsigned long long)s->rip);
        memory_read_bytes(&b->m->memory, TARGET, out, sizeof out);
        for (unsigned i = 0; i < VECTORS; i++) {
            union i386_xmm want[4];

            vector_rcpps(&want[0], &in[i], &in[i], &in[i], 0);
            vector_rsqrtps(&want[1], &in[i], &in[i], &in[i], 0);
            vector_rcpss(&want[2], &first, &in[i], &in[i], 0);
            vector_rsqrtss(&want[3], &in[i], &in[i], &in[i], 0);
            if (memcmp(want, &out[4 * i], sizeof want) != 0)
                ck_abort_msg("of %x %x %x %x", in[i].l[0], in[i].l[1], in[i].l[2], in[i].l[3]);
        }
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
    tcase_add_loop_test(t, bytes_whose_mask_is_set_are_stored_and_no_others, 0, WAYS);
    tcase_add_loop_test(t, no_mask_is_no_access_and_a_fault_changes_nothing, 0, WAYS);
    tcase_add_loop_test(t, a_watchpoint_hits_bytes_whose_mask_is_set, 0, WAYS);
    tcase_add_loop_test(t, no_mask_leaves_a_page_clean, 0, WAYS);
    tcase_add_loop_test(t, bytes_over_code_are_seen_at_once, 0, WAYS);
    tcase_add_loop_test(t, masked_bytes_go_by_segment_and_address_size, 0, WAYS);
    tcase_add_loop_test(t, who_may_store_by_a_mask, 0, WAYS);
    tcase_add_loop_test(t, integers_in_memory_become_floats_and_only_cvtpi2ps_goes_to_mmx_state, 0, WAYS);
    tcase_add_loop_test(t, cvtpi2pd_of_memory_is_no_matter_of_the_x87, 0, WAYS);
    tcase_add_loop_test(t, doubles_in_memory_become_integers_if_they_are_aligned, 0, WAYS);
    tcase_add_test(t, a_segment_limit_holds_for_what_is_accessed);
#if defined(__x86_64__)
    tcase_add_loop_test(t, a_dot_product_is_its_steps_each_with_its_flags, 0, 2);
    tcase_add_test(t, a_dot_product_ends_at_a_step_that_is_not_masked);
#endif
    tcase_add_test(t, approximations_are_within_the_manuals_bound);
    tcase_add_test(t, approximations_are_the_same_in_compiled_code);
    suite_add_tcase(suite, t);
    return suite;
}
