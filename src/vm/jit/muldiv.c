/*
 * Integer micro-ops of the less frequent kind in x86-64 code: products and dividends
 * of twice the width, double shifts, single bits, rotations that change only some
 * flags. As in integer.c: all sources are used before a result is defined.
 */
#include "vm/jit/jit_priv.h"

#include "vm/bits.h"

#include <stddef.h>

/* ---- multiplication and division ---- */

/* Of 32 or 64 bits; `wide`: results are extended to 64. */
struct form {
    uint8_t bits;
    bool wide;
};

static unsigned result_bits(struct form f)
{
    return f.wide ? 64 : f.bits;
}

/* The halves of the product go to d and the operand at imm. */
static void emit_wide_product(struct jit *j, const struct uop *u, struct form f, bool sign, bool flags)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, f.wide), low, high;

    operand_get(j, RAX, u->a, f.bits, home);
    x_unary(e, f.bits, 0xf7, sign ? 5 : 4, operand_use(j, u->b, f.bits, home));
    if (flags && sign) {
        unsigned overflow = flags_note_operand_def(j);

        x_mov_imm(e, overflow, 0);
        x_setcc(e, CC_O, overflow);
    }
    low = operand_def(j, u->d, result_bits(f));
    x_rr(e, f.bits, X_MOV_LOAD, low, RAX);
    if (flags)
        flags_note_result_shared(j, FLAGS_MUL, f.bits, low);
    high = operand_def(j, u->imm, result_bits(f));
    x_rr(e, f.bits, X_MOV_LOAD, high, RDX);
    if (flags && !sign)
        flags_note_operand_shared(j, high);
}

/* eax = the product of a and b, bytes or words */
static void narrow_product(struct jit *j, const struct uop *u, unsigned bits, bool sign)
{
    const uint32_t extend = bits == 8 ? X_MOVSX8 : X_MOVSX16;
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, bits, j->home);
    operand_get(j, RCX, u->b, bits, j->home);
    if (sign) {
        x_rr(e, 32, extend, RAX, RAX);
        x_rr(e, 32, extend, RCX, RCX);
    }
    x_rr(e, 32, X_IMUL, RAX, RCX);
}

/* 16 x 16 bits; `high`: the upper half goes to the operand at imm. */
static void emit_product_16(struct jit *j, const struct uop *u, bool sign, bool high)
{
    struct code *e = &j->code;

    narrow_product(j, u, 16, sign);
    x_mov(e, 32, RDX, RAX);
    x_shift_imm(e, 32, SHIFT_SHR, RDX, 16);
    if (sign) {
        x_rr(e, 32, X_MOVSX16, RCX, RAX);
        x_alu(e, 32, ALU_CMP, RCX, RAX);
    } else {
        x_test(e, 32, RDX, RDX);
    }
    x_setcc(e, CC_NE, RCX);
    x_rr(e, 32, X_MOVZX8, RCX, RCX);
    x_rr(e, 32, X_MOVZX16, RAX, RAX);
    flags_note(j, FLAGS_MUL, 16, RAX, RCX);
    operand_put(j, u->d, 16, j->home, RAX);
    if (high)
        operand_put(j, u->imm, 16, j->home, RDX);
}

/* 8 x 8 bits to 16 */
static void emit_product_8(struct jit *j, const struct uop *u, bool sign)
{
    struct code *e = &j->code;

    narrow_product(j, u, 8, sign);
    x_rr(e, 32, sign ? X_MOVSX8 : X_MOVZX8, RCX, RAX);
    x_alu(e, 32, ALU_CMP, RCX, RAX);
    x_setcc(e, CC_NE, RCX);
    x_rr(e, 32, X_MOVZX8, RCX, RCX);
    x_rr(e, 32, X_MOVZX8, RDX, RAX);
    flags_note(j, FLAGS_MUL, 8, RDX, RCX);
    operand_put(j, u->d, 16, j->home, RAX);
}

/* The whole registers that d and, of words, b are the low parts of: they stay in registers of the host. */
static bool divides_registers(const struct jit *j, const struct uop *u, unsigned bits)
{
    const unsigned bytes = j->home / 8;

    return u->d % bytes == 0 && (bits == 8 || (u->b % bytes == 0 && u->b != u->d));
}

