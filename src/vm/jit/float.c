/*
 * Floating-point micro-ops in x86-64 code, where the host gives what the target would: the
 * control words say that nothing but nearest rounding is asked for and that inexact is raised
 * already (ucpu.float_rules), and the result is neither tiny nor infinite nor a NaN. All else
 * is done by frontend.float_op, from a path out of line. (See softfloat.c for why that is enough; here
 * denormal operands need no notice: the rules exclude flushing, and without it they raise nothing.)
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

/* [state + offset] & mask, then a jump out of line on cc. */
static void check_word(struct jit *j, struct slow *s, unsigned n, unsigned offset, uint32_t mask, unsigned cc)
{
    struct code *e = &j->code;

    x_rm(e, 32, 0xf7, 0, R_STATE, state_disp(offset));
    code_32(e, mask);
    s->from[n] = x_jcc(e, cc);
}

static void check_rules(struct jit *j, struct slow *s)
{
    const struct float_rules *r = &j->c->float_rules;

    check_word(j, s, 0, r->clear_at, r->clear, CC_NE);
    check_word(j, s, 1, r->set_at, r->set, CC_E);
}

/* rax = the result in xmm0. A jump out of line unless it is safe, or zero where that may be. */
static void check_result(struct jit *j, struct slow *s, unsigned bits, bool zero)
{
    struct code *e = &j->code;
    unsigned exponent_bits = bits == 64 ? 11 : 8;
    uint8_t *safe = NULL;

    code_8(e, 0x66);
    x_rr(e, bits, 0x0f7e, 0, RAX);
    x_mov(e, bits, RDX, RAX);
    x_shift_imm(e, bits, SHIFT_SHR, RDX, bits - 1 - exponent_bits);
    x_alu_imm(e, 32, ALU_AND, RDX, (1 << exponent_bits) - 1);
    x_alu_imm(e, 32, ALU_SUB, RDX, 2);
    x_alu_imm(e, 32, ALU_CMP, RDX, (1 << exponent_bits) - 3);
    if (!zero) {
        s->from[2] = x_jcc(e, CC_AE);
        return;
    }
    safe = x_jcc(e, CC_B);
    x_rmx(e, bits, X_LEA, RDX, RAX, RAX, 0, 0);
    x_test(e, bits, RDX, RDX);
    s->from[2] = x_jcc(e, CC_NE);
    x_here(e, safe);
}

static void to_xmm(struct jit *j, unsigned bits, unsigned xmm, unsigned reg)
{
    code_8(&j->code, 0x66);
    x_rr(&j->code, bits, 0x0f6e, xmm, reg);
}

/* d = rax, the rest of its 128 bits 0. begin() made the slot. */
static void put_result(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    x_rr(e, bits, X_MOV_LOAD, operand_def(j, u->d, 64), RAX);
    x_store_imm(e, 64, R_STATE, state_disp(u->d + 8u), 0);
}

static struct slow *begin(struct jit *j, const struct uop *u)
{
    struct slow *s;

    operand_own(j, u->d, 64);
    operands_release(j, u->d + 8u, 8);
    operands_release(j, j->c->float_rules.clear_at, 4);
    operands_release(j, j->c->float_rules.set_at, 4);
    s = slow_path(j, SLOW_GENERIC);
    check_rules(j, s);
    return s;
}

static void emit_two(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode, bool zero)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);
    struct slow *s = begin(j, u);

    to_xmm(j, bits, 0, a);
    to_xmm(j, bits, 1, b);
    x_sse_rr(e, bits == 64 ? 0xf2 : 0xf3, opcode, 0, 1);
    check_result(j, s, bits, zero);
    put_result(j, u, bits);
    s->back = e->at;
}

