/*
 * Claims about system management mode (SDM 3C chapter 31): entry and RSM in every mode, what waits and what wakes,
 * the save maps that firmware reads, SMRAM behind the 440FX, SMIs by port B2h and by the APIC.
 */
#include "i386_bench64.h"

#include "i386/pc.h"
#include "i386/pc/board.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

enum { SMBASE = 0x30000, HANDLER = SMBASE + 0x8000, MAP = SMBASE + 0x8000 };

static struct bench *b;
static struct i386_state *s;

static void begin(const char *model)
{
    b = bench_new(model);
    s = b->s;
    poke16(b, HANDLER, 0xaa0f); /* rsm */
    CODE(b, 0x90, 0x90, 0x90, 0x90);
}

static void begin64(void)
{
    b = bench64_new("Haswell");
    s = b->s;
    poke16(b, HANDLER, 0xaa0f);
    CODE(b, 0x90, 0x90, 0x90, 0x90);
}

static void end(void)
{
    bench_free(b);
}

/* What RSM must bring back: all but what the SMI's being taken changes. */
static struct i386_state before;

static void enter(void)
{
    before = *s;
    before.smi_count++;
    i386_raise_smi(b->c);
    EQ(steps(b, 1), STOP_LIMIT);
    EQ(s->smm & I386_SMM, I386_SMM);
    EQ(s->rip, 0x8000);
    EQ(s->seg[SEG_CS].base, s->smbase);
}

static void leave_as_before(void)
{
    EQ(steps(b, 1), STOP_LIMIT);
    ck_assert_mem_eq(s, &before, sizeof before);
}

/* ---- entry and return ---- */

START_TEST(rsm_outside_the_mode_is_undefined)
{
    begin("pentium3");
    b->at = KCODE;
    CODE(b, 0x0f, 0xaa);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    end();
}
END_TEST

START_TEST(the_handler_begins_in_real_mode_with_segments_of_4_gib)
{
    begin("pentium3");
    s->eflags |= EFLAGS_IF | EFLAGS_DF;
    s->dr[7] = DR7_FIXED | 1;
    s->cr4 = CR4_PSE;
    refresh(b);
    enter();
    EQ(s->cr0, CR0_ET | CR0_NE);
    EQ(s->cr4, 0);
    EQ(s->dr[7], DR7_FIXED);
    EQ(i386_get_eflags(b->c), EFLAGS_1);
    EQ(s->seg[SEG_CS].selector, SMBASE >> 4);
    EQ(s->seg[SEG_DS].selector, 0);
    EQ(s->seg[SEG_DS].base, 0);
    EQ(s->seg[SEG_DS].limit, 0xffffffff);
    leave_as_before();
    end();
}
END_TEST

START_TEST(entry_and_rsm_are_a_step_each_and_bring_back_protected_mode)
{
    begin("pentium3");
    s->gpr[EAX] = 0x11223344;
    s->gpr[EDI] = 0x55667788;
    s->dr[6] = DR6_FIXED | 3;
    steps(b, 1);
    enter();
    EQ(peek32(b, MAP + 0x7efc), 0x20000);
    EQ(peek32(b, MAP + 0x7ef8), SMBASE);
    EQ(peek32(b, MAP + 0x7fd0), 0x11223344);
    EQ(peek32(b, MAP + 0x7fec), 0x55667788);
    EQ(peek32(b, MAP + 0x7ff0), KCODE + 1);
    EQ(peek32(b, MAP + 0x7ffc), CR0_PE | CR0_ET | CR0_NE);
    EQ(peek32(b, MAP + 0x7fac), S_CODE);
    leave_as_before();
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    end();
}
END_TEST

START_TEST(rsm_goes_back_to_user_mode_virtual_8086_and_real_mode)
{
    static void (*const modes[])(struct bench *) = {user_mode, vm86_mode, real_mode};

    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        begin("pentium3");
        if (modes[i] == vm86_mode || modes[i] == user_mode)
            s->rip = 0;
        modes[i](b);
        /* UCODE is SMBASE itself; the handler and the map are above it. */
        enter();
        leave_as_before();
        end();
    }
}
END_TEST

