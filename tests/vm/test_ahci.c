/*
 * AHCI: commands of disks and CD-ROM drives through slots and tables of regions, errors, resets, nonsense.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/ahci.h"

#define BAR      0x10010000u
#define LIST_AT  0x1000u
#define FIS_AT   0x2000u
#define TABLE_AT 0x3000u /* of slot n: + n * 1000h */
#define DATA_AT  0x20000u

static struct device *ahci;
static struct pci_function *f;

static void reg(unsigned offset, uint32_t value)
{
    memory_write(&m->memory, BAR + offset, 4, value);
}

static uint32_t get(unsigned offset)
{
    return peek32(BAR + offset);
}

static unsigned port_at(unsigned port)
{
    return 0x100 + 0x80 * port;
}

static void start(unsigned port)
{
    reg(port_at(port) + 0x00, LIST_AT + 0x400 * port);
    reg(port_at(port) + 0x08, FIS_AT + 0x100 * port);
    reg(port_at(port) + 0x30, 0xffffffff);
    reg(port_at(port) + 0x18, 0x16);
    reg(port_at(port) + 0x10, 0xffffffff);
    reg(port_at(port) + 0x14, 0x7fffffff);
    reg(port_at(port) + 0x18, 0x17);
}

/* A disk at port 0, a CD-ROM drive at port 1. */
static void new_ahci(const struct drive_fault *fault)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "x", "driver", NULL, &e), 0);
    ck_assert_int_eq(ahci_plug(&s, "ahci", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    ck_assert_int_eq(ahci_disk_plug(&s, "", 0, new_drive("d0", DRIVE_DISK, fault), &props, &e), 0);
    ck_assert_int_eq(ahci_disk_plug(&s, "", 0, new_drive("c0", DRIVE_CDROM, NULL), &props, &e), 0);
    option_list_finish(&props);
    ahci = machine_find_device(m, "ahci");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x24, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    reg(0x04, 0x80000002);
    start(0);
    start(1);
    reg(0x08, 0xffffffff);
}

/* Put a 48-bit command into a slot; its data are two regions from DATA_AT on. */
static void prepare(unsigned port, unsigned slot, unsigned command, uint64_t lba, unsigned count, uint32_t bytes,
                    unsigned flags)
{
    paddr_t table = TABLE_AT + slot * 0x1000, header = LIST_AT + 0x400 * port + 32 * slot;
    uint8_t fis[64] = {0x27, 0x80, (uint8_t)command, 0, (uint8_t)lba, (uint8_t)(lba >> 8), (uint8_t)(lba >> 16), 0x40,
                       (uint8_t)(lba >> 24), 0, 0, 0, (uint8_t)count, (uint8_t)(count >> 8)};

    poke32(header, 5 | flags | 2u << 16);
    poke32(header + 4, 0);
    poke64(header + 8, table);
    poke(table, fis, sizeof(fis));
    poke64(table + 0x80, DATA_AT);
    poke32(table + 0x8c, 512 - 1);
    poke64(table + 0x90, DATA_AT + 0x1000);
    poke32(table + 0x9c, (bytes > 512 ? bytes - 512 : 2) - 1);
}

static void issue(unsigned port, unsigned slots)
{
    reg(port_at(port) + 0x38, slots);
    run_for(50 * MS);
}

START_TEST(ports_tell_what_is_there)
{
    new_ahci(NULL);
    ck_assert_uint_eq(get(0x0c), 0x3f);
    ck_assert_uint_eq(get(port_at(0) + 0x28) & 0xf, 3);
    ck_assert_uint_eq(get(port_at(0) + 0x24), 0x00000101);
    ck_assert_uint_eq(get(port_at(1) + 0x24), 0xeb140101);
    ck_assert_uint_eq(get(port_at(2) + 0x28), 0);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0xff, 0x50);
    prepare(0, 0, 0xec, 0, 0, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 120), DISK_SECTORS);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 2, 2);
    ck_assert_uint_eq(peek32(LIST_AT + 4), 512);
    ck_assert(probe[3].level);
    reg(port_at(0) + 0x10, 0xffffffff);
    reg(0x08, 1);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(slots_are_done_one_after_the_other)
{
    new_ahci(NULL);
    prepare(0, 2, 0x25, 40, 2, 1024, 0);
    issue(0, 1 << 2);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 1);
    ck_assert(holds_image(DATA_AT, 40 * 512, 512, 512));
    ck_assert(holds_image(DATA_AT + 0x1000, 41 * 512, 512, 512));
    ck_assert_uint_eq(peek32(LIST_AT + 32 * 2 + 4), 1024);
    ck_assert_uint_eq(peek32(FIS_AT + 0x40) >> 16, 0x0050);
    poke32(DATA_AT, 0xfeed);
    prepare(0, 0, 0x35, 70, 1, 512, 0x40);
    prepare(0, 1, 0x25, 70, 2, 1024, 0);
    reg(port_at(0) + 0x38, 3);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 3);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0x80, 0x80);
    run_for(50 * MS);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0xfeed);
}
END_TEST

