/*
 * The Intel 82077AA floppy disk controller (290166) of a PC/AT (IDENT high), with two drives.
 *
 * Of a medium's format an image knows the data alone: sectors of 512 bytes, numbered from 1 on each track, in MFM at the
 * rate of its size. Marks of deleted data are kept besides it, until the medium is changed. FORMAT TRACK fills those of the
 * sectors that it lays out that an image has.
 *
 * Time is what the drive's configuration says (drive_duration()), a latency for a seek, and for the first sector of a
 * command; so SPECIFY's rates are kept and decide nothing. Where a track's sectors are under the head (READ ID) goes with virtual
 * time. A host that does not serve a request gets it again for a second, before it is an overrun.
 *
 * Drives have no READY line: on one without a medium, or whose motor stands, a command waits for index pulses that do
 * not come, until a reset.
 *
 * Not modelled: the tape drive register and precompensation (kept), registers A and B of the PS/2 modes (nobody
 * drives them), power down (kept). The drive that a command names is the one it works on, whichever DOR selects.
 *
 * To add a command: its line in commands[].
 */
#include "i386/pc/fdc.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "i386/pc/dma.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum { PORT_SRA, PORT_SRB, PORT_DOR, PORT_TDR, PORT_MSR, PORT_FIFO }; /* MSR is written as DSR */

#define DOR_SELECT  0x03u
#define DOR_RUN     0x04u /* not reset */
#define DOR_GATE    0x08u
#define DOR_MOTOR   0x10u /* of drive 0 */
#define MSR_BUSY    0x10u
#define MSR_NON_DMA 0x20u
#define MSR_DIO     0x40u
#define MSR_RQM     0x80u
#define DSR_RESET   0x80u
#define RATE        0x03u
#define DIR_CHANGE  0x80u

#define ST0_ABNORMAL  0x40u
#define ST0_INVALID   0x80u
#define ST0_POLLED    0xc0u
#define ST0_SEEK_END  0x20u
#define ST0_EQUIPMENT 0x10u
#define ST1_END       0x80u /* of cylinder */
#define ST1_DATA      0x20u
#define ST1_OVERRUN   0x10u
#define ST1_NO_DATA   0x04u
#define ST1_PROTECTED 0x02u
#define ST1_NO_MARK   0x01u
#define ST2_CONTROL   0x40u
#define ST2_DATA      0x20u
#define ST2_CYLINDER  0x10u
#define ST2_EQUAL     0x08u
#define ST2_NOT_MET   0x04u
#define ST2_BAD_CYLINDER 0x02u
#define ST3_FIXED     0x28u
#define ST3_PROTECTED 0x40u
#define ST3_TRACK0    0x10u

#define CONFIG_SEEK    0x40u /* implied */
#define CONFIG_NO_FIFO 0x20u
#define CONFIG_NO_POLL 0x10u
#define FIFO_BYTES     16u

#define MT  0x80u
#define MFM 0x40u
#define SK  0x20u

#define UNITS          4u   /* as the controller counts */
#define LAST_CYLINDER  83u  /* where the heads stop */
#define MOST_STEPS     79   /* of RECALIBRATE */
#define SECTOR         512u
#define MOST_SECTORS   5760u
#define POLL_NS        30000u
#define RETRY_NS       500000u
#define PATIENCE_NS    1000000000u
#define NEVER          VTIME_NEVER

enum phase { PHASE_COMMAND, PHASE_BUSY, PHASE_IN, PHASE_OUT, PHASE_RESULT, PHASES };
/* What a busy controller does when its deadline comes. */
enum next { NEXT_SECTOR, NEXT_BURST, NEXT_ID, NEXTS };
enum { READ_TRACK = 0x02, WRITE_DATA = 0x05, READ_DATA = 0x06, WRITE_DELETED = 0x09, READ_DELETED = 0x0c, FORMAT = 0x0d,
       SCAN_EQUAL = 0x11, VERIFY = 0x16, SCAN_LOW = 0x19, SCAN_HIGH = 0x1d };

DEVICE_STATE_BEGIN
struct fdc_unit {
    uint64_t seek_at;    /* vtime at which the seek ends, or NEVER */
    uint8_t pcn;         /* the controller's idea of the cylinder */
    uint8_t at;          /* where the heads are */
    uint8_t new_pcn, new_at, new_st0; /* when the seek ends */
    uint8_t waiting;     /* an interrupt status waits for SENSE INTERRUPT: */
    uint8_t st0;
    uint8_t sought;      /* since the last SENSE INTERRUPT: the busy bit of MSR */
};

struct fdc_state {
    struct fdc_unit unit[UNITS];
    uint64_t done_at;    /* vtime of what is next, or NEVER */
    uint64_t poll_at;    /* after a reset: vtime of the interrupt, or NEVER */
    uint64_t patience;   /* vtime at which a request that is not served is an overrun */
    uint32_t seen[FDC_DRIVES]; /* drive_changes() */
    uint16_t position, length; /* in `buffer` */
    uint16_t burst;      /* bytes that the FIFO still takes or gives in this request */
    uint16_t count;      /* sectors that were done (FORMAT, READ TRACK, VERIFY) */
    uint8_t dor, dsr, tdr, rate;
    uint8_t line;        /* INT */
    uint8_t phase, next; /* enum phase, enum next */
    uint8_t command[9], ncommand;
    uint8_t result[10], nresult, taken;
    uint8_t config, pretrack, locked, specify[2], perpendicular, eot;
    uint8_t c, h, r, n;  /* the ID that is looked for */
    uint8_t st1, st2;
    uint8_t changed[FDC_DRIVES]; /* DSKCHG */
    uint8_t last_sector; /* in this command no other follows */
    uint8_t head;        /* the side that it is on */
    uint8_t reserved[2];
    uint8_t deleted[FDC_DRIVES][MOST_SECTORS / 8];
    uint8_t buffer[SECTOR], disk[SECTOR]; /* `disk`: what SCAN compares with */
};
DEVICE_STATE_END

