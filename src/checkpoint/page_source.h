/*
 * Where bytes of pages can be had again, at any time and in microseconds, so that checkpoints need no copy of them: what a
 * guest has read of a disk is still in the disk's image.
 */
#ifndef HINDCAST_CHECKPOINT_PAGE_SOURCE_H
#define HINDCAST_CHECKPOINT_PAGE_SOURCE_H

#include "base/types.h"

/* A page there. */
struct page_place {
    uint64_t at;       /* the source's own */
    uint64_t hash;     /* by which it knows whether that page is what it was */
};

struct page_source {
    void *ctx;
    /* Has it a page of these PAGE_SIZE bytes? Then *where says which. Called by the thread of the store's machine. NULL: it has none. */
    bool (*find)(void *ctx, const uint8_t *bytes, struct page_place *where);
    /* The bytes of a page that was found; called by any thread. That they cannot be had any more, it tells by itself: then they are zero. */
    void (*read)(void *ctx, const struct page_place *where, uint8_t *bytes);
};

#endif
