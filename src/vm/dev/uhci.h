/* UHCI USB host controllers: see uhci.c. */
#ifndef HINDCAST_VM_DEV_UHCI_H
#define HINDCAST_VM_DEV_UHCI_H

#include "vm/dev/parts.h"

/* For struct device_model: that of a PIIX3, PIIX4 or ICH9 (its first three). */
extern const struct option_key uhci_keys[];
int piix3_usb_uhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int piix4_usb_uhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int ich9_usb_uhci1_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int ich9_usb_uhci2_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int ich9_usb_uhci3_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);

#endif
