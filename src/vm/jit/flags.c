/*
 * Lazy flags (vm/flags.h) in compiled code: noting them, and conditions.
 *
 * The noted operation is usually known when the block is compiled. Then the
 * operation is made again, from its result and operand, and the host's own flags tell;
 * flags noted in another block are left to flags_cond().
 */
#include "vm/jit/jit_priv.h"

#define SIZE_MASK 3u

static unsigned log2_bytes(unsigned bits)
{
    return bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
}

static unsigned at_op(const struct jit *j)
{
    return j->c->flags_offset + (unsigned)offsetof(struct lazy_flags, op);
}

static unsigned at_dst(const struct jit *j)
{
    return j->c->flags_offset + (unsigned)offsetof(struct lazy_flags, dst);
}

static unsigned at_src(const struct jit *j)
{
    return j->c->flags_offset + (unsigned)offsetof(struct lazy_flags, src);
}

void flags_note(struct jit *j, unsigned op, unsigned bits, unsigned result, unsigned operand)
{
    x_rr(&j->code, bits == 64 ? 64 : 32, X_MOV_LOAD, operand_def(j, at_src(j), 64), operand);
    flags_note_result(j, op, bits, result);
}

void flags_note_imm(struct jit *j, unsigned op, unsigned bits, unsigned result, uint64_t operand)
{
    flags_note_operand_imm(j, operand);
    flags_note_result(j, op, bits, result);
}

static void note_op(struct jit *j, unsigned op, unsigned bits)
{
    operand_def_const(j, at_op(j), 32, op | log2_bytes(bits));
    j->result_at = NULL;
}

void flags_note_result(struct jit *j, unsigned op, unsigned bits, unsigned result)
{
    unsigned width = bits == 64 ? 64 : 32, dst = operand_def(j, at_dst(j), 64);

    x_rr(&j->code, width, X_MOV_LOAD, dst, result);
    note_op(j, op, bits);
    if (result == RAX && bits >= 32) {
        j->rax_in = (uint8_t)dst;
        j->rax_bits = (uint8_t)width;
    }
}

void flags_note_operand_imm(struct jit *j, uint64_t operand)
{
    operand_def_const(j, at_src(j), 64, operand);
}

void flags_note_operand(struct jit *j, unsigned bits, unsigned offset, unsigned reg)
{
    if (!operand_share_zero_extended(j, at_src(j), 64, offset, bits))
        x_rr(&j->code, bits, X_MOV_LOAD, operand_def(j, at_src(j), 64), reg);
}

unsigned flags_note_operand_def(struct jit *j)
{
    return operand_def(j, at_src(j), 64);
}

void flags_note_operand_shared(struct jit *j, unsigned reg)
{
    operand_commit(j, at_src(j), 64, reg);
}

void flags_note_result_imm(struct jit *j, unsigned op, unsigned bits, uint64_t result)
{
    operand_def_const(j, at_dst(j), 64, result);
    note_op(j, op, bits);
}

unsigned flags_note_result_def(struct jit *j, unsigned op, unsigned bits)
{
    unsigned dst = operand_def(j, at_dst(j), 64);

    note_op(j, op, bits);
    return dst;
}

void flags_note_result_shared(struct jit *j, unsigned op, unsigned bits, unsigned reg)
{
    operand_commit(j, at_dst(j), 64, reg);
    note_op(j, op, bits);
}

void flags_note_result_of(struct jit *j, unsigned op, unsigned bits, unsigned offset, unsigned reg)
{
    if (!operand_share_zero_extended(j, at_dst(j), 64, offset, bits))
        x_rr(&j->code, bits, X_MOV_LOAD, operand_def(j, at_dst(j), 64), reg);
    note_op(j, op, bits);
}

enum flags_carry flags_kept_carry(const struct jit *j)
{
    uint64_t op;

    if (!operand_known(j, at_op(j), 32, &op))
        return CARRY_UNKNOWN;
    switch (op & ~(uint64_t)SIZE_MASK) {
    case FLAGS_LOGIC:
        return CARRY_CLEAR;
    case FLAGS_INC: case FLAGS_DEC:
        return CARRY_IS_OPERAND;
    default:
        return CARRY_UNKNOWN;
    }
}

