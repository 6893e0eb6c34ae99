/*
 * Step, continue and seek, in both directions.
 *
 * What counts as a hit
 * --------------------
 * A breakpoint hits at position h when the step from h begins its instruction; the
 * stop is at h. A watchpoint hits in the step from h to h + 1; going forward the
 * stop is at h + 1, after the access, going backward at h, before it. Conditions
 * are asked where the machine stands at the hit (h; h + 1), whatever the direction.
 *
 * Where the architecture reports watchpoints before the access (cpu_ops.watch_before),
 * gdb takes its watchpoints out after such a stop, makes one step in the direction of
 * travel and then compares values. So the stop is one step earlier on the way: going
 * forward at h, going backward at h + 1. Going on from there in the same direction does
 * not report that access again, watchpoint or not.
 *
 * Forward from P: the first breakpoint with h > P (the one we stand at was seen),
 * or the first access with h >= P. Backward from P: the greatest h < P of either
 * kind; where both are at the same h, the access is the later of the two and is
 * the one reported.
 *
 * Backward: two passes over a segment
 * -----------------------------------
 * A reverse search looks at one segment between checkpoints after the other, from
 * the newest back. One of which it is known that nothing of interest was touched there is skipped
 * without being run. Another is run from its beginning to its end, remembering
 * the last hit (first pass); if there was one we go there (second pass: the same
 * instructions again, with a ladder being laid on the way). Conditions are asked in
 * the first pass only: what they said then is what they would say again.
 *
 * If more than far_steps have to be run after the first segment, replicas search them for the position alone, on all of the
 * host's cores (query.h). The segment that they name is then searched as above.
 *
 * If the user interrupts, we go to the checkpoint that begins the part that has
 * been searched, or back to where we started: both are restored at once, and
 * nothing that was skipped over can be missed by going on from there.
 *
 * Steps
 * -----
 * A debugger's step is one CPU's. Forward it ends where that CPU has made a step, none of its repeated
 * instructions is half done, and the next step is not an event; the others run meanwhile. Backward it goes to where
 * the last step of the CPU's began; if that is in the midst of a repeated instruction the CPU knows where it
 * began. Which step was its last, the way that led here shows, as a rule. If not, the newest segment in which the
 * CPU made a step, as the counts in checkpoints say, is run again, and then that shows it.
 *
 * The ladder
 * ----------
 * Whoever steps backward once will do it again. So on the way to a place in the
 * past, checkpoints are put 1,000,000, 100,000, 10,000 and 1,000 steps before it
 * (as far as there is none yet). The next thousand backward steps then run at
 * most a thousand steps each; when they are used up, the way from the next rung
 * is ten times as long, once, and gets new rungs.
 */
#include "replay/query.h"
#include "replay/timeline_internal.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#define LADDER_RUNGS 4
/* Up to that many steps a way is so short that it is not worth a return ticket. */
#define SHORT_WAY    200000u
/* A way of more processor time than that to where the guest was stopped is not gone twice. */
#define SETTLE_NS    50000000u

/* From a checkpoint that is so much processor time away, one goes back soon enough. */
#define NEAR_NS      10000000u

/* ---- the parts ---- */

static void begin(struct timeline *tl, enum hit_mode mode, unsigned kinds)
{
    tl->search.mode = mode;
    tl->search.hit_kinds = kinds;
    tl->search.not_before = tl->first;
    tl->search.exec_ignored = ICOUNT_MAX;
    tl->search.exec_unasked = 0;
    tl->search.found.any = false;
    tl->m->stop_at_end = false;
}

/* Forward, as the user goes: an end of the guest stops where history goes past it as it did when nobody knew that. The one where
 * we stand was told. */
static void stop_at_ends(struct timeline *tl)
{
    tl->m->stop_at_end = true;
    tl->m->end_passed = tl->m->st->position;
}

/* Start of an operation. */
static void start(struct timeline *tl, struct timeline_stop *stop)
{
    *stop = (struct timeline_stop){.reason = TIMELINE_STEP_DONE};
    tl->pace.interrupted = false;
    tl->pace.uninterruptible = false;
    tl->search.watch_ignored = ICOUNT_MAX;
    tl->search.told_access = ICOUNT_MAX;
    begin(tl, HITS_IGNORED, 0);
    points_apply(tl);
}

