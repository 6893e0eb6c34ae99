/*
 * From instructions to micro-ops, and the helper functions that micro-ops call.
 *
 * lower*.c is the only place where an instruction's meaning is written. What
 * is rare or large is a CALL of a helper
 *     int helper(struct ucpu *, const struct uop *)
 * which returns an enum uop_result. The comment at each helper says what the
 * micro-op's three 16-bit operands hold:
 *   *x     the operand is a state offset; the value there is read or written
 *   x      the operand is a small number
 * Temporaries with fixed roles across helpers:
 *   S_T(0)  offset of the memory operand within its segment (address size applied)
 *   S_T(1)  a value loaded or to be stored; imm8
 *   S_T(2)  RIP of the instruction itself, where a comment says so
 *   S_T(3)  RIP of the next instruction, where a comment says so
 * i386_state.eip is NOT current inside a helper, unless it says so here.
 *
 * Helpers of fields that change the block mode (below) call
 * i386_mode_changed(); the lowering ends the block with EXIT after them.
 */
#ifndef HINDCAST_I386_LOWER_H
#define HINDCAST_I386_LOWER_H

#include "i386/cpu.h"

/* block_key.mode: bits 32-63 are the limit of CS, the rest is MODE_* bits. */
enum {
    MODE_PE     = 1u << 0, /* CR0.PE */
    MODE_VM     = 1u << 1, /* EFLAGS.VM */
    MODE_CODE32 = 1u << 2, /* CS.D: operands and addresses are 32 bits by default */
    MODE_STACK32 = 1u << 3, /* SS.B: ESP, not SP */
    MODE_USER   = 1u << 4, /* CPL == 3 */
    MODE_ALIGN  = 1u << 5, /* CPL == 3, CR0.AM, EFLAGS.AC: alignment is checked */
    MODE_FERR   = 1u << 6, /* CR0.NE == 0: x87 errors go out of the FERR pin */
    MODE_P6     = 1u << 7, /* the model has the instructions that the Pentium and the P6 added */
    MODE_SSE    = 1u << 20, /* CR4.OSFXSR is set, and the model has SSE */
    MODE_LONG   = 1u << 21, /* 64-bit mode */
    MODE_LM     = 1u << 22, /* the model has instructions that came with or after long mode */
    MODE_VEX    = 1u << 23, /* it has some with a VEX prefix, and this is protected mode (not virtual-8086) */
    MODE_AVX    = 1u << 24, /* CR4.OSXSAVE, XCR0.SSE and XCR0.AVX are set: those of them on XMM and YMM registers exist */
    /* two bits for each of ES CS SS DS FS GS: enum seg_class */
    MODE_SEG_SHIFT = 8,
    /* a bit for each of them: mode_reads() */
    MODE_READS_SHIFT = 25,
};
#define MODE_GUEST (1u << 31) /* of a virtual machine (svm.h): its monitor may intercept instructions */

/* How an access through a segment has to be lowered. */
enum seg_class {
    SEG_GENERAL, /* everything is checked by a helper, unless it is a read and mode_reads() */
    SEG_UP,      /* readable, writable, expand-up: compare the limit, add the base */
    SEG_BIG,     /* and the limit is 4 GiB - 1: add the base */
    SEG_FLAT,    /* and the base is 0 */
};

static inline enum seg_class mode_seg(uint64_t mode, unsigned seg)
{
    return (enum seg_class)((mode >> (MODE_SEG_SHIFT + 2 * seg)) & 3);
}

/* Of one that is SEG_GENERAL: may it be read and is not expand-down, as code and constants are? Then reads are as of SEG_UP, whose
 * limit may be 4 GiB - 1 as well. */
static inline bool mode_reads(uint64_t mode, unsigned seg)
{
    return mode >> (MODE_READS_SHIFT + seg) & 1;
}

/* What of a block mode is the model's: the instructions that it can have. */
uint64_t i386_model_mode(const struct i386_model *m);
/* How code of a block mode is decoded: DECODE_* (insn.h). */
unsigned i386_decode_mode(uint64_t mode);
/* The block mode that the state calls for. */
uint64_t i386_block_mode(const struct i386_cpu *c);
/* The same, when nothing has changed since block_mode was refreshed but what i386_level_moved() says. `cpl`: the state's, which was
 * just written: who reads it together with its neighbour waits for that. */