/* ---- conditions ---- */

static unsigned use_dst(struct jit *j)
{
    return operand_use(j, at_dst(j), 64, 64);
}

static unsigned use_src(struct jit *j)
{
    return operand_use(j, at_src(j), 64, 64);
}

/* rax = the first operand of the subtraction or (sign -1) addition that was noted; then make it again. */
static void again(struct jit *j, unsigned bits, enum alu op, bool with_carry)
{
    struct code *e = &j->code;
    bool subtraction = op == ALU_SUB || op == ALU_SBB || op == ALU_CMP;
    unsigned dst = use_dst(j), src = use_src(j);

    x_rr(e, 64, X_MOV_LOAD, RAX, dst);
    x_alu(e, 64, subtraction ? ALU_ADD : ALU_SUB, RAX, src);
    if (with_carry) {
        x_alu_imm(e, 64, subtraction ? ALU_ADD : ALU_SUB, RAX, 1);
        code_8(e, 0xf9); /* STC */
    }
    x_alu(e, bits, op, RAX, src);
}

/* Conditions on zero, sign and parity of the result. */
static bool on_result(unsigned cond)
{
    return cond == COND_Z || cond == COND_NZ || cond == COND_S || cond == COND_NS || cond == COND_P || cond == COND_NP;
}

static bool needs_carry(unsigned cond)
{
    return cond == COND_C || cond == COND_NC || cond == COND_BE || cond == COND_A || cond >= COND_LS;
}

/* The host's condition for `cond` where its flags are the guest's; with `inverted`, its carry is
 * the opposite. -1: there is none. */
static int host_condition(unsigned cond, bool inverted)
{
    if (cond >= COND_LS)
        return !inverted ? -1 : cond == COND_LS ? CC_BE : CC_A;
    if (!needs_carry(cond) || !inverted)
        return (int)cond;
    return cond == COND_C ? CC_AE : cond == COND_NC ? CC_B : -1;
}

/* Carry alone, of operations that keep it in the operand. */
static int carry_of_operand(struct jit *j, unsigned bit, unsigned cond)
{
    x_bt_imm(&j->code, 64, use_src(j), bit);
    return cond == COND_C ? CC_B : CC_AE;
}

/* A condition on flags that lie there one by one: the host's NE or E, or of the carry its B or AE. */
static int explicit_condition(struct jit *j, unsigned cond)
{
    static const uint16_t masks[] = {FLAG_O, FLAG_C, FLAG_Z, FLAG_C | FLAG_Z, FLAG_S, FLAG_P};
    struct code *e = &j->code;
    unsigned dst = use_dst(j);

    if (cond >= COND_LS)
        return -1;
    if (cond == COND_C || cond == COND_NC) {
        x_bt_imm(e, 32, dst, 0);
        return cond == COND_C ? CC_B : CC_AE;
    }
    if (cond < COND_L) {
        x_test_imm(e, 32, dst, masks[cond >> 1]);
    } else { /* S is not O; or Z */
        x_mov(e, 32, RAX, dst);
        x_shift_imm(e, 32, SHIFT_SHR, RAX, 4);
        x_alu(e, 32, ALU_XOR, RAX, dst);
        if (cond >= COND_LE) {
            x_mov(e, 32, RDX, dst);
            x_alu(e, 32, ALU_ADD, RDX, RDX);
            x_alu_imm(e, 32, ALU_AND, RDX, FLAG_S);
            x_alu_imm(e, 32, ALU_AND, RAX, FLAG_S);
            x_alu(e, 32, ALU_OR, RAX, RDX);
        } else {
            x_test_imm(e, 32, RAX, FLAG_S);
        }
    }
    return cond & 1 ? CC_E : CC_NE;
}
_Static_assert(FLAG_O >> 4 == FLAG_S && FLAG_Z << 1 == FLAG_S, "as they are put together here");

