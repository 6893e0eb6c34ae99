/*
 * The run loop of a translating CPU.
 *
 * Budget: cpu.limit - cpu.budget is where the machine will stand when the block
 * in progress is complete. To get control back soon, part of the budget is
 * withheld: taken off both, so that no position changes, and given back at the
 * head of the loop. An instruction to be run by itself is a block of one
 * step with all the rest of the budget withheld; so every way out of it ends
 * here. (Unless all of a repeated instruction is wanted: then it has all of the budget.
 * Blocks of one step that are to be run by themselves are not chained.)
 */
#include "vm/exec_priv.h"
#include "vm/jit/jit.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/page_set.h"

#include <stdlib.h>
#include <string.h>

/* ---- budget ---- */

static void withhold(struct ucpu *c, uint64_t steps)
{
    c->exec->withheld += steps;
    c->cpu.limit -= steps;
    c->cpu.budget -= steps;
}

static void release(struct ucpu *c)
{
    if (!c->exec->withheld)
        return; /* most often; budget and limit were just written by themselves, and would be waited for */
    c->cpu.limit += c->exec->withheld;
    c->cpu.budget += c->exec->withheld;
    c->exec->withheld = 0;
}

void exec_leave_soon(const struct exec_shared *sh)
{
    struct cpu *cpu = sh->machine->runner;

    if (cpu->running)
        withhold(ucpu_of(cpu), cpu->budget);
}

uint64_t ucpu_rep_room(const struct ucpu *c)
{
    return c->cpu.budget;
}

void ucpu_rep_used(struct ucpu *c, uint64_t extra_steps)
{
    CHECK(extra_steps <= c->cpu.budget);
    c->cpu.budget -= extra_steps;
}

void ucpu_yield(struct ucpu *c)
{
    if (machine_yield(&c->cpu, c->cpu.limit - c->cpu.budget - 1))
        exec_leave_soon(c->exec->shared);
}

/* ---- standing between two steps ---- */

/* Bring everything to the form in which others may look: the machine stands. */
static void stand(struct ucpu *c)
{
    c->fe->settle(c);
    c->cpu.running = false;
    machine_stand(c->cpu.machine, c->cpu.limit - c->cpu.budget);
}

static void resume(struct ucpu *c)
{
    c->cpu.running = true;
}

/* Tell the observer; true: stop. */
static bool report(struct ucpu *c, const struct trap_hit *hit)
{
    bool stop;

    stand(c);
    stop = traps_report(c->cpu.machine, hit);
    resume(c);
    return stop;
}

/* ---- traps ---- */

static void copy_list(struct trap_copy *to, const struct trap *list, unsigned count)
{
    free(to->list);
    to->list = NULL;
    to->count = count;
    if (!count)
        return;
    to->list = xmalloc(count * sizeof(list[0]));
    memcpy(to->list, list, count * sizeof(list[0]));
}

static bool has_exec(const struct trap *list, unsigned count, uint64_t va)
{
    struct traps t = {.list = (struct trap *)list, .count = count};

    return traps_have_exec(&t, va);
}

static unsigned count_exec(const struct trap_copy *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->count; i++)
        n += (t->list[i].kinds & TRAP_EXEC) != 0;
    return n;
}

/* Addresses of execution traps in one list and not in the other. */
static unsigned exec_only_in(const struct trap *list, unsigned count, const struct trap *other,
                             unsigned nother, uint64_t *vas)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        if ((list[i].kinds & TRAP_EXEC) && !has_exec(other, nother, list[i].address))
            vas[n++] = list[i].address;
    return n;
}

static bool access_traps_differ(const struct trap_copy *t, const struct trap *list, unsigned count)
{
    const unsigned kinds = TRAP_READ | TRAP_WRITE;
    unsigned i = 0, k = 0;

    for (;; i++, k++) {
        while (i < t->count && !(t->list[i].kinds & kinds))
            i++;
        while (k < count && !(list[k].kinds & kinds))
            k++;
        if (i == t->count || k == count)
            return i != t->count || k != count;
        if (t->list[i].address != list[k].address || t->list[i].len != list[k].len ||
            t->list[i].kinds != list[k].kinds || t->list[i].storage != list[k].storage || t->list[i].loads != list[k].loads)
            return true;
    }
}

/* A list of traps is now `list`: drop the blocks that were made for the old one. True: what is cached
 * of translations must be dropped, too. */
