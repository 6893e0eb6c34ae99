/*
 * Instructions on vectors of 128 bits without exceptions, as functions on values: the meaning of the micro-ops VECTOR,
 * VECTOR_TEST and of what simd_map.c names beside them. An instruction on 256 bits is two of them.
 */
#ifndef HINDCAST_I386_VECTOR_H
#define HINDCAST_I386_VECTOR_H

#include "i386/cpu.h"

/* *r, which is none of the others, from the operands in the manual's order: a first source, b register or memory,
 * c the mask of a choice; imm8. Those that have less operands ignore the others. */
typedef void vector_fn(union i386_xmm *r, const union i386_xmm *a, const union i386_xmm *b, const union i386_xmm *c,
                       unsigned imm8);

#define VECTOR_FUNCTION(name) \
    void vector_##name(union i386_xmm *r, const union i386_xmm *a __attribute__((unused)), \
                       const union i386_xmm *b __attribute__((unused)), const union i386_xmm *c __attribute__((unused)), \
                       unsigned imm8 __attribute__((unused)))

/* ---- mmx.c: those that MMX has, too ---- */
vector_fn vector_packsswb, vector_packuswb, vector_packssdw, vector_psrlw, vector_psrld, vector_psrlq, vector_psraw,
    vector_psrad, vector_psllw, vector_pslld, vector_psllq, vector_psubusb, vector_psubusw, vector_paddusb, vector_paddusw,
    vector_pavgb, vector_pavgw, vector_pmulhuw, vector_pmulhw, vector_psubsb, vector_psubsw, vector_paddsb, vector_paddsw,
    vector_pmuludq, vector_pmaddwd, vector_psadbw;
/* imm8: the count; shift by imm8, of the first operand: groups 12 to 14. */
vector_fn vector_shift_words, vector_shift_dwords, vector_shift_qwords;

/* ---- vector.c ---- */
vector_fn vector_pshufd, vector_pshuflw, vector_pshufhw, vector_shufps, vector_shufpd, vector_movddup, vector_movsldup,
    vector_movshdup, vector_movss, vector_movsd;
/* SSSE3 */
vector_fn vector_pshufb, vector_phaddw, vector_phaddd, vector_phaddsw, vector_phsubw, vector_phsubd, vector_phsubsw,
    vector_pmaddubsw, vector_psignb, vector_psignw, vector_psignd, vector_pmulhrsw, vector_pabsb, vector_pabsw, vector_pabsd,
    vector_palignr;
/* SSE4 */
vector_fn vector_pblendvb, vector_blendvps, vector_blendvpd, vector_blendps, vector_blendpd, vector_pblendw, vector_insertps,
    vector_pmovsxbw, vector_pmovsxbd, vector_pmovsxbq, vector_pmovsxwd, vector_pmovsxwq, vector_pmovsxdq, vector_pmovzxbw,
    vector_pmovzxbd, vector_pmovzxbq, vector_pmovzxwd, vector_pmovzxwq, vector_pmovzxdq, vector_pmuldq, vector_pcmpeqq,
    vector_pcmpgtq, vector_packusdw, vector_pminsb, vector_pminsd, vector_pminuw, vector_pminud, vector_pmaxsb,
    vector_pmaxsd, vector_pmaxuw, vector_pmaxud, vector_pmulld, vector_phminposuw, vector_mpsadbw;
/* SSE4A */
vector_fn vector_extrq, vector_insertq;
/* AVX, AVX2 */
vector_fn vector_broadcastb, vector_broadcastw, vector_broadcastd, vector_broadcastq, vector_permilps, vector_permilpd, vector_permilps_imm, vector_permilpd_imm, vector_psllvd, vector_psllvq,
    vector_psrlvd, vector_psrlvq, vector_psravd;

/* ---- crypto.c ---- */
vector_fn vector_aesenc, vector_aesenclast, vector_aesdec, vector_aesdeclast, vector_aesimc, vector_aeskeygenassist,
    vector_pclmulqdq;

/* ---- sse_float.c: approximations ---- */
vector_fn vector_rcpps, vector_rcpss, vector_rsqrtps, vector_rsqrtss;

#endif
