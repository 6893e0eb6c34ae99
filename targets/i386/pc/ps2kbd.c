/*
 * A PS/2 keyboard (IBM PS/2 hardware interface technical reference, "Keyboards
 * (101- and 102-key)"): scan code sets 1 to 3, typematic repeat of the key held
 * last, LEDs, and all commands of the reference.
 *
 * Input (EVENT_INPUT): u16 little-endian words (vm/dev/keys.h), one per key
 * going down or up and per wait between them. What is to be typed waits, as
 * fingers would, for its time and for room in the keyboard's buffer.
 *
 * In set 3 each key repeats, breaks, does both or neither, as it does by default or as commands have said (F7h-FDh).
 *
 * Not modelled: the buffer overrun code, line errors, the diagnostic echoes of
 * particular makes, the fake shifts of grey keys but for Print.
 */
#include "i386/pc/ps2.h"

#include <stddef.h>

#include "base/buffer.h"
#include "vm/dev/keys.h"
#include "vm/machine.h"

#define KEY_ROOM 8u /* the longest sequence a key sends */
#define WORDS   64u /* of input to be typed */
#define SET3_CODES 256u

/* Modifiers, by key. */
enum held { HELD_CTRL = 0x03, HELD_ALT = 0x0c, HELD_SHIFT = 0x30 };

DEVICE_STATE_BEGIN
struct ps2kbd_state {
    struct ps2_queue queue;
    uint64_t type_at;    /* vtime before which nothing more is typed */
    uint64_t repeat_at;  /* vtime of the next typematic repeat, or VTIME_NEVER */
    uint16_t repeat_key; /* the word of the key held */
    uint8_t scanning;
    uint8_t set;         /* 1-3 */
    uint8_t leds;
    uint8_t rate;        /* typematic rate and delay byte (command F3h) */
    uint8_t parameter_of; /* the command whose parameter comes next, 0: none */
    uint8_t held;        /* modifiers that are down: enum held */
    uint8_t reserved_1;
    uint8_t word_head;
    uint8_t word_count;
    uint8_t reserved[5];
    uint16_t words[WORDS]; /* to be typed */
    /* Since version 1: */
    uint32_t repeats[SET3_CODES / 32], breaks[SET3_CODES / 32]; /* set 3: keys by their codes */
};
DEVICE_STATE_END

/* Set 2 make codes by set 1 make code, plain and with E0. */
static const uint8_t set2_plain[128] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, /* 00 */
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b, /* 10 */
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a, /* 20 */
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03, /* 30 */
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69, /* 40 */
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, /* 50 */
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f, /* 60 */
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e, /* 70 */
};

/* With E0 the codes are those of the key that shares the number, except for these. */
static uint8_t set2_extended(uint8_t code)
{
    switch (code) {
    case 0x5b: return 0x1f; /* left GUI */
    case 0x5c: return 0x27; /* right GUI */
    case 0x5d: return 0x2f; /* menu */
    case 0x5e: return 0x37; /* power */
    case 0x5f: return 0x3f; /* sleep */
    case 0x63: return 0x5e; /* wake */
    default:   return set2_plain[code];
    }
}

/* Set 3 differs from set 2 for function keys, modifiers and the keypad (reference, table "Scan code set 3"). */
static uint8_t set3_of(uint16_t key)
{
    static const struct { uint16_t key; uint8_t code; } odd[] = {
        {0x01, 0x08}, {0x3b, 0x07}, {0x3c, 0x0f}, {0x3d, 0x17}, {0x3e, 0x1f}, {0x3f, 0x27}, {0x40, 0x2f},
        {0x41, 0x37}, {0x42, 0x3f}, {0x43, 0x47}, {0x44, 0x4f}, {0x57, 0x56}, {0x58, 0x5e}, {0x2b, 0x5c},
        {0x1d, 0x11}, {0x11d, 0x58}, {0x38, 0x19}, {0x138, 0x39}, {0x3a, 0x14}, {0x15b, 0x8b}, {0x15c, 0x8c},
        {0x15d, 0x8d}, {0x137, 0x57}, {0x46, 0x5f}, {KEY_PAUSE, 0x62}, {0x152, 0x67}, {0x153, 0x64},
        {0x14b, 0x61}, {0x147, 0x6e}, {0x14f, 0x65}, {0x148, 0x63}, {0x150, 0x60}, {0x149, 0x6f},
        {0x151, 0x6d}, {0x14d, 0x6a}, {0x45, 0x76}, {0x135, 0x77}, {0x37, 0x7e}, {0x4a, 0x84}, {0x4e, 0x7c},
        {0x11c, 0x79}, {0x56, 0x13},
    };

    for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
        if (odd[i].key == key)
            return odd[i].code;
    return key & KEY_EXTENDED ? 0 : set2_plain[key & 0x7fu];
}

