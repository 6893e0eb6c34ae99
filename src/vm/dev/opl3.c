/*
 * The YMF262 (OPL3; Yamaha's application manual and data sheet) and, as a part of it, the YM3812 (OPL2): 36 operators in two banks, each
 * with a phase generator, an envelope generator and eight waveforms; channels of two and of four operators, five drums, tremolo and
 * vibrato. All of it is in integers, so every host plays the same samples.
 *
 * An operator's place in its period selects a logarithm of a sine; attenuations are added to that, and a power of two makes a sample of it.
 * How the chip steps its envelopes, its noise and its drums the manuals do not say; that is known from looking at it, and its tables
 * are these functions: -256 log2(sin((i + 1/2) pi / 512)), and 1024 * 2^((255 - i) / 256), rounded.
 *
 * While nothing is heard an operator's place goes on without its vibrato, and one that could only modulate others without its feedback.
 *
 * Not modelled: the timers (opl_timers.c), the test register, composite sine wave mode (CSM) of an OPL2, the outputs C and D of an OPL3.
 */
#include "vm/dev/opl3.h"

#include <string.h>

enum stage { ATTACK, DECAY, SUSTAIN, RELEASE, STAGES };

/* Registers: of the chip, of operators and of channels. */
enum { TEST = 0x01, FOUR_OPERATORS = 0x04, NEW = 0x05, NOTE_SELECT = 0x08, DEPTHS_DRUMS = 0xbd,
       CHARACTER = 0x20, LEVEL = 0x40, ATTACK_DECAY = 0x60, SUSTAIN_RELEASE = 0x80, WAVE = 0xe0,
       F_NUMBER = 0xa0, KEY_BLOCK = 0xb0, FEEDBACK = 0xc0 };
#define WAVES_ON   0x20u   /* TEST, of an OPL2 */
#define NEW_ON     0x01u   /* of bank 1: it is an OPL3 in full */
#define SPLIT      0x40u   /* NOTE_SELECT */
#define AM_DEEP    0x80u
#define VIB_DEEP   0x40u
#define DRUMS      0x20u
#define AM         0x80u
#define VIBRATO    0x40u
#define HOLDS      0x20u   /* EGT: sustained while the key is on */
#define SCALES     0x10u   /* KSR */
#define KEY_ON     0x20u
#define ADDITIVE   0x01u   /* CNT */
#define TO_LEFT    0x10u
#define TO_RIGHT   0x20u

#define SILENT     0x1f8u  /* an envelope from there on is not heard, */
#define ENVELOPE_END 0x1ffu /* and ends here */
#define PHASE_MASK 0x7ffffu
#define PLACE_MASK 0x3ffu
#define MUTE       0x1000u /* a logarithm of nothing */
#define LOG_MOST   0x1fffu
#define NO_OPERATOR OPL3_OPERATORS

/* Operators of drums, by slots of bank 0; a bass drum is channel 6 as a whole. */
enum { BASS_1 = 12, HIHAT, TOM, BASS_2, SNARE, CYMBAL };

