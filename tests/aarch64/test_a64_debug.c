/*
 * Claims about self-hosted debug of the aarch64 CPU (DDI 0487 chapter D2): which contexts,
 * levels and security states breakpoint and watchpoint registers match, and which bytes.
 */
#include "a64_bench.h"
#include "tests/check_main.h"

static struct bench *b;
static struct a64_state *s;

static void setup_with(unsigned features)
{
    b = bench_new("max", features);
    s = b->s;
    s->mdscr_el1 = MDSCR_MDE;
}

static void setup(void)
{
    setup_with(A64_HAS_EL2);
}

static void teardown(void)
{
    bench_free(b);
}

static void again(unsigned features)
{
    teardown();
    setup_with(features);
}

#define R_CONTEXTIDR SYSREG(3, 0, 13, 0, 1)
#define R_MDSCR      SYSREG(2, 0, 0, 2, 2)
#define R_DFR0       SYSREG(3, 0, 0, 5, 0)
#define R_DBGBCR(n)  SYSREG(2, 0, 0, n, 5)
#define R_OSLAR      SYSREG(2, 0, 1, 0, 4)
#define DC_IVAC(rt)  SYS(0u, 7u, 6u, 1u, rt)

/* Fields of DBGBCR and DBGWCR. */
#define E      UINT64_C(1)
#define EL1    (UINT64_C(1) << 1)
#define EL0    (UINT64_C(2) << 1)
#define LOADS  (UINT64_C(1) << 3)
#define STORES (UINT64_C(2) << 3)
#define BAS(v) (UINT64_C(v) << 5)
#define HMC    (UINT64_C(1) << 13)
#define SSC(n) ((uint64_t)(n) << 14)
#define LBN(n) ((uint64_t)(n) << 16)
#define BT(n)  ((uint64_t)(n) << 20)
#define WT     BT(1)
#define MASK(n) ((uint64_t)(n) << 24)
enum { LINKED = 1, CONTEXT = 2, VMID = 8 };

/* One NOP at EL0: does a breakpoint stop it? */
static bool breaks_at_el0(void)
{
    at_el(b, 0, UCODE);
    EMIT(b, NOP);
    steps(b, 1);
    if (s->pc == UCODE + 4)
        return false;
    EXPECT_ESR(b, 1, EC_BREAK_LOWER, 0x22);
    EQ(s->elr[1], UCODE);
    return true;
}

/* A load, or a store, of 8 bytes at EL0: is it watched? */
static bool watched(uint64_t va, bool store)
{
    at_el(b, 0, UCODE);
    s->x[1] = va;
    EMIT(b, store ? STR(0u, 1u) : LDR(0u, 1u));
    steps(b, 1);
    if (s->pc == UCODE + 4)
        return false;
    EXPECT_ESR(b, 1, EC_WATCH_LOWER, 0x22u | (store ? 0x40u : 0));
    return true;
}

static bool byte_watched(uint64_t va)
{
    at_el(b, 0, UCODE);
    s->x[1] = va;
    EMIT(b, LDRB(0u, 1u));
    steps(b, 1);
    return s->pc != UCODE + 4;
}

START_TEST(dfr0_tells_how_many_comparators_match_contexts)
{
    EMIT(b, MRS(0u, R_DFR0));
    steps(b, 1);
    EQ((s->x[0] >> 12 & 15) + 1, A64_BREAKPOINTS);
    EQ((s->x[0] >> 20 & 15) + 1, A64_WATCHPOINTS);
    EQ((s->x[0] >> 28 & 15) + 1, A64_CONTEXT_BREAKPOINTS);
}
END_TEST

START_TEST(a_linked_breakpoint_stops_in_its_context_only)
{
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | EL0 | BAS(15) | BT(LINKED) | LBN(5);
    s->dbgbvr[5] = 0x1234;
    s->dbgbcr[5] = E | EL0 | BAS(15) | BT(CONTEXT | LINKED);
    s->contextidr_el1 = 0x1235;
    ck_assert(!breaks_at_el0());
    s->contextidr_el1 = 0x1234;
    ck_assert(breaks_at_el0());
    s->dbgbcr[5] &= ~E; /* the linked one must be enabled */
    ck_assert(!breaks_at_el0());
    s->dbgbcr[5] = E | EL0 | BAS(15) | BT(CONTEXT); /* and be for linking */
    s->contextidr_el1 = 0x1235;
    ck_assert(!breaks_at_el0());
    s->contextidr_el1 = 0x1234;
    s->dbgbcr[5] = E | EL0 | BAS(15) | BT(LINKED); /* and match a context */
    ck_assert(!breaks_at_el0());
}
END_TEST

