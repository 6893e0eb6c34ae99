/*
 * Claims about the system side of the i386 CPU (SDM 3A): debug facilities and interrupts from outside.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"

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

START_TEST(icebp_under_tf_is_no_single_step_in_the_shadow_of_mov_ss_and_out_of_it)
{
    CODE(b, 0x8e, 0xd0, 0xf1, 0xf1, 0x90); /* mov ss, eax; icebp; icebp; nop */
    s->gpr[EAX] = S_DATA;
    s->eflags |= EFLAGS_TF;
    refresh(b);
    poke8(b, handler(EXC_DB), 0xcf);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 3);
    EQ(s->dr[6], DR6_FIXED);
    steps(b, 2); /* back, and the second */
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 4);
    EQ(s->dr[6], DR6_FIXED);
    steps(b, 3); /* back, the NOP, its trap */
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 5);
    EQ(s->dr[6], DR6_FIXED | DR6_BS);
}
END_TEST

START_TEST(general_detect_comes_in_the_shadow_of_mov_ss_and_under_tf)
{
    CODE(b, 0x8e, 0xd0, 0x0f, 0x23, 0xf0, 0x90); /* mov ss, eax; mov dr6, eax; nop */
    s->gpr[EAX] = S_DATA;
    s->eflags |= EFLAGS_TF;
    s->dr[7] = DR7_FIXED | DR7_GD;
    refresh(b);
    poke8(b, handler(EXC_DB), 0xcf);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 2);
    EQ(s->dr[6], DR6_FIXED | DR6_BD);
    EQ(s->dr[7] & DR7_GD, 0);
    steps(b, 3); /* back, the MOV, its trap */
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 5);
    EQ(s->dr[6], DR6_FIXED | DR6_BS);
}
END_TEST

START_TEST(the_single_step_trap_of_hlt_ends_it)
{
    CODE(b, 0xf4, 0x90);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 1);
    EQ(s->dr[6], DR6_FIXED | DR6_BS);
    EQ(s->halted, 0);
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

#define BTF 2u

START_TEST(single_steps_are_branches_with_btf)
{
    CODE(b, 0x90, 0xf3, 0xaa, 0x31, 0xc0, 0x75, 0x10, 0x74, 0x10); /* nop; rep stosb; xor eax,eax; jne: not taken; je: taken */
    s->eflags |= EFLAGS_TF;
    s->debugctl = BTF;
    s->gpr[ECX] = 3;
    s->gpr[EDI] = DATA;
    refresh(b);
    for (unsigned n = 0; n < 20 && s->rip != handler(EXC_DB); n++)
        steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 9 + 0x10);
    EQ(s->dr[6], DR6_FIXED | DR6_BS);
    EQ(s->debugctl, 0);
    EQ(s->gpr[ECX], 0);
}
END_TEST

START_TEST(a_branch_to_itself_is_one_with_btf)
{
    CODE(b, 0xeb, 0xfe);
    s->eflags |= EFLAGS_TF;
    s->debugctl = BTF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE);
}
END_TEST

START_TEST(any_debug_exception_ends_btf_and_lbr)
{
    CODE(b, 0xf1);
    s->debugctl = BTF | DEBUGCTL_LBR | 0x40;
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(s->debugctl, 0x40);
}
END_TEST

/* Each model's own bits are kept, and any other one is #GP or, of AMD's, dropped. */
START_TEST(debugctl_has_the_bits_of_the_model)
{
    static const struct { const char *model; uint64_t bits; } models[] = {
        {"pentium3", 0x7f}, {"pentium4", 0x7f}, {"coreduo", 0x1c3}, {"n270", 0x5fc3}, {"max32", 0x3f},
        {"qemu64", 0x3f}, {"kvm64", 0x7f}, {"Opteron_G1", 0x3f}, {"core2duo", 0x5fc3}, {"Nehalem", 0x7fc3},
        {"Haswell", 0x7fc3}, {"max", 0x3f}, {"coreduo,pmu=on", 0x19c3}, {"max,pmu=on", 0x3f},
    };

    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        teardown();
        setup_model(models[i].model);
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t value = (uint64_t)1 << bit;
            bool taken = models[i].bits & value, dropped = b->model.amd && bit > 6; /* APM 2, 13.1.1.6: read as 0 */

            s->debugctl = 0;
            ck_assert_msg(i386_write_msr(b->c, 0x1d9, value) == (taken || dropped), "%s: bit %u", models[i].model, bit);
            EQ(s->debugctl, taken ? value : 0);
        }
    }
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

