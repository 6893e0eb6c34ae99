/*
 * Page-backed storage and the physical address map. See memory.h.
 *
 * To add a kind of region: name it in enum region_kind, say in is_backed()
 * whether pages answer reads, and in write_piece() where writes go.
 */
#include "vm/memory.h"

#include "base/big_memory.h"
#include "base/buffer.h"
#include "base/error.h"
#include "vm/footprint.h"
#include "vm/line.h"
#include "vm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the page space ---- */

static const uint8_t *page_bytes(const struct page_space *s, uint64_t n)
{
    return memory_page(s->owner, (uint32_t)n);
}

static void each_page(const struct page_space *s, page_space_fn *each, void *ctx)
{
    for (uint64_t n = 0; n < s->count; n++)
        each(ctx, n, page_bytes(s, n));
}

static bool page_is_dirty(const struct page_space *s, uint64_t n)
{
    const struct memory *m = s->owner;

    return m->flags[n] & PAGE_FLAG_DIRTY;
}

static void mark_page(struct page_space *s, uint64_t n, bool dirty)
{
    struct memory *m = s->owner;

    if (dirty)
        m->flags[n] |= PAGE_FLAG_DIRTY;
    else
        m->flags[n] &= (uint8_t)~PAGE_FLAG_DIRTY;
}

/* What was derived from it is dropped. */
static void restore_page(struct page_space *s, uint64_t n, const uint8_t *bytes)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct memory *m = s->owner;

    CHECK(n < s->count);
    if (!bytes)
        bytes = zeros;
    if ((m->flags[n] & (PAGE_FLAG_CODE | PAGE_FLAG_WALKED)) && m->observer.page_replaced)
        m->observer.page_replaced(m->observer.ctx, (uint32_t)n, bytes);
    memcpy(m->host + ((uint64_t)n << PAGE_SHIFT), bytes, PAGE_SIZE);
}

static void pages_cleaned(struct page_space *s)
{
    struct memory *m = s->owner;

    if (m->observer.cleaned)
        m->observer.cleaned(m->observer.ctx);
}

static const struct page_space_ops page_ops = {
    .page = page_bytes,
    .pages = each_page,
    .is_dirty = page_is_dirty,
    .mark = mark_page,
    .restore = restore_page,
    .cleaned = pages_cleaned,
};

/* ---- making ---- */

int memory_init(struct memory *m, struct machine *machine, uint32_t max_pages)
{
    *m = (struct memory){.machine = machine, .max_pages = max_pages};
    page_space_init(&m->pages, "memory", &page_ops, m);
    if (!max_pages)
        return 0;
    m->host = region_map((size_t)max_pages << PAGE_SHIFT);
    if (!m->host)
        return -ENOMEM;
    m->flags = xcalloc(max_pages, 1);
    return 0;
}

void memory_finish(struct memory *m)
{
    region_unmap(m->host, (size_t)m->max_pages << PAGE_SHIFT);
    free(m->flags);
    page_space_finish(&m->pages);
    *m = (struct memory){0};
}

uint32_t memory_alloc(struct memory *m, const char *name, uint64_t size)
{
    uint64_t pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    uint32_t first = (uint32_t)m->pages.count;

    CHECK(pages <= m->max_pages - m->pages.count);
    page_space_add_area(&m->pages, name, pages);
    return first;
}

/* ---- the map ---- */

/* Which enabled region answers at `addr`: the last one. -1: none. */
static int answers_at(const struct memory *m, paddr_t addr)
{
    for (unsigned i = m->nregions; i-- > 0;)
        if (m->regions[i].enabled && addr - m->regions[i].base < m->regions[i].size)
            return (int)i;
    return -1;
}

static int compare_addresses(const void *a, const void *b)
{
    paddr_t x = *(const paddr_t *)a, y = *(const paddr_t *)b;

    return (x > y) - (x < y);
}

