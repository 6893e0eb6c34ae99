/*
 * Lowering of what came to the general registers after long mode: POPCNT, LZCNT, TZCNT, BMI1, BMI2, ADX, CRC32,
 * MOVBE, RDRAND, RDSEED, CLFLUSHOPT, CLWB. The rules are those of lower.c.
 *
 * Flags that the manual leaves undefined become 0, but for ANDN and BEXTR, which set P by their result.
 * RDRAND and RDSEED always have a number: it is an event of the log.
 */
#include "i386/lowering.h"

#include "i386/fpu.h"

/* The feature that gives an instruction. */
static unsigned feature_of(const struct insn *i)
{
    switch (i->op) {
    case INSN_POPCNT: return FEATURE_POPCNT;
    case INSN_LZCNT: return FEATURE_ABM;
    case INSN_ADCX: case INSN_ADOX: return FEATURE_ADX;
    case INSN_CRC32: return FEATURE_SSE42;
    case INSN_MOVBE: return FEATURE_MOVBE;
    case INSN_RDRAND: return FEATURE_RDRAND;
    case INSN_RDSEED: return FEATURE_RDSEED;
    case INSN_CLFLUSHOPT: return (i->modrm >> 3 & 7) == 6 ? FEATURE_CLWB : FEATURE_CLFLUSHOPT;
    case INSN_TZCNT: case INSN_ANDN: case INSN_BLSR: case INSN_BLSMSK: case INSN_BLSI: case INSN_BEXTR: return FEATURE_BMI1;
    default: return FEATURE_BMI2;
    }
}

/* Micro-ops of 32 bits, zero-extended in every mode, and of 64: d from the operands 1 and 2. */
#define BOTH(pre, post) {pre##32Z##post, pre##64##post}
static const uint16_t micro_ops[INSN_COUNT][2] = {
    [INSN_POPCNT] = BOTH(UOP_POPCNT, _F), [INSN_TZCNT] = BOTH(UOP_TZCNT, _F), [INSN_LZCNT] = BOTH(UOP_LZCNT, _F),
    [INSN_BLSR] = BOTH(UOP_BLSR, _F), [INSN_BLSMSK] = BOTH(UOP_BLSMSK, _F), [INSN_BLSI] = BOTH(UOP_BLSI, _F),
    [INSN_ANDN] = BOTH(UOP_BIC, _F), [INSN_BZHI] = BOTH(UOP_BZHI, _F), [INSN_BEXTR] = BOTH(UOP_BEXTR, _F),
    [INSN_SHLX] = BOTH(UOP_LSL, ), [INSN_SARX] = BOTH(UOP_ASR, ), [INSN_SHRX] = BOTH(UOP_LSR, ), [INSN_RORX] = BOTH(UOP_ROR, I),
    [INSN_MULX] = BOTH(UOP_MULW, ), [INSN_PDEP] = BOTH(UOP_PDEP, ), [INSN_PEXT] = BOTH(UOP_PEXT, ),
    [INSN_ADCX] = BOTH(UOP_ADCX, _F), [INSN_ADOX] = BOTH(UOP_ADOX, _F),
};

static enum build_next lower_micro_op(struct lower *l)
{
    unsigned size = l->i.arg[0].size, d = reg(l->i.arg[0].reg, size), a = operand_value(l, 1, S_T(1)), b = 0;
    enum uop_code op = (enum uop_code)micro_ops[l->i.op][size == 8];

    if (l->i.arg[2].kind == OPERAND_REG || is_mem(l, 2))
        b = operand_value(l, 2, S_T(1));
    switch (l->i.op) {
    case INSN_ANDN:
        emit(l, op, d, b, a);
        break;
    case INSN_ADCX: case INSN_ADOX:
        emit(l, op, d, d, a);
        break;
    case INSN_RORX:
        emit_imm(l, op, d, a, l->i.imm & (size == 8 ? 63 : 31));
        break;
    case INSN_MULX: /* the upper half last: it stays where both go to one register */
        build(l->b, op, a, S_GPR64(EDX), b, d, 0);
        break;
    default:
        emit(l, op, d, a, b);
    }
    return BUILD_MORE;
}

