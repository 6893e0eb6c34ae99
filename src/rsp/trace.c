/*
 * Tracepoint packets: gdb manual, "Tracepoint Packets", "Trace File Format"; doc/tracepoints.md has them point by point.
 *
 * Fast and static tracepoints are taken for ordinary ones. Not offered: QTSave (a client writes no files here; gdb's own
 * `tsave` reads by qTBuffer), qXfer:traceframe-info and qXfer:statictrace (a selected frame is the guest standing there:
 * gdb then takes all memory as available).
 *
 * What is asked for may have to be looked for in history, which takes time; meanwhile the client is told to wait.
 */
#include "rsp/trace_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rsp_tracing *rsp_tracing_create(const struct rsp_target_info *info, const struct rsp_target_ops *ops, void *ctx)
{
    struct rsp_tracing *t = xcalloc(1, sizeof(*t));

    *t = (struct rsp_tracing){.info = info, .ops = ops, .ctx = ctx, .capacity = TRACE_BUFFER};
    buffer_init(&t->upload);
    buffer_init(&t->raw);
    return t;
}

static void point_finish(struct tracepoint *p)
{
    if (p->conditional)
        agent_finish(&p->condition);
    for (unsigned i = 0; i < p->nactions; i++) {
        agent_finish(&p->actions[i].expr);
        free(p->actions[i].text);
    }
    free(p->condition_text);
    free(p->actions);
    buffer_finish(&p->sources);
}

static void forget_all(struct rsp_tracing *t)
{
    trace_forget_frames(t);
    for (unsigned i = 0; i < t->npoints; i++)
        point_finish(&t->points[i]);
    for (unsigned i = 0; i < t->nvariables; i++)
        free(t->variables[i].name);
    free(t->points);
    free(t->variables);
    t->points = NULL;
    t->variables = NULL;
    t->npoints = t->nvariables = t->nvalues = 0;
    t->end = TRACE_NOT_RUN;
    t->end_point = 0;
}

void rsp_tracing_destroy(struct rsp_tracing *t)
{
    if (!t)
        return;
    forget_all(t);
    buffer_finish(&t->upload);
    buffer_finish(&t->raw);
    free(t->user);
    free(t->notes);
    free(t->stop_notes);
    free(t);
}

void rsp_set_tracing(struct rsp_session *s, struct rsp_tracing *t)
{
    s->tracing = t;
}

bool rsp_traces(const struct rsp_session *s)
{
    return s->tracing != NULL;
}

bool rsp_frame_selected(const struct rsp_session *s)
{
    return s->tracing && s->tracing->selected;
}

unsigned rsp_frame_thread(const struct rsp_session *s)
{
    return trace_frame(s->tracing, s->tracing->frame)->thread;
}

enum rsp_verdict rsp_refuse_in_frame(struct rsp_session *s)
{
    return rsp_reply_error(s, EBUSY, "a trace frame is selected: tfind none ends that");
}

void rsp_tracing_note_stop(struct rsp_session *s)
{
    if (s->tracing)
        trace_note_position(s->tracing);
}

void rsp_tracing_set_stretch(struct rsp_tracing *t, bool on, icount_t from, icount_t to)
{
    t->stretch = on;
    t->stretch_from = from;
    t->stretch_to = to;
    if (t->end == TRACE_RUNS)
        trace_start(t, &(struct error){.code = 0});
}

bool rsp_tracing_stretch(const struct rsp_tracing *t, icount_t *from, icount_t *to)
{
    *from = t->stretch_from;
    *to = t->stretch_to;
    return t->stretch;
}

/* ---- frames ---- */

/* Stand where the guest stood before frames were looked at; or, if that is not there any more, at the end of history. */
static int leave_frame(struct rsp_tracing *t, struct error *err)
{
    icount_t first, now, last, to = t->came_from;

    if (!t->selected)
        return 0;
    t->selected = false;
    t->ops->positions(t->ctx, &first, &now, &last);
    return t->ops->stand_at(t->ctx, to < last ? to : last, true, err);
}

