/*
 * The frequent ones of Advanced SIMD and the scalar floating-point moves as micro-ops:
 * logic, addition, comparison, minima and maxima, pairs, shifts by immediate, narrowing, lengthening, permutes, copies,
 * modified immediates (DDI 0487 C4.1.96). All others, and what decides whether an encoding is allocated, are fp.c's
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

static unsigned v_d(const struct lower *l)
{
    return S_V(RD(l->i.word));
}

static unsigned v_n(const struct lower *l)
{
    return S_V(RN(l->i.word));
}

static unsigned v_m(const struct lower *l)
{
    return S_V(RM(l->i.word));
}

/* The destination of a form of 64 bits has its value: the rest is 0. */
static void finish(struct lower *l)
{
    if (!is_q(l))
        emit(l, UOP_VLOW64, v_d(l), v_d(l), 0);
}

/* A vector of zeros, or of one 64-bit value. */
static unsigned constant(struct lower *l, unsigned t, uint64_t value)
{
    emit_imm64(l, UOP_VDUPI64, S_VT(t), 0, value);
    return S_VT(t);
}

static void clear_high(struct lower *l)
{
    emit_imm64(l, UOP_MOVI64, S_V(RD(l->i.word)) + 8, 0, 0);
}

static bool emit_three(struct lower *l, unsigned op, unsigned n, unsigned m)
{
    if (op == NONE)
        return false;
    emit(l, (enum uop_code)op, v_d(l), n, m);
    finish(l);
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

static const uint16_t equal[4] = SIZES4(VCEQ), greater[4] = SIZES4(VCGT), add[4] = SIZES4(VADD), subtract[4] = SIZES4(VSUB);
static const uint16_t umin[4] = SIZES3(VUMIN), umax[4] = SIZES3(VUMAX), smin[4] = SIZES3(VSMIN), smax[4] = SIZES3(VSMAX);
static const uint16_t even[4] = {UOP_VEVEN8, UOP_VEVEN16, UOP_VEVEN32, UOP_VZIPL64};
static const uint16_t odd[4] = {UOP_VODD8, UOP_VODD16, UOP_VODD32, UOP_VZIPH64};
static const uint16_t zip_low[4] = SIZES4(VZIPL), zip_high[4] = SIZES4(VZIPH);
static const uint16_t multiply[4] = {NONE, UOP_VMUL16, UOP_VMUL32, NONE};

/* d = `op` of a and b, or its complement. */
static bool emit_complemented(struct lower *l, unsigned op, unsigned a, unsigned b, bool complement)
{
    if (op == NONE)
        return false;
    emit(l, (enum uop_code)op, v_d(l), a, b);
    if (complement)
        emit(l, UOP_VNOT, v_d(l), v_d(l), 0);
    finish(l);
    return true;
}

/* CMHI, CMHS: a >= b if a is the greater of them. */
static bool compare_unsigned(struct lower *l, unsigned size, unsigned a, unsigned b, bool complement)
{
    if (umax[size] == NONE)
        return false;
    emit(l, (enum uop_code)umax[size], S_VT(0), a, b);
    return emit_complemented(l, equal[size], S_VT(0), a, complement);
}

/* The elements in pairs, of Rn and then of Rm. */
static bool pairwise(struct lower *l, unsigned op, unsigned size)
{
    unsigned n = v_n(l), m = v_m(l);

    if (op == NONE)
        return false;
    if (!is_q(l)) {
        emit(l, UOP_VZIPL64, S_VT(0), n, m);
        n = m = S_VT(0);
    }
    emit(l, (enum uop_code)odd[size], S_VT(1), n, m);
    emit(l, (enum uop_code)even[size], S_VT(0), n, m);
    return emit_three(l, op, S_VT(0), S_VT(1));
}

/* UABD, SABD: the greater less the smaller. */
static bool difference(struct lower *l, unsigned greatest, unsigned least, unsigned size)
{
    if (greatest == NONE)
        return false;
    emit(l, (enum uop_code)greatest, S_VT(0), v_n(l), v_m(l));
    emit(l, (enum uop_code)least, S_VT(1), v_n(l), v_m(l));
    return emit_three(l, subtract[size], S_VT(0), S_VT(1));
}

/* MLA, MLS */
static bool accumulate_product(struct lower *l, const uint16_t *op, unsigned size)
{
    if (multiply[size] == NONE)
        return false;
    emit(l, (enum uop_code)multiply[size], S_VT(0), v_n(l), v_m(l));
    return emit_three(l, op[size], v_d(l), S_VT(0));
}

static bool three_same(struct lower *l)
{
    static const uint16_t logic[8] = {UOP_VAND, UOP_VBIC, UOP_VOR, UOP_VORN, UOP_VXOR, UOP_VBSL, UOP_VBIT, UOP_VBIF};
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 11, 5), size = BITS(w, 22, 2), u = BIT(w, 29), n = v_n(l), m = v_m(l);

    if (opcode >= 24)
        return is_q(l) && float_three(l, opcode);
    switch (u << 5 | opcode) {
    case 3:
    case 32 | 3:
        return emit_three(l, logic[u << 2 | size], n, m);
    case 6: return emit_three(l, greater[size], n, m);
    case 7: return emit_complemented(l, greater[size], m, n, true);
    case 12: return emit_three(l, smax[size], n, m);
    case 13: return emit_three(l, smin[size], n, m);
    case 14: return difference(l, smax[size], smin[size], size);
    case 16: return emit_three(l, add[size], n, m);
    case 17: /* CMTST */
        emit(l, UOP_VAND, S_VT(0), n, m);
        return emit_complemented(l, equal[size], S_VT(0), constant(l, 1, 0), true);
    case 18: return accumulate_product(l, add, size);
    case 19: return emit_three(l, multiply[size], n, m);
    case 20: return pairwise(l, smax[size], size);
    case 21: return pairwise(l, smin[size], size);
    case 23: return pairwise(l, add[size], size);
    case 32 | 6: return compare_unsigned(l, size, m, n, true);
    case 32 | 7: return compare_unsigned(l, size, n, m, false);
    case 32 | 12: return emit_three(l, umax[size], n, m);
    case 32 | 13: return emit_three(l, umin[size], n, m);
    case 32 | 14: return difference(l, umax[size], umin[size], size);
    case 32 | 16: return emit_three(l, subtract[size], n, m);
    case 32 | 17: return emit_three(l, equal[size], n, m);
    case 32 | 18: return accumulate_product(l, subtract, size);
    case 32 | 20: return pairwise(l, umax[size], size);
    case 32 | 21: return pairwise(l, umin[size], size);
    default: return false;
    }
}

