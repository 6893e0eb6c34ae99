/*
 * Lowering: the meaning of A64 instructions as micro-ops (DDI 0487 C6), except
 * loads and stores (lower_mem.c) and FP and SIMD arithmetic (a64_fp_handler).
 *
 * Rules kept throughout:
 *   - what XZR swallows is not computed; s_dst(31) is written only by micro-ops
 *     that are needed for something else (flags, the access of a load);
 *   - registers, flags and memory change only after the last thing that can fault;
 *   - what uop.h calls *alone* is named in wants_alone();
 *   - what changes the block mode, or may make an interrupt deliverable, ends the
 *     block with EXIT; with CALM where that is by a line or a translation root, which is told of.
 *
 * Choices where the manual leaves room:
 *   - unallocated hints and the memory barriers are NOPs: every access is
 *     performed in order, and changes of code are seen at once
 *   - DCPS and DRPS are UNDEFINED: there is no halting debug state
 *
 * To add an instruction: see decode.c, and a case in lower_insn().
 */
#include "aarch64/lowering.h"

#include "base/error.h"

#include <string.h>

/* ---- ends of blocks ---- */

enum build_next lower_end_exit(struct lower *l)
{
    l->b->target[0] = l->pc + 4;
    emit(l, UOP_EXIT, 0, 0, 0);
    return BUILD_END;
}

static enum build_next end_calm(struct lower *l)
{
    l->b->target[0] = l->pc + 4;
    emit(l, UOP_CALM, 0, 0, 0);
    return BUILD_END;
}

enum build_next lower_undefined(struct lower *l)
{
    call(l, a64_op_undefined, 0, 0, 0);
    return lower_end_exit(l);
}

/* For helpers that want the PC of the instruction. */
static void store_pc(struct lower *l)
{
    emit_imm64(l, UOP_MOVI64, S_OFF(pc), 0, l->pc);
}

bool lower_fp_trap(struct lower *l)
{
    unsigned to = a64_mode_fp(l->mode);

    if (to)
        call(l, a64_op_fp_trap, to, 0, 0);
    return to != 0;
}

/* ---- data processing, immediate ---- */

static enum build_next lower_adr(struct lower *l)
{
    uint64_t offset = (uint64_t)a64_signed(l->i.immhi << 2 | l->i.immlo, 21);

    if (l->i.Rd != 31)
        emit_imm64(l, UOP_MOVI64, S_X(l->i.Rd), 0, l->i.op ? (l->pc & ~UINT64_C(0xfff)) + (offset << 12) : l->pc + offset);
    return BUILD_MORE;
}

/* A micro-op with an immediate of the instruction's width. */
static void emit_wide_imm(struct lower *l, enum uop_code op, unsigned d, unsigned a, uint64_t imm)
{
    if (l->i.sf)
        emit_imm64(l, op, d, a, imm);
    else
        emit_imm(l, op, d, a, (uint32_t)imm);
}

static void move(struct lower *l, unsigned d, unsigned a)
{
    if (!l->i.sf)
        emit(l, UOP_MOV32Z, d, a, 0);
    else if (d != a)
        emit(l, UOP_MOV64, d, a, 0);
}

static enum build_next lower_addsub_imm(struct lower *l)
{
    uint32_t imm = l->i.sh ? l->i.imm12 << 12 : l->i.imm12;
    unsigned a = s_sp(l->i.Rn);

    if (!l->i.S) {
        if (!imm)
            move(l, s_sp(l->i.Rd), a);
        else
            emit_wide_imm(l, l->i.op ? WIDE_OP_I(l, SUB) : WIDE_OP_I(l, ADD), s_sp(l->i.Rd), a, imm);
    } else if (l->i.Rd == 31) {
        emit_wide_imm(l, l->i.op ? WIDE_OP_I(l, CMPN) : WIDE_OP_I(l, CMN), 0, a, imm);
    } else {
        emit_wide_imm(l, l->i.op ? WIDE_OP_I_F(l, SUBN) : WIDE_OP_I_F(l, ADD), S_X(l->i.Rd), a, imm);
    }
    return BUILD_MORE;
}

