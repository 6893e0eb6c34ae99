/*
 * A USB device that is plugged into the host, for the guest (--device usb-host).
 *
 * What it is (its speed and descriptors) is configuration: the host says it when the machine is made, and a recording keeps it
 * (descriptors=). What the guest asks of it goes out as messages (base/usb_message.h), and what it answers comes in as input, recorded: so a
 * replay needs no device. Meanwhile the guest is told NAK. SET_ADDRESS, CLEAR_FEATURE of halts and SET_CONFIGURATION are
 * noted here, too; the device descriptor and the configuration are answered from here, all other requests by the device.
 *
 * A packet is asked for when the guest first wants one; one that goes out is acknowledged at once, and the next one waits
 * until the device has it: if it would not, the endpoint halts then. Numbers tell answers from those that nobody waits for.
 *
 * Not modelled: isochronous endpoints (they are silent), more than one configuration, requests with more than USB_CONTROL_BYTES but that
 * for the configuration.
 */
#include "vm/dev/usb_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/usb_message.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

#define ENDPOINTS   16u
#define ALL         0xffu
#define DEVICE_LEN  18u
#define TYPE_ISOCHRONOUS 1u

DEVICE_STATE_BEGIN
struct host_state {
    struct usb_state usb;
    uint32_t number;               /* of the last message */
    uint32_t control;              /* that of the request under way; 0: none is */
    uint32_t in[ENDPOINTS], out[ENDPOINTS]; /* those of packets under way */
    uint16_t len[ENDPOINTS];       /* of what has come, if `has` */
    uint8_t has[ENDPOINTS];
    uint8_t gone;
    uint8_t reserved[3];
    uint8_t data[ENDPOINTS][USB_PACKET_MOST];
};
DEVICE_STATE_END

/* Wiring. */
struct foreign {
    struct usb_device usb;
    struct usb_class class;
    char product[48];
    uint8_t device[DEVICE_LEN];
    uint8_t configuration[USB_CONFIGURATION_MOST];
};

static struct host_state *state_of(const struct usb_device *u)
{
    return u->dev->state;
}

static const struct foreign *foreign_of(const struct usb_device *u)
{
    return u->dev->wiring;
}

/* ---- messages ---- */

static uint32_t send(struct usb_device *u, enum usb_host_kind kind, unsigned endpoint, const void *head, size_t head_len,
                     const void *data, size_t len, size_t wanted)
{
    uint8_t message[USB_HOST_HEAD + 8 + USB_PACKET_MOST] = {0};
    struct host_state *s = state_of(u);
    const struct machine_env *env = u->dev->machine->env;

    s->number += s->number == UINT32_MAX ? 2 : 1;
    put_le32(message, s->number);
    message[4] = (uint8_t)kind;
    message[5] = (uint8_t)endpoint;
    put_le16(message + 6, (uint16_t)(wanted ? wanted : head_len + len));
    if (head_len)
        memcpy(message + USB_HOST_HEAD, head, head_len);
    if (len)
        memcpy(message + USB_HOST_HEAD + head_len, data, len);
    if (env && env->output)
        env->output(env->ctx, u->dev, message, USB_HOST_HEAD + head_len + len);
    return s->number;
}

/* What is under way is forgotten, and what has come of it. */
static void forget(struct usb_device *u, unsigned endpoint)
{
    struct host_state *s = state_of(u);
    unsigned n = endpoint & 15u;

    if (endpoint & 0x80u) {
        s->in[n] = 0;
        s->has[n] = 0;
        s->len[n] = 0;
    } else {
        s->out[n] = 0;
    }
}

static void cancel(struct usb_device *u, unsigned endpoint)
{
    struct host_state *s = state_of(u);
    unsigned n = endpoint & 15u;
    bool any = endpoint & 0x80u ? s->in[n] : s->out[n];

    if (endpoint == ALL) {
        any = s->control;
        for (unsigned i = 0; i < ENDPOINTS; i++) {
            any |= s->in[i] || s->out[i];
            forget(u, i);
            forget(u, i | 0x80u);
        }
        s->control = 0;
    } else {
        forget(u, endpoint);
    }
    if (any)
        send(u, USB_HOST_CANCEL, endpoint, NULL, 0, NULL, 0, 0);
}

