/*
 * The IDE function: disks by PIO and DMA, CD-ROM drives by packets, as drivers and tutorials drive them.
 */
#include "tests/vm/disk_bench.h"

#include "vm/dev/disk_props.h"
#include "vm/dev/ide.h"
#include "vm/dev/ata.h"

enum { R_DATA, R_ERROR, R_COUNT, R_LOW, R_MID, R_HIGH, R_DEVICE, R_STATUS };

static struct device *ide;
static struct ide_wiring wiring;
static const struct drive_fault *fault;

/* A disk and a CD-ROM drive on the first channel, a disk as device 1 of the second. */
static void new_ide(void)
{
    new_disk_bench();
    memset(&wiring, 0, sizeof(wiring));
    ide = add(&ide_ops, &wiring);
    ide_plug(ide, &bench_bus, PCI_DEVFN(1, 1));
    wiring.irq[0] = probe_line(0);
    wiring.irq[1] = probe_line(1);
    wiring.drive[0][0] = new_drive("hd0", DRIVE_DISK, fault);
    wiring.drive[0][1] = new_drive("cd0", DRIVE_CDROM, NULL);
    wiring.drive[1][1] = new_drive("hd1", DRIVE_DISK, NULL);
    reset_all();
    pci_config_write(&wiring.pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_IO);
}

static uint16_t data(void)
{
    return (uint16_t)ide->ops->read(ide, IDE_COMMAND_0, R_DATA, 2);
}

static void put_data(uint16_t v)
{
    ide->ops->write(ide, IDE_COMMAND_0, R_DATA, 2, v);
}

/* A 28-bit command of the first channel. */
static void command(unsigned device, uint32_t lba, unsigned count, unsigned code)
{
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xe0 | device << 4 | lba >> 24);
    out(ide, IDE_COMMAND_0, R_COUNT, count);
    out(ide, IDE_COMMAND_0, R_LOW, lba & 0xff);
    out(ide, IDE_COMMAND_0, R_MID, lba >> 8 & 0xff);
    out(ide, IDE_COMMAND_0, R_HIGH, lba >> 16 & 0xff);
    out(ide, IDE_COMMAND_0, R_STATUS, code);
}

static uint8_t alternate(void)
{
    return in(ide, IDE_CONTROL_0, 0);
}

static uint8_t wait(void)
{
    run_for(10 * MS);
    return in(ide, IDE_COMMAND_0, R_STATUS);
}

static void expect_sectors(uint32_t first, unsigned n)
{
    for (uint32_t at = 0; at < n * 512; at += 2)
        ck_assert_uint_eq(data(), (image_byte(first * 512 + at, 512) | image_byte(first * 512 + at + 1, 512) << 8));
}

START_TEST(identify_tells_size_and_name)
{
    uint16_t id[256];

    new_ide();
    command(0, 0, 0, 0xec);
    ck_assert_uint_eq(wait(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        id[i] = data();
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x50);
    ck_assert_uint_eq(id[60] | id[61] << 16, DISK_SECTORS);
    ck_assert_uint_eq(id[100], DISK_SECTORS);
    ck_assert_uint_eq(id[27], 'h' << 8 | 'i');
    ck_assert_uint_eq(id[10], 'h' << 8 | 'd');
    ck_assert(id[83] & 0x400);
    ck_assert_uint_eq(id[255] & 0xff, 0xa5);
}
END_TEST

START_TEST(sectors_are_read_by_pio_with_an_interrupt_each)
{
    new_ide();
    command(0, 7, 3, 0x20);
    ck_assert_uint_eq(alternate() & 0x88, 0x80);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(probe[0].rises, i);
        run_for(10 * MS);
        ck_assert(probe[0].level);
        ck_assert_uint_eq(alternate(), 0x58);
        ck_assert(probe[0].level);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x58);
        ck_assert(!probe[0].level);
        expect_sectors(7 + i, 1);
    }
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 9);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT), 0);
}
END_TEST

START_TEST(the_data_register_is_32_bits_wide_for_who_wants_it)
{
    new_ide();
    command(0, 7, 1, 0x20);
    wait();
    for (unsigned i = 0; i < 128; i++) {
        uint32_t v = (uint32_t)ide->ops->read(ide, IDE_COMMAND_0, R_DATA, 4);

        if (i == 0)
            ck_assert_uint_eq(v, 7);
    }
    ck_assert_uint_eq(alternate(), 0x50);
}
END_TEST

START_TEST(a_sector_written_is_read_again)
{
    new_ide();
    command(0, 100, 2, 0x30);
    ck_assert_uint_eq(alternate(), 0x58);
    ck_assert_msg(!probe[0].level, "the first block is asked for without an interrupt");
    for (unsigned i = 0; i < 256; i++)
        put_data((uint16_t)(i * 3));
    ck_assert_uint_eq(wait(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        put_data((uint16_t)(i * 5));
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(wait(), 0x50);
    command(0, 101, 1, 0x20);
    wait();
    for (unsigned i = 0; i < 256; i++)
        ck_assert_uint_eq(data(), i * 5);
}
END_TEST

START_TEST(multiple_moves_several_sectors_an_interrupt)
{
    new_ide();
    command(0, 0, 4, 0xc6);
    wait();
    command(0, 20, 6, 0xc4);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors(20, 4);
    ck_assert_uint_eq(alternate() & 0x80, 0x80);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors(24, 2);
    ck_assert_uint_eq(alternate(), 0x50);
    command(0, 0, 5, 0xc6); /* no power of two */
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x04);
}
END_TEST

START_TEST(addresses_come_as_cylinder_head_and_sector_too)
{
    new_ide();
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xa0 | 3);
    out(ide, IDE_COMMAND_0, R_COUNT, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 5);
    out(ide, IDE_COMMAND_0, R_MID, 1);
    out(ide, IDE_COMMAND_0, R_HIGH, 0);
    out(ide, IDE_COMMAND_0, R_STATUS, 0x20);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors((16 + 3) * 63 + 4, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 0); /* sectors count from 1 */
    out(ide, IDE_COMMAND_0, R_COUNT, 1);
    out(ide, IDE_COMMAND_0, R_STATUS, 0x20);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
}
END_TEST

START_TEST(forty_eight_bit_addresses_come_in_two_writes)
{
    new_ide();
    out(ide, IDE_COMMAND_0, R_DEVICE, 0x40);
    for (unsigned reg = R_COUNT; reg <= R_HIGH; reg++)
        out(ide, IDE_COMMAND_0, reg, 0);
    out(ide, IDE_COMMAND_0, R_COUNT, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 0x34);
    out(ide, IDE_COMMAND_0, R_MID, 0x02);
    out(ide, IDE_COMMAND_0, R_HIGH, 0);
    out(ide, IDE_COMMAND_0, R_STATUS, 0x24);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors(0x234, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 0x7f);
    out(ide, IDE_COMMAND_0, R_LOW, 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 1);
    out(ide, IDE_CONTROL_0, 0, 0x80);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 0x7f);
}
END_TEST

START_TEST(what_lies_behind_the_end_is_not_found)
{
    new_ide();
    command(0, DISK_SECTORS - 1, 2, 0x20);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
    command(0, 0xfffffff, 1, 0xca);
    ck_assert_uint_eq(wait(), 0x51);
    command(0, 0, 1, 0x99);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x04);
}
END_TEST

