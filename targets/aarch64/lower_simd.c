/*
 * The frequent ones of Advanced SIMD and the scalar floating-point moves as micro-ops:
 * logic, addition, comparison, shifts by immediate, copies, modified immediates (DDI 0487
 * C4.1.96). All others, and what decides whether an encoding is allocated, are fp.c's
 * and simd*.c's: lower_vector() is asked only about allocated ones.
 *
 * To add an instruction: a row or a case here, if a micro-op does the same on 128 bits.
 * The 64-bit forms do, too: the upper half becomes 0 after it.
 */
#include "aarch64/fp.h"
#include "aarch64/lowering.h"

#define NONE UOP_NOP
#define SIZES3(name) {UOP_##name##8, UOP_##name##16, UOP_##name##32, NONE}
#define SIZES4(name) {UOP_##name##8, UOP_##name##16, UOP_##name##32, UOP_##name##64}

static bool is_q(const struct lower *l)
{
    return BIT(l->i.word, 30);
}

static void clear_high(struct lower *l)
{
    emit_imm64(l, UOP_MOVI64, S_V(RD(l->i.word)) + 8, 0, 0);
}

static bool emit_three(struct lower *l, unsigned op, unsigned n, unsigned m)
{
    if (op == NONE)
        return false;
    emit(l, (enum uop_code)op, S_V(RD(l->i.word)), n, m);
    if (!is_q(l))
        clear_high(l);
    return true;
}

/* Of single or double precision, all 128 bits. */
static bool float_three(struct lower *l, unsigned opcode)
{
    const uint32_t w = l->i.word;
    unsigned op;

    switch (opcode << 2 | BIT(w, 29) << 1 | BIT(w, 23)) {
    case 25 << 2: op = UOP_VFMLA32; break;
    case 25 << 2 | 1: op = UOP_VFMLS32; break;
    case 26 << 2: op = UOP_VFADD32; break;
    case 26 << 2 | 1: op = UOP_VFSUB32; break;
    case 27 << 2 | 2: op = UOP_VFMUL32; break;
    case 31 << 2 | 2: op = UOP_VFDIV32; break;
    default: return false;
    }
    return emit_three(l, op + BIT(w, 22), S_V(RN(w)), S_V(RM(w)));
}

static bool three_same(struct lower *l)
{
    static const uint16_t logic[8] = {UOP_VAND, UOP_VBIC, UOP_VOR, UOP_VORN, UOP_VXOR, UOP_VBSL, UOP_VBIT, UOP_VBIF};
    static const uint16_t table[2][24][4] = {
        {[6] = SIZES3(VCGT), [12] = {NONE, UOP_VSMAX16}, [13] = {NONE, UOP_VSMIN16}, [16] = SIZES4(VADD),
         [19] = {NONE, UOP_VMUL16}},
        {[12] = {UOP_VUMAX8}, [13] = {UOP_VUMIN8}, [16] = SIZES4(VSUB), [17] = SIZES3(VCEQ)},
    };
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 11, 5), size = BITS(w, 22, 2), u = BIT(w, 29);

    if (opcode >= 24)
        return is_q(l) && float_three(l, opcode);
    if (opcode == 3)
        return emit_three(l, logic[u << 2 | size], S_V(RN(w)), S_V(RM(w)));
    return emit_three(l, table[u][opcode][size], S_V(RN(w)), S_V(RM(w)));
}

static bool shift_immediate(struct lower *l)
{
    static const uint16_t right[2][4] = {
        {UOP_VSAR8I, UOP_VSAR16I, UOP_VSAR32I, UOP_VSAR64I}, {UOP_VSHR8I, UOP_VSHR16I, UOP_VSHR32I, UOP_VSHR64I}};
    static const uint16_t left[4] = {UOP_VSHL8I, UOP_VSHL16I, UOP_VSHL32I, UOP_VSHL64I};
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 11, 5), u = BIT(w, 29), size = 31 - (unsigned)__builtin_clz(BITS(w, 19, 4));
    unsigned bits = 8u << size, field = BITS(w, 16, 7), count;

    if (opcode == 0)
        count = 2 * bits - field;
    else if (opcode == 10 && !u)
        count = field - bits;
    else
        return false;
    if (count == bits) /* right, all of it */
        return false;
    emit_imm(l, (enum uop_code)(opcode ? left[size] : right[u][size]), S_V(RD(w)), S_V(RN(w)), count);
    if (!is_q(l))
        clear_high(l);
    return true;
}

/* MOVI, MVNI, and the vector FMOV. */
static bool immediate(struct lower *l)
{
    const uint32_t w = l->i.word;
    unsigned cmode = BITS(w, 12, 4);
    uint64_t imm = a64_simd_expand_immediate(w);

    if (cmode < 12 && (cmode & 1)) /* ORR, BIC */
        return false;
    if (cmode < 14 && BIT(w, 29))
        imm = ~imm;
    emit_imm64(l, UOP_MOVI64, S_V(RD(w)), 0, imm);
    emit_imm64(l, UOP_MOVI64, S_V(RD(w)) + 8, 0, is_q(l) ? imm : 0);
    return true;
}

/* CMEQ with zero, NOT. */
static bool two_registers(struct lower *l)
{
    static const uint16_t equal[4] = SIZES3(VCEQ);
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 12, 5), size = BITS(w, 22, 2), u = BIT(w, 29);

    if (!u && opcode == 9 && equal[size] != NONE) {
        emit(l, UOP_VXOR, S_VT(0), S_VT(0), S_VT(0));
        return emit_three(l, equal[size], S_V(RN(w)), S_VT(0));
    }
    return u && opcode == 5 && size == 0 && emit_three(l, UOP_VNOT, S_V(RN(w)), 0);
}

