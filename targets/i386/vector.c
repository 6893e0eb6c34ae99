/*
 * Packed integers, shuffles, choices: what SSE2 to AVX2 have beyond MMX, on 128 bits (SDM 2).
 *
 * To add one: a function here, its name in vector.h, a row in simd_map.c.
 */
#include "i386/vector.h"

#include <string.h>

/* ---- shuffles ---- */

VECTOR_FUNCTION(pshufd)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = b->l[imm8 >> 2 * i & 3];
}

static void shuffle_words(union i386_xmm *r, const union i386_xmm *b, unsigned first, unsigned imm8)
{
    *r = *b;
    for (unsigned i = 0; i < 4; i++)
        r->w[first + i] = b->w[first + (imm8 >> 2 * i & 3)];
}

VECTOR_FUNCTION(pshuflw) { shuffle_words(r, b, 0, imm8); }
VECTOR_FUNCTION(pshufhw) { shuffle_words(r, b, 4, imm8); }

VECTOR_FUNCTION(shufps)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = (i < 2 ? a : b)->l[imm8 >> 2 * i & 3];
}

VECTOR_FUNCTION(shufpd)
{
    r->q[0] = a->q[imm8 & 1];
    r->q[1] = b->q[imm8 >> 1 & 1];
}

VECTOR_FUNCTION(movddup)
{
    r->q[0] = r->q[1] = b->q[0];
}

VECTOR_FUNCTION(movsldup)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = b->l[i & 2];
}

VECTOR_FUNCTION(movshdup)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = b->l[i | 1];
}

VECTOR_FUNCTION(movss)
{
    *r = *a;
    r->l[0] = b->l[0];
}

VECTOR_FUNCTION(movsd)
{
    r->q[0] = b->q[0];
    r->q[1] = a->q[1];
}

#define BROADCAST(name, lane, n) \
    VECTOR_FUNCTION(name) \
    { \
        for (unsigned i = 0; i < (n); i++) \
            r->lane[i] = b->lane[0]; \
    }
BROADCAST(broadcastb, b, 16)
BROADCAST(broadcastw, w, 8)
BROADCAST(broadcastd, l, 4)
BROADCAST(broadcastq, q, 2)

VECTOR_FUNCTION(permilps_imm) { vector_pshufd(r, a, b, c, imm8); }
VECTOR_FUNCTION(permilpd_imm) { vector_shufpd(r, b, b, c, imm8); }

VECTOR_FUNCTION(permilps)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = a->l[b->l[i] & 3];
}

VECTOR_FUNCTION(permilpd)
{
    for (unsigned i = 0; i < 2; i++)
        r->q[i] = a->q[b->q[i] >> 1 & 1];
}

VECTOR_FUNCTION(pshufb)
{
    for (unsigned i = 0; i < 16; i++)
        r->b[i] = b->b[i] & 0x80 ? 0 : a->b[b->b[i] & 15];
}

VECTOR_FUNCTION(palignr)
{
    uint8_t both[48] = {0};
    unsigned n = imm8 < 32 ? imm8 : 32;

    memcpy(both, b->b, 16);
    memcpy(both + 16, a->b, 16);
    memcpy(r->b, both + n, 16);
}

/* imm8: which element of a register b is (a memory operand is the lowest of its own), to where, which become 0 */
VECTOR_FUNCTION(insertps)
{
    *r = *a;
    r->l[imm8 >> 4 & 3] = b->l[imm8 >> 6 & 3];
    for (unsigned i = 0; i < 4; i++)
        if (imm8 >> i & 1)
            r->l[i] = 0;
}

/* ---- choices ---- */

#define CHOICE(name, lane, n, condition) \
    VECTOR_FUNCTION(name) \
    { \
        for (unsigned i = 0; i < (n); i++) \
            r->lane[i] = (condition) ? b->lane[i] : a->lane[i]; \
    }
