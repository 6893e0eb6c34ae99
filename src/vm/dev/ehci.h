/* EHCI USB host controllers: see ehci.c. */
#ifndef HINDCAST_VM_DEV_EHCI_H
#define HINDCAST_VM_DEV_EHCI_H

#include "vm/dev/parts.h"

/* For struct device_model: that of an 82801DB (ICH4), and of an ICH9 (its first one). */
int usb_ehci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err);
int ich9_usb_ehci1_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);

#endif
