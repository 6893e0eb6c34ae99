/*
 * Helpers of the integer and load/store instructions: what is too rare or too
 * large for micro-ops. See lower.h and lowering.h for their operands.
 *
 * The exclusive monitor (B2.9) is local, one granule of the access itself, by
 * virtual address. A store-exclusive succeeds if the address and the size are those of the
 * last load-exclusive and memory still holds the value that it read. What clears the monitor: a store-exclusive,
 * CLREX, exception return, and, as the global monitor's granule, another's write to the line of 64 bytes (CTR_EL0.ERG),
 * whatever it writes: see cpu.c. That is an event for WFE.
 */
#include "aarch64/lowering.h"
#include "aarch64/system.h"

#include <string.h>

static uint32_t field(uint32_t word, unsigned at, unsigned width)
{
    return word >> at & ((1u << width) - 1);
}

static uint64_t read_x(const struct a64_cpu *c, unsigned r)
{
    return r == 31 ? 0 : c->st->x[r];
}

static void write_x(struct a64_cpu *c, unsigned r, uint64_t v)
{
    if (r != 31)
        c->st->x[r] = v;
}

static uint64_t read_base(const struct a64_cpu *c, uint32_t word)
{
    unsigned r = field(word, 5, 5);

    return r == 31 ? c->st->sp : c->st->x[r];
}

static uint64_t size_mask(unsigned size_log2)
{
    return UINT64_MAX >> (64 - (8u << size_log2));
}

/* The value at a state offset. */
static uint64_t state_value(const struct ucpu *u, unsigned offset)
{
    uint64_t v;

    memcpy(&v, u->s + offset, sizeof v);
    return v;
}

uint64_t a64_untagged(const struct ucpu *u, uint64_t va)
{
    const struct a64_state *s = (const struct a64_state *)(const void *)u->s;
    bool upper = va >> 55 & 1;

    if (s->el >= 2)
        return s->tcr[s->el] & TCR2_TBI ? va & UINT64_MAX >> 8 : va;
    if (!(s->tcr[1] & (upper ? TCR_TBI1 : TCR_TBI0)))
        return va;
    return (uint64_t)((int64_t)(va << 8) >> 8);
}

int a64_op_undefined(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return a64_undefined(a64_of(u));
}

int a64_op_misaligned_load(struct ucpu *u, const struct uop *op)
{
    return op->b ? a64_alignment_fault(a64_of(u), state_value(u, op->a), false)
                 : a64_misaligned(a64_of(u), u->tlb_mode, state_value(u, op->a), false);
}

int a64_op_misaligned_store(struct ucpu *u, const struct uop *op)
{
    return op->b ? a64_alignment_fault(a64_of(u), state_value(u, op->a), true)
                 : a64_misaligned(a64_of(u), u->tlb_mode, state_value(u, op->a), true);
}

/* ---- exclusives ---- */

/* The shape of an exclusive or CASP: log2 bytes of one register; registers. */
static unsigned shape(uint32_t word, bool *pair)
{
    *pair = field(word, 21, 1);
    return field(word, 30, 2);
}

/* Two registers of 1 << size bytes each, as they lie in memory, in one buffer. */
static void join(uint64_t v[2], unsigned size, bool pair, uint64_t first, uint64_t second)
{
    v[0] = first & size_mask(size);
    v[1] = 0;
    if (pair && size == 2)
        v[0] |= second << 32;
    else if (pair)
        v[1] = second;
}

static void split(const uint64_t v[2], unsigned size, uint64_t *first, uint64_t *second)
{
    *first = v[0] & size_mask(size);
    *second = size == 2 ? v[0] >> 32 : v[1];
}

