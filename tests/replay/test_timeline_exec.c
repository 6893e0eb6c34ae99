/*
 * The timeline on the real execution core: blocks, TLB, bulk string
 * instructions, footprints noted by the softmmu. The programs are random bytes
 * (self-modifying, faulting, remapping) on the toy CPU of vm_toy.h. The oracle is
 * a second machine that gets the same events, makes one uncached step at a time,
 * and notes every state and every hit of the same break- and watchpoints.
 */
#include "tests/vm/vm_toy.h"

#include "base/buffer.h"
#include "replay/query.h"
#include "replay/timeline.h"
#include "replay/timeline_internal.h"
#include "tests/check_main.h"
#include "tests/page_sets.h"
#include "tests/storm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POINTS 5

struct past {
    uint64_t hash;
    bool boundary;         /* not in the midst of an instruction */
    bool exec, access;     /* hits of the step from here */
};

struct session {
    uint64_t seed, rng;
    unsigned operation;
    struct timeline *tl;
    struct machine *m;
    uint64_t now, polls;
    icount_t interrupt_at;  /* the user's patience ends there */
    struct timeline_point points[POINTS];
    bool conditional[POINTS];
    /* the oracle */
    struct machine *twin;
    struct machine_env env;
    uint64_t next;         /* event */
    struct past *past;
    icount_t count, cap;
    /* of footprints */
    unsigned segments_checked, maps_checked, maps_that_exclude;
    const struct checkpoint *checked;
    uint64_t removed;      /* checkpoints, when a query began */
};

static uint32_t roll(struct session *s, uint32_t n)
{
    s->rng = s->rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->rng >> 33) % n;
}

static void failed(const struct session *s, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void failed(const struct session *s, int line, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ck_abort_msg("line %d, seed %llu, operation %u: %s", line, (unsigned long long)s->seed, s->operation, text);
}

#define MUST(cond, ...) do { if (!(cond)) failed(s, __LINE__, __VA_ARGS__); } while (0)

/* ---- programs ---- */

static void put_program(struct machine *m, uint64_t seed)
{
    static const uint8_t ops[] = {
        TOY_MOVI, TOY_MOVI, TOY_ALU, TOY_ALUI, TOY_LD, TOY_LD, TOY_ST, TOY_ST, TOY_ST, TOY_ADDM, TOY_PUSH,
        TOY_POP, TOY_BR, TOY_BR, TOY_BR, TOY_JECXZ, TOY_POS, TOY_FILL, TOY_FILL, TOY_EI, TOY_NOP, TOY_TRAP,
        TOY_SETPT, TOY_HLT, TOY_SETCC};
    static const uint32_t places[] = {0x8000, 0x8ffc, 0x9000, 0xa000, 0xa010, 0x1080, 0x10004, TOY_MMIO, TOY_MMIO_PAGE + 4};
    static const uint8_t handler[] = {
        TOY_MOVI, 3, 0, 0x20, 2, 0,         /* r3 = TOY_MMIO_PAGE */
        TOY_ST, 2, 3, 3, TOY_REG_ACK, 0,
        TOY_ST, 2, 4, 3, TOY_REG_TIMER, 0,
        TOY_ERET};
    static const uint8_t fault[] = {
        TOY_MOVI, 7, 0, 0x80, 0, 0, TOY_MOVI, 3, 0, 0, 2, 0, TOY_ST, 2, 4, 3, TOY_REG_TIMER, 0,
        TOY_POS, 5, TOY_MOVI, 3, 0xff, 0x07, 0, 0, TOY_ALU, 0x80 | TOY_AND, 5, 5, 3,
        TOY_MOVI, 3, 0, 0x10, 0, 0, TOY_ALU, 0x80 | TOY_ADD, 5, 5, 3, TOY_EI, 1, TOY_JMPR, 5};
    struct session r = {.rng = seed};
    uint32_t table[1024], n = 0;
    uint8_t code[0x1008];

    while (n < 0x1000) {
        uint8_t *p = code + n, op = ops[roll(&r, sizeof(ops))];
        uint32_t v = places[roll(&r, ARRAY_LEN(places))];

        for (unsigned i = 1; i < 8; i++)
            p[i] = (uint8_t)roll(&r, 256);
        if ((op == TOY_SETPT || op == TOY_HLT || op == TOY_TRAP) && roll(&r, 5))
            op = TOY_NOP;
        p[0] = op;
        switch (op) {
        case TOY_MOVI:
            if (!roll(&r, 3))
                v = roll(&r, 60);
            memcpy(p + 2, &v, 4);
            n += 6;
            break;
        case TOY_ALU:
        case TOY_ALUI:
            p[1] = (uint8_t)(roll(&r, 3) << 6 | roll(&r, TOY_ALUS));
            n += 5;
            break;
        case TOY_LD:
        case TOY_ST:
        case TOY_ADDM:
            p[4] &= 0x1f;
            p[5] = 0;
            n += 6;
            break;
        case TOY_BR:
        case TOY_JECXZ:
            v = roll(&r, 120) - 60u;
            memcpy(p + 2, &v, 2);
            n += 4;
            break;
        case TOY_PUSH:
        case TOY_POP:
        case TOY_SETCC:
            n += 3;
            break;
        case TOY_POS:
        case TOY_SETPT:
        case TOY_EI:
            n += 2;
            break;
        default:
            n += 1;
        }
    }
    toy_poke(m, 0x1000, code, 0x1000);
    toy_poke(m, 0x4000, fault, sizeof(fault));
    toy_poke(m, 0x4800, handler, sizeof(handler));
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = (i < 8 || roll(&r, 6) ? i % 64 : roll(&r, 32)) << 12 | (i < 8 || roll(&r, 8) ? 3 : roll(&r, 4));
    toy_poke(m, 0x10000, table, sizeof(table));
}

/* ---- the oracle ---- */

static bool odd(const struct machine *m)
{
    return toy_of(m)->st->r[0] & 1;
}

static bool twin_hit(void *ctx, const struct trap_hit *hit)
{
    struct session *s = ctx;

    for (unsigned i = 0; i < POINTS; i++) {
        const struct timeline_point *p = &s->points[i];

        if (!(p->kinds & hit->kind) || (s->conditional[i] && !odd(s->twin)))
            continue;
        if (hit->kind == TRAP_EXEC && p->address == hit->address)
            s->past[hit->position].exec = true;
        if (hit->kind != TRAP_EXEC && hit->address - p->address < p->len)
            s->past[hit->position].access = true;
    }
    return false;
}

static const struct event *twin_peek(void *ctx, struct machine *m)
{
    struct session *s = ctx;

    (void)m;
    return event_log_get(timeline_log(s->tl), s->next);
}

static void twin_take(void *ctx, struct machine *m)
{
    (void)m;
    ((struct session *)ctx)->next++;
}

static void note(struct session *s)
{
    icount_t p = s->twin->st->position;

    if (p >= s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4096;
        s->past = xrealloc(s->past, s->cap * sizeof(*s->past));
    }
    s->past[p] = (struct past){
        .hash = machine_hash(s->twin),
        .boundary = s->twin->cpus[0]->ops->in_progress(s->twin->cpus[0]) == ICOUNT_MAX,
    };
    s->count = p + 1;
}

static bool is_step_event(const struct session *s, icount_t p)
{
    const struct event_log *log = timeline_log(s->tl);
    const struct event *e;

    for (uint64_t n = event_log_find(log, p); (e = event_log_get(log, n)) && e->position == p; n++)
        if (event_is_step(e->kind))
            return true;
    return false;
}

static void extend(struct session *s)
{
    while (s->count <= timeline_edge(s->tl)) {
        struct stop stop;

        machine_run(s->twin, s->count, &stop);
        if (stop.kind != STOP_LIMIT)
            failed(s, __LINE__, "the oracle stops at %llu", (unsigned long long)s->count);
        note(s);
    }
}

/* ---- the host ---- */

static uint64_t host_now(void *ctx)
{
    struct session *s = ctx;

    return s->now += roll(s, 400000);
}

static uint64_t host_wall(void *ctx)
{
    (void)ctx;
    return 0;
}

static void host_entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 0, len);
}

