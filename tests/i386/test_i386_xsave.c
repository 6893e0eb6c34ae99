/*
 * Claims about XSAVE and its like (SDM 1, chapter 13).
 */
#include "base/bytes.h"
#include "i386_bench64.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

#define HEADER (DATA + 512)
#define AVX_AT 576
#define PKRU_AT 2688

static void setup(void)
{
    b = bench64_new("max");
    s = b->s;
    s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE | CR4_PKE;
    s->xcr0 = i386_xcr0_mask(b->c->model);
    s->gpr[EBX] = DATA;
    s->gpr[EAX] = s->gpr[EDX] = 0xffffffffu;
    refresh(b);
}

static void teardown(void)
{
    bench_free(b);
}

/* One instruction with [rbx]. */
static void run(unsigned opcode, unsigned digit, bool wide)
{
    s->rip = b->at = KCODE;
    poke8(b, KCODE, wide ? 0x48 : 0x40);
    poke8(b, KCODE + 1, 0x0f);
    poke8(b, KCODE + 2, (uint8_t)opcode);
    poke8(b, KCODE + 3, (uint8_t)(digit << 3 | EBX));
    steps(b, 1);
}
#define XSAVE()    run(0xae, 4, true)
#define XRSTOR()   run(0xae, 5, true)
#define XSAVEOPT() run(0xae, 6, true)
#define XRSTORS()  run(0xc7, 3, true)
#define XSAVEC()   run(0xc7, 4, true)
#define XSAVES()   run(0xc7, 5, true)
#define DONE       EQ(s->rip, KCODE + 4)

static void fill_area(uint8_t byte)
{
    static uint8_t bytes[4096];

    memset(bytes, byte, sizeof bytes);
    poke(b, DATA, bytes, sizeof bytes);
}

static void fill_state(void)
{
    s->fcw = 0x027f;
    s->fsw = 3 << 11;
    s->ftag = 0xff;
    s->fip = 0x1122334455667788;
    s->fdp = 0x99aabbccddeeff00;
    s->fop = 0x123;
    for (unsigned i = 0; i < 8; i++)
        s->fpr[i] = (struct i386_fpr){.mantissa = (uint64_t)1 << 63 | i, .exponent = (uint16_t)(0x3fff + i)};
    for (unsigned i = 0; i < 16; i++) {
        memset(s->xmm[i].b, (int)(0x10 + i), 16);
        memset(s->ymm_high[i].b, (int)(0x80 + i), 16);
    }
    s->mxcsr = 0x1fa0;
    s->pkru = 0x55550004;
}

static struct i386_state remembered;

static void expect_as_remembered(uint64_t components)
{
    if (components & XCR0_X87) {
        EQ(s->fcw, remembered.fcw);
        EQ(s->fsw, remembered.fsw);
        EQ(s->ftag, remembered.ftag);
        EQ(s->fip, remembered.fip);
        EQ(s->fdp, remembered.fdp);
        EQ(s->fop, remembered.fop);
        ck_assert_mem_eq(s->fpr, remembered.fpr, sizeof s->fpr);
    }
    if (components & XCR0_SSE)
        ck_assert_mem_eq(s->xmm, remembered.xmm, sizeof s->xmm);
    if (components & XCR0_AVX)
        ck_assert_mem_eq(s->ymm_high, remembered.ymm_high, sizeof s->ymm_high);
    if (components & XCR0_PKRU)
        EQ(s->pkru, remembered.pkru);
}

static void wipe(void)
{
    for (unsigned i = 0; i < 8; i++)
        s->fpr[i] = (struct i386_fpr){.mantissa = 7, .exponent = 7};
    memset(s->xmm, 0x77, sizeof s->xmm);
    memset(s->ymm_high, 0x77, sizeof s->ymm_high);
    s->fcw = 0x037f;
    s->fsw = s->fop = 0;
    s->ftag = 0x0f;
    s->fip = s->fdp = 7;
    s->mxcsr = 0x1f80;
    s->pkru = 0;
}

