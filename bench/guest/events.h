/*
 * Workloads of what interrupts a processor's straight way: interrupts, system calls, ports, code that is
 * written, system registers. Included by loops.c; what differs between the targets is here, too.
 */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

extern volatile uint32_t ticks;
__attribute__((used)) volatile uint32_t ticks; /* interrupts that came */

#define CODE_BYTES 64
static uint8_t code[CODE_BYTES] __attribute__((aligned(64)));

#if defined(__i386__) || defined(__x86_64__)

#ifdef __x86_64__
#define REG     "r"
#define IRET    "iretq"
#define GATE    2 /* of 8 bytes */
#else
#define REG     "e"
#define IRET    "iret"
#define GATE    1
#endif

/* Of IRQ 0: the tick is counted, the controller told. Of INT 80h: nothing but the way there and back. */
__asm__(".globl on_tick, on_call\n"
        "on_tick: push %" REG "ax\n incl ticks\n movb $0x20, %al\n outb %al, $0x20\n pop %" REG "ax\n " IRET "\n"
        "on_call: " IRET "\n");
extern const char on_tick[], on_call[];

static uint64_t gates[256 * GATE] __attribute__((aligned(16)));
static const uint64_t segments[] __attribute__((aligned(8), unused)) = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void set_gate(unsigned n, const char *to)
{
    uint64_t at = (uintptr_t)to;

    gates[n * GATE] = (at & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (at >> 16 & 0xffff) << 48;
#ifdef __x86_64__
    gates[n * GATE + 1] = at >> 32;
#endif
}

/* Descriptor tables of its own: the loader's may be anywhere. */
__attribute__((unused)) static void ready(void)
{
    struct {
        uint16_t limit;
        uintptr_t base;
    } __attribute__((packed)) idt = {sizeof(gates) - 1, (uintptr_t)gates};

#ifdef __i386__
    struct {
        uint16_t limit;
        uintptr_t base;
    } __attribute__((packed)) gdt = {sizeof(segments) - 1, (uintptr_t)segments};

    __asm__ volatile("lgdt %0\n ljmp $8, $1f\n 1: movw $16, %%ax\n movw %%ax, %%ds\n movw %%ax, %%es\n movw %%ax, %%ss" : : "m"(gdt) : "eax", "memory");
#endif
    set_gate(0x20, on_tick);
    set_gate(0x80, on_call);
    __asm__ volatile("lidt %0" : : "m"(idt));
}

/* Ten thousand interrupts a second from the 8254 through the 8259s. */
__attribute__((unused)) static void start_ticks(void)
{
    ready();
    out8(0x20, 0x11), out8(0x21, 0x20), out8(0x21, 4), out8(0x21, 1), out8(0x21, 0xfe), out8(0xa1, 0xff);
    out8(0x43, 0x34), out8(0x40, 119), out8(0x40, 0);
    __asm__ volatile("sti");
}

__attribute__((unused)) static void stop_ticks(void)
{
    __asm__ volatile("cli");
}

static inline void call_system(void)
{
    __asm__ volatile("int $0x80" ::: "memory");
}

static inline uint32_t look_at_port(void)
{
    return in8(0x3fd); /* a 16550A's line status */
}

/* mov $value, %eax; ret */
static inline void write_code(uint32_t value)
{
    code[0] = 0xb8;
    __builtin_memcpy(code + 1, &value, 4);
    code[5] = 0xc3;
}

/* The translation cache is emptied, as by a switch of processes (without paging: the register is written), and a time is read. */
static inline uint32_t touch_registers(uint32_t i)
{
    uintptr_t cr3;
    uint32_t low;

    __asm__ volatile("mov %%cr3, %0\n mov %0, %%cr3" : "=r"(cr3) : : "memory");
    __asm__ volatile("rdtsc" : "=a"(low) : : "edx");
    return low + i;
}

#else

#define DISTRIBUTOR ((volatile uint32_t *)0x08000000)
#define INTERFACE   ((volatile uint32_t *)0x08010000)
#define UART        ((volatile uint32_t *)0x09000000)

/* The vectors of EL1 with its own stack: SVC goes back at once; the virtual timer's interrupt starts it again. */
__asm__(".balign 2048\n .globl vectors\nvectors:\n .skip 0x200\n"
        " eret\n .balign 128\n"
        " stp x0, x1, [sp, #-32]!\n stp x2, x3, [sp, #16]\n"
        " ldr x1, =0x08010000\n ldr w0, [x1, #0xc]\n"
        " ldr x2, =ticks\n ldr w3, [x2]\n add w3, w3, #1\n str w3, [x2]\n"
        " mrs x3, cntfrq_el0\n ldr x2, =10000\n udiv x3, x3, x2\n msr cntv_tval_el0, x3\n"
        " str w0, [x1, #0x10]\n"
        " ldp x2, x3, [sp, #16]\n ldp x0, x1, [sp], #32\n eret\n"
        " .ltorg\n .balign 128\n .skip 0x500\n");
extern const char vectors[];

__attribute__((unused)) static void ready(void)
{
    __asm__ volatile("msr vbar_el1, %0\n isb" : : "r"(vectors));
}

__attribute__((unused)) static void start_ticks(void)
{
    uint64_t hz;

    ready();
    DISTRIBUTOR[0] = 1;
    DISTRIBUTOR[0x100 / 4] = 1u << 27;
    INTERFACE[1] = 0xff;
    INTERFACE[0] = 1;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    __asm__ volatile("msr cntv_tval_el0, %0\n msr cntv_ctl_el0, %1\n msr daifclr, #2" : : "r"(hz / 10000), "r"(1ull));
}

__attribute__((unused)) static void stop_ticks(void)
{
    __asm__ volatile("msr daifset, #2");
}

static inline void call_system(void)
{
    __asm__ volatile("svc #0" ::: "memory");
}

static inline uint32_t look_at_port(void)
{
    return UART[0x18 / 4];
}

/* movz w0, #value; ret */
static inline void write_code(uint32_t value)
{
    uint32_t *to = (uint32_t *)code;

    to[0] = 0x52800000u | (value & 0xffffu) << 5;
    to[1] = 0xd65f03c0u;
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" : : "r"(code) : "memory");
}

static inline uint32_t touch_registers(uint32_t i)
{
    uint64_t table, time;

    __asm__ volatile("mrs %0, ttbr0_el1\n msr ttbr0_el1, %0\n isb\n msr tpidr_el0, %0" : "=r"(table) : : "memory");
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(time));
    return (uint32_t)time + i;
}

