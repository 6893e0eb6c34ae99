/*
 * Writing qcow2, version 3 (QEMU, docs/interop/qcow2.txt), from the beginning to the end: where everything
 * comes to lie is computed first. In order: the header, the table of reference count blocks, these, the L1
 * table, the L2 tables, the data. Every cluster of the file is used once, so every count is 1. Clusters of
 * zeros take an entry and no data.
 */
#include "block/qcow2_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "block/block.h"
#include "block/qcow2.h"

#define CLUSTER      QCOW2_WRITE_CLUSTER
#define L2_ENTRIES   (CLUSTER / 8)
#define COUNT_BYTES  2u /* of a reference count */
#define COUNT_ORDER  4u /* ... as the header says it: bits == 1 << order */
#define COUNTS       (CLUSTER / COUNT_BYTES)

/* Where things lie, in clusters of the file. */
struct layout {
    uint64_t table, ntable;   /* of reference count blocks */
    uint64_t blocks, nblocks;
    uint64_t l1, nl1;
    uint64_t l2, nl2;
    uint64_t data, ndata;
    uint64_t total;
    uint64_t l1_size;         /* entries */
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Numbers of L2 tables with something in them. */
static uint64_t count_l2(const struct qcow2_writer *w)
{
    uint64_t n = 0, last = UINT64_MAX;

    for (uint64_t i = 0; i < w->nclusters; i++) {
        if (w->clusters[i] / L2_ENTRIES != last)
            n++;
        last = w->clusters[i] / L2_ENTRIES;
    }
    return n;
}

static void lay_out(const struct qcow2_writer *w, uint64_t ndata, struct layout *l)
{
    uint64_t rest;

    *l = (struct layout){.ndata = ndata, .nl2 = count_l2(w), .table = 1};
    l->l1_size = divide_up(divide_up(w->size, CLUSTER), L2_ENTRIES);
    l->nl1 = divide_up(l->l1_size * 8, CLUSTER);
    rest = 1 + l->nl1 + l->nl2 + l->ndata;
    do { /* the blocks count themselves, too */
        l->total = rest + l->ntable + l->nblocks;
        l->nblocks = divide_up(l->total, COUNTS);
        l->ntable = divide_up(l->nblocks * 8, CLUSTER);
    } while (l->total != rest + l->ntable + l->nblocks);
    l->blocks = l->table + l->ntable;
    l->l1 = l->blocks + l->nblocks;
    l->l2 = l->l1 + l->nl1;
    l->data = l->l2 + l->nl2;
}

/* ---- the parts ---- */

static uint8_t *put_extension(uint8_t *at, uint32_t type, const char *text)
{
    size_t len = strlen(text);

    put_be(at, type, 4);
    put_be(at + 4, len, 4);
    memcpy(at + 8, text, len);
    return at + 8 + ((len + 7) & ~(size_t)7);
}

static int write_header(const struct qcow2_writer *w, const struct layout *l, uint8_t *cluster)
{
    size_t len = strlen(w->backing);
    uint8_t *at;

    memset(cluster, 0, CLUSTER);
    put_be(cluster, QCOW2_MAGIC, 4);
    put_be(cluster + QCOW2_VERSION, 3, 4);
    put_be(cluster + QCOW2_BACKING_SIZE, len, 4);
    put_be(cluster + QCOW2_CLUSTER_BITS, QCOW2_WRITE_BITS, 4);
    put_be(cluster + QCOW2_DISK_SIZE, w->size, 8);
    put_be(cluster + QCOW2_L1_SIZE, l->l1_size, 4);
    put_be(cluster + QCOW2_L1_OFFSET, l->l1 * CLUSTER, 8);
    put_be(cluster + QCOW2_REFTABLE_OFFSET, l->table * CLUSTER, 8);
    put_be(cluster + QCOW2_REFTABLE_CLUSTERS, l->ntable, 4);
    put_be(cluster + QCOW2_REFCOUNT_ORDER, COUNT_ORDER, 4);
    put_be(cluster + QCOW2_HEADER_LENGTH, QCOW2_HEADER_V3, 4);
    at = put_extension(cluster + QCOW2_HEADER_V3, QCOW2_EXT_BACKING_FORMAT, w->backing_format);
    at = put_extension(at, QCOW2_EXT_END, "");
    put_be(cluster + QCOW2_BACKING_OFFSET, (uint64_t)(at - cluster), 8);
    memcpy(at, w->backing, len);
    return w->write(w->ctx, cluster, CLUSTER);
}

/* A table whose entries are the places of `n` clusters from `first` on, side by side. */
static int write_table(const struct qcow2_writer *w, uint64_t first, uint64_t n, uint8_t *cluster)
{
    int r = 0;

    for (uint64_t done = 0; r == 0 && done < n; done += CLUSTER / 8) {
        memset(cluster, 0, CLUSTER);
        for (uint64_t i = 0; i < CLUSTER / 8 && done + i < n; i++)
            put_be(cluster + 8 * i, (first + done + i) * CLUSTER, 8);
        r = w->write(w->ctx, cluster, CLUSTER);
    }
    return r;
}

static int write_counts(const struct qcow2_writer *w, const struct layout *l, uint8_t *cluster)
{
    int r = 0;

    for (uint64_t done = 0; r == 0 && done < l->nblocks * COUNTS; done += COUNTS) {
        memset(cluster, 0, CLUSTER);
        for (uint64_t i = 0; i < COUNTS && done + i < l->total; i++)
            put_be(cluster + COUNT_BYTES * i, 1, COUNT_BYTES);
        r = w->write(w->ctx, cluster, CLUSTER);
    }
    return r;
}

static int write_l1(const struct qcow2_writer *w, const struct layout *l, uint8_t *cluster)
{
    uint64_t at = 0, l2 = l->l2;
    int r = 0;

    for (uint64_t done = 0; r == 0 && done < l->nl1 * (CLUSTER / 8); done += CLUSTER / 8) {
        memset(cluster, 0, CLUSTER);
        while (at < w->nclusters && w->clusters[at] / L2_ENTRIES < done + CLUSTER / 8) {
            uint64_t index = w->clusters[at] / L2_ENTRIES;

            put_be(cluster + 8 * (index - done), l2++ * CLUSTER | QCOW2_COPIED, 8);
            while (at < w->nclusters && w->clusters[at] / L2_ENTRIES == index)
                at++;
        }
        r = w->write(w->ctx, cluster, CLUSTER);
    }
    return r;
}

static int write_l2(const struct qcow2_writer *w, const struct layout *l, const bool *zero, uint8_t *cluster)
{
    uint64_t at = 0, data = l->data;
    int r = 0;

    while (r == 0 && at < w->nclusters) {
        uint64_t table = w->clusters[at] / L2_ENTRIES;

        memset(cluster, 0, CLUSTER);
        for (; at < w->nclusters && w->clusters[at] / L2_ENTRIES == table; at++) {
            uint64_t entry = zero[at] ? QCOW2_ZERO : data++ * CLUSTER | QCOW2_COPIED;

            put_be(cluster + 8 * (w->clusters[at] % L2_ENTRIES), entry, 8);
        }
        r = w->write(w->ctx, cluster, CLUSTER);
    }
    return r;
}

/* The last cluster may go beyond the end of the disk. */
static int read_cluster(const struct qcow2_writer *w, uint64_t n, uint8_t *cluster)
{
    uint64_t offset = n * CLUSTER, there = w->size - offset < CLUSTER ? w->size - offset : CLUSTER;

    memset(cluster + there, 0, CLUSTER - there);
    return w->read(w->ctx, offset, cluster, there);
}

static int write_data(const struct qcow2_writer *w, const bool *zero, uint8_t *cluster, bool *reading)
{
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < w->nclusters; i++) {
        if (zero[i])
            continue;
        r = read_cluster(w, w->clusters[i], cluster);
        *reading = r < 0;
        if (r == 0)
            r = w->write(w->ctx, cluster, CLUSTER);
    }
    return r;
}

