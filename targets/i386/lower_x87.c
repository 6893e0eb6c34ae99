/*
 * Lowering of the x87: the micro-op X87 for each instruction, which compiled code does itself if it is plain.
 * An instruction that is alone, or in a segment that is looked at by a helper, is its helper's whole. So is one that may assert the
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

/* Bytes of the operand in memory, and is it written? 0: there is none of 2 to 10 bytes, or it is BCD. */
static unsigned memory_bytes(const struct lower *l, bool *written)
{
    static const uint8_t arithmetic[4] = {4, 4, 8, 2};
    /* D9, DB, DD, DF by ModRM.reg */
    static const uint8_t others[4][8] = {
        {4, 0, 4, 4, 0, 2, 0, 2}, {4, 4, 4, 4, 0, 10, 0, 10}, {8, 8, 8, 8, 0, 0, 0, 2}, {2, 2, 2, 2, 0, 8, 0, 8}};
    unsigned op = l->i.opcode & 7, reg = l->i.modrm >> 3 & 7;

    *written = (op & 1) && reg != 0 && reg != 5;
    return op & 1 ? others[op >> 1][reg] : arithmetic[op >> 1];
}

/* Can the address be made here, with all checks, if it is not flat? */
static bool is_reached(const struct lower *l)
{
    bool written;

    if (x87_is_flat(l))
        return true;
    if (!memory_bytes(l, &written) || (l->mode & MODE_ALIGN))
        return false;
    return wide(l) || mode_seg(l->mode, l->i.seg) != SEG_GENERAL || (!written && mode_reads(l->mode, l->i.seg));
}

static bool is_plain(const struct lower *l)
{
    return l->b->max_insns > 1 && !x87_wants_alone(l) && (!(l->i.flags & INSN_MEM) || is_reached(l));
}

/* The address, of the offset S_T(0), to S_T(4); first of all an error that is pending. */
static void linear(struct lower *l)
{
    const unsigned op = l->i.opcode & 7, reg = l->i.modrm >> 3 & 7;
    struct mem m = {.a = (uint16_t)S_T(0)};
    unsigned bytes, at;
    bool written;

    if (reg != 7 || (op != 1 && op != 5)) /* FNSTCW, FNSTSW */
        build_call(l->b, i386_op_x87_pending, 0, 0, X87_PLAIN | X87_WAIT)->op = UOP_X87;
    bytes = memory_bytes(l, &written);
    mem_through_segment(l, &m, l->i.seg, bytes, written, S_T(4));
    at = mem_flatten(l, &m, S_T(4));
    if (at != S_T(4))
        emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(4), at, 0);
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
    if ((b & X87_PLAIN) && (l->i.flags & INSN_MEM) && !x87_is_flat(l)) {
        linear(l);
        b |= X87_LINEAR;
    }
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
