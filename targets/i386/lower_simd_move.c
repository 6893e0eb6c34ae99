/*
 * Lowering of what moves XMM and YMM registers, whole and in parts, and of loads for all others.
 */
#include "i386/lower_simd.h"

#include "i386/fpu.h"

/* ---- memory ---- */

void simd_address(struct lower *l, struct mem *m, unsigned bytes, bool write, bool aligned)
{
    unsigned at;

    mem_operand_aligned(l, m, bytes, aligned ? 1 : 0, write); /* #GP, not #AC */
    if (!aligned)
        return;
    at = mem_flatten(l, m, S_T(0));
    build_call(l->b, i386_op_misaligned, bytes - 1, at, 0)->op = UOP_CHECK32;
    *m = (struct mem){.a = (uint16_t)at};
}

/* An access of 16 bytes, or of 32, whose upper half is at the temporary's or register's own. */
static void vector_access(struct lower *l, unsigned r, unsigned bytes, bool store, struct mem *m)
{
    static const uint16_t ops[2][2][2] = {{{UOP_LD128_W, UOP_LDX128_W}, {UOP_ST128_W, UOP_STX128_W}},
                                          {{UOP_LDV128_X, UOP_LDXV128_X}, {UOP_ST128_X, UOP_STX128_X}}};

    if (bytes == 16) {
        mem_access(l, (enum uop_code)ops[wide(l)][store][0], (enum uop_code)ops[wide(l)][store][1], r, m);
        return;
    }
    if (m->indexed)
        *m = (struct mem){.a = (uint16_t)mem_flatten(l, m, S_T(0))};
    build(l->b, store ? (wide(l) ? UOP_STP128_X : UOP_STP128_W) : wide(l) ? UOP_LDP128_X : UOP_LDP128_W, r, m->a,
          r + S_VECTOR_HIGH, m->imm, 0);
}

void simd_store(struct lower *l, unsigned from, unsigned bytes, struct mem *m)
{
    if (bytes == 8)
        mem_store(l, 8, from, m);
    else
        vector_access(l, from, bytes, true, m);
}

/* Load 1 to 32 bytes to d; of less than 16, what the others become is not said. */
static void simd_load(struct lower *l, unsigned d, unsigned bytes, bool aligned)
{
    struct mem m;

    simd_address(l, &m, bytes, false, aligned && bytes >= 16);
    if (bytes >= 16) {
        vector_access(l, d, bytes, false, &m);
        return;
    }
    if (!wide(l)) {
        mem_load(l, bytes, d, &m);
        return;
    }
    mem_access(l, bytes == 1 ? UOP_LDV8_X : bytes == 2 ? UOP_LDV16_X : bytes == 4 ? UOP_LDV32_X : UOP_LDV64_X,
               bytes == 1 ? UOP_LDXV8_X : bytes == 2 ? UOP_LDXV16_X : bytes == 4 ? UOP_LDXV32_X : UOP_LDXV64_X, d, &m);
}

unsigned simd_source(struct lower *l, unsigned bytes, bool aligned)
{
    if (!has_mem(l))
        return xmm_rm(l);
    simd_load(l, S_XT(0), bytes, aligned);
    return S_XT(0);
}

void simd_move(struct lower *l, unsigned d, unsigned a)
{
    if (d != a)
        emit(l, UOP_MOV128, d, a, 0);
}

static void set_zero(struct lower *l, unsigned offset)
{
    build(l->b, UOP_MOVI64, offset, 0, 0, 0, 0);
}

static void clear_vector(struct lower *l, unsigned d)
{
    set_zero(l, d);
    set_zero(l, d + 8);
}

void simd_clear_high(struct lower *l, unsigned d)
{
    clear_vector(l, d + S_VECTOR_HIGH);
}

/* What an instruction of 128 bits with VEX does to the rest. */
static void clear_if_vex(struct lower *l, unsigned d)
{
    if (l->i.vex && !is_256(l))
        simd_clear_high(l, d);
}

/* ---- whole registers ---- */

static void move_whole(struct lower *l, const struct simd_row *r)
{
    bool store = r->form == SIMD_STORE, aligned = r->flags & SIMD_ALIGNED;
    unsigned reg = xmm_reg(l), rm = xmm_rm(l), bytes = is_256(l) ? 32 : 16;
    struct mem m;

    if (has_mem(l) && store) {
        simd_address(l, &m, bytes, true, aligned);
        vector_access(l, reg, bytes, true, &m);
        return;
    }
    if (has_mem(l)) {
        simd_load(l, reg, bytes, aligned);
        clear_if_vex(l, reg);
        return;
    }
    simd_move(l, store ? rm : reg, store ? reg : rm);
    if (is_256(l))
        simd_move(l, (store ? rm : reg) + S_VECTOR_HIGH, (store ? reg : rm) + S_VECTOR_HIGH);
    clear_if_vex(l, store ? rm : reg);
}

