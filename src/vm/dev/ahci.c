/*
 * The AHCI host adapter of the ICH9 (Serial ATA AHCI 1.3; Intel 316972, 15), six ports. What devices make of a command is
 * in ata.c and scsi.c.
 *
 * A port does one command at a time: it fetches the next one when the one before it is done, and a command takes what
 * drive_duration() says. Its data move when it ends. (10.5: of those that wait, the first from slot 0 on when the port is started,
 * then the next one behind the one before.) A memory error is fatal: the port stops until it is started anew. Queued commands
 * (Serial ATA 2.6, 13.6) are taken by the disk at once, and done one after the other, in the order of their tags, from the last one
 * on round.
 *
 * Not modelled: port multipliers, enclosure management, command completion
 * coalescing, FIS-based switching, power management of the link, staggered spin-up, hot plug, the index and data ports of BAR 4.
 */
#include "vm/dev/ahci.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/ata.h"
#include "vm/dev/disk_props.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

#define PORTS      6u
#define SLOTS      32u
#define RANGE_HBA  1u
#define HBA_BYTES  0x1000u
#define PORT_AT    0x100u
#define PORT_BYTES 0x80u

enum { H_CAP = 0x00, H_GHC = 0x04, H_IS = 0x08, H_PI = 0x0c, H_VS = 0x10, H_CAP2 = 0x24 };
enum { P_CLB = 0x00, P_CLBU = 0x04, P_FB = 0x08, P_FBU = 0x0c, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20,
       P_SIG = 0x24, P_SSTS = 0x28, P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38 };

#define CAP_SNCQ 0x40000000u
#define CAP_SCLO 0x01000000u
/* 64-bit addresses, queueing, command list override, all ports 3 Gb/s, AHCI only, 32 slots. */
#define CAP (0x80000000u | CAP_SNCQ | CAP_SCLO | 2u << 20 | 1u << 18 | (SLOTS - 1) << 8 | (PORTS - 1))
#define GHC_AE 0x80000000u
#define GHC_IE 0x00000002u
#define GHC_HR 0x00000001u

#define CMD_ST  0x00000001u
#define CMD_SUD 0x00000002u
#define CMD_POD 0x00000004u
#define CMD_CLO 0x00000008u
#define CMD_FRE 0x00000010u
#define CMD_FR  0x00004000u
#define CMD_CR  0x00008000u
#define CMD_ATAPI 0x01000000u
#define CMD_ALWAYS (CMD_SUD | CMD_POD) /* no staggered spin-up, no cold presence detection */
#define CMD_WRITABLE (CMD_ST | CMD_FRE | CMD_ATAPI | 0x02000000u)

#define IS_DHR 0x00000001u /* a device-to-host register FIS */
#define IS_PS  0x00000002u /* a PIO setup FIS */
#define IS_SDB 0x00000008u /* a set device bits FIS */
#define IS_DP  0x00000020u /* a region whose descriptor asks for it was moved */
#define IS_PC  0x00000040u /* port connect change: as SERR_X is */
#define IS_PRC 0x00400000u /* the link has gone or come: as SERR_N is */
#define IS_OF  0x01000000u /* more data than the table has room for */
#define IS_HBF 0x20000000u /* memory could not be reached */
#define IS_TFE 0x40000000u /* task file error */
#define SERR_X 0x04000000u /* the device was exchanged */
#define SERR_N 0x00010000u /* the link has gone or come */

/* SCR0: active, at 3 or 1.5 Gb/s, as SCR2 allows; the device is there. */
#define LINK_UP   0x123u
#define LINK_SLOW 0x113u
#define LINK_OFF  0x004u
#define DET_INIT 1u
#define DET_OFF  4u
#define DET_UP   3u /* of SCR0 */
#define PRD_INTERRUPTS 0x80000000u

#define HEADER_ATAPI 0x20u
#define FIS_H2D 0x27u
#define FIS_D2H 0x34u
#define FIS_PIO 0x5fu
#define FIS_BITS 0xa1u
#define FIS_INTERRUPT 0x40u
#define FIS_PIO_AT 0x20u
#define FIS_D2H_AT 0x40u
#define FIS_BITS_AT 0x58u

#define READ_QUEUED  0x60u
#define WRITE_QUEUED 0x61u
#define READ_LOG     0x2fu
#define IDENTIFY     0xecu
#define IDENTIFY_PACKET 0xa1u
#define LOG_ERROR    0x10u /* of queued commands */
#define LOG_NOT_QUEUED 0x80u

DEVICE_STATE_BEGIN
struct ahci_port {
    struct ata_unit unit;
    uint64_t clb, fb;      /* command list, received FISes */
    uint64_t done_at;      /* vtime at which the command in progress ends, or VTIME_NEVER */
    uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, ci;
    uint32_t slot;         /* of the command in progress */
    uint32_t halted;       /* after an error: until ST is cleared */
    uint32_t in_reset;     /* a software reset is held */
    uint32_t sact;         /* tags that the host has given out */
    uint32_t queued;       /* those whose commands the device has taken; while there are any, done_at is that of: */
    uint32_t tag;          /* the queued command in progress, or the last one */
    uint8_t failed;        /* a queued command has: until the log is read */
    uint8_t log_tag;       /* what the log says of it: its tag, or LOG_NOT_QUEUED */
    uint8_t first;         /* no command was issued since the port was started: slot 0 has its turn */
    uint8_t reserved;
    struct ata_task log;   /* and its registers */
};

struct ahci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t ghc, is;
    struct ahci_port port[PORTS];
};
DEVICE_STATE_END

/* Wiring. */
struct ahci {
    struct pci_function pci;
    struct device *dev;
    struct ahci_state *st;
    struct drive *drives[PORTS];
};

