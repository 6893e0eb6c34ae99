/*
 * The Sound Blaster 16: its processor's commands one by one, the mixer register by register, what is played sample by sample.
 */
#include "tests/vm/sound_bench.h"

#include "base/option_list.h"
#include "vm/dev/isa_dma.h"
#include "vm/dev/sb16.h"

#define BASE 0x220u
#define DATA 0x20000u

static struct device *card;
static unsigned irq_of[16];     /* how its line is */

/* ---- a DMA controller: each channel from an address on, so many bytes, once or again and again ---- */

static struct {
    uint32_t at, len, done;
    bool again, to_memory, masked, requested;
} channel[8];

static void dma_request_line(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    channel[n].requested = level;
}

static uint32_t dma_move(void *ctx, unsigned n, uint8_t *bytes, uint32_t len, bool *ended)
{
    uint32_t i = 0;

    (void)ctx;
    *ended = false;
    for (; i < len && !channel[n].masked && !*ended; i++) {
        if (channel[n].done == channel[n].len) {
            if (!channel[n].again)
                break;
            channel[n].done = 0;
        }
        if (channel[n].to_memory)
            poke(channel[n].at + channel[n].done, bytes + i, 1);
        else
            bytes[i] = (uint8_t)memory_read(&m->memory, channel[n].at + channel[n].done, 1);
        *ended = ++channel[n].done == channel[n].len;
    }
    return i;
}

static void (*looks[8])(void *);
static void *looks_at[8];

static void dma_follow(void *ctx, unsigned n, void (*look)(void *), void *arg)
{
    (void)ctx;
    looks[n] = look;
    looks_at[n] = arg;
}

static const struct isa_dma dma = {.request = dma_request_line, .transfer = dma_move, .follow = dma_follow};

static void set_irq(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    irq_of[n] = level;
}

static struct line line_of(void *ctx, unsigned irq)
{
    (void)ctx;
    return (struct line){.set = set_irq, .n = irq};
}

/* What comes in: frame n is n on the left, -n on the right, in the upper half; there are 1000. */
static size_t bring(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    size_t i;

    (void)ctx, (void)dev, (void)rate;
    for (i = 0; i < n && at + i < 1000; i++) {
        samples[2 * i] = (int32_t)((at + i) << 16);
        samples[2 * i + 1] = -samples[2 * i];
    }
    return i;
}

static int plug_text(const char *text, struct error *e)
{
    struct sockets s = {.machine = m, .pci = &bench_bus, .isa_irq = line_of, .isa_dma = &dma};

    return bench_plug(&s, "card", sb16_plug, text, NULL, e);
}

static uint8_t get(unsigned at)
{
    return (uint8_t)ports_read(&bench_ports, (uint16_t)(BASE + at), 1);
}

static void set(unsigned at, unsigned value)
{
    ports_write(&bench_ports, (uint16_t)(BASE + at), 1, value);
}

static uint8_t mixer(unsigned reg)
{
    set(4, reg);
    return get(5);
}

static void set_mixer(unsigned reg, unsigned value)
{
    set(4, reg);
    set(5, value);
}

static void command(unsigned n, const uint8_t *bytes)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(get(0xc) & 0x80u, 0);
        set(0xc, bytes[i]);
    }
}

#define DSP(...) command(sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static uint8_t answer(void)
{
    ck_assert_uint_eq(get(0xe) & 0x80u, 0x80);
    return get(0xa);
}

static void full_scale(void)
{
    for (unsigned reg = 0x30; reg < 0x34; reg++)
        set_mixer(reg, 0xf8);
}

static void new_card_as(const char *text)
{
    struct error e = {0};

    new_disk_bench();
    connect_sound(bring);
    memset(channel, 0, sizeof(channel));
    memset(irq_of, 0, sizeof(irq_of));
    ck_assert_msg(plug_text(text, &e) == 0, "%s", e.text);
    card = machine_find_device(m, "card");
    reset_all();
    full_scale();
    buffer_clear(&sent);
    buffer_clear(&frames_out);
}

static void new_card(void)
{
    new_card_as("sb16,audiodev=A");
}

static void give(unsigned n, const void *bytes, uint32_t len, bool again)
{
    poke(DATA, bytes, len);
    channel[n].at = DATA;
    channel[n].len = len;
    channel[n].done = 0;
    channel[n].again = again;
    channel[n].to_memory = false;
}