/* Position to stand at when an access of the step from h is told. */
static icount_t access_stop(const struct timeline *tl, icount_t h, enum direction dir)
{
    bool before = tl->m->cpus[0]->ops->watch_before && !tl->search.only;

    return before == (dir == FORWARD) ? h : h + 1;
}

/* Start of a step or a run in a direction: an access that was told before it was passed is
 * passed now. */
static void start_towards(struct timeline *tl, enum direction dir, struct timeline_stop *stop)
{
    icount_t told = tl->search.told_access;

    start(tl, stop);
    if (told != ICOUNT_MAX && tl->search.told_direction == dir && tl->m->st->position == access_stop(tl, told, dir))
        tl->search.watch_ignored = told;
}

/* Restore and run to `position` <= edge, ignoring hits, uninterruptible. */
static void go_exactly(struct timeline *tl, icount_t position)
{
    struct checkpoint *c = checkpoint_find(tl->store, position);
    enum run_end end;

    CHECK(c && position <= tl->edge);
    begin(tl, HITS_IGNORED, 0);
    place_restore(tl, c);
    tl->pace.uninterruptible = true;
    end = run_to(tl, position);
    tl->pace.uninterruptible = false;
    CHECK(end == RUN_LIMIT || end == RUN_DIVERGED);
}

/* If something of the next step was already done, undo it. Where the way back here was long, whoever stops the guest will come
 * again, or go back: so it is not gone twice. */
static void settle(struct timeline *tl)
{
    icount_t position = tl->m->st->position;

    if (!tl->m->between)
        return;
    go_exactly(tl, position);
    if (tl->placement.since_ns < SETTLE_NS || tl->m->between || tl->m->st->position != position)
        return;
    place_checkpoint(tl, CHECKPOINT_RUNG);
    place_trim(tl);
}

static enum timeline_reason reason_of(enum run_end end)
{
    switch (end) {
    case RUN_INTERRUPTED:
        return TIMELINE_INTERRUPTED;
    case RUN_GUEST_END:
        return TIMELINE_GUEST_END;
    case RUN_REPLAY_END:
        return TIMELINE_REPLAY_END;
    case RUN_DIVERGED:
        return TIMELINE_DIVERGED;
    case RUN_ASLEEP:
        return TIMELINE_ASLEEP;
    case RUN_LIMIT:
    case RUN_HIT:
        break;
    }
    return TIMELINE_SEEK_DONE;
}

static void tell_hit(struct timeline *tl, const struct found *f, enum direction dir, struct timeline_stop *stop)
{
    if (f->hit.kind != TRAP_EXEC && tl->m->cpus[0]->ops->watch_before && !tl->search.only) {
        tl->search.told_access = f->hit.position;
        tl->search.told_direction = dir;
    }
    stop->reason = f->hit.kind == TRAP_EXEC ? TIMELINE_BREAKPOINT : TIMELINE_WATCHPOINT;
    stop->point = f->point;
    stop->access = f->hit.kind == TRAP_EXEC ? 0 : f->hit.kind;
    stop->cpu = f->hit.cpu;
    stop->address = f->hit.address;
    stop->nothers = f->nothers;
    memcpy(stop->others, f->others, sizeof(stop->others));
    stop->writer = f->hit.writer;
    stop->position = f->hit.position;
}

/* End of an operation that went forward. */
static void finish(struct timeline *tl, enum run_end end, enum timeline_reason at_limit,
                   struct timeline_stop *stop)
{
    struct found found = tl->search.found;

    tl->search.skipping = false;
    tl->m->stop_at_end = false;
    if (end == RUN_DIVERGED)
        diverge_diagnose(tl);
    settle(tl);
    if (end == RUN_HIT) {
        if (found.hit.kind != TRAP_EXEC && access_stop(tl, found.hit.position, FORWARD) == found.hit.position)
            go_exactly(tl, found.hit.position);
        tell_hit(tl, &found, FORWARD, stop);
        if (stop->reason == TIMELINE_BREAKPOINT && tl->m->st->position == tl->edge)
            tl->search.told_at = tl->edge;
    } else {
        stop->reason = end == RUN_LIMIT ? at_limit : reason_of(end);
    }
}

/* Go to `position`, which is before the edge or at it, by the nearest checkpoint,
 * laying rungs on the way. Hits are ignored. */
static enum run_end go_to(struct timeline *tl, icount_t position)
{
    struct checkpoint *c = checkpoint_find(tl->store, position);
    icount_t distance = tl->cfg.ladder_steps;
    enum run_end end;

