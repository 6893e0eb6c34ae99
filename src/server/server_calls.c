/*
 * Queries that pair what begins with what ends: calls of a function and of the system, with arguments and results.
 *
 * A call returns where somebody comes to the place that it returns to with the stack pointer that it leaves behind. So a task
 * that sleeps within a function, an interrupt and a recursion are no trouble, and nothing is taken from how a
 * compiler builds stack frames. What returns only after the stretch that was asked for did not return.
 *
 * The oldest first, one pass finds both: calls, and who comes to one of the places that calls return to, as far as these are known. At
 * the first call from a new place it begins again from there, with that place, too: a function is called from few.
 *
 * Two searches for each batch, the calls, then, from the first of them on, their returns, are made where that is not possible, or
 * costs more: the newest first; with a condition (it may hold of few, and all returns would be looked at); where calls
 * come from very many places, or one that does not return keeps too many waiting.
 */
#include "server_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH      4096u  /* calls; in one pass, so many may wait for an older one to return */
#define POPPED     256u   /* bytes of arguments that a function may take off the stack */
#define ARGS       8u
#define PLACES     64u    /* of return, in one pass */

struct made {
    struct noted n;
    uint64_t ret;         /* where it returns to; 0: not known (SYSENTER) */
    uint64_t sp;          /* what the stack pointer is then */
    uint64_t root;        /* its address space */
    uint64_t args[ARGS], number;
    const struct cpu_abi *abi;
    icount_t returned;    /* ICOUNT_MAX: it did not */
    uint64_t result;
};

/* Somebody came by a place of return. */
struct back {
    uint64_t pc, sp, root, result;
};

/* One of both, in one pass. */
struct either {
    bool is_back;
    struct made made;
    struct back back;
};

struct calls {
    struct asked a;       /* first: the context of asked_note() */
    uint64_t entry;       /* of the function */
    struct trap traps[1 + PLACES]; /* in one pass: the entry, places of return that are known */
    unsigned nplaces;
    icount_t again;       /* a call that one pass could not take: from a new place, or too many wait; ICOUNT_MAX: there was none */
    uint64_t again_ret;   /* the place; 0: too many wait */
    size_t first;         /* in one pass: those before it were told */
    uint64_t limit, accepted; /* calls: told, or waiting */
    icount_t last;        /* position of the last of them */
    bool unwanted;        /* the debugger wants no more */
    bool system;
    uint64_t number;      /* of the system calls that are wanted, if not all */
    bool any;
    struct made *list;    /* this batch, by position once it is complete */
    size_t count;
    size_t *open;         /* indices of those that have begun and have not returned */
    size_t nopen, begun, closed;
    uint64_t told;        /* in all batches */
};

static unsigned nargs(const struct cpu_abi *abi, bool system)
{
    const char *const *names = system ? abi->syscall_args : abi->args;
    unsigned n = 0;

    while (n < ARGS && names[n])
        n++;
    if (!system)
        n += abi->stack_args < ARGS - n ? abi->stack_args : ARGS - n;
    return n;
}

static void read_args(const struct machine *m, const struct cpu *cpu, struct made *c, bool system, uint64_t sp)
{
    const char *const *names = system ? c->abi->syscall_args : c->abi->args;
    unsigned n = 0;

    for (; n < ARGS && names[n]; n++)
        c->args[n] = asked_register(cpu, names[n]);
    if (!c->abi->link)
        sp += c->abi->word;
    for (unsigned i = 0; !system && n < ARGS && i < c->abi->stack_args; i++, n++)
        server_read_memory(m, cpu, false, sp + i * c->abi->word, &c->args[n], c->abi->word);
}

static uint64_t root_of(const struct cpu *cpu, const struct cpu_abi *abi)
{
    return asked_register(cpu, abi->root) & abi->root_mask;
}

/* ---- beginnings ---- */

static bool note_call(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct calls *k = ctx;
    const struct cpu *cpu = m->cpus[hit->cpu];
    struct made *c = record;

    if (!cpu->ops->abi || !asked_note(ctx, m, hit, record))
        return false;
    c->abi = cpu->ops->abi(cpu, k->a.registers);
    c->root = root_of(cpu, c->abi);
    c->sp = c->n.sp;
    if (c->abi->link) {
        c->ret = asked_register(cpu, c->abi->link);
    } else {
        server_read_memory(m, cpu, false, c->sp, &c->ret, c->abi->word);
        c->sp += c->abi->word;
    }
    read_args(m, cpu, c, false, c->n.sp);
    return true;
}

