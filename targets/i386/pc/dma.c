/*
 * A PC's two cascaded 8237A DMA controllers (Intel 231466) and the page registers of the PIIX (290550,
 * 3.2.1). Port 80h, the POST code, is the one page register without a channel.
 *
 * A device asks for service by dma_transfer() with as many bytes as it has: cycles take no time, so priorities
 * (command bit 4), compressed and extended timing have nothing to decide. An address never leaves its
 * page of 64 KiB (128 KiB of words): the page register is no part of the counter.
 *
 * Not modelled, as in the PIIX: transfers from memory to memory, and requests by software for channels
 * without a device (the request register is kept, and read in the status).
 */
#include "i386/pc/dma.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/machine.h"

DEVICE_STATE_BEGIN
struct dma_chip {
    uint16_t base_address[4], base_count[4];
    uint16_t address[4], count[4];
    uint8_t mode[4];
    uint8_t command, status, request, mask;
    uint8_t temporary;
    uint8_t flip_flop; /* the next byte of an address or count is the high one */
    uint8_t reserved[6];
};

struct dma_state {
    struct dma_chip chip[2];
    uint8_t page[16];
};
DEVICE_STATE_END

#define COMMAND_DISABLE 0x04u
#define MODE_TRANSFER   0x0cu /* verify, write, read, none */
#define MODE_AUTOINIT   0x10u
#define MODE_DECREMENT  0x20u
#define MODE_CASCADE    0xc0u

/* Where the page register of a channel is, from port 80h on. */
static const uint8_t page_of[8] = {7, 3, 1, 2, 15, 11, 9, 10};

static uint8_t half(struct dma_chip *c, uint16_t word)
{
    bool high = c->flip_flop;

    c->flip_flop = !high;
    return (uint8_t)(high ? word >> 8 : word);
}

static void set_half(struct dma_chip *c, uint16_t *base, uint16_t *current, uint8_t byte)
{
    if (c->flip_flop)
        *base = (uint16_t)((*base & 0xffu) | (unsigned)byte << 8);
    else
        *base = (uint16_t)((*base & 0xff00u) | byte);
    *current = *base;
    c->flip_flop = !c->flip_flop;
}

static void master_clear(struct dma_chip *c)
{
    c->command = 0;
    c->status = 0;
    c->request = 0;
    c->temporary = 0;
    c->flip_flop = 0;
    c->mask = 15;
}

static uint8_t read_register(struct dma_chip *c, unsigned reg)
{
    uint8_t value;

    if (reg < 8)
        return half(c, reg & 1u ? c->count[reg >> 1] : c->address[reg >> 1]);
    switch (reg) {
    case 8:
        value = (uint8_t)(c->status | c->request << 4);
        c->status &= 0xf0u; /* reading clears the terminal counts */
        return value;
    case 13:
        return c->temporary;
    case 15:
        return (uint8_t)(0xf0u | c->mask); /* the PIIX lets the mask be read */
    default:
        return 0xff;
    }
}

static void write_register(struct dma_chip *c, unsigned reg, uint8_t value)
{
    uint8_t bit = (uint8_t)(1u << (value & 3u));

    if (reg < 8) {
        unsigned n = reg >> 1;

        if (reg & 1u)
            set_half(c, &c->base_count[n], &c->count[n], value);
        else
            set_half(c, &c->base_address[n], &c->address[n], value);
        return;
    }
    switch (reg) {
    case 8:
        c->command = value;
        break;
    case 9:
        c->request = value & 4u ? c->request | bit : c->request & (uint8_t)~bit;
        break;
    case 10:
        c->mask = value & 4u ? c->mask | bit : c->mask & (uint8_t)~bit;
        break;
    case 11:
        c->mode[value & 3u] = value;
        break;
    case 12:
        c->flip_flop = 0;
        break;
    case 13:
        master_clear(c);
        break;
    case 14:
        c->mask = 0;
        break;
    default:
        c->mask = value & 15u;
        break;
    }
}

/* ---- service ---- */

static bool serves(const struct dma_state *s, unsigned channel)
{
    const struct dma_chip *c = &s->chip[channel >> 2];
    unsigned n = channel & 3u;
    uint8_t mode = c->mode[n];

    if ((c->command & COMMAND_DISABLE) || (c->mask >> n & 1u) || (mode & MODE_TRANSFER) == MODE_TRANSFER ||
        (mode & MODE_CASCADE) == MODE_CASCADE)
        return false;
    /* The first chip's requests go through channel 4, which must let them. */
    return channel >= 4 || (!(s->chip[1].command & COMMAND_DISABLE) && !(s->chip[1].mask & 1u) &&
                            (s->chip[1].mode[0] & MODE_CASCADE) == MODE_CASCADE);
}

