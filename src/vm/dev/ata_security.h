/*
 * Passwords of an ATA disk: the Security feature set (ATA/ATAPI-6, 6.13), and those of the host protected area (6.11.2). See
 * ata_security.c.
 */
#ifndef HINDCAST_VM_DEV_ATA_SECURITY_H
#define HINDCAST_VM_DEV_ATA_SECURITY_H

#include "vm/device.h"
#include "vm/drive.h"

enum {
    SECURITY_SET_PASSWORD = 0xf1, SECURITY_UNLOCK, SECURITY_ERASE_PREPARE, SECURITY_ERASE_UNIT, SECURITY_FREEZE_LOCK,
    SECURITY_DISABLE_PASSWORD,
};

#define ATA_PASSWORD_BYTES 32u

DEVICE_STATE_BEGIN
/* All zeros: as it comes from the factory. */
struct ata_security {
    uint8_t user[ATA_PASSWORD_BYTES], master[ATA_PASSWORD_BYTES];
    uint8_t area[ATA_PASSWORD_BYTES]; /* of the host protected area */
    uint16_t revision;     /* of the master password; 0: the factory's */
    uint8_t enabled;       /* there is a user password */
    uint8_t maximum;       /* at which the master password unlocks nothing */
    uint8_t locked;
    uint8_t frozen;
    uint8_t tries;         /* passwords that were wrong */
    uint8_t prepared;      /* the last command was SECURITY ERASE PREPARE */
    uint8_t area_set;      /* there is such a password */
    uint8_t area_locked;
    uint8_t area_frozen;
    uint8_t area_tries;
    uint8_t reserved[4];
};
DEVICE_STATE_END

/* What becomes of a command. */
enum security_answer {
    SECURITY_ABORTED,
    SECURITY_OK,
    SECURITY_TAKES, /* 512 bytes from the host, for ata_security_take() */
};

/* Power comes, or a hardware reset: a disk with a user password is locked. */
void ata_security_power_on(struct ata_security *s);
/* Does it carry out none but a few commands, of which this is none? */
bool ata_security_refuses(const struct ata_security *s, uint8_t command);
/* A command F1h to F6h; of SET MAX (F9h) with these features; without its data. */
enum security_answer ata_security_command(struct ata_security *s, uint8_t command);
enum security_answer ata_area_command(struct ata_security *s, uint8_t features);
/* The data that they take. False: they were not right. */
bool ata_security_take(struct drive *d, struct ata_security *s, uint8_t command, const uint8_t *data);
bool ata_area_take(struct ata_security *s, uint8_t features, const uint8_t *data);
/* Word 128 of IDENTIFY DEVICE; the revision of the master password. */
uint16_t ata_security_status(const struct ata_security *s);
uint16_t ata_security_revision(const struct ata_security *s);

#endif