static int known_condition(struct jit *j, unsigned op, unsigned cond)
{
    struct code *e = &j->code;
    unsigned bits = 8u << (op & SIZE_MASK);
    bool carry = cond == COND_C || cond == COND_NC;

    op &= ~SIZE_MASK;
    if (on_result(cond) && op != FLAGS_EXPLICIT) {
        unsigned dst = use_dst(j);

        x_test(e, cond == COND_P || cond == COND_NP ? 8 : bits, dst, dst);
        return (int)cond;
    }
    switch (op) {
    case FLAGS_EXPLICIT:
        return explicit_condition(j, cond);
    case FLAGS_ADD:
    case FLAGS_ADC:
        if (carry && op == FLAGS_ADD) {
            unsigned dst = use_dst(j);
            uint64_t src;

            if (operand_known(j, at_src(j), 64, &src) && fits_32((int64_t)src))
                x_alu_imm(e, 64, ALU_CMP, dst, (int32_t)src);
            else
                x_alu(e, 64, ALU_CMP, dst, use_src(j));
            return cond == COND_C ? CC_B : CC_AE;
        }
        again(j, bits, op == FLAGS_ADD ? ALU_ADD : ALU_ADC, op == FLAGS_ADC);
        if (cond < COND_LS)
            return (int)cond;
        code_8(e, 0xf5); /* CMC */
        return host_condition(cond, true);
    case FLAGS_SUB:
    case FLAGS_SBB:
        if (host_condition(cond, false) < 0)
            return -1;
        again(j, bits, op == FLAGS_SUB ? ALU_CMP : ALU_SBB, op == FLAGS_SBB);
        return host_condition(cond, false);
    case FLAGS_SUBN:
    case FLAGS_SBBN:
        if (host_condition(cond, true) < 0)
            return -1;
        again(j, bits, op == FLAGS_SUBN ? ALU_CMP : ALU_SBB, op == FLAGS_SBBN);
        return host_condition(cond, true);
    case FLAGS_LOGIC:
        if (cond >= COND_LS)
            return -1;
        x_test(e, bits, use_dst(j), use_dst(j));
        return (int)cond;
    case FLAGS_INC:
    case FLAGS_DEC:
        if (carry)
            return carry_of_operand(j, 0, cond);
        if (needs_carry(cond))
            return -1;
        x_rr(e, 64, X_MOV_LOAD, RAX, use_dst(j));
        x_alu_imm(e, 64, op == FLAGS_INC ? ALU_SUB : ALU_ADD, RAX, 1);
        x_unary(e, bits, 0xff, op == FLAGS_INC ? 0 : 1, RAX);
        return (int)cond;
    case FLAGS_SHR:
        return carry ? carry_of_operand(j, 0, cond) : -1;
    case FLAGS_SHL:
        return carry ? carry_of_operand(j, bits - 1, cond) : -1;
    case FLAGS_MUL:
        if (!carry && cond != COND_O && cond != COND_NO)
            return -1;
        x_rr(e, 64, X_MOV_LOAD, RAX, use_src(j));
        x_neg(e, 64, RAX);
        return cond == COND_C || cond == COND_O ? CC_B : CC_AE;
    default:
        return -1;
    }
}

/* Compare the noted operation, in memory, with `op`. */
static void compare_op(struct jit *j, unsigned op)
{
    x_rm(&j->code, 32, 0x83, ALU_CMP, R_STATE, state_disp(at_op(j)));
    code_8(&j->code, op);
}

/* Zero, of flags noted in another block: the host's E. */
static void zero_from_memory(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *explicit, *done;

    compare_op(j, FLAGS_EXPLICIT);
    explicit = x_jcc(e, CC_E);
    x_rm(e, 64, 0x83, ALU_CMP, R_STATE, state_disp(at_dst(j)));
    code_8(e, 0);
    done = x_jmp(e);
    x_here(e, explicit);
    x_load(e, 32, RAX, R_STATE, state_disp(at_dst(j)));
    x_not(e, 32, RAX);
    x_test_imm(e, 32, RAX, FLAG_Z);
    x_here(e, done);
}

/* Carry, likewise: the host's B. */
static void carry_from_memory(struct jit *j)
{
    vectors_release(j);
    call_stub(j, j->stubs.carry);
}