/* ---- media ---- */

/* A medium in its drive. */
struct format {
    struct drive_geometry g;
    uint8_t rate;        /* as in DSR */
    uint8_t steps;       /* of the heads from one cylinder to the next */
    uint64_t revolution; /* ns */
};

static bool format_of(const struct drive *d, enum fdc_kind kind, struct format *f)
{
    *f = (struct format){.g = drive_geometry(d), .steps = 1, .revolution = 200000000};
    if (d->c.empty || !f->g.cylinders)
        return false;
    f->rate = f->g.sectors == 36 ? 3 : f->g.sectors >= 15 ? 0 : 2;
    if (kind == FDC_1200K) {
        f->revolution = 166666667;
        f->steps = f->g.cylinders == 40 ? 2 : 1;
        f->rate = f->g.cylinders == 40 ? 1 : 0;
    }
    return true;
}

static enum fdc_kind kind_for(uint64_t size)
{
    if (size && size <= 360 << 10)
        return FDC_360K;
    if (size == 1200 << 10)
        return FDC_1200K;
    return size < 2880 << 10 ? FDC_1440K : FDC_2880K;
}

/* Can the drive read such a medium? */
static bool fits(const struct drive *d, uint64_t size)
{
    const struct fdc_wiring *w = ((const struct device *)d->wiring)->wiring;
    enum fdc_kind kind = d == w->drive[0] ? w->kind[0] : w->kind[1], needed = kind_for(size);

    if (kind == FDC_1200K)
        return needed <= FDC_1200K;
    return kind == FDC_2880K ? needed >= FDC_720K : needed == kind;
}

int fdc_plug(struct device *dev, struct drive *d, unsigned place, struct error *err)
{
    struct fdc_wiring *w = dev->wiring;

    if (place >= FDC_DRIVES)
        return error_set(err, -EINVAL, "index=%u: there are floppy drives 0 and 1", place);
    if (w->drive[place])
        return error_set(err, -EINVAL, "index=%u: there is a floppy drive already", place);
    if (!d->c.empty && !drive_geometry(d).cylinders)
        return error_set(err, -EINVAL, "%llu bytes: no drive reads a floppy of that format", (unsigned long long)d->c.size);
    w->drive[place] = d;
    w->kind[place] = kind_for(d->c.size);
    d->wiring = dev;
    d->fits = fits;
    return 0;
}

static struct drive *drive_of(const struct device *dev, unsigned n)
{
    const struct fdc_wiring *w = dev->wiring;

    return n < FDC_DRIVES ? w->drive[n] : NULL;
}

/* The user changed the medium since we looked: the latch of DSKCHG is set, and other marks are on it. */
static void see_medium(struct device *dev, unsigned n)
{
    struct fdc_state *s = dev->state;
    const struct drive *d = drive_of(dev, n);

    if (!d || drive_changes(d) == s->seen[n])
        return;
    s->seen[n] = drive_changes(d);
    s->changed[n] = 1;
    memset(s->deleted[n], 0, sizeof(s->deleted[n]));
}

/* Do index pulses come? */
static bool spins(const struct device *dev, unsigned n)
{
    const struct fdc_state *s = dev->state;
    const struct drive *d = drive_of(dev, n);

    return d && !d->c.empty && (s->dor & DOR_MOTOR << n);
}

/* ---- the command's drive ---- */

static unsigned opcode(const struct fdc_state *s)
{
    return s->command[0] & 0x1fu;
}

static unsigned unit_number(const struct fdc_state *s)
{
    return s->command[1] & 3u;
}

static unsigned side(const struct fdc_state *s)
{
    return s->command[1] >> 2 & 1u;
}

static struct drive *command_drive(const struct device *dev)
{
    return drive_of(dev, unit_number(dev->state));
}

static bool command_format(const struct device *dev, struct format *f)
{
    const struct fdc_wiring *w = dev->wiring;
    const struct drive *d = command_drive(dev);

    return d && format_of(d, w->kind[unit_number(dev->state)], f);
}

static bool is_write(const struct fdc_state *s)
{
    return opcode(s) == WRITE_DATA || opcode(s) == WRITE_DELETED || opcode(s) == FORMAT;
}

static bool is_scan(const struct fdc_state *s)
{
    return opcode(s) == SCAN_EQUAL || opcode(s) == SCAN_LOW || opcode(s) == SCAN_HIGH;
}

/* ---- phases ---- */

static void update_line(struct device *dev)
{
    struct fdc_wiring *w = dev->wiring;
    struct fdc_state *s = dev->state;

    line_set(&w->irq, s->line && (s->dor & DOR_GATE) && (s->dor & DOR_RUN));
}

static void set_int(struct device *dev, bool level)
{
    struct fdc_state *s = dev->state;

    s->line = level;
    update_line(dev);
}

