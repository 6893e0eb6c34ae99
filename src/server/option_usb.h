/*
 * --device usb-host: which device of the host it means.
 */
#ifndef HINDCAST_OPTION_USB_H
#define HINDCAST_OPTION_USB_H

#include "host/usbdev.h"
#include "option_drives.h"

/* Devices that do not say what they are (those of a recording do) get what the host says of them. 0, or negative errno with
 * *err. Before the machine is made. */
int option_usb_settle(struct option_drives *o, struct error *err);
/* The n-th usb-host of the options, opened. NULL with *err: the host has none such, or another one. */
struct usbdev *option_usb_open(const struct option_drives *o, unsigned n, struct error *err);

#endif
