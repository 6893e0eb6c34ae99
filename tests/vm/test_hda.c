/*
 * The High Definition Audio controller and its codecs, register by register and verb by verb: commands each way, lists of buffers,
 * positions, interrupts by pin and by message, levels, recording, resets.
 */
#include "tests/vm/sound_bench.h"

#include "base/option_list.h"
#include "vm/dev/clock.h"
#include "vm/dev/hda.h"

#define REGS 0x10020000u
#define CORB 0x1000u
#define RIRB 0x2000u
#define LIST 0x3000u
#define POSITIONS 0x4000u
#define DATA 0x20000u
#define SD(n) (0x80u + 0x20u * (n))
#define OUT4 SD(4)

enum { CTL = 0, STS = 3, LPIB = 4, CBL = 8, LVI = 0xc, FIFOS = 0x10, FMT = 0x12, BDL = 0x18 };

static struct device *card;
static struct pci_function *f;

static size_t bring(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    (void)ctx, (void)dev, (void)rate;
    for (size_t i = 0; i < n; i++) {
        samples[2 * i] = (int32_t)((at + i) << 16);
        samples[2 * i + 1] = -samples[2 * i];
    }
    return n;
}

static uint32_t get(unsigned at, unsigned size)
{
    return (uint32_t)memory_read(&m->memory, REGS + at, size);
}

static void set(unsigned at, unsigned size, uint32_t value)
{
    memory_write(&m->memory, REGS + at, size, value);
}

static int plug(plug_fn *fn, const char *name, const char *text)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    struct error e;
    int r;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    r = fn(&s, name, PCI_DEVFN(3, 0), NULL, &props, &e);
    option_list_finish(&props);
    return r;
}

static void bare(plug_fn *fn)
{

    new_disk_bench();
    connect_sound(bring);
    ck_assert_int_eq(plug(fn, "card", "intel-hda"), 0);
    card = machine_find_device(m, "card");
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
}

static void start(void)
{
    reset_all();
    pci_config_write(f, 0x10, 4, REGS);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    buffer_clear(&sent);
}

static void new_card(void)
{
    bare(intel_hda_plug);
    ck_assert_int_eq(plug(hda_duplex_plug, "duplex", "hda-duplex,audiodev=A"), 0);
    ck_assert_int_eq(plug(hda_micro_plug, "micro", "hda-micro,audiodev=A,cad=4"), 0);
    start();
    set(8, 4, 1);
}

/* By the immediate registers. */
static uint32_t verb(unsigned address, unsigned node, uint32_t rest)
{
    set(0x60, 4, address << 28 | node << 20 | rest);
    set(0x68, 2, 3);
    ck_assert_uint_eq(get(0x68, 2), 2 | address << 4);
    return get(0x64, 4);
}

static uint32_t parameter(unsigned address, unsigned node, unsigned n)
{
    return verb(address, node, 0xf0000 | n);
}

START_TEST(it_is_what_it_says)
{
    static const uint16_t reset[][2] = {{0x00, 0x4401}, {0x02, 0x0100}, {0x04, 0x003c}, {0x06, 0x001d}, {0x0c, 0}, {0x10, 0}, {0x20, 0},
        {0x24, 0}, {0x34, 0}, {0x38, 0}, {0x40, 0}, {0x48, 0}, {0x4a, 0}, {0x4e, 0x0042}, {0x58, 0}, {0x5a, 0}, {0x5e, 0x0042}, {0x68, 0},
        {0x70, 0}, {0x80, 0}, {0x90, 0x77}, {0x92, 0}, {0x110, 0xbf}, {0x180, 0}, {0x2030, 0}};

    bare(ich9_intel_hda_plug);
    start();
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x293e8086);
    ck_assert_uint_eq(pci_config_read(f, 8, 4), 0x04030003);
    ck_assert_uint_eq(pci_config_read(f, 0x40, 1), 1);
    ck_assert_uint_eq(pci_config_read(f, 0x34, 1), 0x60);
    ck_assert_uint_eq(pci_config_read(f, 0x60, 4), 0x00800005); /* MSI without masks */
    pci_config_write(f, 0x70, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(f, 0x70, 4), 0);
    new_card();
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x26688086);
    set(8, 4, 0);
    for (unsigned i = 0; i < ARRAY_LEN(reset); i++)
        ck_assert_msg(get(reset[i][0], 2) == reset[i][1], "%02x: %04x", reset[i][0], get(reset[i][0], 2));
    /* In reset nothing else is written. */
    set(0x20, 4, ~0u);
    set(0x40, 4, ~0u);
    ck_assert_uint_eq(get(0x20, 4), 0);
    ck_assert_uint_eq(get(0x40, 4), 0);
    set(8, 4, 1);
    set(0x20, 4, ~0u);
    set(0x40, 4, ~0u);
    set(0x44, 4, ~0u);
    set(0x50, 4, ~0u);
    set(0x70, 4, ~0u);
    ck_assert_uint_eq(get(0x20, 4), 0xc00000ff);
    ck_assert_uint_eq(get(0x40, 4), 0xffffff80);
    ck_assert_uint_eq(get(0x44, 4), 0xffffffff);
    ck_assert_uint_eq(get(0x50, 4), 0xffffff80);
    ck_assert_uint_eq(get(0x70, 4), 0xffffff81);
    set(8, 4, 0x103);
    ck_assert_uint_eq(get(8, 4), 0x101);
    ck_assert_uint_eq(get(0x10, 2), 2); /* flushed */
    set(0x10, 2, 2);
    ck_assert_uint_eq(get(0x10, 2), 0);
}
END_TEST

