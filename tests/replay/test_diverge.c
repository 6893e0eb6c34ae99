/*
 * Replays that are not what was recorded: each change to a recording is told
 * with the place where it shows and the parts of the machine in which it does, and
 * the machine stands there, to be looked at.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "recording_bench.h"
#include "tests/check_main.h"

/* How far behind an event its absence may show: the first witness after it (diverge.c),
 * and the end of the step. */
#define NEAR 1100u

static bool says(const struct timeline *tl, const char *words)
{
    return strstr(timeline_divergence(tl), words) != NULL;
}

static bool says_position(const struct timeline *tl, const char *before, icount_t position)
{
    char words[80];

    snprintf(words, sizeof words, "%s %llu", before, (unsigned long long)position);
    return says(tl, words);
}

/* A log like another, but for the event number `n`. */
static struct event_log *changed_log(const struct event_log *log, uint64_t n, bool drop, int move, uint8_t flip)
{
    struct event_log *copy = event_log_create();

    for (uint64_t i = 0; i < event_log_count(log); i++) {
        struct event e = *event_log_get(log, i);
        uint8_t data[64];

        if (i == n && drop)
            continue;
        if (i == n && e.len <= sizeof data) {
            memcpy(data, e.data, e.len);
            data[e.len - 1] ^= flip;
            e.data = data;
            e.position += (icount_t)(int64_t)move;
            e.vtime += (vtime_t)(int64_t)move;
        }
        event_log_append(copy, &e);
    }
    return copy;
}

/* The first event of a kind behind `from`; -1: none. */
static int64_t find_event(const struct event_log *log, uint16_t kind, icount_t from)
{
    for (uint64_t i = 0; i < event_log_count(log); i++) {
        const struct event *e = event_log_get(log, i);

        if (e->kind == kind && e->position > from && event_log_get(log, i + 1) &&
            event_log_get(log, i + 1)->position > e->position + 1 && event_log_get(log, i - 1)->position + 1 < e->position)
            return (int64_t)i;
    }
    return -1;
}

struct replay {
    struct file f;
    struct recording r;
    struct host h;
    struct recorder_checks *k;
    struct timeline_stop stop;
    icount_t edge;
    uint64_t hash;
};

static void open_replay(struct replay *p, uint64_t seed, uint64_t checkpoint_steps)
{
    memset(p, 0, sizeof *p);
    make(&p->f, seed, STEPS, checkpoint_steps, &p->edge, &p->hash, NULL);
    open_good(&p->r, &p->f.b);
}

/* Replay what has become of the recording. */
static void go(struct replay *p, uint64_t seed)
{
    struct error err = {0};

    begin_timeline(&p->h, seed, false);
    ck_assert_msg(recorder_adopt(p->h.tl, &p->r, true, &err) == 0, "%s", err.text);
    p->k = recorder_checks_create(p->h.tl, &p->r);
    timeline_continue(p->h.tl, FORWARD, &p->stop);
}

static void close_replay(struct replay *p)
{
    recorder_checks_destroy(p->k);
    end_timeline(&p->h);
    recording_finish(&p->r);
    buffer_finish(&p->f.b);
}

static void replace_log(struct recording *r, struct event_log *log)
{
    event_log_destroy(r->log);
    r->log = log;
}

/* The first input of all, some way into history, if nothing else happens just then; -1: none. */
static int64_t first_input(const struct event_log *log)
{
    for (uint64_t i = 0; i < event_log_count(log); i++) {
        const struct event *e = event_log_get(log, i), *next = event_log_get(log, i + 1);

        if (e->kind == EVENT_INPUT)
            return e->position > 300 && (!next || next->position > e->position) ? (int64_t)i : -1;
    }
    return -1;
}

/* Seeds whose guests take input somewhere in the middle. */
static int64_t some_input(struct replay *p, uint64_t *seed)
{
    for (*seed = 1; *seed < 200; ++*seed) {
        int64_t n;

        open_replay(p, *seed, 0);
        n = first_input(p->r.log);
        if (n >= 0 && p->edge > 8000)
            return n;
        recording_finish(&p->r);
        buffer_finish(&p->f.b);
    }
    ck_abort_msg("no such guest");
    return -1;
}

