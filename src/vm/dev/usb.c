/*
 * USB devices: chapter 9, the default control pipe, and the tree of ports. See usb.h.
 *
 * A control transfer (USB 2.0, 8.5.3): SETUP begins one, whatever was before it. A request IN is answered at once and
 * the answer waits in the state; a request OUT is carried out in its status stage, once all data are there. A request
 * that fails stalls data and status stage until the next SETUP. Where the class has its answer later, these stages wait for it.
 */
#include "vm/dev/usb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

/* Where a control transfer is. */
enum stage { STAGE_IDLE, STAGE_DATA_IN, STAGE_DATA_OUT, STAGE_STATUS_IN, STAGE_STATUS_OUT, STAGE_STALLED, STAGE_AWAITS_DATA,
             STAGE_AWAITS_STATUS, STAGE_DONE,
             STAGE_CONFIGURATION_IN, /* as DATA_IN, of a configuration that is longer than `data` */
             STAGES };

/* Features (9.4, table 9-6). */
enum { FEATURE_ENDPOINT_HALT = 0, FEATURE_REMOTE_WAKEUP = 1, FEATURE_U1 = 48, FEATURE_U2 = 49, FEATURE_LTM = 50 };

#define ATTRIBUTE_WAKEUP 0x20u
#define ATTRIBUTE_SELF   0x40u
#define ENDPOINT_IN      0x80u

/* ---- descriptors ---- */

static const struct usb_configuration *configuration(const struct usb_device *d, enum usb_speed speed)
{
    return &d->class->configurations[speed];
}

/* The descriptor after `at` (0: the first) of a type within the configuration. NULL: there are no more. */
static const uint8_t *next_descriptor(const struct usb_configuration *c, const uint8_t *at, uint8_t type)
{
    const uint8_t *end = c->bytes + c->len;

    for (at = at ? at + at[0] : c->bytes; at < end; at += at[0])
        if (at[1] == type)
            return at;
    return NULL;
}

static const uint8_t *find_endpoint(const struct usb_device *d, unsigned address)
{
    const struct usb_configuration *c = configuration(d, d->speed);

    for (const uint8_t *e = NULL; (e = next_descriptor(c, e, USB_DT_ENDPOINT));)
        if (e[2] == address)
            return e;
    return NULL;
}

static unsigned interfaces(const struct usb_device *d)
{
    return configuration(d, d->speed)->bytes[4];
}

static unsigned control_packet(const struct usb_device *d)
{
    return d->speed == USB_SUPER ? 512 : d->speed == USB_HIGH ? 64 : 8;
}

unsigned usb_packet_size(const struct usb_device *d, unsigned address)
{
    const uint8_t *e;

    if (!(address & 15u))
        return control_packet(d);
    e = d->st->configuration ? find_endpoint(d, address) : NULL;
    return e ? get_le16(e + 4) & 0x7ffu : 0;
}

static uint16_t device_descriptor(const struct usb_device *d, uint8_t *p, bool qualifier)
{
    const struct usb_class *c = d->class;

    /* A device that knows one of full and high speed only is one of USB 1.1. */
    bool two = c->configurations[USB_HIGH].bytes;

    p[0] = qualifier ? 10 : 18;
    p[1] = qualifier ? USB_DT_QUALIFIER : USB_DT_DEVICE;
    put_le16(p + 2, d->speed == USB_SUPER ? 0x0300 : two ? 0x0200 : 0x0110);
    p[4] = c->class_code;
    p[5] = c->subclass;
    p[6] = c->protocol;
    if (qualifier) {
        p[7] = d->speed == USB_HIGH ? 8 : 64;
        p[8] = 1;
        p[9] = 0;
        return 10;
    }
    p[7] = d->speed == USB_SUPER ? 9 : (uint8_t)control_packet(d); /* 9: 2^9 */
    put_le16(p + 8, c->vendor);
    put_le16(p + 10, c->product_id);
    put_le16(p + 12, c->release);
    p[14] = 1;
    p[15] = 2;
    p[16] = d->serial[0] ? 3 : 0;
    p[17] = 1;
    return 18;
}

