/*
 * MMX in x86-64 code: the host's own instruction on the host's own registers, which are the guest's while exec.x87_live (x87.c).
 * What it does to tags and TOP (SDM 1, 9.5.1) is the host's business, too.
 *
 * Adding an instruction: a case in kind_of(). Its helper stays what it means.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

enum mmx_kind {
    MMX_NONE,    /* not one of these */
    MMX_TWO,     /* reg op r/m of 64 bits, or of 32 in memory; imm8 where there is one */
    MMX_SHIFT,   /* r/m by imm8 */
    MMX_STORE,   /* MOVQ, MOVNTQ */
    MMX_LOAD_GENERAL, MMX_STORE_GENERAL, /* MOVD */
    MMX_INSERT, MMX_EXTRACT, MMX_SIGNS, MMX_EMPTY,
    MMX_TO_VECTOR, MMX_FROM_VECTOR, /* MOVQ2DQ, MOVDQ2Q */
    MMX_FROM_INTEGERS, MMX_TO_INTEGERS, /* CVTPI2PS and its kin */
    MMX_MASKED,                         /* MASKMOVQ */
};

/* The instruction in progress. */
struct mmx {
    const struct x87_layout *at;
    const struct uop *u;
    unsigned prefix, map, opcode, reg, rm; /* numbers of registers with REX */
    bool mem, wide, immediate;     /* wide: of 64 bits, where it has a general register */
    unsigned imm8;
};

static bool has_imm8(unsigned map, unsigned opcode)
{
    return map == 2 || (map == 0 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc4 || opcode == 0xc5));
}

static enum mmx_kind kind_of(const struct jit *j, const struct mmx *m)
{
    if (m->map)
        return host_has(j, VECTOR_HOST_SSSE3) ? MMX_TWO : MMX_NONE;
    switch (m->opcode) {
    case 0x2a: return MMX_FROM_INTEGERS;
    case 0x2c: case 0x2d: return MMX_TO_INTEGERS;
    case 0xd6: return m->prefix == 0xf3 ? MMX_TO_VECTOR : MMX_FROM_VECTOR;
    case 0x6e: return MMX_LOAD_GENERAL;
    case 0x71: case 0x72: case 0x73: return MMX_SHIFT;
    case 0x77: return MMX_EMPTY;
    case 0x7e: return MMX_STORE_GENERAL;
    case 0x7f: case 0xe7: return MMX_STORE;
    case 0xc4: return MMX_INSERT;
    case 0xc5: return MMX_EXTRACT;
    case 0xd7: return MMX_SIGNS;
    case 0xf7: return MMX_MASKED;
    default:
        return (m->opcode >= 0x60 && m->opcode <= 0x76) || m->opcode >= 0xd1 ? MMX_TWO : MMX_NONE;
    }
}

static void opcode_bytes(struct code *e, const struct mmx *m, unsigned opcode)
{
    code_8(e, 0x0f);
    if (m->map)
        code_8(e, m->map == 1 ? 0x38 : 0x3a);
    code_8(e, opcode);
}

/* On MMX registers. */
static void on_registers(struct code *e, const struct mmx *m, unsigned opcode)
{
    opcode_bytes(e, m, opcode);
    code_8(e, 0xc0 | (m->reg & 7) << 3 | (m->rm & 7));
}

/* On an MMX register and `bytes` bytes of memory. */
static void on_memory(struct jit *j, const struct mmx *m, struct slow *s, unsigned opcode, unsigned bytes, bool written, unsigned address)
{
    struct code *e = &j->code;

    x_rr(e, 64, X_MOV_LOAD, RAX, address);
    access_probe(j, s, bytes, written, !written);
    if (m->wide && (opcode == 0x6e || opcode == 0x7e))
        code_8(e, 0x48);
    opcode_bytes(e, m, opcode);
    code_8(e, 0x04 | (m->reg & 7) << 3); /* [rax + rcx] */
    code_8(e, 0x08);
}

static void with_memory(struct jit *j, const struct mmx *m, unsigned opcode, unsigned bytes, bool written)
{
    unsigned bits = m->u->b & X87_WIDE ? 64 : 32, address = operand_use(j, m->at->offset, bits, bits);
    struct slow *s = x87_begin(j);

    on_memory(j, m, s, opcode, bytes, written, address);
    if (m->immediate)
        code_8(&j->code, m->imm8);
    s->back = j->code.at;
}

