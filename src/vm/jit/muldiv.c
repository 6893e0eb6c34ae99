/*
 * Integer micro-ops of the less frequent kind in x86-64 code: products and dividends
 * of twice the width, double shifts, single bits, rotations that change only some
 * flags. As in integer.c: all sources are used before a result is defined.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

/* ---- multiplication and division ---- */

/* 32 x 32 bits; the halves of the product go to d and the operand at imm. */
static void emit_wide_product(struct jit *j, const struct uop *u, bool sign, bool flags)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, 32, 32);
    x_unary(e, 32, 0xf7, sign ? 5 : 4, operand_use(j, u->b, 32, 32));
    if (flags) {
        x_setcc(e, CC_O, RCX);
        x_rr(e, 32, X_MOVZX8, RCX, RCX);
        flags_note(j, FLAGS_MUL, 32, RAX, RCX);
    }
    operand_put(j, u->d, 32, 32, RAX);
    operand_put(j, u->imm, 32, 32, RDX);
}

/* 16 x 16 bits; `high`: the upper half goes to the operand at imm. */
static void emit_product_16(struct jit *j, const struct uop *u, bool sign, bool high)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, 16, 32);
    operand_get(j, RCX, u->b, 16, 32);
    if (sign) {
        x_rr(e, 32, X_MOVSX16, RAX, RAX);
        x_rr(e, 32, X_MOVSX16, RCX, RCX);
    }
    x_rr(e, 32, X_IMUL, RAX, RCX);
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
    operand_put(j, u->d, 16, 32, RAX);
    if (high)
        operand_put(j, u->imm, 16, 32, RDX);
}

/* The helper, out of line, sets d and b in memory or faults. */
static void emit_divide_wide(struct jit *j, const struct uop *u, bool sign)
{
    struct code *e = &j->code;
    unsigned y = operand_use(j, u->a, 32, 32), low = operand_own(j, u->d, 32), high = operand_own(j, u->b, 32);
    struct slow *s = slow_path(j, SLOW_HELPER);

    x_mov(e, 32, RAX, low);
    if (sign) {
        x_opcode(e, 32, 0x99, 0, 0, 0, false); /* CDQ */
        x_alu(e, 32, ALU_CMP, RDX, high);
        s->from[0] = x_jcc(e, CC_NE);
        x_rm(e, 32, X_LEA, RCX, y, 1);
        x_alu_imm(e, 32, ALU_CMP, RCX, 1);
        s->from[1] = x_jcc(e, CC_BE);
    } else {
        x_mov(e, 32, RDX, high);
        x_alu(e, 32, ALU_CMP, RDX, y);
        s->from[0] = x_jcc(e, CC_AE);
    }
    x_unary(e, 32, 0xf7, sign ? 7 : 6, y);
    x_rr(e, 32, X_MOV_LOAD, operand_def(j, u->d, 32), RAX);
    x_rr(e, 32, X_MOV_LOAD, operand_def(j, u->b, 32), RDX);
    s->back = e->at;
}

/* ---- double shifts ---- */

static void emit_double_shift(struct jit *j, const struct uop *u, bool left, bool flags)
{
    struct code *e = &j->code;
    unsigned b;

    operand_get(j, RAX, u->a, 32, 32);
    b = operand_use(j, u->b, 32, 32);
    if (flags) {
        x_mov(e, 32, RCX, RAX);
        x_double_shift(e, 32, left, RCX, b, u->imm - 1);
    }
    x_double_shift(e, 32, left, RAX, b, u->imm);
    if (flags)
        flags_note(j, left ? FLAGS_SHL : FLAGS_SHR, 32, RAX, RCX);
    operand_put(j, u->d, 32, 32, RAX);
}

/* By the low five bits of the operand at imm; a count of 0 leaves the flags alone. */
static void emit_double_shift_by(struct jit *j, const struct uop *u, bool left)
{
    struct code *e = &j->code;
    unsigned flags = j->c->flags_offset, b;
    uint8_t *none;

    b = operand_use(j, u->b, 32, 32);
    operand_get(j, RAX, u->a, 32, 32);
    operand_get(j, RCX, u->imm, 8, 32);
    operands_release(j, flags, sizeof(struct lazy_flags));
    x_alu_imm(e, 32, ALU_AND, RCX, 31);
    none = x_jcc(e, CC_E);
    x_mov(e, 32, RDX, RAX);
    x_alu_imm(e, 32, ALU_SUB, RCX, 1);
    x_double_shift_cl(e, 32, left, RDX, b);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, src)), RDX);
    x_alu_imm(e, 32, ALU_ADD, RCX, 1);
    x_double_shift_cl(e, 32, left, RAX, b);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, dst)), RAX);
    x_store_imm(e, 32, R_STATE, state_disp(flags), (left ? FLAGS_SHL : FLAGS_SHR) | 2u);
    x_here(e, none);
    operand_put(j, u->d, 32, 32, RAX);
}

/* ---- bits ---- */

