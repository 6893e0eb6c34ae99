/*
 * What a guest asks of files on the host, and what it is told: between who
 * asks (semihosting, a shared directory's device) and src/host, which alone touches files.
 *
 * A request says everything: a host that has lost its open files (a recording
 * that is continued) can open them again by name. An answer is recorded and is
 * never asked for twice; so what a request does outside is done once.
 */
#ifndef HINDCAST_BASE_FILE_CALL_H
#define HINDCAST_BASE_FILE_CALL_H

#include "base/types.h"

enum file_op {
    FILE_OPEN = 1, /* as `access` says; the file number is new */
    FILE_CLOSE,
    FILE_READ,     /* at most `len` bytes from `offset` on */
    FILE_WRITE,    /* `len` bytes at `offset`, or with FILE_APPEND at the end */
    FILE_LENGTH,
    FILE_REMOVE,   /* `name` */
    FILE_RENAME,   /* `name` becomes `to` */
    /* Of a file system only (file_request.system). `name` "" is its root. */
    FILE_STATUS,   /* what it is: struct file_status, by `file` if that is open and by `name` else */
    FILE_LIST,     /* a directory's entries from number `offset` on, as many as `len` bytes hold, each FILE_ENTRY_HEAD and name */
    FILE_READ_LINK, /* where a symbolic link leads */
    FILE_SYSTEM_STATUS, /* how large it is, and how full: struct file_system_status */
    FILE_CHANGE,   /* struct file_change: mode, owner, length, times */
    FILE_SYNC,     /* what was written is to be on the disk */
    FILE_MAKE,     /* a directory, FIFO or empty file, by `mode` */
    FILE_SYMLINK,  /* `name` comes to lead to `to` */
    FILE_LINK,     /* `to` becomes another name of `name` */
    FILE_REMOVE_DIRECTORY,
};

/* file_request.access */
#define FILE_ACCESS_READ  1u
#define FILE_ACCESS_WRITE 2u
#define FILE_CREATE       4u /* if it is not there */
#define FILE_TRUNCATE     8u /* empty it (when it is opened) */
#define FILE_APPEND       16u
#define FILE_EXCLUSIVE    32u /* with FILE_CREATE: it must not be there */

#define FILE_ERROR_MAX 4095u

/* Most bytes of one read or write. */
#define FILE_PIECE 65536u

/* What crosses the log is these, each field as 8 bytes, least significant first. */
struct file_status {
    uint64_t mode;      /* Linux's st_mode: type and permissions */
    uint64_t uid, gid, links;
    uint64_t rdev, size, block_size, blocks; /* blocks of 512 bytes */
    uint64_t id;        /* one for each file of the file system */
    uint64_t version;   /* another when it was changed */
    uint64_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns; /* since 1970 UTC */
};
#define FILE_STATUS_WORDS (sizeof(struct file_status) / 8)

struct file_system_status {
    uint64_t block_size, blocks, free, available, files, files_free, id, name_max;
};
#define FILE_SYSTEM_WORDS (sizeof(struct file_system_status) / 8)

/* file_change.what */
#define FILE_CHANGE_MODE  1u
#define FILE_CHANGE_UID   2u
#define FILE_CHANGE_GID   4u
#define FILE_CHANGE_SIZE  8u
#define FILE_CHANGE_ATIME 16u /* to now; with FILE_CHANGE_ATIME_SET to the value */
#define FILE_CHANGE_MTIME 32u
#define FILE_CHANGE_ATIME_SET 128u
#define FILE_CHANGE_MTIME_SET 256u

struct file_change {
    uint64_t what, mode, uid, gid, size, atime, atime_ns, mtime, mtime_ns;
};

/* FILE_LIST: id, number of the next entry, type (Linux's DT_...), length of the name. */
#define FILE_ENTRY_HEAD (8u + 8u + 1u + 1u)

/* The bytes that an answer to it may have: file_answer.value of them, in file_answer.data. */
static inline bool file_op_answers_bytes(enum file_op op)
{
    return op == FILE_READ || (op >= FILE_STATUS && op <= FILE_SYSTEM_STATUS);
}

struct file_request {
    enum file_op op;
    uint64_t file;      /* number of the open file: never used for another */
    unsigned access;    /* as it was opened */
    const char *name;   /* as it was opened; what to remove or rename */
    const char *to;     /* FILE_RENAME, FILE_LINK, FILE_SYMLINK */
    const char *system; /* which file system: the ID of a --fsdev; NULL: the directory of semihosting */
    uint32_t mode;      /* of what is made: FILE_OPEN with FILE_CREATE (0: 0666), FILE_MAKE */
    uint64_t offset;
    const void *data;   /* FILE_WRITE */
    const struct file_change *change;
    size_t len;         /* FILE_WRITE, and the room for what is answered in bytes: at most FILE_PIECE */
};

struct file_answer {
    uint32_t error;     /* 0, or an errno (Linux's numbers) */
    uint64_t value;     /* bytes transferred, or answered; FILE_LENGTH: bytes */
    uint64_t offset;    /* FILE_WRITE: where the next byte would go */
    uint8_t *data;      /* room for the bytes, the asker's */
};

#endif
