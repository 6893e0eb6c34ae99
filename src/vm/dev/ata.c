/*
 * ATA and ATAPI devices (ATA/ATAPI-6, INCITS 361; DATA SET MANAGEMENT of ACS-2): commands, addresses in
 * all three forms, IDENTIFY data, errors.
 *
 * SMART is ata_smart.c's, passwords are ata_security.c's. Power modes are told, and end with the next command that needs the medium, at once.
 *
 * Not modelled, and not offered by IDENTIFY: device configuration overlay,
 * queued commands of ATA-6, overlapped packets, advanced power management, acoustics, READ and WRITE LONG and BUFFER.
 *
 * To add a command: a row of commands[] if it moves sectors, else a case in simple_command().
 */
#include "vm/dev/ata.h"

#include <string.h>

#include "base/bytes.h"
#include "vm/dev/disk_props.h"
#include "vm/machine.h"

#define DEVICE_LBA 0x40u
#define READY (ATA_DRDY | ATA_DSC)
#define MULTIPLE_MOST 16u

enum {
    NOP = 0x00, DATA_SET = 0x06, DEVICE_RESET = 0x08, RECALIBRATE = 0x10, SEEK = 0x70, DIAGNOSTIC = 0x90,
    SET_GEOMETRY = 0x91, PACKET = 0xa0, IDENTIFY_PACKET = 0xa1, SET_MULTIPLE = 0xc6,
    STANDBY_NOW = 0xe0, IDLE_NOW = 0xe1, STANDBY = 0xe2, IDLE = 0xe3, CHECK_POWER = 0xe5, SLEEP = 0xe6, FLUSH = 0xe7,
    FLUSH_EXT = 0xea, IDENTIFY = 0xec, SET_FEATURES = 0xef, NATIVE_MAX = 0xf8, NATIVE_MAX_EXT = 0x27,
    SET_MAX = 0xf9, SET_MAX_EXT = 0x37, SMART = 0xb0,
};

enum { ASKED_MAX = 1, ASKED_MAX_EXT };

#define LBA28_MOST 0x0fffffffu
#define SECOND_NS  UINT64_C(1000000000)

enum block { ONE, MANY };

/* Commands that are about sectors. */
static const struct {
    uint8_t code;
    uint8_t kind;
    bool dma, wide;
    enum block block;
} commands[] = {
    {0x20, ATA_READ, false, false, ONE},  {0x21, ATA_READ, false, false, ONE},  {0x24, ATA_READ, false, true, ONE},
    {0x25, ATA_READ, true, true, ONE},    {0x29, ATA_READ, false, true, MANY},  {0x30, ATA_WRITE, false, false, ONE},
    {0x31, ATA_WRITE, false, false, ONE}, {0x34, ATA_WRITE, false, true, ONE},  {0x35, ATA_WRITE, true, true, ONE},
    {0x39, ATA_WRITE, false, true, MANY}, {0x3c, ATA_WRITE, false, false, ONE}, {0x3d, ATA_WRITE, true, true, ONE},
    {0x40, ATA_VERIFY, false, false, ONE}, {0x41, ATA_VERIFY, false, false, ONE}, {0x42, ATA_VERIFY, false, true, ONE},
    {0xc4, ATA_READ, false, false, MANY}, {0xc5, ATA_WRITE, false, false, MANY}, {0xc8, ATA_READ, true, false, ONE},
    {0xc9, ATA_READ, true, false, ONE},   {0xca, ATA_WRITE, true, false, ONE},  {0xcb, ATA_WRITE, true, false, ONE},
    {0xce, ATA_WRITE, false, true, MANY},
};

/* ---- ends ---- */

static void finish(struct ata_unit *u, uint8_t error)
{
    u->work.kind = ATA_DONE;
    u->task.error = error;
    u->task.status = (uint8_t)(READY | (error ? ATA_ERR : 0));
}

void ata_abort(struct ata_unit *u)
{
    finish(u, ATA_ABRT);
}

