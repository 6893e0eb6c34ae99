/*
 * Images of the x87 and SSE state in memory: FNSTENV/FLDENV and FNSAVE/FRSTOR
 * in their four layouts (SDM 1, figures 8-9 to 8-12), FXSAVE/FXRSTOR (SDM 2,
 * table 3-46), FNINIT and reset.
 */
#include <string.h>

#include "base/bytes.h"
#include "i386/fpu.h"
#include "softfloat/floatx80.h"

/* An image is stored at once; a device sees accesses of this size. */
#define BLOCK_UNIT 8

/* ---- blocks of memory ---- */

static bool read_block(struct i386_cpu *c, unsigned seg, uint64_t offset, void *buf, unsigned size)
{
    uint64_t linear;

    return i386_linear(c, seg, offset, size, false, &linear) &&
           ucpu_load_units(&c->u, linear, buf, size, BLOCK_UNIT);
}

/* Segmented accesses of any length; checked before anything is transferred.
 * False: exception or retry pending. */
static bool write_block(struct i386_cpu *c, unsigned seg, uint64_t offset, const void *buf, unsigned size)
{
    uint64_t linear;

    return i386_linear(c, seg, offset, size, true, &linear) &&
           ucpu_store_units(&c->u, linear, buf, size, BLOCK_UNIT);
}

/* ---- tags ---- */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

uint16_t i386_fpu_tag_word(const struct i386_state *st)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        struct floatx80 v = {st->fpr[i].mantissa, st->fpr[i].exponent};
        enum floatx80_class class = fx80_classify(v);
        unsigned tag = class == X80_NORMAL ? TAG_VALID : class == X80_ZERO ? TAG_ZERO : TAG_SPECIAL;

        if (!(st->ftag >> i & 1))
            tag = TAG_EMPTY;
        tags |= tag << (2 * i);
    }
    return (uint16_t)tags;
}

void i386_fpu_set_tag_word(struct i386_state *st, uint16_t tags)
{
    st->ftag = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> (2 * i) & 3) != TAG_EMPTY)
            st->ftag |= (uint8_t)(1u << i);
}

/* ---- initial states ---- */

void i386_fpu_reset(struct i386_state *st)
{
    memset(st->fpr, 0, sizeof st->fpr);
    memset(st->xmm, 0, sizeof st->xmm);
    st->fcw = 0x0040;
    st->fsw = 0;
    st->ftag = 0xff; /* tag word 5555h: all zero */
    st->fip = st->fdp = 0;
    st->fcs = st->fds = st->fop = 0;
    st->mxcsr = MXCSR_RESET;
    st->ferr = 0;
}

int i386_op_fninit(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;

    (void)op;
    st->fcw = FCW_INIT;
    st->fsw = 0;
    st->ftag = 0;
    st->fip = st->fdp = 0;
    st->fcs = st->fds = st->fop = 0;
    i386_fpu_update_es(c);
    return UOP_NEXT;
}

/* ---- environments ---- */

static bool real_layout(const struct i386_state *st)
{
    return !(st->cr0 & CR0_PE) || (st->eflags & EFLAGS_VM);
}

/* Returns the image's size: 14 or 28. */
static unsigned make_environment(const struct i386_state *st, bool op32, uint8_t *image)
{
    bool real = real_layout(st);
    uint32_t ip = (uint32_t)st->fip, dp = (uint32_t)st->fdp, tags = i386_fpu_tag_word(st);
    uint32_t opcode = st->fop & 0x7ff;

    if (real) {
        ip += (uint32_t)st->fcs << 4;
        dp += (uint32_t)st->fds << 4;
    }
    if (!op32) {
        put_le16(image, st->fcw);
        put_le16(image + 2, st->fsw);
        put_le16(image + 4, tags);
        put_le16(image + 6, ip);
        put_le16(image + 8, real ? (ip >> 4 & 0xf000) | opcode : st->fcs);
        put_le16(image + 10, dp);
        put_le16(image + 12, real ? dp >> 4 & 0xf000 : st->fds);
        return 14;
    }
    put_le32(image, 0xffff0000u | st->fcw);
    put_le32(image + 4, 0xffff0000u | st->fsw);
    put_le32(image + 8, 0xffff0000u | tags);
    put_le32(image + 12, real ? 0xffff0000u | (ip & 0xffff) : ip);
    put_le32(image + 16, real ? (ip >> 4 & 0x0ffff000u) | opcode : (uint32_t)st->fcs | opcode << 16);
    put_le32(image + 20, real ? 0xffff0000u | (dp & 0xffff) : dp);
    put_le32(image + 24, real ? dp >> 4 & 0x0ffff000u : 0xffff0000u | st->fds);
    return 28;
}

