/*
 * What a guest asks of files on the host, and what it is told: between the
 * target that asks (semihosting) and src/host, which alone touches files.
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
};

/* file_request.access */
#define FILE_ACCESS_READ  1u
#define FILE_ACCESS_WRITE 2u
#define FILE_CREATE       4u /* if it is not there */
#define FILE_TRUNCATE     8u /* empty it (when it is opened) */
#define FILE_APPEND       16u

#define FILE_ERROR_MAX 4095u

/* Most bytes of one read or write. */
#define FILE_PIECE 65536u

struct file_request {
    enum file_op op;
    uint64_t file;      /* number of the open file: never used for another */
    unsigned access;    /* as it was opened */
    const char *name;   /* as it was opened; what to remove or rename */
    const char *to;     /* FILE_RENAME */
    uint64_t offset;
    const void *data;   /* FILE_WRITE */
    size_t len;         /* FILE_READ, FILE_WRITE: at most FILE_PIECE */
};

struct file_answer {
    uint32_t error;     /* 0, or an errno (Linux's numbers) */
    uint64_t value;     /* FILE_READ, FILE_WRITE: bytes transferred; FILE_LENGTH: bytes */
    uint64_t offset;    /* FILE_WRITE: where the next byte would go */
    uint8_t *data;      /* FILE_READ: room for the bytes, the asker's */
};

#endif