    begin(tl, HITS_IGNORED, 0);
    if (tl->m->between || tl->m->st->position > position || c->position > tl->m->st->position)
        place_restore(tl, c);
    for (unsigned i = 1; i < LADDER_RUNGS; i++)
        distance *= 10;
    for (; distance >= tl->cfg.ladder_steps; distance /= 10) {
        if (position - tl->m->st->position < distance + distance / 2)
            continue;
        end = run_to(tl, position - distance);
        if (end != RUN_LIMIT)
            return end;
        place_checkpoint(tl, CHECKPOINT_RUNG);
    }
    return run_to(tl, position);
}

/* A checkpoint of the present, held, to return to if the way back is interrupted. */
static struct checkpoint *hold(struct timeline *tl)
{
    struct checkpoint *c = place_checkpoint(tl, CHECKPOINT_RUNG);

    checkpoint_hold(c);
    return c;
}

static void release(struct timeline *tl, struct checkpoint *c)
{
    if (c)
        checkpoint_release(c);
    place_trim(tl);
}

/* Something stopped a way through the past. Stand at `c`, a consistent state. */
static void give_up(struct timeline *tl, struct checkpoint *c, enum run_end end, struct timeline_stop *stop)
{
    /* A divergence is to be looked at where it is. */
    if (end == RUN_DIVERGED)
        diverge_diagnose(tl);
    else
        place_restore(tl, c);
    stop->reason = reason_of(end);
}

/* Processor time from the checkpoint that a step backward starts from to here. */
static uint64_t way_back_ns(const struct timeline *tl)
{
    const struct placement *p = &tl->placement;
    const struct checkpoint *before = checkpoint_find(tl->store, tl->m->st->position - 1);
    uint64_t here = p->segment->effort_ns + p->since_ns;

    return here > before->effort_ns ? here - before->effort_ns : 0;
}

bool timeline_prepare_back(struct timeline *tl)
{
    const struct search told = tl->search;
    struct checkpoint *home;
    enum run_end end;

    if (tl->m->between || tl->m->st->position == tl->first || way_back_ns(tl) < NEAR_NS)
        return true;
    tl->pace.interrupted = false;
    home = hold(tl);
    end = go_to(tl, tl->m->st->position - 1);
    place_restore(tl, home);
    release(tl, home);
    tl->search = told;
    return end != RUN_INTERRUPTED;
}

/* ---- steps ---- */

/* What stops a step of `cpus`: breakpoints of others, too. */
static void begin_step(struct timeline *tl, enum hit_mode mode, uint64_t cpus)
{
    begin(tl, mode, TRAP_READ | TRAP_WRITE | (tl->m->ncpus > 1 ? TRAP_EXEC : 0));
    tl->search.exec_unasked = cpus;
}

static void step_forward(struct timeline *tl, uint64_t cpus, bool from_here, struct timeline_stop *stop)
{
    icount_t from = tl->m->st->position;
    const struct cpu *cpu;
    enum run_end end;

    begin_step(tl, HITS_STOP, cpus);
    stop_at_ends(tl);
    tl->search.exec_ignored = from_here ? ICOUNT_MAX : from;
    end = run_step(tl, cpus);
    cpu = run_last_stepper(tl, cpus);
    if (end == RUN_LIMIT)
        stop->cpu = cpu->index;
    finish(tl, end, TIMELINE_STEP_DONE, stop);
}

/* Go to where the last instruction of one of `cpus` begins; *stepper: whose it is. NULL: there is none, if *end does not say
 * what stopped us. */
static enum run_end go_before_step(struct timeline *tl, uint64_t cpus, const struct cpu **stepper)
{
    enum run_end end;
    icount_t began;

    begin(tl, HITS_IGNORED, 0);
    *stepper = steps_find_last(tl, cpus, &end);
    if (!*stepper)
        return end;
    end = go_to(tl, (*stepper)->stepped - 1);
    began = (*stepper)->ops->in_progress(*stepper);
    if (end == RUN_LIMIT && began != ICOUNT_MAX)
        end = go_to(tl, began > tl->first ? began : tl->first);
    return end;
}

