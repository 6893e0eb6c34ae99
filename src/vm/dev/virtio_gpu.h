/* virtio GPU, for two dimensions: see virtio_gpu.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_GPU_H
#define HINDCAST_VM_DEV_VIRTIO_GPU_H

#include "vm/dev/parts.h"

extern const struct option_key virtio_gpu_keys[], virtio_gpu_mmio_keys[];
int virtio_gpu_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int virtio_gpu_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                         struct error *err);

#endif