/* ---- the low elements ---- */

/* d = the low element of b and the others of a */
static void merge_low(struct lower *l, unsigned bytes, unsigned d, unsigned a, unsigned b)
{
    if (d == a)
        emit(l, bytes == 4 ? UOP_MOV32 : UOP_MOV64, d, b, 0);
    else
        build(l->b, UOP_VECTOR, d, a, b, SSE_OPERATION(0x10, bytes == 4 ? 0xf3 : 0xf2, 0) | SSE_MAP(1), 0);
}

/* MOVSS, MOVSD */
static void move_low(struct lower *l, const struct simd_row *r)
{
    bool store = r->form == SIMD_STORE_LOW;
    unsigned reg = xmm_reg(l), rm = xmm_rm(l), d = store ? rm : reg;
    struct mem m;

    if (!has_mem(l)) {
        merge_low(l, r->bytes, d, l->i.vex ? xmm_first(l) : d, store ? reg : rm);
    } else if (store) {
        simd_address(l, &m, r->bytes, true, false);
        mem_store(l, r->bytes, reg, &m);
        return;
    } else if (wide(l)) {
        simd_load(l, reg, r->bytes, false);
    } else {
        simd_load(l, S_T(1), r->bytes, false);
        emit(l, r->bytes == 4 ? UOP_MOV32Z : UOP_MOV64, reg, S_T(1), 0);
        set_zero(l, reg + 8);
    }
    if (l->i.vex)
        simd_clear_high(l, d);
}

/* MOVQ */
static void move_quadword(struct lower *l, bool store)
{
    unsigned d = store && !has_mem(l) ? xmm_rm(l) : xmm_reg(l);
    struct mem m;

    if (has_mem(l)) {
        simd_address(l, &m, 8, store, false);
        if (store) {
            mem_store(l, 8, d, &m);
            return;
        }
        mem_load(l, 8, d, &m);
    } else {
        emit(l, UOP_MOV64, d, store ? xmm_reg(l) : xmm_rm(l), 0);
    }
    set_zero(l, d + 8);
    clear_if_vex(l, d);
}