START_TEST(rsm_goes_back_to_paging_with_pae)
{
    begin("pentium3");
    poke64(b, PAGES, 0x101000 | 1);
    poke64(b, 0x101000, 0x83);
    s->cr3 = PAGES;
    s->cr4 = CR4_PAE | CR4_PSE;
    ck_assert(i386_set_cr0(b->c, s->cr0 | CR0_PG));
    steps(b, 1);
    enter();
    leave_as_before();
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    end();
}
END_TEST

START_TEST(long_mode_is_saved_as_amd64_has_it)
{
    for (unsigned cpl = 0; cpl < 4; cpl += 3) {
        begin64();
        long_mode(b, cpl);
        s->gpr[EAX] = UINT64_C(0x1122334455667788);
        s->gpr[15] = UINT64_C(0x8877665544332211);
        s->seg[SEG_GS].base = UINT64_C(0xffff888000000000);
        if (cpl)
            s->rip = b->at = KCODE;
        enter();
        EQ(s->efer, 0);
        EQ(s->gpr[15], UINT64_C(0x8877665544332211));
        EQ(s->gpr[EAX], 0x55667788);
        EQ(peek32(b, MAP + 0x7efc), 0x20064);
        EQ(peek32(b, MAP + 0x7f00), SMBASE);
        EQ(peek64(b, MAP + 0x7ff8), UINT64_C(0x1122334455667788));
        EQ(peek64(b, MAP + 0x7f80), UINT64_C(0x8877665544332211));
        EQ(peek64(b, MAP + 0x7f78), KCODE);
        EQ(peek64(b, MAP + 0x7ed0), EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE);
        EQ(peek64(b, MAP + 0x7e58), UINT64_C(0xffff888000000000));
        leave_as_before();
        steps(b, 1);
        EQ(s->rip, KCODE + 1);
        end();
    }
}
END_TEST

START_TEST(the_smbase_in_the_map_is_where_the_next_smi_goes)
{
    begin("pentium3");
    enter();
    poke32(b, MAP + 0x7ef8, 0x60000);
    steps(b, 1);
    EQ(s->smbase, 0x60000);
    poke16(b, 0x68000, 0xaa0f);
    enter();
    EQ(peek32(b, 0x68000 + 0x7ef8), 0x60000);
    leave_as_before();
    machine_reset(b->m);
    EQ(s->smbase, SMBASE);
    end();
}
END_TEST

START_TEST(a_map_that_asks_for_what_cannot_be_shuts_down)
{
    static const struct { uint32_t at, value; } wrong[] = {
        {0x7ffc, CR0_PG}, {0x7ffc, CR0_PE | CR0_NW}, {0x7f14, 0x80000000u}, {0x7ff4, EFLAGS_1 | EFLAGS_VM},
    };

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        begin("pentium3");
        real_mode(b);
        enter();
        poke32(b, MAP + wrong[i].at, wrong[i].value);
        steps(b, 1);
        EQ(b->m->st->end, GUEST_TRIPLE_FAULT);
        end();
    }
}
END_TEST

/* What a handler writes to a field of the map is what RSM loads: of the P6's (SDM 3C table 31-1 and QEMU), and of AMD64's (APM 2
 * table 10-1). */
struct map_field { uint16_t at, size, state, state_size; uint64_t value; };
#define FIELD(offset, bytes, member, v) {offset, bytes, (uint16_t)offsetof(struct i386_state, member), sizeof(((struct i386_state *)0)->member), v}
#define SEGMENT_P6(selector_at, hidden, n) \
    FIELD(selector_at, 4, seg[n].selector, 0x28), FIELD((hidden) + 4, 4, seg[n].limit, 0x12345), FIELD((hidden) + 8, 4, seg[n].base, 0x345670)
