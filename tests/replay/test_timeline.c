/*
 * The timeline against a brute-force oracle: a second machine that is given the
 * same events and runs one step at a time, forward only, noting the hash of every
 * state and what every step did. Whatever the timeline does, in whatever order, it
 * must stand where the oracle says, with the hash that the oracle saw there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "replay/query.h"
#include "replay/timeline.h"
#include "toy.h"
#include "tests/check_main.h"
#include "tests/storm.h"

/* ---- the oracle ---- */

struct oracle {
    struct machine *m;
    struct machine_env env;
    const struct event_log *log;
    uint64_t push, pull;      /* cursors */
    icount_t count;           /* positions known: 0..count-1 */
    uint64_t *hash;
    icount_t *began;          /* in_progress of each CPU */
    struct toy_state *state;  /* of each CPU */
    struct toy_trace *trace;  /* of the step from there */
    bool *reset;              /* that step is a reset the guest asked for */
    bool *ended;              /* the guest has ended there */
    size_t cap;
    struct buffer output;
};

static bool pulled(uint16_t kind)
{
    return kind == EVENT_HOST_CLOCK || kind == EVENT_ENTROPY;
}

static void oracle_pull(struct oracle *o, uint16_t kind, void *buf, size_t len)
{
    const struct event *e;

    while ((e = event_log_get(o->log, o->pull)) && !pulled(e->kind))
        o->pull++;
    ck_assert(e && e->kind == kind && e->len == len);
    ck_assert_uint_eq(e->position, machine_position(o->m));
    memcpy(buf, e->data, len);
    o->pull++;
}

static uint64_t oracle_clock(void *ctx, struct machine *m)
{
    uint64_t v;

    (void)m;
    oracle_pull(ctx, EVENT_HOST_CLOCK, &v, sizeof(v));
    return v;
}

static void oracle_entropy(void *ctx, struct machine *m, void *buf, size_t len)
{
    (void)m;
    oracle_pull(ctx, EVENT_ENTROPY, buf, len);
}

/* Where the host failed, the log says so; else the image is what it is. */
static int oracle_image(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct oracle *o = ctx;
    icount_t here = machine_position(m);
    const struct event *e;

    for (uint64_t n = event_log_find(o->log, here); (e = event_log_get(o->log, n)) && e->position == here; n++) {
        uint64_t cluster;
        uint32_t error;

        if (e->kind != EVENT_IMAGE)
            continue;
        memcpy(&cluster, e->data, 8);
        memcpy(&error, e->data + 8, 4);
        if (cluster == offset >> DRIVE_CLUSTER_SHIFT && error)
            return (int)error;
    }
    return toy_image_read(NULL, m, d, offset, buf, len);
}

static void oracle_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    struct oracle *o = ctx;

    (void)dev;
    buffer_append(&o->output, buf, len);
}

static const struct event *oracle_peek(void *ctx, struct machine *m)
{
    struct oracle *o = ctx;
    const struct event *e;

    (void)m;
    while ((e = event_log_get(o->log, o->push)) && (pulled(e->kind) || e->kind == EVENT_IMAGE))
        o->push++;
    return e;
}

static void oracle_take(void *ctx, struct machine *m)
{
    struct oracle *o = ctx;

    (void)m;
    o->push++;
}

static void oracle_note(struct oracle *o)
{
    icount_t p = o->m->st->position;

    ck_assert_uint_eq(p, o->count);
    if (p >= o->cap) {
        o->cap = o->cap ? o->cap * 2 : 4096;
        o->hash = xrealloc(o->hash, o->cap * sizeof(*o->hash));
        o->began = xrealloc(o->began, o->cap * o->m->ncpus * sizeof(*o->began));
        o->state = xrealloc(o->state, o->cap * o->m->ncpus * sizeof(*o->state));
        o->trace = xrealloc(o->trace, o->cap * sizeof(*o->trace));
        o->reset = xrealloc(o->reset, o->cap * sizeof(*o->reset));
        o->ended = xrealloc(o->ended, o->cap * sizeof(*o->ended));
    }
    o->hash[p] = machine_hash(o->m);
    o->ended[p] = o->m->st->end != GUEST_RUNS;
    for (unsigned i = 0; i < o->m->ncpus; i++) {
        o->began[p * o->m->ncpus + i] = o->m->cpus[i]->ops->in_progress(o->m->cpus[i]);
        o->state[p * o->m->ncpus + i] = *toy_state_of(o->m, i);
    }
    memset(&o->trace[p], 0, sizeof(o->trace[p]));
    o->count++;
}

static icount_t began_of(const struct oracle *o, icount_t p, unsigned cpu)
{
    return o->began[p * o->m->ncpus + cpu];
}

static const struct toy_state *state_of(const struct oracle *o, icount_t p, unsigned cpu)
{
    return &o->state[p * o->m->ncpus + cpu];
}

/* Whose is the step from h? Nobody's counts as the first one's. */
static unsigned owner(const struct oracle *o, icount_t h)
{
    return o->trace[h].by ? o->trace[h].by - 1 : 0;
}

/* Does the step from h belong to one of them, or to all? */
static bool is_step_of(const struct oracle *o, icount_t h, uint64_t cpus)
{
    return o->reset[h] || (o->trace[h].by && (cpus >> owner(o, h) & 1));
}

/* Whose it is, then. */
static unsigned stepper(const struct oracle *o, icount_t h, uint64_t cpus)
{
    return o->reset[h] ? (unsigned)__builtin_ctzll(cpus) : owner(o, h);
}

/* Who else writes memory than the CPU by its instructions is in the trace of the step, too. */
static bool oracle_write(void *ctx, const struct trap_hit *hit)
{
    struct toy_trace *t = &((struct oracle *)ctx)->trace[hit->position];

    if (t->naccesses < ARRAY_LEN(t->accesses))
        t->accesses[t->naccesses++] = (struct toy_access){TRAP_WRITE, TOY_VIRTUAL + hit->address, (uint32_t)hit->len};
    return false;
}

static struct oracle *oracle_create(struct machine *m)
{
    static const struct trap all = {.address = 0, .len = TOY_BYTES, .kinds = TRAP_WRITE, .storage = true};

    struct oracle *o = xcalloc(1, sizeof(*o));

