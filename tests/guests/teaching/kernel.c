/*
 * A kernel as courses on operating systems have it: its boot sector loads it from an IDE disk by programmed I/O, it runs in the
 * upper half on pages of 4 MiB, finds CPUs and APICs by the MP table, starts the others with INIT and STARTUP, has the timer of each
 * local APIC, reads and writes a second disk by interrupts, types on CGA memory and on a 16550A, and runs a program in ring 3.
 *
 * What it found, it says on the serial port; a line typed there is written to the second disk. 'q' ends it.
 */
#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#define P2V(a) ((void *)((u32)(a) + KERNBASE))
#define MOST_CPUS 8
enum { T_IRQ0 = 32, T_SYSCALL = 64, IRQ_TIMER = 0, IRQ_KBD = 1, IRQ_COM1 = 4, IRQ_IDE = 14, IRQ_ERROR = 19, IRQ_SPURIOUS = 31 };

extern u8 bss_start[], bss_end[], trampoline[], trampoline_end[], vectors[], user[], user_end[];

static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline void insl(u16 p, void *to, u32 n) { __asm__ volatile("cld; rep insl" : "+D"(to), "+c"(n) : "d"(p) : "memory"); }
static inline void outsl(u16 p, const void *from, u32 n) { __asm__ volatile("cld; rep outsl" : "+S"(from), "+c"(n) : "d"(p) : "memory"); }
static inline u32 xchg(volatile u32 *at, u32 v) { __asm__ volatile("lock; xchgl %0, %1" : "+m"(*at), "+r"(v) : : "memory"); return v; }

/* Identity (for the program, with U, at 4 MiB), the upper half, devices. */
__attribute__((aligned(4096), section(".data"))) u32 page_directory[1024] = {
    [0] = 0x83, [1] = 0x400087, [KERNBASE >> 22] = 0x83, [0xfec00000 >> 22] = 0xfec00083 + 0x10};
__attribute__((aligned(16), section(".data"))) u8 first_stack[4096] = {1};
static u8 stacks[MOST_CPUS][4096];

struct cpu {
    u8 apic_id;
    volatile u32 started, ticks;
    u32 tss[26];
    unsigned long long gdt[6];
};
static struct cpu cpus[MOST_CPUS];
static u32 ncpu;
static volatile u32 *lapic;
static u8 ioapic_id;
static struct { u32 offset_low_selector, rest; } idt[128];

/* ---- saying ---- */

static volatile u32 console_lock;
static u16 *const cga = P2V(0xb8000);

static void cga_put(int c)
{
    int at;

    outb(0x3d4, 14);
    at = inb(0x3d5) << 8;
    outb(0x3d4, 15);
    at |= inb(0x3d5);
    if (c == '\n')
        at += 80 - at % 80;
    else
        cga[at++] = (u16)(c | 0x700);
    if (at >= 24 * 80) {
        for (int i = 0; i < 23 * 80; i++)
            cga[i] = cga[i + 80];
        at -= 80;
        for (int i = at; i < 25 * 80; i++)
            cga[i] = 0x720;
    }
    outb(0x3d4, 14);
    outb(0x3d5, (u8)(at >> 8));
    outb(0x3d4, 15);
    outb(0x3d5, (u8)at);
}

static void put(int c)
{
    for (int i = 0; i < 128 && !(inb(0x3fd) & 0x20); i++)
        ;
    outb(0x3f8, (u8)c);
    cga_put(c);
}

/* %d, %x and %s. */
static void say(const char *text, ...)
{
    u32 *arg = (u32 *)(void *)&text + 1;
    char digits[12];

    while (xchg(&console_lock, 1))
        ;
    for (; *text; text++) {
        if (*text != '%') {
            put(*text);
            continue;
        }
        text++;
        if (*text == 's') {
            for (const char *s = (const char *)*arg; *s; s++)
                put(*s);
        } else {
            u32 v = *arg, base = *text == 'x' ? 16 : 10;
            int n = 0;

            do
                digits[n++] = "0123456789abcdef"[v % base];
            while (v /= base);
            while (n)
                put(digits[--n]);
        }
        arg++;
    }
    xchg(&console_lock, 0);
}

static void uart_init(void)
{
    outb(0x3fa, 0);
    outb(0x3fb, 0x80);
    outb(0x3f8, 115200 / 9600);
    outb(0x3f9, 0);
    outb(0x3fb, 3);
    outb(0x3fc, 0); /* without OUT2: on a PC, then, nothing interrupts */
    outb(0x3f9, 1);
    if (inb(0x3fd) == 0xff)
        return;
    inb(0x3fa);
    inb(0x3f8);
}

