/*
 * Floating-point micro-ops in x86-64 code, where the host gives what the target would: the
 * control words say that nothing but nearest rounding is asked for and that inexact is raised
 * already (ucpu.float_rules), and the result is neither tiny nor infinite nor a NaN, or, at a second look, exact: an
 * infinity of an infinite operand, a zero of a zero. All else is done by frontend.float_op, from a path out of line. (See softfloat.c for why that is enough; here
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

    check_word(j, s, 1, r->clear_at, r->clear, CC_NE);
    check_word(j, s, 2, r->set_at, r->set, CC_E);
}

static void to_xmm(struct jit *j, unsigned bits, unsigned xmm, unsigned reg)
{
    code_8(&j->code, 0x66);
    x_rr(&j->code, bits, 0x0f6e, xmm, reg);
}

/* rax = the result in xmm0. A jump out of line unless it is safe. */
static void check_result(struct jit *j, struct slow *s, unsigned bits)
{
    struct code *e = &j->code;
    unsigned exponent_bits = bits == 64 ? 11 : 8;

    code_8(e, 0x66);
    x_rr(e, bits, 0x0f7e, 0, RAX);
    x_mov(e, bits, RDX, RAX);
    x_shift_imm(e, bits, SHIFT_SHR, RDX, bits - 1 - exponent_bits);
    x_alu_imm(e, 32, ALU_AND, RDX, (1 << exponent_bits) - 1);
    x_alu_imm(e, 32, ALU_SUB, RDX, 2);
    x_alu_imm(e, 32, ALU_CMP, RDX, (1 << exponent_bits) - 3);
    s->from[0] = x_jcc(e, CC_AE);
    s->retry = e->at;
}

/* ---- the second look ---- */

#define P_66 0x66u

static void copy(struct jit *j, unsigned to, unsigned from)
{
    if (to != from)
        x_sse_rr(&j->code, 0, 0x28, to, from); /* MOVAPS */
}

static void op_66(struct jit *j, unsigned opcode, unsigned to, unsigned from)
{
    x_sse_rr(&j->code, P_66, opcode, to, from);
}

/* The elements of `xmm` become ones where they are those of `what`, else zeros. Destroys xmm7. */
static void equal(struct jit *j, bool wide, unsigned xmm, unsigned what)
{
    op_66(j, 0x76, xmm, what);
    if (!wide)
        return;
    op_66(j, 0x70, 7, xmm); /* PSHUFD: the other half, too */
    code_8(&j->code, 0xb1);
    op_66(j, 0xdb, xmm, 7);
}

/* Elements of xmm0 = f(xmm1, xmm2, xmm3) that are not safe may be exact all the same: infinite where an operand is (and the
 * result no NaN), zero where a factor or dividend is or a divisor is infinite, and any sum of zero. eax: bit n: element n
 * is safe. The host's E: so all are good. Keeps xmm0. */
static uint8_t *make_look(struct jit *j, enum float_look look, bool wide)
{
    enum { SAVED = 4, KEPT = 5 }; /* xmm0, and from xmm4 on; below the stack's end, where nobody else writes */
    const unsigned add = wide ? 0xd4 : 0xfe, operands = look == LOOK_FUSED ? 3 : 2;
    struct code *e = &j->code;
    uint8_t *stub = e->at;

    for (unsigned i = 0; i < KEPT; i++)
        x_sse_rm(e, 0, X_MOVUPS_STORE, i ? SAVED + i - 1 : 0, RSP, -16 * (int32_t)(i + 1));
    for (unsigned i = 0; i <= operands; i++)
        op_66(j, add, i, i); /* the signs are gone */
    op_66(j, 0x76, 4, 4);
    code_8(e, P_66);
    x_opcode(e, 32, wide ? 0x0f73 : 0x0f72, 0, 0, 4, false); /* PSLLQ, PSLLD: infinity */
    code_8(e, 0xc0 | 6 << 3 | 4);
    code_8(e, wide ? 53 : 24);
    copy(j, 5, 1);
    equal(j, wide, 5, 4);
    for (unsigned i = 2; i <= operands; i++) {
        copy(j, 6, i);
        equal(j, wide, 6, 4);
        op_66(j, 0xeb, 5, 6);
    }
    copy(j, 6, 0);
    equal(j, wide, 6, 4);
    op_66(j, 0xdb, 5, 6);
    op_66(j, 0xef, 6, 6);
    equal(j, wide, 0, 6);
    if (look != LOOK_SUM) {
        equal(j, wide, 1, 6);
        equal(j, wide, 2, look == LOOK_QUOTIENT ? 4 : 6);
        op_66(j, 0xeb, 1, 2);
        op_66(j, 0xdb, 0, 1);
    }
    op_66(j, 0xeb, 5, 0);
    x_sse_rr(e, wide ? P_66 : 0, 0x50, RDX, 5); /* MOVMSKPD, MOVMSKPS */
    x_alu(e, 32, ALU_OR, RAX, RDX);
    for (unsigned i = 0; i < KEPT; i++)
        x_sse_rm(e, 0, X_MOVUPS_LOAD, i ? SAVED + i - 1 : 0, RSP, -16 * (int32_t)(i + 1));
    x_alu_imm(e, 32, ALU_CMP, RAX, wide ? 3 : 15);
    x_ret(e);
    return stub;
}

