/*
 * Recordings: what is written is what is read, whatever happens to the file on
 * the way is noticed, and a replay that is not what was recorded says where.
 * Machines are toys (toy.h); the file is a buffer.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "recording_bench.h"
#include "tests/check_main.h"

START_TEST(a_recording_replays_to_the_same_state_and_output)
{
    struct buffer output = {0}, kernel = {0};
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct recorder_checks *k;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, (uint64_t)_i, STEPS, 0, &edge, &hash, &output);
    open_good(&r, &f.b);
    ck_assert(r.closed && !*r.note);
    ck_assert_uint_eq(r.edge, edge);
    ck_assert_str_eq(recording_value(&r, "append"), "words with spaces");
    ck_assert_str_eq(r.images[0].name, "vmlinux");
    ck_assert_int_eq(recording_image_read(&r, 0, &kernel, &err), 0);
    ck_assert(kernel.len == 100 && !memcmp(kernel.data, "the kernel", 10));
    buffer_finish(&kernel);
    begin_timeline(&h, (uint64_t)_i, false);
    ck_assert_int_eq(recorder_check_machine(&r, timeline_machine(h.tl), &err), 0);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    k = recorder_checks_create(h.tl, &r);
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_msg(stop.reason == TIMELINE_REPLAY_END, "%d %s", stop.reason,
                  timeline_divergence(h.tl) ? timeline_divergence(h.tl) : "");
    ck_assert_uint_eq(timeline_position(h.tl), edge);
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    ck_assert_uint_eq(recorder_checks_made(k), r.nhashes);
    /* A guest that was left asleep: what its devices said in that sleep belongs to the step
     * that it has not made yet. */
    ck_assert(h.output.len == output.len || (edge < STEPS && h.output.len < output.len));
    ck_assert(!h.output.len || !memcmp(h.output.data, output.data, h.output.len));
    timeline_continue(h.tl, BACKWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_BEGIN);
    recorder_checks_destroy(k);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
    buffer_finish(&output);
}
END_TEST

/* In the middle of history, and of a step. */
static void rescue(struct host *h)
{
    const struct recorder_config c = recorder_config_of(h->rescued);

    if (h->rescued->len || machine_position(timeline_machine(h->tl)) < STEPS / 3)
        return;
    ck_assert_int_eq(recorder_rescue(h->tl, 0, &c), 0);
}