/* Blocks of one instruction that were run since `before`. */
static uint64_t alone_since(const struct ucpu_stats *before)
{
    struct ucpu_stats now;

    ucpu_stats(&b->c->u, &now);
    return now.alone - before->alone;
}

START_TEST(sti_and_what_it_shadows_are_in_one_block)
{
    struct ucpu_stats before;

    CODE(b, 0xfb, 0x40, 0x43, 0xeb, 0x00, 0x90); /* STI; INC EAX; INC EBX; JMP */
    ucpu_stats(&b->c->u, &before);
    steps(b, 4);
    EQ(alone_since(&before), 0);
    EQ(s->rip, KCODE + 5);
    EQ(s->shadow, 0);
    EQ(s->eflags & EFLAGS_IF, EFLAGS_IF);
    raise_irq(0x31);
    steps(b, 1);
    EXPECT_VECTOR(b, 0x31);
}
END_TEST

/* A kernel's way back from SYSENTER. */
static void way_back(void)
{
    s->sysenter_cs = S_CODE;
    s->gpr[EDX] = UCODE;
    s->gpr[ECX] = USTACK;
    CODE(b, 0x40, 0xfb, 0x0f, 0x35); /* INC EAX; STI; SYSEXIT */
}

/* Written over by a NOP in the end. */
START_TEST(sti_and_sysexit_are_in_one_block)
{
    struct ucpu_stats before;

    for (unsigned n = 0; n < 3; n++) {
        kernel_mode(b);
        s->eflags = EFLAGS_1;
        way_back();
        if (n == 2)
            poke16(b, KCODE + 2, 0x9090);
        ucpu_stats(&b->c->u, &before);
        steps(b, 3);
        if (n < 2)
            EQ(alone_since(&before), 0);
        EQ(s->rip, n == 2 ? KCODE + 3 : UCODE);
        EQ(s->cpl, n == 2 ? 0 : 3);
        EQ(s->shadow, 0);
        EQ(s->eflags & EFLAGS_IF, EFLAGS_IF);
        raise_irq(0x31);
        steps(b, 1);
        EXPECT_VECTOR(b, 0x31);
    }
}
END_TEST

START_TEST(an_interrupt_that_waits_comes_after_a_shadowed_sysexit)
{
    way_back();
    raise_irq(0x31);
    steps(b, 2);
    EQ(s->shadow, I386_SHADOW_STI);
    steps(b, 2);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), UCODE);
    s->sysenter_cs = 0; /* faults in the shadow */
    kernel_mode(b);
    s->eflags = EFLAGS_1;
    steps(b, 3);
    expect_error(EXC_GP, 0, KCODE + 2);
    EQ(s->shadow, 0);
}
END_TEST

START_TEST(an_interrupt_that_waits_comes_after_what_sti_shadows)
{
    CODE(b, 0xfb, 0xeb, 0x00, 0x43, 0x43); /* STI; JMP */
    raise_irq(0x31);
    steps(b, 3);
    EXPECT_VECTOR(b, 0x31);
    EQ(stack32(b, 0), KCODE + 3);
    EQ(s->shadow, 0);
}
END_TEST

START_TEST(a_step_to_between_sti_and_what_it_shadows_is_in_the_shadow)
{
    CODE(b, 0xfb, 0x40, 0x43, 0x90);
    steps(b, 1);
    EQ(s->shadow, I386_SHADOW_STI);
    raise_irq(0x31);
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    EQ(s->shadow, 0);
}
END_TEST