/* Binary device object store (USB 3.2, 9.6.2): USB 2.0 extension and SuperSpeed capability. */
static uint16_t bos(uint8_t *p)
{
    static const uint8_t bytes[] = {
        5, USB_DT_BOS, 22, 0, 2,
        7, 16, 2, 0x02, 0, 0, 0,              /* link power management */
        10, 16, 3, 0, 0x0e, 0, 1, 0, 0, 0,    /* full, high and super speed; all functions from full speed on; no U1, U2 */
    };

    memcpy(p, bytes, sizeof(bytes));
    return sizeof(bytes);
}

static uint16_t string_descriptor(const struct usb_device *d, unsigned n, uint8_t *p)
{
    const char *text = n == 1 ? "HINDCAST" : n == 2 ? d->class->product : n == 3 && d->serial[0] ? d->serial : NULL;
    uint16_t len = 2;

    if (n && !text)
        return 0;
    if (!n) {
        put_le16(p + 2, 0x0409); /* English (United States) */
        len = 4;
    }
    for (; text && *text && len < 2 + 2 * 62; text++, len = (uint16_t)(len + 2))
        put_le16(p + len, (uint8_t)*text);
    p[0] = (uint8_t)len;
    p[1] = USB_DT_STRING;
    return len;
}

/* The other one of full and high speed. */
static const struct usb_configuration *other_speed(const struct usb_device *d)
{
    const struct usb_configuration *c;

    if (d->speed != USB_FULL && d->speed != USB_HIGH)
        return NULL;
    c = configuration(d, d->speed == USB_FULL ? USB_HIGH : USB_FULL);
    return c->bytes ? c : NULL;
}

/* Bytes of a descriptor; 0: there is none. */
static uint16_t descriptor(const struct usb_device *d, const struct usb_setup *s, uint8_t *p)
{
    const struct usb_configuration *c = NULL;
    unsigned type = s->value >> 8, n = s->value & 0xffu;

    switch (type) {
    case USB_DT_DEVICE:
        return device_descriptor(d, p, false);
    case USB_DT_QUALIFIER:
        return other_speed(d) ? device_descriptor(d, p, true) : 0;
    case USB_DT_STRING:
        return string_descriptor(d, n, p);
    case USB_DT_BOS:
        return d->speed == USB_SUPER || d->class->configurations[USB_SUPER].bytes ? bos(p) : 0;
    case USB_DT_CONFIGURATION:
        c = n == 0 ? configuration(d, d->speed) : NULL;
        break;
    case USB_DT_OTHER_SPEED:
        c = n == 0 ? other_speed(d) : NULL;
        break;
    default:
        break;
    }
    if (!c || c->len > USB_CONTROL_BYTES)
        return 0;
    memcpy(p, c->bytes, c->len);
    p[1] = (uint8_t)type;
    return c->len;
}

/* ---- standard requests ---- */

void usb_forget_endpoints(struct usb_device *d)
{
    memset(d->st->halted, 0, sizeof(d->st->halted));
    memset(d->st->toggle, 0, sizeof(d->st->toggle));
    if (d->class->reset)
        d->class->reset(d);
}

void usb_halt(struct usb_device *d, unsigned endpoint)
{
    d->st->halted[endpoint >> 7 & 1u] |= (uint16_t)(1u << (endpoint & 15u));
}

void usb_clear_halt(struct usb_device *d, unsigned endpoint)
{
    uint16_t bit = (uint16_t)(1u << (endpoint & 15u));
    unsigned in = endpoint >> 7 & 1u;

    d->st->halted[in] &= (uint16_t)~bit;
    d->st->toggle[in] &= (uint16_t)~bit;
    if (d->class->endpoint_reset)
        d->class->endpoint_reset(d, endpoint);
}

/* Is it an endpoint that there is, or endpoint 0 (which is never halted for long)? */
static bool has_endpoint(const struct usb_device *d, unsigned address)
{
    return !(address & 0x7fu) || (d->st->configuration && find_endpoint(d, address));
}

static bool is_halted(const struct usb_device *d, unsigned address)
{
    return d->st->halted[address >> 7 & 1u] >> (address & 15u) & 1u;
}

static enum usb_answer give(uint16_t *len, uint16_t n)
{
    *len = n;
    return n ? USB_ACK : USB_STALL;
}

static enum usb_answer get_status(const struct usb_device *d, const struct usb_setup *s, uint8_t *data, uint16_t *len)
{
    uint8_t attributes = configuration(d, d->speed)->bytes[7];
    unsigned status = 0;