static void ready(struct device *dev)
{
    const struct ps2_wiring *w = dev->wiring;
    struct ps2kbd_state *s = dev->state;

    line_set(&w->ready, s->queue.count != 0);
}

/* ---- types of keys in set 3 ---- */

static bool is_in(const uint32_t *set, uint8_t code)
{
    return set[code / 32] >> code % 32 & 1u;
}

static void set_type(struct ps2kbd_state *s, uint8_t code, bool repeats, bool breaks)
{
    uint32_t bit = 1u << code % 32;

    s->repeats[code / 32] = (s->repeats[code / 32] & ~bit) | (repeats ? bit : 0);
    s->breaks[code / 32] = (s->breaks[code / 32] & ~bit) | (breaks ? bit : 0);
}

static void set_types(struct ps2kbd_state *s, bool repeats, bool breaks)
{
    memset(s->repeats, repeats ? 0xff : 0, sizeof(s->repeats));
    memset(s->breaks, breaks ? 0xff : 0, sizeof(s->breaks));
}

/* As after a reset: most repeat, some modifiers break, and others do neither (reference, "Scan code set 3"). */
static void default_types(struct ps2kbd_state *s)
{
    static const uint8_t breaking[] = {0x14, 0x12, 0x59, 0x11, 0x19}; /* Caps Lock, shifts, left Ctrl and Alt */
    static const uint8_t neither[] = {
        0x39, 0x58, 0x67, 0x6e, 0x65, 0x6f, 0x6d, 0x76, 0x6c, 0x6b, 0x69, 0x77, 0x75, 0x73, 0x72, 0x70, 0x7e, 0x7d, 0x74, 0x7a, 0x71, 0x84,
        0x79, 0x08, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x56, 0x5e, 0x57, 0x5f, 0x62,
    };

    set_types(s, true, false);
    for (unsigned i = 0; i < sizeof(breaking); i++)
        set_type(s, breaking[i], false, true);
    for (unsigned i = 0; i < sizeof(neither); i++)
        set_type(s, neither[i], false, false);
}

/* Room for command replies is kept. */
static bool key_fits(const struct ps2kbd_state *s)
{
    return s->queue.count + KEY_ROOM <= PS2_QUEUE - 2;
}

static void put_all(struct ps2kbd_state *s, const uint8_t *bytes, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        ps2_put(&s->queue, bytes[i]);
}

/* Set 1 or 2: prefix, break prefix (set 2), code. */
static unsigned sequence(const struct ps2kbd_state *s, uint8_t *out, bool extended, uint8_t code, bool release)
{
    unsigned n = 0;

    if (extended)
        out[n++] = 0xe0;
    if (s->set == 1) {
        out[n++] = (uint8_t)(code | (release ? 0x80u : 0));
        return n;
    }
    if (release)
        out[n++] = 0xf0;
    out[n++] = extended ? set2_extended(code) : set2_plain[code];
    return n;
}

static void note_modifier(struct ps2kbd_state *s, uint16_t key, bool release)
{
    static const uint16_t modifiers[6] = {0x1d, 0x11d, 0x38, 0x138, 0x2a, 0x36}; /* in the order of enum held's bits */

    for (unsigned i = 0; i < ARRAY_LEN(modifiers); i++)
        if (modifiers[i] == key)
            s->held = (uint8_t)(release ? s->held & ~(1u << i) : s->held | 1u << i);
}

static void send_key(struct ps2kbd_state *s, uint16_t word)
{
    static const uint8_t pause1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t pause2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    uint16_t key = word & (uint16_t)~KEY_RELEASE;
    bool release = word & KEY_RELEASE;
    bool extended = key & KEY_EXTENDED;
    uint8_t bytes[8];
    unsigned n = 0;

    if (s->set == 3) {
        if (!set3_of(key) || (release && !is_in(s->breaks, set3_of(key))))
            return;
        if (release)
            bytes[n++] = 0xf0;
        bytes[n++] = set3_of(key);
    } else if (key & KEY_PAUSE) {
        if (!release && (s->held & HELD_CTRL)) { /* Break */
            n = sequence(s, bytes, true, 0x46, false);
            n += sequence(s, bytes + n, true, 0x46, true);
            put_all(s, bytes, n);
        } else if (!release) /* Pause has no break code and does not repeat */
            put_all(s, s->set == 1 ? pause1 : pause2, s->set == 1 ? sizeof(pause1) : sizeof(pause2));
        return;
    } else if (key == KEY_PRINT && (s->held & HELD_ALT)) { /* SysRq */
        n = sequence(s, bytes, false, 0x54, release);
    } else if (key == KEY_PRINT && (s->held & (HELD_CTRL | HELD_SHIFT))) { /* no fake shift */
        n = sequence(s, bytes, true, 0x37, release);
    } else if (key == KEY_PRINT) {
        n = sequence(s, bytes, true, release ? 0x37 : 0x2a, release);
        n += sequence(s, bytes + n, true, release ? 0x2a : 0x37, release);
    } else if (key & 0x7fu) {
        n = sequence(s, bytes, extended, key & 0x7fu, release);
    }
    put_all(s, bytes, n);
}