static const uint16_t log_sine[256] = {
    0x859, 0x6c3, 0x607, 0x58b, 0x52e, 0x4e4, 0x4a6, 0x471, 0x443, 0x41a, 0x3f5, 0x3d3, 0x3b5, 0x398, 0x37e, 0x365,
    0x34e, 0x339, 0x324, 0x311, 0x2ff, 0x2ed, 0x2dc, 0x2cd, 0x2bd, 0x2af, 0x2a0, 0x293, 0x286, 0x279, 0x26d, 0x261,
    0x256, 0x24b, 0x240, 0x236, 0x22c, 0x222, 0x218, 0x20f, 0x206, 0x1fd, 0x1f5, 0x1ec, 0x1e4, 0x1dc, 0x1d4, 0x1cd,
    0x1c5, 0x1be, 0x1b7, 0x1b0, 0x1a9, 0x1a2, 0x19b, 0x195, 0x18f, 0x188, 0x182, 0x17c, 0x177, 0x171, 0x16b, 0x166,
    0x160, 0x15b, 0x155, 0x150, 0x14b, 0x146, 0x141, 0x13c, 0x137, 0x133, 0x12e, 0x129, 0x125, 0x121, 0x11c, 0x118,
    0x114, 0x10f, 0x10b, 0x107, 0x103, 0x0ff, 0x0fb, 0x0f8, 0x0f4, 0x0f0, 0x0ec, 0x0e9, 0x0e5, 0x0e2, 0x0de, 0x0db,
    0x0d7, 0x0d4, 0x0d1, 0x0cd, 0x0ca, 0x0c7, 0x0c4, 0x0c1, 0x0be, 0x0bb, 0x0b8, 0x0b5, 0x0b2, 0x0af, 0x0ac, 0x0a9,
    0x0a7, 0x0a4, 0x0a1, 0x09f, 0x09c, 0x099, 0x097, 0x094, 0x092, 0x08f, 0x08d, 0x08a, 0x088, 0x086, 0x083, 0x081,
    0x07f, 0x07d, 0x07a, 0x078, 0x076, 0x074, 0x072, 0x070, 0x06e, 0x06c, 0x06a, 0x068, 0x066, 0x064, 0x062, 0x060,
    0x05e, 0x05c, 0x05b, 0x059, 0x057, 0x055, 0x053, 0x052, 0x050, 0x04e, 0x04d, 0x04b, 0x04a, 0x048, 0x046, 0x045,
    0x043, 0x042, 0x040, 0x03f, 0x03e, 0x03c, 0x03b, 0x039, 0x038, 0x037, 0x035, 0x034, 0x033, 0x031, 0x030, 0x02f,
    0x02e, 0x02d, 0x02b, 0x02a, 0x029, 0x028, 0x027, 0x026, 0x025, 0x024, 0x023, 0x022, 0x021, 0x020, 0x01f, 0x01e,
    0x01d, 0x01c, 0x01b, 0x01a, 0x019, 0x018, 0x017, 0x017, 0x016, 0x015, 0x014, 0x014, 0x013, 0x012, 0x011, 0x011,
    0x010, 0x00f, 0x00f, 0x00e, 0x00d, 0x00d, 0x00c, 0x00c, 0x00b, 0x00a, 0x00a, 0x009, 0x009, 0x008, 0x008, 0x007,
    0x007, 0x007, 0x006, 0x006, 0x005, 0x005, 0x005, 0x004, 0x004, 0x004, 0x003, 0x003, 0x003, 0x002, 0x002, 0x002,
    0x002, 0x001, 0x001, 0x001, 0x001, 0x001, 0x001, 0x001, 0x000, 0x000, 0x000, 0x000, 0x000, 0x000, 0x000, 0x000,
};

