/*
 * virtio GPU (virtio 1.2, 5.7), for two dimensions: resources of pixels that the driver makes, gives memory to copy from
 * (their backing), and puts on scanouts, which are the heads of a display. EDID is offered.
 *
 * A resource's pixels and the list of its backing are state that is large: they are in a page space of the device's own, a
 * window for each of its places. Places are few (RESOURCES), and all pixels together are no more than max_hostmem bytes: who
 * wants more is told that there is no memory.
 *
 * Commands of the control queue are done one at a time, and each takes some time: the longer, the more it copies. So
 * a queue full of large ones does not stop the machine.
 *
 * Not modelled: 3D (VIRGL, contexts, capability sets), blobs, UUIDs of resources. The cursor is kept, and not drawn into pictures.
 */
#include "vm/dev/virtio_gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/display.h"
#include "vm/dev/edid.h"
#include "vm/dev/vga.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

enum { QUEUE_CONTROL, QUEUE_CURSOR, QUEUES };
#define F_EDID (1ull << 1)

/* Configuration (5.7.4). */
enum { CFG_EVENTS_READ = 0, CFG_EVENTS_CLEAR = 4, CFG_SCANOUTS = 8, CFG_CAPSETS = 12, CFG_BYTES = 16 };

/* Commands and answers (5.7.6.7). */
enum {
    GET_DISPLAY_INFO = 0x100, RESOURCE_CREATE_2D, RESOURCE_UNREF, SET_SCANOUT, RESOURCE_FLUSH, TRANSFER_TO_HOST_2D,
    RESOURCE_ATTACH_BACKING, RESOURCE_DETACH_BACKING, GET_CAPSET_INFO, GET_CAPSET, GET_EDID,
    UPDATE_CURSOR = 0x300, MOVE_CURSOR,
    OK_NODATA = 0x1100, OK_DISPLAY_INFO, OK_CAPSET_INFO, OK_CAPSET, OK_EDID,
    ERR_UNSPEC = 0x1200, ERR_OUT_OF_MEMORY, ERR_INVALID_SCANOUT_ID, ERR_INVALID_RESOURCE_ID, ERR_INVALID_CONTEXT_ID,
    ERR_INVALID_PARAMETER,
};
#define FLAG_FENCE    0x1u
#define HEADER_BYTES  24u
#define COMMAND_MOST  64u   /* bytes of one, without the entries of a backing */
#define MODE_BYTES    24u
#define INFO_BYTES    (HEADER_BYTES + SCANOUTS * MODE_BYTES)
#define EDID_ANSWER   (HEADER_BYTES + 8 + 1024)
#define CURSOR_BYTES  56u

#define SCANOUTS      16u
#define RESOURCES     512u
#define ENTRIES       16384u /* of a backing */
#define ENTRY_BYTES   16u
#define LIST_PAGES    (ENTRIES * ENTRY_BYTES >> PAGE_SHIFT)
#define PIXEL_BYTES   4u
#define HOSTMEM       ((uint64_t)256 << 20)
#define HOSTMEM_MOST  ((uint64_t)1 << 30)
#define WINDOW_PAGES  (HOSTMEM_MOST >> PAGE_SHIFT)
#define SPACE_BYTES   (RESOURCES * (HOSTMEM_MOST + ENTRIES * ENTRY_BYTES))

#define COMMAND_NS    1000u  /* of virtual time, and */
#define BYTES_PER_NS  4u     /* that are copied meanwhile */

DEVICE_STATE_BEGIN
struct gpu_rect {
    uint32_t x, y, width, height;
};

struct gpu_resource {
    uint32_t id;             /* 0: the place is free */
    uint32_t format, width, height;
    uint32_t entries;        /* of its backing; */
    uint32_t backed;         /* it has one */
};

struct gpu_scanout {
    uint32_t resource;       /* id; 0: it shows nothing */
    struct gpu_rect rect;    /* the part of it that is shown */
    uint32_t cursor;         /* id of the cursor's resource; 0: none is shown */
    uint32_t cursor_x, cursor_y, hot_x, hot_y;
};

struct gpu_state {
    uint64_t ready;          /* vtime at which the command in progress is done */
    uint32_t busy;           /* there is one */
    uint32_t events;         /* of the configuration */
    struct gpu_scanout scanout[SCANOUTS];
    struct gpu_resource resource[RESOURCES];
};
DEVICE_STATE_END

