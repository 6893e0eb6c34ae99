/*
 * Claims about what traps where on the aarch64 CPU (DDI 0487 D1.13, D19), and about the results of address
 * translation instructions when both stages are on.
 */
#include "a64_fixture.h"
#include "a64_flat.h"
#include "tests/check_main.h"

/* One instruction at a level: the level that an exception took it to, 0: none. */
static unsigned trapped_to(unsigned el, uint32_t word)
{
    at_el(b, el, CODE);
    EMIT(b, word);
    steps(b, 1);
    return s->pc == CODE + 4 ? 0 : s->el;
}

static unsigned class_at(unsigned el)
{
    return (unsigned)(s->esr[el] >> 26);
}

#define AT(op1, op2, rt)        SYS((unsigned)(op1), 7u, 8u, (unsigned)(op2), rt)
#define TLBI(op1, crm, op2)     SYS((unsigned)(op1), 8u, (unsigned)(crm), (unsigned)(op2), 31u)
#define DC_CVAC(rt)             SYS(3u, 7u, 10u, 1u, rt)
#define DC_IVAC(rt)             SYS(0u, 7u, 6u, 1u, rt)

/* ---- traps ---- */

START_TEST(tidcp_traps_encodings_that_nothing_defines)
{
    uint32_t read = MRS(3u, SYSREG(3, 2, 15, 5, 6));

    EQ(trapped_to(1, read), 1);
    EQ(class_at(1), EC_UNKNOWN);
    s->hcr_el2 |= HCR_TIDCP;
    EQ(trapped_to(1, read), 2);
    EXPECT_ESR(b, 2, EC_SYSREG, 3u << 20 | 6 << 17 | 2 << 14 | 15 << 10 | 3 << 5 | 5 << 1 | 1);
    EQ(trapped_to(1, MSR(SYSREG(3, 1, 11, 0, 7), 4u)), 2);
    EQ(trapped_to(2, read), 2);
    EQ(class_at(2), EC_UNKNOWN);
}
END_TEST

START_TEST(tge_makes_debug_traps_as_tde_does)
{
    uint32_t read = MRS(3u, SYSREG(2, 3, 0, 1, 0)); /* MDCCSR_EL0 */

    EQ(trapped_to(0, read), 0);
    s->hcr_el2 |= HCR_TGE;
    EQ(trapped_to(0, read), 2);
    EQ(class_at(2), EC_SYSREG);
}
END_TEST