void ata_signature(struct drive *d, struct ata_unit *u)
{
    bool packet = ata_is_packet(d);
    struct ata_task *t = &u->task;

    t->count[0] = t->low[0] = 1;
    t->mid[0] = packet ? 0x14 : 0;
    t->high[0] = packet ? 0xeb : 0;
    t->count[1] = t->low[1] = t->mid[1] = t->high[1] = 0;
    t->device &= 0x10u;
    t->error = 1; /* passed */
    t->status = packet ? 0 : READY;
}

/* What SET FEATURES and SET MULTIPLE find. */
static void default_settings(struct ata_unit *u)
{
    u->multiple = MULTIPLE_MOST;
    u->cache = u->ahead = 1;
}

/* What is on the disk itself outlives a hardware reset. */
static void power_on(struct drive *d, struct ata_unit *u)
{
    const struct ata_unit was = *u;
    struct drive_geometry g = drive_geometry(d);

    memset(u, 0, sizeof(*u));
    u->smart = was.smart;
    u->security = was.security;
    ata_security_power_on(&u->security);
    u->most = u->most_kept = was.most_kept;
    u->protected = was.most_kept ? was.protected : 0;
    u->heads = (uint8_t)g.heads;
    u->sectors = (uint8_t)g.sectors;
    default_settings(u);
    scsi_reset(&u->scsi);
}

void ata_reset(struct drive *d, struct ata_unit *u, bool hard)
{
    if (hard)
        power_on(d, u);
    else if (u->revert)
        default_settings(u);
    if (u->power == ATA_SLEEP)
        u->power = ATA_STANDBY;
    u->asked = 0;
    u->work = (struct ata_work){0};
    ata_signature(d, u);
}

uint64_t ata_sectors(const struct drive *d, const struct ata_unit *u)
{
    uint64_t all = d->c.size / ATA_SECTOR;

    return u->most && u->most < all ? u->most : all;
}

/* ---- power ---- */

bool ata_sleeps(const struct ata_unit *u)
{
    return u->power == ATA_SLEEP;
}

/* A standby timer of so many (table 18); 0: none. */
static uint64_t timer_ns(uint8_t value)
{
    if (value <= 240)
        return value * 5 * SECOND_NS;
    if (value <= 251)
        return (value - 240u) * 1800 * SECOND_NS;
    if (value == 252)
        return 21 * 60 * SECOND_NS;
    return value == 255 ? (21 * 60 + 15) * SECOND_NS : 8 * 3600 * SECOND_NS;
}

static enum ata_power power_mode(const struct drive *d, const struct ata_unit *u)
{
    if (u->timer && machine_now(d->machine) - u->used_at >= timer_ns(u->timer))
        return ATA_STANDBY;
    return u->power;
}

static void power_command(struct drive *d, struct ata_unit *u, uint8_t command)
{
    static const uint8_t told[] = {[ATA_ACTIVE] = 0xff, [ATA_IDLE] = 0x80, [ATA_STANDBY] = 0x00, [ATA_SLEEP] = 0x00};

    switch (command) {
    case CHECK_POWER:
        u->task.count[0] = told[power_mode(d, u)];
        break;
    case STANDBY: case IDLE:
        u->timer = u->task.count[0];
        u->power = command == IDLE ? ATA_IDLE : ATA_STANDBY;
        break;
    case STANDBY_NOW: u->power = ATA_STANDBY; break;
    case IDLE_NOW:    u->power = ATA_IDLE; break;
    default:          u->power = ATA_SLEEP; break;
    }
    finish(u, 0);
}

/* ---- addresses ---- */

static uint64_t wide_lba(const struct ata_task *t)
{
    return (uint64_t)t->high[1] << 40 | (uint64_t)t->mid[1] << 32 | (uint64_t)t->low[1] << 24 |
           (uint64_t)t->high[0] << 16 | (uint64_t)t->mid[0] << 8 | t->low[0];
}

