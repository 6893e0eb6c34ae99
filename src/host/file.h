/*
 * Files that are read, whole or in pieces. What a run has read is spared by what it writes (output.h).
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

/* Read exactly these bytes of a file or a block device. 0, or negative errno: -EIO if it has become shorter. */
int host_read_exactly(int fd, uint64_t offset, void *buf, size_t len);

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

/* Is there something of that name? */
bool host_file_exists(const char *path);
/* Are both there, and the same file, by whatever name? */
bool host_file_same(const char *a, const char *b);

#endif
