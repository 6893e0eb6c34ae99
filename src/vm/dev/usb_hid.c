/*
 * USB human interface devices (HID 1.11, HID Usage Tables 1.12): a keyboard and a mouse with the boot and the report
 * protocol, and a tablet, which knows places.
 *
 * Input (EVENT_INPUT): the keyboard's are words as vm/dev/keys.h has them; those of mouse and tablet records of 8 bytes
 * (machine.h). They wait here until the host has fetched the report of the one before: no key is lost between two polls, and a
 * long way is told in several reports. What comes while the device is not configured is lost, as it is on a cable
 * that nobody listens to.
 *
 * Idle rates (7.2.4) have the time of the last report as their beginning. LEDs are kept, for `describe`.
 *
 * Not modelled: feature reports, physical descriptors, keys with no usage in the boot protocol's list (power, sleep, wake).
 */
#include "vm/dev/usb_hid.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/keys.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

enum kind { KEYBOARD, MOUSE, TABLET };

/* Class requests (7.2). */
enum { GET_REPORT = 1, GET_IDLE = 2, GET_PROTOCOL = 3, SET_REPORT = 9, SET_IDLE = 10, SET_PROTOCOL = 11 };
enum { REPORT_INPUT = 1, REPORT_OUTPUT = 2 };
enum { PROTOCOL_BOOT = 0, PROTOCOL_REPORT = 1 };

#define WORDS       64u  /* of a keyboard, to be typed */
#define RECORDS     16u  /* of a mouse or tablet */
#define RECORD      8u   /* bytes of one in an event */
#define IDLE_UNIT   4000000ull
#define KEYS        6u   /* that a report names */
#define USAGES      256u
#define ROLL_OVER   1u   /* ErrorRollOver */
#define FIRST_MODIFIER 0xe0u
#define REPORT_MOST 8u

DEVICE_STATE_BEGIN
struct pointer_record {
    int16_t x, y, z;
    uint16_t buttons;
};

struct hid_state {
    struct usb_state usb;
    uint64_t type_at;        /* keyboard: vtime before which nothing more is typed */
    uint64_t reported_at;    /* vtime of the last report */
    uint32_t down[USAGES / 32]; /* keyboard: a bit for each usage that is held */
    struct pointer_record at; /* mouse: distances not told so far; tablet: where it is. And the buttons */
    uint8_t idle;            /* in units of 4 ms; 0: reports only when something has changed */
    uint8_t protocol;
    uint8_t leds;            /* keyboard: num, caps, scroll, compose, kana */
    uint8_t fresh;           /* there is something that was not reported */
    uint8_t head, count;     /* of what waits in the queue */
    uint8_t reserved[2];
    uint16_t words[WORDS];
    struct pointer_record records[RECORDS];
};
DEVICE_STATE_END

/* Wiring. */
struct hid {
    struct usb_device usb;
    enum kind kind;
};

/* ---- descriptors ---- */

/* HID 1.11, appendix B.1. */
static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,                                                 /* generic desktop, keyboard */
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x81, 0x02, /* modifiers */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,                                                 /* a byte of nothing */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02,             /* LEDs */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81, 0x00, /* keys */
    0xc0,
};

/* Appendix B.2, and a wheel. */
static const uint8_t mouse_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,                         /* mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06, /* X, Y, wheel */
    0xc0, 0xc0,
};

static const uint8_t tablet_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02,
    0x81, 0x02,                                                                         /* X, Y: 0 to 32767 */
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06,
    0xc0, 0xc0,
};

static const struct {
    const uint8_t *bytes;
    uint16_t len;
} reports[] = {{keyboard_report, sizeof(keyboard_report)}, {mouse_report, sizeof(mouse_report)}, {tablet_report, sizeof(tablet_report)}};

