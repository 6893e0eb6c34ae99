/*
 * The floppy controller and the ISA DMA controllers, alone: what their data sheets promise, register by register and
 * command by command.
 */
#include "tests/whole/chip_bench.h"

#include <errno.h>

#include "i386/pc/dma.h"
#include "i386/pc/fdc.h"
#include "vm/drive.h"

#define RAM_BYTES 0x40000u
#define BUFFER    0x12000u

static struct device *dma, *fdc;
static struct fdc_wiring wiring;
static struct drive *floppy[2];

/* ---- bench ---- */

static uint8_t image_byte(uint64_t at)
{
    uint32_t sector = (uint32_t)(at / 512), in_sector = (uint32_t)(at % 512);

    return in_sector < 2 ? (uint8_t)(sector >> (8 * in_sector)) : (uint8_t)((sector * 2654435761u + in_sector * 40503u) >> 11);
}

static int image_read(void *ctx, struct machine *machine, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    (void)ctx, (void)machine, (void)d;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = image_byte(offset + i);
    return 0;
}

static const struct machine_env floppy_env = {.host_clock = host_clock, .output = output, .image_read = image_read};

static void new_bench(void)
{
    struct region ram = {.size = RAM_BYTES, .kind = REGION_RAM, .enabled = true};

    machine_destroy(m);
    m = machine_create(256);
    m->env = &floppy_env;
    ram.page = memory_alloc(&m->memory, "ram", ram.size);
    memory_map(&m->memory, &ram);
    dma = add(&dma_ops, NULL);
    wiring = (struct fdc_wiring){.irq = probe_line(0), .dma = dma};
    fdc = add(&fdc_ops, &wiring);
    floppy[0] = floppy[1] = NULL;
}

static struct drive *insert(unsigned place, uint64_t size, bool read_only, const struct drive_fault *fault)
{
    const struct drive_config c = {.name = place ? "floppy1" : "floppy0", .media = DRIVE_FLOPPY, .sector_size = 512,
                                   .size = size, .empty = !size, .read_only = read_only, .latency_ns = DRIVE_LATENCY_NS,
                                   .rate = DRIVE_RATE, .faults = fault, .nfaults = fault ? 1 : 0};
    struct error e = {0};

    ck_assert_msg(drive_create(&floppy[place], m, &c, &e) == 0, "%s", e.text);
    ck_assert_msg(fdc_plug(fdc, floppy[place], place, &e) == 0, "%s", e.text);
    return floppy[place];
}

static uint8_t msr(void)
{
    return in(fdc, FDC_PORTS, 4);
}

static void give(const uint8_t *bytes, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        ck_assert_msg((msr() & 0xc0u) == 0x80, "byte %u is not awaited: %02x", i, msr());
        out(fdc, FDC_PORTS, 5, bytes[i]);
    }
}
#define GIVE(...) give((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint8_t result[16];

/* Take the result phase; returns its length. */
static unsigned take(void)
{
    unsigned n = 0;

    memset(result, 0xee, sizeof(result));
    while ((msr() & 0xd0u) == 0xd0 && n < sizeof(result))
        result[n++] = in(fdc, FDC_PORTS, 5);
    ck_assert_msg((msr() & 0xd0u) == 0x80, "back in the command phase");
    return n;
}

static void results_are(const uint8_t *want, unsigned len)
{
    unsigned n = take();

    ck_assert_uint_eq(n, len);
    for (unsigned i = 0; i < len; i++)
        ck_assert_msg(result[i] == want[i], "result byte %u is %02x, not %02x", i, result[i], want[i]);
}
#define RESULT(...) results_are((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Out of reset, motors on, 500 kb/s, drives calibrated; DMA if asked for. */
static void start_controller(bool by_dma)
{
    reset_all();
    out(fdc, FDC_PORTS, 2, 0x3c);
    out(fdc, FDC_INPUT, 0, 0);
    run_for(MS);
    for (unsigned n = 0; n < 4; n++) {
        GIVE(0x08);
        take();
    }
    GIVE(0x03, 0xdf, by_dma ? 0x02 : 0x03);
    out(dma, DMA_16BIT, 2 * 11, 0xc0);
    out(dma, DMA_16BIT, 2 * 10, 0x00);
}

static void new_floppy(uint64_t size, bool by_dma)
{
    new_bench();
    insert(0, size, false, NULL);
    start_controller(by_dma);
}

/* Program channel 2: `mode` 46h reads the disk into memory, 4Ah writes it. */
static void set_dma(unsigned mode, uint32_t at, unsigned len)
{
    out(dma, DMA_8BIT, 10, 6);
    out(dma, DMA_8BIT, 12, 0);
    out(dma, DMA_8BIT, 4, at);
    out(dma, DMA_8BIT, 4, at >> 8);
    out(dma, DMA_PAGES, 1, at >> 16);
    out(dma, DMA_8BIT, 5, len - 1);
    out(dma, DMA_8BIT, 5, (len - 1) >> 8);
    out(dma, DMA_8BIT, 11, mode);
    out(dma, DMA_8BIT, 10, 2);
}

static uint8_t ram(uint32_t at)
{
    return (uint8_t)memory_read(&m->memory, at, 1);
}

