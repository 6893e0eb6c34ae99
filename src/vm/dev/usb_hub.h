/* USB hub: see usb_hub.c. */
#ifndef HINDCAST_VM_DEV_USB_HUB_H
#define HINDCAST_VM_DEV_USB_HUB_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key usb_hub_keys[];
int usb_hub_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err);

#endif
