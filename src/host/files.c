/*
 * The files of one directory, for a guest. See files.h.
 *
 * Not handled: a directory that somebody on the host moves elsewhere while it is
 * being looked up (it stays the one that was found).
 */
#include "host/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "host/output.h"

#define OPEN_MAX_FILES 64u
#define COMPONENT_MAX  255u

struct open_file {
    uint64_t number; /* 0: free */
    uint64_t used;   /* when, by counting */
    int fd;
};

struct host_files {
    int directory;
    uint64_t calls;
    struct open_file open[OPEN_MAX_FILES];
};

struct host_files *host_files_open(const char *directory, struct error *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct host_files *f;

    if (fd < 0) {
        error_set(err, -errno, "%s: cannot be the guest's directory: %s", directory, strerror(errno));
        return NULL;
    }
    f = xcalloc(1, sizeof(*f));
    f->directory = fd;
    return f;
}

void host_files_close(struct host_files *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < OPEN_MAX_FILES; i++)
        if (f->open[i].number)
            close(f->open[i].fd);
    close(f->directory);
    free(f);
}

/* ---- names ---- */

/* The next component of *name into `part`, the name moved on. 0: none is left; 1: there is; or a negative errno. */
static int next_component(const char **name, char part[COMPONENT_MAX + 1])
{
    size_t n;

    for (;;) {
        *name += strspn(*name, "/");
        n = strcspn(*name, "/");
        if (n != 1 || **name != '.')
            break;
        *name += n;
    }
    if (!n)
        return 0;
    if (n > COMPONENT_MAX)
        return -ENAMETOOLONG;
    memcpy(part, *name, n);
    part[n] = 0;
    *name += n;
    return strcmp(part, "..") ? 1 : -EACCES;
}

/* The directory that a name's last component is in (to be closed), and that component. Or a negative errno. */
static int find_parent(const struct host_files *f, const char *name, char last[COMPONENT_MAX + 1])
{
    char part[COMPONENT_MAX + 1];
    int r, at, deeper;

    if (!*name)
        return -ENOENT;
    if (*name == '/')
        return -EACCES;
    if (name[strlen(name) - 1] == '/')
        return -EISDIR;
    r = next_component(&name, last);
    if (r <= 0)
        return r ? r : -EISDIR;
    at = fcntl(f->directory, F_DUPFD_CLOEXEC, 0);
    if (at < 0)
        return -errno;
    while ((r = next_component(&name, part)) > 0) {
        deeper = openat(at, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = deeper < 0 ? -errno : 0;
        close(at);
        if (r < 0)
            return r == -ENOTDIR || r == -ELOOP ? -EACCES : r;
        at = deeper;
        memcpy(last, part, sizeof(part));
    }
    if (r == 0)
        return at;
    close(at);
    return r;
}

/* ---- opening ---- */

static int flags_of(unsigned access)
{
    int flags = O_RDONLY;

    if (access & FILE_ACCESS_WRITE)
        flags = access & FILE_ACCESS_READ ? O_RDWR : O_WRONLY;
    if (access & FILE_APPEND)
        flags |= O_APPEND;
    if (access & FILE_CREATE)
        flags |= O_CREAT;
    return flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
}

/* What opening it would do must not be found out by opening it. 0, or a negative errno. `change`: it is to be written to,
 * removed or replaced, which none of the run's own files may be. */
static int look_at(int directory, const char *name, bool change)
{
    struct stat st;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) && !(change && host_output_is_ours(directory, name)) ? 0 : -EACCES;
}

