/*
 * The interrupt translation service (ARM IHI 0069H, chapter 5.2 to 5.3 and 12.19): messages of devices become LPIs of CPUs by
 * tables that commands in a queue change.
 *
 * Device, collection and translation tables are in the guest's memory, in a layout of our own; nothing of them is kept, so
 * that there is no cache which could differ from them. Device tables may be of two levels. Commands are
 * done when GITS_CWRITER is written. One that makes no sense is passed over; a queue that cannot be read stalls.
 *
 * Not modelled: virtual LPIs (version 4), error reporting by system errors, collections without a table.
 */
#include "aarch64/virt/its.h"

#include "aarch64/virt/lpi.h"
#include "base/buffer.h"
#include "base/bytes.h"

enum { GITS_CTLR = 0x0000, GITS_IIDR = 0x0004, GITS_TYPER = 0x0008, GITS_CBASER = 0x0080, GITS_CWRITER = 0x0088,
       GITS_CREADR = 0x0090, GITS_BASER = 0x0100, ID_REGS = 0xffd0 };
enum { MOVI = 0x01, INT = 0x03, CLEAR = 0x04, SYNC = 0x05, MAPD = 0x08, MAPC = 0x09, MAPTI = 0x0a, MAPI = 0x0b, INV = 0x0c,
       INVALL = 0x0d, MOVALL = 0x0e, DISCARD = 0x0f };

#define CTLR_ENABLED   1u
#define CTLR_QUIESCENT 0x80000000u
#define IIDR           0x43bu
/* Physical LPIs; 8-byte entries of a translation table; 16 bits of event and device; CPUs by number. */
#define ID_BITS        16u
#define TYPER          (1ull | 7ull << 4 | (ID_BITS - 1ull) << 8 | (ID_BITS - 1ull) << 13)

#define VALID          (1ull << 63)
#define CBASER_WRITABLE 0xb8effffffffffcffull
#define BASER_WRITABLE  0xf8e0ffffffffffffull /* what is fixed: type and entry size */
#define BASER_FIXED(type) ((type) << 56 | 7ull << 48)
#define BASER_INDIRECT (1ull << 62)
#define TABLE_DEVICES  1ull
#define TABLE_COLLECTIONS 4ull
#define OFFSET_MASK    0xfffe0u
#define STALLED        1u
#define COMMAND_BYTES  32u
#define ENTRY_BYTES    8u

DEVICE_STATE_BEGIN
struct its_state {
    uint64_t cbaser, cwriter, creadr;
    uint64_t devices, collections; /* GITS_BASER0, 1 */
    uint32_t ctlr;
    uint32_t reserved;
};
DEVICE_STATE_END

/* ---- tables ---- */

static uint64_t read_entry(const struct device *dev, paddr_t at)
{
    uint64_t entry = 0;

    memory_dma_read(&dev->machine->memory, at, &entry, sizeof(entry));
    return entry;
}

static void write_entry(struct device *dev, paddr_t at, uint64_t entry)
{
    memory_write_bytes(&dev->machine->memory, at, &entry, sizeof(entry), false);
}

static uint64_t page_bytes(uint64_t baser)
{
    unsigned size = baser >> 8 & 3u;

    return size == 0 ? 0x1000 : size == 1 ? 0x4000 : 0x10000;
}

/* With 64 KiB pages, bits 15:12 are bits 51:48 of the address. */
static paddr_t base_address(uint64_t baser)
{
    if (page_bytes(baser) == 0x10000)
        return (baser & 0xffffffff0000ull) | (baser & 0xf000u) << 36;
    return baser & 0xfffffffff000ull & ~(page_bytes(baser) - 1);
}

