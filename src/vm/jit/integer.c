/*
 * Integer micro-ops in x86-64 code. Operands of 8 and 16 bits are worked on in
 * scratch registers, wider ones in their own.
 *
 * Adding a micro-op: a case that uses all sources (operand_use, operand_get), computes, and then
 * defines the results (operand_def, operand_put), so that it does not matter which operands
 * are the same. Without a case it becomes a call of its function in generic.c.
 */
#include "vm/jit/jit_priv.h"

#include "base/error.h"

#define NO_FLAGS (-1)

/* ---- two operands ---- */

struct binary {
    enum alu op;
    uint8_t bits;   /* of the operation */
    bool wide;      /* one of those of 64-bit registers: the result is extended to 64 bits */
    bool keep;      /* the result is stored */
    bool immediate;
    uint64_t value;
    int flags;      /* enum flags_op or NO_FLAGS */
};

static bool commutes(enum alu op)
{
    return op != ALU_SUB;
}

/* The operand that is noted, before it may be overwritten. */
static void note_operand(struct jit *j, const struct uop *u, const struct binary *o, unsigned b)
{
    if (o->flags == FLAGS_LOGIC)
        flags_note_operand_imm(j, 0);
    else if (o->immediate)
        flags_note_operand_imm(j, o->value);
    else
        flags_note_operand(j, o->bits, u->b, b);
}

/* With flags, their parts are where it is worked on. */
static void binary_small(struct jit *j, const struct uop *u, const struct binary *o)
{
    struct code *e = &j->code;
    unsigned a = RAX, b = RCX;

    /* (Registers for the flags are not taken from what is wanted here.) */
    operand_hold(j, u->a, o->bits, j->home);
    if (!o->immediate)
        operand_hold(j, u->b, o->bits, j->home);
    if (o->flags != NO_FLAGS) {
        if (o->flags == FLAGS_LOGIC)
            flags_note_operand_imm(j, 0);
        else if (o->immediate)
            flags_note_operand_imm(j, o->value);
        else
            b = flags_note_operand_def(j);
        a = flags_note_result_def(j, (unsigned)o->flags, o->bits);
    }
    operand_get(j, a, u->a, o->bits, j->home);
    if (o->immediate) {
        x_alu_imm(e, o->bits, o->op, a, o->bits == 8 ? (int8_t)o->value : (int16_t)o->value);
    } else {
        operand_get(j, b, u->b, o->bits, j->home);
        x_alu(e, o->bits, o->op, a, b);
    }
    if (o->flags != NO_FLAGS)
        flags_are_of_result(j, o->bits);
    if (o->keep)
        operand_put(j, u->d, o->bits, j->home, a);
}

static void operate(struct jit *j, const struct binary *o, unsigned to, unsigned b)
{
    if (o->immediate)
        x_alu_imm(&j->code, o->bits, o->op, to, (int32_t)o->value);
    else
        x_alu(&j->code, o->bits, o->op, to, b);
}

/* d = a op b, of 32 or 64 bits; d may be b's register. */
static void operate_to(struct jit *j, const struct binary *o, unsigned d, unsigned a, unsigned b)
{
    struct code *e = &j->code;

    if (o->immediate || d != b || d == a) {
        x_mov(e, o->bits, d, a);
        operate(j, o, d, b);
    } else if (commutes(o->op)) {
        operate(j, o, d, a);
    } else {
        x_mov(e, o->bits, RAX, a);
        operate(j, o, RAX, b);
        x_mov(e, o->bits, d, RAX);
    }
}

static void emit_binary(struct jit *j, const struct uop *u, struct binary o)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, o.wide), a, b = RCX, d;
    struct binary with;

    if (o.bits < 32) {
        binary_small(j, u, &o);
        return;
    }
    if (!o.immediate && u->a == u->b && (o.op == ALU_XOR || o.op == ALU_SUB) && o.keep) { /* 0, whatever it was */
        if (o.flags != NO_FLAGS && o.op == ALU_SUB)
            flags_note_operand(j, o.bits, u->b, operand_use(j, u->b, o.bits, home));
        else if (o.flags != NO_FLAGS)
            flags_note_operand_imm(j, 0);
        if (o.flags != NO_FLAGS)
            flags_note_result_imm(j, (unsigned)o.flags, o.bits, 0);
        operand_def_const(j, u->d, o.wide ? 64 : 32, 0);
        return;
    }
    if (!o.immediate)
        o.immediate = operand_known(j, u->b, o.bits, &o.value);
    if (!o.immediate && u->a == u->b && !o.keep && o.op == ALU_AND) { /* it is tested, and has its result already */
        a = operand_use(j, u->a, o.bits, home);
        flags_note_operand_imm(j, 0);
        flags_note_result_of(j, (unsigned)o.flags, o.bits, u->a, a);
        x_test(e, o.bits, a, a);
        flags_are_of_result(j, o.bits);
        return;
    }
    with = o;
    a = operand_use(j, u->a, o.bits, home);
    if (!o.immediate) {
        b = operand_use(j, u->b, o.bits, home);
    } else if (o.bits == 64 && !fits_32((int64_t)o.value)) {
        x_mov_imm(e, RCX, o.value);
        with.immediate = false;
    }
    if (o.flags != NO_FLAGS)
        note_operand(j, u, &o, b);
    if (o.keep)
        d = operand_def(j, u->d, o.wide ? 64 : 32);
    else
        d = flags_note_result_def(j, (unsigned)o.flags, o.bits);
    operate_to(j, &with, d, a, b);
    if (o.flags != NO_FLAGS && o.keep)
        flags_note_result_shared(j, (unsigned)o.flags, o.bits, d);
    if (o.flags != NO_FLAGS)
        flags_are_of_result(j, o.bits);
}

/* With an operand that is changed first: complement or shift; in rcx then. */
static void emit_modified(struct jit *j, const struct uop *u, enum alu op, unsigned bits, bool complement, int flags)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);

    x_mov(e, bits, RCX, b);
    if (complement)
        x_not(e, bits, RCX);
    else if (u->aux & (bits - 1))
        x_shift_imm(e, bits, SHIFT_SHL, RCX, u->aux & (bits - 1));
    x_mov(e, bits, RAX, a);
    x_alu(e, bits, op, RAX, RCX);
    if (flags != NO_FLAGS)
        flags_note_imm(j, (unsigned)flags, bits, RAX, 0);
    x_rr(e, 64, X_MOV_LOAD, operand_def(j, u->d, 64), RAX);
}

