/*
 * Sets of pages compared with each other.
 */
#ifndef HINDCAST_TESTS_PAGE_SETS_H
#define HINDCAST_TESTS_PAGE_SETS_H

#include "base/page_set.h"

/* Has `whole` every page or chunk that `part` has? */
static inline bool page_set_is_part(const struct page_set *part, const struct page_set *whole)
{
    for (uint32_t i = 0; i < part->size; i++) {
        const struct page_group *g = &part->groups[i];

        /* (Asked for several chunks, a set says whether it has one of them.) */
        for (uint64_t mask = g->mask; mask; mask &= mask - 1)
            if (!page_set_has_chunks(whole, part->in_chunks ? g->key - 1 : (g->key - 1) * 64 + (uint64_t)__builtin_ctzll(mask), mask & -mask))
                return false;
    }
    return true;
}

#endif
