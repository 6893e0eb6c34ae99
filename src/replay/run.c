/*
 * Running forward, in the past and at the live edge.
 *
 * Slices. machine_run() is called for a slice at a time, so that the host is
 * looked at every few milliseconds whatever the guest does. The number of steps
 * in a slice follows measured speed (about SLICE_NS each). Where slices end never
 * influences state: the machine stops at exact positions anyway.
 *
 * Idling. The machine never warps its clock by itself (stop_when_idle): in the
 * past we warp to the next deadline or event at once; at the edge we do it after
 * the time has passed for real (sleep=on) or at once (sleep=off). A sleep that
 * input ends early is recorded by nothing but that event's position and time.
 * A sleep that is interrupted, by Ctrl-C, is neither undone nor forgotten: the
 * machine goes back to its canonical state, and when it runs again the clock
 * jumps to where it was (edge_vtime), and the rest is slept.
 *
 * Where checkpoints are placed (policy)
 * -------------------------------------
 * What a checkpoint saves is host time, so they are placed by host time spent
 * running; time slept does not count.
 *
 * At the live edge one is placed every 10 ms, so that the first step backwards
 * from wherever the guest stops costs at most that. Should taking one cost more
 * than a sixtieth of the interval (a guest that dirties memory very fast), the
 * interval grows to 20 ms, and beyond that only where checkpoints would take a
 * twelfth of the time. The last sixteen stay; behind them, as they get older, only
 * those are kept that are needed for a spacing of 250 ms. Pages that only the
 * dropped ones held go with them.
 *
 * When the past is run again and 250 ms go by without meeting a checkpoint, one
 * is placed: whoever is interested in a stretch of history pays for it once.
 *
 * After any reverse operation the way to where it ends gets a ladder of rungs,
 * ever closer to it (navigate.c). Rungs are the first to go: only the few dozen
 * that are nearest to the present stay.
 *
 * What has to go for want of memory is the checkpoint store's business.
 *
 * Footprints. Whenever we run from a checkpoint whose segment has none, the
 * pages that the CPU touches are noted until a checkpoint, placed or met, is
 * FOOTPRINT_NS of host time away; to begin anew costs the CPU its caches. All
 * segments on the way share what was noted.
 */
#include "replay/timeline_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS     1000000u   /* host time that a slice aims at */
#define POLL_NS      4000000u   /* the host is asked this often */
#define SLICE_FIRST  20000u     /* steps */
#define SLICE_MIN    1000u
#define SLICE_MAX    (UINT64_C(1) << 24)
/* Most steps of a slice while conditions are evaluated at hits: one can cost more
 * than the hundred steps around it. */
#define SLICE_CONDITIONS 20000u

#define LASTING_NS   250000000u
#define EDGE_NS      10000000u
#define EDGE_NS_SLOW 20000000u
#define FOOTPRINT_NS 50000000u
/* An interval is at least that many times the cost of taking: as long as that is
 * not more than EDGE_NS_SLOW, and when it is. */
#define EDGE_COST      64
#define EDGE_COST_SLOW 12
#define EDGE_KEEP    16         /* recent ones that consolidation leaves alone */
#define RUNGS_KEEP   32

/* A known segment of fewer steps is sooner run than jumped over. */
#define SKIP_STEPS   100000u

static uint64_t host_now(const struct timeline *tl)
{
    return tl->host.now_ns(tl->host.ctx);
}

/* ----------------------------------------------------- segments, footprints */

/* What was noted up to the present segment's beginning. */
static void keep_footprint(struct timeline *tl)
{
    if (tl->recording && tl->segment->position > tl->fp_from)
        checkpoint_note_footprint(tl->store, tl->fp_from, tl->segment->position, &tl->fp);
    tl->recording = false;
}

static void hold_segment(struct timeline *tl, struct checkpoint *c)
{
    const struct checkpoint *next = checkpoint_next(tl->store, c);

    checkpoint_hold(c);
    if (tl->segment)
        checkpoint_release(tl->segment);
    tl->segment = c;
    tl->since_ns = 0;
    tl->segment_end = next ? next->position : ICOUNT_MAX;
}

