/*
 * VMASKMOV, VPMASKMOV, VGATHER, VPGATHER and MASKMOVDQU in x86-64 code (SDM 2), where all of what may be accessed is memory that the
 * TLB serves; else the helper does the whole instruction, as if nothing had been done.
 *
 * A masked move is the host's own, once 16 or 32 bytes are served, whether they are wanted or not. A gather looks into
 * the TLB for each element whose mask is set, and changes registers when all of them are loaded.
 *
 * What is masked by bytes is mixed with what is in memory, and all of it is stored: of a page that the TLB lets compiled code write
 * nobody can tell that from storing some of its bytes. (The host's own MASKMOVDQU goes past its caches.)
 */
#include "vm/jit/jit_priv.h"

/* The instruction in progress. */
struct masked {
    unsigned data, mask, index; /* offsets of registers, */
    unsigned high;              /* and of their upper halves from these */
    unsigned bytes, how;
    unsigned address;           /* a register of the host with the operand's address */
};

static unsigned halves(const struct masked *m)
{
    return m->how & MASKED_256 ? 2 : 1;
}

/* xmm, mask, [rax + rcx + disp] */
static void masked_access(struct jit *j, const struct masked *m, unsigned reg, unsigned mask, unsigned disp)
{
    struct code *e = &j->code;

    code_8(e, 0xc4);
    code_8(e, (reg < 8) << 7 | 1 << 6 | 1 << 5 | 2);
    code_8(e, (~mask & 15) << 3 | 1);
    code_8(e, 0x2c | (m->bytes == 8) | (m->how & MASKED_STORE ? 2 : 0)); /* VMASKMOVPS, VMASKMOVPD */
    code_8(e, 0x44 | (reg & 7) << 3);
    code_8(e, 0x08);
    code_8(e, disp);
}

static void move(struct jit *j, const struct masked *m)
{
    const bool store = m->how & MASKED_STORE;
    unsigned data[2], mask[2];
    struct slow *s;

    for (unsigned n = 0; n < halves(m); n++) {
        mask[n] = vector_use(j, m->mask + n * m->high);
        data[n] = store ? vector_use(j, m->data + n * m->high) : vector_reserve(j, m->data + n * m->high);
    }
    if (!store && halves(m) == 1)
        operands_release(j, m->data + m->high, 16);
    s = slow_path(j, SLOW_HELPER);
    x_rr(&j->code, 64, X_MOV_LOAD, RAX, m->address);
    access_probe(j, s, 16 * halves(m), store, !store);
    for (unsigned n = 0; n < halves(m); n++)
        masked_access(j, m, data[n], mask[n], 16 * n);
    if (!store && halves(m) == 1)
        for (unsigned n = 0; n < 16; n += 8)
            x_store_imm(&j->code, 64, R_STATE, state_disp(m->data + m->high + n), 0);
    s->back = j->code.at;
    for (unsigned n = 0; n < halves(m) && !store; n++)
        vector_def(j, m->data + n * m->high);
}

/* ---- bytes ---- */

/* `reg` = 8 or 16 bytes at rax + rcx, or the other way round. */
static void bytes_load(struct code *e, unsigned reg, bool whole)
{
    x_sse_rmx(e, whole ? 0 : 0xf3, whole ? X_MOVUPS_LOAD : 0x7e, reg, RAX, RCX, 0); /* MOVUPS, MOVQ */
}

static void bytes_store(struct code *e, unsigned reg, bool whole)
{
    x_sse_rmx(e, whole ? 0 : 0x66, whole ? X_MOVUPS_STORE : 0xd6, reg, RAX, RCX, 0);
}

/* memory = memory ^ ((memory ^ data) & (0 > mask)) */
void masked_bytes(struct jit *j, unsigned mask, unsigned data, bool whole)
{
    struct code *e = &j->code;

    x_sse_rr(e, 0x66, 0xef, 2, 2); /* PXOR */
    x_sse_rr(e, 0x66, 0x64, 2, mask); /* PCMPGTB */
    bytes_load(e, 3, whole);
    x_sse_rr(e, 0x66, 0xef, 3, data);
    x_sse_rr(e, 0x66, 0xdb, 3, 2); /* PAND */
    bytes_load(e, 2, whole);
    x_sse_rr(e, 0x66, 0xef, 3, 2);
    bytes_store(e, 3, whole);
}

/* MASKMOVDQU */
static void move_bytes(struct jit *j, const struct masked *m)
{
    unsigned mask = vector_use(j, m->mask), data = vector_use(j, m->data);
    struct slow *s = slow_path(j, SLOW_HELPER);

    x_rr(&j->code, 64, X_MOV_LOAD, RAX, m->address);
    access_probe(j, s, 16, true, false);
    masked_bytes(j, mask, data, true);
    s->back = j->code.at;
}

/* ---- gathers ---- */

#define MAX_ELEMENTS 8u

/* rax = the address of element n. */
static void element_address(struct jit *j, const struct masked *m, unsigned n, const unsigned *index)
{
    const unsigned bytes = m->how & MASKED_INDEX64 ? 8 : 4, bits = m->how & MASKED_ADDR32 ? 32 : 64;
    struct code *e = &j->code;

    x_legacy(e, 8 * bytes, (struct encoding){0x66, 3, 0x16, false}, index[n * bytes / 16], RAX, false); /* PEXTRD, PEXTRQ */
    code_8(e, n * bytes % 16 / bytes);
    if (bytes == 4)
        x_rr(e, 64, X_MOVSXD, RAX, RAX);
    x_rmx(e, bits, X_LEA, RAX, m->address, RAX, MASKED_SCALE(m->how), 0);
}