/* Can there have been a hit that interests us between here and `end`? */
static bool hit_possible(struct timeline *tl, icount_t end)
{
    const struct point *list;
    bool wanted = false;

    for (size_t i = 0, n = points_in_force(tl, &list); i < n; i++)
        wanted |= (list[i].p.kinds & tl->search.hit_kinds) != 0;
    return wanted && (end > tl->placement.segment_end || points_concern(tl, tl->placement.segment));
}

/* Position to stand at when a hit is told that was found backwards. */
static icount_t hit_stop(const struct timeline *tl, const struct found *f)
{
    return f->hit.kind == TRAP_EXEC ? f->hit.position : access_stop(tl, f->hit.position, BACKWARD);
}

/* We went back from `end` to here in one step of `cpus`. If watched bytes were accessed on that way, or others came to
 * a breakpoint, stand before the last such hit. */
static enum run_end look_for_hit(struct timeline *tl, icount_t end, uint64_t cpus, struct timeline_stop *stop)
{
    icount_t here = tl->m->st->position;
    struct found found;
    enum run_end r;

    begin_step(tl, HITS_COLLECT, cpus);
    if (end == here + 1)
        tl->search.hit_kinds &= ~(unsigned)TRAP_EXEC;
    if (!hit_possible(tl, end))
        return RUN_LIMIT;
    r = run_retrace(tl, end);
    found = tl->search.found;
    if (r != RUN_LIMIT)
        return r;
    r = go_to(tl, found.any ? hit_stop(tl, &found) : here);
    if (r == RUN_LIMIT && found.any)
        tell_hit(tl, &found, BACKWARD, stop);
    return r;
}

static void step_backward(struct timeline *tl, uint64_t cpus, struct timeline_stop *stop)
{
    icount_t from = tl->m->st->position;
    const struct cpu *cpu = run_last_stepper(tl, cpus);
    struct checkpoint *home = NULL;
    enum run_end end;

    stop->reason = TIMELINE_REPLAY_BEGIN;
    if (from == tl->first)
        return;
    /* Most steps are short, and then a checkpoint to return to costs more than the way. */
    if (!cpu || from - checkpoint_find(tl->store, cpu->stepped - 1)->position > SHORT_WAY)
        home = hold(tl);
    end = go_before_step(tl, cpus, &cpu);
    if (end == RUN_LIMIT && cpu) {
        stop->reason = TIMELINE_STEP_DONE;
        stop->cpu = cpu->index;
        end = look_for_hit(tl, from, cpus, stop);
    } else if (end == RUN_LIMIT && tl->m->st->position != from) {
        place_restore(tl, home);
    }
    if (end != RUN_LIMIT)
        give_up(tl, home ? home : tl->placement.segment, end, stop);
    release(tl, home);
}

/* A PC whose CPU has shut down (triple fault) resets itself; we stopped to show it,
 * and going on at the live edge is what lets it happen. */
static void revive(struct timeline *tl)
{
    const struct machine *m = tl->m;

    if (m->st->end == GUEST_TRIPLE_FAULT && tl->cfg.live && m->st->position == tl->edge && !m->no_reboot)
        env_append_step(tl, EVENT_RESET, EVENT_SOURCE_MACHINE, NULL, 0);
}

void timeline_step(struct timeline *tl, enum direction dir, uint64_t cpus, struct timeline_stop *stop)
{
    start_towards(tl, dir, stop);
    if (dir == FORWARD)
        revive(tl);
    if (dir == FORWARD)
        step_forward(tl, cpus, false, stop);
    else
        step_backward(tl, cpus, stop);
}

void timeline_step_from_here(struct timeline *tl, uint64_t cpus, struct timeline_stop *stop)
{
    start_towards(tl, FORWARD, stop);
    revive(tl);
    step_forward(tl, cpus, true, stop);
}

/* ---- continue ---- */

/* The first replay_break position after `p`, ICOUNT_MAX if there is none. */
static icount_t break_after(const struct timeline *tl, icount_t p)
{
    for (size_t i = 0; i < tl->points.nbreaks; i++) {
        if (tl->points.breaks[i] > p)
            return tl->points.breaks[i];
    }
    return ICOUNT_MAX;
}

/* The last one before `p`; false: there is none. */
static bool break_before(const struct timeline *tl, icount_t p, icount_t *position)
{
    for (size_t i = tl->points.nbreaks; i-- > 0;) {
        if (tl->points.breaks[i] < p && tl->points.breaks[i] >= tl->first) {
            *position = tl->points.breaks[i];
            return true;
        }
    }
    return false;
}