/* The sector that the registers name. False: there is none of that cylinder, head and sector. */
static bool get_lba(const struct ata_unit *u, bool wide, uint64_t *lba)
{
    const struct ata_task *t = &u->task;
    uint32_t cylinder = (uint32_t)t->high[0] << 8 | t->mid[0], head = t->device & 15u;

    if (wide) {
        *lba = wide_lba(t);
        return true;
    }
    if (t->device & DEVICE_LBA) {
        *lba = (uint64_t)head << 24 | (uint64_t)cylinder << 8 | t->low[0];
        return true;
    }
    if (!u->sectors || head >= u->heads || t->low[0] < 1 || t->low[0] > u->sectors)
        return false;
    *lba = ((uint64_t)cylinder * u->heads + head) * u->sectors + t->low[0] - 1u;
    return true;
}

static void put_lba(struct ata_unit *u, bool wide, uint64_t lba)
{
    struct ata_task *t = &u->task;
    uint64_t track;

    if (!wide && !(t->device & DEVICE_LBA)) {
        if (!u->sectors || !u->heads)
            return;
        track = lba / u->sectors;
        t->low[0] = (uint8_t)(lba % u->sectors + 1);
        t->device = (uint8_t)((t->device & 0xf0u) | track % u->heads);
        t->mid[0] = (uint8_t)(track / u->heads);
        t->high[0] = (uint8_t)(track / u->heads >> 8);
        return;
    }
    t->low[0] = (uint8_t)lba;
    t->mid[0] = (uint8_t)(lba >> 8);
    t->high[0] = (uint8_t)(lba >> 16);
    if (!wide) {
        t->device = (uint8_t)((t->device & 0xf0u) | (lba >> 24 & 15u));
        return;
    }
    t->low[1] = (uint8_t)(lba >> 24);
    t->mid[1] = (uint8_t)(lba >> 32);
    t->high[1] = (uint8_t)(lba >> 40);
}

void ata_advance(struct ata_unit *u, uint32_t n)
{
    u->work.lba += n;
    u->work.sectors -= n < u->work.sectors ? n : u->work.sectors;
}

void ata_end(struct drive *d, struct ata_unit *u, enum drive_status status, uint32_t good)
{
    uint8_t error = 0;

    switch (status) {
    case DRIVE_OK:
        if (u->work.kind != ATA_FLUSH && u->work.kind != ATA_TRIM && u->work.lba + good)
            put_lba(u, u->work.wide, u->work.lba + good - (u->work.sectors > good ? 0 : 1));
        u->task.count[0] = u->task.count[1] = 0;
        break;
    case DRIVE_OUT_OF_RANGE:
        error = ATA_IDNF;
        break;
    case DRIVE_BAD_SECTOR: /* nobody finds a sector that cannot be written */
        error = u->work.kind == ATA_WRITE ? ATA_IDNF : ATA_UNC;
        break;
    default:
        error = ATA_ABRT;
        break;
    }
    if (error == ATA_IDNF || error == ATA_UNC) {
        put_lba(u, u->work.wide, u->work.lba + good);
        u->task.count[0] = (uint8_t)(u->work.sectors - good);
        u->task.count[1] = (uint8_t)((u->work.sectors - good) >> 8);
    }
    finish(u, error);
    if (status == DRIVE_BAD_SECTOR)
        ata_smart_fail(d, &u->smart, &u->task);
}

/* ---- IDENTIFY ---- */

static void put_words(uint8_t *r, unsigned word, uint64_t value, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        r[2 * (word + i)] = (uint8_t)(value >> (16 * i));
        r[2 * (word + i) + 1] = (uint8_t)(value >> (16 * i + 8));
    }
}

/* Text, two characters a word, the first one in the high byte. */
static void put_string(uint8_t *r, unsigned word, unsigned words, const char *text)
{
    size_t len = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++)
        r[2 * word + (i ^ 1u)] = (uint8_t)(i < len ? text[i] : ' ');
}

