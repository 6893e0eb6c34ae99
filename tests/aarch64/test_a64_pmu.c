/*
 * Claims about the performance monitors of the aarch64 CPU (DDI 0487 chapter D13): what the counters
 * count, for whom, who may reach them, and when they overflow.
 */
#include "a64_fixture.h"
#include "tests/check_main.h"

#define PM(crm, op2)  SYSREG(3, 3, 9, crm, op2)
#define PMCR          PM(12, 0)
#define PMCNTENSET    PM(12, 1)
#define PMCNTENCLR    PM(12, 2)
#define PMOVSCLR      PM(12, 3)
#define PMSWINC       PM(12, 4)
#define PMSELR        PM(12, 5)
#define PMCEID0       PM(12, 6)
#define PMCCNTR       PM(13, 0)
#define PMXEVTYPER    PM(13, 1)
#define PMXEVCNTR     PM(13, 2)
#define PMUSERENR     PM(14, 0)
#define PMOVSSET      PM(14, 3)
#define PMINTENSET    SYSREG(3, 0, 9, 14, 1)
#define PMCCFILTR     SYSREG(3, 3, 14, 15, 7)
#define PMEVCNTR(n)   SYSREG(3, 3, 14, 8, n)
#define PMEVTYPER(n)  SYSREG(3, 3, 14, 12, n)
#define MDCR_EL2      SYSREG(3, 4, 1, 1, 1)

enum { SW_INCR = 0, INST_RETIRED = 8, CPU_CYCLES = 0x11, CHAIN = 0x1e };
#define NOT_EL1 (UINT64_C(1) << 31)
#define NOT_EL0 (UINT64_C(1) << 30)
#define AT_EL2  (UINT64_C(1) << 27)

/* As a debugger sees and writes it at the current level. */
static unsigned row_of(const char *name)
{
    for (unsigned i = 0; i < a64_nsysregs; i++)
        if (!strcmp(a64_sysreg_name(i), name))
            return i;
    ck_abort_msg("no register %s", name);
    return 0;
}

static uint64_t get(const char *name)
{
    return a64_sysreg_peek(b->c, row_of(name));
}

static void set(const char *name, uint64_t value)
{
    ck_assert(a64_sysreg_poke(b->c, row_of(name), value));
}

START_TEST(six_counters_and_four_events_are_announced)
{
    EMIT(b, MRS(0u, PMCR), MRS(1u, PMCEID0), MRS(2u, PM(12, 7)));
    steps(b, 3);
    EQ(s->x[0] >> 11 & 31, 6);
    EQ(s->x[1], BIT64(SW_INCR) | BIT64(INST_RETIRED) | BIT64(CPU_CYCLES) | BIT64(CHAIN));
    EQ(s->x[2], 0);
}
END_TEST

/* IMP and IDCODE. */
START_TEST(pmcr_names_the_core)
{
    static const struct { const char *model; uint64_t id; } cores[] = {
        {"cortex-a53", 0x4103}, {"cortex-a57", 0x4101}, {"cortex-a72", 0x4102}, {"max", 0x4100},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cores); i++) {
        again(cores[i].model, A64_HAS_EL2);
        EMIT(b, MRS(0u, PMCR));
        steps(b, 1);
        EQ(s->x[0] >> 16, cores[i].id);
    }
}
END_TEST

START_TEST(instructions_are_counted_and_exception_entries_are_not)
{
    set("PMEVTYPER2_EL0", INST_RETIRED);
    set("PMEVTYPER3_EL0", CPU_CYCLES);
    set("PMEVTYPER4_EL0", 0x12); /* not there: counts nothing */
    set("PMCNTENSET_EL0", 0x1c);
    s->elr[1] = UCODE;
    s->spsr[1] = 0;
    s->x[0] = 1;
    EMIT(b, MSR(PMCR, 0u), NOP, ERET);
    poke32(b, UCODE, SVC(0));
    poke32(b, UCODE + 4, UDF);
    poke32(b, VECTORS(1) + 0x400, ERET);
    steps(b, 1);
    EQ(get("PMEVCNTR2_EL0"), 1); /* the MSR itself */
    steps(b, 4);                 /* NOP, ERET, SVC and its entry, ERET */
    EQ(s->pc, UCODE + 4);
    EQ(get("PMEVCNTR2_EL0"), 5);
    EQ(get("PMEVCNTR3_EL0"), 5);
    steps(b, 1); /* the entry for the undefined instruction */
    EXPECT_AT(b, 1, 0x400, 0);
    EQ(get("PMEVCNTR2_EL0"), 5);
    EQ(get("PMEVCNTR3_EL0"), 6);
    steps(b, 1); /* ERET */
    EQ(get("PMEVCNTR2_EL0"), 6);
    EQ(get("PMEVCNTR4_EL0"), 0);
}
END_TEST