/* Whoever has diverged can look around: back, and to the same place again. */
static void is_debuggable(struct replay *p)
{
    icount_t at = timeline_position(p->h.tl);
    struct timeline_stop stop;
    uint64_t hash = machine_hash(timeline_machine(p->h.tl));

    ck_assert(!timeline_machine(p->h.tl)->between);
    timeline_step(p->h.tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_STEP_DONE);
    ck_assert_uint_lt(timeline_position(p->h.tl), at);
    timeline_continue(p->h.tl, BACKWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_BEGIN);
    timeline_continue(p->h.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(p->h.tl), at);
    ck_assert_uint_eq(machine_hash(timeline_machine(p->h.tl)), hash);
    timeline_step(p->h.tl, FORWARD, TIMELINE_ALL_CPUS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(p->h.tl), at);
    /* From there, too, and with ways that have to be run again up to there, since nothing is known of what they touched. */
    for (unsigned kinds = 0; kinds <= TRAP_READ; kinds += TRAP_READ) {
        const struct timeline_point never = {.kinds = kinds, .address = 0x12345, .len = 1};
        unsigned id = kinds ? timeline_add_point(p->h.tl, &never) : 0;

        timeline_continue(p->h.tl, BACKWARD, &stop);
        ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_BEGIN);
        timeline_continue(p->h.tl, FORWARD, &stop);
        ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
        ck_assert_uint_eq(timeline_position(p->h.tl), at);
        timeline_step(p->h.tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
        ck_assert_int_eq(stop.reason, TIMELINE_STEP_DONE);
        timeline_continue(p->h.tl, FORWARD, &stop);
        ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
        if (kinds)
            timeline_remove_point(p->h.tl, id);
    }
}

START_TEST(a_dropped_input_shows_near_its_place)
{
    struct replay p;
    uint64_t seed;
    int64_t n = some_input(&p, &seed);
    icount_t at = event_log_get(p.r.log, (uint64_t)n)->position;

    replace_log(&p.r, changed_log(p.r.log, (uint64_t)n, true, 0, 0));
    go(&p, seed);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_ge(timeline_position(p.h.tl), at);
    ck_assert_msg(timeline_position(p.h.tl) <= at + NEAR || says(p.h.tl, "sleeps") || says(p.h.tl, "log has"), "%s (%llu)",
                  timeline_divergence(p.h.tl), (unsigned long long)at);
    ck_assert(says_position(p.h.tl, "diverges at position", timeline_position(p.h.tl)));
    is_debuggable(&p);
    close_replay(&p);
}
END_TEST

START_TEST(a_moved_input_shows_near_its_place)
{
    struct replay p;
    uint64_t seed;
    int64_t n = some_input(&p, &seed);
    icount_t at = event_log_get(p.r.log, (uint64_t)n)->position;

    replace_log(&p.r, changed_log(p.r.log, (uint64_t)n, false, -1, 0));
    go(&p, seed);
    /* It may be that it makes no difference: the byte comes to rest in the FIFO a step earlier. */
    if (p.stop.reason == TIMELINE_DIVERGED) {
        ck_assert_uint_ge(timeline_position(p.h.tl), at - 1);
        ck_assert_uint_le(timeline_position(p.h.tl), at + NEAR);
        is_debuggable(&p);
    } else {
        ck_assert_int_eq(p.stop.reason, TIMELINE_REPLAY_END);
    }
    close_replay(&p);
}
END_TEST

START_TEST(a_changed_byte_of_input_shows_in_the_device_or_the_cpu)
{
    struct replay p;
    uint64_t seed;
    int64_t n = some_input(&p, &seed);
    icount_t at = event_log_get(p.r.log, (uint64_t)n)->position;

    replace_log(&p.r, changed_log(p.r.log, (uint64_t)n, false, 0, 0x20));
    go(&p, seed);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_gt(timeline_position(p.h.tl), at);
    ck_assert_uint_le(timeline_position(p.h.tl), at + NEAR);
    ck_assert(says(p.h.tl, "cpu0 (") || says(p.h.tl, "serial"));
    ck_assert_msg(says_position(p.h.tl, "the first at position", at), "%s (%llu)", timeline_divergence(p.h.tl), (unsigned long long)at);
    ck_assert(says(p.h.tl, "it is the recording that differs"));
    is_debuggable(&p);
    close_replay(&p);
}
END_TEST

