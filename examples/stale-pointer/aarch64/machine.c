/*
 * What the example needs of a virt board with GICv2: PL011, the physical timer.
 * Nothing is wrong in this file.
 */
#include "../machine.h"

#define UART      0x09000000ul
#define GIC_DIST  0x08000000ul
#define GIC_CPU   0x08010000ul
#define TIMER_IRQ 30u /* the EL1 physical timer */

static unsigned long interval; /* of the timer, in its ticks */

static void put32(unsigned long address, u32 value)
{
    *(volatile u32 *)address = value;
}

static u32 get32(unsigned long address)
{
    return *(volatile u32 *)address;
}

void console_putc(char c)
{
    put32(UART, (u8)c);
}

void unexpected_fault(void);
void unexpected_fault(void)
{
    panic("unexpected exception");
}

void machine_init(u32 hz)
{
    unsigned long frequency, now;

    put32(GIC_DIST + 0x100, 1u << TIMER_IRQ);
    put32(GIC_DIST, 1);
    put32(GIC_CPU + 4, 0xff);
    put32(GIC_CPU, 1);
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    __asm__ volatile("isb; mrs %0, cntpct_el0" : "=r"(now));
    interval = frequency / hz;
    __asm__ volatile("msr cntp_cval_el0, %0" : : "r"(now + interval));
    __asm__ volatile("msr cntp_ctl_el0, %0; isb" : : "r"(1ul));
}

void timer_acknowledge(void)
{
    u32 irq = get32(GIC_CPU + 0x0c);
    unsigned long due;

    __asm__ volatile("mrs %0, cntp_cval_el0" : "=r"(due));
    __asm__ volatile("msr cntp_cval_el0, %0; isb" : : "r"(due + interval));
    put32(GIC_CPU + 0x10, irq);
}
