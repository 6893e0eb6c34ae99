/*
 * Claims about alignment (DDI 0487 B2.5.2, D8.15): which accesses must be aligned, what comes
 * before an alignment fault, and what its syndrome says.
 */
#include "a64_bench.h"
#include "a64_flat.h"
#include "tests/whole/with_jit.h"
#include "tests/check_main.h"

static struct bench *b;
static struct a64_state *s;

static void setup(void)
{
    b = bench_new("max", A64_HAS_EL2);
    s = b->s;
}

static void setup_jit(void)
{
    setup();
    with_jit(&b->c->u);
}

static void teardown(void)
{
    bench_free(b);
}

#define D_PAGE  UINT64_C(0x403) /* valid, page, AF; attribute 0 */
#define D_BLOCK UINT64_C(0x401)
#define D_TABLE UINT64_C(3)
#define D_RO    UINT64_C(0x80)
#define D_ATTR1 UINT64_C(4)
#define MAIR    UINT64_C(0x04ff) /* 0: write-back, 1: Device-nGnRE */

#define LDUR(rt, rn, imm)  (0xf8400000u | (imm) << 12 | (rn) << 5 | (rt))
#define LDRH(rt, rn)       (0x79400000u | (rn) << 5 | (rt))
#define LDP(rt, rt2, rn)   (0xa9400000u | (rt2) << 10 | (rn) << 5 | (rt))
#define STP_PRE16(rt, rt2, rn) (0xa9bf0000u | (rt2) << 10 | (rn) << 5 | (rt))
#define LDRQ(rt, rn)       (0x3dc00000u | (rn) << 5 | (rt))
#define STPQ(rt, rt2, rn)  (0xad000000u | (rt2) << 10 | (rn) << 5 | (rt))
#define LDPQ(rt, rt2, rn)  (0xad400000u | (rt2) << 10 | (rn) << 5 | (rt))
#define LD1_16B(rt, rn)    (0x4c407000u | (rn) << 5 | (rt))
#define LD1_4S(rt, rn)     (0x4c407800u | (rn) << 5 | (rt))
#define CAS(rs, rt, rn)    (0xc8a07c00u | (rs) << 16 | (rn) << 5 | (rt))
#define DC_ZVA(rt)         SYS(3u, 7u, 4u, 1u, rt)

/* Virtual pages; all but the first of DATA. */
enum { NORMAL = 0x1000, DEVICE = 0x2000, DEVICE_RO = 0x3000, NOTHING = 0x4000, NORMAL_RO = 0x5000 };

/* 4K, 39 bits; RAM where it is, by one block. */
static void paging_on(void)
{
    poke64(b, TABLES, (TABLES + 0x1000) | D_TABLE);
    poke64(b, TABLES + 8, RAM | D_BLOCK);
    poke64(b, TABLES + 0x1000, (TABLES + 0x2000) | D_TABLE);
    poke64(b, TABLES + 0x2008, DATA | D_PAGE);
    poke64(b, TABLES + 0x2010, DATA | D_PAGE | D_ATTR1);
    poke64(b, TABLES + 0x2018, DATA | D_PAGE | D_ATTR1 | D_RO);
    poke64(b, TABLES + 0x2028, DATA | D_PAGE | D_RO);
    s->ttbr0[1] = TABLES;
    s->mair[1] = MAIR;
    s->tcr[1] = 25 | BIT64(23) | UINT64_C(5) << 32;
    s->sctlr[1] |= SCTLR_M;
    s->cpacr_el1 = 3 << 20;
    refresh(b);
}

#define B_SELF 0x14000000u

/* One instruction at EL1, within a block, with x1 = va: the ESR of the exception, 0: there was none. */
static uint32_t esr_of(uint32_t word, uint64_t va)
{
    poke32(b, VECTORS(1) + 0x200, B_SELF);
    poke32(b, VECTORS(2) + 0x400, B_SELF);
    at_el(b, 1, CODE);
    s->x[1] = va;
    s->esr[1] = s->far[1] = 0;
    EMIT(b, NOP, word, B_SELF);
    steps(b, 8);
    if (s->pc == CODE + 8)
        return 0;
    EQ(s->elr[s->el], CODE + 4);
    return (uint32_t)s->esr[s->el];
}

#define DABORT(iss) ((uint32_t)EC_DABORT << 26 | 1u << 25 | (iss))
#define MISALIGNED_LOAD  DABORT(0x21u)
#define MISALIGNED_STORE DABORT(0x61u)

