/*
 * An experiment: which hits of tracepoints there are in its stretch of history, and what each would have collected.
 *
 * Frames are made when somebody asks, in order of position, up to where the guest has come. Conditions and the sizes of
 * what is collected are worked out where the hits are found, in several threads; those that use trace state
 * variables afterwards, one after the other, looking at the place again. Nothing is kept of memory and registers: a
 * frame is a position. How many bytes a frame would take is what gdb's stub makes of it: a
 * header, then blocks (gdb manual, "Trace File Format"); so sizes, fullness and circular buffers are true to it.
 */
#include "rsp/trace_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define HEADER_BYTES   6u  /* u16 tracepoint, u32 bytes of blocks */
#define MEMORY_BYTES   11u /* 'M', u64 address, u16 length */
#define VARIABLE_BYTES 13u /* 'V', u32 number, u64 value */
#define BLOCK_MOST     0xffffu

enum verdict { MISSED, HIT, FAILED, UNDECIDED };

/* What is kept of a hit: of each tracepoint there, in their order. */
struct hit {
    uint8_t verdict[TRACE_MAX_AT_ONE];
    uint32_t bytes[TRACE_MAX_AT_ONE];
    char text[96]; /* why the first of them failed */
};

/* Found hits, kept until the machines that found them may look around. */
struct batch {
    struct rsp_tracing *t;
    struct rsp_moment *moments;
    struct hit *hits;
    size_t count, cap;
};

struct trace_variable *trace_find_variable(const struct rsp_tracing *t, unsigned number)
{
    for (unsigned i = 0; i < t->nvariables; i++)
        if (t->variables[i].number == number)
            return &t->variables[i];
    return NULL;
}

struct trace_frame *trace_frame(const struct rsp_tracing *t, size_t n)
{
    return &t->frames[t->first + n];
}

void trace_forget_frames(struct rsp_tracing *t)
{
    free(t->frames);
    free(t->values);
    free(t->steppings);
    t->frames = NULL;
    t->values = NULL;
    t->steppings = NULL;
    t->first = t->nframes = t->cap = 0;
    t->created = t->used = 0;
    t->nsteppings = 0;
    buffer_clear(&t->raw);
    t->raw_made = false;
    for (unsigned i = 0; i < t->npoints; i++)
        t->points[i].hits = t->points[i].bytes = 0;
}

/* ---- collecting ---- */

/* What an action collects is counted, and, with `raw`, written down. */
struct collecting {
    struct rsp_tracing *t;        /* variables; NULL: they are not to be touched */
    const struct agent_env *env;
    struct buffer *raw;
    unsigned thread;
    const uint64_t *values;       /* not NULL: variables have these, and are not set */
    uint64_t bytes, action_bytes;
};

static bool collect_register_value(void *ctx, unsigned n, uint64_t *value)
{
    const struct collecting *c = ctx;

    return c->env->read_register(c->env->ctx, n, value);
}

static bool collect_memory_value(void *ctx, uint64_t addr, void *buf, size_t len)
{
    const struct collecting *c = ctx;

    return c->env->read_memory(c->env->ctx, addr, buf, len);
}

static bool collect_block(struct collecting *c, uint64_t addr, size_t len)
{
    uint8_t chunk[1024];
    size_t start = c->raw ? c->raw->len : 0;

    if (c->raw) {
        buffer_append_byte(c->raw, 'M');
        buffer_append_le(c->raw, addr, 8);
        buffer_append_le(c->raw, len, 2);
    }
    for (size_t done = 0, n; done < len; done += n) {
        n = len - done < sizeof(chunk) ? len - done : sizeof(chunk);
        if (!c->env->read_memory(c->env->ctx, addr + done, chunk, n)) {
            if (c->raw)
                c->raw->len = start;
            return false;
        }
        if (c->raw)
            buffer_append(c->raw, chunk, n);
    }
    c->bytes += MEMORY_BYTES + len;
    c->action_bytes += len;
    return true;
}

static bool collect_memory(void *ctx, uint64_t addr, uint64_t len)
{
    struct collecting *c = ctx;

    if (len > TRACE_MAX_COLLECT - c->action_bytes)
        return false;
    while (len) {
        size_t n = len < BLOCK_MOST ? (size_t)len : BLOCK_MOST;

        if (!collect_block(c, addr, n))
            return false;
        addr += n;
        len -= n;
    }
    return true;
}

static bool read_variable(void *ctx, unsigned n, uint64_t *value)
{
    const struct collecting *c = ctx;
    const struct trace_variable *v = c->t ? trace_find_variable(c->t, n) : NULL;
    size_t index;

    if (!v)
        return false;
    index = (size_t)(v - c->t->variables);
    *value = c->values && index < c->t->nvalues ? c->values[index] : v->value;
    return true;
}