START_TEST(a_link_to_a_comparator_without_contexts_never_matches)
{
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | EL0 | BAS(15) | BT(LINKED) | LBN(3);
    s->dbgbvr[3] = 7;
    s->dbgbcr[3] = E | EL0 | BAS(15) | BT(CONTEXT | LINKED);
    s->contextidr_el1 = 7;
    ck_assert(!breaks_at_el0());
    s->dbgbcr[0] = E | EL0 | BAS(15) | BT(LINKED) | LBN(15);
    ck_assert(!breaks_at_el0());
}
END_TEST

START_TEST(a_linked_watchpoint_fires_in_its_context_only)
{
    s->dbgwvr[2] = DATA;
    s->dbgwcr[2] = E | EL0 | LOADS | STORES | BAS(255) | WT | LBN(4);
    s->dbgbvr[4] = 99;
    s->dbgbcr[4] = E | EL0 | BAS(15) | BT(CONTEXT | LINKED);
    s->contextidr_el1 = 98;
    ck_assert(!watched(DATA, true));
    ck_assert(!watched(DATA, false));
    s->contextidr_el1 = 99;
    ck_assert(watched(DATA, true));
    ck_assert(watched(DATA, false));
}
END_TEST

START_TEST(a_vmid_is_matched_alone_and_with_the_context)
{
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | EL0 | BAS(15) | BT(LINKED) | LBN(4);
    s->dbgbvr[4] = UINT64_C(0x42) << 32 | 5;
    s->dbgbcr[4] = E | EL0 | BAS(15) | BT(VMID | LINKED);
    s->vttbr_el2 = UINT64_C(0x41) << 48;
    s->contextidr_el1 = 5;
    ck_assert(!breaks_at_el0());
    s->vttbr_el2 = UINT64_C(0x42) << 48;
    ck_assert(breaks_at_el0());
    s->dbgbcr[4] = E | EL0 | BAS(15) | BT(VMID | CONTEXT | LINKED);
    ck_assert(breaks_at_el0());
    s->contextidr_el1 = 6;
    ck_assert(!breaks_at_el0());

    again(0); /* without EL2 there is no VMID */
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | EL0 | BAS(15) | BT(LINKED) | LBN(4);
    s->dbgbcr[4] = E | EL0 | BAS(15) | BT(VMID | LINKED);
    ck_assert(!breaks_at_el0());
}
END_TEST

START_TEST(an_unlinked_context_breakpoint_stops_before_any_instruction_of_the_context)
{
    s->dbgbvr[5] = 3;
    s->dbgbcr[5] = E | EL0 | BAS(15) | BT(CONTEXT);
    s->contextidr_el1 = 2;
    ck_assert(!breaks_at_el0());
    s->contextidr_el1 = 3;
    ck_assert(breaks_at_el0());

    /* EL1 enters the context: the first instruction of EL0 is not made. */
    s->contextidr_el1 = 2;
    at_el(b, 1, CODE);
    s->x[0] = 3;
    s->elr[1] = UCODE + 0x100;
    s->spsr[1] = 0;
    EMIT(b, MSR(R_CONTEXTIDR, 0u), ERET);
    poke32(b, UCODE + 0x100, MOVZ(5u, 1));
    steps(b, 3);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_BREAK_LOWER, 0x22);
    EQ(s->elr[1], UCODE + 0x100);
    EQ(s->x[5], 0);
}
END_TEST

START_TEST(a_context_breakpoint_of_the_kernel_needs_kde_and_an_unmasked_d)
{
    s->dbgbvr[5] = 3;
    s->dbgbcr[5] = E | EL1 | BAS(15) | BT(CONTEXT);
    s->contextidr_el1 = 3;
    at_el(b, 1, CODE);
    EMIT(b, NOP, DAIFCLR(8u), NOP);
    steps(b, 3);
    EQ(s->pc, CODE + 12);
    s->mdscr_el1 |= MDSCR_KDE;
    at_el(b, 1, CODE);
    steps(b, 3);
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_BREAK, 0x22);
    EQ(s->elr[1], CODE + 8);
}
END_TEST