static bool change_traps(struct exec_shared *sh, struct trap_copy *t, const struct trap *list, unsigned count)
{
    uint64_t *vas = xmalloc((t->count + count) * sizeof(vas[0]));
    unsigned n = exec_only_in(t->list, t->count, list, count, vas);
    bool access = access_traps_differ(t, list, count);

    n += exec_only_in(list, count, t->list, t->count, vas + n);
    sh->nexec -= count_exec(t);
    copy_list(t, list, count);
    sh->nexec += count_exec(t);
    if (n)
        block_drop_at(sh, vas, n);
    free(vas);
    return access;
}

static void look_at_traps(struct exec_shared *sh)
{
    const struct traps *t = sh->machine->traps;

    if (t->generation == sh->traps_generation)
        return;
    sh->traps_generation = t->generation;
    if (change_traps(sh, &sh->observer, t->list, t->count))
        tlb_flush_all(sh);
}

void ucpu_set_guest_traps(struct ucpu *c, const struct trap *list, unsigned count)
{
    if (change_traps(c->exec->shared, &c->exec->guest, list, count))
        ucpu_flush_tlb(c);
}

/* The step just made touched watched bytes: tell the guest's own debug unit, then the
 * observer. True: stop. */
static bool report_hits(struct ucpu *c)
{
    struct exec *x = c->exec;
    unsigned n = c->npending_hits;
    bool stop = false;

    c->npending_hits = 0;
    x->look = true;
    for (unsigned i = 0; i < n; i++)
        if (x->hits[i].guest && c->fe->guest_watch)
            c->fe->guest_watch(c, &x->hits[i].hit);
    for (unsigned i = 0; i < n; i++)
        if (!x->hits[i].guest)
            stop |= report(c, &x->hits[i].hit);
    return stop;
}

/* ---- steps that are not instructions ---- */

static void begin_step(struct ucpu *c)
{
    c->cpu.budget--;
    c->cpu.steps = 1;
}

/* The step is an entry, before the instruction that the PC names. */
static void begin_entry(struct ucpu *c)
{
    begin_step(c);
    c->block = NULL;
    c->exec->entry_pc = c->cpu.ops->pc(&c->cpu);
}

static void take_exception(struct ucpu *c)
{
    c->npending_hits = 0;
    c->retry_alone = false;
    begin_entry(c);
    c->cpu.machine->acting = "an exception's entry";
    c->fe->take_exception(c);
    c->cpu.machine->acting = NULL;
    c->cpu.steps = 0;
    c->exec->look = true;
    c->exec->shared->link_from = NULL;
}

/* False: it was not a step after all. */
static bool take_event(struct ucpu *c)
{
    bool done;

    begin_entry(c);
    c->cpu.machine->acting = "an interrupt's entry";
    done = c->fe->take_event(c);
    c->cpu.machine->acting = NULL;
    c->cpu.steps = 0;
    if (!done)
        c->cpu.budget++;
    c->retry_alone = false;
    c->exec->shared->link_from = NULL;
    return done;
}

/* ---- instructions ---- */

/* A guest execution trap on the next instruction raised an exception instead. */
static bool guest_breaks(struct ucpu *c, const struct block_key *key)
{
    const struct trap_copy *g = &c->exec->guest;
    struct trap_hit hit;

    if (!g->count || !c->fe->guest_break || !has_exec(g->list, g->count, key->va))
        return false;
    if (c->cpu.ops->in_progress && c->cpu.ops->in_progress(&c->cpu) != ICOUNT_MAX)
        return false;
    hit = (struct trap_hit){.kind = TRAP_EXEC, .cpu = c->cpu.index, .position = c->cpu.limit - c->cpu.budget, .address = key->va};
    return c->fe->guest_break(c, &hit);
}

/* The observer has a trap on the next instruction and was not asked yet at this position. */
static bool must_ask(const struct ucpu *c, const struct block_key *key)
{
    const struct traps *t = c->cpu.machine->traps;

    if (!c->exec->shared->nexec || !traps_have_exec(t, key->va) || t->asked == c->cpu.limit - c->cpu.budget)
        return false;
    return !c->cpu.ops->in_progress || c->cpu.ops->in_progress(&c->cpu) == ICOUNT_MAX;
}

/* The block that starts with the next instruction. NULL: its fetch faults. */
static struct block *next_block(struct ucpu *c, const struct block_key *key, bool alone)
{
    struct exec *x = c->exec;
    struct block *b = jump_block(x->shared, key->pc, key->mode, alone);