/* Where entry `n` of a table is. False: the table has not so many. */
static bool entry_at(const struct device *dev, uint64_t baser, uint64_t n, paddr_t *at)
{
    uint64_t bytes = page_bytes(baser), size = ((baser & 0xffu) + 1) * bytes, per_page = bytes / ENTRY_BYTES, first;

    if (!(baser & VALID) || n >> ID_BITS)
        return false;
    if (!(baser & BASER_INDIRECT)) {
        *at = base_address(baser) + n * ENTRY_BYTES;
        return n < size / ENTRY_BYTES;
    }
    if (n / per_page >= size / ENTRY_BYTES)
        return false;
    first = read_entry(dev, base_address(baser) + n / per_page * ENTRY_BYTES);
    *at = (first & 0xffffffffff000ull & ~(bytes - 1)) + n % per_page * ENTRY_BYTES;
    return first & VALID;
}

/* A device's entry: bits of event less one in 4:0, address of its translation table, by 256, from bit 5 on. */
static uint64_t device_entry(unsigned bits, paddr_t table)
{
    return VALID | (table >> 8) << 5 | bits;
}

/* Where the device's translation of an event is. False: the device is not mapped, or has no such event. */
static bool translation_at(const struct device *dev, uint32_t device, uint32_t event, paddr_t *at)
{
    const struct its_state *s = dev->state;
    paddr_t where;
    uint64_t entry;

    if (!entry_at(dev, s->devices, device, &where))
        return false;
    entry = read_entry(dev, where);
    *at = (entry >> 5 & 0xfffffffffffull) << 8;
    *at += (uint64_t)event * ENTRY_BYTES;
    return (entry & VALID) && (uint64_t)event >> ((entry & 31u) + 1) == 0;
}

/* A translation: INTID in 23:0, collection in 47:32. */
static uint64_t translation(uint32_t irq, uint16_t collection)
{
    return VALID | (uint64_t)collection << 32 | irq;
}

/* The LPIs of the CPU that a collection goes to; NULL: it is not mapped. */
static struct device *collection_target(const struct device *dev, uint16_t collection)
{
    const struct its_wiring *w = dev->wiring;
    const struct its_state *s = dev->state;
    uint64_t entry;
    paddr_t at;

    if (!entry_at(dev, s->collections, collection, &at))
        return NULL;
    entry = read_entry(dev, at);
    return (entry & VALID) && (entry & 0xffffu) < w->count ? w->lpis[entry & 0xffffu] : NULL;
}

/* What becomes of an event: the LPI and whose. False: nothing. */
static bool translate(const struct device *dev, uint32_t device, uint32_t event, struct device **lpis, unsigned *irq,
                      paddr_t *at)
{
    uint64_t entry;

    if (!translation_at(dev, device, event, at))
        return false;
    entry = read_entry(dev, *at);
    *irq = entry & 0xffffffu;
    *lpis = collection_target(dev, (uint16_t)(entry >> 32));
    return (entry & VALID) && *lpis;
}

/* ---- commands ---- */

/* Sets what every event's command has: pending, not pending, or looked at again. */
static void event_command(struct device *dev, uint8_t command, uint32_t device, uint32_t event)
{
    struct device *lpis;
    unsigned irq;
    paddr_t at;

    if (!translate(dev, device, event, &lpis, &irq, &at))
        return;
    if (command == INV)
        lpi_set_pending(lpis, irq, lpi_pending(lpis, irq));
    else
        lpi_set_pending(lpis, irq, command == INT);
    if (command == DISCARD)
        write_entry(dev, at, 0);
}

static void map_device(struct device *dev, const uint64_t *c)
{
    const struct its_state *s = dev->state;
    paddr_t at;

    if (entry_at(dev, s->devices, c[0] >> 32, &at) && (c[1] & 31u) < ID_BITS)
        write_entry(dev, at, c[2] & VALID ? device_entry(c[1] & 31u, c[2] & 0xfffffffffff00ull) : 0);
}

