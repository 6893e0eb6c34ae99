/*
 * LPIs of a redistributor (ARM IHI 0069H, 5.1, 12.11): GICR_CTLR.EnableLPIs, GICR_PROPBASER, GICR_PENDBASER and the
 * registers by which caches of the tables are invalidated.
 *
 * The configuration table in memory is asked whenever what is pending is looked at: nothing of it is kept, and there is nothing
 * to be invalidated but what the CPU sees. Which LPIs are pending is state; the pending table is read when
 * LPIs are switched on, and written when they are switched off. An LPI has no active state.
 *
 * Not modelled: direct injection (GICR_SETLPIR, GICR_CLRLPIR).
 */
#include "aarch64/virt/lpi.h"

#include "aarch64/virt/gic.h"
#include "base/buffer.h"

enum { GICR_CTLR = 0x0000, GICR_PROPBASER = 0x0070, GICR_PENDBASER = 0x0078, GICR_INVLPIR = 0x00a0, GICR_INVALLR = 0x00b0,
       GICR_SYNCR = 0x00c0 };

#define CTLR_ENABLE 1u
#define CTLR_CES    2u /* it may be cleared again */
#define CTLR_IR     4u /* the registers for invalidation are there */

#define PROPBASER_WRITABLE 0x070fffffffffff9full /* not reserved: IDbits, caching, sharing, address */
#define PENDBASER_WRITABLE 0x070fffffffff0f80ull
#define PENDBASER_ZERO     (1ull << 62)
#define BASE_ADDRESS       0x000ffffffffff000ull
#define PENDING_ADDRESS    0x000fffffffff0000ull

#define WORDS (LPI_COUNT / 64)
#define ENABLED 1u

DEVICE_STATE_BEGIN
struct lpi_state {
    uint64_t propbaser, pendbaser;
    uint64_t pending[WORDS];
    uint32_t on;         /* EnableLPIs */
    uint32_t count;      /* of those that are pending */
};
DEVICE_STATE_END

/* INTIDs from here on do not exist: PROPBASER.IDbits says how many. */
static unsigned end_of(const struct lpi_state *s)
{
    unsigned bits = (unsigned)(s->propbaser & 31u) + 1;

    return bits < LPI_BITS ? 1u << bits : 1u << LPI_BITS;
}

static uint8_t configuration(const struct device *dev, unsigned irq)
{
    const struct lpi_state *s = dev->state;
    uint8_t byte = 0;

    memory_dma_read(&dev->machine->memory, (s->propbaser & BASE_ADDRESS) + irq - LPI_FIRST, &byte, 1);
    return byte;
}

static uint8_t priority_in(const struct device *dev, uint8_t byte)
{
    const struct lpi_wiring *w = dev->wiring;

    return w->security ? (uint8_t)(0x80u | (byte >> 1 & 0x78u)) : byte & 0xf8u;
}

uint8_t lpi_priority(const struct device *dev, unsigned irq)
{
    return priority_in(dev, configuration(dev, irq));
}

bool lpi_pending(const struct device *dev, unsigned irq)
{
    const struct lpi_state *s = dev->state;

    return lpi_is(irq) && (s->pending[(irq - LPI_FIRST) / 64] >> (irq % 64) & 1u);
}

unsigned lpi_best(const struct device *dev)
{
    const struct lpi_state *s = dev->state;
    unsigned best = 0;
    uint8_t least = 0xff;

    for (unsigned i = 0; s->on && s->count && i < WORDS; i++)
        for (uint64_t word = s->pending[i]; word; word &= word - 1) {
            unsigned irq = LPI_FIRST + i * 64 + (unsigned)__builtin_ctzll(word);
            uint8_t byte = configuration(dev, irq);

            if ((byte & ENABLED) && (!best || priority_in(dev, byte) < least)) {
                best = irq;
                least = priority_in(dev, byte);
            }
        }
    return best;
}

static void set_bit(struct lpi_state *s, unsigned irq, bool pending)
{
    uint64_t *word = &s->pending[(irq - LPI_FIRST) / 64], bit = 1ull << (irq % 64);

    if (!(*word & bit) == !pending)
        return;
    *word ^= bit;
    s->count += pending ? 1u : -1u;
}

static void changed(struct device *dev)
{
    const struct lpi_wiring *w = dev->wiring;

    gic_update(w->gic);
}

void lpi_set_pending(struct device *dev, unsigned irq, bool pending)
{
    struct lpi_state *s = dev->state;

    if (!lpi_is(irq) || !s->on || irq >= end_of(s))
        return;
    set_bit(s, irq, pending);
    changed(dev);
}

void lpi_move_all(struct device *from, struct device *to)
{
    struct lpi_state *s = from->state;

    for (unsigned irq = LPI_FIRST; from != to && s->count && irq < LPI_FIRST + LPI_COUNT; irq++)
        if (lpi_pending(from, irq)) {
            set_bit(s, irq, false);
            lpi_set_pending(to, irq, true);
        }
    changed(from);
}

