/* USB mass storage: see usb_storage.c. */
#ifndef HINDCAST_VM_DEV_USB_STORAGE_H
#define HINDCAST_VM_DEV_USB_STORAGE_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key usb_storage_keys[];
int usb_storage_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err);

#endif
