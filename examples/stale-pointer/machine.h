/*
 * What the example needs of its machine: interrupts, the console, an interval timer.
 */
#ifndef MACHINE_H
#define MACHINE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#ifdef __aarch64__
static inline u32 interrupts_off(void)
{
    unsigned long flags;

    __asm__ volatile("mrs %0, daif; msr daifset, #2" : "=r"(flags) : : "memory");
    return (u32)flags;
}

static inline void interrupts_restore(u32 flags)
{
    __asm__ volatile("msr daif, %0" : : "r"((unsigned long)flags) : "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("msr daifclr, #2" : : : "memory");
}

static inline void wait_for_interrupt(void)
{
    __asm__ volatile("wfi" : : : "memory");
}

#else
static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline u32 interrupts_off(void)
{
    unsigned long flags;

    __asm__ volatile("pushf; pop %0; cli" : "=r"(flags) : : "memory");
    return (u32)flags;
}

static inline void interrupts_restore(u32 flags)
{
    __asm__ volatile("push %0; popf" : : "r"((unsigned long)flags) : "memory", "cc");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void wait_for_interrupt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

#endif
/* Interrupt controllers, timer at `hz`, interrupt table; interrupts stay off. */
void machine_init(u32 hz);
/* Tell the interrupt controller that the timer's interrupt was served. */
void timer_acknowledge(void);

/* One character, as it is. */
void console_putc(char c);

/* A very small printf: %u %x %s %%. */
void console_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