START_TEST(a_fault_in_the_shadow_of_sti_is_delivered_as_any)
{
    CODE(b, 0xfb, 0xa1, 0x00, 0x00, 0x40, 0x00, 0x40); /* STI; MOV EAX, [400000h] beyond the limit */
    s->seg[SEG_DS].limit = 0xfffff;
    refresh(b);
    steps(b, 2);
    expect_error(EXC_GP, 0, KCODE + 1);
    EQ(s->shadow, 0);
}
END_TEST

START_TEST(a_repeated_instruction_under_rf_is_made_at_once)
{
    struct ucpu_stats before;

    CODE(b, 0xf3, 0xab, 0x90); /* REP STOSD */
    s->gpr[EDI] = 0x30000;
    s->gpr[ECX] = 500;
    s->eflags |= EFLAGS_RF;
    refresh(b);
    ucpu_stats(&b->c->u, &before);
    steps(b, 300);
    EQ(s->gpr[ECX], 200);
    EQ(s->eflags & EFLAGS_RF, EFLAGS_RF);
    steps(b, 201);
    EQ(s->rip, KCODE + 3);
    EQ(s->eflags & EFLAGS_RF, 0);
    ck_assert_uint_lt(alone_since(&before), 10);
}
END_TEST

START_TEST(a_repeated_instruction_under_rf_and_tf_traps_after_each_step)
{
    CODE(b, 0xf3, 0xab, 0x90);
    s->gpr[EDI] = 0x30000;
    s->gpr[ECX] = 500;
    s->eflags |= EFLAGS_RF | EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(s->gpr[ECX], 499);
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

START_TEST(an_iret_that_faults_unblocks_nmis)
{
    CODE(b, 0x90);
    poke8(b, handler(EXC_NMI), 0xcf);
    i386_raise_nmi(b->c);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NMI);
    poke32(b, s->gpr[ESP] + 4, 0); /* no code segment */
    if (_i) { /* in virtual-8086 mode below IOPL 3 */
        vm86_mode(b);
        CODE(b, 0xcf);
    }
    i386_raise_nmi(b->c);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
    EQ(s->nmi_blocked, 0);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NMI);
    EQ(stack32(b, 0), handler(EXC_GP));
}
END_TEST

START_TEST(software_interrupts_push_rf_as_0)
{
    static const struct { uint8_t bytes[2]; unsigned vector; } cases[] = {{{0xcd, 0x33}, 0x33}, {{0xcc}, EXC_BP}, {{0xce}, EXC_OF}, {{0xf1}, EXC_DB}};

    poke(b, KCODE, cases[_i].bytes, 2);
    i386_set_eflags(b->c, FLAG_O | EFLAGS_RF, FLAG_O | EFLAGS_RF);
    refresh(b);
    steps(b, 1);
    EXPECT_VECTOR(b, cases[_i].vector);
    EQ(stack32(b, 2) & (FLAG_O | EFLAGS_RF), FLAG_O);
}
END_TEST

START_TEST(a_software_interrupt_through_a_task_gate_saves_rf_as_0)
{
    gate(b, IDT + 0x33 * 8, S_TSS2, 0, 0x85, 0);
    make_task(TSS2, CODE2, EFLAGS_1);
    CODE(b, 0xcd, 0x33);
    s->eflags |= EFLAGS_RF;
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(peek32(b, TSS + 0x20), KCODE + 2);
    EQ(peek32(b, TSS + 0x24) & EFLAGS_RF, 0);
}
END_TEST