/* One configuration of one interface with one endpoint; 100 mA, wakes the host. */
#define CONFIGURATION(subclass, protocol, report, packet, interval)                                              \
    9, USB_DT_CONFIGURATION, 34, 0, 1, 1, 0, 0xa0, 50,                                                           \
    9, USB_DT_INTERFACE, 0, 0, 1, 3, subclass, protocol, 0,                                                      \
    9, USB_DT_HID, 0x11, 0x01, 0, 1, USB_DT_REPORT, (uint8_t)sizeof(report), 0,                                  \
    7, USB_DT_ENDPOINT, 0x81, 3, packet, 0, interval

static const uint8_t keyboard_full[] = {CONFIGURATION(1, 1, keyboard_report, 8, 10)};
static const uint8_t keyboard_high[] = {CONFIGURATION(1, 1, keyboard_report, 8, 7)};
static const uint8_t mouse_full[] = {CONFIGURATION(1, 2, mouse_report, 4, 10)};
static const uint8_t mouse_high[] = {CONFIGURATION(1, 2, mouse_report, 4, 7)};
static const uint8_t tablet_full[] = {CONFIGURATION(0, 0, tablet_report, 8, 10)};
static const uint8_t tablet_high[] = {CONFIGURATION(0, 0, tablet_report, 8, 4)};

#define HID_AT 18u /* of the HID descriptor in these */

/* ---- keys ---- */

/* Usages (Usage Tables 1.12, chapter 10) by set 1 make code. */
static const uint8_t usages[128] = {
    0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b, /* 00 */
    0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16, /* 10 */
    0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19, /* 20 */
    0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, /* 30 */
    0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59, /* 40 */
    0x5a, 0x5b, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45, 0x67, 0x00, 0x00, 0x8c, 0x00, 0x00, 0x00, /* 50 */
    0x00, 0x00, 0x00, 0x00, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x00, /* 60 */
    0x88, 0x00, 0x00, 0x87, 0x00, 0x00, 0x73, 0x00, 0x00, 0x8a, 0x00, 0x8b, 0x00, 0x89, 0x85, 0x00, /* 70 */
};

/* 0: none. */
static uint8_t usage_of(uint16_t key)
{
    if (key & KEY_PAUSE)
        return 0x48;
    if (!(key & KEY_EXTENDED))
        return usages[key & 0x7fu];
    switch (key & 0x7fu) {
    case 0x1c: return 0x58; /* keypad enter */
    case 0x1d: return 0xe4; /* right control */
    case 0x35: return 0x54; /* keypad / */
    case 0x37: return 0x46; /* print screen */
    case 0x38: return 0xe6; /* right alt */
    case 0x47: return 0x4a;
    case 0x48: return 0x52;
    case 0x49: return 0x4b;
    case 0x4b: return 0x50;
    case 0x4d: return 0x4f;
    case 0x4f: return 0x4d;
    case 0x50: return 0x51;
    case 0x51: return 0x4e;
    case 0x52: return 0x49;
    case 0x53: return 0x4c;
    case 0x5b: return 0xe3;
    case 0x5c: return 0xe7;
    case 0x5d: return 0x65;
    default:   return 0;
    }
}

static bool is_configured(const struct hid_state *s)
{
    return s->usb.configuration != 0;
}

/* There is something to be fetched. */
static void make_fresh(struct hid *h)
{
    struct hid_state *s = h->usb.dev->state;

    if (s->fresh)
        return;
    s->fresh = 1;
    usb_wakeup(&h->usb);
    usb_ready(&h->usb, 0x81);
}

/* Type what is due, up to the first key that changes anything: then the report is fetched first. */
static void type(struct hid *h)
{
    struct hid_state *s = h->usb.dev->state;
    vtime_t now = machine_now(h->usb.dev->machine);

    while (s->count && now >= s->type_at && !s->fresh) {
        uint16_t word = s->words[s->head];
        uint8_t usage;
        uint32_t bit;

        s->words[s->head] = 0;
        s->head = (uint8_t)((s->head + 1) % WORDS);
        s->count--;
        if (word & KEY_WAIT) {
            s->type_at = now + (word & KEY_WAIT_MAX) * 1000000ull;
            continue;
        }
        usage = usage_of(word & (uint16_t)~KEY_RELEASE);
        bit = 1u << (usage & 31u);
        if (!usage || !is_configured(s) || !(s->down[usage / 32] & bit) == !!(word & KEY_RELEASE))
            continue;
        s->down[usage / 32] ^= bit;
        make_fresh(h);
    }
}

