/*
 * The i386 instruction decoder: SDM volume 2, chapter 2 (format, prefixes,
 * ModRM, SIB) and appendix A (opcode maps), whose operand codes the tables use:
 *
 *   E  register or memory by ModRM.rm     G  general register by ModRM.reg
 *   M  memory by ModRM.rm only            R  register by ModRM.rm only
 *   I  immediate                          J  displacement relative to the next instruction
 *   O  memory at an immediate offset      A  immediate far pointer
 *   S  segment register by ModRM.reg      C, D  control, debug register by ModRM.reg
 *   Z  register by the opcode's low three bits
 *   B  general register by VEX.vvvv
 *   b w d  1, 2, 4 bytes; v, z  operand size; s  byte, sign-extended to the
 *   operand size; p  far pointer; a  two operands; q, o  8, 16 bytes; y  4 bytes, or 8 with
 *   REX.W; r  as wide as registers are in the mode; n  no datum
 *
 * An empty row is an undefined opcode. What is undefined is as long as its opcode says all the same (ModRM, displacement,
 * immediate): all of that is fetched first, and counted. NONE is such an opcode that has operands. Deliberately undefined here:
 *   0F 04, 0A, 0C, 0E, 0F 3DNow! (AMD), LOADALL (286/386)
 *   0F 24-27              MOV to and from test registers (removed with the Pentium)
 *   0F 36, 37, A6, A7     SMX, Cyrix
 *   0F 78, 79             VMREAD, VMWRITE (with 66 and F2 they are AMD's EXTRQ and INSERTQ)
 *   0F 0B, B9, FF         UD2, UD1, UD0: undefined by definition
 * D8-DF and the MMX, SSE and AVX part of 0F, 0F 38 and 0F 3A are decoded only as far as their length; the
 * lowering and the helpers that execute them know which of them exist.
 *
 * To add an instruction: a row here, a name in insn.h, a case in lower.c.
 */
#include "i386/insn.h"

#include <string.h>

#include "i386/cpu.h"

/* Operand codes: what it is in the high byte, its size in the low one. */
enum {
    K_NONE, K_E, K_G, K_M, K_R, K_I, K_I2, K_J, K_O, K_A, K_S, K_C, K_D, K_Z,
    K_REG, /* fixed general register: number in the size's high nibble */
    K_SEG, /* fixed segment register */
    K_ONE, /* the constant 1 */
    K_IV,  /* immediate of the whole operand size, 64 bits too */
    K_B,   /* the register of a VEX prefix */
    K_FX,  /* ModRM with an opaque operand: x87, MMX, SSE */
};
enum { Z_n, Z_b, Z_w, Z_d, Z_v, Z_s, Z_p, Z_a, Z_q, Z_y, Z_r, Z_o };
#define CODE(k, z) ((k) << 8 | (z))
enum {
    Ey = CODE(K_E, Z_y), Gy = CODE(K_G, Z_y), My = CODE(K_M, Z_y), Ry = CODE(K_R, Z_y), Mo = CODE(K_M, Z_o), Rr = CODE(K_R, Z_r),
    By = CODE(K_B, Z_y), Gr = CODE(K_G, Z_r), Mv = CODE(K_M, Z_v), Iv = CODE(K_IV, Z_v),
    Eb = CODE(K_E, Z_b), Ew = CODE(K_E, Z_w), Ev = CODE(K_E, Z_v), Ed = CODE(K_E, Z_d),
    Gb = CODE(K_G, Z_b), Gw = CODE(K_G, Z_w), Gv = CODE(K_G, Z_v), Gd = CODE(K_G, Z_d),
    M  = CODE(K_M, Z_n), Mp = CODE(K_M, Z_p), Ma = CODE(K_M, Z_a), Mq = CODE(K_M, Z_q),
    Ib = CODE(K_I, Z_b), Iw = CODE(K_I, Z_w), Iz = CODE(K_I, Z_v), Is = CODE(K_I, Z_s),
    I2b = CODE(K_I2, Z_b),
    Jb = CODE(K_J, Z_b), Jz = CODE(K_J, Z_v),
    Ob = CODE(K_O, Z_b), Ov = CODE(K_O, Z_v),
    Ap = CODE(K_A, Z_p),
    Sw = CODE(K_S, Z_w), Cd = CODE(K_C, Z_d), Dd = CODE(K_D, Z_d),
    Zb = CODE(K_Z, Z_b), Zv = CODE(K_Z, Z_v), Zy = CODE(K_Z, Z_y),
    AL = CODE(K_REG, EAX << 4 | Z_b), rAX = CODE(K_REG, EAX << 4 | Z_v),
    CL = CODE(K_REG, ECX << 4 | Z_b), DX = CODE(K_REG, EDX << 4 | Z_w),
    ES = CODE(K_SEG, SEG_ES << 4 | Z_w), CS = CODE(K_SEG, SEG_CS << 4 | Z_w),
    SS = CODE(K_SEG, SEG_SS << 4 | Z_w), DS = CODE(K_SEG, SEG_DS << 4 | Z_w),
    FS = CODE(K_SEG, SEG_FS << 4 | Z_w), GS = CODE(K_SEG, SEG_GS << 4 | Z_w),
    One = CODE(K_ONE, Z_b),
    FX = CODE(K_FX, Z_n),
};

enum {
    LOCKABLE = 1, /* LOCK is allowed if the first operand is memory (XCHG: any) */
    P6       = 2, /* not on a 486 */
    LM       = 4, /* only on models with long mode */
    NO64     = 8, /* not in 64-bit mode */
    D64      = 16, /* in 64-bit mode the operand size is 64 bits, or 16 with prefix 66 */
    F64      = 32, /* near branches: in 64-bit mode the operand size is 64 bits, or on AMD's processors 16 with prefix 66 */
    ONLY64   = 64, /* only in 64-bit mode */
};

struct row {
    uint8_t op;      /* enum insn_op */
    uint8_t flags;
    uint16_t arg[3];
    uint8_t group;   /* INSN_GROUP: enum group */
    bool any;        /* arguments of the group's rows come from the opcode's row */
};

enum group { GRP_1, GRP_1A, GRP_2, GRP_3B, GRP_3V, GRP_4, GRP_5, GRP_6, GRP_7, GRP_8, GRP_9, GRP_11, GRP_16, GRP_17,
             GROUP_COUNT };

