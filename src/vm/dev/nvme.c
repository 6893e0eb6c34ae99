/*
 * An NVM Express controller (NVM Express 1.4) with one namespace: the admin and NVM command sets, PRP lists, up to
 * eight I/O queues, interrupts by pin and MSI-X.
 *
 * The controller does one command at a time: it begins when the one before it is done, queues in turn, and takes what
 * drive_duration() says (admin commands: a microsecond, so never within the doorbell's write). Its data move when it ends.
 *
 * Asynchronous events are bad doorbell writes (5.2) and temperature thresholds, which the
 * host can put on either side of the constant temperature.
 *
 * Not modelled: SGLs, fused commands, namespace management, firmware download, more than one power state, controller memory
 * buffer, weighted arbitration, interrupt coalescing (taken, without effect), subsystem reset, saved features.
 */
#include "vm/dev/nvme.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

enum { R_CAP = 0x00, R_VS = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c, R_AQA = 0x24, R_ASQ = 0x28,
       R_ACQ = 0x30, R_DOORBELLS = 0x1000 };

#define BAR_BYTES   0x4000u
#define MSIX_AT     0x2000u
#define PENDING_AT  0x3000u
#define RANGE_BAR   1u

#define QUEUES      9u    /* the admin queue, and I/O queues 1 to 8 */
#define QUEUE_MOST  1024u /* entries of an I/O queue */
#define ADMIN_MOST  4096u /* of the admin queues (3.1.7) */
#define MDTS        7u    /* 2^7 pages of 4 KiB */
#define EVENTS_MOST 4u    /* asynchronous event requests that may wait */
#define ERRORS_MOST 4u    /* entries of the error log */
#define TEMPERATURE 300u  /* of the controller, kelvin: always */
#define TOO_WARM    343u
#define VERSION     0x00010400u
/* Queues lie in one piece, 2 s until ready, NVM command set, pages of 4 to 64 KiB. */
#define CAP         ((uint64_t)(QUEUE_MOST - 1) | 1ull << 16 | 4ull << 24 | 1ull << 37 | 4ull << 52)

#define CC_EN   0x01u
#define CC_SHN  0xc000u
#define CSTS_RDY  0x01u
#define CSTS_CFS  0x02u
#define CSTS_SHUT 0x08u

/* Status of a completion: SCT << 8 | SC, and "do not retry". */
#define OK              0x000u
#define BAD_OPCODE      0x001u
#define BAD_FIELD       0x002u
#define DATA_ERROR      0x004u
#define ABORTED         0x007u
#define BAD_NAMESPACE   0x00bu
#define BAD_SEQUENCE    0x00cu
#define BAD_PRP         0x013u
#define BAD_LBA         0x080u
#define BAD_CQ          0x100u
#define BAD_QID         0x101u
#define BAD_QUEUE_SIZE  0x102u
#define TOO_MANY_EVENTS 0x105u
#define BAD_VECTOR      0x108u
#define BAD_LOG         0x109u
#define BAD_QUEUE_DELETION 0x10cu
#define NOT_SAVEABLE    0x10du
#define NOT_OF_NAMESPACE 0x10fu
#define READ_ONLY       0x182u
#define WRITE_FAULT     0x280u
#define READ_ERROR      0x281u
#define DIFFERENT       0x285u
#define MORE            0x2000u /* in the error log */
#define DNR             0x4000u
#define NO_COMPLETION   0xffffu /* the command stays */

enum { A_DELETE_SQ = 0x00, A_CREATE_SQ = 0x01, A_LOG = 0x02, A_DELETE_CQ = 0x04, A_CREATE_CQ = 0x05, A_IDENTIFY = 0x06,
       A_ABORT = 0x08, A_SET_FEATURES = 0x09, A_GET_FEATURES = 0x0a, A_EVENT = 0x0c };
enum { N_FLUSH = 0x00, N_WRITE = 0x01, N_READ = 0x02, N_COMPARE = 0x05, N_ZEROES = 0x08, N_DATASET = 0x09, N_VERIFY = 0x0c };
#define FLAGS_REFUSED 0xc3u /* fused operations, SGLs */

enum { L_ERRORS = 1, L_HEALTH = 2, L_FIRMWARE = 3 };
#define RETAIN_EVENT 0x8000u

/* Features (5.21.1). */
enum { F_ARBITRATION = 1, F_POWER = 2, F_TEMPERATURE = 4, F_RECOVERY = 5, F_WRITE_CACHE = 6, F_QUEUES = 7, F_COALESCING = 8,
       F_VECTOR = 9, F_ATOMICITY = 10, F_EVENTS = 11 };
enum { SELECT_CURRENT, SELECT_DEFAULT, SELECT_SAVED, SELECT_CAPABILITIES };

/* What is told to who waits for events: its type and information, and the log that is read then. */
enum nvme_event { EVENT_DOORBELL_REGISTER, EVENT_DOORBELL_VALUE, EVENT_TEMPERATURE, EVENTS };
static const struct {
    uint8_t type, info, log;
} event_kinds[EVENTS] = {{0, 0, L_ERRORS}, {0, 1, L_ERRORS}, {1, 1, L_HEALTH}};