int a64_op_load_exclusive(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t word = a64_fp_word(op);
    uint64_t va = read_base(c, word), v[2] = {0}, first, second;
    bool pair;
    unsigned size = shape(word, &pair), bytes = 1u << (size + pair);

    if (va & (bytes - 1))
        return a64_alignment_fault(c, va, false);
    if (!ucpu_load(u, va, v, bytes))
        return UOP_FAULT;
    c->st->exclusive_addr = va;
    c->st->exclusive_value[0] = v[0];
    c->st->exclusive_value[1] = v[1];
    c->st->exclusive_size = bytes;
    split(v, size, &first, &second);
    write_x(c, field(word, 0, 5), first);
    if (pair)
        write_x(c, field(word, 10, 5), second);
    return UOP_NEXT;
}

/* Store v if memory still holds what was loaded. -1: fault. */
static int store_if_same(struct ucpu *u, uint64_t va, const uint64_t v[2], unsigned bytes)
{
    const uint64_t *expected = a64_of(u)->st->exclusive_value;
    uint8_t *host = ucpu_host(u, va, ACCESS_WRITE);
    uint64_t now[2] = {0};

    if (host && ucpu_host(u, va, ACCESS_READ)) { /* it is a read, too: the same accesses whatever is cached */
        if (memcmp(host, expected, bytes))
            return false;
        memcpy(host, v, bytes);
        return true;
    }
    if (!ucpu_load(u, va, now, bytes))
        return -1;
    if (memcmp(now, expected, bytes))
        return false;
    return ucpu_store(u, va, v, bytes) ? true : -1;
}

int a64_op_store_exclusive(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t word = a64_fp_word(op);
    uint64_t va = read_base(c, word), v[2];
    bool pair;
    unsigned size = shape(word, &pair), bytes = 1u << (size + pair);
    int done = false;

    if (va & (bytes - 1))
        return a64_alignment_fault(c, va, true);
    join(v, size, pair, read_x(c, field(word, 0, 5)), read_x(c, field(word, 10, 5)));
    if (c->st->exclusive_addr == va && c->st->exclusive_size == bytes) {
        done = store_if_same(u, va, v, bytes);
        if (done < 0)
            return UOP_FAULT;
    }
    c->st->exclusive_addr = UINT64_MAX;
    write_x(c, field(word, 16, 5), !done);
    return UOP_NEXT;
}

/* ---- LSE ---- */

int a64_op_cas(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t word = a64_fp_word(op);
    unsigned rs = field(word, 16, 5), rt = field(word, 0, 5);
    uint64_t va = read_base(c, word), expected[2], desired[2], now[2] = {0}, first, second;
    bool pair = !field(word, 23, 1);
    unsigned size = pair ? 2 + field(word, 30, 1) : field(word, 30, 2), bytes = 1u << (size + pair);

    if (va & (bytes - 1))
        return a64_alignment_fault(c, va, false); /* an atomic access is a write only where a read would not fault */
    join(expected, size, pair, read_x(c, rs), pair ? read_x(c, rs + 1) : 0);
    join(desired, size, pair, read_x(c, rt), pair ? read_x(c, rt + 1) : 0);
    if (!ucpu_load(u, va, now, bytes))
        return UOP_FAULT;
    /* It must be writable even if nothing is written. */
    if (memcmp(now, expected, bytes) ? !ucpu_probe(u, u->tlb_mode, va, bytes, ACCESS_WRITE)
                                     : !ucpu_store(u, va, desired, bytes))
        return UOP_FAULT;
    split(now, size, &first, &second);
    write_x(c, rs, first);
    if (pair)
        write_x(c, rs + 1, second);
    return UOP_NEXT;
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned up = 64 - (8u << size);

    return (int64_t)(v << up) >> up;
}

/* LDADD LDCLR LDEOR LDSET LDSMAX LDSMIN LDUMAX LDUMIN */
static uint64_t combine(unsigned operation, unsigned size, uint64_t old, uint64_t v)
{
    switch (operation) {
    case 0:
        return old + v;
    case 1:
        return old & ~v;
    case 2:
        return old ^ v;
    case 3:
        return old | v;
    case 4:
        return sign_extend(old, size) > sign_extend(v, size) ? old : v;
    case 5:
        return sign_extend(old, size) < sign_extend(v, size) ? old : v;
    case 6:
        return old > v ? old : v;
    default:
        return old < v ? old : v;
    }
}