#define ROW0(o)             {.op = INSN_##o}
#define ROW1(o, a)          {.op = INSN_##o, .arg = {a}}
#define ROW2(o, a, b)       {.op = INSN_##o, .arg = {a, b}}
#define ROW3(o, a, b, c)    {.op = INSN_##o, .arg = {a, b, c}}
#define LROW1(o, a)         {.op = INSN_##o, .flags = LOCKABLE, .arg = {a}}
#define LROW2(o, a, b)      {.op = INSN_##o, .flags = LOCKABLE, .arg = {a, b}}
#define P6ROW0(o)           {.op = INSN_##o, .flags = P6}
#define P6ROW1(o, a)        {.op = INSN_##o, .flags = P6, .arg = {a}}
#define P6ROW2(o, a, b)     {.op = INSN_##o, .flags = P6, .arg = {a, b}}
#define FROW0(f, o)         {.op = INSN_##o, .flags = (f)}
#define FROW1(f, o, a)      {.op = INSN_##o, .flags = (f), .arg = {a}}
#define FROW2(f, o, a, b)   {.op = INSN_##o, .flags = (f), .arg = {a, b}}
#define FROW3(f, o, a, b, c) {.op = INSN_##o, .flags = (f), .arg = {a, b, c}}
#define NONE1(f, a)         {.op = INSN_UD, .flags = (f), .arg = {a}}
#define GROUP(g, ...)       {.op = INSN_GROUP, .group = GRP_##g, .arg = {__VA_ARGS__}}

#define ALU_ROWS(base, o) \
    [base + 0] = LROW2(o, Eb, Gb), [base + 1] = LROW2(o, Ev, Gv), \
    [base + 2] = ROW2(o, Gb, Eb),  [base + 3] = ROW2(o, Gv, Ev), \
    [base + 4] = ROW2(o, AL, Ib),  [base + 5] = ROW2(o, rAX, Iz)

static const struct row one_byte[256] = {
    ALU_ROWS(0x00, ADD), [0x06] = FROW1(NO64, PUSH_SREG, ES), [0x07] = FROW1(NO64, POP_SREG, ES),
    ALU_ROWS(0x08, OR),  [0x0e] = FROW1(NO64, PUSH_SREG, CS), /* 0F: the two-byte map */
    ALU_ROWS(0x10, ADC), [0x16] = FROW1(NO64, PUSH_SREG, SS), [0x17] = FROW1(NO64, POP_SREG, SS),
    ALU_ROWS(0x18, SBB), [0x1e] = FROW1(NO64, PUSH_SREG, DS), [0x1f] = FROW1(NO64, POP_SREG, DS),
    ALU_ROWS(0x20, AND), [0x27] = FROW0(NO64, DAA), /* 26: ES */
    ALU_ROWS(0x28, SUB), [0x2f] = FROW0(NO64, DAS), /* 2E: CS */
    ALU_ROWS(0x30, XOR), [0x37] = FROW0(NO64, AAA), /* 36: SS */
    [0x38] = ROW2(CMP, Eb, Gb), [0x39] = ROW2(CMP, Ev, Gv), [0x3a] = ROW2(CMP, Gb, Eb), [0x3b] = ROW2(CMP, Gv, Ev),
    [0x3c] = ROW2(CMP, AL, Ib), [0x3d] = ROW2(CMP, rAX, Iz), [0x3f] = FROW0(NO64, AAS), /* 3E: DS */
    [0x40 ... 0x47] = FROW1(NO64, INC, Zv),
    [0x48 ... 0x4f] = FROW1(NO64, DEC, Zv),
    [0x50 ... 0x57] = FROW1(D64, PUSH, Zv),
    [0x58 ... 0x5f] = FROW1(D64, POP, Zv),
    [0x60] = FROW0(NO64, PUSHA), [0x61] = FROW0(NO64, POPA),
    [0x62] = FROW2(NO64, BOUND, Gv, Ma), [0x63] = FROW2(NO64, ARPL, Ew, Gw), /* 64-67: FS, GS, sizes */
    [0x68] = FROW1(D64, PUSH, Iz), [0x69] = ROW3(IMUL3, Gv, Ev, Iz),
    [0x6a] = FROW1(D64, PUSH, Is), [0x6b] = ROW3(IMUL3, Gv, Ev, Is),
    [0x6c] = ROW0(INS), [0x6d] = ROW0(INS), [0x6e] = ROW0(OUTS), [0x6f] = ROW0(OUTS),
    [0x70 ... 0x7f] = FROW1(F64, JCC, Jb),
    [0x80] = GROUP(1, Eb, Ib), [0x81] = GROUP(1, Ev, Iz), [0x82] = {.op = INSN_GROUP, .flags = NO64, .group = GRP_1, .arg = {Eb, Ib}}, [0x83] = GROUP(1, Ev, Is),
    [0x84] = ROW2(TEST, Eb, Gb), [0x85] = ROW2(TEST, Ev, Gv),
    [0x86] = LROW2(XCHG, Eb, Gb), [0x87] = LROW2(XCHG, Ev, Gv),
    [0x88] = ROW2(MOV, Eb, Gb), [0x89] = ROW2(MOV, Ev, Gv),
    [0x8a] = ROW2(MOV, Gb, Eb), [0x8b] = ROW2(MOV, Gv, Ev),
    [0x8c] = ROW2(MOV_FROM_SREG, Ev, Sw), [0x8d] = ROW2(LEA, Gv, M),
    [0x8e] = ROW2(MOV_TO_SREG, Sw, Ew), [0x8f] = GROUP(1A, Ev),
    [0x90] = ROW0(NOP),
    [0x91 ... 0x97] = ROW2(XCHG, Zv, rAX),
    [0x98] = ROW0(CBW), [0x99] = ROW0(CWD), [0x9a] = FROW1(NO64, CALLF, Ap), [0x9b] = ROW0(FWAIT),
    [0x9c] = FROW0(D64, PUSHF), [0x9d] = FROW0(D64, POPF), [0x9e] = ROW0(SAHF), [0x9f] = ROW0(LAHF),
    [0xa0] = ROW2(MOV, AL, Ob), [0xa1] = ROW2(MOV, rAX, Ov),
    [0xa2] = ROW2(MOV, Ob, AL), [0xa3] = ROW2(MOV, Ov, rAX),
    [0xa4] = ROW0(MOVS), [0xa5] = ROW0(MOVS), [0xa6] = ROW0(CMPS), [0xa7] = ROW0(CMPS),
    [0xa8] = ROW2(TEST, AL, Ib), [0xa9] = ROW2(TEST, rAX, Iz),
    [0xaa] = ROW0(STOS), [0xab] = ROW0(STOS), [0xac] = ROW0(LODS), [0xad] = ROW0(LODS),
    [0xae] = ROW0(SCAS), [0xaf] = ROW0(SCAS),
    [0xb0 ... 0xb7] = ROW2(MOV, Zb, Ib),
    [0xb8 ... 0xbf] = ROW2(MOV, Zv, Iv),
    [0xc0] = GROUP(2, Eb, Ib), [0xc1] = GROUP(2, Ev, Ib),
    [0xc2] = FROW1(F64, RET, Iw), [0xc3] = FROW0(F64, RET),
    [0xc4] = FROW3(NO64, LOAD_FAR, Gv, Mp, ES), [0xc5] = FROW3(NO64, LOAD_FAR, Gv, Mp, DS),
    [0xc6] = GROUP(11, Eb, Ib), [0xc7] = GROUP(11, Ev, Iz),
    [0xc8] = FROW2(D64, ENTER, Iw, I2b), [0xc9] = FROW0(D64, LEAVE),
    [0xca] = ROW1(RETF, Iw), [0xcb] = ROW0(RETF),
    [0xcc] = ROW0(INT3), [0xcd] = ROW1(INT, Ib), [0xce] = FROW0(NO64, INTO), [0xcf] = ROW0(IRET),
    [0xd0] = GROUP(2, Eb, One), [0xd1] = GROUP(2, Ev, One), [0xd2] = GROUP(2, Eb, CL), [0xd3] = GROUP(2, Ev, CL),
    [0xd4] = FROW1(NO64, AAM, Ib), [0xd5] = FROW1(NO64, AAD, Ib), [0xd6] = FROW0(NO64, SALC), [0xd7] = ROW0(XLAT),
    [0xd8 ... 0xdf] = ROW1(X87, FX),
    [0xe0] = FROW1(F64, LOOPNE, Jb), [0xe1] = FROW1(F64, LOOPE, Jb), [0xe2] = FROW1(F64, LOOP, Jb), [0xe3] = FROW1(F64, JCXZ, Jb),
    [0xe4] = ROW2(IN, AL, Ib), [0xe5] = ROW2(IN, rAX, Ib), [0xe6] = ROW2(OUT, Ib, AL), [0xe7] = ROW2(OUT, Ib, rAX),
    [0xe8] = FROW1(F64, CALL, Jz), [0xe9] = FROW1(F64, JMP, Jz), [0xea] = FROW1(NO64, JMPF, Ap), [0xeb] = FROW1(F64, JMP, Jb),
    [0xec] = ROW2(IN, AL, DX), [0xed] = ROW2(IN, rAX, DX), [0xee] = ROW2(OUT, DX, AL), [0xef] = ROW2(OUT, DX, rAX),
    /* F0: LOCK */ [0xf1] = ROW0(ICEBP), /* F2, F3: REPNE, REP */
    [0xf4] = ROW0(HLT), [0xf5] = ROW0(CMC), [0xf6] = GROUP(3B), [0xf7] = GROUP(3V),
    [0xf8] = ROW0(CLC), [0xf9] = ROW0(STC), [0xfa] = ROW0(CLI), [0xfb] = ROW0(STI),
    [0xfc] = ROW0(CLD), [0xfd] = ROW0(STD), [0xfe] = GROUP(4), [0xff] = GROUP(5),
};

