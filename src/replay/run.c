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
 * Deadlines that wake nobody (device_ops.unheard) are slept over, and come one after the other when it ends.
 * A sleep that is interrupted, by Ctrl-C, is neither undone nor forgotten: the
 * machine goes back to its canonical state, and when it runs again the clock
 * jumps to where it was (edge_vtime), and the rest is slept.
 */
#include "replay/timeline_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS     1000000u   /* processor time that a slice aims at */
#define POLL_NS      4000000u   /* the host is asked this often */
#define SLICE_FIRST  20000u     /* steps */
#define SLICE_MIN    1000u
#define SLICE_MAX    (UINT64_C(1) << 24)
#define STOP_STEPS   SLICE_MIN     /* from a checkpoint to where the user stops the guest */
/* Most steps of a slice while conditions are evaluated at hits: one can cost more
 * than the hundred steps around it. */
#define SLICE_CONDITIONS 20000u

/* A known segment of fewer steps is sooner run than jumped over. */
#define SKIP_STEPS   100000u

static uint64_t host_now(const struct timeline *tl)
{
    return tl->host.now_ns(tl->host.ctx);
}

uint64_t run_work_now(const struct timeline *tl)
{
    return tl->host.work_ns ? tl->host.work_ns(tl->host.ctx) : host_now(tl);
}

/* What a slice of at most so many steps takes is reckoned: asking for processor time is a system call, which takes as long as
 * thousands of steps, and who goes through history one instruction at a time would do nothing else. */
#define RECKONED_STEPS 16u
#define RECKONED_NS    300u /* for the slice, and for a step */
#define RECKONED_STEP_NS 2u

static uint64_t slice_began(const struct timeline *tl, icount_t from, icount_t limit)
{
    return tl->host.work_ns && limit - from <= RECKONED_STEPS ? 0 : run_work_now(tl);
}

static uint64_t slice_took(const struct timeline *tl, icount_t from, icount_t limit, uint64_t began)
{
    if (tl->host.work_ns && limit - from <= RECKONED_STEPS)
        return RECKONED_NS + RECKONED_STEP_NS * (tl->m->st->position - from);
    return run_work_now(tl) - began;
}

/* ---- polling ---- */

/* Look at the host if it is time. True: stop here, the user wants it. */
static bool poll_host(struct timeline *tl, uint64_t now)
{
    if (tl->pace.uninterruptible)
        return false;
    if (now - tl->pace.polled_ns >= POLL_NS) {
        tl->pace.polled_ns = now;
        tl->stats.polls++;
        tl->pace.interrupted |= tl->host.poll && tl->host.poll(tl->host.ctx);
    }
    if (!tl->pace.interrupted)
        return false;
    if (place_before_stop(tl)) {
        tl->pace.slice_steps = STOP_STEPS < tl->cfg.slice_steps ? STOP_STEPS : tl->cfg.slice_steps;
        return false;
    }
    /* In the past a step that was begun is soon complete, and then the state is
     * canonical without further ado. */
    return !(tl->m->between && tl->m->st->position < tl->edge);
}

/* ---- idling ---- */

/* Time that a sleep which is not over has lasted so far. */
static uint64_t slept_so_far(struct timeline *tl)
{
    if (tl->pace.slept_position != tl->m->st->position || tl->pace.slept_from != machine_now(tl->m)) {
        tl->pace.slept_position = tl->m->st->position;
        tl->pace.slept_from = machine_now(tl->m);
        tl->pace.slept_ns = 0;
    }
    return tl->pace.slept_ns;
}

static void warp(struct timeline *tl, vtime_t to)
{
    machine_warp(tl->m, to);
    if (tl->m->st->position == tl->edge && to > tl->edge_vtime)
        tl->edge_vtime = to;
}

/* A sleep goes on over deadlines that wake nobody, at most by so much: afterwards they come one after the other. */
#define SLEEP_OVER_NS 1000000000u

/* Until when to sleep, if the next deadline is at `wake` and input comes at `due`. */
static vtime_t sleep_until(struct timeline *tl, vtime_t wake, vtime_t due)
{
    const struct event *e = env_event_here(tl);
    vtime_t until = machine_heard_deadline(tl->m);

    if (wake != VTIME_NEVER && until > wake + SLEEP_OVER_NS)
        until = wake + SLEEP_OVER_NS;
    if (e && e->vtime < until)
        until = e->vtime;
    return due < until ? due : until;
}

