/*
 * Whole files in and out.
 */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files that have no size beforehand (pipes, /proc) are read in pieces of this. */
#define PIECE ((size_t)1 << 20)

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

int host_load_file(const char *path, uint64_t limit, const char *limit_means, struct buffer *out,
                   struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return error_set(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0)
        r = error_set(err, -errno, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        r = error_set(err, -EISDIR, "%s: is a directory, not a file", path);
    else if (S_ISREG(st.st_mode))
        r = check_size(path, (uint64_t)st.st_size, limit, limit_means, err);
    if (r == 0)
        r = read_all(fd, path, limit, limit_means, out, err);
    close(fd);
    return r;
}

int host_writer_open(struct host_writer *w, const char *path, struct error *err)
{
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return error_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
    return 0;
}

int host_writer_write(struct host_writer *w, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len) {
        ssize_t n = write(w->fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int host_writer_close(struct host_writer *w)
{
    int r = w->fd >= 0 && close(w->fd) < 0 ? -errno : 0;

    w->fd = -1;
    return r;
}

bool host_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