    if (b->key.pc == key->pc && b->key.mode == key->mode && b->key.va == key->va && b->alone == alone &&
        block_is_mapped(c, b))
        return b;
    if (!alone)
        x->shared->stats.jump_misses++;
    b = translate(c, key, alone);
    if (!b || b->alone != alone || b->page[0] == NO_PAGE || b->trapped || c->no_cache)
        return b;
    block_found_by_jumps(x->shared, b);
    return b;
}

/* Give back the steps from the faulting instruction on; the machine stands before it. */
static void stand_at_fault(struct ucpu *c)
{
    struct block *b = c->block;
    unsigned at = (unsigned)(c->exec->fault_uop - b->uops);
    unsigned i = b->steps - 1u;

    while (i > 0 && b->insns[i].first_uop > at)
        i--;
    c->cpu.budget += b->steps - i;
    c->fe->set_pc(c, (b->key.pc + b->insns[i].pc_offset) & c->exec->va_mask);
    if (c->retry_alone && c->exec->io_refused)
        translate_note_io(c->exec->shared, b, i);
    c->exec->io_refused = false;
}

/* The block of one instruction in progress was run, if somebody asks. */
static void note_coverage(const struct ucpu *c)
{
    struct page_set *coverage = c->cpu.machine->coverage;

    if (coverage)
        page_set_add(coverage, (c->block->key.va << COVERAGE_LEN_BITS) + c->block->len);
}

/* What a block's run led to. `stepping`: single_step() held when it began; then no block is noted if its first one was not
 * entered: looking for it, or noting that it is run, may have taken the budget away. */
static void after_block(struct ucpu *c, enum left left, bool stepping)
{
    struct exec *x = c->exec;

    x->shared->link_from = NULL;
    switch (left) {
    case LEFT_BUDGET:
        c->fe->set_pc(c, x->go_pc);
        break;
    case LEFT_GO:
        c->fe->set_pc(c, x->go_pc);
        x->shared->link_from = c->block;
        x->shared->link_edge = x->go_edge;
        break;
    case LEFT_EXIT:
        c->fe->set_pc(c, x->go_pc);
        x->look = true;
        break;
    case LEFT_LEAVE:
        x->look = true;
        break;
    case LEFT_FAULT:
        stand_at_fault(c);
        c->cpu.steps = 0;
        if (c->retry_alone) {
            c->retry_alone = false;
            c->npending_hits = 0;
            x->retry = true;
            x->look = true; /* in mid-block the CPU may have come to where it is to be stepped */
        } else {
            if (c->fe->retires && c->fe->retires(c))
                note_coverage(c);
            take_exception(c);
        }
        return;
    case LEFT_TURN:
    case LEFT_UNCHAINED:
        CHECK(!"left an engine for the other");
    }
    if (left != LEFT_BUDGET)
        note_coverage(c);
    c->cpu.steps = 0;
    c->retry_alone = false;
    if (stepping && c->block && c->fe->stepped) {
        c->fe->stepped(c);
        x->look = true;
    }
}

static enum left engine(struct ucpu *c, struct block *b)
{
    struct jit *jit = c->exec->shared->jit;

    if (jit && !b->alone && !c->no_cache)
        return jit_run(jit, c, b);
    return c->plain_switch ? interp_run_switch(c, b) : interp_run(c, b);
}

/* Is it clear that nothing but an instruction comes next, and that it need not be run by itself? */
static bool is_quiet(const struct ucpu *c)
{
    const struct frontend *fe = c->fe;

    if (fe->quiet)
        return fe->quiet(c);
    return !fe->event_ready(c) && !(c->cpu.ops->idle && c->cpu.ops->idle(&c->cpu)) && !(fe->single_step && fe->single_step(c));
}

/* The machine stands between two instructions: the block that the head of the run loop and make_steps() would come to
 * now. NULL: something else comes first, or it is not at hand. (Blocks with traps are not in the jump cache.) */
static struct block *go_on(struct ucpu *c)
{
    struct exec *x = c->exec;
    struct block_key key;
    struct block *b;