DEVICE_STATE_BEGIN
struct nvme_sq {
    uint64_t at;
    uint16_t size, head, tail; /* size 0: not there */
    uint16_t cq;
};

struct nvme_cq {
    uint64_t at;
    uint16_t size, head, tail;
    uint16_t vector;
    uint8_t phase, interrupts;
    uint8_t reserved[6];
};

/* An entry of the error log (5.14.1.1). */
struct nvme_error {
    uint64_t count, lba;
    uint32_t nsid;
    uint16_t queue, id, status, reserved[3];
};

struct nvme_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t cc, csts, masked, aqa;
    uint64_t asq, acq;
    uint64_t done_at;      /* vtime at which the command in progress ends, or VTIME_NEVER */
    uint32_t queue;        /* whose command that is */
    uint32_t events;       /* asynchronous event requests that wait */
    uint16_t event_id[EVENTS_MOST]; /* their identifiers, the oldest first */
    uint8_t noticed;       /* events that nobody was told of, bits by enum nvme_event */
    uint8_t told;          /* types of events that are kept back until their log is read, bits */
    uint8_t created;       /* there were I/O queues since the controller was enabled */
    uint8_t reserved_event;
    uint16_t warm, cold;   /* temperature thresholds, kelvin */
    uint32_t uncoalesced;  /* interrupt vectors, bits */
    uint32_t reserved_feature;
    uint32_t features[16]; /* the others, by their numbers, as set */
    /* What the logs tell; it outlives resets. */
    uint64_t errors, media_errors, reads, writes, bytes_read, bytes_written;
    struct nvme_error error[ERRORS_MOST]; /* error number k (from 1 on) is at k % ERRORS_MOST */
    struct nvme_sq sq[QUEUES];
    struct nvme_cq cq[QUEUES];
    uint32_t table[QUEUES][4];
    uint32_t pending;
    uint32_t reserved;
};
DEVICE_STATE_END

/* Wiring. */
struct nvme {
    struct pci_function pci;
    struct device *dev;
    struct nvme_state *st;
    struct drive *drive;
    char serial[21];
};

struct command {
    uint8_t opcode, flags;
    uint16_t id;
    uint32_t nsid;
    uint64_t reserved, metadata, prp1, prp2;
    uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

/* ---- interrupts ---- */

static void update_pin(struct nvme *n)
{
    bool level = false;

    for (unsigned i = 0; i < QUEUES; i++) {
        const struct nvme_cq *q = &n->st->cq[i];

        level |= q->size && q->interrupts && q->head != q->tail && !(n->st->masked >> (q->vector & 31u) & 1u);
    }
    pci_set_intx(&n->pci, level && !pci_msix_enabled(&n->pci));
}

static void interrupt(struct nvme *n, const struct nvme_cq *q)
{
    if (q->interrupts && pci_msix_enabled(&n->pci))
        pci_notify(&n->pci, q->vector);
    update_pin(n);
}

/* ---- data ---- */

static uint64_t page_bytes(const struct nvme *n)
{
    return (uint64_t)4096 << (n->st->cc >> 7 & 15u);
}

/* Move `len` bytes of `buf` to or from where the command's PRPs say (4.3), from byte `skip` of its data on, which are
 * `whole` bytes. Entries that are not needed are not looked at. The status of the command: only the first entry, and where a list
 * begins, may lie within a page. */
static uint16_t move(struct nvme *n, const struct command *c, uint64_t whole, uint64_t skip, void *buf, size_t len,
                     bool to_memory)
{
    uint64_t page = page_bytes(n), in_first = page - (c->prp1 & (page - 1)), at = c->prp1, list = c->prp2, left = in_first;
    uint64_t total = skip + len;
    uint8_t *bytes = buf;
    uint64_t done = 0;
    bool listed = whole > in_first && whole - in_first > page; /* else PRP 2 is the second page, if there is one */

    if ((c->prp1 & 3u) || (listed && (list & 7u)))
        return BAD_PRP | DNR;
    while (done < total) {
        uint64_t piece = left < total - done ? left : total - done;
        uint64_t from = done < skip ? (skip - done < piece ? skip - done : piece) : 0;

        if (piece > from) {
            uint64_t take = piece - from;

            if (!(to_memory ? pci_dma_write(&n->pci, at + from, bytes, take)
                            : pci_dma_read(&n->pci, at + from, bytes, take)))
                return DATA_ERROR;
            bytes += take;
        }
        done += piece;
        if (done == total)
            break;
        left = page;
        at = c->prp2;
        if (listed) {
            if (!pci_dma_read(&n->pci, list, &at, 8))
                return DATA_ERROR;
            list += 8;
            if (!(list & (page - 1)) && whole - done > page) { /* the list's last entry says where it goes on */
                list = at;
                if (list & (page - 1))
                    return BAD_PRP | DNR;
                if (!pci_dma_read(&n->pci, list, &at, 8))
                    return DATA_ERROR;
                list += 8;
            }
        }
        if (at & (page - 1))
            return BAD_PRP | DNR;
    }
    return OK;
}

/* A reply of `have` bytes, of which the command wants `want`. */
static uint16_t reply(struct nvme *n, const struct command *c, void *data, size_t have, uint64_t want)
{
    return move(n, c, want, 0, data, have < want ? have : (size_t)want, true);
}

/* ---- queues' ends, events ---- */

/* How many completions there is room for. */
static unsigned room_of(const struct nvme_cq *q)
{
    return q->size ? (q->head + q->size - q->tail - 1u) % q->size : 0;
}

/* A command of `queue` is complete; its completion queue has room. */
static void complete(struct nvme *n, unsigned queue, uint16_t id, uint16_t status, uint32_t result)
{
    const struct nvme_sq *q = &n->st->sq[queue];
    struct nvme_cq *cq = &n->st->cq[queue ? q->cq : 0];
    const uint32_t entry[4] = {result, 0, q->head | (uint32_t)queue << 16, id | (uint32_t)(status << 1 | cq->phase) << 16};

    pci_dma_write(&n->pci, cq->at + 16ull * cq->tail, entry, sizeof(entry));
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase ^= 1;
    }
    interrupt(n, cq);
}

