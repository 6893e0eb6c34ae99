/*
 * Host memory in large pieces: regions that come zeroed, as they are touched, and in the host's large pages if it has
 * them to give (madvise(2), MADV_HUGEPAGE); and pages of 4 KiB out of such regions.
 *
 * A large page costs one fault where 512 small ones cost each its own, and the processor's own TLB reaches further.
 * That is all they do: everything works without.
 */
#ifndef HINDCAST_BASE_BIG_MEMORY_H
#define HINDCAST_BASE_BIG_MEMORY_H

#include "base/types.h"

/* A large page, as far as is minded here. */
#define LARGE_PAGE ((size_t)2 << 20)

/* `size` bytes, zero, aligned to LARGE_PAGE, none of them taken from the host before it is touched. NULL: there is no such room. */
void *region_map(size_t size);
/* The same size again. NULL is none. */
void region_unmap(void *region, size_t size);

/* Memory that somebody else has taken, and is about to fill: in large pages as far as it goes; or in small ones, but all at once, not
 * at a fault each. */
void memory_in_large_pages(void *from, size_t len);
void memory_at_once(void *from, size_t len);
/* What there is of memory at `from`, a multiple of LARGE_PAGE, becomes one large page now, even where the host's settings give none
 * (shared memory is given in large pages to few; Linux 6.1 does it when told to). False: it stays in small ones. */
bool memory_becomes_large(void *from);

/* Pages of 4 KiB out of chunks of 2 MiB. All zero bytes is an empty one. What is given back is used again; of what is free beyond
 * 64 MiB and an eighth of what was in use, empty chunks go back to the host, and beyond twice that single pages, too. */
struct page_slab {
    struct slab_chunk *open; /* chunks that have free pages */
    uint64_t used, free;     /* pages in use; free ones in chunks */
};

/* A page whose bytes are anything. Ends the program when there is no memory. */
uint8_t *page_slab_take(struct page_slab *s);
void page_slab_give(struct page_slab *s, uint8_t *page);
/* All pages have been given back. */
void page_slab_finish(struct page_slab *s);

#endif
