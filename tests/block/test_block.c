/*
 * Images in memory: what they hold, and that what is wrong with them is said. What qemu-img makes is
 * test_qemu_img.py's.
 */
#include "base/bytes.h"
#include "block/qcow2_write.h"
#include "tests/block/block_bench.h"
#include "tests/check_main.h"

#define BITS    16u
#define CLUSTER ((size_t)1 << BITS)

static int open_one(struct block_image **im, const struct buffer *b, struct error *err)
{
    static struct bench_file file;
    static struct bench_files files;
    static struct block_opener opener;

    file = (struct bench_file){"image", b->data, b->len};
    files = (struct bench_files){.files = &file, .n = 1};
    opener = (struct block_opener){&files, bench_open};
    return block_open(im, "image", NULL, NULL, &opener, err);
}

static void check_filled(struct block_image *im, uint64_t offset, uint8_t with, size_t len)
{
    uint8_t *buf = xmalloc(len);

    ck_assert_int_eq(block_read(im, offset, buf, len), 0);
    for (size_t i = 0; i < len; i++)
        ck_assert_uint_eq(buf[i], with);
    free(buf);
}

START_TEST(plain_zero_absent_and_compressed_clusters_are_told_apart)
{
    struct block_image *im;
    struct buffer b;
    struct error err;
    uint8_t buf[8];

    buffer_init(&b);
    bench_qcow2(&b, BITS, false, NULL);
    ck_assert_int_eq(open_one(&im, &b, &err), 0);
    ck_assert_uint_eq(im->size, 8 * CLUSTER);
    check_filled(im, 0, 0x5a, CLUSTER);
    check_filled(im, CLUSTER, 0, 2 * CLUSTER);
    ck_assert_int_eq(block_read(im, 3 * CLUSTER + 8, buf, 8), 0);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(buf[i], (uint8_t)((i + 8) * 37 >> 2));
    check_filled(im, 4 * CLUSTER, 0, 6 * CLUSTER); /* behind its end, too */
    /* Of a file of this host, all but what is compressed is as good as the file. */
    ck_assert(block_is_direct(im, 0, 3 * CLUSTER) && block_is_direct(im, 4 * CLUSTER, 6 * CLUSTER));
    ck_assert(!block_is_direct(im, 3 * CLUSTER + 8, 8) && !block_is_direct(im, 0, 4 * CLUSTER));
    im->source.local = false;
    ck_assert(!block_is_direct(im, 0, CLUSTER));
    block_close(im);
    buffer_finish(&b);
}
END_TEST

/* Put a number into the image, and see what becomes of it. */
static int open_changed(size_t where, uint64_t value, unsigned bytes, struct error *err)
{
    struct block_image *im = NULL;
    struct buffer b;
    int r;

    buffer_init(&b);
    bench_qcow2(&b, BITS, false, NULL);
    put_be(b.data + where, value, bytes);
    r = open_one(&im, &b, err);
    if (r == 0) {
        uint8_t *buf = xmalloc(CLUSTER);

        r = block_read(im, (where - BENCH_L2 * CLUSTER) / 8 < 8 ? (where - BENCH_L2 * CLUSTER) / 8 * CLUSTER : 0, buf, CLUSTER);
        *err = im->why;
        ck_assert_int_eq(block_read(im, 7 * CLUSTER, buf, 1), im->why.code); /* of that one, not of the one before */
        free(buf);
        block_close(im);
    }
    buffer_finish(&b);
    return r;
}

START_TEST(tables_outside_of_the_file_are_errors)
{
    struct error err = {0};

    ck_assert_int_eq(open_changed(QCOW2_L1_OFFSET, (uint64_t)1 << 40, 8, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "L1 table lies outside"));
    ck_assert_int_eq(open_changed(QCOW2_L1_OFFSET, UINT64_MAX - 3, 8, &err), -EINVAL);
    ck_assert_int_eq(open_changed(QCOW2_L1_SIZE, UINT32_MAX, 4, &err), -EINVAL);
    ck_assert_int_eq(open_changed(QCOW2_L1_SIZE, 0, 4, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "too small for the disk"));
    ck_assert_int_eq(open_changed(QCOW2_DISK_SIZE, UINT64_MAX, 8, &err), -EINVAL);
}
END_TEST

static void check_damage(size_t where, uint64_t value, const char *why)
{
    struct error err = {0};

    ck_assert_int_eq(open_changed(where, value, 8, &err), -EIO);
    ck_assert_int_eq(err.code, -EIO);
    ck_assert_msg(strstr(err.text, "image is a damaged qcow2 image: ") == err.text && strstr(err.text, why), "%s", err.text);
}

