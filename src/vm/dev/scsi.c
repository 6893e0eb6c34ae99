/*
 * SCSI logical units: direct access (SBC-3) and CD-ROM (MMC-5, INCITS 360), with the commands that
 * all devices have (SPC-3).
 *
 * Reservations are scsi_reserve.c's. Not modelled: protection information, audio, writing CDs, what a sector holds beside
 * user data; failures are told in fixed format. Other commands end in INVALID COMMAND OPERATION CODE.
 *
 * To add a command: its case in any_command(), disk_command() or cd_command(), and its line in known[].
 */
#include "vm/dev/scsi.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/scsi_reserve.h"

enum {
    TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, READ_6 = 0x08, WRITE_6 = 0x0a, SEEK_6 = 0x0b, INQUIRY = 0x12,
    MODE_SELECT_6 = 0x15, MODE_SENSE_6 = 0x1a, START_STOP = 0x1b, SEND_DIAGNOSTIC = 0x1d, PREVENT_REMOVAL = 0x1e, READ_CAPACITY = 0x25,
    READ_10 = 0x28, WRITE_10 = 0x2a, SEEK_10 = 0x2b, WRITE_VERIFY_10 = 0x2e, VERIFY_10 = 0x2f, SYNCHRONIZE_10 = 0x35,
    LOG_SENSE = 0x4d, PERSISTENT_IN = 0x5e, PERSISTENT_OUT = 0x5f, COMPARE_AND_WRITE = 0x89, MAINTENANCE_IN = 0xa3, READ_DVD = 0xad,
    WRITE_SAME_10 = 0x41, UNMAP = 0x42, READ_SUBCHANNEL = 0x42, READ_TOC = 0x43, GET_CONFIGURATION = 0x46,
    GET_EVENT = 0x4a, READ_DISC_INFO = 0x51, READ_TRACK_INFO = 0x52, MODE_SELECT_10 = 0x55, MODE_SENSE_10 = 0x5a,
    READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_VERIFY_16 = 0x8e, VERIFY_16 = 0x8f, SYNCHRONIZE_16 = 0x91, WRITE_SAME_16 = 0x93,
    SERVICE_IN_16 = 0x9e, REPORT_LUNS = 0xa0, READ_12 = 0xa8, WRITE_12 = 0xaa, WRITE_VERIFY_12 = 0xae, VERIFY_12 = 0xaf, SET_SPEED = 0xbb,
    MECHANISM_STATUS = 0xbd, READ_CD = 0xbe,
};

#define ASC_LIST_LENGTH    0x1au
#define ASC_MISCOMPARE     0x1du
#define ASC_INVALID_PARAMETER 0x26u
#define ASC_INVALID_OPCODE 0x20u
#define ASC_LBA_RANGE      0x21u
#define ASC_INVALID_FIELD  0x24u
#define ASC_NOT_SAVED      0x39u
#define ASC_PROTECTED      0x27u
#define ASC_MEDIUM_CHANGED 0x28u
#define ASC_POWER_ON       0x29u
#define ASC_NO_MEDIUM      0x3au
#define ASC_READ_ERROR     0x11u
#define ASC_WRITE_ERROR    0x0cu

enum { EVENT_NEW_MEDIUM = 2, EVENT_REMOVAL = 3 };

#define PROFILE_CDROM  0x0008u
#define PROFILE_DVD    0x0010u
#define CD_MOST        (80u * 60 * 75) /* blocks: what is larger is a DVD */
#define COMPARE_MOST   4096u /* bytes that come to be compared */
#define LEAD_OUT       0xaau
#define UNMAP_MOST     256u /* block descriptors of an UNMAP */
#define SAME_MOST      0x10000u /* blocks of a WRITE SAME */

/* ---- sense ---- */

void scsi_reset(struct scsi_unit *u)
{
    const struct scsi_unit was = *u;

    memset(u, 0, sizeof(*u));
    u->registered = was.registered;
    u->generation = was.generation;
    u->reservation = was.reservation;
    u->attention = ASC_POWER_ON;
}

size_t scsi_unit_of_old(struct scsi_unit *u, const uint8_t *old)
{
    _Static_assert(SCSI_UNIT_OLD == offsetof(struct scsi_unit, information), "what was there stays where it was");
    memset(u, 0, sizeof(*u));
    memcpy(u, old, SCSI_UNIT_OLD);
    u->informed = u->write_through = 0; /* they were reserved */
    return SCSI_UNIT_OLD;
}

uint8_t scsi_fail(struct scsi_unit *u, uint8_t key, uint8_t asc, uint8_t ascq)
{
    u->key = key;
    u->asc = asc;
    u->ascq = ascq;
    u->informed = 0;
    return SCSI_CHECK;
}

static void inform(struct scsi_unit *u, uint64_t information)
{
    u->informed = 1;
    u->information = information;
}

void scsi_failed_at(const struct drive *d, struct scsi_unit *u, uint64_t at)
{
    if (u->key == SENSE_MEDIUM)
        inform(u, at / d->c.sector_size);
}

