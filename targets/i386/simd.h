/*
 * The instructions on XMM and YMM registers, one row each (simd_map.c): which feature has them, what forms there
 * are, how they are lowered (lower_simd.c), what they compute (vector.h, sse_float.c).
 */
#ifndef HINDCAST_I386_SIMD_H
#define HINDCAST_I386_SIMD_H

#include "i386/insn.h"
#include "i386/vector.h"

/* How an instruction is lowered; V names vvvv, or without VEX the reg field's register, as its first source. */
enum simd_form {
    SIMD_NONE,
    SIMD_TWO,        /* reg = V op r/m: the micro-op `uop`, or VECTOR */
    SIMD_ONE,        /* reg = op r/m */
    SIMD_COUNT,      /* as TWO, where r/m has a count, of 16 bytes, for all */
    SIMD_FIELD,      /* bits of the low half, where two immediates say: EXTRQ of r/m, INSERTQ */
    SIMD_CHOICE,     /* as TWO; a third source is the mask: XMM0, or named by imm8 */
    SIMD_SHIFT,      /* VVVV (r/m without VEX) = r/m shifted by imm8: 71-73 */
    SIMD_WIDEN,      /* reg = the low elements of r/m, widened */
    SIMD_BROADCAST,  /* reg = the lowest element of r/m, everywhere */
    SIMD_PERMUTE,    /* as TWO or ONE, of 256 bits that are not two halves */
    SIMD_FLOAT,      /* reg = V op r/m, the micro-op SSE */
    SIMD_FLOAT_ONE,  /* reg = op r/m, the micro-op SSE */
    SIMD_DOT,        /* DPPS, DPPD: reg = V . r/m, of elements of `bytes` */
    SIMD_NARROW,     /* the same; the result has 128 bits whatever the operand has */
    SIMD_FROM_INTEGER, SIMD_TO_INTEGER, SIMD_COMPARE,
    SIMD_FROM_INTEGERS, /* CVTPI2PD from memory, which has nothing to do with MMX registers */
    SIMD_TO_HALF,    /* VCVTPS2PH */
    SIMD_LOAD, SIMD_STORE, /* of whole registers: reg = r/m, r/m = reg */
    SIMD_LOAD_LOW, SIMD_STORE_LOW,   /* MOVSS, MOVSD: `bytes` */
    SIMD_LOAD_HALF, SIMD_STORE_HALF, /* MOVLPS, MOVHPS... */
    SIMD_LOAD_Q, SIMD_STORE_Q,       /* MOVQ */
    SIMD_LOAD_GENERAL, SIMD_STORE_GENERAL, /* MOVD */
    SIMD_SIGNS,      /* general register = signs of elements of `bytes` bytes */
    SIMD_INSERT, SIMD_EXTRACT,         /* an element of `bytes` bytes (0: as REX.W says) */
    SIMD_INSERT_128, SIMD_EXTRACT_128, SIMD_BROADCAST_128, SIMD_PERMUTE_128,
    SIMD_TEST,       /* flags */
    SIMD_STRING,     /* PCMPESTRM and its kin */
    SIMD_MASK_LOAD, SIMD_MASK_STORE, /* VMASKMOV; elements of `bytes`, or as W says */
    SIMD_GATHER,
    SIMD_MASKMOVDQU,
    SIMD_MXCSR,      /* LDMXCSR, STMXCSR */
    SIMD_ZERO,       /* VZEROUPPER, VZEROALL */
};

/* The feature by which there is a form without VEX. */
enum simd_set { SET_NONE, SET_SSE, SET_SSE2, SET_SSE3, SET_SSSE3, SET_SSE41, SET_SSE42, SET_AES, SET_PCLMUL, SET_SSE4A, SET_COUNT };

/* The form with VEX: which vector lengths there are, and by which feature. */
enum simd_vex {
    VEX_NONE,
    VEX_AVX,    /* 128 and 256 bits: AVX */
    VEX_SCALAR, /* AVX; L is ignored */
    VEX_INT,    /* 128 bits: AVX; 256: AVX2 */
    VEX_L0,     /* 128 only: AVX */
    VEX_L1,     /* 256 only: AVX */
    VEX_AVX2,   /* 128 and 256: AVX2 */
    VEX_AVX2_L1, /* 256 only: AVX2 */
    VEX_AES, VEX_PCLMUL, /* 128: AVX; 256: VAES, VPCLMULQDQ */
    VEX_FMA, VEX_FMA_SCALAR, VEX_F16C,
};

#define SIMD_REG 1u       /* r/m is a register */
#define SIMD_MEM 2u       /* r/m is memory */
#define SIMD_W0  4u       /* VEX.W must be 0 */
#define SIMD_W1  8u       /* VEX.W must be 1 */
#define SIMD_UNALIGNED 16u /* 16 bytes of memory need not be aligned, without VEX */
#define SIMD_ALIGNED 32u  /* they must be, with VEX, too */

struct simd_row {
    vector_fn *fn;    /* the meaning of VECTOR */
    uint16_t uop;     /* a micro-op of its own; 0: VECTOR */
    uint8_t form;     /* enum simd_form */
    uint8_t set, vex; /* enum simd_set, enum simd_vex */
    uint8_t flags;    /* SIMD_* */
    uint8_t bytes;    /* of the operand in memory, or of elements; 0: the vector's */
    uint8_t split;    /* bits of imm8 that are for the lower half of 256 bits */
};

enum simd_prefix { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

/* The row of map 1 to 3, opcode and mandatory prefix; form SIMD_NONE: no such instruction. */
const struct simd_row *i386_simd_row(unsigned map, unsigned opcode, enum simd_prefix prefix);

/* frontend.vector_op and frontend.vector_test (simd_map.c), frontend.vector_strings (strings42.c). */
void i386_vector_op(struct ucpu *u, const struct uop *op);
/* frontend.approximation (sse_float.c) */
uint32_t i386_approximation(bool root, uint32_t a);
uint32_t i386_vector_test(struct ucpu *u, const struct uop *op);
uint32_t i386_vector_strings(struct ucpu *u, const struct uop *op);

#endif