START_TEST(a_bad_sector_says_where_it_is)
{
    static const struct drive_fault bad = {.first = 33, .count = 1};

    fault = &bad;
    new_ide();
    fault = NULL;
    command(0, 32, 4, 0x20);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors(32, 1);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x40);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 33);
    command(0, 30, 8, 0x40); /* verify */
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 33);
}
END_TEST

START_TEST(devices_that_are_not_there_say_so)
{
    new_ide();
    out(ide, IDE_COMMAND_1, R_DEVICE, 0xa0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_STATUS), 0);
    out(ide, IDE_COMMAND_1, R_STATUS, 0xec);
    run_for(10 * MS);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_STATUS), 0);
    out(ide, IDE_COMMAND_1, R_DEVICE, 0xb0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_STATUS), 0x50);
    wiring.drive[1][1] = NULL;
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_LOW), 0);
}
END_TEST

START_TEST(a_software_reset_shows_the_signatures)
{
    new_ide();
    command(0, 0, 1, 0x20);
    out(ide, IDE_CONTROL_0, 0, 4);
    ck_assert_uint_eq(alternate(), 0x80);
    out(ide, IDE_CONTROL_0, 0, 0);
    run_for(10 * MS);
    ck_assert_uint_eq(alternate(), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0);
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xb0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0x14);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_HIGH), 0xeb);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0);
}
END_TEST

/* As tutorials do: no interrupts, four reads of the alternate status, then the status until it is not busy any more. */
static uint8_t poll(void)
{
    for (unsigned i = 0; i < 4; i++)
        alternate();
    for (unsigned i = 0; i < 1000 && (alternate() & 0x80); i++)
        run_for(1000);
    return alternate();
}

START_TEST(everything_can_be_polled)
{
    static const uint8_t read[12] = {0xa8, 0, 0, 0, 0, 30, 0, 0, 0, 1};

    new_ide();
    out(ide, IDE_CONTROL_0, 0, 2);
    command(0, 0, 0, 0xec);
    ck_assert_uint_eq(poll(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        data();
    ck_assert_uint_eq(poll(), 0x50);
    command(0, 7, 2, 0x20);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(poll(), 0x58);
        expect_sectors(7 + i, 1);
    }
    command(0, 8, 2, 0x30);
    for (unsigned n = 0; n < 2; n++) {
        ck_assert_uint_eq(poll(), 0x58);
        for (unsigned i = 0; i < 256; i++)
            put_data((uint16_t)(n + i));
    }
    ck_assert_uint_eq(poll(), 0x50);
    command(0, 0, 0, 0xe7);
    ck_assert_uint_eq(poll(), 0x50);
    command(1, 0, 0, 0xec); /* which is none, it says */
    ck_assert_uint_eq(poll() & 0x89, 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID) | in(ide, IDE_COMMAND_0, R_HIGH) << 8, 0xeb14);
    for (unsigned tries = 0; tries < 2; tries++) { /* the first one is the attention */
        out(ide, IDE_COMMAND_0, R_ERROR, 0);
        out(ide, IDE_COMMAND_0, R_MID, 2048 & 0xff);
        out(ide, IDE_COMMAND_0, R_HIGH, 2048 >> 8);
        out(ide, IDE_COMMAND_0, R_STATUS, 0xa0);
        ck_assert_uint_eq(poll() & 0x89, 8);
        for (unsigned i = 0; i < 12; i += 2)
            put_data((uint16_t)(read[i] | read[i + 1] << 8));
        ck_assert_uint_eq(poll(), tries ? 0x58 : 0x51);
    }
    for (unsigned i = 0; i < 1024; i++)
        ck_assert_uint_eq(data(), (image_byte(30 * 2048 + 2 * i, 2048) | image_byte(30 * 2048 + 2 * i + 1, 2048) << 8));
    ck_assert_uint_eq(poll(), 0x50);
    ck_assert_uint_eq(probe[0].rises, 0);
}
END_TEST

START_TEST(nien_keeps_the_interrupt_back)
{
    new_ide();
    out(ide, IDE_CONTROL_0, 0, 2);
    command(0, 0, 1, 0x20);
    run_for(10 * MS);
    ck_assert(!probe[0].level);
    out(ide, IDE_CONTROL_0, 0, 0);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(a_device_held_in_reset_takes_no_command)
{
    new_ide();
    out(ide, IDE_CONTROL_0, 0, 4);
    command(0, 0, 1, 0xec);
    run_for(10 * MS);
    ck_assert_uint_eq(alternate(), 0x80);
    out(ide, IDE_CONTROL_0, 0, 0);
    run_for(10 * MS);
    ck_assert_uint_eq(alternate(), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT), 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 1);
}
END_TEST

START_TEST(diagnostics_are_for_both_devices)
{
    new_ide();
    command(1, 0x123456, 7, 0x90);
    ck_assert_uint_eq(wait() & 0x80, 0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_DEVICE) & 0x10, 0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0);
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xb0);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0x14);
    /* Device 0 of the second channel is not there. */
    out(ide, IDE_COMMAND_1, R_DEVICE, 0xa0);
    out(ide, IDE_COMMAND_1, R_STATUS, 0x90);
    run_for(10 * MS);
    out(ide, IDE_COMMAND_1, R_DEVICE, 0xb0);
    ck_assert(probe[1].level);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_ERROR), 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_1, R_STATUS), 0x50);
    ck_assert(!probe[1].level);
}
END_TEST