static enum build_next lower_logic_imm(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), d = s_sp(l->i.Rd);
    uint64_t mask = 0;

    a64_bitmask(l->i.N, l->i.imms, l->i.immr, &mask);
    if (!l->i.sf)
        mask = (uint32_t)mask;
    switch (l->i.opc) {
    case 0:
        emit_wide_imm(l, WIDE_OP_I(l, AND), d, a, mask);
        break;
    case 1:
        if (l->i.Rn == 31)
            emit_imm64(l, UOP_MOVI64, d, 0, mask);
        else
            emit_wide_imm(l, WIDE_OP_I(l, OR), d, a, mask);
        break;
    case 2:
        emit_wide_imm(l, WIDE_OP_I(l, XOR), d, a, mask);
        break;
    default:
        if (l->i.Rd == 31)
            emit_wide_imm(l, WIDE_OP_I(l, TST), 0, a, mask);
        else
            emit_wide_imm(l, WIDE_OP_I_F(l, AND), d, a, mask);
        break;
    }
    return BUILD_MORE;
}

static enum build_next lower_move_wide(struct lower *l)
{
    unsigned shift = 16 * l->i.hw, d;
    uint64_t imm = (uint64_t)l->i.imm16 << shift;

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    switch (l->i.opc) {
    case 0:
        emit_imm64(l, UOP_MOVI64, d, 0, l->i.sf ? ~imm : (uint32_t)~imm);
        break;
    case 2:
        emit_imm64(l, UOP_MOVI64, d, 0, imm);
        break;
    default: /* MOVK: 16 bits of the register, wherever they are */
        emit_imm(l, UOP_MOVI16, d + shift / 8, 0, l->i.imm16);
        if (!l->i.sf)
            emit(l, UOP_MOV32Z, d, d, 0);
        break;
    }
    return BUILD_MORE;
}

/* BFM: insert low bits of Rn at bit 32 or 64 - immr, or bits from immr on at bit 0. */
static void lower_bfm(struct lower *l, unsigned bits)
{
    unsigned d = S_X(l->i.Rd), a = s_src(l->i.Rn);

    if (l->i.imms >= l->i.immr)
        build(l->b, WIDE_OP(l, BFX), d, a, 0, l->i.immr, l->i.imms - l->i.immr + 1);
    else
        build(l->b, WIDE_OP(l, BFI), d, a, 0, bits - l->i.immr, l->i.imms + 1);
}

static enum build_next lower_bitfield(struct lower *l)
{
    unsigned bits = l->i.sf ? 64 : 32, d, a = s_src(l->i.Rn), up = bits - 1 - l->i.imms, down;
    bool is_signed = l->i.opc == 0;

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    if (l->i.opc == 1) {
        lower_bfm(l, bits);
        return BUILD_MORE;
    }
    down = l->i.imms >= l->i.immr ? up + l->i.immr : l->i.immr - l->i.imms - 1;
    if (!up)
        emit_imm(l, is_signed ? WIDE_OP_I(l, ASR) : WIDE_OP_I(l, LSR), d, a, down);
    else if (!down)
        emit_imm(l, WIDE_OP_I(l, LSL), d, a, up);
    else if (up == down && l->i.imms == 7)
        emit(l, !is_signed ? UOP_ZX8_64 : l->i.sf ? UOP_SX8_64 : UOP_SX8_32Z, d, a, 0);
    else if (up == down && l->i.imms == 15)
        emit(l, !is_signed ? UOP_ZX16_64 : l->i.sf ? UOP_SX16_64 : UOP_SX16_32Z, d, a, 0);
    else if (up == down && l->i.imms == 31)
        emit(l, is_signed ? UOP_SX32_64 : UOP_MOV32Z, d, a, 0);
    else
        build(l->b, is_signed ? WIDE_OP(l, SBF) : WIDE_OP(l, UBF), d, a, 0, up, down);
    return BUILD_MORE;
}

static enum build_next lower_extr(struct lower *l)
{
    unsigned d;

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    if (!l->i.imms)
        move(l, d, s_src(l->i.Rm));
    else if (l->i.Rn == l->i.Rm)
        emit_imm(l, WIDE_OP_I(l, ROR), d, s_src(l->i.Rn), l->i.imms);
    else
        build(l->b, WIDE_OP(l, EXTR), d, s_src(l->i.Rn), s_src(l->i.Rm), l->i.imms, 0);
    return BUILD_MORE;
}

/* ---- data processing, register ---- */

/* The shifted register operand; `temp` is where it is put if it has to be computed. */
static unsigned shifted(struct lower *l, unsigned temp)
{
    unsigned a = s_src(l->i.Rm);

    if (!l->i.imm6)
        return a;
    switch (l->i.shift) {
    case 0:
        emit_imm(l, WIDE_OP_I(l, LSL), temp, a, l->i.imm6);
        break;
    case 1:
        emit_imm(l, WIDE_OP_I(l, LSR), temp, a, l->i.imm6);
        break;
    case 2:
        emit_imm(l, WIDE_OP_I(l, ASR), temp, a, l->i.imm6);
        break;
    default:
        emit_imm(l, WIDE_OP_I(l, ROR), temp, a, l->i.imm6);
        break;
    }
    return temp;
}

