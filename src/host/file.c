/*
 * Files: read whole or in pieces, written from the beginning on.
 *
 * The disk may take seconds to say that it has what was written. So a thread of its
 * own waits for that, one for each file that asks for it (host_writer_sync()); it
 * touches nothing but the file's descriptor.
 */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Files that have no size beforehand (pipes, /proc) are read in pieces of this. */
#define PIECE ((size_t)1 << 20)
/* Between two requests to the disk. */
#define SYNC_REST_NS 200000000

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

/* ---------------------------------------------------------- reading in pieces */

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
        r->len = (uint64_t)st.st_size;
        return check_size(path, r->len, limit, limit_means, err);
    }
    close(r->fd);
    r->fd = -1;
    status = host_load_file(path, limit, limit_means, &r->whole, err);
    r->len = r->whole.len;
    return status;
}

int host_reader_read(struct host_reader *r, uint64_t offset, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (offset > r->len || len > r->len - offset)
        return -EIO;
    if (r->fd < 0) {
        if (len)
            memcpy(buf, r->whole.data + offset, len);
        return 0;
    }
    while (len) {
        ssize_t n = pread(r->fd, p, len, (off_t)offset);

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

void host_reader_close(struct host_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    buffer_finish(&r->whole);
}

/* --------------------------------------------------------- waiting for the disk */

struct host_syncer {
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wanted;
    int fd;
    bool asked, quit;
    int failed;           /* negative errno, until it was told */
};

/* With the lock held: let some time pass, so that somebody who writes a few bytes a thousand times a
 * second does not keep the disk busy. */
static void rest(struct host_syncer *s)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += SYNC_REST_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!s->quit && pthread_cond_timedwait(&s->wanted, &s->lock, &until) == 0)
        ;
}

static void *sync_thread(void *arg)
{
    struct host_syncer *s = arg;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        int failed;

        while (!s->asked && !s->quit)
            pthread_cond_wait(&s->wanted, &s->lock);
        if (!s->asked)
            break;
        s->asked = false;
        pthread_mutex_unlock(&s->lock);
        failed = fdatasync(s->fd) < 0 ? -errno : 0;
        pthread_mutex_lock(&s->lock);
        /* What cannot be synchronised (a pipe, a device) is written as well as it can be. */
        if (failed && failed != -EINVAL && failed != -EROFS && failed != -ENOTSUP)
            s->failed = failed;
        rest(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static struct host_syncer *syncer_create(int fd)
{
    struct host_syncer *s = xcalloc(1, sizeof(*s));
    sigset_t all, old;
    int r;

    s->fd = fd;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wanted, NULL);
    /* Signals are for the thread that serves. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&s->thread, NULL, sync_thread, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r == 0)
        return s;
    pthread_cond_destroy(&s->wanted);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

static void syncer_destroy(struct host_syncer *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_signal(&s->wanted);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wanted);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int host_writer_sync(struct host_writer *w)
{
    struct host_syncer *s;
    int failed;

    if (!w->syncer)
        w->syncer = syncer_create(w->fd);
    s = w->syncer;
    if (!s)
        return -EAGAIN;
    pthread_mutex_lock(&s->lock);
    failed = s->failed;
    s->failed = 0;
    s->asked = true;
    pthread_cond_signal(&s->wanted);
    pthread_mutex_unlock(&s->lock);
    return failed;
}

/* -------------------------------------------------------------------- writing */

int host_writer_open(struct host_writer *w, const char *path, struct error *err)
{
    struct stat st;

    *w = (struct host_writer){.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (w->fd < 0)
        return error_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
    w->seekable = fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode);
    return 0;
}

int host_writer_rewrite(struct host_writer *w, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len) {
        ssize_t n = pwrite(w->fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int host_writer_cut(struct host_writer *w, uint64_t offset)
{
    if (ftruncate(w->fd, (off_t)offset) < 0 || lseek(w->fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
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
    int r = 0;

    syncer_destroy(w->syncer);
    w->syncer = NULL;
    if (w->fd >= 0 && close(w->fd) < 0)
        r = -errno;
    w->fd = -1;
    return r;
}

/* Write a new file beside the old one, with its permissions. */
static int write_beside(const char *beside, const char *path, const void *data, size_t len)
{
    struct host_writer w = {.fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    struct stat st;
    int r, closed;

    if (w.fd < 0)
        return -errno;
    r = host_writer_write(&w, data, len);
    if (r == 0 && (stat(path, &st) < 0 || fchmod(w.fd, st.st_mode & 07777) < 0 || fsync(w.fd) < 0))
        r = -errno;
    closed = host_writer_close(&w);
    return r ? r : closed;
}

int host_replace_file(const char *path, const void *data, size_t len, struct error *err)
{
    char *real = realpath(path, NULL); /* a link stays one */
    struct buffer beside;
    int r = real ? 0 : -errno;

    buffer_init(&beside);
    if (real) {
        buffer_printf(&beside, "%s.new-%ld", real, (long)getpid());
        r = write_beside((const char *)beside.data, real, data, len);
        if (r == 0 && rename((const char *)beside.data, real) < 0)
            r = -errno;
        if (r < 0 && r != -EEXIST)
            unlink((const char *)beside.data);
    }
    buffer_finish(&beside);
    free(real);
    return r < 0 ? error_set(err, r, "%s: cannot write: %s", path, strerror(-r)) : 0;
}

bool host_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool host_same_file(const char *a, const char *b)
{
    struct stat sa, sb;

    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