static void identify_words(unsigned device, uint16_t *id)
{
    command(device, 0, 0, device ? 0xa1 : 0xec);
    ck_assert_uint_eq(wait(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        id[i] = data();
}

static uint8_t set_features(unsigned feature, unsigned count)
{
    out(ide, IDE_COMMAND_0, R_ERROR, feature);
    command(0, 0, count, 0xef);
    return wait();
}

START_TEST(features_show_in_identify)
{
    uint16_t id[256];

    new_ide();
    identify_words(0, id);
    ck_assert_uint_eq(id[82], 0x446b);
    ck_assert_uint_eq(id[85], 0x4069);
    ck_assert_uint_eq(id[84], 0x4003);
    ck_assert_uint_eq(id[128], 1); /* no password */
    ck_assert_uint_eq(id[88], 0x003f);
    ck_assert_uint_eq(set_features(0x03, 0x44), 0x50);
    ck_assert_uint_eq(set_features(0x03, 0x0c), 0x50); /* PIO mode 4: the DMA mode stays */
    ck_assert_uint_eq(set_features(0x82, 0), 0x50);
    ck_assert_uint_eq(set_features(0x55, 0), 0x50);
    identify_words(0, id);
    ck_assert_uint_eq(id[85], 0x4009);
    ck_assert_uint_eq(id[88], 0x103f);
    ck_assert_uint_eq(set_features(0x03, 0x22), 0x50);
    ck_assert_uint_eq(set_features(0x03, 0x0d), 0x51); /* there is no PIO mode 5, */
    ck_assert_uint_eq(set_features(0x03, 0x23), 0x51);
    ck_assert_uint_eq(set_features(0x03, 0x46), 0x51);
    ck_assert_uint_eq(set_features(0x03, 0x02), 0x51);
    ck_assert_uint_eq(set_features(0x99, 0), 0x51);
    identify_words(0, id);
    ck_assert_uint_eq(id[63], 0x0407);
    ck_assert_uint_eq(id[88], 0x003f);
    identify_words(1, id);
    ck_assert_uint_eq(id[82], 0x4218);
    for (unsigned i = 0; i < 4; i++) { /* neither a write cache nor look-ahead, */
        out(ide, IDE_COMMAND_0, R_ERROR, i == 0 ? 0x02 : i == 1 ? 0x82 : i == 2 ? 0x55 : 0xaa);
        command(1, 0, 0, 0xef);
        ck_assert_uint_eq(wait() & 1, 1);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 4);
    }
    out(ide, IDE_COMMAND_0, R_ERROR, 0x03); /* but modes */
    command(1, 0, 0x42, 0xef);
    ck_assert_uint_eq(wait() & 1, 0);
    identify_words(1, id);
    ck_assert_uint_eq(id[88], 0x043f);
}
END_TEST

START_TEST(properties_show_in_identify)
{
    struct option_list props;
    struct error e;
    uint16_t id[256];

    new_ide();
    ck_assert_int_eq(option_list_parse(&props, "--device", "ide-hd,serial=S1,model=Plate,ver=2.5,wwn=0x5000c50012345678,"
                                       "rotation_rate=5400,physical_block_size=4096", "driver", NULL, &e), 0);
    ck_assert_int_eq(disk_props_take(drive_find(m, "hd0"), DISK_ATA, &props, &e), 0);
    option_list_finish(&props);
    identify_words(0, id);
    ck_assert_uint_eq(id[10], 'S' << 8 | '1');
    ck_assert_uint_eq(id[23], '2' << 8 | '.');
    ck_assert_uint_eq(id[27], 'P' << 8 | 'l');
    ck_assert_uint_eq(id[84], 0x4103);
    ck_assert_uint_eq(id[87], 0x4103);
    ck_assert_uint_eq(id[106], 0x6003);
    ck_assert_uint_eq(id[108], 0x5000);
    ck_assert_uint_eq(id[109], 0xc500);
    ck_assert_uint_eq(id[110], 0x1234);
    ck_assert_uint_eq(id[111], 0x5678);
    ck_assert_uint_eq(id[217], 5400);
}
END_TEST

START_TEST(a_geometry_can_be_set)
{
    uint16_t id[256];

    new_ide();
    command(0, 7u << 24, 32, 0x91);
    ck_assert_uint_eq(wait(), 0x50);
    identify_words(0, id);
    ck_assert_uint_eq(id[54], DISK_SECTORS / 8 / 32);
    ck_assert_uint_eq(id[55], 8);
    ck_assert_uint_eq(id[56], 32);
    ck_assert_uint_eq(id[57], DISK_SECTORS);
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xa0 | 2);
    out(ide, IDE_COMMAND_0, R_COUNT, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 3);
    out(ide, IDE_COMMAND_0, R_MID, 4);
    out(ide, IDE_COMMAND_0, R_HIGH, 0);
    out(ide, IDE_COMMAND_0, R_STATUS, 0x20);
    ck_assert_uint_eq(wait(), 0x58);
    expect_sectors((4 * 8 + 2) * 32 + 2, 1);
    out(ide, IDE_COMMAND_0, R_LOW, 33); /* not in that geometry: the registers go on telling which */
    out(ide, IDE_COMMAND_0, R_COUNT, 1);
    out(ide, IDE_COMMAND_0, R_STATUS, 0x20);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 33);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 4);
    command(0, 7u << 24, 0, 0x91);
    ck_assert_uint_eq(wait(), 0x51);
}
END_TEST

START_TEST(commands_without_data_end_as_they_should)
{
    static const struct {
        uint8_t code, status;
    } each[] = {{0x00, 0x51}, {0x10, 0x50}, {0x1f, 0x50}, {0x70, 0x50}, {0xb0, 0x51}, {0xe0, 0x50}, {0xe1, 0x50},
                {0xe2, 0x50}, {0xe3, 0x50}, {0xe7, 0x50}, {0xe5, 0x50}, {0xea, 0x50}, {0xf8, 0x50}, {0x27, 0x50},
                {0xa0, 0x51}, {0xa1, 0x51}, {0x08, 0x51},
                /* READ and WRITE LONG, erasing without a warning, passwords once they are frozen, device configuration, the maximum not asked for, microcode, buffers */
                {0x22, 0x51}, {0x23, 0x51}, {0x32, 0x51}, {0x33, 0x51}, {0xf4, 0x51}, {0xf3, 0x50}, {0xf5, 0x50},
                {0xf1, 0x51}, {0xf2, 0x51}, {0xf6, 0x51}, {0xb1, 0x51}, {0xf9, 0x51}, {0x37, 0x51}, {0x92, 0x51}, {0xe4, 0x51}, {0xe8, 0x51}};

    new_ide();
    for (unsigned i = 0; i < ARRAY_LEN(each); i++) {
        unsigned rises = probe[0].rises;

        command(0, 0, 0, each[i].code);
        run_for(10 * MS);
        ck_assert_uint_eq(probe[0].rises, rises + 1);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), each[i].status);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), each[i].status == 0x51 ? 4 : 0);
        if (each[i].code == 0xe5)
            ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT), 0xff); /* active: it was flushed */
        if (each[i].code == 0xf8)
            ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW) | in(ide, IDE_COMMAND_0, R_MID) << 8, DISK_SECTORS - 1);
    }
    command(0, DISK_SECTORS, 0, 0x70);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
}
END_TEST

static uint8_t power_mode(void)
{
    command(0, 0, 0x55, 0xe5);
    ck_assert_uint_eq(wait(), 0x50);
    return in(ide, IDE_COMMAND_0, R_COUNT);
}

START_TEST(power_modes_are_told_and_end_with_what_needs_the_medium)
{
    const uint64_t second = 1000 * MS;

    new_ide();
    ck_assert_uint_eq(power_mode(), 0xff);
    command(0, 0, 0, 0xe1); /* IDLE IMMEDIATE */
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(power_mode(), 0x80);
    command(0, 0, 0, 0xe0); /* STANDBY IMMEDIATE */
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 0, 0, 0xec); /* who it is, it knows without the medium */
    wait();
    for (unsigned i = 0; i < 256; i++)
        data();
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 5, 1, 0x40);
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(power_mode(), 0xff);
    command(0, 0, 2, 0xe3); /* IDLE, and in standby after ten seconds */
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(power_mode(), 0x80);
    run_for(9 * second);
    ck_assert_uint_eq(power_mode(), 0x80); /* which does not begin them again, */
    run_for(2 * second);
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 5, 1, 0x40); /* as this does */
    ck_assert_uint_eq(wait(), 0x50);
    run_for(9 * second);
    ck_assert_uint_eq(power_mode(), 0xff);
    run_for(2 * second);
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 0, 241, 0xe2); /* STANDBY with a timer of half an hour */
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 5, 1, 0x40);
    ck_assert_uint_eq(wait(), 0x50);
    run_for(1799 * second);
    ck_assert_uint_eq(power_mode(), 0xff);
    run_for(2 * second);
    ck_assert_uint_eq(power_mode(), 0x00);
    ck_assert(ide->ops->possible(ide));
}
END_TEST