static bool host_poll(void *ctx)
{
    struct session *s = ctx;

    if (!roll(s, 6))
        timeline_input(s->tl, s->m->devices[0], "abc", 1 + roll(s, 3), true);
    return ++s->polls > 40 || timeline_position(s->tl) >= s->interrupt_at;
}

static uint64_t host_wait(void *ctx, uint64_t ns)
{
    struct session *s = ctx;

    if (ns != UINT64_MAX)
        return ns;
    timeline_input(s->tl, s->m->devices[0], "w", 1, true);
    s->polls += 5;
    return 1000;
}

static bool ask(void *ctx, unsigned id, unsigned cpu)
{
    (void)id;
    (void)cpu;
    return odd(((struct session *)ctx)->m);
}

/* ---- sessions ---- */

/* (Conditions can only be asked in one thread.) */
static bool searches_far(uint64_t seed)
{
    return seed % 3 == 1;
}

static uint64_t steady_now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Replicas' time passes fast, so that they place checkpoints and note footprints. */
static uint64_t fast_now(void *ctx)
{
    static uint64_t calls;

    return steady_now(ctx) + 300000 * __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static struct machine *another_machine(void *ctx, struct error *err)
{
    const struct session *s = ctx;
    struct machine *m = toy_machine();

    (void)err;
    put_program(m, s->seed);
    return m;
}

static void choose_points(struct session *s)
{
    struct machine *scout = toy_machine();
    uint32_t pcs[1000];

    put_program(scout, s->seed);
    for (unsigned i = 0; i < ARRAY_LEN(pcs); i++) {
        struct stop stop;

        machine_run(scout, scout->st->position + 1, &stop);
        pcs[i] = (uint32_t)scout->cpus[0]->ops->pc(scout->cpus[0]);
    }
    for (unsigned i = 0; i < POINTS; i++) {
        struct timeline_point *p = &s->points[i];

        if (i < 2)
            *p = (struct timeline_point){.kinds = TRAP_EXEC, .address = pcs[roll(s, ARRAY_LEN(pcs))]};
        else
            *p = (struct timeline_point){.kinds = 2 + 2 * roll(s, 3), .len = 1 + roll(s, 12),
                                         .address = (i == 2 ? 0x8000 : i == 3 ? 0x9000 : 0x1000) +
                                                    roll(s, i == 4 ? 0x1000 : 64)};
        s->conditional[i] = !searches_far(s->seed) && !roll(s, 3);
        if (s->conditional[i]) {
            p->condition = ask;
            p->ctx = s;
        }
    }
    machine_destroy(scout);
}

static struct session *session_create(uint64_t seed)
{
    const struct timeline_config config = {
        .live = true,
        .sleep = seed % 2,
        .checkpoint_memory = seed % 3 ? 0 : 200000,
        .checkpoint_interval_ns = 5000000,
        .edge_interval_ns = 1000000,
        .slice_steps = 1 + seed * 7 % 200,
        .ladder_steps = 1 + seed % 20,
        .branches = seed >= 5000,
        .far_steps = searches_far(seed) ? 1 + seed * 5 % 300 : 0,
    };
    struct session *s = xcalloc(1, sizeof(*s));
    struct trap traps[POINTS];

    s->seed = seed;
    s->rng = seed * 99 + 7;
    choose_points(s);
    s->m = toy_machine();
    put_program(s->m, seed);
    s->tl = timeline_create(s->m, &config, &(struct timeline_host){
        .ctx = s, .now_ns = host_now, .wall_clock_ns = host_wall, .entropy = host_entropy, .poll = host_poll,
        .wait = host_wait});
    timeline_set_query_means(s->tl, &(struct query_means){
        .ctx = s, .make = another_machine, .now_ns = fast_now, .workers = 1 + (unsigned)(seed % 4), .job_steps = 1 + seed % 500});
    s->twin = toy_machine();
    put_program(s->twin, seed);
    toy_of(s->twin)->u.no_cache = toy_of(s->twin)->u.single = true;
    s->env = (struct machine_env){.ctx = s, .peek_event = twin_peek, .take_event = twin_take};
    s->twin->env = &s->env;
    s->twin->traps->hit = twin_hit;
    s->twin->traps->ctx = s;
    for (unsigned i = 0; i < POINTS; i++) {
        if (!s->points[i].len)
            s->points[i].len = 1;
        timeline_add_point(s->tl, &s->points[i]);
        traps[i] = (struct trap){.address = s->points[i].address, .len = s->points[i].len, .kinds = s->points[i].kinds};
    }
    machine_set_traps(s->twin, traps, POINTS);
    note(s);
    return s;
}

static void session_destroy(struct session *s)
{
    timeline_destroy(s->tl);
    machine_destroy(s->twin);
    free(s->past);
    free(s);
}

static icount_t check(struct session *s)
{
    icount_t at = timeline_position(s->tl);

    extend(s);
    MUST(!s->m->between, "between");
    MUST(machine_hash(s->m) == s->past[at].hash, "another state at %llu", (unsigned long long)at);
    return at;
}

static void go_forward(struct session *s)
{
    icount_t from = timeline_position(s->tl), at, q;
    struct timeline_stop stop;

    timeline_continue(s->tl, FORWARD, &stop);
    at = check(s);
    for (q = from; q < at && !(q > from && s->past[q].exec); q++) {
        if (!s->past[q].access)
            continue;
        MUST(q + 1 == at && stop.reason == TIMELINE_WATCHPOINT, "from %llu to %llu (reason %d), access at %llu",
             (unsigned long long)from, (unsigned long long)at, stop.reason, (unsigned long long)q);
        return;
    }
    MUST(q == at, "from %llu to %llu (reason %d), not %llu", (unsigned long long)from, (unsigned long long)at,
         stop.reason, (unsigned long long)q);
    MUST(stop.reason == TIMELINE_BREAKPOINT || stop.reason == TIMELINE_INTERRUPTED ||
             stop.reason == TIMELINE_GUEST_END, "reason %d", stop.reason);
}

static void go_backward(struct session *s)
{
    icount_t from = timeline_position(s->tl), at, h = from;
    struct timeline_stop stop;

    timeline_continue(s->tl, BACKWARD, &stop);
    at = check(s);
    if (stop.reason == TIMELINE_INTERRUPTED)
        return;
    while (h > 0 && !s->past[h - 1].access && !s->past[h - 1].exec)
        h--;
    if (h > 0)
        h--;
    MUST(at == h, "from %llu to %llu (reason %d), not %llu", (unsigned long long)from, (unsigned long long)at,
         stop.reason, (unsigned long long)h);
    MUST(stop.reason == (s->past[h].access ? TIMELINE_WATCHPOINT
                         : s->past[h].exec ? TIMELINE_BREAKPOINT : TIMELINE_REPLAY_BEGIN) || from == 0,
         "reason %d", stop.reason);
}

static void step_back(struct session *s)
{
    icount_t from = timeline_position(s->tl), at, h = from;
    struct timeline_stop stop;

    timeline_step(s->tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
    at = check(s);
    if (stop.reason == TIMELINE_INTERRUPTED)
        return;
    while (h > 0) {
        h--;
        if (s->past[h].access || (s->past[h].boundary && !is_step_event(s, h)))
            break;
    }
    MUST(at == h, "from %llu to %llu (reason %d), not %llu", (unsigned long long)from, (unsigned long long)at,
         stop.reason, (unsigned long long)h);
}

static void step_on(struct session *s)
{
    icount_t from = timeline_position(s->tl), at;
    struct timeline_stop stop;

    timeline_step(s->tl, FORWARD, TIMELINE_ALL_CPUS, &stop);
    at = check(s);
    if (stop.reason == TIMELINE_STEP_DONE) {
        MUST(at > from && s->past[at].boundary && !is_step_event(s, at), "no boundary at %llu", (unsigned long long)at);
        for (icount_t h = from; h < at; h++)
            MUST(!s->past[h].access && (h == from || !s->past[h].boundary || is_step_event(s, h)),
                 "from %llu to %llu, passing over %llu", (unsigned long long)from, (unsigned long long)at,
                 (unsigned long long)h);
    } else if (stop.reason == TIMELINE_WATCHPOINT) {
        MUST(s->past[at - 1].access, "no access");
    }
}

static void act(struct session *s)
{
    struct timeline_stop stop;
    uint32_t value = roll(s, 1u << 31);

    s->operation++;
    s->polls = 0;
    s->interrupt_at = timeline_edge(s->tl) + 1 + roll(s, 300);
    switch (roll(s, 12)) {
    case 0:
    case 1:
        step_on(s);
        break;
    case 2:
    case 3:
        step_back(s);
        break;
    case 4:
    case 5:
    case 6:
        go_forward(s);
        break;
    case 7:
    case 8:
    case 9:
        go_backward(s);
        break;
    case 10:
        timeline_seek(s->tl, roll(s, (uint32_t)timeline_edge(s->tl) + 200), &stop);
        check(s);
        break;
    default:
        timeline_seek(s->tl, timeline_edge(s->tl) + roll(s, 400), &stop);
        check(s);
        /* Beside what is watched: the oracle's traps do not see who else writes. */
        if (timeline_at_edge(s->tl) && !roll(s, 4))
            timeline_write_memory(s->tl, 0x9100 + roll(s, 3800), true, &value, 4, NULL);
        check(s);
    }
}

START_TEST(on_the_real_core_every_operation_ends_where_single_steps_say)
{
    for (uint64_t seed = (uint64_t)_i * 20 + 1; seed <= (uint64_t)_i * 20 + STORM(20); seed++) {
        struct session *s = session_create(seed);

        for (unsigned i = 0; i < 80; i++)
            act(s);
        session_destroy(s);
    }
}
END_TEST

/* ---- what footprints hold ---- */

static uint64_t still_now(void *ctx)
{
    (void)ctx;
    return 0;
}

/* A trap of a whole page that is known by its bytes hits: the segment that is run has those in its map. */
static bool check_touch(void *ctx, const struct trap_hit *hit)
{
    struct session *s = ctx;
    bool loads = s->m && hit->storage && hit->kind == TRAP_READ && !hit->writer;
    enum touched how = hit->kind == TRAP_WRITE ? (hit->storage ? TOUCHED_STORAGE : TOUCHED_WRITTEN)
                                               : hit->storage ? (loads ? TOUCHED_LOADED : TOUCHED_FETCHED) : TOUCHED_READ;

    if (!touches_of(s->checked->touches, how, hit->address >> PAGE_SHIFT))
        return false;
    MUST(checkpoint_touched(s->checked, how, hit->address, hit->address) &&
             checkpoint_touched(s->checked, how, hit->address + hit->len - 1, hit->address + hit->len - 1),
         "step %llu touched %llx (%u bytes) as %d", (unsigned long long)hit->position, (unsigned long long)hit->address,
         (unsigned)hit->len, (int)how);
    return false;
}

static void watch_known_pages(struct session *s, struct machine *m, const struct checkpoint *c)
{
    struct trap traps[TOUCHES_MOST];
    unsigned n = 0;

    for (; c->touches && n < c->touches->count; n++) {
        const struct touch_map *map = &c->touches->maps[n];

        traps[n] = (struct trap){.address = map->page << PAGE_SHIFT, .len = PAGE_SIZE,
                                 .kinds = map->how == TOUCHED_WRITTEN || map->how == TOUCHED_STORAGE ? TRAP_WRITE : TRAP_READ,
                                 .storage = map->how != TOUCHED_WRITTEN && map->how != TOUCHED_READ,
                                 .loads = map->how == TOUCHED_LOADED};
        s->maps_checked++;
        s->maps_that_exclude += !touch_map_has(map, 0, 127);
    }
    machine_set_traps(m, traps, n);
    m->traps->hit = check_touch;
    m->traps->ctx = s;
    s->checked = c;
}

/* Each footprint of the history in use has all that is touched when its segment is run step by step. */
static void check_footprints(struct session *s)
{
    struct timeline_host host = {.now_ns = still_now};
    struct machine *m = another_machine(s, NULL);
    struct timeline *single = replica_create(s->tl, m, &host);
    struct checkpoint_store *store = s->tl->store;
    struct checkpoint *c = checkpoint_nth(store, 0), *next;
    struct footprint touched;

    footprint_init(&touched);
    toy_of(m)->u.no_cache = toy_of(m)->u.single = true;
    for (; (next = checkpoint_next(store, c)); c = next) {
        const struct footprint *f = checkpoint_footprint(c);

        if (!f)
            continue;
        s->segments_checked++;
        watch_known_pages(s, m, c);
        place_restore(single, c);
        footprint_clear(&touched);
        machine_set_footprint(m, &touched);
        MUST(run_to(single, next->position) == RUN_LIMIT, "cannot replay to %llu", (unsigned long long)next->position);
        machine_set_footprint(m, NULL);
        MUST(page_set_is_part(&touched.code, &f->code) && page_set_is_part(&touched.written, &f->written) && page_set_is_part(&touched.read, &f->read) &&
                 page_set_is_part(&touched.storage, &f->storage) && page_set_is_part(&touched.fetched, &f->fetched) &&
                 page_set_is_part(&touched.loaded, &f->loaded),
             "the footprint of %llu to %llu lacks something", (unsigned long long)c->position, (unsigned long long)next->position);
    }
    replica_destroy(single);
    footprint_finish(&touched);
}

static bool note_some(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    (void)ctx;
    (void)m;
    (void)record;
    return hit->position & 1;
}

/* Others may be running from any checkpoint. */
static bool take_one(void *ctx, icount_t position, const void *record)
{
    struct session *s = ctx;
    struct checkpoint_store_info info;

    (void)position;
    (void)record;
    checkpoint_store_info(s->tl->store, &info);
    MUST(info.removed == s->removed, "a checkpoint was removed while replicas were at work");
    return true;
}

static void query_something(struct session *s)
{
    const struct timeline_point *p = &s->points[roll(s, POINTS)];
    const unsigned kinds = 2 + 2 * roll(s, 3);
    /* What was watched, its neighbours, the same of memory. */
    const struct trap asked[] = {
        {.address = p->address, .len = p->len, .kinds = p->kinds},
        {.address = p->address ^ (8 + roll(s, 64)), .len = 1 + roll(s, 12), .kinds = kinds},
        {.address = 0x8ff0 + roll(s, 0x1000), .len = 1 + roll(s, 12), .kinds = kinds, .storage = true, .loads = kinds != TRAP_WRITE},
    };
    const struct trap trap = asked[p->kinds == TRAP_EXEC ? 0 : roll(s, 3)];
    const struct query q = {.to = roll(s, 2) ? ICOUNT_MAX : roll(s, (uint32_t)timeline_edge(s->tl) + 1), .newest_first = roll(s, 2),
                            .limit = roll(s, 4), .traps = &trap, .ntraps = 1, .ctx = s, .note = note_some, .answer = take_one};
    struct checkpoint_store_info info;
    struct query_result result;
    struct error err = {0};

    checkpoint_store_info(s->tl->store, &info);
    s->removed = info.removed;
    MUST(timeline_query(s->tl, &q, &result, &err) == 0, "query: %s", err.text);
}

static void change_branch(struct session *s)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(s->tl, list);
    unsigned id = list[roll(s, (uint32_t)n)].id;
    struct error err = {0};

    if (roll(s, 3))
        timeline_branch_use(s->tl, id, &err);
    else
        timeline_branch_drop(s->tl, id, &err);
}

static void wander(struct session *s)
{
    icount_t edge = timeline_edge(s->tl);
    struct timeline_stop stop;
    uint32_t value = roll(s, 1u << 31);
    struct error err = {0};

    s->operation++;
    s->polls = 0;
    s->interrupt_at = edge + 1 + roll(s, 300);
    switch (roll(s, 12)) {
    case 0:
        timeline_step(s->tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
        break;
    case 1:
    case 2:
        timeline_continue(s->tl, roll(s, 2) ? FORWARD : BACKWARD, &stop);
        break;
    case 3:
    case 4:
        timeline_seek(s->tl, roll(s, (uint32_t)edge + 1), &stop);
        break;
    case 5:
        change_branch(s);
        break;
    case 6:
        /* In the past this begins a branch. */
        timeline_write_memory(s->tl, 0x9100 + roll(s, 3800), true, &value, 4, &err);
        break;
    case 7:
    case 8:
        timeline_seek(s->tl, edge + roll(s, 1000), &stop);
        break;
    default:
        query_something(s);
    }
}

START_TEST(a_footprint_has_all_that_was_touched_whoever_noted_it)
{
    unsigned checked = 0, maps = 0, excluding = 0;

    for (uint64_t seed = 5000 + (uint64_t)_i * 6; seed < 5000 + (uint64_t)_i * 6 + 6; seed++) {
        struct session *s = session_create(seed);

        for (unsigned i = 0; i < 150; i++) {
            wander(s);
            if (i % 15 == 14)
                check_footprints(s);
        }
        checked += s->segments_checked;
        maps += s->maps_checked;
        excluding += s->maps_that_exclude;
        session_destroy(s);
    }
    ck_assert_uint_gt(checked, 300);
    ck_assert_uint_gt(maps, 300);
    ck_assert_uint_gt(excluding, 100);
}
END_TEST

/* ---- how much work a query is ---- */

static bool nobody(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    (void)ctx;
    (void)m;
    (void)hit;
    (void)record;
    return false;
}

/* A loop over twenty pages, of which four have code. */
static void put_loop(struct machine *m)
{
    static const uint8_t head[] = {TOY_MOVI, 1, 0, 0x80, 0, 0, TOY_MOVI, 2, 0, 0x10, 0, 0};
    static const uint8_t body[] = {TOY_ST, 2, 0, 1, 0, 0, TOY_LD, 2, 3, 1, 4, 0, TOY_ALU, 0x80 | TOY_ADD, 1, 1, 2};
    uint32_t at = 0x1000;

    toy_poke(m, at, head, sizeof(head));
    at += sizeof(head);
    for (unsigned page = 0; page < 4; page++, at = 0x1000 * (page + 1)) {
        uint8_t jump[] = {TOY_JMP, 0, 0, 0};
        uint32_t to = page < 3 ? 0x1000 * (page + 2) : 0x1000;
        uint16_t distance;

        for (unsigned i = 0; i < 5; i++, at += sizeof(body))
            toy_poke(m, at, body, sizeof(body));
        distance = (uint16_t)(to - at - sizeof(jump));
        memcpy(jump + 2, &distance, 2);
        toy_poke(m, at, jump, sizeof(jump));
    }
}

static struct machine *looping_machine(void *ctx, struct error *err)
{
    struct machine *m = toy_machine();

    (void)ctx;
    (void)err;
    put_loop(m);
    return m;
}

static uint64_t no_time(void *ctx)
{
    return *(uint64_t *)ctx += 1000;
}

static uint64_t slow_time(void *ctx)
{
    return *(uint64_t *)ctx += 400000;
}

START_TEST(a_query_runs_history_as_it_was_run)
{
    enum { STEPS = 2000000 };
    uint64_t now = 0;
    struct timeline *tl = timeline_create(looping_machine(NULL, NULL), &(struct timeline_config){.live = true},
                                          &(struct timeline_host){.ctx = &now, .now_ns = no_time, .wall_clock_ns = no_time, .entropy = host_entropy});
    const struct trap trap = {.address = 0x1001, .len = 1, .kinds = TRAP_EXEC};
    const struct query queries[] = {
        {.to = STEPS, .threads = 1, .notes = TRAP_EXCEPTION, .note = nobody},
        {.to = STEPS, .threads = 1, .traps = &trap, .ntraps = 1, .note = nobody},
    };
    struct ucpu_stats live, before = {0}, after;
    struct timeline_stop stop;
    struct query_result result;
    struct error err = {0};

    timeline_set_query_means(tl, &(struct query_means){.make = looping_machine, .now_ns = steady_now, .workers = 1});
    timeline_seek(tl, STEPS, &stop);
    ck_assert_uint_eq(timeline_position(tl), STEPS);
    ucpu_stats(&toy_of(timeline_machine(tl))->u, &live);
    for (unsigned i = 0; i < ARRAY_LEN(queries); i++) {
        struct machine *replica;

        ck_assert_int_eq(timeline_query(tl, &queries[i], &result, &err), 0);
        replica = timeline_scout(tl, 0, &err);
        ck_assert_ptr_nonnull(replica);
        ucpu_stats(&toy_of(replica)->u, &after);
        ck_assert_uint_ge(result.run, 1);
        /* (Setting out costs some, the more often the slower the host is; a step that is a look-up would show a hundred times as
         * many.) */
        ck_assert_msg(after.tlb_misses - before.tlb_misses <= 2 * live.tlb_misses + STEPS / 100, "query %u: %llu TLB misses, live %llu", i,
                      (unsigned long long)(after.tlb_misses - before.tlb_misses), (unsigned long long)live.tlb_misses);
        ck_assert_msg(after.blocks_built - before.blocks_built <= 2 * live.blocks_built + STEPS / 100, "query %u: %llu blocks, live %llu", i,
                      (unsigned long long)(after.blocks_built - before.blocks_built), (unsigned long long)live.blocks_built);
        ck_assert_msg(after.alone - before.alone <= 2 * live.alone + STEPS / 100, "query %u: %llu steps alone, live %llu", i,
                      (unsigned long long)(after.alone - before.alone), (unsigned long long)live.alone);
        ck_assert_msg(after.jump_misses - before.jump_misses <= 2 * live.jump_misses + STEPS / 100, "query %u: %llu jumps missed, live %llu", i,
                      (unsigned long long)(after.jump_misses - before.jump_misses), (unsigned long long)live.jump_misses);
        before = after;
    }
    timeline_destroy(tl);
}
END_TEST

START_TEST(a_query_that_is_asked_again_runs_no_more_than_what_touched_the_place)
{
    enum { STEPS = 2000000 };
    uint64_t now = 0;
    const struct timeline_host host = {.ctx = &now, .now_ns = no_time, .wall_clock_ns = no_time, .entropy = host_entropy};
    struct timeline *live = timeline_create(looping_machine(NULL, NULL), &(struct timeline_config){.live = true}, &host);
    struct timeline *tl = timeline_create(looping_machine(NULL, NULL), &(struct timeline_config){.slice_steps = 2000, .checkpoint_interval_ns = 20000000}, &host);
    const struct trap nowhere = {.address = 0x6000, .len = 1, .kinds = TRAP_EXEC};
    const struct query q = {.to = STEPS, .traps = &nowhere, .ntraps = 1, .note = nobody};
    struct query_result result;
    struct timeline_stop stop;
    struct error err = {0};

    timeline_seek(live, STEPS, &stop);
    /* As out of a recording: nothing is known of it. */
    timeline_adopt(tl, event_log_create(), STEPS, timeline_edge_vtime(live), NULL);
    timeline_destroy(live);
    timeline_set_query_means(tl, &(struct query_means){.make = looping_machine, .now_ns = fast_now, .workers = 1});
    ck_assert_int_eq(timeline_query(tl, &q, &result, &err), 0);
    ck_assert_uint_eq(result.run, 1);
    ck_assert_int_eq(timeline_query(tl, &q, &result, &err), 0);
    ck_assert_uint_ge(result.skipped, 10);
    ck_assert_uint_le(result.run, 1);
    timeline_destroy(tl);
}
END_TEST

static bool everybody(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    (void)ctx;
    (void)m;
    (void)hit;
    (void)record;
    return true;
}

static bool keep_position(void *ctx, icount_t position, const void *record)
{
    (void)record;
    *(icount_t *)ctx = position;
    return true;
}

/* Several hits of one step are one answer, or as many, but never none. */
START_TEST(the_newest_hit_is_found_when_its_step_hits_more_than_once)
{
    enum { STEPS = 20000, PLACE = 0x8000, BYTES = 0x10000 };
    const struct trap traps[] = {{.address = PLACE, .len = BYTES, .kinds = TRAP_WRITE}, {.address = PLACE, .len = BYTES, .kinds = TRAP_WRITE},
                                 {.address = PLACE, .len = BYTES, .kinds = TRAP_WRITE | TRAP_READ}};
    uint64_t now = 0;
    struct timeline *tl = timeline_create(looping_machine(NULL, NULL), &(struct timeline_config){.live = true},
                                          &(struct timeline_host){.ctx = &now, .now_ns = no_time, .wall_clock_ns = no_time, .entropy = host_entropy});
    struct timeline_stop stop;
    struct query_result result;
    struct error err = {0};

    timeline_set_query_means(tl, &(struct query_means){.make = looping_machine, .now_ns = steady_now, .workers = 1});
    timeline_seek(tl, STEPS, &stop);
    for (unsigned ntraps = 1; ntraps <= ARRAY_LEN(traps); ntraps++) {
        icount_t seen = ICOUNT_MAX, all = ICOUNT_MAX;
        struct query newest = {.to = STEPS, .newest_first = true, .limit = 1, .threads = 1, .traps = traps, .ntraps = ntraps,
                               .note = everybody, .answer = keep_position, .ctx = &seen};
        struct query every = newest;

        ck_assert_int_eq(timeline_query(tl, &newest, &result, &err), 0);
        ck_assert_uint_eq(result.answers, 1);
        every.newest_first = false;
        every.limit = 0;
        every.ctx = &all;
        ck_assert_int_eq(timeline_query(tl, &every, &result, &err), 0);
        ck_assert_uint_ge(result.answers, 200);
        ck_assert_uint_eq(seen, all);
    }
    timeline_destroy(tl);
}
END_TEST

/* Touches two fields of a structure once, and two beside them for ever. */
static struct machine *counting_machine(void *ctx, struct error *err)
{
    static const uint8_t code[] = {
        TOY_MOVI, 1, 0, 0x80, 0, 0, TOY_ST, 2, 2, 1, 0x10, 0, TOY_LD, 2, 3, 1, 0x18, 0,
        TOY_ALUI, 0x80 | TOY_ADD, 2, 2, 1, TOY_ST, 2, 2, 1, 0x28, 0, TOY_LD, 2, 3, 1, 0x30, 0, TOY_JMP, 0, 0xeb, 0xff};
    struct machine *m = toy_machine();

    (void)ctx;
    (void)err;
    toy_poke(m, 0x1000, code, sizeof(code));
    return m;
}

/* Bytes of their page, written (or read), as virtual ones or of memory. */
static struct trap field(uint64_t offset, uint64_t len, bool reads, bool storage)
{
    return (struct trap){.address = 0x8000 + offset, .len = len, .kinds = reads ? TRAP_READ : TRAP_WRITE, .storage = storage,
                         .loads = storage && reads};
}

START_TEST(a_query_for_another_field_on_a_page_runs_only_what_touched_that)
{
    enum { STEPS = 2000000 };
    bool reads = _i & 1, storage = _i & 2;
    uint64_t now = 0, segments;
    const struct timeline_host host = {.ctx = &now, .now_ns = slow_time, .wall_clock_ns = no_time, .entropy = host_entropy};
    struct timeline *tl = timeline_create(counting_machine(NULL, NULL), &(struct timeline_config){.live = true, .slice_steps = 2000}, &host);
    const struct trap often = field(reads ? 0x30 : 0x28, 4, reads, storage), once = field(reads ? 0x18 : 0x10, 4, reads, storage),
                      never = field(0x38, 0xfc8, reads, storage);
    icount_t seen = ICOUNT_MAX;
    struct query q = {.to = STEPS, .traps = &often, .ntraps = 1, .note = everybody, .answer = keep_position, .ctx = &seen};
    struct query_result result;
    struct timeline_stop stop;
    struct error err = {0};

    timeline_seek(tl, STEPS, &stop);
    timeline_set_query_means(tl, &(struct query_means){.make = counting_machine, .now_ns = steady_now, .work_ns = still_now, .workers = 2, .job_steps = 300000});
    ck_assert_int_eq(timeline_query(tl, &q, &result, &err), 0);
    segments = result.run;
    ck_assert_uint_ge(segments, 12);
    ck_assert_uint_eq(result.skipped, 0);
    ck_assert_uint_ge(result.answers, STEPS / 5);
    q.traps = &once;
    ck_assert_int_eq(timeline_query(tl, &q, &result, &err), 0);
    /* (And what was run since the newest checkpoint.) */
    ck_assert_uint_le(result.run, 2);
    ck_assert_uint_ge(result.skipped, segments - 2);
    ck_assert_uint_eq(result.answers, 1);
    ck_assert_uint_eq(seen, reads ? 2 : 1);
    q.traps = &never;
    ck_assert_int_eq(timeline_query(tl, &q, &result, &err), 0);
    ck_assert_uint_le(result.run, 1);
    ck_assert_uint_eq(result.answers, 0);
    timeline_destroy(tl);
}
END_TEST

static void watch_backwards(struct timeline *tl, uint32_t address, struct timeline_stop *stop, uint64_t *replayed)
{
    struct timeline_stats before, after;
    unsigned id = timeline_add_point(tl, &(struct timeline_point){.kinds = TRAP_WRITE, .address = address, .len = 4});

    timeline_seek(tl, timeline_edge(tl), stop);
    timeline_stats(tl, &before);
    timeline_continue(tl, BACKWARD, stop);
    timeline_stats(tl, &after);
    timeline_remove_point(tl, id);
    *replayed = after.segments_replayed - before.segments_replayed;
}

START_TEST(a_watchpoint_beside_another_is_searched_for_where_its_bytes_were_touched)
{
    enum { STEPS = 2000000, PAGE = 0x8000 };
    uint64_t now = 0, first, second, third;
    struct timeline *tl = timeline_create(counting_machine(NULL, NULL), &(struct timeline_config){.live = true, .slice_steps = 2000},
                                          &(struct timeline_host){.ctx = &now, .now_ns = slow_time, .wall_clock_ns = no_time, .entropy = host_entropy});
    struct timeline_stop stop;

    timeline_seek(tl, STEPS, &stop);
    /* All of history goes by once. */
    watch_backwards(tl, PAGE + 0x80, &stop, &first);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_BEGIN);
    ck_assert_uint_ge(first, 12);
    watch_backwards(tl, PAGE + 0x10, &stop, &second);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(tl), 1);
    ck_assert_uint_le(second, 2);
    /* (Where it began is not a place to stop at: gone by the edge, it is found again.) */
    watch_backwards(tl, PAGE + 0x28, &stop, &third);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_ge(timeline_position(tl), STEPS - 5);
    ck_assert_uint_le(third, 1);
    timeline_destroy(tl);
}
END_TEST