START_TEST(watchpoints_see_what_it_moves)
{
    struct drive *d;

    new_ahci(NULL);
    d = drive_find(m, "d0");
    watch(d, DATA_AT, 40, 512);
    prepare(0, 0, 0x25, 40, 1, 512, 0);
    issue(0, 1);
    expect_moved(ahci, true, 512);
    prepare(0, 0, 0x35, 40, 1, 512, 0x40);
    issue(0, 1);
    expect_moved(ahci, false, 512);
    unwatch();
}
END_TEST

START_TEST(an_error_stops_the_port_until_it_is_started_again)
{
    static const struct drive_fault bad = {.first = 33, .count = 1};

    new_ahci(&bad);
    prepare(0, 0, 0x25, 33, 1, 512, 0);
    prepare(0, 1, 0x25, 1, 1, 512, 0);
    issue(0, 3);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 0x40000000, 0x40000000);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x4051);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 3);
    reg(port_at(0) + 0x18, 0x16);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    reg(port_at(0) + 0x10, 0xffffffff);
    reg(port_at(0) + 0x18, 0x17);
    issue(0, 2);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert(holds_image(DATA_AT, 512, 512, 512));
}
END_TEST

START_TEST(packets_go_to_the_cd)
{
    static const uint8_t ready[16] = {0}, read[16] = {0x28, 0, 0, 0, 0, 5, 0, 0, 1};

    new_ahci(NULL);
    prepare(1, 0, 0xa0, 0, 0, 2048, 0x20);
    poke(TABLE_AT + 0x40, ready, 16);
    issue(1, 1);
    ck_assert_uint_eq(get(port_at(1) + 0x20), 0x6051); /* unit attention */
    reg(port_at(1) + 0x18, 0x16);
    reg(port_at(1) + 0x18, 0x17);
    prepare(1, 0, 0xa0, 0, 0, 2048, 0x20);
    poke(TABLE_AT + 0x40, read, 16);
    issue(1, 1);
    ck_assert_uint_eq(get(port_at(1) + 0x20), 0x0050);
    ck_assert(holds_image(DATA_AT, 5 * 2048, 512, 2048));
    ck_assert(holds_image(DATA_AT + 0x1000, 5 * 2048 + 512, 1536, 2048));
}
END_TEST

START_TEST(comreset_brings_the_signature_again)
{
    new_ahci(NULL);
    reg(port_at(1) + 0x18, 0x16);
    reg(port_at(1) + 0x2c, 1);
    ck_assert_uint_eq(get(port_at(1) + 0x28), 0);
    reg(port_at(1) + 0x2c, 0);
    ck_assert_uint_eq(get(port_at(1) + 0x24), 0xeb140101);
    ck_assert_uint_eq(get(port_at(1) + 0x30) & 0x04000000, 0x04000000);
    reg(0x04, 0x80000001);
    ck_assert_uint_eq(get(0x04), 0x80000000);
}
END_TEST