/* edx = the carry, 0 or 1. */
static void get_carry(struct jit *j)
{
    unsigned cc = flags_condition(j, COND_C);

    x_setcc(&j->code, cc, RDX);
    x_rr(&j->code, 32, X_MOVZX8, RDX, RDX);
}

/* How a carry goes into an addition or subtraction, and what it makes of the operation noted. */
enum carry { CARRY_ADD, CARRY_BORROW, CARRY_NO_BORROW };

static const unsigned carry_noted[][2] = {
    [CARRY_ADD] = {FLAGS_ADD, 4}, [CARRY_BORROW] = {FLAGS_SUB, 4}, [CARRY_NO_BORROW] = {FLAGS_SBBN, 0},
};

/* The operation noted, which depends on the carry, edx. */
static void note_carry_op(struct jit *j, unsigned bits, enum carry kind)
{
    struct code *e = &j->code;
    unsigned op = operand_def(j, j->c->flags_offset, 32);

    x_shift_imm(e, 32, SHIFT_SHL, RDX, 2);
    if (kind == CARRY_NO_BORROW)
        x_neg(e, 32, RDX);
    x_rm(e, 32, X_LEA, op, RDX, (int32_t)(carry_noted[kind][0] | (bits == 8 ? 0u : bits == 16 ? 1u : bits == 32 ? 2u : 3u)));
}

static void emit_carry_small(struct jit *j, const struct uop *u, unsigned bits, enum carry kind, bool flags)
{
    struct code *e = &j->code;

    operand_hold(j, u->a, bits, j->home);
    operand_hold(j, u->b, bits, j->home);
    get_carry(j);
    operand_get(j, RAX, u->a, bits, j->home);
    operand_get(j, RCX, u->b, bits, j->home);
    x_bt_imm(e, 32, RDX, 0);
    x_alu(e, bits, kind == CARRY_ADD ? ALU_ADC : ALU_SBB, RAX, RCX);
    x_rr(e, 32, bits == 8 ? X_MOVZX8 : X_MOVZX16, RAX, RAX);
    operands_unpin(j);
    if (flags) {
        flags_note(j, carry_noted[kind][0], bits, RAX, RCX);
        note_carry_op(j, bits, kind);
    }
    operand_put(j, u->d, bits, j->home, RAX);
}

/* The host's carry becomes the guest's, or its opposite. */
static void host_carry(struct jit *j, bool opposite)
{
    unsigned cc = flags_condition(j, COND_C);

    CHECK(cc == CC_B || cc == CC_AE);
    if ((cc == CC_AE) != opposite)
        code_8(&j->code, 0xf5); /* CMC */
}

static void emit_carry(struct jit *j, const struct uop *u, unsigned bits, bool wide, enum carry kind, bool flags)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, wide), a, b = 0;
    uint64_t value;
    bool immediate;

    if (bits < 32) {
        emit_carry_small(j, u, bits, kind, flags);
        return;
    }
    immediate = operand_known(j, u->b, bits, &value) && (bits == 32 || fits_32((int64_t)value));
    a = operand_use(j, u->a, bits, home);
    if (!immediate)
        b = operand_use(j, u->b, bits, home);
    host_carry(j, kind == CARRY_NO_BORROW);
    if (flags) {
        x_setcc(e, kind == CARRY_NO_BORROW ? CC_AE : CC_B, RDX);
        x_rr(e, 32, X_MOVZX8, RDX, RDX);
    }
    /* From here to the addition only moves. What the carry came from is needed no more. */
    if (!flags) {
        unsigned d = operand_def(j, u->d, wide ? 64 : bits), op = kind == CARRY_ADD ? ALU_ADC : ALU_SBB;

        if (!immediate && d == b && d != a) {
            x_mov(e, bits, RAX, a);
            x_alu(e, bits, op, RAX, b);
            x_mov(e, bits, d, RAX);
            return;
        }
        x_mov(e, bits, d, a);
        if (immediate)
            x_alu_imm(e, bits, op, d, (int32_t)value);
        else
            x_alu(e, bits, op, d, b);
        return;
    }
    x_mov(e, bits, RAX, a);
    if (immediate)
        flags_note_operand_imm(j, bits == 32 ? (uint32_t)value : value);
    else
        flags_note_operand(j, bits, u->b, b);
    if (immediate)
        x_alu_imm(e, bits, kind == CARRY_ADD ? ALU_ADC : ALU_SBB, RAX, (int32_t)value);
    else
        x_alu(e, bits, kind == CARRY_ADD ? ALU_ADC : ALU_SBB, RAX, b);
    operands_unpin(j);
    flags_note_result(j, carry_noted[kind][0], bits, RAX);
    note_carry_op(j, bits, kind);
    operand_put(j, u->d, wide ? 64 : bits, home, RAX);
}

static void emit_step(struct jit *j, const struct uop *u, unsigned bits, bool wide, bool increment)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, wide), op = increment ? FLAGS_INC : FLAGS_DEC, a = 0, d;
    enum flags_carry carry = flags_kept_carry(j);

    if (bits < 32)
        operand_hold(j, u->a, bits, home);
    else
        a = operand_use(j, u->a, bits, home);
    if (carry == CARRY_UNKNOWN) {
        unsigned cc = flags_condition(j, COND_C), c = flags_note_operand_def(j);

        x_mov_imm(e, c, 0);
        x_setcc(e, cc, c);
    } else if (carry == CARRY_CLEAR) {
        flags_note_operand_imm(j, 0);
    }
    if (bits < 32) {
        operand_get(j, RAX, u->a, bits, home);
        x_alu_imm(e, bits, increment ? ALU_ADD : ALU_SUB, RAX, 1);
        x_rr(e, 32, bits == 8 ? X_MOVZX8 : X_MOVZX16, RAX, RAX);
        flags_note_result(j, op, bits, RAX);
        operand_put(j, u->d, bits, home, RAX);
        return;
    }
    d = operand_def(j, u->d, wide ? 64 : bits);
    x_mov(e, bits, d, a);
    x_alu_imm(e, bits, increment ? ALU_ADD : ALU_SUB, d, 1);
    flags_note_result_shared(j, op, bits, d);
    flags_are_of_result(j, bits);
}

