/*
 * The reader of recordings against arbitrary files. With a fuzzing engine:
 *
 *   clang -fsanitize=fuzzer,address -DFUZZ_ENGINE -Isrc tests/replay/fuzz_recording.c src/replay/recording_read.c \
 *       src/replay/log.c libbase.a -lz -lxxhash
 *
 * Without one it reads the files it is given (make check: the corpus in
 * tests/replay/corpus), each of them whole, cut at many places, and changed
 * at many places with and without checksums that match again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"

#include "replay/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void no_page(void *ctx, uint32_t area, uint64_t number, const uint8_t *bytes)
{
    uint64_t *sum = ctx;

    *sum += area + number + (bytes ? bytes[PAGE_SIZE - 1] : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct error err = {0};
    struct recording r;
    uint64_t sum = 0;

    if (recording_open(&r, data, len, &err) == 0) {
        for (uint64_t i = 0; i < event_log_count(r.log); i++)
            if (!event_log_get(r.log, i)->kind)
                abort();
        for (size_t i = 0; i < r.nimages; i++) {
            struct buffer image = {0};

            recording_image_read(&r, i, &image, &err);
            buffer_finish(&image);
        }
        for (size_t i = 0; i < r.ncheckpoints; i++)
            recording_checkpoint_pages(&r, i, no_page, &sum, &err);
        for (size_t i = 0; i < r.nclusters; i++) {
            const struct recording_cluster c = r.clusters[i];
            uint8_t cluster[DRIVE_CLUSTER];
            size_t there = 0;

            if (recording_read_cluster(&r, c.drive, c.number, cluster, &there) == 0 && there > sizeof(cluster))
                abort();
        }
        for (size_t i = 0; i < r.nharms && i < RECORDING_HARMS; i++) {
            char text[RECORDING_HARM_TEXT];

            recording_harm_text(&r, i, text);
        }
        if (r.good_bytes > len || (r.closed && *r.note))
            abort();
    } else if (!*err.text) {
        abort();
    }
    recording_finish(&r);
    return 0;
}

#ifndef FUZZ_ENGINE
/* Make every checksum match again. */
static void mend(uint8_t *data, size_t len)
{
    for (size_t at = RECORDING_HEADER_BYTES; at + RECORDING_CHUNK_BYTES <= len;) {
        uint8_t *h = data + at;
        size_t room = len - at - RECORDING_CHUNK_BYTES;
        size_t stored = h[8] | (size_t)h[9] << 8 | (size_t)h[10] << 16 | (size_t)h[11] << 24;

        stored = stored > room ? room : stored;
        put_le32(h + 40, (uint32_t)crc32(0, h + RECORDING_CHUNK_BYTES, (uInt)stored));
        put_le32(h + 44, (uint32_t)crc32(0, h, 44));
        at += RECORDING_CHUNK_BYTES + stored;
    }
}

static void try_file(const uint8_t *data, size_t len)
{
    uint32_t random = 1;

    LLVMFuzzerTestOneInput(data, len);
    for (unsigned i = 0; i < 2000 && len; i++) {
        /* A block of its own size: a sanitizer sees what is read behind it. */
        size_t n = i % 4 ? len : random % len;
        uint8_t *copy = malloc(n + !n);

        memcpy(copy, data, n);
        for (unsigned k = i % 3 + 1; k && n; k--) {
            random = random * 1664525u + 1013904223u;
            copy[(random >> 8) % n] ^= (uint8_t)(1u << (random >> 28 & 7));
        }
        if (i & 1)
            mend(copy, n);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        struct buffer b;

        if (!f) {
            perror(argv[i]);
            return 1;
        }
        buffer_init(&b);
        b.len = fread(buffer_reserve(&b, 1 << 20), 1, 1 << 20, f);
        fclose(f);
        try_file(b.data, b.len);
        buffer_finish(&b);
    }
    return 0;
}
#endif
