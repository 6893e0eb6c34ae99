/*
 * Claims about the system side of the i386 CPU (SDM 3A): exceptions and their
 * error codes, segments, gates, tasks, virtual-8086 mode, paging, debug
 * facilities, interrupts, system instructions, gdb's registers.
 */
#include "i386_bench.h"

#include "i386/protect.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

static void setup_model(const char *model)
{
    b = bench_new(model);
    s = b->s;
}

static void setup(void)
{
    setup_model("pentium4");
}

static void teardown(void)
{
    bench_free(b);
}

/* The top of the handler's stack as an error code frame: error, eip, cs, eflags. */
static void expect_error(unsigned vector, uint32_t error, uint32_t eip)
{
    EXPECT_VECTOR(b, vector);
    EQ(stack32(b, 0), error);
    EQ(stack32(b, 1), eip);
}

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

static void push(uint32_t v)
{
    s->gpr[ESP] -= 4;
    poke32(b, s->gpr[ESP], v);
}

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

/* ---- tasks ---- */

static void make_task(uint32_t tss, uint32_t eip, uint32_t eflags)
{
    poke32(b, tss + 0x1c, 0);
    poke32(b, tss + 0x20, eip);
    poke32(b, tss + 0x24, eflags);
    for (unsigned i = 0; i < 8; i++)
        poke32(b, tss + 0x28 + 4 * i, 0x100 + i);
    poke32(b, tss + 0x38, STACK2);
    for (unsigned i = 0; i < 6; i++)
        poke16(b, tss + 0x48 + 4 * i, i == SEG_CS ? S_CODE : S_DATA);
    poke16(b, tss + 0x60, 0);
    poke16(b, tss + 0x64, 0);
}

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

/* ---- paging ---- */

#define PT0 (PAGES + 0x1000)

/* 32-bit paging: 4 MiB identity-mapped through PT0, everything user and writable; D and A clear. */
static void map_32bit(void)
{
    poke32(b, PAGES, PT0 | 7);
    for (unsigned i = 0; i < 1024; i++)
        poke32(b, PT0 + 4 * i, i << 12 | 7);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG;
    refresh(b);
}

static uint32_t pte(uint32_t va) { return PT0 + (va >> 12) * 4; }

static void set_pte(uint32_t va, uint32_t value) { poke32(b, pte(va), value); }

/* mov eax, [ebx] or mov [ebx], eax at `offset`. */
static void access(uint32_t offset, bool write)
{
    b->at = s->rip;
    if (write)
        CODE(b, 0x89, 0x03);
    else
        CODE(b, 0x8b, 0x03);
    s->gpr[EBX] = offset;
    steps(b, 1);
}

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

/* ---- debugging ---- */

START_TEST(tf_traps_after_each_instruction_as_a_step_of_its_own)
{
    CODE(b, 0x90, 0x90);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 1);
    EQ(s->rip, KCODE + 1);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 1);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_TF);
    EQ(s->dr[6], DR6_FIXED | DR6_BS);
    EQ(s->eflags & EFLAGS_TF, 0);
}
END_TEST

START_TEST(popf_that_sets_tf_traps_after_the_next_instruction)
{
    push(EFLAGS_1 | EFLAGS_TF);
    CODE(b, 0x9d, 0x90, 0x90);
    steps(b, 2);
    EQ(s->rip, KCODE + 2);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 2);
}
END_TEST

START_TEST(popf_that_clears_tf_still_traps)
{
    push(EFLAGS_1);
    CODE(b, 0x9d, 0x90);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 1);
}
END_TEST

START_TEST(int_n_under_tf_does_not_trap)
{
    CODE(b, 0xcd, 0x80);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    poke8(b, handler(0x80), 0x90);
    steps(b, 2);
    EQ(s->rip, handler(0x80) + 1);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_TF);
}
END_TEST

START_TEST(mov_ss_delays_the_single_step_trap)
{
    CODE(b, 0x8e, 0xd0, 0x90);
    s->gpr[EAX] = S_DATA;
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EQ(s->rip, KCODE + 3);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 3);
}
END_TEST