/* Wiring. */
struct gpu {
    struct virtio_carried carried;
    struct gpu_state *st;
    struct sparse_pages pages; /* windows for pixels, one for each place, then those for lists */
    uint64_t hostmem;
    uint32_t scanouts;
    struct edid_config edid;
    uint8_t edid_block[EDID_BYTES];
};

static struct gpu *of(const struct virtio *v)
{
    return v->dev->wiring;
}

/* ---- pixels and lists ---- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return !len || (!bytes[0] && !memcmp(bytes, bytes + 1, len - 1));
}

/* Bytes of the page space, from an offset into page `first` on. */
static void space_get(const struct gpu *g, uint64_t first, uint64_t offset, uint8_t *to, size_t len)
{
    while (len) {
        size_t at = offset & (PAGE_SIZE - 1), n = PAGE_SIZE - at < len ? PAGE_SIZE - at : len;
        const uint8_t *page = sparse_page(&g->pages, first + (offset >> PAGE_SHIFT));

        if (page)
            memcpy(to, page + at, n);
        else
            memset(to, 0, n);
        to += n;
        offset += n;
        len -= n;
    }
}

static void space_put(struct gpu *g, uint64_t first, uint64_t offset, const uint8_t *from, size_t len)
{
    while (len) {
        size_t at = offset & (PAGE_SIZE - 1), n = PAGE_SIZE - at < len ? PAGE_SIZE - at : len;
        uint64_t number = first + (offset >> PAGE_SHIFT);
        const uint8_t *page = sparse_page(&g->pages, number);

        if (page ? memcmp(page + at, from, n) != 0 : !is_zero(from, n))
            memcpy(sparse_page_touch(&g->pages, number) + at, from, n);
        from += n;
        offset += n;
        len -= n;
    }
}

static void space_clear(struct gpu *g, uint64_t first, uint64_t bytes)
{
    for (uint64_t n = first; n < first + ((bytes + PAGE_SIZE - 1) >> PAGE_SHIFT); n++)
        if (sparse_page(&g->pages, n))
            memset(sparse_page_touch(&g->pages, n), 0, PAGE_SIZE);
}

/* First pages of the windows of place `n`. */
static uint64_t pixels_of(unsigned n)
{
    return n * WINDOW_PAGES;
}

static uint64_t list_of(unsigned n)
{
    return RESOURCES * WINDOW_PAGES + (uint64_t)n * LIST_PAGES;
}

static uint64_t bytes_of(const struct gpu_resource *r)
{
    return (uint64_t)r->width * r->height * PIXEL_BYTES;
}

/* Where red, green and blue are among a pixel's bytes. False: no such format. */
static bool find_format(uint32_t format, uint8_t at[3])
{
    static const struct {
        uint32_t format;
        uint8_t at[3];
    } formats[] = {
        {1, {2, 1, 0}}, {2, {2, 1, 0}},     /* B8G8R8A8, B8G8R8X8 */
        {3, {1, 2, 3}}, {4, {1, 2, 3}},     /* A8R8G8B8, X8R8G8B8 */
        {67, {0, 1, 2}}, {134, {0, 1, 2}},  /* R8G8B8A8, R8G8B8X8 */
        {68, {3, 2, 1}}, {121, {3, 2, 1}},  /* X8B8G8R8, A8B8G8R8 */
    };

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].format == format) {
            memcpy(at, formats[i].at, 3);
            return true;
        }
    return false;
}

/* ---- resources ---- */

/* The place of a resource, or RESOURCES. Id 0: a free one. */
static unsigned find_resource(const struct gpu_state *s, uint32_t id)
{
    unsigned n = 0;

    while (n < RESOURCES && s->resource[n].id != id)
        n++;
    return n;
}

static uint64_t bytes_used(const struct gpu_state *s)
{
    uint64_t bytes = 0;

    for (unsigned n = 0; n < RESOURCES; n++)
        if (s->resource[n].id)
            bytes += bytes_of(&s->resource[n]);
    return bytes;
}

static bool fits(const struct gpu_rect *r, uint32_t width, uint32_t height)
{
    return r->x <= width && r->y <= height && r->width <= width - r->x && r->height <= height - r->y;
}

static void drop_backing(struct gpu *g, unsigned n)
{
    struct gpu_resource *r = &g->st->resource[n];

    space_clear(g, list_of(n), (uint64_t)r->entries * ENTRY_BYTES);
    r->entries = r->backed = 0;
}

