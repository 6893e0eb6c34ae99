/*
 * A decoded A64 instruction. decode.c makes it from the rows of a64.def.
 */
#ifndef HINDCAST_AARCH64_INSN_H
#define HINDCAST_AARCH64_INSN_H

#include "base/types.h"

/* F(name, width): the fields that patterns may name, unsigned as encoded. Names as in the
 * manual where it has one; LL is DCPS's level, aop the atomic operation, mode the
 * indexing of pairs, opc3 three bits of opcode. */
#define A64_FIELDS(F) \
    F(sf, 1) F(op, 1) F(S, 1) F(sh, 1) F(N, 1) F(A, 1) F(R, 1) F(L, 1) F(Q, 1) F(U, 1) F(V, 1) \
    F(b5, 1) F(o0, 1) F(o2, 1) F(sz, 1) \
    F(opc, 2) F(hw, 2) F(size, 2) F(shift, 2) F(mode, 2) F(immlo, 2) F(LL, 2) \
    F(op1, 3) F(op2, 3) F(option, 3) F(imm3, 3) F(aop, 3) F(opc3, 3) \
    F(cond, 4) F(nzcv, 4) F(CRn, 4) F(CRm, 4) F(opcode, 4) \
    F(Rd, 5) F(Rn, 5) F(Rm, 5) F(Ra, 5) F(Rt, 5) F(Rt2, 5) F(Rs, 5) F(b40, 5) F(imm5, 5) \
    F(immr, 6) F(imms, 6) F(imm6, 6) F(imm7, 7) F(imm9, 9) F(imm12, 12) F(imm14, 14) F(imm16, 16) \
    F(imm19, 19) F(immhi, 19) F(imm26, 26)

enum a64_field {
#define F(name, width) A64_FIELD_##name,
    A64_FIELDS(F)
#undef F
    A64_FIELD_COUNT
};

enum a64_kind {
    A64_UNALLOCATED,
#define A64(name, pattern) A64_##name,
#include "aarch64/a64.def"
#undef A64
    A64_KIND_COUNT
};

struct a64_insn {
    enum a64_kind kind;
    uint32_t word;
    /* Fields of the kind's pattern; all others are 0. */
#define F(name, width) uint32_t name;
    A64_FIELDS(F)
#undef F
};

/* A pure function of the word. Which optional instructions the model has is the lowering's
 * business. */
void a64_decode(uint32_t word, struct a64_insn *i);

/* DecodeBitMasks() (J1.1.3) for logical immediates: false: reserved. */
bool a64_bitmask(unsigned n, unsigned imms, unsigned immr, uint64_t *mask);

static inline int64_t a64_signed(uint32_t v, unsigned width)
{
    return (int64_t)((uint64_t)v << (64 - width)) >> (64 - width);
}

/* For the test of the table: row n; NULL: there are no more. */
struct a64_row {
    const char *name;
    uint32_t mask, value;
};
const struct a64_row *a64_row(unsigned n);
const char *a64_kind_name(enum a64_kind kind);

#endif