START_TEST(a_fetch_that_faults_comes_before_the_breakpoint)
{
    uint64_t nowhere = UINT64_C(1) << 50; /* larger than a physical address */

    s->dbgbvr[0] = nowhere;
    s->dbgbcr[0] = E | EL0 | BAS(15);
    at_el(b, 0, nowhere);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT_LOWER, 0);
}
END_TEST

/* At a level and security state: would a breakpoint with these fields count? Asked of EL0 and EL1,
 * where debug exceptions can be enabled. */
static bool counts(unsigned el, bool secure, uint64_t fields)
{
    s->scr_el3 = (s->scr_el3 & ~SCR_NS) | (secure ? 0 : SCR_NS);
    s->mdscr_el1 = MDSCR_MDE | MDSCR_KDE;
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | BAS(15) | fields;
    at_el(b, el, UCODE);
    s->pstate &= ~PSTATE_D;
    refresh(b);
    EMIT(b, NOP);
    steps(b, 1);
    return s->pc != UCODE + 4;
}

START_TEST(levels_and_security_states_are_chosen_as_the_table_says)
{
    static const struct {
        uint64_t fields;
        bool ns0, ns1, s0, s1;
    } rows[] = {
        {EL1, false, true, false, true},
        {EL0, true, false, true, false},
        {EL0 | EL1, true, true, true, true},
        {SSC(1) | EL1, false, true, false, false},
        {SSC(1) | EL0, true, false, false, false},
        {SSC(1) | EL0 | EL1, true, true, false, false},
        {SSC(2) | EL1, false, false, false, true},
        {SSC(2) | EL0, false, false, true, false},
        {SSC(2) | EL0 | EL1, false, false, true, true},
        {HMC | EL1, false, true, false, true},
        {HMC | EL0 | EL1, true, true, true, true},
        {HMC | SSC(1) | EL1, false, true, false, false},
        {HMC | SSC(1) | EL0 | EL1, true, true, false, false},
        {HMC | SSC(2), false, false, false, false},
        {HMC | SSC(2) | EL1, false, false, false, true},
        {HMC | SSC(2) | EL0 | EL1, false, false, true, true},
        {HMC | SSC(3), false, false, false, false},
        /* Reserved. */
        {0, false, false, false, false},
        {SSC(3) | EL0, false, false, false, false},
        {SSC(3) | EL0 | EL1, false, false, false, false},
        {HMC | EL0, false, false, false, false},
        {HMC | SSC(1) | EL0, false, false, false, false},
        {HMC | SSC(2) | EL0, false, false, false, false},
        {HMC | SSC(3) | EL1, false, false, false, false},
        {HMC | SSC(3) | EL0, false, false, false, false},
        {HMC | SSC(3) | EL0 | EL1, false, false, false, false},
    };

    again(A64_HAS_EL2 | A64_HAS_EL3);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_msg(counts(0, false, rows[i].fields) == rows[i].ns0, "row %u NS EL0", i);
        ck_assert_msg(counts(1, false, rows[i].fields) == rows[i].ns1, "row %u NS EL1", i);
        ck_assert_msg(counts(0, true, rows[i].fields) == rows[i].s0, "row %u S EL0", i);
        ck_assert_msg(counts(1, true, rows[i].fields) == rows[i].s1, "row %u S EL1", i);
    }
    s->mdcr_el3 = MDCR3_SDD; /* none in the Secure state */
    ck_assert(!counts(0, true, EL0 | EL1) && counts(0, false, EL0 | EL1));
    again(0); /* without EL3 there is no choosing of a security state */
    ck_assert(!counts(0, false, SSC(1) | EL0) && !counts(0, false, HMC | EL0 | EL1) && counts(0, false, EL0));
}
END_TEST

