/*
 * The first disk of the PC's IDE function: LBA28, DMA by the PIIX's bus master, polled. Nothing is wrong in this file.
 */
#include "../disk.h"
#include "../../pci.h"

#define COMMAND   0x1f0 /* the first channel's registers */
#define CONTROL   0x3f6
#define TO_MEMORY 8

static u32 bus_master; /* its ports */

/* One region of memory for each transfer. */
static struct {
    u32 address, count;
} region __attribute__((aligned(8)));

void disk_init(void)
{
    u32 slot = 0;

    while (config_read(slot, 8) >> 16 != 0x0101)
        if (++slot == 256)
            panic("no IDE");
    /* Nobody gave the bus master ports, without a BIOS. */
    if (!(config_read(slot, 0x20) & 0xfff0))
        config_write(slot, 0x20, 0xc000);
    bus_master = config_read(slot, 0x20) & 0xfff0;
    config_write(slot, 4, 5);
    outb(CONTROL, 2); /* no interrupts: it is polled */
}

static void transfer(u32 block, void *memory, u8 command, u8 direction)
{
    u32 lba = block * BLOCK_SECTORS;

    region.address = (u32)memory;
    region.count = 0x80000000u | BLOCK_BYTES;
    outl((u16)(bus_master + 4), (u32)&region);
    outb((u16)bus_master, direction);
    outb((u16)(bus_master + 2), 6);
    outb(COMMAND + 6, (u8)(0xe0 | lba >> 24));
    outb(COMMAND + 2, BLOCK_SECTORS);
    outb(COMMAND + 3, (u8)lba);
    outb(COMMAND + 4, (u8)(lba >> 8));
    outb(COMMAND + 5, (u8)(lba >> 16));
    outb(COMMAND + 7, command);
    outb((u16)bus_master, direction | 1);
    while (inb((u16)(bus_master + 2)) & 1)
        ;
    outb((u16)bus_master, 0);
    if (inb(COMMAND + 7) & 0x21)
        panic("disk: block %u: error %x", block, inb(COMMAND + 1));
}

void disk_read(u32 block, void *to)
{
    transfer(block, to, 0xc8, TO_MEMORY);
}

void disk_write(u32 block, const void *from)
{
    transfer(block, (void *)from, 0xca, 0);
}