    if (!x->plain || x->stepping || x->retry || c->cpu.attention || c->npending_hits || x->shared->tlb_short || !is_quiet(c))
        return NULL;
    release(c);
    c->fe->where(c, &key);
    b = jump_block(x->shared, key.pc, key.mode, false);
    if (b->key.pc != key.pc || b->key.mode != key.mode || b->key.va != key.va || b->alone || b->steps > c->cpu.budget ||
        !block_is_mapped(c, b))
        return NULL;
    x->look = false;
    return b;
}

struct block *exec_go_on(struct ucpu *c, enum left left)
{
    struct exec *x = c->exec;

    x->left = left;
    if (!x->plain)
        return NULL;
    x->left = LEFT_LEAVE;
    if (left == LEFT_EXIT)
        c->fe->set_pc(c, x->go_pc);
    c->cpu.steps = 0;
    c->retry_alone = false;
    return go_on(c);
}

/* Run the block, and those that follow exceptions and blocks alone, as long as nothing else is to be done. */
static void run_block(struct ucpu *c, struct block *b)
{
    struct exec *x = c->exec;
    bool stepping = x->stepping, alone;
    enum left left;

    if (x->shared->link_from && !b->alone)
        block_link(x->shared, x->shared->link_from, x->shared->link_edge, b);
    do {
        x->shared->link_from = NULL;
        alone = b->alone;
        if (alone) {
            x->shared->stats.alone++;
            if (!c->cpu.to_boundary && !x->repeating)
                withhold(c, c->cpu.budget - 1);
        }
        if (stepping)
            c->block = NULL;
        left = engine(c, b);
        after_block(c, left, stepping);
        b = left == LEFT_FAULT || (alone && left != LEFT_BUDGET) ? go_on(c) : NULL;
        x->repeating = false;
    } while (b);
}

/* Ask the observer about the next instruction, if there is one: if its fetch faults, none begins.
 * Nothing may have happened yet that the guest could see. False: stop before it. */
static bool ask(struct ucpu *c, const struct block_key *key)
{
    struct trap_hit hit = {.kind = TRAP_EXEC, .cpu = c->cpu.index, .position = c->cpu.limit - c->cpu.budget,
                           .address = key->va};
    struct block *b;

    c->exec->only_looking = true;
    b = translate(c, key, true);
    c->exec->only_looking = false;
    return !b || !report(c, &hit);
}

/* Make at least one step. False: a trap stops the run before it. */
static bool make_steps(struct ucpu *c)
{
    struct exec *x = c->exec;
    struct block_key key;
    struct block *b;
    bool one = c->single || x->retry || c->cpu.to_boundary || c->cpu.machine->coverage, alone = one || x->stepping;

    x->repeating = x->stepping && !one && c->fe->repeats && c->fe->repeats(c);
    x->retry = false;
    c->fe->where(c, &key);
    if (guest_breaks(c, &key)) {
        take_exception(c);
        return true;
    }
    if (must_ask(c, &key) && !ask(c, &key))
        return false;
    b = next_block(c, &key, alone);
    if (b && !b->alone && (b->steps > c->cpu.budget || c->no_cache))
        x->shared->link_from = NULL;
    if (b && b->steps > c->cpu.budget)
        b = next_block(c, &key, true);
    if (!b) {
        take_exception(c);
        return true;
    }
    run_block(c, b);
    return true;
}

/* Is this as far as a run to the end of an instruction goes? It began at `start`. */
static bool made_instruction(const struct ucpu *c, icount_t start)
{
    const struct cpu *cpu = &c->cpu;

    return cpu->to_boundary && cpu->limit - cpu->budget != start &&
           (!cpu->ops->in_progress || cpu->ops->in_progress(cpu) == ICOUNT_MAX);
}

/* Look at what may come before the next instruction. True: something was done, or the
 * CPU sleeps (*idle). */
static bool look_around(struct ucpu *c, bool *idle)
{
    struct exec *x = c->exec;

    if (c->fe->event_ready(c) && take_event(c))
        return true;
    if (c->cpu.ops->idle && c->cpu.ops->idle(&c->cpu)) {
        *idle = true;
        return true;
    }
    x->stepping = c->fe->single_step && c->fe->single_step(c);
    x->look = false;
    return false;
}

