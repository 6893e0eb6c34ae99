/*
 * Lowering of MMX and SSE: what is a micro-op here; the rest calls its helper (sse.c, mmx.c).
 * The rules are those of lower.c.
 */
#include "i386/lowering.h"

#include "i386/fpu.h"

#define S_XMM(n) (S_OFF(xmm) + 16u * (unsigned)(n))

static unsigned xmm_reg(const struct lower *l)
{
    return S_XMM((l->i.modrm >> 3 & 7) | (l->i.rex & REX_R ? 8 : 0));
}

static unsigned xmm_rm(const struct lower *l)
{
    return S_XMM((l->i.modrm & 7) | (l->i.rex & REX_B ? 8 : 0));
}

/* The same numbers as general registers. */
static unsigned gpr_reg(const struct lower *l)
{
    return S_GPR64((l->i.modrm >> 3 & 7) | (l->i.rex & REX_R ? 8 : 0));
}

static unsigned gpr_rm(const struct lower *l)
{
    return S_GPR64((l->i.modrm & 7) | (l->i.rex & REX_B ? 8 : 0));
}

/* Of an integer operand. */
static unsigned integer_bytes(const struct lower *l)
{
    return l->i.rex & REX_W ? 8 : 4;
}

enum { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

static unsigned simd_prefix(const struct lower *l)
{
    if (l->i.flags & INSN_REP)
        return PREFIX_F3;
    return l->i.flags & INSN_REPNE ? PREFIX_F2 : l->i.flags & INSN_OPSIZE ? PREFIX_66 : PREFIX_NONE;
}

/* CR0.EM and CR0.TS, once in a block: what changes them ends it. */
static void check_sse(struct lower *l)
{
    for (unsigned i = 0; i < l->b->nuops; i++)
        if (l->b->uops[i].op == UOP_CHECK32 && l->b->uops[i].fn == i386_op_sse_unavailable)
            return;
    build_call(l->b, i386_op_sse_unavailable, CR0_EM | CR0_TS, S_OFF(cr0), 0)->op = UOP_CHECK32;
}

/* The memory operand, in a flat segment; of 16 bytes that must be aligned or not. */
static void simd_address(struct lower *l, struct mem *m, bool aligned)
{
    unsigned at;

    mem_operand(l, m, 16, false);
    if (!aligned)
        return;
    at = mem_flatten(l, m, S_T(0));
    build_call(l->b, i386_op_misaligned, 15, at, 0)->op = UOP_CHECK32;
    *m = (struct mem){.a = (uint16_t)at};
}

static void load_128(struct lower *l, unsigned d, bool aligned)
{
    struct mem m;

    simd_address(l, &m, aligned);
    mem_access(l, wide(l) ? UOP_LDV128_X : UOP_LD128_W, wide(l) ? UOP_LDXV128_X : UOP_LDX128_W, d, &m);
}

/* Moves of 16 bytes between a register and a register or memory. */
static void move_128(struct lower *l, bool store, bool aligned)
{
    unsigned r = xmm_reg(l), rm = xmm_rm(l);
    struct mem m;

    if (!(l->i.flags & INSN_MEM)) {
        emit(l, UOP_MOV128, store ? rm : r, store ? r : rm, 0);
    } else if (!store) {
        load_128(l, r, aligned);
    } else {
        simd_address(l, &m, aligned);
        mem_access(l, wide(l) ? UOP_ST128_X : UOP_ST128_W, wide(l) ? UOP_STX128_X : UOP_STX128_W, r, &m);
    }
}

/* MOVSS, MOVSD, MOVQ: 4 or 8 bytes of the lowest; what a load or (`clears`) a move does not write becomes 0. */
static void move_low(struct lower *l, unsigned size, bool store, bool clears)
{
    unsigned r = xmm_reg(l), rm = xmm_rm(l);
    bool mem = l->i.flags & INSN_MEM;
    struct mem m;

    if (mem && store) {
        simd_address(l, &m, false);
        mem_store(l, size, r, &m);
        return;
    }
    if (!mem) {
        emit(l, size == 4 ? UOP_MOV32 : UOP_MOV64, store ? rm : r, store ? r : rm, 0);
    } else if (size == 4) {
        simd_address(l, &m, false);
        mem_load(l, 4, S_T(1), &m);
        emit(l, UOP_MOV32Z, r, S_T(1), 0);
    } else {
        simd_address(l, &m, false);
        mem_load(l, 8, r, &m);
    }
    if (mem || clears)
        build(l->b, UOP_MOVI64, (store && !mem ? rm : r) + 8, 0, 0, 0, 0);
}

/* MOVLPS, MOVHPS and so on: half of a register and memory. */
static bool move_half(struct lower *l, unsigned opcode)
{
    unsigned half = xmm_reg(l) + (opcode & 4 ? 8 : 0);
    struct mem m;

    if (!(l->i.flags & INSN_MEM))
        return false;
    simd_address(l, &m, false);
    if (opcode & 1)
        mem_store(l, 8, half, &m);
    else
        mem_load(l, 8, half, &m);
    return true;
}

/* MOVD between a general register or memory and an XMM register. */
static void move_general(struct lower *l, bool to_xmm)
{
    unsigned r = xmm_reg(l), g = gpr_rm(l), size = integer_bytes(l);
    struct mem m;

    if (l->i.flags & INSN_MEM) {
        simd_address(l, &m, false);
        if (!to_xmm) {
            mem_store(l, size, r, &m);
            return;
        }
        g = S_T(1);
        mem_load(l, size, g, &m);
    }
    if (!to_xmm) {
        operand_move(l, size, g, r);
        return;
    }
    emit(l, size == 8 ? UOP_MOV64 : UOP_MOV32Z, r, g, 0);
    build(l->b, UOP_MOVI64, r + 8, 0, 0, 0, 0);
}

/* Shifts of each element by imm8. */
static bool shift_elements(struct lower *l)
{
    static const uint16_t ops[3][3] = {
        {UOP_VSHR16I, UOP_VSAR16I, UOP_VSHL16I}, {UOP_VSHR32I, UOP_VSAR32I, UOP_VSHL32I}, {UOP_VSHR64I, UOP_NOP, UOP_VSHL64I}};
    unsigned size = l->i.opcode - 0x71, kind = l->i.modrm >> 3 & 7, r = xmm_rm(l), op;

    if ((l->i.flags & INSN_MEM) || (kind & 1) || !kind || (l->i.imm & 0xff) >= 16u << size)
        return false;
    op = ops[size][kind / 2 - 1];
    if (op == UOP_NOP)
        return false;
    emit_imm(l, (enum uop_code)op, r, r, l->i.imm & 0xff);
    return true;
}

/* d = d op (xmm or aligned memory): the micro-op, with 66 or, of logic, without. */
static unsigned simd_operation(unsigned opcode, unsigned prefix)
{
    static const uint16_t ops[256] = {
        [0x60] = UOP_VZIPL8, [0x61] = UOP_VZIPL16, [0x62] = UOP_VZIPL32, [0x6c] = UOP_VZIPL64,
        [0x68] = UOP_VZIPH8, [0x69] = UOP_VZIPH16, [0x6a] = UOP_VZIPH32, [0x6d] = UOP_VZIPH64,
        [0x64] = UOP_VCGT8, [0x65] = UOP_VCGT16, [0x66] = UOP_VCGT32,
        [0x74] = UOP_VCEQ8, [0x75] = UOP_VCEQ16, [0x76] = UOP_VCEQ32,
        [0xd4] = UOP_VADD64, [0xd5] = UOP_VMUL16, [0xda] = UOP_VUMIN8, [0xdb] = UOP_VAND, [0xde] = UOP_VUMAX8,
        [0xdf] = UOP_VBIC, [0xea] = UOP_VSMIN16, [0xeb] = UOP_VOR, [0xee] = UOP_VSMAX16, [0xef] = UOP_VXOR,
        [0xf8] = UOP_VSUB8, [0xf9] = UOP_VSUB16, [0xfa] = UOP_VSUB32, [0xfb] = UOP_VSUB64,
        [0xfc] = UOP_VADD8, [0xfd] = UOP_VADD16, [0xfe] = UOP_VADD32,
    };
    static const uint16_t logic[4] = {UOP_VAND, UOP_VBIC, UOP_VOR, UOP_VXOR};

    if (opcode >= 0x54 && opcode <= 0x57 && prefix <= PREFIX_66)
        return logic[opcode - 0x54];
    return prefix == PREFIX_66 ? ops[opcode] : UOP_NOP;
}

static void simd_two(struct lower *l, unsigned op)
{
    unsigned d = xmm_reg(l), s = xmm_rm(l);

    if (l->i.flags & INSN_MEM) {
        s = S_XT(0);
        load_128(l, s, true);
    }
    if (op == UOP_VBIC) /* ~d & s */
        emit(l, UOP_VBIC, d, s, d);
    else
        emit(l, (enum uop_code)op, d, d, s);
}

/* The mandatory prefix as it is in the code. */
static unsigned prefix_byte(unsigned prefix)
{
    static const uint8_t bytes[] = {[PREFIX_66] = 0x66, [PREFIX_F3] = 0xf3, [PREFIX_F2] = 0xf2};

    return bytes[prefix];
}

/* Where the r/m operand of `bytes` bytes is, loaded to a temporary if it is in memory. */
static unsigned float_source(struct lower *l, unsigned bytes)
{
    struct mem m;

    if (!(l->i.flags & INSN_MEM))
        return xmm_rm(l);
    if (bytes == 16) {
        load_128(l, S_XT(0), true);
        return S_XT(0);
    }
    simd_address(l, &m, false);
    if (bytes == 8)
        mem_load(l, 8, S_XT(0), &m);
    else
        mem_load(l, 4, S_XT(0), &m);
    return S_XT(0);
}

/* Integer registers and memory, and the low element. */
static void float_integer(struct lower *l, unsigned opcode, unsigned prefix, uint32_t operation)
{
    unsigned x = xmm_reg(l), source;
    struct mem m;

    if (opcode != 0x2a) {
        source = float_source(l, prefix == PREFIX_F3 ? 4 : 8);
        build(l->b, UOP_SSE, gpr_reg(l), 0, source, operation, 0);
        if (wide(l) && integer_bytes(l) == 4)
            emit(l, UOP_MOV32Z, gpr_reg(l), gpr_reg(l), 0);
        return;
    }
    source = gpr_rm(l);
    if (l->i.flags & INSN_MEM) {
        source = S_T(1);
        simd_address(l, &m, false);
        mem_load(l, integer_bytes(l), source, &m);
    }
    build(l->b, UOP_SSE, x, x, source, operation, 0);
}

/* Floating point, and its shuffles. */
static bool lower_float(struct lower *l, unsigned opcode, unsigned prefix)
{
    uint32_t operation = SSE_OPERATION(opcode, prefix_byte(prefix), l->i.imm & 0xff);
    bool scalar = prefix >= PREFIX_F3, packed = !scalar;
    unsigned x = xmm_reg(l), bytes = packed ? 16 : prefix == PREFIX_F3 ? 4 : 8;

    switch (opcode) {
    case 0x14: case 0x15:
        if (packed)
            simd_two(l, (opcode == 0x14 ? prefix ? UOP_VZIPL64 : UOP_VZIPL32 : prefix ? UOP_VZIPH64 : UOP_VZIPH32));
        return packed;
    case 0x2a: case 0x2c: case 0x2d:
        if (scalar)
            float_integer(l, opcode, prefix, operation | (integer_bytes(l) == 8 ? SSE_WIDE : 0));
        return scalar;
    case 0x2e: case 0x2f:
        if (scalar)
            return false;
        build(l->b, UOP_SSE_COMPARE, 0, x, float_source(l, prefix ? 8 : 4), operation, 0);
        return true;
    case 0x5a:
        bytes = prefix == PREFIX_F3 ? 4 : prefix == PREFIX_66 ? 16 : 8;
        break;
    case 0x5b:
        if (prefix == PREFIX_F2)
            return false;
        bytes = 16;
        break;
    case 0xc6:
        if (scalar)
            return false;
        break;
    case 0xe6:
        if (prefix == PREFIX_NONE)
            return false;
        bytes = prefix == PREFIX_F3 ? 8 : 16;
        break;
    case 0x51: case 0x58: case 0x59: case 0x5c: case 0x5d: case 0x5e: case 0x5f: case 0xc2:
        break;
    default:
        return false;
    }
    build(l->b, UOP_SSE, x, x, float_source(l, bytes), operation, 0);
    return true;
}

/* Does the memory operand need no checks but the alignment of some? */
static bool flat_operand(const struct lower *l)
{
    return wide(l) ? !(l->mode & MODE_ALIGN) : mode_seg(l->mode, l->i.seg) == SEG_FLAT;
}

/* False: not one of these. Nothing was emitted then, but perhaps the check. */
static bool lower_vector(struct lower *l)
{
    unsigned p = simd_prefix(l), opcode = l->i.opcode, op = simd_operation(opcode, p);
    bool mem = l->i.flags & INSN_MEM, packed = p <= PREFIX_66;

    if (!(l->mode & MODE_SSE) || (mem && !flat_operand(l)))
        return false;
    check_sse(l);
    if (op != UOP_NOP) {
        simd_two(l, op);
        return true;
    }
    if (lower_float(l, opcode, p))
        return true;
    switch (opcode) {
    case 0x10: case 0x11:
        if (packed)
            move_128(l, opcode & 1, false);
        else
            move_low(l, p == PREFIX_F3 ? 4 : 8, opcode & 1, false);
        return true;
    case 0x12: case 0x13: case 0x16: case 0x17:
        return packed && move_half(l, opcode);
    case 0x28: case 0x29:
        if (packed)
            move_128(l, opcode & 1, true);
        return packed;
    case 0x2b: case 0xe7:
        if (!mem || !(opcode == 0x2b ? packed : p == PREFIX_66))
            return false;
        move_128(l, true, true);
        return true;
    case 0x6f: case 0x7f:
        if (p != PREFIX_66 && p != PREFIX_F3)
            return false;
        move_128(l, opcode == 0x7f, p == PREFIX_66);
        return true;
    case 0x6e:
        if (p == PREFIX_66)
            move_general(l, true);
        return p == PREFIX_66;
    case 0x7e:
        if (p == PREFIX_66)
            move_general(l, false);
        else if (p == PREFIX_F3)
            move_low(l, 8, false, true);
        return p == PREFIX_66 || p == PREFIX_F3;
    case 0xd6:
        if (p == PREFIX_66)
            move_low(l, 8, true, true);
        return p == PREFIX_66;
    case 0x70:
        if (p != PREFIX_66 || mem)
            return false;
        emit_imm(l, UOP_VSHUF32, xmm_reg(l), xmm_rm(l), l->i.imm & 0xff);
        return true;
    case 0x71: case 0x72: case 0x73:
        return p == PREFIX_66 && shift_elements(l);
    case 0xd7:
        if (p != PREFIX_66 || mem)
            return false;
        emit(l, UOP_VMASK8, gpr_reg(l), xmm_rm(l), 0);
        if (wide(l))
            emit(l, UOP_MOV32Z, gpr_reg(l), gpr_reg(l), 0);
        return true;
    default:
        return false;
    }
}

enum build_next lower_simd(struct lower *l)
{
    unsigned b = l->i.flags & INSN_MEM ? I386_FX_MEM | l->i.seg : 0, a = l->i.modrm;

