/*
 * The PC's speaker: what is heard is what port 61h and counter 2 do, to the tick.
 */
#include "tests/whole/chip_bench.h"

#include "i386/pc/pcspk.h"
#include "i386/pc/pit.h"
#include "vm/dev/clock.h"
#include "vm/dev/sound.h"

static struct device *pit, *speaker;

static void new_speaker(void)
{
    static struct pit_wiring pw;
    static struct pcspk_wiring sw;

    pw = (struct pit_wiring){0};
    pit = add(&pit_ops, &pw);
    speaker = add(&pcspk_ops, &sw);
    strcpy(speaker->backend, "A");
    speaker->backend_kind = BACKEND_AUDIODEV;
    pcspk_connect(speaker, &sw, pit, &pw);
    reset_all();
    buffer_clear(&sent);
}

static void program(unsigned mode, unsigned count)
{
    out(pit, PIT_COUNTERS, 3, 0xb0 | mode << 1);
    out(pit, PIT_COUNTERS, 2, count & 0xff);
    out(pit, PIT_COUNTERS, 2, count >> 8);
}

/* What was heard, one channel; how often it began and ended. */
static int32_t samples[200000];
static unsigned nsamples, begins, ends;

static void listen(void)
{
    nsamples = begins = ends = 0;
    for (size_t at = 0; at < sent.len;) {
        struct sound_output o;
        size_t len = 16;

        ck_assert(sound_parse(sent.data + at, 16, &o));
        begins += o.kind == SOUND_BEGIN;
        ends += o.kind == SOUND_END;
        /* The frames of this piece end where the next head begins: a kind, a rate of 48000. */
        while (o.kind == SOUND_FRAMES && at + len < sent.len &&
               !(sent.len - at - len >= 16 && sent.data[at + len] <= SOUND_END && !sent.data[at + len + 1] &&
                 !memcmp(sent.data + at + len + 4, "\x80\xbb\0\0", 4))) {
            int32_t pair[2];

            memcpy(pair, sent.data + at + len, 8);
            ck_assert_int_eq(pair[0], pair[1]);
            ck_assert_uint_lt(nsamples, ARRAY_LEN(samples));
            samples[nsamples++] = pair[0];
            len += 8;
        }
        at += len;
    }
}

static unsigned zero_crossings(void)
{
    unsigned n = 0;

    for (unsigned i = 1; i < nsamples; i++)
        n += (samples[i] > 0) != (samples[i - 1] > 0);
    return n;
}

START_TEST(a_tone_has_the_frequency_of_counter_2)
{
    new_speaker();
    run_to(10 * MS);
    program(3, 1193182 / 1000);
    out(pit, PIT_PORT_61, 0, 3);
    run_for(1000 * MS);
    listen();
    ck_assert_uint_eq(begins, 1);
    ck_assert_uint_ge(nsamples, 47700);
    ck_assert_uint_le(nsamples, 48000);
    ck_assert_uint_ge(zero_crossings(), 1985);
    ck_assert_uint_le(zero_crossings(), 2001);
    out(pit, PIT_PORT_61, 0, 0);
    run_for(2000 * MS);
    listen();
    ck_assert_uint_eq(ends, 1);
    ck_assert_uint_le(nsamples, 48000 + 5300); /* it ends a tenth of a second later, */
    ck_assert_int_lt(abs(samples[nsamples - 1]), 1 << 16); /* and without a click */
    ck_assert(speaker->ops->deadline(speaker) == VTIME_NEVER);
}
END_TEST

START_TEST(nobody_hears_what_the_speaker_bit_hides)
{
    new_speaker();
    program(3, 1000);
    out(pit, PIT_PORT_61, 0, 1);
    run_for(500 * MS);
    out(pit, PIT_PORT_61, 0, 0);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert(speaker->ops->deadline(speaker) == VTIME_NEVER);
    /* A counter that stands still is heard once. */
    program(3, 1);
    out(pit, PIT_PORT_61, 0, 3);
    run_for(1000 * MS);
    listen();
    ck_assert_uint_eq(ends, 1);
    ck_assert_uint_le(nsamples, 5300);
    ck_assert(speaker->ops->deadline(speaker) == VTIME_NEVER);
}
END_TEST

