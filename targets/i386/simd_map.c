/*
 * The opcode maps 0F, 0F 38 and 0F 3A of instructions on XMM and YMM registers (SDM 2, appendix A and the
 * instructions' pages), SSE to SSE4.2, AES, SSE4A (AMD APM 4), PCLMULQDQ, AVX, AVX2, FMA, F16C,
 * VAES and VPCLMULQDQ.
 *
 * MMX forms, and what of SSE is neither (fences, FXSAVE), are in sse.c. Not here: XOP, FMA4 (AMD), SHA, GFNI,
 * AVX-512.
 *
 * To add an instruction: its row; a vector_fn, or a case in sse_float.c; what it looks like to the JIT
 * follows from the row (lower_simd.c), if a host has it under the same opcode.
 */
#include "i386/simd.h"

#include <string.h>

#define ROW(f, s, v, ...) {.form = SIMD_##f, .set = SET_##s, .vex = VEX_##v, __VA_ARGS__}
#define FN(name) .fn = vector_##name
#define UOP(name) .uop = UOP_##name
#define BYTES(n) .bytes = (n)
#define FLAGS(f) .flags = (f)

/* The packed and scalar forms of both precisions. */
#define FLOAT4(packed, scalar) \
    {ROW(packed, SSE, AVX, .bytes = 0), ROW(packed, SSE2, AVX, .bytes = 0), ROW(scalar, SSE, SCALAR, BYTES(4)), \
     ROW(scalar, SSE2, SCALAR, BYTES(8))}
/* With prefix 66: integers of SSE2; and their 256-bit form of AVX2. */
#define INTEGER(name)      {[PREFIX_66] = ROW(TWO, SSE2, INT, FN(name))}
#define INTEGER_UOP(name)  {[PREFIX_66] = ROW(TWO, SSE2, INT, UOP(name))}
#define SHIFT_BY(name)     {[PREFIX_66] = ROW(COUNT, SSE2, INT, FN(name), BYTES(16))}
#define TWO(set, name)     {[PREFIX_66] = ROW(TWO, set, INT, FN(name))}
#define ONE(set, name)     {[PREFIX_66] = ROW(ONE, set, INT, FN(name))}
#define WIDEN(name, n)     {[PREFIX_66] = ROW(WIDEN, SSE41, INT, FN(name), BYTES(n))}
#define ONLY_66(...)       {[PREFIX_66] = ROW(__VA_ARGS__)}
#define FMA_PACKED         {[PREFIX_66] = ROW(FLOAT, NONE, FMA, .bytes = 0)}
#define FMA_SCALAR         {[PREFIX_66] = ROW(FLOAT, NONE, FMA_SCALAR, BYTES(4))} /* 8 with W */
#define FMA_ROWS(high) \
    [high + 0x6 ... high + 0x8] = FMA_PACKED, [high + 0x9] = FMA_SCALAR, [high + 0xa] = FMA_PACKED, \
    [high + 0xb] = FMA_SCALAR, [high + 0xc] = FMA_PACKED, [high + 0xd] = FMA_SCALAR, [high + 0xe] = FMA_PACKED, \
    [high + 0xf] = FMA_SCALAR