START_TEST(the_single_step_trap_of_mov_ss_is_lost_before_int_n)
{
    CODE(b, 0x8e, 0xd0, 0xcd, 0x80); /* mov ss, eax; int 80h */
    s->gpr[EAX] = S_DATA;
    s->eflags |= EFLAGS_TF;
    refresh(b);
    poke8(b, handler(0x80), 0x90);
    steps(b, 2);
    EXPECT_VECTOR(b, 0x80);
    steps(b, 1);
    EQ(s->rip, handler(0x80) + 1);
    EQ(s->pending_db, 0);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_TF);
}
END_TEST

START_TEST(the_single_step_trap_of_pop_ss_is_lost_before_a_fault)
{
    CODE(b, 0x17, 0x0f, 0x0b); /* pop ss; ud2 */
    push(S_DATA);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    poke8(b, handler(EXC_UD), 0x90);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_UD);
    steps(b, 1);
    EQ(s->rip, handler(EXC_UD) + 1);
}
END_TEST

START_TEST(icebp_after_mov_ss_that_met_a_data_breakpoint_is_one_db)
{
    CODE(b, 0x8e, 0x17, 0xf1); /* mov ss, [edi]; icebp */
    poke16(b, DATA, S_DATA);
    s->gpr[EDI] = DATA;
    s->dr[0] = DATA;
    s->dr[7] = DR7_FIXED | 2 | 0x70000;
    refresh(b);
    poke8(b, handler(EXC_DB), 0x90);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 3);
    EQ(s->dr[6], DR6_FIXED | 1);
    steps(b, 1);
    EQ(s->rip, handler(EXC_DB) + 1);
}
END_TEST

START_TEST(int_n_after_mov_ss_that_met_a_data_breakpoint_traps_at_its_handler)
{
    CODE(b, 0x8e, 0x17, 0xcd, 0x80); /* mov ss, [edi]; int 80h */
    poke16(b, DATA, S_DATA);
    s->gpr[EDI] = DATA;
    s->dr[0] = DATA;
    s->dr[7] = DR7_FIXED | 2 | 0x70000;
    refresh(b);
    steps(b, 3);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), handler(0x80));
    EQ(s->dr[6], DR6_FIXED | 1);
}
END_TEST

START_TEST(a_code_breakpoint_faults_before_and_rf_passes_it)
{
    CODE(b, 0x90, 0x90, 0x90);
    s->dr[0] = KCODE + 1;
    s->dr[7] = DR7_FIXED | 2;
    refresh(b);
    poke8(b, handler(EXC_DB), 0xcf);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 1);
    EQ(stack32(b, 2), EFLAGS_1);
    EQ(s->dr[6], DR6_FIXED | 1);
    /* the handler sets RF in the image: IRET goes on */
    poke32(b, s->gpr[ESP] + 8, EFLAGS_1 | EFLAGS_RF);
    steps(b, 1);
    ck_assert(s->eflags & EFLAGS_RF);
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    EQ(s->eflags & EFLAGS_RF, 0);
}
END_TEST

START_TEST(a_data_breakpoint_traps_after_the_access)
{
    s->dr[1] = DATA + 2;
    s->dr[7] = DR7_FIXED | 8 | 0x00500000; /* write, 2 bytes */
    refresh(b);
    access(DATA + 4, true);
    EQ(s->pending_db, 0);
    access(DATA, false);
    EQ(s->pending_db, 0);
    access(DATA, true);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 6);
    EQ(s->dr[6], DR6_FIXED | 2);
}
END_TEST

START_TEST(an_access_breakpoint_sees_reads)
{
    s->dr[3] = DATA;
    s->dr[7] = DR7_FIXED | 0x80 | 0xf0000000;
    refresh(b);
    access(DATA + 3, false);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(s->dr[6], DR6_FIXED | 8);
}
END_TEST

START_TEST(an_io_breakpoint_needs_de)
{
    s->dr[0] = 0x60;
    s->dr[7] = DR7_FIXED | 2 | 0x20000;
    refresh(b);
    CODE(b, 0xe4, 0x60, 0xe4, 0x60);
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    s->cr4 |= CR4_DE;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 4);
}
END_TEST

START_TEST(general_detect_guards_the_debug_registers)
{
    CODE(b, 0x0f, 0x21, 0xc0); /* mov eax, dr0 */
    s->dr[7] = DR7_FIXED | DR7_GD;
    refresh(b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE);
    EQ(s->dr[6], DR6_FIXED | DR6_BD);
    EQ(s->dr[7] & DR7_GD, 0);
}
END_TEST

