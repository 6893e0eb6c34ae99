/*
 * The virtio block device (virtio 1.2, 5.2): read, write, flush, identification, discard, write zeroes, several queues.
 *
 * The disk does one request at a time, in the order of the queues: a request begins when the one before it is done,
 * and takes what drive_duration() says. Its data move when it ends.
 *
 * Not modelled: barriers, SCSI commands (both of before 1.0), lifetime, zoned disks, secure erase.
 */
#include "vm/dev/virtio_blk.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/virtio_mmio.h"
#include "vm/dev/virtio_pci.h"
#include "vm/machine.h"

#define F_SEG_MAX      (1ull << 2)
#define F_GEOMETRY     (1ull << 4)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

#define UNIT         512u  /* sectors of the interface are so large, whatever the drive's are */
#define CONFIG_BYTES 60u
#define CONFIG_WCE   32u
#define SEG_MAX      (VIRTIO_QUEUE_SIZE - 2)
#define RANGES_MOST  16u   /* of a discard */
#define RANGE_MOST   0x10000u /* sectors of one */
#define ID_BYTES     20u
#define REQUEST_MOST ((uint64_t)256 << 20) /* nobody asks for more; it must end some time */

DEVICE_STATE_BEGIN
struct blk_state {
    uint64_t done_at;    /* vtime at which the request in progress ends, or VTIME_NEVER */
    uint32_t queue;      /* whose request that is */
    uint8_t write_back;  /* the write cache is on */
    uint8_t reserved[3];
};

/* With what carries it. */
struct blk_pci_state {
    struct virtio_pci_state pci;
    struct blk_state blk;
};

struct blk_mmio_state {
    struct virtio_state virtio;
    struct blk_state blk;
};
DEVICE_STATE_END

/* Wiring. */
struct blk {
    union {
        struct virtio v;
        struct virtio_pci pci;
        struct virtio_mmio mmio;
    } t; /* first: virtio_pci.c and virtio_mmio.c find themselves there */
    struct blk_state *st;
    struct drive *drive;
};

struct header {
    uint32_t type, priority;
    uint64_t sector;
};

static struct blk *of(const struct virtio *v)
{
    return v->dev->wiring;
}

static struct blk_state *state_of(const struct virtio *v)
{
    return of(v)->st;
}

/* ---- configuration ---- */

static uint64_t features(const struct virtio *v)
{
    const struct drive *d = of(v)->drive;

    return F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE | (d->c.read_only ? F_RO : 0) |
           (v->queues > 1 ? F_MQ : 0) | (d->c.read_only ? 0 : F_DISCARD | F_WRITE_ZEROES);
}

static void put(uint8_t *config, unsigned at, uint64_t value, unsigned size)
{
    memcpy(config + at, &value, size);
}

static void config_read(const struct virtio *v, uint8_t *c)
{
    const struct drive *d = of(v)->drive;
    struct drive_geometry g = drive_geometry(d);

    put(c, 0, d->c.size / UNIT, 8);
    put(c, 12, SEG_MAX, 4);
    put(c, 16, g.cylinders, 2);
    c[18] = (uint8_t)g.heads;
    c[19] = (uint8_t)g.sectors;
    put(c, 20, d->c.sector_size, 4);
    c[24] = (uint8_t)disk_physical_exponent(d);
    put(c, 26, d->identity.min_io ? d->identity.min_io : 1, 2);
    put(c, 28, d->identity.opt_io, 4);
    c[CONFIG_WCE] = state_of(v)->write_back;
    put(c, 34, v->queues, 2);
    put(c, 36, RANGE_MOST, 4);
    put(c, 40, RANGES_MOST, 4);
    put(c, 44, d->c.sector_size / UNIT, 4);
    put(c, 48, RANGE_MOST, 4);
    put(c, 52, RANGES_MOST, 4);
    c[56] = 1;
}

static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    if (offset == CONFIG_WCE && virtio_has(v, F_CONFIG_WCE))
        state_of(v)->write_back = value & 1u;
}

/* ---- requests ---- */

static uint8_t result(enum drive_status status)
{
    return status == DRIVE_OK ? S_OK : S_IOERR;
}

/* Is the request one of whole sectors of the drive, all of them there? */
static bool range_fits(const struct drive *d, uint64_t sector, uint64_t bytes)
{
    uint64_t total = d->c.size / UNIT;

    return sector <= total && bytes / UNIT <= total - sector && bytes % d->c.sector_size == 0 &&
           sector * UNIT % d->c.sector_size == 0;
}

