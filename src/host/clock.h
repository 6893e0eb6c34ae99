/*
 * Host time and entropy. Nothing here may reach guest state except through
 * recorded events.
 */
#ifndef HINDCAST_HOST_CLOCK_H
#define HINDCAST_HOST_CLOCK_H

#include "base/types.h"

/* A clock that never goes back; ns since some moment. */
uint64_t host_monotonic_ns(void);
/* The wall clock, ns since 1970 UTC. */
uint64_t host_wall_ns(void);
/* Fill with bytes of the kernel's random generator. */
void host_random(void *buf, size_t len);

#endif