/* The answer changes only where some region begins or ends. */
static void make_spans(struct memory *m)
{
    paddr_t edges[2 * MEMORY_MAX_REGIONS + 1];
    unsigned n = 0;

    edges[n++] = 0;
    for (unsigned i = 0; i < m->nregions; i++) {
        edges[n++] = m->regions[i].base;
        edges[n++] = m->regions[i].base + m->regions[i].size; /* 0 for one that ends with the last address */
    }
    qsort(edges, n, sizeof(edges[0]), compare_addresses);
    m->nspans = 0;
    for (unsigned i = 0; i < n; i++) {
        int region = answers_at(m, edges[i]);

        if (m->nspans && m->spans[m->nspans - 1].region == region)
            continue;
        m->spans[m->nspans++] = (struct memory_span){.from = edges[i], .region = region};
    }
}

static void remapped(struct memory *m)
{
    make_spans(m);
    if (m->observer.remapped)
        m->observer.remapped(m->observer.ctx);
    if (m->machine)
        line_renew(m->machine);
}

static bool is_backed(const struct region *r)
{
    return r && r->kind != REGION_MMIO;
}

void memory_load(struct memory *m, uint32_t page, const void *data, size_t len)
{
    const uint8_t *from = data;

    for (; len; page++) {
        size_t n = len < PAGE_SIZE ? len : (size_t)PAGE_SIZE;

        memory_touch(m, page, 0, (unsigned)n);
        memcpy(m->host + ((uint64_t)page << PAGE_SHIFT), from, n);
        from += n;
        len -= n;
    }
}

unsigned memory_map(struct memory *m, const struct region *r)
{
    CHECK(m->nregions < MEMORY_MAX_REGIONS);
    if (is_backed(r)) {
        CHECK(!((r->base | r->size) & ~PAGE_MASK));
        CHECK(r->page <= m->pages.count && r->size >> PAGE_SHIFT <= m->pages.count - r->page);
    }
    m->regions[m->nregions] = *r;
    m->regions[m->nregions++].stored = is_backed(r);
    remapped(m);
    return m->nregions - 1;
}

void memory_region_enable(struct memory *m, unsigned index, bool enabled)
{
    CHECK(index < m->nregions);
    if (m->regions[index].enabled == enabled)
        return;
    m->regions[index].enabled = enabled;
    remapped(m);
}

void memory_region_move(struct memory *m, unsigned index, paddr_t base)
{
    CHECK(index < m->nregions);
    CHECK(!is_backed(&m->regions[index]) || !(base & ~PAGE_MASK));
    if (m->regions[index].base == base)
        return;
    m->regions[index].base = base;
    remapped(m);
}

void memory_region_kind(struct memory *m, unsigned index, enum region_kind kind)
{
    CHECK(index < m->nregions);
    if (m->regions[index].kind == kind)
        return;
    m->regions[index].kind = kind;
    remapped(m);
}

/* The region at `addr` (or NULL), and for how many bytes from there it is the answer. */
static const struct region *find_span(const struct memory *m, paddr_t addr, uint64_t *span)
{
    unsigned low = 0, n = m->nspans;

    if (!n) {
        *span = UINT64_MAX;
        return NULL;
    }
    while (n > 1) { /* without branches on what is found: walks come here often */
        unsigned half = n / 2;

        low += (m->spans[low + half].from <= addr) * half;
        n -= half;
    }
    *span = low + 1 < m->nspans ? m->spans[low + 1].from - addr : UINT64_MAX;
    return m->spans[low].region < 0 ? NULL : &m->regions[m->spans[low].region];
}

const struct region *memory_find(const struct memory *m, paddr_t addr)
{
    uint64_t span;

    return find_span(m, addr, &span);
}

static uint32_t page_in(const struct region *r, paddr_t addr)
{
    return r->page + (uint32_t)((addr - r->base) >> PAGE_SHIFT);
}

uint32_t memory_page_of(const struct memory *m, paddr_t addr)
{
    const struct region *r = memory_find(m, addr);

    return is_backed(r) ? page_in(r, addr) : UINT32_MAX;
}

uint32_t memory_storage_of(const struct memory *m, paddr_t addr)
{
    const struct region *r = memory_find(m, addr);

    return r && r->stored ? page_in(r, addr) : UINT32_MAX;
}

