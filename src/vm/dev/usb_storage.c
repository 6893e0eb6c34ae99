/*
 * A USB mass storage device (Mass Storage Class, Bulk-Only Transport 1.0) with one unit, a disk or a CD-ROM drive. What it
 * makes of commands is in scsi.c.
 *
 * A command that reads takes what drive_duration() says before its data come, one that writes after they have gone;
 * meanwhile the device says NAK. Data go between bus and drive a packet at a time.
 *
 * Where host and device disagree about data (6.7, the thirteen cases): data that are less than the host expects end with a
 * short packet, or if they are whole packets with a halted endpoint; what the host sends too much is taken and dropped; data of the wrong
 * direction or more than the host has room for are phase errors. A command block wrapper that is none halts both
 * endpoints until the host does what 5.3.4 calls reset recovery.
 */
#include "vm/dev/usb_storage.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/scsi.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

#define EP_IN  0x81u
#define EP_OUT 0x02u

#define CBW_SIGNATURE 0x43425355u
#define CSW_SIGNATURE 0x53425355u
#define CBW_BYTES 31u
#define CSW_BYTES 13u
#define CBW_IN    0x80u
#define CDB_BYTES 16u
#define LIST_MOST 512u /* of a parameter list */

enum { REQUEST_RESET = 0xff, REQUEST_MAX_LUN = 0xfe };
enum { CSW_PASSED, CSW_FAILED, CSW_PHASE_ERROR };

enum phase { PHASE_COMMAND, PHASE_IN, PHASE_OUT, PHASE_STATUS, PHASE_BROKEN, PHASES };

DEVICE_STATE_BEGIN
struct storage_state {
    struct usb_state usb;
    struct scsi_unit unit;
    uint64_t done_at;     /* vtime until which it is busy, or VTIME_NEVER */
    uint64_t offset;      /* in the drive, of the data */
    uint64_t len;         /* bytes that the command moves */
    uint64_t moved;       /* of which so many have gone over the bus; OUT: with those that were dropped */
    uint32_t expected;    /* by the host */
    uint32_t tag;
    uint8_t phase;
    uint8_t transfer;     /* enum scsi_transfer */
    uint8_t status;       /* CSW_... */
    uint8_t reserved[5];
    uint8_t cdb[CDB_BYTES];
    uint8_t data[LIST_MOST]; /* a reply, or a parameter list */
};
DEVICE_STATE_END

/* Wiring. */
struct storage {
    struct usb_device usb;
    struct drive *drive;
};

#define CONFIGURATION(len, ...)                                       \
    9, USB_DT_CONFIGURATION, len, 0, 1, 1, 0, 0xc0, 0,                \
    9, USB_DT_INTERFACE, 0, 0, 2, 8, 6, 0x50, 0, __VA_ARGS__

static const uint8_t full[] = {CONFIGURATION(32, 7, USB_DT_ENDPOINT, EP_IN, 2, 64, 0, 0, 7, USB_DT_ENDPOINT, EP_OUT, 2, 64, 0, 0)};
static const uint8_t high[] = {
    CONFIGURATION(32, 7, USB_DT_ENDPOINT, EP_IN, 2, 0, 2, 0, 7, USB_DT_ENDPOINT, EP_OUT, 2, 0, 2, 0)};
static const uint8_t super[] = {
    CONFIGURATION(44, 7, USB_DT_ENDPOINT, EP_IN, 2, 0, 4, 0, 6, USB_DT_COMPANION, 15, 0, 0, 0,
                  7, USB_DT_ENDPOINT, EP_OUT, 2, 0, 4, 0, 6, USB_DT_COMPANION, 15, 0, 0, 0)};

static struct storage *storage_of(const struct usb_device *u)
{
    return u->dev->wiring;
}

static bool is_busy(const struct storage_state *s)
{
    return s->done_at != VTIME_NEVER;
}

static void be_busy(struct usb_device *u, vtime_t duration)
{
    struct storage_state *s = u->dev->state;

    s->done_at = machine_now(u->dev->machine) + duration;
    machine_attention(u->dev->machine);
}

static void enter(struct usb_device *u, enum phase phase)
{
    struct storage_state *s = u->dev->state;

    s->phase = (uint8_t)phase;
    if (!is_busy(s))
        usb_ready(u, phase == PHASE_COMMAND || phase == PHASE_OUT ? EP_OUT : EP_IN);
}

/* What is wrong with a command's data is told with its status; the host may have to be stopped. */
static void end_data(struct usb_device *u, uint8_t status, bool halt_in)
{
    struct storage_state *s = u->dev->state;

    if (status > s->status)
        s->status = status;
    if (halt_in)
        usb_halt(u, EP_IN);
    enter(u, PHASE_STATUS);
}