/* The lower elements of half the size of those of the vector `from`: XTN, SHRN, and their "2" forms, which keep Rd's lower half. */
static bool narrow(struct lower *l, unsigned from, unsigned size)
{
    emit(l, (enum uop_code)even[size], is_q(l) ? S_VT(0) : v_d(l), from, from);
    if (is_q(l))
        emit(l, UOP_VZIPL64, v_d(l), v_d(l), S_VT(0));
    finish(l);
    return true;
}

/* Elements of twice the size, of the lower half of Rn or its upper one ("2" forms), to `to`. */
static void lengthen(struct lower *l, unsigned to, unsigned from, unsigned size, bool is_unsigned)
{
    static const uint16_t arithmetic[3] = {UOP_VSAR16I, UOP_VSAR32I, NONE};
    const uint16_t *zip = is_q(l) ? zip_high : zip_low;

    if (is_unsigned) {
        emit(l, (enum uop_code)zip[size], to, from, constant(l, 3, 0));
    } else if (size == 2) { /* there are no arithmetic shifts of 64 bits: signs are what zero is greater than */
        emit(l, UOP_VCGT32, S_VT(2), constant(l, 3, 0), from);
        emit(l, (enum uop_code)zip[size], to, from, S_VT(2));
    } else {
        emit(l, (enum uop_code)zip[size], to, from, from);
        emit_imm(l, (enum uop_code)arithmetic[size], to, to, 8u << size);
    }
}

/* UADDL, SADDW and their kin; UMULL is a helper's. */
static bool three_different(struct lower *l)
{
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 12, 4), size = BITS(w, 22, 2), n = v_n(l);
    bool is_unsigned = BIT(w, 29);

    if (opcode > 3 || size == 3)
        return false;
    if (!(opcode & 1)) {
        lengthen(l, S_VT(0), n, size, is_unsigned);
        n = S_VT(0);
    }
    lengthen(l, S_VT(1), v_m(l), size, is_unsigned);
    emit(l, (enum uop_code)(opcode & 2 ? subtract : add)[size + 1], v_d(l), n, S_VT(1));
    return true;
}

