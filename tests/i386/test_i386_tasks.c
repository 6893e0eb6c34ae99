/*
 * Claims about the system side of the i386 CPU (SDM 3A): tasks and virtual-8086 mode.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"

/* ---- tasks ---- */

START_TEST(a_jump_to_a_tss_switches_tasks)
{
    make_task(TSS2, CODE2, EFLAGS_1 | EFLAGS_IF);
    s->gpr[EBX] = 0xb0b;
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[EAX], 0x100);
    EQ(s->gpr[ESP], STACK2);
    EQ(s->eflags, EFLAGS_1 | EFLAGS_IF);
    EQ(s->seg[SEG_TR].selector, S_TSS2);
    EQ(s->seg[SEG_TR].base, TSS2);
    ck_assert(s->cr0 & CR0_TS);
    EQ(peek8(b, GDT + S_TSS + 5), 0x89);
    EQ(peek8(b, GDT + S_TSS2 + 5), 0x8b);
    EQ(peek32(b, TSS + 0x20), KCODE + 7);
    EQ(peek32(b, TSS + 0x34), 0xb0b);
    EQ(peek16(b, TSS + 0x4c), S_CODE);
}
END_TEST

START_TEST(a_called_task_returns_by_iret_with_nt)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    poke8(b, CODE2, 0xcf);
    CODE(b, 0x9a, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    ck_assert(s->eflags & EFLAGS_NT);
    EQ(peek16(b, TSS2), S_TSS);
    EQ(peek8(b, GDT + S_TSS + 5), 0x8b); /* the caller stays busy */
    steps(b, 1);
    EQ(s->rip, KCODE + 7);
    EQ(s->seg[SEG_TR].selector, S_TSS);
    EQ(s->eflags & EFLAGS_NT, 0);
    EQ(peek32(b, TSS2 + 0x20), CODE2 + 1);
    EQ(peek32(b, TSS2 + 0x24) & EFLAGS_NT, 0);
    EQ(peek8(b, GDT + S_TSS2 + 5), 0x89);
}
END_TEST

START_TEST(a_task_gate_in_the_idt_passes_the_error_code)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    gate(b, IDT + EXC_GP * 8, S_TSS2, 0, 0x85, 0);
    user_mode(b);
    CODE(b, 0xf4);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[ESP], STACK2 - 4);
    EQ(stack32(b, 0), 0);
    EQ(peek32(b, TSS + 0x20), UCODE);
    EQ(peek32(b, TSS + 0x24), EFLAGS_1 | EFLAGS_RF);
    EQ(peek16(b, TSS2), S_TSS);
}
END_TEST

/* What the switch saves goes over the page table that maps the new TSS, which was read before: the switch goes on. */
START_TEST(a_task_that_is_saved_over_the_page_table_has_switched)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    map_32bit();
    poke32(b, TSS2 + 0x1c, PAGES);
    s->seg[SEG_TR].base = pte(TSS2) - 0x28; /* EAX is the page's entry then */
    s->gpr[EAX] = 0;
    s->gpr[ECX] = 0x4007;
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    EQ(peek32(b, pte(TSS2)), 0);
    EQ(s->seg[SEG_TR].selector, S_TSS2);
}
END_TEST

/* Partly over the one it goes to: what was saved is what it finds. */
START_TEST(a_task_finds_what_was_saved_over_it)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    s->seg[SEG_TR].base = TSS2 + 4; /* each register one further */
    s->gpr[EAX] = 0xaaaa;
    s->gpr[ECX] = 0xcccc;
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    EQ(s->gpr[ECX], 0xaaaa);
    EQ(s->gpr[EDX], 0xcccc);
}
END_TEST

START_TEST(a_busy_task_cannot_be_entered)
{
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS, 0);
    steps(b, 1);
    expect_error(EXC_GP, S_TSS, KCODE);
}
END_TEST

START_TEST(a_tss_that_is_too_small_is_ts)
{
    descriptor(b, GDT + S_TSS2, TSS2, 0x66, 0x89, 0);
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    expect_error(EXC_TS, S_TSS2, KCODE);
}
END_TEST