START_TEST(with_translation_off_data_is_device_memory)
{
    EQ(esr_of(LDR(0u, 1u), DATA + 4), MISALIGNED_LOAD);
    EQ(s->far[1], DATA + 4);
    EQ(esr_of(STR(0u, 1u), DATA + 1), MISALIGNED_STORE);
    EQ(s->far[1], DATA + 1);
    EQ(esr_of(LDUR(0u, 1u, 4u), DATA + 4), 0);
    EQ(esr_of(LDRB(0u, 1u), DATA + 3), 0);
    EQ(esr_of(LDRH(0u, 1u), DATA + 3), MISALIGNED_LOAD);
    EQ(esr_of(LDTR(0u, 1u), DATA + 3), MISALIGNED_LOAD);
    EQ(esr_of(DC_ZVA(1u), DATA + 0x48), MISALIGNED_STORE);
    EQ(s->far[1], DATA + 0x48);
    at_el(b, 0, UCODE);
    s->x[1] = DATA + 4;
    EMIT(b, LDR(0u, 1u));
    steps(b, 1);
    EXPECT_AT(b, 1, 0x400, 0);
    EXPECT_ESR(b, 1, EC_DABORT_LOWER, 0x21);
}
END_TEST

START_TEST(with_translation_off_an_address_too_large_comes_before_alignment_unless_sctlr_a)
{
    uint64_t large = BIT64(50) + 4;

    EQ(esr_of(LDR(0u, 1u), large), DABORT(0));
    s->sctlr[1] |= SCTLR_A;
    EQ(esr_of(LDR(0u, 1u), large), MISALIGNED_LOAD);
}
END_TEST

START_TEST(el2_with_translation_off_is_strict_and_hcr_dc_makes_el1_lenient)
{
    at_el(b, 2, CODE);
    s->x[1] = DATA + 2;
    EMIT(b, LDR(0u, 1u));
    steps(b, 1);
    EXPECT_AT(b, 2, 0x200, 0);
    EXPECT_ESR(b, 2, EC_DABORT, 0x21);
    a64_flat_map(b->m, b->c);
    EQ(esr_of(LDR(0u, 1u), DATA + 2), 0);
    EQ(esr_of(DC_ZVA(1u), DATA + 2), 0);
}
END_TEST

START_TEST(the_stack_is_aligned_as_it_is_known_to_be)
{
    at_el(b, 1, CODE);
    s->sctlr[1] |= SCTLR_SA;
    s->x[0] = 1, s->x[1] = 2;
    refresh(b);
    EMIT(b, STP_PRE16(0u, 1u, 31u), 0xf94007e2u /* ldr x2, [sp, #8] */, 0xf84047e3u /* ldr x3, [sp], #4 */,
         0xf94003e4u /* ldr x4, [sp] */);
    steps(b, 3);
    EQ(s->x[2], 2);
    EQ(s->x[3], 1);
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_SP_ALIGN, 0);
    s->sctlr[1] &= ~SCTLR_SA; /* nothing is known */
    at_el(b, 1, CODE);
    s->sp = STACK + 4;
    EMIT(b, STP_PRE16(0u, 1u, 31u));
    steps(b, 1);
    EXPECT_ESR(b, 1, EC_DABORT, 0x61);
    EQ(s->far[1], STACK - 12);
}
END_TEST

START_TEST(device_pages_want_aligned_accesses_and_normal_ones_do_not)
{
    paging_on();
    EQ(esr_of(LDR(0u, 1u), NORMAL + 1), 0);
    EQ(esr_of(STR(0u, 1u), NORMAL + 1), 0);
    EQ(esr_of(LDR(0u, 1u), DEVICE + 8), 0);
    EQ(esr_of(LDR(0u, 1u), DEVICE + 4), MISALIGNED_LOAD);
    EQ(s->far[1], DEVICE + 4);
    EQ(esr_of(STR(0u, 1u), DEVICE + 8), 0);
    EQ(esr_of(STR(0u, 1u), DEVICE + 1), MISALIGNED_STORE);
    EQ(esr_of(LDTR(0u, 1u), NORMAL), DABORT(0x0f)); /* not EL0's */
    s->sctlr[1] |= SCTLR_A;
    EQ(esr_of(LDR(0u, 1u), NORMAL + 1), MISALIGNED_LOAD);
}
END_TEST

START_TEST(what_must_be_aligned_is_a_register_or_an_element)
{
    paging_on();
    EQ(esr_of(LDP(2u, 3u, 1u), DEVICE + 8), 0);
    EQ(esr_of(LDP(2u, 3u, 1u), DEVICE + 4), MISALIGNED_LOAD);
    EQ(esr_of(LDRQ(0u, 1u), DEVICE + 16), 0);
    EQ(esr_of(LDRQ(0u, 1u), DEVICE + 8), MISALIGNED_LOAD);
    EQ(esr_of(STPQ(0u, 2u, 1u), DEVICE + 16), 0);
    EQ(esr_of(STPQ(0u, 2u, 1u), DEVICE + 8), MISALIGNED_STORE);
    EQ(esr_of(LDPQ(0u, 2u, 1u), DEVICE + 16), 0);
    EQ(esr_of(LDPQ(0u, 2u, 1u), DEVICE + 8), MISALIGNED_LOAD);
    EQ(esr_of(LD1_16B(0u, 1u), DEVICE + 1), 0);
    EQ(esr_of(LD1_4S(0u, 1u), DEVICE + 4), 0);
    EQ(esr_of(LD1_4S(0u, 1u), DEVICE + 2), MISALIGNED_LOAD);
}
END_TEST