#define SEGMENT_64(where, n) \
    FIELD(where, 2, seg[n].selector, 0x28), FIELD((where) + 4, 4, seg[n].limit, 0x12345), \
        FIELD((where) + 8, 8, seg[n].base, UINT64_C(0xffff800000345670))

static void load_fields(const struct map_field *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct map_field *f = &fields[i];
        uint64_t got = 0;

        enter();
        if (f->size == 8)
            poke64(b, MAP + f->at, f->value);
        else
            poke(b, MAP + f->at, &f->value, f->size);
        EQ(steps(b, 1), STOP_LIMIT);
        EQ(s->smm, 0);
        memcpy(&got, (const uint8_t *)s + f->state, f->state_size);
        ck_assert_msg(got == f->value, "field %x is %llx, not %llx", f->at, (unsigned long long)got, (unsigned long long)f->value);
        memcpy((uint8_t *)s + f->state, (const uint8_t *)&before + f->state, f->state_size);
        refresh(b);
        ck_assert_mem_eq(s, &before, sizeof before); /* and nothing else became another */
    }
}

START_TEST(rsm_loads_what_the_handler_wrote_to_each_field)
{
    static const struct map_field p6[] = {
        FIELD(0x7ff8, 4, cr3, 0x123000), FIELD(0x7ff0, 4, rip, 0x20123), FIELD(0x7fcc, 4, dr[6], 0xffff0ff1), FIELD(0x7fc8, 4, dr[7], 0x401),
        FIELD(0x7fd0, 4, gpr[EAX], 0x11111111), FIELD(0x7fd4, 4, gpr[ECX], 0x22222222), FIELD(0x7fd8, 4, gpr[EDX], 0x33333333),
        FIELD(0x7fdc, 4, gpr[EBX], 0x44444444), FIELD(0x7fe0, 4, gpr[ESP], 0x55555555), FIELD(0x7fe4, 4, gpr[EBP], 0x66666666),
        FIELD(0x7fe8, 4, gpr[ESI], 0x77777777), FIELD(0x7fec, 4, gpr[EDI], 0x88888888),
        FIELD(0x7f14, 4, cr4, CR4_PSE), FIELD(0x7ef8, 4, smbase, SMBASE + 0x1000),
        FIELD(0x7f70, 4, gdtr.limit, 0x77), FIELD(0x7f74, 4, gdtr.base, 0x1234), FIELD(0x7f54, 4, idtr.limit, 0x77), FIELD(0x7f58, 4, idtr.base, 0x1234),
        SEGMENT_P6(0x7fa8, 0x7f84, SEG_ES), SEGMENT_P6(0x7fb4, 0x7f2c, SEG_DS), SEGMENT_P6(0x7fb8, 0x7f38, SEG_FS), SEGMENT_P6(0x7fbc, 0x7f44, SEG_GS),
        SEGMENT_P6(0x7fc0, 0x7f78, SEG_LDTR), SEGMENT_P6(0x7fc4, 0x7f5c, SEG_TR),
    };
    static const struct map_field amd64[] = {
        FIELD(0x7f50, 8, cr3, 0x123000), FIELD(0x7f78, 8, rip, 0x20123), FIELD(0x7f68, 8, dr[6], 0xffff0ff1), FIELD(0x7f60, 8, dr[7], 0x401),
        FIELD(0x7ff8, 8, gpr[EAX], UINT64_C(0x1111111111111111)), FIELD(0x7ff0, 8, gpr[ECX], UINT64_C(0x2222222222222222)),
        FIELD(0x7fe8, 8, gpr[EDX], UINT64_C(0x3333333333333333)), FIELD(0x7fe0, 8, gpr[EBX], UINT64_C(0x4444444444444444)),
        FIELD(0x7fd8, 8, gpr[ESP], UINT64_C(0x5555555555555555)), FIELD(0x7fd0, 8, gpr[EBP], UINT64_C(0x6666666666666666)),
        FIELD(0x7fc8, 8, gpr[ESI], UINT64_C(0x7777777777777777)), FIELD(0x7fc0, 8, gpr[EDI], UINT64_C(0x8888888888888888)),
        FIELD(0x7fb8, 8, gpr[8], 8), FIELD(0x7fb0, 8, gpr[9], 9), FIELD(0x7fa8, 8, gpr[10], 10), FIELD(0x7fa0, 8, gpr[11], 11),
        FIELD(0x7f98, 8, gpr[12], 12), FIELD(0x7f90, 8, gpr[13], 13), FIELD(0x7f88, 8, gpr[14], 14), FIELD(0x7f80, 8, gpr[15], 15),
        FIELD(0x7f00, 4, smbase, SMBASE + 0x1000),
        FIELD(0x7e64, 4, gdtr.limit, 0x77), FIELD(0x7e68, 8, gdtr.base, 0x1234), FIELD(0x7e84, 4, idtr.limit, 0x77), FIELD(0x7e88, 8, idtr.base, 0x1234),
        SEGMENT_64(0x7e00, SEG_ES), SEGMENT_64(0x7e30, SEG_DS), SEGMENT_64(0x7e40, SEG_FS), SEGMENT_64(0x7e50, SEG_GS),
        SEGMENT_64(0x7e70, SEG_LDTR), SEGMENT_64(0x7e90, SEG_TR),
    };

    begin("pentium3");
    load_fields(p6, ARRAY_LEN(p6));
    end();
    begin64();
    load_fields(amd64, ARRAY_LEN(amd64));
    end();
}
END_TEST

