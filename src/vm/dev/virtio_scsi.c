/*
 * The virtio SCSI host adapter (virtio 1.2, 5.6): up to SCSI_TARGETS targets of one unit each, several request queues,
 * task management and event queues. What units make of commands is in scsi.c.
 *
 * The adapter does one command at a time, as the block device does: it begins when the one before it is done, and takes what
 * drive_duration() says. So there is never anything to be aborted: task management succeeds, and its resets reset.
 *
 * Not modelled: events (buffers for them are kept by the driver), several units of a target, protection information,
 * bidirectional commands.
 */
#include "vm/dev/virtio_scsi.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/scsi.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/virtio_mmio.h"
#include "vm/dev/virtio_pci.h"
#include "vm/machine.h"

#define F_INOUT   (1ull << 0)
#define F_HOTPLUG (1ull << 1)

enum { QUEUE_CONTROL, QUEUE_EVENT, QUEUE_REQUEST };
enum { RESP_OK = 0, RESP_OVERRUN = 1, RESP_BAD_TARGET = 3, RESP_FAILURE = 9, RESP_FUNCTION_REJECTED = 11 };
enum { TMF_NEXUS_RESET = 4, TMF_UNIT_RESET = 5, TMF_QUERY_TASK_SET = 7 };

#define CONFIG_BYTES 36u
#define TARGETS      8u
#define CDB_BYTES    32u
#define SENSE_BYTES  96u
#define REQUEST_BYTES (19u + CDB_BYTES)  /* LUN, tag, attributes, CDB */
#define RESPONSE_BYTES (12u + SENSE_BYTES)
#define LIST_MOST    8192u /* of a parameter list */
#define REQUEST_MOST ((uint64_t)256 << 20)

DEVICE_STATE_BEGIN
struct scsi_state {
    struct scsi_unit unit[TARGETS];
    uint64_t done_at;    /* vtime at which the request in progress ends, or VTIME_NEVER */
    uint32_t queue;      /* whose request that is */
    uint32_t cdb_bytes, sense_bytes; /* as the driver configured them */
    uint32_t reserved;
};

/* With what carries it. */
struct scsi_pci_state {
    struct virtio_pci_state pci;
    struct scsi_state scsi;
};

struct scsi_mmio_state {
    struct virtio_state virtio;
    struct scsi_state scsi;
};
DEVICE_STATE_END

/* Wiring. */
struct adapter {
    union {
        struct virtio v;
        struct virtio_pci pci;
        struct virtio_mmio mmio;
    } t; /* first: virtio_pci.c and virtio_mmio.c find themselves there */
    struct scsi_state *st;
    struct drive *drives[TARGETS];
    char path[BOOT_PATH_BYTES]; /* as firmware knows it */
};

/* A request's header, whatever the sizes are that the driver configured. */
struct request {
    uint8_t lun[8];
    uint8_t cdb[CDB_BYTES];
};

static struct adapter *of(const struct virtio *v)
{
    return v->dev->wiring;
}

static struct scsi_state *state_of(const struct virtio *v)
{
    return of(v)->st;
}

/* ---- configuration ---- */

static uint64_t features(const struct virtio *v)
{
    (void)v;
    return F_HOTPLUG;
}

static void config_read(const struct virtio *v, uint8_t *c)
{
    put_le32(c, v->queues - QUEUE_REQUEST);
    put_le32(c + 4, VIRTIO_QUEUE_SIZE - 2); /* segments */
    put_le32(c + 8, 0xffff);                /* sectors */
    put_le32(c + 12, 128);                  /* commands of a unit */
    put_le32(c + 16, 16);                   /* bytes of an event */
    put_le32(c + 20, state_of(v)->sense_bytes);
    put_le32(c + 24, state_of(v)->cdb_bytes);
    c[30] = TARGETS - 1;                 /* max_channel 0, max_target, max_lun */
    put_le32(c + 32, 0);
}

static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    struct scsi_state *s = state_of(v);
    uint32_t shift = 8 * (offset & 3u);

    if (offset >= 20 && offset < 24)
        s->sense_bytes = (s->sense_bytes & ~(0xffu << shift)) | (uint32_t)value << shift;
    else if (offset >= 24 && offset < 28)
        s->cdb_bytes = (s->cdb_bytes & ~(0xffu << shift)) | (uint32_t)value << shift;
}