static void request_dma(struct device *dev, bool level)
{
    const struct fdc_wiring *w = dev->wiring;
    const struct fdc_state *s = dev->state;

    dma_request(w->dma, FDC_CHANNEL, level && (s->dor & DOR_GATE));
}

static bool by_pio(const struct fdc_state *s)
{
    return s->specify[1] & 1u;
}

static void await_command(struct fdc_state *s)
{
    s->phase = PHASE_COMMAND;
    s->ncommand = 0;
    s->done_at = NEVER;
}

static void give_result(struct fdc_state *s, unsigned len)
{
    s->phase = PHASE_RESULT;
    s->nresult = (uint8_t)len;
    s->taken = 0;
    s->done_at = NEVER;
}

static void invalid(struct fdc_state *s)
{
    s->result[0] = ST0_INVALID;
    give_result(s, 1);
}

/* The result of a command about sectors. */
static void end_command(struct device *dev, uint8_t st0)
{
    struct fdc_state *s = dev->state;

    s->result[0] = (uint8_t)(st0 | s->head << 2 | unit_number(s));
    s->result[1] = s->st1;
    s->result[2] = s->st2;
    s->result[3] = s->c;
    s->result[4] = s->h;
    s->result[5] = s->r;
    s->result[6] = s->n;
    give_result(s, 7);
    request_dma(dev, false);
    set_int(dev, true);
}

static void fail(struct device *dev, uint8_t st1, uint8_t st2)
{
    struct fdc_state *s = dev->state;

    s->st1 |= st1;
    s->st2 |= st2;
    end_command(dev, ST0_ABNORMAL);
}

/* Busy for the drive's time of `len` bytes; `first`: with its latency. */
static void busy(struct device *dev, enum next next, uint64_t len, bool first)
{
    struct fdc_state *s = dev->state;
    const struct drive *d = command_drive(dev);
    vtime_t ns = drive_duration(d, len);

    s->phase = PHASE_BUSY;
    s->next = (uint8_t)next;
    s->done_at = machine_now(dev->machine) + (first ? ns : ns - drive_duration(d, 0) + 1);
}

/* ---- sectors ---- */

static uint32_t number_of(const struct format *f, unsigned cylinder, unsigned head, unsigned r)
{
    return (cylinder * f->g.heads + head) * f->g.sectors + r - 1;
}

static uint8_t *mark_of(struct fdc_state *s, uint32_t number, uint8_t *bit)
{
    *bit = (uint8_t)(1u << (number & 7u));
    return &s->deleted[unit_number(s)][number >> 3];
}

static bool is_deleted(struct fdc_state *s, uint32_t number)
{
    uint8_t bit;

    return *mark_of(s, number, &bit) & bit;
}

static void set_deleted(struct fdc_state *s, uint32_t number, bool deleted)
{
    uint8_t bit, *mark = mark_of(s, number, &bit);

    *mark = (uint8_t)(deleted ? *mark | bit : *mark & (uint8_t)~bit);
}

/* Are there address marks under the head, and of which cylinder? */
static bool marks_there(const struct device *dev, const struct format *f, unsigned *cylinder)
{
    const struct fdc_state *s = dev->state;
    unsigned at = s->unit[unit_number(s)].at;

    *cylinder = at / f->steps;
    return (s->command[0] & MFM) && s->rate == f->rate && at % f->steps == 0 && *cylinder < f->g.cylinders &&
           s->head < f->g.heads;
}

/* The sector that has the ID c, h, r, n. False: there is none, and the command has ended. */
static bool find_sector(struct device *dev, const struct format *f, uint32_t *number)
{
    struct fdc_state *s = dev->state;
    unsigned cylinder;

    if (!marks_there(dev, f, &cylinder)) {
        fail(dev, ST1_NO_MARK, 0);
        return false;
    }
    if (opcode(s) == READ_TRACK) {
        if (s->c != cylinder || s->h != side(s) || s->r != 1 || s->n != 2)
            s->st1 |= ST1_NO_DATA;
        *number = number_of(f, cylinder, side(s), s->count + 1u);
        return true;
    }
    if (s->c != cylinder) {
        fail(dev, ST1_NO_DATA, ST2_CYLINDER);
        return false;
    }
    if (s->h != s->head || s->n != 2 || !s->r || s->r > f->g.sectors) {
        fail(dev, ST1_NO_DATA, 0);
        return false;
    }
    *number = number_of(f, cylinder, s->head, s->r);
    return true;
}

/* The ID of the next sector (table 5-6). False: that was the last one up to EOT. */
static bool next_id(struct fdc_state *s)
{
    unsigned step = is_scan(s) && s->command[8] == 2 ? 2 : 1;
    bool more = s->r != s->eot && (step == 1 || s->r + 1u != s->eot);

    if (more) {
        s->r = (uint8_t)(s->r + step);
        return true;
    }
    s->r = 1;
    if (s->command[0] & MT) {
        s->h ^= 1u;
        if (!s->head) {
            s->head = 1;
            return true;
        }
    }
    s->c++;
    return false;
}

/* ---- a sector's end ---- */

/* All that there was to do is done. */
static void end_of_track(struct device *dev)
{
    const struct fdc_state *s = dev->state;

    if (is_scan(s) || opcode(s) == VERIFY || opcode(s) == READ_TRACK || opcode(s) == FORMAT)
        end_command(dev, 0);
    else
        fail(dev, ST1_END, 0);
}

