/*
 * Claims about the system side of the i386 CPU (SDM 3A): paging: 32-bit and PAE.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

/* ---- paging ---- */

static void expect_pf(uint32_t error, uint32_t address)
{
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack32(b, 0), error);
    EQ(s->cr2, address);
}

START_TEST(page_faults_tell_why_and_where)
{
    map_32bit();
    set_pte(DATA, 0);
    access(DATA + 4, false);
    expect_pf(0, DATA + 4);

    kernel_mode(b);
    map_32bit();
    set_pte(DATA, 0);
    user_mode(b);
    access(DATA + 8, true);
    expect_pf(6, DATA + 8);

    kernel_mode(b);
    map_32bit();
    set_pte(DATA, DATA | 5); /* read-only */
    user_mode(b);
    access(DATA, true);
    expect_pf(7, DATA);

    kernel_mode(b);
    map_32bit();
    set_pte(DATA, DATA | 3); /* supervisor */
    user_mode(b);
    access(DATA, false);
    expect_pf(5, DATA);
}
END_TEST

START_TEST(supervisor_writes_obey_wp_only)
{
    map_32bit();
    set_pte(DATA, DATA | 5);
    access(DATA, true);
    EQ(s->rip, KCODE + 2);
    s->cr0 |= CR0_WP;
    refresh(b);
    access(DATA, true);
    expect_pf(3, DATA);
}
END_TEST

START_TEST(a_walk_sets_accessed_and_a_write_dirty)
{
    map_32bit();
    access(DATA, false);
    EQ(peek32(b, pte(DATA)), DATA | 0x27);
    EQ(peek32(b, PAGES), PT0 | 0x27);
    access(DATA, true);
    EQ(peek32(b, pte(DATA)), DATA | 0x67);
    EQ(peek32(b, PAGES), PT0 | 0x27);
    /* cleared by the guest, they are set again, although the translation was used */
    set_pte(DATA, DATA | 7);
    access(DATA, true);
    EQ(peek32(b, pte(DATA)), DATA | 0x67);
}
END_TEST

START_TEST(a_changed_page_table_is_obeyed_at_once)
{
    map_32bit();
    poke32(b, DATA, 1);
    poke32(b, DATA + 0x1000, 2);
    access(DATA, false);
    EQ(s->gpr[EAX], 1);
    /* the guest itself writes the table */
    s->gpr[EAX] = (DATA + 0x1000) | 7;
    access(pte(DATA), true);
    access(DATA, false);
    EQ(s->gpr[EAX], 2);
}
END_TEST

START_TEST(large_pages_reach_beyond_4_gib_and_check_reserved_bits)
{
    paddr_t pa;

    map_32bit();
    s->cr4 |= CR4_PSE;
    poke32(b, PAGES + 4, 0x00002083 | 0x00400000); /* physical 1_0040_0000 */
    poke32(b, PAGES + 8, 0x83);                    /* physical 0 */
    refresh(b);
    ck_assert(b->m->cpus[0]->ops->translate(b->m->cpus[0], 0x412345, &pa));
    ck_assert(pa == 0x100412345);
    poke32(b, DATA, 0xabcdef);
    access(0x800000 + DATA, false);
    EQ(s->gpr[EAX], 0xabcdef);
    EQ(peek32(b, PAGES + 8), 0xa3);
    access(0x800000 + DATA, true);
    EQ(peek32(b, PAGES + 8), 0xe3);
    poke32(b, PAGES + 12, 0x200083); /* reserved bit 21 */
    access(0xc00000, false);
    expect_pf(9, 0xc00000);
}
END_TEST

START_TEST(large_pages_have_as_many_address_bits_as_the_model_up_to_40)
{
    static const struct {
        const char *model;
        unsigned bits;
    } models[] = {{"pentium3", 36}, {"core2duo", 36}, {"n270", 32}, {"Nehalem", 40}, {"max", 40}};

    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        teardown();
        setup_model(models[i].model);
        map_32bit();
        s->cr4 |= CR4_PSE;
        for (unsigned bit = 13; bit <= 21; bit++) {
            bool there = bit - 13 + 32 < models[i].bits;
            paddr_t pa = 0;

            poke32(b, PAGES + 12, 0x83 | 1u << bit);
            refresh(b);
            ck_assert_msg(b->m->cpus[0]->ops->translate(b->m->cpus[0], 0xc12345, &pa) == there, "%s: bit %u", models[i].model, bit);
            ck_assert(!there || pa == ((paddr_t)1 << (bit - 13 + 32) | 0x12345));
        }
    }
}
END_TEST