/* ---- CPUs, by the MP table ---- */

static int sum(const u8 *p, u32 n)
{
    int s = 0;

    while (n--)
        s += *p++;
    return s & 255;
}

static int same(const u8 *p, const char *text, u32 n)
{
    while (n--)
        if (*p++ != (u8)*text++)
            return 0;
    return 1;
}

static u8 *mp_in(u32 at, u32 len)
{
    for (u8 *p = P2V(at), *end = p + len; p < end; p += 16)
        if (same(p, "_MP_", 4) && sum(p, 16) == 0)
            return p;
    return 0;
}

static void mp_init(void)
{
    u8 *bda = P2V(0x400), *mp = 0, *table, *p;
    u32 at = (u32)(bda[0xf] << 8 | bda[0xe]) << 4;

    if (at)
        mp = mp_in(at, 1024);
    else
        mp = mp_in((u32)(bda[0x14] << 8 | bda[0x13]) * 1024 - 1024, 1024);
    if (!mp)
        mp = mp_in(0xf0000, 0x10000);
    if (!mp || !*(u32 *)(mp + 4)) {
        say("no MP table\n");
        return;
    }
    table = P2V(*(u32 *)(mp + 4));
    if (!same(table, "PCMP", 4) || (table[6] != 1 && table[6] != 4) || sum(table, *(u16 *)(table + 4))) {
        say("bad MP table\n");
        return;
    }
    lapic = (volatile u32 *)*(u32 *)(table + 36);
    for (p = table + 44; p < table + *(u16 *)(table + 4);) {
        if (*p == 0) {
            if (ncpu < MOST_CPUS)
                cpus[ncpu++].apic_id = p[1];
            p += 20;
        } else {
            if (*p == 2)
                ioapic_id = p[1];
            p += 8;
        }
    }
    if (mp[12] & 0x80) { /* IMCR */
        outb(0x22, 0x70);
        outb(0x23, inb(0x23) | 1);
    }
    say("%d CPUs, local APIC %x, I/O APIC %d\n", ncpu, (u32)lapic, ioapic_id);
}

/* ---- APICs ---- */

enum { ID = 8, VER = 12, TPR = 32, EOI = 44, SVR = 60, ESR = 160, ICRLO = 192, ICRHI = 196, TIMER = 200, PCINT = 208, LINT0 = 212,
       LINT1 = 216, ERROR = 220, TICR = 224, TDCR = 248 };

static void lapic_set(u32 index, u32 value)
{
    lapic[index] = value;
    (void)lapic[ID];
}

static void lapic_init(void)
{
    lapic_set(SVR, 0x100 | (T_IRQ0 + IRQ_SPURIOUS));
    lapic_set(TDCR, 0xb);
    lapic_set(TIMER, 0x20000 | (T_IRQ0 + IRQ_TIMER));
    lapic_set(TICR, 1000000);
    lapic_set(LINT0, 0x10000);
    lapic_set(LINT1, 0x10000);
    if ((lapic[VER] >> 16 & 255) >= 4)
        lapic_set(PCINT, 0x10000);
    lapic_set(ERROR, T_IRQ0 + IRQ_ERROR);
    lapic_set(ESR, 0);
    lapic_set(ESR, 0);
    lapic_set(EOI, 0);
    lapic_set(ICRHI, 0);
    lapic_set(ICRLO, 0x88500); /* INIT, level, deassert, to all */
    while (lapic[ICRLO] & 0x1000)
        ;
    lapic_set(TPR, 0);
}

static struct cpu *this_cpu(void)
{
    u32 id = lapic[ID] >> 24, n = 0;

    while (n < ncpu && cpus[n].apic_id != id)
        n++;
    return &cpus[n];
}

static volatile u32 *const ioapic = (volatile u32 *)0xfec00000;

static u32 ioapic_get(u32 reg)
{
    ioapic[0] = reg;
    return ioapic[4];
}

static void ioapic_set(u32 reg, u32 value)
{
    ioapic[0] = reg;
    ioapic[4] = value;
}

static void ioapic_init(void)
{
    u32 last = ioapic_get(1) >> 16 & 255;

    if (ioapic_get(0) >> 24 != ioapic_id)
        say("the I/O APIC's id is not the table's\n");
    for (u32 i = 0; i <= last; i++) {
        ioapic_set(16 + 2 * i, 0x10000 | (T_IRQ0 + i));
        ioapic_set(17 + 2 * i, 0);
    }
}

