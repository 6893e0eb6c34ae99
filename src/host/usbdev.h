/*
 * A USB device of this machine that a guest has (--device usb-host), by libusb: what it is, and transfers that go on while the
 * guest runs. What is asked and answered are the messages of base/usb_message.h.
 *
 * While it is open its interfaces are taken away from the kernel's drivers; they get them back.
 */
#ifndef HINDCAST_HOST_USBDEV_H
#define HINDCAST_HOST_USBDEV_H

#include "base/buffer.h"
#include "base/error.h"
#include "host/poller.h"

/* Which one: all that is given must be so; -1: any. */
struct usbdev_match {
    int32_t vendor, product, bus, address;
};

struct usbdev;

/* The one device of this machine that it means. NULL with *err: there is none, or several; it cannot be had; or there is no
 * libusb in this build. `text`: what the user calls it, for messages. */
struct usbdev *usbdev_open(const struct usbdev_match *m, const char *text, struct error *err);
void usbdev_close(struct usbdev *u);

/* What it is, as properties of --device: ",speed=WORD,descriptors=HEX" (its device descriptor and its configuration). */
void usbdev_describe(const struct usbdev *u, struct buffer *out);

/* A message of the guest's. */
void usbdev_send(struct usbdev *u, const void *message, size_t len);
/* The next answer, of at most `size` bytes. Its length; 0: there is none. */
size_t usbdev_receive(struct usbdev *u, void *answer, size_t size);

/* Before a wait, and after it. */
void usbdev_poll(struct usbdev *u, struct poller *p, uint64_t *timeout_ns);
void usbdev_service(struct usbdev *u);

#endif
