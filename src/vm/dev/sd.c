/*
 * SD memory cards (SD Specifications, Part 1, Physical Layer Simplified Specification 3.01): standard capacity up to 2 GiB,
 * high capacity beyond. Identification, reading, writing, erasing, the registers, bus width, high speed.
 *
 * Not modelled: SPI mode, 1.8 V signalling and its modes, write protection of groups, passwords, CRCs.
 *
 * To add a command: its case in basic_command() or application_command().
 */
#include "vm/dev/sd.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum { IDLE, READY, IDENT, STANDBY, TRANSFER, SENDING, RECEIVING, PROGRAMMING, DISCONNECTED, INACTIVE };

/* Card status (table 4-41). */
#define OUT_OF_RANGE  0x80000000u
#define ADDRESS_ERROR 0x40000000u
#define BLOCK_LENGTH  0x20000000u
#define ERASE_SEQUENCE 0x10000000u
#define ERASE_PARAM   0x08000000u
#define WP_VIOLATION  0x04000000u
#define ILLEGAL       0x00400000u
#define ECC_FAILED    0x00200000u
#define READY_FOR_DATA 0x00000100u
#define APP_CMD       0x00000020u

#define OCR_READY     0x80000000u
#define OCR_HIGH      0x40000000u
#define OCR_VOLTAGES  0x00ff8000u /* 2.7 to 3.6 V */
#define RCA           0x4567u
#define STANDARD_MOST ((uint64_t)2 << 30)
#define ENDLESS       UINT32_MAX

static bool is_high(const struct drive *d)
{
    return d->c.size > STANDARD_MOST;
}

int sd_check(const struct drive *d, struct error *err)
{
    uint64_t unit = d->c.size > STANDARD_MOST / 2 ? 512 << 10 : 256 << 10;

    if (d->c.size && d->c.size % unit == 0)
        return 0;
    return error_set(err, -EINVAL, "an SD card of %llu bytes: its size is a multiple of 256 KiB, of 512 KiB beyond 1 GiB",
                     (unsigned long long)d->c.size);
}

void sd_reset(struct sd_card *c)
{
    *c = (struct sd_card){.block = SD_BLOCK, .state = c->state == INACTIVE ? INACTIVE : IDLE};
}

/* ---- registers ---- */

/* Bits [high, high - width + 1] of a register of 128, the most significant byte first. */
static void put_bits(uint8_t *reg, unsigned high, unsigned width, uint32_t value)
{
    for (unsigned i = 0; i < width; i++) {
        unsigned bit = high - width + 1 + i;

        if (value >> i & 1u)
            reg[15 - bit / 8] |= (uint8_t)(1u << (bit % 8));
    }
}

static void make_cid(const struct drive *d, uint8_t *cid)
{
    put_bits(cid, 127, 8, 0xaa);
    memcpy(cid + 1, "HChcard", 7); /* application, product */
    put_bits(cid, 63, 8, 0x10);
    for (unsigned i = 0; i < 4 && d->serial[i]; i++)
        cid[9 + i] = (uint8_t)d->serial[i];
    put_bits(cid, 19, 12, 24 << 4 | 1); /* January 2024 */
    cid[15] = 1;
}

static void make_csd(const struct drive *d, uint8_t *csd)
{
    bool large = d->c.size > STANDARD_MOST / 2; /* of a standard card: blocks of 1024 bytes are counted */
    uint64_t size = d->c.size;

    put_bits(csd, 119, 8, 0x0e); /* TAAC, TRAN_SPEED 25 MHz, classes 0, 2, 4, 5, 8, 10 */
    put_bits(csd, 103, 8, 0x32);
    put_bits(csd, 95, 12, 0x535);
    if (is_high(d)) {
        put_bits(csd, 127, 2, 1);
        put_bits(csd, 83, 4, 9);
        put_bits(csd, 69, 22, (uint32_t)(size / (512 << 10) - 1));
    } else {
        put_bits(csd, 83, 4, large ? 10 : 9);
        put_bits(csd, 79, 1, 1); /* READ_BL_PARTIAL */
        put_bits(csd, 73, 12, (uint32_t)(size / (large ? 512 << 10 : 256 << 10) - 1));
        put_bits(csd, 49, 3, 7); /* C_SIZE_MULT: 512 */
    }
    put_bits(csd, 46, 1, 1);     /* ERASE_BLK_EN */
    put_bits(csd, 45, 7, 0x7f);
    put_bits(csd, 28, 3, 2);     /* R2W_FACTOR */
    put_bits(csd, 25, 4, is_high(d) ? 9 : large ? 10 : 9);
    put_bits(csd, 12, 1, d->c.read_only);
    csd[15] = 1;
}

