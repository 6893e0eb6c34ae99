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

/* For option_key lists. Devices that came with virtio 1.0 have no older form. */
#define VIRTIO_MMIO_MODERN_KEYS {"packed", "on|off"}
#define VIRTIO_MMIO_KEYS VIRTIO_MMIO_MODERN_KEYS, {"force-legacy", "on|off (registers of version 1)"}

/* Make it: `v.dev`, `v.st`, `v.class`, `v.queues` and `v.packed` are set; into a slot of the board (s->mmio_slot is there). Range 0:
 * its slot; `path` gets its Open Firmware path. 0, or -EINVAL: all are taken, or its properties make no sense. */
int virtio_mmio_plug(struct virtio_mmio *t, struct sockets *s, const struct option_list *props, char *path, size_t size,
                     struct error *err);
/* For struct device_ops. */
void virtio_mmio_reset(struct device *dev);
uint64_t virtio_mmio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size);
void virtio_mmio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value);

#endif
