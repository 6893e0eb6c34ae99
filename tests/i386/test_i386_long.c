/*
 * Claims about the system side of long mode that a comparison with another emulator does not make by itself
 * (tests/guests/system_diff64.c has the rest).
 */
#include "i386_bench64.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

static void setup(void)
{
    b = bench64_new("max");
    s = b->s;
}

static void teardown(void)
{
    bench_free(b);
}

/* SDM 3A 6.14.5 */
START_TEST(an_interrupt_stack_makes_ss_null_at_any_level)
{
    gate64(b, IDT64 + EXC_UD * 16, S_CODE64, handler(EXC_UD), 0x8e, _i);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(s->seg[SEG_SS].selector, _i ? 0 : S_DATA);
    EQ(s->gpr[ESP], (_i ? IST1 : KSTACK) - 40);
    EQ(stack64(b, 4), S_DATA);
    EQ(stack64(b, 3), KSTACK);
}
END_TEST

START_TEST(an_interrupt_stack_is_taken_before_that_of_the_new_level)
{
    long_mode(b, 3);
    gate64(b, IDT64 + EXC_UD * 16, S_CODE64, handler(EXC_UD), 0x8e, 1);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(s->seg[SEG_SS].selector, 0);
    EQ(s->cpl, 0);
    EQ(s->gpr[ESP], IST1 - 40);
    EQ(stack64(b, 4), S_UDATA);
    EQ(stack64(b, 3), USTACK);
    poke16(b, handler(EXC_UD), 0xcf48); /* and back from a null SS of level 0 */
    refresh(b);
    steps(b, 1);
    EQ(s->seg[SEG_SS].selector, S_UDATA);
    EQ(s->cpl, 3);
}
END_TEST

/* SDM 3A 2.5: CR4.LA57 cannot be modified in IA-32e mode, of 64 bits or compatible. */
START_TEST(the_number_of_levels_does_not_change_in_long_mode)
{
    if (_i) {
        s->seg[SEG_CS] = i386_flat_segment(S_CODE, 11, 0, SEG_ATTR_DB);
        refresh(b);
    }
    s->gpr[EAX] = s->cr4 | CR4_LA57;
    CODE(b, 0x0f, 0x22, 0xe0);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
    EQ(s->cr4 & CR4_LA57, 0);
}
END_TEST

/* SDM 3A 9.8.5: a TSS of 16 bits is #GP. AMD's processors do not look: KVM's CPUs come to long mode with one. */
START_TEST(a_tss_of_16_bits_keeps_intels_out_of_long_mode)
{
    teardown();
    b = bench64_new(_i ? "qemu64" : "Haswell");
    s = b->s;
    s->seg[SEG_CS] = i386_flat_segment(S_CODE, 11, 0, SEG_ATTR_DB);
    s->seg[SEG_TR].attr = SEG_ATTR_P | SYS_TSS16_BUSY;
    s->seg[SEG_TR].valid = 1;
    s->cr0 &= ~CR0_PG;
    s->efer = EFER_LME;
    refresh(b);
    EQ(i386_set_cr0(b->c, s->cr0 | CR0_PG), _i);
    EQ(i386_long(s), _i);
}
END_TEST

