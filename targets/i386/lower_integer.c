/*
 * Lowering of integer arithmetic: ALU operations, shifts, bits, multiplication, division.
 * The rules are those of lower.c.
 */
#include "i386/lowering.h"

#include "vm/bits.h"

/* Of 8, 16, 32, 64 bits, and of 32 in 64-bit mode. */
#define BY_SIZE(pre, post) {pre##8##post, pre##16##post, pre##32##post, pre##64##post, pre##32Z##post}
/* Rows ADD OR ADC SBB AND SUB XOR; 0 where there is none. */
static const uint16_t alu_flagged[7][5] = {
    BY_SIZE(UOP_ADD, _F), BY_SIZE(UOP_OR, _F), BY_SIZE(UOP_ADC, _F), BY_SIZE(UOP_SBB, _F),
    BY_SIZE(UOP_AND, _F), BY_SIZE(UOP_SUB, _F), BY_SIZE(UOP_XOR, _F)};
static const uint16_t alu_flagged_imm[7][5] = {
    BY_SIZE(UOP_ADD, I_F), BY_SIZE(UOP_OR, I_F), {0}, {0},
    BY_SIZE(UOP_AND, I_F), BY_SIZE(UOP_SUB, I_F), BY_SIZE(UOP_XOR, I_F)};
static const uint16_t alu_plain[7][5] = {
    BY_SIZE(UOP_ADD, ), BY_SIZE(UOP_OR, ), {0}, {0}, BY_SIZE(UOP_AND, ), BY_SIZE(UOP_SUB, ), BY_SIZE(UOP_XOR, )};
static const uint16_t alu_plain_imm[7][5] = {
    BY_SIZE(UOP_ADD, I), BY_SIZE(UOP_OR, I), {0}, {0}, BY_SIZE(UOP_AND, I), BY_SIZE(UOP_SUB, I), BY_SIZE(UOP_XOR, I)};

static unsigned size_index(const struct lower *l, unsigned size)
{
    return size == 8 ? 3 : size == 4 && wide(l) ? 4 : size >> 1; /* 1 2 4 -> 0 1 2 */
}

/* d = a op operand 1 (an immediate, or the value at s), by a row of tables. */
static void alu(struct lower *l, const uint16_t (*reg_ops)[5], const uint16_t (*imm_ops)[5], unsigned row,
                unsigned d, unsigned a, unsigned s)
{
    unsigned size = l->i.arg[0].size, z = size_index(l, size);

    if (l->i.arg[1].kind == OPERAND_IMM && imm_ops[row][z])
        emit_sized(l, (enum uop_code)imm_ops[row][z], d, a, size, l->i.imm);
    else
        emit(l, reg_ops[row][z], d, a, s);
}

