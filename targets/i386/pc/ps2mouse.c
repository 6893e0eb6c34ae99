/*
 * A PS/2 mouse (IBM PS/2 hardware interface technical reference, "Mouse") with
 * Microsoft's extensions, which a driver switches on by setting sample rates: 200, 100,
 * 80 the IntelliMouse's wheel, 200, 200, 80 the IntelliMouse Explorer's five buttons.
 *
 * What it does not know, and a parameter that there is not, it wants to have sent again (FEh), and says
 * the second time in a row that it is an error (FCh).
 *
 * Input (EVENT_INPUT): 8-byte records as pc.h describes. Movement that finds
 * the buffer full is added up and sent with the next packet.
 *
 * Not modelled: the sample rate as a limit (every record makes a packet),
 * resolutions (counts are passed through).
 */
#include "i386/pc/ps2.h"

#include <stddef.h>

#include "base/buffer.h"

#define RECORD_BYTES 8u

DEVICE_STATE_BEGIN
struct ps2mouse_state {
    struct ps2_queue queue;
    int32_t dx, dy, dz;   /* movement not yet reported */
    uint8_t buttons;      /* held now */
    uint8_t reported;     /* buttons in the last packet */
    uint8_t id;           /* 0: plain, 3: with wheel, 4: and five buttons */
    uint8_t enabled;
    uint8_t remote;
    uint8_t wrap;
    uint8_t double_scale;
    uint8_t resolution;
    uint8_t rate;
    uint8_t rate_before, rate_before2; /* the two sample rates set before */
    uint8_t parameter_of;
    /* Since version 1: */
    uint8_t packet[4];    /* what was sent last, for the resend command, */
    uint8_t packet_bytes; /* 0: not a packet, but queue.last */
    uint8_t refused;      /* the last byte was no command and no parameter */
    uint8_t reserved[2];
};
DEVICE_STATE_END

static void ready(struct device *dev)
{
    const struct ps2_wiring *w = dev->wiring;
    struct ps2mouse_state *s = dev->state;

    line_set(&w->ready, s->queue.count != 0);
}

static int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Stream mode's 2:1 scaling (reference, table "Scaling"). */
static int32_t scale(const struct ps2mouse_state *s, int32_t v)
{
    static const int8_t table[6] = {0, 1, 1, 3, 6, 9};
    int32_t n = v < 0 ? -v : v;

    if (!s->double_scale)
        return v;
    n = n < 6 ? table[n] : 2 * n;
    return v < 0 ? -n : n;
}

/* The last packet, or byte. */
static void again(struct ps2mouse_state *s)
{
    if (!s->packet_bytes)
        ps2_put(&s->queue, s->queue.last);
    for (unsigned i = 0; i < s->packet_bytes; i++)
        ps2_put(&s->queue, s->packet[i]);
}

static void put_packet(struct ps2mouse_state *s, bool stream)
{
    int32_t x = clamp(stream ? scale(s, s->dx) : s->dx, -255, 255);
    int32_t y = clamp(stream ? scale(s, -s->dy) : -s->dy, -255, 255); /* up is positive */
    int32_t z = clamp(s->dz, -8, 7);

    s->packet[0] = (uint8_t)(0x08u | (s->buttons & 7u) | (x < 0 ? 0x10u : 0) | (y < 0 ? 0x20u : 0));
    s->packet[1] = (uint8_t)x;
    s->packet[2] = (uint8_t)y;
    s->packet[3] = (uint8_t)(s->id == 4 ? ((unsigned)z & 0x0fu) | (s->buttons >> 3 & 3u) << 4 : (unsigned)z);
    s->packet_bytes = s->id ? 4 : 3;
    again(s);
    s->dx = 0;
    s->dy = 0;
    s->dz = 0;
    s->reported = s->buttons;
}

static void defaults(struct ps2mouse_state *s)
{
    s->rate = 100;
    s->resolution = 2;
    s->double_scale = 0;
    s->enabled = 0;
    s->remote = 0;
    s->wrap = 0;
    s->parameter_of = 0;
    s->dx = 0;
    s->dy = 0;
    s->dz = 0;
}

static void put_status(struct ps2mouse_state *s)
{
    uint8_t b = s->buttons;

    ps2_put(&s->queue, (uint8_t)(s->remote << 6 | s->enabled << 5 | s->double_scale << 4 | (b & 1u) << 2 |
                                 (b & 4u) >> 1 | (b & 2u) >> 1));
    ps2_put(&s->queue, s->resolution);
    ps2_put(&s->queue, s->rate);
}

static void set_rate(struct ps2mouse_state *s, uint8_t rate)
{
    if (s->rate_before2 == 200 && rate == 80 && (s->rate_before == 100 || s->rate_before == 200))
        s->id = s->rate_before == 100 ? 3 : 4;
    s->rate_before2 = s->rate_before;
    s->rate_before = rate;
    s->rate = rate;
}

#define PS2_ERROR 0xfcu

static void refuse(struct ps2mouse_state *s)
{
    ps2_clear(&s->queue);
    ps2_put(&s->queue, s->refused ? PS2_ERROR : PS2_RESEND);
    s->refused = !s->refused;
}

static bool is_rate(uint8_t rate)
{
    return rate == 10 || rate == 20 || rate == 40 || rate == 60 || rate == 80 || rate == 100 || rate == 200;
}