START_TEST(dr4_is_dr6_unless_de)
{
    CODE(b, 0x0f, 0x21, 0xe0, 0x0f, 0x21, 0xe0);
    steps(b, 1);
    EQ(s->gpr[EAX], DR6_FIXED);
    s->cr4 |= CR4_DE;
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

static void rep_stosb(unsigned count)
{
    CODE(b, 0xf3, 0xaa, 0x90);
    s->gpr[ECX] = count;
    s->gpr[EDI] = DATA;
    s->gpr[EAX] = 0x5a;
}

START_TEST(tf_traps_after_each_iteration_with_rf_in_the_image)
{
    rep_stosb(3);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_TF | EFLAGS_RF);
    EQ(s->gpr[ECX], 2);
    EQ(s->rep_active, 0);
}
END_TEST

START_TEST(an_interrupt_between_iterations_returns_to_the_instruction_with_rf)
{
    rep_stosb(10);
    poke8(b, handler(0x31), 0xcf);
    s->eflags |= EFLAGS_IF;
    steps(b, 4);
    EQ(s->gpr[ECX], 6);
    b->irq_vector = 0x31;
    i386_set_intr(b->c, 0, true);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), KCODE);
    EQ(stack32(b, 2), EFLAGS_1 | EFLAGS_IF | EFLAGS_RF);
    steps(b, 7);
    EQ(s->gpr[ECX], 0);
    EQ(s->rip, KCODE + 2);
    EQ(s->eflags & EFLAGS_RF, 0);
    EQ(peek32(b, DATA + 6), 0x5a5a5a5a);
}
END_TEST

START_TEST(a_data_breakpoint_traps_after_the_iteration_that_hits)
{
    rep_stosb(10);
    s->dr[0] = DATA + 4;
    s->dr[7] = DR7_FIXED | 2 | 0x10000;
    refresh(b);
    steps(b, 6);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE);
    EQ(s->gpr[ECX], 5);
    EQ(s->dr[6], DR6_FIXED | 1);
}
END_TEST

START_TEST(a_code_breakpoint_in_the_shadow_of_mov_ss_is_lost_a_data_trap_waits)
{
    CODE(b, 0x8e, 0x17, 0x90, 0x90); /* mov ss, [edi] */
    poke16(b, DATA, S_DATA);
    s->gpr[EDI] = DATA;
    s->dr[0] = DATA;
    s->dr[1] = KCODE + 2;
    s->dr[7] = DR7_FIXED | 2 | 0x70000 | 8;
    refresh(b);
    steps(b, 2);
    EQ(s->rip, KCODE + 3);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 3);
    EQ(s->dr[6], DR6_FIXED | 1);
}
END_TEST

/* ---- interrupts ---- */

static void raise_irq(int vector)
{
    b->irq_vector = vector;
    i386_set_intr(b->c, 0, true);
}

START_TEST(an_interrupt_is_taken_between_instructions_when_if_is_set)
{
    CODE(b, 0x90, 0x90, 0x90);
    raise_irq(0x31);
    steps(b, 1);
    EQ(s->rip, KCODE + 1);
    s->eflags |= EFLAGS_IF;
    steps(b, 1);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), KCODE + 1);
    EQ(b->intacks, 1);
    EQ(s->eflags & EFLAGS_IF, 0);
}
END_TEST

START_TEST(sti_lets_one_more_instruction_run)
{
    CODE(b, 0xfb, 0x90, 0x90);
    raise_irq(0x31);
    steps(b, 2);
    EQ(s->rip, KCODE + 2);
    EQ(s->shadow, 0);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), KCODE + 2);
}
END_TEST

START_TEST(sti_in_the_shadow_of_tf_keeps_its_shadow)
{
    CODE(b, 0xfb, 0x90, 0x90);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 1);
    EQ(s->shadow, I386_SHADOW_STI);
    EQ(s->tf_latched, 0);
}
END_TEST

START_TEST(hlt_sleeps_until_an_interrupt)
{
    CODE(b, 0xfb, 0xf4, 0x90);
    b->m->stop_when_idle = true;
    EQ(steps(b, 10), STOP_IDLE);
    EQ(s->halted, 1);
    EQ(b->m->st->position, 2);
    raise_irq(0x31);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), KCODE + 2);
    EQ(s->halted, 0);
}
END_TEST