static int find_zeros(const struct qcow2_writer *w, bool *zero, uint64_t *ndata, uint8_t *cluster)
{
    uint8_t *zeros = xcalloc(1, CLUSTER);
    int r = 0;

    *ndata = 0;
    for (uint64_t i = 0; r == 0 && i < w->nclusters; i++) {
        r = read_cluster(w, w->clusters[i], cluster);
        zero[i] = !memcmp(cluster, zeros, CLUSTER);
        *ndata += !zero[i];
    }
    free(zeros);
    return r;
}

static int write_all(const struct qcow2_writer *w, const bool *zero, uint64_t ndata, uint8_t *cluster, bool *reading)
{
    struct layout l;
    int r;

    lay_out(w, ndata, &l);
    r = write_header(w, &l, cluster);
    if (r == 0)
        r = write_table(w, l.blocks, l.nblocks, cluster);
    if (r == 0)
        r = write_counts(w, &l, cluster);
    if (r == 0)
        r = write_l1(w, &l, cluster);
    if (r == 0)
        r = write_l2(w, &l, zero, cluster);
    return r == 0 ? write_data(w, zero, cluster, reading) : r;
}

int qcow2_write(const struct qcow2_writer *w, struct error *err)
{
    uint8_t *cluster;
    bool *zero, reading = true;
    uint64_t ndata;
    int r;

    if (strlen(w->backing) > QCOW2_NAME_MAX || strlen(w->backing_format) > 31)
        return error_set(err, -ENAMETOOLONG, "the backing file's name is too long");
    CHECK(w->size <= BLOCK_MAX_BYTES);
    cluster = xmalloc(CLUSTER);
    zero = xcalloc(w->nclusters + 1, sizeof(*zero));
    r = find_zeros(w, zero, &ndata, cluster);
    if (r == 0) {
        reading = false;
        r = write_all(w, zero, ndata, cluster, &reading);
    }
    free(zero);
    free(cluster);
    return r < 0 ? error_set(err, r, "cannot %s: %s", reading ? "read the disk" : "write", strerror(-r)) : 0;
}
