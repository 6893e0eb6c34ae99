/*
 * Whole files in and out.
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

/* A file being written, from the beginning, one piece after the other. */
struct host_writer {
    int fd; /* -1: none */
};
/* Create or empty the file. 0 or negative errno with a message that names it. */
int host_writer_open(struct host_writer *w, const char *path, struct error *err);
/* Write all of it. 0 or negative errno. */
int host_writer_write(struct host_writer *w, const void *data, size_t len);
/* 0, or the negative errno of what could not be written after all. */
int host_writer_close(struct host_writer *w);

/* Is there something of that name? */
bool host_file_exists(const char *path);

#endif