/* The next deadline is at `wake`, and a sleep from `now` has lasted for `gone` already, which is over it. */
static void sleep_over(struct timeline *tl, vtime_t now, vtime_t wake, uint64_t gone)
{
    /* What ended it came then. */
    env_feed_input(tl, now + gone);
    warp(tl, wake);
    tl->pace.slept_position = tl->m->st->position;
    tl->pace.slept_from = wake;
    tl->pace.slept_ns = gone - (wake - now);
}

/* At the live edge, nothing to wake the CPU before `wake` (which may be never):
 * wait for that, for input, or for the user. */
static enum run_end wait_live(struct timeline *tl, vtime_t wake)
{
    vtime_t now = machine_now(tl->m), due = env_input_due(tl), until = sleep_until(tl, wake, due);
    uint64_t left = UINT64_MAX, gone = 0, passed, wanted;

    if (tl->cfg.sleep) {
        gone = slept_so_far(tl);
        if (until != VTIME_NEVER)
            left = until > now && until - now > gone ? until - now - gone : 0;
        if (wake != VTIME_NEVER && (wake <= now || gone >= wake - now))
            left = 0; /* that has been slept over */
    }
    /* What waited for room may have got it just before the guest went to sleep. */
    if (left && env_feed_input(tl, now + gone))
        return RUN_LIMIT;
    wanted = left ? place_before_sleep(tl) : UINT64_MAX;
    if (left > wanted)
        left = wanted;
    passed = left && (!tl->pace.interrupted || tl->pace.uninterruptible) ? tl->host.wait(tl->host.ctx, left) : 0;
    place_slept(tl, passed);
    tl->stats.polls++;
    tl->pace.polled_ns = host_now(tl);
    tl->pace.interrupted |= tl->host.poll && tl->host.poll(tl->host.ctx);
    if (tl->cfg.sleep) {
        gone += passed;
        tl->pace.slept_ns = gone;
        if (due < wake && due > now && gone >= due - now) {
            gone = due - now; /* then, however long the host has slept */
        } else if (wake != VTIME_NEVER && gone >= wake - now) {
            if (until > wake)
                sleep_over(tl, now, wake, gone < until - now ? gone : until - now);
            else
                warp(tl, wake);
            return RUN_LIMIT;
        }
    }
    env_feed_input(tl, tl->cfg.sleep ? now + gone : now);
    return tl->pace.interrupted && !tl->pace.uninterruptible ? RUN_INTERRUPTED : RUN_LIMIT;
}

