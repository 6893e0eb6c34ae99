/* The chunks of virtual pages that the CPUs ran, the pages that they wrote and read during a stretch of history, and the pages of storage that
 * anybody wrote and that devices read; what lets a reverse search skip the stretch. A superset is allowed, a miss is
 * not. */
#ifndef HINDCAST_VM_FOOTPRINT_H
#define HINDCAST_VM_FOOTPRINT_H

#include "base/page_set.h"
#include "vm/touches.h"

struct machine;

struct footprint {
    struct page_set code;    /* virtual page numbers, and which chunks of these pages */
    struct page_set written; /* virtual page numbers */
    struct page_set read;
    struct page_set storage; /* global numbers (vm/page_space.h) of pages of memory and drives that anybody wrote, */
    struct page_set fetched; /* and that devices read */
    struct page_set loaded;  /* the same of pages of memory that CPUs loaded from */
};

void footprint_init(struct footprint *f);
void footprint_finish(struct footprint *f);
/* Forget everything; no more will be added (page_set_seal()); add what `more` has, which is sealed. */
void footprint_clear(struct footprint *f);
void footprint_seal(struct footprint *f);
void footprint_join(struct footprint *f, const struct footprint *more);
/* `len` bytes of code from `va` on, all in one page, are run. */
void footprint_add_code(struct footprint *f, uint64_t va, unsigned len);
/* May the byte at `va` have been run as one of an instruction? */
bool footprint_has_code(const struct footprint *f, uint64_t va);
/* The set of those that were touched so. */
const struct page_set *footprint_set(const struct footprint *f, enum touched how);
/* Host memory held. */
size_t footprint_bytes(const struct footprint *f);

/* The footprint noted until now is complete (before that it may lack code); start noting into `f`, unless that is NULL. Drops the caches
 * whose hits would go unnoticed (the TLB), so that all that is used from here on is seen. */
void machine_set_footprint(struct machine *m, struct footprint *f);

#endif
