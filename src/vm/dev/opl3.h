/*
 * Yamaha's YMF262 (OPL3) and YM3812 (OPL2), FM synthesizers: registers and sound. No machine, no time but its own samples: see opl3.c.
 */
#ifndef HINDCAST_VM_DEV_OPL3_H
#define HINDCAST_VM_DEV_OPL3_H

#include "vm/dev/sound.h"

#define OPL3_RATE      49716u /* Hz: 14.31818 MHz / 288, or 3.579545 MHz / 72 */
#define OPL3_BANKS     2u
#define OPL3_OPERATORS 36u    /* 18 of each bank */

DEVICE_STATE_BEGIN
struct opl3_operator {
    uint32_t phase;      /* 19 bits: 10 of a period's place, 9 behind them */
    int16_t out, before; /* its last sample, and the one before that */
    uint16_t envelope;   /* attenuation in steps of 3/16 dB; 511: nothing is heard */
    uint8_t stage;       /* enum stage of opl3.c */
    uint8_t key;         /* bit 0: its channel's key is on; bit 1: its drum's */
};

struct opl3_state {
    uint64_t samples;    /* since time began: what the slow counters count */
    uint8_t reg[OPL3_BANKS][256]; /* as they were written */
    struct opl3_operator op[OPL3_OPERATORS];
    uint32_t noise;      /* 23 bits, never 0 */
    uint16_t hihat, cymbal; /* places in the periods of these, of which drums are made */
};
DEVICE_STATE_END

void opl3_reset(struct opl3_state *s);
/* `two`: it is an OPL2: one bank, four waveforms (register 01h allows them), one output. */
void opl3_write(struct opl3_state *s, bool two, unsigned bank, uint8_t reg, uint8_t value);
/* Would it make a sound? If not, opl3_skip() does for any time what opl3_play() would. */
bool opl3_sounds(const struct opl3_state *s, bool two);
/* The next `n` samples: SOUND_PIECE at most. */
void opl3_play(struct opl3_state *s, bool two, struct sound_frame *frames, size_t n);
/* `n` samples pass in silence. */
void opl3_skip(struct opl3_state *s, bool two, uint64_t n);
bool opl3_possible(const struct opl3_state *s);

#endif
