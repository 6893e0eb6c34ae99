/*
 * Claims about the system side of the i386 CPU (SDM 3A): exceptions and their error codes, IRET, segments, gates and far transfers.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"

/* ---- exceptions ---- */

START_TEST(a_fault_pushes_its_own_eip_with_rf_and_is_one_step)
{
    CODE(b, 0x0f, 0x0b);
    s->eflags |= EFLAGS_IF;
    EQ(steps(b, 1), STOP_LIMIT);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(stack32(b, 0), KCODE);
    EQ(stack32(b, 1), S_CODE);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_IF | EFLAGS_RF);
    EQ(s->eflags, EFLAGS_1);
    EQ(s->gpr[ESP], KSTACK - 12);
}
END_TEST

START_TEST(a_fault_at_user_level_switches_to_the_stack_of_the_tss)
{
    user_mode(b);
    CODE(b, 0xf4); /* hlt */
    steps(b, 1);
    expect_error(EXC_GP, 0, UCODE);
    EQ(stack32(b, 2), S_UCODE);
    EQ(stack32(b, 4), USTACK);
    EQ(stack32(b, 5), S_UDATA);
    EQ(s->gpr[ESP], ESP0 - 24);
    EQ(s->cpl, 0);
    EQ(s->seg[SEG_CS].selector, S_CODE);
    EQ(s->seg[SEG_SS].selector, S_DATA);
}
END_TEST

START_TEST(int_n_returns_behind_itself_and_a_trap_gate_keeps_if)
{
    user_mode(b);
    s->eflags |= EFLAGS_IF;
    CODE(b, 0xcd, 0x80);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x80);
    EQ(stack32(b, 0), UCODE + 2);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_IF);
    ck_assert(s->eflags & EFLAGS_IF);
}
END_TEST

START_TEST(int_n_through_a_kernel_gate_is_gp_with_the_vector)
{
    user_mode(b);
    CODE(b, 0xcd, 0x21);
    steps(b, 1);
    expect_error(EXC_GP, 0x21 * 8 + 2, UCODE);
}
END_TEST

START_TEST(an_absent_gate_is_np_and_ext_tells_faults_from_int_n)
{
    gate(b, IDT + 0x80 * 8, S_CODE, 0, 0x6f, 0);
    CODE(b, 0xcd, 0x80);
    steps(b, 1);
    expect_error(EXC_NP, 0x80 * 8 + 2, KCODE);

    kernel_mode(b);
    gate(b, IDT + EXC_UD * 8, S_CODE, 0, 0x0e, 0);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    expect_error(EXC_NP, EXC_UD * 8 + 3, KCODE);
}
END_TEST

START_TEST(a_vector_beyond_the_idt_is_gp)
{
    s->idtr.limit = 0x7f * 8 + 7;
    CODE(b, 0xcd, 0x80);
    steps(b, 1);
    expect_error(EXC_GP, 0x80 * 8 + 2, KCODE);
}
END_TEST

START_TEST(two_contributory_exceptions_make_a_double_fault)
{
    gate(b, IDT + EXC_GP * 8, S_CODE, 0, 0x0e, 0);
    CODE(b, 0xcd, 0x80);
    gate(b, IDT + 0x80 * 8, S_CODE, 0, 0x0e, 0); /* int 80h: #NP, delivered; not a double fault */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NP);

    kernel_mode(b);
    CODE(b, 0x8e, 0xd8); /* mov ds, ax: #GP, whose gate is absent */
    s->gpr[EAX] = 0x500;
    steps(b, 1);
    expect_error(EXC_DF, 0, KCODE);
    EQ(b->m->st->position, 2);
}
END_TEST

START_TEST(a_benign_exception_that_fails_is_replaced_by_the_second)
{
    gate(b, IDT + EXC_UD * 8, S_ABSENT, 0, 0x8e, 0);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    expect_error(EXC_GP, S_ABSENT | 1, KCODE); /* not a code segment; EXT */
}
END_TEST

START_TEST(a_fault_while_delivering_a_double_fault_ends_the_guest)
{
    gate(b, IDT + EXC_GP * 8, S_CODE, 0, 0x0e, 0);
    gate(b, IDT + EXC_DF * 8, S_CODE, 0, 0x0e, 0);
    CODE(b, 0x8e, 0xd8);
    s->gpr[EAX] = 0x500;
    EQ(steps(b, 5), STOP_GUEST_END);
    EQ(b->m->st->end, GUEST_TRIPLE_FAULT);
    EQ(b->m->st->position, 1);
}
END_TEST

