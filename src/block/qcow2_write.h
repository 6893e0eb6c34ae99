/*
 * Writing a qcow2 image that holds what differs from another image, which is its backing file.
 */
#ifndef HINDCAST_BLOCK_QCOW2_WRITE_H
#define HINDCAST_BLOCK_QCOW2_WRITE_H

#include "base/error.h"
#include "base/types.h"

#define QCOW2_WRITE_BITS 16u
#define QCOW2_WRITE_CLUSTER ((uint64_t)1 << QCOW2_WRITE_BITS)

struct qcow2_writer {
    uint64_t size;              /* bytes of the disk, at most BLOCK_MAX_BYTES */
    const char *backing;        /* name of the backing file, at most 1023 bytes, as it is to be found from the new file */
    const char *backing_format; /* at most 31 bytes */
    const uint64_t *clusters;   /* numbers of those (QCOW2_WRITE_CLUSTER bytes) that differ, ascending */
    uint64_t nclusters;
    void *ctx;
    /* What the disk holds: 0 or negative errno. Asked twice of each cluster. */
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
    /* Take the next bytes of the file: 0 or negative errno. */
    int (*write)(void *ctx, const void *data, size_t len);
};

/* 0, or negative errno with a message that does not name the file. */
int qcow2_write(const struct qcow2_writer *w, struct error *err);

#endif