static bool note_syscall(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    static const uint8_t lengths[] = {[TRAP_INT] = 2, [TRAP_SYSENTER] = 0, [TRAP_SYSCALL_INSN] = 2, [TRAP_SVC] = 4};
    const struct calls *k = ctx;
    const struct cpu *cpu = m->cpus[hit->cpu];
    struct made *c = record;

    if (!cpu->ops->abi || !asked_note(ctx, m, hit, record))
        return false;
    c->abi = cpu->ops->abi(cpu, true);
    if (c->abi->before_64 && (hit->number == TRAP_INT || hit->number == TRAP_SYSENTER))
        c->abi = c->abi->before_64;
    c->root = root_of(cpu, c->abi);
    c->sp = hit->address;
    c->ret = lengths[hit->number] ? hit->pc + lengths[hit->number] : 0;
    c->number = asked_register(cpu, c->abi->syscall_number);
    read_args(m, cpu, c, true, 0);
    return k->any || c->number == k->number;
}

static bool take_begun(void *ctx, icount_t position, const void *record)
{
    struct calls *k = ctx;

    (void)position;
    k->list[k->count] = *(const struct made *)record;
    k->list[k->count++].returned = ICOUNT_MAX;
    return k->count < BATCH;
}

/* ---- ends ---- */

static bool note_back(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct calls *k = ctx;
    const struct cpu *cpu = m->cpus[hit->cpu];
    const struct cpu_abi *abi = cpu->ops->abi(cpu, k->a.registers);
    struct back *b = record;

    if (hit->kind == TRAP_MODE && !(cpu->ops->mode_is_user && cpu->ops->mode_is_user(hit->number)))
        return false;
    b->pc = cpu->ops->pc(cpu);
    b->sp = asked_register(cpu, cpu->ops->regs[cpu->ops->sp_reg].name);
    b->root = root_of(cpu, abi);
    b->result = asked_register(cpu, abi->result);
    return true;
}

/* In a kernel's half of the addresses, all address spaces are one. */
static bool same_space(const struct made *c, uint64_t root)
{
    return c->sp >> (c->abi->word * 8 - 1) || c->root == root;
}

static bool ends(const struct calls *k, const struct made *c, const struct back *b)
{
    uint64_t popped = !k->system && c->abi->pops_args ? POPPED : 0;

    if (c->ret ? c->ret != b->pc : c->n.pc == b->pc)
        return false;
    return b->sp - c->sp <= popped && same_space(c, b->root);
}

static bool take_back(void *ctx, icount_t position, const void *record)
{
    struct calls *k = ctx;
    const struct back *b = record;

    while (k->begun < k->count && k->list[k->begun].n.hit.position < position)
        k->open[k->nopen++] = k->begun++;
    for (size_t i = k->nopen; i-- > 0;) {
        struct made *c = &k->list[k->open[i]];

        if (!ends(k, c, b))
            continue;
        c->returned = position + k->system; /* the step that returns has been made */
        c->result = b->result & (c->abi->word < 8 ? UINT32_MAX : UINT64_MAX);
        memmove(&k->open[i], &k->open[i + 1], (k->nopen - 1 - i) * sizeof(k->open[0]));
        k->nopen--;
        k->closed++;
        break;
    }
    return k->closed < k->count;
}

/* ---- both in one pass ---- */

static bool tell(struct calls *k, const struct made *c);

static bool note_either(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct calls *k = ctx;
    struct either *e = record;

    if (k->system && hit->kind == TRAP_SYSCALL)
        return note_syscall(ctx, m, hit, &e->made);
    if (!k->system && hit->address == k->entry)
        return note_call(ctx, m, hit, &e->made);
    e->is_back = true;
    return note_back(ctx, m, hit, &e->back);
}

/* Those that have returned are told, up to the first that has not. */
static bool tell_returned(struct calls *k)
{
    while (k->first < k->count && k->list[k->first].returned != ICOUNT_MAX) {
        k->told++;
        if (!tell(k, &k->list[k->first++])) {
            k->unwanted = true;
            return false;
        }
    }
    if (k->first == k->count)
        k->first = k->count = 0;
    return true;
}

/* Somebody came back: the innermost call that this ends is told how. */
static void end_one(struct calls *k, icount_t position, const struct back *b)
{
    for (size_t i = k->nopen; i-- > 0;) {
        struct made *c = &k->list[k->open[i]];

        if (c->n.hit.position >= position || !ends(k, c, b))
            continue;
        c->returned = position + k->system;
        c->result = b->result & (c->abi->word < 8 ? UINT32_MAX : UINT64_MAX);
        memmove(&k->open[i], &k->open[i + 1], (k->nopen - 1 - i) * sizeof(k->open[0]));
        k->nopen--;
        return;
    }
}