/* Between drive and request, a piece at a time. */
static uint8_t transfer(struct virtio *v, const struct virtio_chain *c, const struct header *h, uint64_t bytes,
                        uint64_t *written)
{
    struct drive *d = of(v)->drive;
    uint8_t piece[DRIVE_PIECE];
    size_t most = drive_piece(d);
    uint64_t at = h->sector * UNIT;

    if (bytes > REQUEST_MOST || !range_fits(d, h->sector, bytes))
        return S_IOERR;
    for (uint64_t done = 0; done < bytes;) {
        size_t n = bytes - done < most ? (size_t)(bytes - done) : most;

        if (h->type == T_IN) {
            if (drive_read(d, at + done, piece, n, NULL) != DRIVE_OK || !virtio_in(v, c, done, piece, n))
                return S_IOERR;
            *written = done + n;
        } else if (!virtio_out(v, c, sizeof(*h) + done, piece, n) ||
                   drive_write(d, at + done, piece, n, NULL) != DRIVE_OK) {
            return S_IOERR;
        }
        done += n;
    }
    return S_OK;
}

/* A list of ranges to be discarded or zeroed. */
static uint8_t ranges(struct virtio *v, const struct virtio_chain *c, const struct header *h, uint64_t bytes)
{
    struct drive *d = of(v)->drive;
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } r;

    if (d->c.read_only || bytes % sizeof(r) || !bytes || bytes / sizeof(r) > RANGES_MOST)
        return S_IOERR;
    for (uint64_t at = 0; at < bytes; at += sizeof(r)) {
        enum drive_status status;
        uint64_t len;

        if (!virtio_out(v, c, sizeof(*h) + at, &r, sizeof(r)))
            return S_IOERR;
        if (r.flags & (h->type == T_DISCARD ? ~0u : ~1u))
            return S_UNSUPP;
        len = (uint64_t)r.sectors * UNIT;
        if (r.sectors > RANGE_MOST || !range_fits(d, r.sector, len))
            return S_IOERR;
        status = h->type == T_DISCARD ? drive_discard(d, r.sector * UNIT, len, NULL)
                                      : drive_write_zeroes(d, r.sector * UNIT, len, NULL);
        if (status != DRIVE_OK)
            return result(status);
    }
    return S_OK;
}

static uint8_t identify(struct virtio *v, const struct virtio_chain *c, uint64_t room, uint64_t *written)
{
    char id[ID_BYTES] = {0};

    memcpy(id, of(v)->drive->serial, strnlen(of(v)->drive->serial, sizeof(id)));
    *written = room < sizeof(id) ? room : sizeof(id);
    return virtio_in(v, c, 0, id, (size_t)*written) ? S_OK : S_IOERR;
}

/* Data of the request: without header and status. */
static uint64_t data_bytes(const struct virtio_chain *c, const struct header *h)
{
    return h->type == T_IN || h->type == T_GET_ID ? c->in - 1 : c->out - sizeof(*h);
}

static uint8_t carry_out(struct virtio *v, const struct virtio_chain *c, const struct header *h, uint64_t *written)
{
    uint64_t bytes = data_bytes(c, h);

    switch (h->type) {
    case T_IN:
        return transfer(v, c, h, bytes, written);
    case T_OUT:
        return of(v)->drive->c.read_only ? S_IOERR : transfer(v, c, h, bytes, written);
    case T_FLUSH:
        return S_OK;
    case T_GET_ID:
        return identify(v, c, bytes, written);
    case T_DISCARD: case T_WRITE_ZEROES:
        return ranges(v, c, h, bytes);
    default:
        return S_UNSUPP;
    }
}

/* The next request of a queue and its header. A request without room for header or status breaks the device. */
static bool look(struct virtio *v, unsigned queue, struct virtio_chain *c, struct header *h)
{
    if (!virtio_peek(v, queue, c))
        return false;
    if (c->out >= sizeof(*h) && c->in >= 1 && virtio_out(v, c, 0, h, sizeof(*h)))
        return true;
    virtio_broken(v);
    return false;
}

