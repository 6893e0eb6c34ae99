/* NE2000-compatible cards, on PCI (RTL8029AS) and on ISA: see ne2000.c. */
#ifndef HINDCAST_VM_DEV_NE2000_H
#define HINDCAST_VM_DEV_NE2000_H

#include "vm/dev/parts.h"

/* For device_models[]: "ne2k_pci" and "ne2k_isa". */
extern const struct option_key ne2k_pci_keys[], ne2k_isa_keys[];
int ne2k_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err);
int ne2k_isa_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err);

#endif