/* ADC and SBB of memory: the result without flags in S_T(2), from S_T(1) and s. */
static void carry_result(struct lower *l, unsigned size, unsigned s)
{
    bool add = l->i.op == INSN_ADC;

    set_const(l, S_T(3), 0);
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

#define SIZED_TEST(size, post) ((size) == 1 ? UOP_TEST8##post : (size) == 2 ? UOP_TEST16##post : UOP_TEST32##post)

/* CMP, TEST */
enum build_next lower_compare(struct lower *l)
{
    unsigned size = l->i.arg[0].size;
    bool cmp = l->i.op == INSN_CMP;
    unsigned a = operand_value(l, 0, S_T(1));

    if (l->i.arg[1].kind == OPERAND_IMM)
        emit_sized(l, cmp ? SIZED_PLAIN(size, UOP_CMP, I) : size == 8 ? UOP_TST64I : SIZED_TEST(size, I), 0, a, size, l->i.imm);
    else
        emit(l, cmp ? SIZED_PLAIN(size, UOP_CMP, ) : size == 8 ? UOP_TST64 : SIZED_TEST(size, ), 0, a, operand_value(l, 1, S_T(2)));
    return BUILD_MORE;
}

/* d = op a, with or without flags: INC DEC NEG NOT. */
static void unary(struct lower *l, unsigned d, unsigned a, bool flags)
{
    unsigned size = l->i.arg[0].size;

    switch (l->i.op) {
    case INSN_INC:
        emit_sized(l, flags ? SIZED(size, UOP_INC, _F) : SIZED(size, UOP_ADD, I), d, a, size, 1);
        break;
    case INSN_DEC:
        emit_sized(l, flags ? SIZED(size, UOP_DEC, _F) : SIZED(size, UOP_SUB, I), d, a, size, 1);
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

/* The bits of a shift count that matter. */
static unsigned count_mask(const struct lower *l)
{
    return l->i.arg[0].size == 8 ? 63 : 31;
}

/* Shift by a constant that a micro-op can do: 1 <= count < bits, SHL SHR SAR. */
static bool simple_shift(const struct lower *l, unsigned *count)
{
    *count = l->i.imm & count_mask(l);
    return l->i.op >= INSN_SHL && l->i.arg[1].kind == OPERAND_IMM && *count && *count < 8u * l->i.arg[0].size;
}

static void shift_imm(struct lower *l, unsigned d, unsigned a, unsigned count, bool flags)
{
    unsigned size = l->i.arg[0].size;

    if (l->i.op == INSN_SHR)
        emit_imm(l, flags ? SIZED(size, UOP_SHR, I_F) : size == 8 ? UOP_LSR64I : wide(l) ? UOP_LSR32ZI : UOP_SHR32I, d, a, count);
    else if (l->i.op == INSN_SAR)
        emit_imm(l, flags ? SIZED(size, UOP_SAR, I_F) : size == 8 ? UOP_ASR64I : wide(l) ? UOP_ASR32ZI : UOP_SAR32I, d, a, count);
    else
        emit_imm(l, flags ? SIZED(size, UOP_SHL, I_F) : size == 8 ? UOP_LSL64I : wide(l) ? UOP_LSL32ZI : UOP_SHL32I, d, a, count);
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
    static const uint16_t by_cl[] = {UOP_LSL32Z, UOP_LSR32Z, UOP_ASR32Z}, by_cl_64[] = {UOP_LSL64, UOP_LSR64, UOP_ASR64};
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
        emit(l, (enum uop_code)(size == 8 ? by_cl_64[kind] : by_cl[kind]), S_T(2), from, S_GPR8(ECX));
    mem_store(l, size, S_T(2), m);
    if (count)
        shift_imm(l, S_T(1), S_T(1), count, true);
    else
        emit(l, variable_shift(l), S_T(1), S_T(1), S_GPR8(ECX));
    return BUILD_MORE;
}

/* ROL ROR RCL RCR of a register, or of memory, which was loaded to S_T(1). */
static enum build_next rotate(struct lower *l, const struct mem *m, unsigned r)
{
    unsigned size = l->i.arg[0].size, count = S_GPR8(ECX);
    uint32_t how = (l->i.op - INSN_ROL) | (uint32_t)__builtin_ctz(size) << ROTATE_SIZE_SHIFT | (size == 4 && wide(l) ? ROTATE_WIDE : 0);

    if (l->i.arg[1].kind == OPERAND_IMM) {
        count = S_T(4);
        set_const(l, count, l->i.imm & count_mask(l));
    }
    if (!m) {
        build(l->b, UOP_ROTATE_F, r, r, count, 0, how);
        return BUILD_MORE;
    }
    build(l->b, UOP_ROTATE, S_T(2), S_T(1), count, 0, how);
    mem_store(l, size, S_T(2), m);
    build(l->b, UOP_ROTATE_F, S_T(1), S_T(1), count, 0, how);
    return BUILD_MORE;
}
_Static_assert(INSN_RCR == INSN_ROL + ROTATE_RIGHT_CARRY && INSN_ROR == INSN_ROL + ROTATE_RIGHT, "rotations are numbered alike");

/* Of 4 or 8 bytes only. */
#define WIDE_SIZED(size, pre, post) ((size) == 8 ? pre##64##post : wide(l) ? pre##32Z##post : pre##32##post)

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
        if (size >= 4 && l->i.arg[1].kind == OPERAND_IMM && (l->i.imm & count_mask(l)) &&
            (l->i.op == INSN_ROL || l->i.op == INSN_ROR)) {
            emit_imm(l, l->i.op == INSN_ROL ? WIDE_SIZED(size, UOP_ROL, I_F) : WIDE_SIZED(size, UOP_ROR, I_F), r, r,
                     l->i.imm & count_mask(l));
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
    if (l->i.op <= INSN_RCR)
        return rotate(l, is_mem(l, 0) ? &m : NULL, r);
    if (l->i.arg[1].kind == OPERAND_IMM)
        set_const(l, S_T(4), l->i.imm & count_mask(l));
    else
        emit(l, UOP_ZX8_64, S_T(4), S_GPR8(ECX), 0);
    if (!is_mem(l, 0)) {
        call(l, i386_op_shift, r, r, kind);
        return BUILD_MORE;
    }
    call(l, i386_op_shift, S_T(2), S_T(1), kind | SHIFT_DEFER);
    mem_store(l, size, S_T(2), &m);
    call(l, i386_op_commit_flags, 0, 0, 0);
    return BUILD_MORE;
}

/* SHLD or SHRD by a constant of 4 or 8 bytes in memory, which were loaded to S_T(1): the flags change after the store. */
static enum build_next double_shift_memory(struct lower *l, const struct mem *m, unsigned count)
{
    unsigned size = l->i.arg[0].size, bits = reg(l->i.arg[1].reg, 4);
    bool left = l->i.op == INSN_SHLD;

    build(l->b, left ? WIDE_SIZED(size, UOP_SHLD, I) : WIDE_SIZED(size, UOP_SHRD, I), S_T(2), S_T(1), bits, count, 0);
    mem_store(l, size, S_T(2), m);
    build(l->b, left ? WIDE_SIZED(size, UOP_SHLD, I_F) : WIDE_SIZED(size, UOP_SHRD, I_F), S_T(1), S_T(1), bits, count, 0);
    return BUILD_MORE;
}

/* SHLD, SHRD */
enum build_next lower_double_shift(struct lower *l)
{
    unsigned size = l->i.arg[0].size;
    unsigned kind = (l->i.op == INSN_SHLD ? SHIFT_SHLD : SHIFT_SHRD) | size << SHIFT_SIZE_SHIFT;
    struct mem m;

    if (size >= 4 && !is_mem(l, 0) && (l->i.arg[2].kind != OPERAND_IMM || (l->i.imm & count_mask(l)))) {
        bool imm = l->i.arg[2].kind == OPERAND_IMM, left = l->i.op == INSN_SHLD;
        unsigned r = reg(l->i.arg[0].reg, 4), bits = reg(l->i.arg[1].reg, 4);

        if (imm)
            build(l->b, left ? WIDE_SIZED(size, UOP_SHLD, I_F) : WIDE_SIZED(size, UOP_SHRD, I_F), r, r, bits,
                  l->i.imm & count_mask(l), 0);
        else
            build(l->b, left ? WIDE_SIZED(size, UOP_SHLDR, _F) : WIDE_SIZED(size, UOP_SHRDR, _F), r, r, bits, S_GPR8(ECX), 0);
        return BUILD_MORE;
    }
    if (is_mem(l, 0)) {
        mem_operand(l, &m, size, true);
        mem_load_rw(l, size, S_T(1), &m);
        if (size >= 4 && l->i.arg[2].kind == OPERAND_IMM && (l->i.imm & count_mask(l)))
            return double_shift_memory(l, &m, l->i.imm & count_mask(l));
    }
    emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(6), reg(l->i.arg[1].reg, 4), 0);
    if (l->i.arg[2].kind == OPERAND_IMM)
        set_const(l, S_T(4), l->i.imm & count_mask(l));
    else
        emit(l, UOP_ZX8_64, S_T(4), S_GPR8(ECX), 0);
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
    if (wide(l)) {
        if (size < 8)
            emit(l, size == 2 ? UOP_SX16_64 : UOP_SX32_64, S_T(5), index, 0);
        emit_imm(l, UOP_ASR64I, S_T(5), size < 8 ? S_T(5) : index, size == 2 ? 4 : size == 4 ? 5 : 6);
        build(l->b, UOP_LEAX_X, S_T(0), off, S_T(5), 0, size == 2 ? 1 : size == 4 ? 2 : 3);
        if (l->i.asize == 4)
            emit(l, UOP_MOV32Z, S_T(0), S_T(0), 0);
    } else {
        if (size == 2)
            emit(l, UOP_SX16_32, S_T(5), index, 0);
        emit_imm(l, UOP_SAR32I, S_T(5), size == 2 ? S_T(5) : index, size == 2 ? 4 : 5);
        build(l->b, UOP_LEAX_W, S_T(0), off, S_T(5), 0, size == 2 ? 1 : 2);
        if (l->i.asize == 2)
            emit(l, UOP_ZX16_32, S_T(0), S_T(0), 0);
    }
    *m = (struct mem){.a = (uint16_t)S_T(0)};
    mem_through_segment(l, m, l->i.seg, size, write, S_T(0));
}

/* The same on 32 or 64 bits: v is the value, m where it came from, if from memory. */
static enum build_next bit_wide(struct lower *l, unsigned size, unsigned v, const struct mem *m)
{
    bool imm = l->i.arg[1].kind == OPERAND_IMM;
    unsigned kind = l->i.op - INSN_BT, index = imm ? S_T(4) : reg(l->i.arg[1].reg, 4);

    if (kind && imm)
        set_const(l, S_T(4), l->i.imm & count_mask(l));
    if (kind) {
        emit(l, kind == 1 ? WIDE_SIZED(size, UOP_BTS, ) : kind == 2 ? WIDE_SIZED(size, UOP_BTR, ) : WIDE_SIZED(size, UOP_BTC, ),
             S_T(2), v, index);
        if (m)
            mem_store(l, size, S_T(2), m);
    }
    if (imm)
        emit_imm(l, size == 8 ? UOP_BT64I_F : UOP_BT32I_F, 0, v, l->i.imm & count_mask(l));
    else
        emit(l, size == 8 ? UOP_BT64_F : UOP_BT32_F, 0, v, index);
    if (kind && !m)
        operand_move(l, size, v, S_T(2));
    return BUILD_MORE;
}

/* The same on 16 bits. */
static enum build_next bit_of_word(struct lower *l, unsigned v, const struct mem *m)
{
    unsigned kind = l->i.op - INSN_BT;

    if (l->i.arg[1].kind == OPERAND_IMM)
        set_const(l, S_T(4), l->i.imm & 15);
    else
        emit_imm(l, wide(l) ? UOP_AND32ZI : UOP_AND32I, S_T(4), reg(l->i.arg[1].reg, 4), 15);
    emit(l, wide(l) ? UOP_ZX16_64 : UOP_ZX16_32, S_T(5), v, 0);
    if (kind) {
        emit(l, kind == 1 ? WIDE_SIZED(4, UOP_BTS, ) : kind == 2 ? WIDE_SIZED(4, UOP_BTR, ) : WIDE_SIZED(4, UOP_BTC, ), S_T(2), S_T(5), S_T(4));
        if (m)
            mem_store(l, 2, S_T(2), m);
    }
    emit(l, UOP_BT32_F, 0, S_T(5), S_T(4));
    if (kind && !m)
        operand_move(l, 2, v, S_T(2));
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
    return size >= 4 ? bit_wide(l, size, v, mem ? &m : NULL) : bit_of_word(l, v, mem ? &m : NULL);
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
        set_const(l, b, l->i.osize == 8 ? (uint64_t)(int32_t)l->i.imm : l->i.imm);
    }
    if (l->i.osize >= 4)
        emit(l, WIDE_SIZED(l->i.osize, UOP_IMUL, _F), d, a, b);
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
        build(l->b, sign ? WIDE_SIZED(l->i.arg[0].size, UOP_IMULW, _F) : WIDE_SIZED(l->i.arg[0].size, UOP_MULW, _F), S_GPR32(EAX), a, S_GPR32(EAX), S_GPR32(EDX), 0);
    }
    return BUILD_MORE;
}