START_TEST(a_device_that_sleeps_is_woken_by_a_reset)
{
    unsigned rises;

    new_ide();
    command(0, 0, 0, 0xe6);
    ck_assert_uint_eq(wait(), 0x50);
    rises = probe[0].rises;
    command(0, 5, 1, 0x40);
    run_for(1000 * MS);
    ck_assert_uint_eq(probe[0].rises, rises);
    out(ide, IDE_CONTROL_0, 0, 4);
    run_for(MS);
    out(ide, IDE_CONTROL_0, 0, 0);
    run_for(100 * MS);
    ck_assert_uint_eq(power_mode(), 0x00);
    command(0, 5, 1, 0x40);
    ck_assert_uint_eq(wait(), 0x50);
}
END_TEST

static uint64_t shown_sectors(void)
{
    uint16_t id[256];

    identify_words(0, id);
    ck_assert_uint_eq(id[60] | (uint32_t)id[61] << 16, id[100] | (uint32_t)id[101] << 16);
    return id[60] | (uint32_t)id[61] << 16;
}

/* SET MAX ADDRESS right after READ NATIVE MAX ADDRESS: the error register. */
static uint8_t set_max(uint32_t last, bool keep)
{
    command(0, 0, 0, 0xf8);
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW) | in(ide, IDE_COMMAND_0, R_MID) << 8, DISK_SECTORS - 1);
    command(0, last, keep, 0xf9);
    return wait() & 1 ? in(ide, IDE_COMMAND_0, R_ERROR) : 0;
}

START_TEST(the_host_protected_area_is_behind_the_maximum_that_is_set)
{
    uint16_t id[256];

    new_ide();
    ck_assert_uint_eq(shown_sectors(), DISK_SECTORS);
    command(0, 999, 0, 0xf9);
    ck_assert_uint_eq(wait(), 0x51); /* the native one was not asked for right before */
    ck_assert_uint_eq(set_max(DISK_SECTORS, false), 0x10);
    ck_assert_uint_eq(set_max(999, false), 0);
    ck_assert_uint_eq(shown_sectors(), 1000);
    identify_words(0, id);
    ck_assert(id[82] & 0x400 && id[85] & 0x400);
    command(0, 999, 1, 0x40);
    ck_assert_uint_eq(wait(), 0x50);
    command(0, 1000, 1, 0x40);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
    command(0, 0, 0, 0x27);
    ck_assert_uint_eq(wait(), 0x50);
    command(0, 500, 0, 0x37);
    ck_assert_uint_eq(wait(), 0x51); /* the other command set one */
    ck_assert_uint_eq(set_max(DISK_SECTORS - 1, false), 0);
    identify_words(0, id);
    ck_assert(!(id[85] & 0x400));
    command(0, 0, 0, 0x27);
    ck_assert_uint_eq(wait(), 0x50);
    out(ide, IDE_COMMAND_0, R_HIGH, 0);
    out(ide, IDE_COMMAND_0, R_MID, 0);
    out(ide, IDE_COMMAND_0, R_LOW, 0);
    command(0, 2000, 0, 0x37);
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(shown_sectors(), 2001);
    ck_assert_uint_eq(set_max(999, false), 0x04);
    /* Power goes: what was not kept is gone. */
    reset_all();
    pci_config_write(&wiring.pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_IO);
    ck_assert_uint_eq(shown_sectors(), DISK_SECTORS);
    ck_assert_uint_eq(set_max(1499, true), 0);
    ck_assert_uint_eq(set_max(1599, true), 0x10); /* once */
    reset_all();
    ck_assert_uint_eq(shown_sectors(), 1500);
    ck_assert(ide->ops->possible(ide));
}
END_TEST

/* SMART with that feature: the status. */
static uint8_t smart(unsigned feature, unsigned low, unsigned count)
{
    out(ide, IDE_COMMAND_0, R_ERROR, feature);
    command(0, 0xc24f00 | low, count, 0xb0);
    return wait();
}

static uint8_t page[512];

/* The same, with a page whose bytes' sum is 0. */
static void smart_page(unsigned feature, unsigned low)
{
    uint8_t sum = 0;

    ck_assert_uint_eq(smart(feature, low, 1), 0x58);
    for (unsigned i = 0; i < 512; i += 2) {
        uint16_t w = data();

        page[i] = (uint8_t)w;
        page[i + 1] = (uint8_t)(w >> 8);
        sum = (uint8_t)(sum + page[i] + page[i + 1]);
    }
    ck_assert_uint_eq(sum, 0);
}

/* The raw value of an attribute. */
static unsigned attribute(uint8_t id)
{
    smart_page(0xd0, 0);
    for (unsigned i = 2; i < 362; i += 12)
        if (page[i] == id)
            return page[i + 5] | (unsigned)page[i + 6] << 8;
    ck_abort_msg("no attribute %u", id);
}

/* A command with 512 bytes: a word, a password that begins with `password`, the revision of a master password. The error register. */
static uint8_t take_password(unsigned code, unsigned feature, unsigned word, const char *password, unsigned revision)
{
    uint8_t bytes[36] = {(uint8_t)word, (uint8_t)(word >> 8)};

    strncpy((char *)bytes + 2, password, 32);
    bytes[34] = (uint8_t)revision;
    bytes[35] = (uint8_t)(revision >> 8);
    out(ide, IDE_COMMAND_0, R_ERROR, feature);
    command(0, 0, 0, code);
    if (in(ide, IDE_COMMAND_0, R_STATUS) & 1)
        return in(ide, IDE_COMMAND_0, R_ERROR);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x58);
    for (unsigned i = 0; i < 256; i++)
        put_data(i < 18 ? (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8) : 0);
    run_for(3000 * MS);
    return wait() & 1 ? in(ide, IDE_COMMAND_0, R_ERROR) : 0;
}

static uint8_t plain(unsigned code, unsigned feature)
{
    out(ide, IDE_COMMAND_0, R_ERROR, feature);
    command(0, 1, 1, code);
    return wait() & 1 ? in(ide, IDE_COMMAND_0, R_ERROR) : 0;
}

/* Power goes and comes. */
static void power_cycle(void)
{
    reset_all();
    pci_config_write(&wiring.pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_IO);
}

static uint16_t security_word(void)
{
    uint16_t id[256];

    identify_words(0, id);
    ck_assert_uint_eq(id[82] & 2, 2);
    ck_assert_uint_eq(id[85] & 2, id[128] & 2);
    return id[128];
}

