/*
 * Files that are written from the beginning on. See writer.h.
 *
 * The disk may take seconds to say that it has what was written. So a thread of its
 * own waits for that, one for each file that asks for it (host_writer_sync()); it
 * touches nothing but the file's descriptor.
 */
#include "host/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"

/* Between two requests to the disk. */
#define SYNC_REST_NS 200000000

/* ---- waiting for the disk ---- */

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

/* ---- writing ---- */

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

/* ---- opening, closing ---- */

int host_writer_open(struct host_writer *w, const char *path, unsigned may, struct error *err)
{
    struct stat st;
    bool there = lstat(path, &st) == 0;

    *w = (struct host_writer){.fd = host_output_open(path, may, err), .made = !there};
    if (w->fd < 0)
        return w->fd;
    w->seekable = fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode);
    return 0;
}

/* A new file beside `path`, with the permissions that the old one has. */
static int open_beside(struct host_writer *w, const struct stat *old)
{
    struct buffer name;

    buffer_init(&name);
    buffer_printf(&name, "%s.new-%ld", w->path, (long)getpid());
    buffer_append_byte(&name, 0);
    w->beside = (char *)name.data;
    w->seekable = true;
    w->fd = open(w->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return -errno;
    return old && fchmod(w->fd, old->st_mode & 07777) < 0 ? -errno : 0;
}

int host_writer_open_whole(struct host_writer *w, const char *path, unsigned may, struct error *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    int r;

    if (there && !S_ISREG(st.st_mode))
        return host_writer_open(w, path, may, err);
    *w = (struct host_writer){.fd = -1};
    r = host_output_replaceable(path, may, err);
    if (r < 0)
        return r;
    w->path = there ? realpath(path, NULL) : xstrdup(path); /* a link stays one */
    r = w->path ? open_beside(w, there ? &st : NULL) : -errno;
    if (r < 0) {
        host_writer_close(w);
        return error_set(err, r, "%s: cannot create: %s", path, strerror(-r));
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
    if (w->fd >= 0 && w->beside)
        unlink(w->beside);
    w->fd = -1;
    free(w->beside);
    free(w->path);
    w->beside = w->path = NULL;
    return r;
}

void host_writer_abandon(struct host_writer *w, const char *path)
{
    bool made = w->fd >= 0 && w->seekable && w->made;

    host_writer_close(w);
    if (made)
        unlink(path);
}

int host_writer_commit(struct host_writer *w)
{
    int r = 0;

    if (!w->beside)
        return host_writer_close(w);
    if (fsync(w->fd) < 0 || rename(w->beside, w->path) < 0) {
        r = -errno;
    } else {
        free(w->beside);
        w->beside = NULL;
    }
    if (r < 0)
        host_writer_close(w);
    else
        r = host_writer_close(w);
    return r;
}

int host_write_file(const char *path, const void *data, size_t len, unsigned may, struct error *err)
{
    struct host_writer w;
    int r = host_writer_open_whole(&w, path, may, err);

    if (r < 0)
        return r;
    r = host_writer_write(&w, data, len);
    if (r == 0)
        r = host_writer_commit(&w);
    else
        host_writer_close(&w);
    return r < 0 ? error_set(err, r, "%s: cannot write: %s", path, strerror(-r)) : 0;
}