int a64_op_atomic(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t word = a64_fp_word(op);
    unsigned size = field(word, 30, 2), bytes = 1u << size;
    uint64_t va = read_base(c, word), v = read_x(c, field(word, 16, 5)) & size_mask(size), old = 0, result;

    if (va & (bytes - 1))
        return a64_alignment_fault(c, va, false);
    if (!ucpu_load(u, va, &old, bytes))
        return UOP_FAULT;
    result = field(word, 15, 1) ? v : combine(field(word, 12, 3), size, old, v);
    if (!ucpu_store(u, va, &result, bytes))
        return UOP_FAULT;
    write_x(c, field(word, 0, 5), old);
    return UOP_NEXT;
}

/* ---- unprivileged accesses ---- */

int a64_op_unprivileged(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t word = a64_fp_word(op);
    unsigned size = field(word, 30, 2), opc = field(word, 22, 2), bytes = 1u << size, rt = field(word, 0, 5);
    uint64_t va = read_base(c, word) + (uint64_t)a64_signed(field(word, 12, 9), 9), v = 0;
    bool done;

    if ((u->block->key.mode & A64_MODE_ALIGN) && (va & (bytes - 1)))
        return a64_misaligned(c, REGIME_EL0, va, opc == 0);
    if (opc == 0)
        v = read_x(c, rt);
    c->unprivileged = true;
    done = opc == 0 ? ucpu_store_mode(u, REGIME_EL0, va, &v, bytes) : ucpu_load_mode(u, REGIME_EL0, va, &v, bytes);
    c->unprivileged = false;
    if (!done)
        return UOP_FAULT;
    if (opc == 0)
        return UOP_NEXT;
    if (opc & 2)
        v = (uint64_t)sign_extend(v, size);
    write_x(c, rt, opc == 3 ? (uint32_t)v : v);
    return UOP_NEXT;
}

/* ---- SIMD registers and memory ---- */

/* One structure element: a byte range of a register. */
static uint8_t *element(struct a64_cpu *c, unsigned reg, unsigned index, unsigned bytes)
{
    return c->st->v[reg & 31].b + index * bytes;
}

/* LD1-LD4, ST1-ST4 of whole registers: element e of register r of `selem` interleaved ones. */
static int multiple_structures(struct ucpu *u, uint32_t word)
{
    static const struct {
        uint8_t rpt, selem;
    } forms[16] = {[0] = {1, 4}, [2] = {4, 1}, [4] = {1, 3}, [6] = {3, 1}, [7] = {1, 1}, [8] = {1, 2}, [10] = {2, 1}};
    struct a64_cpu *c = a64_of(u);
    unsigned rpt = forms[field(word, 12, 4)].rpt, selem = forms[field(word, 12, 4)].selem;
    unsigned each = field(word, 30, 1) ? 16 : 8, bytes = 1u << field(word, 10, 2), at = 0, t = field(word, 0, 5);
    bool load = field(word, 22, 1);
    uint8_t buf[64] = {0};

    if (load && !ucpu_load_units(u, c->st->t[0], buf, rpt * selem * each, bytes))
        return UOP_FAULT;
    for (unsigned r = 0; r < rpt; r++)
        for (unsigned e = 0; e < each / bytes; e++)
            for (unsigned s = 0; s < selem; s++, at += bytes) {
                uint8_t *reg = element(c, t + r + s, e, bytes);

                memcpy(load ? reg : buf + at, load ? buf + at : reg, bytes);
            }
    if (!load)
        return ucpu_store_units(u, c->st->t[0], buf, at, bytes) ? UOP_NEXT : UOP_FAULT;
    for (unsigned r = 0; each == 8 && r < rpt * selem; r++)
        c->st->v[(t + r) & 31].d[1] = 0;
    return UOP_NEXT;
}

