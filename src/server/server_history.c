/*
 * Queries about a stretch as such: every step of it, all that ran in it, what is different at its ends, and when bytes first
 * appeared. See doc/queries.md.
 *
 * Files are written new, never over one that has something in it.
 */
#include "server_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "host/output.h"

#define TRACE_MOST   ((icount_t)10000000)   /* steps */
#define TRACE_SHOWN  10000u                /* lines to the debugger, unless it says another limit */
#define FILE_MOST    ((size_t)1 << 30)
#define DIFF_RANGES  1000u                  /* of memory */
#define DIFF_GAP     16u                    /* bytes that are equal, within a range */
#define FIND_MOST    256u                   /* bytes to look for */
#define FIND_AT_ONCE ((size_t)8 << 20)      /* bytes of memory looked at before the debugger is asked whether it wants to go on */

static int take_stretch(struct asked *a, bool may_if, icount_t *from, icount_t *to, struct error *err)
{
    const struct timeline *tl = a->s->timeline;
    int r;

    if (a->conditional && !may_if)
        return error_set(err, -EINVAL, "two states are compared, whatever ran between them: there is no step that a condition could be "
                         "asked of (trace and coverage take one)");
    if (a->newest || a->from || a->to != ICOUNT_MAX)
        return error_set(err, -EINVAL, "a stretch from one position to another is all that this takes: no from, to, newest");
    r = asked_position(a, a->words[0], from, err);

    if (r == 0)
        r = asked_position(a, a->words[1], to, err);
    if (r == 0 && (*from > timeline_edge(tl) || *to > timeline_edge(tl)))
        r = error_set(err, -ERANGE, "history ends at position %" PRIu64, timeline_edge(tl));
    return r;
}

/* FILE, and the word force if it may be replaced. */
static int take_file(const struct asked *a, unsigned *may, struct error *err)
{
    *may = HOST_MONITOR | HOST_EMPTY_ONLY;
    if (a->nwords > 3 && strcmp(a->words[3], "force") != 0)
        return error_set(err, -EINVAL, "'%s' means nothing here: there is force", a->words[3]);
    if (a->nwords > 3)
        *may |= HOST_FORCE;
    return a->nwords > 2 ? host_output_replaceable(a->words[2], *may, err) : 0;
}

/* ---- registers ---- */

/* All of a CPU's, one after the other. */
static size_t registers_bytes(const struct cpu *cpu)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < cpu->ops->nregs; i++)
        bytes += cpu->ops->regs[i].bits / 8u;
    return bytes;
}

static void read_registers(const struct cpu *cpu, uint8_t *to)
{
    for (unsigned i = 0; i < cpu->ops->nregs; i++) {
        cpu->ops->read_reg(cpu, i, to);
        to += cpu->ops->regs[i].bits / 8u;
    }
}

static void tell_register(struct asked *a, const char *name, const uint8_t *bytes, size_t len)
{
    line_bytes(a, name, bytes, len);
}

/* ---- trace ---- */

struct trace {
    struct asked a;
    struct buffer *file;     /* NULL: to the debugger */
    uint8_t *before[MACHINE_MAX_CPUS], *after;
    uint64_t steps;
};

/* The scout makes one step, which is not always an instruction: an iteration of a repeated one, an entry, an event. In
 * `ran` is the instruction that was run, if one was. */
static int scout_one(struct timeline *tl, struct machine *m, struct page_set *ran, struct error *err)
{
    int r;

    page_set_clear(ran);
    m->coverage = ran;
    r = timeline_scout_on(tl, err);
    m->coverage = NULL;
    return r;
}

static bool trace_line_end(struct trace *t)
{
    struct asked *a = &t->a;

    if (!t->file)
        return line_end(a);
    buffer_printf(&a->text, a->json ? "}\n" : "\n");
    buffer_append(t->file, a->text.data, a->text.len);
    buffer_clear(&a->text);
    a->nfields = 0;
    return t->file->len < FILE_MOST;
}

