/* The host's memory. See host_memory.h. */
#include "host/host_memory.h"

#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

uint64_t host_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

void host_memory_keep_freed(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, 32 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20); /* beyond it, each is a mapping of its own: it comes zero, and grows without being copied */
    (void)mallopt(M_TOP_PAD, 1 << 20);
#endif
}