/* A command as the slot has it. */
struct slot {
    uint32_t flags, prds; /* of the header */
    uint64_t at, table;   /* addresses of the header and of the command table */
    uint8_t fis[64], packet[16];
    unsigned port;
    bool lost;            /* move() could not reach memory */
    uint32_t region;      /* where move() was last: the table's entry, and the byte of the data that it begins with */
    uint64_t region_at;
};

/* ---- interrupts ---- */

static void update_irq(struct ahci *a)
{
    struct ahci_state *s = a->st;
    bool was = s->is, level;

    for (unsigned n = 0; n < PORTS; n++)
        if (s->port[n].is & s->port[n].ie)
            s->is |= 1u << n;
    level = s->is && (s->ghc & GHC_IE);
    if (!pci_has_messages(&a->pci))
        pci_set_intx(&a->pci, level);
    else if (level && !was)
        pci_notify(&a->pci, 0);
}

static void raise(struct ahci *a, unsigned n, uint32_t bits)
{
    struct ahci_port *p = &a->st->port[n];
    bool news = (bits & p->ie & ~p->is) != 0;

    p->is |= bits;
    if (news && pci_has_messages(&a->pci) && (a->st->is >> n & 1u) && (a->st->ghc & GHC_IE))
        pci_notify(&a->pci, 0); /* a message for each, also while the port's bit is not cleared yet */
    update_irq(a);
}

/* Bits of the interrupt status that are those of the error register, and go with them (3.3.5). */
static uint32_t link_bits(const struct ahci_port *p)
{
    return (p->serr & SERR_X ? IS_PC : 0) | (p->serr & SERR_N ? IS_PRC : 0);
}

/* ---- FISes ---- */

static void fill_fis(const struct ata_task *t, uint8_t *fis, uint8_t type, bool interrupts)
{
    memset(fis, 0, 20);
    fis[0] = type;
    fis[1] = interrupts ? FIS_INTERRUPT : 0;
    fis[2] = t->status;
    fis[3] = t->error;
    fis[4] = t->low[0];
    fis[5] = t->mid[0];
    fis[6] = t->high[0];
    fis[7] = t->device;
    fis[8] = t->low[1];
    fis[9] = t->mid[1];
    fis[10] = t->high[1];
    fis[12] = t->count[0];
    fis[13] = t->count[1];
}

static void show_task(struct ahci_port *p)
{
    p->tfd = p->unit.task.status | (uint32_t)p->unit.task.error << 8;
}

/* The device tells the end of a command, or its signature. */
static void send_register_fis(struct ahci *a, unsigned n, bool interrupts)
{
    struct ahci_port *p = &a->st->port[n];
    const struct ata_task *t = &p->unit.task;
    uint8_t fis[20];

    fill_fis(t, fis, FIS_D2H, interrupts);
    show_task(p);
    if (p->cmd & CMD_FRE)
        pci_dma_write(&a->pci, p->fb + FIS_D2H_AT, fis, sizeof(fis));
    raise(a, n, (interrupts ? IS_DHR : 0) | (t->status & ATA_ERR ? IS_TFE : 0));
}

static void send_pio_fis(struct ahci *a, unsigned n, uint32_t bytes)
{
    struct ahci_port *p = &a->st->port[n];
    uint8_t fis[20];

    fill_fis(&p->unit.task, fis, FIS_PIO, true);
    fis[1] |= 0x20; /* to the host */
    fis[15] = fis[2];
    fis[16] = (uint8_t)bytes;
    fis[17] = (uint8_t)(bytes >> 8);
    if (p->cmd & CMD_FRE)
        pci_dma_write(&a->pci, p->fb + FIS_PIO_AT, fis, sizeof(fis));
    show_task(p);
    raise(a, n, IS_PS);
}

static void show_signature(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    const struct ata_task *t = &p->unit.task;

    p->sig = (uint32_t)t->high[0] << 24 | (uint32_t)t->mid[0] << 16 | (uint32_t)t->low[0] << 8 | t->count[0];
}

/* The link comes up again: a hardware reset of the device. */
static void connect(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];

    p->done_at = VTIME_NEVER;
    p->halted = p->in_reset = p->failed = 0;
    p->ci = p->sact = p->queued = 0;
    p->sig = 0xffffffffu;
    p->tfd = 0x7f;
    p->ssts = 0;
    if (!a->drives[n])
        return;
    p->ssts = (p->sctl >> 4 & 15u) == 1 ? LINK_SLOW : LINK_UP;
    p->serr |= SERR_X | SERR_N;
    ata_reset(a->drives[n], &p->unit, true);
    show_signature(a, n);
    send_register_fis(a, n, false);
    raise(a, n, link_bits(p));
}

/* ---- data ---- */

/* Move `len` bytes at `skip` of the command's data. Returns how many the table had room for. */
static uint64_t move(struct ahci *a, struct slot *s, uint64_t skip, void *buf, uint64_t len, bool to_memory)
{
    uint8_t *bytes = buf;
    uint64_t done = 0;

    if (skip < s->region_at) {
        s->region = 0;
        s->region_at = 0;
    }
    while (s->region < s->prds && done < len) {
        uint64_t address, size, in, n;
        uint32_t prd[4];

        if (!pci_dma_read(&a->pci, s->table + 0x80 + 16ull * s->region, prd, sizeof(prd))) {
            s->lost = true;
            break;
        }
        size = (prd[3] & 0x3fffffu) + 1ull;
        in = skip + done - s->region_at;
        if (in >= size) {
            s->region++;
            s->region_at += size;
            continue;
        }
        address = (prd[0] & ~1u) | (uint64_t)prd[1] << 32;
        n = size - in < len - done ? size - in : len - done;
        if (!(to_memory ? pci_dma_write(&a->pci, address + in, bytes + done, n)
                        : pci_dma_read(&a->pci, address + in, bytes + done, n))) {
            s->lost = true;
            break;
        }
        done += n;
        if (in + n == size && (prd[3] & PRD_INTERRUPTS))
            raise(a, s->port, IS_DP);
    }
    return done;
}