START_TEST(a_question_without_its_answer_shows_in_its_step)
{
    uint64_t seed;

    for (seed = 1; seed < 100; seed++) {
        struct replay p;
        int64_t n;
        icount_t at;

        open_replay(&p, seed, 0);
        n = find_event(p.r.log, EVENT_ENTROPY, 2000);
        if (n < 0) {
            recording_finish(&p.r);
            buffer_finish(&p.f.b);
            continue;
        }
        at = event_log_get(p.r.log, (uint64_t)n)->position;
        replace_log(&p.r, changed_log(p.r.log, (uint64_t)n, true, 0, 0));
        go(&p, seed);
        ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
        ck_assert_uint_eq(timeline_position(p.h.tl), at);
        ck_assert(says(p.h.tl, "asks for random bytes"));
        is_debuggable(&p);
        close_replay(&p);
        return;
    }
    ck_abort_msg("no such guest");
}
END_TEST

START_TEST(a_changed_witness_names_component_and_register)
{
    struct replay p;
    size_t n = 1, regs;
    icount_t at;

    open_replay(&p, 6, 0);
    ck_assert_uint_gt(p.r.witnesses.count, n);
    at = p.r.witnesses.positions[n];
    regs = (size_t)p.r.witnesses.shape.ncomponents * 2;
    /* Component 1 is the CPU; register 5 is r5. */
    ck_assert_uint_ge(p.r.witnesses.shape.nregs, 6);
    {
        uint8_t *tags = p.r.witnesses.tags + n * witness_bytes(&p.r.witnesses.shape);

        tags[2] ^= 1;
        tags[regs + 5] ^= 1;
    }
    go(&p, 6);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(p.h.tl), at);
    ck_assert_msg(says(p.h.tl, "(cpu0 (r5))"), "%s", timeline_divergence(p.h.tl));
    is_debuggable(&p);
    close_replay(&p);
}
END_TEST

/* As if the pages of RAM (24: five bits, and the sum of all) had come to more at hash `n`. */
static void add_to_sum(struct recording *r, size_t n, unsigned sum, uint32_t more)
{
    uint8_t *ram = r->parts + n * r->part_bytes + 8u * layout_count(&r->layout, LAYOUT_COMPONENT);
    struct checkpoint_area a;

    recording_area(r, n, 0, &a);
    ck_assert_uint_eq(a.nsums, 6);
    put_le32(ram + 8 + 4 * sum, a.sums[sum] + more);
    ram[0] += sum == 5;
}

START_TEST(a_single_page_that_differs_is_named)
{
    struct replay p;
    uint32_t page = 13;

    open_replay(&p, 6, 0);
    ck_assert_uint_ge(p.r.nhashes, 4);
    for (uint32_t b = 0; b < 5; b++)
        add_to_sum(&p.r, 2, b, page >> b & 1 ? 777 : 0);
    add_to_sum(&p.r, 2, 5, 777);
    go(&p, 6);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(p.h.tl), p.r.hashes[2].position);
    ck_assert_msg(says(p.h.tl, "(page 13 of ram)"), "%s", timeline_divergence(p.h.tl));
    is_debuggable(&p);
    close_replay(&p);
}
END_TEST

START_TEST(several_pages_that_differ_are_bounded)
{
    struct replay p;

    open_replay(&p, 6, 0);
    /* Pages 12 and 14, by different amounts. */
    add_to_sum(&p.r, 2, 3, 1000);
    add_to_sum(&p.r, 2, 2, 1000);
    add_to_sum(&p.r, 2, 1, 300);
    add_to_sum(&p.r, 2, 5, 1000);
    go(&p, 6);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_msg(says(p.h.tl, "pages of ram from 12 to 15"), "%s", timeline_divergence(p.h.tl));
    close_replay(&p);
}
END_TEST

