/*
 * Guests of random code, run in every way there is: their states must be the same at the same positions.
 *
 * Of each seed and mode a guest is made (fuzz_i386.c, fuzz_a64.c) and run straight by the interpreter;
 * then in single steps, in cut runs, on each engine, with caches dropped, watched, noted; under a timeline
 * that goes back and forth, from checkpoints after having been elsewhere; recorded with input, and
 * replayed on another engine. Where a state differs, the first such position is looked for.
 *
 *     fuzz_code [-s SECONDS] [-n SEEDS] [-f FIRST] [-m MODE] [-w WAY]
 *
 * Exit status 0: all equal; 1: a difference, or an engine gave up; 2: usage.
 */
#include "tests/whole/fuzz_code.h"

#include "base/hash.h"
#include "host/code_memory.h"
#include "replay/timeline.h"
#include "vm/exec.h"
#include "vm/footprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POINTS   20u
#define STEPS    12000u
#define PATIENCE 200u /* ticks without a step */
#define FURTHEST 100000u /* a step over code that overwrites itself may not end before that */

/* ---- the outside ---- */

static uint64_t clock_at_rest(void *ctx, struct machine *m)
{
    (void)ctx;
    (void)m;
    return UINT64_C(1700000000) * 1000000000u;
}

static void no_entropy(void *ctx, struct machine *m, void *buf, size_t len)
{
    (void)ctx;
    (void)m;
    memset(buf, 0x5a, len);
}

static const struct machine_env env = {.host_clock = clock_at_rest, .entropy = no_entropy};

static uint64_t wall_clock(void *ctx)
{
    (void)ctx;
    return clock_at_rest(NULL, NULL);
}

static void entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    no_entropy(NULL, NULL, buf, len);
}

static void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx;
    (void)dev;
    (void)buf;
    (void)len;
}

/* What a timeline's host knows. */
struct outside {
    uint64_t clock;
    struct timeline *tl;
    icount_t position; /* where it stood when it was last polled, */
    unsigned polls;    /* and how often it was polled there */
};

/* A clock that goes on by itself, so that checkpoints lie where they lay the last time. */
static uint64_t ticks(void *ctx)
{
    return ((struct outside *)ctx)->clock += 300000;
}

/* A guest that only its ticks wake, but not out of its sleep, is to be left alone. */
static bool too_long(void *ctx)
{
    struct outside *o = ctx;

    if (!o->tl || timeline_position(o->tl) != o->position)
        o->polls = 0;
    o->position = o->tl ? timeline_position(o->tl) : 0;
    return ++o->polls > PATIENCE || o->position > FURTHEST;
}

static uint64_t no_wait(void *ctx, uint64_t ns)
{
    (void)ctx;
    return ns;
}

/* ---- guests ---- */

enum engine { INTERPRETER, PLAIN, SINGLE, UNCACHED, JIT, JIT_LATE };

static void use_engine(struct machine *m, enum engine e)
{
    struct ucpu *u = (struct ucpu *)(void *)m->cpus[0];
    struct code_memory memory;
    struct error err;

    u->plain_switch = u->no_optimise = e == PLAIN;
    u->single = e == SINGLE;
    u->no_cache = e == UNCACHED;
    u->careful = e == INTERPRETER;
    if (e != JIT && e != JIT_LATE)
        return;
    if (code_memory_map(&memory, 1 << 20, &err) < 0)
        return;
    if (!ucpu_use_jit(u, &memory, e == JIT ? 1 : 2))
        code_memory_unmap(&memory); /* there is none: the interpreter once more */
}

/* Small TLBs, which soon are too small, but for the reference. */
static struct machine *make(const struct fuzz_mode *mode, uint64_t seed, enum engine e)
{
    struct fuzz_rng r = {.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    struct machine *m;

