/*
 * Files: read whole or in pieces, written from the beginning on.
 */
#ifndef HINDCAST_HOST_FILE_H
#define HINDCAST_HOST_FILE_H

#include "base/buffer.h"
#include "base/error.h"

/* Append the contents of a file to `out`. Refuses directories, and files of more
 * than `limit` bytes ("larger than the guest's memory", say `limit_means`).
 * 0 or negative errno with a message that names the file. */
int host_load_file(const char *path, uint64_t limit, const char *limit_means, struct buffer *out,
                   struct error *err);

/* A file that is read in pieces, anywhere. What is no regular file is read whole at once. */
struct host_reader {
    int fd;              /* -1: `whole` has it */
    uint64_t len;
    struct buffer whole;
};
/* `limit`: most bytes, as above. 0 or negative errno with a message that names the file. */
int host_reader_open(struct host_reader *r, const char *path, uint64_t limit, const char *limit_means,
                     struct error *err);
/* Read exactly these bytes. 0, or negative errno: -EIO if the file has become shorter. */
int host_reader_read(struct host_reader *r, uint64_t offset, void *buf, size_t len);
void host_reader_close(struct host_reader *r);

/* A file being written, from the beginning, one piece after the other. */
struct host_syncer;
struct host_writer {
    int fd;        /* -1: none */
    bool seekable; /* a regular file */
    struct host_syncer *syncer; /* the thread that waits for the disk; NULL: not yet */
};
/* Create or empty the file. 0 or negative errno with a message that names it. */
int host_writer_open(struct host_writer *w, const char *path, struct error *err);
/* Write all of it. 0 or negative errno. */
int host_writer_write(struct host_writer *w, const void *data, size_t len);
/* In place of bytes that were written before; only if `seekable`. */
int host_writer_rewrite(struct host_writer *w, uint64_t offset, const void *data, size_t len);
/* Cut the file there and go on behind it; only if `seekable`. */
int host_writer_cut(struct host_writer *w, uint64_t offset);
/* Have what was written so far put on the disk, soon: nobody waits for it. 0, or the
 * negative errno of an earlier one. */
int host_writer_sync(struct host_writer *w);
/* 0, or the negative errno of what could not be written after all. */
int host_writer_close(struct host_writer *w);

/* Replace what is in an existing file, or leave it as it was: never half of it. 0 or negative errno with a
 * message that names the file. */
int host_replace_file(const char *path, const void *data, size_t len, struct error *err);

/* Are both names those of one file that is there? */
bool host_same_file(const char *a, const char *b);
/* Is there something of that name? */
bool host_file_exists(const char *path);

#endif