static const struct simd_row map_0f[256][4] = {
    [0x10] = {ROW(LOAD, SSE, AVX, FLAGS(SIMD_UNALIGNED)), ROW(LOAD, SSE2, AVX, FLAGS(SIMD_UNALIGNED)),
              ROW(LOAD_LOW, SSE, SCALAR, FN(movss), BYTES(4)), ROW(LOAD_LOW, SSE2, SCALAR, FN(movsd), BYTES(8))},
    [0x11] = {ROW(STORE, SSE, AVX, FLAGS(SIMD_UNALIGNED)), ROW(STORE, SSE2, AVX, FLAGS(SIMD_UNALIGNED)),
              ROW(STORE_LOW, SSE, SCALAR, BYTES(4)), ROW(STORE_LOW, SSE2, SCALAR, BYTES(8))},
    [0x12] = {ROW(LOAD_HALF, SSE, L0, .bytes = 0), ROW(LOAD_HALF, SSE2, L0, FLAGS(SIMD_MEM)), ROW(ONE, SSE3, AVX, FN(movsldup)),
              ROW(ONE, SSE3, AVX, FN(movddup), BYTES(8))},
    [0x13] = {ROW(STORE_HALF, SSE, L0, FLAGS(SIMD_MEM)), ROW(STORE_HALF, SSE2, L0, FLAGS(SIMD_MEM))},
    [0x14] = {ROW(TWO, SSE, AVX, UOP(VZIPL32)), ROW(TWO, SSE2, AVX, UOP(VZIPL64))},
    [0x15] = {ROW(TWO, SSE, AVX, UOP(VZIPH32)), ROW(TWO, SSE2, AVX, UOP(VZIPH64))},
    [0x16] = {ROW(LOAD_HALF, SSE, L0, .bytes = 0), ROW(LOAD_HALF, SSE2, L0, FLAGS(SIMD_MEM)), ROW(ONE, SSE3, AVX, FN(movshdup))},
    [0x17] = {ROW(STORE_HALF, SSE, L0, FLAGS(SIMD_MEM)), ROW(STORE_HALF, SSE2, L0, FLAGS(SIMD_MEM))},
    [0x28] = {ROW(LOAD, SSE, AVX, FLAGS(SIMD_ALIGNED)), ROW(LOAD, SSE2, AVX, FLAGS(SIMD_ALIGNED))},
    [0x29] = {ROW(STORE, SSE, AVX, FLAGS(SIMD_ALIGNED)), ROW(STORE, SSE2, AVX, FLAGS(SIMD_ALIGNED))},
    [0x2a] = {[PREFIX_66] = ROW(FROM_INTEGERS, SSE2, NONE, BYTES(8), FLAGS(SIMD_MEM)),
              [PREFIX_F3] = ROW(FROM_INTEGER, SSE, SCALAR, .bytes = 0), [PREFIX_F2] = ROW(FROM_INTEGER, SSE2, SCALAR, .bytes = 0)},
    [0x2b] = {ROW(STORE, SSE, AVX, FLAGS(SIMD_ALIGNED | SIMD_MEM)), ROW(STORE, SSE2, AVX, FLAGS(SIMD_ALIGNED | SIMD_MEM)),
              ROW(STORE_LOW, SSE4A, NONE, BYTES(4), FLAGS(SIMD_MEM)), ROW(STORE_LOW, SSE4A, NONE, BYTES(8), FLAGS(SIMD_MEM))},
    [0x2c] = {[PREFIX_F3] = ROW(TO_INTEGER, SSE, SCALAR, BYTES(4)), [PREFIX_F2] = ROW(TO_INTEGER, SSE2, SCALAR, BYTES(8))},
    [0x2d] = {[PREFIX_F3] = ROW(TO_INTEGER, SSE, SCALAR, BYTES(4)), [PREFIX_F2] = ROW(TO_INTEGER, SSE2, SCALAR, BYTES(8))},
    [0x2e] = {ROW(COMPARE, SSE, SCALAR, BYTES(4)), ROW(COMPARE, SSE2, SCALAR, BYTES(8))},
    [0x2f] = {ROW(COMPARE, SSE, SCALAR, BYTES(4)), ROW(COMPARE, SSE2, SCALAR, BYTES(8))},
    [0x50] = {ROW(SIGNS, SSE, AVX, BYTES(4), FLAGS(SIMD_REG)), ROW(SIGNS, SSE2, AVX, BYTES(8), FLAGS(SIMD_REG))},
    [0x51] = FLOAT4(FLOAT_ONE, FLOAT),
    [0x52] = {[PREFIX_NONE] = ROW(ONE, SSE, AVX, FN(rsqrtps)), [PREFIX_F3] = ROW(TWO, SSE, SCALAR, FN(rsqrtss), BYTES(4))},
    [0x53] = {[PREFIX_NONE] = ROW(ONE, SSE, AVX, FN(rcpps)), [PREFIX_F3] = ROW(TWO, SSE, SCALAR, FN(rcpss), BYTES(4))},
    [0x54] = {ROW(TWO, SSE, AVX, UOP(VAND)), ROW(TWO, SSE2, AVX, UOP(VAND))},
    [0x55] = {ROW(TWO, SSE, AVX, UOP(VBIC)), ROW(TWO, SSE2, AVX, UOP(VBIC))},
    [0x56] = {ROW(TWO, SSE, AVX, UOP(VOR)), ROW(TWO, SSE2, AVX, UOP(VOR))},
    [0x57] = {ROW(TWO, SSE, AVX, UOP(VXOR)), ROW(TWO, SSE2, AVX, UOP(VXOR))},
    [0x58] = FLOAT4(FLOAT, FLOAT),
    [0x59] = FLOAT4(FLOAT, FLOAT),
    /* bytes of those that change the width are of 128 bits' form */
    [0x5a] = {ROW(FLOAT_ONE, SSE2, AVX, BYTES(8)), ROW(NARROW, SSE2, AVX, .bytes = 0), ROW(FLOAT, SSE2, SCALAR, BYTES(4)),
              ROW(FLOAT, SSE2, SCALAR, BYTES(8))},
    [0x5b] = {ROW(FLOAT_ONE, SSE2, AVX, .bytes = 0), ROW(FLOAT_ONE, SSE2, AVX, .bytes = 0), ROW(FLOAT_ONE, SSE2, AVX, .bytes = 0)},
    [0x5c] = FLOAT4(FLOAT, FLOAT),
    [0x5d] = FLOAT4(FLOAT, FLOAT),
    [0x5e] = FLOAT4(FLOAT, FLOAT),
    [0x5f] = FLOAT4(FLOAT, FLOAT),
    [0x60] = INTEGER_UOP(VZIPL8), [0x61] = INTEGER_UOP(VZIPL16), [0x62] = INTEGER_UOP(VZIPL32), [0x63] = INTEGER(packsswb),
    [0x64] = INTEGER_UOP(VCGT8), [0x65] = INTEGER_UOP(VCGT16), [0x66] = INTEGER_UOP(VCGT32), [0x67] = INTEGER(packuswb),
    [0x68] = INTEGER_UOP(VZIPH8), [0x69] = INTEGER_UOP(VZIPH16), [0x6a] = INTEGER_UOP(VZIPH32), [0x6b] = INTEGER(packssdw),
    [0x6c] = INTEGER_UOP(VZIPL64), [0x6d] = INTEGER_UOP(VZIPH64),
    [0x6e] = ONLY_66(LOAD_GENERAL, SSE2, L0, .bytes = 0),
    [0x6f] = {[PREFIX_66] = ROW(LOAD, SSE2, AVX, FLAGS(SIMD_ALIGNED)), [PREFIX_F3] = ROW(LOAD, SSE2, AVX, FLAGS(SIMD_UNALIGNED))},
    [0x70] = {[PREFIX_66] = ROW(ONE, SSE2, INT, FN(pshufd)), [PREFIX_F3] = ROW(ONE, SSE2, INT, FN(pshufhw)),
              [PREFIX_F2] = ROW(ONE, SSE2, INT, FN(pshuflw))},
    [0x71] = ONLY_66(SHIFT, SSE2, INT, FN(shift_words), FLAGS(SIMD_REG)),
    [0x72] = ONLY_66(SHIFT, SSE2, INT, FN(shift_dwords), FLAGS(SIMD_REG)),
    [0x73] = ONLY_66(SHIFT, SSE2, INT, FN(shift_qwords), FLAGS(SIMD_REG)),
    [0x74] = INTEGER_UOP(VCEQ8), [0x75] = INTEGER_UOP(VCEQ16), [0x76] = INTEGER_UOP(VCEQ32),
    [0x77] = {ROW(ZERO, NONE, AVX, .bytes = 0)},
    [0x78] = {[PREFIX_66] = ROW(FIELD, SSE4A, NONE, FLAGS(SIMD_REG)), [PREFIX_F2] = ROW(FIELD, SSE4A, NONE, FLAGS(SIMD_REG))},
    [0x79] = {[PREFIX_66] = ROW(TWO, SSE4A, NONE, FN(extrq), FLAGS(SIMD_REG)),
              [PREFIX_F2] = ROW(TWO, SSE4A, NONE, FN(insertq), FLAGS(SIMD_REG))},
    [0x7c] = {[PREFIX_66] = ROW(FLOAT, SSE3, AVX, .bytes = 0), [PREFIX_F2] = ROW(FLOAT, SSE3, AVX, .bytes = 0)},
    [0x7d] = {[PREFIX_66] = ROW(FLOAT, SSE3, AVX, .bytes = 0), [PREFIX_F2] = ROW(FLOAT, SSE3, AVX, .bytes = 0)},
    [0x7e] = {[PREFIX_66] = ROW(STORE_GENERAL, SSE2, L0, .bytes = 0), [PREFIX_F3] = ROW(LOAD_Q, SSE2, L0, BYTES(8))},
    [0x7f] = {[PREFIX_66] = ROW(STORE, SSE2, AVX, FLAGS(SIMD_ALIGNED)), [PREFIX_F3] = ROW(STORE, SSE2, AVX, FLAGS(SIMD_UNALIGNED))},
    [0xae] = {ROW(MXCSR, SSE, L0, FLAGS(SIMD_MEM))}, /* of the group: 2, 3 */
    [0xc2] = FLOAT4(FLOAT, FLOAT),
    [0xc4] = ONLY_66(INSERT, SSE2, L0, BYTES(2)),
    [0xc5] = ONLY_66(EXTRACT, SSE2, L0, BYTES(2), FLAGS(SIMD_REG)),
    [0xc6] = {ROW(TWO, SSE, AVX, FN(shufps)), ROW(TWO, SSE2, AVX, FN(shufpd), .split = 2)},
    [0xd0] = {[PREFIX_66] = ROW(FLOAT, SSE3, AVX, .bytes = 0), [PREFIX_F2] = ROW(FLOAT, SSE3, AVX, .bytes = 0)},
    [0xd1] = SHIFT_BY(psrlw), [0xd2] = SHIFT_BY(psrld), [0xd3] = SHIFT_BY(psrlq),
    [0xd4] = INTEGER_UOP(VADD64), [0xd5] = INTEGER_UOP(VMUL16),
    [0xd6] = ONLY_66(STORE_Q, SSE2, L0, BYTES(8)),
    [0xd7] = ONLY_66(SIGNS, SSE2, INT, BYTES(1), FLAGS(SIMD_REG)),
    [0xd8] = INTEGER(psubusb), [0xd9] = INTEGER(psubusw), [0xda] = INTEGER_UOP(VUMIN8), [0xdb] = INTEGER_UOP(VAND),
    [0xdc] = INTEGER(paddusb), [0xdd] = INTEGER(paddusw), [0xde] = INTEGER_UOP(VUMAX8), [0xdf] = INTEGER_UOP(VBIC),
    [0xe0] = INTEGER(pavgb), [0xe1] = SHIFT_BY(psraw), [0xe2] = SHIFT_BY(psrad), [0xe3] = INTEGER(pavgw),
    [0xe4] = INTEGER(pmulhuw), [0xe5] = INTEGER(pmulhw),
    [0xe6] = {[PREFIX_66] = ROW(NARROW, SSE2, AVX, .bytes = 0), [PREFIX_F3] = ROW(FLOAT_ONE, SSE2, AVX, BYTES(8)),
              [PREFIX_F2] = ROW(NARROW, SSE2, AVX, .bytes = 0)},
    [0xe7] = ONLY_66(STORE, SSE2, AVX, FLAGS(SIMD_ALIGNED | SIMD_MEM)),
    [0xe8] = INTEGER(psubsb), [0xe9] = INTEGER(psubsw), [0xea] = INTEGER_UOP(VSMIN16), [0xeb] = INTEGER_UOP(VOR),
    [0xec] = INTEGER(paddsb), [0xed] = INTEGER(paddsw), [0xee] = INTEGER_UOP(VSMAX16), [0xef] = INTEGER_UOP(VXOR),
    [0xf0] = {[PREFIX_F2] = ROW(LOAD, SSE3, AVX, FLAGS(SIMD_UNALIGNED | SIMD_MEM))},
    [0xf1] = SHIFT_BY(psllw), [0xf2] = SHIFT_BY(pslld), [0xf3] = SHIFT_BY(psllq),
    [0xf4] = INTEGER(pmuludq), [0xf5] = INTEGER(pmaddwd), [0xf6] = INTEGER(psadbw),
    [0xf7] = ONLY_66(MASKMOVDQU, SSE2, L0, FLAGS(SIMD_REG)),
    [0xf8] = INTEGER_UOP(VSUB8), [0xf9] = INTEGER_UOP(VSUB16), [0xfa] = INTEGER_UOP(VSUB32), [0xfb] = INTEGER_UOP(VSUB64),
    [0xfc] = INTEGER_UOP(VADD8), [0xfd] = INTEGER_UOP(VADD16), [0xfe] = INTEGER_UOP(VADD32),
};