/* Added to twice an element (of 64 bits: to its upper half) so that safe ones become those below the second, as signed numbers. */
static uint8_t *make_bounds(struct jit *j, bool wide)
{
    const uint32_t shift = wide ? 21 : 24, most = wide ? 2045 : 253;
    struct code *e = &j->code;
    uint8_t *at;

    while ((uintptr_t)e->at & 15)
        code_8(e, 0xcc);
    at = e->at;
    for (unsigned i = 0; i < 4; i++)
        code_32(e, wide && !(i & 1) ? 0 : (UINT32_C(1) << 31) - (UINT32_C(2) << shift));
    for (unsigned i = 0; i < 4; i++)
        code_32(e, (most << shift) - (UINT32_C(1) << 31));
    return at;
}

void float_stubs(struct jit *j)
{
    if (!j->c->fe->float_op)
        return;
    for (unsigned wide = 0; wide < 2; wide++) {
        j->stubs.float_bounds[wide] = make_bounds(j, wide);
        for (unsigned look = 0; look < LOOKS; look++)
            j->stubs.float_look[look][wide] = make_look(j, (enum float_look)look, wide);
    }
}

void float_second_look(struct jit *j, const struct slow *s)
{
    const unsigned operands = s->look == LOOK_FUSED ? 3 : 2;
    struct code *e = &j->code;

    for (unsigned i = 0; i < operands; i++)
        if (s->scalar)
            to_xmm(j, s->bits, i + 1, s->reg[i]);
        else
            copy(j, i + 1, s->reg[i]);
    if (s->scalar)
        x_mov_imm(e, RAX, 0);
    call_stub(j, j->stubs.float_look[s->look][s->bits == 64]);
    if (!s->scalar)
        return;
    code_8(e, P_66);
    x_rr(e, s->bits, 0x0f7e, 0, RAX); /* the flags stay */
}

/* d = rax, the rest of its 128 bits 0. begin() made the slot. */
static void put_result(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    x_rr(e, bits, X_MOV_LOAD, operand_def(j, u->d, 64), RAX);
    x_store_imm(e, 64, R_STATE, state_disp(u->d + 8u), 0);
}

static struct slow *begin(struct jit *j, const struct uop *u, enum float_look look, unsigned bits)
{
    struct slow *s;

    operand_own(j, u->d, 64);
    operands_release(j, u->d + 8u, 8);
    operands_release(j, j->c->float_rules.clear_at, 4);
    operands_release(j, j->c->float_rules.set_at, 4);
    s = slow_path(j, SLOW_FLOAT);
    s->look = (uint8_t)look;
    s->bits = (uint8_t)bits;
    s->scalar = true;
    check_rules(j, s);
    return s;
}

static void emit_two(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode, enum float_look look)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);
    struct slow *s = begin(j, u, look, bits);

    s->reg[0] = (uint8_t)a;
    s->reg[1] = (uint8_t)b;
    to_xmm(j, bits, 0, a);
    to_xmm(j, bits, 1, b);
    x_sse_rr(e, bits == 64 ? 0xf2 : 0xf3, opcode, 0, 1);
    check_result(j, s, bits);
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
    s = begin(j, u, LOOK_FUSED, bits);
    s->reg[0] = (uint8_t)a;
    s->reg[1] = (uint8_t)b;
    s->reg[2] = (uint8_t)c;
    to_xmm(j, bits, 0, a);
    to_xmm(j, bits, 1, b);
    to_xmm(j, bits, 2, c);
    code_bytes(e, vex, sizeof(vex));
    check_result(j, s, bits);
    put_result(j, u, bits);
    s->back = e->at;
    return true;
}

static void emit_from_integer(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, 64, 64);
    struct slow *s = begin(j, u, LOOK_SUM, bits);

    code_8(e, bits == 64 ? 0xf2 : 0xf3);
    x_rr(e, 64, 0x0f2a, 0, a); /* CVTSI2Sx */
    code_8(e, 0x66);
    x_rr(e, bits, 0x0f7e, 0, RAX);
    put_result(j, u, bits);
    s->back = e->at;
}

/* ---- vectors ---- */

