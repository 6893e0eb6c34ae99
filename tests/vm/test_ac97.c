/*
 * The AC'97 controller and its codec, register by register: lists of buffers, status and interrupts, levels, rates, recording.
 */
#include "tests/vm/sound_bench.h"

#include "base/option_list.h"
#include "vm/dev/ac97.h"
#include "vm/dev/clock.h"

#define NAM  0xc000u
#define NABM 0xc100u
#define LIST 0x1000u
#define DATA 0x20000u

enum { PI = 0x00, PO = 0x10, MC = 0x20 };
enum { BDBAR = 0, CIV = 4, LVI = 5, SR = 6, PICB = 8, PIV = 10, CR = 11 };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };

static struct device *card;
static uint32_t asked_rate;
static uint64_t asked_at;

/* What comes in: frame n is n on the left, -n on the right, in the upper half; there are 1000. */
static size_t bring(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    size_t i;

    (void)ctx, (void)dev;
    asked_rate = rate;
    asked_at = at;
    for (i = 0; i < n && at + i < 1000; i++) {
        samples[2 * i] = (int32_t)((at + i) << 16);
        samples[2 * i + 1] = -samples[2 * i];
    }
    return i;
}

static uint32_t get(unsigned at, unsigned size)
{
    return (uint32_t)ports_read(&bench_ports, (uint16_t)at, size);
}

static void set(unsigned at, unsigned size, uint32_t value)
{
    ports_write(&bench_ports, (uint16_t)at, size, value);
}

static void new_card(void)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct pci_function *f;
    struct error e;

    new_disk_bench();
    connect_sound(bring);
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "AC97,audiodev=A", "driver", NULL, &e), 0);
    ck_assert_int_eq(ac97_plug(&s, "card", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    option_list_finish(&props);
    card = machine_find_device(m, "card");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x24158086);
    ck_assert_uint_eq(pci_config_read(f, 6, 2), 0x0280);
    ck_assert_uint_eq(pci_config_read(f, 8, 4), 0x04010001);
    pci_config_write(f, 0x10, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(f, 0x10, 4), 0xffffff01);
    pci_config_write(f, 0x14, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(f, 0x14, 4), 0xffffffc1);
    pci_config_write(f, 0x10, 4, NAM);
    pci_config_write(f, 0x14, 4, NABM);
    pci_config_write(f, PCI_COMMAND, 2, 5);
    buffer_clear(&sent);
}

static void descriptor(unsigned n, uint32_t at, unsigned samples, uint32_t flags)
{
    poke32(LIST + 8 * n, at);
    poke32(LIST + 8 * n + 4, samples | flags);
}

static void loud(void)
{
    set(NAM + 0x02, 2, 0);
    set(NAM + 0x18, 2, 0x0808);
}

static uint64_t frames_ns(unsigned n)
{
    return clock_time(n, 48000);
}

START_TEST(the_codecs_registers_are_as_the_specification_says)
{
    static const uint16_t reset[][3] = { /* where, value, writable */
        {0x00, 0x0011, 0}, {0x02, 0x8000, 0x9f1f}, {0x04, 0x8000, 0x9f1f}, {0x06, 0x8000, 0x801f}, {0x08, 0, 0}, {0x0a, 0, 0x801e},
        {0x0c, 0x8008, 0x801f}, {0x0e, 0x8008, 0x805f}, {0x10, 0x8808, 0x9f1f}, {0x12, 0x8808, 0x9f1f}, {0x14, 0x8808, 0x9f1f},
        {0x16, 0x8808, 0x9f1f}, {0x18, 0x8808, 0x9f1f}, {0x1a, 0, 0x0707}, {0x1c, 0x8000, 0x8f0f}, {0x1e, 0x8000, 0x800f},
        {0x20, 0, 0x8380}, {0x22, 0, 0}, {0x28, 0x0809, 0}, {0x2a, 0, 0x0009}, {0x2c, 48000, 0}, {0x2e, 0, 0}, {0x30, 0, 0},
        {0x32, 48000, 0}, {0x34, 48000, 0}, {0x5a, 0, 0}, {0x7c, 0x8384, 0}, {0x7e, 0x7600, 0},
    };

    new_card();
    for (unsigned i = 0; i < ARRAY_LEN(reset); i++)
        ck_assert_msg(get(NAM + reset[i][0], 2) == reset[i][1], "%02x", reset[i][0]);
    for (unsigned i = 0; i < ARRAY_LEN(reset); i++) {
        if (reset[i][0] == 0x2a)
            continue;
        set(NAM + reset[i][0], 2, 0xffff & ~(reset[i][0] && reset[i][0] <= 6 ? 0x2020 : 0));
        ck_assert_msg(get(NAM + reset[i][0], 2) == (reset[i][2] ? reset[i][2] : reset[i][1]), "%02x", reset[i][0]);
    }
    set(NAM, 2, 0x1234); /* resets them */
    for (unsigned i = 0; i < ARRAY_LEN(reset); i++)
        ck_assert_uint_eq(get(NAM + reset[i][0], 2), reset[i][1]);
    /* The sixth bit of a level of five. */
    set(NAM + 2, 2, 0x2020);
    ck_assert_uint_eq(get(NAM + 2, 2), 0x1f1f);
    /* Words only; and there is no second codec. */
    ck_assert_uint_eq(get(NAM, 4), UINT32_MAX);
    ck_assert_uint_eq(get(NAM + 2, 1), 0xff);
    ck_assert_uint_eq(get(NAM + 0x82, 2), 0xffff);
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4) & 0x8000, 0x8000); /* RCS */
    set(NABM + GLOB_STA, 4, 0x8000);
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4), 0x100);
}
END_TEST