/* Take request number `i` from those that wait. */
static uint16_t take_request(struct nvme_state *s, unsigned i)
{
    uint16_t id = s->event_id[i];

    s->events--;
    for (; i < s->events; i++)
        s->event_id[i] = s->event_id[i + 1];
    s->event_id[s->events] = 0;
    return id;
}

/* Tell what was noticed, as long as there are requests for it; a type only once until its log is read (5.2). */
static void tell_events(struct nvme *n)
{
    struct nvme_state *s = n->st;

    for (unsigned i = 0; i < EVENTS; i++) {
        unsigned type = event_kinds[i].type;

        if (!s->events || !room_of(&s->cq[0]))
            return;
        if (!(s->noticed >> i & 1u) || (s->told >> type & 1u))
            continue;
        s->noticed &= (uint8_t)~(1u << i);
        s->told |= (uint8_t)(1u << type);
        complete(n, 0, take_request(s, 0), OK,
                 type | (uint32_t)event_kinds[i].info << 8 | (uint32_t)event_kinds[i].log << 16);
    }
}

/* To be told when the command in progress is complete, at the latest. */
static void notice(struct nvme *n, enum nvme_event event)
{
    n->st->noticed |= (uint8_t)(1u << event);
}

/* The log that belongs to a type of events was read: more of them may be told. */
static void log_was_read(struct nvme *n, unsigned log)
{
    for (unsigned i = 0; i < EVENTS; i++)
        if (event_kinds[i].log == log)
            n->st->told &= (uint8_t)~(1u << event_kinds[i].type);
}

static void log_error(struct nvme *n, unsigned queue, const struct command *c, uint16_t status)
{
    struct nvme_state *s = n->st;
    bool blocks = queue && c->opcode != N_FLUSH && c->opcode != N_DATASET;

    s->errors++;
    s->error[s->errors % ERRORS_MOST] = (struct nvme_error){
        .count = s->errors, .nsid = c->nsid, .queue = (uint16_t)queue, .id = c->id, .status = status,
        .lba = blocks ? c->dw10 | (uint64_t)c->dw11 << 32 : 0};
}

/* ---- admin commands ---- */

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
    put_text(r + 4, 20, n->serial);
    put_text(r + 24, 40, "hindcast NVMe");
    put_text(r + 64, 8, "1.0");
    r[72] = 6;           /* arbitration burst */
    r[77] = MDTS;
    put(r + 80, VERSION, 4);
    r[111] = 1;          /* an I/O controller */
    r[258] = 3;          /* aborts, less one */
    r[259] = EVENTS_MOST - 1;
    r[260] = 3;          /* one firmware slot, read-only */
    r[261] = 5;          /* logs: health of the namespace too, any part of them */
    r[262] = ERRORS_MOST - 1;
    put(r + 266, TOO_WARM, 2); /* temperatures, kelvin: warning and critical */
    put(r + 268, 373, 2);
    r[512] = 0x66;       /* entries of 64 and 16 bytes */
    r[513] = 0x44;
    put(r + 516, 1, 4);  /* namespaces */
    put(r + 520, 0x9d, 2); /* compare, dataset management, write zeroes, selected features, verify */
    r[525] = 7;          /* a volatile write cache, of which all namespaces are flushed at once too */
    snprintf((char *)r + 768, 256, "nqn.2026-01.org.hindcast:%s", n->serial);
    put(r + 2048, 2500, 2); /* the power state: at most 25 W */
}