/* ---- what waits, and what wakes ---- */

START_TEST(a_halted_cpu_halts_again_unless_the_handler_says_otherwise)
{
    for (unsigned again = 0; again < 2; again++) {
        begin("pentium3");
        b->at = KCODE;
        CODE(b, 0xf4, 0x90);
        steps(b, 1);
        EQ(s->halted, I386_HALTED);
        enter();
        EQ(s->halted, 0);
        EQ(peek16(b, MAP + 0x7f02), 1);
        poke16(b, MAP + 0x7f02, (uint16_t)again);
        steps(b, 1);
        EQ(s->halted, again ? I386_HALTED : 0);
        EQ(s->rip, KCODE + 1);
        end();
    }
}
END_TEST

START_TEST(smi_nmi_and_init_wait_for_the_end_of_the_mode)
{
    begin("pentium3");
    poke8(b, HANDLER, 0x90);
    poke16(b, HANDLER + 1, 0xaa0f);
    enter();
    i386_raise_nmi(b->c);
    i386_raise_smi(b->c);
    i386_raise_smi(b->c);
    steps(b, 1);
    EQ(s->rip, 0x8001);
    steps(b, 1);
    EQ(s->smm, 0);
    steps(b, 1);
    EQ(s->smm, I386_SMM); /* the latched one, before the NMI */
    steps(b, 2);
    EQ(s->smm, 0);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_NMI);
    enter();
    EQ(s->smm, I386_SMM | I386_SMM_NMI_BLOCKED);
    i386_raise_init(b->c);
    EQ(s->rip, 0x8000);
    steps(b, 2);
    EQ(s->smm, 0);
    EQ(s->nmi_blocked, 1);
    steps(b, 1);
    EQ(s->rip, 0xfff0);
    end();
}
END_TEST

START_TEST(iret_in_the_mode_lets_nmis_in)
{
    begin("pentium3");
    poke8(b, HANDLER, 0xcf); /* iret: to 0000:0000 */
    enter();
    i386_raise_nmi(b->c);
    s->gpr[ESP] = KSTACK;
    poke32(b, KSTACK, 0x10000000);
    poke16(b, KSTACK + 4, 2);
    s->idtr = (struct i386_dtr){.base = 0, .limit = 0x3ff};
    poke32(b, 4 * EXC_NMI, 0x20000500);
    steps(b, 1);
    EQ(s->nmi_blocked, 0);
    steps(b, 1);
    EQ(s->seg[SEG_CS].selector, 0x2000);
    EQ(s->rip, 0x500);
    EQ(s->smm, I386_SMM);
    end();
}
END_TEST

