/*
 * What the example needs of a PC with several CPUs. Nothing is wrong in this file.
 */
#include "jobs.h"

#define COM1       0x3f8
#define FW_CFG     0x510
#define DEBUG_EXIT 0xf4
#define PM1_CNT    0x604
#define WAKE_UP    0x8000u /* the page of a STARTUP message's vector */

#define APIC       0xfee00000u
#define SPURIOUS   0xf0
#define COMMAND    0x300
#define TO_OTHERS  0xc0000u
#define INIT       0x4500u
#define STARTUP    0x4600u

extern const u8 wake_up[], wake_up_end[];

static void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void outw(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static volatile u32 *apic(u32 offset)
{
    return (volatile u32 *)(APIC + offset);
}

void print(const char *text)
{
    for (; *text; text++) {
        while (!(inb(COM1 + 5) & 0x20))
            ;
        outb(COM1, (u8)*text);
    }
}

/* QEMU's fw_cfg, item 5. */
u32 count_cpus(void)
{
    u32 low;

    outw(FW_CFG, 5);
    low = inb(FW_CFG + 1);
    return low | (u32)inb(FW_CFG + 1) << 8;
}

void wake_others(void)
{
    u8 *page = (u8 *)WAKE_UP;

    for (u32 i = 0; wake_up + i < wake_up_end; i++)
        page[i] = wake_up[i];
    *apic(SPURIOUS) = 0x1ff;
    *apic(COMMAND) = TO_OTHERS | INIT;
    for (u32 n = 0; n < 1000; n++)
        relax();
    *apic(COMMAND) = TO_OTHERS | STARTUP | WAKE_UP >> 12;
}

/* hindcast ends with status 0, or with 5: twice the value, and 1. */
void end(int good)
{
    if (good)
        outw(PM1_CNT, 0x2000);
    else
        outb(DEBUG_EXIT, 2);
    for (;;)
        __asm__ volatile("cli; hlt");
}