/* Of bytes and words: d is 16 bits, which of bytes are the quotient and, above it, the remainder. */
static void emit_divide_narrow(struct jit *j, const struct uop *u, unsigned bits, bool sign)
{
    const bool registers = divides_registers(j, u, bits);
    struct code *e = &j->code;
    unsigned d = 0, b = 0;
    struct slow *s;

    if (registers) {
        d = operand_own(j, u->d, j->home);
        b = bits == 16 ? operand_own(j, u->b, j->home) : 0;
        operand_get(j, RCX, u->a, bits, j->home);
    } else {
        operand_get(j, RCX, u->a, bits, j->home);
        operands_release(j, u->d, 2);
        if (bits == 16)
            operands_release(j, u->b, 2);
    }
    s = slow_path(j, SLOW_HELPER);
    if (registers)
        x_rr(e, 32, sign ? X_MOVSX16 : X_MOVZX16, RAX, d);
    else
        x_rm(e, 32, sign ? X_MOVSX16 : X_MOVZX16, RAX, R_STATE, state_disp(u->d));
    if (sign && bits == 8) {
        x_rr(e, 32, X_MOVSX8, RCX, RCX);
        x_rr(e, 32, X_MOVSX8, RDX, RAX);
        x_alu(e, 32, ALU_CMP, RDX, RAX);
    } else if (sign) {
        x_rr(e, 32, X_MOVSX16, RCX, RCX);
        x_opcode(e, 32, 0x99, 0, 0, 0, false); /* CDQ */
        if (registers)
            x_alu(e, 16, ALU_CMP, RDX, b);
        else
            x_rm(e, 16, 8u * ALU_CMP + 3u, RDX, R_STATE, state_disp(u->b));
    } else if (bits == 8) {
        x_mov(e, 32, RDX, RAX);
        x_shift_imm(e, 32, SHIFT_SHR, RDX, 8);
        x_alu(e, 32, ALU_CMP, RDX, RCX);
    } else {
        if (registers)
            x_rr(e, 32, X_MOVZX16, RDX, b);
        else
            x_rm(e, 32, X_MOVZX16, RDX, R_STATE, state_disp(u->b));
        x_alu(e, 32, ALU_CMP, RDX, RCX);
    }
    s->from[0] = x_jcc(e, sign ? CC_NE : CC_AE);
    if (sign) {
        x_rm(e, 32, X_LEA, RDX, RCX, 1);
        x_alu_imm(e, 32, ALU_CMP, RDX, 1);
        s->from[1] = x_jcc(e, CC_BE);
        x_opcode(e, 32, 0x99, 0, 0, 0, false);
    } else {
        if (bits == 16) {
            x_shift_imm(e, 32, SHIFT_SHL, RDX, 16);
            x_alu(e, 32, ALU_OR, RAX, RDX);
        }
        x_alu(e, 32, ALU_XOR, RDX, RDX);
    }
    x_unary(e, 32, 0xf7, sign ? 7 : 6, RCX);
    if (bits == 8) {
        x_rr(e, 32, X_MOVZX8, RAX, RAX);
        x_shift_imm(e, 32, SHIFT_SHL, RDX, 8);
        x_alu(e, 32, ALU_OR, RAX, RDX);
    }
    if (registers) {
        x_rr(e, 16, X_MOV_LOAD, d, RAX);
        if (bits == 16)
            x_rr(e, 16, X_MOV_LOAD, b, RDX);
    } else {
        x_store(e, 16, R_STATE, state_disp(u->d), RAX);
        if (bits == 16)
            x_store(e, 16, R_STATE, state_disp(u->b), RDX);
    }
    s->back = e->at;
    if (registers)
        operand_def(j, u->d, j->home);
    if (registers && bits == 16)
        operand_def(j, u->b, j->home);
}

/* The helper, out of line, sets d and b in memory or faults. */
static void emit_divide_wide(struct jit *j, const struct uop *u, struct form f, bool sign)
{
    struct code *e = &j->code;
    unsigned bits = f.bits, to = result_bits(f), home = home_of(j, f.wide), y, q, r;
    struct slow *s;

    y = operand_use(j, u->a, bits, home);
    operand_get(j, RAX, u->d, bits, home);
    operand_get(j, sign ? RCX : RDX, u->b, bits, home);
    s = slow_path(j, SLOW_HELPER);
    if (sign) {
        x_opcode(e, bits, 0x99, 0, 0, 0, false); /* CDQ, CQO */
        x_alu(e, bits, ALU_CMP, RDX, RCX);
        s->from[0] = x_jcc(e, CC_NE);
        x_rm(e, bits, X_LEA, RCX, y, 1);
        x_alu_imm(e, bits, ALU_CMP, RCX, 1);
        s->from[1] = x_jcc(e, CC_BE);
    } else {
        x_alu(e, bits, ALU_CMP, RDX, y);
        s->from[0] = x_jcc(e, CC_AE);
    }
    x_unary(e, bits, 0xf7, sign ? 7 : 6, y);
    q = operand_def(j, u->d, to);
    x_rr(e, bits, X_MOV_LOAD, q, RAX);
    r = operand_def(j, u->b, to);
    x_rr(e, bits, X_MOV_LOAD, r, RDX);
    s->result[0] = (struct result){.offset = u->d, .bits = (uint8_t)to, .reg = (uint8_t)q};
    s->result[1] = (struct result){.offset = u->b, .bits = (uint8_t)to, .reg = (uint8_t)r};
    s->back = e->at;
}