/* DUP from a general register, UMOV. */
static bool copy(struct lower *l)
{
    static const uint16_t duplicate[4] = SIZES4(VDUP);
    static const uint16_t out[4] = {UOP_ZX8_64, UOP_ZX16_64, UOP_MOV32Z, UOP_MOV64};
    const uint32_t w = l->i.word;
    unsigned imm5 = BITS(w, 16, 5), size = (unsigned)__builtin_ctz(imm5), index = imm5 >> (size + 1);

    switch (BITS(w, 11, 4)) {
    case 1:
        return emit_three(l, duplicate[size], s_src(RN(w)), 0);
    case 7:
        emit(l, (enum uop_code)out[size], s_dst(RD(w)), S_V(RN(w)) + (index << size), 0);
        return true;
    default:
        return false;
    }
}

/* FADD FSUB FMUL FDIV, FMADD and its kin, SCVTF and UCVTF of general registers, FNEG, FABS. */
static bool scalar_arithmetic(struct lower *l)
{
    static const uint16_t two[4][2] = {
        {UOP_FMUL32, UOP_FMUL64}, {UOP_FDIV32, UOP_FDIV64}, {UOP_FADD32, UOP_FADD64}, {UOP_FSUB32, UOP_FSUB64}};
    static const uint16_t three[4][2] = {
        {UOP_FMADD32, UOP_FMADD64}, {UOP_FMSUB32, UOP_FMSUB64}, {UOP_FNMADD32, UOP_FNMADD64},
        {UOP_FNMSUB32, UOP_FNMSUB64}};
    const uint32_t w = l->i.word;
    unsigned wide = BIT(w, 22), d = S_V(RD(w)), n = S_V(RN(w));

    if (BITS(w, 23, 1))
        return false;
    if ((w & 0xff000000u) == 0x1f000000u) {
        build(l->b, (enum uop_code)three[BIT(w, 21) << 1 | BIT(w, 15)][wide], d, n, S_V(RM(w)), S_V(RA(w)), 0);
        return true;
    }
    if ((w & 0xffa0cc00u) == 0x1e200800u) {
        emit(l, (enum uop_code)two[BITS(w, 12, 2)][wide], d, n, S_V(RM(w)));
        return true;
    }
    if ((w & 0x7fbefc00u) == 0x1e220000u) { /* of 32 bits, or signed of 64 */
        bool is_unsigned = BIT(w, 16);
        unsigned x = s_src(RN(w));

        if (BIT(w, 31) && is_unsigned)
            return false;
        if (!BIT(w, 31)) {
            emit(l, is_unsigned ? UOP_MOV32Z : UOP_SX32_64, S_T(0), x, 0);
            x = S_T(0);
        }
        emit(l, wide ? UOP_FSCVT64 : UOP_FSCVT32, d, x, 0);
        return true;
    }
    if ((w & 0xffbf7c00u) == 0x1e214000u || (w & 0xffbffc00u) == 0x1e20c000u) {
        bool negate = BIT(w, 16);
        uint64_t sign = wide ? (uint64_t)1 << 63 : (uint64_t)1 << 31, low = 2 * sign - 1;

        if (BIT(w, 15) == negate) /* FSQRT */
            return false;
        emit_imm64(l, UOP_AND64I, d, n, negate ? low : low & ~sign);
        if (negate)
            emit_imm64(l, UOP_XOR64I, d, d, sign);
        clear_high(l);
        return true;
    }
    return false;
}

/* FMOV between registers of any kind. */
static bool scalar_move(struct lower *l)
{
    const uint32_t w = l->i.word;

    switch (w & 0xfffffc00u) {
    case 0x1e204000: emit(l, UOP_MOV32Z, S_V(RD(w)), S_V(RN(w)), 0); break;
    case 0x1e604000: emit(l, UOP_MOV64, S_V(RD(w)), S_V(RN(w)), 0); break;
    case 0x1e270000: emit(l, UOP_MOV32Z, S_V(RD(w)), s_src(RN(w)), 0); break;
    case 0x9e670000: emit(l, UOP_MOV64, S_V(RD(w)), s_src(RN(w)), 0); break;
    case 0x1e260000: emit(l, UOP_MOV32Z, s_dst(RD(w)), S_V(RN(w)), 0); return true;
    case 0x9e660000: emit(l, UOP_MOV64, s_dst(RD(w)), S_V(RN(w)), 0); return true;
    default: return false;
    }
    clear_high(l);
    return true;
}

bool lower_vector(struct lower *l)
{
    const uint32_t w = l->i.word;

    if (BITS(w, 25, 4) == 0xf)
        return scalar_arithmetic(l) || scalar_move(l);
    if (BIT(w, 31) || BIT(w, 28))
        return false;
    if ((w & 0x9f200400u) == 0x0e200400u)
        return three_same(l);
    if ((w & 0x9f3e0c00u) == 0x0e200800u)
        return two_registers(l);
    if ((w & 0xbfe08400u) == 0x0e000400u)
        return copy(l);
    if ((w & 0x9f800400u) == 0x0f000400u)
        return BITS(w, 19, 4) ? shift_immediate(l) : immediate(l);
    return false;
}