    fuzz_roll(&r, 0);
    m = mode->make(mode, &r);
    m->env = &env;
    if (e != INTERPRETER)
        ucpu_set_tlb_bits((struct ucpu *)(void *)m->cpus[0], 1 + seed % 4);
    use_engine(m, e);
    return m;
}

/* Of all that such a guest is likely to change. */
static uint64_t state_hash(const struct fuzz_mode *mode, const struct machine *m)
{
    uint32_t first = memory_page_of(&m->memory, mode->ram);
    uint64_t h = 0;

    for (unsigned i = 0; i < m->ncomponents; i++)
        h = h * 31 + machine_component_hash(m, i);
    for (uint32_t n = 0; n < mode->ram_bytes >> PAGE_SHIFT; n++)
        h = h * 31 + hash_bytes(0, memory_page(&m->memory, first + n), PAGE_SIZE);
    return h;
}

/* What is known of a guest: where it stood at the points, and its states there. */
struct known {
    const struct fuzz_mode *mode;
    uint64_t seed;
    unsigned points;
    icount_t at[POINTS];
    uint64_t hash[POINTS];
};

/* Where it should stand, and what the run to there is called. */
struct run {
    const struct known *k;
    struct machine *m;
    struct fuzz_rng r;
    enum engine engine;
    struct machine *twin; /* of run_noted(): the same guest, going one instruction at a time */
    bool missed;          /* a footprint lacked something */
};

static void run_straight(struct run *run, icount_t until)
{
    struct stop stop;

    machine_run(run->m, until, &stop);
}

static void run_singly(struct run *run, icount_t until)
{
    struct stop stop = {.kind = STOP_LIMIT};

    while (run->m->st->position < until && stop.kind == STOP_LIMIT)
        machine_run(run->m, run->m->st->position + 1, &stop);
}

static icount_t cut(struct run *run, icount_t until, uint32_t most)
{
    icount_t next = run->m->st->position + 1 + fuzz_roll(&run->r, most);

    return next < until ? next : until;
}

static void run_cut(struct run *run, icount_t until)
{
    struct stop stop = {.kind = STOP_LIMIT};

    while (run->m->st->position < until && stop.kind == STOP_LIMIT)
        if (fuzz_chance(&run->r, 30))
            machine_run_instruction(run->m, until, UINT64_MAX, &stop);
        else
            machine_run(run->m, cut(run, until, 60), &stop);
}

static void run_dropping(struct run *run, icount_t until)
{
    struct stop stop = {.kind = STOP_LIMIT};

    while (run->m->st->position < until && stop.kind == STOP_LIMIT) {
        machine_run(run->m, cut(run, until, 300), &stop);
        run->m->cpus[0]->ops->drop_derived(run->m->cpus[0]);
        if (fuzz_chance(&run->r, 30))
            page_space_clean(&run->m->memory.pages);
    }
}

/* Stops at some, as a debugger would. */
static bool sometimes(void *ctx, const struct trap_hit *hit)
{
    (void)hit;
    return fuzz_chance(ctx, 30);
}

static void run_watched(struct run *run, icount_t until)
{
    const struct fuzz_mode *mode = run->k->mode;
    struct stop stop = {.kind = STOP_LIMIT};
    struct trap traps[8];
    struct footprint noted;

    footprint_init(&noted);
    run->m->traps->hit = sometimes;
    run->m->traps->ctx = &run->r;
    while (run->m->st->position < until && (stop.kind == STOP_LIMIT || stop.kind == STOP_TRAP)) {
        for (unsigned i = 0; i < ARRAY_LEN(traps); i++)
            traps[i] = (struct trap){
                .address = i < 4 ? mode->code + fuzz_roll(&run->r, (uint32_t)mode->code_bytes)
                                 : mode->ram + fuzz_roll(&run->r, 0x20000),
                .len = i < 4 ? 1 : 1 + fuzz_roll(&run->r, 64),
                .kinds = i < 4 ? TRAP_EXEC : 1u << (1 + fuzz_roll(&run->r, 2)),
            };
        machine_set_traps(run->m, traps, fuzz_roll(&run->r, ARRAY_LEN(traps) + 1));
        machine_set_footprint(run->m, fuzz_chance(&run->r, 50) ? &noted : NULL);
        machine_run(run->m, cut(run, until, 1000), &stop);
        if (stop.kind == STOP_TRAP && run->m->between)
            run_straight(run, run->m->st->position + 1); /* what stops there goes back */
    }
    machine_set_traps(run->m, NULL, 0);
    machine_set_footprint(run->m, NULL);
    footprint_finish(&noted);
}

/* All that it runs up to where the other one stands is in the footprint. */
static bool all_noted(struct run *run, struct machine *twin, const struct footprint *f)
{
    struct page_set ran;
    struct stop stop;
    bool all = true;
    uint64_t *list;
    size_t n;

    page_set_init(&ran);
    twin->coverage = &ran;
    machine_run(twin, run->m->st->position, &stop);
    twin->coverage = NULL;
    page_set_seal(&ran);
    list = page_set_list(&ran, &n);
    for (size_t i = 0; i < n; i++) {
        uint64_t va = (uint64_t)((int64_t)list[i] >> COVERAGE_LEN_BITS), len = list[i] & ((1u << COVERAGE_LEN_BITS) - 1);

        all &= footprint_has_code(f, va) && footprint_has_code(f, va + len - 1);
    }
    free(list);
    page_set_finish(&ran);
    return all;
}

/* Each piece with a footprint, which must name all code that a run in single instructions comes by. */
static void run_noted(struct run *run, icount_t until)
{
    struct stop stop = {.kind = STOP_LIMIT};
    struct footprint f;

    footprint_init(&f);
    if (!run->twin)
        run->twin = make(run->k->mode, run->k->seed, INTERPRETER);
    while (run->m->st->position < until && stop.kind == STOP_LIMIT) {
        footprint_clear(&f);
        machine_set_footprint(run->m, &f);
        machine_run(run->m, cut(run, until, 300), &stop);
        machine_set_footprint(run->m, NULL);
        if (!all_noted(run, run->twin, &f)) {
            printf("fuzz_code: a footprint lacks code that was run before position %" PRIu64 "\n", (uint64_t)run->m->st->position);
            run->missed = true;
        }
    }
    footprint_finish(&f);
}

static const struct way {
    const char *name;
    enum engine engine;
    void (*run)(struct run *run, icount_t until);
    unsigned one_in; /* seeds */
} ways[] = {
    {"single steps", INTERPRETER, run_singly, 1},
    {"jit", JIT, run_straight, 1},
    {"jit, late", JIT_LATE, run_straight, 1},
    {"jit, cut", JIT, run_cut, 1},
    {"jit, noted", JIT, run_noted, 1},
    {"noted", INTERPRETER, run_noted, 1},
    {"jit, dropped", JIT_LATE, run_dropping, 1},
    {"jit, watched", JIT, run_watched, 1},
    {"cut", INTERPRETER, run_cut, 1},
    {"dropped", INTERPRETER, run_dropping, 1},
    {"watched", INTERPRETER, run_watched, 1},
    {"unoptimised", PLAIN, run_straight, 1},
    {"blocks of one", SINGLE, run_straight, 2},
    {"not cached", UNCACHED, run_straight, 8},
};

/* ---- telling ---- */

static void say(const struct known *k, const char *way, icount_t position)
{
    printf("fuzz_code: %s: another state at position %" PRIu64 "; again: fuzz_code -n 1 -f %" PRIu64 " -m %s -w '%s'\n", way,
           (uint64_t)position, k->seed, k->mode->name, way);
}

static void say_difference(const struct fuzz_mode *mode, const struct machine *a, const struct machine *b)
{
    uint32_t first = memory_page_of(&a->memory, mode->ram);
    unsigned said = 0;

    if (a->st->position != b->st->position)
        printf("  it stands at %" PRIu64 ", not at %" PRIu64 "\n", (uint64_t)b->st->position, (uint64_t)a->st->position);
    for (unsigned i = 0; i < a->ncomponents; i++) {
        const struct component *c = &a->components[i];

        if (machine_component_hash(a, i) == machine_component_hash(b, i))
            continue;
        for (uint32_t n = 0; n < c->size; n += 4)
            if (memcmp(a->arena + c->offset + n, b->arena + c->offset + n, 4) && said++ < 12)
                printf("  %s + %u: %08x, not %08x\n", c->name, n, *(const uint32_t *)(const void *)(b->arena + c->offset + n),
                       *(const uint32_t *)(const void *)(a->arena + c->offset + n));
    }
    for (uint32_t n = 0; n < mode->ram_bytes; n++)
        if (memory_page(&a->memory, first)[n] != memory_page(&b->memory, first)[n] && said++ < 24)
            printf("  memory %" PRIx64 ": %02x, not %02x\n", mode->ram + n, memory_page(&b->memory, first)[n],
                   memory_page(&a->memory, first)[n]);
}

/* Run a fresh guest through the points before `until`, and to it. */
static struct machine *run_again(const struct known *k, const struct way *way, icount_t until)
{
    struct run run = {.k = k, .m = make(k->mode, k->seed, way->engine), .r = {.state = k->seed}, .engine = way->engine};

