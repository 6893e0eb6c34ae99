/*
 * The I/O port space: 64 Ki bytes, each owned by at most one range of a device.
 * An access that is wider than its device, or that reaches beyond it, is split
 * into halves, low half first, as the ISA bridge splits it. What nobody owns
 * reads as all ones.
 *
 * Whether an access asks for the machine's attention is its device's matter (device_read()).
 */
#include "vm/dev/ports.h"

#include <string.h>

#include "base/error.h"
#include "vm/machine.h"

static void rebuild(struct ports *p)
{
    memset(p->owner, 0, sizeof(p->owner));
    for (unsigned i = 0; i < p->nranges; i++) {
        const struct port_range *r = &p->ranges[i];

        for (unsigned n = 0; r->enabled && n < r->len && r->base + n < 0x10000u; n++)
            p->owner[r->base + n] = (uint8_t)(i + 1);
    }
}

unsigned ports_claim(struct ports *p, struct device *dev, uint16_t base, uint16_t len, uint8_t range, uint8_t width)
{
    CHECK(p->nranges < PORTS_MAX_RANGES);
    p->ranges[p->nranges] = (struct port_range){
        .dev = dev, .base = base, .len = len, .range = range, .width = width, .enabled = true};
    p->nranges++;
    rebuild(p);
    return p->nranges - 1;
}

void ports_move(struct ports *p, unsigned index, uint16_t base, bool enabled)
{
    struct port_range *r = &p->ranges[index];

    if (r->base == base && r->enabled == enabled)
        return;
    r->base = base;
    r->enabled = enabled;
    rebuild(p);
}

/* The range that takes the access whole, or NULL. */
static const struct port_range *whole(const struct ports *p, uint16_t port, unsigned size)
{
    const struct port_range *r;

    if (!p->owner[port])
        return NULL;
    r = &p->ranges[p->owner[port] - 1];
    return r->width >= size && port - r->base + size <= r->len ? r : NULL;
}

static uint32_t read_split(const struct ports *p, uint16_t port, unsigned size)
{
    const struct port_range *r = whole(p, port, size);
    unsigned half = size / 2;
    uint32_t low;

    if (r)
        return (uint32_t)(device_read(r->dev, r->range, port - r->base, size) & (0xffffffffu >> (32 - 8 * size)));
    if (size == 1)
        return 0xff;
    low = read_split(p, port, half); /* a read may change what the next one finds */
    return low | read_split(p, (uint16_t)(port + half), half) << (8 * half);
}

static void write_split(const struct ports *p, uint16_t port, unsigned size, uint32_t value)
{
    const struct port_range *r = whole(p, port, size);
    unsigned half = size / 2;

    if (r) {
        device_write(r->dev, r->range, port - r->base, size, value & (0xffffffffu >> (32 - 8 * size)));
        return;
    }
    if (size == 1)
        return;
    write_split(p, port, half, value);
    write_split(p, (uint16_t)(port + half), half, value >> (8 * half));
}

static void note(const struct ports *p, unsigned kind, uint16_t port, unsigned size, uint32_t value)
{
    const struct port_range *r = p->owner[port] ? &p->ranges[p->owner[port] - 1] : NULL;

    if (p->machine && (p->machine->traps->notes & kind))
        traps_add_note(p->machine, &(struct trap_hit){.kind = kind, .address = port, .len = size, .value = value,
                                                      .writer = r ? r->dev->name : NULL});
}

uint32_t ports_read(void *ctx, uint16_t port, unsigned size)
{
    struct ports *p = ctx;
    const struct port_range *r = whole(p, port, size);
    uint32_t value;

    if (r)
        value = (uint32_t)device_read(r->dev, r->range, port - r->base, size) & (0xffffffffu >> (32 - 8 * size));
    else
        value = read_split(p, port, size);
    if (p->machine && !p->machine->traps->notes)
        return value;
    note(p, TRAP_IO_READ, port, size, value);
    return value;
}

void ports_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct ports *p = ctx;

    note(p, TRAP_IO_WRITE, port, size, value);
    write_split(p, port, size, value);
}
