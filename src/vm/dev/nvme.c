/*
 * An NVM Express controller (NVM Express 1.4) with one namespace: the admin and NVM command sets, PRP lists, up to
 * eight I/O queues, interrupts by pin and MSI-X. This file has registers, queues, data and interrupts; see nvme_internal.h.
 *
 * The controller does one command at a time: it begins when the one before it is done, queues in turn, and takes what
 * drive_duration() says (admin commands: a microsecond, so never within the doorbell's write). Its data move when it ends.
 * What takes long beside commands is in nvme_background.c.
 *
 * Asynchronous events are bad doorbell writes (5.2), temperature thresholds, which the
 * host can put on either side of the constant temperature, and the end of a sanitize operation.
 *
 * Not modelled: SGLs, fused commands, namespace management, firmware download, more than one power state, controller memory
 * buffer, weighted arbitration, subsystem reset, reservations, protection information.
 */
#include "vm/dev/nvme.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/nvme_internal.h"
#include "vm/machine.h"

enum { R_CAP = 0x00, R_VS = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c, R_AQA = 0x24, R_ASQ = 0x28,
       R_ACQ = 0x30, R_DOORBELLS = 0x1000 };

#define BAR_BYTES   0x4000u
#define MSIX_AT     0x2000u
#define PENDING_AT  0x3000u
#define RANGE_BAR   1u

#define VERSION     0x00010400u
/* Queues lie in one piece, 2 s until ready, NVM command set, pages of 4 to 64 KiB. */
#define CAP         ((uint64_t)(QUEUE_MOST - 1) | 1ull << 16 | 4ull << 24 | 1ull << 37 | 4ull << 52)

#define CC_EN   0x01u
#define CC_SHN  0xc000u
#define CSTS_RDY  0x01u
#define CSTS_SHUT 0x08u

#define FLAGS_REFUSED 0xc3u /* fused operations, SGLs */
#define COALESCING_NS 100000u /* a unit of the aggregation time (5.21.1.8) */

/* Events: type and information, and the log that is read then. */
static const struct {
    uint8_t type, info, log;
} event_kinds[EVENTS] = {{0, 0, L_ERRORS}, {0, 1, L_ERRORS}, {1, 1, L_HEALTH}, {6, 1, L_SANITIZE}};
#define EVENT_TYPES 0x43u /* bits */

/* ---- interrupts ---- */

void nvme_update_pin(struct nvme *n)
{
    bool level = false;

    for (unsigned i = 0; i < QUEUES; i++) {
        const struct nvme_cq *q = &n->st->cq[i];

        if (q->head == q->tail)
            n->st->hold[i].due = 0;
        level |= q->size && q->interrupts && n->st->hold[i].due && !(n->st->masked >> (q->vector & 31u) & 1u);
    }
    pci_set_intx(&n->pci, level && !pci_msix_enabled(&n->pci));
}

void nvme_forget_held(struct nvme *n, unsigned queue)
{
    n->st->hold[queue] = (struct nvme_hold){.until = VTIME_NEVER};
}

static void interrupt(struct nvme *n, unsigned queue)
{
    const struct nvme_cq *q = &n->st->cq[queue];

    nvme_forget_held(n, queue);
    n->st->hold[queue].due = 1;
    if (q->interrupts && pci_msix_enabled(&n->pci))
        pci_notify(&n->pci, q->vector);
    nvme_update_pin(n);
}

/* A completion was put into the queue: tell of it, or of several at once (interrupt coalescing, 5.21.1.8; not of the admin
 * queue's). */
static void completed(struct nvme *n, unsigned queue)
{
    const struct nvme_state *s = n->st;
    uint32_t more = s->now.features[F_COALESCING] & 0xffu, time = s->now.features[F_COALESCING] >> 8 & 0xffu;
    struct nvme_hold *h = &n->st->hold[queue];

    if (queue && more && time && !(s->now.uncoalesced >> s->cq[queue].vector & 1u) && h->held < more) {
        if (!h->held++)
            h->until = machine_now(n->dev->machine) + (vtime_t)time * COALESCING_NS;
        return;
    }
    interrupt(n, queue);
}

/* ---- data ---- */

uint64_t nvme_page_bytes(const struct nvme *n)
{
    return (uint64_t)4096 << (n->st->cc >> 7 & 15u);
}

uint16_t nvme_move(struct nvme *n, const struct command *c, uint64_t whole, uint64_t skip, void *buf, size_t len, bool to_memory)
{
    uint64_t page = nvme_page_bytes(n), in_first = page - (c->prp1 & (page - 1)), at = c->prp1, list = c->prp2, left = in_first;
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

/* ---- queues' ends, events ---- */

unsigned nvme_room(const struct nvme_cq *q)
{
    return q->size ? (q->head + q->size - q->tail - 1u) % q->size : 0;
}

void nvme_complete(struct nvme *n, unsigned queue, uint16_t id, uint16_t status, uint32_t result)
{
    const struct nvme_sq *q = &n->st->sq[queue];
    struct nvme_cq *cq = &n->st->cq[queue ? q->cq : 0];
    const uint32_t entry[4] = {result, 0, q->head | (uint32_t)queue << 16, id | (uint32_t)(status << 1 | cq->phase) << 16};

    if (!pci_dma_write(&n->pci, cq->at + 16ull * cq->tail, entry, sizeof(entry))) {
        n->st->csts |= CSTS_CFS; /* nobody will learn of it */
        return;
    }
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase ^= 1;
    }
    completed(n, queue ? q->cq : 0);
}