/* POPCNT, TZCNT, LZCNT of 16 bits. */
static enum build_next lower_count_16(struct lower *l)
{
    if (l->i.op == INSN_POPCNT) {
        emit(l, UOP_ZX16_64, S_T(2), operand_value(l, 1, S_T(1)), 0);
        emit(l, UOP_POPCNT32Z_F, S_T(2), S_T(2), 0);
        operand_move(l, 2, reg(l->i.arg[0].reg, 2), S_T(2));
        return BUILD_MORE;
    }
    call(l, i386_op_count_16, reg(l->i.arg[0].reg, 2), operand_value(l, 1, S_T(1)),
         l->i.op == INSN_TZCNT ? COUNT_TRAILING : COUNT_LEADING);
    return BUILD_MORE;
}

static enum build_next lower_crc32(struct lower *l)
{
    unsigned size = l->i.arg[1].size, d = S_GPR64(l->i.arg[0].reg), b = operand_value(l, 1, S_T(1));

    emit(l, size == 1 ? UOP_CRC8_64 : size == 2 ? UOP_CRC16_64 : size == 4 ? UOP_CRC32_64 : UOP_CRC64_64, d, d, b);
    return BUILD_MORE;
}

static enum build_next lower_movbe(struct lower *l)
{
    unsigned size = l->i.osize;
    bool load = is_mem(l, 1);
    struct mem m;

    mem_operand(l, &m, size, !load);
    if (load)
        mem_load(l, size, S_T(1), &m);
    else
        operand_move(l, size, S_T(1), reg(l->i.arg[1].reg, size));
    emit(l, size == 8 ? UOP_BSWAP64 : UOP_BSWAP32Z, S_T(1), S_T(1), 0);
    if (size == 2)
        emit_imm(l, UOP_LSR32ZI, S_T(1), S_T(1), 16);
    if (load)
        operand_move(l, size, reg(l->i.arg[0].reg, size), S_T(1));
    else
        mem_store(l, size, S_T(1), &m);
    return BUILD_MORE;
}

static enum build_next lower_random(struct lower *l)
{
    unsigned size = l->i.osize;

    call(l, i386_op_random, S_T(1), size, 0);
    operand_move(l, size, reg(l->i.arg[0].reg, size), S_T(1));
    return BUILD_MORE;
}

/* There are no caches; the access is checked as that of CLFLUSH. */
static enum build_next lower_flush(struct lower *l)
{
    unsigned b = I386_FX_MEM | l->i.seg;

    mem_offset(l);
    call(l, i386_simd_handler(i386_of(l->b->cpu)->model, 0xae, 7 << 3, b), 0xae, 7 << 3, b);
    return BUILD_MORE;
}

enum build_next lower_bits(struct lower *l)
{
    if (!has(l, feature_of(&l->i))) {
        if (l->i.op != INSN_TZCNT && l->i.op != INSN_LZCNT)
            return end_undefined(l);
        l->i.op = l->i.op == INSN_TZCNT ? INSN_BSF : INSN_BSR; /* an ignored prefix */
        return lower_bit_scan(l);
    }
    switch (l->i.op) {
    case INSN_POPCNT: case INSN_TZCNT: case INSN_LZCNT:
        return l->i.osize == 2 ? lower_count_16(l) : lower_micro_op(l);
    case INSN_CRC32: return lower_crc32(l);
    case INSN_MOVBE: return lower_movbe(l);
    case INSN_RDRAND: case INSN_RDSEED: return lower_random(l);
    case INSN_CLFLUSHOPT: return lower_flush(l);
    default: return lower_micro_op(l);
    }
}
