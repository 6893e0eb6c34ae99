/*
 * What all virtio devices have in common (OASIS virtio 1.2): device status and features (2.1, 2.2), split
 * (2.7) and packed (2.8) virtqueues with indirect descriptors and event suppression.
 *
 * The driver's memory is not trusted: chains that loop, are too long, or have what is to be read after
 * what is to be written make the device need a reset.
 *
 * Not modelled: in-order use, notification data, ring reset, access to memory by other than physical addresses.
 */
#include "vm/dev/virtio.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/machine.h"

#define DESC_NEXT     0x0001u
#define DESC_WRITE    0x0002u
#define DESC_INDIRECT 0x0004u
#define DESC_AVAIL    0x0080u
#define DESC_USED     0x8000u
#define AVAIL_NO_INTERRUPT 1u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u
#define CONFIG_MOST   128u

#define WRAP_AVAIL 1u
#define WRAP_USED  2u
#define WRAP_TOLD  4u

/* A descriptor as both layouts have it. In a split one `id` is the next one's number. */
struct desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags, id;
};

static bool packed(const struct virtio *v)
{
    return virtio_has(v, VIRTIO_F_RING_PACKED);
}

/* ---- state ---- */

void virtio_init(struct virtio *v)
{
    v->offered = v->class->features(v) | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 |
                 VIRTIO_F_ANY_LAYOUT | (v->packed ? VIRTIO_F_RING_PACKED : 0);
    if (v->old)
        v->offered &= UINT32_MAX;
}

static void empty_queue(const struct virtio *v, struct virtio_queue *q)
{
    memset(q, 0, sizeof(*q));
    q->size = (unsigned)(q - v->st->queue) < v->queues ? VIRTIO_QUEUE_SIZE : 0;
    q->vector = VIRTIO_NO_VECTOR;
    q->wrap = WRAP_AVAIL | WRAP_USED | WRAP_TOLD;
}

void virtio_reset(struct virtio *v)
{
    memset(v->st, 0, sizeof(*v->st));
    v->st->config_vector = VIRTIO_NO_VECTOR;
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
        empty_queue(v, &v->st->queue[n]);
    v->class->reset(v);
}

void virtio_queue_reset(struct virtio *v, struct virtio_queue *q)
{
    if (virtio_has(v, VIRTIO_F_RING_RESET))
        empty_queue(v, q);
}

void virtio_config_changed(struct virtio *v)
{
    v->st->generation++;
    v->st->isr |= 2;
    v->transport->interrupt(v, v->st->config_vector);
}

void virtio_broken(struct virtio *v)
{
    if (v->st->status & VIRTIO_NEEDS_RESET)
        return;
    v->st->status |= VIRTIO_NEEDS_RESET;
    if (v->st->status & VIRTIO_DRIVER_OK)
        virtio_config_changed(v);
}

void virtio_take_features(struct virtio *v, unsigned half, uint32_t value)
{
    uint64_t mask = half == 0 ? 0xffffffffull : 0xffffffff00000000ull;

    if (half > 1 || (v->st->status & VIRTIO_FEATURES_OK))
        return;
    v->st->features = ((v->st->features & ~mask) | ((half ? (uint64_t)value << 32 : value) & mask)) & v->offered;
}

void virtio_set_status(struct virtio *v, uint8_t status)
{
    uint8_t was = v->st->status;

    if (!status) {
        virtio_reset(v);
        return;
    }
    v->st->status = (uint8_t)((status & ~VIRTIO_NEEDS_RESET) | (was & VIRTIO_NEEDS_RESET));
    if (!(was & VIRTIO_DRIVER_OK) && (status & VIRTIO_DRIVER_OK)) /* requests may be there already */
        for (unsigned n = 0; n < v->queues; n++)
            virtio_notify(v, n);
}

void virtio_queue_at(struct virtio_queue *q, uint64_t at, uint64_t align)
{
    q->desc = at;
    q->driver = at + 16ull * q->size;
    q->device = (q->driver + 6 + 2ull * q->size + align - 1) & ~(align - 1);
    q->enabled = at != 0;
    if (!at)
        q->avail = q->used = q->told = 0;
}