static bool shift_immediate(struct lower *l)
{
    static const uint16_t right[2][4] = {
        {UOP_VSAR8I, UOP_VSAR16I, UOP_VSAR32I, UOP_VSAR64I}, {UOP_VSHR8I, UOP_VSHR16I, UOP_VSHR32I, UOP_VSHR64I}};
    static const uint16_t left[4] = {UOP_VSHL8I, UOP_VSHL16I, UOP_VSHL32I, UOP_VSHL64I};
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 11, 5), u = BIT(w, 29), size = 31 - (unsigned)__builtin_clz(BITS(w, 19, 4));
    unsigned bits = 8u << size, field = BITS(w, 16, 7), to_right = 2 * bits - field, to_left = field - bits;

    switch (opcode) {
    case 0: /* SSHR, USHR */
        if (to_right == bits)
            return false;
        emit_imm(l, (enum uop_code)right[u][size], v_d(l), v_n(l), to_right);
        break;
    case 2: /* SSRA, USRA */
        if (to_right == bits)
            return false;
        emit_imm(l, (enum uop_code)right[u][size], S_VT(0), v_n(l), to_right);
        emit(l, (enum uop_code)add[size], v_d(l), v_d(l), S_VT(0));
        break;
    case 10: /* SHL */
        if (u)
            return false;
        emit_imm(l, (enum uop_code)left[size], v_d(l), v_n(l), to_left);
        break;
    case 16: /* SHRN */
        if (u)
            return false;
        emit_imm(l, (enum uop_code)right[1][size + 1], S_VT(0), v_n(l), to_right);
        return narrow(l, S_VT(0), size);
    case 20: /* SSHLL, USHLL */
        lengthen(l, v_d(l), v_n(l), size, u);
        if (to_left)
            emit_imm(l, (enum uop_code)left[size + 1], v_d(l), v_d(l), to_left);
        return true;
    default:
        return false;
    }
    finish(l);
    return true;
}

/* MOVI, MVNI, and the vector FMOV; ORR, BIC. */
static bool immediate(struct lower *l)
{
    const uint32_t w = l->i.word;
    unsigned cmode = BITS(w, 12, 4);
    uint64_t imm = a64_simd_expand_immediate(w);

    if (cmode < 12 && (cmode & 1)) {
        constant(l, 0, imm);
        return emit_three(l, BIT(w, 29) ? UOP_VBIC : UOP_VOR, v_d(l), S_VT(0));
    }
    if (cmode < 14 && BIT(w, 29))
        imm = ~imm;
    emit_imm64(l, UOP_VDUPI64, v_d(l), 0, imm);
    finish(l);
    return true;
}

/* Bytes in another order within 16, 32 or 64 bits: REV16, REV32, REV64. */
static bool reverse(struct lower *l, unsigned size, unsigned within)
{
    uint64_t order = 0;

    if (size >= within)
        return false;
    for (unsigned i = 0; i < 8; i++)
        order |= (uint64_t)(i ^ ((1u << within) - (1u << size))) << (8 * i);
    emit_imm64(l, UOP_MOVI64, S_VT(0), 0, order);
    emit_imm64(l, UOP_MOVI64, S_VT(0) + 8, 0, order + UINT64_C(0x0808080808080808));
    return emit_three(l, UOP_VLOOK8, v_n(l), S_VT(0));
}