bool memory_classify(const struct memory *m, paddr_t addr, enum region_kind *kind, uint32_t *page)
{
    uint64_t span;
    const struct region *r = find_span(m, addr, &span);

    if (!is_backed(r) || span < PAGE_SIZE)
        return false;
    *kind = r->kind;
    *page = page_in(r, addr);
    return true;
}

/* ---- accesses ---- */

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

static uint8_t *host_of(const struct memory *m, const struct region *r, paddr_t addr)
{
    return m->host + ((uint64_t)r->page << PAGE_SHIFT) + (addr - r->base);
}

/* The largest power of two that is at most `size` and `span`. */
static unsigned piece_of(unsigned size, uint64_t span)
{
    unsigned piece = 8;

    while (piece > size || piece > span)
        piece /= 2;
    return piece;
}

static void note_io(struct memory *m, const struct region *r, unsigned kind, paddr_t addr, unsigned size, uint64_t value)
{
    if (m->machine && (m->machine->traps->notes & kind))
        traps_add_note(m->machine, &(struct trap_hit){.kind = kind, .number = 1, .address = addr, .len = size, .value = value,
                                                      .writer = r && r->dev ? r->dev->name : NULL});
}

static uint64_t read_piece(struct memory *m, const struct region *r, paddr_t addr, unsigned size)
{
    uint64_t v = ones(size);

    if (r && r->kind != REGION_MMIO) {
        memcpy(&v, host_of(m, r, addr), size);
        return v & ones(size);
    }
    if (r && r->dev->ops->read)
        v = device_read(r->dev, r->range, addr - r->base, size) & ones(size);
    note_io(m, r, TRAP_IO_READ, addr, size, v);
    return v;
}

static void write_ram(struct memory *m, const struct region *r, paddr_t addr, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    while (len) {
        unsigned offset = (unsigned)(addr & ~PAGE_MASK);
        size_t n = PAGE_SIZE - offset < len ? PAGE_SIZE - offset : len;

        memory_touch(m, page_in(r, addr), offset, (unsigned)n);
        memcpy(host_of(m, r, addr), from, n);
        addr += n;
        from += n;
        len -= n;
    }
}

static void write_piece(struct memory *m, const struct region *r, paddr_t addr, unsigned size, uint64_t value)
{
    if (r && r->kind == REGION_ROM)
        return;
    if (r && r->kind == REGION_RAM) {
        write_ram(m, r, addr, &value, size);
        return;
    }
    note_io(m, r, TRAP_IO_WRITE, addr, size, value & ones(size));
    if (r && r->dev->ops->write)
        device_write(r->dev, r->range, addr - r->base, size, value & ones(size));
}

const struct region *memory_device_at(const struct memory *m, paddr_t addr)
{
    uint64_t span;
    const struct region *r = find_span(m, addr, &span);

    return r && r->kind == REGION_MMIO && span >= PAGE_SIZE ? r : NULL;
}

uint64_t memory_device_read(struct memory *m, const struct region *r, paddr_t addr, unsigned size)
{
    return read_piece(m, r, addr, size);
}

void memory_device_write(struct memory *m, const struct region *r, paddr_t addr, unsigned size, uint64_t value)
{
    write_piece(m, r, addr, size, value);
}

uint64_t memory_read(struct memory *m, paddr_t addr, unsigned size)
{
    uint64_t value = 0;
    unsigned done = 0;

    while (done < size) {
        uint64_t span;
        const struct region *r = find_span(m, addr + done, &span);
        unsigned n = piece_of(size - done, span);

        value |= read_piece(m, r, addr + done, n) << (8 * done);
        done += n;
    }
    return value;
}

void memory_write(struct memory *m, paddr_t addr, unsigned size, uint64_t value)
{
    unsigned done = 0;

    while (done < size) {
        uint64_t span;
        const struct region *r = find_span(m, addr + done, &span);
        unsigned n = piece_of(size - done, span);

        write_piece(m, r, addr + done, n, value >> (8 * done));
        done += n;
    }
}

