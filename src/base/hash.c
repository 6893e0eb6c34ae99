/*
 * XXH3-64 by libxxhash.
 */
#include "base/hash.h"

#include <xxhash.h>

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
    return XXH3_64bits_withSeed(data, len, seed);
}