static void drop_resource(struct gpu *g, unsigned n)
{
    struct gpu_resource *r = &g->st->resource[n];

    for (unsigned i = 0; i < SCANOUTS; i++)
        if (g->st->scanout[i].resource == r->id) {
            g->st->scanout[i].resource = 0;
            memset(&g->st->scanout[i].rect, 0, sizeof(g->st->scanout[i].rect));
        }
    drop_backing(g, n);
    space_clear(g, pixels_of(n), bytes_of(r));
    memset(r, 0, sizeof(*r));
}

/* ---- commands: each returns the type of the answer ---- */

static struct gpu_rect rect_at(const uint8_t *p)
{
    return (struct gpu_rect){get_le32(p), get_le32(p + 4), get_le32(p + 8), get_le32(p + 12)};
}

static uint32_t create(struct gpu *g, const uint8_t *c)
{
    struct gpu_resource new = {.id = get_le32(c), .format = get_le32(c + 4), .width = get_le32(c + 8), .height = get_le32(c + 12)};
    unsigned n = find_resource(g->st, 0);
    uint8_t at[3];

    if (!new.id || find_resource(g->st, new.id) < RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    if (!find_format(new.format, at) || !new.width || !new.height)
        return ERR_INVALID_PARAMETER;
    if (n == RESOURCES || (uint64_t)new.width * new.height > g->hostmem / PIXEL_BYTES ||
        bytes_of(&new) > g->hostmem - bytes_used(g->st))
        return ERR_OUT_OF_MEMORY;
    g->st->resource[n] = new;
    return OK_NODATA;
}

static uint32_t unref(struct gpu *g, const uint8_t *c)
{
    uint32_t id = get_le32(c);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;

    if (n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    drop_resource(g, n);
    return OK_NODATA;
}

static uint32_t set_scanout(struct gpu *g, const uint8_t *c)
{
    struct gpu_rect rect = rect_at(c);
    uint32_t id = get_le32(c + 20), scanout = get_le32(c + 16);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;

    if (scanout >= g->scanouts)
        return ERR_INVALID_SCANOUT_ID;
    if (id && n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    if (id && (!rect.width || !rect.height || !fits(&rect, g->st->resource[n].width, g->st->resource[n].height)))
        return ERR_INVALID_PARAMETER;
    if (!id)
        memset(&rect, 0, sizeof(rect));
    g->st->scanout[scanout].resource = id;
    g->st->scanout[scanout].rect = rect;
    return OK_NODATA;
}

/* What was copied is shown already. */
static uint32_t flush(const struct gpu *g, const uint8_t *c)
{
    struct gpu_rect rect = rect_at(c);
    uint32_t id = get_le32(c + 16);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;

    if (n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    return fits(&rect, g->st->resource[n].width, g->st->resource[n].height) ? OK_NODATA : ERR_INVALID_PARAMETER;
}

/* A place in a backing: byte `at` of it is in entry `n`, which begins at byte `start`. */
struct cursor {
    uint32_t n;
    uint64_t start;
    uint64_t address;
    uint32_t len;
};

static void load_entry(const struct gpu *g, unsigned place, struct cursor *k)
{
    uint8_t e[ENTRY_BYTES];

    space_get(g, list_of(place), (uint64_t)k->n * ENTRY_BYTES, e, sizeof(e));
    k->address = get_le64(e);
    k->len = get_le32(e + 8);
}

/* Go on to the entry that has byte `at`. False: there is none. */
static bool seek_entry(const struct gpu *g, unsigned place, struct cursor *k, uint64_t at)
{
    while (k->n < g->st->resource[place].entries) {
        if (at - k->start < k->len)
            return true;
        k->start += k->len;
        if (++k->n < g->st->resource[place].entries)
            load_entry(g, place, k);
    }
    return false;
}

/* `len` bytes of the backing from `from` on become the pixels' from `to` on; as far as the backing reaches. False: it cannot be
 * read. */
static bool copy_line(struct gpu *g, unsigned place, struct cursor k, uint64_t from, uint64_t to, uint64_t len)
{
    struct virtio *v = &g->carried.t.v;
    uint8_t bytes[4096];

    while (len && seek_entry(g, place, &k, from)) {
        uint64_t in = from - k.start, n = k.len - in;

        n = n < len ? n : len;
        n = n < sizeof(bytes) ? n : sizeof(bytes);
        if (!v->transport->dma_read(v, k.address + in, bytes, n))
            return false;
        space_put(g, pixels_of(place), to, bytes, n);
        from += n;
        to += n;
        len -= n;
    }
    return true;
}

static uint32_t transfer(struct gpu *g, const uint8_t *c)
{
    struct gpu_rect rect = rect_at(c);
    uint64_t offset = get_le64(c + 16), stride;
    uint32_t id = get_le32(c + 24);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;
    const struct gpu_resource *r = &g->st->resource[n < RESOURCES ? n : 0];
    struct cursor k = {0};

    if (n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    if (!r->backed)
        return ERR_UNSPEC;
    if (!fits(&rect, r->width, r->height))
        return ERR_INVALID_PARAMETER;
    stride = (uint64_t)r->width * PIXEL_BYTES;
    if (r->entries)
        load_entry(g, n, &k);
    for (uint32_t y = 0; y < rect.height && offset <= UINT64_MAX - stride; y++, offset += stride) {
        uint64_t to = (rect.y + (uint64_t)y) * stride + (uint64_t)rect.x * PIXEL_BYTES;

        if (!seek_entry(g, n, &k, offset))
            break;
        if (!copy_line(g, n, k, offset, to, (uint64_t)rect.width * PIXEL_BYTES))
            return ERR_UNSPEC;
    }
    return OK_NODATA;
}

/* Is an entry's memory there? */
static bool is_memory(const struct memory *mem, uint64_t address, uint32_t len)
{
    return !len || (address + (len - 1) >= address && memory_page_of(mem, address) != UINT32_MAX &&
                    memory_page_of(mem, address + (len - 1)) != UINT32_MAX);
}

static uint32_t attach(struct gpu *g, const struct virtio_chain *chain, const uint8_t *c)
{
    struct virtio *v = &g->carried.t.v;
    uint32_t id = get_le32(c), entries = get_le32(c + 4);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;
    struct gpu_resource *r = &g->st->resource[n < RESOURCES ? n : 0];

    if (n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    if (r->backed)
        return ERR_UNSPEC;
    if (entries > ENTRIES || chain->out < HEADER_BYTES + 8 + (uint64_t)entries * ENTRY_BYTES)
        return ERR_INVALID_PARAMETER;
    r->backed = 1;
    for (; r->entries < entries; r->entries++) {
        uint8_t e[ENTRY_BYTES];

        if (!virtio_out(v, chain, HEADER_BYTES + 8 + (uint64_t)r->entries * ENTRY_BYTES, e, sizeof(e)) ||
            !is_memory(&v->dev->machine->memory, get_le64(e), get_le32(e + 8))) {
            drop_backing(g, n);
            return ERR_UNSPEC;
        }
        space_put(g, list_of(n), (uint64_t)r->entries * ENTRY_BYTES, e, sizeof(e));
    }
    return OK_NODATA;
}

static uint32_t detach(struct gpu *g, const uint8_t *c)
{
    uint32_t id = get_le32(c);
    unsigned n = id ? find_resource(g->st, id) : RESOURCES;

    if (n == RESOURCES)
        return ERR_INVALID_RESOURCE_ID;
    if (!g->st->resource[n].backed)
        return ERR_UNSPEC;
    drop_backing(g, n);
    return OK_NODATA;
}

static uint32_t display_info(const struct gpu *g, uint8_t *answer, uint32_t *len)
{
    uint8_t *first = answer + HEADER_BYTES;

    put_le32(first + 8, g->edid.xres);
    put_le32(first + 12, g->edid.yres);
    put_le32(first + 16, 1); /* the other heads are for who asks for them */
    *len = INFO_BYTES;
    return OK_DISPLAY_INFO;
}

static uint32_t edid(const struct gpu *g, const uint8_t *c, uint8_t *answer, uint32_t *len)
{
    if (!virtio_has(&g->carried.t.v, F_EDID))
        return ERR_UNSPEC;
    if (get_le32(c) >= g->scanouts)
        return ERR_INVALID_PARAMETER;
    put_le32(answer + HEADER_BYTES, EDID_BYTES);
    memcpy(answer + HEADER_BYTES + 8, g->edid_block, EDID_BYTES);
    *len = EDID_ANSWER;
    return OK_EDID;
}

/* Bytes of a command with its header; 0: there is none of that type here. */
static uint32_t command_bytes(uint32_t type)
{
    switch (type) {
    case GET_DISPLAY_INFO:        return HEADER_BYTES;
    case RESOURCE_CREATE_2D:      return HEADER_BYTES + 16;
    case SET_SCANOUT:             return HEADER_BYTES + 24;
    case RESOURCE_FLUSH:          return HEADER_BYTES + 24;
    case TRANSFER_TO_HOST_2D:     return HEADER_BYTES + 32;
    case RESOURCE_UNREF:
    case RESOURCE_ATTACH_BACKING:
    case RESOURCE_DETACH_BACKING:
    case GET_EDID:                return HEADER_BYTES + 8;
    default:                      return 0;
    }
}

/* The answer's type; *len is its bytes, if there are more than a header. */
static uint32_t carry_out(struct gpu *g, const struct virtio_chain *chain, const uint8_t *command, uint8_t *answer, uint32_t *len)
{
    const uint8_t *c = command + HEADER_BYTES;
    uint32_t type = get_le32(command);

    if (!command_bytes(type))
        return ERR_UNSPEC;
    if (chain->out < command_bytes(type))
        return ERR_INVALID_PARAMETER;
    switch (type) {
    case GET_DISPLAY_INFO:        return display_info(g, answer, len);
    case RESOURCE_CREATE_2D:      return create(g, c);
    case RESOURCE_UNREF:          return unref(g, c);
    case SET_SCANOUT:             return set_scanout(g, c);
    case RESOURCE_FLUSH:          return flush(g, c);
    case TRANSFER_TO_HOST_2D:     return transfer(g, c);
    case RESOURCE_ATTACH_BACKING: return attach(g, chain, c);
    case RESOURCE_DETACH_BACKING: return detach(g, c);
    default:                      return edid(g, c, answer, len);
    }
}

/* ---- the control queue ---- */

/* As much of a command as there is; the rest is zeros. */
static bool read_command(struct gpu *g, const struct virtio_chain *chain, uint8_t command[COMMAND_MOST])
{
    size_t len = chain->out < COMMAND_MOST ? (size_t)chain->out : COMMAND_MOST;

    memset(command, 0, COMMAND_MOST);
    return virtio_out(&g->carried.t.v, chain, 0, command, len);
}

/* Give a request back with an answer; as much of it as there is room for. */
static void answer(struct gpu *g, unsigned queue, const struct virtio_chain *chain, const uint8_t *command, uint8_t *bytes,
                   uint32_t type, uint32_t len)
{
    struct virtio *v = &g->carried.t.v;

    put_le32(bytes, type);
    if (get_le32(command + 4) & FLAG_FENCE) {
        put_le32(bytes + 4, FLAG_FENCE);
        memcpy(bytes + 8, command + 8, 12); /* its number, and the context */
    }
    len = chain->in < len ? (uint32_t)chain->in : len;
    if (!virtio_in(v, chain, 0, bytes, len)) {
        virtio_broken(v);
        return;
    }
    virtio_push(v, queue, chain, len);
}

static void do_command(struct gpu *g, const struct virtio_chain *chain)
{
    uint8_t command[COMMAND_MOST], bytes[EDID_ANSWER] = {0};
    uint32_t len = HEADER_BYTES, type;

    if (!read_command(g, chain, command)) {
        virtio_broken(&g->carried.t.v);
        return;
    }
    type = carry_out(g, chain, command, bytes, &len);
    answer(g, QUEUE_CONTROL, chain, command, bytes, type, len);
}

/* Virtual time that a command takes. */
static uint64_t duration(struct gpu *g, const struct virtio_chain *chain)
{
    uint8_t command[COMMAND_MOST];
    uint64_t bytes = chain->out < g->hostmem ? chain->out : g->hostmem;

    if (read_command(g, chain, command) && get_le32(command) == TRANSFER_TO_HOST_2D) {
        struct gpu_rect r = rect_at(command + HEADER_BYTES);
        uint64_t pixels = (uint64_t)r.width * r.height;

        bytes = pixels < g->hostmem / PIXEL_BYTES ? pixels * PIXEL_BYTES : g->hostmem;
    }
    return COMMAND_NS + bytes / BYTES_PER_NS;
}

static void begin(struct gpu *g, vtime_t now)
{
    struct virtio_chain chain;

    if (g->st->busy || !virtio_peek(&g->carried.t.v, QUEUE_CONTROL, &chain))
        return;
    g->st->busy = 1;
    g->st->ready = now + duration(g, &chain);
}

static vtime_t gpu_deadline(const struct device *dev)
{
    const struct gpu *g = dev->wiring;

    return g->st->busy ? g->st->ready : VTIME_NEVER;
}

static void gpu_expire(struct device *dev, vtime_t now)
{
    struct gpu *g = dev->wiring;
    struct virtio_chain chain;

    g->st->busy = 0;
    if (virtio_peek(&g->carried.t.v, QUEUE_CONTROL, &chain))
        do_command(g, &chain);
    begin(g, now);
}

/* ---- the cursor queue ---- */

static uint32_t move_cursor(struct gpu *g, const uint8_t *command)
{
    const uint8_t *c = command + HEADER_BYTES;
    uint32_t type = get_le32(command), scanout = get_le32(c);
    struct gpu_scanout *s = &g->st->scanout[scanout < g->scanouts ? scanout : 0];

    if (type != UPDATE_CURSOR && type != MOVE_CURSOR)
        return ERR_UNSPEC;
    if (scanout >= g->scanouts)
        return ERR_INVALID_SCANOUT_ID;
    if (type == UPDATE_CURSOR) {
        uint32_t id = get_le32(c + 16);

        if (id && find_resource(g->st, id) == RESOURCES)
            return ERR_INVALID_RESOURCE_ID;
        s->cursor = id;
        s->hot_x = get_le32(c + 20);
        s->hot_y = get_le32(c + 24);
    }
    s->cursor_x = get_le32(c + 4);
    s->cursor_y = get_le32(c + 8);
    return OK_NODATA;
}

static void do_cursor(struct gpu *g)
{
    struct virtio *v = &g->carried.t.v;
    struct virtio_chain chain;

    for (unsigned n = 0; n < VIRTIO_QUEUE_SIZE && virtio_peek(v, QUEUE_CURSOR, &chain); n++) {
        uint8_t command[COMMAND_MOST], bytes[HEADER_BYTES] = {0};

        if (!read_command(g, &chain, command)) {
            virtio_broken(v);
            return;
        }
        answer(g, QUEUE_CURSOR, &chain, command, bytes,
               chain.out < CURSOR_BYTES ? ERR_INVALID_PARAMETER : move_cursor(g, command), HEADER_BYTES);
    }
}

/* ---- the class ---- */

static uint64_t features(const struct virtio *v)
{
    return of(v)->edid.on ? F_EDID : 0;
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    put_le32(config + CFG_EVENTS_READ, of(v)->st->events);
    put_le32(config + CFG_SCANOUTS, of(v)->scanouts);
}

static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    if (offset >= CFG_EVENTS_CLEAR && offset < CFG_SCANOUTS)
        of(v)->st->events &= ~((uint32_t)value << (8 * (offset - CFG_EVENTS_CLEAR)));
}

static void notified(struct virtio *v, unsigned queue)
{
    if (queue == QUEUE_CURSOR)
        do_cursor(of(v));
    else
        begin(of(v), machine_now(v->dev->machine));
}

static void forget(struct virtio *v)
{
    struct gpu *g = of(v);

    for (unsigned n = 0; n < RESOURCES; n++)
        if (g->st->resource[n].id)
            drop_resource(g, n);
    memset(g->st, 0, sizeof(*g->st));
}

static const struct virtio_class gpu_class = {
    .id = 16, .config_bytes = CFG_BYTES, .features = features, .config_read = config_read, .config_write = config_write,
    .notified = notified, .reset = forget};

/* ---- what it shows ---- */

static unsigned heads(const struct device *dev)
{
    return ((const struct gpu *)dev->wiring)->scanouts;
}

static int draw(const struct device *dev, unsigned head, struct display_picture *out, struct error *err)
{
    const struct gpu *g = dev->wiring;
    const struct gpu_scanout *s = &g->st->scanout[head];
    unsigned n = s->resource ? find_resource(g->st, s->resource) : RESOURCES;
    const struct gpu_resource *r = &g->st->resource[n < RESOURCES ? n : 0];
    uint8_t *line, at[3];

    if (n == RESOURCES || !fits(&s->rect, r->width, r->height) || !find_format(r->format, at))
        return error_set(err, -ENODATA, "head %u of display '%s' shows nothing: no driver has set it up", head, dev->name);
    line = xcalloc(s->rect.width + 1, PIXEL_BYTES);
    display_picture_size(out, s->rect.width, s->rect.height);
    for (uint32_t y = 0; y < s->rect.height; y++) {
        space_get(g, pixels_of(n), ((s->rect.y + (uint64_t)y) * r->width + s->rect.x) * PIXEL_BYTES, line,
                  (size_t)s->rect.width * PIXEL_BYTES);
        for (uint32_t x = 0; x < s->rect.width; x++) {
            const uint8_t *p = line + (size_t)x * PIXEL_BYTES;

            display_picture_put(out, x, y, p[at[0]], p[at[1]], p[at[2]]);
        }
    }
    free(line);
    return 0;
}

static const struct display_ops display = {.heads = heads, .picture = draw};

/* ---- the device ---- */

static bool gpu_possible(const struct device *dev)
{
    const struct gpu *g = dev->wiring;
    const struct gpu_state *s = g->st;
    uint64_t bytes = 0;
    uint8_t at[3];

    for (unsigned n = 0; n < RESOURCES; n++) {
        const struct gpu_resource *r = &s->resource[n];

        if (!r->id ? r->width || r->height || r->entries || r->backed
                   : !r->width || !r->height || r->entries > ENTRIES || (r->entries && !r->backed) || !find_format(r->format, at) ||
                         find_resource(s, r->id) != n)
            return false;
        if ((uint64_t)r->width * r->height > g->hostmem / PIXEL_BYTES)
            return false;
        bytes += bytes_of(r);
    }
    return bytes <= g->hostmem && virtio_possible(&g->carried.t.v) && s->busy <= 1 && s->ready < VTIME_NEVER / 2 &&
           machine_deadline_possible(dev->machine, gpu_deadline(dev));
}

static void gpu_describe(const struct device *dev, struct buffer *b)
{
    const struct gpu *g = dev->wiring;
    const struct gpu_state *s = g->st;

    for (unsigned n = 0; n < g->scanouts; n++) {
        const struct gpu_scanout *o = &s->scanout[n];

        if (o->resource)
            buffer_printf(b, "scanout %u: resource %u, %ux%u from %u,%u\n", n, o->resource, o->rect.width, o->rect.height, o->rect.x,
                          o->rect.y);
        if (o->cursor)
            buffer_printf(b, "scanout %u: cursor is resource %u at %u,%u (its hot spot %u,%u)\n", n, o->cursor, o->cursor_x,
                          o->cursor_y, o->hot_x, o->hot_y);
    }
    for (unsigned n = 0; n < RESOURCES; n++)
        if (s->resource[n].id)
            buffer_printf(b, "resource %u: %ux%u, format %u, %s (%u pieces)\n", s->resource[n].id, s->resource[n].width,
                          s->resource[n].height, s->resource[n].format, s->resource[n].backed ? "backed" : "not backed",
                          s->resource[n].entries);
    buffer_printf(b, "%llu of %llu bytes used%s\n", (unsigned long long)bytes_used(s), (unsigned long long)g->hostmem,
                  s->busy ? ", a command is in progress" : "");
    virtio_describe(&g->carried.t.v, b);
}

static void gpu_destroy(struct device *dev)
{
    sparse_pages_finish(&((struct gpu *)dev->wiring)->pages);
}

DEVICE_STATE_BEGIN
struct gpu_pci_state {
    struct virtio_pci_state pci;
    struct gpu_state gpu;
};

struct gpu_mmio_state {
    struct virtio_state virtio;
    struct gpu_state gpu;
};
DEVICE_STATE_END

#define GPU_OPS .possible = gpu_possible, .deadline = gpu_deadline, .expire = gpu_expire, .describe = gpu_describe, \
    .destroy = gpu_destroy

static const struct device_ops gpu_pci_ops = {
    .name = "virtio-gpu-pci",
    .state_size = sizeof(struct gpu_pci_state),
    GPU_OPS,
    .display = &display,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops gpu_vga_ops = {
    .name = "virtio-vga",
    .state_size = sizeof(struct gpu_pci_state),
    GPU_OPS,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops gpu_mmio_ops = {
    .name = "virtio-gpu-device",
    .state_size = sizeof(struct gpu_mmio_state),
    GPU_OPS,
    .display = &display,
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct virtio_kind kind = {.class = &gpu_class, .pci = &gpu_pci_ops, .mmio = &gpu_mmio_ops, .pci_class = 0x038000,
                                        .modern = true, .wiring_bytes = sizeof(struct gpu)};

/* The VGA is what is shown of it. */
static const struct virtio_kind vga_kind = {.class = &gpu_class, .pci = &gpu_vga_ops, .pci_class = 0x030000, .modern = true,
                                            .wiring_bytes = sizeof(struct gpu)};

#define GPU_KEYS EDID_KEYS, {"max_outputs", "1-16"}, {"max_hostmem", "SIZE"}
const struct option_key virtio_gpu_keys[] = {VIRTIO_PCI_KEYS, GPU_KEYS, {NULL, NULL}};
const struct option_key virtio_vga_keys[] = {VIRTIO_PCI_KEYS, GPU_KEYS, {NULL, NULL}};
const struct option_key virtio_gpu_mmio_keys[] = {VIRTIO_MMIO_MODERN_KEYS, GPU_KEYS, {NULL, NULL}};

static int take_options(const struct option_list *props, struct edid_config *e, uint64_t *outputs, uint64_t *hostmem, struct error *err)
{
    if (edid_take(e, props, err) < 0 || option_list_number(props, "max_outputs", 1, SCANOUTS, outputs, err) < 0 ||
        option_list_size(props, "max_hostmem", 1, hostmem, err) < 0)
        return -EINVAL;
    if (*hostmem < 1 << 20 || *hostmem > HOSTMEM_MOST)
        return error_set(err, -EINVAL, "max_hostmem=%s: from 1M to 1G", option_list_get(props, "max_hostmem"));
    return 0;
}

/* The device, without what carries it. NULL: its properties make no sense. */
static struct gpu *make(const struct virtio_kind *k, struct sockets *s, const char *name, bool pci, const struct option_list *props,
                        struct error *err)
{
    uint64_t outputs = 1, hostmem = HOSTMEM;
    struct machine *m = s->machine;
    struct virtio_carried *c;
    char space[sizeof(c->t.v.dev->name) + 2];
    struct edid_config e;
    struct gpu *g;
    void *own;

    if (take_options(props, &e, &outputs, &hostmem, err) < 0)
        return NULL;
    if (m->nspaces == MACHINE_MAX_SPACES) {
        error_set(err, -EINVAL, "there is no room for one more such display");
        return NULL;
    }
    c = virtio_make(k, s, name, pci, QUEUES, props, &own, err);
    if (!c)
        return NULL;
    g = c->t.v.dev->wiring;
    g->st = own;
    g->scanouts = (uint32_t)outputs;
    g->hostmem = hostmem;
    g->edid = e;
    edid_make(g->edid_block, e.xres, e.yres);
    snprintf(space, sizeof(space), "g:%s", name);
    sparse_pages_init(&g->pages, space, SPACE_BYTES);
    machine_add_pages(m, &g->pages.space);
    return g;
}

int virtio_gpu_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    struct gpu *g = make(&kind, s, name, true, props, err);

    (void)d;
    return g ? virtio_carry_pci(&kind, &g->carried, s, devfn, props, err) : err->code;
}

int virtio_gpu_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                         struct error *err)
{
    struct gpu *g = make(&kind, s, name, false, props, err);

    (void)d, (void)devfn;
    return g ? virtio_carry_mmio(&g->carried, s, props, err) : err->code;
}

/* Has the driver anything to show? A driver that has begun has resources, whatever it shows of them. */
static bool shows(const struct device *dev)
{
    const struct gpu *g = dev->wiring;

    return bytes_used(g->st) != 0;
}

int virtio_vga_make(struct machine *m, struct pci_bus *bus, uint8_t devfn, struct device *vga, const struct option_list *props,
                    struct error *err)
{
    struct sockets s = {.machine = m, .pci = bus};
    struct gpu *g = make(&vga_kind, &s, "virtio-vga", true, props, err);
    struct vga_wiring *w = vga->wiring;
    int r;

    if (!g)
        return err->code;
    g->carried.t.pci.vga = vga;
    r = virtio_carry_pci(&vga_kind, &g->carried, &s, devfn, props, err);
    if (r < 0)
        return r;
    vga_plug_into(vga, &g->carried.t.pci.pci);
    w->over = g->carried.t.v.dev;
    w->over_display = &display;
    w->over_shows = shows;
    return vga_take_edid(w, props, err);
}