static void map_collection(struct device *dev, const uint64_t *c)
{
    const struct its_wiring *w = dev->wiring;
    const struct its_state *s = dev->state;
    uint64_t cpu = c[2] >> 16 & 0xffffu;
    paddr_t at;

    if (entry_at(dev, s->collections, c[2] & 0xffffu, &at) && (cpu < w->count || !(c[2] & VALID)))
        write_entry(dev, at, c[2] & VALID ? VALID | cpu : 0);
}

static void map_event(struct device *dev, const uint64_t *c, uint32_t irq)
{
    paddr_t at;

    if (lpi_is(irq) && translation_at(dev, (uint32_t)(c[0] >> 32), (uint32_t)c[1], &at))
        write_entry(dev, at, translation(irq, (uint16_t)c[2]));
}

/* Another collection; what is pending goes with it. */
static void move_event(struct device *dev, const uint64_t *c)
{
    struct device *from, *to = collection_target(dev, (uint16_t)c[2]);
    unsigned irq;
    paddr_t at;

    if (!to || !translate(dev, (uint32_t)(c[0] >> 32), (uint32_t)c[1], &from, &irq, &at))
        return;
    write_entry(dev, at, translation(irq, (uint16_t)c[2]));
    if (from == to || !lpi_pending(from, irq))
        return;
    lpi_set_pending(from, irq, false);
    lpi_set_pending(to, irq, true);
}

static void move_all(struct device *dev, const uint64_t *c)
{
    const struct its_wiring *w = dev->wiring;
    uint64_t from = c[2] >> 16 & 0xffffu, to = c[3] >> 16 & 0xffffu;

    if (from < w->count && to < w->count)
        lpi_move_all(w->lpis[from], w->lpis[to]);
}

static void invalidate_all(struct device *dev, const uint64_t *c)
{
    struct device *lpis = collection_target(dev, (uint16_t)c[2]);

    if (lpis)
        lpi_move_all(lpis, lpis); /* nothing is moved, all is looked at again */
}

static void carry_out(struct device *dev, const uint64_t *c)
{
    uint8_t command = (uint8_t)c[0];

    switch (command) {
    case MAPD:    map_device(dev, c); break;
    case MAPC:    map_collection(dev, c); break;
    case MAPTI:   map_event(dev, c, (uint32_t)(c[1] >> 32)); break;
    case MAPI:    map_event(dev, c, (uint32_t)c[1]); break;
    case MOVI:    move_event(dev, c); break;
    case MOVALL:  move_all(dev, c); break;
    case INVALL:  invalidate_all(dev, c); break;
    case INT: case CLEAR: case INV: case DISCARD:
        event_command(dev, command, (uint32_t)(c[0] >> 32), (uint32_t)c[1]);
        break;
    default: /* SYNC: all is done already */
        break;
    }
}

/* The commands that wait. */
static void run_queue(struct device *dev)
{
    struct its_state *s = dev->state;
    uint64_t size = ((s->cbaser & 0xffu) + 1) * 0x1000;

    while ((s->ctlr & CTLR_ENABLED) && (s->cbaser & VALID) && !(s->creadr & STALLED) && s->creadr != s->cwriter) {
        uint64_t c[4];

        if (s->cwriter >= size || s->creadr >= size ||
            memory_dma_read(&dev->machine->memory, (s->cbaser & 0xffffffffff000ull) + s->creadr, c, sizeof(c)) != sizeof(c)) {
            s->creadr |= STALLED;
            return;
        }
        carry_out(dev, c);
        s->creadr = s->creadr + COMMAND_BYTES == size ? 0 : s->creadr + COMMAND_BYTES;
    }
}

void its_message(struct device *dev, uint32_t device, uint32_t event)
{
    const struct its_state *s = dev->state;

    if (s->ctlr & CTLR_ENABLED)
        event_command(dev, INT, device, event);
}

/* ---- registers ---- */