    switch (s->type & USB_REQUEST_RECIPIENT) {
    case USB_TO_DEVICE:
        status = (attributes & ATTRIBUTE_SELF ? 1u : 0) | (d->st->wakeup ? 2u : 0);
        break;
    case USB_TO_INTERFACE:
        if (!d->st->configuration || (s->index & 0xffu) >= interfaces(d))
            return USB_STALL;
        break;
    case USB_TO_ENDPOINT:
        if (!has_endpoint(d, s->index & 0xffu))
            return USB_STALL;
        status = is_halted(d, s->index & 0xffu);
        break;
    default:
        return USB_STALL;
    }
    put_le16(data, (uint16_t)status);
    return give(len, 2);
}

static enum usb_answer feature(struct usb_device *d, const struct usb_setup *s, bool on)
{
    unsigned recipient = s->type & USB_REQUEST_RECIPIENT;

    if (recipient == USB_TO_ENDPOINT && s->value == FEATURE_ENDPOINT_HALT && has_endpoint(d, s->index & 0xffu)) {
        if (!on)
            usb_clear_halt(d, s->index & 0xffu);
        else if (s->index & 15u)
            usb_halt(d, s->index & 0xffu);
        return USB_ACK;
    }
    if (recipient == USB_TO_DEVICE && s->value == FEATURE_REMOTE_WAKEUP &&
        (configuration(d, d->speed)->bytes[7] & ATTRIBUTE_WAKEUP)) {
        d->st->wakeup = on;
        return USB_ACK;
    }
    if (recipient == USB_TO_DEVICE && d->speed == USB_SUPER && s->value >= FEATURE_U1 && s->value <= FEATURE_LTM)
        return USB_ACK;
    if (recipient == USB_TO_INTERFACE && d->speed == USB_SUPER && s->value == 0) { /* function suspend */
        d->st->wakeup = on && (s->index & 0x200u);
        return USB_ACK;
    }
    return USB_STALL;
}

static enum usb_answer configure(struct usb_device *d, unsigned n)
{
    if (n > 1)
        return USB_STALL;
    d->st->configuration = (uint8_t)n;
    usb_forget_endpoints(d);
    return USB_ACK;
}

/* Each interface has the one setting, 0. */
static enum usb_answer interface_setting(struct usb_device *d, const struct usb_setup *s, uint8_t *data, uint16_t *len)
{
    if (!d->st->configuration || s->index >= interfaces(d))
        return USB_STALL;
    if (s->request == USB_SET_INTERFACE) {
        if (s->value)
            return USB_STALL;
        usb_forget_endpoints(d);
        return USB_ACK;
    }
    data[0] = 0;
    return give(len, 1);
}

static enum usb_answer standard(struct usb_device *d, const struct usb_setup *s, uint8_t *data, uint16_t *len)
{
    bool in = s->type & USB_REQUEST_IN;

    switch (s->request) {
    case USB_GET_STATUS:
        return in ? get_status(d, s, data, len) : USB_STALL;
    case USB_CLEAR_FEATURE: case USB_SET_FEATURE:
        return in ? USB_STALL : feature(d, s, s->request == USB_SET_FEATURE);
    case USB_SET_ADDRESS: /* counts from the end of the status stage on: that is when it comes here */
        if (in || s->value > 127)
            return USB_STALL;
        d->st->address = (uint8_t)s->value;
        return USB_ACK;
    case USB_GET_DESCRIPTOR:
        return in ? give(len, descriptor(d, s, data)) : USB_STALL;
    case USB_GET_CONFIGURATION:
        data[0] = d->st->configuration;
        return in ? give(len, 1) : USB_STALL;
    case USB_SET_CONFIGURATION:
        return in ? USB_STALL : configure(d, s->value & 0xffu);
    case USB_GET_INTERFACE: case USB_SET_INTERFACE:
        return in == (s->request == USB_GET_INTERFACE) ? interface_setting(d, s, data, len) : USB_STALL;
    case USB_SET_SEL: case USB_SET_ISOCH_DELAY:
        return d->speed == USB_SUPER && !in ? USB_ACK : USB_STALL;
    default:
        return USB_STALL;
    }
}

static bool is_standard(const struct usb_setup *s)
{
    return (s->type & USB_REQUEST_KIND) == USB_REQUEST_STANDARD;
}