static void holds(uint32_t at, uint32_t sector, uint32_t sectors)
{
    for (uint32_t i = 0; i < sectors * 512; i++)
        ck_assert_msg(ram(at + i) == image_byte((uint64_t)sector * 512 + i), "byte %u", i);
}

static void seek_to(uint8_t drive, uint8_t cylinder)
{
    GIVE(0x0f, drive, cylinder);
    run_for(MS);
    GIVE(0x08);
    RESULT(0x20 | drive, cylinder);
}

static void disk_byte_is(uint32_t sector, unsigned at, uint8_t want)
{
    uint8_t b[512];

    ck_assert_int_eq(drive_read(floppy[0], (uint64_t)sector * 512, b, 512, NULL), DRIVE_OK);
    ck_assert_uint_eq(b[at], want);
}

/* ---- DMA ---- */

/* Move `len` bytes of 1, 2, 3... or to nowhere. */
static uint32_t move(unsigned channel, unsigned len, bool *ended)
{
    uint8_t bytes[64];

    for (unsigned i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i + 1);
    return dma_transfer(dma, channel, bytes, len, ended);
}

START_TEST(dma_moves_as_its_mode_says)
{
    bool ended;

    new_bench();
    start_controller(true);
    set_dma(0x46, BUFFER, 4);
    ck_assert_uint_eq(move(2, 3, &ended), 3);
    ck_assert(!ended);
    ck_assert_uint_eq(ram(BUFFER + 2), 3);
    out(dma, DMA_8BIT, 12, 0);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 3);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 0x20);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 5), 0);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 5), 0);
    ck_assert_uint_eq(move(2, 3, &ended), 1);
    ck_assert(ended);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 8) & 0x0f, 4);
    ck_assert_msg((in(dma, DMA_8BIT, 8) & 0x0f) == 0, "read once, it is gone");
    ck_assert_msg(in(dma, DMA_8BIT, 15) & 4, "terminal count masks the channel");
    ck_assert_uint_eq(move(2, 3, &ended), 0);
    set_dma(0x42, BUFFER + 64, 4); /* verify: nothing moves, the address does */
    ck_assert_uint_eq(move(2, 2, &ended), 2);
    ck_assert_uint_eq(ram(BUFFER + 64), 0);
    out(dma, DMA_8BIT, 12, 0);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 0x42);
    set_dma(0x66, BUFFER + 99, 4); /* downwards */
    ck_assert_uint_eq(move(2, 2, &ended), 2);
    ck_assert_uint_eq(ram(BUFFER + 99), 1);
    ck_assert_uint_eq(ram(BUFFER + 98), 2);
    set_dma(0x4e, BUFFER, 4); /* mode 11: none */
    ck_assert_uint_eq(move(2, 2, &ended), 0);
}
END_TEST

START_TEST(dma_autoinitialisation_begins_again)
{
    bool ended;

    new_bench();
    start_controller(true);
    set_dma(0x56, BUFFER, 2);
    ck_assert_uint_eq(move(2, 8, &ended), 2);
    ck_assert(ended);
    ck_assert_uint_eq(move(2, 1, &ended), 1);
    ck_assert(!ended);
    out(dma, DMA_8BIT, 12, 0);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 1);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 0x20);
}
END_TEST

START_TEST(dma_serves_only_what_is_let_through)
{
    bool ended;

    new_bench();
    start_controller(true);
    set_dma(0x46, BUFFER, 8);
    out(dma, DMA_8BIT, 8, 0x04); /* command: disabled */
    ck_assert_uint_eq(move(2, 1, &ended), 0);
    out(dma, DMA_8BIT, 8, 0);
    out(dma, DMA_8BIT, 10, 6);   /* single mask bit */
    ck_assert_uint_eq(move(2, 1, &ended), 0);
    out(dma, DMA_8BIT, 14, 0);   /* clear all masks */
    ck_assert_uint_eq(move(2, 1, &ended), 1);
    out(dma, DMA_8BIT, 15, 0x04); /* all mask bits */
    ck_assert_uint_eq(move(2, 1, &ended), 0);
    out(dma, DMA_8BIT, 15, 0);
    out(dma, DMA_16BIT, 2 * 10, 0x04); /* the cascade */
    ck_assert_uint_eq(move(2, 1, &ended), 0);
    out(dma, DMA_16BIT, 2 * 10, 0x00);
    ck_assert_uint_eq(move(2, 1, &ended), 1);
    out(dma, DMA_8BIT, 13, 0);   /* master clear masks all */
    ck_assert_uint_eq(move(2, 1, &ended), 0);
    dma_request(dma, 2, true);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 8) & 0xf0, 0x40);
    dma_request(dma, 2, false);
    out(dma, DMA_8BIT, 9, 7);    /* a request by software */
    ck_assert_uint_eq(in(dma, DMA_8BIT, 8) & 0xf0, 0x80);
}
END_TEST

