/*
 * The first virtio network card of the virt board (virtio 1.2, 4.2 and 5.1): its receive queue, polled, every frame that comes.
 * Nothing is wrong in this file.
 */
#include "../net.h"

#define SLOTS_AT    0x0a000000ul
#define SLOT_BYTES  0x200ul
#define SLOTS       32
#define QUEUE       8
#define HEADER      12

enum { MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24, QUEUE_SEL = 0x30,
       QUEUE_NUM = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, STATUS = 0x70, DESC = 0x80, DRIVER = 0x90, DEVICE = 0xa0 };

typedef unsigned long u64;

static struct descriptor {
    u64 address;
    u32 len;
    u16 flags, next;
} descriptors[QUEUE] __attribute__((aligned(16)));
static volatile struct {
    u16 flags, index, ring[QUEUE];
} available __attribute__((aligned(4)));
static volatile struct {
    u16 flags, index;
    struct {
        u32 id, len;
    } ring[QUEUE];
} used __attribute__((aligned(4)));
static u8 buffers[QUEUE][HEADER + FRAME_BYTES] __attribute__((aligned(16)));
static u16 taken;
static unsigned long slot;

static void put(unsigned reg, u32 value)
{
    *(volatile u32 *)(slot + reg) = value;
}

static u32 get(unsigned reg)
{
    return *(volatile u32 *)(slot + reg);
}

static void put_address(unsigned reg, const volatile void *p)
{
    put(reg, (u32)(u64)p);
    put(reg + 4, (u32)((u64)p >> 32));
}

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
    for (slot = SLOTS_AT; get(DEVICE_ID) != 1 || get(VERSION) != 2; slot += SLOT_BYTES)
        if (slot == SLOTS_AT + (SLOTS - 1) * SLOT_BYTES)
            panic("no virtio network card");
    put(STATUS, 0);
    put(STATUS, 3);
    put(DRIVER_FEATURES_SEL, 1);
    put(DRIVER_FEATURES, 1); /* VIRTIO_F_VERSION_1 */
    put(STATUS, 11);
    put(QUEUE_SEL, 0);
    put(QUEUE_NUM, QUEUE);
    put_address(DESC, descriptors);
    put_address(DRIVER, &available);
    put_address(DEVICE, &used);
    put(QUEUE_READY, 1);
    put(STATUS, 15);
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