/* The CPU sleeps; the machine's next deadline is at `wake`. */
static enum run_end idle(struct timeline *tl, vtime_t wake)
{
    const struct event *e = env_event_here(tl);
    vtime_t due = env_input_due(tl);

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
    if (machine_waits_for_held(tl->m))
        return RUN_ASLEEP;
    /* Without sleeping: what comes at a time ends the sleep then, if it comes before the deadline. */
    if (!tl->cfg.sleep && tl->outside && due != VTIME_NEVER && due < wake) {
        env_feed_input(tl, due > env_edge_now(tl) ? due : env_edge_now(tl));
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
    if (tl->outside)
        return wait_live(tl, wake);
    return env_feed_input(tl, machine_now(tl->m)) ? RUN_LIMIT : RUN_ASLEEP;
}

/* ---- running ---- */

const struct cpu *run_last_stepper(const struct timeline *tl, uint64_t cpus)
{
    const struct cpu *last = NULL;

    for (unsigned i = 0; i < tl->m->ncpus; i++)
        if ((cpus >> i & 1) && tl->m->cpus[i]->stepped > (last ? last->stepped : 0))
            last = tl->m->cpus[i];
    return last;
}

/* A debugger's step: one of `cpus` is to make an instruction after `from`. */
struct step {
    icount_t from;
    uint64_t cpus;
};

static bool step_is_done(const struct timeline *tl, const struct step *step)
{
    const struct cpu *cpu = run_last_stepper(tl, step->cpus);

    return cpu && cpu->stepped > step->from && cpu->ops->in_progress(cpu) == ICOUNT_MAX &&
           !env_step_event_at(tl, tl->m->st->position);
}

/* At the live edge: at most to where input comes that waits for its time. */
static icount_t limit_of_input(const struct timeline *tl, icount_t limit)
{
    vtime_t due = env_input_due(tl), now = machine_now(tl->m);
    icount_t steps = due <= now ? 1 : (icount_t)((due - now - 1) >> tl->m->icount_shift) + 1;

    return due != VTIME_NEVER && steps < limit - tl->m->st->position ? tl->m->st->position + steps : limit;
}

static icount_t slice_limit(const struct timeline *tl, icount_t until)
{
    icount_t p = tl->m->st->position;
    icount_t limit = until;

    if (limit - p > tl->pace.slice_steps)
        limit = p + tl->pace.slice_steps;
    if (p >= tl->edge && tl->outside)
        limit = limit_of_input(tl, limit);
    /* Stop where history ends, and where a checkpoint lies on the way. */
    if (p < tl->edge && limit > tl->edge)
        limit = tl->edge;
    if (limit > tl->placement.segment_end)
        limit = tl->placement.segment_end;
    if (p < tl->truth.bad && limit > tl->truth.bad)
        limit = tl->truth.bad;
    if (tl->truth.diagnosing)
        return limit;
    limit = diverge_limit(tl, limit);
    for (size_t i = tl->truth.next_check; i < tl->truth.nchecks && tl->truth.checks[i] < limit; i++) {
        if (tl->truth.checks[i] > p)
            return tl->truth.checks[i];
    }
    return limit;
}

/* Does the state agree with what is known of this place? */
static void check_state(struct timeline *tl)
{
    icount_t here = tl->m->st->position;
    struct checkpoint *c;
    struct error err = {0};

    if (tl->truth.diagnosing)
        return;
    /* Those that were jumped over, from checkpoint to checkpoint, are not made. */
    while (tl->truth.next_check < tl->truth.nchecks && tl->truth.checks[tl->truth.next_check] < here)
        tl->truth.next_check++;
    if (tl->truth.next_check >= tl->truth.nchecks || tl->truth.checks[tl->truth.next_check] != here || tl->m->between)
        return;
    /* Not a checkpoint that lies here already: it may come from a file. */
    c = checkpoint_draw(tl->store);
    if (tl->truth.check(tl->truth.check_ctx, tl->truth.next_check, c, &err))
        tl->truth.next_check++;
    else
        diverge_state(tl, err.text, true);
    checkpoint_discard(tl->store, c);
}

static void adapt(struct timeline *tl, uint64_t steps, uint64_t ns)
{
    uint64_t most = tl->cfg.slice_steps;

    if (ns < SLICE_NS / 2 && steps >= tl->pace.slice_steps)
        tl->pace.slice_steps *= 2;
    else if (ns > SLICE_NS * 2)
        tl->pace.slice_steps = (uint64_t)((double)tl->pace.slice_steps * SLICE_NS / (double)ns);
    for (size_t i = 0; i < tl->points.count && most > SLICE_CONDITIONS; i++) {
        if (tl->points.list[i].p.condition)
            most = SLICE_CONDITIONS;
    }
    if (tl->pace.slice_steps < SLICE_MIN)
        tl->pace.slice_steps = SLICE_MIN;
    if (tl->pace.slice_steps > most)
        tl->pace.slice_steps = most;
}

static void account(struct timeline *tl, icount_t from, uint64_t ns)
{
    const struct machine *m = tl->m;
    icount_t to = m->st->position;
    bool live = from >= tl->edge;

    tl->stats.slices++;
    tl->stats.run_ns += ns;
    place_ran(tl, ns, live);
    if (from <= tl->reader.reached && to > tl->reader.reached)
        tl->reader.reached = to;
    if (live)
        tl->stats.steps_live += to - from;
    else
        tl->stats.steps_replayed += to - from;
    if (to > tl->edge || (to == tl->edge && machine_now(m) > tl->edge_vtime)) {
        tl->edge = to;
        tl->edge_vtime = machine_now(m);
    }
    adapt(tl, to - from, ns);
}

/* To where the step is done, at most to `limit`. */
static void run_singly(struct timeline *tl, icount_t limit, const struct step *step, struct stop *stop)
{
    do {
        machine_run_instruction(tl->m, limit, step->cpus, stop);
    } while (stop->kind == STOP_LIMIT && tl->m->st->position < limit && !step_is_done(tl, step));
}

/* We stand at a checkpoint whose segment holds nothing of interest: go to its end. */
static bool skip_segment(struct timeline *tl, icount_t until)
{
    struct checkpoint *next;

    if (!tl->search.skipping || tl->m->between || tl->m->st->position != tl->placement.segment->position ||
        tl->placement.segment_end > until || tl->placement.segment_end - tl->placement.segment->position < SKIP_STEPS)
        return false;
    /* In a replay it may be known to a query, and not have been heard yet. */
    if (tl->placement.segment_end > tl->reader.reached && tl->placement.segment_end > tl->reader.out_position)
        return false;
    next = checkpoint_next(tl->store, tl->placement.segment);
    if (!next || points_concern(tl, tl->placement.segment))
        return false;
    if (tl->truth.bad > tl->placement.segment->position && tl->truth.bad <= next->position)
        return false;
    if (env_resets_between(tl, tl->placement.segment->position, next->position))
        return false;
    tl->stats.segments_skipped++;
    place_restore(tl, next);
    return true;
}

/* Is the state perhaps none that ever was, because a page of a checkpoint could not be had? */
static bool is_lost(struct timeline *tl)
{
    char why[200];

    if (!originals_lost(tl, why, sizeof(why)))
        return false;
    env_diverged(tl, tl->m->st->position, "%s", why);
    return true;
}

/* Run for a slice, at most to where `step` (NULL: none) is done. RUN_LIMIT: nothing stopped it; there may be more to do. */
static enum run_end slice(struct timeline *tl, icount_t until, const struct step *step)
{
    struct machine *m = tl->m;
    icount_t from = m->st->position;
    struct stop stop;
    icount_t limit;
    uint64_t t0;
    enum run_end end;