static void put_count(struct ahci *a, const struct slot *s, uint64_t bytes)
{
    uint32_t count = (uint32_t)bytes;

    pci_dma_write(&a->pci, s->at + 4, &count, sizeof(count));
}

/* Sectors between drive and memory, from byte `at` of the drive on. Returns the bytes moved. */
static uint64_t move_sectors(struct ahci *a, struct drive *d, struct slot *s, uint64_t at, uint64_t len, bool to_memory,
                             enum drive_status *status)
{
    uint8_t piece[DRIVE_PIECE];
    uint64_t done = 0, most = drive_piece(d);

    *status = DRIVE_OK;
    while (done < len) {
        uint64_t n = len - done < most ? len - done : most, good = n;

        if (to_memory)
            *status = drive_read(d, at + done, piece, n, &good);
        if (move(a, s, done, piece, good, to_memory) < good)
            return done;
        if (!to_memory)
            *status = drive_write(d, at + done, piece, n, &good);
        done += good;
        if (*status != DRIVE_OK)
            return done;
    }
    return done;
}

/* ---- commands ---- */

/* Memory could not be reached (6.1.5): the port stops, the device waits in the middle of its command. */
static void host_bus_error(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];

    p->halted = 1;
    p->unit.work.kind = ATA_DONE;
    raise(a, n, IS_HBF);
}

/* A command ends: its slot is free, unless it failed. */
static void finish(struct ahci *a, unsigned n, const struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];

    if (s->lost) {
        host_bus_error(a, n);
        return;
    }
    if (p->unit.task.status & ATA_ERR)
        p->halted = 1;
    else
        p->ci &= ~(1u << p->slot);
    send_register_fis(a, n, true);
}

/* The 512 bytes that a command without sectors has to tell, by PIO: they are its end. */
static void send_page(struct ahci *a, unsigned n, struct slot *s, uint8_t *page)
{
    struct ahci_port *p = &a->st->port[n];
    uint64_t moved = move(a, s, 0, page, ATA_SECTOR, true);

    put_count(a, s, moved);
    if (s->lost) {
        host_bus_error(a, n);
        return;
    }
    if (moved < ATA_SECTOR)
        raise(a, n, IS_OF);
    p->ci &= ~(1u << p->slot);
    send_pio_fis(a, n, ATA_SECTOR);
}

static void packet(struct ahci *a, unsigned n, struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];
    struct drive *d = a->drives[n];
    struct ata_unit *u = &p->unit;
    struct scsi_command c;
    enum drive_status status = DRIVE_OK;
    uint8_t list[4096], result = SCSI_GOOD;
    uint64_t moved = 0, wanted;

    scsi_begin(d, &u->scsi, s->packet, &c);
    wanted = c.transfer == SCSI_REPLY || c.transfer == SCSI_READ ? c.len : 0;
    switch (c.transfer) {
    case SCSI_REPLY:
        moved = move(a, s, 0, c.reply, c.len, true);
        break;
    case SCSI_READ:
        moved = move_sectors(a, d, s, c.offset, c.len, true, &status);
        result = scsi_end(&u->scsi, status);
        scsi_failed_at(d, &u->scsi, c.offset + moved);
        break;
    case SCSI_VERIFY:
        result = scsi_verified(d, &u->scsi, c.offset, c.len);
        break;
    case SCSI_PARAMETERS:
        wanted = c.len < sizeof(list) ? c.len : sizeof(list);
        moved = move(a, s, 0, list, wanted, false);
        result = scsi_parameters(d, &u->scsi, s->packet, list, moved);
        break;
    case SCSI_FAILED:
        result = SCSI_CHECK;
        break;
    default:
        break;
    }
    u->work.kind = ATA_DONE;
    u->task.count[0] = 3;
    u->task.status = (uint8_t)(ATA_DRDY | ATA_DSC | (result == SCSI_GOOD ? 0 : ATA_ERR));
    u->task.error = result == SCSI_GOOD ? 0 : (uint8_t)(u->scsi.key << 4 | (u->scsi.key == SENSE_ILLEGAL ? ATA_ABRT : 0));
    put_count(a, s, moved);
    if (moved < wanted && result == SCSI_GOOD && !s->lost)
        raise(a, n, IS_OF);
    finish(a, n, s);
}

static void sectors(struct ahci *a, unsigned n, struct slot *s)
{
    struct ata_unit *u = &a->st->port[n].unit;
    struct drive *d = a->drives[n];
    enum drive_status status;
    uint64_t len = (uint64_t)u->work.sectors * ATA_SECTOR;
    uint64_t moved = move_sectors(a, d, s, u->work.lba * ATA_SECTOR, len, u->work.kind == ATA_READ, &status);

    put_count(a, s, moved);
    if (status == DRIVE_OK && moved < len) { /* the table was too short */
        if (!s->lost)
            raise(a, n, IS_OF);
        ata_abort(u);
    } else if (status == DRIVE_OK) {
        bool pio_in = u->work.kind == ATA_READ && !u->work.dma;
        uint32_t last = (u->work.sectors - 1) % u->work.block + 1;

        ata_advance(u, u->work.sectors);
        ata_end(d, u, DRIVE_OK, 0);
        if (pio_in && !s->lost) { /* its last block is its end */
            a->st->port[n].ci &= ~(1u << a->st->port[n].slot);
            send_pio_fis(a, n, last * ATA_SECTOR);
            return;
        }
    } else {
        ata_end(d, u, status, (uint32_t)(moved / ATA_SECTOR));
    }
    finish(a, n, s);
}