/* One that is refused may be sent again; after the second time it is over. */
static void parameter(struct ps2mouse_state *s, uint8_t byte)
{
    if (s->parameter_of == 0xf3 ? !is_rate(byte) : byte > 3) {
        if (s->refused)
            s->parameter_of = 0;
        refuse(s);
        return;
    }
    if (s->parameter_of == 0xf3)
        set_rate(s, byte);
    else
        s->resolution = byte;
    s->parameter_of = s->refused = 0;
    ps2_put(&s->queue, PS2_ACK);
}

void ps2mouse_command(struct device *dev, uint8_t byte)
{
    struct ps2mouse_state *s = dev->state;

    if (s->wrap && byte != 0xec && byte != 0xff) {
        ps2_put(&s->queue, byte);
        ready(dev);
        return;
    }
    if (byte != 0xfe)
        ps2_clear(&s->queue);
    if (byte >= 0xe6 && byte != 0xfe)
        s->parameter_of = 0; /* a command: no parameter is so large */
    if (s->parameter_of && byte != 0xfe) {
        parameter(s, byte);
        ready(dev);
        return;
    }
    if (byte == 0xfe) {
        again(s);
        ready(dev);
        return;
    }
    ps2_put(&s->queue, PS2_ACK);
    s->packet_bytes = 0;
    switch (byte) {
    case 0xe6: /* scaling 1:1, 2:1 */
    case 0xe7:
        s->double_scale = byte & 1u;
        break;
    case 0xe8: /* resolution, sample rate */
    case 0xf3:
        s->parameter_of = byte;
        break;
    case 0xe9:
        put_status(s);
        break;
    case 0xea: /* stream mode */
        s->remote = 0;
        break;
    case 0xeb: /* read data */
        put_packet(s, false);
        break;
    case 0xec: /* leave wrap mode */
    case 0xee:
        s->wrap = byte == 0xee;
        break;
    case 0xf0:
        s->remote = 1;
        break;
    case 0xf2:
        ps2_put(&s->queue, s->id);
        break;
    case 0xf4:
    case 0xf5:
        s->enabled = byte == 0xf4;
        break;
    case 0xf6:
        defaults(s);
        break;
    case 0xff:
        defaults(s);
        s->id = 0;
        s->rate_before = 0;
        s->rate_before2 = 0;
        ps2_put(&s->queue, PS2_BAT_OK);
        ps2_put(&s->queue, 0);
        break;
    default:
        refuse(s);
        ready(dev);
        return;
    }
    s->refused = 0;
    ready(dev);
}

uint8_t ps2mouse_take(struct device *dev)
{
    struct ps2mouse_state *s = dev->state;
    uint8_t byte = ps2_take(&s->queue);

    /* What piled up while the buffer was full goes out now. */
    if (!s->queue.count && s->enabled && !s->remote && (s->dx || s->dy || s->dz || s->buttons != s->reported))
        put_packet(s, true);
    ready(dev);
    return byte;
}

static void mouse_reset(struct device *dev)
{
    struct ps2mouse_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    defaults(s);
    ready(dev);
}

static int16_t get_i16(const uint8_t *p)
{
    return (int16_t)(p[0] | p[1] << 8);
}

static void mouse_input(struct device *dev, const struct event *e)
{
    const struct ps2_wiring *w = dev->wiring;
    struct ps2mouse_state *s = dev->state;

    if (w->wakes && w->wakes(w->wakes_ctx))
        return;
    for (uint32_t i = 0; i + RECORD_BYTES <= e->len; i += RECORD_BYTES) {
        const uint8_t *r = e->data + i;

        s->buttons = r[6] & 0x1fu;
        if (!s->enabled && !s->remote)
            continue;
        s->dx = clamp(s->dx + get_i16(r), -0x10000, 0x10000);
        s->dy = clamp(s->dy + get_i16(r + 2), -0x10000, 0x10000);
        s->dz = clamp(s->dz + get_i16(r + 4), -0x1000, 0x1000);
        if (s->enabled && !s->remote && s->queue.count + 6u <= PS2_QUEUE)
            put_packet(s, true);
    }
    ready(dev);
}

static void mouse_describe(const struct device *dev, struct buffer *b)
{
    const struct ps2mouse_state *s = dev->state;

    buffer_printf(b, "id %u, %s, rate %u, buttons %u, %u bytes waiting\n", s->id,
                  s->enabled ? "reporting" : "disabled", s->rate, s->buttons, s->queue.count);
}

static bool mouse_possible(const struct device *dev)
{
    const struct ps2mouse_state *s = dev->state;

    return ps2_possible(&s->queue) && s->packet_bytes <= sizeof(s->packet);
}

/* Version 0 kept no packet. */
static bool mouse_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct ps2mouse_state *s = dev->state;

    if (version != 0 || len != offsetof(struct ps2mouse_state, packet))
        return false;
    memset(s, 0, sizeof(*s));
    memcpy(s, old, len);
    return true;
}

const struct device_ops ps2mouse_ops = {
    .name = "ps2mouse",
    .state_size = sizeof(struct ps2mouse_state),
    .state_version = 1,
    .upgrade = mouse_upgrade,
    .possible = mouse_possible,
    .reset = mouse_reset,
    .input = mouse_input,
    .describe = mouse_describe,
};
