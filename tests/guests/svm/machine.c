/* The SVM test program: its console, its traps, VMCBs and what is printed of them (svm.h). */
#include "svm.h"

#include <stdarg.h>

__attribute__((aligned(4096))) uint8_t vmcb[4096], host_vmcb[4096], hsave[4096], iopm[3 * 4096], msrpm[2 * 4096];
uint64_t reg[REGS];
bool has_npt, has_vgif, in_tcg, with_host_state, host_if, gif_first;
volatile uint32_t host_vector = ~0u, host_error, host_interrupts, host_nmis;
volatile uint64_t host_resume, host_rip;
struct host_in host_in;

void enter(uint64_t vmcb_at, uint64_t *regs);
extern char after_vmrun[], host_common[], guest_common64[], guest_common64_end[], guest_common32[], guest_common32_end[];
extern uint64_t gdt[], entered_rax, entered_rsp, entered_rflags, enter_rsp;

/* ---- the console ---- */

static void put(char c)
{
    while (!(in8(0x3fd) & 0x20))
        ;
    out8(0x3f8, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base)
{
    char digits[24];
    int n = 0;

    do
        digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (n)
        put(digits[--n]);
}

void print(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    for (; *format; format++) {
        if (*format != '%') {
            if (*format == '\n')
                put('\r');
            put(*format);
            continue;
        }
        format++;
        if (*format == 's')
            for (const char *s = va_arg(list, const char *); *s; s++)
                put(*s);
        else if (format[0] == 'l')
            put_number(va_arg(list, uint64_t), format[1] == 'x' ? 16 : 10), format++;
        else
            put_number(va_arg(list, unsigned), *format == 'x' ? 16 : 10);
    }
    va_end(list);
}

/* ---- the host's traps ---- */

static const uint32_t error_codes = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;

struct frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

void host_trap(struct frame *f)
{
    if (f->vector == 2) {
        host_nmis++;
    } else if (f->vector >= 32) {
        host_interrupts++;
        host_vector = (uint32_t)f->vector;
        write_apic(0xb0, 0);
    } else if (host_resume) {
        host_vector = (uint32_t)f->vector;
        host_error = (uint32_t)f->error;
        host_rip = f->rip;
        f->rip = host_resume;
        f->rflags &= ~(uint64_t)TF;
        host_resume = 0;
    } else {
        print("\nPANIC: exception %d error %lx at %lx\n", (unsigned)f->vector, f->error, f->rip);
        asm volatile("movl $0x20, %eax; movw $0xf4, %dx; outl %eax, %dx; 1: cli; hlt; jmp 1b");
    }
}

/* Stubs of 16 bytes each, from `at` on, that push a vector and jump to `common`. */
static void make_stubs(uint8_t *at, uintptr_t common)
{
    for (unsigned v = 0; v < 256; v++, at += 16) {
        uint8_t *p = at;

        if (v >= 32 || !(error_codes >> v & 1)) {
            *p++ = 0x6a;
            *p++ = 0;
        }
        *p++ = 0x68;
        *(uint32_t *)p = v;
        p += 4;
        *p++ = 0xe9;
        *(uint32_t *)p = (uint32_t)(common - (uintptr_t)p - 4);
    }
}

static void make_gate(uint64_t *gate, uintptr_t to, unsigned selector, unsigned type)
{
    gate[0] = (to & 0xffff) | (uint64_t)selector << 16 | (uint64_t)type << 40 | (uint64_t)(to >> 16 & 0xffff) << 48;
    gate[1] = to >> 32;
}

static uint8_t host_stubs[256 * 16];
static uint64_t host_idt[512], host_tss[16];

static void set_idt(const void *idt)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } r = {4095, (uintptr_t)idt};

    asm volatile("lidt %0" ::"m"(r));
}

static void host_traps(void)
{
    uintptr_t tss = (uintptr_t)host_tss;

    make_stubs(host_stubs, (uintptr_t)host_common);
    for (unsigned v = 0; v < 256; v++)
        make_gate(host_idt + 2 * v, (uintptr_t)host_stubs + 16 * v, 8, 0x8e);
    set_idt(host_idt);
    gdt[8] = 0x0000890000000067ull | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
    asm volatile("ltr %w0" ::"r"(0x40));
}

