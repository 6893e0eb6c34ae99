/* virtio over PCI: see virtio_pci.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_PCI_H
#define HINDCAST_VM_DEV_VIRTIO_PCI_H

#include "vm/dev/pci.h"
#include "vm/dev/virtio.h"

#define VIRTIO_PCI_VECTORS (VIRTIO_QUEUES + 1)

DEVICE_STATE_BEGIN
/* In the device's state. */
struct virtio_pci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    struct virtio_state virtio;
    uint32_t table[VIRTIO_PCI_VECTORS][4];
    uint32_t pending;
    uint32_t reserved;
};
DEVICE_STATE_END

/* In the device's wiring: its first member. */
struct virtio_pci {
    struct virtio v;
    struct pci_function pci;
    struct virtio_pci_state *st;
    uint8_t window_at;       /* offset of the capability with the window into the structures' BAR */
    struct device *vga;      /* a VGA that is part of it: the structures are behind its registers in BAR 2, MSI-X is in BAR 4 */
    bool legacy;             /* a transitional device: drivers of before virtio 1.0 find it, too */
};

/* Plug it in: `v.dev`, `v.class`, `v.queues`, `v.packed`, `st` and `legacy` are set. `class_code`: PCI's. */
void virtio_pci_plug(struct virtio_pci *t, struct pci_bus *bus, uint8_t devfn, uint32_t class_code);
/* For struct device_ops. */
void virtio_pci_reset(struct device *dev);
uint64_t virtio_pci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size);
void virtio_pci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value);

#endif