static const struct simd_row map_0f38[256][4] = {
    [0x00] = TWO(SSSE3, pshufb), [0x01] = TWO(SSSE3, phaddw), [0x02] = TWO(SSSE3, phaddd), [0x03] = TWO(SSSE3, phaddsw),
    [0x04] = TWO(SSSE3, pmaddubsw), [0x05] = TWO(SSSE3, phsubw), [0x06] = TWO(SSSE3, phsubd), [0x07] = TWO(SSSE3, phsubsw),
    [0x08] = TWO(SSSE3, psignb), [0x09] = TWO(SSSE3, psignw), [0x0a] = TWO(SSSE3, psignd), [0x0b] = TWO(SSSE3, pmulhrsw),
    [0x0c] = ONLY_66(TWO, NONE, AVX, FN(permilps), FLAGS(SIMD_W0)),
    [0x0d] = ONLY_66(TWO, NONE, AVX, FN(permilpd), FLAGS(SIMD_W0)),
    [0x0e] = ONLY_66(TEST, NONE, AVX, FLAGS(SIMD_W0)), [0x0f] = ONLY_66(TEST, NONE, AVX, FLAGS(SIMD_W0)),
    [0x10] = ONLY_66(CHOICE, SSE41, NONE, FN(pblendvb)),
    [0x13] = ONLY_66(FLOAT_ONE, NONE, F16C, BYTES(8), FLAGS(SIMD_W0)),
    [0x14] = ONLY_66(CHOICE, SSE41, NONE, FN(blendvps)), [0x15] = ONLY_66(CHOICE, SSE41, NONE, FN(blendvpd)),
    [0x16] = ONLY_66(PERMUTE, NONE, AVX2_L1, FLAGS(SIMD_W0)),
    [0x17] = ONLY_66(TEST, SSE41, AVX, .bytes = 0),
    [0x18] = ONLY_66(BROADCAST, NONE, AVX, FN(broadcastd), BYTES(4), FLAGS(SIMD_W0)),
    [0x19] = ONLY_66(BROADCAST, NONE, L1, FN(broadcastq), BYTES(8), FLAGS(SIMD_W0)),
    [0x1a] = ONLY_66(BROADCAST_128, NONE, L1, BYTES(16), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x1c] = ONE(SSSE3, pabsb), [0x1d] = ONE(SSSE3, pabsw), [0x1e] = ONE(SSSE3, pabsd),
    [0x20] = WIDEN(pmovsxbw, 8), [0x21] = WIDEN(pmovsxbd, 4), [0x22] = WIDEN(pmovsxbq, 2), [0x23] = WIDEN(pmovsxwd, 8),
    [0x24] = WIDEN(pmovsxwq, 4), [0x25] = WIDEN(pmovsxdq, 8),
    [0x28] = TWO(SSE41, pmuldq), [0x29] = TWO(SSE41, pcmpeqq),
    [0x2a] = ONLY_66(LOAD, SSE41, INT, FLAGS(SIMD_ALIGNED | SIMD_MEM)), [0x2b] = TWO(SSE41, packusdw),
    [0x2c] = ONLY_66(MASK_LOAD, NONE, AVX, BYTES(4), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x2d] = ONLY_66(MASK_LOAD, NONE, AVX, BYTES(8), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x2e] = ONLY_66(MASK_STORE, NONE, AVX, BYTES(4), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x2f] = ONLY_66(MASK_STORE, NONE, AVX, BYTES(8), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x30] = WIDEN(pmovzxbw, 8), [0x31] = WIDEN(pmovzxbd, 4), [0x32] = WIDEN(pmovzxbq, 2), [0x33] = WIDEN(pmovzxwd, 8),
    [0x34] = WIDEN(pmovzxwq, 4), [0x35] = WIDEN(pmovzxdq, 8),
    [0x36] = ONLY_66(PERMUTE, NONE, AVX2_L1, FLAGS(SIMD_W0)), [0x37] = TWO(SSE42, pcmpgtq),
    [0x38] = TWO(SSE41, pminsb), [0x39] = TWO(SSE41, pminsd), [0x3a] = TWO(SSE41, pminuw), [0x3b] = TWO(SSE41, pminud),
    [0x3c] = TWO(SSE41, pmaxsb), [0x3d] = TWO(SSE41, pmaxsd), [0x3e] = TWO(SSE41, pmaxuw), [0x3f] = TWO(SSE41, pmaxud),
    [0x40] = TWO(SSE41, pmulld), [0x41] = ONLY_66(ONE, SSE41, L0, FN(phminposuw)),
    [0x45] = ONLY_66(TWO, NONE, AVX2, FN(psrlvd)), [0x46] = ONLY_66(TWO, NONE, AVX2, FN(psravd), FLAGS(SIMD_W0)),
    [0x47] = ONLY_66(TWO, NONE, AVX2, FN(psllvd)), /* 45, 47: with W of 64 bits */
    [0x58] = ONLY_66(BROADCAST, NONE, AVX2, FN(broadcastd), BYTES(4), FLAGS(SIMD_W0)),
    [0x59] = ONLY_66(BROADCAST, NONE, AVX2, FN(broadcastq), BYTES(8), FLAGS(SIMD_W0)),
    [0x5a] = ONLY_66(BROADCAST_128, NONE, AVX2_L1, BYTES(16), FLAGS(SIMD_W0 | SIMD_MEM)),
    [0x78] = ONLY_66(BROADCAST, NONE, AVX2, FN(broadcastb), BYTES(1), FLAGS(SIMD_W0)),
    [0x79] = ONLY_66(BROADCAST, NONE, AVX2, FN(broadcastw), BYTES(2), FLAGS(SIMD_W0)),
    [0x8c] = ONLY_66(MASK_LOAD, NONE, AVX2, FLAGS(SIMD_MEM)), [0x8e] = ONLY_66(MASK_STORE, NONE, AVX2, FLAGS(SIMD_MEM)),
    [0x90 ... 0x93] = ONLY_66(GATHER, NONE, AVX2, FLAGS(SIMD_MEM)),
    FMA_ROWS(0x90), FMA_ROWS(0xa0), FMA_ROWS(0xb0),
    [0xdb] = ONLY_66(ONE, AES, L0, FN(aesimc)), [0xdc] = ONLY_66(TWO, AES, AES, FN(aesenc)),
    [0xdd] = ONLY_66(TWO, AES, AES, FN(aesenclast)), [0xde] = ONLY_66(TWO, AES, AES, FN(aesdec)),
    [0xdf] = ONLY_66(TWO, AES, AES, FN(aesdeclast)),
};

