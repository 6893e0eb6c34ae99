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

/* Is there something of that name? */
bool host_file_exists(const char *path);

#endif