/* ---- requests ---- */

static uint32_t header_bytes(const struct scsi_state *s)
{
    return 19 + (s->cdb_bytes < CDB_BYTES ? s->cdb_bytes : CDB_BYTES);
}

static uint32_t response_bytes(const struct scsi_state *s)
{
    return 12 + (s->sense_bytes < SENSE_BYTES ? s->sense_bytes : SENSE_BYTES);
}

/* The next request of a queue. One that is too short breaks the device. */
static bool look(struct virtio *v, unsigned queue, struct virtio_chain *c, struct request *r)
{
    const struct scsi_state *s = state_of(v);

    if (!virtio_peek(v, queue, c))
        return false;
    memset(r, 0, sizeof(*r));
    if (c->out >= header_bytes(s) && c->in >= response_bytes(s) && virtio_out(v, c, 0, r->lun, 8) &&
        virtio_out(v, c, 19, r->cdb, header_bytes(s) - 19))
        return true;
    virtio_broken(v);
    return false;
}

/* The target that a LUN names: 1, target, then a single-level LUN 0 (5.6.6.1). False: there is none. */
static bool target_of(const struct virtio *v, const uint8_t *lun, unsigned *target)
{
    *target = lun[1];
    return lun[0] == 1 && lun[1] < TARGETS && of(v)->drives[lun[1]] && (lun[2] == 0x40 || lun[2] == 0) && lun[3] == 0;
}

/* Between drive and request. Returns SCSI status. */
static uint8_t transfer(struct virtio *v, const struct virtio_chain *c, struct drive *d, struct scsi_unit *u,
                        const struct scsi_command *cmd, uint64_t *moved)
{
    const struct scsi_state *s = state_of(v);
    uint64_t room = cmd->transfer == SCSI_READ ? c->in - response_bytes(s) : c->out - header_bytes(s);
    uint64_t len = cmd->len < room ? cmd->len : room;
    uint8_t piece[DRIVE_PIECE];
    size_t most = drive_piece(d);

    if (len > REQUEST_MOST)
        return scsi_fail(u, SENSE_ILLEGAL, 0x24, 0);
    for (*moved = 0; *moved < len;) {
        size_t n = len - *moved < most ? (size_t)(len - *moved) : most;
        enum drive_status status = DRIVE_OK;
        uint64_t good = 0;

        if (cmd->transfer == SCSI_READ) {
            status = drive_read(d, cmd->offset + *moved, piece, n, &good);
            if (status == DRIVE_OK && !virtio_in(v, c, response_bytes(s) + *moved, piece, n))
                virtio_broken(v);
        } else {
            if (!virtio_out(v, c, header_bytes(s) + *moved, piece, n))
                virtio_broken(v);
            status = drive_write(d, cmd->offset + *moved, piece, n, &good);
        }
        if (status != DRIVE_OK) {
            uint8_t result = cmd->transfer == SCSI_READ ? scsi_end(u, status) : scsi_end_write(u, status);

            scsi_failed_at(d, u, cmd->offset + *moved + good);
            return result;
        }
        *moved += n;
    }
    return SCSI_GOOD;
}

static uint8_t take_list(struct virtio *v, const struct virtio_chain *c, struct drive *d, struct scsi_unit *u,
                         const uint8_t *cdb, uint64_t len)
{
    uint32_t header = header_bytes(state_of(v));
    uint8_t list[LIST_MOST];

    if (len > sizeof(list) || len > c->out - header)
        return scsi_fail(u, SENSE_ILLEGAL, 0x1a, 0); /* parameter list length */
    if (!virtio_out(v, c, header, list, (size_t)len))
        virtio_broken(v);
    return scsi_parameters(d, u, cdb, list, len);
}

