/*
 * Lowering of operands: addresses through segments (SDM volume 1, 3.7), loads, stores, registers.
 */
#include "i386/lowering.h"

unsigned mem_flatten(struct lower *l, const struct mem *m, unsigned temp)
{
    if (m->indexed)
        build(l->b, UOP_LEAX_W, temp, m->a, m->b, m->imm, m->scale);
    else if (m->imm && m->a == S_ZERO)
        emit_imm(l, UOP_MOVI32, temp, 0, m->imm);
    else if (m->imm)
        emit_imm(l, UOP_LEA_W, temp, m->a, m->imm);
    else
        return m->a;
    return temp;
}

void mem_effective_address(struct lower *l, struct mem *m, uint32_t extra)
{
    const struct insn *i = &l->i;

    *m = (struct mem){.a = S_ZERO, .imm = i->disp + extra};
    if (i->base != INSN_NO_REG)
        m->a = (uint16_t)S_GPR32(i->base);
    if (i->index != INSN_NO_REG) {
        m->b = (uint16_t)S_GPR32(i->index);
        m->indexed = true;
        m->scale = i->scale;
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

void mem_through_segment(struct lower *l, struct mem *m, unsigned seg, unsigned size, bool write, unsigned temp)
{
    enum seg_class class = mode_seg(l->mode, seg);
    unsigned off;

    if (class == SEG_FLAT)
        return;
    if (class == SEG_BIG && !m->indexed) {
        m->b = (uint16_t)S_SEG(seg, base);
        m->indexed = true;
        m->scale = 0;
        return;
    }
    off = mem_flatten(l, m, temp);
    if (class == SEG_GENERAL) {
        call(l, i386_op_linear, temp, off, seg | size << I386_LINEAR_SIZE_SHIFT | (write ? I386_LINEAR_WRITE : 0));
        *m = (struct mem){.a = (uint16_t)temp};
        return;
    }
    if (class == SEG_UP)
        build_call(l->b, i386_op_limit, size - 1, off, S_SEG(seg, limit))->op = UOP_LIMIT32;
    *m = (struct mem){.a = (uint16_t)off, .b = (uint16_t)S_SEG(seg, base), .indexed = true};
}

void mem_operand(struct lower *l, struct mem *m, unsigned size, bool write)
{
    mem_effective_address(l, m, 0);
    mem_through_segment(l, m, l->i.seg, size, write, S_T(0));
}

void mem_offset(struct lower *l)
{
    struct mem m;
    unsigned off;

    mem_effective_address(l, &m, 0);
    off = mem_flatten(l, &m, S_T(0));
    if (off != S_T(0))
        emit(l, UOP_MOV32, S_T(0), off, 0);
}

void mem_access(struct lower *l, enum uop_code plain, enum uop_code indexed, unsigned d, const struct mem *m)
{
    build(l->b, m->indexed ? indexed : plain, d, m->a, m->b, m->imm, m->scale);
}

void mem_load(struct lower *l, unsigned size, unsigned d, const struct mem *m)
{
    mem_access(l, SIZED(size, UOP_LD, _W), SIZED(size, UOP_LDX, _W), d, m);
}

void mem_load_rw(struct lower *l, unsigned size, unsigned d, const struct mem *m)
{
    mem_access(l, SIZED(size, UOP_LDRW, _W), SIZED(size, UOP_LDRWX, _W), d, m);
}

void mem_store(struct lower *l, unsigned size, unsigned value, const struct mem *m)
{
    mem_access(l, SIZED(size, UOP_ST, _W), SIZED(size, UOP_STX, _W), value, m);
}

void mem_store_imm(struct lower *l, unsigned size, uint32_t value, const struct mem *m)
{
    if (!m->indexed) {
        build(l->b, SIZED(size, UOP_STI, _W), 0, m->a, 0, m->imm, value);
        return;
    }
    emit_imm(l, UOP_MOVI32, S_T(1), 0, value);
    mem_store(l, size, S_T(1), m);
}

void operand_move(struct lower *l, unsigned size, unsigned d, unsigned a)
{
    if (d != a)
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
        emit_imm(l, UOP_MOVI32, temp, 0, l->i.imm);
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
