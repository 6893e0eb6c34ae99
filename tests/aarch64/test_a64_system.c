/*
 * Claims about the system side of the aarch64 CPU (DDI 0487): exceptions and their
 * syndromes, routing, translation in all regimes, system registers and their traps,
 * timers, debug, sleeping, gdb's registers.
 */
#include <stdio.h>

#include "a64_fixture.h"
#include "a64_flat.h"
#include "tests/check_main.h"

#define R_SCTLR_EL1 SYSREG(3, 0, 1, 0, 0)
#define R_TTBR0_EL1 SYSREG(3, 0, 2, 0, 0)
#define R_MIDR      SYSREG(3, 0, 0, 0, 0)
#define R_CTR       SYSREG(3, 3, 0, 0, 1)
#define R_DAIF      SYSREG(3, 3, 4, 2, 1)
#define R_SP_EL0    SYSREG(3, 0, 4, 1, 0)
#define R_CNTVCT    SYSREG(3, 3, 14, 0, 2)
#define R_CNTV_TVAL SYSREG(3, 3, 14, 3, 0)
#define R_CNTV_CTL  SYSREG(3, 3, 14, 3, 1)
#define R_MDSCR     SYSREG(2, 0, 0, 2, 2)
#define R_PMCCNTR   SYSREG(3, 3, 9, 13, 0)
#define R_HCR       SYSREG(3, 4, 1, 1, 0)

/* ---- exceptions ---- */

START_TEST(svc_returns_behind_itself_and_is_one_step)
{
    at_el(b, 0, UCODE);
    a64_set_nzcv(b->c, PSTATE_N | PSTATE_C);
    EMIT(b, SVC(0x1234));
    EQ(steps(b, 1), STOP_LIMIT);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_SVC, 0x1234);
    EQ(s->elr[1], UCODE + 4);
    EQ(s->spsr[1], PSTATE_N | PSTATE_C);
    EQ(s->pstate, PSTATE_SP | PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F);
}
END_TEST

START_TEST(an_undefined_instruction_is_ec_0_at_itself)
{
    EMIT(b, UDF);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
    EQ(s->elr[1], CODE);
    EQ(s->spsr[1], 0x3c5);
}
END_TEST

START_TEST(with_sp_el0_selected_the_first_vectors_are_used)
{
    EMIT(b, SPSEL(0), UDF);
    s->sp_el[0] = DATA;
    steps(b, 1);
    EQ(s->sp, DATA);
    steps(b, 1);
    EXPECT_AT(b, 1, 0, 0);
    EQ(s->sp, STACK);
    EQ(s->sp_el[0], DATA);
    EQ(s->spsr[1], 0x3c4);
}
END_TEST

START_TEST(tge_sends_exceptions_of_el0_to_el2)
{
    s->hcr_el2 |= HCR_TGE;
    at_el(b, 0, UCODE);
    EMIT(b, SVC(7));
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_SVC, 7);
}
END_TEST

START_TEST(hvc_goes_to_el2_and_is_undefined_at_el0_and_without_el2)
{
    EMIT(b, HVC(3));
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_HVC, 3);
    EQ(s->elr[2], CODE + 4);

    at_el(b, 0, UCODE);
    EMIT(b, HVC(3));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);

    again("cortex-a53", 0);
    EMIT(b, HVC(3));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
}
END_TEST

START_TEST(smc_goes_to_el3_or_traps_to_el2)
{
    again("cortex-a53", A64_HAS_EL2 | A64_HAS_EL3);
    s->scr_el3 |= SCR_NS;
    EMIT(b, SMC(5));
    steps(b, 1);
    EXPECT_AT(b, 3, 0x400, 0);
    EXPECT_ESR(b, 3, EC_SMC, 5);
    EQ(s->elr[3], CODE + 4);

    s->hcr_el2 |= HCR_TSC;
    at_el(b, 1, CODE);
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_SMC, 5);
    EQ(s->elr[2], CODE);
}
END_TEST

static bool test_firmware(void *ctx, struct a64_cpu *c, bool smc)
{
    (void)ctx;
    if (smc || (uint32_t)c->st->x[0] != 0x84000000u)
        return false;
    c->st->x[0] = 0x10001;
    return true;
}

START_TEST(a_firmware_call_takes_no_exception)
{
    b->c->firmware_call = test_firmware;
    s->x[0] = 0x84000000u;
    EMIT(b, HVC(0), NOP);
    steps(b, 2);
    EQ(s->x[0], 0x10001);
    EQ(s->pc, CODE + 8);
}
END_TEST

START_TEST(brk_is_ec_3c_at_itself)
{
    EMIT(b, BRK(0x800));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_BRK, 0x800);
    EQ(s->elr[1], CODE);
    s->mdcr_el2 = MDCR_TDE;
    at_el(b, 0, UCODE);
    EMIT(b, BRK(1));
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
}
END_TEST

START_TEST(hlt_is_undefined_without_semihosting)
{
    EMIT(b, HLT(0xf000));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
}
END_TEST

START_TEST(a_misaligned_pc_and_sp_fault)
{
    s->x[1] = UCODE + 2;
    EMIT(b, BR(1));
    steps(b, 2);
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_PC_ALIGN, 0);
    EQ(s->far[1], UCODE + 2);
    EQ(s->elr[1], UCODE + 2);

    at_el(b, 1, CODE);
    s->sp = STACK + 8;
    EMIT(b, LDR(0, 31));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_SP_ALIGN, 0);
}
END_TEST

START_TEST(fp_traps_where_cpacr_cptr_say)
{
    EMIT(b, FMOV_ZERO);
    s->cpacr_el1 = 0;
    refresh(b);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x200, 0);
    EXPECT_ESR(b, 1, EC_FP, 0x1e00000);

    s->cpacr_el1 = 3 << 20;
    s->cptr_el2 |= CPTR_TFP;
    at_el(b, 1, CODE);
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_FP, 0x1e00000);
}
END_TEST

START_TEST(eret_restores_level_stack_flags_and_masks)
{
    s->sp_el[0] = DATA;
    s->elr[1] = UCODE;
    s->spsr[1] = PSTATE_Z | PSTATE_I;
    EMIT(b, ERET);
    steps(b, 1);
    EQ(s->pc, UCODE);
    EQ(s->el, 0);
    EQ(s->sp, DATA);
    EQ(s->sp_el[1], STACK);
    EQ(a64_get_spsr(b->c), PSTATE_Z | PSTATE_I);
}
END_TEST

START_TEST(an_illegal_return_sets_il_and_the_next_instruction_faults)
{
    static const uint32_t bad[] = {0x10 /* AArch32 */, 0x9 /* EL2 */, 0x1 /* EL0 with SP_ELx */, 0x6 /* reserved */};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        at_el(b, 1, CODE);
        s->elr[1] = UCODE;
        s->spsr[1] = bad[i] | PSTATE_C;
        EMIT(b, ERET);
        steps(b, 1);
        EQ(s->pc, UCODE);
        EQ(s->el, 1);
        EQ(a64_get_spsr(b->c) & ~0x3c0u, PSTATE_IL | PSTATE_C | 5);
        steps(b, 1);
        EXPECT_AT(b, 1, 0x200, 0);
        EXPECT_ESR(b, 1, EC_ILLEGAL, 0);
        ck_assert(s->spsr[1] & PSTATE_IL);
        ck_assert(!(s->pstate & PSTATE_IL));
    }
}
END_TEST