struct virtio_queue *virtio_selected(const struct virtio *v)
{
    return v->st->queue_select < v->queues ? &v->st->queue[v->st->queue_select] : NULL;
}

void virtio_notify(struct virtio *v, unsigned queue)
{
    if (queue < v->queues && v->st->queue[queue].enabled && (v->st->status & VIRTIO_DRIVER_OK))
        v->class->notified(v, queue);
}

/* ---- device configuration ---- */

uint64_t virtio_config_read(const struct virtio *v, uint64_t offset, unsigned size)
{
    uint8_t config[CONFIG_MOST] = {0};
    uint64_t value = 0;

    if (offset >= v->class->config_bytes || size > 8)
        return 0;
    v->class->config_read(v, config);
    memcpy(&value, config + offset, size < CONFIG_MOST - offset ? size : (size_t)(CONFIG_MOST - offset));
    return value;
}

void virtio_config_write(struct virtio *v, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; v->class->config_write && i < size; i++)
        if (offset + i < v->class->config_bytes)
            v->class->config_write(v, (uint32_t)offset + i, (uint8_t)(value >> (8 * i)));
}

/* ---- memory ---- */

static bool read_memory(struct virtio *v, paddr_t at, void *buf, size_t len)
{
    if (v->transport->dma_read(v, at, buf, len))
        return true;
    virtio_broken(v);
    return false;
}

static bool read16(struct virtio *v, paddr_t at, uint16_t *value)
{
    return read_memory(v, at, value, 2);
}

static void write_memory(struct virtio *v, paddr_t at, const void *buf, size_t len)
{
    if (!v->transport->dma_write(v, at, buf, len))
        virtio_broken(v);
}

static void write16(struct virtio *v, paddr_t at, uint16_t value)
{
    write_memory(v, at, &value, 2);
}

/* ---- chains ---- */

static bool bad_chain(struct virtio *v)
{
    virtio_broken(v);
    return false;
}

/* One buffer of a chain. */
static bool add_segment(struct virtio *v, struct virtio_chain *c, const struct desc *d)
{
    if (c->nout + c->nin == VIRTIO_SEGMENTS || (!(d->flags & DESC_WRITE) && c->nin))
        return bad_chain(v);
    c->segments[c->nout + c->nin] = (struct virtio_segment){d->address, d->len};
    if (d->flags & DESC_WRITE) {
        c->nin++;
        c->in += d->len;
    } else {
        c->nout++;
        c->out += d->len;
    }
    return true;
}