/* ---- double shifts ---- */

static void emit_double_shift(struct jit *j, const struct uop *u, struct form f, bool left, bool flags)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, f.wide), b;

    operand_get(j, RAX, u->a, f.bits, home);
    b = operand_use(j, u->b, f.bits, home);
    if (flags) {
        x_mov(e, f.bits, RCX, RAX);
        x_double_shift(e, f.bits, left, RCX, b, u->imm - 1);
    }
    x_double_shift(e, f.bits, left, RAX, b, u->imm);
    if (flags)
        flags_note(j, left ? FLAGS_SHL : FLAGS_SHR, f.bits, RAX, RCX);
    operand_put(j, u->d, result_bits(f), home, RAX);
}

/* By the low five bits (of 64: six) of the operand at imm; a count of 0 leaves the flags alone. */
static void emit_double_shift_by(struct jit *j, const struct uop *u, struct form f, bool left)
{
    struct code *e = &j->code;
    unsigned flags = j->c->flags_offset, home = home_of(j, f.wide), b;
    uint8_t *none;

    b = operand_use(j, u->b, f.bits, home);
    operand_get(j, RAX, u->a, f.bits, home);
    operand_get(j, RCX, u->imm, 8, home);
    operands_release(j, flags, sizeof(struct lazy_flags));
    x_alu_imm(e, 32, ALU_AND, RCX, f.bits - 1);
    none = x_jcc(e, CC_E);
    x_mov(e, f.bits, RDX, RAX);
    x_alu_imm(e, 32, ALU_SUB, RCX, 1);
    x_double_shift_cl(e, f.bits, left, RDX, b);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, src)), RDX);
    x_alu_imm(e, 32, ALU_ADD, RCX, 1);
    x_double_shift_cl(e, f.bits, left, RAX, b);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, dst)), RAX);
    x_store_imm(e, 32, R_STATE, state_disp(flags), (left ? FLAGS_SHL : FLAGS_SHR) | (f.bits == 64 ? 3u : 2u));
    x_here(e, none);
    operand_put(j, u->d, result_bits(f), home, RAX);
}

/* ---- bits ---- */

static void emit_bit_test(struct jit *j, const struct uop *u, unsigned bits, bool immediate)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, home_of(j, bits == 64));

    if (!immediate)
        operand_get(j, RCX, u->b, 8, home_of(j, bits == 64));
    flags_get(j);
    x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)FLAG_C);
    if (immediate)
        x_bt_imm(e, bits, a, u->imm & (bits - 1));
    else
        x_rr(e, bits, X_BT, RCX, a);
    x_alu_imm(e, 32, ALU_ADC, RAX, 0);
    flags_put(j);
}

static void emit_bit_change(struct jit *j, const struct uop *u, struct form f, unsigned op)
{
    unsigned home = home_of(j, f.wide);

    operand_get(j, RAX, u->a, f.bits, home);
    operand_get(j, RCX, u->b, 8, home);
    x_rr(&j->code, f.bits, op, RCX, RAX);
    operand_put(j, u->d, result_bits(f), home, RAX);
}

static void emit_bit_scan(struct jit *j, const struct uop *u, struct form f, unsigned op)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, f.wide), a = operand_use(j, u->a, f.bits, home);

    operand_get(j, RAX, u->d, result_bits(f), home);
    x_rr(e, f.bits, op, RCX, a);
    x_cmov(e, result_bits(f), CC_NE, RAX, RCX);
    flags_note_imm(j, FLAGS_LOGIC, f.bits, a, 0);
    operand_put(j, u->d, result_bits(f), home, RAX);
}

