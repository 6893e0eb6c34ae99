/*
 * x87, MMX and SSE: what the rest of the target sees of them, and what their
 * files share.
 *
 * Entry points: i386_x87, i386_fwait and i386_simd (lower.h) do any
 * instruction of theirs. i386_x87_handler and i386_simd_handler name the one
 * function that does a given encoding, so that the lowering can CALL it
 * directly with the same operands and save the look-up at run time.
 *
 * A helper changes no state when it returns UOP_FAULT, but for the sticky flags
 * of an unmasked numeric exception, which are its architectural effect.
 */
#ifndef HINDCAST_I386_FPU_H
#define HINDCAST_I386_FPU_H

#include "i386/cpu.h"
#include "i386/lower.h"
#include "i386/protect.h"
#include "softfloat/softfloat.h"

/* The function for an x87 instruction (opcode D8-DF, ModRM); never NULL: undefined
 * encodings have one that raises #UD. */
i386_helper *i386_x87_handler(unsigned opcode, unsigned modrm);
/* The function for 0F `opcode` with the I386_FX_66/F2/F3 prefixes in `fx` and ModRM on
 * this model; never NULL. */
i386_helper *i386_simd_handler(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx);
/* Is it LFENCE, MFENCE or SFENCE, and the model has it? Accesses happen in order: there is nothing to do. */
bool i386_is_fence(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx);
/* Is it an instruction on MMX registers, and no XMM registers, that the model has? */
bool i386_is_mmx(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx);
/* Is it one on both? (CVTPI2PS of memory is, as on Intel's processors, which change to MMX state; AMD's do not. CVTPI2PD of memory is
 * none.) */
bool i386_is_mmx_and_sse(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx);

/* RESET (not INIT, which leaves x87 and SSE alone; SDM 3A, table 9-1). */
void i386_fpu_reset(struct i386_state *st);
/* The 16-bit tag word of FNSTENV; two bits for each physical register. */
uint16_t i386_fpu_tag_word(const struct i386_state *st);
/* For the debugger: set which registers are in use from such a tag word. */
void i386_fpu_set_tag_word(struct i386_state *st, uint16_t tags);
/* Port F0h was written: the board's IRQ 13 is acknowledged, errors are ignored until the pending
 * one is cleared. */
void i386_fpu_ignne(struct i386_cpu *c);
/* MXCSR bits that the model has; others are reserved (#GP). */
static inline uint32_t i386_mxcsr_mask(const struct i386_model *m)
{
    return m->has_sse2 ? 0xffffu : 0xffbfu;
}

/* ---- shared by fpu*.c, mmx.c and sse*.c ---- */

/* FSW; the exception flags are FLOAT_* (softfloat.h). */
#define FSW_IE  0x0001u
#define FSW_SF  0x0040u
#define FSW_ES  0x0080u
#define FSW_C0  0x0100u
#define FSW_C1  0x0200u
#define FSW_C2  0x0400u
#define FSW_TOP 0x3800u
#define FSW_C3  0x4000u
#define FSW_B   0x8000u

/* i386_state.ferr */
#define FERR_LINE  1u /* ferr_line is asserted */
#define FERR_IGNNE 2u /* IGNNE# is asserted */

#define FCW_INIT 0x037fu

#define MXCSR_DAZ  0x0040u
#define MXCSR_FTZ  0x8000u
#define MXCSR_RESET 0x1f80u

/* A pending x87 error at a waiting instruction: #MF, or UOP_NEXT when errors go out of the FERR pin. */
int i386_fpu_pending(struct i386_cpu *c);
/* ES and B after a change of the flags or masks. */
void i386_fpu_update_es(struct i386_cpu *c);

/* The memory operand of a helper's micro-op. */
static inline bool fx_read(struct i386_cpu *c, const struct uop *op, void *buf, unsigned size)
{
    return i386_read(c, op->b & I386_FX_SEG, c->st->t[0], buf, size);
}

static inline bool fx_write(struct i386_cpu *c, const struct uop *op, const void *buf, unsigned size)
{
    return i386_write(c, op->b & I386_FX_SEG, c->st->t[0], buf, size);
}

/* In 64-bit mode only FS and GS have a base. */
static inline bool fx_misaligned(const struct i386_cpu *c, const struct uop *op, unsigned alignment)
{
    unsigned seg = op->b & I386_FX_SEG;
    uint64_t base = seg < SEG_FS && i386_64bit(c->st) ? 0 : c->st->seg[seg].base;

    return (base + c->st->t[0]) & (alignment - 1);
}

/* ---- images of FXSAVE and XSAVE (fpu_env.c) ---- */
#define FXSAVE_MXCSR 24  /* and its mask */
#define FXSAVE_ST    32  /* ST(0): 16 bytes each */
#define FXSAVE_XMM   160 /* XMM0 */
/* The x87 part: bytes 0-23 and 32-159; with pointers of 64 bits, or of 32 and selectors. */
void i386_x87_image(const struct i386_state *st, uint8_t *image, bool wide_pointers);
void i386_x87_load(struct i386_cpu *c, const uint8_t *image, bool wide_pointers);
/* The state that XRSTOR calls the initial one: FNINIT's, and registers of 0. */
void i386_x87_init(struct i386_cpu *c);
/* Bytes of the XMM registers that the mode has: of 8, or of 16. */
unsigned i386_xmm_bytes(const struct i386_state *st);

/* FXSAVE and FXRSTOR (fpu_env.c), reached through i386_simd. */
i386_helper i386_op_fxsave, i386_op_fxrstor;
/* Instructions of fpu_env.c, reached through i386_x87. */
i386_helper i386_op_fldenv, i386_op_fnstenv, i386_op_frstor, i386_op_fnsave, i386_op_fninit;

#endif
