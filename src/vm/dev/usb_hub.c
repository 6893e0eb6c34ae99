/*
 * A USB hub of full speed (USB 2.0, chapter 11): up to eight ports, always powered, without indicators. On a bus without full speed
 * (EHCI without companions) it is one of high speed, with a transaction translator for all ports (11.14): controllers make
 * split transactions as a whole, so its buffers are always empty.
 *
 * Resets and resumes of ports take no time: the change bits are set at once.
 *
 * Not modelled: over-current, power switching, test modes.
 */
#include "vm/dev/usb_hub.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

#define HUB_PORTS 8u

/* wPortStatus and wPortChange (11.24.2.7). */
#define PORT_CONNECTION 0x0001u
#define PORT_ENABLE     0x0002u
#define PORT_SUSPEND    0x0004u
#define PORT_POWER      0x0100u
#define PORT_LOW_SPEED  0x0200u
#define PORT_HIGH_SPEED 0x0400u
#define CHANGE_RESET    0x0010u

/* Feature selectors (11.24.2, table 11-17). */
enum { F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_POWER = 8, F_C_CONNECTION = 16, F_C_RESET = 20 };
/* Requests for the transaction translator (11.24.2). */
enum { CLEAR_TT_BUFFER = 8, RESET_TT = 9, GET_TT_STATE = 10, STOP_TT = 11 };
enum { FEATURE_C_LOCAL_POWER = 0, FEATURE_C_OVER_CURRENT = 1 };

DEVICE_STATE_BEGIN
struct hub_state {
    struct usb_state usb;
    uint16_t status[HUB_PORTS], change[HUB_PORTS];
};
DEVICE_STATE_END

/* Wiring. */
struct hub {
    struct usb_device usb;
    struct usb_port ports[HUB_PORTS];
};

/* Self-powered, wakes the host. */
#define CONFIGURATION(interval)                      \
    9, USB_DT_CONFIGURATION, 25, 0, 1, 1, 0, 0xe0, 0, \
    9, USB_DT_INTERFACE, 0, 0, 1, 9, 0, 0, 0,         \
    7, USB_DT_ENDPOINT, 0x81, 3, 2, 0, interval

static const uint8_t full[] = {CONFIGURATION(255)};
static const uint8_t high[] = {CONFIGURATION(12)};

static struct hub_state *state_of(const struct usb_device *u)
{
    return u->dev->state;
}

/* Something of a port has changed. */
static void changed(struct usb_device *u, unsigned port, uint16_t bits)
{
    state_of(u)->change[port] |= bits;
    usb_wakeup(u);
    usb_ready(u, 0x81);
}

/* Ports have power once the hub is configured. */
static void hub_usb_reset(struct usb_device *u)
{
    struct hub_state *s = state_of(u);

    for (unsigned i = 0; i < HUB_PORTS; i++) {
        const struct usb_device *d = i < u->nports ? u->ports[i].dev : NULL;
        bool on = s->usb.configuration && i < u->nports;

        s->status[i] = on ? PORT_POWER : 0;
        s->change[i] = on && d ? PORT_CONNECTION : 0;
        if (on && d)
            s->status[i] |= PORT_CONNECTION | (d->speed == USB_LOW ? PORT_LOW_SPEED : d->speed == USB_HIGH ? PORT_HIGH_SPEED : 0);
    }
}

static bool hub_enabled(const struct usb_device *u, unsigned port)
{
    return (state_of(u)->status[port] & (PORT_ENABLE | PORT_SUSPEND)) == PORT_ENABLE;
}

/* A device resumes its port, and whoever sleeps above (11.9). */
static void hub_wakeup(struct usb_device *u, unsigned port)
{
    struct hub_state *s = state_of(u);

    if (s->status[port] & PORT_SUSPEND) {
        s->status[port] &= (uint16_t)~PORT_SUSPEND;
        changed(u, port, PORT_SUSPEND);
    } else {
        usb_wakeup(u);
    }
}

