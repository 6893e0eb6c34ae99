/*
 * Helpers of the integer instructions, called by micro-ops that lower.c emits.
 * Operand notation as in lower.h: *x a state offset, x a small number. `size`
 * is 1, 2, 4 or 8 bytes.
 */
#ifndef HINDCAST_I386_HELPERS_H
#define HINDCAST_I386_HELPERS_H

#include "i386/lower.h"

/* ---- integer.c: arithmetic ---- */
enum shift_kind {
    SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR,
    SHIFT_SHLD, SHIFT_SHRD,
};
enum {
    SHIFT_SIZE_SHIFT = 4,   /* size << 4 */
    SHIFT_DEFER      = 256, /* leave the flags in S_T(5) for i386_op_commit_flags */
};
i386_helper i386_op_shift;        /* *d = *a shifted by S_T(4); b: kind | size << 4 | DEFER; SHLD/SHRD: bits from S_T(6) */
i386_helper i386_op_commit_flags; /* flags = S_T(5) */
i386_helper i386_op_div8, i386_op_idiv8;   /* AX / *a; the same, signed */
i386_helper i386_op_div16, i386_op_idiv16; /* DX:AX / *a */
i386_helper i386_op_div32;        /* EDX:EAX / *a */
i386_helper i386_op_idiv32;       /* the same, signed */
i386_helper i386_op_div64;        /* RDX:RAX / *a */
i386_helper i386_op_idiv64;       /* the same, signed */
enum count_kind { COUNT_TRAILING, COUNT_LEADING };
i386_helper i386_op_count_16;     /* *d = zeros at the bottom or top (b: enum count_kind) of *a, 16 bits */
i386_helper i386_op_bcd;          /* a: opcode (DAA DAS AAA AAS AAM AAD); b: immediate */
i386_helper i386_op_arpl_reg;     /* ARPL *d, *a */
i386_helper i386_op_arpl_mem;     /* ARPL at segment d, S_T(0); *a */
i386_helper i386_op_bound;        /* *a within the bounds at segment d, S_T(0); b: size */

/* ---- flow.c: memory checks, stack frames, transfers ---- */
i386_helper i386_op_raise;        /* exception d; a: there is an error code, b */
i386_helper i386_op_limit;        /* a limit was exceeded; b: state offset of the segment's limit */
i386_helper i386_op_limit_or_4g;  /* the same, but that one of 4 GiB - 1 is none */
i386_helper i386_op_linear;       /* *d = linear address of offset *a; b: I386_LINEAR_* */
enum {
    I386_LINEAR_SIZE_SHIFT = 4,     /* low bits: segment; size in bytes << 4 */
    I386_LINEAR_WRITE      = 0x400,
    I386_LINEAR_ALIGN_SHIFT = 11,   /* above: alignment that AC asks for, in bytes; 0: by the size */
};
i386_helper i386_op_bad_branch;   /* branch beyond CS's limit: #GP(0) if taken: b: cond, or 16: *a != 0, 17: *a == 0 */
i386_helper i386_op_canonical;    /* CANON64: #GP if *a is not canonical; d: what was popped, and is not */
i386_helper i386_op_load_segment; /* segment d = *a */
i386_helper i386_op_pusha;        /* a: size of items, b: stack is 32 bits */
i386_helper i386_op_popa;
i386_helper i386_op_pusha_alone; /* of 32 bits, with a flat stack of 32 bits: once it is alone, all of the instruction. UOP_LEAVE */
i386_helper i386_op_popa_alone;
i386_helper i386_op_enter;        /* a: bytes, b: level | stack is 32 bits << 8; d: size of items */
i386_helper i386_op_far_jump;     /* *a selector, *d offset, b: operand size */
i386_helper i386_op_far_call;     /* the same; S_T(3) next EIP */
i386_helper i386_op_far_return;   /* a: extra bytes, b: operand size */
i386_helper i386_op_iret;         /* b: operand size */
enum int_kind { INT_N, INT_3, INT_O, INT_ICEBP };
i386_helper i386_op_int;          /* a: vector, d: enum int_kind; S_T(3) next EIP */

/* POPF as a whole, of 2 bytes, or of b: 4 or 8; from S_T(1), which is on the stack still; S_T(3): next RIP. UOP_LEAVE, the last of its block */
i386_helper i386_op_popf_16, i386_op_popf_32;

/* ---- string.c: string and port instructions ---- */
i386_helper i386_op_in;           /* *d = port *a; b: size | size of addresses << 4 */
i386_helper i386_op_out;          /* port *a = *d; b: likewise */
enum string_kind { STRING_INS, STRING_OUTS, STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS };
enum { STRING_REP = 0x10, STRING_REPNE = 0x20, STRING_ADDR32 = 0x40, STRING_ADDR64 = 0x80 };
/* d: enum string_kind | STRING_*; a: source segment; b: size; S_T(2) EIP of the instruction.
 * The last instruction of its block. */
i386_helper i386_op_string;

#endif
