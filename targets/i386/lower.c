/*
 * Lowering: the meaning of every i386 instruction as micro-ops (SDM volume 2).
 *
 * x87 and system instructions, and what is rare of MMX and SSE, become calls of
 * helpers (lower.h, helpers.h); everything common is micro-ops, here and in
 * lower_stack.c, lower_integer.c, lower_bits.c and lower_simd.c. Rules kept throughout:
 *   - registers, flags and memory change only after the last thing that can
 *     fault (a read-modify-write computes into a temporary, stores, and only
 *     then sets the flags);
 *   - what uop.h calls *alone* is named in wants_alone();
 *   - what changes the block mode, or may make an interrupt deliverable, ends
 *     the block with EXIT (but an STI, if none waits: lower_sti()).
 *
 * Choices where the manuals leave room (see also integer.c for undefined flags):
 *   - PUSH of a segment register with 32-bit operands writes a zero-extended
 *     doubleword (Pentium III; newer processors write only 16 bits)
 *   - MOV r32, Sreg zero-extends (as the P6 family)
 *   - BSWAP of a 16-bit register gives 0
 *   - an access that wraps around the end of a 4 GiB segment is allowed
 *
 * To add an instruction: a case in lower_insn().
 */
#include "i386/lowering.h"

#include "i386/fpu.h"
#include "i386/protect.h"

/* ---- ends of blocks ---- */

static enum build_next end_fall(struct lower *l)
{
    l->b->target[0] = l->next;
    emit(l, UOP_FALL, 0, 0, 0);
    return BUILD_END;
}

enum build_next end_exit(struct lower *l)
{
    l->b->target[0] = l->next;
    emit(l, UOP_EXIT, 0, 0, 0);
    return BUILD_END;
}

/* After what may disturb the machine, but not the CPU's mode, its stack of pending things or its flags: devices, times. */
static enum build_next end_calm(struct lower *l)
{
    l->b->target[0] = l->next;
    emit(l, UOP_CALM, 0, 0, 0);
    return BUILD_END;
}

static enum build_next raise(struct lower *l, unsigned vector, bool has_error)
{
    call(l, i386_op_raise, vector, has_error, 0);
    return end_exit(l);
}

enum build_next end_undefined(struct lower *l)
{
    return raise(l, EXC_UD, false);
}

static uint32_t cs_limit(const struct lower *l)
{
    return (uint32_t)(l->mode >> 32);
}

/* Bytes at `eip` that CS's limit lets through, at most `avail`. */
static unsigned within_limit(const struct lower *l, uint64_t eip, unsigned avail)
{
    if (wide(l))
        return avail;
    if (eip > cs_limit(l))
        return 0;
    return cs_limit(l) - eip < avail ? cs_limit(l) - (uint32_t)eip + 1 : avail;
}

/* Where a relative branch goes. */
static uint64_t branch_target(const struct lower *l)
{
    uint64_t t = l->next + (uint64_t)(int32_t)l->i.imm;

    return l->i.osize == 8 ? t : l->i.osize == 2 ? t & 0xffff : (uint32_t)t;
}

/* Beyond CS's limit? (A direct branch to an address that is not canonical, whose own one is not far from there, faults at the fetch.) */
static bool bad_target(const struct lower *l)
{
    return !wide(l) && branch_target(l) > cs_limit(l);
}

static enum build_next end_jump(struct lower *l, uint64_t target)
{
    l->b->target[1] = target;
    emit(l, UOP_JMP, 0, 0, 0);
    return BUILD_END;
}

/* End with a conditional branch; `op` BR (b: condition), or BRZ, BRNZ (of a). */
static enum build_next end_branch(struct lower *l, enum uop_code op, unsigned a, unsigned cond)
{
    l->b->target[0] = l->next;
    l->b->target[1] = branch_target(l);
    emit(l, op, 0, a, cond);
    return BUILD_END;
}

/* Jump to the value at `off`, which was checked. */
static enum build_next end_indirect(struct lower *l, unsigned off)
{
    emit(l, wide(l) ? UOP_JMPR64 : UOP_JMPR32, 0, off, 0);
    return BUILD_END;
}

static enum build_next end_return(struct lower *l, unsigned off)
{
    emit(l, wide(l) ? UOP_RET64 : UOP_RET32, 0, off, 0);
    return BUILD_END;
}

/* The jump that follows is a call's. (One to the next instruction is how code asks where it is.) */
static void note_call(struct lower *l)
{
    l->b->target[EDGE_RETURN] = l->next;
    emit(l, UOP_CALLS, 0, 0, 0);
}

/* In 64-bit mode: #GP unless the value at `off` is canonical; `popped` bytes were taken from the stack, and go back. */
static void check_canonical(struct lower *l, unsigned off, unsigned popped)
{
    build_call(l->b, i386_op_canonical, popped, off, 0)->op = UOP_CANON64;
}

/* A near transfer to the value at `off` of operand size: the offset of the
 * checked value, in 64-bit mode of all of it, else of 32 bits. */
static unsigned check_target(struct lower *l, unsigned off, unsigned temp)
{
    if (l->i.osize == 2) {
        emit(l, wide(l) ? UOP_ZX16_64 : UOP_ZX16_32, temp, off, 0);
        off = temp;
    } else if (wide(l)) {
        check_canonical(l, off, 0);
    }
    if (wide(l))
        return off;
    if (cs_limit(l) < (l->i.osize == 2 ? 0xffffu : 0xffffffffu))
        build_call(l->b, i386_op_limit, 0, off, S_SEG(SEG_CS, limit))->op = UOP_LIMIT32;
    return off;
}

/* ---- classes of instructions ---- */

static enum build_next lower_mov(struct lower *l)
{
    const struct operand *d = &l->i.arg[0], *s = &l->i.arg[1];
    struct mem m;

    if (s->kind == OPERAND_IMM && d->kind == OPERAND_REG) {
        if (d->size >= 4) /* of 64 bits: all of them (B8), or the sign-extended 32 (C7) */
            set_const(l, reg(d->reg, d->size), d->size == 4 ? l->i.imm : l->i.opcode >= 0xc0 ? (uint64_t)(int32_t)l->i.imm : l->i.wide);
        else
            emit_imm(l, d->size == 1 ? UOP_MOVI8 : UOP_MOVI16, reg(d->reg, d->size), 0, l->i.imm);
        return BUILD_MORE;
    }
    if (s->kind == OPERAND_IMM) {
        mem_operand(l, &m, d->size, true);
        mem_store_imm(l, d->size, l->i.imm, &m);
        return BUILD_MORE;
    }
    if (s->kind == OPERAND_MEM) {
        mem_operand(l, &m, d->size, false);
        mem_load(l, d->size, reg(d->reg, d->size), &m);
        return BUILD_MORE;
    }
    operand_write(l, 0, reg(s->reg, s->size));
    return BUILD_MORE;
}

/* MOVZX, MOVSX, MOVSXD in 64-bit mode, to 32 or 64 bits. */
static enum build_next lower_extend_wide(struct lower *l)
{
    static const uint16_t load[3][3][2] = { /* zero, sign to 64, sign to 32; from 8, 16, 32 bits */
        {{UOP_LDZ8_X, UOP_LDXZ8_X}, {UOP_LDZ16_X, UOP_LDXZ16_X}, {UOP_LDZ32_X, UOP_LDXZ32_X}},
        {{UOP_LDS8_64_X, UOP_LDXS8_64_X}, {UOP_LDS16_64_X, UOP_LDXS16_64_X}, {UOP_LDS32_64_X, UOP_LDXS32_64_X}},
        {{UOP_LDS8_32Z_X, UOP_LDXS8_32Z_X}, {UOP_LDS16_32Z_X, UOP_LDXS16_32Z_X}, {UOP_LDZ32_X, UOP_LDXZ32_X}}};
    static const uint16_t move[3][3] = {{UOP_ZX8_64, UOP_ZX16_64, UOP_MOV32Z}, {UOP_SX8_64, UOP_SX16_64, UOP_SX32_64},
                                        {UOP_SX8_32Z, UOP_SX16_32Z, UOP_MOV32Z}};
    unsigned from = l->i.arg[1].size, z = from >> 1, d = reg(l->i.arg[0].reg, 8);
    unsigned kind = l->i.op == INSN_MOVZX ? 0 : l->i.osize == 8 ? 1 : 2;
    struct mem m;

