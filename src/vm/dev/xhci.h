/* xHCI USB host controller: see xhci.c, xhci_ring.c. */
#ifndef HINDCAST_VM_DEV_XHCI_H
#define HINDCAST_VM_DEV_XHCI_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key qemu_xhci_keys[];
int qemu_xhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);

#endif