START_TEST(dma_address_stays_in_its_page_and_words_are_counted)
{
    bool ended;

    new_bench();
    start_controller(true);
    set_dma(0x46, 0x1ffff, 4);
    ck_assert_uint_eq(move(2, 2, &ended), 2);
    ck_assert_uint_eq(ram(0x1ffff), 1);
    ck_assert_msg(ram(0x10000) == 2 && ram(0x20000) == 0, "no carry into the page register");
    /* Channel 5: words, the page's bit 0 is the address's top bit's. */
    out(dma, DMA_16BIT, 2 * 12, 0);
    out(dma, DMA_16BIT, 2 * 2, 0x34);
    out(dma, DMA_16BIT, 2 * 2, 0x12);
    out(dma, DMA_16BIT, 2 * 3, 1);
    out(dma, DMA_16BIT, 2 * 3, 0);
    out(dma, DMA_PAGES, 11, 0x03);
    out(dma, DMA_16BIT, 2 * 11, 0x45);
    out(dma, DMA_16BIT, 2 * 10, 0x01);
    ck_assert_uint_eq(move(5, 10, &ended), 4);
    ck_assert(ended);
    ck_assert_uint_eq(ram(0x20000 + 2 * 0x1234), 1);
    ck_assert_uint_eq(ram(0x20000 + 2 * 0x1234 + 3), 4);
}
END_TEST

static void dma_tests(TCase *tc)
{
    ADD(dma_moves_as_its_mode_says);
    ADD(dma_autoinitialisation_begins_again);
    ADD(dma_serves_only_what_is_let_through);
    ADD(dma_address_stays_in_its_page_and_words_are_counted);
}

/* ---- registers, reset ---- */

START_TEST(reset_polls_the_drives)
{
    new_bench();
    insert(0, 1440 << 10, false, NULL);
    reset_all();
    ck_assert_uint_eq(in(fdc, FDC_PORTS, 2), 0);
    ck_assert_msg(msr() == 0, "held in reset");
    out(fdc, FDC_PORTS, 2, 0x0c);
    ck_assert_uint_eq(in(fdc, FDC_PORTS, 2), 0x0c);
    ck_assert(!probe[0].level);
    run_for(MS);
    ck_assert(probe[0].level);
    for (unsigned n = 0; n < 4; n++) {
        GIVE(0x08);
        ck_assert(!probe[0].level);
        RESULT((uint8_t)(0xc0 | n), 0);
    }
    GIVE(0x08);
    RESULT(0x80);
    ck_assert_uint_eq(in(fdc, FDC_PORTS, 0), 0xff);
    ck_assert_uint_eq(in(fdc, FDC_PORTS, 1), 0xff);
    out(fdc, FDC_PORTS, 3, 0xfe);
    ck_assert_uint_eq(in(fdc, FDC_PORTS, 3), 0xfe);
    out(fdc, FDC_PORTS, 4, 0x80); /* DSR: reset, which ends by itself */
    run_for(MS);
    ck_assert(probe[0].level);
    GIVE(0x13, 0, 0x10, 0); /* no polling */
    out(fdc, FDC_PORTS, 2, 0x08);
    ck_assert_msg(!probe[0].level && msr() == 0, "a reset takes the interrupt back");
    GIVE(); /* nothing is awaited */
    out(fdc, FDC_PORTS, 2, 0x0c);
    run_for(MS);
    ck_assert_msg(probe[0].level, "a reset takes back that there is none, too");
}
END_TEST

START_TEST(interrupt_needs_the_gate)
{
    new_floppy(1440 << 10, true);
    out(fdc, FDC_PORTS, 2, 0x14);
    GIVE(0x07, 0);
    run_for(MS);
    ck_assert(!probe[0].level);
    out(fdc, FDC_PORTS, 2, 0x1c);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(configuration_survives_a_reset_if_locked)
{
    new_floppy(1440 << 10, true);
    GIVE(0x13, 0, 0x4f, 0x33);
    GIVE(0x12, 0x84 | 0x03); /* D0, GAP, WGATE */
    GIVE(0x94);
    RESULT(0x10);
    GIVE(0x0e);
    RESULT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x87, 0x4f, 0x33);
    out(fdc, FDC_PORTS, 2, 0x38);
    out(fdc, FDC_PORTS, 2, 0x3c);
    GIVE(0x0e);
    RESULT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x84, 0x0f, 0x33);
    GIVE(0x12, 0x00 | 0x3c); /* without OW the drives stay as they are */
    GIVE(0x14);
    RESULT(0x00);
    GIVE(0x0e);
    RESULT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x04, 0x0f, 0x33);
    out(fdc, FDC_PORTS, 2, 0x38);
    out(fdc, FDC_PORTS, 2, 0x3c);
    GIVE(0x0e);
    RESULT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x04, 0x20, 0);
}
END_TEST

START_TEST(version_and_what_is_no_command)
{
    static const uint8_t none[] = {0x00, 0x01, 0x0b, 0x15, 0x17, 0x18, 0x1f, 0x43, 0x90, 0x53, 0xcd, 0xe5};

    new_floppy(1440 << 10, true);
    GIVE(0x10);
    RESULT(0x90);
    for (unsigned i = 0; i < sizeof(none); i++) {
        GIVE(none[i]);
        RESULT(0x80);
    }
}
END_TEST

static void register_tests(TCase *tc)
{
    ADD(reset_polls_the_drives);
    ADD(interrupt_needs_the_gate);
    ADD(configuration_survives_a_reset_if_locked);
    ADD(version_and_what_is_no_command);
}