static void trim(struct ahci *a, unsigned n, struct slot *s)
{
    struct ata_unit *u = &a->st->port[n].unit;
    uint8_t list[8 * ATA_SECTOR];
    uint32_t len = u->work.sectors * ATA_SECTOR;

    if (len > sizeof(list) || move(a, s, 0, list, len, false) < len)
        ata_abort(u);
    else
        ata_trim(a->drives[n], u, list, len);
    finish(a, n, s);
}

static void take(struct ahci *a, unsigned n, struct slot *s)
{
    struct ata_unit *u = &a->st->port[n].unit;
    uint8_t data[ATA_SECTOR];

    if (move(a, s, 0, data, sizeof(data), false) < sizeof(data))
        ata_abort(u);
    else
        ata_take(a->drives[n], u, data);
    finish(a, n, s);
}

static void verify(struct ahci *a, unsigned n, const struct slot *s)
{
    struct ata_unit *u = &a->st->port[n].unit;
    uint64_t done = 0;
    enum drive_status status = drive_verify(a->drives[n], u->work.lba * ATA_SECTOR,
                                            (uint64_t)u->work.sectors * ATA_SECTOR, &done);

    if (status == DRIVE_OK)
        ata_advance(u, u->work.sectors);
    ata_end(a->drives[n], u, status, status == DRIVE_OK ? 0 : (uint32_t)(done / ATA_SECTOR));
    finish(a, n, s);
}

/* A slot's command. False: memory cannot be reached. */
static bool fetch(struct ahci *a, unsigned n, uint32_t slot, struct slot *s)
{
    const struct ahci_port *p = &a->st->port[n];
    uint32_t header[4];

    s->port = n;
    s->lost = false;
    s->at = p->clb + 32ull * slot;
    if (!pci_dma_read(&a->pci, s->at, header, sizeof(header)))
        return false;
    s->flags = header[0];
    s->prds = header[0] >> 16;
    s->region = 0;
    s->region_at = 0;
    s->table = (header[2] & ~127u) | (uint64_t)header[3] << 32;
    return pci_dma_read(&a->pci, s->table, s->fis, sizeof(s->fis)) &&
           pci_dma_read(&a->pci, s->table + 64, s->packet, sizeof(s->packet));
}

/* A FIS that writes the control register: software reset. */
static void control_fis(struct ahci *a, unsigned n, const struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];
    bool held = s->fis[15] & 4u;

    p->ci &= ~(1u << p->slot);
    if (p->queued)
        p->done_at = VTIME_NEVER;
    p->queued = p->failed = 0;
    if (!held && p->in_reset) {
        ata_reset(a->drives[n], &p->unit, false);
        show_signature(a, n);
        send_register_fis(a, n, false);
    }
    p->in_reset = held;
}

static void take_fis(struct ata_task *t, const uint8_t *fis)
{
    t->features[0] = fis[3];
    t->low[0] = fis[4];
    t->mid[0] = fis[5];
    t->high[0] = fis[6];
    t->device = fis[7];
    t->low[1] = fis[8];
    t->mid[1] = fis[9];
    t->high[1] = fis[10];
    t->features[1] = fis[11];
    t->count[0] = fis[12];
    t->count[1] = fis[13];
}

static uint64_t bytes_of(struct ahci *a, unsigned n, const struct slot *s)
{
    const struct ata_unit *u = &a->st->port[n].unit;
    struct scsi_command c;

    if (u->work.kind == ATA_TAKE)
        return ata_take_bytes(a->drives[n], u);
    if (u->work.kind != ATA_PACKET)
        return u->work.kind == ATA_READ || u->work.kind == ATA_WRITE || u->work.kind == ATA_VERIFY
                   ? (uint64_t)u->work.sectors * ATA_SECTOR : 0;
    scsi_peek(a->drives[n], &u->scsi, s->packet, &c);
    return c.transfer == SCSI_READ || c.transfer == SCSI_VERIFY ? c.len : 0;
}

/* ---- queued commands ---- */

static bool is_queued(const struct slot *s)
{
    return (s->fis[1] & 0x80u) && (s->fis[2] == READ_QUEUED || s->fis[2] == WRITE_QUEUED);
}

/* What a queued command is about: its registers are used in another way. */
struct queued {
    uint64_t lba;
    uint32_t sectors;
    bool write;
};

static struct queued queued_command(const struct slot *s)
{
    const uint8_t *f = s->fis;
    uint32_t n = (uint32_t)f[11] << 8 | f[3];

    return (struct queued){.lba = get_le(f + 4, 3) | get_le(f + 8, 3) << 24, .sectors = n ? n : 0x10000,
                           .write = f[2] == WRITE_QUEUED};
}

/* Tags are done, or (with an error) none is any more. */
static void send_bits_fis(struct ahci *a, unsigned n, uint32_t done, uint8_t status, uint8_t error)
{
    struct ahci_port *p = &a->st->port[n];
    const uint8_t fis[8] = {FIS_BITS, FIS_INTERRUPT, status & 0x77u, error, (uint8_t)done, (uint8_t)(done >> 8),
                            (uint8_t)(done >> 16), (uint8_t)(done >> 24)};

    p->sact &= ~done;
    p->tfd = (p->tfd & (ATA_BSY | ATA_DRQ)) | (status & 0x77u) | (uint32_t)error << 8;
    if (p->cmd & CMD_FRE)
        pci_dma_write(&a->pci, p->fb + FIS_BITS_AT, fis, sizeof(fis));
    raise(a, n, IS_SDB | (status & ATA_ERR ? IS_TFE : 0));
}

