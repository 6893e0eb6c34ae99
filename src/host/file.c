/*
 * Files that are read, whole or in pieces. See file.h.
 */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/big_memory.h"
#include "host/output.h"

/* Files that have no size beforehand (pipes, /proc) are read in pieces of this. */
#define PIECE ((size_t)1 << 20)

/* And no further than this: some have no end (/dev/zero). */
#define ENDLESS ((uint64_t)1 << 30)

static int check_size(const char *path, uint64_t size, uint64_t limit, const char *limit_means,
                      struct error *err)
{
    if (size <= limit)
        return 0;
    return error_set(err, -EFBIG, "%s: %" PRIu64 " bytes are more than %s (%" PRIu64 " bytes)", path, size,
                     limit_means, limit);
}

static int read_all(int fd, const char *path, uint64_t limit, const char *limit_means, struct buffer *out,
                    struct error *err)
{
    size_t before = out->len;

    for (;;) {
        uint8_t *room = buffer_reserve(out, PIECE);
        ssize_t n = read(fd, room, PIECE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, -errno, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0)
            return 0;
        out->len += (size_t)n;
        int r = check_size(path, out->len - before, limit, limit_means, err);
        if (r < 0)
            return r;
    }
}

/* For a file of that size, at once. */
static void make_room(struct buffer *out, uint64_t size)
{
    if (size < SIZE_MAX / 4)
        memory_in_large_pages(buffer_reserve(out, (size_t)size + PIECE), (size_t)size);
}

/* What is open, whole; it is closed. */
static int load(int fd, const char *path, uint64_t limit, const char *limit_means, struct buffer *out, struct error *err)
{
    struct stat st;
    int r = 0;

    host_output_spare(fd);
    if (fstat(fd, &st) < 0)
        r = error_set(err, -errno, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        r = error_set(err, -EISDIR, "%s: is a directory, not a file", path);
    else if (S_ISREG(st.st_mode))
        r = check_size(path, (uint64_t)st.st_size, limit, limit_means, err);
    else if (limit > ENDLESS) {
        limit = ENDLESS;
        limit_means = "is read of what is no regular file";
    }
    if (r == 0 && S_ISREG(st.st_mode))
        make_room(out, (uint64_t)st.st_size);
    if (r == 0)
        r = read_all(fd, path, limit, limit_means, out, err);
    close(fd);
    return r;
}

int host_load_file(const char *path, uint64_t limit, const char *limit_means, struct buffer *out,
                   struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_set(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    return load(fd, path, limit, limit_means, out, err);
}

/* ---- reading in pieces ---- */

int host_reader_open(struct host_reader *r, const char *path, uint64_t limit, const char *limit_means,
                     struct error *err)
{
    struct stat st;
    int status;

    buffer_init(&r->whole);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return error_set(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(r->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        host_output_spare(r->fd);
        r->len = (uint64_t)st.st_size;
        return check_size(path, r->len, limit, limit_means, err);
    }
    /* Not opened again: who writes to a pipe whose reader has gone has failed. */
    status = load(r->fd, path, limit, limit_means, &r->whole, err);
    r->fd = -1;
    r->len = r->whole.len;
    return status;
}

int host_read_exactly(int fd, uint64_t offset, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int host_reader_read(struct host_reader *r, uint64_t offset, void *buf, size_t len)
{
    if (offset > r->len || len > r->len - offset)
        return -EIO;
    if (r->fd < 0) {
        if (len)
            memcpy(buf, r->whole.data + offset, len);
        return 0;
    }
    return host_read_exactly(r->fd, offset, buf, len);
}

void host_reader_close(struct host_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    buffer_finish(&r->whole);
}

/* ---- names ---- */

bool host_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool host_file_same(const char *a, const char *b)
{
    struct stat st, other;

    return stat(a, &st) == 0 && stat(b, &other) == 0 && st.st_dev == other.st_dev && st.st_ino == other.st_ino;
}