/* ---- requests ---- */

static enum usb_answer descriptor(const struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    const struct foreign *f = foreign_of(u);
    const uint8_t *from = r->value >> 8 == USB_DT_DEVICE ? f->device : f->configuration;

    *len = r->value >> 8 == USB_DT_DEVICE ? DEVICE_LEN : f->class.configurations[u->speed].len; /* a longer one, usb.c tells itself */
    if (*len > USB_CONTROL_BYTES)
        *len = USB_CONTROL_BYTES;
    memcpy(data, from, *len);
    return USB_ACK;
}

/* What is answered here. False: the device is asked. */
static bool answered_here(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len, enum usb_answer *a)
{
    bool in = r->type & USB_REQUEST_IN;

    if ((r->type & USB_REQUEST_KIND) != USB_REQUEST_STANDARD)
        return false;
    *a = USB_ACK;
    if (in && r->request == USB_GET_DESCRIPTOR && (r->value == USB_DT_DEVICE << 8 || r->value == USB_DT_CONFIGURATION << 8)) {
        *a = descriptor(u, r, data, len);
        return true;
    }
    if (in && r->request == USB_GET_CONFIGURATION) {
        data[0] = u->st->configuration;
        *len = 1;
        return true;
    }
    if (!in && r->request == USB_SET_CONFIGURATION) {
        *a = r->value > 1 ? USB_STALL : USB_ACK;
        if (r->value <= 1) {
            u->st->configuration = (uint8_t)r->value;
            usb_forget_endpoints(u);
        }
        return true;
    }
    return false;
}

static enum usb_answer host_control(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    struct host_state *s = state_of(u);
    bool in = r->type & USB_REQUEST_IN, standard = (r->type & USB_REQUEST_KIND) == USB_REQUEST_STANDARD;
    uint8_t setup[8] = {r->type, r->request};
    enum usb_answer a;

    if (answered_here(u, r, data, len, &a))
        return a;
    if (s->gone)
        return USB_STALL;
    if (standard && r->request == USB_CLEAR_FEATURE && (r->type & USB_REQUEST_RECIPIENT) == USB_TO_ENDPOINT && !r->value)
        usb_clear_halt(u, r->index & 0xffu);
    if (standard && r->request == USB_SET_INTERFACE)
        usb_forget_endpoints(u);
    put_le16(setup + 2, r->value);
    put_le16(setup + 4, r->index);
    put_le16(setup + 6, r->length < USB_CONTROL_BYTES ? r->length : USB_CONTROL_BYTES);
    s->control = send(u, USB_HOST_CONTROL, 0, setup, sizeof(setup), data, in ? 0 : *len, 0);
    return USB_NAK;
}

/* ---- packets ---- */

static bool is_isochronous(const struct usb_device *u, unsigned address)
{
    const struct usb_configuration *c = &u->class->configurations[u->speed];

    for (unsigned at = 0; at + 4u <= c->len && c->bytes[at]; at += c->bytes[at])
        if (c->bytes[at + 1] == USB_DT_ENDPOINT && c->bytes[at + 2] == address)
            return (c->bytes[at + 3] & 3u) == TYPE_ISOCHRONOUS;
    return false;
}

static enum usb_answer host_in(struct usb_device *u, unsigned endpoint, uint8_t *buf, size_t *len)
{
    struct host_state *s = state_of(u);

    if (s->gone || is_isochronous(u, endpoint | 0x80u))
        return USB_SILENCE;
    if (!s->has[endpoint]) {
        if (!s->in[endpoint])
            s->in[endpoint] = send(u, USB_HOST_IN, endpoint | 0x80u, NULL, 0, NULL, 0, usb_packet_size(u, endpoint | 0x80u));
        return USB_NAK;
    }
    if (s->len[endpoint] > *len)
        return USB_BABBLE;
    *len = s->len[endpoint];
    memcpy(buf, s->data[endpoint], *len);
    forget(u, endpoint | 0x80u);
    return USB_ACK;
}