/* A queued command has failed, or another one came while there were some: the disk drops them all. */
static void queue_failed(struct ahci *a, unsigned n, uint8_t tag, const struct queued *q, uint64_t lba, uint8_t error)
{
    struct ahci_port *p = &a->st->port[n];

    p->queued = 0;
    p->done_at = VTIME_NEVER;
    p->failed = p->halted = 1;
    p->log_tag = tag;
    p->log = (struct ata_task){.status = ATA_DRDY | ATA_DSC | ATA_ERR, .error = error, .device = 0x40};
    for (unsigned i = 0; i < 2; i++) {
        p->log.low[i] = (uint8_t)(lba >> (24 * i));
        p->log.mid[i] = (uint8_t)(lba >> (24 * i + 8));
        p->log.high[i] = (uint8_t)(lba >> (24 * i + 16));
    }
    if (q) {
        p->log.count[0] = (uint8_t)q->sectors;
        p->log.count[1] = (uint8_t)(q->sectors >> 8);
    }
    send_bits_fis(a, n, 0, p->log.status, error);
}

/* The next of them, if none is in progress. */
static void next_queued(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    struct slot s;

    if (!p->queued || p->done_at != VTIME_NEVER)
        return;
    do
        p->tag = (p->tag + 1) % SLOTS;
    while (!(p->queued >> p->tag & 1u));
    if (!fetch(a, n, p->tag, &s)) {
        host_bus_error(a, n);
        return;
    }
    p->done_at = machine_now(a->dev->machine) +
                 drive_duration(a->drives[n], (uint64_t)queued_command(&s).sectors * ATA_SECTOR);
}

/* The disk takes it: the slot is free for the host's bookkeeping, the tag is not. */
static void take_queued(struct ahci *a, unsigned n, const struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];
    struct ata_task *t = &p->unit.task;
    uint8_t tag = s->fis[12] >> 3;

    if (ata_is_packet(a->drives[n]) || p->failed || ata_security_refuses(&p->unit.security, s->fis[2]) || tag != p->slot || !(p->sact >> tag & 1u)) {
        p->unit.task.command = s->fis[2];
        ata_abort(&p->unit);
        finish(a, n, s);
        return;
    }
    p->ci &= ~(1u << p->slot);
    p->queued |= 1u << tag;
    ata_used(a->drives[n], &p->unit);
    t->command = s->fis[2];
    t->status = ATA_DRDY | ATA_DSC;
    t->error = 0;
    send_register_fis(a, n, false);
    next_queued(a, n);
}

/* The time of the one in progress is over. */
static void queued_over(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    struct drive *d = a->drives[n];
    uint64_t total = ata_sectors(d, &p->unit), moved;
    enum drive_status status;
    struct queued q;
    struct slot s;

    if (!fetch(a, n, p->tag, &s) || !is_queued(&s)) {
        host_bus_error(a, n);
        return;
    }
    q = queued_command(&s);
    if (q.lba >= total || q.sectors > total - q.lba) {
        queue_failed(a, n, (uint8_t)p->tag, &q, q.lba, ATA_IDNF);
        return;
    }
    if (q.write && d->c.read_only) {
        queue_failed(a, n, (uint8_t)p->tag, &q, q.lba, ATA_ABRT);
        return;
    }
    moved = move_sectors(a, d, &s, q.lba * ATA_SECTOR, (uint64_t)q.sectors * ATA_SECTOR, !q.write, &status);
    if (s.lost) {
        host_bus_error(a, n);
    } else if (status != DRIVE_OK) {
        queue_failed(a, n, (uint8_t)p->tag, &q, q.lba + moved / ATA_SECTOR, q.write ? ATA_IDNF : ATA_UNC);
    } else if (moved < (uint64_t)q.sectors * ATA_SECTOR) { /* the table was too short */
        raise(a, n, IS_OF);
        queue_failed(a, n, (uint8_t)p->tag, &q, q.lba, ATA_ABRT);
    } else {
        p->queued &= ~(1u << p->tag);
        send_bits_fis(a, n, 1u << p->tag, ATA_DRDY | ATA_DSC, 0);
        next_queued(a, n);
    }
}

/* READ LOG EXT: the directory, and the log of queued commands' errors, which ends the state of failure. */
static void read_log(struct ahci *a, unsigned n, struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];
    struct ata_unit *u = &p->unit;
    const struct ata_task *t = &p->log;
    uint8_t page[ATA_SECTOR] = {0};

    u->task.error = 0;
    u->work.kind = ATA_DONE;
    if ((u->task.low[0] && u->task.low[0] != LOG_ERROR) || u->task.mid[0] || u->task.count[0] != 1 || u->task.count[1]) {
        ata_abort(u);
        finish(a, n, s);
        return;
    }
    if (u->task.low[0] == LOG_ERROR) {
        const uint8_t head[14] = {p->log_tag, 0, t->status, t->error, t->low[0], t->mid[0], t->high[0], t->device,
                                  t->low[1], t->mid[1], t->high[1], 0, t->count[0], t->count[1]};

        memcpy(page, head, sizeof(head));
        ata_checksum(page, 0);
        p->failed = 0;
    } else {
        page[0] = page[2 * LOG_ERROR] = 1; /* version; one page */
    }
    u->task.status = ATA_DRDY | ATA_DSC;
    send_page(a, n, s, page);
}

/* ---- one after the other ---- */

