/*
 * A replay that is not what was recorded: finding out, and finding out where.
 *
 * Witnesses (witness.h) are taken at the live edge each WITNESS_STEPS, and, from
 * where something came in from outside, after 1024 steps, 8192, 65536... Every
 * later run over these positions stops there and compares. So a difference is
 * known to have begun between the last position that agreed and the first that
 * does not; nothing in a recording says more than that, but for checkpoints. A witness
 * is of registers and devices: what went wrong in memory may have passed several.
 *
 * What can be told apart is whose fault it is. The stretch is run again, as
 * before, and then one instruction at a time, without block or chain. If the
 * outcomes differ, it is hindcast that is not deterministic there, and both
 * ways of running are halved down to the step that has two outcomes. If they are
 * the same, the same is tried from the last position whose whole state agreed; and if
 * they still are, the recording says something else than this hindcast does.
 */
#include "replay/timeline_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

/* Steps between witnesses: at most, and first after an event. */
#define WITNESS_STEPS (UINT64_C(1) << 20)
#define WITNESS_NEAR  UINT64_C(1024)
#define WITNESS_GROWS 8
/* Events that are closer together than that do not start it anew. */
#define WITNESS_CALM  UINT64_C(65536)
/* Longest stretch that is run again to find out more. */
#define AGAIN_MOST    (UINT64_C(1) << 25)

void diverge_init(struct timeline *tl)
{
    tl->truth.bad = ICOUNT_MAX;
    witness_log_init(&tl->truth.witnesses, witness_shape_of(tl->m));
    tl->truth.witness_gap = WITNESS_NEAR;
    tl->truth.witness_due = tl->first + WITNESS_NEAR;
}

void diverge_finish(struct timeline *tl)
{
    witness_log_finish(&tl->truth.witnesses);
}

void diverge_fork(const struct witness_log *parents, struct truth *t, icount_t fork)
{
    *t = (struct truth){.bad = ICOUNT_MAX, .witness_gap = WITNESS_NEAR, .witness_due = fork + WITNESS_NEAR};
    witness_log_copy(&t->witnesses, parents, witness_log_find(parents, fork));
}

/* ---- witnesses ---- */

static bool last_is_before(const struct witness_log *l, icount_t position)
{
    return !l->count || l->positions[l->count - 1] < position;
}

static void take_witness(struct timeline *tl)
{
    icount_t here = tl->m->st->position;

    if (tl->m->between || !tl->cfg.live || here < tl->edge || !last_is_before(&tl->truth.witnesses, here))
        return;
    witness_take(tl->m, witness_log_add(&tl->truth.witnesses, here));
    tl->truth.next_witness = tl->truth.witnesses.count;
}

void diverge_expect(struct timeline *tl)
{
    icount_t here = tl->m->st->position;

    if (tl->truth.witness_soon && here - tl->truth.witness_soon < WITNESS_CALM)
        return;
    tl->truth.witness_soon = here;
    take_witness(tl);
    tl->truth.witness_gap = WITNESS_NEAR;
    tl->truth.witness_due = here + WITNESS_NEAR;
}

icount_t diverge_limit(const struct timeline *tl, icount_t limit)
{
    const struct witness_log *l = &tl->truth.witnesses;
    icount_t p = tl->m->st->position;

    for (size_t i = tl->truth.next_witness; i < l->count && l->positions[i] < limit; i++)
        if (l->positions[i] > p)
            return l->positions[i];
    if (p >= tl->edge && tl->truth.witness_due > p && tl->truth.witness_due < limit)
        return tl->truth.witness_due;
    return limit;
}

static void compare_witness(struct timeline *tl, size_t n)
{
    size_t bytes = witness_bytes(&tl->truth.witnesses.shape);
    uint8_t *ours = xmalloc(2 * bytes), *recorded = ours + bytes;
    struct buffer what;

    witness_take(tl->m, ours);
    if (witness_log_differs(&tl->truth.witnesses, n, ours, recorded)) {
        buffer_init(&what);
        witness_name_differences(tl->m, ours, recorded, &what);
        if (!what.len)
            buffer_printf(&what, "the debugger's view of the registers");
        buffer_append_byte(&what, 0);
        diverge_state(tl, (const char *)what.data, false);
        buffer_finish(&what);
    }
    free(ours);
}

void diverge_look(struct timeline *tl)
{
    const struct witness_log *l = &tl->truth.witnesses;
    icount_t here = tl->m->st->position;

    if (tl->m->between || tl->truth.diagnosing)
        return;
    while (tl->truth.next_witness < l->count && l->positions[tl->truth.next_witness] < here)
        tl->truth.next_witness++;
    if (tl->truth.next_witness < l->count) {
        if (l->positions[tl->truth.next_witness] == here && here != tl->truth.bad)
            compare_witness(tl, tl->truth.next_witness);
        return;
    }
    if (here < tl->edge || here < tl->truth.witness_due)
        return;
    take_witness(tl);
    if (tl->truth.witness_gap < WITNESS_STEPS)
        tl->truth.witness_gap *= WITNESS_GROWS;
    if (tl->truth.witness_gap > WITNESS_STEPS)
        tl->truth.witness_gap = WITNESS_STEPS;
    tl->truth.witness_due = here + tl->truth.witness_gap;
}

