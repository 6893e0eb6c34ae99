/*
 * The opcode map of MMX, SSE and SSE2 (SDM 2, appendix A, two-byte opcodes),
 * and the instructions that only move, combine or reorder bits.
 *
 * A row of the map says which CPU generation has the instruction and whether
 * it has a register form, a memory form or both; anything else is #UD, as are
 * SSE3 and later. A mandatory prefix F2 or F3 overrides 66; a prefix for which
 * the map has no row makes the encoding undefined.
 */
#include "i386/sse.h"

int i386_op_sse_unavailable(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return sse_available(i386_of(u));
}

int i386_op_misaligned(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise_error(i386_of(u), EXC_GP, 0);
}

/* ---- moves of whole registers ---- */

#define MOVE(name) static int name(struct ucpu *u, const struct uop *op)

MOVE(mov_load_aligned) /* MOVAPS MOVAPD MOVDQA */
{
    union i386_xmm v;
    ENTER_SSE;

    if (!load_xmm(c, op, &v))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = v;
    return UOP_NEXT;
}

MOVE(mov_load_unaligned) /* MOVUPS MOVUPD MOVDQU */
{
    union i386_xmm v;
    ENTER_SSE;

    if (!load_xmm_unaligned(c, op, &v))
        return UOP_FAULT;
    st->xmm[op_reg(op)] = v;
    return UOP_NEXT;
}

MOVE(mov_store_aligned) /* and MOVNTPS MOVNTPD MOVNTDQ */
{
    ENTER_SSE;
    if (is_mem(op))
        return store_aligned(c, op, &st->xmm[op_reg(op)]) ? UOP_NEXT : UOP_FAULT;
    st->xmm[op_rm(op)] = st->xmm[op_reg(op)];
    return UOP_NEXT;
}

MOVE(mov_store_unaligned)
{
    ENTER_SSE;
    if (is_mem(op))
        return fx_write(c, op, &st->xmm[op_reg(op)], 16) ? UOP_NEXT : UOP_FAULT;
    st->xmm[op_rm(op)] = st->xmm[op_reg(op)];
    return UOP_NEXT;
}

/* ---- moves of parts ---- */

MOVE(movss_load)
{
    uint32_t v;
    ENTER_SSE;

    if (!load_xmm32(c, op, &v))
        return UOP_FAULT;
    if (is_mem(op))
        st->xmm[op_reg(op)] = (union i386_xmm){.q = {v, 0}};
    else
        st->xmm[op_reg(op)].l[0] = v;
    return UOP_NEXT;
}

MOVE(movss_store)
{
    ENTER_SSE;
    if (is_mem(op))
        return fx_write(c, op, &st->xmm[op_reg(op)].l[0], 4) ? UOP_NEXT : UOP_FAULT;
    st->xmm[op_rm(op)].l[0] = st->xmm[op_reg(op)].l[0];
    return UOP_NEXT;
}

MOVE(movsd_load)
{
    uint64_t v;
    ENTER_SSE;

    if (!load_xmm64(c, op, &v))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[0] = v;
    if (is_mem(op))
        st->xmm[op_reg(op)].q[1] = 0;
    return UOP_NEXT;
}

MOVE(movsd_store)
{
    ENTER_SSE;
    if (is_mem(op))
        return fx_write(c, op, &st->xmm[op_reg(op)].q[0], 8) ? UOP_NEXT : UOP_FAULT;
    st->xmm[op_rm(op)].q[0] = st->xmm[op_reg(op)].q[0];
    return UOP_NEXT;
}

/* MOVLPS MOVLPD from memory; MOVHLPS between registers. */
MOVE(mov_low_load)
{
    uint64_t v;
    ENTER_SSE;

    v = st->xmm[op_rm(op)].q[1];
    if (is_mem(op) && !fx_read(c, op, &v, 8))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[0] = v;
    return UOP_NEXT;
}

