/*
 * virtio-mmio transports with nothing behind them (virtio 1.1, 4.2.2): each
 * slot shows the magic value, version 1, the vendor, and device ID 0, which
 * tells a driver to leave it alone. Everything else reads as zero.
 *
 * Not modelled: devices. One that is added takes its slot's range for itself.
 */
#include "vm/dev/virtio_mmio.h"

enum { MAGIC_VALUE = 0x000, VERSION = 0x004, VENDOR_ID = 0x00c };

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x554d4551u /* "QEMU" */

DEVICE_STATE_BEGIN
struct virtio_mmio_state {
    uint64_t reserved; /* it has none */
};
DEVICE_STATE_END

static uint64_t slot_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)size;
    switch (offset % VIRTIO_MMIO_SLOT_BYTES) {
    case MAGIC_VALUE: return MAGIC;
    case VERSION:     return 1;
    case VENDOR_ID:   return VENDOR;
    default:          return 0;
    }
}

static void slot_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)dev, (void)range, (void)offset, (void)size, (void)value;
}

const struct device_ops virtio_mmio_ops = {
    .name = "virtio_mmio",
    .state_size = sizeof(struct virtio_mmio_state),
    .read = slot_read,
    .write = slot_write,
};