    if (is_mem(l, 1)) {
        mem_operand(l, &m, from, false);
        mem_access(l, (enum uop_code)load[kind][z][0], (enum uop_code)load[kind][z][1], d, &m);
    } else {
        emit(l, (enum uop_code)move[kind][z], d, operand_value(l, 1, S_T(1)), 0);
    }
    return BUILD_MORE;
}

/* MOVZX, MOVSX, MOVSXD */
static enum build_next lower_extend(struct lower *l)
{
    static const uint16_t load[2][2][2] = { /* sign, zero; from 8, 16 bits */
        {{UOP_LDS8_32_W, UOP_LDXS8_32_W}, {UOP_LDS16_32_W, UOP_LDXS16_32_W}},
        {{UOP_LDZ8_32_W, UOP_LDXZ8_32_W}, {UOP_LDZ16_32_W, UOP_LDXZ16_32_W}}};
    bool zero = l->i.op == INSN_MOVZX;
    unsigned from = l->i.arg[1].size, to = l->i.osize;
    unsigned d = reg(l->i.arg[0].reg, 4), s;
    struct mem m;

    if (wide(l) && to >= 4)
        return lower_extend_wide(l);
    if (is_mem(l, 1) && to == 4) {
        mem_operand(l, &m, from, false);
        mem_access(l, (enum uop_code)load[zero][from >> 1][0], (enum uop_code)load[zero][from >> 1][1], d, &m);
        return BUILD_MORE;
    }
    s = operand_value(l, 1, S_T(1));
    if (from >= 2 && to == 2)
        emit(l, UOP_MOV16, d, s, 0);
    else if (from == 2)
        emit(l, zero ? UOP_ZX16_32 : UOP_SX16_32, d, s, 0);
    else if (to == 2)
        emit(l, zero ? UOP_ZX8_16 : UOP_SX8_16, d, s, 0);
    else
        emit(l, zero ? UOP_ZX8_32 : UOP_SX8_32, d, s, 0);
    return BUILD_MORE;
}

/* F3 90 is PAUSE. */
static enum build_next lower_nop(struct lower *l)
{
    if (l->i.map || !(l->i.flags & INSN_REP)) {
        emit(l, UOP_NOP, 0, 0, 0);
        return BUILD_MORE;
    }
    call(l, i386_op_pause, 0, 0, 0);
    return end_fall(l);
}

static enum build_next lower_xchg(struct lower *l)
{
    unsigned size = l->i.arg[0].size, r = reg(l->i.arg[1].reg, size);
    struct mem m;

    if (!is_mem(l, 0)) {
        emit(l, SIZED(size, UOP_XCHG, ), reg(l->i.arg[0].reg, size), r, 0);
        return BUILD_MORE;
    }
    mem_operand(l, &m, size, true);
    mem_load_rw(l, size, S_T(1), &m);
    mem_store(l, size, r, &m);
    operand_move(l, size, r, S_T(1));
    return BUILD_MORE;
}

static enum build_next lower_xadd(struct lower *l)
{
    unsigned size = l->i.arg[0].size, r = reg(l->i.arg[1].reg, size);
    struct mem m;

    if (!is_mem(l, 0)) {
        unsigned d = reg(l->i.arg[0].reg, size);

        operand_move(l, size, S_T(1), d);
        emit(l, SIZED(size, UOP_ADD, _F), S_T(2), d, r);
        operand_move(l, size, r, S_T(1));
        operand_move(l, size, d, S_T(2));
        return BUILD_MORE;
    }
    mem_operand(l, &m, size, true);
    mem_load_rw(l, size, S_T(1), &m);
    emit(l, SIZED(size, UOP_ADD, ), S_T(2), S_T(1), r);
    mem_store(l, size, S_T(2), &m);
    emit(l, SIZED(size, UOP_ADD, _F), S_T(2), S_T(1), r);
    operand_move(l, size, r, S_T(1));
    return BUILD_MORE;
}

/* CMPXCHG of 32 bits in 64-bit mode: only what is written is zero-extended. */
static enum build_next lower_cmpxchg_32z(struct lower *l)
{
    unsigned r = reg(l->i.arg[1].reg, 4), old = S_T(1), d = reg(l->i.arg[0].reg, 4);
    struct mem m;

    if (is_mem(l, 0)) {
        mem_operand(l, &m, 4, true);
        mem_load_rw(l, 4, old, &m);
    } else {
        emit(l, UOP_MOV32Z, old, d, 0);
    }
    emit(l, UOP_MOV32Z, S_T(2), r, 0);
    if (is_mem(l, 0)) {
        emit(l, UOP_PICK32Z, S_T(2), old, S_GPR64(EAX));
        mem_store(l, 4, S_T(2), &m);
    }
    emit(l, UOP_CMP32, 0, S_GPR64(EAX), old);
    if (!is_mem(l, 0))
        build(l->b, UOP_CSEL64, d, S_T(2), d, COND_Z, 0);
    if (is_mem(l, 0) || d != S_GPR64(EAX))
        build(l->b, UOP_CSEL64, S_GPR64(EAX), S_GPR64(EAX), old, COND_Z, 0);
    return BUILD_MORE;
}

/* Always writes memory, as the manual says. Setting the accumulator to the old
 * value is right in both outcomes. */
static enum build_next lower_cmpxchg(struct lower *l)
{
    unsigned size = l->i.arg[0].size, r = reg(l->i.arg[1].reg, size), old = S_T(1);
    struct mem m;

    if (size == 4 && wide(l))
        return lower_cmpxchg_32z(l);
    if (is_mem(l, 0)) {
        mem_operand(l, &m, size, true);
        mem_load_rw(l, size, old, &m);
    } else {
        operand_move(l, size, old, reg(l->i.arg[0].reg, size));
    }
    operand_move(l, size, S_T(2), r);
    emit(l, SIZED(size, UOP_PICK, ), S_T(2), old, S_GPR32(EAX));
    if (is_mem(l, 0))
        mem_store(l, size, S_T(2), &m);
    emit(l, SIZED_PLAIN(size, UOP_CMP, ), 0, S_GPR32(EAX), old);
    operand_move(l, size, S_GPR32(EAX), old);
    if (!is_mem(l, 0))
        operand_move(l, size, reg(l->i.arg[0].reg, size), S_T(2));
    return BUILD_MORE;
}

static enum build_next lower_lea(struct lower *l)
{
    unsigned d = reg(l->i.arg[0].reg, 4);
    struct mem m;

    mem_effective_address(l, &m, 0);
    if (l->i.osize == 2) {
        emit(l, UOP_MOV16, d, mem_flatten(l, &m, S_T(0)), 0);
        return BUILD_MORE;
    }
    if (wide(l)) {
        /* The whole address, or its low half. */
        bool low = l->i.osize == 4;

        if (m.indexed)
            build(l->b, low ? UOP_LEAX_32Z : UOP_LEAX_X, d, m.a, m.b, m.imm, m.scale);
        else if (m.a == S_ZERO)
            set_const(l, d, low ? m.imm : (uint64_t)(int32_t)m.imm);
        else if (m.imm)
            emit_sized(l, low ? UOP_ADD32ZI : UOP_ADD64I, d, m.a, low ? 4 : 8, m.imm);
        else
            emit(l, low ? UOP_MOV32Z : UOP_MOV64, d, m.a, 0);
        return BUILD_MORE;
    }
    if (m.indexed)
        build(l->b, UOP_LEAX_W, d, m.a, m.b, m.imm, m.scale);
    else if (m.a == S_ZERO)
        emit_imm(l, UOP_MOVI32, d, 0, m.imm);
    else if (m.imm || m.a != d) /* (else it is a NOP of several bytes) */
        emit_imm(l, UOP_LEA_W, d, m.a, m.imm);
    return BUILD_MORE;
}