/* A split table of `size` descriptors at `table`, from number `n` on. */
static bool walk_split(struct virtio *v, paddr_t table, uint32_t size, uint16_t n, bool indirect, struct virtio_chain *c)
{
    struct desc d;

    for (uint32_t steps = 0;; steps++) {
        if (n >= size || steps >= size)
            return bad_chain(v);
        if (!read_memory(v, table + 16ull * n, &d, sizeof(d)))
            return false;
        if (d.flags & DESC_INDIRECT) {
            if (indirect || (d.flags & DESC_NEXT) || d.len % 16 || !d.len || !virtio_has(v, VIRTIO_F_INDIRECT_DESC))
                return bad_chain(v);
            return walk_split(v, d.address, d.len / 16, 0, true, c);
        }
        if (!add_segment(v, c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        n = d.id;
    }
}

static bool peek_split(struct virtio *v, struct virtio_queue *q, struct virtio_chain *c)
{
    uint16_t index;

    if (!read16(v, q->driver + 2, &index))
        return false;
    if (index == q->avail) { /* wanted: to be told of the next one */
        if (virtio_has(v, VIRTIO_F_EVENT_IDX))
            write16(v, q->device + 4 + 8ull * q->size, q->avail);
        return false;
    }
    if ((uint16_t)(index - q->avail) > q->size)
        return bad_chain(v);
    if (!read16(v, q->driver + 4 + 2ull * (q->avail % q->size), &c->id))
        return false;
    return walk_split(v, q->desc, q->size, c->id, false, c);
}

static bool packed_desc(struct virtio *v, paddr_t at, struct desc *d)
{
    struct {
        uint64_t address;
        uint32_t len;
        uint16_t id, flags;
    } raw;

    if (!read_memory(v, at, &raw, sizeof(raw)))
        return false;
    *d = (struct desc){raw.address, raw.len, raw.flags, raw.id};
    return true;
}

/* An indirect table of a packed ring: all its descriptors, in order. */
static bool walk_packed_table(struct virtio *v, const struct desc *d, struct virtio_chain *c)
{
    struct desc e;

    if (d->len % 16 || !d->len || d->len / 16 > VIRTIO_SEGMENTS || !virtio_has(v, VIRTIO_F_INDIRECT_DESC))
        return bad_chain(v);
    for (uint32_t i = 0; i < d->len / 16; i++)
        if (!packed_desc(v, d->address + 16ull * i, &e) || !add_segment(v, c, &e))
            return false;
    return true;
}

static bool peek_packed(struct virtio *v, struct virtio_queue *q, struct virtio_chain *c)
{
    uint16_t place = q->avail;
    bool wrap = q->wrap & WRAP_AVAIL;
    struct desc d;

    for (;;) {
        if (!packed_desc(v, q->desc + 16ull * place, &d))
            return false;
        if (c->places == 0 && (!!(d.flags & DESC_AVAIL) != wrap || !!(d.flags & DESC_USED) == wrap))
            return false;
        if (++c->places > q->size)
            return bad_chain(v);
        if (d.flags & DESC_INDIRECT) {
            if (c->places > 1 || (d.flags & DESC_NEXT))
                return bad_chain(v);
            c->id = d.id;
            return walk_packed_table(v, &d, c);
        }
        if (!add_segment(v, c, &d))
            return false;
        c->id = d.id;
        if (!(d.flags & DESC_NEXT))
            return true;
        if (++place == q->size)
            place = 0;
    }
}

bool virtio_peek(struct virtio *v, unsigned queue, struct virtio_chain *c)
{
    struct virtio_queue *q = &v->st->queue[queue];

    if (!q->enabled || !(v->st->status & VIRTIO_DRIVER_OK) || (v->st->status & VIRTIO_NEEDS_RESET))
        return false;
    c->id = c->places = 0;
    c->nout = c->nin = 0;
    c->out = c->in = 0;
    return packed(v) ? peek_packed(v, q, c) : peek_split(v, q, c);
}

/* ---- room ---- */

/* The descriptor at `at`, as it lies in a split ring or (`in_packed`) in a packed one. */
static bool look_at_desc(const struct virtio *v, paddr_t at, bool in_packed, struct desc *d)
{
    if (memory_read_bytes(&v->dev->machine->memory, at, d, sizeof(*d)) != sizeof(*d))
        return false;
    if (in_packed)
        *d = (struct desc){d->address, d->len, d->id, d->flags};
    return true;
}

static uint64_t writable(const struct desc *d)
{
    return d->flags & DESC_WRITE ? d->len : 0;
}

/* All of a table's, as far as `enough`. */
static uint64_t table_space(const struct virtio *v, const struct desc *table, uint64_t enough)
{
    uint64_t space = 0;
    struct desc d;

    for (uint32_t i = 0; i < table->len / sizeof(d) && i < VIRTIO_SEGMENTS && space < enough; i++) {
        if (!look_at_desc(v, table->address + sizeof(d) * i, packed(v), &d))
            return space;
        space += writable(&d);
    }
    return space;
}

/* A request that begins with number `n` of the ring: 0 if it is none. *places: how many of the ring's it takes. */
static uint64_t request_space(const struct virtio *v, const struct virtio_queue *q, uint16_t n, uint64_t enough, unsigned *places)
{
    uint64_t space = 0;
    struct desc d;

    for (*places = 1; *places <= q->size && n < q->size; ++*places) {
        if (!look_at_desc(v, q->desc + sizeof(d) * n, packed(v), &d))
            return 0;
        space += d.flags & DESC_INDIRECT ? table_space(v, &d, enough) : writable(&d);
        if (!(d.flags & DESC_NEXT))
            return space;
        n = !packed(v) ? d.id : n + 1u == q->size ? 0 : (uint16_t)(n + 1);
    }
    return 0;
}

static bool split_head(const struct virtio *v, const struct virtio_queue *q, uint16_t avail, uint16_t *head)
{
    const struct memory *m = &v->dev->machine->memory;
    uint16_t index = 0;

    return memory_read_bytes(m, q->driver + 2, &index, 2) == 2 && index != avail &&
           memory_read_bytes(m, q->driver + 4 + 2ull * (avail % q->size), head, 2) == 2;
}

/* Is what lies there the driver's to give, in the round that `wrap` says? */
static bool packed_waits(const struct virtio *v, const struct virtio_queue *q, uint16_t place, bool wrap)
{
    uint16_t word = 0;

    return memory_read_bytes(&v->dev->machine->memory, q->desc + 16ull * place + 14, &word, 2) == 2 && !!(word & DESC_AVAIL) == wrap &&
           !!(word & DESC_USED) != wrap;
}

bool virtio_waits(const struct virtio *v, unsigned queue)
{
    const struct virtio_queue *q = &v->st->queue[queue];
    uint16_t head;

    if (!q->enabled || !(v->st->status & VIRTIO_DRIVER_OK) || (v->st->status & VIRTIO_NEEDS_RESET))
        return false;
    return packed(v) ? packed_waits(v, q, q->avail, q->wrap & WRAP_AVAIL) : split_head(v, q, q->avail, &head);
}

uint64_t virtio_space(const struct virtio *v, unsigned queue, uint64_t enough, unsigned *requests)
{
    const struct virtio_queue *q = &v->st->queue[queue];
    bool wrap = q->wrap & WRAP_AVAIL;
    uint16_t at = q->avail, head;
    uint64_t space = 0, more;
    unsigned places;

    *requests = 0;
    if (!virtio_waits(v, queue))
        return 0;
    for (; space < enough && *requests < q->size; space += more, ++*requests) {
        if (packed(v) ? !packed_waits(v, q, at, wrap) : !split_head(v, q, at, &head))
            break;
        more = request_space(v, q, packed(v) ? at : head, enough - space, &places);
        if (!more)
            break;
        if (!packed(v)) {
            at++;
            continue;
        }
        wrap ^= at + places >= q->size;
        at = (uint16_t)((at + places) % q->size);
    }
    return space;
}

/* ---- giving back ---- */

/* Was `event` passed on the way from `old` to `new` (2.7.7.2)? */
static bool passed(uint16_t event, uint16_t new, uint16_t old)
{
    return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static bool wants_split(struct virtio *v, struct virtio_queue *q)
{
    uint16_t word, old = q->told;

    if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
        return read16(v, q->driver, &word) && !(word & AVAIL_NO_INTERRUPT);
    q->told = q->used;
    return read16(v, q->driver + 4 + 2ull * q->size, &word) && passed(word, q->used, old);
}

static bool wants_packed(struct virtio *v, struct virtio_queue *q)
{
    uint16_t event[2], old = q->told, at;

    if (!read_memory(v, q->driver, event, sizeof(event)))
        return false;
    q->told = q->used;
    if (event[1] != EVENT_DESC)
        return event[1] != EVENT_DISABLE;
    /* All three counted from where `used` began its present round. */
    at = event[0] & 0x7fffu;
    if (event[0] >> 15 != !!(q->wrap & WRAP_USED))
        at = (uint16_t)(at - q->size);
    if (!!(q->wrap & WRAP_TOLD) != !!(q->wrap & WRAP_USED))
        old = (uint16_t)(old - q->size);
    return passed(at, q->used, old);
}

static void advance(uint16_t *place, uint8_t *wrap, uint8_t bit, const struct virtio_queue *q, uint16_t by)
{
    *place = (uint16_t)(*place + by);
    if (*place >= q->size) {
        *place = (uint16_t)(*place - q->size);
        *wrap ^= bit;
    }
}

static bool push_packed(struct virtio *v, struct virtio_queue *q, const struct virtio_chain *c, uint32_t written)
{
    bool wrap = q->wrap & WRAP_USED, wanted;
    paddr_t at = q->desc + 16ull * q->used;

    write_memory(v, at + 8, &written, 4);
    write16(v, at + 12, c->id);
    write16(v, at + 14, (uint16_t)((wrap ? DESC_AVAIL | DESC_USED : 0) | (c->nin ? DESC_WRITE : 0)));
    advance(&q->avail, &q->wrap, WRAP_AVAIL, q, c->places);
    advance(&q->used, &q->wrap, WRAP_USED, q, c->places);
    wanted = wants_packed(v, q);
    q->wrap = (uint8_t)((q->wrap & ~WRAP_TOLD) | (q->wrap & WRAP_USED ? WRAP_TOLD : 0));
    return wanted;
}

static bool push_split(struct virtio *v, struct virtio_queue *q, const struct virtio_chain *c, uint32_t written)
{
    const uint32_t entry[2] = {c->id, written};

    write_memory(v, q->device + 4 + 8ull * (q->used % q->size), entry, sizeof(entry));
    q->avail++;
    q->used++;
    write16(v, q->device + 2, q->used);
    return wants_split(v, q);
}

void virtio_push(struct virtio *v, unsigned queue, const struct virtio_chain *c, uint32_t written)
{
    struct virtio_queue *q = &v->st->queue[queue];

    if (!(packed(v) ? push_packed(v, q, c, written) : push_split(v, q, c, written)))
        return;
    v->st->isr |= 1;
    v->transport->interrupt(v, q->vector);
}

/* ---- bytes of a request ---- */

/* Go through the part of the chain's segments from number `first` on that [offset, offset + len) is. */
static bool copy(struct virtio *v, const struct virtio_segment *s, unsigned n, uint64_t offset, uint8_t *buf, size_t len,
                 bool write)
{
    for (; n && len; s++, n--) {
        size_t piece;

        if (offset >= s->len) {
            offset -= s->len;
            continue;
        }
        piece = s->len - offset < len ? (size_t)(s->len - offset) : len;
        if (!(write ? v->transport->dma_write(v, s->address + offset, buf, piece)
                    : v->transport->dma_read(v, s->address + offset, buf, piece)))
            return false;
        buf += piece;
        len -= piece;
        offset = 0;
    }
    return !len;
}

bool virtio_out(struct virtio *v, const struct virtio_chain *c, uint64_t offset, void *buf, size_t len)
{
    return copy(v, c->segments, c->nout, offset, buf, len, false);
}

bool virtio_in(struct virtio *v, const struct virtio_chain *c, uint64_t offset, const void *buf, size_t len)
{
    return copy(v, c->segments + c->nout, c->nin, offset, (uint8_t *)(uintptr_t)buf, len, true);
}

/* ---- pictures, states from files ---- */

void virtio_describe(const struct virtio *v, struct buffer *b)
{
    buffer_printf(b, "status %02x, features %llx of %llx, isr %u\n", v->st->status, (unsigned long long)v->st->features,
                  (unsigned long long)v->offered, v->st->isr);
    for (unsigned n = 0; n < v->queues; n++) {
        const struct virtio_queue *q = &v->st->queue[n];

        if (q->enabled)
            buffer_printf(b, "queue %u: %u entries, next %u, given back %u, at %llx %llx %llx\n", n, q->size, q->avail,
                          q->used, (unsigned long long)q->desc, (unsigned long long)q->driver,
                          (unsigned long long)q->device);
    }
}

bool virtio_possible(const struct virtio *v)
{
    if (v->st->features & ~v->offered)
        return false;
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++) {
        const struct virtio_queue *q = &v->st->queue[n];

        if (q->size > VIRTIO_QUEUE_SIZE || (q->enabled && (!q->size || n >= v->queues)) ||
            (packed(v) && q->enabled && (q->avail >= q->size || q->used >= q->size)))
            return false;
    }
    return true;
}