static enum usb_answer request(struct usb_device *d, const struct usb_setup *s, uint8_t *data, uint16_t *len)
{
    enum usb_answer a = USB_STALL;

    if (d->class->foreign)
        return is_standard(s) && s->request == USB_SET_ADDRESS ? standard(d, s, data, len) : d->class->control(d, s, data, len);
    if (is_standard(s) && !(s->request == USB_GET_DESCRIPTOR && (s->type & USB_REQUEST_RECIPIENT) == USB_TO_INTERFACE))
        return standard(d, s, data, len);
    if (d->class->control)
        a = d->class->control(d, s, data, len);
    return a;
}

/* ---- the control pipe ---- */

static struct usb_setup setup_of(const struct usb_state *s)
{
    return (struct usb_setup){.type = s->setup[0], .request = s->setup[1], .value = get_le16(s->setup + 2),
                              .index = get_le16(s->setup + 4), .length = get_le16(s->setup + 6)};
}

/* The answer to a request IN is there: `n` bytes, of which the host wants so many. */
static void data_stage(struct usb_state *s, const struct usb_setup *setup, bool ok, uint16_t n)
{
    s->stage = !ok ? STAGE_STALLED : setup->length ? STAGE_DATA_IN : STAGE_STATUS_IN;
    s->control_len = n < setup->length ? n : setup->length;
}

/* A foreign device's configuration is asked for, and is too long to be in the state. */
static bool wants_long_configuration(const struct usb_device *d, const struct usb_setup *s)
{
    return d->class->foreign && s->type == USB_REQUEST_IN && s->request == USB_GET_DESCRIPTOR && s->value == USB_DT_CONFIGURATION << 8 &&
           d->class->configurations[d->speed].len > USB_CONTROL_BYTES && s->length;
}

static enum usb_answer setup_stage(struct usb_device *d, const uint8_t *packet, size_t len)
{
    struct usb_state *s = d->st;
    struct usb_setup setup;

    if (len != sizeof(s->setup))
        return USB_SILENCE;
    memcpy(s->setup, packet, sizeof(s->setup));
    memset(s->data, 0, sizeof(s->data));
    s->control_at = s->control_len = 0;
    s->toggle[0] |= 1u; /* data and status stages begin with DATA1 (8.5.3) */
    s->toggle[1] |= 1u;
    setup = setup_of(s);
    if (wants_long_configuration(d, &setup)) {
        data_stage(s, &setup, true, d->class->configurations[d->speed].len);
        s->stage = STAGE_CONFIGURATION_IN;
    } else if (setup.type & USB_REQUEST_IN) {
        uint16_t n = 0;
        enum usb_answer a = request(d, &setup, s->data, &n);

        if (a == USB_NAK)
            s->stage = STAGE_AWAITS_DATA;
        else
            data_stage(s, &setup, a == USB_ACK, n);
    } else if (setup.length) {
        s->control_len = setup.length;
        s->stage = setup.length <= USB_CONTROL_BYTES ? STAGE_DATA_OUT : STAGE_STALLED;
    } else {
        s->stage = STAGE_STATUS_IN;
    }
    return USB_ACK;
}

/* The status stage of a request without data or with data OUT: it is carried out. */
static enum usb_answer status_in(struct usb_device *d, size_t *len)
{
    struct usb_state *s = d->st;
    struct usb_setup setup = setup_of(s);
    uint16_t n = s->control_at;
    enum usb_answer a = setup.type & USB_REQUEST_IN ? USB_ACK : request(d, &setup, s->data, &n);

    *len = 0;
    s->stage = a == USB_ACK ? STAGE_IDLE : a == USB_NAK ? STAGE_AWAITS_STATUS : STAGE_STALLED;
    return a;
}

void usb_control_done(struct usb_device *d, bool ok, const void *data, uint16_t len)
{
    struct usb_state *s = d->st;
    struct usb_setup setup = setup_of(s);

    if (s->stage == STAGE_AWAITS_DATA) {
        if (len > USB_CONTROL_BYTES)
            len = USB_CONTROL_BYTES;
        if (len)
            memcpy(s->data, data, len);
        data_stage(s, &setup, ok, len);
    } else if (s->stage == STAGE_AWAITS_STATUS) {
        s->stage = ok ? STAGE_DONE : STAGE_STALLED;
    }
    usb_ready(d, ENDPOINT_IN);
}