START_TEST(faults_have_their_order)
{
    paging_on();
    EQ(esr_of(LDR(0u, 1u), NOTHING + 1), DABORT(0x07)); /* a translation fault before that of the memory's type */
    EQ(esr_of(STR(0u, 1u), DEVICE_RO + 8), DABORT(0x4f));
    EQ(esr_of(STR(0u, 1u), DEVICE_RO + 1), MISALIGNED_STORE); /* which is before permissions */
    EQ(esr_of(STR(0u, 1u), NORMAL_RO + 1), DABORT(0x4f));
    s->sctlr[1] |= SCTLR_A;
    EQ(esr_of(LDR(0u, 1u), NOTHING + 1), MISALIGNED_LOAD); /* SCTLR.A is before all */
}
END_TEST

START_TEST(an_access_into_a_device_page_faults_there)
{
    paging_on();
    EQ(esr_of(LDR(0u, 1u), DEVICE - 4), MISALIGNED_LOAD);
    EQ(s->far[1], DEVICE);
}
END_TEST

START_TEST(dc_zva_is_never_aligned_to_device_memory)
{
    paging_on();
    poke64(b, DATA + 0x40, 7);
    EQ(esr_of(DC_ZVA(1u), DEVICE + 0x40), MISALIGNED_STORE);
    EQ(peek64(b, DATA + 0x40), 7);
    EQ(esr_of(DC_ZVA(1u), NOTHING + 0x48), DABORT(0x47));
    EQ(s->far[1], NOTHING + 0x48);
    EQ(esr_of(DC_ZVA(1u), NORMAL + 0x48), 0);
    EQ(peek64(b, DATA + 0x40), 0);
}
END_TEST

START_TEST(mair_counts_at_once)
{
    paging_on();
    EQ(esr_of(LDR(0u, 1u), NORMAL + 1), 0);
    at_el(b, 1, CODE);
    s->x[0] = 0;
    s->x[1] = NORMAL + 1;
    EMIT(b, LDR(2u, 1u), MSR(SYSREG(3, 0, 10, 2, 0), 0u), LDR(2u, 1u));
    steps(b, 3);
    EXPECT_ESR(b, 1, EC_DABORT, 0x21);
    EQ(s->elr[1], CODE + 8);
}
END_TEST

START_TEST(memory_that_stage_2_makes_device_faults_to_el2)
{
    uint64_t device = RAM | 0x7c1; /* Device-nGnRnE, read and write */

    a64_flat_map(b->m, b->c);
    EQ(esr_of(LDR(0u, 1u), DATA + 1), 0);
    memory_write_bytes(&b->m->memory, RAM_OF_TABLE + 8, &device, 8, true);
    EQ(esr_of(LDR(0u, 1u), DATA + 8), 0);
    esr_of(LDR(0u, 1u), DATA + 1);
    EXPECT_AT(b, 2, 0x400, 0);
    EQ(s->esr[2] >> 26, EC_DABORT_LOWER);
    EQ(s->esr[2] & 0x3f, 0x21);
    EQ(s->far[2], DATA + 1);
}
END_TEST

START_TEST(a_compare_and_swap_needs_write_permission_though_nothing_is_written)
{
    paging_on();
    s->x[2] = 1;
    poke64(b, DATA, 5);
    EQ(esr_of(CAS(2u, 3u, 1u), NORMAL_RO), DABORT(0x4f));
    EQ(s->x[2], 1);
    EQ(esr_of(CAS(2u, 3u, 1u), NORMAL), 0);
    EQ(s->x[2], 5);
}
END_TEST

static TCase *all(const char *engine, void (*set_up)(void))
{
    TCase *tc = tcase_create(engine);

    tcase_add_checked_fixture(tc, set_up, teardown);
    tcase_add_test(tc, with_translation_off_data_is_device_memory);
    tcase_add_test(tc, with_translation_off_an_address_too_large_comes_before_alignment_unless_sctlr_a);
    tcase_add_test(tc, el2_with_translation_off_is_strict_and_hcr_dc_makes_el1_lenient);
    tcase_add_test(tc, the_stack_is_aligned_as_it_is_known_to_be);
    tcase_add_test(tc, device_pages_want_aligned_accesses_and_normal_ones_do_not);
    tcase_add_test(tc, what_must_be_aligned_is_a_register_or_an_element);
    tcase_add_test(tc, faults_have_their_order);
    tcase_add_test(tc, an_access_into_a_device_page_faults_there);
    tcase_add_test(tc, dc_zva_is_never_aligned_to_device_memory);
    tcase_add_test(tc, mair_counts_at_once);
    tcase_add_test(tc, memory_that_stage_2_makes_device_faults_to_el2);
    tcase_add_test(tc, a_compare_and_swap_needs_write_permission_though_nothing_is_written);
    return tc;
}

Suite *test_suite(void)
{
    Suite *su = suite_create("a64_align");

    suite_add_tcase(su, all("interpreter", setup));
    suite_add_tcase(su, all("jit", setup_jit));
    return su;
}
