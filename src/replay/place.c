/*
 * Where checkpoints and footprints come to be.
 *
 * Policy
 * ------
 * What a checkpoint saves is processor time, so they are placed by processor time spent
 * running; time slept does not count.
 *
 * At the live edge one is placed every 10 ms, so that the first step backwards
 * from wherever the guest stops costs at most that. What taking one will cost is known
 * beforehand, from how many pages are dirty and what a page has cost lately. Should that be more
 * than a sixtieth of the interval (a guest that dirties memory very fast), the
 * interval grows to 20 ms, and beyond that only where checkpoints would take more than
 * 4 % of the time (what follows from them, first writes that have to be noticed again, is about
 * as much again at the worst). A fifth of the time may go before there is none for three seconds of running.
 *
 * What was not spent of the 4 % is saved, up to CREDIT_NS: a guest that dirties much now and then has its checkpoint
 * when it stops doing so. While it sleeps, more is saved (SLEEP_COST), and a sleep is looked into as soon as that will do:
 * whoever stops a guest that waits for its user need not run again what came before, however much memory that has changed.
 *
 * Where the user stops the guest, one is placed first, and the guest runs on for a few steps: the first step backwards is as short
 * as the next ones are, and how the stop is late by what that costs, nobody sees (STOP_COST). Where a breakpoint is hit it is too late
 * for that; while the user thinks it is made good for (timeline_prepare_back()).
 *
 * The last sixteen stay; behind them, as they get older, only those are kept that are needed for a spacing of 250 ms.
 * Pages that only the dropped ones held go with them.
 *
 * When the past is run again and 250 ms go by without meeting a checkpoint, one
 * is placed, unless that takes more than a fifth of the time: whoever is interested in a stretch of history pays for it once.
 * Where the way leads forward to a hit, nobody knows where it will end, and a step back from there is likely: so on
 * it rungs are placed as densely as checkpoints at the edge.
 *
 * After any reverse operation the way to where it ends gets a ladder of rungs,
 * ever closer to it (navigate.c). Rungs are the first to go: only a few dozen
 * stay, ever denser towards the present.
 *
 * Replicas place checkpoints and note footprints, too, as long as there is room; the leader alone thins, when they are done.
 *
 * What has to go for want of memory is the checkpoint store's business.
 *
 * Footprints. Whenever we run from a checkpoint whose segment has none, the
 * pages that the CPU touches are noted until a checkpoint, placed or met, is
 * FOOTPRINT_NS of processor time away; to begin anew costs the CPU its caches. All
 * segments on the way share what was noted.
 *
 * Bytes of pages. Whoever runs with access traps sees every access to their pages go by. So of each segment that is run whole it
 * is kept which bytes of these pages were touched (vm/touches.h): a field of a task's structure, a variable among others are
 * then told apart by the next search, which goes by their page otherwise.
 */
#include "replay/timeline_internal.h"

#define LASTING_NS   250000000u
#define EDGE_NS      10000000u
#define EDGE_NS_SLOW 20000000u
#define FOOTPRINT_NS 100000000u
/* An interval is at least that many times the cost of taking: as long as that is
 * not more than EDGE_NS_SLOW, and when it is. */
#define EDGE_COST      64
#define EDGE_COST_SLOW 25
/* And when it would be longer than this. (The pages that a guest writes once and keeps become ever more, so the time that
 * they ask for would recede before it for ever.) */
#define EDGE_NS_LONG   3000000000u
#define EDGE_COST_LONG 5
#define CREDIT_NS    40000000u
/* Before the user's stop one may cost a part in so many of the time since the one before, and that much in any case. */
#define STOP_COST      4
#define STOP_COST_NS   20000000u
/* Of time slept, in which the host's processor had nothing else to do, one part in so many may be spent on a checkpoint before
 * another sleep; saved is what the next one costs, and that much in any case. */
#define SLEEP_COST      4
#define SLEEP_CREDIT_NS 3000000000u
/* What copying a page costs is learnt at once, then by fourths, from so many pages together, and within these bounds: now and
 * then the host was busy with something else meanwhile. What a checkpoint of no pages costs is learnt the same way. */
#define PAGE_NS_FIRST 1000u
#define PAGE_NS_LEAST 100u
#define PAGE_NS_MOST  16000u
#define PAGES_LEARN   256u
#define TAKE_NS_MOST  1000000u
#define EDGE_KEEP    16         /* recent ones that consolidation leaves alone */
#define RUNGS_KEEP   32

/* ---- segments, footprints ---- */

