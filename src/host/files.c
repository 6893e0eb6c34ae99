/*
 * The files of one directory, for a guest. See files.h.
 *
 * Not handled: a directory that somebody on the host moves elsewhere while it is
 * being looked up (it stays the one that was found).
 */
#include "host/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "host/output.h"

struct host_files *host_files_open(const char *directory, unsigned flags, struct error *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct host_files *f;

    if (fd < 0) {
        error_set(err, -errno, "%s: cannot be the guest's directory: %s", directory, strerror(errno));
        return NULL;
    }
    f = xcalloc(1, sizeof(*f));
    f->directory = fd;
    f->flags = flags;
    return f;
}

void host_files_close(struct host_files *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < FILES_OPEN_MAX; i++)
        if (f->open[i].number)
            close(f->open[i].fd);
    for (unsigned i = 0; i < FILES_LISTINGS; i++)
        file_system_forget(f, f->listings[i].number);
    close(f->directory);
    free(f);
}

/* ---- names ---- */

/* The next component of *name into `part`, the name moved on. 0: none is left; 1: there is; or a negative errno. */
static int next_component(const char **name, char part[FILES_COMPONENT_MAX + 1])
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
    if (n > FILES_COMPONENT_MAX)
        return -ENAMETOOLONG;
    memcpy(part, *name, n);
    part[n] = 0;
    *name += n;
    return strcmp(part, "..") ? 1 : -EACCES;
}

int files_find_parent(const struct host_files *f, const char *name, char last[FILES_COMPONENT_MAX + 1])
{
    char part[FILES_COMPONENT_MAX + 1];
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
            return (r == -ENOTDIR || r == -ELOOP) && !(f->flags & HOST_FILES_SYSTEM) ? -EACCES : r;
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
        flags |= access & FILE_EXCLUSIVE ? O_CREAT | O_EXCL : O_CREAT;
    return flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
}

/* What opening it would do must not be found out by opening it. */
int files_look_at(const struct host_files *f, int directory, const char *name, enum files_look what)
{
    bool whole = what == LOOK_REPLACE && (f->flags & HOST_FILES_SYSTEM);
    struct stat st;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (what != LOOK_READ && host_output_is_ours(directory, name))
        return -EACCES;
    if (S_ISDIR(st.st_mode))
        return whole ? 0 : -EISDIR;
    return S_ISREG(st.st_mode) || whole ? 0 : -EACCES;
}

static int open_in(const struct host_files *f, int directory, const char *name, const struct file_request *request)
{
    unsigned access = request->access;
    struct stat st;
    int r = files_look_at(f, directory, name, access & FILE_ACCESS_WRITE ? LOOK_WRITE : LOOK_READ), fd;

    if (r < 0)
        return r;
    fd = openat(directory, name, flags_of(access), request->mode ? request->mode & 07777 : 0666);
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
static int open_name(const struct host_files *f, const struct file_request *request)
{
    char last[FILES_COMPONENT_MAX + 1];
    int directory = files_find_parent(f, request->name, last), fd;

    if (directory < 0)
        return directory;
    fd = open_in(f, directory, last, request);
    close(directory);
    return fd;
}

/* The place of an open file, or NULL. */
static struct open_file *find_open(struct host_files *f, uint64_t number)
{
    for (unsigned i = 0; number && i < FILES_OPEN_MAX; i++)
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
    struct open_file *place = find_open(f, request->file);
    int fd;

    if (place) /* of another history, which was left */
        forget(place);
    fd = open_name(f, request);
    if (fd < 0)
        return fd;
    place = &f->open[0];
    for (unsigned i = 1; i < FILES_OPEN_MAX && place->number; i++)
        if (!f->open[i].number || f->open[i].used < place->used)
            place = &f->open[i];
    if (place->number)
        forget(place);
    *place = (struct open_file){.number = request->file, .used = f->calls, .fd = fd};
    return fd;
}

int files_descriptor(const struct host_files *f, uint64_t number)
{
    for (unsigned i = 0; number && i < FILES_OPEN_MAX; i++)
        if (f->open[i].number == number)
            return f->open[i].fd;
    return -EBADF;
}

static int reopen(struct host_files *f, const struct file_request *request)
{
    struct file_request again = *request;
    struct open_file *o = find_open(f, request->file);

    if (o) {
        o->used = f->calls;
        return o->fd;
    }
    again.access &= ~(FILE_CREATE | FILE_EXCLUSIVE | FILE_TRUNCATE);
    return open_file(f, &again);
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
    char last[FILES_COMPONENT_MAX + 1];
    int directory = files_find_parent(f, name, last), r;

    if (directory < 0)
        return directory;
    r = files_look_at(f, directory, last, LOOK_REPLACE);
    if (r == 0 && unlinkat(directory, last, 0) < 0)
        r = -errno;
    close(directory);
    return r;
}

static int rename_file(const struct host_files *f, const char *name, const char *to)
{
    char last[FILES_COMPONENT_MAX + 1], to_last[FILES_COMPONENT_MAX + 1];
    int directory = files_find_parent(f, name, last), to_directory, r;

    if (directory < 0)
        return directory;
    to_directory = files_find_parent(f, to, to_last);
    r = to_directory < 0 ? to_directory : files_look_at(f, directory, last, LOOK_REPLACE);
    if (r == 0)
        r = files_look_at(f, to_directory, to_last, LOOK_REPLACE);
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

/* Does it change something? */
static bool changes(const struct file_request *request)
{
    switch (request->op) {
    case FILE_OPEN:
        return request->access & (FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE);
    case FILE_WRITE: case FILE_REMOVE: case FILE_RENAME: case FILE_CHANGE: case FILE_MAKE: case FILE_SYMLINK: case FILE_LINK:
    case FILE_REMOVE_DIRECTORY:
        return true;
    default:
        return false;
    }
}

static bool needs_file(enum file_op op)
{
    return op == FILE_OPEN || op == FILE_CLOSE || op == FILE_READ || op == FILE_WRITE || op == FILE_LENGTH;
}

static int serve(struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    int fd;

    if (request->offset > INT64_MAX - FILE_PIECE || request->len > FILE_PIECE)
        return -EINVAL;
    if (!request->file && needs_file(request->op))
        return -EBADF;
    if ((f->flags & HOST_FILES_READ_ONLY) && changes(request))
        return -EROFS;
    switch (request->op) {
    case FILE_OPEN:
        fd = open_file(f, request);
        return fd < 0 ? fd : 0;
    case FILE_CLOSE:
        file_system_forget(f, request->file);
        return close_file(f, request->file);
    case FILE_REMOVE:
        return remove_file(f, request->name);
    case FILE_RENAME:
        return rename_file(f, request->name, request->to);
    case FILE_READ: case FILE_WRITE: case FILE_LENGTH:
        break;
    default:
        return f->flags & HOST_FILES_SYSTEM ? file_system_serve(f, request, answer) : -EINVAL;
    }
    fd = reopen(f, request);
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