/* ---- commands ---- */

static void give_up(struct usb_device *u)
{
    struct storage_state *s = u->dev->state;

    s->phase = PHASE_BROKEN;
    usb_halt(u, EP_IN);
    usb_halt(u, EP_OUT);
}

static bool wants_in(unsigned transfer)
{
    return transfer == SCSI_REPLY || transfer == SCSI_READ;
}

static bool wants_out(unsigned transfer)
{
    return transfer == SCSI_WRITE || transfer == SCSI_PARAMETERS;
}

static vtime_t duration(const struct storage *st, const struct scsi_command *c)
{
    switch (c->transfer) {
    case SCSI_READ: case SCSI_VERIFY: return drive_duration(st->drive, c->len);
    case SCSI_FLUSH: return drive_duration(st->drive, 0);
    default:         return 0;
    }
}

/* The data stage, by what the host expects and what the command moves (6.7). */
static void begin_data(struct usb_device *u, bool in)
{
    struct storage_state *s = u->dev->state;
    bool moves = wants_in(s->transfer) || wants_out(s->transfer);

    if (moves && (!s->expected || wants_in(s->transfer) != in || s->len > s->expected)) {
        s->transfer = SCSI_NOTHING;
        s->len = 0;
        s->status = CSW_PHASE_ERROR;
        moves = false;
    }
    if (!s->expected) {
        enter(u, PHASE_STATUS);
    } else if (!in) {
        enter(u, PHASE_OUT);
    } else if (moves) {
        enter(u, PHASE_IN);
    } else {
        end_data(u, s->status, true);
    }
}

static void command(struct usb_device *u, const uint8_t *cbw)
{
    struct storage *st = storage_of(u);
    struct storage_state *s = u->dev->state;
    struct scsi_command c;
    vtime_t wait;

    s->tag = get_le32(cbw + 4);
    s->expected = get_le32(cbw + 8);
    memset(s->cdb, 0, sizeof(s->cdb));
    memcpy(s->cdb, cbw + 15, cbw[14] & 31u);
    s->status = CSW_PASSED;
    s->moved = 0;
    scsi_begin(st->drive, &s->unit, s->cdb, &c);
    wait = duration(st, &c);
    s->transfer = (uint8_t)c.transfer;
    s->offset = c.offset;
    s->len = wants_in(c.transfer) || wants_out(c.transfer) ? c.len : 0;
    if (c.transfer == SCSI_REPLY)
        memcpy(s->data, c.reply, (size_t)c.len);
    if (c.transfer == SCSI_FAILED)
        s->status = CSW_FAILED;
    if (c.transfer == SCSI_VERIFY && scsi_verified(st->drive, &s->unit, c.offset, c.len) != SCSI_GOOD)
        s->status = CSW_FAILED;
    if (c.transfer == SCSI_PARAMETERS && c.len > LIST_MOST) {
        scsi_fail(&s->unit, SENSE_ILLEGAL, 0x1a, 0); /* parameter list length */
        s->status = CSW_FAILED;
        s->transfer = SCSI_NOTHING;
        s->len = 0;
    }
    if (wait)
        be_busy(u, wait);
    begin_data(u, cbw[12] & CBW_IN);
}

static bool is_wrapper(const uint8_t *cbw, size_t len)
{
    return len == CBW_BYTES && get_le32(cbw) == CBW_SIGNATURE && !(cbw[12] & 0x7fu) && cbw[13] == 0 && cbw[14] >= 1 &&
           cbw[14] <= CDB_BYTES;
}

/* ---- data ---- */

static enum usb_answer send_data(struct usb_device *u, uint8_t *buf, size_t *len)
{
    struct storage_state *s = u->dev->state;
    uint64_t left = s->len - s->moved;
    unsigned packet = usb_packet_size(u, EP_IN);
    size_t n = left < packet ? (size_t)left : packet;
    bool bad = false;

    if (n > *len)
        return USB_BABBLE;
    if (s->transfer == SCSI_REPLY) {
        memcpy(buf, s->data + s->moved, n);
    } else {
        uint64_t done = 0;

        bad = scsi_end(&s->unit, drive_read(storage_of(u)->drive, s->offset + s->moved, buf, n, &done)) != SCSI_GOOD;
        n = bad ? (size_t)done : n;
        scsi_failed_at(storage_of(u)->drive, &s->unit, s->offset + s->moved + done);
    }
    s->moved += n;
    *len = n;
    if (bad && !n) { /* nothing of this packet: the host is stopped at once */
        end_data(u, CSW_FAILED, true);
        return USB_STALL;
    }
    if (bad || s->moved == s->len) /* a packet that is not short does not tell the host that there is no more */
        end_data(u, bad ? CSW_FAILED : CSW_PASSED, s->moved < s->expected && n == packet);
    return USB_ACK;
}