START_TEST(a_bad_inner_stack_is_ts_with_its_selector)
{
    poke16(b, TSS + 8, S_UDATA);
    user_mode(b);
    gate(b, IDT + EXC_TS * 8, S_CODE, handler(EXC_TS), 0x8e, 0);
    /* #TS would take the same stack: give it a task gate of its own */
    gate(b, IDT + EXC_TS * 8, S_TSS2, 0, 0x85, 0);
    poke32(b, TSS2 + 0x20, CODE2);
    poke32(b, TSS2 + 0x24, EFLAGS_1);
    poke32(b, TSS2 + 0x38, STACK2);
    for (unsigned i = 0; i < 6; i++)
        poke16(b, TSS2 + 0x48 + 4 * i, i == SEG_CS ? S_CODE : S_DATA);
    CODE(b, 0xcd, 0x80);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(stack32(b, 0), (S_UDATA & ~3u)); /* error code; INT n: no EXT */
    EQ(peek32(b, TSS + 0x20), UCODE);   /* the INT is what failed */
}
END_TEST

START_TEST(real_mode_interrupts_go_through_the_vector_table)
{
    real_mode(b);
    poke16(b, 0x21 * 4, 0x1234);
    poke16(b, 0x21 * 4 + 2, 0x3000);
    s->eflags |= EFLAGS_IF | EFLAGS_AC;
    CODE(b, 0xcd, 0x21);
    CODE(b, 0x90);
    poke8(b, 0x31234, 0xcf); /* iret */
    steps(b, 1);
    EQ(s->rip, 0x1234);
    EQ(s->seg[SEG_CS].base, 0x30000);
    EQ(stack16(b, 0), 2);
    EQ(stack16(b, 1), KCODE >> 4);
    EQ(stack16(b, 2), EFLAGS_1 | EFLAGS_IF);
    EQ(s->eflags, EFLAGS_1);
    steps(b, 1);
    EQ(s->rip, 2);
    EQ(s->seg[SEG_CS].selector, KCODE >> 4);
    ck_assert(s->eflags & EFLAGS_IF);
}
END_TEST

START_TEST(a_16_bit_gate_pushes_words)
{
    gate(b, IDT + 0x40 * 8, S_CODE, 0x5678, 0x86, 0);
    CODE(b, 0xcd, 0x40);
    steps(b, 1);
    EQ(s->rip, 0x5678);
    EQ(s->gpr[ESP], KSTACK - 6);
    EQ(stack16(b, 0), (KCODE + 2) & 0xffff);
    EQ(stack16(b, 1), S_CODE);
}
END_TEST

START_TEST(icebp_and_int3_are_traps)
{
    user_mode(b);
    CODE(b, 0xf1);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB); /* without a check of the gate's DPL */
    EQ(stack32(b, 0), UCODE + 1);

    user_mode(b);
    CODE(b, 0xcc);
    steps(b, 1);
    expect_error(EXC_GP, 3 * 8 + 2, UCODE);
}
END_TEST

/* ---- IRET ---- */

START_TEST(iret_to_user_level_hides_kernel_segments)
{
    s->seg[SEG_FS] = flat(S_UDATA, 0xf3);
    refresh(b);
    push(S_UDATA); push(USTACK); push(EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL | FLAG_C); push(S_UCODE); push(UCODE);
    CODE(b, 0xcf);
    steps(b, 1);
    EQ(s->rip, UCODE);
    EQ(s->cpl, 3);
    EQ(s->gpr[ESP], USTACK);
    EQ(s->seg[SEG_DS].valid, 0);
    EQ(s->seg[SEG_DS].selector, 0);
    EQ(s->seg[SEG_FS].selector, S_UDATA);
    EQ(i386_get_eflags(b->c), EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL | FLAG_C);
}
END_TEST