static enum usb_answer host_out(struct usb_device *u, unsigned endpoint, const uint8_t *buf, size_t len)
{
    struct host_state *s = state_of(u);

    if (s->gone || is_isochronous(u, endpoint))
        return USB_SILENCE;
    if (s->out[endpoint])
        return USB_NAK;
    s->out[endpoint] = send(u, USB_HOST_OUT, endpoint, NULL, 0, buf, len, 0);
    return USB_ACK;
}

static void host_usb_reset(struct usb_device *u)
{
    cancel(u, ALL);
}

static void host_endpoint_reset(struct usb_device *u, unsigned endpoint)
{
    cancel(u, endpoint);
}

/* ---- answers ---- */

static void packet_done(struct usb_device *u, unsigned endpoint, enum usb_host_status status, const uint8_t *data, size_t len)
{
    struct host_state *s = state_of(u);
    unsigned n = endpoint & 15u;

    forget(u, endpoint);
    if (status != USB_HOST_OK) {
        usb_halt(u, endpoint);
    } else if (endpoint & 0x80u) {
        s->has[n] = 1;
        s->len[n] = (uint16_t)len;
        memcpy(s->data[n], data, len);
    }
    usb_ready(u, endpoint);
}

/* All that is under way ends: a request as if it were refused; packets that were to come are asked for again. */
static void lose_all(struct usb_device *u)
{
    struct host_state *s = state_of(u);

    for (unsigned n = 1; n < ENDPOINTS; n++) {
        if (s->in[n] && !s->has[n])
            s->in[n] = 0;
        s->out[n] = 0;
        usb_ready(u, n);
        usb_ready(u, n | 0x80u);
    }
    if (s->control)
        usb_control_done(u, false, NULL, 0);
    s->control = 0;
}

static void host_input(struct device *dev, const struct event *e)
{
    struct usb_device *u = dev->wiring;
    struct host_state *s = dev->state;
    const uint8_t *data = e->data + USB_HOST_HEAD;
    uint32_t number;
    unsigned n;
    size_t len;

    if (e->len < USB_HOST_HEAD || e->len > USB_HOST_HEAD + USB_PACKET_MOST)
        return;
    number = get_le32(e->data);
    n = e->data[5] & 15u;
    len = e->len - USB_HOST_HEAD;
    if (!number) {
        s->gone |= e->data[4] == USB_HOST_GONE;
        lose_all(u);
    } else if (number == s->control) {
        s->control = 0;
        usb_control_done(u, e->data[4] == USB_HOST_OK, data, (uint16_t)len);
    } else if (number == (e->data[5] & 0x80u ? s->in[n] : s->out[n])) {
        packet_done(u, e->data[5], e->data[4], data, len);
    }
}

/* ---- the device ---- */

static void host_reset(struct device *dev)
{
    struct usb_device *u = dev->wiring;
    struct host_state *s = dev->state;
    uint32_t number;
    uint8_t gone = s->gone;

    cancel(u, ALL);
    number = s->number;
    memset(s, 0, sizeof(*s));
    s->number = number;
    s->gone = gone;
    usb_device_reset(u);
}

static bool host_possible(const struct device *dev)
{
    const struct host_state *s = dev->state;

    for (unsigned n = 0; n < ENDPOINTS; n++)
        if (s->len[n] > USB_PACKET_MOST)
            return false;
    return usb_possible(&s->usb);
}

static void host_describe(const struct device *dev, struct buffer *b)
{
    const struct host_state *s = dev->state;

    usb_describe_state(dev->wiring, b);
    buffer_printf(b, "%u messages to the host%s%s", s->number, s->control ? ", a request under way" : "", s->gone ? ", the device is gone" : "");
    for (unsigned n = 1; n < ENDPOINTS; n++) {
        if (s->in[n])
            buffer_printf(b, ", IN %u %s", n, s->has[n] ? "has come" : "under way");
        if (s->out[n])
            buffer_printf(b, ", OUT %u under way", n);
    }
    buffer_printf(b, "\n");
}

