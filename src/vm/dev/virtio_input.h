/* virtio keyboard, mouse and tablet: see virtio_input.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_INPUT_H
#define HINDCAST_VM_DEV_VIRTIO_INPUT_H

#include "vm/dev/parts.h"

extern const struct option_key virtio_input_keys[], virtio_input_mmio_keys[];

#define VIRTIO_INPUT_PLUG(name) \
    int name(struct sockets *s, const char *dev_name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
VIRTIO_INPUT_PLUG(virtio_keyboard_pci_plug);
VIRTIO_INPUT_PLUG(virtio_keyboard_mmio_plug);
VIRTIO_INPUT_PLUG(virtio_mouse_pci_plug);
VIRTIO_INPUT_PLUG(virtio_mouse_mmio_plug);
VIRTIO_INPUT_PLUG(virtio_tablet_pci_plug);
VIRTIO_INPUT_PLUG(virtio_tablet_mmio_plug);

#endif
