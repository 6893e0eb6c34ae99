/*
 * The first virtio block device of the virt board (virtio 1.2, 4.2 and 5.2): one queue, one request at a time, polled.
 * Nothing is wrong in this file.
 */
#include "../disk.h"

#define QUEUE       4

#include "../../virtio_mmio.h"

static struct {
    u32 type, zero;
    u64 sector;
} request;
static volatile u8 outcome;

void disk_init(void)
{
    begin_device(2, "no virtio block device");
}

static void transfer(u32 block, void *memory, u32 type)
{
    u16 done = used.index;

    request.type = type;
    request.sector = (u64)block * BLOCK_SECTORS;
    descriptors[0] = (struct descriptor){(u64)&request, sizeof(request), 1, 1};
    descriptors[1] = (struct descriptor){(u64)memory, BLOCK_BYTES, (u16)(type ? 1 : 3), 2};
    descriptors[2] = (struct descriptor){(u64)&outcome, 1, 2, 0};
    available.ring[available.index % QUEUE] = 0;
    __asm__ volatile("dmb ish" : : : "memory");
    available.index++;
    __asm__ volatile("dmb ish" : : : "memory");
    put(NOTIFY, 0);
    while (used.index == done)
        ;
    if (outcome)
        panic("disk: block %u: error %x", block, outcome);
}

void disk_read(u32 block, void *to)
{
    transfer(block, to, 0);
}

void disk_write(u32 block, const void *from)
{
    transfer(block, (void *)from, 1);
}
