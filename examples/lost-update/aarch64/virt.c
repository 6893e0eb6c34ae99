/*
 * What the example needs of the virt board with several CPUs. Nothing is wrong in this file.
 */
#include "../jobs.h"

#define UART       0x09000000ul
#define UART_FLAGS (UART + 0x18)
#define UART_FULL  0x20u
#define FW_CFG     0x09020000ul
#define FW_CFG_KEY (FW_CFG + 8)

#define CPU_ON     0xc4000003ul /* PSCI */
#define SYSTEM_OFF 0x84000008ul
#define SYS_EXIT_EXTENDED 0x20ul /* semihosting */
#define APPLICATION_EXIT  0x20026ul

extern const u8 _start[];

static unsigned long psci(unsigned long function, unsigned long a, unsigned long b)
{
    register unsigned long x0 __asm__("x0") = function;
    register unsigned long x1 __asm__("x1") = a;
    register unsigned long x2 __asm__("x2") = b;
    register unsigned long x3 __asm__("x3") = 0;

    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    return x0;
}

void print(const char *text)
{
    for (; *text; text++) {
        while (*(volatile u32 *)UART_FLAGS & UART_FULL)
            ;
        *(volatile u32 *)UART = (u8)*text;
    }
}

/* QEMU's fw_cfg, item 5 (the key is big-endian). */
u32 count_cpus(void)
{
    u32 low;

    *(volatile u16 *)FW_CFG_KEY = 5 << 8;
    low = *(volatile u8 *)FW_CFG;
    return low | (u32)*(volatile u8 *)FW_CFG << 8;
}

/* Their affinity: clusters of 16. */
void wake_others(void)
{
    u32 cpus = count_cpus();

    for (unsigned long n = 1; n < cpus; n++)
        psci(CPU_ON, n / 16 << 8 | n % 16, (unsigned long)_start);
}

/* hindcast ends with status 0, or, with --semihosting, with 5. */
void end(int good)
{
    static const unsigned long bad[2] = {APPLICATION_EXIT, 5};
    register unsigned long x0 __asm__("x0") = SYS_EXIT_EXTENDED;
    register const unsigned long *x1 __asm__("x1") = bad;

    if (good)
        psci(SYSTEM_OFF, 0, 0);
    else
        __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    for (;;)
        __asm__ volatile("wfi");
}