/* What was noted up to the present segment's beginning. */
static void keep_footprint(struct timeline *tl)
{
    machine_set_footprint(tl->m, NULL);
    if (tl->placement.recording && tl->placement.segment->position > tl->placement.fp_from)
        checkpoint_note_footprint(tl->store, tl->placement.fp_from, tl->placement.segment->position, &tl->placement.fp);
    tl->placement.recording = false;
}

/* What was seen of pages under traps since a checkpoint; the machine stands at position `to`, another's. */
static void keep_touches(struct timeline *tl, icount_t to)
{
    const struct placement *p = &tl->placement;

    if (tl->m->touches && to > p->touches_from && tl->m->traps->generation == p->touches_traps)
        checkpoint_note_touches(tl->store, p->touches_from, to, &p->touches);
}

/* The machine stands at a checkpoint: look at the pages that are under traps now. */
static void follow_touches(struct timeline *tl)
{
    struct placement *p = &tl->placement;

    p->touches_from = tl->m->st->position;
    if (p->touches_traps == tl->m->traps->generation)
        touches_clear(&p->touches);
    else
        touches_follow(&p->touches, tl->m->traps);
    p->touches_traps = tl->m->traps->generation;
    tl->m->touches = p->touches.count ? &p->touches : NULL;
}

static void hold_segment(struct timeline *tl, struct checkpoint *c)
{
    const struct checkpoint *next = checkpoint_next(tl->store, c);

    checkpoint_hold(c);
    if (tl->placement.segment)
        checkpoint_release(tl->placement.segment);
    tl->placement.segment = c;
    tl->placement.rungs_ns = c->kind == CHECKPOINT_RUNG ? tl->placement.rungs_ns + tl->placement.since_ns : 0;
    tl->placement.since_ns = 0;
    tl->placement.segment_end = next ? next->position : ICOUNT_MAX;
}

/* The machine stands at `c`: what lies ahead? */
static void enter(struct timeline *tl, struct checkpoint *c)
{
    hold_segment(tl, c);
    follow_touches(tl);
    tl->placement.recording = !checkpoint_footprint(c);
    if (tl->placement.recording) {
        footprint_clear(&tl->placement.fp);
        tl->placement.fp_from = c->position;
        tl->placement.fp_ns = 0;
        machine_set_footprint(tl->m, &tl->placement.fp);
    } else if (tl->m->footprint) {
        machine_set_footprint(tl->m, NULL);
    }
}

/* The segment is complete; `c` begins the next one. */
static void pass(struct timeline *tl, struct checkpoint *c)
{
    tl->placement.fp_ns += tl->placement.since_ns;
    keep_touches(tl, c->position);
    if (tl->placement.recording && tl->placement.fp_ns < FOOTPRINT_NS && !checkpoint_footprint(c)) {
        hold_segment(tl, c);
        follow_touches(tl);
        return;
    }
    if (tl->placement.recording) {
        hold_segment(tl, c);
        keep_footprint(tl);
    }
    enter(tl, c);
}

void place_leave(struct timeline *tl)
{
    keep_footprint(tl);
}

void place_restore(struct timeline *tl, struct checkpoint *c)
{
    keep_footprint(tl);
    checkpoint_seat_restore(tl->seat, c);
    tl->placement.copies_seen_ns = checkpoint_copy_ns(tl->store);
    env_seek(tl);
    tl->placement.since_ns = tl->placement.rungs_ns = 0;
    enter(tl, c);
}

/* ---- placement ---- */

static void find_neighbours(struct timeline *tl)
{
    const struct checkpoint *next = checkpoint_next(tl->store, tl->placement.segment);

    tl->placement.segment_end = next ? next->position : ICOUNT_MAX;
}

struct checkpoint *place_checkpoint(struct timeline *tl, enum checkpoint_kind kind)
{
    bool live = tl->m->st->position >= tl->edge && !tl->leader;
    uint64_t t0 = run_work_now(tl), effort = tl->placement.effort_ns, copies = checkpoint_copy_ns(tl->store);
    struct checkpoint *c = checkpoint_seat_take(tl->seat, kind);

    /* Those of pages that changed for the first time since the one before: they are what that one cost, when all is said. */
    copies -= tl->placement.copies_seen_ns;
    tl->placement.copies_seen_ns = checkpoint_copy_ns(tl->store);
    tl->placement.copies_ns = copies;
    tl->stats.checkpoint_ns += copies;
    if (c == tl->placement.segment)
        return c;
    if (!live) {
        const struct checkpoint *next = checkpoint_next(tl->store, c);

        effort = tl->placement.segment->effort_ns + tl->placement.since_ns;
        if (next && next->effort_ns < effort)
            effort = next->effort_ns;
    }
    c->effort_ns = effort;
    pass(tl, c);
    tl->stats.checkpoint_ns += run_work_now(tl) - t0;
    return c;
}

