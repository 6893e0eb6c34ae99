/*
 * What tracepoints need of history (rsp/target.h): hits by a query, other moments by a scout, and standing there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/query.h"
#include "rsp/agent.h"
#include "server_internal.h"

/* What an expression sees: a machine through a CPU's eyes. */
struct view {
    const struct machine *m;
    const struct cpu *cpu;
};

struct server_look {
    struct machine *m;   /* the scout's */
    struct view view;
};

static bool view_register(void *ctx, unsigned n, uint64_t *value)
{
    const struct view *v = ctx;
    uint8_t bytes[RSP_MAX_REG_BYTES] = {0};

    if (n >= v->cpu->ops->nregs)
        return false;
    v->cpu->ops->read_reg(v->cpu, n, bytes);
    memcpy(value, bytes, sizeof(*value));
    return true;
}

/* Expressions compute with 64 bits; addresses wrap at the target's width. */
static bool view_memory(void *ctx, uint64_t addr, void *buf, size_t len)
{
    const struct view *v = ctx;
    uint64_t mask = v->cpu->ops->address_bits == 32 ? UINT32_MAX : UINT64_MAX;

    addr &= mask;
    if (!len || len - 1 > mask - addr)
        return !len;
    return server_read_memory(v->m, v->cpu, false, addr, buf, len) == len;
}

static struct agent_env env_of(struct view *v)
{
    return (struct agent_env){.ctx = v, .read_register = view_register, .read_memory = view_memory,
                              .long_bits = v->cpu->ops->address_bits};
}

/* ---- hits ---- */

struct hunt {
    const struct rsp_hits_wanted *wanted;
};

/* A record is a moment, then the asker's. */
static bool note(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct rsp_hits_wanted *w = ((const struct hunt *)ctx)->wanted;
    struct rsp_moment *at = record;
    struct view v = {m, m->cpus[hit->cpu]};
    const struct agent_env env = env_of(&v);

    *at = (struct rsp_moment){.position = hit->position, .thread = hit->cpu, .pc = hit->address};
    return w->note(w->ctx, at, &env, at + 1);
}

static bool answer(void *ctx, icount_t position, const void *record)
{
    const struct rsp_hits_wanted *w = ((const struct hunt *)ctx)->wanted;
    struct rsp_moment at;

    memcpy(&at, record, sizeof(at));
    at.position = position;
    return w->answer(w->ctx, &at, (const uint8_t *)record + sizeof(at));
}

static void progress(void *ctx, uint64_t done, uint64_t all)
{
    (void)ctx;
    (void)done;
    (void)all;
}

static int find_hits(void *ctx, const struct rsp_hits_wanted *wanted, icount_t *reached, struct error *err)
{
    struct server *s = ctx;
    struct trap *traps = xcalloc(wanted->npcs, sizeof(*traps));
    struct hunt hunt = {wanted};
    struct query q = {.from = wanted->from, .to = wanted->to, .traps = traps, .ntraps = wanted->npcs, .ctx = &hunt,
                      .record_bytes = sizeof(struct rsp_moment) + wanted->record_bytes,
                      .note = note, .answer = answer, .progress = progress};
    struct query_result result = {.end = QUERY_ALL};
    int r;

    for (unsigned i = 0; i < wanted->npcs; i++)
        traps[i] = (struct trap){.address = wanted->pcs[i], .kinds = TRAP_EXEC};
    server_begin_search(s);
    r = timeline_query(s->timeline, &q, &result, err);
    server_end_search(s);
    free(traps);
    *reached = result.end == QUERY_ALL ? wanted->to : result.to + (result.end == QUERY_ENOUGH);
    if (r == 0 && result.end == QUERY_INTERRUPTED)
        r = error_set(err, -EINTR, "interrupted");
    return r;
}

/* ---- looking elsewhere ---- */

static int look_at(void *ctx, icount_t position, bool again, struct error *err)
{
    struct server *s = ctx;
    int r;

    if (!again)
        s->look->m = timeline_scout(s->timeline, 0, err);
    if (!s->look->m)
        return err->code ? err->code : -ENOTSUP;
    server_begin_search(s);
    r = timeline_scout_to(s->timeline, position, err);
    server_end_search(s);
    return r;
}

static int look_step(void *ctx, icount_t *position, unsigned *thread, struct error *err)
{
    struct server *s = ctx;
    struct machine *m = s->look->m;
    icount_t made[RSP_MAX_THREADS];
    int r;

    for (unsigned i = 0; i < m->ncpus && i < RSP_MAX_THREADS; i++)
        made[i] = m->cpus[i]->share->steps;
    r = timeline_scout_step(s->timeline, err);
    *position = m->st->position;
    *thread = 0;
    for (unsigned i = 0; i < m->ncpus && i < RSP_MAX_THREADS; i++)
        if (m->cpus[i]->share->steps != made[i])
            *thread = i;
    return r;
}

