/*
 * Images in memory, for tests: a small qcow2 made by hand, and an opener of images by name.
 */
#ifndef BLOCK_BENCH_H
#define BLOCK_BENCH_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "block/block.h"
#include "block/qcow2.h"

struct bench_file {
    const char *name;
    const uint8_t *data;
    size_t len;
};

struct bench_files {
    const struct bench_file *files;
    size_t n;
    bool anything;      /* a name that is not known is the first file, and another one each time */
    uint64_t opened;
};

static inline int bench_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct bench_file *f = ctx;

    if (offset > f->len || len > f->len - offset)
        abort(); /* nobody may ask for what is not there */
    if (len)
        memcpy(buf, f->data + offset, len);
    return 0;
}

static inline void bench_close(void *ctx)
{
    (void)ctx;
}

static inline int bench_open(void *ctx, const char *name, struct block_source *s, struct error *err)
{
    struct bench_files *b = ctx;
    size_t i = 0;

    while (i < b->n && strcmp(b->files[i].name, name))
        i++;
    if (i == b->n && !b->anything)
        return error_set(err, -ENOENT, "%s: not there", name);
    b->opened++;
    *s = (struct block_source){
        .ctx = (void *)(uintptr_t)&b->files[i < b->n ? i : 0],
        .size = b->files[i < b->n ? i : 0].len,
        .identity = {i, i < b->n ? 0 : b->opened},
        .name = xstrdup(name),
        .local = true,
        .read = bench_read,
        .close = bench_close,
    };
    return 0;
}

/* Where the parts of bench_qcow2() are, in clusters. */
enum {
    BENCH_L1 = 1, BENCH_L2, BENCH_SNAPSHOTS, BENCH_PLAIN, BENCH_PACKED, BENCH_CLUSTERS = BENCH_PACKED + 2,
};

/* A disk of eight clusters: plain, none, zero, compressed, ... with a snapshot "s" of the same. `bits`: 9 to 16, with
 * `extended` from 14. */
static inline void bench_qcow2(struct buffer *b, unsigned bits, bool extended, const char *backing)
{
    size_t cluster = (size_t)1 << bits, entry = extended ? 16 : 8, len = BENCH_CLUSTERS * cluster;
    uint8_t *p = buffer_reserve(b, len), *noise = xcalloc(1, cluster);
    z_stream z = {0};

    memset(p, 0, len);
    b->len += len;
    put_be(p, QCOW2_MAGIC, 4);
    put_be(p + QCOW2_VERSION, 3, 4);
    put_be(p + QCOW2_CLUSTER_BITS, bits, 4);
    put_be(p + QCOW2_DISK_SIZE, 8 * cluster, 8);
    put_be(p + QCOW2_L1_SIZE, 1, 4);
    put_be(p + QCOW2_L1_OFFSET, BENCH_L1 * cluster, 8);
    put_be(p + QCOW2_NB_SNAPSHOTS, 1, 4);
    put_be(p + QCOW2_SNAPSHOTS_OFFSET, BENCH_SNAPSHOTS * cluster, 8);
    put_be(p + QCOW2_INCOMPATIBLE, extended ? QCOW2_EXTENDED_L2 : 0, 8);
    put_be(p + QCOW2_REFCOUNT_ORDER, 4, 4);
    put_be(p + QCOW2_HEADER_LENGTH, QCOW2_HEADER_V3, 4);
    if (backing) {
        put_be(p + QCOW2_BACKING_OFFSET, 400, 8);
        put_be(p + QCOW2_BACKING_SIZE, strlen(backing), 4);
        memcpy(p + 400, backing, strlen(backing));
    }
    put_be(p + BENCH_L1 * cluster, BENCH_L2 * cluster | QCOW2_COPIED, 8);
    put_be(p + BENCH_L2 * cluster, BENCH_PLAIN * cluster | QCOW2_COPIED, 8);
    put_be(p + BENCH_L2 * cluster + 2 * entry, extended ? 0 : QCOW2_ZERO, 8);
    if (extended) {
        put_be(p + BENCH_L2 * cluster + 8, 0x0000ff0000ff00ff, 8);
        put_be(p + BENCH_L2 * cluster + 2 * entry + 8, 0xffffffff00000000, 8);
    }
    put_be(p + BENCH_SNAPSHOTS * cluster, BENCH_L1 * cluster, 8);
    put_be(p + BENCH_SNAPSHOTS * cluster + 8, 1, 4);
    put_be(p + BENCH_SNAPSHOTS * cluster + 12, 1, 2);
    put_be(p + BENCH_SNAPSHOTS * cluster + 14, 1, 2);
    p[BENCH_SNAPSHOTS * cluster + 40] = '1';
    p[BENCH_SNAPSHOTS * cluster + 41] = 's';
    memset(p + BENCH_PLAIN * cluster, 0x5a, cluster);
    for (size_t i = 0; i < cluster / 4; i++)
        noise[i] = (uint8_t)(i * 37 >> 2);
    z.next_in = noise;
    z.avail_in = (uInt)cluster;
    z.next_out = p + BENCH_PACKED * cluster + 3;
    z.avail_out = (uInt)(2 * cluster - 3);
    deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    put_be(p + BENCH_L2 * cluster + 3 * entry,
              QCOW2_COMPRESSED | (BENCH_PACKED * cluster + 3) | ((z.total_out + 2) / 512) << (62 - (bits - 8)), 8);
    free(noise);
}

#endif