static void set_environment(struct i386_cpu *c, bool op32, const uint8_t *image)
{
    struct i386_state *st = c->st;
    bool real = real_layout(st);
    uint16_t tags;

    st->fcw = (uint16_t)((get_le16(image) & 0x1f3f) | 0x40);
    if (!op32) {
        st->fsw = get_le16(image + 2);
        tags = get_le16(image + 4);
        st->fip = get_le16(image + 6) | (real ? (get_le16(image + 8) & 0xf000) << 4 : 0);
        st->fdp = get_le16(image + 10) | (real ? (get_le16(image + 12) & 0xf000) << 4 : 0);
        st->fcs = real ? 0 : get_le16(image + 8);
        st->fds = real ? 0 : get_le16(image + 12);
        st->fop = real ? get_le16(image + 8) & 0x7ff : 0;
    } else {
        st->fsw = (uint16_t)get_le32(image + 4);
        tags = (uint16_t)get_le32(image + 8);
        st->fip = real ? (get_le32(image + 12) & 0xffff) | (get_le32(image + 16) & 0x0ffff000u) << 4
                       : get_le32(image + 12);
        st->fdp = real ? (get_le32(image + 20) & 0xffff) | (get_le32(image + 24) & 0x0ffff000u) << 4
                       : get_le32(image + 20);
        st->fcs = real ? 0 : (uint16_t)get_le32(image + 16);
        st->fds = real ? 0 : (uint16_t)get_le32(image + 24);
        st->fop = (real ? get_le32(image + 16) : get_le32(image + 16) >> 16) & 0x7ff;
    }
    i386_fpu_set_tag_word(st, tags);
    i386_fpu_update_es(c);
}

int i386_op_fnstenv(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    uint8_t image[28];
    unsigned size = make_environment(st, op->b & I386_FX_OP32, image);

    if (!write_block(c, op->b & I386_FX_SEG, st->t[0], image, size))
        return UOP_FAULT;
    st->fcw |= FLOAT_FLAGS;
    i386_fpu_update_es(c);
    return UOP_NEXT;
}

int i386_op_fldenv(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    bool op32 = op->b & I386_FX_OP32;
    uint8_t image[28];

    if (!read_block(c, op->b & I386_FX_SEG, c->st->t[0], image, op32 ? 28 : 14))
        return UOP_FAULT;
    set_environment(c, op32, image);
    return UOP_NEXT;
}

int i386_op_fnsave(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    uint8_t image[28 + 80];
    unsigned size = make_environment(st, op->b & I386_FX_OP32, image);

    for (unsigned i = 0; i < 8; i++, size += 10) {
        const struct i386_fpr *r = &st->fpr[((st->fsw >> 11) + i) & 7];
        memcpy(image + size, &r->mantissa, 8);
        memcpy(image + size + 8, &r->exponent, 2);
    }
    if (!write_block(c, op->b & I386_FX_SEG, st->t[0], image, size))
        return UOP_FAULT;
    return i386_op_fninit(u, op);
}

int i386_op_frstor(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    bool op32 = op->b & I386_FX_OP32;
    unsigned at = op32 ? 28 : 14;
    uint8_t image[28 + 80];

    if (!read_block(c, op->b & I386_FX_SEG, st->t[0], image, at + 80))
        return UOP_FAULT;
    set_environment(c, op32, image);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        struct i386_fpr *r = &st->fpr[((st->fsw >> 11) + i) & 7];
        memcpy(&r->mantissa, image + at, 8);
        memcpy(&r->exponent, image + at + 8, 2);
    }
    return UOP_NEXT;
}

/* ---- FXSAVE, FXRSTOR ---- */

#define FXSAVE_SIZE  512

/* Without CR4.OSFXSR the SSE part is neither saved nor restored (SDM 2, FXSAVE: implementation
 * specific; so do the P6 and the Pentium 4). */
static bool with_sse(const struct i386_cpu *c)
{
    return c->model->has_sse && (c->st->cr4 & CR4_OSFXSR);
}

/* Which misalignments are #AC, where that is checked, and which #GP, is left to the processor (SDM 2A, FXSAVE); real ones
 * check 4 bytes. XSAVE's 64 bytes are #GP in any case. */
static int fx_state_available(struct i386_cpu *c, const struct uop *op)
{
    if (!c->model->has_fxsr)
        return i386_raise(c, EXC_UD);
    if (c->st->cr0 & (CR0_EM | CR0_TS))
        return i386_raise(c, EXC_NM);
    if (fx_misaligned(c, op, 4) && i386_alignment_checked(c->st))
        return i386_raise_error(c, EXC_AC, 0);
    if (fx_misaligned(c, op, 16))
        return i386_raise_error(c, EXC_GP, 0);
    return UOP_NEXT;
}