/* Comparisons with zero, ABS, NEG, NOT, REV, XTN. */
static bool two_registers(struct lower *l)
{
    const uint32_t w = l->i.word;
    unsigned opcode = BITS(w, 12, 5), size = BITS(w, 22, 2), n = v_n(l);

    switch (BIT(w, 29) << 5 | opcode) {
    case 0: return reverse(l, size, 3);
    case 1: return reverse(l, size, 1);
    case 32: return reverse(l, size, 2);
    case 8: return emit_three(l, greater[size], n, constant(l, 0, 0));
    case 9: return emit_three(l, equal[size], n, constant(l, 0, 0));
    case 10: return emit_three(l, greater[size], constant(l, 0, 0), n);
    case 32 | 8: return emit_complemented(l, greater[size], constant(l, 0, 0), n, true);
    case 32 | 9: return emit_complemented(l, greater[size], n, constant(l, 0, 0), true);
    case 11: /* ABS: the greater of the value and its negative */
        if (smax[size] == NONE)
            return false;
        emit(l, (enum uop_code)subtract[size], S_VT(0), constant(l, 0, 0), n);
        return emit_three(l, smax[size], n, S_VT(0));
    case 32 | 11: return emit_three(l, subtract[size], constant(l, 0, 0), n);
    case 18: return narrow(l, n, size);
    case 32 | 5: return size == 0 && emit_three(l, UOP_VNOT, n, 0);
    default: return false;
    }
}

/* EXT */
static bool extract(struct lower *l)
{
    unsigned at = BITS(l->i.word, 11, 4), n = v_n(l), m = v_m(l);

    if (!is_q(l)) {
        emit(l, UOP_VZIPL64, S_VT(0), n, m);
        n = m = S_VT(0);
    }
    if (at)
        build(l->b, UOP_VEXT, v_d(l), n, m, at, 0);
    else
        emit(l, UOP_MOV128, v_d(l), n, 0);
    finish(l);
    return true;
}

/* UZP1, UZP2, ZIP1, ZIP2, and TBL with one register. TRN is a helper's. */
static bool permute(struct lower *l)
{
    const uint32_t w = l->i.word;
    unsigned size = BITS(w, 22, 2), n = v_n(l), m = v_m(l);
    bool second = BIT(w, 14);

    if (!BIT(w, 11))
        return !BITS(w, 12, 3) && emit_three(l, UOP_VLOOK8, n, m);
    if (BITS(w, 12, 2) == 3 && !is_q(l)) { /* the second halves are the upper quarter */
        emit(l, (enum uop_code)zip_low[size], v_d(l), n, m);
        if (second)
            emit(l, UOP_VZIPH64, v_d(l), v_d(l), v_d(l));
    } else if (BITS(w, 12, 2) == 3) {
        emit(l, (enum uop_code)(second ? zip_high : zip_low)[size], v_d(l), n, m);
    } else if (BITS(w, 12, 2) == 1) {
        if (!is_q(l)) {
            emit(l, UOP_VZIPL64, S_VT(0), n, m);
            n = m = S_VT(0);
        }
        emit(l, (enum uop_code)(second ? odd : even)[size], v_d(l), n, m);
    } else {
        return false;
    }
    finish(l);
    return true;
}

/* DUP, INS from a general register, UMOV. */
static bool copy(struct lower *l)
{
    static const uint16_t duplicate[4] = SIZES4(VDUP), in[4] = {UOP_MOV8, UOP_MOV16, UOP_MOV32, UOP_MOV64};
    static const uint16_t out[4] = {UOP_ZX8_64, UOP_ZX16_64, UOP_MOV32Z, UOP_MOV64};
    const uint32_t w = l->i.word;
    unsigned imm5 = BITS(w, 16, 5), size = (unsigned)__builtin_ctz(imm5), index = imm5 >> (size + 1);

    if (BIT(w, 29)) /* INS from an element */
        return false;
    switch (BITS(w, 11, 4)) {
    case 0:
        return emit_three(l, duplicate[size], v_n(l) + (index << size), 0);
    case 1:
        return emit_three(l, duplicate[size], s_src(RN(w)), 0);
    case 3:
        emit(l, (enum uop_code)in[size], v_d(l) + (index << size), s_src(RN(w)), 0);
        return true;
    case 7:
        emit(l, (enum uop_code)out[size], s_dst(RD(w)), v_n(l) + (index << size), 0);
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
    if ((w & 0x9fe08400u) == 0x0e000400u)
        return copy(l);
    if ((w & 0xbfe08400u) == 0x2e000000u)
        return extract(l);
    if ((w & 0xbf208400u) == 0x0e000000u)
        return (BIT(w, 11) || !BITS(w, 22, 2)) && permute(l);
    if ((w & 0x9f200c00u) == 0x0e200000u)
        return three_different(l);
    if ((w & 0x9f800400u) == 0x0f000400u)
        return BITS(w, 19, 4) ? shift_immediate(l) : immediate(l);
    return false;
}
