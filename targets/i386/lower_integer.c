/*
 * Lowering of integer arithmetic: ALU operations, shifts, bits, multiplication, division.
 * The rules are those of lower.c.
 */
#include "i386/lowering.h"

#define BY_SIZE(pre, post) {pre##8##post, pre##16##post, pre##32##post}
/* Rows ADD OR ADC SBB AND SUB XOR; 0 where there is none. */
static const uint16_t alu_flagged[7][3] = {
    BY_SIZE(UOP_ADD, _F), BY_SIZE(UOP_OR, _F), BY_SIZE(UOP_ADC, _F), BY_SIZE(UOP_SBB, _F),
    BY_SIZE(UOP_AND, _F), BY_SIZE(UOP_SUB, _F), BY_SIZE(UOP_XOR, _F)};
static const uint16_t alu_flagged_imm[7][3] = {
    BY_SIZE(UOP_ADD, I_F), BY_SIZE(UOP_OR, I_F), {0}, {0},
    BY_SIZE(UOP_AND, I_F), BY_SIZE(UOP_SUB, I_F), BY_SIZE(UOP_XOR, I_F)};
static const uint16_t alu_plain[7][3] = {
    BY_SIZE(UOP_ADD, ), BY_SIZE(UOP_OR, ), {0}, {0}, BY_SIZE(UOP_AND, ), BY_SIZE(UOP_SUB, ), BY_SIZE(UOP_XOR, )};
static const uint16_t alu_plain_imm[7][3] = {
    BY_SIZE(UOP_ADD, I), BY_SIZE(UOP_OR, I), {0}, {0}, BY_SIZE(UOP_AND, I), BY_SIZE(UOP_SUB, I), BY_SIZE(UOP_XOR, I)};

static unsigned size_index(unsigned size)
{
    return size >> 1; /* 1 2 4 -> 0 1 2 */
}

/* d = a op operand 1 (an immediate, or the value at s), by a row of tables. */
static void alu(struct lower *l, const uint16_t (*reg_ops)[3], const uint16_t (*imm_ops)[3], unsigned row,
                unsigned d, unsigned a, unsigned s)
{
    unsigned z = size_index(l->i.arg[0].size);

    if (l->i.arg[1].kind == OPERAND_IMM && imm_ops[row][z])
        emit_imm(l, imm_ops[row][z], d, a, l->i.imm);
    else
        emit(l, reg_ops[row][z], d, a, s);
}

/* ADC and SBB of memory: the result without flags in S_T(2), from S_T(1) and s. */
static void carry_result(struct lower *l, unsigned size, unsigned s)
{
    bool add = l->i.op == INSN_ADC;

    emit_imm(l, UOP_MOVI32, S_T(3), 0, 0);
    emit(l, UOP_SETCC, S_T(3), 0, COND_C);
    emit(l, add ? SIZED(size, UOP_ADD, ) : SIZED(size, UOP_SUB, ), S_T(2), S_T(1), s);
    emit(l, add ? SIZED(size, UOP_ADD, ) : SIZED(size, UOP_SUB, ), S_T(2), S_T(2), S_T(3));
}

enum build_next lower_alu(struct lower *l)
{
    unsigned row = l->i.op - INSN_ADD, size = l->i.arg[0].size;
    bool imm = l->i.arg[1].kind == OPERAND_IMM, carry = l->i.op == INSN_ADC || l->i.op == INSN_SBB;
    unsigned s = 0;
    struct mem m;

    if (!is_mem(l, 0)) {
        unsigned d = reg(l->i.arg[0].reg, size);

        if (!imm || carry)
            s = operand_value(l, 1, S_T(1));
        alu(l, alu_flagged, alu_flagged_imm, row, d, d, s);
        return BUILD_MORE;
    }
    mem_operand(l, &m, size, true);
    mem_load_rw(l, size, S_T(1), &m);
    if (!imm || carry)
        s = operand_value(l, 1, S_T(4));
    if (carry)
        carry_result(l, size, s);
    else
        alu(l, alu_plain, alu_plain_imm, row, S_T(2), S_T(1), s);
    mem_store(l, size, S_T(2), &m);
    alu(l, alu_flagged, alu_flagged_imm, row, S_T(1), S_T(1), s);
    return BUILD_MORE;
}