/* The namespace's EUI-64: made of the serial number, so no two disks share one; locally administered. */
static void put_eui64(const struct nvme *n, uint8_t *at)
{
    put(at, hash_bytes(0, n->serial, strlen(n->serial)), 8);
    at[0] = (uint8_t)((at[0] & 0xfcu) | 2u);
}

static void identify_namespace(const struct nvme *n, uint8_t *r)
{
    const struct drive *d = n->drive;

    for (unsigned at = 0; at < 24; at += 8)
        put(r + at, drive_sectors(d), 8);
    r[24] = d->c.discard == DRIVE_DISCARD_ZERO ? 1 : 0; /* thin provisioning */
    r[33] = d->c.discard == DRIVE_DISCARD_ZERO ? 1 : 0; /* deallocated blocks read as zeros */
    r[99] = d->c.read_only ? 1 : 0;
    put_eui64(n, r + 120);
    r[130] = (uint8_t)__builtin_ctz(d->c.sector_size);
}

static uint16_t identify(struct nvme *n, const struct command *c)
{
    uint8_t r[4096] = {0};

    switch (c->dw10 & 0xffu) {
    case 0:
        if (c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        identify_namespace(n, r);
        break;
    case 1:
        identify_controller(n, r);
        break;
    case 2:
        if (c->nsid >= 0xfffffffeu)
            return BAD_NAMESPACE | DNR;
        if (c->nsid == 0)
            put(r, 1, 4);
        break;
    case 3:
        if (c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        r[0] = 1; /* an EUI-64 */
        r[1] = 8;
        put_eui64(n, r + 4);
        break;
    default:
        return BAD_FIELD | DNR;
    }
    return reply(n, c, r, sizeof(r), sizeof(r));
}

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
    return TEMPERATURE >= s->warm || TEMPERATURE <= s->cold;
}

/* Health (5.14.1.2): data in thousands of 512 bytes. */
static void health_log(const struct nvme_state *s, uint8_t *r)
{
    r[0] = temperature_is_bad(s) ? 2 : 0;
    put(r + 1, TEMPERATURE, 2);
    r[3] = 100; /* % of the spare blocks are left */
    r[4] = 10;
    put(r + 32, (s->bytes_read + 511999) / 512000, 8);
    put(r + 48, (s->bytes_written + 511999) / 512000, 8);
    put(r + 64, s->reads, 8);
    put(r + 80, s->writes, 8);
    put(r + 112, 1, 8); /* power cycles */
    put(r + 160, s->media_errors, 8);
    put(r + 176, s->errors, 8);
}

static uint16_t log_page(struct nvme *n, const struct command *c)
{
    uint8_t r[512] = {0};
    unsigned log = c->dw10 & 0xffu;
    uint64_t want = ((c->dw10 >> 16 | (uint64_t)(c->dw11 & 0xffffu) << 16) + 1) * 4;
    uint64_t from = c->dw12 | (uint64_t)c->dw13 << 32, have = 512;
    uint16_t status;

    switch (log) {
    case L_ERRORS: error_log(n->st, r); have = 64 * ERRORS_MOST; break;
    case L_HEALTH: health_log(n->st, r); break;
    case L_FIRMWARE: r[0] = 1; put_text(r + 8, 8, "1.0"); break;
    default: return BAD_LOG | DNR;
    }
    if (c->nsid != 0 && c->nsid != 0xffffffffu && (c->nsid != 1 || log != L_HEALTH))
        return (c->nsid == 1 ? BAD_FIELD : BAD_NAMESPACE) | DNR;
    if ((from & 3u) || from > have || want > (uint64_t)PAGE_SIZE << MDTS)
        return BAD_FIELD | DNR;
    status = reply(n, c, r + from, (size_t)(have - from), want);
    if (status == OK && !(c->dw10 & RETAIN_EVENT))
        log_was_read(n, log);
    return status;
}

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
    if (c->prp1 & (page_bytes(n) - 1))
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
    if (c->prp1 & (page_bytes(n) - 1))
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
    update_pin(n);
    return OK;
}

#define QUEUES_GIVEN ((QUEUES - 2) << 16 | (QUEUES - 2)) /* of each kind, less one */

static void default_features(struct nvme_state *s)
{
    memset(s->features, 0, sizeof(s->features));
    s->features[F_WRITE_CACHE] = 1;
    s->warm = TOO_WARM;
    s->cold = 0;
    s->uncoalesced = 0;
}

static bool has_feature(uint32_t id)
{
    return id >= F_ARBITRATION && id <= F_EVENTS && id != 3; /* 3: LBA ranges */
}

/* Where a temperature threshold is kept: of the whole controller, the only sensor (5.21.1.4). NULL: there is none such. */
static uint16_t *threshold(struct nvme_state *s, uint32_t dw11, bool set)
{
    uint32_t sensor = dw11 >> 16 & 15u, side = dw11 >> 20 & 3u;

    if ((sensor && !(set && sensor == 15)) || side > 1)
        return NULL;
    return side ? &s->cold : &s->warm;
}

