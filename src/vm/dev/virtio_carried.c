/*
 * See virtio_carried.h.
 */
#include "vm/dev/virtio_carried.h"

#include <errno.h>

#include "vm/machine.h"

struct virtio_carried *virtio_make(const struct virtio_kind *kind, struct sockets *s, const char *name, bool pci, unsigned queues,
                                   const struct option_list *props, void **own, struct error *err)
{
    bool packed = false;
    struct virtio_carried *c;
    struct device *dev;

    if (option_list_switch(props, "packed", &packed, err) < 0)
        return NULL;
    dev = machine_add_owned_device(s->machine, pci ? kind->pci : kind->mmio, name, kind->wiring_bytes);
    c = dev->wiring;
    c->t.v = (struct virtio){.dev = dev, .class = kind->class, .queues = queues, .packed = packed};
    *own = (uint8_t *)dev->state + (pci ? sizeof(struct virtio_pci_state) : sizeof(struct virtio_state));
    return c;
}

int virtio_carry_pci(const struct virtio_kind *kind, struct virtio_carried *c, struct sockets *s, uint8_t devfn,
                     const struct option_list *props, struct error *err)
{
    bool modern = kind->modern;

    if (option_list_switch(props, "disable-legacy", &modern, err) < 0)
        return err->code;
    c->t.pci.st = c->t.v.dev->state;
    c->t.pci.legacy = !modern && !kind->modern;
    virtio_pci_plug(&c->t.pci, s->pci, devfn, kind->pci_class);
    return 0;
}

int virtio_carry_mmio(struct virtio_carried *c, struct sockets *s, const struct option_list *props, struct error *err)
{
    char path[BOOT_PATH_BYTES];

    if (!s->mmio_slot)
        return error_set(err, -ENODEV, "this board has no slots for virtio over memory-mapped registers");
    c->t.v.st = c->t.v.dev->state;
    return virtio_mmio_plug(&c->t.mmio, s, props, path, sizeof(path), err);
}