uint8_t scsi_end(struct scsi_unit *u, enum drive_status status)
{
    switch (status) {
    case DRIVE_OK:              return SCSI_GOOD;
    case DRIVE_NO_MEDIUM:       return scsi_fail(u, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
    case DRIVE_OUT_OF_RANGE:    return scsi_fail(u, SENSE_ILLEGAL, ASC_LBA_RANGE, 0);
    case DRIVE_WRITE_PROTECTED: return scsi_fail(u, SENSE_PROTECT, ASC_PROTECTED, 0);
    default:                    return scsi_fail(u, SENSE_MEDIUM, ASC_READ_ERROR, 0);
    }
}

uint8_t scsi_end_write(struct scsi_unit *u, enum drive_status status)
{
    return status == DRIVE_BAD_SECTOR ? scsi_fail(u, SENSE_MEDIUM, ASC_WRITE_ERROR, 0) : scsi_end(u, status);
}

uint8_t scsi_verified(struct drive *d, struct scsi_unit *u, uint64_t offset, uint64_t len)
{
    uint64_t good = 0;
    uint8_t result = scsi_end(u, drive_verify(d, offset, len, &good));

    scsi_failed_at(d, u, offset + good);
    return result;
}

void scsi_sense(const struct scsi_unit *u, uint8_t *out)
{
    memset(out, 0, SCSI_SENSE_BYTES);
    out[0] = 0x70;
    out[2] = u->key;
    out[7] = SCSI_SENSE_BYTES - 8;
    out[12] = u->asc;
    out[13] = u->ascq;
    if (u->informed && u->information <= 0xffffffffu) {
        out[0] |= 0x80u;
        put_be32(out + 3, (uint32_t)u->information);
    }
}

/* ---- replies ---- */

static void fail(struct scsi_unit *u, struct scsi_command *c, uint8_t key, uint8_t asc)
{
    scsi_fail(u, key, asc, 0);
    c->transfer = SCSI_FAILED;
}

/* `len` bytes are there, the initiator wants at most `room`. */
static void reply(struct scsi_command *c, uint64_t len, uint64_t room)
{
    c->transfer = SCSI_REPLY;
    c->len = len < room ? len : room;
    if (!c->len)
        c->transfer = SCSI_NOTHING;
}

static void put_text(uint8_t *at, size_t width, const char *text)
{
    size_t len = strlen(text);

    memset(at, ' ', width);
    memcpy(at, text, len < width ? len : width);
}

static bool is_cd(const struct drive *d)
{
    return d->c.media == DRIVE_CDROM;
}

/* A designator (SPC-3, 7.6.3.1): protocol and code set, association and type, its bytes. Returns the next one's place. */
static uint8_t *designator(uint8_t *r, uint8_t code, uint8_t type, const void *bytes, size_t len)
{
    r[0] = code;
    r[1] = type;
    r[2] = 0;
    r[3] = (uint8_t)len;
    memcpy(r + 4, bytes, len);
    return r + 4 + len;
}

/* Device identification: a name, and names of the unit and of its port that are like no others, where it has such. */
static size_t designators(const struct drive *d, uint8_t *r)
{
    const struct drive_identity *id = &d->identity;
    const char *name = *id->device_id ? id->device_id : d->serial;
    uint8_t number[8], *p = designator(r, 2, 0, name, strnlen(name, sizeof(id->device_id) - 1)); /* ASCII, vendor specific, of the unit */

    put_be64(number, id->wwn);
    if (id->wwn)
        p = designator(p, 1, 3, number, 8); /* NAA */
    put_be64(number, id->port_wwn);
    if (id->port_wwn)
        p = designator(p, 0x61, 0x93, number, 8); /* the same of its port, SAS */
    put_be32(number, id->port_index);
    if (id->port_index)
        p = designator(p, 0x61, 0x94, number, 4); /* the port's number */
    return (size_t)(p - r);
}

/* Vital product data (SPC-3, 7.6; SBC-3, 6.6). False: there is no such page. */
static bool vital_data(const struct drive *d, uint8_t page, uint8_t *r, uint64_t *len)
{
    static const uint8_t disk_pages[] = {0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2}, cd_pages[] = {0x00, 0x80, 0x83};
    size_t serial = strlen(d->serial);
    size_t n = 0;

    switch (page) {
    case 0x00:
        n = is_cd(d) ? sizeof(cd_pages) : sizeof(disk_pages);
        memcpy(r + 4, is_cd(d) ? cd_pages : disk_pages, n);
        break;
    case 0x80:
        n = serial;
        memcpy(r + 4, d->serial, n);
        break;
    case 0x83:
        n = designators(d, r + 4);
        break;
    case 0xb0: /* block limits */
        n = 60;
        r[4] = 1;                     /* a WRITE SAME of 0 blocks is none to the end */
        r[5] = (uint8_t)(COMPARE_MOST / 2 / d->c.sector_size > 255 ? 255 : COMPARE_MOST / 2 / d->c.sector_size); /* COMPARE AND WRITE */
        put_be16(r + 6, d->identity.min_io);
        put_be32(r + 12, d->identity.opt_io);
        put_be32(r + 20, 0x7fffffff); /* LBAs of an UNMAP */
        put_be32(r + 24, UNMAP_MOST);
        put_be64(r + 36, SAME_MOST);
        break;
    case 0xb1: /* characteristics: rotation */
        n = 60;
        put_be16(r + 4, d->identity.rotation_rate);
        break;
    case 0xb2: /* provisioning: UNMAP, WRITE SAME; unmapped blocks read as zeros or not */
        n = 4;
        r[5] = 0xe0 | (d->c.discard == DRIVE_DISCARD_ZERO ? 0x04 : 0);
        r[6] = 2;
        break;
    default:
        return false;
    }
    if (is_cd(d) && page >= 0xb0)
        return false;
    r[1] = page;
    put_be16(r + 2, (uint32_t)n);
    *len = 4 + n;
    return true;
}

static void inquiry(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    const struct drive_identity *id = &d->identity;
    uint8_t *r = c->reply;
    uint64_t len = 36;

    if (cdb[1] & 1u) {
        if (!vital_data(d, cdb[2], r, &len)) {
            fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
            return;
        }
    } else if (cdb[2]) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    } else {
        r[1] = is_cd(d) ? 0x80 : 0;
        r[2] = 5; /* SPC-3 */
        r[3] = 2;
        r[4] = 31;
        r[7] = 2; /* command queueing */
        put_text(r + 8, 8, *id->vendor ? id->vendor : "HINDCAST");
        put_text(r + 16, 16, *id->product ? id->product : is_cd(d) ? "CD-ROM" : "DISK");
        put_text(r + 32, 4, *id->version ? id->version : "1");
    }
    r[0] = is_cd(d) ? 5 : 0;
    reply(c, len, get_be16(cdb + 3));
}

/* Begin a mode page: its bytes behind the head. */
static uint8_t *mode_page(uint8_t *r, size_t *n, uint8_t page, uint8_t len)
{
    uint8_t *p = r + *n;

    p[0] = page;
    p[1] = len;
    *n += 2u + len;
    return p;
}

static bool wants(uint8_t asked, uint8_t page)
{
    return asked == page || asked == 0x3f;
}

/* Those of a disk (SBC-3, 6.5; SPC-3, 7.4). */
static void disk_mode_pages(const struct drive *d, bool cached, uint8_t page, uint8_t *r, size_t *n)
{
    struct drive_geometry g = drive_geometry(d);
    uint8_t *p;

    if (wants(page, 0x04)) { /* rigid disk geometry */
        p = mode_page(r, n, 0x04, 22);
        put_be(p + 2, g.cylinders, 3);
        p[5] = (uint8_t)g.heads;
        put_be16(p + 20, d->identity.rotation_rate > 1 ? d->identity.rotation_rate : 0);
    }
    if (wants(page, 0x08)) /* caching: a write cache */
        mode_page(r, n, 0x08, 18)[2] = cached ? 0x04 : 0;
    if (wants(page, 0x0a)) { /* control: commands in any order */
        p = mode_page(r, n, 0x0a, 10);
        p[3] = 0x10;
        put_be16(p + 8, 0xffff); /* how long it is busy at most is not said */
    }
    if (wants(page, 0x1c)) /* informational exceptions: none are told by themselves */
        mode_page(r, n, 0x1c, 10)[2] = 0x08;
}

