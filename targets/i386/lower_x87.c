/*
 * Lowering of the x87: the micro-op X87 for each instruction. What it loads is loaded before it, and what it stores
 * stored in the midst of its two halves, by micro-ops like any others: so neither needs a call of its own.
 * An instruction that is alone, or in a segment that is not flat, is its helper's whole. So is one that may assert the
 * FERR pin, because an interrupt may follow it: its helper asks to be alone.
 */
#include "i386/lowering.h"

#include "i386/fpu.h"

/* The size in bytes of what the instruction loads from memory as a number; 0: nothing of 2 to 8 bytes. */
static unsigned loaded_bytes(unsigned op, unsigned field)
{
    static const uint8_t arithmetic[4] = {4, 4, 8, 2};

    if (!(op & 1))
        return arithmetic[op >> 1];
    if (field == 0)
        return op == 5 ? 8 : op == 7 ? 2 : 4;
    return op == 7 && field == 5 ? 8 : 0;
}

/* The same of what it stores. */
static unsigned stored_bytes(unsigned op, unsigned field)
{
    if (op == 7 && field == 7)
        return 8;
    if (!(op & 1) || (field != 2 && field != 3))
        return 0;
    return op == 5 ? 8 : op == 7 ? 2 : 4;
}

/* #NM, once in a block: what changes CR0 ends it. */
static void check_available(struct lower *l)
{
    for (unsigned i = 0; i < l->b->nuops; i++)
        if (l->b->uops[i].op == UOP_CHECK32 && l->b->uops[i].fn == i386_op_x87_unavailable)
            return;
    build_call(l->b, i386_op_x87_unavailable, CR0_EM | CR0_TS, S_OFF(cr0), 0)->op = UOP_CHECK32;
}

/* #MF of an error before, which comes before any of the operand. */
static void check_pending(struct lower *l)
{
    build_call(l->b, i386_op_x87_pending, 0, 0, X87_CHECK)->op = UOP_X87;
}

static void operation(struct lower *l, unsigned b)
{
    build_call(l->b, i386_x87_handler(l->i.opcode, l->i.modrm), l->i.opcode & 7, l->i.modrm, b)->op = UOP_X87;
}

/* Is the operand in memory where its offset says? (In 64-bit mode as in mem_through_segment().) */
static bool is_flat(const struct lower *l)
{
    if (wide(l))
        return !(l->mode & MODE_ALIGN) && l->i.seg < SEG_FS;
    return mode_seg(l->mode, l->i.seg) == SEG_FLAT;
}

static bool is_plain(const struct lower *l)
{
    return l->b->max_insns > 1 && !x87_wants_alone(l) && (!(l->i.flags & INSN_MEM) || is_flat(l));
}

bool x87_wants_alone(const struct lower *l)
{
    unsigned op = l->i.opcode & 7, field = l->i.modrm >> 3 & 7;

    if (!(l->i.flags & INSN_MEM)) /* FNCLEX, FNINIT */
        return (l->mode & MODE_FERR) && op == 3 && field == 4;
    if (field == 6 && (op == 1 || op == 5)) /* FNSTENV, FNSAVE: many stores */
        return true;
    return (l->mode & MODE_FERR) && ((op == 1 && (field == 4 || field == 5)) || (op == 5 && field == 4)); /* FLDENV FLDCW FRSTOR */
}

enum build_next lower_x87(struct lower *l)
{
    unsigned op = l->i.opcode & 7, field = l->i.modrm >> 3 & 7, loaded = 0, stored = 0;
    unsigned b = l->i.flags & INSN_MEM ? I386_FX_MEM | l->i.seg : 0;
    struct mem m = {.a = S_T(0)};

    if (is_plain(l)) {
        loaded = b ? loaded_bytes(op, field) : 0;
        stored = b ? stored_bytes(op, field) : 0;
        check_available(l);
    }
    if (loaded || stored)
        check_pending(l);
    if (l->i.flags & INSN_MEM)
        mem_offset(l);
    if (l->i.osize >= 4)
        b |= I386_FX_OP32;
    if (wide(l))
        b |= X87_WIDE;
    build(l->b, UOP_MOVI64, S_T(2), 0, 0, 0, 0)->imm64 = l->eip;
    if (loaded) {
        mem_load(l, loaded, S_T(1), &m);
        operation(l, b | X87_LOADED);
    } else if (stored) {
        operation(l, b | X87_CONVERT);
        mem_store(l, stored, S_T(1), &m);
        operation(l, b | X87_COMMIT);
    } else {
        operation(l, b);
    }
    return l->b->max_insns == 1 && (l->mode & MODE_FERR) ? end_exit(l) : BUILD_MORE;
}
