/*
 * PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM: strings in registers compared (SDM 1, 12.9.1; SDM 2B, 4.1).
 */
#include "i386/simd.h"

#include <string.h>

/* imm8 */
enum { WORDS = 1, SIGNED = 2, AGGREGATION_SHIFT = 2, NEGATIVE = 0x10, MASKED = 0x20, HIGHEST_OR_EXPANDED = 0x40 };
enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };
/* opcode */
enum { WITH_INDEX = 1, IMPLICIT = 2 };

/* A string: so many elements of it count. */
struct string {
    union i386_xmm v;
    unsigned length;
};

static int value(const struct string *s, unsigned i, unsigned imm)
{
    if (imm & WORDS)
        return imm & SIGNED ? (int16_t)s->v.w[i] : s->v.w[i];
    return imm & SIGNED ? (int8_t)s->v.b[i] : s->v.b[i];
}

static unsigned implicit_length(const struct string *s, unsigned imm)
{
    unsigned count = imm & WORDS ? 8 : 16, n = 0;

    while (n < count && value(s, n, imm))
        n++;
    return n;
}

/* The absolute value of a register, at most the number of elements. */
static unsigned explicit_length(const struct ucpu *u, const struct uop *op, unsigned n, unsigned imm)
{
    unsigned count = imm & WORDS ? 8 : 16;
    uint64_t r, length;
    int64_t v;

    memcpy(&r, u->s + VECTOR_LENGTH(op->aux, n), 8);
    v = op->imm & SSE_WIDE ? (int64_t)r : (int32_t)r;
    length = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    return length > count ? count : (unsigned)length;
}

/* Is element j of b one of a, or in one of the ranges that pairs of a are? */
static bool in_set(const struct string *a, int element, unsigned imm, bool ranges)
{
    for (unsigned i = 0; i < a->length; i++) {
        if (!ranges && value(a, i, imm) == element)
            return true;
        if (ranges && !(i & 1) && i + 1 < a->length && element >= value(a, i, imm) && element <= value(a, i + 1, imm))
            return true;
    }
    return false;
}

/* Does a begin at element j of b? What lies behind the register may still be. */
static bool begins_at(const struct string *a, const struct string *b, unsigned j, unsigned count, unsigned imm)
{
    for (unsigned i = 0; i < a->length && i + j < count; i++)
        if (i + j >= b->length || value(a, i, imm) != value(b, i + j, imm))
            return false;
    return true;
}

/* A bit for each element of b. */
static uint32_t compared(const struct string *a, const struct string *b, unsigned count, unsigned imm)
{
    uint32_t r = 0;

    for (unsigned j = 0; j < count; j++) {
        bool valid = j < b->length, bit;

        switch (imm >> AGGREGATION_SHIFT & 3) {
        case EQUAL_ANY: bit = valid && in_set(a, value(b, j, imm), imm, false); break;
        case RANGES:    bit = valid && in_set(a, value(b, j, imm), imm, true); break;
        case EQUAL_EACH:
            bit = j < a->length ? valid && value(a, j, imm) == value(b, j, imm) : !valid;
            break;
        default:        bit = begins_at(a, b, j, count, imm); break;
        }
        r |= (uint32_t)bit << j;
    }
    if ((imm & NEGATIVE) && (imm & MASKED))
        r ^= (1u << b->length) - 1;
    else if (imm & NEGATIVE)
        r ^= (1u << count) - 1;
    return r;
}

static union i386_xmm as_mask(uint32_t bits, unsigned count, unsigned imm)
{
    union i386_xmm r = {.q = {0, 0}};

    if (!(imm & HIGHEST_OR_EXPANDED)) {
        r.l[0] = bits;
        return r;
    }
    for (unsigned i = 0; i < count; i++)
        if (imm & WORDS)
            r.w[i] = bits >> i & 1 ? UINT16_MAX : 0;
        else
            r.b[i] = bits >> i & 1 ? UINT8_MAX : 0;
    return r;
}

uint32_t i386_vector_strings(struct ucpu *u, const struct uop *op)
{
    unsigned imm = SSE_IMM8(op->imm), opcode = SSE_OPCODE(op->imm), count = imm & WORDS ? 8 : 16;
    struct string a, b;
    union i386_xmm mask;
    uint64_t index;
    uint32_t bits;

    memcpy(&a.v, u->s + op->a, 16);
    memcpy(&b.v, u->s + op->b, 16);
    a.length = opcode & IMPLICIT ? implicit_length(&a, imm) : explicit_length(u, op, 0, imm);
    b.length = opcode & IMPLICIT ? implicit_length(&b, imm) : explicit_length(u, op, 1, imm);
    bits = compared(&a, &b, count, imm);
    if (opcode & WITH_INDEX) {
        index = !bits ? count : imm & HIGHEST_OR_EXPANDED ? 31u - (unsigned)__builtin_clz(bits) : (unsigned)__builtin_ctz(bits);
        memcpy(u->s + op->d, &index, 8);
    } else {
        mask = as_mask(bits, count, imm);
        memcpy(u->s + op->d, &mask, 16);
    }
    return (bits ? FLAG_C : 0) | (b.length < count ? FLAG_Z : 0) | (a.length < count ? FLAG_S : 0) | (bits & 1 ? FLAG_O : 0);
}