static const uint16_t powers[256] = {
    0x7fa, 0x7f5, 0x7ef, 0x7ea, 0x7e4, 0x7df, 0x7da, 0x7d4, 0x7cf, 0x7c9, 0x7c4, 0x7bf, 0x7b9, 0x7b4, 0x7ae, 0x7a9,
    0x7a4, 0x79f, 0x799, 0x794, 0x78f, 0x78a, 0x784, 0x77f, 0x77a, 0x775, 0x770, 0x76a, 0x765, 0x760, 0x75b, 0x756,
    0x751, 0x74c, 0x747, 0x742, 0x73d, 0x738, 0x733, 0x72e, 0x729, 0x724, 0x71f, 0x71a, 0x715, 0x710, 0x70b, 0x706,
    0x702, 0x6fd, 0x6f8, 0x6f3, 0x6ee, 0x6e9, 0x6e5, 0x6e0, 0x6db, 0x6d6, 0x6d2, 0x6cd, 0x6c8, 0x6c4, 0x6bf, 0x6ba,
    0x6b5, 0x6b1, 0x6ac, 0x6a8, 0x6a3, 0x69e, 0x69a, 0x695, 0x691, 0x68c, 0x688, 0x683, 0x67f, 0x67a, 0x676, 0x671,
    0x66d, 0x668, 0x664, 0x65f, 0x65b, 0x657, 0x652, 0x64e, 0x649, 0x645, 0x641, 0x63c, 0x638, 0x634, 0x630, 0x62b,
    0x627, 0x623, 0x61e, 0x61a, 0x616, 0x612, 0x60e, 0x609, 0x605, 0x601, 0x5fd, 0x5f9, 0x5f5, 0x5f0, 0x5ec, 0x5e8,
    0x5e4, 0x5e0, 0x5dc, 0x5d8, 0x5d4, 0x5d0, 0x5cc, 0x5c8, 0x5c4, 0x5c0, 0x5bc, 0x5b8, 0x5b4, 0x5b0, 0x5ac, 0x5a8,
    0x5a4, 0x5a0, 0x59c, 0x599, 0x595, 0x591, 0x58d, 0x589, 0x585, 0x581, 0x57e, 0x57a, 0x576, 0x572, 0x56f, 0x56b,
    0x567, 0x563, 0x560, 0x55c, 0x558, 0x554, 0x551, 0x54d, 0x549, 0x546, 0x542, 0x53e, 0x53b, 0x537, 0x534, 0x530,
    0x52c, 0x529, 0x525, 0x522, 0x51e, 0x51b, 0x517, 0x514, 0x510, 0x50c, 0x509, 0x506, 0x502, 0x4ff, 0x4fb, 0x4f8,
    0x4f4, 0x4f1, 0x4ed, 0x4ea, 0x4e7, 0x4e3, 0x4e0, 0x4dc, 0x4d9, 0x4d6, 0x4d2, 0x4cf, 0x4cc, 0x4c8, 0x4c5, 0x4c2,
    0x4be, 0x4bb, 0x4b8, 0x4b5, 0x4b1, 0x4ae, 0x4ab, 0x4a8, 0x4a4, 0x4a1, 0x49e, 0x49b, 0x498, 0x494, 0x491, 0x48e,
    0x48b, 0x488, 0x485, 0x482, 0x47e, 0x47b, 0x478, 0x475, 0x472, 0x46f, 0x46c, 0x469, 0x466, 0x463, 0x460, 0x45d,
    0x45a, 0x457, 0x454, 0x451, 0x44e, 0x44b, 0x448, 0x445, 0x442, 0x43f, 0x43c, 0x439, 0x436, 0x433, 0x430, 0x42d,
    0x42a, 0x428, 0x425, 0x422, 0x41f, 0x41c, 0x419, 0x416, 0x414, 0x411, 0x40e, 0x40b, 0x408, 0x406, 0x403, 0x400,
};

/* ---- registers ---- */

/* Slots are at 0-5, 8-Dh, 10h-15h. */
static unsigned offset_of(unsigned slot)
{
    return slot / 6 * 8 + slot % 6;
}

static unsigned channel_of(unsigned slot)
{
    return slot / 6 * 3 + slot % 3;
}

static bool is_new(const struct opl3_state *s, bool two)
{
    return !two && (s->reg[1][NEW] & NEW_ON);
}

static bool drums(const struct opl3_state *s)
{
    return s->reg[0][DEPTHS_DRUMS] & DRUMS;
}

/* Is the channel one of a pair of four operators? *first: the pair's first. */
static bool in_four(const struct opl3_state *s, bool two, unsigned bank, unsigned channel, unsigned *first)
{
    *first = channel % 3;
    return channel < 6 && is_new(s, two) && (s->reg[1][FOUR_OPERATORS] >> (*first + 3 * bank) & 1u);
}

/* What makes its pitch: the channel itself, or the first of a pair. */
static unsigned pitch_of(const struct opl3_state *s, bool two, unsigned bank, unsigned channel)
{
    unsigned first;

    return in_four(s, two, bank, channel, &first) ? first : channel;
}

static unsigned f_number(const struct opl3_state *s, unsigned bank, unsigned channel)
{
    return (unsigned)s->reg[bank][F_NUMBER + channel] | (s->reg[bank][KEY_BLOCK + channel] & 3u) << 8;
}

static unsigned block(const struct opl3_state *s, unsigned bank, unsigned channel)
{
    return s->reg[bank][KEY_BLOCK + channel] >> 2 & 7u;
}

static void set_keys(struct opl3_state *s, bool two)
{
    static const uint8_t drum_bits[6] = {0x10, 0x01, 0x04, 0x10, 0x08, 0x02}; /* from BASS_1 on */
    uint8_t control = s->reg[0][DEPTHS_DRUMS];

    for (unsigned i = 0; i < OPL3_OPERATORS; i++) {
        unsigned bank = i / 18, slot = i % 18, channel = pitch_of(s, two, bank, channel_of(slot));
        bool drum = !bank && slot >= BASS_1 && (control & DRUMS) && (control & drum_bits[slot - BASS_1]);

        s->op[i].key = (uint8_t)((s->reg[bank][KEY_BLOCK + channel] & KEY_ON ? 1u : 0) | (drum ? 2u : 0));
    }
}