uint64_t i386_block_mode_moved(const struct i386_cpu *c, unsigned cpl);
/* The same, when nothing has changed but the data or stack segment register `seg`. */
uint64_t i386_block_mode_loaded(const struct i386_cpu *c, unsigned seg);

/* struct frontend.build */
enum build_next i386_build(struct builder *b);

typedef int i386_helper(struct ucpu *u, const struct uop *op);

/* ---- system.c ---- */
/* All privilege and mode checks that depend on CPL, IOPL, VM or CR bits are the
 * helper's (#GP(0), #UD). The lowering has raised #UD for: LOCK, undefined
 * ModRM forms, CR1/CR5-7, and, outside protected mode (real or VM86), for
 * SLDT STR LLDT LTR VERR VERW LAR LSL ARPL.
 * After (E) the block ends with EXIT. */
i386_helper i386_op_mov_from_cr;  /* *d = CR number a */
i386_helper i386_op_mov_to_cr;    /* CR number d = *a                                    (E) */
i386_helper i386_op_mov_from_dr;  /* *d = DR number a (4, 5: CR4.DE decides)  */
i386_helper i386_op_mov_to_dr;    /* DR number d = *a                                    (E) */
i386_helper i386_op_pause;        /* the last of its block */
i386_helper i386_op_clts;         /*                                                     (E) */
i386_helper i386_op_lmsw;         /* *a, 16 bits                                         (E) */
i386_helper i386_op_smsw;         /* *d = CR0, 32 bits; the lowering narrows it */
i386_helper i386_op_lgdt;         /* memory operand at segment a, offset S_T(0); b: 32-bit operand size (E) */
i386_helper i386_op_lidt;         /* likewise                                            (E) */
i386_helper i386_op_sgdt;         /* store to segment a, offset S_T(0), 6 bytes (64-bit mode: 10); alone */
i386_helper i386_op_sidt;
i386_helper i386_op_lldt;         /* *a, 16 bits                                         (E) */
i386_helper i386_op_ltr;          /* *a, 16 bits                                         (E) */
i386_helper i386_op_sldt;         /* *d = selector, zero-extended to 32 bits; the lowering narrows it */
i386_helper i386_op_str;
i386_helper i386_op_verr;         /* selector *a; sets ZF */
i386_helper i386_op_verw;
i386_helper i386_op_lar;          /* selector *a; b: 32-bit operand size; sets ZF, and *d (b ? 32 : 16 bits) if ZF */
i386_helper i386_op_lsl;
i386_helper i386_op_invlpg;       /* segment a, offset S_T(0)                            (E) */
i386_helper i386_op_invd;         /* INVD and WBINVD */
i386_helper i386_op_rdmsr;        /* ECX -> EDX:EAX */
i386_helper i386_op_wrmsr;        /*                                                     (E) */
i386_helper i386_op_rdtsc;        /* needs the exact position: alone */
i386_helper i386_op_rdpmc;        /* alone */
i386_helper i386_op_cpuid;
i386_helper i386_op_hlt;          /* sets halted; the PC goes to the next instruction    (E) */
i386_helper i386_op_sysenter;     /* S_T(3): next EIP. Sets PC: UOP_LEAVE */
i386_helper i386_op_sysexit;      /* b: to 64-bit mode. UOP_LEAVE */
i386_helper i386_op_cli;          /* IOPL, VME, PVI; block goes on */
i386_helper i386_op_sti;          /* IOPL, VME, PVI, shadow = 1 if IF was clear          (E) */
i386_helper i386_op_sti_between;  /* the same, alone if something would come first after the next instruction */
/* *d = the image that PUSHF pushes (32 bits, RF and VM clear); a: 32-bit operand size; IOPL and VME checks */
i386_helper i386_op_pushf;
i386_helper i386_op_syscall;      /* S_T(3): next RIP. UOP_LEAVE */
i386_helper i386_op_sysret;       /* b: to 64-bit mode. UOP_LEAVE */
i386_helper i386_op_rsm;          /* alone. UOP_LEAVE (smm.c) */
i386_helper i386_op_swapgs;
i386_helper i386_op_rdtscp;       /* alone */
/* XSAVE and its like (xsave.c): b: I386_FX_W | segment; S_T(0) offset. Those that store: alone. */
i386_helper i386_op_xsave, i386_op_xsaveopt, i386_op_xsavec, i386_op_xsaves;
i386_helper i386_op_xrstor, i386_op_xrstors; /*                                          (E) */
i386_helper i386_op_xgetbv;
i386_helper i386_op_xsetbv;       /*                                                     (E) */
i386_helper i386_op_smap;         /* EFLAGS.AC = a                                       (E) */
i386_helper i386_op_monitor;
i386_helper i386_op_mwait;        /* alone */
i386_helper i386_op_rdpkru;
i386_helper i386_op_wrpkru;       /*                                                     (E) */
i386_helper i386_op_fsgsbase;     /* b: 0, 1: *d = base of FS, GS; 2, 3: the base becomes the 64-bit *a */
i386_helper i386_op_clzero;       /* segment a, address size b; alone */
i386_helper i386_op_cmpxchg16b;   /* memory operand at segment a, S_T(0); alone */
i386_helper i386_op_invpcid;      /* descriptor at segment a, S_T(0); type *d            (E) */
i386_helper i386_op_random;       /* *d = a bytes of entropy; CF = 1. Alone */
/* Set the flags as POPF does from *a; b: 32-bit operand size; IOPL, VME. Called with
 * ESP not yet changed; nothing after it faults.                                         (E) */
