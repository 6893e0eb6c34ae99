/* virtio over memory-mapped registers: see virtio_mmio.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_MMIO_H
#define HINDCAST_VM_DEV_VIRTIO_MMIO_H

#include "vm/dev/parts.h"
#include "vm/dev/virtio.h"

#define VIRTIO_MMIO_SLOT_BYTES 0x200u

/* Empty slots. Range 0: any number of them, one after the other. */
extern const struct device_ops virtio_mmio_ops;

/* In a device's wiring: its first member. */
struct virtio_mmio {
    struct virtio v;
    struct line irq;
};

/* Make it: `v.dev`, `v.st`, `v.class`, `v.queues`, `v.packed` and `irq` are set. Range 0: its slot. */
void virtio_mmio_plug(struct virtio_mmio *t);
/* Into a slot of the board; `path` gets its Open Firmware path. 0, or -EINVAL: all are taken. */
int virtio_mmio_place(struct virtio_mmio *t, struct sockets *s, char *path, size_t size, struct error *err);
/* For struct device_ops. */
void virtio_mmio_reset(struct device *dev);
uint64_t virtio_mmio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size);
void virtio_mmio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value);

#endif