START_TEST(pan_is_set_by_exceptions_to_el1_unless_span)
{
    at_el(b, 0, UCODE);
    s->sctlr[1] &= ~SCTLR_SPAN;
    EMIT(b, SVC(0));
    steps(b, 1);
    ck_assert(s->pstate & PSTATE_PAN);
    at_el(b, 0, UCODE);
    s->sctlr[1] |= SCTLR_SPAN;
    steps(b, 1);
    ck_assert(!(s->pstate & PSTATE_PAN));
}
END_TEST

/* ---- interrupts ---- */

START_TEST(an_irq_is_taken_when_unmasked_before_the_next_instruction)
{
    EMIT(b, NOP, DAIFCLR(2), NOP);
    a64_set_line(b->c, 0, true);
    steps(b, 2);
    EQ(s->pc, CODE + 8);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x200, 0x80);
    EQ(s->elr[1], CODE + 8);
    EQ(s->spsr[1], 0x345);
}
END_TEST

START_TEST(fiq_comes_before_irq)
{
    at_el(b, 0, UCODE);
    EMIT(b, NOP);
    a64_set_line(b->c, 0, true);
    a64_set_line(b->c, 1, true);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x400, 0x100);
}
END_TEST

START_TEST(imo_takes_irqs_to_el2_whatever_el1_masks)
{
    s->hcr_el2 |= HCR_IMO;
    EMIT(b, NOP);
    a64_set_line(b->c, 0, true);
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0x80);
}
END_TEST

START_TEST(a_virtual_irq_is_for_el1_with_imo)
{
    EMIT(b, DAIFCLR(2), NOP, NOP);
    a64_set_line(b->c, 2, true);
    steps(b, 2);
    EQ(s->pc, CODE + 8);
    s->hcr_el2 |= HCR_IMO;
    steps(b, 1);
    EXPECT_AT(b, 1, 0x200, 0x80);
}
END_TEST

START_TEST(an_irq_of_el1_does_not_interrupt_el2)
{
    at_el(b, 2, CODE);
    s->pstate &= ~PSTATE_I;
    EMIT(b, NOP);
    a64_set_line(b->c, 0, true);
    steps(b, 1);
    EQ(s->pc, CODE + 4);
}
END_TEST

START_TEST(a_virtual_serror_is_taken_once)
{
    EMIT(b, DAIFCLR(4), NOP);
    s->hcr_el2 |= HCR_AMO | HCR_VSE;
    steps(b, 2);
    EXPECT_AT(b, 1, 0x200, 0x180);
    EXPECT_ESR(b, 1, EC_SERROR, 0);
    ck_assert(!(s->hcr_el2 & HCR_VSE));
}
END_TEST

START_TEST(wfi_sleeps_until_a_masked_interrupt_comes)
{
    EMIT(b, WFI, NOP);
    EQ(steps(b, 2), STOP_IDLE);
    EQ(s->pc, CODE + 4);
    a64_set_line(b->c, 0, true);
    EQ(steps(b, 1), STOP_LIMIT);
    EQ(s->pc, CODE + 8);
}
END_TEST

START_TEST(wfi_does_not_sleep_with_an_interrupt_pending)
{
    EMIT(b, WFI, NOP);
    a64_set_line(b->c, 0, true);
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(s->pc, CODE + 8);
}
END_TEST

START_TEST(wfe_consumes_the_event_register)
{
    EMIT(b, SEVL, WFE, WFE, NOP);
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(s->pc, CODE + 8);
    EQ(steps(b, 2), STOP_IDLE);
    EQ(s->pc, CODE + 12);
}
END_TEST

START_TEST(the_event_stream_wakes_wfe)
{
    s->cntkctl_el1 = 4 | 5 << 4;
    EMIT(b, WFE, NOP);
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(s->pc, CODE + 8);
    EQ(a64_count(b->c), 32);
}
END_TEST

START_TEST(el2s_event_stream_is_of_the_physical_count)
{
    s->cntvoff_el2 = 5;
    s->cnthctl_el2 |= 4 | 5 << 4;
    EMIT(b, WFE, NOP);
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(s->pc, CODE + 8);
    EQ(a64_count(b->c), 32);
}
END_TEST

START_TEST(wfi_traps_by_ntwi_and_twi)
{
    at_el(b, 0, UCODE);
    s->sctlr[1] &= ~SCTLR_NTWI;
    EMIT(b, WFI);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_WFX, 0x1e00000);
    s->hcr_el2 |= HCR_TWE;
    at_el(b, 1, CODE);
    EMIT(b, WFE);
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_WFX, 0x1e00001);
}
END_TEST

/* ---- translation ---- */

#define D_PAGE  UINT64_C(0x403) /* valid, page, AF */
#define D_BLOCK UINT64_C(0x401)
#define D_TABLE UINT64_C(3)
#define D_USER  UINT64_C(0x40)
#define D_RO    UINT64_C(0x80)
#define D_PXN   BIT64(53)
#define D_UXN   BIT64(54)

/* 4K, 39 bits: TTBR0 and TTBR1 level 1 tables at TABLES and TABLES + 0x4000; RAM identity mapped
 * for the kernel by 2 MiB blocks; VA 0x1000 is a page: TABLES + 0x3008 is its descriptor. */
static void paging_on(uint64_t page)
{
    poke64(b, TABLES + 0, (TABLES + 0x2000) | D_TABLE);
    poke64(b, TABLES + 8, (TABLES + 0x1000) | D_TABLE); /* 1 GiB: RAM */
    poke64(b, TABLES + 0x1000, RAM | D_BLOCK | D_UXN);
    poke64(b, TABLES + 0x2000, (TABLES + 0x3000) | D_TABLE);
    poke64(b, TABLES + 0x3008, page);
    poke64(b, TABLES + 0x4000, RAM | D_BLOCK); /* TTBR1: a level 1 block */
    s->ttbr0[1] = TABLES;
    s->ttbr1 = TABLES + 0x4000;
    s->tcr[1] = 25 | 25 << 16 | UINT64_C(2) << 30 | UINT64_C(5) << 32;
    s->sctlr[1] |= SCTLR_M;
    s->vbar[1] = VECTORS(1);
    refresh(b);
}

static void expect_data_abort(unsigned level, unsigned ec, uint32_t iss, uint64_t far)
{
    EQ(s->el, level);
    EXPECT_ESR(b, level, ec, iss);
    EQ(s->far[level], far);
}

static void load_at(uint64_t va)
{
    at_el(b, 1, CODE);
    s->x[1] = va;
    EMIT(b, LDR(0, 1));
    steps(b, 1);
}

