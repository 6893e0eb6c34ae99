/*
 * Passwords of an ATA disk (ATA/ATAPI-6, 6.13 and 8.34 to 8.39; SET MAX's: 6.11.2 and 8.47).
 *
 * A disk with a user password is locked when power comes or after a hardware reset, until it is unlocked or erased. The password of the
 * host protected area is gone then. An erasure writes zeros.
 *
 * Not modelled, and not offered: enhanced erasing.
 */
#include "vm/dev/ata_security.h"

#include <string.h>

#include "base/bytes.h"
#include "vm/dev/ata.h"

#define TRIES_MOST 5u
#define FACTORY_REVISION 0xfffeu

/* Features of SET MAX. */
enum { AREA_SET_PASSWORD = 1, AREA_LOCK, AREA_UNLOCK, AREA_FREEZE_LOCK };

void ata_security_power_on(struct ata_security *s)
{
    s->locked = s->enabled;
    s->frozen = s->tries = s->prepared = 0;
    memset(s->area, 0, sizeof(s->area));
    s->area_set = s->area_locked = s->area_frozen = s->area_tries = 0;
}

uint16_t ata_security_revision(const struct ata_security *s)
{
    return s->revision ? s->revision : FACTORY_REVISION;
}

uint16_t ata_security_status(const struct ata_security *s)
{
    return (uint16_t)(1u | (s->enabled ? 2u : 0) | (s->locked ? 4u : 0) | (s->frozen ? 8u : 0) |
                      (s->tries >= TRIES_MOST ? 0x10u : 0) | (s->enabled && s->maximum ? 0x100u : 0));
}

/* Those that look at nothing that is on the medium (table 12); what others make of it is theirs. */
bool ata_security_refuses(const struct ata_security *s, uint8_t command)
{
    switch (command) {
    case 0x20: case 0x21: case 0x24: case 0x25: case 0x29: case 0x30: case 0x31: case 0x34: case 0x35: case 0x39: case 0x3c: case 0x3d:
    case 0x40: case 0x41: case 0x42: case 0x60: case 0x61: case 0xc4: case 0xc5: case 0xc8: case 0xc9: case 0xca: case 0xcb: case 0xce:
    case 0x06: case 0x37: case 0xe7: case 0xea: case 0xf9: /* a list of ranges, SET MAX, FLUSH CACHE */
        return s->locked;
    default:
        return false;
    }
}

/* ---- the Security feature set ---- */

enum security_answer ata_security_command(struct ata_security *s, uint8_t command)
{
    bool prepared = s->prepared, expired = s->tries >= TRIES_MOST;

    s->prepared = 0;
    if (command == SECURITY_FREEZE_LOCK) {
        if (s->locked)
            return SECURITY_ABORTED;
        s->frozen = 1;
        return SECURITY_OK;
    }
    if (s->frozen)
        return SECURITY_ABORTED;
    switch (command) {
    case SECURITY_SET_PASSWORD: case SECURITY_DISABLE_PASSWORD:
        return s->locked ? SECURITY_ABORTED : SECURITY_TAKES;
    case SECURITY_UNLOCK:
        return expired ? SECURITY_ABORTED : SECURITY_TAKES;
    case SECURITY_ERASE_PREPARE:
        s->prepared = 1;
        return SECURITY_OK;
    default:
        return prepared && !expired ? SECURITY_TAKES : SECURITY_ABORTED;
    }
}

/* Is it the one that the data say it is? `any`: the master password counts at each level. */
static bool is_password(const struct ata_security *s, const uint8_t *data, bool any)
{
    if (data[0] & 1u)
        return (any || !s->maximum || !s->enabled) && !memcmp(data + 2, s->master, ATA_PASSWORD_BYTES);
    return s->enabled && !memcmp(data + 2, s->user, ATA_PASSWORD_BYTES);
}

static void set_password(struct ata_security *s, const uint8_t *data)
{
    uint32_t revision = get_le16(data + 34);

    if (data[0] & 1u) {
        memcpy(s->master, data + 2, ATA_PASSWORD_BYTES);
        if (revision && revision != 0xffff)
            s->revision = (uint16_t)revision;
        return;
    }
    memcpy(s->user, data + 2, ATA_PASSWORD_BYTES);
    s->enabled = 1;
    s->maximum = data[1] & 1u;
}

static void forget_user(struct ata_security *s)
{
    memset(s->user, 0, sizeof(s->user));
    s->enabled = s->maximum = s->locked = s->tries = 0;
}

static bool unlock(struct ata_security *s, const uint8_t *data)
{
    if (is_password(s, data, false)) {
        s->locked = s->tries = 0;
        return true;
    }
    s->tries += s->locked;
    return false;
}

static bool erase(struct drive *d, struct ata_security *s, const uint8_t *data)
{
    uint64_t all = d->c.size / ATA_SECTOR * ATA_SECTOR;

    if ((data[0] & 2u) || !is_password(s, data, true) || drive_write_zeroes(d, 0, all, NULL) != DRIVE_OK)
        return false;
    forget_user(s);
    return true;
}

bool ata_security_take(struct drive *d, struct ata_security *s, uint8_t command, const uint8_t *data)
{
    switch (command) {
    case SECURITY_SET_PASSWORD:
        set_password(s, data);
        return true;
    case SECURITY_UNLOCK:
        return unlock(s, data);
    case SECURITY_DISABLE_PASSWORD:
        if (!is_password(s, data, false))
            return false;
        forget_user(s);
        return true;
    default:
        return erase(d, s, data);
    }
}

/* ---- the host protected area ---- */

enum security_answer ata_area_command(struct ata_security *s, uint8_t features)
{
    if (s->area_frozen)
        return SECURITY_ABORTED;
    switch (features) {
    case AREA_SET_PASSWORD:
        return s->area_locked ? SECURITY_ABORTED : SECURITY_TAKES;
    case AREA_LOCK:
        if (!s->area_set || s->area_locked)
            return SECURITY_ABORTED;
        s->area_locked = 1;
        s->area_tries = 0;
        return SECURITY_OK;
    case AREA_UNLOCK:
        return s->area_locked && s->area_tries < TRIES_MOST ? SECURITY_TAKES : SECURITY_ABORTED;
    case AREA_FREEZE_LOCK:
        if (!s->area_set)
            return SECURITY_ABORTED;
        s->area_frozen = 1;
        return SECURITY_OK;
    default:
        return SECURITY_ABORTED;
    }
}

bool ata_area_take(struct ata_security *s, uint8_t features, const uint8_t *data)
{
    if (features == AREA_SET_PASSWORD) {
        memcpy(s->area, data + 2, ATA_PASSWORD_BYTES);
        s->area_set = 1;
        return true;
    }
    if (memcmp(s->area, data + 2, ATA_PASSWORD_BYTES)) {
        s->area_tries++;
        return false;
    }
    s->area_locked = 0;
    return true;
}
