/*
 * SMART of an ATA disk (ATA/ATAPI-6, 6.14 and 8.41; attributes' numbers are those that vendors have in common). What it tells
 * is a function of the state: errors that the guest met, the time that the machine runs.
 *
 * Thresholds are those of a healthy disk: bad sectors (--drive fail=) are pending ones once the guest has met one, and an
 * attribute of that kind foretells no failure. A self-test is over at once; one that reads the medium fails at the first bad
 * sector. The log has the last errors, each with its command, but not the commands before it; and the last self-tests.
 *
 * Not modelled, and not offered: logs that the host writes, comprehensive and selective logs, conveyance tests, captive
 * tests' time.
 *
 * To add an attribute: its line in attributes[], its value in raw_value().
 */
#include "vm/dev/ata_smart.h"

#include <string.h>

#include "base/bytes.h"
#include "vm/dev/ata.h"
#include "vm/machine.h"

enum {
    READ_DATA = 0xd0, READ_THRESHOLDS = 0xd1, AUTOSAVE = 0xd2, SAVE = 0xd3, TEST = 0xd4, READ_LOG = 0xd5,
    ENABLE = 0xd8, DISABLE = 0xd9, RETURN_STATUS = 0xda,
};

enum { LOG_DIRECTORY = 0x00, LOG_ERRORS = 0x01, LOG_TESTS = 0x06 };

enum { ERROR_RATE = 1, SPIN_UP = 3, START_STOP = 4, REALLOCATED = 5, POWER_ON_HOURS = 9, POWER_CYCLES = 12, TEMPERATURE = 194,
       PENDING = 197, UNCORRECTABLE = 198 };

#define TABLE_AT     2u
#define ROW_BYTES    12u
#define PREFAIL      0x0003u /* foretells a failure; collected on-line */
#define OLD_AGE      0x0002u
#define HOUR_NS      UINT64_C(3600000000000)
#define MOST_TESTS   21u     /* of the self-test log */
#define TEST_BYTES   24u
#define ERROR_BYTES  90u
#define COMMAND_BYTES 12u

static const struct {
    uint8_t id;
    uint16_t flags;
    uint8_t value, threshold;
} attributes[] = {
    {ERROR_RATE, PREFAIL, 100, 6},     {SPIN_UP, PREFAIL, 100, 0},     {START_STOP, OLD_AGE, 100, 20},
    {REALLOCATED, PREFAIL, 100, 36},   {POWER_ON_HOURS, OLD_AGE, 100, 0}, {POWER_CYCLES, OLD_AGE, 100, 0},
    {TEMPERATURE, OLD_AGE, 70, 0},     {PENDING, OLD_AGE, 100, 0},     {UNCORRECTABLE, OLD_AGE, 100, 0},
};

static uint64_t hours(const struct drive *d)
{
    return machine_now(d->machine) / HOUR_NS;
}

static uint64_t raw_value(const struct drive *d, const struct ata_smart *s, uint8_t id)
{
    uint64_t bad = 0;

    for (unsigned i = 0; i < d->c.nfaults; i++)
        bad += d->c.faults[i].count;
    switch (id) {
    case ERROR_RATE:     return s->failures;
    case START_STOP:
    case POWER_CYCLES:   return 1;
    case POWER_ON_HOURS: return hours(d);
    case TEMPERATURE:    return 30;
    case PENDING:
    case UNCORRECTABLE:  return s->failures ? bad : 0;
    default:             return 0;
    }
}

/* Byte 511 makes the sum 0. */
static void close_page(uint8_t *r)
{
    ata_checksum(r, r[510]);
}

static void read_data(const struct drive *d, const struct ata_smart *s, uint8_t *r)
{
    put_le16(r, 0x0010);
    for (unsigned i = 0; i < ARRAY_LEN(attributes); i++) {
        uint8_t *row = r + TABLE_AT + ROW_BYTES * i;

        row[0] = attributes[i].id;
        put_le16(row + 1, attributes[i].flags);
        row[3] = row[4] = attributes[i].value;
        put_le(row + 5, raw_value(d, s, attributes[i].id), 6);
    }
    r[362] = s->collected ? 0x02 : 0x00;
    if (s->tests)
        r[363] = (uint8_t)(s->test[(s->tests - 1) % SMART_KEPT].status << 4);
    put_le16(r + 364, 1);      /* seconds of off-line data collection */
    r[367] = 0x11;             /* EXECUTE OFF-LINE IMMEDIATE, self-tests */
    put_le16(r + 368, 0x0003); /* attributes are saved before power goes, and by themselves */
    r[370] = 0x01;             /* errors are logged */
    r[372] = r[373] = 1;       /* minutes of a short and of an extended self-test */
    close_page(r);
}

static void read_thresholds(uint8_t *r)
{
    put_le16(r, 0x0010);
    for (unsigned i = 0; i < ARRAY_LEN(attributes); i++) {
        r[TABLE_AT + ROW_BYTES * i] = attributes[i].id;
        r[TABLE_AT + ROW_BYTES * i + 1] = attributes[i].threshold;
    }
    close_page(r);
}

/* ---- logs ---- */

/* In the directory, which has no checksum: sectors of log n are in word n. */
static void log_directory(uint8_t *r)
{
    put_le16(r, 1); /* multi-sector logs */
    r[2 * LOG_ERRORS] = 1;
    r[2 * LOG_TESTS] = 1;
}

