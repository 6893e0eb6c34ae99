/*
 * Break- and watchpoints: which there are, whether a hit is one, whether they may be hit in a
 * segment; and positions at which to stop. See timeline.h.
 */
#include "replay/timeline_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- points ---- */

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

/* Of an address as CPUs use it? */
static bool is_virtual(const struct timeline_point *p)
{
    return !p->physical && !p->drive;
}

static bool point_is_at(const struct timeline_point *p, const struct trap_hit *hit)
{
    if (!(p->kinds & hit->kind) || !is_virtual(p))
        return false;
    if (hit->kind == TRAP_EXEC)
        return p->address == hit->address;
    return hit->address >= p->address && hit->address <= last_byte(p);
}

static bool counts(const struct point *p, const struct trap_hit *hit)
{
    return !p->p.condition || p->p.condition(p->p.ctx, p->id, hit->cpu);
}

/* A breakpoint that this is a hit of, its condition asked; NULL: none. */
static const struct point *executed_point(const struct timeline *tl, const struct trap_hit *hit)
{
    const struct point *list;
    size_t n = points_in_force(tl, &list);

    for (size_t i = 0; i < n; i++)
        if (point_is_at(&list[i].p, hit) && counts(&list[i], hit))
            return &list[i];
    return NULL;
}

/* How sure it is that a debugger stops for an access. gdb looks at the one watchpoint that it is told of, and
 * goes on without a word where a value that was written is what it was before. */
static unsigned rank_of(const struct timeline_point *p, const struct trap_hit *hit)
{
    if (p->kinds == TRAP_WRITE)
        return hit->changed ? 3 : 0;
    return p->kinds & TRAP_WRITE ? 2 : 1;
}

/* The point that an access hits, its condition asked; NULL: none. The hit's address becomes what the point calls it. */
static const struct point *accessed_point(const struct timeline *tl, struct trap_hit *hit)
{
    const struct point *list, *p;
    size_t n = points_in_force(tl, &list);

    if (hit->storage) {
        const struct point_bytes *b = &tl->points.bytes[hit->trap - 1 - tl->points.nvirtual];

        hit->address = b->address + (hit->address - b->storage);
        return counts(&list[b->point], hit) ? &list[b->point] : NULL;
    }
    for (size_t i = hit->trap ? tl->points.virtuals[hit->trap - 1] : 0; i < n; i++) {
        p = &list[i];
        if (!p->bytes_only && point_is_at(&p->p, hit) && counts(p, hit))
            return p;
        if (hit->trap)
            break;
    }
    return NULL;
}

/* Is it one of those that the step is known to hit? */
static bool is_known(const struct found *f, const struct point *p)
{
    for (unsigned i = 0; i < f->nothers; i++)
        if (f->others[i].point == p->id)
            return true;
    return f->point == p->id;
}

static void add_other(struct found *f, unsigned point, uint64_t address)
{
    if (f->nothers < TIMELINE_MAX_OTHERS)
        f->others[f->nothers++] = (struct timeline_other){point, address};
}

/* Of the accesses of one step the one that is most worth telling is told, the first of equals. */
static bool on_access(struct timeline *tl, struct trap_hit *hit)
{
    struct found *f = &tl->search.found, was = *f;
    bool same_step = f->any && f->hit.position == hit->position && f->hit.kind != TRAP_EXEC;
    const struct point *p = accessed_point(tl, hit);
    unsigned rank = p ? rank_of(&p->p, hit) : 0;

    /* A store that hits by its address hits the bytes, too. */
    if (!p || (same_step && hit->storage && is_known(f, p)))
        return same_step;
    if (same_step && rank <= f->rank) {
        if (p->id != f->point)
            add_other(f, p->id, hit->address);
        return true;
    }
    *f = (struct found){.any = true, .point = p->id, .rank = rank, .hit = *hit};
    if (!same_step)
        return true;
    for (unsigned i = 0; i < was.nothers; i++)
        if (was.others[i].point != p->id)
            add_other(f, was.others[i].point, was.others[i].address);
    if (was.point != p->id)
        add_other(f, was.point, was.hit.address);
    return true;
}

/* The machine asks: stop here? */
bool points_on_hit(void *ctx, const struct trap_hit *hit)
{
    struct timeline *tl = ctx;
    struct trap_hit told = *hit;
    const struct point *p;

    if (tl->search.mode == HITS_IGNORED || !(hit->kind & tl->search.hit_kinds) || hit->position < tl->search.not_before)
        return false;
    if (hit->position == (hit->kind == TRAP_EXEC ? tl->search.exec_ignored : tl->search.watch_ignored))
        return false;
    if (hit->kind == TRAP_EXEC && (tl->search.exec_unasked >> hit->cpu & 1))
        return false;
    if (hit->kind != TRAP_EXEC)
        return on_access(tl, &told) && tl->search.mode == HITS_STOP;
    p = executed_point(tl, hit);
    if (!p)
        return false;
    tl->search.found = (struct found){.any = true, .point = p->id, .hit = *hit};
    return tl->search.mode == HITS_STOP;
}

static bool bytes_concern(const struct timeline *tl, const struct checkpoint *c)
{
    for (size_t i = 0; i < tl->points.nbytes; i++) {
        const struct point_bytes *b = &tl->points.bytes[i];
        uint64_t last = b->storage + (b->len - 1);
        unsigned kinds = b->kinds & tl->search.hit_kinds;

        if (((kinds & TRAP_WRITE) && checkpoint_touched(c, TOUCHED_STORAGE, b->storage, last)) ||
            ((kinds & TRAP_READ) && checkpoint_touched(c, TOUCHED_FETCHED, b->storage, last)))
            return true;
    }
    return false;
}