enum build_next lower_divide(struct lower *l)
{
    unsigned size = l->i.arg[0].size, a = operand_value(l, 0, S_T(1));
    bool sign = l->i.op == INSN_IDIV;

    if (size >= 4) {
        i386_helper *fn = size == 8 ? (sign ? i386_op_idiv64 : i386_op_div64) : sign ? i386_op_idiv32 : i386_op_div32;

        if (a == S_GPR32(EAX) || a == S_GPR32(EDX)) {
            operand_move(l, size, S_T(1), a);
            a = S_T(1);
        }
        build_call(l->b, fn, S_GPR32(EAX), a, S_GPR32(EDX))->op =
            (uint16_t)(sign ? WIDE_SIZED(size, UOP_IDIVW, ) : WIDE_SIZED(size, UOP_DIVW, ));
        return BUILD_MORE;
    }
    if (a == S_GPR16(EAX) || a == S_GPR16(EDX) || a == S_GPR8(4)) {
        operand_move(l, size, S_T(1), a);
        a = S_T(1);
    }
    if (size == 1)
        build_call(l->b, sign ? i386_op_idiv8 : i386_op_div8, S_GPR16(EAX), a, 0)->op = sign ? UOP_IDIVW8 : UOP_DIVW8;
    else
        build_call(l->b, sign ? i386_op_idiv16 : i386_op_div16, S_GPR16(EAX), a, S_GPR16(EDX))->op = sign ? UOP_IDIVW16 : UOP_DIVW16;
    return BUILD_MORE;
}

/* The flags are those of a test of 16 bits. */
static void scan_word(struct lower *l, unsigned d, unsigned a)
{
    enum uop_code extend = wide(l) ? UOP_ZX16_64 : UOP_ZX16_32;

    emit(l, extend, S_T(2), a, 0);
    emit(l, extend, S_T(4), d, 0);
    emit(l, l->i.op == INSN_BSR ? WIDE_SIZED(4, UOP_BSR, _F) : WIDE_SIZED(4, UOP_BSF, _F), S_T(4), S_T(2), 0);
    emit(l, UOP_TEST16, 0, S_T(2), S_T(2));
    operand_move(l, 2, d, S_T(4));
}

/* BSF, BSR */
enum build_next lower_bit_scan(struct lower *l)
{
    unsigned size = l->i.arg[0].size, a = operand_value(l, 1, S_T(1));

    if (size >= 4)
        emit(l, l->i.op == INSN_BSR ? WIDE_SIZED(size, UOP_BSR, _F) : WIDE_SIZED(size, UOP_BSF, _F), reg(l->i.arg[0].reg, 4), a, 0);
    else
        scan_word(l, reg(l->i.arg[0].reg, size), a);
    return BUILD_MORE;
}