static enum build_next lower_jcc(struct lower *l)
{
    unsigned cond = l->i.opcode & 15;

    if (bad_target(l)) {
        call(l, i386_op_bad_branch, 0, 0, cond);
        return end_fall(l);
    }
    return end_branch(l, UOP_BR, 0, cond);
}

/* LOOP LOOPE LOOPNE JCXZ: the count register is as wide as addresses. */
static enum build_next lower_loop(struct lower *l)
{
    unsigned size = l->i.asize, taken = S_T(2);
    bool bad = bad_target(l);

    if (size == 2)
        emit(l, UOP_ZX16_32, S_T(2), S_GPR16(ECX), 0);
    else
        emit(l, SIZED(size, UOP_MOV, ), S_T(2), S_GPR64(ECX), 0);
    if (l->i.op == INSN_JCXZ) {
        if (bad) {
            call(l, i386_op_bad_branch, 0, S_T(2), 17);
            return end_fall(l);
        }
        return end_branch(l, wide(l) ? UOP_BRZ64 : UOP_BRZ32, S_T(2), 0);
    }
    emit_sized(l, SIZED(size, UOP_SUB, I), S_T(2), S_T(2), size, 1);
    if (l->i.op != INSN_LOOP) { /* the count, or 0 if the condition does not hold */
        taken = S_T(1);
        build(l->b, size == 8 ? UOP_CSEL64 : UOP_CSEL32Z, taken, S_T(2), S_ZERO, l->i.op == INSN_LOOPE ? COND_Z : COND_NZ, 0);
    }
    if (bad)
        call(l, i386_op_bad_branch, 0, taken, 16);
    operand_move(l, size, S_GPR64(ECX), S_T(2));
    return bad ? end_fall(l) : end_branch(l, wide(l) ? UOP_BRNZ64 : UOP_BRNZ32, taken, 0);
}

static enum build_next lower_jmp(struct lower *l)
{
    uint64_t target = branch_target(l);

    if (bad_target(l))
        return raise(l, EXC_GP, true);
    return end_jump(l, target);
}

static enum build_next lower_call(struct lower *l)
{
    uint64_t target = branch_target(l);

    if (bad_target(l))
        return raise(l, EXC_GP, true);
    stack_push_imm(l, l->i.osize, l->next);
    if (target != l->next)
        note_call(l);
    return end_jump(l, target);
}

static enum build_next lower_jmp_indirect(struct lower *l)
{
    return end_indirect(l, check_target(l, operand_value(l, 0, S_T(1)), S_T(1)));
}

static enum build_next lower_call_indirect(struct lower *l)
{
    unsigned off = check_target(l, operand_value(l, 0, S_T(2)), S_T(2));

    /* CALL ESP goes to the value before the push. */
    if (off == S_GPR32(ESP))
        emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(2), off, 0);
    stack_push_imm(l, l->i.osize, l->next);
    note_call(l);
    return end_indirect(l, off == S_GPR32(ESP) ? S_T(2) : off);
}

static enum build_next lower_ret(struct lower *l)
{
    unsigned extra = l->i.arg[0].kind == OPERAND_IMM ? l->i.imm & 0xffff : 0;
    unsigned off;

    if (wide(l) && stack_is_flat(l) && l->i.osize == 8 && 8 + extra <= UINT16_MAX) {
        emit_imm(l, UOP_LD64_POST_X, S_T(1), S_GPR64(ESP), 8 + extra);
        check_canonical(l, S_T(1), 8 + extra);
        return end_return(l, S_T(1));
    }
    if (stack_is_flat(l) && l->i.osize == 4 && cs_limit(l) == 0xffffffffu) {
        emit_imm(l, UOP_LD32_POST_W, S_T(1), S_GPR32(ESP), 4 + extra);
        return end_return(l, S_T(1));
    }
    stack_peek(l, l->i.osize, S_T(1));
    off = check_target(l, S_T(1), S_T(1));
    stack_move(l, (int)(l->i.osize + extra));
    return end_return(l, off);
}

/* A far pointer: it is aligned as its offset, one of 64 bits as one of 32. */
static void far_operand(struct lower *l, struct mem *m)
{
    mem_operand_aligned(l, m, l->i.osize + 2u, l->i.osize == 2 ? 2 : 4, false);
}

/* JMP and CALL to a far pointer, immediate or in memory. */
static enum build_next lower_far(struct lower *l)
{
    bool is_call = l->i.op == INSN_CALLF || l->i.op == INSN_CALLF_IND;
    struct mem m;

    if (is_mem(l, 0)) {
        far_operand(l, &m);
        if (l->i.osize == 2)
            set_const(l, S_T(1), 0);
        mem_load(l, l->i.osize, S_T(1), &m);
        mem_advance(l, &m, l->i.osize);
        mem_load(l, 2, S_T(2), &m);
    } else {
        set_const(l, S_T(1), l->i.imm);
        set_const(l, S_T(2), l->i.imm2);
    }
    set_const(l, S_T(3), l->next);
    call(l, is_call ? i386_op_far_call : i386_op_far_jump, S_T(1), S_T(2), l->i.osize);
    return end_exit(l);
}

static enum build_next lower_int(struct lower *l)
{
    set_const(l, S_T(3), l->next);
    switch (l->i.op) {
    case INSN_INT3:
        call(l, i386_op_int, INT_3, EXC_BP, 0);
        break;
    case INSN_INTO:
        call(l, i386_op_int, INT_O, EXC_OF, 0);
        break;
    case INSN_ICEBP:
        call(l, i386_op_int, INT_ICEBP, EXC_DB, 0);
        break;
    default:
        call(l, i386_op_int, INT_N, l->i.imm & 0xff, 0);
    }
    return end_exit(l);
}

static enum build_next lower_mov_from_sreg(struct lower *l)
{
    unsigned s = S_SEG(l->i.arg[1].reg, selector);
    struct mem m;

    if (is_mem(l, 0)) {
        mem_operand(l, &m, 2, true);
        mem_store(l, 2, s, &m);
        return BUILD_MORE;
    }
    emit(l, l->i.osize == 2 ? UOP_MOV16 : wide(l) ? UOP_ZX16_64 : UOP_ZX16_32, reg(l->i.arg[0].reg, 4), s, 0);
    return BUILD_MORE;
}

static enum build_next lower_mov_to_sreg(struct lower *l)
{
    unsigned s = operand_value(l, 1, S_T(1));

    call(l, i386_op_load_segment, l->i.arg[0].reg, s, 0);
    return end_exit(l);
}

/* LES LDS LSS LFS LGS */
static enum build_next lower_load_far(struct lower *l)
{
    unsigned size = l->i.osize;
    struct mem m;

    far_operand(l, &m);
    mem_load(l, size, S_T(1), &m);
    mem_advance(l, &m, size);
    mem_load(l, 2, S_T(2), &m);
    call(l, i386_op_load_segment, l->i.arg[2].reg, S_T(2), 0);
    operand_move(l, size, reg(l->i.arg[0].reg, size), S_T(1));
    return end_exit(l);
}