/* Room for one more that waits. */
static bool make_room(struct calls *k)
{
    if (k->count < BATCH)
        return true;
    if (k->first < BATCH / 2)
        return false;
    memmove(k->list, k->list + k->first, (k->count - k->first) * sizeof(k->list[0]));
    for (size_t i = 0; i < k->nopen; i++)
        k->open[i] -= k->first;
    k->count -= k->first;
    k->first = 0;
    return true;
}

static bool is_known(const struct calls *k, uint64_t place)
{
    for (unsigned i = 1; i <= k->nplaces; i++)
        if (k->traps[i].address == place)
            return true;
    return k->system;
}

static bool take_either(void *ctx, icount_t position, const void *record)
{
    struct calls *k = ctx;
    const struct either *e = record;
    bool full = k->limit && k->accepted == k->limit;

    if (e->is_back) {
        end_one(k, position, &e->back);
        return tell_returned(k) && !(full && !k->nopen);
    }
    if (full)
        return k->nopen;
    k->again_ret = is_known(k, e->made.ret) ? 0 : e->made.ret;
    if (k->again_ret || !make_room(k)) {
        k->again = position;
        return false;
    }
    k->list[k->count] = e->made;
    k->list[k->count].returned = ICOUNT_MAX;
    k->open[k->nopen++] = k->count++;
    k->accepted++;
    k->last = position;
    return true;
}

static int compare_traps(const void *a, const void *b)
{
    uint64_t x = ((const struct trap *)a)->address, y = ((const struct trap *)b)->address;

    return (x > y) - (x < y);
}

/* Execution traps on all places that calls of this batch return to. */
static unsigned places_of_return(const struct calls *k, struct trap *traps)
{
    unsigned n = 0;

    for (size_t i = 0; i < k->count; i++)
        traps[i] = (struct trap){.address = k->list[i].ret, .len = 1, .kinds = TRAP_EXEC};
    qsort(traps, k->count, sizeof(traps[0]), compare_traps);
    for (size_t i = 0; i < k->count; i++)
        if (!n || traps[n - 1].address != traps[i].address)
            traps[n++] = traps[i];
    return n;
}

/* Who called one that stands there now, with its place of return as the next instruction? */
static void end_here(struct calls *k, const struct machine *m)
{
    for (size_t i = k->count; i-- > 0;) {
        struct made *c = &k->list[i];
        const struct cpu *cpu = m->cpus[c->n.hit.cpu];
        const struct back b = {.pc = cpu->ops->pc(cpu), .sp = asked_register(cpu, cpu->ops->regs[cpu->ops->sp_reg].name),
                               .root = root_of(cpu, c->abi), .result = asked_register(cpu, c->abi->result)};

        if (c->returned != ICOUNT_MAX || c->n.hit.position >= m->st->position || !ends(k, c, &b))
            continue;
        c->returned = m->st->position;
        c->result = b.result & (c->abi->word < 8 ? UINT32_MAX : UINT64_MAX);
        k->closed++;
    }
}

/* A debugger that calls a function has it return to a breakpoint, and there it writes the registers as they were: nobody
 * begins an instruction at that place. So whoever has not returned is looked for where the step is not an instruction's. */
static int find_ends_at_writes(struct calls *k, struct error *err)
{
    struct timeline *tl = k->a.s->timeline;
    const struct event_log *log = timeline_log(tl);
    struct machine *m = NULL;
    const struct event *e;
    icount_t before = ICOUNT_MAX;
    int r = 0;

    for (uint64_t n = event_log_find(log, k->list[0].n.hit.position + 1);
         r == 0 && k->closed < k->count && (e = event_log_get(log, n)) && e->position <= k->a.to; n++) {
        if (e->kind != EVENT_WRITE_REGISTER && e->kind != EVENT_WRITE_MEMORY)
            continue;
        /* (Between two of them that follow on each other no instruction was made.) */
        if (e->position != before + 1 && !m)
            r = (m = timeline_scout(tl, 0, err)) ? 0 : err->code;
        if (r == 0 && e->position != before + 1)
            r = timeline_scout_to(tl, e->position, err);
        if (r == 0 && e->position != before + 1)
            end_here(k, m);
        before = e->position;
    }
    return r;
}

