/*
 * SCSI logical units: what a disk or a CD-ROM drive makes of a command. Whoever carries commands
 * (ATAPI, virtio-scsi) gives the command block to scsi_begin(), is told what is to be moved, moves it at
 * its own pace, and says how that ended.
 */
#ifndef HINDCAST_VM_DEV_SCSI_H
#define HINDCAST_VM_DEV_SCSI_H

#include "vm/device.h"
#include "vm/drive.h"

enum { SCSI_GOOD = 0x00, SCSI_CHECK = 0x02, SCSI_CONFLICT = 0x18 };

/* Sense keys (SPC-3, table 27). */
enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6,
       SENSE_PROTECT = 7, SENSE_MISCOMPARE = 14 };

#define SCSI_SENSE_BYTES 18u
#define SCSI_REPLY_BYTES 512u

DEVICE_STATE_BEGIN
/* State of a unit, in its controller's. */
struct scsi_unit {
    uint8_t key, asc, ascq;  /* sense data of the last command that failed */
    uint8_t attention;       /* ASC of a unit attention condition to be told; 0: none */
    uint8_t locked;          /* the medium must not be removed */
    uint8_t open;            /* the tray is open */
    uint8_t informed;        /* `information` belongs to the sense data */
    uint8_t write_through;   /* the write cache is off */
    uint64_t information;    /* the block that cannot be read or written, or the first byte that differs */
    uint64_t registered;     /* the key of the initiator's registration (scsi_reserve.c); 0: it has none */
    uint32_t generation;     /* of registrations */
    uint8_t reservation;     /* the type of its reservation; 0: it has none */
    uint8_t reserved[3];
};
DEVICE_STATE_END

enum scsi_transfer {
    SCSI_NOTHING,    /* no data */
    SCSI_REPLY,      /* `len` bytes of `reply` to the initiator */
    SCSI_READ,       /* `len` bytes from `offset` of the drive to the initiator */
    SCSI_WRITE,      /* `len` bytes from the initiator to the drive */
    SCSI_PARAMETERS, /* `len` bytes from the initiator, to be given to scsi_parameters() */
    SCSI_VERIFY,     /* no data: drive_verify() of the range */
    SCSI_FLUSH,      /* no data: takes as long as a flush */
    SCSI_FAILED,     /* the command failed: sense data say why */
};

struct scsi_command {
    enum scsi_transfer transfer;
    uint64_t offset, len;
    uint8_t reply[SCSI_REPLY_BYTES];
};

/* Bytes of such a struct when it had no `information` and nothing behind it. */
#define SCSI_UNIT_OLD 8u
/* From what such a struct was before it had `information` and what follows; returns how many bytes that were. */
size_t scsi_unit_of_old(struct scsi_unit *u, const uint8_t *old);
/* After a reset: a unit attention, nothing locked. Registrations stay. */
void scsi_reset(struct scsi_unit *u);
/* Look at a command block (16 bytes are readable). */
void scsi_begin(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c);
/* What scsi_begin() would say; nothing happens yet. */
void scsi_peek(struct drive *d, const struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c);
/* The parameter list of the command: SCSI_GOOD or SCSI_CHECK. */
uint8_t scsi_parameters(struct drive *d, struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list, uint64_t len);
/* A transfer ended so: status of the command, with sense data if it failed. */
uint8_t scsi_end(struct scsi_unit *u, enum drive_status status);
/* The same of one that wrote. */
uint8_t scsi_end_write(struct scsi_unit *u, enum drive_status status);
/* A command without data looked at these bytes of the medium: its status. */
uint8_t scsi_verified(struct drive *d, struct scsi_unit *u, uint64_t offset, uint64_t len);
/* The medium has failed (if the sense data say so) at byte `at` of the drive. */
void scsi_failed_at(const struct drive *d, struct scsi_unit *u, uint64_t at);
/* Set sense data: the command fails. */
uint8_t scsi_fail(struct scsi_unit *u, uint8_t key, uint8_t asc, uint8_t ascq);
/* Sense data in the fixed format, SCSI_SENSE_BYTES of them. */
void scsi_sense(const struct scsi_unit *u, uint8_t *out);

#endif
