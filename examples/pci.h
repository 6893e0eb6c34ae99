/*
 * The PC's PCI configuration space (mechanism 1), for examples that have to find a card. u16 and u32 are their machine's.
 */
#ifndef EXAMPLES_PCI_H
#define EXAMPLES_PCI_H

static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u32 inl(u16 port)
{
    u32 value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static u32 config_read(u32 slot, u32 offset)
{
    outl(0xcf8, 0x80000000u | slot << 8 | offset);
    return inl(0xcfc);
}

static void config_write(u32 slot, u32 offset, u32 value)
{
    outl(0xcf8, 0x80000000u | slot << 8 | offset);
    outl(0xcfc, value);
}

#endif