/* A queued command: its tag is the slot. */
static void prepare_queued(unsigned slot, bool write, uint64_t lba, unsigned count, uint32_t bytes)
{
    const uint8_t count_is_tag[2] = {(uint8_t)(slot << 3), 0};
    const uint8_t features[1] = {(uint8_t)count}, upper[1] = {(uint8_t)(count >> 8)};
    paddr_t table = TABLE_AT + slot * 0x1000;

    prepare(0, slot, write ? 0x61 : 0x60, lba, 0, bytes, write ? 0x40 : 0);
    poke(table + 3, features, 1);
    poke(table + 11, upper, 1);
    poke(table + 12, count_is_tag, 2);
    poke64(table + 0x80, DATA_AT + 0x2000 * slot);
    poke64(table + 0x90, DATA_AT + 0x2000 * slot + 512);
}

START_TEST(capabilities_and_port_registers_are_honest)
{
    new_ahci(NULL);
    ck_assert_uint_eq(get(0x00), 0xc1241f05); /* no coalescing, no staggered spin-up, command list override */
    ck_assert_uint_eq(get(0x10), 0x00010300);
    ck_assert_uint_eq(get(0x14), 0); /* coalescing, */
    ck_assert_uint_eq(get(0x24), 0); /* no more capabilities */
    reg(0x04, 0);
    ck_assert_uint_eq(get(0x04), 0x80000000); /* AHCI only */
    reg(port_at(0) + 0x18, 0);
    ck_assert_msg(get(port_at(0) + 0x18) == 6, "spun up and powered, whatever is written");
    reg(port_at(0) + 0x18, 0x10);
    ck_assert_uint_eq(get(port_at(0) + 0x18), 0x4016);
    reg(port_at(0) + 0x18, 0x11);
    ck_assert_uint_eq(get(port_at(0) + 0x18), 0xc017);
    reg(port_at(0) + 0x14, 0xffffffff);
    ck_assert_uint_eq(get(port_at(0) + 0x14), 0xfdc000ff);
    reg(port_at(0) + 0x00, 0xffffffff);
    ck_assert_uint_eq(get(port_at(0) + 0x00), 0xfffffc00);
    reg(port_at(0) + 0x08, 0xffffffff);
    ck_assert_uint_eq(get(port_at(0) + 0x08), 0xffffff00);
}
END_TEST

/* Nothing is kept there: no coalescing, enclosures, hand-off from a BIOS, notification, FIS-based switching, device sleep. */
START_TEST(registers_of_what_is_not_there_are_0)
{
    static const unsigned none[] = {0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x13c, 0x140, 0x144, 0x170, 0x400}, fixed[] = {0x00, 0x0c, 0x10};

    new_ahci(NULL);
    for (unsigned i = 0; i < ARRAY_LEN(none); i++) {
        reg(none[i], 0xffffffff);
        ck_assert_uint_eq(get(none[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fixed); i++) { /* nor can what the adapter is be changed */
        uint32_t was = get(fixed[i]);

        reg(fixed[i], ~was);
        ck_assert_uint_eq(get(fixed[i]), was);
    }
    for (unsigned at = 0x20; at <= 0x28; at += 4) {
        uint32_t was = get(port_at(0) + at);

        reg(port_at(0) + at, ~was);
        ck_assert_uint_eq(get(port_at(0) + at), was);
    }
    reg(port_at(0) + 0x2c, 0xfffff7f0);
    ck_assert_uint_eq(get(port_at(0) + 0x2c), 0x7f0); /* no port multiplier's fields */
}
END_TEST

START_TEST(a_link_that_changed_is_told_until_the_error_register_is_cleared)
{
    new_ahci(NULL);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0);
    reg(port_at(0) + 0x18, 0x16);
    reg(port_at(0) + 0x2c, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x30), 0x00010000);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x00400000);
    ck_assert(probe[3].level);
    reg(port_at(0) + 0x2c, 0);
    ck_assert_uint_eq(get(port_at(0) + 0x30), 0x04010000);
    reg(port_at(0) + 0x10, 0xffffffff);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x00400040);
    reg(port_at(0) + 0x30, 0x00010000);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x00000040);
    reg(0x08, 1);
    ck_assert_uint_eq(get(0x08), 1); /* the port's interrupt is there still */
    reg(port_at(0) + 0x30, 0x04000000);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0);
    reg(0x08, 1);
    ck_assert_uint_eq(get(0x08), 0);
    ck_assert(!probe[3].level);
    reg(0x04, 0x80000001); /* what comes up after a reset is a change, too */
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x00400040);
    ck_assert_uint_eq(get(port_at(2) + 0x10), 0);
    ck_assert_uint_eq(get(port_at(0) + 0x00), LIST_AT); /* lists stay where they are */
}
END_TEST

