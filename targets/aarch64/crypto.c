/*
 * The cryptographic extension: AES (FIPS 197), SHA-1 and SHA-256 (FIPS 180-4)
 * as DDI 0487 C7.2 cuts them into instructions. PMULL is in simd.c. Whether
 * the model has them is a64_fp_handler()'s question.
 */
#include "aarch64/fp.h"

/* ---- AES ---- */

static const uint8_t aes_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

/* The S-box backwards: the affine map undone, then the inverse in GF(2^8), which is the
 * S-box's own with its affine map undone once more. Looked up by search: 256 bytes. */
static uint8_t aes_unsub(uint8_t x)
{
    const uint8_t *p = memchr(aes_sbox, x, sizeof aes_sbox);

    return (uint8_t)(p - aes_sbox);
}

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
        s->v[RD(w)].b[i] = aes_unsub(x.b[(i - 4 * (i & 3)) & 15]);
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
