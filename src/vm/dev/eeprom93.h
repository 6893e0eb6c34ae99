/*
 * A serial EEPROM 93C46 in its organisation of 64 words of 16 bits, behind pins that a chip's register has: chip select (CS),
 * clock (SK), data in (DI) and out (DO). Its part of a chip's state is a struct eeprom93_state.
 *
 * Microwire: after CS rises, a start bit, two bits of opcode, six of address, each taken when SK rises. What follows a READ
 * comes out most significant bit first, after a 0, and goes on with the next word; a WRITE's 16 bits are programmed when CS
 * falls, if the device was enabled (EWEN). Programming takes no time.
 */
#ifndef HINDCAST_VM_DEV_EEPROM93_H
#define HINDCAST_VM_DEV_EEPROM93_H

#include "vm/device.h"

#define EEPROM93_WORDS 64u

DEVICE_STATE_BEGIN
struct eeprom93_state {
    uint16_t word[EEPROM93_WORDS]; /* what it holds; no reset changes it */
    uint16_t data;                 /* bits that come in with a WRITE, or go out with a READ */
    uint8_t command;               /* opcode and address, as far as they are there */
    uint8_t taken;                 /* bits since the start bit, it included; 0: none so far */
    uint8_t left;                  /* of `data`, that are still to go out */
    uint8_t enabled;               /* EWEN was the last of EWEN and EWDS */
    uint8_t pins;                  /* as they were: bit 0 CS, bit 1 SK */
    uint8_t out;                   /* DO */
};
DEVICE_STATE_END

/* All but what it holds, as it is when power comes. */
void eeprom93_reset(struct eeprom93_state *e);
/* The pins are so now. */
void eeprom93_pins(struct eeprom93_state *e, bool cs, bool sk, bool di);

#endif