static void with_registers(struct jit *j, const struct mmx *m, unsigned opcode)
{
    struct slow *s = x87_begin(j);

    on_registers(&j->code, m, opcode);
    if (m->immediate)
        code_8(&j->code, m->imm8);
    s->back = j->code.at;
}

/* From a general register. */
static void from_general(struct jit *j, const struct mmx *m)
{
    unsigned bits = m->wide ? 64 : 32, from = operand_use(j, m->at->gpr + 8 * m->rm, bits, j->home);
    struct slow *s = x87_begin(j);

    x_rr(&j->code, bits, 0x0f00 | m->opcode, m->reg & 7, from);
    if (m->immediate)
        code_8(&j->code, m->imm8);
    s->back = j->code.at;
}

/* To a general register, whose upper half becomes 0. */
static void to_general(struct jit *j, const struct mmx *m, unsigned number, unsigned from)
{
    unsigned offset = m->at->gpr + 8 * number, to = operand_reserve(j, offset, j->home);
    struct slow *s = x87_begin(j);

    s->result[0] = (struct result){(uint16_t)offset, (uint8_t)j->home, (uint8_t)to};
    if (m->opcode == 0x7e)
        x_rr(&j->code, m->wide ? 64 : 32, 0x0f7e, from, to);
    else
        x_rr(&j->code, 32, 0x0f00 | m->opcode, to, from);
    if (m->immediate)
        code_8(&j->code, m->imm8);
    s->back = j->code.at;
    operand_commit(j, offset, j->home, to);
}

/* ---- with XMM registers ---- */

static unsigned vector(const struct jit *j, unsigned number)
{
    return j->c->fe->vectors + 16 * number;
}

/* The instruction, between a register `reg` and one `rm` of either kind. */
static void between(struct code *e, const struct mmx *m, unsigned reg, unsigned rm)
{
    x_legacy(e, 32, (struct encoding){(uint8_t)m->prefix, 1, (uint8_t)m->opcode, false}, reg, rm, false);
}

static void to_vector(struct jit *j, const struct mmx *m)
{
    unsigned to = vector_reserve(j, vector(j, m->reg));
    struct slow *s = x87_begin(j);

    between(&j->code, m, to, m->rm & 7);
    s->back = j->code.at;
    vector_def(j, vector(j, m->reg));
}

static void from_vector(struct jit *j, const struct mmx *m)
{
    unsigned from = vector_use(j, vector(j, m->rm));
    struct slow *s = x87_begin(j);

    between(&j->code, m, m->reg & 7, from);
    s->back = j->code.at;
}

/* A jump out of line unless the guest's x87 and MXCSR are the host's. */
static struct slow *begin_both(struct jit *j)
{
    struct slow *s = slow_path(j, SLOW_MMX);
    struct code *e = &j->code;

    s->retry = e->at;
    x_load(e, 32, RAX, R_EXEC, (int32_t)offsetof(struct exec, x87_live));
    x_rm(e, 32, 8u * ALU_AND + 3u, RAX, R_EXEC, (int32_t)offsetof(struct exec, sse_live));
    s->from[0] = x_jcc(e, CC_E);
    return s;
}

/* From two doubles, which are aligned. */
static void from_doubles(struct jit *j, const struct mmx *m, struct slow *s, unsigned reg)
{
    struct code *e = &j->code;

    x_test_imm(e, 8, RAX, 15);
    s->from[1] = x_jcc(e, CC_NE);
    access_probe(j, s, 16, false, true);
    x_sse_rmx(e, 0, X_MOVUPS_LOAD, 0, RAX, RCX, 0);
    between(e, m, reg, 0);
}

/* From 64 bits. CVTPI2PS goes to MMX state even so; not all hosts do (SDM 2), but by a MOVD they do. */
static void from_pair(struct jit *j, const struct mmx *m, struct slow *s, unsigned reg, bool to_integers)
{
    struct code *e = &j->code;

    access_probe(j, s, 8, false, true);
    if (!to_integers)
        x_rr(e, 32, 0x0f7e, 0, RDX);
    x_sse_rmx(e, m->prefix, m->opcode, reg, RAX, RCX, 0);
}

