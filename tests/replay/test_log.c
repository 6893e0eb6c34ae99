/* The event log in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "replay/log.h"
#include "toy.h"
#include "tests/check_main.h"

#define EVENTS 5000u

/* Event n of a made-up history; its bytes are at `data`. */
static struct event make(uint64_t n, uint8_t *data)
{
    uint64_t rng = n * 77 + 1;
    struct event e = {
        .position = n / 3 * 10,
        .vtime = n * 5,
        .kind = (uint16_t)(1 + n % 7),
        .source = (uint16_t)n,
        .len = n % 100 == 7 ? 40000 : toy_rand(&rng) % 40,
    };

    for (uint32_t i = 0; i < e.len; i++)
        data[i] = (uint8_t)toy_rand(&rng);
    e.data = data;
    return e;
}

static struct event_log *history(void)
{
    static uint8_t data[65536];
    struct event_log *log = event_log_create();

    for (uint64_t n = 0; n < EVENTS; n++) {
        struct event e = make(n, data);

        event_log_append(log, &e);
        memset(data, 0xee, e.len); /* the log has a copy */
    }
    return log;
}

START_TEST(every_event_is_found_again_by_its_number)
{
    static uint8_t data[65536];
    struct event_log *log = history();

    ck_assert_uint_eq(event_log_count(log), EVENTS);
    for (uint64_t n = 0; n < EVENTS; n++) {
        struct event want = make(n, data);
        const struct event *e = event_log_get(log, n);

        ck_assert(e && e->position == want.position && e->vtime == want.vtime && e->kind == want.kind);
        ck_assert(e->source == want.source && e->len == want.len);
        ck_assert(!want.len || !memcmp(e->data, data, want.len));
    }
    ck_assert_ptr_null(event_log_get(log, EVENTS));
    ck_assert_ptr_null(event_log_get(log, UINT64_MAX));
    event_log_destroy(log);
}
END_TEST

START_TEST(network_frames_take_little_more_memory_than_their_bytes)
{
    static const uint32_t sizes[] = {1514, 60000};
    static uint8_t data[60000];

    for (unsigned i = 0; i < 2; i++) {
        struct event_log *log = event_log_create();
        uint64_t bytes = 0;

        for (unsigned n = 0; n < 2000; n++, bytes += sizes[i])
            event_log_append(log, &(struct event){.position = n, .kind = EVENT_INPUT, .len = sizes[i], .data = data});
        ck_assert_uint_lt(event_log_bytes(log), bytes + bytes / 5);
        event_log_destroy(log);
    }
}
END_TEST

START_TEST(a_position_finds_its_first_event)
{
    struct event_log *log = history(), *empty = event_log_create();

    for (icount_t p = 0; p < EVENTS / 3 * 10 + 100; p++) {
        uint64_t n = event_log_find(log, p);

        ck_assert(n == EVENTS || event_log_get(log, n)->position >= p);
        ck_assert(!n || event_log_get(log, n - 1)->position < p);
    }
    ck_assert_uint_eq(event_log_find(empty, 5), 0);
    ck_assert_ptr_null(event_log_get(empty, 0));
    event_log_destroy(log);
    event_log_destroy(empty);
}
END_TEST

/* Input of source `source` among the first `count` events, counted one by one; the n-th of it from `from` on. */
static uint64_t slow_count(const struct event_log *log, uint16_t source, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    for (uint64_t n = from; n < to && n < event_log_count(log); n++)
        count += event_log_get(log, n)->kind == EVENT_INPUT && event_log_get(log, n)->source == source;
    return count;
}

static uint64_t slow_find(const struct event_log *log, uint16_t source, uint64_t from, uint64_t n)
{
    for (; from < event_log_count(log); from++)
        if (slow_count(log, source, from, from + 1) && !n--)
            return from;
    return event_log_count(log);
}

static void check_inputs(const struct event_log *log)
{
    uint64_t rng = 3, count = event_log_count(log);

    for (unsigned i = 0; i < 300; i++) {
        uint64_t from = toy_rand(&rng) % (count + 5), to = toy_rand(&rng) % (count + 5), n = toy_rand(&rng) % 400;
        uint16_t source = (uint16_t)(toy_rand(&rng) % 4);

        from = i % 8 ? from : 0;
        to = i % 6 ? to : UINT64_MAX;
        ck_assert_uint_eq(event_log_inputs(log, source, from, to), slow_count(log, source, from, to));
        ck_assert_uint_eq(event_log_find_input(log, source, from, n), slow_find(log, source, from, n));
    }
}