static int open_in(int directory, const char *name, unsigned access)
{
    struct stat st;
    int r = look_at(directory, name, access & FILE_ACCESS_WRITE), fd;

    if (r < 0)
        return r;
    fd = openat(directory, name, flags_of(access), 0666);
    if (fd < 0)
        return errno == ELOOP ? -EACCES : -errno;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -EACCES;
    else if ((access & FILE_TRUNCATE) && ftruncate(fd, 0) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* A descriptor, or a negative errno. */
static int open_name(const struct host_files *f, const char *name, unsigned access)
{
    char last[COMPONENT_MAX + 1];
    int directory = find_parent(f, name, last), fd;

    if (directory < 0)
        return directory;
    fd = open_in(directory, last, access);
    close(directory);
    return fd;
}

/* The place of an open file, or NULL. */
static struct open_file *find_open(struct host_files *f, uint64_t number)
{
    for (unsigned i = 0; number && i < OPEN_MAX_FILES; i++)
        if (f->open[i].number == number)
            return &f->open[i];
    return NULL;
}

static void forget(struct open_file *o)
{
    close(o->fd);
    *o = (struct open_file){0};
}

/* Open it and remember it. A descriptor, or a negative errno. */
static int open_file(struct host_files *f, const struct file_request *request)
{
    struct open_file *place = &f->open[0];
    int fd = open_name(f, request->name, request->access);

    if (fd < 0)
        return fd;
    for (unsigned i = 1; i < OPEN_MAX_FILES && place->number; i++)
        if (!f->open[i].number || f->open[i].used < place->used)
            place = &f->open[i];
    if (place->number)
        forget(place);
    *place = (struct open_file){.number = request->file, .used = f->calls, .fd = fd};
    return fd;
}

/* The descriptor of a file that the guest has open, or a negative errno. */
static int descriptor(struct host_files *f, const struct file_request *request)
{
    struct open_file *o = find_open(f, request->file);

    if (!o)
        return open_file(f, request);
    o->used = f->calls;
    return o->fd;
}

/* ---- requests ---- */

static int read_file(int fd, const struct file_request *request, struct file_answer *answer)
{
    while (answer->value < request->len) {
        ssize_t n = pread(fd, answer->data + answer->value, request->len - answer->value,
                          (off_t)(request->offset + answer->value));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return answer->value ? 0 : -errno;
        if (n == 0)
            return 0;
        answer->value += (uint64_t)n;
    }
    return 0;
}

static int write_file(int fd, const struct file_request *request, struct file_answer *answer)
{
    off_t at = lseek(fd, request->access & FILE_APPEND ? 0 : (off_t)request->offset,
                     request->access & FILE_APPEND ? SEEK_END : SEEK_SET);
    const uint8_t *p = request->data;

    if (at < 0)
        return -errno;
    answer->offset = (uint64_t)at;
    while (answer->value < request->len) {
        ssize_t n = write(fd, p + answer->value, request->len - answer->value);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return answer->value ? 0 : n < 0 ? -errno : -ENOSPC;
        answer->value += (uint64_t)n;
        answer->offset += (uint64_t)n;
    }
    return 0;
}

static int measure(int fd, struct file_answer *answer)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    answer->value = (uint64_t)st.st_size;
    return 0;
}

static int remove_file(const struct host_files *f, const char *name)
{
    char last[COMPONENT_MAX + 1];
    int directory = find_parent(f, name, last), r;

    if (directory < 0)
        return directory;
    r = look_at(directory, last, true);
    if (r == 0 && unlinkat(directory, last, 0) < 0)
        r = -errno;
    close(directory);
    return r;
}

static int rename_file(const struct host_files *f, const char *name, const char *to)
{
    char last[COMPONENT_MAX + 1], to_last[COMPONENT_MAX + 1];
    int directory = find_parent(f, name, last), to_directory, r;

    if (directory < 0)
        return directory;
    to_directory = find_parent(f, to, to_last);
    r = to_directory < 0 ? to_directory : look_at(directory, last, true);
    if (r == 0)
        r = look_at(to_directory, to_last, true);
    if (r == 0 && renameat(directory, last, to_directory, to_last) < 0)
        r = -errno;
    close(directory);
    if (to_directory >= 0)
        close(to_directory);
    return r;
}

static int close_file(struct host_files *f, uint64_t number)
{
    struct open_file *o = find_open(f, number);

    if (o)
        forget(o);
    return 0;
}

static int serve(struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    int fd = 0;

    if (request->offset > INT64_MAX - FILE_PIECE || request->len > FILE_PIECE)
        return -EINVAL;
    if (!request->file && request->op != FILE_REMOVE && request->op != FILE_RENAME)
        return -EBADF;
    switch (request->op) {
    case FILE_OPEN:
        fd = open_file(f, request);
        return fd < 0 ? fd : 0;
    case FILE_CLOSE:
        return close_file(f, request->file);
    case FILE_REMOVE:
        return remove_file(f, request->name);
    case FILE_RENAME:
        return rename_file(f, request->name, request->to);
    default:
        break;
    }
    fd = descriptor(f, request);
    if (fd < 0)
        return fd;
    if (request->op == FILE_READ)
        return read_file(fd, request, answer);
    return request->op == FILE_WRITE ? write_file(fd, request, answer) : measure(fd, answer);
}

void host_files_call(struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    int r;

    f->calls++;
    answer->value = answer->offset = 0;
    r = serve(f, request, answer);
    answer->error = r < 0 ? (uint32_t)-r : 0;
}
