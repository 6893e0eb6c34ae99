/*
 * For tests: what block images hold, and images that hold what differs.
 *   blocktool cat IMAGE FORMAT|- SNAPSHOT|-           its contents, to standard output
 *   blocktool overlay IMAGE FORMAT NEW SEED           writes NEW, a qcow2 over IMAGE with random clusters
 *                                                     changed; what it should hold, to standard output
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "block/block.h"
#include "block/qcow2_write.h"
#include "host/block_file.h"
#include "host/writer.h"

static const struct block_opener opener = {.open = host_open_block};

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

/* Odd pieces, so that they lie across clusters. */
static int cat(const char *name, const char *format, const char *snapshot)
{
    struct block_image *im;
    struct error err;
    uint8_t buf[100001];
    int status = 0;

    if (block_open(&im, name, format, snapshot, &opener, &err) < 0)
        return fail(err.text);
    for (uint64_t at = 0; !status && at < im->size; at += sizeof(buf)) {
        size_t n = im->size - at < sizeof(buf) ? (size_t)(im->size - at) : sizeof(buf);

        if (block_read(im, at, buf, n) < 0)
            status = fail("cannot read");
        else
            fwrite(buf, 1, n, stdout);
    }
    block_close(im);
    return status;
}

/* A disk, changed here and there. */
struct changed {
    struct block_image *im;
    uint64_t *clusters, n, seed;
    struct host_writer out;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

static bool is_changed(const struct changed *c, uint64_t cluster)
{
    return mix(cluster * 7919 + c->seed) % (c->im->size >> 26 ? 100 : 5) < 2;
}

/* Within a cluster of QCOW2_WRITE_CLUSTER. */
static int changed_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    struct changed *c = ctx;
    uint8_t *to = buf;
    int r = block_read(c->im, offset, buf, len);

    if (r == 0 && is_changed(c, offset >> QCOW2_WRITE_BITS)) /* every other one is all zero */
        for (size_t i = 0; i < len; i++)
            to[i] = mix(offset >> QCOW2_WRITE_BITS) & 8 ? 0 : (uint8_t)mix(offset + i + c->seed);
    return r;
}

static int changed_write(void *ctx, const void *data, size_t len)
{
    struct changed *c = ctx;

    return host_writer_write(&c->out, data, len);
}

static int print_all(struct changed *c)
{
    uint8_t buf[QCOW2_WRITE_CLUSTER];

    for (uint64_t at = 0; at < c->im->size; at += sizeof(buf)) {
        size_t n = c->im->size - at < sizeof(buf) ? (size_t)(c->im->size - at) : sizeof(buf);

        if (changed_read(c, at, buf, n) < 0)
            return fail("cannot read");
        fwrite(buf, 1, n, stdout);
    }
    return 0;
}

static int overlay(const char *name, const char *format, const char *new, uint64_t seed)
{
    struct changed c = {.seed = seed};
    struct error err;
    int status;

    if (block_open(&c.im, name, format, NULL, &opener, &err) < 0 || host_writer_open(&c.out, new, 0, &err) < 0)
        return fail(err.text);
    c.clusters = xcalloc(c.im->size / QCOW2_WRITE_CLUSTER + 1, sizeof(*c.clusters));
    for (uint64_t i = 0; i * QCOW2_WRITE_CLUSTER < c.im->size; i++)
        if (is_changed(&c, i))
            c.clusters[c.n++] = i;
    status = qcow2_write(&(struct qcow2_writer){.size = c.im->size, .backing = name, .backing_format = format,
                                                .clusters = c.clusters, .nclusters = c.n, .ctx = &c,
                                                .read = changed_read, .write = changed_write}, &err) < 0;
    if (status)
        fail(err.text);
    if (host_writer_close(&c.out) < 0)
        status = fail("cannot write");
    if (!status)
        status = print_all(&c);
    free(c.clusters);
    block_close(c.im);
    return status;
}

static const char *or_null(const char *arg)
{
    return strcmp(arg, "-") ? arg : NULL;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "cat"))
        return cat(argv[2], or_null(argv[3]), or_null(argv[4]));
    if (argc == 6 && !strcmp(argv[1], "overlay"))
        return overlay(argv[2], argv[3], argv[4], strtoull(argv[5], NULL, 0));
    return fail("see the beginning of tests/block/blocktool.c");
}
