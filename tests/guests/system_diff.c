/*
 * A guest for differential tests of the i386 system side: runs random cases of
 * segment loads, far transfers, gates, returns, tasks, flags, ports,
 * virtual-8086 code and page protection, and reports each on the debug console
 * (port E9h) as one line. Two emulators that agree print the same.
 *
 * Every exception vector has a task gate, so a case ends with a task switch
 * that saves its whole state in its TSS whatever its stack was; the handler's
 * task prints that, prepares the next case there, and returns to it by IRET.
 * Low memory is full of INT3, so a transfer that succeeds ends the case where
 * it lands.
 *
 * Built freestanding, loaded by Multiboot. The number of cases and the seed are
 * -DCASES and -DSEED; -DPAE: PAE paging with
 * execute-disable instead of 32-bit paging.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#ifndef CASES
#define CASES 4000
#endif
#ifndef SEED
#define SEED 1
#endif

#ifdef PAE
#define PAE_OR(pae, legacy) (pae)
#else
#define PAE_OR(pae, legacy) (legacy)
#endif

enum {
    KCODE = 0x08, KDATA = 0x10, UCODE = 0x1b, UDATA = 0x23, MAIN = 0x28, /* fixed selectors */
    SS1 = 0x31, SS2 = 0x3a,
    FIRST_RANDOM = 8, NRANDOM = 24,
    HANDLER_TSS = 32, /* GDT index of the first handler's TSS */
    NHANDLERS = 20,
    GDT_ENTRIES = HANDLER_TSS + NHANDLERS,
    CODE = 0x30000, STACK = 0x58000, DATA = 0x60000, LOW_END = 0x9f000,
    PAGED = 0x400000, /* linear address of DATA's page in cases of paging */
};

struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, gpr[8], seg[6], ldt;
    u16 trap, io_map;
    u8 map[0x2004];
} __attribute__((packed));

static struct { u32 lo, hi; } gdt[GDT_ENTRIES] __attribute__((aligned(8))), idt[256] __attribute__((aligned(8))),
    ldt[8] __attribute__((aligned(8)));
static struct tss tss_main, tss_other[4];
static struct tss tss_handler[NHANDLERS];
static u8 handler_stack[NHANDLERS][2048] __attribute__((aligned(16)));
static u32 page_dir[1024] __attribute__((aligned(4096))), page_table[1024] __attribute__((aligned(4096))),
    page_table_1[1024] __attribute__((aligned(4096)));
static u32 page_pointers[8] __attribute__((aligned(32), unused)); /* PAE */
u32 error_code;
static u32 number, kind, rng = SEED;
static u32 seg_selector; /* the random selector of the case */

/* ---- output ---- */

static void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }

static void put(char c) { outb(0xe9, (u8)c); }

static void hex(u32 v)
{
    int digits = 1;

    while (digits < 8 && v >> (4 * digits))
        digits++;
    while (digits--)
        put("0123456789abcdef"[v >> (4 * digits) & 15]);
    put(' ');
}

/* ---- random ---- */

static u32 rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 17;
    rng ^= rng << 5;
    return rng;
}

static u32 below(u32 n) { return (rnd() >> 8) % n; }

#define PICK(...) \
    ({ static const u32 list_[] = {__VA_ARGS__}; list_[below(sizeof list_ / sizeof list_[0])]; })

/* ---- tables ---- */

