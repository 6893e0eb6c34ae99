/*
 * The interpreter with a plain switch: for compilers without computed goto, and
 * the reference that the fast one is tested against.
 */
#define INTERP_PLAIN_SWITCH 1
#include "vm/interp.c"
