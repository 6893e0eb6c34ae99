/*
 * Operations on bits that C has no words for. See bits.h.
 */
#include "vm/bits.h"

#include <string.h>

#include "vm/flags.h"

uint64_t bits_deposit(uint64_t x, uint64_t mask)
{
    uint64_t result = 0;

    for (; mask; mask &= mask - 1, x >>= 1)
        if (x & 1)
            result |= mask & (0 - mask);
    return result;
}

uint64_t bits_extract(uint64_t x, uint64_t mask)
{
    uint64_t result = 0;

    for (uint64_t bit = 1; mask; mask &= mask - 1, bit <<= 1)
        if (x & mask & (0 - mask))
            result |= bit;
    return result;
}

/* What four bits make of the rest, of the polynomial 1EDC6F41H, reflected. */
static const uint32_t crc32c_nibble[16] = {
    0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u, 0x417b1dbcu, 0x5125dad3u, 0x61c69362u, 0x7198540du,
    0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u, 0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u,
};

uint32_t bits_crc32c(uint32_t crc, uint64_t x, unsigned bytes)
{
    for (unsigned n = 0; n < 2 * bytes; n++, x >>= 4)
        crc = crc >> 4 ^ crc32c_nibble[(crc ^ (uint32_t)x) & 15];
    return crc;
}

__extension__ typedef unsigned __int128 uint128;

uint32_t bits_rotate(uint8_t *d, const uint8_t *a, unsigned count, unsigned how, uint32_t flags)
{
    const unsigned bytes = 1u << (how >> ROTATE_SIZE_SHIFT & 3), bits = 8 * bytes;
    const bool left = !(how & ROTATE_RIGHT), with_carry = how & ROTATE_LEFT_CARRY;
    const unsigned all = with_carry ? bits + 1 : bits;
    unsigned n = (count &= bits == 64 ? 63 : 31) % all;
    uint64_t x = 0;
    uint128 v;

    memcpy(&x, a, bytes);
    v = x | (with_carry && (flags & FLAG_C) ? (uint128)1 << bits : 0);
    if (!left)
        n = (all - n) % all;
    if (n)
        v = v << n | v >> (all - n);
    x = (uint64_t)v & UINT64_MAX >> (64 - bits);
    memcpy(d, &x, how & ROTATE_WIDE ? 8 : bytes);
    if (!count)
        return flags;
    flags &= ~(FLAG_C | FLAG_O);
    if (with_carry ? v >> bits & 1 : left ? x & 1 : x >> (bits - 1))
        flags |= FLAG_C;
    if ((left ? x >> (bits - 1) ^ flags : x >> (bits - 1) ^ x >> (bits - 2)) & 1)
        flags |= FLAG_O;
    return flags;
}
_Static_assert(FLAG_C == 1, "it is bit 0 of the flags");