START_TEST(codecs_are_there_after_a_reset)
{
    new_card();
    ck_assert_uint_eq(get(0x0e, 2), 0x11);
    set(0x0e, 2, 0x01);
    ck_assert_uint_eq(get(0x0e, 2), 0x10);
    set(0x0e, 2, 0xffff);
    set(0x0c, 2, 0x7fff);
    set(8, 4, 0);
    ck_assert_uint_eq(get(0x0c, 4), 0x7fff); /* it is not part of it */
    set(8, 4, 1);
    ck_assert_uint_eq(get(0x0e, 2), 0x11);
    ck_assert_uint_eq(get(0x24, 4), 0x40000000);
    set(0x20, 4, 0xc0000000);
    ck_assert_uint_eq(get(0x24, 4), 0xc0000000);
    ck_assert(probe[3].level);
    set(0x0e, 2, 0xffff);
    ck_assert(!probe[3].level);
    ck_assert_int_eq(plug(hda_output_plug, "third", "hda-output,cad=4"), -22);
    ck_assert_int_eq(plug(hda_output_plug, "third", "hda-output,bus=nowhere"), -19);
}
END_TEST

START_TEST(the_wall_clock_has_24_mhz)
{
    new_card();
    run_for(1000 * MS);
    ck_assert_uint_eq(get(0x30, 4), 24000000);
    ck_assert_uint_eq(get(0x2030, 4), 24000000);
    run_for(178956971000ull); /* 2^32 of them */
    ck_assert_uint_lt(get(0x30, 4), 24001000);
    set(8, 4, 0);
    ck_assert_uint_eq(get(0x30, 4), 0);
}
END_TEST

START_TEST(the_tree_is_that_of_qemus_codecs)
{
    new_card();
    ck_assert_uint_eq(parameter(0, 0, 0), 0x1af40022);
    ck_assert_uint_eq(parameter(4, 0, 0), 0x1af40032);
    ck_assert_uint_eq(parameter(0, 0, 2), 0x00100101);
    ck_assert_uint_eq(parameter(0, 0, 4), 0x00010001);
    ck_assert_uint_eq(parameter(0, 1, 4), 0x00020004);
    ck_assert_uint_eq(parameter(0, 1, 5), 1);
    ck_assert_uint_eq(parameter(0, 2, 9), 0x0000001d);
    ck_assert_uint_eq(parameter(0, 3, 9), 0x00400101);
    ck_assert_uint_eq(parameter(0, 4, 9), 0x0010011b);
    ck_assert_uint_eq(parameter(0, 5, 9), 0x00400001);
    ck_assert_uint_eq(parameter(0, 2, 0x0a), 0x001e07ff);
    ck_assert_uint_eq(parameter(0, 2, 0x0b), 1);
    ck_assert_uint_eq(parameter(0, 2, 0x12), 0x80034a4a);
    ck_assert_uint_eq(parameter(0, 4, 0x0d), 0x80034a4a);
    ck_assert_uint_eq(parameter(0, 3, 0x0c), 0x10);
    ck_assert_uint_eq(parameter(0, 5, 0x0c), 0x20);
    ck_assert_uint_eq(parameter(0, 3, 0x0e), 1);
    ck_assert_uint_eq(verb(0, 3, 0xf0200), 2);
    ck_assert_uint_eq(verb(0, 4, 0xf0200), 5);
    ck_assert_uint_eq(verb(0, 3, 0xf1c00), 0x00004010);
    ck_assert_uint_eq(verb(4, 3, 0xf1c00), 0x00104010);
    ck_assert_uint_eq(parameter(0, 6, 9), 0); /* no such node */
    ck_assert_uint_eq(parameter(0, 200, 9), 0);
    set(0x60, 4, 0x10000000 | 0xf0000); /* nor such a codec */
    set(0x68, 2, 3);
    ck_assert_uint_eq(get(0x68, 2) & 3, 0);
}
END_TEST

