/*
 * What sound cards have in common: the sample clock, levels, and how several voices become one stream.
 */
#include "tests/whole/chip_bench.h"

#include "base/bytes.h"
#include "vm/dev/clock.h"
#include "vm/dev/sound_mixer.h"

#define MOST 400000u

static struct sound_frame heard[MOST];
static size_t nheard;

static void hear(void *ctx, const struct sound_frame *frames, size_t n)
{
    (void)ctx;
    ck_assert_uint_le(nheard + n, MOST);
    memcpy(heard + nheard, frames, n * sizeof(*frames));
    nheard += n;
}

/* A mixer that is heard from now on. */
static void hear_all(struct sound_mixer *mixer, uint32_t rate)
{
    nheard = 0;
    sound_mixer_init(mixer, rate, hear, NULL);
}

/* Frame `i` of a test voice. */
static struct sound_frame tone(unsigned i)
{
    int32_t v = (int32_t)(i * 2654435761u);

    return (struct sound_frame){v / 4, v / 8};
}

static void tell(struct sound_mixer *mixer, const void *who, enum sound_kind kind, uint32_t rate, vtime_t at, unsigned from, unsigned n)
{
    uint8_t *bytes = malloc(8 * n + 1);
    struct sound_output o = {.kind = kind, .rate = rate, .at = at, .frames = bytes, .count = n};

    for (unsigned i = 0; i < n; i++) {
        put_le32(bytes + 8 * i, (uint32_t)tone(from + i).left);
        put_le32(bytes + 8 * i + 4, (uint32_t)tone(from + i).right);
    }
    sound_mixer_take(mixer, who, &o);
    free(bytes);
}

START_TEST(a_clock_of_any_rate_loses_nothing)
{
    static const uint32_t rates[] = {1, 5512, 8000, 11025, 44100, 48000, 96000, 192000};

    for (unsigned r = 0; r < ARRAY_LEN(rates); r++) {
        struct sound_clock c;
        vtime_t began = 123456789;

        sound_clock_start(&c, began, rates[r]);
        ck_assert_uint_eq(sound_clock_due(&c, began), 0);
        ck_assert_uint_eq(sound_clock_due(&c, began + 3600 * NS_PER_SEC), 3600ull * rates[r]);
        for (unsigned n = 1; n < 2000; n++) {
            vtime_t at = sound_clock_when(&c, 1);

            ck_assert_uint_eq(sound_clock_due(&c, at), 1);
            ck_assert_uint_eq(sound_clock_due(&c, at - 1), 0);
            c.done++;
        }
    }
}
END_TEST

START_TEST(a_clock_changes_its_rate_between_two_frames)
{
    struct sound_clock c;

    sound_clock_start(&c, 0, 48000);
    c.done = sound_clock_due(&c, NS_PER_SEC);
    sound_clock_change(&c, 8000);
    ck_assert_uint_eq(sound_clock_due(&c, NS_PER_SEC), 0);
    ck_assert_uint_eq(sound_clock_when(&c, 8000), 2 * NS_PER_SEC);
    sound_clock_stop(&c);
    ck_assert_uint_eq(sound_clock_when(&c, 1), VTIME_NEVER);
    ck_assert_uint_eq(sound_clock_due(&c, NS_PER_SEC * 100), 0);
}
END_TEST

START_TEST(levels_are_quarters_of_a_decibel)
{
    ck_assert_uint_eq(sound_gain(0), SOUND_UNITY);
    ck_assert_uint_eq(sound_gain(80), 10 * SOUND_UNITY);
    ck_assert_uint_eq(sound_gain(160), 100 * SOUND_UNITY);
    ck_assert_uint_eq(sound_gain(-80), (SOUND_UNITY + 5) / 10);
    ck_assert_uint_eq(sound_gain(-24), 32846); /* 10^(-6/20) */
    ck_assert_uint_eq(sound_gain(-6), 55142);  /* -1.5 dB */
    ck_assert_uint_eq(sound_gain(-1023), 0);
    for (int q = -400; q < 255; q++)
        ck_assert_uint_le(sound_gain(q), sound_gain(q + 1));
    ck_assert_int_eq(sound_scale(INT32_MIN, SOUND_UNITY), INT32_MIN);
    ck_assert_int_eq(sound_scale(12345, SOUND_UNITY), 12345);
    ck_assert_int_eq(sound_scale(-65536, SOUND_UNITY / 2), -32768);
    ck_assert_int_eq(sound_scale(INT32_MAX, sound_gain(255)), INT32_MAX);
    ck_assert_int_eq(sound_scale(INT32_MIN, sound_gain(255)), INT32_MIN);
    ck_assert_int_eq(sound_scale(INT32_MIN, 0), 0);
}
END_TEST