/* ORR and ORN of XZR are MOV and MVN. */
static void lower_orr(struct lower *l, unsigned d, unsigned a, unsigned b)
{
    if (l->i.Rn != 31)
        emit(l, l->i.N ? WIDE_OP(l, ORN) : WIDE_OP(l, OR), d, a, b);
    else if (l->i.N)
        emit(l, WIDE_OP(l, NOT), d, b, 0);
    else
        move(l, d, b);
}

static enum build_next lower_logic_reg(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), d = s_dst(l->i.Rd), b;

    if (l->i.Rd == 31 && l->i.opc != 3)
        return BUILD_MORE;
    b = shifted(l, S_T(0));
    switch (l->i.opc) {
    case 0:
        emit(l, l->i.N ? WIDE_OP(l, BIC) : WIDE_OP(l, AND), d, a, b);
        break;
    case 1:
        lower_orr(l, d, a, b);
        break;
    case 2:
        emit(l, l->i.N ? WIDE_OP(l, EON) : WIDE_OP(l, XOR), d, a, b);
        break;
    default:
        if (l->i.N)
            emit(l, WIDE_OP_F(l, BIC), d, a, b);
        else if (l->i.Rd == 31)
            emit(l, WIDE_OP(l, TST), 0, a, b);
        else
            emit(l, WIDE_OP_F(l, AND), d, a, b);
        break;
    }
    return BUILD_MORE;
}

/* Rd = a +- b, with flags if S. */
static void add_or_subtract(struct lower *l, unsigned d, unsigned a, unsigned b)
{
    if (!l->i.S)
        emit(l, l->i.op ? WIDE_OP(l, SUB) : WIDE_OP(l, ADD), d, a, b);
    else if (l->i.Rd == 31)
        emit(l, l->i.op ? WIDE_OP(l, CMPN) : WIDE_OP(l, CMN), 0, a, b);
    else
        emit(l, l->i.op ? WIDE_OP_F(l, SUBN) : WIDE_OP_F(l, ADD), d, a, b);
}

static enum build_next lower_addsub_reg(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), d = s_dst(l->i.Rd);

    if (l->i.Rd == 31 && !l->i.S)
        return BUILD_MORE;
    if (!l->i.S && l->i.shift == 0 && l->i.imm6)
        build(l->b, l->i.op ? WIDE_OP(l, SUBSH) : WIDE_OP(l, ADDSH), d, a, s_src(l->i.Rm), 0, l->i.imm6);
    else
        add_or_subtract(l, d, a, shifted(l, S_T(0)));
    return BUILD_MORE;
}

/* Rm extended by `option`, in S_T(0) unless it is Rm itself. */
static unsigned extended(struct lower *l)
{
    static const uint16_t extend[8] = {
        UOP_ZX8_64, UOP_ZX16_64, UOP_MOV32Z, UOP_NOP, UOP_SX8_64, UOP_SX16_64, UOP_SX32_64, UOP_NOP,
    };
    unsigned a = s_src(l->i.Rm);

    if (extend[l->i.option] == UOP_NOP || (!l->i.sf && (l->i.option & 3) == 2))
        return a;
    emit(l, (enum uop_code)extend[l->i.option], S_T(0), a, 0);
    return S_T(0);
}

static enum build_next lower_addsub_ext(struct lower *l)
{
    unsigned a = s_sp(l->i.Rn), d = l->i.S ? s_dst(l->i.Rd) : s_sp(l->i.Rd), b = extended(l);

    if (!l->i.S && l->i.imm3) {
        build(l->b, l->i.op ? WIDE_OP(l, SUBSH) : WIDE_OP(l, ADDSH), d, a, b, 0, l->i.imm3);
        return BUILD_MORE;
    }
    if (l->i.imm3) {
        emit_imm(l, WIDE_OP_I(l, LSL), S_T(0), b, l->i.imm3);
        b = S_T(0);
    }
    add_or_subtract(l, d, a, b);
    return BUILD_MORE;
}

static enum build_next lower_adc(struct lower *l)
{
    unsigned d = s_dst(l->i.Rd), a = s_src(l->i.Rn), b = s_src(l->i.Rm);

