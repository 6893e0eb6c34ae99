/*
 * What the NVMe controller does beside commands: self-tests (NVM Express 1.4, 5.8 and 8.11), Format NVM (5.23), sanitize
 * operations (5.24 and 8.15).
 *
 * A short self-test takes as long as reading SHORT_BYTES, an extended one as reading all. Nothing is read: it fails at the first bad
 * sector of the configuration. All is erased a piece after the other, each of which takes as long as writing it, whether the drive
 * discards or not, and reads as zeros then; bad sectors stay. A reset ends formatting where it is; sanitizing and an extended
 * self-test go on.
 *
 * Overwriting takes each pass's time, and what the last one writes is all that anybody can read: its pattern, or, deallocated, zeros.
 * The medium is as if encrypted by a key of which only the change can be noticed: a cryptographic erase is erasing without the time to write.
 *
 * Not modelled: formats with metadata, conveyed vendor's tests.
 */
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/nvme_internal.h"
#include "vm/machine.h"

#define ALL_NAMESPACES UINT32_MAX
#define SHORT_BYTES    ((uint64_t)64 << 20)
#define ERASE_BYTES    ((uint64_t)4 << 20)
#define MINUTE_NS      UINT64_C(60000000000)

enum { TEST_SHORT = 1, TEST_EXTENDED = 2, TEST_ABORT = 15 };
enum { SANITIZE_EXIT_FAILURE = 1, SANITIZE_BLOCK_ERASE = 2, SANITIZE_OVERWRITE = 3, SANITIZE_CRYPTO_ERASE = 4 };
#define SANITIZE_NDAS (1u << 9) /* blocks are not to be deallocated */
/* SSTAT (5.14.1.16.2); passes that are complete are counted in bits 3 to 7. */
enum { SANITIZED = 1, SANITIZE_IN_PROGRESS = 2, SANITIZE_PASS = 8, SANITIZE_PASSES = 0xf8, SANITIZED_ALL = 0x100 };

/* ---- self-tests ---- */

static vtime_t test_duration(const struct nvme *n, unsigned code)
{
    uint64_t bytes = n->drive->c.size;
    vtime_t t = drive_duration(n->drive, code == TEST_SHORT && bytes > SHORT_BYTES ? SHORT_BYTES : bytes);

    return t < 65535 * MINUTE_NS ? t : 65535 * MINUTE_NS;
}

uint16_t nvme_test_minutes(const struct nvme *n)
{
    return (uint16_t)((test_duration(n, TEST_EXTENDED) + MINUTE_NS - 1) / MINUTE_NS);
}

/* The first bad sector of those that the test looks at. */
static bool first_bad(const struct nvme *n, uint64_t *lba)
{
    const struct drive *d = n->drive;
    uint64_t end = drive_sectors(d);
    bool found = false;

    if (n->st->testing == TEST_SHORT && end > SHORT_BYTES / d->c.sector_size)
        end = SHORT_BYTES / d->c.sector_size;
    for (unsigned i = 0; n->st->test_nsid && i < d->c.nfaults; i++)
        if (d->c.faults[i].count && d->c.faults[i].first < end && (!found || d->c.faults[i].first < *lba)) {
            *lba = d->c.faults[i].first;
            found = true;
        }
    if (found) /* of the namespace */
        *lba = *lba * d->c.sector_size / nvme_block_bytes(n);
    return found;
}

static void end_test(struct nvme *n, enum nvme_test_result result)
{
    struct nvme_state *s = n->st;
    struct nvme_test *t;

    if (s->test_ends == VTIME_NEVER)
        return;
    s->tests++;
    t = &s->test[s->tests % TESTS_KEPT];
    *t = (struct nvme_test){.at = machine_now(n->dev->machine), .nsid = s->test_nsid, .code = s->testing, .result = (uint8_t)result};
    if (result == TEST_PASSED && first_bad(n, &t->lba))
        t->result = TEST_SEGMENT_FAILED;
    s->test_ends = VTIME_NEVER;
    s->test_nsid = s->testing = 0;
}

