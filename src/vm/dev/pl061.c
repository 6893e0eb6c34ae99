/*
 * The PrimeCell GPIO PL061 (ARM DDI 0190): eight lines with interrupts on
 * level or edge. Lines are pulled low; what drives one is pl061_pulse().
 *
 * Not modelled: the alternate functions (AFSEL is kept, nothing is behind it).
 */
#include "vm/dev/pl061.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "vm/machine.h"

enum {
    GPIODATA_END = 0x400, GPIODIR = 0x400, GPIOIS = 0x404, GPIOIBE = 0x408, GPIOIEV = 0x40c, GPIOIE = 0x410,
    GPIORIS = 0x414, GPIOMIS = 0x418, GPIOIC = 0x41c, GPIOAFSEL = 0x420, PERIPH_ID = 0xfe0,
};

static const uint8_t ids[8] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

DEVICE_STATE_BEGIN
struct pl061_state {
    uint8_t out;    /* what was written to GPIODATA */
    uint8_t in;     /* lines driven high from outside */
    uint8_t dir, is, ibe, iev, ie, afsel;
    uint8_t edges;  /* edges seen and not cleared */
    uint8_t reserved[7];
    uint64_t release_at[8]; /* vtime at which each driven line falls, or VTIME_NEVER */
};
DEVICE_STATE_END

static uint8_t levels(const struct pl061_state *s)
{
    return (uint8_t)((s->out & s->dir) | (s->in & ~s->dir));
}

static uint8_t raw_status(const struct pl061_state *s)
{
    uint8_t level = (uint8_t)~(levels(s) ^ s->iev); /* 1: the level that interrupts */

    return (uint8_t)((s->is & level) | (~s->is & s->edges));
}

static void update_irq(struct device *dev)
{
    const struct pl061_wiring *w = dev->wiring;
    const struct pl061_state *s = dev->state;

    line_set(&w->irq, raw_status(s) & s->ie);
}

/* The lines were at `before`. */
static void note_edges(struct device *dev, uint8_t before)
{
    const struct pl061_wiring *w = dev->wiring;
    struct pl061_state *s = dev->state;
    uint8_t now = levels(s), changed = before ^ now;

    s->edges |= (uint8_t)(changed & ~s->is & (s->ibe | ~(now ^ s->iev)));
    update_irq(dev);
    for (unsigned i = 0; i < 8; i++)
        if (changed & s->dir & 1u << i)
            line_set(&w->out[i], now >> i & 1);
}

void pl061_pulse(struct device *dev, unsigned n, vtime_t ns)
{
    struct pl061_state *s = dev->state;
    uint8_t before = levels(s);

    CHECK(n < 8);
    s->in |= (uint8_t)(1u << n);
    s->release_at[n] = machine_now(dev->machine) + ns;
    note_edges(dev, before);
}

static uint64_t gpio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct pl061_state *s = dev->state;

    (void)range, (void)size;
    if (offset < GPIODATA_END) /* address bits 9-2 choose the lines */
        return levels(s) & (offset >> 2);
    switch (offset) {
    case GPIODIR:   return s->dir;
    case GPIOIS:    return s->is;
    case GPIOIBE:   return s->ibe;
    case GPIOIEV:   return s->iev;
    case GPIOIE:    return s->ie;
    case GPIORIS:   return raw_status(s);
    case GPIOMIS:   return raw_status(s) & s->ie;
    case GPIOAFSEL: return s->afsel;
    default:
        if (offset >= PERIPH_ID && offset < PERIPH_ID + 32)
            return ids[(offset - PERIPH_ID) / 4];
        return 0;
    }
}

static void gpio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pl061_state *s = dev->state;
    uint8_t v = (uint8_t)value, before = levels(s), mask = (uint8_t)(offset >> 2);

    (void)range, (void)size;
    if (offset < GPIODATA_END) {
        s->out = (uint8_t)((s->out & ~mask) | (v & mask));
        note_edges(dev, before);
        return;
    }
    switch (offset) {
    case GPIODIR:   s->dir = v; break;
    case GPIOIS:    s->is = v; break;
    case GPIOIBE:   s->ibe = v; break;
    case GPIOIEV:   s->iev = v; break;
    case GPIOIE:    s->ie = v; break;
    case GPIOIC:    s->edges &= (uint8_t)~v; break;
    case GPIOAFSEL: s->afsel = v; break;
    default:        break;
    }
    note_edges(dev, before);
}

static void gpio_reset(struct device *dev)
{
    struct pl061_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 8; i++)
        s->release_at[i] = VTIME_NEVER;
    update_irq(dev);
}

static vtime_t gpio_deadline(const struct device *dev)
{
    const struct pl061_state *s = dev->state;
    vtime_t least = VTIME_NEVER;

    for (unsigned i = 0; i < 8; i++)
        if (s->release_at[i] < least)
            least = s->release_at[i];
    return least;
}

static void gpio_expire(struct device *dev, vtime_t now)
{
    struct pl061_state *s = dev->state;
    uint8_t before = levels(s);

    for (unsigned i = 0; i < 8; i++) {
        if (s->release_at[i] > now)
            continue;
        s->in &= (uint8_t)~(1u << i);
        s->release_at[i] = VTIME_NEVER;
    }
    note_edges(dev, before);
}

static void gpio_describe(const struct device *dev, struct buffer *b)
{
    const struct pl061_state *s = dev->state;

    buffer_printf(b, "lines %02x dir %02x is %02x ibe %02x iev %02x ie %02x ris %02x\n", levels(s), s->dir, s->is,
                  s->ibe, s->iev, s->ie, raw_status(s));
}

const struct device_ops pl061_ops = {
    .name = "pl061",
    .state_size = sizeof(struct pl061_state),
    .reset = gpio_reset,
    .deadline = gpio_deadline,
    .expire = gpio_expire,
    .describe = gpio_describe,
    .read = gpio_read,
    .write = gpio_write,
};