static const struct simd_row map_0f3a[256][4] = {
    [0x00] = ONLY_66(PERMUTE, NONE, AVX2_L1, FLAGS(SIMD_W1)), [0x01] = ONLY_66(PERMUTE, NONE, AVX2_L1, FLAGS(SIMD_W1)),
    [0x02] = ONLY_66(TWO, NONE, AVX2, FN(blendps), FLAGS(SIMD_W0), .split = 4),
    [0x04] = ONLY_66(ONE, NONE, AVX, FN(permilps_imm), FLAGS(SIMD_W0)),
    [0x05] = ONLY_66(ONE, NONE, AVX, FN(permilpd_imm), FLAGS(SIMD_W0), .split = 2),
    [0x06] = ONLY_66(PERMUTE_128, NONE, L1, FLAGS(SIMD_W0)),
    [0x08] = ONLY_66(FLOAT_ONE, SSE41, AVX, .bytes = 0), [0x09] = ONLY_66(FLOAT_ONE, SSE41, AVX, .bytes = 0),
    [0x0a] = ONLY_66(FLOAT, SSE41, SCALAR, BYTES(4)), [0x0b] = ONLY_66(FLOAT, SSE41, SCALAR, BYTES(8)),
    [0x0c] = ONLY_66(TWO, SSE41, AVX, FN(blendps), .split = 4), [0x0d] = ONLY_66(TWO, SSE41, AVX, FN(blendpd), .split = 2),
    [0x0e] = TWO(SSE41, pblendw), [0x0f] = TWO(SSSE3, palignr),
    [0x14] = ONLY_66(EXTRACT, SSE41, L0, BYTES(1)), [0x15] = ONLY_66(EXTRACT, SSE41, L0, BYTES(2)),
    [0x16] = ONLY_66(EXTRACT, SSE41, L0, .bytes = 0), [0x17] = ONLY_66(EXTRACT, SSE41, L0, BYTES(4)),
    [0x18] = ONLY_66(INSERT_128, NONE, L1, BYTES(16), FLAGS(SIMD_W0)),
    [0x19] = ONLY_66(EXTRACT_128, NONE, L1, BYTES(16), FLAGS(SIMD_W0)),
    [0x1d] = ONLY_66(TO_HALF, NONE, F16C, FLAGS(SIMD_W0)),
    [0x20] = ONLY_66(INSERT, SSE41, L0, BYTES(1)), [0x21] = ONLY_66(TWO, SSE41, L0, FN(insertps), BYTES(4)),
    [0x22] = ONLY_66(INSERT, SSE41, L0, .bytes = 0),
    [0x38] = ONLY_66(INSERT_128, NONE, AVX2_L1, BYTES(16), FLAGS(SIMD_W0)),
    [0x39] = ONLY_66(EXTRACT_128, NONE, AVX2_L1, BYTES(16), FLAGS(SIMD_W0)),
    [0x40] = ONLY_66(DOT, SSE41, AVX, BYTES(4)), [0x41] = ONLY_66(DOT, SSE41, L0, BYTES(8)),
    [0x42] = ONLY_66(TWO, SSE41, INT, FN(mpsadbw), .split = 3), [0x44] = ONLY_66(TWO, PCLMUL, PCLMUL, FN(pclmulqdq)),
    [0x46] = ONLY_66(PERMUTE_128, NONE, AVX2_L1, FLAGS(SIMD_W0)),
    [0x4a] = ONLY_66(CHOICE, NONE, AVX, FN(blendvps), FLAGS(SIMD_W0)),
    [0x4b] = ONLY_66(CHOICE, NONE, AVX, FN(blendvpd), FLAGS(SIMD_W0)),
    [0x4c] = ONLY_66(CHOICE, NONE, INT, FN(pblendvb), FLAGS(SIMD_W0)),
    [0x60 ... 0x63] = ONLY_66(STRING, SSE42, L0, FLAGS(SIMD_UNALIGNED)),
    [0xdf] = ONLY_66(ONE, AES, L0, FN(aeskeygenassist)),
};