START_TEST(bytes_and_words_of_registers_can_be_written)
{
    new_ahci(NULL);
    reg(port_at(0) + 0x14, 0);
    memory_write(&m->memory, BAR + port_at(0) + 0x17, 1, 0x40);
    ck_assert_uint_eq(get(port_at(0) + 0x14), 0x40000000);
    memory_write(&m->memory, BAR + port_at(0) + 0x14, 2, 0x00ff);
    ck_assert_uint_eq(get(port_at(0) + 0x14), 0x400000ff);
    reg(port_at(0) + 0x2c, 4);
    reg(port_at(0) + 0x2c, 0);
    ck_assert_uint_eq(get(port_at(0) + 0x30), 0x04010000);
    memory_write(&m->memory, BAR + port_at(0) + 0x32, 1, 0x01);
    ck_assert_uint_eq(get(port_at(0) + 0x30), 0x04000000);
    memory_write(&m->memory, BAR + port_at(0) + 0x18, 1, 0x06);
    ck_assert_uint_eq(get(port_at(0) + 0x18), 6);
}
END_TEST

START_TEST(slots_take_turns_from_the_one_before)
{
    new_ahci(NULL);
    prepare(0, 1, 0x25, 10, 1, 512, 0);
    issue(0, 2);
    ck_assert_uint_eq(get(port_at(0) + 0x18) >> 8 & 31, 1);
    poke32(DATA_AT, 0xfeed);
    prepare(0, 0, 0x35, 70, 1, 512, 0x40); /* 0 writes what is in memory, 2 reads the same sector to there */
    prepare(0, 2, 0x25, 70, 1, 512, 0);
    issue(0, 5);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert_msg(holds_image(DATA_AT, 70 * 512, 512, 512), "2 was first");
    ck_assert_uint_eq(get(port_at(0) + 0x18) >> 8 & 31, 0);
    reg(port_at(0) + 0x18, 0x16);
    ck_assert_uint_eq(get(port_at(0) + 0x18) >> 8 & 31, 0);
    reg(port_at(0) + 0x18, 0x17); /* started anew: from 0 on */
    poke32(DATA_AT, 0xfeed);
    issue(0, 5);
    ck_assert_uint_eq(peek32(DATA_AT), 0xfeed);
}
END_TEST

START_TEST(a_table_that_is_too_short_is_an_overflow)
{
    new_ahci(NULL);
    prepare(0, 0, 0x25, 40, 4, 1024, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 0x41000000, 0x41000000);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x0451);
    reg(port_at(0) + 0x18, 0x16);
    reg(port_at(0) + 0x10, 0xffffffff);
    reg(port_at(0) + 0x18, 0x17);
    prepare(0, 0, 0xec, 0, 0, 512, 0);
    poke32(TABLE_AT + 0x8c, 256 - 1);
    poke32(TABLE_AT + 0x9c, 128 - 1);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x01000002); /* of a read: the rest is lost, and all goes on */
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
}
END_TEST