static bool write_variable(void *ctx, unsigned n, uint64_t value)
{
    const struct collecting *c = ctx;
    struct trace_variable *v = c->t ? trace_find_variable(c->t, n) : NULL;

    if (v && !c->values)
        v->value = value;
    return v != NULL;
}

static bool collect_variable(void *ctx, unsigned n, uint64_t unused)
{
    struct collecting *c = ctx;
    uint64_t value;

    (void)unused;
    if (!read_variable(ctx, n, &value))
        return false;
    c->bytes += VARIABLE_BYTES;
    if (c->raw) {
        buffer_append_byte(c->raw, 'V');
        buffer_append_le(c->raw, n, 4);
        buffer_append_le(c->raw, value, 8);
    }
    return true;
}

static struct agent_env collecting_env(struct collecting *c)
{
    return (struct agent_env){
        .ctx = c,
        .read_register = collect_register_value,
        .read_memory = collect_memory_value,
        .trace = collect_memory,
        .read_variable = read_variable,
        .write_variable = write_variable,
        .trace_variable = collect_variable,
        .long_bits = c->env->long_bits,
    };
}

static size_t registers_bytes(const struct rsp_target_info *info)
{
    size_t bytes = 0;

    for (unsigned n = 0; n < info->nregs; n++)
        bytes += info->regs[n].bits / 8;
    return bytes;
}

static void collect_registers(struct collecting *c, const struct rsp_tracing *t)
{
    c->bytes += 1 + registers_bytes(t->info);
    if (!c->raw)
        return;
    buffer_append_byte(c->raw, 'R');
    for (unsigned n = 0; n < t->info->nregs; n++) {
        uint8_t value[RSP_MAX_REG_BYTES] = {0};

        t->ops->look_register(t->ctx, c->thread, n, value);
        buffer_append(c->raw, value, t->info->regs[n].bits / 8);
    }
}

static int collect_action(struct collecting *c, const struct rsp_tracing *t, const struct trace_action *a, struct error *err)
{
    const struct agent_env env = collecting_env(c);
    uint64_t address = a->offset, value;

    c->action_bytes = 0;
    switch (a->kind) {
    case TRACE_REGISTERS:
        collect_registers(c, t);
        return 0;
    case TRACE_MEMORY:
        if (a->base != TRACE_NO_BASE && env.read_register(env.ctx, a->base, &value))
            address += value;
        collect_memory(c, address, a->len); /* as gdb's stub: what is not there is not collected */
        return 0;
    case TRACE_EXPRESSION:
        return agent_eval(&a->expr, &env, &value, err);
    default:
        return 0;
    }
}

/* All actions of a hit, or of a step after it. */
static int collect(struct collecting *c, const struct rsp_tracing *t, const struct tracepoint *p, bool stepping, struct error *err)
{
    int r = 0;

    c->bytes = HEADER_BYTES;
    for (unsigned i = 0; i < p->nactions && r == 0; i++)
        if (p->actions[i].stepping == stepping)
            r = collect_action(c, t, &p->actions[i], err);
    return r;
}

static int condition_holds(struct collecting *c, const struct tracepoint *p, bool *holds, struct error *err)
{
    const struct agent_env env = collecting_env(c);
    uint64_t value = 1;
    int r = p->conditional ? agent_eval(&p->condition, &env, &value, err) : 0;

    *holds = value != 0;
    return r;
}

/* ---- where hits are found ---- */

static bool is_at(const struct tracepoint *p, uint64_t pc)
{
    return p->enabled && p->address == pc;
}

/* rsp_hits_wanted.note */
static bool note(void *ctx, const struct rsp_moment *at, const struct agent_env *env, void *record)
{
    const struct rsp_tracing *t = ((const struct batch *)ctx)->t;
    struct hit *h = record;
    unsigned n = 0;
    bool any = false;

    for (unsigned i = 0; i < t->npoints && n < TRACE_MAX_AT_ONE; i++) {
        const struct tracepoint *p = &t->points[i];
        struct collecting c = {.env = env, .thread = at->thread};
        struct error err = {0};
        bool holds;
        int r;

        if (!is_at(p, at->pc))
            continue;
        if (p->stateful) {
            h->verdict[n] = UNDECIDED;
        } else {
            r = condition_holds(&c, p, &holds, &err);
            if (r == 0 && holds)
                r = collect(&c, t, p, false, &err);
            h->verdict[n] = r ? FAILED : holds ? HIT : MISSED;
            h->bytes[n] = (uint32_t)c.bytes;
            if (r && !h->text[0])
                memcpy(h->text, err.text, strnlen(err.text, sizeof(h->text) - 1));
        }
        any = any || h->verdict[n] != MISSED;
        n++;
    }
    return any;
}

