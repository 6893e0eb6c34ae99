/*
 * The register side of a PC's two cascaded 8237A DMA controllers (Intel
 * 231466) and the page registers of the PIIX (290550, 3.2.1). Nothing on this
 * board requests DMA, so no transfer ever happens; registers read back as
 * programmed, which is what guests probe for. Port 80h, the POST code, is the
 * one page register without a channel.
 *
 * To extend: a device that transfers would call a function here that takes the
 * channel's current address and count and moves them on.
 */
#include "i386/pc/dma.h"

#include <string.h>

#include "base/buffer.h"

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

static uint64_t dma_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct dma_state *s = dev->state;

    (void)size;
    if (range == DMA_PAGES)
        return s->page[offset & 15u];
    return read_register(&s->chip[range], (unsigned)(range == DMA_16BIT ? offset >> 1 : offset) & 15u);
}

static void dma_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct dma_state *s = dev->state;

    (void)size;
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