static void feel_temperature(struct nvme *n)
{
    if (temperature_is_bad(n->st) && (n->st->features[F_EVENTS] & 2u))
        notice(n, EVENT_TEMPERATURE);
}

static uint16_t set_feature(struct nvme *n, uint32_t id, uint32_t value, uint32_t *result)
{
    struct nvme_state *s = n->st;
    uint16_t *limit;

    switch (id) {
    case F_POWER:
        if (value & 0x1fu) /* there is one state only */
            return BAD_FIELD | DNR;
        break;
    case F_TEMPERATURE:
        limit = threshold(s, value, true);
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
        s->uncoalesced = (s->uncoalesced & ~(1u << (value & 0xffffu))) | (value >> 16 & 1u) << (value & 0xffffu);
        return OK;
    default:
        break;
    }
    s->features[id] = value;
    if (id == F_EVENTS)
        feel_temperature(n);
    return OK;
}

static uint16_t set_features(struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu;

    if (!has_feature(id))
        return BAD_FIELD | DNR;
    if (c->dw10 >> 31)
        return NOT_SAVEABLE | DNR;
    if (c->nsid > 1 && c->nsid != 0xffffffffu)
        return BAD_NAMESPACE | DNR;
    if (id == F_RECOVERY ? c->nsid == 0 : c->nsid == 1)
        return (id == F_RECOVERY ? BAD_NAMESPACE : NOT_OF_NAMESPACE) | DNR;
    return set_feature(n, id, c->dw11, result);
}

static uint16_t get_features(struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu, select = c->dw10 >> 8 & 7u, vector = c->dw11 & 0xffffu;
    struct nvme_state *s = n->st, defaults;
    const uint16_t *limit;

    if (!has_feature(id) || select > SELECT_CAPABILITIES || (id == F_VECTOR && vector >= QUEUES))
        return BAD_FIELD | DNR;
    if (id == F_RECOVERY && c->nsid != 1)
        return BAD_NAMESPACE | DNR;
    if (select == SELECT_CAPABILITIES) {
        *result = 4u | (id == F_RECOVERY ? 2u : 0); /* can be changed; of the namespace */
        return OK;
    }
    if (select != SELECT_CURRENT) { /* what is saved are the defaults */
        default_features(&defaults);
        s = &defaults;
    }
    limit = threshold(s, c->dw11, false);
    if (id == F_TEMPERATURE && !limit)
        return BAD_FIELD | DNR;
    switch (id) {
    case F_TEMPERATURE: *result = *limit; break;
    case F_QUEUES:      *result = QUEUES_GIVEN; break;
    case F_VECTOR:      *result = vector | (s->uncoalesced >> vector & 1u) << 16; break;
    default:            *result = s->features[id]; break;
    }
    return OK;
}

/* Only requests for events can be aborted: any other command is done, or next. Both have to be completed. */
static uint16_t abort_command(struct nvme *n, const struct command *c, uint32_t *result)
{
    struct nvme_state *s = n->st;

    *result = 1;
    if ((c->dw10 & 0xffffu) != 0)
        return OK;
    for (unsigned i = 0; i < s->events; i++)
        if (s->event_id[i] == c->dw10 >> 16 && room_of(&s->cq[0]) > 1) {
            complete(n, 0, take_request(s, i), ABORTED, 0);
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

static uint16_t admin(struct nvme *n, const struct command *c, uint32_t *result)
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
    default:
        return BAD_OPCODE | DNR;
    }
}

/* ---- NVM commands ---- */

static uint64_t lba_of(const struct command *c)
{
    return c->dw10 | (uint64_t)c->dw11 << 32;
}

static uint64_t length_of(const struct nvme *n, const struct command *c)
{
    return ((uint64_t)(c->dw12 & 0xffffu) + 1) * n->drive->c.sector_size;
}

static bool range_fits(const struct nvme *n, const struct command *c)
{
    uint64_t total = drive_sectors(n->drive), lba = lba_of(c);

    return lba <= total && (c->dw12 & 0xffffu) + 1ull <= total - lba;
}

/* The status of a command after what became of its blocks; `bad`: they are bad. */
static uint16_t status_of(struct nvme *n, enum drive_status status, uint16_t bad)
{
    switch (status) {
    case DRIVE_OK:              return OK;
    case DRIVE_OUT_OF_RANGE:    return BAD_LBA | DNR;
    case DRIVE_WRITE_PROTECTED: return READ_ONLY | DNR;
    default:
        n->st->media_errors++;
        return bad;
    }
}

/* A piece of a read, write or compare. */
static uint16_t move_blocks(struct nvme *n, const struct command *c, uint64_t whole, uint64_t done, size_t len)
{
    uint64_t at = lba_of(c) * n->drive->c.sector_size + done;
    uint8_t piece[PAGE_SIZE], other[PAGE_SIZE];
    uint16_t status = OK;

    if (c->opcode != N_WRITE)
        status = status_of(n, drive_read(n->drive, at, piece, len, NULL), READ_ERROR);
    if (status == OK)
        status = move(n, c, whole, done, c->opcode == N_COMPARE ? other : piece, len, c->opcode == N_READ);
    if (status != OK || c->opcode == N_READ)
        return status;
    if (c->opcode == N_COMPARE)
        return memcmp(piece, other, len) ? DIFFERENT | DNR : OK;
    return status_of(n, drive_write(n->drive, at, piece, len, NULL), WRITE_FAULT);
}