void opl3_write(struct opl3_state *s, bool two, unsigned bank, uint8_t reg, uint8_t value)
{
    if (two)
        bank = 0;
    if (bank && !is_new(s, two) && reg != NEW)
        return;
    s->reg[bank][reg] = value;
    set_keys(s, two);
}

void opl3_reset(struct opl3_state *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < OPL3_OPERATORS; i++) {
        s->op[i].envelope = ENVELOPE_END;
        s->op[i].stage = RELEASE;
    }
    s->noise = 1;
}

/* ---- what registers make of an operator: the same for a stretch of samples ---- */

struct rate {
    uint8_t any;         /* 0: it stands still */
    uint8_t high, low;   /* to 15, to 3 */
};

struct voice {
    struct rate rate[STAGES];
    uint32_t increment;  /* of the phase */
    uint16_t level;      /* attenuation by register and by key, as the envelope's */
    uint16_t sustain;    /* DECAY ends there; upper five bits of the envelope */
    uint8_t wave, feedback;
    uint8_t source;      /* the operator that modulates it; NO_OPERATOR: none */
    bool tremolo;
    bool left, right;    /* it is heard there */
    bool drum;           /* one whose phase is made otherwise, or that is twice as loud */
};

static const uint8_t multiples[16] = {1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30}; /* halves */
static const uint8_t key_levels[16] = {0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};

/* An eighth of an octave up or down at most, by three bits of the frequency (DVB: the whole, else half of it). */
static unsigned vibrated(const struct opl3_state *s, unsigned number)
{
    unsigned at = (unsigned)(s->samples >> 10) & 7u, range = number >> 7 & 7u;

    if (!(at & 3u))
        return number;
    range >>= at & 1u;
    range >>= !(s->reg[0][DEPTHS_DRUMS] & VIB_DEEP);
    return at & 4u ? number - range : number + range;
}

static uint32_t increment(const struct opl3_state *s, unsigned number, unsigned octave, uint8_t character)
{
    if (character & VIBRATO)
        number = vibrated(s, number);
    return (number << octave >> 1) * multiples[character & 15u] >> 1;
}

static uint16_t level_of(uint8_t level, unsigned number, unsigned octave)
{
    static const uint8_t shifts[4] = {8, 1, 2, 0};
    int by_key = (key_levels[number >> 6] << 2) - (int)((8 - octave) << 5);

    return (uint16_t)(((level & 0x3fu) << 2) + (by_key > 0 ? (unsigned)by_key >> shifts[level >> 6] : 0));
}

static struct rate rate_of(unsigned value, unsigned by_key)
{
    unsigned sum = 4 * value + by_key;

    return (struct rate){.any = value != 0, .high = (uint8_t)(sum >> 2 > 15 ? 15 : sum >> 2), .low = sum & 3u};
}

static void set_rates(const struct opl3_state *s, struct voice *v, unsigned bank, unsigned at, unsigned number, unsigned octave)
{
    const uint8_t *r = s->reg[bank] + at;
    uint8_t ad = r[ATTACK_DECAY], sr = r[SUSTAIN_RELEASE], character = r[CHARACTER];
    unsigned by_key = octave << 1 | (number >> (s->reg[0][NOTE_SELECT] & SPLIT ? 8 : 9) & 1u);

    by_key >>= character & SCALES ? 0 : 2;
    v->rate[ATTACK] = rate_of(ad >> 4, by_key);
    v->rate[DECAY] = rate_of(ad & 15u, by_key);
    v->rate[SUSTAIN] = rate_of(character & HOLDS ? 0 : sr & 15u, by_key);
    v->rate[RELEASE] = rate_of(sr & 15u, by_key);
    v->sustain = (uint16_t)(sr >> 4 == 15 ? 31 : sr >> 4);
}