    if (l->i.vex || l->i.map > 1)
        return end_undefined(l);
    if (lower_vector(l))
        return BUILD_MORE;
    if (l->i.flags & INSN_MEM)
        mem_offset(l);
    if (l->i.osize >= 4)
        b |= I386_FX_OP32;
    if (l->i.rex & REX_W)
        b |= I386_FX_W;
    a |= (l->i.rex & REX_R ? I386_FX_REX_R : 0) | (l->i.rex & REX_B ? I386_FX_REX_B : 0);
    if (l->i.flags & INSN_OPSIZE)
        b |= I386_FX_66;
    if (l->i.flags & INSN_REPNE)
        b |= I386_FX_F2;
    if (l->i.flags & INSN_REP)
        b |= I386_FX_F3;
    if (l->i.arg[1].kind == OPERAND_IMM)
        set_const(l, S_T(1), l->i.imm);
    if (l->i.opcode == 0xf7) { /* MASKMOVQ, MASKMOVDQU store at DI or EDI */
        b |= l->i.seg;
        emit(l, l->i.asize == 2 ? UOP_ZX16_32 : l->i.asize == 8 ? UOP_MOV64 : wide(l) ? UOP_MOV32Z : UOP_MOV32, S_T(0),
             S_GPR32(EDI), 0);
    }
    call(l, i386_simd_handler(i386_of(l->b->cpu)->model, l->i.opcode, l->i.modrm, b), l->i.opcode, a, b);
    return BUILD_MORE;
}