static void store_at(uint64_t va)
{
    at_el(b, 1, CODE);
    s->x[1] = va;
    EMIT(b, STR(0, 1));
    steps(b, 1);
}

START_TEST(a_page_is_read_and_written_and_both_halves_work)
{
    paging_on(DATA | D_PAGE);
    poke64(b, DATA + 8, 0x1122334455667788);
    load_at(0x1008);
    EQ(s->x[0], 0x1122334455667788);
    s->x[0] = 5;
    store_at(0x1010);
    EQ(peek64(b, DATA + 0x10), 5);
    load_at(UINT64_C(0xffffff8000040008));
    EQ(s->x[0], 0x1122334455667788);
}
END_TEST

/* All that is mapped, found in few steps: "va+len ...". */
static const char *mappings(unsigned *lookups)
{
    static char text[256];
    const struct cpu *cpu = b->m->cpus[0];
    uint64_t va = 0, len;
    paddr_t pa;

    text[0] = 0;
    for (*lookups = 0; (len = cpu->ops->stretch(cpu, va)) != 0 && *lookups < 100000; va += len) {
        ++*lookups;
        if (cpu->ops->translate(cpu, va, &pa))
            snprintf(text + strlen(text), sizeof text - strlen(text), "%llx+%llx ", (unsigned long long)va,
                     (unsigned long long)len);
        if (va + len == 0)
            break;
    }
    return text;
}

START_TEST(mappings_are_listed_in_as_many_steps_as_tables_have_entries)
{
    unsigned lookups;

    at_el(b, 1, CODE);
    paging_on(DATA | D_PAGE);
    ck_assert_str_eq(mappings(&lookups), "1000+1000 40000000+200000 ffffff8000000000+40000000 ");
    ck_assert_uint_lt(lookups, 512 * 5);
    s->tcr[1] |= BIT64(37); /* TBI: tags do not repeat them */
    ck_assert_str_eq(mappings(&lookups), "1000+1000 40000000+200000 ffffff8000000000+40000000 ");
    s->tcr[1] |= BIT64(7); /* EPD0 */
    ck_assert_str_eq(mappings(&lookups), "ffffff8000000000+40000000 ");
    s->sctlr[1] &= ~(uint64_t)SCTLR_M;
    mappings(&lookups);
    ck_assert_uint_lt(lookups, 1 << 18);
}
END_TEST

START_TEST(translation_faults_tell_their_level)
{
    paging_on(0);
    load_at(0x1008);
    expect_data_abort(1, EC_DABORT, 0x07, 0x1008);
    store_at(0x200000);
    expect_data_abort(1, EC_DABORT, 0x46, 0x200000);
    load_at(UINT64_C(0x80000000));
    expect_data_abort(1, EC_DABORT, 0x05, 0x80000000);
    load_at(UINT64_C(1) << 40); /* beyond T0SZ */
    expect_data_abort(1, EC_DABORT, 0x04, UINT64_C(1) << 40);
    s->tcr[1] |= TCR_EPD1;
    load_at(UINT64_C(0xffffff8000000000));
    expect_data_abort(1, EC_DABORT, 0x04, UINT64_C(0xffffff8000000000));
}
END_TEST

START_TEST(access_flag_permission_and_address_size_faults)
{
    paging_on((DATA | D_PAGE) & ~UINT64_C(0x400));
    load_at(0x1000);
    expect_data_abort(1, EC_DABORT, 0x0b, 0x1000);
    paging_on(DATA | D_PAGE | D_RO);
    store_at(0x1000);
    expect_data_abort(1, EC_DABORT, 0x4f, 0x1000);
    s->tcr[1] &= ~(UINT64_C(7) << 32); /* 32 bits */
    poke64(b, TABLES + 0x3008, BIT64(40) | D_PAGE);
    load_at(0x1000);
    expect_data_abort(1, EC_DABORT, 0x03, 0x1000);
}
END_TEST

START_TEST(a_changed_descriptor_counts_at_once)
{
    paging_on(DATA | D_PAGE);
    at_el(b, 1, CODE);
    s->x[1] = 0x1000;
    s->x[2] = TABLES + 0x3008;
    s->x[3] = (DATA + 0x1000) | D_PAGE;
    poke64(b, DATA, 1);
    poke64(b, DATA + 0x1000, 2);
    EMIT(b, LDR(4, 1), STR(3, 2), LDR(5, 1));
    steps(b, 3);
    EQ(s->x[4], 1);
    EQ(s->x[5], 2);
}
END_TEST

START_TEST(el0_needs_ap1_and_hierarchical_attributes_restrict)
{
    paging_on(UCODE | D_PAGE | D_USER | D_RO);
    poke32(b, UCODE, LDR(0, 1));
    at_el(b, 0, 0x1000);
    s->x[1] = 0x1000;
    steps(b, 1);
    EQ(s->pc, 0x1004);
    at_el(b, 0, 0x1000);
    s->x[1] = DATA; /* the kernel's */
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_DABORT_LOWER, 0x0e);

    poke64(b, TABLES + 0x2000, (TABLES + 0x3000) | D_TABLE | BIT64(61)); /* APTable: not EL0 */
    at_el(b, 0, 0x1000);
    s->x[1] = 0x1000;
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_DABORT_LOWER, 0x0f);

    poke64(b, TABLES + 0x2000, (TABLES + 0x3000) | D_TABLE | BIT64(60)); /* UXNTable */
    at_el(b, 0, 0x1000);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT_LOWER, 0x0f);
    EQ(s->far[1], 0x1000);
    EQ(s->elr[1], 0x1000);
}
END_TEST

START_TEST(el1_never_executes_what_el0_may_write_nor_pxn_nor_wxn)
{
    paging_on(UCODE | D_PAGE | D_USER);
    poke32(b, UCODE, NOP);
    at_el(b, 1, 0x1000);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT, 0x0f);
    paging_on(UCODE | D_PAGE | D_PXN);
    at_el(b, 1, 0x1000);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT, 0x0f);
    paging_on(UCODE | D_PAGE);
    at_el(b, 1, 0x1000);
    steps(b, 1);
    EQ(s->pc, 0x1004);
    s->sctlr[1] |= SCTLR_WXN;
    at_el(b, 1, 0x1000);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT, 0x0f);
}
END_TEST

START_TEST(pan_denies_user_pages_but_not_to_ldtr)
{
    paging_on(DATA | D_PAGE | D_USER);
    poke64(b, DATA, 77);
    at_el(b, 1, CODE);
    s->x[1] = 0x1000;
    EMIT(b, LDR(2, 1), MSR_PAN(1), LDTR(3, 1), LDR(4, 1));
    steps(b, 3);
    EQ(s->x[2], 77);
    EQ(s->x[3], 77);
    steps(b, 1);
    expect_data_abort(1, EC_DABORT, 0x0f, 0x1000);
}
END_TEST

