/*
 * The IDE function of the PIIX3 (Intel 290550, 2.3 and 2.7): two channels of two ATA or ATAPI devices each (ATA/ATAPI-6,
 * chapter 9: PIO, multiword and ultra DMA look the same from here), and the bus master ("Programming Interface for Bus
 * Master IDE Controller", 1.0).
 *
 * What devices make of a command is in ata.c and scsi.c. A command is done in phases: the device is busy
 * until a deadline, then data move between drive and buffer (PIO) or memory (DMA, all at once).
 * An empty channel reads as 0, a pulled-down bus, so that a driver sees at once "not busy, nobody there". Of a device 1
 * that is not there, device 0 answers with a status of 0.
 *
 * Not modelled: timing registers (kept), the decode enable bits of IDETIM, the release of the bus between
 * DMA bursts, interrupts that are asked for while a device is not selected (told when it is).
 */
#include "vm/dev/ide.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/ata.h"
#include "vm/machine.h"

/* The command block (ATA/ATAPI-6, 7). */
enum { DATA, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, COMMAND };

#define CONTROL_NIEN 0x02u
#define CONTROL_SRST 0x04u
#define CONTROL_HOB  0x80u
#define DEVICE_ONE   0x10u

/* Bus master registers of a channel. */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };
#define BM_START     0x01u
#define BM_TO_MEMORY 0x08u
#define BM_ACTIVE    0x01u
#define BM_ERROR     0x02u
#define BM_INTERRUPT 0x04u
#define BM_CAPABLE   0x60u /* set by software, kept */
#define PRD_LAST     0x80000000u

/* The reason for a packet's interrupt, in the count register. */
#define REASON_COMMAND 1u
#define REASON_INPUT   2u

#define BUFFER_BYTES 8192u
#define DEVICE_RESET 0x08u
#define DIAGNOSTIC   0x90u

enum phase {
    PHASE_IDLE,
    PHASE_BUSY,  /* until done_at */
    PHASE_IN,    /* the host reads the buffer */
    PHASE_OUT,   /* the host fills the buffer */
    PHASE_CDB,   /* the host writes a packet */
    PHASE_DMA,   /* waits for the bus master to be started */
    PHASES
};

DEVICE_STATE_BEGIN
struct ide_channel {
    struct ata_unit unit[2];
    uint64_t done_at;      /* vtime at which the phase ends, or VTIME_NEVER */
    uint64_t packet_at;    /* of a packet that reads: the next byte of the drive */
    uint64_t packet_left;  /* bytes of its data that are left */
    uint32_t position, length; /* in `buffer` */
    uint32_t bm_table;
    uint8_t bm_command, bm_status;
    uint8_t selected;      /* 0 or 1 */
    uint8_t control;
    uint8_t pending[2];    /* interrupts that the devices ask for */
    uint8_t line;          /* the level of INTRQ */
    uint8_t phase;         /* enum phase */
    uint8_t active;        /* the device whose command it is */
    uint8_t packet;        /* the command is a packet's: its transfer (enum scsi_transfer); else 0xff */
    uint8_t cdb[16];
    uint8_t reserved[2];
    uint8_t buffer[BUFFER_BYTES];
};

struct ide_state {
    uint8_t config[PCI_CONFIG_BYTES];
    struct ide_channel channel[IDE_CHANNELS];
};
DEVICE_STATE_END

#define NO_PACKET 0xffu

/* What most of this file works on. */
struct port {
    struct device *dev;
    struct ide_wiring *w;
    struct ide_channel *c;
    struct drive **drives;
    unsigned n;
};

static struct port port_of(struct device *dev, unsigned n)
{
    struct ide_state *s = dev->state;
    struct ide_wiring *w = dev->wiring;

    return (struct port){.dev = dev, .w = w, .c = &s->channel[n], .drives = w->drive[n], .n = n};
}

static struct ata_unit *unit_of(const struct port *p)
{
    return &p->c->unit[p->c->active];
}

static struct drive *drive_of(const struct port *p)
{
    return p->drives[p->c->active];
}

/* ---- interrupts, phases ---- */

static void update_irq(const struct port *p)
{
    struct ide_channel *c = p->c;
    bool level = c->pending[c->selected] && !(c->control & CONTROL_NIEN);

    if (level && !c->line)
        c->bm_status |= BM_INTERRUPT;
    c->line = level;
    line_set(&p->w->irq[p->n], level);
}

static void interrupt(const struct port *p)
{
    p->c->pending[p->c->active] = 1;
    update_irq(p);
}

