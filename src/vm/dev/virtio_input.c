/*
 * virtio keyboard, mouse and tablet (virtio 1.2, 5.8): events of Linux's input layer (its input-event-codes.h), one to a
 * buffer of the event queue; the driver tells of LEDs by the status queue.
 *
 * Input (EVENT_INPUT): the keyboard's are words as vm/dev/keys.h has them; those of mouse and tablet records of 8 bytes
 * (machine.h). What they make waits here until the driver has buffers for it; what comes while there is no driver, or more
 * than fits, is lost.
 */
#include "vm/dev/virtio_input.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/keys.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

enum kind { KEYBOARD, MOUSE, TABLET };
enum { QUEUE_EVENT, QUEUE_STATUS, QUEUES };

/* Configuration (5.8.4, 5.8.5). */
enum { CFG_UNSET = 0x00, CFG_ID_NAME = 0x01, CFG_ID_SERIAL = 0x02, CFG_ID_DEVIDS = 0x03, CFG_PROP_BITS = 0x10, CFG_EV_BITS = 0x11,
       CFG_ABS_INFO = 0x12 };
#define CFG_SELECT  0u
#define CFG_SUBSEL  1u
#define CFG_SIZE    2u
#define CFG_UNION   8u
#define UNION_BYTES 128u

/* Types and codes. */
enum { EV_SYN = 0x00, EV_KEY = 0x01, EV_REL = 0x02, EV_ABS = 0x03, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_X = 0, REL_Y = 1, REL_WHEEL = 8, ABS_X = 0, ABS_Y = 1, BTN_LEFT = 0x110, BTN_RIGHT = 0x111, BTN_MIDDLE = 0x112, BTN_SIDE = 0x113,
       BTN_EXTRA = 0x114 };
#define LEDS     3u      /* num, caps, scroll */
#define ABS_MOST 32767u
#define BUTTONS  5u
#define KEY_SYSRQ 99u
#define KEY_PAUSE_CODE 119u

#define BUS_VIRTUAL 6u
#define VENDOR      0x0627u

#define INPUT_WORDS   64u /* of a keyboard, to be typed */
#define INPUT_EVENTS  256u
#define RECORD  8u  /* bytes of a mouse's or tablet's in an event of ours */
#define EVENT_BYTES 8u
#define RECORD_EVENTS 9u /* that one makes at most */

DEVICE_STATE_BEGIN
struct input_event {
    uint16_t type, code;
    uint32_t value;
};

struct input_state {
    uint64_t type_at;        /* keyboard: vtime before which nothing more is typed */
    uint8_t select, subsel;
    uint8_t leds;            /* as the driver has set them */
    uint8_t head, count;     /* of `words` */
    uint8_t reserved;
    uint16_t buttons;        /* those that are held */
    uint32_t first, waiting; /* of `events` */
    uint16_t words[INPUT_WORDS];
    struct input_event events[INPUT_EVENTS];
};
DEVICE_STATE_END

/* Wiring. */
struct input {
    struct virtio_carried carried;
    struct input_state *st;
    enum kind kind;
};

static struct input *of(const struct virtio *v)
{
    return v->dev->wiring;
}

/* ---- codes of keys ---- */

/* Of those with an E0 prefix, by set 1 make code; the others have their make code's number up to 58h. */
static const uint8_t extended[128] = {
    [0x10] = 165, [0x19] = 163, [0x1c] = 96, [0x1d] = 97, [0x20] = 113, [0x21] = 140, [0x22] = 164, [0x24] = 166, [0x2e] = 114,
    [0x30] = 115, [0x32] = 172, [0x35] = 98, [0x37] = KEY_SYSRQ, [0x38] = 100, [0x47] = 102, [0x48] = 103, [0x49] = 104,
    [0x4b] = 105, [0x4d] = 106, [0x4f] = 107, [0x50] = 108, [0x51] = 109, [0x52] = 110, [0x53] = 111, [0x5b] = 125, [0x5c] = 126,
    [0x5d] = 127, [0x5e] = 116, [0x5f] = 142, [0x63] = 143, [0x65] = 217, [0x66] = 156, [0x67] = 173, [0x68] = 128, [0x69] = 159,
    [0x6a] = 158, [0x6b] = 157, [0x6c] = 155, [0x6d] = 226,
};

static const uint8_t plain_high[128] = {[0x59] = 117, [0x70] = 93, [0x73] = 89, [0x79] = 92, [0x7b] = 94, [0x7d] = 124, [0x7e] = 121};