static const struct device_ops ops = {
    .name = "usb-host",
    .state_size = sizeof(struct host_state),
    .state_version = 1,
    .reset = host_reset,
    .input = host_input,
    .possible = host_possible,
    .describe = host_describe,
};

/* ---- plugging in ---- */

const struct option_key usb_host_keys[] = {
    USB_KEYS, {"vendorid", "N"}, {"productid", "N"}, {"hostbus", "N"}, {"hostaddr", "N"},
    {"speed", "low|full|high|super"}, {"descriptors", "HEX"}, /* what the host says of it: in recordings */
    {NULL, NULL},
};

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Every descriptor lies within the configuration, and is as long as what is read of it. */
static bool is_sound(const uint8_t *c, size_t len)
{
    size_t at = 0;

    if (len < 9 || c[1] != USB_DT_CONFIGURATION || get_le16(c + 2) != len || c[5] != 1)
        return false;
    while (at < len) {
        size_t least = at + 1 < len && c[at + 1] == USB_DT_ENDPOINT ? 7 : 2;

        if (c[at] < least || at + c[at] > len || (least == 7 && (get_le16(c + at + 4) & 0x7ffu) > USB_PACKET_MOST))
            return false;
        at += c[at];
    }
    return true;
}

/* The device descriptor and the configuration, as the host has read them. */
static int take_descriptors(struct foreign *f, enum usb_speed speed, const char *hex, struct error *err)
{
    uint8_t bytes[DEVICE_LEN + USB_CONFIGURATION_MOST];
    size_t len = strlen(hex) / 2;
    bool ok = strlen(hex) % 2 == 0 && len <= sizeof(bytes) && len > DEVICE_LEN;

    for (size_t i = 0; ok && i < len; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        ok = high >= 0 && low >= 0;
        bytes[i] = ok ? (uint8_t)(high << 4 | low) : 0;
    }
    if (!ok || bytes[0] != DEVICE_LEN || bytes[1] != USB_DT_DEVICE || !is_sound(bytes + DEVICE_LEN, len - DEVICE_LEN))
        return error_set(err, -EINVAL, "descriptors=: they are none of a device with one configuration (number 1) of at most %u bytes",
                         USB_CONFIGURATION_MOST);
    memcpy(f->device, bytes, DEVICE_LEN);
    f->device[7] = speed == USB_SUPER ? 9 : speed == USB_HIGH ? 64 : 8; /* packets of endpoint 0: as our control pipe has them */
    memcpy(f->configuration, bytes + DEVICE_LEN, len - DEVICE_LEN);
    snprintf(f->product, sizeof(f->product), "USB device %04x:%04x of the host", get_le16(bytes + 8), get_le16(bytes + 10));
    f->class = (struct usb_class){.product = f->product, .foreign = true, .control = host_control, .in = host_in, .out = host_out,
                                  .reset = host_usb_reset, .endpoint_reset = host_endpoint_reset};
    f->class.configurations[speed] = (struct usb_configuration){f->configuration, (uint16_t)(len - DEVICE_LEN)};
    return 0;
}

int usb_host_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err)
{
    static const char *const speeds[] = {"low", "full", "high", "super", NULL};
    const char *hex = option_list_get(props, "descriptors");
    unsigned speed = USB_FULL;
    struct device *dev;
    struct foreign *f;

    (void)devfn, (void)d;
    if (option_list_choice(props, "speed", speeds, &speed, err) < 0)
        return err->code;
    if (!hex)
        return error_set(err, -EINVAL, "which one? vendorid=, productid=, hostbus=, hostaddr=");
    dev = machine_add_owned_device(s->machine, &ops, name, sizeof(*f));
    f = dev->wiring;
    if (take_descriptors(f, speed, hex, err) < 0)
        return err->code;
    dev->backend_kind = BACKEND_USB;
    snprintf(dev->backend, sizeof(dev->backend), "%.31s", name);
    return usb_plug(&f->usb, s, dev, &f->class, props, err);
}