/* ---- what is known of bytes ---- */

/* Stores and loads of all sizes all over two pages, and one place that is always written. */
static struct machine *scattering_machine(void *ctx, struct error *err)
{
    static const uint8_t start[] = {TOY_MOVI, 1, 0, 0x80, 0, 0, TOY_MOVI, 3, 0xff, 0x1f, 0, 0, TOY_MOVI, 2, 1, 2, 3, 4};
    static const uint8_t loop[] = {
        TOY_ALUI, 0x80 | TOY_SHL, 4, 2, 13, TOY_ALU, 0x80 | TOY_XOR, 2, 2, 4,
        TOY_ALUI, 0x80 | TOY_SHR, 4, 2, 17, TOY_ALU, 0x80 | TOY_XOR, 2, 2, 4,
        TOY_ALUI, 0x80 | TOY_SHL, 4, 2, 5, TOY_ALU, 0x80 | TOY_XOR, 2, 2, 4,
        TOY_ALU, 0x80 | TOY_AND, 5, 2, 3, TOY_ALU, 0x80 | TOY_ADD, 5, 5, 1, TOY_ST, 2, 2, 5, 0, 0,
        TOY_ALUI, 0x80 | TOY_SHR, 4, 2, 11, TOY_ALU, 0x80 | TOY_AND, 4, 4, 3, TOY_ALU, 0x80 | TOY_ADD, 4, 4, 1,
        TOY_LD, 1, 0, 4, 0, 0, TOY_ST, 0, 0, 4, 9, 0, TOY_ADDM, 0, 2, 1, 0x28, 0,
        TOY_ALUI, 0x80 | TOY_AND, 6, 2, 15, TOY_ALUI, 0x80 | TOY_ADD, 7, 4, 2, TOY_FILL};
    const uint16_t back = (uint16_t)-(sizeof(loop) + 4);
    const uint8_t jump[] = {TOY_JMP, 0, (uint8_t)back, (uint8_t)(back >> 8)};
    struct machine *m = toy_machine();