START_TEST(what_verbs_set_they_get)
{
    new_card();
    ck_assert_uint_eq(verb(0, 2, 0xa0000), 0x0011);
    verb(0, 2, 0x24031);
    ck_assert_uint_eq(verb(0, 2, 0xa0000), 0x4031);
    verb(0, 2, 0x70651);
    ck_assert_uint_eq(verb(0, 2, 0xf0600), 0x51);
    ck_assert_uint_eq(verb(0, 2, 0xba000), 0x4a);
    verb(0, 2, 0x3a090); /* out, left: muted, 10h */
    ck_assert_uint_eq(verb(0, 2, 0xba000), 0x90);
    ck_assert_uint_eq(verb(0, 2, 0xb8000), 0x4a);
    verb(0, 2, 0x3b07f);
    ck_assert_uint_eq(verb(0, 2, 0xb8000), 0x4a);
    verb(0, 2, 0x37005); /* its input has none */
    ck_assert_uint_eq(verb(0, 2, 0xb8000), 0x4a);
    verb(0, 4, 0x35003);
    ck_assert_uint_eq(verb(0, 4, 0xb0000), 0x03);
    ck_assert_uint_eq(verb(0, 4, 0xb2000), 0x4a);
    ck_assert_uint_eq(verb(0, 3, 0xf0700), 0x40);
    verb(0, 3, 0x707ff);
    ck_assert_uint_eq(verb(0, 3, 0xf0700), 0x40);
    verb(0, 5, 0x70700);
    ck_assert_uint_eq(verb(0, 5, 0xf0700), 0);
    verb(0, 1, 0x70503);
    ck_assert_uint_eq(verb(0, 1, 0xf0500), 0x33);
    verb(0, 3, 0x71f12);
    ck_assert_uint_eq(verb(0, 3, 0xf1c00), 0x12004010);
    verb(0, 1, 0x72034);
    ck_assert_uint_eq(verb(0, 1, 0xf2000), 0x1af40034);
    verb(0, 1, 0x7ff00); /* all but what the configuration says is as it was */
    ck_assert_uint_eq(verb(0, 3, 0xf1c00), 0x12004010);
    ck_assert_uint_eq(verb(0, 2, 0xf0600), 0);
    ck_assert_uint_eq(verb(0, 2, 0xa0000), 0x0011);
    ck_assert_uint_eq(verb(0, 1, 0xf0500), 0);
    ck_assert_uint_eq(verb(0, 5, 0xf0700), 0x20);
    verb(0, 2, 0x70651);
    set(8, 4, 0); /* the link's reset takes the streams away */
    set(8, 4, 1);
    ck_assert_uint_eq(verb(0, 2, 0xf0600), 0);
}
END_TEST

static void rings(void)
{
    set(0x40, 4, CORB);
    set(0x50, 4, RIRB);
    set(0x4a, 2, 0x8000);
    ck_assert_uint_eq(get(0x4a, 2), 0x8000);
    set(0x4a, 2, 0);
    ck_assert_uint_eq(get(0x4a, 2), 0);
    set(0x58, 2, 0x8000);
    set(0x5c, 1, 3);
    set(0x4c, 1, 2);
}