/* The words that tell which mode is chosen, and checksums. */
static void identify_modes(const struct ata_unit *u, uint8_t *r)
{
    unsigned kind = u->mode >> 3, n = u->mode & 7u;

    put_words(r, 53, 0x0007, 1);
    put_words(r, 63, 0x0007u | (kind == 4 ? 0x100u << n : 0), 1);
    put_words(r, 64, 0x0003, 1);
    put_words(r, 65, 120, 1);
    put_words(r, 66, 120, 1);
    put_words(r, 67, 120, 1);
    put_words(r, 68, 120, 1);
    put_words(r, 88, 0x003fu | (kind == 8 ? 0x100u << n : 0), 1);
    put_words(r, 93, 0x600b, 1); /* 80-conductor cable */
}

void ata_checksum(uint8_t *r, uint8_t signature)
{
    uint8_t sum = 0;

    r[510] = signature;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + r[i]);
    r[511] = (uint8_t)-sum;
}

/* Serial ATA 2.6, 13.2: speeds and queueing; general purpose logging, for the log of queued commands' errors. */
void ata_identify_serial(uint8_t *r, unsigned depth)
{
    put_words(r, 76, 0x0006u | (depth ? 0x0100u : 0), 1);
    put_words(r, 93, 0, 1);
    if (depth) {
        put_words(r, 75, depth - 1, 1);
        r[2 * 84] |= 0x20;
        r[2 * 87] |= 0x20;
    }
    ata_checksum(r, 0xa5);
}

/* A number that is like no other, if it has one: four words, the highest first. */
static void identify_wwn(const struct drive *d, uint8_t *r)
{
    if (!d->identity.wwn)
        return;
    r[2 * 84 + 1] |= 0x41;
    r[2 * 87 + 1] |= 0x41;
    for (unsigned i = 0; i < 4; i++)
        put_words(r, 108 + i, d->identity.wwn >> (48 - 16 * i) & 0xffffu, 1);
}

static void identify_names(const struct drive *d, const char *model, uint8_t *r)
{
    const struct drive_identity *id = &d->identity;

    put_string(r, 10, 10, d->serial);
    put_string(r, 23, 4, *id->version ? id->version : "1.0");
    put_string(r, 27, 20, *id->model ? id->model : model);
}