START_TEST(a_repeated_instruction_goes_on_where_it_was)
{
    begin("pentium3");
    b->at = KCODE;
    CODE(b, 0xf3, 0xaa, 0x90); /* rep stosb */
    s->gpr[EDI] = DATA;
    s->gpr[ECX] = 10;
    s->gpr[EAX] = 0x77;
    steps(b, 4);
    i386_raise_smi(b->c);
    steps(b, 1);
    EQ(s->smm, I386_SMM);
    EQ(s->rep_active, 0);
    EQ(peek32(b, MAP + 0x7ff0), KCODE);
    while (s->rip != KCODE + 2)
        steps(b, 1);
    EQ(s->gpr[ECX], 0);
    EQ(peek8(b, DATA + 9), 0x77);
    EQ(peek8(b, DATA + 10), 0);
    end();
}
END_TEST

START_TEST(an_smi_goes_before_a_debug_trap_which_is_not_lost)
{
    begin("pentium3");
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 1);
    i386_raise_smi(b->c);
    steps(b, 1);
    EQ(s->smm, I386_SMM);
    EQ(s->pending_db, 0);
    steps(b, 1);
    EQ(s->rip, KCODE + 1);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(s->dr[6] & DR6_BS, DR6_BS);
    end();
}
END_TEST

/* ---- the board ---- */

static uint8_t rom[0x10000];
static struct machine *m;
static struct pc *pc;
static struct i386_cpu *cpu;

enum { CONFIG = 0xcf8, NORTH_SMRAM = 0x80000070u, PM_DEVACTB = 0x80000b58u, PM_BASE = 0x600 };

static void board(unsigned cpus)
{
    struct pc_config c = PC_CONFIG_INIT;
    struct error err;

    memset(rom, 0x90, sizeof rom);
    memcpy(rom + sizeof rom - 16, "\xeb\xfe", 2);
    c.memory_bytes = 16 << 20;
    c.topology = (struct cpu_topology){.cpus = cpus, .sockets = 1, .cores = cpus, .threads = 1};
    c.bios = (struct boot_image){.data = rom, .len = sizeof rom, .name = "rom"};
    ck_assert_msg(pc_create(&m, &c, &err) == 0, "%s", err.text);
    pc = m->board;
    cpu = pc->cpu;
}

static struct i386_cpu *second(void)
{
    return (struct i386_cpu *)(void *)m->cpus[1];
}

static void set_smram(unsigned value)
{
    pc->pci->ops->write(pc->pci, PCI_HOST_ADDRESS, 0, 4, NORTH_SMRAM);
    pc->pci->ops->write(pc->pci, PCI_HOST_DATA, 2, 1, value);
}

static unsigned get_smram(void)
{
    pc->pci->ops->write(pc->pci, PCI_HOST_ADDRESS, 0, 4, NORTH_SMRAM);
    return (unsigned)pc->pci->ops->read(pc->pci, PCI_HOST_DATA, 2, 1);
}

/* What the CPU reads, and what instructions would be, at a physical address. */
static unsigned cpu_reads(struct i386_cpu *c, uint32_t at)
{
    uint8_t byte = 0;

    ck_assert(ucpu_load_mode(&c->u, MMU_SUPERVISOR, at, &byte, 1));
    return byte;
}

static unsigned debugger_sees(struct i386_cpu *c, uint32_t at)
{
    paddr_t pa;
    uint8_t byte = 0;

    ck_assert(i386_translate(&c->u.cpu, at, &pa));
    memory_read_bytes(&m->memory, pa, &byte, 1);
    return byte;
}

static void smm(struct i386_cpu *c, bool on)
{
    c->st->smm = on;
    c->u.cpu.ops->drop_derived(&c->u.cpu);
}

