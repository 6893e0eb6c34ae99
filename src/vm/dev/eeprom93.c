/*
 * A serial EEPROM. See eeprom93.h.
 */
#include "vm/dev/eeprom93.h"

#define PIN_CS 1u
#define PIN_SK 2u

#define COMMAND_BITS 9u  /* with the start bit */
#define WHOLE_BITS   25u /* and 16 of data */

enum { OP_MORE, OP_WRITE, OP_READ, OP_ERASE };
enum { MORE_DISABLE, MORE_WRITE_ALL, MORE_ERASE_ALL, MORE_ENABLE }; /* by the two upper bits of the address */

void eeprom93_reset(struct eeprom93_state *e)
{
    e->data = 0;
    e->command = e->taken = e->left = e->enabled = e->pins = 0;
    e->out = 1;
}

static unsigned address_of(const struct eeprom93_state *e)
{
    return e->command & (EEPROM93_WORDS - 1);
}

static void program(struct eeprom93_state *e, unsigned first, unsigned count, uint16_t value)
{
    for (unsigned i = 0; e->enabled && i < count; i++)
        e->word[first + i] = value;
}

/* CS falls: what was asked for is done, if it was asked for completely. */
static void finish(struct eeprom93_state *e)
{
    unsigned op = e->command >> 6, more = e->command >> 4 & 3u;
    bool command = e->taken == COMMAND_BITS, whole = e->taken == WHOLE_BITS;

    if (op == OP_WRITE && whole)
        program(e, address_of(e), 1, e->data);
    else if (op == OP_ERASE && command)
        program(e, address_of(e), 1, 0xffff);
    else if (op == OP_MORE && more == MORE_WRITE_ALL && whole)
        program(e, 0, EEPROM93_WORDS, e->data);
    else if (op == OP_MORE && more == MORE_ERASE_ALL && command)
        program(e, 0, EEPROM93_WORDS, 0xffff);
    else if (op == OP_MORE && (more == MORE_ENABLE || more == MORE_DISABLE) && command)
        e->enabled = more == MORE_ENABLE;
    e->taken = 0;
    e->out = 1;
}

static void read_on(struct eeprom93_state *e)
{
    if (!e->left) {
        e->data = e->word[address_of(e)];
        e->command = (uint8_t)((e->command & ~(EEPROM93_WORDS - 1)) | ((e->command + 1u) & (EEPROM93_WORDS - 1)));
        e->left = 16;
    }
    e->out = (uint8_t)(e->data >> 15);
    e->data = (uint16_t)(e->data << 1);
    e->left--;
}

static void clock_in(struct eeprom93_state *e, bool di)
{
    if (e->taken < COMMAND_BITS) {
        if (!e->taken && !di)
            return; /* no start bit yet */
        e->command = (uint8_t)(e->taken ? e->command << 1 | di : 0);
        if (++e->taken == COMMAND_BITS && e->command >> 6 == OP_READ) {
            e->left = 0;
            e->out = 0;
        }
    } else if (e->command >> 6 == OP_READ) {
        read_on(e);
    } else {
        e->data = (uint16_t)(e->data << 1 | di);
        if (e->taken <= WHOLE_BITS) /* one too many: no command */
            e->taken++;
    }
}

void eeprom93_pins(struct eeprom93_state *e, bool cs, bool sk, bool di)
{
    uint8_t was = e->pins;

    e->pins = (uint8_t)((cs ? PIN_CS : 0) | (sk ? PIN_SK : 0));
    if (!cs && (was & PIN_CS))
        finish(e);
    else if (cs && sk && !(was & PIN_SK))
        clock_in(e, di);
}