START_TEST(nmi_comes_first_and_blocks_itself_until_iret)
{
    CODE(b, 0x90);
    s->eflags |= EFLAGS_IF;
    poke8(b, handler(EXC_NMI), 0xcf);
    raise_irq(0x31);
    i386_raise_nmi(b->c);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NMI);
    EQ(s->nmi_blocked, 1);
    i386_raise_nmi(b->c);
    steps(b, 1); /* the IRET */
    EQ(s->rip, KCODE);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NMI);
}
END_TEST

START_TEST(a_spurious_request_does_not_wake_hlt)
{
    CODE(b, 0xfb, 0xf4, 0x90);
    b->m->stop_when_idle = true;
    steps(b, 10);
    raise_irq(-1);
    EQ(steps(b, 10), STOP_IDLE);
    EQ(s->rip, KCODE + 2);
    EQ(b->m->st->position, 2);
}
END_TEST

START_TEST(an_interrupt_that_cannot_be_delivered_becomes_the_fault_with_ext)
{
    gate(b, IDT + 0x31 * 8, S_CODE, 0, 0x0e, 0);
    s->eflags |= EFLAGS_IF;
    raise_irq(0x31);
    steps(b, 1);
    expect_error(EXC_NP, 0x31 * 8 + 3, KCODE);
    EQ(b->m->st->position, 1);
}
END_TEST

/* ---- system instructions ---- */

static void mov_to_cr(unsigned n, uint32_t value)
{
    b->at = s->rip;
    CODE(b, 0x0f, 0x22);
    poke8(b, b->at, (uint8_t)(0xc0 | n << 3));
    s->gpr[EAX] = value;
    steps(b, 1);
}

START_TEST(control_registers_refuse_impossible_values)
{
    mov_to_cr(0, CR0_PG);
    expect_error(EXC_GP, 0, KCODE);
    kernel_mode(b);
    mov_to_cr(0, CR0_PE | CR0_NW);
    expect_error(EXC_GP, 0, KCODE);
    kernel_mode(b);
    mov_to_cr(4, 0x2000);
    expect_error(EXC_GP, 0, KCODE);
    kernel_mode(b);
    mov_to_cr(4, CR4_PAE | CR4_OSFXSR);
    EQ(s->cr4, CR4_PAE | CR4_OSFXSR);
    mov_to_cr(0, CR0_PE);
    EQ(s->cr0, CR0_PE | CR0_ET);
}
END_TEST

START_TEST(privileged_instructions_fault_at_user_level)
{
    static const uint8_t code[][3] = {
        {0x0f, 0x20, 0xc0}, {0x0f, 0x22, 0xc0}, {0x0f, 0x21, 0xc0}, {0x0f, 0x23, 0xc0}, {0x0f, 0x01, 0xf0},
        {0x0f, 0x06, 0x90}, {0x0f, 0x08, 0x90}, {0x0f, 0x09, 0x90}, {0x0f, 0x30, 0x90}, {0x0f, 0x32, 0x90},
        {0x0f, 0x35, 0x90}, {0xf4, 0x90, 0x90}, {0xfa, 0x90, 0x90}, {0xfb, 0x90, 0x90}, {0xe4, 0x60, 0x90},
        {0x0f, 0x00, 0xd0}, {0x0f, 0x00, 0xd8}, {0x0f, 0x33, 0x90},
    };

    s->sysenter_cs = S_CODE;
    poke8(b, TSS + 0x88 + 12, 1);
    for (unsigned i = 0; i < ARRAY_LEN(code); i++) {
        user_mode(b);
        poke(b, UCODE, code[i], 3);
        steps(b, 1);
        expect_error(EXC_GP, 0, UCODE);
    }
}
END_TEST

START_TEST(the_io_map_admits_ports)
{
    user_mode(b);
    poke8(b, TSS + 0x88 + (0x70 >> 3), 2); /* port 71h */
    CODE(b, 0xe4, 0x70, 0x66, 0xe5, 0x70);
    steps(b, 1);
    EQ(s->rip, UCODE + 2);
    EQ(b->last_port, 0x70);
    EQ(s->gpr[EAX] & 0xff, 0x78);
    steps(b, 1);
    expect_error(EXC_GP, 0, UCODE + 2);
    user_mode(b);
    CODE(b, 0x66, 0xba, 0xff, 0xff, 0xec); /* beyond the TSS's limit */
    steps(b, 2);
    expect_error(EXC_GP, 0, UCODE + 4);
}
END_TEST

