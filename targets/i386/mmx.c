/*
 * Packed integers: MMX, the instructions of SSE, SSE2 and SSSE3 on MMX registers, and what of them on XMM
 * registers is no micro-op of its own (SDM 1, chapters 9 to 12; SDM 2).
 *
 * Most instructions work on 64 bits at a time, whatever the register: a kernel
 * from two 64-bit values to one serves both register files. An instruction on
 * an MMX register moves the x87 into MMX state when it completes.
 *
 * To add one: a kernel, PACKED(name), its name in sse.h and a row in sse.c; VECTOR_OF(name) makes of it what a row
 * in simd_map.c wants.
 */
#include "i386/protect.h"
#include "i386/sse.h"
#include "i386/vector.h"

union lanes {
    uint64_t q;
    uint32_t l[2];
    int32_t sl[2];
    uint16_t w[4];
    int16_t sw[4];
    uint8_t b[8];
    int8_t sb[8];
};

/* ---- kernels ---- */

INLINE int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* r.<lane>[i] = expression over x, y (lanes of the operands, as int), for each of n lanes */
#define KERNEL(name, lane, n, expression) \
    INLINE uint64_t name##_kernel(uint64_t qa, uint64_t qb) \
    { \
        const union lanes a = {.q = qa}, b = {.q = qb}; \
        union lanes r; \
        for (unsigned i = 0; i < (n); i++) { \
            const __typeof__(+a.lane[0]) x = a.lane[i], y = b.lane[i]; \
            r.lane[i] = (__typeof__(r.lane[0]))(expression); \
        } \
        return r.q; \
    }

KERNEL(paddb, b, 8, x + y)
KERNEL(paddw, w, 4, x + y)
KERNEL(paddd, l, 2, x + y)
KERNEL(psubb, b, 8, x - y)
KERNEL(psubw, w, 4, x - y)
KERNEL(psubd, l, 2, x - y)
KERNEL(paddsb, sb, 8, clamp(x + y, INT8_MIN, INT8_MAX))
KERNEL(paddsw, sw, 4, clamp(x + y, INT16_MIN, INT16_MAX))
KERNEL(psubsb, sb, 8, clamp(x - y, INT8_MIN, INT8_MAX))
KERNEL(psubsw, sw, 4, clamp(x - y, INT16_MIN, INT16_MAX))
KERNEL(paddusb, b, 8, clamp(x + y, 0, UINT8_MAX))
KERNEL(paddusw, w, 4, clamp(x + y, 0, UINT16_MAX))
KERNEL(psubusb, b, 8, clamp(x - y, 0, UINT8_MAX))
KERNEL(psubusw, w, 4, clamp(x - y, 0, UINT16_MAX))
KERNEL(pcmpeqb, b, 8, -(x == y))
KERNEL(pcmpeqw, w, 4, -(x == y))
KERNEL(pcmpeqd, l, 2, -(x == y))
KERNEL(pcmpgtb, sb, 8, -(x > y))
KERNEL(pcmpgtw, sw, 4, -(x > y))
KERNEL(pcmpgtd, sl, 2, -(x > y))
KERNEL(pminub, b, 8, x < y ? x : y)
KERNEL(pmaxub, b, 8, x > y ? x : y)
KERNEL(pminsw, sw, 4, x < y ? x : y)
KERNEL(pmaxsw, sw, 4, x > y ? x : y)
KERNEL(pavgb, b, 8, (x + y + 1) >> 1)
KERNEL(pavgw, w, 4, (x + y + 1) >> 1)
KERNEL(pmullw, sw, 4, x * y)
KERNEL(pmulhw, sw, 4, (x * y) >> 16)
KERNEL(pmulhuw, w, 4, ((uint32_t)x * (uint32_t)y) >> 16)

#define SIMPLE_KERNEL(name, expression) \
    INLINE uint64_t name##_kernel(uint64_t x, uint64_t y) \
    { \
        return (expression); \
    }
SIMPLE_KERNEL(pand, x & y)
SIMPLE_KERNEL(pandn, ~x & y)
SIMPLE_KERNEL(por, x | y)
SIMPLE_KERNEL(pxor, x ^ y)
SIMPLE_KERNEL(paddq, x + y)
SIMPLE_KERNEL(psubq, x - y)
SIMPLE_KERNEL(pmuludq, (x & UINT32_MAX) * (y & UINT32_MAX))

