/*
 * FM chips: frequencies, envelopes, waveforms, channels of four operators, drums, tremolo and vibrato as the manuals of the YM3812 and the
 * YMF262 have them, measured in what is played; a chip that is silent stands still; the AdLib card and a Sound Blaster's.
 */
#include "tests/storm.h"
#include "tests/vm/sound_bench.h"

#include <stdlib.h>

#include "base/option_list.h"
#include "vm/dev/opl.h"
#include "vm/dev/opl3.h"

#define SECOND OPL3_RATE

static struct opl3_state chip;
static bool two;
static int16_t heard[4 * SECOND], heard_right[4 * SECOND];

static void new_chip(bool opl2)
{
    two = opl2;
    opl3_reset(&chip);
    if (!two)
        opl3_write(&chip, two, 1, 0x05, 1);
}

static void put(unsigned bank, unsigned reg, unsigned value)
{
    opl3_write(&chip, two, bank, (uint8_t)reg, (uint8_t)value);
}

static void listen(unsigned n)
{
    struct sound_frame f[SOUND_PIECE];

    for (unsigned done = 0, k; done < n; done += k) {
        k = n - done < SOUND_PIECE ? n - done : SOUND_PIECE;
        opl3_play(&chip, two, f, k);
        for (unsigned i = 0; i < k; i++) {
            heard[done + i] = (int16_t)(f[i].left >> 16);
            heard_right[done + i] = (int16_t)(f[i].right >> 16);
        }
    }
}

/* One operator (the second) of channel 0 alone: a sine that holds, at full level. */
static void tone(unsigned number, unsigned octave, unsigned character)
{
    put(0, 0x40, 0x3f); /* the first one is silent */
    put(0, 0x60, 0x00);
    put(0, 0x23, 0x20 | character);
    put(0, 0x43, 0x00);
    put(0, 0x63, 0xf0);
    put(0, 0x83, 0x0f);
    put(0, 0xc0, 0x30);
    put(0, 0xa0, number & 255);
    put(0, 0xb0, 0x20 | octave << 2 | number >> 8);
}

/* Periods: passages from below zero up. */
static unsigned periods(unsigned from, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = from + 1; i < from + n; i++)
        count += heard[i - 1] < 0 && heard[i] >= 0;
    return count;
}

static int loudest(unsigned from, unsigned n)
{
    int most = 0;

    for (unsigned i = from; i < from + n; i++)
        most = (heard[i] < 0 ? ~heard[i] : heard[i]) > most ? (heard[i] < 0 ? ~heard[i] : heard[i]) : most;
    return most;
}

/* F-Number * 2^(block - 1) * multiple * 49716 / 2^19 Hz. */
START_TEST(frequencies_are_those_of_the_manual)
{
    static const struct {
        unsigned number, octave, multiple, hz;
    } notes[] = {{0x244, 4, 1, 440}, {0x244, 3, 1, 220}, {0x244, 4, 2, 880}, {0x244, 4, 0, 220}, {0x157, 4, 1, 260}, {0x2ae, 7, 1, 4163},
                 {0x244, 4, 11, 4400}, {0x244, 4, 13, 5280}, {0x244, 4, 15, 6600}, {0x3ff, 0, 1, 48}};

    for (unsigned opl2 = 0; opl2 < 2; opl2++)
        for (unsigned i = 0; i < ARRAY_LEN(notes); i++) {
            new_chip(opl2);
            tone(notes[i].number, notes[i].octave, notes[i].multiple);
            listen(SECOND);
            ck_assert_msg(abs((int)periods(0, SECOND) - (int)notes[i].hz) <= 1 + (int)notes[i].hz / 500, "%u Hz, not %u", periods(0, SECOND), notes[i].hz);
        }
    ck_assert_int_eq(loudest(0, SECOND), 4084); /* an eighth of full scale */
}
END_TEST

/* TL: 0.75 dB for each. KSL: so many dB for each octave. */
START_TEST(levels_are_in_decibels)
{
    int full;

    new_chip(false);
    tone(0x244, 4, 1);
    listen(2000);
    full = loudest(1000, 1000);
    for (unsigned eight = 1; eight < 7; eight++) { /* 6 dB are a half */
        put(0, 0x43, 8 * eight);
        listen(2000);
        ck_assert_int_le(abs(loudest(1000, 1000) - (full >> eight)), 1 + (full >> eight) / 100);
    }
    for (unsigned kind = 0; kind < 4; kind++) {
        static const unsigned down[4] = {0, 1, 0, 2}; /* halves in two octaves: 0, 3, 1.5, 6 dB each */
        int low;

        new_chip(false);
        tone(0x3ff, 5, 1);
        put(0, 0x43, kind << 6);
        listen(3000);
        low = loudest(1000, 2000);
        put(0, 0xb0, 0x20 | 7 << 2 | 3);
        listen(3000);
        if (kind == 2)
            ck_assert_int_le(abs(loudest(1000, 2000) * 1000 / low - 708), 12);
        else
            ck_assert_int_le(abs(loudest(1000, 2000) - (low >> down[kind])), 1 + low / 50);
    }
}
END_TEST