static enum usb_answer control_in(struct usb_device *d, uint8_t *buf, size_t *len)
{
    struct usb_state *s = d->st;
    size_t left = (size_t)s->control_len - s->control_at, n = control_packet(d);
    const struct usb_configuration *c = &d->class->configurations[d->speed];

    switch (s->stage) {
    case STAGE_CONFIGURATION_IN:
        if (!c->bytes || s->control_len > c->len) /* a state from elsewhere, of another speed */
            return USB_STALL;
        /* fall through */
    case STAGE_DATA_IN:
        n = left < n ? left : n;
        if (n > *len)
            return USB_BABBLE;
        memcpy(buf, (s->stage == STAGE_DATA_IN ? s->data : c->bytes) + s->control_at, n);
        s->control_at = (uint16_t)(s->control_at + n);
        *len = n;
        s->toggle[1] ^= 1u;
        return USB_ACK;
    case STAGE_DATA_OUT: /* the host has less to say than it said */
        s->toggle[1] |= 1u;
        return status_in(d, len);
    case STAGE_STATUS_IN:
        return status_in(d, len);
    case STAGE_DONE:
        s->stage = STAGE_IDLE;
        *len = 0;
        return USB_ACK;
    case STAGE_STALLED:
        return USB_STALL;
    default:
        return USB_NAK;
    }
}

static enum usb_answer control_out(struct usb_device *d, const uint8_t *buf, size_t len)
{
    struct usb_state *s = d->st;

    switch (s->stage) {
    case STAGE_DATA_OUT:
        if (len > control_packet(d) || len > (size_t)(s->control_len - s->control_at)) {
            s->stage = STAGE_STALLED;
            return USB_STALL;
        }
        memcpy(s->data + s->control_at, buf, len);
        s->control_at = (uint16_t)(s->control_at + len);
        s->toggle[0] ^= 1u;
        if (s->control_at == s->control_len)
            s->stage = STAGE_STATUS_IN;
        return USB_ACK;
    case STAGE_DATA_IN: case STAGE_CONFIGURATION_IN: /* enough: its status stage */
        s->stage = STAGE_IDLE;
        return USB_ACK;
    case STAGE_STALLED:
        return USB_STALL;
    default:
        return USB_NAK;
    }
}

enum usb_answer usb_transact(struct usb_device *d, enum usb_pid pid, unsigned endpoint, uint8_t *buf, size_t *len)
{
    unsigned in = pid == USB_PID_IN, address = endpoint | (in ? ENDPOINT_IN : 0);
    enum usb_answer a;

    if (pid == USB_PID_SETUP)
        return endpoint ? USB_SILENCE : setup_stage(d, buf, *len);
    if (!endpoint)
        return in ? control_in(d, buf, len) : control_out(d, buf, *len);
    if (!has_endpoint(d, address))
        return USB_SILENCE;
    if (is_halted(d, address))
        return USB_STALL;
    if (in)
        a = d->class->in ? d->class->in(d, endpoint, buf, len) : USB_SILENCE;
    else if (*len > usb_packet_size(d, address))
        a = USB_SILENCE;
    else
        a = d->class->out ? d->class->out(d, endpoint, buf, *len) : USB_SILENCE;
    if (a == USB_ACK)
        d->st->toggle[in] ^= (uint16_t)(1u << endpoint);
    return a;
}

/* Of the next packet: DATA0 or DATA1. */
static bool next_toggle(const struct usb_device *d, enum usb_pid pid, unsigned endpoint)
{
    if (pid == USB_PID_SETUP)
        return false;
    if (!endpoint && pid == USB_PID_IN &&
        (d->st->stage == STAGE_STATUS_IN || d->st->stage == STAGE_DATA_OUT || d->st->stage == STAGE_DONE))
        return true;
    if (!endpoint && pid == USB_PID_OUT && d->st->stage == STAGE_DATA_IN)
        return true;
    return d->st->toggle[pid == USB_PID_IN] >> endpoint & 1u;
}

enum usb_answer usb_transact_toggled(struct usb_device *d, enum usb_pid pid, unsigned endpoint, bool data1, uint8_t *buf, size_t *len,
                                     bool *lost)
{
    bool wrong = next_toggle(d, pid, endpoint) != data1;

    *lost = false;
    if (wrong && pid == USB_PID_SETUP)
        return USB_SILENCE;
    if (wrong && pid == USB_PID_OUT && usb_packet_size(d, endpoint))
        return is_halted(d, endpoint) ? USB_STALL : USB_ACK; /* taken for one that it has already */
    *lost = wrong;
    return usb_transact(d, pid, endpoint, buf, len);
}

