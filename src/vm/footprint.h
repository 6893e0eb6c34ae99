/* The virtual pages that the CPUs ran, wrote and read during a stretch of
 * history; what lets a reverse search skip the stretch. */
#ifndef HINDCAST_VM_FOOTPRINT_H
#define HINDCAST_VM_FOOTPRINT_H

#include "base/page_set.h"

struct machine;

struct footprint {
    struct page_set code;    /* virtual page numbers */
    struct page_set written;
    struct page_set read;
};

void footprint_init(struct footprint *f);
void footprint_finish(struct footprint *f);

/* Start noting into `f` (NULL: stop). Drops the caches whose hits would go
 * unnoticed (jump cache, TLB), so that every page used from here on is seen. */
void machine_set_footprint(struct machine *m, struct footprint *f);

#endif