i386_helper i386_op_popf;

/* ---- fpu.c, sse.c, avx.c ---- */
/* Everything about the instruction is the helper's: #NM, #MF, #UD of encodings that
 * the model lacks, memory access (i386_read, i386_write), FIP/FOP. */
/* D8-DF: d: low 3 bits of the opcode; a: ModRM; b: I386_FX_* | segment.
 * S_T(0) offset, S_T(2) EIP of the instruction (at its first prefix). Alone if it
 * stores more than 10 bytes (FNSTENV, FNSAVE), or if MODE_FERR. */
i386_helper i386_x87;
i386_helper i386_fwait; /* 9B; S_T(2) likewise */
/* i386_simd_handler(): on MMX registers, and what has none. d: xx of 0F xx, 100H + xx of 0F 38 xx, 200H + xx of 0F 3A xx;
 * a: ModRM (0 if there is none: 77);
 * b: I386_FX_* | segment; S_T(0) offset; S_T(1) imm8. MASKMOVQ (F7) has segment and offset (DI or EDI) without
 * I386_FX_MEM. Alone if it stores more than 16 bytes (FXSAVE). */
i386_helper i386_op_sse_unavailable; /* raises what CR0.EM and CR0.TS call for */
i386_helper i386_op_avx_unavailable; /* #NM */
/* avx.c, the last mmx.c: of the micro-op VECTOR_MASKED; S_T(0): offset, of a gather without the index. */
i386_helper i386_op_masked_load, i386_op_masked_store, i386_op_gather, i386_op_maskmovdqu;
i386_helper i386_op_writable; /* S_T(0): a linear address */
/* struct frontend.x87 (fpu.c), and ucpu.x87_notes_opcode. */
extern const struct x87_layout i386_x87_layout;
bool i386_x87_notes_opcode(const struct i386_model *m);
/* struct frontend.sse_op (sse_float.c). */
i386_helper i386_sse_op;
i386_helper i386_op_x87_unavailable, i386_op_x87_pending; /* #NM; #MF, or FERR */
i386_helper i386_op_mmx_unavailable; /* raises what CR0.EM and CR0.TS call for */
i386_helper i386_op_misaligned;      /* #GP(0): of an operand, or of reserved bits of MXCSR */
enum {
    I386_FX_SEG    = 0x0007, /* segment of the memory operand */
    I386_FX_MEM    = 0x0008, /* there is a memory operand */
    I386_FX_OP32   = 0x0010, /* operand size is 32 bits (x87 environment formats) */
    I386_FX_66     = 0x0020, /* prefix 66 */
    I386_FX_F2     = 0x0040, /* prefix F2 */
    I386_FX_F3     = 0x0080, /* prefix F3 (the later of F2 and F3 counts) */
    I386_FX_W      = 0x0100, /* REX.W */
    /* with ModRM in a */
    I386_FX_REX_R  = 0x0100,
    I386_FX_REX_B  = 0x0200,
};

#endif