    if (l->i.S)
        emit(l, l->i.op ? WIDE_OP_F(l, SBCN) : WIDE_OP_F(l, ADC), d, a, b);
    else if (l->i.Rd != 31)
        emit(l, l->i.op ? WIDE_OP(l, SBC) : WIDE_OP(l, ADC), d, a, b);
    return BUILD_MORE;
}

/* Conditions EQ NE CS CC MI PL VS VC HI LS GE LT GT LE; AL and NV are always true. */
static const uint8_t conditions[14] = {
    COND_Z, COND_NZ, COND_C, COND_NC, COND_S, COND_NS, COND_O, COND_NO, COND_HI, COND_LS,
    COND_GE, COND_L, COND_G, COND_LE,
};

static uint32_t flags_of_nzcv(unsigned nzcv)
{
    return (nzcv & 8 ? FLAG_S : 0) | (nzcv & 4 ? FLAG_Z : 0) | (nzcv & 2 ? FLAG_C : 0) | (nzcv & 1 ? FLAG_O : 0);
}

static enum build_next lower_ccmp(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), b = s_src(l->i.Rm);
    uint32_t otherwise = flags_of_nzcv(l->i.nzcv);
    bool immediate = l->i.kind == A64_CCMP_IMM;

    if (l->i.cond >= 14 && immediate)
        emit_wide_imm(l, l->i.op ? WIDE_OP_I(l, CMPN) : WIDE_OP_I(l, CMN), 0, a, l->i.imm5);
    else if (l->i.cond >= 14)
        emit(l, l->i.op ? WIDE_OP(l, CMPN) : WIDE_OP(l, CMN), 0, a, b);
    else if (immediate)
        build(l->b, l->i.op ? WIDE_OP_I(l, CCMPN) : WIDE_OP_I(l, CCMN), conditions[l->i.cond], a, 0, l->i.imm5,
              otherwise);
    else
        build(l->b, l->i.op ? WIDE_OP(l, CCMPN) : WIDE_OP(l, CCMN), conditions[l->i.cond], a, b, 0, otherwise);
    return BUILD_MORE;
}

static enum build_next lower_csel(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), b = s_src(l->i.Rm), d;
    enum uop_code op;

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    if (l->i.cond >= 14) {
        move(l, d, a);
        return BUILD_MORE;
    }
    if (!l->i.op)
        op = l->i.o2 ? WIDE_OP(l, CSINC) : WIDE_OP(l, CSEL);
    else
        op = l->i.o2 ? WIDE_OP(l, CSNEG) : WIDE_OP(l, CSINV);
    build(l->b, op, d, a, b, conditions[l->i.cond], 0);
    return BUILD_MORE;
}

static enum build_next lower_multiply(struct lower *l)
{
    unsigned d, a = s_src(l->i.Rn), b = s_src(l->i.Rm), c = s_src(l->i.Ra);

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    switch (l->i.kind) {
    case A64_MADD:
        if (l->i.Ra == 31 && !l->i.o0)
            emit(l, WIDE_OP(l, MUL), d, a, b);
        else
            build(l->b, l->i.o0 ? WIDE_OP(l, MSUB) : WIDE_OP(l, MADD), d, a, b, c, 0);
        break;
    case A64_MADDL:
        if (l->i.U)
            build(l->b, l->i.o0 ? UOP_UMSUBL : UOP_UMADDL, d, a, b, c, 0);
        else
            build(l->b, l->i.o0 ? UOP_SMSUBL : UOP_SMADDL, d, a, b, c, 0);
        break;
    default:
        emit(l, l->i.U ? UOP_UMULH64 : UOP_SMULH64, d, a, b);
        break;
    }
    return BUILD_MORE;
}

/* UDIV SDIV LSLV LSRV ASRV RORV: from two registers. */
static enum build_next lower_two_source(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), b = s_src(l->i.Rm), d = s_dst(l->i.Rd);
    enum uop_code op;

    if (l->i.kind == A64_CRC32 && !(l->mode & A64_MODE_CRC))
        return lower_undefined(l);
    if (l->i.Rd == 31)
        return BUILD_MORE;
    switch (l->i.kind) {
    case A64_CRC32:
        if (l->i.op)
            emit(l, (enum uop_code)(UOP_CRC8_64 + l->i.hw), d, a, b);
        else
            call(l, a64_op_crc32[l->i.hw], d, a, b);
        return BUILD_MORE;
    case A64_UDIV:
        op = WIDE_OP(l, UDIV);
        break;
    case A64_SDIV:
        op = WIDE_OP(l, SDIV);
        break;
    default:
        op = l->i.shift == 0 ? WIDE_OP(l, LSL) : l->i.shift == 1 ? WIDE_OP(l, LSR)
            : l->i.shift == 2 ? WIDE_OP(l, ASR) : WIDE_OP(l, ROR);
        break;
    }
    emit(l, op, d, a, b);
    return BUILD_MORE;
}