void rsp_leave_frame(struct rsp_session *s)
{
    struct error ignored;

    if (!rsp_frame_selected(s))
        return;
    leave_frame(s->tracing, &ignored);
    rsp_select_thread(s, s->thread);
}

void rsp_tracing_client_gone(struct rsp_tracing *t)
{
    struct error ignored;

    leave_frame(t, &ignored);
    trace_note_position(t);
    /* What it ran through by now is looked for when somebody asks. */
    if (t->end == TRACE_RUNS && !t->disconnected)
        t->gone = true;
}

static int select_frame(struct rsp_session *s, size_t n, struct error *err)
{
    struct rsp_tracing *t = s->tracing;
    icount_t first, now, last;
    int r;

    t->ops->positions(t->ctx, &first, &now, &last);
    if (!t->selected)
        t->came_from = now;
    r = t->ops->stand_at(t->ctx, trace_frame(t, n)->position, false, err);
    t->selected = true;
    if (r < 0) {
        leave_frame(t, &(struct error){.code = 0});
        return r;
    }
    t->frame = n;
    rsp_select_thread(s, s->thread);
    return 0;
}

struct wanted {
    enum { ANY, INSIDE, OUTSIDE, OF_POINT } kind;
    uint64_t low, high;
};

static bool matches(const struct rsp_tracing *t, const struct trace_frame *f, const struct wanted *w)
{
    switch (w->kind) {
    case INSIDE:
        return f->pc >= w->low && f->pc <= w->high;
    case OUTSIDE:
        return f->pc < w->low || f->pc > w->high;
    case OF_POINT:
        return t->points[f->point].number == w->low;
    default:
        return true;
    }
}

/* pc:ADDR, tdp:NUMBER, range:LOW:HIGH, outside:LOW:HIGH, or a number. */
static bool take_wanted(struct rsp_request *r, struct wanted *w)
{
    if (rsp_take(r, "pc:")) {
        w->kind = INSIDE;
        if (!rsp_take_hex(r, &w->low))
            return false;
        w->high = w->low;
    } else if (rsp_take(r, "tdp:")) {
        w->kind = OF_POINT;
        if (!rsp_take_hex(r, &w->low))
            return false;
    } else if (rsp_take(r, "range:") || rsp_take(r, "outside:")) {
        w->kind = r->p[-2] == 'e' && r->p[-3] == 'g' ? INSIDE : OUTSIDE;
        if (!rsp_take_hex(r, &w->low) || !rsp_take(r, ":") || !rsp_take_hex(r, &w->high))
            return false;
    } else {
        w->kind = ANY;
        if (!rsp_take_hex(r, &w->low))
            return false;
    }
    return rsp_at_end(r);
}

/* What is asked of the experiment has to be looked for first. False: *verdict says why not. */
static bool caught_up(struct rsp_session *s, enum rsp_verdict *verdict)
{
    struct error err = {0};
    int r = trace_catch_up(s->tracing, &err);

    if (r < 0)
        *verdict = rsp_reply_failed(s, &err);
    return r == 0;
}

static enum rsp_verdict on_frame(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    struct error err = {0};
    struct wanted w;
    enum rsp_verdict verdict = RSP_ANSWER;
    size_t n;

    if (!take_wanted(r, &w))
        return rsp_reply_malformed(s);
    if (w.kind == ANY && w.low == UINT32_MAX) {
        rsp_leave_frame(s);
        return rsp_reply_text(s, "F-1");
    }
    if (!caught_up(s, &verdict))
        return verdict;
    n = w.kind == ANY ? w.low < SIZE_MAX ? (size_t)w.low : SIZE_MAX : t->selected ? t->frame + 1 : 0;
    while (n < t->nframes && !matches(t, trace_frame(t, n), &w))
        n++;
    if (n >= t->nframes)
        return rsp_reply_text(s, "F-1");
    if (select_frame(s, n, &err) < 0)
        return rsp_reply_failed(s, &err);
    buffer_printf(&s->reply, "F%zxT%x", n, t->points[trace_frame(t, n)->point].number);
    return RSP_ANSWER;
}

/* ---- definitions ---- */

