/*
 * State hashes: XXH3-64 (stable across versions and hosts of one byte order).
 * Used for comparing states and naming images, never for security.
 */
#ifndef HINDCAST_BASE_HASH_H
#define HINDCAST_BASE_HASH_H

#include "base/types.h"

/* Hash `len` bytes, chained onto `seed` (0 to start). */
uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);

#endif
