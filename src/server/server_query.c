/*
 * Queries that answer with what happened: accesses to memory, exceptions, interrupts, input and output, changes of
 * mode. Their lines are described in doc/queries.md; what they say there is for programs, too: fields are added, never
 * changed.
 *
 * Adding one: what hits (traps, or a kind that is noted: vm/trap.h), how a hit is told, a line in the
 * table of server_monitor.c.
 */
#include "server_query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A query and what it is about. */
struct events {
    struct asked a;           /* first: it is the context of asked_note() */
    struct place place;
    bool (*wanted)(const struct events *e, const struct noted *n);
    uint64_t first, last;     /* of the numbers or addresses that are wanted */
    bool any, ports;
    bool named;               /* an exception, not whoever asks for its vector */
    uint64_t value;           /* when-value */
    unsigned comparison;
};

static void tell_where(struct asked *a, icount_t position, const struct noted *n)
{
    line_decimal(a, "position", position);
    line_decimal(a, "cpu", n->hit.cpu);
    if (n->pc)
        line_hex(a, "pc", n->pc);
}

static bool note_wanted(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct events *e = ctx;

    return asked_note(ctx, m, hit, record) && (!e->wanted || e->wanted(e, record));
}

static const char *kind_name(unsigned kind)
{
    return kind == TRAP_WRITE || kind == TRAP_IO_WRITE ? "write" : "read";
}

/* ---- accesses ---- */

static uint64_t called(const struct place *p, const struct trap_hit *hit)
{
    const struct trap *t = hit->trap ? &p->traps[hit->trap - 1] : NULL;

    return t ? p->called[hit->trap - 1] + (hit->address - t->address) : hit->address;
}

static bool tell_access(void *ctx, icount_t position, const void *record)
{
    struct events *e = ctx;
    const struct noted *n = record;
    size_t len = n->hit.len < TRAP_BYTES ? n->hit.len : TRAP_BYTES;

    tell_where(&e->a, position, n);
    line_word(&e->a, "kind", kind_name(n->hit.kind));
    line_hex(&e->a, "address", called(&e->place, &n->hit));
    line_decimal(&e->a, "length", n->hit.len);
    if (n->hit.kind == TRAP_WRITE) {
        line_bytes(&e->a, "old", n->hit.before, len);
        line_bytes(&e->a, "new", n->now, len);
    } else {
        line_bytes(&e->a, "value", n->hit.before, len);
    }
    if (n->hit.writer)
        line_word(&e->a, "by", n->hit.writer);
    return line_end(&e->a);
}

/* Have it answered and end it. */
static int ask(struct events *e, struct query *q, const char *what, struct error *err)
{
    struct query_result result;
    int r;

    q->record_bytes = sizeof(struct noted);
    if (!q->note)
        q->note = note_wanted;
    r = asked_run(&e->a, q, &result, err);
    if (r == 0)
        asked_tell_end(&e->a, what, &result);
    return r;
}

static int accesses(struct rsp_monitor_call *call, unsigned kinds, const char *what, struct error *err)
{
    struct events e = {.place = {.count = 0}};
    struct query q = {.answer = tell_access};
    uint64_t len = 4;
    int r = asked_init(&e.a, call, 1, 2, err);

    if (r == 0 && e.a.nwords > 1)
        r = asked_number(&e.a, 1, "number of bytes", &len, err);
    if (r == 0)
        r = place_find(&e.place, &e.a, e.a.words[0], len, kinds, err);
    q.traps = e.place.traps;
    q.ntraps = e.place.count;
    if (r == 0)
        r = ask(&e, &q, what, err);
    place_done(&e.place);
    asked_finish(&e.a);
    return r;
}

int query_writes(struct rsp_monitor_call *call, struct error *err)
{
    return accesses(call, TRAP_WRITE, "writes", err);
}

int query_reads(struct rsp_monitor_call *call, struct error *err)
{
    return accesses(call, TRAP_READ, "reads", err);
}

int query_accesses(struct rsp_monitor_call *call, struct error *err)
{
    return accesses(call, TRAP_READ | TRAP_WRITE, "accesses", err);
}

/* ---- when-value ---- */

enum { EQ, NE, LT, LE, GT, GE };
static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};