/* The command of p->slot: what can be done at once is; else the port is busy. `reply`: 512 bytes. */
static void execute(struct ahci *a, unsigned n, struct slot *s)
{
    struct ahci_port *p = &a->st->port[n];
    struct ata_unit *u = &p->unit;
    uint8_t reply[ATA_SECTOR];

    if (!(s->fis[1] & 0x80u)) {
        control_fis(a, n, s);
        return;
    }
    take_fis(&u->task, s->fis);
    if (s->fis[2] == READ_LOG && !ata_is_packet(a->drives[n])) {
        u->task.command = READ_LOG;
        read_log(a, n, s);
        return;
    }
    if (p->failed) {
        u->task.command = s->fis[2];
        ata_abort(u);
        finish(a, n, s);
        return;
    }
    ata_begin(a->drives[n], u, s->fis[2], reply);
    switch (u->work.kind) {
    case ATA_REPLY:
        if (s->fis[2] == IDENTIFY || s->fis[2] == IDENTIFY_PACKET)
            ata_identify_serial(reply, ata_is_packet(a->drives[n]) ? 0 : SLOTS);
        u->task.status = ATA_DRDY | ATA_DSC;
        u->work.kind = ATA_DONE;
        send_page(a, n, s, reply);
        break;
    case ATA_DONE:
        finish(a, n, s);
        break;
    default:
        p->tfd = ATA_BSY | ATA_DRDY;
        p->done_at = machine_now(a->dev->machine) + drive_duration(a->drives[n], bytes_of(a, n, s));
        break;
    }
}

/* Which of the slots that wait has its turn (10.5). */
static uint32_t next_slot(const struct ahci_port *p)
{
    uint32_t above = p->slot == SLOTS - 1 ? 0 : p->ci & ~0u << (p->slot + 1);

    return (uint32_t)__builtin_ctz(p->first || !above ? p->ci : above);
}

/* Begin the commands that wait, one after the other. */
static void begin(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    struct slot s;

    while (p->ci && (p->cmd & CMD_ST) && !p->halted && (p->done_at == VTIME_NEVER || p->queued) &&
           a->drives[n] && (p->ssts & 15u) == DET_UP) {
        p->slot = next_slot(p);
        p->first = 0;
        if (!fetch(a, n, p->slot, &s) || s.fis[0] != FIS_H2D) {
            host_bus_error(a, n);
            return;
        }
        if (is_queued(&s))
            take_queued(a, n, &s);
        else if (p->queued && (s.fis[1] & 0x80u))
            queue_failed(a, n, LOG_NOT_QUEUED, NULL, 0, ATA_ABRT);
        else
            execute(a, n, &s);
    }
}

/* The time of the command in progress is over. */
static void over(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    struct slot s;

    if (p->queued) {
        queued_over(a, n);
        begin(a, n);
        return;
    }
    if (!fetch(a, n, p->slot, &s)) {
        host_bus_error(a, n);
        return;
    }
    switch (p->unit.work.kind) {
    case ATA_READ: case ATA_WRITE:
        sectors(a, n, &s);
        break;
    case ATA_TRIM:
        trim(a, n, &s);
        break;
    case ATA_TAKE:
        take(a, n, &s);
        break;
    case ATA_VERIFY:
        verify(a, n, &s);
        break;
    case ATA_PACKET:
        packet(a, n, &s);
        break;
    default:
        ata_end(a->drives[n], &p->unit, DRIVE_OK, 0);
        finish(a, n, &s);
        break;
    }
    begin(a, n);
}

/* ---- registers ---- */

/* All but the device, which connect() resets. */
static void clear_port(struct ahci_port *p)
{
    const struct ata_unit unit = p->unit;

    memset(p, 0, sizeof(*p));
    p->unit = unit;
}

static void reset_port(struct ahci *a, unsigned n)
{
    struct ahci_port *p = &a->st->port[n];
    uint64_t clb = p->clb, fb = p->fb;

    clear_port(p);
    p->clb = clb;
    p->fb = fb;
    p->cmd = CMD_ALWAYS;
    connect(a, n);
    p->is = link_bits(p);
}

static void reset_hba(struct ahci *a)
{
    a->st->ghc = GHC_AE;
    a->st->is = 0;
    for (unsigned n = 0; n < PORTS; n++)
        reset_port(a, n);
    a->st->is = 0;
    update_irq(a);
}

static void write_cmd(struct ahci *a, unsigned n, uint32_t value)
{
    struct ahci_port *p = &a->st->port[n];
    bool had_fre = p->cmd & CMD_FRE, had_st = p->cmd & CMD_ST;

    p->cmd = (value & CMD_WRITABLE) | CMD_ALWAYS;
    p->cmd |= (p->cmd & CMD_ST ? CMD_CR : 0) | (p->cmd & CMD_FRE ? CMD_FR : 0);
    if (value & CMD_CLO)
        p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    if (!had_st && (p->cmd & CMD_ST))
        p->first = 1;
    if (!(p->cmd & CMD_ST)) { /* what waits is forgotten */
        p->slot = 0;
        p->ci = p->sact = p->queued = 0;
        p->halted = 0;
        p->done_at = VTIME_NEVER;
    }
    if (!had_fre && (p->cmd & CMD_FRE) && a->drives[n] && p->done_at == VTIME_NEVER)
        send_register_fis(a, n, false); /* what the device said before anybody listened */
    begin(a, n);
}

static void set_half(uint64_t *reg, bool upper, uint32_t value)
{
    *reg = upper ? (*reg & 0xffffffffu) | (uint64_t)value << 32 : (*reg & ~0xffffffffull) | value;
}