START_TEST(power_goes_down_and_says_so)
{
    new_card();
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x000f);
    set(NAM + 0x26, 2, 0x0100);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x010e);
    set(NAM + 0x26, 2, 0x0200);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x020d);
    set(NAM + 0x26, 2, 0x0400);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x040b);
    set(NAM + 0x26, 2, 0x0800);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x0803);
    set(NAM + 0x26, 2, 0x8000);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x800f);
    set(NAM + 0x26, 2, 0x1000); /* the link: only a warm reset wakes it */
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0xffff);
    set(NAM + 0x26, 2, 0);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0xffff);
    set(NABM + GLOB_CNT, 4, 0x06);
    ck_assert_uint_eq(get(NABM + GLOB_CNT, 4), 0x02);
    ck_assert_uint_eq(get(NAM + 0x26, 2), 0x000f);
}
END_TEST

START_TEST(a_cold_reset_takes_the_codec_away)
{
    new_card();
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4), 0x100);
    set(NABM + GLOB_CNT, 4, 0xffffffff);
    ck_assert_uint_eq(get(NABM + GLOB_CNT, 4), 0x3b);
    set(NAM + 2, 2, 0x0101);
    set(NABM + GLOB_CNT, 4, 0);
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4), 0);
    ck_assert_uint_eq(get(NAM + 2, 2), 0xffff);
    set(NABM + GLOB_CNT, 4, 2);
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4) & 0x100, 0x100);
    ck_assert_uint_eq(get(NAM + 2, 2), 0x8000);
    set(NABM + GLOB_STA, 4, 0x30000); /* AD3, MD3 */
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4) & 0x30000, 0x30000);
}
END_TEST

START_TEST(the_semaphore_is_free_after_an_access)
{
    new_card();
    ck_assert_uint_eq(get(NABM + CAS, 1), 0);
    ck_assert_uint_eq(get(NABM + CAS, 1), 1);
    get(NAM + 2, 2);
    ck_assert_uint_eq(get(NABM + CAS, 1), 0);
    set(NAM + 2, 2, 0);
    ck_assert_uint_eq(get(NABM + CAS, 1), 0);
}
END_TEST