    o->m = m;
    o->env = (struct machine_env){.ctx = o, .host_clock = oracle_clock, .entropy = oracle_entropy, .output = oracle_output,
                                  .image_read = oracle_image,
                                  .peek_event = oracle_peek, .take_event = oracle_take};
    m->env = &o->env;
    machine_set_traps(m, &all, 1);
    m->traps->hit = oracle_write;
    m->traps->ctx = o;
    oracle_note(o);
    return o;
}

static void oracle_destroy(struct oracle *o)
{
    machine_destroy(o->m);
    buffer_finish(&o->output);
    free(o->hash);
    free(o->began);
    free(o->state);
    free(o->trace);
    free(o->reset);
    free(o->ended);
    free(o);
}

static bool step_event_at(const struct oracle *o, icount_t p)
{
    const struct event *e;

    for (uint64_t n = event_log_find(o->log, p); (e = event_log_get(o->log, n)) && e->position == p; n++)
        if (event_is_step(e->kind))
            return true;
    return false;
}

/* Come to know everything up to `edge`. */
static void oracle_extend(struct oracle *o, const struct event_log *log, icount_t edge)
{
    o->log = log;
    while (o->count <= edge) {
        icount_t p = o->count - 1;
        struct stop stop;

        for (unsigned i = 0; i < o->m->ncpus; i++)
            ((struct toy *)o->m->cpus[i])->trace = &o->trace[p];
        o->reset[p] = o->m->st->reset_request && !step_event_at(o, p);
        machine_run(o->m, p + 1, &stop);
        for (unsigned i = 0; i < o->m->ncpus; i++)
            ((struct toy *)o->m->cpus[i])->trace = NULL;
        ck_assert_int_eq(stop.kind, STOP_LIMIT);
        ck_assert(!o->m->between);
        oracle_note(o);
    }
}

/* ---- a debugger user ---- */

enum condition { ALWAYS, ODD, NEVER, RARELY };

#define MAX_POINTS 6

struct user_point {
    struct timeline_point p;
    unsigned id;
    enum condition condition;
    unsigned reg;
    struct user *user;
};

/* A branch as the oracle sees it: a machine that runs the branch's log straight from the beginning. */
struct twig {
    unsigned id;
    struct oracle *o;
    icount_t fork;
    size_t silent;            /* bytes of output before the fork: not the branch's */
    struct buffer output;     /* heard */
};

struct user {
    uint64_t rng, seed;
    bool may_end, branches;
    struct timeline *tl;
    struct machine *m;
    struct twig twigs[TIMELINE_BRANCHES], *twig; /* that of the branch in use */
    unsigned ntwigs;
    struct oracle *o;         /* its */
    uint64_t now;             /* host time */
    uint64_t tick;            /* most ns that one look at the clock takes */
    unsigned poll_odds;       /* one poll in that many interrupts; 0: none */
    unsigned input_odds;
    unsigned polls;           /* in this operation: nobody waits for ever */
    icount_t interrupt_at;    /* interrupt when the guest has come so far */
    bool interrupt;           /* the next poll interrupts */
    unsigned clusters_read;   /* of the disk's image: a bit each */
    struct user_point points[MAX_POINTS];
    unsigned npoints;
    unsigned operations;
    char what[128];           /* the operation in progress */
};

static uint32_t roll(struct user *u, uint32_t n)
{
    return toy_rand(&u->rng) % n;
}

static uint64_t host_now(void *ctx)
{
    struct user *u = ctx;

    return u->now += toy_rand(&u->rng) % u->tick;
}

static uint64_t host_wall(void *ctx)
{
    return toy_rand(&((struct user *)ctx)->rng);
}

static void host_entropy(void *ctx, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)toy_rand(&((struct user *)ctx)->rng);
}

static void host_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)dev;
    buffer_append(&((struct user *)ctx)->twig->output, buf, len);
}

/* Now and then the host cannot read what was never read. (What was read once, can be.) */
static int host_image(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct user *u = ctx;
    unsigned cluster = (unsigned)(offset >> DRIVE_CLUSTER_SHIFT);

    if (!(u->clusters_read >> cluster & 1) && !roll(u, 3))
        return -EIO;
    u->clusters_read |= 1u << cluster;
    return toy_image_read(NULL, NULL, d, offset, buf, len) ? -EIO : 0;
}

static void type_something(struct user *u)
{
    uint8_t bytes[9];
    uint32_t len = 1 + roll(u, 9);
    bool whole = len <= 4 && roll(u, 2);

    host_entropy(u, bytes, len);
    timeline_input(u->tl, toy_serial(u->m), bytes, len, whole);
}

static bool host_poll(void *ctx)
{
    struct user *u = ctx;

    if (u->input_odds && !roll(u, u->input_odds))
        type_something(u);
    if (u->interrupt || ++u->polls > 60 || (u->poll_odds && !roll(u, u->poll_odds)) ||
        timeline_position(u->tl) >= u->interrupt_at) {
        u->interrupt = false;
        return true;
    }
    return false;
}

static uint64_t host_wait(void *ctx, uint64_t ns)
{
    struct user *u = ctx;

    if (ns == UINT64_MAX || !roll(u, 4)) {
        /* Woken early. */
        if (roll(u, 3) && !timeline_input_pending(u->tl, toy_serial(u->m)))
            type_something(u);
        else if (ns == UINT64_MAX)
            u->interrupt = true;
        return ns == UINT64_MAX ? roll(u, 5000) : roll(u, (uint32_t)(ns < 1000000 ? ns : 1000000) + 1);
    }
    return ns + roll(u, 50);
}

static const struct timeline_host host_ops = {
    .now_ns = host_now,
    .wall_clock_ns = host_wall,
    .entropy = host_entropy,
    .output = host_output,
    .image_read = host_image,
    .poll = host_poll,
    .wait = host_wait,
};

