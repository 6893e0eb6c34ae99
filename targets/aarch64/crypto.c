/*
 * The cryptographic extension: AES (FIPS 197), SHA-1 and SHA-256 (FIPS 180-4)
 * as DDI 0487 C7.2 cuts them into instructions. PMULL is in simd.c. Whether
 * the model has them is a64_fp_handler()'s question.
 */
#include "aarch64/fp.h"

#include "base/aes.h"

/* ---- AES ---- */

static int aese(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg x = {.d = {s->v[RD(w)].d[0] ^ s->v[RN(w)].d[0], s->v[RD(w)].d[1] ^ s->v[RN(w)].d[1]}};

    for (unsigned i = 0; i < 16; i++) /* row i & 3 moves left by as many columns */
        s->v[RD(w)].b[i] = aes_sbox[x.b[(i + 4 * (i & 3)) & 15]];
    return UOP_NEXT;
}

static int aesd(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg x = {.d = {s->v[RD(w)].d[0] ^ s->v[RN(w)].d[0], s->v[RD(w)].d[1] ^ s->v[RN(w)].d[1]}};

    for (unsigned i = 0; i < 16; i++)
        s->v[RD(w)].b[i] = aes_inverse_sbox[x.b[(i - 4 * (i & 3)) & 15]];
    return UOP_NEXT;
}

static uint8_t gf_multiply(uint8_t a, unsigned b)
{
    unsigned r = 0, x = a;

    for (; b; b >>= 1, x = x << 1 ^ (x & 0x80 ? 0x11b : 0))
        r ^= b & 1 ? x : 0;
    return (uint8_t)r;
}

INLINE int mix_columns(struct ucpu *u, const struct uop *op, const uint8_t c[4])
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg x = s->v[RN(w)];

    for (unsigned i = 0; i < 16; i++) {
        uint8_t r = 0;
        for (unsigned k = 0; k < 4; k++)
            r ^= gf_multiply(x.b[(i & 12) | ((i + k) & 3)], c[k]);
        s->v[RD(w)].b[i] = r;
    }
    return UOP_NEXT;
}

static int aesmc(struct ucpu *u, const struct uop *op)
{
    static const uint8_t c[4] = {2, 3, 1, 1};

    return mix_columns(u, op, c);
}

static int aesimc(struct ucpu *u, const struct uop *op)
{
    static const uint8_t c[4] = {14, 11, 13, 9};

    return mix_columns(u, op, c);
}

/* ---- SHA ---- */

static uint32_t ror(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return z ^ ((y ^ z) & x);
}

static uint32_t parity(uint32_t x, uint32_t y, uint32_t z)
{
    return x ^ y ^ z;
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | ((x | y) & z);
}

INLINE int sha1_rounds(struct ucpu *u, const struct uop *op, uint32_t (*f)(uint32_t, uint32_t, uint32_t))
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg m = s->v[RM(w)];
    union a64_vreg x = s->v[RD(w)];
    uint32_t y = s->v[RN(w)].s[0];

    for (unsigned i = 0; i < 4; i++) {
        y += ror(x.s[0], 27) + f(x.s[1], x.s[2], x.s[3]) + m.s[i];
        x.s[1] = ror(x.s[1], 2);
        uint32_t t = y;
        y = x.s[3];
        x = (union a64_vreg){.s = {t, x.s[0], x.s[1], x.s[2]}};
    }
    s->v[RD(w)] = x;
    return UOP_NEXT;
}

HELPER(sha1c, sha1_rounds(u, op, choose))
HELPER(sha1p, sha1_rounds(u, op, parity))
HELPER(sha1m, sha1_rounds(u, op, majority))

static int sha1su0(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg d = s->v[RD(w)], n = s->v[RN(w)], m = s->v[RM(w)];

    s->v[RD(w)].d[0] = d.d[0] ^ d.d[1] ^ m.d[0];
    s->v[RD(w)].d[1] = d.d[1] ^ n.d[0] ^ m.d[1];
    return UOP_NEXT;
}

static int sha1su1(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg d = s->v[RD(w)], n = s->v[RN(w)];
    union a64_vreg r;

    for (unsigned i = 0; i < 3; i++)
        r.s[i] = ror(d.s[i] ^ n.s[i + 1], 31);
    r.s[3] = ror(d.s[3], 31) ^ ror(d.s[0] ^ n.s[1], 30);
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

static int sha1h(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);

    s->v[RD(w)] = (union a64_vreg){.d = {ror(s->v[RN(w)].s[0], 2), 0}};
    return UOP_NEXT;
}

/* x holds a-d, y e-h; four rounds. */
static void sha256_rounds(union a64_vreg *x, union a64_vreg *y, const union a64_vreg *m)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t e = y->s[0], a = x->s[0];
        uint32_t t = y->s[3] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + choose(e, y->s[1], y->s[2]) + m->s[i];
        uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + majority(a, x->s[1], x->s[2]);

        *y = (union a64_vreg){.s = {x->s[3] + t, e, y->s[1], y->s[2]}};
        *x = (union a64_vreg){.s = {t + t2, a, x->s[1], x->s[2]}};
    }
}

static int sha256h(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    union a64_vreg x = s->v[RD(w)], y = s->v[RN(w)];
    const union a64_vreg m = s->v[RM(w)];

    sha256_rounds(&x, &y, &m);
    s->v[RD(w)] = x;
    return UOP_NEXT;
}

static int sha256h2(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    union a64_vreg x = s->v[RN(w)], y = s->v[RD(w)];
    const union a64_vreg m = s->v[RM(w)];

    sha256_rounds(&x, &y, &m);
    s->v[RD(w)] = y;
    return UOP_NEXT;
}

static int sha256su0(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg d = s->v[RD(w)], n = s->v[RN(w)];

    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = i < 3 ? d.s[i + 1] : n.s[0];
        s->v[RD(w)].s[i] = d.s[i] + (ror(x, 7) ^ ror(x, 18) ^ x >> 3);
    }
    return UOP_NEXT;
}

static int sha256su1(struct ucpu *u, const struct uop *op)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const union a64_vreg d = s->v[RD(w)], n = s->v[RN(w)], m = s->v[RM(w)];
    union a64_vreg r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = i < 2 ? m.s[i + 2] : r.s[i - 2];
        r.s[i] = d.s[i] + (i < 3 ? n.s[i + 1] : m.s[0]) + (ror(x, 17) ^ ror(x, 19) ^ x >> 10);
    }
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

a64_helper *a64_crypto(uint32_t w)
{
    static a64_helper *const aes[4] = {aese, aesd, aesmc, aesimc};
    static a64_helper *const sha_three[7] = {sha1c, sha1p, sha1m, sha1su0, sha256h, sha256h2, sha256su1};
    static a64_helper *const sha_two[3] = {sha1h, sha1su1, sha256su0};
    unsigned opcode = BITS(w, 12, 5);

    if (!is_scalar(w))
        return opcode >= 4 && opcode < 8 ? aes[opcode - 4] : NULL;
    if (BIT(w, 11))
        return opcode < 3 ? sha_two[opcode] : NULL;
    opcode = BITS(w, 12, 3);
    return opcode < 7 ? sha_three[opcode] : NULL;
}