/* The machine stands at `c`: what lies ahead? */
static void enter(struct timeline *tl, struct checkpoint *c)
{
    hold_segment(tl, c);
    tl->recording = !checkpoint_footprint(c);
    if (tl->recording) {
        page_set_clear(&tl->fp.code);
        page_set_clear(&tl->fp.written);
        page_set_clear(&tl->fp.read);
        tl->fp_from = c->position;
        tl->fp_ns = 0;
        machine_set_footprint(tl->m, &tl->fp);
    } else if (tl->m->footprint) {
        machine_set_footprint(tl->m, NULL);
    }
}

/* The segment is complete; `c` begins the next one. */
static void pass(struct timeline *tl, struct checkpoint *c)
{
    tl->fp_ns += tl->since_ns;
    if (tl->recording && tl->fp_ns < FOOTPRINT_NS && !checkpoint_footprint(c)) {
        hold_segment(tl, c);
        return;
    }
    if (tl->recording) {
        hold_segment(tl, c);
        keep_footprint(tl);
    }
    enter(tl, c);
}

void run_restore(struct timeline *tl, struct checkpoint *c)
{
    keep_footprint(tl);
    checkpoint_restore(tl->store, c);
    env_seek(tl);
    enter(tl, c);
}

/* ---------------------------------------------------------------- placement */

static void find_neighbours(struct timeline *tl)
{
    const struct checkpoint *next = checkpoint_next(tl->store, tl->segment);

    tl->segment_end = next ? next->position : ICOUNT_MAX;
}

struct checkpoint *run_checkpoint(struct timeline *tl, enum checkpoint_kind kind)
{
    bool live = tl->m->st->position >= tl->edge;
    uint64_t t0 = host_now(tl), effort = tl->effort_ns;
    struct checkpoint *c = checkpoint_take(tl->store, kind);

    if (c == tl->segment)
        return c;
    if (!live) {
        const struct checkpoint *next = checkpoint_next(tl->store, c);

        effort = tl->segment->effort_ns + tl->since_ns;
        if (next && next->effort_ns < effort)
            effort = next->effort_ns;
    }
    c->effort_ns = effort;
    pass(tl, c);
    tl->stats.checkpoint_ns += host_now(tl) - t0;
    return c;
}

/* Leave the lasting spacing behind the recent ones. */
static void consolidate(struct timeline *tl)
{
    size_t count = checkpoint_count(tl->store);
    const struct checkpoint *stop = count > EDGE_KEEP ? checkpoint_nth(tl->store, count - EDGE_KEEP) : NULL;
    struct checkpoint *at = checkpoint_find(tl->store, tl->consolidated), *next;

    if (!stop || !at)
        return;
    for (at = checkpoint_next(tl->store, at); at && at->position < stop->position; at = next) {
        const struct checkpoint *before = checkpoint_prev(tl->store, at);

        next = checkpoint_next(tl->store, at);
        tl->consolidated = at->position;
        if (next->effort_ns - before->effort_ns > tl->cfg.checkpoint_interval_ns || at->pins || at->holds)
            continue;
        checkpoint_remove(tl->store, at);
        tl->consolidated = before->position;
    }
    find_neighbours(tl);
}

void run_trim(struct timeline *tl)
{
    checkpoint_trim_rungs(tl->store, tl->m->st->position, RUNGS_KEEP);
    checkpoint_trim(tl->store, tl->m->st->position, tl->edge);
    find_neighbours(tl);
}

/* How long to wait if taking a checkpoint costs that much. */
static uint64_t edge_interval(const struct timeline *tl, uint64_t cost_ns)
{
    uint64_t least = tl->cfg.edge_interval_ns, most = EDGE_NS_SLOW, wanted = cost_ns * EDGE_COST;

    if (most < cost_ns * EDGE_COST_SLOW)
        most = cost_ns * EDGE_COST_SLOW;
    if (wanted > most)
        wanted = most;
    return wanted > least ? wanted : least;
}

static void place_at_edge(struct timeline *tl)
{
    uint64_t t0 = host_now(tl), cost;

    run_checkpoint(tl, CHECKPOINT_AUTO);
    cost = host_now(tl) - t0;
    /* Slow to rise: now and then the host was busy with something else meanwhile. */
    if (cost > tl->take_ns + tl->take_ns / 4 + 1000)
        cost = tl->take_ns + tl->take_ns / 4 + 1000;
    tl->take_ns = cost;
    tl->edge_interval_ns = edge_interval(tl, cost);
    consolidate(tl);
    if (tl->effort_ns - tl->trimmed_ns >= tl->cfg.checkpoint_interval_ns) {
        tl->trimmed_ns = tl->effort_ns;
        run_trim(tl);
    }
}