void ucpu_run(struct cpu *cpu, icount_t until)
{
    struct ucpu *c = (struct ucpu *)(void *)cpu;
    struct exec *x = c->exec;
    icount_t start = cpu->machine->st->position;
    bool idle = false;

    CHECK(!cpu->running && until >= cpu->machine->st->position);
    cpu->limit = until;
    cpu->budget = until - start;
    cpu->steps = 0;
    c->block = NULL;
    c->retry_alone = false;
    c->npending_hits = 0;
    x->look = true;
    x->retry = false;
    x->withheld = 0;
    x->plain = !(c->single || c->no_cache || cpu->to_boundary || cpu->machine->coverage);
    x->shared->link_from = NULL;
    look_at_traps(x->shared);
    resume(c);
    for (;;) {
        release(c);
        tlb_grow(x->shared);
        if (c->npending_hits && report_hits(c))
            break;
        if (cpu->attention || !cpu->budget || made_instruction(c, start))
            break;
        if (x->look && look_around(c, &idle)) {
            if (idle)
                break;
            continue;
        }
        if (!make_steps(c))
            break;
    }
    release(c);
    stand(c);
    c->block = NULL;
}

/* ---- for targets ---- */

uint64_t ucpu_step_pc(const struct cpu *cpu)
{
    const struct ucpu *c = (const struct ucpu *)(const void *)cpu;
    const struct block *b = c->block;
    uint64_t va;

    if (!b)
        return c->exec->entry_pc;
    va = b->key.va + b->insns[b->steps - 1].pc_offset;
    return b->key.va >> 32 ? va : va & c->exec->va_mask; /* which may be that of the mode that the instruction has changed to */
}

void ucpu_drop_derived(struct cpu *cpu)
{
    struct ucpu *c = (struct ucpu *)(void *)cpu;

    ucpu_flush_tlb(c);
}

void ucpu_note_code(struct cpu *cpu, struct footprint *f)
{
    struct exec_shared *sh = ucpu_of(cpu)->exec->shared;

    if (sh->jit)
        jit_note_code(sh->jit, f);
    sh->epoch++;
}

static struct exec_shared *make_shared(struct machine *m, const struct frontend *fe)
{
    struct exec_shared *sh = xcalloc(1, sizeof(*sh));

    sh->machine = m;
    sh->builder = xcalloc(1, sizeof(*sh->builder));
    block_cache_init(sh);
    tlb_init(sh);
    softmmu_init(sh, fe);
    return sh;
}

static void finish_shared(struct exec_shared *sh)
{
    jit_destroy(sh->jit);
    softmmu_finish(sh);
    tlb_finish(sh);
    block_cache_finish(sh);
    free(sh->observer.list);
    free(sh->builder);
    free(sh);
}

void ucpu_init(struct ucpu *c, struct machine *m, const struct cpu_ops *ops, const struct frontend *fe,
               void *state, unsigned flags_offset)
{
    CHECK(flags_offset % 8 == 0 && flags_offset + sizeof(struct lazy_flags) <= ops->state_size);
    c->cpu.ops = ops;
    c->cpu.machine = m;
    c->cpu.state = state;
    c->fe = fe;
    c->s = state;
    c->flags_offset = flags_offset;
    c->flags = (struct lazy_flags *)(void *)(c->s + flags_offset);
    c->exec = xcalloc(1, sizeof(*c->exec));
    c->exec->cpu = c;
    c->exec->state = c->s;
    c->exec->flags = c->flags;
    c->exec->shared = m->ncpus ? ucpu_of(m->cpus[0])->exec->shared : make_shared(m, fe);
    c->exec->shared->users++;
    c->exec->pool = c->exec->shared->pool;
    ucpu_set_va_bits(c, fe->va_bits ? fe->va_bits : 32);
    machine_add_cpu(m, &c->cpu);
    tlb_init_cpu(c);
}

bool ucpu_use_jit(struct ucpu *c, const struct code_memory *memory, unsigned threshold)
{
    struct exec_shared *sh = c->exec->shared;

    CHECK(!sh->jit && !c->cpu.running);
    block_flush_all(sh);
    sh->jit = jit_create(c, memory, threshold);
    return sh->jit;
}

void ucpu_finish(struct ucpu *c)
{
    if (!c->exec)
        return;
    if (--c->exec->shared->users == 0)
        finish_shared(c->exec->shared);
    free(c->exec->guest.list);
    free(c->exec);
    c->exec = NULL;
}

void ucpu_stats(const struct ucpu *c, struct ucpu_stats *out)
{
    const struct exec_shared *sh = c->exec->shared;

    *out = sh->stats;
    out->blocks_live = sh->nlive;
    out->jit = sh->jit != NULL;
    if (out->jit)
        jit_stats(sh->jit, out);
}