#define PAE_PDPT PAGES
#define PAE_PD   (PAGES + 0x1000)
#define PAE_PT   (PAGES + 0x2000)

static void map_pae(void)
{
    memory_write(&b->m->memory, PAE_PDPT, 8, PAE_PD | 1);
    for (unsigned i = 1; i < 4; i++)
        poke64(b, PAE_PDPT + 8 * i, 0);
    poke64(b, PAE_PD, PAE_PT | 7);
    poke64(b, PAE_PD + 8, 0x200000 | 0x87);
    for (unsigned i = 0; i < 512; i++)
        poke64(b, PAE_PT + 8 * i, (uint64_t)i << 12 | 7);
    s->cr4 |= CR4_PAE;
    s->cr3 = PAE_PDPT;
    s->pdpte[0] = PAE_PD | 1;
    s->cr0 |= CR0_PG;
    refresh(b);
}

START_TEST(pae_maps_small_and_large_pages)
{
    map_pae();
    poke32(b, DATA, 77);
    access(DATA, false);
    EQ(s->gpr[EAX], 77);
    poke32(b, 0x345678, 88);
    access(0x345678, false);
    EQ(s->gpr[EAX], 88);
    EQ(peek32(b, PAE_PD + 8), 0x2000a7);
    access(0x40000000, false);
    expect_pf(0, 0x40000000);
}
END_TEST

START_TEST(no_execute_pages_fault_on_fetch_only)
{
    map_pae();
    s->efer = EFER_NXE;
    poke64(b, PAE_PT + 8 * (DATA >> 12), (uint64_t)1 << 63 | DATA | 7);
    refresh(b);
    access(DATA, false);
    EQ(s->rip, KCODE + 2);
    s->rip = DATA;
    steps(b, 1);
    expect_pf(0x11, DATA);
    /* without NXE the bit is reserved */
    kernel_mode(b);
    s->efer = 0;
    map_pae();
    poke64(b, PAE_PT + 8 * (DATA >> 12), (uint64_t)1 << 63 | DATA | 7);
    access(DATA, false);
    expect_pf(9, DATA);
}
END_TEST

START_TEST(code_in_a_page_that_was_read_before_follows_its_table)
{
    static const uint8_t one[] = {0xb9, 1, 0, 0, 0, 0xc3}, two[] = {0xb9, 2, 0, 0, 0, 0xc3}; /* mov $n,%ecx; ret */
    const uint32_t other = DATA + 2 * PAGE_SIZE;
    uint8_t code[] = {
        0xa1, 0, 0, 0, 0,                   /* mov DATA,%eax */
        0xe8, 0, 0, 0, 0,                   /* call DATA */
        0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, /* movl $other|7,pte(DATA) */
        0xa1, 0, 0, 0, 0,
        0xe8, 0, 0, 0, 0,
    };
    const uint32_t values[] = {DATA, DATA - (KCODE + 10), pte(DATA), other | 7, DATA, DATA - (KCODE + 30)};
    const unsigned places[] = {1, 6, 12, 16, 21, 26};

    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        memcpy(code + places[i], &values[i], 4);
    map_32bit();
    poke(b, DATA, one, sizeof one);
    poke(b, other, two, sizeof two);
    poke(b, KCODE, code, sizeof code);
    s->rip = KCODE;
    steps(b, 4);
    EQ(s->gpr[ECX], 1);
    steps(b, 5);
    EQ(s->gpr[ECX], 2);
    EQ(s->rip, KCODE + 30);
}
END_TEST

static void function_at(unsigned reg, uint32_t addr)
{
    s->gpr[reg] = addr;
    poke16(b, addr, 0x90c3); /* ret */
}

