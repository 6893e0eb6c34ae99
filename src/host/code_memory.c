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

/* So much of a large page has to be wanted before it is one. */
#define LARGE_WANTED (LARGE_PAGE / 8)

/* Where large pages fit both mappings. */
static void *map(int fd, size_t size, int protection)
{
    void *room = region_map(size), *code;
    int why;

    if (!room)
        return NULL;
    code = mmap(room, size, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (code != MAP_FAILED)
        return code;
    why = errno;
    region_unmap(room, size);
    errno = why;
    return NULL;
}

/* Code that is run lies far apart, and the processor's TLB does not reach over it by small pages. */
static void make_large(const struct code_memory *m, size_t from)
{
    if (memory_becomes_large(m->write + from))
        (void)memory_becomes_large((uint8_t *)(uintptr_t)m->execute + from);
}

/* (A host that cannot do it gives a page at each touch, as ever.) */
static void back(const struct code_memory *m, size_t from, size_t len)
{
    size_t large = from & ~(LARGE_PAGE - 1), had = from - large;

#if defined(MADV_POPULATE_WRITE) && defined(MADV_POPULATE_READ)
    (void)madvise(m->write + from, len, MADV_POPULATE_WRITE);
    (void)madvise((uint8_t *)(uintptr_t)m->execute + from, len, MADV_POPULATE_READ);
#endif
    if (had < LARGE_WANTED && had + len >= LARGE_WANTED && large + LARGE_PAGE <= m->size)
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
