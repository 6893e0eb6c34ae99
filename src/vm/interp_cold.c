/*
 * The interpreter for blocks that the JIT has not compiled (yet): it counts how
 * often they are entered.
 */
#define INTERP_COLD 1
#include "vm/interp.c"
