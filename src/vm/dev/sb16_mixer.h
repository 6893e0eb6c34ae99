/* The CT1745, mixer of a Sound Blaster 16: see sb16_mixer.c. */
#ifndef HINDCAST_VM_DEV_SB16_MIXER_H
#define HINDCAST_VM_DEV_SB16_MIXER_H

#include "vm/device.h"

#define CT1745_REGISTERS 0x48u

DEVICE_STATE_BEGIN
struct ct1745_state {
    uint8_t reg[CT1745_REGISTERS]; /* 30h to 47h as they were written; the others are read from them */
    uint8_t index;
    uint8_t irq;                   /* register 80h: bits for IRQ 9, 5, 7, 10 */
    uint8_t dma;                   /* register 81h: a bit for each channel */
    uint8_t status;                /* register 82h: interrupts that are asserted */
    uint8_t reserved[4];
};
DEVICE_STATE_END

#define CT1745_IRQ_8BIT  0x01u
#define CT1745_IRQ_16BIT 0x02u

/* The levels as a reset leaves them; what was set up of the bus stays. */
void ct1745_reset(struct ct1745_state *c);
uint8_t ct1745_read(const struct ct1745_state *c);
/* To the register that the index names. */
void ct1745_write(struct ct1745_state *c, uint8_t value);
/* Which channel moves bytes, and words; the latter is the former if there is none for words. -1: none. */
int ct1745_channel(const struct ct1745_state *c, bool words);
/* Of what is played, as in sound.h: SOUND_UNITY is full scale. */
uint32_t ct1745_play_gain(const struct ct1745_state *c, bool left);
/* Of what the FM chip plays (the mixer calls it MIDI). */
uint32_t ct1745_fm_gain(const struct ct1745_state *c, bool left);
/* Of what comes in at the line's left or right side, as it is recorded on the left or right. */
uint32_t ct1745_record_gain(const struct ct1745_state *c, bool from_left, bool to_left);

#endif