/* 0: none. */
static uint16_t code_of(uint16_t key)
{
    unsigned make = key & 0x7fu;

    if (key & KEY_PAUSE)
        return KEY_PAUSE_CODE;
    if (key & KEY_EXTENDED)
        return extended[make];
    return make <= 0x58u ? (uint16_t)make : plain_high[make];
}

/* ---- events ---- */

/* What fits. */
static void add(struct input_state *s, unsigned type, unsigned code, uint32_t value)
{
    if (s->waiting == INPUT_EVENTS)
        return;
    s->events[(s->first + s->waiting++) % INPUT_EVENTS] = (struct input_event){(uint16_t)type, (uint16_t)code, value};
}

/* Into the driver's buffers, as far as there are some. */
static void deliver(struct input *n)
{
    struct virtio *v = &n->carried.t.v;
    struct input_state *s = n->st;
    struct virtio_chain c;

    while (s->waiting && virtio_peek(v, QUEUE_EVENT, &c)) {
        const struct input_event *e = &s->events[s->first];
        uint8_t bytes[EVENT_BYTES];

        put_le16(bytes, e->type);
        put_le16(bytes + 2, e->code);
        put_le32(bytes + 4, e->value);
        if (!virtio_in(v, &c, 0, bytes, sizeof(bytes))) {
            virtio_broken(v);
            return;
        }
        s->first = (s->first + 1) % INPUT_EVENTS;
        s->waiting--;
        virtio_push(v, QUEUE_EVENT, &c, EVENT_BYTES);
    }
}

static void type_words(struct input *n, vtime_t now)
{
    struct input_state *s = n->st;

    while (s->count && now >= s->type_at && s->waiting + 2 <= INPUT_EVENTS) {
        uint16_t word = s->words[s->head], code;

        s->head = (uint8_t)((s->head + 1) % INPUT_WORDS);
        s->count--;
        if (word & KEY_WAIT) {
            s->type_at = now + (word & KEY_WAIT_MAX) * 1000000ull;
            continue;
        }
        code = code_of(word);
        if (!code)
            continue;
        add(s, EV_KEY, code, !(word & KEY_RELEASE));
        add(s, EV_SYN, 0, 0);
    }
    deliver(n);
}

static void point(struct input *n, const uint8_t *record)
{
    static const uint16_t buttons[BUTTONS] = {BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA};
    struct input_state *s = n->st;
    int16_t d[3] = {(int16_t)get_le16(record), (int16_t)get_le16(record + 2), (int16_t)get_le16(record + 4)};
    uint16_t held = get_le16(record + 6), changed = held ^ s->buttons;

    if (s->waiting + RECORD_EVENTS > INPUT_EVENTS)
        return;
    if (n->kind == TABLET) {
        add(s, EV_ABS, ABS_X, (uint32_t)d[0] & ABS_MOST);
        add(s, EV_ABS, ABS_Y, (uint32_t)d[1] & ABS_MOST);
    } else {
        if (d[0])
            add(s, EV_REL, REL_X, (uint32_t)(int32_t)d[0]);
        if (d[1])
            add(s, EV_REL, REL_Y, (uint32_t)(int32_t)d[1]);
    }
    if (d[2]) /* away from the user is up there */
        add(s, EV_REL, REL_WHEEL, (uint32_t)-(int32_t)d[2]);
    for (unsigned i = 0; i < BUTTONS; i++)
        if (changed >> i & 1u)
            add(s, EV_KEY, buttons[i], held >> i & 1u);
    s->buttons = held;
    add(s, EV_SYN, 0, 0);
}

static bool driven(const struct input *n)
{
    return n->carried.t.v.st->status & VIRTIO_DRIVER_OK;
}

static void input_input(struct device *dev, const struct event *e)
{
    struct input *n = dev->wiring;
    struct input_state *s = n->st;

    if (!driven(n))
        return;
    if (n->kind != KEYBOARD) {
        for (uint32_t at = 0; at + RECORD <= e->len; at += RECORD)
            point(n, e->data + at);
        deliver(n);
        return;
    }
    for (uint32_t at = 0; at + 2 <= e->len && s->count < INPUT_WORDS; at += 2)
        s->words[(s->head + s->count++) % INPUT_WORDS] = get_le16(e->data + at);
    type_words(n, machine_now(dev->machine));
}

static size_t input_room(const struct device *dev)
{
    const struct input *n = dev->wiring;

    if (!driven(n))
        return SIZE_MAX; /* it is lost, not kept */
    return n->kind == KEYBOARD ? (size_t)(INPUT_WORDS - n->st->count) * 2 : (INPUT_EVENTS - n->st->waiting) / RECORD_EVENTS * RECORD;
}

