/* SD memory cards: see sd.c. Whoever is at the other end of the bus (sdhci.c) gives them commands and moves blocks. */
#ifndef HINDCAST_VM_DEV_SD_H
#define HINDCAST_VM_DEV_SD_H

#include "base/error.h"
#include "vm/device.h"
#include "vm/drive.h"

#define SD_BLOCK 512u

enum sd_data { SD_NO_DATA, SD_READ, SD_WRITE, SD_REPLY, SD_DATAS };

DEVICE_STATE_BEGIN
/* A card, in its controller's state. */
struct sd_card {
    uint64_t at;         /* byte of the next block of a transfer */
    uint32_t errors;     /* of the card status, until they are told */
    uint32_t block;      /* bytes of a block */
    uint32_t left;       /* blocks of the transfer; UINT32_MAX: until it is stopped */
    uint32_t count;      /* by SET_BLOCK_COUNT, for the next command; 0: none */
    uint32_t written;    /* blocks of the last write */
    uint32_t erase_first, erase_last; /* as given */
    uint16_t rca;
    uint8_t state;       /* CURRENT_STATE */
    uint8_t application; /* the next command is an ACMD */
    uint8_t data;        /* enum sd_data */
    uint8_t wide;        /* bus of four lines */
    uint8_t fast;        /* function of group 1: high speed */
    uint8_t erase_steps; /* commands of the erase sequence that were there */
    uint8_t high;        /* the host knows of high capacity */
    uint8_t reserved[3];
    uint8_t reply[64];
};
DEVICE_STATE_END

struct sd_response {
    unsigned len;        /* 0: none; 4, or 16 for a register (its bits 127:8 from byte 0 on, little-endian) */
    uint8_t bytes[16];
};

/* Can a card have that size? 0, or -EINVAL. */
int sd_check(const struct drive *d, struct error *err);
void sd_reset(struct sd_card *c);
/* A command. False: the card does not answer. */
bool sd_command(struct sd_card *c, struct drive *d, unsigned index, uint32_t argument, struct sd_response *r);
/* The next block of the transfer that a command began, up to SD_BLOCK bytes. False: an error; its kind is in the status. */
bool sd_read(struct sd_card *c, struct drive *d, uint8_t *bytes, uint32_t len);
bool sd_write(struct sd_card *c, struct drive *d, const uint8_t *bytes, uint32_t len);
bool sd_possible(const struct sd_card *c);

#endif
