/*
 * Guests of random code: what the parts of fuzz_code share. fuzz_code.c runs them in every way there is
 * and compares, fuzz_i386.c and fuzz_a64.c make them.
 */
#ifndef HINDCAST_TESTS_FUZZ_CODE_H
#define HINDCAST_TESTS_FUZZ_CODE_H

#include "vm/machine.h"

/* A stream of random numbers, the same for the same seed on every host. */
struct fuzz_rng {
    uint64_t state;
};

static inline uint32_t fuzz_roll(struct fuzz_rng *r, uint32_t n)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (uint32_t)(r->state >> 33) % n : 0;
}

static inline uint64_t fuzz_roll64(struct fuzz_rng *r)
{
    uint64_t high = fuzz_roll(r, 1u << 31);

    return high << 33 ^ (uint64_t)fuzz_roll(r, 1u << 31) << 11 ^ fuzz_roll(r, 1u << 31);
}

static inline bool fuzz_chance(struct fuzz_rng *r, unsigned percent)
{
    return fuzz_roll(r, 100) < percent;
}

/* A kind of guest. `make` gives a machine with everything in place, which depends on *r alone. */
struct fuzz_mode {
    const char *name;
    struct machine *(*make)(const struct fuzz_mode *mode, struct fuzz_rng *r);
    unsigned what;         /* `make`'s own */
    paddr_t ram;           /* where RAM is that the guest uses, */
    uint64_t ram_bytes;    /* and how much */
    uint64_t code;         /* where breakpoints are likely to be come to, */
    uint64_t code_bytes;
    const char *input;     /* the device that takes input */
};

extern const struct fuzz_mode fuzz_i386_modes[], fuzz_a64_modes[];
extern const unsigned fuzz_i386_count, fuzz_a64_count;

#endif