/* ---- reset ---- */

void usb_bus_reset(struct usb_device *d)
{
    struct usb_state *s = d->st;

    s->address = s->configuration = s->wakeup = 0;
    s->stage = STAGE_IDLE;
    s->control_at = s->control_len = 0;
    usb_forget_endpoints(d);
}

void usb_device_reset(struct usb_device *d)
{
    memset(d->st, 0, sizeof(*d->st));
    usb_bus_reset(d);
}

bool usb_possible(const struct usb_state *s)
{
    return s->address < 128 && s->configuration <= 1 && s->stage < STAGES && s->control_len >= s->control_at &&
           (s->control_len <= USB_CONTROL_BYTES || s->stage == STAGE_STALLED || s->stage == STAGE_CONFIGURATION_IN);
}

/* ---- the tree ---- */

/* The machine's buses hang on the first of them. */
void usb_bus_init(struct usb_bus *bus, struct machine *m, struct device *dev, const struct usb_bus_ops *ops, unsigned nports,
                  unsigned speeds)
{
    struct usb_bus **end = &m->usb;

    CHECK(nports <= USB_PORTS_MOST);
    bus->dev = dev;
    bus->ops = ops;
    bus->nports = nports;
    for (unsigned i = 0; i < nports; i++)
        bus->ports[i] = (struct usb_port){.bus = bus, .n = i, .speeds = speeds};
    for (; *end; end = &(*end)->next)
        bus->number++;
    *end = bus;
}

/* Who has the port now, and as which of its own. */
static struct usb_bus *owner(const struct usb_port *p, unsigned *n)
{
    bool handed = p->companion && p->bus->ops->handed(p->bus, p->n);

    *n = handed ? p->companion_port : p->n;
    return handed ? p->companion : p->bus;
}

static bool port_enabled(const struct usb_port *p)
{
    const struct usb_bus *bus;
    unsigned n;

    if (p->hub)
        return p->hub->class->hub->enabled(p->hub, p->n);
    bus = owner(p, &n);
    return bus->ops->enabled(bus, n);
}

struct usb_device *usb_port_device(const struct usb_port *p, const struct usb_bus *bus)
{
    unsigned n;

    return owner(p, &n) == bus ? p->dev : NULL;
}

/* The tree is no deeper than USB_DEPTH: usb_plug() sees to that. */
struct usb_device *usb_find(struct usb_port *port, unsigned address)
{
    struct usb_device *d = port->dev, *found;

    if (!d || !port_enabled(port))
        return NULL;
    if (d->st->address == address)
        return d;
    for (unsigned i = 0; i < d->nports; i++)
        if ((found = usb_find(&d->ports[i], address)))
            return found;
    return NULL;
}

struct usb_device *usb_bus_find(struct usb_bus *bus, unsigned address)
{
    struct usb_device *found;

    for (unsigned i = 0; i < bus->nports; i++)
        if ((found = usb_find(&bus->ports[i], address)))
            return found;
    return NULL;
}

/* The controller's port that the device is behind. */
static const struct usb_port *root_port(const struct usb_device *d)
{
    const struct usb_port *p = d->port;

    while (p->hub)
        p = p->hub->port;
    return p;
}

void usb_ready(struct usb_device *d, unsigned endpoint)
{
    unsigned n;
    struct usb_bus *bus = owner(root_port(d), &n);

    if (bus->ops->ready)
        bus->ops->ready(bus, d, endpoint);
}

void usb_wakeup(struct usb_device *d)
{
    struct usb_port *p = d->port;
    struct usb_bus *bus;
    unsigned n;

    if (!d->st->wakeup)
        return;
    if (p->hub) {
        p->hub->class->hub->wakeup(p->hub, p->n);
    } else {
        bus = owner(p, &n);
        bus->ops->wakeup(bus, n);
    }
}

/* ---- plugging in ---- */