static void set_phase(const struct port *p, enum phase phase)
{
    p->c->phase = (uint8_t)phase;
    p->c->done_at = VTIME_NEVER;
}

static void busy_for(const struct port *p, vtime_t ns)
{
    p->c->phase = PHASE_BUSY;
    p->c->done_at = machine_now(p->dev->machine) + ns;
    unit_of(p)->task.status = ATA_BSY | ATA_DRDY | ATA_DSC;
}

/* The time of a block that follows another: without the drive's latency. */
static vtime_t following(const struct port *p, uint64_t len)
{
    const struct drive *d = drive_of(p);

    return drive_duration(d, len) - drive_duration(d, 0) + 1;
}

/* `len` bytes of the buffer are the host's to read or to fill. */
static void offer(const struct port *p, enum phase phase, uint32_t len)
{
    set_phase(p, phase);
    p->c->position = 0;
    p->c->length = len;
    unit_of(p)->task.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

static void end_command(const struct port *p)
{
    set_phase(p, PHASE_IDLE);
    interrupt(p);
}

/* ---- DMA ---- */

/* Where the bus master is in its table. */
struct prd {
    uint32_t next;     /* address of the next entry */
    uint32_t address;  /* and what is left of this one */
    uint32_t left;
    bool last;
};

/* The next entry. False: there is none, or the function may not read memory. */
static bool next_prd(const struct port *p, struct prd *prd)
{
    uint32_t entry[2];

    if (prd->last)
        return false;
    if (!pci_dma_read(&p->w->pci, prd->next, entry, sizeof(entry))) {
        p->c->bm_status |= BM_ERROR;
        return false;
    }
    prd->next += sizeof(entry);
    prd->address = entry[0] & ~1u;
    prd->left = entry[1] & 0xfffeu ? entry[1] & 0xfffeu : 0x10000;
    prd->last = entry[1] & PRD_LAST;
    return true;
}

/* Move `len` bytes between memory and `bytes`. Returns how many the table had room for. */
static uint32_t move(const struct port *p, struct prd *prd, void *bytes, uint32_t len, bool to_memory)
{
    uint8_t *at = bytes;
    uint32_t done = 0;

    while (done < len) {
        uint32_t n;
        bool moved;

        if (!prd->left && !next_prd(p, prd))
            break;
        n = prd->left < len - done ? prd->left : len - done;
        moved = to_memory ? pci_dma_write(&p->w->pci, prd->address, at + done, n)
                          : pci_dma_read(&p->w->pci, prd->address, at + done, n);
        if (!moved) {
            p->c->bm_status |= BM_ERROR;
            break;
        }
        prd->address += n;
        prd->left -= n;
        done += n;
    }
    return done;
}

/* Move what is left of a read or write at byte `*at` of the drive, `*left` bytes, of whole sectors. Stops short when the
 * table ends; false: the drive failed, with *status. */
static bool move_sectors(const struct port *p, struct prd *prd, bool to_memory, uint64_t *at, uint64_t *left,
                         enum drive_status *status)
{
    struct drive *d = drive_of(p);
    uint8_t piece[DRIVE_PIECE];
    uint64_t most = drive_piece(d);
    uint32_t size = ata_is_packet(d) ? 2048 : ATA_SECTOR;

    *status = DRIVE_OK;
    while (*left) {
        uint64_t wanted = *left < most ? *left : most, good = wanted, moved;

        if (to_memory)
            *status = drive_read(d, *at, piece, wanted, &good);
        moved = move(p, prd, piece, (uint32_t)good, to_memory) / size * size;
        wanted = moved;
        if (!to_memory && moved)
            *status = drive_write(d, *at, piece, moved, &wanted);
        *at += wanted;
        *left -= wanted;
        if (moved < good && *status == DRIVE_OK)
            return true;
        if (*status != DRIVE_OK)
            return to_memory && moved < good; /* the table ended before the bad sector: it is not the drive's error yet */
    }
    return true;
}

static bool bm_running(const struct ide_channel *c)
{
    return (c->bm_command & BM_START) && (c->bm_status & BM_ACTIVE);
}

/* The command moves data by DMA: as soon as the bus master runs. */
static void dma_phase(const struct port *p)
{
    uint64_t len = p->c->packet == NO_PACKET ? (uint64_t)unit_of(p)->work.sectors * ATA_SECTOR : p->c->packet_left;

    set_phase(p, PHASE_DMA);
    unit_of(p)->task.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    if (bm_running(p->c))
        busy_for(p, drive_duration(drive_of(p), len));
}

/* The table ended before the data did: the device goes on waiting. */
static void dma_short(const struct port *p)
{
    p->c->bm_status &= (uint8_t)~BM_ACTIVE;
    set_phase(p, PHASE_DMA);
    unit_of(p)->task.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

/* All data were moved: the bus master is done if its table is. */
static void dma_over(const struct port *p, const struct prd *prd)
{
    if (prd->last && !prd->left)
        p->c->bm_status &= (uint8_t)~BM_ACTIVE;
}

static void dma_trim(const struct port *p, struct prd *prd)
{
    struct ata_unit *u = unit_of(p);
    uint32_t len = u->work.sectors * ATA_SECTOR;

    if (len > BUFFER_BYTES || move(p, prd, p->c->buffer, len, false) < len) {
        dma_short(p);
        return;
    }
    dma_over(p, prd);
    ata_trim(drive_of(p), u, p->c->buffer, len);
    end_command(p);
}

static void dma_disk(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    struct prd prd = {.next = p->c->bm_table};
    uint64_t at = u->work.lba * ATA_SECTOR, left = (uint64_t)u->work.sectors * ATA_SECTOR;
    enum drive_status status;
    bool good;

    if (u->work.kind == ATA_TRIM) {
        dma_trim(p, &prd);
        return;
    }
    good = move_sectors(p, &prd, u->work.kind == ATA_READ, &at, &left, &status);
    ata_advance(u, (uint32_t)(at / ATA_SECTOR - u->work.lba));
    if (good && left) {
        dma_short(p);
        return;
    }
    dma_over(p, &prd);
    ata_end(drive_of(p), u, status, 0);
    end_command(p);
}

/* ---- packets ---- */

static void packet_end(const struct port *p, uint8_t status)
{
    struct ata_unit *u = unit_of(p);

    u->work.kind = ATA_DONE;
    u->task.count[0] = REASON_COMMAND | REASON_INPUT;
    u->task.status = (uint8_t)(ATA_DRDY | ATA_DSC | (status == SCSI_GOOD ? 0 : ATA_ERR));
    u->task.error = status == SCSI_GOOD ? 0 : (uint8_t)(u->scsi.key << 4 | (u->scsi.key == SENSE_ILLEGAL ? ATA_ABRT : 0));
    p->c->packet = NO_PACKET;
    end_command(p);
}

/* How many bytes the host takes at once. */
static uint32_t byte_limit(const struct ata_unit *u)
{
    uint32_t limit = (uint32_t)u->task.high[0] << 8 | u->task.mid[0];

    limit = limit == 0 || limit == 0xffff ? 0xfffe : limit & ~1u;
    return limit ? limit : 2;
}

/* The next piece of a packet's data, by PIO; data to the host are in the buffer already if it is a reply. */
static void packet_piece(const struct port *p)
{
    struct ide_channel *c = p->c;
    struct ata_unit *u = unit_of(p);
    uint64_t n = byte_limit(u), before = 0, done = 0;
    enum drive_status status = DRIVE_OK;

    n = n < BUFFER_BYTES ? n : BUFFER_BYTES;
    n = n < c->packet_left ? n : c->packet_left;
    if (c->packet == SCSI_READ)
        status = drive_read(drive_of(p), c->packet_at, c->buffer, n, &done);
    if (status != DRIVE_OK) {
        uint8_t result = scsi_end(&u->scsi, status);

        scsi_failed_at(drive_of(p), &u->scsi, c->packet_at + done);
        packet_end(p, result);
        return;
    }
    u->task.count[0] = c->packet == SCSI_PARAMETERS ? 0 : REASON_INPUT;
    u->task.mid[0] = (uint8_t)n;
    u->task.high[0] = (uint8_t)(n >> 8);
    if (c->packet == SCSI_PARAMETERS) /* pieces of a list are gathered */
        before = c->packet_at;
    offer(p, c->packet == SCSI_PARAMETERS ? PHASE_OUT : PHASE_IN, (uint32_t)(before + n));
    c->position = (uint32_t)before;
    c->packet_at += n;
    c->packet_left -= n;
    interrupt(p);
}

static void dma_packet(const struct port *p)
{
    struct ide_channel *c = p->c;
    struct ata_unit *u = unit_of(p);
    struct prd prd = {.next = c->bm_table};
    enum drive_status status = DRIVE_OK;
    uint8_t result = SCSI_GOOD;

    if (c->packet == SCSI_READ) {
        bool good = move_sectors(p, &prd, true, &c->packet_at, &c->packet_left, &status);

        if (good && c->packet_left) {
            dma_short(p);
            return;
        }
        result = scsi_end(&u->scsi, status);
        scsi_failed_at(drive_of(p), &u->scsi, c->packet_at);
    } else if (move(p, &prd, c->buffer, (uint32_t)c->packet_left, c->packet == SCSI_REPLY) < c->packet_left) {
        dma_short(p);
        return;
    } else if (c->packet == SCSI_PARAMETERS) {
        result = scsi_parameters(drive_of(p), &u->scsi, c->cdb, c->buffer, c->packet_left);
    }
    dma_over(p, &prd);
    packet_end(p, result);
}

/* A whole packet was written. */
static void packet_command(const struct port *p)
{
    struct ide_channel *c = p->c;
    struct ata_unit *u = unit_of(p);
    struct drive *d = drive_of(p);
    struct scsi_command cmd;

    memset(c->cdb, 0, sizeof(c->cdb));
    memcpy(c->cdb, c->buffer, ATA_PACKET_BYTES);
    scsi_begin(d, &u->scsi, c->cdb, &cmd);
    c->packet = (uint8_t)cmd.transfer;
    c->packet_at = cmd.offset;
    c->packet_left = cmd.len;
    switch (cmd.transfer) {
    case SCSI_NOTHING:
        packet_end(p, SCSI_GOOD);
        return;
    case SCSI_REPLY:
        memcpy(c->buffer, cmd.reply, cmd.len);
        break;
    case SCSI_VERIFY: case SCSI_FLUSH:
        busy_for(p, drive_duration(d, cmd.transfer == SCSI_VERIFY ? cmd.len : 0));
        return;
    case SCSI_READ:
        break;
    case SCSI_PARAMETERS:
        if (cmd.len <= BUFFER_BYTES)
            break;
        scsi_fail(&u->scsi, SENSE_ILLEGAL, 0x1a, 0); /* parameter list length */
        /* fall through */
    default:
        packet_end(p, SCSI_CHECK);
        return;
    }
    if (u->work.dma)
        dma_phase(p);
    else if (cmd.transfer == SCSI_READ)
        busy_for(p, drive_duration(d, 2048));
    else
        packet_piece(p);
}

/* A piece of a packet's data went to or came from the host. */
static void packet_piece_done(const struct port *p)
{
    struct ide_channel *c = p->c;
    struct ata_unit *u = unit_of(p);

    if (!c->packet_left)
        packet_end(p, c->packet == SCSI_PARAMETERS
                          ? scsi_parameters(drive_of(p), &u->scsi, c->cdb, c->buffer, c->length) : SCSI_GOOD);
    else if (c->packet == SCSI_PARAMETERS)
        packet_piece(p);
    else if (c->packet == SCSI_READ)
        busy_for(p, following(p, byte_limit(u)));
    else {
        memmove(c->buffer, c->buffer + c->length, BUFFER_BYTES - c->length);
        packet_piece(p);
    }
}

/* ---- commands of disks, by PIO ---- */

static uint32_t block_bytes(const struct ata_unit *u)
{
    return (u->work.sectors < u->work.block ? u->work.sectors : u->work.block) * ATA_SECTOR;
}

/* A busy device has its next block to read. */
static void read_block(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    uint32_t len = block_bytes(u);
    uint64_t done = 0;
    enum drive_status status = drive_read(drive_of(p), u->work.lba * ATA_SECTOR, p->c->buffer, len, &done);

    if (status != DRIVE_OK) {
        ata_end(drive_of(p), u, status, (uint32_t)(done / ATA_SECTOR));
        end_command(p);
        return;
    }
    offer(p, PHASE_IN, len);
    ata_advance(u, len / ATA_SECTOR);
    interrupt(p);
}

/* The host has written a block, and the time for it is over. */
static void write_block(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    uint32_t len = block_bytes(u);
    uint64_t done = 0;
    enum drive_status status = drive_write(drive_of(p), u->work.lba * ATA_SECTOR, p->c->buffer, len, &done);

    if (status != DRIVE_OK || u->work.sectors == len / ATA_SECTOR) {
        if (status == DRIVE_OK)
            ata_advance(u, len / ATA_SECTOR);
        ata_end(drive_of(p), u, status, (uint32_t)(done / ATA_SECTOR) * (status != DRIVE_OK));
        end_command(p);
        return;
    }
    ata_advance(u, len / ATA_SECTOR);
    offer(p, PHASE_OUT, block_bytes(u));
    interrupt(p);
}

static void verify(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    uint64_t done = 0;
    enum drive_status status = drive_verify(drive_of(p), u->work.lba * ATA_SECTOR,
                                            (uint64_t)u->work.sectors * ATA_SECTOR, &done);

    if (status == DRIVE_OK)
        ata_advance(u, u->work.sectors);
    ata_end(drive_of(p), u, status, status == DRIVE_OK ? 0 : (uint32_t)(done / ATA_SECTOR));
    end_command(p);
}

/* The host has read or filled the buffer. */
static void buffer_done(const struct port *p)
{
    struct ata_unit *u = unit_of(p);

    if (p->c->phase == PHASE_CDB) {
        packet_command(p);
        return;
    }
    if (p->c->packet != NO_PACKET) {
        packet_piece_done(p);
        return;
    }
    switch (u->work.kind) {
    case ATA_READ:
        if (u->work.sectors) {
            busy_for(p, following(p, block_bytes(u)));
            return;
        }
        ata_end(drive_of(p), u, DRIVE_OK, 0);
        set_phase(p, PHASE_IDLE);
        return;
    case ATA_WRITE:
        busy_for(p, following(p, block_bytes(u)));
        return;
    case ATA_TAKE:
        busy_for(p, drive_duration(drive_of(p), ata_take_bytes(drive_of(p), u)));
        return;
    default: /* a reply */
        u->work.kind = ATA_DONE;
        u->task.status = ATA_DRDY | ATA_DSC;
        set_phase(p, PHASE_IDLE);
        return;
    }
}

/* A busy phase ends. */
static void phase_over(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    struct ide_channel *c = p->c;

    if (c->packet == SCSI_VERIFY || c->packet == SCSI_FLUSH) {
        packet_end(p, c->packet == SCSI_VERIFY ? scsi_verified(drive_of(p), &u->scsi, c->packet_at, c->packet_left) : SCSI_GOOD);
    } else if (c->packet != NO_PACKET) {
        if (u->work.dma)
            dma_packet(p);
        else
            packet_piece(p);
    } else if (u->work.dma) {
        dma_disk(p);
    } else if (u->work.kind == ATA_READ) {
        read_block(p);
    } else if (u->work.kind == ATA_WRITE) {
        write_block(p);
    } else if (u->work.kind == ATA_VERIFY) {
        verify(p);
    } else if (u->work.kind == ATA_TAKE) {
        ata_take(drive_of(p), u, c->buffer);
        end_command(p);
    } else {
        ata_end(drive_of(p), u, DRIVE_OK, 0);
        end_command(p);
    }
}

/* ata_begin() said what is to be done. */
static void start(const struct port *p)
{
    struct ata_unit *u = unit_of(p);
    const struct drive *d = drive_of(p);

    p->c->packet = NO_PACKET;
    switch (u->work.kind) {
    case ATA_REPLY:
        offer(p, PHASE_IN, ATA_SECTOR);
        interrupt(p);
        break;
    case ATA_READ: case ATA_WRITE:
        if (u->work.dma)
            dma_phase(p);
        else if (u->work.kind == ATA_READ)
            busy_for(p, drive_duration(d, block_bytes(u)));
        else
            offer(p, PHASE_OUT, block_bytes(u)); /* the first block is asked for without an interrupt */
        break;
    case ATA_TRIM:
        dma_phase(p);
        break;
    case ATA_TAKE:
        offer(p, PHASE_OUT, ATA_SECTOR);
        break;
    case ATA_VERIFY: case ATA_FLUSH:
        busy_for(p, drive_duration(d, (uint64_t)u->work.sectors * ATA_SECTOR));
        break;
    case ATA_PACKET:
        offer(p, PHASE_CDB, ATA_PACKET_BYTES);
        u->task.count[0] = REASON_COMMAND;
        break;
    default:
        if (u->task.command == DEVICE_RESET && ata_is_packet(d) && !(u->task.status & ATA_ERR))
            set_phase(p, PHASE_IDLE);
        else
            end_command(p);
        break;
    }
}

/* ---- registers ---- */

static bool absent(const struct port *p, unsigned unit)
{
    return !p->drives[unit];
}

static void select_device(const struct port *p, uint8_t value)
{
    p->c->selected = value & DEVICE_ONE ? 1 : 0;
    update_irq(p);
}

static void diagnostic(const struct port *p)
{
    for (unsigned i = 0; i < 2; i++)
        if (!absent(p, i))
            ata_signature(p->drives[i], &p->c->unit[i]);
    p->c->pending[0] = p->c->pending[1] = 0;
    select_device(p, 0);
    p->c->active = absent(p, 0) ? 1 : 0;
    p->c->packet = NO_PACKET;
    end_command(p);
}

static void write_command(const struct port *p, uint8_t command)
{
    struct ide_channel *c = p->c;
    unsigned unit = c->selected;
    bool free = c->phase == PHASE_IDLE;

    if (command == DIAGNOSTIC && free && !(absent(p, 0) && absent(p, 1))) { /* both carry it out, whichever is selected */
        diagnostic(p);
        return;
    }
    if (absent(p, unit))
        return;
    if (!free && !(command == DEVICE_RESET && c->active == unit && ata_is_packet(p->drives[unit])))
        return;
    if (ata_sleeps(&c->unit[unit]) && !(command == DEVICE_RESET && ata_is_packet(p->drives[unit])))
        return;
    c->pending[unit] = 0;
    update_irq(p);
    c->active = (uint8_t)unit;
    ata_begin(p->drives[unit], &c->unit[unit], command, c->buffer);
    start(p);
}

static void push(uint8_t *reg, uint8_t value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

/* Both devices take what is written. */
static void write_register(const struct port *p, unsigned reg, uint8_t value)
{
    struct ide_channel *c = p->c;

    c->control &= (uint8_t)~CONTROL_HOB;
    if (c->control & CONTROL_SRST) /* held in reset */
        return;
    if (reg == COMMAND) {
        write_command(p, value);
        return;
    }
    if (c->phase != PHASE_IDLE && c->active == c->selected)
        return; /* not while a command is carried out */
    for (unsigned i = 0; i < 2; i++) {
        struct ata_task *t = &c->unit[i].task;

        switch (reg) {
        case FEATURES: push(t->features, value); break;
        case COUNT:    push(t->count, value); break;
        case LOW:      push(t->low, value); break;
        case MID:      push(t->mid, value); break;
        case HIGH:     push(t->high, value); break;
        default:       t->device = value; break;
        }
    }
    if (reg == DEVICE)
        select_device(p, value);
}

static uint8_t read_register(const struct port *p, unsigned reg)
{
    struct ide_channel *c = p->c;
    bool missing = absent(p, c->selected);
    const struct ata_task *t = &c->unit[missing ? !c->selected : c->selected].task;
    unsigned hob = c->control & CONTROL_HOB ? 1 : 0;

    if (absent(p, 0) && absent(p, 1))
        return 0;
    switch (reg) {
    case FEATURES: return t->error;
    case COUNT:    return t->count[hob];
    case LOW:      return t->low[hob];
    case MID:      return t->mid[hob];
    case HIGH:     return t->high[hob];
    case DEVICE:   return (uint8_t)((t->device & ~DEVICE_ONE) | 0xa0u | (c->selected ? DEVICE_ONE : 0));
    default:       return missing ? 0 : t->status;
    }
}

static void software_reset(const struct port *p, bool done)
{
    struct ide_channel *c = p->c;

    set_phase(p, PHASE_IDLE);
    c->packet = NO_PACKET;
    for (unsigned i = 0; i < 2; i++) {
        c->pending[i] = 0;
        if (absent(p, i))
            continue;
        if (done)
            ata_reset(p->drives[i], &c->unit[i], false);
        else
            c->unit[i].task.status = ATA_BSY;
    }
    select_device(p, 0);
}

static void write_control(const struct port *p, uint8_t value)
{
    uint8_t changed = (uint8_t)(value ^ p->c->control);

    p->c->control = value & (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB);
    if (changed & CONTROL_SRST)
        software_reset(p, !(value & CONTROL_SRST));
    update_irq(p);
}

/* The data register, a byte or more at a time. */
static uint64_t read_data(const struct port *p, unsigned size)
{
    struct ide_channel *c = p->c;
    uint64_t value = 0;
    unsigned n = size;

    if (c->phase != PHASE_IN || c->active != c->selected)
        return absent(p, 0) && absent(p, 1) ? 0 : UINT64_MAX;
    if (n > c->length - c->position)
        n = c->length - c->position;
    memcpy(&value, c->buffer + c->position, n);
    c->position += n;
    if (c->position == c->length)
        buffer_done(p);
    return value;
}

static void write_data(const struct port *p, unsigned size, uint64_t value)
{
    struct ide_channel *c = p->c;
    unsigned n = size;

    if ((c->phase != PHASE_OUT && c->phase != PHASE_CDB) || c->active != c->selected)
        return;
    if (n > c->length - c->position)
        n = c->length - c->position;
    memcpy(c->buffer + c->position, &value, n);
    c->position += n;
    if (c->position == c->length)
        buffer_done(p);
}

/* ---- the bus master ---- */

static uint64_t bm_read(const struct ide_channel *c, unsigned reg, unsigned size)
{
    uint8_t bytes[8] = {c->bm_command, 0, c->bm_status, 0};
    uint64_t value = 0;

    memcpy(bytes + BM_TABLE, &c->bm_table, 4);
    for (unsigned i = 0; i < size && reg + i < 8; i++)
        value |= (uint64_t)bytes[reg + i] << (8 * i);
    return value;
}

static void bm_write_command(const struct port *p, uint8_t value)
{
    struct ide_channel *c = p->c;
    bool starts = (value & BM_START) && !(c->bm_command & BM_START);

    c->bm_command = value & (BM_START | BM_TO_MEMORY);
    if (!(value & BM_START)) {
        c->bm_status &= (uint8_t)~BM_ACTIVE;
        if (c->phase == PHASE_BUSY && unit_of(p)->work.dma) /* stopped: the device waits again */
            dma_phase(p);
    }
    if (!starts)
        return;
    c->bm_status |= BM_ACTIVE;
    if (c->phase == PHASE_DMA)
        dma_phase(p);
}

static void bm_write(const struct port *p, unsigned reg, unsigned size, uint64_t value)
{
    struct ide_channel *c = p->c;

    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint8_t byte = (uint8_t)value;
        unsigned at = reg + i, shift = 8 * (at & 3u);

        if (at == BM_COMMAND)
            bm_write_command(p, byte);
        else if (at == BM_STATUS)
            c->bm_status = (uint8_t)((c->bm_status & BM_ACTIVE) | (byte & BM_CAPABLE) |
                                     (c->bm_status & ~byte & (BM_ERROR | BM_INTERRUPT)));
        else if (at >= BM_TABLE && at < 8)
            c->bm_table = ((c->bm_table & ~(0xffu << shift)) | (uint32_t)byte << shift) & ~3u;
    }
}

/* ---- the device ---- */

static uint64_t ide_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct ide_state *s = dev->state;
    struct port p = port_of(dev, range & 1u);
    uint64_t value = 0;

    if (range == IDE_BUS_MASTER)
        return bm_read(&s->channel[offset >> 3 & 1u], (unsigned)offset & 7u, size);
    if (range == IDE_CONTROL_0 || range == IDE_CONTROL_1)
        return read_register(&p, COMMAND);
    if (offset == DATA)
        return read_data(&p, size);
    for (unsigned i = 0; i < size && offset + i <= COMMAND; i++) {
        value |= (uint64_t)read_register(&p, (unsigned)offset + i) << (8 * i);
        if (offset + i == COMMAND && !absent(&p, p.c->selected)) {
            p.c->pending[p.c->selected] = 0;
            update_irq(&p);
        }
    }
    return value;
}

static void ide_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct port p = port_of(dev, range == IDE_BUS_MASTER ? offset >> 3 & 1u : range & 1u);

    if (range == IDE_BUS_MASTER) {
        bm_write(&p, (unsigned)offset & 7u, size, value);
        return;
    }
    if (range == IDE_CONTROL_0 || range == IDE_CONTROL_1) {
        write_control(&p, (uint8_t)value);
        return;
    }
    if (offset == DATA) {
        write_data(&p, size, value);
        return;
    }
    for (unsigned i = 0; i < size && offset + i <= COMMAND; i++)
        write_register(&p, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
}

void ide_plug(struct device *dev, struct pci_bus *bus, uint8_t devfn)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180,
                                           .command = PCI_COMMAND_IO | PCI_COMMAND_MASTER};
    struct ide_wiring *w = dev->wiring;
    struct ide_state *s = dev->state;

    pci_function_init(&w->pci, bus, devfn, dev, s->config, &id);
    pci_add_bar(&w->pci, 4, PCI_BAR_IO, false, 16, IDE_BUS_MASTER);
    w->pci.writable[PCI_CACHE_LINE] = 0;
    w->pci.writable[PCI_LATENCY] = 0xf0;
    memset(w->pci.writable + 0x40, 0xff, 5); /* IDETIM, SIDETIM */
    put_le16(w->pci.reset + PCI_STATUS, 0x0280);
}