/* What the step from `position` changed in the registers of the CPU that made it. `retired`: an instruction did. */
static bool tell_step(struct trace *t, const struct machine *m, icount_t position, const uint64_t *pcs, bool retired)
{
    const struct cpu *cpu = m->runner;
    uint8_t *before = t->before[cpu->index], *after = t->after;

    read_registers(cpu, after);
    if (!asked_holds(&t->a, m, cpu->index)) {
        memcpy(before, after, registers_bytes(cpu));
        return true;
    }
    line_decimal(&t->a, "position", position);
    line_decimal(&t->a, "cpu", cpu->index);
    if (retired)
        line_hex(&t->a, "pc", pcs[cpu->index]);
    for (unsigned i = 0; i < cpu->ops->nregs; i++) {
        size_t len = cpu->ops->regs[i].bits / 8u;

        if (i != cpu->ops->pc_reg && !cpu->ops->regs[i].no_save && memcmp(before, after, len))
            tell_register(&t->a, cpu->ops->regs[i].name, after, len);
        memcpy(before, after, len);
        before += len;
        after += len;
    }
    t->steps++;
    return trace_line_end(t);
}

static int trace_steps(struct trace *t, struct machine *m, icount_t from, icount_t to, struct error *err)
{
    struct timeline *tl = t->a.s->timeline;
    uint64_t pcs[MACHINE_MAX_CPUS];
    struct page_set ran;
    int r = timeline_scout_to(tl, from, err);
    bool more = true;

    page_set_init(&ran);

    for (unsigned i = 0; r == 0 && i < m->ncpus; i++)
        read_registers(m->cpus[i], t->before[i]);
    while (r == 0 && more && m->st->position < to && (!t->a.limit || t->steps < t->a.limit)) {
        icount_t position = m->st->position;

        for (unsigned i = 0; i < m->ncpus; i++)
            pcs[i] = m->cpus[i]->ops->pc(m->cpus[i]);
        r = scout_one(tl, m, &ran, err);
        if (r == 0)
            more = tell_step(t, m, position, pcs, ran.count);
    }
    page_set_finish(&ran);
    if (r == 0 && !more && server_interrupted(t->a.s))
        r = error_set(err, -EINTR, "interrupted");
    return r;
}

int query_trace(struct rsp_monitor_call *call, struct error *err)
{
    struct trace t = {.file = NULL};
    struct buffer file;
    struct machine *m = NULL;
    icount_t from = 0, to = 0;
    unsigned may = 0;
    int r = asked_init(&t.a, call, 2, 4, err);

    buffer_init(&file);
    if (r == 0)
        r = take_stretch(&t.a, true, &from, &to, err);
    if (r == 0 && (to < from || to - from > TRACE_MOST))
        r = error_set(err, -EINVAL, "from %" PRIu64 " to %" PRIu64 " is no stretch of at most %" PRIu64 " steps", from, to, TRACE_MOST);
    if (r == 0)
        r = take_file(&t.a, &may, err);
    if (t.a.nwords > 2)
        t.file = &file;
    else if (r == 0 && !t.a.limit)
        t.a.limit = TRACE_SHOWN;
    if (r == 0 && !(m = timeline_scout(t.a.s->timeline, 0, err)))
        r = err->code;
    for (unsigned i = 0; r == 0 && i < m->ncpus; i++)
        t.before[i] = xmalloc(registers_bytes(m->cpus[i]));
    if (r == 0) {
        t.after = xmalloc(registers_bytes(m->cpus[0]));
        server_begin_search(t.a.s);
        r = trace_steps(&t, m, from, to, err);
        server_end_search(t.a.s);
    }
    if (r == 0 && t.file)
        r = host_write_file(t.a.words[2], file.data, file.len, may, err);
    if (m && (r == 0 || r == -EINTR)) {
        line_word(&t.a, "end", r < 0 ? "interrupted" : m->st->position < to ? "limit" : "all");
        line_decimal(&t.a, "steps", t.steps);
        line_decimal(&t.a, "from", from);
        line_decimal(&t.a, "to", m->st->position);
        line_end(&t.a);
    }
    for (unsigned i = 0; i < MACHINE_MAX_CPUS; i++)
        free(t.before[i]);
    free(t.after);
    buffer_finish(&file);
    asked_finish(&t.a);
    return r == -EINTR ? 0 : r;
}

/* ---- coverage ---- */

/* An instruction as machine.coverage has it. */
static uint64_t insn_address(uint64_t key)
{
    return (uint64_t)((int64_t)key >> COVERAGE_LEN_BITS);
}

static unsigned insn_len(uint64_t key)
{
    return (unsigned)(key & ((1u << COVERAGE_LEN_BITS) - 1));
}

/* DynamoRIO's drcov, version 2, as Lighthouse and others read it: a module for each 4 GiB of addresses in which
 * something ran, instructions as basic blocks. */
