/*
 * Drives, over an image of noise that the test makes up: what is written is read again, whatever the
 * alignment; state is the difference from the image.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/machine.h"
#include "tests/check_main.h"

#define DISK_BYTES (5u * DRIVE_CLUSTER + 3u * 512u) /* the last page and the last cluster are not whole */

struct image {
    uint8_t bytes[DISK_BYTES];
    uint64_t broken;       /* a cluster that the host cannot read, plus one; 0: none */
};

static int image_read(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct image *im = ctx;

    (void)m;
    (void)d;
    ck_assert_uint_le(offset + len, sizeof(im->bytes));
    ck_assert_uint_eq(offset >> DRIVE_CLUSTER_SHIFT, (offset + len - 1) >> DRIVE_CLUSTER_SHIFT);
    if (im->broken && offset >> DRIVE_CLUSTER_SHIFT == im->broken - 1)
        return 5;
    memcpy(buf, im->bytes + offset, len);
    return 0;
}

static uint32_t next_random(uint64_t *rng)
{
    *rng = *rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*rng >> 33);
}

struct bench {
    struct machine *m;
    struct machine_env env;
    struct image image;
    struct drive *d;
    uint64_t rng;
};

static struct drive_config disk_config(void)
{
    return (struct drive_config){.name = "hd0", .size = DISK_BYTES, .sector_size = 512,
                                 .latency_ns = DRIVE_LATENCY_NS, .rate = DRIVE_RATE};
}

static struct bench *bench_create(const struct drive_config *c)
{
    struct bench *b = xcalloc(1, sizeof(*b));
    struct error err;

    b->rng = 7;
    for (size_t i = 0; i < sizeof(b->image.bytes); i++)
        b->image.bytes[i] = (uint8_t)next_random(&b->rng);
    b->m = machine_create(16);
    b->env = (struct machine_env){.ctx = &b->image, .image_read = image_read};
    b->m->env = &b->env;
    ck_assert_int_eq(drive_create(&b->d, b->m, c, &err), 0);
    return b;
}

static void bench_destroy(struct bench *b)
{
    machine_destroy(b->m);
    free(b);
}

/* A place and a length, often across pages and clusters. */
static void pick(struct bench *b, uint64_t *offset, uint64_t *len)
{
    static const uint32_t most[] = {600, 9000, 3 * DRIVE_CLUSTER};

    *offset = next_random(&b->rng) % DISK_BYTES;
    *len = next_random(&b->rng) % most[next_random(&b->rng) % 3];
    if (*len > DISK_BYTES - *offset)
        *len = DISK_BYTES - *offset;
}

static void random_operation(struct bench *b, uint8_t *model)
{
    static uint8_t buf[3 * DRIVE_CLUSTER];
    uint64_t offset, len, done;

    pick(b, &offset, &len);
    switch (next_random(&b->rng) % 4) {
    case 0:
        for (uint64_t i = 0; i < len; i++)
            model[offset + i] = buf[i] = (uint8_t)next_random(&b->rng);
        ck_assert_int_eq(drive_write(b->d, offset, buf, len, &done), DRIVE_OK);
        break;
    case 1:
        memset(model + offset, 0, len);
        ck_assert_int_eq(drive_write_zeroes(b->d, offset, len, &done), DRIVE_OK);
        break;
    case 2: /* back to what the image has */
        memcpy(model + offset, b->image.bytes + offset, len);
        ck_assert_int_eq(drive_write(b->d, offset, b->image.bytes + offset, len, &done), DRIVE_OK);
        break;
    default:
        ck_assert_int_eq(drive_read(b->d, offset, buf, len, &done), DRIVE_OK);
        ck_assert(!memcmp(buf, model + offset, len));
        break;
    }
    ck_assert_uint_eq(done, len);
}

static void same_as(struct bench *b, const uint8_t *model)
{
    static uint8_t buf[DISK_BYTES];

    ck_assert_int_eq(drive_read(b->d, 0, buf, sizeof(buf), NULL), DRIVE_OK);
    ck_assert(!memcmp(buf, model, sizeof(buf)));
}

START_TEST(what_is_written_is_read_again)
{
    const struct drive_config c = disk_config();
    struct bench *b = bench_create(&c);
    uint8_t *model = xmalloc(DISK_BYTES);

    memcpy(model, b->image.bytes, DISK_BYTES);
    for (unsigned i = 0; i < 3000; i++) {
        random_operation(b, model);
        if (i % 97 == 0)
            page_space_clean(&b->d->pages.space);
    }
    same_as(b, model);
    free(model);
    bench_destroy(b);
}
END_TEST