/* Only C and O change. */
static void emit_rotate_flags(struct jit *j, const struct uop *u, struct form f, bool left)
{
    struct code *e = &j->code;
    unsigned bits = f.bits, home = home_of(j, f.wide), a = operand_use(j, u->a, bits, home);

    flags_get(j);
    x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)(FLAG_C | FLAG_O));
    x_mov(e, bits, RCX, a);
    x_shift_imm(e, bits, left ? SHIFT_ROL : SHIFT_ROR, RCX, u->imm);
    /* O: the top bit and the lowest, or the one below the top, differ */
    x_mov(e, bits, RDX, RCX);
    x_shift_imm(e, bits, SHIFT_SHR, RDX, left ? bits - 1 : 1);
    x_alu(e, bits, ALU_XOR, RDX, RCX);
    if (!left)
        x_shift_imm(e, bits, SHIFT_SHR, RDX, bits - 2);
    x_alu_imm(e, 32, ALU_AND, RDX, 1);
    x_shift_imm(e, 32, SHIFT_SHL, RDX, 11);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    x_bt_imm(e, bits, RCX, left ? 0 : bits - 1);
    x_alu_imm(e, 32, ALU_ADC, RAX, 0);
    flags_put(j);
    operand_put(j, u->d, result_bits(f), home, RCX);
}

/* By a count that is known only then, through the carry, of any size: ROTATE_* of bits.h. Of a count of 0 nothing comes. */
static void emit_rotate(struct jit *j, const struct uop *u, bool flags)
{
    struct code *e = &j->code;
    const unsigned bits = 8u << (u->aux >> ROTATE_SIZE_SHIFT & 3), digit = u->aux & 3, to = u->aux & ROTATE_WIDE ? 64 : bits;
    const unsigned home = home_of(j, to == 64);
    const bool left = !(digit & ROTATE_RIGHT), with_carry = digit & ROTATE_LEFT_CARRY;
    uint8_t *none = NULL;
    uint64_t count;
    const bool by_1 = operand_known(j, u->b, j->home, &count) && (count & 0xff) == 1;

    if (flags || with_carry)
        flags_get(j);
    operand_get(j, RDX, u->a, bits, home);
    if (!by_1) {
        operand_get(j, RCX, u->b, 8, home);
        x_test_imm(e, 8, RCX, bits == 64 ? 63 : 31);
        none = x_jcc(e, CC_E);
    }
    if (with_carry)
        x_bt_imm(e, 32, RAX, 0);
    if (by_1) {
        x_opcode(e, bits, ALU8(bits, 0xd1u), 0, 0, RDX, false);
        code_8(e, 0xc0 | digit << 3 | RDX);
    } else {
        x_shift_cl(e, bits, (enum shift)digit, RDX); /* the host numbers them as ModRM does, and so ROTATE_* */
    }
    if (flags) {
        if (with_carry) {
            x_setcc(e, CC_B, RCX);
            x_rr(e, 32, X_MOVZX8, RCX, RCX);
        } else {
            x_mov(e, bits == 64 ? 64 : 32, RCX, RDX);
            if (!left)
                x_shift_imm(e, bits == 64 ? 64 : 32, SHIFT_SHR, RCX, bits - 1);
            x_alu_imm(e, 32, ALU_AND, RCX, 1);
        }
        x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)(FLAG_C | FLAG_O));
        x_alu(e, 32, ALU_OR, RAX, RCX);
        /* O: the top bit and the carry, or the one below the top, differ */
        x_mov(e, bits == 64 ? 64 : 32, RCX, RDX);
        if (!left) {
            x_alu(e, bits == 64 ? 64 : 32, ALU_ADD, RCX, RCX);
            x_alu(e, bits == 64 ? 64 : 32, ALU_XOR, RCX, RDX);
        }
        x_shift_imm(e, bits == 64 ? 64 : 32, SHIFT_SHR, RCX, bits - 1);
        if (left)
            x_alu(e, 32, ALU_XOR, RCX, RAX);
        x_alu_imm(e, 32, ALU_AND, RCX, 1);
        x_shift_imm(e, 32, SHIFT_SHL, RCX, 11);
        x_alu(e, 32, ALU_OR, RAX, RCX);
    }
    if (none)
        x_here(e, none);
    if (flags)
        flags_put(j);
    operand_put(j, u->d, to, home, RDX);
}
_Static_assert(ROTATE_RIGHT == (int)SHIFT_ROR && ROTATE_LEFT_CARRY == 2 && ROTATE_RIGHT_CARRY == 3 && FLAG_C == 1, "as they are emitted here");