void dma_request(struct device *dev, unsigned channel, bool level)
{
    struct dma_state *s = dev->state;
    uint8_t bit = (uint8_t)(0x10u << (channel & 3u)), *status = &s->chip[channel >> 2].status;

    *status = (uint8_t)(level ? *status | bit : *status & (uint8_t)~bit);
}

/* The count went below zero. */
static void terminal_count(struct dma_chip *c, unsigned n)
{
    uint8_t bit = (uint8_t)(1u << n);

    c->status |= bit;
    c->request &= (uint8_t)~bit;
    if (c->mode[n] & MODE_AUTOINIT) {
        c->address[n] = c->base_address[n];
        c->count[n] = c->base_count[n];
    } else {
        c->mask |= bit;
    }
}

/* One cycle of the channel, at its current address. */
static void cycle(struct device *dev, unsigned channel, uint8_t *bytes, unsigned width)
{
    struct dma_state *s = dev->state;
    const struct dma_chip *c = &s->chip[channel >> 2];
    unsigned n = channel & 3u;
    struct memory *mem = &dev->machine->memory;
    uint32_t page = s->page[page_of[channel]], at = page << 16 | c->address[n];

    if (width == 2)
        at = (page & 0xfeu) << 16 | (uint32_t)c->address[n] << 1;
    if ((c->mode[n] & MODE_TRANSFER) == 0x04)
        memory_write_bytes(mem, at, bytes, width, false);
    else if ((c->mode[n] & MODE_TRANSFER) == 0x08)
        memory_dma_read(mem, at, bytes, width);
}

uint32_t dma_transfer(struct device *dev, unsigned channel, uint8_t *bytes, uint32_t len, bool *ended)
{
    struct dma_state *s = dev->state;
    struct dma_chip *c = &s->chip[channel >> 2];
    unsigned n = channel & 3u, width = channel >= 4 ? 2 : 1;
    uint32_t done = 0;

    *ended = false;
    while (done + width <= len && !*ended && serves(s, channel)) {
        cycle(dev, channel, bytes + done, width);
        done += width;
        c->address[n] = (uint16_t)(c->address[n] + (c->mode[n] & MODE_DECREMENT ? 0xffffu : 1u));
        *ended = c->count[n]-- == 0;
        if (*ended)
            terminal_count(c, n);
    }
    return done;
}

/* ---- registers ---- */

/* `chip`: whose registers those are; of both, if it is 2. */
static void look(const struct device *dev, unsigned chip)
{
    const struct dma_wiring *w = dev->wiring;

    for (unsigned n = 0; w && n < ARRAY_LEN(w->users); n++)
        if (w->users[n].look && (n >> 2 == chip || chip > 1))
            w->users[n].look(w->users[n].arg);
}

static uint64_t dma_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct dma_state *s = dev->state;

    (void)size;
    look(dev, range == DMA_PAGES ? 2 : range);
    if (range == DMA_PAGES)
        return s->page[offset & 15u];
    return read_register(&s->chip[range], (unsigned)(range == DMA_16BIT ? offset >> 1 : offset) & 15u);
}

static void dma_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct dma_state *s = dev->state;

    (void)size;
    look(dev, range == DMA_PAGES ? 2 : range);
    if (range == DMA_PAGES)
        s->page[offset & 15u] = (uint8_t)value;
    else
        write_register(&s->chip[range], (unsigned)(range == DMA_16BIT ? offset >> 1 : offset) & 15u,
                       (uint8_t)value);
}

static void dma_reset(struct device *dev)
{
    struct dma_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    master_clear(&s->chip[0]);
    master_clear(&s->chip[1]);
}

void dma_firmware_setup(struct device *dev)
{
    struct dma_state *s = dev->state;

    s->chip[1].mode[0] = MODE_CASCADE;
    s->chip[1].mask &= (uint8_t)~1u;
}

static void dma_describe(const struct device *dev, struct buffer *b)
{
    const struct dma_state *s = dev->state;

    for (unsigned n = 0; n < 8; n++)
        buffer_printf(b, "channel %u: address %04x count %04x mode %02x%s\n", n,
                      s->chip[n >> 2].address[n & 3u], s->chip[n >> 2].count[n & 3u],
                      s->chip[n >> 2].mode[n & 3u], s->chip[n >> 2].mask >> (n & 3u) & 1u ? " masked" : "");
}

const struct device_ops dma_ops = {
    .name = "dma",
    .state_size = sizeof(struct dma_state),
    .reset = dma_reset,
    .describe = dma_describe,
    .read = dma_read,
    .write = dma_write,
};