static void end_of_list(struct usb_device *u)
{
    struct storage_state *s = u->dev->state;

    if (scsi_parameters(storage_of(u)->drive, &s->unit, s->cdb, s->data, s->len) != SCSI_GOOD)
        s->status = CSW_FAILED;
}

static enum usb_answer take_data(struct usb_device *u, const uint8_t *buf, size_t len)
{
    struct storage_state *s = u->dev->state;
    struct drive *d = storage_of(u)->drive;
    uint64_t left = s->moved < s->len ? s->len - s->moved : 0;
    size_t n = len < left ? len : (size_t)left;
    uint64_t done = 0;

    if (len > s->expected - s->moved) {
        give_up(u);
        return USB_STALL;
    }
    if (n && s->transfer == SCSI_PARAMETERS)
        memcpy(s->data + s->moved, buf, n);
    else if (n && s->status == CSW_PASSED && scsi_end_write(&s->unit, drive_write(d, s->offset + s->moved, buf, n, &done)) != SCSI_GOOD) {
        s->status = CSW_FAILED;
        scsi_failed_at(d, &s->unit, s->offset + s->moved + done);
    }
    s->moved += len;
    if (s->moved < s->expected)
        return USB_ACK;
    if (s->transfer == SCSI_PARAMETERS)
        end_of_list(u);
    if (s->transfer == SCSI_WRITE)
        be_busy(u, drive_duration(d, s->len));
    enter(u, PHASE_STATUS);
    return USB_ACK;
}

static enum usb_answer send_status(struct usb_device *u, uint8_t *buf, size_t *len)
{
    struct storage_state *s = u->dev->state;
    uint64_t moved = s->moved < s->len ? s->moved : s->len;

    if (*len < CSW_BYTES)
        return USB_BABBLE;
    put_le32(buf, CSW_SIGNATURE);
    put_le32(buf + 4, s->tag);
    put_le32(buf + 8, (uint32_t)(s->expected - moved));
    buf[12] = s->status;
    *len = CSW_BYTES;
    enter(u, PHASE_COMMAND);
    return USB_ACK;
}

static enum usb_answer storage_in(struct usb_device *u, unsigned endpoint, uint8_t *buf, size_t *len)
{
    const struct storage_state *s = u->dev->state;

    (void)endpoint;
    if (is_busy(s))
        return USB_NAK;
    switch (s->phase) {
    case PHASE_IN:     return send_data(u, buf, len);
    case PHASE_STATUS: return send_status(u, buf, len);
    default:           return USB_NAK;
    }
}

static enum usb_answer storage_out(struct usb_device *u, unsigned endpoint, const uint8_t *buf, size_t len)
{
    const struct storage_state *s = u->dev->state;

    (void)endpoint;
    if (is_busy(s))
        return USB_NAK;
    if (s->phase == PHASE_OUT)
        return take_data(u, buf, len);
    if (s->phase != PHASE_COMMAND)
        return USB_NAK;
    if (!is_wrapper(buf, len)) {
        give_up(u);
        return USB_STALL;
    }
    command(u, buf);
    return USB_ACK;
}

/* ---- the device ---- */

static void forget_command(struct usb_device *u)
{
    struct storage_state *s = u->dev->state;

    s->phase = PHASE_COMMAND;
    s->done_at = VTIME_NEVER;
    s->transfer = SCSI_NOTHING;
    s->len = s->moved = s->offset = 0;
    s->expected = 0;
    s->status = CSW_PASSED;
    usb_ready(u, EP_OUT);
}

/* A halt that stands for a bad wrapper ends with the reset only (5.3.4). */
static void storage_endpoint_reset(struct usb_device *u, unsigned endpoint)
{
    const struct storage_state *s = u->dev->state;

    if (s->phase == PHASE_BROKEN && (endpoint & 15u))
        usb_halt(u, endpoint);
    else
        usb_ready(u, endpoint);
}

