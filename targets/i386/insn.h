/*
 * A decoded i386 instruction, and the decoder (SDM 2, chapter 2 and appendix A).
 *
 * decode.c is a pure function of bytes and mode. It knows lengths, operands,
 * where LOCK is allowed, and which encodings do not exist; it knows nothing
 * about privilege or machine state.
 */
#ifndef HINDCAST_I386_INSN_H
#define HINDCAST_I386_INSN_H

#include "base/types.h"

/* What an instruction does; operand sizes are in the operands. */
enum insn_op {
    INSN_UD = 0, /* undefined opcode */
    INSN_GROUP,  /* table use only: ModRM.reg selects a row of a group */
    /* in the order of the opcode map's /r */
    INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
    INSN_ROL, INSN_ROR, INSN_RCL, INSN_RCR, INSN_SHL, INSN_SHR, INSN_SAL, INSN_SAR,
    INSN_TEST, INSN_NOT, INSN_NEG, INSN_MUL, INSN_IMUL1, INSN_DIV, INSN_IDIV,
    INSN_INC, INSN_DEC, INSN_MOV, INSN_XCHG, INSN_LEA, INSN_NOP,
    INSN_PUSH, INSN_POP, INSN_PUSH_SREG, INSN_POP_SREG, INSN_PUSHA, INSN_POPA, INSN_PUSHF, INSN_POPF,
    INSN_ENTER, INSN_LEAVE, INSN_BOUND, INSN_ARPL, INSN_IMUL, INSN_IMUL3,
    INSN_INS, INSN_OUTS, INSN_MOVS, INSN_CMPS, INSN_STOS, INSN_LODS, INSN_SCAS,
    INSN_JCC, INSN_SETCC, INSN_CMOVCC, INSN_JMP, INSN_JMP_IND, INSN_CALL, INSN_CALL_IND, INSN_RET,
    INSN_JMPF, INSN_JMPF_IND, INSN_CALLF, INSN_CALLF_IND, INSN_RETF, INSN_IRET,
    INSN_LOOPNE, INSN_LOOPE, INSN_LOOP, INSN_JCXZ, INSN_INT3, INSN_INT, INSN_INTO, INSN_ICEBP,
    INSN_MOV_FROM_SREG, INSN_MOV_TO_SREG, INSN_LOAD_FAR, /* LES LDS LSS LFS LGS */
    INSN_CBW, INSN_CWD, INSN_SAHF, INSN_LAHF, INSN_CMC, INSN_CLC, INSN_STC, INSN_CLD, INSN_STD,
    INSN_DAA, INSN_DAS, INSN_AAA, INSN_AAS, INSN_AAM, INSN_AAD, INSN_SALC, INSN_XLAT,
    INSN_IN, INSN_OUT, INSN_HLT, INSN_CLI, INSN_STI,
    INSN_X87, INSN_FWAIT, INSN_SIMD,
    INSN_MOVZX, INSN_MOVSX, INSN_BSWAP, INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC, INSN_BSF, INSN_BSR,
    INSN_SHLD, INSN_SHRD, INSN_CMPXCHG, INSN_CMPXCHG8B, INSN_XADD,
    INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR, INSN_VERR, INSN_VERW, INSN_SGDT, INSN_SIDT, INSN_LGDT,
    INSN_LIDT, INSN_SMSW, INSN_LMSW, INSN_INVLPG, INSN_LAR, INSN_LSL, INSN_CLTS, INSN_INVD, INSN_WBINVD,
    INSN_MOV_FROM_CR, INSN_MOV_TO_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_DR,
    INSN_WRMSR, INSN_RDTSC, INSN_RDMSR, INSN_RDPMC, INSN_SYSENTER, INSN_SYSEXIT, INSN_CPUID,
    INSN_POPCNT, INSN_TZCNT, INSN_LZCNT, INSN_ADCX, INSN_ADOX, INSN_CRC32, INSN_ANDN, INSN_BLSR, INSN_BLSMSK, INSN_BLSI,
    INSN_BZHI, INSN_BEXTR, INSN_SHLX, INSN_SARX, INSN_SHRX, INSN_MULX, INSN_PDEP, INSN_PEXT, INSN_RORX, INSN_RDRAND, INSN_RDSEED,
    INSN_CLFLUSHOPT, /* and CLWB */
    INSN_XSAVE, INSN_XSAVEOPT, INSN_XSAVEC, INSN_XSAVES, INSN_XRSTOR, INSN_XRSTORS,
    INSN_MOVSXD, INSN_SYSCALL, INSN_SYSRET, INSN_SWAPGS, INSN_RDTSCP, INSN_XGETBV, INSN_XSETBV, INSN_STAC, INSN_CLAC,
    INSN_MONITOR, INSN_MWAIT, INSN_RDPKRU, INSN_WRPKRU, INSN_FSGSBASE, INSN_CMPXCHG16B, INSN_INVPCID, INSN_MOVBE,
    INSN_RDPID, INSN_RSM,
    INSN_CLZERO,
    INSN_VMRUN, INSN_VMMCALL, INSN_VMLOAD, INSN_VMSAVE, INSN_STGI, INSN_CLGI, INSN_SKINIT, INSN_INVLPGA,
    INSN_COUNT
};

