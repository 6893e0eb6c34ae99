/*
 * Lowering of operands: addresses through segments (SDM volume 1, 3.7), loads, stores, registers.
 */
#include "i386/lowering.h"

/* d = the value of m's expression. */
static void flatten_to(struct lower *l, const struct mem *m, unsigned d)
{
    if (m->indexed)
        build(l->b, wide(l) ? UOP_LEAX_X : UOP_LEAX_W, d, m->a, m->b, m->imm, m->scale);
    else if (m->a == S_ZERO)
        set_const(l, d, wide(l) ? (uint64_t)(int32_t)m->imm : m->imm);
    else if (wide(l))
        emit_sized(l, UOP_ADD64I, d, m->a, 8, m->imm);
    else
        emit_imm(l, UOP_LEA_W, d, m->a, m->imm);
}

unsigned mem_flatten(struct lower *l, const struct mem *m, unsigned temp)
{
    if (!m->indexed && !m->imm)
        return m->a;
    flatten_to(l, m, temp);
    return temp;
}

void mem_advance(struct lower *l, struct mem *m, uint32_t n)
{
    if (wide(l) && (int32_t)m->imm > INT32_MAX - (int32_t)n) {
        flatten_to(l, m, S_T(0));
        *m = (struct mem){.a = (uint16_t)S_T(0)};
    }
    m->imm += n;
}

/* An address that is known now. */
static void constant_address(struct lower *l, struct mem *m, uint64_t address)
{
    if (l->i.asize == 4)
        address = (uint32_t)address;
    *m = (struct mem){.a = S_ZERO, .imm = (uint32_t)address};
    if (address != (uint64_t)(int32_t)address) {
        set_const(l, S_T(0), address);
        *m = (struct mem){.a = (uint16_t)S_T(0)};
    }
}

static void effective_address_64(struct lower *l, struct mem *m)
{
    const struct insn *i = &l->i;

    if (i->flags & INSN_RIP) {
        constant_address(l, m, l->next + (uint64_t)(int32_t)i->disp);
        return;
    }
    if (!(i->flags & INSN_MODRM)) { /* MOV to and from an offset */
        constant_address(l, m, i->wide);
        return;
    }
    if (i->asize == 8)
        return;
    if (m->indexed)
        build(l->b, UOP_LEAX_32Z, S_T(0), m->a, m->b, m->imm, m->scale);
    else
        emit_imm(l, UOP_ADD32ZI, S_T(0), m->a, m->imm);
    *m = (struct mem){.a = (uint16_t)S_T(0)};
}

void mem_effective_address(struct lower *l, struct mem *m, uint32_t extra)
{
    const struct insn *i = &l->i;

    *m = (struct mem){.a = S_ZERO, .imm = i->disp};
    if (i->base != INSN_NO_REG)
        m->a = (uint16_t)S_GPR64(i->base);
    if (i->index != INSN_NO_REG) {
        m->b = (uint16_t)S_GPR64(i->index);
        m->indexed = true;
        m->scale = i->scale;
    }
    if (extra)
        mem_advance(l, m, extra);
    if (wide(l)) {
        effective_address_64(l, m);
        return;
    }
    if (i->asize == 4)
        return;
    if (i->base == INSN_NO_REG) {
        m->imm &= 0xffff;
        return;
    }
    emit(l, UOP_ZX16_32, S_T(0), mem_flatten(l, m, S_T(0)), 0);
    *m = (struct mem){.a = (uint16_t)S_T(0)};
}

/* A linear address by helper: all checks. */
static void checked_address(struct lower *l, struct mem *m, unsigned seg, unsigned size, unsigned alignment, bool write, unsigned temp)
{
    unsigned off = mem_flatten(l, m, temp);

    call(l, i386_op_linear, temp, off,
         seg | size << I386_LINEAR_SIZE_SHIFT | (write ? I386_LINEAR_WRITE : 0) | alignment << I386_LINEAR_ALIGN_SHIFT);
    *m = (struct mem){.a = (uint16_t)temp};
}

/* In 64-bit mode only FS and GS have a base, and nothing has a limit (an address that is not
 * canonical is found by the walk). */
static void through_segment_64(struct lower *l, struct mem *m, unsigned seg, unsigned size, unsigned alignment, bool write, unsigned temp)
{
    if (l->mode & MODE_ALIGN) {
        checked_address(l, m, seg, size, alignment, write, temp);
        return;
    }
    if (seg < SEG_FS)
        return;
    if (m->indexed) {
        flatten_to(l, m, temp);
        *m = (struct mem){.a = (uint16_t)temp};
    }
    m->b = (uint16_t)S_SEG(seg, base);
    m->indexed = true;
    m->scale = 0;
}

static void through_segment(struct lower *l, struct mem *m, unsigned seg, unsigned size, unsigned alignment, bool write, unsigned temp)
{
    enum seg_class class = mode_seg(l->mode, seg);
    bool only_read = class == SEG_GENERAL && !write && mode_reads(l->mode, seg);
    unsigned off;

    if (wide(l)) {
        through_segment_64(l, m, seg, size, alignment, write, temp);
        return;
    }
    if (class == SEG_FLAT)
        return;
    if (class == SEG_BIG && !m->indexed) {
        m->b = (uint16_t)S_SEG(seg, base);
        m->indexed = true;
        m->scale = 0;
        return;
    }
    if (class == SEG_GENERAL && !only_read) {
        checked_address(l, m, seg, size, alignment, write, temp);
        return;
    }
    off = mem_flatten(l, m, temp);
    if (class != SEG_BIG)
        build_call(l->b, only_read ? i386_op_limit_or_4g : i386_op_limit, size - 1, off, S_SEG(seg, limit))->op = UOP_LIMIT32;
    *m = (struct mem){.a = (uint16_t)off, .b = (uint16_t)S_SEG(seg, base), .indexed = true};
}