static bool compares(const struct events *e, uint64_t value)
{
    switch (e->comparison) {
    case EQ: return value == e->value;
    case NE: return value != e->value;
    case LT: return value < e->value;
    case LE: return value <= e->value;
    case GT: return value > e->value;
    default: return value >= e->value;
    }
}

/* All of the value after the step, by the bytes that it is made of. */
static bool value_now(const struct events *e, const struct machine *m, unsigned cpu, uint64_t *value)
{
    const struct place *p = &e->place;
    size_t at = 0;

    *value = 0;
    if (p->everywhere)
        return server_read_memory(m, m->cpus[cpu], false, p->address, value, p->len) == p->len;
    for (unsigned i = 0; i < p->count; i++) {
        memcpy((uint8_t *)value + at, memory_page(&m->memory, (uint32_t)(p->traps[i].address >> PAGE_SHIFT)) +
               (p->traps[i].address & ~PAGE_MASK), p->traps[i].len);
        at += p->traps[i].len;
    }
    return true;
}

/* It holds after this write, and did not before: of what was there, the bytes that were written are in the hit. */
static bool note_becomes(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct events *e = ctx;
    struct noted *n = record;
    uint64_t now, before, from = called(&e->place, hit) - e->place.address;
    size_t len = hit->len < sizeof(before) - from ? hit->len : sizeof(before) - from;

    if (!value_now(e, m, hit->cpu, &now) || !compares(e, now))
        return false;
    before = now;
    memcpy((uint8_t *)&before + from, hit->before, len);
    if (compares(e, before) || !asked_note(ctx, m, hit, record))
        return false;
    memset(n->now, 0, sizeof(n->now));
    memcpy(n->now, &now, sizeof(now));
    memcpy(n->hit.before, &before, sizeof(before));
    return true;
}

static bool tell_becomes(void *ctx, icount_t position, const void *record)
{
    struct events *e = ctx;
    const struct noted *n = record;

    tell_where(&e->a, position, n);
    line_hex(&e->a, "address", e->place.address);
    line_bytes(&e->a, "old", n->hit.before, e->place.len);
    line_bytes(&e->a, "new", n->now, e->place.len);
    if (n->hit.writer)
        line_word(&e->a, "by", n->hit.writer);
    return line_end(&e->a);
}

/* Where the stretch begins it may hold already: an answer, too. */
static int tell_beginning(struct events *e, bool *told, struct error *err)
{
    struct timeline *tl = e->a.s->timeline;
    icount_t from = e->a.from > timeline_first(tl) ? e->a.from : timeline_first(tl);
    struct machine *m;
    uint64_t value;
    int r;

    if (from > timeline_edge(tl))
        return 0;
    m = timeline_scout(tl, 0, err);
    server_begin_search(e->a.s);
    r = m ? timeline_scout_to(tl, from, err) : err->code;
    server_end_search(e->a.s);
    if (r < 0 || !value_now(e, m, e->a.s->cpu, &value) || !compares(e, value) || !asked_holds(&e->a, m, e->a.s->cpu))
        return r;
    line_decimal(&e->a, "position", from);
    line_hex(&e->a, "address", e->place.address);
    line_bytes(&e->a, "new", (const uint8_t *)&value, e->place.len);
    line_word(&e->a, "by", "the beginning");
    line_end(&e->a);
    *told = true;
    return 0;
}

/* The beginning is the oldest of the answers: the first, or the last if there is room for it. */
static int ask_with_beginning(struct events *e, struct query *q, struct error *err)
{
    uint64_t limit = e->a.limit;
    icount_t first = timeline_first(e->a.s->timeline);
    struct query_result result = {.end = QUERY_ENOUGH, .from = e->a.from > first ? e->a.from : first};
    bool told = false;
    int r = e->a.newest ? 0 : tell_beginning(e, &told, err);

    result.to = result.from;
    q->record_bytes = sizeof(struct noted);
    if (r == 0 && told && limit)
        e->a.limit = limit - 1;
    if (r == 0 && !(told && limit == 1))
        r = asked_run(&e->a, q, &result, err);
    if (r == 0 && e->a.newest && result.end == QUERY_ALL)
        r = tell_beginning(e, &told, err);
    if (r == -EINTR)
        result.end = QUERY_INTERRUPTED;
    result.answers += told;
    if (r == 0 || r == -EINTR)
        asked_tell_end(&e->a, "times", &result);
    return r == -EINTR ? 0 : r;
}