START_TEST(faults_after_the_switch_belong_to_the_new_task)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    poke16(b, TSS2 + 0x54, S_ABSENT); /* DS */
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    expect_error(EXC_NP, S_ABSENT, CODE2);
    EQ(s->seg[SEG_TR].selector, S_TSS2);
    EQ(s->gpr[ESP], STACK2 - 16);
    EQ(s->seg[SEG_DS].valid, 0);
}
END_TEST

START_TEST(the_t_bit_of_a_tss_traps_before_its_first_instruction)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    poke16(b, TSS2 + 0x64, 1);
    CODE(b, 0xea, 0, 0, 0, 0, S_TASKGATE, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), CODE2);
    ck_assert(s->dr[6] & DR6_BT);
}
END_TEST

START_TEST(a_16_bit_task_loads_and_saves_words)
{
    static const uint16_t image[] = {0, 0, 0, 0, 0, 0, 0, 0x7000, EFLAGS_1, 1, 2, 3, 4, 0x6000, 6, 7, 8,
                                     S_DATA, S_CODE16, S_DATA, S_DATA, 0};

    poke(b, TSS16, image, sizeof image);
    CODE(b, 0x9a, 0, 0, 0, 0, S_TSS16, 0);
    poke8(b, 0x7000, 0xcf);
    steps(b, 1);
    EQ(s->rip, 0x7000);
    EQ(s->gpr[ECX], 0xffff0002);
    EQ(s->gpr[ESP] & 0xffff, 0x6000);
    EQ(s->seg[SEG_FS].valid, 0);
    EQ(peek16(b, TSS16), S_TSS);
    steps(b, 1);
    EQ(s->rip, KCODE + 7);
    EQ(peek16(b, TSS16 + 0x0e), 0x7001);
}
END_TEST

START_TEST(a_task_has_its_own_page_directory_and_ldt)
{
    make_task(TSS2, CODE2, EFLAGS_1);
    poke16(b, TSS2 + 0x60, S_LDT);
    descriptor(b, LDT + 8, 0x1000, 0xfffff, 0x92, 0xc);
    poke16(b, TSS2 + 0x54, 0x0c); /* DS: LDT entry 1 */
    CODE(b, 0xea, 0, 0, 0, 0, S_TSS2, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->seg[SEG_LDTR].base, LDT);
    EQ(s->seg[SEG_DS].base, 0x1000);
}
END_TEST

/* ---- virtual-8086 mode ---- */

START_TEST(interrupts_leave_vm86_with_its_segments_on_the_stack)
{
    vm86_mode(b);
    s->seg[SEG_ES].selector = 0xe5;
    s->seg[SEG_DS].selector = 0xd5;
    s->seg[SEG_FS].selector = 0xf5;
    s->seg[SEG_GS].selector = 0x65;
    s->eflags |= EFLAGS_IOPL;
    CODE(b, 0xcd, 0x80);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x80);
    EQ(s->eflags & EFLAGS_VM, 0);
    EQ(s->cpl, 0);
    EQ(stack32(b, 0), 2);
    EQ(stack32(b, 1), UCODE >> 4);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_VM | EFLAGS_IOPL);
    EQ(stack32(b, 3), USTACK);
    EQ(stack32(b, 4), 0);
    EQ(stack32(b, 5), 0xe5);
    EQ(stack32(b, 6), 0xd5);
    EQ(stack32(b, 7), 0xf5);
    EQ(stack32(b, 8), 0x65);
    EQ(s->seg[SEG_DS].valid, 0);
    /* and back */
    poke8(b, handler(0x80), 0xcf);
    steps(b, 1);
    EQ(s->rip, 2);
    ck_assert(s->eflags & EFLAGS_VM);
    EQ(s->cpl, 3);
    EQ(s->seg[SEG_DS].base, 0xd50);
    EQ(s->seg[SEG_GS].selector, 0x65);
}
END_TEST