uint16_t nvme_self_test(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;
    unsigned code = c->dw10 & 15u;

    if (c->nsid > 1 && c->nsid != ALL_NAMESPACES)
        return BAD_NAMESPACE | DNR;
    if (code == TEST_ABORT) {
        end_test(n, TEST_ABORTED);
        return OK;
    }
    if (code != TEST_SHORT && code != TEST_EXTENDED)
        return BAD_FIELD | DNR;
    if (nvme_erasing_status(s) != OK)
        return nvme_erasing_status(s);
    if (s->test_ends != VTIME_NEVER)
        return TESTING | DNR;
    s->testing = (uint8_t)code;
    s->test_nsid = c->nsid;
    s->test_began = machine_now(n->dev->machine);
    s->test_ends = s->test_began + test_duration(n, code);
    return OK;
}

/* A result in the log (5.14.1.6): segment 1 is the controller, 2 the medium. */
static void put_result(const struct nvme_test *t, uint8_t *r)
{
    bool failed = t->result == TEST_SEGMENT_FAILED;

    r[0] = (uint8_t)(t->code << 4 | t->result);
    r[1] = failed ? 2 : 0;
    r[2] = (uint8_t)(1u | (failed ? 0x0eu : 0)); /* which of the following mean something: namespace; block, status */
    put_le64(r + 4, t->at / HOUR_NS);
    put_le32(r + 12, t->nsid);
    put_le64(r + 16, t->lba);
    r[24] = failed ? READ_ERROR >> 8 : 0;
    r[25] = failed ? READ_ERROR & 0xffu : 0;
}

void nvme_test_log(const struct nvme *n, uint8_t *r)
{
    const struct nvme_state *s = n->st;
    vtime_t now = machine_now(n->dev->machine);

    if (s->test_ends != VTIME_NEVER) {
        vtime_t whole = s->test_ends - s->test_began, gone = now < s->test_ends ? now - s->test_began : whole - 1;

        r[0] = s->testing;
        r[1] = (uint8_t)(whole > 100 ? gone / (whole / 100) : 0);
        r[1] = r[1] > 99 ? 99 : r[1];
    }
    for (uint64_t i = 0; i < TESTS_KEPT; i++) { /* the newest first */
        uint8_t *entry = r + 4 + 28 * i;

        if (i < s->tests)
            put_result(&s->test[(s->tests - i) % TESTS_KEPT], entry);
        else
            entry[0] = TEST_UNUSED;
    }
}

/* ---- erasing ---- */

uint16_t nvme_erasing_status(const struct nvme_state *s)
{
    switch (s->erasing) {
    case ERASING_FORMAT:   return FORMATTING;
    case ERASING_SANITIZE: return SANITIZING;
    default:               return OK;
    }
}

static uint64_t left(const struct nvme *n)
{
    uint64_t size = n->drive->c.size;

    return n->st->erased < size ? size - n->st->erased : 0;
}

uint8_t nvme_format_left(const struct nvme *n)
{
    uint64_t size = n->drive->c.size;

    return (uint8_t)(n->st->erasing == ERASING_FORMAT && size ? (left(n) * 100 + size - 1) / size : 0);
}

static unsigned sanitize_action(const struct nvme_state *s)
{
    return s->erasing == ERASING_SANITIZE ? s->sanitize_dw10 & 7u : 0;
}

/* Passes of an overwriting: 1 to 16. */
static unsigned passes_asked(const struct nvme_state *s)
{
    unsigned passes = s->sanitize_dw10 >> 4 & 15u;

    return passes ? passes : 16;
}

/* Those of them that are to come after this one. */
static unsigned passes_left(const struct nvme_state *s)
{
    unsigned done = (s->sanitize_status & SANITIZE_PASSES) / SANITIZE_PASS + 1;

    return sanitize_action(s) == SANITIZE_OVERWRITE && done < passes_asked(s) ? passes_asked(s) - done : 0;
}

/* The next piece will have been erased; or the end is there. */
static void erase_later(struct nvme *n)
{
    uint64_t len = left(n) < ERASE_BYTES ? left(n) : ERASE_BYTES;

    if (sanitize_action(n->st) == SANITIZE_CRYPTO_ERASE)
        len = 0;
    n->st->erase_at = machine_now(n->dev->machine) + drive_duration(n->drive, len);
}