START_TEST(a_disk_with_a_password_is_locked_when_power_comes)
{
    uint16_t id[256];

    new_ide();
    ck_assert_uint_eq(security_word(), 1);
    ck_assert_uint_eq(take_password(0xf1, 0, 1, "master", 0x1234), 0);
    ck_assert_uint_eq(security_word(), 1); /* which locks nothing */
    ck_assert_uint_eq(take_password(0xf1, 0, 0, "secret", 0), 0);
    ck_assert_uint_eq(security_word(), 3);
    identify_words(0, id);
    ck_assert_uint_eq(id[92], 0x1234);
    ck_assert_uint_eq(plain(0x40, 0), 0);
    power_cycle();
    ck_assert_uint_eq(security_word(), 7);
    ck_assert_uint_eq(plain(0x40, 0), 4);
    ck_assert_uint_eq(plain(0x20, 0), 4);
    ck_assert_uint_eq(plain(0xe7, 0), 4);
    ck_assert_uint_eq(plain(0xf5, 0), 4);
    ck_assert_uint_eq(take_password(0xf1, 0, 0, "other", 0), 4);
    ck_assert_uint_eq(take_password(0xf2, 0, 0, "wrong", 0), 4);
    ck_assert_uint_eq(take_password(0xf2, 0, 0, "secret", 0), 0);
    ck_assert_uint_eq(security_word(), 3);
    ck_assert_uint_eq(plain(0x40, 0), 0);
    power_cycle();
    ck_assert_uint_eq(take_password(0xf2, 0, 1, "master", 0), 0);
    ck_assert_uint_eq(take_password(0xf6, 0, 0, "wrong", 0), 4);
    ck_assert_uint_eq(take_password(0xf6, 0, 0, "secret", 0), 0);
    ck_assert_uint_eq(security_word(), 1);
    ck_assert_uint_eq(plain(0xf5, 0), 0); /* frozen until power goes */
    ck_assert_uint_eq(security_word(), 9);
    ck_assert_uint_eq(take_password(0xf1, 0, 0, "secret", 0), 4);
    power_cycle();
    ck_assert_uint_eq(take_password(0xf1, 0, 0x100, "secret", 0), 0);
    power_cycle();
    ck_assert_uint_eq(security_word(), 0x107);
    ck_assert_uint_eq(take_password(0xf2, 0, 1, "master", 0), 4); /* at the maximum level it does not unlock, */
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(take_password(0xf2, 0, 0, "wrong", 0), 4);
    ck_assert_uint_eq(security_word(), 0x117);
    ck_assert_uint_eq(take_password(0xf2, 0, 0, "secret", 0), 4); /* too many were wrong */
    power_cycle();
    ck_assert_uint_eq(take_password(0xf4, 0, 1, "master", 0), 4); /* not without a warning */
    ck_assert_uint_eq(plain(0xf3, 0), 0);
    ck_assert_uint_eq(security_word(), 0x107);
    ck_assert_uint_eq(take_password(0xf4, 0, 1, "master", 0), 4);
    ck_assert_uint_eq(plain(0xf3, 0), 0);
    ck_assert_uint_eq(take_password(0xf4, 0, 1, "master", 0), 0); /* but it erases */
    ck_assert_uint_eq(security_word(), 1);
    command(0, 77, 1, 0x20);
    ck_assert_uint_eq(wait(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        ck_assert_uint_eq(data(), 0);
    ck_assert(ide->ops->possible(ide));
}
END_TEST

START_TEST(the_host_protected_area_has_a_password)
{
    uint16_t id[256];

    new_ide();
    ck_assert_uint_eq(plain(0xf9, 2), 4); /* there is none yet */
    ck_assert_uint_eq(plain(0xf9, 4), 4);
    ck_assert_uint_eq(take_password(0xf9, 1, 0, "area", 0), 0);
    identify_words(0, id);
    ck_assert(id[83] & 0x100 && id[86] & 0x100);
    ck_assert_uint_eq(set_max(999, false), 0);
    ck_assert_uint_eq(plain(0xf9, 2), 0);
    ck_assert_uint_eq(set_max(1999, false), 4);
    ck_assert_uint_eq(take_password(0xf9, 1, 0, "other", 0), 4);
    ck_assert_uint_eq(take_password(0xf9, 3, 0, "wrong", 0), 4);
    ck_assert_uint_eq(take_password(0xf9, 3, 0, "area", 0), 0);
    ck_assert_uint_eq(set_max(1999, false), 0);
    ck_assert_uint_eq(shown_sectors(), 2000);
    ck_assert_uint_eq(plain(0xf9, 4), 0);
    ck_assert_uint_eq(set_max(999, false), 4);
    ck_assert_uint_eq(plain(0xf9, 2), 4);
    power_cycle();
    ck_assert_uint_eq(set_max(999, false), 0);
    ck_assert_uint_eq(plain(0xf9, 2), 4);
}
END_TEST

START_TEST(smart_tells_attributes_thresholds_and_that_all_is_well)
{
    new_ide();
    out(ide, IDE_COMMAND_0, R_ERROR, 0xda);
    command(0, 0, 0, 0xb0);
    ck_assert_uint_eq(wait(), 0x51); /* without the key */
    ck_assert_uint_eq(smart(0xda, 0, 0), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0x4f);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_HIGH), 0xc2);
    ck_assert_uint_eq(attribute(9), 0);
    ck_assert_uint_eq(page[367] & 0x11, 0x11);
    run_for(7200ull * 1000 * MS);
    ck_assert_uint_eq(attribute(9), 2);
    smart_page(0xd1, 0);
    ck_assert_uint_eq(page[2], 1);
    ck_assert_uint_eq(page[3], 6);
    ck_assert_uint_eq(smart(0xd2, 0, 0xf1), 0x50);
    ck_assert_uint_eq(smart(0xd2, 0, 7), 0x51);
    ck_assert_uint_eq(smart(0xd6, 0x80, 1), 0x51); /* no logs of the host's */
    ck_assert_uint_eq(smart(0xd9, 0, 0), 0x50);
    for (unsigned feature = 0xd0; feature < 0xe0; feature++)
        if (feature != 0xd8)
            ck_assert_uint_eq(smart(feature, 0, 1), 0x51); /* disabled */
    {
        uint16_t id[256];

        identify_words(0, id);
        ck_assert(!(id[85] & 1));
    }
    reset_all(); /* which stays so */
    ck_assert_uint_eq(smart(0xda, 0, 0), 0x51);
    ck_assert_uint_eq(smart(0xd8, 0, 0), 0x50);
    ck_assert_uint_eq(smart(0xda, 0, 0), 0x50);
    /* A CD-ROM drive has none. */
    out(ide, IDE_COMMAND_0, R_ERROR, 0xd0);
    command(1, 0xc24f00, 1, 0xb0);
    ck_assert_uint_eq(wait(), 0x51);
}
END_TEST

