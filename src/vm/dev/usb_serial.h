/* A serial port on USB: --device usb-serial. See usb_serial.c. */
#ifndef HINDCAST_VM_DEV_USB_SERIAL_H
#define HINDCAST_VM_DEV_USB_SERIAL_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key usb_serial_keys[];
int usb_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);

#endif
