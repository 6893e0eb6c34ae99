/* virtio network cards: see virtio_net.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_NET_H
#define HINDCAST_VM_DEV_VIRTIO_NET_H

#include "vm/dev/parts.h"

/* For device_models[]: "virtio-net-pci", and "virtio-net-device", which is reached by memory-mapped registers. */
extern const struct option_key virtio_net_keys[], virtio_net_mmio_keys[];
int virtio_net_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                        const struct option_list *props, struct error *err);
int virtio_net_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err);

#endif