/* Who modulates it, and is it heard? */
static void connect(const struct opl3_state *s, struct voice *v, bool two, unsigned i)
{
    unsigned bank = i / 18, slot = i % 18, channel = channel_of(slot), second = slot % 6 >= 3, first;
    bool adds = s->reg[bank][FEEDBACK + channel] & ADDITIVE, heard = second || adds;
    bool sides = is_new(s, two);

    v->source = NO_OPERATOR;
    if (second && !adds)
        v->source = (uint8_t)(i - 3);
    if (in_four(s, two, bank, channel, &first)) {
        bool one = s->reg[bank][FEEDBACK + first] & ADDITIVE, other = s->reg[bank][FEEDBACK + first + 3] & ADDITIVE;
        unsigned n = (channel != first ? 2u : 0) + second; /* of four */

        /* 1>2>3>4; 1>2, 3>4; 1, 2>3>4; 1, 2>3, 4. Each is a row: who is heard, who is modulated by the one before it. */
        static const uint8_t heard_of[4] = {0x8, 0xa, 0x9, 0xd}, chained_of[4] = {0xe, 0xa, 0xc, 0x4};
        unsigned kind = 2u * one + other;

        heard = heard_of[kind] >> n & 1u;
        v->source = (uint8_t)(chained_of[kind] >> n & 1u ? i - 3 : NO_OPERATOR);
    }
    v->feedback = !second && (channel == pitch_of(s, two, bank, channel)) ? s->reg[bank][FEEDBACK + channel] >> 1 & 7u : 0;
    v->drum = false;
    if (!bank && slot >= BASS_1 && drums(s)) {
        v->drum = true;
        if (slot != BASS_1 && slot != BASS_2) {
            v->source = NO_OPERATOR;
            v->feedback = 0;
        }
        heard = slot != BASS_1;
    }
    v->left = heard && (!sides || (s->reg[bank][FEEDBACK + channel] & TO_LEFT));
    v->right = heard && (!sides || (s->reg[bank][FEEDBACK + channel] & TO_RIGHT));
}

static void make_voice(const struct opl3_state *s, struct voice *v, bool two, unsigned i)
{
    unsigned bank = i / 18, slot = i % 18, at = offset_of(slot), channel = pitch_of(s, two, bank, channel_of(slot));
    unsigned number = f_number(s, bank, channel), octave = block(s, bank, channel);
    const uint8_t *r = s->reg[bank] + at;

    v->increment = increment(s, number, octave, r[CHARACTER]);
    v->level = level_of(r[LEVEL], number, octave);
    v->tremolo = r[CHARACTER] & AM;
    v->wave = r[WAVE] & (is_new(s, two) ? 7u : two && !(s->reg[0][TEST] & WAVES_ON) ? 0 : 3u);
    set_rates(s, v, bank, at, number, octave);
    connect(s, v, two, i);
}

/* ---- the envelope generator ---- */

/* By how many binary places an envelope moves on in this sample, plus one; 0: not at all. The counter of envelopes counts two samples; the
 * lowest bit set in it says whose turn it is. */
static unsigned steps(const struct rate *r, uint64_t samples)
{
    static const uint8_t extra[4][4] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, 1, 0}, {1, 1, 1, 0}};
    uint64_t counter = samples >> 1;
    unsigned turn, shift;

    if (!r->any)
        return 0;
    if (r->high >= 12) {
        shift = (r->high & 3u) + extra[r->low][counter & 3u];
        return shift > 3 ? 3 : shift ? shift : samples & 1u;
    }
    if (!(samples & 1u) || !(counter & 0x1fffu))
        return 0;
    turn = r->high + (unsigned)__builtin_ctzll(counter) + 1;
    return turn == 12 ? 1 : turn == 13 ? r->low >> 1 : turn == 14 ? r->low & 1u : 0;
}

static void step_envelope(struct opl3_operator *op, const struct voice *v, uint64_t samples)
{
    bool begins = op->key && op->stage == RELEASE, over = (op->envelope & SILENT) == SILENT;
    const struct rate *r = &v->rate[begins ? ATTACK : op->stage];
    unsigned shift = steps(r, samples), by = 0, stage = op->stage;
    uint16_t envelope = op->envelope;

    if (begins && r->high == 15)
        envelope = 0;
    if (stage != ATTACK && !begins && over)
        envelope = ENVELOPE_END;
    if (stage == ATTACK && !envelope)
        stage = DECAY;
    else if (stage == ATTACK && op->key && shift && r->high != 15)
        by = (unsigned)(~(int)op->envelope >> (4 - shift)); /* towards 0 by a part of what is left */
    else if (stage == DECAY && envelope >> 4 == v->sustain)
        stage = SUSTAIN;
    else if (stage != ATTACK && !over && !begins && shift)
        by = 1u << (shift - 1);
    op->envelope = (uint16_t)((envelope + by) & ENVELOPE_END);
    op->stage = (uint8_t)(!op->key ? RELEASE : begins ? ATTACK : stage);
    if (begins)
        op->phase = 0;
}

