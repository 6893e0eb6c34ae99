/*
 * Sets of page numbers: open addressing while they grow, a sorted list once
 * they are kept.
 */
#include "base/page_set.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64u

void page_set_init(struct page_set *s)
{
    *s = (struct page_set){0};
}

void page_set_finish(struct page_set *s)
{
    free(s->slots);
    free(s->chunks);
    *s = (struct page_set){0};
}

void page_set_clear(struct page_set *s)
{
    if (s->sealed) {
        page_set_finish(s);
        return;
    }
    if (s->count)
        memset(s->slots, 0, s->size * sizeof(s->slots[0]));
    if (s->count && s->chunks)
        memset(s->chunks, 0, s->size * sizeof(s->chunks[0]));
    s->count = 0;
    s->last = 0;
}

/* The slot that holds `page` or, if it is not a member, would take it. Eight neighbours, which are often added one after the
 * other, have theirs in one line of the host's cache. */
static uint64_t *find_slot(uint64_t *slots, uint32_t size, uint64_t page)
{
    uint32_t i = ((uint32_t)(((page >> 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 32) << 3 | (uint32_t)(page & 7)) & (size - 1);

    while (slots[i] && slots[i] != page + 1)
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static void grow(struct page_set *s)
{
    uint32_t size = s->size ? s->size * 2 : FIRST_SIZE;
    uint64_t *slots = xcalloc(size, sizeof(slots[0]));
    uint64_t *chunks = s->chunks ? xcalloc(size, sizeof(chunks[0])) : NULL;

    CHECK(size > s->size);
    for (uint32_t i = 0; i < s->size; i++) {
        uint64_t *slot;

        if (!s->slots[i])
            continue;
        slot = find_slot(slots, size, s->slots[i] - 1);
        *slot = s->slots[i];
        if (chunks)
            chunks[slot - slots] = s->chunks[i];
    }
    free(s->slots);
    free(s->chunks);
    s->slots = slots;
    s->chunks = chunks;
    s->size = size;
}

/* The index of a member's slot. */
static uint32_t add(struct page_set *s, uint64_t page)
{
    uint64_t *slot;

    CHECK(!s->sealed);
    if (s->count >= s->size / 2)
        grow(s);
    s->last = page + 1;
    slot = find_slot(s->slots, s->size, page);
    if (!*slot) {
        *slot = page + 1;
        s->count++;
    }
    return (uint32_t)(slot - s->slots);
}

void page_set_add(struct page_set *s, uint64_t page)
{
    if (s->last == page + 1)
        return;
    CHECK(!s->chunks);
    add(s, page);
}

void page_set_add_chunks(struct page_set *s, uint64_t page, uint64_t chunks)
{
    uint32_t i;

    CHECK(s->chunks || !s->count);
    i = add(s, page);
    if (!s->chunks)
        s->chunks = xcalloc(s->size, sizeof(s->chunks[0]));
    s->chunks[i] |= chunks;
}

/* The slot of a member; NULL: it is none. */
static const uint64_t *find_sorted(const struct page_set *s, uint64_t page)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (s->slots[mid] == page + 1)
            return &s->slots[mid];
        if (s->slots[mid] < page + 1)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static const uint64_t *find_member(const struct page_set *s, uint64_t page)
{
    const uint64_t *slot;

    if (!s->count)
        return NULL;
    if (s->sealed)
        return find_sorted(s, page);
    slot = find_slot(s->slots, s->size, page);
    return *slot ? slot : NULL;
}

bool page_set_has(const struct page_set *s, uint64_t page)
{
    return find_member(s, page);
}

bool page_set_has_chunks(const struct page_set *s, uint64_t page, uint64_t chunks)
{
    const uint64_t *slot = find_member(s, page);

    return slot && (!s->chunks || (s->chunks[slot - s->slots] & chunks));
}

bool page_set_has_any(const struct page_set *s, uint64_t first, uint64_t last)
{
    /* More pages than there are members: the other way round. */
    if (last - first >= s->size) {
        for (uint32_t i = 0; i < s->size; i++)
            if (s->slots[i] && s->slots[i] - 1 >= first && s->slots[i] - 1 <= last)
                return true;
        return false;
    }
    for (uint64_t page = first; page <= last; page++)
        if (page_set_has(s, page))
            return true;
    return false;
}

/* A member with its chunks, while they are sorted. */
struct member {
    uint64_t slot, chunks;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct member *)a)->slot, y = ((const struct member *)b)->slot;

    return (x > y) - (x < y);
}

void page_set_join(struct page_set *s, const struct page_set *sealed)
{
    CHECK(sealed->sealed);
    for (uint32_t i = 0; i < sealed->count; i++) {
        if (sealed->chunks)
            page_set_add_chunks(s, sealed->slots[i] - 1, sealed->chunks[i]);
        else
            page_set_add(s, sealed->slots[i] - 1);
    }
}

void page_set_seal(struct page_set *s)
{
    struct member *list;
    uint32_t n = 0;

    if (s->sealed)
        return;
    list = xmalloc((s->count + 1) * sizeof(list[0]));
    for (uint32_t i = 0; i < s->size; i++)
        if (s->slots[i])
            list[n++] = (struct member){s->slots[i], s->chunks ? s->chunks[i] : 0};
    CHECK(n == s->count);
    qsort(list, n, sizeof(list[0]), compare);
    for (uint32_t i = 0; i < n; i++) {
        s->slots[i] = list[i].slot;
        if (s->chunks)
            s->chunks[i] = list[i].chunks;
    }
    free(list);
    if (n) {
        s->slots = xrealloc(s->slots, n * sizeof(s->slots[0]));
        if (s->chunks)
            s->chunks = xrealloc(s->chunks, n * sizeof(s->chunks[0]));
    } else {
        free(s->slots);
        free(s->chunks);
        s->slots = s->chunks = NULL;
    }
    s->size = n;
    s->last = 0;
    s->sealed = true;
}

size_t page_set_bytes(const struct page_set *s)
{
    return s->size * (sizeof(s->slots[0]) + (s->chunks ? sizeof(s->chunks[0]) : 0));
}
