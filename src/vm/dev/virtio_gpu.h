/* virtio GPU, for two dimensions: see virtio_gpu.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_GPU_H
#define HINDCAST_VM_DEV_VIRTIO_GPU_H

#include "vm/dev/parts.h"

/* As a display with a VGA, `vga` (QEMU's virtio-vga), which is plugged into its function and shown until the driver has set up
 * something. 0, or -EINVAL with *err. */
extern const struct option_key virtio_vga_keys[];
int virtio_vga_make(struct machine *m, struct pci_bus *bus, uint8_t devfn, struct device *vga, const struct option_list *props,
                    struct error *err);
extern const struct option_key virtio_gpu_keys[], virtio_gpu_mmio_keys[];
int virtio_gpu_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int virtio_gpu_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                         struct error *err);

#endif
