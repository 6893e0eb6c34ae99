/*
 * ATA and ATAPI devices: what one makes of the registers that make up a command. The channel that carries
 * it (ide.c, ahci.c) moves the data as ata_begin() says.
 */
#ifndef HINDCAST_VM_DEV_ATA_H
#define HINDCAST_VM_DEV_ATA_H

#include "vm/dev/ata_security.h"
#include "vm/dev/ata_smart.h"
#include "vm/dev/scsi.h"
#include "vm/device.h"
#include "vm/drive.h"

#define ATA_SECTOR 512u
#define ATA_PACKET_BYTES 12u

/* Status and error bits. */
#define ATA_ERR  0x01u
#define ATA_DRQ  0x08u
#define ATA_DSC  0x10u
#define ATA_DF   0x20u
#define ATA_DRDY 0x40u
#define ATA_BSY  0x80u
#define ATA_ABRT 0x04u
#define ATA_IDNF 0x10u
#define ATA_UNC  0x40u

enum ata_kind {
    ATA_DONE,      /* finished: status and error are set */
    ATA_REPLY,     /* 512 bytes for the host */
    ATA_READ, ATA_WRITE, /* sectors, of the drive */
    ATA_VERIFY,    /* sectors are looked at, no data */
    ATA_FLUSH,     /* takes as long as a flush, no data */
    ATA_TRIM,      /* `sectors` sectors with ranges to be discarded, from the host */
    ATA_PACKET,    /* a command packet from the host */
    ATA_TAKE,      /* 512 bytes from the host, for ata_take(); then it takes as long as ata_take_bytes() say */
    ATA_KINDS
};

DEVICE_STATE_BEGIN
/* The command block registers; [1] is what a second write pushed there (the high order byte of 48 bits). */
struct ata_task {
    uint8_t features[2], count[2], low[2], mid[2], high[2];
    uint8_t device, command, status, error;
    uint8_t reserved[2];
};

/* What a command still has to do. */
struct ata_work {
    uint64_t lba;        /* the next sector */
    uint32_t sectors;    /* how many are left */
    uint32_t block;      /* sectors of one DRQ block (PIO) */
    uint8_t kind;        /* enum ata_kind */
    uint8_t dma;         /* by DMA rather than PIO */
    uint8_t wide;        /* 48-bit addresses */
    uint8_t reserved[5];
};

/* A device, in its channel's state. */
struct ata_unit {
    struct ata_task task;
    struct ata_work work;
    struct scsi_unit scsi;      /* a CD-ROM drive */
    uint8_t heads, sectors;     /* translation of cylinder, head and sector addresses; sectors 0: none */
    uint8_t multiple;           /* sectors of READ and WRITE MULTIPLE; 0: not set */
    uint8_t mode;               /* transfer mode chosen by SET FEATURES */
    uint8_t cache, ahead;       /* the write cache and reading ahead are on */
    uint8_t revert;             /* a software reset restores what SET FEATURES and SET MULTIPLE have set */
    uint8_t power;              /* enum ata_power */
    uint8_t timer;              /* of standby, as the host set it; 0: none */
    uint8_t asked;              /* the last command was READ NATIVE MAX ADDRESS: 1, or EXT: 2 */
    uint8_t protected;          /* what set `most`: 1 SET MAX ADDRESS, 2 EXT */
    uint8_t kept;               /* `most_kept` was set since power came: that can be done once */
    uint8_t reserved[4];
    uint64_t most, most_kept;   /* sectors that the host is shown, 0: all; what a hardware reset makes of it */
    uint64_t used_at;           /* vtime of the last command */
    struct ata_smart smart;     /* a disk's */
    struct ata_security security;
};
DEVICE_STATE_END

/* Power modes (ATA/ATAPI-6, 6.10). The standby timer takes a device to ATA_STANDBY without changing the state. */
enum ata_power { ATA_ACTIVE, ATA_IDLE, ATA_STANDBY, ATA_SLEEP };

static inline bool ata_is_packet(const struct drive *d)
{
    return d->c.media == DRIVE_CDROM;
}

/* Power-on or hardware reset; a software reset keeps modes. Leaves the signature in the registers. */
void ata_reset(struct drive *d, struct ata_unit *u, bool hard);
/* The registers that tell what kind of device this is (ATA/ATAPI-6, 9.12). */
void ata_signature(struct drive *d, struct ata_unit *u);
/* The command register was written, or a command came in a FIS: u->work says what is to be done. `reply`: 512 bytes. */
void ata_begin(struct drive *d, struct ata_unit *u, uint8_t command, uint8_t *reply);
/* A queued command, of which the channel takes care itself, needs the medium. */
void ata_used(const struct drive *d, struct ata_unit *u);
/* Does it take no command before a reset? */
bool ata_sleeps(const struct ata_unit *u);
/* The sectors that the host is shown of a disk. */
uint64_t ata_sectors(const struct drive *d, const struct ata_unit *u);
/* A reply to IDENTIFY (PACKET) DEVICE as a Serial ATA device has it; `depth` commands may be queued (0: none). */
void ata_identify_serial(uint8_t *reply, unsigned depth);
/* Fill in the checksum of a page of 512 bytes, of which the last two are free. */
void ata_checksum(uint8_t *page, uint8_t signature);
/* `n` sectors from work.lba on were done: move on. */
void ata_advance(struct ata_unit *u, uint32_t n);
/* The command ends well, or by what became of the sector at work.lba + `good`. */
void ata_end(struct drive *d, struct ata_unit *u, enum drive_status status, uint32_t good);
void ata_abort(struct ata_unit *u);
/* The list of a DATA SET MANAGEMENT command. */
void ata_trim(struct drive *d, struct ata_unit *u, const uint8_t *list, uint32_t len);
/* What such a struct was: without `security`, and before that with a SCSI unit as scsi_unit_of_old() knows it. */
enum ata_unit_age { ATA_UNIT_OLDEST, ATA_UNIT_OLDER };
size_t ata_unit_old_bytes(enum ata_unit_age age);
/* From one of those; returns how many bytes that were. */
size_t ata_unit_of_old(struct ata_unit *u, const uint8_t *old, enum ata_unit_age age);
/* A command's data, of ATA_TAKE, and its end; how many bytes of the medium that is about. */
void ata_take(struct drive *d, struct ata_unit *u, const uint8_t *data);
uint64_t ata_take_bytes(const struct drive *d, const struct ata_unit *u);
/* For `possible`: can the channel's code live with it? */
bool ata_possible(const struct ata_unit *u);

#endif