CHOICE(pblendvb, b, 16, c->b[i] & 0x80)
CHOICE(blendvps, l, 4, c->l[i] >> 31)
CHOICE(blendvpd, q, 2, c->q[i] >> 63)
CHOICE(blendps, l, 4, imm8 >> i & 1)
CHOICE(blendpd, q, 2, imm8 >> i & 1)
CHOICE(pblendw, w, 8, imm8 >> i & 1)

/* ---- arithmetic, element by element: x and y are those of a and b ---- */

#define EACH(name, type, lane, n, expression) \
    VECTOR_FUNCTION(name) \
    { \
        for (unsigned i = 0; i < (n); i++) { \
            const type x = (type)a->lane[i], y = (type)b->lane[i]; \
            (void)x; \
            (void)y; \
            r->lane[i] = (__typeof__(r->lane[0]))(expression); \
        } \
    }
EACH(psignb, int8_t, b, 16, y < 0 ? -x : y ? x : 0)
EACH(psignw, int16_t, w, 8, y < 0 ? -x : y ? x : 0)
EACH(psignd, uint32_t, l, 4, y >> 31 ? 0 - x : y ? x : 0)
EACH(pabsb, int8_t, b, 16, y < 0 ? -y : y)
EACH(pabsw, int16_t, w, 8, y < 0 ? -y : y)
EACH(pabsd, uint32_t, l, 4, y >> 31 ? 0 - y : y)
EACH(pmulhrsw, int16_t, w, 8, ((x * y >> 14) + 1) >> 1)
EACH(pcmpeqq, uint64_t, q, 2, x == y ? UINT64_MAX : 0)
EACH(pcmpgtq, int64_t, q, 2, x > y ? UINT64_MAX : 0)
EACH(pminsb, int8_t, b, 16, x < y ? x : y)
EACH(pmaxsb, int8_t, b, 16, x > y ? x : y)
EACH(pminuw, uint16_t, w, 8, x < y ? x : y)
EACH(pmaxuw, uint16_t, w, 8, x > y ? x : y)
EACH(pminsd, int32_t, l, 4, x < y ? x : y)
EACH(pmaxsd, int32_t, l, 4, x > y ? x : y)
EACH(pminud, uint32_t, l, 4, x < y ? x : y)
EACH(pmaxud, uint32_t, l, 4, x > y ? x : y)
EACH(pmulld, uint32_t, l, 4, x * y)
EACH(pmuldq, uint64_t, q, 2, (uint64_t)((int64_t)(int32_t)x * (int32_t)y))
EACH(psllvd, uint32_t, l, 4, y > 31 ? 0 : x << y)
EACH(psllvq, uint64_t, q, 2, y > 63 ? 0 : x << y)
EACH(psrlvd, uint32_t, l, 4, y > 31 ? 0 : x >> y)
EACH(psrlvq, uint64_t, q, 2, y > 63 ? 0 : x >> y)

VECTOR_FUNCTION(psravd)
{
    for (unsigned i = 0; i < 4; i++)
        r->l[i] = (uint32_t)((int32_t)a->l[i] >> (b->l[i] > 31 ? 31 : b->l[i]));
}

static int clamp_16(int v)
{
    return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v;
}

VECTOR_FUNCTION(pmaddubsw)
{
    for (unsigned i = 0; i < 8; i++)
        r->w[i] = (uint16_t)clamp_16(a->b[2 * i] * (int8_t)b->b[2 * i] + a->b[2 * i + 1] * (int8_t)b->b[2 * i + 1]);
}

/* Neighbours of a, then those of b: x the lower, y the higher. */
#define HORIZONTAL(name, type, lane, n, expression) \
    VECTOR_FUNCTION(name) \
    { \
        for (unsigned i = 0; i < (n); i++) { \
            const union i386_xmm *from = i < (n) / 2 ? a : b; \
            const type x = (type)from->lane[2 * i % (n)], y = (type)from->lane[2 * i % (n) + 1]; \
            r->lane[i] = (__typeof__(r->lane[0]))(expression); \
        } \
    }