START_TEST(smart_logs_errors_and_self_tests)
{
    static const struct drive_fault bad = {0x123, 2};

    fault = &bad;
    new_ide();
    fault = NULL;
    smart_page(0xd5, 1);
    ck_assert_uint_eq(page[1], 0);
    ck_assert_uint_eq(attribute(197), 0);
    for (unsigned n = 0; n < 7; n++) {
        command(0, 0x120 + (n == 6), 8, 0x40);
        ck_assert_uint_eq(wait(), 0x51);
    }
    command(0, DISK_SECTORS, 1, 0x40); /* the host's error is none of the disk */
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(attribute(197), 2);
    ck_assert_uint_eq(attribute(1), 7);
    smart_page(0xd5, 1);
    ck_assert_uint_eq(page[1], 2); /* number 6, in the second place of five */
    ck_assert_uint_eq(page[452], 7);
    ck_assert_uint_eq(page[2 + 90 + 48 + 3], 0x21); /* the command's LBA, */
    ck_assert_uint_eq(page[2 + 90 + 48 + 7], 0x40);
    ck_assert_uint_eq(page[2 + 90 + 60 + 1], 0x40); /* UNC, */
    ck_assert_uint_eq(page[2 + 90 + 60 + 3], 0x23); /* and the bad sector's */
    ck_assert_uint_eq(smart(0xd5, 0, 1), 0x58); /* the directory */
    ck_assert_uint_eq(data(), 1);
    ck_assert_uint_eq(data(), 1);
    for (unsigned i = 2; i < 256; i++)
        ck_assert_uint_eq(data(), i == 6);
    ck_assert_uint_eq(smart(0xd4, 1, 0), 0x50); /* a short self-test */
    ck_assert_uint_eq(smart(0xd4, 0x82, 0), 0x51); /* an extended one, captive */
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0xf4);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_HIGH), 0x2c);
    ck_assert_uint_eq(smart(0xd4, 0x55, 0), 0x51);
    smart_page(0xd5, 6);
    ck_assert_uint_eq(page[508], 2);
    ck_assert_uint_eq(page[2], 1);
    ck_assert_uint_eq(page[3], 0x70);
    ck_assert_uint_eq(page[2 + 5] | page[2 + 6] << 8, 0x123);
    ck_assert_uint_eq(page[2 + 24], 0x82);
    smart_page(0xd0, 0);
    ck_assert_uint_eq(page[363], 0x70);
    ck_assert(ide->ops->possible(ide));
}
END_TEST

START_TEST(settings_survive_a_software_reset_unless_they_are_to_go)
{
    uint16_t id[256];

    new_ide();
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_uint_eq(set_features(round ? 0xcc : 0x66, 0), 0x50);
        ck_assert_uint_eq(set_features(0x82, 0), 0x50);
        out(ide, IDE_CONTROL_0, 0, 4);
        run_for(MS);
        out(ide, IDE_CONTROL_0, 0, 0);
        run_for(100 * MS);
        identify_words(0, id);
        ck_assert_uint_eq(id[85] & 0x20, round ? 0x20 : 0);
    }
}
END_TEST

/* ---- bus master ---- */

enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4 };

static void prd(unsigned n, uint32_t address, uint32_t count, bool last)
{
    poke32(0x1000 + 8 * n, address);
    poke32(0x1004 + 8 * n, count | (last ? 0x80000000u : 0));
}

static void bm_start(unsigned direction)
{
    ide->ops->write(ide, IDE_BUS_MASTER, BM_TABLE, 4, 0x1000);
    out(ide, IDE_BUS_MASTER, BM_STATUS, 0x66);
    out(ide, IDE_BUS_MASTER, BM_COMMAND, direction);
    out(ide, IDE_BUS_MASTER, BM_COMMAND, direction | 1);
}

START_TEST(dma_reads_through_a_table_of_regions)
{
    new_ide();
    prd(0, 0x20000, 512, false);
    prd(1, 0x30000, 1024 + 2, false);
    prd(2, 0x40000, 510 + 512, true);
    command(0, 50, 5, 0xc8);
    ck_assert_uint_eq(alternate(), 0x58);
    bm_start(8);
    ck_assert_uint_eq(alternate() & 0x80, 0x80);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS), 0x61);
    run_for(10 * MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS), 0x64);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x50);
    ck_assert(holds_image(0x20000, 50 * 512, 512, 512));
    ck_assert(holds_image(0x30000, 51 * 512, 1026, 512));
    ck_assert(holds_image(0x40000, 51 * 512 + 1026, 1022, 512));
    out(ide, IDE_BUS_MASTER, BM_COMMAND, 0);
    out(ide, IDE_BUS_MASTER, BM_STATUS, 0x64);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS), 0x60);
}
END_TEST

START_TEST(bus_master_registers_keep_what_they_should)
{
    new_ide();
    out(ide, IDE_BUS_MASTER, BM_COMMAND, 0xfe);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_COMMAND), 0x08);
    out(ide, IDE_BUS_MASTER, BM_STATUS, 0xff);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS), 0x60); /* both channels work at once */
    ide->ops->write(ide, IDE_BUS_MASTER, BM_TABLE, 4, 0xffffffff);
    ck_assert_uint_eq(ide->ops->read(ide, IDE_BUS_MASTER, BM_TABLE, 4), 0xfffffffc);
    ck_assert_uint_eq(ide->ops->read(ide, IDE_BUS_MASTER, 8 + BM_TABLE, 4), 0);
    pci_config_write(&wiring.pci, 0x40, 4, 0xffffffff);
    pci_config_write(&wiring.pci, 0x44, 4, 0xffffffff);
    ck_assert_uint_eq(pci_config_read(&wiring.pci, 0x40, 4), 0xffffffff);
    ck_assert_uint_eq(pci_config_read(&wiring.pci, 0x44, 4), 0xff);
    pci_config_write(&wiring.pci, 0x0c, 4, 0xffffffff);
    ck_assert_uint_eq(pci_config_read(&wiring.pci, 0x0c, 4), 0xf000);
}
END_TEST

START_TEST(a_region_of_no_bytes_has_64_kib)
{
    new_ide();
    prd(0, 0x20001, 1, true); /* nor does bit 0 of either count */
    command(0, 0, 128, 0xc8);
    bm_start(8);
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert(holds_image(0x20000, 0, 0x10000, 512));
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS) & 7, 4);
}
END_TEST

START_TEST(dma_may_be_started_before_the_command)
{
    new_ide();
    prd(0, 0x20000, 512, true);
    bm_start(8);
    command(0, 9, 1, 0x25 | 0); /* 48 bits: the upper halves are what was there before */
    run_for(10 * MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS) & 0x80, 0);
}
END_TEST

START_TEST(dma_writes_from_memory)
{
    new_ide();
    for (unsigned i = 0; i < 1024; i += 4)
        poke32(0x20000 + i, i * 77);
    prd(0, 0x20000, 1024, true);
    command(0, 60, 2, 0xca);
    bm_start(0);
    ck_assert_uint_eq(wait(), 0x50);
    command(0, 61, 1, 0x20);
    wait();
    ck_assert_uint_eq(ide->ops->read(ide, IDE_COMMAND_0, R_DATA, 4), 512 * 77);
}
END_TEST

START_TEST(watchpoints_see_what_it_moves)
{
    struct drive *d;

    new_ide();
    d = wiring.drive[0][0];
    prd(0, 0x20000, 1024, true);
    watch(d, 0x20000, 60, 1024);
    command(0, 60, 2, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    expect_moved(ide, true, 1024);
    command(0, 60, 2, 0xca);
    bm_start(0);
    run_for(10 * MS);
    expect_moved(ide, false, 1024);
    unwatch();
    /* Only a part of what is moved is watched. */
    watch(d, 0x20000 + 512, 61, 512);
    command(0, 60, 2, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    expect_moved(ide, true, 512);
    /* By PIO it is the CPU that moves memory's side; the disk's is the device's. */
    command(0, 61, 1, 0x20);
    run_for(10 * MS);
    ck_assert_uint_eq(touched(ide, 1, TRAP_READ), 512);
    unwatch();
}
END_TEST

START_TEST(a_table_that_is_too_short_or_too_long_shows_in_the_status)
{
    new_ide();
    prd(0, 0x20000, 512, true);
    command(0, 50, 2, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS) & 7, 0);
    out(ide, IDE_CONTROL_0, 0, 4);
    out(ide, IDE_CONTROL_0, 0, 0);
    prd(0, 0x20000, 2048, true);
    command(0, 50, 2, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS) & 7, 5);
}
END_TEST

