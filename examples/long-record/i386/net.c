/*
 * An Intel 82540EM (e1000): its receive ring, polled, every frame that comes. Nothing is wrong in this file.
 */
#include "../net.h"
#include "../../pci.h"

#define RING 8

enum { CTRL = 0x0000, IMC = 0x00d8, RCTL = 0x0100, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818 };

#define CTRL_SLU  0x40u
#define RCTL_EN   0x02u
#define RCTL_UPE  0x08u       /* to whomever */
#define RCTL_MPE  0x10u
#define RCTL_BAM  0x8000u
#define RCTL_SECRC 0x04000000u /* without frame check sequence */
#define DONE      1u

static struct descriptor {
    u32 address, address_high;
    u16 length, checksum;
    volatile u8 status;
    u8 errors;
    u16 special;
} ring[RING] __attribute__((aligned(128)));
static u8 buffers[RING][FRAME_BYTES] __attribute__((aligned(16)));
static u32 registers, next;

static void put(u32 reg, u32 value)
{
    *(volatile u32 *)(registers + reg) = value;
}

void net_init(void)
{
    u32 slot = 0;

    while (config_read(slot, 0) != 0x100e8086)
        if (++slot == 256)
            panic("no network card");
    /* Nobody gave it an address, without a BIOS. */
    if (!(config_read(slot, 0x10) & ~15u))
        config_write(slot, 0x10, 0xfebc0000);
    registers = config_read(slot, 0x10) & ~15u;
    config_write(slot, 4, 6);
    put(IMC, 0xffffffff);
    put(CTRL, CTRL_SLU);
    for (u32 i = 0; i < RING; i++)
        ring[i].address = (u32)buffers[i];
    put(RDBAL, (u32)ring);
    put(RDBAH, 0);
    put(RDLEN, sizeof(ring));
    put(RDH, 0);
    put(RDT, RING - 1);
    put(RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
}

const u8 *net_receive(u32 *len)
{
    while (!(ring[next].status & DONE))
        ;
    *len = ring[next].length;
    return buffers[next];
}

void net_done(void)
{
    ring[next].status = 0;
    put(RDT, next);
    next = (next + 1) % RING;
}