static uint16_t read_write(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;
    uint64_t len = length_of(n, c);
    bool writes = c->opcode == N_WRITE;

    if (len > (uint64_t)PAGE_SIZE << MDTS)
        return BAD_FIELD | DNR;
    if (!range_fits(n, c))
        return BAD_LBA | DNR;
    for (uint64_t done = 0; done < len;) {
        size_t take = len - done < PAGE_SIZE ? (size_t)(len - done) : PAGE_SIZE;
        uint16_t status = move_blocks(n, c, len, done, take);

        if (status != OK)
            return status;
        done += take;
    }
    s->reads += !writes;
    s->writes += writes;
    s->bytes_read += writes ? 0 : len;
    s->bytes_written += writes ? len : 0;
    return OK;
}

/* Dataset management: only the deallocation of ranges does something. */
static uint16_t dataset(struct nvme *n, const struct command *c)
{
    struct {
        uint32_t attributes, blocks;
        uint64_t lba;
    } range;
    uint64_t total = drive_sectors(n->drive), ranges = (c->dw10 & 0xffu) + 1ull;

    for (uint64_t i = 0; i < ranges; i++) {
        uint16_t status = move(n, c, ranges * sizeof(range), i * sizeof(range), &range, sizeof(range), false);

        if (status != OK)
            return status;
        if (!(c->dw11 & 4u))
            continue;
        if (range.lba > total || range.blocks > total - range.lba)
            return BAD_LBA | DNR;
        status = status_of(n, drive_discard(n->drive, range.lba * n->drive->c.sector_size,
                                            (uint64_t)range.blocks * n->drive->c.sector_size, NULL), WRITE_FAULT);
        if (status != OK)
            return status;
    }
    return OK;
}

static uint16_t nvm(struct nvme *n, const struct command *c)
{
    struct drive *d = n->drive;
    uint64_t at = lba_of(c) * d->c.sector_size;

    if (c->nsid != 1 && (c->opcode != N_FLUSH || c->nsid != 0xffffffffu))
        return BAD_NAMESPACE | DNR;
    switch (c->opcode) {
    case N_FLUSH:
        return OK;
    case N_READ: case N_WRITE: case N_COMPARE:
        return read_write(n, c);
    case N_ZEROES:
        if (!range_fits(n, c))
            return BAD_LBA | DNR;
        return status_of(n, drive_write_zeroes(d, at, length_of(n, c), NULL), WRITE_FAULT);
    case N_VERIFY:
        if (!range_fits(n, c))
            return BAD_LBA | DNR;
        return status_of(n, drive_verify(d, at, length_of(n, c), NULL), READ_ERROR);
    case N_DATASET:
        return dataset(n, c);
    default:
        return BAD_OPCODE | DNR;
    }
}

/* ---- queues ---- */

/* The queue's next command, if its completion queue has room. */
static bool look(struct nvme *n, unsigned queue, struct command *c)
{
    const struct nvme_sq *q = &n->st->sq[queue];

    if (!q->size || q->head == q->tail || !room_of(&n->st->cq[q->cq]))
        return false;
    if (pci_dma_read(&n->pci, q->at + 64ull * q->head, c, sizeof(*c)))
        return true;
    n->st->csts |= CSTS_CFS;
    return false;
}

/* Begin the next command, if none is in progress. */
static void begin(struct nvme *n, unsigned first)
{
    struct nvme_state *s = n->st;
    struct command c;

    if (s->done_at != VTIME_NEVER || (s->csts & (CSTS_RDY | CSTS_CFS)) != CSTS_RDY)
        return;
    for (unsigned i = 0; i < QUEUES; i++) {
        unsigned queue = (first + i) % QUEUES;
        bool moves;

        if (!look(n, queue, &c))
            continue;
        moves = queue && (c.opcode == N_READ || c.opcode == N_WRITE || c.opcode == N_COMPARE || c.opcode == N_VERIFY);
        s->queue = queue;
        s->done_at = machine_now(n->dev->machine) +
                     (queue ? drive_duration(n->drive, moves ? length_of(n, &c) : 0) : 1000);
        return;
    }
}

/* The status with which a command ends, or NO_COMPLETION. */
static uint16_t execute(struct nvme *n, unsigned queue, const struct command *c, uint32_t *result)
{
    uint16_t status = c->flags & FLAGS_REFUSED ? BAD_FIELD | DNR : queue ? nvm(n, c) : admin(n, c, result);

    if (status != OK && status != NO_COMPLETION) {
        status |= MORE;
        log_error(n, queue, c, status);
    }
    return status;
}

