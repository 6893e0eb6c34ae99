/*
 * A kernel as tutorials teach one to write it, and a test of the machine that it
 * runs on: each claim is printed as "ok ..." or "FAIL ..." on the screen, on the
 * debug console (port E9h) and on COM1. Words of the command line:
 *   (none)    all claims, then isa-debug-exit with 10h
 *   triple    a triple fault
 *   keys      echo what is typed until Enter, then isa-debug-exit with 11h
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define OFFSET 0xc0000000u
#define SCREEN ((volatile u16 *)(OFFSET + 0xb8000))

struct frame {
    u32 ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, user_esp, user_ss;
};

extern u32 page_directory[1024];
extern u8 entries[], user_int80[], user_sysenter[], user_cli[], double_fault_entry[], overflow_done[], sysenter_entry[],
    stack_top[], kernel_end[];
void load_gdt(void *);
int enter_user(void *eip, u32 esp);
void leave_user(int) __attribute__((noreturn));
void overflow_stack(u32 esp);
void interrupt(struct frame *);
void double_fault(void);
void kernel_main(u32 magic, u32 info);

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
static inline u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 inl(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u64 rdtsc(void) { u64 v; __asm__ volatile("rdtsc" : "=A"(v)); return v; }
static inline void wrmsr(u32 n, u64 v) { __asm__ volatile("wrmsr" ::"c"(n), "A"(v)); }
static inline u64 rdmsr(u32 n) { u64 v; __asm__ volatile("rdmsr" : "=A"(v) : "c"(n)); return v; }
static inline void cpuid(u32 leaf, u32 r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

void *memset(void *p, int c, unsigned n);
void *memset(void *p, int c, unsigned n)
{
    for (u8 *q = p; n--;)
        *q++ = (u8)c;
    return p;
}

/* ---- console ---- */

static u32 row, column;

static void move_cursor(void)
{
    u32 at = row * 80 + column;

    outb(0x3d4, 0x0e);
    outb(0x3d5, (u8)(at >> 8));
    outb(0x3d4, 0x0f);
    outb(0x3d5, (u8)at);
}

static void scroll(void)
{
    for (u32 i = 0; i < 24 * 80; i++)
        SCREEN[i] = SCREEN[i + 80];
    for (u32 i = 24 * 80; i < 25 * 80; i++)
        SCREEN[i] = 0x0720;
    row = 24;
}

static void put(char c)
{
    outb(0xe9, (u8)c);
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, (u8)c);
    if (c == '\n') {
        row++;
        column = 0;
    } else {
        SCREEN[row * 80 + column++] = (u16)(0x0f00 | (u8)c);
    }
    if (column == 80) {
        column = 0;
        row++;
    }
    if (row == 25)
        scroll();
    move_cursor();
}

static void print(const char *s)
{
    while (*s)
        put(*s++);
}

static int failures;

static void check(const char *claim, int holds)
{
    print(holds ? "ok   " : "FAIL ");
    print(claim);
    put('\n');
    failures += !holds;
}

static int begins(const void *a, const char *b)
{
    const char *p = a;

    while (*b)
        if (*p++ != *b++)
            return 0;
    return 1;
}

/* ---- descriptors ---- */

struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds,
        fs, gs, ldt, iomap;
};
static struct tss tss, fault_tss;
static u64 gdt[8], idt[256];
static u8 fault_stack[4096] __attribute__((aligned(16)));