/* What runs for ever here, once it is under way, does not look for its functions again. */
static void expect_functions_to_be_found(void)
{
    struct ucpu_stats before, after;

    with_jit(&b->c->u);
    steps(b, 1000);
    ucpu_stats(&b->c->u, &before);
    steps(b, 1000);
    ucpu_stats(&b->c->u, &after);
    ck_assert_uint_le(after.jump_misses - before.jump_misses, 10);
}

/* Two functions whose addresses want the same place of the jump cache are called in turn: neither is looked for again and again. */
START_TEST(functions_that_are_called_in_turn_are_both_found)
{
    CODE(b, 0xff, 0xd6, 0xff, 0xd7, 0xeb, 0xfa); /* call *%esi; call *%edi; jmp */
    function_at(ESI, 0x20010);
    function_at(EDI, 0x30011);
    expect_functions_to_be_found();
}
END_TEST

/* Nor if a third one, which is called no more, was in one of their places before. */
START_TEST(a_function_that_is_called_no_more_keeps_no_place)
{
    CODE(b, 0xff, 0xd0, 0xff, 0xd6, 0xff, 0xd7, 0xeb, 0xfa); /* call *%eax; call *%esi; call *%edi; jmp to the second */
    function_at(EAX, 0x20010);
    function_at(ESI, 0x40017);
    function_at(EDI, 0x30011);
    expect_functions_to_be_found();
}
END_TEST

/* The loads are near each other, so that compiled code looks into the TLB once; and the store to the page's entry is made in mid-block. */
START_TEST(a_page_that_goes_between_two_accesses_to_it_faults)
{
    struct ucpu_stats before, after;

    with_jit(&b->c->u);
    map_32bit();
    CODE(b, 0x8b, 0x03, 0x89, 0x16, 0x8b, 0x4b, 0x04, 0x4d, 0x75, 0xf6); /* mov (%ebx),%eax; mov %edx,(%esi); mov 4(%ebx),%ecx; dec %ebp; jnz */
    poke32(b, DATA + 4, 77);
    s->gpr[EBX] = DATA;
    s->gpr[EBP] = 1000;
    s->gpr[ESI] = pte(DATA + PAGE_SIZE);
    s->gpr[EDX] = (DATA + PAGE_SIZE) | 7;
    poke32(b, DATA + PAGE_SIZE, 1);
    steps(b, 500);
    EQ(s->gpr[ECX], 77);
    s->gpr[ESI] = pte(DATA);
    s->gpr[EDX] = 0;
    poke16(b, handler(EXC_PF), 0xfeeb); /* stays there */
    ucpu_stats(&b->c->u, &before);
    steps(b, 100);
    expect_pf(0, DATA + 4);
    EQ(stack32(b, 1), KCODE + 4);
    ucpu_stats(&b->c->u, &after);
    EQ(after.alone - before.alone, 0);
}
END_TEST

START_TEST(code_whose_own_page_is_mapped_elsewhere_goes_on_there)
{
    const uint32_t other = DATA + PAGE_SIZE;

    map_32bit();
    with_jit(&b->c->u);
    CODE(b, 0x90, 0x89, 0x16, 0x40, 0x40, 0x90); /* nop; mov %edx,(%esi); inc %eax */
    poke(b, other, (const uint8_t[]){0x90, 0x89, 0x16, 0x43, 0x43, 0x90}, 6); /* inc %ebx */
    s->gpr[EAX] = s->gpr[EBX] = 0;
    s->gpr[ESI] = pte(KCODE);
    s->gpr[EDX] = other | 7;
    steps(b, 4);
    EQ(s->gpr[EAX], 0);
    EQ(s->gpr[EBX], 2);
}
END_TEST

/* Page directories and tables that point at data, at each other and at themselves. Every page
 * of memory says its number beyond the entries in use. */
enum { TREE_TABLES = 8, TREE_FIRST = PAGES / PAGE_SIZE, TREE_DATA = TREE_FIRST + TREE_TABLES, TREE_PAGES = 64,
       TREE_PDPTS = 0x50, TREE_MARK = 0x800 };
static bool tree_pae;

static uint32_t tree_slot(void)
{
    static const unsigned narrow[] = {0, 1, 2, 3, 256, 1022, 1023}, wide[] = {0, 1, 2, 3, 200, 510, 511};
    unsigned n = (unsigned)rand() % ARRAY_LEN(narrow);

    return tree_pae ? wide[n] : narrow[n];
}

