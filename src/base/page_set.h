/*
 * A set of page numbers, for footprints: cheap to add to while the guest runs,
 * small when it is kept.
 */
#ifndef HINDCAST_BASE_PAGE_SET_H
#define HINDCAST_BASE_PAGE_SET_H

#include "base/types.h"

struct page_set {
    uint64_t *slots;  /* open addressing, page + 1; 0: empty. Sorted list once sealed */
    uint32_t count;   /* members */
    uint32_t size;    /* slots allocated, a power of two (or `count` once sealed) */
    uint64_t last;    /* the member added last, plus 1: the common repetition is one compare */
    bool sealed;      /* shrunk to a sorted list: no more additions */
};

void page_set_init(struct page_set *s);
void page_set_finish(struct page_set *s);
/* Forget every member, keep the memory. */
void page_set_clear(struct page_set *s);
void page_set_add(struct page_set *s, uint64_t page);
bool page_set_has(const struct page_set *s, uint64_t page);
/* Is one of the pages from `first` to `last` in it? */
bool page_set_has_any(const struct page_set *s, uint64_t first, uint64_t last);
/* Shrink to a sorted list; additions end here. */
void page_set_seal(struct page_set *s);
/* Bytes of host memory held. */
size_t page_set_bytes(const struct page_set *s);

#endif