START_TEST(a_voice_of_the_streams_rate_is_in_it_sample_by_sample)
{
    struct sound_mixer x;
    int a;

    hear_all(&x, 48000);
    tell(&x, &a, SOUND_BEGIN, 48000, 777, 0, 0);
    for (unsigned n = 0; n < 5000; n += 250)
        tell(&x, &a, SOUND_FRAMES, 48000, 777, n, 250);
    ck_assert_uint_eq(nheard, 5000); /* and nothing waits */
    tell(&x, &a, SOUND_END, 48000, 777, 0, 0);
    sound_mixer_finish(&x);
    ck_assert_uint_eq(nheard, 5000);
    for (unsigned i = 0; i < nheard; i++)
        ck_assert(heard[i].left == tone(i).left && heard[i].right == tone(i).right);
}
END_TEST

START_TEST(what_comes_out_does_not_depend_on_the_pieces)
{
    static const uint32_t rates[] = {8000, 11025, 44100, 47999, 48000, 96000, 192000};

    for (unsigned r = 0; r < ARRAY_LEN(rates); r++) {
        static struct sound_frame first[MOST];
        size_t nfirst = 0;

        for (unsigned piece = 1; piece < 2000; piece = piece * 7 + 1) {
            struct sound_mixer x;
            int a;

            hear_all(&x, 48000);
            tell(&x, &a, SOUND_BEGIN, rates[r], 0, 0, 0);
            for (unsigned n = 0; n < 4000; n += piece)
                tell(&x, &a, SOUND_FRAMES, rates[r], 0, n, n + piece > 4000 ? 4000 - n : piece);
            tell(&x, &a, SOUND_END, rates[r], 0, 0, 0);
            sound_mixer_finish(&x);
            ck_assert_uint_eq(nheard, 3999ull * 48000 / rates[r] + 1);
            if (nfirst)
                ck_assert(nfirst == nheard && !memcmp(first, heard, nheard * sizeof(*heard)));
            memcpy(first, heard, nheard * sizeof(*heard));
            nfirst = nheard;
        }
        /* And it is what lies between. */
        for (size_t i = 0; i < nfirst; i++) {
            uint64_t at = i * rates[r] / 48000, phase = i * rates[r] % 48000;
            int64_t l = tone((unsigned)at).left, to = tone((unsigned)at + 1).left;

            ck_assert_int_eq(first[i].left, l + (to - l) * (int64_t)phase / 48000);
        }
    }
}
END_TEST

START_TEST(voices_are_added_at_their_time)
{
    struct sound_mixer x;
    int a, b;

    hear_all(&x, 1000);
    tell(&x, &a, SOUND_BEGIN, 1000, 5 * MS, 0, 0);
    tell(&x, &a, SOUND_FRAMES, 1000, 5 * MS, 0, 100);
    tell(&x, &b, SOUND_BEGIN, 1000, 105 * MS, 0, 0);
    tell(&x, &b, SOUND_FRAMES, 1000, 105 * MS, 500, 50);
    ck_assert_uint_eq(nheard, 100); /* until `a` says how it goes on */
    tell(&x, &a, SOUND_FRAMES, 1000, 105 * MS, 100, 20);
    ck_assert_uint_eq(nheard, 120);
    tell(&x, &a, SOUND_END, 1000, 125 * MS, 0, 0);
    ck_assert_uint_eq(nheard, 150);
    tell(&x, &b, SOUND_END, 1000, 155 * MS, 0, 0);
    for (unsigned i = 0; i < 150; i++)
        ck_assert_int_eq(heard[i].left, (i < 120 ? tone(i).left : 0) + (i >= 100 ? tone(400 + i).left : 0));
    /* Silence between is not in the stream. */
    tell(&x, &a, SOUND_BEGIN, 1000, 9000 * MS, 0, 0);
    tell(&x, &a, SOUND_FRAMES, 1000, 9000 * MS, 7, 10);
    tell(&x, &a, SOUND_END, 1000, 9010 * MS, 0, 0);
    ck_assert_uint_eq(nheard, 160);
    ck_assert_int_eq(heard[150].left, tone(7).left);
    sound_mixer_finish(&x);
}
END_TEST

