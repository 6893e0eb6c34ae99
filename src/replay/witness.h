/*
 * Witnesses: what a state looked like at some positions, in a few dozen bytes.
 *
 * A witness holds a tag for each component of the state arena and for each
 * register that gdb knows. They are taken at the live edge every million steps, and
 * closer together after something came in from outside. Who runs the same stretch
 * again compares: a replay that goes astray is noticed within that distance, and the
 * tags say in which component and register.
 *
 * Tags are short hashes. Two that differ prove that the states differ; two that
 * agree do not prove that they are the same (1 in 65536 for a component).
 * Memory has no tags: it shows in the registers sooner or later, and in the
 * state hashes of a recording.
 */
#ifndef HINDCAST_REPLAY_WITNESS_H
#define HINDCAST_REPLAY_WITNESS_H

#include "base/buffer.h"
#include "vm/machine.h"

/* Bytes of a witness's tags: 2 for each component, then 1 for each register of each CPU. */
struct witness_shape {
    uint32_t ncomponents, nregs;
};

struct witness_log {
    struct witness_shape shape;
    icount_t *positions; /* strictly increasing */
    uint8_t *tags;       /* witness_bytes() of each */
    size_t count, cap;
    /* The first `partial` of them are of a machine that had other parts: of their tags only the bytes
     * count that are true in `known` (witness_bytes(); NULL: partial is 0). */
    size_t partial;
    bool *known;
};

/* Most components and registers of any machine: for files. */
#define WITNESS_MAX_COMPONENTS 1024u
#define WITNESS_MAX_REGS       (MACHINE_MAX_CPUS * 1024u)

struct witness_shape witness_shape_of(const struct machine *m);
static inline size_t witness_bytes(const struct witness_shape *s)
{
    return (size_t)s->ncomponents * 2 + s->nregs;
}

void witness_log_init(struct witness_log *l, struct witness_shape shape);
void witness_log_finish(struct witness_log *l);
/* A new one of the first `count` of another. */
void witness_log_copy(struct witness_log *to, const struct witness_log *from, size_t count);
/* Forget those from number `count` on. */
void witness_log_cut(struct witness_log *l, size_t count);
/* Go on with those of another one from `position` to `end`, of the same shape. */
void witness_log_append(struct witness_log *l, const struct witness_log *more, icount_t position, icount_t end);
/* Add one, whose position must be after that of the last; returns its tags, to be filled. */
uint8_t *witness_log_add(struct witness_log *l, icount_t position);
const uint8_t *witness_log_tags(const struct witness_log *l, size_t n);
/* Does witness `n` say that a state of these tags was not the one there? Then its tags, and ours where it
 * knows nothing, are put into `theirs` (witness_bytes()). */
bool witness_log_differs(const struct witness_log *l, size_t n, const uint8_t *ours, uint8_t *theirs);
/* Number of the first at or after `position`. */
size_t witness_log_find(const struct witness_log *l, icount_t position);

/* The tags of the machine's present state. */
void witness_take(const struct machine *m, uint8_t *tags);
/* Append the names of the components and, where CPUs are among them, of the registers
 * whose tags differ: "cpu0 (eax, eip), pit". Nothing if none does. */
void witness_name_differences(const struct machine *m, const uint8_t *a, const uint8_t *b, struct buffer *out);

#endif