START_TEST(a_damaged_cluster_is_an_error_that_says_what_is_wrong)
{
    check_damage(BENCH_L1 * CLUSTER, (uint64_t)1 << 50, "an L2 table lies outside of the file (the cluster with byte 0 of the disk)");
    check_damage(BENCH_L1 * CLUSTER, 512, "an L2 table begins within a cluster");
    check_damage(BENCH_L2 * CLUSTER, (uint64_t)1 << 50, "a cluster lies outside of the file");
    check_damage(BENCH_L2 * CLUSTER, CLUSTER + 512, "a cluster is said to begin within another");
    check_damage(BENCH_L2 * CLUSTER + 24, QCOW2_COMPRESSED | (uint64_t)1 << 50, "a compressed cluster lies outside of the file");
    check_damage(BENCH_L2 * CLUSTER + 24, QCOW2_COMPRESSED | 5, "a compressed cluster cannot be unpacked (the cluster with byte 196608 of the disk)");
}
END_TEST

static int failing_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    (void)ctx, (void)offset, (void)buf, (void)len;
    return -ETIMEDOUT;
}

START_TEST(who_cannot_be_read_is_named_of_a_chain)
{
    static const uint8_t below[2 * CLUSTER];
    struct bench_file files[2] = {{.name = "/x/over"}, {.name = "/x/below", .data = below, .len = sizeof(below)}};
    struct bench_files f = {.files = files, .n = 2};
    const struct block_opener opener = {&f, bench_open};
    struct block_image *im;
    struct buffer b;
    struct error err;
    uint8_t byte;

    buffer_init(&b);
    bench_qcow2(&b, BITS, false, "below");
    files[0].data = b.data;
    files[0].len = b.len;
    ck_assert_int_eq(block_open(&im, "/x/over", NULL, NULL, &opener, &err), 0);
    im->backing->source.read = failing_read;
    ck_assert_int_eq(block_read(im, CLUSTER, &byte, 1), -ETIMEDOUT);
    ck_assert_str_eq(im->why.text, "/x/below: cannot read: Connection timed out");
    im->source.read = failing_read;
    ck_assert_int_eq(block_read(im, 0, &byte, 1), -ETIMEDOUT);
    ck_assert_str_eq(im->why.text, "/x/over: cannot read: Connection timed out");
    block_close(im);
    buffer_finish(&b);
}
END_TEST

START_TEST(what_the_reader_does_not_know_is_refused)
{
    struct error err = {0};

    ck_assert_int_eq(open_changed(QCOW2_VERSION, 4, 4, &err), -ENOTSUP);
    ck_assert_int_eq(open_changed(QCOW2_CRYPT, 1, 4, &err), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.text, "encrypted"));
    ck_assert_int_eq(open_changed(QCOW2_INCOMPATIBLE, 1 << 10, 8, &err), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.text, "0x400"));
    ck_assert_int_eq(open_changed(QCOW2_CLUSTER_BITS, 63, 4, &err), -EINVAL);
    ck_assert_int_eq(open_changed(QCOW2_HEADER_LENGTH, UINT32_MAX, 4, &err), -EINVAL);
    ck_assert_int_eq(open_changed(QCOW2_BACKING_OFFSET, UINT64_MAX, 8, &err), -EINVAL);
}
END_TEST

START_TEST(a_compressed_cluster_never_becomes_more_than_a_cluster)
{
    struct block_image *im;
    struct buffer b;
    struct error err;
    uint8_t *zeros = xcalloc(1, 100 * CLUSTER), first;
    z_stream z = {.next_in = zeros, .avail_in = 100 * CLUSTER, .avail_out = 2 * CLUSTER};

    buffer_init(&b);
    bench_qcow2(&b, BITS, false, NULL);
    z.next_out = b.data + BENCH_PACKED * CLUSTER + 3;
    deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    ck_assert_int_eq(open_one(&im, &b, &err), 0);
    ck_assert_int_eq(block_read(im, 3 * CLUSTER, &first, 1), 0);
    ck_assert_uint_eq(first, 0);
    block_close(im);
    buffer_finish(&b);
    free(zeros);
}
END_TEST

