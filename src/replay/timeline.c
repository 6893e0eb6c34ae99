/*
 * The timeline: making it, giving it a history, looking at it. What it is made of is in
 * timeline_internal.h, with the file that owns each part.
 */
#include "replay/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "replay/timeline_internal.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)
#define DEFAULT_LADDER 1000u

void timeline_checkpoint(struct timeline *tl)
{
    place_checkpoint(tl, CHECKPOINT_AUTO);
    place_trim(tl);
}

static uint64_t work_clock(void *ctx)
{
    return run_work_now(ctx);
}

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
    checkpoint_store_clock(tl->store, work_clock, tl);
    originals_init(tl);
    tl->seat = checkpoint_own_seat(tl->store);
    tl->first = tl->edge = m->st->position;
    tl->edge_vtime = machine_now(m);
    env_init(tl);
    diverge_init(tl);
    m->traps->hit = points_on_hit;
    m->traps->ctx = tl;
    tl->outside = true;
    run_init(tl);
    place_init(tl);
    branches_init(tl);
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
    tl->truth.witness_due = edge + tl->truth.witness_gap;
    if (witnesses && witnesses->shape.ncomponents == tl->truth.witnesses.shape.ncomponents &&
        witnesses->shape.nregs == tl->truth.witnesses.shape.nregs) {
        witness_log_finish(&tl->truth.witnesses);
        tl->truth.witnesses = *witnesses;
        *witnesses = (struct witness_log){.count = 0};
    }
    env_seek(tl);
    /* There may be checkpoints ahead by now. */
    place_trim(tl);
}

const struct witness_log *timeline_witnesses(const struct timeline *tl)
{
    return &tl->truth.witnesses;
}

void timeline_set_checks(struct timeline *tl, const icount_t *positions, size_t count,
                         bool (*check)(void *ctx, size_t n, const struct checkpoint *c, struct error *err), void *ctx)
{
    struct truth *t = branches_trunk_truth(tl);

    t->checks = positions;
    t->nchecks = count;
    t->check = check;
    t->check_ctx = ctx;
    t->next_check = 0;
    while (t->next_check < count && positions[t->next_check] < tl->m->st->position)
        t->next_check++;
}

struct checkpoint_store *timeline_checkpoint_store(struct timeline *tl)
{
    return tl->store;
}

void timeline_destroy(struct timeline *tl)
{
    if (!tl)
        return;
    crew_destroy(tl->crew);
    branches_finish(tl);
    place_finish(tl);
    env_finish(tl);
    diverge_finish(tl);
    originals_finish(tl);
    tl->m->traps->hit = NULL;
    checkpoint_store_destroy(tl->store);
    event_log_destroy(tl->log);
    machine_destroy(tl->m);
    snapshots_finish(tl);
    points_finish(tl);
    free(tl);
}

bool timeline_lost(const struct timeline *tl)
{
    return originals_lost(tl, NULL, 0);
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
    return tl->truth.bad != ICOUNT_MAX ? tl->truth.divergence.text : NULL;
}

void timeline_stats(const struct timeline *tl, struct timeline_stats *stats)
{
    *stats = tl->stats;
}
