/*
 * Admin commands of the NVMe controller (NVM Express 1.4, 5): queues, Identify, logs, features. Self-tests, formatting and
 * sanitizing are in nvme_background.c.
 *
 * A feature is saved for the resets of this run (there is no other power-on). Namespaces do not come, go or change, so the log of
 * those that did is empty.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/nvme_internal.h"
#include "vm/machine.h"

#define RETAIN_EVENT 0x8000u

enum { SELECT_CURRENT, SELECT_DEFAULT, SELECT_SAVED, SELECT_CAPABILITIES };

/* A reply of `have` bytes, of which the command wants `want`. */
static uint16_t reply(struct nvme *n, const struct command *c, void *data, size_t have, uint64_t want)
{
    return nvme_move(n, c, want, 0, data, have < want ? have : (size_t)want, true);
}

/* ---- identification ---- */

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    memcpy(at, &value, size);
}

static void put_text(uint8_t *at, size_t width, const char *text)
{
    size_t len = strnlen(text, width);

    memset(at, ' ', width);
    memcpy(at, text, len);
}

static void identify_controller(const struct nvme *n, uint8_t *r)
{
    put(r, 0x1b36, 2);
    put(r + 2, 0x1af4, 2);
    put_text(r + 4, 20, n->drive->serial);
    put_text(r + 24, 40, "hindcast NVMe");
    put_text(r + 64, 8, "1.0");
    r[72] = 6;           /* arbitration burst */
    r[77] = MDTS;
    put(r + 80, 0x00010400, 4);
    r[111] = 1;          /* an I/O controller */
    put(r + 256, 0x12, 2); /* Format NVM, Device Self-test */
    r[258] = 3;          /* aborts, less one */
    r[259] = EVENTS_MOST - 1;
    r[260] = 3;          /* one firmware slot, read-only */
    r[261] = 7;          /* logs: health of the namespace too, effects of commands, any part of them */
    r[262] = ERRORS_MOST - 1;
    put(r + 266, TOO_WARM, 2); /* temperatures, kelvin: warning and critical */
    put(r + 268, 373, 2);
    put(r + 316, nvme_test_minutes(n), 2);
    r[318] = 1;          /* one self-test at a time */
    put(r + 328, 7, 4);  /* sanitizing: cryptographic erase, block erase, overwriting; blocks stay allocated if that is asked for */
    r[512] = 0x66;       /* entries of 64 and 16 bytes */
    r[513] = 0x44;
    put(r + 516, 1, 4);  /* namespaces */
    put(r + 520, 0x1df, 2); /* all but reservations */
    r[524] = 4;          /* a namespace is formatted, erased by itself, also cryptographically */
    r[525] = 7;          /* a volatile write cache, of which all namespaces are flushed at once too */
    put(r + 534, 1, 2);  /* copies of format 0 */
    snprintf((char *)r + 768, 256, "nqn.2026-01.org.hindcast:%s", n->drive->serial);
    put(r + 2048, 2500, 2); /* the power state: at most 25 W */
}

/* The namespace's EUI-64: made of the serial number, so no two disks share one; locally administered. */
static void put_eui64(const struct nvme *n, uint8_t *at)
{
    put(at, hash_bytes(0, n->drive->serial, strlen(n->drive->serial)), 8);
    at[0] = (uint8_t)((at[0] & 0xfcu) | 2u);
}

static void identify_namespace(const struct nvme *n, uint8_t *r)
{
    const struct drive *d = n->drive;
    uint32_t best = disk_physical_block(d);

    for (unsigned at = 0; at < 24; at += 8)
        put(r + at, nvme_block_count(n), 8);
    r[24] = d->c.discard == DRIVE_DISCARD_ZERO ? 1 : 0; /* thin provisioning */
    if (d->identity.physical_block) { /* what writes and deallocations are best aligned to, and multiples of; less one */
        r[24] |= 0x10;
        for (unsigned at = 64; at < 74; at += 2)
            put(r + at, best > nvme_block_bytes(n) ? best / nvme_block_bytes(n) - 1 : 0, 2);
    }
    r[32] = 0x80 | nvme_format_left(n);
    r[33] = d->c.discard == DRIVE_DISCARD_ZERO ? 9 : 0; /* deallocated blocks read as zeros; Write Zeroes deallocates */
    put(r + 74, COPY_RANGE, 2);
    put(r + 76, COPY_BLOCKS, 4);
    r[80] = COPY_RANGES - 1;
    r[99] = d->c.read_only ? 1 : 0;
    put_eui64(n, r + 120);
    r[25] = (uint8_t)(nvme_formats(n) - 1);
    r[26] = n->st->format;
    r[130] = (uint8_t)__builtin_ctz(d->c.sector_size);
    if (nvme_formats(n) > 1)
        r[134] = (uint8_t)__builtin_ctz(NVME_LARGE_BLOCK);
}

