/* Empty virtio-mmio slots: see virtio_mmio.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_MMIO_H
#define HINDCAST_VM_DEV_VIRTIO_MMIO_H

#include "vm/device.h"

#define VIRTIO_MMIO_SLOT_BYTES 0x200u

/* Range 0: any number of slots, one after the other. */
extern const struct device_ops virtio_mmio_ops;

#endif