/* Mode pages of a disk or CD-ROM; returns their length. `cached`: as a write cache has them that is on. */
static size_t mode_pages(const struct drive *d, bool cached, uint8_t page, uint8_t *r)
{
    size_t n = 0;
    uint8_t *p;

    if (wants(page, 0x01)) /* error recovery */
        mode_page(r, &n, 0x01, is_cd(d) ? 6 : 10);
    if (!is_cd(d))
        disk_mode_pages(d, cached, page, r, &n);
    if (is_cd(d) && wants(page, 0x1a)) /* power condition: none by itself */
        mode_page(r, &n, 0x1a, 10);
    if (is_cd(d) && wants(page, 0x1d)) { /* time-out and protect */
        p = mode_page(r, &n, 0x1d, 8);
        put_be16(p + 6, 60);
        put_be16(p + 8, 60);
    }
    if (is_cd(d) && wants(page, 0x2a)) { /* capabilities (MMC-3) */
        p = mode_page(r, &n, 0x2a, 20);
        p[2] = 0x3b;      /* reads CD-R, CD-RW, DVD */
        p[4] = 0x70;      /* mode 2 form 1 and 2, multisession */
        p[6] = 0x29;      /* a tray that locks and ejects */
        put_be16(p + 8, 706); /* kB/s */
        put_be16(p + 10, 2);
        put_be16(p + 12, 512);
        put_be16(p + 14, 706);
    }
    return n;
}

/* Of a page that was made: only these bits of it can be set. */
static void only_changeable(uint8_t *page)
{
    bool caching = page[0] == 0x08;

    memset(page + 2, 0, page[1]);
    if (caching)
        page[2] = 0x04;
}