static char *copy_text(const char *from, const char *to)
{
    char *text = xmalloc((size_t)(to - from) + 1);

    memcpy(text, from, (size_t)(to - from));
    text[to - from] = 0;
    return text;
}

static struct tracepoint *find_point(const struct rsp_tracing *t, uint64_t number, uint64_t address)
{
    for (unsigned i = 0; i < t->npoints; i++)
        if (t->points[i].number == number && t->points[i].address == address)
            return &t->points[i];
    return NULL;
}

/* "len,hex" of bytecode. */
static int take_code(struct rsp_session *s, struct rsp_request *r, struct agent_expr *e, struct error *err)
{
    uint64_t len;
    uint8_t *code;
    int result;

    if (!rsp_take_hex(r, &len) || !rsp_take(r, ",") || len > (uint64_t)(r->end - r->p) / 2)
        return error_set(err, -EINVAL, "malformed bytecode");
    code = xmalloc((size_t)len);
    if (rsp_take_hex_exactly(r, code, (size_t)len))
        result = agent_init(e, code, (size_t)len, s->info->nregs, err);
    else
        result = error_set(err, -EINVAL, "malformed bytecode");
    free(code);
    return result;
}

/* NUMBER:ADDRESS */
static bool take_name(struct rsp_session *s, struct rsp_request *r, uint64_t *number, uint64_t *address)
{
    return rsp_take_hex(r, number) && *number && *number <= UINT16_MAX && rsp_take(r, ":") && rsp_take_hex(r, address) &&
           *address <= rsp_address_mask(s);
}

/* What follows the address of a new tracepoint: ":E|D:step:pass[:Flen][:S][:Xlen,code]" */
static int take_new(struct rsp_session *s, struct rsp_request *r, struct tracepoint *p, struct error *err)
{
    if (!rsp_take(r, ":"))
        return error_set(err, -EINVAL, "malformed tracepoint");
    p->enabled = rsp_take(r, "E");
    if ((!p->enabled && !rsp_take(r, "D")) || !rsp_take(r, ":") || !rsp_take_hex(r, &p->steps) || !rsp_take(r, ":") ||
        !rsp_take_hex(r, &p->pass))
        return error_set(err, -EINVAL, "malformed tracepoint");
    while (rsp_take(r, ":")) {
        const char *from;
        int result;

        if (rsp_take(r, "F")) {
            p->kind = 'F';
            if (!rsp_take_hex(r, &p->original))
                return error_set(err, -EINVAL, "malformed tracepoint");
        } else if (rsp_take(r, "S")) {
            p->kind = 'S';
        } else if (!p->conditional && rsp_take(r, "X")) {
            from = r->p;
            result = take_code(s, r, &p->condition, err);
            if (result < 0)
                return result;
            p->conditional = true;
            p->stateful = agent_uses_variables(&p->condition);
            p->condition_text = copy_text(from, r->p);
        } else {
            return error_set(err, -EINVAL, "malformed tracepoint");
        }
    }
    rsp_take(r, "-");
    return rsp_at_end(r) ? 0 : error_set(err, -EINVAL, "malformed tracepoint");
}

static enum rsp_verdict new_point(struct rsp_session *s, struct rsp_request *r, uint64_t number, uint64_t address)
{
    struct rsp_tracing *t = s->tracing;
    struct tracepoint p = {.number = (unsigned)number, .address = address, .kind = 'T'};
    struct error err = {0};
    int result = 0;

    buffer_init(&p.sources);
    if (find_point(t, number, address))
        result = error_set(&err, -EEXIST, "tracepoint %u is at this address already", p.number);
    else if (t->npoints == TRACE_MAX_POINTS)
        result = error_set(&err, -ENOSPC, "more than %u tracepoints", TRACE_MAX_POINTS);
    if (result == 0)
        result = take_new(s, r, &p, &err);
    if (result < 0) {
        point_finish(&p);
        return rsp_reply_failed(s, &err);
    }
    t->points = xrealloc(t->points, (t->npoints + 1) * sizeof(p));
    t->points[t->npoints++] = p;
    return rsp_reply_ok(s);
}