static vtime_t input_deadline(const struct device *dev)
{
    const struct input *n = dev->wiring;

    return n->st->count && n->st->waiting + 2 <= INPUT_EVENTS ? n->st->type_at : VTIME_NEVER;
}

static void input_expire(struct device *dev, vtime_t now)
{
    type_words(dev->wiring, now);
}

/* ---- configuration ---- */

static void set_bit(uint8_t *bits, unsigned n, unsigned *bytes)
{
    bits[n / 8] |= (uint8_t)(1u << n % 8);
    if (n / 8 + 1 > *bytes)
        *bytes = n / 8 + 1;
}

static unsigned key_bits(const struct input *n, uint8_t *bits)
{
    unsigned bytes = 0;

    if (n->kind != KEYBOARD) {
        for (unsigned i = 0; i < BUTTONS; i++)
            set_bit(bits, BTN_LEFT + i, &bytes);
        return bytes;
    }
    for (unsigned make = 1; make < 128; make++) {
        if (code_of((uint16_t)make))
            set_bit(bits, code_of((uint16_t)make), &bytes);
        if (extended[make])
            set_bit(bits, extended[make], &bytes);
    }
    set_bit(bits, KEY_PAUSE_CODE, &bytes);
    return bytes;
}

static unsigned event_bits(const struct input *n, unsigned type, uint8_t *bits)
{
    unsigned bytes = 0;

    switch (type) {
    case EV_KEY:
        return key_bits(n, bits);
    case EV_REL:
        if (n->kind == MOUSE) {
            set_bit(bits, REL_X, &bytes);
            set_bit(bits, REL_Y, &bytes);
        }
        if (n->kind != KEYBOARD)
            set_bit(bits, REL_WHEEL, &bytes);
        return bytes;
    case EV_ABS:
        if (n->kind == TABLET) {
            set_bit(bits, ABS_X, &bytes);
            set_bit(bits, ABS_Y, &bytes);
        }
        return bytes;
    case EV_LED:
        for (unsigned i = 0; i < LEDS && n->kind == KEYBOARD; i++)
            set_bit(bits, i, &bytes);
        return bytes;
    case EV_REP: /* the driver repeats keys */
        return n->kind == KEYBOARD;
    default:
        return 0;
    }
}

/* What `select` and `subsel` ask for; returns its bytes. */
static unsigned answer(const struct input *n, uint8_t *u)
{
    static const char *const names[] = {"hindcast virtio keyboard", "hindcast virtio mouse", "hindcast virtio tablet"};
    const struct input_state *s = n->st;

    switch (s->select) {
    case CFG_ID_NAME:
        if (s->subsel)
            return 0;
        memcpy(u, names[n->kind], strlen(names[n->kind]));
        return (unsigned)strlen(names[n->kind]);
    case CFG_ID_DEVIDS:
        if (s->subsel)
            return 0;
        put_le16(u, BUS_VIRTUAL);
        put_le16(u + 2, VENDOR);
        put_le16(u + 4, (uint16_t)(n->kind + 1));
        put_le16(u + 6, 1);
        return 8;
    case CFG_EV_BITS:
        return event_bits(n, s->subsel, u);
    case CFG_ABS_INFO: /* least, most, fuzz, flat, resolution */
        if (n->kind != TABLET || s->subsel > ABS_Y)
            return 0;
        put_le32(u + 4, ABS_MOST);
        return 20;
    default:
        return 0;
    }
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    const struct input *n = of(v);

    config[CFG_SELECT] = n->st->select;
    config[CFG_SUBSEL] = n->st->subsel;
    config[CFG_SIZE] = (uint8_t)answer(n, config + CFG_UNION);
}

static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    if (offset == CFG_SELECT)
        of(v)->st->select = value;
    else if (offset == CFG_SUBSEL)
        of(v)->st->subsel = value;
}

/* ---- the device ---- */

static uint64_t features(const struct virtio *v)
{
    (void)v;
    return 0;
}