/* CMP, TEST */
enum build_next lower_compare(struct lower *l)
{
    unsigned size = l->i.arg[0].size;
    bool cmp = l->i.op == INSN_CMP;
    unsigned a = operand_value(l, 0, S_T(1));

    if (l->i.arg[1].kind == OPERAND_IMM)
        emit_imm(l, cmp ? SIZED(size, UOP_CMP, I) : SIZED(size, UOP_TEST, I), 0, a, l->i.imm);
    else
        emit(l, cmp ? SIZED(size, UOP_CMP, ) : SIZED(size, UOP_TEST, ), 0, a, operand_value(l, 1, S_T(2)));
    return BUILD_MORE;
}

/* d = op a, with or without flags: INC DEC NEG NOT. */
static void unary(struct lower *l, unsigned d, unsigned a, bool flags)
{
    unsigned size = l->i.arg[0].size;

    switch (l->i.op) {
    case INSN_INC:
        emit_imm(l, flags ? SIZED(size, UOP_INC, _F) : SIZED(size, UOP_ADD, I), d, a, 1);
        break;
    case INSN_DEC:
        emit_imm(l, flags ? SIZED(size, UOP_DEC, _F) : SIZED(size, UOP_SUB, I), d, a, 1);
        break;
    case INSN_NEG:
        if (flags)
            emit(l, SIZED(size, UOP_NEG, _F), d, a, 0);
        else
            emit(l, SIZED(size, UOP_SUB, ), d, S_ZERO, a);
        break;
    default:
        emit(l, SIZED(size, UOP_NOT, ), d, a, 0);
    }
}

enum build_next lower_unary(struct lower *l)
{
    unsigned size = l->i.arg[0].size;
    struct mem m;

    if (!is_mem(l, 0)) {
        unsigned r = reg(l->i.arg[0].reg, size);

        unary(l, r, r, true);
        return BUILD_MORE;
    }
    mem_operand(l, &m, size, true);
    mem_load_rw(l, size, S_T(1), &m);
    unary(l, S_T(2), S_T(1), false);
    mem_store(l, size, S_T(2), &m);
    if (l->i.op != INSN_NOT)
        unary(l, S_T(1), S_T(1), true);
    return BUILD_MORE;
}

/* Shift by a constant that a micro-op can do: 1 <= count < bits, SHL SHR SAR. */
static bool simple_shift(const struct lower *l, unsigned *count)
{
    *count = l->i.imm & 31;
    return l->i.op >= INSN_SHL && l->i.arg[1].kind == OPERAND_IMM && *count && *count < 8u * l->i.arg[0].size;
}

static void shift_imm(struct lower *l, unsigned d, unsigned a, unsigned count, bool flags)
{
    unsigned size = l->i.arg[0].size;

    if (l->i.op == INSN_SHR)
        emit_imm(l, flags ? SIZED(size, UOP_SHR, I_F) : UOP_SHR32I, d, a, count);
    else if (l->i.op == INSN_SAR)
        emit_imm(l, flags ? SIZED(size, UOP_SAR, I_F) : UOP_SAR32I, d, a, count);
    else
        emit_imm(l, flags ? SIZED(size, UOP_SHL, I_F) : UOP_SHL32I, d, a, count);
}

static enum uop_code variable_shift(const struct lower *l)
{
    if (l->i.op == INSN_ROL || l->i.op == INSN_ROR || l->i.op == INSN_RCL || l->i.op == INSN_RCR)
        return UOP_NOP;
    return l->i.op == INSN_SHR ? SIZED(l->i.arg[0].size, UOP_SHRR, _F) :
           l->i.op == INSN_SAR ? SIZED(l->i.arg[0].size, UOP_SARR, _F) : SIZED(l->i.arg[0].size, UOP_SHLR, _F);
}