static void put_drcov(struct buffer *out, const uint64_t *ran, size_t n)
{
    unsigned modules = 0;

    for (size_t i = 0; i < n; i++)
        modules += !i || insn_address(ran[i]) >> 32 != insn_address(ran[i - 1]) >> 32;
    buffer_printf(out, "DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\nModule Table: version 2, count %u\nColumns: id, base, end, entry, path\n",
                  modules);
    modules = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t high = insn_address(ran[i]) >> 32;

        if (i && high == insn_address(ran[i - 1]) >> 32)
            continue;
        buffer_printf(out, "%u, 0x%016" PRIx64 ", 0x%016" PRIx64 ", 0x0000000000000000, guest\n", modules++, high << 32,
                      high << 32 | UINT32_MAX);
    }
    buffer_printf(out, "BB Table: %zu bbs\n", n);
    modules = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t address = insn_address(ran[i]);

        modules += i && address >> 32 != insn_address(ran[i - 1]) >> 32;
        for (unsigned b = 0; b < 4; b++)
            buffer_append_byte(out, (uint8_t)(address >> (8 * b)));
        buffer_append_byte(out, (uint8_t)insn_len(ran[i]));
        buffer_append_byte(out, 0);
        buffer_append_byte(out, (uint8_t)modules);
        buffer_append_byte(out, (uint8_t)(modules >> 8));
    }
}

/* Stretches of addresses in which every byte belongs to an instruction that was run. */
static void tell_stretches(struct asked *a, const uint64_t *ran, size_t n)
{
    uint64_t first = 0, after = 0;
    bool more = true;

    for (size_t i = 0; more && i <= n; i++) {
        uint64_t at = i < n ? insn_address(ran[i]) : 0;

        if (i && i < n && at <= after && at >= first) {
            after = at + insn_len(ran[i]) > after ? at + insn_len(ran[i]) : after;
            continue;
        }
        if (i) {
            line_hex(a, "address", first);
            line_decimal(a, "length", after - first);
            more = line_end(a);
        }
        if (i < n) {
            first = at;
            after = at + insn_len(ran[i]);
        }
    }
}

/* lcov's files are of source lines, which only a debugger knows. */
static int refuse_info(const struct asked *a, struct error *err)
{
    const char *name = a->nwords > 2 ? a->words[2] : "", *dot = strrchr(name, '.');

    if (!dot || strcmp(dot, ".info") != 0)
        return 0;
    return error_set(err, -EINVAL, "%s: source lines, as lcov has them, are written by gdb's helper (hindcast coverage FROM TO FILE.info); "
                     "the monitor's file is of drcov's format: give it another name", name);
}

/* With a condition: the instructions of the steps after which it holds. */
static int cover_steps(const struct asked *a, struct page_set *ran, struct query_result *result, struct error *err)
{
    struct timeline *tl = a->s->timeline;
    struct machine *m = timeline_scout(tl, 0, err);
    struct page_set step;
    int r = m ? timeline_scout_to(tl, a->from, err) : err->code;

    page_set_init(&step);
    while (r == 0 && m->st->position < a->to) {
        r = scout_one(tl, m, &step, err);
        if (r == 0 && step.count && asked_holds(a, m, m->runner->index))
            page_set_add(ran, step.last - 1);
    }
    page_set_finish(&step);
    if (r == 0 || r == -EINTR)
        *result = (struct query_result){.end = r ? QUERY_INTERRUPTED : QUERY_ALL, .from = a->from, .to = m ? m->st->position : a->from};
    return r == -EINTR ? 0 : r;
}