static void add_inputs(struct event_log *log, unsigned count, uint64_t *rng)
{
    for (unsigned i = 0; i < count; i++)
        event_log_append(log, &(struct event){.position = event_log_count(log) * 3, .source = (uint16_t)(toy_rand(rng) % 3),
                                              .kind = toy_rand(rng) % 3 ? EVENT_INPUT : EVENT_RESET});
}

START_TEST(input_is_counted_and_found_on_a_log_and_on_its_forks)
{
    struct event_log *log = event_log_create(), *fork, *twig;
    uint64_t rng = 5;

    ck_assert_uint_eq(event_log_inputs(log, 1, 0, UINT64_MAX), 0);
    ck_assert_uint_eq(event_log_find_input(log, 1, 0, 0), 0);
    add_inputs(log, 2000, &rng);
    check_inputs(log);
    add_inputs(log, 777, &rng); /* the last chunk had been counted in part */
    check_inputs(log);
    fork = event_log_fork(log, 1500 * 3);
    check_inputs(fork);
    add_inputs(fork, 1300, &rng);
    twig = event_log_fork(fork, 2600 * 3);
    add_inputs(twig, 40, &rng);
    check_inputs(twig);
    check_inputs(fork);
    check_inputs(log);
    event_log_destroy(twig);
    event_log_destroy(fork);
    event_log_destroy(log);
}
END_TEST

/* A file of events, of which chunk k has those from k * 100 on. */
struct backing {
    unsigned loads;
    bool torn;
};

static void load(void *ctx, uint64_t token, struct event_log *log)
{
    static uint8_t data[65536];
    struct backing *b = ctx;

    b->loads++;
    for (uint64_t n = token * 100; n < token * 100 + (b->torn ? 50 : 100); n++) {
        struct event e = make(n, data);

        event_log_loaded(log, &e);
    }
}

START_TEST(events_in_a_file_are_read_as_they_are_needed)
{
    static uint8_t data[65536];
    struct backing b = {.torn = false};
    struct event_log *log = event_log_create();
    uint64_t rng = 1, most = 0;

    event_log_set_source(log, &(struct event_log_source){.ctx = &b, .load = load});
    for (uint64_t k = 0; k < EVENTS * 40 / 100; k++)
        event_log_back(log, k, 100, make(k * 100, data).position, make(k * 100 + 99, data).position);
    ck_assert_uint_eq(event_log_count(log), EVENTS * 40);
    ck_assert_uint_eq(b.loads, 0);
    for (icount_t p = 0; p < EVENTS; p += 7) {
        uint64_t n = event_log_find(log, p);

        ck_assert(event_log_get(log, n)->position >= p && (!n || event_log_get(log, n - 1)->position < p));
    }
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t n = toy_rand(&rng) % (EVENTS * 40);
        struct event want = make(n, data);
        const struct event *e = event_log_get(log, n);

        ck_assert(e->position == want.position && e->len == want.len && !memcmp(e->data, data, want.len));
        if (event_log_bytes(log) > most)
            most = event_log_bytes(log);
    }
    ck_assert_uint_le(most, 40u << 20);
    /* Input that has been counted is not read again. */
    ck_assert_uint_eq(event_log_inputs(log, 700, 50, 199950), slow_count(log, 700, 50, 199950));
    event_log_find_input(log, 700, 0, UINT64_MAX);
    b.loads = 0;
    ck_assert_uint_eq(event_log_inputs(log, 700, 0, UINT64_MAX), slow_count(log, 700, 0, 1000));
    ck_assert_uint_le(b.loads, 20);
    /* What the file does not have any more is nobody's event. */
    b.torn = true;
    event_log_forget(log);
    ck_assert_uint_eq(event_log_get(log, 149)->position, make(149, data).position);
    ck_assert_uint_eq(event_log_get(log, 175)->position, make(199, data).position);
    ck_assert_uint_eq(event_log_get(log, 175)->kind, 0);
    event_log_destroy(log);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("memory");

    tcase_add_test(t, every_event_is_found_again_by_its_number);
    tcase_add_test(t, a_position_finds_its_first_event);
    tcase_add_test(t, network_frames_take_little_more_memory_than_their_bytes);
    tcase_add_test(t, input_is_counted_and_found_on_a_log_and_on_its_forks);
    tcase_add_test(t, events_in_a_file_are_read_as_they_are_needed);
    suite_add_tcase(s, t);
    return s;
}