/* The last errors, which are number `failures` - 1 and those before it. */
static void log_errors(const struct ata_smart *s, uint8_t *r)
{
    uint32_t kept = s->failures < SMART_KEPT ? s->failures : SMART_KEPT;

    r[0] = 1;
    r[1] = (uint8_t)(s->failures ? (s->failures - 1) % SMART_KEPT + 1 : 0);
    for (uint32_t n = 0; n < kept; n++) {
        const struct smart_failure *f = &s->failure[n];
        uint8_t *command = r + 2 + ERROR_BYTES * n + 4 * COMMAND_BYTES, *error = command + COMMAND_BYTES;
        const uint8_t regs[] = {f->error, f->count, f->low, f->mid, f->high, f->device, f->status};

        memcpy(command + 1, f->command.r, sizeof(f->command.r));
        put_le32(command + 8, (uint32_t)(f->at / 1000000)); /* milliseconds since power came */
        memcpy(error + 1, regs, sizeof(regs));
        error[27] = 0x03; /* active or idle */
        put_le16(error + 28, (uint16_t)(f->at / HOUR_NS));
    }
    put_le16(r + 452, (uint16_t)(s->failures > 65535 ? 65535 : s->failures));
    close_page(r);
}

static void log_tests(const struct ata_smart *s, uint8_t *r)
{
    uint32_t kept = s->tests < SMART_KEPT ? s->tests : SMART_KEPT;

    put_le16(r, 1);
    for (uint32_t n = s->tests - kept; n < s->tests; n++) {
        const struct smart_test *t = &s->test[n % SMART_KEPT];
        uint8_t *row = r + 2 + TEST_BYTES * (n % MOST_TESTS);

        row[0] = t->number;
        row[1] = (uint8_t)(t->status << 4);
        put_le16(row + 2, (uint16_t)(t->at / HOUR_NS));
        put_le32(row + 5, (uint32_t)(t->status ? t->lba : 0xffffffffu));
    }
    r[508] = (uint8_t)(s->tests ? (s->tests - 1) % MOST_TESTS + 1 : 0);
    close_page(r);
}

static enum smart_answer read_log(const struct ata_smart *s, const struct ata_task *t, uint8_t *r)
{
    if (t->count[0] != 1)
        return SMART_ABORTED;
    switch (t->low[0]) {
    case LOG_DIRECTORY: log_directory(r); return SMART_REPLY;
    case LOG_ERRORS:    log_errors(s, r); return SMART_REPLY;
    case LOG_TESTS:     log_tests(s, r); return SMART_REPLY;
    default:            return SMART_ABORTED;
    }
}

/* ---- tests ---- */

static bool first_bad(const struct drive *d, uint64_t *sector)
{
    bool found = false;

    for (unsigned i = 0; i < d->c.nfaults; i++)
        if (!found || d->c.faults[i].first < *sector) {
            *sector = d->c.faults[i].first;
            found = true;
        }
    return found;
}

/* EXECUTE OFF-LINE IMMEDIATE (8.41.4). A captive test that fails tells so by the registers. */
static enum smart_answer test(const struct drive *d, struct ata_smart *s, struct ata_task *t)
{
    struct smart_test *made;
    uint64_t sector = 0;

    switch (t->low[0]) {
    case 0:    /* off-line data collection */
        s->collected = 1;
        return SMART_OK;
    case 0x7f: /* abort: none is in progress */
        return SMART_OK;
    case 1: case 2: case 0x81: case 0x82:
        break;
    default:
        return SMART_ABORTED;
    }
    made = &s->test[s->tests++ % SMART_KEPT];
    *made = (struct smart_test){.at = machine_now(d->machine), .number = t->low[0]};
    if (first_bad(d, &sector)) {
        made->status = 7;
        made->lba = sector;
    }
    if (!(t->low[0] & 0x80u))
        return SMART_OK;
    t->mid[0] = made->status ? 0xf4 : 0x4f;
    t->high[0] = made->status ? 0x2c : 0xc2;
    return made->status ? SMART_ABORTED : SMART_OK;
}

/* ---- the command ---- */

static enum smart_answer set_switch(const struct ata_task *t, uint8_t on, uint8_t *off)
{
    if (t->count[0] != on && t->count[0] != 0)
        return SMART_ABORTED;
    *off = !t->count[0];
    return SMART_OK;
}

enum smart_answer ata_smart(const struct drive *d, struct ata_smart *s, struct ata_task *t, uint8_t *reply)
{
    if (t->mid[0] != 0x4f || t->high[0] != 0xc2 || (s->disabled && t->features[0] != ENABLE))
        return SMART_ABORTED;
    switch (t->features[0]) {
    case READ_DATA:
        read_data(d, s, reply);
        return SMART_REPLY;
    case READ_THRESHOLDS:
        read_thresholds(reply);
        return SMART_REPLY;
    case AUTOSAVE:
        return set_switch(t, 0xf1, &s->no_autosave);
    case SAVE:
    case RETURN_STATUS: /* no threshold was passed: the registers stay (8.41.9) */
        return SMART_OK;
    case TEST:
        return test(d, s, t);
    case READ_LOG:
        return read_log(s, t, reply);
    case ENABLE:
    case DISABLE:
        s->disabled = t->features[0] == DISABLE;
        return SMART_OK;
    default:
        return SMART_ABORTED;
    }
}

void ata_smart_begin(struct ata_smart *s, const struct ata_task *t)
{
    s->command = (struct smart_command){
        {t->features[0], t->count[0], t->low[0], t->mid[0], t->high[0], t->device, t->command}, 0};
}

void ata_smart_fail(const struct drive *d, struct ata_smart *s, const struct ata_task *t)
{
    if (s->disabled)
        return;
    s->failure[s->failures % SMART_KEPT] = (struct smart_failure){
        .at = machine_now(d->machine), .command = s->command, .error = t->error, .status = t->status, .count = t->count[0],
        .low = t->low[0], .mid = t->mid[0], .high = t->high[0], .device = t->device,
    };
    if (s->failures < UINT32_MAX)
        s->failures++;
}
