/*
 * Lowering of the x87: the micro-op X87 for each instruction, which compiled code does itself if it is plain.
 * An instruction that is alone, or in a segment that is not flat, is its helper's whole. So is one that may assert the
 * FERR pin, because an interrupt may follow it: its helper asks to be alone.
 */
#include "i386/lowering.h"

#include "i386/fpu.h"

/* #NM, once in a block: what changes CR0 ends it. */
static void check_available(struct lower *l)
{
    for (unsigned i = 0; i < l->b->nuops; i++)
        if (l->b->uops[i].op == UOP_CHECK32 && l->b->uops[i].fn == i386_op_x87_unavailable)
            return;
    build_call(l->b, i386_op_x87_unavailable, CR0_EM | CR0_TS, S_OFF(cr0), 0)->op = UOP_CHECK32;
}

/* In 64-bit mode as in mem_through_segment(). */
bool x87_is_flat(const struct lower *l)
{
    if (wide(l))
        return !(l->mode & MODE_ALIGN) && l->i.seg < SEG_FS;
    return mode_seg(l->mode, l->i.seg) == SEG_FLAT;
}

static bool is_plain(const struct lower *l)
{
    return l->b->max_insns > 1 && !x87_wants_alone(l) && (!(l->i.flags & INSN_MEM) || x87_is_flat(l));
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

/* Is it one that the model lacks? FCMOV and FCOMI came with the P6, FISTTP with SSE3. */
static bool is_lacking(const struct lower *l)
{
    unsigned op = l->i.opcode & 7, field = l->i.modrm >> 3 & 7;

    if (l->i.flags & INSN_MEM)
        return (op & 1) && op != 1 && field == 1 && !has(l, FEATURE_SSE3);
    return !(l->mode & MODE_P6) &&
           (((op == 2 || op == 3) && field < 4) || ((op == 3 || op == 7) && (field == 5 || field == 6)));
}

enum build_next lower_x87(struct lower *l)
{
    unsigned b = l->i.flags & INSN_MEM ? I386_FX_MEM | l->i.seg : 0;

    if (is_plain(l)) {
        check_available(l);
        b |= is_lacking(l) ? 0 : X87_PLAIN;
    }
    if (l->i.flags & INSN_MEM)
        mem_offset(l);
    if (l->i.osize >= 4)
        b |= I386_FX_OP32;
    if (wide(l))
        b |= X87_WIDE;
    build(l->b, UOP_MOVI64, S_T(2), 0, 0, 0, 0)->imm64 = l->eip;
    build_call(l->b, i386_x87_handler(l->i.opcode, l->i.modrm), l->i.opcode & 7, l->i.modrm, b)->op = UOP_X87;
    return l->b->max_insns == 1 && (l->mode & MODE_FERR) ? end_exit(l) : BUILD_MORE;
}

enum build_next lower_fwait(struct lower *l)
{
    set_const(l, S_T(2), l->eip);
    if (l->b->max_insns == 1 || (l->mode & MODE_FERR)) {
        call(l, i386_fwait, 0, 0, 0);
        return l->mode & MODE_FERR ? end_exit(l) : BUILD_MORE;
    }
    build_call(l->b, i386_fwait, CR0_TS, S_OFF(cr0), 0)->op = UOP_CHECK32;
    build_call(l->b, i386_fwait, 0, 0, X87_PLAIN | X87_WAIT)->op = UOP_X87;
    return BUILD_MORE;
}