START_TEST(memory_that_cannot_be_reached_stops_the_port)
{
    new_ahci(NULL);
    prepare(0, 0, 0x25, 40, 1, 512, 0);
    reg(port_at(0) + 0x38, 1);
    pci_config_write(f, PCI_COMMAND, 2, 2);
    run_for(50 * MS);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x20000000);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0x80, 0x80);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 1);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 1); /* until it is started anew, and the device reset */
    reg(port_at(0) + 0x18, 0x16);
    reg(port_at(0) + 0x2c, 1);
    reg(port_at(0) + 0x2c, 0);
    reg(port_at(0) + 0x30, 0xffffffff);
    reg(port_at(0) + 0x18, 0x17);
    issue(0, 1);
    ck_assert(holds_image(DATA_AT, 40 * 512, 512, 512));
}
END_TEST

START_TEST(a_read_by_pio_ends_with_its_last_block)
{
    new_ahci(NULL);
    prepare(0, 0, 0x24, 40, 2, 1024, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 2);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x50);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert_uint_eq(peek32(FIS_AT + 0x20) & 0xffff, 0x605f);
    ck_assert_uint_eq(peek32(FIS_AT + 0x30) & 0xffff, 512); /* the last block's bytes */
    ck_assert(holds_image(DATA_AT + 0x1000, 41 * 512, 512, 512));
    prepare(0, 0, 0x34, 40, 2, 1024, 0x40);
    reg(port_at(0) + 0x10, 0xffffffff);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 1); /* a write ends with registers */
}
END_TEST

START_TEST(a_state_of_the_version_before_is_upgraded)
{
    uint8_t *old;
    size_t len;

    new_ahci(NULL);
    len = ahci->ops->state_size;
    old = xmalloc(len);
    memcpy(old, ahci->state, len);
    ck_assert(!ahci->ops->upgrade(ahci, 1, old, len));
    memset(ahci->state, 0xa5, len);
    while (len && !ahci->ops->upgrade(ahci, 3, old, len))
        len--;
    ck_assert_uint_gt(len, ahci->ops->state_size / 2);
    ck_assert_uint_eq(get(0x04), 0x80000002); /* what lies before the first of its devices is there */
    free(old);
}
END_TEST

START_TEST(the_link_goes_off_and_comes_at_the_speed_allowed)
{
    new_ahci(NULL);
    reg(port_at(0) + 0x18, 0x10);
    reg(port_at(0) + 0x2c, 4);
    ck_assert_uint_eq(get(port_at(0) + 0x28), 4);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x7f);
    reg(port_at(0) + 0x2c, 0);
    ck_assert_uint_eq(get(port_at(0) + 0x28), 0x123);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x150);
    reg(port_at(0) + 0x2c, 0x11);
    reg(port_at(0) + 0x2c, 0x10);
    ck_assert_uint_eq(get(port_at(0) + 0x28), 0x113);
}
END_TEST

START_TEST(a_command_waits_for_the_link)
{
    new_ahci(NULL);
    reg(port_at(0) + 0x2c, 4);
    prepare(0, 0, 0x25, 40, 1, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x7f);
    reg(port_at(0) + 0x18, 0x16);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    reg(port_at(0) + 0x2c, 0);
    reg(port_at(0) + 0x18, 0x17);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert(holds_image(DATA_AT, 40 * 512, 512, 512));
}
END_TEST

START_TEST(a_region_may_ask_for_an_interrupt)
{
    new_ahci(NULL);
    prepare(0, 0, 0x25, 40, 2, 1024, 0);
    poke32(TABLE_AT + 0x8c, 0x80000000u | (512 - 1));
    reg(port_at(0) + 0x14, 0x20);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x21);
    ck_assert(probe[3].level);
    reg(port_at(0) + 0x10, 0x20);
    reg(0x08, 1);
    ck_assert(!probe[3].level);
}
END_TEST