static void port_write(struct ahci *a, unsigned n, uint32_t reg, uint32_t value)
{
    struct ahci_port *p = &a->st->port[n];
    uint32_t det = p->sctl & 15u;

    switch (reg) {
    case P_CLB: case P_CLBU: set_half(&p->clb, reg == P_CLBU, reg == P_CLBU ? value : value & ~1023u); break;
    case P_FB: case P_FBU:   set_half(&p->fb, reg == P_FBU, reg == P_FBU ? value : value & ~255u); break;
    case P_IS:   p->is = (p->is & ~value) | link_bits(p); update_irq(a); break;
    case P_IE:   p->ie = value & 0xfdc000ffu; update_irq(a); break;
    case P_CMD:  write_cmd(a, n, value); break;
    case P_SCTL:
        p->sctl = value & 0xfffu;
        if ((value & 15u) == det)
            break;
        if ((value & 15u) == DET_INIT || (value & 15u) == DET_OFF) { /* the link goes down */
            if (a->drives[n] && (p->ssts & 15u) == DET_UP)
                p->serr |= SERR_N;
            p->ssts = (value & 15u) == DET_OFF ? LINK_OFF : 0;
            p->tfd = 0x7f;
            p->done_at = VTIME_NEVER;
            p->ci = p->sact = p->queued = 0;
            raise(a, n, link_bits(p));
        } else if (det == DET_INIT || det == DET_OFF) {
            connect(a, n);
        }
        break;
    case P_SERR:
        p->serr &= ~value;
        p->is = (p->is & ~(IS_PC | IS_PRC)) | link_bits(p);
        update_irq(a);
        break;
    case P_SACT:
        if (p->cmd & CMD_ST)
            p->sact |= value;
        break;
    case P_CI:
        if (p->cmd & CMD_ST)
            p->ci |= value;
        begin(a, n);
        break;
    default:
        break;
    }
}

static uint32_t port_read(const struct ahci_port *p, uint32_t reg)
{
    switch (reg) {
    case P_CLB:  return (uint32_t)p->clb;
    case P_CLBU: return (uint32_t)(p->clb >> 32);
    case P_FB:   return (uint32_t)p->fb;
    case P_FBU:  return (uint32_t)(p->fb >> 32);
    case P_IS:   return p->is;
    case P_IE:   return p->ie;
    case P_CMD:  return p->cmd | (p->cmd & CMD_ST ? p->slot << 8 : 0);
    case P_TFD:  return p->tfd;
    case P_SIG:  return p->sig;
    case P_SSTS: return p->ssts;
    case P_SCTL: return p->sctl;
    case P_SERR: return p->serr;
    case P_SACT: return p->sact;
    case P_CI:   return p->ci;
    default:     return 0;
    }
}

static uint32_t register_at(const struct ahci *a, uint64_t offset)
{
    const struct ahci_state *s = a->st;

    if (offset >= PORT_AT)
        return (offset - PORT_AT) / PORT_BYTES < PORTS
                   ? port_read(&s->port[(offset - PORT_AT) / PORT_BYTES], (uint32_t)(offset - PORT_AT) % PORT_BYTES) : 0;
    switch (offset) {
    case H_CAP: return CAP;
    case H_GHC: return s->ghc;
    case H_IS:  return s->is;
    case H_PI:  return (1u << PORTS) - 1;
    case H_VS:  return 0x00010300u;
    default:    return 0;
    }
}

static uint64_t ahci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct ahci *a = dev->wiring;
    uint64_t value = register_at(a, offset & ~3ull) >> (8 * (offset & 3u));

    (void)range;
    if (size == 8)
        value |= (uint64_t)register_at(a, (offset & ~3ull) + 4) << 32;
    return value;
}

static void write_register(struct ahci *a, uint64_t offset, uint32_t value)
{
    struct ahci_state *s = a->st;
    uint64_t n = (offset - PORT_AT) / PORT_BYTES;

    if (offset >= PORT_AT) {
        if (n < PORTS)
            port_write(a, (unsigned)n, (uint32_t)(offset - PORT_AT) % PORT_BYTES, value);
        return;
    }
    switch (offset) {
    case H_GHC:
        if (value & GHC_HR) {
            reset_hba(a);
            return;
        }
        s->ghc = GHC_AE | (value & GHC_IE);
        update_irq(a);
        break;
    case H_IS:
        s->is &= ~value;
        update_irq(a);
        break;
    default:
        break;
    }
}

/* Are the register's bits set or cleared by ones? */
static bool ones_act(uint64_t offset)
{
    uint64_t reg = offset < PORT_AT ? offset : (offset - PORT_AT) % PORT_BYTES;

    return offset < PORT_AT ? reg == H_IS : reg == P_IS || reg == P_SERR || reg == P_SACT || reg == P_CI;
}

static void ahci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ahci *a = dev->wiring;

    (void)range;
    if (size < 4) { /* the other bytes stay: where ones clear or set, zeros leave them so */
        uint32_t mask = (1u << 8 * size) - 1, shift = 8 * (offset & 3u), was = ones_act(offset & ~3ull) ? 0 : register_at(a, offset & ~3ull);

        write_register(a, offset & ~3ull, (was & ~(mask << shift)) | ((uint32_t)value & mask) << shift);
        return;
    }
    if (offset & 3u)
        return;
    write_register(a, offset, (uint32_t)value);
    if (size == 8)
        write_register(a, offset + 4, (uint32_t)(value >> 32));
}

/* ---- the device ---- */

static void ahci_reset(struct device *dev)
{
    struct ahci *a = dev->wiring;

    pci_function_reset(&a->pci);
    for (unsigned n = 0; n < PORTS; n++)
        clear_port(&a->st->port[n]);
    reset_hba(a);
}

static vtime_t ahci_deadline(const struct device *dev)
{
    const struct ahci_state *s = dev->state;
    vtime_t least = VTIME_NEVER;

    for (unsigned n = 0; n < PORTS; n++)
        if (s->port[n].done_at < least)
            least = s->port[n].done_at;
    return least;
}

