/*
 * virtio: what all devices have in common, whatever carries them (virtio_pci.c, virtio_mmio.c) and whatever
 * they are (virtio_blk.c, virtio_scsi.c): features, status, and virtqueues (virtio.c).
 *
 * A device of a kind has a struct virtio as the first member of its wiring, with its class and transport; its
 * state has a struct virtio_state and what it keeps itself. It takes the next request of a queue by
 * virtio_peek(), looks at it as often as it likes, and gives it back by virtio_push(): so a request in
 * progress is no state but "queue n is being served".
 */
#ifndef HINDCAST_VM_DEV_VIRTIO_H
#define HINDCAST_VM_DEV_VIRTIO_H

#include "vm/device.h"

#define VIRTIO_QUEUES     8u
#define VIRTIO_QUEUE_SIZE 256u
#define VIRTIO_SEGMENTS   1024u /* of one request */
#define VIRTIO_NO_VECTOR  0xffffu

/* Features of every device (virtio 1.2, 6). */
#define VIRTIO_F_ANY_LAYOUT    (1ull << 27)
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_RING_PACKED   (1ull << 34)
#define VIRTIO_F_RING_RESET    (1ull << 40) /* such as keep nothing of a request in progress offer it themselves */

/* Device status. */
#define VIRTIO_DRIVER_OK   0x04u
#define VIRTIO_FEATURES_OK 0x08u
#define VIRTIO_NEEDS_RESET 0x40u

DEVICE_STATE_BEGIN
struct virtio_queue {
    uint64_t desc, driver, device; /* addresses: descriptors, available ring, used ring (packed: ring, event areas) */
    uint16_t size;
    uint16_t vector;      /* MSI-X vector, or VIRTIO_NO_VECTOR; over registers in memory, version 1: log2 of QueueAlign */
    uint16_t avail;       /* split: index of the next request; packed: its place in the ring */
    uint16_t used;        /* likewise, of the next one given back */
    uint16_t told;        /* `used` when the driver was last interrupted */
    uint8_t enabled;
    uint8_t wrap;         /* packed: bit 0 the wrap counter of `avail`, bit 1 of `used`, bit 2 of `told` */
    uint32_t reserved;
};

struct virtio_state {
    uint64_t features;    /* those that the driver took */
    uint32_t device_select, driver_select; /* which half of the features is shown, is written */
    uint32_t queue_select;
    uint16_t config_vector; /* likewise; and log2 of GuestPageSize */
    uint8_t status;
    uint8_t isr;          /* bit 0: a queue, bit 1: the configuration */
    uint32_t generation;  /* of the configuration */
    uint32_t reserved;
    struct virtio_queue queue[VIRTIO_QUEUES];
};
DEVICE_STATE_END

struct virtio;

/* A kind of device. */
struct virtio_class {
    uint16_t id;             /* virtio 1.2, 5 */
    uint32_t config_bytes;   /* of device configuration */
    uint64_t (*features)(const struct virtio *);     /* those of this kind */
    void (*config_read)(const struct virtio *, uint8_t *config); /* fill in config_bytes */
    void (*config_write)(struct virtio *, uint32_t offset, uint8_t value); /* NULL: it cannot be written */
    void (*notified)(struct virtio *, unsigned queue); /* there may be requests */
    void (*reset)(struct virtio *);                    /* requests in progress are forgotten */
};

/* Who carries it. */
struct virtio_transport {
    bool (*dma_read)(struct virtio *, paddr_t address, void *buf, size_t len);
    bool (*dma_write)(struct virtio *, paddr_t address, const void *buf, size_t len);
    /* An interrupt by this vector; isr says why. */
    void (*interrupt)(struct virtio *, uint16_t vector);
};

/* Wiring; the first member of a device's. */
struct virtio {
    struct device *dev;
    struct virtio_state *st;
    const struct virtio_class *class;
    const struct virtio_transport *transport;
    unsigned queues;         /* how many there are */
    uint64_t offered;        /* features, without those that the transport takes away */
    bool packed;             /* offer packed rings */
    bool old;                /* offer what there was before virtio 1.0 only */
};

struct virtio_segment {
    paddr_t address;
    uint32_t len;
};

/* A request: what the device may read, then what it may write. */
struct virtio_chain {
    uint16_t id;             /* head (split) or buffer ID (packed) */
    uint16_t places;         /* descriptors that it takes in a packed ring */
    unsigned nout, nin;      /* segments; those to be written follow those to be read */
    uint64_t out, in;        /* bytes */
    struct virtio_segment segments[VIRTIO_SEGMENTS];
};

/* ---- for devices ---- */

/* After `dev`, `st`, `class`, `transport` and `queues` are set: what is offered. */
void virtio_init(struct virtio *v);
/* All of it as after a reset by the driver or of the machine. */
void virtio_reset(struct virtio *v);
/* The next request. False: there is none, or the queue is broken (then the device needs a reset). */
bool virtio_peek(struct virtio *v, unsigned queue, struct virtio_chain *c);
/* Would virtio_peek() find something? Leaves no trace: for who is no part of the machine. */
bool virtio_waits(const struct virtio *v, unsigned queue);
/* Bytes that the device may write to in the requests that wait, from the first on until there are `enough`, and how many requests
 * those are. Leaves no trace, either; a chain that is none ends it. */
uint64_t virtio_space(const struct virtio *v, unsigned queue, uint64_t enough, unsigned *requests);
/* The request that virtio_peek() gave is done, `written` bytes were written: give it back, interrupt if wanted. */
void virtio_push(struct virtio *v, unsigned queue, const struct virtio_chain *c, uint32_t written);
/* Copy to or from the request's bytes at `offset` of its readable (out) or writable (in) part. False: beyond its end, or
 * memory that cannot be reached. */
bool virtio_out(struct virtio *v, const struct virtio_chain *c, uint64_t offset, void *buf, size_t len);
bool virtio_in(struct virtio *v, const struct virtio_chain *c, uint64_t offset, const void *buf, size_t len);
/* The device's configuration is another one: the driver is told. */
void virtio_config_changed(struct virtio *v);
/* The driver did what it must not: nothing goes on before a reset. */
void virtio_broken(struct virtio *v);
static inline bool virtio_has(const struct virtio *v, uint64_t feature)
{
    return (v->st->features & feature) != 0;
}

/* ---- for transports ---- */

/* Status was written: 0 resets. */
void virtio_set_status(struct virtio *v, uint8_t status);
/* Half of the features was written. */
void virtio_take_features(struct virtio *v, unsigned half, uint32_t value);
/* Put a queue of before 1.0 at `at`, 0: nowhere: its rings lie one after the other, the used ring at a multiple of `align`, a power
 * of 2 (2.7.2). */
void virtio_queue_at(struct virtio_queue *q, uint64_t at, uint64_t align);
/* A driver that took VIRTIO_F_RING_RESET wants a queue as it is after a reset (2.6.1). */
void virtio_queue_reset(struct virtio *v, struct virtio_queue *q);
/* The queue that queue_select means; NULL: there is none. */
struct virtio_queue *virtio_selected(const struct virtio *v);
void virtio_notify(struct virtio *v, unsigned queue);
uint64_t virtio_config_read(const struct virtio *v, uint64_t offset, unsigned size);
void virtio_config_write(struct virtio *v, uint64_t offset, unsigned size, uint64_t value);
void virtio_describe(const struct virtio *v, struct buffer *b);
/* For `possible`. */
bool virtio_possible(const struct virtio *v);

#endif