START_TEST(an_error_of_hindcast_is_told_from_one_of_the_recording)
{
    struct replay p;
    icount_t at = 5555;
    struct error err = {0};

    open_replay(&p, 6, 0);
    begin_timeline(&p.h, 6, false);
    ck_assert_int_eq(recorder_adopt(p.h.tl, &p.r, true, &err), 0);
    p.k = recorder_checks_create(p.h.tl, &p.r);
    toy_of(timeline_machine(p.h.tl))->glitch_at = at;
    timeline_continue(p.h.tl, FORWARD, &p.stop);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_msg(says(p.h.tl, "an error of hindcast"), "%s", timeline_divergence(p.h.tl));
    /* It shows in memory alone, behind witnesses that agree: what is said to have been right still was. */
    ck_assert_msg(says(p.h.tl, "At position 5000 it still was, and at"), "%s", timeline_divergence(p.h.tl));
    /* The step that goes wrong, if it can be told: it must not be the last of a stretch. */
    ck_assert_msg(says_position(p.h.tl, "in the step to position", at + 1) ||
                  says_position(p.h.tl, "in the step to position", at + 2), "%s", timeline_divergence(p.h.tl));
    ck_assert(says(p.h.tl, "r3"));
    close_replay(&p);
}
END_TEST

/* The file with one byte of the pages of its last checkpoint changed, checksums and all. */
static void change_checkpoint(struct buffer *out, const struct buffer *file)
{
    size_t at = RECORDING_HEADER_BYTES, last = 0;

    for (; at + RECORDING_CHUNK_BYTES <= file->len; at += RECORDING_CHUNK_BYTES + get_le32(file->data + at + 8))
        if (get_le32(file->data + at + 4) == RECORDING_CKPT)
            last = at;
    ck_assert_uint_gt(last, 0);
    for (at = 0; at < file->len;) {
        const uint8_t *h = file->data + at;
        size_t len = at ? RECORDING_CHUNK_BYTES + get_le32(h + 8) : RECORDING_HEADER_BYTES;
        static uint8_t plain[RECORDING_CHUNK_BYTES + 200000];
        uLongf n = 200000;

        if (at && file->len - at == RECORDING_TRAILER_BYTES)
            len = RECORDING_TRAILER_BYTES;
        if (at == last) {
            memcpy(plain, h, RECORDING_CHUNK_BYTES);
            if (get_le32(h + 20) & RECORDING_CHUNK_DEFLATED)
                ck_assert_int_eq(uncompress(plain + RECORDING_CHUNK_BYTES, &n, h + RECORDING_CHUNK_BYTES, get_le32(h + 8)), Z_OK);
            else
                memcpy(plain + RECORDING_CHUNK_BYTES, h + RECORDING_CHUNK_BYTES, n = get_le32(h + 8));
            plain[RECORDING_CHUNK_BYTES + 12 + 100] ^= 1;
            put_le32(plain + 8, (uint32_t)n);
            put_le32(plain + 12, (uint32_t)n);
            put_le32(plain + 20, get_le32(h + 20) & ~RECORDING_CHUNK_DEFLATED);
            buffer_append(out, plain, RECORDING_CHUNK_BYTES + n);
        } else {
            buffer_append(out, h, len);
        }
        at += len;
    }
    mend(out);
}

START_TEST(a_checkpoint_that_is_not_what_was_hashed_is_refused)
{
    struct buffer changed = {0};
    struct error err = {0};
    struct replay p;

    open_replay(&p, 6, 5000);
    ck_assert_uint_ge(p.r.ncheckpoints, 2);
    change_checkpoint(&changed, &p.f.b);
    recording_finish(&p.r);
    open_good(&p.r, &changed);
    begin_timeline(&p.h, 6, false);
    ck_assert_int_eq(recorder_adopt(p.h.tl, &p.r, true, &err), -EINVAL);
    ck_assert_msg(strstr(err.text, "not the state that was hashed") && strstr(err.text, "--ignore-checkpoints"), "%s", err.text);
    end_timeline(&p.h);
    /* Without them, it is as good as it was. */
    begin_timeline(&p.h, 6, false);
    ck_assert_int_eq(recorder_adopt(p.h.tl, &p.r, false, &err), 0);
    p.k = recorder_checks_create(p.h.tl, &p.r);
    timeline_continue(p.h.tl, FORWARD, &p.stop);
    ck_assert_int_eq(p.stop.reason, TIMELINE_REPLAY_END);
    ck_assert_uint_eq(machine_hash(timeline_machine(p.h.tl)), p.hash);
    buffer_finish(&changed);
    close_replay(&p);
}
END_TEST

