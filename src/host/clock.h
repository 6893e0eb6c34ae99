/*
 * Host time and entropy. Nothing here may reach guest state except through
 * recorded events.
 */
#ifndef HINDCAST_HOST_CLOCK_H
#define HINDCAST_HOST_CLOCK_H

#include <stddef.h>

#include "base/types.h"

/* A clock that never goes back; ns since some moment. */
uint64_t host_monotonic_ns(void);
/* Processor time that the calling thread has had, ns: what others make of the host's processors does not count. */
uint64_t host_thread_ns(void);
/* The wall clock, ns since 1970 UTC. */
uint64_t host_wall_ns(void);
/* By so many seconds the host's time zone is ahead of UTC at that time. */
int64_t host_zone_seconds(uint64_t wall_ns);
/* A time of the wall clock as people here read it, by a format of strftime(3). */
void host_local_time(uint64_t wall_ns, const char *format, char *text, size_t size);
/* Fill with bytes of the kernel's random generator. */
void host_random(void *buf, size_t len);
/* How many threads the host can run at a time; at least 1. */
unsigned host_processors(void);

#endif