START_TEST(filters_choose_levels)
{
    set("PMEVTYPER0_EL0", INST_RETIRED | NOT_EL0);
    set("PMEVTYPER1_EL0", INST_RETIRED | NOT_EL1);
    set("PMEVTYPER2_EL0", INST_RETIRED | NOT_EL0 | NOT_EL1 | AT_EL2);
    set("PMCCFILTR_EL0", NOT_EL1);
    set("PMCNTENSET_EL0", 7 | BIT64(31));
    set("PMCR_EL0", 0x41);
    s->elr[1] = UCODE;
    s->spsr[1] = 0;
    EMIT(b, NOP, NOP, ERET);
    poke32(b, UCODE, NOP);
    poke32(b, UCODE + 4, NOP);
    poke32(b, UCODE + 8, NOP);
    poke32(b, UCODE + 12, SVC(0));
    poke32(b, VECTORS(1) + 0x400, NOP);
    poke32(b, VECTORS(1) + 0x404, HVC(0));
    poke32(b, VECTORS(2) + 0x400, NOP);
    poke32(b, VECTORS(2) + 0x404, NOP);
    steps(b, 11);
    EQ(s->pc, VECTORS(2) + 0x408);
    EQ(get("PMEVCNTR0_EL0"), 5); /* NOP NOP ERET, NOP HVC */
    EQ(get("PMEVCNTR1_EL0"), 4); /* NOP NOP NOP SVC */
    EQ(get("PMEVCNTR2_EL0"), 2);
    EQ(get("PMCCNTR_EL0"), 4);
}
END_TEST

START_TEST(the_secure_state_counts_only_if_el3_lets_it)
{
    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    at_el(b, 1, CODE); /* Secure */
    EMIT(b, NOP, NOP, NOP);
    set("PMEVTYPER0_EL0", INST_RETIRED);
    set("PMCNTENSET_EL0", 1 | BIT64(31));
    set("PMCR_EL0", 0x41);
    steps(b, 1);
    EQ(get("PMEVCNTR0_EL0"), 0);
    EQ(get("PMCCNTR_EL0"), 1);
    set("PMCR_EL0", 0x61); /* DP: nor cycles */
    steps(b, 1);
    EQ(get("PMCCNTR_EL0"), 1);
    set("MDCR_EL3", BIT64(17));
    steps(b, 1);
    EQ(get("PMEVCNTR0_EL0"), 1);
    EQ(get("PMCCNTR_EL0"), 2);
}
END_TEST

START_TEST(software_increments_overflow_and_chain)
{
    s->x[0] = 7;
    set("PMEVTYPER0_EL0", SW_INCR);
    set("PMEVTYPER1_EL0", CHAIN);
    set("PMEVTYPER2_EL0", CPU_CYCLES);
    set("PMEVCNTR0_EL0", 0xfffffffe);
    set("PMEVCNTR1_EL0", 0xffffffff);
    set("PMCNTENSET_EL0", 3);
    set("PMCR_EL0", 1);
    EMIT(b, MSR(PMSWINC, 0u), MSR(PMSWINC, 0u), MRS(1u, PMEVCNTR(0)), MRS(2u, PMEVCNTR(1)), MRS(3u, PMOVSSET),
         MSR(PMOVSCLR, 0u), MRS(4u, PMOVSSET));
    steps(b, 1);
    EQ(get("PMEVCNTR0_EL0"), 0xffffffff);
    steps(b, 6);
    EQ(s->x[1], 0);
    EQ(s->x[2], 0);
    EQ(s->x[3], 3);
    EQ(s->x[4], 0);
    EQ(get("PMEVCNTR2_EL0"), 0); /* not SW_INCR, and not enabled */
}
END_TEST

START_TEST(a_counter_in_two_parts_counts_cycles)
{
    set("PMEVTYPER4_EL0", CPU_CYCLES);
    set("PMEVTYPER5_EL0", CHAIN);
    set("PMEVCNTR4_EL0", 0xfffffff0);
    set("PMCNTENSET_EL0", 0x30);
    set("PMCR_EL0", 1);
    for (unsigned i = 0; i < 40; i++)
        EMIT(b, NOP);
    steps(b, 15);
    EQ(get("PMEVCNTR5_EL0"), 0);
    steps(b, 5);
    EQ(get("PMEVCNTR5_EL0"), 1);
    EQ(get("PMEVCNTR4_EL0"), 4);
    EQ(get("PMOVSSET_EL0"), 0x10);
}
END_TEST

static int level;

static void note_level(void *ctx, unsigned n, bool up)
{
    (void)ctx, (void)n;
    level = up;
}