/* Polled, without interrupts: stopped, given its lists, started, and CI and IS looked at. */
START_TEST(a_port_can_be_polled)
{
    static const struct drive_fault bad = {.first = 50, .count = 1};

    new_ahci(&bad);
    reg(0x04, 0x80000000);
    reg(port_at(0) + 0x14, 0);
    reg(port_at(0) + 0x18, 0);
    ck_assert_uint_eq(get(port_at(0) + 0x18) & 0xc000, 0);
    reg(port_at(0) + 0x00, LIST_AT);
    reg(port_at(0) + 0x08, FIS_AT);
    reg(port_at(0) + 0x18, 0x10);
    reg(port_at(0) + 0x18, 0x11);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0x88, 0);
    prepare(0, 0, 0x25, 40, 2, 1024, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 0x40000000, 0);
    ck_assert(holds_image(DATA_AT + 0x1000, 41 * 512, 512, 512));
    prepare(0, 0, 0x25, 50, 1, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 0x40000000, 0x40000000);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x4051);
    ck_assert_uint_eq(peek32(FIS_AT + 0x40) >> 16, 0x4051);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(queued_commands_end_by_their_tags)
{
    new_ahci(NULL);
    ck_assert_uint_eq(get(0x00) & 0x40000000, 0x40000000);
    prepare(0, 0, 0xec, 0, 0, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(peek32(DATA_AT + 150) & 0xffff, 31);
    ck_assert_uint_eq(peek32(DATA_AT + 152) & 0x100, 0x100);
    reg(port_at(0) + 0x10, 0xffffffff);
    prepare_queued(1, false, 40, 2, 1024);
    prepare_queued(3, false, 0x500, 3, 1536);
    poke32(DATA_AT + 0x2000 * 2, 0xfeed);
    prepare_queued(2, true, 70, 1, 512);
    reg(port_at(0) + 0x34, 0x0e);
    reg(port_at(0) + 0x38, 0x0e);
    ck_assert_msg(get(port_at(0) + 0x38) == 0, "the disk has taken them");
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0x0e);
    ck_assert_msg(get(port_at(0) + 0x10) == 0, "without an interrupt");
    ck_assert_msg(!(get(port_at(0) + 0x20) & 0x80), "and is not busy");
    run_for(30000);
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0x0c);
    ck_assert_uint_eq(get(port_at(0) + 0x10), 0x08);
    ck_assert_uint_eq(peek32(FIS_AT + 0x58), 0x005040a1);
    ck_assert_uint_eq(peek32(FIS_AT + 0x5c), 0x02);
    run_for(50 * MS);
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0);
    ck_assert(holds_image(DATA_AT + 0x2000, 40 * 512, 1024, 512));
    ck_assert(holds_image(DATA_AT + 0x6000, 0x500 * 512, 1536, 512));
    prepare(0, 0, 0x25, 70, 1, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(peek32(DATA_AT), 0xfeed);
}
END_TEST

static void restart(void)
{
    reg(port_at(0) + 0x18, 0x16);
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0);
    reg(port_at(0) + 0x10, 0xffffffff);
    reg(port_at(0) + 0x18, 0x17);
}

static void read_log(unsigned page)
{
    prepare(0, 0, 0x2f, page, 1, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x38), 0);
}

START_TEST(a_locked_disk_takes_no_queued_commands)
{
    static const uint8_t secret[4] = {0, 0, 's', 'x'};

    new_ahci(NULL);
    prepare(0, 0, 0xf1, 0, 0, 512, 0x40);
    poke(DATA_AT, secret, sizeof(secret));
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x50);
    reg(0x04, 0x80000001);
    reg(0x04, 0x80000002);
    start(0);
    prepare_queued(0, false, 40, 1, 512);
    reg(port_at(0) + 0x34, 1);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x0451);
    start(0);
    prepare(0, 0, 0xf2, 0, 0, 512, 0x40);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x50);
    prepare(0, 0, 0x25, 40, 1, 512, 0);
    issue(0, 1);
    ck_assert(holds_image(DATA_AT, 40 * 512, 512, 512));
}
END_TEST