static void ioapic_enable(u32 irq, u32 cpu)
{
    ioapic_set(16 + 2 * irq, T_IRQ0 + irq);
    ioapic_set(17 + 2 * irq, (u32)cpus[cpu].apic_id << 24);
}

/* ---- disks ---- */

static volatile u32 ide_done;
static u8 block[512];
static int reading;

static int ide_wait(int check)
{
    u8 r;

    while (((r = inb(0x1f7)) & 0xc0) != 0x40)
        ;
    return check && (r & 0x21) ? -1 : 0;
}

static int second_disk(void)
{
    int there = 0;

    ide_wait(0);
    outb(0x1f6, 0xf0);
    for (int i = 0; i < 1000 && !there; i++)
        there = inb(0x1f7) != 0;
    outb(0x1f6, 0xe0);
    return there;
}

/* Interrupts end it. */
static void ide_do(u32 disk, u32 sector, int write)
{
    ide_done = 0;
    reading = !write;
    ide_wait(0);
    outb(0x3f6, 0);
    outb(0x1f2, 1);
    outb(0x1f3, (u8)sector);
    outb(0x1f4, (u8)(sector >> 8));
    outb(0x1f5, (u8)(sector >> 16));
    outb(0x1f6, (u8)(0xe0 | disk << 4 | (sector >> 24 & 15)));
    if (write) {
        outb(0x1f7, 0x30);
        outsl(0x1f0, block, 128);
    } else {
        outb(0x1f7, 0x20);
    }
    while (!ide_done)
        __asm__ volatile("sti; nop");
}

static void ide_interrupt(void)
{
    if (ide_done)
        return;
    if (reading && ide_wait(1) >= 0)
        insl(0x1f0, block, 128);
    ide_done = 1;
}

static u32 checksum(void)
{
    u32 s = 0;

    for (int i = 0; i < 512; i++)
        s = s * 31 + block[i];
    return s;
}

/* ---- traps ---- */

struct frame {
    u32 edi, esi, ebp, oesp, ebx, edx, ecx, eax, es, ds, number, error, eip, cs, eflags, esp, ss;
};
static char line[64];
static volatile u32 length, ended, user_ended;

void trap(struct frame *f);
void trap(struct frame *f)
{
    switch (f->number) {
    case T_IRQ0 + IRQ_TIMER:
        this_cpu()->ticks++;
        break;
    case T_IRQ0 + IRQ_IDE:
        ide_interrupt();
        break;
    case T_IRQ0 + IRQ_KBD:
        while (inb(0x64) & 1) {
            u8 key = inb(0x60);

            if (!(key & 0x80))
                say("key %x\n", key);
        }
        break;
    case T_IRQ0 + IRQ_COM1:
        while (inb(0x3fd) & 1) {
            char c = (char)inb(0x3f8);

            if (c == '\r' || c == '\n')
                ended = 1;
            else if (length < sizeof(line))
                line[length++] = c;
        }
        break;
    case T_IRQ0 + 7:
    case T_IRQ0 + IRQ_SPURIOUS:
        return;
    case T_SYSCALL:
        say("ring %d asks %d of %d\n", f->cs & 3, f->eax, f->ebx);
        f->eax = 35;
        return;
    case 13:
        if ((f->cs & 3) != 3)
            break;
        say("ring 3 does what it may not at %x\n", f->eip);
        user_ended = 1;
        for (;;)
            __asm__ volatile("sti; hlt");
    default:
        say("trap %d error %x at %x\n", f->number, f->error, f->eip);
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    lapic_set(EOI, 0);
}

static void idt_init(void)
{
    for (u32 n = 0; n < 128; n++) {
        u32 at = (u32)vectors + 16 * n;

        idt[n].offset_low_selector = 8 << 16 | (at & 0xffff);
        idt[n].rest = (at & 0xffff0000) | (n == T_SYSCALL ? 0xef00 : 0x8e00);
    }
}

static void lidt(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) r = {sizeof(idt) - 1, (u32)idt};

    __asm__ volatile("lidt %0" : : "m"(r));
}