static void continue_forward(struct timeline *tl, bool from_here, struct timeline_stop *stop)
{
    icount_t from = tl->m->st->position;
    enum run_end end;

    begin(tl, HITS_STOP, TRAP_EXEC | TRAP_READ | TRAP_WRITE);
    stop_at_ends(tl);
    tl->search.exec_ignored = from_here ? ICOUNT_MAX : from;
    if (tl->reader.reached < tl->m->st->position)
        tl->reader.reached = tl->m->st->position;
    tl->search.skipping = true;
    end = run_to(tl, break_after(tl, from));
    finish(tl, end, TIMELINE_REPLAY_BREAK, stop);
}

/* First pass over the segment that begins at `c`, up to `until`: tl->search.found. */
static enum run_end search_segment(struct timeline *tl, struct checkpoint *c, icount_t bound, icount_t until,
                                   unsigned kinds)
{
    begin(tl, HITS_COLLECT, kinds);
    if (!points_concern(tl, c)) {
        tl->stats.segments_skipped++;
        return RUN_LIMIT;
    }
    tl->stats.segments_replayed++;
    place_restore(tl, c);
    tl->search.not_before = bound;
    return run_retrace(tl, until);
}

/* The last hit of a search far back, by all of the host's cores. */
struct far {
    struct timeline *tl;
    unsigned kinds;
    bool any;
    icount_t position;
};

static bool far_note(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    (void)m;
    (void)record;
    return hit->kind & ((const struct far *)ctx)->kinds;
}

static bool far_answer(void *ctx, icount_t position, const void *record)
{
    struct far *far = ctx;

    (void)record;
    far->any = true;
    far->position = position;
    return false;
}

static void far_progress(void *ctx, uint64_t done, uint64_t all)
{
    struct timeline *tl = ((const struct far *)ctx)->tl;

    tl->search.far_done = done;
    tl->search.far_all = all;
}

bool timeline_searching_far(const struct timeline *tl, uint64_t *done, uint64_t *all)
{
    *done = tl->search.far_done;
    *all = tl->search.far_all;
    return tl->search.far;
}

/* Are there so many steps between `bound` and `until` to run that it is worth while to start replicas? */
static bool far_pays(const struct timeline *tl, icount_t bound, icount_t until)
{
    const struct checkpoint *c = checkpoint_find(tl->store, bound), *next;
    icount_t steps = 0;

    if (!tl->cfg.far_steps || until <= bound || until - bound <= tl->cfg.far_steps)
        return false;
    for (; c && c->position < until && steps <= tl->cfg.far_steps; c = next) {
        icount_t from = c->position > bound ? c->position : bound;

        next = checkpoint_next(tl->store, c);
        if (points_concern(tl, c))
            steps += (next && next->position < until ? next->position : until) - from;
    }
    return steps > tl->cfg.far_steps;
}

/* Between `bound` and *until: *until comes to be right after the last step that hits, or `bound` if none does. Nothing is done
 * where conditions have to be asked, which only this thread can, or where there are no replicas. */
static enum run_end search_far(struct timeline *tl, icount_t bound, icount_t *until, unsigned kinds)
{
    struct far far = {.tl = tl, .kinds = kinds};
    const struct query q = {.from = bound, .to = *until, .newest_first = true, .limit = 1, .traps = tl->m->traps->list,
                            .ntraps = tl->m->traps->count, .ctx = &far, .note = far_note, .answer = far_answer,
                            .progress = far_progress};
    struct query_result result;
    struct error err = {0};
    const struct point *list;
    int r;

    for (size_t i = 0, n = points_in_force(tl, &list); i < n; i++)
        if (list[i].p.condition)
            return RUN_LIMIT;
    if (!tl->crew)
        return RUN_LIMIT;
    tl->search.far = true;
    tl->search.far_done = tl->search.far_all = 0;
    r = timeline_query(tl, &q, &result, &err);
    tl->search.far = false;
    if (r < 0)
        return RUN_LIMIT;
    tl->stats.segments_replayed += result.run;
    tl->stats.segments_skipped += result.skipped;
    *until = far.any ? far.position + 1 : result.from;
    return result.end == QUERY_INTERRUPTED ? RUN_INTERRUPTED : RUN_LIMIT;
}