START_TEST(el2_is_watched_with_hmc_when_debug_is_its_own)
{
    s->mdcr_el2 = MDCR_TDE;
    s->mdscr_el1 = MDSCR_MDE | MDSCR_KDE;
    s->dbgbvr[0] = CODE;
    s->dbgbcr[0] = E | BAS(15) | EL1;
    for (unsigned i = 0; i < 2; i++) {
        at_el(b, 2, CODE);
        s->pstate &= ~PSTATE_D;
        EMIT(b, NOP);
        steps(b, 1);
        if (i == 0)
            EQ(s->pc, CODE + 4);
        s->dbgbcr[0] |= HMC;
    }
    EXPECT_AT(b, 2, 0x200, 0);
    EXPECT_ESR(b, 2, EC_BREAK, 0x22);
}
END_TEST

START_TEST(ldtr_is_watched_as_an_access_of_el0)
{
    s->mdscr_el1 |= MDSCR_KDE;
    s->dbgwvr[0] = DATA;
    for (unsigned i = 0; i < 2; i++) {
        s->dbgwcr[0] = E | LOADS | BAS(255) | (i ? EL0 : EL1);
        at_el(b, 1, CODE);
        s->pstate &= ~PSTATE_D;
        s->x[1] = DATA;
        EMIT(b, LDTR(0u, 1u));
        refresh(b);
        steps(b, 1);
        if (i == 0)
            EQ(s->pc, CODE + 4);
    }
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_WATCH, 0x22);
    EQ(s->elr[1], CODE);
}
END_TEST

START_TEST(bas_selects_bytes_of_a_word_or_a_doubleword)
{
    s->dbgwvr[0] = DATA;
    s->dbgwcr[0] = E | EL0 | LOADS | BAS(0x3c);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_msg(byte_watched(DATA + i) == (i >= 2 && i < 6), "byte %u", i);
    s->dbgwvr[0] = DATA + 4; /* of a word: BAS<7:4> says nothing */
    s->dbgwcr[0] = E | EL0 | LOADS | BAS(0xf8);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_msg(byte_watched(DATA + i) == (i == 7), "byte %u", i);
    s->dbgwcr[0] = E | EL0 | LOADS | BAS(0xf0);
    for (unsigned i = 0; i < 16; i++)
        ck_assert(!byte_watched(DATA + i));
}
END_TEST

START_TEST(mask_watches_an_aligned_range)
{
    s->dbgwvr[0] = DATA + 0x40;
    s->dbgwcr[0] = E | EL0 | LOADS | BAS(255) | MASK(6);
    ck_assert(!byte_watched(DATA + 0x3f) && byte_watched(DATA + 0x40));
    ck_assert(byte_watched(DATA + 0x7f) && !byte_watched(DATA + 0x80));
    ck_assert(watched(DATA + 0x40, false) && !watched(DATA + 0x40, true));
    s->dbgwcr[0] = E | EL0 | LOADS | BAS(255) | MASK(2); /* reserved */
    ck_assert(!byte_watched(DATA + 0x40));
}
END_TEST

/* It is one of memory, which it compares with what was loaded: whatever is cached. */
START_TEST(a_store_exclusive_reads_what_is_watched)
{
    for (unsigned stores_before = 0; stores_before < 3; stores_before++) {
        again(A64_HAS_EL2);
        s->dbgwvr[0] = DATA;
        s->dbgwcr[0] = E | EL0 | LOADS | BAS(255);
        at_el(b, 0, UCODE);
        for (unsigned i = 0; i < stores_before; i++)
            EMIT(b, STR(2u, 1u));
        EMIT(b, 0xc8200000u | 3u << 16 | 4u << 10 | 1u << 5 | 2u); /* stxp w3, x2, x4, [x1] */
        s->x[1] = DATA;
        s->exclusive_addr = DATA;
        s->exclusive_size = 16;
        refresh(b);
        steps(b, stores_before + 1);
        EQ(s->el, 1);
        EXPECT_ESR(b, 1, EC_WATCH_LOWER, 0x22);
        EQ(s->elr[1], UCODE + 4 * stores_before);
    }
}
END_TEST