/* A claim failed: say for whom and in what operation. */
static void failed(const struct user *u, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void failed(const struct user *u, int line, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ck_abort_msg("line %d: seed %llu, operation %u, %s: %s", line, (unsigned long long)u->seed, u->operations,
                 u->what, text);
}

#define MUST(cond, ...) do { if (!(cond)) failed(u, __LINE__, __VA_ARGS__); } while (0)

static struct user *user_create(uint64_t seed, struct timeline_config config, struct machine *m, struct machine *twin)
{
    struct user *u = xcalloc(1, sizeof(*u));
    struct timeline_host host = host_ops;

    u->rng = seed;
    u->seed = seed;
    u->tick = 400000;
    u->input_odds = 8;
    u->interrupt_at = ICOUNT_MAX;
    host.ctx = u;
    u->m = m;
    u->branches = config.branches;
    u->twig = &u->twigs[u->ntwigs++];
    u->o = u->twig->o = oracle_create(twin);
    u->tl = timeline_create(m, &config, &host);
    oracle_extend(u->o, timeline_log(u->tl), 0);
    return u;
}

static void user_destroy(struct user *u)
{
    timeline_destroy(u->tl);
    for (unsigned i = 0; i < u->ntwigs; i++) {
        oracle_destroy(u->twigs[i].o);
        buffer_finish(&u->twigs[i].output);
    }
    free(u);
}

/* ---- what must be true ---- */

static bool condition_holds(const struct user_point *p, const struct toy_state *s)
{
    switch (p->condition) {
    case ALWAYS:
        return true;
    case ODD:
        return s->r[p->reg] & 1;
    case RARELY:
        return s->r[p->reg] % 16 == 3;
    case NEVER:
        break;
    }
    return false;
}

/* As the timeline asks it: of the CPU whose hit it is, as it stands. */
static bool ask(void *ctx, unsigned id, unsigned cpu)
{
    struct user_point *p = ctx;
    struct toy_state s;

    ck_assert_uint_eq(p->id, id);
    memset(&s, 0, sizeof(s));
    for (unsigned i = 0; i < 8; i++)
        p->user->m->cpus[cpu]->ops->read_reg(p->user->m->cpus[cpu], i, &s.r[i]);
    return condition_holds(p, &s);
}

static bool exec_hit(const struct user *u, icount_t h)
{
    const struct toy_trace *t = &u->o->trace[h];

    for (unsigned i = 0; t->began && i < u->npoints; i++) {
        const struct user_point *p = &u->points[i];

        if ((p->p.kinds & TRAP_EXEC) && p->p.address == t->pc &&
            condition_holds(p, state_of(u->o, h, owner(u->o, h))))
            return true;
    }
    return false;
}

static bool access_hit(const struct user *u, icount_t h)
{
    const struct toy_trace *t = &u->o->trace[h];

    for (unsigned i = 0; i < u->npoints; i++) {
        const struct user_point *p = &u->points[i];

        for (unsigned a = 0; a < t->naccesses; a++) {
            const struct toy_access *x = &t->accesses[a];

            if ((p->p.kinds & x->kind) && x->address < p->p.address + p->p.len &&
                p->p.address < x->address + x->len &&
                condition_holds(p, state_of(u->o, h + 1, owner(u->o, h))))
                return true;
        }
    }
    return false;
}

static struct machine *another_machine(void *ctx, struct error *err);

static bool twig_lives(const struct user *u, const struct twig *t)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(u->tl, list);

    for (size_t i = 0; i < n; i++)
        if (list[i].id == t->id)
            return true;
    return false;
}

/* The branch in use may be another one, which nobody has heard of, and others may be gone. */
static void follow(struct user *u)
{
    unsigned id = timeline_branch(u->tl), kept = 0;

    for (unsigned i = 0; i < u->ntwigs; i++) {
        if (twig_lives(u, &u->twigs[i])) {
            u->twigs[kept++] = u->twigs[i];
            continue;
        }
        oracle_destroy(u->twigs[i].o);
        buffer_finish(&u->twigs[i].output);
    }
    u->ntwigs = kept;
    u->twig = NULL;
    for (unsigned i = 0; i < u->ntwigs; i++)
        if (u->twigs[i].id == id)
            u->twig = &u->twigs[i];
    if (!u->twig) {
        struct timeline_branch list[TIMELINE_BRANCHES];
        size_t n = timeline_branches(u->tl, list);

        MUST(list[n - 1].id == id && list[n - 1].current, "not the newest");
        u->twig = &u->twigs[u->ntwigs++];
        *u->twig = (struct twig){.id = id, .o = oracle_create(another_machine(u, NULL)), .fork = list[n - 1].fork};
        oracle_extend(u->twig->o, timeline_log(u->tl), u->twig->fork);
        u->twig->silent = u->twig->o->output.len;
    }
    u->o = u->twig->o;
}

/* After every operation. */
static void check_state(struct user *u)
{
    icount_t p = timeline_position(u->tl), edge = timeline_edge(u->tl);
    const struct buffer *heard;
    size_t n;

    follow(u);
    MUST(!u->m->between, "between two positions");
    MUST(p <= edge, "beyond the edge");
    MUST(!timeline_divergence(u->tl), "%s", timeline_divergence(u->tl));
    oracle_extend(u->o, timeline_log(u->tl), edge);
    MUST(machine_hash(u->m) == u->o->hash[p], "position %llu of %llu: another state", (unsigned long long)p,
         (unsigned long long)edge);
    /* At the edge a step may have been begun, and heard. */
    heard = &u->twig->output;
    n = u->o->output.len - u->twig->silent;
    MUST(heard->len >= n && (!n || !memcmp(heard->data, u->o->output.data + u->twig->silent, n)), "output differs");
}

/* One CPU, most of the time. */
static uint64_t choose_cpus(struct user *u)
{
    uint64_t cpus = (uint64_t)1 << roll(u, u->m->ncpus);

    if (!roll(u, 8))
        return TIMELINE_ALL_CPUS;
    return roll(u, 8) ? cpus : cpus | (uint64_t)1 << roll(u, u->m->ncpus);
}

/* A breakpoint of somebody else at h, in a step of `cpus`. */
static bool foreign_hit(const struct user *u, icount_t h, uint64_t cpus)
{
    return !(cpus >> owner(u->o, h) & 1) && exec_hit(u, h);
}

/* Nothing more is to be had from there. */
static bool gave_up(const struct timeline_stop *stop)
{
    return stop->reason == TIMELINE_INTERRUPTED || stop->reason == TIMELINE_ASLEEP;
}

