/*
 * An NVM Express controller (NVM Express 1.4) with one namespace: the admin and NVM command sets, PRP lists, up to
 * eight I/O queues, interrupts by pin and MSI-X.
 *
 * The controller does one command at a time: it begins when the one before it is done, queues in turn, and takes what
 * drive_duration() says (admin commands: at once, but never within the doorbell's write). Its data move when it ends.
 *
 * Not modelled: SGLs, namespace management, firmware download, power states, controller memory buffer, weighted
 * arbitration, interrupt coalescing (taken, without effect), asynchronous events (requests wait for ever).
 */
#include "vm/dev/nvme.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

enum { R_CAP = 0x00, R_VS = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c, R_AQA = 0x24, R_ASQ = 0x28,
       R_ACQ = 0x30, R_DOORBELLS = 0x1000 };

#define BAR_BYTES   0x4000u
#define MSIX_AT     0x2000u
#define PENDING_AT  0x3000u
#define RANGE_BAR   1u

#define QUEUES      9u    /* the admin queue, and I/O queues 1 to 8 */
#define QUEUE_MOST  1024u /* entries */
#define MDTS        7u    /* 2^7 pages of 4 KiB */
#define EVENTS_MOST 4u    /* asynchronous event requests that may wait */
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
#define BAD_NAMESPACE   0x00bu
#define BAD_LBA         0x080u
#define BAD_CQ          0x100u
#define BAD_QID         0x101u
#define BAD_QUEUE_SIZE  0x102u
#define BAD_VECTOR      0x108u
#define BAD_QUEUE_DELETION 0x10cu
#define WRITE_FAULT     0x280u
#define READ_ERROR      0x281u
#define DNR             0x4000u
#define NO_COMPLETION   0xffffu /* the command stays */

enum { A_DELETE_SQ = 0x00, A_CREATE_SQ = 0x01, A_LOG = 0x02, A_DELETE_CQ = 0x04, A_CREATE_CQ = 0x05, A_IDENTIFY = 0x06,
       A_ABORT = 0x08, A_SET_FEATURES = 0x09, A_GET_FEATURES = 0x0a, A_EVENT = 0x0c };
enum { N_FLUSH = 0x00, N_WRITE = 0x01, N_READ = 0x02, N_ZEROES = 0x08, N_DATASET = 0x09, N_VERIFY = 0x0c };

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

struct nvme_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t cc, csts, masked, aqa;
    uint64_t asq, acq;
    uint64_t done_at;      /* vtime at which the command in progress ends, or VTIME_NEVER */
    uint32_t queue;        /* whose command that is */
    uint32_t events;       /* asynchronous event requests that wait */
    uint32_t features[16]; /* by their numbers, as set */
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

/* Move `len` bytes of `buf` to or from where the command's PRPs say, from byte `skip` of its data on, which are `whole`
 * bytes. Entries that are not needed are not looked at. */
static bool move(struct nvme *n, const struct command *c, uint64_t whole, uint64_t skip, void *buf, size_t len,
                 bool to_memory)
{
    uint64_t page = page_bytes(n), in_first = page - (c->prp1 & (page - 1)), at = c->prp1, list = c->prp2, left = in_first;
    uint64_t total = skip + len;
    uint8_t *bytes = buf;
    uint64_t done = 0;

    while (done < total) {
        uint64_t piece = left < total - done ? left : total - done;
        uint64_t from = done < skip ? (skip - done < piece ? skip - done : piece) : 0;

        if (piece > from) {
            uint64_t take = piece - from;

            if (!(to_memory ? pci_dma_write(&n->pci, at + from, bytes, take) : pci_dma_read(&n->pci, at + from, bytes, take)))
                return false;
            bytes += take;
        }
        done += piece;
        if (done == total)
            break;
        left = page;
        if (whole - in_first <= page) { /* two pages: PRP 2 is the second */
            at = c->prp2 & ~(page - 1);
            continue;
        }
        if (!pci_dma_read(&n->pci, list, &at, 8))
            return false;
        list += 8;
        if (!(list & (page - 1)) && whole - done > page) { /* the list's last entry says where it goes on */
            list = at & ~7ull;
            if (!pci_dma_read(&n->pci, list, &at, 8))
                return false;
            list += 8;
        }
        at &= ~(page - 1);
    }
    return true;
}