/* Element n to xmm0, or of the upper half to xmm1, if its mask is set. Returns the jump for the case that it is not served. */
static uint8_t *gather_element(struct jit *j, const struct masked *m, struct slow *s, unsigned n, const unsigned *mask, const unsigned *index)
{
    const unsigned half = n * m->bytes / 16, lane = n * m->bytes % 16 / m->bytes;
    struct code *e = &j->code;
    uint8_t *clear, *miss;

    x_sse_rr(e, m->bytes == 8 ? 0x66 : 0, 0x50, RDX, mask[half]); /* MOVMSKPS, MOVMSKPD */
    x_test_imm(e, 8, RDX, 1u << lane);
    clear = x_jcc(e, CC_E);
    element_address(j, m, n, index);
    access_probe(j, s, m->bytes, false, true);
    miss = s->from[0];
    s->from[0] = NULL;
    x_rmx(e, 8 * m->bytes, X_MOV_LOAD, RAX, RAX, RCX, 0, 0);
    x_legacy(e, 8 * m->bytes, (struct encoding){0x66, 3, 0x22, false}, half, RAX, false); /* PINSRD, PINSRQ */
    code_8(e, lane);
    x_here(e, clear);
    return miss;
}

/* Registers with both halves, or one, of the vector at `offset`; the other's bytes are in memory. */
static void take(struct jit *j, const struct masked *m, unsigned offset, unsigned n, unsigned *reg)
{
    for (unsigned i = 0; i < n; i++)
        reg[i] = vector_use(j, offset + i * m->high);
    if (n == 1)
        operands_release(j, offset + m->high, 16);
}

static void clear_high(struct jit *j, const struct masked *m, unsigned offset)
{
    for (unsigned n = 0; n < 16; n += 8)
        x_store_imm(&j->code, 64, R_STATE, state_disp(offset + m->high + n), 0);
}

static void gather(struct jit *j, const struct masked *m)
{
    const unsigned index_bytes = m->how & MASKED_INDEX64 ? 8 : 4, widest = m->bytes > index_bytes ? m->bytes : index_bytes;
    const unsigned count = 16 * halves(m) / widest, data_halves = count * m->bytes > 16 ? 2 : 1;
    unsigned data[2], mask[2], index[2];
    uint8_t *misses[MAX_ELEMENTS], *done;
    struct code *e = &j->code;
    struct slow *s;

    take(j, m, m->data, data_halves, data);
    take(j, m, m->mask, data_halves, mask);
    for (unsigned n = 0; n < (count * index_bytes > 16 ? 2 : 1); n++)
        index[n] = vector_use(j, m->index + n * m->high);
    s = slow_path(j, SLOW_HELPER);
    for (unsigned n = 0; n < data_halves; n++)
        x_sse_rr(e, 0, 0x28, n, data[n]); /* MOVAPS */
    for (unsigned n = 0; n < count; n++)
        misses[n] = gather_element(j, m, s, n, mask, index);
    if (count * m->bytes == 8)
        x_sse_rr(e, 0xf3, 0x7e, 0, 0); /* MOVQ */
    for (unsigned n = 0; n < data_halves; n++) {
        x_sse_rr(e, 0, 0x28, data[n], n);
        x_sse_rr(e, 0, 0x57, mask[n], mask[n]); /* XORPS */
    }
    if (data_halves == 1) {
        clear_high(j, m, m->data);
        clear_high(j, m, m->mask);
    }
    done = x_jmp(e);
    for (unsigned n = 0; n < count; n++)
        x_here(e, misses[n]);
    s->from[0] = x_jmp(e);
    x_here(e, done);
    s->back = e->at;
    for (unsigned n = 0; n < data_halves; n++) {
        vector_def(j, m->data + n * m->high);
        vector_def(j, m->mask + n * m->high);
    }
}

/* Can they be written? */
static void probe(struct jit *j, const struct masked *m)
{
    struct slow *s = slow_path(j, SLOW_HELPER);

    x_rr(&j->code, 64, X_MOV_LOAD, RAX, m->address);
    access_probe(j, s, m->bytes, true, false);
    s->back = j->code.at;
}

bool emit_masked(struct jit *j, const struct uop *u)
{
    const struct frontend *fe = j->c->fe;
    const unsigned bits = u->b & MASKED_WIDE ? 64 : 32;
    struct masked m = {.data = fe->vectors + 16 * (u->d & 15u), .mask = fe->vectors + 16 * (u->d >> 4 & 15u),
                       .index = fe->vectors + 16 * (u->d >> 8 & 15u), .high = fe->vector_high, .bytes = u->a, .how = u->b};
    bool bytes = u->a == 1 && (u->b & MASKED_STORE);

    if (u->op != UOP_VECTOR_MASKED || !(u->b & MASKED_PLAIN) || !(bytes || u->b & MASKED_PROBE || host_has(j, VECTOR_HOST_AVX)))
        return false;
    m.address = operand_use(j, fe->vector_offset, bits, bits);
    if (u->b & MASKED_PROBE)
        probe(j, &m);
    else if (u->b & MASKED_GATHER)
        gather(j, &m);
    else if (bytes)
        move_bytes(j, &m);
    else
        move(j, &m);
    return true;
}