    (void)ctx;
    (void)err;
    toy_poke(m, 0x1000, start, sizeof(start));
    toy_poke(m, 0x1000 + sizeof(start), loop, sizeof(loop));
    toy_poke(m, 0x1000 + sizeof(start) + sizeof(loop), jump, sizeof(jump));
    return m;
}

#define SCATTERED 20000u

struct positions {
    icount_t list[SCATTERED];
    size_t count;
};

static void add_position(struct positions *p, icount_t position)
{
    if (!p->count || p->list[p->count - 1] != position)
        p->list[p->count++] = position;
}

static bool straight_hit(void *ctx, const struct trap_hit *hit)
{
    add_position(ctx, hit->position);
    return false;
}

static bool query_hit(void *ctx, icount_t position, const void *record)
{
    (void)record;
    add_position(ctx, position);
    return true;
}

/* All steps that hit, as one finds them who runs from the beginning to the end. */
static void find_straight(const struct trap *trap, struct positions *p)
{
    struct machine *m = scattering_machine(NULL, NULL);
    struct stop stop;

    p->count = 0;
    machine_set_traps(m, trap, 1);
    m->traps->hit = straight_hit;
    m->traps->ctx = p;
    machine_run(m, SCATTERED, &stop);
    ck_assert_uint_eq(m->st->position, SCATTERED);
    machine_destroy(m);
}