/* Negation and complement. */
static void emit_unary(struct jit *j, const struct uop *u, unsigned bits, bool wide, bool negate, bool flags)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, wide);

    operand_get(j, RAX, u->a, bits, home);
    if (flags)
        x_mov(e, 64, RCX, RAX);
    x_unary(e, bits, 0xf7, negate ? 3 : 2, RAX);
    if (flags) {
        if (bits < 32)
            x_rr(e, 32, bits == 8 ? X_MOVZX8 : X_MOVZX16, RAX, RAX);
        flags_note(j, FLAGS_SUB, bits, RAX, RCX);
    }
    operand_put(j, u->d, wide ? 64 : bits, home, RAX);
}

/* ---- shifts ---- */

/* By a constant, noting flags: the operand noted is the value one place short. */
static void shift_small_flags(struct jit *j, const struct uop *u, unsigned bits, bool wide, enum shift op)
{
    struct code *e = &j->code;
    unsigned zx = bits == 8 ? X_MOVZX8 : X_MOVZX16, home = home_of(j, wide);

    operand_get(j, RAX, u->a, bits, home);
    if (op == SHIFT_SAR)
        x_rr(e, 32, bits == 8 ? X_MOVSX8 : X_MOVSX16, RAX, RAX);
    if (u->imm > 1)
        x_shift_imm(e, 32, op, RAX, u->imm - 1);
    x_rr(e, 32, zx, RCX, RAX);
    x_shift_imm(e, 32, op, RAX, 1);
    x_rr(e, 32, zx, RAX, RAX);
    flags_note(j, op == SHIFT_SHL ? FLAGS_SHL : FLAGS_SHR, bits, RAX, RCX);
    operand_put(j, u->d, bits, home, RAX);
}

static void emit_shift_flags(struct jit *j, const struct uop *u, unsigned bits, bool wide, enum shift op)
{
    struct code *e = &j->code;
    unsigned a, d;

    if (bits < 32) {
        shift_small_flags(j, u, bits, wide, op);
        return;
    }
    a = operand_use(j, u->a, bits, home_of(j, wide));
    if (u->imm > 1) {
        unsigned short_of = flags_note_operand_def(j);

        x_mov(e, bits, short_of, a);
        x_shift_imm(e, bits, op, short_of, u->imm - 1);
    } else {
        flags_note_operand(j, bits, u->a, a);
    }
    d = operand_def(j, u->d, wide ? 64 : 32);
    x_mov(e, bits, d, a);
    x_shift_imm(e, bits, op, d, u->imm);
    flags_note_result_shared(j, op == SHIFT_SHL ? FLAGS_SHL : FLAGS_SHR, bits, d);
}

/* The low `bits` bits of a register, zero-extended. */
static void cut(struct code *e, unsigned bits, unsigned reg)
{
    if (bits < 32)
        x_rr(e, 32, bits == 8 ? X_MOVZX8 : X_MOVZX16, reg, reg);
}

/* By the low five bits of b (of 64: six); a count of 0 leaves the flags alone. */
static void emit_shift_by(struct jit *j, const struct uop *u, unsigned bits, bool wide, enum shift op)
{
    struct code *e = &j->code;
    unsigned flags = j->c->flags_offset, width = bits == 64 ? 64 : 32, home = home_of(j, wide);
    uint8_t *none;

    operand_get(j, RAX, u->a, bits, home);
    operand_get(j, RCX, u->b, 8, home);
    operands_release(j, flags, sizeof(struct lazy_flags));
    if (op == SHIFT_SAR && bits < 32)
        x_rr(e, 32, bits == 8 ? X_MOVSX8 : X_MOVSX16, RAX, RAX);
    x_alu_imm(e, 32, ALU_AND, RCX, (int32_t)width - 1);
    none = x_jcc(e, CC_E);
    x_alu_imm(e, 32, ALU_SUB, RCX, 1);
    x_shift_cl(e, width, op, RAX);
    x_mov(e, width, RDX, RAX);
    cut(e, bits, RDX);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, src)), RDX);
    x_shift_imm(e, width, op, RAX, 1);
    cut(e, bits, RAX);
    x_store(e, 64, R_STATE, state_disp(flags + (unsigned)offsetof(struct lazy_flags, dst)), RAX);
    x_store_imm(e, 32, R_STATE, state_disp(flags),
                (op == SHIFT_SHL ? FLAGS_SHL : FLAGS_SHR) | (bits == 8 ? 0u : bits == 16 ? 1u : bits == 32 ? 2u : 3u));
    x_here(e, none);
    operand_put(j, u->d, wide ? 64 : bits, home, RAX);
}

static void emit_shift_imm(struct jit *j, const struct uop *u, unsigned bits, bool wide, enum shift op)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, home_of(j, wide)), d = operand_def(j, u->d, wide ? 64 : 32);

    if (d != a || !(u->imm & (bits - 1)))
        x_rr(e, bits, X_MOV_LOAD, d, a);
    if (u->imm & (bits - 1))
        x_shift_imm(e, bits, op, d, u->imm & (bits - 1));
}

static void emit_shift_var(struct jit *j, const struct uop *u, unsigned bits, enum shift op)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, bits, 64);
    operand_get(j, RCX, u->b, 8, 64);
    x_shift_cl(e, bits, op, RAX);
    operand_put(j, u->d, 64, 64, RAX);
}

/* ---- bit fields ---- */

static void emit_field(struct jit *j, const struct uop *u, unsigned bits, bool sign)
{
    struct code *e = &j->code;
    unsigned up = u->imm & (bits - 1), down = u->aux & (bits - 1);
    unsigned a = operand_use(j, u->a, bits, 64), d = operand_def(j, u->d, 64);

    if (up == down && up == bits - 8) {
        x_rr(e, sign ? bits : 32, sign ? X_MOVSX8 : X_MOVZX8, d, a);
    } else if (up == down && up == bits - 16) {
        x_rr(e, sign ? bits : 32, sign ? X_MOVSX16 : X_MOVZX16, d, a);
    } else if (up == down && bits == 64 && up == 32) {
        x_rr(e, sign ? 64 : 32, sign ? X_MOVSXD : X_MOV_LOAD, d, a);
    } else {
        x_rr(e, bits, X_MOV_LOAD, d, a);
        if (up)
            x_shift_imm(e, bits, SHIFT_SHL, d, up);
        if (down)
            x_shift_imm(e, bits, sign ? SHIFT_SAR : SHIFT_SHR, d, down);
    }
}