/* ADDR or ADDR/LEN, a comparison, a number. */
static int take_comparison(struct events *e, uint64_t *len, struct error *err)
{
    char *slash = strchr(e->a.words[0], '/'), *end = NULL;

    *len = 4;
    if (slash) {
        *slash = 0;
        *len = strtoull(slash + 1, &end, 0);
    }
    if ((end && *end) || (*len != 1 && *len != 2 && *len != 4 && *len != 8))
        return error_set(err, -EINVAL, "a value has 1, 2, 4 or 8 bytes");
    while (e->comparison <= GE && strcmp(e->a.words[1], comparisons[e->comparison]) != 0)
        e->comparison++;
    if (e->comparison > GE)
        return error_set(err, -EINVAL, "'%s' compares nothing: ==, !=, <, <=, > or >=", e->a.words[1]);
    if (asked_number(&e->a, 2, "value", &e->value, err) < 0)
        return -EINVAL;
    if (*len < 8 && e->value >> (*len * 8))
        return error_set(err, -ERANGE, "%" PRIu64 " byte%s cannot hold %s: write %s/LENGTH for more of them", *len, *len > 1 ? "s" : "",
                         e->a.words[2], e->a.words[0]);
    return 0;
}

int query_when_value(struct rsp_monitor_call *call, struct error *err)
{
    struct events e = {.place = {.count = 0}};
    struct query q = {.answer = tell_becomes, .note = note_becomes};
    uint64_t len;
    int r = asked_init(&e.a, call, 3, 3, err);

    if (r == 0)
        r = take_comparison(&e, &len, err);
    if (r == 0)
        r = place_find(&e.place, &e.a, e.a.words[0], len, TRAP_WRITE, err);
    q.traps = e.place.traps;
    q.ntraps = e.place.count;
    if (r == 0)
        r = ask_with_beginning(&e, &q, err);
    place_done(&e.place);
    asked_finish(&e.a);
    return r;
}

/* ---- what is noted ---- */

static bool number_wanted(const struct events *e, const struct noted *n)
{
    return (e->any || (n->hit.number >= e->first && n->hit.number <= e->last)) && !(e->named && n->hit.asked);
}

static bool tell_exception(void *ctx, icount_t position, const void *record)
{
    struct events *e = ctx;
    const struct noted *n = record;
    const struct cpu_ops *ops = e->a.s->machine->cpus[0]->ops;
    const char *name = n->hit.kind == TRAP_EXCEPTION && ops->exception_name ? ops->exception_name(n->hit.number) : NULL;

    tell_where(&e->a, position, n);
    line_word(&e->a, "kind", n->hit.asked ? "int" : n->hit.kind == TRAP_EXCEPTION ? "exception" : "interrupt");
    line_hex(&e->a, "number", n->hit.number);
    if (n->hit.asked) {
        char text[24];

        snprintf(text, sizeof(text), "int %" PRIx64 "h", n->hit.number);
        line_word(&e->a, "name", text);
    } else if (name) {
        line_word(&e->a, "name", name);
    }
    if (n->hit.kind == TRAP_EXCEPTION) {
        line_hex(&e->a, "code", n->hit.value);
        line_hex(&e->a, "address", n->hit.address);
    }
    if (n->hit.untaken)
        line_word(&e->a, "taken", "no");
    return line_end(&e->a);
}

static bool tell_mode(void *ctx, icount_t position, const void *record)
{
    struct events *e = ctx;
    const struct noted *n = record;
    const struct cpu_ops *ops = e->a.s->machine->cpus[0]->ops;
    const char *from = ops->mode_name ? ops->mode_name(n->hit.value) : NULL;
    const char *to = ops->mode_name ? ops->mode_name(n->hit.number) : NULL;

    tell_where(&e->a, position, n);
    line_word(&e->a, "old", from ? from : "unknown");
    line_word(&e->a, "new", to ? to : "unknown");
    return line_end(&e->a);
}