    for (unsigned i = 0; i < k->points && k->at[i] < until; i++)
        way->run(&run, k->at[i]);
    way->run(&run, until);
    machine_destroy(run.twin);
    return run.m;
}

/* Point n differs, those before it do not: which position is the first? */
static void find_first(const struct known *k, const struct way *way, unsigned n)
{
    icount_t good = n ? k->at[n - 1] : 0, bad = k->at[n];
    static const struct way straight = {"straight", INTERPRETER, run_straight, 1}, singly = {"singly", INTERPRETER, run_singly, 1};
    const struct way *reference = way->run == run_singly ? &straight : &singly;
    struct machine *a, *b;

    while (bad - good > 1) {
        icount_t middle = good + (bad - good) / 2;
        bool same;

        a = run_again(k, reference, middle);
        b = run_again(k, way, middle);
        same = a->st->position == b->st->position && state_hash(k->mode, a) == state_hash(k->mode, b);
        machine_destroy(a);
        machine_destroy(b);
        *(same ? &good : &bad) = middle;
    }
    say(k, way->name, bad);
    a = run_again(k, reference, bad);
    b = run_again(k, way, bad);
    say_difference(k->mode, a, b);
    machine_destroy(a);
    machine_destroy(b);
}

/* ---- comparing ---- */

/* Run to a position, if the guest gets there; else to where it goes no further. */
static void discover(struct machine *m, icount_t until)
{
    icount_t from = m->st->position;
    unsigned ticks_here = 0;
    struct stop stop;

    m->stop_when_idle = true;
    for (;;) {
        machine_run(m, until, &stop);
        if (stop.kind != STOP_IDLE || stop.wake == VTIME_NEVER || ticks_here > PATIENCE)
            break;
        ticks_here = m->st->position == from ? ticks_here + 1 : 0;
        from = m->st->position;
        machine_warp(m, stop.wake);
    }
    m->stop_when_idle = false;
}

static void know(struct known *k, const struct machine *m)
{
    k->at[k->points] = m->st->position;
    k->hash[k->points++] = state_hash(k->mode, m);
}

static void get_known(struct known *k)
{
    struct run run = {.k = k, .m = make(k->mode, k->seed, INTERPRETER), .r = {.state = k->seed}};
    icount_t at = 0;

    while (k->points < POINTS) {
        at += 1 + fuzz_roll(&run.r, k->points < POINTS / 2 ? 200 : 2 * STEPS / POINTS);
        discover(run.m, at);
        if (run.m->st->position < at)
            break;
        know(k, run.m);
    }
    at = run.m->st->position;
    machine_destroy(run.m);
    if (k->points == POINTS || (k->points && k->at[k->points - 1] == at))
        return;
    run.m = make(k->mode, k->seed, INTERPRETER); /* as it was before what it did there in vain */
    run_straight(&run, at);
    know(k, run.m);
    machine_destroy(run.m);
}

static bool same_way(const struct known *k, const struct way *way)
{
    struct run run = {.k = k, .m = make(k->mode, k->seed, way->engine), .r = {.state = k->seed}, .engine = way->engine};
    unsigned n = 0;

    for (; n < k->points && !run.missed; n++) {
        way->run(&run, k->at[n]);
        if (run.m->st->position != k->at[n] || state_hash(k->mode, run.m) != k->hash[n])
            break;
    }
    machine_destroy(run.m);
    machine_destroy(run.twin);
    if (run.missed)
        printf("again: fuzz_code -n 1 -f %" PRIu64 " -m %s -w '%s'\n", k->seed, k->mode->name, way->name);
    else if (n < k->points)
        find_first(k, way, n);
    return n == k->points && !run.missed;
}

/* ---- timelines ---- */

static struct timeline *begin(const struct known *k, enum engine e, struct outside *o, bool live)
{
    struct timeline_config config = {.live = live, .checkpoint_interval_ns = 2000000, .edge_interval_ns = 1000000,
                                     .slice_steps = 300, .ladder_steps = 50};
    struct timeline_host host = {.ctx = o, .now_ns = ticks, .wall_clock_ns = wall_clock, .entropy = entropy,
                                 .output = output, .poll = too_long, .wait = no_wait};