unsigned i386_xmm_bytes(const struct i386_state *st)
{
    return (i386_64bit(st) ? 16u : 8u) * (unsigned)sizeof st->xmm[0];
}

void i386_x87_image(const struct i386_state *st, uint8_t *image, bool wide_pointers)
{
    put_le16(image, st->fcw);
    put_le16(image + 2, st->fsw);
    put_le16(image + 4, st->ftag);
    put_le16(image + 6, st->fop);
    if (wide_pointers) { /* in place of the selectors */
        put_le64(image + 8, st->fip);
        put_le64(image + 16, st->fdp);
    } else {
        put_le32(image + 8, (uint32_t)st->fip);
        put_le32(image + 12, st->fcs);
        put_le32(image + 16, (uint32_t)st->fdp);
        put_le32(image + 20, st->fds);
    }
    for (unsigned i = 0; i < 8; i++) {
        const struct i386_fpr *r = &st->fpr[((st->fsw >> 11) + i) & 7];
        memcpy(image + FXSAVE_ST + 16 * i, &r->mantissa, 8);
        memcpy(image + FXSAVE_ST + 16 * i + 8, &r->exponent, 2);
    }
}

void i386_x87_load(struct i386_cpu *c, const uint8_t *image, bool wide_pointers)
{
    struct i386_state *st = c->st;

    st->fcw = (uint16_t)((get_le16(image) & 0x1f3f) | 0x40);
    st->fsw = get_le16(image + 2);
    st->ftag = image[4];
    st->fop = get_le16(image + 6) & 0x7ff;
    if (wide_pointers) {
        st->fip = get_le64(image + 8);
        st->fdp = get_le64(image + 16);
    } else {
        st->fip = get_le32(image + 8);
        st->fcs = (uint16_t)get_le32(image + 12);
        st->fdp = get_le32(image + 16);
        st->fds = (uint16_t)get_le32(image + 20);
    }
    for (unsigned i = 0; i < 8; i++) {
        struct i386_fpr *r = &st->fpr[((st->fsw >> 11) + i) & 7];
        memcpy(&r->mantissa, image + FXSAVE_ST + 16 * i, 8);
        memcpy(&r->exponent, image + FXSAVE_ST + 16 * i + 8, 2);
    }
    i386_fpu_update_es(c);
}

void i386_x87_init(struct i386_cpu *c)
{
    static const uint8_t image[FXSAVE_XMM] = {FCW_INIT & 0xff, FCW_INIT >> 8};

    i386_x87_load(c, image, false);
    c->st->fip = c->st->fdp = 0;
}

int i386_op_fxsave(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    uint8_t image[FXSAVE_SIZE] = {0};
    uint64_t linear;

    if (fx_state_available(c, op))
        return UOP_FAULT;
    if (!i386_linear(c, op->b & I386_FX_SEG, st->t[0], FXSAVE_SIZE, true, &linear))
        return UOP_FAULT;
    i386_x87_image(st, image, op->b & I386_FX_W);
    if (c->model->has_sse) {
        put_le32(image + FXSAVE_MXCSR, st->mxcsr);
        put_le32(image + FXSAVE_MXCSR + 4, c->model->has_sse2 ? i386_mxcsr_mask(c->model) : 0);
    }
    memcpy(image + FXSAVE_XMM, st->xmm, i386_xmm_bytes(st));
    return write_block(c, op->b & I386_FX_SEG, st->t[0], image, with_sse(c) ? FXSAVE_XMM + i386_xmm_bytes(st) : FXSAVE_XMM)
               ? UOP_NEXT
               : UOP_FAULT;
}

int i386_op_fxrstor(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    uint8_t image[FXSAVE_SIZE];

    if (fx_state_available(c, op))
        return UOP_FAULT;
    if (!read_block(c, op->b & I386_FX_SEG, st->t[0], image, FXSAVE_SIZE))
        return UOP_FAULT;
    if (with_sse(c)) {
        uint32_t mxcsr = get_le32(image + FXSAVE_MXCSR);
        if (mxcsr & ~i386_mxcsr_mask(c->model))
            return i386_raise_error(c, EXC_GP, 0);
        st->mxcsr = mxcsr;
        memcpy(st->xmm, image + FXSAVE_XMM, i386_xmm_bytes(st));
    }
    i386_x87_load(c, image, op->b & I386_FX_W);
    return UOP_NEXT;
}