/* Samples until what channel 0 plays is below `part` 256ths of its full level. */
static unsigned falls_below(unsigned part)
{
    unsigned last = 0;

    for (unsigned i = 0; i < ARRAY_LEN(heard); i++)
        if (abs(heard[i]) > 4084 * (int)part / 256)
            last = i;
    return last;
}

/* The manual's table: rate 4 takes 39280.64 ms for 96 dB, four more halve it. Measured over 48 dB. */
START_TEST(decays_take_their_time)
{
    for (unsigned rate = 6; rate <= 12; rate++) {
        double ms = 39280.64 / (1u << (rate - 1)) / 2, got;

        new_chip(false);
        tone(0x244, 4, 1);
        put(0, 0x23, 0x01); /* it does not hold, and rates do not scale: octave 4, bit 3 of which is 2 * 4 >> 2 */
        put(0, 0x63, 0xf0 | rate);
        put(0, 0x83, 0xf0);
        listen(ARRAY_LEN(heard));
        got = falls_below(1) * 1000.0 / OPL3_RATE;
        ms /= 1.5; /* by key: 2 of 4 steps on */
        ck_assert_msg(got > ms * 0.85 && got < ms * 1.15, "rate %u: %f ms, not %f", rate, got, ms);
    }
}
END_TEST

/* Rate 4: 2826.24 ms from silence to full level. */
START_TEST(attacks_take_their_time)
{
    for (unsigned rate = 1; rate <= 10; rate++) {
        double ms = 2826.24 / (1u << (rate - 1)) / 1.5, got;
        unsigned first = 0;

        new_chip(false);
        tone(0x244, 4, 1);
        put(0, 0x63, rate << 4);
        listen(ARRAY_LEN(heard));
        while (first < ARRAY_LEN(heard) && abs(heard[first]) < 4000)
            first++;
        got = first * 1000.0 / OPL3_RATE;
        ck_assert_msg(got > ms * 0.85 && got < ms * 1.15 + 1.2, "rate %u: %f ms, not %f", rate, got, ms);
    }
    new_chip(false);
    tone(0x244, 4, 1);
    listen(100);
    ck_assert_int_gt(loudest(20, 60), 4000); /* at once */
}
END_TEST

START_TEST(a_note_is_held_and_released)
{
    new_chip(false);
    tone(0x244, 4, 1);
    put(0, 0x63, 0xff);
    put(0, 0x83, 0x2a); /* 6 dB below; released fast */
    listen(SECOND);
    ck_assert_int_le(abs(loudest(SECOND / 2, SECOND / 2) - 2042), 30);
    put(0, 0xb0, 4 << 2 | 2);
    listen(SECOND);
    ck_assert_int_gt(loudest(0, 200), 1500);
    ck_assert_int_eq(loudest(SECOND / 2, SECOND / 2), 0);
    ck_assert(!opl3_sounds(&chip, two));
}
END_TEST

START_TEST(waveforms_have_their_shapes)
{
    /* A period in eighths: what each is, in 256ths of the loudest, at its middle; 999: anything. */
    static const int shapes[8][8] = {
        {98, 237, 237, 98, -98, -237, -237, -98}, {98, 237, 237, 98, 0, 0, 0, 0},  {98, 237, 237, 98, 98, 237, 237, 98},
        {98, 237, 0, 0, 98, 237, 0, 0},           {181, 181, -181, -181, 0, 0, 0, 0}, {181, 181, 181, 181, 0, 0, 0, 0},
        {256, 256, 256, 256, -256, -256, -256, -256}, {999, 999, 999, 999, 999, 999, 999, 999},
    };
    const unsigned eighth = 512;

    for (unsigned w = 0; w < 8; w++) {
        unsigned start = 1;

        new_chip(false);
        put(0, 0xe3, w);
        tone(256, 1, 1); /* a place in 1,024 for two samples and a bit: 4,096 for a period */
        put(0, 0xa0, 0);
        put(0, 0xb0, 0x20 | 0 << 2 | 1);
        listen(3 * 8 * eighth);
        for (unsigned e = 0; e < 8; e++)
            if (shapes[w][e] != 999)
                ck_assert_msg(abs(heard[start + 8 * eighth + eighth * e + eighth / 2] - 4084 * shapes[w][e] / 256) < 120, "wave %u, eighth %u: %d", w, e,
                              heard[start + 8 * eighth + eighth * e + eighth / 2]);
        if (w == 7) { /* falls to nothing, and comes back below zero */
            ck_assert_int_gt(heard[start + 8 * eighth + 1], 3900);
            ck_assert_int_lt(abs(heard[start + 12 * eighth]), 20);
            ck_assert_int_lt(heard[start + 16 * eighth - 4], -3900);
        }
    }
    /* An OPL2 has sines unless it is told otherwise, and four of them. */
    for (unsigned on = 0; on < 2; on++) {
        new_chip(true);
        put(0, 0x01, on ? 0x20 : 0);
        put(0, 0xe3, 1);
        tone(0x244, 4, 1);
        listen(2000);
        ck_assert_int_eq(periods(0, 2000) != 0, !on);
    }
}
END_TEST

