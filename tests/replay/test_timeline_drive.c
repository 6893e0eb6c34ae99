/*
 * What the timeline promises of drives: their images are asked for in the past, too, and it is noticed when
 * they say something else. (That going anywhere restores what a drive holds: test_timeline.c.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "replay/timeline.h"
#include "tests/check_main.h"
#include "toy.h"

#define STEPS 20000u

/* A host with an image that may be changed, or fail. */
struct desk {
    struct timeline *tl;
    uint64_t now;
    uint64_t changed;   /* offset of a byte of the image that is another one; UINT64_MAX: none */
    uint64_t fails;     /* so many questions to come are answered with an error */
    uint64_t asked;
    bool direct;        /* the image can be read again at any time */
    bool written;       /* somebody has written to it */
};

static uint64_t desk_now(void *ctx)
{
    return ((struct desk *)ctx)->now += 100000;
}

static uint64_t desk_wall(void *ctx)
{
    return desk_now(ctx);
}

static void desk_entropy(void *ctx, void *buf, size_t len)
{
    memset(buf, (int)desk_now(ctx), len);
}

static bool desk_poll(void *ctx)
{
    (void)ctx;
    return false;
}

static uint64_t desk_wait(void *ctx, uint64_t ns)
{
    struct desk *d = ctx;

    if (ns == UINT64_MAX)
        timeline_input(d->tl, toy_serial(timeline_machine(d->tl)), "x", 1, false);
    return ns == UINT64_MAX ? 1000 : ns;
}

static int desk_image(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct desk *k = ctx;

    k->asked++;
    if (k->fails) {
        k->fails--;
        return -ETIMEDOUT;
    }
    toy_image_read(NULL, NULL, d, offset, buf, len);
    if (k->changed - offset < len)
        ((uint8_t *)buf)[k->changed - offset] ^= 1;
    return 0;
}

static bool desk_direct(void *ctx, const struct drive *d, uint64_t offset, size_t len)
{
    (void)d;
    (void)offset;
    (void)len;
    return ((struct desk *)ctx)->direct;
}

static bool desk_changed(void *ctx, const struct drive *d)
{
    struct desk *k = ctx;
    bool written = k->written;

    (void)d;
    k->written = false;
    return written;
}

static void sit_down(struct desk *d, bool live)
{
    const struct timeline_host host = {
        .ctx = d, .now_ns = desk_now, .wall_clock_ns = desk_wall, .entropy = desk_entropy, .poll = desk_poll,
        .wait = desk_wait, .image_read = desk_image, .image_direct = desk_direct, .image_changed = desk_changed,
    };
    const struct timeline_config config = {.live = live, .slice_steps = 500};
    struct machine *m = toy_machine();

    memset(d, 0, sizeof(*d));
    d->changed = UINT64_MAX;
    toy_random_program(m, 11, false);
    toy_random_disk(m, 11);
    d->tl = timeline_create(m, &config, &host);
}

/* A copy of a log, for another machine. */
static struct event_log *copy_log(const struct event_log *log)
{
    struct event_log *copy = event_log_create();

    for (uint64_t i = 0; i < event_log_count(log); i++)
        event_log_append(copy, event_log_get(log, i));
    return copy;
}