/* ---- frames ---- */

static void end_by(struct rsp_tracing *t, enum trace_end end, unsigned number, const char *text)
{
    if (t->end != TRACE_RUNS)
        return;
    t->end = end;
    t->end_point = number;
    snprintf(t->end_text, sizeof(t->end_text), "%.*s", (int)sizeof(t->end_text) - 1, text);
    t->nsteppings = 0;
}

static void drop_oldest(struct rsp_tracing *t)
{
    struct trace_frame *f = trace_frame(t, 0);

    t->used -= f->bytes;
    t->points[f->point].bytes -= f->bytes;
    t->first++;
    t->nframes--;
    if (t->first < t->cap / 2)
        return;
    memmove(t->frames, t->frames + t->first, t->nframes * sizeof(t->frames[0]));
    if (t->nvalues)
        memmove(t->values, t->values + t->first * t->nvalues, t->nframes * t->nvalues * sizeof(t->values[0]));
    t->first = 0;
}

static bool make_room(struct rsp_tracing *t, uint64_t bytes)
{
    while (t->circular && t->nframes && (bytes > t->capacity - t->used || t->nframes == TRACE_MAX_FRAMES))
        drop_oldest(t);
    if (bytes > t->capacity - t->used || t->nframes == TRACE_MAX_FRAMES)
        return false;
    if (t->first + t->nframes == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->frames = xrealloc(t->frames, t->cap * sizeof(t->frames[0]));
        if (t->nvalues)
            t->values = xrealloc(t->values, t->cap * t->nvalues * sizeof(t->values[0]));
    }
    return true;
}

static void add_frame(struct rsp_tracing *t, unsigned point, const struct rsp_moment *at, bool step, uint64_t bytes)
{
    size_t n;

    if (!make_room(t, bytes)) {
        end_by(t, TRACE_FULL, 0, "");
        return;
    }
    n = t->first + t->nframes++;
    t->frames[n] = (struct trace_frame){.position = at->position, .pc = at->pc, .bytes = (uint32_t)bytes, .point = (uint16_t)point,
                                        .thread = (uint16_t)at->thread, .step = step};
    for (unsigned i = 0; i < t->nvalues; i++)
        t->values[n * t->nvalues + i] = t->variables[i].value;
    t->created++;
    t->used += bytes;
    t->points[point].bytes += bytes;
}

static void check_passed(struct rsp_tracing *t, const struct tracepoint *p)
{
    if (p->pass && p->hits >= p->pass)
        end_by(t, TRACE_PASSED, p->number, "");
}

/* ---- looking again ---- */

static int look(struct rsp_tracing *t, icount_t position, struct error *err)
{
    int r = t->ops->look_at(t->ctx, position, t->looking, err);

    t->looking = r == 0;
    return r;
}

/* Collect for a frame by looking at it; the looker stands there. */
static int collect_here(struct rsp_tracing *t, const struct rsp_moment *at, const struct tracepoint *p, bool step, uint64_t *bytes,
                        struct error *err)
{
    struct agent_env env;
    struct collecting c = {.t = t, .env = &env, .thread = at->thread};
    int r;

    t->ops->look_env(t->ctx, at->thread, &env);
    r = collect(&c, t, p, step, err);
    *bytes = c.bytes;
    return r;
}

/* One step has been made by `at->thread`: frames of those that step it. */
static void count_step(struct rsp_tracing *t, const struct rsp_moment *at)
{
    for (unsigned i = 0; i < t->nsteppings && t->end == TRACE_RUNS;) {
        struct trace_stepping *s = &t->steppings[i];
        const struct tracepoint *p = &t->points[s->point];
        struct error err = {0};
        uint64_t bytes;
        int r;

        if (s->thread != at->thread) {
            i++;
            continue;
        }
        r = collect_here(t, at, p, true, &bytes, &err);
        add_frame(t, s->point, at, true, bytes);
        if (r)
            end_by(t, TRACE_FAILED, p->number, err.text);
        if (--s->left) {
            i++;
            continue;
        }
        check_passed(t, p);
        if (t->nsteppings)
            memmove(s, s + 1, (--t->nsteppings - i) * sizeof(*s));
    }
}