START_TEST(smram_is_seen_in_the_mode_or_open_and_by_no_device)
{
    uint8_t byte = 0x5a;

    board(2);
    set_smram(0x4a);
    memory_write(&m->memory, 0xa0000, 1, 0xc3);
    EQ(cpu_reads(cpu, 0xa0000), 0xc3);
    set_smram(0x0a);
    ck_assert_uint_ne(cpu_reads(cpu, 0xa0000), 0xc3);
    smm(cpu, true);
    EQ(cpu_reads(cpu, 0xa0000), 0xc3);
    EQ(debugger_sees(cpu, 0xa0000), 0xc3);
    ck_assert_msg(cpu_reads(second(), 0xa0000) != 0xc3, "another CPU does not");
    memory_dma_read(&m->memory, 0xa0000, &byte, 1);
    ck_assert_uint_ne(byte, 0xc3);
    memory_dma_read(&m->memory, I386_SMRAM_VIEW | 0xa0000, &byte, 1);
    EQ(byte, 0xff);
    EQ(memory_write_bytes(&m->memory, I386_SMRAM_VIEW | 0xa0000, &byte, 1, false), 0);
    EQ(cpu_reads(cpu, 0xa0000), 0xc3);
    set_smram(0x2a); /* closed: data goes to the display, instructions do not */
    ck_assert_uint_ne(cpu_reads(cpu, 0xa0000), 0xc3);
    EQ(debugger_sees(cpu, 0xa0000), 0xc3);
    set_smram(0x02); /* switched off */
    ck_assert_uint_ne(cpu_reads(cpu, 0xa0000), 0xc3);
    machine_destroy(m);
}
END_TEST

START_TEST(locked_smram_stays_closed_until_a_reset)
{
    board(1);
    set_smram(0x4a);
    set_smram(0x5a);
    EQ(get_smram(), 0x1a);
    set_smram(0x4a);
    EQ(get_smram(), 0x1a);
    memory_write(&m->memory, 0xa0000, 1, 0xc3);
    machine_reset(m);
    EQ(get_smram(), 0x02);
    machine_destroy(m);
}
END_TEST

static void out_port(uint16_t port, unsigned size, uint32_t value)
{
    cpu->io_write(cpu->io_ctx, port, size, value);
}

START_TEST(port_b2_raises_an_smi_when_apmc_en_is_set)
{
    board(1);
    out_port(0xb2, 1, 0x33);
    EQ(cpu->st->smi_pending, 0);
    out_port(CONFIG, 4, 0x80000b40u);
    out_port(CONFIG + 4, 4, PM_BASE);
    out_port(CONFIG, 4, 0x80000b80u);
    out_port(CONFIG + 4, 1, 1);
    out_port(CONFIG, 4, PM_DEVACTB);
    EQ(cpu->io_read(cpu->io_ctx, CONFIG + 4, 4), 0);
    EQ(cpu->io_read(cpu->io_ctx, PM_BASE + 0x28, 4), 0); /* SMI_EN */
    out_port(CONFIG + 4, 4, 0x02000000);
    out_port(0xb3, 1, 0x44);
    EQ(cpu->st->smi_pending, 0);
    out_port(0xb2, 1, 0x34);
    EQ(cpu->st->smi_pending, 1);
    EQ(cpu->io_read(cpu->io_ctx, 0xb2, 1), 0x34);
    EQ(cpu->io_read(cpu->io_ctx, 0xb3, 1), 0x44);
    EQ(cpu->io_read(cpu->io_ctx, PM_BASE + 0x18, 2), 0x20);
    out_port(PM_BASE + 0x18, 2, 0x20);
    EQ(cpu->io_read(cpu->io_ctx, PM_BASE + 0x18, 2), 0);
    machine_destroy(m);
}
END_TEST

START_TEST(an_apic_message_raises_an_smi)
{
    board(2);
    second()->st->halted = 0;
    apic_message(&pc->apics, 1, false, APIC_SMI, 0, false);
    EQ(second()->st->smi_pending, 1);
    EQ(cpu->st->smi_pending, 0);
    machine_destroy(m);
}
END_TEST