START_TEST(unknown_msrs_are_gp_and_known_ones_hold_values)
{
    CODE(b, 0x0f, 0x32);
    s->gpr[ECX] = 0x12345;
    steps(b, 1);
    expect_error(EXC_GP, 0, KCODE);

    kernel_mode(b);
    CODE(b, 0x0f, 0x30, 0x0f, 0x32);
    s->gpr[ECX] = 0x174;
    s->gpr[EAX] = 0x60;
    s->gpr[EDX] = 0;
    steps(b, 1);
    s->gpr[EAX] = 0;
    steps(b, 1);
    EQ(s->gpr[EAX], 0x60);

    kernel_mode(b);
    CODE(b, 0x0f, 0x30);
    s->gpr[ECX] = 0xc0000080;
    s->gpr[EAX] = 0x100; /* no long mode */
    steps(b, 1);
    expect_error(EXC_GP, 0, KCODE);
}
END_TEST

START_TEST(the_tsc_counts_virtual_nanoseconds_from_reset)
{
    CODE(b, 0x90, 0x90, 0x0f, 0x31, 0x0f, 0x31);
    steps(b, 3);
    EQ(s->gpr[EAX], 2);
    EQ(s->gpr[EDX], 0);
    steps(b, 1);
    EQ(s->gpr[EAX], 3);
}
END_TEST

START_TEST(tsd_keeps_the_tsc_from_users)
{
    s->cr4 |= CR4_TSD;
    user_mode(b);
    CODE(b, 0x0f, 0x31);
    steps(b, 1);
    expect_error(EXC_GP, 0, UCODE);
}
END_TEST

static void cpuid(uint32_t leaf)
{
    kernel_mode(b);
    CODE(b, 0x0f, 0xa2);
    s->gpr[EAX] = leaf;
    steps(b, 1);
}

START_TEST(cpuid_tells_the_model)
{
    cpuid(0);
    EQ(s->gpr[EAX], 2);
    ck_assert(!memcmp(&s->gpr[EBX], "Genu", 4) && !memcmp(&s->gpr[EDX], "ineI", 4) && !memcmp(&s->gpr[ECX], "ntel", 4));
    cpuid(1);
    EQ(s->gpr[EAX], 0xf41);
    ck_assert(s->gpr[EDX] & 1u << 26);
    cpuid(0x80000001);
    EQ(s->gpr[EDX], 1u << 20);
    cpuid(0x80000002);
    ck_assert(!memcmp(&s->gpr[EAX], "Inte", 4));

    teardown();
    setup_model("pentium3");
    cpuid(1);
    EQ(s->gpr[EAX], 0x686);
    EQ(s->gpr[EDX] & (1u << 26 | 1u << 25), 1u << 25);
    cpuid(0x80000000); /* no extended leaves: the highest basic one */
    EQ(s->gpr[EAX], 0x03020101);
    CODE(b, 0x0f, 0x32);
    s->gpr[ECX] = 0xc0000080; /* no EFER */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(sysenter_and_sysexit_set_flat_segments)
{
    s->sysenter_cs = S_CODE;
    s->sysenter_esp = ESP0;
    s->sysenter_eip = CODE2;
    user_mode(b);
    s->eflags |= EFLAGS_IF;
    CODE(b, 0x0f, 0x34);
    poke(b, CODE2, "\x0f\x35", 2);
    s->gpr[ECX] = USTACK - 4;
    s->gpr[EDX] = UCODE + 2;
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[ESP], ESP0);
    EQ(s->cpl, 0);
    EQ(s->seg[SEG_SS].selector, S_DATA);
    EQ(s->eflags & EFLAGS_IF, 0);
    steps(b, 1);
    EQ(s->rip, UCODE + 2);
    EQ(s->gpr[ESP], USTACK - 4);
    EQ(s->seg[SEG_CS].selector, S_UCODE);
    EQ(s->seg[SEG_SS].selector, S_UDATA);
    EQ(s->cpl, 3);
}
END_TEST