static void expect_frames(const int32_t (*list)[2], unsigned n)
{
    int32_t got[256][2];

    ck_assert_uint_eq(played(got, 256), n);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_int_eq(got[i][0], list[i][0]);
        ck_assert_int_eq(got[i][1], list[i][1]);
    }
}

#define TOP(x) ((int32_t)((uint32_t)(x) << 24))
#define HALF(x) ((int32_t)((uint32_t)(x) << 16))

START_TEST(the_processor_is_reset_and_says_who_it_is)
{
    static const char text[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

    new_card();
    ck_assert_uint_eq(get(0xe), 0x7f);
    set(6, 1);
    ck_assert_uint_eq(get(0xe), 0x7f);
    set(6, 0);
    ck_assert_uint_eq(answer(), 0xaa);
    ck_assert_uint_eq(get(0xe), 0x7f);
    DSP(0xe1);
    ck_assert_uint_eq(answer(), 4);
    ck_assert_uint_eq(answer(), 5);
    ck_assert_uint_eq(get(0xa), 5); /* there is no more */
    DSP(0xe0, 0x5a);
    ck_assert_uint_eq(answer(), 0xa5);
    DSP(0xe4, 0x77);
    DSP(0xe8);
    ck_assert_uint_eq(answer(), 0x77);
    DSP(0xe3);
    for (unsigned i = 0; i < sizeof(text); i++)
        ck_assert_uint_eq(answer(), (uint8_t)text[i]);
    DSP(0xf8);
    ck_assert_uint_eq(answer(), 0);
    DSP(0xd8);
    ck_assert_uint_eq(answer(), 0);
    DSP(0xd1);
    DSP(0xd8);
    ck_assert_uint_eq(answer(), 0xff);
    DSP(0xd3);
    DSP(0xd8);
    ck_assert_uint_eq(answer(), 0);
    DSP(0x20); /* a sample without DMA */
    ck_assert_uint_eq(answer(), 0x80);
    DSP(0x0f, 0x83); /* there is no ASP */
    ck_assert_uint_eq(answer(), 0xff);
    DSP(0x30); /* MIDI: nothing */
    DSP(0x38, 0xe1);
    ck_assert_uint_eq(get(0xe), 0x7f);
    DSP(0x34);
    DSP(0xe1); /* is MIDI's now */
    ck_assert_uint_eq(get(0xe), 0x7f);
    set(6, 1);
    set(6, 0);
    ck_assert_uint_eq(answer(), 0xaa);
    DSP(0xe8); /* a reset leaves it */
    ck_assert_uint_eq(answer(), 0x77);
}
END_TEST

START_TEST(interrupts_can_be_asked_for_and_are_acknowledged)
{
    new_card();
    DSP(0xf2);
    ck_assert(irq_of[5]);
    ck_assert_uint_eq(mixer(0x82), 1);
    DSP(0xf3);
    ck_assert_uint_eq(mixer(0x82), 3);
    get(0xe);
    ck_assert_uint_eq(mixer(0x82), 2);
    ck_assert(irq_of[5]);
    get(0xf);
    ck_assert_uint_eq(mixer(0x82), 0);
    ck_assert(!irq_of[5]);
    ck_assert_uint_eq(mixer(0x80), 0xf2);
    set_mixer(0x80, 0x08);
    DSP(0xf2);
    ck_assert(irq_of[10] && !irq_of[5]);
    set_mixer(0x80, 0x01);
    ck_assert(irq_of[9] && !irq_of[10]);
    set(6, 1);
    set(6, 0);
    ck_assert(!irq_of[9]);
}
END_TEST

START_TEST(dma_is_identified)
{
    static const uint8_t asked[] = {0x00, 0x55, 0xaa, 0xff, 0x12};
    uint8_t value = 0xaa;

    new_card();
    channel[1].at = DATA;
    channel[1].len = 5;
    channel[1].to_memory = true;
    for (unsigned i = 0; i < 5; i++) {
        static const int parts[4][9] = {{1, -2, -4, 8, -16, 32, 64, -128, -106}, {-1, 2, -4, 8, 16, -32, 64, -128, 165},
                                        {-1, 2, 4, -8, 16, -32, -64, 128, -151}, {1, -2, 4, -8, -16, 32, -64, 128, 90}};

        for (unsigned bit = 0; bit < 8; bit++)
            value = (uint8_t)(value + (asked[i] >> bit & 1u ? parts[i % 4][bit] : 0));
        value = (uint8_t)(value + parts[i % 4][8]);
        DSP(0xe2, asked[i]);
        ck_assert_uint_eq(memory_read(&m->memory, DATA + i, 1), value);
    }
}
END_TEST

START_TEST(bytes_are_played_once)
{
    static const uint8_t bytes[] = {0x80, 0xff, 0x00, 0x81};
    const int32_t as[][2] = {{0, 0}, {TOP(0x7f), TOP(0x7f)}, {TOP(0x80), TOP(0x80)}, {TOP(1), TOP(1)}};

    new_card();
    give(1, bytes, 4, false);
    DSP(0x40, 156); /* 10000 Hz */
    DSP(0x14, 3, 0);
    ck_assert(channel[1].requested);
    run_for(399999);
    ck_assert(!irq_of[5]);
    run_for(1);
    ck_assert(irq_of[5] && mixer(0x82) == 1);
    ck_assert(!channel[1].requested);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    expect_frames(as, 4);
    get(0xe);
    run_for(MS);
    ck_assert_uint_eq(played(NULL, 0), 0);
    give(1, bytes, 4, false);
    DSP(0x41, 0x27, 0x10); /* 10000 Hz again */
    DSP(0xc0, 0x30, 3, 0); /* signed, stereo */
    run_for(200000);
    {
        const int32_t pairs[][2] = {{TOP(0x80), TOP(0xff)}, {0, TOP(0x81)}};

        expect_frames(pairs, 2);
    }
    ck_assert(irq_of[5]);
}
END_TEST

START_TEST(words_are_played_again_and_again)
{
    static const uint8_t bytes[] = {0x01, 0x80, 0xff, 0x7f, 0x34, 0x12, 0x00, 0x00};
    const int32_t as[][2] = {{HALF(0x8001), HALF(0x7fff)}, {HALF(0x1234), 0}};
    const int32_t plain[][2] = {{HALF(0x0001), HALF(0x0001)}, {HALF(0xffff), HALF(0xffff)}, {HALF(0x9234), HALF(0x9234)}};

    new_card();
    give(5, bytes, 8, true);
    DSP(0x41, 0x9c, 0x40); /* 40000 Hz */
    DSP(0xb6, 0x30, 3, 0);
    for (unsigned i = 0; i < 3; i++) {
        run_for(50000);
        ck_assert_uint_eq(mixer(0x82), 2);
        expect_frames(as, 2);
        get(0xe);
        ck_assert(irq_of[5]);
        get(0xf);
        ck_assert(!irq_of[5]);
    }
    DSP(0xd9); /* to the end of this block */
    run_for(1000000);
    expect_frames(as, 2);
    ck_assert(irq_of[5]);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    get(0xf);
    DSP(0x47); /* go on */
    run_for(75000);
    get(4);
    ck_assert_uint_eq(played(NULL, 0), 3);
    DSP(0xd5); /* pause */
    get(0xf);
    run_for(MS);
    ck_assert_uint_eq(played(NULL, 0), 0);
    ck_assert(!irq_of[5]);
    DSP(0xd6);
    run_for(25000);
    ck_assert(irq_of[5]);
    set(6, 1);
    set(6, 0);
    played(NULL, 0);
    give(5, bytes, 8, false);
    DSP(0x41, 0x9c, 0x40);
    DSP(0xb0, 0x00, 2, 0); /* unsigned, mono */
    run_for(MS);
    expect_frames(plain, 3);
}
END_TEST

START_TEST(older_auto_initialized_transfers_have_blocks)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};

    new_card();
    for (unsigned n = 0; n < 2; n++) {
        static const uint8_t how[] = {0x1c, 0x90};

        give(1, bytes, 6, true);
        DSP(0x40, 206); /* 20000 Hz */
        DSP(0x48, 2, 0);
        DSP(how[n]);
        for (unsigned i = 0; i < 3; i++) {
            run_for(150000);
            ck_assert(irq_of[5]);
            get(0xe);
            ck_assert(!irq_of[5]);
        }
        DSP(0xda);
        run_for(150000);
        ck_assert(irq_of[5]);
        get(0xe);
        run_for(MS);
        ck_assert_uint_eq(played(NULL, 0), 12);
    }
    give(1, bytes, 6, true);
    DSP(0x91); /* once */
    run_for(MS);
    ck_assert_uint_eq(played(NULL, 0), 3);
    get(0xe);
    DSP(0x80, 9, 0); /* silence */
    ck_assert(!channel[1].requested);
    run_for(499999);
    ck_assert(!irq_of[5]);
    run_for(1);
    ck_assert(irq_of[5]);
    ck_assert_uint_eq(played(NULL, 0), 10);
}
END_TEST