static uint8_t carry_out(struct virtio *v, const struct virtio_chain *c, unsigned target, const uint8_t *cdb,
                         uint64_t *wanted, uint64_t *moved)
{
    struct drive *d = of(v)->drives[target];
    struct scsi_unit *u = &state_of(v)->unit[target];
    uint64_t room = c->in - response_bytes(state_of(v));
    struct scsi_command cmd;

    scsi_begin(d, u, cdb, &cmd);
    *wanted = cmd.len;
    switch (cmd.transfer) {
    case SCSI_REPLY:
        *moved = cmd.len < room ? cmd.len : room;
        if (!virtio_in(v, c, response_bytes(state_of(v)), cmd.reply, (size_t)*moved))
            virtio_broken(v);
        return SCSI_GOOD;
    case SCSI_READ: case SCSI_WRITE:
        return transfer(v, c, d, u, &cmd, moved);
    case SCSI_PARAMETERS:
        *moved = cmd.len;
        return take_list(v, c, d, u, cdb, cmd.len);
    case SCSI_VERIFY:
        *wanted = 0;
        return scsi_verified(d, u, cmd.offset, cmd.len);
    case SCSI_FAILED:
        *wanted = 0;
        return SCSI_CHECK;
    default:
        *wanted = 0;
        return SCSI_GOOD;
    }
}

/* Bytes of the response and of the data behind it. */
static uint32_t respond(struct virtio *v, const struct virtio_chain *c, const struct request *r)
{
    const struct scsi_state *s = state_of(v);
    uint8_t response[RESPONSE_BYTES] = {0};
    uint64_t wanted = 0, moved = 0;
    unsigned target;

    if (!target_of(v, r->lun, &target)) {
        response[11] = RESP_BAD_TARGET;
    } else {
        response[10] = carry_out(v, c, target, r->cdb, &wanted, &moved);
        put_le32(response + 4, wanted > moved ? (uint32_t)(wanted - moved) : 0); /* residual */
        if (response[10] == SCSI_CHECK) { /* sense data go with it */
            put_le32(response, SCSI_SENSE_BYTES);
            scsi_sense(&s->unit[target], response + 12);
        }
    }
    virtio_in(v, c, 0, response, response_bytes(s));
    return response_bytes(s) + (c->in > response_bytes(s) ? (uint32_t)moved : 0);
}

/* How long the next request of a queue takes, by its command block. */
static vtime_t duration(struct virtio *v, const struct request *r)
{
    struct scsi_command cmd;
    unsigned target;

    if (!target_of(v, r->lun, &target))
        return 1000;
    scsi_peek(of(v)->drives[target], &state_of(v)->unit[target], r->cdb, &cmd);
    if (cmd.transfer == SCSI_READ || cmd.transfer == SCSI_WRITE || cmd.transfer == SCSI_VERIFY)
        return drive_duration(of(v)->drives[target], cmd.len);
    return cmd.transfer == SCSI_FLUSH ? drive_duration(of(v)->drives[target], 0) : 1000;
}

static void begin(struct virtio *v, unsigned first)
{
    struct scsi_state *s = state_of(v);
    unsigned queues = v->queues - QUEUE_REQUEST;
    struct virtio_chain c;
    struct request r;

    if (s->done_at != VTIME_NEVER)
        return;
    for (unsigned n = 0; n < queues; n++) {
        unsigned queue = QUEUE_REQUEST + (first - QUEUE_REQUEST + n) % queues;

        if (!look(v, queue, &c, &r))
            continue;
        s->queue = queue;
        s->done_at = machine_now(v->dev->machine) + duration(v, &r);
        return;
    }
}

/* A task management function (5.6.6.2): resets; there is nothing to be aborted. */
static uint8_t manage_tasks(struct virtio *v, const struct virtio_chain *c)
{
    uint8_t request[24] = {0}; /* type, subtype, LUN, tag */
    uint32_t function;
    unsigned target;

    if (!virtio_out(v, c, 0, request, sizeof(request)))
        return RESP_FAILURE;
    function = get_le32(request + 4);
    if (function > TMF_QUERY_TASK_SET)
        return RESP_FUNCTION_REJECTED;
    if (!target_of(v, request + 8, &target))
        return RESP_BAD_TARGET;
    if (function == TMF_NEXUS_RESET || function == TMF_UNIT_RESET)
        scsi_reset(&state_of(v)->unit[target]);
    return RESP_OK;
}