/* Leave the lasting spacing behind the recent ones. */
static void consolidate(struct timeline *tl)
{
    size_t count = checkpoint_count(tl->store);
    const struct checkpoint *stop = count > EDGE_KEEP ? checkpoint_nth(tl->store, count - EDGE_KEEP) : NULL;
    struct checkpoint *at = checkpoint_find(tl->store, tl->placement.consolidated), *next;

    CHECK(!tl->leader);
    if (!stop || !at)
        return;
    for (at = checkpoint_next(tl->store, at); at && at->position < stop->position; at = next) {
        const struct checkpoint *before = checkpoint_prev(tl->store, at);

        next = checkpoint_next(tl->store, at);
        tl->placement.consolidated = at->position;
        if (next->effort_ns - before->effort_ns > tl->cfg.checkpoint_interval_ns || at->pins || at->holds)
            continue;
        checkpoint_remove(tl->store, at);
        tl->placement.consolidated = before->position;
    }
    find_neighbours(tl);
}

void place_trim(struct timeline *tl)
{
    if (tl->leader) {
        find_neighbours(tl);
        return;
    }
    checkpoint_trim_rungs(tl->store, tl->m->st->position, RUNGS_KEEP);
    checkpoint_trim(tl->store, tl->m->st->position, tl->edge);
    snapshots_trimmed(tl);
    find_neighbours(tl);
}

void place_found(struct timeline *tl)
{
    hold_segment(tl, checkpoint_find(tl->store, tl->m->st->position));
    place_trim(tl);
}

/* What taking a checkpoint here would cost, about. */
static uint64_t expected_cost(const struct timeline *tl)
{
    const struct placement *p = &tl->placement;

    return p->take_ns + checkpoint_seat_dirty(tl->seat) * (p->page_ns ? p->page_ns : PAGE_NS_FIRST);
}

/* A fourth of the way to what was seen; the first time all of it. */
static uint64_t learn(uint64_t known, uint64_t seen, uint64_t most)
{
    if (seen > most)
        seen = most;
    return known ? known - known / 4 + seen / 4 : seen;
}

/* Taking a checkpoint, with what follows from it and the copies of pages since the one before, has cost that much. */
static void learn_cost(struct placement *p, uint64_t pages, uint64_t cost_ns)
{
    uint64_t copying = cost_ns > p->take_ns ? cost_ns - p->take_ns : 0;

    if (pages >= PAGES_LEARN) {
        p->page_ns = learn(p->page_ns, copying / pages, PAGE_NS_MOST);
        if (p->page_ns < PAGE_NS_LEAST)
            p->page_ns = PAGE_NS_LEAST;
    } else {
        p->take_ns = learn(p->take_ns, cost_ns > pages * p->page_ns ? cost_ns - pages * p->page_ns : 1, TAKE_NS_MOST);
    }
    p->credit_ns -= p->credit_ns < cost_ns ? p->credit_ns : cost_ns;
}

/* How long to wait if taking a checkpoint costs that much. */
static uint64_t edge_interval(const struct timeline *tl, uint64_t cost_ns)
{
    uint64_t least = tl->cfg.edge_interval_ns, most = EDGE_NS_SLOW, wanted = cost_ns * EDGE_COST;

    if (most < cost_ns * EDGE_COST_SLOW)
        most = cost_ns * EDGE_COST_SLOW;
    if (most > EDGE_NS_LONG)
        most = cost_ns * EDGE_COST_LONG > EDGE_NS_LONG ? cost_ns * EDGE_COST_LONG : EDGE_NS_LONG;
    if (wanted > most)
        wanted = most;
    return wanted > least ? wanted : least;
}

/* Is it long enough since the one before, for what the next one would cost? */
static bool is_time(const struct timeline *tl)
{
    uint64_t since = tl->placement.since_ns, cost;

    if (since < tl->cfg.edge_interval_ns)
        return false;
    cost = expected_cost(tl);
    return since >= edge_interval(tl, cost) || (since >= EDGE_NS_SLOW && cost <= tl->placement.credit_ns);
}

/* The same where history is run again. */
static bool is_time_in_the_past(const struct timeline *tl)
{
    uint64_t since = tl->placement.rungs_ns + tl->placement.since_ns;

    return since >= tl->cfg.checkpoint_interval_ns && since >= expected_cost(tl) * EDGE_COST_LONG;
}