static struct trap some_bytes(struct session *s)
{
    unsigned kinds = 2 + 2 * roll(s, 3);
    bool storage = roll(s, 2);

    return (struct trap){.address = roll(s, 8) ? 0x8000 + roll(s, 0x2000) : 0x8020 + roll(s, 16), .len = 1 + roll(s, roll(s, 8) ? 32 : 4096),
                         .kinds = kinds, .storage = storage, .loads = storage && (kinds & TRAP_READ)};
}

static void query_bytes(struct session *s, uint64_t *skipped)
{
    static struct positions straight, found;
    const struct trap trap = some_bytes(s);
    struct query q = {.from = roll(s, 3) ? 0 : roll(s, SCATTERED), .to = roll(s, 3) ? SCATTERED : roll(s, SCATTERED), .newest_first = roll(s, 2),
                      .limit = roll(s, 3) ? 0 : 1 + roll(s, 5), .traps = &trap, .ntraps = 1, .note = everybody, .answer = query_hit, .ctx = &found};
    struct query_result result;
    struct error err = {0};
    size_t n = 0;

    found.count = 0;
    find_straight(&trap, &straight);
    MUST(timeline_query(s->tl, &q, &result, &err) == 0, "query: %s", err.text);
    for (size_t i = 0; i < straight.count; i++) {
        icount_t h = straight.list[q.newest_first ? straight.count - 1 - i : i];

        if (h < q.from || h >= q.to || (result.end == QUERY_ENOUGH && n == found.count))
            continue;
        MUST(n < found.count && found.list[n] == h, "%llx, %u bytes, kinds %x: step %llu is missed", (unsigned long long)trap.address,
             (unsigned)trap.len, trap.kinds, (unsigned long long)h);
        n++;
    }
    MUST(n == found.count, "more was found than there is");
    *skipped += result.skipped;
}

