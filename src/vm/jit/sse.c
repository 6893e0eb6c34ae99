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
 * Where the host has AVX, its VEX form is taken: three operands, and all of CMPPS's predicates. 256 bits are done in halves.
 *
 * Adding an instruction: its operands in kind_of(), its meaning in frontend.sse_op.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

/* What an instruction reads as b, and writes. */
enum shape {
    NONE,        /* not one of these */
    SCALAR,      /* low 32 bits or 64; the other bits of d are a's */
    PACKED,      /* 128 bits of both */
    FUSED,       /* 128 bits of both and of d */
    FUSED_SCALAR, /* low 32 bits or 64 of both and of d, whose other bits stay */
    CONVERT,     /* 128 bits of b alone */
    WIDEN,       /* 64 bits of b alone */
    NARROW,      /* 128 bits of b alone; the upper half of d becomes 0 */
    TO_HALF,     /* the same; the operands are encoded the other way round */
    FROM_INTEGER, TO_INTEGER, COMPARE,
};

/* An instruction and what a host must have for it; RCPPS and its kin are not here, and DPPS and DPPD are made of others. */
struct kind { enum shape shape; enum vector_host needs; };

static struct kind kind_0f(uint32_t imm)
{
    unsigned prefix = SSE_PREFIX(imm);
    bool scalar = prefix >= 0xf2;

    switch (SSE_OPCODE(imm)) {
    case 0x2a: return (struct kind){FROM_INTEGER, VECTOR_HOST_SSE2};
    case 0x2c: case 0x2d: return (struct kind){TO_INTEGER, VECTOR_HOST_SSE2};
    case 0x2e: case 0x2f: return (struct kind){COMPARE, VECTOR_HOST_SSE2};
    case 0x51: return (struct kind){scalar ? SCALAR : CONVERT, VECTOR_HOST_SSE2};
    case 0x58: case 0x59: case 0x5c: case 0x5d: case 0x5e: case 0x5f:
        return (struct kind){scalar ? SCALAR : PACKED, VECTOR_HOST_SSE2};
    case 0xc2:
        return (struct kind){scalar ? SCALAR : PACKED, SSE_IMM8(imm) > 7 ? VECTOR_HOST_AVX : VECTOR_HOST_SSE2};
    case 0x5a: return (struct kind){scalar ? SCALAR : prefix ? NARROW : WIDEN, VECTOR_HOST_SSE2};
    case 0x5b: return (struct kind){CONVERT, VECTOR_HOST_SSE2};
    case 0xe6: return (struct kind){prefix == 0xf3 ? WIDEN : NARROW, VECTOR_HOST_SSE2};
    case 0x7c: case 0x7d: case 0xd0: return (struct kind){PACKED, VECTOR_HOST_SSE3};
    default: return (struct kind){NONE, VECTOR_HOST_SSE2};
    }
}

static struct kind kind_of(uint32_t imm)
{
    unsigned opcode = SSE_OPCODE(imm);

    switch (SSE_MAP_OF(imm)) {
    case 1:
        return kind_0f(imm);
    case 2:
        if (opcode == 0x13)
            return (struct kind){WIDEN, VECTOR_HOST_F16C};
        return (struct kind){(opcode & 15) > 8 && (opcode & 1) ? FUSED_SCALAR : FUSED, VECTOR_HOST_FMA};
    default:
        if (opcode == 0x1d)
            return (struct kind){TO_HALF, VECTOR_HOST_F16C};
        if (opcode == 0x08 || opcode == 0x09)
            return (struct kind){CONVERT, VECTOR_HOST_SSE41};
        return (struct kind){opcode == 0x0a || opcode == 0x0b ? SCALAR : NONE, VECTOR_HOST_SSE41};
    }
}