static bool track_goes_on(struct device *dev, const struct format *f)
{
    struct fdc_state *s = dev->state;

    s->count++;
    if (opcode(s) == READ_TRACK)
        return s->count < s->eot && s->count < f->g.sectors;
    if (opcode(s) == FORMAT)
        return s->count < s->command[3];
    if (opcode(s) == VERIFY && (s->command[1] & 0x80u) && s->count == (s->command[8] ? s->command[8] : 256u)) {
        next_id(s);
        return false;
    }
    return next_id(s);
}

/* The sector is done; `ended`: the host's terminal count came with it. */
static void sector_done(struct device *dev, bool ended)
{
    struct fdc_state *s = dev->state;
    struct format f;
    bool more;

    if (!command_format(dev, &f)) { /* it was taken out */
        s->done_at = NEVER;
        s->phase = PHASE_BUSY;
        return;
    }
    if (s->last_sector) { /* the address is not moved on */
        end_command(dev, 0);
        return;
    }
    more = track_goes_on(dev, &f);
    if (ended)
        end_command(dev, 0);
    else if (more)
        busy(dev, NEXT_SECTOR, SECTOR, false);
    else
        end_of_track(dev);
}

/* ---- comparing (SCAN) ---- */

/* A byte of the host's against one of the disk's: ones match everything. */
static bool byte_meets(const struct fdc_state *s, uint8_t host, uint8_t disk)
{
    if (host == 0xff || disk == 0xff || host == disk)
        return true;
    return opcode(s) == SCAN_LOW ? disk < host : opcode(s) == SCAN_HIGH ? disk > host : false;
}

static void compare(struct device *dev, uint32_t len, bool ended)
{
    struct fdc_state *s = dev->state;
    bool met = true, equal = true;

    for (uint32_t i = 0; i < len; i++) {
        uint8_t host = s->buffer[i], disk = s->disk[i];

        met &= byte_meets(s, host, disk);
        equal &= host == 0xff || disk == 0xff || host == disk;
    }
    s->st2 &= (uint8_t)~(ST2_EQUAL | ST2_NOT_MET);
    s->st2 |= !met ? ST2_NOT_MET : equal ? ST2_EQUAL : 0;
    s->last_sector |= met;
    sector_done(dev, ended);
}

/* ---- data to and from the host ---- */

static void format_sector(struct device *dev, bool ended)
{
    struct fdc_state *s = dev->state;
    const uint8_t *id = s->buffer;
    struct format f;
    unsigned cylinder;
    uint8_t fill[SECTOR];

    memset(fill, s->command[5], sizeof(fill));
    s->c = id[0];
    s->h = id[1];
    s->r = id[2];
    s->n = id[3];
    if (command_format(dev, &f) && marks_there(dev, &f, &cylinder) && s->c == cylinder && s->h == side(s) && s->n == 2 &&
        s->r && s->r <= f.g.sectors) {
        uint32_t number = number_of(&f, cylinder, side(s), s->r);

        drive_write(command_drive(dev), (uint64_t)number * SECTOR, fill, SECTOR, NULL);
        set_deleted(s, number, false);
    }
    sector_done(dev, ended);
}

/* `len` bytes came from the host. */
static void host_gave(struct device *dev, uint32_t len, bool ended)
{
    struct fdc_state *s = dev->state;
    struct format f;
    uint32_t number;

    if (is_scan(s)) {
        compare(dev, len, ended);
        return;
    }
    if (opcode(s) == FORMAT) {
        format_sector(dev, ended);
        return;
    }
    memset(s->buffer + len, 0, SECTOR - len);
    if (!command_format(dev, &f)) {
        sector_done(dev, ended);
        return;
    }
    if (!find_sector(dev, &f, &number))
        return;
    if (drive_write(command_drive(dev), (uint64_t)number * SECTOR, s->buffer, SECTOR, NULL) != DRIVE_OK) {
        fail(dev, ST1_NO_DATA, 0);
        return;
    }
    set_deleted(s, number, opcode(s) == WRITE_DELETED);
    sector_done(dev, ended);
}

/* The FIFO has so many bytes for the host, or room for them. */
static void offer_burst(struct device *dev)
{
    struct fdc_state *s = dev->state;
    unsigned most = s->config & CONFIG_NO_FIFO ? 1 : FIFO_BYTES - (s->config & 15u), left = s->length - s->position;

    s->burst = (uint16_t)(left < most ? left : most);
    s->phase = is_write(s) || is_scan(s) ? PHASE_OUT : PHASE_IN;
    s->done_at = NEVER;
    set_int(dev, true);
}

/* By DMA, all of it at once; or not yet. */
static void serve_by_dma(struct device *dev)
{
    const struct fdc_wiring *w = dev->wiring;
    struct fdc_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);
    bool ended = false;
    uint32_t n = 0;

    if (s->dor & DOR_GATE)
        n = dma_transfer(w->dma, FDC_CHANNEL, s->buffer, s->length, &ended);
    if (n < s->length && !ended) {
        if (now >= s->patience) {
            fail(dev, ST1_OVERRUN, 0);
            return;
        }
        request_dma(dev, true);
        s->done_at = now + RETRY_NS;
        return;
    }
    request_dma(dev, false);
    s->patience = now + PATIENCE_NS;
    if (is_write(s) || is_scan(s))
        host_gave(dev, n, ended);
    else
        sector_done(dev, ended);
}