/* Reference, "Set typematic rate/delay": delay 250 ms steps; period (8 + A) * 2^B * 4.17 ms. */
static vtime_t repeat_delay(const struct ps2kbd_state *s)
{
    return ((s->rate >> 5 & 3u) + 1) * 250000000ull;
}

static vtime_t repeat_period(const struct ps2kbd_state *s)
{
    return (8ull + (s->rate & 7u)) * (1u << (s->rate >> 3 & 3u)) * 4170000ull;
}

static void key_event(struct device *dev, uint16_t word)
{
    struct ps2kbd_state *s = dev->state;
    uint16_t key = word & (uint16_t)~KEY_RELEASE;

    note_modifier(s, key, word & KEY_RELEASE);
    if (!s->scanning)
        return;
    send_key(s, word);
    if (!(word & KEY_RELEASE) && !(key & KEY_PAUSE) && (s->set != 3 || is_in(s->repeats, set3_of(key)))) {
        s->repeat_key = key;
        s->repeat_at = machine_now(dev->machine) + repeat_delay(s);
    } else if (key == s->repeat_key) {
        s->repeat_key = 0;
        s->repeat_at = VTIME_NEVER;
    }
}

/* Type what is due. The caller tells the controller (ready()). */
static void type(struct device *dev)
{
    struct ps2kbd_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);

    while (s->word_count && now >= s->type_at && key_fits(s)) {
        uint16_t word = s->words[s->word_head];

        s->words[s->word_head] = 0;
        s->word_head = (uint8_t)((s->word_head + 1) % WORDS);
        s->word_count--;
        if (word & KEY_WAIT)
            s->type_at = now + (word & KEY_WAIT_MAX) * 1000000ull;
        else
            key_event(dev, word);
    }
}

static void defaults(struct ps2kbd_state *s)
{
    s->rate = 0x2b; /* 500 ms, 10.9 characters a second */
    s->set = 2;
    default_types(s);
    s->repeat_key = 0;
    s->repeat_at = VTIME_NEVER;
    s->parameter_of = 0;
}

static void parameter(struct ps2kbd_state *s, uint8_t command, uint8_t byte)
{
    if (command < 0xfb) /* after others more keys may follow */
        s->parameter_of = 0;
    if (command == 0xf0 && byte > 3) {
        ps2_put(&s->queue, PS2_RESEND);
        return;
    }
    ps2_put(&s->queue, PS2_ACK);
    switch (command) {
    case 0xed:
        s->leds = byte & 7u;
        break;
    case 0xf0:
        if (byte == 0)
            ps2_put(&s->queue, s->set);
        else
            s->set = byte;
        break;
    case 0xf3:
        s->rate = byte & 0x7fu;
        break;
    default: /* FBh-FDh name a key by its code */
        set_type(s, byte, command == 0xfb, command == 0xfc);
        break;
    }
}

