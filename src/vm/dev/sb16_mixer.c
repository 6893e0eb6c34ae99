/*
 * The CT1745 (Creative's Hardware Programming Guide, chapter 4, "CT1745 Mixer"): levels of what is played and recorded, and, by
 * 80h to 82h, how the card is set up on its bus. Registers of the Sound Blaster Pro's mixer are the upper bits of their successors.
 *
 * A level has 32 steps of 2 dB, the last one 0 dB; gains are 0, 6, 12, 18 dB.
 *
 * Not modelled: treble, bass and automatic gain control (they are remembered), levels of what this card has not: CD, microphone
 * and the PC's speaker.
 */
#include "vm/dev/sb16_mixer.h"

#include <string.h>

#include "vm/dev/sound.h"

enum { RESET = 0x00, PRO_VOICE = 0x04, PRO_MIC = 0x0a, PRO_MASTER = 0x22, PRO_MIDI = 0x26, PRO_CD = 0x28, PRO_LINE = 0x2e,
       MASTER = 0x30, VOICE = 0x32, MIDI = 0x34, CD = 0x36, LINE = 0x38, MIC = 0x3a, OUTPUTS = 0x3c, INPUTS = 0x3d, IN_GAIN = 0x3f, OUT_GAIN = 0x41,
       TREBLE = 0x44, IRQ = 0x80, DMA = 0x81, STATUS = 0x82 };
#define FIRST MASTER
#define IN_LINE_LEFT  0x10u
#define IN_LINE_RIGHT 0x08u
#define IRQ_BITS 0x0fu
#define DMA_BITS 0xebu

/* Bits that there are, from 30h on. */
static const uint8_t present[CT1745_REGISTERS - FIRST] = {
    0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xc0, 0x1f, 0x7f, 0x7f, 0xc0,
    0xc0, 0xc0, 0xc0, 0x01, 0xf0, 0xf0, 0xf0, 0xf0,
};
static const uint8_t usual[CT1745_REGISTERS - FIRST] = {
    0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f, 0x15, 0x0b, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x80, 0x80, 0x80, 0x80,
};

void ct1745_reset(struct ct1745_state *c)
{
    memcpy(c->reg + FIRST, usual, sizeof(usual));
}

/* Where the pair of registers is that one of the older mixer's stands for; 0: it is none. */
static unsigned successor(unsigned index)
{
    switch (index) {
    case PRO_VOICE: return VOICE;
    case PRO_MASTER: return MASTER;
    case PRO_MIDI: return MIDI;
    case PRO_CD: return CD;
    case PRO_LINE: return LINE;
    default: return 0;
    }
}

uint8_t ct1745_read(const struct ct1745_state *c)
{
    unsigned pair = successor(c->index);

    if (pair)
        return (uint8_t)((c->reg[pair] & 0xf0u) | c->reg[pair + 1] >> 4);
    switch (c->index) {
    case PRO_MIC: return c->reg[MIC] >> 5;
    case IRQ: return (uint8_t)(0xf0u | c->irq);
    case DMA: return c->dma;
    case STATUS: return c->status;
    default: return c->index >= FIRST && c->index < CT1745_REGISTERS ? c->reg[c->index] : 0xff;
    }
}

void ct1745_write(struct ct1745_state *c, uint8_t value)
{
    unsigned pair = successor(c->index);

    if (pair) {
        c->reg[pair] = (uint8_t)((value & 0xf0u) | 0x08u);
        c->reg[pair + 1] = (uint8_t)(value << 4 | 0x08u);
        return;
    }
    switch (c->index) {
    case RESET:
        ct1745_reset(c);
        break;
    case PRO_MIC:
        c->reg[MIC] = (uint8_t)((value & 7u) << 5 | 0x18u);
        break;
    case IRQ:
        c->irq = value & IRQ_BITS;
        break;
    case DMA:
        c->dma = value & DMA_BITS;
        break;
    default:
        if (c->index >= FIRST && c->index < CT1745_REGISTERS)
            c->reg[c->index] = value & present[c->index - FIRST];
        break;
    }
}

int ct1745_channel(const struct ct1745_state *c, bool words)
{
    unsigned bits = c->dma & (words && c->dma & 0xe0u ? 0xe0u : 0x0bu);

    return bits ? __builtin_ctz(bits) : -1;
}

/* In quarters of a decibel. */
static int level(const struct ct1745_state *c, unsigned reg, bool left)
{
    return 8 * ((c->reg[reg + !left] >> 3) - 31);
}

static uint32_t amplified(const struct ct1745_state *c, unsigned reg, bool left, int quarters)
{
    return sound_gain(quarters) << (c->reg[reg + !left] >> 6);
}

uint32_t ct1745_play_gain(const struct ct1745_state *c, bool left)
{
    return amplified(c, OUT_GAIN, left, level(c, MASTER, left) + level(c, VOICE, left));
}

uint32_t ct1745_fm_gain(const struct ct1745_state *c, bool left)
{
    return amplified(c, OUT_GAIN, left, level(c, MASTER, left) + level(c, MIDI, left));
}

uint32_t ct1745_record_gain(const struct ct1745_state *c, bool from_left, bool to_left)
{
    if (!(c->reg[INPUTS + !to_left] & (from_left ? IN_LINE_LEFT : IN_LINE_RIGHT)))
        return 0;
    return amplified(c, IN_GAIN, to_left, level(c, LINE, from_left));
}