/* ---- interrupts ---- */

void write_apic(unsigned r, uint32_t value)
{
    *(volatile uint32_t *)(0xfee00000ull + r) = value;
}

static uint32_t read_apic(unsigned r)
{
    return *(volatile uint32_t *)(0xfee00000ull + r);
}

static void start_apic(void)
{
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
    write_apic(0xf0, 0x1ff);
    write_apic(0x80, 0);
    write_apic(0x320, 0x10000);
    write_apic(0x350, 0x10000);
    write_apic(0x360, 0x10000);
}

void self_interrupt(unsigned vector)
{
    write_apic(0x300, 0x40000 | vector);
}

void self_nmi(void)
{
    write_apic(0x310, read_apic(0x20));
    write_apic(0x300, 0x4400);
}

void host_takes_interrupts(void)
{
    asm volatile("stgi; sti; nop; nop; cli" ::: "memory");
}

/* ---- guests ---- */

static void fill(volatile void *at, unsigned value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile uint8_t *)at)[i] = (uint8_t)value;
}

static void copy(uintptr_t to, const char *from, const char *end)
{
    while (from < end)
        *(volatile char *)to++ = *from++;
}

static uint64_t tss_descriptor(uint32_t base, unsigned type, unsigned limit)
{
    return limit | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type << 40 | (uint64_t)(base >> 24) << 56;
}

/* Descriptors, gates and handlers. */
static void guest_system(void)
{
    for (unsigned i = 0; i < 8; i++)
        ENTRY(GGDT, i) = gdt[i];
    ENTRY(GGDT, 8) = tss_descriptor(GTSS, 0x8b, 0x67);
    ENTRY(GGDT, 9) = 0;
    ENTRY(GGDT, 10) = tss_descriptor(GDATA, 0x82, 0xff); /* 50: LDT */
    ENTRY(GGDT, 11) = 0;
    ENTRY(GGDT, 12) = tss_descriptor(GTSS2, 0x89, 0x67); /* 60: another TSS */
    ENTRY(GGDT, 13) = 0;
    ENTRY(GGDT, 14) = 0x0000e50000600000;                /* 70: task gate to it */
    fill((void *)(uintptr_t)GTSS, 0, 0x68);
    *(volatile uint64_t *)(uintptr_t)(GTSS + 4) = GSTACK - 0x1000;
    *(volatile uint16_t *)(uintptr_t)(GTSS + 0x66) = 0x68; /* no I/O map */
    make_stubs((uint8_t *)(uintptr_t)GSTUBS, GSTUBS + 0x1000);
    make_stubs((uint8_t *)(uintptr_t)GSTUBS32, GSTUBS32 + 0x1000);
    copy(GSTUBS + 0x1000, guest_common64, guest_common64_end);
    copy(GSTUBS32 + 0x1000, guest_common32, guest_common32_end);
    for (unsigned v = 0; v < 256; v++) {
        make_gate((uint64_t *)(uintptr_t)(GIDT + 16 * v), GSTUBS + 16 * v, 8, v == 3 || v == 4 || v >= 0x80 ? 0xee : 0x8e);
        ENTRY(GIDT32, v) = ((GSTUBS32 + 16 * v) & 0xffff) | 0x28u << 16 | (uint64_t)(v == 3 || v == 4 || v >= 0x80 ? 0xee : 0x8e) << 40 |
                           (uint64_t)((GSTUBS32 + 16 * v) >> 16) << 48;
    }
}

/* Table entries from `at` on: pages of `size`. */
static void map(uintptr_t table, unsigned n, uint64_t at, uint64_t size, uint64_t flags)
{
    for (unsigned i = 0; i < n; i++)
        ENTRY(table, i) = (at + i * size) | flags;
}

