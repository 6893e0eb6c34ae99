/*
 * AES-NI (SDM 2; FIPS 197) and PCLMULQDQ. A state is 16 bytes, column by column.
 */
#include "i386/vector.h"

#include "base/aes.h"

/* ShiftRows and SubBytes, or (`inverse`) what undoes them. */
static void substitute(union i386_xmm *r, const union i386_xmm *a, bool inverse)
{
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++) {
            unsigned from = 4 * ((inverse ? column - row : column + row) & 3) + row;

            r->b[4 * column + row] = (inverse ? aes_inverse_sbox : aes_sbox)[a->b[from]];
        }
}

/* Times x in GF(2^8). */
static unsigned doubled(unsigned v)
{
    return (v << 1 ^ (v & 0x80 ? 0x1b : 0)) & 0xff;
}

static unsigned times(unsigned v, unsigned by)
{
    unsigned r = 0;

    for (; by; by >>= 1, v = doubled(v))
        if (by & 1)
            r ^= v;
    return r;
}

/* MixColumns by the polynomial whose coefficients are c0, c1, c2, c3. */
static void mix(union i386_xmm *r, const union i386_xmm *a, const uint8_t polynomial[4])
{
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++) {
            unsigned sum = 0;

            for (unsigned k = 0; k < 4; k++)
                sum ^= times(a->b[4 * column + k], polynomial[(row - k) & 3]);
            r->b[4 * column + row] = (uint8_t)sum;
        }
}

static const uint8_t forward[4] = {2, 1, 1, 3}, backward[4] = {14, 9, 13, 11};

static void add_key(union i386_xmm *r, const union i386_xmm *key)
{
    r->q[0] ^= key->q[0];
    r->q[1] ^= key->q[1];
}

VECTOR_FUNCTION(aesenc)
{
    union i386_xmm t;

    substitute(&t, a, false);
    mix(r, &t, forward);
    add_key(r, b);
}

VECTOR_FUNCTION(aesenclast)
{
    substitute(r, a, false);
    add_key(r, b);
}

VECTOR_FUNCTION(aesdec)
{
    union i386_xmm t;

    substitute(&t, a, true);
    mix(r, &t, backward);
    add_key(r, b);
}

VECTOR_FUNCTION(aesdeclast)
{
    substitute(r, a, true);
    add_key(r, b);
}

VECTOR_FUNCTION(aesimc)
{
    mix(r, b, backward);
}

static uint32_t substituted_word(uint32_t v)
{
    uint32_t r = 0;

    for (unsigned i = 0; i < 32; i += 8)
        r |= (uint32_t)aes_sbox[v >> i & 0xff] << i;
    return r;
}

VECTOR_FUNCTION(aeskeygenassist)
{
    for (unsigned i = 0; i < 4; i += 2) {
        uint32_t v = substituted_word(b->l[i + 1]);

        r->l[i] = v;
        r->l[i + 1] = (v >> 8 | v << 24) ^ imm8;
    }
}

VECTOR_FUNCTION(pclmulqdq)
{
    uint64_t x = a->q[imm8 & 1], y = b->q[imm8 >> 4 & 1];

    *r = (union i386_xmm){.q = {0, 0}};
    for (unsigned i = 0; i < 64; i++)
        if (y >> i & 1) {
            r->q[0] ^= x << i;
            r->q[1] ^= i ? x >> (64 - i) : 0;
        }
}