/* Task management, and event subscription: there is nothing to subscribe to. */
static void control(struct virtio *v)
{
    struct virtio_chain c;
    uint32_t type;

    while (virtio_peek(v, QUEUE_CONTROL, &c)) {
        uint8_t response[5] = {0};
        size_t n;

        if (!virtio_out(v, &c, 0, &type, 4) || !c.in) {
            virtio_broken(v);
            return;
        }
        if (type == 0)
            response[0] = manage_tasks(v, &c);
        n = type == 0 ? 1 : sizeof(response);
        n = c.in < n ? (size_t)c.in : n;
        virtio_in(v, &c, 0, response, n);
        virtio_push(v, QUEUE_CONTROL, &c, (uint32_t)n);
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    if (queue == QUEUE_CONTROL)
        control(v);
    else if (queue >= QUEUE_REQUEST)
        begin(v, queue);
}

static void scsi_expire(struct device *dev, vtime_t now)
{
    struct adapter *a = dev->wiring;
    struct scsi_state *s = a->st;
    struct virtio *v = &a->t.v;
    struct virtio_chain c;
    struct request r;

    (void)now;
    s->done_at = VTIME_NEVER;
    if (look(v, s->queue, &c, &r))
        virtio_push(v, s->queue, &c, respond(v, &c, &r));
    begin(v, s->queue + 1);
}

static void forget(struct virtio *v)
{
    struct scsi_state *s = state_of(v);

    s->done_at = VTIME_NEVER;
    s->queue = QUEUE_REQUEST;
    s->cdb_bytes = 32;
    s->sense_bytes = 96;
    for (unsigned i = 0; i < TARGETS; i++)
        scsi_reset(&s->unit[i]);
}

static const struct virtio_class scsi_class = {
    .id = 8, .config_bytes = CONFIG_BYTES, .features = features, .config_read = config_read,
    .config_write = config_write, .notified = notified, .reset = forget};

/* ---- the device ---- */

static vtime_t scsi_deadline(const struct device *dev)
{
    const struct adapter *a = dev->wiring;

    return a->st->done_at;
}

static bool scsi_possible(const struct device *dev)
{
    const struct adapter *a = dev->wiring;
    const struct scsi_state *s = a->st;

    return virtio_possible(&a->t.v) && s->queue >= QUEUE_REQUEST && s->queue < a->t.v.queues &&
           machine_deadline_possible(dev->machine, s->done_at);
}

static void scsi_describe(const struct device *dev, struct buffer *b)
{
    const struct adapter *a = dev->wiring;

    virtio_describe(&a->t.v, b);
    for (unsigned i = 0; i < TARGETS; i++)
        if (a->drives[i])
            buffer_printf(b, "target %u: %s\n", i, a->drives[i]->name);
}

/* Version 0 had units as scsi_unit_of_old() knows them. */
static bool scsi_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    const struct adapter *a = dev->wiring;
    size_t head = (size_t)((uint8_t *)a->st - (uint8_t *)dev->state), tail = sizeof(*a->st) - offsetof(struct scsi_state, done_at);
    const uint8_t *from = (const uint8_t *)old + head;

    if (version != 0 || len != head + TARGETS * SCSI_UNIT_OLD + tail)
        return false;
    memcpy(dev->state, old, head);
    for (unsigned i = 0; i < TARGETS; i++)
        from += scsi_unit_of_old(&a->st->unit[i], from);
    memcpy(&a->st->done_at, from, tail);
    return true;
}

