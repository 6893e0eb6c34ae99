/*
 * What is said between a guest's USB device that is one of the host (vm/dev/usb_host.h) and who has that (host/usbdev.h), each a
 * message of its own.
 *
 * To the host (the device's output): what to do, by a number. From it (its input): how that ended.
 */
#ifndef HINDCAST_BASE_USB_MESSAGE_H
#define HINDCAST_BASE_USB_MESSAGE_H

#define USB_HOST_DATA_MOST 1024u

enum usb_host_kind {
    USB_HOST_CONTROL = 1, /* endpoint 0: data are the eight bytes of the request, then those that go out */
    USB_HOST_IN,          /* a packet of at most `len` bytes, with no data here */
    USB_HOST_OUT,         /* a packet */
    USB_HOST_CANCEL,      /* what was asked of the endpoint (0xff: of all) is wanted no more; there is no answer */
};

enum usb_host_status {
    USB_HOST_OK,
    USB_HOST_STALL,
    USB_HOST_FAILED,      /* nobody answered */
    USB_HOST_LOST,        /* number 0: what is under way will have no answer: the host is another one now */
    USB_HOST_GONE,        /* number 0: the device is there no more */
};

/* Head of a message, little-endian: u32 number, u8 kind or status, u8 endpoint with its direction, u16 len. Data follow. */
#define USB_HOST_HEAD 8u

#endif