/* MOVHPS MOVHPD from memory; MOVLHPS between registers. */
MOVE(mov_high_load)
{
    uint64_t v;
    ENTER_SSE;

    v = st->xmm[op_rm(op)].q[0];
    if (is_mem(op) && !fx_read(c, op, &v, 8))
        return UOP_FAULT;
    st->xmm[op_reg(op)].q[1] = v;
    return UOP_NEXT;
}

MOVE(mov_low_store)
{
    ENTER_SSE;
    return fx_write(c, op, &st->xmm[op_reg(op)].q[0], 8) ? UOP_NEXT : UOP_FAULT;
}

MOVE(mov_high_store)
{
    ENTER_SSE;
    return fx_write(c, op, &st->xmm[op_reg(op)].q[1], 8) ? UOP_NEXT : UOP_FAULT;
}

MOVE(movnti) /* a store of a general register: needs no SSE state */
{
    struct i386_cpu *c = i386_of(u);

    return fx_write(c, op, &c->st->gpr[op_reg(op)], is_wide(op) ? 8 : 4) ? UOP_NEXT : UOP_FAULT;
}

MOVE(movmskps)
{
    uint32_t mask = 0;
    ENTER_SSE;

    for (unsigned i = 0; i < 4; i++)
        mask |= st->xmm[op_rm(op)].l[i] >> 31 << i;
    st->gpr[op_reg(op)] = mask;
    return UOP_NEXT;
}

MOVE(movmskpd)
{
    ENTER_SSE;
    const union i386_xmm *x = &st->xmm[op_rm(op)];

    st->gpr[op_reg(op)] = (uint32_t)(x->q[0] >> 63 | x->q[1] >> 63 << 1);
    return UOP_NEXT;
}

/* ---- logic and shuffles ---- */

#define BITWISE(name, expression) \
    MOVE(name) \
    { \
        union i386_xmm b; \
        ENTER_SSE; \
        if (!load_xmm(c, op, &b)) \
            return UOP_FAULT; \
        for (unsigned i = 0; i < 2; i++) { \
            const uint64_t x = st->xmm[op_reg(op)].q[i], y = b.q[i]; \
            st->xmm[op_reg(op)].q[i] = (expression); \
        } \
        return UOP_NEXT; \
    }
BITWISE(andp, x & y)
BITWISE(andnp, ~x & y)
BITWISE(orp, x | y)
BITWISE(xorp, x ^ y)

/* From a (the destination) and b (the operand). */
#define REORDER(name, ...) \
    MOVE(name) \
    { \
        union i386_xmm a, b; \
        ENTER_SSE; \
        if (!load_xmm(c, op, &b)) \
            return UOP_FAULT; \
        a = st->xmm[op_reg(op)]; \
        st->xmm[op_reg(op)] = (union i386_xmm){__VA_ARGS__}; \
        return UOP_NEXT; \
    }
REORDER(unpcklps, .l = {a.l[0], b.l[0], a.l[1], b.l[1]})
REORDER(unpckhps, .l = {a.l[2], b.l[2], a.l[3], b.l[3]})
REORDER(unpcklpd, .q = {a.q[0], b.q[0]})
REORDER(unpckhpd, .q = {a.q[1], b.q[1]})

/* ---- MXCSR, fences, cache control (group 15) ---- */

MOVE(ldmxcsr)
{
    uint32_t v;
    ENTER_SSE;

    if (!fx_read(c, op, &v, 4))
        return UOP_FAULT;
    if (v & ~i386_mxcsr_mask(c->model))
        return i386_raise_error(c, EXC_GP, 0);
    st->mxcsr = v;
    return UOP_NEXT;
}

MOVE(stmxcsr)
{
    ENTER_SSE;
    return fx_write(c, op, &st->mxcsr, 4) ? UOP_NEXT : UOP_FAULT;
}

MOVE(fence) /* accesses happen in order */
{
    (void)u;
    (void)op;
    return UOP_NEXT;
}

MOVE(clflush) /* there are no caches, but the access is checked as a read */
{
    struct i386_cpu *c = i386_of(u);
    uint64_t linear;

    if (!i386_linear(c, op->b & I386_FX_SEG, c->st->t[0], 1, false, &linear) ||
        !ucpu_probe(u, u->tlb_mode, linear, 1, ACCESS_READ))
        return UOP_FAULT;
    return UOP_NEXT;
}