int query_coverage(struct rsp_monitor_call *call, struct error *err)
{
    struct asked a;
    struct page_set ran;
    struct buffer file;
    struct query q = {.coverage = &ran};
    struct query_result result;
    unsigned may = 0;
    uint64_t *list;
    size_t n;
    int r = asked_init(&a, call, 2, 4, err);

    page_set_init(&ran);
    buffer_init(&file);
    if (r == 0 && a.limit)
        r = error_set(err, -EINVAL, "coverage has no limit: it is of all that ran");
    if (r == 0)
        r = take_stretch(&a, true, &a.from, &a.to, err);
    if (r == 0 && a.from > a.to)
        r = error_set(err, -EINVAL, "position %" PRIu64 " is after %" PRIu64, a.from, a.to);
    if (r == 0 && a.conditional && a.to - a.from > TRACE_MOST)
        r = error_set(err, -EINVAL, "from %" PRIu64 " to %" PRIu64 " is more than the %" PRIu64 " steps that a condition is asked after",
                      a.from, a.to, TRACE_MOST);
    if (r == 0)
        r = refuse_info(&a, err);
    if (r == 0)
        r = take_file(&a, &may, err);
    if (r == 0 && a.conditional) {
        server_begin_search(a.s);
        r = cover_steps(&a, &ran, &result, err);
        server_end_search(a.s);
    } else if (r == 0) {
        r = asked_run(&a, &q, &result, err);
    }
    page_set_seal(&ran);
    list = page_set_list(&ran, &n);
    if (r == 0 && a.nwords > 2 && result.end == QUERY_ALL) {
        put_drcov(&file, list, n);
        r = host_write_file(a.words[2], file.data, file.len, may, err);
    } else if (r == 0 && a.nwords < 3) {
        tell_stretches(&a, list, n);
    }
    if (r == 0) {
        result.answers = n;
        asked_tell_end(&a, "instructions", &result);
    }
    free(list);
    page_set_finish(&ran);
    buffer_finish(&file);
    asked_finish(&a);
    return r;
}

/* ---- diff ---- */

/* May there be another line? With a limit, of whatever kind; `left`: how many. */
static bool one_more(const struct asked *a, uint64_t *left)
{
    if (a->limit && !*left)
        return false;
    *left -= a->limit != 0;
    return true;
}

static bool diff_registers(struct asked *a, const struct machine *x, const struct machine *y, uint64_t *left)
{
    bool more = true;

    for (unsigned c = 0; more && c < x->ncpus; c++) {
        const struct cpu_ops *ops = x->cpus[c]->ops;

        for (unsigned i = 0; more && i < ops->nregs; i++) {
            uint8_t before[RSP_MAX_REG_BYTES], after[RSP_MAX_REG_BYTES];
            size_t len = ops->regs[i].bits / 8u;

            ops->read_reg(x->cpus[c], i, before);
            ops->read_reg(y->cpus[c], i, after);
            if (!memcmp(before, after, len))
                continue;
            if (!one_more(a, left))
                return false;
            line_word(a, "kind", "register");
            line_decimal(a, "cpu", c);
            line_word(a, "name", ops->regs[i].name);
            line_bytes(a, "old", before, len);
            line_bytes(a, "new", after, len);
            more = line_end(a);
        }
    }
    return more;
}

static bool diff_components(struct asked *a, const struct machine *x, const struct machine *y, uint64_t *left)
{
    bool more = true;

    for (unsigned i = 0; more && i < x->ncomponents; i++) {
        const struct component *c = &x->components[i];
        uint64_t bytes = 0;

        for (uint32_t b = 0; b < c->size; b++)
            bytes += x->arena[c->offset + b] != y->arena[c->offset + b];
        if (!bytes)
            continue;
        if (!one_more(a, left))
            return false;
        line_word(a, "kind", "component");
        line_word(a, "name", c->name);
        line_decimal(a, "bytes", bytes);
        more = line_end(a);
    }
    return more;
}

/* Where the guest finds a page of storage now; false: it does not. */
static bool physical_of(const struct machine *m, uint64_t page, paddr_t *pa)
{
    for (unsigned i = 0; i < m->memory.nregions; i++) {
        const struct region *r = &m->memory.regions[i];

        if (r->stored && page >= r->page && page - r->page < r->size >> PAGE_SHIFT) {
            *pa = r->base + ((page - r->page) << PAGE_SHIFT);
            return true;
        }
    }
    return false;
}

static bool tell_range(struct asked *a, const struct machine *m, uint64_t from, uint64_t to)
{
    paddr_t pa;

    line_word(a, "kind", "memory");
    if (physical_of(m, from >> PAGE_SHIFT, &pa))
        line_hex(a, "address", pa | (from & ~PAGE_MASK));
    else
        line_hex(a, "storage", from);
    line_decimal(a, "length", to - from);
    return line_end(a);
}

static void note_page(void *ctx, uint64_t global)
{
    page_set_add(ctx, global);
}

/* Bytes that differ, as ranges: without a limit as many as there may be of memory. `pages`, by their global numbers: all others
 * are the same. */
