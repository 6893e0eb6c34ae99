/*
 * The guest of a guest, in 64-bit mode from its first instruction (vm.c sets that up): it computes, faults, changes its tables, is interrupted by
 * its local APIC's timer, by its I/O APIC and by itself, reaches a device in memory and ports, goes to CPL 3 and back, and says what it saw.
 */
#include "nested.h"

#include <stdint.h>

__asm__(".section .text.start, \"ax\"\n.globl start\nstart: movq $" "0x90000" ", %rsp\ncall nested_main\n1: hlt\njmp 1b\n.text");

/* ---- output ---- */

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void print(const char *text)
{
    while (*text)
        out8(CONSOLE, (uint8_t)*text++);
}

static void print_hex(uint64_t value)
{
    char text[17];
    int n = 16;

    text[n] = 0;
    do
        text[--n] = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    print(text + n);
}

static void say(const char *what, uint64_t value)
{
    print(what);
    print(" ");
    print_hex(value);
    print("\n");
}

/* ---- exceptions and interrupts ---- */

struct frame {
    uint64_t rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, vector, error, rip, cs, rflags, rsp, ss;
};

static volatile uint64_t resume, faulted, fault_error, fault_cr2, ticks, lines, own, nmis, calls;
static volatile uint64_t *const demand_entry = (volatile uint64_t *)0x20000;  /* table of 1 GiB + 0 */

#define APIC(r) (*(volatile uint32_t *)(0xfee00000ul + (r)))
#define IOAPIC(r) (*(volatile uint32_t *)(0xfec00000ul + (r)))

void trap(struct frame *f);
void trap(struct frame *f)
{
    switch (f->vector) {
    case 2: nmis++; return;
    case 0x40: ticks++; break;
    case 0x51: lines++; break;
    case 0x60: own++; break;
    case 0x80: calls++; return;
    default:
        faulted = f->vector;
        fault_error = f->error;
        if (f->vector == 14)
            __asm__ volatile("mov %%cr2, %0" : "=r"(fault_cr2));
        if (f->vector == 14 && !(f->error & 1) && fault_cr2 >> 30 == 1) {
            demand_entry[fault_cr2 >> 12 & 511] = 0x400000 | (fault_cr2 & 0x1ff000) | 7;
            return;
        }
        if (!resume) {
            say("fatal exception", f->vector);
            say("at", f->rip);
            out8(END_PORT, 1);
        }
        f->rip = resume;
        resume = 0;
        return;
    }
    APIC(0xb0) = 0;
}

__asm__(".globl stubs\nstubs:\n"
        ".set v, 0\n.rept 256\n.balign 16\n.if v != 8 && v != 10 && v != 11 && v != 12 && v != 13 && v != 14 && v != 17\npushq $0\n.endif\n"
        "pushq $v\njmp common\n.set v, v + 1\n.endr\n"
        "common: pushq %r11; pushq %r10; pushq %r9; pushq %r8; pushq %rdi; pushq %rsi; pushq %rdx; pushq %rcx; pushq %rax\n"
        "movq %rsp, %rdi\ncld\ncall trap\n"
        "popq %rax; popq %rcx; popq %rdx; popq %rsi; popq %rdi; popq %r8; popq %r9; popq %r10; popq %r11; addq $16, %rsp\niretq\n");
extern char stubs[];

static uint64_t idt[512];
static uint32_t tss[32];

static void set_up_traps(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } r = {4095, (uintptr_t)idt};
    uint64_t *gdt = (uint64_t *)(uintptr_t)GDT_AT, base = (uintptr_t)tss;

    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (uintptr_t)stubs + 16 * v;

        idt[2 * v] = (at & 0xffff) | 8ul << 16 | (v == 0x80 ? 0xeeul : 0x8eul) << 40 | (at >> 16 & 0xffff) << 48;
        idt[2 * v + 1] = at >> 32;
    }
    __asm__ volatile("lidt %0" ::"m"(r));
    tss[1] = STACK_TOP - 0x4000;
    gdt[6] = 0x0000890000000067ul | (base & 0xffffff) << 16 | (base >> 24) << 56;
    gdt[7] = 0;
    __asm__ volatile("ltr %w0" ::"r"(0x30));
}