START_TEST(each_register_traps_by_its_control_bit)
{
    static const struct {
        uint32_t word;
        uint64_t hcr, mdcr, cptr;
    } rows[] = {
        {MSR(SYSREG(3, 0, 1, 0, 0), 0u), HCR_TVM, 0, 0},      /* SCTLR_EL1 */
        {MSR(SYSREG(3, 0, 13, 0, 1), 0u), HCR_TVM, 0, 0},     /* CONTEXTIDR_EL1 */
        {MRS(0u, SYSREG(3, 0, 5, 2, 0)), HCR_TRVM, 0, 0},     /* ESR_EL1 */
        {MRS(0u, SYSREG(3, 0, 10, 3, 0)), HCR_TRVM, 0, 0},    /* AMAIR_EL1 */
        {MRS(0u, SYSREG(3, 0, 0, 0, 6)), HCR_TID1, 0, 0},     /* REVIDR_EL1 */
        {MRS(0u, SYSREG(3, 1, 0, 0, 7)), HCR_TID1, 0, 0},     /* AIDR_EL1 */
        {MRS(0u, SYSREG(3, 3, 0, 0, 1)), HCR_TID2, 0, 0},     /* CTR_EL0 */
        {MSR(SYSREG(3, 2, 0, 0, 0), 31u), HCR_TID2, 0, 0},    /* CSSELR_EL1 */
        {MRS(0u, SYSREG(3, 0, 0, 4, 0)), HCR_TID3, 0, 0},     /* ID_AA64PFR0_EL1 */
        {MRS(0u, SYSREG(3, 0, 0, 2, 3)), HCR_TID3, 0, 0},     /* ID_ISAR3_EL1 */
        {MRS(0u, SYSREG(3, 0, 1, 0, 1)), HCR_TACR, 0, 0},     /* ACTLR_EL1 */
        {SYS(0u, 7u, 6u, 2u, 31u), HCR_TSW, 0, 0},            /* DC ISW */
        {DC_CVAC(1u), HCR_TPC, 0, 0},
        {DC_IVAC(1u), HCR_TPC, 0, 0},
        {SYS(3u, 7u, 5u, 1u, 1u), HCR_TPU, 0, 0},             /* IC IVAU */
        {SYS(0u, 7u, 5u, 0u, 31u), HCR_TPU, 0, 0},            /* IC IALLU */
        {TLBI(0, 7, 0), HCR_TTLB, 0, 0},
        {SYS(3u, 7u, 4u, 1u, 1u), HCR_TDZ, 0, 0},             /* DC ZVA */
        {SMC(0), HCR_TSC, 0, 0},
        {WFI, HCR_TWI, 0, 0},
        {WFE, HCR_TWE, 0, 0},
        {MRS(0u, SYSREG(3, 0, 1, 0, 2)), 0, 0, CPTR_TCPAC},   /* CPACR_EL1 */
        {FMOV_ZERO, 0, 0, CPTR_TFP},
        {MRS(0u, SYSREG(3, 3, 9, 12, 0)), 0, MDCR_TPMCR, 0},  /* PMCR_EL0 */
        {MRS(0u, SYSREG(3, 3, 9, 12, 0)), 0, MDCR_TPM, 0},
        {MRS(0u, SYSREG(3, 3, 9, 14, 0)), 0, MDCR_TPM, 0},    /* PMUSERENR_EL0 */
        {MRS(0u, SYSREG(3, 0, 9, 14, 1)), 0, MDCR_TPM, 0},    /* PMINTENSET_EL1 */
        {MRS(0u, SYSREG(3, 3, 14, 12, 0)), 0, MDCR_TPM, 0},   /* PMEVTYPER0_EL0 */
        {MRS(0u, SYSREG(2, 0, 0, 2, 2)), 0, MDCR_TDA, 0},     /* MDSCR_EL1 */
        {MRS(0u, SYSREG(2, 0, 0, 3, 7)), 0, MDCR_TDA, 0},     /* DBGWCR3_EL1 */
        {MRS(0u, SYSREG(2, 0, 0, 3, 7)), 0, MDCR_TDE, 0},
        {MRS(0u, SYSREG(2, 0, 1, 1, 4)), 0, MDCR_TDOSA, 0},   /* OSLSR_EL1 */
        {MRS(0u, SYSREG(2, 0, 1, 0, 0)), 0, MDCR_TDRA, 0},    /* MDRAR_EL1 */
    };

    a64_flat_map(b->m, b->c);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        s->x[0] = 0;
        s->x[1] = DATA;
        s->cpacr_el1 = 3 << 20;
        s->lines = LINE_IRQ; /* or WFI would sleep */
        if (rows[i].word == WFI || rows[i].word == WFE)
            s->lines = 0;
        s->hcr_el2 |= rows[i].hcr;
        s->mdcr_el2 = 6 | rows[i].mdcr;
        s->cptr_el2 = 0x33ff & ~(uint64_t)CPTR_TFP;
        s->cptr_el2 |= rows[i].cptr;
        ck_assert_msg(trapped_to(1, rows[i].word) == 2, "row %u does not trap", i);
        ck_assert_msg(class_at(2) != EC_UNKNOWN, "row %u is undefined", i);
        EQ(s->elr[2], CODE);
        s->hcr_el2 &= ~rows[i].hcr;
        s->mdcr_el2 = 6;
        s->cptr_el2 = 0x33ff & ~(uint64_t)CPTR_TFP;
        s->lines = LINE_IRQ;
        ck_assert_msg(trapped_to(1, rows[i].word) == (rows[i].word == SMC(0)), "row %u traps", i);
        s->halted = 0;
    }
}
END_TEST

START_TEST(el2s_controls_do_nothing_in_the_secure_state)
{
    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    s->hcr_el2 |= HCR_TDZ | HCR_TVM | HCR_TID3;
    s->mdcr_el2 |= MDCR_TDE;
    s->sctlr[1] |= SCTLR_M;
    poke64(b, TABLES + 8, RAM | 0x401);
    s->ttbr0[1] = TABLES;
    s->tcr[1] = 25 | UINT64_C(5) << 32;
    s->mair[1] = 0xff;
    s->x[1] = DATA;
    poke64(b, DATA, 9);
    EQ(trapped_to(1, SYS(3u, 7u, 4u, 1u, 1u)), 0);
    EQ(peek64(b, DATA), 0); /* and DC ZVA did its work */
    EQ(trapped_to(1, MRS(0u, SYSREG(3, 0, 0, 4, 0))), 0);
    EQ(trapped_to(1, MRS(0u, SYSREG(2, 0, 0, 2, 2))), 0);
}
END_TEST