static bool diff_memory(struct asked *a, const struct machine *x, const struct machine *y, const uint64_t *pages, size_t npages,
                        uint64_t left)
{
    uint64_t from = UINT64_MAX, to = 0;

    left = a->limit ? left : DIFF_RANGES;
    for (size_t i = 0; i < npages; i++) {
        uint64_t page = pages[i] - x->memory.pages.first; /* of memory, if it is less than its count */
        const uint8_t *p, *q;

        if (page >= x->memory.pages.count)
            continue;
        p = memory_page(&x->memory, (uint32_t)page);
        q = memory_page(&y->memory, (uint32_t)page);
        if (!memcmp(p, q, PAGE_SIZE))
            continue;
        for (uint64_t b = 0; b < PAGE_SIZE; b++) {
            uint64_t at = page << PAGE_SHIFT | b;

            if (p[b] == q[b])
                continue;
            if (from != UINT64_MAX && at - to > DIFF_GAP) {
                if (!left-- || !tell_range(a, y, from, to))
                    return false;
                from = UINT64_MAX;
            }
            from = from == UINT64_MAX ? at : from;
            to = at + 1;
        }
    }
    return from == UINT64_MAX || (left && tell_range(a, y, from, to));
}

/* Lines of all that differs between the two scouts. False: there was more. */
static bool diff_all(struct asked *a, const struct machine *x, const struct machine *y)
{
    uint64_t left = a->limit, *pages;
    struct page_set differ;
    size_t n;
    bool all;

    page_set_init(&differ);
    timeline_scouts_compare(a->s->timeline, note_page, &differ);
    page_set_seal(&differ);
    pages = page_set_list(&differ, &n);
    all = diff_registers(a, x, y, &left) && diff_components(a, x, y, &left) && diff_memory(a, x, y, pages, n, left);
    free(pages);
    page_set_finish(&differ);
    return all;
}

/* Two machines stand at the two positions. */
static int stand_at_both(struct asked *a, icount_t from, icount_t to, struct machine **x, struct machine **y, struct error *err)
{
    struct timeline *tl = a->s->timeline;
    int r;

    *x = timeline_scout(tl, 0, err);
    r = *x ? timeline_scout_to(tl, from, err) : err->code;
    if (r < 0)
        return r;
    *y = timeline_scout(tl, 1, err);
    return *y ? timeline_scout_to(tl, to, err) : err->code;
}

int query_diff(struct rsp_monitor_call *call, struct error *err)
{
    struct asked a;
    struct machine *x, *y;
    icount_t from = 0, to = 0;
    bool all = false;
    int r = asked_init(&a, call, 2, 2, err);

    if (r == 0)
        r = take_stretch(&a, false, &from, &to, err);
    if (r == 0) {
        server_begin_search(a.s);
        r = stand_at_both(&a, from, to, &x, &y, err);
        server_end_search(a.s);
    }
    if (r == 0) {
        all = diff_all(&a, x, y);
        line_word(&a, "end", all ? "all" : "limit");
        line_decimal(&a, "from", from);
        line_decimal(&a, "to", to);
        line_end(&a);
    }
    asked_finish(&a);
    return r;
}

/* ---- two branches ---- */

struct place_on {
    struct timeline_branch branch;
    icount_t position;
    struct checkpoint *c;
};

/* NAME or NAME@POSITION; NULL: the branch in use. */
static int take_place_on(const struct asked *a, const char *word, struct place_on *p, struct error *err)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(a->s->timeline, list), len = word ? strcspn(word, "@") : 0;
    unsigned id = timeline_branch(a->s->timeline);
    char name[TIMELINE_NAME_MOST + 1];
    int r = 0;

    *p = (struct place_on){.position = 0};
    if (word) {
        snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), word);
        r = timeline_branch_find(a->s->timeline, name, &id, err);
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        if (list[i].id == id)
            p->branch = list[i];
    p->position = p->branch.edge;
    if (r == 0 && word && word[len] && strcmp(word + len, "@fork") && strcmp(word + len, "@end"))
        r = asked_position(a, word + len + 1, &p->position, err);
    return r;
}

static bool is_at_fork(const char *word)
{
    return word && strchr(word, '@') && !strcmp(strchr(word, '@'), "@fork");
}

static void line_place(struct asked *a, const char *branch, const char *position, const struct place_on *p)
{
    if (p->branch.name)
        line_word(a, branch, p->branch.name);
    else
        line_decimal(a, branch, p->branch.id);
    line_decimal(a, position, p->position);
}