static void exchange(struct device *dev, uint32_t len)
{
    struct fdc_state *s = dev->state;

    s->length = (uint16_t)len;
    s->position = 0;
    if (by_pio(s))
        offer_burst(dev);
    else
        serve_by_dma(dev);
}

/* A byte went through the FIFO. */
static void byte_passed(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->burst--;
    if (s->position == s->length) {
        set_int(dev, false);
        if (is_write(s) || is_scan(s))
            host_gave(dev, s->length, false);
        else
            sector_done(dev, false);
    } else if (!s->burst) {
        set_int(dev, false);
        busy(dev, NEXT_BURST, FIFO_BYTES, false);
    }
}

/* ---- the next sector ---- */

/* Is it of the kind that the command is about? False: it was skipped. */
static bool take_mark(struct device *dev, uint32_t number)
{
    struct fdc_state *s = dev->state;
    unsigned op = opcode(s);

    if ((op != READ_DATA && op != READ_DELETED && op != VERIFY && !is_scan(s)) || is_deleted(s, number) == (op == READ_DELETED))
        return true;
    s->st2 |= ST2_CONTROL;
    if (s->command[0] & SK) {
        sector_done(dev, false);
        return false;
    }
    s->last_sector = 1;
    return true;
}

static void sector_due(struct device *dev)
{
    struct fdc_state *s = dev->state;
    struct drive *d = command_drive(dev);
    struct format f;
    uint32_t number;

    if (opcode(s) == FORMAT) {
        exchange(dev, 4);
        return;
    }
    if (!command_format(dev, &f)) {
        s->done_at = NEVER;
        return;
    }
    if (!find_sector(dev, &f, &number) || !take_mark(dev, number))
        return;
    if (!is_write(s) &&
        drive_read(d, (uint64_t)number * SECTOR, is_scan(s) ? s->disk : s->buffer, SECTOR, NULL) != DRIVE_OK) {
        fail(dev, ST1_DATA, ST2_DATA);
        return;
    }
    if (opcode(s) == VERIFY)
        sector_done(dev, false);
    else
        exchange(dev, SECTOR);
}

/* READ ID: the one that comes under the head. */
static void id_due(struct device *dev)
{
    struct fdc_state *s = dev->state;
    struct format f;
    unsigned cylinder;

    if (!command_format(dev, &f)) {
        s->done_at = NEVER;
        return;
    }
    if (!marks_there(dev, &f, &cylinder)) {
        fail(dev, ST1_NO_MARK, 0);
        return;
    }
    s->c = (uint8_t)cylinder;
    s->h = (uint8_t)side(s);
    s->r = (uint8_t)(machine_now(dev->machine) % f.revolution * f.g.sectors / f.revolution + 1);
    s->n = 2;
    end_command(dev, 0);
}

/* ---- seeks ---- */

static unsigned step(unsigned at, int steps)
{
    int to = (int)at + steps;

    return to < 0 ? 0 : to > (int)LAST_CYLINDER ? LAST_CYLINDER : (unsigned)to;
}

/* The heads move: the latch of a medium that is there is reset by a step. */
static void start_seek(struct device *dev, uint8_t pcn, int steps, uint8_t st0)
{
    struct fdc_state *s = dev->state;
    unsigned n = unit_number(s);
    struct fdc_unit *u = &s->unit[n];
    const struct drive *d = drive_of(dev, n);

    see_medium(dev, n);
    u->new_pcn = pcn;
    u->new_at = (uint8_t)(d ? step(u->at, steps) : 0);
    u->new_st0 = (uint8_t)(st0 | side(s) << 2 | n);
    u->sought = 1;
    u->seek_at = machine_now(dev->machine) + (d ? drive_duration(d, 0) : DRIVE_LATENCY_NS);
    if (d && !d->c.empty && steps)
        s->changed[n] = 0;
}

static void seek_ended(struct device *dev, unsigned n)
{
    struct fdc_state *s = dev->state;
    struct fdc_unit *u = &s->unit[n];

    u->seek_at = NEVER;
    u->pcn = u->new_pcn;
    u->at = u->new_at;
    u->st0 = u->new_st0;
    u->waiting = 1;
    set_int(dev, true);
}

static void seek(struct device *dev)
{
    struct fdc_state *s = dev->state;

    start_seek(dev, s->command[2], (int)s->command[2] - s->unit[unit_number(s)].pcn, ST0_SEEK_END);
    await_command(s);
}

static void relative_seek(struct device *dev)
{
    struct fdc_state *s = dev->state;
    int steps = s->command[0] & 0x40u ? s->command[2] : -(int)s->command[2];

    start_seek(dev, (uint8_t)(s->unit[unit_number(s)].pcn + steps), steps, ST0_SEEK_END);
    await_command(s);
}

/* Outwards until TRACK 0 is seen, at most so many steps. */
static void recalibrate(struct device *dev)
{
    struct fdc_state *s = dev->state;
    int at = s->unit[unit_number(s)].at;
    bool found = command_drive(dev) && at <= MOST_STEPS;

    start_seek(dev, 0, at < MOST_STEPS ? -at : -MOST_STEPS,
               (uint8_t)(ST0_SEEK_END | (found ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT)));
    await_command(s);
}

/* ---- other commands ---- */

static void specify(struct device *dev)
{
    struct fdc_state *s = dev->state;

    memcpy(s->specify, s->command + 1, 2);
    await_command(s);
}

