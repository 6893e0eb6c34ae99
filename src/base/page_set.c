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
    s->count = 0;
    s->last = 0;
}

/* The slot that holds `page` or, if it is not a member, would take it. */
static uint64_t *find_slot(uint64_t *slots, uint32_t size, uint64_t page)
{
    uint32_t i = (uint32_t)((page * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (size - 1);

    while (slots[i] && slots[i] != page + 1)
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static void grow(struct page_set *s)
{
    uint32_t size = s->size ? s->size * 2 : FIRST_SIZE;
    uint64_t *slots = xcalloc(size, sizeof(slots[0]));

    CHECK(size > s->size);
    for (uint32_t i = 0; i < s->size; i++)
        if (s->slots[i])
            *find_slot(slots, size, s->slots[i] - 1) = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->size = size;
}

void page_set_add(struct page_set *s, uint64_t page)
{
    uint64_t *slot;

    if (s->last == page + 1)
        return;
    CHECK(!s->sealed);
    if (s->count >= s->size / 2)
        grow(s);
    s->last = page + 1;
    slot = find_slot(s->slots, s->size, page);
    if (*slot)
        return;
    *slot = page + 1;
    s->count++;
}

static bool has_sorted(const struct page_set *s, uint64_t page)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (s->slots[mid] == page + 1)
            return true;
        if (s->slots[mid] < page + 1)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool page_set_has(const struct page_set *s, uint64_t page)
{
    if (!s->count)
        return false;
    if (s->sealed)
        return has_sorted(s, page);
    return *find_slot(s->slots, s->size, page) != 0;
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

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void page_set_seal(struct page_set *s)
{
    uint32_t n = 0;

    if (s->sealed)
        return;
    for (uint32_t i = 0; i < s->size; i++)
        if (s->slots[i])
            s->slots[n++] = s->slots[i];
    CHECK(n == s->count);
    if (n) {
        qsort(s->slots, n, sizeof(s->slots[0]), compare);
        s->slots = xrealloc(s->slots, n * sizeof(s->slots[0]));
    } else {
        free(s->slots);
        s->slots = NULL;
    }
    s->size = n;
    s->last = 0;
    s->sealed = true;
}

size_t page_set_bytes(const struct page_set *s)
{
    return s->size * sizeof(s->slots[0]);
}
