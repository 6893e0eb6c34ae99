/*
 * Which bytes of a page were touched during a stretch of history, in granules of 8: finer than a footprint, and of few pages
 * only: those that somebody had access traps on, who therefore saw each access go by. Who asks for other bytes of such a page
 * later can skip the stretch, though its footprint has the page. A superset is allowed, a miss is not.
 */
#ifndef HINDCAST_VM_TOUCHES_H
#define HINDCAST_VM_TOUCHES_H

#include "base/types.h"

struct footprint;
struct traps;

/* How a page was touched: which set of a footprint (vm/footprint.h) has its number, and what kind of number that is. */
enum touched { TOUCHED_WRITTEN, TOUCHED_READ, TOUCHED_STORAGE, TOUCHED_FETCHED, TOUCHED_LOADED };

#define TOUCHES_MOST     32u /* pages that are followed at a time, and that are kept of a stretch */
#define TOUCHES_GRANULE  3   /* log2 of the bytes of a granule */
#define TOUCHES_WORDS    (PAGE_SIZE >> TOUCHES_GRANULE >> 6)

struct touch_map {
    uint64_t page;
    enum touched how;
    uint64_t granules[TOUCHES_WORDS]; /* bit n % 64 of word n / 64: granule n */
};

struct touches {
    unsigned count;
    struct touch_map maps[TOUCHES_MOST];
};

/* Host memory of one with so many pages; what is kept is cut off there. */
size_t touches_bytes(const struct touches *t);
/* Begin anew with the pages of access traps, the first TOUCHES_MOST of them: nothing is touched. */
void touches_follow(struct touches *t, const struct traps *traps);
/* The same pages: nothing is touched. */
void touches_clear(struct touches *t);
/* These bytes of a page were touched, if it is one that is followed; not beyond its end. */
void touches_add(struct touches *t, enum touched how, uint64_t page, unsigned offset, unsigned len);
/* What is known of a page; NULL: nothing. */
const struct touch_map *touches_of(const struct touches *t, enum touched how, uint64_t page);
/* One of the granules with bytes from offset `first` to `last`? */
bool touch_map_has(const struct touch_map *map, unsigned first, unsigned last);
/* `more` was found out about the same stretch: only what both say was touched can have been. Of too many pages those go
 * that were added first. Pages that the stretch's footprint (NULL: unknown) does not have are left out. */
void touches_narrow(struct touches *t, const struct touches *more, const struct footprint *f);
/* Of two neighbouring stretches put together: pages of which both know. `t` is none of them. Any may be NULL: nothing is known. */
void touches_join(struct touches *t, const struct touches *a, const struct footprint *fa, const struct touches *b, const struct footprint *fb);

#endif
