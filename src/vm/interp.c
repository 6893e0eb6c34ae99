/*
 * The interpreter: runs blocks of micro-ops, going from block to block without
 * the run loop as long as chains and the jump cache lead on and the budget
 * lasts.
 *
 * What each micro-op means stands in uop.def; here are the words it uses. With
 * GNU C the dispatch is by computed goto; interp_switch.c builds the same
 * with a plain switch. Local names must not collide with those that meanings
 * declare (c, r, t, x, y, va).
 */
#include "vm/exec_priv.h"

#include "vm/flags_inline.h"

#include <string.h>

#ifdef INTERP_PLAIN_SWITCH
#define INTERP interp_run_switch
#else
#define INTERP interp_run
#endif

typedef uint8_t  __attribute__((may_alias)) any8;
typedef uint16_t __attribute__((may_alias, aligned(1))) any16;
typedef uint32_t __attribute__((may_alias, aligned(1))) any32;
typedef uint64_t __attribute__((may_alias, aligned(1))) any64;
typedef int8_t   __attribute__((may_alias)) sany8;
typedef int16_t  __attribute__((may_alias, aligned(1))) sany16;
typedef int32_t  __attribute__((may_alias, aligned(1))) sany32;
typedef int64_t  __attribute__((may_alias, aligned(1))) sany64;

#define D(n)  (*(any##n *)(state + u->d))
#define A(n)  (*(any##n *)(state + u->a))
#define B(n)  (*(any##n *)(state + u->b))
#define SA(n) (*(const sany##n *)(state + u->a))
#define SB(n) (*(const sany##n *)(state + u->b))
#define C(n)  (*(const any##n *)(state + u->imm))
#define HIGH(operand) (*(any64 *)(state + (operand) + 8))
#define U     u
#define IMM   u->imm
#define AUX   u->aux
#define IMM64 u->imm64
#define SIMM  ((uint64_t)(int32_t)u->imm)

#define LOG2_8  0u
#define LOG2_16 1u
#define LOG2_32 2u
#define LOG2_64 3u
#define F(operation, n, result, operand) \
    (lazy->op = (uint32_t)FLAGS_##operation | LOG2_##n, lazy->dst = (result), lazy->src = (operand))
#define FLAGS_ARE(value) (lazy->op = FLAGS_EXPLICIT, lazy->dst = (value), lazy->src = 0)
#define CF           carry(lazy)
#define COND(number) condition(lazy, (number))
#define NOTED_RESULT lazy->dst

#define EA_W  (uint32_t)(A(32) + IMM)
#define EAX_W (uint32_t)(A(32) + (B(32) << AUX) + IMM)
#define EA_X  (A(64) + SIMM)
#define EAX_X (A(64) + (B(64) << AUX))

#define TLB_AT(at) (&tlb[((at) >> PAGE_SHIFT) & (TLB_SIZE - 1)])
#define LOAD(n, ea) \
    uint64_t load_at = (ea); \
    uint##n##_t loaded; \
    const struct tlb_entry *load_tlb = TLB_AT(load_at); \
    if (likely(load_tlb->read == ((load_at + n / 8 - 1) & PAGE_MASK))) { \
        loaded = *(const any##n *)((uintptr_t)load_at + load_tlb->addend); \
    } else { \
        if (unlikely(!softmmu_load_slow(cpu, load_at, n / 8))) \
            goto fault; \
        loaded = (uint##n##_t)exec->slow_value[0]; \
    }
#define LOAD_RW(n, ea) \
    uint64_t load_at = (ea); \
    uint##n##_t loaded; \
    const struct tlb_entry *load_tlb = TLB_AT(load_at); \
    uint64_t load_tag = (load_at + n / 8 - 1) & PAGE_MASK; \
    if (likely(load_tlb->write == load_tag && load_tlb->read == load_tag)) { \
        loaded = *(const any##n *)((uintptr_t)load_at + load_tlb->addend); \
    } else { \
        if (unlikely(!softmmu_load_rw_slow(cpu, load_at, n / 8))) \
            goto fault; \
        loaded = (uint##n##_t)exec->slow_value[0]; \
    }
#define LOADED(n) loaded
#define STORE(n, ea, v) \
    do { \
        uint64_t store_at = (ea); \
        const struct tlb_entry *store_tlb = TLB_AT(store_at); \
        if (likely(store_tlb->write == ((store_at + n / 8 - 1) & PAGE_MASK))) \
            *(any##n *)((uintptr_t)store_at + store_tlb->addend) = (v); \
        else if (unlikely(!softmmu_store_slow(cpu, store_at, (v), n / 8))) \
            goto fault; \
    } while (0)
/* Both values are evaluated before anything is stored. */
#define LOAD_PAIR(n, ea) \
    uint64_t load_at = (ea); \
    uint##n##_t pair[2]; \
    const struct tlb_entry *load_tlb = TLB_AT(load_at); \
    if (likely(load_tlb->read == ((load_at + n / 4 - 1) & PAGE_MASK))) { \
        const any##n *load_from = (const any##n *)((uintptr_t)load_at + load_tlb->addend); \
        pair[0] = load_from[0]; \
        pair[1] = load_from[1]; \
    } else { \
        if (unlikely(!softmmu_load_pair_slow(cpu, load_at, n / 8))) \
            goto fault; \
        memcpy(pair, exec->slow_value, sizeof(pair)); \
    }
#define FIRST  pair[0]
#define SECOND pair[1]
#define STORE_PAIR(n, ea, first, second) \
    do { \
        uint64_t store_at = (ea); \
        uint##n##_t pair[2] = {(first), (second)}; \
        const struct tlb_entry *store_tlb = TLB_AT(store_at); \
        if (likely(store_tlb->write == ((store_at + n / 4 - 1) & PAGE_MASK))) \
            memcpy((uint8_t *)((uintptr_t)store_at + store_tlb->addend), pair, sizeof(pair)); \
        else if (unlikely(!softmmu_store_pair_slow(cpu, store_at, pair, n / 8))) \
            goto fault; \
    } while (0)

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
        block = block->next[n]; \
        goto enter; \
    } while (0)
#define GO_INDIRECT(to) \
    do { \
        edge = 2; \
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
    const struct uop *u;
    struct block *to;
    unsigned edge;
    uint64_t pc;

enter:
    if (unlikely(cpu->cpu.budget < block->steps)) {
        exec->go_pc = block->key.pc;
        return LEFT_BUDGET;
    }
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
    to = exec->jump[jump_hash(pc)];
    if (likely(jump_matches(to, block, pc) && !block->alone)) {
        if (!((to->key.va ^ block->key.va) & PAGE_MASK))
            block_link(block, edge, to);
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
