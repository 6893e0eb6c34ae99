/*
 * Page spaces, and those that are sparse. See page_space.h.
 */
#include "vm/page_space.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"

void page_space_init(struct page_space *s, const char *name, const struct page_space_ops *ops, void *owner)
{
    *s = (struct page_space){.ops = ops, .owner = owner};
    CHECK(strlen(name) < sizeof(s->name));
    strcpy(s->name, name);
}

void page_space_add_area(struct page_space *s, const char *name, uint64_t pages)
{
    struct page_area *a = &s->areas[s->nareas++];

    CHECK(s->nareas <= PAGE_SPACE_MAX_AREAS && strlen(name) < sizeof(a->name));
    *a = (struct page_area){.space = s, .first = s->count, .count = pages, .seed = hash_bytes(0, name, strlen(name))};
    strcpy(a->name, name);
    s->count += pages;
}

const struct page_area *page_space_area(const struct page_space *s, uint64_t n)
{
    for (unsigned i = 0; i < s->nareas; i++)
        if (n - s->areas[i].first < s->areas[i].count)
            return &s->areas[i];
    return NULL;
}

uint64_t page_space_seed(const struct page_space *s, uint64_t n)
{
    const struct page_area *a = page_space_area(s, n);

    CHECK(a);
    return a->seed + (n - a->first);
}

void page_space_finish(struct page_space *s)
{
    free(s->dirty);
    s->dirty = NULL;
    s->ndirty = s->dirty_cap = 0;
}

void page_space_touch(struct page_space *s, uint64_t n)
{
    CHECK(n < s->count);
    if (s->ops->is_dirty(s, n))
        return;
    if (s->ndirty == s->dirty_cap) {
        s->dirty_cap = s->dirty_cap ? s->dirty_cap * 2 : 1024;
        s->dirty = xrealloc(s->dirty, s->dirty_cap * sizeof(s->dirty[0]));
    }
    if (s->changes)
        s->changes(s->changes_ctx, s, n);
    s->dirty[s->ndirty++] = n;
    s->ops->mark(s, n, true);
}

void page_space_clean(struct page_space *s)
{
    if (!s->ndirty)
        return;
    for (uint64_t i = 0; i < s->ndirty; i++)
        s->ops->mark(s, s->dirty[i], false);
    s->ndirty = 0;
    if (s->ops->cleaned)
        s->ops->cleaned(s);
}

uint64_t page_space_dirty(const struct page_space *s)
{
    return s->always_dirty ? s->count : s->ndirty;
}

void page_space_each_dirty(struct page_space *s, void (*page)(void *ctx, struct page_space *s, uint64_t n), void *ctx)
{
    uint64_t n = page_space_dirty(s);

    for (uint64_t i = 0; i < n; i++)
        page(ctx, s, s->always_dirty ? i : s->dirty[i]);
}

static const uint8_t zeros[PAGE_SIZE];

/* The sum of the hashes of a space's pages. */
struct page_sum {
    const struct page_space *space;
    uint64_t sum;
};

static void add_hash(void *ctx, uint64_t n, const uint8_t *bytes)
{
    struct page_sum *s = ctx;

    if (memcmp(bytes, zeros, PAGE_SIZE))
        s->sum += hash_bytes(page_space_seed(s->space, n), bytes, PAGE_SIZE);
}

uint64_t page_space_hash(const struct page_space *s)
{
    struct page_sum sum = {.space = s};

    if (s->nareas)
        s->ops->pages(s, add_hash, &sum);
    return sum.sum;
}

/* ---- sparse ---- */

/* A space with few pages has them one by one, so that it takes no large piece of memory. */
#define FEW_PAGES 128u

struct sparse_page {
    uint64_t number;
    bool dirty;      /* on the space's list */
    bool of_slab;    /* its bytes are; else they follow */
    uint8_t *bytes;  /* aligned to 16: their owners may have structures there */
};

#define ALONE_HEAD ((sizeof(struct sparse_page) + 15) & ~(size_t)15)

static struct sparse_page *make_page(struct sparse_pages *s, uint64_t number)
{
    bool of_slab = s->used >= FEW_PAGES;
    struct sparse_page *p = xcalloc(1, of_slab ? sizeof(*p) : ALONE_HEAD + PAGE_SIZE);

    p->number = number;
    p->of_slab = of_slab;
    p->bytes = of_slab ? page_slab_take(&s->slab) : (uint8_t *)p + ALONE_HEAD;
    if (of_slab)
        memset(p->bytes, 0, PAGE_SIZE);
    return p;
}

static void free_page(struct sparse_pages *s, struct sparse_page *p)
{
    if (p->of_slab)
        page_slab_give(&s->slab, p->bytes);
    free(p);
}