/* VFMADD213Sx and its kin: xmm0 = +-(xmm1 * xmm0) +- xmm2; without them, a call. */
static bool emit_fused(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode)
{
    const uint8_t vex[] = {0xc4, 0xe2, bits == 64 ? 0xf1 : 0x71, (uint8_t)opcode, 0xc2};
    struct code *e = &j->code;
    unsigned a, b, c;
    struct slow *s;

    if (!__builtin_cpu_supports("fma"))
        return false;
    a = operand_use(j, u->a, bits, 64);
    b = operand_use(j, u->b, bits, 64);
    c = operand_use(j, u->imm, bits, 64);
    s = begin(j, u);
    to_xmm(j, bits, 0, a);
    to_xmm(j, bits, 1, b);
    to_xmm(j, bits, 2, c);
    code_bytes(e, vex, sizeof(vex));
    check_result(j, s, bits, false);
    put_result(j, u, bits);
    s->back = e->at;
    return true;
}

static void emit_from_integer(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 64, 64);
    struct slow *s = begin(j, u);

    code_8(e, bits == 64 ? 0xf2 : 0xf3);
    x_rr(e, 64, 0x0f2a, 0, a); /* CVTSI2Sx */
    code_8(e, 0x66);
    x_rr(e, bits, 0x0f7e, 0, RAX);
    put_result(j, u, bits);
    s->back = e->at;
}

/* ---- vectors ---- */

static void vector_constant(struct jit *j, unsigned xmm, uint64_t element)
{
    x_mov_imm(&j->code, RAX, element);
    to_xmm(j, 64, xmm, RAX);
    x_sse_rr(&j->code, 0x66, 0x70, xmm, xmm); /* PSHUFD: both halves */
    code_8(&j->code, 0x44);
}

/* A jump out of line unless every element of xmm0 is safe, or zero where that may be. */
static void check_vector(struct jit *j, struct slow *s, unsigned bits, bool zero)
{
    struct code *e = &j->code;
    bool wide = bits == 64;
    unsigned shift = wide ? 0x0f73 : 0x0f72;

    /* xmm1 = the exponents; wide: in the lower halves of elements */
    x_sse_rr(e, 0, 0x28, 1, 0);
    for (unsigned i = 0; i < 2; i++) {
        code_8(e, 0x66);
        x_opcode(e, 32, shift, 0, 0, 1, false);
        code_8(e, 0xc0 | (i ? 2u : 6u) << 3 | 1);
        code_8(e, i ? (wide ? 53 : 24) : 1);
    }
    /* xmm2 = the greatest > exponent, xmm1 = exponent > 1; upper halves always */
    vector_constant(j, 2, wide ? UINT64_C(0x1000007ff) : UINT64_C(0xff000000ff));
    x_sse_rr(e, 0x66, 0x66, 2, 1);
    vector_constant(j, 3, wide ? UINT64_C(0xffffffff00000001) : UINT64_C(0x100000001));
    x_sse_rr(e, 0x66, 0x66, 1, 3);
    x_sse_rr(e, 0x66, 0xdb, 1, 2);
    if (zero) { /* twice the element is 0; wide: both halves of it, or neither helps */
        x_sse_rr(e, 0, 0x28, 2, 0);
        x_sse_rr(e, 0x66, wide ? 0xd4 : 0xfe, 2, 2);
        x_sse_rr(e, 0x66, 0xef, 3, 3);
        x_sse_rr(e, 0x66, 0x76, 2, 3);
        if (wide) {
            x_sse_rr(e, 0x66, 0x70, 3, 2);
            code_8(e, 0xb1);
            x_sse_rr(e, 0x66, 0xdb, 2, 3);
        }
        x_sse_rr(e, 0x66, 0xeb, 1, 2);
    }
    x_sse_rr(e, 0x66, 0xd7, RAX, 1); /* PMOVMSKB */
    x_alu_imm(e, 32, ALU_CMP, RAX, 0xffff);
    s->from[2] = x_jcc(e, CC_NE);
}

/* The operands' registers, in which an operation may follow. */
struct vectors {
    unsigned d, a, b;
    struct slow *slow;
};

static struct vectors begin_vector(struct jit *j, const struct uop *u)
{
    struct vectors v;

    operands_release(j, j->c->float_rules.clear_at, 4);
    operands_release(j, j->c->float_rules.set_at, 4);
    v.d = vector_own(j, u->d);
    v.a = vector_use(j, u->a);
    v.b = vector_use(j, u->b);
    v.slow = slow_path(j, SLOW_GENERIC);
    check_rules(j, v.slow);
    x_sse_rr(&j->code, 0, 0x28, 0, v.a);
    return v;
}

