/*
 * The guest's devices that are USB devices of the host (--device usb-host).
 *
 * What the guest asks of one comes here from the timeline, once, past the live edge only; what the device answers goes to the
 * timeline as input. A replay needs no device. A history that goes on live, a recording's or a branch's, has asked what nobody will answer any
 * more: the guest is told so, and asks again; or that the device is gone, where there is none.
 */
#include "server_internal.h"

#include "base/bytes.h"
#include "base/usb_message.h"
#include "host/usbdev.h"

/* Devices of the host are in the order of the options, as the machine's. */
static struct device *device_of(const struct server *s, unsigned n)
{
    for (unsigned i = 0; i < s->machine->ndevices; i++)
        if (s->machine->devices[i]->backend_kind == BACKEND_USB && !n--)
            return s->machine->devices[i];
    return NULL;
}

void server_usb_finish(struct server *s)
{
    for (unsigned i = 0; i < s->config.nusbdevs; i++)
        usbdev_close(s->config.usbdevs[i]);
}

void server_usb_poll(const struct server *s, struct poller *poller, uint64_t *timeout_ns)
{
    for (unsigned i = 0; i < s->config.nusbdevs; i++)
        if (s->config.usbdevs[i])
            usbdev_poll(s->config.usbdevs[i], poller, timeout_ns);
}

bool server_usb_take_input(struct server *s)
{
    uint8_t bytes[USB_HOST_HEAD + USB_HOST_DATA_MOST];
    bool any = false;
    size_t len;

    for (unsigned i = 0; i < s->config.nusbdevs && timeline_outside(s->timeline); i++)
        while (s->config.usbdevs[i] && (len = usbdev_receive(s->config.usbdevs[i], bytes, sizeof(bytes))) > 0) {
            timeline_input(s->timeline, device_of(s, i), bytes, len, true);
            any = true;
        }
    return any;
}

void server_usb_serve(struct server *s)
{
    for (unsigned i = 0; i < s->config.nusbdevs; i++)
        if (s->config.usbdevs[i])
            usbdev_service(s->config.usbdevs[i]);
    server_usb_take_input(s);
}

bool server_usb_output(struct server *s, const struct device *dev, const void *message, size_t len)
{
    if (dev->backend_kind != BACKEND_USB)
        return false;
    for (unsigned i = 0; i < s->config.nusbdevs && machine_position(s->machine) >= timeline_edge(s->timeline); i++)
        if (device_of(s, i) == dev && s->config.usbdevs[i])
            usbdev_send(s->config.usbdevs[i], message, len);
    return true;
}

void server_usb_lose(struct server *s)
{
    static const uint8_t cancel[USB_HOST_HEAD] = {[4] = USB_HOST_CANCEL, [5] = 0xff};
    uint8_t bytes[USB_HOST_HEAD + USB_HOST_DATA_MOST], lost[USB_HOST_HEAD] = {0};

    for (unsigned i = 0; i < s->config.nusbdevs; i++) {
        struct usbdev *u = s->config.usbdevs[i];

        if (u)
            usbdev_send(u, cancel, sizeof(cancel));
        while (u && usbdev_receive(u, bytes, sizeof(bytes)))
            ;
        lost[4] = u ? USB_HOST_LOST : USB_HOST_GONE;
        timeline_input(s->timeline, device_of(s, i), lost, sizeof(lost), true);
    }
}
