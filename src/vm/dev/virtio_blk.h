/* virtio block devices: see virtio_blk.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_BLK_H
#define HINDCAST_VM_DEV_VIRTIO_BLK_H

#include "vm/dev/parts.h"

/* For device_models[]: "virtio-blk-pci", and "virtio-blk-device", which is reached by memory-mapped registers. */
extern const struct option_key virtio_blk_keys[], virtio_blk_mmio_keys[];
int virtio_blk_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err);
int virtio_blk_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                        const struct option_list *props, struct error *err);

#endif