const struct simd_row *i386_simd_row(unsigned map, unsigned opcode, enum simd_prefix prefix)
{
    switch (map) {
    case 1:  return &map_0f[opcode & 0xff][prefix];
    case 2:  return &map_0f38[opcode & 0xff][prefix];
    default: return &map_0f3a[opcode & 0xff][prefix];
    }
}

/* ---- the micro-ops VECTOR and VECTOR_TEST ---- */

static const struct simd_row *row_of(uint32_t imm)
{
    unsigned prefix = SSE_PREFIX(imm);

    return i386_simd_row(SSE_MAP_OF(imm), SSE_OPCODE(imm),
                         prefix == 0x66 ? PREFIX_66 : prefix == 0xf3 ? PREFIX_F3 : prefix ? PREFIX_F2 : PREFIX_NONE);
}

/* Across both halves: VPERMQ, VPERMPD (imm8), VPERMD, VPERMPS (by a). */
static void permute(const struct ucpu *u, const struct uop *op, union i386_xmm r[2])
{
    const unsigned high = S_VECTOR_HIGH;
    union i386_xmm a[2], b[2];

    memcpy(&a[0], u->s + op->a, 16);
    memcpy(&a[1], u->s + op->a + high, 16);
    memcpy(&b[0], u->s + op->b, 16);
    memcpy(&b[1], u->s + op->b + high, 16);
    if (SSE_MAP_OF(op->imm) == 3) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned from = SSE_IMM8(op->imm) >> 2 * i & 3;

            r[i / 2].q[i % 2] = b[from / 2].q[from % 2];
        }
        return;
    }
    for (unsigned i = 0; i < 8; i++) {
        unsigned from = a[i / 4].l[i % 4] & 7;

        r[i / 4].l[i % 4] = b[from / 4].l[from % 4];
    }
}