/* Begin the next request, if the disk is idle: from `first` on, each queue in turn. */
static void begin(struct virtio *v, unsigned first)
{
    struct blk_state *s = state_of(v);
    struct virtio_chain c;
    struct header h;

    if (s->done_at != VTIME_NEVER)
        return;
    for (unsigned n = 0; n < v->queues; n++) {
        unsigned queue = (first + n) % v->queues;

        if (!look(v, queue, &c, &h))
            continue;
        s->queue = queue;
        s->done_at = machine_now(v->dev->machine) +
                     drive_duration(of(v)->drive, h.type == T_IN || h.type == T_OUT ? data_bytes(&c, &h) : 0);
        return;
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    begin(v, queue);
}

static void blk_expire(struct device *dev, vtime_t now)
{
    struct blk *b = dev->wiring;
    struct virtio *v = &b->t.v;
    struct blk_state *s = b->st;
    struct virtio_chain c;
    struct header h;
    uint64_t written = 0;
    uint8_t status;

    (void)now;
    s->done_at = VTIME_NEVER;
    if (look(v, s->queue, &c, &h)) {
        status = carry_out(v, &c, &h, &written);
        virtio_in(v, &c, c.in - 1, &status, 1);
        virtio_push(v, s->queue, &c, (uint32_t)written + 1);
    }
    begin(v, s->queue + 1);
}

static void forget(struct virtio *v)
{
    struct blk_state *s = state_of(v);

    s->done_at = VTIME_NEVER;
    s->queue = 0;
    s->write_back = 1;
}

static const struct virtio_class blk_class = {
    .id = 2, .config_bytes = CONFIG_BYTES, .features = features, .config_read = config_read,
    .config_write = config_write, .notified = notified, .reset = forget};

/* ---- the device ---- */

static vtime_t blk_deadline(const struct device *dev)
{
    const struct blk *b = dev->wiring;

    return b->st->done_at;
}

static bool blk_possible(const struct device *dev)
{
    const struct blk *b = dev->wiring;

    return virtio_possible(&b->t.v) && b->st->queue < b->t.v.queues &&
           machine_deadline_possible(dev->machine, b->st->done_at);
}

static void blk_describe(const struct device *dev, struct buffer *b)
{
    const struct blk *blk = dev->wiring;

    virtio_describe(&blk->t.v, b);
}

static const struct device_ops blk_mmio_ops = {
    .name = "virtio-blk-device",
    .state_size = sizeof(struct blk_mmio_state),
    .possible = blk_possible,
    .reset = virtio_mmio_reset,
    .deadline = blk_deadline,
    .expire = blk_expire,
    .describe = blk_describe,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct device_ops blk_pci_ops = {
    .name = "virtio-blk-pci",
    .state_size = sizeof(struct blk_pci_state),
    .possible = blk_possible,
    .reset = virtio_pci_reset,
    .deadline = blk_deadline,
    .expire = blk_expire,
    .describe = blk_describe,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

#define BLK_KEYS {"num-queues", "1 to 8"}, DISK_SERIAL_KEY, DISK_BLOCK_KEYS, DISK_IO_KEYS
const struct option_key virtio_blk_keys[] = {BLK_KEYS, {"packed", "on|off"}, {"disable-legacy", "on|off"}, {NULL, NULL}};
const struct option_key virtio_blk_mmio_keys[] = {BLK_KEYS, VIRTIO_MMIO_KEYS, {NULL, NULL}};

/* The device as its properties say, without what carries it. NULL: they make no sense. */
static struct blk *make(struct sockets *s, const struct device_ops *ops, const char *name, struct drive *d,
                        const struct option_list *props, struct error *err)
{
    bool packed = false;
    uint64_t queues = 1;
    struct device *dev;
    struct blk *b;

    if (option_list_number(props, "num-queues", 1, VIRTIO_QUEUES, &queues, err) < 0 ||
        option_list_switch(props, "packed", &packed, err) < 0 || disk_props_take(d, DISK_VIRTIO, props, err) < 0)
        return NULL;
    dev = machine_add_owned_device(s->machine, ops, name, sizeof(*b));
    b = dev->wiring;
    b->drive = d;
    d->wiring = dev;
    b->t.v = (struct virtio){.dev = dev, .class = &blk_class, .queues = (unsigned)queues, .packed = packed};
    return b;
}

int virtio_blk_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                        const struct option_list *props, struct error *err)
{
    struct blk_pci_state *st;
    char path[BOOT_PATH_BYTES];
    bool modern = false;
    struct blk *b;

    if (option_list_switch(props, "disable-legacy", &modern, err) < 0)
        return err->code;
    b = make(s, &blk_pci_ops, name, d, props, err);
    if (!b)
        return err->code;
    st = b->t.v.dev->state;
    b->st = &st->blk;
    b->t.pci.st = &st->pci;
    b->t.pci.legacy = !modern;
    virtio_pci_plug(&b->t.pci, s->pci, devfn, 0x010000);
    pci_firmware_path(&b->t.pci.pci, path, sizeof(path));
    parts_boots(s, parts_drive_kind(d), path, "/disk@0,0");
    return 0;
}

int virtio_blk_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err)
{
    struct blk_mmio_state *st;
    char path[BOOT_PATH_BYTES];
    struct blk *b;

    (void)devfn;
    if (!s->mmio_slot)
        return error_set(err, -ENODEV, "this board has no slots for virtio over memory-mapped registers");
    b = make(s, &blk_mmio_ops, name, d, props, err);
    if (!b)
        return err->code;
    st = b->t.v.dev->state;
    b->st = &st->blk;
    b->t.v.st = &st->virtio;
    if (virtio_mmio_plug(&b->t.mmio, s, props, path, sizeof(path), err) < 0)
        return err->code;
    parts_boots(s, parts_drive_kind(d), path, "/disk@0,0");
    return 0;
}
