/* virtio entropy devices: see virtio_rng.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_RNG_H
#define HINDCAST_VM_DEV_VIRTIO_RNG_H

#include "vm/dev/parts.h"

extern const struct option_key virtio_rng_keys[], virtio_rng_mmio_keys[];
int virtio_rng_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int virtio_rng_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                         struct error *err);

#endif
