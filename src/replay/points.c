/*
 * Break- and watchpoints: which there are, whether a hit is one, whether a footprint
 * concerns them; and positions at which to stop. See timeline.h.
 */
#include "replay/timeline_internal.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------- points */

size_t points_in_force(const struct timeline *tl, const struct point **list)
{
    *list = tl->search.only ? tl->search.only : tl->points.list;
    return tl->search.only ? 1 : tl->points.count;
}

static uint64_t last_byte(const struct timeline_point *p)
{
    uint64_t last = p->address + (p->len - 1);

    return last < p->address ? UINT64_MAX : last;
}

static bool point_is_at(const struct timeline_point *p, const struct trap_hit *hit)
{
    if (!(p->kinds & hit->kind))
        return false;
    if (hit->kind == TRAP_EXEC)
        return p->address == hit->address;
    return hit->address >= p->address && hit->address <= last_byte(p);
}

/* Id of a point that hits, its condition asked; 0: none. */
static unsigned ask_points(const struct timeline *tl, const struct trap_hit *hit, bool *any)
{
    const struct point *list;
    size_t n = points_in_force(tl, &list);

    *any = false;
    for (size_t i = 0; i < n; i++) {
        const struct timeline_point *p = &list[i].p;

        if (!point_is_at(p, hit) || (p->condition && !p->condition(p->ctx, list[i].id)))
            continue;
        *any = true;
        return list[i].id;
    }
    return 0;
}

/* The machine asks: stop here? */
bool points_on_hit(void *ctx, const struct trap_hit *hit)
{
    struct timeline *tl = ctx;
    struct found *f = &tl->search.found;
    unsigned id;
    bool any;

    if (tl->search.mode == HITS_IGNORED || !(hit->kind & tl->search.hit_kinds) || hit->position < tl->search.not_before)
        return false;
    if (hit->position == (hit->kind == TRAP_EXEC ? tl->search.exec_ignored : tl->search.watch_ignored))
        return false;
    /* Of several accesses of one step, the first is told. */
    if (f->any && f->hit.position == hit->position && f->hit.kind != TRAP_EXEC)
        return tl->search.mode == HITS_STOP;
    id = ask_points(tl, hit, &any);
    if (!any)
        return false;
    *f = (struct found){.any = true, .point = id, .hit = *hit};
    return tl->search.mode == HITS_STOP;
}

static bool pages_concern(const struct page_set *pages, const struct timeline_point *p, bool exec)
{
    uint64_t first = p->address >> PAGE_SHIFT;
    uint64_t last = (exec ? p->address : last_byte(p)) >> PAGE_SHIFT;

    /* Watching more pages than there are to look through is better turned round. */
    if (last - first >= pages->count) {
        for (uint32_t i = 0; i < pages->count; i++) {
            if (pages->slots[i] - 1 >= first && pages->slots[i] - 1 <= last)
                return true;
        }
        return false;
    }
    for (uint64_t page = first; page <= last; page++) {
        if (page_set_has(pages, page))
            return true;
    }
    return false;
}

bool points_concern(const struct timeline *tl, const struct footprint *f)
{
    const struct point *list;
    size_t n = points_in_force(tl, &list);

    for (size_t i = 0; i < n; i++) {
        const struct timeline_point *p = &list[i].p;
        unsigned kinds = p->kinds & tl->search.hit_kinds;

        if (((kinds & TRAP_EXEC) && pages_concern(&f->code, p, true)) ||
            ((kinds & TRAP_WRITE) && pages_concern(&f->written, p, false)) ||
            ((kinds & TRAP_READ) && pages_concern(&f->read, p, false)))
            return true;
    }
    return false;
}

void points_apply(struct timeline *tl)
{
    const struct point *list;
    size_t n = points_in_force(tl, &list);
    struct trap *traps;

    tl->points.stale = false;
    traps = xcalloc(n + 1, sizeof(*traps));
    for (size_t i = 0; i < n; i++)
        traps[i] = (struct trap){list[i].p.address, list[i].p.len, list[i].p.kinds};
    machine_set_traps(tl->m, traps, (unsigned)n);
    free(traps);
}

unsigned timeline_add_point(struct timeline *tl, const struct timeline_point *point)
{
    struct point *p;

    tl->points.list = xrealloc(tl->points.list, (tl->points.count + 1) * sizeof(*tl->points.list));
    p = &tl->points.list[tl->points.count++];
    *p = (struct point){.id = ++tl->points.last_id, .p = *point};
    if (!p->p.len)
        p->p.len = 1;
    tl->points.stale = true;
    return p->id;
}

bool timeline_remove_point(struct timeline *tl, unsigned id)
{
    for (size_t i = 0; i < tl->points.count; i++) {
        if (tl->points.list[i].id != id)
            continue;
        tl->points.count--;
        memmove(&tl->points.list[i], &tl->points.list[i + 1], (tl->points.count - i) * sizeof(*tl->points.list));
        tl->points.stale = true;
        return true;
    }
    return false;
}

unsigned timeline_breakpoint_here(struct timeline *tl)
{
    const struct trap_hit here = {
        .kind = TRAP_EXEC,
        .position = tl->m->st->position,
        .address = tl->m->cpus[0]->ops->pc(tl->m->cpus[0]),
    };
    bool any;

    return ask_points(tl, &here, &any);
}

/* -------------------------------------------------------------- replay breaks */

void timeline_replay_break(struct timeline *tl, icount_t position)
{
    size_t i = 0;

    while (i < tl->points.nbreaks && tl->points.breaks[i] < position)
        i++;
    if (i < tl->points.nbreaks && tl->points.breaks[i] == position)
        return;
    tl->points.breaks = xrealloc(tl->points.breaks, (tl->points.nbreaks + 1) * sizeof(*tl->points.breaks));
    memmove(&tl->points.breaks[i + 1], &tl->points.breaks[i], (tl->points.nbreaks - i) * sizeof(*tl->points.breaks));
    tl->points.breaks[i] = position;
    tl->points.nbreaks++;
}

bool timeline_delete_replay_break(struct timeline *tl, icount_t position)
{
    for (size_t i = 0; i < tl->points.nbreaks; i++) {
        if (tl->points.breaks[i] != position)
            continue;
        tl->points.nbreaks--;
        memmove(&tl->points.breaks[i], &tl->points.breaks[i + 1], (tl->points.nbreaks - i) * sizeof(*tl->points.breaks));
        return true;
    }
    return false;
}

size_t timeline_replay_breaks(const struct timeline *tl, const icount_t **positions)
{
    *positions = tl->points.breaks;
    return tl->points.nbreaks;
}

void points_finish(struct timeline *tl)
{
    free(tl->points.list);
    free(tl->points.breaks);
}