enum operand_kind {
    OPERAND_NONE,
    OPERAND_REG,  /* general register `reg`, of `size` bytes */
    OPERAND_MEM,  /* the instruction's memory operand, `size` bytes (0: not a datum) */
    OPERAND_IMM,  /* insn.imm, extended to `size` bytes */
    OPERAND_IMM2, /* insn.imm2 */
    OPERAND_SREG, /* segment register `reg` */
    OPERAND_CR,
    OPERAND_DR,
    OPERAND_REL,  /* insn.imm: signed displacement of a branch */
    OPERAND_FAR,  /* insn.imm2 : insn.imm */
};

struct operand {
    uint8_t kind; /* enum operand_kind */
    uint8_t size; /* bytes */
    uint8_t reg;  /* number */
};

#define INSN_LOCK   0x01u
#define INSN_REPNE  0x02u /* F2 was the last of F2 and F3 */
#define INSN_REP    0x04u /* F3 was */
#define INSN_OPSIZE 0x08u /* 66 */
#define INSN_MODRM  0x10u /* there is a ModRM byte */
#define INSN_MEM    0x20u /* there is a memory operand */
#define INSN_RIP    0x40u /* disp is relative to the next instruction */
#define INSN_REX    0x80u /* there is a REX or VEX prefix: insn.rex */

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u
/* Byte registers: AL CL DL BL AH CH DH BH R8B...; SPL BPL SIL DIL (with REX) are 20 to 23. */
#define INSN_LOW_BYTE 16u

#define INSN_MAX_LEN 15u
#define INSN_NO_REG  0xffu

struct insn {
    uint8_t op;      /* enum insn_op */
    uint8_t len;     /* bytes */
    uint8_t flags;   /* INSN_* */
    uint8_t map;     /* 0: one-byte opcode; 1: 0F xx; 2: 0F 38 xx; 3: 0F 3A xx */
    uint8_t opcode;
    uint8_t modrm;
    uint8_t osize;   /* operand size: 2, 4 or 8 */
    uint8_t asize;   /* address size: 2, 4 or 8 */
    uint8_t seg;     /* segment of the memory operand, default or override */
    uint8_t base;    /* register, or INSN_NO_REG */
    uint8_t index;   /* register, or INSN_NO_REG */
    uint8_t scale;   /* log2 */
    uint8_t rex;     /* REX_*; of a VEX prefix, too */
    uint8_t vex;     /* 0, or 1 + log2(vector bytes / 16): there is a VEX prefix, which gave map, rex and flags */
    uint8_t vvvv;    /* the register that it names; 0 if it has to name none */
    uint32_t disp;   /* sign-extended */
    uint32_t imm;    /* sign-extended where the manual says so */
    uint64_t wide;   /* 64-bit immediate, or the address of MOV to and from an offset */
    uint32_t imm2;   /* selector of a far pointer; second immediate of ENTER */
    struct operand arg[3];
};

/* What the decoding depends on besides the bytes. */
#define DECODE_CODE32 1u /* default sizes are 32 bits */
#define DECODE_P6     2u /* instructions that the Pentium and the P6 family added exist */
#define DECODE_CODE64 4u /* 64-bit mode */
#define DECODE_LM     8u /* instructions that came with or after long mode exist (which of them, the lowering knows) */
#define DECODE_VEX    16u /* C4 and C5 begin VEX prefixes where they cannot be LES and LDS: not in real and virtual-8086 mode */
#define DECODE_AMD    32u /* manners of AMD's processors: MOVSXD, near branches of 16 bits, PREFETCHW of a register, LOCK VERW,
                           * lengths of UD0, UD1, 0F 78 and 3DNow! (their APM 3; gas, AMD64 ISA) */

enum decode_result {
    DECODE_OK,
    DECODE_UD,    /* no such instruction: #UD; insn.len is what its opcode has, as far as that is known */
    DECODE_SHORT, /* more than `avail` bytes are needed */
    DECODE_LONG,  /* more than 15 bytes: #GP(0) */
};

enum decode_result i386_decode(const uint8_t *bytes, unsigned avail, unsigned mode, struct insn *out);

/* Does it gather: is the index a vector register (SDM 2, 2.3.12)? */
static inline bool insn_is_gather(const struct insn *i)
{
    return i->vex && i->map == 2 && (i->opcode & 0xfc) == 0x90;
}

/* Whether a row of the opcode tables is defined: for tests. `map` as in struct insn. */
bool i386_opcode_defined(unsigned map, uint8_t opcode, unsigned mode);
/* Can the opcode come with ModRM? */
bool i386_opcode_has_modrm(unsigned map, uint8_t opcode);

#endif
