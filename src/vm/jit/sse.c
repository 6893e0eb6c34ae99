/*
 * SSE micro-ops in x86-64 code: the host's own instruction, which is the guest's (SDM 2). Results,
 * NaNs and flags are the architecture's, the same on every processor; those that are not (RCPPS,
 * RSQRTPS) are no micro-ops.
 *
 * While compiled code runs, the host's MXCSR may be the guest's (exec.sse_live): its rounding,
 * its flushing, and its flags, which the instructions raise themselves. It gets there when
 * the first of them comes by, unless an exception is unmasked: then each is done by
 * frontend.sse_op. Before C code runs the guest's MXCSR goes back into its state (stubs.c).
 *
 * Adding an instruction: its operands in shape_of(), its meaning in frontend.sse_op.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

/* What an instruction reads as b, and writes. */
enum shape {
    NONE,        /* not one of these */
    SCALAR,      /* low 32 bits (prefix F3) or 64 (F2); the other bits of d are a's */
    PACKED,      /* 128 bits of both */
    CONVERT,     /* 128 bits of b alone */
    WIDEN,       /* 64 bits of b alone */
    FROM_INTEGER, TO_INTEGER, COMPARE,
};

static enum shape shape_of(uint32_t imm)
{
    unsigned prefix = SSE_PREFIX(imm);

    if (SSE_MAP_OF(imm) != 1 || (imm & SSE_PAIR) || (SSE_OPCODE(imm) == 0xc2 && SSE_IMM8(imm) > 7))
        return NONE;
    switch (SSE_OPCODE(imm)) {
    case 0x2a: return FROM_INTEGER;
    case 0x2c: case 0x2d: return TO_INTEGER;
    case 0x2e: case 0x2f: return COMPARE;
    case 0x51:
        return prefix >= 0xf2 ? SCALAR : CONVERT;
    case 0x58: case 0x59: case 0x5c: case 0x5d: case 0x5e: case 0x5f: case 0xc2:
        return prefix >= 0xf2 ? SCALAR : PACKED;
    case 0x5a:
        return prefix >= 0xf2 ? SCALAR : prefix ? CONVERT : WIDEN;
    case 0x5b: return CONVERT;
    case 0xc6: return PACKED;
    case 0xe6: return prefix == 0xf3 ? WIDEN : CONVERT;
    default: return NONE;
    }
}

/* A jump out of line unless the guest's MXCSR is the host's. */
static struct slow *begin(struct jit *j)
{
    struct code *e = &j->code;
    struct slow *s = slow_path(j, SLOW_SSE);

    s->retry = e->at;
    x_rm(e, 32, 0x83, ALU_CMP, R_EXEC, (int32_t)offsetof(struct exec, sse_live));
    code_8(e, 0);
    s->from[0] = x_jcc(e, CC_E);
    return s;
}

static void operation(struct jit *j, const struct uop *u, unsigned to, unsigned from)
{
    x_sse_rr(&j->code, SSE_PREFIX(u->imm), SSE_OPCODE(u->imm), to, from);
    if (SSE_OPCODE(u->imm) == 0xc2 || SSE_OPCODE(u->imm) == 0xc6)
        code_8(&j->code, SSE_IMM8(u->imm));
}

static unsigned float_bits(const struct uop *u)
{
    return SSE_PREFIX(u->imm) == 0xf3 || SSE_PREFIX(u->imm) == 0 ? 32 : 64;
}

static unsigned integer_bits(const struct uop *u)
{
    return u->imm & SSE_WIDE ? 64 : 32;
}

/* d = a op b, where b is in the XMM register `b`. */
static void with_vector(struct jit *j, const struct uop *u, unsigned b)
{
    struct code *e = &j->code;
    unsigned a = vector_use(j, u->a), d = vector_own(j, u->d);
    struct slow *s = begin(j);

    if (u->d == u->a) {
        operation(j, u, d, b);
    } else {
        x_sse_rr(e, 0, 0x28, 0, a);
        operation(j, u, 0, b);
        x_sse_rr(e, 0, 0x28, d, 0);
    }
    s->back = e->at;
}

/* d = op b */
static void convert(struct jit *j, const struct uop *u, unsigned b)
{
    unsigned d = vector_own(j, u->d);
    struct slow *s = begin(j);

    operation(j, u, d, b);
    s->back = j->code.at;
}

static void from_integer(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned bits = integer_bits(u), b = operand_use(j, u->b, bits, 64), a = vector_use(j, u->a), d = vector_own(j, u->d);
    struct slow *s = begin(j);

    if (u->d != u->a)
        x_sse_rr(e, 0, 0x28, d, a);
    code_8(e, SSE_PREFIX(u->imm));
    x_rr(e, bits, 0x0f2a, d, b);
    s->back = e->at;
}

static void to_integer(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned bits = integer_bits(u), b = scalar_use(j, u->b, float_bits(u), 1);
    struct slow *s;

    operand_own(j, u->d, bits);
    s = begin(j);
    code_8(e, SSE_PREFIX(u->imm));
    x_rr(e, bits, 0x0f00 | SSE_OPCODE(u->imm), RAX, b);
    x_rr(e, bits, X_MOV_LOAD, operand_def(j, u->d, bits), RAX);
    s->back = e->at;
}

/* ZF, PF and CF are the comparison's, the others 0. */
static void compare(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned flags = j->c->flags_offset, dst = flags + (unsigned)offsetof(struct lazy_flags, dst);
    unsigned bits = float_bits(u), a, b;
    struct slow *s;

    operands_release(j, flags, sizeof(struct lazy_flags));
    a = scalar_use(j, u->a, bits, 0);
    b = scalar_use(j, u->b, bits, 1);
    operand_own(j, dst, 64);
    s = begin(j);
    operation(j, u, a, b);
    code_8(e, 0x9f); /* LAHF */
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_Z | FLAG_P | FLAG_C);
    x_rr(e, 64, X_MOV_LOAD, operand_def(j, dst, 64), RAX);
    s->back = e->at;
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, src), 64, 0);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, op), 32, FLAGS_EXPLICIT);
}

bool emit_sse(struct jit *j, const struct uop *u)
{
    if (u->op != UOP_SSE && u->op != UOP_SSE_COMPARE)
        return false;
    switch (shape_of(u->imm)) {
    case SCALAR: with_vector(j, u, scalar_use(j, u->b, float_bits(u), 1)); return true;
    case PACKED: with_vector(j, u, vector_use(j, u->b)); return true;
    case CONVERT: convert(j, u, vector_use(j, u->b)); return true;
    case WIDEN: convert(j, u, scalar_use(j, u->b, 64, 1)); return true;
    case FROM_INTEGER: from_integer(j, u); return true;
    case TO_INTEGER: to_integer(j, u); return true;
    case COMPARE: compare(j, u); return true;
    default: return false;
    }
}
