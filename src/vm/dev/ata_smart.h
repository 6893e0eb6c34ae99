/*
 * SMART of an ATA disk (ATA/ATAPI-6, 6.14 and 8.41): attributes, thresholds, logs, self-tests. See ata_smart.c.
 */
#ifndef HINDCAST_VM_DEV_ATA_SMART_H
#define HINDCAST_VM_DEV_ATA_SMART_H

#include "vm/device.h"
#include "vm/drive.h"

#define SMART_KEPT 5u /* errors in the log; self-tests that are remembered */

DEVICE_STATE_BEGIN
/* The registers of a command: features, count, LBA (three), device, command. */
struct smart_command {
    uint8_t r[7];
    uint8_t reserved;
};

/* An error of the medium. */
struct smart_failure {
    uint64_t at;              /* vtime */
    struct smart_command command;
    uint8_t error, status, count, low, mid, high, device;
    uint8_t reserved;
};

struct smart_test {
    uint64_t at;              /* vtime */
    uint64_t lba;             /* that failed */
    uint8_t number;           /* as the host gave it */
    uint8_t status;           /* 0: well; 7: a sector cannot be read */
    uint8_t reserved[6];
};

/* All zeros: as it comes from the factory. Resets leave it as it is. */
struct ata_smart {
    struct smart_failure failure[SMART_KEPT]; /* error number k (from 0 on) is at k % SMART_KEPT */
    struct smart_test test[SMART_KEPT];
    struct smart_command command;             /* the one in progress */
    uint32_t failures, tests;                 /* how many there were */
    uint8_t disabled;
    uint8_t no_autosave;
    uint8_t collected;                        /* off-line data collection was carried out */
    uint8_t reserved[5];
};
DEVICE_STATE_END

/* What becomes of a command SMART. */
enum smart_answer {
    SMART_ABORTED,  /* it is none, or not now */
    SMART_OK,       /* no data; RETURN STATUS leaves the registers `mid` and `high` */
    SMART_REPLY,    /* 512 bytes */
};

struct ata_task;

/* Command B0h with the registers as they are. `reply`: 512 bytes of zeros. */
enum smart_answer ata_smart(const struct drive *d, struct ata_smart *s, struct ata_task *t, uint8_t *reply);
/* A command begins. */
void ata_smart_begin(struct ata_smart *s, const struct ata_task *t);
/* It ended at a sector that cannot be read or written, as the registers tell. */
void ata_smart_fail(const struct drive *d, struct ata_smart *s, const struct ata_task *t);

#endif