static void emit_insert(struct jit *j, const struct uop *u, unsigned bits, bool extract)
{
    struct code *e = &j->code;
    uint64_t all = UINT64_MAX >> (64 - bits), y = all >> (-u->aux & (bits - 1));
    unsigned at = u->imm & (bits - 1);

    operand_get(j, RAX, u->d, bits, 64);
    operand_get(j, RCX, u->a, bits, 64);
    if (extract && at)
        x_shift_imm(e, bits, SHIFT_SHR, RCX, at);
    x_mov_imm(e, RDX, y);
    x_alu(e, 64, ALU_AND, RCX, RDX);
    if (!extract && at)
        x_shift_imm(e, bits, SHIFT_SHL, RCX, at);
    x_mov_imm(e, RDX, extract ? all & ~y : all & ~(y << at));
    x_alu(e, 64, ALU_AND, RAX, RDX);
    x_alu(e, bits, ALU_OR, RAX, RCX);
    operand_put(j, u->d, 64, 64, RAX);
}

/* ---- multiplication and division ---- */

static void emit_multiply_add(struct jit *j, const struct uop *u, unsigned bits, bool subtract)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, bits, 64);
    x_rr(e, bits, X_IMUL, RAX, operand_use(j, u->b, bits, 64));
    operand_get(j, RCX, u->imm, bits, 64);
    x_alu(e, bits, subtract ? ALU_SUB : ALU_ADD, RCX, RAX);
    operand_put(j, u->d, 64, 64, RCX);
}

/* 64-bit c +- 32-bit a * 32-bit b */
static void emit_multiply_long(struct jit *j, const struct uop *u, bool sign, bool subtract)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 32, 64), b = operand_use(j, u->b, 32, 64);

    x_rr(e, sign ? 64 : 32, sign ? X_MOVSXD : X_MOV_LOAD, RAX, a);
    x_rr(e, sign ? 64 : 32, sign ? X_MOVSXD : X_MOV_LOAD, RDX, b);
    x_rr(e, 64, X_IMUL, RAX, RDX);
    operand_get(j, RCX, u->imm, 64, 64);
    x_alu(e, 64, subtract ? ALU_SUB : ALU_ADD, RCX, RAX);
    operand_put(j, u->d, 64, 64, RCX);
}

static void emit_multiply_high(struct jit *j, const struct uop *u, bool sign)
{
    operand_get(j, RAX, u->a, 64, 64);
    x_unary(&j->code, 64, 0xf7, sign ? 5 : 4, operand_use(j, u->b, 64, 64));
    operand_put(j, u->d, 64, 64, RDX);
}

/* By 0: 0; the division that overflows gives the dividend. */
static void emit_divide(struct jit *j, const struct uop *u, unsigned bits, bool sign)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);
    uint8_t *zero, *minus_one = NULL, *done = NULL;

    x_mov_imm(e, RAX, 0);
    x_test(e, bits, b, b);
    zero = x_jcc(e, CC_E);
    x_mov(e, bits, RAX, a);
    if (sign) {
        x_alu_imm(e, bits, ALU_CMP, b, -1);
        minus_one = x_jcc(e, CC_E);
        x_opcode(e, bits, 0x99, 0, 0, 0, false); /* CDQ, CQO */
    } else {
        x_mov_imm(e, RDX, 0);
    }
    x_unary(e, bits, 0xf7, sign ? 7 : 6, b);
    if (sign) {
        done = x_jmp(e);
        x_here(e, minus_one);
        x_neg(e, bits, RAX);
        x_here(e, done);
    }
    x_here(e, zero);
    operand_put(j, u->d, 64, 64, RAX);
}

static void emit_leading_zeros(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    x_mov_imm(e, RCX, 2 * bits - 1);
    x_rr(e, bits, X_BSR, RAX, operand_use(j, u->a, bits, 64));
    x_cmov(e, 32, CC_E, RAX, RCX);
    x_alu_imm(e, 32, ALU_XOR, RAX, (int32_t)bits - 1);
    operand_put(j, u->d, 64, 64, RAX);
}

/* Bytes in the other order, then halves, quarters and bits of them. */
static void emit_reverse_bits(struct jit *j, const struct uop *u)
{
    static const uint64_t masks[] = {0x0f0f0f0f0f0f0f0f, 0x3333333333333333, 0x5555555555555555};
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, 64, 64);
    x_bswap(e, 64, RAX);
    for (unsigned i = 0, by = 4; i < ARRAY_LEN(masks); i++, by /= 2) {
        x_mov_imm(e, RCX, masks[i]);
        x_mov(e, 64, RDX, RAX);
        x_shift_imm(e, 64, SHIFT_SHR, RDX, by);
        x_alu(e, 64, ALU_AND, RAX, RCX);
        x_alu(e, 64, ALU_AND, RDX, RCX);
        x_shift_imm(e, 64, SHIFT_SHL, RAX, by);
        x_alu(e, 64, ALU_OR, RAX, RDX);
    }
    operand_put(j, u->d, 64, 64, RAX);
}

static void emit_multiply(struct jit *j, const struct uop *u, unsigned bits, bool wide, bool flags)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, wide), a, b = 0, d, overflow = 0;
    uint64_t value;
    bool immediate = operand_known(j, u->b, bits, &value) && (bits == 32 || fits_32((int64_t)value));

    a = operand_use(j, u->a, bits, home);
    if (!immediate)
        b = operand_use(j, u->b, bits, home);
    if (flags) {
        overflow = flags_note_operand_def(j);
        x_alu(e, 32, ALU_XOR, overflow, overflow);
    }
    d = operand_def(j, u->d, wide ? 64 : 32);
    if (immediate) {
        x_rr(e, bits, 0x69, d, a);
        code_32(e, (uint32_t)value);
    } else if (d == b) {
        x_rr(e, bits, X_IMUL, d, a);
    } else {
        x_mov(e, bits, d, a);
        x_rr(e, bits, X_IMUL, d, b);
    }
    if (flags) {
        x_setcc(e, CC_O, overflow);
        flags_note_result_shared(j, FLAGS_MUL, bits, d);
    }
}

