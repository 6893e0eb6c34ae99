/* Shared directories by virtio (9P2000.L): see virtio_9p.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_9P_H
#define HINDCAST_VM_DEV_VIRTIO_9P_H

#include "vm/dev/parts.h"

extern const struct option_key virtio_9p_keys[], virtio_9p_mmio_keys[];
int virtio_9p_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err);
int virtio_9p_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);

#endif