    tl->truth.astray = false;
    timeline_look_at_images(tl);
    if (from == tl->truth.bad || is_lost(tl))
        return RUN_DIVERGED;
    /* The very first state may be known, too. */
    if (tl->truth.next_check < tl->truth.nchecks && tl->truth.checks[tl->truth.next_check] == from)
        check_state(tl);
    if (tl->truth.astray)
        return RUN_DIVERGED;
    if (from >= tl->edge) {
        if (!tl->cfg.live)
            return tl->m->st->end ? RUN_GUEST_END : RUN_REPLAY_END;
        /* Input now could turn the step that was told as a hit into an interrupt entry. */
        outside_hold(tl);
        if (from == tl->search.told_at)
            until = from + 1;
        else
            env_feed_input(tl, env_edge_now(tl));
    } else if (skip_segment(tl, until)) {
        if (machine_stops_here(m))
            return RUN_GUEST_END;
        return poll_host(tl, host_now(tl)) ? RUN_INTERRUPTED : RUN_LIMIT;
    }
    limit = slice_limit(tl, until);
    t0 = slice_began(tl, from, limit);
    env_may_burst(tl, from >= tl->edge && from != tl->search.told_at);
    if (step)
        run_singly(tl, limit, step, &stop);
    else
        machine_run(m, limit, &stop);
    env_may_burst(tl, false);
    account(tl, from, slice_took(tl, from, limit, t0));
    env_check(tl);
    if (m->st->position == tl->placement.segment_end && !m->between)
        place_pass_end(tl);
    if (!tl->truth.astray)
        diverge_look(tl);
    if (tl->truth.next_check < tl->truth.nchecks && !tl->truth.astray)
        check_state(tl);
    if (tl->truth.astray)
        return RUN_DIVERGED;
    if (stop.kind == STOP_TRAP)
        return RUN_HIT;
    if (stop.kind == STOP_GUEST_END || machine_stops_here(m))
        return RUN_GUEST_END;
    place_if_due(tl); /* (the clock that a sleep moves belongs to the step after it) */
    if (stop.kind == STOP_IDLE) {
        end = idle(tl, stop.wake);
        if (end != RUN_LIMIT)
            return end;
    }
    return poll_host(tl, host_now(tl)) ? RUN_INTERRUPTED : RUN_LIMIT;
}

void run_changed(struct timeline *tl)
{
    if (tl->pace.slice_steps > SLICE_FIRST)
        tl->pace.slice_steps = SLICE_FIRST;
}

enum run_end run_to(struct timeline *tl, icount_t until)
{
    enum run_end end = is_lost(tl) ? RUN_DIVERGED : RUN_LIMIT;

    while (end == RUN_LIMIT && tl->m->st->position < until)
        end = slice(tl, until, NULL);
    return end;
}

enum run_end run_retrace(struct timeline *tl, icount_t until)
{
    enum run_end end = run_to(tl, until);

    return end == RUN_DIVERGED && until == tl->truth.bad && tl->m->st->position == until && !tl->m->between ? RUN_LIMIT : end;
}

enum run_end run_step(struct timeline *tl, uint64_t cpus)
{
    const struct step step = {tl->m->st->position, cpus};
    enum run_end end;

    do {
        end = slice(tl, ICOUNT_MAX, &step);
    } while (end == RUN_LIMIT && !step_is_done(tl, &step));
    return end;
}

/* ---- set-up ---- */

void run_init(struct timeline *tl)
{
    struct timeline_config *cfg = &tl->cfg;

    if (!cfg->slice_steps)
        cfg->slice_steps = SLICE_MAX;
    tl->pace.slice_steps = SLICE_FIRST < cfg->slice_steps ? SLICE_FIRST : cfg->slice_steps;
    tl->pace.slept_position = ICOUNT_MAX;
    tl->search.told_at = tl->search.told_access = tl->search.watch_ignored = ICOUNT_MAX;
    tl->m->stop_when_idle = true;
}