static void nvme_expire(struct device *dev, vtime_t now)
{
    struct nvme *n = dev->wiring;
    struct nvme_state *s = n->st;
    struct nvme_sq *q = &s->sq[s->queue];
    struct command c;
    uint32_t result = 0;
    uint16_t status;

    (void)now;
    s->done_at = VTIME_NEVER;
    if (look(n, s->queue, &c)) {
        q->head = (uint16_t)((q->head + 1) % q->size);
        status = execute(n, s->queue, &c, &result);
        if (status != NO_COMPLETION && room_of(&s->cq[q->cq]))
            complete(n, s->queue, c.id, status, result);
        tell_events(n);
    }
    begin(n, s->queue + 1);
}

/* ---- registers ---- */

static void forget_queues(struct nvme_state *s)
{
    memset(s->sq, 0, sizeof(s->sq));
    memset(s->cq, 0, sizeof(s->cq));
    memset(s->event_id, 0, sizeof(s->event_id));
    default_features(s);
    s->done_at = VTIME_NEVER;
    s->queue = s->events = 0;
    s->noticed = s->told = s->created = 0;
}

static void enable(struct nvme *n)
{
    struct nvme_state *s = n->st;
    uint32_t sq = (s->aqa & 0xfffu) + 1, cq = (s->aqa >> 16 & 0xfffu) + 1;

    if (sq < 2 || cq < 2 || sq > ADMIN_MOST || cq > ADMIN_MOST || (s->cc >> 7 & 15u) > 4 || (s->cc >> 4 & 7u)) {
        s->csts |= CSTS_CFS;
        return;
    }
    s->sq[0] = (struct nvme_sq){.at = s->asq, .size = (uint16_t)sq};
    s->cq[0] = (struct nvme_cq){.at = s->acq, .size = (uint16_t)cq, .phase = 1, .interrupts = 1};
    s->csts |= CSTS_RDY;
}

static void write_cc(struct nvme *n, uint32_t value)
{
    struct nvme_state *s = n->st;
    uint32_t was = s->cc;

    s->cc = value & 0x00fffff1u;
    if (!(was & CC_EN) && (value & CC_EN)) {
        enable(n);
    } else if ((was & CC_EN) && !(value & CC_EN)) {
        forget_queues(s); /* all but the admin queues' registers is as after a reset (3.1.5) */
        s->cc = s->csts = s->masked = 0;
        update_pin(n);
    }
    if (value & CC_SHN)
        s->csts = (s->csts & ~0x0cu) | CSTS_SHUT;
}

/* Doorbells of queues that are not there, and values that they cannot have, are events (3.1.24, 5.2). */
static void doorbell(struct nvme *n, uint64_t offset, uint32_t value)
{
    unsigned id = (unsigned)offset / 8;
    bool completion = offset & 4u;
    struct nvme_sq *sq;
    struct nvme_cq *cq;
    uint32_t size;

    if (!(n->st->csts & CSTS_RDY))
        return;
    sq = &n->st->sq[id < QUEUES ? id : 0];
    cq = &n->st->cq[id < QUEUES ? id : 0];
    size = completion ? cq->size : sq->size;
    value &= 0xffffu;
    if (id >= QUEUES || !size) {
        notice(n, EVENT_DOORBELL_REGISTER);
    } else if (value >= size) {
        notice(n, EVENT_DOORBELL_VALUE);
    } else if (!completion) {
        sq->tail = (uint16_t)value;
    } else {
        cq->head = (uint16_t)value;
        update_pin(n);
    }
    tell_events(n);
    begin(n, id % QUEUES);
}

static uint64_t register_at(const struct nvme *n, uint64_t offset)
{
    const struct nvme_state *s = n->st;

    switch (offset) {
    case R_CAP:   return CAP;
    case R_VS:    return VERSION | (uint64_t)s->masked << 32; /* INTMS follows */
    case R_INTMC: return s->masked | (uint64_t)s->cc << 32;
    case 0x18:    return (uint64_t)s->csts << 32;
    case 0x20:    return (uint64_t)s->aqa << 32;
    case R_ASQ:   return s->asq;
    case R_ACQ:   return s->acq;
    default:      return 0;
    }
}

static uint64_t nvme_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct nvme *n = dev->wiring;

    (void)range;
    if (pci_msix_owns(&n->pci, offset))
        return pci_msix_read(&n->pci, offset, size);
    return register_at(n, offset & ~7ull) >> (8 * (offset & 7u));
}

static void set_half(uint64_t *reg, bool upper, uint32_t value)
{
    *reg = upper ? (*reg & 0xffffffffu) | (uint64_t)value << 32 : (*reg & ~0xffffffffull) | value;
}