static void set_descriptor(u32 i, u32 base, u32 limit, u32 type, u32 flags)
{
    gdt[i].lo = base << 16 | (limit & 0xffff);
    gdt[i].hi = (base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | (base >> 16 & 0xff);
}

static void set_idt(u32 v, u32 selector, u32 offset, u32 type)
{
    idt[v].lo = selector << 16 | (offset & 0xffff);
    idt[v].hi = (offset & 0xffff0000) | type << 8;
}

static u32 random_selector(void)
{
    u32 index = below(10) ? FIRST_RANDOM + below(NRANDOM) : below(HANDLER_TSS + 2);
    u32 table = below(12) ? 0 : 4;

    if (table)
        index = below(10);
    return index << 3 | table | below(4);
}

static u32 random_offset(void) { return PICK(0x44000, 0x45000, 0x2000, 0x3456, 0x4000, 0xfffe, 0x10000); }

static void random_segment(u32 *lo, u32 *hi)
{
    u32 base = PICK(0, 0, 0, 0x1000, 0x40000, 0x44000), limit = 0xfffff; /* limits of targets are not checked alike */
    u32 type = (below(8) ? 0x80 : 0) | below(4) << 5 | 0x10 | below(16);
    u32 flags = below(2) << 3 | below(2) << 2 | below(2);

    *lo = base << 16 | (limit & 0xffff);
    *hi = (base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | (base >> 16 & 0xff);
}

static void random_gate(u32 *lo, u32 *hi, u32 type)
{
    u32 offset = random_offset();

    u32 selector = random_selector();

    if (type == 5)
        selector &= ~4u; /* a TSS in the LDT: #GP here (SDM 2, CALL, INT), #TS there */
    if (type < 8)
        offset &= 0xffff; /* of 16 bits; reserved bits there are not ignored alike */
    *lo = selector << 16 | (offset & 0xffff);
    *hi = (offset & 0xffff0000) | (below(8) ? 0x8000 : 0) | below(4) << 13 | type << 8 | (type == 4 || type == 12 ? below(4) : 0);
}

static void random_system(u32 i)
{
    u32 which = below(8), present = below(8) ? 0x80 : 0, dpl = below(4) << 5;

    if (which < 4)
        random_gate(&gdt[i].lo, &gdt[i].hi, PICK(4, 12, 12, 12, 5));
    else if (which < 6)
        set_descriptor(i, (u32)&tss_other[below(4)], below(6) ? 0x67 : PICK(0x66, 0x20, 0xfff), present | dpl | PICK(9, 9, 9, 11), 0);
    else if (which == 6)
        set_descriptor(i, (u32)ldt, 0x3f, present | dpl | 2, 0);
    else
        set_descriptor(i, below(0x10000), 0xffff, present | dpl | PICK(0, 6, 7, 8, 10, 13, 14, 15), 0);
}

static void random_tables(void)
{
    for (u32 i = FIRST_RANDOM; i < FIRST_RANDOM + NRANDOM; i++) {
        if (below(3))
            random_segment(&gdt[i].lo, &gdt[i].hi);
        else
            random_system(i);
    }
    for (u32 i = 0; i < 8; i++)
        random_segment(&ldt[i].lo, &ldt[i].hi);
    for (u32 v = 0x90; v < 0xa0; v++)
        random_gate(&idt[v].lo, &idt[v].hi, PICK(5, 6, 7, 14, 14, 14, 15, 15, 12));
}

static void flat_task(struct tss *t, u32 cpl)
{
    t->link = 0;
    t->esp0 = STACK + 0x1000;
    t->ss0 = KDATA;
    t->esp1 = STACK + 0x2000;
    t->ss1 = SS1;
    t->esp2 = STACK + 0x3000;
    t->ss2 = SS2;
    t->cr3 = (u32)PAE_OR(page_pointers, page_dir);
    t->eip = CODE;
    t->eflags = 2;
    for (u32 i = 0; i < 8; i++)
        t->gpr[i] = 0x1000 + i;
    t->gpr[4] = STACK;
    for (u32 i = 0; i < 6; i++)
        t->seg[i] = cpl ? UDATA : KDATA;
    t->seg[1] = cpl ? UCODE : KCODE;
    t->ldt = 0;
    t->trap = 0;
    t->io_map = 0x68;
}

/* ---- cases ---- */

static u8 *code;

static void emit(u32 n, u32 bytes)
{
    while (n--) {
        *code++ = (u8)bytes;
        bytes >>= 8;
    }
}

static void emit32(u32 v) { emit(4, v); }
static void emit16(u32 v) { emit(2, v); }

static void push_imm(u32 v)
{
    emit(1, 0x68);
    emit32(v);
}

static void case_far(u32 opcode)
{
    u32 op16 = !below(4);

    if (op16)
        emit(1, 0x66);
    emit(1, opcode);
    if (op16)
        emit16(random_offset());
    else
        emit32(random_offset());
    emit16(seg_selector);
}

static void case_return(u32 iret)
{
    /* At other levels than 0 VM is ignored, and EIP is checked, but not by every emulator. */
    u32 vm = iret && tss_main.seg[1] == KCODE && !below(4) ? 0x20000 : 0;
    u32 ss = below(3) ? (UDATA & ~3u) | (seg_selector & 3) : random_selector();

    if (!below(3))
        ss = PICK(KDATA, SS1, SS2, UDATA);
    push_imm(ss);
    push_imm(STACK + 0x4000);
    if (!iret && below(2)) {
        push_imm(rnd());
        push_imm(rnd());
    }
    if (iret)
        push_imm((rnd() & 0x243ed5 & ~0x100u) | 2 | vm);
    push_imm(seg_selector);
    push_imm(vm ? random_offset() & 0xffff : random_offset());
    if (iret) {
        emit(1, 0xcf);
    } else if (below(2)) {
        emit(1, 0xca);
        emit16(below(3) * 4);
    } else {
        emit(1, 0xcb);
    }
}

static void random_other_tasks(void)
{
    for (u32 i = 0; i < 4; i++) {
        u32 cpl = below(2) * 3;

        flat_task(&tss_other[i], cpl);
        tss_other[i].eip = random_offset();
        tss_other[i].eflags = 2 | (rnd() & 0x600ed5u & ~0x4000u);
        for (u32 k = 0; k < 6; k++)
            if (!below(6))
                tss_other[i].seg[k] = random_selector();
        if (!below(3))
            tss_other[i].ldt = random_selector();
    }
}

static void case_vm86(void)
{
    static const u8 list[][4] = {{0xfa}, {0xfb}, {0x9c}, {0x9d}, {0xcd, 0x90}, {0xcf}, {0xf4}, {0xe6, 0x80},
        {0x8c, 0xd8}, {0x8e, 0xd8}, {0x0f, 0x00, 0xd0}, {0x0f, 0x01, 0xe0}, {0x0f, 0x20, 0xc0}, {0x66, 0x9c}, {0x66, 0x9d},
        {0xcb}, {0x9a, 0x00, 0x20, 0x00}, {0xea, 0x56, 0x34, 0x00}, {0x0f, 0x06}, {0xcd, 0x03}, {0x63, 0xc0},
        {0x0f, 0x32}, {0x0f, 0x08}, {0x0f, 0x02, 0xc0}, {0xce}};
    u32 i = below(sizeof list / sizeof list[0]);

    for (u32 k = 0; k < 4; k++)
        emit(1, list[i][k]);
    emit(1, 0);
    code[-1] = list[i][0] == 0x9a || list[i][0] == 0xea ? 0x30 : 0xcc;
    for (u32 k = 3; k && list[i][0] != 0x9a && list[i][0] != 0xea && !list[i][k]; k--)
        code[(int)k - 5] = list[i][k] || k == 1 ? code[(int)k - 5] : 0xcc;
    tss_main.eflags = 2 | 0x20000 | below(4) << 12 | (rnd() & 0x6d5);
    for (u32 k = 0; k < 6; k++)
        tss_main.seg[k] = (u16)(k == 1 ? CODE >> 4 : k == 2 ? 0x5000 : rnd() & 0x3fff);
    tss_main.eip = 0;
    tss_main.gpr[4] = 0x7000 + below(2) * 0xffff0000u * 0;
    for (u32 k = 0; k < 8; k++)
        ((u16 *)0x57000)[k] = (u16)(k & 1 ? 0x3000 : rnd() & 0x7ed7);
}

static void case_page(void)
{
    u32 offset = PICK(0, 4, 0xffe, 0xfffffffe, 0x7fc);

#ifdef PAE
    page_table_1[0] = DATA | (rnd() & 0x66) | (below(6) ? 1 : 0);
    page_table_1[1] = (below(3) ? 0 : 0x80000000u) | (below(8) ? 0 : 1u << below(31));
    page_dir[4] = (u32)page_table_1 | (rnd() & 0x26) | (below(8) ? 1 : 0);
    page_dir[5] = (below(5) ? 0 : 0x80000000u) | (below(12) ? 0 : 0x10u << below(27));
#else
    page_table_1[0] = DATA | (rnd() & 0x66) | (below(6) ? 1 : 0);
    page_dir[1] = (u32)page_table_1 | (rnd() & 0x26) | (below(8) ? 1 : 0);
#endif
    if (below(3)) {
        emit(1, below(2) ? 0x89 : 0x8b); /* mov [PAGED + n], eax or back */
        emit(1, 0x05);
        emit32(PAGED + offset);
    } else {
        emit(1, 0xe9); /* jmp PAGED + n */
        emit32(PAGED + (offset & 0xff) - ((u32)code + 4));
    }
}

static void case_flags(void)
{
    push_imm(rnd() & ~0x100u);
    if (below(2))
        emit(1, 0x66);
    emit(1, 0x9d);
    if (below(2)) {
        emit(1, 0x9c);
        emit(1, 0x5b);
    }
    tss_main.eflags |= below(4) << 12 | below(2) << 9;
}

static void case_port(void)
{
    for (u32 i = 0; i < 64; i++)
        tss_main.map[i] = (u8)(rnd() & rnd() & rnd());
    tss_main.io_map = (u16)PICK(0x68, 0x68, 0x60, 0x2068, 0xffff);
    tss_main.gpr[2] = below(2) ? below(512) : 0xfffe; /* DX; nothing is read from devices: */
    tss_main.eflags |= below(4) << 12;
    emit(1, 0xb0 | 0); /* mov al, 0: out to port 80h only */
    emit(1, 0);
    if (below(2)) {
        emit(2, 0x80e6 | 0); /* out 80h, al */
        tss_main.map[0x10] = (u8)(rnd() & 3);
        return;
    }
    emit(1, 0xba);
    emit32(0x80);
    tss_main.map[0x10] = (u8)(rnd() & 0x11);
    emit(1, PICK(0xee, 0xef));
}

static void mov_selector(void)
{
    emit(1, 0xb8);
    emit32(seg_selector | (below(8) ? 0 : rnd() << 16));
}

static void next_case(void)
{
    u32 cpl = below(2) * 3;

    number++;
    kind = below(18);
    code = (u8 *)CODE;
    for (u32 i = 0; i < 64; i++)
        code[i] = 0xcc;
    for (u32 a = STACK - 0x100; a < STACK + 0x4000; a += 4)
        *(u32 *)a = 0;
    random_tables();
    random_other_tasks();
    flat_task(&tss_main, cpl);
    page_dir[PAE_OR(4, 1)] = 0;
    *(volatile u32 *)DATA = *(volatile u32 *)(DATA + 4) = 0xcccccccc;
    seg_selector = random_selector();
    if (!below(3))
        tss_main.ldt = 0x38 | 0; /* slot 7 is an LDT */
    switch (kind) {
    case 0: /* mov sreg, ax */
        mov_selector();
        emit(1, 0x8e);
        emit(1, PICK(0xc0, 0xd0, 0xd8, 0xe0, 0xe8));
        break;
    case 1: case 2: /* lar, lsl */
        mov_selector();
        if (!below(3))
            emit(1, 0x66);
        emit(1, 0x0f);
        emit(1, kind == 1 ? 2 : 3);
        emit(1, 0xd8);
        break;
    case 3: /* verr, verw, arpl */
        mov_selector();
        if (!below(3)) {
            emit(2, 0xd863);
            tss_main.gpr[3] = below(4);
        } else {
            emit(2, 0x000f);
            emit(1, below(2) ? 0xe0 : 0xe8);
        }
        break;
    case 4: case 5: case_far(0xea); break;
    case 6: case 7: case_far(0x9a); break;
    case 8: case_return(0); break;
    case 9: case 10: case_return(1); break;
    case 11: /* int n */
        emit(1, 0xcd);
        emit(1, 0x90 + below(16));
        break;
    case 12: /* lldt, ltr */
        if (below(4)) {
            for (u32 i = 0; i < 6; i++)
                tss_main.seg[i] = i == 1 ? KCODE : KDATA;
        }
        if (seg_selector < 4)
            seg_selector = 0x40; /* LTR of a null selector: #GP(0) here */
        mov_selector();
        emit(2, 0x000f);
        emit(1, below(2) ? 0xd0 : 0xd8);
        break;
    case 13: case_vm86(); break;
    case 14: case_flags(); break;
    case 15: case_port(); break;
    case 16: case_page(); break;
    case 17: /* pop sreg, lss, les */
        *(u32 *)DATA = rnd();
        *(u32 *)(DATA + 4) = seg_selector;
        if (below(2)) {
            push_imm(seg_selector);
            emit(1, PICK(0x07, 0x1f, 0x17));
        } else {
            emit(1, 0x0f);
            emit(1, PICK(0xb2, 0xb4, 0xb5));
            emit(1, 0x1d);
            emit32(DATA);
        }
        break;
    }
}

/* ---- the handlers' tasks ---- */

/* Whether a transfer sets the accessed bit of a code segment is where emulators differ. */
static void mark_accessed(void)
{
    for (u32 i = FIRST_RANDOM; i < FIRST_RANDOM + NRANDOM; i++)
        if (gdt[i].hi & 0x1000)
            gdt[i].hi |= 0x100;
    for (u32 i = 0; i < 8; i++)
        ldt[i].hi |= 0x100;
}

static u32 sum(const void *p, u32 bytes)
{
    const u32 *w = p;
    u32 s = 0;

    for (u32 i = 0; i < bytes / 4; i++)
        s = (s << 5 | s >> 27) ^ w[i];
    return s;
}

static struct tss *tss_of(u32 selector)
{
    u32 i = selector >> 3;

    return (struct tss *)((gdt[i].hi & 0xff000000) | (gdt[i].hi & 0xff) << 16 | gdt[i].lo >> 16);
}

static void report(u32 vector, const struct tss *t, u32 link)
{
    u32 cr2;

    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    mark_accessed();
    hex(number);
    hex(kind);
    hex(seg_selector);
    put(':');
    if (link != MAIN && vector >= 10 && vector <= 12) {
        /* A fault in a new task: several segments may be bad, and the order of checks is free. */
        vector = 10;
        error_code = 0;
    }
    /* JMP by a gate to code that is not present: #NP in the manual (SDM 2A, JMP), #GP in QEMU. */
    if ((kind == 4 || kind == 5) && vector == 11 && (error_code & ~7u) != (seg_selector & ~7u))
        vector = 13;
    if (vector == 14 && error_code & 8)
        error_code |= 1; /* SDM 3A 4.7: RSVD comes with P; not everywhere */
    hex(vector);
    hex(error_code);
    if (vector == 14)
        hex(cr2);
    hex(link);
    /* A fault in a new task belongs to its first instruction, here. */
    hex(link != MAIN && vector >= 10 ? 0 : t->eip);
    hex(t->eflags & ~0x10000u);
    for (u32 i = 0; i < 8; i++)
        hex(t->gpr[i]);
    /* CS.RPL after a call gate to conforming code: the level stays, not everywhere. */
    for (u32 i = 0; i < 6; i++)
        hex((t->seg[i] & 0xffff) | (i == 1 && (kind == 6 || kind == 7) ? 3 : 0));
    hex(sum(&gdt[FIRST_RANDOM], NRANDOM * 8));
    hex(sum(ldt, sizeof ldt));
    hex(sum((void *)(STACK - 0x100), 0x4100));
    if (kind == 16) {
        hex(page_table_1[0] & ~(vector == 14 ? 0x20u : 0)); /* A after a fault: implementation's choice */
        hex(page_dir[PAE_OR(4, 1)] & ~(vector == 14 ? 0x20u : 0));
    }
    put('\n');
}

void handle(u32 vector);
void handle(u32 vector)
{
    struct tss *self = &tss_handler[vector];
    u32 link = self->link & 0xffff;

    if (number)
        report(vector, tss_of(link), link);
    error_code = 0;
    if (number == CASES) {
        outb(0xe9, '.');
        outb(0xf4, 0);
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    next_case();
    self->link = MAIN;
    set_descriptor(MAIN >> 3, (u32)&tss_main, sizeof tss_main - 1, 0x8b, 0);
    __asm__ volatile("mov %0, %%cr3" : : "r"(PAE_OR(page_pointers, page_dir)));
}

/* Stub n at stubs + 32 n. */
__asm__(
    ".globl stubs\n.balign 32\nstubs:\n"
    ".set vector, 0\n"
    ".rept 20\n"
    ".balign 32\n"
    "1:\n"
    ".if vector == 8 || vector == 17 || (vector >= 10 && vector <= 14)\n popl error_code\n .endif\n"
    "pushl $vector\n call handle\n addl $4, %esp\n iret\n jmp 1b\n"
    ".set vector, vector + 1\n"
    ".endr\n");
extern u8 stubs[];

/* The first 4 MiB (2 MiB with PAE), one to one, for everybody. */
static void make_page_tables(void)
{
#ifdef PAE
    for (u32 i = 0; i < 512; i++)
        page_table[2 * i] = i << 12 | 7;
    page_pointers[0] = (u32)page_dir | 1;
    __asm__ volatile("mov $0xc0000080, %%ecx; rdmsr; or $0x800, %%eax; wrmsr; mov %%cr4, %%eax; or $0x20, %%eax; mov %%eax, %%cr4"
                     : : : "eax", "ecx", "edx");
#else
    for (u32 i = 0; i < 1024; i++)
        page_table[i] = i << 12 | 7;
#endif
    page_dir[0] = (u32)page_table | 7;
}

void start(void);
void start(void)
{
    struct { u16 limit; void *base; } __attribute__((packed)) dtr;

    u32 low = 0, low_bytes = LOW_END;

    outb(0x21, 0xff); /* no interrupts from outside */
    outb(0xa1, 0xff);
    __asm__ volatile("rep stosb" : "+D"(low), "+c"(low_bytes) : "a"(0xcc) : "memory");
    set_descriptor(KCODE >> 3, 0, 0xfffff, 0x9b, 12);
    set_descriptor(KDATA >> 3, 0, 0xfffff, 0x93, 12);
    set_descriptor(UCODE >> 3, 0, 0xfffff, 0xfb, 12);
    set_descriptor(UDATA >> 3, 0, 0xfffff, 0xf3, 12);
    set_descriptor(MAIN >> 3, (u32)&tss_main, sizeof tss_main - 1, 0x89, 0);
    set_descriptor(SS1 >> 3, 0, 0xfffff, 0xb3, 12);
    set_descriptor(7, (u32)ldt, 0x3f, 0x82, 0);
    for (u32 v = 0; v < 256; v++)
        set_idt(v, 0, 0, 0);
    for (u32 v = 0; v < NHANDLERS; v++) {
        struct tss *t = &tss_handler[v];

        flat_task(t, 0);
        t->eip = (u32)stubs + 32 * v;
        t->gpr[4] = (u32)&handler_stack[v][2048];
        set_descriptor(HANDLER_TSS + v, (u32)t, 0x67, 0x89, 0);
        set_idt(v, (HANDLER_TSS + v) << 3, 0, v == 3 ? 0xe5 : 0x85);
    }
    make_page_tables();
    dtr.limit = sizeof gdt - 1;
    dtr.base = gdt;
    __asm__ volatile("lgdt %0" : : "m"(dtr));
    dtr.limit = sizeof idt - 1;
    dtr.base = idt;
    __asm__ volatile("lidt %0" : : "m"(dtr));
    __asm__ volatile("mov %0, %%cr3; mov %%cr0, %%eax; or $0x80010001, %%eax; and $0x9fffffff, %%eax; mov %%eax, %%cr0" : : "r"(PAE_OR(page_pointers, page_dir)) : "eax", "memory");
    __asm__ volatile("ljmp $8, $1f\n1: mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; mov %0, %%ss" : : "r"(KDATA));
    __asm__ volatile("ltr %w0; int3" : : "r"(MAIN));
    for (;;)
        ;
}

__asm__(
    ".section .multiboot, \"a\"\n.balign 4\n.long 0x1badb002, 0, -0x1badb002\n"
    ".text\n.globl _start\n_start:\n cli\n mov $0x90000, %esp\n call start\n");