START_TEST(tbi_ignores_the_top_byte)
{
    paging_on(DATA | D_PAGE);
    poke64(b, DATA, 9);
    s->tcr[1] |= TCR_TBI0;
    load_at(UINT64_C(0xab00000000001000));
    EQ(s->x[0], 9);
    s->tcr[1] &= ~TCR_TBI0;
    load_at(UINT64_C(0xab00000000001000));
    EQ(s->el, 1);
    EXPECT_ESR(b, 1, EC_DABORT, 0x04);
}
END_TEST

START_TEST(granules_of_16k_and_64k)
{
    /* 16K, 36 bits: starts at level 2. 11 bits each. */
    poke64(b, TABLES, (TABLES + 0x4000) | D_TABLE);
    poke64(b, TABLES + 0x4000 + 8, DATA | D_PAGE); /* VA 0x4000 */
    poke64(b, TABLES + (RAM >> 25) * 8, RAM | D_BLOCK);
    s->ttbr0[1] = TABLES;
    s->tcr[1] = 28 | 2 << 14 | BIT64(23) | UINT64_C(5) << 32;
    s->sctlr[1] |= SCTLR_M;
    poke64(b, DATA + 0x3ff8, 16);
    load_at(0x7ff8);
    EQ(s->x[0], 16);
    load_at(0x8000);
    expect_data_abort(1, EC_DABORT, 0x07, 0x8000);

    /* 64K, 42 bits: starts at level 2. 13 bits each. */
    memset(b->m->memory.host + (TABLES - RAM), 0, 0x40000);
    poke64(b, TABLES, (TABLES + 0x10000) | D_TABLE);
    poke64(b, TABLES + 0x10000 + 8, DATA | D_PAGE); /* VA 0x10000 */
    poke64(b, TABLES + (RAM >> 29) * 8, RAM | D_BLOCK);
    s->tcr[1] = 22 | 1 << 14 | BIT64(23) | UINT64_C(5) << 32;
    poke64(b, DATA + 0xfff8, 64);
    load_at(0x1fff8);
    EQ(s->x[0], 64);
    load_at(0x20000);
    expect_data_abort(1, EC_DABORT, 0x07, 0x20000);
}
END_TEST

START_TEST(four_levels_with_48_bits)
{
    poke64(b, TABLES, (TABLES + 0x1000) | D_TABLE);
    poke64(b, TABLES + 0x1008, RAM | D_BLOCK); /* 1 GiB */
    s->ttbr0[1] = TABLES;
    s->tcr[1] = 16 | BIT64(23) | UINT64_C(5) << 32;
    s->sctlr[1] |= SCTLR_M;
    poke64(b, DATA, 4);
    load_at(DATA);
    EQ(s->x[0], 4);
    load_at(BIT64(39));
    expect_data_abort(1, EC_DABORT, 0x04, BIT64(39));
}
END_TEST

START_TEST(el2_has_tables_of_its_own)
{
    poke64(b, TABLES + 8, RAM | D_BLOCK);
    poke64(b, TABLES, 0);
    s->ttbr0[2] = TABLES;
    s->tcr[2] = 25 | 5 << 16;
    s->sctlr[2] |= SCTLR_M;
    at_el(b, 2, CODE);
    s->x[1] = 0x1000;
    EMIT(b, LDR(0, 1));
    steps(b, 1);
    expect_data_abort(2, EC_DABORT, 0x05, 0x1000);
}
END_TEST

/* Stage 2: 4K, 39 bits, level 1 at TABLES + 0x8000; RAM identity by 2 MiB blocks. */
static void stage2_on(void)
{
    poke64(b, TABLES + 0x8000 + 8, (TABLES + 0x9000) | D_TABLE);
    poke64(b, TABLES + 0x9000, RAM | D_BLOCK | 0xfc);
    s->vttbr_el2 = TABLES + 0x8000;
    s->vtcr_el2 = 25 | 1 << 6 | 5 << 16;
    s->hcr_el2 |= HCR_VM;
    refresh(b);
}

START_TEST(a_stage_2_fault_goes_to_el2_with_ipa_and_syndrome)
{
    stage2_on();
    at_el(b, 1, CODE);
    s->x[1] = 0x9000010;
    EMIT(b, LDRB(3, 1));
    steps(b, 1);
    EQ(s->el, 2);
    /* ISV, byte, not sign-extended, x3, 32-bit; translation fault level 1 */
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 1u << 24 | 3 << 16 | 0x05);
    EQ(s->far[2], 0x9000010);
    EQ(s->hpfar_el2, 0x9000000 >> 12 << 4);
    EQ(s->elr[2], CODE);
    at_el(b, 1, CODE);
    s->x[1] = 0x9000010;
    EMIT(b, STR(9, 1));
    steps(b, 1);
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 1u << 24 | 3 << 22 | 9 << 16 | 1 << 15 | 1 << 6 | 0x05);
}
END_TEST

START_TEST(a_stage_2_fault_describes_every_access_of_one_register)
{
    /* By DDI 0487 "ISS encoding for an exception from a Data Abort": SAS, SSE, SRT, SF, AR; 0: ISV is clear. */
#define ISS(sas, sse, srt, sf, ar) (1u << 24 | (sas) << 22 | (sse) << 21 | (srt) << 16 | (sf) << 15 | (ar) << 14)
    static const struct {
        uint32_t insn, iss, write;
    } cases[] = {
        {0x39800023, ISS(0, 1, 3, 1, 0), 0},      /* ldrsb x3, [x1] */
        {0x39c00023, ISS(0, 1, 3, 0, 0), 0},      /* ldrsb w3, [x1] */
        {0x79800023, ISS(1, 1, 3, 1, 0), 0},      /* ldrsh x3, [x1] */
        {0x79c00023, ISS(1, 1, 3, 0, 0), 0},      /* ldrsh w3, [x1] */
        {0xb980003f, ISS(2, 1, 31, 1, 0), 0},     /* ldrsw xzr, [x1] */
        {0xb9400024, ISS(2, 0, 4, 0, 0), 0},      /* ldr w4, [x1] */
        {0x7900003f, ISS(1, 0, 31, 0, 0), 1},     /* strh wzr, [x1] */
        {0xf8400024, ISS(3, 0, 4, 1, 0), 0},      /* ldur x4, [x1] */
        {0xb8000824, ISS(2, 0, 4, 0, 0), 1},      /* sttr w4, [x1] */
        {0xb8626824, ISS(2, 0, 4, 0, 0), 0},      /* ldr w4, [x1, x2] */
        {0x88dffc24, ISS(2, 0, 4, 0, 1), 0},      /* ldar w4, [x1] */
        {0xc89ffc24, ISS(3, 0, 4, 1, 1), 1},      /* stlr x4, [x1] */
        {0xf8408424, 0, 0},                       /* ldr x4, [x1], #8 */
        {0xf8008c24, 0, 1},                       /* str x4, [x1, #8]!: at 9000008 */
        {0xa9400c22, 0, 0},                       /* ldp x2, x3, [x1] */
        {0xc85f7c24, 0, 0},                       /* ldxr x4, [x1] */
        {0xfd400024, 0, 0},                       /* ldr d4, [x1] */
    };

    stage2_on();
    s->cpacr_el1 = 3 << 20;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        at_el(b, 1, CODE);
        s->x[1] = 0x9000000;
        s->x[2] = 0;
        EMIT(b, cases[i].insn);
        steps(b, 1);
        ck_assert_msg(s->esr[2] == ((uint64_t)EC_DABORT_LOWER << 26 | 1u << 25 | cases[i].iss | cases[i].write << 6 | 0x05),
                      "%08x: ESR %llx", cases[i].insn, (unsigned long long)s->esr[2]);
    }
}
END_TEST