/* ---- what is known of it ---- */

/* The newest position before `position` at which the whole state was compared with its hash.
 * Whoever came here passed it, or began at a checkpoint that came after it and was
 * itself made on such a way, or compared. */
static icount_t last_hashed(const struct timeline *tl, icount_t position)
{
    icount_t good = tl->first;

    for (size_t i = 0; i < tl->truth.nchecks && tl->truth.checks[i] < position; i++)
        if (tl->truth.checks[i] > good)
            good = tl->truth.checks[i];
    return good;
}

/* The same of the state or a witness of it, which says nothing of memory. */
static icount_t last_compared(const struct timeline *tl, icount_t position)
{
    size_t n = witness_log_find(&tl->truth.witnesses, position);
    icount_t witnessed = n ? tl->truth.witnesses.positions[n - 1] : tl->first, hashed = last_hashed(tl, position);

    return witnessed > hashed ? witnessed : hashed;
}

static const char *source_name(const struct timeline *tl, const struct event *e)
{
    if (e->kind == EVENT_INPUT)
        return e->source < tl->m->ndevices ? tl->m->devices[e->source]->name : "a device that is not there";
    return e->kind == EVENT_HOST_CLOCK ? "the host's clock" : e->kind == EVENT_ENTROPY ? "random bytes"
         : e->kind == EVENT_FILE ? "a file" : e->kind == EVENT_IMAGE ? "a drive's image"
         : e->kind == EVENT_MEDIUM ? "another medium"
         : e->kind == EVENT_SOUND ? "recorded sound"
         : e->kind == EVENT_HOLD ? "other CPUs held"
         : e->kind == EVENT_WRITE_MEMORY || e->kind == EVENT_WRITE_REGISTER ? "the debugger's write" : "another kind";
}

/* The events that a difference between `good` and `bad` can come from. */
static void tell_events(const struct timeline *tl, icount_t good, icount_t bad, struct buffer *out)
{
    uint64_t first = event_log_find(tl->log, good), n = event_log_find(tl->log, bad) - first;
    const struct event *e = event_log_get(tl->log, first);

    if (!n)
        buffer_printf(out, "; the log has no event between them");
    else
        buffer_printf(out, "; between them the log has %llu event%s, the first at position %llu (%s)",
                      (unsigned long long)n, n > 1 ? "s" : "", (unsigned long long)e->position, source_name(tl, e));
}

void diverge_state(struct timeline *tl, const char *what, bool whole)
{
    icount_t here = tl->m->st->position, compared = last_compared(tl, here), good = whole ? last_hashed(tl, here) : compared;
    struct buffer events;

    buffer_init(&events);
    if (good < compared)
        buffer_printf(&events, ", and at %llu registers and devices still were", (unsigned long long)compared);
    tell_events(tl, good, here, &events);
    buffer_append_byte(&events, 0);
    env_diverged(tl, here, "the state is not the recorded one (%s). At position %llu it still was%s", what,
                 (unsigned long long)good, (const char *)events.data);
    buffer_finish(&events);
    tl->truth.undiagnosed = true;
}

/* ---- diagnosing ---- */

static void add_text(struct timeline *tl, const char *text)
{
    size_t n = strlen(tl->truth.divergence.text);

    snprintf(tl->truth.divergence.text + n, sizeof(tl->truth.divergence.text) - n, "%s", text);
}

/* Run from `from` to `to`, in one go or in single steps. False: did not get there. */
static bool run_again(struct timeline *tl, struct checkpoint *from, icount_t to, bool singly)
{
    place_restore(tl, from);
    while (tl->m->st->position < to) {
        enum run_end end = run_to(tl, singly ? tl->m->st->position + 1 : to);

        if (end != RUN_LIMIT)
            return false;
    }
    return true;
}

/* Hashes of memory pages, then of each space that was added. */
static uint64_t *hash_spaces(const struct machine *m)
{
    uint64_t npages = m->memory.pages.count;
    uint64_t *hashes = xcalloc(npages + m->nspaces, sizeof(*hashes));

    for (uint64_t i = 0; i < npages; i++)
        hashes[i] = hash_bytes(0, page_space_page(&m->memory.pages, i), PAGE_SIZE);
    for (unsigned i = 0; i < m->nspaces; i++)
        hashes[npages + i] = page_space_hash(m->spaces[i]);
    return hashes;
}

static void tell_page(const struct machine *m, uint64_t page, struct buffer *out)
{
    const struct page_area *area = page_space_area(&m->memory.pages, page);

    buffer_printf(out, "%spage %llu of %s", out->len ? ", " : "", (unsigned long long)(page - area->first), area->name);
}