/* ---- seeks ---- */

START_TEST(seek_and_recalibrate)
{
    new_bench();
    insert(0, 1440 << 10, false, NULL);
    insert(1, 1440 << 10, true, NULL);
    start_controller(true);
    GIVE(0x0f, 0x01, 5);
    GIVE(0x0f, 0x04, 10);
    ck_assert_msg(msr() == 0x83, "both drives seek: %02x", msr());
    run_for(MS);
    ck_assert(probe[0].level);
    GIVE(0x08);
    RESULT(0x24, 10); /* with the side */
    ck_assert_msg(probe[0].level, "there is another one to be told");
    ck_assert_uint_eq(msr(), 0x82);
    GIVE(0x08);
    RESULT(0x21, 5);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(msr(), 0x80);
    GIVE(0x04, 0x00);
    RESULT(0x28);
    GIVE(0x04, 0x05);
    RESULT(0x6d); /* write protected, side 1 */
    GIVE(0x07, 0x01);
    run_for(MS);
    GIVE(0x08);
    RESULT(0x21, 0);
    GIVE(0x04, 0x01);
    RESULT(0x79);
}
END_TEST

START_TEST(relative_seek_wraps_the_number_not_the_heads)
{
    new_floppy(1440 << 10, true);
    GIVE(0xcf, 0, 3); /* inwards */
    run_for(MS);
    GIVE(0x08);
    RESULT(0x20, 3);
    GIVE(0x8f, 0, 4); /* outwards, beyond track 0 */
    run_for(MS);
    GIVE(0x08);
    RESULT(0x20, 0xff);
    GIVE(0x04, 0);
    RESULT(0x38);
}
END_TEST

START_TEST(recalibrate_gives_up)
{
    new_floppy(1722 << 10, true);
    seek_to(0, 83);
    GIVE(0x07, 0);
    run_for(MS);
    GIVE(0x08);
    RESULT(0x70, 0);
    GIVE(0x07, 0);
    run_for(MS);
    GIVE(0x08);
    RESULT(0x20, 0);
    GIVE(0x07, 2); /* nobody there */
    run_for(MS);
    GIVE(0x08);
    RESULT(0x72, 0);
    GIVE(0x04, 2);
    RESULT(0x2a);
}
END_TEST

START_TEST(change_line_is_reset_by_a_step)
{
    const struct drive_insertion none = {.size = 0}, other = {.size = 720 << 10};
    struct error e;

    new_floppy(1440 << 10, true);
    ck_assert_uint_eq(in(fdc, FDC_INPUT, 0) & 0x80, 0x80);
    seek_to(0, 0);
    ck_assert_msg(in(fdc, FDC_INPUT, 0) & 0x80, "no step was made");
    seek_to(0, 1);
    ck_assert_uint_eq(in(fdc, FDC_INPUT, 0) & 0x80, 0);
    drive_insert(floppy[0], &none);
    ck_assert(in(fdc, FDC_INPUT, 0) & 0x80);
    seek_to(0, 2);
    ck_assert_msg(in(fdc, FDC_INPUT, 0) & 0x80, "there is no disk");
    ck_assert_int_eq(drive_can_insert(floppy[0], &other, &e), 0);
    drive_insert(floppy[0], &other);
    ck_assert(in(fdc, FDC_INPUT, 0) & 0x80);
    seek_to(0, 3);
    ck_assert(!(in(fdc, FDC_INPUT, 0) & 0x80));
    out(fdc, FDC_PORTS, 2, 0x3d);
    ck_assert_msg(!(in(fdc, FDC_INPUT, 0) & 0x80), "a drive that is not there");
    ck_assert_int_eq(drive_can_insert(floppy[0], &(struct drive_insertion){.size = 1200 << 10}, &e), -EINVAL);
    ck_assert_int_eq(drive_can_insert(floppy[0], &(struct drive_insertion){.size = 1441 << 10}, &e), -EINVAL);
    ck_assert_int_eq(drive_can_insert(floppy[0], &(struct drive_insertion){.size = 2880 << 10}, &e), -EINVAL);
}
END_TEST

static void seek_tests(TCase *tc)
{
    ADD(seek_and_recalibrate);
    ADD(relative_seek_wraps_the_number_not_the_heads);
    ADD(recalibrate_gives_up);
    ADD(change_line_is_reset_by_a_step);
}

/* ---- reading and writing ---- */