/* SDM 3A 2.5: the upper halves of CR0 and CR4 are reserved and must be written with zeros. */
START_TEST(the_upper_halves_of_cr0_and_cr4_are_reserved)
{
    s->gpr[EAX] = (_i ? s->cr4 : s->cr0) | (uint64_t)1 << 40;
    CODE(b, 0x0f, 0x22, 0xc0);
    if (_i)
        poke8(b, KCODE + 2, 0xe0);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

/* What the upper eight bytes of a descriptor must be (SDM 3A 3.5.2): a type of 0, and a base that is canonical. */
START_TEST(an_ldt_descriptor_is_looked_at_as_a_whole)
{
    static const struct { uint32_t low, high; bool loads; } cases[] = {
        {0, 0, true}, {0, 0xd00, false}, {0x1000000, 0, false}, {0, 0xe0ff, true}, {0x8000, 0, true}, /* of 57 bits, as the model has */
    };

    poke32(b, GDT + S_LDT64 + 8, cases[_i].low);
    poke32(b, GDT + S_LDT64 + 12, cases[_i].high);
    s->gpr[EAX] = S_LDT64;
    CODE(b, 0x0f, 0x00, 0xd0);
    steps(b, 1);
    if (cases[_i].loads)
        EQ(s->seg[SEG_LDTR].base, LDT | (uint64_t)cases[_i].low << 32);
    else
        EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

/* ---- process-context identifiers (SDM 3A 4.10.1, 2A INVPCID, 2B MOV-CR) ---- */

static void mov_to_cr(unsigned n, uint64_t value)
{
    s->gpr[EAX] = value;
    s->rip = b->at = KCODE;
    CODE(b, 0x0f, 0x22, 0xc0);
    poke8(b, KCODE + 2, (uint8_t)(0xc0 | n << 3));
    steps(b, 1);
}

START_TEST(pcide_is_set_in_long_mode_while_the_identifier_is_0)
{
    s->cr3 |= 8;
    mov_to_cr(4, s->cr4 | CR4_PCIDE);
    EXPECT_VECTOR(b, EXC_GP);
    s->cr3 &= ~UINT64_C(8);
    mov_to_cr(4, s->cr4 | CR4_PCIDE);
    EQ(s->rip, KCODE + 3);
    EQ(s->cr4 & CR4_PCIDE, CR4_PCIDE);
    mov_to_cr(0, s->cr0 & ~(uint64_t)CR0_PG); /* not out of paging as long as it is */
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(pcide_is_refused_in_protected_mode)
{
    struct bench *old = bench_new("max");

    old->s->gpr[EAX] = CR4_PAE | CR4_PCIDE;
    CODE(old, 0x0f, 0x22, 0xe0);
    steps(old, 1);
    EXPECT_VECTOR(old, EXC_GP);
    bench_free(old);
}
END_TEST

START_TEST(bit_63_of_cr3_is_no_part_of_it_with_pcide_and_reserved_without)
{
    mov_to_cr(3, PML4 | (uint64_t)1 << 63);
    EXPECT_VECTOR(b, EXC_GP);
    mov_to_cr(4, s->cr4 | CR4_PCIDE);
    mov_to_cr(3, PML4 | (uint64_t)1 << 63 | 0xfff);
    EQ(s->rip, KCODE + 3);
    EQ(s->cr3, PML4 | 0xfff);
    mov_to_cr(3, PML4 | (uint64_t)1 << 62);
    EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(invpcid_looks_at_its_type_and_descriptor)
{
    static const struct { uint64_t type, low, high; bool pcide, cpl3, done; } cases[] = {
        {0, 0, 0, false, false, true},       {0, 5, 0, false, false, false},      {0, 5, 0, true, false, true},
        {0, 0, (uint64_t)1 << 63, true, false, false}, /* the address is not canonical */
        {1, 5, (uint64_t)1 << 63, true, false, true},  /* there is none */
        {1, 5, 0, false, false, false},      {2, 5, 0, false, false, true},       {3, 5, 0, false, false, true},
        {3, 0x1000, 0, true, false, false},  {4, 0, 0, true, false, false},       {(uint64_t)1 << 40, 0, 0, true, false, false},
        {2, 0, 0, true, true, false},
    };

    if (cases[_i].cpl3)
        long_mode(b, 3);
    if (cases[_i].pcide)
        s->cr4 |= CR4_PCIDE;
    poke64(b, DATA, cases[_i].low);
    poke64(b, DATA + 8, cases[_i].high);
    s->gpr[EBX] = DATA;
    s->gpr[EAX] = cases[_i].type;
    CODE(b, 0x66, 0x0f, 0x38, 0x82, 0x03);
    steps(b, 1);
    if (cases[_i].done)
        EQ(s->rip, KCODE + 5);
    else
        EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

START_TEST(a_task_register_is_never_null)
{
    s->gpr[EAX] = 3;
    CODE(b, 0x0f, 0x00, 0xd8);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
    EQ(stack64(b, 0), 0);
}
END_TEST

START_TEST(a_level_change_makes_ss_null_with_the_new_level)
{
    long_mode(b, 3);
    CODE(b, 0x0f, 0x0b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(s->seg[SEG_SS].selector, 0);
    EQ(s->gpr[ESP], RSP0 - 40);
    EQ(stack64(b, 4), S_UDATA);
}
END_TEST

/* With four levels of tables, on a model that has five and on one that has not. */
START_TEST(bases_are_as_wide_as_the_model_whatever_cr4_says)
{
    static const uint32_t msrs[] = {0x175, 0x176, 0xc0000082u, 0xc0000083u, 0xc0000100u, 0xc0000101u, 0xc0000102u};
    const uint64_t wide = UINT64_C(0x00f0000000001000), wider = UINT64_C(0x0100000000001000), low = UINT64_C(0xff00000000000000);

    if (_i) {
        teardown();
        b = bench64_new("Haswell");
        s = b->s;
    }
    for (unsigned n = 0; n < ARRAY_LEN(msrs); n++) {
        if (!_i && n < 2)
            continue; /* AMD's SYSENTER is of 32 bits */
        EQ(i386_write_msr(b->c, msrs[n], wide), !_i);
        EQ(i386_write_msr(b->c, msrs[n], low), !_i);
        EQ(i386_write_msr(b->c, msrs[n], wider), 0);
        EQ(i386_write_msr(b->c, msrs[n], HIGH), 1);
    }
    poke16(b, DATA, 0xfff);
    poke64(b, DATA + 2, wide);
    s->gpr[EDI] = DATA;
    CODE(b, 0x0f, 0x01, 0x1f); /* lidt [rdi] */
    steps(b, 1);
    if (_i) {
        EXPECT_VECTOR(b, EXC_GP);
    } else {
        EQ(s->rip, KCODE + 3);
        EQ(s->idtr.base, wide);
    }
    /* An access goes by what CR4 says. */
    long_mode(b, 0);
    EQ(i386_write_msr(b->c, 0xc0000100u, UINT64_C(0x00f0000000000000)), !_i);
    CODE(b, 0x64, 0x48, 0x8b, 0x07); /* mov rax, fs:[rdi] */
    steps(b, 1);
    if (!_i)
        EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

/* IRETQ comes next, with a frame of level 3. */
static void return_to_user(void)
{
    s->gpr[ESP] -= 40;
    poke64(b, (uint32_t)s->gpr[ESP], UCODE);
    poke64(b, (uint32_t)s->gpr[ESP] + 8, S_UCODE64);
    poke64(b, (uint32_t)s->gpr[ESP] + 16, EFLAGS_1);
    poke64(b, (uint32_t)s->gpr[ESP] + 24, USTACK);
    poke64(b, (uint32_t)s->gpr[ESP] + 32, S_UDATA);
    CODE(b, 0x48, 0xcf);
}

START_TEST(a_return_to_user_level_forgets_the_rpl_of_null_selectors_but_no_base)
{
    s->seg[SEG_DS] = (struct i386_segment){.selector = 3};
    s->seg[SEG_FS] = (struct i386_segment){.selector = 2, .base = HIGH + 0x1230};
    s->seg[SEG_GS] = (struct i386_segment){.selector = 0, .base = HIGH + 0x4560};
    return_to_user();
    steps(b, 1);
    EQ(s->cpl, 3);
    EQ(s->seg[SEG_DS].selector, 0);
    EQ(s->seg[SEG_FS].selector, 0);
    EQ(s->seg[SEG_FS].base, HIGH + 0x1230);
    EQ(s->seg[SEG_GS].base, HIGH + 0x4560);
}
END_TEST

/* SDM 3A 4.7: the PK flag tells what the key forbids, whatever else is wrong. */
START_TEST(a_key_is_told_of_beside_other_reasons)
{
    static const struct { uint64_t entry; uint32_t pkru, error; } cases[] = {
        {0x87, 1u << 2, 0x25}, /* the key alone forbids reading */
        {0x83, 1u << 2, 0x05}, /* a page of the supervisor has no key */
        {0x85, 0, 0x07},       /* read-only */
        {0x85, 2u << 2, 0x27}, /* and the key forbids writing, too */
    };
    bool write = _i >= 2;

    poke64(b, PD + 16, 0x200000 | cases[_i].entry | (uint64_t)1 << 59);
    s->cr4 |= CR4_PKE;
    s->pkru = cases[_i].pkru;
    long_mode(b, 3);
    s->gpr[EBX] = 0x500000; /* a mapping of its own: keys hold for what the CPU itself accesses there, too */
    if (write)
        CODE(b, 0x89, 0x03);
    else
        CODE(b, 0x8b, 0x03);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack64(b, 0), cases[_i].error);
}
END_TEST

START_TEST(prefixes_that_are_not_theirs_are_ignored_by_some)
{
    static const struct { uint8_t bytes[4]; bool exists; } cases[] = {
        {{0xf3, 0x0f, 0x01, 0xf9}, true}, /* rdtscp */
        {{0x66, 0x0f, 0x01, 0xf8}, true}, /* swapgs */
        {{0x66, 0x0f, 0x01, 0xca}, false}, /* clac */
        {{0x66, 0x0f, 0xae, 0xf8}, false}, /* sfence */
        {{0x66, 0x0f, 0xae, 0x1b}, false}, /* stmxcsr [rbx] */
        {{0xf3, 0x0f, 0x01, 0xd0}, false}, /* xgetbv */
    };

    s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    s->gpr[EBX] = DATA;
    s->gpr[ECX] = 0;
    refresh(b);
    poke(b, KCODE, cases[_i].bytes, 4);
    steps(b, 1);
    if (cases[_i].exists)
        EQ(s->rip, KCODE + 4);
    else
        EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

/* An opcode that does not exist comes before what the state of the FPU calls for. */
START_TEST(shifts_that_do_not_exist_are_undefined_whatever_is_pending)
{
    CODE(b, 0x0f, 0x71, 0xc1, 0x00); /* group 12, /0 */
    s->fcw = 0;
    s->fsw = 0x8081;
    s->cr0 |= CR0_TS;
    refresh(b);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

/* What helpers of 64-bit mode were given has wide halves, and those of the compatibility mode behind it in the same run do
 * not see them: a repetition that is left in its middle, and an interrupt. */
START_TEST(compatibility_mode_goes_on_where_its_own_code_is)
{
    s->rip = HIGH + KCODE;
    CODE(b, 0xf3, 0xa4, 0x48, 0xcb); /* rep movsb; lretq */
    s->gpr[ESP] -= 16;
    poke64(b, (uint32_t)s->gpr[ESP], CODE2);
    poke64(b, (uint32_t)s->gpr[ESP] + 8, S_CODE);
    s->gpr[ECX] = 1;
    s->gpr[ESI] = s->gpr[EDI] = DATA;
    b->at = CODE2;
    CODE(b, 0xb9, 0x10, 0, 0, 0, 0xbf, 0xf8, 0x0f, 0x30, 0, 0xf3, 0xa4, 0xcd, 0x80); /* mov ecx, 16; mov edi, 300ff8h; rep movsb; int 80h */
    refresh(b);
    steps(b, 21);
    EXPECT_VECTOR(b, 0x80);
    EQ(s->gpr[EDI], 0x301008);
    EQ(stack64(b, 0), CODE2 + 14);
    EQ(stack64(b, 1), S_CODE);
}
END_TEST

/* The TF which SYSCALL leaves traps, not that which it found. */
START_TEST(syscall_that_clears_tf_is_not_stepped)
{
    long_mode(b, 3);
    s->star = (uint64_t)S_CODE64 << 32;
    s->lstar = CODE2;
    s->sfmask = _i ? EFLAGS_TF : 0;
    s->eflags |= EFLAGS_TF;
    CODE(b, 0x0f, 0x05);
    poke8(b, CODE2, 0x90);
    refresh(b);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[11] & EFLAGS_TF, EFLAGS_TF);
    steps(b, 1);
    if (_i) {
        EQ(s->rip, CODE2 + 1);
        EQ(s->pending_db, 0);
    } else {
        EXPECT_VECTOR(b, EXC_DB);
        EQ(stack64(b, 0), CODE2);
    }
}
END_TEST

START_TEST(what_enters_a_kernel_tells_of_flags_without_rf)
{
    static const uint8_t cases[][2] = {{0x0f, 0x05}, {0xcd, 0x80}};

    long_mode(b, 3);
    s->star = (uint64_t)S_CODE64 << 32;
    s->lstar = CODE2;
    s->eflags |= EFLAGS_RF;
    poke(b, UCODE, cases[_i], 2);
    refresh(b);
    steps(b, 1);
    EQ(_i ? stack64(b, 2) : s->gpr[11], EFLAGS_1);
    EQ(s->eflags, EFLAGS_1);
}
END_TEST

START_TEST(sysret_that_sets_tf_traps_before_the_program_goes_on)
{
    s->star = (uint64_t)(S_UDATA - 8) << 48;
    s->gpr[ECX] = UCODE;
    s->gpr[11] = EFLAGS_1 | (_i ? EFLAGS_TF : 0);
    s->eflags |= _i ? 0 : EFLAGS_TF;
    CODE(b, 0x48, 0x0f, 0x07);
    poke8(b, UCODE, 0x90);
    refresh(b);
    steps(b, 1);
    EQ(s->rip, UCODE);
    EQ(s->cpl, 3);
    steps(b, 1);
    if (_i) {
        EXPECT_VECTOR(b, EXC_DB);
        EQ(stack64(b, 0), UCODE);
        EQ(stack64(b, 2) & EFLAGS_TF, EFLAGS_TF);
        EQ(s->dr[6], DR6_FIXED | DR6_BS);
    } else {
        EQ(s->rip, UCODE + 1);
    }
}
END_TEST

/* SDM 2, JMP, CALL, RET: #GP(0), of the branch. (Processors of AMD's do the same.) */
START_TEST(a_branch_to_no_canonical_address_faults_and_changes_nothing)
{
    static const struct { uint8_t bytes[4]; bool ret; } cases[] = {
        {{0xff, 0xe0}, false},       /* jmp rax */
        {{0xff, 0x23}, false},       /* jmp [rbx] */
        {{0xff, 0xd0}, false},       /* call rax */
        {{0xff, 0x13}, false},       /* call [rbx] */
        {{0xc3}, true},              /* ret */
        {{0xc2, 0x10, 0x00}, true},  /* ret 16 */
        {{0xc2, 0xff, 0xff}, true},  /* ret 65535 */
    };
    static const uint64_t bad[] = {UINT64_C(0x1111111111111111), UINT64_C(0x0000800000000000), UINT64_C(0xffff7fffffffffff)};

    for (unsigned n = 0; n < ARRAY_LEN(bad); n++) {
        long_mode(b, 0);
        poke(b, KCODE, cases[_i].bytes, 4);
        s->gpr[EAX] = bad[n];
        s->gpr[EBX] = DATA;
        poke64(b, DATA, bad[n]);
        poke64(b, (uint32_t)s->gpr[ESP], cases[_i].ret ? bad[n] : 0x1234);
        poke64(b, (uint32_t)s->gpr[ESP] - 8, 0x5678);
        gate64(b, IDT64 + EXC_GP * 16, S_CODE64, handler(EXC_GP), 0x8e, 1);
        refresh(b);
        steps(b, 1);
        EXPECT_VECTOR(b, EXC_GP);
        EQ(stack64(b, 0), 0);
        EQ(stack64(b, 1), KCODE);
        EQ(stack64(b, 4), KSTACK);
        EQ(peek64(b, KSTACK - 8), 0x5678);
    }
}
END_TEST

/* What an operand must be aligned to, under AC and always: SDM 3A table 6-7, and as AMD's processors have it. */
static const struct aligned_row { uint8_t bytes[6], len, checked, always, loads_cs; } aligned_rows[] = {
    {{0x66, 0x8b, 0x03}, 3, 2, 1, 0}, /* mov16 */
    {{0x8b, 0x03}, 2, 4, 1, 0}, /* mov32 */
    {{0x48, 0x8b, 0x03}, 3, 8, 1, 0}, /* mov64 */
    {{0x66, 0x0f, 0xb5, 0x03}, 4, 2, 1, 0}, /* lgs 16:16 */
    {{0x0f, 0xb5, 0x03}, 3, 4, 1, 0}, /* lgs 16:32 */
    {{0x48, 0x0f, 0xb5, 0x03}, 4, 4, 1, 0}, /* lgs 16:64 */
    {{0x66, 0xff, 0x2b}, 3, 2, 1, 1}, /* jmp far m16:16 */
    {{0xff, 0x2b}, 2, 4, 1, 1}, /* jmp far m16:32 */
    {{0x48, 0xff, 0x2b}, 3, 4, 1, 1}, /* jmp far m16:64 */
    {{0x66, 0xff, 0x1b}, 3, 2, 1, 1}, /* call far m16:16 */
    {{0xff, 0x1b}, 2, 4, 1, 1}, /* call far m16:32 */
    {{0x48, 0xff, 0x1b}, 3, 4, 1, 1}, /* call far m16:64 */
    {{0xdb, 0x2b}, 2, 8, 1, 0}, /* fld m80 */
    {{0xdb, 0x3b}, 2, 8, 1, 0}, /* fstp m80 */
    {{0xdf, 0x23}, 2, 8, 1, 0}, /* fbld */
    {{0xdf, 0x33}, 2, 8, 1, 0}, /* fbstp */
    {{0xd9, 0x33}, 2, 4, 1, 0}, /* fnstenv32 */
    {{0x66, 0xd9, 0x33}, 3, 2, 1, 0}, /* fnstenv16 */
    {{0xd9, 0x23}, 2, 4, 1, 0}, /* fldenv */
    {{0xdd, 0x33}, 2, 4, 1, 0}, /* fnsave */
    {{0x66, 0xdd, 0x33}, 3, 2, 1, 0}, /* fnsave16 */
    {{0xdd, 0x23}, 2, 4, 1, 0}, /* frstor */
    {{0xd9, 0x2b}, 2, 2, 1, 0}, /* fldcw */
    {{0xdd, 0x3b}, 2, 2, 1, 0}, /* fnstsw */
    {{0xd9, 0x03}, 2, 4, 1, 0}, /* fld m32 */
    {{0xdd, 0x03}, 2, 8, 1, 0}, /* fld m64 */
    {{0xdf, 0x03}, 2, 2, 1, 0}, /* fild16 */
    {{0xdf, 0x2b}, 2, 8, 1, 0}, /* fild64 */
    {{0x0f, 0x10, 0x03}, 3, 16, 1, 0}, /* movups, load */
    {{0x0f, 0x11, 0x03}, 3, 16, 1, 0}, /* movups, store */
    {{0xf3, 0x0f, 0x6f, 0x03}, 4, 16, 1, 0}, /* movdqu, load */
    {{0xf3, 0x0f, 0x7f, 0x03}, 4, 16, 1, 0}, /* movdqu, store */
    {{0xf2, 0x0f, 0xf0, 0x03}, 4, 16, 1, 0}, /* lddqu */
    {{0x0f, 0x28, 0x03}, 3, 1, 16, 0}, /* movaps */
    {{0x66, 0x0f, 0x29, 0x03}, 4, 1, 16, 0}, /* movapd, store */
    {{0x0f, 0x58, 0x03}, 3, 1, 16, 0}, /* addps */
    {{0xc5, 0xf8, 0x10, 0x03}, 4, 16, 1, 0}, /* vmovups x */
    {{0xc5, 0xfc, 0x10, 0x03}, 4, 16, 1, 0}, /* vmovups y */
    {{0xc5, 0xfe, 0x7f, 0x03}, 4, 16, 1, 0}, /* vmovdqu y, store */
    {{0xc5, 0xfc, 0x28, 0x03}, 4, 1, 32, 0}, /* vmovaps y */
    {{0xc5, 0xf0, 0x58, 0x03}, 4, 16, 1, 0}, /* vaddps x */
    {{0xc5, 0xf4, 0x58, 0x03}, 4, 16, 1, 0}, /* vaddps y */
    {{0xc4, 0xe3, 0x7d, 0x19, 0x03, 0x01}, 6, 16, 1, 0}, /* vextractf128, store */
    {{0xc4, 0xe3, 0x75, 0x18, 0x03, 0x01}, 6, 16, 1, 0}, /* vinsertf128 */
    {{0xc4, 0xe2, 0x7d, 0x1a, 0x03}, 5, 16, 1, 0}, /* vbroadcastf128 */
    {{0x0f, 0x12, 0x03}, 3, 8, 1, 0}, /* movlps */
    {{0x0f, 0x16, 0x03}, 3, 8, 1, 0}, /* movhps */
    {{0xf3, 0x0f, 0x10, 0x03}, 4, 4, 1, 0}, /* movss */
    {{0xf2, 0x0f, 0x10, 0x03}, 4, 8, 1, 0}, /* movsd */
    {{0xf3, 0x0f, 0x7e, 0x03}, 4, 8, 1, 0}, /* movq */
    {{0x66, 0x0f, 0x6e, 0x03}, 4, 4, 1, 0}, /* movd */
    {{0xf3, 0x0f, 0xe6, 0x03}, 4, 8, 1, 0}, /* cvtdq2pd */
    {{0x0f, 0x5a, 0x03}, 3, 8, 1, 0}, /* cvtps2pd */
    {{0x0f, 0x2a, 0x03}, 3, 8, 1, 0}, /* cvtpi2ps */
    {{0x66, 0x0f, 0x38, 0x30, 0x03}, 5, 8, 1, 0}, /* pmovzxbw */
    {{0x66, 0x0f, 0x38, 0x31, 0x03}, 5, 4, 1, 0}, /* pmovzxbd */
    {{0x66, 0x0f, 0x38, 0x32, 0x03}, 5, 2, 1, 0}, /* pmovzxbq */
    {{0x66, 0x0f, 0xc4, 0x03, 0x00}, 5, 2, 1, 0}, /* pinsrw */
    {{0x66, 0x0f, 0x3a, 0x20, 0x03, 0x00}, 6, 1, 1, 0}, /* pinsrb */
    {{0x66, 0x0f, 0x3a, 0x63, 0x03, 0x00}, 6, 16, 1, 0}, /* pcmpistri */
    {{0x0f, 0x60, 0x03}, 3, 4, 1, 0}, /* punpcklbw mm */
    {{0x66, 0x0f, 0x60, 0x03}, 4, 1, 16, 0}, /* punpcklbw xmm */
    {{0x0f, 0x6f, 0x03}, 3, 8, 1, 0}, /* movq mm */
    {{0x0f, 0xfc, 0x03}, 3, 8, 1, 0}, /* paddb mm */
    {{0x66, 0x0f, 0xf7, 0xc1}, 4, 8, 1, 0}, /* maskmovdqu */
    {{0x0f, 0xf7, 0xc1}, 3, 8, 1, 0}, /* maskmovq */
    {{0xc4, 0xe2, 0x71, 0x2c, 0x03}, 5, 1, 1, 0}, /* vmaskmovps */
    {{0xc4, 0xe2, 0x75, 0x2c, 0x03}, 5, 1, 1, 0}, /* vmaskmovps y */
    {{0xc4, 0xe2, 0xf5, 0x8c, 0x03}, 5, 1, 1, 0}, /* vpmaskmovq y */
    {{0xc4, 0xe2, 0x71, 0x90, 0x04, 0x13}, 6, 1, 1, 0}, /* vpgatherdd x */
    {{0x0f, 0xc7, 0x0b}, 3, 8, 1, 0}, /* cmpxchg8b */
    {{0x48, 0x0f, 0xc7, 0x0b}, 4, 1, 16, 0}, /* cmpxchg16b */
    {{0x0f, 0xae, 0x03}, 3, 4, 16, 0}, /* fxsave: #AC below 4, #GP below 16 */
    {{0x0f, 0xae, 0x0b}, 3, 4, 16, 0}, /* fxrstor */
    {{0x48, 0x0f, 0xae, 0x03}, 4, 4, 16, 0}, /* fxsave64 */
    {{0x0f, 0xae, 0x23}, 3, 1, 64, 0}, /* xsave */
    {{0x0f, 0xae, 0x2b}, 3, 1, 64, 0}, /* xrstor */
    {{0x0f, 0xae, 0x1b}, 3, 4, 1, 0}, /* stmxcsr */
    {{0x0f, 0xae, 0x13}, 3, 4, 1, 0}, /* ldmxcsr */
    {{0x66, 0x0f, 0xa3, 0x03}, 4, 2, 1, 0}, /* bt16 */
    {{0x0f, 0xa3, 0x03}, 3, 4, 1, 0}, /* bt32 */
    {{0x48, 0x0f, 0xa3, 0x03}, 4, 8, 1, 0}, /* bt64 */
    {{0x48, 0x0f, 0xba, 0x2b, 0x01}, 5, 8, 1, 0}, /* bts imm64 */
    {{0x0f, 0x18, 0x03}, 3, 1, 1, 0}, /* prefetch */
    {{0x0f, 0xae, 0x3b}, 3, 1, 1, 0}, /* clflush */
    {{0xff, 0x33}, 2, 8, 1, 0}, /* push64 */
    {{0x8f, 0x03}, 2, 8, 1, 0}, /* pop64 */
    {{0x66, 0xff, 0x33}, 3, 2, 1, 0}, /* push16 */
    {{0x66, 0xa5}, 2, 2, 1, 0}, /* movs16 */
    {{0x48, 0xa5}, 2, 8, 1, 0}, /* movs64 */
    {{0xad}, 1, 4, 1, 0}, /* lods32 */
    {{0x48, 0xab}, 2, 8, 1, 0}, /* stos64 */
    {{0x48, 0xaf}, 2, 8, 1, 0}, /* scas64 */
    {{0x48, 0xa7}, 2, 8, 1, 0}, /* cmps64 */
    {{0x48, 0x0f, 0xc3, 0x03}, 4, 8, 1, 0}, /* movnti64 */
    {{0x66, 0x0f, 0xe7, 0x03}, 4, 1, 16, 0}, /* movntdq */
    {{0x0f, 0x2b, 0x03}, 3, 1, 16, 0}, /* movntps */
    {{0x0f, 0xe7, 0x03}, 3, 8, 1, 0}, /* movntq */
    {{0x66, 0x0f, 0x38, 0x2a, 0x03}, 5, 1, 16, 0}, /* movntdqa */
    {{0x0f, 0x00, 0x0b}, 3, 2, 1, 0}, /* str */
    {{0x0f, 0x00, 0x03}, 3, 2, 1, 0}, /* sldt */
    {{0x0f, 0x00, 0x23}, 3, 2, 1, 0}, /* verr */
    {{0x0f, 0x02, 0x03}, 3, 2, 1, 0}, /* lar */
    {{0x48, 0x0f, 0x02, 0x03}, 4, 2, 1, 0}, /* lar64 */
    {{0x8c, 0x1b}, 2, 2, 1, 0}, /* mov m,ds */
    {{0x8e, 0x2b}, 2, 2, 1, 0}, /* mov gs,m */
    {{0x48, 0x8c, 0x1b}, 3, 2, 1, 0}, /* mov m,ds of REX.W */
    {{0x0f, 0x01, 0x23}, 3, 2, 1, 0}, /* smsw */
    {{0x48, 0x0f, 0x38, 0xf0, 0x03}, 5, 8, 1, 0}, /* movbe64 */
    {{0xf2, 0x48, 0x0f, 0x38, 0xf1, 0x03}, 6, 8, 1, 0}, /* crc32 64 */
    {{0x66, 0x0f, 0x38, 0xdc, 0x03}, 5, 1, 16, 0}, /* aesenc */
};

START_TEST(alignment_is_that_of_the_operand)
{
    const struct aligned_row *r = &aligned_rows[_i];

    for (unsigned at = 1; at <= 32; at *= 2) {
        unsigned expected = at % r->checked ? EXC_AC : at % r->always ? EXC_GP : 0;

        long_mode(b, 3);
        s->cr0 |= CR0_AM;
        s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
        s->xcr0 = 7;
        s->eflags = EFLAGS_1 | EFLAGS_AC;
        s->fcw = 0x37f;
        s->gpr[EAX] = s->gpr[ECX] = s->gpr[EDX] = 0;
        s->gpr[EBX] = s->gpr[ESI] = s->gpr[EDI] = DATA + at;
        memset(&s->xmm[1], 0xff, sizeof s->xmm[1]);
        memset(&s->ymm_high[1], 0xff, sizeof s->ymm_high[1]);
        s->xmm[2] = (union i386_xmm){.q = {0, 0}};
        s->fpr[1].mantissa = UINT64_MAX;
        for (unsigned n = 0; n < 576; n += 4)
            poke32(b, DATA + n, 0);
        poke(b, UCODE, r->bytes, r->len);
        refresh(b);
        steps(b, 1);
        if (expected)
            EXPECT_VECTOR(b, expected);
        else
            ck_assert_msg(r->loads_cs ? s->rip == handler(EXC_GP) : s->rip == (uint64_t)UCODE + r->len, "at %u: %llx", at,
                          (unsigned long long)s->rip);
    }
}
END_TEST

/* SDM 1 3.4.2.1: only FS and GS have a base, whatever descriptors say. */
START_TEST(most_segments_have_no_base_in_64_bit_mode)
{
    const struct aligned_row *r = &aligned_rows[_i];

    long_mode(b, 3);
    for (unsigned n = SEG_ES; n <= SEG_DS; n++)
        s->seg[n].base = 0x20000004; /* where nothing is */
    s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    s->xcr0 = 7;
    s->fcw = 0x37f;
    s->gpr[EAX] = s->gpr[ECX] = s->gpr[EDX] = 0;
    s->gpr[EBX] = s->gpr[ESI] = s->gpr[EDI] = DATA;
    for (unsigned n = 0; n < 576; n += 4)
        poke32(b, DATA + n, 0);
    poke(b, UCODE, r->bytes, r->len);
    refresh(b);
    steps(b, 1);
    EQ(s->rip, r->loads_cs ? handler(EXC_GP) : (uint64_t)UCODE + r->len);
}
END_TEST

/* SDM 3A 3.5.1: a word, followed by the base. */
START_TEST(what_is_aligned_of_a_table_register_is_its_base)
{
    for (unsigned at = 0; at < 32; at++) {
        long_mode(b, 3);
        s->cr0 |= CR0_AM;
        s->eflags = EFLAGS_1 | EFLAGS_AC;
        if (_i & 2) {
            s->seg[SEG_CS] = i386_flat_segment(S_UCODE, 11, 3, SEG_ATTR_DB);
            refresh(b);
        }
        s->gpr[EBX] = DATA + at;
        poke(b, UCODE, _i & 1 ? "\x0f\x01\x0b" : "\x0f\x01\x03", 3);
        steps(b, 1);
        if ((at + 2) % (_i & 2 ? 4 : 8))
            EXPECT_VECTOR(b, EXC_AC);
        else
            EQ(s->rip, UCODE + 3);
    }
}
END_TEST

/* SDM 1 3.4.2.1: DS has no base, also where its descriptor has one. */
START_TEST(fxsave_is_aligned_by_its_linear_address)
{
    s->cr4 |= CR4_OSFXSR;
    s->seg[SEG_DS].base = 8;
    s->seg[SEG_FS].base = 8;
    s->gpr[EBX] = DATA + (_i & 2 ? 8 : 0);
    refresh(b);
    if (_i & 1)
        CODE(b, 0x64, 0x0f, 0xae, 0x03); /* fxsave fs:[rbx] */
    else
        CODE(b, 0x3e, 0x0f, 0xae, 0x03);
    steps(b, 1);
    if (!(_i & 1) == !(_i & 2))
        EQ(s->rip, KCODE + 4);
    else
        EXPECT_VECTOR(b, EXC_GP);
}
END_TEST

/* What is not there is refused: supervisor keys (CR4.PKS, IA32_PKRS), linear address masking (CR4.LAM_SUP). */
START_TEST(what_is_not_there_has_no_bit)
{
    s->gpr[EAX] = s->cr4 | (_i == 0 ? 1u << 24 : 1u << 28);
    s->gpr[ECX] = 0x6e1;
    if (_i < 2)
        CODE(b, 0x0f, 0x22, 0xe0);
    else if (_i == 2)
        CODE(b, 0x0f, 0x30);
    else
        CODE(b, 0x0f, 0x32);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
    EQ(stack64(b, 0), 0);
    EQ(stack64(b, 1), KCODE);
    ck_assert(stack64(b, 3) & EFLAGS_RF);
}
END_TEST

START_TEST(invlpg_takes_any_address)
{
    s->gpr[EAX] = UINT64_C(0x7eff800000000000);
    CODE(b, 0x0f, 0x01, 0x38);
    steps(b, 1);
    EQ(s->rip, KCODE + 3);
}
END_TEST

/* SDM 2B, SMSW: 16, 32 and 64 bits to a register, 16 to memory whatever the operand size. */
START_TEST(smsw_is_as_wide_as_its_operand)
{
    const uint64_t filled = UINT64_C(0x1234567890abcdef);

    s->cr0 |= CR0_CD;
    s->gpr[EAX] = s->gpr[ECX] = s->gpr[EDX] = filled;
    s->gpr[EBX] = DATA;
    poke64(b, DATA, filled);
    poke64(b, DATA + 8, filled);
    refresh(b);
    CODE(b, 0x66, 0x0f, 0x01, 0xe0);       /* smsw ax */
    CODE(b, 0x0f, 0x01, 0xe1);             /* smsw ecx */
    CODE(b, 0x48, 0x0f, 0x01, 0xe2);       /* smsw rdx */
    CODE(b, 0x0f, 0x01, 0x23);             /* smsw [rbx] */
    CODE(b, 0x48, 0x0f, 0x01, 0x63, 0x08); /* of REX.W, smsw [rbx + 8] */
    steps(b, 5);
    EQ(s->gpr[EAX], (filled & ~UINT64_C(0xffff)) | (s->cr0 & 0xffff));
    EQ(s->gpr[ECX], s->cr0);
    EQ(s->gpr[EDX], s->cr0);
    EQ(peek64(b, DATA), (filled & ~UINT64_C(0xffff)) | (s->cr0 & 0xffff));
    EQ(peek64(b, DATA + 8), (filled & ~UINT64_C(0xffff)) | (s->cr0 & 0xffff));
}
END_TEST

/* SDM 2A, CMPXCHG8B: EDX:EAX is loaded where they differ; else RAX and RDX are as they were. */
START_TEST(cmpxchg8b_of_what_is_equal_leaves_the_registers)
{
    const uint64_t a = UINT64_C(0xdead000000000002), d = UINT64_C(0xbeef000000000001);

    s->gpr[EBX] = DATA;
    s->gpr[EAX] = a;
    s->gpr[EDX] = d;
    poke64(b, DATA, UINT64_C(0x100000002));
    CODE(b, 0x0f, 0xc7, 0x0b); /* cmpxchg8b [rbx] */
    steps(b, 1);
    ck_assert(flags_compute(&s->cc) & FLAG_Z);
    EQ(s->gpr[EAX], a);
    EQ(s->gpr[EDX], d);
    EQ(peek64(b, DATA), DATA); /* ECX:EBX */
    CODE(b, 0x0f, 0xc7, 0x0b);
    steps(b, 1);
    ck_assert(!(flags_compute(&s->cc) & FLAG_Z));
    EQ(s->gpr[EAX], DATA);
    EQ(s->gpr[EDX], 0);
}
END_TEST

/* SDM 2B, MOV: a null SS in 64-bit mode at a level other than 3, and of that level. */
START_TEST(a_null_ss_is_of_the_current_level)
{
    unsigned level = (unsigned)_i / 4, rpl = (unsigned)_i % 4;

    long_mode(b, 3);
    segment64(b, SEG_CS, level == 3 ? S_UCODE64 : S_CODE64, 11, level);
    s->cpl = level;
    s->gpr[EAX] = rpl;
    refresh(b);
    CODE(b, 0x8e, 0xd0);
    steps(b, 1);
    if (level < 3 && rpl == level) {
        EQ(s->rip, UCODE + 2);
        EQ(s->seg[SEG_SS].selector, rpl);
    } else {
        EXPECT_VECTOR(b, EXC_GP);
        EQ(stack64(b, 0), 0);
    }
}
END_TEST

START_TEST(a_hidden_segment_of_a_return_keeps_its_base)
{
    s->seg[SEG_GS].base = 0x400000;
    return_to_user();
    poke(b, UCODE, "\x65\x48\x8b\x01", 4); /* mov rax, gs:[rcx] */
    poke64(b, DATA, 0xdeadbeef);
    s->gpr[ECX] = (uint64_t)DATA - 0x400000;
    refresh(b);
    steps(b, 2);
    EQ(s->seg[SEG_GS].selector, 0);
    EQ(s->rip, UCODE + 4);
    EQ(s->gpr[EAX], 0xdeadbeef);
}
END_TEST

/* SDM 3B 18.2.3: fixed bits of DR6; the upper half is no part of it. */
START_TEST(dr6_has_fixed_bits)
{
    static const struct { uint64_t put, got; } values[] = {
        {0, 0xffff0ff0}, {0xffffffff, 0xffffefff}, {0xe00f, 0xffffefff}, {0x1000, 0xffff0ff0}, {UINT64_C(1) << 32, 0},
    };

    s->gpr[EAX] = values[_i].put;
    CODE(b, 0x0f, 0x23, 0xf0); /* mov dr6, rax */
    CODE(b, 0x0f, 0x21, 0xf1); /* mov rcx, dr6 */
    steps(b, 1);
    if (!values[_i].got) {
        EXPECT_VECTOR(b, EXC_GP);
        return;
    }
    steps(b, 1);
    EQ(s->gpr[ECX], values[_i].got);
}
END_TEST

/* A pending x87 exception is told of by MMX, by what needs no operand of memory, too, but not by LEA and MOVBE of a register. */
START_TEST(mmx_tells_of_pending_exceptions_and_some_forms_do_not_exist)
{
    static const struct { uint8_t bytes[4], len; unsigned vector; } cases[] = {
        {{0x0f, 0x7f, 0x00}, 3, EXC_MF}, {{0x0f, 0x6f, 0x00}, 3, EXC_MF}, {{0x0f, 0xfc, 0xc1}, 3, EXC_MF}, {{0x0f, 0x77}, 2, EXC_MF},
        {{0x8d, 0xc0}, 2, EXC_UD}, {{0x0f, 0x38, 0xf0, 0xc0}, 4, EXC_UD}, {{0x0f, 0x38, 0xf1, 0xc0}, 4, EXC_UD},
    };

    s->fcw = 0;
    s->fsw = 0x8084; /* a division by zero */
    s->gpr[EAX] = DATA;
    poke(b, KCODE, cases[_i].bytes, cases[_i].len);
    refresh(b);
    steps(b, 1);
    EXPECT_VECTOR(b, cases[_i].vector);
    EQ(stack64(b, 0), KCODE);
}
END_TEST

START_TEST(sixteen_bits_are_pushed_and_popped_in_64_bit_mode)
{
    poke64(b, DATA, 0x1234);
    s->gpr[EBX] = DATA;
    CODE(b, 0x66, 0xff, 0x33, 0x66, 0x59);
    steps(b, 1);
    EQ(s->gpr[ESP], KSTACK - 2);
    steps(b, 1);
    EQ(s->gpr[ESP], KSTACK);
    EQ(s->gpr[ECX] & 0xffff, 0x1234);
}
END_TEST

/* One page directory by two entries of the table above, of which one lets nobody write: each way has its own rights, whatever was
 * looked up before (SDM 3A 4.6, 4.10.2). */
START_TEST(a_table_reached_by_two_ways_has_the_rights_of_each)
{
    static const struct { uint64_t va; bool write; unsigned error; } accesses[] = {
        {UINT64_C(0x40000000), false, 0}, {UINT64_C(0x40200000), true, 0}, {UINT64_C(0x80000000), false, 0},
        {UINT64_C(0x80200000), true, 7},  {UINT64_C(0x40000000), true, 7}, {UINT64_C(0x40200000), true, 0},
        {UINT64_C(0x80200000), false, 0},
    };

    poke64(b, PDPT + 8, PT | 7);
    poke64(b, PDPT + 16, PT | 5);
    poke64(b, PT, 0x200085); /* read-only */
    poke64(b, PT + 8, 0x200087);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned n = 0; n < ARRAY_LEN(accesses); n++) {
            if (n == 0)
                long_mode(b, 3); /* and else what was looked up stays */
            else
                b->s->rip = UCODE;
            s->gpr[EBX] = accesses[n].va + 0xf0000;
            poke(b, UCODE, accesses[n].write ? "\x88\x03" : "\x8a\x03", 2);
            steps(b, 1);
            if (!accesses[n].error) {
                EQ(s->rip, UCODE + 2);
                continue;
            }
            EXPECT_VECTOR(b, EXC_PF);
            EQ(stack64(b, 0), accesses[n].error);
            EQ(s->cr2, accesses[n].va + 0xf0000);
            long_mode(b, 3);
        }
}
END_TEST

/* What is cached of the upper half, where kernels are, stays when a table of the lower one changes (a process ends). */
START_TEST(a_table_of_the_lower_half_takes_nothing_of_the_upper_one_along)
{
    const uint64_t low = UINT64_C(0x8000000000);
    struct ucpu_stats before, after;

    poke64(b, PML4 + 8, PT | 7);
    poke64(b, PT, (PT + 0x3000) | 7);
    poke64(b, PT + 0x3000, 0x000087);
    poke(b, KCODE, "\x8a\x03\x48\x89\x03", 5); /* mov (%rbx),%al; mov %rax,(%rbx) */
    for (unsigned round = 0; round < 2; round++) {
        ucpu_stats(&b->c->u, &before);
        for (unsigned page = 0; page < 16; page++) {
            s->gpr[EBX] = HIGH + page * 0x1000;
            s->rip = KCODE;
            steps(b, 1);
        }
        ucpu_stats(&b->c->u, &after);
        if (round)
            break;
        s->gpr[EBX] = low;
        s->rip = KCODE;
        steps(b, 1);
        s->gpr[EBX] = PT;
        s->gpr[EAX] = 0;
        steps(b, 1);
    }
    ck_assert_uint_le(after.tlb_misses - before.tlb_misses, 4);
    s->gpr[EBX] = low;
    s->rip = KCODE;
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(s->cr2, low);
}
END_TEST

/* A supervisor's write to a read-only page, with CR0.WP changed between by MOV. */
START_TEST(write_protection_is_that_of_the_moment)
{
    poke64(b, PDPT + 8, PT | 7);
    poke64(b, PT, 0x200085);
    for (unsigned n = 0; n < 6; n++) {
        bool wp = n & 1;

        s->rip = b->at = KCODE;
        s->gpr[EAX] = wp ? s->cr0 | CR0_WP : s->cr0 & ~CR0_WP;
        s->gpr[EBX] = 0x400f0000;
        CODE(b, 0x0f, 0x22, 0xc0, 0x88, 0x03);
        steps(b, 2);
        if (!wp) {
            EQ(s->rip, KCODE + 5);
            continue;
        }
        EXPECT_VECTOR(b, EXC_PF);
        EQ(stack64(b, 0), 3);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 long mode");
    TCase *t = tcase_create("long mode");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, an_interrupt_stack_makes_ss_null_at_any_level, 0, 2);
    tcase_add_test(t, an_interrupt_stack_is_taken_before_that_of_the_new_level);
    tcase_add_loop_test(t, the_number_of_levels_does_not_change_in_long_mode, 0, 2);
    tcase_add_loop_test(t, a_tss_of_16_bits_keeps_intels_out_of_long_mode, 0, 2);
    tcase_add_loop_test(t, the_upper_halves_of_cr0_and_cr4_are_reserved, 0, 2);
    tcase_add_loop_test(t, an_ldt_descriptor_is_looked_at_as_a_whole, 0, 5);
    tcase_add_test(t, pcide_is_set_in_long_mode_while_the_identifier_is_0);
    tcase_add_test(t, pcide_is_refused_in_protected_mode);
    tcase_add_test(t, bit_63_of_cr3_is_no_part_of_it_with_pcide_and_reserved_without);
    tcase_add_loop_test(t, invpcid_looks_at_its_type_and_descriptor, 0, 12);
    tcase_add_test(t, a_task_register_is_never_null);
    tcase_add_test(t, a_level_change_makes_ss_null_with_the_new_level);
    tcase_add_test(t, a_return_to_user_level_forgets_the_rpl_of_null_selectors_but_no_base);
    tcase_add_loop_test(t, bases_are_as_wide_as_the_model_whatever_cr4_says, 0, 2);
    tcase_add_loop_test(t, a_key_is_told_of_beside_other_reasons, 0, 4);
    tcase_add_loop_test(t, prefixes_that_are_not_theirs_are_ignored_by_some, 0, 6);
    tcase_add_test(t, shifts_that_do_not_exist_are_undefined_whatever_is_pending);
    tcase_add_test(t, compatibility_mode_goes_on_where_its_own_code_is);
    tcase_add_loop_test(t, a_branch_to_no_canonical_address_faults_and_changes_nothing, 0, 7);
    tcase_add_loop_test(t, syscall_that_clears_tf_is_not_stepped, 0, 2);
    tcase_add_loop_test(t, what_enters_a_kernel_tells_of_flags_without_rf, 0, 2);
    tcase_add_loop_test(t, sysret_that_sets_tf_traps_before_the_program_goes_on, 0, 2);
    tcase_add_loop_test(t, most_segments_have_no_base_in_64_bit_mode, 0, (int)ARRAY_LEN(aligned_rows));
    tcase_add_loop_test(t, what_is_aligned_of_a_table_register_is_its_base, 0, 4);
    tcase_add_loop_test(t, fxsave_is_aligned_by_its_linear_address, 0, 4);
    tcase_add_loop_test(t, what_is_not_there_has_no_bit, 0, 4);
    tcase_add_test(t, invlpg_takes_any_address);
    tcase_add_test(t, smsw_is_as_wide_as_its_operand);
    tcase_add_test(t, cmpxchg8b_of_what_is_equal_leaves_the_registers);
    tcase_add_loop_test(t, a_null_ss_is_of_the_current_level, 0, 16);
    tcase_add_test(t, a_hidden_segment_of_a_return_keeps_its_base);
    tcase_add_loop_test(t, dr6_has_fixed_bits, 0, 5);
    tcase_add_loop_test(t, mmx_tells_of_pending_exceptions_and_some_forms_do_not_exist, 0, 7);
    tcase_add_test(t, sixteen_bits_are_pushed_and_popped_in_64_bit_mode);
    tcase_add_test(t, a_table_reached_by_two_ways_has_the_rights_of_each);
    tcase_add_test(t, a_table_of_the_lower_half_takes_nothing_of_the_upper_one_along);
    tcase_add_test(t, write_protection_is_that_of_the_moment);
    tcase_add_loop_test(t, alignment_is_that_of_the_operand, 0, (int)ARRAY_LEN(aligned_rows));
    suite_add_tcase(suite, t);
    return suite;
}