static enum build_next lower_cbw(struct lower *l)
{
    if (l->i.osize == 2)
        emit(l, UOP_SX8_16, S_GPR16(EAX), S_GPR8(EAX), 0);
    else if (l->i.osize == 8)
        emit(l, UOP_SX32_64, S_GPR64(EAX), S_GPR32(EAX), 0);
    else
        emit(l, wide(l) ? UOP_SX16_32Z : UOP_SX16_32, S_GPR32(EAX), S_GPR16(EAX), 0);
    return BUILD_MORE;
}

static enum build_next lower_cwd(struct lower *l)
{
    if (l->i.osize == 8) {
        emit_imm(l, UOP_ASR64I, S_GPR64(EDX), S_GPR64(EAX), 63);
        return BUILD_MORE;
    }
    if (l->i.osize == 4) {
        emit_imm(l, wide(l) ? UOP_ASR32ZI : UOP_SAR32I, S_GPR32(EDX), S_GPR32(EAX), 31);
        return BUILD_MORE;
    }
    emit(l, UOP_SX16_32, S_T(1), S_GPR16(EAX), 0);
    emit_imm(l, UOP_SAR32I, S_T(1), S_T(1), 31);
    emit(l, UOP_MOV16, S_GPR16(EDX), S_T(1), 0);
    return BUILD_MORE;
}

/* SAHF LAHF CMC CLC STC SALC */
static enum build_next lower_flags(struct lower *l)
{
    switch (l->i.op) {
    case INSN_SAHF:
        emit(l, UOP_ZX8_32, S_T(1), S_GPR8(4), 0);
        emit_imm(l, UOP_FLAGS_TAKE, 0, S_T(1), FLAGS_ALL & 0xff);
        return BUILD_MORE;
    case INSN_LAHF:
        emit(l, UOP_FLAGS_GET, S_T(1), 0, 0);
        emit_imm(l, UOP_OR32I, S_T(1), S_T(1), EFLAGS_1);
        emit(l, UOP_MOV8, S_GPR8(4), S_T(1), 0);
        return BUILD_MORE;
    case INSN_SALC:
        emit(l, UOP_SETCC, S_T(1), 0, COND_C);
        emit(l, UOP_NEG8, S_GPR8(EAX), S_T(1), 0);
        return BUILD_MORE;
    default: /* what stays, and what is inverted then */
        build(l->b, UOP_FLAGS_CHANGE, 0, 0, 0, l->i.op == INSN_CMC ? FLAGS_ALL : FLAGS_ALL & ~FLAG_C, l->i.op == INSN_CLC ? 0 : FLAG_C);
        return BUILD_MORE;
    }
}

/* Two registers of 32 bits as one of 64. Uses `temp`. */
static void register_pair(struct lower *l, unsigned d, unsigned high, unsigned low, unsigned temp)
{
    emit(l, UOP_MOV32Z, temp, S_GPR64(low), 0);
    emit_imm(l, UOP_LSL64I, d, S_GPR64(high), 32);
    emit(l, UOP_OR64, d, d, temp);
}

#define COND_NOT_EQUAL 5u /* of Jcc, SETcc, CMOVcc */

/* CMPXCHG8B: as CMPXCHG, of 64 bits, but that of the flags only Z changes. Outside 64-bit mode nothing else puts anything into the
 * upper halves of S_T(...), which helpers read: so these are others. */
static enum build_next lower_cmpxchg8b(struct lower *l)
{
    unsigned old = S_XT(0), wanted = S_XT(1), next = S_XT(2), temp = S_XT(3);
    struct mem m;

    if (!has(l, FEATURE_CX8))
        return end_undefined(l);
    mem_operand(l, &m, 8, true);
    mem_load_rw(l, 8, old, &m);
    register_pair(l, wanted, EDX, EAX, temp);
    register_pair(l, next, ECX, EBX, temp);
    emit(l, UOP_PICK64, next, old, wanted);
    mem_store(l, 8, next, &m);
    emit(l, UOP_EQUAL64_F, 0, old, wanted);
    if (!wide(l)) {
        emit(l, UOP_MOV32Z, S_GPR64(EAX), old, 0);
        emit_imm(l, UOP_LSR64I, S_GPR64(EDX), old, 32);
        return BUILD_MORE;
    }
    /* Where they were equal the upper halves stay, too. */
    emit(l, UOP_MOV32Z, S_T(1), old, 0);
    emit_imm(l, UOP_LSR64I, S_T(2), old, 32);
    build(l->b, UOP_CSEL64, S_GPR64(EAX), S_T(1), S_GPR64(EAX), COND_NOT_EQUAL, 0);
    build(l->b, UOP_CSEL64, S_GPR64(EDX), S_T(2), S_GPR64(EDX), COND_NOT_EQUAL, 0);
    return BUILD_MORE;
}

static enum build_next lower_xlat(struct lower *l)
{
    struct mem m = {.a = (uint16_t)S_T(0)};

    emit(l, wide(l) ? UOP_ZX8_64 : UOP_ZX8_32, S_T(0), S_GPR8(EAX), 0);
    build(l->b, wide(l) ? UOP_LEAX_X : UOP_LEAX_W, S_T(0), S_T(0), S_GPR32(EBX), 0, 0);
    if (wide(l) && l->i.asize == 4)
        emit(l, UOP_MOV32Z, S_T(0), S_T(0), 0);
    if (l->i.asize == 2)
        emit(l, UOP_ZX16_32, S_T(0), S_T(0), 0);
    mem_through_segment(l, &m, l->i.seg, 1, false, S_T(0));
    mem_load(l, 1, S_GPR8(EAX), &m);
    return BUILD_MORE;
}

static enum build_next lower_arpl(struct lower *l)
{
    if (!(l->mode & MODE_PE) || (l->mode & MODE_VM))
        return end_undefined(l);
    if (is_mem(l, 0)) {
        mem_offset(l);
        call(l, i386_op_arpl_mem, l->i.seg, reg(l->i.arg[1].reg, 2), 0);
    } else {
        call(l, i386_op_arpl_reg, reg(l->i.arg[0].reg, 2), reg(l->i.arg[1].reg, 2), 0);
    }
    return BUILD_MORE;
}

static enum build_next lower_port(struct lower *l)
{
    bool in = l->i.op == INSN_IN;
    const struct operand *port = &l->i.arg[in ? 1 : 0], *data = &l->i.arg[in ? 0 : 1];
    unsigned p = S_GPR16(EDX);

    if (port->kind == OPERAND_IMM) {
        set_const(l, S_T(1), l->i.imm & 0xff);
        p = S_T(1);
    }
    call(l, in ? i386_op_in : i386_op_out, S_GPR32(EAX), p, (data->size > 4 ? 4 : data->size) | l->i.asize << 4);
    return end_calm(l);
}

/* The place that ESI or EDI names. `temp` is free for use. */
static void string_place(struct lower *l, struct mem *m, unsigned r, unsigned seg, unsigned size, bool write, unsigned temp)
{
    *m = (struct mem){.a = (uint16_t)S_GPR64(r)};
    if (l->i.asize == 2 || (wide(l) && l->i.asize == 4)) {
        emit(l, l->i.asize == 2 ? UOP_ZX16_32 : UOP_MOV32Z, temp, S_GPR64(r), 0);
        m->a = (uint16_t)temp;
    }
    mem_through_segment(l, m, seg, size, write, temp);
}

/* ESI or EDI goes on by `size`, less what is in S_T(6): 0, or with DF twice of that. */
static void string_advance(struct lower *l, unsigned r, unsigned size)
{
    unsigned asize = l->i.asize;

    emit_sized(l, SIZED(asize, UOP_ADD, I), S_GPR64(r), S_GPR64(r), asize, size);
    emit(l, SIZED(asize, UOP_SUB, ), S_GPR64(r), S_GPR64(r), S_T(6));
}