START_TEST(compressed_samples_follow_a_reference)
{
    static const uint8_t four[] = {0x80, 0x7f, 0x0c}; /* the reference; then +7, at larger scales -15, +2, -9 */
    static const uint8_t two[] = {0x40, 0x4e};        /* +1, 0, -1, -0 */
    static const uint8_t three[] = {0x80, 0x6d};      /* +3, +3, -1 and so on */
    const uint8_t as4[] = {0x80, 0x87, 0x78, 0x7a, 0x71}, as2[] = {0x40, 0x41, 0x40, 0x3f, 0x3d};
    int32_t got[16][2];

    new_card();
    DSP(0x40, 156);
    give(1, four, 3, false);
    DSP(0x75, 2, 0);
    run_for(MS);
    ck_assert_uint_eq(played(got, 16), 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(got[i][0], TOP(as4[i] ^ 0x80));
    ck_assert(irq_of[5]);
    give(1, two, 2, false);
    DSP(0x17, 1, 0);
    run_for(MS);
    ck_assert_uint_eq(played(got, 16), 5);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(got[i][0], TOP(as2[i] ^ 0x80));
    give(1, three, 2, false);
    DSP(0x77, 1, 0);
    run_for(MS);
    ck_assert_uint_eq(played(got, 16), 4);
    ck_assert_int_eq(got[1][0], TOP(3));
    ck_assert_int_eq(got[2][0], TOP(3 + 7)); /* a larger scale */
}
END_TEST

START_TEST(it_records_what_comes_in_at_the_line)
{
    new_card();
    set_mixer(0x38, 0xf8);
    set_mixer(0x39, 0xf8);
    DSP(0x42, 0x27, 0x10);
    channel[5].at = DATA;
    channel[5].len = 16;
    channel[5].to_memory = true;
    DSP(0xb8, 0x30, 7, 0);
    run_for(400000);
    ck_assert(irq_of[5]);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(peek32(DATA + 4 * i), (uint32_t)(uint16_t)i | (uint32_t)(uint16_t)-i << 16);
    get(0xf);
    set_mixer(0x3d, 0x08); /* the right on the left, nothing on the right */
    set_mixer(0x3e, 0x01);
    channel[5].done = 0;
    DSP(0xb8, 0x30, 7, 0);
    run_for(400000);
    ck_assert_uint_eq(peek32(DATA), (uint16_t)-4);
    channel[1].at = DATA;
    channel[1].len = 4;
    channel[1].to_memory = true;
    DSP(0x24, 3, 0); /* bytes, unsigned */
    run_for(MS);
    ck_assert_uint_eq(peek32(DATA), 0x7f7f7f7f); /* a little below zero */
}
END_TEST

START_TEST(samples_written_one_by_one_are_heard)
{
    int32_t got[256][2];
    unsigned n;

    new_card();
    DSP(0x10, 0xff);
    run_for(MS);
    DSP(0x10, 0x00);
    run_for(MS);
    get(4);
    n = played(got, 256);
    ck_assert_uint_eq(n, 88);
    ck_assert_int_eq(got[0][0], TOP(0x7f));
    ck_assert_int_eq(got[43][0], TOP(0x7f));
    ck_assert_int_eq(got[n - 1][0], TOP(0x80));
    run_for(100 * MS);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
}
END_TEST

START_TEST(a_channel_that_gives_nothing_is_waited_for)
{
    static const uint8_t bytes[] = {0xff, 0xff};
    int32_t got[256][2];

    new_card();
    give(1, bytes, 2, false);
    channel[1].masked = true;
    DSP(0x40, 156);
    DSP(0x14, 1, 0);
    run_for(10 * MS);
    ck_assert(!irq_of[5]);
    ck_assert_uint_eq(played(got, 256), 100);
    ck_assert_int_eq(got[99][0], 0);
    channel[1].masked = false;
    run_for(10 * MS);
    ck_assert(irq_of[5]);
    looks[1](looks_at[1]);
    ck_assert_uint_eq(channel[1].done, 2);
}
END_TEST

START_TEST(who_looks_at_the_channel_sees_it_where_time_has_it)
{
    uint8_t bytes[100];

    memset(bytes, 0x80, sizeof(bytes));
    new_card();
    give(1, bytes, sizeof(bytes), false);
    DSP(0x40, 156);
    DSP(0x14, 99, 0);
    run_for(1234567);
    looks[1](looks_at[1]);
    ck_assert_uint_eq(channel[1].done, 12);
    ck_assert_ptr_nonnull(looks[5]);
    ck_assert_ptr_null(looks[3]);
}
END_TEST

START_TEST(the_mixers_registers_are_those_of_a_ct1745)
{
    static const struct { uint8_t reg, usual, bits; } regs[] = {
        {0x30, 0xc0, 0xf8}, {0x31, 0xc0, 0xf8}, {0x32, 0xc0, 0xf8}, {0x33, 0xc0, 0xf8}, {0x34, 0xc0, 0xf8}, {0x35, 0xc0, 0xf8}, {0x36, 0, 0xf8},
        {0x37, 0, 0xf8}, {0x38, 0, 0xf8}, {0x39, 0, 0xf8}, {0x3a, 0, 0xf8}, {0x3b, 0, 0xc0}, {0x3c, 0x1f, 0x1f}, {0x3d, 0x15, 0x7f},
        {0x3e, 0x0b, 0x7f}, {0x3f, 0, 0xc0}, {0x40, 0, 0xc0}, {0x41, 0, 0xc0}, {0x42, 0, 0xc0}, {0x43, 0, 0x01}, {0x44, 0x80, 0xf0},
        {0x45, 0x80, 0xf0}, {0x46, 0x80, 0xf0}, {0x47, 0x80, 0xf0},
    };

    new_card();
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
        set_mixer(regs[i].reg, 0xff);
        ck_assert_uint_eq(mixer(regs[i].reg), regs[i].bits);
        ck_assert_uint_eq(get(4), regs[i].reg);
        set_mixer(regs[i].reg, 0);
        ck_assert_uint_eq(mixer(regs[i].reg), 0);
    }
    set_mixer(0, 0x5a);
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        ck_assert_uint_eq(mixer(regs[i].reg), regs[i].usual);
    ck_assert_uint_eq(mixer(0x22), 0xcc);
    set_mixer(0x22, 0x5e);
    ck_assert_uint_eq(mixer(0x30), 0x58);
    ck_assert_uint_eq(mixer(0x31), 0xe8);
    set_mixer(0x04, 0x21);
    ck_assert_uint_eq(mixer(0x32), 0x28);
    ck_assert_uint_eq(mixer(0x33), 0x18);
    set_mixer(0x26, 0x77);
    ck_assert_uint_eq(mixer(0x34), 0x78);
    set_mixer(0x28, 0x66);
    ck_assert_uint_eq(mixer(0x37), 0x68);
    set_mixer(0x2e, 0x55);
    ck_assert_uint_eq(mixer(0x38), 0x58);
    set_mixer(0x0a, 0x05);
    ck_assert_uint_eq(mixer(0x3a), 0xb8);
    ck_assert_uint_eq(mixer(0x0a), 0x05);
    ck_assert_uint_eq(mixer(0x7f), 0xff);
    ck_assert_uint_eq(mixer(0x81), 0x22);
    set_mixer(0x81, 0xff);
    ck_assert_uint_eq(mixer(0x81), 0xeb);
    reset_all();
    ck_assert_uint_eq(mixer(0x81), 0x22);
    ck_assert_uint_eq(mixer(0x80), 0xf2);
}
END_TEST

