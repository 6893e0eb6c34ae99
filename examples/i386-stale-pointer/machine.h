/*
 * What the example needs of a PC: ports, the serial port, the interval timer.
 */
#ifndef MACHINE_H
#define MACHINE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

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
    u32 flags;

    __asm__ volatile("pushfl; popl %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void interrupts_restore(u32 flags)
{
    __asm__ volatile("pushl %0; popfl" : : "r"(flags) : "memory", "cc");
}

static inline void wait_for_interrupt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

/* Interrupt controllers, timer at `hz`, interrupt table; interrupts stay off. */
void machine_init(u32 hz);
/* Tell the interrupt controller that IRQ 0 was served. */
void timer_acknowledge(void);

/* A very small printf: %u %x %s %%. */
void console_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
