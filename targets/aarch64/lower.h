/*
 * From instructions to micro-ops, and the helper functions that micro-ops call.
 *
 * lower*.c is the only place where an integer, branch, load/store or system
 * instruction's meaning is written. What is rare or large is a CALL of a helper
 *     int helper(struct ucpu *, const struct uop *)
 * which returns an enum uop_result. The comment at each helper says what the
 * micro-op's three 16-bit operands hold:
 *   *x     the operand is a state offset; the value there (64 bits) is read or written
 *   x      the operand is a small number
 * XZR is at s_src() as a source and at s_dst() as a destination, so a helper
 * need not know about register 31.
 *
 * a64_state.pc is NOT current inside a helper, except where (P) says so: there
 * it is the address of the instruction itself. After UOP_FAULT the core sets it
 * before take_exception(): PC is then the faulting instruction, for SVC, HVC
 * and SMC too (whose preferred return is PC + 4). After (E) the block ends with
 * EXIT to the next instruction; (A) the instruction runs alone, as a block of
 * its own, so that machine_position() is exact and devices may be touched.
 *
 * Helpers that change what the block mode (below) depends on call
 * a64_regime_changed() and are (E) or return UOP_LEAVE.
 */
#ifndef HINDCAST_AARCH64_LOWER_H
#define HINDCAST_AARCH64_LOWER_H

#include "aarch64/cpu.h"

/* block_key.mode: everything but the bytes that the micro-ops of a block depend on. */
enum {
    A64_MODE_EL       = 3u << 0,  /* PSTATE.EL */
    A64_MODE_SPX      = 1u << 2,  /* PSTATE.SP */
    A64_MODE_SP_CHECK = 1u << 3,  /* SCTLR_EL1.SA0 at EL0, SCTLR_ELx.SA else: SP must be aligned to 16 */
    A64_MODE_ALIGN    = 1u << 4,  /* all data accesses must be aligned: SCTLR_ELx.A of the current regime (EL0: of
                                   * EL1), or translation is off and all data is Device memory */
    A64_MODE_IL       = 1u << 5,  /* PSTATE.IL: every instruction is an Illegal Execution state exception */
    A64_MODE_TBI0     = 1u << 6,  /* top byte of addresses with bit 55 clear is ignored (TCR_ELx.TBI or TBI0) */
    A64_MODE_TBI1     = 1u << 7,  /* and with bit 55 set (TCR_EL1.TBI1; never at EL2, EL3) */
    A64_MODE_LSE      = 1u << 8,  /* model->lse */
    A64_MODE_CRC      = 1u << 9,  /* model->crc */
    A64_MODE_PAN      = 1u << 10, /* model->pan: MSR PAN, #imm exists */
    A64_MODE_FP_SHIFT = 12,       /* 2 bits: 0: FP and SIMD are enabled; else the level to trap them to */
};

static inline unsigned a64_mode_el(uint64_t mode)
{
    return mode & A64_MODE_EL;
}

static inline unsigned a64_mode_fp(uint64_t mode)
{
    return (unsigned)(mode >> A64_MODE_FP_SHIFT) & 3;
}

/* The block mode that the state calls for (cpu.c). */
uint64_t a64_block_mode(const struct a64_cpu *c);

/* struct frontend.build */
enum build_next a64_build(struct builder *b);
/* struct frontend.untagged: a data address without the tag that TCR_ELx.TBI lets translation ignore. */
uint64_t a64_untagged(const struct ucpu *u, uint64_t va);

typedef int a64_helper(struct ucpu *u, const struct uop *op);

/* struct frontend.float_op, and its rules (fp.c). */
void a64_float_op(struct ucpu *u, const struct uop *op);
struct float_rules a64_float_rules(void);

