/*
 * Captures: what is written is read again, and no file brings the reader down. (Formats, and what is said of broken ones:
 * tests/e2e/test_network.py.)
 */
#include <stdlib.h>
#include <string.h>

#include "base/capture.h"
#include "tests/check_main.h"

struct source {
    const uint8_t *data;
    size_t len, at;
};

static struct capture_reader reader;

static long read_bytes(void *ctx, void *buf, size_t len)
{
    struct source *s = ctx;

    /* In pieces of odd sizes. */
    len = len > 1 + s->at % 7 ? 1 + s->at % 7 : len;
    if (len > s->len - s->at)
        len = s->len - s->at;
    memcpy(buf, s->data + s->at, len);
    s->at += len;
    return (long)len;
}

static void write_some(struct buffer *b, bool ng, unsigned count)
{
    uint8_t frame[300];

    capture_write_head(b, ng);
    if (ng)
        capture_write_interface(b, "n0");
    for (unsigned i = 0; i < count; i++) {
        memset(frame, (int)i, sizeof(frame));
        capture_write_packet(b, ng, &(struct capture_packet){
            .time_ns = UINT64_C(123456789) * i, .len = 60 + i, .kept = 60 + i, .data = frame, .from_guest = i & 1,
            .comment = i % 3 ? "of one word" : NULL});
    }
}

START_TEST(what_is_written_is_read)
{
    for (unsigned ng = 0; ng < 2; ng++) {
        struct capture_packet p;
        struct source s = {.at = 0};
        struct error err;
        struct buffer b;

        buffer_init(&b);
        write_some(&b, ng, 200);
        s.data = b.data;
        s.len = b.len;
        ck_assert_int_eq(capture_open(&reader, read_bytes, &s, &err), 0);
        for (unsigned i = 0; i < 200; i++) {
            ck_assert_int_eq(capture_next(&reader, &p, &err), 1);
            ck_assert_uint_eq(p.time_ns, UINT64_C(123456789) * i);
            ck_assert_uint_eq(p.len, 60 + i);
            ck_assert(p.data[0] == (uint8_t)i && p.data[p.len - 1] == (uint8_t)i);
        }
        ck_assert_int_eq(capture_next(&reader, &p, &err), 0);
        buffer_finish(&b);
    }
}
END_TEST

/* Until its end, or its error; whatever comes lies within what was read. */
static void read_all(const uint8_t *data, size_t len)
{
    struct source s = {.data = data, .len = len};
    struct capture_packet p;
    struct error err;
    unsigned most = 100000;
    int r = capture_open(&reader, read_bytes, &s, &err);

    while (r >= 0 && (r = capture_next(&reader, &p, &err)) == 1) {
        ck_assert(p.len && p.len <= CAPTURE_FRAME_MOST && p.data >= reader.frame && p.data + p.len <= reader.frame + sizeof(reader.frame));
        ck_assert_uint_ne(most--, 0);
    }
    ck_assert(r == 0 || err.text[0]);
}

START_TEST(no_file_brings_it_down)
{
    srand(7);
    for (unsigned ng = 0; ng < 2; ng++) {
        struct buffer b;
        uint8_t *copy;

        buffer_init(&b);
        write_some(&b, ng, 20);
        copy = xmalloc(b.len);
        for (unsigned round = 0; round < 3000; round++) {
            size_t len = round % 5 ? b.len : (size_t)rand() % b.len;

            memcpy(copy, b.data, b.len);
            for (unsigned n = 1 + (unsigned)rand() % 6; n; n--) {
                static const uint8_t corners[] = {0, 1, 3, 4, 0x7f, 0x80, 0xff};
                size_t at = (size_t)rand() % (rand() & 1 ? b.len : 120);

                copy[at] = rand() & 1 ? corners[(size_t)rand() % sizeof(corners)] : (uint8_t)rand();
            }
            read_all(copy, len);
        }
        free(copy);
        buffer_finish(&b);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("capture");
    TCase *t = tcase_create("capture");

    tcase_add_test(t, what_is_written_is_read);
    tcase_add_test(t, no_file_brings_it_down);
    suite_add_tcase(s, t);
    return s;
}