HORIZONTAL(phaddw, int16_t, w, 8, x + y)
HORIZONTAL(phaddd, uint32_t, l, 4, x + y)
HORIZONTAL(phaddsw, int16_t, w, 8, clamp_16(x + y))
HORIZONTAL(phsubw, int16_t, w, 8, x - y)
HORIZONTAL(phsubd, uint32_t, l, 4, x - y)
HORIZONTAL(phsubsw, int16_t, w, 8, clamp_16(x - y))

VECTOR_FUNCTION(packusdw)
{
    for (unsigned i = 0; i < 8; i++) {
        int32_t v = (int32_t)(i < 4 ? a : b)->l[i & 3];

        r->w[i] = (uint16_t)(v < 0 ? 0 : v > UINT16_MAX ? UINT16_MAX : v);
    }
}

VECTOR_FUNCTION(phminposuw)
{
    unsigned least = 0;

    for (unsigned i = 1; i < 8; i++)
        if (b->w[i] < b->w[least])
            least = i;
    *r = (union i386_xmm){.l = {b->w[least] | least << 16, 0, 0, 0}};
}

VECTOR_FUNCTION(mpsadbw)
{
    const uint8_t *x = a->b + (imm8 & 4), *y = b->b + 4 * (imm8 & 3);

    for (unsigned i = 0; i < 8; i++) {
        unsigned sum = 0;

        for (unsigned k = 0; k < 4; k++)
            sum += (unsigned)(x[i + k] > y[k] ? x[i + k] - y[k] : y[k] - x[i + k]);
        r->w[i] = (uint16_t)sum;
    }
}

/* ---- widening: of the low elements of b ---- */

#define WIDEN(name, from, from_lane, to, to_lane, n) \
    VECTOR_FUNCTION(name) \
    { \
        for (unsigned i = 0; i < (n); i++) \
            r->to_lane[i] = (to)(from)b->from_lane[i]; \
    }
WIDEN(pmovsxbw, int8_t, b, uint16_t, w, 8)
WIDEN(pmovsxbd, int8_t, b, uint32_t, l, 4)
WIDEN(pmovsxbq, int8_t, b, uint64_t, q, 2)
WIDEN(pmovsxwd, int16_t, w, uint32_t, l, 4)
WIDEN(pmovsxwq, int16_t, w, uint64_t, q, 2)
WIDEN(pmovsxdq, int32_t, l, uint64_t, q, 2)
WIDEN(pmovzxbw, uint8_t, b, uint16_t, w, 8)
WIDEN(pmovzxbd, uint8_t, b, uint32_t, l, 4)
WIDEN(pmovzxbq, uint8_t, b, uint64_t, q, 2)
WIDEN(pmovzxwd, uint16_t, w, uint32_t, l, 4)
WIDEN(pmovzxwq, uint16_t, w, uint64_t, q, 2)
WIDEN(pmovzxdq, uint32_t, l, uint64_t, q, 2)

/* ---- fields of bits: SSE4A (AMD APM 4) ---- */

/* Length (0: 64) and the lowest bit's number are in six bits each of the second operand. */
static uint64_t field_bits(unsigned length)
{
    return UINT64_MAX >> (length & 63 ? 64 - (length & 63) : 0);
}

VECTOR_FUNCTION(extrq)
{
    r->q[0] = a->q[0] >> (b->b[1] & 63) & field_bits(b->b[0]);
    r->q[1] = 0;
}

VECTOR_FUNCTION(insertq)
{
    unsigned at = b->b[9] & 63;
    uint64_t bits = field_bits(b->b[8]) << at;

    r->q[0] = (a->q[0] & ~bits) | (b->q[0] << at & bits);
    r->q[1] = 0;
}
