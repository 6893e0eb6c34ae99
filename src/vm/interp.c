/*
 * The interpreter: runs blocks of micro-ops, going from block to block without
 * the run loop as long as chains and the jump cache lead on and the budget
 * lasts.
 *
 * What each micro-op means stands in uop.def; uop_words.h has most of the words
 * it uses, here are those that leave the micro-op. With GNU C the dispatch is by
 * computed goto; interp_switch.c builds the same with a plain switch.
 */
#include "vm/uop_words.h"

#ifdef INTERP_PLAIN_SWITCH
#define INTERP interp_run_switch
#elif defined(INTERP_COLD)
#define INTERP interp_run_cold
#else
#define INTERP interp_run
#endif

#define FAULT goto fault
#define CALL_HELPER \
    do { \
        int outcome = u->fn(cpu, u); \
        tlb = cpu->tlb; \
        if (unlikely(outcome == UOP_FAULT)) \
            goto fault; \
        if (outcome == UOP_LEAVE) \
            return LEFT_LEAVE; \
    } while (0)

#define GO(n) \
    do { \
        edge = (n); \
        if (unlikely(!block->next[n])) \
            goto unchained; \
        if (unlikely(block->next[n]->crosses) && !block_is_mapped(cpu, block->next[n])) \
            goto unchained; \
        block = block->next[n]; \
        goto enter; \
    } while (0)
#define GO_INDIRECT(to) \
    do { \
        edge = EDGE_NONE; \
        pc = (to); \
        goto jump; \
    } while (0)
#define LEAVE_AT(n) \
    do { \
        exec->go_pc = block->target[n]; \
        return LEFT_EXIT; \
    } while (0)

static __attribute__((noinline)) unsigned carry(const struct lazy_flags *f)
{
    return flags_inline_c(f);
}

static __attribute__((noinline)) bool condition(const struct lazy_flags *f, unsigned cond)
{
    return flags_inline_cond(f, cond);
}

enum left INTERP(struct ucpu *cpu, struct block *block)
{
#ifndef INTERP_PLAIN_SWITCH
    static const void *const labels[UOP_COUNT] = {
#define UOP(name, operands, attributes, ...) &&label_##name,
#include "vm/uop.def"
#undef UOP
    };
#endif
    struct exec *const exec = cpu->exec;
    uint8_t *const state = cpu->s;
    struct lazy_flags *const lazy = cpu->flags;
    const struct tlb_entry *tlb = cpu->tlb;
    const uint64_t tlb_mask = exec->shared->tlb_mask;
    const uint32_t epoch = exec->shared->epoch;
    const struct uop *u;
    struct block *to;
    unsigned edge;
    uint64_t pc;

#ifdef INTERP_COLD
    goto begin;
enter:
    if (block->native || block->heat <= 1) {
        exec->turn = block;
        return LEFT_TURN;
    }
    block->heat--;
begin:
#else
enter:
#endif
    if (unlikely(cpu->cpu.budget < block->steps)) {
        exec->go_pc = block->key.pc;
        return LEFT_BUDGET;
    }
    if (unlikely(block->epoch != epoch))
        block_note_entry(cpu, block);
    cpu->cpu.budget -= block->steps;
    cpu->cpu.steps = block->steps;
    cpu->block = block;
    u = block->uops;

#ifndef INTERP_PLAIN_SWITCH
#define NEXT \
    do { \
        u++; \
        goto *labels[u->op]; \
    } while (0)
    goto *labels[u->op];
#define UOP(name, operands, attributes, ...) label_##name: { __VA_ARGS__; } NEXT;
#include "vm/uop.def"
#undef UOP
#else
    for (;; u++) {
        switch ((enum uop_code)u->op) {
#define UOP(name, operands, attributes, ...) case UOP_##name: { __VA_ARGS__; } break;
#include "vm/uop.def"
#undef UOP
        case UOP_COUNT:
            __builtin_unreachable();
        }
    }
#endif

unchained:
    pc = block->target[edge];
jump:
    to = jump_block(exec->shared, pc, block->key.mode, false);
    if (likely(jump_matches(to, block, pc) && !block->alone && block_is_mapped(cpu, to))) {
        if (!((to->key.va ^ block->key.va) & PAGE_MASK))
            block_link(exec->shared, block, edge, to);
        block = to;
        goto enter;
    }
    exec->go_pc = pc;
    exec->go_edge = edge;
    return LEFT_GO;

fault:
    exec->fault_uop = u;
    return LEFT_FAULT;
}
