/*
 * Inside the MMX and SSE files: operands, availability, and the handlers that
 * the opcode map in sse.c gathers from mmx.c and sse_float.c.
 */
#ifndef HINDCAST_I386_SSE_H
#define HINDCAST_I386_SSE_H

#include "i386/fpu.h"

#define SIMD(name) int name(struct ucpu *u, const struct uop *op)
#define INLINE static inline __attribute__((always_inline))

/* ---- availability (SDM 3A, tables 11-1 and 13-1) ---- */

/* Instructions on MMX registers. */
INLINE int mmx_available(struct i386_cpu *c)
{
    if (unlikely(c->st->cr0 & (CR0_EM | CR0_TS)))
        return i386_raise(c, c->st->cr0 & CR0_EM ? EXC_UD : EXC_NM);
    if (unlikely(c->st->fsw & FSW_ES))
        return i386_fpu_pending(c);
    return UOP_NEXT;
}

/* Instructions on XMM registers and MXCSR. */
INLINE int sse_available(struct i386_cpu *c)
{
    if (unlikely((c->st->cr0 & CR0_EM) || !(c->st->cr4 & CR4_OSFXSR)))
        return i386_raise(c, EXC_UD);
    if (unlikely(c->st->cr0 & CR0_TS))
        return i386_raise(c, EXC_NM);
    return UOP_NEXT;
}

/* Instructions on both. */
INLINE int sse_mmx_available(struct i386_cpu *c)
{
    if (sse_available(c))
        return UOP_FAULT;
    if (unlikely(c->st->fsw & FSW_ES))
        return i386_fpu_pending(c);
    return UOP_NEXT;
}

#define ENTER_WITH(available) \
    struct i386_cpu *c = i386_of(u); \
    struct i386_state *st = c->st; \
    if (available(c)) \
        return UOP_FAULT; \
    (void)st; \
    (void)op
#define ENTER_MMX     ENTER_WITH(mmx_available)
#define ENTER_SSE     ENTER_WITH(sse_available)
#define ENTER_SSE_MMX ENTER_WITH(sse_mmx_available)

/* ---- operands ---- */

/* Register numbers, bit 3 from REX (lower.h); MMX registers go without. */
INLINE unsigned op_reg(const struct uop *op)
{
    return (op->a >> 3 & 7) | (op->a & I386_FX_REX_R ? 8u : 0);
}

INLINE unsigned op_rm(const struct uop *op)
{
    return (op->a & 7) | (op->a & I386_FX_REX_B ? 8u : 0);
}

INLINE bool is_mem(const struct uop *op)
{
    return op->b & I386_FX_MEM;
}

INLINE unsigned op_imm8(const struct i386_state *st)
{
    return st->t[1] & 0xff;
}

/* Every MMX instruction but EMMS leaves TOP 0 and all registers in use (SDM 1, 9.5.1). */
INLINE void to_mmx_state(struct i386_state *st)
{
    st->fsw &= (uint16_t)~FSW_TOP;
    st->ftag = 0xff;
}

INLINE void put_mm(struct i386_state *st, unsigned i, uint64_t v)
{
    to_mmx_state(st);
    st->fpr[i & 7].mantissa = v;
    st->fpr[i & 7].exponent = 0xffff;
}

/* The r/m operand. False: fault pending. */
INLINE bool load_mm(struct i386_cpu *c, const struct uop *op, uint64_t *v)
{
    if (is_mem(op))
        return fx_read(c, op, v, 8);
    *v = c->st->fpr[op_rm(op) & 7].mantissa;
    return true;
}

/* As load_mm, of which only the low half is used. */
INLINE bool load_mm_low(struct i386_cpu *c, const struct uop *op, uint64_t *v)
{
    *v = 0;
    if (is_mem(op))
        return fx_read(c, op, v, 4);
    *v = c->st->fpr[op_rm(op) & 7].mantissa;
    return true;
}

INLINE bool load_xmm(struct i386_cpu *c, const struct uop *op, union i386_xmm *v)
{
    if (is_mem(op)) {
        if (unlikely(fx_misaligned(c, op, 16))) {
            i386_raise_error(c, EXC_GP, 0);
            return false;
        }
        return fx_read(c, op, v, 16);
    }
    *v = c->st->xmm[op_rm(op)];
    return true;
}

INLINE bool load_xmm64(struct i386_cpu *c, const struct uop *op, uint64_t *v)
{
    if (is_mem(op))
        return fx_read(c, op, v, 8);
    *v = c->st->xmm[op_rm(op)].q[0];
    return true;
}

INLINE bool is_wide(const struct uop *op)
{
    return op->b & I386_FX_W;
}

/* A general register or memory: 32 bits, zero-extended, or with REX.W 64. */
INLINE bool load_gpr(struct i386_cpu *c, const struct uop *op, uint64_t *v)
{
    *v = 0;
    if (is_mem(op))
        return fx_read(c, op, v, is_wide(op) ? 8 : 4);
    *v = is_wide(op) ? c->st->gpr[op_rm(op)] : (uint32_t)c->st->gpr[op_rm(op)];
    return true;
}

/* ---- handlers ---- */

/* mmx.c, on MMX registers */
#define FOR_EACH_PACKED_INTEGER(X) \
    X(punpcklbw) X(punpcklwd) X(punpckldq) X(packsswb) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd) X(packuswb) \
    X(punpckhbw) X(punpckhwd) X(punpckhdq) X(packssdw) X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) \
    X(psrlw) X(psrld) X(psrlq) X(paddq) X(pmullw) X(psubusb) X(psubusw) X(pminub) X(pand) X(paddusb) \
    X(paddusw) X(pmaxub) X(pandn) X(pavgb) X(psraw) X(psrad) X(pavgw) X(pmulhuw) X(pmulhw) X(psubsb) \
    X(psubsw) X(pminsw) X(por) X(paddsb) X(paddsw) X(pmaxsw) X(pxor) X(psllw) X(pslld) X(psllq) \
    X(pmuludq) X(pmaddwd) X(psadbw) X(psubb) X(psubw) X(psubd) X(psubq) X(paddb) X(paddw) X(paddd)
#define FOR_EACH_SSSE3(X) \
    X(pshufb) X(phaddw) X(phaddd) X(phaddsw) X(pmaddubsw) X(phsubw) X(phsubd) X(phsubsw) X(psignb) X(psignw) X(psignd) \
    X(pmulhrsw) X(pabsb) X(pabsw) X(pabsd) X(palignr)
#define DECLARE_INTEGER(name) i386_helper name##_mm;
FOR_EACH_PACKED_INTEGER(DECLARE_INTEGER)
FOR_EACH_SSSE3(DECLARE_INTEGER)
i386_helper shift_words_mm, shift_dwords_mm, shift_qwords_mm, movd_to_mm, movd_from_mm, movq_to_mm, movq_from_mm;
i386_helper movq2dq, movdq2q, emms, movntq, maskmovq, pshufw, pinsrw_mm, pextrw_mm, pmovmskb_mm;

/* Of 0F 71-73 on MMX registers the reg fields that are shifts. */
static inline bool i386_mmx_shift_exists(unsigned opcode, unsigned digit)
{
    return digit == 2 || digit == 6 || (digit == 4 && opcode != 0x73);
}

/* sse_float.c: conversions of MMX registers. */
i386_helper cvtpi2ps, cvtpi2pd, cvttps2pi, cvttpd2pi, cvtps2pi, cvtpd2pi;

#endif