/* MOVS CMPS STOS LODS SCAS without a repetition. */
static enum build_next lower_string_once(struct lower *l, unsigned size)
{
    const bool source = l->i.op == INSN_MOVS || l->i.op == INSN_CMPS || l->i.op == INSN_LODS;
    const bool writes = l->i.op == INSN_MOVS || l->i.op == INSN_STOS;
    unsigned a = source ? S_T(1) : S_GPR64(EAX);
    struct mem m;

    if (source) {
        string_place(l, &m, ESI, l->i.seg, size, false, S_T(0));
        mem_load(l, size, a, &m);
    }
    if (l->i.op == INSN_LODS) {
        operand_move(l, size, S_GPR64(EAX), a);
    } else {
        string_place(l, &m, EDI, SEG_ES, size, writes, S_T(5));
        if (writes) {
            mem_store(l, size, a, &m);
        } else {
            mem_load(l, size, S_T(2), &m);
            emit(l, SIZED_PLAIN(size, UOP_CMP, ), 0, a, S_T(2));
        }
    }
    emit_imm(l, wide(l) ? UOP_AND32ZI : UOP_AND32I, S_T(6), S_OFF(eflags), EFLAGS_DF);
    emit_imm(l, wide(l) ? UOP_LSR32ZI : UOP_SHR32I, S_T(6), S_T(6), 9 - (unsigned)__builtin_ctz(size));
    if (source)
        string_advance(l, ESI, size);
    if (l->i.op != INSN_LODS)
        string_advance(l, EDI, size);
    return BUILD_MORE;
}
_Static_assert(EFLAGS_DF == 1u << 10, "it is made twice the size by a shift");

static enum build_next lower_string(struct lower *l)
{
    unsigned kind = STRING_INS + (l->i.op - INSN_INS);
    unsigned size = l->i.opcode & 1 ? l->i.osize : 1;

    if (size == 8 && (l->i.op == INSN_INS || l->i.op == INSN_OUTS))
        size = 4; /* ports are 32 bits at most */
    if (!(l->i.flags & (INSN_REP | INSN_REPNE)) && l->i.op != INSN_INS && l->i.op != INSN_OUTS)
        return lower_string_once(l, size);
    /* LODS and the like ignore REPNE's difference. */
    if (l->i.flags & INSN_REP)
        kind |= STRING_REP;
    if (l->i.flags & INSN_REPNE)
        kind |= STRING_REPNE;
    if (l->i.asize == 4)
        kind |= STRING_ADDR32;
    if (l->i.asize == 8)
        kind |= STRING_ADDR64;
    set_const(l, S_T(2), l->eip);
    call(l, i386_op_string, kind, l->i.seg, size);
    if (l->i.op == INSN_INS || l->i.op == INSN_OUTS)
        return end_exit(l);
    return end_fall(l);
}
_Static_assert(INSN_SCAS - INSN_INS == STRING_SCAS - STRING_INS, "string kinds follow the instructions");

/* ---- system instructions ---- */

/* MOV from CR0, CR2, CR3, CR4: only a program without the privilege needs the helper, which faults then. */
static enum build_next lower_mov_from_cr(struct lower *l, unsigned to, unsigned number)
{
    bool upper = has(l, FEATURE_LM); /* registers have upper halves, which the 32-bit forms leave as they are: 0 without it */

    if (number != 0 && number != 2 && number != 3 && number != 4) {
        call(l, i386_op_mov_from_cr, to, number, 0);
        return BUILD_MORE;
    }
    build_call(l->b, i386_op_mov_from_cr, 3, S_OFF(cpl), 0)->op = UOP_CHECK32;
    if (number == 2 || number == 3)
        emit(l, upper ? UOP_MOV64 : UOP_MOV32, to, number == 2 ? S_OFF(cr2) : S_OFF(cr3), 0);
    else
        emit(l, upper ? UOP_MOV32Z : UOP_MOV32, to, number ? S_OFF(cr4) : S_OFF(cr0), 0);
    return BUILD_MORE;
}

/* A helper that gives a 32-bit value for a 16-bit place: registers get operand
 * size, memory 16 bits. SLDT STR SMSW. */
static enum build_next lower_system_read(struct lower *l, i386_helper *fn)
{
    struct mem m;

    set_const(l, S_T(1), 0);
    call(l, fn, S_T(1), 0, 0);
    if (!is_mem(l, 0)) {
        operand_move(l, l->i.osize, reg(l->i.arg[0].reg, 4), S_T(1));
        return BUILD_MORE;
    }
    mem_operand(l, &m, 2, true);
    mem_store(l, 2, S_T(1), &m);
    return BUILD_MORE;
}

/* A helper that takes a 16-bit value. LLDT LTR LMSW VERR VERW: the first three are privileged, and that is asked before the
 * operand is read. */
static enum build_next lower_system_write(struct lower *l, i386_helper *fn)
{
    if (is_mem(l, 0) && fn != i386_op_verr && fn != i386_op_verw)
        build_call(l->b, fn, 3, S_OFF(cpl), 0)->op = UOP_CHECK32;
    call(l, fn, 0, operand_value(l, 0, S_T(1)), 0);
    return end_exit(l);
}

/* A helper that does its own memory access. */
static enum build_next lower_system_memory(struct lower *l, i386_helper *fn)
{
    mem_offset(l);
    call(l, fn, 0, l->i.seg, l->i.osize >= 4);
    return end_exit(l);
}

static bool protected_only(unsigned op)
{
    switch (op) {
    case INSN_SLDT: case INSN_STR: case INSN_LLDT: case INSN_LTR: case INSN_VERR: case INSN_VERW:
    case INSN_LAR: case INSN_LSL:
        return true;
    default:
        return false;
    }
}

static enum build_next call_only(struct lower *l, i386_helper *fn)
{
    call(l, fn, 0, 0, 0);
    return BUILD_MORE;
}

static enum build_next call_exit(struct lower *l, i386_helper *fn)
{
    call(l, fn, 0, 0, 0);
    return end_exit(l);
}

/* One that a feature of the model gives. */
static enum build_next call_if(struct lower *l, unsigned feature, i386_helper *fn)
{
    return has(l, feature) ? call_exit(l, fn) : end_undefined(l);
}

/* May it be in the shadow of an STI in the same block: it changes none of what decides which events come next, and leaves by its
 * end only? (SYSEXIT, which ends the shadow itself, wants to be the first of its block only for the counters' sake.) */
static bool may_be_shadowed(const struct lower *l, unsigned op)
{
    switch (op) {
    case INSN_SYSEXIT:
        return !i386_of(l->b->cpu)->model->pmu;
    case INSN_ADD: case INSN_OR: case INSN_ADC: case INSN_SBB: case INSN_AND: case INSN_SUB: case INSN_XOR:
    case INSN_CMP: case INSN_TEST: case INSN_INC: case INSN_DEC: case INSN_NEG: case INSN_NOT:
    case INSN_MOV: case INSN_MOVZX: case INSN_MOVSX: case INSN_MOVSXD: case INSN_LEA: case INSN_NOP:
    case INSN_PUSH: case INSN_POP: case INSN_LEAVE: case INSN_JCC: case INSN_JMP: case INSN_CALL: case INSN_JMP_IND:
    case INSN_CALL_IND: case INSN_RET:
        return true;
    default:
        return false;
    }
}

/* What decoding depends on: the model is no part of the block mode, for it never changes. */
static unsigned decode_mode(const struct lower *l)
{
    return i386_decode_mode(l->mode) | (i386_of(l->b->cpu)->model->amd ? DECODE_AMD : 0);
}

/* STI holds interrupts off for one more instruction (SDM 2B, STI). That is run by itself; or, if nothing that could come first waits, in the
 * same block, where end_shadow() follows it. */
static enum build_next lower_sti(struct lower *l)
{
    const struct builder *b = l->b;
    unsigned at = b->len + l->i.len;
    struct insn next;

