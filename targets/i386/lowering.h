/*
 * What the files of the lowering share: lower.c (one instruction, blocks, flow, the system),
 * lower_operands.c (operands), lower_stack.c (the stack), lower_integer.c (arithmetic), lower_bits.c (what came after long mode), lower_svm.c (virtual machines), lower_simd.c (MMX and SSE).
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
    uint64_t eip;  /* of the instruction */
    uint64_t next; /* of the one after it */
};

/* A memory operand ready for access: a + (b << scale) + imm. */
struct mem {
    uint16_t a, b;
    bool indexed; /* b and scale are used */
    uint8_t scale;
    uint32_t imm; /* in 64-bit mode sign-extended */
};

/* Are registers 64 bits wide? Then a result of 32 bits is zero-extended (micro-ops ...32Z), and
 * addresses have 64 bits (micro-ops ..._X). */
static inline bool wide(const struct lower *l)
{
    return l->mode & MODE_LONG;
}

/* The micro-op for operands of `size` bytes in this mode; of those without a result. */
#define SIZED(size, pre, post) \
    ((size) == 1 ? pre##8##post : (size) == 2 ? pre##16##post : (size) == 8 ? pre##64##post : \
     wide(l) ? pre##32Z##post : pre##32##post)
#define SIZED_PLAIN(size, pre, post) \
    ((size) == 1 ? pre##8##post : (size) == 2 ? pre##16##post : (size) == 8 ? pre##64##post : pre##32##post)
#define S_ZERO S_OFF(zero)
#define S_SEG(n, member) \
    (S_OFF(seg) + (unsigned)(n) * (unsigned)sizeof(struct i386_segment) + (unsigned)offsetof(struct i386_segment, member))

static inline unsigned reg(unsigned n, unsigned size)
{
    return size == 1 ? S_GPR8(n) : S_GPR64(n);
}

static inline struct uop *emit(struct lower *l, enum uop_code op, unsigned d, unsigned a, unsigned b)
{
    return build(l->b, op, d, a, b, 0, 0);
}

static inline struct uop *emit_imm(struct lower *l, enum uop_code op, unsigned d, unsigned a, uint32_t imm)
{
    return build(l->b, op, d, a, 0, imm, 0);
}

/* With an immediate of `size` bytes, of which one of 8 is given by its low half. */
static inline struct uop *emit_sized(struct lower *l, enum uop_code op, unsigned d, unsigned a, unsigned size, uint32_t imm)
{
    struct uop *u = build(l->b, op, d, a, 0, imm, 0);

    if (size == 8)
        u->imm64 = (uint64_t)(int32_t)imm;
    return u;
}

/* A temporary or general register of 32 bits, in 64-bit mode of 64, becomes a constant. */
static inline void set_const(struct lower *l, unsigned d, uint64_t value)
{
    if (wide(l))
        build(l->b, UOP_MOVI64, d, 0, 0, 0, 0)->imm64 = value;
    else
        build(l->b, UOP_MOVI32, d, 0, 0, (uint32_t)value, 0);
}

static inline void call(struct lower *l, i386_helper *fn, unsigned d, unsigned a, unsigned b)
{
    build_call(l->b, fn, d, a, b);
}

/* Has the model the feature (FEATURE_*)? */
static inline bool has(const struct lower *l, unsigned feature)
{
    return i386_has(i386_of(l->b->cpu)->model, feature);
}

/* Is it a MOV of CR8 by LOCK, which the model has not? */
static inline bool lacks_cr8(const struct lower *l)
{
    return (l->i.flags & INSN_LOCK) && !has(l, FEATURE_CR8LEGACY);
}

static inline bool is_mem(const struct lower *l, unsigned n)
{
    return l->i.arg[n].kind == OPERAND_MEM;
}

/* ---- lower_operands.c ---- */
/* Put the value of m's expression into one operand (itself or temp). */
unsigned mem_flatten(struct lower *l, const struct mem *m, unsigned temp);
/* The offset within its segment of the instruction's memory operand, plus `extra`. */
void mem_effective_address(struct lower *l, struct mem *m, uint32_t extra);
/* From an offset in segment `seg` (m) to a linear address (m), with the checks
 * for an access of `size` bytes. `temp` is free for use; may fault. */
void mem_through_segment(struct lower *l, struct mem *m, unsigned seg, unsigned size, bool write, unsigned temp);
/* The instruction's memory operand; uses S_T(0). */
void mem_operand(struct lower *l, struct mem *m, unsigned size, bool write);
/* The same of one whose alignment under AC (1: none) does not follow from its size. */
void mem_operand_aligned(struct lower *l, struct mem *m, unsigned size, unsigned alignment, bool write);
/* Its offset alone, in S_T(0), for helpers that do the access. */
void mem_offset(struct lower *l);
/* m becomes the place `n` bytes on. */
void mem_advance(struct lower *l, struct mem *m, uint32_t n);
/* Each of these takes the micro-ops for 32-bit or (_X) 64-bit addresses, as the mode is. */
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

/* ---- lower_stack.c ---- */
/* Does it say an address? In 64-bit mode it is RSP, and alignment is all that can be checked. */
bool stack_is_flat(const struct lower *l);
void stack_move(struct lower *l, int delta);
/* Push `size` bytes at `off`; changes the stack pointer last. Uses S_T(3), S_T(4). */
void stack_push(struct lower *l, unsigned size, unsigned off);
/* Uses S_T(1), too. */
void stack_push_imm(struct lower *l, unsigned size, uint64_t v);
/* Load the top of the stack to `d` without popping. Uses S_T(3), S_T(4). */
void stack_peek(struct lower *l, unsigned size, unsigned d);
/* PUSH, POP, PUSHA, POPA, ENTER, LEAVE. */
enum build_next lower_stack(struct lower *l);
bool stack_wants_alone(const struct lower *l);

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

/* ---- lower_bits.c ---- */
enum build_next lower_bits(struct lower *l);

/* ---- lower_svm.c ---- */

/* AMD's instructions for virtual machines. */
enum build_next lower_svm(struct lower *l);
/* Before an instruction of a guest: if it may be intercepted, that is looked at. */
void lower_intercepts(struct lower *l);

/* ---- lower.c ---- */
/* The block ends here, and the run loop looks at everything anew. */
enum build_next end_exit(struct lower *l);
/* There is no such instruction. */
enum build_next end_undefined(struct lower *l);

/* ---- lower_x87.c ---- */
enum build_next lower_x87(struct lower *l), lower_fwait(struct lower *l);
/* Is the operand in memory where its offset says? */
bool x87_is_flat(const struct lower *l);
/* Must this x87 instruction be alone (uop.h), whatever it finds? */
bool x87_wants_alone(const struct lower *l);

/* ---- lower_simd.c ---- */
/* MMX, SSE and AVX: 0F 10-17 28-2F 50-7F AE C2-C6 D0-FF, 0F 38 and 0F 3A. */
enum build_next lower_simd(struct lower *l);
bool simd_wants_alone(const struct lower *l);

#endif