void tables(void)
{
    fill((void *)(uintptr_t)GPML4, 0, 0xa000);
    ENTRY(GPML4, 0) = GPDPT | P | W | U;
    ENTRY(GPDPT, 0) = GPD | P | W | U;
    map(GPD, 512, 0, 0x200000, P | W | U | PS);
    ENTRY(GPD, GTEST >> 21) = GPT | P | W | U;
    map(GPT, 512, GTEST, 0x1000, P | W | U);
    ENTRY(GPAE, 0) = GPD | P;
    for (unsigned i = 0; i < 256; i++)
        ((volatile uint32_t *)(uintptr_t)GPD32)[i] = i << 22 | P | W | U | PS;
    ENTRY(GPML4B, 0) = GPDPTB | P | W | U;
    ENTRY(GPDPTB, 0) = GPDB | P | W | U;
    map(GPDB, 512, 0, 0x200000, P | W | U | PS);
    ENTRY(GPDB, GTEST >> 21) = GPTB | P | W | U;
    map(GPTB, 512, GTEST + 0x1000, 0x1000, P | W | U);
    fill((void *)(uintptr_t)NPML4, 0, 0x1000);
    fill((void *)(uintptr_t)NPDPT, 0, 0x1000);
    ENTRY(NPML4, 0) = NPDPT | P | W | U;
    map(NPDPT, 4, NPD, 0x1000, P | W | U);
    map(NPD, 2048, 0, 0x200000, P | W | U | PS);
    ENTRY(NPD, SEEN >> 21) = NPT_LOW | P | W | U;
    map(NPT_LOW, 512, SEEN, 0x1000, P | W | U);
    ENTRY(NPD, GTEST >> 21) = NPT_TEST | P | W | U;
    map(NPT_TEST, 512, GTEST, 0x1000, P | W | U);
}

void segment(unsigned at, unsigned selector, unsigned attributes, uint32_t limit, uint64_t base)
{
    V16(at) = (uint16_t)selector;
    V16(at + 2) = (uint16_t)attributes;
    V32(at + 4) = limit;
    V64(at + 8) = base;
}

static void data_segments(unsigned selector, unsigned attributes, uint32_t limit)
{
    static const uint16_t all[] = {ES, SS, DS, FS, GS};

    for (unsigned i = 0; i < 5; i++)
        segment(all[i], selector, attributes, limit, 0);
}

static bool in_line;
static enum mode guest_mode;
static unsigned code_bytes;

static void take_mode(enum mode mode)
{
    bool wide = mode == LONG || mode == COMPAT;

    guest_mode = mode;
    EFER = EFER_SVME | (wide ? 0xd00 : 0x800);
    CR0 = mode == REAL ? 0x10 : mode == FLAT || mode == PROT16 ? 0x11 : 0x80010011;
    CR4 = wide || mode == PAE ? 0x620 : mode == LEGACY ? 0x610 : 0x600;
    CR3 = wide ? GPML4 : mode == PAE ? GPAE : mode == LEGACY ? GPD32 : 0;
    segment(GDTR, 0, 0, 0xff, GGDT);
    segment(LDTR, 0x50, 0x82, 0xff, GDATA);
    segment(TR, 0x40, 0x8b, 0x67, GTSS);
    RIP = GCODE;
    RSP = GSTACK - 8;
    data_segments(0x10, 0xc93, ~0u);
    segment(IDTR, 0, 0, 4095, GIDT);
    switch (mode) {
    case LONG:
        segment(CS, 8, 0xa9b, ~0u, 0);
        break;
    case COMPAT:
        segment(CS, 0x28, 0xc9b, ~0u, 0);
        break;
    case PAE:
    case LEGACY:
    case FLAT:
        segment(CS, 0x28, 0xc9b, ~0u, 0);
        segment(IDTR, 0, 0, 2047, GIDT32);
        break;
    case PROT16:
        segment(CS, 0x30, 0x9b, 0xffff, GCODE);
        segment(IDTR, 0, 0, 2047, GIDT32);
        data_segments(0x38, 0x93, 0xffff);
        RIP = 0;
        RSP = 0x7ff0;
        break;
    case REAL:
        segment(CS, REAL_CODE >> 4, 0x9b, 0xffff, REAL_CODE);
        segment(IDTR, 0, 0, 0x3ff, 0);
        data_segments(0, 0x93, 0xffff);
        segment(LDTR, 0, 0x82, 0xffff, 0);
        segment(TR, 0, 0x8b, 0xffff, 0);
        RIP = 0;
        RSP = 0x7ff0;
        break;
    }
}