static void check_step_forward(struct user *u, uint64_t cpus)
{
    icount_t from = timeline_position(u->tl), at, want = from;
    const struct oracle *o = u->o;
    struct timeline_stop stop;
    bool made = false, done = false;
    unsigned who = 0;

    timeline_step(u->tl, FORWARD, cpus, &stop);
    check_state(u);
    at = timeline_position(u->tl);
    if (gave_up(&stop))
        return;
    while (!done) {
        if (want + 1 >= o->count) {
            /* The oracle knows no step from here. */
            MUST(at == want && (stop.reason == TIMELINE_GUEST_END || stop.reason == TIMELINE_REPLAY_END ||
                                (stop.reason == TIMELINE_BREAKPOINT && !(cpus >> stop.cpu & 1))),
                 "reason %d at %llu, not %llu", stop.reason, (unsigned long long)at, (unsigned long long)want);
            return;
        }
        if (want > from && foreign_hit(u, want, cpus)) {
            MUST(at == want && stop.reason == TIMELINE_BREAKPOINT && stop.cpu == owner(o, want),
                 "from %llu to %llu, reason %d, CPU %u; another's breakpoint at %llu", (unsigned long long)from,
                 (unsigned long long)at, stop.reason, stop.cpu, (unsigned long long)want);
            return;
        }
        if (access_hit(u, want)) {
            MUST(at == want + 1 && stop.reason == TIMELINE_WATCHPOINT && stop.cpu == owner(o, want),
                 "from %llu to %llu, reason %d, CPU %u; an access from %llu", (unsigned long long)from,
                 (unsigned long long)at, stop.reason, stop.cpu, (unsigned long long)want);
            return;
        }
        if (is_step_of(o, want, cpus)) {
            made = true;
            who = stepper(o, want, cpus);
        }
        want++;
        if (o->ended[want]) {
            MUST(at == want && stop.reason == TIMELINE_GUEST_END, "from %llu to %llu, reason %d; the guest's end is at %llu",
                 (unsigned long long)from, (unsigned long long)at, stop.reason, (unsigned long long)want);
            return;
        }
        done = made && began_of(o, want, who) == ICOUNT_MAX && !step_event_at(o, want);
    }
    MUST(at == want && stop.reason == TIMELINE_STEP_DONE && stop.cpu == who, "from %llu to %llu, reason %d, CPU %u; not %llu, %u",
         (unsigned long long)from, (unsigned long long)at, stop.reason, stop.cpu, (unsigned long long)want, who);
}

static void check_step_backward(struct user *u, uint64_t cpus)
{
    icount_t from = timeline_position(u->tl), at, want = from, h;
    const struct oracle *o = u->o;
    struct timeline_stop stop;
    bool made = false, watch = false;
    unsigned who = 0;

    timeline_step(u->tl, BACKWARD, cpus, &stop);
    check_state(u);
    at = timeline_position(u->tl);
    if (gave_up(&stop))
        return;
    while (want && !made)
        made = is_step_of(o, --want, cpus);
    if (!made) {
        MUST(stop.reason == TIMELINE_REPLAY_BEGIN && at == from, "no step is there, but reason %d at %llu", stop.reason,
             (unsigned long long)at);
        return;
    }
    who = stepper(o, want, cpus);
    if (began_of(o, want, who) != ICOUNT_MAX)
        want = began_of(o, want, who);
    for (h = from; h-- > want;) {
        watch = access_hit(u, h);
        if (!watch && !foreign_hit(u, h, cpus))
            continue;
        MUST(at == h && stop.reason == (watch ? TIMELINE_WATCHPOINT : TIMELINE_BREAKPOINT) && stop.cpu == owner(o, h),
             "from %llu to %llu, reason %d, CPU %u; a hit at %llu", (unsigned long long)from, (unsigned long long)at, stop.reason,
             stop.cpu, (unsigned long long)h);
        return;
    }
    MUST(at == want && stop.reason == TIMELINE_STEP_DONE && stop.cpu == who, "from %llu to %llu, reason %d, CPU %u; not %llu, %u",
         (unsigned long long)from, (unsigned long long)at, stop.reason, stop.cpu, (unsigned long long)want, who);
}

static void check_there_and_back(struct user *u, unsigned n)
{
    icount_t from = timeline_position(u->tl), want = from;
    unsigned cpu = roll(u, u->m->ncpus), done = 0;
    uint64_t cpus = (uint64_t)1 << cpu;
    struct timeline_stop stop;

    if (began_of(u->o, from, cpu) != ICOUNT_MAX || step_event_at(u->o, from))
        return;
    u->poll_odds = 0;
    /* One that is held never gets there. */
    u->interrupt_at = timeline_edge(u->tl) + 2000;
    for (; done < n; done++) {
        icount_t before = timeline_position(u->tl);

        /* Stepping on from a triple fault adds a reset, an event, which makes the
         * position where it happens one that steps pass over. */
        if (u->m->st->end == GUEST_TRIPLE_FAULT)
            return;
        timeline_step(u->tl, FORWARD, cpus, &stop);
        if (stop.reason != TIMELINE_STEP_DONE) {
            check_state(u);
            if (stop.reason != TIMELINE_GUEST_END)
                return; /* a watchpoint, or the user is tired of waiting */
            done += timeline_position(u->tl) != before && u->m->cpus[cpu]->stepped == timeline_position(u->tl);
            break;
        }
    }
    if (!done)
        return;
    for (; done; done--) {
        timeline_step(u->tl, BACKWARD, cpus, &stop);
        check_state(u);
        if (stop.reason != TIMELINE_STEP_DONE)
            return; /* a watchpoint */
    }
    /* Where the CPU's first step since then begins: nothing of its own lies between. */
    while (!is_step_of(u->o, want, cpus))
        want++;
    MUST(timeline_position(u->tl) == want, "ended at %llu, not %llu",
         (unsigned long long)timeline_position(u->tl), (unsigned long long)want);
}

static bool is_break(const struct user *u, icount_t p)
{
    const icount_t *list;
    size_t n = timeline_replay_breaks(u->tl, &list);

    for (size_t i = 0; i < n; i++)
        if (list[i] == p)
            return true;
    return false;
}

