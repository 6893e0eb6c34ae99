/*
 * The JIT: blocks that are entered often are compiled to x86-64 code.
 *
 * The block stays the authority: its micro-ops, steps, chains and PCs are what
 * compiled code follows, and it leaves for exactly the reasons and in exactly the
 * state that the interpreter would. Compiled code is derived: it may be thrown away
 * whenever none of it is running, and is when its memory is full.
 *
 * Hosts other than x86-64, and builds with --disable-jit, have jit_create() only, which
 * always fails.
 */
#ifndef HINDCAST_VM_JIT_JIT_H
#define HINDCAST_VM_JIT_JIT_H

#include "vm/exec_priv.h"

#include "base/code_memory.h"

struct jit;

/* For the machine of which `c` is a CPU; all its CPUs are laid out alike. NULL: no JIT here, or too little memory. */
struct jit *jit_create(struct ucpu *c, const struct code_memory *memory, unsigned threshold);
void jit_destroy(struct jit *j);
/* As interp_run(). The block must be in the block cache (not alone). */
enum left jit_run(struct jit *j, struct ucpu *c, struct block *b);
/* A block was made: it is to be interpreted until further notice. */
void jit_block_made(struct jit *j, struct block *b);
/* What an edge of the block is chained to is another one, or nothing. */
void jit_chained(struct jit *j, const struct block *b, unsigned edge);
/* Compiled code that was run since the last call goes into the footprint, unless that is NULL. */
void jit_note_code(struct jit *j, struct footprint *f);
/* Every block was dropped. */
void jit_flush(struct jit *j);
/* No block has code any more. */
void jit_throw_away(struct jit *j);
void jit_stats(const struct jit *j, struct ucpu_stats *out);

#endif