START_TEST(a_queued_command_that_fails_is_in_the_log)
{
    static const struct drive_fault bad = {.first = 33, .count = 1};
    uint8_t sum = 0;

    new_ahci(&bad);
    prepare_queued(4, false, 32, 4, 2048);
    prepare_queued(5, false, 100, 1, 512);
    reg(port_at(0) + 0x34, 0x30);
    reg(port_at(0) + 0x38, 0x30);
    run_for(50 * MS);
    ck_assert_uint_eq(get(port_at(0) + 0x10) & 0x40000008, 0x40000008);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x4051);
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0x30);
    restart();
    prepare(0, 0, 0x25, 1, 1, 512, 0); /* nothing else before the log is read */
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0x0401, 0x0401);
    restart();
    read_log(0);
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 0x20), 1);
    read_log(0x10);
    ck_assert_uint_eq(peek32(DATA_AT), 0x40510004);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 0x40000021);
    ck_assert_uint_eq(peek32(DATA_AT + 8), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 12), 4);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + memory_read(&m->memory, DATA_AT + i, 1));
    ck_assert_uint_eq(sum, 0);
    prepare_queued(5, false, 100, 1, 512);
    reg(port_at(0) + 0x34, 0x20);
    issue(0, 0x20);
    ck_assert_uint_eq(get(port_at(0) + 0x34), 0);
    prepare_queued(6, false, DISK_SECTORS, 1, 512); /* beyond the end */
    reg(port_at(0) + 0x34, 0x40);
    issue(0, 0x40);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x1051);
    restart();
    read_log(0x10);
    prepare_queued(7, false, 100, 1, 512); /* and one that is not queued between */
    prepare(0, 1, 0x25, 1, 1, 512, 0);
    reg(port_at(0) + 0x34, 0x80);
    reg(port_at(0) + 0x38, 0x80);
    issue(0, 0x02);
    ck_assert_uint_eq(get(port_at(0) + 0x20), 0x0451);
    restart();
    read_log(0x10);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xff, 0x80);
}
END_TEST

/* Lists, tables, regions and FISes in the adapter's own registers, and nowhere. */
START_TEST(regions_in_device_registers_do_no_harm)
{
    static const paddr_t places[] = {BAR, BAR + 0x100, 0x1fff0000, 0xfffffffffffffc00, RAM_BYTES - 256};

    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        for (unsigned what = 0; what < 4; what++) {
            new_ahci(NULL);
            prepare(0, 0, what & 1 ? 0x35 : 0x25, 5, 2, 1024, what & 1 ? 0x40 : 0);
            if (what < 2)
                poke64(TABLE_AT + 0x90, places[i]);
            if (what == 2)
                poke64(LIST_AT + 8, places[i]);
            if (what == 3) {
                reg(port_at(0) + 0x18, 0x06);
                reg(port_at(0) + 0x08, (uint32_t)places[i]);
                reg(port_at(0) + 0x0c, (uint32_t)(places[i] >> 32));
                reg(port_at(0) + 0x18, 0x17);
            }
            issue(0, 1);
            ck_assert(ahci->ops->possible(ahci));
            ck_assert_uint_eq(get(0x0c), 0x3f);
            ck_assert_uint_eq(get(port_at(1) + 0x28) & 0xf, 3);
        }
}
END_TEST

START_TEST(smart_and_the_protected_area_are_there_too)
{
    static const uint8_t read_data[] = {0xd0}, key[] = {0x4f, 0xc2};
    uint8_t page[512], sum = 0;

    new_ahci(NULL);
    prepare(0, 0, 0xb0, 0, 1, 512, 0);
    poke(TABLE_AT + 3, read_data, 1);
    poke(TABLE_AT + 5, key, 2);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0xff, 0x50);
    memory_read_bytes(&m->memory, DATA_AT, page, sizeof(page));
    for (unsigned i = 0; i < sizeof(page); i++)
        sum = (uint8_t)(sum + page[i]);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(page[0], 0x10);
    prepare(0, 0, 0x27, 0, 0, 2, 0);
    issue(0, 1);
    prepare(0, 0, 0x37, 1999, 0, 2, 0);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0xff, 0x50);
    prepare(0, 0, 0xec, 0, 0, 512, 0);
    issue(0, 1);
    ck_assert_uint_eq(peek32(DATA_AT + 120), 2000);
    prepare_queued(0, false, 1990, 20, 20 * 512);
    reg(port_at(0) + 0x34, 1);
    issue(0, 1);
    ck_assert_uint_eq(get(port_at(0) + 0x20) & 0x01, 1); /* behind the end that is shown */
}
END_TEST