static u64 descriptor(u32 base, u32 limit, u32 access, u32 flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static void set_gate(unsigned n, u32 offset, u32 selector, u32 type)
{
    idt[n] = (offset & 0xffff) | (u64)selector << 16 | (u64)type << 40 | (u64)(offset >> 16) << 48;
}

static void make_tables(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) pointer;

    gdt[1] = descriptor(0, 0xfffff, 0x9a, 0xc);
    gdt[2] = descriptor(0, 0xfffff, 0x92, 0xc);
    gdt[3] = descriptor(0, 0xfffff, 0xfa, 0xc);
    gdt[4] = descriptor(0, 0xfffff, 0xf2, 0xc);
    gdt[5] = descriptor((u32)&tss, sizeof(tss) - 1, 0x89, 0);
    gdt[6] = descriptor((u32)&fault_tss, sizeof(fault_tss) - 1, 0x89, 0);
    tss.ss0 = fault_tss.ss = fault_tss.ds = fault_tss.es = fault_tss.fs = fault_tss.gs = 0x10;
    tss.esp0 = (u32)stack_top - 8192;
    tss.iomap = fault_tss.iomap = sizeof(tss) << 16;
    fault_tss.cs = 0x08;
    fault_tss.eip = (u32)double_fault_entry;
    fault_tss.esp = (u32)fault_stack + sizeof(fault_stack);
    fault_tss.eflags = 2;
    tss.cr3 = fault_tss.cr3 = (u32)page_directory - OFFSET;
    pointer.limit = sizeof(gdt) - 1;
    pointer.base = (u32)gdt;
    load_gdt(&pointer);
    for (unsigned n = 0; n < 256; n++)
        set_gate(n, (u32)entries + 16 * n, 0x08, n == 0x80 ? 0xee : 0x8e);
    set_gate(8, 0, 0x30, 0x85); /* double fault: a task gate */
    pointer.limit = sizeof(idt) - 1;
    pointer.base = (u32)idt;
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

/* ---- interrupts ---- */

static volatile u32 ticks, rtc_ticks, apic_ticks, keys, last_key, fault_vector, fault_error, fault_address, faults,
    double_faults;
static u32 fault_resume; /* where to go on after an expected fault; 0: after the instruction's 2 bytes */
static int in_user;

void double_fault(void)
{
    double_faults++;
    tss.eip = (u32)overflow_done; /* the interrupted task's registers are in its TSS */
    tss.esp = tss.ecx;
}

static void irq(struct frame *f)
{
    switch (f->vector - 0x20) {
    case 0:
        ticks++;
        break;
    case 1:
        last_key = inb(0x60);
        keys++;
        break;
    case 8:
        outb(0x70, 0x0c);
        inb(0x71);
        rtc_ticks++;
        outb(0xa0, 0x20);
        break;
    }
    outb(0x20, 0x20);
}

void interrupt(struct frame *f)
{
    if (f->vector == 0x80) {
        if (f->eax == 1)
            leave_user((int)f->ebx);
        f->eax += 37;
    } else if (f->vector == 0x40) {
        apic_ticks++;
        *(volatile u32 *)0xfee000b0 = 0;
    } else if (f->vector >= 0x20 && f->vector < 0x30) {
        irq(f);
    } else {
        faults++;
        fault_vector = f->vector;
        fault_error = f->error;
        __asm__ volatile("movl %%cr2, %0" : "=r"(fault_address));
        if (in_user)
            leave_user(-1);
        if (fault_resume)
            f->eip = fault_resume;
        f->eflags = (f->eflags & ~0x100u) | 0x10000u; /* TF off; RF: past an instruction breakpoint */
    }
}

static void remap_pic(void)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, 0x20);
    outb(0xa1, 0x28);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, 0xf8); /* timer, keyboard, cascade */
    outb(0xa1, 0xfe); /* RTC */
}

static void set_pit(u32 hz)
{
    u32 divisor = 1193182 / hz;

    outb(0x43, 0x36);
    outb(0x40, (u8)divisor);
    outb(0x40, (u8)(divisor >> 8));
}

/* Run an instruction that faults; the vector, or ~0. */
#define FAULTS(instruction) ({ \
    fault_vector = ~0u; \
    __asm__ volatile("movl $1f, %0\n" instruction "\n1:" : "=m"(fault_resume)::"eax", "ecx", "edx", "memory", "cc"); \
    fault_resume = 0; \
    fault_vector; })

