/*
 * What the files of the lowering share: lower.c (one instruction, blocks, flow, the system),
 * lower_operands.c (operands), lower_integer.c (arithmetic), lower_simd.c (MMX and SSE).
 */
#ifndef HINDCAST_I386_LOWERING_H
#define HINDCAST_I386_LOWERING_H

#include "base/error.h"
#include "i386/helpers.h"
#include "i386/insn.h"

/* The instruction being lowered. */
struct lower {
    struct builder *b;
    struct insn i;
    uint64_t mode;
    uint32_t eip;  /* of the instruction */
    uint32_t next; /* of the one after it */
};

/* A memory operand ready for access: a + (b << scale) + imm. */
struct mem {
    uint16_t a, b;
    bool indexed; /* b and scale are used */
    uint8_t scale;
    uint32_t imm;
};

#define SIZED(size, pre, post) ((size) == 1 ? pre##8##post : (size) == 2 ? pre##16##post : pre##32##post)
#define S_ZERO S_OFF(zero)
#define S_SEG(n, member) \
    (S_OFF(seg) + (unsigned)(n) * (unsigned)sizeof(struct i386_segment) + (unsigned)offsetof(struct i386_segment, member))

static inline unsigned reg(unsigned n, unsigned size)
{
    return size == 1 ? S_GPR8(n) : S_GPR32(n);
}

static inline struct uop *emit(struct lower *l, enum uop_code op, unsigned d, unsigned a, unsigned b)
{
    return build(l->b, op, d, a, b, 0, 0);
}

static inline struct uop *emit_imm(struct lower *l, enum uop_code op, unsigned d, unsigned a, uint32_t imm)
{
    return build(l->b, op, d, a, 0, imm, 0);
}

static inline void call(struct lower *l, i386_helper *fn, unsigned d, unsigned a, unsigned b)
{
    build_call(l->b, fn, d, a, b);
}

static inline bool is_mem(const struct lower *l, unsigned n)
{
    return l->i.arg[n].kind == OPERAND_MEM;
}

/* ---- lower_operands.c ---- */
/* Put the 32-bit value of m's expression into one operand (itself or temp). */
unsigned mem_flatten(struct lower *l, const struct mem *m, unsigned temp);
/* The offset within its segment of the instruction's memory operand, plus `extra`. */
void mem_effective_address(struct lower *l, struct mem *m, uint32_t extra);
/* From an offset in segment `seg` (m) to a linear address (m), with the checks
 * for an access of `size` bytes. `temp` is free for use; may fault. */
void mem_through_segment(struct lower *l, struct mem *m, unsigned seg, unsigned size, bool write, unsigned temp);
/* The instruction's memory operand; uses S_T(0). */
void mem_operand(struct lower *l, struct mem *m, unsigned size, bool write);
/* Its offset alone, in S_T(0), for helpers that do the access. */
void mem_offset(struct lower *l);
void mem_access(struct lower *l, enum uop_code plain, enum uop_code indexed, unsigned d, const struct mem *m);
void mem_load(struct lower *l, unsigned size, unsigned d, const struct mem *m);
/* Load what will be stored to: faults as a write does. */
void mem_load_rw(struct lower *l, unsigned size, unsigned d, const struct mem *m);
void mem_store(struct lower *l, unsigned size, unsigned value, const struct mem *m);
void mem_store_imm(struct lower *l, unsigned size, uint32_t value, const struct mem *m);
void operand_move(struct lower *l, unsigned size, unsigned d, unsigned a);
/* Where the value of operand n is: a register, or `temp` after loading it. */
unsigned operand_value(struct lower *l, unsigned n, unsigned temp);
/* Move the value at `off` to operand n (a register, or memory without prior read). */
void operand_write(struct lower *l, unsigned n, unsigned off);

/* ---- lower_integer.c: one instruction each ---- */
enum build_next lower_alu(struct lower *l);
enum build_next lower_compare(struct lower *l);
enum build_next lower_unary(struct lower *l);
enum build_next lower_shift(struct lower *l);
enum build_next lower_double_shift(struct lower *l);
enum build_next lower_bit(struct lower *l);
enum build_next lower_multiply(struct lower *l);
enum build_next lower_multiply_wide(struct lower *l);
enum build_next lower_divide(struct lower *l);
enum build_next lower_bit_scan(struct lower *l);

/* ---- lower_simd.c ---- */
/* MMX, SSE and SSE2: 0F 10-17 28-2F 50-7F AE C2-C6 D0-FF. */
enum build_next lower_simd(struct lower *l);

#endif
