/*
 * The devices that there are for --device, by QEMU's names.
 *
 * Adding one: its plug function, declared in its header, and a line here.
 */
#include "vm/dev/nvme.h"
#include "vm/dev/parts.h"
#include "vm/dev/virtio_blk.h"

const struct device_model device_models[] = {
    {"nvme", "PCI", "NVM Express controller", true, nvme_keys, nvme_plug},
    {"virtio-blk-pci", "PCI", "virtio block device", true, virtio_blk_keys, virtio_blk_pci_plug},
    {NULL, NULL, NULL, false, NULL, NULL},
};