static bool has_imm8(uint32_t imm)
{
    return SSE_MAP_OF(imm) == 3 || (SSE_MAP_OF(imm) == 1 && SSE_OPCODE(imm) == 0xc2);
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

static struct encoding encoding_of(uint32_t imm)
{
    return (struct encoding){.prefix = (uint8_t)SSE_PREFIX(imm), .map = (uint8_t)SSE_MAP_OF(imm), .opcode = (uint8_t)SSE_OPCODE(imm)};
}

static void copy(struct jit *j, unsigned to, unsigned from)
{
    if (to != from)
        x_sse_rr(&j->code, 0, 0x28, to, from); /* MOVAPS */
}

/* to = a op b, in XMM registers; those that have one operand take `a` for `to`. xmm0 is free without VEX. */
static void operation(struct jit *j, const struct uop *u, unsigned to, unsigned a, unsigned b, bool one)
{
    struct code *e = &j->code;
    struct encoding o = encoding_of(u->imm);

    if (host_has(j, VECTOR_HOST_AVX)) {
        x_vex(e, o.map == 2 && (u->imm & SSE_WIDE) ? 64 : 32, o, to, one ? 0 : a, b);
    } else if (one || to == a) {
        x_legacy(e, 32, o, to, b, false);
    } else {
        copy(j, 0, a);
        x_legacy(e, 32, o, 0, b, false);
    }
    if (has_imm8(u->imm))
        code_8(e, SSE_IMM8(u->imm));
    if (!host_has(j, VECTOR_HOST_AVX) && !one && to != a)
        copy(j, to, 0);
}

static unsigned float_bits(const struct uop *u)
{
    if (SSE_MAP_OF(u->imm) == 2)
        return u->imm & SSE_WIDE ? 64 : 32;
    if (SSE_MAP_OF(u->imm) == 3)
        return SSE_OPCODE(u->imm) == 0x0a ? 32 : 64;
    return SSE_PREFIX(u->imm) == 0xf3 || SSE_PREFIX(u->imm) == 0 ? 32 : 64;
}

static unsigned integer_bits(const struct uop *u)
{
    return u->imm & SSE_WIDE ? 64 : 32;
}

/* Both halves of an operand, or the one that there is. */
struct halves { unsigned n, reg[2]; };

static unsigned count(const struct uop *u)
{
    return u->imm & SSE_PAIR ? 2 : 1;
}

static unsigned half(const struct jit *j, unsigned offset, unsigned n)
{
    return offset + n * j->c->fe->vector_high;
}

static struct halves use(struct jit *j, const struct uop *u, unsigned offset)
{
    struct halves r = {.n = count(u)};

    for (unsigned n = 0; n < r.n; n++)
        r.reg[n] = vector_use(j, half(j, offset, n));
    return r;
}

/* Registers for the result; defined once the path out of line is noted. */
static struct halves reserve(struct jit *j, unsigned offset, unsigned n)
{
    struct halves r = {.n = n};

    for (unsigned k = 0; k < n; k++)
        r.reg[k] = vector_reserve(j, half(j, offset, k));
    return r;
}

static void define(struct jit *j, unsigned offset, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        vector_def(j, half(j, offset, k));
}

/* d = a op b, where b is in XMM registers. */
static void with_vectors(struct jit *j, const struct uop *u, struct halves b)
{
    struct halves a = use(j, u, u->a), d = reserve(j, u->d, b.n);
    struct slow *s = begin(j);

    for (unsigned n = 0; n < b.n; n++)
        operation(j, u, d.reg[n], a.reg[n], b.reg[n], false);
    s->back = j->code.at;
    define(j, u->d, b.n);
}

/* FMA: d is an operand. */
static void fused(struct jit *j, const struct uop *u, struct halves b)
{
    struct halves a = use(j, u, u->a), d = {.n = b.n};
    struct slow *s;

    for (unsigned n = 0; n < b.n; n++)
        d.reg[n] = vector_own(j, half(j, u->d, n));
    s = begin(j);
    for (unsigned n = 0; n < b.n; n++)
        operation(j, u, d.reg[n], a.reg[n], b.reg[n], false);
    s->back = j->code.at;
}

/* d = op b */
static void convert(struct jit *j, const struct uop *u)
{
    struct halves b = use(j, u, u->b), d = reserve(j, u->d, b.n);
    struct slow *s = begin(j);

    for (unsigned n = 0; n < b.n; n++)
        operation(j, u, d.reg[n], d.reg[n], b.reg[n], true);
    s->back = j->code.at;
    define(j, u->d, b.n);
}

/* d = op of the lower half of b, and the upper half of 256 bits of b's upper one. */
static void widen(struct jit *j, const struct uop *u)
{
    bool pair = u->imm & SSE_PAIR;
    unsigned b = pair ? vector_use(j, u->b) : scalar_use(j, u->b, 64, 1);
    struct halves d = reserve(j, u->d, count(u));
    struct slow *s = begin(j);

    if (pair) {
        x_sse_rr(&j->code, 0x66, 0x70, 2, b); /* PSHUFD */
        code_8(&j->code, 0xee);
    }
    operation(j, u, d.reg[0], d.reg[0], b, true);
    if (pair)
        operation(j, u, d.reg[1], d.reg[1], 2, true);
    s->back = j->code.at;
    define(j, u->d, d.n);
}

/* As operation(), of one operand that is encoded where others have the result: from `b` to `to`. */
static void to_half(struct jit *j, const struct uop *u, unsigned to, unsigned b)
{
    operation(j, u, b, 0, to, true);
}

/* d = op b, of half its size. */
static void narrow(struct jit *j, const struct uop *u, bool reversed)
{
    struct halves b = use(j, u, u->b), d = reserve(j, u->d, 1);
    struct slow *s = begin(j);

    for (unsigned n = 0; n < b.n; n++)
        if (reversed)
            to_half(j, u, n, b.reg[n]);
        else
            operation(j, u, n, n, b.reg[n], true);
    if (b.n == 2)
        x_sse_rr(&j->code, 0x66, 0x6c, 0, 1); /* PUNPCKLQDQ */
    copy(j, d.reg[0], 0);
    s->back = j->code.at;
    define(j, u->d, 1);
}

static void from_integer(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned bits = integer_bits(u), b = operand_use(j, u->b, bits, 64), a = vector_use(j, u->a), d = vector_own(j, u->d);
    struct slow *s = begin(j);

    copy(j, d, a);
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
    x_legacy(e, 32, encoding_of(u->imm), a, b, false);
    code_8(e, 0x9f); /* LAHF */
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_Z | FLAG_P | FLAG_C);
    x_rr(e, 64, X_MOV_LOAD, operand_def(j, dst, 64), RAX);
    s->back = e->at;
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, src), 64, 0);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, op), 32, FLAGS_EXPLICIT);
}