/* ---- claims ---- */

static void claim_timer(void)
{
    u64 from, to;
    u32 t;

    set_pit(100);
    __asm__ volatile("sti");
    t = ticks;
    while (ticks == t)
        __asm__ volatile("hlt");
    from = rdtsc();
    t = ticks;
    while (ticks - t < 5)
        __asm__ volatile("hlt");
    to = rdtsc();
    check("PIT wakes HLT 100 times a second", ticks - t == 5);
    check("TSC advances between ticks", to > from);
}

static void claim_exceptions(void)
{
    check("#DE by dividing by zero", FAULTS("xorl %%ecx, %%ecx\n divl %%ecx") == 0);
    check("#BP by int3", FAULTS("int3") == 3);
    check("#UD by ud2", FAULTS("ud2") == 6);
    check("#GP by a bad selector", FAULTS("movl $0x7b, %%eax\n movl %%eax, %%fs") == 13 && fault_error == 0x78);
    check("#PF with CR2", FAULTS("movl %%eax, 0xdeadb000") == 14 && fault_address == 0xdeadb000u && fault_error == 2);
    check("#PF by writing what is read-only, as WP is set",
          FAULTS("movl $0xffc00000, %%eax\n movl %%eax, 0xd0000000") == 14);
    fault_vector = 0;
    __asm__ volatile("pushfl\n orl $0x100, (%%esp)\n popfl\n nop" ::: "cc", "memory");
    check("#DB by single step", fault_vector == 1);
    double_faults = 0;
    overflow_stack(0xd8000000u);
    check("#DF by a task gate when the stack is gone", double_faults == 1);
}

static void claim_paging(void)
{
    volatile u32 *pde = (u32 *)0xfffff000, *pte = (u32 *)0xffc00000;
    static u32 table[1024] __attribute__((aligned(4096))), page[1024] __attribute__((aligned(4096)));
    volatile u32 *mapped = (u32 *)0xe0000000;

    check("the page directory is mapped into itself", (pde[1023] & ~0xfffu) == (u32)page_directory - OFFSET);
    pde[0xe0000000u >> 22] = ((u32)table - OFFSET) | 3;
    pte[0xe0000000u >> 12] = ((u32)page - OFFSET) | 3;
    mapped[5] = 1234;
    check("a page mapped through it is there", page[5] == 1234);
    check("accessed and dirty bits are set", (table[0] & 0x60) == 0x60);
    pte[0xe0000000u >> 12] = 0;
    __asm__ volatile("invlpg (%0)" ::"r"(mapped) : "memory");
    check("and gone after INVLPG", FAULTS("movl 0xe0000000, %%eax") == 14 && fault_address == 0xe0000000u);
    pde[0] = 0;
    __asm__ volatile("movl %%cr3, %%eax\n movl %%eax, %%cr3" ::: "eax", "memory");
    check("the identity map can go", FAULTS("movl 0x1000, %%eax") == 14);
}

static void claim_ring_3(void)
{
    static u8 user_stack[4096] __attribute__((aligned(16)));
    volatile u32 *pde = (u32 *)0xfffff000, *pte = (u32 *)0xffc00000;

    pde[OFFSET >> 22] |= 4; /* this kernel has no secrets */
    for (u32 n = 0; n < 1024; n++)
        pte[(OFFSET >> 12) + n] |= 4;
    __asm__ volatile("movl %%cr3, %%eax\n movl %%eax, %%cr3" ::: "eax", "memory");
    in_user = 1;
    check("int 0x80 from ring 3", enter_user(user_int80, (u32)user_stack + sizeof(user_stack)) == 42);
    wrmsr(0x174, 0x08);
    wrmsr(0x175, (u32)stack_top - 12288);
    wrmsr(0x176, (u32)sysenter_entry);
    check("SYSENTER and SYSEXIT", enter_user(user_sysenter, (u32)user_stack + sizeof(user_stack)) == 100);
    fault_vector = 0;
    check("CLI is not for ring 3",
          enter_user(user_cli, (u32)user_stack + sizeof(user_stack)) == -1 && fault_vector == 13 && fault_error == 0);
    in_user = 0;
    __asm__ volatile("sti");
}

