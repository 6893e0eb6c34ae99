/*
 * What stands for the JIT on hosts that it cannot make code for, and in builds without it.
 */
#include "vm/jit/jit.h"

#include "base/error.h"

struct jit *jit_create(struct ucpu *c, const struct code_memory *memory, unsigned threshold)
{
    (void)c;
    (void)memory;
    (void)threshold;
    return NULL;
}

/* Nothing below is ever called: there is no struct jit. */

void jit_destroy(struct jit *j)
{
    CHECK(!j);
}

enum left jit_run(struct jit *j, struct ucpu *c, struct block *b)
{
    (void)c;
    (void)b;
    CHECK(j);
    return LEFT_LEAVE;
}

void jit_block_made(struct jit *j, struct block *b)
{
    (void)b;
    CHECK(j);
}

void jit_chained(struct jit *j, const struct block *b, unsigned edge)
{
    (void)b;
    (void)edge;
    CHECK(j);
}

void jit_note_code(struct jit *j, struct footprint *f)
{
    (void)f;
    CHECK(j);
}

void jit_flush(struct jit *j)
{
    CHECK(j);
}

void jit_throw_away(struct jit *j)
{
    CHECK(j);
}

void jit_stats(const struct jit *j, struct ucpu_stats *out)
{
    (void)out;
    CHECK(j);
}