/* MOVD between a general register or memory and an XMM register. */
static void move_general(struct lower *l, bool to_xmm)
{
    unsigned r = xmm_reg(l), g = gpr_rm(l), size = integer_bytes(l);
    struct mem m;

    if (has_mem(l)) {
        simd_address(l, &m, size, !to_xmm, false);
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
    set_zero(l, r + 8);
    clear_if_vex(l, r);
}

/* MOVLPS, MOVHPS and so on; between registers the source is the other half. */
static void move_half(struct lower *l, const struct simd_row *r)
{
    unsigned d = xmm_reg(l), a = xmm_first(l), high = l->i.opcode & 4 ? 8 : 0, from = S_T(1);
    struct mem m;

    if (has_mem(l))
        simd_address(l, &m, 8, r->form == SIMD_STORE_HALF, false);
    if (r->form == SIMD_STORE_HALF) {
        mem_store(l, 8, d + high, &m);
        return;
    }
    if (has_mem(l))
        mem_load(l, 8, from, &m);
    else if (d == a)
        from = xmm_rm(l) + 8 - high;
    else
        emit(l, UOP_MOV64, from, xmm_rm(l) + 8 - high, 0);
    if (d != a)
        emit(l, UOP_MOV64, d + 8 - high, a + 8 - high, 0);
    emit(l, UOP_MOV64, d + high, from, 0);
    clear_if_vex(l, d);
}

/* ---- elements ---- */

static unsigned element_bytes(const struct lower *l, const struct simd_row *r)
{
    return r->bytes ? r->bytes : integer_bytes(l);
}

/* The place of the element that imm8 names. */
static unsigned element(const struct lower *l, unsigned vector, unsigned bytes)
{
    return vector + bytes * (l->i.imm & (16 / bytes - 1));
}

static enum uop_code move_of(unsigned bytes)
{
    return bytes == 1 ? UOP_MOV8 : bytes == 2 ? UOP_MOV16 : bytes == 4 ? UOP_MOV32 : UOP_MOV64;
}

/* PINSRB PINSRW PINSRD PINSRQ */
static void insert(struct lower *l, const struct simd_row *r)
{
    unsigned bytes = element_bytes(l, r), d = xmm_reg(l), from = gpr_rm(l);
    struct mem m;

    if (has_mem(l)) {
        from = S_T(1);
        simd_address(l, &m, bytes, false, false);
        mem_load(l, bytes, from, &m);
    }
    simd_move(l, d, xmm_first(l));
    emit(l, move_of(bytes), element(l, d, bytes), from, 0);
    clear_if_vex(l, d);
}

/* PEXTRB PEXTRW PEXTRD PEXTRQ EXTRACTPS */
static void extract(struct lower *l, const struct simd_row *r)
{
    bool in_reg = l->i.map == 1; /* PEXTRW as SSE2 has it */
    unsigned bytes = element_bytes(l, r), d = in_reg ? gpr_reg(l) : gpr_rm(l);
    unsigned from = element(l, in_reg ? xmm_rm(l) : xmm_reg(l), bytes);
    struct mem m;

    if (has_mem(l)) {
        simd_address(l, &m, bytes, true, false);
        mem_store(l, bytes, from, &m);
        return;
    }
    if (bytes >= 4)
        operand_move(l, bytes, d, from);
    else if (wide(l))
        emit(l, bytes == 1 ? UOP_ZX8_64 : UOP_ZX16_64, d, from, 0);
    else
        emit(l, bytes == 1 ? UOP_ZX8_32 : UOP_ZX16_32, d, from, 0);
}

/* PMOVMSKB MOVMSKPS MOVMSKPD */
static void signs(struct lower *l, const struct simd_row *r)
{
    enum uop_code op = r->bytes == 1 ? UOP_VMASK8 : r->bytes == 4 ? UOP_VMASK32 : UOP_VMASK64;
    unsigned d = gpr_reg(l), from = xmm_rm(l);

    if (!is_256(l)) {
        emit(l, op, d, from, 0);
    } else {
        emit(l, op, S_T(1), from, 0);
        emit(l, op, S_T(4), from + S_VECTOR_HIGH, 0);
        emit_imm(l, UOP_SHL32I, S_T(4), S_T(4), 16u / r->bytes);
        emit(l, UOP_OR32, d, S_T(1), S_T(4));
    }
    if (wide(l))
        emit(l, UOP_MOV32Z, d, d, 0);
}

/* ---- halves of 256 bits ---- */

static void insert_128(struct lower *l)
{
    unsigned d = xmm_reg(l), a = xmm_first(l), b = simd_source(l, 16, false);

    if (l->i.imm & 1) {
        simd_move(l, d + S_VECTOR_HIGH, b);
        simd_move(l, d, a);
    } else {
        simd_move(l, d, b);
        simd_move(l, d + S_VECTOR_HIGH, a + S_VECTOR_HIGH);
    }
}

static void extract_128(struct lower *l)
{
    unsigned from = xmm_reg(l) + (l->i.imm & 1 ? S_VECTOR_HIGH : 0);
    struct mem m;

    if (has_mem(l)) {
        simd_address(l, &m, 16, true, false);
        vector_access(l, from, 16, true, &m);
        return;
    }
    simd_move(l, xmm_rm(l), from);
    simd_clear_high(l, xmm_rm(l));
}

/* VPERM2F128 VPERM2I128: each half is one of the four of both sources, or 0 (SDM 2). */
static void permute_128(struct lower *l)
{
    unsigned d = xmm_reg(l), b = simd_source(l, 32, false), from[2];

    for (unsigned half = 0; half < 2; half++) {
        unsigned which = l->i.imm >> 4 * half & 15;

        from[half] = (which & 2 ? b : xmm_first(l)) + (which & 1 ? S_VECTOR_HIGH : 0);
        if (which & 8)
            from[half] = 0;
    }
    if (from[0])
        simd_move(l, S_XT(1), from[0]);
    if (from[1])
        simd_move(l, d + S_VECTOR_HIGH, from[1]);
    else
        simd_clear_high(l, d);
    if (from[0])
        simd_move(l, d, S_XT(1));
    else
        clear_vector(l, d);
}
_Static_assert(offsetof(struct i386_state, xmm) != 0, "0 is no vector's offset");

static void broadcast_128(struct lower *l)
{
    unsigned d = xmm_reg(l);

    simd_load(l, d, 16, false);
    simd_move(l, d + S_VECTOR_HIGH, d);
}

/* ---- by helpers ---- */

/* What VMASKMOV, VGATHER and MASKMOVDQU are told: avx.c. */
static unsigned registers(unsigned data, unsigned mask, unsigned index)
{
    return data | mask << 4 | index << 8;
}

static void masked(struct lower *l, i386_helper *fn, unsigned numbers, unsigned bytes, unsigned how)
{
    how |= l->i.seg | (is_256(l) ? MASKED_256 : 0) | (wide(l) ? MASKED_WIDE : 0);
    if (l->b->max_insns > 1 && x87_is_flat(l))
        how |= MASKED_PLAIN;
    build_call(l->b, fn, numbers, bytes, how)->op = UOP_VECTOR_MASKED;
}

static void masked_move(struct lower *l, const struct simd_row *r)
{
    unsigned bytes = r->bytes ? r->bytes : element_bytes_by_w(l), numbers = registers(number_reg(l), l->i.vvvv, 0);

    mem_offset(l);
    if (r->form == SIMD_MASK_LOAD)
        masked(l, i386_op_masked_load, numbers, bytes, 0);
    else
        masked(l, i386_op_masked_store, numbers, bytes, MASKED_STORE);
}

static void gather(struct lower *l)
{
    unsigned index = l->i.index, how = MASKED_GATHER;

    if (l->i.opcode & 1)
        how |= MASKED_INDEX64;
    how |= l->i.asize == 4 ? MASKED_ADDR32 : 0;
    how |= (unsigned)l->i.scale << MASKED_SCALE_SHIFT;
    l->i.index = INSN_NO_REG;
    mem_offset(l);
    l->i.index = (uint8_t)index;
    masked(l, i386_op_gather, registers(number_reg(l), l->i.vvvv, index), element_bytes_by_w(l), how);
}

/* MASKMOVDQU stores at DI, EDI or RDI. */
static void masked_bytes(struct lower *l)
{
    emit(l, l->i.asize == 2 ? UOP_ZX16_32 : l->i.asize == 8 ? UOP_MOV64 : wide(l) ? UOP_MOV32Z : UOP_MOV32, S_T(0),
         S_GPR32(EDI), 0);
    masked(l, i386_op_maskmovdqu, registers(number_reg(l), number_rm(l), 0), 1, MASKED_STORE);
}

/* LDMXCSR, whose reserved bits must be 0; STMXCSR */
static void mxcsr(struct lower *l)
{
    const uint32_t reserved = ~i386_mxcsr_mask(i386_of(l->b->cpu)->model);
    bool load = (l->i.modrm >> 3 & 7) == 2;
    struct mem m;

    simd_address(l, &m, 4, !load, false);
    if (!load) {
        emit(l, UOP_SSE_CONTROL, S_T(1), S_OFF(mxcsr), 0);
        mem_store(l, 4, S_T(1), &m);
        return;
    }
    mem_load(l, 4, S_T(1), &m);
    emit_imm(l, UOP_SHR32I, S_T(4), S_T(1), 16);
    build_call(l->b, i386_op_misaligned, 0xffff, S_T(4), 0)->op = UOP_CHECK32;
    if (reserved & 0xffff)
        build_call(l->b, i386_op_misaligned, reserved & 0xffff, S_T(1), 0)->op = UOP_CHECK32;
    emit(l, UOP_SSE_CONTROL, S_OFF(mxcsr), S_T(1), 0);
}

/* VZEROUPPER; VZEROALL with L */
static void zero(struct lower *l)
{
    unsigned bytes = wide(l) ? 256 : 128;

    if (is_256(l))
        emit_imm(l, UOP_VZERO, S_XMM(0), 0, bytes);
    emit_imm(l, UOP_VZERO, S_XMM(0) + S_VECTOR_HIGH, 0, bytes);
}

bool lower_simd_move(struct lower *l, const struct simd_row *r)
{
    switch (r->form) {
    case SIMD_LOAD: case SIMD_STORE: move_whole(l, r); return true;
    case SIMD_LOAD_LOW: case SIMD_STORE_LOW: move_low(l, r); return true;
    case SIMD_LOAD_HALF: case SIMD_STORE_HALF: move_half(l, r); return true;
    case SIMD_LOAD_Q: move_quadword(l, false); return true;
    case SIMD_STORE_Q: move_quadword(l, true); return true;
    case SIMD_LOAD_GENERAL: move_general(l, true); return true;
    case SIMD_STORE_GENERAL: move_general(l, false); return true;
    case SIMD_SIGNS: signs(l, r); return true;
    case SIMD_INSERT: insert(l, r); return true;
    case SIMD_EXTRACT: extract(l, r); return true;
    case SIMD_INSERT_128: insert_128(l); return true;
    case SIMD_EXTRACT_128: extract_128(l); return true;
    case SIMD_BROADCAST_128: broadcast_128(l); return true;
    case SIMD_PERMUTE_128: permute_128(l); return true;
    case SIMD_MASK_LOAD: case SIMD_MASK_STORE: masked_move(l, r); return true;
    case SIMD_GATHER: gather(l); return true;
    case SIMD_MASKMOVDQU: masked_bytes(l); return true;
    case SIMD_MXCSR: mxcsr(l); return true;
    case SIMD_ZERO: zero(l); return true;
    default: return false;
    }
}