START_TEST(a_boxs_registers_are_as_the_data_sheet_says)
{
    new_card();
    for (unsigned box = PI; box <= MC; box += 0x10) {
        ck_assert_uint_eq(get(NABM + box + BDBAR, 4), 0);
        ck_assert_uint_eq(get(NABM + box + CIV, 4), 0x00010000); /* DCH */
        ck_assert_uint_eq(get(NABM + box + PICB, 4), 0);
        set(NABM + box + BDBAR, 4, 0xffffffff);
        ck_assert_uint_eq(get(NABM + box + BDBAR, 4), 0xfffffff8);
        set(NABM + box + LVI, 1, 0xff);
        ck_assert_uint_eq(get(NABM + box + CIV, 2), 0x1f00);
        set(NABM + box + CIV, 1, 7); /* read only */
        set(NABM + box + PICB, 2, 7);
        set(NABM + box + PIV, 1, 7);
        set(NABM + box + SR, 2, 0xffff);
        ck_assert_uint_eq(get(NABM + box + CIV, 4), 0x00011f00);
        ck_assert_uint_eq(get(NABM + box + PICB, 4), 0);
        set(NABM + box + CR, 1, 0xfc);
        ck_assert_uint_eq(get(NABM + box + CR, 1), 0x1c);
        set(NABM + box + CR, 1, 0x1e); /* RR keeps the enables */
        ck_assert_uint_eq(get(NABM + box + PICB, 4), 0x1c000000);
        ck_assert_uint_eq(get(NABM + box + BDBAR, 4), 0);
        ck_assert_uint_eq(get(NABM + box + CIV, 4), 0x00010000);
    }
}
END_TEST

START_TEST(buffers_are_played_in_their_time_sample_by_sample)
{
    static int32_t list[400][2];

    new_card();
    loud();
    fill(DATA, 100, 0);
    fill(DATA + 0x1000, 50, 100);
    descriptor(0, DATA, 200, 0);
    descriptor(1, DATA + 0x1000, 100, 0x80000000);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + LVI, 1, 1);
    set(NABM + PO + CR, 1, 0x1d);
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00000100);
    ck_assert_uint_eq(get(NABM + PO + PICB, 4) & 0xffffff, 0x0100c8);
    run_for(frames_ns(10));
    ck_assert_uint_eq(get(NABM + PO + PICB, 2), 180);
    run_for(frames_ns(100) - frames_ns(10) - 1);
    ck_assert_uint_eq(get(NABM + PO + PICB, 2), 2);
    run_for(1);
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00000101);
    ck_assert_uint_eq(get(NABM + PO + PICB, 4) & 0xffffff, 0x020064);
    ck_assert(!probe[3].level);
    run_for(frames_ns(150) - frames_ns(100) - 1);
    ck_assert(!probe[3].level);
    run_for(1);
    ck_assert(probe[3].level);
    ck_assert_uint_eq(probe[3].rose_at, frames_ns(150));
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x000f0101); /* DCH, CELV, LVBCI, BCIS */
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4), 0x140);
    set(NABM + PO + SR, 2, 0x08);
    ck_assert(probe[3].level);
    set(NABM + PO + SR, 2, 0x04);
    ck_assert(!probe[3].level);
    ck_assert_uint_eq(get(NABM + PO + SR, 2), 0x03);
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
    run_for(100 * MS);
    ck_assert_uint_eq(played(list, 400), 150);
    for (int i = 0; i < 150; i++)
        ck_assert(list[i][0] >> 16 == i && list[i][1] >> 16 == -i);
    /* The same index is no new one; another lets it go on. */
    set(NABM + PO + LVI, 1, 1);
    ck_assert_uint_eq(get(NABM + PO + SR, 2), 0x03);
    descriptor(2, DATA, 20, 0);
    set(NABM + PO + LVI, 1, 2);
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00000202);
    run_for(frames_ns(10));
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00070202);
    ck_assert_uint_eq(played(NULL, 0), 10);
}
END_TEST

START_TEST(a_short_buffer_behind_one_that_tells_nothing_is_not_late)
{
    new_card();
    descriptor(0, DATA, 20, 0);
    descriptor(1, DATA, 2, 0x80000000);
    descriptor(2, DATA, 40000, 0);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + LVI, 1, 2);
    set(NABM + PO + CR, 1, 0x11);
    run_for(100 * MS);
    ck_assert_uint_eq(probe[3].rises, 1);
    ck_assert_uint_eq(probe[3].rose_at, frames_ns(11));
}
END_TEST

