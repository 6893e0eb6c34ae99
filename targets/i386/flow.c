/*
 * Helpers for memory checks, stack frames and transfers of control: the glue
 * between micro-ops and segment.c and exception.c (SDM 2; SDM 1, chapter 6).
 */
#include "i386/helpers.h"
#include "i386/protect.h"

#include <string.h>

static uint32_t get32(const struct ucpu *u, unsigned off)
{
    uint32_t v;

    memcpy(&v, u->s + off, sizeof v);
    return v;
}

/* A temporary or general register: in 64-bit mode all of it. */
static uint64_t get64(struct ucpu *u, unsigned off)
{
    uint64_t v;

    memcpy(&v, u->s + off, sizeof v);
    return i386_64bit(i386_of(u)->st) ? v : (uint32_t)v;
}

static uint16_t get16(const struct ucpu *u, unsigned off)
{
    uint16_t v;

    memcpy(&v, u->s + off, sizeof v);
    return v;
}

/* ---- checks ---- */

int i386_op_raise(struct ucpu *u, const struct uop *op)
{
    if (op->a)
        return i386_raise_error(i386_of(u), op->d, op->b);
    return i386_raise(i386_of(u), op->d);
}

int i386_op_limit(struct ucpu *u, const struct uop *op)
{
    unsigned seg = (op->b - S_OFF(seg)) / (unsigned)sizeof(struct i386_segment);

    return i386_raise_error(i386_of(u), seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

int i386_op_limit_or_4g(struct ucpu *u, const struct uop *op)
{
    return get32(u, op->b) == UINT32_MAX ? UOP_NEXT : i386_op_limit(u, op);
}

int i386_op_linear(struct ucpu *u, const struct uop *op)
{
    unsigned seg = op->b & 15, size = op->b >> I386_LINEAR_SIZE_SHIFT & 63, alignment = op->b >> I386_LINEAR_ALIGN_SHIFT;
    uint64_t offset = get64(u, op->a), linear;
    bool write = op->b & I386_LINEAR_WRITE;

    if (!(alignment ? i386_linear_aligned(i386_of(u), seg, offset, size, alignment, write, &linear)
                    : i386_linear(i386_of(u), seg, offset, size, write, &linear)))
        return UOP_FAULT;
    memcpy(u->s + op->d, &linear, sizeof linear);
    return UOP_NEXT;
}

int i386_op_canonical(struct ucpu *u, const struct uop *op)
{
    struct i386_state *s = i386_of(u)->st;
    uint64_t target;

    memcpy(&target, u->s + op->a, sizeof target);
    if (i386_canonical(s, target))
        return UOP_NEXT;
    s->gpr[ESP] -= op->d;
    return i386_raise_error(i386_of(u), EXC_GP, 0);
}

int i386_op_bad_branch(struct ucpu *u, const struct uop *op)
{
    bool taken;

    if (op->b < 16)
        taken = flags_cond(u->flags, op->b);
    else
        taken = (get32(u, op->a) != 0) == (op->b == 16);
    return taken ? i386_raise_error(i386_of(u), EXC_GP, 0) : UOP_NEXT;
}

/* ---- segment registers and far transfers ---- */

int i386_op_load_segment(struct ucpu *u, const struct uop *op)
{
    int r = i386_load_segment(i386_of(u), op->d, get16(u, op->a));

    if (r == UOP_NEXT && op->d == SEG_SS)
        i386_set_shadow(i386_of(u), I386_SHADOW_SS);
    return r;
}

int i386_op_far_jump(struct ucpu *u, const struct uop *op)
{
    return i386_far_jump(i386_of(u), get16(u, op->a), get64(u, op->d), op->b);
}

int i386_op_far_call(struct ucpu *u, const struct uop *op)
{
    return i386_far_call(i386_of(u), get16(u, op->a), get64(u, op->d), op->b, i386_of(u)->st->t[3]);
}

int i386_op_far_return(struct ucpu *u, const struct uop *op)
{
    return i386_far_return(i386_of(u), op->b, op->a);
}

int i386_op_iret(struct ucpu *u, const struct uop *op)
{
    return i386_iret(i386_of(u), op->b);
}

int i386_op_int(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    if (op->d == INT_O && !flags_cond(u->flags, COND_O))
        return UOP_NEXT;
    return i386_software_int(c, op->a | (op->d == INT_N ? I386_INT_N : 0), c->st->t[3]);
}

/* ---- stack frames ---- */

/* A run of pushes. */
struct frame {
    struct i386_cpu *c;
    uint64_t sp, mask; /* running stack pointer, its width */
    unsigned size;     /* of an item */
    struct i386_stores stores;
};

static void frame_begin(struct frame *f, struct ucpu *u, unsigned size, bool stack32)
{
    f->c = i386_of(u);
    f->mask = i386_64bit(f->c->st) ? UINT64_MAX : stack32 ? 0xffffffffu : 0xffffu;
    f->sp = f->c->st->gpr[ESP] & f->mask;
    f->size = size;
    i386_stores_begin(&f->stores);
}

static bool frame_push(struct frame *f, uint64_t value)
{
    uint64_t linear;

    f->sp = (f->sp - f->size) & f->mask;
    return i386_linear(f->c, SEG_SS, f->sp, f->size, true, &linear) &&
           i386_stores_add(f->c, &f->stores, f->c->u.tlb_mode, linear, f->size, value);
}

/* Read an item that may have been pushed just now. */
static bool frame_read(struct frame *f, uint64_t offset, uint64_t *value)
{
    uint64_t linear;

    *value = 0;
    if (!i386_linear(f->c, SEG_SS, offset, f->size, false, &linear) || !ucpu_load(&f->c->u, linear, value, f->size))
        return false;
    i386_stores_show(&f->stores, linear, f->size, value);
    return true;
}

static void set_sp(struct frame *f)
{
    uint64_t *sp = &f->c->st->gpr[ESP];

    *sp = (*sp & ~f->mask) | f->sp;
}

/* In real and virtual-8086 mode Intel's processors find some stack pointers wrong that others, and all else, run into by #SS
 * (SDM 2, PUSHA; APM 3). */
static bool pusha_is_refused(const struct frame *f)
{
    const struct i386_state *st = f->c->st;
    bool is_8086 = !i386_protected(st) || i386_vm86(st);

    return is_8086 && !f->c->model->amd && st->seg[SEG_SS].limit == 0xffff && (f->sp & 1) && f->sp >= 7 && f->sp <= 15;
}

int i386_op_pusha(struct ucpu *u, const struct uop *op)
{
    struct frame f;

    frame_begin(&f, u, op->a, op->b);
    if (pusha_is_refused(&f))
        return i386_raise_error(f.c, EXC_GP, 0);
    for (unsigned r = EAX; r <= EDI; r++)
        if (!frame_push(&f, f.c->st->gpr[r]))
            return UOP_FAULT;
    i386_stores_commit(f.c, &f.stores);
    set_sp(&f);
    return UOP_NEXT;
}

int i386_op_popa(struct ucpu *u, const struct uop *op)
{
    struct frame f;
    uint32_t v[8] = {0};

    frame_begin(&f, u, op->a, op->b);
    for (int r = EDI; r >= EAX; r--) {
        if (!i386_read(f.c, SEG_SS, f.sp, &v[r], f.size))
            return UOP_FAULT;
        f.sp = (f.sp + f.size) & f.mask;
    }
    for (unsigned r = EAX; r <= EDI; r++)
        if (r != ESP)
            memcpy(&f.c->st->gpr[r], &v[r], f.size);
    set_sp(&f);
    return UOP_NEXT;
}

/* The whole instruction, with PC behind it. */
static int alone(struct ucpu *u, i386_helper *whole)
{
    struct i386_cpu *c = i386_of(u);
    int outcome = UOP_FAULT;

    if (ucpu_be_alone(u))
        outcome = whole(u, &(const struct uop){.a = 4, .b = 1});
    if (outcome == UOP_FAULT)
        return UOP_FAULT;
    c->st->rip = i386_next_eip(c);
    return UOP_LEAVE;
}

int i386_op_pusha_alone(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return alone(u, i386_op_pusha);
}

int i386_op_popa_alone(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return alone(u, i386_op_popa);
}

int i386_op_enter(struct ucpu *u, const struct uop *op)
{
    unsigned level = op->b & 31;
    uint64_t pointer, bp, linear;
    struct i386_state *st = i386_of(u)->st;
    struct frame f;

    frame_begin(&f, u, op->d, op->b & 256);
    bp = st->gpr[EBP];
    if (!frame_push(&f, bp))
        return UOP_FAULT;
    pointer = (st->gpr[ESP] & ~f.mask) | f.sp; /* by the operand size, not the stack's */
    for (unsigned i = 1; i < level; i++) {
        uint64_t saved;

        bp -= f.size;
        if (!frame_read(&f, bp & f.mask, &saved) || !frame_push(&f, saved))
            return UOP_FAULT;
    }
    if (level && !frame_push(&f, pointer))
        return UOP_FAULT;
    if (op->a) {
        f.sp = (f.sp - op->a) & f.mask;
        if (!i386_linear(f.c, SEG_SS, f.sp, f.size, true, &linear) ||
            !ucpu_probe(u, u->tlb_mode, linear, f.size, ACCESS_WRITE))
            return UOP_FAULT;
    }
    i386_stores_commit(f.c, &f.stores);
    set_sp(&f);
    memcpy(&st->gpr[EBP], &pointer, f.size);
    return UOP_NEXT;
}

/* ---- POPF ---- */

static int popf(struct ucpu *u, const struct uop *op, bool is_32)
{
    struct i386_state *st = i386_of(u)->st;
    const struct uop flags = {.a = S_T(1), .b = is_32};
    const uint64_t sp = st->gpr[ESP] + op->b;

    if (i386_op_popf(u, &flags) != UOP_NEXT)
        return UOP_FAULT;
    if (i386_64bit(st))
        st->gpr[ESP] = sp;
    else if (st->seg[SEG_SS].attr & SEG_ATTR_DB)
        st->gpr[ESP] = (uint32_t)sp;
    else
        memcpy(&st->gpr[ESP], &sp, 2);
    st->rip = i386_64bit(st) ? st->t[3] : (uint32_t)st->t[3];
    return UOP_LEAVE;
}

int i386_op_popf_16(struct ucpu *u, const struct uop *op)
{
    return popf(u, op, false);
}

int i386_op_popf_32(struct ucpu *u, const struct uop *op)
{
    return popf(u, op, true);
}
