/*
 * Numbers as bytes: loads and stores of an order that the format or the wire prescribes, at any alignment. A store
 * takes the value's low bits. buffer.h appends in the same orders.
 */
#ifndef HINDCAST_BASE_BYTES_H
#define HINDCAST_BASE_BYTES_H

#include <string.h>

#include "base/types.h"

/* `size` bytes, 0 to 8, the least significant first (hosts are little-endian: types.h). */
static inline uint64_t get_le(const void *from, size_t size)
{
    uint64_t v = 0;

    memcpy(&v, from, size);
    return v;
}

static inline uint16_t get_le16(const void *from)
{
    return (uint16_t)get_le(from, 2);
}

static inline uint32_t get_le32(const void *from)
{
    return (uint32_t)get_le(from, 4);
}

static inline uint64_t get_le64(const void *from)
{
    return get_le(from, 8);
}

static inline void put_le(void *to, uint64_t v, size_t size)
{
    memcpy(to, &v, size);
}

static inline void put_le16(void *to, uint32_t v)
{
    put_le(to, v, 2);
}

static inline void put_le32(void *to, uint32_t v)
{
    put_le(to, v, 4);
}

static inline void put_le64(void *to, uint64_t v)
{
    put_le(to, v, 8);
}

/* `size` bytes, 0 to 8, the most significant first. */
static inline uint64_t get_be(const void *from, size_t size)
{
    const uint8_t *p = from;
    uint64_t v = 0;

    while (size--)
        v = v << 8 | *p++;
    return v;
}

static inline uint16_t get_be16(const void *from)
{
    return __builtin_bswap16(get_le16(from));
}

static inline uint32_t get_be32(const void *from)
{
    return __builtin_bswap32(get_le32(from));
}

static inline uint64_t get_be64(const void *from)
{
    return __builtin_bswap64(get_le64(from));
}

static inline void put_be(void *to, uint64_t v, size_t size)
{
    uint8_t *p = to;

    for (; size--; v >>= 8)
        p[size] = (uint8_t)v;
}

static inline void put_be16(void *to, uint32_t v)
{
    put_be(to, v, 2);
}

static inline void put_be32(void *to, uint32_t v)
{
    put_be(to, v, 4);
}

static inline void put_be64(void *to, uint64_t v)
{
    put_be(to, v, 8);
}

#endif