/* Is it time for a checkpoint? */
static void place(struct timeline *tl)
{
    if (tl->m->between || tl->m->st->position == tl->segment->position || tl->diagnosing)
        return;
    if (tl->m->st->position >= tl->edge) {
        if (tl->since_ns >= tl->edge_interval_ns)
            place_at_edge(tl);
        return;
    }
    if (tl->since_ns < tl->cfg.checkpoint_interval_ns)
        return;
    run_checkpoint(tl, CHECKPOINT_AUTO);
    run_trim(tl);
}

/* ------------------------------------------------------------------- polling */

/* Look at the host if it is time. True: stop here, the user wants it. */
static bool poll_host(struct timeline *tl, uint64_t now)
{
    if (tl->uninterruptible)
        return false;
    if (now - tl->polled_ns >= POLL_NS) {
        tl->polled_ns = now;
        tl->stats.polls++;
        tl->interrupted |= tl->host.poll && tl->host.poll(tl->host.ctx);
    }
    /* In the past a step that was begun is soon complete, and then the state is
     * canonical without further ado. */
    return tl->interrupted && !(tl->m->between && tl->m->st->position < tl->edge);
}

/* -------------------------------------------------------------------- idling */

/* Time that a sleep which is not over has lasted so far. */
static uint64_t slept_so_far(struct timeline *tl)
{
    if (tl->slept_position != tl->m->st->position || tl->slept_from != machine_now(tl->m)) {
        tl->slept_position = tl->m->st->position;
        tl->slept_from = machine_now(tl->m);
        tl->slept_ns = 0;
    }
    return tl->slept_ns;
}

static void warp(struct timeline *tl, vtime_t to)
{
    machine_warp(tl->m, to);
    if (tl->m->st->position == tl->edge && to > tl->edge_vtime)
        tl->edge_vtime = to;
}

/* At the live edge, nothing to wake the CPU before `wake` (which may be never):
 * wait for that, for input, or for the user. */
static enum run_end wait_live(struct timeline *tl, vtime_t wake)
{
    vtime_t now = machine_now(tl->m);
    uint64_t left = UINT64_MAX, gone = 0, passed;

    if (tl->cfg.sleep) {
        gone = slept_so_far(tl);
        if (wake != VTIME_NEVER)
            left = wake - now > gone ? wake - now - gone : 0;
    }
    /* What waited for room may have got it just before the guest went to sleep. */
    if (left && env_feed_input(tl, now + gone))
        return RUN_LIMIT;
    passed = left ? tl->host.wait(tl->host.ctx, left) : 0;
    tl->stats.polls++;
    tl->polled_ns = host_now(tl);
    tl->interrupted |= tl->host.poll && tl->host.poll(tl->host.ctx);
    if (tl->cfg.sleep) {
        gone += passed;
        tl->slept_ns = gone;
        if (wake != VTIME_NEVER && gone >= wake - now) {
            warp(tl, wake);
            return RUN_LIMIT;
        }
    }
    env_feed_input(tl, tl->cfg.sleep ? now + gone : now);
    return tl->interrupted && !tl->uninterruptible ? RUN_INTERRUPTED : RUN_LIMIT;
}

/* The CPU sleeps; the machine's next deadline is at `wake`. */
static enum run_end idle(struct timeline *tl, vtime_t wake)
{
    const struct event *e = env_event_here(tl);

    /* What the log holds for this position has been lived. */
    if (e && e->vtime <= wake) {
        warp(tl, e->vtime);
        return RUN_LIMIT;
    }
    if (tl->m->st->position < tl->edge) {
        if (wake == VTIME_NEVER) {
            env_diverged(tl, tl->m->st->position, "the guest sleeps and nothing in the log wakes it");
            return RUN_DIVERGED;
        }
        warp(tl, wake);
        return RUN_LIMIT;
    }
    /* Time that was lived before, and time that need not be lived. */
    if (wake <= tl->edge_vtime || (!tl->cfg.sleep && wake != VTIME_NEVER)) {
        warp(tl, wake);
        return RUN_LIMIT;
    }
    if (tl->edge_vtime > machine_now(tl->m)) {
        warp(tl, tl->edge_vtime);
        return RUN_LIMIT;
    }
    return wait_live(tl, wake);
}