static uint64_t slot_of(const struct sparse_pages *s, uint64_t number)
{
    return (number * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & (s->nslots - 1);
}

/* The slot that holds the page, or the free one where it belongs. */
static uint64_t seek_slot(const struct sparse_pages *s, uint64_t number)
{
    uint64_t i = slot_of(s, number);

    while (s->slots[i] && s->slots[i]->number != number)
        i = (i + 1) & (s->nslots - 1);
    return i;
}

static struct sparse_page *find_page(const struct sparse_pages *s, uint64_t number)
{
    if (s->last && s->last->number == number)
        return s->last;
    return s->used ? s->slots[seek_slot(s, number)] : NULL;
}

static void grow(struct sparse_pages *s)
{
    struct sparse_page **old = s->slots;
    uint64_t n = s->nslots;

    s->nslots = n ? n * 2 : 64;
    s->slots = xcalloc(s->nslots, sizeof(*s->slots));
    for (uint64_t i = 0; i < n; i++)
        if (old[i])
            s->slots[seek_slot(s, old[i]->number)] = old[i];
    free(old);
}

static struct sparse_page *need_page(struct sparse_pages *s, uint64_t number)
{
    struct sparse_page *p = find_page(s, number);

    if (!p) {
        if (s->used >= s->nslots / 4 * 3)
            grow(s);
        p = make_page(s, number);
        s->slots[seek_slot(s, number)] = p;
        s->used++;
    }
    s->last = p;
    return p;
}

/* Those behind it that were put off by it move up. */
static void drop_page(struct sparse_pages *s, uint64_t number)
{
    uint64_t hole = s->used ? seek_slot(s, number) : 0, mask = s->nslots - 1;

    if (!s->used || !s->slots[hole])
        return;
    if (s->last == s->slots[hole])
        s->last = NULL;
    free_page(s, s->slots[hole]);
    s->used--;
    for (uint64_t i = (hole + 1) & mask; s->slots[i]; i = (i + 1) & mask) {
        if (((i - slot_of(s, s->slots[i]->number)) & mask) < ((i - hole) & mask))
            continue;
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole] = NULL;
}

static const uint8_t *sparse_bytes(const struct page_space *space, uint64_t n)
{
    const struct sparse_page *p = find_page(space->owner, n);

    return p ? p->bytes : NULL;
}

static void sparse_each(const struct page_space *space, page_space_fn *each, void *ctx)
{
    const struct sparse_pages *s = space->owner;

    for (uint64_t i = 0; i < s->nslots; i++)
        if (s->slots[i])
            each(ctx, s->slots[i]->number, s->slots[i]->bytes);
}

static bool sparse_is_dirty(const struct page_space *space, uint64_t n)
{
    const struct sparse_page *p = find_page(space->owner, n);

    return p && p->dirty;
}

/* A page that became zero again goes when it is cleaned. */
static void sparse_mark(struct page_space *space, uint64_t n, bool dirty)
{
    struct sparse_page *p = need_page(space->owner, n);

    p->dirty = dirty;
    if (!dirty && !memcmp(p->bytes, zeros, PAGE_SIZE))
        drop_page(space->owner, n);
}

static void sparse_restore(struct page_space *space, uint64_t n, const uint8_t *bytes)
{
    struct sparse_page *p = find_page(space->owner, n);

    CHECK(n < space->count);
    if (bytes)
        memcpy(need_page(space->owner, n)->bytes, bytes, PAGE_SIZE);
    else if (p && p->dirty)
        memset(p->bytes, 0, PAGE_SIZE); /* cleaning takes it away */
    else
        drop_page(space->owner, n);
}

static const struct page_space_ops sparse_ops = {
    .page = sparse_bytes,
    .pages = sparse_each,
    .is_dirty = sparse_is_dirty,
    .mark = sparse_mark,
    .restore = sparse_restore,
};

void sparse_pages_init(struct sparse_pages *s, const char *name, uint64_t len)
{
    *s = (struct sparse_pages){.used = 0};
    page_space_init(&s->space, name, &sparse_ops, s);
    page_space_add_area(&s->space, name, (len >> PAGE_SHIFT) + ((len & ~PAGE_MASK) != 0));
}

void sparse_pages_finish(struct sparse_pages *s)
{
    for (uint64_t i = 0; i < s->nslots; i++)
        if (s->slots[i])
            free_page(s, s->slots[i]);
    free(s->slots);
    page_slab_finish(&s->slab);
    page_space_finish(&s->space);
    *s = (struct sparse_pages){.used = 0};
}

const uint8_t *sparse_page(const struct sparse_pages *s, uint64_t n)
{
    return sparse_bytes(&s->space, n);
}

uint8_t *sparse_page_touch(struct sparse_pages *s, uint64_t n)
{
    page_space_touch(&s->space, n);
    return need_page(s, n)->bytes;
}