static void place_at_edge(struct timeline *tl)
{
    uint64_t t0 = run_work_now(tl), pages = checkpoint_seat_dirty(tl->seat);

    place_checkpoint(tl, CHECKPOINT_AUTO);
    consolidate(tl);
    if (tl->placement.effort_ns - tl->placement.trimmed_ns >= tl->cfg.checkpoint_interval_ns) {
        tl->placement.trimmed_ns = tl->placement.effort_ns;
        place_trim(tl);
    }
    learn_cost(&tl->placement, pages, run_work_now(tl) - t0 + tl->placement.copies_ns);
}

/* More may be spent, if it is not so much already. */
static void save(uint64_t *credit_ns, uint64_t ns, uint64_t most)
{
    if (*credit_ns < most)
        *credit_ns = *credit_ns + ns < most ? *credit_ns + ns : most;
}

/* Is this a place for a checkpoint that there is none of? */
static bool may_place(const struct timeline *tl)
{
    return !tl->m->between && tl->m->st->position != tl->placement.segment->position && !tl->truth.diagnosing;
}

void place_ran(struct timeline *tl, uint64_t ns, bool live)
{
    struct placement *p = &tl->placement;

    p->since_ns += ns;
    if (!live)
        return;
    p->effort_ns += ns;
    save(&p->credit_ns, ns / EDGE_COST_SLOW, CREDIT_NS);
}

void place_slept(struct timeline *tl, uint64_t ns)
{
    uint64_t cost = expected_cost(tl);

    save(&tl->placement.slept_credit_ns, ns / SLEEP_COST, cost > SLEEP_CREDIT_NS ? cost : SLEEP_CREDIT_NS);
}

uint64_t place_before_sleep(struct timeline *tl)
{
    struct placement *p = &tl->placement;
    uint64_t cost;

    if (!may_place(tl) || tl->leader || p->since_ns < EDGE_NS_SLOW || p->since_ns < tl->cfg.edge_interval_ns)
        return UINT64_MAX;
    cost = expected_cost(tl);
    if (cost > p->slept_credit_ns)
        return (cost - p->slept_credit_ns) * SLEEP_COST;
    p->slept_credit_ns -= cost;
    place_at_edge(tl);
    return UINT64_MAX;
}

/* At the live edge, where thinning is not the leader's. */
static bool at_edge(const struct timeline *tl)
{
    return tl->m->st->position >= tl->edge && !tl->leader;
}

bool place_before_stop(struct timeline *tl)
{
    uint64_t since = tl->placement.since_ns, cost;

    if (!may_place(tl) || !at_edge(tl) || since < EDGE_NS_SLOW || since < tl->cfg.edge_interval_ns)
        return false;
    cost = expected_cost(tl);
    if (cost > STOP_COST_NS && cost > since / STOP_COST)
        return false;
    place_at_edge(tl);
    return true;
}

void place_if_due(struct timeline *tl)
{
    if (!may_place(tl))
        return;
    /* (A replica's edge is the past.) */
    if (at_edge(tl)) {
        if (is_time(tl))
            place_at_edge(tl);
        return;
    }
    if (tl->leader && !checkpoint_has_room(tl->store))
        return;
    if (is_time_in_the_past(tl))
        place_checkpoint(tl, CHECKPOINT_AUTO);
    else if (tl->search.mode == HITS_STOP && is_time(tl))
        place_checkpoint(tl, CHECKPOINT_RUNG);
    else
        return;
    place_trim(tl);
}

void place_pass_end(struct timeline *tl)
{
    struct checkpoint *c = checkpoint_at(tl->store, tl->placement.segment_end);

    /* (Others may have placed some between: a footprint goes on only from where we stand. And while a replica stood between two
     * of its runs, the leader may have dropped this one: then the segment is longer than it was.) */
    if (c)
        pass(tl, c);
    else
        find_neighbours(tl);
}

/* ---- set-up ---- */

void place_init(struct timeline *tl)
{
    struct timeline_config *cfg = &tl->cfg;

    if (!cfg->checkpoint_interval_ns)
        cfg->checkpoint_interval_ns = LASTING_NS;
    if (!cfg->edge_interval_ns)
        cfg->edge_interval_ns = EDGE_NS;
    footprint_init(&tl->placement.fp);
    enter(tl, checkpoint_seat_take(tl->seat, CHECKPOINT_AUTO));
    tl->placement.consolidated = tl->m->st->position;
}

void place_finish(struct timeline *tl)
{
    machine_set_footprint(tl->m, NULL);
    tl->m->touches = NULL;
    footprint_finish(&tl->placement.fp);
}