/* A new MXCSR gets into the host's when the next instruction wants it there. */
static void put_control(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned from = operand_use(j, u->a, 32, j->home);

    x_store(e, 32, R_STATE, state_disp(j->c->fe->mxcsr_at), from);
    x_store_imm(e, 32, R_EXEC, (int32_t)offsetof(struct exec, sse_live), 0);
    x_rm(e, 32, 0x0fae, 2, R_EXEC, (int32_t)offsetof(struct exec, host_mxcsr)); /* LDMXCSR */
}

static void get_control(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned to = operand_def(j, u->d, 32);
    uint8_t *dead;

    x_rm(e, 32, 0x83, ALU_CMP, R_EXEC, (int32_t)offsetof(struct exec, sse_live));
    code_8(e, 0);
    dead = x_jcc(e, CC_E);
    x_rm(e, 32, 0x0fae, 3, R_STATE, state_disp(j->c->fe->mxcsr_at)); /* STMXCSR */
    x_here(e, dead);
    x_load(e, 32, to, R_STATE, state_disp(j->c->fe->mxcsr_at));
}

static bool control(struct jit *j, const struct uop *u)
{
    if (!j->c->fe->sse_op)
        return false;
    if (u->d == j->c->fe->mxcsr_at)
        put_control(j, u);
    else if (u->a == j->c->fe->mxcsr_at)
        get_control(j, u);
    else
        return false;
    return true;
}

bool emit_sse(struct jit *j, const struct uop *u)
{
    struct kind kind;
    struct halves b;

    if (u->op == UOP_SSE_CONTROL)
        return control(j, u);
    if (u->op != UOP_SSE && u->op != UOP_SSE_COMPARE)
        return false;
    kind = kind_of(u->imm);
    if (kind.shape == NONE || !host_has(j, kind.needs))
        return false;
    switch (kind.shape) {
    case PACKED: case FUSED:
        b = use(j, u, u->b);
        break;
    case SCALAR: case FUSED_SCALAR:
        b = (struct halves){.n = 1, .reg = {scalar_use(j, u->b, float_bits(u), 1)}};
        break;
    default:
        b.n = 0;
        break;
    }
    switch (kind.shape) {
    case SCALAR: case PACKED: with_vectors(j, u, b); break;
    case FUSED: case FUSED_SCALAR: fused(j, u, b); break;
    case CONVERT: convert(j, u); break;
    case WIDEN: widen(j, u); break;
    case NARROW: narrow(j, u, false); break;
    case TO_HALF: narrow(j, u, true); break;
    case FROM_INTEGER: from_integer(j, u); break;
    case TO_INTEGER: to_integer(j, u); break;
    case COMPARE: compare(j, u); break;
    default: return false;
    }
    return true;
}