static void ahci_expire(struct device *dev, vtime_t now)
{
    struct ahci *a = dev->wiring;

    for (unsigned n = 0; n < PORTS; n++) {
        if (a->st->port[n].done_at > now)
            continue;
        a->st->port[n].done_at = VTIME_NEVER;
        over(a, n);
    }
}

static void ahci_describe(const struct device *dev, struct buffer *b)
{
    const struct ahci *a = dev->wiring;

    buffer_printf(b, "ghc %08x is %02x\n", a->st->ghc, a->st->is);
    for (unsigned n = 0; n < PORTS; n++) {
        const struct ahci_port *p = &a->st->port[n];

        if (a->drives[n])
            buffer_printf(b, "port %u: %s, cmd %08x is %08x tfd %04x ci %08x sact %08x, command %02x\n", n, a->drives[n]->name,
                          p->cmd, p->is, p->tfd, p->ci, p->sact, p->unit.task.command);
    }
}

static bool ahci_possible(const struct device *dev)
{
    const struct ahci *a = dev->wiring;

    for (unsigned n = 0; n < PORTS; n++) {
        const struct ahci_port *p = &a->st->port[n];

        if (p->slot >= SLOTS || p->tag >= SLOTS || p->failed > 1 || !ata_possible(&p->unit) || !machine_deadline_possible(dev->machine, p->done_at) ||
            ((p->done_at != VTIME_NEVER || p->queued) && !a->drives[n]))
            return false;
    }
    return true;
}

/* Version 2 took the first slot that waited, always; units up to version 4 were as ata_unit_of_old() knows them. */
static bool ahci_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct ahci_state *s = dev->state;
    size_t head = offsetof(struct ahci_state, port), tail = sizeof(s->port[0]) - sizeof(s->port[0].unit);
    const uint8_t *from = (const uint8_t *)old + head;
    enum ata_unit_age age = version < 4 ? ATA_UNIT_OLDEST : ATA_UNIT_OLDER;

    if (version < 2 || version > 4 || len != head + PORTS * (ata_unit_old_bytes(age) + tail))
        return false;
    memcpy(s, old, head);
    for (unsigned n = 0; n < PORTS; n++) {
        from += ata_unit_of_old(&s->port[n].unit, from, age);
        memcpy((uint8_t *)&s->port[n] + sizeof(s->port[n].unit), from, tail);
        from += tail;
    }
    return true;
}

static const struct device_ops ahci_ops = {
    .name = "ich9-ahci",
    .state_size = sizeof(struct ahci_state),
    .state_version = 5,
    .upgrade = ahci_upgrade,
    .possible = ahci_possible,
    .reset = ahci_reset,
    .deadline = ahci_deadline,
    .expire = ahci_expire,
    .describe = ahci_describe,
    .read = ahci_read,
    .write = ahci_write,
};

const struct option_key ahci_keys[] = {{NULL, NULL}};
#define UNIT_KEY {"unit", "0, on ide.N also 1"}
const struct option_key ahci_disk_keys[] = {UNIT_KEY, DISK_ATA_KEYS, {"logical_block_size", "512"}, {"physical_block_size", "BYTES"},
                                            DISK_ROTATION_KEY, {NULL, NULL}};
const struct option_key ahci_cd_keys[] = {UNIT_KEY, DISK_ATA_KEYS, {NULL, NULL}};

int ahci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x2922, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x010601, .revision = 2, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &ahci_ops, name, sizeof(struct ahci));
    struct ahci *a = dev->wiring;

    (void)d, (void)props, (void)err;
    a->dev = dev;
    a->st = dev->state;
    pci_function_init(&a->pci, s->pci, devfn, dev, a->st->config, &id);
    pci_add_bar(&a->pci, 5, PCI_BAR_MEMORY, false, HBA_BYTES, RANGE_HBA);
    pci_add_msi(&a->pci, 1, false);
    return 0;
}

/* The adapter and port that bus=NAME.PORT means; without it, the first free port of the last adapter. */
static struct ahci *find_port(const struct machine *m, const char *bus, unsigned *port)
{
    for (unsigned i = m->ndevices; i-- > 0;) {
        struct device *dev = m->devices[i];
        size_t len = strlen(dev->name);
        struct ahci *a = dev->wiring;

        if (dev->ops != &ahci_ops)
            continue;
        for (*port = 0; *port < PORTS; ++*port)
            if (bus ? !strncmp(bus, dev->name, len) && bus[len] == '.' && bus[len + 1] == (char)('0' + *port) && !bus[len + 2]
                    : !a->drives[*port])
                return a;
    }
    return NULL;
}

int ahci_disk_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err)
{
    const char *bus = option_list_get(props, "bus");
    char path[BOOT_PATH_BYTES];
    unsigned port, channel;
    struct ahci *a = find_port(s->machine, bus, &port);

    (void)name, (void)devfn;
    if (disk_props_take(d, DISK_ATA, props, err) < 0)
        return err->code;
    if (!a && parts_ide_channel(s, bus, &channel))
        return parts_plug_onboard(s, DRIVE_IF_IDE, 2 * channel, d, props, err);
    if (!a || a->drives[port])
        return error_set(err, -ENODEV, "there is no such free port; --device ich9-ahci[,id=ID], before it, makes six: ID.0 "
                         "to ID.5");
    a->drives[port] = d;
    d->wiring = a->dev;
    pci_firmware_path(&a->pci, path, sizeof(path));
    parts_boots(s, parts_drive_kind(d), path, "/drive@%x/disk@0", port);
    return 0;
}