START_TEST(lar_lsl_verr_verw_tell_what_may_be_used)
{
    CODE(b, 0x0f, 0x02, 0xd8,  /* lar ebx, eax */
         0x0f, 0x03, 0xc8,     /* lsl ecx, eax */
         0x0f, 0x00, 0xe0,     /* verr ax */
         0x0f, 0x00, 0xe8);    /* verw ax */
    s->gpr[EAX] = S_SMALL;
    steps(b, 1);
    EQ(s->gpr[EBX], 0x409200);
    ck_assert(i386_get_eflags(b->c) & FLAG_Z);
    steps(b, 1);
    EQ(s->gpr[ECX], 0xff);
    s->gpr[EAX] = S_RODATA;
    steps(b, 1);
    ck_assert(i386_get_eflags(b->c) & FLAG_Z);
    steps(b, 1);
    ck_assert(!(i386_get_eflags(b->c) & FLAG_Z));

    user_mode(b);
    CODE(b, 0x0f, 0x02, 0xd8, 0x0f, 0x03, 0xd8);
    s->gpr[EAX] = S_DATA;
    s->gpr[EBX] = 5;
    steps(b, 1);
    ck_assert(!(i386_get_eflags(b->c) & FLAG_Z));
    EQ(s->gpr[EBX], 5);
    s->gpr[EAX] = S_GATE | 3; /* visible to LAR, not to LSL */
    steps(b, 1);
    ck_assert(!(i386_get_eflags(b->c) & FLAG_Z));
}
END_TEST

START_TEST(descriptor_table_registers_load_and_store)
{
    CODE(b, 0x0f, 0x01, 0x13,  /* lgdt [ebx] */
         0x0f, 0x01, 0x06,     /* sgdt [esi] */
         0x66, 0x0f, 0x01, 0x1b); /* lidt [ebx], 16-bit operand */
    poke16(b, DATA, 0x7f);
    poke32(b, DATA + 2, 0x99001000);
    s->gpr[EBX] = DATA;
    s->gpr[ESI] = DATA + 0x10;
    steps(b, 2);
    EQ(s->gdtr.limit, 0x7f);
    EQ(s->gdtr.base, 0x99001000);
    EQ(peek16(b, DATA + 0x10), 0x7f);
    EQ(peek32(b, DATA + 0x12), 0x99001000);
    steps(b, 1);
    EQ(s->idtr.base, 0x001000);
}
END_TEST

START_TEST(ltr_marks_the_tss_busy_and_lldt_checks)
{
    CODE(b, 0x0f, 0x00, 0xd8, 0x0f, 0x00, 0xd0, 0x0f, 0x00, 0xd1);
    s->gpr[EAX] = S_TSS2;
    steps(b, 1);
    EQ(s->seg[SEG_TR].selector, S_TSS2);
    EQ(peek8(b, GDT + S_TSS2 + 5), 0x8b);
    s->gpr[EAX] = S_LDT;
    steps(b, 1);
    EQ(s->seg[SEG_LDTR].base, LDT);
    s->gpr[ECX] = S_DATA;
    steps(b, 1);
    expect_error(EXC_GP, S_DATA, KCODE + 6);
}
END_TEST

START_TEST(popf_obeys_iopl_and_cpl)
{
    user_mode(b);
    push(EFLAGS_1 | EFLAGS_IF | EFLAGS_IOPL | EFLAGS_DF | EFLAGS_AC);
    CODE(b, 0x9d);
    steps(b, 1);
    EQ(i386_get_eflags(b->c), EFLAGS_1 | EFLAGS_DF | EFLAGS_AC);
    s->eflags = EFLAGS_1;
    kernel_mode(b);
    push(0xffffffff & ~EFLAGS_TF);
    CODE(b, 0x9d);
    steps(b, 1);
    EQ(i386_get_eflags(b->c), EFLAGS_1 | FLAGS_ALL | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID);
}
END_TEST

START_TEST(lmsw_enters_protected_mode_and_never_leaves_it)
{
    real_mode(b);
    CODE(b, 0x0f, 0x01, 0xf0, 0x0f, 0x01, 0xf3);
    s->gpr[EAX] = 1;
    s->gpr[EBX] = 8;
    steps(b, 2);
    EQ(s->cr0 & 0xf, CR0_PE | CR0_TS);
}
END_TEST

/* ---- reset and registers ---- */

START_TEST(reset_is_as_the_manual_says)
{
    machine_reset(b->m);
    EQ(s->rip, 0xfff0);
    EQ(s->seg[SEG_CS].selector, 0xf000);
    EQ(s->seg[SEG_CS].base, 0xffff0000);
    EQ(s->gpr[EDX], 0xf41);
    EQ(s->cr0, 0x60000010);
    EQ(s->eflags, 2);
    EQ(s->dr[6], 0xffff0ff0);
    EQ(s->dr[7], 0x400);
    ck_assert(b->m->cpus[0]->ops->pc(b->m->cpus[0]) == 0xfffffff0);
}
END_TEST

