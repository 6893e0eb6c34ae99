/* Serial ports that are plugged in: --device isa-serial and pci-serial. See serial_cards.c. */
#ifndef HINDCAST_VM_DEV_SERIAL_CARDS_H
#define HINDCAST_VM_DEV_SERIAL_CARDS_H

#include "vm/dev/parts.h"

extern const struct option_key isa_serial_keys[], pci_serial_keys[];
int isa_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);
int pci_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);

#endif
