/* USB keyboard, mouse and tablet: see usb_hid.c. */
#ifndef HINDCAST_VM_DEV_USB_HID_H
#define HINDCAST_VM_DEV_USB_HID_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key usb_hid_keys[];
int usb_kbd_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err);
int usb_mouse_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);
int usb_tablet_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);

#endif