/* SDM 2, IRET and RET: "IF (SegmentSelector = NULL) ... THEN SegmentSelector := 0". 0: IRET, 1: RETF, 2: IRET to the same level */
START_TEST(a_return_to_user_level_forgets_the_rpl_of_null_selectors)
{
    static const unsigned data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned n = 0; n < ARRAY_LEN(data); n++)
        s->seg[data[n]] = (struct i386_segment){.selector = (uint16_t)n};
    refresh(b);
    if (_i < 2) {
        push(S_UDATA); push(USTACK);
    }
    if (_i != 1)
        push(EFLAGS_1);
    push(_i < 2 ? S_UCODE : S_CODE); push(_i < 2 ? UCODE : KCODE + 0x100);
    if (_i == 1) {
        CODE(b, 0xcb);
    } else {
        CODE(b, 0xcf);
    }
    steps(b, 1);
    EQ(s->cpl, _i < 2 ? 3 : 0);
    EQ(s->seg[SEG_ES].selector, 0);
    EQ(s->seg[SEG_DS].selector, _i < 2 ? 0 : 1);
    EQ(s->seg[SEG_FS].selector, _i < 2 ? 0 : 2);
    EQ(s->seg[SEG_GS].selector, _i < 2 ? 0 : 3);
}
END_TEST

START_TEST(iret_at_user_level_cannot_change_if_and_iopl)
{
    user_mode(b);
    push(EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_VIF); push(S_UCODE); push(UCODE + 0x100);
    CODE(b, 0xcf);
    steps(b, 1);
    EQ(s->rip, UCODE + 0x100);
    EQ(i386_get_eflags(b->c), EFLAGS_1 | EFLAGS_NT);
}
END_TEST

START_TEST(iret_faults_leave_everything_and_name_the_selector)
{
    push(S_UDATA); push(USTACK); push(EFLAGS_1); push(S_CODE | 3); push(UCODE);
    CODE(b, 0xcf);
    steps(b, 1);
    expect_error(EXC_GP, S_CODE, KCODE);
    EQ(s->gpr[ESP], KSTACK - 20 - 16);
}
END_TEST

START_TEST(iret_to_inner_level_is_gp)
{
    user_mode(b);
    push(EFLAGS_1); push(S_CODE); push(KCODE);
    CODE(b, 0xcf);
    steps(b, 1);
    expect_error(EXC_GP, S_CODE, UCODE);
}
END_TEST

/* ---- segments ---- */

/* mov ds, ax with this selector; the vector of the fault, or -1. */
static int load_ds(uint16_t selector)
{
    static const uint8_t code[] = {0x8e, 0xd8};

    poke(b, s->rip, code, 2);
    s->gpr[EAX] = selector;
    steps(b, 1);
    return s->rip >= HANDLERS && s->rip < HANDLERS + 0x1000 ? (int)(s->rip - HANDLERS) / 16 : -1;
}

START_TEST(loading_a_segment_checks_its_descriptor)
{
    static const struct { uint16_t selector; int vector; uint32_t error; } cases[] = {
        {S_ABSENT, EXC_NP, S_ABSENT}, {S_EXECONLY, EXC_GP, S_EXECONLY}, {S_TSS, EXC_GP, S_TSS},
        {0x200, EXC_GP, 0x200}, {0x0c, EXC_GP, 0x0c}, {S_DATA | 3, EXC_GP, S_DATA}, {S_RODATA, -1, 0},
        {S_UDATA, -1, 0}, {S_CODE, -1, 0}, {S_CONFORMING | 3, -1, 0}, {0, -1, 0}, {3, -1, 0},
    };

    s->seg[SEG_LDTR].valid = 0;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        kernel_mode(b);
        ck_assert_int_eq(load_ds(cases[i].selector), cases[i].vector);
        if (cases[i].vector >= 0)
            expect_error((unsigned)cases[i].vector, cases[i].error, KCODE);
        else
            EQ(s->seg[SEG_DS].selector, cases[i].selector);
    }
}
END_TEST

START_TEST(loading_a_segment_sets_its_accessed_bit)
{
    EQ(peek8(b, GDT + S_RODATA + 5), 0x90);
    load_ds(S_RODATA);
    EQ(peek8(b, GDT + S_RODATA + 5), 0x91);
    EQ(s->seg[SEG_DS].attr, 0xc091);
    EQ(s->seg[SEG_DS].limit, 0xffffffff);
}
END_TEST