static void keyboard_input(struct hid *h, const struct event *e)
{
    struct hid_state *s = h->usb.dev->state;

    for (uint32_t i = 0; i + 2 <= e->len && s->count < WORDS; i += 2) {
        s->words[(s->head + s->count) % WORDS] = get_le16(e->data + i);
        s->count++;
    }
    type(h);
}

static size_t keyboard_data(const struct hid_state *s, uint8_t *p)
{
    unsigned n = 0;

    memset(p, 0, REPORT_MOST);
    p[0] = (uint8_t)s->down[FIRST_MODIFIER / 32];
    for (unsigned u = 0; u < FIRST_MODIFIER; u++) {
        if (!(s->down[u / 32] >> (u & 31u) & 1u))
            continue;
        if (n < KEYS)
            p[2 + n] = (uint8_t)u;
        n++;
    }
    if (n > KEYS)
        memset(p + 2, ROLL_OVER, KEYS);
    return REPORT_MOST;
}

/* ---- mouse and tablet ---- */

/* The next record counts, if the one before it was told. */
static void point(struct hid *h)
{
    struct hid_state *s = h->usb.dev->state;

    while (s->count && !s->fresh) {
        const struct pointer_record r = s->records[s->head];

        memset(&s->records[s->head], 0, sizeof(r));
        s->head = (uint8_t)((s->head + 1) % RECORDS);
        s->count--;
        s->at = r;
        if (is_configured(s))
            make_fresh(h);
    }
}

static void pointer_input(struct hid *h, const struct event *e)
{
    struct hid_state *s = h->usb.dev->state;

    for (uint32_t i = 0; i + RECORD <= e->len && s->count < RECORDS; i += RECORD) {
        struct pointer_record *r = &s->records[(s->head + s->count) % RECORDS];

        r->x = (int16_t)get_le16(e->data + i);
        r->y = (int16_t)get_le16(e->data + i + 2);
        r->z = (int16_t)get_le16(e->data + i + 4);
        r->buttons = get_le16(e->data + i + 6) & 0x1fu;
        if (h->kind == TABLET) {
            r->x = r->x < 0 ? 0 : r->x;
            r->y = r->y < 0 ? 0 : r->y;
        }
        s->count++;
    }
    point(h);
}

/* As much as fits into a report. */
static int16_t some(int16_t *left, bool take)
{
    int16_t n = *left > 127 ? 127 : *left < -127 ? -127 : *left;

    if (take)
        *left = (int16_t)(*left - n);
    return n;
}

static size_t pointer_data(struct hid *h, struct hid_state *s, uint8_t *p, bool take)
{
    p[0] = (uint8_t)s->at.buttons;
    if (h->kind == TABLET) {
        put_le16(p + 1, (uint16_t)s->at.x);
        put_le16(p + 3, (uint16_t)s->at.y);
        p[5] = (uint8_t)-some(&s->at.z, take);
        return 6;
    }
    p[1] = (uint8_t)some(&s->at.x, take);
    p[2] = (uint8_t)some(&s->at.y, take);
    if (s->protocol == PROTOCOL_BOOT)
        return 3;
    p[3] = (uint8_t)-some(&s->at.z, take); /* away from the user is up */
    return 4;
}

/* ---- reports ---- */

/* The report as it is now; `take`: it is on its way to the host. */
static size_t report(struct hid *h, uint8_t *p, bool take)
{
    struct hid_state *s = h->usb.dev->state;

    return h->kind == KEYBOARD ? keyboard_data(s, p) : pointer_data(h, s, p, take);
}

static bool has_more(const struct hid *h, const struct hid_state *s)
{
    if (h->kind == KEYBOARD)
        return false;
    return (s->at.z && (h->kind == TABLET || s->protocol == PROTOCOL_REPORT)) || (h->kind == MOUSE && (s->at.x || s->at.y));
}