START_TEST(el3_has_no_instructions_of_el2_in_the_secure_state)
{
    static const uint32_t words[] = {AT(4, 0, 1u), AT(4, 1, 1u), TLBI(4, 7, 0), TLBI(4, 7, 1), TLBI(4, 3, 5)};

    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    s->x[1] = DATA;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        s->scr_el3 |= SCR_NS;
        ck_assert_msg(trapped_to(3, words[i]) == 0, "word %u", i);
        s->scr_el3 &= ~SCR_NS;
        ck_assert_msg(trapped_to(3, words[i]) == 3, "word %u", i);
        EQ(class_at(3), EC_UNKNOWN);
    }
    EQ(trapped_to(3, TLBI(4, 7, 4)), 0); /* ALLE1 */
    EQ(trapped_to(3, TLBI(4, 7, 6)), 0); /* VMALLS12E1 */
    EQ(trapped_to(3, AT(4, 4, 1u)), 0);  /* S12E1R */
}
END_TEST

START_TEST(pan_is_not_for_cache_maintenance)
{
    poke64(b, TABLES, (TABLES + 0x1000) | 3);
    poke64(b, TABLES + 8, RAM | 0x401);
    poke64(b, TABLES + 0x1000, (TABLES + 0x2000) | 3);
    poke64(b, TABLES + 0x2008, DATA | 0x443); /* EL0 too */
    s->ttbr0[1] = TABLES;
    s->tcr[1] = 25 | UINT64_C(5) << 32;
    s->mair[1] = 0xff;
    s->sctlr[1] |= SCTLR_M;
    at_el(b, 1, CODE);
    s->pstate |= PSTATE_PAN;
    s->x[1] = 0x1000;
    refresh(b);
    EMIT(b, DC_CVAC(1u), DC_IVAC(1u), AT(0, 0, 1u), LDR(0u, 1u));
    steps(b, 3);
    EQ(s->pc, CODE + 12);
    EQ(s->par_el1 & 1, 0);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_DABORT, 0x0f);
}
END_TEST

/* ---- two stages ---- */

#define S2_RW 0xc1u /* valid block, read and write */

/* Stage 1: VA 0x1000 is DATA with attribute 0 = `mair` and shareability `sh`; stage 2: RAM in
 * one block with `memattr` and `sh2`. */
static void two_stages(uint64_t mair, uint64_t sh, uint64_t memattr, uint64_t sh2)
{
    poke64(b, TABLES, (TABLES + 0x1000) | 3);
    poke64(b, TABLES + 8, RAM | 0x401);
    poke64(b, TABLES + 0x1000, (TABLES + 0x2000) | 3);
    poke64(b, TABLES + 0x2008, DATA | 0x403 | sh << 8);
    poke64(b, TABLES + 0x8000 + 8, RAM | 0x400 | S2_RW | memattr << 2 | sh2 << 8);
    s->ttbr0[1] = TABLES;
    s->tcr[1] = 25 | UINT64_C(5) << 32;
    s->mair[1] = mair;
    s->sctlr[1] |= SCTLR_M;
    s->vttbr_el2 = TABLES + 0x8000;
    s->vtcr_el2 = 25 | 1 << 6 | 5 << 16;
    s->hcr_el2 |= HCR_VM;
    refresh(b);
}

START_TEST(par_has_the_attributes_of_both_stages)
{
    static const struct {
        uint64_t mair, sh, memattr, sh2, attr, result_sh;
    } rows[] = {
        {0xff, 3, 0xf, 3, 0xff, 3},  /* write-back in both */
        {0xff, 0, 0xf, 3, 0xff, 3},  /* the wider domain */
        {0xff, 0, 0xf, 0, 0xff, 0},
        {0xff, 3, 0xf, 2, 0xff, 2},
        {0xff, 3, 0x5, 0, 0x44, 2},  /* not cacheable */
        {0xff, 3, 0xa, 3, 0xbb, 3},  /* write-through, hints of stage 1 */
        {0xbb, 3, 0xf, 3, 0xbb, 3},
        {0x44, 3, 0xf, 3, 0x44, 2},
        {0xf4, 3, 0xf, 3, 0xf4, 3},  /* outer and inner by themselves */
        {0xff, 3, 0xd, 3, 0xf4, 3},
        {0xff, 3, 0x1, 3, 0x04, 2},  /* Device-nGnRE by stage 2 */
        {0x0c, 0, 0xf, 3, 0x0c, 2},  /* Device-GRE by stage 1 */
        {0x0c, 0, 0x1, 3, 0x04, 2},  /* the stricter */
        {0x00, 0, 0x2, 3, 0x00, 2},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        two_stages(rows[i].mair, rows[i].sh, rows[i].memattr, rows[i].sh2);
        s->x[1] = 0x1234;
        EQ(trapped_to(2, AT(4, 4, 1u)), 0); /* S12E1R */
        ck_assert_msg(s->par_el1 >> 56 == rows[i].attr, "row %u: attributes %x", i, (unsigned)(s->par_el1 >> 56));
        ck_assert_msg((s->par_el1 >> 7 & 3) == rows[i].result_sh, "row %u: shareability", i);
        EQ(s->par_el1 & UINT64_C(0xfffffffff000), DATA);
        EQ(trapped_to(2, AT(0, 0, 1u)), 0); /* S1E1R: of stage 1 alone */
        EQ(s->par_el1 >> 56, rows[i].mair);
    }
}
END_TEST