/* Rmask, Mbase,offset,len, Xlen,code, L. */
static int take_action(struct rsp_session *s, struct rsp_request *r, struct trace_action *a, struct error *err)
{
    const char *from = r->p;
    uint64_t base;
    int result = 0;

    if (rsp_take(r, "R")) {
        a->kind = TRACE_REGISTERS;
        while (r->p < r->end && rsp_hex_digit(*r->p) >= 0)
            r->p++;
    } else if (rsp_take(r, "M")) {
        a->kind = TRACE_MEMORY;
        if (rsp_take(r, "-1"))
            base = TRACE_NO_BASE;
        else if (!rsp_take_hex(r, &base))
            return error_set(err, -EINVAL, "malformed action");
        if (base != TRACE_NO_BASE && base >= s->info->nregs)
            return error_set(err, -EINVAL, "no register %llu", (unsigned long long)base);
        a->base = (uint32_t)base;
        if (!rsp_take(r, ",") || !rsp_take_hex(r, &a->offset) || !rsp_take(r, ",") || !rsp_take_hex(r, &a->len))
            return error_set(err, -EINVAL, "malformed action");
        if (a->len > TRACE_MAX_COLLECT)
            return error_set(err, -EINVAL, "an action that collects more than %llu bytes", (unsigned long long)TRACE_MAX_COLLECT);
    } else if (rsp_take(r, "X")) {
        a->kind = TRACE_EXPRESSION;
        result = take_code(s, r, &a->expr, err);
    } else if (rsp_take(r, "L")) {
        a->kind = TRACE_NOTHING;
    } else {
        return error_set(err, -EINVAL, "unknown action");
    }
    if (result == 0)
        a->text = copy_text(from, r->p);
    return result;
}

static enum rsp_verdict add_actions(struct rsp_session *s, struct rsp_request *r, struct tracepoint *p)
{
    struct error err = {0};

    while (!rsp_at_end(r) && !(r->end - r->p == 1 && *r->p == '-')) {
        struct trace_action a = {.base = TRACE_NO_BASE};

        if (rsp_take(r, "S")) {
            p->stepping_actions = true;
            continue;
        }
        if (p->nactions == TRACE_MAX_ACTIONS)
            return rsp_reply_error(s, ENOSPC, "more than %u actions", TRACE_MAX_ACTIONS);
        a.stepping = p->stepping_actions;
        if (take_action(s, r, &a, &err) < 0)
            return rsp_reply_failed(s, &err);
        if (a.kind == TRACE_EXPRESSION && agent_uses_variables(&a.expr))
            p->stateful = true;
        p->actions = xrealloc(p->actions, (p->nactions + 1) * sizeof(a));
        p->actions[p->nactions++] = a;
    }
    return rsp_reply_ok(s);
}

/* QTDP:n:addr:... makes a tracepoint, QTDP:-n:addr:... says what it does. */
static enum rsp_verdict on_define(struct rsp_session *s, struct rsp_request *r)
{
    bool more = rsp_take(r, "-");
    uint64_t number, address;
    enum rsp_verdict verdict = RSP_ANSWER;
    struct tracepoint *p;

    if (!take_name(s, r, &number, &address))
        return rsp_reply_error(s, EINVAL, "malformed tracepoint, or an address that does not exist");
    /* While an experiment goes on, they count from here on. */
    if (!caught_up(s, &verdict))
        return verdict;
    if (!more)
        return new_point(s, r, number, address);
    p = find_point(s->tracing, number, address);
    if (!p || !rsp_take(r, ":"))
        return rsp_reply_error(s, ENOENT, "no such tracepoint");
    return add_actions(s, r, p);
}

