/*
 * The 82093AA I/O APIC (Intel 290566): 24 redirection entries, edge and level
 * triggering with remote IRR, delivery to the local APICs. MMIO range 0:
 * IOREGSEL at 00h, IOWIN at 10h.
 *
 * Inputs are taken as "asserted" or "not": the polarity bit is kept but changes
 * nothing, as every board describes its lines the way it drives them.
 * Not modelled: arbitration on the APIC bus, delivery that has to be retried.
 */
#include "i386/pc/ioapic.h"

#include <string.h>

#include "base/buffer.h"
#include "i386/pc/apic.h"

#define VERSION (0x11u | (IOAPIC_PINS - 1) << 16)

#define RTE_LOGICAL    0x00800u
#define RTE_REMOTE_IRR 0x04000u
#define RTE_LEVEL      0x08000u
#define RTE_MASKED     0x10000u
#define RTE_WRITABLE   0x1afffu

DEVICE_STATE_BEGIN
struct ioapic_state {
    uint32_t id;
    uint32_t select;
    uint32_t lines;  /* levels of the inputs */
    uint32_t irr;    /* edges seen, not yet delivered */
    uint32_t low[IOAPIC_PINS], high[IOAPIC_PINS];
};
DEVICE_STATE_END

/* Does an entry make its input a level? NMI, INIT and ExtINT are edges whatever it says (290566, 3.2.4). */
static bool is_level(uint32_t low)
{
    return (low & RTE_LEVEL) && (low >> 8 & 7u) <= APIC_LOWEST;
}

/* Deliver what input `pin` asks for, if it may. */
static void service(struct device *dev, unsigned pin)
{
    const struct ioapic_wiring *w = dev->wiring;
    struct ioapic_state *s = dev->state;
    uint32_t low = s->low[pin], bit = 1u << pin;
    bool level = is_level(low);

    if (low & RTE_MASKED)
        return;
    if (level) {
        if (!(s->lines & bit) || (low & RTE_REMOTE_IRR))
            return;
    } else {
        if (!(s->irr & bit))
            return;
        s->irr &= ~bit;
    }
    if (apic_message(w->bus, (uint8_t)(s->high[pin] >> 24), low & RTE_LOGICAL, low >> 8 & 7u, (uint8_t)low, level) && level)
        s->low[pin] |= RTE_REMOTE_IRR; /* it was accepted (290566, 3.2.4) */
}

void ioapic_set_pin(void *ctx, unsigned pin, bool level)
{
    struct device *dev = ctx;
    struct ioapic_state *s = dev->state;
    uint32_t bit = 1u << pin;

    if (pin >= IOAPIC_PINS)
        return;
    /* An edge at a masked edge-triggered input is lost (290566, 3.2.4). */
    if (level && !(s->lines & bit) && !is_level(s->low[pin]) && !(s->low[pin] & RTE_MASKED))
        s->irr |= bit;
    s->lines = level ? s->lines | bit : s->lines & ~bit;
    if (level)
        service(dev, pin);
}

bool ioapic_is_masked(const struct device *dev, unsigned pin)
{
    const struct ioapic_state *s = dev->state;

    return s->low[pin] & RTE_MASKED;
}

void ioapic_eoi(struct device *dev, uint8_t vector)
{
    struct ioapic_state *s = dev->state;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((uint8_t)s->low[pin] != vector || !(s->low[pin] & RTE_REMOTE_IRR))
            continue;
        s->low[pin] &= ~RTE_REMOTE_IRR;
        service(dev, pin);
    }
}

static uint32_t read_register(const struct ioapic_state *s)
{
    unsigned n = (s->select - 0x10u) >> 1;

    switch (s->select) {
    case 0:
    case 2: /* arbitration ID */
        return s->id;
    case 1:
        return VERSION;
    default:
        if (s->select < 0x10 || n >= IOAPIC_PINS)
            return 0xffffffffu;
        return s->select & 1u ? s->high[n] : s->low[n];
    }
}

static void write_register(struct device *dev, uint32_t value)
{
    struct ioapic_state *s = dev->state;
    unsigned n = (s->select - 0x10u) >> 1;

    if (s->select == 0) {
        s->id = value & 0x0f000000u;
        return;
    }
    if (s->select < 0x10 || n >= IOAPIC_PINS)
        return;
    if (s->select & 1u) {
        s->high[n] = value & 0xff000000u;
        return;
    }
    s->low[n] = (value & RTE_WRITABLE) | (s->low[n] & RTE_REMOTE_IRR);
    if (!is_level(s->low[n]))
        s->low[n] &= ~RTE_REMOTE_IRR; /* meaningless for edges: how Linux clears a stuck one */
    else
        s->irr &= ~(1u << n);
    service(dev, n);
}

static uint64_t ioapic_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct ioapic_state *s = dev->state;

    (void)range, (void)size;
    switch (offset & ~3ull) {
    case 0x00:
        return s->select >> (8 * (offset & 3u));
    case 0x10:
        return read_register(s) >> (8 * (offset & 3u));
    default:
        return 0;
    }
}

static void ioapic_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic_state *s = dev->state;

    (void)range;
    if (offset == 0x00)
        s->select = (uint8_t)value;
    else if (offset == 0x10 && size == 4)
        write_register(dev, (uint32_t)value);
}

static void ioapic_reset(struct device *dev)
{
    struct ioapic_state *s = dev->state;
    uint32_t lines = s->lines;

    memset(s, 0, sizeof(*s));
    s->lines = lines;
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        s->low[n] = RTE_MASKED;
}

static void ioapic_describe(const struct device *dev, struct buffer *b)
{
    const struct ioapic_state *s = dev->state;

    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        if (!(s->low[n] & RTE_MASKED) || (s->lines >> n & 1u))
            buffer_printf(b, "pin %u: %08x %08x line %u\n", n, s->high[n], s->low[n], s->lines >> n & 1u);
}

const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .state_size = sizeof(struct ioapic_state),
    .calm_reads = true,
    .calm_writes = true,
    .reset = ioapic_reset,
    .describe = ioapic_describe,
    .interrupts = true,
    .read = ioapic_read,
    .write = ioapic_write,
};