static void identify(const struct drive *d, const struct ata_unit *u, uint8_t *r)
{
    struct drive_geometry g = drive_geometry(d);
    uint64_t total = ata_sectors(d, u), most28 = total < LBA28_MOST ? total : LBA28_MOST;
    uint32_t cylinders = u->heads && u->sectors ? (uint32_t)(most28 / u->heads / u->sectors) : 0;

    cylinders = cylinders > 65535 ? 65535 : cylinders;
    if (u->heads && u->sectors && cylinders < DRIVE_LEAST_CYLINDERS)
        cylinders = DRIVE_LEAST_CYLINDERS;
    put_words(r, 0, 0x0040, 1);
    put_words(r, 1, g.cylinders, 1);
    put_words(r, 3, g.heads, 1);
    put_words(r, 6, g.sectors, 1);
    identify_names(d, "hindcast HARDDISK", r);
    put_words(r, 47, 0x8000u | MULTIPLE_MOST, 1);
    put_words(r, 49, 0x0b00, 1); /* IORDY, LBA, DMA */
    put_words(r, 50, 0x4000, 1);
    put_words(r, 54, cylinders, 1);
    put_words(r, 55, u->heads, 1);
    put_words(r, 56, u->sectors, 1);
    put_words(r, 57, (uint64_t)cylinders * u->heads * u->sectors, 2);
    put_words(r, 59, u->multiple ? 0x100u | u->multiple : 0, 1);
    put_words(r, 60, most28, 2);
    identify_modes(u, r);
    put_words(r, 80, 0x00f0, 1); /* ATA-4 to 7 */
    put_words(r, 82, 0x446b, 1); /* NOP, host protected area, look-ahead, write cache, power management, security, SMART */
    put_words(r, 83, 0x7500, 1); /* FLUSH CACHE (EXT), 48 bits, passwords of the host protected area */
    put_words(r, 84, 0x4003, 1); /* SMART's error log and self-tests */
    put_words(r, 85, 0x4008u | (u->smart.disabled ? 0 : 1u) | (u->security.enabled ? 2u : 0) | (u->cache ? 0x20u : 0) | (u->ahead ? 0x40u : 0) |
                     (u->most ? 0x400u : 0), 1);
    put_words(r, 86, 0x3400u | (u->security.area_set ? 0x100u : 0), 1);
    put_words(r, 87, 0x4003, 1);
    put_words(r, 89, 1, 1); /* of two minutes, for erasing */
    put_words(r, 92, ata_security_revision(&u->security), 1);
    put_words(r, 128, ata_security_status(&u->security), 1);
    put_words(r, 100, total, 4);
    if (disk_physical_block(d) > ATA_SECTOR) /* so many logical sectors in a physical one */
        put_words(r, 106, 0x6000u | (uint32_t)__builtin_ctz(disk_physical_block(d) / ATA_SECTOR), 1);
    put_words(r, 169, 1, 1);          /* TRIM */
    put_words(r, 105, 8, 1);          /* sectors of its list */
    put_words(r, 217, d->identity.rotation_rate, 1);
    identify_wwn(d, r);
    ata_checksum(r, 0xa5);
}

static void identify_packet(const struct drive *d, const struct ata_unit *u, uint8_t *r)
{
    put_words(r, 0, 0x85c0, 1); /* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    identify_names(d, "hindcast DVD-ROM", r);
    put_words(r, 49, 0x0b00, 1);
    identify_modes(u, r);
    put_words(r, 80, 0x00f0, 1);
    put_words(r, 82, 0x4218, 1); /* NOP, DEVICE RESET, PACKET, power management */
    put_words(r, 83, 0x4000, 1);
    put_words(r, 85, 0x4218, 1);
    identify_wwn(d, r);
    ata_checksum(r, 0xa5);
}

/* ---- commands ---- */

/* SET FEATURES 03h: PIO (default, or modes 0 to 4), multiword DMA 0 to 2, ultra DMA 0 to 5. How PIO goes is not kept: it
 * leaves the DMA mode as it is. */
static bool set_mode(struct ata_unit *u, uint8_t mode)
{
    static const struct {
        uint8_t kind, most;
    } kinds[] = {{0, 1}, {1, 4}, {4, 2}, {8, 5}};

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (mode >> 3 == kinds[i].kind && (mode & 7u) <= kinds[i].most) {
            if (kinds[i].kind > 1)
                u->mode = mode;
            return true;
        }
    return false;
}

/* A packet device has neither a write cache nor look-ahead (IDENTIFY PACKET DEVICE, word 82). */
static void set_features(const struct drive *d, struct ata_unit *u)
{
    struct ata_task *t = &u->task;
    uint8_t what = t->features[0];

    if (ata_is_packet(d) && what != 0x03 && what != 0x66 && what != 0xcc) {
        ata_abort(u);
        return;
    }
    switch (what) {
    case 0x02: u->cache = 1; break;
    case 0x82: u->cache = 0; break;
    case 0xaa: u->ahead = 1; break;
    case 0x55: u->ahead = 0; break;
    case 0x66: u->revert = 0; break;
    case 0xcc: u->revert = 1; break;
    case 0x03:
        if (set_mode(u, t->count[0]))
            break;
        /* fall through */
    default:
        ata_abort(u);
        return;
    }
    finish(u, 0);
}