/* SHL, SHR or SAR of memory, by a constant that simple_shift() gave or (0) by CL: the flags change after the store. */
static enum build_next shift_memory(struct lower *l, const struct mem *m, unsigned count)
{
    static const uint16_t by_cl[] = {UOP_LSL32Z, UOP_LSR32Z, UOP_ASR32Z};
    unsigned size = l->i.arg[0].size, kind = l->i.op == INSN_SHR ? 1 : l->i.op == INSN_SAR ? 2 : 0, from = S_T(1);

    if (size < 4 && kind) {
        from = S_T(5);
        if (kind == 1)
            emit(l, size == 1 ? UOP_ZX8_32 : UOP_ZX16_32, from, S_T(1), 0);
        else
            emit(l, size == 1 ? UOP_SX8_32 : UOP_SX16_32, from, S_T(1), 0);
    }
    if (count)
        shift_imm(l, S_T(2), from, count, false);
    else
        emit(l, (enum uop_code)by_cl[kind], S_T(2), from, S_GPR8(ECX)); /* and S_T(3) */
    mem_store(l, size, S_T(2), m);
    if (count)
        shift_imm(l, S_T(1), S_T(1), count, true);
    else
        emit(l, variable_shift(l), S_T(1), S_T(1), S_GPR8(ECX));
    return BUILD_MORE;
}

enum build_next lower_shift(struct lower *l)
{
    unsigned size = l->i.arg[0].size, count, r = 0;
    unsigned kind = (l->i.op - INSN_ROL) | size << SHIFT_SIZE_SHIFT;
    bool simple = simple_shift(l, &count);
    struct mem m;

    if (!is_mem(l, 0)) {
        r = reg(l->i.arg[0].reg, size);
        if (simple) {
            shift_imm(l, r, r, count, true);
            return BUILD_MORE;
        }
        if (size == 4 && l->i.arg[1].kind == OPERAND_IMM && (l->i.imm & 31) &&
            (l->i.op == INSN_ROL || l->i.op == INSN_ROR)) {
            emit_imm(l, l->i.op == INSN_ROL ? UOP_ROL32I_F : UOP_ROR32I_F, r, r, l->i.imm & 31);
            return BUILD_MORE;
        }
        if (l->i.arg[1].kind == OPERAND_REG && variable_shift(l) != UOP_NOP) {
            emit(l, variable_shift(l), r, r, S_GPR8(ECX));
            return BUILD_MORE;
        }
    } else {
        mem_operand(l, &m, size, true);
        mem_load_rw(l, size, S_T(1), &m);
        if (simple)
            return shift_memory(l, &m, count);
        if (l->i.arg[1].kind == OPERAND_REG && variable_shift(l) != UOP_NOP)
            return shift_memory(l, &m, 0);
    }
    if (l->i.arg[1].kind == OPERAND_IMM)
        emit_imm(l, UOP_MOVI32, S_T(4), 0, l->i.imm & 31);
    else
        emit(l, UOP_ZX8_32, S_T(4), S_GPR8(ECX), 0);
    if (!is_mem(l, 0)) {
        call(l, i386_op_shift, r, r, kind);
        return BUILD_MORE;
    }
    call(l, i386_op_shift, S_T(2), S_T(1), kind | SHIFT_DEFER);
    mem_store(l, size, S_T(2), &m);
    call(l, i386_op_commit_flags, 0, 0, 0);
    return BUILD_MORE;
}

/* SHLD, SHRD */
enum build_next lower_double_shift(struct lower *l)
{
    unsigned size = l->i.arg[0].size;
    unsigned kind = (l->i.op == INSN_SHLD ? SHIFT_SHLD : SHIFT_SHRD) | size << SHIFT_SIZE_SHIFT;
    struct mem m;