/* ---- moves ---- */

static void emit_move(struct jit *j, const struct uop *u, unsigned from, unsigned to, bool sign, bool z32)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, to == 64);

    uint64_t value;

    if (from >= 32) {
        unsigned a, d;

        if (!sign && operand_known(j, u->a, from, &value)) {
            operand_def_const(j, u->d, to, value);
            return;
        }
        a = operand_use(j, u->a, from, home);

        if (!sign && from == to && operand_share(j, u->d, u->a, from))
            return;
        d = operand_def(j, u->d, to);
        if (sign)
            x_rr(e, 64, X_MOVSXD, d, a);
        else
            x_rr(e, from, X_MOV_LOAD, d, a);
        return;
    }
    if (to >= 32) {
        unsigned a = operand_low(j, u->a, from, home);

        x_rr(e, sign && to == 64 && !z32 ? 64 : 32, from == 8 ? (sign ? X_MOVSX8 : X_MOVZX8) : sign ? X_MOVSX16 : X_MOVZX16,
             operand_def(j, u->d, to), a);
        return;
    }
    operand_get(j, RAX, u->a, from, home);
    if (sign)
        x_rr(e, 32, from == 8 ? X_MOVSX8 : X_MOVSX16, RAX, RAX);
    operand_put(j, u->d, to, home, RAX);
}

static void emit_exchange(struct jit *j, const struct uop *u, unsigned bits, bool wide)
{
    unsigned home = home_of(j, wide), to = wide ? 64 : bits;

    operand_get(j, RAX, u->d, bits, home);
    operand_get(j, RCX, u->a, bits, home);
    operand_put(j, u->d, to, home, RCX);
    operand_put(j, u->a, to, home, RAX);
}

static void emit_lea(struct jit *j, const struct uop *u, unsigned bits, bool wide, bool indexed)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, wide), to = wide ? 64 : 32, a = operand_use(j, u->a, bits, home), b;

    if (!indexed) {
        x_rm(e, bits, X_LEA, operand_def(j, u->d, to), a, (int32_t)u->imm);
        return;
    }
    b = operand_use(j, u->b, bits, home);
    if (u->aux <= 3) {
        x_rmx(e, bits, X_LEA, operand_def(j, u->d, to), a, b, u->aux, (int32_t)u->imm);
        return;
    }
    x_mov(e, bits, RAX, b);
    x_shift_imm(e, bits, SHIFT_SHL, RAX, u->aux);
    x_rmx(e, bits, X_LEA, operand_def(j, u->d, to), a, RAX, 0, (int32_t)u->imm);
}

/* ---- conditions ---- */

static void emit_set_condition(struct jit *j, const struct uop *u)
{
    unsigned cc = flags_condition(j, u->b);

    x_setcc(&j->code, cc, RAX);
    operand_put(j, u->d, 8, j->home, RAX);
}

static void emit_move_if(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    operand_get(j, RCX, u->d, bits, j->home);
    operand_hold(j, u->a, bits, j->home);
    if (bits == 32) {
        unsigned a = operand_use(j, u->a, 32, j->home);

        x_cmov(e, 32, flags_condition(j, u->b), RCX, a);
    } else {
        unsigned cc = flags_condition(j, u->b);

        x_setcc(e, cc, RDX); /* operand_get() may shift */
        operand_get(j, RAX, u->a, bits, j->home);
        x_test(e, 8, RDX, RDX);
        x_cmov(e, 32, CC_NE, RCX, RAX);
    }
    operand_put(j, u->d, bits, j->home, RCX);
}

enum otherwise { OTHERWISE_B, OTHERWISE_INC, OTHERWISE_NOT, OTHERWISE_NEG };

static void emit_select(struct jit *j, const struct uop *u, unsigned bits, enum otherwise otherwise)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64);

    operand_get(j, RCX, u->b, bits, 64);
    if (otherwise == OTHERWISE_INC)
        x_alu_imm(e, bits, ALU_ADD, RCX, 1);
    else if (otherwise == OTHERWISE_NOT)
        x_not(e, bits, RCX);
    else if (otherwise == OTHERWISE_NEG)
        x_neg(e, bits, RCX);
    x_cmov(e, bits, flags_condition(j, u->imm), RCX, a);
    operand_put(j, u->d, 64, 64, RCX);
}

/* If condition d holds, compare; else the flags are the immediate. */
static void emit_compare_if(struct jit *j, const struct uop *u, unsigned bits, bool subtract, bool immediate)
{
    struct code *e = &j->code;
    unsigned flags = j->c->flags_offset, a = operand_use(j, u->a, bits, 64), b = 0, cc;
    int32_t op = state_disp(flags), dst = state_disp(flags + (unsigned)offsetof(struct lazy_flags, dst)),
            src = state_disp(flags + (unsigned)offsetof(struct lazy_flags, src));
    uint8_t *otherwise, *done;

    if (!immediate)
        b = operand_use(j, u->b, bits, 64);
    cc = flags_condition(j, u->d);
    otherwise = x_jcc(e, cc ^ 1);
    x_mov(e, bits, RAX, a);
    if (immediate) {
        x_mov_imm(e, RCX, u->imm);
    } else {
        x_rr(e, bits, X_MOV_LOAD, RCX, b);
    }
    x_alu(e, bits, subtract ? ALU_SUB : ALU_ADD, RAX, RCX);
    x_store(e, 64, R_STATE, dst, RAX);
    x_store(e, 64, R_STATE, src, RCX);
    x_store_imm(e, 32, R_STATE, op, (subtract ? FLAGS_SUBN : FLAGS_ADD) | (bits == 64 ? 3u : 2u));
    done = x_jmp(e);
    x_here(e, otherwise);
    x_store_imm(e, 32, R_STATE, op, FLAGS_EXPLICIT);
    x_mov_imm(e, RAX, u->aux);
    x_store(e, 64, R_STATE, dst, RAX);
    x_store_imm(e, 64, R_STATE, src, 0);
    x_here(e, done);
    operands_discard(j, flags, sizeof(struct lazy_flags));
}

/* ---- tables ---- */