/* What is stepped goes on up to a position. */
static int step_on(struct rsp_tracing *t, icount_t until, struct error *err)
{
    int r = 0;

    if (t->nsteppings && t->stepped < until)
        r = look(t, t->stepped, err);
    while (r == 0 && t->end == TRACE_RUNS && t->nsteppings && t->stepped < until) {
        struct rsp_moment at = {.position = t->stepped};
        struct agent_env env;

        r = t->ops->look_step(t->ctx, &at.position, &at.thread, err);
        if (r < 0)
            break;
        t->stepped = at.position;
        t->ops->look_env(t->ctx, at.thread, &env);
        if (!env.read_register(env.ctx, t->info->pc_reg, &at.pc))
            at.pc = 0;
        count_step(t, &at);
    }
    return r;
}

static void begin_stepping(struct rsp_tracing *t, unsigned point, const struct rsp_moment *at)
{
    if (t->end != TRACE_RUNS || !t->points[point].steps)
        return;
    /* As in gdb's stub, each hit steps for itself. */
    t->steppings = xrealloc(t->steppings, (t->nsteppings + 1) * sizeof(t->steppings[0]));
    t->steppings[t->nsteppings++] = (struct trace_stepping){point, at->thread, t->points[point].steps};
    t->stepped = at->position;
}

/* ---- hits, in order ---- */

#define BATCH_MOST 16384u

/* rsp_hits_wanted.answer */
static bool keep(void *ctx, const struct rsp_moment *at, const void *record)
{
    struct batch *b = ctx;

    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->moments = xrealloc(b->moments, b->cap * sizeof(b->moments[0]));
        b->hits = xrealloc(b->hits, b->cap * sizeof(b->hits[0]));
    }
    b->moments[b->count] = *at;
    memcpy(&b->hits[b->count++], record, sizeof(b->hits[0]));
    return b->count < BATCH_MOST;
}

static int decide(struct rsp_tracing *t, const struct rsp_moment *at, const struct tracepoint *p, uint8_t *verdict, uint64_t *bytes,
                  struct error *err)
{
    struct agent_env env;
    struct collecting c = {.t = t, .env = &env, .thread = at->thread};
    bool holds = false;
    int r = look(t, at->position, err);

    if (r < 0)
        return r;
    t->ops->look_env(t->ctx, at->thread, &env);
    r = condition_holds(&c, p, &holds, err);
    if (r == 0 && holds)
        r = collect(&c, t, p, false, err);
    *verdict = r ? FAILED : holds ? HIT : MISSED;
    *bytes = c.bytes;
    return 0;
}

static int take_hit(struct rsp_tracing *t, const struct rsp_moment *at, const struct hit *h, struct error *err)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->npoints && n < TRACE_MAX_AT_ONE && t->end == TRACE_RUNS; i++) {
        struct tracepoint *p = &t->points[i];
        struct error failure = {0};
        uint64_t bytes;
        uint8_t verdict;
        int r = 0;

        if (!is_at(p, at->pc))
            continue;
        bytes = h->bytes[n];
        verdict = h->verdict[n++];
        if (verdict == FAILED)
            error_set(&failure, -EFAULT, "%s", h->text);
        if (verdict == UNDECIDED)
            r = decide(t, at, p, &verdict, &bytes, &failure);
        if (r < 0) {
            *err = failure;
            return r;
        }
        if (verdict == MISSED)
            continue;
        if (verdict == FAILED) {
            end_by(t, TRACE_FAILED, p->number, failure.text);
            break;
        }
        p->hits++;
        add_frame(t, i, at, false, bytes);
        if (p->steps)
            begin_stepping(t, i, at);
        else
            check_passed(t, p);
    }
    return 0;
}

static int take_batch(struct rsp_tracing *t, const struct batch *b, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < b->count && t->end == TRACE_RUNS && r == 0; i++) {
        r = step_on(t, b->moments[i].position, err);
        if (r == 0 && t->end == TRACE_RUNS) {
            r = take_hit(t, &b->moments[i], &b->hits[i], err);
            t->known = b->moments[i].position + (r == 0);
        }
    }
    return r;
}

static unsigned addresses(const struct rsp_tracing *t, uint64_t *pcs)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->npoints; i++) {
        bool there = !t->points[i].enabled;

        for (unsigned j = 0; j < n; j++)
            there = there || pcs[j] == t->points[i].address;
        if (!there)
            pcs[n++] = t->points[i].address;
    }
    return n;
}