START_TEST(commands_go_by_rings_too)
{
    new_card();
    rings();
    set(0x20, 4, 0xc0000000);
    set(0x5a, 2, 2);
    poke32(CORB + 4, 0x000f0000);
    poke32(CORB + 8, 0x400f0000);
    poke32(CORB + 12, 0x500f0000); /* nobody */
    set(0x48, 2, 3);
    ck_assert_uint_eq(get(0x4a, 2), 3);
    ck_assert_uint_eq(get(0x58, 2), 2);
    ck_assert_uint_eq(peek32(RIRB + 8), 0x1af40022);
    ck_assert_uint_eq(peek32(RIRB + 12), 0);
    ck_assert_uint_eq(peek32(RIRB + 16), 0x1af40032);
    ck_assert_uint_eq(peek32(RIRB + 20), 4);
    ck_assert_uint_eq(get(0x5d, 1), 1);
    ck_assert(probe[3].level);
    set(0x5d, 1, 1);
    ck_assert_uint_eq(get(0x5d, 1), 0);
    ck_assert(!probe[3].level);
    /* Round the ring: 255 commands behind the third. */
    for (unsigned n = 0; n < 256; n++)
        poke32(CORB + 4 * n, 0x000f0002);
    set(0x48, 2, 2);
    ck_assert_uint_eq(get(0x4a, 2), 2);
    ck_assert_uint_eq(get(0x58, 2), (2 + 255) % 256);
    ck_assert_uint_eq(peek32(RIRB + 8), 0x00100101);
    /* No memory: an error, and it stops. */
    set(0x4c, 1, 3);
    pci_config_write(f, PCI_COMMAND, 2, 2);
    set(0x48, 2, 3);
    ck_assert_uint_eq(get(0x4d, 1), 1);
    ck_assert_uint_eq(get(0x4c, 1), 1);
    ck_assert(probe[3].level);
    set(0x4d, 1, 1);
    ck_assert_uint_eq(get(0x4d, 1), 0);
}
END_TEST

START_TEST(interrupts_can_be_messages)
{
    new_card();
    rings();
    pci_config_write(f, 0x64, 4, MESSAGES_AT);
    pci_config_write(f, 0x6c, 2, 0x55);
    pci_config_write(f, 0x62, 2, 1);
    set(0x20, 4, 0xc0000000);
    poke32(CORB + 4, 0x000f0000);
    set(0x48, 2, 1);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x55);
    ck_assert(!probe[3].level);
    get(0x24, 4);
    ck_assert_uint_eq(bench_messages, 1);
    set(0x5d, 1, 1);
    poke32(CORB + 8, 0x000f0000);
    set(0x48, 2, 2);
    ck_assert_uint_eq(bench_messages, 2);
}
END_TEST

static void descriptor(unsigned n, uint64_t at, uint32_t len, unsigned ioc)
{
    poke64(LIST + 16 * n, at);
    poke32(LIST + 16 * n + 8, len);
    poke32(LIST + 16 * n + 12, ioc);
}

/* Stream 4 out, tag 5, to the first codec's DAC. */
static void prepare(unsigned sd, unsigned node, uint16_t fmt, uint32_t cbl, unsigned lvi)
{
    verb(0, node, 0x20000u | fmt);
    verb(0, node, 0x70650);
    set(sd + BDL, 4, LIST);
    set(sd + CBL, 4, cbl);
    set(sd + LVI, 2, lvi);
    set(sd + FMT, 2, fmt);
    set(sd + CTL + 2, 1, 0x50);
}