/* Devices' own accesses are Non-secure ones. */
static bool for_dma(const struct region *r)
{
    return !r->cpu_only && !r->secure;
}

static size_t read_bytes(const struct memory *m, paddr_t addr, void *buf, size_t len, bool dma)
{
    uint8_t *to = buf;
    size_t backed = 0;

    while (len) {
        uint64_t span;
        const struct region *r = find_span(m, addr, &span);
        size_t n = span < len ? (size_t)span : len;

        if (is_backed(r) && (!dma || for_dma(r))) {
            memcpy(to, host_of(m, r, addr), n);
            backed += n;
        } else {
            memset(to, 0xff, n);
        }
        addr += n;
        to += n;
        len -= n;
    }
    return backed;
}

size_t memory_read_bytes(const struct memory *m, paddr_t addr, void *buf, size_t len)
{
    return read_bytes(m, addr, buf, len, false);
}

static void note_read(struct memory *m, paddr_t addr, size_t len)
{
    while (len) {
        uint64_t offset = addr & ~PAGE_MASK, n = PAGE_SIZE - offset < len ? PAGE_SIZE - offset : len;
        const struct region *r = memory_find(m, addr);
        uint32_t page = is_backed(r) && for_dma(r) ? page_in(r, addr) : UINT32_MAX;

        if (page != UINT32_MAX && m->machine->footprint)
            page_set_add(&m->machine->footprint->fetched, page);
        if (page != UINT32_MAX && (m->flags[page] & PAGE_FLAG_WATCHED) && m->machine->touches)
            touches_add(m->machine->touches, TOUCHED_FETCHED, page, (unsigned)offset, (unsigned)n);
        if (page != UINT32_MAX && (m->flags[page] & PAGE_FLAG_WATCHED))
            traps_touch(m->machine, TRAP_READ, &m->pages, ((uint64_t)page << PAGE_SHIFT) + offset, n);
        addr += n;
        len -= n;
    }
}

size_t memory_dma_read(struct memory *m, paddr_t addr, void *buf, size_t len)
{
    if (m->machine)
        note_read(m, addr, len);
    return read_bytes(m, addr, buf, len, true);
}

size_t memory_write_bytes(struct memory *m, paddr_t addr, const void *buf, size_t len, bool rom)
{
    const uint8_t *from = buf;
    size_t backed = 0;

    while (len) {
        uint64_t span;
        const struct region *r = find_span(m, addr, &span);
        size_t n = span < len ? (size_t)span : len;

        if (r && ((r->kind == REGION_RAM && for_dma(r)) || (rom && is_backed(r)))) {
            write_ram(m, r, addr, from, n);
            backed += n;
        }
        addr += n;
        from += n;
        len -= n;
    }
    return backed;
}

/* ---- dirty pages ---- */

void memory_touch(struct memory *m, uint32_t n, unsigned offset, unsigned len)
{
    uint8_t flags;

    CHECK(n < m->pages.count);
    flags = m->flags[n];
    if (!(flags & PAGE_FLAG_DIRTY))
        page_space_touch(&m->pages, n);
    if (m->machine && m->machine->footprint)
        page_set_add(&m->machine->footprint->storage, n);
    if ((flags & PAGE_FLAG_WATCHED) && m->machine->touches)
        touches_add(m->machine->touches, TOUCHED_STORAGE, n, offset, len);
    if (flags & PAGE_FLAG_WATCHED)
        traps_touch(m->machine, TRAP_WRITE, &m->pages, ((uint64_t)n << PAGE_SHIFT) + offset, len);
    if (flags & PAGE_FLAG_LINE)
        line_touch(m->machine, n, offset, len);
    if ((flags & (PAGE_FLAG_CODE | PAGE_FLAG_WALKED)) && m->observer.page_changes)
        m->observer.page_changes(m->observer.ctx, n, offset, len);
}

void memory_flag_line(struct memory *m, uint32_t n)
{
    if (m->flags[n] & PAGE_FLAG_LINE)
        return;
    m->flags[n] |= PAGE_FLAG_LINE;
    if (m->observer.line_flagged)
        m->observer.line_flagged(m->observer.ctx, n);
}