    if (!builder_goes_on(b, l->i.len) || b->avail - at < INSN_MAX_LEN || within_limit(l, l->next, INSN_MAX_LEN) < INSN_MAX_LEN ||
        i386_decode(b->bytes + at, INSN_MAX_LEN, decode_mode(l), &next) != DECODE_OK || !may_be_shadowed(l, next.op))
        return call_exit(l, i386_op_sti);
    return call_only(l, i386_op_sti_between);
}

static bool in_shadow(const struct builder *b)
{
    const struct uop *last = b->nuops ? &b->uops[b->nuops - 1] : NULL;

    return last && last->op == UOP_CALL && last->fn == i386_op_sti_between;
}

/* The instruction in the shadow of the STI before it is complete but for the end of the block. */
static void end_shadow(struct lower *l, enum build_next next)
{
    struct builder *b = l->b;
    struct uop last = b->uops[b->nuops - 1];

    if (next == BUILD_END)
        b->nuops--;
    emit_imm(l, UOP_MOVI32, S_OFF(shadow), 0, 0);
    if (next == BUILD_END)
        b->uops[b->nuops++] = last;
}

static enum build_next call_calm(struct lower *l, unsigned feature, i386_helper *fn)
{
    if (!has(l, feature))
        return end_undefined(l);
    call(l, fn, 0, 0, 0);
    return end_calm(l);
}

static enum build_next lower_long(struct lower *l);

/* POPF. One that changes the status flags and DF alone changes nothing that decides what comes next; others are their helper's whole. */
static enum build_next lower_popf(struct lower *l)
{
    const bool is_32 = l->i.osize >= 4;
    unsigned old = S_OFF(eflags);

    stack_peek(l, l->i.osize, S_T(1));
    if (l->mode & MODE_VM) {
        call(l, i386_op_popf, 0, S_T(1), is_32);
        stack_move(l, l->i.osize);
        return end_exit(l);
    }
    set_const(l, S_T(3), l->next);
    emit(l, UOP_XOR32, S_T(2), S_T(1), old);
    build_call(l->b, is_32 ? i386_op_popf_32 : i386_op_popf_16, EFLAGS_TF | EFLAGS_IF | EFLAGS_IOPL | EFLAGS_NT, S_T(2), l->i.osize)->op =
        UOP_CHECK32;
    if (is_32) {
        emit_imm(l, UOP_SHR32I, S_T(4), S_T(2), 16);
        build_call(l->b, i386_op_popf_32, (EFLAGS_AC | EFLAGS_ID) >> 16, S_T(4), l->i.osize)->op = UOP_CHECK32;
    }
    emit_imm(l, UOP_AND32I, S_T(2), S_T(2), EFLAGS_DF);
    emit(l, UOP_XOR32, old, old, S_T(2));
    emit_imm(l, UOP_FLAGS_TAKE, 0, S_T(1), FLAGS_ALL);
    stack_move(l, l->i.osize);
    return end_fall(l);
}

static enum build_next lower_system(struct lower *l)
{
    const struct operand *o = l->i.arg;

    if (protected_only(l->i.op) && (!(l->mode & MODE_PE) || (l->mode & MODE_VM)))
        return end_undefined(l);
    switch (l->i.op) {
    case INSN_SLDT: return lower_system_read(l, i386_op_sldt);
    case INSN_STR:  return lower_system_read(l, i386_op_str);
    case INSN_SMSW: return lower_system_read(l, i386_op_smsw);
    case INSN_LLDT: return lower_system_write(l, i386_op_lldt);
    case INSN_LTR:  return lower_system_write(l, i386_op_ltr);
    case INSN_LMSW: return lower_system_write(l, i386_op_lmsw);
    case INSN_VERR: return lower_system_write(l, i386_op_verr);
    case INSN_VERW: return lower_system_write(l, i386_op_verw);
    case INSN_SGDT: return lower_system_memory(l, i386_op_sgdt);
    case INSN_SIDT: return lower_system_memory(l, i386_op_sidt);
    case INSN_LGDT: return lower_system_memory(l, i386_op_lgdt);
    case INSN_LIDT: return lower_system_memory(l, i386_op_lidt);
    case INSN_INVLPG: return lower_system_memory(l, i386_op_invlpg);
    case INSN_LAR:
    case INSN_LSL:
        call(l, l->i.op == INSN_LAR ? i386_op_lar : i386_op_lsl, reg(o[0].reg, 4), operand_value(l, 1, S_T(1)), l->i.osize >= 4);
        return BUILD_MORE;
    case INSN_CLTS: return call_exit(l, i386_op_clts);
    case INSN_INVD:
    case INSN_WBINVD: return call_only(l, i386_op_invd);
    case INSN_MOV_FROM_CR:
        if (lacks_cr8(l))
            return end_undefined(l);
        return lower_mov_from_cr(l, reg(o[0].reg, 4), o[1].reg);
    case INSN_MOV_TO_CR:
        if (lacks_cr8(l))
            return end_undefined(l);
        call(l, i386_op_mov_to_cr, o[0].reg, reg(o[1].reg, 4), 0);
        /* A guest's CR8 may let a virtual interrupt in. */
        return o[0].reg == 0 || o[0].reg == 4 || (l->mode & MODE_GUEST) ? end_exit(l) : end_calm(l);
    case INSN_MOV_FROM_DR:
        call(l, i386_op_mov_from_dr, reg(o[0].reg, 4), o[1].reg, 0);
        return BUILD_MORE;
    case INSN_MOV_TO_DR:
        call(l, i386_op_mov_to_dr, o[0].reg, reg(o[1].reg, 4), 0);
        return end_exit(l);
    case INSN_RDMSR: return call_calm(l, FEATURE_MSR, i386_op_rdmsr);
    case INSN_WRMSR: return call_if(l, FEATURE_MSR, i386_op_wrmsr);
    case INSN_RDTSC: return call_calm(l, FEATURE_TSC, i386_op_rdtsc);
    case INSN_RDPMC: return call_exit(l, i386_op_rdpmc);
    case INSN_CPUID: return call_only(l, i386_op_cpuid);
    case INSN_HLT:   return call_exit(l, i386_op_hlt);
    case INSN_RSM:   return call_exit(l, i386_op_rsm);
    case INSN_CLI:   return call_only(l, i386_op_cli);
    case INSN_STI:   return lower_sti(l);
    case INSN_SYSENTER:
        set_const(l, S_T(3), l->next);
        return call_if(l, FEATURE_SEP, i386_op_sysenter);
    case INSN_SYSEXIT:
        if (!has(l, FEATURE_SEP))
            return end_undefined(l);
        call(l, i386_op_sysexit, 0, 0, l->i.osize == 8);
        return end_exit(l);
    case INSN_PUSHF:
        if (l->mode & MODE_VM) {
            call(l, i386_op_pushf, S_T(1), l->i.osize >= 4, 0);
        } else {
            emit(l, UOP_FLAGS_GET, S_T(1), 0, 0);
            emit_imm(l, UOP_AND32I, S_T(2), S_OFF(eflags), ~(EFLAGS_RF | EFLAGS_VM));
            emit(l, wide(l) ? UOP_OR32Z : UOP_OR32, S_T(1), S_T(1), S_T(2));
        }
        stack_push(l, l->i.osize, S_T(1));
        return BUILD_MORE;
    case INSN_POPF:
        return lower_popf(l);
    default:
        return lower_long(l);
    }
}

/* RDFSBASE RDGSBASE WRFSBASE WRGSBASE */
static enum build_next lower_fsgsbase(struct lower *l)
{
    unsigned n = l->i.modrm >> 3 & 3, r = reg(l->i.arg[0].reg, 8), size = l->i.arg[0].size, base = S_SEG(n & 1 ? SEG_GS : SEG_FS, base);