static const struct usb_hub_ops hub_ops = {.enabled = hub_enabled, .wakeup = hub_wakeup};

/* ---- requests ---- */

static enum usb_answer descriptor(const struct usb_device *u, uint8_t *p, uint16_t *len)
{
    p[0] = 9;
    p[1] = USB_DT_HUB;
    p[2] = (uint8_t)u->nports;
    put_le16(p + 3, 0x000a); /* no power switching, no over-current protection of each port */
    p[5] = 1;                /* 2 ms until power is good */
    p[6] = 0;
    p[7] = 0;                /* no device is built in */
    p[8] = 0xff;
    *len = 9;
    return USB_ACK;
}

static enum usb_answer set_feature(struct usb_device *u, unsigned port, unsigned feature)
{
    struct hub_state *s = state_of(u);
    struct usb_device *d = u->ports[port].dev;

    switch (feature) {
    case F_SUSPEND:
        if (s->status[port] & PORT_ENABLE)
            s->status[port] |= PORT_SUSPEND;
        return USB_ACK;
    case F_RESET:
        if (!d)
            return USB_ACK;
        usb_bus_reset(d);
        s->status[port] = (s->status[port] & (uint16_t)~PORT_SUSPEND) | PORT_ENABLE;
        changed(u, port, CHANGE_RESET);
        return USB_ACK;
    case F_POWER:
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

static enum usb_answer clear_feature(struct usb_device *u, unsigned port, unsigned feature)
{
    struct hub_state *s = state_of(u);

    if (feature >= F_C_CONNECTION && feature <= F_C_RESET) {
        s->change[port] &= (uint16_t)~(1u << (feature - F_C_CONNECTION));
        return USB_ACK;
    }
    switch (feature) {
    case F_ENABLE:
        s->status[port] &= (uint16_t)~(PORT_ENABLE | PORT_SUSPEND);
        return USB_ACK;
    case F_SUSPEND:
        if (s->status[port] & PORT_SUSPEND) {
            s->status[port] &= (uint16_t)~PORT_SUSPEND;
            changed(u, port, PORT_SUSPEND);
        }
        return USB_ACK;
    case F_POWER:
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

static enum usb_answer port_request(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    const struct hub_state *s = state_of(u);
    unsigned port = (r->index & 0xffu) - 1u;

    if (u->speed == USB_HIGH && r->request >= CLEAR_TT_BUFFER && r->request <= STOP_TT)
        return r->request == GET_TT_STATE ? USB_STALL : USB_ACK;
    if (port >= u->nports || !s->usb.configuration)
        return USB_STALL;
    if (r->type & USB_REQUEST_IN) {
        if (r->request != USB_GET_STATUS)
            return USB_STALL;
        put_le16(data, s->status[port]);
        put_le16(data + 2, s->change[port]);
        *len = 4;
        return USB_ACK;
    }
    switch (r->request) {
    case USB_SET_FEATURE:   return set_feature(u, port, r->value);
    case USB_CLEAR_FEATURE: return clear_feature(u, port, r->value);
    default:                return USB_STALL;
    }
}

/* The hub itself: neither local power nor current is ever too little or too much. */
static enum usb_answer hub_request(const struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    if (!(r->type & USB_REQUEST_IN))
        return r->request == USB_CLEAR_FEATURE && r->value <= FEATURE_C_OVER_CURRENT ? USB_ACK : USB_STALL;
    if (r->request == USB_GET_DESCRIPTOR && r->value >> 8 == USB_DT_HUB)
        return descriptor(u, data, len);
    if (r->request != USB_GET_STATUS)
        return USB_STALL;
    put_le32(data, 0);
    *len = 4;
    return USB_ACK;
}

static enum usb_answer hub_control(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    if ((r->type & USB_REQUEST_KIND) != USB_REQUEST_CLASS)
        return USB_STALL;
    switch (r->type & USB_REQUEST_RECIPIENT) {
    case USB_TO_DEVICE: return hub_request(u, r, data, len);
    case USB_TO_OTHER:  return port_request(u, r, data, len);
    default:            return USB_STALL;
    }
}

/* Bit n: port n has changed (11.12.4). */
static enum usb_answer hub_in(struct usb_device *u, unsigned endpoint, uint8_t *buf, size_t *len)
{
    const struct hub_state *s = state_of(u);
    size_t bytes = u->nports / 8 + 1;
    unsigned bits = 0;

    (void)endpoint;
    for (unsigned i = 0; i < u->nports; i++)
        if (s->change[i])
            bits |= 2u << i;
    if (!bits)
        return USB_NAK;
    if (*len < bytes)
        return USB_BABBLE;
    put_le16(buf, (uint16_t)bits);
    *len = bytes;
    return USB_ACK;
}

/* ---- the device ---- */

static const struct usb_class hub_class = {
    .product = "USB Hub", .vendor = 0x0409, .product_id = 0x55aa, .release = 0x0101, .class_code = 9,
    .configurations = {[USB_FULL] = {full, sizeof(full)}},
    .reset = hub_usb_reset, .control = hub_control, .in = hub_in, .hub = &hub_ops};

/* Protocol 1: a single transaction translator (11.23.1). */
static const struct usb_class fast_hub_class = {
    .product = "USB Hub", .vendor = 0x0409, .product_id = 0x55aa, .release = 0x0101, .class_code = 9, .protocol = 1,
    .configurations = {[USB_FULL] = {full, sizeof(full)}, [USB_HIGH] = {high, sizeof(high)}},
    .reset = hub_usb_reset, .control = hub_control, .in = hub_in, .hub = &hub_ops};

static void hub_reset(struct device *dev)
{
    struct hub *h = dev->wiring;

    usb_device_reset(&h->usb);
}

static bool hub_possible(const struct device *dev)
{
    const struct hub_state *s = dev->state;

    return usb_possible(&s->usb);
}

static void hub_describe(const struct device *dev, struct buffer *b)
{
    const struct hub *h = dev->wiring;
    const struct hub_state *s = dev->state;

    usb_describe_state(&h->usb, b);
    for (unsigned i = 0; i < h->usb.nports; i++)
        buffer_printf(b, "port %u: status %04x change %04x\n", i + 1, s->status[i], s->change[i]);
}

static const struct device_ops ops = {
    .name = "usb-hub",
    .state_size = sizeof(struct hub_state),
    .state_version = 1,
    .possible = hub_possible,
    .reset = hub_reset,
    .describe = hub_describe,
};

const struct option_key usb_hub_keys[] = {USB_KEYS, {"ports", "1 to 8"}, {NULL, NULL}};

int usb_hub_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err)
{
    bool slow = usb_bus_has_speed(s->machine, props, USB_FULL);
    unsigned speeds = 1u << USB_LOW | 1u << USB_FULL | (slow ? 0 : 1u << USB_HIGH);
    uint64_t ports = HUB_PORTS;
    struct device *dev;
    struct hub *h;

    (void)devfn, (void)d;
    if (option_list_number(props, "ports", 1, HUB_PORTS, &ports, err) < 0)
        return err->code;
    dev = machine_add_owned_device(s->machine, &ops, name, sizeof(*h));
    h = dev->wiring;
    if (usb_plug(&h->usb, s, dev, slow ? &hub_class : &fast_hub_class, props, err) < 0)
        return err->code;
    h->usb.ports = h->ports;
    h->usb.nports = (unsigned)ports;
    for (unsigned i = 0; i < ports; i++)
        h->ports[i] = (struct usb_port){.bus = h->usb.port->bus, .hub = &h->usb, .n = i, .speeds = speeds};
    return 0;
}