START_TEST(read_by_dma_ends_with_terminal_count)
{
    new_floppy(1440 << 10, true);
    seek_to(0, 2);
    set_dma(0x46, BUFFER, 1024);
    GIVE(0x46, 0x04, 2, 1, 3, 2, 18, 0x1b, 0xff);
    ck_assert_uint_eq(msr(), 0x10);
    run_for(MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(msr(), 0xd0);
    in(fdc, FDC_PORTS, 5);
    ck_assert_msg(!probe[0].level, "reading the first byte of the result takes the interrupt back");
    ck_assert_uint_eq(take(), 6);
    ck_assert_uint_eq(result[4], 5); /* the next sector */
    holds(BUFFER, (2 * 2 + 1) * 18 + 2, 2);
    ck_assert_uint_eq(ram(BUFFER + 1024), 0);
}
END_TEST

START_TEST(what_follows_the_last_sector_is_as_table_5_6_has_it)
{
    new_floppy(1440 << 10, true);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 1, 0, 1, 2);
    set_dma(0x46, BUFFER, 512);
    GIVE(0xc6, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
    run_for(MS);
    take();
    ck_assert_uint_eq(result[0] & 0xc0, 0);
    ck_assert(result[3] == 0 && result[4] == 1 && result[5] == 1);
    set_dma(0x46, BUFFER, 512);
    GIVE(0xc6, 4, 0, 1, 18, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x04, 0, 0, 1, 0, 1, 2);
    /* From one side to the other. */
    set_dma(0x46, BUFFER, 2048);
    GIVE(0xc6, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x04, 0, 0, 0, 1, 3, 2);
    holds(BUFFER, 16, 4);
    /* Without terminal count: the end of the cylinder. */
    set_dma(0x46, BUFFER, 2048);
    GIVE(0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x40, 0x80, 0, 1, 0, 1, 2);
}
END_TEST

START_TEST(write_by_dma_is_read_back)
{
    new_floppy(1440 << 10, true);
    for (unsigned i = 0; i < 1000; i++)
        memory_write(&m->memory, BUFFER + i, 1, 0x5a);
    set_dma(0x4a, BUFFER, 1000); /* the rest of a sector is filled with zeros */
    GIVE(0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 4, 2);
    disk_byte_is(1, 0, 0x5a);
    disk_byte_is(2, 487, 0x5a);
    disk_byte_is(2, 488, 0);
    disk_byte_is(3, 0, 3);
}
END_TEST

START_TEST(a_protected_disk_is_not_written)
{
    new_bench();
    insert(0, 1440 << 10, true, NULL);
    start_controller(true);
    set_dma(0x4a, BUFFER, 512);
    GIVE(0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x40, 0x02, 0, 0, 0, 2, 2);
    GIVE(0x4d, 0, 2, 18, 0x54, 0xf6);
    run_for(MS);
    take();
    ck_assert_uint_eq(result[1], 0x02);
    GIVE(0x04, 0);
    RESULT(0x78);
}
END_TEST

START_TEST(ids_that_are_not_there)
{
    static const struct drive_fault fault = {7, 1};

    new_bench();
    insert(0, 1440 << 10, false, &fault);
    start_controller(true);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 0, 0, 19, 2, 19, 0x1b, 0xff); /* no such sector */
    run_for(MS);
    RESULT(0x40, 0x04, 0, 0, 0, 19, 2);
    GIVE(0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* another cylinder */
    run_for(MS);
    RESULT(0x40, 0x04, 0x10, 1, 0, 1, 2);
    GIVE(0x46, 0, 0, 1, 1, 2, 18, 0x1b, 0xff); /* another side */
    run_for(MS);
    RESULT(0x40, 0x04, 0, 0, 1, 1, 2);
    GIVE(0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff); /* another size */
    run_for(MS);
    RESULT(0x40, 0x04, 0, 0, 0, 1, 3);
    GIVE(0x06, 0, 0, 0, 1, 2, 18, 0x1b, 0xff); /* FM */
    run_for(MS);
    RESULT(0x40, 0x01, 0, 0, 0, 1, 2);
    GIVE(0x46, 0, 0, 0, 8, 2, 18, 0x1b, 0xff); /* a bad sector */
    run_for(MS);
    RESULT(0x40, 0x20, 0x20, 0, 0, 8, 2);
    seek_to(0, 80); /* beyond the last track */
    GIVE(0x4a, 0);
    run_for(MS);
    take();
    ck_assert(result[0] == 0x40 && result[1] == 0x01);
    out(fdc, FDC_INPUT, 0, 2); /* the wrong rate */
    seek_to(0, 0);
    GIVE(0x4a, 0);
    run_for(MS);
    take();
    ck_assert(result[0] == 0x40 && result[1] == 0x01);
    out(fdc, FDC_PORTS, 4, 0);
    GIVE(0x4a, 4);
    run_for(MS);
    take();
    ck_assert(result[0] == 4 && result[3] == 0 && result[4] == 1 && result[5] >= 1 && result[5] <= 18 && result[6] == 2);
}
END_TEST

START_TEST(without_index_pulses_a_command_waits_for_a_reset)
{
    new_bench();
    insert(0, 0, false, NULL);
    start_controller(true);
    GIVE(0x4a, 0);
    run_for(10000 * MS);
    ck_assert_uint_eq(msr(), 0x10);
    out(fdc, FDC_PORTS, 2, 0x38);
    out(fdc, FDC_PORTS, 2, 0x3c);
    run_for(MS);
    ck_assert(probe[0].level);
    new_floppy(1440 << 10, true);
    out(fdc, FDC_PORTS, 2, 0x0c); /* the motor stands */
    GIVE(0x4a, 0);
    run_for(10000 * MS);
    ck_assert_uint_eq(msr(), 0x10);
}
END_TEST

START_TEST(who_does_not_serve_overruns)
{
    new_floppy(1440 << 10, true);
    set_dma(0x46, BUFFER, 512);
    out(dma, DMA_8BIT, 10, 6);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(100 * MS);
    ck_assert_uint_eq(msr(), 0x10);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 8) & 0x40, 0x40);
    out(dma, DMA_8BIT, 10, 2); /* not too late */
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 2, 2);
    holds(BUFFER, 0, 1);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(2000 * MS);
    RESULT(0x40, 0x10, 0, 0, 0, 1, 2);
}
END_TEST