MOVE(undefined)
{
    (void)op;
    return i386_raise(i386_of(u), EXC_UD);
}

/* ---- the map ---- */

enum feature { MMX = 1, SSE, SSE2, FXSR };
enum form { BOTH, MEM, REG };
enum { PLAIN, P66, PF3, PF2 };

struct row {
    i386_helper *handler;
    uint8_t feature; /* enum feature; 0: undefined */
    uint8_t form;    /* enum form */
};

/* An integer instruction of MMX, or of SSE's or SSE2's extension of it, with its XMM form. */
#define INTEGER(opcode, name, since) \
    [opcode] = {[PLAIN] = {name##_mm, since, BOTH}, [P66] = {name##_xmm, SSE2, BOTH}}
/* Floating point: PS, PD, SS, SD. */
#define FLOAT4(opcode) \
    [opcode] = {{sse_operation, SSE, BOTH}, {sse_operation, SSE2, BOTH}, {sse_operation, SSE, BOTH}, \
                {sse_operation, SSE2, BOTH}}
#define PS_PD(opcode, ps, pd, form) [opcode] = {{ps, SSE, form}, {pd, SSE2, form}}

static const struct row map[256][4] = {
    [0x10] = {{mov_load_unaligned, SSE, BOTH}, {mov_load_unaligned, SSE2, BOTH}, {movss_load, SSE, BOTH},
              {movsd_load, SSE2, BOTH}},
    [0x11] = {{mov_store_unaligned, SSE, BOTH}, {mov_store_unaligned, SSE2, BOTH}, {movss_store, SSE, BOTH},
              {movsd_store, SSE2, BOTH}},
    [0x12] = {{mov_low_load, SSE, BOTH}, {mov_low_load, SSE2, MEM}},
    PS_PD(0x13, mov_low_store, mov_low_store, MEM),
    PS_PD(0x14, unpcklps, unpcklpd, BOTH),
    PS_PD(0x15, unpckhps, unpckhpd, BOTH),
    [0x16] = {{mov_high_load, SSE, BOTH}, {mov_high_load, SSE2, MEM}},
    PS_PD(0x17, mov_high_store, mov_high_store, MEM),
    PS_PD(0x28, mov_load_aligned, mov_load_aligned, BOTH),
    PS_PD(0x29, mov_store_aligned, mov_store_aligned, BOTH),
    [0x2a] = {{cvtpi2ps, SSE, BOTH}, {cvtpi2pd, SSE2, BOTH}, {sse_operation, SSE, BOTH}, {sse_operation, SSE2, BOTH}},
    PS_PD(0x2b, mov_store_aligned, mov_store_aligned, MEM),
    [0x2c] = {{cvttps2pi, SSE, BOTH}, {cvttpd2pi, SSE2, BOTH}, {sse_operation, SSE, BOTH}, {sse_operation, SSE2, BOTH}},
    [0x2d] = {{cvtps2pi, SSE, BOTH}, {cvtpd2pi, SSE2, BOTH}, {sse_operation, SSE, BOTH}, {sse_operation, SSE2, BOTH}},
    PS_PD(0x2e, sse_operation, sse_operation, BOTH),
    PS_PD(0x2f, sse_operation, sse_operation, BOTH),
    PS_PD(0x50, movmskps, movmskpd, REG),
    FLOAT4(0x51),
    [0x52] = {[PLAIN] = {rsqrtps, SSE, BOTH}, [PF3] = {rsqrtss, SSE, BOTH}},
    [0x53] = {[PLAIN] = {rcpps, SSE, BOTH}, [PF3] = {rcpss, SSE, BOTH}},
    PS_PD(0x54, andp, andp, BOTH),
    PS_PD(0x55, andnp, andnp, BOTH),
    PS_PD(0x56, orp, orp, BOTH),
    PS_PD(0x57, xorp, xorp, BOTH),
    FLOAT4(0x58),
    FLOAT4(0x59),
    [0x5a] = {{sse_operation, SSE2, BOTH}, {sse_operation, SSE2, BOTH}, {sse_operation, SSE2, BOTH}, {sse_operation, SSE2, BOTH}},
    [0x5b] = {{sse_operation, SSE2, BOTH}, {sse_operation, SSE2, BOTH}, {sse_operation, SSE2, BOTH}},
    FLOAT4(0x5c),
    FLOAT4(0x5d),
    FLOAT4(0x5e),
    FLOAT4(0x5f),
    INTEGER(0x60, punpcklbw, MMX),
    INTEGER(0x61, punpcklwd, MMX),
    INTEGER(0x62, punpckldq, MMX),
    INTEGER(0x63, packsswb, MMX),
    INTEGER(0x64, pcmpgtb, MMX),
    INTEGER(0x65, pcmpgtw, MMX),
    INTEGER(0x66, pcmpgtd, MMX),
    INTEGER(0x67, packuswb, MMX),
    INTEGER(0x68, punpckhbw, MMX),
    INTEGER(0x69, punpckhwd, MMX),
    INTEGER(0x6a, punpckhdq, MMX),
    INTEGER(0x6b, packssdw, MMX),
    [0x6c] = {[P66] = {punpcklqdq_xmm, SSE2, BOTH}},
    [0x6d] = {[P66] = {punpckhqdq_xmm, SSE2, BOTH}},
    [0x6e] = {[PLAIN] = {movd_to_mm, MMX, BOTH}, [P66] = {movd_to_xmm, SSE2, BOTH}},
    [0x6f] = {{movq_to_mm, MMX, BOTH}, {mov_load_aligned, SSE2, BOTH}, {mov_load_unaligned, SSE2, BOTH}},
    [0x70] = {{pshufw, SSE, BOTH}, {pshufd, SSE2, BOTH}, {pshufhw, SSE2, BOTH}, {pshuflw, SSE2, BOTH}},
    [0x71] = {[PLAIN] = {shift_words_mm, MMX, REG}, [P66] = {shift_words_xmm, SSE2, REG}},
    [0x72] = {[PLAIN] = {shift_dwords_mm, MMX, REG}, [P66] = {shift_dwords_xmm, SSE2, REG}},
    [0x73] = {[PLAIN] = {shift_qwords_mm, MMX, REG}, [P66] = {shift_qwords_xmm, SSE2, REG}},
    INTEGER(0x74, pcmpeqb, MMX),
    INTEGER(0x75, pcmpeqw, MMX),
    INTEGER(0x76, pcmpeqd, MMX),
    [0x77] = {[PLAIN] = {emms, MMX, BOTH}},
    [0x7e] = {{movd_from_mm, MMX, BOTH}, {movd_from_xmm, SSE2, BOTH}, {movq_to_xmm, SSE2, BOTH}},
    [0x7f] = {{movq_from_mm, MMX, BOTH}, {mov_store_aligned, SSE2, BOTH}, {mov_store_unaligned, SSE2, BOTH}},
    FLOAT4(0xc2),
    [0xc3] = {[PLAIN] = {movnti, SSE2, MEM}},
    INTEGER(0xc4, pinsrw, SSE),
    [0xc5] = {[PLAIN] = {pextrw_mm, SSE, REG}, [P66] = {pextrw_xmm, SSE2, REG}},
    PS_PD(0xc6, sse_operation, sse_operation, BOTH),
    INTEGER(0xd1, psrlw, MMX),
    INTEGER(0xd2, psrld, MMX),
    INTEGER(0xd3, psrlq, MMX),
    INTEGER(0xd4, paddq, SSE2),
    INTEGER(0xd5, pmullw, MMX),
    [0xd6] = {[P66] = {movq_from_xmm, SSE2, BOTH}, [PF3] = {movq2dq, SSE2, REG}, [PF2] = {movdq2q, SSE2, REG}},
    [0xd7] = {[PLAIN] = {pmovmskb_mm, SSE, REG}, [P66] = {pmovmskb_xmm, SSE2, REG}},
    INTEGER(0xd8, psubusb, MMX),
    INTEGER(0xd9, psubusw, MMX),
    INTEGER(0xda, pminub, SSE),
    INTEGER(0xdb, pand, MMX),
    INTEGER(0xdc, paddusb, MMX),
    INTEGER(0xdd, paddusw, MMX),
    INTEGER(0xde, pmaxub, SSE),
    INTEGER(0xdf, pandn, MMX),
    INTEGER(0xe0, pavgb, SSE),
    INTEGER(0xe1, psraw, MMX),
    INTEGER(0xe2, psrad, MMX),
    INTEGER(0xe3, pavgw, SSE),
    INTEGER(0xe4, pmulhuw, SSE),
    INTEGER(0xe5, pmulhw, MMX),
    [0xe6] = {[P66] = {sse_operation, SSE2, BOTH}, [PF3] = {sse_operation, SSE2, BOTH}, [PF2] = {sse_operation, SSE2, BOTH}},
    [0xe7] = {[PLAIN] = {movntq, SSE, MEM}, [P66] = {mov_store_aligned, SSE2, MEM}},
    INTEGER(0xe8, psubsb, MMX),
    INTEGER(0xe9, psubsw, MMX),
    INTEGER(0xea, pminsw, SSE),
    INTEGER(0xeb, por, MMX),
    INTEGER(0xec, paddsb, MMX),
    INTEGER(0xed, paddsw, MMX),
    INTEGER(0xee, pmaxsw, SSE),
    INTEGER(0xef, pxor, MMX),
    INTEGER(0xf1, psllw, MMX),
    INTEGER(0xf2, pslld, MMX),
    INTEGER(0xf3, psllq, MMX),
    INTEGER(0xf4, pmuludq, SSE2),
    INTEGER(0xf5, pmaddwd, MMX),
    INTEGER(0xf6, psadbw, SSE),
    [0xf7] = {[PLAIN] = {maskmovq, SSE, REG}, [P66] = {maskmovdqu, SSE2, REG}},
    INTEGER(0xf8, psubb, MMX),
    INTEGER(0xf9, psubw, MMX),
    INTEGER(0xfa, psubd, MMX),
    INTEGER(0xfb, psubq, SSE2),
    INTEGER(0xfc, paddb, MMX),
    INTEGER(0xfd, paddw, MMX),
    INTEGER(0xfe, paddd, MMX),
};

/* 0F AE, by the reg field; [0] memory forms, [1] register forms */
static const struct row group15[2][8] = {
    {{i386_op_fxsave, FXSR, MEM}, {i386_op_fxrstor, FXSR, MEM}, {ldmxcsr, SSE, MEM}, {stmxcsr, SSE, MEM},
     {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {clflush, SSE2, MEM}},
    {{NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0},
     {NULL, 0, 0}, {fence, SSE2, REG}, {fence, SSE2, REG}, {fence, SSE, REG}},
};

#define CPUID_MMX (1u << 23)

static bool has_feature(const struct i386_model *m, unsigned feature)
{
    switch (feature) {
    case MMX:  return (m->features_edx & CPUID_MMX) != 0;
    case SSE:  return m->has_sse;
    case SSE2: return m->has_sse2;
    case FXSR: return m->has_fxsr;
    default:   return false;
    }
}

i386_helper *i386_simd_handler(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    unsigned prefix = fx & I386_FX_F3 ? PF3 : fx & I386_FX_F2 ? PF2 : fx & I386_FX_66 ? P66 : PLAIN;
    bool mem = fx & I386_FX_MEM;
    const struct row *row = &map[opcode & 0xff][prefix];

    if ((opcode & 0xff) == 0xae) {
        if (prefix == PF2 || prefix == PF3)
            return undefined;
        row = &group15[!mem][modrm >> 3 & 7];
    }
    if (!has_feature(model, row->feature) || (row->form == MEM && !mem) || (row->form == REG && mem))
        return undefined;
    return row->handler;
}

int i386_simd(struct ucpu *u, const struct uop *op)
{
    return i386_simd_handler(i386_of(u)->model, op->d, op->a, op->b)(u, op);
}