/* Up and down 3.7 times a second. */
static unsigned tremolo(const struct opl3_state *s)
{
    unsigned at = (unsigned)((s->samples >> 6) % 210);

    return (at < 105 ? at : 210 - at) >> (s->reg[0][DEPTHS_DRUMS] & AM_DEEP ? 2 : 4);
}

/* ---- the operator ---- */

/* A logarithm, and whether the sample is below zero. */
static unsigned wave(unsigned kind, unsigned place, bool *below)
{
    unsigned half = place & 0x200u, quarter = place & 0x100u;
    unsigned sine = log_sine[(quarter ? ~place : place) & 0xffu], twice = log_sine[(place & 0x80u ? ~place << 1 : place << 1) & 0xffu];

    *below = false;
    switch (kind) {
    case 0: *below = half; return sine;
    case 1: return half ? MUTE : sine;
    case 2: return sine;
    case 3: return quarter ? MUTE : sine;
    case 4: *below = !half && quarter; return half ? MUTE : twice;
    case 5: return half ? MUTE : twice;
    case 6: *below = half; return 0;
    default: *below = half; return (half ? (place & 0x1ffu) ^ 0x1ffu : place) << 3;
    }
}

static int sample(unsigned kind, unsigned place, unsigned attenuation)
{
    bool below;
    unsigned log = wave(kind, place & PLACE_MASK, &below) + (attenuation << 3);
    int value;

    log = log > LOG_MOST ? LOG_MOST : log;
    value = powers[log & 0xffu] << 1 >> (log >> 8);
    return below ? ~value : value; /* as the chip has it, without a carry */
}

static void step_noise(struct opl3_state *s)
{
    s->noise = s->noise >> 1 | ((s->noise >> 14 ^ s->noise) & 1u) << 22;
}

/* Places of hi-hat, snare drum and cymbal are made of bits of hi-hat's and cymbal's, and of noise. */
static unsigned drum_place(struct opl3_state *s, unsigned slot, unsigned place)
{
    unsigned h, c, mixed, noise = s->noise & 1u;

    if (slot == HIHAT)
        s->hihat = (uint16_t)place;
    else if (slot == CYMBAL)
        s->cymbal = (uint16_t)place;
    h = s->hihat;
    c = s->cymbal;
    mixed = ((h >> 2 ^ h >> 7) | (h >> 3 ^ c >> 5) | (c >> 3 ^ c >> 5)) & 1u;
    switch (slot) {
    case HIHAT: return mixed << 9 | (mixed ^ noise ? 0xd0u : 0x34u);
    case SNARE: return (h >> 8 & 1u) << 9 | ((h >> 8 & 1u) ^ noise) << 8;
    case CYMBAL: return mixed << 9 | 0x80u;
    default: return place;
    }
}

static void step_operator(struct opl3_state *s, const struct voice *voices, unsigned i, unsigned trembles)
{
    struct opl3_operator *op = &s->op[i];
    const struct voice *v = &voices[i];
    unsigned place, attenuation;
    int by;

    by = v->feedback ? (op->before + op->out) >> (9 - v->feedback) : v->source != NO_OPERATOR ? s->op[v->source].out : 0;
    attenuation = op->envelope + v->level + (v->tremolo ? trembles : 0u);
    place = op->phase >> 9;
    step_envelope(op, v, s->samples);
    op->phase = (op->phase + v->increment) & PHASE_MASK;
    if (v->drum)
        place = drum_place(s, i, place);
    step_noise(s);
    op->before = op->out;
    op->out = (int16_t)(attenuation >= SILENT ? 0 : sample(v->wave, place + (unsigned)by, attenuation));
}

static int32_t clipped(int sum)
{
    return (int32_t)((uint32_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum) << 16);
}

static unsigned operators(bool two)
{
    return two ? OPL3_OPERATORS / 2 : OPL3_OPERATORS;
}