/* ------------------------------------------------------------------- running */

bool run_at_boundary(const struct timeline *tl)
{
    const struct cpu *cpu = tl->m->cpu;

    return cpu->ops->in_progress(cpu) == ICOUNT_MAX && !env_step_event_at(tl, tl->m->st->position);
}

static icount_t slice_limit(const struct timeline *tl, icount_t until)
{
    icount_t p = tl->m->st->position;
    icount_t limit = until;

    if (limit - p > tl->slice_steps)
        limit = p + tl->slice_steps;
    /* Stop where history ends, and where a checkpoint lies on the way. */
    if (p < tl->edge && limit > tl->edge)
        limit = tl->edge;
    if (limit > tl->segment_end)
        limit = tl->segment_end;
    if (p < tl->bad && limit > tl->bad)
        limit = tl->bad;
    if (tl->diagnosing)
        return limit;
    limit = diverge_limit(tl, limit);
    for (size_t i = tl->next_check; i < tl->nchecks && tl->checks[i] < limit; i++) {
        if (tl->checks[i] > p)
            return tl->checks[i];
    }
    return limit;
}

/* Does the state agree with what is known of this place? */
static void check_state(struct timeline *tl)
{
    icount_t here = tl->m->st->position;
    struct checkpoint *c;
    struct error err = {0};

    if (tl->diagnosing)
        return;
    /* Those that were jumped over, from checkpoint to checkpoint, are not made. */
    while (tl->next_check < tl->nchecks && tl->checks[tl->next_check] < here)
        tl->next_check++;
    if (tl->next_check >= tl->nchecks || tl->checks[tl->next_check] != here || tl->m->between)
        return;
    /* Not a checkpoint that lies here already: it may come from a file. */
    c = checkpoint_draw(tl->store);
    if (tl->check(tl->check_ctx, tl->next_check, c, &err))
        tl->next_check++;
    else
        diverge_state(tl, err.text);
    checkpoint_discard(tl->store, c);
}

static void adapt(struct timeline *tl, uint64_t steps, uint64_t ns)
{
    uint64_t most = tl->cfg.slice_steps;

    if (ns < SLICE_NS / 2 && steps >= tl->slice_steps)
        tl->slice_steps *= 2;
    else if (ns > SLICE_NS * 2)
        tl->slice_steps = (uint64_t)((double)tl->slice_steps * SLICE_NS / (double)ns);
    for (size_t i = 0; i < tl->npoints && most > SLICE_CONDITIONS; i++) {
        if (tl->points[i].p.condition)
            most = SLICE_CONDITIONS;
    }
    if (tl->slice_steps < SLICE_MIN)
        tl->slice_steps = SLICE_MIN;
    if (tl->slice_steps > most)
        tl->slice_steps = most;
}

static void account(struct timeline *tl, icount_t from, uint64_t ns)
{
    const struct machine *m = tl->m;
    icount_t to = m->st->position;
    bool live = from >= tl->edge;

    tl->stats.slices++;
    tl->stats.run_ns += ns;
    tl->since_ns += ns;
    if (live) {
        tl->stats.steps_live += to - from;
        tl->effort_ns += ns;
    } else {
        tl->stats.steps_replayed += to - from;
    }
    if (to > tl->edge || (to == tl->edge && machine_now(m) > tl->edge_vtime)) {
        tl->edge = to;
        tl->edge_vtime = machine_now(m);
    }
    adapt(tl, to - from, ns);
}

/* Single steps to a boundary, at most to `limit`. */
static void run_singly(struct timeline *tl, icount_t limit, struct stop *stop)
{
    do {
        machine_run(tl->m, tl->m->st->position + 1, stop);
    } while (stop->kind == STOP_LIMIT && tl->m->st->position < limit && !run_at_boundary(tl));
}

/* We stand at a checkpoint whose segment holds nothing of interest: go to its end. */
static bool skip_segment(struct timeline *tl, icount_t until)
{
    const struct footprint *f;
    struct checkpoint *next;

    if (!tl->skipping || tl->m->between || tl->m->st->position != tl->segment->position ||
        tl->segment_end > until || tl->segment_end - tl->segment->position < SKIP_STEPS)
        return false;
    f = checkpoint_footprint(tl->segment);
    next = checkpoint_next(tl->store, tl->segment);
    if (!f || !next || points_concern(tl, f))
        return false;
    if (tl->bad > tl->segment->position && tl->bad <= next->position)
        return false;
    tl->stats.segments_skipped++;
    run_restore(tl, next);
    return true;
}