static void emit_pick(struct jit *j, const struct uop *u, struct form f)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, f.wide), width = f.bits == 64 ? 64 : 32, a = RAX, d;

    if (f.bits < 32) {
        operand_get(j, RAX, u->a, f.bits, home);
        operand_get(j, RCX, u->b, f.bits, home);
        operand_get(j, RDX, u->d, f.bits, home);
        x_alu(e, 32, ALU_CMP, RAX, RCX);
        x_cmov(e, 32, CC_NE, RDX, RAX);
        operand_put(j, u->d, f.bits, home, RDX);
        return;
    }
    if (f.bits < result_bits(f)) /* the bits above are to be 0 */
        operand_get(j, RAX, u->a, f.bits, home);
    else
        a = operand_use(j, u->a, f.bits, home);
    x_alu(e, width, ALU_CMP, a, operand_use(j, u->b, f.bits, home));
    /* From here on only moves, up to where the host's flags are needed. */
    d = operand_own(j, u->d, result_bits(f));
    x_cmov(e, result_bits(f), CC_NE, d, a);
    operand_def(j, u->d, result_bits(f));
}

bool emit_muldiv(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define FORMS(z, n, wide) \
    case UOP_MULW##z: emit_wide_product(j, u, (struct form){n, wide}, false, false); return true; \
    case UOP_IMULW##z: emit_wide_product(j, u, (struct form){n, wide}, true, false); return true; \
    case UOP_MULW##z##_F: emit_wide_product(j, u, (struct form){n, wide}, false, true); return true; \
    case UOP_IMULW##z##_F: emit_wide_product(j, u, (struct form){n, wide}, true, true); return true; \
    case UOP_DIVW##z: emit_divide_wide(j, u, (struct form){n, wide}, false); return true; \
    case UOP_IDIVW##z: emit_divide_wide(j, u, (struct form){n, wide}, true); return true; \
    case UOP_SHLD##z##I: emit_double_shift(j, u, (struct form){n, wide}, true, false); return true; \
    case UOP_SHRD##z##I: emit_double_shift(j, u, (struct form){n, wide}, false, false); return true; \
    case UOP_SHLD##z##I_F: emit_double_shift(j, u, (struct form){n, wide}, true, true); return true; \
    case UOP_SHRD##z##I_F: emit_double_shift(j, u, (struct form){n, wide}, false, true); return true; \
    case UOP_SHLDR##z##_F: emit_double_shift_by(j, u, (struct form){n, wide}, true); return true; \
    case UOP_SHRDR##z##_F: emit_double_shift_by(j, u, (struct form){n, wide}, false); return true; \
    case UOP_BTS##z: emit_bit_change(j, u, (struct form){n, wide}, X_BTS); return true; \
    case UOP_BTR##z: emit_bit_change(j, u, (struct form){n, wide}, X_BTR); return true; \
    case UOP_BTC##z: emit_bit_change(j, u, (struct form){n, wide}, X_BTC); return true; \
    case UOP_BSF##z##_F: emit_bit_scan(j, u, (struct form){n, wide}, X_BSF); return true; \
    case UOP_BSR##z##_F: emit_bit_scan(j, u, (struct form){n, wide}, X_BSR); return true; \
    case UOP_ROL##z##I_F: emit_rotate_flags(j, u, (struct form){n, wide}, true); return true; \
    case UOP_ROR##z##I_F: emit_rotate_flags(j, u, (struct form){n, wide}, false); return true; \
    case UOP_PICK##z: emit_pick(j, u, (struct form){n, wide}); return true;
    FORMS(32, 32, false)
    FORMS(32Z, 32, true)
    FORMS(64, 64, true)
#undef FORMS
    case UOP_MULW16_F: emit_product_16(j, u, false, true); return true;
    case UOP_IMULW16_F: emit_product_16(j, u, true, true); return true;
    case UOP_MULW8_F: emit_product_8(j, u, false); return true;
    case UOP_IMULW8_F: emit_product_8(j, u, true); return true;
    case UOP_DIVW8: emit_divide_narrow(j, u, 8, false); return true;
    case UOP_IDIVW8: emit_divide_narrow(j, u, 8, true); return true;
    case UOP_DIVW16: emit_divide_narrow(j, u, 16, false); return true;
    case UOP_IDIVW16: emit_divide_narrow(j, u, 16, true); return true;
    case UOP_ROTATE: emit_rotate(j, u, false); return true;
    case UOP_ROTATE_F: emit_rotate(j, u, true); return true;
    case UOP_IMUL16_F: emit_product_16(j, u, true, false); return true;
    case UOP_BT32_F: emit_bit_test(j, u, 32, false); return true;
    case UOP_BT32I_F: emit_bit_test(j, u, 32, true); return true;
    case UOP_BT64_F: emit_bit_test(j, u, 64, false); return true;
    case UOP_BT64I_F: emit_bit_test(j, u, 64, true); return true;
    case UOP_PICK8: emit_pick(j, u, (struct form){8, false}); return true;
    case UOP_PICK16: emit_pick(j, u, (struct form){16, false}); return true;
    default: return false;
    }
}
