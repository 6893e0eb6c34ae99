/*
 * Sound back ends: wav files written and read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "host/audiodev.h"
#include "host/output.h"
#include "tests/check_main.h"

static char dir[64], path[96], text[400];
static struct error err;

static void begin(void)
{
    strcpy(dir, "/tmp/hindcast-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a.wav", dir);
}

static void end(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static const char *with(const char *what, const char *more)
{
    snprintf(text, sizeof(text), "wav,id=A,%s=%s%s", what, path, more);
    return text;
}

static size_t contents(uint8_t *to, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = fread(to, 1, size, f);

    fclose(f);
    return n;
}

static void put_file(const void *bytes, size_t len)
{
    FILE *f = fopen(path, "wb");

    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

START_TEST(a_file_is_whole_whenever_it_is_looked_at)
{
    const int32_t frames[6] = {0x12345678, -0x12345678, INT32_MAX, INT32_MIN, 0, -1};
    struct audiodev *a = audiodev_open(with("path", ""), 0, &err);
    uint8_t b[100];

    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq(audiodev_rate(a), 44100);
    ck_assert_uint_eq(contents(b, sizeof(b)), 44);
    ck_assert_uint_eq(get_le32(b + 4), 36);
    ck_assert_uint_eq(get_le32(b + 40), 0);
    audiodev_play(a, frames, 3);
    audiodev_flush(a);
    ck_assert_uint_eq(contents(b, sizeof(b)), 56);
    ck_assert(!memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WAVEfmt ", 8) && !memcmp(b + 36, "data", 4));
    ck_assert_uint_eq(get_le32(b + 4), 48);
    ck_assert_uint_eq(get_le32(b + 16), 16);
    ck_assert_uint_eq(get_le16(b + 20), 1);
    ck_assert_uint_eq(get_le16(b + 22), 2);
    ck_assert_uint_eq(get_le32(b + 24), 44100);
    ck_assert_uint_eq(get_le32(b + 28), 176400);
    ck_assert_uint_eq(get_le16(b + 32), 4);
    ck_assert_uint_eq(get_le16(b + 34), 16);
    ck_assert_uint_eq(get_le32(b + 40), 12);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(get_le16(b + 44 + 2 * i), (uint32_t)frames[i] >> 16);
    audiodev_close(a);
    ck_assert_uint_eq(contents(b, sizeof(b)), 56);
    /* What is there stays there. */
    ck_assert_ptr_null(audiodev_open(with("path", ""), 0, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "exists"));
    a = audiodev_open(with("path", ""), HOST_FORCE, &err);
    ck_assert_ptr_nonnull(a);
    audiodev_close(a);
    ck_assert_uint_eq(contents(b, sizeof(b)), 44);
}
END_TEST

START_TEST(formats_and_channels_are_the_asked_ones)
{
    static const struct {
        const char *words;
        unsigned bits, channels;
        uint32_t first, second;
    } cases[] = {
        {",out.format=u8,out.frequency=8000", 8, 2, 0xc0, 0x40},
        {",out.format=s16", 16, 2, 0x4000, 0xc000},
        {",out.format=s32,out.frequency=192000", 32, 2, 0x40000000, 0xc0000000},
        {",out.format=s32,out.channels=1", 32, 1, 0, 0},
    };
    const int32_t frames[4] = {0x40000000, -0x40000000, 0x40000000, -0x40000000};

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct audiodev *a = audiodev_open(with("path", cases[i].words), HOST_FORCE, &err);
        unsigned width = cases[i].bits / 8;
        uint8_t b[100];

        ck_assert_ptr_nonnull(a);
        audiodev_play(a, frames, 2);
        audiodev_close(a);
        ck_assert_uint_eq(contents(b, sizeof(b)), 44 + 2 * width * cases[i].channels);
        ck_assert_uint_eq(get_le16(b + 34), cases[i].bits);
        ck_assert_uint_eq(get_le16(b + 22), cases[i].channels);
        ck_assert_uint_eq(get_le(b + 44, width), cases[i].first);
        ck_assert_uint_eq(get_le(b + 44 + width, width), cases[i].second);
    }
}
END_TEST

START_TEST(words_that_mean_nothing_are_refused_by_name)
{
    static const char *const bad[][2] = {
        {"", "write wav"}, {"alsa,id=A", "alsa"}, {"wav,path=x", "id=ID"}, {"wav,id=A", "path=FILE"}, {"none,id=A,path=x", "none"},
        {"wav,id=A,path=x,out.frequency=7", "out.frequency"}, {"wav,id=A,path=x,out.channels=3", "out.channels"},
        {"wav,id=A,path=x,out.format=f32", "out.format"}, {"wav,id=A,path=x,in.frequency=48000", "in.frequency"},
        {"wav,id=A,path=x,timer-period=3", "timer-period"}, {"wav,id=01234567890123456789012345678901,path=x", "1 to 31"},
    };
    char id[32];

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        err.text[0] = 0;
        ck_assert_int_lt(audiodev_check(bad[i][0], id, sizeof(id), &err), 0);
        ck_assert_msg(strstr(err.text, bad[i][1]) != NULL, "%s: %s", bad[i][0], err.text);
    }
    ck_assert_int_eq(audiodev_check("driver=none,id=speaker", id, sizeof(id), &err), 0);
    ck_assert_str_eq(id, "speaker");
}
END_TEST