    if (!has(l, FEATURE_FSGSBASE))
        return end_undefined(l);
    emit(l, UOP_NOT32Z, S_T(2), S_OFF(cr4), 0);
    emit_imm(l, UOP_SHR32I, S_T(2), S_T(2), 16);
    build_call(l->b, i386_op_fsgsbase, CR4_FSGSBASE >> 16, S_T(2), n)->op = UOP_CHECK32; /* raises #UD */
    if (n < 2) {
        operand_move(l, size, r, base);
        return BUILD_MORE;
    }
    operand_move(l, size, S_T(1), r);
    build_call(l->b, i386_op_fsgsbase, 0, S_T(1), n)->op = UOP_CANON64;
    emit(l, UOP_MOV64, base, S_T(1), 0);
    return BUILD_MORE;
}

static enum build_next lower_xsave(struct lower *l)
{
    static const struct { unsigned feature; i386_helper *fn; } forms[] = {
        {FEATURE_XSAVE, i386_op_xsave}, {FEATURE_XSAVEOPT, i386_op_xsaveopt},
        {FEATURE_XSAVEC, i386_op_xsavec}, {FEATURE_XSAVES, i386_op_xsaves},
        {FEATURE_XSAVE, i386_op_xrstor}, {FEATURE_XSAVES, i386_op_xrstors},
    };
    unsigned n = l->i.op - INSN_XSAVE;

    if (!has(l, forms[n].feature))
        return end_undefined(l);
    mem_offset(l);
    call(l, forms[n].fn, 0, 0, l->i.seg | (l->i.rex & REX_W ? I386_FX_W : 0));
    return end_exit(l);
}

/* What came with long mode and after it. */
static enum build_next lower_long(struct lower *l)
{
    switch (l->i.op) {
    case INSN_SYSCALL:
        set_const(l, S_T(3), l->next);
        return call_if(l, FEATURE_SYSCALL, i386_op_syscall);
    case INSN_SYSRET:
        if (!has(l, FEATURE_SYSCALL))
            return end_undefined(l);
        call(l, i386_op_sysret, 0, 0, l->i.osize == 8);
        return end_exit(l);
    case INSN_SWAPGS: return call_only(l, i386_op_swapgs);
    case INSN_RDTSCP: return call_calm(l, FEATURE_RDTSCP, i386_op_rdtscp);
    case INSN_XSAVE: case INSN_XSAVEOPT: case INSN_XSAVEC: case INSN_XSAVES: case INSN_XRSTOR: case INSN_XRSTORS:
        return lower_xsave(l);
    case INSN_XGETBV: return call_calm(l, FEATURE_XSAVE, i386_op_xgetbv);
    case INSN_XSETBV: return call_if(l, FEATURE_XSAVE, i386_op_xsetbv);
    case INSN_STAC:
    case INSN_CLAC:
        if (!has(l, FEATURE_SMAP))
            return end_undefined(l);
        call(l, i386_op_smap, 0, l->i.op == INSN_STAC, 0);
        return end_exit(l);
    case INSN_MONITOR:
        if (!has(l, FEATURE_MONITOR))
            return end_undefined(l);
        call(l, i386_op_monitor, 0, l->i.seg, l->i.asize);
        return end_exit(l);
    case INSN_MWAIT: return call_if(l, FEATURE_MONITOR, i386_op_mwait);
    case INSN_RDPKRU: return call_calm(l, FEATURE_PKU, i386_op_rdpkru);
    case INSN_WRPKRU: return call_if(l, FEATURE_PKU, i386_op_wrpkru);
    case INSN_FSGSBASE: return lower_fsgsbase(l);
    case INSN_VMRUN: case INSN_VMLOAD: case INSN_VMSAVE: case INSN_VMMCALL: case INSN_SKINIT: case INSN_INVLPGA:
    case INSN_STGI: case INSN_CLGI:
        return lower_svm(l);
    case INSN_CLZERO:
        if (!has(l, FEATURE_CLZERO))
            return end_undefined(l);
        call(l, i386_op_clzero, 0, l->i.seg, l->i.asize);
        return BUILD_MORE;
    case INSN_CMPXCHG16B:
        if (!has(l, FEATURE_CX16))
            return end_undefined(l);
        mem_offset(l);
        call(l, i386_op_cmpxchg16b, 0, l->i.seg, 0);
        return BUILD_MORE;
    case INSN_INVPCID:
        if (!has(l, FEATURE_INVPCID))
            return end_undefined(l);
        mem_offset(l);
        call(l, i386_op_invpcid, reg(l->i.arg[0].reg, 8), l->i.seg, 0);
        return end_exit(l);
    case INSN_RDPID:
        if (!has(l, FEATURE_RDPID))
            return end_undefined(l);
        emit(l, wide(l) ? UOP_MOV32Z : UOP_MOV32, reg(l->i.arg[0].reg, 4), S_OFF(tsc_aux), 0);
        return BUILD_MORE;
    default:
        CHECK(!"an instruction without a meaning");
        return BUILD_STOP;
    }
}

/* ---- one instruction ---- */

static enum build_next lower_cmov(struct lower *l)
{
    unsigned d = reg(l->i.arg[0].reg, 4), s = operand_value(l, 1, S_T(1)), cond = l->i.opcode & 15;

    if (l->i.osize == 2 || !wide(l))
        emit(l, l->i.osize == 4 ? UOP_CMOV32 : UOP_CMOV16, d, s, cond);
    else
        build(l->b, l->i.osize == 8 ? UOP_CSEL64 : UOP_CSEL32Z, d, s, d, cond, 0);
    return BUILD_MORE;
}

/* Several stores, ports, or the exact position: a block of its own. */
static bool wants_alone(const struct lower *l)
{
    const struct insn *i = &l->i;

    switch (i->op) {
    case INSN_ENTER: case INSN_PUSHA:
        return stack_wants_alone(l);
    case INSN_JMPF: case INSN_JMPF_IND: case INSN_CALLF: case INSN_CALLF_IND:
    case INSN_RETF: case INSN_IRET: case INSN_INT: case INSN_INT3: case INSN_INTO: case INSN_ICEBP:
    case INSN_INS: case INSN_OUTS: case INSN_IN: case INSN_OUT: case INSN_SGDT: case INSN_SIDT:
    case INSN_RDTSC: case INSN_RDPMC: case INSN_RDMSR: case INSN_WRMSR: case INSN_HLT:
    case INSN_SYSENTER: case INSN_SYSEXIT: case INSN_MOV_TO_CR: case INSN_MOV_TO_DR:
    case INSN_SYSCALL: case INSN_SYSRET: case INSN_RDTSCP: case INSN_MWAIT: case INSN_RSM: case INSN_CMPXCHG16B:
    case INSN_RDRAND: case INSN_RDSEED: case INSN_XSAVE: case INSN_XSAVEOPT: case INSN_XSAVEC: case INSN_XSAVES:
    case INSN_CLZERO: case INSN_VMRUN: case INSN_VMLOAD: case INSN_VMSAVE:
        return true;
    case INSN_FWAIT:
        return l->mode & MODE_FERR;
    case INSN_X87:
        return x87_wants_alone(l);
    case INSN_SIMD:
        return simd_wants_alone(l);
    default:
        return false;
    }
}

static enum build_next lower_insn(struct lower *l)
{
    const struct insn *i = &l->i;
    unsigned size = i->arg[0].size;