static void mode_sense(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    bool ten = cdb[0] == MODE_SENSE_10;
    size_t header = ten ? 8 : 4, n;
    uint8_t page = cdb[2] & 0x3fu, protect = d->c.read_only && !is_cd(d) ? 0x80 : 0;

    if (cdb[2] >= 0xc0) {
        fail(u, c, SENSE_ILLEGAL, ASC_NOT_SAVED);
        return;
    }
    n = mode_pages(d, (cdb[2] & 0xc0u) == 0x80 || !u->write_through, page, c->reply + header);
    if ((cdb[3] && cdb[3] != 0xff) || (!n && page != 0x3f && page != 0)) { /* there are no subpages */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    if ((cdb[2] & 0xc0u) == 0x40)
        for (size_t at = header; at < header + n; at += 2u + c->reply[at + 1])
            only_changeable(c->reply + at);
    n += header;
    if (ten) {
        put_be16(c->reply, (uint32_t)(n - 2));
        c->reply[3] = protect;
    } else {
        c->reply[0] = (uint8_t)(n - 1);
        c->reply[2] = protect;
    }
    reply(c, n, ten ? get_be16(cdb + 7) : cdb[4]);
}

static bool medium_there(const struct drive *d, const struct scsi_unit *u)
{
    return !d->c.empty && !u->open;
}

/* ---- ranges of blocks ---- */

/* The command is about `count` blocks from `lba` on. */
static void range(struct drive *d, struct scsi_unit *u, struct scsi_command *c, enum scsi_transfer transfer, uint64_t lba,
                  uint64_t count)
{
    if (lba > drive_sectors(d) || count > drive_sectors(d) - lba) {
        fail(u, c, SENSE_ILLEGAL, ASC_LBA_RANGE);
        return;
    }
    if (transfer == SCSI_WRITE && d->c.read_only) {
        fail(u, c, SENSE_PROTECT, ASC_PROTECTED);
        return;
    }
    c->transfer = count ? transfer : SCSI_NOTHING;
    c->offset = lba * d->c.sector_size;
    c->len = count * d->c.sector_size;
}

static void read_capacity(struct drive *d, struct scsi_command *c, const uint8_t *cdb)
{
    uint64_t last = drive_sectors(d) ? drive_sectors(d) - 1 : 0;

    if (cdb[0] == READ_CAPACITY) {
        put_be32(c->reply, last > 0xffffffffu ? 0xffffffffu : (uint32_t)last);
        put_be32(c->reply + 4, d->c.sector_size);
        reply(c, 8, 8);
        return;
    }
    put_be64(c->reply, last);
    put_be32(c->reply + 8, d->c.sector_size);
    c->reply[13] = (uint8_t)disk_physical_exponent(d);
    c->reply[14] = d->c.discard == DRIVE_DISCARD_ZERO ? 0xc0 : 0x80; /* thin provisioning; zeros after UNMAP */
    reply(c, 32, get_be32(cdb + 10));
}

/* The blocks that a command of 10, 12 or 16 bytes names. */
static uint64_t cdb_lba(const uint8_t *cdb)
{
    return cdb[0] >> 5 == 4 ? get_be64(cdb + 2) : get_be32(cdb + 2);
}

static uint64_t cdb_count(const uint8_t *cdb)
{
    return cdb[0] >> 5 == 4 ? get_be32(cdb + 10) : cdb[0] >> 5 == 5 ? get_be32(cdb + 6) : get_be16(cdb + 7);
}

/* Data come, to be compared with blocks that the command names: `bytes` of them. */
static void compare(struct drive *d, struct scsi_unit *u, struct scsi_command *c, uint64_t lba, uint64_t count, uint64_t bytes)
{
    range(d, u, c, SCSI_READ, lba, count);
    if (c->transfer != SCSI_READ)
        return;
    if (bytes > COMPARE_MOST || count > SAME_MOST) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    c->transfer = SCSI_PARAMETERS;
    c->len = bytes;
}

/* VERIFY: of the medium, or with data that it is compared with: as many, or (BYTCHK 3) a block for all (SBC-3, 5.29). */
static void verify(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    unsigned by = cdb[1] >> 1 & 3u;
    uint64_t count = cdb_count(cdb);

    if (by == 0)
        range(d, u, c, SCSI_VERIFY, cdb_lba(cdb), count);
    else if (by == 2 || is_cd(d))
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
    else
        compare(d, u, c, cdb_lba(cdb), count, (by == 1 ? count : 1) * d->c.sector_size);
}

/* COMPARE AND WRITE (SBC-3, 5.2): blocks as they are to be found, and what is to be written then. */
static void compare_and_write(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if (cdb[1] & 0xe0u)
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
    else if (d->c.read_only)
        fail(u, c, SENSE_PROTECT, ASC_PROTECTED);
    else
        compare(d, u, c, get_be64(cdb + 2), cdb[13], 2ull * cdb[13] * d->c.sector_size);
}

/* All is flushed, whatever part is named; but it is a part of the disk (SBC-3, 5.18). */
static void synchronize(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    range(d, u, c, SCSI_FLUSH, cdb_lba(cdb), cdb_count(cdb));
    if (c->transfer != SCSI_FAILED)
        c->transfer = SCSI_FLUSH;
}

/* Reads and writes that both kinds of units have. False: it is none. */
static bool block_command(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    switch (cdb[0]) {
    case READ_6:
        range(d, u, c, SCSI_READ, get_be32(cdb) & 0x1fffffu, cdb[4] ? cdb[4] : 256);
        return true;
    case READ_10: case READ_12: case READ_16:
        range(d, u, c, SCSI_READ, cdb_lba(cdb), cdb_count(cdb));
        return true;
    case VERIFY_10: case VERIFY_12:
        verify(d, u, cdb, c);
        return true;
    case SEEK_6: case SEEK_10:
        range(d, u, c, SCSI_FLUSH, cdb[0] == SEEK_6 ? get_be32(cdb) & 0x1fffffu : get_be32(cdb + 2), 1);
        return true;
    case READ_CAPACITY:
        if (!(cdb[8] & 1u) && get_be32(cdb + 2)) /* a block is named with PMI only (SBC-3, 5.12) */
            fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        else
            read_capacity(d, c, cdb);
        return true;
    default:
        return false;
    }
}

static void write_same(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    bool wide = cdb[0] == WRITE_SAME_16;

    if ((wide && (cdb[1] & 1u)) || (cdb[1] & 0x10u) || !cdb_count(cdb)) { /* without a block; anchored; of none */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    range(d, u, c, SCSI_WRITE, cdb_lba(cdb), cdb_count(cdb));
    if (c->transfer == SCSI_WRITE && c->len > (uint64_t)SAME_MOST * d->c.sector_size)
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
    if (c->transfer != SCSI_WRITE)
        return;
    c->transfer = SCSI_PARAMETERS; /* one block, of which so many are made */
    c->len = d->c.sector_size;
}

static void disk_command(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    switch (cdb[0]) {
    case WRITE_6:
        range(d, u, c, SCSI_WRITE, get_be32(cdb) & 0x1fffffu, cdb[4] ? cdb[4] : 256);
        break;
    case WRITE_10: case WRITE_12: case WRITE_16: case WRITE_VERIFY_10: case WRITE_VERIFY_12: case WRITE_VERIFY_16:
        range(d, u, c, SCSI_WRITE, cdb_lba(cdb), cdb_count(cdb));
        break;
    case VERIFY_16:
        verify(d, u, cdb, c);
        break;
    case COMPARE_AND_WRITE:
        compare_and_write(d, u, cdb, c);
        break;
    case SYNCHRONIZE_10: case SYNCHRONIZE_16:
        synchronize(d, u, cdb, c);
        break;
    case WRITE_SAME_10: case WRITE_SAME_16:
        write_same(d, u, cdb, c);
        break;
    case UNMAP:
        c->transfer = get_be16(cdb + 7) ? SCSI_PARAMETERS : SCSI_NOTHING;
        c->len = get_be16(cdb + 7);
        if (cdb[1] & 1u) /* anchored: no */
            fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        else if (c->len && c->len < 8)
            fail(u, c, SENSE_ILLEGAL, ASC_LIST_LENGTH);
        else if (d->c.read_only)
            fail(u, c, SENSE_PROTECT, ASC_PROTECTED);
        break;
    case SERVICE_IN_16:
        if ((cdb[1] & 0x1fu) == 0x10) {
            read_capacity(d, c, cdb);
            break;
        }
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        break;
    default:
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_OPCODE);
        break;
    }
}

/* ---- CD-ROM ---- */

/* A block's address as it is in a table of contents: minutes, seconds, frames, or the number. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    uint32_t frames = lba + 150;

    if (!msf) {
        put_be32(p, lba);
        return;
    }
    p[0] = 0;
    p[1] = (uint8_t)(frames / 75 / 60);
    p[2] = (uint8_t)(frames / 75 % 60);
    p[3] = (uint8_t)(frames % 75);
}

/* A descriptor of the full table of contents (MMC-5, table 489): what point `point` has to say. */
static uint8_t *full_toc_entry(uint8_t *p, uint8_t point, uint32_t lba, uint8_t first)
{
    p[0] = 1;    /* session */
    p[1] = 0x14; /* a data track */
    p[3] = point;
    if (first)
        p[8] = first; /* the number of a track */
    else
        put_address(p + 7, lba, true);
    return p + 11;
}

/* One track, one session: formats 0 (tracks), 1 (sessions) and 2 (as in the lead-in). */
static void read_toc(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    bool msf = cdb[1] & 2u;
    uint8_t *r = c->reply, format = cdb[2] & 15u ? cdb[2] & 15u : cdb[9] >> 6, *p = r + 4;
    uint32_t end = (uint32_t)drive_sectors(d);

    if (format > 2 || (format == 0 && cdb[6] > 1 && cdb[6] != LEAD_OUT)) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    r[2] = r[3] = 1;
    if (format == 2) {
        p = full_toc_entry(p, 0xa0, 0, 1); /* the first track, the last one, the lead-out, the track */
        p = full_toc_entry(p, 0xa1, 0, 1);
        p = full_toc_entry(p, 0xa2, end, 0);
        p = full_toc_entry(p, 0x01, 0, 0);
    } else if (format == 1 || cdb[6] <= 1) {
        p[1] = 0x14; /* a data track */
        p[2] = 1;
        put_address(p + 4, 0, msf);
        p += 8;
    }
    if (format == 0) {
        p[1] = 0x16;
        p[2] = LEAD_OUT;
        put_address(p + 4, end, msf);
        p += 8;
    }
    put_be16(r, (uint32_t)(p - r - 2));
    reply(c, (uint64_t)(p - r), get_be16(cdb + 7));
}

static uint16_t profile(const struct drive *d, const struct scsi_unit *u)
{
    return !medium_there(d, u) ? 0 : drive_sectors(d) > CD_MOST ? PROFILE_DVD : PROFILE_CDROM;
}

/* Is a feature current: does it do something now, with what is in the drive? */
static bool feature_is_current(const struct drive *d, const struct scsi_unit *u, unsigned number)
{
    switch (number) {
    case 0x1e: return profile(d, u) == PROFILE_CDROM;
    case 0x1f: return profile(d, u) == PROFILE_DVD;
    case 0x10: return medium_there(d, u);
    default:   return true;
    }
}

/* Features from a number on: all, those that are current (all but what a medium is for, without one), or that one. */
static void get_configuration(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    static const uint8_t features[] = {
        0x00, 0x00, 0x03, 0x08, 0x00, PROFILE_DVD, 0x00, 0x00, 0x00, PROFILE_CDROM, 0x00, 0x00, /* profile list */
        0x00, 0x01, 0x0b, 0x08, 0x00, 0x00, 0x00, 0x02, 0x01, 0x00, 0x00, 0x00,       /* core: ATAPI */
        0x00, 0x02, 0x07, 0x04, 0x02, 0x00, 0x00, 0x00,                               /* morphing: no asynchronous events */
        0x00, 0x03, 0x07, 0x04, 0x29, 0x00, 0x00, 0x00,                               /* removable medium */
        0x00, 0x10, 0x01, 0x08, 0x00, 0x00, 0x08, 0x00, 0x00, 0x01, 0x00, 0x00,       /* random readable */
        0x00, 0x1e, 0x05, 0x04, 0x00, 0x00, 0x00, 0x00,                               /* CD read */
        0x00, 0x1f, 0x09, 0x04, 0x00, 0x00, 0x00, 0x00,                               /* DVD read */
        0x01, 0x00, 0x03, 0x00,                                                       /* power management */
        0x01, 0x05, 0x07, 0x04, 0x00, 0x00, 0x00, 0x00,                               /* time-outs */
    };
    enum { ALL, CURRENT, ONE_FEATURE };
    unsigned which = cdb[1] & 3u, from = get_be16(cdb + 2), number;
    uint16_t now = profile(d, u);
    bool current;
    uint8_t *p = c->reply + 8;

    if (which > ONE_FEATURE) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    for (const uint8_t *f = features; f < features + sizeof(features); f += 4u + f[3]) {
        number = get_be16(f);
        current = feature_is_current(d, u, number);
        if (which == ONE_FEATURE ? number != from : number < from || (which == CURRENT && !current))
            continue;
        memcpy(p, f, 4u + f[3]);
        if (!current)
            p[2] &= 0xfeu;
        if (number == 0) /* each profile says whether it is the current one */
            p[now == PROFILE_DVD ? 6 : 10] = now != 0;
        p += 4u + f[3];
    }
    put_be32(c->reply, (uint32_t)(p - c->reply - 4));
    put_be16(c->reply + 6, now);
    reply(c, (uint64_t)(p - c->reply), get_be16(cdb + 7));
}

/* Classes of events (MMC-5, 6.6), and those that there are, as bits. */
enum { CLASS_NONE = 0, CLASS_OPERATIONAL = 1, CLASS_POWER = 2, CLASS_MEDIA = 4, CLASS_BUSY = 6 };
#define EVENT_CLASSES (1u << CLASS_OPERATIONAL | 1u << CLASS_POWER | 1u << CLASS_MEDIA | 1u << CLASS_BUSY)

/* Of the classes that are asked for: that which has an event (media only have), else the first. */
static unsigned event_class(const struct drive *d, unsigned asked)
{
    asked &= EVENT_CLASSES;
    if ((asked & 1u << CLASS_MEDIA) && d->medium && d->medium->event)
        return CLASS_MEDIA;
    return asked ? (unsigned)__builtin_ctz(asked) : CLASS_NONE;
}

static void get_event(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    unsigned class = event_class(d, cdb[4]);
    uint8_t *r = c->reply;

    if (!(cdb[1] & 1u)) { /* asynchronous: no */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    r[3] = EVENT_CLASSES;
    if (class == CLASS_NONE) {
        put_be16(r, 2);
        r[2] = 0x80; /* none of those asked for */
        reply(c, 4, get_be16(cdb + 7));
        return;
    }
    put_be16(r, 6);
    r[2] = (uint8_t)class;
    if (class == CLASS_POWER)
        r[5] = 1; /* active */
    if (class == CLASS_MEDIA) {
        r[5] = (uint8_t)((u->open ? 1u : 0) | (medium_there(d, u) ? 2u : 0));
        if (d->medium && get_be16(cdb + 7) > 4) { /* who asks for the classes only takes no event */
            r[4] = d->medium->event;
            d->medium->event = 0;
        }
    }
    reply(c, 8, get_be16(cdb + 7));
}

static void read_cd(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    uint32_t count = get_be32(cdb + 5) & 0xffffffu;
    uint8_t wanted = cdb[9] & 0xf8u;

    if ((wanted != 0x10 && wanted != 0) || (cdb[10] & 7u)) { /* user data only */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    range(d, u, c, SCSI_READ, get_be32(cdb + 2), wanted ? count : 0);
}

static void disc_information(struct scsi_unit *u, struct scsi_command *c, const uint8_t *cdb)
{
    if (cdb[1] & 7u) { /* of tracks and pseudo-overwriting: no */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    put_be16(c->reply, 32);
    c->reply[2] = 0x0e; /* complete, last session complete */
    c->reply[3] = c->reply[4] = c->reply[5] = c->reply[6] = 1;
    c->reply[7] = 0x20;
    memset(c->reply + 16, 0xff, 8);
    reply(c, 34, get_be16(cdb + 7));
}

/* Of the track that has a block, or that number; or the first of a session (MMC-5, 6.27). */
static void track_information(struct drive *d, struct scsi_unit *u, struct scsi_command *c, const uint8_t *cdb)
{
    unsigned by = cdb[1] & 3u;
    uint32_t which = get_be32(cdb + 2);

    if (by == 3 || (by ? which != 1 : which >= drive_sectors(d))) {
        fail(u, c, SENSE_ILLEGAL, by ? ASC_INVALID_FIELD : ASC_LBA_RANGE);
        return;
    }
    put_be16(c->reply, 34);
    c->reply[2] = c->reply[3] = 1;
    c->reply[5] = 4;
    c->reply[6] = 1;
    put_be32(c->reply + 24, (uint32_t)drive_sectors(d));
    reply(c, 36, get_be16(cdb + 7));
}

static void subchannel(struct scsi_command *c, const uint8_t *cdb)
{
    c->reply[1] = 0x15; /* no audio status */
    reply(c, 4, get_be16(cdb + 7));
}

/* READ DVD STRUCTURE: of layer 0 the physical format, copyright (none), the manufacturer's (nothing) (MMC-5, 6.22). */
static void dvd_structure(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    static const uint16_t lens[] = {[0] = 20, [1] = 4, [4] = 2048};
    uint8_t format = cdb[7], *r = c->reply;
    uint32_t last = 0x30000u + (uint32_t)drive_sectors(d) - 1;

    if (profile(d, u) != PROFILE_DVD) {
        scsi_fail(u, SENSE_ILLEGAL, 0x30, 0x02); /* a medium that has no such thing */
        c->transfer = SCSI_FAILED;
        return;
    }
    if (cdb[6] || (format != 0 && format != 1 && format != 4)) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    put_be16(r, 2u + lens[format]);
    if (format == 0) {
        r[4] = 0x01;                /* DVD-ROM, version 1 */
        r[5] = 0x0f;                /* 120 mm, rate not said */
        r[6] = 0x01;                /* one layer, embossed */
        put_be(r + 9, 0x30000, 3);  /* where data begin and end */
        put_be(r + 13, last, 3);
    }
    reply(c, 4u + lens[format] < SCSI_REPLY_BYTES ? 4u + lens[format] : SCSI_REPLY_BYTES, get_be16(cdb + 8));
}

static void cd_command(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    switch (cdb[0]) {
    case READ_TOC:
        read_toc(d, u, cdb, c);
        break;
    case READ_CD:
        read_cd(d, u, cdb, c);
        break;
    case READ_SUBCHANNEL:
        subchannel(c, cdb);
        break;
    case READ_DISC_INFO:
        disc_information(u, c, cdb);
        break;
    case READ_DVD:
        dvd_structure(d, u, cdb, c);
        break;
    case READ_TRACK_INFO:
        track_information(d, u, c, cdb);
        break;
    default:
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_OPCODE);
        break;
    }
}

/* ---- every unit, also without a medium ---- */

/* The tray moves: what was in it is gone, or is new (MMC-5, 4.1.8). */
static void move_tray(struct drive *d, struct scsi_unit *u, bool open)
{
    if (u->open == open)
        return;
    u->open = open;
    if (d->c.empty)
        return;
    if (d->medium)
        d->medium->event = open ? EVENT_REMOVAL : EVENT_NEW_MEDIUM;
    if (!open && !u->attention)
        u->attention = ASC_MEDIUM_CHANGED;
}

static void start_stop(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if (!is_cd(d) || !(cdb[4] & 2u))
        return;
    if (!(cdb[4] & 1u) && u->locked) {
        scsi_fail(u, u->open ? SENSE_NOT_READY : SENSE_ILLEGAL, 0x53, 0x02); /* medium removal prevented */
        c->transfer = SCSI_FAILED;
        return;
    }
    move_tray(d, u, !(cdb[4] & 1u));
}

/* In either format (SPC-3, 4.5). */
static void request_sense(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if (cdb[1] & 1u) {
        c->reply[0] = 0x72;
        c->reply[1] = u->key;
        c->reply[2] = u->asc;
        c->reply[3] = u->ascq;
        if (u->informed) { /* a descriptor (SPC-3, 4.5.2.2) */
            c->reply[7] = 12;
            c->reply[9] = 10;
            c->reply[10] = 0x80;
            put_be64(c->reply + 12, u->information);
        }
        reply(c, u->informed ? 20 : 8, cdb[4]);
    } else {
        scsi_sense(u, c->reply);
        reply(c, SCSI_SENSE_BYTES, cdb[4]);
    }
    u->key = u->asc = u->ascq = u->informed = 0;
}

/* Parameters: nothing is saved. */
static void mode_select(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if (cdb[1] & 1u) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    c->len = cdb[0] == MODE_SELECT_10 ? get_be16(cdb + 7) : cdb[4];
    c->transfer = c->len ? SCSI_PARAMETERS : SCSI_NOTHING;
}

static void report_luns(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if (cdb[2] > 2 || get_be32(cdb + 6) < 16) { /* (SPC-3, 6.21) */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    put_be32(c->reply, cdb[2] == 1 ? 0 : 8); /* well-known ones: none */
    reply(c, cdb[2] == 1 ? 8 : 16, get_be32(cdb + 6));
}

/* The default self-test passes; there are no others, and no pages. */
static void send_diagnostic(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    if ((cdb[1] & 0xe0u) || get_be16(cdb + 3))
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
}

/* LOG SENSE (SPC-3, 6.6 and 7.2): which pages there are, the temperature, informational exceptions. */
static void log_sense(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    uint8_t *r = c->reply;
    uint32_t n = 0;

    if ((cdb[1] & 1u) || cdb[3] || get_be16(cdb + 5)) { /* saved; a subpage; from a parameter on */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    r[0] = cdb[2] & 0x3fu;
    switch (r[0]) {
    case 0x00:
        r[5] = 0x0d;
        r[6] = 0x2f;
        n = 3;
        break;
    case 0x0d: /* as it is, and what it may be at most, in degrees Celsius */
        memcpy(r + 4, "\x00\x00\x03\x02\x00\x1e\x00\x01\x03\x02\x00\x3c", 12);
        n = 12;
        break;
    case 0x2f: /* none; the temperature */
        memcpy(r + 4, "\x00\x00\x03\x04\x00\x00\x1e\x00", 8);
        n = 8;
        break;
    default:
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    put_be16(r + 2, n);
    reply(c, 4 + n, get_be16(cdb + 7));
}

/* Commands of disks: REPORT SUPPORTED OPERATION CODES tells of them. `action`: service action plus one; 0: there are none. */
static const struct {
    uint8_t code, action;
} known[] = {
    {TEST_UNIT_READY, 0}, {REQUEST_SENSE, 0}, {READ_6, 0}, {WRITE_6, 0}, {SEEK_6, 0}, {INQUIRY, 0}, {MODE_SELECT_6, 0},
    {MODE_SENSE_6, 0}, {START_STOP, 0}, {SEND_DIAGNOSTIC, 0}, {PREVENT_REMOVAL, 0}, {READ_CAPACITY, 0}, {READ_10, 0}, {WRITE_10, 0},
    {SEEK_10, 0}, {WRITE_VERIFY_10, 0}, {VERIFY_10, 0}, {SYNCHRONIZE_10, 0}, {WRITE_SAME_10, 0}, {UNMAP, 0}, {LOG_SENSE, 0},
    {MODE_SELECT_10, 0}, {MODE_SENSE_10, 0}, {PERSISTENT_IN, 1}, {PERSISTENT_IN, 2}, {PERSISTENT_IN, 3}, {PERSISTENT_OUT, 1},
    {PERSISTENT_OUT, 2}, {PERSISTENT_OUT, 3}, {PERSISTENT_OUT, 4}, {PERSISTENT_OUT, 5}, {PERSISTENT_OUT, 7}, {READ_16, 0},
    {COMPARE_AND_WRITE, 0}, {WRITE_16, 0}, {WRITE_VERIFY_16, 0}, {VERIFY_16, 0}, {SYNCHRONIZE_16, 0}, {WRITE_SAME_16, 0},
    {SERVICE_IN_16, 0x11}, {REPORT_LUNS, 0}, {MAINTENANCE_IN, 0x0d}, {READ_12, 0}, {WRITE_12, 0}, {WRITE_VERIFY_12, 0}, {VERIFY_12, 0},
};

static uint8_t cdb_bytes(uint8_t code)
{
    static const uint8_t bytes[8] = {6, 10, 10, 0, 16, 12, 0, 0};

    return bytes[code >> 5];
}

/* REPORT SUPPORTED OPERATION CODES (SPC-4, 6.35): all, or one, with the bytes that it uses. */
static void report_codes(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    unsigned which = cdb[2] & 7u, action = get_be16(cdb + 4) + 1u, n;
    uint8_t *p = c->reply + 4;
    bool there = false, actions = false;

    if ((cdb[1] & 0x1fu) != 0x0c || which > 3) {
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(known) && which == 0; i++, p += 8) {
        p[0] = known[i].code;
        put_be16(p + 2, known[i].action ? known[i].action - 1u : 0);
        p[5] = known[i].action ? 1 : 0;
        p[7] = cdb_bytes(known[i].code);
    }
    if (which == 0) {
        put_be32(c->reply, (uint32_t)(p - c->reply - 4));
        reply(c, (uint64_t)(p - c->reply), get_be32(cdb + 6));
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].code == cdb[3]) {
            actions |= known[i].action != 0;
            there |= !known[i].action || which == 1 || known[i].action == action;
        }
    if ((which == 1 && actions) || (which == 2 && there && !actions)) { /* with a service action, or without */
        fail(u, c, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    c->reply[1] = there ? 3 : 1;
    n = there ? cdb_bytes(cdb[3]) : 0;
    put_be16(c->reply + 2, n);
    if (n) {
        memset(p, 0xff, n);
        p[0] = cdb[3];
        p[n - 1] = 0; /* CONTROL */
        if (actions)
            p[1] = (uint8_t)(action - 1);
    }
    reply(c, 4 + n, get_be32(cdb + 6));
}

/* Of disks, also of one that is stopped. False: it is none of those. */
static bool any_disk_command(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    switch (cdb[0]) {
    case LOG_SENSE:
        log_sense(u, cdb, c);
        return true;
    case MAINTENANCE_IN:
        report_codes(u, cdb, c);
        return true;
    case PERSISTENT_IN:
        scsi_reserve_in(u, cdb, c);
        return true;
    case PERSISTENT_OUT:
        scsi_reserve_out(u, cdb, c);
        return true;
    default:
        return false;
    }
}

/* False: it is for a unit with a medium. */
static bool any_command(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    switch (cdb[0]) {
    case REQUEST_SENSE:
        request_sense(u, cdb, c);
        return true;
    case INQUIRY:
        inquiry(d, u, cdb, c);
        return true;
    case REPORT_LUNS:
        report_luns(u, cdb, c);
        return true;
    case MODE_SENSE_6: case MODE_SENSE_10:
        mode_sense(d, u, cdb, c);
        return true;
    case MODE_SELECT_6: case MODE_SELECT_10:
        mode_select(u, cdb, c);
        return true;
    case SEND_DIAGNOSTIC:
        send_diagnostic(u, cdb, c);
        return true;
    case START_STOP:
        start_stop(d, u, cdb, c);
        return true;
    case PREVENT_REMOVAL:
        u->locked = cdb[4] & 1u;
        drive_lock(d, u->locked);
        return true;
    default:
        break;
    }
    if (!is_cd(d))
        return any_disk_command(u, cdb, c);
    switch (cdb[0]) {
    case GET_CONFIGURATION:
        get_configuration(d, u, cdb, c);
        return true;
    case GET_EVENT:
        get_event(d, u, cdb, c);
        return true;
    case MECHANISM_STATUS:
        c->reply[1] = u->open ? 0x10 : 0;
        reply(c, 8, get_be16(cdb + 8));
        return true;
    case SET_SPEED:
        return true;
    default:
        return false;
    }
}

/* A unit attention is told before other commands are done (SPC-3, 4.5.2.1). */
static bool attention_first(const uint8_t *cdb)
{
    return cdb[0] != INQUIRY && cdb[0] != REPORT_LUNS && cdb[0] != REQUEST_SENSE && cdb[0] != GET_EVENT &&
           cdb[0] != GET_CONFIGURATION;
}

/* The user changed the medium: the tray is closed again; a new one is a unit attention (MMC-5, 4.1.8). */
static void see_medium(struct drive *d, struct scsi_unit *u)
{
    if (!d->medium || d->medium->seen == d->medium->changes)
        return;
    d->medium->seen = d->medium->changes;
    d->medium->event = d->c.empty ? EVENT_REMOVAL : EVENT_NEW_MEDIUM;
    u->open = u->locked = 0;
    if (!d->c.empty && !u->attention)
        u->attention = ASC_MEDIUM_CHANGED;
}

void scsi_begin(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    memset(c, 0, sizeof(*c));
    see_medium(d, u);
    if (cdb[0] != REQUEST_SENSE) /* sense data are kept until the next command (SPC-3, 6.27) */
        u->key = u->asc = u->ascq = u->informed = 0;
    if (u->attention && (cdb[0] == REQUEST_SENSE || attention_first(cdb))) {
        scsi_fail(u, SENSE_ATTENTION, u->attention, 0);
        u->attention = 0;
        if (cdb[0] != REQUEST_SENSE) {
            c->transfer = SCSI_FAILED;
            return;
        }
    }
    if (any_command(d, u, cdb, c))
        return;
    if (!medium_there(d, u)) {
        fail(u, c, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    if (cdb[0] == TEST_UNIT_READY || block_command(d, u, cdb, c))
        return;
    if (is_cd(d))
        cd_command(d, u, cdb, c);
    else
        disk_command(d, u, cdb, c);
}

void scsi_peek(struct drive *d, const struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    struct drive_medium medium = {0};
    struct scsi_unit unit = *u;

    if (d->medium)
        medium = *d->medium;
    scsi_begin(d, &unit, cdb, c);
    if (d->medium)
        *d->medium = medium;
}

/* ---- parameter lists ---- */

static uint8_t unmap(struct drive *d, struct scsi_unit *u, const uint8_t *list, uint64_t len)
{
    uint64_t bytes;

    if (len < 8)
        return SCSI_GOOD;
    bytes = get_be16(list + 2);
    if (bytes > len - 8 || bytes / 16 > UNMAP_MOST)
        return scsi_fail(u, SENSE_ILLEGAL, ASC_INVALID_PARAMETER, 0);
    for (const uint8_t *p = list + 8; p + 16 <= list + 8 + bytes; p += 16) {
        uint64_t lba = get_be64(p), count = get_be32(p + 8);
        enum drive_status status = DRIVE_OUT_OF_RANGE;

        if (lba <= drive_sectors(d) && count <= drive_sectors(d) - lba)
            status = drive_discard(d, lba * d->c.sector_size, count * d->c.sector_size, NULL);
        if (status != DRIVE_OK)
            return scsi_end_write(u, status);
    }
    return SCSI_GOOD;
}

static uint8_t same_blocks(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, const uint8_t *block)
{
    uint64_t lba = cdb_lba(cdb), count = cdb_count(cdb);
    enum drive_status status = DRIVE_OK;
    bool zero = block[0] == 0 && memcmp(block, block + 1, d->c.sector_size - 1) == 0;

    if (zero)
        return scsi_end_write(u, drive_write_zeroes(d, lba * d->c.sector_size, count * d->c.sector_size, NULL));
    for (; count && status == DRIVE_OK; count--, lba++)
        status = drive_write(d, lba * d->c.sector_size, block, d->c.sector_size, NULL);
    return scsi_end_write(u, status);
}

/* Does the medium hold that? `one`: each block of it. SCSI_GOOD, or the sense data say where it does not. */
static uint8_t matches(struct drive *d, struct scsi_unit *u, uint64_t lba, uint64_t count, const uint8_t *list, bool one)
{
    uint8_t block[4096];
    uint32_t size = d->c.sector_size;

    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *want = list + (one ? 0 : i * size);
        enum drive_status status = drive_read(d, (lba + i) * size, block, size, NULL);
        uint32_t at = 0;

        if (status != DRIVE_OK) {
            scsi_end(u, status);
            scsi_failed_at(d, u, (lba + i) * size);
            return SCSI_CHECK;
        }
        while (at < size && block[at] == want[at])
            at++;
        if (at < size) {
            scsi_fail(u, SENSE_MISCOMPARE, ASC_MISCOMPARE, 0);
            inform(u, i * size + at);
            return SCSI_CHECK;
        }
    }
    return SCSI_GOOD;
}

static uint8_t written_if_same(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list)
{
    uint64_t lba = get_be64(cdb + 2), bytes = (uint64_t)cdb[13] * d->c.sector_size;

    if (matches(d, u, lba, cdb[13], list, false) != SCSI_GOOD)
        return SCSI_CHECK;
    return scsi_end_write(u, drive_write(d, lba * d->c.sector_size, list + bytes, bytes, NULL));
}

/* One page of a MODE SELECT: as it is, but for what can be changed (SPC-3, 6.7). */
static bool take_page(const struct drive *d, struct scsi_unit *u, const uint8_t *page, size_t left, bool act)
{
    uint8_t now[64] = {0}, can[64], number = page[0] & 0x3fu;
    size_t len = left < 2 ? 0 : 2u + page[1];

    if (!len || left < len || (page[0] & 0x40u) || number == 0x3f || mode_pages(d, !u->write_through, number, now) != len)
        return false;
    memcpy(can, now, len);
    only_changeable(can);
    for (size_t i = 2; i < len; i++)
        if ((page[i] ^ now[i]) & ~can[i])
            return false;
    if (act && number == 0x08)
        u->write_through = !(page[2] & 0x04u);
    return true;
}

/* Of a disk; all pages are looked at before one has an effect. */
static uint8_t take_modes(const struct drive *d, struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list, uint64_t len)
{
    bool ten = cdb[0] == MODE_SELECT_10;
    uint64_t at = ten ? 8 : 4;

    if (len < at)
        return len ? scsi_fail(u, SENSE_ILLEGAL, ASC_LIST_LENGTH, 0) : SCSI_GOOD;
    at += ten ? get_be16(list + 6) : list[3];
    if (at > len)
        return scsi_fail(u, SENSE_ILLEGAL, ASC_LIST_LENGTH, 0);
    for (unsigned act = 0; act < 2; act++)
        for (uint64_t p = at; p < len; p += 2u + list[p + 1])
            if (!take_page(d, u, list + p, (size_t)(len - p), act))
                return scsi_fail(u, SENSE_ILLEGAL, ASC_INVALID_PARAMETER, 0);
    return SCSI_GOOD;
}

uint8_t scsi_parameters(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list, uint64_t len)
{
    uint32_t size = d->c.sector_size;

    if (is_cd(d))
        return SCSI_GOOD; /* modes: taken, without effect */
    switch (cdb[0]) {
    case UNMAP:
        return unmap(d, u, list, len);
    case WRITE_SAME_10: case WRITE_SAME_16:
        return len >= size ? same_blocks(d, u, cdb, list) : SCSI_GOOD;
    case VERIFY_10: case VERIFY_12: case VERIFY_16:
        if (len < ((cdb[1] & 6u) == 6 ? 1 : cdb_count(cdb)) * size)
            return scsi_fail(u, SENSE_ILLEGAL, ASC_LIST_LENGTH, 0);
        return matches(d, u, cdb_lba(cdb), cdb_count(cdb), list, (cdb[1] & 6u) == 6);
    case COMPARE_AND_WRITE:
        return len < 2ull * cdb[13] * size ? scsi_fail(u, SENSE_ILLEGAL, ASC_LIST_LENGTH, 0) : written_if_same(d, u, cdb, list);
    case MODE_SELECT_6: case MODE_SELECT_10:
        return take_modes(d, u, cdb, list, len);
    case PERSISTENT_OUT:
        return scsi_reserve(u, cdb, list, len);
    default:
        return SCSI_GOOD;
    }
}
