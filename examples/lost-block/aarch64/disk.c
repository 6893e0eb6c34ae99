/*
 * The first virtio block device of the virt board (virtio 1.2, 4.2 and 5.2): one queue, one request at a time, polled.
 * Nothing is wrong in this file.
 */
#include "../disk.h"

#define SLOTS_AT    0x0a000000ul
#define SLOT_BYTES  0x200ul
#define SLOTS       32
#define QUEUE       4

enum { MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24, QUEUE_SEL = 0x30,
       QUEUE_NUM = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, STATUS = 0x70, DESC = 0x80, DRIVER = 0x90, DEVICE = 0xa0 };

typedef unsigned long u64;

struct descriptor {
    u64 address;
    u32 len;
    u16 flags, next;
};

static struct descriptor descriptors[QUEUE] __attribute__((aligned(16)));
static volatile struct {
    u16 flags, index, ring[QUEUE];
} available __attribute__((aligned(4)));
static volatile struct {
    u16 flags, index;
    struct {
        u32 id, len;
    } ring[QUEUE];
} used __attribute__((aligned(4)));
static struct {
    u32 type, zero;
    u64 sector;
} request;
static volatile u8 outcome;
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

void disk_init(void)
{
    for (slot = SLOTS_AT; get(DEVICE_ID) != 2 || get(VERSION) != 2; slot += SLOT_BYTES)
        if (slot == SLOTS_AT + (SLOTS - 1) * SLOT_BYTES)
            panic("no virtio block device");
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
