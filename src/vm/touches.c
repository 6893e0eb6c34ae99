/*
 * The bytes that were touched in pages with traps. See touches.h; the softmmu, memory and drives add them where they add
 * pages to a footprint.
 */
#include "vm/touches.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "vm/footprint.h"
#include "vm/trap.h"

size_t touches_bytes(const struct touches *t)
{
    return t ? offsetof(struct touches, maps) + t->count * sizeof(t->maps[0]) : 0;
}

static struct touch_map *find(const struct touches *t, enum touched how, uint64_t page)
{
    for (unsigned i = 0; t && i < t->count; i++)
        if (t->maps[i].page == page && t->maps[i].how == how)
            return (struct touch_map *)(uintptr_t)&t->maps[i];
    return NULL;
}

const struct touch_map *touches_of(const struct touches *t, enum touched how, uint64_t page)
{
    return find(t, how, page);
}

/* The map of a page that there is none of. */
static struct touch_map *add_map(struct touches *t, enum touched how, uint64_t page)
{
    struct touch_map *map;

    if (t->count == TOUCHES_MOST)
        memmove(&t->maps[0], &t->maps[1], --t->count * sizeof(t->maps[0]));
    map = &t->maps[t->count++];
    *map = (struct touch_map){.page = page, .how = how};
    return map;
}

static void follow(struct touches *t, enum touched how, uint64_t address, uint64_t len)
{
    uint64_t last = address + (len - 1);

    last = (last < address ? UINT64_MAX : last) >> PAGE_SHIFT;
    for (uint64_t page = address >> PAGE_SHIFT; page <= last && t->count < TOUCHES_MOST; page++)
        if (!find(t, how, page))
            add_map(t, how, page);
}

void touches_follow(struct touches *t, const struct traps *traps)
{
    t->count = 0;
    for (unsigned i = 0; i < traps->count; i++) {
        const struct trap *trap = &traps->list[i];

        if ((trap->kinds & TRAP_WRITE) && trap->len)
            follow(t, trap->storage ? TOUCHED_STORAGE : TOUCHED_WRITTEN, trap->address, trap->len);
        if ((trap->kinds & TRAP_READ) && trap->len)
            follow(t, trap->storage ? TOUCHED_FETCHED : TOUCHED_READ, trap->address, trap->len);
        if (trap->loads && trap->len)
            follow(t, TOUCHED_LOADED, trap->address, trap->len);
    }
}

void touches_clear(struct touches *t)
{
    for (unsigned i = 0; i < t->count; i++)
        memset(t->maps[i].granules, 0, sizeof(t->maps[i].granules));
}

/* The bits of granules `first` to `last` that are in word `n`. */
static uint64_t bits_of(unsigned n, unsigned first, unsigned last)
{
    uint64_t bits = UINT64_MAX;

    if (first >> 6 > n || last >> 6 < n)
        return 0;
    if (first >> 6 == n)
        bits &= UINT64_MAX << (first & 63);
    if (last >> 6 == n)
        bits &= UINT64_MAX >> (63 - (last & 63));
    return bits;
}

void touches_add(struct touches *t, enum touched how, uint64_t page, unsigned offset, unsigned len)
{
    unsigned first = offset >> TOUCHES_GRANULE, last = (offset + len - 1) >> TOUCHES_GRANULE;
    struct touch_map *map = len ? find(t, how, page) : NULL;

    CHECK(offset + len <= PAGE_SIZE);
    if (!map)
        return;
    map->granules[first >> 6] |= bits_of(first >> 6, first, last);
    for (unsigned n = (first >> 6) + 1; n <= last >> 6; n++)
        map->granules[n] |= bits_of(n, first, last);
}

bool touch_map_has(const struct touch_map *map, unsigned first, unsigned last)
{
    first >>= TOUCHES_GRANULE;
    last >>= TOUCHES_GRANULE;
    for (unsigned n = first >> 6; n <= last >> 6; n++)
        if (map->granules[n] & bits_of(n, first, last))
            return true;
    return false;
}

/* Does the footprint say that the page was not touched at all? */
static bool excluded(const struct footprint *f, enum touched how, uint64_t page)
{
    return f && !page_set_has(footprint_set(f, how), page);
}

void touches_narrow(struct touches *t, const struct touches *more, const struct footprint *f)
{
    for (unsigned i = 0; i < more->count; i++) {
        const struct touch_map *m = &more->maps[i];
        struct touch_map *map = find(t, m->how, m->page);

        if (map) {
            for (unsigned n = 0; n < TOUCHES_WORDS; n++)
                map->granules[n] &= m->granules[n];
        } else if (!excluded(f, m->how, m->page)) {
            map = add_map(t, m->how, m->page);
            *map = *m;
        }
    }
}

/* What `from` knows, joined with what is known of the other. */
static void join(struct touches *t, const struct touches *from, const struct touches *other, const struct footprint *f)
{
    for (unsigned i = 0; from && i < from->count; i++) {
        const struct touch_map *m = &from->maps[i], *o = find(other, m->how, m->page);
        struct touch_map *map;

        if (find(t, m->how, m->page) || (!o && !excluded(f, m->how, m->page)))
            continue;
        map = add_map(t, m->how, m->page);
        *map = *m;
        for (unsigned n = 0; o && n < TOUCHES_WORDS; n++)
            map->granules[n] |= o->granules[n];
    }
}

void touches_join(struct touches *t, const struct touches *a, const struct footprint *fa, const struct touches *b, const struct footprint *fb)
{
    t->count = 0;
    join(t, a, b, fb);
    join(t, b, a, fa);
}