/* Both places, and two machines that stand there. */
static int stand_on_both(struct asked *a, struct place_on *p, struct machine **x, struct machine **y, struct error *err)
{
    struct timeline *tl = a->s->timeline;
    int r = timeline_hold_place(tl, p[0].branch.id, p[0].position, &p[0].c, err);

    if (r == 0)
        r = timeline_hold_place(tl, p[1].branch.id, p[1].position, &p[1].c, err);
    if (r < 0)
        return r;
    *x = timeline_scout(tl, 0, err);
    if (!*x)
        return err->code;
    timeline_scout_stand(tl, p[0].c);
    *y = timeline_scout(tl, 1, err);
    if (!*y)
        return err->code;
    timeline_scout_stand(tl, p[1].c);
    return 0;
}

int query_branch_diff(struct rsp_monitor_call *call, struct error *err)
{
    struct asked a;
    struct machine *x, *y;
    struct place_on p[2] = {{.c = NULL}};
    int r = asked_init(&a, call, 1, 2, err);

    if (r == 0 && (a.newest || a.conditional || a.from || a.to != ICOUNT_MAX))
        r = error_set(err, -EINVAL, "two places are all that this takes: no if (there is no step that it could be asked of), from, to, newest");
    for (unsigned i = 0; r == 0 && i < 2; i++)
        r = take_place_on(&a, i < a.nwords ? a.words[i] : NULL, &p[i], err);
    for (unsigned i = 0; r == 0 && i < a.nwords; i++) {
        if (!is_at_fork(a.words[i]))
            continue;
        if (!p[0].branch.id && !p[1].branch.id)
            r = error_set(err, -EINVAL, "the trunk has no fork: name a branch to compare it with");
        p[i].position = p[0].branch.id ? p[0].branch.fork : p[1].branch.fork;
    }
    if (r == 0 && a.nwords < 2 && p[0].branch.id == p[1].branch.id && p[0].position == p[1].position)
        r = error_set(err, -EINVAL, "that is the end of the present branch, and so is the other place if none is named: name one");
    if (r == 0) {
        server_begin_search(a.s);
        r = stand_on_both(&a, p, &x, &y, err);
        server_end_search(a.s);
    }
    if (r == 0) {
        bool all = diff_all(&a, x, y);

        line_word(&a, "end", all ? "all" : "limit");
        line_place(&a, "from-branch", "from", &p[0]);
        line_place(&a, "to-branch", "to", &p[1]);
        line_end(&a);
    }
    for (unsigned i = 0; i < 2; i++)
        if (p[i].c)
            timeline_release(a.s->timeline, p[i].c);
    asked_finish(&a);
    return r;
}

/* ---- find ---- */

struct find {
    struct asked a;
    uint8_t bytes[FIND_MOST];
    size_t len;
    struct trap trap;          /* the bytes where they were found */
};

