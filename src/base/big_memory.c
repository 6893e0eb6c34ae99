/*
 * Host memory in large pieces. See big_memory.h.
 */
#include "base/big_memory.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/error.h"

#if defined(__linux__) && !defined(MADV_COLLAPSE)
#define MADV_COLLAPSE 25 /* C libraries learnt of it later than kernels */
#endif

#define CHUNK_BYTES LARGE_PAGE
#define CHUNK_PAGES ((unsigned)(CHUNK_BYTES / PAGE_SIZE))
#define CHUNK_WORDS (CHUNK_PAGES / 64)
/* So many free pages (64 MiB), and an eighth of as many as are in use, stay for those that are wanted next. */
#define FREE_KEEP 16384u

/* The first page of a chunk; the others are what it is for. */
struct slab_chunk {
    struct slab_chunk *next, *before; /* among those that have free pages */
    unsigned nfree;
    uint64_t free[CHUNK_WORDS]; /* bit n: page n is not in use */
};

void *region_map(size_t size)
{
    size_t room = size + CHUNK_BYTES - 1, before, behind;
    uint8_t *p;

    if (room < size)
        return NULL;
    p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & (CHUNK_BYTES - 1);
    size = (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
    behind = ((room + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1)) - before - size;
    if (before)
        munmap(p, before);
    if (behind)
        munmap(p + before + size, behind);
    /* A host without them says so, and that is all right. */
    (void)madvise(p + before, size, MADV_HUGEPAGE);
    return p + before;
}

void region_unmap(void *region, size_t size)
{
    if (region)
        munmap(region, (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1));
}

/* The multiples of `unit` in it. */
static void advise_within(void *from, size_t len, size_t unit, int advice)
{
    uintptr_t first = ((uintptr_t)from + unit - 1) & ~(uintptr_t)(unit - 1), end = ((uintptr_t)from + len) & ~(uintptr_t)(unit - 1);

    if (first < end)
        (void)madvise((uint8_t *)from + (first - (uintptr_t)from), end - first, advice);
}

void memory_in_large_pages(void *from, size_t len)
{
    advise_within(from, len, CHUNK_BYTES, MADV_HUGEPAGE);
}

void memory_at_once(void *from, size_t len)
{
#ifdef MADV_POPULATE_WRITE
    advise_within(from, len, PAGE_SIZE, MADV_POPULATE_WRITE);
#else
    (void)from;
    (void)len;
#endif
}

bool memory_becomes_large(void *from)
{
#ifdef MADV_COLLAPSE
    return !madvise(from, LARGE_PAGE, MADV_COLLAPSE);
#else
    (void)from;
    return false;
#endif
}

/* ---- pages ---- */

static void put_in(struct page_slab *s, struct slab_chunk *c)
{
    c->before = NULL;
    c->next = s->open;
    if (c->next)
        c->next->before = c;
    s->open = c;
}

static void take_out(struct page_slab *s, struct slab_chunk *c)
{
    if (c->before)
        c->before->next = c->next;
    else
        s->open = c->next;
    if (c->next)
        c->next->before = c->before;
}

static void add_chunk(struct page_slab *s)
{
    struct slab_chunk *c = region_map(CHUNK_BYTES);

    if (!c)
        panic(__FILE__, __LINE__, "out of memory");
    for (unsigned i = 0; i < CHUNK_WORDS; i++)
        c->free[i] = UINT64_MAX;
    c->free[0] &= ~(uint64_t)1; /* this one */
    c->nfree = CHUNK_PAGES - 1;
    s->free += c->nfree;
    put_in(s, c);
}

uint8_t *page_slab_take(struct page_slab *s)
{
    struct slab_chunk *c;
    unsigned i = 0, n;

    if (!s->open)
        add_chunk(s);
    c = s->open;
    while (!c->free[i])
        i++;
    n = i * 64 + (unsigned)__builtin_ctzll(c->free[i]);
    c->free[i] &= c->free[i] - 1;
    if (!--c->nfree)
        take_out(s, c);
    s->free--;
    s->used++;
    return (uint8_t *)c + (size_t)n * PAGE_SIZE;
}

static void drop_chunk(struct page_slab *s, struct slab_chunk *c)
{
    take_out(s, c);
    s->free -= CHUNK_PAGES - 1;
    region_unmap(c, CHUNK_BYTES);
}

void page_slab_give(struct page_slab *s, uint8_t *page)
{
    size_t at = (uintptr_t)page & (CHUNK_BYTES - 1);
    struct slab_chunk *c = (struct slab_chunk *)(void *)(page - at);
    unsigned n = (unsigned)(at / PAGE_SIZE);
    uint64_t keep;

    CHECK(n && !(at & (PAGE_SIZE - 1)) && !(c->free[n / 64] >> n % 64 & 1));
    c->free[n / 64] |= (uint64_t)1 << n % 64;
    if (!c->nfree++)
        put_in(s, c);
    s->free++;
    s->used--;
    keep = FREE_KEEP + s->used / 8;
    if (c->nfree == CHUNK_PAGES - 1) {
        if (s->free > keep)
            drop_chunk(s, c);
    } else if (s->free > 2 * keep) {
        (void)madvise(page, PAGE_SIZE, MADV_DONTNEED); /* the chunk cannot go */
    }
}

void page_slab_finish(struct page_slab *s)
{
    CHECK(!s->used);
    while (s->open)
        drop_chunk(s, s->open);
}
