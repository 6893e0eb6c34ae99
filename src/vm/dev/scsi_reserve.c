/*
 * Persistent reservations of a SCSI unit (SPC-3, 5.6, 6.11 and 6.12). A unit has one initiator, the guest: what it has reserved is
 * never in its own way, and what is refused is what it has not registered for.
 *
 * Registrations outlive resets. Not modelled, and not offered: that they outlive power (APTPL), full status, other ports.
 */
#include "vm/dev/scsi_reserve.h"

#include "base/bytes.h"

enum { READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES };
enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE };

#define LIST_BYTES 24u
#define APTPL      0x01u
#define ALL_TG_PT  0x04u
#define SPEC_I_PT  0x08u
/* Write exclusive, exclusive access; each for registrants only, and for all of them. */
#define TYPES      0x01eau

static void refuse(struct scsi_unit *u, struct scsi_command *c, uint8_t asc)
{
    scsi_fail(u, SENSE_ILLEGAL, asc, 0);
    c->transfer = SCSI_FAILED;
}

void scsi_reserve_in(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    uint64_t room = get_be16(cdb + 7), len = 8;
    uint8_t *r = c->reply;

    put_be32(r, u->generation);
    switch (cdb[1] & 0x1fu) {
    case READ_KEYS:
        put_be64(r + 8, u->registered);
        len = u->registered ? 16 : 8;
        break;
    case READ_RESERVATION:
        if (u->reservation) {
            put_be64(r + 8, u->registered);
            r[21] = u->reservation; /* of the unit as a whole */
            len = 24;
        }
        break;
    case REPORT_CAPABILITIES:
        put_be32(r, 0);
        put_be16(r, 8);
        r[3] = 0x80; /* the types are: */
        put_be16(r + 4, (TYPES & 0xffu) << 8 | TYPES >> 8);
        break;
    default:
        refuse(u, c, 0x24);
        return;
    }
    if ((cdb[1] & 0x1fu) != REPORT_CAPABILITIES)
        put_be32(r + 4, (uint32_t)len - 8);
    c->transfer = room ? SCSI_REPLY : SCSI_NOTHING;
    c->len = len < room ? len : room;
}

void scsi_reserve_out(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c)
{
    uint8_t action = cdb[1] & 0x1fu;

    if (action > REGISTER_AND_IGNORE || action == PREEMPT_AND_ABORT) {
        refuse(u, c, 0x24);
    } else if (get_be32(cdb + 5) != LIST_BYTES) {
        refuse(u, c, 0x1a);
    } else {
        c->transfer = SCSI_PARAMETERS;
        c->len = LIST_BYTES;
    }
}

/* A registration, its change, or (with 0) its end, which is that of the reservation, too. */
static uint8_t registered(struct scsi_unit *u, uint64_t key)
{
    u->registered = key;
    u->generation++;
    if (!key)
        u->reservation = 0;
    return SCSI_GOOD;
}

static bool valid_type(const uint8_t *cdb)
{
    return !(cdb[2] >> 4) && (TYPES >> (cdb[2] & 15u) & 1u);
}

static uint8_t reserve(struct scsi_unit *u, const uint8_t *cdb)
{
    if (!valid_type(cdb))
        return scsi_fail(u, SENSE_ILLEGAL, 0x24, 0);
    if (u->reservation && u->reservation != (cdb[2] & 15u))
        return SCSI_CONFLICT;
    u->reservation = cdb[2] & 15u;
    return SCSI_GOOD;
}

static uint8_t release(struct scsi_unit *u, const uint8_t *cdb)
{
    if (u->reservation && u->reservation != (cdb[2] & 15u))
        return scsi_fail(u, SENSE_ILLEGAL, 0x26, 0x04); /* invalid release */
    u->reservation = 0;
    return SCSI_GOOD;
}

/* Who else has a key is nobody: a key that is not there is a conflict, the own one is taken over anew. */
static uint8_t preempt(struct scsi_unit *u, const uint8_t *cdb, uint64_t key)
{
    if (!valid_type(cdb))
        return scsi_fail(u, SENSE_ILLEGAL, 0x24, 0);
    if (key != u->registered)
        return SCSI_CONFLICT;
    if (u->reservation)
        u->reservation = cdb[2] & 15u;
    u->generation++;
    return SCSI_GOOD;
}

uint8_t scsi_reserve(struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list, uint64_t len)
{
    uint8_t action = cdb[1] & 0x1fu;
    uint64_t key, next;

    if (len < LIST_BYTES)
        return scsi_fail(u, SENSE_ILLEGAL, 0x1a, 0);
    key = get_be64(list);
    next = get_be64(list + 8);
    if (list[20] & (APTPL | ALL_TG_PT | SPEC_I_PT))
        return scsi_fail(u, SENSE_ILLEGAL, 0x26, 0);
    if (action != REGISTER_AND_IGNORE && key != u->registered)
        return SCSI_CONFLICT;
    if (action == REGISTER || action == REGISTER_AND_IGNORE)
        return registered(u, next);
    if (!u->registered)
        return SCSI_CONFLICT;
    switch (action) {
    case RESERVE: return reserve(u, cdb);
    case RELEASE: return release(u, cdb);
    case CLEAR:   return registered(u, 0);
    default:      return preempt(u, cdb, next);
    }
}