START_TEST(dma_goes_as_far_as_sectors_are_good)
{
    static const struct drive_fault bad = {53, 1};
    uint8_t sector[512];

    fault = &bad;
    new_ide();
    fault = NULL;
    poke32(0x20000 + 3 * 512, 0x11223344);
    prd(0, 0x20000, 16 * 512, true);
    command(0, 50, 16, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x40);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 53);
    ck_assert(holds_image(0x20000, 50 * 512, 3 * 512, 512));
    ck_assert_uint_eq(peek32(0x20000 + 3 * 512), 0x11223344);
    /* A table that ends before it: the device waits, and has failed at nothing. */
    prd(0, 0x20000, 2 * 512, true);
    command(0, 50, 16, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    ck_assert_uint_eq(alternate(), 0x58);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS) & 7, 0);
    out(ide, IDE_CONTROL_0, 0, 4);
    out(ide, IDE_CONTROL_0, 0, 0);
    run_for(100 * MS);
    /* What is written before it, is; behind it, is not. */
    for (unsigned i = 0; i < 16 * 512; i += 4)
        poke32(0x20000 + i, 0x55aa55aa);
    prd(0, 0x20000, 16 * 512, true);
    command(0, 50, 16, 0xca);
    bm_start(0);
    run_for(10 * MS);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_STATUS), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR), 0x10);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_LOW), 53);
    ck_assert_int_eq(drive_read(drive_find(m, "hd0"), 52 * 512, sector, 512, NULL), DRIVE_OK);
    ck_assert_uint_eq(sector[511], 0x55);
    ck_assert_int_eq(drive_read(drive_find(m, "hd0"), 54 * 512, sector, 512, NULL), DRIVE_OK);
    ck_assert_uint_eq(sector[0], 54);
}
END_TEST

START_TEST(dma_of_who_may_not_master_the_bus_is_an_error)
{
    new_ide();
    pci_config_write(&wiring.pci, PCI_COMMAND, 2, PCI_COMMAND_IO);
    prd(0, 0x20000, 512, true);
    command(0, 50, 1, 0xc8);
    bm_start(8);
    run_for(10 * MS);
    ck_assert_uint_eq(in(ide, IDE_BUS_MASTER, BM_STATUS) & 3, 2);
}
END_TEST

START_TEST(an_older_state_is_upgraded)
{
    static uint8_t old[65536];
    size_t len, size;

    new_ide();
    size = ide->ops->state_size;
    ck_assert_uint_le(size, sizeof(old));
    memcpy(old, ide->state, size);
    for (len = size; len && !ide->ops->upgrade(ide, 1, old, len); len--)
        ;
    ck_assert_uint_eq(size - len, 4 * (sizeof(struct scsi_unit) - SCSI_UNIT_OLD + sizeof(struct ata_security)));
    len = size - 4 * sizeof(struct ata_security);
    ck_assert(ide->ops->upgrade(ide, 2, old, len) && !ide->ops->upgrade(ide, 3, old, len));
}
END_TEST

START_TEST(trim_forgets_what_was_there)
{
    new_ide();
    poke64(0x20000, 200 | (uint64_t)4 << 48);
    prd(0, 0x20000, 512, true);
    out(ide, IDE_COMMAND_0, R_COUNT, 0);
    out(ide, IDE_COMMAND_0, R_ERROR, 1); /* features */
    command(0, 0, 1, 0x06);
    bm_start(0);
    ck_assert_uint_eq(wait(), 0x50);
    command(0, 201, 1, 0x20);
    wait();
    ck_assert_uint_eq(data(), 0);
}
END_TEST

/* ---- packets ---- */

static void packet(const uint8_t *cdb, unsigned limit, bool dma)
{
    out(ide, IDE_COMMAND_0, R_DEVICE, 0xb0);
    out(ide, IDE_COMMAND_0, R_ERROR, dma);
    out(ide, IDE_COMMAND_0, R_MID, limit & 0xff);
    out(ide, IDE_COMMAND_0, R_HIGH, limit >> 8);
    out(ide, IDE_COMMAND_0, R_STATUS, 0xa0);
    ck_assert_uint_eq(alternate() & 0x89, 0x08);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 1);
    for (unsigned i = 0; i < 12; i += 2)
        put_data((uint16_t)(cdb[i] | cdb[i + 1] << 8));
}

/* After power-on the first command fails with a unit attention. */
static void take_attention(void)
{
    static const uint8_t ready[12] = {0}, sense[12] = {0x03, 0, 0, 0, 18};

    packet(ready, 0, false);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR) >> 4, 6);
    packet(sense, 18, false);
    ck_assert_uint_eq(wait(), 0x58);
    ck_assert_uint_eq(data() & 0xff, 0x70);
    ck_assert_uint_eq(data() & 0xff, 6);
    for (unsigned i = 0; i < 7; i++)
        data();
    ck_assert_uint_eq(wait(), 0x50);
}

START_TEST(identify_of_a_cd_is_by_another_command)
{
    new_ide();
    command(1, 0, 0, 0xec);
    ck_assert_uint_eq(wait() & 1, 1);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), 0x14);
    command(1, 0, 0, 0xa1);
    ck_assert_uint_eq(wait(), 0x58);
    ck_assert_uint_eq(data(), 0x85c0);
}
END_TEST

START_TEST(a_cd_is_read_in_pieces_of_the_hosts_size)
{
    static const uint8_t read[12] = {0x28, 0, 0, 0, 0, 30, 0, 0, 2};

    new_ide();
    take_attention();
    packet(read, 2048, false);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(wait(), 0x58);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID) | in(ide, IDE_COMMAND_0, R_HIGH) << 8, 2048);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 2);
        for (unsigned at = 0; at < 2048; at += 2) {
            uint64_t byte = (30 + i) * 2048 + at;

            ck_assert_uint_eq(data(), (image_byte(byte, 2048) | image_byte(byte + 1, 2048) << 8));
        }
    }
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 3);
}
END_TEST

START_TEST(a_cd_is_read_by_dma)
{
    static const uint8_t read[12] = {0xa8, 0, 0, 0, 0, 40, 0, 0, 0, 3};

    new_ide();
    take_attention();
    prd(0, 0x20000, 3 * 2048, true);
    packet(read, 0, true);
    bm_start(8);
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert(holds_image(0x20000, 40 * 2048, 3 * 2048, 2048));
}
END_TEST

START_TEST(a_cd_tells_capacity_and_table_of_contents)
{
    static const uint8_t capacity[12] = {0x25}, toc[12] = {0x43, 0, 0, 0, 0, 0, 0, 0, 20},
                         beyond[12] = {0x28, 0, 0, 0, 0x10, 0, 0, 0, 1}, unknown[12] = {0xf7};

    new_ide();
    take_attention();
    packet(capacity, 8, false);
    wait();
    data();
    ck_assert_uint_eq(data(), (((CD_SECTORS - 1) & 0xff) << 8 | (CD_SECTORS - 1) >> 8));
    data();
    ck_assert_uint_eq(data(), 0x0008);
    packet(toc, 20, false);
    wait();
    ck_assert_uint_eq(data(), 18 << 8);
    for (unsigned i = 0; i < 9; i++)
        data();
    packet(beyond, 2048, false);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR) >> 4, 5);
    packet(unknown, 0, false);
    ck_assert_uint_eq(wait(), 0x51);
}
END_TEST

