/*
 * The words in which uop.def tells the meaning of micro-ops, for those who make
 * C of them: the interpreter, and the JIT's functions for micro-ops that it has no
 * code of its own for.
 *
 * The includer has these in scope: cpu, exec, state, lazy, tlb, u; and defines
 * FAULT (leave, this micro-op faulted), CALL_HELPER, GO, GO_INDIRECT and LEAVE_AT.
 * Local names must not collide with those that meanings declare (c, r, t, x, y, va).
 */
#ifndef HINDCAST_VM_UOP_WORDS_H
#define HINDCAST_VM_UOP_WORDS_H

#include "vm/exec_priv.h"

#include "vm/bits.h"
#include "vm/flags_inline.h"

#include <string.h>

typedef uint8_t  __attribute__((may_alias)) any8;
typedef uint16_t __attribute__((may_alias, aligned(1))) any16;
typedef uint32_t __attribute__((may_alias, aligned(1))) any32;
typedef uint64_t __attribute__((may_alias, aligned(1))) any64;
typedef int8_t   __attribute__((may_alias)) sany8;
typedef int16_t  __attribute__((may_alias, aligned(1))) sany16;
typedef int32_t  __attribute__((may_alias, aligned(1))) sany32;
typedef int64_t  __attribute__((may_alias, aligned(1))) sany64;

__extension__ typedef unsigned __int128 uint128_t;
__extension__ typedef __int128 int128_t;

#define VECTOR_TYPES(n) \
    typedef uint##n##_t __attribute__((vector_size(16), may_alias, aligned(1))) vec##n; \
    typedef int##n##_t __attribute__((vector_size(16), may_alias, aligned(1))) svec##n;
VECTOR_TYPES(8)
VECTOR_TYPES(16)
VECTOR_TYPES(32)
VECTOR_TYPES(64)
#undef VECTOR_TYPES

#define D(n)  (*(any##n *)(state + u->d))
#define A(n)  (*(any##n *)(state + u->a))
#define B(n)  (*(any##n *)(state + u->b))
#define SA(n) (*(const sany##n *)(state + u->a))
#define SB(n) (*(const sany##n *)(state + u->b))
#define C(n)  (*(any##n *)(state + u->imm))
#define VD(n) (*(vec##n *)(state + u->d))
#define VA(n) (*(const vec##n *)(state + u->a))
#define VB(n) (*(const vec##n *)(state + u->b))
#define VSA(n) (*(const svec##n *)(state + u->a))
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
#define FLAGS_NOW    flags_compute(lazy)
#define CF           carry(lazy)
#define COND(number) condition(lazy, (number))
#define NOTED_RESULT lazy->dst

#define EA_W  (uint32_t)(A(32) + IMM)
#define EAX_W (uint32_t)(A(32) + (B(32) << AUX) + IMM)
#define EA_X  (A(64) + SIMM)
#define EAX_X (A(64) + (B(64) << AUX) + SIMM)

#define TLB_AT(at) (&tlb[((at) >> PAGE_SHIFT) & tlb_mask])
#define LOAD(n, ea) \
    uint64_t load_at = (ea); \
    uint##n##_t loaded; \
    const struct tlb_entry *load_tlb = TLB_AT(load_at); \
    if (likely(load_tlb->read == ((load_at + n / 8 - 1) & PAGE_MASK))) { \
        loaded = *(const any##n *)((uintptr_t)load_at + load_tlb->addend); \
    } else { \
        if (unlikely(!softmmu_load_slow(cpu, load_at, n / 8))) \
            FAULT; \
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
            FAULT; \
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
            FAULT; \
    } while (0)
/* Both values are evaluated before anything is stored. WHOLE: one value of 128 bits. */
#define LOAD_PAIR(n, ea) LOAD_TWO(n, n / 8, ea)
#define LOAD_WHOLE(ea) LOAD_TWO(64, 16, ea)
#define STORE_PAIR(n, ea, first, second) STORE_TWO(n, n / 8, ea, first, second)
#define STORE_WHOLE(ea, first, second) STORE_TWO(64, 16, ea, first, second)
#define LOAD_TWO(n, unit, ea) \
    uint64_t load_at = (ea); \
    uint##n##_t pair[2]; \
    const struct tlb_entry *load_tlb = TLB_AT(load_at); \
    if (likely(load_tlb->read == ((load_at + n / 4 - 1) & PAGE_MASK))) { \
        const any##n *load_from = (const any##n *)((uintptr_t)load_at + load_tlb->addend); \
        pair[0] = load_from[0]; \
        pair[1] = load_from[1]; \
    } else { \
        if (unlikely(!softmmu_load_pair_slow(cpu, load_at, unit))) \
            FAULT; \
        memcpy(pair, exec->slow_value, sizeof(pair)); \
    }
#define FIRST  pair[0]
#define SECOND pair[1]
#define STORE_TWO(n, unit, ea, first, second) \
    do { \
        uint64_t store_at = (ea); \
        uint##n##_t pair[2] = {(first), (second)}; \
        const struct tlb_entry *store_tlb = TLB_AT(store_at); \
        if (likely(store_tlb->write == ((store_at + n / 4 - 1) & PAGE_MASK))) \
            memcpy((uint8_t *)((uintptr_t)store_at + store_tlb->addend), pair, sizeof(pair)); \
        else if (unlikely(!softmmu_store_pair_slow(cpu, store_at, pair, unit))) \
            FAULT; \
    } while (0)

#endif