/* ---- responses ---- */

static void respond(struct sd_response *r, uint32_t value)
{
    r->len = 4;
    put_le32(r->bytes, value);
}

/* R1: the state is that in which the command came. Errors are told once. */
static void respond_status(struct sd_card *c, struct sd_response *r, unsigned state)
{
    respond(r, c->errors | (uint32_t)state << 9 | READY_FOR_DATA | (c->application ? APP_CMD : 0));
    c->errors = 0;
}

static void respond_register(struct sd_response *r, const uint8_t *reg)
{
    r->len = 16;
    for (unsigned i = 0; i < 15; i++)
        r->bytes[i] = reg[14 - i];
}

/* ---- transfers ---- */

static void begin(struct sd_card *c, enum sd_data data, uint64_t at, bool several)
{
    c->data = (uint8_t)data;
    c->at = at;
    c->left = !several ? 1 : c->count ? c->count : ENDLESS;
    c->state = data == SD_WRITE ? RECEIVING : SENDING;
    if (data == SD_WRITE)
        c->written = 0;
}

static void begin_reply(struct sd_card *c)
{
    c->data = SD_REPLY;
    c->left = 1;
    c->state = SENDING;
}

static void end(struct sd_card *c)
{
    c->data = SD_NO_DATA;
    c->state = TRANSFER;
}

/* Reads and writes; the address of a standard card counts bytes. */
static void transfer(struct sd_card *c, const struct drive *d, enum sd_data data, uint32_t argument, bool several)
{
    uint64_t at = is_high(d) ? (uint64_t)argument * SD_BLOCK : argument;

    if (at >= d->c.size)
        c->errors |= OUT_OF_RANGE;
    else if (data == SD_WRITE && (at % SD_BLOCK || c->block != SD_BLOCK))
        c->errors |= at % SD_BLOCK ? ADDRESS_ERROR : BLOCK_LENGTH;
    else if (data == SD_WRITE && d->c.read_only)
        c->errors |= WP_VIOLATION;
    else
        begin(c, data, at, several);
    c->count = 0;
}

static bool block_failed(struct sd_card *c, enum drive_status status)
{
    c->errors |= status == DRIVE_OUT_OF_RANGE ? OUT_OF_RANGE : status == DRIVE_WRITE_PROTECTED ? WP_VIOLATION : ECC_FAILED;
    end(c);
    return false;
}

static void block_done(struct sd_card *c, uint32_t len)
{
    c->at += len;
    if (c->left != ENDLESS && --c->left == 0)
        end(c);
}

bool sd_read(struct sd_card *c, struct drive *d, uint8_t *bytes, uint32_t len)
{
    enum drive_status status = DRIVE_OK;

    memset(bytes, 0xff, len);
    if (c->state != SENDING || len > SD_BLOCK)
        return false;
    if (c->data == SD_REPLY)
        memcpy(bytes, c->reply, len < sizeof(c->reply) ? len : sizeof(c->reply));
    else
        status = drive_read(d, c->at, bytes, len < c->block ? len : c->block, NULL);
    if (status != DRIVE_OK)
        return block_failed(c, status);
    block_done(c, len < c->block ? len : c->block);
    return true;
}

bool sd_write(struct sd_card *c, struct drive *d, const uint8_t *bytes, uint32_t len)
{
    enum drive_status status;

    if (c->state != RECEIVING || len != SD_BLOCK)
        return false;
    status = drive_write(d, c->at, bytes, len, NULL);
    if (status != DRIVE_OK)
        return block_failed(c, status);
    c->written++;
    block_done(c, len);
    return true;
}