void mem_through_segment(struct lower *l, struct mem *m, unsigned seg, unsigned size, bool write, unsigned temp)
{
    through_segment(l, m, seg, size, 0, write, temp);
}

void mem_operand(struct lower *l, struct mem *m, unsigned size, bool write)
{
    mem_operand_aligned(l, m, size, 0, write);
}

void mem_operand_aligned(struct lower *l, struct mem *m, unsigned size, unsigned alignment, bool write)
{
    mem_effective_address(l, m, 0);
    through_segment(l, m, l->i.seg, size, alignment, write, S_T(0));
}

void mem_offset(struct lower *l)
{
    struct mem m;
    unsigned off;

    mem_effective_address(l, &m, 0);
    off = mem_flatten(l, &m, S_T(0));
    if (off != S_T(0))
        emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(0), off, 0);
}

void mem_access(struct lower *l, enum uop_code plain, enum uop_code indexed, unsigned d, const struct mem *m)
{
    build(l->b, m->indexed ? indexed : plain, d, m->a, m->b, m->imm, m->scale);
}

/* Rows of 1, 2, 4, 8 bytes: plain and indexed. */
static void sized_access(struct lower *l, const uint16_t ops[4][2], unsigned size, unsigned d, const struct mem *m)
{
    unsigned z = size == 8 ? 3 : size >> 1;

    mem_access(l, (enum uop_code)ops[z][0], (enum uop_code)ops[z][1], d, m);
}

void mem_load(struct lower *l, unsigned size, unsigned d, const struct mem *m)
{
    static const uint16_t narrow[4][2] = {{UOP_LD8_W, UOP_LDX8_W}, {UOP_LD16_W, UOP_LDX16_W}, {UOP_LD32_W, UOP_LDX32_W},
                                          {UOP_LD64_W, UOP_LDX64_W}};
    static const uint16_t by_64[4][2] = {{UOP_LD8_X, UOP_LDX8_X}, {UOP_LD16_X, UOP_LDX16_X}, {UOP_LDZ32_X, UOP_LDXZ32_X},
                                         {UOP_LD64_X, UOP_LDX64_X}};

    sized_access(l, wide(l) ? by_64 : narrow, size, d, m);
}

void mem_load_rw(struct lower *l, unsigned size, unsigned d, const struct mem *m)
{
    static const uint16_t narrow[4][2] = {{UOP_LDRW8_W, UOP_LDRWX8_W}, {UOP_LDRW16_W, UOP_LDRWX16_W},
                                          {UOP_LDRW32_W, UOP_LDRWX32_W}, {UOP_LDRW64_W, UOP_LDRWX64_W}};
    static const uint16_t by_64[4][2] = {{UOP_LDRW8_X, UOP_LDRWX8_X}, {UOP_LDRW16_X, UOP_LDRWX16_X},
                                         {UOP_LDRWZ32_X, UOP_LDRWXZ32_X}, {UOP_LDRW64_X, UOP_LDRWX64_X}};

    sized_access(l, wide(l) ? by_64 : narrow, size, d, m);
}

void mem_store(struct lower *l, unsigned size, unsigned value, const struct mem *m)
{
    static const uint16_t narrow[4][2] = {{UOP_ST8_W, UOP_STX8_W}, {UOP_ST16_W, UOP_STX16_W}, {UOP_ST32_W, UOP_STX32_W},
                                          {UOP_ST64_W, UOP_STX64_W}};
    static const uint16_t by_64[4][2] = {{UOP_ST8_X, UOP_STX8_X}, {UOP_ST16_X, UOP_STX16_X}, {UOP_ST32_X, UOP_STX32_X},
                                         {UOP_ST64_X, UOP_STX64_X}};

    sized_access(l, wide(l) ? by_64 : narrow, size, value, m);
}

void mem_store_imm(struct lower *l, unsigned size, uint32_t value, const struct mem *m)
{
    static const uint16_t narrow[3] = {UOP_STI8_W, UOP_STI16_W, UOP_STI32_W};
    static const uint16_t by_64[4] = {UOP_STI8_X, UOP_STI16_X, UOP_STI32_X, UOP_STI64_X};
    unsigned z = size == 8 ? 3 : size >> 1;

    if (!m->indexed) {
        build(l->b, (enum uop_code)(wide(l) ? by_64[z] : narrow[z]), 0, m->a, 0, m->imm, value);
        return;
    }
    set_const(l, S_T(1), (uint64_t)(int32_t)value);
    mem_store(l, size, S_T(1), m);
}

void operand_move(struct lower *l, unsigned size, unsigned d, unsigned a)
{
    if (d != a || (size == 4 && wide(l)))
        emit(l, SIZED(size, UOP_MOV, ), d, a, 0);
}

unsigned operand_value(struct lower *l, unsigned n, unsigned temp)
{
    const struct operand *o = &l->i.arg[n];
    struct mem m;

    switch (o->kind) {
    case OPERAND_REG:
        return reg(o->reg, o->size);
    case OPERAND_MEM:
        mem_operand(l, &m, o->size, false);
        mem_load(l, o->size, temp, &m);
        return temp;
    default:
        set_const(l, temp, o->size == 8 ? (uint64_t)(int32_t)l->i.imm : l->i.imm);
        return temp;
    }
}

void operand_write(struct lower *l, unsigned n, unsigned off)
{
    const struct operand *o = &l->i.arg[n];
    struct mem m;

    if (o->kind == OPERAND_REG) {
        operand_move(l, o->size, reg(o->reg, o->size), off);
        return;
    }
    mem_operand(l, &m, o->size, true);
    mem_store(l, o->size, off, &m);
}