START_TEST(deleted_data_are_marked)
{
    new_floppy(1440 << 10, true);
    set_dma(0x4a, BUFFER, 512);
    GIVE(0x49, 0, 0, 0, 3, 2, 18, 0x1b, 0xff); /* WRITE DELETED DATA */
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 4, 2);
    set_dma(0x46, BUFFER, 2048);
    GIVE(0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff); /* read up to it, and stop */
    run_for(MS);
    RESULT(0x00, 0, 0x40, 0, 0, 3, 2);
    set_dma(0x46, BUFFER, 1024);
    GIVE(0x66, 0, 0, 0, 2, 2, 18, 0x1b, 0xff); /* skip it */
    run_for(MS);
    RESULT(0x00, 0, 0x40, 0, 0, 5, 2);
    holds(BUFFER, 1, 1);
    holds(BUFFER + 512, 3, 1);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x4c, 0, 0, 0, 3, 2, 18, 0x1b, 0xff); /* READ DELETED DATA */
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 4, 2);
    set_dma(0x46, BUFFER, 2048);
    GIVE(0x4c, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0x40, 0, 0, 2, 2);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x6c, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0x40, 0, 0, 4, 2);
    set_dma(0x4a, BUFFER, 512);
    GIVE(0x45, 0, 0, 0, 3, 2, 18, 0x1b, 0xff); /* written again: not deleted any more */
    run_for(MS);
    take();
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 4, 2);
}
END_TEST

START_TEST(read_track_takes_sectors_as_they_come)
{
    new_floppy(1440 << 10, true);
    seek_to(0, 1);
    set_dma(0x46, BUFFER, 18 * 512);
    GIVE(0x42, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(MS);
    take();
    ck_assert(result[0] == 0 && result[1] == 0);
    holds(BUFFER, 36, 18);
    set_dma(0x46, BUFFER, 512 * 20);
    GIVE(0x42, 0, 1, 0, 5, 2, 2, 0x1b, 0xff);
    run_for(MS);
    take();
    ck_assert_msg(result[1] == 0x04, "its ID was not the one asked for");
    holds(BUFFER, 36, 2);
}
END_TEST

START_TEST(format_fills_the_track)
{
    new_floppy(1440 << 10, true);
    seek_to(0, 1);
    for (unsigned i = 0; i < 18; i++) {
        memory_write(&m->memory, BUFFER + 4 * i, 1, 1);
        memory_write(&m->memory, BUFFER + 4 * i + 1, 1, 1);
        memory_write(&m->memory, BUFFER + 4 * i + 2, 1, (i * 7) % 18 + 1); /* interleaved */
        memory_write(&m->memory, BUFFER + 4 * i + 3, 1, 2);
    }
    set_dma(0x4a, BUFFER, 72);
    GIVE(0x4d, 4, 2, 18, 0x54, 0xf6);
    run_for(MS);
    ck_assert_uint_eq(take(), 7);
    ck_assert(result[0] == 4 && result[1] == 0 && result[2] == 0);
    disk_byte_is(54, 0, 0xf6);
    disk_byte_is(71, 511, 0xf6);
    disk_byte_is(53, 0, 53);
    disk_byte_is(72, 0, 72);
}
END_TEST

START_TEST(verify_moves_nothing)
{
    static const struct drive_fault fault = {9, 1};

    new_bench();
    insert(0, 1440 << 10, false, &fault);
    start_controller(true);
    GIVE(0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 4); /* EC: four sectors */
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 5, 2);
    GIVE(0x56, 0x00, 0, 0, 1, 2, 8, 0x1b, 0xff); /* up to EOT */
    run_for(MS);
    RESULT(0x00, 0, 0, 1, 0, 1, 2);
    GIVE(0x56, 0x00, 0, 0, 9, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x40, 0x20, 0x20, 0, 0, 10, 2);
    GIVE(0xd6, 0x80, 0, 0, 18, 2, 18, 0x1b, 3); /* on both sides */
    run_for(MS);
    take();
    ck_assert(!(result[0] & 0xc0) && result[4] == 1 && result[5] == 3);
}
END_TEST

/* What SCAN says of sector 1 of cylinder 0 against memory. */
static uint8_t scan(uint8_t op)
{
    set_dma(0x4a, BUFFER, 512);
    GIVE(op, 0, 0, 0, 2, 2, 2, 0x1b, 1);
    run_for(MS);
    ck_assert_uint_eq(take(), 7);
    ck_assert_uint_eq(result[0], 0);
    return result[2];
}