void begin(const char *name, const char *from, const char *to, enum mode mode)
{
    if (in_line)
        print("\n");
    print("%s |", name);
    in_line = true;
    fill(vmcb, 0, sizeof(vmcb));
    fill(SEEN_AT, 0, 0x1000);
    for (unsigned i = 0; i < REGS; i++)
        reg[i] = 0;
    fill((void *)(uintptr_t)GCODE, 0xcc, 0x1000);
    copy(mode == REAL ? REAL_CODE : GCODE, from, to);
    code_bytes = (unsigned)(to - from);
    guest_system();
    tables();
    fill(iopm, 0, sizeof(iopm));
    fill(msrpm, 0, sizeof(msrpm));
    IOPM = (uintptr_t)iopm;
    MSRPM = (uintptr_t)msrpm;
    ASID = 1;
    TLB_CONTROL = 1;
    V32(0xc) = 1u << 31; /* SHUTDOWN */
    V32(0x10) = 3;       /* VMRUN, VMMCALL */
    DR6 = 0xffff0ff0;
    DR7 = 0x400;
    RFLAGS = 2;
    G_PAT = 0x0007040600070406ull;
    take_mode(mode);
    with_host_state = true;
    host_if = false;
    gif_first = false;
}

void user(void)
{
    CPL = 3;
    data_segments(0x23, 0xcf3, ~0u);
    segment(CS, 0x1b, 0xafb, ~0u, 0);
}

void nested(void)
{
    NESTED = 1;
    N_CR3 = NPML4;
}

void misc1(unsigned bit)
{
    V32(0xc) |= 1u << bit;
}

void misc2(unsigned bit)
{
    V32(0x10) |= 1u << bit;
}

void msr_bit(uint32_t msr, bool write, bool set)
{
    unsigned bit = (msr >> 30 == 3 ? (msr & 0x1fff) + (msr >> 16 & 1) * 0x2000 + 0x2000 : msr) * 2 + write;

    if (set)
        msrpm[bit / 8] |= (uint8_t)(1 << bit % 8);
    else
        msrpm[bit / 8] &= (uint8_t)~(1 << bit % 8);
}

void io_bits(unsigned port, unsigned n)
{
    for (; n--; port++)
        iopm[port / 8] |= (uint8_t)(1 << port % 8);
}

/* ---- running them ---- */

struct host_state {
    uint64_t cr0, cr3, cr4, efer, gdt_base, idt_base;
    uint16_t gdt_limit, idt_limit, cs, ss, ds, es;
};

static struct host_state host_state(void)
{
    struct host_state s;
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } r;

    asm volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2" : "=r"(s.cr0), "=r"(s.cr3), "=r"(s.cr4));
    s.efer = read_msr(0xc0000080);
    asm volatile("sgdt %0" : "=m"(r));
    s.gdt_base = r.base;
    s.gdt_limit = r.limit;
    asm volatile("sidt %0" : "=m"(r));
    s.idt_base = r.base;
    s.idt_limit = r.limit;
    asm volatile("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2; mov %%es, %3" : "=r"(s.cs), "=r"(s.ss), "=r"(s.ds), "=r"(s.es));
    return s;
}