static const struct row two_byte[256] = {
    [0x00] = GROUP(6), [0x01] = GROUP(7), [0x02] = ROW2(LAR, Gv, Ew), [0x03] = ROW2(LSL, Gv, Ew),
    [0x05] = FROW0(LM, SYSCALL), [0x06] = ROW0(CLTS), [0x07] = FROW0(LM, SYSRET), [0x08] = ROW0(INVD), [0x09] = ROW0(WBINVD),
    /* 0B: UD2 */ [0x0d] = FROW1(LM, NOP, Ev), /* PREFETCHW */
    [0x10 ... 0x17] = P6ROW1(SIMD, FX),
    [0x18] = GROUP(16), /* PREFETCHh; 19-1F: hints without effect */
    [0x19 ... 0x1f] = P6ROW1(NOP, Ev),
    [0x20] = ROW2(MOV_FROM_CR, Rr, Cd), [0x21] = ROW2(MOV_FROM_DR, Rr, Dd),
    [0x22] = ROW2(MOV_TO_CR, Cd, Rr), [0x23] = ROW2(MOV_TO_DR, Dd, Rr),
    [0x28 ... 0x2f] = P6ROW1(SIMD, FX),
    [0x30] = ROW0(WRMSR), [0x31] = ROW0(RDTSC), [0x32] = ROW0(RDMSR), [0x33] = P6ROW0(RDPMC),
    [0x34] = P6ROW0(SYSENTER), [0x35] = P6ROW0(SYSEXIT),
    [0x40 ... 0x4f] = P6ROW2(CMOVCC, Gv, Ev),
    [0x50 ... 0x5f] = P6ROW1(SIMD, FX),
    [0x60 ... 0x6f] = P6ROW1(SIMD, FX),
    [0x70 ... 0x73] = P6ROW2(SIMD, FX, Ib), [0x74 ... 0x76] = P6ROW1(SIMD, FX),
    [0x77] = P6ROW0(SIMD), [0x78 ... 0x79] = NONE1(LM, FX), [0x7c ... 0x7f] = P6ROW1(SIMD, FX),
    [0x80 ... 0x8f] = FROW1(F64, JCC, Jz),
    [0x90 ... 0x9f] = ROW1(SETCC, Eb),
    [0xa0] = FROW1(D64, PUSH_SREG, FS), [0xa1] = FROW1(D64, POP_SREG, FS), [0xa2] = ROW0(CPUID), [0xa3] = ROW2(BT, Ev, Gv),
    [0xa4] = ROW3(SHLD, Ev, Gv, Ib), [0xa5] = ROW3(SHLD, Ev, Gv, CL),
    [0xa8] = FROW1(D64, PUSH_SREG, GS), [0xa9] = FROW1(D64, POP_SREG, GS), [0xaa] = ROW0(RSM), [0xab] = LROW2(BTS, Ev, Gv),
    [0xac] = ROW3(SHRD, Ev, Gv, Ib), [0xad] = ROW3(SHRD, Ev, Gv, CL),
    [0xae] = P6ROW1(SIMD, FX), [0xaf] = ROW2(IMUL, Gv, Ev),
    [0xb0] = LROW2(CMPXCHG, Eb, Gb), [0xb1] = LROW2(CMPXCHG, Ev, Gv),
    [0xb2] = ROW3(LOAD_FAR, Gv, Mp, SS), [0xb3] = LROW2(BTR, Ev, Gv),
    [0xb4] = ROW3(LOAD_FAR, Gv, Mp, FS), [0xb5] = ROW3(LOAD_FAR, Gv, Mp, GS),
    [0xb6] = ROW2(MOVZX, Gv, Eb), [0xb7] = ROW2(MOVZX, Gv, Ew),
    [0xb8] = NONE1(LM, FX), /* with F3: POPCNT */ [0xb9] = NONE1(P6, FX), /* UD1 */
    [0xba] = GROUP(8, Ev, Ib), [0xbb] = LROW2(BTC, Ev, Gv),
    [0xbc] = ROW2(BSF, Gv, Ev), [0xbd] = ROW2(BSR, Gv, Ev),
    [0xbe] = ROW2(MOVSX, Gv, Eb), [0xbf] = ROW2(MOVSX, Gv, Ew),
    [0xc0] = LROW2(XADD, Eb, Gb), [0xc1] = LROW2(XADD, Ev, Gv),
    [0xc2] = P6ROW2(SIMD, FX, Ib), [0xc3] = P6ROW1(SIMD, FX), [0xc4] = P6ROW2(SIMD, FX, Ib),
    [0xc5] = P6ROW2(SIMD, FX, Ib), [0xc6] = P6ROW2(SIMD, FX, Ib), [0xc7] = GROUP(9),
    [0xc8 ... 0xcf] = ROW1(BSWAP, Zy),
    [0xd0 ... 0xdf] = P6ROW1(SIMD, FX),
    [0xe0 ... 0xef] = P6ROW1(SIMD, FX),
    [0xf0 ... 0xfe] = P6ROW1(SIMD, FX), [0xff] = NONE1(LM, FX), /* UD0 */
};