START_TEST(a_disk_as_its_image_is_costs_nothing_and_hashes_to_nothing)
{
    const struct drive_config c = disk_config();
    struct bench *b = bench_create(&c);
    struct machine *without = machine_create(16);

    ck_assert_uint_eq(machine_hash(b->m), machine_hash(without));
    drive_write(b->d, 100, "changed", 7, NULL);
    ck_assert_uint_ne(machine_hash(b->m), machine_hash(without));
    drive_write(b->d, 100, b->image.bytes + 100, 7, NULL);
    ck_assert_uint_eq(machine_hash(b->m), machine_hash(without));
    drive_write(b->d, 0, b->image.bytes, DISK_BYTES, NULL);
    page_space_clean(&b->d->pages.space);
    ck_assert_uint_eq(b->d->pages.used, 0);
    machine_destroy(without);
    bench_destroy(b);
}
END_TEST

/* A checkpoint, as the store makes it: page by page. */
struct copy {
    uint8_t *pages[DISK_BYTES / PAGE_SIZE + 1];
};

static void copy_page(void *ctx, uint64_t page, const uint8_t *bytes)
{
    struct copy *c = ctx;

    c->pages[page] = xmalloc(PAGE_SIZE);
    memcpy(c->pages[page], bytes, PAGE_SIZE);
}

START_TEST(restoring_its_pages_restores_the_disk)
{
    const struct drive_config c = disk_config();
    struct bench *b = bench_create(&c);
    uint8_t *model = xmalloc(DISK_BYTES), *then = xmalloc(DISK_BYTES);
    uint64_t hash;

    memcpy(model, b->image.bytes, DISK_BYTES);
    for (unsigned round = 0; round < 20; round++) {
        struct copy copy = {0};

        for (unsigned i = 0; i < 50; i++)
            random_operation(b, model);
        page_space_clean(&b->d->pages.space);
        b->d->pages.space.ops->pages(&b->d->pages.space, copy_page, &copy);
        memcpy(then, model, DISK_BYTES);
        hash = machine_hash(b->m);
        for (unsigned i = 0; i < 50; i++)
            random_operation(b, model);
        for (uint64_t i = 0; i < b->d->pages.space.count; i++) {
            page_space_restore(&b->d->pages.space, i, copy.pages[i]);
            free(copy.pages[i]);
        }
        page_space_clean(&b->d->pages.space);
        memcpy(model, then, DISK_BYTES);
        same_as(b, model);
        ck_assert_uint_eq(machine_hash(b->m), hash);
    }
    free(model);
    free(then);
    bench_destroy(b);
}
END_TEST

START_TEST(a_transfer_ends_before_the_first_bad_sector)
{
    static const struct drive_fault faults[] = {{300, 2}, {20, 1}, {UINT64_MAX, UINT64_MAX}};
    struct drive_config c = disk_config();
    static uint8_t buf[DISK_BYTES];
    struct bench *b;
    uint64_t done;

    c.faults = faults;
    c.nfaults = 3;
    b = bench_create(&c);
    ck_assert_int_eq(drive_read(b->d, 10 * 512, buf, 40 * 512, &done), DRIVE_BAD_SECTOR);
    ck_assert_uint_eq(done, 10 * 512);
    ck_assert(!memcmp(buf, b->image.bytes + 10 * 512, 10 * 512));
    ck_assert_int_eq(drive_read(b->d, 20 * 512 + 511, buf, 1, &done), DRIVE_BAD_SECTOR);
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(drive_read(b->d, 21 * 512, buf, 279 * 512, &done), DRIVE_OK);
    ck_assert_int_eq(drive_write(b->d, 301 * 512, buf, 512, &done), DRIVE_BAD_SECTOR);
    ck_assert_int_eq(drive_verify(b->d, 302 * 512, 512, &done), DRIVE_OK);
    ck_assert_int_eq(drive_verify(b->d, 21 * 512, DISK_BYTES - 21 * 512, &done), DRIVE_BAD_SECTOR);
    ck_assert_uint_eq(done, 279 * 512);
    bench_destroy(b);
}
END_TEST