static void claim_cpu(void)
{
    static u8 area[512] __attribute__((aligned(16)));
    u32 r[4], cr4;
    u64 wide = 0x100000002ull, expect = 0x100000002ull;
    u8 swapped;
    volatile float x = 1.5f, y = 0.25f;

    cpuid(0, r);
    check("CPUID knows its leaves", r[0] >= 1);
    cpuid(1, r);
    check("CPUID: FPU, TSC, APIC, SEP, FXSR, SSE",
          (r[3] & (1u | 1u << 4 | 1u << 9 | 1u << 11 | 1u << 24 | 1u << 25)) ==
              (1u | 1u << 4 | 1u << 9 | 1u << 11 | 1u << 24 | 1u << 25));
    __asm__ volatile("movl %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movl %0, %%cr4" ::"r"(cr4 | 0x600));
    __asm__ volatile("clts\n fninit\n flds %1\n fxsave %0\n fadds %2\n fstps %1" : "=m"(area), "+m"(x) : "m"(y));
    check("x87 adds, FXSAVE saves", x == 1.75f && area[4] == 0x80);
    __asm__ volatile("movss %1, %%xmm0\n addss %2, %%xmm0\n movss %%xmm0, %0" : "=m"(x) : "m"(x), "m"(y));
    check("SSE adds", x == 2.0f);
    __asm__ volatile("lock cmpxchg8b %0\n sete %1" : "+m"(wide), "=q"(swapped), "+A"(expect) : "b"(7), "c"(9) : "cc");
    check("CMPXCHG8B", swapped && wide == 0x900000007ull);
    fault_vector = 0;
    __asm__ volatile("movl $1f, %%eax\n movl %%eax, %%dr0\n movl $1, %%eax\n movl %%eax, %%dr7\n"
                     "pushfl\n orl $0x10000, (%%esp)\n popfl\n 1: nop\n xorl %%eax, %%eax\n movl %%eax, %%dr7" ::: "eax", "cc");
    check("an instruction breakpoint of DR0, though POPF was to set RF", fault_vector == 1);
}

static void claim_rtc(void)
{
    u8 month, day, year, b;
    u32 t;

    do
        outb(0x70, 0x0a);
    while (inb(0x71) & 0x80);
    outb(0x70, 7);
    day = inb(0x71);
    outb(0x70, 8);
    month = inb(0x71);
    outb(0x70, 9);
    year = inb(0x71);
    check("RTC has a date", day >= 1 && day <= 0x31 && month >= 1 && month <= 0x12 && year >= 0x20);
    outb(0x70, 0x8b);
    b = inb(0x71);
    outb(0x70, 0x8b);
    outb(0x71, b | 0x40);
    outb(0x70, 0x0c);
    inb(0x71);
    t = rtc_ticks;
    while (rtc_ticks - t < 10)
        __asm__ volatile("hlt");
    outb(0x70, 0x8b);
    outb(0x71, b);
    check("RTC's periodic interrupt is IRQ 8", rtc_ticks - t >= 10);
}

static const u8 *physical(u32 at)
{
    volatile u32 *pde = (u32 *)0xfffff000;

    if (at < 0x400000)
        return (u8 *)(OFFSET + at);
    /* 4 MiB pages, as PSE is there. */
    pde[0xe8000000u >> 22] = (at & 0xffc00000u) | 0x83;
    __asm__ volatile("movl %%cr4, %%eax\n orl $0x10, %%eax\n movl %%eax, %%cr4\n"
                     "movl %%cr3, %%eax\n movl %%eax, %%cr3" ::: "eax", "memory");
    return (u8 *)0xe8000000u + (at & 0x3fffffu);
}