START_TEST(scan_compares)
{
    uint8_t b;

    new_floppy(1440 << 10, true);
    for (unsigned i = 0; i < 512; i++)
        memory_write(&m->memory, BUFFER + i, 1, image_byte(512 + i));
    ck_assert_uint_eq(scan(0x51), 0x08);
    ck_assert_uint_eq(scan(0x59), 0x08);
    ck_assert_uint_eq(scan(0x5d), 0x08);
    b = image_byte(512 + 100);
    ck_assert(b > 1 && b < 0xfe);
    memory_write(&m->memory, BUFFER + 100, 1, b + 1u); /* the disk has less */
    ck_assert_uint_eq(scan(0x51), 0x04);
    ck_assert_uint_eq(scan(0x59), 0x00);
    ck_assert_uint_eq(scan(0x5d), 0x04);
    memory_write(&m->memory, BUFFER + 100, 1, b - 1u);
    ck_assert_uint_eq(scan(0x51), 0x04);
    ck_assert_uint_eq(scan(0x59), 0x04);
    ck_assert_uint_eq(scan(0x5d), 0x00);
    memory_write(&m->memory, BUFFER + 100, 1, 0xff); /* matches everything */
    ck_assert_uint_eq(scan(0x51), 0x08);
}
END_TEST

START_TEST(implied_seek)
{
    new_floppy(1440 << 10, true);
    GIVE(0x13, 0, 0x60, 0);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 40, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 40, 0, 2, 2);
    holds(BUFFER, 40 * 36, 1);
    GIVE(0x08);
    RESULT(0x80); /* no interrupt of its own */
    GIVE(0x0e);
    take();
    ck_assert_uint_eq(result[0], 40);
}
END_TEST

static void transfer_tests(TCase *tc)
{
    ADD(read_by_dma_ends_with_terminal_count);
    ADD(what_follows_the_last_sector_is_as_table_5_6_has_it);
    ADD(write_by_dma_is_read_back);
    ADD(a_protected_disk_is_not_written);
    ADD(ids_that_are_not_there);
    ADD(without_index_pulses_a_command_waits_for_a_reset);
    ADD(who_does_not_serve_overruns);
    ADD(deleted_data_are_marked);
    ADD(read_track_takes_sectors_as_they_come);
    ADD(format_fills_the_track);
    ADD(verify_moves_nothing);
    ADD(scan_compares);
    ADD(implied_seek);
}

/* ---- without DMA ---- */

/* Read or write `len` bytes through the FIFO, polling; how many interrupts there were. */
static unsigned by_pio(bool write, uint8_t *bytes, unsigned len)
{
    unsigned before = probe[0].rises;

    for (unsigned i = 0; i < len; i++) {
        for (unsigned k = 0; !(msr() & 0x80u) && k < 1000; k++)
            run_for(1000);
        ck_assert_msg((msr() & 0xf0u) == (write ? 0xb0 : 0xf0), "byte %u: %02x", i, msr());
        ck_assert(probe[0].level);
        if (write)
            out(fdc, FDC_PORTS, 5, bytes[i]);
        else
            bytes[i] = in(fdc, FDC_PORTS, 5);
    }
    return probe[0].rises - before;
}

START_TEST(reads_and_writes_without_dma)
{
    uint8_t bytes[1024];

    new_floppy(1440 << 10, false);
    GIVE(0x46, 0, 0, 0, 5, 2, 6, 0x1b, 0xff);
    ck_assert_uint_eq(msr(), 0x30);
    ck_assert_uint_eq(by_pio(false, bytes, 1024), 1024 + 1); /* without the FIFO, for each byte; and at the end */
    run_for(MS);
    ck_assert(probe[0].level);
    RESULT(0x40, 0x80, 0, 1, 0, 1, 2); /* nothing says TC here */
    for (unsigned i = 0; i < 1024; i++)
        ck_assert_uint_eq(bytes[i], image_byte(4 * 512 + i));
    GIVE(0x13, 0, 0x08, 0); /* the FIFO, half full */
    memset(bytes, 0xa5, sizeof(bytes));
    GIVE(0x45, 0, 0, 0, 5, 2, 6, 0x1b, 0xff);
    run_for(MS);
    ck_assert_uint_eq(by_pio(true, bytes, 1024), 127 + 1); /* the first was there */
    run_for(MS);
    RESULT(0x40, 0x80, 0, 1, 0, 1, 2);
    disk_byte_is(4, 0, 0xa5);
    disk_byte_is(5, 511, 0xa5);
    disk_byte_is(6, 0, 6);
}
END_TEST

START_TEST(formats_without_dma)
{
    new_floppy(1440 << 10, false);
    GIVE(0x4d, 0, 2, 18, 0x54, 0xe5);
    for (unsigned i = 1; i <= 18; i++) {
        uint8_t id[4] = {0, 0, (uint8_t)i, 2};

        by_pio(true, id, 4);
    }
    run_for(MS);
    ck_assert_uint_eq(take(), 7);
    ck_assert_uint_eq(result[0], 0);
    disk_byte_is(17, 511, 0xe5);
}
END_TEST

static void pio_tests(TCase *tc)
{
    ADD(reads_and_writes_without_dma);
    ADD(formats_without_dma);
}

/* ---- media ---- */