static uint32_t tree_va(void)
{
    if (tree_pae)
        return (uint32_t)rand() % 4 << 30 | tree_slot() << 21 | tree_slot() << 12;
    return tree_slot() << 22 | tree_slot() << 12;
}

static uint32_t tree_table(void)
{
    return (TREE_FIRST + (uint32_t)rand() % TREE_TABLES) * PAGE_SIZE;
}

static void tree_change(void)
{
    unsigned size = tree_pae ? 8 : 4;
    uint32_t at = tree_table() + tree_slot() * size, va = tree_va() | tree_slot() * size;
    uint64_t entry = 7; /* present, writable, user */
    paddr_t pa;

    entry |= (TREE_FIRST + (uint32_t)rand() % (rand() % 2 ? TREE_TABLES : TREE_TABLES + TREE_PAGES)) * PAGE_SIZE;
    if (rand() % 8 == 0)
        entry = 0;
    if (rand() % 2 && i386_translate(&b->c->u.cpu, va, &pa) && pa / PAGE_SIZE >= TREE_FIRST && pa / PAGE_SIZE < TREE_DATA &&
        ucpu_store(&b->c->u, va, &entry, size)) /* as the guest does */
        return;
    b->c->exc.pending = false;
    poke(b, at, &entry, size); /* as a device does */
}

/* Other tables for the whole space; with PAE, some of them are the same as before. */
static void tree_switch(void)
{
    uint32_t cr3 = tree_table();

    if (tree_pae) {
        cr3 = (TREE_PDPTS + (uint32_t)rand() % 4) * PAGE_SIZE;
        if (rand() % 4 == 0)
            poke64(b, cr3 + (uint32_t)rand() % 4 * 8, tree_table() | 1);
    }
    ck_assert(i386_set_cr3(b->c, cr3));
}

START_TEST(cached_translations_follow_every_change_of_their_tables)
{
    unsigned found = 0;

    tree_pae = _i;
    for (uint32_t n = 0; n < 4 * 4; n++)
        poke64(b, (TREE_PDPTS + n / 4) * PAGE_SIZE + n % 4 * 8, (TREE_FIRST + n % 3) * PAGE_SIZE | 1);
    for (uint32_t n = 0; n < TREE_DATA + TREE_PAGES; n++)
        poke32(b, n * PAGE_SIZE + TREE_MARK, n);
    s->cr4 |= tree_pae ? CR4_PAE : CR4_PSE;
    s->cr0 |= CR0_PG;
    refresh(b);
    tree_switch();
    for (unsigned i = 0; i < 300000; i++) {
        uint32_t va = tree_va(), mark = 0;
        paddr_t pa = 0;

        if (rand() % 4 == 0)
            tree_change();
        if (rand() % 64 == 0)
            tree_switch();
        if (!i386_translate(&b->c->u.cpu, va | TREE_MARK, &pa)) {
            ck_assert(!ucpu_load(&b->c->u, va | TREE_MARK, &mark, 4));
            b->c->exc.pending = false;
            continue;
        }
        ck_assert(ucpu_load(&b->c->u, va | TREE_MARK, &mark, 4));
        ck_assert_msg(mark == pa / PAGE_SIZE, "%08x is page %u, not %u (round %u)", va, (unsigned)(pa / PAGE_SIZE), mark, i);
        found++;
    }
    ck_assert_uint_gt(found, 30000);
}
END_TEST

START_TEST(reserved_bits_of_pdptes_are_gp_at_mov_cr3)
{
    map_pae();
    poke64(b, PAE_PDPT + 8, PAE_PD | 3);
    CODE(b, 0x0f, 0x22, 0xd8); /* mov cr3, eax */
    s->gpr[EAX] = PAE_PDPT;
    steps(b, 1);
    expect_error(EXC_GP, 0, KCODE);
    EQ(s->pdpte[1], 0);
}
END_TEST