static enum build_next lower_one_source(struct lower *l)
{
    unsigned a = s_src(l->i.Rn), d;

    if (l->i.Rd == 31)
        return BUILD_MORE;
    d = S_X(l->i.Rd);
    switch (l->i.kind) {
    case A64_RBIT: /* of 32 bits: the upper half of the 64-bit reversal */
        emit(l, UOP_RBIT64, d, a, 0);
        if (!l->i.sf)
            emit_imm(l, UOP_LSR64I, d, d, 32);
        break;
    case A64_REV16:
        emit(l, UOP_REV16_64, d, a, 0);
        if (!l->i.sf)
            emit(l, UOP_MOV32Z, d, d, 0);
        break;
    case A64_REV32:
        emit(l, l->i.sf ? UOP_REV32_64 : UOP_BSWAP32Z, d, a, 0);
        break;
    case A64_REV64:
        emit(l, UOP_BSWAP64, d, a, 0);
        break;
    case A64_CLZ:
        emit(l, WIDE_OP(l, CLZ), d, a, 0);
        break;
    default:
        emit(l, WIDE_OP(l, CLS), d, a, 0);
        break;
    }
    return BUILD_MORE;
}

/* ---- branches ---- */

static enum build_next end_branch(struct lower *l, enum uop_code op, unsigned a, unsigned b, uint32_t imm,
                                  int64_t offset)
{
    l->b->target[0] = l->pc + 4;
    l->b->target[1] = l->pc + (uint64_t)offset;
    build(l->b, op, 0, a, b, imm, 0);
    return BUILD_END;
}

/* BL and BLR: X30 has the return address, and the jump that follows is a call's. */
static void link_register(struct lower *l)
{
    emit_imm64(l, UOP_MOVI64, S_X(30), 0, l->pc + 4);
    l->b->target[EDGE_RETURN] = l->pc + 4;
    emit(l, UOP_CALLS, 0, 0, 0);
}

static enum build_next lower_b(struct lower *l)
{
    if (l->i.op)
        link_register(l);
    return end_branch(l, UOP_JMP, 0, 0, 0, a64_signed(l->i.imm26, 26) * 4);
}

static enum build_next lower_b_cond(struct lower *l)
{
    int64_t offset = a64_signed(l->i.imm19, 19) * 4;

    if (l->i.cond >= 14)
        return end_branch(l, UOP_JMP, 0, 0, 0, offset);
    return end_branch(l, UOP_BR, 0, conditions[l->i.cond], 0, offset);
}

static enum build_next lower_cbz(struct lower *l)
{
    enum uop_code op = l->i.op ? (l->i.sf ? UOP_BRNZ64 : UOP_BRNZ32) : (l->i.sf ? UOP_BRZ64 : UOP_BRZ32);

    return end_branch(l, op, s_src(l->i.Rt), 0, 0, a64_signed(l->i.imm19, 19) * 4);
}

static enum build_next lower_tbz(struct lower *l)
{
    return end_branch(l, l->i.op ? UOP_BRBS64 : UOP_BRBC64, s_src(l->i.Rt), 0, l->i.b5 << 5 | l->i.b40,
                      a64_signed(l->i.imm14, 14) * 4);
}

/* BR, BLR, RET. A target that is not a multiple of 4 faults when it is fetched from. */
static enum build_next lower_indirect(struct lower *l)
{
    unsigned to = s_src(l->i.Rn);

    if (l->i.kind == A64_BLR) {
        if (l->i.Rn == 30) {
            emit(l, UOP_MOV64, S_T(0), to, 0);
            to = S_T(0);
        }
        link_register(l);
    }
    emit_imm(l, l->i.kind == A64_RET ? UOP_RET64 : UOP_JMPR64, 0, to, (l->mode & A64_MODE_TBI0 ? 1 : 0) | (l->mode & A64_MODE_TBI1 ? 2 : 0));
    return BUILD_END;
}

/* ---- system ---- */