/* bus=NAME, bus=NAME.0, or usb-bus.N for the one with number N; NULL: the first. */
static struct usb_bus *find_bus(const struct machine *m, const char *name)
{
    for (struct usb_bus *b = m->usb; b; b = b->next) {
        size_t len = strlen(b->dev->name);
        char other[24];

        snprintf(other, sizeof(other), "usb-bus.%u", b->number);
        if (!name || !strcmp(name, other) || (!strncmp(name, b->dev->name, len) && (!name[len] || !strcmp(name + len, ".0"))))
            return b;
    }
    return NULL;
}

int usb_companion_init(struct usb_bus *bus, struct machine *m, struct device *dev, const struct usb_bus_ops *ops,
                       struct usb_port **ports, unsigned n, unsigned speeds, const struct option_list *props, struct error *err)
{
    const char *name = option_list_get(props, "masterbus");
    struct usb_bus *master = find_bus(m, name);
    uint64_t first = 0;

    if (!master || !master->ops->handed)
        return error_set(err, -ENODEV, "masterbus=%s: there is no such EHCI controller (usb-ehci or ich9-usb-ehci1, before it)", name);
    if (option_list_number(props, "firstport", 0, master->nports - n, &first, err) < 0)
        return err->code;
    for (unsigned i = 0; i < n; i++)
        if (master->ports[first + i].companion || master->ports[first + i].dev)
            return error_set(err, -EINVAL, "firstport=%u: that port has a companion, or a device, already", (unsigned)first);
    bus->dev = dev;
    bus->ops = ops;
    for (unsigned i = 0; i < n; i++) {
        ports[i] = &master->ports[first + i];
        ports[i]->companion = bus;
        ports[i]->companion_port = i;
        ports[i]->speeds |= speeds;
    }
    return 0;
}

static struct usb_port *ports_below(struct usb_bus *bus, struct usb_device *hub, unsigned *n)
{
    *n = hub ? hub->nports : bus->nports;
    return hub ? hub->ports : bus->ports;
}

/* "2", "1.3": port 3 of the hub in port 1. */
static struct usb_port *given_port(struct usb_bus *bus, const char *path, struct error *err)
{
    struct usb_device *hub = NULL;
    struct usb_port *p = NULL;
    const char *at = path;

    for (unsigned depth = 0;; depth++) {
        unsigned long number;
        unsigned n;
        char *end;

        if (depth && (!p->dev || !p->dev->nports)) {
            error_set(err, -EINVAL, "port=%s: there is no hub (--device usb-hub,port=..., before it)", path);
            return NULL;
        }
        if (depth > USB_DEPTH) {
            error_set(err, -EINVAL, "port=%s: at most %u hubs follow one another", path, USB_DEPTH);
            return NULL;
        }
        hub = depth ? p->dev : NULL;
        p = ports_below(bus, hub, &n);
        number = strtoul(at, &end, 10);
        if (end == at || (*end && *end != '.') || number < 1 || number > n) {
            error_set(err, -EINVAL, "port=%s: ports are 1 to %u%s", path, n, hub ? " of that hub" : "");
            return NULL;
        }
        p += number - 1;
        if (!*end)
            break;
        at = end + 1;
    }
    if (p->dev) {
        error_set(err, -EINVAL, "port=%s: there is a device already", path);
        return NULL;
    }
    return p;
}

/* Any free port, of the controller before those of hubs. */
static struct usb_port *free_port(struct usb_bus *bus, struct usb_device *hub, unsigned speeds, unsigned depth)
{
    struct usb_port *found;
    unsigned n;
    struct usb_port *p = ports_below(bus, hub, &n);

    for (unsigned i = 0; i < n; i++)
        if (!p[i].dev && (p[i].speeds & speeds))
            return &p[i];
    for (unsigned i = 0; depth < USB_DEPTH && i < n; i++)
        if (p[i].dev && p[i].dev->nports && (found = free_port(bus, p[i].dev, speeds, depth + 1)))
            return found;
    return NULL;
}

static unsigned class_speeds(const struct usb_class *class)
{
    unsigned speeds = 0;

    for (unsigned i = 0; i < USB_SPEEDS; i++)
        if (class->configurations[i].bytes)
            speeds |= 1u << i;
    return speeds;
}

static enum usb_speed fastest(unsigned speeds)
{
    enum usb_speed s = USB_SUPER;

    while (s != USB_LOW && !(speeds >> s & 1u))
        s--;
    return s;
}