static void tell_spaces(const struct machine *m, const uint64_t *one, const uint64_t *other, struct buffer *out)
{
    uint64_t npages = m->memory.pages.count, differ = 0, first = 0;

    for (uint64_t i = npages; i-- > 0;) {
        if (one[i] == other[i])
            continue;
        differ++;
        first = i;
    }
    if (differ)
        tell_page(m, first, out);
    if (differ > 1)
        buffer_printf(out, " and %llu more", (unsigned long long)(differ - 1));
    for (unsigned i = 0; i < m->nspaces; i++)
        if (m->spaces[i] != &m->memory.pages && m->spaces[i] != &m->arena_pages &&
            one[npages + i] != other[npages + i])
            buffer_printf(out, "%s%s", out->len ? ", " : "", m->spaces[i]->name);
}

/* What differs between the two outcomes at `to`. */
static void tell_outcomes(struct timeline *tl, struct checkpoint *from, icount_t to, struct buffer *out)
{
    struct machine *m = tl->m;
    size_t bytes = witness_bytes(&tl->truth.witnesses.shape);
    uint8_t *tags = xmalloc(2 * bytes), *other = tags + bytes;
    uint64_t *spaces, *other_spaces;

    run_again(tl, from, to, true);
    witness_take(m, tags);
    spaces = hash_spaces(m);
    run_again(tl, from, to, false);
    witness_take(m, other);
    other_spaces = hash_spaces(m);
    witness_name_differences(m, tags, other, out);
    tell_spaces(m, spaces, other_spaces, out);
    free(spaces);
    free(other_spaces);
    free(tags);
}

/* The two ways from `from` end differently at `high`: where do they part? */
static void halve(struct timeline *tl, struct checkpoint *from, icount_t high)
{
    icount_t low = from->position;
    struct buffer what;
    char text[160];

    while (high - low > 1) {
        icount_t middle = low + (high - low) / 2;
        uint64_t one;

        run_again(tl, from, middle, true);
        one = machine_hash(tl->m);
        run_again(tl, from, middle, false);
        if (machine_hash(tl->m) == one)
            low = middle;
        else
            high = middle;
    }
    buffer_init(&what);
    tell_outcomes(tl, from, high, &what);
    buffer_append_byte(&what, 0);
    snprintf(text, sizeof(text), ". This is an error of hindcast: run at once and run one by one, instructions have "
             "different outcomes, first in the step to position %llu (", (unsigned long long)high);
    add_text(tl, text);
    add_text(tl, (const char *)what.data);
    add_text(tl, ")");
    buffer_finish(&what);
    tl->truth.bad = high;
}

/* Run from `good` to where it is bad, both ways; `first`: the hash that it had there. Says what is wrong with
 * hindcast; false: nothing is. */
static bool compare_ways(struct timeline *tl, icount_t good, uint64_t first)
{
    struct checkpoint *from = checkpoint_find(tl->store, good);
    icount_t bad = tl->truth.bad;
    bool told = true;
    uint64_t again;

    /* The segment's checkpoint may be far back: begin where the state is known. */
    if (!run_again(tl, from, good, false))
        return true;
    from = place_checkpoint(tl, CHECKPOINT_RUNG);
    checkpoint_hold(from);
    if (run_again(tl, from, bad, false)) {
        again = machine_hash(tl->m);
        if (!run_again(tl, from, bad, true))
            add_text(tl, "");
        else if (machine_hash(tl->m) != again)
            halve(tl, from, bad);
        else if (again != first)
            add_text(tl, ". This is an error of hindcast: the same way, run again, ends in another state");
        else
            told = false;
    }
    checkpoint_release(from);
    return told;
}

/* Whose fault is it, hindcast's or the recording's? */
static void tell_whose(struct timeline *tl, icount_t good)
{
    icount_t bad = tl->truth.bad, whole = last_hashed(tl, bad);
    uint64_t first = machine_hash(tl->m);

    if (compare_ways(tl, good, first))
        return;
    if (whole < good && bad - whole <= AGAIN_MOST && compare_ways(tl, whole, first))
        return;
    add_text(tl, ". Run again, one instruction at a time, the way from there has the same outcome: it is the "
                 "recording that differs, made by another build of hindcast or changed since");
}

void diverge_diagnose(struct timeline *tl)
{
    icount_t bad = tl->truth.bad, good = last_compared(tl, bad);
    enum hit_mode mode = tl->search.mode;
    bool uninterruptible = tl->pace.uninterruptible;

    if (bad == ICOUNT_MAX)
        return;
    tl->search.mode = HITS_IGNORED;
    tl->pace.uninterruptible = tl->truth.diagnosing = true;
    if (tl->truth.undiagnosed && !tl->m->between && tl->m->st->position == bad && bad - good <= AGAIN_MOST)
        tell_whose(tl, good);
    tl->truth.undiagnosed = false;
    if (tl->m->between || tl->m->st->position != tl->truth.bad)
        run_again(tl, checkpoint_find(tl->store, tl->truth.bad), tl->truth.bad, false);
    tl->search.mode = mode;
    tl->pace.uninterruptible = uninterruptible;
    tl->truth.diagnosing = false;
}