void ide_firmware_setup(struct device *dev)
{
    struct ide_state *s = dev->state;

    s->config[0x41] = s->config[0x43] = 0x80; /* IDETIM: decode enable */
}

static void ide_reset(struct device *dev)
{
    struct ide_wiring *w = dev->wiring;

    pci_function_reset(&w->pci);
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        struct port p = port_of(dev, n);
        const struct ide_channel was = *p.c;

        memset(p.c, 0, sizeof(*p.c));
        p.c->packet = NO_PACKET;
        p.c->done_at = VTIME_NEVER;
        for (unsigned i = 0; i < 2; i++)
            if (!absent(&p, i)) {
                p.c->unit[i] = was.unit[i]; /* some of it is kept on the disk */
                ata_reset(p.drives[i], &p.c->unit[i], true);
            }
        update_irq(&p);
    }
}

static vtime_t ide_deadline(const struct device *dev)
{
    const struct ide_state *s = dev->state;
    vtime_t a = s->channel[0].done_at, b = s->channel[1].done_at;

    return a < b ? a : b;
}

static void ide_expire(struct device *dev, vtime_t now)
{
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        struct port p = port_of(dev, n);

        if (p.c->done_at > now)
            continue;
        p.c->done_at = VTIME_NEVER;
        phase_over(&p);
    }
}