/* Pieces of an odd length are the last ones, and the host reads whole words; what it sends in pieces is one list. */
START_TEST(byte_counts_of_packets_are_even_but_for_the_last)
{
    static const uint8_t inquiry[12] = {0x12, 0, 0, 0, 35}, select[12] = {0x55, 0x10, 0, 0, 0, 0, 0, 0, 20};

    new_ide();
    take_attention();
    packet(inquiry, 17, false); /* as 16 */
    for (unsigned left = 35; left;) {
        unsigned n = left < 16 ? left : 16;

        ck_assert_uint_eq(wait(), 0x58);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 2);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), n);
        for (unsigned i = 0; i < n; i += 2)
            data();
        left -= n;
    }
    ck_assert_uint_eq(wait(), 0x50);
    packet(select, 8, false);
    for (unsigned left = 20; left;) {
        unsigned n = left < 8 ? left : 8;

        ck_assert_uint_eq(wait(), 0x58);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 0);
        ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_MID), n);
        for (unsigned i = 0; i < n; i += 2)
            put_data(0);
        left -= n;
    }
    ck_assert_uint_eq(wait(), 0x50);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_COUNT) & 3, 3);
}
END_TEST

START_TEST(a_tray_opens_unless_it_is_locked)
{
    static const uint8_t eject[12] = {0x1b, 0, 0, 0, 2}, load[12] = {0x1b, 0, 0, 0, 3}, lock[12] = {0x1e, 0, 0, 0, 1},
                         ready[12] = {0};

    new_ide();
    take_attention();
    packet(eject, 0, false);
    ck_assert_uint_eq(wait(), 0x50);
    packet(ready, 0, false);
    ck_assert_uint_eq(wait(), 0x51);
    ck_assert_uint_eq(in(ide, IDE_COMMAND_0, R_ERROR) >> 4, 2);
    packet(load, 0, false);
    wait();
    take_attention(); /* it may be another disc */
    packet(lock, 0, false);
    wait();
    packet(eject, 0, false);
    ck_assert_uint_eq(wait(), 0x51);
    packet(ready, 0, false);
    ck_assert_uint_eq(wait(), 0x50);
}
END_TEST

/* Registers, tables and memory as a mad guest leaves them: nothing breaks, and the state stays one that is possible. */
START_TEST(ide_bears_random_accesses)
{
    static const uint8_t commands[] = {0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xa0, 0xa1,
                                       0xec, 0x06, 0x08, 0x90, 0x91, 0xef, 0xe7, 0x40, 0x29, 0x39, 0xa0};
    uint64_t rng = (uint64_t)_i * 77777 + 1;

    new_ide();
    for (unsigned i = 0; i < 30000; i++) {
        uint32_t x, y;

        rng = rng * 6364136223846793005u + 1442695040888963407u;
        x = (uint32_t)(rng >> 33);
        y = (uint32_t)(rng >> 20);
        switch (x % 8) {
        case 0:
            out(ide, x >> 3 & 1, R_STATUS, commands[y % sizeof(commands)]);
            break;
        case 1:
            ide->ops->write(ide, IDE_BUS_MASTER, x >> 4 & 15, 1u << (y & 1), y >> 3);
            break;
        case 2:
            ide->ops->write(ide, IDE_BUS_MASTER, BM_TABLE + (x >> 4 & 8), 4, (y % 0x2000) * 4);
            break;
        case 3:
            poke32((y % 0x4000) * 4, y * 2654435761u);
            break;
        case 4:
            run_for(y % 100000);
            break;
        case 5:
            for (unsigned n = 0; n < (y & 0x1ff); n++)
                if (x & 8)
                    ide->ops->read(ide, x >> 4 & 1, 0, 2);
                else
                    ide->ops->write(ide, x >> 4 & 1, 0, 2, y * n);
            break;
        default:
            out(ide, x >> 3 & 3, x >> 5 & 7, y >> 3);
            in(ide, y & 1, y >> 1 & 7);
            break;
        }
        ck_assert(ide->ops->possible(ide));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(identify_tells_size_and_name);
    ADD(sectors_are_read_by_pio_with_an_interrupt_each);
    ADD(the_data_register_is_32_bits_wide_for_who_wants_it);
    ADD(a_sector_written_is_read_again);
    ADD(multiple_moves_several_sectors_an_interrupt);
    ADD(addresses_come_as_cylinder_head_and_sector_too);
    ADD(forty_eight_bit_addresses_come_in_two_writes);
    ADD(what_lies_behind_the_end_is_not_found);
    ADD(a_bad_sector_says_where_it_is);
    ADD(devices_that_are_not_there_say_so);
    ADD(a_software_reset_shows_the_signatures);
    ADD(everything_can_be_polled);
    ADD(nien_keeps_the_interrupt_back);
    ADD(a_device_held_in_reset_takes_no_command);
    ADD(diagnostics_are_for_both_devices);
    ADD(features_show_in_identify);
    ADD(properties_show_in_identify);
    ADD(a_geometry_can_be_set);
    ADD(commands_without_data_end_as_they_should);
    ADD(power_modes_are_told_and_end_with_what_needs_the_medium);
    ADD(a_device_that_sleeps_is_woken_by_a_reset);
    ADD(the_host_protected_area_is_behind_the_maximum_that_is_set);
    ADD(smart_tells_attributes_thresholds_and_that_all_is_well);
    ADD(smart_logs_errors_and_self_tests);
    ADD(settings_survive_a_software_reset_unless_they_are_to_go);
    ADD(bus_master_registers_keep_what_they_should);
    ADD(a_region_of_no_bytes_has_64_kib);
    ADD(byte_counts_of_packets_are_even_but_for_the_last);
    ADD(dma_reads_through_a_table_of_regions);
    ADD(dma_may_be_started_before_the_command);
    ADD(dma_writes_from_memory);
    ADD(watchpoints_see_what_it_moves);
    ADD(a_table_that_is_too_short_or_too_long_shows_in_the_status);
    ADD(dma_goes_as_far_as_sectors_are_good);
    ADD(dma_of_who_may_not_master_the_bus_is_an_error);
    ADD(trim_forgets_what_was_there);
    ADD(identify_of_a_cd_is_by_another_command);
    ADD(a_cd_is_read_in_pieces_of_the_hosts_size);
    ADD(a_cd_is_read_by_dma);
    ADD(a_cd_tells_capacity_and_table_of_contents);
    ADD(a_tray_opens_unless_it_is_locked);
    ADD(an_older_state_is_upgraded);
    ADD(a_disk_with_a_password_is_locked_when_power_comes);
    ADD(the_host_protected_area_has_a_password);
    tcase_add_loop_test(tc, ide_bears_random_accesses, 0, 8);
}

CHIP_TESTS("ide", claims)