START_TEST(par_tells_which_stage_failed)
{
    two_stages(0xff, 3, 0xf, 3);
    s->x[1] = 0x1000;
    s->x[2] = 0x3000;
    poke64(b, TABLES + 0x2018, BIT64(35) | 0x403); /* VA 0x3000: stage 2 has nothing there */
    EQ(trapped_to(2, AT(4, 5, 2u)), 0);
    EQ(s->par_el1, 1 | 0x05 << 1 | BIT64(9) | BIT64(11));
    EQ(trapped_to(2, AT(0, 1, 2u)), 0);
    EQ(s->par_el1 & 1, 0); /* stage 1 is fine */
    poke64(b, TABLES + 0x1000, BIT64(35) | 3); /* a table there */
    EQ(trapped_to(2, AT(0, 0, 1u)), 0);
    EQ(s->par_el1, 1 | 0x05 << 1 | BIT64(8) | BIT64(9) | BIT64(11));
    EQ(trapped_to(1, AT(0, 0, 1u)), 2); /* of EL1 EL2 hears */
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 0x80u | 0x100u | 0x40u | 0x05u);
    EQ(s->hpfar_el2, BIT64(35) >> 12 << 4);
}
END_TEST

START_TEST(a_table_that_stage_2_hides_is_no_write)
{
    two_stages(0xff, 3, 0xf, 3);
    poke64(b, TABLES + 0x8000 + 8, (TABLES + 0x9000) | 3); /* 2 MiB blocks: */
    poke64(b, TABLES + 0x9000, RAM | 0x7fd);
    poke64(b, TABLES + 0x9008, (RAM + (2 << 20)) | 0x73d); /* no reading */
    poke64(b, TABLES + 0x1000, (RAM + (2 << 20)) | 3);     /* a table there */
    s->x[1] = 0x1000;
    EQ(trapped_to(1, STR(0u, 1u)), 2);
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 0x80u | 0x0eu);
}
END_TEST

START_TEST(a_literal_that_stage_2_hides_is_described)
{
    two_stages(0xff, 3, 0xf, 3);
    poke64(b, TABLES + 0x8000 + 8, (TABLES + 0x9000) | 3);
    poke64(b, TABLES + 0x9000, (TABLES + 0xa000) | 3);
    for (uint64_t i = 0; i < 512; i++)
        poke64(b, TABLES + 0xa000 + 8 * i, (RAM + (i << 12)) | 0x7ff);
    poke64(b, TABLES + 0xa000 + 8 * ((CODE + 0x1000 - RAM) >> 12), 0);
    refresh(b);
    EQ(trapped_to(1, 0x98000000u | 0x1000u / 4 << 5 | 7u), 2); /* ldrsw x7, .+0x1000 */
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 1u << 24 | 2u << 22 | 1u << 21 | 7u << 16 | 1u << 15 | 0x07u);
}
END_TEST

Suite *test_suite(void)
{
    Suite *su = suite_create("a64_traps");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tidcp_traps_encodings_that_nothing_defines);
    tcase_add_test(tc, tge_makes_debug_traps_as_tde_does);
    tcase_add_test(tc, each_register_traps_by_its_control_bit);
    tcase_add_test(tc, el2s_controls_do_nothing_in_the_secure_state);
    tcase_add_test(tc, el3_has_no_instructions_of_el2_in_the_secure_state);
    tcase_add_test(tc, pan_is_not_for_cache_maintenance);
    tcase_add_test(tc, par_has_the_attributes_of_both_stages);
    tcase_add_test(tc, par_tells_which_stage_failed);
    tcase_add_test(tc, a_table_that_stage_2_hides_is_no_write);
    tcase_add_test(tc, a_literal_that_stage_2_hides_is_described);
    suite_add_tcase(su, tc);
    return su;
}
