/*
 * Disk images in files and block devices. See block_file.h; NBD is block_nbd.c's.
 */
#include "host/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "host/block_nbd.h"
#include "host/file.h"
#include "host/output.h"

/* ---- locks ---- */

/* QEMU's: a byte for each permission that is used, another for each that nobody else may have. */
enum { LOCK_USED = 100, LOCK_NOT_SHARED = 200 };
enum { MAY_READ = 0, MAY_WRITE = 1, MAY_RESIZE = 3 };

static bool lock_byte(int fd, off_t byte)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static bool locked_by_others(int fd, off_t byte)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* False: somebody writes it, or wants nobody to read it. */
static bool lock_for_reading(int fd)
{
    if (!lock_byte(fd, LOCK_USED + MAY_READ) || !lock_byte(fd, LOCK_NOT_SHARED + MAY_WRITE) ||
        !lock_byte(fd, LOCK_NOT_SHARED + MAY_RESIZE))
        return true; /* there are no locks here */
    return !locked_by_others(fd, LOCK_NOT_SHARED + MAY_READ) && !locked_by_others(fd, LOCK_USED + MAY_WRITE) &&
           !locked_by_others(fd, LOCK_USED + MAY_RESIZE);
}

/* False: somebody reads it, and relies on its staying as it is; or writes it, too. */
static bool lock_for_writing(int fd)
{
    if (!lock_byte(fd, LOCK_USED + MAY_WRITE))
        return true;
    return !locked_by_others(fd, LOCK_NOT_SHARED + MAY_WRITE) && !locked_by_others(fd, LOCK_USED + MAY_WRITE);
}

/* ---- files ---- */

struct block_file {
    int fd;
    struct timespec written; /* as it was when that was asked last */
    uint64_t size;
};

static int file_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct block_file *f = ctx;

    return host_read_exactly(f->fd, offset, buf, len);
}

static bool file_claim(void *ctx)
{
    const struct block_file *f = ctx;

    return lock_for_writing(f->fd);
}

static enum block_change file_changed(void *ctx)
{
    struct block_file *f = ctx;
    enum block_change change;
    struct stat st;
    bool same;

    if (fstat(f->fd, &st) < 0)
        return BLOCK_SAME;
    same = st.st_mtim.tv_sec == f->written.tv_sec && st.st_mtim.tv_nsec == f->written.tv_nsec && (uint64_t)st.st_size == f->size;
    change = (uint64_t)st.st_size < f->size ? BLOCK_CUT : same ? BLOCK_SAME : BLOCK_WRITTEN;
    f->written = st.st_mtim;
    f->size = (uint64_t)st.st_size;
    return change;
}

static void file_close(void *ctx)
{
    struct block_file *f = ctx;

    close(f->fd);
    free(f);
}

static void identify(const struct stat *st, uint64_t *identity)
{
    identity[0] = (uint64_t)(S_ISBLK(st->st_mode) ? 0 : st->st_dev);
    identity[1] = (uint64_t)(S_ISBLK(st->st_mode) ? st->st_rdev : st->st_ino);
}

static bool is_same(const struct stat *st, const struct block_source *s)
{
    uint64_t identity[2];

    identify(st, identity);
    return !memcmp(identity, s->identity, sizeof(identity));
}

static int describe_file(int fd, const char *name, struct block_source *s, struct error *err)
{
    struct stat st;
    off_t end;

    if (fstat(fd, &st) < 0)
        return error_set(err, -errno, "%s: %s", name, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, -EINVAL, "%s is neither a file nor a block device", name);
    end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return error_set(err, -errno, "%s: %s", name, strerror(errno));
    s->size = (uint64_t)end;
    identify(&st, s->identity);
    if (!lock_for_reading(fd))
        return error_set(err, -EBUSY, "%s is being written by another program (QEMU?), or is to be (a hindcast with write-back)", name);
    return 0;
}

int host_open_block(void *ctx, const char *name, struct block_source *s, struct error *err)
{
    struct block_file *f;
    int fd, r;

    (void)ctx;
    if (host_is_nbd(name))
        return host_open_nbd(name, s, err);
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not keep us */
    if (fd < 0)
        return error_set(err, -errno, "%s: %s", name, strerror(errno));
    r = describe_file(fd, name, s, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    f = xcalloc(1, sizeof(*f));
    f->fd = fd;
    (void)file_changed(f);
    host_output_spare(fd);
    s->ctx = f;
    s->read = file_read;
    s->changed = file_changed;
    s->claim = file_claim;
    s->close = file_close;
    s->local = true;
    s->name = xstrdup(name);
    return 0;
}

bool host_block_is_there(const struct block_source *s)
{
    struct stat st;

    return !s->local || (stat(s->name, &st) == 0 && is_same(&st, s));
}

/* ---- in place ---- */

int host_patch_open(const struct block_source *s, struct error *err)
{
    int fd = open(s->name, O_WRONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return error_set(err, -errno, "%s: cannot write: %s", s->name, strerror(errno));
    if (fstat(fd, &st) == 0 && is_same(&st, s))
        return fd;
    close(fd);
    return error_set(err, -ESTALE, "%s is another file than the one that was opened", s->name);
}

int host_patch_write(int fd, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len) {
        ssize_t n = pwrite(fd, from, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        from += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int host_patch_close(int fd, int status)
{
    if (status == 0 && fsync(fd) < 0)
        status = -errno;
    if (close(fd) < 0 && status == 0)
        status = -errno;
    return status;
}