#endif

/* Arithmetic that a timer interrupts ten thousand times in a second (a thousand million instructions). */
WORKLOAD timer(void)
{
    uint32_t c = 1;

    start_ticks();
    for (uint32_t i = 0; i < 200000000 / SCALE; i++)
        c = c * 1664525u + 1013904223u + i;
    stop_ticks();
    sink = c;
}

/* System calls, into a handler that does nothing. */
WORKLOAD syscalls(void)
{
    ready();
    for (uint32_t i = 0; i < 4000000 / SCALE; i++)
        call_system();
}

/* A serial port's status, asked again and again. */
WORKLOAD polling(void)
{
    uint32_t c = 0;

    for (uint32_t i = 0; i < 4000000 / SCALE; i++)
        c += look_at_port();
    sink = c;
}

/* Code that is written and run, as a program's own compiler does; most of it more than once. */
WORKLOAD rewritten(void)
{
    uint32_t c = 0;

    for (uint32_t i = 0; i < 100000 / SCALE; i++) {
        write_code(i & 0xffff);
        for (int k = 0; k < 50; k++)
            c += ((uint32_t (*)(void))(uintptr_t)code)();
    }
    sink = c;
}

/* System registers, as a kernel touches them when it changes processes. */
WORKLOAD registers(void)
{
    uint32_t c = 0;

    for (uint32_t i = 0; i < 1000000 / SCALE; i++) {
        c += touch_registers(i);
        buf[i & 0xfffff] += c;
    }
    sink = c;
}

#endif