static void play(struct opl3_state *s, const struct voice *voices, bool two, struct sound_frame *f)
{
    unsigned trembles = tremolo(s);
    int left = 0, right = 0;

    for (unsigned i = 0; i < operators(two); i++) {
        int out;

        step_operator(s, voices, i, trembles);
        out = s->op[i].out * (voices[i].drum ? 2 : 1);
        left += voices[i].left ? out : 0;
        right += voices[i].right ? out : 0;
    }
    s->samples++;
    *f = (struct sound_frame){clipped(left), clipped(right)};
}

void opl3_play(struct opl3_state *s, bool two, struct sound_frame *frames, size_t n)
{
    struct voice voices[OPL3_OPERATORS];

    for (size_t done = 0; done < n; done++) {
        if (!done || !(s->samples & 0x3ffu)) /* vibrato has gone on */
            for (unsigned i = 0; i < operators(two); i++)
                make_voice(s, &voices[i], two, i);
        play(s, voices, two, &frames[done]);
    }
}

/* ---- silence ---- */

/* Does its envelope stay as it is until somebody writes a register? */
static bool is_steady(const struct opl3_operator *op, const struct voice *v)
{
    bool over = op->envelope >= SILENT;

    if (op->key && (op->stage == ATTACK || op->stage == RELEASE))
        return !v->rate[ATTACK].any && (op->stage == ATTACK ? op->envelope != 0 : over);
    if (over)
        return true;
    return !v->rate[op->stage].any && (op->key || op->stage == RELEASE) && !(op->stage == DECAY && op->envelope >> 4 == v->sustain);
}

bool opl3_sounds(const struct opl3_state *s, bool two)
{
    for (unsigned i = 0; i < operators(two); i++) {
        const struct opl3_operator *op = &s->op[i];
        struct voice v;

        make_voice(s, &v, two, i);
        if (!is_steady(op, &v) || ((v.left || v.right) && op->envelope < SILENT))
            return true;
    }
    return false;
}

/* A step is linear over bits: so many of them are a product of powers of its matrix. */
static uint32_t times(const uint32_t *matrix, uint32_t v)
{
    uint32_t out = 0;

    for (; v; v &= v - 1)
        out ^= matrix[__builtin_ctz(v)];
    return out;
}

static uint32_t noise_after(uint32_t noise, uint64_t steps_on)
{
    uint32_t matrix[23], square[23];

    for (unsigned i = 0; i < 23; i++) {
        struct opl3_state one = {.noise = 1u << i};

        step_noise(&one);
        matrix[i] = one.noise;
    }
    for (steps_on %= (1u << 23) - 1; steps_on; steps_on >>= 1) {
        if (steps_on & 1u)
            noise = times(matrix, noise);
        for (unsigned i = 0; i < 23; i++)
            square[i] = times(matrix, matrix[i]);
        memcpy(matrix, square, sizeof(matrix));
    }
    return noise;
}

/* All but the last two samples, which say what operators put out last. */
void opl3_skip(struct opl3_state *s, bool two, uint64_t n)
{
    struct sound_frame last[2];
    struct voice v;

    if (n < 2) {
        opl3_play(s, two, last, (size_t)n);
        return;
    }
    n -= 2;
    for (unsigned i = 0; n && i < operators(two); i++) {
        struct opl3_operator *op = &s->op[i];

        make_voice(s, &v, two, i);
        if (op->key && op->stage == RELEASE) {
            op->stage = ATTACK; /* of rate 0 */
            op->phase = 0;
        } else if (!op->key) {
            op->stage = RELEASE;
        } else if (op->stage == DECAY && op->envelope >= SILENT && v.sustain == ENVELOPE_END >> 4) {
            op->stage = SUSTAIN;
        }
        if (op->stage != ATTACK && op->envelope >= SILENT)
            op->envelope = ENVELOPE_END;
        op->phase = (uint32_t)((op->phase + v.increment * n) & PHASE_MASK);
    }
    s->noise = noise_after(s->noise, n % ((1u << 23) - 1) * operators(two));
    s->samples += n;
    opl3_play(s, two, last, 2);
}

bool opl3_possible(const struct opl3_state *s)
{
    for (unsigned i = 0; i < OPL3_OPERATORS; i++)
        if (s->op[i].phase > PHASE_MASK || s->op[i].envelope > ENVELOPE_END || s->op[i].stage >= STAGES)
            return false;
    return s->noise && s->noise < 1u << 23;
}