START_TEST(what_the_host_cannot_read_is_bad_for_one_cluster)
{
    const struct drive_config c = disk_config();
    static uint8_t buf[DISK_BYTES];
    struct bench *b = bench_create(&c);
    uint64_t done;

    b->image.broken = 3;
    ck_assert_int_eq(drive_read(b->d, 0, buf, DISK_BYTES, &done), DRIVE_BAD_SECTOR);
    ck_assert_uint_eq(done, 2 * DRIVE_CLUSTER);
    ck_assert_int_eq(drive_read(b->d, 3 * DRIVE_CLUSTER, buf, DISK_BYTES - 3 * DRIVE_CLUSTER, &done), DRIVE_OK);
    ck_assert_int_eq(drive_write(b->d, 2 * DRIVE_CLUSTER, buf, 1, &done), DRIVE_BAD_SECTOR);
    bench_destroy(b);
}
END_TEST

START_TEST(a_request_beyond_the_end_or_not_allowed_does_nothing)
{
    struct drive_config c = disk_config();
    uint8_t buf[1024] = {0};
    struct bench *b;

    c.read_only = true;
    b = bench_create(&c);
    ck_assert_int_eq(drive_read(b->d, DISK_BYTES - 512, buf, 1024, NULL), DRIVE_OUT_OF_RANGE);
    ck_assert_int_eq(drive_read(b->d, UINT64_MAX, buf, 1024, NULL), DRIVE_OUT_OF_RANGE);
    ck_assert_int_eq(drive_read(b->d, 512, buf, UINT64_MAX, NULL), DRIVE_OUT_OF_RANGE);
    ck_assert_int_eq(drive_write(b->d, 0, buf, 1, NULL), DRIVE_WRITE_PROTECTED);
    ck_assert_int_eq(drive_discard(b->d, 0, 1, NULL), DRIVE_WRITE_PROTECTED);
    bench_destroy(b);
    c = (struct drive_config){.name = "cd0", .media = DRIVE_CDROM, .sector_size = 2048, .empty = true};
    b = bench_create(&c);
    ck_assert_int_eq(drive_read(b->d, 0, buf, 0, NULL), DRIVE_NO_MEDIUM);
    bench_destroy(b);
}
END_TEST

START_TEST(a_discard_is_ignored_or_makes_zeros_as_configured)
{
    struct drive_config c = disk_config();
    struct bench *b = bench_create(&c);
    uint8_t *model = xmalloc(DISK_BYTES);
    uint64_t done;

    memcpy(model, b->image.bytes, DISK_BYTES);
    ck_assert_int_eq(drive_discard(b->d, 512, 70000, &done), DRIVE_OK);
    ck_assert_uint_eq(done, 70000);
    same_as(b, model);
    bench_destroy(b);
    c.discard = DRIVE_DISCARD_ZERO;
    b = bench_create(&c);
    ck_assert_int_eq(drive_discard(b->d, 512, 70000, &done), DRIVE_OK);
    memset(model + 512, 0, 70000);
    same_as(b, model);
    free(model);
    bench_destroy(b);
}
END_TEST

START_TEST(an_odd_image_is_padded_to_whole_sectors)
{
    struct drive_config c = disk_config();
    uint8_t buf[512];
    struct bench *b;

    c.size = 1000;
    b = bench_create(&c);
    ck_assert_uint_eq(drive_sectors(b->d), 2);
    ck_assert_int_eq(drive_read(b->d, 512, buf, 512, NULL), DRIVE_OK);
    ck_assert(!memcmp(buf, b->image.bytes + 512, 488));
    for (unsigned i = 488; i < 512; i++)
        ck_assert_uint_eq(buf[i], 0);
    bench_destroy(b);
}
END_TEST

START_TEST(time_is_a_function_of_configuration_and_request)
{
    struct drive_config c = disk_config();
    struct bench *b;

    c.latency_ns = 5000;
    c.rate = 100000000;
    b = bench_create(&c);
    ck_assert_uint_eq(drive_duration(b->d, 0), 5000);
    ck_assert_uint_eq(drive_duration(b->d, 1000000), 5000 + 10000000);
    ck_assert_uint_eq(drive_duration(b->d, UINT64_MAX), 5000 + (DRIVE_MAX_BYTES * 10));
    bench_destroy(b);
    c.latency_ns = c.rate = 0;
    b = bench_create(&c);
    ck_assert_uint_eq(drive_duration(b->d, 1 << 20), 1);
    bench_destroy(b);
}
END_TEST