static enum usb_answer hid_in(struct usb_device *u, unsigned endpoint, uint8_t *buf, size_t *len)
{
    struct hid *h = u->dev->wiring;
    struct hid_state *s = u->dev->state;
    uint8_t data[REPORT_MOST];
    size_t n;

    (void)endpoint;
    if (!s->fresh)
        return USB_NAK;
    if (*len < report(h, data, false))
        return USB_BABBLE;
    n = report(h, data, true);
    memcpy(buf, data, n);
    *len = n;
    s->fresh = has_more(h, s);
    s->reported_at = machine_now(u->dev->machine);
    if (h->kind == KEYBOARD)
        type(h);
    else
        point(h);
    machine_attention(u->dev->machine);
    return USB_ACK;
}

static enum usb_answer interface_descriptor(const struct hid *h, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    switch (r->value >> 8) {
    case USB_DT_HID:
        *len = 9;
        memcpy(data, h->usb.class->configurations[USB_FULL].bytes + HID_AT, *len);
        return USB_ACK;
    case USB_DT_REPORT:
        *len = reports[h->kind].len;
        memcpy(data, reports[h->kind].bytes, *len);
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

static enum usb_answer set_report(const struct hid *h, struct hid_state *s, const struct usb_setup *r, const uint8_t *data,
                                  uint16_t len)
{
    if (r->value >> 8 != REPORT_OUTPUT || h->kind != KEYBOARD || len < 1)
        return USB_STALL;
    s->leds = data[0] & 0x1fu;
    return USB_ACK;
}

static enum usb_answer hid_control(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    struct hid *h = u->dev->wiring;
    struct hid_state *s = u->dev->state;
    bool in = r->type & USB_REQUEST_IN, boots = h->kind != TABLET;

    if ((r->type & USB_REQUEST_RECIPIENT) != USB_TO_INTERFACE || r->index)
        return USB_STALL;
    if ((r->type & USB_REQUEST_KIND) == USB_REQUEST_STANDARD)
        return interface_descriptor(h, r, data, len);
    if ((r->type & USB_REQUEST_KIND) != USB_REQUEST_CLASS || in != (r->request <= GET_PROTOCOL))
        return USB_STALL;
    switch (r->request) {
    case GET_REPORT:
        if (r->value >> 8 != REPORT_INPUT)
            return USB_STALL;
        *len = (uint16_t)report(h, data, false);
        return USB_ACK;
    case GET_IDLE:
        data[0] = s->idle;
        *len = 1;
        return USB_ACK;
    case GET_PROTOCOL:
        data[0] = s->protocol;
        *len = 1;
        return boots ? USB_ACK : USB_STALL;
    case SET_REPORT:
        return set_report(h, s, r, data, *len);
    case SET_IDLE:
        s->idle = (uint8_t)(r->value >> 8);
        s->reported_at = machine_now(u->dev->machine);
        machine_attention(u->dev->machine);
        return USB_ACK;
    case SET_PROTOCOL:
        if (!boots || r->value > PROTOCOL_REPORT)
            return USB_STALL;
        s->protocol = (uint8_t)r->value;
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

/* ---- the device ---- */

static void hid_usb_reset(struct usb_device *u)
{
    struct hid_state *s = u->dev->state;

    memset(&s->usb + 1, 0, sizeof(*s) - sizeof(s->usb));
    s->protocol = PROTOCOL_REPORT;
}

static void hid_reset(struct device *dev)
{
    struct hid *h = dev->wiring;

    usb_device_reset(&h->usb);
}

/* When a report is due because of the idle rate, though nothing has changed. */
static vtime_t idle_end(const struct hid_state *s)
{
    if (!s->idle || !is_configured(s) || s->fresh)
        return VTIME_NEVER;
    return s->reported_at + s->idle * IDLE_UNIT;
}

static vtime_t hid_deadline(const struct device *dev)
{
    const struct hid *h = dev->wiring;
    const struct hid_state *s = dev->state;
    vtime_t idle = idle_end(s);

    if (h->kind == KEYBOARD && s->count && !s->fresh && s->type_at < idle)
        return s->type_at;
    return idle;
}

static void hid_expire(struct device *dev, vtime_t now)
{
    struct hid *h = dev->wiring;

    if (h->kind == KEYBOARD)
        type(h);
    if (now >= idle_end(dev->state))
        make_fresh(h);
}

static void hid_input(struct device *dev, const struct event *e)
{
    struct hid *h = dev->wiring;

    if (h->kind == KEYBOARD)
        keyboard_input(h, e);
    else
        pointer_input(h, e);
}

static size_t hid_input_room(const struct device *dev)
{
    const struct hid *h = dev->wiring;
    const struct hid_state *s = dev->state;

    return h->kind == KEYBOARD ? (WORDS - s->count) * 2u : (RECORDS - s->count) * (size_t)RECORD;
}

static bool hid_possible(const struct device *dev)
{
    const struct hid *h = dev->wiring;
    const struct hid_state *s = dev->state;
    unsigned most = h->kind == KEYBOARD ? WORDS : RECORDS;

    return usb_possible(&s->usb) && s->head < most && s->count <= most && s->protocol <= 1 && s->fresh <= 1 &&
           machine_deadline_possible(dev->machine, hid_deadline(dev)) && s->type_at < VTIME_NEVER / 2 &&
           s->reported_at < VTIME_NEVER / 2;
}

static void hid_describe(const struct device *dev, struct buffer *b)
{
    const struct hid *h = dev->wiring;
    const struct hid_state *s = dev->state;

    usb_describe_state(&h->usb, b);
    buffer_printf(b, "%s protocol, idle %u ms, leds %x, %u waiting%s\n", s->protocol ? "report" : "boot", s->idle * 4u, s->leds,
                  s->count, s->fresh ? ", a report is to be fetched" : "");
}

#define HID_OPS(ops_name)                                                                                                 \
    {                                                                                                                     \
        .name = ops_name, .state_size = sizeof(struct hid_state), .state_version = 1, .reset = hid_reset,                 \
        .deadline = hid_deadline, .expire = hid_expire, .input = hid_input, .input_room = hid_input_room,                 \
        .possible = hid_possible, .describe = hid_describe                                                                \
    }

static const struct device_ops hid_ops[] = {HID_OPS("usb-kbd"), HID_OPS("usb-mouse"), HID_OPS("usb-tablet")};

#define HID_CLASS(text, name)                                                                                             \
    {                                                                                                                     \
        .product = text, .vendor = 0x0627, .product_id = 0x0001,                                                          \
        .configurations = {[USB_FULL] = {name##_full, sizeof(name##_full)}, [USB_HIGH] = {name##_high, sizeof(name##_high)}}, \
        .reset = hid_usb_reset, .control = hid_control, .in = hid_in                                                      \
    }

static const struct usb_class hid_classes[] = {
    HID_CLASS("USB Keyboard", keyboard), HID_CLASS("USB Mouse", mouse), HID_CLASS("USB Tablet", tablet)};

const struct option_key usb_hid_keys[] = {USB_KEYS, {NULL, NULL}};

static int plug(struct sockets *s, const char *name, const struct option_list *props, enum kind kind, struct error *err)
{
    struct device *dev = machine_add_owned_device(s->machine, &hid_ops[kind], name, sizeof(struct hid));
    struct hid *h = dev->wiring;

    h->kind = kind;
    if (usb_plug(&h->usb, s, dev, &hid_classes[kind], props, err) < 0)
        return err->code;
    *(kind == KEYBOARD ? &s->machine->keyboard : kind == MOUSE ? &s->machine->mouse : &s->machine->tablet) = dev;
    return 0;
}

int usb_kbd_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, KEYBOARD, err);
}

int usb_mouse_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, MOUSE, err);
}

int usb_tablet_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, TABLET, err);
}
