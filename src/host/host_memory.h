/* How much memory the host has. */
#ifndef HINDCAST_HOST_HOST_MEMORY_H
#define HINDCAST_HOST_HOST_MEMORY_H

#include "base/types.h"

/* Bytes of physical memory, in use or not (sysconf(3), _SC_PHYS_PAGES); 0: the host does not say. */
uint64_t host_memory_bytes(void);

#endif