static void check_forward(struct user *u)
{
    icount_t from = timeline_position(u->tl), at, q;
    struct timeline_stop stop;

    timeline_continue(u->tl, FORWARD, &stop);
    check_state(u);
    at = timeline_position(u->tl);
    for (q = from; q < at; q++) {
        if (q > from && (exec_hit(u, q) || is_break(u, q) || u->o->ended[q]))
            break;
        if (access_hit(u, q)) {
            q++;
            MUST(q == at && stop.reason == TIMELINE_WATCHPOINT && stop.cpu == owner(u->o, q - 1),
                 "from %llu stops at %llu (reason %d), access before %llu", (unsigned long long)from,
                 (unsigned long long)at, stop.reason, (unsigned long long)q);
            return;
        }
    }
    MUST(q == at, "from %llu stops at %llu (reason %d), should at %llu", (unsigned long long)from,
         (unsigned long long)at, stop.reason, (unsigned long long)q);
    switch (stop.reason) {
    case TIMELINE_BREAKPOINT:
        /* The oracle knows the next step only where there is one. */
        MUST(at > from && stop.address == TOY_VIRTUAL + state_of(u->o, at, stop.cpu)->pc, "no breakpoint there");
        MUST(at + 1 >= u->o->count || (exec_hit(u, at) && stop.cpu == owner(u->o, at)), "no breakpoint there");
        break;
    case TIMELINE_REPLAY_BREAK:
        MUST(is_break(u, at) && !u->o->ended[at], "no break there");
        break;
    case TIMELINE_GUEST_END:
        MUST(u->m->st->end, "the guest runs");
        break;
    case TIMELINE_ASLEEP:
        MUST(timeline_branch(u->tl) && timeline_at_edge(u->tl), "asleep on the trunk");
        break;
    case TIMELINE_INTERRUPTED:
    case TIMELINE_REPLAY_END:
        break;
    default:
        MUST(false, "reason %d", stop.reason);
    }
}

static void check_backward(struct user *u)
{
    icount_t from = timeline_position(u->tl), at, h;
    struct timeline_stop stop;
    bool watch = false, bp = false, brk = false;

    timeline_continue(u->tl, BACKWARD, &stop);
    check_state(u);
    at = timeline_position(u->tl);
    if (stop.reason == TIMELINE_INTERRUPTED) {
        /* Nothing was passed over. */
        MUST(at <= from, "interrupted, and forward");
        for (h = at; h < from; h++)
            MUST(!exec_hit(u, h) && !access_hit(u, h), "interrupted at %llu, hit at %llu", (unsigned long long)at,
                 (unsigned long long)h);
        return;
    }
    for (h = from; h > 0 && !watch && !bp && !brk;) {
        h--;
        watch = access_hit(u, h);
        bp = exec_hit(u, h);
        brk = is_break(u, h);
    }
    MUST(at == h, "from %llu to %llu (reason %d), should to %llu", (unsigned long long)from, (unsigned long long)at,
         stop.reason, (unsigned long long)h);
    MUST(stop.reason == (watch ? TIMELINE_WATCHPOINT : bp ? TIMELINE_BREAKPOINT
                               : brk                      ? TIMELINE_REPLAY_BREAK
                                                          : TIMELINE_REPLAY_BEGIN),
         "reason %d at %llu", stop.reason, (unsigned long long)at);
    MUST(!(watch || bp) || stop.cpu == owner(u->o, h), "CPU %u, not %u", stop.cpu, owner(u->o, h));
}

static void check_seek(struct user *u)
{
    icount_t edge = timeline_edge(u->tl), to = roll(u, (uint32_t)edge + 1);
    struct timeline_stop stop;

    if (!roll(u, 4))
        to = edge - (edge < 100 ? 0 : roll(u, 100));
    if (!roll(u, 12))
        to = edge + roll(u, 300);
    timeline_seek(u->tl, to, &stop);
    check_state(u);
    if (stop.reason == TIMELINE_SEEK_DONE)
        MUST(timeline_position(u->tl) == to, "at %llu, not %llu", (unsigned long long)timeline_position(u->tl),
             (unsigned long long)to);
    else
        MUST(gave_up(&stop) || (to > edge && stop.reason == TIMELINE_GUEST_END) ||
                 (to > edge && stop.reason == TIMELINE_REPLAY_END),
             "reason %d", stop.reason);
}

static void check_find_steps(struct user *u)
{
    icount_t edge = timeline_edge(u->tl), most = 0, n, h, at;
    unsigned cpu = roll(u, u->m->ncpus);
    struct error err;
    int r;

    for (h = 0; h < edge; h++)
        most += u->o->trace[h].by == cpu + 1;
    n = roll(u, (uint32_t)most + 2);
    r = timeline_find_steps(u->tl, cpu, n, &at, &err);
    check_state(u);
    if (r == -EINTR)
        return;
    for (h = 0; h < edge && n; h++)
        n -= u->o->trace[h].by == cpu + 1;
    MUST(r == (n ? -ERANGE : 0) && (n || at == h), "%d: at %llu, not %llu", r, (unsigned long long)at, (unsigned long long)h);
}

static void check_find_time(struct user *u)
{
    icount_t at = 0, here = timeline_position(u->tl);
    struct timeline_stop stop;
    struct error err;
    vtime_t end, time;
    int r;

    timeline_seek(u->tl, timeline_edge(u->tl), &stop);
    end = machine_now(u->m);
    if (!gave_up(&stop)) {
        time = end / 1000 * roll(u, 1002);
        r = timeline_find_time(u->tl, time, &at, &err);
        check_state(u);
        MUST(r == -EINTR || r == (time > end ? -ERANGE : 0), "%d of %llu", r, (unsigned long long)time);
        if (!r) {
            timeline_seek(u->tl, at, &stop);
            MUST(gave_up(&stop) || machine_now(u->m) >= time, "%llu at %llu", (unsigned long long)machine_now(u->m), (unsigned long long)at);
            if (at)
                timeline_seek(u->tl, at - 1, &stop);
            MUST(gave_up(&stop) || !at || machine_now(u->m) < time, "%llu before %llu", (unsigned long long)machine_now(u->m), (unsigned long long)at);
        }
    }
    timeline_seek(u->tl, here, &stop);
    check_state(u);
}