START_TEST(ahci_bears_random_commands)
{
    static const uint8_t commands[] = {0x25, 0x35, 0x20, 0x30, 0xec, 0xa0, 0xa1, 0x06, 0xe7, 0x42, 0xc8, 0xca, 0xef, 0x90, 0x60, 0x61, 0x2f};
    uint64_t rng = (uint64_t)_i * 4242 + 9;

    new_ahci(NULL);
    for (unsigned i = 0; i < 6000; i++) {
        uint32_t x, y;

        rng = rng * 6364136223846793005u + 1442695040888963407u;
        x = (uint32_t)(rng >> 33);
        y = (uint32_t)(rng >> 20);
        prepare(x & 1, x >> 1 & 3, commands[y % sizeof(commands)], y >> 4 & 0x1fff, x >> 8 & 15, x >> 3 & 0x1fff, y & 0x60);
        if (!(y & 7))
            poke32(TABLE_AT + (x >> 5 & 0x3ffc), y * 77);
        if (!(y & 31))
            reg((x >> 2 & 0x1fc) + (y & 0x100), y);
        if (y & 0x100) {
            const uint8_t tag = (uint8_t)((x >> 1 & 3) << 3);

            poke(TABLE_AT + 0x1000 * (x >> 1 & 3) + 12, &tag, 1);
            reg(port_at(x & 1) + 0x34, 1u << (x >> 1 & 3));
        }
        if (y & 0x200)
            reg(port_at(x & 1) + 0x38, 1u << (x >> 1 & 3));
        else
            issue(x & 1, 1u << (x >> 1 & 3));
        if (i % 100 == 99) {
            pci_config_write(f, PCI_COMMAND, 2, 6);
            start(0);
            start(1);
        }
        ck_assert(ahci->ops->possible(ahci));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(ports_tell_what_is_there);
    ADD(slots_are_done_one_after_the_other);
    ADD(watchpoints_see_what_it_moves);
    ADD(an_error_stops_the_port_until_it_is_started_again);
    ADD(packets_go_to_the_cd);
    ADD(capabilities_and_port_registers_are_honest);
    ADD(the_link_goes_off_and_comes_at_the_speed_allowed);
    ADD(a_command_waits_for_the_link);
    ADD(a_region_may_ask_for_an_interrupt);
    ADD(a_port_can_be_polled);
    ADD(queued_commands_end_by_their_tags);
    ADD(a_queued_command_that_fails_is_in_the_log);
    ADD(comreset_brings_the_signature_again);
    ADD(regions_in_device_registers_do_no_harm);
    ADD(smart_and_the_protected_area_are_there_too);
    ADD(registers_of_what_is_not_there_are_0);
    ADD(a_link_that_changed_is_told_until_the_error_register_is_cleared);
    ADD(bytes_and_words_of_registers_can_be_written);
    ADD(slots_take_turns_from_the_one_before);
    ADD(a_table_that_is_too_short_is_an_overflow);
    ADD(memory_that_cannot_be_reached_stops_the_port);
    ADD(a_read_by_pio_ends_with_its_last_block);
    ADD(a_state_of_the_version_before_is_upgraded);
    ADD(a_locked_disk_takes_no_queued_commands);
    tcase_add_loop_test(tc, ahci_bears_random_commands, 0, 6);
}

CHIP_TESTS("ahci", claims)