static void erase(struct sd_card *c, struct drive *d)
{
    uint64_t unit = is_high(d) ? SD_BLOCK : 1, first = c->erase_first * unit / SD_BLOCK * SD_BLOCK,
             last = c->erase_last * unit / SD_BLOCK * SD_BLOCK;

    if (c->erase_steps != 3)
        c->errors |= ERASE_SEQUENCE;
    else if (first > last || last >= d->c.size)
        c->errors |= ERASE_PARAM;
    else if (drive_write_zeroes(d, first, last + SD_BLOCK - first, NULL) != DRIVE_OK)
        c->errors |= WP_VIOLATION;
    c->erase_steps = 0;
}

/* CMD6: group 1 has default and high speed, the others their default only. */
static void switch_function(struct sd_card *c, uint32_t argument)
{
    unsigned wanted = argument & 15u;
    bool good = wanted <= 1 || wanted == 15;

    memset(c->reply, 0, sizeof(c->reply));
    c->reply[1] = 100; /* mA */
    for (unsigned group = 0; group < 6; group++)
        put_be16(c->reply + 2 + 2 * group, group == 5 ? 0x8003 : 0x8001);
    c->reply[16] = (uint8_t)(!good ? 15 : wanted == 15 ? c->fast : wanted);
    for (unsigned group = 1; group < 6; group++) /* no influence, or function 0, else an error */
        if ((argument >> (4 * group) & 15u) != 0 && (argument >> (4 * group) & 15u) != 15)
            c->reply[16 - group / 2] |= (uint8_t)(15u << 4 * (group & 1u));
    if ((argument >> 31) && good && wanted != 15)
        c->fast = (uint8_t)wanted;
    begin_reply(c);
}

/* ---- commands ---- */

/* Is it one that comes in this state? (Table 4-29.) */
static bool in(const struct sd_card *c, unsigned first, unsigned last)
{
    return c->state >= first && c->state <= last;
}

static bool select(struct sd_card *c, uint32_t argument, struct sd_response *r)
{
    unsigned was = c->state;

    if (argument >> 16 != c->rca || !c->rca) {
        if (in(c, TRANSFER, SENDING))
            end(c), c->state = STANDBY;
        return false;
    }
    if (c->state == STANDBY)
        c->state = TRANSFER;
    respond_status(c, r, was);
    return true;
}

static bool send_register(struct sd_card *c, const struct drive *d, bool csd, struct sd_response *r)
{
    uint8_t reg[16] = {0};

    (void)c;
    if (csd)
        make_csd(d, reg);
    else
        make_cid(d, reg);
    respond_register(r, reg);
    return true;
}

/* ACMD41: the card is ready at once; a high capacity card not for a host that does not know of them. */
static bool send_conditions(struct sd_card *c, const struct drive *d, uint32_t argument, struct sd_response *r)
{
    c->high = argument >> 30 & 1u;
    if (!(argument & OCR_VOLTAGES)) { /* an inquiry */
        respond(r, OCR_VOLTAGES);
        return true;
    }
    if (is_high(d) && !c->high) {
        respond(r, OCR_VOLTAGES);
        return true;
    }
    c->state = READY;
    respond(r, OCR_READY | OCR_VOLTAGES | (is_high(d) ? OCR_HIGH : 0));
    return true;
}

/* False: there is no such application command here. */
static bool application_command(struct sd_card *c, const struct drive *d, unsigned index, uint32_t argument,
                                struct sd_response *r)
{
    static const uint8_t scr[8] = {0x02, 0x05, 0x80, 0x02}; /* version 3, one and four lines, SET_BLOCK_COUNT */
    unsigned was = c->state;