static void search_bytes(struct session *s)
{
    static struct positions straight;
    struct trap trap = some_bytes(s);
    icount_t from = 1 + roll(s, SCATTERED), expected = 0;
    struct timeline_stop stop;
    unsigned id;

    trap.storage = trap.loads = false;
    find_straight(&trap, &straight);
    for (size_t i = 0; i < straight.count && straight.list[i] < from; i++)
        expected = straight.list[i];
    timeline_seek(s->tl, from, &stop);
    id = timeline_add_point(s->tl, &(struct timeline_point){.kinds = trap.kinds, .address = trap.address, .len = trap.len});
    timeline_continue(s->tl, BACKWARD, &stop);
    MUST(timeline_position(s->tl) == expected, "back from %llu to %llu instead of %llu", (unsigned long long)from,
         (unsigned long long)timeline_position(s->tl), (unsigned long long)expected);
    /* And forward: jumping over what is known. */
    timeline_continue(s->tl, FORWARD, &stop);
    for (size_t i = 0; i < straight.count; i++)
        if (straight.list[i] > expected || (straight.list[i] == expected && expected)) {
            MUST(timeline_position(s->tl) == straight.list[i] + 1, "forward to %llu", (unsigned long long)timeline_position(s->tl));
            break;
        }
    /* Part of a segment with it, the rest without. */
    timeline_seek(s->tl, from = roll(s, SCATTERED - 2000), &stop);
    timeline_remove_point(s->tl, id);
    timeline_replay_break(s->tl, from += 1 + roll(s, 1999));
    timeline_continue(s->tl, FORWARD, &stop);
    MUST(timeline_position(s->tl) == from, "forward to %llu", (unsigned long long)timeline_position(s->tl));
    timeline_delete_replay_break(s->tl, from);
}