START_TEST(what_is_saved_is_restored_in_every_form)
{
    fill_state();
    remembered = *s;
    fill_area(0);
    if (_i == 0)
        XSAVE();
    else if (_i == 1)
        XSAVEOPT();
    else if (_i == 2)
        XSAVEC();
    else
        XSAVES();
    DONE;
    EQ(peek64(b, HEADER), s->xcr0);
    EQ(peek64(b, HEADER + 8), _i < 2 ? 0 : s->xcr0 | (uint64_t)1 << 63);
    wipe();
    if (_i == 3)
        XRSTORS();
    else
        XRSTOR();
    DONE;
    expect_as_remembered(s->xcr0);
    EQ(s->mxcsr, 0x1fa0);
}
END_TEST

START_TEST(only_what_is_asked_for_is_written)
{
    fill_state();
    fill_area(0xee);
    poke64(b, HEADER, 0x8000000000000101);
    s->gpr[EAX] = XCR0_SSE;
    s->gpr[EDX] = 0;
    XSAVE();
    DONE;
    EQ(peek64(b, HEADER), 0x8000000000000101 | XCR0_SSE); /* other bits stay */
    EQ(peek64(b, HEADER + 8), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA + 16), 0xeeeeeeeeeeeeeeee);
    EQ(peek32(b, DATA + 24), 0x1fa0);
    EQ(peek32(b, DATA + 28), 0xffff);
    EQ(peek64(b, DATA + 32), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA + 160), 0x1010101010101010);
    EQ(peek64(b, DATA + 160 + 15 * 16), 0x1f1f1f1f1f1f1f1f);
    EQ(peek64(b, DATA + 416), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA + AVX_AT), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA + PKRU_AT), 0xeeeeeeeeeeeeeeee);
}
END_TEST

START_TEST(the_initial_state_is_left_out_but_by_xsave)
{
    run(0xae, 5, true); /* a zero header: everything initial, MXCSR from the area */
    fill_area(0);
    poke32(b, DATA + 24, 0x1f80);
    XRSTOR();
    DONE;
    fill_area(0xee);
    poke64(b, HEADER, 0);
    XSAVEOPT();
    DONE;
    EQ(peek64(b, HEADER), 0);
    EQ(peek64(b, DATA), 0xeeeeeeeeeeeeeeee);
    EQ(peek64(b, DATA + 160), 0xeeeeeeeeeeeeeeee);
    EQ(peek32(b, DATA + 24), 0x1f80);

    fill_area(0xee);
    XSAVEC();
    DONE;
    EQ(peek64(b, HEADER), 0);
    EQ(peek64(b, HEADER + 8), s->xcr0 | (uint64_t)1 << 63);
    EQ(peek32(b, DATA + 24), 0xeeeeeeee);

    fill_area(0);
    XSAVE();
    DONE;
    EQ(peek64(b, HEADER), 0);
    EQ(peek16(b, DATA), 0x037f);
    EQ(peek32(b, DATA + 24), 0x1f80);
}
END_TEST

/* MXCSR alone makes SSE count as in use where an area is compacted. */
START_TEST(mxcsr_goes_with_sse_in_compacted_areas)
{
    memset(s->xmm, 0, sizeof s->xmm);
    s->mxcsr = 0x1fa0;
    fill_area(0xee);
    s->gpr[EAX] = XCR0_SSE;
    s->gpr[EDX] = 0;
    XSAVEC();
    DONE;
    EQ(peek64(b, HEADER), XCR0_SSE);
    EQ(peek32(b, DATA + 24), 0x1fa0);
    EQ(peek64(b, DATA + 160), 0);
    fill_area(0);
    poke64(b, HEADER + 8, (uint64_t)1 << 63 | XCR0_SSE);
    XRSTOR();
    DONE;
    EQ(s->mxcsr, 0x1f80);
    s->mxcsr = 0x1fa0;
    fill_area(0); /* the standard form: whatever the header says */
    poke32(b, DATA + 24, 0x1f00);
    XRSTOR();
    DONE;
    EQ(s->mxcsr, 0x1f00);
}
END_TEST