/* A jump out of line, with a bit in eax for each element that is safe, unless every element of xmm0 is. */
static void check_vector(struct jit *j, struct slow *s)
{
    struct code *e = &j->code;
    bool wide = s->bits == 64;
    const uint8_t *bounds = j->stubs.float_bounds[wide];

    copy(j, 1, 0);
    op_66(j, wide ? 0xd4 : 0xfe, 1, 1);
    x_sse_at(e, P_66, 0xfe, 1, bounds);
    x_sse_at(e, 0, 0x28, 2, bounds + 16);
    op_66(j, 0x66, 2, 1); /* PCMPGTD */
    x_sse_rr(e, wide ? P_66 : 0, 0x50, RAX, 2);
    x_alu_imm(e, 32, ALU_CMP, RAX, wide ? 3 : 15);
    s->from[0] = x_jcc(e, CC_NE);
    s->retry = e->at;
}

/* The operands' registers, in which an operation may follow. */
struct vectors {
    unsigned d, a, b;
    struct slow *slow;
};

static struct vectors begin_vector(struct jit *j, const struct uop *u, enum float_look look, unsigned bits)
{
    struct vectors v;

    operands_release(j, j->c->float_rules.clear_at, 4);
    operands_release(j, j->c->float_rules.set_at, 4);
    v.d = vector_own(j, u->d);
    v.a = vector_use(j, u->a);
    v.b = vector_use(j, u->b);
    v.slow = slow_path(j, SLOW_FLOAT);
    v.slow->look = (uint8_t)look;
    v.slow->bits = (uint8_t)bits;
    v.slow->reg[0] = (uint8_t)v.a;
    v.slow->reg[1] = (uint8_t)v.b;
    v.slow->reg[2] = (uint8_t)v.d;
    check_rules(j, v.slow);
    x_sse_rr(&j->code, 0, 0x28, 0, v.a);
    return v;
}

static void emit_vector_two(struct jit *j, const struct uop *u, unsigned bits, unsigned opcode, enum float_look look)
{
    struct code *e = &j->code;
    struct vectors v = begin_vector(j, u, look, bits);

    x_sse_rr(e, bits == 64 ? 0x66 : 0, opcode, 0, v.b);
    check_vector(j, v.slow);
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
    v = begin_vector(j, u, LOOK_FUSED, bits);
    x_sse_rr(e, 0, 0x28, 1, v.b);
    x_sse_rr(e, 0, 0x28, 2, v.d);
    code_bytes(e, vex, sizeof(vex));
    check_vector(j, v.slow);
    x_sse_rr(e, 0, 0x28, v.d, 0);
    v.slow->back = e->at;
    return true;
}

bool emit_float(struct jit *j, const struct uop *u)
{
    if (!j->c->fe->float_op)
        return false;
    switch (u->op) {
    case UOP_FADD32: emit_two(j, u, 32, 0x58, LOOK_SUM); return true;
    case UOP_FADD64: emit_two(j, u, 64, 0x58, LOOK_SUM); return true;
    case UOP_FSUB32: emit_two(j, u, 32, 0x5c, LOOK_SUM); return true;
    case UOP_FSUB64: emit_two(j, u, 64, 0x5c, LOOK_SUM); return true;
    case UOP_FMUL32: emit_two(j, u, 32, 0x59, LOOK_PRODUCT); return true;
    case UOP_FMUL64: emit_two(j, u, 64, 0x59, LOOK_PRODUCT); return true;
    case UOP_FDIV32: emit_two(j, u, 32, 0x5e, LOOK_QUOTIENT); return true;
    case UOP_FDIV64: emit_two(j, u, 64, 0x5e, LOOK_QUOTIENT); return true;
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
    case UOP_VFADD32: emit_vector_two(j, u, 32, 0x58, LOOK_SUM); return true;
    case UOP_VFADD64: emit_vector_two(j, u, 64, 0x58, LOOK_SUM); return true;
    case UOP_VFSUB32: emit_vector_two(j, u, 32, 0x5c, LOOK_SUM); return true;
    case UOP_VFSUB64: emit_vector_two(j, u, 64, 0x5c, LOOK_SUM); return true;
    case UOP_VFMUL32: emit_vector_two(j, u, 32, 0x59, LOOK_PRODUCT); return true;
    case UOP_VFMUL64: emit_vector_two(j, u, 64, 0x59, LOOK_PRODUCT); return true;
    case UOP_VFDIV32: emit_vector_two(j, u, 32, 0x5e, LOOK_QUOTIENT); return true;
    case UOP_VFDIV64: emit_vector_two(j, u, 64, 0x5e, LOOK_QUOTIENT); return true;
    case UOP_VFMLA32: return emit_vector_fused(j, u, 32, 0xa8);
    case UOP_VFMLA64: return emit_vector_fused(j, u, 64, 0xa8);
    case UOP_VFMLS32: return emit_vector_fused(j, u, 32, 0xac);
    case UOP_VFMLS64: return emit_vector_fused(j, u, 64, 0xac);
    default: return false;
    }
}