START_TEST(levels_are_steps_of_two_decibels)
{
    static const uint8_t byte[] = {0xc0};
    int32_t got[1][2];

    new_card();
    set_mixer(0x31, 0xd8); /* the right 8 dB less */
    give(1, byte, 1, true);
    DSP(0x14, 0, 0);
    run_for(MS);
    ck_assert_uint_eq(played(got, 1), 1);
    ck_assert_int_eq(got[0][0], TOP(0x40));
    ck_assert_int_eq(got[0][1], sound_scale(TOP(0x40), sound_gain(-32)));
    set_mixer(0x41, 0x40); /* the left twice as loud: too loud */
    set_mixer(0x42, 0x80);
    DSP(0x14, 0, 0);
    run_for(MS);
    ck_assert_uint_eq(played(got, 1), 1);
    ck_assert_int_eq(got[0][0], INT32_MAX);
    ck_assert_int_eq(got[0][1], sound_scale(TOP(0x40), 4 * sound_gain(-32)));
}
END_TEST

START_TEST(other_channels_and_lines_can_be_set_up)
{
    static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0x7f};
    struct error e = {0};
    int32_t got[2][2];

    new_card_as("sb16,audiodev=A,irq=7,dma=3,dma16=7");
    ck_assert_uint_eq(mixer(0x80), 0xf4);
    ck_assert_uint_eq(mixer(0x81), 0x88);
    give(7, bytes, 4, false);
    DSP(0xb0, 0x10, 1, 0);
    run_for(MS);
    ck_assert(irq_of[7]);
    ck_assert_uint_eq(played(got, 2), 2);
    ck_assert_int_eq(got[1][1], HALF(0x7fff));
    set_mixer(0x81, 0x01); /* words by the channel of bytes */
    get(0xf);
    give(0, bytes, 4, false);
    DSP(0xb0, 0x10, 1, 0);
    run_for(MS);
    ck_assert(irq_of[7]);
    ck_assert_uint_eq(played(got, 2), 2);
    ck_assert_int_eq(got[0][0], HALF(0xffff));
    new_disk_bench();
    ck_assert_int_lt(plug_text("sb16,irq=6", &e), 0);
    ck_assert_int_lt(plug_text("sb16,dma=2", &e), 0);
    ck_assert_int_lt(plug_text("sb16,dma16=4", &e), 0);
    ck_assert_int_lt(plug_text("sb16,iobase=0x221", &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "iobase=0x221: the card has 0x220, 0x240, 0x260 and 0x280"));
    ck_assert_int_lt(plug_text("sb16,iobase=0x200", &e), 0);
    ck_assert_int_lt(plug_text("sb16,iobase=0x2a0", &e), 0);
    ck_assert_int_eq(plug_text("sb16,iobase=0x240,irq=2", &e), 0);
    ck_assert_uint_eq(ports_read(&bench_ports, 0x24c, 1), 0x7f);
}
END_TEST