static uint64_t wide_register(const struct its_state *s, uint64_t offset)
{
    switch (offset) {
    case GITS_CTLR:      return s->ctlr | CTLR_QUIESCENT | (uint64_t)IIDR << 32;
    case GITS_TYPER:     return TYPER;
    case GITS_CBASER:    return s->cbaser;
    case GITS_CWRITER:   return s->cwriter;
    case GITS_CREADR:    return s->creadr;
    case GITS_BASER:     return s->devices | BASER_FIXED(TABLE_DEVICES);
    case GITS_BASER + 8: return s->collections | BASER_FIXED(TABLE_COLLECTIONS);
    default:             return 0;
    }
}

static uint64_t its_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    static const uint8_t ids[12] = {0x44, 0, 0, 0, 0x94, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
    const struct its_state *s = dev->state;

    (void)range;
    if (offset >= ID_REGS && offset < ID_REGS + 4 * sizeof(ids) && size <= 4)
        return ids[(offset - ID_REGS) / 4];
    return wide_register(s, offset & ~7ull) >> (8 * (offset & 7u));
}

static void put(uint64_t *reg, uint64_t value, uint64_t mask, uint64_t writable)
{
    *reg = (*reg & ~(mask & writable)) | (value & mask & writable);
}

/* `value` and `mask` of the 64-bit register at `offset`. */
static void write_wide(struct device *dev, uint64_t offset, uint64_t value, uint64_t mask)
{
    struct its_state *s = dev->state;
    bool off = !(s->ctlr & CTLR_ENABLED);

    switch (offset) {
    case GITS_CTLR:
        if (mask & 1u)
            s->ctlr = value & CTLR_ENABLED;
        break;
    case GITS_CBASER: /* a new queue is read from its beginning */
        if (off) {
            put(&s->cbaser, value, mask, CBASER_WRITABLE);
            s->creadr = 0;
        }
        break;
    case GITS_CWRITER:
        put(&s->cwriter, value, mask, OFFSET_MASK);
        if (value & mask & 1u) /* Retry */
            s->creadr &= ~(uint64_t)STALLED;
        break;
    case GITS_BASER:
        if (off)
            put(&s->devices, value, mask, BASER_WRITABLE);
        return;
    case GITS_BASER + 8:
        if (off)
            put(&s->collections, value, mask, BASER_WRITABLE & ~BASER_INDIRECT);
        return;
    default:
        return;
    }
    run_queue(dev);
}

static void its_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned shift = 8 * (offset & 7u);

    (void)range;
    if (size >= 4) /* the register of messages is for devices, which come by its_message() */
        write_wide(dev, offset & ~7ull, value << shift, (size == 8 ? ~0ull : 0xffffffffull) << shift);
}

/* ---- the device ---- */

static void its_reset(struct device *dev)
{
    struct its_state *s = dev->state;

    *s = (struct its_state){0};
}

static void its_describe(const struct device *dev, struct buffer *b)
{
    const struct its_state *s = dev->state;

    buffer_printf(b, "%s, queue %llx, read to %llx, written to %llx\n", s->ctlr & CTLR_ENABLED ? "on" : "off",
                  (unsigned long long)s->cbaser, (unsigned long long)s->creadr, (unsigned long long)s->cwriter);
    buffer_printf(b, "devices %llx, collections %llx\n", (unsigned long long)s->devices,
                  (unsigned long long)s->collections);
}

static bool its_possible(const struct device *dev)
{
    const struct its_state *s = dev->state;

    return s->creadr <= (OFFSET_MASK | STALLED) && (s->creadr & ~(uint64_t)STALLED) % COMMAND_BYTES == 0 &&
           s->cwriter <= OFFSET_MASK && s->cwriter % COMMAND_BYTES == 0;
}

const struct device_ops its_ops = {
    .name = "its",
    .state_size = sizeof(struct its_state),
    .possible = its_possible,
    .reset = its_reset,
    .describe = its_describe,
    .interrupts = true,
    .read = its_read,
    .write = its_write,
};
