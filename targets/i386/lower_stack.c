/*
 * Lowering of what is done with the stack (SDM volume 2): PUSH and POP, of segment registers too, PUSHA, POPA, ENTER, LEAVE; and how
 * other instructions push and pop. The rules are those of lower.c.
 */
#include "i386/lowering.h"

/* Is the stack pointer ESP, not SP (outside 64-bit mode)? */
static bool stack_is_32(const struct lower *l)
{
    return l->mode & MODE_STACK32;
}

bool stack_is_flat(const struct lower *l)
{
    if (wide(l))
        return !(l->mode & MODE_ALIGN);
    return stack_is_32(l) && mode_seg(l->mode, SEG_SS) == SEG_FLAT;
}

/* The stack pointer plus `delta`, wrapped to the stack's width, at S_T(3). */
static void stack_offset(struct lower *l, int delta)
{
    if (wide(l)) {
        emit_sized(l, UOP_ADD64I, S_T(3), S_GPR64(ESP), 8, (uint32_t)delta);
        return;
    }
    if (stack_is_32(l)) {
        emit_imm(l, UOP_LEA_W, S_T(3), S_GPR32(ESP), (uint32_t)delta);
        return;
    }
    emit(l, UOP_ZX16_32, S_T(3), S_GPR16(ESP), 0);
    if (delta)
        emit_imm(l, UOP_ADD16I, S_T(3), S_T(3), (uint32_t)delta);
}

void stack_move(struct lower *l, int delta)
{
    if (wide(l))
        emit_sized(l, UOP_ADD64I, S_GPR64(ESP), S_GPR64(ESP), 8, (uint32_t)delta);
    else
        emit_imm(l, stack_is_32(l) ? UOP_ADD32I : UOP_ADD16I, S_GPR32(ESP), S_GPR32(ESP), (uint32_t)delta);
}

void stack_push(struct lower *l, unsigned size, unsigned off)
{
    struct mem m = {.a = (uint16_t)S_T(3)};

    if (stack_is_flat(l) && size == (wide(l) ? 8 : 4)) {
        emit_imm(l, wide(l) ? UOP_ST64_PRE_X : UOP_ST32_PRE_W, off, S_GPR64(ESP), size);
        return;
    }
    stack_offset(l, -(int)size);
    mem_through_segment(l, &m, SEG_SS, size, true, S_T(4));
    mem_store(l, size, off, &m);
    emit(l, wide(l) ? UOP_MOV64 : stack_is_32(l) ? UOP_MOV32 : UOP_MOV16, S_GPR32(ESP), S_T(3), 0);
}

void stack_push_imm(struct lower *l, unsigned size, uint64_t v)
{
    if (stack_is_flat(l) && size == 4 && !wide(l)) {
        build(l->b, UOP_STI32_PRE_W, 0, S_GPR32(ESP), 0, 4, (uint32_t)v);
        return;
    }
    if (stack_is_flat(l) && size == 8 && v == (uint64_t)(int32_t)v) {
        build(l->b, UOP_STI64_PRE_X, 0, S_GPR64(ESP), 0, 8, (uint32_t)v);
        return;
    }
    set_const(l, S_T(1), v);
    stack_push(l, size, S_T(1));
}

void stack_peek(struct lower *l, unsigned size, unsigned d)
{
    struct mem m = {.a = (uint16_t)S_GPR32(ESP)};

    if (!stack_is_32(l) && !wide(l)) {
        stack_offset(l, 0);
        m.a = (uint16_t)S_T(3);
    }
    mem_through_segment(l, &m, SEG_SS, size, false, S_T(4));
    mem_load(l, size, d, &m);
}

/* ---- instructions ---- */

static enum build_next lower_push(struct lower *l)
{
    if (l->i.arg[0].kind == OPERAND_IMM)
        stack_push_imm(l, l->i.osize, l->i.osize == 8 ? (uint64_t)(int32_t)l->i.imm : l->i.imm);
    else
        stack_push(l, l->i.osize, operand_value(l, 0, S_T(1)));
    return BUILD_MORE;
}

static enum build_next lower_pop(struct lower *l)
{
    unsigned size = l->i.osize;
    struct mem m;

    if (!is_mem(l, 0)) {
        unsigned d = reg(l->i.arg[0].reg, size);

        if (stack_is_flat(l) && size == (wide(l) ? 8 : 4)) {
            emit_imm(l, wide(l) ? UOP_LD64_POST_X : UOP_LD32_POST_W, d, S_GPR64(ESP), size);
            return BUILD_MORE;
        }
        stack_peek(l, size, S_T(1));
        stack_move(l, (int)size);
        operand_move(l, size, d, S_T(1));
        return BUILD_MORE;
    }
    stack_peek(l, size, S_T(1));
    /* An address based on ESP uses its value after the pop. */
    mem_effective_address(l, &m, l->i.base == ESP && l->i.asize >= 4 ? size : 0);
    mem_through_segment(l, &m, l->i.seg, size, true, S_T(0));
    mem_store(l, size, S_T(1), &m);
    stack_move(l, (int)size);
    return BUILD_MORE;
}

static enum build_next lower_push_sreg(struct lower *l)
{
    emit(l, wide(l) ? UOP_ZX16_64 : UOP_ZX16_32, S_T(1), S_SEG(l->i.arg[0].reg, selector), 0);
    stack_push(l, l->i.osize, S_T(1));
    return BUILD_MORE;
}

static enum build_next lower_pop_sreg(struct lower *l)
{
    stack_peek(l, l->i.osize, S_T(1));
    call(l, i386_op_load_segment, l->i.arg[0].reg, S_T(1), 0);
    stack_move(l, l->i.osize);
    return end_exit(l);
}

