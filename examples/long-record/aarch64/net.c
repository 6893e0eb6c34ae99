/*
 * The first virtio network card of the virt board (virtio 1.2, 4.2 and 5.1): its receive queue, polled, every frame that comes.
 * Nothing is wrong in this file.
 */
#include "../net.h"

#define QUEUE       8
#define HEADER      12

#include "../../virtio_mmio.h"

static u8 buffers[QUEUE][HEADER + FRAME_BYTES] __attribute__((aligned(16)));
static u16 taken;

/* A buffer for the card. */
static void offer(u16 id)
{
    available.ring[available.index % QUEUE] = id;
    __asm__ volatile("dmb ish" : : : "memory");
    available.index++;
    __asm__ volatile("dmb ish" : : : "memory");
    put(NOTIFY, 0);
}

void net_init(void)
{
    begin_device(1, "no virtio network card");
    for (u16 i = 0; i < QUEUE; i++) {
        descriptors[i] = (struct descriptor){(u64)buffers[i], sizeof(buffers[i]), 2, 0};
        offer(i);
    }
}

const u8 *net_receive(u32 *len)
{
    while (used.index == taken)
        ;
    *len = used.ring[taken % QUEUE].len - HEADER;
    return buffers[used.ring[taken % QUEUE].id] + HEADER;
}

void net_done(void)
{
    offer((u16)used.ring[taken % QUEUE].id);
    taken++;
}