/* A file of `n` frames. */
static size_t make_wave(uint8_t *b, unsigned tag, unsigned channels, unsigned bits, uint32_t rate, unsigned n)
{
    unsigned frame = channels * ((bits + 7) / 8), fmt = tag == 0xfffe ? 40 : 16, at = 20 + fmt + 12;

    memset(b, 0, at + 8 + n * frame);
    memcpy(b, "RIFF", 4);
    memcpy(b + 8, "WAVEfmt ", 8);
    put_le32(b + 16, fmt);
    put_le16(b + 20, (uint16_t)tag);
    put_le16(b + 22, (uint16_t)channels);
    put_le32(b + 24, rate);
    put_le16(b + 32, (uint16_t)frame);
    put_le16(b + 34, (uint16_t)bits);
    if (tag == 0xfffe)
        put_le16(b + 44, 1);
    memcpy(b + 20 + fmt, "LIST", 4); /* one that nobody knows, of an odd length */
    put_le32(b + 24 + fmt, 3);
    memcpy(b + at, "data", 4);
    put_le32(b + at + 4, n * frame);
    for (unsigned i = 0; i < n * channels; i++) {
        uint32_t v = i * 0x01234567u;

        if (bits == 8)
            b[at + 8 + i] = (uint8_t)(v >> 24);
        else
            put_le(b + at + 8 + i * (bits / 8), v >> (32 - bits), bits / 8);
    }
    return at + 8 + n * frame;
}

START_TEST(files_of_each_width_are_read)
{
    static const unsigned widths[] = {8, 16, 24, 32};
    static uint8_t b[20000];

    for (unsigned i = 0; i < ARRAY_LEN(widths); i++)
        for (unsigned channels = 1; channels <= 3; channels++) {
            uint32_t mask = widths[i] == 32 ? 0xffffffff : ~(0xffffffffu >> widths[i]), flip = widths[i] == 8 ? 0x80000000 : 0;
            struct audiodev *a;
            int32_t got[250];

            put_file(b, make_wave(b, channels == 2 ? 0xfffe : 1, channels, widths[i], 48000, 100));
            a = audiodev_open(with("in", ""), 0, &err);
            ck_assert_msg(a != NULL, "%s", err.text);
            ck_assert_uint_eq(audiodev_record(a, 3, 48000, got, 97), 97);
            for (unsigned k = 0; k < 97; k++) {
                ck_assert_uint_eq((uint32_t)got[2 * k], ((((k + 3) * channels) * 0x01234567u) & mask) ^ flip);
                ck_assert_uint_eq((uint32_t)got[2 * k + 1],
                                  ((((k + 3) * channels + (channels > 1)) * 0x01234567u) & mask) ^ flip);
            }
            ck_assert_uint_eq(audiodev_record(a, 90, 48000, got, 100), 10);
            ck_assert_uint_eq(audiodev_record(a, UINT64_MAX / 800000, 48000, got, 100), 0);
            ck_assert_uint_eq(audiodev_record(a, 0, 96000, got, 100), 100);
            ck_assert_int_eq(got[4], (int32_t)(((uint32_t)(channels * 0x01234567u) & mask) ^ flip));
            audiodev_close(a);
        }
}
END_TEST

START_TEST(files_that_are_none_are_refused)
{
    static uint8_t b[2000], c[2000];
    size_t len = make_wave(b, 1, 2, 16, 48000, 10);
    unsigned opened = 0, seed = 1;

    for (size_t cut = 0; cut < 72; cut++) { /* before the first frame */
        struct audiodev *a;

        put_file(b, cut);
        a = audiodev_open(with("in", ""), 0, &err);
        ck_assert(a == NULL || cut >= 56);
        if (a)
            audiodev_close(a);
    }
    for (unsigned i = 0; i < 3000; i++) {
        struct audiodev *a;
        int32_t got[64];

        memcpy(c, b, len);
        for (unsigned k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1103515245 + 12345;
            c[(seed >> 16) % 60] = (uint8_t)(seed >> 8);
        }
        put_file(c, len);
        a = audiodev_open(with("in", ""), 0, &err);
        if (!a)
            continue;
        opened++;
        ck_assert_uint_le(audiodev_record(a, seed, 44100, got, 32), 32);
        ck_assert_uint_le(audiodev_record(a, 0, 44100, got, 32), 32);
        audiodev_close(a);
    }
    ck_assert_uint_gt(opened, 100);
    ck_assert_ptr_null(audiodev_open("wav,id=A,in=/dev/null", 0, &err));
    ck_assert_ptr_null(audiodev_open("wav,id=A,in=/nowhere/x", 0, &err));
    /* Nor is written what is read. */
    put_file(b, len);
    snprintf(text, sizeof(text), "wav,id=A,in=%s,path=%s", path, path);
    ck_assert_ptr_null(audiodev_open(text, HOST_FORCE, &err));
    ck_assert_uint_eq(contents(c, sizeof(c)), len);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("audiodev");
    TCase *tc = tcase_create("audiodev");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_file_is_whole_whenever_it_is_looked_at);
    tcase_add_test(tc, formats_and_channels_are_the_asked_ones);
    tcase_add_test(tc, words_that_mean_nothing_are_refused_by_name);
    tcase_add_test(tc, files_of_each_width_are_read);
    tcase_add_test(tc, files_that_are_none_are_refused);
    suite_add_tcase(suite, tc);
    return suite;
}