/* Hashes and checksums in order, but no machine was ever there. */
START_TEST(a_checkpoint_of_an_impossible_state_is_not_used)
{
    struct recording r;
    struct error err = {0};
    struct recorder *rec;
    struct timeline_stop stop;
    struct host h;
    struct file f = {.room = 0};
    struct machine *m;

    begin_timeline(&h, 6, true);
    rec = begin_recording(&h, &f, 1000);
    timeline_seek(h.tl, 5000, &stop);
    m = timeline_machine(h.tl);
    /* More bytes in the FIFO than it has. */
    ((uint8_t *)toy_serial(m)->state)[4] = 200;
    timeline_checkpoint(h.tl);
    ck_assert_int_eq(recorder_close(rec), 0);
    recorder_destroy(rec);
    end_timeline(&h);
    open_good(&r, &f.b);
    ck_assert_uint_eq(r.ncheckpoints, 1);
    begin_timeline(&h, 6, false);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    ck_assert_msg(strstr(r.note, "cannot be in (serial), and is not used"), "%s", r.note);
    ck_assert_uint_eq(checkpoint_count(timeline_checkpoints(h.tl)), 1);
    timeline_seek(h.tl, 4000, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(where_the_file_has_a_checkpoint_values_are_compared)
{
    struct replay p;
    struct error err = {0};
    icount_t at;

    open_replay(&p, 6, 5000);
    ck_assert_uint_ge(p.r.ncheckpoints, 1);
    at = p.r.checkpoints[0].position;
    /* A glitch shortly before the checkpoint, with no witness on the way. */
    p.r.witnesses.count = 0;
    while (p.r.nhashes > 1 && p.r.hashes[0].position < at) {
        memmove(p.r.hashes, p.r.hashes + 1, (p.r.nhashes - 1) * sizeof p.r.hashes[0]);
        p.r.nhashes--;
    }
    begin_timeline(&p.h, 6, false);
    ck_assert_int_eq(recorder_adopt(p.h.tl, &p.r, false, &err), 0);
    p.k = recorder_checks_create(p.h.tl, &p.r);
    toy_of(timeline_machine(p.h.tl))->glitch_at = at - 3;
    timeline_continue(p.h.tl, FORWARD, &p.stop);
    ck_assert_int_eq(p.stop.reason, TIMELINE_DIVERGED);
    ck_assert_msg(says(p.h.tl, " is 0x") && says(p.h.tl, ", was 0x"), "%s", timeline_divergence(p.h.tl));
    close_replay(&p);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("divergence");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_dropped_input_shows_near_its_place);
    tcase_add_test(t, a_moved_input_shows_near_its_place);
    tcase_add_test(t, a_changed_byte_of_input_shows_in_the_device_or_the_cpu);
    tcase_add_test(t, a_question_without_its_answer_shows_in_its_step);
    tcase_add_test(t, a_changed_witness_names_component_and_register);
    tcase_add_test(t, a_single_page_that_differs_is_named);
    tcase_add_test(t, several_pages_that_differ_are_bounded);
    tcase_add_test(t, an_error_of_hindcast_is_told_from_one_of_the_recording);
    tcase_add_test(t, a_checkpoint_that_is_not_what_was_hashed_is_refused);
    tcase_add_test(t, a_checkpoint_of_an_impossible_state_is_not_used);
    tcase_add_test(t, where_the_file_has_a_checkpoint_values_are_compared);
    suite_add_tcase(s, t);
    return s;
}