START_TEST(sensitive_instructions_in_vm86_are_gp_below_iopl_3)
{
    static const uint8_t sensitive[][2] = {{0xfa, 0}, {0xfb, 0}, {0x9c, 0}, {0x9d, 0}, {0xcd, 0x21}, {0xcf, 0}, {0xf4, 0}};

    for (unsigned i = 0; i < ARRAY_LEN(sensitive); i++) {
        s->eflags = EFLAGS_1;
        vm86_mode(b);
        poke(b, UCODE, sensitive[i], 2);
        steps(b, 1);
        expect_error(EXC_GP, 0, 0);
        EQ(stack32(b, 3) & EFLAGS_VM, EFLAGS_VM);
    }
}
END_TEST

START_TEST(int3_in_vm86_is_not_sensitive_to_iopl)
{
    vm86_mode(b);
    gate(b, IDT + 3 * 8, S_CODE, handler(3), 0xee, 0);
    CODE(b, 0xcc);
    steps(b, 1);
    EXPECT_VECTOR(b, 3);
}
END_TEST

START_TEST(vme_redirects_int_n_to_the_8086_programs_vector)
{
    s->cr4 = CR4_VME;
    vm86_mode(b);
    s->eflags |= EFLAGS_VIF;
    poke16(b, 0x21 * 4, 0x0100);
    poke16(b, 0x21 * 4 + 2, 0x3800);
    CODE(b, 0xcd, 0x21);
    steps(b, 1);
    EQ(s->rip, 0x100);
    EQ(s->seg[SEG_CS].base, 0x38000);
    EQ(stack16(b, 0), 2);
    EQ(stack16(b, 2), EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL);
    EQ(s->eflags & EFLAGS_VIF, 0);
    ck_assert(s->eflags & EFLAGS_VM);
    /* IRET there restores VIF */
    poke8(b, 0x38100, 0xcf);
    steps(b, 1);
    EQ(s->rip, 2);
    EQ(s->eflags & (EFLAGS_VIF | EFLAGS_IF | EFLAGS_IOPL), EFLAGS_VIF);
}
END_TEST

START_TEST(vme_asks_the_redirection_map)
{
    s->cr4 = CR4_VME;
    vm86_mode(b);
    poke8(b, TSS + 0x68 + 0x21 / 8, 1 << (0x21 & 7));
    CODE(b, 0xcd, 0x21);
    steps(b, 1);
    expect_error(EXC_GP, 0, 0);
}
END_TEST

START_TEST(vme_gives_a_virtual_interrupt_flag)
{
    s->cr4 = CR4_VME;
    vm86_mode(b);
    CODE(b, 0xfb, 0x9c, 0xfa, 0x9d); /* sti; pushf; cli; popf */
    steps(b, 1);
    EQ(s->eflags, EFLAGS_1 | EFLAGS_VM | EFLAGS_VIF);
    steps(b, 1);
    EQ(stack16(b, 0), EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL);
    steps(b, 1);
    EQ(s->eflags, EFLAGS_1 | EFLAGS_VM);
    steps(b, 1);
    EQ(s->eflags, EFLAGS_1 | EFLAGS_VM | EFLAGS_VIF);
}
END_TEST

START_TEST(a_pending_virtual_interrupt_faults_when_it_is_enabled)
{
    s->cr4 = CR4_VME;
    vm86_mode(b);
    s->eflags |= EFLAGS_VIP;
    CODE(b, 0xfb);
    steps(b, 1);
    expect_error(EXC_GP, 0, 0);

    s->eflags = EFLAGS_1;
    vm86_mode(b);
    s->eflags |= EFLAGS_VIP | EFLAGS_VIF;
    refresh(b);
    steps(b, 1);
    expect_error(EXC_GP, 0, 0);
}
END_TEST

START_TEST(pvi_gives_user_programs_a_virtual_interrupt_flag)
{
    s->cr4 = CR4_PVI;
    user_mode(b);
    CODE(b, 0xfb, 0xfa);
    steps(b, 1);
    EQ(s->eflags, EFLAGS_1 | EFLAGS_VIF);
    steps(b, 1);
    EQ(s->eflags, EFLAGS_1);
    s->cr4 = 0;
    user_mode(b);
    steps(b, 1);
    expect_error(EXC_GP, 0, UCODE);
}
END_TEST