    if (size == 4 && !is_mem(l, 0) && (l->i.arg[2].kind != OPERAND_IMM || (l->i.imm & 31))) {
        bool imm = l->i.arg[2].kind == OPERAND_IMM, left = l->i.op == INSN_SHLD;
        unsigned r = reg(l->i.arg[0].reg, 4), bits = reg(l->i.arg[1].reg, 4);

        if (imm)
            build(l->b, left ? UOP_SHLD32I_F : UOP_SHRD32I_F, r, r, bits, l->i.imm & 31, 0);
        else
            build(l->b, left ? UOP_SHLDR32_F : UOP_SHRDR32_F, r, r, bits, S_GPR8(ECX), 0);
        return BUILD_MORE;
    }
    if (is_mem(l, 0)) {
        mem_operand(l, &m, size, true);
        mem_load_rw(l, size, S_T(1), &m);
    }
    emit(l, UOP_MOV32, S_T(6), reg(l->i.arg[1].reg, 4), 0);
    if (l->i.arg[2].kind == OPERAND_IMM)
        emit_imm(l, UOP_MOVI32, S_T(4), 0, l->i.imm & 31);
    else
        emit(l, UOP_ZX8_32, S_T(4), S_GPR8(ECX), 0);
    if (!is_mem(l, 0)) {
        unsigned r = reg(l->i.arg[0].reg, size);

        call(l, i386_op_shift, r, r, kind);
        return BUILD_MORE;
    }
    call(l, i386_op_shift, S_T(2), S_T(1), kind | SHIFT_DEFER);
    mem_store(l, size, S_T(2), &m);
    call(l, i386_op_commit_flags, 0, 0, 0);
    return BUILD_MORE;
}

/* BT BTS BTR BTC: the memory operand of a register bit offset is an array of bits. */
static void bit_address(struct lower *l, struct mem *m, unsigned size, bool write)
{
    unsigned index = reg(l->i.arg[1].reg, 4), off;

    if (l->i.arg[1].kind == OPERAND_IMM) {
        mem_operand(l, m, size, write);
        return;
    }
    mem_effective_address(l, m, 0);
    off = mem_flatten(l, m, S_T(0));
    if (size == 2)
        emit(l, UOP_SX16_32, S_T(5), index, 0);
    emit_imm(l, UOP_SAR32I, S_T(5), size == 2 ? S_T(5) : index, size == 2 ? 4 : 5);
    build(l->b, UOP_LEAX_W, S_T(0), off, S_T(5), 0, size == 2 ? 1 : 2);
    if (l->i.asize == 2)
        emit(l, UOP_ZX16_32, S_T(0), S_T(0), 0);
    *m = (struct mem){.a = (uint16_t)S_T(0)};
    mem_through_segment(l, m, l->i.seg, size, write, S_T(0));
}

/* The same on 32 bits: v is the value, m where it came from, if from memory. */
static enum build_next bit_32(struct lower *l, unsigned v, const struct mem *m)
{
    static const uint16_t change[] = {[1] = UOP_BTS32, [2] = UOP_BTR32, [3] = UOP_BTC32};
    bool imm = l->i.arg[1].kind == OPERAND_IMM;
    unsigned kind = l->i.op - INSN_BT, index = imm ? S_T(4) : reg(l->i.arg[1].reg, 4);

    if (kind && imm)
        emit_imm(l, UOP_MOVI32, S_T(4), 0, l->i.imm & 31);
    if (kind) {
        emit(l, (enum uop_code)change[kind], S_T(2), v, index);
        if (m)
            mem_store(l, 4, S_T(2), m);
    }
    if (imm)
        emit_imm(l, UOP_BT32I_F, 0, v, l->i.imm & 31);
    else
        emit(l, UOP_BT32_F, 0, v, index);
    if (kind && !m)
        emit(l, UOP_MOV32, v, S_T(2), 0);
    return BUILD_MORE;
}