/* The calls of the batch return. */
static int find_ends(struct calls *k, struct error *err)
{
    struct asked all = k->a;
    struct trap *traps = xcalloc(k->count, sizeof(*traps));
    struct query q = {.record_bytes = sizeof(struct back), .note = note_back, .answer = take_back};
    struct query_result result;
    int r;

    k->a.from = k->list[0].n.hit.position;
    k->a.newest = false;
    k->a.limit = 0;
    k->nopen = k->begun = k->closed = 0;
    if (k->system) {
        q.notes = TRAP_MODE;
    } else {
        q.traps = traps;
        q.ntraps = places_of_return(k, traps);
    }
    r = asked_run(&k->a, &q, &result, err);
    k->a.from = all.from;
    k->a.newest = all.newest;
    k->a.limit = all.limit;
    free(traps);
    if (r == 0 && result.end == QUERY_ALL && !k->system && k->closed < k->count) {
        server_begin_search(k->a.s);
        r = find_ends_at_writes(k, err);
        server_end_search(k->a.s);
    }
    return r;
}

/* ---- telling ---- */

static bool tell(struct calls *k, const struct made *c)
{
    static const char *const how[] = {[TRAP_INT] = "int", [TRAP_SYSENTER] = "sysenter", [TRAP_SYSCALL_INSN] = "syscall",
                                      [TRAP_SVC] = "svc"};
    struct asked *a = &k->a;
    unsigned n = nargs(c->abi, k->system);

    line_decimal(a, "position", c->n.hit.position);
    line_decimal(a, "cpu", c->n.hit.cpu);
    line_hex(a, "pc", c->n.pc);
    if (k->system) {
        line_word(a, "kind", how[c->n.hit.number]);
        line_decimal(a, "number", c->number);
    } else {
        line_hex(a, "return", c->ret);
    }
    for (unsigned i = 0; i < n; i++) {
        char name[sizeof "arg4294967295"];

        snprintf(name, sizeof name, "arg%u", i);
        line_hex(a, name, c->args[i]);
    }
    if (c->returned == ICOUNT_MAX) {
        line_word(a, "returned", "no");
    } else {
        line_decimal(a, "returned", c->returned);
        line_hex(a, "result", c->result);
    }
    return line_end(a);
}

static void turn_round(struct calls *k)
{
    for (size_t i = 0; i < k->count / 2; i++) {
        struct made c = k->list[i];

        k->list[i] = k->list[k->count - 1 - i];
        k->list[k->count - 1 - i] = c;
    }
}

/* Batch by batch. */
static int all_batches(struct calls *k, struct query *q, struct query_result *result, struct error *err)
{
    uint64_t limit = k->a.limit;
    icount_t from = k->a.from, to = k->a.to;
    struct query_result whole = {.from = ICOUNT_MAX};
    bool more = true, full;
    int r;

    do {
        k->count = 0;
        k->a.limit = limit ? limit - k->told : 0;
        r = asked_run(&k->a, q, result, err);
        if (r < 0)
            return r;
        full = k->count == BATCH;
        whole.from = result->from < whole.from ? result->from : whole.from;
        whole.to = result->to > whole.to ? result->to : whole.to;
        if (k->a.newest)
            turn_round(k);
        /* (Calls of a batch return in all of the stretch.) */
        k->a.to = to;
        r = k->count ? find_ends(k, err) : 0;
        if (r < 0)
            return r;
        for (size_t i = 0; i < k->count && more; i++) {
            more = tell(k, &k->list[k->a.newest ? k->count - 1 - i : i]);
            k->told++;
        }
        if (full && k->a.newest)
            k->a.to = k->list[0].n.hit.position;
        else if (full)
            k->a.from = k->list[k->count - 1].n.hit.position + 1;
    } while (more && full && result->end == QUERY_ENOUGH && k->told != limit);
    result->answers = k->told;
    result->from = whole.from;
    result->to = whole.to;
    k->a.from = from;
    k->a.to = to;
    return 0;
}

/* Have it looked for, with the places of return that come up. */
static int pass(struct calls *k, struct query_result *result, struct error *err)
{
    struct query q = {.record_bytes = sizeof(struct either), .note = note_either, .answer = take_either};
    int r;

    for (;;) {
        k->again = ICOUNT_MAX;
        if (k->system)
            q.notes = TRAP_SYSCALL | TRAP_MODE;
        q.traps = k->traps;
        q.ntraps = k->system ? 0 : 1 + k->nplaces;
        r = asked_run(&k->a, &q, result, err);
        if (r < 0 || k->again == ICOUNT_MAX || result->end == QUERY_INTERRUPTED || !k->again_ret || k->nplaces == PLACES ||
            k->again_ret == k->entry)
            return r;
        k->traps[++k->nplaces] = (struct trap){.address = k->again_ret, .len = 1, .kinds = TRAP_EXEC};
        k->a.from = k->again;
    }
}