/* A reply that is `have` bytes long, of which the command wants `want`. */
static uint16_t reply(struct nvme *n, const struct command *c, const void *data, uint64_t want)
{
    return move(n, c, want, 0, (void *)(uintptr_t)data, (size_t)want, true) ? OK : DATA_ERROR;
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
    r[256] = 0;
    r[258] = 3;          /* aborts, less one */
    r[259] = EVENTS_MOST - 1;
    r[260] = 3;          /* one firmware slot, read-only */
    put(r + 266, 343, 2); /* temperatures, kelvin: warning and critical */
    put(r + 268, 373, 2);
    r[512] = 0x66;       /* entries of 64 and 16 bytes */
    r[513] = 0x44;
    put(r + 516, 1, 4);  /* namespaces */
    put(r + 520, 0x0c, 2); /* dataset management, write zeroes */
    r[525] = 1;          /* a volatile write cache */
    snprintf((char *)r + 768, 256, "nqn.2026-01.org.hindcast:%s", n->serial);
}

static void identify_namespace(const struct nvme *n, uint8_t *r)
{
    const struct drive *d = n->drive;

    for (unsigned at = 0; at < 24; at += 8)
        put(r + at, drive_sectors(d), 8);
    r[24] = d->c.discard == DRIVE_DISCARD_ZERO ? 1 : 0; /* thin provisioning */
    r[33] = d->c.discard == DRIVE_DISCARD_ZERO ? 1 : 0; /* deallocated blocks read as zeros */
    r[99] = d->c.read_only ? 1 : 0;
    r[130] = (uint8_t)__builtin_ctz(d->c.sector_size);
}

static uint16_t identify(struct nvme *n, const struct command *c)
{
    uint8_t r[4096] = {0};

    switch (c->dw10 & 0xffu) {
    case 0:
        if (c->nsid != 1 && c->nsid != 0xffffffffu)
            return BAD_NAMESPACE | DNR;
        identify_namespace(n, r);
        break;
    case 1:
        identify_controller(n, r);
        break;
    case 2:
        if (c->nsid == 0)
            put(r, 1, 4);
        break;
    case 3:
        if (c->nsid != 1)
            return BAD_NAMESPACE | DNR;
        r[0] = 1; /* an EUI-64 */
        r[1] = 8;
        put_text(r + 4, 8, n->serial);
        break;
    default:
        return BAD_FIELD | DNR;
    }
    return reply(n, c, r, sizeof(r));
}

static uint16_t log_page(struct nvme *n, const struct command *c)
{
    uint8_t r[4096] = {0};
    uint64_t want = ((uint64_t)(c->dw10 >> 16) + 1) * 4;

    switch (c->dw10 & 0xffu) {
    case 1: break;                          /* no errors */
    case 2: put(r + 1, 300, 2); r[3] = 100; r[4] = 10; break; /* healthy, at 300 K */
    case 3: r[0] = 1; put_text(r + 8, 8, "1.0"); break;
    default: return BAD_FIELD | DNR;
    }
    return want > sizeof(r) ? BAD_FIELD | DNR : reply(n, c, r, want);
}

