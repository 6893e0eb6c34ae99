/*
 * Sets of page numbers: open addressing while they grow, a sorted list once
 * they are kept.
 */
#include "base/page_set.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE  32u
#define GROUP_SHIFT 6 /* log2 of the pages of a group */

static uint64_t bit_of(uint64_t page)
{
    return (uint64_t)1 << (page & 63);
}

void page_set_init(struct page_set *s)
{
    *s = (struct page_set){0};
}

void page_set_finish(struct page_set *s)
{
    free(s->groups);
    *s = (struct page_set){0};
}

void page_set_clear(struct page_set *s)
{
    if (s->sealed) {
        page_set_finish(s);
        return;
    }
    if (s->count)
        memset(s->groups, 0, s->size * sizeof(s->groups[0]));
    s->count = 0;
    s->last = 0;
    s->in_chunks = false;
}

/* The place of the group or, if it is not there, where it would be. */
static struct page_group *find_place(struct page_group *groups, uint32_t size, uint64_t key)
{
    uint32_t i = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (size - 1);

    while (groups[i].key && groups[i].key != key + 1)
        i = (i + 1) & (size - 1);
    return &groups[i];
}

static void grow(struct page_set *s)
{
    uint32_t size = s->size ? s->size * 2 : FIRST_SIZE;
    struct page_group *groups = xcalloc(size, sizeof(groups[0]));

    CHECK(size > s->size);
    for (uint32_t i = 0; i < s->size; i++)
        if (s->groups[i].key)
            *find_place(groups, size, s->groups[i].key - 1) = s->groups[i];
    free(s->groups);
    s->groups = groups;
    s->size = size;
}

static void add(struct page_set *s, uint64_t key, uint64_t mask)
{
    struct page_group *g;

    CHECK(!s->sealed);
    if (s->count >= s->size / 2)
        grow(s);
    g = find_place(s->groups, s->size, key);
    s->count += !g->key;
    g->key = key + 1;
    g->mask |= mask;
}

void page_set_add(struct page_set *s, uint64_t page)
{
    if (s->last == page + 1)
        return;
    CHECK(!s->in_chunks);
    s->last = page + 1;
    add(s, page >> GROUP_SHIFT, bit_of(page));
}

void page_set_add_chunks(struct page_set *s, uint64_t page, uint64_t chunks)
{
    CHECK(s->in_chunks || !s->count);
    s->in_chunks = true;
    add(s, page, chunks);
}

/* Index of the first group, of a sorted list, whose key is not less. */
static uint32_t index_of(const struct page_set *s, uint64_t key)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (s->groups[mid].key < key + 1)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The mask of a group; 0: there is none. */
static uint64_t mask_of(const struct page_set *s, uint64_t key)
{
    const struct page_group *g;
    uint32_t i;

    if (!s->count)
        return 0;
    if (!s->sealed) {
        g = find_place(s->groups, s->size, key);
        return g->mask;
    }
    i = index_of(s, key);
    return i < s->count && s->groups[i].key == key + 1 ? s->groups[i].mask : 0;
}

bool page_set_has(const struct page_set *s, uint64_t page)
{
    return s->in_chunks ? mask_of(s, page) != 0 : (mask_of(s, page >> GROUP_SHIFT) & bit_of(page)) != 0;
}

bool page_set_has_chunks(const struct page_set *s, uint64_t page, uint64_t chunks)
{
    return s->in_chunks ? (mask_of(s, page) & chunks) != 0 : page_set_has(s, page);
}

/* Has this group, whose key is one of those from that of page `first` to that of page `last`, one of these pages? */
static bool has_one(const struct page_set *s, const struct page_group *g, uint64_t first, uint64_t last)
{
    uint64_t mask = g->mask, start = (g->key - 1) << GROUP_SHIFT;

    if (s->in_chunks)
        return mask != 0;
    if (first > start)
        mask &= UINT64_MAX << (first - start);
    if (last < start + 63)
        mask &= UINT64_MAX >> (start + 63 - last);
    return mask != 0;
}

bool page_set_has_any(const struct page_set *s, uint64_t first, uint64_t last)
{
    unsigned shift = s->in_chunks ? 0 : GROUP_SHIFT;
    uint64_t low = first >> shift, high = last >> shift;

    if (!s->count)
        return false;
    if (s->sealed) {
        for (uint32_t i = index_of(s, low); i < s->count && s->groups[i].key - 1 <= high; i++)
            if (has_one(s, &s->groups[i], first, last))
                return true;
        return false;
    }
    /* More groups than there are: the other way round. */
    if (high - low >= s->size) {
        for (uint32_t i = 0; i < s->size; i++) {
            const struct page_group *g = &s->groups[i];

            if (g->key && g->key - 1 >= low && g->key - 1 <= high && has_one(s, g, first, last))
                return true;
        }
        return false;
    }
    for (uint64_t key = low; key <= high; key++) {
        const struct page_group *g = find_place(s->groups, s->size, key);

        if (g->key && has_one(s, g, first, last))
            return true;
    }
    return false;
}

void page_set_join(struct page_set *s, const struct page_set *sealed)
{
    CHECK(sealed->sealed && (!s->count || !sealed->count || s->in_chunks == sealed->in_chunks));
    if (!sealed->count)
        return;
    s->in_chunks = sealed->in_chunks;
    for (uint32_t i = 0; i < sealed->count; i++)
        add(s, sealed->groups[i].key - 1, sealed->groups[i].mask);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct page_group *)a)->key, y = ((const struct page_group *)b)->key;

    return (x > y) - (x < y);
}

void page_set_seal(struct page_set *s)
{
    uint32_t n = 0;

    if (s->sealed)
        return;
    for (uint32_t i = 0; i < s->size; i++)
        if (s->groups[i].key)
            s->groups[n++] = s->groups[i];
    CHECK(n == s->count);
    if (n) {
        qsort(s->groups, n, sizeof(s->groups[0]), compare);
        s->groups = xrealloc(s->groups, n * sizeof(s->groups[0]));
    } else {
        free(s->groups);
        s->groups = NULL;
    }
    s->size = n;
    s->last = 0;
    s->sealed = true;
}

uint64_t *page_set_list(const struct page_set *sealed, size_t *n)
{
    uint64_t *list;

    CHECK(sealed->sealed && !sealed->in_chunks);
    *n = 0;
    for (uint32_t i = 0; i < sealed->count; i++)
        *n += (size_t)__builtin_popcountll(sealed->groups[i].mask);
    list = xmalloc((*n + 1) * sizeof(list[0]));
    *n = 0;
    for (uint32_t i = 0; i < sealed->count; i++)
        for (uint64_t mask = sealed->groups[i].mask; mask; mask &= mask - 1)
            list[(*n)++] = ((sealed->groups[i].key - 1) << GROUP_SHIFT) + (uint64_t)__builtin_ctzll(mask);
    return list;
}

size_t page_set_bytes(const struct page_set *s)
{
    return s->size * sizeof(s->groups[0]);
}
