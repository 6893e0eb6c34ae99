/*
 * What comes: when a value of the state block is used again, as far as the micro-ops that follow in the block, and in the trace,
 * say. A guess on which no meaning depends: it chooses the registers whose values are given up.
 */
#include "vm/jit/jit_priv.h"

#include <string.h>

/* So many micro-ops are looked at. */
#define FAR 64u

enum touch { TOUCH_NONE, TOUCH_SET, TOUCH_USE };

static bool within(const struct slot *s, unsigned offset)
{
    return offset >= s->offset && offset < (unsigned)s->offset + s->size;
}

/* Is d an operand, too? */
static bool uses_d(unsigned op)
{
    switch (op) {
    case UOP_DIVW32: case UOP_IDIVW32: case UOP_DIVW32Z: case UOP_IDIVW32Z: case UOP_DIVW64: case UOP_IDIVW64:
    case UOP_DIVW8: case UOP_IDIVW8: case UOP_DIVW16: case UOP_IDIVW16:
    case UOP_PICK32: case UOP_PICK32Z: case UOP_PICK64: case UOP_CMOV16: case UOP_CMOV32:
    case UOP_XCHG32: case UOP_XCHG32Z: case UOP_XCHG64: case UOP_BFI32Z: case UOP_BFI64: case UOP_BFX32Z: case UOP_BFX64:
        return true;
    default:
        return uop_infos[op].attributes & UOP_STORE;
    }
}

static enum touch touch_flags(const struct uop *u)
{
    unsigned attributes = uop_infos[u->op].attributes;

    if ((attributes & UOP_READF) && !(attributes & (UOP_ENDS | UOP_FAULTS)))
        return TOUCH_USE;
    if (u->op == UOP_BR || u->op == UOP_BR_DST_Z || u->op == UOP_BR_DST_NZ)
        return TOUCH_USE;
    return attributes & UOP_SETF ? TOUCH_SET : TOUCH_NONE;
}

static enum touch touches(const struct jit *j, const struct uop *u, const struct slot *s)
{
    const char *letters = uop_infos[u->op].operands;
    bool sets = false;

    if (s->offset >= j->c->flags_offset && s->offset < j->c->flags_offset + sizeof(struct lazy_flags))
        return touch_flags(u);
    for (; *letters; letters++)
        switch (*letters) {
        case 'a':
            if (within(s, u->a))
                return TOUCH_USE;
            break;
        case 'b':
            if (within(s, u->b))
                return TOUCH_USE;
            break;
        case 'i': /* if it is one */
            if (within(s, u->imm) && s->offset == u->imm)
                return TOUCH_USE;
            break;
        case 'd':
            if (within(s, u->d)) {
                if (uses_d(u->op))
                    return TOUCH_USE;
                sets = true;
            }
            break;
        default:
            break;
        }
    return sets ? TOUCH_SET : TOUCH_NONE;
}

/* Look at micro-ops from `first` on of a block. True: that is the answer. */
static bool look(const struct jit *j, const struct block *b, unsigned first, const struct slot *s, unsigned *n)
{
    for (unsigned i = first; i < b->nuops; i++) {
        enum touch touch = touches(j, &b->uops[i], s);

        if (touch == TOUCH_USE || *n == FAR)
            return true;
        if (touch == TOUCH_SET) {
            *n = AHEAD_NEVER;
            return true;
        }
        ++*n;
    }
    return false;
}

unsigned ahead_use(const struct jit *j, const struct slot *s)
{
    unsigned n = 0;

    if (s->kind == SLOT_PLACE)
        return 0;
    if (look(j, j->block, (unsigned)(j->u - j->block->uops) + 1, s, &n))
        return n == FAR ? AHEAD_NEVER : n;
    for (unsigned i = 0; i < j->nahead; i++)
        if (look(j, j->ahead[i], 0, s, &n))
            return n == FAR ? AHEAD_NEVER : n;
    return AHEAD_NEVER;
}