static bool tell_io(void *ctx, icount_t position, const void *record)
{
    struct events *e = ctx;
    const struct noted *n = record;

    tell_where(&e->a, position, n);
    line_word(&e->a, "kind", kind_name(n->hit.kind));
    line_word(&e->a, "space", n->hit.number ? "memory" : "port");
    line_hex(&e->a, "address", n->hit.address);
    line_decimal(&e->a, "length", n->hit.len);
    line_hex(&e->a, "value", n->hit.value);
    if (n->hit.writer)
        line_word(&e->a, "device", n->hit.writer);
    return line_end(&e->a);
}

/* An exception by its name, or a number that there can be. */
static int take_number(struct events *e, bool exceptions, struct error *err)
{
    const char *what = exceptions ? "number or name of an exception (help exceptions)" : "number of an interrupt";
    const struct cpu_ops *ops = e->a.s->machine->cpus[0]->ops;
    uint64_t last = exceptions ? ops->exception_last : ops->interrupt_last;

    e->any = !e->a.nwords;
    if (e->any)
        return 0;
    for (uint64_t n = 0; exceptions && n <= ops->exception_last && ops->exception_name; n++) {
        const char *name = ops->exception_name(n);

        if (name && (!strcmp(name, e->a.words[0]) || (*name == '#' && !strcmp(name + 1, e->a.words[0])))) {
            e->first = e->last = n;
            e->named = true;
            return 0;
        }
    }
    if (asked_number(&e->a, 0, what, &e->first, err) < 0)
        return -EINVAL;
    e->last = e->first;
    if (e->first > last)
        return error_set(err, -ERANGE, "there is no %s %s: of this CPU they have the numbers 0 to %" PRIu64, exceptions ? "exception" : "interrupt",
                         e->a.words[0], last);
    return 0;
}

static int noted(struct rsp_monitor_call *call, unsigned notes, unsigned words, const char *what,
                 bool (*tell)(void *, icount_t, const void *), struct error *err)
{
    struct events e = {.wanted = number_wanted};
    struct query q = {.notes = notes, .answer = tell};
    int r = asked_init(&e.a, call, 0, words, err);

    if (r == 0)
        r = take_number(&e, notes & TRAP_EXCEPTION, err);
    if (r == 0)
        r = ask(&e, &q, what, err);
    asked_finish(&e.a);
    return r;
}

int query_exceptions(struct rsp_monitor_call *call, struct error *err)
{
    return noted(call, TRAP_EXCEPTION, 1, "exceptions", tell_exception, err);
}

int query_interrupts(struct rsp_monitor_call *call, struct error *err)
{
    return noted(call, TRAP_INTERRUPT, 1, "interrupts", tell_exception, err);
}

int query_modes(struct rsp_monitor_call *call, struct error *err)
{
    return noted(call, TRAP_MODE, 0, "switches", tell_mode, err);
}

/* ---- input and output ---- */

static bool io_wanted(const struct events *e, const struct noted *n)
{
    uint64_t last = n->hit.address + (n->hit.len - 1);

    return e->any || (e->ports == !n->hit.number && n->hit.address <= e->last && last >= e->first);
}

/* Nothing, A, A-B; of ports, if there can be such a one, or of memory: phys:A. */
static int take_range(struct events *e, struct error *err)
{
    const char *word = e->a.nwords ? e->a.words[0] : NULL;
    char *end;

    e->any = !word;
    if (!word)
        return 0;
    e->ports = strncmp(word, "phys:", 5) && strcmp(e->a.s->machine->cpus[0]->ops->arch, "aarch64");
    word += strncmp(word, "phys:", 5) ? 0 : 5;
    errno = 0;
    e->first = e->last = strtoull(word, &end, 0);
    if (end != word && *end == '-')
        e->last = strtoull(end + 1, &end, 0);
    if (*end || errno || e->last < e->first || *word < '0' || *word > '9' || (e->ports && e->last > UINT16_MAX))
        return error_set(err, -EINVAL, "'%s' is no port or range: FIRST-LAST, or phys:FIRST-LAST for devices in memory", word);
    return 0;
}

int query_io(struct rsp_monitor_call *call, struct error *err)
{
    struct events e = {.wanted = io_wanted};
    struct query q = {.notes = TRAP_IO_READ | TRAP_IO_WRITE, .answer = tell_io};
    int r = asked_init(&e.a, call, 0, 1, err);

    if (r == 0)
        r = take_range(&e, err);
    if (r == 0)
        r = ask(&e, &q, "accesses", err);
    asked_finish(&e.a);
    return r;
}
