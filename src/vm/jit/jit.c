/*
 * The engine: blocks are interpreted and counted until they have been entered
 * `threshold` times, then compiled; those entered often are compiled once more, with
 * what follows them (trace.c).
 *
 * Compiled code goes from block to block by itself: where a chain leads to a block that has code, by a jump to it, which is
 * changed when the chain is; else by block.entry. A block without
 * code has the stub `turn` for its entry, which comes back here. The interpreter
 * comes back when it gets to a block that has code or has been entered often enough.
 */
#include "vm/jit/jit_priv.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>

/* Entries before a block is compiled, if nobody asks for another number. */
#define THRESHOLD 8
/* Enough for the stubs and some blocks. */
#define SIZE_MIN ((size_t)16 << 10)
/* Of the memory for code, so much is for counters: there is one for about so many bytes of a block's code. */
#define COUNTERS_PART 64u
/* Memory is backed in pieces of so many bytes, when less than a fourth of one is left. */
#define BACKED_PIECE ((size_t)64 << 10)

typedef enum left enter_fn(struct block *b, const void *code, struct exec *x);

/* ISO C has no conversion between pointers to objects and to functions. */
static enter_fn *enter_function(const struct jit *j)
{
    const uint8_t *at = j->stubs.enter + j->execute;
    enter_fn *fn;

    memcpy(&fn, &at, sizeof(fn));
    return fn;
}

struct jit *jit_create(struct ucpu *c, const struct code_memory *memory, unsigned threshold)
{
    struct jit *j;

    if (memory->size < SIZE_MIN)
        return NULL;
    j = xcalloc(1, sizeof(*j));
    j->c = c;
    j->memory = *memory;
    j->threshold = threshold ? threshold : THRESHOLD;
    host_look(j);
    x87_look(j);
    j->execute = (ptrdiff_t)((intptr_t)memory->execute - (intptr_t)memory->write);
    j->max_counters = (uint32_t)(memory->size / COUNTERS_PART / sizeof(j->counters[0]));
    j->counters = (uint32_t *)(void *)(memory->write + memory->size) - j->max_counters;
    j->code = (struct code){.at = memory->write, .end = (uint8_t *)j->counters};
    j->slow = xcalloc(JIT_MAX_SLOW, sizeof(j->slow[0]));
    CHECK(stubs_make(j));
    j->first = j->code.at;
    j->first_cold = j->first + (j->code.end - j->first) / 2;
    j->cold.end = j->code.end;
    j->code.end = j->first_cold;
    j->backed = memory->write;
    j->cold_backed = memory->write + ((size_t)(j->first_cold - memory->write) & ~(BACKED_PIECE - 1));
    jit_flush(j);
    return j;
}

void jit_destroy(struct jit *j)
{
    if (!j)
        return;
    if (j->memory.unmap)
        j->memory.unmap(&j->memory);
    ran_finish(j);
    free(j->approximations[0]);
    free(j->approximations[1]);
    free(j->jumps);
    free(j->slow);
    free(j);
}

void jit_block_made(struct jit *j, struct block *b)
{
    b->entry = j->stubs.turn + j->execute;
    b->native = b->traced = false;
    b->lead = 0;
    memset(b->jumps, 0, sizeof(b->jumps));
    b->heat = j->threshold;
}

/* A NOP while the chain leads to the block that it guards; else a jump out of the trace. */
static void point_guard(struct jit *j, const struct jump *jump, const struct block *to)
{
    uint8_t *displacement = j->memory.write + jump->at;

    if (to == jump->guards) {
        x_nop_for_jmp(displacement);
    } else {
        x_jmp_for_nop(displacement);
        x_point(&j->code, displacement, j->memory.write + jump->away);
    }
}

static void point_jump(struct jit *j, const struct jump *jump, const struct block *to, bool far)
{
    uint8_t *displacement = j->memory.write + jump->at;

    if (far)
        memcpy(displacement - FAR_ADDEND, &to->addend, sizeof(to->addend));
    x_point(&j->code, displacement, to && to->native ? to->entry - j->execute : j->memory.write + jump->away);
}

void jump_follow(struct jit *j, const struct jump *jump, const struct block *b, unsigned edge)
{
    const struct block *to = block_chained(b, edge);

    if (jump->guards)
        point_guard(j, jump, to);
    else
        point_jump(j, jump, to, to && to == b->far[edge]);
}

void jit_chained(struct jit *j, const struct block *b, unsigned edge)
{
    for (uint32_t n = b->jumps[edge]; n; n = j->jumps[n - 1].next)
        jump_follow(j, &j->jumps[n - 1], b, edge);
}