/* ---- exception.c ---- */
a64_helper a64_op_svc;     /* imm16 in d */
a64_helper a64_op_hvc;     /* imm16 in d; checks EL0, HCR_EL2.HCD, SCR_EL3.HCE; firmware_call first (P, A, E) */
a64_helper a64_op_smc;     /* imm16 in d; checks EL0, HCR_EL2.TSC, SCR_EL3.SMD; likewise (P, A, E) */
a64_helper a64_op_brk;     /* imm16 in d */
a64_helper a64_op_hlt;     /* imm16 in d: semihosting, else UNDEFINED (P, A, E); UOP_LEAVE if it waits */
a64_helper a64_op_eret;    /* checks EL0 (P). UOP_LEAVE or UOP_FAULT */
a64_helper a64_op_wfi;     /* traps (SCTLR_EL1.nTWI, HCR_EL2.TWI...); sets halted (A, E) */
a64_helper a64_op_yield;           /* the last of its block */
a64_helper a64_op_wfe;     /* likewise (A, E) */
a64_helper a64_op_sev;     /* SEV and SEVL: sets event_register (E) */
a64_helper a64_op_illegal; /* PSTATE.IL is set */
a64_helper a64_op_pc_align; /* PC alignment fault (P): FAR is a64_state.pc. A walk for ACCESS_FETCH of
                             * va & 3 must raise the same before anything else. */
a64_helper a64_op_sp_align; /* SP alignment fault */
a64_helper a64_op_fp_trap; /* an FP or SIMD instruction, trapped to level d (EC_FP, ISS with CV = 1, COND = 14) */
/* Alignment fault of a data access at `va` (EC_DABORT*, DFSC 0x21). */
int a64_alignment_fault(struct a64_cpu *c, uint64_t va, bool write);
/* The same of one that A64_MODE_ALIGN forbids: where that is by the memory's type, faults of the
 * translation come first. */
int a64_misaligned(struct a64_cpu *c, unsigned regime, uint64_t va, bool write);

/* ---- sysreg.c ---- */
/* Traps and privilege are the helper's. `b` is SYSREG(op0, op1, CRn, CRm, op2).
 * Made inline by the lowering, whenever nothing can trap them:
 *   TPIDR_EL0, TPIDRRO_EL0 (read; write at EL1 and up), TPIDR_EL1 (EL1 and up),
 *   SP_EL0 (EL1 and up with SPSel = 1), ELR_EL1 and SPSR_EL1 (EL1), CurrentEL,
 *   DAIF (read at EL1 and up), NZCV.
 * FPCR and FPSR: the FP trap was checked before the call. */
a64_helper a64_op_mrs;     /* *d = register; op0 2 or 3. (A) for CRn 9, 12, 14 of op0 3 and for op0 2 */
a64_helper a64_op_msr;     /* register = *a (E); (A) likewise */
a64_helper a64_op_sys;     /* op0 1: AT, TLBI, DC, IC with *a (E). IC and DC by VA other than DC ZVA too */
a64_helper a64_op_sysl;    /* op0 1: *d = result (E) */
/* MSR (immediate): SPSel, DAIFSet, DAIFClr, PAN: d = op1 << 3 | op2, a = imm4 (E). DAIFSet of
 * A, I, F at EL1 and up is inline. */
a64_helper a64_op_msr_imm;

/* ---- helpers.c ---- */
a64_helper a64_op_undefined;
/* DC ZVA, *a the address; calls a64_op_sys with the same micro-op when it is trapped
 * (EL0 and SCTLR_EL1.DZE = 0, HCR_EL2.TDZ). */
a64_helper a64_op_dc_zva;

/* ---- fp*.c simd*.c crypto.c ---- */
/* Everything in the "Data Processing -- Scalar Floating-Point and Advanced SIMD" group
 * (C4.1: bits 28-25 are x111). The lowering raises the trap first if FP is disabled,
 * then asks a64_fp_handler() for the instruction word's helper: NULL: unallocated (or
 * not in the model's instruction set): UNDEFINED. The helper finds the word by
 * a64_fp_word() and reads and writes a64_state itself (register 31 is XZR: careful);
 * it must leave NZCV valid lazy flags (a64_set_nzcv). It never faults but by a64_raise
 * before changing anything, and does not touch memory. Loads and stores of SIMD&FP
 * registers are lower_mem.c's.
 */
a64_helper *a64_fp_handler(uint32_t insn, const struct a64_model *model);

static inline uint32_t a64_fp_word(const struct uop *op)
{
    return op->d | (uint32_t)op->a << 16;
}

#endif