static void erase(struct nvme *n, enum nvme_erasing why)
{
    n->st->erasing = (uint8_t)why;
    n->st->erased = 0;
    end_test(n, why == ERASING_FORMAT ? TEST_FORMATTED : TEST_SANITIZED);
    erase_later(n);
}

/* Fill with the pattern, of which inversions between passes leave nothing in the last. */
static enum drive_status overwrite(struct nvme *n, uint64_t at, uint64_t len, uint64_t *done)
{
    enum drive_status status = DRIVE_OK;
    uint8_t pattern[4096];

    for (unsigned i = 0; i < sizeof(pattern); i += 4)
        put_le32(pattern + i, n->st->overwritten_with);
    for (*done = 0; status == DRIVE_OK && *done < len;) {
        uint64_t piece = len - *done < sizeof(pattern) ? len - *done : sizeof(pattern), written;

        status = drive_write(n->drive, at + *done, pattern, piece, &written);
        *done += written;
    }
    return status;
}

static enum drive_status erase_bytes(struct nvme *n, uint64_t at, uint64_t len, uint64_t *done)
{
    bool keeps = sanitize_action(n->st) == SANITIZE_OVERWRITE && (n->st->sanitize_dw10 & SANITIZE_NDAS);

    return keeps ? overwrite(n, at, len, done) : drive_write_zeroes(n->drive, at, len, done);
}

/* Bad sectors are passed over. */
static void erase_piece(struct nvme *n, uint64_t len)
{
    uint64_t sector = n->drive->c.sector_size, at = n->st->erased, end = at + len, done;

    while (at < end && !passes_left(n->st)) {
        enum drive_status status = erase_bytes(n, at, end - at, &done);

        if (status != DRIVE_BAD_SECTOR)
            break;
        at += done / sector * sector + sector;
    }
    nvme_written(n, n->st->erased / nvme_block_bytes(n), len / nvme_block_bytes(n));
    n->st->erased = end;
}

/* A pass has come to the end. False: it was the last. */
static bool next_pass(struct nvme *n)
{
    struct nvme_state *s = n->st;
    bool more = passes_left(s);

    if (sanitize_action(s) == SANITIZE_OVERWRITE)
        s->sanitize_status = (uint16_t)(s->sanitize_status + SANITIZE_PASS);
    if (more)
        s->erased = 0;
    return more;
}

static void end_format(struct nvme *n)
{
    struct nvme_state *s = n->st;

    if (!nvme_room(&s->cq[0])) /* nvme_background_room() will come back to it */
        return;
    s->erasing = ERASING_NOTHING;
    nvme_complete(n, 0, s->format_id, OK, 0);
}

static void end_erasing(struct nvme *n)
{
    struct nvme_state *s = n->st;

    s->erase_at = VTIME_NEVER;
    if (s->erasing == ERASING_FORMAT) {
        end_format(n);
        return;
    }
    s->erasing = ERASING_NOTHING;
    s->sanitize_status = (uint16_t)((s->sanitize_status & SANITIZE_PASSES) | SANITIZED | SANITIZED_ALL);
    nvme_notice(n, EVENT_SANITIZED);
}

static void erase_on(struct nvme *n)
{
    uint64_t len = left(n) < ERASE_BYTES ? left(n) : ERASE_BYTES;

    if (len)
        erase_piece(n, len);
    if (left(n) || next_pass(n))
        erase_later(n);
    else
        end_erasing(n);
}

uint16_t nvme_format(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;

    if (c->nsid != 1 && c->nsid != ALL_NAMESPACES)
        return BAD_NAMESPACE | DNR;
    if (nvme_erasing_status(s) != OK)
        return nvme_erasing_status(s);
    if ((c->dw10 & 15u) >= nvme_formats(n) || (c->dw10 & 0xe0u)) /* there is no protection information */
        return BAD_FORMAT | DNR;
    if ((c->dw10 >> 9 & 7u) > 2)
        return BAD_FIELD | DNR;
    if (n->drive->c.read_only)
        return READ_ONLY | DNR;
    s->format_id = c->id;
    nvme_written(n, 0, nvme_block_count(n)); /* marks are of blocks as they were */
    s->format = c->dw10 & 15u;
    erase(n, ERASING_FORMAT);
    return NO_COMPLETION;
}