static void segments(struct cpu *c)
{
    u32 base = (u32)c->tss;
    struct { u16 limit; u32 base; } __attribute__((packed)) r = {sizeof(c->gdt) - 1, (u32)c->gdt};

    c->gdt[1] = 0x00cf9a000000ffff;
    c->gdt[2] = 0x00cf92000000ffff;
    c->gdt[3] = 0x00cffa000000ffff;
    c->gdt[4] = 0x00cff2000000ffff;
    c->gdt[5] = (unsigned long long)(base >> 24) << 56 | 0x0000890000000000 | (unsigned long long)(base & 0xffffff) << 16 | 103;
    c->tss[1] = (u32)stacks[c - cpus] + sizeof(stacks[0]);
    c->tss[2] = 16;
    __asm__ volatile("lgdt %0\n ljmp $8, $1f\n1: movl %1, %%ds\n movl %1, %%es\n movl %1, %%ss\n movl %2, %%fs\n movl %2, %%gs\n ltr %w3"
                     : : "m"(r), "r"(16), "r"(0), "r"(5 << 3));
}

/* ---- other CPUs ---- */

static void other_main(void)
{
    struct cpu *c = this_cpu();

    segments(c);
    lapic_init();
    lidt();
    say("cpu%d runs\n", c - cpus);
    xchg(&c->started, 1);
    for (;;)
        __asm__ volatile("sti; hlt");
}

static void start_others(void)
{
    u8 *at = P2V(TRAMPOLINE);

    for (u32 i = 0; i < (u32)(trampoline_end - trampoline); i++)
        at[i] = trampoline[i];
    for (struct cpu *c = cpus; c < cpus + ncpu; c++) {
        if (c == this_cpu())
            continue;
        *(u32 *)(at - 4) = (u32)stacks[c - cpus] + sizeof(stacks[0]);
        *(u32 *)(at - 8) = (u32)other_main;
        outb(0x70, 0xf);
        outb(0x71, 0xa);
        *(u16 *)P2V(0x467) = 0;
        *(u16 *)P2V(0x469) = TRAMPOLINE >> 4;
        lapic_set(ICRHI, (u32)c->apic_id << 24);
        lapic_set(ICRLO, 0xc500);
        lapic_set(ICRLO, 0x8500);
        for (int i = 0; i < 2; i++) {
            lapic_set(ICRHI, (u32)c->apic_id << 24);
            lapic_set(ICRLO, 0x600 | TRAMPOLINE >> 12);
        }
        while (!c->started)
            ;
    }
}

__attribute__((unused)) static void run_user(void)
{
    u8 *to = (u8 *)0x400000;

    for (u32 i = 0; i < (u32)(user_end - user); i++)
        to[i] = user[i];
    __asm__ volatile("movl $0x23, %%eax\n movl %%eax, %%ds\n movl %%eax, %%es\n pushl $0x23\n pushl $0x401000\n pushl $0x202\n"
                     "pushl $0x1b\n pushl $0x400000\n iret" : : : "eax", "memory");
}

static void clock(void)
{
    u8 first[2], status;

    do {
        outb(0x70, 0xa);
        status = inb(0x71);
    } while (status & 0x80);
    outb(0x70, 9);
    first[0] = inb(0x71);
    outb(0x70, 0xb);
    first[1] = inb(0x71);
    say("year %x, status B %x\n", first[0], first[1]);
}

__attribute__((unused)) static void shell(void)
{
    for (;;) {
        say("$ ");
        while (!ended)
            __asm__ volatile("sti; hlt");
        for (u32 i = 0; i < 512; i++)
            block[i] = i < length ? (u8)line[i] : 0;
        if (block[0] == 'q')
            outb(0xf4, 20);
        ide_do(1, 5, 1);
        for (u32 i = 0; i < 512; i++)
            block[i] = 0;
        ide_do(1, 5, 0);
        say("kept: %s\n", (const char *)block);
        length = ended = 0;
    }
}

void kernel_main(void);
void kernel_main(void)
{
    for (u8 *p = bss_start; p < bss_end; p++)
        *p = 0;
    uart_init();
    say("teaching\n");
    mp_init();
    if (!ncpu)
        return;
    lapic_init();
    segments(&cpus[0]);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    ioapic_init();
    ioapic_enable(IRQ_KBD, 0);
    ioapic_enable(IRQ_COM1, 0);
    idt_init();
    lidt();
    ioapic_enable(IRQ_IDE, ncpu - 1);
    start_others();
    say("cpu0 runs\n");
    clock();
    ide_do(0, 1, 0);
    say("disk 0: %x\n", checksum());
    if (second_disk()) {
        ide_do(1, 3, 0);
        say("disk 1: %x\n", checksum());
    }
    for (struct cpu *c = cpus; c < cpus + ncpu; c++)
        while (c->ticks < 3)
            __asm__ volatile("sti; nop");
    say("all tick\n");
#ifdef PROGRAM
    run_user();
#else
    shell();
#endif
}
