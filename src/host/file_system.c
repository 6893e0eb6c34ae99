/*
 * What a file system has besides the bytes of its files: status, directories, links, attributes. See files.h.
 *
 * Nothing follows a symbolic link: to where it leads is the guest's to find out. A directory's entries are
 * numbered in the order of their names, as they were when its reading began.
 */
#include "host/files_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "host/output.h"

#define LISTING_MOST 1000000u /* entries of a directory that are shown */

struct directory_entry {
    uint64_t id;
    uint8_t type;
    char *name;
};

/* A name's place: a directory (to be closed) and a component of it, "" the file system's root itself. */
struct place {
    int directory;
    char last[FILES_COMPONENT_MAX + 1];
};

static int find_place(const struct host_files *f, const char *name, struct place *p)
{
    p->last[0] = 0;
    p->directory = *name ? files_find_parent(f, name, p->last) : fcntl(f->directory, F_DUPFD_CLOEXEC, 0);
    if (!*name && p->directory < 0)
        return -errno;
    return p->directory < 0 ? p->directory : 0;
}

static int look(const struct place *p, struct stat *st)
{
    return fstatat(p->directory, p->last, st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* One number for each file below the directory: its inode's, mixed with the device if that is another's. */
static uint64_t id_of(const struct host_files *f, dev_t dev, ino_t ino)
{
    uint64_t both[2] = {dev, ino};
    struct stat root;

    return fstat(f->directory, &root) == 0 && root.st_dev == dev ? ino : hash_bytes(0, both, sizeof(both));
}

/* ---- status ---- */

static void put_words(struct file_answer *answer, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_le64(answer->data + 8 * i, words[i]);
    answer->value = 8 * n;
}

static uint64_t version_of(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec + ((uint64_t)st->st_size << 8);
}

static int tell_status(const struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    int fd = files_descriptor(f, request->file), r;
    struct file_status status;
    struct place p;
    struct stat st;

    if (request->len < sizeof(status))
        return -EINVAL;
    if (fd >= 0) {
        r = fstat(fd, &st) < 0 ? -errno : 0;
    } else {
        r = find_place(f, request->name, &p);
        if (r < 0)
            return r;
        r = look(&p, &st);
        close(p.directory);
    }
    if (r < 0)
        return r;
    status = (struct file_status){
        .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .links = st.st_nlink, .rdev = st.st_rdev,
        .size = (uint64_t)st.st_size, .block_size = (uint64_t)st.st_blksize, .blocks = (uint64_t)st.st_blocks,
        .id = id_of(f, st.st_dev, st.st_ino), .version = version_of(&st),
        .atime = (uint64_t)st.st_atim.tv_sec, .atime_ns = (uint64_t)st.st_atim.tv_nsec,
        .mtime = (uint64_t)st.st_mtim.tv_sec, .mtime_ns = (uint64_t)st.st_mtim.tv_nsec,
        .ctime = (uint64_t)st.st_ctim.tv_sec, .ctime_ns = (uint64_t)st.st_ctim.tv_nsec,
    };
    put_words(answer, (const uint64_t *)&status, FILE_STATUS_WORDS);
    return 0;
}

static int tell_system(const struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    struct file_system_status status;
    struct statvfs st;

    if (request->len < sizeof(status))
        return -EINVAL;
    if (fstatvfs(f->directory, &st) < 0)
        return -errno;
    status = (struct file_system_status){
        .block_size = st.f_frsize ? st.f_frsize : st.f_bsize, .blocks = st.f_blocks, .free = st.f_bfree,
        .available = st.f_bavail, .files = st.f_files, .files_free = st.f_ffree, .id = st.f_fsid, .name_max = st.f_namemax,
    };
    put_words(answer, (const uint64_t *)&status, FILE_SYSTEM_WORDS);
    return 0;
}

/* ---- directories ---- */

static void empty_listing(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    *l = (struct listing){0};
}

void file_system_forget(struct host_files *f, uint64_t number)
{
    for (unsigned i = 0; number && i < FILES_LISTINGS; i++)
        if (f->listings[i].number == number)
            empty_listing(&f->listings[i]);
}

static int by_name(const void *a, const void *b)
{
    const struct directory_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int read_directory(const struct host_files *f, const char *name, struct listing *l)
{
    struct dirent *d;
    struct stat st;
    struct place p;
    size_t room = 0;
    DIR *dir;
    int r = find_place(f, name, &p), fd;

    if (r < 0)
        return r;
    fd = openat(p.directory, *p.last ? p.last : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? -errno : fstat(fd, &st) < 0 ? -errno : 0;
    close(p.directory);
    dir = r < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        r = r < 0 ? r : -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (l->count < LISTING_MOST && (d = readdir(dir))) {
        if (l->count == room) {
            room = room ? 2 * room : 64;
            l->entries = xrealloc(l->entries, room * sizeof(*l->entries));
        }
        l->entries[l->count++] = (struct directory_entry){id_of(f, st.st_dev, d->d_ino), d->d_type, xstrdup(d->d_name)};
    }
    closedir(dir);
    if (l->count)
        qsort(l->entries, l->count, sizeof(*l->entries), by_name);
    return 0;
}

/* The listing of an open directory, read again if `fresh`. NULL with *r: it cannot be. */
static struct listing *listing_of(struct host_files *f, const struct file_request *request, bool fresh, int *r)
{
    struct listing *place = &f->listings[0];

    if (fresh)
        file_system_forget(f, request->file);
    for (unsigned i = 0; i < FILES_LISTINGS; i++) {
        struct listing *l = &f->listings[i];

        if (l->number == request->file && l->number) {
            l->used = f->calls;
            return l;
        }
        if (place->number && (!l->number || l->used < place->used))
            place = l;
    }
    empty_listing(place);
    *r = read_directory(f, request->name, place);
    if (*r < 0) {
        empty_listing(place);
        return NULL;
    }
    place->number = request->file;
    place->used = f->calls;
    return place;
}

static int list(struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    const struct listing *l;
    int r = 0;

    if (!request->file)
        return -EBADF;
    l = listing_of(f, request, request->offset == 0, &r);
    if (!l)
        return r;
    for (uint64_t i = request->offset; i < l->count; i++) {
        const struct directory_entry *e = &l->entries[i];
        size_t len = strlen(e->name);
        uint8_t *p = answer->data + answer->value;

        if (len > FILES_COMPONENT_MAX)
            continue;
        if (request->len - answer->value < FILE_ENTRY_HEAD + len)
            break;
        put_le64(p, e->id);
        put_le64(p + 8, i + 1);
        p[16] = e->type;
        p[17] = (uint8_t)len;
        memcpy(p + FILE_ENTRY_HEAD, e->name, len);
        answer->value += FILE_ENTRY_HEAD + len;
    }
    return 0;
}

/* ---- links, attributes ---- */

static int read_link(const struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    struct place p;
    ssize_t n;
    int r = find_place(f, request->name, &p);

    if (r < 0)
        return r;
    n = readlinkat(p.directory, p.last, (char *)answer->data, request->len);
    r = n < 0 ? -errno : 0;
    answer->value = n < 0 ? 0 : (uint64_t)n;
    close(p.directory);
    return r;
}

/* A time as utimensat() takes it. */
static struct timespec time_of(uint64_t what, uint64_t changed, uint64_t set, uint64_t seconds, uint64_t ns)
{
    if (!(what & changed))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return what & set ? (struct timespec){(time_t)seconds, (long)(ns % 1000000000u)} : (struct timespec){.tv_nsec = UTIME_NOW};
}

static int change_size(const struct host_files *f, const struct place *p, uint64_t size)
{
    int r = files_look_at(f, p->directory, p->last, LOOK_WRITE), fd;

    if (r < 0)
        return r;
    fd = openat(p->directory, p->last, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Of a file that is open to be written to: it may have no name any more. */
static int change_open(const struct file_change *c, int fd)
{
    const struct timespec t[2] = {time_of(c->what, FILE_CHANGE_ATIME, FILE_CHANGE_ATIME_SET, c->atime, c->atime_ns),
                                  time_of(c->what, FILE_CHANGE_MTIME, FILE_CHANGE_MTIME_SET, c->mtime, c->mtime_ns)};

    if ((c->what & FILE_CHANGE_MODE) && fchmod(fd, c->mode & 07777) < 0)
        return -errno;
    if ((c->what & (FILE_CHANGE_UID | FILE_CHANGE_GID)) &&
        fchown(fd, c->what & FILE_CHANGE_UID ? (uid_t)c->uid : (uid_t)-1, c->what & FILE_CHANGE_GID ? (gid_t)c->gid : (gid_t)-1) < 0 &&
        errno != EPERM)
        return -errno;
    if ((c->what & FILE_CHANGE_SIZE) && ftruncate(fd, (off_t)c->size) < 0)
        return -errno;
    return (c->what & (FILE_CHANGE_ATIME | FILE_CHANGE_MTIME)) && futimens(fd, t) < 0 ? -errno : 0;
}

/* Who may not give a file away has it all the same (as security_model=none has it). A symbolic link has no mode of its own. */
static int change_at(const struct host_files *f, const struct file_change *c, const struct place *p)
{
    uint64_t times = FILE_CHANGE_ATIME | FILE_CHANGE_MTIME;
    struct stat st;
    int r = look(p, &st);

    if (r < 0)
        return r;
    if (*p->last && host_output_is_ours(p->directory, p->last))
        return -EACCES;
    if ((c->what & FILE_CHANGE_MODE) && S_ISLNK(st.st_mode))
        return -EOPNOTSUPP;
    if ((c->what & FILE_CHANGE_MODE) && fchmodat(p->directory, *p->last ? p->last : ".", c->mode & 07777, 0) < 0)
        return -errno;
    if ((c->what & (FILE_CHANGE_UID | FILE_CHANGE_GID)) &&
        fchownat(p->directory, p->last, c->what & FILE_CHANGE_UID ? (uid_t)c->uid : (uid_t)-1,
                 c->what & FILE_CHANGE_GID ? (gid_t)c->gid : (gid_t)-1, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 && errno != EPERM)
        return -errno;
    if (c->what & FILE_CHANGE_SIZE)
        r = change_size(f, p, c->size);
    if (r == 0 && (c->what & times)) {
        const struct timespec t[2] = {time_of(c->what, FILE_CHANGE_ATIME, FILE_CHANGE_ATIME_SET, c->atime, c->atime_ns),
                                      time_of(c->what, FILE_CHANGE_MTIME, FILE_CHANGE_MTIME_SET, c->mtime, c->mtime_ns)};

        r = utimensat(p->directory, *p->last ? p->last : ".", t, *p->last ? AT_SYMLINK_NOFOLLOW : 0) < 0 ? -errno : 0;
    }
    return r;
}

static int make(const struct file_request *request, const struct place *p)
{
    mode_t mode = request->mode & 07777;
    int fd;

    switch (request->mode & S_IFMT) {
    case S_IFDIR:
        return mkdirat(p->directory, p->last, mode) < 0 ? -errno : 0;
    case S_IFIFO:
        return mkfifoat(p->directory, p->last, mode) < 0 ? -errno : 0;
    case S_IFREG:
        fd = openat(p->directory, p->last, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        return fd < 0 ? -errno : close(fd);
    default:
        return -EPERM;
    }
}

static int link_to(const struct host_files *f, const struct file_request *request, const struct place *p)
{
    struct place to;
    int r = find_place(f, request->to, &to);

    if (r < 0)
        return r;
    r = !*to.last ? -EEXIST : linkat(p->directory, p->last, to.directory, to.last, 0) < 0 ? -errno : 0;
    close(to.directory);
    return r;
}

/* What is done to a name. */
static int act(const struct host_files *f, const struct file_request *request, const struct place *p)
{
    if (!*p->last && request->op != FILE_CHANGE)
        return request->op == FILE_REMOVE_DIRECTORY ? -EBUSY : -EEXIST;
    switch (request->op) {
    case FILE_CHANGE:
        return change_at(f, request->change, p);
    case FILE_MAKE:
        return make(request, p);
    case FILE_SYMLINK:
        return symlinkat(request->to, p->directory, p->last) < 0 ? -errno : 0;
    case FILE_LINK:
        return link_to(f, request, p);
    case FILE_REMOVE_DIRECTORY:
        return unlinkat(p->directory, p->last, AT_REMOVEDIR) < 0 ? -errno : 0;
    default:
        return -EINVAL;
    }
}

int file_system_serve(struct host_files *f, const struct file_request *request, struct file_answer *answer)
{
    int fd = files_descriptor(f, request->file), r;
    struct place p;

    switch (request->op) {
    case FILE_STATUS:
        return tell_status(f, request, answer);
    case FILE_LIST:
        return list(f, request, answer);
    case FILE_READ_LINK:
        return read_link(f, request, answer);
    case FILE_SYSTEM_STATUS:
        return tell_system(f, request, answer);
    case FILE_SYNC:
        return fd >= 0 && fsync(fd) < 0 ? -errno : 0;
    case FILE_CHANGE:
        if (request->change->size > INT64_MAX)
            return -EFBIG;
        if (fd >= 0 && (request->access & FILE_ACCESS_WRITE))
            return change_open(request->change, fd);
        break;
    default:
        break;
    }
    r = find_place(f, request->name, &p);
    if (r < 0)
        return r;
    r = act(f, request, &p);
    close(p.directory);
    return r;
}
