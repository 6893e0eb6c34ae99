/*
 * The opcode maps of MMX and of what SSE to SSSE3 have on MMX registers or on none (SDM 2, appendix A), and
 * the instructions on MXCSR and caches. Those on XMM and YMM registers are in simd_map.c.
 *
 * A row of the map says which CPU generation has the instruction and whether
 * it has a register form, a memory form or both; anything else is #UD. A mandatory prefix F2 or F3 overrides 66;
 * a prefix for which the map has no row makes the encoding undefined.
 */
#include "i386/sse.h"

int i386_op_sse_unavailable(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return sse_available(i386_of(u));
}

int i386_op_avx_unavailable(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise(i386_of(u), EXC_NM);
}

int i386_op_misaligned(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise_error(i386_of(u), EXC_GP, 0);
}

#define MOVE(name) static int name(struct ucpu *u, const struct uop *op)

/* ---- fences, cache control (group 15) ---- */

MOVE(fence) /* accesses happen in order: never called */
{
    (void)u;
    (void)op;
    return UOP_NEXT;
}

MOVE(clflush) /* there are no caches, but the access is checked as a read */
{
    struct i386_cpu *c = i386_of(u);
    uint64_t linear;

    if (!i386_linear_line(c, op->b & I386_FX_SEG, c->st->t[0], &linear) ||
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

enum feature { MMX = 1, SSE, SSE2, SSSE3, FXSR, CLFSH };
enum form { BOTH, MEM, REG };
enum { PLAIN, P66, PF3, PF2 };

struct row {
    i386_helper *handler;
    uint8_t feature; /* enum feature; 0: undefined */
    uint8_t form;    /* enum form */
};

static const struct row map[256][4] = {
    [0x2a] = {{cvtpi2ps, SSE, BOTH}, {cvtpi2pd, SSE2, REG}}, /* CVTPI2PD from memory: simd_map.c */
    [0x2c] = {{cvttps2pi, SSE, BOTH}, {cvttpd2pi, SSE2, BOTH}},
    [0x2d] = {{cvtps2pi, SSE, BOTH}, {cvtpd2pi, SSE2, BOTH}}, [0x60] = {{punpcklbw_mm, MMX, BOTH}},
    [0x61] = {{punpcklwd_mm, MMX, BOTH}}, [0x62] = {{punpckldq_mm, MMX, BOTH}}, [0x63] = {{packsswb_mm, MMX, BOTH}},
    [0x64] = {{pcmpgtb_mm, MMX, BOTH}}, [0x65] = {{pcmpgtw_mm, MMX, BOTH}}, [0x66] = {{pcmpgtd_mm, MMX, BOTH}},
    [0x67] = {{packuswb_mm, MMX, BOTH}}, [0x68] = {{punpckhbw_mm, MMX, BOTH}}, [0x69] = {{punpckhwd_mm, MMX, BOTH}},
    [0x6a] = {{punpckhdq_mm, MMX, BOTH}}, [0x6b] = {{packssdw_mm, MMX, BOTH}}, [0x6e] = {{movd_to_mm, MMX, BOTH}},
    [0x6f] = {{movq_to_mm, MMX, BOTH}}, [0x70] = {{pshufw, SSE, BOTH}}, [0x71] = {{shift_words_mm, MMX, REG}},
    [0x72] = {{shift_dwords_mm, MMX, REG}}, [0x73] = {{shift_qwords_mm, MMX, REG}},
    [0x74] = {{pcmpeqb_mm, MMX, BOTH}}, [0x75] = {{pcmpeqw_mm, MMX, BOTH}}, [0x76] = {{pcmpeqd_mm, MMX, BOTH}},
    [0x77] = {{emms, MMX, BOTH}}, [0x7e] = {{movd_from_mm, MMX, BOTH}}, [0x7f] = {{movq_from_mm, MMX, BOTH}},
    [0xc4] = {{pinsrw_mm, SSE, BOTH}}, [0xc5] = {{pextrw_mm, SSE, REG}},
    [0xd1] = {{psrlw_mm, MMX, BOTH}}, [0xd2] = {{psrld_mm, MMX, BOTH}}, [0xd3] = {{psrlq_mm, MMX, BOTH}},
    [0xd4] = {{paddq_mm, SSE2, BOTH}}, [0xd5] = {{pmullw_mm, MMX, BOTH}},
    [0xd6] = {[PF3] = {movq2dq, SSE2, REG}, [PF2] = {movdq2q, SSE2, REG}}, [0xd7] = {{pmovmskb_mm, SSE, REG}},
    [0xd8] = {{psubusb_mm, MMX, BOTH}}, [0xd9] = {{psubusw_mm, MMX, BOTH}}, [0xda] = {{pminub_mm, SSE, BOTH}},
    [0xdb] = {{pand_mm, MMX, BOTH}}, [0xdc] = {{paddusb_mm, MMX, BOTH}}, [0xdd] = {{paddusw_mm, MMX, BOTH}},
    [0xde] = {{pmaxub_mm, SSE, BOTH}}, [0xdf] = {{pandn_mm, MMX, BOTH}}, [0xe0] = {{pavgb_mm, SSE, BOTH}},
    [0xe1] = {{psraw_mm, MMX, BOTH}}, [0xe2] = {{psrad_mm, MMX, BOTH}}, [0xe3] = {{pavgw_mm, SSE, BOTH}},
    [0xe4] = {{pmulhuw_mm, SSE, BOTH}}, [0xe5] = {{pmulhw_mm, MMX, BOTH}}, [0xe7] = {{movntq, SSE, MEM}},
    [0xe8] = {{psubsb_mm, MMX, BOTH}}, [0xe9] = {{psubsw_mm, MMX, BOTH}}, [0xea] = {{pminsw_mm, SSE, BOTH}},
    [0xeb] = {{por_mm, MMX, BOTH}}, [0xec] = {{paddsb_mm, MMX, BOTH}}, [0xed] = {{paddsw_mm, MMX, BOTH}},
    [0xee] = {{pmaxsw_mm, SSE, BOTH}}, [0xef] = {{pxor_mm, MMX, BOTH}}, [0xf1] = {{psllw_mm, MMX, BOTH}},
    [0xf2] = {{pslld_mm, MMX, BOTH}}, [0xf3] = {{psllq_mm, MMX, BOTH}}, [0xf4] = {{pmuludq_mm, SSE2, BOTH}},
    [0xf5] = {{pmaddwd_mm, MMX, BOTH}}, [0xf6] = {{psadbw_mm, SSE, BOTH}}, [0xf7] = {{maskmovq, SSE, REG}},
    [0xf8] = {{psubb_mm, MMX, BOTH}}, [0xf9] = {{psubw_mm, MMX, BOTH}}, [0xfa] = {{psubd_mm, MMX, BOTH}},
    [0xfb] = {{psubq_mm, SSE2, BOTH}}, [0xfc] = {{paddb_mm, MMX, BOTH}}, [0xfd] = {{paddw_mm, MMX, BOTH}},
    [0xfe] = {{paddd_mm, MMX, BOTH}},
};

/* 0F 38, 0F 3A */
static const struct row map_0f38[] = {
    [0x00] = {pshufb_mm, SSSE3, BOTH}, [0x01] = {phaddw_mm, SSSE3, BOTH}, [0x02] = {phaddd_mm, SSSE3, BOTH},
    [0x03] = {phaddsw_mm, SSSE3, BOTH}, [0x04] = {pmaddubsw_mm, SSSE3, BOTH}, [0x05] = {phsubw_mm, SSSE3, BOTH},
    [0x06] = {phsubd_mm, SSSE3, BOTH}, [0x07] = {phsubsw_mm, SSSE3, BOTH}, [0x08] = {psignb_mm, SSSE3, BOTH},
    [0x09] = {psignw_mm, SSSE3, BOTH}, [0x0a] = {psignd_mm, SSSE3, BOTH}, [0x0b] = {pmulhrsw_mm, SSSE3, BOTH},
    [0x1c] = {pabsb_mm, SSSE3, BOTH}, [0x1d] = {pabsw_mm, SSSE3, BOTH}, [0x1e] = {pabsd_mm, SSSE3, BOTH},
};
static const struct row palignr = {palignr_mm, SSSE3, BOTH};

/* 0F AE, by the reg field; [0] memory forms, [1] register forms */
static const struct row group15[2][8] = {
    {{i386_op_fxsave, FXSR, MEM}, {i386_op_fxrstor, FXSR, MEM}, {NULL, 0, 0}, {NULL, 0, 0},
     {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {clflush, CLFSH, MEM}},
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
    case SSSE3: return i386_has(m, FEATURE_SSSE3);
    case FXSR: return m->has_fxsr;
    case CLFSH: return i386_has(m, FEATURE_CLFSH);
    default:   return false;
    }
}

static const struct row *find_row(unsigned opcode, unsigned modrm, unsigned prefix, bool mem)
{
    static const struct row none = {NULL, 0, 0};

    switch (opcode >> 8) {
    case 0:
        if (opcode == 0xae)
            return prefix != PLAIN ? &none : &group15[!mem][modrm >> 3 & 7];
        return &map[opcode][prefix];
    case 1:
        return prefix == PLAIN && (opcode & 0xff) < ARRAY_LEN(map_0f38) ? &map_0f38[opcode & 0xff] : &none;
    default:
        return prefix == PLAIN && (opcode & 0xff) == 0x0f ? &palignr : &none;
    }
}

static const struct row *row_of(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    unsigned prefix = fx & I386_FX_F3 ? PF3 : fx & I386_FX_F2 ? PF2 : fx & I386_FX_66 ? P66 : PLAIN;
    bool mem = fx & I386_FX_MEM;
    const struct row *row = find_row(opcode, modrm, prefix, mem);

    return !has_feature(model, row->feature) || (row->form == MEM && !mem) || (row->form == REG && mem) ? NULL : row;
}

i386_helper *i386_simd_handler(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    const struct row *row = row_of(model, opcode, modrm, fx);

    return row ? row->handler : undefined;
}

bool i386_is_fence(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    const struct row *row = row_of(model, opcode, modrm, fx);

    return row && row->handler == fence;
}

bool i386_is_mmx(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    if ((fx & (I386_FX_66 | I386_FX_F2 | I386_FX_F3)) || opcode < 0x60 || opcode == 0xae)
        return false;
    if (opcode >= 0x71 && opcode <= 0x73 && !i386_mmx_shift_exists(opcode, modrm >> 3 & 7))
        return false;
    return row_of(model, opcode, modrm, fx);
}

bool i386_is_mmx_and_sse(const struct i386_model *model, unsigned opcode, unsigned modrm, unsigned fx)
{
    bool converts = opcode == 0x2a || opcode == 0x2c || opcode == 0x2d;

    if (opcode != 0xd6 && (!converts || (fx & (I386_FX_F2 | I386_FX_F3))))
        return false;
    return row_of(model, opcode, modrm, fx);
}

int i386_op_mmx_unavailable(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return mmx_available(i386_of(u));
}