/* What happens at an instruction: the vector, or 99. */
#define TRY(text, ...)                                                                                      \
    ({                                                                                                      \
        faulted = 0x99;                                                                                     \
        __asm__ volatile("leaq 771f(%%rip), %%r10; movq %%r10, resume(%%rip); " text "\n771:" __VA_ARGS__); \
        resume = 0;                                                                                         \
        faulted;                                                                                            \
    })

static void faults(void)
{
    say("#UD:", TRY("ud2", ::: "r10", "memory"));
    say("#DE:", TRY("xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx", ::: "r10", "rax", "rcx", "rdx", "memory"));
    say("#GP:", TRY("movw $0x1238, %%ax; movw %%ax, %%ds", ::: "r10", "rax", "memory"));
    say("its error code:", fault_error);
    say("an MSR that is not there:", TRY("movl $0x1ff0, %%ecx; rdmsr", ::: "r10", "rax", "rcx", "rdx", "memory"));
    say("#PF:", TRY("movabsq $0x5000000000, %%rax; movl %%eax, (%%rax)", ::: "r10", "rax", "memory"));
    say("its error code:", fault_error);
    say("its address:", fault_cr2);
    say("int3:", TRY("int3", ::: "r10", "memory"));
}

/* Pages that come when they are reached, and are other ones then. */
static void demand(void)
{
    volatile uint64_t *directory = (volatile uint64_t *)(uintptr_t)(TABLES_AT + 0x3000);
    uint64_t sum = 0;

    for (unsigned i = 0; i < 512; i++)
        demand_entry[i] = 0;
    directory[0] = (uintptr_t)demand_entry | 7;
    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
    for (uint64_t i = 0; i < 64; i++)
        *(volatile uint64_t *)(0x40000000ul + i * 0x1000) = i * i;
    for (uint64_t i = 0; i < 64; i++)
        sum += *(volatile uint64_t *)(0x400000ul + i * 0x1000);
    say("demand paging:", sum);
    say("accessed and dirty:", demand_entry[3]);
    sum = 0;
    for (uint64_t i = 0; i < 256; i++) {
        demand_entry[0] = 0x400000 | i % 64 << 12 | 7;
        __asm__ volatile("invlpg (%0)" ::"r"(0x40000000ul) : "memory");
        sum += *(volatile uint64_t *)0x40000000ul * i;
    }
    say("one page after the other:", sum);
    demand_entry[0] = 0x400000 | 5;
    __asm__ volatile("invlpg (%0)" ::"r"(0x40000000ul) : "memory");
    say("write to a page to be read:", TRY("movl $1, (%%rax)", ::"a"(0x40000000ul) : "r10", "memory"));
    say("its error code:", fault_error);
    demand_entry[1] |= 1ul << 63;
    __asm__ volatile("invlpg (%0)" ::"r"(0x40001000ul) : "memory");
    say("code in data:", TRY("jmp *%%rax", ::"a"(0x40001000ul) : "r10", "memory"));
    say("its error code:", fault_error);
}