/* Another condition, likewise: the host's NE. */
static void condition_from_memory(struct jit *j, unsigned cond)
{
    struct code *e = &j->code;
    int cc = host_condition(cond, false);
    uint8_t *other, *done;

    vectors_release(j);
    if (cc < 0) {
        x_mov_imm(e, RAX, cond);
        call_stub(j, j->stubs.condition);
        return;
    }
    compare_op(j, FLAGS_SUB | log2_bytes(32));
    other = x_jcc(e, CC_NE);
    x_load(e, 32, RAX, R_STATE, state_disp(at_dst(j)));
    x_rm(e, 32, 8u * ALU_ADD + 3u, RAX, R_STATE, state_disp(at_src(j)));
    x_rm(e, 32, 8u * ALU_CMP + 3u, RAX, R_STATE, state_disp(at_src(j)));
    x_setcc(e, (unsigned)cc, RAX);
    done = x_jmp(e);
    x_here(e, other);
    x_mov_imm(e, RAX, cond);
    call_stub(j, j->stubs.condition);
    x_here(e, done);
    x_test(e, 8, RAX, RAX);
}

unsigned flags_condition(struct jit *j, unsigned cond)
{
    uint64_t op;
    int cc = -1;

    if (operand_known(j, at_op(j), 32, &op))
        cc = known_condition(j, (unsigned)op, cond);
    if (cc >= 0)
        return (unsigned)cc;
    operands_release(j, j->c->flags_offset, sizeof(struct lazy_flags));
    if (cond == COND_Z || cond == COND_NZ) {
        zero_from_memory(j);
        return cond == COND_Z ? CC_E : CC_NE;
    }
    if (cond == COND_C || cond == COND_NC) {
        carry_from_memory(j);
        return cond == COND_C ? CC_B : CC_AE;
    }
    condition_from_memory(j, cond);
    return CC_NE;
}

/* ---- all six ---- */

/* eax = the host's flags that are among `mask`. */
static void host_flags(struct jit *j, uint32_t mask)
{
    struct code *e = &j->code;

    code_8(e, 0x9c); /* PUSHF */
    x_pop(e, RAX);
    x_alu_imm(e, 32, ALU_AND, RAX, (int32_t)mask);
}

/* C from a bit of the operand noted, O from bit 0 of rdx. */
static void add_carry_overflow(struct jit *j, unsigned carry_bit)
{
    struct code *e = &j->code;

    x_alu_imm(e, 32, ALU_AND, RDX, 1);
    x_shift_imm(e, 32, SHIFT_SHL, RDX, 11);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    x_bt_imm(e, 64, use_src(j), carry_bit);
    x_alu_imm(e, 32, ALU_ADC, RAX, 0);
}

static bool known_flags(struct jit *j, unsigned op)
{
    struct code *e = &j->code;
    unsigned bits = 8u << (op & SIZE_MASK);

    op &= ~SIZE_MASK;
    switch (op) {
    case FLAGS_EXPLICIT:
        x_rr(e, 32, X_MOV_LOAD, RAX, use_dst(j));
        x_alu_imm(e, 32, ALU_AND, RAX, FLAGS_ALL);
        return true;
    case FLAGS_ADD:
    case FLAGS_ADC:
        again(j, bits, op == FLAGS_ADD ? ALU_ADD : ALU_ADC, op == FLAGS_ADC);
        host_flags(j, FLAGS_ALL);
        return true;
    case FLAGS_SUB:
    case FLAGS_SUBN:
        again(j, bits, ALU_CMP, false);
        host_flags(j, FLAGS_ALL);
        if (op == FLAGS_SUBN)
            x_alu_imm(e, 32, ALU_XOR, RAX, FLAG_C);
        return true;
    case FLAGS_SBB:
    case FLAGS_SBBN:
        again(j, bits, ALU_SBB, true);
        host_flags(j, FLAGS_ALL);
        if (op == FLAGS_SBBN)
            x_alu_imm(e, 32, ALU_XOR, RAX, FLAG_C);
        return true;
    case FLAGS_LOGIC:
        x_test(e, bits, use_dst(j), use_dst(j));
        host_flags(j, FLAG_Z | FLAG_S | FLAG_P);
        return true;
    case FLAGS_INC:
    case FLAGS_DEC:
        x_rr(e, 64, X_MOV_LOAD, RAX, use_dst(j));
        x_alu_imm(e, 64, op == FLAGS_INC ? ALU_SUB : ALU_ADD, RAX, 1);
        x_bt_imm(e, 64, use_src(j), 0);
        x_unary(e, bits, 0xff, op == FLAGS_INC ? 0 : 1, RAX);
        host_flags(j, FLAGS_ALL);
        return true;
    case FLAGS_SHL:
    case FLAGS_SHR:
    case FLAGS_MUL:
        x_rr(e, 64, X_MOV_LOAD, RDX, use_src(j));
        x_test(e, bits, use_dst(j), use_dst(j));
        host_flags(j, FLAG_Z | FLAG_S | FLAG_P);
        if (op == FLAGS_MUL) {
            x_neg(e, 64, RDX);
            x_alu(e, 32, ALU_SBB, RDX, RDX);
            x_alu_imm(e, 32, ALU_AND, RDX, FLAG_C | FLAG_O);
            x_alu(e, 32, ALU_OR, RAX, RDX);
            return true;
        }
        x_alu(e, 64, ALU_XOR, RDX, use_dst(j));
        x_shift_imm(e, 64, SHIFT_SHR, RDX, bits - 1);
        add_carry_overflow(j, op == FLAGS_SHL ? bits - 1 : 0);
        return true;
    default:
        return false;
    }
}