/* QTDPsrc:n:addr:type:start:len:hex, kept for whoever connects next. */
static enum rsp_verdict on_source(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t number, address, start, len;
    const char *from;
    struct tracepoint *p;

    if (!take_name(s, r, &number, &address) || !rsp_take(r, ":"))
        return rsp_reply_malformed(s);
    from = r->p;
    if (!rsp_take(r, "at:") && !rsp_take(r, "cond:") && !rsp_take(r, "cmd:"))
        return rsp_reply_malformed(s);
    if (!rsp_take_hex(r, &start) || !rsp_take(r, ":") || !rsp_take_hex(r, &len) || !rsp_take(r, ":"))
        return rsp_reply_malformed(s);
    for (const char *q = r->p; q < r->end; q++)
        if (rsp_hex_digit(*q) < 0)
            return rsp_reply_malformed(s);
    p = find_point(s->tracing, number, address);
    if (!p)
        return rsp_reply_error(s, ENOENT, "no such tracepoint");
    if ((size_t)(r->end - from) > TRACE_MAX_SOURCE - p->sources.len)
        return rsp_reply_error(s, ENOSPC, "more than %zu bytes of source", TRACE_MAX_SOURCE);
    buffer_append(&p->sources, from, (size_t)(r->end - from));
    buffer_append_byte(&p->sources, 0);
    return rsp_reply_ok(s);
}

static bool is_hex(const struct rsp_request *r)
{
    for (const char *q = r->p; q < r->end; q++)
        if (rsp_hex_digit(*q) < 0)
            return false;
    return true;
}

/* QTDV:n:value:builtin:name */
static enum rsp_verdict on_variable(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    uint64_t number, value, builtin;
    struct trace_variable *v;
    enum rsp_verdict verdict = RSP_ANSWER;

    if (!rsp_take_hex(r, &number) || !number || number > UINT16_MAX || !rsp_take(r, ":") || !rsp_take_hex(r, &value) ||
        !rsp_take(r, ":") || !rsp_take_hex(r, &builtin) || !rsp_take(r, ":") || !is_hex(r) || r->end - r->p > 512)
        return rsp_reply_malformed(s);
    if (!caught_up(s, &verdict))
        return verdict;
    v = trace_find_variable(t, (unsigned)number);
    if (!v) {
        if (t->nvariables == TRACE_MAX_VARIABLES)
            return rsp_reply_error(s, ENOSPC, "more than %u trace state variables", TRACE_MAX_VARIABLES);
        t->variables = xrealloc(t->variables, (t->nvariables + 1) * sizeof(*v));
        v = &t->variables[t->nvariables++];
        *v = (struct trace_variable){.number = (unsigned)number};
    }
    free(v->name);
    v->name = copy_text(r->p, r->end);
    v->value = v->initial = value;
    v->builtin = builtin != 0;
    return rsp_reply_ok(s);
}

static enum rsp_verdict set_enabled(struct rsp_session *s, struct rsp_request *r, bool enabled)
{
    uint64_t number, address;
    enum rsp_verdict verdict = RSP_ANSWER;
    struct tracepoint *p;