/* Hits from where they are known on. */
static int find_some(struct rsp_tracing *t, icount_t until, struct error *err)
{
    uint64_t *pcs = xcalloc(t->npoints + 1, sizeof(*pcs));
    struct batch b = {.t = t};
    struct rsp_hits_wanted wanted = {.from = t->known, .to = until, .pcs = pcs, .record_bytes = sizeof(struct hit),
                                     .ctx = &b, .note = note, .answer = keep};
    icount_t reached = until;
    int r = 0;

    wanted.npcs = addresses(t, pcs);
    t->looking = false;
    if (wanted.npcs)
        r = t->ops->find_hits(t->ctx, &wanted, &reached, err);
    if (r == 0)
        r = take_batch(t, &b, err);
    if (r == 0 && t->end == TRACE_RUNS) {
        if (reached <= t->known && b.count == 0 && reached < until)
            r = error_set(err, -EINTR, "interrupted");
        t->known = reached > t->known ? reached : t->known;
    }
    free(b.moments);
    free(b.hits);
    free(pcs);
    return r;
}

void trace_note_position(struct rsp_tracing *t)
{
    icount_t first, now, last;

    if (t->end != TRACE_RUNS || t->selected || t->gone)
        return;
    t->ops->positions(t->ctx, &first, &now, &last);
    if (now > t->furthest)
        t->furthest = now;
}

/* To where hits are to be looked for; *cut: the history there is another one. */
static icount_t frontier(const struct rsp_tracing *t, bool *cut)
{
    icount_t until = t->furthest, shared, first, now, last;

    t->ops->positions(t->ctx, &first, &now, &last);
    if (t->stretch)
        until = t->stretch_to;
    if (until > last)
        until = last;
    *cut = t->ops->history(t->ctx, t->history, &shared) != t->history;
    return *cut && until > shared ? shared : until;
}

int trace_catch_up(struct rsp_tracing *t, struct error *err)
{
    bool cut;
    icount_t until;
    int r = 0;

    if (t->end != TRACE_RUNS)
        return 0;
    trace_note_position(t);
    until = frontier(t, &cut);
    while (r == 0 && t->end == TRACE_RUNS && t->known < until)
        r = find_some(t, until, err);
    if (r == 0)
        r = step_on(t, until, err);
    if (r == -EINTR)
        return r;
    if (r < 0)
        end_by(t, TRACE_FAILED, 0, err->text);
    else if (t->gone)
        end_by(t, TRACE_DISCONNECTED, 0, "");
    else if (cut)
        end_by(t, TRACE_FAILED, 0, "history goes on by another branch");
    return 0;
}

int trace_start(struct rsp_tracing *t, struct error *err)
{
    icount_t first, now, last, shared;

    for (unsigned i = 0; i < t->npoints; i++) {
        unsigned same = 0;

        for (unsigned j = 0; j < t->npoints; j++)
            same += t->points[j].address == t->points[i].address;
        if (same > TRACE_MAX_AT_ONE)
            return error_set(err, -ENOSPC, "more than %u tracepoints at one address", TRACE_MAX_AT_ONE);
    }
    trace_forget_frames(t);
    t->nvalues = t->nvariables;
    t->ops->positions(t->ctx, &first, &now, &last);
    t->end = TRACE_RUNS;
    t->end_point = 0;
    t->history = t->ops->history(t->ctx, 0, &shared);
    t->from = t->stretch ? t->stretch_from : now;
    t->known = t->stepped = t->from;
    t->furthest = now;
    return 0;
}

int trace_stop(struct rsp_tracing *t, enum trace_end end, struct error *err)
{
    int r = trace_catch_up(t, err);

    /* What was not looked at is not told. */
    if (r < 0)
        return r;
    end_by(t, end, 0, "");
    return 0;
}

/* ---- as a trace buffer ---- */

int trace_make_raw(struct rsp_tracing *t, struct error *err)
{
    int r = 0;

    if (t->raw_made)
        return 0;
    buffer_clear(&t->raw);
    t->looking = false;
    for (size_t i = 0; i < t->nframes && r == 0; i++) {
        const struct trace_frame *f = trace_frame(t, i);
        const struct tracepoint *p = &t->points[f->point];
        struct agent_env env;
        struct collecting c = {.t = t, .env = &env, .raw = &t->raw, .thread = f->thread,
                               .values = t->nvalues ? &t->values[(t->first + i) * t->nvalues] : NULL};
        struct error ignored;
        size_t header = t->raw.len;

        buffer_append_le(&t->raw, p->number, 2);
        buffer_append_le(&t->raw, 0, 4);
        r = look(t, f->position, err);
        if (r < 0)
            break;
        t->ops->look_env(t->ctx, f->thread, &env);
        collect(&c, t, p, f->step, &ignored);
        put_le(t->raw.data + header + 2, t->raw.len - header - HEADER_BYTES, 4);
    }
    t->raw_made = r == 0;
    return r;
}
