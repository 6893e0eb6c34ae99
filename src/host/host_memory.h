/* The host's memory: how much there is, and how the program takes it. */
#ifndef HINDCAST_HOST_HOST_MEMORY_H
#define HINDCAST_HOST_HOST_MEMORY_H

#include "base/types.h"

/* Bytes of physical memory, in use or not (sysconf(3), _SC_PHYS_PAGES); 0: the host does not say. */
uint64_t host_memory_bytes(void);
/* From now on, what is freed is kept for the next who allocates, up to 32 MiB at the heap's end (mallopt(3); where there is no such
 * thing nothing happens): footprints and pages of checkpoints come and go, and what comes anew from the host costs a fault for each page. */
void host_memory_keep_freed(void);

#endif
