/*
 * The virt board's virtio devices (virtio 1.2, 4.2, version 2), for examples that drive one by one queue. QUEUE is its length;
 * u8, u16, u32 and panic() are their machine's.
 */
#ifndef EXAMPLES_VIRTIO_MMIO_H
#define EXAMPLES_VIRTIO_MMIO_H

#define SLOTS_AT    0x0a000000ul
#define SLOT_BYTES  0x200ul
#define SLOTS       32

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

/* Find the first device of that kind, and begin with it: its queue 0 is there. */
static void begin_device(u32 id, const char *missing)
{
    for (slot = SLOTS_AT; get(DEVICE_ID) != id || get(VERSION) != 2; slot += SLOT_BYTES)
        if (slot == SLOTS_AT + (SLOTS - 1) * SLOT_BYTES)
            panic(missing);
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

#endif