static void ide_describe(const struct device *dev, struct buffer *b)
{
    static const char *const phases[PHASES] = {"idle", "busy", "data in", "data out", "packet", "waits for DMA"};
    const struct ide_wiring *w = dev->wiring;
    const struct ide_state *s = dev->state;

    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        const struct ide_channel *c = &s->channel[n];

        buffer_printf(b, "channel %u: %s, device %u, bus master %02x %02x table %08x\n", n, phases[c->phase], c->selected,
                      c->bm_command, c->bm_status, c->bm_table);
        for (unsigned i = 0; i < 2; i++) {
            const struct ata_task *t = &c->unit[i].task;

            if (w->drive[n][i])
                buffer_printf(b, "  %u: %s, command %02x status %02x error %02x, sector %llu, %u left\n", i,
                              w->drive[n][i]->name, t->command, t->status, t->error,
                              (unsigned long long)c->unit[i].work.lba, c->unit[i].work.sectors);
        }
    }
}

/* The phase must be one that the command in progress can be in, and its device must be there. */
static bool channel_possible(const struct device *dev, unsigned n)
{
    const struct ide_wiring *w = dev->wiring;
    const struct ide_state *s = dev->state;
    const struct ide_channel *c = &s->channel[n];

    if (c->selected > 1 || c->active > 1 || c->phase >= PHASES || c->length > BUFFER_BYTES || c->position > c->length ||
        !ata_possible(&c->unit[0]) || !ata_possible(&c->unit[1]) || c->packet_left > UINT32_MAX ||
        (c->packet > SCSI_FLUSH && c->packet != NO_PACKET) || c->packet == SCSI_WRITE)
        return false;
    if (c->phase == PHASE_IDLE)
        return c->done_at == VTIME_NEVER;
    if (c->packet != NO_PACKET && c->packet != SCSI_READ && c->packet_left > BUFFER_BYTES && c->packet != SCSI_VERIFY)
        return false;
    if (c->packet == SCSI_PARAMETERS && c->packet_at > BUFFER_BYTES - c->packet_left)
        return false;
    return w->drive[n][c->active] && machine_deadline_possible(dev->machine, c->done_at) &&
           (c->phase == PHASE_BUSY) == (c->done_at != VTIME_NEVER);
}