START_TEST(streams_go_round_their_buffers_frame_by_frame)
{
    static int32_t list[2000][2];

    new_card();
    fill(DATA, 100, 1);
    fill(DATA + 0x1000, 60, 101);
    descriptor(0, DATA, 400, 0);
    descriptor(1, DATA + 0x1000, 240, 1);
    set(0x20, 4, 0x80000010);
    set(0x70, 4, POSITIONS | 1);
    prepare(OUT4, 2, 0x0011, 640, 1);
    set(OUT4 + CTL, 1, 6);
    ck_assert_uint_eq(get(OUT4 + STS, 1), 0x20);
    ck_assert_uint_eq(get(OUT4 + CTL, 4), 0x20500006);
    run_for(clock_time(30, 48000));
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 120);
    ck_assert_uint_eq(get(0x2000 + OUT4 + LPIB, 4), 120);
    ck_assert_uint_eq(peek32(POSITIONS + 32), 120);
    ck_assert(!probe[3].level);
    run_for(clock_time(160, 48000) - clock_time(30, 48000) - 1);
    ck_assert(!probe[3].level);
    run_for(1);
    ck_assert(probe[3].level);
    ck_assert_uint_eq(get(0x24, 4), 0x80000010);
    ck_assert_uint_eq(get(OUT4 + STS, 1), 0x24);
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 0);
    set(OUT4 + STS, 1, 0x1c);
    ck_assert(!probe[3].level);
    run_to(clock_time(1600, 48000));
    ck_assert_uint_eq(probe[3].rises, 2);
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 0);
    /* SSYNC holds it, RUN stops it. */
    set(0x38, 4, 0x10);
    run_for(100 * MS);
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 0);
    set(0x38, 4, 0);
    run_for(clock_time(10, 48000));
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 40);
    set(OUT4 + CTL, 1, 0);
    run_for(100 * MS);
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 40);
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
    ck_assert_uint_eq(played(list, 2000), 1610);
    for (int i = 0; i < 1610; i++)
        ck_assert(list[i][0] >> 16 == i % 160 + 1 && list[i][1] >> 16 == -(i % 160 + 1));
    /* Its reset. */
    set(OUT4 + CTL, 1, 1);
    ck_assert_uint_eq(get(OUT4 + CTL, 4), 1);
    ck_assert_uint_eq(get(OUT4 + FMT, 2), 0);
    set(OUT4 + CBL, 4, 77);
    ck_assert_uint_eq(get(OUT4 + CBL, 4), 0);
    set(OUT4 + CTL, 1, 0);
    ck_assert_uint_eq(get(OUT4 + CTL, 4), 0);
    set(OUT4 + FMT, 2, 0xffff);
    ck_assert_uint_eq(get(OUT4 + FMT, 2), 0xff7f);
    set(OUT4 + CTL, 4, 0xffffffde); /* (not run) */
    set(OUT4 + CTL, 4, 0xfffffffc);
    ck_assert_uint_eq(get(OUT4 + CTL, 3) & 0xffffff, 0xff001c);
}
END_TEST

START_TEST(every_format_is_played)
{
    static const struct { uint16_t fmt; uint32_t rate; unsigned width, channels; } formats[] = {
        {0x0001, 48000, 1, 2}, {0x0011, 48000, 2, 2}, {0x0021, 48000, 4, 2}, {0x0031, 48000, 4, 2}, {0x0041, 48000, 4, 2},
        {0x4011, 44100, 2, 2}, {0x0511, 8000, 2, 2}, {0x4311, 11025, 2, 2}, {0x0a11, 32000, 2, 2}, {0x1811, 192000, 2, 2},
        {0x0810, 96000, 2, 1}, {0x0015, 48000, 2, 6},
    };

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        unsigned width = formats[i].width, frame = width * formats[i].channels, tail;
        static int32_t list[200][2];

        new_card();
        for (unsigned k = 0; k < 40 * formats[i].channels; k++) {
            uint32_t v = 0x1234567u * (k + 1);
            uint8_t bytes[4];

            put_le(bytes, v >> (32 - 8 * width), width);
            poke(DATA + k * width, bytes, width);
        }
        /* Buffers that end within a frame. */
        descriptor(0, DATA, 10 * frame + 1, 0);
        descriptor(1, DATA + 10 * frame + 1, 30 * frame - 1, 1);
        prepare(OUT4, 2, formats[i].fmt, 40 * frame, 1);
        set(OUT4 + CTL, 1, 6);
        tail = (unsigned)clock_time(40, formats[i].rate);
        run_for(tail - 1);
        ck_assert_uint_eq(get(OUT4 + STS, 1), 0x20);
        run_for(1);
        ck_assert_uint_eq(get(OUT4 + STS, 1), 0x24);
        ck_assert_uint_eq(played(list, 200), 40);
        for (unsigned k = 0; k < 40; k++) {
            uint32_t keep = width == 4 ? ~0u : ~(~0u >> (8 * width)), flip = width == 1 ? 0x80000000u : 0;
            unsigned first = k * formats[i].channels, second = formats[i].channels > 1 ? first + 1 : first;

            ck_assert_uint_eq((uint32_t)list[k][0], ((0x1234567u * (first + 1)) & keep) ^ flip);
            ck_assert_uint_eq((uint32_t)list[k][1], ((0x1234567u * (second + 1)) & keep) ^ flip);
        }
    }
}
END_TEST

static int32_t one_frame(void)
{
    int32_t list[1][2] = {{0}};

    set(OUT4 + CTL, 1, 2);
    run_for(clock_time(1, 48000));
    set(OUT4 + CTL, 1, 0);
    ck_assert_uint_eq(played(list, 1), 1);
    return list[0][0] >> 16;
}