uint16_t nvme_sanitize(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;
    unsigned action = c->dw10 & 7u;

    if (nvme_erasing_status(s) != OK)
        return nvme_erasing_status(s);
    if (action == SANITIZE_EXIT_FAILURE) /* none has failed */
        return OK;
    if (action < SANITIZE_BLOCK_ERASE || action > SANITIZE_CRYPTO_ERASE)
        return BAD_FIELD | DNR;
    if (n->drive->c.read_only)
        return READ_ONLY | DNR;
    s->sanitize_dw10 = c->dw10;
    if (action == SANITIZE_OVERWRITE)
        s->overwritten_with = c->dw11;
    s->sanitize_status = SANITIZE_IN_PROGRESS;
    erase(n, ERASING_SANITIZE);
    return OK;
}

static uint32_t at_most_32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* Of 65536 parts, those that are done (SPROG). */
static uint32_t sanitize_progress(const struct nvme *n)
{
    const struct nvme_state *s = n->st;
    unsigned passes = sanitize_action(s) == SANITIZE_OVERWRITE ? passes_asked(s) : 1, done = passes - 1 - passes_left(s);
    uint64_t part = s->erased / ((n->drive->c.size >> 16) + 1);

    return (uint32_t)((done * UINT64_C(0x10000) + (part < 0xffff ? part : 0xffff)) / passes);
}

void nvme_sanitize_log(const struct nvme *n, uint8_t *r)
{
    const struct nvme_state *s = n->st;
    uint64_t seconds = drive_duration(n->drive, n->drive->c.size) / 1000000000u + 1, pieces = n->drive->c.size / ERASE_BYTES + 1;
    uint64_t crypto = pieces * drive_duration(n->drive, 0) / 1000000000u + 1;

    put_le16(r, s->erasing == ERASING_SANITIZE ? sanitize_progress(n) : 0xffff);
    put_le16(r + 2, s->sanitize_status);
    put_le32(r + 4, s->sanitize_dw10);
    for (unsigned at = 8; at < 32; at += 12) { /* seconds that each takes; the same if nothing is deallocated */
        put_le32(r + at, at_most_32(16 * seconds));
        put_le32(r + at + 4, at_most_32(seconds));
        put_le32(r + at + 8, at_most_32(crypto));
    }
}

/* ---- time and resets ---- */

void nvme_background_reset(struct nvme *n)
{
    struct nvme_state *s = n->st;

    if (s->testing == TEST_SHORT)
        end_test(n, TEST_RESET);
    if (!s->testing)
        s->test_ends = VTIME_NEVER;
    if (s->erasing == ERASING_SANITIZE)
        return;
    s->erasing = ERASING_NOTHING;
    s->erase_at = VTIME_NEVER;
}

vtime_t nvme_background_deadline(const struct nvme_state *s)
{
    return s->test_ends < s->erase_at ? s->test_ends : s->erase_at;
}

void nvme_background_expire(struct nvme *n, vtime_t now)
{
    if (n->st->test_ends <= now)
        end_test(n, TEST_PASSED);
    if (n->st->erase_at > now)
        return;
    erase_on(n);
    nvme_tell_events(n);
}

void nvme_background_room(struct nvme *n)
{
    if (n->st->erasing == ERASING_FORMAT && n->st->erase_at == VTIME_NEVER)
        end_format(n);
}

bool nvme_background_possible(const struct nvme *n)
{
    const struct nvme_state *s = n->st;
    const struct machine *m = n->dev->machine;

    return s->format < nvme_formats(n) && machine_deadline_possible(m, s->test_ends) && machine_deadline_possible(m, s->erase_at) &&
           s->erasing <= ERASING_SANITIZE && s->erased <= DRIVE_MAX_BYTES && s->erased % n->drive->c.sector_size == 0 &&
           (s->test_ends == VTIME_NEVER ? !s->testing : s->testing == TEST_SHORT || s->testing == TEST_EXTENDED) &&
           s->test_began <= s->test_ends && (s->erase_at == VTIME_NEVER || s->erasing) &&
           (s->erasing != ERASING_SANITIZE || s->erase_at != VTIME_NEVER);
}
