/*
 * What lower.c, lower_mem.c and lower_simd.c share, and the helpers that they call themselves.
 */
#ifndef HINDCAST_AARCH64_LOWERING_H
#define HINDCAST_AARCH64_LOWERING_H

#include "aarch64/insn.h"
#include "aarch64/lower.h"

/* The instruction being lowered. */
struct lower {
    struct builder *b;
    struct a64_insn i;
    uint64_t mode; /* A64_MODE_* */
    uint64_t pc;
};

#define S_ZERO S_OFF(zero)
/* The operation in its 64-bit form, or the one that clears the upper half. */
#define WIDE_OP(l, name) ((l)->i.sf ? UOP_##name##64 : UOP_##name##32Z)
#define WIDE_OP_I(l, name) ((l)->i.sf ? UOP_##name##64I : UOP_##name##32ZI)
#define WIDE_OP_F(l, name) ((l)->i.sf ? UOP_##name##64_F : UOP_##name##32Z_F)
#define WIDE_OP_I_F(l, name) ((l)->i.sf ? UOP_##name##64I_F : UOP_##name##32ZI_F)

static inline struct uop *emit(struct lower *l, enum uop_code op, unsigned d, unsigned a, unsigned b)
{
    return build(l->b, op, d, a, b, 0, 0);
}

static inline struct uop *emit_imm(struct lower *l, enum uop_code op, unsigned d, unsigned a, uint32_t imm)
{
    return build(l->b, op, d, a, 0, imm, 0);
}

static inline struct uop *emit_imm64(struct lower *l, enum uop_code op, unsigned d, unsigned a, uint64_t imm)
{
    struct uop *u = build(l->b, op, d, a, 0, 0, 0);

    u->imm64 = imm;
    return u;
}

static inline void call(struct lower *l, a64_helper *fn, unsigned d, unsigned a, unsigned b)
{
    build_call(l->b, fn, d, a, b);
}

/* A call of a helper that takes the instruction apart itself, by a64_fp_word(). */
static inline void call_word(struct lower *l, a64_helper *fn)
{
    call(l, fn, l->i.word & 0xffff, l->i.word >> 16, 0);
}

/* ---- lower.c ---- */
enum build_next lower_end_exit(struct lower *l);
enum build_next lower_undefined(struct lower *l);
/* The trap that a disabled FP unit makes of the instruction; false: FP is enabled. */
bool lower_fp_trap(struct lower *l);

/* ---- lower_mem.c ---- */
/* Every load and store. */
enum build_next lower_memory(struct lower *l);

/* ---- lower_simd.c ---- */
/* An allocated instruction of FP or SIMD registers, as micro-ops; false: it wants its helper. */
bool lower_vector(struct lower *l);

/* ---- helpers.c: a64_fp_word() is the instruction word, unless said otherwise ---- */
a64_helper a64_op_load_exclusive;  /* LDXP LDAXP */
a64_helper a64_op_store_exclusive; /* STXP STLXP */
a64_helper a64_op_cas;             /* CASP and variants */
a64_helper a64_op_atomic;          /* LDSMAX LDSMIN LDUMAX LDUMIN and variants */
a64_helper a64_op_unprivileged;    /* LDTR, STTR and variants at EL1 */
a64_helper a64_op_structures;      /* LD1-LD4, ST1-ST4; S_T(0): the address */
a64_helper a64_op_misaligned_load; /* an access to *a that is not aligned but must be: by A64_MODE_ALIGN, or anyway if b */
a64_helper a64_op_misaligned_store;
/* CRC32 of 1, 2, 4, 8 bytes: *d = crc of *b with *a before. (CRC32C is a micro-op.) */
extern a64_helper *const a64_op_crc32[4];

#endif
