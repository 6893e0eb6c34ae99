/*
 * Opening files for writing (flock(2), fifo(7)). See output.h.
 *
 * Files are told apart by device and inode, so that another name or a link of one is the same. The list of what
 * is spared belongs to the process, as its open files do.
 */
#include "host/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file_kind.h"

struct file_id {
    dev_t device;
    ino_t inode; /* no other file gets it: a descriptor of it stays open */
};

static struct file_id *spared;
static size_t nspared;

static bool is_listed(const struct stat *st)
{
    for (size_t i = 0; i < nspared; i++)
        if (spared[i].device == st->st_dev && spared[i].inode == st->st_ino)
            return true;
    return false;
}

void host_output_spare(int fd)
{
    struct stat st;

    /* Devices and pipes are not destroyed by being written to. */
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || is_listed(&st) || fcntl(fd, F_DUPFD_CLOEXEC, 0) < 0)
        return;
    spared = xrealloc(spared, (nspared + 1) * sizeof spared[0]);
    spared[nspared++] = (struct file_id){st.st_dev, st.st_ino};
}

void host_output_spare_program(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* another system's kernel, or no /proc: then it is not known which file that is */
    host_output_spare(fd);
    close(fd);
}

static bool is_recording(int fd)
{
    char magic[RECORDING_MAGIC_BYTES];

    return pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic && !memcmp(magic, RECORDING_MAGIC, sizeof magic);
}

static int in_use(const char *path, struct error *err)
{
    return error_set(err, -EBUSY, "%s: is being written to already, by this hindcast or another one", path);
}

/* False: somebody else has the lock. (Where there are no locks, nobody has.) */
static bool lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool host_output_is_ours(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    bool ours;

    if (fd < 0)
        return false;
    ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (is_listed(&st) || !lock(fd));
    close(fd);
    return ours;
}

static int would_be_lost(const char *path, const char *what, unsigned may, struct error *err)
{
    return error_set(err, -EEXIST, "%s: %s would be lost: name another file (to replace it: %s)", path, what,
                     may & HOST_MONITOR ? "the word force after it" : "--force");
}

/* `fd`, to read it, or -1: it may not be read, but was looked at. */
static int check_contents(const char *path, int fd, const struct stat *st, unsigned may, struct error *err)
{
    if (!(may & HOST_OVER_INPUT) && is_listed(st))
        return error_set(err, -EBUSY, "%s: is read by this run, and would be destroyed: name another file", path);
    if (fd >= 0 && !(may & HOST_FORCE) && is_recording(fd))
        return would_be_lost(path, "is a recording, which", may, err);
    if ((may & HOST_EMPTY_ONLY) && !(may & HOST_FORCE) && st->st_size)
        return would_be_lost(path, "exists, and", may, err);
    return 0;
}

static int cannot_create(const char *path, int e, struct error *err)
{
    return error_set(err, -e, "%s: cannot create: %s", path, strerror(e));
}

/* stat() has failed. */
static int can_create(const char *path, struct error *err)
{
    int e = errno;
    char *directory = xstrdup(path), *slash = strrchr(directory, '/');

    if (slash)
        slash[slash == directory] = 0;
    if (e == ENOENT)
        e = access(slash ? directory : ".", W_OK | X_OK) < 0 ? errno : 0;
    free(directory);
    return e ? cannot_create(path, e, err) : 0;
}

int host_output_replaceable(const char *path, unsigned may, struct error *err)
{
    struct stat st;
    int fd, r;

    if (stat(path, &st) < 0)
        return can_create(path, err);
    if (S_ISDIR(st.st_mode))
        return cannot_create(path, EISDIR, err);
    if (!S_ISREG(st.st_mode))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    r = check_contents(path, fd, &st, may, err);
    if (r == 0 && fd >= 0 && !lock(fd))
        r = in_use(path, err);
    if (fd >= 0)
        close(fd);
    return r;
}

static int cannot_open(const char *path, struct error *err)
{
    struct stat st;
    int e = errno;

    if (e == ENXIO && stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
        return error_set(err, -e, "%s: nobody reads this pipe: start its reader first", path);
    return cannot_create(path, e, err);
}

/* With the lock, what is in the file may go. */
static int begin_file(const char *path, int fd, unsigned may, struct error *err)
{
    int reader, r;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (!lock(fd))
        return in_use(path, err);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    r = check_contents(path, reader, &st, may, err);
    if (reader >= 0)
        close(reader);
    if (r == 0 && (may & HOST_APPEND))
        return lseek(fd, 0, SEEK_END) < 0 ? error_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
    if (r == 0 && ftruncate(fd, 0) < 0)
        r = error_set(err, -errno, "%s: cannot empty it: %s", path, strerror(errno));
    return r;
}

int host_output_open(const char *path, unsigned may, struct error *err)
{
    /* O_NONBLOCK: a pipe without a reader is an error instead of a wait. */
    int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666), r;

    if (fd < 0)
        return cannot_open(path, err);
    r = begin_file(path, fd, may, err);
    if (r == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
        r = error_set(err, -errno, "%s: %s", path, strerror(errno));
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int host_output_directory(const char *path, struct error *err)
{
    struct stat st;

    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    return error_set(err, errno == EEXIST ? -ENOTDIR : -errno, "%s: %s", path, strerror(errno == EEXIST ? ENOTDIR : errno));
}