START_TEST(a_stage_2_fault_of_a_literal_load_has_its_syndrome)
{
    static const struct {
        uint32_t insn, iss;
    } cases[] = {
        {0x18800003, ISS(2, 0, 3, 0, 0)}, /* ldr w3, .-1M */
        {0x58800003, ISS(3, 0, 3, 1, 0)}, /* ldr x3 */
        {0x98800003, ISS(2, 1, 3, 1, 0)}, /* ldrsw x3 */
    };

    stage2_on();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        at_el(b, 1, RAM); /* the literal lies below the memory that stage 2 maps */
        EMIT(b, cases[i].insn);
        steps(b, 1);
        EXPECT_ESR(b, 2, EC_DABORT_LOWER, cases[i].iss | 0x05);
        EQ(s->far[2], RAM - (1 << 20));
    }
}
END_TEST

START_TEST(a_stage_2_fault_of_a_table_walk_is_s1ptw)
{
    paging_on(DATA | D_PAGE);
    stage2_on();
    poke64(b, TABLES + 0x2000, BIT64(36) | D_TABLE); /* a table beyond */
    load_at(0x1000);
    EQ(s->el, 2);
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 0x80 | 0x05);
    EQ(s->hpfar_el2, BIT64(36) >> 12 << 4);
    EQ(s->far[2], 0x1000);
}
END_TEST

START_TEST(stage_2_permissions_bind)
{
    stage2_on();
    poke64(b, TABLES + 0x9000, RAM | D_BLOCK | 0x7c); /* read only */
    store_at(DATA);
    EQ(s->el, 2);
    EXPECT_ESR(b, 2, EC_DABORT_LOWER, 1u << 24 | 3 << 22 | 0 << 16 | 1 << 15 | 1 << 6 | 0x0e);
}
END_TEST

START_TEST(at_puts_the_address_or_the_fault_into_par)
{
    paging_on(DATA | D_PAGE);
    s->mair[1] = 0xff;
    at_el(b, 1, CODE);
    s->x[1] = 0x1234;
    s->x[2] = 0x5000;
    EMIT(b, SYS(0u, 7u, 8u, 0u, 1u), SYS(0u, 7u, 8u, 2u, 1u), SYS(0u, 7u, 8u, 1u, 2u));
    steps(b, 1);
    EQ(s->par_el1, DATA | UINT64_C(0xff) << 56 | 0xa00);
    steps(b, 1); /* S1E0R: no permission */
    EQ(s->par_el1, 1 | 0x0f << 1 | 0x800);
    steps(b, 1);
    EQ(s->par_el1, 1 | 0x07 << 1 | 0x800);
    EQ(s->pc, CODE + 12);
}
END_TEST

START_TEST(an_access_that_nobody_answers_is_an_external_abort)
{
    uint64_t nobody = RAM + (8 << 20);

    load_at(nobody + 8);
    EXPECT_AT(b, 1, 0x200, 0);
    expect_data_abort(1, EC_DABORT, 0x10, nobody + 8);
    store_at(nobody + 8);
    expect_data_abort(1, EC_DABORT, 0x50, nobody + 8);
    a64_flat_map(b->m, b->c);
    load_at(RAM + (4 << 20) - 4); /* half of it is there */
    expect_data_abort(1, EC_DABORT, 0x10, RAM + (4 << 20));
    at_el(b, 1, nobody);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT, 0x10);
    EQ(s->far[1], nobody);
    at_el(b, 0, UCODE);
    s->x[1] = nobody;
    poke32(b, UCODE, LDR(0, 1));
    steps(b, 1);
    expect_data_abort(1, EC_DABORT_LOWER, 0x10, nobody);
}
END_TEST

START_TEST(a_table_that_nobody_answers_is_an_external_abort_of_the_walk)
{
    paging_on(DATA | D_PAGE);
    poke64(b, TABLES + 0x2000, 0x70000000 | D_TABLE);
    load_at(0x1008);
    expect_data_abort(1, EC_DABORT, 0x17, 0x1008);
    at_el(b, 1, CODE);
    s->x[1] = 0x1008;
    s->par_el1 = 0x123;
    EMIT(b, SYS(0, 7, 8, 0, 1)); /* AT S1E1R */
    steps(b, 1);
    expect_data_abort(1, EC_DABORT, 0x157, 0x1008);
    EQ(s->par_el1, 0x123);
}
END_TEST

START_TEST(scr_ea_takes_external_aborts_to_el3)
{
    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    s->scr_el3 |= SCR_NS | SCR_EA;
    load_at(RAM + (8 << 20));
    EQ(s->el, 3);
    EXPECT_ESR(b, 3, EC_DABORT_LOWER, 0x10);
    EQ(s->far[3], RAM + (8 << 20));
}
END_TEST

#define SECURE_RAM UINT64_C(0x0e000000)

static void add_secure_ram(void)
{
    struct region r = {.base = SECURE_RAM, .size = 2 * PAGE_SIZE, .kind = REGION_RAM, .enabled = true, .secure = true};

    r.page = memory_alloc(&b->m->memory, "ram", r.size);
    memory_map(&b->m->memory, &r);
    poke64(b, SECURE_RAM + 8, 0x5ec2e7);
}

START_TEST(secure_memory_is_not_there_for_nonsecure_accesses)
{
    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    add_secure_ram();
    s->scr_el3 &= ~SCR_NS;
    load_at(SECURE_RAM + 8); /* Secure EL1, translation off */
    EQ(s->x[0], 0x5ec2e7);
    s->scr_el3 |= SCR_NS;
    refresh(b);
    load_at(SECURE_RAM + 8);
    expect_data_abort(1, EC_DABORT, 0x10, SECURE_RAM + 8);
    store_at(SECURE_RAM + 8);
    expect_data_abort(1, EC_DABORT, 0x50, SECURE_RAM + 8);
    at_el(b, 1, SECURE_RAM);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_IABORT, 0x10);
    at_el(b, 3, CODE);
    s->x[1] = SECURE_RAM + 8;
    EMIT(b, LDR(0, 1));
    steps(b, 1);
    EQ(s->x[0], 0x5ec2e7);
}
END_TEST