void i386_vector_op(struct ucpu *u, const struct uop *op)
{
    union i386_xmm a, b, c, r[2];
    vector_fn *fn;

    if (op->imm & SSE_PAIR) {
        permute(u, op, r);
        memcpy(u->s + op->d, &r[0], 16);
        memcpy(u->s + op->d + S_VECTOR_HIGH, &r[1], 16);
        return;
    }
    memcpy(&a, u->s + op->a, 16);
    memcpy(&b, u->s + op->b, 16);
    memcpy(&c, u->s + VECTOR_C(op->aux), 16);
    fn = row_of(op->imm)->fn;
    if ((op->imm & SSE_WIDE) && fn == vector_psrlvd)
        fn = vector_psrlvq;
    else if ((op->imm & SSE_WIDE) && fn == vector_psllvd)
        fn = vector_psllvq;
    fn(&r[0], &a, &b, &c, op->imm & VECTOR_BY_IMM ? SSE_IMM8(op->imm) | VECTOR_DIGIT(op->aux) << 8 : SSE_IMM8(op->imm));
    memcpy(u->s + op->d, &r[0], 16);
}

/* PTEST; VTESTPS and VTESTPD, of the signs alone: ZF if a & b is 0, CF if ~a & b is. */
uint32_t i386_vector_test(struct ucpu *u, const struct uop *op)
{
    uint64_t mask = SSE_OPCODE(op->imm) == 0x0e ? 0x8000000080000000u : SSE_OPCODE(op->imm) == 0x0f ? (uint64_t)1 << 63 : UINT64_MAX;
    uint64_t both = 0, only_b = 0;

    for (unsigned half = 0; half < (op->imm & SSE_PAIR ? 2 : 1); half++)
        for (unsigned i = 0; i < 2; i++) {
            unsigned at = half * S_VECTOR_HIGH + 8 * i;
            uint64_t a, b;

            memcpy(&a, u->s + op->a + at, 8);
            memcpy(&b, u->s + op->b + at, 8);
            both |= a & b & mask;
            only_b |= ~a & b & mask;
        }
    return (both ? 0 : FLAG_Z) | (only_b ? 0 : FLAG_C);
}