START_TEST(loading_ss_wants_a_writable_segment_of_this_level)
{
    static const struct { uint16_t selector; int vector; } cases[] = {
        {0, EXC_GP}, {S_RODATA, EXC_GP}, {S_UDATA, EXC_GP}, {S_DATA | 3, EXC_GP}, {S_SMALL, -1},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        kernel_mode(b);
        CODE(b, 0x8e, 0xd0);
        s->gpr[EAX] = cases[i].selector;
        steps(b, 1);
        if (cases[i].vector >= 0)
            expect_error((unsigned)cases[i].vector, cases[i].selector & 0xfffc, KCODE);
        else
            EQ(s->seg[SEG_SS].selector, cases[i].selector);
    }
    descriptor(b, GDT + S_SMALL, DATA, 0xff, 0x12, 0x4);
    kernel_mode(b);
    CODE(b, 0x8e, 0xd0);
    s->gpr[EAX] = S_SMALL;
    steps(b, 1);
    expect_error(EXC_SS, S_SMALL, KCODE);
}
END_TEST

/* mov eax, [ebx] through DS, or mov [ebx], eax. */
static bool access_faults(uint16_t selector, uint32_t offset, bool write)
{
    kernel_mode(b);
    if (selector)
        ck_assert_int_eq(load_ds(selector), -1);
    else
        load_ds(0);
    b->at = s->rip;
    if (write)
        CODE(b, 0x89, 0x03);
    else
        CODE(b, 0x8b, 0x03);
    s->gpr[EBX] = offset;
    steps(b, 1);
    if (s->rip == handler(EXC_GP)) {
        EQ(stack32(b, 0), 0);
        return true;
    }
    EQ(s->rip, b->at);
    return false;
}

START_TEST(limits_types_and_null_segments_are_checked)
{
    ck_assert(!access_faults(S_SMALL, 0xfc, false));
    ck_assert(access_faults(S_SMALL, 0xfd, false));
    ck_assert(access_faults(S_SMALL, 0xfffffffe, false));
    ck_assert(access_faults(S_DOWN, 0xfff, false));
    ck_assert(!access_faults(S_DOWN, 0x1000, false));
    ck_assert(access_faults(S_DOWN, 0xfffffffd, true));
    ck_assert(access_faults(S_RODATA, DATA, true));
    ck_assert(!access_faults(S_RODATA, DATA, false));
    ck_assert(access_faults(S_CODE, DATA, true));
    ck_assert(!access_faults(S_CODE, DATA, false));
    ck_assert(access_faults(0, DATA, false));
}
END_TEST

START_TEST(big_real_mode_keeps_the_limit)
{
    /* Limits loaded in protected mode outlive the switch to real mode and loads there. */
    CODE(b, 0x0f, 0x20, 0xc0, 0x48, 0x0f, 0x22, 0xc0, 0x31, 0xc0, 0x8e, 0xd8, 0x8b, 0x1d, 0x00, 0x00, 0x20, 0x00);
    poke32(b, 0x200000, 0xfeedface);
    s->rip = KCODE;
    steps(b, 6);
    EQ(s->cr0 & CR0_PE, 0);
    EQ(s->seg[SEG_DS].limit, 0xffffffff);
    EQ(s->gpr[EBX], 0xfeedface);
}
END_TEST

/* ---- far transfers ---- */

START_TEST(a_call_gate_copies_parameters_and_retf_releases_them)
{
    user_mode(b);
    push(0x1111); push(0x2222);
    CODE(b, 0x9a, 0, 0, 0, 0, S_GATE | 3, 0); /* call gate:0 */
    poke8(b, CODE2, 0xca); /* retf 8 */
    poke16(b, CODE2 + 1, 8);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->cpl, 0);
    EQ(s->seg[SEG_CS].selector, S_CODE);
    EQ(s->gpr[ESP], ESP0 - 24);
    EQ(stack32(b, 0), UCODE + 7);
    EQ(stack32(b, 1), S_UCODE);
    EQ(stack32(b, 2), 0x2222);
    EQ(stack32(b, 3), 0x1111);
    EQ(stack32(b, 4), USTACK - 8);
    EQ(stack32(b, 5), S_UDATA);
    steps(b, 1);
    EQ(s->rip, UCODE + 7);
    EQ(s->cpl, 3);
    EQ(s->gpr[ESP], USTACK);
    EQ(s->seg[SEG_SS].selector, S_UDATA);
}
END_TEST

START_TEST(a_call_gate_to_the_same_level_keeps_the_stack)
{
    CODE(b, 0x9a, 0, 0, 0, 0, S_GATE, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[ESP], KSTACK - 8);
    EQ(stack32(b, 0), KCODE + 7);
}
END_TEST