/* Rows by ModRM.reg; operands given here take the place of the opcode's. */
static const struct row groups[GROUP_COUNT][8] = {
    [GRP_1] = {{INSN_ADD, LOCKABLE, {0}, 0, true}, {INSN_OR, LOCKABLE, {0}, 0, true},
               {INSN_ADC, LOCKABLE, {0}, 0, true}, {INSN_SBB, LOCKABLE, {0}, 0, true},
               {INSN_AND, LOCKABLE, {0}, 0, true}, {INSN_SUB, LOCKABLE, {0}, 0, true},
               {INSN_XOR, LOCKABLE, {0}, 0, true}, {INSN_CMP, 0, {0}, 0, true}},
    [GRP_1A] = {[0] = {INSN_POP, D64, {0}, 0, true}},
    [GRP_2] = {{INSN_ROL, 0, {0}, 0, true}, {INSN_ROR, 0, {0}, 0, true}, {INSN_RCL, 0, {0}, 0, true},
               {INSN_RCR, 0, {0}, 0, true}, {INSN_SHL, 0, {0}, 0, true}, {INSN_SHR, 0, {0}, 0, true},
               {INSN_SAL, 0, {0}, 0, true}, {INSN_SAR, 0, {0}, 0, true}},
    [GRP_3B] = {ROW2(TEST, Eb, Ib), ROW2(TEST, Eb, Ib), LROW1(NOT, Eb), LROW1(NEG, Eb),
                ROW1(MUL, Eb), ROW1(IMUL1, Eb), ROW1(DIV, Eb), ROW1(IDIV, Eb)},
    [GRP_3V] = {ROW2(TEST, Ev, Iz), ROW2(TEST, Ev, Iz), LROW1(NOT, Ev), LROW1(NEG, Ev),
                ROW1(MUL, Ev), ROW1(IMUL1, Ev), ROW1(DIV, Ev), ROW1(IDIV, Ev)},
    [GRP_4] = {LROW1(INC, Eb), LROW1(DEC, Eb)},
    [GRP_5] = {LROW1(INC, Ev), LROW1(DEC, Ev), FROW1(F64, CALL_IND, Ev), ROW1(CALLF_IND, Mp),
               FROW1(F64, JMP_IND, Ev), ROW1(JMPF_IND, Mp), FROW1(D64, PUSH, Ev)},
    [GRP_6] = {ROW1(SLDT, Ev), ROW1(STR, Ev), ROW1(LLDT, Ew), ROW1(LTR, Ew), ROW1(VERR, Ew), ROW1(VERW, Ew)},
    [GRP_7] = {ROW1(SGDT, M), ROW1(SIDT, M), ROW1(LGDT, M), ROW1(LIDT, M), ROW1(SMSW, Ev), ROW0(UD),
               ROW1(LMSW, Ew), ROW1(INVLPG, M)},
    [GRP_8] = {[4] = {INSN_BT, 0, {0}, 0, true}, [5] = {INSN_BTS, LOCKABLE, {0}, 0, true},
               [6] = {INSN_BTR, LOCKABLE, {0}, 0, true}, [7] = {INSN_BTC, LOCKABLE, {0}, 0, true}},
    [GRP_9] = {[1] = {.op = INSN_CMPXCHG8B, .flags = LOCKABLE, .arg = {Mq}}},
    [GRP_11] = {[0] = {INSN_MOV, 0, {0}, 0, true}},
    [GRP_16] = {[0 ... 7] = P6ROW1(NOP, Ev)},
    [GRP_17] = {[1] = FROW2(LM, BLSR, By, Ey), [2] = FROW2(LM, BLSMSK, By, Ey), [3] = FROW2(LM, BLSI, By, Ey)},
};

/* Instructions that all of ModRM, or a prefix, tells from others of their opcode. */
static const struct row movsxd = FROW2(ONLY64, MOVSXD, Gv, Ed), movsxd_word = FROW2(ONLY64, MOVSXD, Gv, Ew),
    xchg_r8 = FROW2(ONLY64, XCHG, Zv, rAX),
    cmpxchg16b = {.op = INSN_CMPXCHG16B, .flags = LOCKABLE | LM | ONLY64, .arg = {Mo}},
    fsgsbase = FROW1(LM | ONLY64, FSGSBASE, Ry), rdpid = FROW1(LM, RDPID, Rr), rdrand = FROW1(LM, RDRAND, Ev),
    rdseed = FROW1(LM, RDSEED, Ev), clflushopt = FROW1(LM, CLFLUSHOPT, M), undefined = ROW0(UD);
/* Memory forms without a prefix of 0F AE /4, 5, 6 and 0F C7 /3, 4, 5. */
static const struct row xsave_0fae[] = {FROW1(LM, XSAVE, M), FROW1(LM, XRSTOR, M), FROW1(LM, XSAVEOPT, M)},
    xsave_0fc7[] = {FROW1(LM, XRSTORS, M), FROW1(LM, XSAVEC, M), FROW1(LM, XSAVES, M)};
static const struct row group_7_registers[64] = {
    [0x08] = FROW0(LM, MONITOR), [0x09] = FROW0(LM, MWAIT), [0x0a] = FROW0(LM, CLAC), [0x0b] = FROW0(LM, STAC),
    [0x10] = FROW0(LM, XGETBV), [0x11] = FROW0(LM, XSETBV),
    [0x18] = FROW0(LM, VMRUN), [0x19] = FROW0(LM, VMMCALL), [0x1a] = FROW0(LM, VMLOAD), [0x1b] = FROW0(LM, VMSAVE),
    [0x1c] = FROW0(LM, STGI), [0x1d] = FROW0(LM, CLGI), [0x1e] = FROW0(LM, SKINIT), [0x1f] = FROW0(LM, INVLPGA),
    [0x2e] = FROW0(LM, RDPKRU), [0x2f] = FROW0(LM, WRPKRU),
    [0x38] = FROW0(LM | ONLY64, SWAPGS), [0x39] = FROW0(LM, RDTSCP), [0x3c] = FROW0(LM, CLZERO),
};