static unsigned reg(const char *name)
{
    const struct cpu_ops *ops = b->m->cpus[0]->ops;

    for (unsigned i = 0; i < ops->nregs; i++) {
        if (!strcmp(ops->regs[i].name, name))
            return i;
    }
    ck_abort_msg("no register %s", name);
    return 0;
}

static uint32_t read_reg(const char *name)
{
    uint8_t v[16] = {0};
    uint32_t r;

    b->m->cpus[0]->ops->read_reg(b->m->cpus[0], reg(name), v);
    memcpy(&r, v, 4);
    return r;
}

static bool write_reg(const char *name, uint32_t value)
{
    uint8_t v[16] = {0};

    memcpy(v, &value, 4);
    return b->m->cpus[0]->ops->write_reg(b->m->cpus[0], reg(name), v);
}

START_TEST(gdb_numbers_registers_as_its_i386_feature_does)
{
    static const char *const order[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags",
                                        "cs", "ss", "ds", "es", "fs", "gs", "st0"};

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        EQ(reg(order[i]), i);
    EQ(reg("fctrl"), 24);
    EQ(reg("xmm0"), 32);
    EQ(reg("mxcsr"), 40);
    EQ(b->m->cpus[0]->ops->pc_reg, 8);
    for (unsigned i = 0; i < b->m->cpus[0]->ops->nregs; i++)
        ck_assert_ptr_nonnull(b->m->cpus[0]->ops->regs[i].name);
    EQ(read_reg("cr0"), s->cr0);
    EQ(read_reg("tr"), S_TSS);
    EQ(read_reg("gdtr_base"), GDT);
}
END_TEST

START_TEST(register_writes_take_effect_or_are_refused)
{
    ck_assert(write_reg("eax", 7));
    EQ(s->gpr[EAX], 7);
    ck_assert(write_reg("eflags", EFLAGS_1 | FLAG_Z | EFLAGS_IF));
    EQ(i386_get_eflags(b->c), EFLAGS_1 | FLAG_Z | EFLAGS_IF);
    ck_assert(!write_reg("eflags", EFLAGS_1 | EFLAGS_VM));
    ck_assert(write_reg("ds", S_SMALL));
    EQ(s->seg[SEG_DS].base, DATA);
    ck_assert(!write_reg("ds", S_ABSENT));
    ck_assert(!write_reg("cs", S_UCODE));
    ck_assert(write_reg("cs", S_CODE));
    ck_assert(!write_reg("cr0", CR0_PG));
    ck_assert(!write_reg("cpl", 3));
    ck_assert(write_reg("cpl", 0));
    ck_assert(!write_reg("cr4", 0x80000000));
    real_mode(b);
    ck_assert(write_reg("cs", 0x1234));
    EQ(s->seg[SEG_CS].base, 0x12340);
}
END_TEST

START_TEST(the_pictures_for_the_monitor_do_not_disturb)
{
    struct buffer out;
    uint64_t before;

    map_32bit();
    before = machine_hash(b->m);
    buffer_init(&out);
    b->m->cpus[0]->ops->describe(b->m->cpus[0], &out);
    b->m->cpus[0]->ops->describe_tlb(b->m->cpus[0], &out);
    buffer_append_byte(&out, 0);
    ck_assert_ptr_nonnull(strstr((char *)out.data, "00000000-003fffff: 000000000 -----UW"));
    buffer_finish(&out);
    ck_assert(before == machine_hash(b->m));
}
END_TEST

#define ADD(t) tcase_add_test(tc, t)

static TCase *tcase(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    return tc;
}

static void add_transfers(Suite *suite)
{
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
    ADD(alignment_is_checked_at_user_level_only);
    ADD(a_far_call_to_16_bit_code_changes_the_default_sizes);
    ADD(a_target_beyond_the_code_limit_is_gp_before_anything_is_pushed);

    tc = tcase(suite, "tasks");
    ADD(a_jump_to_a_tss_switches_tasks);
    ADD(a_called_task_returns_by_iret_with_nt);
    ADD(a_task_gate_in_the_idt_passes_the_error_code);
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
}

