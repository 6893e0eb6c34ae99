/*
 * Whose steps they were: the last one that some CPUs made, the position where one has made so many.
 *
 * Each CPU's steps are counted in its state, so a checkpoint tells how many it had made by then, and the count never falls.
 * What lies between two checkpoints is run again.
 */
#include "replay/timeline_internal.h"

#include <errno.h>

#include "base/error.h"

/* How many this CPU has made, at `c`. */
static icount_t steps_at(struct timeline *tl, const struct cpu *cpu, const struct checkpoint *c)
{
    struct cpu_share share;

    checkpoint_read_arena(tl->store, c, (size_t)((const uint8_t *)cpu->share - tl->m->arena), &share, sizeof(share));
    return share.steps;
}

/* ---- the last one ---- */

/* Steps made before the state at `c` (NULL: at the present) by `cpus`, or by nobody (debuggers' writes, resets). */
static icount_t steps_made(struct timeline *tl, uint64_t cpus, const struct checkpoint *c)
{
    icount_t made = c ? c->position : tl->m->st->position;

    for (unsigned i = 0; i < tl->m->ncpus; i++) {
        const struct cpu *cpu = tl->m->cpus[i];

        if (!(cpus >> i & 1))
            made -= c ? steps_at(tl, cpu, c) : cpu->share->steps;
    }
    return made;
}

/* The newest checkpoint before `position`, where `made` of these steps have been made, with less of them; NULL: there is
 * none. */
static struct checkpoint *checkpoint_before_step(struct timeline *tl, uint64_t cpus, icount_t position, icount_t made)
{
    size_t low = 0, high = checkpoint_count(tl->store);

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct checkpoint *c = checkpoint_nth(tl->store, mid);

        if (c->position < position && steps_made(tl, cpus, c) < made)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? checkpoint_nth(tl->store, low - 1) : NULL;
}

const struct cpu *steps_find_last(struct timeline *tl, uint64_t cpus, enum run_end *end)
{
    icount_t until = tl->m->st->position, made = steps_made(tl, cpus, NULL);
    const struct cpu *cpu = run_last_stepper(tl, cpus);
    struct checkpoint *c;

    *end = RUN_LIMIT;
    while (!cpu && *end == RUN_LIMIT) {
        const struct checkpoint *next;
        icount_t began;

        c = checkpoint_before_step(tl, cpus, until, made);
        if (!c)
            return NULL;
        next = checkpoint_next(tl->store, c);
        if (next && next->position < until)
            until = next->position;
        began = c->position;
        made = steps_made(tl, cpus, c);
        place_restore(tl, c);
        *end = run_retrace(tl, until);
        until = began;
        cpu = run_last_stepper(tl, cpus);
    }
    return *end == RUN_LIMIT ? cpu : NULL;
}

/* ---- the nth one ---- */

/* The newest checkpoint at which the CPU has made less than n steps; if there is none, the first. */
static struct checkpoint *checkpoint_before_count(struct timeline *tl, const struct cpu *cpu, icount_t n)
{
    size_t low = 0, high = checkpoint_count(tl->store);

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (steps_at(tl, cpu, checkpoint_nth(tl->store, mid)) < n)
            low = mid + 1;
        else
            high = mid;
    }
    return checkpoint_nth(tl->store, low ? low - 1 : 0);
}

static enum run_end go(struct timeline *tl, icount_t position)
{
    place_restore(tl, checkpoint_find(tl->store, position));
    return run_to(tl, position);
}

/* It has made less than n at *low, and as many or more at *high: the first position where it has. */
static enum run_end bisect(struct timeline *tl, const struct cpu *cpu, icount_t n, icount_t low, icount_t *high)
{
    enum run_end end = RUN_LIMIT;
    icount_t mid = *high - 1; /* likely */

    while (low + 1 < *high && end == RUN_LIMIT) {
        end = go(tl, mid);
        if (cpu->share->steps < n)
            low = mid;
        else
            *high = mid;
        mid = low + (*high - low) / 2;
    }
    return end;
}

/* Run from here, where the CPU has made less than n, at most to `limit`. True: to where it has made n or more, and less
 * at *before. */