/* Run for a slice. RUN_LIMIT: nothing stopped it; there may be more to do. */
static enum run_end slice(struct timeline *tl, icount_t until, bool singly)
{
    struct machine *m = tl->m;
    icount_t from = m->st->position;
    struct stop stop;
    uint64_t t0, t1;
    enum run_end end;

    tl->astray = false;
    if (from == tl->bad)
        return RUN_DIVERGED;
    /* The very first state may be known, too. */
    if (tl->next_check < tl->nchecks && tl->checks[tl->next_check] == from)
        check_state(tl);
    if (tl->astray)
        return RUN_DIVERGED;
    if (from >= tl->edge) {
        if (!tl->cfg.live)
            return RUN_REPLAY_END;
        /* Input now could turn the step that was told as a hit into an interrupt entry. */
        if (from == tl->told_at)
            until = from + 1;
        else
            env_feed_input(tl, env_edge_now(tl));
    } else if (skip_segment(tl, until)) {
        return poll_host(tl, host_now(tl)) ? RUN_INTERRUPTED : RUN_LIMIT;
    }
    t0 = host_now(tl);
    if (singly)
        run_singly(tl, slice_limit(tl, until), &stop);
    else
        machine_run(m, slice_limit(tl, until), &stop);
    t1 = host_now(tl);
    account(tl, from, t1 - t0);
    env_check(tl);
    if (m->st->position == tl->segment_end && !m->between)
        pass(tl, checkpoint_next(tl->store, tl->segment));
    if (!tl->astray)
        diverge_look(tl);
    if (tl->next_check < tl->nchecks && !tl->astray)
        check_state(tl);
    if (tl->astray)
        return RUN_DIVERGED;
    if (stop.kind == STOP_TRAP)
        return RUN_HIT;
    if (stop.kind == STOP_GUEST_END)
        return RUN_GUEST_END;
    if (stop.kind == STOP_IDLE) {
        end = idle(tl, stop.wake);
        if (end != RUN_LIMIT)
            return end;
    }
    place(tl);
    return poll_host(tl, t1) ? RUN_INTERRUPTED : RUN_LIMIT;
}

/* Break- and watchpoints may slow the guest down a hundredfold: begin anew to
 * measure how many steps fit into a slice. */
static void prepare(struct timeline *tl)
{
    if (!tl->traps_stale)
        return;
    points_apply(tl);
    if (tl->slice_steps > SLICE_FIRST)
        tl->slice_steps = SLICE_FIRST;
}

enum run_end run_to(struct timeline *tl, icount_t until)
{
    enum run_end end = RUN_LIMIT;

    prepare(tl);
    while (end == RUN_LIMIT && tl->m->st->position < until)
        end = slice(tl, until, false);
    return end;
}

enum run_end run_step(struct timeline *tl)
{
    icount_t from = tl->m->st->position;
    enum run_end end;

    prepare(tl);
    do {
        end = slice(tl, ICOUNT_MAX, true);
    } while (end == RUN_LIMIT && (tl->m->st->position == from || !run_at_boundary(tl)));
    return end;
}

/* -------------------------------------------------------------------- set-up */

void run_init(struct timeline *tl)
{
    struct timeline_config *cfg = &tl->cfg;

    if (!cfg->checkpoint_interval_ns)
        cfg->checkpoint_interval_ns = LASTING_NS;
    if (!cfg->edge_interval_ns)
        cfg->edge_interval_ns = EDGE_NS;
    if (!cfg->slice_steps)
        cfg->slice_steps = SLICE_MAX;
    tl->edge_interval_ns = cfg->edge_interval_ns;
    tl->slice_steps = SLICE_FIRST < cfg->slice_steps ? SLICE_FIRST : cfg->slice_steps;
    footprint_init(&tl->fp);
    tl->told_at = tl->told_access = tl->watch_ignored = ICOUNT_MAX;
    tl->m->stop_when_idle = true;
    enter(tl, checkpoint_take(tl->store, CHECKPOINT_AUTO));
    tl->consolidated = tl->m->st->position;
}

void run_finish(struct timeline *tl)
{
    machine_set_footprint(tl->m, NULL);
    footprint_finish(&tl->fp);
}