START_TEST(a_jump_cannot_enter_an_inner_level)
{
    user_mode(b);
    CODE(b, 0xea, 0, 0, 0, 0, S_GATE | 3, 0);
    steps(b, 1);
    expect_error(EXC_GP, S_CODE, UCODE);
    user_mode(b);
    CODE(b, 0xea, 0, 0, 0, 0, S_CODE, 0);
    steps(b, 1);
    expect_error(EXC_GP, S_CODE, UCODE);
}
END_TEST

START_TEST(conforming_code_runs_at_the_callers_level)
{
    user_mode(b);
    CODE(b, 0xea, 0x00, 0x80, 0x03, 0x00, S_CONFORMING, 0);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->cpl, 3);
    EQ(s->seg[SEG_CS].selector, S_CONFORMING | 3);
}
END_TEST

START_TEST(a_far_call_to_16_bit_code_changes_the_default_sizes)
{
    CODE(b, 0x66, 0x9a, 0x00, 0x60, S_CODE16, 0); /* callw 60:6000 */
    poke8(b, 0x6000, 0xb8); /* mov ax, 1234h */
    poke16(b, 0x6001, 0x1234);
    poke8(b, 0x6003, 0xcb); /* retf, 16 bits */
    s->gpr[EAX] = 0xffff0000;
    /* return address 0002:0006 does not fit 16 bits of EIP: enough to see what is pushed */
    steps(b, 1);
    EQ(s->rip, 0x6000);
    EQ(s->gpr[ESP], KSTACK - 4);
    EQ(stack16(b, 0), (KCODE + 6) & 0xffff);
    steps(b, 1);
    EQ(s->gpr[EAX], 0xffff1234);
    steps(b, 1);
    EQ(s->rip, (KCODE + 6) & 0xffff);
    EQ(s->seg[SEG_CS].selector, S_CODE);
}
END_TEST

START_TEST(a_target_beyond_the_code_limit_is_gp_before_anything_is_pushed)
{
    CODE(b, 0x9a, 0x00, 0x00, 0x01, 0x00, S_CODE16, 0);
    steps(b, 1);
    expect_error(EXC_GP, 0, KCODE);
    EQ(s->gpr[ESP], KSTACK - 16);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 transfers");
    TCase *tc = tcase(suite, "exceptions");

    ADD(a_fault_pushes_its_own_eip_with_rf_and_is_one_step);
    ADD(a_fault_at_user_level_switches_to_the_stack_of_the_tss);
    ADD(int_n_returns_behind_itself_and_a_trap_gate_keeps_if);
    ADD(int_n_through_a_kernel_gate_is_gp_with_the_vector);
    ADD(an_absent_gate_is_np_and_ext_tells_faults_from_int_n);
    ADD(a_vector_beyond_the_idt_is_gp);
    ADD(two_contributory_exceptions_make_a_double_fault);
    ADD(a_benign_exception_that_fails_is_replaced_by_the_second);
    ADD(a_fault_while_delivering_a_double_fault_ends_the_guest);
    ADD(a_bad_inner_stack_is_ts_with_its_selector);
    ADD(real_mode_interrupts_go_through_the_vector_table);
    ADD(a_16_bit_gate_pushes_words);
    ADD(icebp_and_int3_are_traps);
    ADD(iret_to_user_level_hides_kernel_segments);
    tcase_add_loop_test(tc, a_return_to_user_level_forgets_the_rpl_of_null_selectors, 0, 3);
    ADD(iret_at_user_level_cannot_change_if_and_iopl);
    ADD(iret_faults_leave_everything_and_name_the_selector);
    ADD(iret_to_inner_level_is_gp);

    tc = tcase(suite, "segments");
    ADD(loading_a_segment_checks_its_descriptor);
    ADD(loading_a_segment_sets_its_accessed_bit);
    ADD(loading_ss_wants_a_writable_segment_of_this_level);
    ADD(limits_types_and_null_segments_are_checked);
    ADD(big_real_mode_keeps_the_limit);
    ADD(a_call_gate_copies_parameters_and_retf_releases_them);
    ADD(a_call_gate_to_the_same_level_keeps_the_stack);
    ADD(a_jump_cannot_enter_an_inner_level);
    ADD(conforming_code_runs_at_the_callers_level);
    ADD(a_far_call_to_16_bit_code_changes_the_default_sizes);
    ADD(a_target_beyond_the_code_limit_is_gp_before_anything_is_pushed);
    return suite;
}