static enum build_next lower_exception(struct lower *l)
{
    switch (l->i.kind) {
    case A64_SVC:
        call(l, a64_op_svc, l->i.imm16, 0, 0);
        break;
    case A64_HVC:
        store_pc(l);
        call(l, a64_op_hvc, l->i.imm16, 0, 0);
        break;
    case A64_SMC:
        store_pc(l);
        call(l, a64_op_smc, l->i.imm16, 0, 0);
        break;
    case A64_BRK:
        call(l, a64_op_brk, l->i.imm16, 0, 0);
        break;
    case A64_HLT:
        store_pc(l);
        call(l, a64_op_hlt, l->i.imm16, 0, 0);
        break;
    case A64_ERET:
        store_pc(l);
        call(l, a64_op_eret, 0, 0, 0);
        break;
    default:
        return lower_undefined(l);
    }
    return lower_end_exit(l);
}

static enum build_next lower_hint(struct lower *l)
{
    switch (l->i.CRm << 3 | l->i.op2) {
    case 1:
        call(l, a64_op_yield, 0, 0, 0);
        l->b->target[0] = l->pc + 4;
        emit(l, UOP_FALL, 0, 0, 0);
        return BUILD_END;
    case 2:
        call(l, a64_op_wfe, 0, 0, 0);
        return lower_end_exit(l);
    case 3:
        call(l, a64_op_wfi, 0, 0, 0);
        return lower_end_exit(l);
    case 4:
    case 5:
        call(l, a64_op_sev, l->i.op2 == 4, 0, 0);
        return lower_end_exit(l);
    default:
        return BUILD_MORE;
    }
}

static enum build_next lower_barrier(struct lower *l)
{
    if (l->i.op2 == 2) /* CLREX */
        emit_imm64(l, UOP_MOVI64, S_OFF(exclusive_addr), 0, UINT64_MAX);
    return BUILD_MORE;
}

static enum build_next lower_msr_imm(struct lower *l)
{
    unsigned which = l->i.op1 << 3 | l->i.op2;

    if (which == 004 && !(l->mode & A64_MODE_PAN))
        return lower_undefined(l);
    if (which == 036 && a64_mode_el(l->mode) && !(l->i.CRm & 8)) {
        /* masking interrupts makes none deliverable; D may end single-stepping */
        emit_imm(l, UOP_OR32I, S_OFF(pstate), S_OFF(pstate), l->i.CRm << 6);
        return BUILD_MORE;
    }
    call(l, a64_op_msr_imm, which, l->i.CRm, 0);
    return lower_end_exit(l);
}

#define SYS_TPIDR_EL0   SYSREG(3, 3, 13, 0, 2)
#define SYS_TPIDRRO_EL0 SYSREG(3, 3, 13, 0, 3)
#define SYS_TPIDR_EL1   SYSREG(3, 0, 13, 0, 4)
#define SYS_SP_EL0      SYSREG(3, 0, 4, 1, 0)
#define SYS_SPSR_EL1    SYSREG(3, 0, 4, 0, 0)
#define SYS_ELR_EL1     SYSREG(3, 0, 4, 0, 1)
#define SYS_CURRENTEL   SYSREG(3, 0, 4, 2, 2)
#define SYS_DAIF        SYSREG(3, 3, 4, 2, 1)
#define SYS_NZCV        SYSREG(3, 3, 4, 2, 0)
#define SYS_FPCR        SYSREG(3, 3, 4, 4, 0)
#define SYS_FPSR        SYSREG(3, 3, 4, 4, 1)
#define SYS_DC_ZVA      SYSREG(1, 3, 7, 4, 1)

static uint32_t sysreg_of(const struct a64_insn *i)
{
    unsigned op0 = i->kind == A64_SYS ? 1 : 2 + i->o0;

    return SYSREG(op0, i->op1, i->CRn, i->CRm, i->op2);
}

/* Where a register that nothing traps and that is a plain 64-bit value is; 0: elsewhere. */
static unsigned plain_register(const struct lower *l, uint32_t enc, bool read)
{
    unsigned el = a64_mode_el(l->mode);

    switch (enc) {
    case SYS_TPIDR_EL0:
        return S_OFF(tpidr[0]);
    case SYS_TPIDRRO_EL0:
        return el || read ? S_OFF(tpidrro_el0) : 0;
    case SYS_TPIDR_EL1:
        return el ? S_OFF(tpidr[1]) : 0;
    case SYS_SP_EL0:
        return el && (l->mode & A64_MODE_SPX) ? S_OFF(sp_el[0]) : 0;
    case SYS_ELR_EL1:
        return el == 1 ? S_OFF(elr[1]) : 0;
    case SYS_SPSR_EL1: /* a write drops bits that do not exist */
        return el == 1 && read ? S_OFF(spsr[1]) : 0;
    default:
        return 0;
    }
}

