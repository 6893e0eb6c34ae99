/*
 * Claims about the system side of long mode that a comparison with another emulator does not make by itself
 * (tests/guests/system_diff64.c has the rest).
 */
#include "i386_bench64.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

static void setup(void)
{
    b = bench64_new("max");
    s = b->s;
}

static void teardown(void)
{
    bench_free(b);
}

/* SDM 3A 6.14.5 */
START_TEST(an_interrupt_stack_makes_ss_null_at_any_level)
{
    gate64(b, IDT64 + EXC_UD * 16, S_CODE64, handler(EXC_UD), 0x8e, _i);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(s->seg[SEG_SS].selector, _i ? 0 : S_DATA);
    EQ(s->gpr[ESP], (_i ? IST1 : KSTACK) - 40);
    EQ(stack64(b, 4), S_DATA);
    EQ(stack64(b, 3), KSTACK);
}
END_TEST

START_TEST(a_level_change_makes_ss_null_with_the_new_level)
{
    long_mode(b, 3);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(s->seg[SEG_SS].selector, 0);
    EQ(s->gpr[ESP], RSP0 - 40);
    EQ(stack64(b, 4), S_UDATA);
}
END_TEST

/* SDM 3A 4.7: the PK flag tells what the key forbids, whatever else is wrong. */
START_TEST(a_key_is_told_of_beside_other_reasons)
{
    static const struct { uint64_t entry; uint32_t pkru, error; } cases[] = {
        {0x87, 1u << 2, 0x25}, /* the key alone forbids reading */
        {0x83, 1u << 2, 0x05}, /* a page of the supervisor has no key */
        {0x85, 0, 0x07},       /* read-only */
        {0x85, 2u << 2, 0x27}, /* and the key forbids writing, too */
    };
    bool write = _i >= 2;

    poke64(b, PD + 16, 0x200000 | cases[_i].entry | (uint64_t)1 << 59);
    s->cr4 |= CR4_PKE;
    s->pkru = cases[_i].pkru;
    long_mode(b, 3);
    s->gpr[EBX] = 0x500000; /* a mapping of its own: keys hold for what the CPU itself accesses there, too */
    if (write)
        CODE(b, 0x89, 0x03);
    else
        CODE(b, 0x8b, 0x03);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack64(b, 0), cases[_i].error);
}
END_TEST

START_TEST(prefixes_that_are_not_theirs_are_ignored_by_some)
{
    static const struct { uint8_t bytes[4]; bool exists; } cases[] = {
        {{0xf3, 0x0f, 0x01, 0xf9}, true}, /* rdtscp */
        {{0x66, 0x0f, 0x01, 0xf8}, true}, /* swapgs */
        {{0x66, 0x0f, 0x01, 0xca}, false}, /* clac */
        {{0x66, 0x0f, 0xae, 0xf8}, false}, /* sfence */
        {{0x66, 0x0f, 0xae, 0x1b}, false}, /* stmxcsr [rbx] */
        {{0xf3, 0x0f, 0x01, 0xd0}, false}, /* xgetbv */
    };

    s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    s->gpr[EBX] = DATA;
    s->gpr[ECX] = 0;
    refresh(b);
    poke(b, KCODE, cases[_i].bytes, 4);
    steps(b, 1);
    if (cases[_i].exists)
        EQ(s->rip, KCODE + 4);
    else
        EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

/* An opcode that does not exist comes before what the state of the FPU calls for. */
START_TEST(shifts_that_do_not_exist_are_undefined_whatever_is_pending)
{
    CODE(b, 0x0f, 0x71, 0xc1, 0x00); /* group 12, /0 */
    s->fcw = 0;
    s->fsw = 0x8081;
    s->cr0 |= CR0_TS;
    refresh(b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 long mode");
    TCase *t = tcase_create("long mode");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, an_interrupt_stack_makes_ss_null_at_any_level, 0, 2);
    tcase_add_test(t, a_level_change_makes_ss_null_with_the_new_level);
    tcase_add_loop_test(t, a_key_is_told_of_beside_other_reasons, 0, 4);
    tcase_add_loop_test(t, prefixes_that_are_not_theirs_are_ignored_by_some, 0, 6);
    tcase_add_test(t, shifts_that_do_not_exist_are_undefined_whatever_is_pending);
    suite_add_tcase(suite, t);
    return suite;
}