static void check_last_write(struct user *u)
{
    uint64_t address = TOY_VIRTUAL + 0x2000 + roll(u, TOY_BYTES - 0x2000), len = 1 + roll(u, 64);
    icount_t from = timeline_position(u->tl), h, at;
    struct timeline_stop stop;
    bool found = false;

    ck_assert_int_eq(timeline_last_write(u->tl, &(struct timeline_point){.address = address, .len = len}, &stop, NULL), 0);
    check_state(u);
    at = timeline_position(u->tl);
    if (gave_up(&stop))
        return;
    for (h = from; h > 0 && !found;) {
        h--;
        for (unsigned a = 0; a < u->o->trace[h].naccesses; a++) {
            const struct toy_access *x = &u->o->trace[h].accesses[a];

            found |= x->kind == TRAP_WRITE && x->address < address + len && address < x->address + x->len;
        }
    }
    MUST(at == h && stop.reason == (found ? TIMELINE_WATCHPOINT : TIMELINE_REPLAY_BEGIN), "at %llu, not %llu",
         (unsigned long long)at, (unsigned long long)h);
}

/* ---- queries ---- */

static uint64_t steady_now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct machine *random_machine(uint64_t seed, unsigned ncpus, bool may_end);

static struct machine *another_machine(void *ctx, struct error *err)
{
    struct user *u = ctx;

    (void)err;
    return random_machine(u->seed, u->m->ncpus, u->may_end);
}

struct question {
    struct trap trap;
    enum condition condition;
    unsigned reg;
    icount_t *found;          /* positions, in the order of the answers */
    size_t count, cap;
};

static bool note_hit(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct question *q = ctx;
    const struct user_point p = {.condition = q->condition, .reg = q->reg};

    memcpy(record, &hit->position, sizeof(hit->position));
    return condition_holds(&p, toy_state_of(m, hit->cpu));
}

static bool take_answer(void *ctx, icount_t position, const void *record)
{
    struct question *q = ctx;
    icount_t noted;

    memcpy(&noted, record, sizeof(noted));
    ck_assert_uint_eq(position, noted);
    /* An instruction may touch the bytes more than once. */
    if (q->count && q->found[q->count - 1] == position)
        return true;
    if (q->count == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 64;
        q->found = xrealloc(q->found, q->cap * sizeof(q->found[0]));
    }
    q->found[q->count++] = position;
    return true;
}

static bool step_hits(const struct user *u, const struct question *q, icount_t h)
{
    const struct toy_trace *t = &u->o->trace[h];
    const struct user_point p = {.condition = q->condition, .reg = q->reg};

    if (q->trap.kinds & TRAP_EXEC)
        return t->began && t->pc == q->trap.address && condition_holds(&p, state_of(u->o, h, owner(u->o, h)));
    for (unsigned a = 0; a < t->naccesses; a++) {
        const struct toy_access *x = &t->accesses[a];
        uint64_t address = q->trap.storage ? x->address - TOY_VIRTUAL : x->address;

        if ((q->trap.kinds & x->kind) && address < q->trap.address + q->trap.len && q->trap.address < address + x->len &&
            condition_holds(&p, state_of(u->o, h + 1, owner(u->o, h))))
            return true;
    }
    return false;
}

/* Something that happened once at least, somewhere. */
static void think_of_question(struct user *u, struct question *q)
{
    const struct toy_trace *t = &u->o->trace[roll(u, (uint32_t)u->o->count)];
    unsigned a = 0;

    if (t->naccesses && roll(u, 3))
        a = roll(u, t->naccesses);
    *q = (struct question){.condition = (enum condition)roll(u, 4), .reg = roll(u, 8)};
    if (roll(u, 2))
        q->condition = ALWAYS;
    if (!t->naccesses || !roll(u, 3)) {
        q->trap = (struct trap){.address = t->pc, .len = 1, .kinds = TRAP_EXEC};
        return;
    }
    q->trap = (struct trap){.address = t->accesses[a].address, .len = 1 + roll(u, 8), .kinds = t->accesses[a].kind};
    /* Perhaps what lies beside it: its page may be known. */
    if (!roll(u, 3) && q->trap.address >= TOY_VIRTUAL + 64)
        q->trap.address -= roll(u, 64);
    /* Who writes besides the CPU is in the trace, too. */
    if (q->trap.kinds == TRAP_WRITE) {
        q->trap.storage = true;
        q->trap.address -= TOY_VIRTUAL;
        if (q->trap.address + q->trap.len > TOY_BYTES)
            q->trap.len = 1;
    }
}

static void check_query(struct user *u)
{
    icount_t here = timeline_position(u->tl), edge = timeline_edge(u->tl);
    uint64_t rng;
    struct query_result result;
    struct question asked;
    struct error err = {0};
    struct query q = {.from = roll(u, 3) ? 0 : roll(u, (uint32_t)edge + 1), .to = roll(u, 3) ? ICOUNT_MAX : roll(u, (uint32_t)edge + 1),
                      .newest_first = roll(u, 2), .traps = &asked.trap, .ntraps = 1, .record_bytes = sizeof(icount_t),
                      .ctx = &asked, .note = note_hit, .answer = take_answer};
    size_t n = 0;

    think_of_question(u, &asked);
    if (asked.trap.kinds == TRAP_EXEC && roll(u, 2))
        q.limit = 1 + roll(u, 20);
    u->input_odds = 0;
    rng = u->rng;
    MUST(timeline_query(u->tl, &q, &result, &err) == 0, "query: %s", err.text);
    /* How often the host was looked at is not for a test to know. */
    u->rng = rng;
    u->input_odds = 8;
    MUST(timeline_position(u->tl) == here, "moved by a query");
    check_state(u);
    if (u->polls > 60)
        MUST(result.end != QUERY_ALL || result.from <= result.to, "interrupted");
    for (icount_t i = 0; i < edge && n < asked.count; i++) {
        icount_t h = q.newest_first ? edge - 1 - i : i;

        if (h >= q.from && h < q.to && step_hits(u, &asked, h)) {
            MUST(asked.found[n] == h, "answer %zu is %llu, not %llu", n, (unsigned long long)asked.found[n],
                 (unsigned long long)h);
            n++;
        }
    }
    MUST(n == asked.count, "%zu answers, only %zu are true", asked.count, n);
    if (result.end == QUERY_ALL)
        for (icount_t h = q.from; h < edge && h < q.to; h++)
            n -= step_hits(u, &asked, h);
    else if (result.end == QUERY_ENOUGH)
        n -= q.limit;
    else
        n = 0;
    MUST(n == 0, "another number of answers");
    free(asked.found);
}

/* ---- what users do ---- */