START_TEST(history_is_saved_from_the_middle_of_a_step_up_to_its_end)
{
    struct timeline_stop stop;
    struct error err = {0};
    struct host h, again;
    struct recording r;
    struct file f = {0};

    begin_timeline(&h, (uint64_t)_i, true);
    h.speaks = rescue;
    h.rescued = &f.b;
    timeline_seek(h.tl, STEPS, &stop);
    if (f.b.len) {
        open_good(&r, &f.b);
        ck_assert(r.closed && !*r.note);
        begin_timeline(&again, (uint64_t)_i, false);
        ck_assert_int_eq(recorder_adopt(again.tl, &r, true, &err), 0);
        timeline_continue(again.tl, FORWARD, &stop);
        /* What the step would have asked for next, nobody knows. */
        ck_assert_msg(stop.reason == TIMELINE_REPLAY_END || stop.reason == TIMELINE_DIVERGED, "%d", stop.reason);
        ck_assert_uint_eq(timeline_position(again.tl), r.edge - (stop.reason == TIMELINE_DIVERGED));
        h.speaks = NULL;
        h.waits = 0; /* a guest that slept for good was left alone; it is not asleep there */
        timeline_seek(h.tl, timeline_position(again.tl), &stop);
        ck_assert_uint_eq(timeline_position(h.tl), timeline_position(again.tl));
        ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), machine_hash(timeline_machine(again.tl)));
        ck_assert_uint_gt(again.output.len, 0);
        ck_assert_uint_ge(r.edge, STEPS / 3);
        end_timeline(&again);
        recording_finish(&r);
    }
    end_timeline(&h);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(clusters_in_the_file_replay_a_disk_without_its_image)
{
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct recorder_checks *k;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    bench_disk = true;
    make(&f, 11, STEPS, 3000, &edge, &hash, NULL);
    open_good(&r, &f.b);
    ck_assert_uint_gt(r.nclusters, 2);
    bench_image = &r;
    begin_timeline(&h, 11, false);
    ck_assert_int_eq(recorder_check_machine(&r, timeline_machine(h.tl), &err), 0);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    k = recorder_checks_create(h.tl, &r);
    for (icount_t at = edge; at > 3000; at -= 2900) { /* from checkpoints too: they have the disk's pages */
        timeline_seek(h.tl, at, &stop);
        ck_assert_msg(stop.reason == TIMELINE_SEEK_DONE || at == edge, "%d %s", stop.reason,
                      timeline_divergence(h.tl) ? timeline_divergence(h.tl) : "");
    }
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_END);
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    recorder_checks_destroy(k);
    end_timeline(&h);
    bench_image = NULL;
    bench_disk = false;
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(names_come_back_with_the_recording)
{
    const struct timeline_snapshot *list;
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;
    size_t n;

    make(&f, 6, STEPS, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    begin_timeline(&h, 6, false);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    n = timeline_snapshots(h.tl, &list);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(list[0].name, "odd");
    ck_assert_uint_eq(list[0].position, 25000);
    ck_assert_uint_eq(list[0].made_ns, 25000);
    ck_assert_int_eq(timeline_load_snapshot(h.tl, "even", &stop, &err), 0);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(timeline_position(h.tl), 30000);
    ck_assert_int_eq(timeline_delete_snapshot(h.tl, "odd", &err), 0);
    ck_assert_int_eq(timeline_delete_snapshot(h.tl, "odd", &err), -ENOENT);
    ck_assert_int_eq(timeline_save_snapshot(h.tl, "even", 1, &err), 0);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

struct seen {
    char name[TIMELINE_NAME_MOST + 1];
    icount_t fork, edge, at[20];
    uint64_t hash[20];
};

/* States of each branch along its way; returns how many branches. */
static size_t look_at_branches(struct timeline *tl, struct seen seen[TIMELINE_BRANCHES])
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(tl, list);

    for (size_t i = 0; i < n; i++) {
        struct seen *s = &seen[i];
        struct error err = {0};
        struct timeline_stop stop;

        memset(s, 0, sizeof(*s));
        snprintf(s->name, sizeof(s->name), "%s", list[i].name ? list[i].name : "");
        s->fork = list[i].fork;
        s->edge = list[i].edge;
        ck_assert_msg(timeline_branch_use(tl, list[i].id, &err) == 0, "%s", err.text);
        for (unsigned k = 0; k < 20; k++) {
            s->at[k] = s->edge - (s->edge - s->fork) * k / 19;
            timeline_seek(tl, s->at[k], &stop);
            ck_assert_msg(timeline_position(tl) == s->at[k], "%s", timeline_divergence(tl) ? timeline_divergence(tl) : "");
            s->hash[k] = machine_hash(timeline_machine(tl));
        }
    }
    return n;
}

static void open_branches(struct recording *r, struct host *h, const struct buffer *b)
{
    struct error err = {0};

    open_good(r, b);
    ck_assert_msg(!*r->note && r->closed && !r->nharms, "%s", r->note);
    begin_timeline(h, 6, false);
    ck_assert_msg(recorder_adopt(h->tl, r, true, &err) == 0, "%s", err.text);
    ck_assert_msg(!*r->note, "%s", r->note);
}

/* Whoever opens the recording finds them, and whoever records that again writes them. */
START_TEST(branches_come_back_with_the_recording)
{
    struct seen seen[TIMELINE_BRANCHES], again[TIMELINE_BRANCHES];
    struct recording r, r2;
    struct recorder *rec;
    struct host h;
    struct file f = {.room = 0}, f2 = {.room = 0};
    size_t n;

    bench_branches = true;
    begin_timeline(&h, 6, true);
    rec = begin_recording(&h, &f, 4000);
    record(&h, rec, STEPS);
    ck_assert_int_eq(recorder_close(rec), 0);
    recorder_destroy(rec);
    n = look_at_branches(h.tl, seen);
    ck_assert_uint_eq(n, 4); /* the trunk, "one", the one between, "three" */
    end_timeline(&h);

    open_branches(&r, &h, &f.b);
    rec = begin_recording(&h, &f2, 4000);
    ck_assert_int_eq(recorder_update_all(rec), 0);
    ck_assert_int_eq(recorder_close(rec), 0);
    recorder_destroy(rec);
    ck_assert_uint_eq(look_at_branches(h.tl, again), n);
    ck_assert_mem_eq(seen, again, n * sizeof(seen[0]));
    end_timeline(&h);
    recording_finish(&r);

    open_branches(&r2, &h, &f2.b);
    ck_assert_uint_eq(look_at_branches(h.tl, again), n);
    ck_assert_mem_eq(seen, again, n * sizeof(seen[0]));
    end_timeline(&h);
    recording_finish(&r2);
    bench_branches = false;
    buffer_finish(&f.b);
    buffer_finish(&f2.b);
}
END_TEST

/* A disk that is full for a while. */
START_TEST(a_recording_goes_on_when_there_is_room_again)
{
    struct recording r;
    struct error err = {0};
    struct recorder *rec;
    struct timeline_stop stop;
    struct recorder_checks *k;
    struct host h;
    struct file f = {.room = 0};
    icount_t edge;
    uint64_t hash;

    begin_timeline(&h, 6, true);
    rec = begin_recording(&h, &f, 4000);
    record(&h, rec, 7500);
    f.room = f.b.len + 100 + (size_t)_i * 400;
    record(&h, rec, 17500);
    ck_assert_int_eq(recorder_update(rec), -ENOSPC);
    f.b.len = recorder_good_bytes(rec);
    f.room = 0;
    recorder_resume(rec);
    record(&h, rec, STEPS);
    timeline_checkpoint(h.tl);
    ck_assert_int_eq(recorder_close(rec), 0);
    recorder_destroy(rec);
    edge = timeline_edge(h.tl);
    hash = machine_hash(timeline_machine(h.tl));
    end_timeline(&h);

    open_good(&r, &f.b);
    ck_assert_msg(r.closed && !*r.note, "%s", r.note);
    ck_assert_uint_eq(r.edge, edge);
    begin_timeline(&h, 6, false);
    ck_assert_msg(recorder_adopt(h.tl, &r, true, &err) == 0, "%s", err.text);
    k = recorder_checks_create(h.tl, &r);
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_END);
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    recorder_checks_destroy(k);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(a_file_whose_beginning_could_not_be_written_is_not_gone_on_with)
{
    struct recorder *rec;
    struct host h;
    struct file f = {.room = 100};

    begin_timeline(&h, 6, true);
    rec = begin_recording(&h, &f, 0);
    ck_assert_int_eq(recorder_update(rec), -ENOSPC);
    ck_assert_uint_eq(recorder_good_bytes(rec), 0);
    recorder_destroy(rec);
    end_timeline(&h);
    buffer_finish(&f.b);
}
END_TEST

/* A guest that only runs: the second of two MARKs is written again and again. */
START_TEST(a_guest_that_only_runs_does_not_make_the_file_longer)
{
    struct recording r;
    struct recorder *rec;
    struct timeline_stop stop;
    struct host h;
    struct file f = {.room = 0};
    size_t len = 0;

    begin_timeline(&h, 6, true);
    for (uint32_t i = 0; i < 0x800; i += 8)
        toy_put(timeline_machine(h.tl), i, TOY_JMP, 0, 0, 0, 0);
    rec = begin_recording_with(&h, &f, 0, 1000000);
    for (icount_t at = 20000; at < 60000; at += 500) {
        timeline_seek(h.tl, at, &stop);
        recorder_update(rec);
        if (at == 30000)
            len = f.b.len;
    }
    ck_assert_uint_eq(f.b.len, len);
    open_good(&r, &f.b);
    ck_assert_uint_eq(r.edge, 59500);
    recording_finish(&r);
    /* Should the last one be torn, the one before counts. */
    f.b.data[f.b.len - 1] ^= 1;
    open_good(&r, &f.b);
    ck_assert(r.edge < 59500 && r.edge >= 20000);
    recording_finish(&r);
    recorder_destroy(rec);
    end_timeline(&h);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(checkpoints_in_the_file_save_the_replay)
{
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash, steps;

    make(&f, 1, STEPS, 5000, &edge, &hash, NULL);
    open_good(&r, &f.b);
    ck_assert_uint_ge(r.ncheckpoints, 3);
    begin_timeline(&h, 1, false);
    ck_assert_msg(recorder_adopt(h.tl, &r, true, &err) == 0, "%s", err.text);
    steps = toy_of(timeline_machine(h.tl))->steps_made;
    timeline_seek(h.tl, edge, &stop);
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    steps = toy_of(timeline_machine(h.tl))->steps_made - steps;
    ck_assert_uint_le(steps, edge - r.checkpoints[r.ncheckpoints - 1].position);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(a_recording_goes_on_live_from_its_end)
{
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 9, STEPS, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    begin_timeline(&h, 9, true);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    timeline_seek(h.tl, edge + 5000, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    timeline_seek(h.tl, edge, &stop);
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

/* Everything that counts was in the original, too. */
static void is_a_beginning_of(const struct recording *r, const struct recording *whole)
{
    ck_assert_uint_le(r->edge, whole->edge);
    ck_assert_uint_le(event_log_count(r->log), event_log_count(whole->log));
    ck_assert_uint_le(r->nhashes, whole->nhashes);
    for (size_t i = 0, k = 0; i < r->nhashes; i++, k++) {
        while (r->nharms && k < whole->nhashes && whole->hashes[k].position < r->hashes[i].position)
            k++; /* one that was damaged */
        ck_assert(k < whole->nhashes && r->hashes[i].state == whole->hashes[k].state && r->hashes[i].position <= r->edge);
    }
    for (uint64_t i = 0; i < event_log_count(r->log); i++) {
        const struct event *a = event_log_get(r->log, i), *b = event_log_get(whole->log, i);

        ck_assert(a->position == b->position && a->kind == b->kind && a->len == b->len &&
                  !memcmp(a->data, b->data, a->len));
    }
}

START_TEST(every_truncation_opens_to_its_last_mark_and_is_told)
{
    struct recording r, whole;
    struct file f;
    icount_t edge, last = 0;
    uint64_t hash;

    make(&f, 3, 10000, 4000, &edge, &hash, NULL);
    open_good(&whole, &f.b);
    for (size_t n = 0; n < f.b.len; n++) {
        /* A copy of its own, so that a sanitizer sees reads behind its end. */
        uint8_t *cut = xmalloc(n + 1);
        struct error err = {0};

        memcpy(cut, f.b.data, n);
        cut = xrealloc(cut, n ? n : 1);
        if (recording_open(&r, cut, n, &err) == 0) {
            ck_assert(*r.note && !r.closed);
            ck_assert_uint_ge(r.edge, last);
            last = r.edge;
            is_a_beginning_of(&r, &whole);
        } else {
            ck_assert(*err.text);
            ck_assert_uint_eq(last, 0);
        }
        recording_finish(&r);
        free(cut);
    }
    ck_assert_uint_eq(last, edge);
    recording_finish(&whole);
    buffer_finish(&f.b);
}
END_TEST

/* What there is of a recording up to its chunk at `offset`: where that begins, what type it is of; 0: there is none. */
static uint32_t chunk_at(const struct buffer *b, size_t offset, size_t *end)
{
    if (offset + RECORDING_CHUNK_BYTES > b->len || memcmp(b->data + offset, "HCCK", 4))
        return 0;
    *end = offset + RECORDING_CHUNK_BYTES + get_le32(b->data + offset + 8);
    return get_le32(b->data + offset + 4);
}

/* A file of which `there` bytes came to the disk, and zeros up to `len`, opens to `edge` and says why no further. */
static void opens_with_zeros(const struct buffer *b, size_t there, size_t len, icount_t edge, const struct recording *whole)
{
    uint8_t *torn = xcalloc(1, len ? len : 1);
    struct recording r;
    struct error err = {0};
    int status;

    memcpy(torn, b->data, there);
    status = recording_open(&r, torn, len, &err);
    if (edge == VTIME_NEVER) {
        ck_assert_int_lt(status, 0);
        ck_assert(*err.text);
    } else {
        ck_assert_msg(status == 0, "%zu of %zu bytes: %s", there, len, err.text);
        ck_assert_msg(r.edge == edge, "%zu of %zu bytes: to %llu, not %llu", there, len, (unsigned long long)r.edge,
                      (unsigned long long)edge);
        ck_assert(*r.note && !r.closed);
        /* What is left of the file is told from one that was damaged. */
        if (len - there > 2 * RECORDING_CHUNK_BYTES)
            ck_assert_msg(strstr(r.note, "zeros") && strstr(r.note, "power"), "%s", r.note);
        is_a_beginning_of(&r, whole);
    }
    recording_finish(&r);
    free(torn);
}

/* A disk that lost its power has a beginning of what was written last, or of its pages, and zeros where there is nothing. */
START_TEST(what_a_power_cut_leaves_opens_to_its_last_whole_mark)
{
    struct recording whole;
    struct file f;
    icount_t edge, good = VTIME_NEVER;
    uint64_t hash;
    size_t end, chunks = 0;

    make(&f, 3, 10000, 4000, &edge, &hash, NULL);
    open_good(&whole, &f.b);
    for (size_t at = RECORDING_HEADER_BYTES, next; at < f.b.len; at = next, chunks++) {
        uint32_t type = chunk_at(&f.b, at, &end);
        bool mark = type == RECORDING_MARK || type == RECORDING_ENDR;

        next = type ? end : f.b.len; /* the trailer */
        for (size_t there = at; there < next; there += there - at < 64 || next - there < 16 ? 1 : 97) {
            size_t page = (there + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;

            /* A chunk may end in zeros of its own. */
            if (mark && next - there <= 16)
                continue;
            opens_with_zeros(&f.b, there, next, good, &whole);
            opens_with_zeros(&f.b, there, page, good, &whole);
            opens_with_zeros(&f.b, there, f.b.len + 1000, good, &whole);
        }
        if (mark)
            good = get_le32(f.b.data + at + 24) | (icount_t)get_le32(f.b.data + at + 28) << 32;
    }
    ck_assert_uint_gt(chunks, 10);
    ck_assert_uint_eq(good, edge);
    recording_finish(&whole);
    buffer_finish(&f.b);
}
END_TEST

/* The same with a hole: later pages came to the disk, an earlier one did not. */
START_TEST(a_page_that_the_disk_never_got_costs_what_it_held)
{
    struct recording r, whole;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 3, STEPS, 4000, &edge, &hash, NULL);
    open_good(&whole, &f.b);
    for (size_t at = 0; at < f.b.len; at += 512) {
        size_t n = f.b.len - at < 512 ? f.b.len - at : 512;
        uint8_t *torn = xmalloc(f.b.len);
        struct error err = {0};

        memcpy(torn, f.b.data, f.b.len);
        memset(torn + at, 0, n);
        if (recording_open(&r, torn, f.b.len, &err) == 0) {
            ck_assert(*r.note ? !r.closed && (r.nharms || r.good_bytes <= at + n) : r.nharms && r.closed);
            is_a_beginning_of(&r, &whole);
        } else {
            ck_assert(*err.text);
        }
        recording_finish(&r);
        free(torn);
    }
    recording_finish(&whole);
    buffer_finish(&f.b);
}
END_TEST

/* Is history lost with a chunk of that type? */
static bool is_history(uint32_t type)
{
    switch (type) {
    case RECORDING_IMGD:
    case RECORDING_CLST:
    case RECORDING_HASH:
    case RECORDING_CKPT:
    case RECORDING_WITN:
    case RECORDING_SNAP:
    case RECORDING_BRAN:
    case RECORDING_MARK:
        return false;
    default:
        return true;
    }
}

/* A file with a damaged byte in the chunk at `at`, which was of that type, opens as far as it must. */
static void opens_without(const struct buffer *b, size_t at, uint32_t type, size_t byte, bool indexed,
                          const struct recording *whole)
{
    struct error err = {0};
    struct recording r;
    char text[RECORDING_HARM_TEXT];

    if (recording_open(&r, b->data, b->len, &err) < 0) {
        ck_assert_msg(*err.text && is_history(type), "byte %zu: %s", byte, err.text);
        recording_finish(&r);
        return;
    }
    is_a_beginning_of(&r, whole);
    ck_assert_msg(r.nharms + !!*r.note, "byte %zu", byte);
    if (!is_history(type) && indexed) {
        ck_assert_msg(r.edge == whole->edge && r.nharms == 1 && r.closed && r.damaged, "byte %zu: to %llu: %s", byte,
                      (unsigned long long)r.edge, r.note);
        ck_assert(r.harms[0].type == type && r.harms[0].offset == at);
    } else if (!is_history(type)) {
        ck_assert_msg(r.edge == whole->edge && r.nharms == 1, "byte %zu: to %llu: %s", byte, (unsigned long long)r.edge, r.note);
        ck_assert(r.harms[0].type == type || (!r.harms[0].type && byte < at + RECORDING_CHUNK_BYTES));
    }
    if (r.nharms) {
        recording_harm_text(&r, 0, text);
        ck_assert(strstr(text, "byte "));
    }
    ck_assert_uint_ge(event_log_count(r.log), is_history(type) ? 0 : event_log_count(whole->log));
    ck_assert_uint_ge(r.nclusters + (type == RECORDING_CLST || is_history(type)), whole->nclusters);
    recording_finish(&r);
}

static void damage_each_byte(const struct buffer *b, size_t end, bool indexed, const struct recording *whole)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    size_t step = 1;

    for (size_t at = RECORDING_HEADER_BYTES, next; at + RECORDING_CHUNK_BYTES < end; at = next) {
        uint32_t type = chunk_at(b, at, &next);

        if (!type)
            break;
        for (size_t n = at; n < next; n += step) {
            step = n - at < RECORDING_CHUNK_BYTES + 8 || next - n < 8 ? 1 : 1 + (next - at) / 64;
            b->data[n] ^= flips[n % 3];
            opens_without(b, at, type, n, indexed, whole);
            b->data[n] ^= flips[n % 3];
        }
    }
}

/* Whatever byte it is: no more is lost than what its chunk held. A file that was not closed has no index that says what that
 * was. */
START_TEST(a_damaged_byte_costs_what_its_chunk_held)
{
    struct recording whole;
    struct buffer open;
    struct file f;
    icount_t edge;
    uint64_t hash;
    size_t end = RECORDING_HEADER_BYTES, next;

    bench_disk = bench_branches = true;
    make(&f, 11, 20000, 4000, &edge, &hash, NULL);
    bench_disk = bench_branches = false;
    open_good(&whole, &f.b);
    ck_assert_uint_gt(whole.nclusters, 2);
    ck_assert_uint_eq(whole.nbranches, 4);
    damage_each_byte(&f.b, f.b.len, true, &whole);
    /* Up to the last MARK. */
    for (size_t at = end; chunk_at(&f.b, at, &next) && get_le32(f.b.data + at + 4) != RECORDING_ENDR; at = next)
        end = next;
    recording_finish(&whole);
    open = f.b;
    open.len = end;
    if (recording_open(&whole, open.data, open.len, &(struct error){0}) == 0)
        damage_each_byte(&open, whole.good_bytes - RECORDING_CHUNK_BYTES - 16, false, &whole);
    recording_finish(&whole);
    buffer_finish(&f.b);
}
END_TEST

/* The history of a file without one of its chunks that holds none is what it was, also by way of its checkpoints. */
START_TEST(what_is_behind_a_damaged_chunk_replays)
{
    struct file f;
    icount_t edge;
    uint64_t hash;
    unsigned tried = 0;

    make(&f, 12, 20000, 3000, &edge, &hash, NULL);
    for (size_t at = RECORDING_HEADER_BYTES, next; chunk_at(&f.b, at, &next); at = next) {
        struct timeline_stop stop;
        struct error err = {0};
        struct recording r;
        struct host h;

        if (is_history(get_le32(f.b.data + at + 4)))
            continue;
        tried++;
        f.b.data[at + (tried % 2 ? 20 : RECORDING_CHUNK_BYTES)] ^= 0x10;
        open_good(&r, &f.b);
        ck_assert_uint_eq(r.nharms, 1);
        begin_timeline(&h, 12, false);
        ck_assert_msg(recorder_adopt(h.tl, &r, true, &err) == 0, "%s", err.text);
        timeline_seek(h.tl, edge, &stop);
        ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
        timeline_seek(h.tl, edge / 2, &stop);
        timeline_continue(h.tl, FORWARD, &stop);
        ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_END);
        ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
        end_timeline(&h);
        recording_finish(&r);
        f.b.data[at + (tried % 2 ? 20 : RECORDING_CHUNK_BYTES)] ^= 0x10;
    }
    ck_assert_uint_gt(tried, 10);
    buffer_finish(&f.b);
}
END_TEST

/* A type that this version does not know says by its first letter whether it may be done without. */
START_TEST(a_damaged_chunk_of_another_version_counts_as_its_letter_says)
{
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 14, 10000, 0, &edge, &hash, NULL);
    for (size_t at = RECORDING_HEADER_BYTES, next; chunk_at(&f.b, at, &next); at = next) {
        if (get_le32(f.b.data + at + 4) != RECORDING_WITN)
            continue;
        for (unsigned small = 0; small < 2; small++) {
            struct recording r;
            struct error err = {0};

            memcpy(f.b.data + at + 4, small ? "next" : "NEXT", 4);
            mend(&f.b);
            f.b.data[next - 1] ^= 1;
            if (recording_open(&r, f.b.data, f.b.len, &err) == 0)
                ck_assert(small ? r.edge == edge && r.nharms == 1 : r.edge < edge && !r.nharms && *r.note);
            else
                ck_assert(!small && *err.text);
            recording_finish(&r);
            f.b.data[next - 1] ^= 1;
        }
        break;
    }
    buffer_finish(&f.b);
}
END_TEST

/* An image in the file that is damaged, in whichever way, is never taken for what it was. */
START_TEST(a_damaged_image_is_refused_by_name_and_the_history_stays)
{
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 13, 10000, 0, &edge, &hash, NULL);
    for (size_t at = RECORDING_HEADER_BYTES, next; chunk_at(&f.b, at, &next); at = next) {
        if (get_le32(f.b.data + at + 4) != RECORDING_IMGD)
            continue;
        for (size_t n = at; n < next; n++) {
            struct buffer image = {0};
            struct error err = {0};
            struct recording r;

            f.b.data[n] ^= 0x04;
            open_good(&r, &f.b);
            ck_assert_uint_eq(r.edge, edge);
            ck_assert_int_eq(recording_image_read(&r, 0, &image, &err), -EINVAL);
            ck_assert(strstr(err.text, "vmlinux"));
            f.b.data[n] ^= 0x04;
            buffer_finish(&image);
            recording_finish(&r);
        }
    }
    buffer_finish(&f.b);
}
END_TEST

START_TEST(every_changed_byte_is_noticed)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    struct recording r, whole;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 4, 10000, 4000, &edge, &hash, NULL);
    open_good(&whole, &f.b);
    for (size_t n = 0; n < f.b.len; n++) {
        struct error err = {0};

        f.b.data[n] ^= flips[n % 3];
        if (recording_open(&r, f.b.data, f.b.len, &err) == 0) {
            ck_assert_msg((*r.note && !r.closed) || r.nharms, "byte %zu", n);
            is_a_beginning_of(&r, &whole);
        } else {
            ck_assert(*err.text);
        }
        recording_finish(&r);
        f.b.data[n] ^= flips[n % 3];
    }
    recording_finish(&whole);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(a_full_disk_leaves_a_good_beginning_and_the_guest_goes_on)
{
    struct recording r;
    struct error err = {0};
    struct recorder *rec;
    struct host h;
    struct file f = {.room = 2500};

    begin_timeline(&h, 1, true);
    rec = begin_recording(&h, &f, 0);
    record(&h, rec, STEPS);
    ck_assert_int_eq(recorder_update(rec), -ENOSPC);
    ck_assert_int_eq(recorder_close(rec), -ENOSPC);
    recorder_destroy(rec);
    ck_assert_msg(recording_open(&r, f.b.data, f.b.len, &err) == 0, "%s", err.text);
    ck_assert(r.edge > 0 && r.edge < STEPS && *r.note);
    recording_finish(&r);
    end_timeline(&h);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(divergence_names_the_place_and_the_component)
{
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct recorder_checks *k;
    struct host h;
    struct file f;
    icount_t edge, bad;
    uint64_t hash;
    const char *still;
    icount_t good;

    make(&f, 6, STEPS, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    ck_assert_uint_ge(r.nhashes, 4);
    /* As if another state had been recorded there. */
    r.hashes[2].state ^= 1;
    r.parts[2 * r.part_bytes + 8] ^= 1;
    bad = r.hashes[2].position;
    begin_timeline(&h, 6, false);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    k = recorder_checks_create(h.tl, &r);
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(h.tl), bad);
    ck_assert_ptr_nonnull(strstr(timeline_divergence(h.tl), timeline_machine(h.tl)->components[1].name));
    /* The last place that agreed: that hash, or a witness after it. */
    still = strstr(timeline_divergence(h.tl), "At position ");
    ck_assert_ptr_nonnull(still);
    good = strtoull(still + strlen("At position "), NULL, 10);
    ck_assert_uint_ge(good, r.hashes[1].position);
    ck_assert_uint_lt(good, bad);
    recorder_checks_destroy(k);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

START_TEST(another_machine_and_newer_formats_are_refused)
{
    struct recording r;
    struct error err = {0};
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 6, 5000, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    begin_timeline(&h, 6, false);
    for (uint32_t i = 0; i < r.layout.count; i++)
        r.layout.list[i].size += r.layout.list[i].kind == LAYOUT_AREA;
    ck_assert_int_eq(recorder_check_machine(&r, timeline_machine(h.tl), &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "another machine"));
    end_timeline(&h);
    recording_finish(&r);
    /* Version 4, with its CRC. */
    uint8_t newer[16] = {0x89, 'H', 'C', 'R', 'E', 'C', '\r', '\n', 4, 0, 0, 0};
    put_le32(newer + 12, (uint32_t)crc32(0, newer, 12));
    int status = recording_open(&r, newer, sizeof newer, &err);
    recording_finish(&r);
    ck_assert_int_eq(status, -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "format 4"));
    buffer_finish(&f.b);
}
END_TEST

static struct layout_entry *entry_of(struct recording *r, enum layout_kind kind, const char *name)
{
    for (uint32_t i = 0; i < r->layout.count; i++)
        if (r->layout.list[i].kind == kind && !strcmp(r->layout.list[i].name, name))
            return &r->layout.list[i];
    ck_abort_msg("no %s", name);
}

/* As if it had been made when the toy was another: a component of another version. */
START_TEST(a_recording_of_an_older_layout_replays)
{
    static const uint32_t versions[] = {99, 98}; /* what the toy can make of it; what it cannot */
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct recorder_checks *k;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 1, STEPS, 5000, &edge, &hash, NULL);
    open_good(&r, &f.b);
    ck_assert_uint_ge(r.ncheckpoints, 3);
    entry_of(&r, LAYOUT_COMPONENT, "serial")->version = versions[_i];
    begin_timeline(&h, 1, false);
    ck_assert_msg(recorder_adopt(h.tl, &r, true, &err) == 0, "%s", err.text);
    k = recorder_checks_create(h.tl, &r);
    if (_i == 0) {
        ck_assert_msg(!*r.note, "%s", r.note);
        ck_assert_uint_ge(checkpoint_count(timeline_checkpoints(h.tl)), r.ncheckpoints);
        timeline_seek(h.tl, r.checkpoints[1].position, &stop);
        timeline_seek(h.tl, 0, &stop);
    } else {
        ck_assert_msg(strstr(r.note, "of a layout that this version does not know (serial), and is not used"), "%s", r.note);
        ck_assert_uint_eq(checkpoint_count(timeline_checkpoints(h.tl)), 1);
    }
    /* Nothing of that component is compared, the rest is. */
    ck_assert_uint_eq(timeline_witnesses(h.tl)->partial, timeline_witnesses(h.tl)->count);
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_msg(stop.reason == TIMELINE_REPLAY_END, "%d %s", stop.reason,
                  timeline_divergence(h.tl) ? timeline_divergence(h.tl) : "");
    ck_assert_uint_eq(machine_hash(timeline_machine(h.tl)), hash);
    recorder_checks_destroy(k);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

/* What is known of a part that is the same is compared as ever. */
START_TEST(an_older_recording_that_diverges_is_noticed)
{
    struct recording r;
    struct error err = {0};
    struct timeline_stop stop;
    struct host h;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 6, STEPS, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    entry_of(&r, LAYOUT_COMPONENT, "serial")->version = 98;
    r.witnesses.tags[1 * witness_bytes(&r.witnesses.shape) + 2] ^= 1; /* component 1 is the CPU */
    begin_timeline(&h, 6, false);
    ck_assert_int_eq(recorder_adopt(h.tl, &r, true, &err), 0);
    timeline_continue(h.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_DIVERGED);
    ck_assert_uint_eq(timeline_position(h.tl), timeline_witnesses(h.tl)->positions[1]);
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

/* Devices by name: numbers in the file are those of the machine that made it. */
START_TEST(events_find_their_device_by_its_name)
{
    struct recording r;
    struct error err = {0};
    struct file f;
    struct host h;
    icount_t edge;
    uint64_t hash, n = 0;
    struct layout_entry *serial;
    const struct event *e;

    make(&f, 6, STEPS, 0, &edge, &hash, NULL);
    open_good(&r, &f.b);
    while ((e = event_log_get(r.log, n)) && e->kind != EVENT_INPUT)
        n++;
    ck_assert_ptr_nonnull(e);
    begin_timeline(&h, 6, false);
    ck_assert_uint_eq(e->source, toy_serial(timeline_machine(h.tl))->index);
    /* As if the machine that made it had had its devices in another order. */
    serial = entry_of(&r, LAYOUT_DEVICE, "serial");
    {
        struct layout_entry *first = entry_of(&r, LAYOUT_DEVICE, timeline_machine(h.tl)->devices[0]->name), copy = *first;
        uint32_t other = first == serial ? 1 : 0;

        ck_assert_uint_gt(timeline_machine(h.tl)->ndevices, 1);
        first = entry_of(&r, LAYOUT_DEVICE, timeline_machine(h.tl)->devices[other]->name);
        copy = *first;
        *first = *serial;
        *serial = copy;
        r.has_events[LAYOUT_DEVICE][other] = true;
        ck_assert_int_eq(recorder_check_machine(&r, timeline_machine(h.tl), &err), 0);
        ck_assert_uint_eq(event_log_get(r.log, n)->source, other);
        /* One that is not there is named. */
        strcpy(first->name, "teletype");
        ck_assert_int_eq(recorder_check_machine(&r, timeline_machine(h.tl), &err), -EINVAL);
        ck_assert_msg(strstr(err.text, "'teletype'"), "%s", err.text);
    }
    end_timeline(&h);
    recording_finish(&r);
    buffer_finish(&f.b);
}
END_TEST

/* Random changes whose CRCs are right again: what CRCs do not catch must not crash. */
START_TEST(forged_chunks_do_no_harm)
{
    uint64_t random = 1;
    struct recording r;
    struct file f;
    icount_t edge;
    uint64_t hash;

    make(&f, 8, 7500, 3000, &edge, &hash, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        struct buffer b = {0};
        struct error err = {0};

        buffer_append(&b, f.b.data, f.b.len);
        for (unsigned n = toy_rand(&random) % 4 + 1; n; n--)
            b.data[16 + toy_rand(&random) % (b.len - 16)] = (uint8_t)toy_rand(&random);
        mend(&b);
        if (recording_open(&r, b.data, b.len, &err) == 0) {
            struct host h;
            struct timeline_stop stop;

            begin_timeline(&h, 8, false);
            if (r.edge < 100000 && recorder_adopt(h.tl, &r, i & 1, &err) == 0) {
                struct recorder_checks *k = recorder_checks_create(h.tl, &r);

                timeline_continue(h.tl, FORWARD, &stop);
                recorder_checks_destroy(k);
            }
            end_timeline(&h);
        }
        recording_finish(&r);
        buffer_finish(&b);
    }
    buffer_finish(&f.b);
}
END_TEST

static void write_out(const char *directory, const char *name, const struct buffer *b, size_t len)
{
    char path[500];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    f = fopen(path, "wb");
    if (!f || fwrite(b->data, 1, len, f) != len || fclose(f))
        perror(path);
}

/* With CORPUS=DIRECTORY: files for tests/replay/corpus. */
START_TEST(the_corpus_is_made_where_it_is_asked_for)
{
    const char *directory = getenv("CORPUS");
    struct file f;
    icount_t edge;
    uint64_t hash;

    if (!directory)
        return;
    make(&f, 8, 20000, 0, &edge, &hash, NULL);
    write_out(directory, "closed.hrec", &f.b, f.b.len);
    write_out(directory, "cut.hrec", &f.b, f.b.len * 2 / 3);
    write_out(directory, "header.hrec", &f.b, RECORDING_HEADER_BYTES);
    buffer_finish(&f.b);
    make(&f, 6, 15000, 5000, &edge, &hash, NULL);
    write_out(directory, "checkpoints.hrec", &f.b, f.b.len);
    buffer_finish(&f.b);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("recordings");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_recording_replays_to_the_same_state_and_output, 0, 8);
    tcase_add_test(t, clusters_in_the_file_replay_a_disk_without_its_image);
    tcase_add_test(t, names_come_back_with_the_recording);
    tcase_add_test(t, branches_come_back_with_the_recording);
    tcase_add_loop_test(t, a_recording_goes_on_when_there_is_room_again, 0, 6);
    tcase_add_test(t, a_file_whose_beginning_could_not_be_written_is_not_gone_on_with);
    tcase_add_test(t, a_guest_that_only_runs_does_not_make_the_file_longer);
    tcase_add_test(t, checkpoints_in_the_file_save_the_replay);
    tcase_add_test(t, a_recording_goes_on_live_from_its_end);
    tcase_add_test(t, every_truncation_opens_to_its_last_mark_and_is_told);
    tcase_add_test(t, what_a_power_cut_leaves_opens_to_its_last_whole_mark);
    tcase_add_test(t, a_page_that_the_disk_never_got_costs_what_it_held);
    tcase_add_test(t, every_changed_byte_is_noticed);
    tcase_add_test(t, a_damaged_byte_costs_what_its_chunk_held);
    tcase_add_test(t, what_is_behind_a_damaged_chunk_replays);
    tcase_add_test(t, a_damaged_image_is_refused_by_name_and_the_history_stays);
    tcase_add_test(t, a_damaged_chunk_of_another_version_counts_as_its_letter_says);
    tcase_add_test(t, a_full_disk_leaves_a_good_beginning_and_the_guest_goes_on);
    tcase_add_test(t, divergence_names_the_place_and_the_component);
    tcase_add_loop_test(t, history_is_saved_from_the_middle_of_a_step_up_to_its_end, 0, 20);
    tcase_add_test(t, another_machine_and_newer_formats_are_refused);
    tcase_add_loop_test(t, a_recording_of_an_older_layout_replays, 0, 2);
    tcase_add_test(t, an_older_recording_that_diverges_is_noticed);
    tcase_add_test(t, events_find_their_device_by_its_name);
    tcase_add_test(t, forged_chunks_do_no_harm);
    tcase_add_test(t, the_corpus_is_made_where_it_is_asked_for);
    suite_add_tcase(s, t);
    return s;
}
