/*
 * Inside the lowering of XMM and YMM registers: lower_simd.c (operations), lower_simd_move.c (moves).
 */
#ifndef HINDCAST_I386_LOWER_SIMD_H
#define HINDCAST_I386_LOWER_SIMD_H

#include "i386/lowering.h"
#include "i386/simd.h"

#define S_XMM(n) (S_OFF(xmm) + 16u * (unsigned)(n))

static inline unsigned number_reg(const struct lower *l)
{
    return (l->i.modrm >> 3 & 7u) | (l->i.rex & REX_R ? 8u : 0);
}

static inline unsigned number_rm(const struct lower *l)
{
    return (l->i.modrm & 7u) | (l->i.rex & REX_B ? 8u : 0);
}

static inline unsigned xmm_reg(const struct lower *l)
{
    return S_XMM(number_reg(l));
}

static inline unsigned xmm_rm(const struct lower *l)
{
    return S_XMM(number_rm(l));
}

/* The same numbers as general registers. */
static inline unsigned gpr_reg(const struct lower *l)
{
    return S_GPR64(number_reg(l));
}

static inline unsigned gpr_rm(const struct lower *l)
{
    return S_GPR64(number_rm(l));
}

/* What the manual calls V: vvvv, or without VEX the destination. */
static inline unsigned xmm_first(const struct lower *l)
{
    return l->i.vex ? S_XMM(l->i.vvvv) : xmm_reg(l);
}

/* Are vectors 256 bits long? */
static inline bool is_256(const struct lower *l)
{
    return l->i.vex == 2;
}

static inline bool has_mem(const struct lower *l)
{
    return l->i.flags & INSN_MEM;
}

/* Of an operand in a general register. */
static inline unsigned integer_bytes(const struct lower *l)
{
    return wide(l) && (l->i.rex & REX_W) ? 8 : 4;
}

/* Of elements whose size VEX.W says. */
static inline unsigned element_bytes_by_w(const struct lower *l)
{
    return l->i.rex & REX_W ? 8 : 4;
}

/* ---- lower_simd_move.c ---- */
/* The address of the memory operand of `bytes` bytes, which must be aligned to that or not. */
void simd_address(struct lower *l, struct mem *m, unsigned bytes, bool write, bool aligned);
/* Where the r/m operand is: a register, or the temporary S_XT(0) after loading it. */
unsigned simd_source(struct lower *l, unsigned bytes, bool aligned);
/* d = 16 bytes of a */
void simd_move(struct lower *l, unsigned d, unsigned a);
/* Bits 128 to 255 of d become 0. */
void simd_clear_high(struct lower *l, unsigned d);
/* Store 8 or 16 bytes. */
void simd_store(struct lower *l, unsigned from, unsigned bytes, struct mem *m);
/* Instructions that move; false: not one of these. */
bool lower_simd_move(struct lower *l, const struct simd_row *r);

#endif