/* Rows by opcode and mandatory prefix (SDM 2, 2.1.2): of F2 and F3 the last, 66 only without these. */
struct prefixed {
    uint8_t map, opcode;
    uint8_t prefixes; /* those that it can have: INSN_OPSIZE, INSN_REP, INSN_REPNE, NO_PREFIX */
    struct row row;
};
#define NO_PREFIX 1u

static const struct prefixed without_vex[] = {
    {1, 0x78, INSN_OPSIZE | INSN_REPNE, FROW3(LM, SIMD, FX, Ib, I2b)}, /* EXTRQ, INSERTQ */
    {1, 0x79, INSN_OPSIZE | INSN_REPNE, FROW1(LM, SIMD, FX)},
    {1, 0xb8, INSN_REP, FROW2(LM, POPCNT, Gv, Ev)},
    {1, 0xbc, INSN_REP, FROW2(LM, TZCNT, Gv, Ev)},
    {1, 0xbd, INSN_REP, FROW2(LM, LZCNT, Gv, Ev)},
    {2, 0x82, INSN_OPSIZE, FROW2(LM, INVPCID, Gr, Mo)},
    {2, 0xf0, NO_PREFIX | INSN_OPSIZE, FROW2(LM, MOVBE, Gv, Mv)},
    {2, 0xf1, NO_PREFIX | INSN_OPSIZE, FROW2(LM, MOVBE, Mv, Gv)},
    {2, 0xf0, INSN_REPNE, FROW2(LM, CRC32, Gy, Eb)},
    {2, 0xf1, INSN_REPNE, FROW2(LM, CRC32, Gy, Ev)},
    {2, 0xf6, INSN_OPSIZE, FROW2(LM, ADCX, Gy, Ey)},
    {2, 0xf6, INSN_REP, FROW2(LM, ADOX, Gy, Ey)},
};

/* With a VEX prefix whose L is 0: of general registers. */
static const struct prefixed with_vex[] = {
    {2, 0xf2, NO_PREFIX, FROW3(LM, ANDN, Gy, By, Ey)},
    {2, 0xf3, NO_PREFIX, {.op = INSN_GROUP, .flags = LM, .group = GRP_17}},
    {2, 0xf5, NO_PREFIX, FROW3(LM, BZHI, Gy, Ey, By)},
    {2, 0xf5, INSN_REP, FROW3(LM, PEXT, Gy, By, Ey)},
    {2, 0xf5, INSN_REPNE, FROW3(LM, PDEP, Gy, By, Ey)},
    {2, 0xf6, INSN_REPNE, FROW3(LM, MULX, Gy, By, Ey)},
    {2, 0xf7, NO_PREFIX, FROW3(LM, BEXTR, Gy, Ey, By)},
    {2, 0xf7, INSN_OPSIZE, FROW3(LM, SHLX, Gy, Ey, By)},
    {2, 0xf7, INSN_REP, FROW3(LM, SARX, Gy, Ey, By)},
    {2, 0xf7, INSN_REPNE, FROW3(LM, SHRX, Gy, Ey, By)},
    {3, 0xf0, INSN_REPNE, FROW3(LM, RORX, Gy, Ey, Ib)},
};

/* What else there is in the three-byte maps, and with VEX: MMX, SSE and AVX. */
static const struct row simd = P6ROW1(SIMD, FX), simd_imm8 = P6ROW2(SIMD, FX, Ib);

/* A cursor over the bytes; running out is remembered, not acted upon. */
struct cursor {
    const uint8_t *bytes;
    unsigned at, avail;
    unsigned mode; /* DECODE_* */
    bool starved;
};

static uint32_t fetch(struct cursor *c, unsigned size)
{
    uint32_t v = 0;

    if (c->at + size > c->avail) {
        c->starved = true;
        c->at += size;
        return 0;
    }
    memcpy(&v, c->bytes + c->at, size);
    c->at += size;
    return v;
}

static uint32_t fetch_signed(struct cursor *c, unsigned size)
{
    uint32_t v = fetch(c, size);

    return size == 1 ? (uint32_t)(int8_t)v : size == 2 ? (uint32_t)(int16_t)v : v;
}