static int take_bytes(struct find *f, struct error *err)
{
    const char *text = f->a.words[0];
    size_t n = strlen(text);

    if (n % 2 || n > 2 * FIND_MOST || !n || strspn(text, "0123456789abcdefABCDEF") != n)
        return error_set(err, -EINVAL, "'%s' is no bytes: two hexadecimal digits each, at most %u", text, FIND_MOST);
    for (f->len = 0; f->len < n / 2; f->len++) {
        char digits[3] = {text[2 * f->len], text[2 * f->len + 1], 0};

        f->bytes[f->len] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return 0;
}

/* Where in memory the bytes are now, as storage traps say it. (What lies side by side in storage lies so in the guest's
 * physical memory, within a region.) 1: they are. 0: nowhere. */
static int find_now(struct find *f, const struct machine *m, struct error *err)
{
    const uint8_t *memory = memory_page(&m->memory, 0), *at = NULL;
    size_t size = (size_t)m->memory.pages.count << PAGE_SHIFT;

    for (size_t from = 0; !at && from < size; from += FIND_AT_ONCE) {
        size_t left = size - from, most = FIND_AT_ONCE + f->len - 1;

        if (server_interrupted(f->a.s))
            return error_set(err, -EINTR, "interrupted");
        at = memmem(memory + from, left < most ? left : most, f->bytes, f->len);
    }
    if (at)
        f->trap = (struct trap){.address = (uint64_t)(at - memory), .len = f->len, .kinds = TRAP_WRITE, .storage = true};
    return at != NULL;
}

/* The first checkpoint after `from` at which they are there, or the end of the stretch, between *before, at which they are
 * not, and *after. 1: found. 0: nowhere. */
static int find_stretch(struct find *f, struct machine *m, icount_t from, icount_t to, icount_t *before, icount_t *after,
                        struct error *err)
{
    struct timeline *tl = f->a.s->timeline;
    const struct checkpoint_store *store = timeline_checkpoints(tl);
    int r = timeline_scout_to(tl, from, err);

    *before = *after = from;
    while (r == 0) {
        const struct checkpoint *next = checkpoint_find(store, *after);

        r = find_now(f, m, err);
        if (r < 0)
            *after = *before; /* so far it was looked at */
        if (r || *after == to)
            return r;
        *before = *after;
        next = next ? checkpoint_next(store, next) : NULL;
        *after = next && next->position < to ? next->position : to;
        r = timeline_scout_to(tl, *after, err);
    }
    return r;
}

static bool note_found(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct find *f = ctx;
    bool there = !memcmp(memory_page(&m->memory, 0) + f->trap.address, f->bytes, f->len);

    return there && asked_note(ctx, m, hit, record);
}

static bool tell_found(void *ctx, icount_t position, const void *record)
{
    struct find *f = ctx;
    struct asked *a = &f->a;
    const struct noted *n = record;
    const struct machine *m = a->s->machine;
    paddr_t pa;

    line_decimal(a, "position", position);
    if (n)
        line_decimal(a, "cpu", n->hit.cpu);
    if (n && n->pc)
        line_hex(a, "pc", n->pc);
    if (physical_of(m, f->trap.address >> PAGE_SHIFT, &pa))
        line_hex(a, "address", pa | (f->trap.address & ~PAGE_MASK));
    if (!n)
        line_word(a, "by", "the beginning");
    else if (n->hit.writer)
        line_word(a, "by", n->hit.writer);
    line_end(a);
    return false;
}

/* When they came to be where they were found, in that stretch. */
static int find_moment(struct find *f, icount_t before, icount_t after, int *found, struct error *err)
{
    struct query q = {.traps = &f->trap, .ntraps = 1, .record_bytes = sizeof(struct noted), .note = note_found, .answer = tell_found};
    struct query_result result;
    icount_t from = f->a.from, to = f->a.to;
    int r;

    if (before == after) {
        *found = asked_holds(&f->a, timeline_scout(f->a.s->timeline, 0, err), f->a.s->cpu);
        if (*found)
            tell_found(f, before, NULL);
        return 0;
    }
    f->a.from = before;
    f->a.to = after;
    r = asked_run(&f->a, &q, &result, err);
    *found = r == 0 && result.answers; /* a condition may not hold then */
    f->a.from = from;
    f->a.to = to;
    return r;
}

int query_find(struct rsp_monitor_call *call, struct error *err)
{
    struct find f = {.len = 0};
    icount_t before = 0, after = 0, from, to;
    struct machine *m = NULL;
    int found = 0, r = asked_init(&f.a, call, 1, 1, err);
    const struct timeline *tl = f.a.s->timeline;

    from = f.a.from > timeline_first(tl) ? f.a.from : timeline_first(tl);
    to = f.a.to < timeline_edge(tl) ? f.a.to : timeline_edge(tl);
    if (r == 0)
        r = take_bytes(&f, err);
    if (r == 0 && f.a.newest)
        r = error_set(err, -EINVAL, "this looks for the first time: no newest");
    if (r == 0 && from > to)
        r = error_set(err, -ERANGE, "history ends at position %" PRIu64, to);
    if (r == 0 && !(m = timeline_scout(f.a.s->timeline, 0, err)))
        r = err->code;
    if (r == 0) {
        server_begin_search(f.a.s);
        found = find_stretch(&f, m, from, to, &before, &after, err);
        server_end_search(f.a.s);
        r = found < 0 ? found : 0;
    }
    if (r == 0 && found)
        r = find_moment(&f, before, after, &found, err);
    if (r == 0 || r == -EINTR) {
        line_word(&f.a, "end", r == 0 ? "all" : "interrupted");
        line_decimal(&f.a, "found", found > 0);
        line_decimal(&f.a, "from", from);
        line_decimal(&f.a, "to", r == 0 ? to : after);
        line_end(&f.a);
    }
    asked_finish(&f.a);
    return r == -EINTR ? 0 : r;
}