START_TEST(a_ring_goes_round_and_stops_in_between)
{
    unsigned rises;

    new_card();
    loud();
    for (unsigned n = 0; n < 32; n++)
        descriptor(n, DATA + 0x100 * n, 64, 0x80000000);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + LVI, 1, 31);
    set(NABM + PO + CR, 1, 0x11);
    for (unsigned n = 0; n < 100; n++) {
        run_to(frames_ns(32 * (n + 1)));
        ck_assert_uint_eq(get(NABM + PO + CIV, 1), (n + 1) % 32);
        ck_assert_uint_eq(get(NABM + PO + PIV, 1), (n + 2) % 32);
        ck_assert(probe[3].level);
        set(NABM + PO + LVI, 1, n % 32);
        set(NABM + PO + SR, 2, 0x1c);
        ck_assert(!probe[3].level);
    }
    /* A pause: the position stays. */
    run_for(frames_ns(5));
    rises = probe[3].rises;
    set(NABM + PO + CR, 1, 0x10);
    ck_assert_uint_eq(get(NABM + PO + SR, 2) & 1, 1);
    run_for(100 * MS);
    ck_assert_uint_eq(get(NABM + PO + PICB, 2), 64 - 10);
    ck_assert_uint_eq(probe[3].rises, rises);
    set(NABM + PO + CR, 1, 0x11);
    ck_assert_uint_eq(get(NABM + PO + SR, 2) & 1, 0);
    run_for(frames_ns(27));
    ck_assert_uint_eq(probe[3].rises, rises + 1);
    set(NABM + PO + CR, 1, 2);
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00010000);
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
}
END_TEST

START_TEST(empty_buffers_and_half_frames_come_to_an_end)
{
    new_card();
    loud();
    for (unsigned n = 0; n < 32; n++)
        descriptor(n, DATA, 0, 0);
    descriptor(3, DATA, 3, 0x80000000);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + LVI, 1, 31);
    set(NABM + PO + CR, 1, 0x1d);
    ck_assert_uint_eq(get(NABM + PO + CIV, 1), 3);
    ck_assert_uint_eq(get(NABM + PO + PICB, 2), 3);
    run_for(frames_ns(2));
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x000f1f1f);
    descriptor(3, DATA, 0, 0);
    set(NABM + PO + CR, 1, 2);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + LVI, 1, 31);
    set(NABM + PO + CR, 1, 1);
    ck_assert_uint_eq(get(NABM + PO + CIV, 4), 0x00071f1f);
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
}
END_TEST

static int play_one(int16_t sample)
{
    int32_t list[2][2] = {{0}};

    set(NABM + PO + CR, 1, 2);
    poke32(DATA, (uint32_t)(uint16_t)sample | (uint32_t)(uint16_t)sample << 16);
    descriptor(0, DATA, 2, 0);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + CR, 1, 1);
    run_for(frames_ns(1));
    ck_assert_uint_eq(played(list, 2), 1);
    return list[0][0] >> 16;
}

START_TEST(levels_are_applied)
{
    new_card();
    ck_assert_int_eq(play_one(10000), 0); /* muted */
    set(NAM + 0x02, 2, 0);
    ck_assert_int_eq(play_one(10000), 0);
    set(NAM + 0x18, 2, 0x0808);
    ck_assert_int_eq(play_one(10000), 10000);
    ck_assert_int_eq(play_one(-32768), -32768);
    set(NAM + 0x02, 2, 0x0400); /* 6 dB */
    ck_assert_int_eq(play_one(10000), 5011);
    set(NAM + 0x18, 2, 0x0008); /* 12 dB more */
    ck_assert_int_eq(play_one(1000), 1995);
    set(NAM + 0x18, 2, 0x8008);
    ck_assert_int_eq(play_one(1000), 0);
    set(NAM + 0x18, 2, 0x0008);
    set(NAM + 0x26, 2, 0x0200); /* DAC off */
    ck_assert_int_eq(play_one(1000), 0);
}
END_TEST

START_TEST(rates_vary_if_they_may)
{
    new_card();
    set(NAM + 0x2c, 2, 8000);
    ck_assert_uint_eq(get(NAM + 0x2c, 2), 48000);
    set(NAM + 0x2a, 2, 1);
    set(NAM + 0x2c, 2, 8000);
    set(NAM + 0x32, 2, 11025);
    set(NAM + 0x34, 2, 11025);
    ck_assert_uint_eq(get(NAM + 0x2c, 2), 8000);
    ck_assert_uint_eq(get(NAM + 0x32, 2), 11025);
    ck_assert_uint_eq(get(NAM + 0x34, 2), 48000);
    descriptor(0, DATA, 2 * 8000, 0x80000000);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + CR, 1, 0x11);
    run_for(500 * MS);
    ck_assert_uint_eq(get(NABM + PO + PICB, 2), 8000);
    set(NAM + 0x2c, 2, 16000); /* meanwhile */
    run_for(250 * MS - 1);
    ck_assert(!probe[3].level);
    run_for(1);
    ck_assert(probe[3].level);
    set(NAM + 0x2c, 2, 1000);
    ck_assert_uint_eq(get(NAM + 0x2c, 2), 7000);
    set(NAM + 0x2c, 2, 60000);
    ck_assert_uint_eq(get(NAM + 0x2c, 2), 48000);
    set(NAM + 0x2c, 2, 22050);
    set(NAM + 0x2a, 2, 0);
    ck_assert_uint_eq(get(NAM + 0x2c, 2), 48000);
    ck_assert_uint_eq(get(NAM + 0x32, 2), 48000);
}
END_TEST