INLINE uint64_t pmaddwd_kernel(uint64_t qa, uint64_t qb)
{
    const union lanes a = {.q = qa}, b = {.q = qb};
    union lanes r;

    for (unsigned i = 0; i < 2; i++)
        r.l[i] = (uint32_t)(a.sw[2 * i] * b.sw[2 * i]) + (uint32_t)(a.sw[2 * i + 1] * b.sw[2 * i + 1]);
    return r.q;
}

INLINE uint64_t psadbw_kernel(uint64_t qa, uint64_t qb)
{
    const union lanes a = {.q = qa}, b = {.q = qb};
    unsigned sum = 0;

    for (unsigned i = 0; i < 8; i++)
        sum += (unsigned)(a.b[i] > b.b[i] ? a.b[i] - b.b[i] : b.b[i] - a.b[i]);
    return sum;
}

/* Shifts: y is the count; counts of the lane's width and more clear it, or fill it with the sign. */
#define SHIFT_KERNEL(name, lane, n, bits, expression) \
    INLINE uint64_t name##_kernel(uint64_t qa, uint64_t y) \
    { \
        const union lanes a = {.q = qa}; \
        union lanes r; \
        for (unsigned i = 0; i < (n); i++) { \
            const __typeof__(a.lane[0]) x = a.lane[i]; \
            r.lane[i] = (__typeof__(r.lane[0]))(expression); \
        } \
        return r.q; \
    }
SHIFT_KERNEL(psrlw, w, 4, 16, y > 15 ? 0 : x >> y)
SHIFT_KERNEL(psrld, l, 2, 32, y > 31 ? 0 : x >> y)
SHIFT_KERNEL(psllw, w, 4, 16, y > 15 ? 0 : x << y)
SHIFT_KERNEL(pslld, l, 2, 32, y > 31 ? 0 : x << y)
SHIFT_KERNEL(psraw, sw, 4, 16, x >> (y > 15 ? 15 : y))
SHIFT_KERNEL(psrad, sl, 2, 32, x >> (y > 31 ? 31 : y))
SIMPLE_KERNEL(psrlq, y > 63 ? 0 : x >> y)
SIMPLE_KERNEL(psllq, y > 63 ? 0 : x << y)

/* ---- instructions made of a kernel ---- */