void ps2kbd_command(struct device *dev, uint8_t byte)
{
    struct ps2kbd_state *s = dev->state;

    if (s->parameter_of && byte < 0x80u) {
        parameter(s, s->parameter_of, byte);
        ready(dev);
        return;
    }
    s->parameter_of = 0;
    if (byte != 0xfe)
        ps2_clear(&s->queue);
    switch (byte) {
    case 0xed: /* LEDs */
    case 0xf0: /* scan code set */
    case 0xf3: /* typematic */
    case 0xfb: /* one key of set 3: typematic, make/break, make */
    case 0xfc:
    case 0xfd:
        s->parameter_of = byte;
        ps2_put(&s->queue, PS2_ACK);
        break;
    case 0xee: /* echo */
        ps2_put(&s->queue, 0xee);
        break;
    case 0xf2: /* identify */
        ps2_put(&s->queue, PS2_ACK);
        ps2_put(&s->queue, 0xab);
        ps2_put(&s->queue, 0x83);
        break;
    case 0xf4: /* enable */
        s->scanning = 1;
        ps2_put(&s->queue, PS2_ACK);
        break;
    case 0xf5: /* defaults, disable */
        defaults(s);
        s->scanning = 0;
        ps2_put(&s->queue, PS2_ACK);
        break;
    case 0xf6: /* defaults */
        defaults(s);
        s->scanning = 1;
        ps2_put(&s->queue, PS2_ACK);
        break;
    case 0xf7: /* all keys of set 3: typematic, make/break, make, both */
    case 0xf8:
    case 0xf9:
    case 0xfa:
        set_types(s, byte == 0xf7 || byte == 0xfa, byte == 0xf8 || byte == 0xfa);
        ps2_put(&s->queue, PS2_ACK);
        break;
    case 0xfe: /* resend */
        ps2_put(&s->queue, s->queue.last);
        break;
    case 0xff: /* reset */
        defaults(s);
        s->scanning = 1;
        s->leds = 0;
        ps2_put(&s->queue, PS2_ACK);
        ps2_put(&s->queue, PS2_BAT_OK);
        break;
    default:
        ps2_put(&s->queue, PS2_RESEND);
        break;
    }
    ready(dev);
}

uint8_t ps2kbd_take(struct device *dev)
{
    struct ps2kbd_state *s = dev->state;
    uint8_t byte = ps2_take(&s->queue);

    type(dev);
    ready(dev);
    return byte;
}

static void kbd_reset(struct device *dev)
{
    struct ps2kbd_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    defaults(s);
    s->scanning = 1;
    ready(dev);
}

static vtime_t kbd_deadline(const struct device *dev)
{
    const struct ps2kbd_state *s = dev->state;

    /* Words that wait for room are typed when a byte is taken. */
    if (s->word_count && key_fits(s) && s->type_at < s->repeat_at)
        return s->type_at;
    return s->repeat_at;
}

static void kbd_expire(struct device *dev, vtime_t now)
{
    struct ps2kbd_state *s = dev->state;

    if (now >= s->repeat_at) {
        s->repeat_at = now + repeat_period(s);
        if (s->scanning && key_fits(s))
            send_key(s, s->repeat_key);
    }
    type(dev);
    ready(dev);
}

static void kbd_input(struct device *dev, const struct event *e)
{
    const struct ps2_wiring *w = dev->wiring;
    struct ps2kbd_state *s = dev->state;

    if (w->wakes && w->wakes(w->wakes_ctx))
        return;
    for (uint32_t i = 0; i + 2 <= e->len && s->word_count < WORDS; i += 2) {
        s->words[(s->word_head + s->word_count) % WORDS] = (uint16_t)(e->data[i] | e->data[i + 1] << 8);
        s->word_count++;
    }
    type(dev);
    ready(dev);
}

static size_t kbd_input_room(const struct device *dev)
{
    const struct ps2kbd_state *s = dev->state;

    return (WORDS - s->word_count) * 2u;
}

static void kbd_describe(const struct device *dev, struct buffer *b)
{
    const struct ps2kbd_state *s = dev->state;

    buffer_printf(b, "set %u, leds %u, %s, %u bytes waiting, %u words to type\n", s->set, s->leds,
                  s->scanning ? "scanning" : "disabled", s->queue.count, s->word_count);
}

static bool kbd_possible(const struct device *dev)
{
    const struct ps2kbd_state *s = dev->state;

    return ps2_possible(&s->queue) && s->set >= 1 && s->set <= 3 && s->word_head < WORDS && s->word_count <= WORDS;
}

/* Version 0 had two flags for all keys of set 3, where `held` and what is behind it are now. */
static bool kbd_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct ps2kbd_state *s = dev->state;
    bool breaks, repeats;

    if (version != 0 || len != offsetof(struct ps2kbd_state, repeats))
        return false;
    memset(s, 0, sizeof(*s));
    memcpy(s, old, len);
    breaks = !s->held;
    repeats = !s->reserved_1;
    s->held = s->reserved_1 = 0;
    set_types(s, repeats, breaks);
    return true;
}

const struct device_ops ps2kbd_ops = {
    .name = "ps2kbd",
    .state_size = sizeof(struct ps2kbd_state),
    .state_version = 1,
    .upgrade = kbd_upgrade,
    .possible = kbd_possible,
    .reset = kbd_reset,
    .deadline = kbd_deadline,
    .expire = kbd_expire,
    .input = kbd_input,
    .input_room = kbd_input_room,
    .describe = kbd_describe,
};