    return o->tl = timeline_create(make(k->mode, k->seed, e), &config, &host);
}

/* Seek to the points in any order, step there and back. */
static bool walk(const struct known *k, struct timeline *tl, struct fuzz_rng *r, const char *name, unsigned visits)
{
    struct machine *m = timeline_machine(tl);
    struct timeline_stop stop;

    for (unsigned v = 0; v < visits; v++) {
        unsigned n = v < k->points ? v : fuzz_roll(r, k->points);

        timeline_seek(tl, k->at[n], &stop);
        if (stop.reason == TIMELINE_DIVERGED)
            printf("fuzz_code: %s\n", timeline_divergence(tl));
        if (m->st->position != k->at[n] || state_hash(k->mode, m) != k->hash[n]) {
            say(k, name, k->at[n]);
            return false;
        }
        if (v >= k->points && fuzz_chance(r, 50))
            timeline_step(tl, fuzz_chance(r, 50) ? FORWARD : BACKWARD, TIMELINE_ALL_CPUS, &stop);
    }
    return true;
}

static bool same_back_and_forth(const struct known *k, enum engine e, const char *name)
{
    struct fuzz_rng r = {.state = k->seed};
    struct outside o = {0};
    struct timeline *tl = begin(k, e, &o, true);
    bool same = walk(k, tl, &r, name, k->points + 15);

    timeline_destroy(tl);
    return same;
}

static struct event_log *copy_log(const struct event_log *log)
{
    struct event_log *copy = event_log_create();