START_TEST(a_chain_of_images_ends)
{
    struct buffer b;
    struct bench_file file;
    struct bench_files files = {.files = &file, .n = 1};
    const struct block_opener opener = {&files, bench_open};
    struct block_image *im;
    struct error err;

    buffer_init(&b);
    bench_qcow2(&b, BITS, false, "dir/image");
    file = (struct bench_file){"dir/image", b.data, b.len};
    ck_assert_int_eq(block_open(&im, "dir/image", NULL, NULL, &opener, &err), -ENOENT); /* relative to its directory */
    ck_assert_ptr_nonnull(strstr(err.text, "dir/dir/image"));
    file.name = "/image";
    memcpy(b.data + 400, "////image", 9);
    ck_assert_int_eq(block_open(&im, "/image", NULL, NULL, &opener, &err), -ENOENT);
    files.anything = true; /* ever another file */
    files.opened = 0;
    ck_assert_int_eq(block_open(&im, "/image", NULL, NULL, &opener, &err), -ELOOP);
    ck_assert_uint_le(files.opened, BLOCK_MAX_CHAIN + 2);
    put_be(b.data + QCOW2_BACKING_SIZE, 6, 4);
    memcpy(b.data + 400, "/image", 6);
    ck_assert_int_eq(block_open(&im, "/image", NULL, NULL, &opener, &err), -ELOOP);
    ck_assert_ptr_nonnull(strstr(err.text, "/image is its own backing file"));
    buffer_finish(&b);
}
END_TEST

START_TEST(names_are_relative_to_the_image_that_has_them)
{
    static const struct {
        const char *in, *name, *found;
        bool local;
    } cases[] = {
        {"a/b.qcow2", "c", "a/c", true}, {"b.qcow2", "c", "c", true}, {"a/b", "/c", "/c", true},
        {"a/b", "file:c", "a/c", true}, {"a/b", "nbd://host/x", "nbd://host/x", true}, {"a/b", "nbd:h:1", "nbd:h:1", true},
        {"nbd://host/x", "c", "c", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *in = xstrdup(cases[i].in);
        const struct block_image im = {.source = {.name = in, .local = cases[i].local}};
        char *found = block_resolve(&im, cases[i].name);

        ck_assert_str_eq(found, cases[i].found);
        free(found);
        free(in);
    }
}
END_TEST

static int made_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (offset + i) >> 16 & 1 ? 0 : (uint8_t)((offset + i) >> 10);
    return 0;
}

static int made_write(void *ctx, const void *data, size_t len)
{
    buffer_append(ctx, data, len);
    return 0;
}

START_TEST(what_is_written_is_read_again_over_its_backing_file)
{
    static const uint64_t changed[] = {1, 2, 8191, 8192, 20000};
    const uint64_t size = 20000 * QCOW2_WRITE_CLUSTER + 1024;
    struct bench_file files[2] = {{.name = "/x/new"}, {.name = "/x/below", .data = (const uint8_t *)"below", .len = 5}};
    struct bench_files f = {.files = files, .n = 2};
    const struct block_opener opener = {&f, bench_open};
    struct block_image *im;
    uint8_t buf[512], want[512];
    struct buffer b;
    struct error err;

    buffer_init(&b);
    ck_assert_int_eq(qcow2_write(&(struct qcow2_writer){.size = size, .backing = "below", .backing_format = "raw",
                                                        .clusters = changed, .nclusters = 5, .ctx = &b,
                                                        .read = made_read, .write = made_write}, &err), 0);
    files[0].data = b.data;
    files[0].len = b.len;
    ck_assert_int_eq(block_open(&im, "/x/new", NULL, NULL, &opener, &err), 0);
    ck_assert_uint_eq(im->size, size);
    ck_assert_str_eq(im->backing->format->name, "raw");
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        uint64_t at = changed[i] * QCOW2_WRITE_CLUSTER + 512;

        ck_assert_int_eq(block_read(im, at, buf, sizeof(buf)), 0);
        made_read(NULL, at, want, sizeof(want));
        ck_assert(!memcmp(buf, want, sizeof(buf)));
    }
    ck_assert_int_eq(block_read(im, 0, buf, sizeof(buf)), 0);
    ck_assert(!memcmp(buf, "below\0\0", 7));
    block_close(im);
    buffer_finish(&b);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("block");
    TCase *t = tcase_create("block");

    tcase_add_test(t, plain_zero_absent_and_compressed_clusters_are_told_apart);
    tcase_add_test(t, tables_outside_of_the_file_are_errors);
    tcase_add_test(t, a_damaged_cluster_is_an_error_that_says_what_is_wrong);
    tcase_add_test(t, who_cannot_be_read_is_named_of_a_chain);
    tcase_add_test(t, what_the_reader_does_not_know_is_refused);
    tcase_add_test(t, a_compressed_cluster_never_becomes_more_than_a_cluster);
    tcase_add_test(t, a_chain_of_images_ends);
    tcase_add_test(t, names_are_relative_to_the_image_that_has_them);
    tcase_add_test(t, what_is_written_is_read_again_over_its_backing_file);
    suite_add_tcase(s, t);
    return s;
}
