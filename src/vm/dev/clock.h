/*
 * Exact conversion between virtual time and the ticks of a crystal.
 *
 * Tick n of a clock of `hz` hertz is visible from the first nanosecond t with
 * floor(t * hz / 10^9) >= n; the two functions below are inverse in that sense
 * and lose nothing to rounding however long the machine runs.
 */
#ifndef HINDCAST_VM_DEV_CLOCK_H
#define HINDCAST_VM_DEV_CLOCK_H

#include "base/types.h"

#define NS_PER_SEC 1000000000ull

/* Whole ticks since virtual time 0. `hz` up to 10^9. */
static inline uint64_t clock_ticks(vtime_t t, uint32_t hz)
{
    return t / NS_PER_SEC * hz + t % NS_PER_SEC * hz / NS_PER_SEC;
}

/* The first nanosecond at which clock_ticks() is `ticks` or more; VTIME_NEVER beyond the end of time. */
static inline vtime_t clock_time(uint64_t ticks, uint32_t hz)
{
    uint64_t sec = ticks / hz;

    if (sec >= VTIME_NEVER / NS_PER_SEC)
        return VTIME_NEVER;
    return sec * NS_PER_SEC + (ticks % hz * NS_PER_SEC + hz - 1) / hz;
}

#endif