    if (index == 41 && c->state == IDLE)
        return send_conditions(c, d, argument, r);
    if (c->state != TRANSFER)
        return false;
    switch (index) {
    case 6:
        c->wide = (argument & 3u) == 2;
        break;
    case 13:
        memset(c->reply, 0, sizeof(c->reply));
        c->reply[0] = c->wide ? 0x80 : 0;
        begin_reply(c);
        break;
    case 22:
        memset(c->reply, 0, sizeof(c->reply));
        put_be32(c->reply, c->written);
        begin_reply(c);
        break;
    case 23: case 42:
        break;
    case 51:
        memset(c->reply, 0, sizeof(c->reply));
        memcpy(c->reply, scr, sizeof(scr));
        begin_reply(c);
        break;
    default:
        return false;
    }
    respond_status(c, r, was);
    return true;
}

/* Commands of a selected card. False: there is none such here. */
static bool selected_command(struct sd_card *c, struct drive *d, unsigned index, uint32_t argument)
{
    switch (index) {
    case 6:
        switch_function(c, argument);
        return true;
    case 16:
        if (!argument || argument > SD_BLOCK)
            c->errors |= BLOCK_LENGTH;
        else if (!is_high(d))
            c->block = argument;
        return true;
    case 17: case 18:
        transfer(c, d, SD_READ, argument, index == 18);
        return true;
    case 23:
        c->count = argument;
        return true;
    case 24: case 25:
        transfer(c, d, SD_WRITE, argument, index == 25);
        return true;
    case 32:
        c->erase_first = argument;
        c->erase_steps = 1;
        return true;
    case 33:
        c->erase_last = argument;
        c->erase_steps |= 2;
        return true;
    case 38:
        erase(c, d);
        return true;
    default:
        return false;
    }
}

/* False: it is not for the card, or it does not answer. *known: the command is one. */
static bool basic_command(struct sd_card *c, struct drive *d, unsigned index, uint32_t argument, struct sd_response *r,
                          bool *known)
{
    bool own = argument >> 16 == c->rca;
    unsigned was = c->state;

    *known = true;
    if (index == 0) {
        sd_reset(c);
        return false;
    }
    if (index == 8 && c->state == IDLE) {
        respond(r, argument & 0xfffu);
        return (argument >> 8 & 15u) == 1;
    }
    if (index == 2 && c->state == READY) {
        c->state = IDENT;
        return send_register(c, d, false, r);
    }
    if (index == 3 && in(c, IDENT, STANDBY)) {
        c->rca = RCA;
        c->state = STANDBY;
        respond(r, (uint32_t)c->rca << 16 | was << 9 | READY_FOR_DATA);
        return true;
    }
    if (index == 7 && in(c, STANDBY, PROGRAMMING))
        return select(c, argument, r);
    if ((index == 9 || index == 10) && c->state == STANDBY)
        return own && send_register(c, d, index == 9, r);
    if (index == 15 && in(c, STANDBY, DISCONNECTED)) {
        c->state = own ? INACTIVE : c->state;
        return false;
    }
    if (index == 12 && in(c, SENDING, RECEIVING)) {
        end(c);
    } else if (index == 13 && in(c, STANDBY, DISCONNECTED)) {
        if (!own)
            return false;
    } else if (index == 55 && in(c, IDLE, DISCONNECTED)) {
        if (!own)
            return false;
        c->application = 1;
    } else if (c->state != TRANSFER || !selected_command(c, d, index, argument)) {
        *known = false;
        return false;
    }
    respond_status(c, r, was);
    return true;
}

bool sd_command(struct sd_card *c, struct drive *d, unsigned index, uint32_t argument, struct sd_response *r)
{
    bool application = c->application, known;

    *r = (struct sd_response){.len = 0};
    if (c->state == INACTIVE)
        return false;
    if (application && application_command(c, d, index, argument, r)) {
        c->application = 0;
        return true;
    }
    c->application = 0;
    if (basic_command(c, d, index, argument, r, &known))
        return true;
    if (!known)
        c->errors |= ILLEGAL;
    return false;
}

bool sd_possible(const struct sd_card *c)
{
    return c->state <= INACTIVE && c->data < SD_DATAS && c->block && c->block <= SD_BLOCK && c->at <= DRIVE_MAX_BYTES &&
           c->application <= 1;
}