static void drop_point(struct user *u)
{
    unsigned i;

    if (!u->npoints)
        return;
    i = roll(u, u->npoints);
    ck_assert(timeline_remove_point(u->tl, u->points[i].id));
    /* Conditions hold a pointer to where they are: move none but the last, anew. */
    u->npoints--;
    if (i == u->npoints)
        return;
    ck_assert(timeline_remove_point(u->tl, u->points[u->npoints].id));
    u->points[i] = u->points[u->npoints];
    if (u->points[i].p.condition)
        u->points[i].p.ctx = &u->points[i];
    u->points[i].id = timeline_add_point(u->tl, &u->points[i].p);
}

static void add_point(struct user *u)
{
    struct user_point *p = &u->points[u->npoints];
    const struct toy_trace *t = &u->o->trace[roll(u, (uint32_t)u->o->count)];

    if (u->npoints == MAX_POINTS) {
        drop_point(u);
        return;
    }
    memset(p, 0, sizeof(*p));
    p->user = u;
    if (t->naccesses && roll(u, 2)) {
        p->p.kinds = 1 + roll(u, 3);
        p->p.kinds = p->p.kinds == 1 ? TRAP_WRITE : p->p.kinds == 2 ? TRAP_READ : TRAP_READ | TRAP_WRITE;
        p->p.address = t->accesses[0].address + roll(u, 4);
        p->p.len = 1 + roll(u, 8);
    } else {
        p->p.kinds = TRAP_EXEC;
        p->p.address = t->pc;
    }
    p->condition = (enum condition)roll(u, 4);
    p->reg = roll(u, 8);
    if (p->condition != ALWAYS) {
        p->p.condition = ask;
        p->p.ctx = p;
    }
    p->id = timeline_add_point(u->tl, &p->p);
    u->npoints++;
}

static void write_something(struct user *u)
{
    uint32_t value = toy_rand(&u->rng), n = roll(u, 9);
    uint64_t address = TOY_VIRTUAL + 0x2000 + roll(u, TOY_BYTES - 0x2000 - 4);
    icount_t from = timeline_position(u->tl);
    unsigned branch = timeline_branch(u->tl);
    bool edge = timeline_at_edge(u->tl), physical = roll(u, 2), begun = edge && step_event_at(u->o, from);
    struct error err;
    int r;

    timeline_look_by(u->tl, roll(u, u->m->ncpus));
    if (roll(u, 2)) {
        r = timeline_write_memory(u->tl, physical ? address - TOY_VIRTUAL : address, physical, &value, 4, &err);
    } else {
        value = n == 8 ? value % 0xa00 & ~7u : value;
        r = timeline_write_register(u->tl, n, &value, 4, &err);
    }
    MUST(r == (edge || u->branches ? 0 : -EROFS), "write: %d", r);
    MUST(timeline_position(u->tl) == from + (r == 0) + begun, "a write takes one step, after one that was begun");
    MUST(edge == (timeline_branch(u->tl) == branch) || !u->branches, "a write in the past, and only that, makes a branch");
    check_state(u);
}

/* ---- branches ---- */

static void use_some_branch(struct user *u, const struct timeline_branch *list, size_t n)
{
    const struct timeline_branch *b = &list[roll(u, (uint32_t)n)];

    ck_assert_int_eq(timeline_branch_use(u->tl, b->id, NULL), 0);
    MUST(timeline_branch(u->tl) == b->id && timeline_position(u->tl) == b->position && timeline_edge(u->tl) == b->edge,
         "branch %u was left at %llu of %llu", b->id, (unsigned long long)b->position, (unsigned long long)b->edge);
}

static void drop_some_branch(struct user *u, const struct timeline_branch *list, size_t n)
{
    const struct timeline_branch *b = &list[roll(u, (uint32_t)n)];
    icount_t here = timeline_position(u->tl);
    int r = timeline_branch_drop(u->tl, b->id, &(struct error){0});

    MUST(r == (b->forks || !b->id ? -EBUSY : 0), "drop: %d", r);
    if (r == 0 && b->current)
        MUST(timeline_branch(u->tl) == b->parent && timeline_position(u->tl) == (here < b->fork ? here : b->fork),
             "dropped from %llu, forks at %llu, stands at %llu", (unsigned long long)here, (unsigned long long)b->fork,
             (unsigned long long)timeline_position(u->tl));
    else
        MUST(timeline_position(u->tl) == here, "moved");
}

static void make_some_branch(struct user *u)
{
    icount_t here = timeline_position(u->tl);
    char name[16];

    snprintf(name, sizeof(name), "b%u", u->operations);
    ck_assert_int_eq(timeline_branch_make(u->tl, roll(u, 2) ? name : NULL, NULL), 0);
    MUST(timeline_position(u->tl) == here && timeline_edge(u->tl) == here, "a branch begins with nothing");
}

/* Each of them costs the oracle a run from the beginning. */
static void branch_somehow(struct user *u)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(u->tl, list);

    if (!u->branches)
        return;
    switch (roll(u, 5)) {
    case 0:
    case 1:
        use_some_branch(u, list, n);
        break;
    case 2:
        if (n < 6)
            make_some_branch(u);
        break;
    case 3:
        if (timeline_branch(u->tl) && !roll(u, 3))
            ck_assert_int_eq(timeline_branch_live(u->tl, NULL), 0);
        break;
    default:
        drop_some_branch(u, list, n);
    }
    check_state(u);
}

/* Who is held at the edge is so at once; in the past nobody is who was not, and what else is wanted waits. */
static void hold_somebody(struct user *u)
{
    uint64_t all = UINT64_MAX >> (64 - u->m->ncpus), cpus = roll(u, 2) ? 0 : toy_rand(&u->rng) & all, held = machine_held(u->m);
    icount_t from = timeline_position(u->tl);
    bool edge = timeline_at_edge(u->tl), refused = !edge && (cpus & ~held), made = edge && cpus != held && !u->m->st->end;
    struct error err;
    int r = timeline_hold(u->tl, cpus, &err);

    MUST(r == (refused ? -EROFS : 0), "hold: %d", r);
    MUST(timeline_position(u->tl) == from + made, "another hold takes one step");
    MUST(machine_held(u->m) == (made ? cpus : held), "who is held");
    check_state(u);
}

