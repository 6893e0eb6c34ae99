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