static uint16_t create_cq(struct nvme *n, const struct command *c)
{
    uint32_t id = c->dw10 & 0xffffu, size = (c->dw10 >> 16) + 1, vector = c->dw11 >> 16;

    if (!id || id >= QUEUES || n->st->cq[id].size)
        return BAD_QID | DNR;
    if (size < 2 || size > QUEUE_MOST)
        return BAD_QUEUE_SIZE | DNR;
    if (vector >= QUEUES)
        return BAD_VECTOR | DNR;
    if (!(c->dw11 & 1u) || (c->prp1 & (page_bytes(n) - 1)))
        return BAD_FIELD | DNR;
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
    if (size < 2 || size > QUEUE_MOST)
        return BAD_QUEUE_SIZE | DNR;
    if (!(c->dw11 & 1u) || (c->prp1 & (page_bytes(n) - 1)))
        return BAD_FIELD | DNR;
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

static uint16_t set_features(struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu;

    if (id == 0 || id >= ARRAY_LEN(n->st->features) || id == 3 || id == 12 || id == 13)
        return BAD_FIELD | DNR;
    n->st->features[id] = c->dw11;
    if (id == 7) /* queues, each less one */
        n->st->features[id] = *result = (QUEUES - 2) << 16 | (QUEUES - 2);
    return OK;
}

static uint16_t get_features(const struct nvme *n, const struct command *c, uint32_t *result)
{
    uint32_t id = c->dw10 & 0xffu;

    if (id == 0 || id >= ARRAY_LEN(n->st->features) || id == 3 || id == 12 || id == 13)
        return BAD_FIELD | DNR;
    *result = id == 7 ? (QUEUES - 2) << 16 | (QUEUES - 2) : n->st->features[id];
    return OK;
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
    case A_ABORT: /* too late: it is done, or next */
        *result = 1;
        return OK;
    case A_EVENT:
        if (n->st->events == EVENTS_MOST)
            return 0x105u | DNR;
        n->st->events++;
        return NO_COMPLETION;
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

static uint16_t read_write(struct nvme *n, const struct command *c)
{
    struct drive *d = n->drive;
    uint64_t at = lba_of(c) * d->c.sector_size, len = length_of(n, c);
    bool reads = c->opcode == N_READ;
    uint8_t piece[PAGE_SIZE];

    if (len > (uint64_t)PAGE_SIZE << MDTS)
        return BAD_FIELD | DNR;
    if (!range_fits(n, c))
        return BAD_LBA | DNR;
    for (uint64_t done = 0; done < len;) {
        size_t take = len - done < sizeof(piece) ? (size_t)(len - done) : sizeof(piece);

        if (reads && drive_read(d, at + done, piece, take, NULL) != DRIVE_OK)
            return READ_ERROR;
        if (!move(n, c, len, done, piece, take, reads))
            return DATA_ERROR;
        if (!reads && drive_write(d, at + done, piece, take, NULL) != DRIVE_OK)
            return WRITE_FAULT;
        done += take;
    }
    return OK;
}

/* Dataset management: only the deallocation of ranges does something. */
static uint16_t dataset(struct nvme *n, const struct command *c)
{
    struct {
        uint32_t attributes, blocks;
        uint64_t lba;
    } range;
    uint64_t total = drive_sectors(n->drive);

    for (uint32_t i = 0; i <= (c->dw10 & 0xffu); i++) {
        if (!move(n, c, ((c->dw10 & 0xffu) + 1ull) * sizeof(range), (uint64_t)i * sizeof(range), &range, sizeof(range),
                  false))
            return DATA_ERROR;
        if (!(c->dw11 & 4u))
            continue;
        if (range.lba > total || range.blocks > total - range.lba)
            return BAD_LBA | DNR;
        if (drive_discard(n->drive, range.lba * n->drive->c.sector_size,
                          (uint64_t)range.blocks * n->drive->c.sector_size, NULL) != DRIVE_OK)
            return WRITE_FAULT;
    }
    return OK;
}

static uint16_t nvm(struct nvme *n, const struct command *c)
{
    struct drive *d = n->drive;
    uint64_t at = lba_of(c) * d->c.sector_size;

    if (c->opcode != N_FLUSH && c->nsid != 1)
        return BAD_NAMESPACE | DNR;
    switch (c->opcode) {
    case N_FLUSH:
        return OK;
    case N_READ: case N_WRITE:
        return read_write(n, c);
    case N_ZEROES:
        if (!range_fits(n, c))
            return BAD_LBA | DNR;
        return drive_write_zeroes(d, at, length_of(n, c), NULL) == DRIVE_OK ? OK : WRITE_FAULT;
    case N_VERIFY:
        if (!range_fits(n, c))
            return BAD_LBA | DNR;
        return drive_verify(d, at, length_of(n, c), NULL) == DRIVE_OK ? OK : READ_ERROR;
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
    const struct nvme_cq *cq = &n->st->cq[q->cq];

    if (!q->size || q->head == q->tail || !cq->size || (cq->tail + 1) % cq->size == cq->head)
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
        moves = queue && (c.opcode == N_READ || c.opcode == N_WRITE);
        s->queue = queue;
        s->done_at = machine_now(n->dev->machine) +
                     (queue ? drive_duration(n->drive, moves ? length_of(n, &c) : 0) : 1000);
        return;
    }
}

static void complete(struct nvme *n, unsigned queue, const struct command *c, uint16_t status, uint32_t result)
{
    const struct nvme_sq *q = &n->st->sq[queue];
    unsigned id = queue ? q->cq : 0;
    struct nvme_cq *cq = &n->st->cq[id];
    const uint32_t entry[4] = {result, 0, q->head | (uint32_t)queue << 16,
                               c->id | (uint32_t)(status << 1 | cq->phase) << 16};

    if (!cq->size)
        return;
    pci_dma_write(&n->pci, cq->at + 16ull * cq->tail, entry, sizeof(entry));
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase ^= 1;
    }
    interrupt(n, cq);
}

static void nvme_expire(struct device *dev, vtime_t now)
{
    struct nvme *n = dev->wiring;
    struct nvme_state *s = n->st;
    struct nvme_sq *q = &s->sq[s->queue];
    struct command c;
    uint32_t result = 0;
    uint16_t status, cq = q->cq;

    (void)now;
    s->done_at = VTIME_NEVER;
    if (look(n, s->queue, &c)) {
        q->head = (uint16_t)((q->head + 1) % q->size);
        status = s->queue ? nvm(n, &c) : admin(n, &c, &result);
        if (status != NO_COMPLETION && s->cq[cq].size)
            complete(n, s->queue, &c, status, result);
    }
    begin(n, s->queue + 1);
}

/* ---- registers ---- */

static void forget_queues(struct nvme_state *s)
{
    memset(s->sq, 0, sizeof(s->sq));
    memset(s->cq, 0, sizeof(s->cq));
    memset(s->features, 0, sizeof(s->features));
    s->features[6] = 1; /* the write cache */
    s->features[4] = 343;
    s->done_at = VTIME_NEVER;
    s->queue = s->events = 0;
}

static void enable(struct nvme *n)
{
    struct nvme_state *s = n->st;
    uint32_t sq = (s->aqa & 0xfffu) + 1, cq = (s->aqa >> 16 & 0xfffu) + 1;

    if (sq < 2 || cq < 2 || sq > QUEUE_MOST || cq > QUEUE_MOST || (s->cc >> 7 & 15u) > 4 || (s->cc >> 4 & 7u)) {
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
        forget_queues(s);
        s->csts = 0;
        s->masked = 0;
        update_pin(n);
    }
    if (value & CC_SHN)
        s->csts = (s->csts & ~0x0cu) | CSTS_SHUT;
}

static void doorbell(struct nvme *n, uint64_t offset, uint32_t value)
{
    unsigned id = (unsigned)offset / 8;
    struct nvme_sq *sq;
    struct nvme_cq *cq;

    if (id >= QUEUES)
        return;
    sq = &n->st->sq[id];
    cq = &n->st->cq[id];
    if (!(offset & 4u) && value < sq->size) {
        sq->tail = (uint16_t)value;
        begin(n, id);
    } else if ((offset & 4u) && value < cq->size) {
        cq->head = (uint16_t)value;
        update_pin(n);
        begin(n, id);
    }
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

    if (s->queue >= QUEUES || s->events > EVENTS_MOST || (s->cc >> 7 & 15u) > 15)
        return false;
    for (unsigned i = 0; i < QUEUES; i++) {
        const struct nvme_sq *q = &s->sq[i];
        const struct nvme_cq *cq = &s->cq[i];

        if (q->size > QUEUE_MOST || cq->size > QUEUE_MOST || q->cq >= QUEUES || cq->phase > 1 || cq->vector >= QUEUES ||
            (q->size && (q->head >= q->size || q->tail >= q->size)) ||
            (cq->size && (cq->head >= cq->size || cq->tail >= cq->size)))
            return false;
    }
    return machine_deadline_possible(dev->machine, s->done_at);
}

static const struct device_ops nvme_ops = {
    .name = "nvme",
    .state_size = sizeof(struct nvme_state),
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
    return 0;
}