START_TEST(scr_ns_changes_what_cached_translations_reach)
{
    again("max", A64_HAS_EL3);
    add_secure_ram();
    s->scr_el3 &= ~SCR_NS;
    load_at(SECURE_RAM + 8); /* now it is cached */
    at_el(b, 3, CODE);
    s->x[2] = s->scr_el3 | SCR_NS;
    EMIT(b, MSR(SYSREG(3, 6, 1, 1, 0), 2));
    steps(b, 1);
    a64_set_mode(b->c, 1, true); /* without dropping anything derived */
    s->pc = CODE;
    poke32(b, CODE, LDR(0, 1));
    a64_regime_changed(b->c);
    steps(b, 1);
    expect_data_abort(1, EC_DABORT, 0x10, SECURE_RAM + 8);
}
END_TEST

START_TEST(ns_bits_make_accesses_of_the_secure_state_nonsecure)
{
    again("max", A64_HAS_EL3);
    add_secure_ram();
    s->scr_el3 &= ~SCR_NS;
    paging_on(SECURE_RAM | D_PAGE);
    load_at(0x1008);
    EQ(s->x[0], 0x5ec2e7);
    poke64(b, TABLES + 0x3008, SECURE_RAM | D_PAGE | BIT64(5));
    load_at(0x1008);
    expect_data_abort(1, EC_DABORT, 0x10, 0x1008);
    poke64(b, TABLES + 0x3008, SECURE_RAM | D_PAGE);
    poke64(b, TABLES + 0x2000, (TABLES + 0x3000) | D_TABLE | BIT64(63));
    load_at(0x1008);
    expect_data_abort(1, EC_DABORT, 0x10, 0x1008);
    /* Tables in Secure memory are out of reach of the Non-secure state, and below NSTable. */
    poke64(b, SECURE_RAM + PAGE_SIZE + 8, DATA | D_PAGE);
    poke64(b, TABLES + 0x2000, (SECURE_RAM + PAGE_SIZE) | D_TABLE);
    load_at(0x1008);
    EQ(s->el, 1);
    EQ(s->pc, CODE + 4);
    poke64(b, TABLES, (TABLES + 0x2000) | D_TABLE | BIT64(63));
    load_at(0x1008);
    expect_data_abort(1, EC_DABORT, 0x17, 0x1008);
}
END_TEST

START_TEST(cache_maintenance_of_an_unmapped_address_faults_with_cm)
{
    paging_on(0);
    at_el(b, 1, CODE);
    s->x[1] = 0x1000;
    EMIT(b, SYS(3u, 7u, 14u, 1u, 1u));
    steps(b, 1);
    expect_data_abort(1, EC_DABORT, 0x147, 0x1000);
}
END_TEST

/* ---- system registers ---- */

START_TEST(a_register_is_read_and_written)
{
    EMIT(b, MSR(SYSREG(3, 0, 12, 0, 0), 1u), MRS(2u, SYSREG(3, 0, 12, 0, 0)), MRS(3u, R_MIDR));
    s->x[1] = 0x12345fff;
    steps(b, 3);
    EQ(s->vbar[1], 0x12345800);
    EQ(s->x[2], 0x12345800);
    EQ(s->x[3], b->c->model->midr);
}
END_TEST

START_TEST(el0_may_not_read_el1s_registers)
{
    at_el(b, 0, UCODE);
    EMIT(b, MRS(0u, R_SCTLR_EL1));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
}
END_TEST

START_TEST(unallocated_registers_are_undefined_but_id_space_is_zero)
{
    EMIT(b, MRS(0u, SYSREG(3, 0, 0, 4, 7)), MRS(0u, SYSREG(3, 0, 11, 5, 3)));
    s->x[0] = 1;
    steps(b, 1);
    EQ(s->x[0], 0);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
}
END_TEST

START_TEST(el0_traps_carry_the_instruction_in_the_syndrome)
{
    at_el(b, 0, UCODE);
    s->sctlr[1] &= ~(SCTLR_UCT | SCTLR_UMA);
    EMIT(b, MRS(7u, R_CTR));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_SYSREG, 3u << 20 | 1u << 17 | 3u << 14 | 0u << 10 | 7u << 5 | 0u << 1 | 1);
    at_el(b, 0, UCODE);
    EMIT(b, DAIFSET(2));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_SYSREG, 0u << 20 | 6u << 17 | 3u << 14 | 4u << 10 | 31u << 5 | 2u << 1 | 0);
}
END_TEST

START_TEST(hcr_tvm_traps_writes_of_translation_registers)
{
    s->hcr_el2 |= HCR_TVM;
    EMIT(b, MRS(1u, R_TTBR0_EL1), MSR(R_TTBR0_EL1, 5u));
    steps(b, 1);
    EQ(s->pc, CODE + 4);
    steps(b, 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EXPECT_ESR(b, 2, EC_SYSREG, 3u << 20 | 2u << 10 | 5u << 5);
}
END_TEST

START_TEST(el2_registers_do_not_exist_without_el2)
{
    again("cortex-a57", 0);
    EMIT(b, MRS(0u, R_HCR));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_UNKNOWN, 0);
    EQ(s->elr[1], CODE);
}
END_TEST

START_TEST(id_registers_tell_the_levels_that_exist)
{
    EMIT(b, MRS(0u, SYSREG(3, 0, 0, 4, 0)));
    steps(b, 1);
    EQ(s->x[0] & 0xffff, 0x0111);
    again("cortex-a53", A64_HAS_EL2 | A64_HAS_EL3);
    EMIT(b, MRS(0u, SYSREG(3, 0, 0, 4, 0)));
    steps(b, 1);
    EQ(s->x[0] & 0xffff, 0x1111);
}
END_TEST

START_TEST(sp_el0_is_reachable_and_daif_reads_back)
{
    EMIT(b, MSR(R_SP_EL0, 1u), MRS(2u, R_SP_EL0), DAIFCLR(15), MRS(3u, R_DAIF), DAIFSET(1), MRS(4u, R_DAIF));
    s->x[1] = 0xabc0;
    steps(b, 6);
    EQ(s->x[2], 0xabc0);
    EQ(s->x[3], 0);
    EQ(s->x[4], PSTATE_F);
}
END_TEST

START_TEST(every_row_can_be_read_and_written_at_the_highest_level)
{
    const struct cpu_ops *o = b->m->cpus[0]->ops;
    uint8_t v[16];

    again("max", A64_HAS_EL2 | A64_HAS_EL3);
    o = b->m->cpus[0]->ops;
    at_el(b, 3, CODE);
    for (unsigned i = 0; i < o->nregs; i++) {
        o->read_reg(b->m->cpus[0], i, v);
        ck_assert_msg(o->write_reg(b->m->cpus[0], i, v), "%s", o->regs[i].name);
        for (unsigned k = 0; k < i; k++)
            ck_assert_str_ne(o->regs[i].name, o->regs[k].name);
    }
    ck_assert_uint_gt(o->nregs, 150);
}
END_TEST

/* ---- timers ---- */

static unsigned virt_level;

static void note_level(void *ctx, unsigned n, bool level)
{
    (void)ctx, (void)n;
    virt_level = level;
}