    for (uint64_t n = 0; n < event_log_count(log); n++)
        event_log_append(copy, event_log_get(log, n));
    return copy;
}

/* Make another history with input; note it in *k. */
static void record(struct known *k, struct timeline *tl)
{
    struct machine *m = timeline_machine(tl);
    struct device *dev = machine_find_device(m, k->mode->input);
    struct fuzz_rng r = {.state = ~k->seed};
    struct timeline_stop stop;

    for (k->points = 0; k->points < POINTS;) {
        if (dev && fuzz_chance(&r, 60))
            timeline_input(tl, dev, "hindcast", 1 + fuzz_roll(&r, 8), false);
        timeline_seek(tl, timeline_position(tl) + 1 + fuzz_roll(&r, 2 * STEPS / POINTS), &stop);
        know(k, m);
        if (stop.reason != TIMELINE_SEEK_DONE)
            break;
    }
}

static bool same_replayed(const struct known *like, enum engine recorded, enum engine replayed, const char *name)
{
    struct known k = *like;
    struct fuzz_rng r = {.state = k.seed};
    struct outside o = {0}, o_again = {0};
    struct timeline *tl = begin(&k, recorded, &o, true), *again;
    bool same;

    record(&k, tl);
    again = begin(&k, replayed, &o_again, false);
    timeline_adopt(again, copy_log(timeline_log(tl)), timeline_edge(tl), timeline_edge_vtime(tl), NULL);
    same = walk(&k, again, &r, name, k.points + 5) && walk(&k, tl, &r, name, k.points + 5);
    timeline_destroy(again);
    timeline_destroy(tl);
    return same;
}

/* ---- the whole ---- */

struct wanted {
    const char *mode, *way;
};

static bool is_wanted(const struct wanted *w, const char *way)
{
    return !w->way || !strcmp(w->way, way);
}

static bool try_one(const struct fuzz_mode *mode, uint64_t seed, const struct wanted *w)
{
    struct known k = {.mode = mode, .seed = seed};
    bool same = true;

    get_known(&k);
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++)
        if (is_wanted(w, ways[i].name) && (w->way || seed % ways[i].one_in == 0))
            same &= same_way(&k, &ways[i]);
    if (is_wanted(w, "back and forth"))
        same &= same_back_and_forth(&k, INTERPRETER, "back and forth");
    if (is_wanted(w, "jit, back and forth"))
        same &= same_back_and_forth(&k, JIT_LATE, "jit, back and forth");
    if (is_wanted(w, "replayed by the jit"))
        same &= same_replayed(&k, INTERPRETER, JIT, "replayed by the jit");
    if (is_wanted(w, "replayed by the interpreter"))
        same &= same_replayed(&k, JIT_LATE, INTERPRETER, "replayed by the interpreter");
    return same;
}