bool usb_bus_has_speed(const struct machine *m, const struct option_list *props, enum usb_speed speed)
{
    const struct usb_bus *bus = find_bus(m, option_list_get(props, "bus"));
    bool has = !bus;

    for (unsigned i = 0; bus && i < bus->nports; i++)
        has |= bus->ports[i].speeds >> speed & 1u;
    return has;
}

void usb_port_set_speeds(struct usb_port *p, unsigned speeds)
{
    unsigned known = p->dev ? speeds & class_speeds(p->dev->class) : 0;

    if (known)
        p->dev->speed = fastest(known);
}

static void hubs_path(const struct usb_device *hub, char *path, size_t size)
{
    size_t len;

    if (!hub)
        return;
    hubs_path(hub->port->hub, path, size);
    len = strlen(path);
    snprintf(path + len, size - len, "/hub@%x", hub->port->n + 1);
}

bool usb_firmware_path(const struct usb_device *d, const struct sockets *s, char *path, size_t size)
{
    if (!s->pci || !pci_device_path(s->pci, d->port->bus->dev, path, size))
        return false;
    hubs_path(d->port->hub, path, size);
    return true;
}

int usb_plug(struct usb_device *d, struct sockets *s, struct device *dev, const struct usb_class *class,
             const struct option_list *props, struct error *err)
{
    const char *name = option_list_get(props, "bus"), *path = option_list_get(props, "port");
    const char *serial = option_list_get(props, "serial");
    struct usb_bus *bus = find_bus(s->machine, name);
    unsigned speeds = class_speeds(class);
    struct usb_port *p;

    if (!bus && name)
        return error_set(err, -ENODEV, "bus=%s: there is no such USB bus (usb-bus.0, or the id of a controller before it)", name);
    if (!bus)
        return error_set(err, -ENODEV, "there is no USB; --device qemu-xhci, before it (or, on the pc, --usb), makes one");
    p = path ? given_port(bus, path, err) : free_port(bus, NULL, speeds, 0);
    if (!p)
        return path ? -EINVAL : error_set(err, -EINVAL, "no port of the bus is free (--device usb-hub, before it, has eight)");
    if (!(p->speeds & speeds))
        return error_set(err, -EINVAL, "it has no speed that this port has");
    d->dev = dev;
    d->st = dev->state;
    d->class = class;
    d->port = p;
    d->speed = fastest(p->speeds & speeds);
    if (serial)
        snprintf(d->serial, sizeof(d->serial), "%s", serial);
    p->dev = d;
    return 0;
}

/* ---- telling ---- */

static void describe_path(const struct usb_port *p, struct buffer *out)
{
    if (p->hub) {
        describe_path(p->hub->port, out);
        buffer_printf(out, ".");
    }
    buffer_printf(out, "%u", p->n + 1);
}

static const char *const speed_names[USB_SPEEDS] = {"1.5", "12", "480", "5000"};

static void describe_port(const struct usb_port *p, struct buffer *out)
{
    const struct usb_device *d = p->dev;

    if (!d)
        return;
    buffer_printf(out, "  Device %u.%u, Port ", p->bus->number, d->st->address);
    describe_path(p, out);
    buffer_printf(out, ", Speed %s Mb/s, Product %s, ID: %s%s%s\n", speed_names[d->speed], d->class->product, d->dev->name,
                  d->st->configuration ? ", configured" : d->st->address ? ", addressed" : "",
                  port_enabled(p) ? "" : ", port not enabled");
    for (unsigned i = 0; i < d->nports; i++)
        describe_port(&d->ports[i], out);
}

void usb_describe(const struct machine *m, struct buffer *out)
{
    for (const struct usb_bus *b = m->usb; b; b = b->next) {
        buffer_printf(out, "bus %u: %s (%s), %u ports", b->number, b->dev->name, b->dev->ops->name, b->nports);
        if (b->ops->describe)
            b->ops->describe(b, out);
        buffer_printf(out, "\n");
        for (unsigned i = 0; i < b->nports; i++)
            describe_port(&b->ports[i], out);
    }
}

void usb_describe_state(const struct usb_device *d, struct buffer *out)
{
    const struct usb_state *s = d->st;

    buffer_printf(out, "port ");
    describe_path(d->port, out);
    buffer_printf(out, " of %s, %s Mb/s, address %u, configuration %u, halted %04x out %04x in\n", d->port->bus->dev->name,
                  speed_names[d->speed], s->address, s->configuration, s->halted[0], s->halted[1]);
}