enum build_next lower_bit(struct lower *l)
{
    unsigned size = l->i.arg[0].size, kind = l->i.op - INSN_BT;
    bool mem = is_mem(l, 0);
    unsigned v = mem ? S_T(1) : reg(l->i.arg[0].reg, size);
    struct mem m;

    if (mem) {
        bit_address(l, &m, size, kind != 0);
        if (kind)
            mem_load_rw(l, size, S_T(1), &m);
        else
            mem_load(l, size, S_T(1), &m);
    }
    if (size == 4)
        return bit_32(l, v, mem ? &m : NULL);
    if (l->i.arg[1].kind == OPERAND_IMM)
        emit_imm(l, UOP_MOVI32, S_T(4), 0, l->i.imm);
    else
        emit(l, UOP_MOV32, S_T(4), reg(l->i.arg[1].reg, 4), 0);
    if (kind && mem) {
        call(l, i386_op_bit_change, S_T(2), S_T(1), kind << 4 | size);
        mem_store(l, size, S_T(2), &m);
    }
    call(l, i386_op_bit_test, 0, v, size);
    if (kind && !mem)
        call(l, i386_op_bit_change, v, v, kind << 4 | size);
    return BUILD_MORE;
}

enum build_next lower_multiply(struct lower *l)
{
    unsigned d = reg(l->i.arg[0].reg, 4), a, b;

    if (l->i.op == INSN_IMUL) {
        a = d;
        b = operand_value(l, 1, S_T(1));
    } else {
        a = operand_value(l, 1, S_T(1));
        b = S_T(2);
        emit_imm(l, UOP_MOVI32, b, 0, l->i.imm);
    }
    if (l->i.osize == 4)
        emit(l, UOP_IMUL32_F, d, a, b);
    else
        emit(l, UOP_IMUL16_F, d, a, b);
    return BUILD_MORE;
}

/* MUL and IMUL of the accumulator. */
enum build_next lower_multiply_wide(struct lower *l)
{
    bool sign = l->i.op == INSN_IMUL1;
    unsigned a = operand_value(l, 0, S_T(1));

    switch (l->i.arg[0].size) {
    case 1:
        emit(l, sign ? UOP_IMULW8_F : UOP_MULW8_F, S_GPR16(EAX), a, S_GPR8(EAX));
        break;
    case 2:
        build(l->b, sign ? UOP_IMULW16_F : UOP_MULW16_F, S_GPR16(EAX), a, S_GPR16(EAX), S_GPR16(EDX), 0);
        break;
    default:
        build(l->b, sign ? UOP_IMULW32_F : UOP_MULW32_F, S_GPR32(EAX), a, S_GPR32(EAX), S_GPR32(EDX), 0);
    }
    return BUILD_MORE;
}

enum build_next lower_divide(struct lower *l)
{
    unsigned size = l->i.arg[0].size, a = operand_value(l, 0, S_T(1));
    bool sign = l->i.op == INSN_IDIV;

    if (size == 4) {
        if (a == S_GPR32(EAX) || a == S_GPR32(EDX)) {
            emit(l, UOP_MOV32, S_T(1), a, 0);
            a = S_T(1);
        }
        build_call(l->b, sign ? i386_op_idiv32 : i386_op_div32, S_GPR32(EAX), a, S_GPR32(EDX))->op =
            sign ? UOP_IDIVW32 : UOP_DIVW32;
        return BUILD_MORE;
    }
    call(l, i386_op_div, 0, a, size | (sign ? 16 : 0));
    return BUILD_MORE;
}

/* BSF, BSR */
enum build_next lower_bit_scan(struct lower *l)
{
    unsigned size = l->i.arg[0].size, a = operand_value(l, 1, S_T(1));

    if (size == 4)
        emit(l, l->i.op == INSN_BSR ? UOP_BSR32_F : UOP_BSF32_F, reg(l->i.arg[0].reg, 4), a, 0);
    else
        call(l, i386_op_bit_scan, reg(l->i.arg[0].reg, size), a, size | (l->i.op == INSN_BSR ? 16 : 0));
    return BUILD_MORE;
}