START_TEST(whatever_is_known_of_bytes_searches_find_what_a_straight_run_finds)
{
    struct session *s = xcalloc(1, sizeof(*s));
    uint64_t now = 0, skipped = 0;
    const struct timeline_host host = {.ctx = &now, .now_ns = slow_time, .wall_clock_ns = no_time, .entropy = host_entropy};
    const struct timeline_config config = {.slice_steps = 100, .checkpoint_interval_ns = 4000000, .edge_interval_ns = 2000000,
                                           .checkpoint_memory = _i & 1 ? 200000 : 0, .far_steps = _i & 2 ? 3000 : 0, .live = true};
    struct timeline_stop stop;

    s->seed = (uint64_t)_i;
    s->rng = (uint64_t)_i * 77 + 5;
    s->tl = timeline_create(scattering_machine(NULL, NULL), &config, &host);
    timeline_set_query_means(s->tl, &(struct query_means){.make = scattering_machine, .now_ns = _i & 4 ? fast_now : steady_now, .workers = 3,
                                                           .job_steps = 1 + roll(s, 3000), .job_records = roll(s, 2) ? 0 : 5});
    timeline_seek(s->tl, SCATTERED, &stop);
    for (s->operation = 0; s->operation < 60; s->operation++)
        if (roll(s, 3))
            query_bytes(s, &skipped);
        else
            search_bytes(s);
    ck_assert_uint_ge(skipped, 20);
    timeline_destroy(s->tl);
    free(s);
}
END_TEST