static const struct fuzz_mode *mode_number(unsigned n)
{
    return n < fuzz_i386_count ? &fuzz_i386_modes[n] : &fuzz_a64_modes[n - fuzz_i386_count];
}

static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Of the processor, not of the wall. */
static unsigned try_all(uint64_t first, uint64_t count, double budget, const struct wanted *w)
{
    unsigned modes = fuzz_i386_count + fuzz_a64_count, guests = 0, bad = 0;

    for (uint64_t seed = first; seed - first < count && seconds() < budget; seed++)
        for (unsigned n = 0; n < modes && seconds() < budget; n++) {
            if (w->mode && strcmp(w->mode, mode_number(n)->name))
                continue;
            bad += !try_one(mode_number(n), seed, w);
            guests++;
            fflush(stdout);
        }
    printf("fuzz_code: %u guests, %u of them with differences\n", guests, bad);
    return bad;
}

int main(int argc, char **argv)
{
    struct wanted w = {0};
    uint64_t first = 1, count = UINT64_MAX;
    double budget = 5;

    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];

        if (argv[i][0] != '-' || !value) {
            fprintf(stderr, "usage: fuzz_code [-s SECONDS] [-n SEEDS] [-f FIRST] [-m MODE] [-w WAY]\n");
            return 2;
        }
        switch (argv[i][1]) {
        case 's': budget = atof(value); break;
        case 'n': count = strtoull(value, NULL, 10); budget = 1e9; break;
        case 'f': first = strtoull(value, NULL, 10); break;
        case 'm': w.mode = value; break;
        case 'w': w.way = value; break;
        default: return 2;
        }
    }
    return try_all(first, count, budget, &w) ? 1 : 0;
}