    if (!take_name(s, r, &number, &address) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (!caught_up(s, &verdict))
        return verdict;
    p = find_point(s->tracing, number, address);
    if (!p)
        return rsp_reply_error(s, ENOENT, "no such tracepoint");
    p->enabled = enabled;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_enable(struct rsp_session *s, struct rsp_request *r)
{
    return set_enabled(s, r, true);
}

static enum rsp_verdict on_disable(struct rsp_session *s, struct rsp_request *r)
{
    return set_enabled(s, r, false);
}

/* ---- the experiment ---- */

static enum rsp_verdict on_init(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    rsp_leave_frame(s);
    forget_all(s->tracing);
    s->tracing->defining = true;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_start(struct rsp_session *s, struct rsp_request *r)
{
    struct error err = {0};

    (void)r;
    rsp_leave_frame(s);
    s->tracing->gone = s->tracing->defining = false;
    if (trace_start(s->tracing, &err) < 0)
        return rsp_reply_failed(s, &err);
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_stop(struct rsp_session *s, struct rsp_request *r)
{
    struct error err = {0};

    (void)r;
    rsp_leave_frame(s);
    if (trace_stop(s->tracing, TRACE_STOPPED, &err) < 0)
        return rsp_reply_failed(s, &err);
    return rsp_reply_ok(s);
}

static void put_reason(struct rsp_tracing *t, struct buffer *out)
{
    const char *note = t->stop_notes ? t->stop_notes : "";

    switch (t->end) {
    case TRACE_STOPPED:
        buffer_printf(out, ";tstop:%s:0", note);
        break;
    case TRACE_FULL:
        buffer_printf(out, ";tfull:0");
        break;
    case TRACE_DISCONNECTED:
        buffer_printf(out, ";tdisconnected:0");
        break;
    case TRACE_PASSED:
        buffer_printf(out, ";tpasscount:%x", t->end_point);
        break;
    case TRACE_FAILED:
        buffer_printf(out, ";terror:");
        rsp_put_hex(out, t->end_text, strlen(t->end_text));
        buffer_printf(out, ":%x", t->end_point);
        break;
    default:
        buffer_printf(out, ";tnotrun:0");
        break;
    }
}

static enum rsp_verdict on_status(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    enum rsp_verdict verdict = RSP_ANSWER;

    (void)r;
    if (!caught_up(s, &verdict))
        return verdict;
    buffer_printf(&s->reply, "T%d", t->end == TRACE_RUNS);
    put_reason(t, &s->reply);
    buffer_printf(&s->reply, ";tframes:%zx;tcreated:%" PRIx64 ";tfree:%" PRIx64 ";tsize:%" PRIx64 ";circular:%d;disconn:%d",
                  t->nframes, t->created, t->capacity - t->used, t->capacity, t->circular, t->disconnected);
    if (t->user)
        buffer_printf(&s->reply, ";username:%s", t->user);
    if (t->notes)
        buffer_printf(&s->reply, ";notes:%s", t->notes);
    return RSP_ANSWER;
}

static enum rsp_verdict on_point_status(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t number, address;
    enum rsp_verdict verdict = RSP_ANSWER;
    const struct tracepoint *p;

    if (!take_name(s, r, &number, &address) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (!caught_up(s, &verdict))
        return verdict;
    p = find_point(s->tracing, number, address);
    if (!p)
        return rsp_reply_error(s, ENOENT, "no such tracepoint");
    buffer_printf(&s->reply, "V%" PRIx64 ":%" PRIx64, p->hits, p->bytes);
    return RSP_ANSWER;
}

/* In a frame, what it was there; else what it is now. */
static enum rsp_verdict on_value(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    enum rsp_verdict verdict = RSP_ANSWER;
    const struct trace_variable *v;
    uint64_t number, value;
    size_t index;

    if (!rsp_take_hex(r, &number) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (!caught_up(s, &verdict))
        return verdict;
    v = number <= UINT16_MAX ? trace_find_variable(t, (unsigned)number) : NULL;
    if (!v)
        return rsp_reply_text(s, "U");
    index = (size_t)(v - t->variables);
    value = v->value;
    if (t->selected && index < t->nvalues)
        value = t->values[(t->first + t->frame) * t->nvalues + index];
    buffer_printf(&s->reply, "V%" PRIx64, value);
    return RSP_ANSWER;
}

static bool take_flag(struct rsp_request *r, bool *flag)
{
    uint64_t value;

    if (!rsp_take_hex(r, &value) || value > 1 || !rsp_at_end(r))
        return false;
    *flag = value != 0;
    return true;
}

static enum rsp_verdict on_disconnected(struct rsp_session *s, struct rsp_request *r)
{
    return take_flag(r, &s->tracing->disconnected) ? rsp_reply_ok(s) : rsp_reply_malformed(s);
}

static enum rsp_verdict on_circular(struct rsp_session *s, struct rsp_request *r)
{
    enum rsp_verdict verdict = RSP_ANSWER;

    if (!caught_up(s, &verdict))
        return verdict;
    return take_flag(r, &s->tracing->circular) ? rsp_reply_ok(s) : rsp_reply_malformed(s);
}

static enum rsp_verdict on_size(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    enum rsp_verdict verdict = RSP_ANSWER;
    uint64_t size = TRACE_BUFFER_MOST;

    if ((!rsp_take(r, "-1") && !rsp_take_hex(r, &size)) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (!caught_up(s, &verdict))
        return verdict;
    if (!size || size > TRACE_BUFFER_MOST)
        size = TRACE_BUFFER_MOST;
    if (size < t->used)
        return rsp_reply_error(s, EBUSY, "the frames there are take %" PRIu64 " bytes", t->used);
    t->capacity = size;
    return rsp_reply_ok(s);
}

/* [user:hex][;notes:hex][;tstop:hex] */
static enum rsp_verdict on_notes(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;

    while (!rsp_at_end(r)) {
        char **text = rsp_take(r, "user:") ? &t->user : rsp_take(r, "notes:") ? &t->notes : rsp_take(r, "tstop:") ? &t->stop_notes : NULL;
        const char *from = r->p;

        if (!text)
            return rsp_reply_malformed(s);
        while (r->p < r->end && rsp_hex_digit(*r->p) >= 0)
            r->p++;
        if (r->p - from > 8192)
            return rsp_reply_error(s, ENOSPC, "a note of more than 4096 bytes");
        free(*text);
        *text = copy_text(from, r->p);
        if (!rsp_take(r, ";") && !rsp_at_end(r))
            return rsp_reply_malformed(s);
    }
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_read_only(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_ok(s); /* the guest itself has all memory */
}

static enum rsp_verdict on_save(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_error(s, ENOTSUP, "hindcast writes no file for a debugger here: tsave without -r reads the frames and writes "
                                       "them at the debugger");
}

static enum rsp_verdict on_fast_length(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "1"); /* nothing is patched: any instruction will do */
}

/* ---- uploading ---- */

static void put_point(struct buffer *out, const struct tracepoint *p)
{
    buffer_printf(out, "T%x:%" PRIx64 ":%c:%" PRIx64 ":%" PRIx64, p->number, p->address, p->enabled ? 'E' : 'D', p->steps, p->pass);
    if (p->kind == 'F')
        buffer_printf(out, ":F%" PRIx64, p->original);
    if (p->kind == 'S')
        buffer_printf(out, ":S");
    if (p->conditional)
        buffer_printf(out, ":X%s", p->condition_text);
    buffer_append_byte(out, 0);
    for (unsigned i = 0; i < p->nactions; i++) {
        buffer_printf(out, "%c%x:%" PRIx64 ":%s", p->actions[i].stepping ? 'S' : 'A', p->number, p->address, p->actions[i].text);
        buffer_append_byte(out, 0);
    }
    for (size_t at = 0; at < p->sources.len; at += strlen((const char *)p->sources.data + at) + 1) {
        buffer_printf(out, "Z%x:%" PRIx64 ":%s", p->number, p->address, (const char *)p->sources.data + at);
        buffer_append_byte(out, 0);
    }
}

static enum rsp_verdict on_more(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    const char *text;

    (void)r;
    if (t->uploaded >= t->upload.len)
        return rsp_reply_text(s, "l");
    text = (const char *)t->upload.data + t->uploaded;
    t->uploaded += strlen(text) + 1;
    return rsp_reply_text(s, text);
}

static enum rsp_verdict on_first_point(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;

    buffer_clear(&t->upload);
    t->uploaded = 0;
    for (unsigned i = 0; i < t->npoints; i++)
        put_point(&t->upload, &t->points[i]);
    return on_more(s, r);
}

static enum rsp_verdict on_first_variable(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;

    buffer_clear(&t->upload);
    t->uploaded = 0;
    for (unsigned i = 0; i < t->nvariables; i++) {
        const struct trace_variable *v = &t->variables[i];

        buffer_printf(&t->upload, "%x:%" PRIx64 ":%d:%s", v->number, v->initial, v->builtin, v->name);
        buffer_append_byte(&t->upload, 0);
    }
    return on_more(s, r);
}

/* A static tracepoint wants a marker where it is: every instruction is one, called by its address. But gdb 13 falls
 * over one that is found by `strace` itself; it is content if there is one when tracepoints are sent, between QTinit and
 * QTStart. */
static enum rsp_verdict on_marker_at(struct rsp_session *s, struct rsp_request *r)
{
    char name[24];
    uint64_t address;

    if (!rsp_take_address(s, r, &address) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (!s->tracing->defining)
        return rsp_reply_text(s, "l");
    buffer_printf(&s->reply, "m%" PRIx64 ":", address);
    snprintf(name, sizeof(name), "0x%" PRIx64, address);
    rsp_put_hex(&s->reply, name, strlen(name));
    buffer_printf(&s->reply, ":");
    return RSP_ANSWER;
}

static enum rsp_verdict on_no_markers(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "l");
}

/* qTBuffer:offset,len */
static enum rsp_verdict on_buffer(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_tracing *t = s->tracing;
    struct error err = {0};
    enum rsp_verdict verdict = RSP_ANSWER;
    uint64_t offset, len;

    if (!rsp_take_hex(r, &offset) || !rsp_take(r, ",") || !rsp_take_hex(r, &len) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (t->end == TRACE_RUNS && !caught_up(s, &verdict))
        return verdict;
    if (trace_make_raw(t, &err) < 0)
        return rsp_reply_failed(s, &err);
    if (offset >= t->raw.len)
        return rsp_reply_text(s, "l");
    if (len > t->raw.len - offset)
        len = t->raw.len - offset;
    if (len > RSP_PACKET_SIZE / 2 - 16)
        len = RSP_PACKET_SIZE / 2 - 16;
    rsp_put_hex(&s->reply, t->raw.data + offset, (size_t)len);
    return RSP_ANSWER;
}

void rsp_put_trace_features(struct buffer *out)
{
    buffer_printf(out, ";ConditionalTracepoints+;TracepointSource+;EnableDisableTracepoints+;FastTracepoints+;StaticTracepoints+"
                       ";InstallInTrace+;DisconnectedTracing+;tracenz+;QTBuffer:size+");
}

#define EXACT true, true
#define HEAD  false, true

const struct rsp_rule rsp_trace_rules[] = {
    {"QTinit", on_init, EXACT, rsp_traces},
    {"QTDP:", on_define, HEAD, rsp_traces},
    {"QTDPsrc:", on_source, HEAD, rsp_traces},
    {"QTDV:", on_variable, HEAD, rsp_traces},
    {"QTFrame:", on_frame, HEAD, rsp_traces},
    {"QTStart", on_start, EXACT, rsp_traces},
    {"QTStop", on_stop, EXACT, rsp_traces},
    {"QTEnable:", on_enable, HEAD, rsp_traces},
    {"QTDisable:", on_disable, HEAD, rsp_traces},
    {"QTro:", on_read_only, HEAD, rsp_traces},
    {"QTDisconnected:", on_disconnected, HEAD, rsp_traces},
    {"QTBuffer:circular:", on_circular, HEAD, rsp_traces},
    {"QTBuffer:size:", on_size, HEAD, rsp_traces},
    {"QTNotes:", on_notes, HEAD, rsp_traces},
    {"QTSave:", on_save, HEAD, rsp_traces},
    {"qTStatus", on_status, EXACT, rsp_traces},
    {"qTP:", on_point_status, HEAD, rsp_traces},
    {"qTV:", on_value, HEAD, rsp_traces},
    {"qTfP", on_first_point, EXACT, rsp_traces},
    {"qTsP", on_more, EXACT, rsp_traces},
    {"qTfV", on_first_variable, EXACT, rsp_traces},
    {"qTsV", on_more, EXACT, rsp_traces},
    {"qTfSTM", on_no_markers, EXACT, rsp_traces},
    {"qTsSTM", on_no_markers, EXACT, rsp_traces},
    {"qTSTMat:", on_marker_at, HEAD, rsp_traces},
    {"qTBuffer:", on_buffer, HEAD, rsp_traces},
    {"qTMinFTILen", on_fast_length, EXACT, rsp_traces},  /* its name in older manuals */
    {"qTMinFTPILen", on_fast_length, EXACT, rsp_traces},
    {NULL, NULL, false, false, NULL},
};
const unsigned rsp_trace_rule_count = ARRAY_LEN(rsp_trace_rules);