static void name_something(struct user *u)
{
    char name[2] = {(char)('a' + roll(u, 3)), 0};
    const struct timeline_snapshot *list;
    struct timeline_stop stop;
    size_t n = timeline_snapshots(u->tl, &list);
    struct error err;

    switch (roll(u, 3)) {
    case 0:
        ck_assert_int_eq(timeline_save_snapshot(u->tl, name, 0, &err), 0);
        break;
    case 1:
        timeline_delete_snapshot(u->tl, name, &err);
        break;
    default:
        if (n && timeline_load_snapshot(u->tl, list[n - 1].name, &stop, &err) == 0 &&
            stop.reason == TIMELINE_SEEK_DONE)
            MUST(timeline_position(u->tl) == list[n - 1].position, "not there");
    }
    check_state(u);
}

static void change_breaks(struct user *u)
{
    const icount_t *list;
    size_t n = timeline_replay_breaks(u->tl, &list);

    if (n >= 2 || (n && roll(u, 2)))
        ck_assert(timeline_delete_replay_break(u->tl, list[roll(u, (uint32_t)n)]));
    else
        timeline_replay_break(u->tl, roll(u, (uint32_t)timeline_edge(u->tl) + 200));
}

static void user_acts(struct user *u)
{
    uint32_t what = roll(u, 100);

    u->operations++;
    u->poll_odds = roll(u, 3) ? 0 : 1 + roll(u, 20);
    u->interrupt_at = timeline_edge(u->tl) + 1 + roll(u, 400);
    u->interrupt = false;
    u->polls = 0;
#define DO(n, name, call) if (what < (n)) { snprintf(u->what, sizeof(u->what), "%s at %llu of %llu", name, \
        (unsigned long long)timeline_position(u->tl), (unsigned long long)timeline_edge(u->tl)); call; return; } what -= (n)
    DO(8, "step", check_step_forward(u, choose_cpus(u)));
    DO(14, "reverse step", check_step_backward(u, choose_cpus(u)));
    DO(6, "there and back", check_there_and_back(u, 1 + roll(u, 30)));
    DO(12, "continue", check_forward(u));
    DO(2, "find steps", check_find_steps(u));
    DO(1, "find time", check_find_time(u));
    DO(18, "reverse continue", check_backward(u));
    DO(10, "seek", check_seek(u));
    DO(6, "add point", add_point(u));
    DO(4, "drop point", drop_point(u));
    DO(3, "write", write_something(u));
    DO(2, "hold", hold_somebody(u));
    DO(3, "snapshot", name_something(u));
    DO(2, "break", change_breaks(u));
    DO(3, "last write", check_last_write(u));
    DO(3, "query", check_query(u));
    DO(4, "branch", branch_somehow(u));
#undef DO
    if (!roll(u, 12) && timeline_at_edge(u->tl)) {
        ck_assert_int_eq(timeline_reset(u->tl, NULL), 0);
        check_state(u);
    }
}

static struct machine *random_machine(uint64_t seed, unsigned ncpus, bool may_end)
{
    const struct schedule schedule = {.quantum = 1 + seed * 7 % 64, .seed = seed, .seeded = seed % 3 != 0, .starve = seed % 3 == 1};
    struct machine *m = toy_machine_of(ncpus, &schedule);

    toy_random_program(m, seed, may_end);
    if (seed % 2)
        toy_random_disk(m, seed);
    if (ncpus > 1)
        toy_random_cpus(m, seed);
    return m;
}

static struct user *random_user(uint64_t seed, unsigned ncpus, bool may_end, bool branches)
{
    struct machine *m = random_machine(seed, ncpus, may_end), *twin = random_machine(seed, ncpus, may_end);
    uint64_t rng = seed;
    struct query_means means;
    struct user *u;
    struct timeline_config config = {
        .live = true,
        .sleep = toy_rand(&rng) % 2,
        .branches = branches,
        /* Sometimes hardly anything fits, and everything is thinned. */
        .checkpoint_memory = toy_rand(&rng) % 3 ? 64u << 20 : 300000,
        .checkpoint_interval_ns = 2000000 + toy_rand(&rng) % 6000000,
        .edge_interval_ns = 500000 + toy_rand(&rng) % 2000000,
        .slice_steps = 1 + toy_rand(&rng) % 300,
        .ladder_steps = 1 + toy_rand(&rng) % 40,
        .far_steps = seed % 4 == 1 ? 1 + toy_rand(&rng) % 400 : 0,
    };

    u = user_create(seed, config, m, twin);
    u->may_end = may_end;
    means = (struct query_means){.ctx = u, .make = another_machine, .now_ns = steady_now, .workers = 1 + (unsigned)(seed % 3),
                                 .job_steps = 1 + toy_rand(&rng) % 1000, .job_records = 1 + toy_rand(&rng) % 20};
    timeline_set_query_means(u->tl, &means);
    return u;
}

/* ---- claims ---- */

START_TEST(every_operation_ends_where_the_oracle_says)
{
    for (uint64_t seed = (uint64_t)_i * 25; seed < (uint64_t)_i * 25 + STORM(25); seed++) {
        struct user *u = random_user(seed, 1, seed % 3 == 0, false);

        for (unsigned i = 0; i < 120; i++)
            user_acts(u);
        user_destroy(u);
    }
}
END_TEST

START_TEST(with_several_cpus_too)
{
    for (uint64_t seed = (uint64_t)_i * 12; seed < (uint64_t)_i * 12 + STORM(12); seed++) {
        struct user *u = random_user(seed, 2 + seed % 4, seed % 3 == 0, false);

        for (unsigned i = 0; i < 120; i++)
            user_acts(u);
        user_destroy(u);
    }
}
END_TEST

START_TEST(on_every_branch_too)
{
    for (uint64_t seed = 1000 + (uint64_t)_i * 6; seed < 1000 + (uint64_t)_i * 6 + STORM(6); seed++) {
        struct user *u = random_user(seed, 1 + seed % 3, seed % 3 == 0, true);

        for (unsigned i = 0; i < 200; i++)
            user_acts(u);
        user_destroy(u);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("timeline");
    TCase *t = tcase_create("oracle");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, every_operation_ends_where_the_oracle_says, 0, 8);
    tcase_add_loop_test(t, with_several_cpus_too, 0, 8);
    tcase_add_loop_test(t, on_every_branch_too, 0, 8);
    suite_add_tcase(s, t);
    return s;
}