/* ---- the pending table ---- */

/* A bit for each INTID, from 0 on. */
static paddr_t pending_at(const struct lpi_state *s, unsigned word)
{
    return (s->pendbaser & PENDING_ADDRESS) + LPI_FIRST / 8 + 8ull * word;
}

/* How much of it there is: what lies behind is the guest's. */
static unsigned table_words(const struct lpi_state *s)
{
    return end_of(s) > LPI_FIRST ? (end_of(s) - LPI_FIRST) / 64 : 0;
}

static void load_pending(struct device *dev)
{
    struct lpi_state *s = dev->state;
    unsigned words = table_words(s);

    s->count = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        s->pending[i] = 0;
        if (i < words && !(s->pendbaser & PENDBASER_ZERO))
            memory_dma_read(&dev->machine->memory, pending_at(s, i), &s->pending[i], 8);
        s->count += (uint32_t)__builtin_popcountll(s->pending[i]);
    }
}

static void store_pending(struct device *dev)
{
    struct lpi_state *s = dev->state;
    unsigned words = table_words(s);

    for (unsigned i = 0; i < WORDS; i++) {
        if (i < words)
            memory_write_bytes(&dev->machine->memory, pending_at(s, i), &s->pending[i], 8, false);
        s->pending[i] = 0;
    }
    s->count = 0;
}

/* ---- registers ---- */

static void write_ctlr(struct device *dev, uint32_t value)
{
    struct lpi_state *s = dev->state;
    bool on = value & CTLR_ENABLE;

    if (on == s->on)
        return;
    if (on)
        load_pending(dev);
    else
        store_pending(dev);
    s->on = on;
    changed(dev);
}

/* Half of a base register; while LPIs are on, they stay as they are. */
static void write_base(const struct lpi_state *s, uint64_t *reg, bool upper, uint32_t value, uint64_t writable)
{
    uint64_t mask = (upper ? 0xffffffff00000000ull : 0xffffffffull) & writable;

    if (!s->on)
        *reg = (*reg & ~mask) | ((upper ? (uint64_t)value << 32 : value) & mask);
}

bool lpi_read(const struct device *dev, uint32_t offset, uint32_t *value)
{
    const struct lpi_state *s = dev->state;
    uint64_t pendbaser = s->pendbaser & ~PENDBASER_ZERO; /* PTZ is write-only */

    switch (offset) {
    case GICR_CTLR:          *value = s->on | CTLR_CES | CTLR_IR; return true;
    case GICR_PROPBASER:     *value = (uint32_t)s->propbaser; return true;
    case GICR_PROPBASER + 4: *value = (uint32_t)(s->propbaser >> 32); return true;
    case GICR_PENDBASER:     *value = (uint32_t)pendbaser; return true;
    case GICR_PENDBASER + 4: *value = (uint32_t)(pendbaser >> 32); return true;
    case GICR_SYNCR:         *value = 0; return true; /* nothing is under way */
    default:                 return false;
    }
}

bool lpi_write(struct device *dev, uint32_t offset, uint32_t value)
{
    struct lpi_state *s = dev->state;

    switch (offset) {
    case GICR_CTLR:
        write_ctlr(dev, value);
        return true;
    case GICR_PROPBASER: case GICR_PROPBASER + 4:
        write_base(s, &s->propbaser, offset & 4u, value, PROPBASER_WRITABLE);
        return true;
    case GICR_PENDBASER: case GICR_PENDBASER + 4:
        write_base(s, &s->pendbaser, offset & 4u, value, PENDBASER_WRITABLE | PENDBASER_ZERO);
        return true;
    case GICR_INVLPIR: case GICR_INVALLR: /* what the CPU sees was of the table as it was */
        changed(dev);
        return true;
    default:
        return false;
    }
}

/* ---- the device ---- */

static void lpi_reset(struct device *dev)
{
    struct lpi_state *s = dev->state;

    *s = (struct lpi_state){0};
}

static bool lpi_possible(const struct device *dev)
{
    const struct lpi_state *s = dev->state;
    uint32_t count = 0;

    for (unsigned i = 0; i < WORDS; i++)
        count += (uint32_t)__builtin_popcountll(s->pending[i]);
    return count == s->count && s->on <= 1;
}

static void lpi_describe(const struct device *dev, struct buffer *b)
{
    const struct lpi_state *s = dev->state;

    buffer_printf(b, "LPIs %s, configuration %llx, pending %llx\n", s->on ? "on" : "off", (unsigned long long)s->propbaser,
                  (unsigned long long)s->pendbaser);
    for (unsigned irq = LPI_FIRST; s->count && irq < LPI_FIRST + LPI_COUNT; irq++)
        if (lpi_pending(dev, irq))
            buffer_printf(b, "%u: pending\n", irq);
}

const struct device_ops lpi_ops = {
    .name = "lpi",
    .state_size = sizeof(struct lpi_state),
    .possible = lpi_possible,
    .reset = lpi_reset,
    .describe = lpi_describe,
    .interrupts = true,
};