/* Controllers from an identifier on: there is one, 0. */
static void list_controllers(uint32_t from, uint8_t *r)
{
    put(r, from == 0, 2);
}

static uint16_t identify(struct nvme *n, const struct command *c)
{
    uint8_t r[4096] = {0};

    switch (c->dw10 & 0xffu) {
    case 0x00: case 0x11: /* active, allocated */
        if (c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        identify_namespace(n, r);
        break;
    case 0x01:
        identify_controller(n, r);
        break;
    case 0x02: case 0x10:
        if (c->nsid >= 0xfffffffeu)
            return BAD_NAMESPACE | DNR;
        if (c->nsid == 0)
            put(r, 1, 4);
        break;
    case 0x03:
        if (c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        r[0] = 1; /* an EUI-64 */
        r[1] = 8;
        put_eui64(n, r + 4);
        break;
    case 0x12: case 0x13: /* those of the namespace, all */
        if ((c->dw10 & 0xffu) == 0x12 && c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        list_controllers(c->dw10 >> 16, r);
        break;
    default:
        return BAD_FIELD | DNR;
    }
    return reply(n, c, r, sizeof(r), sizeof(r));
}

/* ---- logs ---- */

static void error_log(const struct nvme_state *s, uint8_t *r)
{
    for (uint64_t k = s->errors, i = 0; k && i < ERRORS_MOST; k--, i++, r += 64) { /* the newest first */
        const struct nvme_error *e = &s->error[k % ERRORS_MOST];

        put(r, e->count, 8);
        put(r + 8, e->queue, 2);
        put(r + 10, e->id, 2);
        put(r + 12, (uint64_t)e->status << 1, 2);
        put(r + 14, 0xffff, 2); /* of no particular parameter */
        put(r + 16, e->lba, 8);
        put(r + 24, e->nsid, 4);
    }
}

static bool temperature_is_bad(const struct nvme_state *s)
{
    return TEMPERATURE >= s->now.warm || TEMPERATURE <= s->now.cold;
}

/* Health (5.14.1.2): data in thousands of 512 bytes. */
static void health_log(const struct nvme *n, uint8_t *r)
{
    const struct nvme_state *s = n->st;

    r[0] = temperature_is_bad(s) ? 2 : 0;
    put(r + 1, TEMPERATURE, 2);
    r[3] = 100; /* % of the spare blocks are left */
    r[4] = 10;
    put(r + 32, (s->bytes_read + 511999) / 512000, 8);
    put(r + 48, (s->bytes_written + 511999) / 512000, 8);
    put(r + 64, s->reads, 8);
    put(r + 80, s->writes, 8);
    put(r + 112, 1, 8); /* power cycles */
    put(r + 128, machine_now(n->dev->machine) / HOUR_NS, 8);
    put(r + 160, s->media_errors, 8);
    put(r + 176, s->errors, 8);
}

/* What commands do (5.14.1.5): they are there (bit 0), change contents (1), nothing else may be done with the namespace (16). */
static void effects_log(uint8_t *r)
{
    static const uint8_t of_admin[] = {A_DELETE_SQ, A_CREATE_SQ, A_LOG, A_DELETE_CQ, A_CREATE_CQ, A_IDENTIFY, A_ABORT, A_SET_FEATURES,
                                       A_GET_FEATURES, A_EVENT, A_SELF_TEST};
    static const uint8_t of_blocks[] = {N_FLUSH, N_READ, N_COMPARE, N_VERIFY};
    static const uint8_t of_writes[] = {N_WRITE, N_UNCORRECTABLE, N_ZEROES, N_DATASET, N_COPY};

    for (unsigned i = 0; i < ARRAY_LEN(of_admin); i++)
        put(r + 4u * of_admin[i], 1, 4);
    put(r + 4 * A_FORMAT, 0x10003, 4);
    put(r + 4 * A_SANITIZE, 0x10003, 4);
    for (unsigned i = 0; i < ARRAY_LEN(of_blocks); i++)
        put(r + 1024 + 4u * of_blocks[i], 1, 4);
    for (unsigned i = 0; i < ARRAY_LEN(of_writes); i++)
        put(r + 1024 + 4u * of_writes[i], 3, 4);
}

/* The bytes that a log has, which are in `r` (4 KiB of zeros before). 0: there is none such. */
static uint64_t make_log(const struct nvme *n, unsigned log, uint8_t *r)
{
    switch (log) {
    case L_ERRORS:     error_log(n->st, r); return 64 * ERRORS_MOST;
    case L_HEALTH:     health_log(n, r); return 512;
    case L_FIRMWARE:   r[0] = 1; put_text(r + 8, 8, "1.0"); return 512;
    case L_NAMESPACES: return 4096;
    case L_EFFECTS:    effects_log(r); return 4096;
    case L_TESTS:      nvme_test_log(n, r); return 564;
    case L_SANITIZE:   nvme_sanitize_log(n, r); return 512;
    default:           return 0;
    }
}

static uint16_t log_page(struct nvme *n, const struct command *c)
{
    uint8_t r[4096] = {0};
    unsigned log = c->dw10 & 0xffu;
    uint64_t want = ((c->dw10 >> 16 | (uint64_t)(c->dw11 & 0xffffu) << 16) + 1) * 4;
    uint64_t from = c->dw12 | (uint64_t)c->dw13 << 32, have = make_log(n, log, r);
    uint16_t status;

    if (!have)
        return BAD_LOG | DNR;
    if (c->nsid != 0 && c->nsid != 0xffffffffu && (c->nsid != 1 || log != L_HEALTH))
        return (c->nsid == 1 ? BAD_FIELD : BAD_NAMESPACE) | DNR;
    if ((from & 3u) || from > have || want > (uint64_t)PAGE_SIZE << MDTS)
        return BAD_FIELD | DNR;
    status = reply(n, c, r + from, (size_t)(have - from), want);
    if (status == OK && !(c->dw10 & RETAIN_EVENT))
        nvme_log_was_read(n, log);
    return status;
}

/* ---- queues ---- */

static uint16_t create_cq(struct nvme *n, const struct command *c)
{
    uint32_t id = c->dw10 & 0xffffu, size = (c->dw10 >> 16) + 1, vector = c->dw11 >> 16;

    if (!id || id >= QUEUES || n->st->cq[id].size)
        return BAD_QID | DNR;
    if (size < 2 || size > QUEUE_MOST || (n->st->cc >> 20 & 15u) != 4) /* nor without the size of entries */
        return BAD_QUEUE_SIZE | DNR;
    if (vector >= QUEUES || (vector && !pci_msix_enabled(&n->pci)))
        return BAD_VECTOR | DNR;
    if (!(c->dw11 & 1u))
        return BAD_FIELD | DNR;
    if (c->prp1 & (nvme_page_bytes(n) - 1))
        return BAD_PRP | DNR;
    n->st->created = 1;
    n->st->cq[id] = (struct nvme_cq){.at = c->prp1, .size = (uint16_t)size, .vector = (uint16_t)vector, .phase = 1,
                                     .interrupts = c->dw11 >> 1 & 1u};
    return OK;
}

static uint16_t create_sq(struct nvme *n, const struct command *c)
{
    uint32_t id = c->dw10 & 0xffffu, size = (c->dw10 >> 16) + 1, cq = c->dw11 >> 16;

    if (!id || id >= QUEUES || n->st->sq[id].size)
        return BAD_QID | DNR;
    if (!cq || cq >= QUEUES || !n->st->cq[cq].size)
        return BAD_CQ | DNR;
    if (size < 2 || size > QUEUE_MOST || (n->st->cc >> 16 & 15u) != 6)
        return BAD_QUEUE_SIZE | DNR;
    if (!(c->dw11 & 1u))
        return BAD_FIELD | DNR;
    if (c->prp1 & (nvme_page_bytes(n) - 1))
        return BAD_PRP | DNR;
    n->st->sq[id] = (struct nvme_sq){.at = c->prp1, .size = (uint16_t)size, .cq = (uint16_t)cq};
    return OK;
}

static uint16_t delete_queue(struct nvme *n, const struct command *c, bool completion)
{
    uint32_t id = c->dw10 & 0xffffu;

    if (!id || id >= QUEUES || !(completion ? n->st->cq[id].size : n->st->sq[id].size))
        return BAD_QID | DNR;
    if (!completion) {
        n->st->sq[id] = (struct nvme_sq){0};
        return OK;
    }
    for (unsigned i = 0; i < QUEUES; i++)
        if (n->st->sq[i].size && n->st->sq[i].cq == id)
            return BAD_QUEUE_DELETION | DNR;
    n->st->cq[id] = (struct nvme_cq){0};
    nvme_forget_held(n, id);
    nvme_update_pin(n);
    return OK;
}

/* ---- features ---- */

#define QUEUES_GIVEN ((QUEUES - 2) << 16 | (QUEUES - 2)) /* of each kind, less one */

void nvme_default_settings(struct nvme_settings *f)
{
    *f = (struct nvme_settings){.warm = TOO_WARM, .features = {[F_WRITE_CACHE] = 1}};
}

void nvme_reset_features(struct nvme *n)
{
    struct nvme_state *s = n->st;

    s->now = s->saved;
    s->clock_ms = s->clock_set = 0;
    s->clock_at = machine_now(n->dev->machine);
}

static bool has_feature(uint32_t id)
{
    return (id >= F_ARBITRATION && id <= F_EVENTS && id != 3) || id == F_TIMESTAMP; /* 3: LBA ranges */
}

/* Those that are of one run of the controller are not. */
static bool saveable(uint32_t id)
{
    return id != F_QUEUES && id != F_VECTOR && id != F_TIMESTAMP;
}

/* Where a temperature threshold is kept: of the whole controller, the only sensor (5.21.1.4). NULL: there is none such. */
static uint16_t *threshold(struct nvme_settings *f, uint32_t dw11, bool set)
{
    uint32_t sensor = dw11 >> 16 & 15u, side = dw11 >> 20 & 3u;

    if ((sensor && !(set && sensor == 15)) || side > 1)
        return NULL;
    return side ? &f->cold : &f->warm;
}

static void feel_temperature(struct nvme *n)
{
    if (temperature_is_bad(n->st) && (n->st->now.features[F_EVENTS] & 2u))
        nvme_notice(n, EVENT_TEMPERATURE);
}

/* Timestamp (5.21.1.14): milliseconds in 48 bits, and where they come from. */
static uint16_t set_timestamp(struct nvme *n, const struct command *c)
{
    uint64_t data;
    uint16_t status = nvme_move(n, c, sizeof(data), 0, &data, sizeof(data), false);

    if (status != OK)
        return status;
    n->st->clock_ms = data & 0xffffffffffffu;
    n->st->clock_at = machine_now(n->dev->machine);
    n->st->clock_set = 1;
    return OK;
}

static uint16_t get_timestamp(struct nvme *n, const struct command *c, bool current)
{
    const struct nvme_state *s = n->st;
    uint64_t ms = s->clock_ms + (machine_now(n->dev->machine) - s->clock_at) / 1000000;
    uint64_t data = current ? (ms & 0xffffffffffffu) | (uint64_t)(s->clock_set ? 2 : 0) << 48 : 0;

    return reply(n, c, &data, sizeof(data), sizeof(data));
}

static uint16_t set_feature(struct nvme *n, const struct command *c, uint32_t id, uint32_t *result)
{
    struct nvme_state *s = n->st;
    uint32_t value = c->dw11;
    uint16_t *limit;

    switch (id) {
    case F_POWER:
        if (value & 0x1fu) /* there is one state only */
            return BAD_FIELD | DNR;
        break;
    case F_TEMPERATURE:
        limit = threshold(&s->now, value, true);
        if (!limit)
            return BAD_FIELD | DNR;
        *limit = (uint16_t)value;
        feel_temperature(n);
        return OK;
    case F_RECOVERY:
        if (value & 0x10000u) /* errors of deallocated blocks */
            return BAD_FIELD | DNR;
        break;
    case F_WRITE_CACHE:
        value &= 1u;
        break;
    case F_QUEUES:
        if ((value & 0xffffu) == 0xffffu || value >> 16 == 0xffffu)
            return BAD_FIELD | DNR;
        if (s->created)
            return BAD_SEQUENCE | DNR;
        *result = QUEUES_GIVEN;
        return OK;
    case F_VECTOR:
        if ((value & 0xffffu) >= QUEUES)
            return BAD_FIELD | DNR;
        s->now.uncoalesced = (s->now.uncoalesced & ~(1u << (value & 0xffffu))) | (value >> 16 & 1u) << (value & 0xffffu);
        return OK;
    case F_TIMESTAMP:
        return set_timestamp(n, c);
    default:
        break;
    }
    s->now.features[id] = value;
    if (id == F_EVENTS)
        feel_temperature(n);
    return OK;
}

/* What the feature is now, it is after resets, too. */
static void save_feature(struct nvme_state *s, uint32_t id, uint32_t value)
{
    if (id == F_TEMPERATURE)
        *threshold(&s->saved, value, true) = (uint16_t)value;
    else
        s->saved.features[id] = s->now.features[id];
}

static uint16_t set_features(struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu;
    bool save = c->dw10 >> 31;
    uint16_t status;

    if (!has_feature(id))
        return BAD_FIELD | DNR;
    if (save && !saveable(id))
        return NOT_SAVEABLE | DNR;
    if (c->nsid > 1 && c->nsid != 0xffffffffu)
        return BAD_NAMESPACE | DNR;
    if (id == F_RECOVERY ? c->nsid == 0 : c->nsid == 1)
        return (id == F_RECOVERY ? BAD_NAMESPACE : NOT_OF_NAMESPACE) | DNR;
    status = set_feature(n, c, id, result);
    if (status == OK && save)
        save_feature(n->st, id, c->dw11);
    return status;
}

static uint16_t get_features(struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu, select = c->dw10 >> 8 & 7u, vector = c->dw11 & 0xffffu;
    struct nvme_settings f = n->st->now;
    const uint16_t *limit;

    if (!has_feature(id) || select > SELECT_CAPABILITIES || (id == F_VECTOR && vector >= QUEUES))
        return BAD_FIELD | DNR;
    if (id == F_RECOVERY && c->nsid != 1)
        return BAD_NAMESPACE | DNR;
    if (select == SELECT_CAPABILITIES) {
        *result = 4u | (id == F_RECOVERY ? 2u : 0) | (saveable(id) ? 1u : 0); /* can be changed; of the namespace; saved */
        return OK;
    }
    if (select == SELECT_DEFAULT)
        nvme_default_settings(&f);
    else if (select == SELECT_SAVED)
        f = n->st->saved;
    limit = threshold(&f, c->dw11, false);
    if (id == F_TEMPERATURE && !limit)
        return BAD_FIELD | DNR;
    switch (id) {
    case F_TEMPERATURE: *result = *limit; break;
    case F_QUEUES:      *result = QUEUES_GIVEN; break;
    case F_VECTOR:      *result = vector | (f.uncoalesced >> vector & 1u) << 16; break;
    case F_TIMESTAMP:   return get_timestamp(n, c, select == SELECT_CURRENT);
    default:            *result = f.features[id]; break;
    }
    return OK;
}

/* ---- the commands ---- */

/* Only requests for events can be aborted: any other command is done, or next. Both have to be completed. */
static uint16_t abort_command(struct nvme *n, const struct command *c, uint32_t *result)
{
    struct nvme_state *s = n->st;

    *result = 1;
    if ((c->dw10 & 0xffffu) != 0)
        return OK;
    for (unsigned i = 0; i < s->events; i++)
        if (s->event_id[i] == c->dw10 >> 16 && nvme_room(&s->cq[0]) > 1) {
            nvme_complete(n, 0, nvme_take_request(s, i), ABORTED, 0);
            *result = 0;
            break;
        }
    return OK;
}

static uint16_t await_event(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;

    if (s->events == EVENTS_MOST)
        return TOO_MANY_EVENTS | DNR;
    s->event_id[s->events++] = c->id;
    return NO_COMPLETION;
}

uint16_t nvme_admin(struct nvme *n, const struct command *c, uint32_t *result)
{
    switch (c->opcode) {
    case A_DELETE_SQ: return delete_queue(n, c, false);
    case A_DELETE_CQ: return delete_queue(n, c, true);
    case A_CREATE_SQ: return create_sq(n, c);
    case A_CREATE_CQ: return create_cq(n, c);
    case A_LOG:       return log_page(n, c);
    case A_IDENTIFY:  return identify(n, c);
    case A_SET_FEATURES: return set_features(n, c, result);
    case A_GET_FEATURES: return get_features(n, c, result);
    case A_ABORT:     return abort_command(n, c, result);
    case A_EVENT:     return await_event(n, c);
    case A_SELF_TEST: return nvme_self_test(n, c);
    case A_FORMAT:    return nvme_format(n, c);
    case A_SANITIZE:  return nvme_sanitize(n, c);
    default:
        return BAD_OPCODE | DNR;
    }
}