uint16_t nvme_take_request(struct nvme_state *s, unsigned i)
{
    uint16_t id = s->event_id[i];

    s->events--;
    for (; i < s->events; i++)
        s->event_id[i] = s->event_id[i + 1];
    s->event_id[s->events] = 0;
    return id;
}

/* Tell what was noticed, as long as there are requests for it; a type only once until its log is read (5.2). */
void nvme_tell_events(struct nvme *n)
{
    struct nvme_state *s = n->st;

    for (unsigned i = 0; i < EVENTS; i++) {
        unsigned type = event_kinds[i].type;

        if (!s->events || !nvme_room(&s->cq[0]))
            return;
        if (!(s->noticed >> i & 1u) || (s->told >> type & 1u))
            continue;
        s->noticed &= (uint8_t)~(1u << i);
        s->told |= (uint8_t)(1u << type);
        nvme_complete(n, 0, nvme_take_request(s, 0), OK,
                 type | (uint32_t)event_kinds[i].info << 8 | (uint32_t)event_kinds[i].log << 16);
    }
}

void nvme_notice(struct nvme *n, enum nvme_event event)
{
    n->st->noticed |= (uint8_t)(1u << event);
}

void nvme_log_was_read(struct nvme *n, unsigned log)
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

/* ---- queues ---- */

/* The queue's next command, if its completion queue has room. */
static bool look(struct nvme *n, unsigned queue, struct command *c)
{
    const struct nvme_sq *q = &n->st->sq[queue];

    if (!q->size || q->head == q->tail || !nvme_room(&n->st->cq[q->cq]))
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

        if (!look(n, queue, &c))
            continue;
        s->queue = queue;
        s->done_at = machine_now(n->dev->machine) +
                     (queue ? drive_duration(n->drive, nvme_bytes_moved(n, &c)) : 1000);
        return;
    }
}

/* The status with which a command ends, or NO_COMPLETION. */
static uint16_t execute(struct nvme *n, unsigned queue, const struct command *c, uint32_t *result)
{
    uint16_t status = c->flags & FLAGS_REFUSED ? BAD_FIELD | DNR : queue ? nvme_io(n, c) : nvme_admin(n, c, result);

    if (status != OK && status != NO_COMPLETION) {
        status |= MORE;
        log_error(n, queue, c, status);
    }
    return status;
}

/* The command in progress ends. */
static void end_command(struct nvme *n)
{
    struct nvme_state *s = n->st;
    struct nvme_sq *q = &s->sq[s->queue];
    struct command c;
    uint32_t result = 0;
    uint16_t status;

    s->done_at = VTIME_NEVER;
    if (look(n, s->queue, &c)) {
        q->head = (uint16_t)((q->head + 1) % q->size);
        status = execute(n, s->queue, &c, &result);
        if (status != NO_COMPLETION && nvme_room(&s->cq[q->cq]))
            nvme_complete(n, s->queue, c.id, status, result);
        nvme_tell_events(n);
    }
    begin(n, s->queue + 1);
}

static void nvme_expire(struct device *dev, vtime_t now)
{
    struct nvme *n = dev->wiring;
    struct nvme_state *s = n->st;

    for (unsigned i = 0; i < QUEUES; i++)
        if (s->hold[i].until <= now)
            interrupt(n, i);
    nvme_background_expire(n, now);
    if (s->done_at <= now)
        end_command(n);
}

/* ---- registers ---- */

static void forget_queues(struct nvme *n)
{
    struct nvme_state *s = n->st;

    memset(s->sq, 0, sizeof(s->sq));
    memset(s->cq, 0, sizeof(s->cq));
    memset(s->event_id, 0, sizeof(s->event_id));
    s->done_at = VTIME_NEVER;
    s->queue = s->events = 0;
    s->noticed = s->told = s->created = 0;
    for (unsigned i = 0; i < QUEUES; i++)
        nvme_forget_held(n, i);
    nvme_reset_features(n);
    nvme_background_reset(n);
}