bool points_concern(const struct timeline *tl, const struct checkpoint *c)
{
    const struct footprint *f = checkpoint_footprint(c);
    const struct point *list;
    size_t n = points_in_force(tl, &list);

    if (!f)
        return n || tl->points.nbytes;
    for (size_t i = 0; i < n; i++) {
        const struct timeline_point *p = &list[i].p;
        unsigned kinds = p->kinds & tl->search.hit_kinds;

        if ((kinds & TRAP_EXEC) && footprint_has_code(f, p->address))
            return true;
        if (!is_virtual(p) || list[i].bytes_only)
            continue;
        if (((kinds & TRAP_WRITE) && checkpoint_touched(c, TOUCHED_WRITTEN, p->address, last_byte(p))) ||
            ((kinds & TRAP_READ) && checkpoint_touched(c, TOUCHED_READ, p->address, last_byte(p))))
            return true;
    }
    return bytes_concern(tl, c);
}

/* The bytes of storage that a point means here: of memory a range for each page that there is. More pages than
 * this, and only accesses to the address count. */
#define BYTES_PAGES 64u

static void add_bytes(struct points *points, const struct point_bytes *b)
{
    points->bytes = xrealloc(points->bytes, (points->nbytes + 1) * sizeof(*points->bytes));
    points->bytes[points->nbytes++] = *b;
}

static void find_memory(struct timeline *tl, size_t point, const struct point *p)
{
    const struct page_space *memory = &tl->m->memory.pages;
    const struct cpu *cpu = tl->m->cpus[tl->eyes];
    uint64_t at = p->p.address, left = last_byte(&p->p) - at + 1;

    for (unsigned pages = 0; left && pages < BYTES_PAGES; pages++) {
        uint64_t n = PAGE_SIZE - (at & ~PAGE_MASK);
        paddr_t pa = at;
        uint32_t page = UINT32_MAX;

        n = n < left ? n : left;
        if (p->p.physical || cpu->ops->translate(cpu, at, &pa))
            page = memory_storage_of(&tl->m->memory, pa);
        if (page != UINT32_MAX)
            add_bytes(&tl->points,
                      &(struct point_bytes){.point = point,
                                            .storage = traps_storage_at(memory, ((uint64_t)page << PAGE_SHIFT) + (pa & ~PAGE_MASK)),
                                            .len = n, .address = at, .kinds = p->p.kinds});
        at += n;
        left -= n;
    }
}

static void find_bytes(struct timeline *tl, size_t point, const struct point *p)
{
    const struct drive *d = p->p.drive;

    if (!d)
        find_memory(tl, point, p);
    else if (p->p.address >> PAGE_SHIFT < d->pages.space.count &&
             p->p.len <= (d->pages.space.count << PAGE_SHIFT) - p->p.address)
        add_bytes(&tl->points, &(struct point_bytes){.point = point,
                                                     .storage = traps_storage_at(&d->pages.space, p->p.address),
                                                     .len = p->p.len, .address = p->p.address, .kinds = p->p.kinds});
}

void points_apply(struct timeline *tl)
{
    const struct point *list;
    size_t n = points_in_force(tl, &list), count = 0;
    struct trap *traps;

    tl->points.nbytes = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].p.kinds & (TRAP_WRITE | TRAP_READ))
            find_bytes(tl, i, &list[i]);
    traps = xcalloc(n + tl->points.nbytes + 1, sizeof(*traps));
    tl->points.virtuals = xrealloc(tl->points.virtuals, (n + 1) * sizeof(*tl->points.virtuals));
    for (size_t i = 0; i < n; i++) {
        if (!is_virtual(&list[i].p) || list[i].bytes_only)
            continue;
        tl->points.virtuals[count] = i;
        traps[count++] = (struct trap){.address = list[i].p.address, .len = list[i].p.len, .kinds = list[i].p.kinds};
    }
    tl->points.nvirtual = count;
    for (size_t i = 0; i < tl->points.nbytes; i++)
        traps[count++] = (struct trap){.address = tl->points.bytes[i].storage, .len = tl->points.bytes[i].len,
                                       .kinds = tl->points.bytes[i].kinds, .storage = true};
    if (machine_set_traps(tl->m, traps, (unsigned)count))
        run_changed(tl);
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
    return p->id;
}

bool timeline_remove_point(struct timeline *tl, unsigned id)
{
    for (size_t i = 0; i < tl->points.count; i++) {
        if (tl->points.list[i].id != id)
            continue;
        tl->points.count--;
        memmove(&tl->points.list[i], &tl->points.list[i + 1], (tl->points.count - i) * sizeof(*tl->points.list));
        return true;
    }
    return false;
}

unsigned timeline_breakpoint_here(struct timeline *tl, unsigned cpu)
{
    const struct trap_hit here = {
        .kind = TRAP_EXEC,
        .cpu = cpu,
        .position = tl->m->st->position,
        .address = tl->m->cpus[cpu]->ops->pc(tl->m->cpus[cpu]),
    };
    const struct point *p = executed_point(tl, &here);

    return p ? p->id : 0;
}

/* ---- replay breaks ---- */

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
    free(tl->points.bytes);
    free(tl->points.virtuals);
}