static void look_env(void *ctx, unsigned thread, struct agent_env *env)
{
    struct server *s = ctx;

    s->look->view = (struct view){s->look->m, s->look->m->cpus[thread]};
    *env = env_of(&s->look->view);
}

static bool look_register(void *ctx, unsigned thread, unsigned n, void *buf)
{
    const struct cpu *cpu = ((struct server *)ctx)->look->m->cpus[thread];

    cpu->ops->read_reg(cpu, n, buf);
    return true;
}

/* ---- standing there ---- */

static int stand_at(void *ctx, icount_t position, bool surely, struct error *err)
{
    struct server *s = ctx;
    bool finishing = s->finishing;
    struct timeline_stop stop;

    if (timeline_position(s->timeline) == position)
        return 0;
    server_begin_search(s);
    s->finishing = finishing || surely;
    timeline_seek(s->timeline, position, &stop);
    s->finishing = finishing;
    server_end_search(s);
    if (timeline_position(s->timeline) == position)
        return 0;
    if (stop.reason == TIMELINE_DIVERGED)
        return error_set(err, -EIO, "%s", timeline_divergence(s->timeline));
    return error_set(err, -EINTR, "interrupted on the way to position %" PRIu64, position);
}

static unsigned history(void *ctx, unsigned of, icount_t *shared)
{
    const struct server *s = ctx;
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(s->timeline, list);
    unsigned id = timeline_branch(s->timeline);

    *shared = ICOUNT_MAX;
    for (unsigned at = id; at != of;) {
        const struct timeline_branch *b = NULL;

        for (size_t i = 0; i < n; i++)
            if (list[i].id == at)
                b = &list[i];
        if (!b || b->parent == at) {
            *shared = 0;
            break;
        }
        if (b->fork < *shared)
            *shared = b->fork;
        at = b->parent;
    }
    return id;
}

/* ---- monitor trace-history ---- */

static void tell_stretch(const struct server *s, struct buffer *out)
{
    icount_t from, to;

    if (!rsp_tracing_stretch(s->tracing, &from, &to))
        buffer_printf(out, "tstart: what the guest runs through from there on is traced\n");
    else if (to == ICOUNT_MAX)
        buffer_printf(out, "tstart: history from position %" PRIu64 " to its end is traced, without running\n", from);
    else
        buffer_printf(out, "tstart: history from position %" PRIu64 " to %" PRIu64 " is traced, without running\n", from, to);
}

int server_trace_history(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = call->ctx;
    icount_t now, last, position[2] = {0, ICOUNT_MAX};
    char *text = xstrdup(call->argc ? call->argv[0].text : ""), *save = NULL;
    bool off = !strcmp(text, "off");
    int r = 0;

    if (!s->tracing) {
        free(text);
        return error_set(err, -ENOTSUP, "there are no tracepoints here");
    }
    s->ops.positions(s, &position[0], &now, &last);
    for (char *word = off ? NULL : strtok_r(text, " ", &save); word && r == 0; word = strtok_r(NULL, " ", &save)) {
        unsigned which = !strcmp(word, "to");
        const char *where = strtok_r(NULL, " ", &save);

        if (!which && strcmp(word, "from"))
            r = error_set(err, -EINVAL, "'%s' means nothing here: from POS, to POS, or off", word);
        else if (!where || !rsp_parse_position(call->session, where, &position[which]))
            r = error_set(err, -EINVAL, "%s needs a position of this history: a number, start, end, +N or -N", word);
    }
    if (r == 0 && position[0] > position[1])
        r = error_set(err, -EINVAL, "position %" PRIu64 " is after %" PRIu64, position[0], position[1]);
    if (r == 0) {
        rsp_tracing_set_stretch(s->tracing, !off, position[0], position[1]);
        tell_stretch(s, call->out);
    }
    free(text);
    return r;
}

void server_trace_init(struct server *s)
{
    s->look = xcalloc(1, sizeof(*s->look));
    s->ops.find_hits = find_hits;
    s->ops.look_at = look_at;
    s->ops.look_step = look_step;
    s->ops.look_env = look_env;
    s->ops.look_register = look_register;
    s->ops.stand_at = stand_at;
    s->ops.history = history;
    s->tracing = rsp_tracing_create(&s->info, &s->ops, s);
}

void server_trace_finish(struct server *s)
{
    rsp_tracing_destroy(s->tracing);
    free(s->look);
}