/* What cannot be set up is a fatal error: sizes, pages and places of the admin queues, command sets and arbitration that are not there. */
static void enable(struct nvme *n)
{
    struct nvme_state *s = n->st;
    uint32_t sq = (s->aqa & 0xfffu) + 1, cq = (s->aqa >> 16 & 0xfffu) + 1;

    if (sq < 2 || cq < 2 || sq > ADMIN_MOST || cq > ADMIN_MOST || (s->cc >> 7 & 15u) > 4 || (s->cc >> 4 & 7u) ||
        (s->cc >> 11 & 7u) || ((s->asq | s->acq) & (nvme_page_bytes(n) - 1))) {
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
        forget_queues(n); /* all but the admin queues' registers is as after a reset (3.1.5) */
        s->cc = s->csts = s->masked = 0;
        nvme_update_pin(n);
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
        nvme_notice(n, EVENT_DOORBELL_REGISTER);
    } else if (value >= size) {
        nvme_notice(n, EVENT_DOORBELL_VALUE);
    } else if (!completion) {
        sq->tail = (uint16_t)value;
    } else {
        cq->head = (uint16_t)value;
        nvme_update_pin(n);
    }
    nvme_background_room(n);
    nvme_tell_events(n);
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
    case R_INTMS: s->masked |= value; nvme_update_pin(n); break;
    case R_INTMC: s->masked &= ~value; nvme_update_pin(n); break;
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
    nvme_update_pin(dev->wiring);
}

static void nvme_reset(struct device *dev)
{
    struct nvme *n = dev->wiring;

    pci_function_reset(&n->pci);
    n->st->cc = n->st->csts = n->st->masked = n->st->aqa = 0;
    n->st->asq = n->st->acq = 0;
    forget_queues(n);
}

static vtime_t nvme_deadline(const struct device *dev)
{
    const struct nvme_state *s = dev->state;

    vtime_t at = nvme_background_deadline(s);

    for (unsigned i = 0; i < QUEUES; i++)
        at = s->hold[i].until < at ? s->hold[i].until : at;
    return s->done_at < at ? s->done_at : at;
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

    if (s->queue >= QUEUES || s->events > EVENTS_MOST || s->noticed >> EVENTS || (s->told & ~EVENT_TYPES) ||
        s->now.uncoalesced >> QUEUES || s->saved.uncoalesced >> QUEUES || !nvme_background_possible(dev->wiring))
        return false;
    for (unsigned i = 0; i < QUEUES; i++) {
        const struct nvme_sq *q = &s->sq[i];
        const struct nvme_cq *cq = &s->cq[i];

        uint32_t most = i ? QUEUE_MOST : ADMIN_MOST;

        if (q->size > most || cq->size > most || q->cq >= QUEUES || cq->phase > 1 || cq->vector >= QUEUES ||
            (q->size && (q->head >= q->size || q->tail >= q->size)) ||
            (cq->size && (cq->head >= cq->size || cq->tail >= cq->size)) ||
            !machine_deadline_possible(dev->machine, s->hold[i].until))
            return false;
    }
    return machine_deadline_possible(dev->machine, s->done_at);
}

/* Version 1 coalesced no interrupts, and knew nothing of what goes on beside commands. Version 2 overwrote nothing, version 3 had blocks
 * of one size. */
static bool nvme_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct nvme *n = dev->wiring;
    struct nvme_state *s = n->st;

    if ((version == 2 || version == 3) && len == sizeof(*s)) {
        memcpy(s, old, len);
        return true;
    }
    if (version != 1 || len != offsetof(struct nvme_state, hold))
        return false;
    memset(s, 0, sizeof(*s));
    memcpy(s, old, len);
    for (unsigned i = 0; i < QUEUES; i++) {
        nvme_forget_held(n, i);
        s->hold[i].due = s->cq[i].head != s->cq[i].tail;
    }
    s->test_ends = s->erase_at = VTIME_NEVER;
    nvme_default_settings(&s->saved);
    return true;
}

static void nvme_destroy(struct device *dev)
{
    sparse_pages_finish(&((struct nvme *)dev->wiring)->marks);
}

static const struct device_ops nvme_ops = {
    .name = "nvme",
    .state_size = sizeof(struct nvme_state),
    .state_version = 4,
    .upgrade = nvme_upgrade,
    .possible = nvme_possible,
    .reset = nvme_reset,
    .deadline = nvme_deadline,
    .expire = nvme_expire,
    .describe = nvme_describe,
    .destroy = nvme_destroy,
    .read = nvme_read,
    .write = nvme_write,
};

const struct option_key nvme_keys[] = {DISK_SERIAL_KEY, DISK_BLOCK_KEYS, {NULL, NULL}};

int nvme_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0010, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x010802, .revision = 2, .pin = 1};
    struct device *dev;
    struct nvme *n;
    char path[BOOT_PATH_BYTES], space[32];

    if (disk_props_take(d, DISK_NVME, props, err) < 0)
        return err->code;
    dev = machine_add_owned_device(s->machine, &nvme_ops, name, sizeof(struct nvme));
    n = dev->wiring;
    n->dev = dev;
    n->st = dev->state;
    n->drive = d;
    d->wiring = dev;
    nvme_default_settings(&n->st->saved);
    snprintf(space, sizeof(space), "u:%s", name);
    sparse_pages_init(&n->marks, space, (d->medium ? DRIVE_MEDIUM_BYTES : d->c.size) / d->c.sector_size / 8 + 1);
    machine_add_pages(s->machine, &n->marks.space);
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