START_TEST(an_overflow_interrupts_at_its_exact_position)
{
    static const unsigned events[] = {INST_RETIRED, CPU_CYCLES};
    struct stop stop;

    for (unsigned i = 0; i < ARRAY_LEN(events); i++) {
        icount_t from;

        again("max", A64_HAS_EL2);
        level = 0;
        b->c->pmu_line = (struct line){.set = note_level};
        set("PMEVTYPER0_EL0", events[i]);
        set("PMEVCNTR0_EL0", 0xffffffff - 9);
        set("PMINTENSET_EL1", 1);
        set("PMCNTENSET_EL0", 1);
        s->x[0] = s->x[1] = 1;
        EMIT(b, MSR(PMCR, 0u));
        for (unsigned k = 0; k < 12; k++)
            EMIT(b, NOP);
        EMIT(b, MSR(PMOVSCLR, 1u));
        from = b->m->st->position;
        machine_run(b->m, from + 10, &stop);
        EQ(level, 0);
        machine_run(b->m, from + 11, &stop);
        EQ(level, 1);
        EQ(get("PMOVSSET_EL0"), 1);
        machine_run(b->m, from + 14, &stop);
        EQ(level, 0);
    }
}
END_TEST

START_TEST(an_exception_entry_moves_the_overflow_of_instructions)
{
    struct stop stop;

    level = 0;
    b->c->pmu_line = (struct line){.set = note_level};
    set("PMEVTYPER0_EL0", INST_RETIRED);
    set("PMEVCNTR0_EL0", 0xffffffff - 3);
    set("PMINTENSET_EL1", 1);
    set("PMCNTENSET_EL0", 1);
    set("PMCR_EL0", 1);
    EMIT(b, NOP, UDF);
    for (unsigned k = 0; k < 8; k++)
        poke32(b, VECTORS(1) + 0x200 + 4 * k, NOP);
    machine_run(b->m, b->m->st->position + 5, &stop);
    EQ(level, 0);
    EQ(get("PMEVCNTR0_EL0"), 0);
    machine_run(b->m, b->m->st->position + 1, &stop);
    EQ(level, 1);
}
END_TEST

START_TEST(a_sleeping_cpu_retires_nothing)
{
    level = 0;
    b->c->pmu_line = (struct line){.set = note_level};
    set("PMEVTYPER0_EL0", INST_RETIRED);
    set("PMEVTYPER1_EL0", CPU_CYCLES);
    set("PMEVCNTR0_EL0", 0xffffffff - 9);
    set("PMINTENSET_EL1", 1);
    set("PMCNTENSET_EL0", 3);
    set("PMCR_EL0", 1);
    b->c->timer_line[TIMER_VIRT] = (struct line){.set = a64_set_line, .ctx = b->c, .n = 0};
    s->timer[TIMER_VIRT].cval = 1000;
    s->timer[TIMER_VIRT].ctl = 1;
    a64_timers_changed(b->c);
    EMIT(b, WFI);
    for (unsigned i = 0; i < 20; i++)
        EMIT(b, NOP);
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(get("PMEVCNTR0_EL0"), 0xffffffff - 7);
    ck_assert(get("PMEVCNTR1_EL0") >= 16000);
    EQ(level, 0);
    steps(b, 8);
    EQ(level, 0);
    steps(b, 1);
    EQ(level, 1);
}
END_TEST

START_TEST(pmcr_resets_and_the_selected_counter_is_reached)
{
    s->x[0] = 5;
    s->x[1] = INST_RETIRED;
    s->x[2] = 77;
    s->x[3] = 31;
    s->x[4] = UINT64_C(0xf4000000);
    EMIT(b, MSR(PMSELR, 0u), MSR(PMXEVTYPER, 1u), MSR(PMXEVCNTR, 2u), MRS(5u, PMEVTYPER(5)), MRS(6u, PMEVCNTR(5)),
         MSR(PMSELR, 3u), MSR(PMXEVTYPER, 4u), MRS(7u, PMCCFILTR), MRS(8u, PMXEVCNTR));
    steps(b, 9);
    EQ(s->x[5], INST_RETIRED);
    EQ(s->x[6], 77);
    EQ(s->x[7], 0xf4000000);
    EQ(s->x[8], 0);
    set("PMCCNTR_EL0", 99);
    set("PMCR_EL0", 2);
    EQ(get("PMEVCNTR5_EL0"), 0);
    EQ(get("PMCCNTR_EL0"), 99);
    set("PMCR_EL0", 4);
    EQ(get("PMCCNTR_EL0"), 0);
}
END_TEST

