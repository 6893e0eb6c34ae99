/*
 * What the tests of recordings share: toy machines (toy.h) with a host around them,
 * files that are buffers, recordings made and changed.
 */
#ifndef HINDCAST_TESTS_RECORDING_BENCH_H
#define HINDCAST_TESTS_RECORDING_BENCH_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "replay/recorder.h"
#include "toy.h"

#define STEPS 30000u

struct host {
    struct timeline *tl;
    uint64_t now, wall, random, waits;
    struct buffer output;
    void (*speaks)(struct host *h); /* the guest does, in the midst of a step; or NULL */
    struct buffer *rescued;         /* `speaks` may use it */
};

static uint64_t host_now(void *ctx)
{
    return ((struct host *)ctx)->now += 50000;
}

static uint64_t host_wall(void *ctx)
{
    return ++((struct host *)ctx)->wall;
}

static void host_entropy(void *ctx, void *buf, size_t len)
{
    memset(buf, (int)toy_rand(&((struct host *)ctx)->random), len);
}

static void host_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    struct host *h = ctx;

    (void)dev;
    buffer_append(&h->output, buf, len);
    if (h->speaks)
        h->speaks(h);
}

/* Types something each time the host is looked at. */
static uint64_t host_wait(void *ctx, uint64_t ns)
{
    struct host *h = ctx;

    h->waits++;
    if (!timeline_input_pending(h->tl, toy_serial(timeline_machine(h->tl))))
        timeline_input(h->tl, toy_serial(timeline_machine(h->tl)), "x", 1, false);
    return ns == UINT64_MAX ? 1000 : ns - ns / 2;
}

/* A guest that sleeps for good is left alone. */
static bool host_poll(void *ctx)
{
    return ((struct host *)ctx)->waits > 5000;
}

/* Programs use the disk; its image is what a recording has of it. */
static bool bench_disk;
static struct recording *bench_image;

static int host_image(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    uint8_t cluster[DRIVE_CLUSTER];
    size_t there, within = offset & (DRIVE_CLUSTER - 1);

    (void)ctx;
    if (!bench_image)
        return toy_image_read(NULL, NULL, d, offset, buf, len);
    if (recording_read_cluster(bench_image, 0, offset >> DRIVE_CLUSTER_SHIFT, cluster, &there) < 0 || within + len > there)
        return -EIO;
    memcpy(buf, cluster + within, len);
    return 0;
}

static int host_cluster(void *ctx, unsigned drive, uint64_t offset, void *buf, size_t len)
{
    (void)ctx;
    (void)drive;
    return toy_image_read(NULL, NULL, NULL, offset, buf, len);
}

/* There are branches in it. */
static bool bench_branches;

static inline void begin_timeline(struct host *h, uint64_t seed, bool live)
{
    const struct timeline_config config = {
        .live = live, .sleep = true, .slice_steps = 700,
        .branches = bench_branches,
        .edge_interval_ns = 200000, .checkpoint_interval_ns = 400000,
    };
    const struct timeline_host host = {
        .ctx = h, .now_ns = host_now, .wall_clock_ns = host_wall, .entropy = host_entropy,
        .output = host_output, .wait = host_wait, .poll = host_poll,
        .image_read = host_image,
    };
    struct machine *m = toy_machine();

    memset(h, 0, sizeof(*h));
    h->random = seed + 1;
    toy_random_program(m, seed, false);
    if (bench_disk)
        toy_random_disk(m, seed);
    h->tl = timeline_create(m, &config, &host);
}

static inline void end_timeline(struct host *h)
{
    timeline_destroy(h->tl);
    buffer_finish(&h->output);
}

/* A file that can be full. */
struct file {
    struct buffer b;
    size_t room; /* 0: endless */
};

static int write_file(void *ctx, const void *data, size_t len)
{
    struct file *f = ctx;

    if (f->room && f->b.len + len > f->room) {
        buffer_append(&f->b, data, f->room - f->b.len);
        return -ENOSPC;
    }
    buffer_append(&f->b, data, len);
    return 0;
}

static int rewrite_file(void *ctx, uint64_t offset, const void *data, size_t len)
{
    struct file *f = ctx;

    ck_assert_uint_le(offset + len, f->b.len);
    memcpy(f->b.data + offset, data, len);
    return 0;
}

/* What a recorder of it is told. */
static inline struct recorder_config recorder_config_of(void *file)
{
    static const char *const pairs[][2] = {{"machine", "toy"}, {"append", "words with spaces"}};
    static uint8_t kernel[100] = "the kernel";
    static struct recording_image image;

    image = (struct recording_image){
        .role = RECORDING_KERNEL, .embedded = true, .len = sizeof kernel,
        .hash = hash_bytes(0, kernel, sizeof kernel), .name = (char *)"vmlinux", .words = (char *)"",
        .data = {.data = kernel, .len = sizeof kernel},
    };
    return (struct recorder_config){
        .ctx = file, .write = write_file, .pairs = pairs, .npairs = 2, .images = &image, .nimages = 1,
        .rewrite = rewrite_file,
        .image_read = bench_disk ? host_cluster : NULL,
    };
}