START_TEST(every_format_is_read_to_its_end)
{
    static const struct {
        unsigned kib, cylinders, heads, sectors, rate, kind;
    } formats[] = {
        {160, 40, 1, 8, 2, FDC_360K},    {180, 40, 1, 9, 2, FDC_360K},    {320, 40, 2, 8, 2, FDC_360K},
        {360, 40, 2, 9, 2, FDC_360K},    {720, 80, 2, 9, 2, FDC_1440K},   {1200, 80, 2, 15, 0, FDC_1200K},
        {1440, 80, 2, 18, 0, FDC_1440K}, {1680, 80, 2, 21, 0, FDC_1440K}, {1722, 82, 2, 21, 0, FDC_1440K},
        {2880, 80, 2, 36, 3, FDC_2880K},
    };

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        uint8_t c = (uint8_t)(formats[i].cylinders - 1), h = (uint8_t)(formats[i].heads - 1), r = (uint8_t)formats[i].sectors;

        new_floppy((uint64_t)formats[i].kib << 10, true);
        ck_assert_uint_eq(wiring.kind[0], formats[i].kind);
        out(fdc, FDC_INPUT, 0, formats[i].rate);
        seek_to(0, c);
        set_dma(0x46, BUFFER, 512);
        GIVE(0x46, (uint8_t)(h << 2), c, h, r, 2, r, 0x1b, 0xff);
        run_for(MS);
        ck_assert_uint_eq(take(), 7);
        ck_assert_msg(result[0] == h << 2, "%u KiB: %02x %02x %02x", formats[i].kib, result[0], result[1], result[2]);
        holds(BUFFER, formats[i].kib * 2 - 1, 1);
    }
}
END_TEST

START_TEST(a_360k_disk_in_a_1200k_drive_needs_two_steps)
{
    new_floppy(1200 << 10, true);
    drive_insert(floppy[0], &(struct drive_insertion){.size = 360 << 10});
    out(fdc, FDC_INPUT, 0, 1); /* 300 kb/s */
    seek_to(0, 6);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 3, 0, 1, 2, 9, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 3, 0, 2, 2);
    ck_assert_uint_eq(ram(BUFFER), 3 * 18);
    seek_to(0, 7);
    GIVE(0x4a, 0);
    run_for(MS);
    take();
    ck_assert_uint_eq(result[1], 0x01);
}
END_TEST

START_TEST(another_disk_keeps_what_was_written_to_the_first)
{
    new_floppy(1440 << 10, true);
    memory_write(&m->memory, BUFFER, 1, 0x77);
    set_dma(0x4a, BUFFER, 512);
    GIVE(0x49, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(MS);
    take();
    disk_byte_is(0, 0, 0x77);
    drive_insert(floppy[0], &(struct drive_insertion){.size = 1440 << 10});
    disk_byte_is(0, 0, 0);
    set_dma(0x46, BUFFER, 512);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    run_for(MS);
    RESULT(0x00, 0, 0, 0, 0, 2, 2); /* no mark on this one */
}
END_TEST

START_TEST(what_is_no_floppy_is_refused)
{
    const struct drive_config c = {.name = "f", .media = DRIVE_FLOPPY, .sector_size = 512, .size = 820 * 512, .latency_ns = 1};
    struct drive *d;
    struct error e;

    new_bench();
    ck_assert_int_eq(drive_create(&d, m, &c, &e), 0);
    ck_assert_int_eq(fdc_plug(fdc, d, 0, &e), -EINVAL);
    insert(0, 1440 << 10, false, NULL);
    ck_assert_int_eq(fdc_plug(fdc, floppy[0], 0, &e), -EINVAL);
    ck_assert_int_eq(fdc_plug(fdc, floppy[0], 2, &e), -EINVAL);
}
END_TEST

/* Whatever is written wherever: no crash, and time goes on. */
START_TEST(random_bytes_do_no_harm)
{
    uint32_t x = 12345;

    new_bench();
    insert(0, 1440 << 10, false, NULL);
    insert(1, 360 << 10, true, NULL);
    start_controller(true);
    for (unsigned i = 0; i < 200000; i++) {
        x = x * 1664525u + 1013904223u;
        if (x >> 28 < 9)
            out(fdc, FDC_PORTS, 5, x >> 12 & (x & 8 ? 0xff : 0x5f));
        else if (x >> 28 < 12)
            in(fdc, FDC_PORTS, 5);
        else if (x >> 28 == 12)
            out(fdc, FDC_PORTS, 2, 0x3c | (x >> 12 & 3));
        else if (x >> 28 == 13)
            set_dma(x >> 8 & 0xff, x >> 4 & 0x3ffff, (x >> 10 & 0xfff) + 1);
        else
            run_for(x >> 10 & 0xfffff);
        if (i % 1000 == 999)
            out(fdc, FDC_PORTS, 2, 0x38);
        if (i % 1000 == 999)
            out(fdc, FDC_PORTS, 2, 0x3c);
        ck_assert(fdc_ops.possible(fdc));
    }
}
END_TEST

static void media_tests(TCase *tc)
{
    ADD(every_format_is_read_to_its_end);
    ADD(a_360k_disk_in_a_1200k_drive_needs_two_steps);
    ADD(another_disk_keeps_what_was_written_to_the_first);
    ADD(what_is_no_floppy_is_refused);
    ADD(random_bytes_do_no_harm);
}

CHIP_TESTS("floppy", dma_tests, register_tests, seek_tests, transfer_tests, pio_tests, media_tests)