static void emit_bit_test(struct jit *j, const struct uop *u, bool immediate)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 32, 32);

    if (!immediate)
        operand_get(j, RCX, u->b, 8, 32);
    flags_get(j);
    x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)FLAG_C);
    if (immediate)
        x_bt_imm(e, 32, a, u->imm & 31);
    else
        x_rr(e, 32, X_BT, RCX, a);
    x_alu_imm(e, 32, ALU_ADC, RAX, 0);
    flags_put(j);
}

static void emit_bit_change(struct jit *j, const struct uop *u, unsigned op)
{
    operand_get(j, RAX, u->a, 32, 32);
    operand_get(j, RCX, u->b, 8, 32);
    x_rr(&j->code, 32, op, RCX, RAX);
    operand_put(j, u->d, 32, 32, RAX);
}

static void emit_bit_scan(struct jit *j, const struct uop *u, unsigned op)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 32, 32);

    operand_get(j, RAX, u->d, 32, 32);
    x_rr(e, 32, op, RCX, a);
    x_cmov(e, 32, CC_NE, RAX, RCX);
    flags_note_imm(j, FLAGS_LOGIC, 32, a, 0);
    operand_put(j, u->d, 32, 32, RAX);
}

/* Only C and O change. */
static void emit_rotate_flags(struct jit *j, const struct uop *u, bool left)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 32, 32);

    flags_get(j);
    x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)(FLAG_C | FLAG_O));
    x_mov(e, 32, RCX, a);
    x_shift_imm(e, 32, left ? SHIFT_ROL : SHIFT_ROR, RCX, u->imm);
    /* O: the top bit and the lowest, or the one below the top, differ */
    x_mov(e, 32, RDX, RCX);
    x_shift_imm(e, 32, SHIFT_SHR, RDX, left ? 31 : 1);
    x_alu(e, 32, ALU_XOR, RDX, RCX);
    x_alu_imm(e, 32, ALU_AND, RDX, left ? 1 : 1 << 30);
    x_shift_imm(e, 32, left ? SHIFT_SHL : SHIFT_SHR, RDX, left ? 11 : 19);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    x_bt_imm(e, 32, RCX, left ? 0 : 31);
    x_alu_imm(e, 32, ALU_ADC, RAX, 0);
    flags_put(j);
    operand_put(j, u->d, 32, 32, RCX);
}

static void emit_pick(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, bits, 32);
    operand_get(j, RCX, u->b, bits, 32);
    operand_get(j, RDX, u->d, bits, 32);
    x_alu(e, 32, ALU_CMP, RAX, RCX);
    x_cmov(e, 32, CC_NE, RDX, RAX);
    operand_put(j, u->d, bits, 32, RDX);
}

bool emit_muldiv(struct jit *j, const struct uop *u)
{
    switch (u->op) {
    case UOP_MULW32: emit_wide_product(j, u, false, false); return true;
    case UOP_IMULW32: emit_wide_product(j, u, true, false); return true;
    case UOP_MULW32_F: emit_wide_product(j, u, false, true); return true;
    case UOP_IMULW32_F: emit_wide_product(j, u, true, true); return true;
    case UOP_MULW16_F: emit_product_16(j, u, false, true); return true;
    case UOP_IMULW16_F: emit_product_16(j, u, true, true); return true;
    case UOP_IMUL16_F: emit_product_16(j, u, true, false); return true;
    case UOP_DIVW32: emit_divide_wide(j, u, false); return true;
    case UOP_IDIVW32: emit_divide_wide(j, u, true); return true;
    case UOP_SHLD32I: emit_double_shift(j, u, true, false); return true;
    case UOP_SHRD32I: emit_double_shift(j, u, false, false); return true;
    case UOP_SHLD32I_F: emit_double_shift(j, u, true, true); return true;
    case UOP_SHRD32I_F: emit_double_shift(j, u, false, true); return true;
    case UOP_SHLDR32_F: emit_double_shift_by(j, u, true); return true;
    case UOP_SHRDR32_F: emit_double_shift_by(j, u, false); return true;
    case UOP_BT32_F: emit_bit_test(j, u, false); return true;
    case UOP_BT32I_F: emit_bit_test(j, u, true); return true;
    case UOP_BTS32: emit_bit_change(j, u, X_BTS); return true;
    case UOP_BTR32: emit_bit_change(j, u, X_BTR); return true;
    case UOP_BTC32: emit_bit_change(j, u, X_BTC); return true;
    case UOP_BSF32_F: emit_bit_scan(j, u, X_BSF); return true;
    case UOP_BSR32_F: emit_bit_scan(j, u, X_BSR); return true;
    case UOP_ROL32I_F: emit_rotate_flags(j, u, true); return true;
    case UOP_ROR32I_F: emit_rotate_flags(j, u, false); return true;
    case UOP_PICK8: emit_pick(j, u, 8); return true;
    case UOP_PICK16: emit_pick(j, u, 16); return true;
    case UOP_PICK32: emit_pick(j, u, 32); return true;
    default: return false;
    }
}