START_TEST(pulses_by_hand_are_heard_as_their_mean)
{
    new_speaker();
    run_to(MS);
    /* 16 kHz, a sawtooth of 125 Hz in the width of the pulses. */
    for (unsigned i = 0; i < 16000; i++) {
        uint64_t width = 62500 * (i % 128) / 128;

        out(pit, PIT_PORT_61, 0, 2);
        run_for(width);
        out(pit, PIT_PORT_61, 0, 0);
        run_for(62500 - width);
    }
    listen();
    ck_assert_uint_ge(nsamples, 47900);
    /* Three frames are a pulse: their mean goes up along each period, and down once. */
    for (unsigned period = 20; period < 100; period++) {
        unsigned at = period * 384 + 30, rising = 0;

        for (unsigned i = 0; i < 90; i++) {
            int64_t a = (int64_t)samples[at + 3 * i] + samples[at + 3 * i + 1] + samples[at + 3 * i + 2];
            int64_t b = (int64_t)samples[at + 3 * i + 6] + samples[at + 3 * i + 7] + samples[at + 3 * i + 8];

            rising += b > a;
        }
        ck_assert_uint_ge(rising, 60);
    }
}
END_TEST

/* What OUT was is known of each tick by looking: through what is written at random, in every mode. */
START_TEST(every_edge_counts_to_the_tick)
{
    uint64_t tick = 1000, ticks[64], levels = 0;
    unsigned seed = 7, n = 0;
    vtime_t from;

    new_speaker();
    out(pit, PIT_PORT_61, 0, 3);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned what = (seed = seed * 1103515245 + 12345) >> 16, many = 1 + what % 61;

        m->st->warp = clock_time(tick, PIT_HZ);
        if (what % 5 == 0)
            program((what >> 3) % 6, 1 + (what >> 6) % 40);
        else if (what % 5 == 1)
            out(pit, PIT_PORT_61, 0, 2 | (what >> 3 & 1u));
        else if (what % 5 == 2) { /* another count, which takes over in its time */
            out(pit, PIT_COUNTERS, 2, 1 + (what >> 6) % 20);
            out(pit, PIT_COUNTERS, 2, 0);
        }
        from = m->st->warp;
        levels = 0;
        for (n = 0; n < many; n++, tick++) {
            m->st->warp = clock_time(tick, PIT_HZ);
            ticks[n] = pit_speaker_driven(pit, from, m->st->warp);
            ck_assert_msg(llabs((long long)(ticks[n] / 1000000 - levels * 1000)) <= 1500, "round %u, tick %u: %llu of %llu", round, n,
                          (unsigned long long)ticks[n], (unsigned long long)levels);
            /* (Not by reading a port: that would tell of the counter.) */
            levels += pit_speaker_driven(pit, m->st->warp, clock_time(tick + 1, PIT_HZ)) > NS_PER_SEC / 2;
        }
        for (n = 0; n < many; n++) { /* the same bit by bit, as port 61h shows it */
            struct pit_wiring *w = pit->wiring;
            void *was = w->speaker;
            uint8_t state[512];

            memcpy(state, pit->state, pit->ops->state_size);
            w->speaker = NULL;
            m->st->warp = clock_time(tick - many + n, PIT_HZ);
            ck_assert_int_eq(in(pit, PIT_PORT_61, 0) >> 5 & 1,
                             pit_speaker_driven(pit, m->st->warp, clock_time(tick - many + n + 1, PIT_HZ)) > NS_PER_SEC / 2);
            w->speaker = was;
            memcpy(pit->state, state, pit->ops->state_size);
        }
    }
}
END_TEST

START_TEST(a_reset_is_silent)
{
    new_speaker();
    program(3, 500);
    out(pit, PIT_PORT_61, 0, 3);
    run_for(50 * MS);
    ck_assert(speaker->ops->possible(speaker));
    reset_all();
    ck_assert(speaker->ops->deadline(speaker) == VTIME_NEVER);
    ck_assert(speaker->ops->possible(speaker));
    listen();
    ck_assert_uint_eq(ends, 1);
}
END_TEST

static void tests(TCase *tc)
{
    ADD(a_tone_has_the_frequency_of_counter_2);
    ADD(nobody_hears_what_the_speaker_bit_hides);
    ADD(pulses_by_hand_are_heard_as_their_mean);
    ADD(every_edge_counts_to_the_tick);
    ADD(a_reset_is_silent);
}

CHIP_TESTS("pcspk", tests)
