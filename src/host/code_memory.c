/*
 * Memory for machine code made at run time: an anonymous file, mapped twice
 * (memfd_create(2)), since hosts may forbid pages that are both writable and
 * executable. A host that forbids the second mapping too (SELinux execmod, seccomp)
 * gives an error.
 */
#include "host/code_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/big_memory.h"

/* A page of the host's that is large; and how much of one has to be wanted before it is. */
#define LARGE ((size_t)2 << 20)
#define LARGE_WANTED (LARGE / 8)

#if defined(__linux__) && !defined(MADV_COLLAPSE)
#define MADV_COLLAPSE 25 /* C libraries learnt of it later than kernels */
#endif

/* Where large pages fit both mappings, whatever the host's habits are. */
static void *map(int fd, size_t size, int protection)
{
    size_t room = size + LARGE - 1;
    uint8_t *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *code;
    size_t before;

    if (at == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)at & (LARGE - 1);
    code = mmap(at + before, size, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (code == MAP_FAILED) {
        int why = errno;

        munmap(at, room);
        errno = why;
        return NULL;
    }
    if (before)
        munmap(at, before);
    if (before < LARGE - 1)
        munmap(code + size, room - before - size);
    return code;
}

/* What there is of a large page becomes one, in either mapping. Code that is run lies far apart, and the processor's TLB does not
 * reach over it by small pages. Hosts give shared memory in large pages to few (transparent_hugepage/shmem_enabled), but do it when
 * told to (Linux 6.1). One that does not goes on by small pages. */
static void make_large(const struct code_memory *m, size_t from)
{
#ifdef MADV_COLLAPSE
    if (!madvise(m->write + from, LARGE, MADV_COLLAPSE))
        (void)madvise((uint8_t *)(uintptr_t)m->execute + from, LARGE, MADV_COLLAPSE);
#else
    (void)m;
    (void)from;
#endif
}

/* (A host that cannot do it gives a page at each touch, as ever.) */
static void back(const struct code_memory *m, size_t from, size_t len)
{
    size_t large = from & ~(LARGE - 1), had = from - large;

#if defined(MADV_POPULATE_WRITE) && defined(MADV_POPULATE_READ)
    (void)madvise(m->write + from, len, MADV_POPULATE_WRITE);
    (void)madvise((uint8_t *)(uintptr_t)m->execute + from, len, MADV_POPULATE_READ);
#endif
    if (had < LARGE_WANTED && had + len >= LARGE_WANTED && large + LARGE <= m->size)
        make_large(m, large);
}

int code_memory_map(struct code_memory *m, size_t size, struct error *err)
{
    int fd = memfd_create("hindcast-code", MFD_CLOEXEC), code;
    void *write, *execute;

    *m = (struct code_memory){0};
    if (fd < 0)
        return error_set(err, -errno, "no memory for compiled code: %s", strerror(errno));
    if (ftruncate(fd, (off_t)size) < 0) {
        code = errno;
        close(fd);
        return error_set(err, -code, "no memory for compiled code: %s", strerror(code));
    }
    write = map(fd, size, PROT_READ | PROT_WRITE);
    execute = map(fd, size, PROT_READ | PROT_EXEC);
    code = errno;
    close(fd);
    if (!write || !execute) {
        if (write)
            munmap(write, size);
        if (execute)
            munmap(execute, size);
        return error_set(err, -code, "compiled code cannot be mapped: %s", strerror(code));
    }
    memory_in_large_pages(write, size); /* from the first touch, where the host gives them to those who ask */
    memory_in_large_pages(execute, size);
    *m = (struct code_memory){.write = write, .execute = execute, .size = size, .back = back, .unmap = code_memory_unmap};
    return 0;
}

void code_memory_unmap(struct code_memory *m)
{
    if (!m->size)
        return;
    munmap(m->write, m->size);
    munmap((void *)(uintptr_t)m->execute, m->size);
    *m = (struct code_memory){0};
}