static uint32_t compute(void)
{
    uint32_t crc = ~0u;

    for (uint32_t i = 0; i < 20000; i++) {
        crc ^= i & 0xff;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void below_priority(void)
{
    out8(IRQ_PORT, 5);
    __asm__ volatile("mov %0, %%cr8; sti; nop; nop; cli" ::"r"(5ul));
    say("below CR8:", lines);
    __asm__ volatile("mov %0, %%cr8; sti; nop; nop; cli" ::"r"(0ul));
    say("not any more:", lines);
}

static void interrupts(void)
{
    uint32_t before;

    out8(0x21, 0xff); /* the 8259s */
    out8(0xa1, 0xff);
    APIC(0xf0) = 0x1ff;
    APIC(0x80) = 0;
    APIC(0x3e0) = 0xb;
    APIC(0x320) = 0x40;
    for (unsigned i = 0; i < 3; i++) {
        APIC(0x380) = 1000000;
        while (ticks == i)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    say("timer interrupts while it slept:", ticks);
    APIC(0x320) = 0x20040;
    APIC(0x380) = 1000000;
    __asm__ volatile("sti");
    before = compute();
    while (ticks < 6)
        if (compute() != before)
            print("the computation has changed\n");
    __asm__ volatile("cli");
    APIC(0x320) = 0x10000;
    say("the timer was periodic:", ticks >= 6);
    APIC(0x300) = 0x40060;
    __asm__ volatile("sti; nop; nop; cli");
    say("interrupts of its own:", own);
    IOAPIC(0) = 0x10 + 2 * 5;
    IOAPIC(0x10) = 0x51;
    IOAPIC(0) = 0x10 + 2 * 5 + 1;
    IOAPIC(0x10) = 0;
    out8(IRQ_PORT, 5);
    say("the line's, masked:", lines);
    __asm__ volatile("sti; nop; nop; cli");
    say("the line's:", lines);
    if (!*(volatile uint32_t *)(uintptr_t)CAREFUL_AT)
        below_priority();
    out8(NMI_PORT, 0);
    __asm__ volatile("nop");
    say("NMIs:", nmis);
}

__attribute__((noinline)) static void device(void)
{
    *(volatile uint8_t *)(uintptr_t)DEVICE_AT = 0x11;
    *(volatile uint16_t *)(uintptr_t)(DEVICE_AT + 2) = 0x2233;
    *(volatile uint32_t *)(uintptr_t)(DEVICE_AT + 4) = 0x44556677;
    *(volatile uint64_t *)(uintptr_t)(DEVICE_AT + 8) = 0x8899aabbccddeeff;
    say("loads:", *(volatile uint8_t *)(uintptr_t)DEVICE_AT);
    say("loads:", *(volatile uint64_t *)(uintptr_t)DEVICE_AT);
    say("read-only memory:", *(volatile uint32_t *)(uintptr_t)READ_ONLY_AT);
    *(volatile uint32_t *)(uintptr_t)READ_ONLY_AT = 5;
    say("still:", *(volatile uint32_t *)(uintptr_t)READ_ONLY_AT);
    __asm__ volatile("rep outsb" ::"S"("outs\n"), "c"(5), "d"(CONSOLE) : "memory");
}

/* CPL 3, INT n, SYSCALL. */
static void user(void)
{
    uint64_t rcx;

    __asm__ volatile("movl $0xc0000081, %%ecx; xorl %%eax, %%eax; movl $0x00130008, %%edx; wrmsr\n"   /* STAR */
                     "movl $0xc0000082, %%ecx; leaq 2f(%%rip), %%rax; xorl %%edx, %%edx; wrmsr\n"     /* LSTAR */
                     "movl $0xc0000084, %%ecx; movl $0x200, %%eax; wrmsr\n"                            /* SFMASK */
                     "movl $0xc0000080, %%ecx; rdmsr; orl $1, %%eax; wrmsr\n"
                     "movq %%rsp, %%rbx\n"
                     "pushq $0x1b; pushq %%rbx; pushq $2; pushq $0x23; leaq 1f(%%rip), %%rax; pushq %%rax; iretq\n"
                     "1: int $0x80; movw %%cs, %%si; syscall; 3: ud2\n"
                     "2: movq %%rbx, %%rsp; movw $0x10, %%ax; movw %%ax, %%ss; leaq 3b(%%rip), %%rax; subq %%rax, %%rcx"
                     : "=c"(rcx)::"rax", "rbx", "rdx", "rsi", "r11", "memory");
    say("calls from CPL 3:", calls);
    say("SYSCALL returns behind itself:", rcx == 0);
}

void nested_main(void);
void nested_main(void)
{
    uint32_t a = 1, b, c, d;
    uint64_t cr;

    set_up_traps();
    print("64 bits\n");
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    say("CPUID tells of a hypervisor:", c >> 31);
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr));
    say("CR0:", cr);
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr));
    say("CR4:", cr);
    say("computed:", compute());
    faults();
    demand();
    interrupts();
    device();
    user();
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(0x123456ul), "r"(0x401ul));
    __asm__ volatile("mov %%dr0, %0" : "=r"(cr));
    say("DR0:", cr);
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
    print("all done\n");
    out8(END_PORT, 0);
}