#define PACKED(name) \
    SIMD(name##_mm) \
    { \
        uint64_t b; \
        ENTER_MMX; \
        if (!load_mm(c, op, &b)) \
            return UOP_FAULT; \
        put_mm(st, op_reg(op), name##_kernel(st->fpr[op_reg(op) & 7].mantissa, b)); \
        return UOP_NEXT; \
    }
PACKED(paddb)
PACKED(paddw)
PACKED(paddd)
PACKED(paddq)
PACKED(psubb)
PACKED(psubw)
PACKED(psubd)
PACKED(psubq)
PACKED(paddsb)
PACKED(paddsw)
PACKED(psubsb)
PACKED(psubsw)
PACKED(paddusb)
PACKED(paddusw)
PACKED(psubusb)
PACKED(psubusw)
PACKED(pcmpeqb)
PACKED(pcmpeqw)
PACKED(pcmpeqd)
PACKED(pcmpgtb)
PACKED(pcmpgtw)
PACKED(pcmpgtd)
PACKED(pminub)
PACKED(pmaxub)
PACKED(pminsw)
PACKED(pmaxsw)
PACKED(pavgb)
PACKED(pavgw)
PACKED(pmullw)
PACKED(pmulhw)
PACKED(pmulhuw)
PACKED(pmuludq)
PACKED(pmaddwd)
PACKED(psadbw)
PACKED(pand)
PACKED(pandn)
PACKED(por)
PACKED(pxor)

PACKED(psrlw)
PACKED(psrld)
PACKED(psrlq)
PACKED(psllw)
PACKED(pslld)
PACKED(psllq)
PACKED(psraw)
PACKED(psrad)

/* On 128 bits; `upper`: the operand of the upper half. */
#define VECTOR_OF_HALVES(name, upper) \
    VECTOR_FUNCTION(name) \
    { \
        r->q[0] = name##_kernel(a->q[0], b->q[0]); \
        r->q[1] = name##_kernel(a->q[1], (upper)); \
    }
#define VECTOR_OF(name) VECTOR_OF_HALVES(name, b->q[1])
VECTOR_OF(psubusb)
VECTOR_OF(psubusw)
VECTOR_OF(paddusb)
VECTOR_OF(paddusw)
VECTOR_OF(pavgb)
VECTOR_OF(pavgw)
VECTOR_OF(pmulhuw)
VECTOR_OF(pmulhw)
VECTOR_OF(psubsb)
VECTOR_OF(psubsw)
VECTOR_OF(paddsb)
VECTOR_OF(paddsw)
VECTOR_OF(pmuludq)
VECTOR_OF(pmaddwd)
VECTOR_OF(psadbw)

/* The count is the low 64 bits of the operand. */
#define VECTOR_OF_SHIFT(name) VECTOR_OF_HALVES(name, b->q[0])
VECTOR_OF_SHIFT(psrlw)
VECTOR_OF_SHIFT(psrld)
VECTOR_OF_SHIFT(psrlq)
VECTOR_OF_SHIFT(psllw)
VECTOR_OF_SHIFT(pslld)
VECTOR_OF_SHIFT(psllq)
VECTOR_OF_SHIFT(psraw)
VECTOR_OF_SHIFT(psrad)

/* Groups 12 to 14 (71-73): shift r/m by imm8; the reg field says how. */
enum { SHIFT_RIGHT = 2, SHIFT_BYTES_RIGHT = 3, SHIFT_ARITHMETIC = 4, SHIFT_LEFT = 6, SHIFT_BYTES_LEFT = 7 };

#define SHIFT_LANES(name, right, arithmetic, left) \
    INLINE bool name##_lanes(unsigned how, unsigned count, uint64_t *q) \
    { \
        switch (how) { \
        case SHIFT_RIGHT: *q = right##_kernel(*q, count); return true; \
        case SHIFT_LEFT: *q = left##_kernel(*q, count); return true; \
        case SHIFT_ARITHMETIC: *q = arithmetic##_kernel(*q, count); return true; \
        default: return false; \
        } \
    }
SHIFT_LANES(shift_words, psrlw, psraw, psllw)
SHIFT_LANES(shift_dwords, psrld, psrad, pslld)

INLINE bool shift_qwords_lanes(unsigned how, unsigned count, uint64_t *q)
{
    if (how == SHIFT_RIGHT)
        *q = psrlq_kernel(*q, count);
    else if (how == SHIFT_LEFT)
        *q = psllq_kernel(*q, count);
    else
        return false;
    return true;
}

#define SHIFT_GROUP_MM(name) \
    SIMD(name##_mm) \
    { \
        uint64_t q = i386_of(u)->st->fpr[op_rm(op) & 7].mantissa; \
        if (is_mem(op) || !name##_lanes(op_reg(op) & 7, op_imm8(i386_of(u)->st), &q)) \
            return i386_raise(i386_of(u), EXC_UD); /* before what the state of the FPU calls for */ \
        ENTER_MMX; \
        put_mm(st, op_rm(op), q); \
        return UOP_NEXT; \
    }
SHIFT_GROUP_MM(shift_words)
SHIFT_GROUP_MM(shift_dwords)
SHIFT_GROUP_MM(shift_qwords)

/* imm8: the count, and above it what the reg field says, which exists. */
#define SHIFT_GROUP_VECTOR(name) \
    VECTOR_FUNCTION(name) \
    { \
        *r = *b; \
        name##_lanes(imm8 >> 8, imm8 & 0xff, &r->q[0]); \
        name##_lanes(imm8 >> 8, imm8 & 0xff, &r->q[1]); \
    }
SHIFT_GROUP_VECTOR(shift_words)
SHIFT_GROUP_VECTOR(shift_dwords)

VECTOR_FUNCTION(shift_qwords)
{
    unsigned how = imm8 >> 8, n = (imm8 & 0xff) > 16 ? 16 : imm8 & 0xff;

    if (how != SHIFT_BYTES_RIGHT && how != SHIFT_BYTES_LEFT) {
        *r = *b;
        shift_qwords_lanes(how, imm8 & 0xff, &r->q[0]);
        shift_qwords_lanes(how, imm8 & 0xff, &r->q[1]);
        return;
    }
    *r = (union i386_xmm){.q = {0, 0}};
    for (unsigned i = n; i < 16; i++)
        if (how == SHIFT_BYTES_RIGHT)
            r->b[i - n] = b->b[i];
        else
            r->b[i] = b->b[i - n];
}

/* ---- interleaving and packing: on registers of n bytes ---- */

INLINE union i386_xmm from_mm(uint64_t q)
{
    return (union i386_xmm){.q = {q, 0}};
}

/* Interleave elements of `size` bytes from the low (or high) halves of n-byte registers. */
INLINE union i386_xmm interleave(const union i386_xmm *a, const union i386_xmm *b, unsigned n, unsigned size, bool high)
{
    union i386_xmm r = {.q = {0, 0}};
    unsigned from = high ? n / 2 : 0;

    for (unsigned i = 0; i < n / 2; i += size)
        for (unsigned k = 0; k < size; k++) {
            r.b[2 * i + k] = a->b[from + i + k];
            r.b[2 * i + size + k] = b->b[from + i + k];
        }
    return r;
}

/* op_mm_load: the low forms read only 32 bits of memory. */
#define BINARY_WIDE(name, mm_load, expression) \
    INLINE union i386_xmm name##_wide(const union i386_xmm *a, const union i386_xmm *b, unsigned n) \
    { \
        return (expression); \
    } \
    SIMD(name##_mm) \
    { \
        uint64_t q; \
        union i386_xmm a, b; \
        ENTER_MMX; \
        if (!mm_load(c, op, &q)) \
            return UOP_FAULT; \
        a = from_mm(st->fpr[op_reg(op) & 7].mantissa); \
        b = from_mm(q); \
        put_mm(st, op_reg(op), name##_wide(&a, &b, 8).q[0]); \
        return UOP_NEXT; \
    }
BINARY_WIDE(punpcklbw, load_mm_low, interleave(a, b, n, 1, false))
BINARY_WIDE(punpcklwd, load_mm_low, interleave(a, b, n, 2, false))
BINARY_WIDE(punpckldq, load_mm_low, interleave(a, b, n, 4, false))
BINARY_WIDE(punpckhbw, load_mm, interleave(a, b, n, 1, true))
BINARY_WIDE(punpckhwd, load_mm, interleave(a, b, n, 2, true))
BINARY_WIDE(punpckhdq, load_mm, interleave(a, b, n, 4, true))

INLINE union i386_xmm pack_words(const union i386_xmm *a, const union i386_xmm *b, unsigned n, int low, int high)
{
    union i386_xmm r = {.q = {0, 0}};

    for (unsigned i = 0; i < n / 2; i++) {
        r.b[i] = (uint8_t)clamp((int16_t)a->w[i], low, high);
        r.b[n / 2 + i] = (uint8_t)clamp((int16_t)b->w[i], low, high);
    }
    return r;
}

INLINE union i386_xmm pack_dwords(const union i386_xmm *a, const union i386_xmm *b, unsigned n)
{
    union i386_xmm r = {.q = {0, 0}};

    for (unsigned i = 0; i < n / 4; i++) {
        r.w[i] = (uint16_t)clamp((int32_t)a->l[i], INT16_MIN, INT16_MAX);
        r.w[n / 4 + i] = (uint16_t)clamp((int32_t)b->l[i], INT16_MIN, INT16_MAX);
    }
    return r;
}

BINARY_WIDE(packsswb, load_mm, pack_words(a, b, n, INT8_MIN, INT8_MAX))
BINARY_WIDE(packuswb, load_mm, pack_words(a, b, n, 0, UINT8_MAX))
BINARY_WIDE(packssdw, load_mm, pack_dwords(a, b, n))
VECTOR_FUNCTION(packsswb) { *r = packsswb_wide(a, b, 16); }
VECTOR_FUNCTION(packuswb) { *r = packuswb_wide(a, b, 16); }
VECTOR_FUNCTION(packssdw) { *r = packssdw_wide(a, b, 16); }

/* ---- SSSE3 on MMX registers ---- */

/* `x`, `y`: the operands on 128 bits; the result is the low half. */
#define SSSE3(name, x, y) \
    SIMD(name##_mm) \
    { \
        uint64_t q; \
        union i386_xmm a, b, both, r; \
        ENTER_MMX; \
        if (!load_mm(c, op, &q)) \
            return UOP_FAULT; \
        a = from_mm(st->fpr[op_reg(op) & 7].mantissa); \
        b = from_mm(q); \
        both = (union i386_xmm){.q = {a.q[0], q}}; \
        (void)b; \
        (void)both; \
        vector_##name(&r, x, y, &a, op_imm8(st)); \
        put_mm(st, op_reg(op), r.q[0]); \
        return UOP_NEXT; \
    }
#define SSSE3_EACH(name) SSSE3(name, &a, &b)
/* The lower half of what neighbours in a:b make is what those of a and then those of b make. */
#define SSSE3_HORIZONTAL(name) SSSE3(name, &both, &both)
SSSE3_HORIZONTAL(phaddw)
SSSE3_HORIZONTAL(phaddd)
SSSE3_HORIZONTAL(phaddsw)
SSSE3_HORIZONTAL(phsubw)
SSSE3_HORIZONTAL(phsubd)
SSSE3_HORIZONTAL(phsubsw)
SSSE3_EACH(pmaddubsw)
SSSE3_EACH(psignb)
SSSE3_EACH(psignw)
SSSE3_EACH(psignd)
SSSE3_EACH(pmulhrsw)
SSSE3_EACH(pabsb)
SSSE3_EACH(pabsw)
SSSE3_EACH(pabsd)

SIMD(pshufb_mm) /* indices of three bits */
{
    uint64_t q;
    union i386_xmm a, b, r;
    ENTER_MMX;

    if (!load_mm(c, op, &q))
        return UOP_FAULT;
    a = from_mm(st->fpr[op_reg(op) & 7].mantissa);
    b = from_mm(q & 0x8787878787878787u);
    vector_pshufb(&r, &a, &b, &b, 0);
    put_mm(st, op_reg(op), r.q[0]);
    return UOP_NEXT;
}

SIMD(palignr_mm)
{
    uint64_t q;
    union i386_xmm a = from_mm(0), both, r;
    ENTER_MMX;

    if (!load_mm(c, op, &q))
        return UOP_FAULT;
    both = (union i386_xmm){.q = {q, st->fpr[op_reg(op) & 7].mantissa}};
    vector_palignr(&r, &a, &both, &a, op_imm8(st));
    put_mm(st, op_reg(op), r.q[0]);
    return UOP_NEXT;
}

/* ---- shuffles, insertion, extraction ---- */

INLINE void shuffle_words(uint16_t *to, const uint16_t *from, unsigned imm)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = from[imm >> (2 * i) & 3];
}

SIMD(pshufw)
{
    uint64_t q;
    union lanes from, to;
    ENTER_MMX;

    if (!load_mm(c, op, &q))
        return UOP_FAULT;
    from.q = q;
    shuffle_words(to.w, from.w, op_imm8(st));
    put_mm(st, op_reg(op), to.q);
    return UOP_NEXT;
}

INLINE bool load_word(struct i386_cpu *c, const struct uop *op, uint16_t *w)
{
    if (is_mem(op))
        return fx_read(c, op, w, 2);
    *w = (uint16_t)c->st->gpr[op_rm(op)];
    return true;
}

SIMD(pinsrw_mm)
{
    uint16_t w;
    union lanes r;
    ENTER_MMX;

    if (!load_word(c, op, &w))
        return UOP_FAULT;
    r.q = st->fpr[op_reg(op) & 7].mantissa;
    r.w[op_imm8(st) & 3] = w;
    put_mm(st, op_reg(op), r.q);
    return UOP_NEXT;
}

SIMD(pextrw_mm)
{
    ENTER_MMX;
    union lanes v = {.q = st->fpr[op_rm(op) & 7].mantissa};

    to_mmx_state(st);
    st->gpr[op_reg(op)] = v.w[op_imm8(st) & 3];
    return UOP_NEXT;
}

INLINE uint32_t byte_signs(uint64_t q)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < 8; i++)
        mask |= (uint32_t)(q >> (8 * i + 7) & 1) << i;
    return mask;
}

SIMD(pmovmskb_mm)
{
    ENTER_MMX;
    to_mmx_state(st);
    st->gpr[op_reg(op)] = byte_signs(st->fpr[op_rm(op) & 7].mantissa);
    return UOP_NEXT;
}

/* ---- moves ---- */

SIMD(emms)
{
    ENTER_MMX;
    st->fsw &= (uint16_t)~FSW_TOP;
    st->ftag = 0;
    return UOP_NEXT;
}

SIMD(movd_to_mm)
{
    uint64_t v;
    ENTER_MMX;

    if (!load_gpr(c, op, &v))
        return UOP_FAULT;
    put_mm(st, op_reg(op), v);
    return UOP_NEXT;
}

INLINE bool store_gpr(struct i386_cpu *c, const struct uop *op, uint64_t v)
{
    if (is_mem(op))
        return fx_write(c, op, &v, is_wide(op) ? 8 : 4);
    c->st->gpr[op_rm(op)] = is_wide(op) ? v : (uint32_t)v;
    return true;
}

SIMD(movd_from_mm)
{
    ENTER_MMX;
    if (!store_gpr(c, op, st->fpr[op_reg(op) & 7].mantissa))
        return UOP_FAULT;
    to_mmx_state(st);
    return UOP_NEXT;
}

SIMD(movq_to_mm)
{
    uint64_t v;
    ENTER_MMX;

    if (!load_mm(c, op, &v))
        return UOP_FAULT;
    put_mm(st, op_reg(op), v);
    return UOP_NEXT;
}

SIMD(movq_from_mm)
{
    ENTER_MMX;
    if (!is_mem(op)) {
        put_mm(st, op_rm(op), st->fpr[op_reg(op) & 7].mantissa);
        return UOP_NEXT;
    }
    if (!fx_write(c, op, &st->fpr[op_reg(op) & 7].mantissa, 8))
        return UOP_FAULT;
    to_mmx_state(st);
    return UOP_NEXT;
}

SIMD(movntq)
{
    return movq_from_mm(u, op);
}

SIMD(movq2dq)
{
    ENTER_SSE_MMX;
    to_mmx_state(st);
    st->xmm[op_reg(op)] = (union i386_xmm){.q = {st->fpr[op_rm(op) & 7].mantissa, 0}};
    return UOP_NEXT;
}

SIMD(movdq2q)
{
    ENTER_SSE_MMX;
    put_mm(st, op_reg(op), st->xmm[op_rm(op)].q[0]);
    return UOP_NEXT;
}

/* ---- masked stores ---- */

/* Each of the bytes is an access of its own. */
static bool store_one_by_one(struct i386_cpu *c, uint64_t linear, const uint8_t *bytes, const uint8_t *mask, unsigned n)
{
    struct i386_stores stores;

    i386_stores_begin(&stores);
    for (unsigned i = 0; i < n; i++)
        if ((mask[i] & 0x80) &&
            !i386_stores_add(c, &stores, c->u.tlb_mode, i386_system_address(c->st, linear + i), 1, bytes[i]))
            return false;
    i386_stores_commit(c, &stores);
    return true;
}

/* Store those of n bytes whose mask byte is negative, at the offset S_T(0) (DI, EDI or RDI). The pages are
 * checked like one access of n bytes, only if some byte is to be stored; the alignment of either kind is 8. */
static bool masked_store(struct i386_cpu *c, unsigned seg, const uint8_t *bytes, const uint8_t *mask, unsigned n)
{
    uint64_t linear;
    bool any = false;
    uint8_t *to;

    for (unsigned i = 0; i < n; i++)
        any |= mask[i] >> 7;
    if (!any)
        return true;
    if (!i386_linear_aligned(c, seg, c->st->t[0], n, 8, true, &linear))
        return false;
    to = ucpu_host_mode(&c->u, c->u.tlb_mode, linear, n, ACCESS_WRITE);
    if (!to)
        return ucpu_probe(&c->u, c->u.tlb_mode, linear, n, ACCESS_WRITE) && store_one_by_one(c, linear, bytes, mask, n);
    for (unsigned i = 0; i < n; i++)
        if (mask[i] & 0x80)
            to[i] = bytes[i];
    return true;
}

SIMD(maskmovq)
{
    ENTER_MMX;
    if (!masked_store(c, op->b & I386_FX_SEG, (const uint8_t *)&st->fpr[op_reg(op) & 7].mantissa,
                      (const uint8_t *)&st->fpr[op_rm(op) & 7].mantissa, 8))
        return UOP_FAULT;
    to_mmx_state(st);
    return UOP_NEXT;
}

int i386_op_maskmovdqu(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;

    return masked_store(c, op->b & MASKED_SEG, st->xmm[op->d & 15].b, st->xmm[op->d >> 4 & 15].b, 16) ? UOP_NEXT : UOP_FAULT;
}