START_TEST(the_virtual_timer_fires_at_its_exact_position)
{
    struct stop stop;

    virt_level = 0;
    b->c->timer_line[TIMER_VIRT] = (struct line){.set = note_level};
    s->x[1] = 10;
    s->x[2] = 1;
    EMIT(b, MSR(R_CNTV_TVAL, 1u), MSR(R_CNTV_CTL, 2u));
    for (unsigned i = 0; i < 400; i++)
        EMIT(b, NOP);
    steps(b, 2);
    EQ(s->timer[TIMER_VIRT].cval, 10);
    /* 10 ticks are 160 ns are 160 steps: the step from 160 sees the line. */
    machine_run(b->m, 160, &stop);
    EQ(virt_level, 0);
    machine_run(b->m, 161, &stop);
    EQ(virt_level, 1);
    EQ(a64_sysreg_visible(b->c, 0), true);
}
END_TEST

START_TEST(the_counter_follows_virtual_time_and_its_offset)
{
    struct stop stop;

    s->cntvoff_el2 = 3;
    for (unsigned i = 0; i < 160; i++)
        EMIT(b, NOP);
    EMIT(b, MRS(0u, R_CNTVCT), MRS(1u, SYSREG(3, 3, 14, 0, 1)));
    machine_run(b->m, 162, &stop);
    EQ(s->x[0], 7);
    EQ(s->x[1], 10);
}
END_TEST

START_TEST(imask_hides_the_line_and_istatus_tells)
{
    struct stop stop;

    virt_level = 0;
    b->c->timer_line[TIMER_VIRT] = (struct line){.set = note_level};
    s->x[2] = 3;
    EMIT(b, MSR(SYSREG(3, 3, 14, 3, 2), 31u), MSR(R_CNTV_CTL, 2u), MRS(3u, R_CNTV_CTL));
    machine_run(b->m, 3, &stop);
    EQ(virt_level, 0);
    EQ(s->x[3], 7);
}
END_TEST

START_TEST(a_sleeping_cpu_wakes_by_its_timer)
{
    s->timer[TIMER_VIRT].cval = 1000;
    s->timer[TIMER_VIRT].ctl = 1;
    b->c->timer_line[TIMER_VIRT] = (struct line){.set = a64_set_line, .ctx = b->c, .n = 0};
    a64_timers_changed(b->c);
    EMIT(b, WFI, MRS(0u, R_CNTVCT));
    EQ(steps(b, 2), STOP_LIMIT);
    EQ(s->x[0], 1000);
}
END_TEST

START_TEST(the_cycle_counter_counts_and_overflows)
{
    EMIT(b, MSR(SYSREG(3, 3, 9, 12, 1), 1u), MSR(SYSREG(3, 3, 9, 12, 0), 2u), MSR(R_PMCCNTR, 3u), NOP, NOP,
         MRS(4u, R_PMCCNTR), MRS(5u, SYSREG(3, 3, 9, 14, 3)));
    s->x[1] = 1u << 31;
    s->x[2] = 0x41;
    s->x[3] = UINT64_MAX - 1;
    steps(b, 7);
    EQ(s->x[4], 1);
    EQ(s->x[5], 1u << 31);
}
END_TEST

/* ---- debug ---- */

START_TEST(software_step_runs_one_instruction_of_el0)
{
    s->mdscr_el1 = MDSCR_SS;
    s->elr[1] = UCODE;
    s->spsr[1] = PSTATE_SS;
    EMIT(b, ERET);
    poke32(b, UCODE, NOP);
    poke32(b, UCODE + 4, NOP);
    s->sp_el[0] = STACK;
    steps(b, 1);
    ck_assert(s->pstate & PSTATE_SS);
    steps(b, 1);
    EQ(s->pc, UCODE + 4);
    steps(b, 1);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_STEP_LOWER, 1u << 24 | 0x22);
    EQ(s->elr[1], UCODE + 4);
    EQ(s->spsr[1] & PSTATE_SS, 0);
}
END_TEST

START_TEST(a_stepped_svc_leaves_the_step_behind_it)
{
    s->mdscr_el1 = MDSCR_SS;
    s->elr[1] = UCODE;
    s->spsr[1] = PSTATE_SS;
    EMIT(b, ERET);
    poke32(b, UCODE, SVC(0));
    steps(b, 2);
    EXPECT_ESR(b, 1, EC_SVC, 0);
    EQ(s->spsr[1] & PSTATE_SS, 0);
    EQ(s->elr[1], UCODE + 4);
}
END_TEST

START_TEST(a_breakpoint_register_stops_el0_before_the_instruction)
{
    s->mdscr_el1 = MDSCR_MDE;
    s->dbgbvr[2] = UCODE + 4;
    s->dbgbcr[2] = 1 | 2 << 1 | 15 << 5;
    at_el(b, 0, UCODE);
    EMIT(b, NOP, MOVZ(0, 5));
    steps(b, 2);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_BREAK_LOWER, 0x22);
    EQ(s->elr[1], UCODE + 4);
    EQ(s->x[0], 0);
}
END_TEST

START_TEST(a_watchpoint_register_stops_before_the_store)
{
    s->mdscr_el1 = MDSCR_MDE;
    s->dbgwvr[1] = DATA;
    s->dbgwcr[1] = 1 | 2 << 1 | 2 << 3 | 0xf0 << 5;
    at_el(b, 0, UCODE);
    s->x[0] = 1;
    s->x[1] = DATA;
    EMIT(b, LDR(2, 1), STR(0, 1));
    steps(b, 2);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_WATCH_LOWER, 0x22 | 0x40);
    EQ(s->far[1], DATA + 4);
    EQ(s->elr[1], UCODE + 4);
    EQ(peek64(b, DATA), 0);
}
END_TEST

START_TEST(the_os_lock_silences_debug_exceptions)
{
    s->mdscr_el1 = MDSCR_MDE;
    s->dbgbvr[0] = UCODE;
    s->dbgbcr[0] = 1 | 2 << 1 | 15 << 5;
    s->oslsr_el1 |= 2;
    at_el(b, 0, UCODE);
    EMIT(b, NOP);
    steps(b, 1);
    EQ(s->pc, UCODE + 4);
}
END_TEST

/* ---- others ---- */

START_TEST(models_are_found_by_name)
{
    ck_assert_ptr_nonnull(a64_model_find("cortex-a53"));
    ck_assert_ptr_nonnull(a64_model_find("cortex-a57"));
    ck_assert_ptr_nonnull(a64_model_find("max"));
    ck_assert_ptr_null(a64_model_find("cortex-a9"));
}
END_TEST

START_TEST(gdb_writes_cpsr_and_is_refused_what_cannot_be)
{
    const struct cpu_ops *o = b->m->cpus[0]->ops;
    uint32_t v = PSTATE_Z | 0x3c5;

    ck_assert(o->write_reg(b->m->cpus[0], 33, &v));
    EQ(a64_get_spsr(b->c), PSTATE_Z | 0x3c5);
    v = 0x10;
    ck_assert(!o->write_reg(b->m->cpus[0], 33, &v));
    v = 0xd; /* EL3 */
    ck_assert(!o->write_reg(b->m->cpus[0], 33, &v));
}
END_TEST

