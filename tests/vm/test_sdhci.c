/*
 * SD host controller and card: identification, registers, data by port, SDMA and ADMA2, errors, interrupts, nonsense.
 */
#include "tests/vm/disk_bench.h"

#include <errno.h>

#include "base/option_list.h"
#include "vm/dev/sd.h"
#include "vm/dev/sdhci.h"

#define BAR      0x10010000u
#define DATA_AT  0x20000u
#define TABLE_AT 0x4000u

static struct device *host;
static struct pci_function *f;

static void put(unsigned reg, unsigned size, uint64_t value)
{
    memory_write(&m->memory, BAR + reg, size, value);
}

static uint32_t get(unsigned reg, unsigned size)
{
    return (uint32_t)memory_read(&m->memory, BAR + reg, size);
}

/* A controller, with a card of DISK_SECTORS if asked for. */
static void new_host(bool card, const struct drive_fault *fault)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e = {0};

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "x", "driver", NULL, &e), 0);
    ck_assert_int_eq(sdhci_plug(&s, "sd", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    if (card)
        ck_assert_msg(sd_card_plug(&s, "", 0, new_drive("d0", DRIVE_DISK, fault), &props, &e) == 0, "%s", e.text);
    option_list_finish(&props);
    host = machine_find_device(m, "sd");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    put(0x2c, 2, 0x0405);
    put(0x34, 4, 0xffffffff);
    put(0x38, 4, 0xffffffff);
}

/* A command with its response type, in the controller's words. Returns the normal status, which is cleared. */
static uint32_t command(unsigned index, uint32_t argument, unsigned flags)
{
    uint32_t status;

    put(0x08, 4, argument);
    put(0x0e, 2, index << 8 | flags);
    run_for(10 * MS);
    status = get(0x30, 2);
    put(0x30, 2, status);
    return status;
}

static uint32_t application(unsigned index, uint32_t argument, unsigned flags)
{
    ck_assert_uint_eq(command(55, 0x45670000, 0x1a) & 0x8001, 1);
    return command(index, argument, flags);
}

/* To the transfer state. */
static void identify(void)
{
    command(0, 0, 0);
    ck_assert_uint_eq(command(8, 0x1aa, 0x1a), 1);
    ck_assert_uint_eq(get(0x10, 4), 0x1aa);
    ck_assert_uint_eq(command(55, 0, 0x1a), 1);
    ck_assert_uint_eq(get(0x10, 4), 0x120); /* idle, ready for data, APP_CMD */
    ck_assert_uint_eq(command(41, 0x40ff8000, 0x02), 1);
    ck_assert_uint_eq(get(0x10, 4), 0x80ff8000);
    ck_assert_uint_eq(command(2, 0, 0x09), 1);
    ck_assert_uint_eq(get(0x1c, 4) >> 16, 0x00aa); /* the manufacturer's number is the last byte */
    ck_assert_uint_eq(command(3, 0, 0x1a), 1);
    ck_assert_uint_eq(get(0x10, 4) >> 16, 0x4567);
    ck_assert_uint_eq(command(9, 0x45670000, 0x09), 1);
    ck_assert_uint_eq(command(7, 0x45670000, 0x1b), 3); /* with the end of busy */
}

static void card_state_is(unsigned want)
{
    ck_assert_uint_eq(command(13, 0x45670000, 0x1a) & 1, 1);
    ck_assert_uint_eq(get(0x10, 4) >> 9 & 15, want);
}

static void blocks(unsigned size, unsigned count, unsigned mode)
{
    put(0x04, 2, size);
    put(0x06, 2, count);
    put(0x0c, 2, mode);
}

START_TEST(registers_are_those_of_version_3)
{
    new_host(true, NULL);
    ck_assert_uint_eq(get(0x40, 4), 0x016834b4);
    ck_assert_uint_eq(get(0xfe, 2), 2);
    ck_assert_uint_eq(get(0x24, 4) & 0x000f0003, 0x000f0000);
    ck_assert_uint_eq(get(0x2c, 2), 0x0407); /* the clock is stable */
    put(0x28, 1, 0xff);
    ck_assert_uint_eq(get(0x28, 1), 0xff);
    put(0x2f, 1, 1);
    ck_assert_uint_eq(get(0x28, 1), 0);
    ck_assert_uint_eq(get(0x34, 4), 0);
    ck_assert_uint_eq(get(0x2f, 1), 0);
    ck_assert_uint_eq(pci_config_read(f, 0x40, 1), 0); /* one slot, at BAR 0 */
    put(0x36, 2, 0xffff);
    put(0x52, 2, 0x0202);
    ck_assert_uint_eq(get(0x32, 2), 0x0202);
    ck_assert_uint_eq(get(0x30, 2), 0x8000);
    ck_assert_uint_eq(get(0xfc, 2), 0);
    put(0x3a, 2, 0x0200);
    ck_assert(probe[3].level && get(0xfc, 2) == 1);
    put(0x32, 2, 0x0202);
    ck_assert(!probe[3].level);
    pci_config_write(f, 0x10, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(f, 0x10, 4), 0xffffff00);
}
END_TEST

START_TEST(an_empty_slot_does_not_answer)
{
    new_host(false, NULL);
    ck_assert_uint_eq(get(0x24, 4) & 0x000f0000, 0);
    ck_assert_uint_eq(command(8, 0x1aa, 0x1a), 0x8000);
    ck_assert_uint_eq(get(0x32, 2), 1);
}
END_TEST

START_TEST(the_card_says_what_it_is)
{
    new_host(true, NULL);
    identify();
    card_state_is(4);
    ck_assert_uint_eq(command(7, 0, 0) & 0x8000, 0); /* deselected */
    card_state_is(3);
    command(9, 0x45670000, 0x09);
    /* CSD 1: READ_BL_LEN 9, C_SIZE 7 (8 times 256 KiB), C_SIZE_MULT 7 */
    ck_assert_uint_eq(get(0x1c, 4) >> 22 & 3, 0);
    ck_assert_uint_eq(get(0x18, 4) >> 8 & 15, 9);
    ck_assert_uint_eq((get(0x18, 4) & 3) << 10 | get(0x14, 4) >> 22, DISK_SECTORS / 512 - 1);
    ck_assert_uint_eq(get(0x14, 4) >> 7 & 7, 7);
    command(10, 0x45670000, 0x09);
    ck_assert_uint_eq(get(0x18, 4), 0x68636172); /* "hcar" of the product's name, from its first letter down */
    command(7, 0x45670000, 0x1b);
    application(6, 2, 0x1a);
    blocks(8, 1, 0x10);
    ck_assert_uint_eq(application(51, 0, 0x3a) & 0x21, 0x21);
    ck_assert_uint_eq(get(0x20, 4), 0x02800502);
    ck_assert_uint_eq(get(0x20, 4), 0);
    ck_assert_uint_eq(get(0x30, 2), 2);
    blocks(64, 1, 0x10);
    application(13, 0, 0x3a);
    ck_assert_uint_eq(get(0x20, 4), 0x80); /* four lines */
    for (unsigned i = 0; i < 15; i++)
        get(0x20, 4);
    blocks(64, 1, 0x10);
    command(6, 0x80fffff1, 0x3a); /* high speed */
    for (unsigned i = 0; i < 4; i++)
        get(0x20, 4);
    ck_assert_uint_eq(get(0x20, 4) & 0xff, 1);
    for (unsigned i = 0; i < 11; i++)
        get(0x20, 4);
    card_state_is(4);
    ck_assert_uint_eq(command(58, 0, 0x1a), 0x8000); /* SPI's */
    put(0x32, 2, 0xffff);
    command(13, 0x45670000, 0x1a);
    ck_assert_uint_eq(get(0x10, 4) & 0x400000, 0x400000);
    command(13, 0x45670000, 0x1a);
    ck_assert_msg(!(get(0x10, 4) & 0x400000), "told once");
}
END_TEST

START_TEST(data_go_through_the_port)
{
    new_host(true, NULL);
    identify();
    blocks(512, 2, 0x36 & ~1); /* two blocks, Auto CMD12 */
    ck_assert_uint_eq(command(18, 40 * 512, 0x3a) & 0x21, 0x21);
    for (unsigned n = 0; n < 2; n++) {
        ck_assert_uint_eq(get(0x24, 4) & 0x800, 0x800);
        for (unsigned i = 0; i < 512; i += 4) {
            uint32_t word = get(0x20, 4);

            for (unsigned k = 0; k < 4; k++)
                ck_assert_uint_eq(word >> (8 * k) & 0xff, image_byte((40 + n) * 512 + i + k, 512));
        }
        run_for(10 * MS);
    }
    ck_assert_uint_eq(get(0x30, 2) & 2, 2);
    ck_assert_uint_eq(get(0x06, 2), 0);
    put(0x30, 2, 0xffff);
    card_state_is(4);
    blocks(512, 1, 0x00);
    ck_assert_uint_eq(command(24, 50 * 512, 0x3a) & 0x11, 0x11);
    for (unsigned i = 0; i < 512; i += 2)
        put(0x20, 2, i);
    run_for(10 * MS);
    ck_assert_uint_eq(get(0x30, 2) & 2, 2);
    put(0x30, 2, 0xffff);
    blocks(512, 1, 0x10);
    command(17, 50 * 512, 0x3a);
    ck_assert_uint_eq(get(0x20, 4), 0x00020000);
    for (unsigned i = 1; i < 128; i++)
        get(0x20, 4);
    /* Without a count, until it is stopped. */
    blocks(512, 0, 0x30);
    put(0x30, 2, 0xffff);
    command(18, 0, 0x3a);
    for (unsigned i = 0; i < 128 * 3; i++) {
        get(0x20, 4);
        run_for(MS);
    }
    card_state_is(5);
    ck_assert_uint_eq(command(12, 0, 0xdb) & 3, 3);
    card_state_is(4);
}
END_TEST

START_TEST(sdma_stops_at_its_boundaries)
{
    new_host(true, NULL);
    identify();
    put(0x00, 4, DATA_AT);
    blocks(512 | 0 << 12, 16, 0x37);
    ck_assert_uint_eq(command(18, 64 * 512, 0x3a), 0x9); /* 4 KiB are there */
    ck_assert_uint_eq(get(0x00, 4), DATA_AT + 0x1000);
    ck_assert_uint_eq(get(0x06, 2), 8);
    put(0x00, 4, DATA_AT + 0x2000); /* goes on elsewhere */
    run_for(10 * MS);
    ck_assert_uint_eq(get(0x30, 2), 0x2);
    ck_assert(holds_image(DATA_AT, 64 * 512, 4096, 512));
    ck_assert(holds_image(DATA_AT + 0x2000, 72 * 512, 4096, 512));
    put(0x30, 2, 2);
    poke32(DATA_AT, 0xfeed);
    put(0x00, 4, DATA_AT);
    blocks(512 | 7 << 12, 1, 0x01);
    ck_assert_uint_eq(command(24, 5 * 512, 0x3a), 3);
    put(0x00, 4, DATA_AT);
    blocks(512 | 7 << 12, 1, 0x11);
    poke32(DATA_AT, 0);
    ck_assert_uint_eq(command(17, 5 * 512, 0x3a), 3);
    ck_assert_uint_eq(peek32(DATA_AT), 0xfeed);
}
END_TEST

static void descriptor(unsigned n, unsigned attributes, unsigned len, uint32_t address)
{
    poke32(TABLE_AT + 8 * n, attributes | len << 16);
    poke32(TABLE_AT + 8 * n + 4, address);
}

START_TEST(adma_follows_its_descriptors)
{
    new_host(true, NULL);
    identify();
    put(0x28, 1, 0x10);
    put(0x58, 4, TABLE_AT);
    descriptor(0, 0x21, 700, DATA_AT);
    descriptor(1, 0x01, 0, 0);                       /* nothing */
    descriptor(2, 0x31, 0, TABLE_AT + 8 * 5);        /* elsewhere */
    descriptor(5, 0x25, 836, DATA_AT + 0x1000);      /* with an interrupt */
    descriptor(6, 0x23, 512, DATA_AT + 0x3000);
    blocks(512, 4, 0x33 | 0x08);                     /* Auto CMD23, by the argument at 0 */
    put(0x00, 4, 4);
    ck_assert_uint_eq(command(18, 80 * 512, 0x3a), 0xb);
    ck_assert(holds_image(DATA_AT, 80 * 512, 700, 512));
    ck_assert(holds_image(DATA_AT + 0x1000, 80 * 512 + 700, 836, 512));
    ck_assert(holds_image(DATA_AT + 0x3000, 83 * 512, 512, 512));
    card_state_is(4);
    blocks(512, 8, 0x37); /* more than the descriptors have */
    put(0x58, 4, TABLE_AT);
    ck_assert_uint_eq(command(18, 80 * 512, 0x3a) & 0x8001, 0x8001);
    ck_assert_uint_eq(get(0x32, 2), 0x200);
    ck_assert_uint_eq(get(0x54, 1) & 4, 4);
    put(0x32, 2, 0xffff);
    command(12, 0, 0xdb);
    put(0x58, 4, TABLE_AT + 8 * 4); /* not valid */
    blocks(512, 1, 0x11);
    command(17, 0, 0x3a);
    ck_assert_uint_eq(get(0x32, 2), 0x200);
    ck_assert_uint_eq(get(0x58, 4), TABLE_AT + 8 * 4);
    put(0x32, 2, 0xffff);
    descriptor(0, 0x31, 0, TABLE_AT); /* a loop */
    put(0x58, 4, TABLE_AT);
    command(12, 0, 0xdb);
    put(0x32, 2, 0xffff);
    command(17, 0, 0x3a);
    ck_assert_uint_eq(get(0x32, 2), 0x200);
}
END_TEST

START_TEST(errors_are_told)
{
    static const struct drive_fault bad = {.first = 33, .count = 1};

    new_host(true, &bad);
    identify();
    put(0x00, 4, DATA_AT);
    blocks(512 | 7 << 12, 2, 0x37);
    ck_assert_uint_eq(command(18, 32 * 512, 0x3a), 0x8001);
    ck_assert_uint_eq(get(0x32, 2), 0x20);
    put(0x32, 2, 0xffff);
    command(13, 0x45670000, 0x1a);
    ck_assert_uint_eq(get(0x10, 4) & 0x00200000, 0x00200000); /* CARD_ECC_FAILED */
    blocks(512, 1, 0x11);
    ck_assert_uint_eq(command(17, DISK_SECTORS * 512, 0x3a) & 0x8001, 0x8001);
    ck_assert_uint_eq(get(0x10, 4) & 0x80000000, 0x80000000);
    ck_assert_uint_eq(get(0x32, 2), 0x10);
}
END_TEST

START_TEST(erasing)
{
    new_host(true, NULL);
    identify();
    command(38, 0, 0x1b);
    ck_assert_uint_eq(get(0x10, 4) & 0x10000000, 0x10000000); /* out of sequence */
    command(32, 10 * 512, 0x1a);
    command(33, 11 * 512, 0x1a);
    ck_assert_uint_eq(command(38, 0, 0x1b), 3);
    put(0x00, 4, DATA_AT);
    blocks(512 | 7 << 12, 4, 0x37);
    command(18, 9 * 512, 0x3a);
    ck_assert(holds_image(DATA_AT, 9 * 512, 512, 512));
    ck_assert_uint_eq(peek32(DATA_AT + 512) | peek32(DATA_AT + 1020 + 512), 0);
    ck_assert(holds_image(DATA_AT + 1536, 12 * 512, 512, 512));
}
END_TEST

START_TEST(large_cards_count_blocks)
{
    struct drive_config c = {.name = "large", .sector_size = 512, .size = (uint64_t)4 << 30, .latency_ns = 1};
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct drive *d;
    struct error e;

    new_host(false, NULL);
    s.machine = m;
    ck_assert_int_eq(drive_create(&d, m, &c, &e), 0);
    ck_assert_int_eq(option_list_parse(&props, "--device", "x", "driver", NULL, &e), 0);
    ck_assert_int_eq(sd_card_plug(&s, "", 0, d, &props, &e), 0);
    ck_assert_int_eq(sd_card_plug(&s, "", 0, d, &props, &e), -ENODEV); /* one slot, one card */
    option_list_finish(&props);
    command(0, 0, 0);
    command(8, 0x1aa, 0x1a);
    command(55, 0, 0x1a);
    command(41, 0x00ff8000, 0x02);
    ck_assert_msg(!(get(0x10, 4) >> 31), "not for a host that does not know of them");
    command(55, 0, 0x1a);
    command(41, 0x40ff8000, 0x02);
    ck_assert_uint_eq(get(0x10, 4), 0xc0ff8000);
    command(2, 0, 0x09);
    command(3, 0, 0x1a);
    command(9, 0x45670000, 0x09);
    ck_assert_uint_eq(get(0x1c, 4) >> 22 & 3, 1);
    ck_assert_uint_eq(get(0x14, 4) >> 8 & 0x3fffff, 8191); /* by 512 KiB */
    command(7, 0x45670000, 0x1b);
    put(0x00, 4, DATA_AT);
    blocks(512 | 7 << 12, 1, 0x11);
    ck_assert_uint_eq(command(17, 0x700000, 0x3a), 3);
    ck_assert(holds_image(DATA_AT, 0x700000ull * 512, 512, 512));
}
END_TEST

START_TEST(sizes_that_no_card_has_are_refused)
{
    struct drive d = {.c = {.size = 512 * 1000}};
    struct error e;

    ck_assert_int_eq(sd_check(&d, &e), -EINVAL);
    d.c.size = 256 << 10;
    ck_assert_int_eq(sd_check(&d, &e), 0);
    d.c.size = ((uint64_t)3 << 30) + (256 << 10);
    ck_assert_int_eq(sd_check(&d, &e), -EINVAL);
}
END_TEST

START_TEST(the_host_bears_random_writes)
{
    static const uint8_t commands[] = {17, 18, 24, 25, 12, 13, 55, 51, 6, 7, 16, 23, 32, 33, 38, 41};
    uint64_t rng = (uint64_t)_i * 77 + 5;

    new_host(true, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t x, y;

        if (i % 500 == 0) {
            host->ops->reset(host);
            pci_config_write(f, 0x10, 4, BAR);
            pci_config_write(f, PCI_COMMAND, 2, 6);
            put(0x34, 4, 0xffffffff);
            identify();
        }
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        x = (uint32_t)(rng >> 33);
        y = (uint32_t)(rng >> 20);
        descriptor(x & 7, y & 0x37, y >> 8 & 0x7ff, y & 0x40 ? y : DATA_AT + (y >> 9 & 0xffff));
        put(0x58, 4, x & 0x100 ? x : TABLE_AT);
        put(0x00, 4, x & 0x200 ? DATA_AT : y);
        blocks(x & 0x400 ? 512 : y & 0x7fff, y >> 3 & 31, x >> 11 & 0x3f);
        put(0x08, 4, x & 0x20000 ? 0x45670000 : y & 0x1fffff);
        put(0x0e, 2, (uint32_t)commands[x >> 18 & 15] << 8 | (y & 0x20) | (x >> 22 & 0x1b));
        if (x & 0x400000)
            put(y & 0xfc, 4, x * y);
        run_for(y & 0xffff);
        for (unsigned k = 0; k < (y & 7); k++)
            if (y & 8)
                get(0x20, 4);
            else
                put(0x20, 4, x);
        ck_assert(host->ops->possible(host));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_those_of_version_3);
    ADD(an_empty_slot_does_not_answer);
    ADD(the_card_says_what_it_is);
    ADD(data_go_through_the_port);
    ADD(sdma_stops_at_its_boundaries);
    ADD(adma_follows_its_descriptors);
    ADD(errors_are_told);
    ADD(erasing);
    ADD(large_cards_count_blocks);
    ADD(sizes_that_no_card_has_are_refused);
    tcase_add_loop_test(tc, the_host_bears_random_writes, 0, 4);
}

CHIP_TESTS("sdhci", claims)