START_TEST(code_beside_a_loop_is_searched_for_without_running_the_loop)
{
    enum { STEPS = 3000000, ONCE = 0x1f00 };
    static const uint8_t start[] = {TOY_JMP, 0, 0xfc, 0x0e};                 /* to ONCE */
    static const uint8_t once[] = {TOY_NOP, TOY_JMP, 0, 0x07, 0xf1};         /* to the loop at 100ch */
    static const uint8_t loop[] = {TOY_NOP, TOY_NOP, TOY_NOP, TOY_NOP, TOY_JMP, 0, 0xf8, 0xff};
    uint64_t now = 0;
    struct machine *m = toy_machine();
    struct timeline *tl;
    struct timeline_stats before, after;
    struct timeline_stop stop;

    toy_poke(m, 0x1000, start, sizeof(start));
    toy_poke(m, ONCE, once, sizeof(once));
    toy_poke(m, 0x100c, loop, sizeof(loop));
    tl = timeline_create(m, &(struct timeline_config){.live = true, .slice_steps = 200},
                         &(struct timeline_host){.ctx = &now, .now_ns = slow_time, .wall_clock_ns = no_time, .entropy = host_entropy});
    timeline_seek(tl, STEPS, &stop);
    ck_assert_uint_eq(timeline_position(tl), STEPS);
    ck_assert_uint_gt(checkpoint_count(timeline_checkpoints(tl)), 15);
    timeline_add_point(tl, &(struct timeline_point){.kinds = TRAP_EXEC, .address = ONCE});
    timeline_stats(tl, &before);
    timeline_continue(tl, BACKWARD, &stop);
    timeline_stats(tl, &after);
    ck_assert_int_eq(stop.reason, TIMELINE_BREAKPOINT);
    ck_assert_uint_eq(timeline_position(tl), 1);
    ck_assert_uint_le(after.segments_replayed - before.segments_replayed, 2);
    ck_assert_uint_ge(after.segments_skipped - before.segments_skipped, 10);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, STEPS / 4);
    timeline_destroy(tl);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("timeline on the execution core");
    TCase *t = tcase_create("oracle");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, on_the_real_core_every_operation_ends_where_single_steps_say, 0, 6);
    tcase_add_loop_test(t, a_footprint_has_all_that_was_touched_whoever_noted_it, 0, 3);
    tcase_add_test(t, a_query_runs_history_as_it_was_run);
    tcase_add_test(t, a_query_that_is_asked_again_runs_no_more_than_what_touched_the_place);
    tcase_add_loop_test(t, a_query_for_another_field_on_a_page_runs_only_what_touched_that, 0, 4);
    tcase_add_loop_test(t, whatever_is_known_of_bytes_searches_find_what_a_straight_run_finds, 0, 8);
    tcase_add_test(t, a_watchpoint_beside_another_is_searched_for_where_its_bytes_were_touched);
    tcase_add_test(t, the_newest_hit_is_found_when_its_step_hits_more_than_once);
    tcase_add_test(t, code_beside_a_loop_is_searched_for_without_running_the_loop);
    suite_add_tcase(s, t);
    return s;
}
