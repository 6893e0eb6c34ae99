/*
 * The timeline: making it, break- and watchpoints, what the outside does to the
 * guest, named snapshots. Running is in run.c, moving about in navigate.c, the
 * machine's questions in env.c.
 */
#include "replay/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_internal.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)
#define DEFAULT_LADDER 1000u

/* -------------------------------------------------------------------- points */

size_t points_in_force(const struct timeline *tl, const struct point **list)
{
    *list = tl->only ? tl->only : tl->points;
    return tl->only ? 1 : tl->npoints;
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
static bool on_hit(void *ctx, const struct trap_hit *hit)
{
    struct timeline *tl = ctx;
    struct found *f = &tl->found;
    unsigned id;
    bool any;

    if (tl->mode == HITS_IGNORED || !(hit->kind & tl->hit_kinds) || hit->position < tl->not_before)
        return false;
    if (hit->position == (hit->kind == TRAP_EXEC ? tl->exec_ignored : tl->watch_ignored))
        return false;
    /* Of several accesses of one step, the first is told. */
    if (f->any && f->hit.position == hit->position && f->hit.kind != TRAP_EXEC)
        return tl->mode == HITS_STOP;
    id = ask_points(tl, hit, &any);
    if (!any)
        return false;
    *f = (struct found){.any = true, .point = id, .hit = *hit};
    return tl->mode == HITS_STOP;
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
        unsigned kinds = p->kinds & tl->hit_kinds;

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

    tl->traps_stale = false;
    traps = xcalloc(n + 1, sizeof(*traps));
    for (size_t i = 0; i < n; i++)
        traps[i] = (struct trap){list[i].p.address, list[i].p.len, list[i].p.kinds};
    machine_set_traps(tl->m, traps, (unsigned)n);
    free(traps);
}

unsigned timeline_add_point(struct timeline *tl, const struct timeline_point *point)
{
    struct point *p;

    tl->points = xrealloc(tl->points, (tl->npoints + 1) * sizeof(*tl->points));
    p = &tl->points[tl->npoints++];
    *p = (struct point){.id = ++tl->last_id, .p = *point};
    if (!p->p.len)
        p->p.len = 1;
    tl->traps_stale = true;
    return p->id;
}

bool timeline_remove_point(struct timeline *tl, unsigned id)
{
    for (size_t i = 0; i < tl->npoints; i++) {
        if (tl->points[i].id != id)
            continue;
        tl->npoints--;
        memmove(&tl->points[i], &tl->points[i + 1], (tl->npoints - i) * sizeof(*tl->points));
        tl->traps_stale = true;
        return true;
    }
    return false;
}

unsigned timeline_breakpoint_here(struct timeline *tl)
{
    const struct trap_hit here = {
        .kind = TRAP_EXEC,
        .position = tl->m->st->position,
        .address = tl->m->cpu->ops->pc(tl->m->cpu),
    };
    bool any;

    return ask_points(tl, &here, &any);
}

/* -------------------------------------------------------------- replay breaks */

void timeline_replay_break(struct timeline *tl, icount_t position)
{
    size_t i = 0;

    while (i < tl->nbreaks && tl->breaks[i] < position)
        i++;
    if (i < tl->nbreaks && tl->breaks[i] == position)
        return;
    tl->breaks = xrealloc(tl->breaks, (tl->nbreaks + 1) * sizeof(*tl->breaks));
    memmove(&tl->breaks[i + 1], &tl->breaks[i], (tl->nbreaks - i) * sizeof(*tl->breaks));
    tl->breaks[i] = position;
    tl->nbreaks++;
}

bool timeline_delete_replay_break(struct timeline *tl, icount_t position)
{
    for (size_t i = 0; i < tl->nbreaks; i++) {
        if (tl->breaks[i] != position)
            continue;
        tl->nbreaks--;
        memmove(&tl->breaks[i], &tl->breaks[i + 1], (tl->nbreaks - i) * sizeof(*tl->breaks));
        return true;
    }
    return false;
}

size_t timeline_replay_breaks(const struct timeline *tl, const icount_t **positions)
{
    *positions = tl->breaks;
    return tl->nbreaks;
}

/* --------------------------------------------------- what the outside does */

/* May the guest be acted upon here? */
static int check_at_edge(const struct timeline *tl, const char *what, struct error *err)
{
    if (!tl->cfg.live)
        return error_set(err, -EROFS, "cannot %s: this is a recording, and a recording cannot be changed "
                         "(--continue-live goes on at its end)", what);
    if (tl->m->st->position < tl->edge)
        return error_set(err, -EROFS,
                         "cannot %s in the past: this is position %llu, the guest has run to %llu; "
                         "history cannot be changed, go to its end first (monitor seek %llu)",
                         what, (unsigned long long)tl->m->st->position, (unsigned long long)tl->edge,
                         (unsigned long long)tl->edge);
    return 0;
}

/* Record an event that is a step and make that step. */
static void step_event(struct timeline *tl, uint16_t kind, const void *data, uint32_t len)
{
    icount_t here = tl->m->st->position;

    env_append_step(tl, kind, data, len);
    tl->mode = HITS_IGNORED;
    tl->uninterruptible = true;
    CHECK(run_to(tl, here + 1) == RUN_LIMIT);
    tl->uninterruptible = false;
}

/* Is there memory behind all of [address, address + len)? */
static bool memory_is_there(struct timeline *tl, uint64_t address, bool physical, uint32_t len)
{
    const struct cpu *cpu = tl->m->cpu;

    while (len) {
        uint64_t n = PAGE_SIZE - (address & ~PAGE_MASK);
        paddr_t pa = address;

        if (!physical && !cpu->ops->translate(cpu, address, &pa))
            return false;
        if (memory_page_of(&tl->m->memory, pa) == UINT32_MAX)
            return false;
        if (n >= len)
            return true;
        address += n;
        len -= (uint32_t)n;
    }
    return true;
}

int timeline_write_memory(struct timeline *tl, uint64_t address, bool physical, const void *data,
                          uint32_t len, struct error *err)
{
    uint8_t flag = physical;
    struct buffer b;
    int r = check_at_edge(tl, "write memory", err);

    if (r < 0)
        return r;
    if (!len)
        return 0;
    if (!memory_is_there(tl, address, physical, len))
        return error_set(err, -EFAULT, "cannot write memory: there is none at all of 0x%llx..0x%llx",
                         (unsigned long long)address, (unsigned long long)(address + (len - 1)));
    buffer_init(&b);
    buffer_append(&b, &address, sizeof(address));
    buffer_append(&b, &flag, 1);
    buffer_append(&b, data, len);
    step_event(tl, EVENT_WRITE_MEMORY, b.data, (uint32_t)b.len);
    buffer_finish(&b);
    return 0;
}

/* Would the CPU take this value? Tried on the state, which is then put back. */
static bool register_takes(struct timeline *tl, uint32_t number, const void *value)
{
    struct machine *m = tl->m;
    uint8_t *arena = xmalloc(m->arena_len);
    bool takes;

    memcpy(arena, m->arena, m->arena_len);
    takes = m->cpu->ops->write_reg(m->cpu, number, value);
    memcpy(m->arena, arena, m->arena_len);
    machine_restored(m);
    free(arena);
    return takes;
}

int timeline_write_register(struct timeline *tl, unsigned number, const void *value, uint32_t len,
                            struct error *err)
{
    const struct cpu_ops *ops = tl->m->cpu->ops;
    uint32_t n = number;
    struct buffer b;
    int r = check_at_edge(tl, "write a register", err);

    if (r < 0)
        return r;
    if (number >= ops->nregs)
        return error_set(err, -EINVAL, "there is no register number %u", number);
    if (len != ops->regs[number].bits / 8u)
        return error_set(err, -EINVAL, "register %s has %u bits, not %u", ops->regs[number].name,
                         (unsigned)ops->regs[number].bits, len * 8);
    if (!register_takes(tl, n, value))
        return error_set(err, -EINVAL, "register %s cannot be written, or not with this value",
                         ops->regs[number].name);
    buffer_init(&b);
    buffer_append(&b, &n, sizeof(n));
    buffer_append(&b, value, len);
    step_event(tl, EVENT_WRITE_REGISTER, b.data, (uint32_t)b.len);
    buffer_finish(&b);
    return 0;
}

int timeline_reset(struct timeline *tl, struct error *err)
{
    int r = check_at_edge(tl, "reset the machine", err);

    if (r < 0)
        return r;
    step_event(tl, EVENT_RESET, NULL, 0);
    return 0;
}

int timeline_powerdown(struct timeline *tl, struct error *err)
{
    int r = check_at_edge(tl, "press the power button", err);

    if (r < 0)
        return r;
    step_event(tl, EVENT_POWERDOWN, NULL, 0);
    return 0;
}

/* ----------------------------------------------------------------- snapshots */

static struct timeline_snapshot *find_snapshot(const struct timeline *tl, const char *name)
{
    for (size_t i = 0; i < tl->nsnapshots; i++) {
        if (!strcmp(tl->snapshots[i].name, name))
            return &tl->snapshots[i];
    }
    return NULL;
}

static struct timeline_snapshot *need_snapshot(const struct timeline *tl, const char *name, struct error *err)
{
    struct timeline_snapshot *s = find_snapshot(tl, name);

    if (!s)
        error_set(err, -ENOENT, "Snapshot '%s' does not exist (info snapshots lists those that do)", name);
    return s;
}

/* Its checkpoint need not be kept for it any more. */
static void let_go(struct timeline *tl, const struct timeline_snapshot *s)
{
    struct checkpoint *c = checkpoint_at(tl->store, s->position);

    if (!s->pinned)
        return;
    CHECK(c);
    checkpoint_unpin(c);
}

/* The one of that name, which begins to exist if need be. */
static struct timeline_snapshot *make_snapshot(struct timeline *tl, const char *name)
{
    struct timeline_snapshot *s = find_snapshot(tl, name);

    tl->snapshot_changes++;
    if (s) {
        let_go(tl, s);
        s->pinned = false;
        return s;
    }
    tl->snapshots = xrealloc(tl->snapshots, (tl->nsnapshots + 1) * sizeof(*tl->snapshots));
    s = &tl->snapshots[tl->nsnapshots++];
    *s = (struct timeline_snapshot){.name = xstrdup(name)};
    return s;
}

int timeline_save_snapshot(struct timeline *tl, const char *name, uint64_t made_ns, struct error *err)
{
    struct timeline_snapshot *s;

    if (!*name)
        return error_set(err, -EINVAL, "a snapshot needs a name");
    s = make_snapshot(tl, name);
    checkpoint_pin(run_checkpoint(tl, CHECKPOINT_AUTO));
    s->pinned = true;
    s->position = tl->m->st->position;
    s->vtime = machine_now(tl->m);
    s->made_ns = made_ns;
    return 0;
}

void timeline_adopt_snapshot(struct timeline *tl, const struct timeline_snapshot *snapshot)
{
    struct timeline_snapshot *s = make_snapshot(tl, snapshot->name);

    s->position = snapshot->position;
    s->vtime = snapshot->vtime;
    s->made_ns = snapshot->made_ns;
}

uint64_t timeline_snapshot_changes(const struct timeline *tl)
{
    return tl->snapshot_changes;
}

int timeline_load_snapshot(struct timeline *tl, const char *name, struct timeline_stop *stop, struct error *err)
{
    const struct timeline_snapshot *s = need_snapshot(tl, name, err);

    if (!s)
        return -ENOENT;
    timeline_seek(tl, s->position, stop);
    return 0;
}

int timeline_delete_snapshot(struct timeline *tl, const char *name, struct error *err)
{
    struct timeline_snapshot *s = need_snapshot(tl, name, err);

    if (!s)
        return -ENOENT;
    let_go(tl, s);
    tl->snapshot_changes++;
    free(s->name);
    tl->nsnapshots--;
    memmove(s, s + 1, (tl->nsnapshots - (size_t)(s - tl->snapshots)) * sizeof(*s));
    return 0;
}

size_t timeline_snapshots(const struct timeline *tl, const struct timeline_snapshot **list)
{
    *list = tl->snapshots;
    return tl->nsnapshots;
}

void timeline_checkpoint(struct timeline *tl)
{
    run_checkpoint(tl, CHECKPOINT_AUTO);
    run_trim(tl);
}

/* ---------------------------------------------------- making and looking at it */

struct timeline *timeline_create(struct machine *m, const struct timeline_config *config,
                                 const struct timeline_host *host)
{
    struct timeline *tl = xcalloc(1, sizeof(*tl));

    tl->m = m;
    tl->cfg = *config;
    tl->host = *host;
    if (!tl->cfg.checkpoint_memory)
        tl->cfg.checkpoint_memory = DEFAULT_MEMORY;
    if (!tl->cfg.ladder_steps)
        tl->cfg.ladder_steps = DEFAULT_LADDER;
    tl->log = event_log_create();
    tl->store = checkpoint_store_create(m, tl->cfg.checkpoint_memory);
    tl->first = tl->edge = m->st->position;
    tl->edge_vtime = machine_now(m);
    tl->slept_position = ICOUNT_MAX;
    env_init(tl);
    diverge_init(tl);
    m->traps->hit = on_hit;
    m->traps->ctx = tl;
    run_init(tl);
    return tl;
}

void timeline_adopt(struct timeline *tl, struct event_log *log, icount_t edge, vtime_t edge_vtime,
                    struct witness_log *witnesses)
{
    CHECK(tl->edge == tl->first && !event_log_count(tl->log) && edge >= tl->edge);
    event_log_destroy(tl->log);
    tl->log = log;
    tl->edge = edge;
    tl->edge_vtime = edge_vtime;
    tl->witness_due = edge + tl->witness_gap;
    if (witnesses && witnesses->shape.ncomponents == tl->witnesses.shape.ncomponents &&
        witnesses->shape.nregs == tl->witnesses.shape.nregs) {
        witness_log_finish(&tl->witnesses);
        tl->witnesses = *witnesses;
        *witnesses = (struct witness_log){.count = 0};
    }
    env_seek(tl);
    /* There may be checkpoints ahead by now. */
    run_trim(tl);
}

const struct witness_log *timeline_witnesses(const struct timeline *tl)
{
    return &tl->witnesses;
}

void timeline_set_checks(struct timeline *tl, const icount_t *positions, size_t count,
                         bool (*check)(void *ctx, size_t n, const struct checkpoint *c, struct error *err), void *ctx)
{
    tl->checks = positions;
    tl->nchecks = count;
    tl->check = check;
    tl->check_ctx = ctx;
    tl->next_check = 0;
    while (tl->next_check < count && positions[tl->next_check] < tl->m->st->position)
        tl->next_check++;
}

struct checkpoint_store *timeline_checkpoint_store(struct timeline *tl)
{
    return tl->store;
}

void timeline_destroy(struct timeline *tl)
{
    if (!tl)
        return;
    run_finish(tl);
    env_finish(tl);
    diverge_finish(tl);
    tl->m->traps->hit = NULL;
    checkpoint_store_destroy(tl->store);
    event_log_destroy(tl->log);
    machine_destroy(tl->m);
    for (size_t i = 0; i < tl->nsnapshots; i++)
        free(tl->snapshots[i].name);
    free(tl->snapshots);
    free(tl->breaks);
    free(tl->points);
    free(tl);
}

struct machine *timeline_machine(struct timeline *tl)
{
    return tl->m;
}

const struct event_log *timeline_log(const struct timeline *tl)
{
    return tl->log;
}

const struct checkpoint_store *timeline_checkpoints(const struct timeline *tl)
{
    return tl->store;
}

icount_t timeline_position(const struct timeline *tl)
{
    return tl->m->st->position;
}

icount_t timeline_edge(const struct timeline *tl)
{
    return tl->edge;
}

vtime_t timeline_edge_vtime(const struct timeline *tl)
{
    return tl->edge_vtime;
}

icount_t timeline_first(const struct timeline *tl)
{
    return tl->first;
}

bool timeline_at_edge(const struct timeline *tl)
{
    return tl->m->st->position == tl->edge;
}

const char *timeline_divergence(const struct timeline *tl)
{
    return tl->bad != ICOUNT_MAX ? tl->divergence.text : NULL;
}

void timeline_stats(const struct timeline *tl, struct timeline_stats *stats)
{
    *stats = tl->stats;
}