START_TEST(what_is_too_loud_is_cut_off)
{
    struct sound_mixer x;
    int who[8];

    hear_all(&x, 1000);
    for (unsigned i = 0; i < 8; i++)
        tell(&x, &who[i], SOUND_BEGIN, 1000, 0, 0, 0);
    for (unsigned i = 0; i < 8; i++)
        tell(&x, &who[i], SOUND_FRAMES, 1000, 0, 0, 100);
    ck_assert_uint_eq(nheard, 100);
    for (unsigned i = 0; i < 100; i++) {
        int64_t all = 8 * (int64_t)tone(i).left;

        ck_assert_int_eq(heard[i].left, all > INT32_MAX ? INT32_MAX : all < INT32_MIN ? INT32_MIN : all);
    }
    sound_mixer_finish(&x);
}
END_TEST

START_TEST(who_does_not_go_on_holds_nobody_up_for_ever)
{
    struct sound_mixer x;
    int a, b;

    hear_all(&x, 1000);
    tell(&x, &a, SOUND_BEGIN, 1000, 0, 0, 0);
    tell(&x, &b, SOUND_BEGIN, 1000, 0, 0, 0);
    for (unsigned n = 0; n < 100000; n += 500)
        tell(&x, &b, SOUND_FRAMES, 1000, 0, n, 500);
    ck_assert_uint_ge(nheard, 97000);
    ck_assert_uint_le(x.room, 10000);
    /* It is at once where the others are; and one whose beginning was not heard plays, too. */
    tell(&x, &a, SOUND_FRAMES, 1000, 0, 0, 10);
    tell(&x, &x, SOUND_FRAMES, 1000, UINT64_C(1) << 62, 0, 10);
    tell(&x, &b, SOUND_END, 1000, 0, 0, 0);
    tell(&x, &a, SOUND_END, 1000, 0, 0, 0);
    tell(&x, &x, SOUND_END, 1000, 0, 0, 0);
    ck_assert_uint_le(nheard, 110000);
    sound_mixer_finish(&x);
}
END_TEST

START_TEST(what_is_no_sound_is_not_taken_for_it)
{
    uint8_t bytes[40] = {SOUND_FRAMES};
    struct sound_output o;

    put_le32(bytes + 4, 48000);
    ck_assert(sound_parse(bytes, 16, &o) && o.count == 0 && o.rate == 48000);
    ck_assert(sound_parse(bytes, 32, &o) && o.count == 2);
    ck_assert(!sound_parse(bytes, 15, &o));
    ck_assert(!sound_parse(bytes, 20, &o));
    put_le32(bytes + 4, 0);
    ck_assert(!sound_parse(bytes, 16, &o));
    put_le32(bytes + 4, SOUND_RATE_MAX + 1);
    ck_assert(!sound_parse(bytes, 16, &o));
    put_le32(bytes + 4, 48000);
    bytes[0] = 4;
    ck_assert(!sound_parse(bytes, 16, &o));
}
END_TEST

START_TEST(input_goes_on_where_it_was_when_its_rate_changes)
{
    struct sound_input in = {0};

    sound_input_start(&in, 48000);
    in.taken = 48000 * 7 + 24000;
    in.ended = 1;
    sound_input_start(&in, 8000);
    ck_assert_uint_eq(in.taken, 60000);
    ck_assert_uint_eq(in.ended, 0);
    sound_input_start(&in, 8000);
    ck_assert_uint_eq(in.taken, 60000);
}
END_TEST

static void tests(TCase *tc)
{
    ADD(a_clock_of_any_rate_loses_nothing);
    ADD(a_clock_changes_its_rate_between_two_frames);
    ADD(levels_are_quarters_of_a_decibel);
    ADD(a_voice_of_the_streams_rate_is_in_it_sample_by_sample);
    ADD(what_comes_out_does_not_depend_on_the_pieces);
    ADD(voices_are_added_at_their_time);
    ADD(what_is_too_loud_is_cut_off);
    ADD(who_does_not_go_on_holds_nobody_up_for_ever);
    ADD(what_is_no_sound_is_not_taken_for_it);
    ADD(input_goes_on_where_it_was_when_its_rate_changes);
}

CHIP_TESTS("sound", tests)