/* Go back to before the last hit that is not before `bound`, else to `bound`. */
static void search_back(struct timeline *tl, icount_t bound, enum timeline_reason at_bound, unsigned kinds,
                        struct timeline_stop *stop)
{
    icount_t until = tl->m->st->position;
    struct checkpoint *searched = hold(tl); /* from here on there is nothing */
    struct found found = {.any = false};
    enum run_end end = RUN_LIMIT;
    bool asked_far = false;

    while (until > bound && end == RUN_LIMIT) {
        struct checkpoint *c = checkpoint_find(tl->store, until - 1);

        /* Held: what is placed on the way may cost it its place otherwise. */
        checkpoint_hold(c);
        end = search_segment(tl, c, bound, until, kinds);
        found = tl->search.found;
        if (end != RUN_LIMIT || found.any) {
            checkpoint_release(c);
            break;
        }
        until = c->position;
        /* Before the bound nothing was searched. */
        if (until < bound) {
            checkpoint_release(c);
            continue;
        }
        checkpoint_release(searched);
        searched = c;
        if (!asked_far && far_pays(tl, bound, until))
            end = search_far(tl, bound, &until, kinds);
        asked_far = true;
    }
    if (end == RUN_LIMIT)
        end = go_to(tl, found.any ? hit_stop(tl, &found) : bound);
    if (end != RUN_LIMIT)
        give_up(tl, searched, end, stop);
    else if (found.any)
        tell_hit(tl, &found, BACKWARD, stop);
    else
        stop->reason = at_bound;
    release(tl, searched);
}

static void continue_backward(struct timeline *tl, struct timeline_stop *stop)
{
    icount_t from = tl->m->st->position, bound = tl->first;
    enum timeline_reason at_bound = TIMELINE_REPLAY_BEGIN;

    if (from == tl->first) {
        stop->reason = TIMELINE_REPLAY_BEGIN;
        return;
    }
    if (break_before(tl, from, &bound))
        at_bound = TIMELINE_REPLAY_BREAK;
    search_back(tl, bound, at_bound, TRAP_EXEC | TRAP_READ | TRAP_WRITE, stop);
}

void timeline_continue(struct timeline *tl, enum direction dir, struct timeline_stop *stop)
{
    start_towards(tl, dir, stop);
    if (dir == FORWARD)
        revive(tl);
    if (dir == FORWARD)
        continue_forward(tl, false, stop);
    else
        continue_backward(tl, stop);
}

void timeline_continue_from_here(struct timeline *tl, struct timeline_stop *stop)
{
    start_towards(tl, FORWARD, stop);
    revive(tl);
    continue_forward(tl, true, stop);
}

int timeline_last_write(struct timeline *tl, const struct timeline_point *where, struct timeline_stop *stop,
                        struct error *err)
{
    const struct point only = {
        .p = {.kinds = TRAP_WRITE, .address = where->address, .len = where->len ? where->len : 1,
              .physical = where->physical, .drive = where->drive},
        .bytes_only = true,
    };
    int r = 0;

    start(tl, stop);
    tl->search.only = &only;
    points_apply(tl);
    if (!tl->points.nbytes)
        r = error_set(err, -EFAULT, "there is no memory at %s0x%llx here", where->physical ? "physical " : "",
                      (unsigned long long)where->address);
    else if (tl->m->st->position == tl->first)
        stop->reason = TIMELINE_REPLAY_BEGIN;
    else
        search_back(tl, tl->first, TIMELINE_REPLAY_BEGIN, TRAP_WRITE, stop);
    tl->search.only = NULL;
    points_apply(tl);
    return r;
}

/* ---- seek ---- */

static void seek_backward(struct timeline *tl, icount_t position, struct timeline_stop *stop)
{
    struct checkpoint *home = hold(tl);
    enum run_end end = go_to(tl, position);

    if (end != RUN_LIMIT)
        give_up(tl, home, end, stop);
    else
        stop->reason = TIMELINE_SEEK_DONE;
    release(tl, home);
}

void timeline_seek(struct timeline *tl, icount_t position, struct timeline_stop *stop)
{
    enum run_end end;

    start(tl, stop);
    if (position < tl->first)
        position = tl->first;
    if (position < tl->m->st->position) {
        seek_backward(tl, position, stop);
        return;
    }
    /* Who goes to a place in the past is likely to step back from there. */
    end = go_to(tl, position < tl->edge ? position : tl->edge);
    finish(tl, end == RUN_LIMIT ? run_to(tl, position) : end, TIMELINE_SEEK_DONE, stop);
}