static void emit_vector_two(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode, bool zero)
{
    struct code *e = &j->code;
    struct vectors v = begin_vector(j, u);

    x_sse_rr(e, bits == 64 ? 0x66 : 0, opcode, 0, v.b);
    check_vector(j, v.slow, bits, zero);
    x_sse_rr(e, 0, 0x28, v.d, 0);
    v.slow->back = e->at;
}

static bool emit_vector_fused(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode)
{
    const uint8_t vex[] = {0xc4, 0xe2, bits == 64 ? 0xf1 : 0x71, (uint8_t)opcode, 0xc2};
    struct code *e = &j->code;
    struct vectors v;

    if (!__builtin_cpu_supports("fma"))
        return false;
    v = begin_vector(j, u);
    x_sse_rr(e, 0, 0x28, 1, v.b);
    x_sse_rr(e, 0, 0x28, 2, v.d);
    code_bytes(e, vex, sizeof(vex));
    check_vector(j, v.slow, bits, false);
    x_sse_rr(e, 0, 0x28, v.d, 0);
    v.slow->back = e->at;
    return true;
}

bool emit_float(struct jit *j, const struct uop *u)
{
    if (!j->c->fe->float_op)
        return false;
    switch (u->op) {
    case UOP_FADD32: emit_two(j, u, 32, 0x58, true); return true;
    case UOP_FADD64: emit_two(j, u, 64, 0x58, true); return true;
    case UOP_FSUB32: emit_two(j, u, 32, 0x5c, true); return true;
    case UOP_FSUB64: emit_two(j, u, 64, 0x5c, true); return true;
    case UOP_FMUL32: emit_two(j, u, 32, 0x59, false); return true;
    case UOP_FMUL64: emit_two(j, u, 64, 0x59, false); return true;
    case UOP_FDIV32: emit_two(j, u, 32, 0x5e, false); return true;
    case UOP_FDIV64: emit_two(j, u, 64, 0x5e, false); return true;
    case UOP_FMADD32: return emit_fused(j, u, 32, 0xa9);
    case UOP_FMADD64: return emit_fused(j, u, 64, 0xa9);
    case UOP_FMSUB32: return emit_fused(j, u, 32, 0xad);
    case UOP_FMSUB64: return emit_fused(j, u, 64, 0xad);
    case UOP_FNMADD32: return emit_fused(j, u, 32, 0xaf);
    case UOP_FNMADD64: return emit_fused(j, u, 64, 0xaf);
    case UOP_FNMSUB32: return emit_fused(j, u, 32, 0xab);
    case UOP_FNMSUB64: return emit_fused(j, u, 64, 0xab);
    case UOP_FSCVT32: emit_from_integer(j, u, 32); return true;
    case UOP_FSCVT64: emit_from_integer(j, u, 64); return true;
    case UOP_VFADD32: emit_vector_two(j, u, 32, 0x58, true); return true;
    case UOP_VFADD64: emit_vector_two(j, u, 64, 0x58, true); return true;
    case UOP_VFSUB32: emit_vector_two(j, u, 32, 0x5c, true); return true;
    case UOP_VFSUB64: emit_vector_two(j, u, 64, 0x5c, true); return true;
    case UOP_VFMUL32: emit_vector_two(j, u, 32, 0x59, false); return true;
    case UOP_VFMUL64: emit_vector_two(j, u, 64, 0x59, false); return true;
    case UOP_VFDIV32: emit_vector_two(j, u, 32, 0x5e, false); return true;
    case UOP_VFDIV64: emit_vector_two(j, u, 64, 0x5e, false); return true;
    case UOP_VFMLA32: return emit_vector_fused(j, u, 32, 0xa8);
    case UOP_VFMLA64: return emit_vector_fused(j, u, 64, 0xa8);
    case UOP_VFMLS32: return emit_vector_fused(j, u, 32, 0xac);
    case UOP_VFMLS64: return emit_vector_fused(j, u, 64, 0xac);
    default: return false;
    }
}
