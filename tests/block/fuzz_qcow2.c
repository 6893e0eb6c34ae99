/*
 * The reader of qcow2 against arbitrary files. With a fuzzing engine:
 *
 *   clang -fsanitize=fuzzer,address -DFUZZ_ENGINE -Isrc -Ibuild -I. tests/block/fuzz_qcow2.c src/block/block.c \
 *       src/block/qcow2.c libbase.a -lz -lzstd -lxxhash
 *
 * Without one it makes images of every kind and reads them changed in many places, most often where numbers
 * are: fuzz_qcow2 [ROUNDS [SEED]].
 */
#include <stdio.h>

#include "base/bytes.h"
#include "block/qcow2_write.h"
#include "tests/block/block_bench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_here_and_there(struct block_image *im)
{
    static uint8_t buf[3 << 16];
    uint64_t at = 0;

    for (unsigned i = 0; i < 24 && at < im->size; i++) {
        uint64_t n = im->size - at < sizeof(buf) ? im->size - at : sizeof(buf);

        block_read(im, at, buf, (size_t)n);
        at = i < 12 ? at + 5000 : im->size / 24 * i;
    }
}

/* A name in the image leads to the image again, as another file: chains come to their end. */
static void read_image(const uint8_t *data, size_t len, const char *snapshot)
{
    const struct bench_file file = {"image", data, len};
    struct bench_files files = {.files = &file, .n = 1, .anything = true};
    const struct block_opener opener = {&files, bench_open};
    struct block_image *im;
    struct error err = {0};

    if (block_open(&im, "image", "qcow2", snapshot, &opener, &err) == 0) {
        read_here_and_there(im);
        block_close(im);
    } else if (!*err.text) {
        abort();
    }
    if (files.opened > 2 * BLOCK_MAX_CHAIN + 2)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    read_image(data, len, NULL);
    read_image(data, len, "s");
    return 0;
}

#ifndef FUZZ_ENGINE
static uint32_t next_random(uint64_t *rng)
{
    *rng = *rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*rng >> 33);
}

/* A place in the tables that lead to clusters: in the L1 table, or in an L2 table that is in the file; 0: there is none. */
static size_t place_in_tables(const uint8_t *data, size_t len, uint64_t *rng)
{
    uint64_t entries = get_be(data + 36, 4), at = get_be(data + 40, 8), cluster_bits = get_be(data + 20, 4) & 31;
    uint64_t l2;

    if (cluster_bits < 9 || !entries || at > len || entries > (len - at) / 8)
        return 0;
    at += next_random(rng) % entries * 8;
    l2 = get_be(data + at, 8) & UINT64_C(0x00fffffffffffe00);
    if (next_random(rng) % 3 == 0 || !l2 || l2 > len || len - l2 < (uint64_t)1 << cluster_bits)
        return at;
    /* Entries that are not empty are among the first. */
    return l2 + next_random(rng) % (next_random(rng) & 1 ? 32 : (1u << cluster_bits) / 8) * 8;
}

/* A number of 4 or 8 bytes, often one that is just too large. */
static void change(uint8_t *data, size_t len, uint64_t *rng)
{
    static const uint64_t numbers[] = {0, 1, 7, 9, 21, 22, 511, 512, 65536, 0x7fffffff, 0xffffffff, 0x4000000000000000,
                                       0x8000000000000200, UINT64_MAX, (uint64_t)1 << 40};
    unsigned bytes = next_random(rng) & 1 ? 4 : 8;
    size_t where = next_random(rng) % 3 ? next_random(rng) % 112 : next_random(rng) % len;
    uint64_t v = numbers[next_random(rng) % ARRAY_LEN(numbers)] + next_random(rng) % 3;

    if (len > 112 && next_random(rng) % 3 == 0 && (where = place_in_tables(data, len, rng)) != 0)
        bytes = 8;
    /* Another cluster's: also one of a table, or of the entry itself. */
    if (bytes == 8 && next_random(rng) % 4 == 0)
        v = (next_random(rng) % (len + 65536)) | (uint64_t)next_random(rng) << 62;
    where &= ~(size_t)3;
    if (where + bytes > len)
        return;
    if (next_random(rng) & 1)
        v = (get_be(data + where, bytes) ^ (uint64_t)1 << next_random(rng) % (8 * bytes)) + (v == 7) * 512;
    put_be(data + where, v, bytes);
}

static void try_image(const struct buffer *b, unsigned rounds, uint64_t *rng)
{
    LLVMFuzzerTestOneInput(b->data, b->len);
    for (unsigned i = 0; i < rounds; i++) {
        /* A block of its own size: a sanitizer sees what is read behind it. */
        size_t n = i % 4 ? b->len : next_random(rng) % b->len + 1;
        uint8_t *copy = xmalloc(n);

        memcpy(copy, b->data, n);
        for (unsigned k = next_random(rng) % 4; k; k--)
            change(copy, n, rng);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
}

static int made_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, offset & QCOW2_WRITE_CLUSTER ? 0 : 0x77, len);
    return 0;
}

static int made_write(void *ctx, const void *data, size_t len)
{
    buffer_append(ctx, data, len);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 400;
    uint64_t rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    static const uint64_t changed[] = {0, 1, 2, 9000};
    struct buffer b;
    struct error err;

    buffer_init(&b);
    for (unsigned bits = 9; bits <= 16; bits += bits < 14 ? 5 : 1)
        for (unsigned kind = 0; kind < 4; kind++) {
            if (kind & 1 && bits < 14)
                continue;
            buffer_clear(&b);
            bench_qcow2(&b, bits, kind & 1, kind & 2 ? "below" : NULL);
            try_image(&b, rounds, &rng);
        }
    buffer_clear(&b);
    if (qcow2_write(&(struct qcow2_writer){.size = (uint64_t)1 << 30, .backing = "below", .backing_format = "qcow2",
                                           .clusters = changed, .nclusters = ARRAY_LEN(changed), .ctx = &b,
                                           .read = made_read, .write = made_write}, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    try_image(&b, rounds, &rng);
    buffer_finish(&b);
    return 0;
}
#endif
