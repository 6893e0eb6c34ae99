/*
 * A C function for every micro-op, made from its meaning in uop.def: what the JIT
 * calls where it has no code of its own. The state block, the budget, the block
 * and the steps must be in memory.
 */
#include "vm/jit/jit_priv.h"

#include "vm/uop_words.h"

#define FAULT return UOP_FAULT
#define CALL_HELPER return u->fn(cpu, u)
#define GO(n) return GENERIC_GO_0 + (n)
#define GO_INDIRECT(to) \
    do { \
        exec->go_pc = (to); \
        return GENERIC_JUMP; \
    } while (0)
#define LEAVE_AT(n) return GENERIC_EXIT

static unsigned carry(const struct lazy_flags *f)
{
    return flags_carry(f);
}

static bool condition(const struct lazy_flags *f, unsigned cond)
{
    return flags_cond(f, cond);
}

#define UOP(name, operands, attributes, ...) \
    static int do_##name(struct ucpu *cpu, const struct uop *u) \
    { \
        struct exec *const exec __attribute__((unused)) = cpu->exec; \
        uint8_t *const state __attribute__((unused)) = cpu->s; \
        struct lazy_flags *const lazy __attribute__((unused)) = cpu->flags; \
        const struct tlb_entry *tlb __attribute__((unused)) = cpu->tlb; \
        const uint64_t tlb_mask __attribute__((unused)) = cpu->exec->shared->tlb_mask; \
        (void)u; \
        { __VA_ARGS__; } \
        return UOP_NEXT; \
    }
#include "vm/uop.def"
#undef UOP

int (*const generic_functions[UOP_COUNT])(struct ucpu *, const struct uop *) = {
#define UOP(name, operands, attributes, ...) do_##name,
#include "vm/uop.def"
#undef UOP
};
