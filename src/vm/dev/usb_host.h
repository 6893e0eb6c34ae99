/* A USB device of the host: see usb_host.c. */
#ifndef HINDCAST_VM_DEV_USB_HOST_H
#define HINDCAST_VM_DEV_USB_HOST_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key usb_host_keys[];
int usb_host_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err);

#endif
