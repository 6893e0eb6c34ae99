/*
 * A virtio device that both transports can carry, made of its parts: for kinds of devices that have no more to say about
 * either than this.
 */
#ifndef HINDCAST_VM_DEV_VIRTIO_CARRIED_H
#define HINDCAST_VM_DEV_VIRTIO_CARRIED_H

#include "vm/dev/parts.h"
#include "vm/dev/virtio_mmio.h"
#include "vm/dev/virtio_pci.h"

/* The first member of its wiring. */
struct virtio_carried {
    union {
        struct virtio v;
        struct virtio_pci pci;
        struct virtio_mmio mmio;
    } t; /* first: virtio_pci.c and virtio_mmio.c find themselves there */
};

/* The device's state is that of the transport (struct virtio_pci_state or virtio_state), and its own behind it. */
struct virtio_kind {
    const struct virtio_class *class;
    const struct device_ops *pci, *mmio; /* as which it is known to the machine */
    uint32_t pci_class;
    bool modern;          /* it came with virtio 1.0: there is no transitional form */
    size_t wiring_bytes;
};

/* For option_key lists of such devices. */
#define VIRTIO_PCI_KEYS {"packed", "on|off"}, {"disable-legacy", "on|off"}

/* Make the device; then virtio_carry_...(). The wiring, or NULL with *err: its properties make no sense. `queues`: how many.
 * *own gets its own state. */
struct virtio_carried *virtio_make(const struct virtio_kind *kind, struct sockets *s, const char *name, bool pci, unsigned queues,
                                   const struct option_list *props, void **own, struct error *err);
/* Plug it in. 0, or -EINVAL with *err. */
int virtio_carry_pci(const struct virtio_kind *kind, struct virtio_carried *c, struct sockets *s, uint8_t devfn,
                     const struct option_list *props, struct error *err);
int virtio_carry_mmio(struct virtio_carried *c, struct sockets *s, const struct option_list *props, struct error *err);

#endif