static void set_multiple(struct ata_unit *u)
{
    uint8_t n = u->task.count[0];

    if (n > MULTIPLE_MOST || (n & (n - 1u))) {
        u->multiple = 0;
        ata_abort(u);
        return;
    }
    u->multiple = n;
    finish(u, 0);
}

/* ---- host protected area (ATA/ATAPI-6, 6.11) ---- */

static void native_max(struct drive *d, struct ata_unit *u, bool wide)
{
    uint64_t last = d->c.size / ATA_SECTOR - 1;

    put_lba(u, wide, !wide && last > LBA28_MOST ? LBA28_MOST : last);
    u->asked = wide ? ASKED_MAX_EXT : ASKED_MAX;
    finish(u, 0);
}

/* SET MAX ADDRESS (EXT): right after READ NATIVE MAX ADDRESS (EXT), and while the other of them has set none. */
static void set_max(struct drive *d, struct ata_unit *u, uint8_t asked, bool wide)
{
    bool keep = u->task.count[0] & 1u;
    uint64_t all = d->c.size / ATA_SECTOR, lba;

    if (u->security.area_locked || u->security.area_frozen || asked != (wide ? ASKED_MAX_EXT : ASKED_MAX) || (u->most && u->protected != asked)) {
        ata_abort(u);
        return;
    }
    if (!get_lba(u, wide, &lba) || lba >= all || (keep && u->kept)) {
        finish(u, ATA_IDNF);
        return;
    }
    u->most = lba + 1 < all ? lba + 1 : 0;
    u->protected = u->most ? asked : 0;
    if (keep) {
        u->most_kept = u->most;
        u->kept = 1;
    }
    finish(u, 0);
}

/* The reply for the host, by PIO. */
static void send(struct ata_unit *u)
{
    u->work = (struct ata_work){.kind = ATA_REPLY, .sectors = 1, .block = 1};
}

static void set_geometry(struct ata_unit *u)
{
    if (!u->task.count[0]) { /* no such geometry */
        ata_abort(u);
        return;
    }
    u->sectors = u->task.count[0];
    u->heads = (uint8_t)((u->task.device & 15u) + 1u);
    finish(u, 0);
}

/* What the passwords say of the command. */
static void password_command(struct drive *d, struct ata_unit *u, enum security_answer answer)
{
    if (answer == SECURITY_TAKES && !(u->task.command == SECURITY_ERASE_UNIT && d->c.read_only))
        u->work = (struct ata_work){.kind = ATA_TAKE, .sectors = 1, .block = 1};
    else if (answer == SECURITY_OK)
        finish(u, 0);
    else
        ata_abort(u);
}

uint64_t ata_take_bytes(const struct drive *d, const struct ata_unit *u)
{
    return u->task.command == SECURITY_ERASE_UNIT ? d->c.size : ATA_SECTOR;
}

void ata_take(struct drive *d, struct ata_unit *u, const uint8_t *data)
{
    bool good = u->task.command == SET_MAX ? ata_area_take(&u->security, u->task.features[0], data)
                                           : ata_security_take(d, &u->security, u->task.command, data);

    finish(u, good ? 0 : ATA_ABRT);
}

static void smart_command(struct drive *d, struct ata_unit *u, uint8_t *reply)
{
    switch (ata_smart(d, &u->smart, &u->task, reply)) {
    case SMART_REPLY: send(u); break;
    case SMART_OK:    finish(u, 0); break;
    default:          ata_abort(u); break;
    }
}

