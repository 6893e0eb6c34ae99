/*
 * Encoding of the x86-64 instructions that the JIT uses (SDM 2A, chapter 2).
 *
 * Code is written at `at`; when the room is not enough, `full` is set, nothing more
 * is written, and whoever began the block throws it away. Operand sizes are in
 * bits. Opcodes are as in the manual's tables, two-byte ones as 0x0fxx; 8-bit
 * forms have an opcode of their own there, which callers give (ALU8()).
 */
#ifndef HINDCAST_VM_JIT_EMIT_X64_H
#define HINDCAST_VM_JIT_EMIT_X64_H

#include "base/types.h"

#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes of Jcc, SETcc, CMOVcc. The odd one is the even one's opposite. */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* The eight operations of opcode group 1: their number is the /digit, and
 * 8 * number + 3 is the opcode of "reg op= r/m". */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
/* Shifts: the /digit of opcodes 0xc1 and 0xd3. */
enum shift { SHIFT_ROL = 0, SHIFT_ROR = 1, SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

#define X_MOV_LOAD  0x8bu
#define X_MOV_STORE 0x89u
#define X_LEA       0x8du
#define X_TEST      0x85u
#define X_MOVZX8    0x0fb6u
#define X_MOVZX16   0x0fb7u
#define X_MOVSX8    0x0fbeu
#define X_MOVSX16   0x0fbfu
#define X_MOVSXD    0x63u
#define X_IMUL      0x0fafu
#define X_BSF       0x0fbcu
#define X_BSR       0x0fbdu
#define X_BT        0x0fa3u /* these four: reg is the number of the bit */
#define X_BTS       0x0fabu
#define X_BTR       0x0fb3u
#define X_BTC       0x0fbbu

struct code {
    uint8_t *at, *end;
    bool full;
};

static inline void code_bytes(struct code *e, const void *bytes, size_t n)
{
    if ((size_t)(e->end - e->at) < n) {
        e->full = true;
        return;
    }
    memcpy(e->at, bytes, n);
    e->at += n;
}

static inline void code_8(struct code *e, unsigned v)
{
    uint8_t b = (uint8_t)v;

    code_bytes(e, &b, 1);
}

static inline void code_32(struct code *e, uint32_t v)
{
    code_bytes(e, &v, 4);
}

static inline void code_64(struct code *e, uint64_t v)
{
    code_bytes(e, &v, 8);
}

static inline bool fits_8(int64_t v)
{
    return v == (int8_t)v;
}

static inline bool fits_32(int64_t v)
{
    return v == (int32_t)v;
}

/* Prefixes and opcode. `reg`, `index`, `base` (or r/m): register numbers; byte registers
 * 4 to 7 are SPL..DIL only with a REX prefix. */
static inline void x_opcode(struct code *e, unsigned bits, unsigned op, unsigned reg, unsigned index, unsigned base,
                            bool byte_regs)
{
    unsigned rex = (bits == 64) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;

    if (bits == 16)
        code_8(e, 0x66);
    if (rex || byte_regs)
        code_8(e, 0x40 | rex);
    if (op > 0xff)
        code_8(e, op >> 8);
    code_8(e, op & 0xff);
}

/* op reg, rm (or op rm, reg), both registers. */
static inline void x_rr(struct code *e, unsigned bits, unsigned op, unsigned reg, unsigned rm)
{
    bool byte_rm = op == X_MOVZX8 || op == X_MOVSX8;

    x_opcode(e, bits, op, reg, 0, rm, (bits == 8 && (reg >= 4 || rm >= 4)) || (byte_rm && rm >= 4));
    code_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* op reg, [base + disp] */
static inline void x_rm(struct code *e, unsigned bits, unsigned op, unsigned reg, unsigned base, int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != RBP ? 0 : fits_8(disp) ? 1 : 2;

    x_opcode(e, bits, op, reg, 0, base, bits == 8 && reg >= 4);
    code_8(e, mod << 6 | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == RSP)
        code_8(e, 0x24);
    if (mod == 1)
        code_8(e, (uint8_t)disp);
    else if (mod == 2)
        code_32(e, (uint32_t)disp);
}

/* op reg, [base + (index << scale) + disp]; index is not RSP */
static inline void x_rmx(struct code *e, unsigned bits, unsigned op, unsigned reg, unsigned base, unsigned index,
                         unsigned scale, int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != RBP ? 0 : fits_8(disp) ? 1 : 2;

    x_opcode(e, bits, op, reg, index, base, bits == 8 && reg >= 4);
    code_8(e, mod << 6 | (reg & 7) << 3 | RSP);
    code_8(e, scale << 6 | (index & 7) << 3 | (base & 7));
    if (mod == 1)
        code_8(e, (uint8_t)disp);
    else if (mod == 2)
        code_32(e, (uint32_t)disp);
}

/* 0F op with a mandatory prefix (0: none): xmm registers, memory. */
#define X_MOVUPS_LOAD  0x10u
#define X_MOVUPS_STORE 0x11u
static inline void x_sse_rr(struct code *e, unsigned prefix, unsigned op, unsigned reg, unsigned rm)
{
    if (prefix)
        code_8(e, prefix);
    x_rr(e, 32, 0x0f00 | op, reg, rm);
}

static inline void x_sse_rm(struct code *e, unsigned prefix, unsigned op, unsigned reg, unsigned base, int32_t disp)
{
    if (prefix)
        code_8(e, prefix);
    x_rm(e, 32, 0x0f00 | op, reg, base, disp);
}

static inline void x_sse_rmx(struct code *e, unsigned prefix, unsigned op, unsigned reg, unsigned base, unsigned index,
                             int32_t disp)
{
    if (prefix)
        code_8(e, prefix);
    x_rmx(e, 32, 0x0f00 | op, reg, base, index, 0, disp);
}

/* With an operand that lies in the code memory, too. */
static inline void x_sse_at(struct code *e, unsigned prefix, unsigned op, unsigned reg, const uint8_t *at)
{
    if (prefix)
        code_8(e, prefix);
    x_opcode(e, 32, 0x0f00 | op, reg, 0, 0, false);
    code_8(e, (reg & 7) << 3 | 5);
    code_32(e, (uint32_t)(at - (e->at + 4)));
}

/* ---- instructions by map and prefix ---- */

/* Prefix 66, F3, F2 or none; map 1: 0F, 2: 0F 38, 3: 0F 3A; l: with VEX, 256 bits. */
struct encoding { uint8_t prefix, map, opcode; bool l; };

/* Register operands; `byte_rm`: the second is a byte. */
static inline void x_legacy(struct code *e, unsigned bits, struct encoding o, unsigned reg, unsigned rm, bool byte_rm)
{
    unsigned rex = (bits == 64) << 3 | (reg >> 3) << 2 | rm >> 3;

    if (bits == 16)
        code_8(e, 0x66);
    if (o.prefix)
        code_8(e, o.prefix);
    if (rex || (byte_rm && rm >= 4))
        code_8(e, 0x40 | rex);
    code_8(e, 0x0f);
    if (o.map > 1)
        code_8(e, o.map == 2 ? 0x38 : 0x3a);
    code_8(e, o.opcode);
    code_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* With a VEX prefix (SDM 2A 2.3.5), W of 64 bits: `v` is the register that it names, 0 if there is none; `reg` may be the
 * digit of a group. */
static inline void x_vex(struct code *e, unsigned bits, struct encoding o, unsigned reg, unsigned v, unsigned rm)
{
    unsigned pp = o.prefix == 0x66 ? 1 : o.prefix == 0xf3 ? 2 : o.prefix == 0xf2 ? 3 : 0;

    code_8(e, 0xc4);
    code_8(e, (reg < 8) << 7 | 1 << 6 | (rm < 8) << 5 | o.map);
    code_8(e, (bits == 64) << 7 | (~v & 15) << 3 | (unsigned)o.l << 2 | pp);
    code_8(e, o.opcode);
    code_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* The immediate of an instruction whose operands are of `bits`. */
static inline void x_imm(struct code *e, unsigned bits, uint32_t imm)
{
    if (bits == 8)
        code_8(e, imm);
    else if (bits == 16)
        code_bytes(e, &imm, 2);
    else
        code_32(e, imm);
}

/* The opcode of the 8-bit form. */
#define ALU8(bits, op) ((bits) == 8 ? (op) - 1u : (op))

/* ---- moves ---- */

static inline void x_mov(struct code *e, unsigned bits, unsigned to, unsigned from)
{
    if (to != from)
        x_rr(e, bits, X_MOV_LOAD, to, from);
}

/* rax = the 64 bits at a place of the host. */
static inline void x_load_rax(struct code *e, const void *from)
{
    code_8(e, 0x48);
    code_8(e, 0xa1);
    code_64(e, (uint64_t)(uintptr_t)from);
}

/* Does not touch the flags. */
static inline void x_mov_imm(struct code *e, unsigned to, uint64_t v)
{
    if (v <= UINT32_MAX) {
        x_opcode(e, 32, 0xb8 | (to & 7), 0, 0, to, false);
        code_32(e, (uint32_t)v);
    } else if (fits_32((int64_t)v)) {
        x_opcode(e, 64, 0xc7, 0, 0, to, false);
        code_8(e, 0xc0 | (to & 7));
        code_32(e, (uint32_t)v);
    } else {
        x_opcode(e, 64, 0xb8 | (to & 7), 0, 0, to, false);
        code_64(e, v);
    }
}

/* mov [base + disp], imm */
static inline void x_store_imm(struct code *e, unsigned bits, unsigned base, int32_t disp, uint32_t imm)
{
    x_rm(e, bits, ALU8(bits, 0xc7u), 0, base, disp);
    x_imm(e, bits, imm);
}

static inline void x_load(struct code *e, unsigned bits, unsigned to, unsigned base, int32_t disp)
{
    x_rm(e, bits, X_MOV_LOAD, to, base, disp);
}

static inline void x_store(struct code *e, unsigned bits, unsigned base, int32_t disp, unsigned from)
{
    x_rm(e, bits, ALU8(bits, X_MOV_STORE), from, base, disp);
}

/* ---- arithmetic ---- */

static inline void x_alu(struct code *e, unsigned bits, enum alu op, unsigned to, unsigned from)
{
    x_rr(e, bits, ALU8(bits, 8u * op + 3u), to, from);
}

static inline void x_alu_imm(struct code *e, unsigned bits, enum alu op, unsigned to, int32_t imm)
{
    if (bits == 8) {
        x_opcode(e, 8, 0x80, 0, 0, to, to >= 4);
        code_8(e, 0xc0 | (unsigned)op << 3 | (to & 7));
        code_8(e, (uint8_t)imm);
        return;
    }
    x_opcode(e, bits, fits_8(imm) ? 0x83 : 0x81, 0, 0, to, false);
    code_8(e, 0xc0 | (unsigned)op << 3 | (to & 7));
    if (fits_8(imm))
        code_8(e, (uint8_t)imm);
    else
        x_imm(e, bits, (uint32_t)imm);
}

static inline void x_test(struct code *e, unsigned bits, unsigned a, unsigned b)
{
    x_rr(e, bits, ALU8(bits, X_TEST), b, a);
}

static inline void x_test_imm(struct code *e, unsigned bits, unsigned a, uint32_t imm)
{
    x_opcode(e, bits, ALU8(bits, 0xf7u), 0, 0, a, bits == 8 && a >= 4);
    code_8(e, 0xc0 | (a & 7));
    x_imm(e, bits, imm);
}

static inline void x_shift_imm(struct code *e, unsigned bits, enum shift op, unsigned to, unsigned count)
{
    x_opcode(e, bits, ALU8(bits, 0xc1u), 0, 0, to, bits == 8 && to >= 4);
    code_8(e, 0xc0 | (unsigned)op << 3 | (to & 7));
    code_8(e, count);
}

/* By CL. */
static inline void x_shift_cl(struct code *e, unsigned bits, enum shift op, unsigned to)
{
    x_opcode(e, bits, ALU8(bits, 0xd3u), 0, 0, to, bits == 8 && to >= 4);
    code_8(e, 0xc0 | (unsigned)op << 3 | (to & 7));
}

/* Group 3 (0xf7): /2 NOT, /3 NEG, /4 MUL, /5 IMUL, /6 DIV, /7 IDIV; group 5 (0xff): /0 INC, /1 DEC. */
static inline void x_unary(struct code *e, unsigned bits, unsigned op, unsigned digit, unsigned to)
{
    x_opcode(e, bits, ALU8(bits, op), 0, 0, to, bits == 8 && to >= 4);
    code_8(e, 0xc0 | digit << 3 | (to & 7));
}
#define x_not(e, bits, to) x_unary(e, bits, 0xf7, 2, to)
#define x_neg(e, bits, to) x_unary(e, bits, 0xf7, 3, to)

static inline void x_bswap(struct code *e, unsigned bits, unsigned to)
{
    x_opcode(e, bits, 0x0fc8 | (to & 7), 0, 0, to, false);
}

/* Bit number imm of a register into CF. */
static inline void x_bt_imm(struct code *e, unsigned bits, unsigned a, unsigned imm)
{
    x_opcode(e, bits, 0x0fba, 0, 0, a, false);
    code_8(e, 0xc0 | 4u << 3 | (a & 7));
    code_8(e, imm);
}

/* to = to:low shifted right by imm, the bits coming from `from` (SHRD). */
static inline void x_shrd(struct code *e, unsigned bits, unsigned to, unsigned from, unsigned imm)
{
    x_rr(e, bits, 0x0fac, from, to);
    code_8(e, imm);
}

/* SHLD or SHRD: `to` shifted, bits coming from `from`; by imm, by CL. */
static inline void x_double_shift(struct code *e, unsigned bits, bool left, unsigned to, unsigned from, unsigned imm)
{
    x_rr(e, bits, left ? 0x0fa4 : 0x0fac, from, to);
    code_8(e, imm);
}

static inline void x_double_shift_cl(struct code *e, unsigned bits, bool left, unsigned to, unsigned from)
{
    x_rr(e, bits, left ? 0x0fa5 : 0x0fad, from, to);
}

static inline void x_setcc(struct code *e, unsigned cc, unsigned to)
{
    x_opcode(e, 8, 0x0f90 | cc, 0, 0, to, to >= 4);
    code_8(e, 0xc0 | (to & 7));
}

static inline void x_cmov(struct code *e, unsigned bits, unsigned cc, unsigned to, unsigned from)
{
    x_rr(e, bits, 0x0f40 | cc, to, from);
}

/* ---- jumps: rel32, to be pointed somewhere by x_point(); each returns the place of its displacement ---- */

static inline uint8_t *x_jcc(struct code *e, unsigned cc)
{
    code_8(e, 0x0f);
    code_8(e, 0x80 | cc);
    code_32(e, 0);
    return e->at - 4;
}

static inline uint8_t *x_jmp(struct code *e)
{
    code_8(e, 0xe9);
    code_32(e, 0);
    return e->at - 4;
}

static inline uint8_t *x_call(struct code *e)
{
    code_8(e, 0xe8);
    code_32(e, 0);
    return e->at - 4;
}

static inline void x_point(struct code *e, uint8_t *displacement, const uint8_t *to)
{
    int32_t rel = (int32_t)(to - (displacement + 4));

    if (!e->full)
        memcpy(displacement, &rel, 4);
}

/* Instead of the jmp that has its displacement there, one NOP of its five bytes; and back. */
static inline void x_nop_for_jmp(uint8_t *displacement)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x44, 0, 0};

    memcpy(displacement - 1, nop, sizeof(nop));
}

static inline void x_jmp_for_nop(uint8_t *displacement)
{
    displacement[-1] = 0xe9;
}

static inline void x_here(struct code *e, uint8_t *displacement)
{
    x_point(e, displacement, e->at);
}

/* jmp [base + disp] */
static inline void x_jmp_mem(struct code *e, unsigned base, int32_t disp)
{
    x_rm(e, 32, 0xff, 4, base, disp);
}

static inline void x_jmp_reg(struct code *e, unsigned reg)
{
    x_opcode(e, 32, 0xff, 0, 0, reg, false);
    code_8(e, 0xe0 | (reg & 7));
}

static inline void x_call_reg(struct code *e, unsigned reg)
{
    x_opcode(e, 32, 0xff, 0, 0, reg, false);
    code_8(e, 0xd0 | (reg & 7));
}

static inline void x_push(struct code *e, unsigned reg)
{
    x_opcode(e, 32, 0x50 | (reg & 7), 0, 0, reg, false);
}

static inline void x_pop(struct code *e, unsigned reg)
{
    x_opcode(e, 32, 0x58 | (reg & 7), 0, 0, reg, false);
}

static inline void x_ret(struct code *e)
{
    code_8(e, 0xc3);
}

#endif