/* As in QEMU: firmware takes a disk of no cylinders for none. */
START_TEST(the_smallest_disk_has_two_cylinders)
{
    static const struct {
        uint64_t sectors;
        uint32_t cylinders;
    } disks[] = {{1, 2}, {1008, 2}, {3 * 1008 - 1, 2}, {3 * 1008, 3}, {UINT32_MAX, 16383}};

    for (unsigned i = 0; i < ARRAY_LEN(disks); i++) {
        struct drive_config c = {.name = "hd0", .size = disks[i].sectors * 512, .sector_size = 512};
        struct bench *b = bench_create(&c);
        struct drive_geometry g = drive_geometry(b->d);
        uint8_t sector[512];

        ck_assert(g.cylinders == disks[i].cylinders && g.heads == 16 && g.sectors == 63);
        ck_assert_int_eq(drive_read(b->d, c.size, sector, 512, NULL), DRIVE_OUT_OF_RANGE);
        bench_destroy(b);
    }
}
END_TEST

START_TEST(floppies_have_the_geometry_of_their_size)
{
    struct drive_config c = {.name = "fd0", .media = DRIVE_FLOPPY, .size = 1474560, .sector_size = 512};
    struct bench *b = bench_create(&c);
    struct drive_geometry g = drive_geometry(b->d);

    ck_assert(g.cylinders == 80 && g.heads == 2 && g.sectors == 18);
    bench_destroy(b);
    c.size = 820 * 512;
    b = bench_create(&c);
    ck_assert_uint_eq(drive_geometry(b->d).cylinders, 0);
    bench_destroy(b);
}
END_TEST

START_TEST(a_floppy_of_no_formats_size_is_the_beginning_of_a_large_one)
{
    static const uint64_t sizes[] = {1, 512, 1000000, 1440 << 10, 2880 << 10, 4 << 20};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct drive_config c = {.name = "fd0", .media = DRIVE_FLOPPY, .size = sizes[i], .sector_size = 512};
        struct bench *b = bench_create(&c);
        struct drive_geometry g = drive_geometry(b->d);
        bool formatted = sizes[i] == 1440 << 10 || sizes[i] == 2880 << 10;
        uint8_t sector[512];

        ck_assert_uint_eq(drive_is_formatted(b->d), formatted);
        ck_assert_uint_eq(g.sectors, sizes[i] == 1440 << 10 ? 18 : 36);
        ck_assert_uint_eq(b->d->c.size, sizes[i] < 2880 << 10 && !formatted ? 2880 << 10 : sizes[i]);
        if (!formatted && sizes[i] < 2880 << 10)
            ck_assert_int_eq(drive_read(b->d, b->d->c.size - 512, sector, 512, NULL), DRIVE_OK);
        bench_destroy(b);
    }
}
END_TEST

START_TEST(a_configuration_that_no_drive_has_is_refused)
{
    struct drive_config bad[7];
    struct machine *m = machine_create(16);
    struct drive *d;
    struct error err;

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = disk_config();
    bad[0].name = "";
    bad[1].name = "a name that is longer than any drive's";
    bad[2].sector_size = 1024;
    bad[3].size = UINT64_MAX;
    bad[4].rate = 1;
    bad[5].latency_ns = UINT64_MAX;
    bad[6].serial = "a serial that is too long";
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_int_lt(drive_create(&d, m, &bad[i], &err), 0);
    bad[0] = disk_config();
    ck_assert_int_eq(drive_create(&d, m, &bad[0], &err), 0);
    ck_assert_int_lt(drive_create(&d, m, &bad[0], &err), 0);
    machine_destroy(m);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("drive");
    TCase *t = tcase_create("drive");

    tcase_add_test(t, what_is_written_is_read_again);
    tcase_add_test(t, a_disk_as_its_image_is_costs_nothing_and_hashes_to_nothing);
    tcase_add_test(t, restoring_its_pages_restores_the_disk);
    tcase_add_test(t, a_transfer_ends_before_the_first_bad_sector);
    tcase_add_test(t, what_the_host_cannot_read_is_bad_for_one_cluster);
    tcase_add_test(t, a_request_beyond_the_end_or_not_allowed_does_nothing);
    tcase_add_test(t, a_discard_is_ignored_or_makes_zeros_as_configured);
    tcase_add_test(t, an_odd_image_is_padded_to_whole_sectors);
    tcase_add_test(t, time_is_a_function_of_configuration_and_request);
    tcase_add_test(t, the_smallest_disk_has_two_cylinders);
    tcase_add_test(t, floppies_have_the_geometry_of_their_size);
    tcase_add_test(t, a_floppy_of_no_formats_size_is_the_beginning_of_a_large_one);
    tcase_add_test(t, a_configuration_that_no_drive_has_is_refused);
    suite_add_tcase(s, t);
    return s;
}