/* Commands without sectors that a disk has. */
static void simple_command(struct drive *d, struct ata_unit *u, uint8_t command, uint8_t asked, uint8_t *reply)
{
    uint64_t lba;

    if ((command & 0xf0u) == RECALIBRATE) {
        finish(u, 0);
        return;
    }
    switch (command) {
    case SEEK:
        finish(u, get_lba(u, false, &lba) && lba < ata_sectors(d, u) ? 0 : ATA_IDNF);
        break;
    case SET_GEOMETRY:
        set_geometry(u);
        break;
    case SET_MULTIPLE:
        set_multiple(u);
        break;
    case NATIVE_MAX: case NATIVE_MAX_EXT:
        native_max(d, u, command == NATIVE_MAX_EXT);
        break;
    case SET_MAX: case SET_MAX_EXT:
        if (command == SET_MAX && asked != ASKED_MAX && u->task.features[0])
            password_command(d, u, ata_area_command(&u->security, u->task.features[0]));
        else
            set_max(d, u, asked, command == SET_MAX_EXT);
        break;
    case SECURITY_SET_PASSWORD: case SECURITY_UNLOCK: case SECURITY_ERASE_PREPARE: case SECURITY_ERASE_UNIT:
    case SECURITY_FREEZE_LOCK: case SECURITY_DISABLE_PASSWORD:
        password_command(d, u, ata_security_command(&u->security, command));
        break;
    case SMART:
        smart_command(d, u, reply);
        break;
    case FLUSH: case FLUSH_EXT:
        u->work = (struct ata_work){.kind = ATA_FLUSH};
        break;
    case DATA_SET:
        if (!(u->task.features[0] & 1u) || !u->task.count[0] || u->task.count[0] > 8 || u->task.count[1]) {
            ata_abort(u);
            break;
        }
        u->work = (struct ata_work){.kind = ATA_TRIM, .dma = 1, .wide = 1, .sectors = u->task.count[0], .block = 1};
        break;
    case IDENTIFY:
        identify(d, u, reply);
        send(u);
        break;
    default:
        ata_abort(u);
        break;
    }
}

/* Commands of every device. False: it is none of them. */
static bool common_command(struct drive *d, struct ata_unit *u, uint8_t command)
{
    switch (command) {
    case DIAGNOSTIC:
        ata_signature(d, u);
        return true;
    case STANDBY_NOW: case IDLE_NOW: case STANDBY: case IDLE: case SLEEP: case CHECK_POWER:
        power_command(d, u, command);
        return true;
    case SET_FEATURES:
        set_features(d, u);
        return true;
    default:
        return false;
    }
}

static void packet_command(struct drive *d, struct ata_unit *u, uint8_t command, uint8_t *reply)
{
    switch (command) {
    case DEVICE_RESET:
        ata_reset(d, u, false);
        break;
    case IDENTIFY_PACKET:
        identify_packet(d, u, reply);
        send(u);
        break;
    case PACKET:
        u->work = (struct ata_work){.kind = ATA_PACKET, .dma = u->task.features[0] & 1u};
        break;
    case IDENTIFY: case 0x20: /* these abort, and tell by the signature what this is */
        ata_signature(d, u);
        ata_abort(u);
        break;
    default:
        ata_abort(u);
        break;
    }
}

static uint32_t sector_count(const struct ata_task *t, bool wide)
{
    uint32_t n = wide ? (uint32_t)t->count[1] << 8 | t->count[0] : t->count[0];

    return n ? n : wide ? 0x10000 : 0x100;
}

/* A command of commands[]. */
static void sector_command(struct drive *d, struct ata_unit *u, unsigned row)
{
    uint64_t total = ata_sectors(d, u), lba = 0;
    uint32_t n = sector_count(&u->task, commands[row].wide), block = commands[row].block == MANY ? u->multiple : 1;

    if (!block) { /* MULTIPLE without SET MULTIPLE */
        ata_abort(u);
        return;
    }
    u->work = (struct ata_work){.kind = commands[row].kind, .dma = commands[row].dma, .wide = commands[row].wide,
                                .sectors = n, .block = block};
    if (!get_lba(u, commands[row].wide, &lba)) { /* the registers go on telling which that was */
        finish(u, ATA_IDNF);
        return;
    }
    if (lba >= total || n > total - lba) {
        u->work.lba = lba;
        ata_end(d, u, DRIVE_OUT_OF_RANGE, n > total - lba && lba < total ? (uint32_t)(total - lba) : 0);
        return;
    }
    u->work.lba = lba;
    if (u->work.kind == ATA_WRITE && d->c.read_only)
        ata_abort(u);
}