/* LEDs; what else a driver tells (sounds, how fast keys repeat) has no effect. */
static void take_status(struct input *n)
{
    struct virtio *v = &n->carried.t.v;
    struct virtio_chain c;

    while (virtio_peek(v, QUEUE_STATUS, &c)) {
        uint8_t bytes[EVENT_BYTES];

        if (virtio_out(v, &c, 0, bytes, sizeof(bytes)) && get_le16(bytes) == EV_LED && get_le16(bytes + 2) < LEDS) {
            uint8_t led = (uint8_t)(1u << get_le16(bytes + 2));

            n->st->leds = (uint8_t)(get_le32(bytes + 4) ? n->st->leds | led : n->st->leds & ~led);
        }
        virtio_push(v, QUEUE_STATUS, &c, 0);
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    struct input *n = of(v);

    if (queue == QUEUE_STATUS)
        take_status(n);
    else
        type_words(n, machine_now(v->dev->machine));
}

static void forget(struct virtio *v)
{
    memset(of(v)->st, 0, sizeof(*of(v)->st));
}

static const struct virtio_class input_class = {
    .id = 18, .config_bytes = CFG_UNION + UNION_BYTES, .features = features, .config_read = config_read,
    .config_write = config_write, .notified = notified, .reset = forget};

static bool input_possible(const struct device *dev)
{
    const struct input *n = dev->wiring;
    const struct input_state *s = n->st;

    return virtio_possible(&n->carried.t.v) && s->head < INPUT_WORDS && s->count <= INPUT_WORDS && s->first < INPUT_EVENTS &&
           s->waiting <= INPUT_EVENTS && s->type_at < VTIME_NEVER / 2 && machine_deadline_possible(dev->machine, input_deadline(dev));
}

static void input_describe(const struct device *dev, struct buffer *b)
{
    const struct input *n = dev->wiring;

    buffer_printf(b, "%u events wait", (unsigned)n->st->waiting);
    if (n->kind == KEYBOARD)
        buffer_printf(b, ", %u keys to be typed, LEDs %x (num 1, caps 2, scroll 4)", n->st->count, n->st->leds);
    else
        buffer_printf(b, ", buttons %x", n->st->buttons);
    buffer_printf(b, "\n");
    virtio_describe(&n->carried.t.v, b);
}

DEVICE_STATE_BEGIN
struct input_pci_state {
    struct virtio_pci_state pci;
    struct input_state input;
};

struct input_mmio_state {
    struct virtio_state virtio;
    struct input_state input;
};
DEVICE_STATE_END

#define INPUT_OPS .possible = input_possible, .input = input_input, .input_room = input_room, .deadline = input_deadline, \
    .expire = input_expire, .describe = input_describe

static const struct device_ops input_pci_ops = {
    .name = "virtio-input-pci",
    .state_size = sizeof(struct input_pci_state),
    INPUT_OPS,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops input_mmio_ops = {
    .name = "virtio-input-device",
    .state_size = sizeof(struct input_mmio_state),
    INPUT_OPS,
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

/* PCI: keyboard, mouse, other. */
static const struct virtio_kind kinds[] = {
#define KIND(code) {.class = &input_class, .pci = &input_pci_ops, .mmio = &input_mmio_ops, .pci_class = code, .modern = true, \
                    .wiring_bytes = sizeof(struct input)}
    KIND(0x090000), KIND(0x090200), KIND(0x098000),
#undef KIND
};

const struct option_key virtio_input_keys[] = {VIRTIO_PCI_KEYS, {NULL, NULL}};
const struct option_key virtio_input_mmio_keys[] = {VIRTIO_MMIO_MODERN_KEYS, {NULL, NULL}};

static int plug(struct sockets *s, const char *name, bool pci, uint8_t devfn, enum kind kind, const struct option_list *props,
                struct error *err)
{
    void *own;
    struct virtio_carried *c = virtio_make(&kinds[kind], s, name, pci, QUEUES, props, &own, err);
    struct machine *m = s->machine;
    struct input *n;

    if (!c)
        return err->code;
    n = c->t.v.dev->wiring;
    n->st = own;
    n->kind = kind;
    *(kind == KEYBOARD ? &m->keyboard : kind == MOUSE ? &m->mouse : &m->tablet) = c->t.v.dev;
    return pci ? virtio_carry_pci(&kinds[kind], c, s, devfn, props, err) : virtio_carry_mmio(c, s, props, err);
}

#define PLUGS(pci_plug, mmio_plug, kind) \
    VIRTIO_INPUT_PLUG(pci_plug) { (void)d; return plug(s, dev_name, true, devfn, kind, props, err); } \
    VIRTIO_INPUT_PLUG(mmio_plug) { (void)d; return plug(s, dev_name, false, devfn, kind, props, err); }
PLUGS(virtio_keyboard_pci_plug, virtio_keyboard_mmio_plug, KEYBOARD)
PLUGS(virtio_mouse_pci_plug, virtio_mouse_mmio_plug, MOUSE)
PLUGS(virtio_tablet_pci_plug, virtio_tablet_mmio_plug, TABLET)
