/*
 * SCSI units, and the virtio adapter that carries commands to them.
 */
#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/scsi.h"
#include "vm/dev/virtio_scsi.h"

/* ---- units ---- */

static struct drive *d;
static struct scsi_unit u;
static struct scsi_command c;

static void new_unit(enum drive_media media)
{
    new_disk_bench();
    d = new_drive("d0", media, NULL);
    scsi_reset(&u);
    u.attention = 0;
}

static enum scsi_transfer command(const char *bytes, size_t len)
{
    uint8_t cdb[16] = {0};

    memcpy(cdb, bytes, len);
    scsi_begin(d, &u, cdb, &c);
    return c.transfer;
}

#define CMD(text) command(text, sizeof(text) - 1)

START_TEST(attention_is_told_once_and_before_all_but_inquiry)
{
    new_unit(DRIVE_DISK);
    u.attention = 0x29;
    ck_assert_int_eq(CMD("\x12\0\0\0\x24"), SCSI_REPLY);
    ck_assert_int_eq(CMD("\0"), SCSI_FAILED);
    ck_assert_uint_eq(u.key, SENSE_ATTENTION);
    ck_assert_int_eq(CMD("\0"), SCSI_NOTHING);
}
END_TEST

START_TEST(disks_tell_what_they_are_and_where_they_end)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\x12\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[0], 0);
    ck_assert_uint_eq(c.len, 36);
    ck_assert_int_eq(CMD("\x12\x01\x80\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply + 4, "d0", 2), 0);
    ck_assert_int_eq(CMD("\x12\x01\x77\0\xff"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\x25"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[2] << 8 | c.reply[3], DISK_SECTORS - 1);
    ck_assert_int_eq(CMD("\x28\0\0\0\x0f\xff\0\0\x01"), SCSI_READ);
    ck_assert_uint_eq(c.offset, (DISK_SECTORS - 1) * 512);
    ck_assert_int_eq(CMD("\x28\0\0\0\x0f\xff\0\0\x02"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x21);
    ck_assert_int_eq(CMD("\x88\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\xf3"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x20);
}
END_TEST

/* Does the device take these properties, as --device gives them? */
static bool take(enum disk_kind kind, const char *text)
{
    struct option_list props;
    struct error e;
    bool taken;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    taken = disk_props_take(d, kind, &props, &e) == 0;
    option_list_finish(&props);
    return taken;
}

START_TEST(properties_say_what_a_unit_is)
{
    static const uint8_t names[] = "\x02\0\0\x04WING\x01\x03\0\x08\x50\0\xc5\0\x12\x34\x56\x78"
                                   "\x61\x93\0\x08\x50\0\xc5\0\x12\x34\x56\x79\x61\x94\0\x04\0\0\0\x02";

    new_unit(DRIVE_DISK);
    ck_assert(take(DISK_SCSI, "scsi-hd,vendor=ACME,product=Disk 7,ver=2.5+,device_id=WING,wwn=0x5000c50012345678,"
                              "port_wwn=0x5000c50012345679,port_index=2,rotation_rate=7200,physical_block_size=4096,min_io_size=4096,"
                              "opt_io_size=64K,serial=S-1"));
    ck_assert_int_eq(CMD("\x12\0\0\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply + 8, "ACME    Disk 7          2.5+", 28), 0);
    ck_assert_int_eq(CMD("\x12\x01\x80\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply, "\0\x80\0\x03S-1", 7), 0);
    ck_assert_int_eq(CMD("\x12\x01\x83\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 4 + sizeof(names) - 1);
    ck_assert_uint_eq(c.reply[3], sizeof(names) - 1);
    ck_assert_int_eq(memcmp(c.reply + 4, names, sizeof(names) - 1), 0);
    ck_assert_int_eq(CMD("\x12\x01\xb0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[7], 8);
    ck_assert_uint_eq(c.reply[15], 128);
    ck_assert_int_eq(CMD("\x12\x01\xb1\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[4] << 8 | c.reply[5], 7200);
    ck_assert_int_eq(CMD("\x9e\x10\0\0\0\0\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[13], 3);
    new_unit(DRIVE_DISK);
    ck_assert(take(DISK_SCSI, "scsi-hd,serial=012345678901234567890123456789012345")); /* of which 20 are its name */
    ck_assert_int_eq(CMD("\x12\x01\x80\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[3], 36);
    ck_assert_int_eq(CMD("\x12\x01\x83\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[3], 24);
    ck_assert_uint_eq(c.reply[7], 20);
}
END_TEST

START_TEST(properties_that_do_not_fit_are_refused)
{
    static const struct {
        enum disk_kind kind;
        const char *text;
    } bad[] = {
        {DISK_SCSI, "serial=0123456789012345678901234567890123456"}, {DISK_ATA, "serial=012345678901234567890"},
        {DISK_NVME, "serial=012345678901234567890"}, {DISK_VIRTIO, "serial=012345678901234567890"},
        {DISK_SCSI, "vendor=123456789"}, {DISK_SCSI, "product=12345678901234567"}, {DISK_SCSI, "ver=12345"},
        {DISK_ATA, "ver=123456789"}, {DISK_ATA, "model=12345678901234567890123456789012345678901"}, {DISK_SCSI, "vendor=\t"},
        {DISK_SCSI, "wwn=x"}, {DISK_SCSI, "port_index=0"}, {DISK_SCSI, "port_index=65536"}, {DISK_SCSI, "rotation_rate=2"},
        {DISK_SCSI, "rotation_rate=65535"}, {DISK_SCSI, "logical_block_size=4096"}, {DISK_SCSI, "physical_block_size=0"},
        {DISK_SCSI, "physical_block_size=256"}, {DISK_SCSI, "physical_block_size=1000"}, {DISK_SCSI, "physical_block_size=4M"},
        {DISK_SCSI, "min_io_size=100"}, {DISK_SCSI, "min_io_size=64M"},
    };

    new_unit(DRIVE_DISK);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!take(bad[i].kind, bad[i].text), "%s", bad[i].text);
    ck_assert(take(DISK_SCSI, "logical_block_size=512,rotation_rate=0,port_index=65535,min_io_size=512"));
}
END_TEST

START_TEST(sense_data_last_until_the_next_command)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\xf3"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\x03\0\0\0\x12"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[2], SENSE_ILLEGAL);
    ck_assert_int_eq(CMD("\xf3"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\0"), SCSI_NOTHING);
    ck_assert_int_eq(CMD("\x03\0\0\0\x12"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[2], SENSE_NONE);
}
END_TEST

START_TEST(a_disk_refuses_what_it_cannot_do)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\x1a\0\x3f\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(CMD("\x1a\0\xff\0\xff"), SCSI_FAILED); /* saved pages */
    ck_assert_uint_eq(u.asc, 0x39);
    ck_assert_int_eq(CMD("\x1a\0\x08\x01\xff"), SCSI_FAILED); /* a subpage */
    ck_assert_int_eq(CMD("\x2f\0\0\0\0\x01\0\0\x01"), SCSI_VERIFY);
    ck_assert_int_eq(CMD("\x2f\x04\0\0\0\x01\0\0\x01"), SCSI_FAILED); /* no such comparison */
    ck_assert_uint_eq(u.asc, 0x24);
    ck_assert_int_eq(CMD("\x41\0\0\0\0\x01\0\0\0"), SCSI_FAILED); /* to the end, */
    ck_assert_int_eq(CMD("\x12\x01\xb0\0\xff"), SCSI_REPLY);        /* which block limits say */
    ck_assert_uint_eq(c.reply[4] & 1, 1);
    ck_assert_int_eq(CMD("\x93\x01\0\0\0\0\0\0\0\x01\0\0\0\x01"), SCSI_FAILED); /* no block */
}
END_TEST

/* That the last command failed so. */
#define FAILED_SO(text, code) do { \
        ck_assert_int_eq(CMD(text), SCSI_FAILED); \
        ck_assert_uint_eq(u.key, SENSE_ILLEGAL); \
        ck_assert_uint_eq(u.asc, code); \
    } while (0)

START_TEST(fields_that_mean_nothing_here_are_refused)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\x35\0\0\0\0\0\0\0\0"), SCSI_FLUSH);
    ck_assert_int_eq(CMD("\x35\0\0\0\x0f\xff\0\0\x01"), SCSI_FLUSH);
    FAILED_SO("\x35\0\0\0\x0f\xff\0\0\x02", 0x21);
    FAILED_SO("\x91\0\0\0\0\1\0\0\0\0\0\0\0\1", 0x21);
    FAILED_SO("\x25\0\0\0\0\x01", 0x24);                   /* a block without PMI */
    FAILED_SO("\x42\x01\0\0\0\0\0\0\x18", 0x24);            /* anchored */
    FAILED_SO("\x42\0\0\0\0\0\0\0\x07", 0x1a);
    FAILED_SO("\x41\x18\0\0\0\0\0\0\x01", 0x24);
    FAILED_SO("\x15\x11\0\0\x18", 0x24);                    /* saved */
    FAILED_SO("\xa0\0\0\0\0\0\0\0\0\x0f", 0x24);
    FAILED_SO("\xa0\0\x03\0\0\0\0\0\0\xff", 0x24);
    ck_assert_int_eq(CMD("\xa0\0\x01\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8);                             /* no well-known units */
    ck_assert_uint_eq(c.reply[3], 0);
    ck_assert_int_eq(CMD("\xa0\0\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 16);
    ck_assert_int_eq(CMD("\x1d\x04"), SCSI_NOTHING);         /* the default self-test */
    FAILED_SO("\x1d\x20", 0x24);
    FAILED_SO("\x1d\0\0\0\x04", 0x24);
    new_unit(DRIVE_CDROM);
    ck_assert_int_eq(CMD("\x52\x01\0\0\0\x01\0\0\xff"), SCSI_REPLY);
    FAILED_SO("\x52\x01\0\0\0\x02\0\0\xff", 0x24);
    FAILED_SO("\x52\0\x7f\0\0\0\0\0\xff", 0x21);
    FAILED_SO("\x51\x01\0\0\0\0\0\0\xff", 0x24);
    ck_assert_int_eq(CMD("\x51\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
}
END_TEST

START_TEST(commands_of_12_and_16_bytes_name_the_same_blocks)
{
    static const char *const wide[] = {"\xaf\0\0\0\0\x03\0\0\0\x02", "\xae\0\0\0\0\x03\0\0\0\x02",
                                       "\x8e\0\0\0\0\0\0\0\0\x03\0\0\0\x02", "\x2e\0\0\0\0\x03\0\0\x02\0"};

    new_unit(DRIVE_DISK);
    for (unsigned i = 0; i < ARRAY_LEN(wide); i++) {
        ck_assert_int_eq(command(wide[i], i == 2 ? 14 : 10), i ? SCSI_WRITE : SCSI_VERIFY);
        ck_assert_uint_eq(c.offset, 3 * 512);
        ck_assert_uint_eq(c.len, 2 * 512);
    }
}
END_TEST

START_TEST(sense_data_come_in_the_format_that_is_asked_for)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\xf3"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\x03\x01\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8);
    ck_assert_int_eq(memcmp(c.reply, "\x72\x05\x20\0\0\0\0\0", 8), 0);
    ck_assert_int_eq(CMD("\x03\x01\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[1], SENSE_NONE);
}
END_TEST

START_TEST(a_cd_tells_its_table_of_contents_in_three_formats)
{
    new_unit(DRIVE_CDROM);
    ck_assert_int_eq(CMD("\x43\x02\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 20);
    ck_assert_uint_eq(c.reply[14], 0xaa);
    ck_assert_uint_eq(c.reply[18], (CD_SECTORS + 150) / 75);
    ck_assert_int_eq(CMD("\x43\0\x01\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 12);
    ck_assert_int_eq(CMD("\x43\0\x02\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 4 + 4 * 11);
    ck_assert_uint_eq(c.reply[1], 4 * 11 + 2);
    ck_assert_uint_eq(c.reply[4 + 3], 0xa0);
    ck_assert_uint_eq(c.reply[4 + 8], 1);
    ck_assert_uint_eq(c.reply[26 + 3], 0xa2);
    ck_assert_uint_eq(c.reply[26 + 9], (CD_SECTORS + 150) / 75);
    ck_assert_uint_eq(c.reply[37 + 3], 1);
    ck_assert_uint_eq(c.reply[37 + 9], 2);
    ck_assert_int_eq(CMD("\x43\0\x05\0\0\0\0\0\xff"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\x43\0\0\0\0\0\x02\0\xff"), SCSI_FAILED); /* from track 2 on */
}
END_TEST

START_TEST(features_are_told_from_a_number_on_or_one)
{
    new_unit(DRIVE_CDROM);
    ck_assert_int_eq(CMD("\x46\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[3], c.len - 4);
    ck_assert_uint_eq(c.reply[7], 8);
    ck_assert_uint_eq(c.len, 8 + 12 + 12 + 8 + 8 + 12 + 8 + 8 + 4 + 8);
    ck_assert_uint_eq(c.reply[8 + 2] & 1, 1);
    ck_assert(c.reply[8 + 4 + 1] == 0x10 && c.reply[8 + 4 + 2] == 0 && c.reply[8 + 8 + 1] == 8 && c.reply[8 + 8 + 2] == 1);
    ck_assert_int_eq(CMD("\x46\x02\0\x1e\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 16);
    ck_assert_uint_eq(c.reply[9], 0x1e);
    ck_assert_int_eq(CMD("\x46\x02\0\x20\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8);
    ck_assert_int_eq(CMD("\x46\0\0\x1e\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8 + 8 + 8 + 4 + 8);
    ck_assert_uint_eq(c.reply[8 + 2] & 1, 1);
    ck_assert_uint_eq(c.reply[16 + 2] & 1, 0); /* it is no DVD */
    ck_assert_int_eq(CMD("\xad\0\0\0\0\0\0\0\x08"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x30);
    for (unsigned i = 0; i < 3; i++) { /* morphing, power management, time-outs: in every drive */
        static const char *const one[] = {"\x46\x02\0\x02\0\0\0\0\xff", "\x46\x02\x01\0\0\0\0\0\xff", "\x46\x02\x01\x05\0\0\0\0\xff"};

        ck_assert_int_eq(command(one[i], 9), SCSI_REPLY);
        ck_assert_uint_eq(c.len, i == 1 ? 12 : 16);
        ck_assert_uint_eq(c.reply[8 + 2] & 3, 3); /* persistent, current */
    }
    ck_assert_int_eq(CMD("\x1b\0\0\0\x02"), SCSI_NOTHING); /* eject */
    ck_assert_int_eq(CMD("\x46\x01\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8 + 12 + 12 + 8 + 8 + 4 + 8);
    ck_assert_uint_eq(c.reply[7], 0);
    ck_assert_int_eq(CMD("\x46\x03\0\0\0\0\0\0\xff"), SCSI_FAILED);
}
END_TEST

/* A disc that comes in with the tray is a new one. */
START_TEST(a_tray_that_closes_is_an_attention_and_an_event)
{
    new_unit(DRIVE_CDROM);
    ck_assert_int_eq(CMD("\x1b\0\0\0\x02"), SCSI_NOTHING);
    ck_assert_int_eq(CMD("\0"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x3a);
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x10\0\0\0\x08"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[5], 1);
    ck_assert_int_eq(CMD("\xbd\0\0\0\0\0\0\0\0\x08"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[1], 0x10);
    ck_assert_int_eq(CMD("\x1b\0\0\0\x03"), SCSI_NOTHING);
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x10\0\0\0\x08"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[4], d->medium ? 2 : 0);
    ck_assert_uint_eq(c.reply[5], 2);
    ck_assert_int_eq(CMD("\0"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x28);
    ck_assert_int_eq(CMD("\0"), SCSI_NOTHING);
}
END_TEST

START_TEST(a_block_that_cannot_be_written_is_a_write_error)
{
    static const struct drive_fault bad = {.first = 20, .count = 1};
    static const uint8_t same[16] = {0x41, 0, 0, 0, 0, 20, 0, 0, 3};
    uint8_t block[512] = {0};

    new_disk_bench();
    d = new_drive("d0", DRIVE_DISK, &bad);
    scsi_reset(&u);
    ck_assert_uint_eq(scsi_parameters(d, &u, same, block, 512), SCSI_CHECK);
    ck_assert_uint_eq(u.key, SENSE_MEDIUM);
    ck_assert_uint_eq(u.asc, 0x0c);
    ck_assert_uint_eq(scsi_end(&u, DRIVE_BAD_SECTOR), SCSI_CHECK);
    ck_assert_uint_eq(u.asc, 0x11);
}
END_TEST

/* Controllers look at a command to know its time, and begin it when that is over. */
START_TEST(to_look_at_a_command_does_nothing)
{
    static const uint8_t eject[16] = {0x1b, 0, 0, 0, 2}, events[16] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};

    new_unit(DRIVE_CDROM);
    scsi_peek(d, &u, eject, &c);
    ck_assert_int_eq(CMD("\0"), SCSI_NOTHING);
    drive_insert(d, &(struct drive_insertion){.size = CD_SECTORS * 1024});
    scsi_peek(d, &u, events, &c);
    ck_assert_uint_eq(c.reply[4], 2);
    scsi_begin(d, &u, events, &c);
    ck_assert_uint_eq(c.reply[4], 2);
    ck_assert_int_eq(CMD("\0"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x28);
}
END_TEST

START_TEST(user_data_of_a_cd_are_read_by_read_cd)
{
    new_unit(DRIVE_CDROM);
    ck_assert_int_eq(CMD("\xbe\0\0\0\0\x05\0\0\x02\x10\0"), SCSI_READ);
    ck_assert_uint_eq(c.offset, 5 * 2048);
    ck_assert_uint_eq(c.len, 2 * 2048);
    ck_assert_int_eq(CMD("\xbe\0\0\0\0\x05\0\0\x02\0\0"), SCSI_NOTHING);
    ck_assert_int_eq(CMD("\xbe\0\0\0\0\x05\0\0\x02\xf8\0"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\xbe\0\0\0\0\x05\0\0\x02\x10\x01"), SCSI_FAILED); /* a subchannel */
}
END_TEST

START_TEST(events_are_of_classes)
{
    static const struct {
        const char *cdb;
        uint8_t class, code, state;
    } each[] = {{"\x4a\x01\0\0\x02\0\0\0\x08", 1, 0, 0}, {"\x4a\x01\0\0\x04\0\0\0\x08", 2, 0, 1}, {"\x4a\x01\0\0\x40\0\0\0\x08", 6, 0, 0},
                {"\x4a\x01\0\0\x56\0\0\0\x08", 1, 0, 0}};

    new_unit(DRIVE_CDROM);
    for (unsigned i = 0; i < ARRAY_LEN(each); i++) {
        ck_assert_int_eq(command(each[i].cdb, 9), SCSI_REPLY);
        ck_assert(c.len == 8 && c.reply[1] == 6 && c.reply[3] == 0x56);
        ck_assert(c.reply[2] == each[i].class && c.reply[4] == each[i].code && c.reply[5] == each[i].state);
    }
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x08\0\0\0\x08"), SCSI_REPLY); /* external requests: none */
    ck_assert(c.len == 4 && c.reply[2] == 0x80);
    drive_insert(d, &(struct drive_insertion){.size = CD_SECTORS * 1024});
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x10\0\0\0\x04"), SCSI_REPLY); /* which takes it from nobody */
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x56\0\0\0\x08"), SCSI_REPLY); /* what has happened comes first */
    ck_assert(c.reply[2] == 4 && c.reply[4] == 2 && c.reply[5] == 2);
    ck_assert_int_eq(CMD("\x4a\x01\0\0\x56\0\0\0\x08"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[2], 1);
}
END_TEST

START_TEST(a_large_disc_is_a_dvd)
{
    new_unit(DRIVE_CDROM);
    drive_insert(d, &(struct drive_insertion){.size = 400000ull * 2048});
    ck_assert_int_eq(CMD("\0"), SCSI_FAILED); /* attention */
    ck_assert_int_eq(CMD("\x46\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[7], 0x10);
    ck_assert(c.reply[8 + 4 + 2] == 1 && c.reply[8 + 8 + 2] == 0);
    ck_assert_int_eq(CMD("\xad\0\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[1], c.len - 2);
    ck_assert_uint_eq((uint32_t)get_be(c.reply + 9, 3), 0x30000);
    ck_assert_uint_eq((uint32_t)get_be(c.reply + 13, 3), 0x30000 + 400000 - 1);
    ck_assert_int_eq(CMD("\xad\0\0\0\0\0\0\x01\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8);
    ck_assert_int_eq(CMD("\xad\0\0\0\0\0\0\x03\0\xff"), SCSI_FAILED);
}
END_TEST

START_TEST(a_bad_block_is_named_by_sense_data)
{
    static const struct drive_fault bad = {.first = 20, .count = 1};
    uint8_t sense[SCSI_SENSE_BYTES];

    new_disk_bench();
    d = new_drive("d0", DRIVE_DISK, &bad);
    scsi_reset(&u);
    u.attention = 0;
    ck_assert_uint_eq(scsi_verified(d, &u, 18 * 512, 4 * 512), SCSI_CHECK);
    scsi_sense(&u, sense);
    ck_assert_uint_eq(sense[0], 0xf0);
    ck_assert_uint_eq(get_be32(sense + 3), 20);
    ck_assert_int_eq(CMD("\x03\x01\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 20);
    ck_assert_int_eq(memcmp(c.reply, "\x72\x03\x11\0\0\0\0\x0c\0\x0a\x80\0\0\0\0\0\0\0\0\x14", 20), 0);
    ck_assert_int_eq(CMD("\xf3"), SCSI_FAILED);
    scsi_sense(&u, sense);
    ck_assert_uint_eq(sense[0], 0x70); /* which is about no block */
}
END_TEST

START_TEST(blocks_are_compared_with_data)
{
    uint8_t verify[16] = {0x2f, 2, 0, 0, 0, 5, 0, 0, 2}, one[16] = {0x8f, 6, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2}, list[1024];
    uint8_t swap[16] = {0x89, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1}, sense[SCSI_SENSE_BYTES];

    new_unit(DRIVE_DISK);
    ck_assert_int_eq(drive_read(d, 5 * 512, list, 1024, NULL), DRIVE_OK);
    scsi_begin(d, &u, verify, &c);
    ck_assert_int_eq(c.transfer, SCSI_PARAMETERS);
    ck_assert_uint_eq(c.len, 1024);
    ck_assert_uint_eq(scsi_parameters(d, &u, verify, list, 1024), SCSI_GOOD);
    list[700] ^= 1;
    ck_assert_uint_eq(scsi_parameters(d, &u, verify, list, 1024), SCSI_CHECK);
    scsi_sense(&u, sense);
    ck_assert(sense[2] == SENSE_MISCOMPARE && sense[12] == 0x1d && get_be32(sense + 3) == 700);
    scsi_begin(d, &u, one, &c); /* one block for all */
    ck_assert_uint_eq(c.len, 512);
    ck_assert_uint_eq(scsi_parameters(d, &u, one, list, 512), SCSI_CHECK); /* the second is another */
    ck_assert_int_eq(CMD("\x2f\x02\0\0\x0f\xff\0\0\x02"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x21);
    ck_assert_int_eq(CMD("\x12\x01\xb0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[5], 4);
    memset(list + 512, 0x77, 512);
    scsi_begin(d, &u, swap, &c);
    ck_assert_uint_eq(c.len, 1024);
    list[3] ^= 1;
    ck_assert_uint_eq(scsi_parameters(d, &u, swap, list, 1024), SCSI_CHECK);
    scsi_sense(&u, sense);
    ck_assert_uint_eq(get_be32(sense + 3), 3);
    ck_assert_int_eq(drive_read(d, 5 * 512, list + 512, 512, NULL), DRIVE_OK);
    list[3] ^= 1;
    ck_assert(!memcmp(list, list + 512, 512)); /* nothing was written */
    memset(list + 512, 0x77, 512);
    ck_assert_uint_eq(scsi_parameters(d, &u, swap, list, 1024), SCSI_GOOD);
    ck_assert_int_eq(drive_read(d, 5 * 512, list, 512, NULL), DRIVE_OK);
    ck_assert(!memcmp(list, list + 512, 512));
    swap[13] = 5; /* more than block limits say */
    scsi_begin(d, &u, swap, &c);
    ck_assert_int_eq(c.transfer, SCSI_FAILED);
}
END_TEST

START_TEST(the_write_cache_can_be_turned_off)
{
    static const uint8_t select[16] = {0x15, 0x10, 0, 0, 24};
    uint8_t list[24] = {0, 0, 0, 0, 0x08, 18, 0x00}, pages[] = {0x01, 0x04, 0x08, 0x0a, 0x1c};

    new_unit(DRIVE_DISK);
    ck_assert_uint_eq(scsi_parameters(d, &u, select, list, 24), SCSI_GOOD);
    ck_assert_int_eq(CMD("\x1a\0\x08\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[4 + 2], 0);
    ck_assert_int_eq(CMD("\x1a\0\x88\0\xff"), SCSI_REPLY); /* as it is at first */
    ck_assert_uint_eq(c.reply[4 + 2], 4);
    ck_assert_int_eq(CMD("\x1a\0\x48\0\xff"), SCSI_REPLY); /* what can be changed */
    ck_assert_uint_eq(c.reply[4 + 2], 4);
    list[4 + 2] = 0x04 | 0x01; /* and nothing else */
    ck_assert_uint_eq(scsi_parameters(d, &u, select, list, 24), SCSI_CHECK);
    ck_assert_uint_eq(u.asc, 0x26);
    list[4] = 0x3f;
    ck_assert_uint_eq(scsi_parameters(d, &u, select, list, 24), SCSI_CHECK);
    list[4] = 0x08;
    list[4 + 2] = 0x04;
    ck_assert_uint_eq(scsi_parameters(d, &u, select, list, 24), SCSI_GOOD);
    ck_assert(!u.write_through);
    for (unsigned i = 0; i < sizeof(pages); i++) { /* each page can be written as it was read */
        const char sense[] = {0x1a, 0, (char)pages[i], 0, (char)0xff};

        ck_assert_int_eq(command(sense, 5), SCSI_REPLY);
        ck_assert_uint_eq(c.reply[4], pages[i]);
        c.reply[0] = 0;
        ck_assert_uint_eq(scsi_parameters(d, &u, select, c.reply, c.len), SCSI_GOOD);
    }
    ck_assert_uint_eq(scsi_parameters(d, &u, select, list, 3), SCSI_CHECK);
    ck_assert_uint_eq(u.asc, 0x1a);
}
END_TEST

START_TEST(a_disk_says_what_commands_and_logs_it_has)
{
    new_unit(DRIVE_DISK);
    ck_assert_int_eq(CMD("\xa3\x0c\0\0\0\0\0\0\xff\xff"), SCSI_REPLY);
    ck_assert_uint_eq(get_be32(c.reply), c.len - 4);
    for (uint32_t at = 4; at < c.len; at += 8) { /* each of them one that scsi_begin() knows */
        uint8_t cdb[16] = {c.reply[at], c.reply[at + 3]};
        struct scsi_command one;

        ck_assert_uint_eq(c.reply[at + 7], cdb[0] < 0x20 ? 6 : cdb[0] < 0x60 ? 10 : cdb[0] < 0xa0 ? 16 : 12);
        scsi_begin(d, &u, cdb, &one);
        ck_assert_msg(one.transfer != SCSI_FAILED || u.asc != 0x20, "%02x", cdb[0]);
    }
    ck_assert_int_eq(CMD("\xa3\x0c\x01\x93\0\0\0\0\0\xff"), SCSI_REPLY); /* one, with its bytes */
    ck_assert(c.len == 20 && c.reply[1] == 3 && c.reply[3] == 16 && c.reply[4] == 0x93);
    ck_assert_int_eq(CMD("\xa3\x0c\x01\xf3\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert(c.len == 4 && c.reply[1] == 1);
    ck_assert_int_eq(CMD("\xa3\x0c\x01\x9e\0\0\0\0\0\xff"), SCSI_FAILED); /* which has service actions */
    ck_assert_int_eq(CMD("\xa3\x0c\x03\x9e\0\x10\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[1], 3);
    ck_assert_int_eq(CMD("\xa3\x0c\x03\x9e\0\x11\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.reply[1], 1);
    ck_assert_int_eq(CMD("\x4d\0\x40\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply, "\0\0\0\x03\0\x0d\x2f", 7), 0);
    for (unsigned i = 1; i < 3; i++) {
        const char sense[] = {0x4d, 0, i == 1 ? 0x4d : 0x6f, 0, 0, 0, 0, 0, (char)0xff};

        ck_assert_int_eq(command(sense, 9), SCSI_REPLY);
        ck_assert_uint_eq(c.reply[3], c.len - 4);
    }
    ck_assert_int_eq(CMD("\x4d\0\x42\0\0\0\0\0\xff"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x24);
}
END_TEST

/* PERSISTENT RESERVE OUT: its status. */
static uint8_t reserve(uint8_t action, uint8_t type, uint64_t key, uint64_t next)
{
    const uint8_t cdb[16] = {0x5f, action, type, 0, 0, 0, 0, 0, 24};
    uint8_t list[24] = {0};

    put_be64(list, key);
    put_be64(list + 8, next);
    scsi_begin(d, &u, cdb, &c);
    ck_assert_int_eq(c.transfer, SCSI_PARAMETERS);
    ck_assert_uint_eq(c.len, 24);
    return scsi_parameters(d, &u, cdb, list, 24);
}

START_TEST(who_has_registered_may_reserve)
{
    new_unit(DRIVE_DISK);
    ck_assert_uint_eq(reserve(1, 3, 0, 0), SCSI_CONFLICT);
    ck_assert_uint_eq(reserve(0, 0, 5, 7), SCSI_CONFLICT);
    ck_assert_uint_eq(reserve(0, 0, 0, 0x1122), SCSI_GOOD);
    ck_assert_int_eq(CMD("\x5e\0\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply, "\0\0\0\1\0\0\0\x08\0\0\0\0\0\0\x11\x22", 16), 0);
    ck_assert_uint_eq(c.len, 16);
    ck_assert_uint_eq(reserve(1, 2, 0x1122, 0), SCSI_CHECK); /* no such type */
    ck_assert_uint_eq(reserve(1, 5, 0x1122, 0), SCSI_GOOD);
    ck_assert_uint_eq(reserve(1, 5, 0x1122, 0), SCSI_GOOD);
    ck_assert_uint_eq(reserve(1, 3, 0x1122, 0), SCSI_CONFLICT);
    ck_assert_int_eq(CMD("\x5e\x01\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert(c.len == 24 && c.reply[7] == 16 && c.reply[15] == 0x22 && c.reply[21] == 5);
    scsi_reset(&u); /* which it outlives */
    u.attention = 0;
    ck_assert_uint_eq(reserve(2, 3, 0x1122, 0), SCSI_CHECK); /* of another type */
    ck_assert_uint_eq(u.ascq, 4);
    ck_assert_uint_eq(reserve(4, 3, 0x1122, 0x1122), SCSI_GOOD);
    ck_assert_uint_eq(u.reservation, 3);
    ck_assert_uint_eq(reserve(4, 3, 0x1122, 0x99), SCSI_CONFLICT);
    ck_assert_uint_eq(reserve(2, 3, 0x1122, 0), SCSI_GOOD);
    ck_assert_int_eq(CMD("\x5e\x01\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_uint_eq(c.len, 8);
    ck_assert_uint_eq(reserve(6, 0, 0x77, 0x33), SCSI_GOOD); /* whatever the key was */
    ck_assert_uint_eq(reserve(1, 1, 0x33, 0), SCSI_GOOD);
    ck_assert_uint_eq(reserve(3, 0, 0x33, 0), SCSI_GOOD);
    ck_assert(!u.registered && !u.reservation);
    ck_assert_int_eq(CMD("\x5e\x02\0\0\0\0\0\0\xff"), SCSI_REPLY);
    ck_assert_int_eq(memcmp(c.reply, "\0\x08\0\x80\xea\x01\0\0", 8), 0);
    ck_assert_int_eq(CMD("\x5e\x03\0\0\0\0\0\0\xff"), SCSI_FAILED);
    ck_assert_int_eq(CMD("\x5f\0\0\0\0\0\0\0\x17"), SCSI_FAILED);
    ck_assert_uint_eq(u.asc, 0x1a);
}
END_TEST

START_TEST(unmap_and_write_same_take_lists)
{
    static const uint8_t unmap[] = {0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 0};
    uint8_t cdb[16] = {0x42, 0, 0, 0, 0, 0, 0, 0, 24}, block[512], same[16] = {0x41, 0, 0, 0, 0, 20, 0, 0, 3};

    new_unit(DRIVE_DISK);
    scsi_begin(d, &u, cdb, &c);
    ck_assert_int_eq(c.transfer, SCSI_PARAMETERS);
    ck_assert_uint_eq(scsi_parameters(d, &u, cdb, unmap, 24), SCSI_GOOD);
    ck_assert_int_eq(drive_read(d, 11 * 512, block, 512, NULL), DRIVE_OK);
    ck_assert_uint_eq(block[0], 0);
    memset(block, 0x5a, sizeof(block));
    scsi_begin(d, &u, same, &c);
    ck_assert_int_eq(c.transfer, SCSI_PARAMETERS);
    ck_assert_uint_eq(scsi_parameters(d, &u, same, block, 512), SCSI_GOOD);
    ck_assert_int_eq(drive_read(d, 22 * 512, block, 512, NULL), DRIVE_OK);
    ck_assert_uint_eq(block[511], 0x5a);
}
END_TEST

START_TEST(units_bear_random_commands)
{
    uint64_t rng = (uint64_t)_i + 11;

    new_unit(_i & 1 ? DRIVE_CDROM : DRIVE_DISK);
    for (unsigned i = 0; i < 60000; i++) {
        uint8_t cdb[16], list[600];

        for (unsigned k = 0; k < 16; k++) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            cdb[k] = (uint8_t)(rng >> 40);
            if (rng >> 50 & 1)
                cdb[k] &= (uint8_t)(rng >> 55 & 7);
        }
        scsi_begin(d, &u, cdb, &c);
        ck_assert(c.transfer != SCSI_REPLY || c.len <= SCSI_REPLY_BYTES);
        ck_assert((c.transfer != SCSI_READ && c.transfer != SCSI_WRITE) || c.offset + c.len <= d->c.size);
        memset(list, (int)(rng >> 33), sizeof(list));
        if (c.transfer == SCSI_PARAMETERS && c.len <= sizeof(list))
            scsi_parameters(d, &u, cdb, list, c.len);
    }
}
END_TEST

/* ---- the adapter ---- */

#define BAR4 0x10010000u
#define QUEUE 16u

static struct device *adapter;
static unsigned requests;

static void set(unsigned reg, unsigned size, uint64_t value)
{
    memory_write(&m->memory, BAR4 + reg, size, value);
}

static void new_adapter(void)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct pci_function *f;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "x", "driver", NULL, &e), 0);
    ck_assert_int_eq(virtio_scsi_pci_plug(&s, "scsi", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    ck_assert_int_eq(scsi_disk_plug(&s, "", 0, new_drive("d0", DRIVE_DISK, NULL), &props, &e), 0);
    ck_assert_int_eq(scsi_disk_plug(&s, "", 0, new_drive("c0", DRIVE_CDROM, NULL), &props, &e), 0);
    option_list_finish(&props);
    adapter = machine_find_device(m, "scsi");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, 0xc000);
    pci_config_write(f, 0x20, 4, BAR4);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    set(0x14, 1, 3);
    set(0x08, 4, 1);
    set(0x0c, 4, 1);
    set(0x14, 1, 11);
    set(0x16, 2, 2);
    set(0x18, 2, QUEUE);
    set(0x20, 8, 0x1000);
    set(0x28, 8, 0x2000);
    set(0x30, 8, 0x3000);
    set(0x1c, 2, 1);
    set(0x14, 1, 15);
    requests = 0;
}

static void desc(unsigned n, paddr_t at, uint32_t len, unsigned flags)
{
    poke64(0x1000 + 16 * n, at);
    poke32(0x1008 + 16 * n, len);
    poke32(0x100c + 16 * n, flags | (n + 1) << 16);
}

/* A command of target `target`, with `in` bytes of data to 20000h. Returns response << 8 | status. */
static unsigned send(unsigned target, const char *cdb, size_t len, uint32_t in)
{
    uint8_t request[51] = {1, (uint8_t)target, 0x40};
    uint16_t index = (uint16_t)++requests;

    memcpy(request + 19, cdb, len);
    poke(0x5000, request, sizeof(request));
    desc(0, 0x5000, 51, 1);
    desc(1, 0x6000, 108, in ? 3 : 2);
    if (in)
        desc(2, 0x20000, in, 2);
    poke32(0x2004 + 2 * ((requests - 1) % QUEUE), 0);
    poke(0x2002, &index, 2);
    memory_write(&m->memory, BAR4 + 0x3000 + 8, 2, 2);
    run_for(50 * MS);
    ck_assert_uint_eq(memory_read(&m->memory, 0x3002, 2), requests);
    return (unsigned)(memory_read(&m->memory, 0x600b, 1) << 8 | memory_read(&m->memory, 0x600a, 1));
}

#define SEND(target, text, in) send(target, text, sizeof(text) - 1, in)

/* What an older layout had is there. */
START_TEST(an_adapters_older_state_is_upgraded)
{
    static uint8_t old[65536];
    size_t len, size;

    new_adapter();
    size = adapter->ops->state_size;
    ck_assert_uint_le(size, sizeof(old));
    memcpy(old, adapter->state, size);
    for (len = size; len && !adapter->ops->upgrade(adapter, 0, old, len); len--)
        ;
    ck_assert_uint_eq(size - len, 8 * (sizeof(struct scsi_unit) - SCSI_UNIT_OLD));
}
END_TEST

START_TEST(commands_reach_their_targets)
{
    new_adapter();
    ck_assert_uint_eq(SEND(0, "\0", 0), 0x002); /* unit attention, with sense data */
    ck_assert_uint_eq(peek32(0x6000), 18);
    ck_assert_uint_eq(memory_read(&m->memory, 0x600c + 2, 1), 6);
    ck_assert_uint_eq(SEND(0, "\0", 0), 0);
    ck_assert_uint_eq(SEND(0, "\x28\0\0\0\0\x09\0\0\x04", 2048), 0);
    ck_assert(holds_image(0x20000, 9 * 512, 2048, 512));
    ck_assert_uint_eq(peek32(0x6004), 0);
    ck_assert_uint_eq(SEND(0, "\x28\0\0\0\0\x09\0\0\x04", 512), 0);
    ck_assert_uint_eq(peek32(0x6004), 1536); /* residual */
    SEND(1, "\0", 0);
    ck_assert_uint_eq(SEND(1, "\x28\0\0\0\0\x09\0\0\x01", 2048), 0);
    ck_assert(holds_image(0x20000, 9 * 2048, 2048, 2048));
    ck_assert_uint_eq(SEND(5, "\0", 0), 0x300); /* there is no such target */
}
END_TEST

START_TEST(watchpoints_see_what_it_moves)
{
    static const uint8_t write[51] = {1, 0, 0x40, [19] = 0x2a, [24] = 9, [27] = 4};
    uint16_t index;
    const struct drive *disk;

    new_adapter();
    disk = drive_find(m, "d0");
    SEND(0, "\0", 0);
    watch(disk, 0x20000, 9, 2048);
    SEND(0, "\x28\0\0\0\0\x09\0\0\x04", 2048);
    expect_moved(adapter, true, 2048);
    poke(0x5000, write, sizeof(write));
    desc(0, 0x5000, 51, 1);
    desc(1, 0x20000, 2048, 1);
    desc(2, 0x6000, 108, 2);
    index = (uint16_t)++requests;
    poke32(0x2004 + 2 * ((requests - 1) % QUEUE), 0);
    poke(0x2002, &index, 2);
    m->traps->npending = 0;
    memory_write(&m->memory, BAR4 + 0x3000 + 8, 2, 2);
    run_for(50 * MS);
    expect_moved(adapter, false, 2048);
    unwatch();
}
END_TEST

/* Task management in the control queue, whose rings are at 8000h. Returns the response. */
static uint8_t manage(unsigned function, unsigned target)
{
    static const uint16_t index = 1;
    const uint8_t request[24] = {0, 0, 0, 0, (uint8_t)function, 0, 0, 0, 1, (uint8_t)target, 0x40};

    poke32(0x9000, 0);
    set(0x14, 1, 0);
    set(0x14, 1, 3);
    set(0x08, 4, 1);
    set(0x0c, 4, 1);
    set(0x14, 1, 11);
    set(0x16, 2, 0);
    set(0x18, 2, QUEUE);
    set(0x20, 8, 0x8000);
    set(0x28, 8, 0x9000);
    set(0x30, 8, 0xa000);
    set(0x1c, 2, 1);
    set(0x14, 1, 15);
    poke(0x5000, request, sizeof(request));
    poke64(0x8000, 0x5000);
    poke32(0x8008, 24);
    poke32(0x800c, 1 | 1u << 16);
    poke64(0x8010, 0x6000);
    poke32(0x8018, 1);
    poke32(0x801c, 2);
    poke32(0x9004, 0);
    poke(0x9002, &index, 2);
    memory_write(&m->memory, BAR4 + 0x3000, 2, 0);
    run_for(MS);
    return (uint8_t)memory_read(&m->memory, 0x6000, 1);
}

START_TEST(task_management_resets_units)
{
    new_adapter();
    ck_assert_uint_eq(manage(0, 0), 0);
    ck_assert_uint_eq(manage(5, 1), 0);
    ck_assert_uint_eq(manage(5, 6), 3);  /* no such target */
    ck_assert_uint_eq(manage(9, 0), 11); /* no such function */
}
END_TEST

/* ---- over memory-mapped registers ---- */

#define SLOT 0x0a000000u

static int map_slot(void *ctx, unsigned wanted, struct device *dev, struct line *irq, paddr_t *base, struct error *err)
{
    const struct region r = {.base = SLOT, .size = 0x200, .kind = REGION_MMIO, .dev = dev, .enabled = true};

    (void)ctx, (void)wanted, (void)err;
    *irq = probe_line(1);
    *base = SLOT;
    memory_map(&m->memory, &r);
    return 0;
}

static void slot(unsigned reg, uint32_t value)
{
    memory_write(&m->memory, SLOT + reg, 4, value);
}

START_TEST(the_adapter_is_in_a_slot_too)
{
    static const uint8_t request[51] = {1, 0, 0x40, [19] = 0x12, [23] = 36};
    static const uint16_t index = 1;
    struct sockets s = {.mmio_slot = map_slot};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "x", "driver", NULL, &e), 0);
    ck_assert_int_eq(virtio_scsi_mmio_plug(&s, "scsi", 0, NULL, &props, &e), 0);
    ck_assert_int_eq(scsi_disk_plug(&s, "", 0, new_drive("d0", DRIVE_DISK, NULL), &props, &e), 0);
    option_list_finish(&props);
    reset_all();
    ck_assert_uint_eq(peek32(SLOT), 0x74726976);
    ck_assert_uint_eq(peek32(SLOT + 4), 2);
    ck_assert_uint_eq(peek32(SLOT + 8), 8);
    ck_assert_uint_eq(peek32(SLOT + 0x100), 1); /* request queues */
    slot(0x70, 3);
    slot(0x24, 1);
    slot(0x20, 1);
    slot(0x70, 11);
    slot(0x30, 2);
    ck_assert_uint_eq(peek32(SLOT + 0x34), 256);
    slot(0x38, QUEUE);
    slot(0x80, 0x1000);
    slot(0x90, 0x2000);
    slot(0xa0, 0x3000);
    slot(0x44, 1);
    slot(0x70, 15);
    poke(0x5000, request, sizeof(request));
    desc(0, 0x5000, 51, 1);
    desc(1, 0x6000, 108, 3);
    desc(2, 0x20000, 36, 2);
    poke32(0x2004, 0);
    poke(0x2002, &index, 2);
    slot(0x50, 2);
    run_for(MS);
    ck_assert_uint_eq(memory_read(&m->memory, 0x3002, 2), 1);
    ck_assert_uint_eq(memory_read(&m->memory, 0x600a, 2), 0);
    ck_assert_uint_eq(peek32(0x20008), 0x444e4948); /* "HIND" */
    ck_assert(probe[1].level);
    ck_assert_uint_eq(peek32(SLOT + 0x60), 1);
    slot(0x64, 1);
    ck_assert(!probe[1].level);
}
END_TEST

START_TEST(the_adapter_bears_random_requests)
{
    uint64_t rng = (uint64_t)_i + 77;

    new_adapter();
    for (unsigned i = 0; i < 3000; i++) {
        char cdb[32];

        for (unsigned k = 0; k < 32; k++) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            cdb[k] = (char)(rng >> 40);
            if (rng >> 50 & 1)
                cdb[k] &= 7;
        }
        if (i % 7 == 0)
            memcpy(cdb, "\0\0\0\0\0\0", 6);
        send(rng >> 33 & 3, cdb, sizeof(cdb), rng >> 35 & 0xfff);
        ck_assert(adapter->ops->possible(adapter));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(attention_is_told_once_and_before_all_but_inquiry);
    ADD(disks_tell_what_they_are_and_where_they_end);
    ADD(sense_data_last_until_the_next_command);
    ADD(a_disk_refuses_what_it_cannot_do);
    ADD(fields_that_mean_nothing_here_are_refused);
    ADD(commands_of_12_and_16_bytes_name_the_same_blocks);
    ADD(sense_data_come_in_the_format_that_is_asked_for);
    ADD(properties_say_what_a_unit_is);
    ADD(properties_that_do_not_fit_are_refused);
    ADD(a_cd_tells_its_table_of_contents_in_three_formats);
    ADD(features_are_told_from_a_number_on_or_one);
    ADD(a_tray_that_closes_is_an_attention_and_an_event);
    ADD(to_look_at_a_command_does_nothing);
    ADD(a_block_that_cannot_be_written_is_a_write_error);
    ADD(user_data_of_a_cd_are_read_by_read_cd);
    ADD(unmap_and_write_same_take_lists);
    ADD(task_management_resets_units);
    ADD(the_adapter_is_in_a_slot_too);
    tcase_add_loop_test(tc, units_bear_random_commands, 0, 4);
    ADD(commands_reach_their_targets);
    ADD(watchpoints_see_what_it_moves);
    ADD(a_large_disc_is_a_dvd);
    ADD(a_bad_block_is_named_by_sense_data);
    ADD(blocks_are_compared_with_data);
    ADD(the_write_cache_can_be_turned_off);
    ADD(a_disk_says_what_commands_and_logs_it_has);
    ADD(who_has_registered_may_reserve);
    ADD(an_adapters_older_state_is_upgraded);
    ADD(events_are_of_classes);
    tcase_add_loop_test(tc, the_adapter_bears_random_requests, 0, 4);
}

CHIP_TESTS("scsi", claims)