static enum usb_answer storage_control(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    if ((r->type & (USB_REQUEST_KIND | USB_REQUEST_RECIPIENT)) != (USB_REQUEST_CLASS | USB_TO_INTERFACE) || r->index)
        return USB_STALL;
    if (r->request == REQUEST_MAX_LUN && (r->type & USB_REQUEST_IN)) {
        data[0] = 0;
        *len = 1;
        return USB_ACK;
    }
    if (r->request != REQUEST_RESET || (r->type & USB_REQUEST_IN))
        return USB_STALL;
    forget_command(u);
    return USB_ACK;
}

static const struct usb_class storage_class = {
    .product = "USB Storage", .vendor = 0x46f4, .product_id = 0x0001,
    .configurations = {[USB_FULL] = {full, sizeof(full)}, [USB_HIGH] = {high, sizeof(high)}, [USB_SUPER] = {super, sizeof(super)}},
    .reset = forget_command, .endpoint_reset = storage_endpoint_reset, .control = storage_control, .in = storage_in,
    .out = storage_out};

static void storage_reset(struct device *dev)
{
    struct storage *st = dev->wiring;
    struct storage_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    scsi_reset(&s->unit);
    usb_device_reset(&st->usb);
}

static vtime_t storage_deadline(const struct device *dev)
{
    const struct storage_state *s = dev->state;

    return s->done_at;
}

static void storage_expire(struct device *dev, vtime_t now)
{
    struct storage *st = dev->wiring;
    struct storage_state *s = dev->state;

    (void)now;
    s->done_at = VTIME_NEVER;
    usb_ready(&st->usb, EP_IN);
    usb_ready(&st->usb, EP_OUT);
}

static bool storage_possible(const struct device *dev)
{
    const struct storage_state *s = dev->state;

    if (!usb_possible(&s->usb) || s->phase >= PHASES || s->transfer > SCSI_FAILED || s->status > CSW_PHASE_ERROR ||
        !machine_deadline_possible(dev->machine, s->done_at) || s->offset > DRIVE_MAX_BYTES || s->len > UINT32_MAX)
        return false;
    if (s->transfer == SCSI_REPLY && s->len > SCSI_REPLY_BYTES)
        return false;
    if (s->transfer == SCSI_PARAMETERS && s->len > LIST_MOST)
        return false;
    if (s->phase == PHASE_IN && (!wants_in(s->transfer) || s->moved > s->len))
        return false;
    return s->moved <= s->expected;
}

static void storage_describe(const struct device *dev, struct buffer *b)
{
    static const char *const phases[PHASES] = {"waits for a command", "sends data", "takes data", "has a status to tell",
                                               "waits for reset recovery"};
    const struct storage *st = dev->wiring;
    const struct storage_state *s = dev->state;

    usb_describe_state(&st->usb, b);
    buffer_printf(b, "drive %s, %s%s\n", st->drive->name, phases[s->phase], is_busy(s) ? ", busy" : "");
}

/* Version 1 had a unit as scsi_unit_of_old() knows it. */
static bool storage_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct storage_state *s = dev->state;
    size_t head = offsetof(struct storage_state, unit), tail = sizeof(*s) - offsetof(struct storage_state, done_at);
    const uint8_t *from = old;

    if (version != 1 || len != head + SCSI_UNIT_OLD + tail)
        return false;
    memcpy(s, from, head);
    memcpy(&s->done_at, from + head + scsi_unit_of_old(&s->unit, from + head), tail);
    return true;
}

static const struct device_ops ops = {
    .name = "usb-storage",
    .state_size = sizeof(struct storage_state),
    .state_version = 2,
    .upgrade = storage_upgrade,
    .possible = storage_possible,
    .reset = storage_reset,
    .deadline = storage_deadline,
    .expire = storage_expire,
    .describe = storage_describe,
};

const struct option_key usb_storage_keys[] = {USB_KEYS, DISK_BLOCK_KEYS, DISK_IO_KEYS, {NULL, NULL}};

int usb_storage_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err)
{
    struct device *dev;
    struct storage *st;
    char path[BOOT_PATH_BYTES];

    (void)devfn;
    if (disk_props_take(d, DISK_USB, props, err) < 0)
        return err->code;
    dev = machine_add_owned_device(s->machine, &ops, name, sizeof(struct storage));
    st = dev->wiring;
    st->drive = d;
    snprintf(st->usb.serial, sizeof(st->usb.serial), "%.31s", d->serial);
    if (usb_plug(&st->usb, s, dev, &storage_class, props, err) < 0)
        return err->code;
    d->wiring = dev;
    if (usb_firmware_path(&st->usb, s, path, sizeof(path)))
        parts_boots(s, parts_drive_kind(d), path, "/storage@%x/channel@0/disk@0,0", st->usb.port->n + 1);
    return 0;
}
