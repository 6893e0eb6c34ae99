/*
 * What the example needs of a PC, in 32 or 64 bits. Nothing is wrong in this file.
 */
#include "../machine.h"

#define COM1     0x3f8
#define PIC1     0x20
#define PIC2     0xa0
#define PIT      0x40
#define PIT_HZ   1193182u
#define IRQ_BASE 32

struct gate {
    u16 offset_low, selector;
    u8 zero, type;
    u16 offset_high;
#ifdef __x86_64__
    u32 offset_upper, reserved;
#endif
};

static struct gate idt[256];

extern void timer_entry(void), fault_entry(void);

void console_putc(char c)
{
    while (!(inb(COM1 + 5) & 0x20))
        ;
    outb(COM1, (u8)c);
}

void unexpected_fault(void);
void unexpected_fault(void)
{
    panic("unexpected exception");
}

static void set_gate(unsigned vector, void (*entry)(void))
{
    unsigned long offset = (unsigned long)entry;

    idt[vector] = (struct gate){(u16)offset, 0x08, 0, 0x8e, (u16)(offset >> 16),
#ifdef __x86_64__
                                (u32)(offset >> 32), 0
#endif
    };
}

static void pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, IRQ_BASE);
    outb(PIC2 + 1, IRQ_BASE + 8);
    outb(PIC1 + 1, 4);
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, 0xfe); /* only the timer */
    outb(PIC2 + 1, 0xff);
}

void machine_init(u32 hz)
{
    struct {
        u16 limit;
        unsigned long base;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (unsigned long)idt};
    u32 divisor = PIT_HZ / hz;

    outb(COM1 + 1, 0x00);
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x03);
    outb(COM1 + 2, 0x07);
    for (unsigned i = 0; i < 32; i++)
        set_gate(i, fault_entry);
    set_gate(IRQ_BASE, timer_entry);
    __asm__ volatile("lidt %0" : : "m"(pointer));
    pic_init();
    outb(PIT + 3, 0x34); /* channel 0, mode 2 */
    outb(PIT, (u8)divisor);
    outb(PIT, (u8)(divisor >> 8));
}

void timer_acknowledge(void)
{
    outb(PIC1, 0x20);
}
