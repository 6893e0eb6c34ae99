/*
 * Claims about the system side of the i386 CPU (SDM 3A): system instructions, reset, and the registers as gdb sees them.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"

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

START_TEST(control_registers_are_read_as_they_are)
{
    static const uint8_t numbers[] = {0, 2, 3, 4};

    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        kernel_mode(b);
        s->cr2 = 0xfedcba98;
        s->gpr[EBX] = 0x11111111;
        b->at = s->rip;
        CODE(b, 0x0f, 0x20); /* mov ebx, crN */
        poke8(b, b->at, (uint8_t)(0xc3 | numbers[i] << 3));
        steps(b, 1);
        EQ(s->gpr[EBX], numbers[i] == 0 ? s->cr0 : numbers[i] == 2 ? 0xfedcba98 : numbers[i] == 3 ? s->cr3 : s->cr4);
    }
    kernel_mode(b);
    b->at = s->rip;
    CODE(b, 0x0f, 0x20, 0xcb); /* there is no CR1 */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

START_TEST(privileged_instructions_fault_at_user_level)
{
    static const uint8_t code[][3] = {
        {0x0f, 0x20, 0xc0}, {0x0f, 0x20, 0xd0}, {0x0f, 0x20, 0xd8}, {0x0f, 0x20, 0xe0}, {0x0f, 0x22, 0xc0}, {0x0f, 0x21, 0xc0}, {0x0f, 0x23, 0xc0}, {0x0f, 0x01, 0xf0},
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

/* Whether they may be used is asked before the operand is looked at. */
START_TEST(privilege_is_asked_before_the_operand_is_read)
{
    static const uint8_t codes[][4] = {{0x0f, 0x00, 0x55, 0}, {0x0f, 0x00, 0x5d, 0}, {0x0f, 0x01, 0x75, 0}}; /* lldt, ltr, lmsw [ebp] */

    for (unsigned n = 0; n < ARRAY_LEN(codes); n++)
        for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
            kernel_mode(b);
            if (cpl)
                user_mode(b);
            s->seg[SEG_SS].limit = 0xffff;
            s->gpr[EBP] = 0x10000;
            refresh(b);
            poke(b, b->at, codes[n], 4);
            steps(b, 1);
            EXPECT_VECTOR(b, cpl ? EXC_GP : EXC_SS);
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

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 system");
    TCase *tc = tcase(suite, "system");

    ADD(control_registers_refuse_impossible_values);
    ADD(control_registers_are_read_as_they_are);
    ADD(privileged_instructions_fault_at_user_level);
    ADD(privilege_is_asked_before_the_operand_is_read);
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
    return suite;
}