/* 3.7 times a second, 4.8 dB or 1 dB deep. */
START_TEST(tremolo_is_as_deep_as_it_says)
{
    for (unsigned deep = 0; deep < 2; deep++) {
        int least = 5000, most = 0;

        new_chip(false);
        put(0, 0xbd, deep << 7);
        tone(0x244, 5, 0x81);
        listen(SECOND);
        for (unsigned at = 1000; at + 200 < SECOND; at += 200) {
            int l = loudest(at, 200);

            least = l < least ? l : least;
            most = l > most ? l : most;
        }
        ck_assert_int_eq(most, 4084);
        ck_assert_int_le(abs(least * 1000 / most - (deep ? 575 : 880)), 25);
    }
}
END_TEST

/* 6.1 times a second, by 14 or 7 cents to either side. */
START_TEST(vibrato_is_as_wide_as_it_says)
{
    for (unsigned deep = 0; deep < 2; deep++) {
        unsigned least = 1u << 30, most = 0;

        new_chip(false);
        put(0, 0xbd, deep << 6);
        tone(0x3c0, 7, 0x41);
        for (unsigned turn = 0; turn < 16; turn++) {
            unsigned n;

            listen(1024);
            n = periods(0, 1024);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        ck_assert_uint_ge(most - least, deep ? 1 : 0);
        ck_assert_uint_le(most - least, deep ? 5 : 3);
    }
}
END_TEST

START_TEST(feedback_and_modulation_add_overtones)
{
    unsigned plain;

    new_chip(false);
    tone(0x244, 3, 1);
    listen(SECOND);
    plain = periods(0, SECOND);
    /* The first operator, seven times the frequency, modulates the second: more passages. */
    put(0, 0x20, 0x27);
    put(0, 0x40, 0x00);
    put(0, 0x60, 0xf0);
    put(0, 0x80, 0x0f);
    put(0, 0xb0, 0);
    listen(SECOND);
    put(0, 0xb0, 0x20 | 3 << 2 | 2);
    listen(SECOND);
    ck_assert_uint_gt(periods(0, SECOND), 3 * plain);
    /* Beside each other: louder. */
    put(0, 0xc0, 0x31);
    listen(SECOND);
    ck_assert_int_gt(loudest(SECOND / 2, SECOND / 2), 7000);
}
END_TEST

/* Each of four operators alone at full level: who is heard without the others says how they are connected. */
START_TEST(four_operators_are_connected_in_four_ways)
{
    static const uint8_t alone[4] = {0x8, 0xa, 0x9, 0xd}; /* by CNT of the first and of the second channel */
    static const uint8_t slots[4] = {0x00, 0x03, 0x08, 0x0b};

    for (unsigned bank = 0; bank < 2; bank++)
        for (unsigned kind = 0; kind < 4; kind++)
            for (unsigned who = 0; who < 4; who++) {
                new_chip(false);
                put(1, 0x04, bank ? 0x08 : 0x01);
                for (unsigned i = 0; i < 4; i++) {
                    put(bank, 0x20 + slots[i], 0x21);
                    put(bank, 0x40 + slots[i], i == who ? 0 : 0x3f);
                    put(bank, 0x60 + slots[i], i == who ? 0xf0 : 0);
                    put(bank, 0x80 + slots[i], 0x0f);
                }
                put(bank, 0xc0, 0x30 | kind >> 1);
                put(bank, 0xc3, 0x30 | (kind & 1));
                put(bank, 0xa0, 0x44);
                put(bank, 0xa3, 0xff); /* means nothing */
                put(bank, 0xb3, 0x3f);
                listen(200);
                ck_assert_int_eq(loudest(0, 200), 0);
                put(bank, 0xb0, 0x20 | 4 << 2 | 2);
                listen(SECOND);
                ck_assert_int_eq(loudest(0, SECOND) > 4000, alone[kind] >> who & 1);
                if (alone[kind] >> who & 1)
                    ck_assert_int_le(abs((int)periods(0, SECOND) - 440), 2);
            }
}
END_TEST

START_TEST(sides_are_those_of_the_channel)
{
    new_chip(false);
    tone(0x244, 4, 1);
    for (unsigned sides = 0; sides < 4; sides++) {
        put(0, 0xc0, sides << 4);
        listen(500);
        ck_assert_int_eq(loudest(0, 500) > 0, sides & 1);
        memcpy(heard, heard_right, sizeof(heard));
        ck_assert_int_eq(loudest(0, 500) > 0, sides >> 1);
    }
    /* As an OPL2, there is one, and no second bank. */
    new_chip(false);
    put(1, 0x05, 0);
    put(1, 0xa0, 0x44);
    ck_assert_uint_eq(chip.reg[1][0xa0], 0);
    tone(0x244, 4, 1);
    put(0, 0xc0, 0);
    listen(500);
    ck_assert_int_eq(loudest(0, 500), 4084);
    ck_assert_int_eq(memcmp(heard, heard_right, 1000), 0);
}
END_TEST

START_TEST(drums_are_heard_one_by_one)
{
    for (unsigned drum = 0; drum < 5; drum++) {
        new_chip(drum & 1);
        for (unsigned slot = 0; slot < 6; slot++) {
            put(0, 0x20 + 0x10 + slot, 0x01);
            put(0, 0x40 + 0x10 + slot, 0);
            put(0, 0x60 + 0x10 + slot, 0xf8);
            put(0, 0x80 + 0x10 + slot, 0x08);
        }
        for (unsigned c = 6; c < 9; c++) {
            put(0, 0xc0 + c, 0x30);
            put(0, 0xa0 + c, 0x44);
            put(0, 0xb0 + c, 3 << 2 | 2);
        }
        put(0, 0xbd, 0x20);
        listen(500);
        ck_assert_int_eq(loudest(0, 500), 0);
        put(0, 0xbd, 0x20 | 1u << drum);
        listen(SECOND);
        ck_assert_int_gt(loudest(0, 5000), 4084); /* twice as loud as a note */
        ck_assert_int_eq(loudest(SECOND / 2, SECOND / 2), 0);
        if (drum == 2) /* a tom is a sine */
            ck_assert_int_le(abs((int)(periods(0, 5000) * SECOND / 5000) - 220), 12);
        ck_assert(!opl3_sounds(&chip, two)); /* though the key is still on */
    }
}
END_TEST

/* A song of random registers: silence is skipped, and it is the same in pieces of any size. */
START_TEST(what_is_skipped_is_as_if_it_were_played)
{
    static struct opl3_state other;
    struct sound_frame a[SOUND_PIECE], b[SOUND_PIECE];
    unsigned silences = 0;

    srand(7);
    for (unsigned song = 0; song < STORM(60); song++) {
        new_chip(song & 1);
        for (unsigned turn = 0; turn < 120; turn++) {
            for (unsigned i = rand() % 20; i; i--) {
                unsigned reg = (unsigned)rand() & 255u, value = (unsigned)rand() & 255u;

                if ((reg & 0xe0) == 0x20)
                    value &= ~0x60u; /* silent places do not vibrate, and notes end */
                if (reg >= 0xc0 && reg < 0xc9)
                    value &= ~0x0eu; /* nor is there feedback */
                if ((reg & 0xe0) == 0x60 && rand() % 2)
                    value = 0xff;
                if ((reg & 0xe0) == 0x80)
                    value |= 0x0f;
                if (reg >= 0xb0 && reg < 0xbd && rand() % 3)
                    value &= ~0x20u;
                put((unsigned)rand() & 1u, reg, reg == 0xbd && rand() % 2 ? 0 : value);
            }
            ck_assert(opl3_possible(&chip));
            other = chip;
            if (!opl3_sounds(&chip, two)) {
                silences++;
                opl3_play(&chip, two, a, 777);
                for (unsigned i = 0; i < 777; i++)
                    ck_assert_int_eq(a[i].left | a[i].right, 0);
                opl3_skip(&other, two, 777);
            } else {
                opl3_play(&chip, two, a, 777);
                opl3_play(&other, two, b, 500);
                opl3_play(&other, two, b + 500, 277);
                ck_assert_int_eq(memcmp(a, b, 777 * sizeof(a[0])), 0);
            }
            ck_assert_int_eq(memcmp(&chip, &other, sizeof(chip)), 0);
        }
    }
    ck_assert_uint_gt(silences, 50);
}
END_TEST

/* ---- as devices ---- */

static struct device *card;

static struct line no_irq(void *ctx, unsigned n)
{
    (void)ctx;
    return probe_line(n);
}

static void new_card(void)
{
    struct sockets s = {.pci = &bench_bus, .isa_irq = no_irq};
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(bench_plug(&s, "a", adlib_plug, "adlib,audiodev=A", NULL, &e), 0);
    card = machine_find_device(m, "a");
    connect_sound(NULL);
    reset_all();
    played(NULL, 0);
}

static void to_card(unsigned reg, unsigned value)
{
    ports_write(&bench_ports, 0x388, 1, reg);
    ports_write(&bench_ports, 0x389, 1, value);
}

static void note(bool on)
{
    to_card(0x40, 0x3f);
    to_card(0x23, 0x21);
    to_card(0x43, 0);
    to_card(0x63, 0xf0);
    to_card(0x83, 0x0f);
    to_card(0xa0, 0x44);
    to_card(0xb0, (on ? 0x20 : 0) | 4 << 2 | 2);
}

START_TEST(an_adlib_is_found_and_plays)
{
    new_card();
    ck_assert_uint_eq(ports_read(&bench_ports, 0x388, 1), 0x06);
    to_card(4, 0x60);
    to_card(4, 0x80);
    to_card(2, 0xff);
    to_card(4, 0x21);
    run_for(79999);
    ck_assert_uint_eq(ports_read(&bench_ports, 0x388, 1) & 0xe0, 0);
    run_for(1);
    ck_assert_uint_eq(ports_read(&bench_ports, 0x388, 1) & 0xe0, 0xc0);
    to_card(4, 0x80);
    /* Silent it costs nothing. */
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    note(false);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    ck_assert_uint_eq(played(NULL, 0), 0);
    note(true);
    ck_assert_uint_ne(card->ops->deadline(card), VTIME_NEVER);
    run_for(1000 * MS);
    ck_assert_uint_ge(played(NULL, 0), OPL3_RATE - 300);
    note(false);
    run_for(1000 * MS);
    ck_assert_uint_lt(played(NULL, 0), OPL3_RATE / 4);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
}
END_TEST

START_TEST(a_restored_chip_plays_on)
{
    static int32_t first[40000][2], again[40000][2];
    static uint8_t state[8192];
    unsigned n;
    vtime_t now;

    new_card();
    run_for(123456789);
    note(true);
    run_for(300 * MS);
    ck_assert_uint_le(card->ops->state_size, sizeof(state));
    memcpy(state, card->state, card->ops->state_size);
    now = m->st->warp;
    ck_assert(card->ops->possible(card));
    played(NULL, 0);
    run_for(500 * MS);
    n = played(first, ARRAY_LEN(first));
    new_card();
    memcpy(card->state, state, card->ops->state_size);
    m->st->warp = now;
    run_for(500 * MS);
    ck_assert_uint_eq(played(again, ARRAY_LEN(again)), n);
    ck_assert_int_eq(memcmp(first, again, n * sizeof(first[0])), 0);
}
END_TEST

START_TEST(nonsense_does_no_harm)
{
    srand(3);
    new_card();
    for (unsigned i = 0; i < STORM(20000); i++) {
        ports_write(&bench_ports, (uint16_t)(0x388 + rand() % 2), rand() % 4 ? 1 : 2, (uint32_t)rand());
        if (rand() % 50 == 0)
            run_for((uint64_t)(rand() % 20000000));
        ck_assert(card->ops->possible(card));
        buffer_clear(&frames_out);
        buffer_clear(&sent);
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(frequencies_are_those_of_the_manual);
    ADD(levels_are_in_decibels);
    ADD(decays_take_their_time);
    ADD(attacks_take_their_time);
    ADD(a_note_is_held_and_released);
    ADD(waveforms_have_their_shapes);
    ADD(tremolo_is_as_deep_as_it_says);
    ADD(vibrato_is_as_wide_as_it_says);
    ADD(feedback_and_modulation_add_overtones);
    ADD(four_operators_are_connected_in_four_ways);
    ADD(sides_are_those_of_the_channel);
    ADD(drums_are_heard_one_by_one);
    ADD(what_is_skipped_is_as_if_it_were_played);
    ADD(an_adlib_is_found_and_plays);
    ADD(a_restored_chip_plays_on);
    ADD(nonsense_does_no_harm);
}

CHIP_TESTS("opl", claims)
