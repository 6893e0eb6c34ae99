/*
 * Claims about performance counters (SDM 3B 20.2), and about IA32_TSC_ADJUST (17.17.3).
 */
#include "i386/protect.h"
#include "i386_bench.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

enum {
    PMC0 = 0xc1, EVTSEL0 = 0x186, FIXED0 = 0x309, FIXED_CTRL = 0x38d, STATUS = 0x38e, GLOBAL = 0x38f, OVF = 0x390,
    TSC = 0x10, TSC_ADJUST = 0x3b,
};
#define INSTRUCTIONS 0xc0u
#define CYCLES       0x3cu
#define USR (1u << 16)
#define OS  (1u << 17)
#define INT (1u << 20)
#define EN  (1u << 22)
#define FULL ((uint64_t)1 << 48)

static struct bench *b;
static struct i386_state *s;
static unsigned pmis;
static icount_t pmi_at;

static void pmi(void *ctx)
{
    (void)ctx;
    pmis++;
    pmi_at = b->m->st->position;
    i386_raise_nmi(b->c);
}

static void with_model(const char *model)
{
    if (b)
        bench_free(b);
    b = bench_new(model);
    s = b->s;
    b->c->pmi = pmi;
    pmis = 0;
}

static void setup(void)
{
    with_model("Haswell,pmu=on");
}

static void teardown(void)
{
    bench_free(b);
    b = NULL;
}

static void put(uint32_t n, uint64_t value)
{
    ck_assert_msg(i386_write_msr(b->c, n, value), "%x", n);
}

static void refused(uint32_t n, uint64_t value)
{
    ck_assert_msg(!i386_write_msr(b->c, n, value), "%x", n);
}

/* RDMSR, as a step, by an instruction that stands elsewhere. */
static uint64_t get(uint32_t n)
{
    uint64_t rip = s->rip, a = s->gpr[EAX], c = s->gpr[ECX], d = s->gpr[EDX], value;

    poke16(b, CODE2, 0x320f);
    s->rip = CODE2;
    s->gpr[ECX] = n;
    steps(b, 1);
    ck_assert_msg(s->rip == CODE2 + 2, "%x", n);
    value = s->gpr[EAX] | s->gpr[EDX] << 32;
    s->rip = rip;
    s->gpr[EAX] = a;
    s->gpr[ECX] = c;
    s->gpr[EDX] = d;
    return value;
}

/* Everything stops; so what is read afterwards is what was counted. */
static uint64_t counted(uint32_t n)
{
    put(GLOBAL, 0);
    return get(n);
}

static void nops(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        CODE(b, 0x90);
}