/* What the task gate's TSS says of TF and RF is of its first instruction, however INT n was come to. */
START_TEST(a_task_that_int_n_starts_is_stepped_by_its_own_flags)
{
    gate(b, IDT + 0x33 * 8, S_TSS2, 0, 0x85, 0);
    make_task(TSS2, CODE2, EFLAGS_1 | (_i & 1 ? EFLAGS_TF : EFLAGS_RF));
    CODE(b, 0xcd, 0x33);
    poke8(b, CODE2, 0x90);
    s->eflags |= _i & 2 ? EFLAGS_TF : EFLAGS_RF;
    s->dr[0] = CODE2;
    s->dr[7] = _i & 1 ? DR7_FIXED : DR7_FIXED | 2;
    i386_update_traps(b->c);
    refresh(b);
    steps(b, 1);
    EQ(s->rip, CODE2);
    steps(b, 1);
    EQ(s->rip, CODE2 + 1);
    EQ(s->pending_db, _i & 1 ? DR6_BS : 0);
}
END_TEST

START_TEST(a_software_interrupt_that_faults_pushes_rf)
{
    CODE(b, 0xcd, 0x33);
    gate(b, IDT + 0x33 * 8, S_CODE, 0, 0x0e, 0);
    s->eflags |= EFLAGS_RF;
    refresh(b);
    steps(b, 1);
    expect_error(EXC_NP, 0x33 * 8 + 2, KCODE);
    EQ(stack32(b, 3) & EFLAGS_RF, EFLAGS_RF);
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

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 debug");
    TCase *tc = tcase(suite, "debug");

    ADD(tf_traps_after_each_instruction_as_a_step_of_its_own);
    ADD(popf_that_sets_tf_traps_after_the_next_instruction);
    ADD(popf_that_clears_tf_still_traps);
    ADD(int_n_under_tf_does_not_trap);
    ADD(mov_ss_delays_the_single_step_trap);
    ADD(single_steps_are_branches_with_btf);
    ADD(a_branch_to_itself_is_one_with_btf);
    ADD(any_debug_exception_ends_btf_and_lbr);
    ADD(debugctl_has_the_bits_of_the_model);
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
    ADD(icebp_under_tf_is_no_single_step_in_the_shadow_of_mov_ss_and_out_of_it);
    ADD(general_detect_comes_in_the_shadow_of_mov_ss_and_under_tf);
    ADD(the_single_step_trap_of_hlt_ends_it);
    ADD(int_n_after_mov_ss_that_met_a_data_breakpoint_traps_at_its_handler);

    tc = tcase(suite, "interrupts");
    ADD(an_interrupt_is_taken_between_instructions_when_if_is_set);
    ADD(sti_lets_one_more_instruction_run);
    ADD(sti_in_the_shadow_of_tf_keeps_its_shadow);
    ADD(sti_and_what_it_shadows_are_in_one_block);
    ADD(sti_and_sysexit_are_in_one_block);
    ADD(an_interrupt_that_waits_comes_after_a_shadowed_sysexit);
    ADD(an_interrupt_that_waits_comes_after_what_sti_shadows);
    ADD(a_step_to_between_sti_and_what_it_shadows_is_in_the_shadow);
    ADD(a_fault_in_the_shadow_of_sti_is_delivered_as_any);
    ADD(a_repeated_instruction_under_rf_is_made_at_once);
    ADD(a_repeated_instruction_under_rf_and_tf_traps_after_each_step);
    ADD(hlt_sleeps_until_an_interrupt);
    ADD(nmi_comes_first_and_blocks_itself_until_iret);
    tcase_add_loop_test(tc, an_iret_that_faults_unblocks_nmis, 0, 2);
    tcase_add_loop_test(tc, software_interrupts_push_rf_as_0, 0, 4);
    ADD(a_software_interrupt_through_a_task_gate_saves_rf_as_0);
    tcase_add_loop_test(tc, a_task_that_int_n_starts_is_stepped_by_its_own_flags, 0, 4);
    ADD(a_software_interrupt_that_faults_pushes_rf);
    ADD(a_spurious_request_does_not_wake_hlt);
    ADD(an_interrupt_that_cannot_be_delivered_becomes_the_fault_with_ext);
    return suite;
}