    switch (i->op) {
    case INSN_UD: return end_undefined(l);
    case INSN_ADD: case INSN_OR: case INSN_ADC: case INSN_SBB: case INSN_AND: case INSN_SUB: case INSN_XOR:
        return lower_alu(l);
    case INSN_CMP: case INSN_TEST: return lower_compare(l);
    case INSN_INC: case INSN_DEC: case INSN_NEG: case INSN_NOT: return lower_unary(l);
    case INSN_ROL: case INSN_ROR: case INSN_RCL: case INSN_RCR: case INSN_SHL: case INSN_SHR: case INSN_SAL:
    case INSN_SAR:
        return lower_shift(l);
    case INSN_SHLD: case INSN_SHRD: return lower_double_shift(l);
    case INSN_BT: case INSN_BTS: case INSN_BTR: case INSN_BTC: return lower_bit(l);
    case INSN_BSF: case INSN_BSR: return lower_bit_scan(l);
    case INSN_MUL: case INSN_IMUL1: return lower_multiply_wide(l);
    case INSN_DIV: case INSN_IDIV: return lower_divide(l);
    case INSN_IMUL: case INSN_IMUL3: return lower_multiply(l);
    case INSN_MOV: return lower_mov(l);
    case INSN_MOVZX: case INSN_MOVSX: case INSN_MOVSXD: return lower_extend(l);
    case INSN_XCHG: return lower_xchg(l);
    case INSN_XADD: return lower_xadd(l);
    case INSN_CMPXCHG: return lower_cmpxchg(l);
    case INSN_CMPXCHG8B: return lower_cmpxchg8b(l);
    case INSN_BSWAP:
        if (i->osize >= 4)
            emit(l, i->osize == 8 ? UOP_BSWAP64 : wide(l) ? UOP_BSWAP32Z : UOP_BSWAP32, reg(i->arg[0].reg, 4), reg(i->arg[0].reg, 4), 0);
        else
            emit_imm(l, UOP_MOVI16, reg(i->arg[0].reg, 2), 0, 0);
        return BUILD_MORE;
    case INSN_LEA: return lower_lea(l);
    case INSN_NOP: return lower_nop(l);
    case INSN_PUSH: case INSN_POP: case INSN_PUSH_SREG: case INSN_POP_SREG: case INSN_PUSHA: case INSN_POPA: case INSN_ENTER:
    case INSN_LEAVE:
        return lower_stack(l);
    case INSN_BOUND:
        mem_offset(l);
        call(l, i386_op_bound, i->seg, reg(i->arg[0].reg, size), size);
        return BUILD_MORE;
    case INSN_ARPL: return lower_arpl(l);
    case INSN_INS: case INSN_OUTS: case INSN_MOVS: case INSN_CMPS: case INSN_STOS: case INSN_LODS: case INSN_SCAS:
        return lower_string(l);
    case INSN_JCC: return lower_jcc(l);
    case INSN_SETCC:
        if (!is_mem(l, 0)) {
            emit(l, UOP_SETCC, reg(i->arg[0].reg, 1), 0, i->opcode & 15);
            return BUILD_MORE;
        }
        emit(l, UOP_SETCC, S_T(1), 0, i->opcode & 15);
        operand_write(l, 0, S_T(1));
        return BUILD_MORE;
    case INSN_CMOVCC:
        return lower_cmov(l);
    case INSN_JMP: return lower_jmp(l);
    case INSN_CALL: return lower_call(l);
    case INSN_JMP_IND: return lower_jmp_indirect(l);
    case INSN_CALL_IND: return lower_call_indirect(l);
    case INSN_RET: return lower_ret(l);
    case INSN_JMPF: case INSN_JMPF_IND: case INSN_CALLF: case INSN_CALLF_IND: return lower_far(l);
    case INSN_RETF:
        call(l, i386_op_far_return, 0, i->arg[0].kind == OPERAND_IMM ? i->imm & 0xffff : 0, i->osize);
        return end_exit(l);
    case INSN_IRET:
        call(l, i386_op_iret, 0, 0, i->osize);
        return end_exit(l);
    case INSN_LOOP: case INSN_LOOPE: case INSN_LOOPNE: case INSN_JCXZ: return lower_loop(l);
    case INSN_INT: case INSN_INT3: case INSN_INTO: case INSN_ICEBP: return lower_int(l);
    case INSN_MOV_FROM_SREG: return lower_mov_from_sreg(l);
    case INSN_MOV_TO_SREG: return lower_mov_to_sreg(l);
    case INSN_LOAD_FAR: return lower_load_far(l);
    case INSN_CBW: return lower_cbw(l);
    case INSN_CWD: return lower_cwd(l);
    case INSN_CLD: emit_imm(l, UOP_AND32I, S_OFF(eflags), S_OFF(eflags), ~EFLAGS_DF); return BUILD_MORE;
    case INSN_STD: emit_imm(l, UOP_OR32I, S_OFF(eflags), S_OFF(eflags), EFLAGS_DF); return BUILD_MORE;
    case INSN_SAHF: case INSN_LAHF:
        if (wide(l) && !has(l, FEATURE_LAHF_LM))
            return end_undefined(l);
        /* fall through */
    case INSN_CMC: case INSN_CLC: case INSN_STC: case INSN_SALC:
        return lower_flags(l);
    case INSN_DAA: case INSN_DAS: case INSN_AAA: case INSN_AAS: case INSN_AAM: case INSN_AAD:
        call(l, i386_op_bcd, 0, i->opcode, i->imm & 0xff);
        return BUILD_MORE;
    case INSN_XLAT: return lower_xlat(l);
    case INSN_IN: case INSN_OUT: return lower_port(l);
    case INSN_X87: return lower_x87(l);
    case INSN_FWAIT: return lower_fwait(l);
    case INSN_SIMD: return lower_simd(l);
    case INSN_POPCNT: case INSN_TZCNT: case INSN_LZCNT: case INSN_ADCX: case INSN_ADOX: case INSN_CRC32: case INSN_ANDN:
    case INSN_BLSR: case INSN_BLSMSK: case INSN_BLSI: case INSN_BZHI: case INSN_BEXTR: case INSN_SHLX: case INSN_SARX:
    case INSN_SHRX: case INSN_MULX: case INSN_PDEP: case INSN_PEXT: case INSN_RORX: case INSN_RDRAND: case INSN_RDSEED:
    case INSN_CLFLUSHOPT: case INSN_MOVBE:
        return lower_bits(l);
    default: return lower_system(l);
    }
}

enum build_next i386_build(struct builder *b)
{
    struct lower l = {.b = b, .mode = b->key.mode, .eip = b->key.pc + b->len};
    bool first = b->ninsns == 0;

    unsigned avail = first ? b->avail_first : b->avail - b->len;
    unsigned allowed = within_limit(&l, l.eip, avail);
    unsigned first_uop = b->nuops;
    bool shadowed = !first && in_shadow(b);
    enum decode_result r = i386_decode(b->bytes + b->len, allowed, decode_mode(&l), &l.i);
    enum build_next next;

    b->wide = wide(&l);
    if (r == DECODE_SHORT && allowed == avail)
        return BUILD_STOP; /* the rest is on the next page; if that cannot be fetched, the core faults */
    if (!first && (r != DECODE_OK || (wants_alone(&l) && !shadowed)))
        return BUILD_STOP;
    if (r == DECODE_SHORT || r == DECODE_LONG) {
        l.i.len = 1;
        next = raise(&l, EXC_GP, true); /* beyond CS's limit, or too long */
    } else {
        l.next = l.eip + l.i.len;
        if (!wide(&l)) {
            l.eip = (uint32_t)l.eip;
            l.next = (uint32_t)l.next;
        }
        if (l.mode & MODE_GUEST)
            lower_intercepts(&l);
        next = lower_insn(&l);
        if (next == BUILD_MORE && wants_alone(&l))
            next = end_exit(&l);
        if (shadowed)
            end_shadow(&l, next);
    }
    b->insns[b->ninsns++] = (struct block_insn){
        .pc_offset = (uint32_t)(l.eip - b->key.pc), .first_uop = (uint16_t)first_uop, .len = l.i.len};
    b->len += l.i.len;
    return next;
}