/* Find out what the command is, and begin it. `asked`: ata_unit.asked before it. */
static void dispatch(struct drive *d, struct ata_unit *u, uint8_t command, uint8_t asked, uint8_t *reply)
{
    if (common_command(d, u, command))
        return;
    if (ata_is_packet(d)) {
        packet_command(d, u, command, reply);
        return;
    }
    if (ata_security_refuses(&u->security, command)) {
        ata_abort(u);
        return;
    }
    for (unsigned row = 0; row < ARRAY_LEN(commands); row++)
        if (commands[row].code == command) {
            sector_command(d, u, row);
            return;
        }
    simple_command(d, u, command, asked, reply);
}

void ata_used(const struct drive *d, struct ata_unit *u)
{
    u->power = ATA_ACTIVE;
    u->asked = 0;
    u->used_at = machine_now(d->machine);
}

void ata_begin(struct drive *d, struct ata_unit *u, uint8_t command, uint8_t *reply)
{
    uint8_t asked = u->asked;

    u->task.command = command;
    u->task.error = 0;
    u->work = (struct ata_work){0};
    u->asked = 0;
    if (command != SECURITY_ERASE_UNIT)
        u->security.prepared = 0;
    memset(reply, 0, ATA_SECTOR);
    ata_smart_begin(&u->smart, &u->task);
    if (command != CHECK_POWER) { /* the timer begins again */
        u->power = (uint8_t)power_mode(d, u);
        u->used_at = machine_now(d->machine);
    }
    dispatch(d, u, command, asked, reply);
    if (u->work.kind > ATA_REPLY)
        ata_used(d, u);
}

void ata_trim(struct drive *d, struct ata_unit *u, const uint8_t *list, uint32_t len)
{
    enum drive_status status = DRIVE_OK;

    for (uint32_t at = 0; at + 8 <= len && status == DRIVE_OK; at += 8) {
        uint64_t lba = get_le(list + at, 6), count = get_le16(list + at + 6);

        if (count && (lba > ata_sectors(d, u) || count > ata_sectors(d, u) - lba))
            status = DRIVE_OUT_OF_RANGE;
        else if (count)
            status = drive_discard(d, lba * ATA_SECTOR, count * ATA_SECTOR, NULL);
    }
    if (status == DRIVE_OK)
        ata_end(d, u, DRIVE_OK, 0);
    else
        ata_abort(u);
}

size_t ata_unit_old_bytes(enum ata_unit_age age)
{
    return offsetof(struct ata_unit, security) - (age == ATA_UNIT_OLDEST ? sizeof(struct scsi_unit) - SCSI_UNIT_OLD : 0);
}

size_t ata_unit_of_old(struct ata_unit *u, const uint8_t *old, enum ata_unit_age age)
{
    size_t head = offsetof(struct ata_unit, scsi), tail = offsetof(struct ata_unit, security) - offsetof(struct ata_unit, heads), at = head;

    memset(u, 0, sizeof(*u));
    memcpy(u, old, head);
    if (age == ATA_UNIT_OLDEST) {
        at += scsi_unit_of_old(&u->scsi, old + at);
    } else {
        memcpy(&u->scsi, old + at, sizeof(u->scsi));
        at += sizeof(u->scsi);
    }
    memcpy(&u->heads, old + at, tail);
    return at + tail;
}

bool ata_possible(const struct ata_unit *u)
{
    return u->work.kind < ATA_KINDS && u->work.block <= MULTIPLE_MOST && u->work.sectors <= 0x10000 &&
           u->work.lba <= (uint64_t)1 << 48 && u->multiple <= MULTIPLE_MOST && u->work.dma <= 1 && u->work.wide <= 1 &&
           u->power <= ATA_SLEEP && u->asked <= ASKED_MAX_EXT;
}