/* Live to STEPS, with `fails`; a second desk with the same history. */
static void make_history(struct desk *live, struct desk *again, uint64_t fails)
{
    struct timeline_stop stop;

    sit_down(live, true);
    live->fails = fails;
    timeline_seek(live->tl, STEPS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    sit_down(again, false);
    timeline_adopt(again->tl, copy_log(timeline_log(live->tl)), timeline_edge(live->tl), timeline_edge_vtime(live->tl),
                   NULL);
}

/* The n-th event of an image: NULL beyond the last. */
static const struct event *image_event(const struct event_log *log, unsigned n)
{
    const struct event *e;

    for (uint64_t i = 0; (e = event_log_get(log, i)); i++)
        if (e->kind == EVENT_IMAGE && !n--)
            return e;
    return NULL;
}

START_TEST(each_cluster_is_logged_once_as_a_hash)
{
    struct desk live, again;
    uint64_t seen = 0;
    const struct event *e;

    make_history(&live, &again, 0);
    for (unsigned n = 0; (e = image_event(timeline_log(live.tl), n)); n++) {
        uint64_t cluster;

        ck_assert_uint_eq(e->len, 24);
        memcpy(&cluster, e->data, 8);
        ck_assert_uint_eq(seen >> cluster & 1, 0);
        seen |= (uint64_t)1 << cluster;
    }
    ck_assert_uint_ne(seen, 0);
    timeline_destroy(live.tl);
    timeline_destroy(again.tl);
}
END_TEST

START_TEST(a_history_with_a_disk_replays_elsewhere_to_the_same_states)
{
    struct desk live, again;
    struct timeline_stop stop;

    for (uint64_t fails = 0; fails < 30; fails += 10) { /* the host's errors are what they were */
        make_history(&live, &again, fails);
        for (icount_t at = 1000; at <= STEPS; at += 1000) {
            timeline_seek(live.tl, at, &stop);
            timeline_seek(again.tl, at, &stop);
            ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
            ck_assert_uint_eq(machine_hash(timeline_machine(live.tl)), machine_hash(timeline_machine(again.tl)));
        }
        timeline_destroy(live.tl);
        timeline_destroy(again.tl);
    }
}
END_TEST

START_TEST(an_image_that_was_changed_is_found_out_where_the_guest_first_read_the_change)
{
    struct desk live, again;
    struct timeline_stop stop;
    const struct event *e;
    icount_t where;

    make_history(&live, &again, 0);
    e = image_event(timeline_log(live.tl), 2);
    ck_assert_ptr_nonnull(e);
    where = e->position;
    memcpy(&again.changed, e->data, 8);
    again.changed = (again.changed << DRIVE_CLUSTER_SHIFT) + 123;
    timeline_seek(again.tl, where - 1, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    timeline_seek(again.tl, STEPS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(again.tl), where);
    ck_assert_ptr_nonnull(strstr(timeline_divergence(again.tl), "image of drive disk0 are not what the guest read"));
    timeline_destroy(live.tl);
    timeline_destroy(again.tl);
}
END_TEST

/* Some page of memory gets the bytes that the image has at `from`. */
static void put_page(struct desk *d, uint64_t from)
{
    uint8_t page[PAGE_SIZE];
    struct error err;

    toy_image_read(NULL, NULL, NULL, from, page, sizeof(page));
    ck_assert_int_eq(timeline_write_memory(d->tl, (TOY_PAGES - 1) << PAGE_SHIFT, true, page, sizeof(page), &err), 0);
}

static uint64_t pages_elsewhere(const struct desk *d)
{
    struct checkpoint_store_info info;

    checkpoint_store_info(timeline_checkpoints(d->tl), &info);
    return info.elsewhere_pages;
}

START_TEST(a_page_that_the_image_has_is_not_copied_and_is_missed_when_the_image_changes)
{
    struct timeline_stop stop;
    const struct event *e;
    uint64_t hash, cluster;
    struct desk d;
    icount_t here;

    sit_down(&d, true);
    d.direct = true;
    timeline_seek(d.tl, 10000, &stop);
    e = image_event(timeline_log(d.tl), 0);
    ck_assert_ptr_nonnull(e);
    memcpy(&cluster, e->data, 8);
    put_page(&d, (cluster << DRIVE_CLUSTER_SHIFT) + 3 * PAGE_SIZE);
    timeline_checkpoint(d.tl);
    here = timeline_position(d.tl);
    hash = machine_hash(timeline_machine(d.tl));
    ck_assert_uint_eq(pages_elsewhere(&d), 0);
    put_page(&d, 1); /* (no page of it begins there) */
    ck_assert_uint_eq(pages_elsewhere(&d), 1);
    timeline_seek(d.tl, here + 500, &stop);
    timeline_seek(d.tl, here, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(machine_hash(timeline_machine(d.tl)), hash);
    ck_assert(!timeline_lost(d.tl));
    timeline_seek(d.tl, here + 500, &stop);
    d.changed = (cluster << DRIVE_CLUSTER_SHIFT) + 3 * PAGE_SIZE + 77;
    timeline_seek(d.tl, here, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert(timeline_lost(d.tl));
    ck_assert_msg(strstr(timeline_divergence(d.tl), "the image was changed"), "%s", timeline_divergence(d.tl));
    timeline_destroy(d.tl);
}
END_TEST

START_TEST(what_is_noted_of_an_image_is_forgotten_when_it_is_written_to)
{
    struct timeline_stop stop;
    uint64_t cluster;
    struct desk d;

    for (unsigned written = 0; written < 2; written++) {
        sit_down(&d, true);
        d.direct = true;
        timeline_seek(d.tl, 10000, &stop);
        memcpy(&cluster, image_event(timeline_log(d.tl), 0)->data, 8);
        d.written = written;
        timeline_seek(d.tl, 10001, &stop);
        put_page(&d, (cluster << DRIVE_CLUSTER_SHIFT) + 3 * PAGE_SIZE);
        timeline_checkpoint(d.tl);
        put_page(&d, 1);
        ck_assert_uint_eq(pages_elsewhere(&d), written ? 0 : 1); /* a copy is */
        timeline_destroy(d.tl);
    }
}
END_TEST

START_TEST(an_image_that_is_changed_under_a_live_session_is_found_out)
{
    struct timeline_stop stop;
    const struct event *e;
    uint64_t cluster;
    struct desk d;
    icount_t first;

    sit_down(&d, true);
    timeline_seek(d.tl, 10000, &stop);
    e = image_event(timeline_log(d.tl), 0);
    ck_assert_ptr_nonnull(e);
    memcpy(&cluster, e->data, 8);
    first = e->position;
    /* Written to, but as it was: nothing is wrong. */
    d.written = true;
    timeline_seek(d.tl, first - 10, &stop);
    timeline_seek(d.tl, first + 10, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    d.written = true;
    d.changed = (cluster << DRIVE_CLUSTER_SHIFT) + 5;
    timeline_seek(d.tl, first - 10, &stop);
    timeline_seek(d.tl, first + 5, &stop); /* (further on there are checkpoints to go to) */
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_msg(strstr(timeline_divergence(d.tl), "the image was changed"), "%s", timeline_divergence(d.tl));
    timeline_destroy(d.tl);
}
END_TEST

START_TEST(who_looks_from_outside_is_not_shown_an_image_that_was_changed)
{
    struct timeline_stop stop;
    const struct drive *disk;
    uint64_t cluster, where;
    uint8_t bytes[16], want[16];
    struct error err;
    struct desk d;

    sit_down(&d, true);
    timeline_seek(d.tl, 10000, &stop);
    disk = timeline_machine(d.tl)->drives[0];
    memcpy(&cluster, image_event(timeline_log(d.tl), 0)->data, 8);
    where = cluster << DRIVE_CLUSTER_SHIFT;
    /* Long before the guest reads it, too. */
    for (icount_t at = 10000; at; at = at == 1 ? 0 : 1) {
        timeline_seek(d.tl, at, &stop);
        d.changed = 0;
        toy_image_read(NULL, NULL, NULL, where, want, sizeof(want));
        ck_assert_int_eq(timeline_image_read(d.tl, disk, where, bytes, sizeof(bytes), &err), 0);
        ck_assert_mem_eq(bytes, want, sizeof(want));
        d.changed = where + 300; /* beside what is asked for: the cluster was read as a whole */
        ck_assert_int_eq(timeline_image_read(d.tl, disk, where, bytes, sizeof(bytes), &err), -ESTALE);
        ck_assert_msg(strstr(err.text, "of the image of drive disk0 are not what the guest read"), "%s", err.text);
        d.changed = 0;
        d.fails = 1;
        ck_assert_int_eq(timeline_image_read(d.tl, disk, where, bytes, sizeof(bytes), &err), -ETIMEDOUT);
        d.fails = 0;
    }
    timeline_destroy(d.tl);
}
END_TEST

START_TEST(an_image_that_is_gone_ends_the_replay_and_not_the_guest)
{
    struct desk live, again;
    struct timeline_stop stop;
    icount_t where;

    make_history(&live, &again, 0);
    where = image_event(timeline_log(live.tl), 0)->position;
    again.fails = UINT64_MAX;
    timeline_seek(again.tl, STEPS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(again.tl), where);
    ck_assert_ptr_nonnull(strstr(timeline_divergence(again.tl), "cannot be read any more"));
    timeline_destroy(live.tl);
    timeline_destroy(again.tl);
}
END_TEST

START_TEST(a_log_that_does_not_know_a_cluster_is_noticed)
{
    struct desk live, again;
    struct timeline_stop stop;
    struct event_log *log = event_log_create();
    bool left_out = false;
    icount_t where = 0;

    make_history(&live, &again, 0);
    timeline_destroy(again.tl);
    for (uint64_t i = 0; i < event_log_count(timeline_log(live.tl)); i++) {
        const struct event *e = event_log_get(timeline_log(live.tl), i);

        if (e->kind == EVENT_IMAGE && !left_out) {
            left_out = true;
            where = e->position;
            continue;
        }
        event_log_append(log, e);
    }
    sit_down(&again, false);
    timeline_adopt(again.tl, log, timeline_edge(live.tl), timeline_edge_vtime(live.tl), NULL);
    timeline_seek(again.tl, STEPS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(again.tl), where);
    timeline_destroy(live.tl);
    timeline_destroy(again.tl);
}
END_TEST

/* Where a run from `from` comes upon the point, in order. */
static unsigned hits(struct desk *d, enum direction dir, icount_t from, icount_t *at, unsigned room)
{
    struct timeline_stop stop;
    unsigned n = 0;

    timeline_seek(d->tl, from, &stop);
    while (n < room) {
        timeline_continue(d->tl, dir, &stop);
        if (stop.reason != TIMELINE_WATCHPOINT || timeline_position(d->tl) > STEPS)
            break;
        ck_assert_str_eq(stop.writer, "disk");
        at[n++] = timeline_position(d->tl) - (dir == FORWARD);
    }
    return n;
}

START_TEST(watched_sectors_are_the_same_in_both_directions_over_many_segments)
{
    icount_t forward[400], back[400];
    struct timeline_stop stop;
    unsigned total = 0;
    struct desk d;

    sit_down(&d, true);
    timeline_replay_break(d.tl, STEPS);
    timeline_seek(d.tl, STEPS, &stop);
    for (uint64_t sector = 0; sector < TOY_DISK_BYTES / 512; sector += 3) {
        for (unsigned kinds = TRAP_WRITE; kinds <= (TRAP_WRITE | TRAP_READ); kinds += TRAP_READ) {
            const struct timeline_point p = {.kinds = kinds, .drive = timeline_machine(d.tl)->drives[0],
                                             .address = sector * 512, .len = 512};
            unsigned id = timeline_add_point(d.tl, &p), n = hits(&d, FORWARD, 0, forward, 400);

            ck_assert_uint_eq(hits(&d, BACKWARD, STEPS, back, 400), n);
            for (unsigned i = 0; i < n; i++)
                ck_assert_uint_eq(forward[i], back[n - 1 - i]);
            total += n;
            ck_assert(timeline_remove_point(d.tl, id));
            if (kinds != TRAP_WRITE)
                continue;
            timeline_seek(d.tl, STEPS, &stop);
            ck_assert_int_eq(timeline_last_write(d.tl, &p, &stop, NULL), 0);
            ck_assert_int_eq(stop.reason, n ? TIMELINE_WATCHPOINT : TIMELINE_REPLAY_BEGIN);
            ck_assert_uint_eq(timeline_position(d.tl), n ? forward[n - 1] : 0);
        }
    }
    ck_assert_uint_gt(total, 100);
    timeline_destroy(d.tl);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("timeline-drive");
    TCase *t = tcase_create("drive");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, each_cluster_is_logged_once_as_a_hash);
    tcase_add_test(t, a_history_with_a_disk_replays_elsewhere_to_the_same_states);
    tcase_add_test(t, an_image_that_was_changed_is_found_out_where_the_guest_first_read_the_change);
    tcase_add_test(t, a_page_that_the_image_has_is_not_copied_and_is_missed_when_the_image_changes);
    tcase_add_test(t, what_is_noted_of_an_image_is_forgotten_when_it_is_written_to);
    tcase_add_test(t, an_image_that_is_changed_under_a_live_session_is_found_out);
    tcase_add_test(t, who_looks_from_outside_is_not_shown_an_image_that_was_changed);
    tcase_add_test(t, an_image_that_is_gone_ends_the_replay_and_not_the_guest);
    tcase_add_test(t, a_log_that_does_not_know_a_cluster_is_noticed);
    tcase_add_test(t, watched_sectors_are_the_same_in_both_directions_over_many_segments);
    suite_add_tcase(s, t);
    return s;
}