static void write_register(struct nvme *n, uint64_t offset, uint32_t value)
{
    struct nvme_state *s = n->st;

    switch (offset) {
    case R_INTMS: s->masked |= value; update_pin(n); break;
    case R_INTMC: s->masked &= ~value; update_pin(n); break;
    case R_CC:    write_cc(n, value); break;
    case R_AQA:   s->aqa = value & 0x0fff0fffu; break;
    case R_ASQ: case R_ASQ + 4: set_half(&s->asq, offset & 4u, offset & 4u ? value : value & ~0xfffu); break;
    case R_ACQ: case R_ACQ + 4: set_half(&s->acq, offset & 4u, offset & 4u ? value : value & ~0xfffu); break;
    default:
        if (offset >= R_DOORBELLS && offset < MSIX_AT)
            doorbell(n, offset - R_DOORBELLS, value);
        break;
    }
}

static void nvme_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct nvme *n = dev->wiring;

    (void)range;
    if (pci_msix_owns(&n->pci, offset)) {
        pci_msix_write(&n->pci, offset, size, value);
        return;
    }
    if (size < 4 || (offset & 3u))
        return;
    write_register(n, offset, (uint32_t)value);
    if (size == 8)
        write_register(n, offset + 4, (uint32_t)(value >> 32));
}

/* ---- the device ---- */

/* MSI-X takes over from the pin, or gives it back. */
static void nvme_configured(struct device *dev, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    update_pin(dev->wiring);
}

static void nvme_reset(struct device *dev)
{
    struct nvme *n = dev->wiring;

    pci_function_reset(&n->pci);
    n->st->cc = n->st->csts = n->st->masked = n->st->aqa = 0;
    n->st->asq = n->st->acq = 0;
    forget_queues(n->st);
}

static vtime_t nvme_deadline(const struct device *dev)
{
    const struct nvme_state *s = dev->state;

    return s->done_at;
}

static void nvme_describe(const struct device *dev, struct buffer *b)
{
    const struct nvme_state *s = dev->state;

    buffer_printf(b, "cc %08x csts %x aqa %08x\n", s->cc, s->csts, s->aqa);
    for (unsigned i = 0; i < QUEUES; i++) {
        if (s->sq[i].size)
            buffer_printf(b, "sq %u: %u entries at %llx, head %u tail %u, cq %u\n", i, s->sq[i].size,
                          (unsigned long long)s->sq[i].at, s->sq[i].head, s->sq[i].tail, s->sq[i].cq);
        if (s->cq[i].size)
            buffer_printf(b, "cq %u: %u entries at %llx, head %u tail %u, vector %u\n", i, s->cq[i].size,
                          (unsigned long long)s->cq[i].at, s->cq[i].head, s->cq[i].tail, s->cq[i].vector);
    }
}

static bool nvme_possible(const struct device *dev)
{
    const struct nvme_state *s = dev->state;

    if (s->queue >= QUEUES || s->events > EVENTS_MOST || s->noticed >> EVENTS || s->told > 3 || s->uncoalesced >> QUEUES)
        return false;
    for (unsigned i = 0; i < QUEUES; i++) {
        const struct nvme_sq *q = &s->sq[i];
        const struct nvme_cq *cq = &s->cq[i];

        uint32_t most = i ? QUEUE_MOST : ADMIN_MOST;

        if (q->size > most || cq->size > most || q->cq >= QUEUES || cq->phase > 1 || cq->vector >= QUEUES ||
            (q->size && (q->head >= q->size || q->tail >= q->size)) ||
            (cq->size && (cq->head >= cq->size || cq->tail >= cq->size)))
            return false;
    }
    return machine_deadline_possible(dev->machine, s->done_at);
}

static const struct device_ops nvme_ops = {
    .name = "nvme",
    .state_size = sizeof(struct nvme_state),
    .state_version = 1,
    .possible = nvme_possible,
    .reset = nvme_reset,
    .deadline = nvme_deadline,
    .expire = nvme_expire,
    .describe = nvme_describe,
    .read = nvme_read,
    .write = nvme_write,
};

const struct option_key nvme_keys[] = {{"serial", "TEXT"}, {NULL, NULL}};

int nvme_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0010, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x010802, .revision = 2, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &nvme_ops, name, sizeof(struct nvme));
    struct nvme *n = dev->wiring;
    const char *serial = option_list_get(props, "serial");
    char path[BOOT_PATH_BYTES];

    (void)err;
    n->dev = dev;
    n->st = dev->state;
    n->drive = d;
    d->wiring = dev;
    snprintf(n->serial, sizeof(n->serial), "%s", serial ? serial : d->serial);
    pci_function_init(&n->pci, s->pci, devfn, dev, n->st->config, &id);
    pci_add_bar(&n->pci, 0, PCI_BAR_MEMORY_64, false, BAR_BYTES, RANGE_BAR);
    pci_add_msix(&n->pci, &(struct pci_msix){.table = n->st->table[0], .pending = &n->st->pending, .vectors = QUEUES,
                                             .table_at = MSIX_AT, .pending_at = PENDING_AT});
    pci_add_express(&n->pci, 0);
    n->pci.written = nvme_configured;
    pci_firmware_path(&n->pci, path, sizeof(path));
    parts_boots(s, 'c', path, "/namespace@1,0");
    return 0;
}