static const struct device_ops scsi_mmio_ops = {
    .name = "virtio-scsi-device",
    .state_size = sizeof(struct scsi_mmio_state),
    .state_version = 1,
    .upgrade = scsi_upgrade,
    .possible = scsi_possible,
    .reset = virtio_mmio_reset,
    .deadline = scsi_deadline,
    .expire = scsi_expire,
    .describe = scsi_describe,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct device_ops scsi_pci_ops = {
    .name = "virtio-scsi-pci",
    .state_size = sizeof(struct scsi_pci_state),
    .state_version = 1,
    .upgrade = scsi_upgrade,
    .possible = scsi_possible,
    .reset = virtio_pci_reset,
    .deadline = scsi_deadline,
    .expire = scsi_expire,
    .describe = scsi_describe,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

const struct option_key virtio_scsi_keys[] = {
    {"num_queues", "1 to 6"}, {"packed", "on|off"}, {"disable-legacy", "on|off"}, {NULL, NULL}};

const struct option_key virtio_scsi_mmio_keys[] = {{"num_queues", "1 to 6"}, VIRTIO_MMIO_KEYS, {NULL, NULL}};

/* The adapter as its properties say, without what carries it. NULL: they make no sense. */
static struct adapter *make(struct sockets *s, const struct device_ops *ops, const char *name, const struct option_list *props,
                            struct error *err)
{
    bool packed = false;
    uint64_t queues = 1;
    struct device *dev;
    struct adapter *a;

    if (option_list_number(props, "num_queues", 1, VIRTIO_QUEUES - QUEUE_REQUEST, &queues, err) < 0 ||
        option_list_switch(props, "packed", &packed, err) < 0)
        return NULL;
    dev = machine_add_owned_device(s->machine, ops, name, sizeof(*a));
    a = dev->wiring;
    a->t.v = (struct virtio){
        .dev = dev, .class = &scsi_class, .queues = QUEUE_REQUEST + (unsigned)queues, .packed = packed};
    return a;
}

int virtio_scsi_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err)
{
    struct scsi_pci_state *st;
    bool modern = false;
    struct adapter *a;

    (void)d;
    if (option_list_switch(props, "disable-legacy", &modern, err) < 0)
        return err->code;
    a = make(s, &scsi_pci_ops, name, props, err);
    if (!a)
        return err->code;
    st = a->t.v.dev->state;
    a->st = &st->scsi;
    a->t.pci.st = &st->pci;
    a->t.pci.legacy = !modern;
    virtio_pci_plug(&a->t.pci, s->pci, devfn, 0x010000);
    pci_firmware_path(&a->t.pci.pci, a->path, sizeof(a->path));
    return 0;
}

int virtio_scsi_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                          const struct option_list *props, struct error *err)
{
    struct scsi_mmio_state *st;
    struct adapter *a;

    (void)d, (void)devfn;
    if (!s->mmio_slot)
        return error_set(err, -ENODEV, "this board has no slots for virtio over memory-mapped registers");
    a = make(s, &scsi_mmio_ops, name, props, err);
    if (!a)
        return err->code;
    st = a->t.v.dev->state;
    a->st = &st->scsi;
    a->t.v.st = &st->virtio;
    return virtio_mmio_plug(&a->t.mmio, s, props, a->path, sizeof(a->path), err);
}

/* ---- what is plugged into it ---- */

#define ADDRESS_KEYS {"scsi-id", "0 to 7"}, {"lun", "0"}, {"channel", "0"}

const struct option_key scsi_disk_keys[] = {ADDRESS_KEYS, DISK_SCSI_KEYS, DISK_BLOCK_KEYS, DISK_IO_KEYS, DISK_ROTATION_KEY, {NULL, NULL}};
const struct option_key scsi_cd_keys[] = {ADDRESS_KEYS, DISK_SCSI_KEYS, {NULL, NULL}};

/* The adapter that bus=NAME or bus=NAME.0 means, or the one that was made last. */
static struct device *find_adapter(const struct machine *m, const char *bus)
{
    for (unsigned i = m->ndevices; i-- > 0;) {
        struct device *dev = m->devices[i];
        size_t len = strlen(dev->name);

        if ((dev->ops == &scsi_pci_ops || dev->ops == &scsi_mmio_ops) &&
            (!bus || (!strncmp(bus, dev->name, len) && (!bus[len] || !strcmp(bus + len, ".0")))))
            return dev;
    }
    return NULL;
}

int scsi_disk_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err)
{
    struct device *dev = find_adapter(s->machine, option_list_get(props, "bus"));
    struct adapter *a = dev ? dev->wiring : NULL;
    uint64_t target = TARGETS, none = 0;

    (void)name, (void)devfn;
    if (!a)
        return error_set(err, -ENODEV, "there is no such SCSI bus; --device virtio-scsi-pci[,id=ID] (or virtio-scsi-device), "
                         "before it, makes one");
    if (option_list_number(props, "scsi-id", 0, TARGETS - 1, &target, err) < 0 ||
        option_list_number(props, "lun", 0, 0, &none, err) < 0 ||
        option_list_number(props, "channel", 0, 0, &none, err) < 0)
        return err->code;
    for (unsigned i = 0; target == TARGETS && i < TARGETS; i++)
        if (!a->drives[i])
            target = i;
    if (target == TARGETS || a->drives[target])
        return error_set(err, -EINVAL, "there is no room for it on the SCSI bus");
    if (disk_props_take(d, DISK_SCSI, props, err) < 0)
        return err->code;
    a->drives[target] = d;
    d->wiring = dev;
    parts_boots(s, parts_drive_kind(d), a->path, "/channel@0/disk@%x,0", (unsigned)target);
    return 0;
}