static bool run_past(struct timeline *tl, const struct cpu *cpu, icount_t n, icount_t limit, icount_t *before, enum run_end *end)
{
    icount_t way = 0;

    *end = RUN_LIMIT;
    while (cpu->share->steps < n && tl->m->st->position < limit && *end == RUN_LIMIT) {
        icount_t made = cpu->share->steps, least = n - made;

        /* So far at least; while it sleeps, ever further. */
        way = way < least ? least : way;
        *before = tl->m->st->position;
        *end = run_to(tl, limit - *before < way ? limit : *before + way);
        way = cpu->share->steps == made ? way * 2 : 0;
    }
    return *end == RUN_LIMIT && cpu->share->steps >= n;
}

int timeline_find_steps(struct timeline *tl, unsigned number, icount_t n, icount_t *position, struct error *err)
{
    const struct cpu *cpu = tl->m->cpus[number];
    struct checkpoint *c = checkpoint_before_count(tl, cpu, n);
    icount_t before = c->position;
    enum run_end end;

    tl->pace.interrupted = false;
    tl->search.mode = HITS_IGNORED;
    place_restore(tl, c);
    *position = before;
    if (cpu->share->steps >= n)
        return cpu->share->steps == n ? 0 : error_set(err, -ERANGE, "history begins with %llu steps of CPU %u",
                                                      (unsigned long long)cpu->share->steps, number);
    if (!run_past(tl, cpu, n, tl->edge, &before, &end)) {
        if (end == RUN_INTERRUPTED)
            return error_set(err, -EINTR, "interrupted");
        return error_set(err, -ERANGE, "CPU %u has made %llu steps up to position %llu, where history ends", number,
                         (unsigned long long)cpu->share->steps, (unsigned long long)tl->m->st->position);
    }
    /* Its last step is the one, if it was not reset since. */
    *position = cpu->share->steps == n && cpu->stepped ? cpu->stepped : tl->m->st->position;
    end = bisect(tl, cpu, n, before, position);
    return end == RUN_LIMIT ? 0 : error_set(err, -EINTR, "interrupted");
}

/* ---- the one at a time ---- */

/* A guest that sleeps comes further in time than its steps do; so far it is run on at a time. */
#define TIME_STEPS ((icount_t)1 << 20)

/* The newest checkpoint before that time; if there is none, the first. */
static struct checkpoint *checkpoint_before_time(struct timeline *tl, vtime_t time)
{
    size_t low = 0, high = checkpoint_count(tl->store);

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (checkpoint_nth(tl->store, mid)->vtime < time)
            low = mid + 1;
        else
            high = mid;
    }
    return checkpoint_nth(tl->store, low ? low - 1 : 0);
}

int timeline_find_time(struct timeline *tl, vtime_t time, icount_t *position, struct error *err)
{
    struct checkpoint *c = checkpoint_before_time(tl, time);
    icount_t before = c->position, after;
    enum run_end end = RUN_LIMIT;

    if (time > tl->edge_vtime)
        return error_set(err, -ERANGE, "history ends at %llu.%09llu s of virtual time: there is nothing to go to yet", (unsigned long long)(tl->edge_vtime / 1000000000u),
                         (unsigned long long)(tl->edge_vtime % 1000000000u));
    tl->pace.interrupted = false;
    tl->search.mode = HITS_IGNORED;
    place_restore(tl, c);
    while (end == RUN_LIMIT && machine_now(tl->m) < time && tl->m->st->position < tl->edge) {
        icount_t left = tl->edge - tl->m->st->position;

        before = tl->m->st->position;
        end = run_to(tl, before + (left < TIME_STEPS ? left : TIME_STEPS));
    }
    after = tl->m->st->position;
    if (before == after) {
        *position = after;
        return 0;
    }
    /* It is earlier at `before`, and not at `after`. */
    while (end == RUN_LIMIT && before + 1 < after) {
        icount_t mid = before + (after - before) / 2;

        end = go(tl, mid);
        if (machine_now(tl->m) < time)
            before = mid;
        else
            after = mid;
    }
    *position = after;
    return end == RUN_LIMIT ? 0 : error_set(err, -EINTR, "interrupted");
}