/* MRS without a call; false: it needs one. */
static bool read_inline(struct lower *l, uint32_t enc, unsigned d)
{
    unsigned at = plain_register(l, enc, true), el = a64_mode_el(l->mode);

    if (at)
        emit(l, UOP_MOV64, d, at, 0);
    else if (enc == SYS_CURRENTEL && el)
        emit_imm64(l, UOP_MOVI64, d, 0, el << 2);
    else if (enc == SYS_DAIF && el)
        emit_imm(l, UOP_AND32ZI, d, S_OFF(pstate), PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F);
    else
        return false;
    return true;
}

/* NZCV can be trapped by nobody, but is in lazy form: a call, with no end of the block. */
static int op_read_nzcv(struct ucpu *u, const struct uop *op)
{
    uint64_t v = a64_get_nzcv(a64_of(u));

    memcpy(u->s + op->d, &v, sizeof v);
    return UOP_NEXT;
}

static int op_write_nzcv(struct ucpu *u, const struct uop *op)
{
    uint64_t v;

    memcpy(&v, u->s + op->a, sizeof v);
    a64_set_nzcv(a64_of(u), (uint32_t)v);
    return UOP_NEXT;
}

/* Does a write leave mode, masks and debugging as they are? Translation roots, vectors, timers, the GIC's registers. */
static bool is_calm_write(uint32_t enc)
{
    unsigned crn = enc >> 7 & 15, crm = enc >> 3 & 15, op1 = enc >> 11 & 7;

    switch (enc) {
    case SYSREG(3, 0, 2, 0, 0): /* TTBR0_EL1 */
    case SYSREG(3, 0, 2, 0, 1): /* TTBR1_EL1 */
    case SYSREG(3, 0, 12, 0, 0): /* VBAR_EL1 */
    case SYS_SPSR_EL1:
        return true;
    default:
        return enc >> 14 == 3 && ((crn == 14 && op1 == 3 && (crm == 2 || crm == 3)) ||
                                  (crn == 12 && op1 == 0 && crm >= 8) || (crn == 4 && op1 == 0 && crm == 6));
    }
}

static enum build_next lower_sysreg(struct lower *l)
{
    uint32_t enc = sysreg_of(&l->i);
    unsigned at;

    if ((enc == SYS_FPCR || enc == SYS_FPSR) && lower_fp_trap(l))
        return lower_end_exit(l);
    if (l->i.L) {
        if (enc == SYS_NZCV)
            call(l, op_read_nzcv, s_dst(l->i.Rt), 0, 0);
        else if (!read_inline(l, enc, s_dst(l->i.Rt)))
            call(l, a64_op_mrs, s_dst(l->i.Rt), 0, enc);
        return BUILD_MORE;
    }
    at = plain_register(l, enc, false);
    if (at) {
        emit(l, UOP_MOV64, at, s_src(l->i.Rt), 0);
        return BUILD_MORE;
    }
    if (enc == SYS_NZCV) {
        call(l, op_write_nzcv, 0, s_src(l->i.Rt), 0);
        return BUILD_MORE;
    }
    call(l, a64_op_msr, 0, s_src(l->i.Rt), enc);
    return is_calm_write(enc) ? end_calm(l) : lower_end_exit(l);
}

static enum build_next lower_sys(struct lower *l)
{
    uint32_t enc = sysreg_of(&l->i);

    if (l->i.L) {
        call(l, a64_op_sysl, s_dst(l->i.Rt), 0, enc);
    } else if (enc == SYS_DC_ZVA) {
        call(l, a64_op_dc_zva, 0, s_src(l->i.Rt), enc);
        return BUILD_MORE;
    } else {
        call(l, a64_op_sys, 0, s_src(l->i.Rt), enc);
    }
    return end_calm(l);
}

static enum build_next lower_fp_simd(struct lower *l)
{
    a64_helper *fn;

    if (lower_fp_trap(l))
        return lower_end_exit(l);
    fn = a64_fp_handler(l->i.word, a64_of(l->b->cpu)->model);
    if (!fn)
        return lower_undefined(l);
    if (!lower_vector(l))
        call_word(l, fn);
    return BUILD_MORE;
}

/* ---- one instruction ---- */