START_TEST(components_that_are_not_asked_for_stay)
{
    fill_state();
    remembered = *s;
    fill_area(0);
    poke32(b, DATA + 24, 0x1f80);
    s->gpr[EAX] = XCR0_PKRU;
    s->gpr[EDX] = 0;
    XRSTOR();
    DONE;
    expect_as_remembered(XCR0_X87 | XCR0_SSE | XCR0_AVX);
    EQ(s->mxcsr, remembered.mxcsr);
    EQ(s->pkru, 0);
}
END_TEST

/* Compacted: one component behind the other, in an area that says which. */
START_TEST(a_compacted_area_has_no_holes)
{
    fill_state();
    fill_area(0);
    s->gpr[EAX] = XCR0_PKRU;
    s->gpr[EDX] = 0;
    XSAVEC();
    DONE;
    EQ(peek64(b, DATA + 576), 0x55550004);
    fill_area(0);
    s->gpr[EAX] = XCR0_PKRU | XCR0_AVX;
    XSAVEC();
    EQ(peek64(b, DATA + (s->xcr0 & XCR0_AVX ? 832 : 576)), 0x55550004);
}
END_TEST

START_TEST(bad_headers_are_gp)
{
    static const struct { unsigned at; uint64_t value; bool compacted_only; } bad[] = {
        {512, 0x8000, false}, {520, 1, false}, {528, 1, false}, {520, (uint64_t)1 << 63 | 0x8000, false}, {536, 1, true}, {568, (uint64_t)1 << 56, true},
        {512, 4, true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        for (unsigned compacted = 0; compacted < 2; compacted++) {
            s->gpr[ESP] = KSTACK;
            fill_area(0);
            if (compacted)
                poke64(b, HEADER + 8, (uint64_t)1 << 63 | 1);
            poke64(b, DATA + bad[i].at, bad[i].value);
            XRSTOR();
            if (bad[i].compacted_only && !compacted && (bad[i].at != 512 || s->xcr0 & XCR0_AVX)) {
                DONE;
                continue;
            }
            EXPECT_VECTOR(b, EXC_GP);
            EQ(stack64(b, 0), 0);
        }
    fill_area(0);
    s->gpr[ESP] = KSTACK;
    poke32(b, DATA + 24, 0x10000);
    XRSTOR();
    EXPECT_VECTOR(b, EXC_GP);
    fill_area(0); /* XRSTORS takes no standard form */
    s->gpr[ESP] = KSTACK;
    XRSTORS();
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(the_exceptions_are_those_of_the_manual)
{
    static const struct { unsigned opcode, digit; } all[] = {{0xae, 4}, {0xae, 5}, {0xae, 6}, {0xc7, 3}, {0xc7, 4}, {0xc7, 5}};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        fill_area(0);
        s->gpr[ESP] = KSTACK;
        s->gpr[EBX] = DATA + 32;
        run(all[i].opcode, all[i].digit, false);
        EXPECT_VECTOR(b, EXC_GP);
        s->gpr[EBX] = DATA;
        s->cr0 |= CR0_TS;
        run(all[i].opcode, all[i].digit, false);
        EXPECT_VECTOR(b, EXC_NM);
        s->cr4 &= ~CR4_OSXSAVE;
        refresh(b);
        run(all[i].opcode, all[i].digit, false);
        EXPECT_VECTOR(b, EXC_UD);
        s->cr0 &= ~CR0_TS;
        s->cr4 |= CR4_OSXSAVE;
        refresh(b);
    }
    long_mode(b, 3);
    poke(b, UCODE, "\x0f\xc7\x2b", 3); /* xsaves */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(a_fault_in_the_middle_changes_nothing)
{
    fill_state();
    remembered = *s;
    fill_area(0xee);
    poke64(b, PD, PT | 7);
    for (unsigned n = 0; n < 512; n++)
        poke64(b, PT + 8 * n, n << 12 | 7);
    poke64(b, PT + 8 * ((DATA >> 12) + 1), 0); /* the page after DATA's */
    ucpu_flush_tlb(&b->c->u);
    s->gpr[EBX] = DATA + 0x1000 - 512;
    XSAVE();
    EXPECT_VECTOR(b, EXC_PF);
    EQ(s->cr2, DATA + 0x1000);
    EQ(peek64(b, DATA + 0x1000 - 512), 0xeeeeeeeeeeeeeeee);
    s->gpr[ESP] = KSTACK;
    wipe();
    remembered = *s;
    XRSTOR();
    EXPECT_VECTOR(b, EXC_PF);
    expect_as_remembered(s->xcr0);
}
END_TEST

START_TEST(xgetbv_tells_what_is_enabled_and_in_use)
{
    static const uint8_t xgetbv[] = {0x0f, 0x01, 0xd0};

    fill_state();
    s->pkru = 0;
    memset(s->xmm, 0, sizeof s->xmm);
    poke(b, KCODE, xgetbv, 3);
    s->gpr[ECX] = 1;
    steps(b, 1);
    EQ(s->gpr[EAX], s->xcr0 & (XCR0_X87 | XCR0_AVX));
    EQ(s->gpr[EDX], 0);
    s->rip = KCODE;
    s->gpr[ECX] = 0;
    steps(b, 1);
    EQ(s->gpr[EAX], s->xcr0);
    s->rip = KCODE;
    s->gpr[ECX] = 2;
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(xsetbv_refuses_what_cannot_be)
{
    static const uint64_t bad[] = {0, XCR0_SSE, XCR0_X87 | XCR0_AVX, XCR0_X87 | 8, XCR0_X87 | (uint64_t)1 << 63};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        s->gpr[ESP] = KSTACK;
        s->rip = KCODE;
        poke(b, KCODE, "\x0f\x01\xd1", 3);
        s->gpr[ECX] = 0;
        s->gpr[EAX] = (uint32_t)bad[i];
        s->gpr[EDX] = bad[i] >> 32;
        steps(b, 1);
        EXPECT_VECTOR(b, EXC_GP);
    }
    s->rip = KCODE;
    s->gpr[EAX] = XCR0_X87;
    s->gpr[EDX] = 0;
    steps(b, 1);
    EQ(s->xcr0, XCR0_X87);
}
END_TEST

/* Outside 64-bit mode the upper eight registers are neither saved nor restored. */
START_TEST(other_modes_have_eight_registers)
{
    static const uint8_t code[] = {0x0f, 0xae, 0x23, 0x0f, 0xae, 0x2b}; /* xsave [ebx]; xrstor [ebx] */

    fill_state();
    segment64(b, SEG_CS, S_CODE, 11, 0);
    s->seg[SEG_CS].attr = (uint16_t)((s->seg[SEG_CS].attr & ~SEG_ATTR_L) | SEG_ATTR_DB);
    refresh(b);
    fill_area(0);
    poke(b, KCODE, code, sizeof code);
    steps(b, 1);
    EQ(peek64(b, DATA + 160 + 7 * 16), 0x1717171717171717);
    EQ(peek64(b, DATA + 160 + 8 * 16), 0);
    remembered = *s;
    fill_area(0);
    poke32(b, DATA + 24, 0x1f80);
    steps(b, 1);
    EQ(s->rip, KCODE + 6);
    EQ(s->xmm[7].q[0], 0);
    EQ(s->xmm[8].q[0], 0x1818181818181818);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 XSAVE");
    TCase *t = tcase_create("xsave");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, what_is_saved_is_restored_in_every_form, 0, 4);
    tcase_add_test(t, only_what_is_asked_for_is_written);
    tcase_add_test(t, the_initial_state_is_left_out_but_by_xsave);
    tcase_add_test(t, mxcsr_goes_with_sse_in_compacted_areas);
    tcase_add_test(t, components_that_are_not_asked_for_stay);
    tcase_add_test(t, a_compacted_area_has_no_holes);
    tcase_add_test(t, bad_headers_are_gp);
    tcase_add_test(t, the_exceptions_are_those_of_the_manual);
    tcase_add_test(t, a_fault_in_the_middle_changes_nothing);
    tcase_add_test(t, xgetbv_tells_what_is_enabled_and_in_use);
    tcase_add_test(t, xsetbv_refuses_what_cannot_be);
    tcase_add_test(t, other_modes_have_eight_registers);
    suite_add_tcase(suite, t);
    return suite;
}