START_TEST(descriptions_are_text)
{
    struct buffer out;

    buffer_init(&out);
    paging_on(DATA | D_PAGE);
    b->m->cpus[0]->ops->describe(b->m->cpus[0], &out);
    b->m->cpus[0]->ops->describe_tlb(b->m->cpus[0], &out);
    buffer_append_byte(&out, 0);
    ck_assert_ptr_nonnull(strstr((char *)out.data, "PSTATE="));
    ck_assert_ptr_nonnull(strstr((char *)out.data, "0000000000001000-0000000000001fff"));
    buffer_finish(&out);
}
END_TEST

Suite *test_suite(void)
{
    Suite *su = suite_create("aarch64 system");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, svc_returns_behind_itself_and_is_one_step);
    tcase_add_test(tc, an_undefined_instruction_is_ec_0_at_itself);
    tcase_add_test(tc, with_sp_el0_selected_the_first_vectors_are_used);
    tcase_add_test(tc, tge_sends_exceptions_of_el0_to_el2);
    tcase_add_test(tc, hvc_goes_to_el2_and_is_undefined_at_el0_and_without_el2);
    tcase_add_test(tc, smc_goes_to_el3_or_traps_to_el2);
    tcase_add_test(tc, a_firmware_call_takes_no_exception);
    tcase_add_test(tc, brk_is_ec_3c_at_itself);
    tcase_add_test(tc, hlt_is_undefined_without_semihosting);
    tcase_add_test(tc, a_misaligned_pc_and_sp_fault);
    tcase_add_test(tc, fp_traps_where_cpacr_cptr_say);
    tcase_add_test(tc, eret_restores_level_stack_flags_and_masks);
    tcase_add_test(tc, an_illegal_return_sets_il_and_the_next_instruction_faults);
    tcase_add_test(tc, pan_is_set_by_exceptions_to_el1_unless_span);
    tcase_add_test(tc, an_irq_is_taken_when_unmasked_before_the_next_instruction);
    tcase_add_test(tc, fiq_comes_before_irq);
    tcase_add_test(tc, imo_takes_irqs_to_el2_whatever_el1_masks);
    tcase_add_test(tc, a_virtual_irq_is_for_el1_with_imo);
    tcase_add_test(tc, an_irq_of_el1_does_not_interrupt_el2);
    tcase_add_test(tc, a_virtual_serror_is_taken_once);
    tcase_add_test(tc, wfi_sleeps_until_a_masked_interrupt_comes);
    tcase_add_test(tc, wfi_does_not_sleep_with_an_interrupt_pending);
    tcase_add_test(tc, wfe_consumes_the_event_register);
    tcase_add_test(tc, the_event_stream_wakes_wfe);
    tcase_add_test(tc, el2s_event_stream_is_of_the_physical_count);
    tcase_add_test(tc, wfi_traps_by_ntwi_and_twi);
    tcase_add_test(tc, a_page_is_read_and_written_and_both_halves_work);
    tcase_add_test(tc, mappings_are_listed_in_as_many_steps_as_tables_have_entries);
    tcase_add_test(tc, translation_faults_tell_their_level);
    tcase_add_test(tc, access_flag_permission_and_address_size_faults);
    tcase_add_test(tc, a_changed_descriptor_counts_at_once);
    tcase_add_test(tc, el0_needs_ap1_and_hierarchical_attributes_restrict);
    tcase_add_test(tc, el1_never_executes_what_el0_may_write_nor_pxn_nor_wxn);
    tcase_add_test(tc, pan_denies_user_pages_but_not_to_ldtr);
    tcase_add_test(tc, tbi_ignores_the_top_byte);
    tcase_add_test(tc, granules_of_16k_and_64k);
    tcase_add_test(tc, four_levels_with_48_bits);
    tcase_add_test(tc, el2_has_tables_of_its_own);
    tcase_add_test(tc, a_stage_2_fault_goes_to_el2_with_ipa_and_syndrome);
    tcase_add_test(tc, a_stage_2_fault_describes_every_access_of_one_register);
    tcase_add_test(tc, a_stage_2_fault_of_a_literal_load_has_its_syndrome);
    tcase_add_test(tc, a_stage_2_fault_of_a_table_walk_is_s1ptw);
    tcase_add_test(tc, stage_2_permissions_bind);
    tcase_add_test(tc, at_puts_the_address_or_the_fault_into_par);
    tcase_add_test(tc, an_access_that_nobody_answers_is_an_external_abort);
    tcase_add_test(tc, a_table_that_nobody_answers_is_an_external_abort_of_the_walk);
    tcase_add_test(tc, scr_ea_takes_external_aborts_to_el3);
    tcase_add_test(tc, secure_memory_is_not_there_for_nonsecure_accesses);
    tcase_add_test(tc, scr_ns_changes_what_cached_translations_reach);
    tcase_add_test(tc, ns_bits_make_accesses_of_the_secure_state_nonsecure);
    tcase_add_test(tc, cache_maintenance_of_an_unmapped_address_faults_with_cm);
    tcase_add_test(tc, a_register_is_read_and_written);
    tcase_add_test(tc, el0_may_not_read_el1s_registers);
    tcase_add_test(tc, unallocated_registers_are_undefined_but_id_space_is_zero);
    tcase_add_test(tc, el0_traps_carry_the_instruction_in_the_syndrome);
    tcase_add_test(tc, hcr_tvm_traps_writes_of_translation_registers);
    tcase_add_test(tc, el2_registers_do_not_exist_without_el2);
    tcase_add_test(tc, id_registers_tell_the_levels_that_exist);
    tcase_add_test(tc, sp_el0_is_reachable_and_daif_reads_back);
    tcase_add_test(tc, every_row_can_be_read_and_written_at_the_highest_level);
    tcase_add_test(tc, the_virtual_timer_fires_at_its_exact_position);
    tcase_add_test(tc, the_counter_follows_virtual_time_and_its_offset);
    tcase_add_test(tc, imask_hides_the_line_and_istatus_tells);
    tcase_add_test(tc, a_sleeping_cpu_wakes_by_its_timer);
    tcase_add_test(tc, the_cycle_counter_counts_and_overflows);
    tcase_add_test(tc, software_step_runs_one_instruction_of_el0);
    tcase_add_test(tc, a_stepped_svc_leaves_the_step_behind_it);
    tcase_add_test(tc, a_breakpoint_register_stops_el0_before_the_instruction);
    tcase_add_test(tc, a_watchpoint_register_stops_before_the_store);
    tcase_add_test(tc, the_os_lock_silences_debug_exceptions);
    tcase_add_test(tc, models_are_found_by_name);
    tcase_add_test(tc, gdb_writes_cpsr_and_is_refused_what_cannot_be);
    tcase_add_test(tc, descriptions_are_text);
    suite_add_tcase(su, tc);
    return su;
}