static void sense_drive(struct device *dev)
{
    struct fdc_state *s = dev->state;
    const struct drive *d = command_drive(dev);

    s->result[0] = (uint8_t)(ST3_FIXED | (s->command[1] & 7u));
    if (d && (d->c.read_only || d->c.empty))
        s->result[0] |= ST3_PROTECTED;
    if (d && !s->unit[unit_number(s)].at)
        s->result[0] |= ST3_TRACK0;
    give_result(s, 1);
}

static void sense_interrupt(struct device *dev)
{
    struct fdc_state *s = dev->state;
    bool more = false;
    unsigned n = 0;

    while (n < UNITS && !s->unit[n].waiting)
        n++;
    if (n == UNITS) {
        invalid(s);
        return;
    }
    s->result[0] = s->unit[n].st0;
    s->result[1] = s->unit[n].pcn;
    s->unit[n].waiting = s->unit[n].sought = 0;
    for (unsigned i = 0; i < UNITS; i++)
        more |= s->unit[i].waiting && (s->unit[i].st0 & ST0_SEEK_END);
    give_result(s, 2);
    set_int(dev, false);
    set_int(dev, more);
}

static void dump_registers(struct device *dev)
{
    struct fdc_state *s = dev->state;

    for (unsigned n = 0; n < UNITS; n++)
        s->result[n] = s->unit[n].pcn;
    s->result[4] = s->specify[0];
    s->result[5] = s->specify[1];
    s->result[6] = s->eot;
    s->result[7] = (uint8_t)((s->locked ? 0x80u : 0) | (s->perpendicular & 0x3fu));
    s->result[8] = s->config;
    s->result[9] = s->pretrack;
    give_result(s, 10);
}

static void version(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->result[0] = 0x90;
    give_result(s, 1);
}

static void lock(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->locked = s->command[0] >> 7;
    s->result[0] = (uint8_t)(s->locked << 4);
    give_result(s, 1);
}

static void configure(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->config = s->command[2] & 0x7fu;
    s->pretrack = s->command[3];
    await_command(s);
}

/* OW, D3-D0, GAP, WGATE: the drive bits change with OW only. */
static void perpendicular_mode(struct device *dev)
{
    struct fdc_state *s = dev->state;
    uint8_t drives = s->command[1] & 0x80u ? s->command[1] & 0x3cu : s->perpendicular & 0x3cu;

    s->perpendicular = (uint8_t)(drives | (s->command[1] & 3u));
    await_command(s);
}

/* ---- commands about sectors ---- */

/* `first`: what comes when the heads are there. Without index pulses it never does. */
static void start(struct device *dev, enum next first, uint64_t len)
{
    struct fdc_state *s = dev->state;
    const struct drive *d = command_drive(dev);

    see_medium(dev, unit_number(s));
    s->st1 = s->st2 = 0;
    s->head = (uint8_t)side(s);
    s->count = 0;
    s->last_sector = 0;
    s->patience = machine_now(dev->machine) + PATIENCE_NS;
    if (!spins(dev, unit_number(s))) {
        s->phase = PHASE_BUSY;
        s->next = (uint8_t)first;
        s->done_at = NEVER;
    } else if (is_write(s) && d->c.read_only) {
        fail(dev, ST1_PROTECTED, 0);
    } else {
        busy(dev, first, len, true);
    }
}

static void transfer(struct device *dev)
{
    struct fdc_state *s = dev->state;
    struct fdc_unit *u = &s->unit[unit_number(s)];

    s->c = s->command[2];
    s->h = s->command[3];
    s->r = s->command[4];
    s->n = s->command[5];
    s->eot = s->command[6];
    if ((s->config & CONFIG_SEEK) && s->c != u->pcn) { /* implied: without an interrupt of its own */
        int steps = (int)s->c - u->pcn;

        u->at = (uint8_t)(command_drive(dev) ? step(u->at, steps) : 0);
        u->pcn = s->c;
        if (unit_number(s) < FDC_DRIVES && command_drive(dev) && !command_drive(dev)->c.empty)
            s->changed[unit_number(s)] = 0;
    }
    start(dev, NEXT_SECTOR, SECTOR);
}

static void format_track(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->eot = s->command[3];
    s->c = s->unit[unit_number(s)].pcn;
    s->h = (uint8_t)side(s);
    s->r = 1;
    s->n = s->command[2];
    if (!s->command[3]) {
        s->st1 = s->st2 = 0;
        s->head = (uint8_t)side(s);
        end_command(dev, 0);
        return;
    }
    start(dev, NEXT_SECTOR, SECTOR);
}

static void read_id(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->c = s->unit[unit_number(s)].pcn;
    s->h = (uint8_t)side(s);
    s->r = 1;
    s->n = 2;
    start(dev, NEXT_ID, 0);
}

/* Table 5-1. `flags` are those of the first byte's upper bits that it may have besides `op`. */
static const struct command {
    uint8_t op, flags, len;
    void (*begin)(struct device *);
} commands[] = {
    {READ_TRACK, MFM, 9, transfer},
    {0x03, 0, 3, specify},
    {0x04, 0, 2, sense_drive},
    {WRITE_DATA, MT | MFM, 9, transfer},
    {READ_DATA, MT | MFM | SK, 9, transfer},
    {0x07, 0, 2, recalibrate},
    {0x08, 0, 1, sense_interrupt},
    {WRITE_DELETED, MT | MFM, 9, transfer},
    {0x0a, MFM, 2, read_id},
    {READ_DELETED, MT | MFM | SK, 9, transfer},
    {FORMAT, MFM, 6, format_track},
    {0x0e, 0, 1, dump_registers},
    {0x0f, 0, 3, seek},
    {0x8f, 0x40, 3, relative_seek},
    {0x10, 0, 1, version},
    {SCAN_EQUAL, MT | MFM | SK, 9, transfer},
    {0x12, 0, 2, perpendicular_mode},
    {0x13, 0, 4, configure},
    {0x14, 0x80, 1, lock},
    {VERIFY, MT | MFM | SK, 9, transfer},
    {SCAN_LOW, MT | MFM | SK, 9, transfer},
    {SCAN_HIGH, MT | MFM | SK, 9, transfer},
};

