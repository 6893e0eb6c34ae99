/* Virtual time of a machine whose CPUs stand still. */
#ifndef HINDCAST_TESTS_CHIP_TIME_H
#define HINDCAST_TESTS_CHIP_TIME_H

#include "vm/machine.h"

/* Serve the first deadline that is not after `until`, at its moment. NULL: there is none. */
static inline struct device *expire_next(struct machine *m, vtime_t until)
{
    struct device *next = NULL;
    vtime_t least = VTIME_NEVER;

    for (unsigned i = 0; i < m->ndevices; i++) {
        struct device *d = m->devices[i];
        vtime_t at = d->ops->deadline ? d->ops->deadline(d) : VTIME_NEVER;

        if (at < least) {
            least = at;
            next = d;
        }
    }
    if (!next || least > until)
        return NULL;
    if (least > m->st->warp)
        m->st->warp = least;
    m->acting = next->name;
    next->ops->expire(next, m->st->warp);
    m->acting = NULL;
    return next;
}

#endif