static bool emit_plain(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define PLAIN(name, n, alu) \
    case UOP_##name##n: \
        emit_binary(j, u, (struct binary){alu, n, false, true, false, 0, NO_FLAGS}); \
        return true; \
    case UOP_##name##n##I: \
        emit_binary(j, u, (struct binary){alu, n, false, true, true, (uint##n##_t)u->imm, NO_FLAGS}); \
        return true;
#define FLAGGED(name, n, alu, fop) \
    case UOP_##name##n##_F: \
        emit_binary(j, u, (struct binary){alu, n, false, true, false, 0, fop}); \
        return true; \
    case UOP_##name##n##I_F: \
        emit_binary(j, u, (struct binary){alu, n, false, true, true, (uint##n##_t)u->imm, fop}); \
        return true;
#define BOTH(name, n, alu, fop) PLAIN(name, n, alu) FLAGGED(name, n, alu, fop)
#define SIZE(n) \
    BOTH(ADD, n, ALU_ADD, FLAGS_ADD) BOTH(SUB, n, ALU_SUB, FLAGS_SUB) BOTH(AND, n, ALU_AND, FLAGS_LOGIC) \
    BOTH(OR, n, ALU_OR, FLAGS_LOGIC) BOTH(XOR, n, ALU_XOR, FLAGS_LOGIC) \
    case UOP_CMP##n: \
        emit_binary(j, u, (struct binary){ALU_SUB, n, false, false, false, 0, FLAGS_SUB}); \
        return true; \
    case UOP_CMP##n##I: \
        emit_binary(j, u, (struct binary){ALU_SUB, n, false, false, true, (uint##n##_t)u->imm, FLAGS_SUB}); \
        return true; \
    case UOP_TEST##n: \
        emit_binary(j, u, (struct binary){ALU_AND, n, false, false, false, 0, FLAGS_LOGIC}); \
        return true; \
    case UOP_TEST##n##I: \
        emit_binary(j, u, (struct binary){ALU_AND, n, false, false, true, (uint##n##_t)u->imm, FLAGS_LOGIC}); \
        return true; \
    case UOP_ADC##n##_F: emit_carry(j, u, n, false, CARRY_ADD, true); return true; \
    case UOP_SBB##n##_F: emit_carry(j, u, n, false, CARRY_BORROW, true); return true; \
    case UOP_ADC##n: emit_carry(j, u, n, false, CARRY_ADD, false); return true; \
    case UOP_SBB##n: emit_carry(j, u, n, false, CARRY_BORROW, false); return true; \
    case UOP_INC##n##_F: emit_step(j, u, n, false, true); return true; \
    case UOP_DEC##n##_F: emit_step(j, u, n, false, false); return true; \
    case UOP_NEG##n##_F: emit_unary(j, u, n, false, true, true); return true; \
    case UOP_NEG##n: emit_unary(j, u, n, false, true, false); return true; \
    case UOP_NOT##n: emit_unary(j, u, n, false, false, false); return true; \
    case UOP_SHLR##n##_F: emit_shift_by(j, u, n, false, SHIFT_SHL); return true; \
    case UOP_SHRR##n##_F: emit_shift_by(j, u, n, false, SHIFT_SHR); return true; \
    case UOP_SARR##n##_F: emit_shift_by(j, u, n, false, SHIFT_SAR); return true; \
    case UOP_SHL##n##I_F: emit_shift_flags(j, u, n, false, SHIFT_SHL); return true; \
    case UOP_SHR##n##I_F: emit_shift_flags(j, u, n, false, SHIFT_SHR); return true; \
    case UOP_SAR##n##I_F: emit_shift_flags(j, u, n, false, SHIFT_SAR); return true;
    SIZE(8)
    SIZE(16)
    SIZE(32)
#undef SIZE
#undef BOTH
#undef FLAGGED
#undef PLAIN
    case UOP_SHL32I: emit_shift_imm(j, u, 32, false, SHIFT_SHL); return true;
    case UOP_SHR32I: emit_shift_imm(j, u, 32, false, SHIFT_SHR); return true;
    case UOP_SAR32I: emit_shift_imm(j, u, 32, false, SHIFT_SAR); return true;
    case UOP_ROL32I: emit_shift_imm(j, u, 32, false, SHIFT_ROL); return true;
    case UOP_ROR32I: emit_shift_imm(j, u, 32, false, SHIFT_ROR); return true;
    case UOP_MUL32: emit_multiply(j, u, 32, false, false); return true;
    case UOP_IMUL32_F: emit_multiply(j, u, 32, false, true); return true;
    case UOP_SETCC: emit_set_condition(j, u); return true;
    case UOP_CMOV16: emit_move_if(j, u, 16); return true;
    case UOP_CMOV32: emit_move_if(j, u, 32); return true;
    default: return false;
    }
}

static bool emit_moves(struct jit *j, const struct uop *u)
{
    switch (u->op) {
    case UOP_NOP: return true;
    case UOP_MOV8: emit_move(j, u, 8, 8, false, false); return true;
    case UOP_MOV16: emit_move(j, u, 16, 16, false, false); return true;
    case UOP_MOV32: emit_move(j, u, 32, 32, false, false); return true;
    case UOP_MOV64: emit_move(j, u, 64, 64, false, false); return true;
    case UOP_MOVI8:
    case UOP_MOVI16:
        x_mov_imm(&j->code, RAX, u->imm);
        operand_put(j, u->d, u->op == UOP_MOVI8 ? 8 : 16, j->home, RAX);
        return true;
    case UOP_MOVI32: operand_def_const(j, u->d, 32, u->imm); return true;
    case UOP_MOVI64: operand_def_const(j, u->d, 64, u->imm64); return true;
    case UOP_ZX8_16: emit_move(j, u, 8, 16, false, false); return true;
    case UOP_ZX8_32: emit_move(j, u, 8, 32, false, false); return true;
    case UOP_ZX16_32: emit_move(j, u, 16, 32, false, false); return true;
    case UOP_SX8_16: emit_move(j, u, 8, 16, true, false); return true;
    case UOP_SX8_32: emit_move(j, u, 8, 32, true, false); return true;
    case UOP_SX16_32: emit_move(j, u, 16, 32, true, false); return true;
    case UOP_XCHG8: emit_exchange(j, u, 8, false); return true;
    case UOP_XCHG16: emit_exchange(j, u, 16, false); return true;
    case UOP_XCHG32: emit_exchange(j, u, 32, false); return true;
    case UOP_LEA_W: emit_lea(j, u, 32, false, false); return true;
    case UOP_LEAX_W: emit_lea(j, u, 32, false, true); return true;
    case UOP_LEAX_X: emit_lea(j, u, 64, true, true); return true;
    case UOP_LEAX_32Z: emit_lea(j, u, 32, true, true); return true;
    case UOP_XCHG32Z: emit_exchange(j, u, 32, true); return true;
    case UOP_XCHG64: emit_exchange(j, u, 64, true); return true;
    case UOP_MOV32Z: emit_move(j, u, 32, 64, false, false); return true;
    case UOP_ZX8_64: emit_move(j, u, 8, 64, false, false); return true;
    case UOP_ZX16_64: emit_move(j, u, 16, 64, false, false); return true;
    case UOP_SX8_64: emit_move(j, u, 8, 64, true, false); return true;
    case UOP_SX16_64: emit_move(j, u, 16, 64, true, false); return true;
    case UOP_SX32_64: emit_move(j, u, 32, 64, true, false); return true;
    case UOP_SX8_32Z: emit_move(j, u, 8, 64, true, true); return true;
    case UOP_SX16_32Z: emit_move(j, u, 16, 64, true, true); return true;
    case UOP_BSWAP32:
    case UOP_BSWAP32Z:
        operand_get(j, RAX, u->a, 32, home_of(j, u->op == UOP_BSWAP32Z));
        x_bswap(&j->code, 32, RAX);
        operand_put(j, u->d, u->op == UOP_BSWAP32 ? 32 : 64, home_of(j, u->op == UOP_BSWAP32Z), RAX);
        return true;
    case UOP_RBIT64: emit_reverse_bits(j, u); return true;
    case UOP_BSWAP64:
    case UOP_REV32_64:
        operand_get(j, RAX, u->a, 64, 64);
        x_bswap(&j->code, 64, RAX);
        if (u->op == UOP_REV32_64)
            x_shift_imm(&j->code, 64, SHIFT_ROR, RAX, 32);
        operand_put(j, u->d, 64, 64, RAX);
        return true;
    case UOP_NOT64: emit_unary(j, u, 64, true, false, false); return true;
    case UOP_NOT32Z: emit_unary(j, u, 32, true, false, false); return true;
    default: return false;
    }
}

static bool emit_wide(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define B(alu, n, keep, fop) emit_binary(j, u, (struct binary){alu, n, true, keep, false, 0, fop})
#define I(alu, n, keep, fop, v) emit_binary(j, u, (struct binary){alu, n, true, keep, true, v, fop})
#define WIDE(z, n, IMM_N) \
    case UOP_ADD##z: B(ALU_ADD, n, true, NO_FLAGS); return true; \
    case UOP_SUB##z: B(ALU_SUB, n, true, NO_FLAGS); return true; \
    case UOP_AND##z: B(ALU_AND, n, true, NO_FLAGS); return true; \
    case UOP_OR##z: B(ALU_OR, n, true, NO_FLAGS); return true; \
    case UOP_XOR##z: B(ALU_XOR, n, true, NO_FLAGS); return true; \
    case UOP_ADD##z##I: I(ALU_ADD, n, true, NO_FLAGS, IMM_N); return true; \
    case UOP_SUB##z##I: I(ALU_SUB, n, true, NO_FLAGS, IMM_N); return true; \
    case UOP_AND##z##I: I(ALU_AND, n, true, NO_FLAGS, IMM_N); return true; \
    case UOP_OR##z##I: I(ALU_OR, n, true, NO_FLAGS, IMM_N); return true; \
    case UOP_XOR##z##I: I(ALU_XOR, n, true, NO_FLAGS, IMM_N); return true; \
    case UOP_ADD##z##_F: B(ALU_ADD, n, true, FLAGS_ADD); return true; \
    case UOP_SUBN##z##_F: B(ALU_SUB, n, true, FLAGS_SUBN); return true; \
    case UOP_AND##z##_F: B(ALU_AND, n, true, FLAGS_LOGIC); return true; \
    case UOP_ADD##z##I_F: I(ALU_ADD, n, true, FLAGS_ADD, IMM_N); return true; \
    case UOP_SUBN##z##I_F: I(ALU_SUB, n, true, FLAGS_SUBN, IMM_N); return true; \
    case UOP_AND##z##I_F: I(ALU_AND, n, true, FLAGS_LOGIC, IMM_N); return true; \
    case UOP_SUB##z##_F: B(ALU_SUB, n, true, FLAGS_SUB); return true; \
    case UOP_OR##z##_F: B(ALU_OR, n, true, FLAGS_LOGIC); return true; \
    case UOP_XOR##z##_F: B(ALU_XOR, n, true, FLAGS_LOGIC); return true; \
    case UOP_SUB##z##I_F: I(ALU_SUB, n, true, FLAGS_SUB, IMM_N); return true; \
    case UOP_OR##z##I_F: I(ALU_OR, n, true, FLAGS_LOGIC, IMM_N); return true; \
    case UOP_XOR##z##I_F: I(ALU_XOR, n, true, FLAGS_LOGIC, IMM_N); return true; \
    case UOP_SBB##z##_F: emit_carry(j, u, n, true, CARRY_BORROW, true); return true; \
    case UOP_SBB##z: emit_carry(j, u, n, true, CARRY_BORROW, false); return true; \
    case UOP_INC##z##_F: emit_step(j, u, n, true, true); return true; \
    case UOP_DEC##z##_F: emit_step(j, u, n, true, false); return true; \
    case UOP_NEG##z##_F: emit_unary(j, u, n, true, true, true); return true; \
    case UOP_SHLR##z##_F: emit_shift_by(j, u, n, true, SHIFT_SHL); return true; \
    case UOP_SHRR##z##_F: emit_shift_by(j, u, n, true, SHIFT_SHR); return true; \
    case UOP_SARR##z##_F: emit_shift_by(j, u, n, true, SHIFT_SAR); return true; \
    case UOP_SHL##z##I_F: emit_shift_flags(j, u, n, true, SHIFT_SHL); return true; \
    case UOP_SHR##z##I_F: emit_shift_flags(j, u, n, true, SHIFT_SHR); return true; \
    case UOP_SAR##z##I_F: emit_shift_flags(j, u, n, true, SHIFT_SAR); return true; \
    case UOP_ROL##z##I: emit_shift_imm(j, u, n, true, SHIFT_ROL); return true; \
    case UOP_IMUL##z##_F: emit_multiply(j, u, n, true, true); return true; \
    case UOP_CMN##z: B(ALU_ADD, n, false, FLAGS_ADD); return true; \
    case UOP_CMPN##z: B(ALU_SUB, n, false, FLAGS_SUBN); return true; \
    case UOP_TST##z: B(ALU_AND, n, false, FLAGS_LOGIC); return true; \
    case UOP_CMN##z##I: I(ALU_ADD, n, false, FLAGS_ADD, IMM_N); return true; \
    case UOP_CMPN##z##I: I(ALU_SUB, n, false, FLAGS_SUBN, IMM_N); return true; \
    case UOP_TST##z##I: I(ALU_AND, n, false, FLAGS_LOGIC, IMM_N); return true; \
    case UOP_ADDSH##z: emit_modified(j, u, ALU_ADD, n, false, NO_FLAGS); return true; \
    case UOP_SUBSH##z: emit_modified(j, u, ALU_SUB, n, false, NO_FLAGS); return true; \
    case UOP_BIC##z: emit_modified(j, u, ALU_AND, n, true, NO_FLAGS); return true; \
    case UOP_ORN##z: emit_modified(j, u, ALU_OR, n, true, NO_FLAGS); return true; \
    case UOP_EON##z: emit_modified(j, u, ALU_XOR, n, true, NO_FLAGS); return true; \
    case UOP_BIC##z##_F: emit_modified(j, u, ALU_AND, n, true, FLAGS_LOGIC); return true; \
    case UOP_NEG##z: emit_unary(j, u, n, true, true, false); return true; \
    case UOP_LSL##z: emit_shift_var(j, u, n, SHIFT_SHL); return true; \
    case UOP_LSR##z: emit_shift_var(j, u, n, SHIFT_SHR); return true; \
    case UOP_ASR##z: emit_shift_var(j, u, n, SHIFT_SAR); return true; \
    case UOP_ROR##z: emit_shift_var(j, u, n, SHIFT_ROR); return true; \
    case UOP_LSL##z##I: emit_shift_imm(j, u, n, true, SHIFT_SHL); return true; \
    case UOP_LSR##z##I: emit_shift_imm(j, u, n, true, SHIFT_SHR); return true; \
    case UOP_ASR##z##I: emit_shift_imm(j, u, n, true, SHIFT_SAR); return true; \
    case UOP_ROR##z##I: emit_shift_imm(j, u, n, true, SHIFT_ROR); return true; \
    case UOP_EXTR##z: \
        if (!(u->imm & (n - 1))) \
            return false; \
        operand_get(j, RAX, u->b, n, 64); \
        x_shrd(&j->code, n, RAX, operand_use(j, u->a, n, 64), u->imm & (n - 1)); \
        operand_put(j, u->d, 64, 64, RAX); \
        return true; \
    case UOP_UBF##z: emit_field(j, u, n, false); return true; \
    case UOP_SBF##z: emit_field(j, u, n, true); return true; \
    case UOP_BFI##z: emit_insert(j, u, n, false); return true; \
    case UOP_BFX##z: emit_insert(j, u, n, true); return true; \
    case UOP_MUL##z: emit_multiply(j, u, n, true, false); return true; \
    case UOP_MADD##z: emit_multiply_add(j, u, n, false); return true; \
    case UOP_MSUB##z: emit_multiply_add(j, u, n, true); return true; \
    case UOP_UDIV##z: emit_divide(j, u, n, false); return true; \
    case UOP_SDIV##z: emit_divide(j, u, n, true); return true; \
    case UOP_CLZ##z: emit_leading_zeros(j, u, n); return true; \
    case UOP_ADC##z: emit_carry(j, u, n, true, CARRY_ADD, false); return true; \
    case UOP_SBC##z: emit_carry(j, u, n, true, CARRY_NO_BORROW, false); return true; \
    case UOP_ADC##z##_F: emit_carry(j, u, n, true, CARRY_ADD, true); return true; \
    case UOP_SBCN##z##_F: emit_carry(j, u, n, true, CARRY_NO_BORROW, true); return true; \
    case UOP_CCMN##z: emit_compare_if(j, u, n, false, false); return true; \
    case UOP_CCMPN##z: emit_compare_if(j, u, n, true, false); return true; \
    case UOP_CCMN##z##I: emit_compare_if(j, u, n, false, true); return true; \
    case UOP_CCMPN##z##I: emit_compare_if(j, u, n, true, true); return true; \
    case UOP_CSEL##z: emit_select(j, u, n, OTHERWISE_B); return true; \
    case UOP_CSINC##z: emit_select(j, u, n, OTHERWISE_INC); return true; \
    case UOP_CSINV##z: emit_select(j, u, n, OTHERWISE_NOT); return true; \
    case UOP_CSNEG##z: emit_select(j, u, n, OTHERWISE_NEG); return true;
    WIDE(32Z, 32, u->imm)
    WIDE(64, 64, u->imm64)
#undef WIDE
#undef I
#undef B
    case UOP_CMP64:
        emit_binary(j, u, (struct binary){ALU_SUB, 64, true, false, false, 0, FLAGS_SUB});
        return true;
    case UOP_CMP64I:
        emit_binary(j, u, (struct binary){ALU_SUB, 64, true, false, true, u->imm64, FLAGS_SUB});
        return true;
    case UOP_UMULH64: emit_multiply_high(j, u, false); return true;
    case UOP_SMULH64: emit_multiply_high(j, u, true); return true;
    case UOP_UMADDL: emit_multiply_long(j, u, false, false); return true;
    case UOP_UMSUBL: emit_multiply_long(j, u, false, true); return true;
    case UOP_SMADDL: emit_multiply_long(j, u, true, false); return true;
    case UOP_SMSUBL: emit_multiply_long(j, u, true, true); return true;
    default: return false;
    }
}

bool emit_integer(struct jit *j, const struct uop *u)
{
    return emit_plain(j, u) || emit_moves(j, u) || emit_wide(j, u);
}