START_TEST(pdptes_are_read_by_mov_cr3_only)
{
    map_pae();
    poke64(b, PAE_PDPT + 8, PAE_PD | 1);
    poke32(b, DATA, 99);
    access(0x40000000 + DATA, false);
    expect_pf(0, 0x40000000 + DATA);
    kernel_mode(b);
    map_pae();
    poke64(b, PAE_PDPT + 8, PAE_PD | 1);
    CODE(b, 0x0f, 0x22, 0xd8);
    s->gpr[EAX] = PAE_PDPT;
    steps(b, 1);
    access(0x40000000 + DATA, false);
    EQ(s->gpr[EAX], 99);
}
END_TEST

START_TEST(a_page_fault_in_the_delivery_of_another_is_a_double_fault)
{
    map_32bit();
    set_pte(DATA, 0);
    set_pte(IDT, 0);
    access(DATA, false);
    EQ(b->m->st->end, GUEST_TRIPLE_FAULT); /* #DF cannot be found either */
    EQ(s->cr2, IDT + EXC_DF * 8);
}
END_TEST

START_TEST(a_push_that_faults_changes_nothing)
{
    map_32bit();
    set_pte(KSTACK - 0x1000, 0);
    gate(b, IDT + EXC_PF * 8, S_TSS2, 0, 0x85, 0);
    make_task(TSS2, CODE2, EFLAGS_1);
    poke32(b, TSS2 + 0x1c, PAGES);
    CODE(b, 0x9a, 0, 0, 0, 0, S_GATE, 0); /* call gate: two pushes */
    s->gpr[ESP] = KSTACK + 4;             /* the first fits, the second does not */
    poke32(b, KSTACK, 0x5a5a);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(stack32(b, 0), 2);
    EQ(s->cr2, KSTACK - 4);
    EQ(peek32(b, KSTACK), 0x5a5a);
    EQ(peek32(b, TSS + 0x20), KCODE);
    EQ(peek32(b, TSS + 0x38), KSTACK + 4);
}
END_TEST

START_TEST(a20_masks_bit_20)
{
    poke32(b, 0x100000, 1);
    poke32(b, 0, 2);
    access(0x100000, false);
    EQ(s->gpr[EAX], 1);
    i386_set_a20(b->c, false);
    access(0x100000, false);
    EQ(s->gpr[EAX], 2);
}
END_TEST

START_TEST(translate_has_no_side_effects)
{
    paddr_t pa;

    map_32bit();
    ck_assert(b->m->cpus[0]->ops->translate(b->m->cpus[0], DATA + 5, &pa));
    ck_assert(pa == DATA + 5);
    EQ(peek32(b, pte(DATA)), DATA | 7);
    ck_assert(!b->m->cpus[0]->ops->translate(b->m->cpus[0], 0x40000000, &pa));
    EQ(s->cr2, 0);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 paging");
    TCase *tc = tcase(suite, "paging");

    ADD(page_faults_tell_why_and_where);
    ADD(supervisor_writes_obey_wp_only);
    ADD(a_walk_sets_accessed_and_a_write_dirty);
    ADD(a_changed_page_table_is_obeyed_at_once);
    ADD(large_pages_reach_beyond_4_gib_and_check_reserved_bits);
    ADD(large_pages_have_as_many_address_bits_as_the_model_up_to_40);
    ADD(pae_maps_small_and_large_pages);
    ADD(no_execute_pages_fault_on_fetch_only);
    ADD(code_in_a_page_that_was_read_before_follows_its_table);
    ADD(functions_that_are_called_in_turn_are_both_found);
    ADD(a_function_that_is_called_no_more_keeps_no_place);
    ADD(a_page_that_goes_between_two_accesses_to_it_faults);
    ADD(code_whose_own_page_is_mapped_elsewhere_goes_on_there);
    tcase_add_loop_test(tc, cached_translations_follow_every_change_of_their_tables, 0, 2);
    ADD(reserved_bits_of_pdptes_are_gp_at_mov_cr3);
    ADD(pdptes_are_read_by_mov_cr3_only);
    ADD(a_page_fault_in_the_delivery_of_another_is_a_double_fault);
    ADD(a_push_that_faults_changes_nothing);
    ADD(a20_masks_bit_20);
    ADD(translate_has_no_side_effects);
    return suite;
}