static void convert(struct jit *j, const struct mmx *m, bool to_integers)
{
    unsigned bits = m->u->b & X87_WIDE ? 64 : 32, address = m->mem ? operand_use(j, m->at->offset, bits, bits) : 0, reg = m->reg & 7, rm = m->rm & 7;
    struct slow *s;

    if (!to_integers)
        reg = vector_own(j, vector(j, m->reg)); /* CVTPI2PS leaves its upper half */
    else if (!m->mem)
        rm = vector_use(j, vector(j, m->rm));
    s = begin_both(j);
    if (m->mem)
        x_rr(&j->code, 64, X_MOV_LOAD, RAX, address);
    else
        between(&j->code, m, reg, rm);
    if (m->mem && m->prefix)
        from_doubles(j, m, s, reg);
    else if (m->mem)
        from_pair(j, m, s, reg, to_integers);
    s->back = j->code.at;
}

/* ---- the others ---- */

/* MMX state is gone to (MOVQ2DQ) when nothing can fault any more. */
static void masked(struct jit *j, const struct mmx *m)
{
    const unsigned bits = m->u->b & X87_WIDE ? 64 : 32, address = operand_use(j, m->at->offset, bits, bits);
    const struct encoding movq2dq = {0xf3, 1, 0xd6, false};
    struct slow *s = x87_begin(j);

    x_rr(&j->code, 64, X_MOV_LOAD, RAX, address);
    access_probe(j, s, 8, true, false);
    x_legacy(&j->code, 32, movq2dq, 0, m->rm & 7, false);
    x_legacy(&j->code, 32, movq2dq, 1, m->reg & 7, false);
    masked_bytes(j, 0, 1, false);
    s->back = j->code.at;
}

static void empty(struct jit *j)
{
    struct slow *s = x87_begin(j);

    code_8(&j->code, 0x0f);
    code_8(&j->code, 0x77);
    s->back = j->code.at;
}

bool emit_mmx(struct jit *j, const struct uop *u)
{
    struct mmx m = {.at = j->c->fe->x87, .u = u, .map = u->d >> 8, .opcode = u->d & 0xffu, .reg = u->a >> 3 & 7u, .rm = u->a & 7u,
                    .mem = u->b & X87_MEM, .wide = u->b & X87_REX_W};
    uint64_t imm8;

    if (!j->host_mmx)
        return false;
    m.prefix = u->b & X87_F3 ? 0xf3 : u->b & X87_F2 ? 0xf2 : u->b & X87_66 ? 0x66 : 0;
    m.reg |= u->a & X87_REX_R ? 8 : 0;
    m.rm |= u->a & X87_REX_B ? 8 : 0;
    m.immediate = has_imm8(m.map, m.opcode);
    if (m.immediate) {
        if (!operand_known(j, m.at->imm8, j->home, &imm8))
            return false;
        m.imm8 = imm8 & 0xff;
    }
    switch (kind_of(j, &m)) {
    case MMX_TWO:
        if (m.mem)
            with_memory(j, &m, m.opcode, !m.map && m.opcode >= 0x60 && m.opcode <= 0x62 ? 4 : 8, false);
        else
            with_registers(j, &m, m.opcode);
        return true;
    case MMX_SHIFT: with_registers(j, &m, m.opcode); return true;
    case MMX_STORE:
        if (m.mem)
            with_memory(j, &m, 0x7f, 8, true);
        else
            with_registers(j, &m, m.opcode);
        return true;
    case MMX_LOAD_GENERAL:
        if (m.mem)
            with_memory(j, &m, m.opcode, m.wide ? 8 : 4, false);
        else
            from_general(j, &m);
        return true;
    case MMX_STORE_GENERAL:
        if (m.mem)
            with_memory(j, &m, m.opcode, m.wide ? 8 : 4, true);
        else
            to_general(j, &m, m.rm, m.reg & 7);
        return true;
    case MMX_INSERT:
        if (m.mem) {
            with_memory(j, &m, m.opcode, 2, false);
        } else {
            m.wide = false;
            from_general(j, &m);
        }
        return true;
    case MMX_EXTRACT: case MMX_SIGNS: to_general(j, &m, m.reg, m.rm & 7); return true;
    case MMX_EMPTY: empty(j); return true;
    case MMX_TO_VECTOR: to_vector(j, &m); return true;
    case MMX_FROM_VECTOR: from_vector(j, &m); return true;
    case MMX_FROM_INTEGERS: convert(j, &m, false); return true;
    case MMX_TO_INTEGERS: convert(j, &m, true); return true;
    case MMX_MASKED: masked(j, &m); return true;
    default: return false;
    }
}