START_TEST(what_is_recorded_goes_through_its_levels)
{
    new_card();
    set(NAM + 0x1c, 2, 0x0004); /* right: 6 dB */
    set(NAM + 0x1a, 2, 0x0404);
    descriptor(0, DATA, 2 * 900, 0x80000000);
    descriptor(1, DATA + 0x2000, 2 * 200, 0x80000000);
    set(NABM + PI + BDBAR, 4, LIST);
    set(NABM + PI + LVI, 1, 1);
    set(NABM + PI + CR, 1, 0x11);
    run_for(frames_ns(1100));
    ck_assert_uint_eq(get(NABM + PI + CIV, 4), 0x000f0101);
    ck_assert_uint_eq(get(NABM + GLOB_STA, 4), 0x120);
    for (unsigned i = 0; i < 1100; i++) {
        uint32_t v = peek32((i < 900 ? DATA : DATA + 0x2000 - 3600) + 4 * i);
        int right = (int16_t)(v >> 16), wanted = i < 1000 ? -(int)(i * 19953 / 10000) : 0;

        ck_assert_int_eq((int16_t)v, i < 1000 ? i : 0); /* and silence after the end */
        ck_assert_int_le(abs(right - wanted), 1);
    }
    ck_assert_uint_eq(asked_rate, 48000);
    /* The microphone has one channel, and its own place in what comes. */
    set(NAM + 0x1e, 2, 0);
    descriptor(0, DATA, 100, 0);
    set(NABM + MC + BDBAR, 4, LIST);
    set(NABM + MC + CR, 1, 1);
    run_for(frames_ns(100));
    ck_assert_uint_eq(get(NABM + MC + CIV, 4), 0x00070000);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq((uint16_t)memory_read(&m->memory, DATA + 2 * i, 2), i);
    /* Muted, or from what goes out: nothing. */
    set(NAM + 0x1c, 2, 0x8000);
    set(NABM + PI + CR, 1, 2);
    set(NABM + PI + BDBAR, 4, LIST);
    set(NABM + PI + CR, 1, 1);
    run_for(frames_ns(50));
    ck_assert_uint_eq(peek32(DATA + 100), 0);
}
END_TEST

START_TEST(a_reset_leaves_nothing)
{
    new_card();
    loud();
    descriptor(0, DATA, 60000, 0);
    set(NABM + PO + BDBAR, 4, LIST);
    set(NABM + PO + CR, 1, 1);
    run_for(MS);
    reset_all();
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
    ck_assert(card->ops->possible(card));
    ck_assert_uint_eq(get_le32(sent.data + sent.len - 16), SOUND_END);
}
END_TEST

static void tests(TCase *tc)
{
    ADD(the_codecs_registers_are_as_the_specification_says);
    ADD(power_goes_down_and_says_so);
    ADD(a_cold_reset_takes_the_codec_away);
    ADD(the_semaphore_is_free_after_an_access);
    ADD(a_boxs_registers_are_as_the_data_sheet_says);
    ADD(buffers_are_played_in_their_time_sample_by_sample);
    ADD(a_short_buffer_behind_one_that_tells_nothing_is_not_late);
    ADD(a_ring_goes_round_and_stops_in_between);
    ADD(empty_buffers_and_half_frames_come_to_an_end);
    ADD(levels_are_applied);
    ADD(rates_vary_if_they_may);
    ADD(what_is_recorded_goes_through_its_levels);
    ADD(a_reset_leaves_nothing);
}

CHIP_TESTS("AC97", tests)