static bool ide_possible(const struct device *dev)
{
    return channel_possible(dev, 0) && channel_possible(dev, 1);
}

/* Versions 1 and 2 had devices as ata_unit_of_old() knows them. */
static bool ide_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct ide_state *s = dev->state;
    size_t head = offsetof(struct ide_state, channel), tail = sizeof(s->channel[0]) - sizeof(s->channel[0].unit);
    enum ata_unit_age age = version == 1 ? ATA_UNIT_OLDEST : ATA_UNIT_OLDER;
    const uint8_t *from = (const uint8_t *)old + head;

    if ((version != 1 && version != 2) || len != head + IDE_CHANNELS * (2 * ata_unit_old_bytes(age) + tail))
        return false;
    memcpy(s, old, head);
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        for (unsigned i = 0; i < 2; i++)
            from += ata_unit_of_old(&s->channel[n].unit[i], from, age);
        memcpy((uint8_t *)&s->channel[n] + sizeof(s->channel[n].unit), from, tail);
        from += tail;
    }
    return true;
}

const struct device_ops ide_ops = {
    .name = "ide",
    .state_size = sizeof(struct ide_state),
    .state_version = 3,
    .upgrade = ide_upgrade,
    .calm_reads = true,
    .possible = ide_possible,
    .reset = ide_reset,
    .deadline = ide_deadline,
    .expire = ide_expire,
    .describe = ide_describe,
    .read = ide_read,
    .write = ide_write,
};