START_TEST(levels_mutes_pins_and_power_are_applied)
{
    new_card();
    for (unsigned i = 0; i < 1000; i++)
        poke32(DATA + 4 * i, 10000 | 10000 << 16);
    descriptor(0, DATA, 4000, 0);
    prepare(OUT4, 2, 0x0011, 4000, 0);
    ck_assert_int_eq(one_frame(), 10000);
    verb(0, 2, 0x3b044); /* -6 dB */
    ck_assert_int_eq(one_frame(), 5011);
    verb(0, 2, 0x3b0ca); /* mute */
    ck_assert_int_eq(one_frame(), 0);
    verb(0, 2, 0x3b04a);
    verb(0, 3, 0x70700);
    ck_assert_int_eq(one_frame(), 0);
    verb(0, 3, 0x70740);
    verb(0, 1, 0x70503);
    ck_assert_int_eq(one_frame(), 0);
    verb(0, 1, 0x70500);
    ck_assert_int_eq(one_frame(), 10000);
    verb(0, 2, 0x70660); /* another stream's */
    set(OUT4 + CTL, 1, 2);
    run_for(10 * MS);
    ck_assert_uint_eq(sent.len, 0);
    verb(0, 2, 0x70650); /* and in the middle ours again */
    run_for(10 * MS);
    ck_assert_uint_gt(sent.len, 1000);
}
END_TEST

START_TEST(what_comes_in_is_recorded)
{
    new_card();
    descriptor(0, DATA, 2000, 1);
    descriptor(1, DATA + 0x1000, 2000, 1);
    prepare(SD(1), 4, 0x0011, 4000, 1);
    set(SD(1) + CTL, 1, 6);
    run_for(clock_time(700, 48000));
    ck_assert_uint_eq(get(SD(1) + LPIB, 4), 2800);
    ck_assert_uint_eq(get(SD(1) + STS, 1), 0x24);
    for (unsigned i = 0; i < 700; i++)
        ck_assert_uint_eq(peek32((i < 500 ? DATA : DATA + 0x1000 - 2000) + 4 * i), (i & 0xffff) | (uint32_t)(uint16_t)-i << 16);
    verb(0, 4, 0x370ca); /* muted */
    run_for(clock_time(10, 48000));
    ck_assert_uint_eq(peek32(DATA + 0x1000 + 4 * 205), 0);
    /* Another tag than the converter's: silence. */
    set(SD(1) + CTL, 1, 0);
    set(SD(1) + CTL + 2, 1, 0x60);
    poke32(DATA, ~0u);
    set(SD(1) + CTL, 1, 2);
    run_for(50 * MS);
    ck_assert_uint_eq(peek32(DATA), 0);
}
END_TEST

START_TEST(lists_without_end_or_contents_are_errors)
{
    new_card();
    for (unsigned n = 0; n < 256; n++)
        descriptor(n, DATA, 0, 0);
    prepare(OUT4, 2, 0x0011, 0, 255);
    set(0x20, 4, 0x80000010);
    set(OUT4 + CTL, 1, 0x12);
    ck_assert_uint_eq(get(OUT4 + STS, 1), 0x10);
    ck_assert_uint_eq(get(OUT4 + CTL, 1), 0x10);
    ck_assert(probe[3].level);
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
    /* Of one buffer; one that is not in memory plays what is read there. */
    set(OUT4 + STS, 1, 0x10);
    descriptor(0, 0xf000000000000000ull, 0xffffffff, 0);
    set(OUT4 + LVI, 2, 0);
    set(OUT4 + CTL, 1, 2);
    run_for(100 * MS);
    ck_assert_uint_eq(get(OUT4 + LPIB, 4), 4800 * 4);
    reset_all();
    ck_assert(card->ops->deadline(card) == VTIME_NEVER);
    ck_assert_uint_eq(get_le32(sent.data + sent.len - 16), SOUND_END);
}
END_TEST

static void tests(TCase *tc)
{
    ADD(it_is_what_it_says);
    ADD(codecs_are_there_after_a_reset);
    ADD(the_wall_clock_has_24_mhz);
    ADD(the_tree_is_that_of_qemus_codecs);
    ADD(what_verbs_set_they_get);
    ADD(commands_go_by_rings_too);
    ADD(interrupts_can_be_messages);
    ADD(streams_go_round_their_buffers_frame_by_frame);
    ADD(every_format_is_played);
    ADD(levels_mutes_pins_and_power_are_applied);
    ADD(what_comes_in_is_recorded);
    ADD(lists_without_end_or_contents_are_errors);
}

CHIP_TESTS("HDA", tests)