#define DIFFERS(field) \
    if (a->field != b->field) \
        print(" HOST " #field ":%lx not %lx", (uint64_t)b->field, (uint64_t)a->field)

static void compare_host(const struct host_state *a, const struct host_state *b)
{
    uint64_t dr7;

    DIFFERS(cr0);
    DIFFERS(cr3);
    DIFFERS(cr4);
    DIFFERS(efer);
    DIFFERS(gdt_base);
    DIFFERS(gdt_limit);
    DIFFERS(idt_base);
    DIFFERS(idt_limit);
    DIFFERS(cs);
    DIFFERS(ss);
    DIFFERS(ds);
    DIFFERS(es);
    if (entered_rsp != enter_rsp)
        print(" HOST rsp");
    if (entered_rax != (uintptr_t)vmcb)
        print(" HOST rax:%lx", entered_rax);
    /* Arithmetic flags are those that enter() had before. */
    if ((entered_rflags & ~0xd5ull) != (host_if ? 0x202 : 2))
        print(" HOST rflags:%lx", entered_rflags);
    asm volatile("mov %%dr7, %0" : "=r"(dr7));
    if (dr7 != 0x400)
        print(" HOST dr7:%lx", dr7);
}

void run(void)
{
    struct host_state before, after;

    before = host_state();
    if (!gif_first)
        asm volatile("clgi");
    if (host_if)
        asm volatile("sti");
    if (with_host_state) {
        asm volatile("vmsave %%rax" ::"a"(host_vmcb) : "memory");
        asm volatile("vmload %%rax" ::"a"(vmcb) : "memory");
    }
    host_vector = ~0u;
    host_resume = (uintptr_t)after_vmrun;
    enter((uintptr_t)vmcb, reg);
    host_resume = 0;
    if (with_host_state) {
        asm volatile("vmsave %%rax" ::"a"(vmcb) : "memory");
        asm volatile("vmload %%rax" ::"a"(host_vmcb) : "memory");
    }
    asm volatile("cli");
    after = host_state();
    if (host_vector != ~0u && host_vector < 32)
        print(" VMRUN: #%d %x", host_vector, host_error);
    compare_host(&before, &after);
}

static void print_rip(uint64_t rip)
{
    uint64_t base = guest_mode == PROT16 || guest_mode == REAL ? 0 : GCODE;

    if ((rip >= GSTUBS && rip < GSTUBS + 0x1100) || (rip >= GSTUBS32 && rip < GSTUBS32 + 0x1100))
        print("H");
    else if (rip >= base && rip < base + 0x1000)
        print("+%x", (unsigned)(rip - base));
    else
        print("%lx", rip);
}

#define RF 0x10000ul /* QEMU has it not in what is pushed, nor do all processors in a VMCB */

static void print_if(const char *name, uint64_t value)
{
    if (value)
        print(" %s:%lx", name, value);
}

void again(void)
{
    run();
    asm volatile("stgi");
    if ((uint32_t)EXITCODE == ~0u) {
        print(" invalid");
        return;
    }
    print(" %lx", EXITCODE);
    /* (Which address size and segment a port's instruction has that uses none is not said.) */
    print_if("i1", EXITCODE == 0x7b ? INFO1 & ~(INFO1 & 4 ? 0x1c00ull : 0x1f80ull) : INFO1);
    print_if("i2", EXITCODE == 0x7d ? INFO2 & ~(1ul << 48) : INFO2); /* (RF of a fault) */
    print_if("ii", INTINFO & 1u << 31 ? INTINFO : 0);
    print_if("inj", EVENTINJ & 1u << 31 ? EVENTINJ : 0);
    print(" rip:");
    print_rip(RIP);
    print_if("rax", RAX);
    print(" fl:%lx", RFLAGS & ~RF);
    print_if("v", INT_CTL);
    print_if("sh", SHADOW);
    if (SEEN_AT->count) {
        print(" h:");
        for (unsigned i = 0; i < SEEN_AT->count && i < 8; i++)
            print(i ? ",%x" : "%x", SEEN_AT->log[i] || i ? SEEN_AT->log[i] : SEEN_AT->vector);
        print_if("err", SEEN_AT->error);
        print(" at:");
        print_rip(SEEN_AT->rip);
        print(" fl:%lx", SEEN_AT->rflags & ~RF);
    }
}

void go(void)
{
    again();
}

void host_before(const char *name)
{
    if (in_line)
        print("\n");
    in_line = true;
    print("%s |", name);
    host_vector = ~0u;
}

void host_after(void)
{
    host_resume = 0;
    if (host_vector == ~0u)
        print(" done");
    else
        print(" #%d err:%x", host_vector, host_error);
}

int main(void)
{
    uint32_t a = 0x8000000a, b, c = 0, d;

    host_traps();
    start_apic();
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    print("svm | revision %x, NPT %d, VGIF %d\n", a, d & 1, d >> 16 & 1);
    has_npt = d & 1;
    has_vgif = d >> 16 & 1;
    a = 0x40000000;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    in_tcg = b == 0x54474354;
    state_cases();
    write_msr(0xc0000080, read_msr(0xc0000080) | EFER_SVME);
    write_msr(0xc0010117, (uintptr_t)hsave);
    intercept_cases();
    event_cases();
    interrupt_cases();
    mode_cases();
    paging_cases();
    print("\nend | all cases\n");
    return 0;
}