static const struct command *find_command(uint8_t first)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].op == (first & (uint8_t)~commands[i].flags))
            return &commands[i];
    return NULL;
}

static void take_command_byte(struct device *dev, uint8_t value)
{
    struct fdc_state *s = dev->state;
    const struct command *c;

    s->command[s->ncommand++] = value;
    c = find_command(s->command[0]);
    if (!c)
        invalid(s);
    else if (s->ncommand == c->len)
        c->begin(dev);
}

/* ---- reset ---- */

/* `hard`: by the board's RESET line. */
static void reset_controller(struct device *dev, bool hard)
{
    struct fdc_state *s = dev->state;

    await_command(s);
    s->poll_at = NEVER;
    for (unsigned n = 0; n < UNITS; n++) {
        struct fdc_unit *u = &s->unit[n];

        *u = (struct fdc_unit){.seek_at = NEVER, .at = u->at};
    }
    if (hard || !s->locked) {
        s->config = CONFIG_NO_FIFO;
        s->pretrack = 0;
    } else {
        s->config &= CONFIG_NO_FIFO | 15u;
    }
    s->perpendicular &= 0x3cu; /* GAP and WGATE */
    s->locked = hard ? 0 : s->locked;
    request_dma(dev, false);
    set_int(dev, false);
}

/* Out of reset: all drives are found to have changed their readiness. */
static void begin_polling(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->poll_at = s->config & CONFIG_NO_POLL ? NEVER : machine_now(dev->machine) + POLL_NS;
}

static void polled(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->poll_at = NEVER;
    for (unsigned n = 0; n < UNITS; n++) {
        s->unit[n].waiting = 1;
        s->unit[n].st0 = (uint8_t)(ST0_POLLED | n);
    }
    set_int(dev, true);
}

static void fdc_reset(struct device *dev)
{
    struct fdc_state *s = dev->state;
    bool first = !s->unit[0].seek_at; /* never powered before */

    s->dor = s->tdr = 0;
    s->dsr = s->rate = 2; /* 250 kb/s */
    s->specify[0] = s->specify[1] = s->perpendicular = s->eot = 0;
    reset_controller(dev, true);
    for (unsigned n = 0; first && n < FDC_DRIVES; n++) {
        s->changed[n] = 1;
        s->seen[n] = drive_of(dev, n) ? drive_changes(drive_of(dev, n)) : 0;
    }
}

void fdc_firmware_setup(struct device *dev)
{
    struct fdc_state *s = dev->state;

    s->dor = DOR_RUN | DOR_GATE;
}

/* ---- registers ---- */

static uint8_t main_status(const struct fdc_state *s)
{
    static const uint8_t of_phase[PHASES] = {
        [PHASE_COMMAND] = MSR_RQM, [PHASE_BUSY] = MSR_BUSY, [PHASE_IN] = MSR_RQM | MSR_DIO | MSR_NON_DMA | MSR_BUSY,
        [PHASE_OUT] = MSR_RQM | MSR_NON_DMA | MSR_BUSY, [PHASE_RESULT] = MSR_RQM | MSR_DIO | MSR_BUSY,
    };
    uint8_t value = of_phase[s->phase];

    if (!(s->dor & DOR_RUN))
        return 0;
    if (s->phase == PHASE_COMMAND && s->ncommand)
        value |= MSR_BUSY;
    if (s->phase == PHASE_BUSY && by_pio(s))
        value |= MSR_NON_DMA;
    for (unsigned n = 0; n < UNITS; n++)
        value |= (uint8_t)(s->unit[n].sought << n);
    return value;
}

static uint8_t read_fifo(struct device *dev)
{
    struct fdc_state *s = dev->state;
    uint8_t value;

    if (s->phase == PHASE_IN) {
        value = s->buffer[s->position++];
        byte_passed(dev);
        return value;
    }
    if (s->phase != PHASE_RESULT)
        return 0;
    value = s->result[s->taken++];
    if (s->nresult == 7 && s->taken == 1)
        set_int(dev, false);
    if (s->taken == s->nresult)
        await_command(s);
    return value;
}

static void write_fifo(struct device *dev, uint8_t value)
{
    struct fdc_state *s = dev->state;

    if (!(s->dor & DOR_RUN))
        return;
    if (s->phase == PHASE_COMMAND) {
        take_command_byte(dev, value);
    } else if (s->phase == PHASE_OUT) {
        s->buffer[s->position++] = value;
        byte_passed(dev);
    }
}

static void write_dor(struct device *dev, uint8_t value)
{
    struct fdc_state *s = dev->state;
    uint8_t before = s->dor;

    s->dor = value;
    if ((before & DOR_RUN) && !(value & DOR_RUN))
        reset_controller(dev, false);
    if (!(before & DOR_RUN) && (value & DOR_RUN))
        begin_polling(dev);
    update_line(dev);
}