static u8 sum(const u8 *p, u32 n)
{
    u8 s = 0;

    while (n--)
        s = (u8)(s + *p++);
    return s;
}

static u32 word(const u8 *p)
{
    return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

static u32 lapic;

static void claim_acpi(void)
{
    const u8 *rsdp = 0, *rsdt;
    u32 n, madt = 0;

    for (u32 at = 0xe0000; at < 0x100000 && !rsdp; at += 16)
        if (begins((u8 *)(OFFSET + at), "RSD PTR ") && sum((u8 *)(OFFSET + at), 20) == 0)
            rsdp = (u8 *)(OFFSET + at);
    check("an RSDP with a good checksum", rsdp != 0);
    if (!rsdp)
        return;
    rsdt = physical(word(rsdp + 16));
    check("an RSDT with a good checksum", begins(rsdt, "RSDT") && sum(rsdt, word(rsdt + 4)) == 0);
    n = (word(rsdt + 4) - 36) / 4;
    for (u32 i = 0; i < n; i++) {
        u32 at = word(physical(word(rsdp + 16)) + 36 + 4 * i);

        if (begins(physical(at), "APIC"))
            madt = at;
    }
    check("a MADT", madt != 0);
    if (madt)
        lapic = word(physical(madt) + 36);
    check("it says where the local APIC is", lapic == 0xfee00000u);
}

static void claim_apic(void)
{
    volatile u32 *pde = (u32 *)0xfffff000, *r = (u32 *)0xfee00000;
    u32 t = apic_ticks;

    pde[0xfee00000u >> 22] = 0xfec00000u | 0x9b; /* 4 MiB, uncached */
    __asm__ volatile("movl %%cr4, %%eax\n orl $0x10, %%eax\n movl %%eax, %%cr4\n movl %%cr3, %%eax\n movl %%eax, %%cr3" ::: "eax", "memory");
    check("the APIC's base is in its MSR", (rdmsr(0x1b) & 0xfffff900u) == 0xfee00900u);
    r[0xf0 / 4] = 0x1ff;
    r[0x3e0 / 4] = 0x0b;
    r[0x320 / 4] = 0x20040; /* periodic, vector 40h */
    r[0x380 / 4] = 100000;
    while (apic_ticks - t < 3)
        __asm__ volatile("hlt");
    r[0x320 / 4] = 0x10000;
    check("the local APIC's timer ticks", apic_ticks - t >= 3);
}

static u32 pci(u32 device, u32 function, u32 reg)
{
    outl(0xcf8, 0x80000000u | device << 11 | function << 8 | reg);
    return inl(0xcfc);
}

static void claim_pci(void)
{
    u32 bridge = 0, display = 0;

    for (u32 d = 0; d < 32; d++)
        for (u32 f = 0; f < 8; f++) {
            u32 id = pci(d, f, 0), class = pci(d, f, 8) >> 16;

            if (id == 0xffffffffu)
                continue;
            bridge += class == 0x0600;
            display += class == 0x0300 && pci(d, f, 0x10) != 0;
        }
    check("PCI has a host bridge and a display with a framebuffer", bridge == 1 && display == 1);
}

static void claim_ports(void)
{
    u8 cell;

    outb(0x3fc, 0x1b); /* loop */
    outb(0x3f8, 'x');
    check("COM1 hears itself in loopback", inb(0x3f8) == 'x');
    outb(0x3fc, 0x0b);
    keys = 0;
    outb(0x64, 0xd2); /* as if typed */
    outb(0x60, 0x1e);
    while (!keys)
        __asm__ volatile("hlt");
    check("the keyboard is IRQ 1", last_key == 0x1e);
    outb(0x3d4, 0x0f);
    cell = inb(0x3d5);
    check("the cursor is where it was put", cell == (u8)(row * 80 + column));
    check("the screen can be read back", SCREEN[row * 80 - 80] == (0x0f00 | 'o'));
}

/* ---- start ---- */

static const char *command_line(u32 magic, const u8 *info)
{
    if (magic == 0x2badb002)
        return word(info) & 4 ? (const char *)OFFSET + word(info + 16) : "";
    for (const u8 *tag = info + 8; word(tag); tag += (word(tag + 4) + 7) & ~7u)
        if (word(tag) == 1)
            return (const char *)tag + 8;
    return "";
}

static int has_word(const char *line, const char *w)
{
    for (; *line; line++)
        if (begins(line, w))
            return 1;
    return 0;
}

static u32 memory_kib(u32 magic, const u8 *info)
{
    if (magic == 0x2badb002)
        return word(info + 8);
    for (const u8 *tag = info + 8; word(tag); tag += (word(tag + 4) + 7) & ~7u)
        if (word(tag) == 4)
            return word(tag + 12);
    return 0;
}

/* A cross and a frame on the framebuffer, if there is one with 32 bits. */
static void draw(u32 magic, const u8 *info)
{
    const u8 *f = 0;
    volatile u32 *pde = (u32 *)0xfffff000;
    u32 pitch, width, height;
    u8 *screen = (u8 *)0xf0000000u;

    if (magic == 0x2badb002) {
        f = info + 88;
    } else {
        for (const u8 *tag = info + 8; word(tag); tag += (word(tag + 4) + 7) & ~7u)
            if (word(tag) == 8)
                f = tag + 8;
    }
    if (!f || f[21] != 1 || f[20] != 32)
        return;
    pitch = word(f + 8);
    width = word(f + 12);
    height = word(f + 16);
    __asm__ volatile("movl %%cr4, %%eax\n orl $0x10, %%eax\n movl %%eax, %%cr4" ::: "eax");
    pde[0xf0000000u >> 22] = (word(f) & 0xffc00000u) | 0x83;
    for (u32 y = 0; y < height; y++)
        for (u32 x = 0; x < width; x++)
            *(u32 *)(screen + y * pitch + x * 4) = x == y ? 0xff0000 : y == 0 || y == height - 1 ? 0x00ff00 : 0x000080;
    outb(0xf4, 0x12);
}

static void echo_keys(void)
{
    static const char letters[] = "\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./";

    u32 seen = 0;

    keys = 0;
    print("> ");
    for (;;) {
        __asm__ volatile("cli");
        if (keys == seen) { /* after STI nothing comes in before HLT: no key is slept through */
            __asm__ volatile("sti\n hlt");
            continue;
        }
        seen = keys;
        __asm__ volatile("sti");
        if (last_key >= sizeof(letters) || !letters[last_key])
            continue;
        put(letters[last_key]);
        if (letters[last_key] == '\n') {
            outb(0xf4, 0x11);
            return;
        }
    }
}

static void triple_fault(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) none = {0, 0};

    __asm__ volatile("lidt %0\n int3" ::"m"(none));
}

void kernel_main(u32 magic, u32 where)
{
    const u8 *info = (u8 *)(OFFSET + where);
    const char *line = command_line(magic, info);

    for (u32 i = 0; i < 80 * 25; i++)
        SCREEN[i] = 0x0720;
    draw(magic, info);
    make_tables();
    remap_pic();
    if (has_word(line, "triple"))
        triple_fault();
    __asm__ volatile("sti");
    if (has_word(line, "keys")) {
        echo_keys();
        return;
    }
    check("the boot loader says who it is", magic == 0x2badb002 || magic == 0x36d76289);
    check("and how much memory there is", memory_kib(magic, info) >= 15 * 1024);
    claim_timer();
    claim_exceptions();
    claim_cpu();
    claim_rtc();
    claim_acpi();
    claim_apic();
    claim_pci();
    claim_ports();
    claim_ring_3();
    claim_paging();
    print(failures ? "some claims failed\n" : "all claims hold\n");
    outb(0xf4, failures ? 1 : 0x10);
}
