/*
 * For the tests that compare: a CPU that compiles every block when it is entered for the first time.
 */
#ifndef HINDCAST_TESTS_WITH_JIT_H
#define HINDCAST_TESTS_WITH_JIT_H

#include "base/error.h"
#include "host/code_memory.h"
#include "vm/exec.h"

/* False: there is no JIT here, and blocks are interpreted. */
static inline bool with_jit(struct ucpu *u)
{
    struct code_memory memory;
    struct error err;

    if (code_memory_map(&memory, 8 << 20, &err) < 0)
        return false;
    if (ucpu_use_jit(u, &memory, 1))
        return true;
    code_memory_unmap(&memory);
    return false;
}

/* Blocks that were compiled so far. */
static inline unsigned long long blocks_compiled(const struct ucpu *u)
{
    struct ucpu_stats stats;

    ucpu_stats(u, &stats);
    return stats.compiled;
}

#endif