static void write_dsr(struct device *dev, uint8_t value)
{
    struct fdc_state *s = dev->state;

    s->dsr = value & 0x7fu;
    s->rate = value & RATE;
    if ((value & DSR_RESET) && (s->dor & DOR_RUN)) {
        reset_controller(dev, false);
        begin_polling(dev);
    }
}

/* DSKCHG of the drive that DOR selects; the bus's other lines are nobody's. */
static uint8_t digital_input(struct device *dev)
{
    struct fdc_state *s = dev->state;
    unsigned n = s->dor & DOR_SELECT;
    const struct drive *d = drive_of(dev, n);

    if (!d)
        return (uint8_t)~DIR_CHANGE;
    see_medium(dev, n);
    return (uint8_t)(d->c.empty || s->changed[n] ? 0xff : (uint8_t)~DIR_CHANGE);
}

static uint64_t fdc_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct fdc_state *s = dev->state;

    (void)size;
    if (range == FDC_INPUT)
        return digital_input(dev);
    switch (offset) {
    case PORT_DOR:
        return s->dor;
    case PORT_TDR:
        return 0xfcu | s->tdr;
    case PORT_MSR:
        return main_status(s);
    case PORT_FIFO:
        return read_fifo(dev);
    default:
        return UINT64_MAX;
    }
}

static void fdc_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct fdc_state *s = dev->state;

    (void)size;
    if (range == FDC_INPUT) { /* CCR */
        s->rate = value & RATE;
        return;
    }
    switch (offset) {
    case PORT_DOR:
        write_dor(dev, (uint8_t)value);
        break;
    case PORT_TDR:
        s->tdr = value & 3u;
        break;
    case PORT_MSR:
        write_dsr(dev, (uint8_t)value);
        break;
    case PORT_FIFO:
        write_fifo(dev, (uint8_t)value);
        break;
    default:
        break;
    }
}

/* ---- device ---- */

static vtime_t fdc_deadline(const struct device *dev)
{
    const struct fdc_state *s = dev->state;
    vtime_t t = s->done_at < s->poll_at ? s->done_at : s->poll_at;

    for (unsigned n = 0; n < UNITS; n++)
        t = s->unit[n].seek_at < t ? s->unit[n].seek_at : t;
    return t;
}

static void fdc_expire(struct device *dev, vtime_t now)
{
    struct fdc_state *s = dev->state;

    if (s->poll_at <= now)
        polled(dev);
    for (unsigned n = 0; n < UNITS; n++)
        if (s->unit[n].seek_at <= now)
            seek_ended(dev, n);
    if (s->done_at > now)
        return;
    if (s->next == NEXT_SECTOR)
        sector_due(dev);
    else if (s->next == NEXT_BURST)
        offer_burst(dev);
    else
        id_due(dev);
}

static bool unit_possible(const struct fdc_unit *u)
{
    return u->at <= LAST_CYLINDER && u->new_at <= LAST_CYLINDER && u->sought <= 1;
}

static bool fdc_possible(const struct device *dev)
{
    const struct fdc_state *s = dev->state;

    for (unsigned n = 0; n < UNITS; n++)
        if (!unit_possible(&s->unit[n]) || !machine_deadline_possible(dev->machine, s->unit[n].seek_at))
            return false;
    if (s->phase >= PHASES || s->next >= NEXTS || s->ncommand > sizeof(s->command) || s->nresult > sizeof(s->result) ||
        !machine_deadline_possible(dev->machine, s->done_at) || !machine_deadline_possible(dev->machine, s->poll_at) ||
        s->rate > RATE || s->head > 1)
        return false;
    if (s->phase == PHASE_COMMAND)
        return s->ncommand < sizeof(s->command) && s->done_at == NEVER;
    if (s->phase == PHASE_RESULT)
        return s->taken < s->nresult && s->done_at == NEVER;
    if (s->phase == PHASE_IN || s->phase == PHASE_OUT || (s->phase == PHASE_BUSY && s->next == NEXT_BURST && s->done_at != NEVER))
        return s->position < s->length && s->length <= SECTOR && s->burst <= s->length - s->position &&
               (s->burst || s->phase == PHASE_BUSY) && command_drive(dev);
    return s->phase != PHASE_BUSY || s->done_at == NEVER || command_drive(dev);
}

static void fdc_describe(const struct device *dev, struct buffer *b)
{
    static const char *const names[PHASES] = {"idle", "busy", "data to the host", "data from the host", "result"};
    const struct fdc_state *s = dev->state;

    buffer_printf(b, "%s, dor %02x msr %02x rate %u config %02x\n", names[s->phase], s->dor, main_status(s), s->rate,
                  s->config);
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        if (drive_of(dev, n))
            buffer_printf(b, "drive %u (%s): cylinder %u%s%s\n", n, drive_of(dev, n)->name, s->unit[n].at,
                          s->dor & DOR_MOTOR << n ? ", motor on" : "", s->changed[n] ? ", changed" : "");
}

const struct device_ops fdc_ops = {
    .name = "fdc",
    .state_size = sizeof(struct fdc_state),
    .reset = fdc_reset,
    .deadline = fdc_deadline,
    .expire = fdc_expire,
    .possible = fdc_possible,
    .describe = fdc_describe,
    .read = fdc_read,
    .write = fdc_write,
};
