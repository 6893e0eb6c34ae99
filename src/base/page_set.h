/*
 * A set of page numbers, for footprints: cheap to add to while the guest runs,
 * small when it is kept. The members of one may be pages as wholes, or some of the 64 chunks of each.
 *
 * Members that lie beside one another are bits of one word: so many pages in a row cost a 64th of as many that lie apart.
 */
#ifndef HINDCAST_BASE_PAGE_SET_H
#define HINDCAST_BASE_PAGE_SET_H

#include "base/types.h"

/* 64 members: of a set of pages as wholes those from key * 64 on, else the chunks of page `key`. */
struct page_group {
    uint64_t key;     /* plus 1; 0: free */
    uint64_t mask;
};

struct page_set {
    struct page_group *groups; /* open addressing; sorted once sealed */
    uint32_t count;   /* groups */
    uint32_t size;    /* allocated, a power of two (or `count` once sealed) */
    uint64_t last;    /* the page added last as a whole, plus 1: the common repetition is one compare */
    bool in_chunks;
    bool sealed;      /* shrunk to a sorted list: no more additions */
};

#define PAGE_CHUNK_SHIFT 6 /* log2 of the bytes of a chunk */

/* The chunks of a page that the bytes [offset, offset + len) of it are in; len is not 0. */
static inline uint64_t page_chunks(unsigned offset, unsigned len)
{
    unsigned first = offset >> PAGE_CHUNK_SHIFT, last = (offset + len - 1) >> PAGE_CHUNK_SHIFT;

    return (UINT64_MAX << first) & (UINT64_MAX >> (63 - last));
}

void page_set_init(struct page_set *s);
void page_set_finish(struct page_set *s);
/* Forget every member, keep the memory. */
void page_set_clear(struct page_set *s);
void page_set_add(struct page_set *s, uint64_t page);
/* A set has whole pages or chunks, never both. */
void page_set_add_chunks(struct page_set *s, uint64_t page, uint64_t chunks);
bool page_set_has(const struct page_set *s, uint64_t page);
/* One of these chunks of the page; of a set of whole pages: the page. */
bool page_set_has_chunks(const struct page_set *s, uint64_t page, uint64_t chunks);
/* Is one of the pages from `first` to `last` in it? */
bool page_set_has_any(const struct page_set *s, uint64_t first, uint64_t last);
/* Add all that `sealed` has. */
void page_set_join(struct page_set *s, const struct page_set *sealed);
/* Shrink to a sorted list; additions end here. */
void page_set_seal(struct page_set *s);
/* The members of a set of whole pages, which is sealed, in order: an array of *n of them that is the caller's. */
uint64_t *page_set_list(const struct page_set *sealed, size_t *n);
/* Bytes of host memory held. */
size_t page_set_bytes(const struct page_set *s);

#endif