static void replicate(union a64_vreg *v, const uint8_t *from, unsigned bytes, bool q)
{
    v->d[1] = 0;
    for (unsigned at = 0; at < (q ? 16u : 8u); at += bytes)
        memcpy(v->b + at, from, bytes);
}

/* One element of each register, or one for all lanes (LD1R...). */
static int single_structure(struct ucpu *u, uint32_t word)
{
    struct a64_cpu *c = a64_of(u);
    unsigned opcode = field(word, 13, 3), size = field(word, 10, 2), t = field(word, 0, 5);
    unsigned selem = ((opcode & 1) << 1 | field(word, 21, 1)) + 1, scale = opcode >> 1;
    unsigned lane = field(word, 30, 1) << 3 | field(word, 12, 1) << 2 | size, bytes;
    bool load = field(word, 22, 1), all = scale == 3;
    uint8_t buf[32] = {0};

    if (all)
        scale = size;
    else if (scale == 2 && (size & 1))
        scale = 3;
    bytes = 1u << scale;
    lane >>= scale;
    if (load && !ucpu_load_units(u, c->st->t[0], buf, selem * bytes, bytes))
        return UOP_FAULT;
    for (unsigned s = 0; s < selem; s++) {
        uint8_t *reg = element(c, t + s, all ? 0 : lane, bytes);

        if (all)
            replicate(&c->st->v[(t + s) & 31], buf + s * bytes, bytes, field(word, 30, 1));
        else
            memcpy(load ? reg : buf + s * bytes, load ? buf + s * bytes : reg, bytes);
    }
    return load || ucpu_store_units(u, c->st->t[0], buf, selem * bytes, bytes) ? UOP_NEXT : UOP_FAULT;
}

int a64_op_structures(struct ucpu *u, const struct uop *op)
{
    uint32_t word = a64_fp_word(op);

    return field(word, 24, 1) ? single_structure(u, word) : multiple_structures(u, word);
}

/* ---- DC ZVA ---- */

#define ZVA_BYTES 64u /* DCZID_EL0.BS = 4 */

int a64_op_dc_zva(struct ucpu *u, const struct uop *op)
{
    static const uint8_t zeros[ZVA_BYTES];
    struct a64_cpu *c = a64_of(u);
    uint64_t va = state_value(u, op->a);
    bool fine;

    if ((c->st->el == 0 && !(c->st->sctlr[1] & SCTLR_DZE)) || (c->st->el < 2 && (a64_hcr(c) & HCR_TDZ)))
        return a64_op_sys(u, op);
    /* To Device memory it is never aligned. FAR is the operand, whichever byte it was. */
    u->misaligned = true;
    fine = ucpu_probe(u, u->tlb_mode, va, 1, ACCESS_WRITE);
    u->misaligned = false;
    if (!fine)
        return UOP_FAULT;
    return ucpu_store(u, va & ~(uint64_t)(ZVA_BYTES - 1), zeros, ZVA_BYTES) ? UOP_NEXT : UOP_FAULT;
}

/* ---- CRC32 ---- */

/* What four bits make of the rest, of the polynomial 04C11DB7H, reflected. */
static const uint32_t crc_nibble[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static int crc32(struct ucpu *u, const struct uop *op, unsigned bytes)
{
    uint32_t crc = (uint32_t)state_value(u, op->a);
    uint64_t v = state_value(u, op->b), result;

    for (unsigned i = 0; i < 2 * bytes; i++, v >>= 4)
        crc = crc >> 4 ^ crc_nibble[(crc ^ v) & 15];
    result = crc;
    memcpy(u->s + op->d, &result, sizeof result);
    return UOP_NEXT;
}

#define CRC_HELPER(bytes) \
    static int crc32_##bytes(struct ucpu *u, const struct uop *op) \
    { \
        return crc32(u, op, bytes); \
    }
CRC_HELPER(1)
CRC_HELPER(2)
CRC_HELPER(4)
CRC_HELPER(8)

a64_helper *const a64_op_crc32[4] = {crc32_1, crc32_2, crc32_4, crc32_8};