/* A handler in SMRAM: counts in it, and what others see at the same address is a spoilt instruction. */
static uint64_t run_handler(bool jit, unsigned at_a_time)
{
    static const uint8_t handler_code[] = {
        0x2e, 0x66, 0xff, 0x06, 0x00, 0x90,       /* inc dword [cs:9000h] */
        0xb9, 0x20, 0x00, 0x49, 0x75, 0xfd,       /* mov cx, 32; dec cx; jnz -1 */
        0x0f, 0xaa,
    };
    static const uint8_t loop[] = {0x40, 0x75, 0xfd, 0xeb, 0xfb}; /* inc ax; jnz; jmp */
    uint64_t hash;

    board(1);
    if (jit)
        jit = with_jit(&cpu->u);
    set_smram(0x4a);
    for (unsigned i = 0; i < sizeof handler_code; i++)
        memory_write(&m->memory, 0xa8000 + i, 1, handler_code[i]);
    set_smram(0x0a);
    for (unsigned i = 0; i < sizeof loop; i++)
        memory_write(&m->memory, 0x7000 + i, 1, loop[i]);
    cpu->st->smbase = 0xa0000;
    cpu->st->seg[SEG_CS].base = cpu->st->seg[SEG_CS].selector = 0;
    cpu->st->rip = 0x7000;
    cpu->u.cpu.ops->drop_derived(&cpu->u.cpu);
    for (unsigned n = 0; n < 20; n++) {
        i386_raise_smi(cpu);
        for (unsigned done = 0; done < 1000; done += at_a_time) {
            struct stop stop;

            machine_run(m, m->st->position + at_a_time, &stop);
        }
    }
    EQ(cpu->st->smm, 0);
    smm(cpu, true);
    EQ(cpu_reads(cpu, 0xa9000), 20);
    smm(cpu, false);
    if (jit)
        ck_assert_uint_gt(blocks_compiled(&cpu->u), 0);
    hash = machine_hash(m);
    machine_destroy(m);
    return hash;
}

START_TEST(a_handler_in_smram_runs_the_same_compiled_interpreted_and_in_pieces)
{
    uint64_t hash = run_handler(false, 1000);

    EQ(run_handler(true, 1000), hash);
    EQ(run_handler(false, 1), hash);
    EQ(run_handler(true, 8), hash);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 smm");
    TCase *tc = tcase_create("smm");

    tcase_add_test(tc, rsm_outside_the_mode_is_undefined);
    tcase_add_test(tc, the_handler_begins_in_real_mode_with_segments_of_4_gib);
    tcase_add_test(tc, entry_and_rsm_are_a_step_each_and_bring_back_protected_mode);
    tcase_add_test(tc, rsm_goes_back_to_user_mode_virtual_8086_and_real_mode);
    tcase_add_test(tc, rsm_goes_back_to_paging_with_pae);
    tcase_add_test(tc, long_mode_is_saved_as_amd64_has_it);
    tcase_add_test(tc, the_smbase_in_the_map_is_where_the_next_smi_goes);
    tcase_add_test(tc, a_map_that_asks_for_what_cannot_be_shuts_down);
    tcase_add_test(tc, rsm_loads_what_the_handler_wrote_to_each_field);
    tcase_add_test(tc, a_halted_cpu_halts_again_unless_the_handler_says_otherwise);
    tcase_add_test(tc, smi_nmi_and_init_wait_for_the_end_of_the_mode);
    tcase_add_test(tc, iret_in_the_mode_lets_nmis_in);
    tcase_add_test(tc, a_repeated_instruction_goes_on_where_it_was);
    tcase_add_test(tc, an_smi_goes_before_a_debug_trap_which_is_not_lost);
    tcase_add_test(tc, smram_is_seen_in_the_mode_or_open_and_by_no_device);
    tcase_add_test(tc, locked_smram_stays_closed_until_a_reset);
    tcase_add_test(tc, port_b2_raises_an_smi_when_apmc_en_is_set);
    tcase_add_test(tc, an_apic_message_raises_an_smi);
    tcase_add_test(tc, a_handler_in_smram_runs_the_same_compiled_interpreted_and_in_pieces);
    suite_add_tcase(suite, tc);
    return suite;
}