static inline struct recorder *begin_recording_with(struct host *h, struct file *f, uint64_t checkpoint_steps,
                                                    uint64_t hash_steps)
{
    struct recorder_config c = recorder_config_of(f);

    c.checkpoint_steps = checkpoint_steps;
    c.hash_steps = hash_steps;
    return recorder_create(h->tl, &c);
}

static inline struct recorder *begin_recording(struct host *h, struct file *f, uint64_t checkpoint_steps)
{
    return begin_recording_with(h, f, checkpoint_steps, 1);
}

/* On the branch in use: to there, write something, name it. */
static inline void branch_at(struct host *h, icount_t position, const char *name)
{
    struct timeline_stop stop;
    uint32_t value = (uint32_t)position;

    timeline_seek(h->tl, position, &stop);
    ck_assert_uint_eq(timeline_position(h->tl), position);
    ck_assert_int_eq(timeline_write_memory(h->tl, 0x3000, true, &value, 4, NULL), 0);
    if (name)
        ck_assert_int_eq(timeline_branch_name(h->tl, name, NULL), 0);
}

/* Named ones: "one" of the trunk, "three" of one without a name that leaves "one", and one that is dropped. The file grows
 * in between. */
static inline void branch_out(struct host *h, struct recorder *rec)
{
    icount_t here = timeline_position(h->tl);
    struct timeline_stop stop;

    branch_at(h, 8000, "one");
    timeline_seek(h->tl, 9500, &stop);
    recorder_update(rec);
    timeline_seek(h->tl, 11500, &stop);
    branch_at(h, timeline_edge(h->tl), NULL);
    recorder_update(rec);
    branch_at(h, 9000, NULL);
    timeline_seek(h->tl, 9800, &stop);
    branch_at(h, 9700, "three");
    recorder_update(rec);
    timeline_seek(h->tl, 9900, &stop);
    branch_at(h, timeline_edge(h->tl), NULL);
    branch_at(h, 3000, "gone");
    recorder_update(rec);
    ck_assert_int_eq(timeline_branch_use(h->tl, 0, NULL), 0);
    ck_assert_int_eq(timeline_branch_drop(h->tl, 4, NULL), 0);
    recorder_update(rec);
    timeline_seek(h->tl, here, &stop);
}

/* Run live to `steps`, updating the recording now and then. */
static inline void record(struct host *h, struct recorder *rec, icount_t steps)
{
    struct timeline_stop stop;

    for (icount_t at = 2500; at <= steps; at += 2500) {
        timeline_seek(h->tl, at, &stop);
        if (timeline_position(h->tl) != at)
            break;
        if (at % 5000 == 0)
            timeline_save_snapshot(h->tl, at % 10000 ? "odd" : "even", at, NULL);
        recorder_update(rec);
        if (bench_branches && at == 10000)
            branch_out(h, rec);
    }
}

/* A whole recording of the program that `seed` makes, and what it came to. */
static inline void make(struct file *f, uint64_t seed, icount_t steps, uint64_t checkpoint_steps, icount_t *edge,
                 uint64_t *hash, struct buffer *output)
{
    struct recorder *rec;
    struct host h;

    memset(f, 0, sizeof(*f));
    begin_timeline(&h, seed, true);
    rec = begin_recording(&h, f, checkpoint_steps);
    record(&h, rec, steps);
    timeline_checkpoint(h.tl);
    ck_assert_int_eq(recorder_close(rec), 0);
    recorder_destroy(rec);
    *edge = timeline_edge(h.tl);
    *hash = machine_hash(timeline_machine(h.tl));
    if (output)
        buffer_append(output, h.output.data, h.output.len);
    end_timeline(&h);
}

static inline void open_good(struct recording *r, const struct buffer *b)
{
    struct error err = {0};

    ck_assert_msg(recording_open(r, b->data, b->len, &err) == 0, "%s", err.text);
}

/* Make every checksum match again. */
static inline void mend(struct buffer *b)
{
    for (size_t at = RECORDING_HEADER_BYTES; at + RECORDING_CHUNK_BYTES <= b->len;) {
        uint8_t *h = b->data + at;
        uint32_t stored = get_le32(h + 8);

        if (stored > b->len - at - RECORDING_CHUNK_BYTES)
            stored = (uint32_t)(b->len - at - RECORDING_CHUNK_BYTES);
        put_le32(h + 40, (uint32_t)crc32(0, h + RECORDING_CHUNK_BYTES, stored));
        put_le32(h + 44, (uint32_t)crc32(0, h, 44));
        at += RECORDING_CHUNK_BYTES + stored;
    }
}

#endif