START_TEST(cpuid_tells_of_them)
{
    static const struct { const char *words; uint32_t eax; } models[] = {
        {"Haswell,pmu=on", 0x07300402}, {"Haswell", 0}, {"core2duo,+pmu", 0x07300402}, {"max", 0}, {"max,pmu=on", 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        with_model(models[i].words);
        CODE(b, 0x0f, 0xa2);
        s->gpr[EAX] = 10;
        steps(b, 1);
        EQ(s->gpr[EAX], models[i].eax);
        EQ(s->gpr[EDX], models[i].eax ? 0x603 : 0);
        EQ(s->gpr[EBX], models[i].eax ? 0x78 : 0);
    }
}
END_TEST

START_TEST(instructions_and_cycles_are_counted)
{
    nops(20);
    put(EVTSEL0, INSTRUCTIONS | OS | EN);
    put(EVTSEL0 + 1, CYCLES | OS | EN);
    put(EVTSEL0 + 2, CYCLES | 0x100 | OS | EN);
    put(EVTSEL0 + 3, 0xc4 | OS | EN); /* branches: not there */
    put(FIXED_CTRL, 0x111);
    put(GLOBAL, UINT64_C(0x70000000f));
    steps(b, 7);
    EQ(counted(PMC0), 7);
    EQ(counted(PMC0 + 1), 7);
    EQ(counted(PMC0 + 2), 7);
    EQ(counted(PMC0 + 3), 0);
    EQ(counted(FIXED0), 7);
    EQ(counted(FIXED0 + 1), 7);
    EQ(counted(FIXED0 + 2), 7);
    steps(b, 3); /* they stand */
    EQ(get(PMC0), 7);
    put(PMC0, 0xffffffff);
    EQ(get(PMC0), FULL - 1); /* sign-extended */
    put(FIXED0, FULL - 2);
    EQ(get(FIXED0), FULL - 2);
}
END_TEST

/* One REP MOVSB of 100 bytes, however many steps; an interrupt's entry and an exception's are none. */
START_TEST(a_repeated_string_is_one_instruction_and_an_entry_none)
{
    put(FIXED_CTRL, 0x11);
    put(GLOBAL, UINT64_C(3) << 32);
    CODE(b, 0xf3, 0xa4, 0x0f, 0x0b);
    s->gpr[ECX] = 100;
    s->gpr[ESI] = DATA;
    s->gpr[EDI] = DATA + 0x1000;
    steps(b, 40);
    i386_raise_nmi(b->c);
    poke8(b, handler(EXC_NMI), 0xcf);
    steps(b, 1 + 1 + 60 + 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(counted(FIXED0), 2); /* IRET, MOVS */
    EQ(get(FIXED0 + 1), 103);
}
END_TEST

/* SYSENTER belongs to the program, SYSEXIT to the system, and a fault's entry to nobody. */
START_TEST(levels_are_told_apart)
{
    user_mode(b);
    put(0x174, S_CODE);
    put(0x175, ESP0);
    put(0x176, KCODE);
    poke(b, UCODE, "\x90\x90\x0f\x34\x90\x0f\x0b", 7); /* nop; nop; sysenter; nop; ud2 */
    poke(b, KCODE, "\x90\xba\x04\x00\x03\x00\xb9\x00\xa0\x00\x00\x0f\x35", 13); /* nop; edx = UCODE + 4; ecx = USTACK; sysexit */
    put(EVTSEL0, INSTRUCTIONS | USR | EN);
    put(EVTSEL0 + 1, INSTRUCTIONS | OS | EN);
    put(EVTSEL0 + 2, INSTRUCTIONS | USR | OS | EN);
    put(EVTSEL0 + 3, CYCLES | USR | EN);
    put(FIXED_CTRL, 0x12);
    put(GLOBAL, UINT64_C(0x30000000f));
    steps(b, 3 + 4 + 1);
    EQ(s->cpl, 3);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(counted(PMC0), 4);
    EQ(get(PMC0 + 1), 4);
    EQ(get(PMC0 + 2), 8);
    EQ(get(PMC0 + 3), 5);
    EQ(get(FIXED0), 4);
    EQ(get(FIXED0 + 1), 4);
}
END_TEST

/* The interrupt comes after the very step, in whatever pieces it is run. */
START_TEST(an_overflow_interrupts_at_its_step)
{
    for (unsigned piece = 1; piece < 60; piece += 7) {
        with_model("Haswell,pmu=on");
        CODE(b, 0x90, 0xeb, 0xfd); /* nop; jmp */
        put(EVTSEL0, INSTRUCTIONS | OS | EN | INT);
        put(PMC0, (uint32_t)-33);
        put(FIXED_CTRL, 0x10); /* overflows, but does not interrupt */
        put(FIXED0 + 1, FULL - 20);
        put(GLOBAL, UINT64_C(0x20000000f));
        for (unsigned done = 0; !pmis && done < 60; done += piece)
            steps(b, piece);
        EQ(pmis, 1);
        EQ(pmi_at, 33);
        s->nmi_pending = 0;
        EQ(get(STATUS), UINT64_C(0x200000001));
        put(OVF, 1);
        EQ(get(STATUS), UINT64_C(0x200000000));
    }
}
END_TEST

/* A counter that did not count where the run began overflows in it. */
START_TEST(a_counter_that_begins_to_count_overflows_at_its_step)
{
    for (unsigned piece = 1; piece < 100; piece += 33) {
        with_model("Haswell,pmu=on");
        put(0x174, S_CODE);
        put(EVTSEL0, INSTRUCTIONS | USR | EN | INT);
        put(PMC0, (uint32_t)-9);
        put(GLOBAL, 1);
        poke(b, KCODE, "\x90\x90\xba\x00\x00\x03\x00\xb9\x00\xa0\x00\x00\x0f\x35", 14); /* ...; edx = UCODE; ecx = USTACK; sysexit */
        for (unsigned n = 0; n < 50; n++)
            poke8(b, UCODE + n, 0x90);
        for (unsigned done = 0; !pmis && done < 20; done += piece)
            steps(b, piece < 20 ? piece : 20);
        EQ(pmis, 1);
        EQ(pmi_at, 5 + 9);
    }
}
END_TEST

START_TEST(an_overflow_is_the_same_in_every_engine)
{
    uint64_t hash = 0;

    for (unsigned way = 0; way < 3; way++) {
        with_model("Haswell,pmu=on");
        poke8(b, handler(EXC_NMI), 0xcf);
        CODE(b, 0x40, 0x43, 0xf3, 0xaa, 0xb1, 0x05, 0xeb, 0xf8); /* inc eax; inc ebx; rep stosb; mov cl, 5; jmp */
        s->gpr[EDI] = DATA;
        if (way == 2)
            with_jit(&b->c->u);
        put(EVTSEL0, INSTRUCTIONS | OS | EN | INT);
        put(PMC0, (uint32_t)-3000);
        put(GLOBAL, 1);
        if (way == 1)
            for (unsigned n = 0; n < 12000; n++)
                steps(b, 1);
        else
            steps(b, 12000);
        EQ(pmis, 1);
        if (!way)
            hash = pmi_at;
        EQ(pmi_at, hash);
    }
}
END_TEST

/* FREEZE_LBRS_ON_PMI (17.4.7). */
START_TEST(an_overflows_interrupt_ends_the_recording_of_last_branches)
{
    nops(20);
    put(EVTSEL0, INSTRUCTIONS | OS | EN | INT);
    put(PMC0, 0xfffffffe);
    put(GLOBAL, 1);
    put(0x1d9, 0x801);
    steps(b, 1);
    EQ(s->debugctl, 0x801);
    steps(b, 1);
    EQ(s->debugctl, 0x800);
    EQ(pmis, 1);
}
END_TEST

START_TEST(freezing_stops_all)
{
    nops(30);
    put(0x1d9, 0x1000);
    put(EVTSEL0, INSTRUCTIONS | OS | EN | INT);
    put(PMC0, (uint32_t)-5);
    put(FIXED_CTRL, 1);
    put(GLOBAL, UINT64_C(0x10000000f));
    steps(b, 10);
    EQ(pmis, 1);
    EQ(get(GLOBAL), 0);
    EQ(get(FIXED0), 5);
}
END_TEST

START_TEST(reserved_bits_are_refused)
{
    refused(EVTSEL0, 1u << 21);
    refused(EVTSEL0, UINT64_C(1) << 32);
    refused(FIXED_CTRL, 4);
    refused(FIXED_CTRL, 0x1000);
    refused(GLOBAL, 0x10);
    refused(GLOBAL, UINT64_C(8) << 32);
    refused(STATUS, 0);
    refused(OVF, UINT64_C(1) << 61);
    refused(FIXED0, FULL);
    refused(EVTSEL0 + 4, 0);
    refused(FIXED0 + 3, 0);
    EQ(get(GLOBAL), 15); /* as after a reset */
    with_model("Haswell");
    refused(EVTSEL0, 0);
    refused(GLOBAL, 0);
    refused(PMC0, 0);
}
END_TEST

static void rdpmc(uint32_t n, unsigned vector)
{
    uint32_t at = s->cpl ? UCODE : KCODE;

    s->rip = at;
    poke(b, at, "\x0f\x33", 2);
    s->gpr[ECX] = n;
    steps(b, 1);
    ck_assert_msg(vector ? s->rip == handler(vector) : s->rip == at + 2, "%x: %x", n, (unsigned)s->rip);
}

START_TEST(rdpmc_asks_cr4_above_level_0)
{
    put(PMC0 + 2, 77);
    put(FIXED0 + 1, UINT64_C(0x123456789a));
    rdpmc(2, 0);
    EQ(s->gpr[EAX], 77);
    rdpmc(0x40000001, 0);
    EQ(s->gpr[EAX], 0x3456789a);
    EQ(s->gpr[EDX], 0x12);
    rdpmc(4, EXC_GP);
    rdpmc(0x40000003, EXC_GP);
    rdpmc(0x80000000, EXC_GP);
    user_mode(b);
    s->cr4 |= CR4_PCE;
    refresh(b);
    rdpmc(2, 0);
    EQ(s->gpr[EAX], 77);
    s->cr4 &= ~CR4_PCE;
    rdpmc(2, EXC_GP);
}
END_TEST

/* SDM 3B 20.2.6: without full-width writes, 32 bits with their sign. */
START_TEST(a_counter_is_written_as_32_bits_with_their_sign)
{
    static const struct { uint64_t put, got; } values[] = {
        {UINT64_C(0xff0123456789), 0x23456789}, {UINT64_C(0xffffff0123456789), 0x23456789}, {0x80000000, FULL - 0x80000000},
        {UINT64_C(0x1ffffffff), FULL - 1},
    };

    for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
        put(PMC0 + 1, values[i].put);
        EQ(get(PMC0 + 1), values[i].got);
        rdpmc(1, 0);
        EQ(s->gpr[EAX] | s->gpr[EDX] << 32, values[i].got);
    }
    rdpmc(64, EXC_GP);
    refused(0x4c1, 0); /* IA32_A_PMC0: IA32_PERF_CAPABILITIES would tell of it */
    refused(0x345, 0);
}
END_TEST

START_TEST(a_counter_that_is_written_while_it_counts_goes_on_from_there)
{
    nops(40);
    put(EVTSEL0, INSTRUCTIONS | OS | USR | EN);
    put(EVTSEL0 + 1, INSTRUCTIONS | OS | USR | EN | 2u << 24); /* two in a cycle: never */
    steps(b, 10);
    put(PMC0, 0);
    steps(b, 5);
    EQ(s->pmc_global_status, 0);
    put(PMC0, UINT64_MAX);
    steps(b, 2);
    EQ(counted(PMC0), 1);
    EQ(get(PMC0 + 1), 0);
    EQ(get(STATUS), 1);
    put(OVF, 1);
    EQ(get(STATUS), 0);
}
END_TEST

START_TEST(amds_have_them_elsewhere)
{
    with_model("qemu64,pmu=on");
    nops(30);
    put(0xc0010000, INSTRUCTIONS | OS | EN | INT);
    put(0xc0010001, 0x76 | OS | EN);
    put(0xc0010004, FULL - 9);
    steps(b, 20);
    EQ(pmis, 1);
    EQ(pmi_at, 9);
    put(0xc0010001, 0);
    EQ(get(0xc0010005), 20); /* with the NMI's entry */
    refused(GLOBAL, 0);
}
END_TEST

/* ---- IA32_TSC_ADJUST ---- */

START_TEST(what_is_written_to_the_tsc_is_added_to_tsc_adjust_and_the_other_way_round)
{
    uint64_t now;

    EQ(get(TSC_ADJUST), 0);
    nops(30);
    steps(b, 5);
    now = i386_tsc(b->c);
    put(TSC, now + 1000);
    EQ(get(TSC_ADJUST), 1000);
    now = i386_tsc(b->c);
    put(TSC, 7);
    EQ(get(TSC_ADJUST), 1000 + 7 - now);
}
END_TEST

START_TEST(tsc_adjust_moves_the_tsc_by_the_difference)
{
    uint64_t now = i386_tsc(b->c);

    put(TSC_ADJUST, 5000);
    EQ(i386_tsc(b->c), now + 5000);
    put(TSC_ADJUST, 4000);
    EQ(i386_tsc(b->c), now + 4000);
    put(TSC_ADJUST, (uint64_t)-10);
    EQ(i386_tsc(b->c), now - 10);
    i386_raise_init(b->c); /* stays; a reset clears it */
    EQ(s->tsc_adjust, (uint64_t)-10);
    machine_reset(b->m);
    EQ(s->tsc_adjust, 0);
}
END_TEST

START_TEST(models_without_tsc_adjust_fault)
{
    static const char *const models[] = {"Nehalem", "qemu64", "pentium4", "Haswell,-tsc-adjust"};

    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        with_model(models[i]);
        refused(TSC_ADJUST, 0);
    }
    with_model("Nehalem,+tsc-adjust");
    put(TSC_ADJUST, 0);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 counters");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, cpuid_tells_of_them);
    tcase_add_test(tc, instructions_and_cycles_are_counted);
    tcase_add_test(tc, a_repeated_string_is_one_instruction_and_an_entry_none);
    tcase_add_test(tc, levels_are_told_apart);
    tcase_add_test(tc, an_overflow_interrupts_at_its_step);
    tcase_add_test(tc, a_counter_that_begins_to_count_overflows_at_its_step);
    tcase_add_test(tc, an_overflow_is_the_same_in_every_engine);
    tcase_add_test(tc, freezing_stops_all);
    tcase_add_test(tc, an_overflows_interrupt_ends_the_recording_of_last_branches);
    tcase_add_test(tc, reserved_bits_are_refused);
    tcase_add_test(tc, rdpmc_asks_cr4_above_level_0);
    tcase_add_test(tc, amds_have_them_elsewhere);
    tcase_add_test(tc, a_counter_is_written_as_32_bits_with_their_sign);
    tcase_add_test(tc, a_counter_that_is_written_while_it_counts_goes_on_from_there);
    tcase_add_test(tc, what_is_written_to_the_tsc_is_added_to_tsc_adjust_and_the_other_way_round);
    tcase_add_test(tc, tsc_adjust_moves_the_tsc_by_the_difference);
    tcase_add_test(tc, models_without_tsc_adjust_fault);
    suite_add_tcase(suite, tc);
    return suite;
}