START_TEST(invalidating_a_watched_line_is_a_store_with_cm)
{
    s->mdscr_el1 |= MDSCR_KDE;
    s->dbgwvr[0] = DATA + 0x20;
    s->dbgwcr[0] = E | EL1 | STORES | BAS(255);
    at_el(b, 1, CODE);
    s->pstate &= ~PSTATE_D;
    s->x[1] = DATA + 8;
    s->x[2] = DATA + 0x40;
    EMIT(b, DC_IVAC(2u), DC_IVAC(1u));
    refresh(b);
    steps(b, 2);
    EXPECT_ESR(b, 1, EC_WATCH, 0x22 | 0x100 | 0x40);
    EQ(s->far[1], DATA + 8);
    EQ(s->elr[1], CODE + 4);
}
END_TEST

START_TEST(some_bits_of_mdscr_are_for_the_owner_of_the_os_lock)
{
    s->x[0] = UINT64_MAX;
    s->x[1] = 1;
    EMIT(b, MSR(R_MDSCR, 0u), MRS(2u, R_MDSCR), MSR(R_OSLAR, 1u), MSR(R_MDSCR, 0u), MRS(3u, R_MDSCR),
         MSR(R_OSLAR, 31u), MSR(R_MDSCR, 31u), MRS(4u, R_MDSCR));
    steps(b, 8);
    EQ(s->x[2], 0xb001);
    EQ(s->x[3], 0x6ce0f041);
    EQ(s->x[4], 0x6ce04040);
}
END_TEST

START_TEST(bas_of_a_breakpoint_is_res1)
{
    EMIT(b, MSR(R_DBGBCR(1), 31u), MRS(0u, R_DBGBCR(1)));
    steps(b, 2);
    EQ(s->x[0], 0x1e0);
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = E | EL0;
    ck_assert(breaks_at_el0());
}
END_TEST

START_TEST(an_illegal_return_takes_the_step_bit_too)
{
    s->mdscr_el1 = MDSCR_SS | MDSCR_KDE;
    s->elr[1] = UCODE;
    s->spsr[1] = 0x10 | PSTATE_SS; /* AArch32, D clear */
    EMIT(b, ERET);
    steps(b, 1);
    ck_assert((s->pstate & (PSTATE_IL | PSTATE_SS)) == (PSTATE_IL | PSTATE_SS));
    steps(b, 1);
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_ILLEGAL, 0);
    ck_assert(s->spsr[1] & PSTATE_SS);
    s->mdscr_el1 = 0; /* not where nothing is stepped */
    at_el(b, 1, CODE);
    s->spsr[1] = 0x10 | PSTATE_SS;
    steps(b, 1);
    ck_assert((s->pstate & (PSTATE_IL | PSTATE_SS)) == PSTATE_IL);
}
END_TEST

Suite *test_suite(void)
{
    Suite *su = suite_create("a64_debug");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, dfr0_tells_how_many_comparators_match_contexts);
    tcase_add_test(tc, a_linked_breakpoint_stops_in_its_context_only);
    tcase_add_test(tc, a_link_to_a_comparator_without_contexts_never_matches);
    tcase_add_test(tc, a_linked_watchpoint_fires_in_its_context_only);
    tcase_add_test(tc, a_vmid_is_matched_alone_and_with_the_context);
    tcase_add_test(tc, an_unlinked_context_breakpoint_stops_before_any_instruction_of_the_context);
    tcase_add_test(tc, a_context_breakpoint_of_the_kernel_needs_kde_and_an_unmasked_d);
    tcase_add_test(tc, a_fetch_that_faults_comes_before_the_breakpoint);
    tcase_add_test(tc, levels_and_security_states_are_chosen_as_the_table_says);
    tcase_add_test(tc, el2_is_watched_with_hmc_when_debug_is_its_own);
    tcase_add_test(tc, ldtr_is_watched_as_an_access_of_el0);
    tcase_add_test(tc, bas_selects_bytes_of_a_word_or_a_doubleword);
    tcase_add_test(tc, mask_watches_an_aligned_range);
    tcase_add_test(tc, invalidating_a_watched_line_is_a_store_with_cm);
    tcase_add_test(tc, some_bits_of_mdscr_are_for_the_owner_of_the_os_lock);
    tcase_add_test(tc, bas_of_a_breakpoint_is_res1);
    tcase_add_test(tc, a_store_exclusive_reads_what_is_watched);
    tcase_add_test(tc, an_illegal_return_takes_the_step_bit_too);
    suite_add_tcase(su, tc);
    return su;
}