/* SDM 2, table 2-1: 16-bit addressing forms. */
static void memory16(struct cursor *c, struct insn *i)
{
    static const uint8_t base[8] = {EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX};
    static const uint8_t index[8] = {ESI, EDI, ESI, EDI, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;

    if (mod == 0 && rm == 6) {
        i->disp = fetch(c, 2);
        return;
    }
    i->base = base[rm];
    i->index = index[rm];
    if (mod)
        i->disp = fetch_signed(c, mod);
    if (i->base == EBP)
        i->seg = SEG_SS;
}

/* SDM 2, tables 2-2 and 2-3: 32-bit addressing forms with SIB, and 64-bit ones. */
static void memory32(struct cursor *c, struct insn *i)
{
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7, index;
    bool sib = rm == 4;

    if (sib) {
        uint32_t byte = fetch(c, 1);

        rm = byte & 7;
        index = (byte >> 3 & 7) | (i->rex & REX_X ? 8 : 0);
        i->scale = (uint8_t)(byte >> 6);
        i->index = index == 4 && !insn_is_gather(i) ? INSN_NO_REG : (uint8_t)index;
    }
    if (mod == 0 && rm == 5) {
        i->disp = fetch(c, 4);
        if ((c->mode & DECODE_CODE64) && !sib)
            i->flags |= INSN_RIP;
        return;
    }
    i->base = (uint8_t)(rm | (i->rex & REX_B ? 8 : 0));
    if (mod)
        i->disp = fetch_signed(c, mod == 1 ? 1 : 4);
    if (i->base == ESP || i->base == EBP)
        i->seg = SEG_SS;
}

static void modrm_memory(struct cursor *c, struct insn *i)
{
    if (i->modrm >> 6 == 3)
        return;
    i->flags |= INSN_MEM;
    if (i->asize == 2)
        memory16(c, i);
    else
        memory32(c, i);
}

static bool code_uses_modrm(uint16_t code)
{
    switch (code >> 8) {
    case K_E: case K_G: case K_M: case K_R: case K_S: case K_C: case K_D: case K_FX:
        return true;
    default:
        return false;
    }
}

static bool row_uses_modrm(const struct row *r)
{
    return r->op == INSN_GROUP || code_uses_modrm(r->arg[0]) || code_uses_modrm(r->arg[1]);
}

/* Size in bytes that a size code stands for. */
static uint8_t size_of(unsigned z, const struct insn *i, unsigned mode)
{
    switch (z) {
    case Z_b: return 1;
    case Z_w: return 2;
    case Z_d: return 4;
    case Z_v: case Z_s: return i->osize;
    case Z_p: return (uint8_t)(i->osize + 2);
    case Z_a: return (uint8_t)(2 * i->osize);
    case Z_q: return 8;
    case Z_o: return 16;
    case Z_y: return (i->rex & REX_W) && (mode & DECODE_CODE64) ? 8 : 4;
    case Z_r: return mode & DECODE_CODE64 ? 8 : 4;
    default: return 0;
    }
}

/* A general register with bit 3 of its number from REX. */
static struct operand general(const struct insn *i, uint8_t size, unsigned low, unsigned rex_bit)
{
    unsigned n = low | (i->rex & rex_bit ? 8 : 0);

    if (size == 1 && n >= 4 && n < 8 && (i->flags & INSN_REX))
        n |= INSN_LOW_BYTE;
    return (struct operand){OPERAND_REG, size, (uint8_t)n};
}

/* Immediates of operand size are of 32 bits at most, and then sign-extended. */
static void immediate(struct cursor *c, struct insn *i, unsigned size)
{
    i->imm = fetch(c, size > 4 ? 4 : size);
}

static void wide_immediate(struct cursor *c, struct insn *i, unsigned size)
{
    if (size < 8) {
        i->wide = i->imm = fetch(c, size);
        return;
    }
    i->wide = fetch(c, 4);
    i->wide |= (uint64_t)fetch(c, 4) << 32;
}

/* One operand; false: the form does not exist. */
static bool operand(struct cursor *c, struct insn *i, uint16_t code, struct operand *o)
{
    unsigned z = code & 15;
    uint8_t reg = i->modrm >> 3 & 7, rm = i->modrm & 7;

    o->size = size_of(z, i, c->mode);
    switch (code >> 8) {
    case K_NONE:
        return true;
    case K_E:
        if (i->flags & INSN_MEM)
            o->kind = OPERAND_MEM;
        else
            *o = general(i, o->size, rm, REX_B);
        return true;
    case K_M:
        o->kind = OPERAND_MEM;
        return i->flags & INSN_MEM;
    case K_R:
        *o = general(i, o->size, rm, REX_B);
        return true;
    case K_G:
        *o = general(i, o->size, reg, REX_R);
        return true;
    case K_B:
        *o = (struct operand){OPERAND_REG, o->size, i->vvvv};
        return true;
    case K_S:
        *o = (struct operand){OPERAND_SREG, 2, reg};
        return reg < 6;
    case K_C:
        reg |= i->rex & REX_R ? 8 : 0;
        *o = (struct operand){OPERAND_CR, size_of(Z_r, i, c->mode), reg};
        return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
    case K_D:
        *o = (struct operand){OPERAND_DR, size_of(Z_r, i, c->mode), reg};
        return !(i->rex & REX_R);
    case K_Z:
        *o = general(i, o->size, i->opcode & 7, REX_B);
        return true;
    case K_REG:
        o->size = size_of(code & 15, i, c->mode);
        o->kind = OPERAND_REG;
        o->reg = code >> 4 & 15;
        return true;
    case K_SEG:
        *o = (struct operand){OPERAND_SREG, 2, code >> 4 & 15};
        return true;
    case K_I:
        o->kind = OPERAND_IMM;
        if (z == Z_s)
            i->imm = fetch_signed(c, 1);
        else
            immediate(c, i, o->size);
        return true;
    case K_IV:
        o->kind = OPERAND_IMM;
        wide_immediate(c, i, o->size);
        return true;
    case K_I2:
        o->kind = OPERAND_IMM2;
        i->imm2 = fetch(c, 1);
        return true;
    case K_ONE:
        o->kind = OPERAND_IMM;
        i->imm = 1;
        return true;
    case K_J:
        o->kind = OPERAND_REL;
        i->imm = fetch_signed(c, o->size > 4 ? 4 : o->size);
        return true;
    case K_O:
        o->kind = OPERAND_MEM;
        i->flags |= INSN_MEM;
        if (c->mode & DECODE_CODE64)
            wide_immediate(c, i, i->asize);
        else
            i->disp = fetch(c, i->asize);
        return true;
    case K_A:
        o->kind = OPERAND_FAR;
        i->imm = fetch(c, i->osize);
        i->imm2 = fetch(c, 2);
        return true;
    case K_FX:
        o->kind = i->flags & INSN_MEM ? OPERAND_MEM : OPERAND_NONE;
        return true;
    }
    return false;
}

static void rex(struct insn *i, uint8_t bits)
{
    i->rex = bits;
    i->flags |= INSN_REX;
}

/* Prefixes, SDM 2, 2.1.1 and 2.2.1. Returns the first byte that is none, and sets *override. */
static uint8_t prefixes(struct cursor *c, struct insn *i, unsigned *override)
{
    uint8_t osize = i->osize, asize = i->asize, last_rex = 0;
    bool code64 = c->mode & DECODE_CODE64;

    for (;;) {
        uint8_t byte = (uint8_t)fetch(c, 1), this_rex = 0;

        if (c->starved)
            return 0x90;
        switch (byte) {
        case 0x26: case 0x2e: case 0x36: case 0x3e:
            if (!code64)
                *override = (byte >> 3 & 3) + SEG_ES;
            break;
        case 0x64: case 0x65:
            *override = byte - 0x64u + SEG_FS;
            break;
        case 0x66:
            i->osize = 6 - osize;
            i->flags |= INSN_OPSIZE;
            break;
        case 0x67:
            i->asize = code64 ? 4 : 6 - asize;
            break;
        case 0xf0:
            i->flags |= INSN_LOCK;
            break;
        case 0xf2:
            i->flags = (uint8_t)((i->flags & ~INSN_REP) | INSN_REPNE);
            break;
        case 0xf3:
            i->flags = (uint8_t)((i->flags & ~INSN_REPNE) | INSN_REP);
            break;
        case 0x40 ... 0x4f:
            if (code64) {
                this_rex = byte;
                break;
            }
            /* fall through */
        default:
            if (last_rex)
                rex(i, last_rex & 15);
            return byte;
        }
        last_rex = this_rex; /* it counts only right before the opcode */
        if (c->at > INSN_MAX_LEN)
            return 0x90;
    }
}
_Static_assert(SEG_ES == 0 && SEG_CS == 1 && SEG_SS == 2 && SEG_DS == 3, "order of the override prefixes");

/* Is this C4 or C5 a VEX prefix (SDM 2, 2.3.5)? In 64-bit mode always; elsewhere where LES and LDS
 * would name a register. */
static bool is_vex(const struct cursor *c, uint8_t byte)
{
    if ((byte != 0xc4 && byte != 0xc5) || !(c->mode & (DECODE_VEX | DECODE_CODE64)))
        return false;
    return (c->mode & DECODE_CODE64) || (c->at < c->avail && c->bytes[c->at] >= 0xc0);
}

/* The rest of a VEX prefix, and the opcode. False: there is no such prefix here (i->vex is 0), or none that may be. */
static bool vex(struct cursor *c, struct insn *i, uint8_t first)
{
    static const uint8_t simd_prefix[4] = {0, INSN_OPSIZE, INSN_REP, INSN_REPNE};
    uint8_t p = (uint8_t)fetch(c, 1), bits = p & 0x80 ? 0 : REX_R;
    bool alone = !(i->flags & (INSN_LOCK | INSN_REP | INSN_REPNE | INSN_OPSIZE));

    if (!(c->mode & DECODE_VEX) || (i->flags & INSN_REX))
        return false;
    i->map = 1;
    if (first == 0xc4) {
        bits |= (p & 0x40 ? 0 : REX_X) | (p & 0x20 ? 0 : REX_B);
        i->map = p & 31;
        p = (uint8_t)fetch(c, 1);
        bits |= p & 0x80 ? REX_W : 0;
    }
    if (!(c->mode & DECODE_CODE64))
        bits &= REX_W;
    i->vvvv = (uint8_t)(~p >> 3 & 15);
    if (!(c->mode & DECODE_CODE64))
        i->vvvv &= 7;
    i->vex = 1 + (p >> 2 & 1);
    i->osize = 4; /* whatever the mode */
    i->flags |= simd_prefix[p & 3];
    rex(i, bits);
    i->opcode = (uint8_t)fetch(c, 1);
    return alone && i->map >= 1 && i->map <= 3;
}

/* The opcode, from its first byte. False: there is none. */
static bool opcode(struct cursor *c, struct insn *i, uint8_t first)
{
    if (is_vex(c, first))
        return vex(c, i, first);
    i->opcode = first;
    if (i->opcode != 0x0f)
        return true;
    i->map = 1;
    i->opcode = (uint8_t)fetch(c, 1);
    if ((c->mode & DECODE_LM) && (i->opcode == 0x38 || i->opcode == 0x3a)) {
        i->map = i->opcode == 0x38 ? 2 : 3;
        i->opcode = (uint8_t)fetch(c, 1);
    }
    return true;
}

/* MOV to and from CR0 with LOCK is of CR8 (APM 3, MOV CRn; whether the model has it, the lowering knows). */
static bool names_cr8(struct insn *i)
{
    struct operand *o = i->op == INSN_MOV_FROM_CR ? &i->arg[1] : &i->arg[0];

    if (o->kind != OPERAND_CR || o->reg)
        return false;
    o->reg = 8;
    return true;
}

/* SDM 2, LOCK: only with these instructions, and only with memory as destination. */
static bool lock_allowed(const struct cursor *c, struct insn *i, const struct row *r)
{
    if ((c->mode & DECODE_LM) && names_cr8(i))
        return true;
    if (r->op == INSN_VERW && (c->mode & DECODE_AMD)) /* they let it pass */
        return i->flags & INSN_MEM;
    return (r->flags & LOCKABLE) && (i->flags & INSN_MEM);
}

static enum decode_result verdict(const struct cursor *c, struct insn *i, enum decode_result ok)
{
    if (c->starved && c->avail < INSN_MAX_LEN)
        return DECODE_SHORT; /* fetching comes before counting */
    if (c->starved || c->at > INSN_MAX_LEN)
        return DECODE_LONG;
    i->len = (uint8_t)c->at;
    if (ok == DECODE_UD)
        i->op = INSN_UD;
    return ok;
}

static const struct row *search(const struct insn *i, const struct prefixed *rows, size_t count)
{
    unsigned prefix = i->flags & (INSN_REP | INSN_REPNE);

    if (!prefix)
        prefix = i->flags & INSN_OPSIZE ? INSN_OPSIZE : NO_PREFIX;
    for (size_t n = 0; n < count; n++)
        if (rows[n].opcode == i->opcode && rows[n].map == i->map && (rows[n].prefixes & prefix))
            return &rows[n].row;
    return NULL;
}

/* The row by opcode and prefix, where these go together; else NULL. ModRM is not fetched yet. */
static const struct row *find_prefixed(const struct insn *i)
{
    if (!i->vex)
        return search(i, without_vex, ARRAY_LEN(without_vex));
    if (i->vex > 1 || (i->map == 3 && i->vvvv))
        return NULL;
    return search(i, with_vex, ARRAY_LEN(with_vex));
}

/* With a VEX prefix. */
static const struct row *find_vex(const struct insn *i)
{
    switch (i->map) {
    case 1:  return two_byte[i->opcode].op == INSN_SIMD ? &two_byte[i->opcode] : NULL;
    case 2:  return i->opcode < 0xf0 ? &simd : NULL;
    default: return i->opcode < 0xf0 ? &simd_imm8 : NULL;
    }
}

/* The row by opcode alone; NULL: none. ModRM is not fetched yet. */
static const struct row *find_opcode(const struct cursor *c, const struct insn *i)
{
    bool by_prefix = i->map == 1 && (c->mode & DECODE_LM) && ((i->flags & INSN_REP) || (i->opcode & 0xfe) == 0x78);
    const struct row *r = i->map > 1 || by_prefix ? find_prefixed(i) : NULL;

    if (r)
        return r;
    if (i->vex)
        return find_vex(i);
    if (i->map == 2)
        return i->opcode < 0x80 || (i->opcode >= 0xc0 && i->opcode < 0xf0) ? &simd : NULL;
    if (i->map == 3)
        return &simd_imm8;
    if (i->map)
        return &two_byte[i->opcode];
    if (c->mode & DECODE_CODE64) {
        if (i->opcode == 0x63)
            return i->osize == 2 && !(i->rex & REX_W) && !(c->mode & DECODE_AMD) ? &movsxd_word : &movsxd;
        if (i->opcode == 0x90 && (i->rex & REX_B))
            return &xchg_r8;
    }
    return &one_byte[i->opcode];
}

/* In the manual without NP: a mandatory prefix that is not theirs is of no consequence. */
static bool ignores_prefixes(unsigned op, unsigned prefix)
{
    if (op == INSN_CLZERO)
        return prefix == INSN_OPSIZE;
    return op == INSN_MONITOR || op == INSN_MWAIT || op == INSN_SWAPGS || op == INSN_RDTSCP || (op >= INSN_VMRUN && op <= INSN_INVLPGA);
}

/* The row by all of ModRM and by prefixes, where that matters; else `r`. */
static const struct row *refine(const struct cursor *c, const struct insn *i, const struct row *r)
{
    bool registers = !(i->flags & INSN_MEM);
    unsigned digit = i->modrm >> 3 & 7, prefix = i->flags & (INSN_OPSIZE | INSN_REP | INSN_REPNE);

    if (i->map != 1 || i->vex || !(c->mode & DECODE_LM))
        return r;
    if (i->opcode == 0x01 && registers && group_7_registers[i->modrm & 63].op != INSN_UD &&
        (!prefix || ignores_prefixes(group_7_registers[i->modrm & 63].op, prefix)))
        return &group_7_registers[i->modrm & 63];
    if (i->opcode == 0x0d && registers && (c->mode & DECODE_AMD)) /* on Intel's it does nothing */
        return &undefined;
    if (i->opcode == 0xae && registers && (i->flags & INSN_REP) && digit < 4)
        return &fsgsbase;
    if (i->opcode == 0xae && !registers && prefix == INSN_OPSIZE && digit >= 6)
        return &clflushopt;
    if (i->opcode == 0xae && !registers && !prefix && digit >= 4 && digit <= 6)
        return &xsave_0fae[digit - 4];
    if (i->opcode == 0xc7 && !registers && !prefix && digit >= 3 && digit <= 5)
        return &xsave_0fc7[digit - 3];
    if (i->opcode == 0xc7 && !registers && digit == 1 && (i->rex & REX_W))
        return &cmpxchg16b;
    if (i->opcode == 0xc7 && registers && (i->flags & INSN_REP) && digit == 7)
        return &rdpid;
    if (i->opcode == 0xc7 && registers && digit >= 6 && !(i->flags & (INSN_REP | INSN_REPNE)))
        return digit == 6 ? &rdrand : &rdseed;
    return r;
}

static bool moves_control(const struct row *r)
{
    return r->op == INSN_MOV_FROM_CR || r->op == INSN_MOV_TO_CR || r->op == INSN_MOV_FROM_DR || r->op == INSN_MOV_TO_DR;
}

/* ModRM, and SIB and displacement behind it. */
static void fetch_modrm(struct cursor *c, struct insn *i, const struct row *r)
{
    i->modrm = (uint8_t)fetch(c, 1);
    i->flags |= INSN_MODRM;
    if (!moves_control(r)) /* for these mod is ignored */
        modrm_memory(c, i);
}

/* What opcode bytes and ModRM name; NULL: nothing. */
static const struct row *find_row(struct cursor *c, struct insn *i, const struct row **opcode_row)
{
    const struct row *r = find_opcode(c, i);

    *opcode_row = r;
    if (!r || r->op == INSN_UD)
        return NULL;
    if (!row_uses_modrm(r))
        return r;
    fetch_modrm(c, i, r);
    r = refine(c, i, r);
    if (r->op != INSN_GROUP)
        return r->op == INSN_UD ? NULL : r;
    r = &groups[r->group][i->modrm >> 3 & 7];
    return r->op == INSN_UD ? NULL : r;
}

/* Does the row exist on this processor in this mode? */
static bool exists(const struct row *r, unsigned mode)
{
    if ((r->flags & P6) && !(mode & DECODE_P6))
        return false;
    if ((r->flags & LM) && !(mode & DECODE_LM))
        return false;
    return !(r->flags & (mode & DECODE_CODE64 ? NO64 : ONLY64));
}

/* In 64-bit mode. */
static void operand_size(const struct cursor *c, struct insn *i, const struct row *r)
{
    bool may_be_16 = !(r->flags & F64) || (c->mode & DECODE_AMD);

    if ((i->rex & REX_W) || ((r->flags & (F64 | D64)) && !(may_be_16 && (i->flags & INSN_OPSIZE))))
        i->osize = 8;
}

/* The rest of an encoding that does not exist: what its opcode, by itself, has behind it. */
static void pass_over(struct cursor *c, struct insn *i)
{
    static const struct row *const by_map[] = {one_byte, two_byte};
    static const struct row bare = {.op = INSN_UD}, three_d_now = {.op = INSN_UD, .arg = {FX, Ib}},
                            field = {.op = INSN_UD, .arg = {FX, Ib, I2b}};
    const struct row *r = i->map < 2 ? &by_map[i->map][i->opcode] : i->map == 3 ? &simd_imm8 : &simd;
    struct operand o;

    if ((i->vex && !i->map) || i->map > 3)
        r = &simd; /* maps that do not exist: ModRM */
    if ((c->mode & DECODE_AMD) && i->map == 1)
        r = i->opcode == 0x0f ? &three_d_now : i->opcode == 0x78 ? &field : i->opcode == 0xb9 || i->opcode == 0xff ? &bare : r;
    if (!exists(r, c->mode))
        return;
    if (row_uses_modrm(r) && !(i->flags & INSN_MODRM))
        fetch_modrm(c, i, r);
    if (c->mode & DECODE_CODE64)
        operand_size(c, i, r);
    for (unsigned n = 0; n < ARRAY_LEN(r->arg); n++)
        if (r->arg[n] >> 8 == K_I || r->arg[n] >> 8 == K_I2 || r->arg[n] >> 8 == K_J)
            operand(c, i, r->arg[n], &o);
}

enum decode_result i386_decode(const uint8_t *bytes, unsigned avail, unsigned mode, struct insn *i)
{
    struct cursor c = {bytes, 0, avail, mode, false};
    unsigned override = INSN_NO_REG;
    const struct row *r, *opcode_row;
    const uint16_t *args;

    memset(i, 0, sizeof *i);
    i->osize = mode & (DECODE_CODE32 | DECODE_CODE64) ? 4 : 2;
    i->asize = mode & DECODE_CODE64 ? 8 : i->osize;
    i->base = i->index = INSN_NO_REG;
    i->seg = SEG_DS;
    if (!opcode(&c, i, prefixes(&c, i, &override))) {
        if (i->vex)
            pass_over(&c, i);
        return verdict(&c, i, DECODE_UD);
    }
    r = find_row(&c, i, &opcode_row);
    if (!r || !exists(opcode_row, mode) || !exists(r, mode)) {
        pass_over(&c, i);
        return verdict(&c, i, DECODE_UD);
    }
    i->op = r->op;
    if (mode & DECODE_CODE64)
        operand_size(&c, i, r);
    args = r->any ? opcode_row->arg : r->arg;
    for (unsigned n = 0; n < ARRAY_LEN(i->arg); n++)
        if (!operand(&c, i, args[n], &i->arg[n]))
            return verdict(&c, i, DECODE_UD);
    if ((i->flags & INSN_LOCK) && !lock_allowed(&c, i, r))
        return verdict(&c, i, DECODE_UD);
    if (i->op == INSN_MOV_TO_SREG && i->arg[0].reg == SEG_CS)
        return verdict(&c, i, DECODE_UD);
    if (insn_is_gather(i) && (i->index == INSN_NO_REG || i->asize == 2))
        return verdict(&c, i, DECODE_UD);
    if (override != INSN_NO_REG)
        i->seg = (uint8_t)override;
    return verdict(&c, i, DECODE_OK);
}

bool i386_opcode_defined(unsigned map, uint8_t opcode, unsigned mode)
{
    const struct row *r = map ? &two_byte[opcode] : &one_byte[opcode];

    return r->op != INSN_UD && exists(r, mode);
}

bool i386_opcode_has_modrm(unsigned map, uint8_t opcode)
{
    return row_uses_modrm(map ? &two_byte[opcode] : &one_byte[opcode]);
}