/* The pass is over: what of those that wait returned in other ways. */
static int end_waiting(struct calls *k, struct error *err)
{
    int r = 0;

    memmove(k->list, k->list + k->first, (k->count - k->first) * sizeof(k->list[0]));
    k->count -= k->first;
    k->first = 0;
    if (!k->count)
        return 0;
    if (k->again != ICOUNT_MAX)
        return find_ends(k, err);
    k->closed = 0;
    for (size_t i = 0; i < k->count; i++)
        k->closed += k->list[i].returned != ICOUNT_MAX;
    if (!k->system && k->closed < k->count) {
        server_begin_search(k->a.s);
        r = find_ends_at_writes(k, err);
        server_end_search(k->a.s);
    }
    return r;
}

/* The oldest first: in one pass, and what that cannot take in batches. */
static int in_one_pass(struct calls *k, struct query *q, struct query_result *result, struct error *err)
{
    icount_t from = k->a.from, first = timeline_first(k->a.s->timeline);
    int r;

    k->limit = k->a.limit;
    k->a.limit = 0;
    k->traps[0] = (struct trap){.address = k->entry, .len = 1, .kinds = TRAP_EXEC};
    r = pass(k, result, err);
    if (r == 0 && result->end != QUERY_INTERRUPTED && !k->unwanted) {
        r = end_waiting(k, err);
        for (size_t i = 0; r == 0 && i < k->count && !k->unwanted; i++) {
            k->unwanted = !tell(k, &k->list[i]);
            k->told++;
        }
    } else if (k->first < k->count) {
        result->to = k->list[k->first].n.hit.position;
    }
    k->a.limit = k->limit;
    if (r == 0 && result->end != QUERY_INTERRUPTED && !k->unwanted && k->again != ICOUNT_MAX) {
        k->a.from = k->again;
        r = all_batches(k, q, result, err);
    } else if (k->limit && k->told == k->limit) {
        result->end = QUERY_ENOUGH;
        result->to = k->last;
    }
    k->a.from = from;
    result->from = from > first ? from : first;
    result->answers = k->told;
    return r;
}

static int answer(struct calls *k, struct query *q, const char *what, struct error *err)
{
    struct query_result result;
    int r;

    q->record_bytes = sizeof(struct made);
    q->answer = take_begun;
    k->list = xcalloc(BATCH, sizeof(k->list[0]));
    k->open = xcalloc(BATCH, sizeof(k->open[0]));
    r = k->a.newest || k->a.conditional ? all_batches(k, q, &result, err) : in_one_pass(k, q, &result, err);
    if (r == 0)
        asked_tell_end(&k->a, what, &result);
    free(k->list);
    free(k->open);
    return r;
}

int query_calls(struct rsp_monitor_call *call, struct error *err)
{
    struct calls k = {.system = false};
    struct trap trap = {.len = 1, .kinds = TRAP_EXEC};
    struct query q = {.traps = &trap, .ntraps = 1, .note = note_call};
    int r = asked_init(&k.a, call, 1, 1, err);

    if (r == 0)
        r = asked_number(&k.a, 0, "address", &trap.address, err);
    k.entry = trap.address;
    if (r == 0)
        r = answer(&k, &q, "calls", err);
    asked_finish(&k.a);
    return r;
}

int query_syscalls(struct rsp_monitor_call *call, struct error *err)
{
    struct calls k = {.system = true, .any = true};
    struct query q = {.notes = TRAP_SYSCALL, .note = note_syscall};
    int r = asked_init(&k.a, call, 0, 1, err);
    unsigned bits = k.a.s->machine->cpus[0]->ops->address_bits; /* as many as the register */

    if (r == 0 && k.a.nwords) {
        k.any = false;
        r = asked_number(&k.a, 0, "number of a system call", &k.number, err);
        if (r == 0 && bits < 64 && k.number >> bits)
            r = error_set(err, -ERANGE, "there is no system call %s: a number has %u bits", k.a.words[0], bits);
    }
    if (r == 0)
        r = answer(&k, &q, "syscalls", err);
    asked_finish(&k.a);
    return r;
}