void flags_get(struct jit *j)
{
    uint64_t op;

    if (operand_known(j, at_op(j), 32, &op) && known_flags(j, (unsigned)op))
        return;
    operands_release(j, j->c->flags_offset, sizeof(struct lazy_flags));
    vectors_release(j);
    call_stub(j, j->stubs.flags);
}

void flags_put(struct jit *j)
{
    operand_def_const(j, at_src(j), 64, 0);
    x_rr(&j->code, 32, X_MOV_LOAD, operand_def(j, at_dst(j), 64), RAX);
    operand_def_const(j, at_op(j), 32, FLAGS_EXPLICIT);
}

/* ---- micro-ops of the flags by themselves ---- */

static void emit_flags_change(struct jit *j, const struct uop *u)
{
    flags_get(j);
    x_alu_imm(&j->code, 32, ALU_AND, RAX, (int32_t)(u->imm & FLAGS_ALL));
    x_alu_imm(&j->code, 32, ALU_XOR, RAX, (int32_t)(u->aux & FLAGS_ALL));
    flags_put(j);
}

static void emit_flags_take(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    const uint32_t taken = u->imm & FLAGS_ALL;

    if (taken == FLAGS_ALL) {
        operand_get(j, RAX, u->a, 32, j->home);
        x_alu_imm(e, 32, ALU_AND, RAX, FLAGS_ALL);
    } else {
        flags_get(j);
        operand_get(j, RDX, u->a, 32, j->home);
        x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)taken);
        x_alu_imm(e, 32, ALU_AND, RDX, (int32_t)taken);
        x_alu(e, 32, ALU_OR, RAX, RDX);
    }
    flags_put(j);
}

static void emit_flags_get(struct jit *j, const struct uop *u)
{
    flags_get(j);
    operand_put(j, u->d, 32, j->home, RAX);
}

static void emit_equal(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 64, 64), b = operand_use(j, u->b, 64, 64);

    flags_get(j);
    x_alu_imm(e, 32, ALU_AND, RAX, ~(int32_t)FLAG_Z);
    x_alu(e, 64, ALU_CMP, a, b);
    x_setcc(e, CC_E, RDX);
    x_rr(e, 32, X_MOVZX8, RDX, RDX);
    x_shift_imm(e, 32, SHIFT_SHL, RDX, 6);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    flags_put(j);
}

bool emit_flags(struct jit *j, const struct uop *u)
{
    switch ((enum uop_code)u->op) {
    case UOP_FLAGS_CHANGE: emit_flags_change(j, u); return true;
    case UOP_FLAGS_TAKE: emit_flags_take(j, u); return true;
    case UOP_FLAGS_GET: emit_flags_get(j, u); return true;
    case UOP_EQUAL64_F: emit_equal(j, u); return true;
    default: return false;
    }
}