START_TEST(alignment_is_checked_at_user_level_only)
{
    s->cr0 |= CR0_AM;
    s->eflags |= EFLAGS_AC;
    refresh(b);
    CODE(b, 0x8b, 0x03, 0x90);
    s->gpr[EBX] = DATA + 1;
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    user_mode(b);
    CODE(b, 0x8b, 0x03);
    steps(b, 1);
    expect_error(EXC_AC, 0, UCODE);
}
END_TEST

START_TEST(alignment_is_that_of_the_operand)
{
    static const struct { uint8_t bytes[3]; unsigned good; } cases[] = {
        {{0xdb, 0x2b}, 8},       /* fld tbyte [ebx] */
        {{0xdb, 0x3b}, 8},       /* fstp tbyte [ebx] */
        {{0xdf, 0x23}, 8},       /* fbld [ebx] */
        {{0xd9, 0x33}, 4},       /* fnstenv [ebx] */
        {{0x66, 0xd9, 0x33}, 2}, /* of 16 bits */
        {{0xdd, 0x33}, 4},       /* fnsave [ebx] */
        {{0x66, 0xdd, 0x33}, 2}, /* of 16 bits */
        {{0xc4, 0x03}, 4},       /* les eax, [ebx] */
        {{0xdd, 0x03}, 8},       /* fld qword [ebx] */
        {{0x66, 0xc4, 0x03}, 2}, /* les ax, [ebx] */
        {{0x62, 0x03}, 4},       /* bound eax, [ebx] */
        {{0x66, 0x62, 0x03}, 2}, /* bound ax, [ebx] */
        {{0x63, 0x03}, 2},       /* arpl [ebx], ax */
        {{0x0f, 0x10, 0x03}, 16}, /* movups xmm0, [ebx] */
    };

    for (unsigned bad = 0; bad < 2; bad++) {
        user_mode(b);
        s->cr0 |= CR0_AM;
        s->eflags = EFLAGS_1 | EFLAGS_AC;
        s->fcw = 0x37f;
        s->cr4 |= CR4_OSFXSR;
        poke(b, UCODE, cases[_i].bytes, 3);
        s->gpr[EBX] = DATA + cases[_i].good / (bad + 1);
        refresh(b);
        steps(b, 1);
        if (bad)
            expect_error(EXC_AC, 0, UCODE);
        else
            ck_assert_uint_le(s->rip - UCODE, 3);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 tasks");
    TCase *tc = tcase(suite, "tasks");

    ADD(a_jump_to_a_tss_switches_tasks);
    ADD(a_called_task_returns_by_iret_with_nt);
    ADD(a_task_gate_in_the_idt_passes_the_error_code);
    ADD(a_task_that_is_saved_over_the_page_table_has_switched);
    ADD(a_task_finds_what_was_saved_over_it);
    ADD(a_busy_task_cannot_be_entered);
    ADD(a_tss_that_is_too_small_is_ts);
    ADD(faults_after_the_switch_belong_to_the_new_task);
    ADD(the_t_bit_of_a_tss_traps_before_its_first_instruction);
    ADD(a_16_bit_task_loads_and_saves_words);
    ADD(a_task_has_its_own_page_directory_and_ldt);

    tc = tcase(suite, "vm86");
    ADD(interrupts_leave_vm86_with_its_segments_on_the_stack);
    ADD(sensitive_instructions_in_vm86_are_gp_below_iopl_3);
    ADD(int3_in_vm86_is_not_sensitive_to_iopl);
    ADD(vme_redirects_int_n_to_the_8086_programs_vector);
    ADD(vme_asks_the_redirection_map);
    ADD(vme_gives_a_virtual_interrupt_flag);
    ADD(a_pending_virtual_interrupt_faults_when_it_is_enabled);
    ADD(pvi_gives_user_programs_a_virtual_interrupt_flag);
    ADD(alignment_is_checked_at_user_level_only);
    tcase_add_loop_test(tc, alignment_is_that_of_the_operand, 0, 14);
    return suite;
}