static void add_rest(Suite *suite)
{
    TCase *tc = tcase(suite, "paging");

    ADD(page_faults_tell_why_and_where);
    ADD(supervisor_writes_obey_wp_only);
    ADD(a_walk_sets_accessed_and_a_write_dirty);
    ADD(a_changed_page_table_is_obeyed_at_once);
    ADD(large_pages_reach_beyond_4_gib_and_check_reserved_bits);
    ADD(pae_maps_small_and_large_pages);
    ADD(no_execute_pages_fault_on_fetch_only);
    ADD(code_in_a_page_that_was_read_before_follows_its_table);
    tcase_add_loop_test(tc, cached_translations_follow_every_change_of_their_tables, 0, 2);
    ADD(reserved_bits_of_pdptes_are_gp_at_mov_cr3);
    ADD(pdptes_are_read_by_mov_cr3_only);
    ADD(a_page_fault_in_the_delivery_of_another_is_a_double_fault);
    ADD(a_push_that_faults_changes_nothing);
    ADD(a20_masks_bit_20);
    ADD(translate_has_no_side_effects);

    tc = tcase(suite, "debug");
    ADD(tf_traps_after_each_instruction_as_a_step_of_its_own);
    ADD(popf_that_sets_tf_traps_after_the_next_instruction);
    ADD(popf_that_clears_tf_still_traps);
    ADD(int_n_under_tf_does_not_trap);
    ADD(mov_ss_delays_the_single_step_trap);
    ADD(a_code_breakpoint_faults_before_and_rf_passes_it);
    ADD(a_data_breakpoint_traps_after_the_access);
    ADD(an_access_breakpoint_sees_reads);
    ADD(an_io_breakpoint_needs_de);
    ADD(general_detect_guards_the_debug_registers);
    ADD(dr4_is_dr6_unless_de);
    ADD(tf_traps_after_each_iteration_with_rf_in_the_image);
    ADD(an_interrupt_between_iterations_returns_to_the_instruction_with_rf);
    ADD(a_data_breakpoint_traps_after_the_iteration_that_hits);
    ADD(a_code_breakpoint_in_the_shadow_of_mov_ss_is_lost_a_data_trap_waits);
    ADD(the_single_step_trap_of_mov_ss_is_lost_before_int_n);
    ADD(the_single_step_trap_of_pop_ss_is_lost_before_a_fault);
    ADD(icebp_after_mov_ss_that_met_a_data_breakpoint_is_one_db);
    ADD(int_n_after_mov_ss_that_met_a_data_breakpoint_traps_at_its_handler);

    tc = tcase(suite, "interrupts");
    ADD(an_interrupt_is_taken_between_instructions_when_if_is_set);
    ADD(sti_lets_one_more_instruction_run);
    ADD(sti_in_the_shadow_of_tf_keeps_its_shadow);
    ADD(hlt_sleeps_until_an_interrupt);
    ADD(nmi_comes_first_and_blocks_itself_until_iret);
    ADD(a_spurious_request_does_not_wake_hlt);
    ADD(an_interrupt_that_cannot_be_delivered_becomes_the_fault_with_ext);

    tc = tcase(suite, "system");
    ADD(control_registers_refuse_impossible_values);
    ADD(privileged_instructions_fault_at_user_level);
    ADD(the_io_map_admits_ports);
    ADD(unknown_msrs_are_gp_and_known_ones_hold_values);
    ADD(the_tsc_counts_virtual_nanoseconds_from_reset);
    ADD(tsd_keeps_the_tsc_from_users);
    ADD(cpuid_tells_the_model);
    ADD(sysenter_and_sysexit_set_flat_segments);
    ADD(lar_lsl_verr_verw_tell_what_may_be_used);
    ADD(descriptor_table_registers_load_and_store);
    ADD(ltr_marks_the_tss_busy_and_lldt_checks);
    ADD(popf_obeys_iopl_and_cpl);
    ADD(lmsw_enters_protected_mode_and_never_leaves_it);
    ADD(reset_is_as_the_manual_says);
    ADD(gdb_numbers_registers_as_its_i386_feature_does);
    ADD(register_writes_take_effect_or_are_refused);
    ADD(the_pictures_for_the_monitor_do_not_disturb);
}

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 system");

    add_transfers(suite);
    add_rest(suite);
    return suite;
}
