/*
 * Operations on bits that C has no words for: what micro-ops are made of (uop.def).
 */
#ifndef HINDCAST_VM_BITS_H
#define HINDCAST_VM_BITS_H

#include "base/types.h"

/* The low bits of x, one by one, to where mask has ones. */
uint64_t bits_deposit(uint64_t x, uint64_t mask);
/* The bits of x where mask has ones, one by one, together at the bottom. */
uint64_t bits_extract(uint64_t x, uint64_t mask);
/* CRC-32C (Castagnoli, reflected, without inversions) of the low `bytes` bytes of x, the lowest first, from `crc` on. */
uint32_t bits_crc32c(uint32_t crc, uint64_t x, unsigned bytes);

/* What bits_rotate() does: left or right, through the carry or not; log2 of bytes << ROTATE_SIZE_SHIFT; is the result, of 4 bytes,
 * zero-extended to 8? */
enum { ROTATE_LEFT, ROTATE_RIGHT, ROTATE_LEFT_CARRY, ROTATE_RIGHT_CARRY, ROTATE_SIZE_SHIFT = 2, ROTATE_WIDE = 16 };
/* *d = *a, rotated by the low five bits of the count (of 8 bytes: six). Returns what becomes of `flags`: C and O change, O as after a
 * rotation by 1, unless the count is 0. */
uint32_t bits_rotate(uint8_t *d, const uint8_t *a, unsigned count, unsigned how, uint32_t flags);

/* *sum = a + b + carry; the carry out of it, 0 or 1. */
static inline uint32_t bits_add_32(uint32_t a, uint32_t b, unsigned carry, uint32_t *sum)
{
    uint64_t wide = (uint64_t)a + b + carry;

    *sum = (uint32_t)wide;
    return (uint32_t)(wide >> 32);
}

static inline uint32_t bits_add_64(uint64_t a, uint64_t b, unsigned carry, uint64_t *sum)
{
    uint64_t part;
    bool over = __builtin_add_overflow(a, b, &part);

    return __builtin_add_overflow(part, (uint64_t)carry, sum) | over;
}

#endif