/* Can the top of the stack be written if it moves by `delta`? */
static void probe_stack(struct lower *l, int delta, unsigned size)
{
    struct mem m = {.a = (uint16_t)S_T(3)};
    unsigned at;

    stack_offset(l, delta);
    mem_through_segment(l, &m, SEG_SS, size, true, S_T(4));
    at = mem_flatten(l, &m, S_T(4));
    emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(0), at, 0);
    build_call(l->b, i386_op_writable, 0, size, MASKED_PROBE | MASKED_PLAIN | (wide(l) ? MASKED_WIDE : 0))->op = UOP_VECTOR_MASKED;
}

/* ENTER of level 0. The new top of the stack must be one that can be written. */
static enum build_next lower_enter(struct lower *l)
{
    unsigned size = l->i.osize, bytes = l->i.imm & 0xffff;

    if (bytes) {
        probe_stack(l, -(int)size, size);
        probe_stack(l, -(int)(size + bytes), size);
    }
    stack_push(l, size, S_GPR64(EBP));
    operand_move(l, size, S_GPR64(EBP), S_GPR64(ESP));
    if (bytes)
        stack_move(l, -(int)bytes);
    return BUILD_MORE;
}

/* Are PUSHA and POPA one access to memory (lower_all())? Else a helper makes eight, alone. */
static bool all_is_one_access(const struct lower *l)
{
    return l->b->max_insns > 1 && l->i.osize == 4 && stack_is_flat(l) && !wide(l);
}

/* PUSHA and POPA of 32 bytes within a page that the TLB says can be written. Otherwise `slowly`, which is a helper that
 * makes the whole instruction, alone. */
static enum build_next lower_all(struct lower *l, bool push)
{
    /* By address. ESP is not popped. */
    static const uint8_t order[8] = {EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX};
    i386_helper *slowly = push ? i386_op_pusha_alone : i386_op_popa_alone;
    const unsigned whole = 32, values = S_XT(0); /* (What is in the upper halves of S_T(...) helpers of 32-bit code would read.) */

    stack_offset(l, push ? -(int)whole : 0);
    emit_imm(l, UOP_AND32I, S_T(0), S_T(3), ~PAGE_MASK);
    emit_imm(l, UOP_ADD32I, S_T(0), S_T(0), whole - 1);
    emit_imm(l, UOP_SHR32I, S_T(0), S_T(0), PAGE_SHIFT);
    build_call(l->b, slowly, 1, S_T(0), 0)->op = UOP_CHECK32;
    emit(l, UOP_MOV32, S_T(0), S_T(3), 0);
    build_call(l->b, slowly, 0, 4, MASKED_PROBE | MASKED_PLAIN)->op = UOP_VECTOR_MASKED;
    if (push) {
        for (unsigned n = 0; n < 8; n++)
            emit(l, UOP_MOV32, values + 4 * n, S_GPR32(order[n]), 0);
        build(l->b, UOP_STP128_W, values, S_T(3), values + 16, 0, 0);
        emit(l, UOP_MOV32, S_GPR32(ESP), S_T(3), 0);
    } else {
        build(l->b, UOP_LDP128_W, values, S_T(3), values + 16, 0, 0);
        for (unsigned n = 0; n < 8; n++)
            if (order[n] != ESP)
                emit(l, UOP_MOV32, S_GPR32(order[n]), values + 4 * n, 0);
        stack_move(l, (int)whole);
    }
    return BUILD_MORE;
}

static enum build_next lower_leave(struct lower *l)
{
    unsigned size = l->i.osize;
    struct mem m = {.a = (uint16_t)S_GPR32(EBP)};

    if (!stack_is_32(l) && !wide(l)) {
        emit(l, UOP_ZX16_32, S_T(3), S_GPR16(EBP), 0);
        m.a = (uint16_t)S_T(3);
    }
    mem_through_segment(l, &m, SEG_SS, size, false, S_T(4));
    mem_load(l, size, S_T(1), &m);
    if (wide(l))
        emit_sized(l, UOP_ADD64I, S_GPR64(ESP), S_GPR64(EBP), 8, size);
    else if (stack_is_32(l))
        emit_imm(l, UOP_LEA_W, S_GPR32(ESP), S_GPR32(EBP), size);
    else
        emit_imm(l, UOP_ADD16I, S_GPR16(ESP), S_GPR16(EBP), size);
    operand_move(l, size, S_GPR32(EBP), S_T(1));
    return BUILD_MORE;
}

bool stack_wants_alone(const struct lower *l)
{
    if (l->i.op == INSN_ENTER) /* of level 0 it makes one store */
        return l->i.imm2 & 31;
    return l->i.op == INSN_PUSHA && !all_is_one_access(l);
}

enum build_next lower_stack(struct lower *l)
{
    const struct insn *i = &l->i;

    switch (i->op) {
    case INSN_PUSH: return lower_push(l);
    case INSN_POP: return lower_pop(l);
    case INSN_PUSH_SREG: return lower_push_sreg(l);
    case INSN_POP_SREG: return lower_pop_sreg(l);
    case INSN_LEAVE: return lower_leave(l);
    case INSN_ENTER:
        if (!(i->imm2 & 31))
            return lower_enter(l);
        call(l, i386_op_enter, i->osize, i->imm & 0xffff, (i->imm2 & 31) | (stack_is_32(l) ? 256 : 0));
        return BUILD_MORE;
    default: /* PUSHA, POPA */
        if (all_is_one_access(l))
            return lower_all(l, i->op == INSN_PUSHA);
        call(l, i->op == INSN_PUSHA ? i386_op_pusha : i386_op_popa, 0, i->osize, stack_is_32(l));
        return BUILD_MORE;
    }
}
