/*
 * Agent expressions: the bytecode in which gdb sends breakpoint conditions and
 * commands (gdb manual, appendix "The GDB Agent Expression Mechanism").
 */
#ifndef HINDCAST_RSP_AGENT_H
#define HINDCAST_RSP_AGENT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/types.h"

struct agent_expr {
    uint8_t *code; /* heap; agent_finish() frees it */
    size_t len;
};

/* What an expression may see. */
struct agent_env {
    void *ctx;
    /* Low 64 bits of a register, zero-extended. False: no such register, or not available. */
    bool (*read_register)(void *ctx, unsigned n, uint64_t *value);
    /* False: not all of it is mapped. */
    bool (*read_memory)(void *ctx, uint64_t addr, void *buf, size_t len);
    /* Output of the printf operation. NULL: formatted and dropped. */
    void (*print)(void *ctx, const char *text, size_t len);
    /* The trace operations: collect these bytes, at least one. False: not all of them are mapped. NULL: nothing is. */
    bool (*trace)(void *ctx, uint64_t addr, uint64_t len);
    /* Trace state variables. False: there is none of this number. NULL: there are none at all. */
    bool (*read_variable)(void *ctx, unsigned n, uint64_t *value);
    bool (*write_variable)(void *ctx, unsigned n, uint64_t value);
    bool (*trace_variable)(void *ctx, unsigned n, uint64_t unused); /* collect its value */
    unsigned long_bits; /* of the target's long: what %ld prints, 32 or 64 */
};

/* Take a copy of bytecode that passed agent_check(). */
int agent_init(struct agent_expr *e, const uint8_t *code, size_t len, unsigned nregs,
               struct error *err);
void agent_finish(struct agent_expr *e);

/* Does it read, set or collect trace state variables? Then its value depends on what was evaluated before. */
bool agent_uses_variables(const struct agent_expr *e);

/* Is it well formed? Every operation known and whole, jumps to the start of an operation,
 * registers that exist, formats terminated, `end` reached by falling through. */
int agent_check(const uint8_t *code, size_t len, unsigned nregs, struct error *err);

/* Evaluate; *result is the top of the stack at `end` (0 if it is empty). Fails on an
 * unreadable register or address, division by zero, stack over- or underflow, or when it
 * takes more operations than any reasonable condition: it always ends. */
int agent_eval(const struct agent_expr *e, const struct agent_env *env, uint64_t *result,
               struct error *err);

#endif