void jit_note_code(struct jit *j, struct footprint *f)
{
    ran_gather(j, f);
}

void jit_flush(struct jit *j)
{
    ran_gather(j, j->c->cpu.machine->footprint);
    j->code.at = j->first;
    j->cold.at = j->first_cold;
    j->ncounters = 0;
    j->njumps = 0;
    j->indirects = 0;
    returns_forget(j);
    j->ran.nspans = 0;
}

void jit_throw_away(struct jit *j)
{
    const struct exec_shared *sh = j->c->exec->shared;

    j->flushes++;
    for (unsigned i = 0; i < sh->nlive; i++) {
        jit_block_made(j, sh->live[i]);
        block_entry_changed(sh, sh->live[i]);
    }
    jit_flush(j);
}

static void back_ahead(const struct jit *j, const struct code *e, uint8_t **backed)
{
    size_t piece = BACKED_PIECE;

    if (!j->memory.back || e->at + BACKED_PIECE / 4 < *backed || *backed >= e->end)
        return;
    if (piece > (size_t)(e->end - *backed))
        piece = (size_t)(e->end - *backed);
    j->memory.back(&j->memory, (size_t)(*backed - j->memory.write), piece);
    *backed += piece;
}

static void make_code(struct jit *j, struct block *b)
{
    back_ahead(j, &j->code, &j->backed);
    back_ahead(j, &j->cold, &j->cold_backed);
    if (!b->valid || compile(j, b))
        return;
    jit_throw_away(j);
    if (!compile(j, b))
        b->heat = UINT32_MAX; /* larger than the whole memory */
}

/* A block that the jump cache does not have, if it is clear that the run loop would come to
 * it too. */
static struct block *next_by_tlb(struct ucpu *c, uint64_t va)
{
    struct exec *x = c->exec;
    struct exec_shared *sh = x->shared;
    struct block_key key = {.pc = x->go_pc, .va = va, .mode = c->block->key.mode};
    unsigned index = tlb_index(sh, va);
    struct block *to;

    if ((va & ~x->va_mask) || c->tlb[index].fetch != (va & PAGE_MASK))
        return NULL;
    to = block_find(sh, x->context->tables[c->tlb_mode].infos[index].number, &key, false);
    if (!to || to->trapped || (to->crosses && !block_is_mapped(c, to)))
        return NULL;
    sh->stats.jump_misses++;
    block_found_by_jumps(sh, to);
    return to;
}

/* The block that go_pc leads to, or NULL: the run loop must see to it. */
static struct block *next_block(struct ucpu *c)
{
    const struct exec *x = c->exec;
    struct block *from = c->block, *to = jump_block(x->shared, x->go_pc, from->key.mode, false);
    uint64_t va = x->go_pc + block_bias(from);
    bool matches = jump_matches(to, from, x->go_pc);

    if (!matches || !block_is_mapped(c, to)) {
        /* often another page has the place of its own in the TLB */
        bool recalled = !(va & ~x->va_mask) && c->tlb[tlb_index(x->shared, va)].fetch != (va & PAGE_MASK) &&
                        tlb_recall(c, c->tlb_mode, va);

        if (!matches || !recalled || !block_is_mapped(c, to))
            to = next_by_tlb(c, va);
    }
    if (to)
        block_link(x->shared, from, x->go_edge, to);
    return to;
}

enum left jit_run(struct jit *j, struct ucpu *c, struct block *b)
{
    enter_fn *enter = enter_function(j);
    enum left left;

    for (;;) {
        if (b->native ? !b->traced && j->counters[b->heat] == 0 : --b->heat == 0)
            make_code(j, b);
        j->ran.some = true;
        left = b->native ? enter(b, b->entry + b->lead, c->exec) : interp_run_cold(c, b);
        if (left == LEFT_UNCHAINED) {
            b = next_block(c);
            if (!b)
                return LEFT_GO;
        } else if (left == LEFT_TURN) {
            b = c->exec->turn;
            if (b->crosses && !block_is_mapped(c, b)) {
                c->exec->go_pc = b->key.pc;
                c->exec->go_edge = EDGE_NONE;
                return LEFT_GO;
            }
        } else {
            return left;
        }
    }
}

void jit_stats(const struct jit *j, struct ucpu_stats *out)
{
    out->compiled = j->compiled;
    out->code_bytes = (uint64_t)(j->code.at - j->first + j->cold.at - j->first_cold);
    out->code_flushes = j->flushes;
    out->calls = j->calls;
}