/* The exact position, devices, or a change of the world: a block of its own. */
static bool wants_alone(const struct lower *l)
{
    const struct a64_insn *i = &l->i;
    unsigned hint = i->CRm << 3 | i->op2;

    switch (i->kind) {
    case A64_HVC: case A64_SMC: case A64_HLT: case A64_ERET:
        return true;
    case A64_HINT:
        return hint == 2 || hint == 3;
    case A64_SYSREG: /* debug; PMU; GIC; timers; MDCR_EL2, MDCR_EL3 */
        return !i->o0 || i->CRn == 9 || i->CRn == 12 || i->CRn == 14 || (i->CRn == 1 && i->op1 >= 4 && i->op2 == 1);
    default:
        return false;
    }
}

static enum build_next lower_insn(struct lower *l)
{
    switch (l->i.kind) {
    case A64_UNALLOCATED:
        return lower_undefined(l);
    case A64_ADR:
        return lower_adr(l);
    case A64_ADDSUB_IMM:
        return lower_addsub_imm(l);
    case A64_LOGIC_IMM:
        return lower_logic_imm(l);
    case A64_MOVE_WIDE:
        return lower_move_wide(l);
    case A64_BITFIELD:
        return lower_bitfield(l);
    case A64_EXTR:
        return lower_extr(l);
    case A64_B_COND:
        return lower_b_cond(l);
    case A64_SVC: case A64_HVC: case A64_SMC: case A64_BRK: case A64_HLT: case A64_DCPS: case A64_ERET: case A64_DRPS:
        return lower_exception(l);
    case A64_HINT:
        return lower_hint(l);
    case A64_BARRIER:
        return lower_barrier(l);
    case A64_MSR_IMM:
        return lower_msr_imm(l);
    case A64_SYS:
        return lower_sys(l);
    case A64_SYSREG:
        return lower_sysreg(l);
    case A64_BR: case A64_BLR: case A64_RET:
        return lower_indirect(l);
    case A64_B:
        return lower_b(l);
    case A64_CBZ:
        return lower_cbz(l);
    case A64_TBZ:
        return lower_tbz(l);
    case A64_UDIV: case A64_SDIV: case A64_SHIFT_REG: case A64_CRC32:
        return lower_two_source(l);
    case A64_RBIT: case A64_REV16: case A64_REV32: case A64_REV64: case A64_CLZ: case A64_CLS:
        return lower_one_source(l);
    case A64_LOGIC_REG:
        return lower_logic_reg(l);
    case A64_ADDSUB_REG:
        return lower_addsub_reg(l);
    case A64_ADDSUB_EXT:
        return lower_addsub_ext(l);
    case A64_ADC:
        return lower_adc(l);
    case A64_CCMP_REG: case A64_CCMP_IMM:
        return lower_ccmp(l);
    case A64_CSEL:
        return lower_csel(l);
    case A64_MADD: case A64_MADDL: case A64_MULH:
        return lower_multiply(l);
    case A64_FP_SIMD:
        return lower_fp_simd(l);
    default:
        return lower_memory(l);
    }
}

/* Something is wrong before the instruction can even be looked at; false: nothing is. */
static bool lower_nothing(struct lower *l)
{
    if (l->pc & 3) {
        store_pc(l);
        call(l, a64_op_pc_align, 0, 0, 0);
    } else if (l->mode & A64_MODE_IL) {
        call(l, a64_op_illegal, 0, 0, 0);
    } else {
        return false;
    }
    return true;
}

enum build_next a64_build(struct builder *b)
{
    struct lower l = {.b = b, .mode = b->key.mode, .pc = b->key.pc + b->len};
    unsigned first_uop = b->nuops, len = l.pc & 3 ? 1 : 4;
    enum build_next next;
    uint32_t word;

    if (lower_nothing(&l)) {
        next = lower_end_exit(&l);
    } else {
        memcpy(&word, b->bytes + b->len, sizeof word);
        a64_decode(word, &l.i);
        if (b->ninsns && (wants_alone(&l) || l.i.kind == A64_UNALLOCATED))
            return BUILD_STOP;
        next = lower_insn(&l);
        if (next == BUILD_MORE && wants_alone(&l))
            next = l.i.kind == A64_SYSREG && l.i.L ? end_calm(&l) : lower_end_exit(&l);
    }
    b->insns[b->ninsns++] = (struct block_insn){
        .pc_offset = (uint32_t)(l.pc - b->key.pc), .first_uop = (uint16_t)first_uop, .len = (uint8_t)len};
    b->len += len;
    return next;
}