START_TEST(hpmn_keeps_counters_for_el2)
{
    at_el(b, 2, CODE);
    EQ(get("MDCR_EL2") & 31, 6);
    set("PMEVTYPER5_EL0", INST_RETIRED | AT_EL2);
    set("PMCNTENSET_EL0", 0x20);
    set("MDCR_EL2", 4 | 1 << 7); /* HPME */
    EMIT(b, NOP, NOP);
    steps(b, 2);
    EQ(get("PMEVCNTR5_EL0"), 2); /* PMCR_EL0.E is not for it */
    at_el(b, 1, CODE);
    s->x[0] = UINT64_MAX;
    EMIT(b, MRS(1u, PMCR), MRS(2u, PMEVCNTR(5)), MSR(PMCNTENCLR, 0u), MRS(3u, PMCNTENSET));
    steps(b, 4);
    EQ(s->x[1] >> 11 & 31, 4);
    EQ(s->x[2], 0);
    EQ(s->x[3], 0);
    EQ(s->pmcntenset_el0, 0x20);
    set("PMCR_EL0", 2);
    at_el(b, 2, CODE);
    ck_assert(get("PMEVCNTR5_EL0") >= 2); /* nor is EL1's reset */
}
END_TEST

/* One instruction at EL0: was it allowed? */
static bool allowed(uint32_t word)
{
    at_el(b, 0, UCODE);
    EMIT(b, word);
    steps(b, 1);
    if (s->pc != UCODE + 4)
        EQ(s->esr[1] >> 26, EC_SYSREG);
    return s->pc == UCODE + 4;
}

START_TEST(pmuserenr_opens_registers_to_el0)
{
    static const struct {
        uint32_t word;
        unsigned bits; /* any of these */
    } rows[] = {
        {MRS(0u, PMCR), 1}, {MSR(PMCNTENSET, 0u), 1}, {MRS(0u, PMCCNTR), 1 | 4}, {MSR(PMCCNTR, 0u), 1},
        {MSR(PMSWINC, 0u), 1 | 2}, {MRS(0u, PMSELR), 1 | 8}, {MSR(PMSELR, 0u), 1 | 8}, {MRS(0u, PMXEVCNTR), 1 | 8},
        {MSR(PMXEVCNTR, 0u), 1}, {MRS(0u, PMEVCNTR(1)), 1 | 8}, {MSR(PMEVCNTR(1), 0u), 1}, {MRS(0u, PMEVTYPER(1)), 1},
        {MRS(0u, PMUSERENR), 15 | 16}, {MRS(0u, PMCEID0), 1},
    };

    s->x[0] = 0;
    for (unsigned value = 0; value < 16; value++)
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
            s->pmuserenr_el0 = value;
            ck_assert_msg(allowed(rows[i].word) == !!((value | 16) & rows[i].bits), "row %u, PMUSERENR %x", i, value);
        }
    EMIT(b, NOP);
    s->pmuserenr_el0 = 15;
    s->mdcr_el2 |= MDCR_TPM;
    at_el(b, 0, UCODE);
    EMIT(b, MRS(3u, PMEVCNTR(1)));
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
}
END_TEST

START_TEST(whether_looked_at_or_not_the_state_is_the_same)
{
    uint64_t value[2];

    for (unsigned look = 0; look < 2; look++) {
        again("max", A64_HAS_EL2);
        set("PMEVTYPER0_EL0", CPU_CYCLES);
        set("PMEVTYPER1_EL0", CHAIN);
        set("PMEVCNTR0_EL0", 0xfffffff8);
        set("PMCNTENSET_EL0", 3);
        set("PMCR_EL0", 1);
        for (unsigned i = 0; i < 20; i++)
            EMIT(b, NOP);
        for (unsigned i = 0; i < 20; i++) {
            steps(b, 1);
            if (look)
                get("PMEVCNTR1_EL0");
        }
        value[look] = machine_hash(b->m);
    }
    EQ(value[0], value[1]);
}
END_TEST

Suite *test_suite(void)
{
    Suite *su = suite_create("a64_pmu");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, six_counters_and_four_events_are_announced);
    tcase_add_test(tc, pmcr_names_the_core);
    tcase_add_test(tc, instructions_are_counted_and_exception_entries_are_not);
    tcase_add_test(tc, filters_choose_levels);
    tcase_add_test(tc, the_secure_state_counts_only_if_el3_lets_it);
    tcase_add_test(tc, software_increments_overflow_and_chain);
    tcase_add_test(tc, a_counter_in_two_parts_counts_cycles);
    tcase_add_test(tc, an_overflow_interrupts_at_its_exact_position);
    tcase_add_test(tc, an_exception_entry_moves_the_overflow_of_instructions);
    tcase_add_test(tc, a_sleeping_cpu_retires_nothing);
    tcase_add_test(tc, pmcr_resets_and_the_selected_counter_is_reached);
    tcase_add_test(tc, hpmn_keeps_counters_for_el2);
    tcase_add_test(tc, pmuserenr_opens_registers_to_el0);
    tcase_add_test(tc, whether_looked_at_or_not_the_state_is_the_same);
    suite_add_tcase(su, tc);
    return su;
}