START_TEST(the_fm_chip_is_found_by_its_timers)
{
    new_card();
    for (unsigned at = 0; at <= 8; at += 8) {
        set(at, 4);
        set(at + 1, 0x60);
        set(at, 4);
        set(at + 1, 0x80);
        ck_assert_uint_eq(get(at), 0);
        set(at, 2);
        set(at + 1, 0xff);
        set(at, 4);
        set(at + 1, 0x21);
        run_for(79999);
        ck_assert_uint_eq(get(at), 0);
        run_for(1);
        ck_assert_uint_eq(get(at), 0xc0);
    }
    set(0, 4);
    set(1, 0x80);
    set(0, 3);
    set(1, 0xfe);
    set(0, 4);
    set(1, 0x42);
    run_for(640000);
    ck_assert_uint_eq(get(0), 0xa0);
}
END_TEST

/* Whatever a guest does, the state is one that there can be, deadlines come to an end, and it is the same each time. */
START_TEST(commands_at_random_do_no_harm)
{
    uint64_t hash[2];

    for (unsigned round = 0; round < 2; round++) {
        uint32_t seed = 4711;

        new_card();
        for (unsigned n = 0; n < 8; n++) {
            channel[n].at = DATA;
            channel[n].len = 77;
            channel[n].again = true;
        }
        for (unsigned i = 0; i < 20000; i++) {
            static const uint8_t some[] = {0x14, 0x17, 0x1c, 0x1f, 0x24, 0x2c, 0x40, 0x41, 0x45, 0x47, 0x48, 0x75, 0x77, 0x7d, 0x7f, 0x80, 0x91, 0xb0,
                                           0xb6, 0xbe, 0xc0, 0xc6, 0xce, 0xd0, 0xd4, 0xd5, 0xd6, 0xd9, 0xda, 0xe2, 0x10, 0xe3};
            uint32_t x = seed = seed * 1664525u + 1013904223u;
            unsigned what = x >> 28;
            const struct device *d;
            vtime_t until = m->st->warp + (x >> 8 & 0xfffffu);

            if (what < 8)
                set(0xc, what < 4 ? some[x >> 8 & 31u] : x >> 16 & 0xffu);
            else if (what < 12)
                set(x >> 8 & 15u, x >> 16 & (x & 0x40u ? 0xfeu : 0xffu));
            else if (what < 14)
                get(x >> 8 & 15u);
            else if (x >> 8 & 1u)
                channel[x >> 12 & 7u].masked ^= true;
            else
                channel[x >> 12 & 7u].to_memory ^= true;
            for (unsigned k = 0; (d = expire_next(m, until)); k++)
                ck_assert_msg(k < 20000, "%s has deadline after deadline", d->name);
            m->st->warp = until;
            ck_assert(card->ops->possible(card));
            buffer_clear(&frames_out);
            buffer_clear(&sent);
        }
        hash[round] = machine_hash(m);
    }
    ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

/* A note by the FM chip, at the card's ports and at those of an AdLib; MIDI's level of the mixer makes it softer. */
START_TEST(the_fm_chip_plays)
{
    static const uint8_t note[][2] = {{0x23, 0x21}, {0x43, 0}, {0x63, 0xf0}, {0x83, 0x0f}, {0xa0, 0x44}, {0xb0, 0x32}};
    static int32_t list[60000][2];
    int32_t most[3] = {0};

    for (unsigned turn = 0; turn < 3; turn++) {
        new_card();
        for (unsigned i = 0; i < ARRAY_LEN(note); i++) {
            ports_write(&bench_ports, turn ? 0x388 : BASE, 1, note[i][0]);
            ports_write(&bench_ports, turn ? 0x389 : BASE + 1, 1, note[i][1]);
        }
        for (unsigned side = 0; turn == 2 && side < 2; side++) {
            ports_write(&bench_ports, BASE + 4, 1, 0x34 + side);
            ports_write(&bench_ports, BASE + 5, 1, 21 << 3); /* 6 dB below what it was */
        }
        played(NULL, 0);
        run_for(1000 * MS);
        ck_assert_uint_gt(played(list, ARRAY_LEN(list)), 49000);
        for (unsigned i = 0; i < 49000; i++)
            most[turn] = list[i][0] > most[turn] ? list[i][0] : most[turn];
        ck_assert_uint_eq(ports_read(&bench_ports, 0x388, 1), 0);
    }
    ck_assert_int_gt(most[0], 1 << 24);
    ck_assert_int_eq(most[0], most[1]);
    ck_assert_int_le(abs(most[2] - most[0] / 2), most[0] / 100);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(the_processor_is_reset_and_says_who_it_is);
    ADD(interrupts_can_be_asked_for_and_are_acknowledged);
    ADD(dma_is_identified);
    ADD(bytes_are_played_once);
    ADD(words_are_played_again_and_again);
    ADD(older_auto_initialized_transfers_have_blocks);
    ADD(compressed_samples_follow_a_reference);
    ADD(it_records_what_comes_in_at_the_line);
    ADD(samples_written_one_by_one_are_heard);
    ADD(a_channel_that_gives_nothing_is_waited_for);
    ADD(who_looks_at_the_channel_sees_it_where_time_has_it);
    ADD(the_mixers_registers_are_those_of_a_ct1745);
    ADD(levels_are_steps_of_two_decibels);
    ADD(other_channels_and_lines_can_be_set_up);
    ADD(the_fm_chip_is_found_by_its_timers);
    ADD(the_fm_chip_plays);
    ADD(commands_at_random_do_no_harm);
}

CHIP_TESTS("Sound Blaster 16", claims)
