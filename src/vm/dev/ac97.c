/*
 * The AC'97 audio controller of Intel's 82801AA (ICH; 290655, chapter 13) with one codec of the Audio Codec '97 specification,
 * revision 2.3: two channels out (PO) and in (PI), a microphone (MC), each with a list of 32 buffers.
 *
 * A sample goes when its time has come. Buffers are read and written a few milliseconds' worth at a time, and up to the moment when
 * a register is looked at or changed; a buffer's end, its status and its interrupt come with its last sample.
 *
 * What is heard is PCM out, by its own level and the master's; mutes and powered-down parts silence it. What comes in from the
 * host is heard at every input that a card has on its outside: record select takes it from there, and the record gain has its way.
 *
 * The codec is ready from the beginning, as a BIOS leaves it, and as on QEMU's card; AC_RESET# is asserted by taking GLOB_CNT bit 1
 * away again.
 *
 * Not modelled: a second codec and the modem (they do not answer), GPIO, 4 and 6 channels (which the 82801AA has not), analogue
 * inputs that are heard in the output or recorded as the "mix", the last sample that a buffer without BUP repeats when there is no
 * next one: silence follows either way; FIFO errors.
 */
#include "vm/dev/ac97.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/dev/sound.h"
#include "vm/machine.h"

enum { RANGE_MIXER, RANGE_MASTER };

#define MIXER_BYTES   256u
#define MASTER_BYTES  64u
#define MIXER_REGS    64u
#define BUFFERS       32u
#define CODEC_TOP     0x80u  /* the second codec's registers are from here on */

/* Registers of the codec (AC'97 2.3, 5.7). */
enum { R_RESET = 0x00, R_MASTER = 0x02, R_HEADPHONE = 0x04, R_MONO = 0x06, R_BEEP = 0x0a, R_PHONE = 0x0c, R_MIC = 0x0e, R_LINE = 0x10,
       R_CD = 0x12, R_VIDEO = 0x14, R_AUX = 0x16, R_PCM = 0x18, R_SELECT = 0x1a, R_GAIN = 0x1c, R_MIC_GAIN = 0x1e, R_GENERAL = 0x20,
       R_POWER = 0x26, R_EXT_ID = 0x28, R_EXT = 0x2a, R_DAC_RATE = 0x2c, R_ADC_RATE = 0x32, R_MIC_RATE = 0x34, R_VENDOR1 = 0x7c,
       R_VENDOR2 = 0x7e };

#define MUTE        0x8000u
#define MIC_BOOST   0x0040u  /* 20 dB */
#define EXT_VRA     0x0001u
#define EXT_VRM     0x0008u
#define POWER_READY 0x000fu  /* ADC, DAC, ANL, REF */
#define PR0         0x0100u
#define RATE_USUAL  48000u
#define RATE_LEAST  7000u

/* Of a box (13.2): BDBAR, CIV, LVI, SR, PICB, PIV, CR. */
enum { B_BDBAR = 0, B_CIV = 4, B_LVI = 5, B_SR = 6, B_PICB = 8, B_PIV = 10, B_CR = 11 };
enum { R_GLOB_CNT = 0x2c, R_GLOB_STA = 0x30, R_CAS = 0x34 };

#define SR_DCH    0x01u
#define SR_CELV   0x02u
#define SR_LVBCI  0x04u
#define SR_BCIS   0x08u
#define SR_FIFOE  0x10u
#define SR_CLEARED (SR_LVBCI | SR_BCIS | SR_FIFOE)
#define CR_RPBM   0x01u
#define CR_RR     0x02u
#define CR_LVBIE  0x04u
#define CR_FEIE   0x08u
#define CR_IOCE   0x10u
#define CR_KEPT   (CR_LVBIE | CR_FEIE | CR_IOCE) /* by a reset of the registers */

#define CNT_COLD   0x02u  /* AC_RESET# is not asserted */
#define CNT_WARM   0x04u
#define CNT_BITS   0x3fu
#define STA_CLEARED 0x00008c01u /* GSCI, PRI, SRI, RCS: nothing but RCS is ever set */
#define STA_KEPT   0x00030000u  /* AD3, MD3 */
#define STA_PCR    0x00000100u
#define STA_RCS    0x00008000u

#define BD_IOC 0x80000000u

enum box_kind { PI, PO, MC, BOXES };

/* Where a box's interrupt is in GLOB_STA. */
static const uint32_t sta_bits[BOXES] = {0x20, 0x40, 0x80};

DEVICE_STATE_BEGIN
struct ac97_box {
    struct sound_clock clock;   /* while samples go */
    struct sound_input in;      /* PI, MC */
    uint32_t bdbar;
    uint32_t buffer;            /* where its next sample is */
    uint32_t control;           /* of the descriptor, upper half */
    uint16_t sr, picb;
    uint8_t civ, lvi, piv, cr;
    uint8_t reserved[4];
};

struct ac97_state {
    uint8_t config[PCI_CONFIG_BYTES];
    struct ac97_box box[BOXES];
    uint32_t glob_cnt, glob_sta;
    uint16_t mixer[MIXER_REGS];
    uint8_t cas;
    uint8_t down;               /* AC_RESET# is asserted */
    uint8_t reserved[6];
};
DEVICE_STATE_END

/* Wiring. */
struct ac97 {
    struct device *dev;
    struct pci_function pci;
    struct ac97_state *st;
};

/* ---- the codec ---- */

/* A register: what reset makes of it, which bits can be written. Others read as 0. */
struct mixer_reg {
    uint8_t at;
    uint16_t reset, writable;
};

/* A master level is of five bits; the sixth, if written, is all of them (5.7.2.1). */
#define LEVEL_6_LEFT  0x2000u
#define LEVEL_6_RIGHT 0x0020u

static const struct mixer_reg mixer_regs[] = {
    {R_RESET, 0x0011, 0}, /* a microphone's own ADC, headphones */
    {R_MASTER, 0x8000, 0xbf3f}, {R_HEADPHONE, 0x8000, 0xbf3f}, {R_MONO, 0x8000, 0x803f}, {R_BEEP, 0x0000, 0x801e},
    {R_PHONE, 0x8008, 0x801f}, {R_MIC, 0x8008, 0x805f}, {R_LINE, 0x8808, 0x9f1f}, {R_CD, 0x8808, 0x9f1f},
    {R_VIDEO, 0x8808, 0x9f1f}, {R_AUX, 0x8808, 0x9f1f}, {R_PCM, 0x8808, 0x9f1f}, {R_SELECT, 0x0000, 0x0707},
    {R_GAIN, 0x8000, 0x8f0f}, {R_MIC_GAIN, 0x8000, 0x800f}, {R_GENERAL, 0x0000, 0x8380}, {R_POWER, POWER_READY, 0xff00},
    {R_EXT_ID, 0x0809, 0}, /* revision 2.3; variable rates, of the microphone, too */
    {R_EXT, 0x0000, EXT_VRA | EXT_VRM}, {R_DAC_RATE, RATE_USUAL, 0xffff}, {R_ADC_RATE, RATE_USUAL, 0xffff},
    {R_MIC_RATE, RATE_USUAL, 0xffff}, {R_VENDOR1, 0x8384, 0}, {R_VENDOR2, 0x7600, 0}, /* SigmaTel STAC9700, as QEMU's */
};

static const struct mixer_reg *find_reg(unsigned at)
{
    for (unsigned i = 0; i < ARRAY_LEN(mixer_regs); i++)
        if (mixer_regs[i].at == at)
            return &mixer_regs[i];
    return NULL;
}

static void reset_mixer(struct ac97_state *s)
{
    memset(s->mixer, 0, sizeof(s->mixer));
    for (unsigned i = 0; i < ARRAY_LEN(mixer_regs); i++)
        s->mixer[mixer_regs[i].at / 2] = mixer_regs[i].reset;
}

static uint16_t mixer(const struct ac97 *a, unsigned at)
{
    return a->st->mixer[at / 2];
}

static uint32_t rate_of(const struct ac97 *a, enum box_kind kind)
{
    return mixer(a, kind == PO ? R_DAC_RATE : kind == PI ? R_ADC_RATE : R_MIC_RATE);
}

/* Is that part switched on? (5.7.6: PR0 ADC, PR1 DAC, PR2 mixer, PR3 and reference, PR4 link, PR5 clock) */
static bool is_powered(const struct ac97 *a, bool out)
{
    return !a->st->down && !(mixer(a, R_POWER) & (PR0 << 2 | PR0 << 3 | PR0 << 4 | PR0 << 5 | (out ? PR0 << 1 : PR0)));
}

static uint16_t power_status(uint16_t control)
{
    unsigned off = control / PR0, reference = ~off >> 3 & 1u, analogue = reference & (~off >> 2);

    return (uint16_t)((~off & 3u) | analogue << 2 | reference << 3);
}

/* ---- levels ---- */

/* A stereo register's level of one side, in steps of 1.5 dB; muted: none. */
static bool level(uint16_t reg, bool left, unsigned mask, int *steps)
{
    *steps = (left ? reg >> 8 : reg) & (int)mask;
    return !(reg & MUTE);
}

static uint32_t out_gain(const struct ac97 *a, bool left)
{
    int master, pcm;

    if (!level(mixer(a, R_MASTER), left, 0x1f, &master) || !level(mixer(a, R_PCM), left, 0x1f, &pcm) || !is_powered(a, true))
        return 0;
    return sound_gain(6 * (8 - pcm - master));
}

static uint32_t in_gain(const struct ac97 *a, bool left)
{
    unsigned source = (left ? mixer(a, R_SELECT) >> 8 : mixer(a, R_SELECT)) & 7u;
    int steps;

    /* 5 and 6 are what goes out. */
    if (!level(mixer(a, R_GAIN), left, 0x0f, &steps) || source == 5 || source == 6 || !is_powered(a, false))
        return 0;
    return sound_gain(6 * steps + (source == 0 && (mixer(a, R_MIC) & MIC_BOOST) ? 80 : 0));
}

static uint32_t mic_gain(const struct ac97 *a)
{
    int steps;

    if (!level(mixer(a, R_MIC_GAIN), false, 0x0f, &steps) || !is_powered(a, false))
        return 0;
    return sound_gain(6 * steps + (mixer(a, R_MIC) & MIC_BOOST ? 80 : 0));
}

/* ---- interrupts ---- */

static bool interrupts(const struct ac97_box *b)
{
    return ((b->sr & SR_LVBCI) && (b->cr & CR_LVBIE)) || ((b->sr & SR_BCIS) && (b->cr & CR_IOCE)) ||
           ((b->sr & SR_FIFOE) && (b->cr & CR_FEIE));
}

static void update_irq(struct ac97 *a)
{
    bool any = false;

    for (unsigned i = 0; i < BOXES; i++)
        any |= interrupts(&a->st->box[i]);
    pci_set_intx(&a->pci, any);
}

/* ---- buffers ---- */

static enum box_kind kind_of(const struct ac97 *a, const struct ac97_box *b)
{
    return (enum box_kind)(b - a->st->box);
}

/* Samples of a frame: a microphone has one channel. */
static unsigned channels(enum box_kind kind)
{
    return kind == MC ? 1 : 2;
}

static void stop_clock(struct ac97 *a, struct ac97_box *b)
{
    if (b->clock.rate && kind_of(a, b) == PO)
        sound_end(a->dev, b->clock.rate);
    sound_clock_stop(&b->clock);
}

static void start_clock(struct ac97 *a, struct ac97_box *b)
{
    enum box_kind kind = kind_of(a, b);

    sound_clock_start(&b->clock, machine_now(a->dev->machine), rate_of(a, kind));
    if (kind == PO)
        sound_begin(a->dev, b->clock.rate);
    else
        sound_input_start(&b->in, b->clock.rate);
    machine_attention(a->dev->machine);
}

/* The prefetched buffer becomes the current one. */
static void next_buffer(struct ac97 *a, struct ac97_box *b)
{
    uint8_t bytes[8] = {0};

    b->civ = b->piv;
    b->piv = (b->piv + 1) % BUFFERS;
    pci_dma_read(&a->pci, b->bdbar + b->civ * 8u, bytes, sizeof(bytes));
    b->buffer = get_le32(bytes) & ~1u;
    b->control = get_le32(bytes + 4) & 0xffff0000u;
    b->picb = get_le16(bytes + 4);
}

/* The current buffer is done: the next one with something in it, or the end. */
static void end_buffers(struct ac97 *a, struct ac97_box *b)
{
    while (!b->picb && !(b->sr & SR_DCH)) {
        if (b->control & BD_IOC)
            b->sr |= SR_BCIS;
        if (b->civ == b->lvi) {
            b->sr |= SR_DCH | SR_CELV | SR_LVBCI;
            stop_clock(a, b);
        } else {
            next_buffer(a, b);
        }
    }
}

static void play(struct ac97 *a, struct ac97_box *b, size_t n)
{
    struct sound_frame frames[SOUND_PIECE];
    uint8_t bytes[SOUND_PIECE * 4] = {0};
    uint32_t left = out_gain(a, true), right = out_gain(a, false);

    pci_dma_read(&a->pci, b->buffer, bytes, n * 4);
    for (size_t i = 0; i < n; i++) {
        frames[i].left = sound_scale((int32_t)(get_le32(bytes + 4 * i) << 16), left);
        frames[i].right = sound_scale((int32_t)(get_le32(bytes + 4 * i) & 0xffff0000u), right);
    }
    sound_play(a->dev, b->clock.rate, frames, n);
}

static void record(struct ac97 *a, struct ac97_box *b, size_t n)
{
    struct sound_frame frames[SOUND_PIECE];
    uint8_t bytes[SOUND_PIECE * 4];
    bool mono = kind_of(a, b) == MC;
    uint32_t left = mono ? mic_gain(a) : in_gain(a, true), right = mono ? 0 : in_gain(a, false);

    sound_record(a->dev, &b->in, frames, n);
    for (size_t i = 0; i < n; i++) {
        uint16_t l = (uint16_t)((uint32_t)sound_scale(frames[i].left, left) >> 16);

        if (mono)
            put_le16(bytes + 2 * i, l);
        else
            put_le32(bytes + 4 * i, l | ((uint32_t)sound_scale(frames[i].right, right) & 0xffff0000u));
    }
    pci_dma_write(&a->pci, b->buffer, bytes, n * 2 * channels(kind_of(a, b)));
}

/* Everything whose time has come. */
static void catch_up_box(struct ac97 *a, struct ac97_box *b)
{
    unsigned width = channels(kind_of(a, b));
    uint64_t due;

    while ((due = sound_clock_due(&b->clock, machine_now(a->dev->machine))) > 0) {
        size_t n = b->picb / width;

        n = n < SOUND_PIECE ? n : SOUND_PIECE;
        n = n < due ? n : (size_t)due;
        if (n && kind_of(a, b) == PO)
            play(a, b, n);
        else if (n)
            record(a, b, n);
        b->clock.done += n ? n : 1; /* half a frame takes a frame's time */
        b->buffer += (uint32_t)(n * 2 * width);
        b->picb = (uint16_t)(n ? b->picb - n * width : 0);
        end_buffers(a, b);
    }
}

static void catch_up(struct ac97 *a)
{
    for (unsigned i = 0; i < BOXES; i++)
        catch_up_box(a, &a->st->box[i]);
    update_irq(a);
}

/* ---- registers of a box ---- */

static void reset_box(struct ac97 *a, struct ac97_box *b)
{
    stop_clock(a, b);
    *b = (struct ac97_box){.in = b->in, .sr = SR_DCH, .cr = b->cr & CR_KEPT};
}

static void write_cr(struct ac97 *a, struct ac97_box *b, uint8_t value)
{
    bool ran = b->cr & CR_RPBM, runs = value & CR_RPBM;

    if (value & CR_RR) {
        reset_box(a, b);
        b->cr = value & CR_KEPT;
        return;
    }
    b->cr = value & (CR_RPBM | CR_KEPT);
    if (ran == runs)
        return;
    if (!runs) {
        stop_clock(a, b);
        b->sr |= SR_DCH;
        return;
    }
    b->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
    if (!b->picb) /* else it was a pause */
        next_buffer(a, b);
    start_clock(a, b);
    end_buffers(a, b);
}

/* After the last valid buffer another index there lets it go on. */
static void write_lvi(struct ac97 *a, struct ac97_box *b, uint8_t value)
{
    b->lvi = value % BUFFERS;
    if (!(b->sr & SR_CELV) || b->lvi == b->civ)
        return;
    b->sr &= (uint16_t)~SR_CELV;
    if (!(b->cr & CR_RPBM))
        return;
    b->sr &= (uint16_t)~SR_DCH;
    next_buffer(a, b);
    start_clock(a, b);
    end_buffers(a, b);
}

static uint8_t box_byte(const struct ac97_box *b, unsigned at)
{
    switch (at) {
    case B_CIV: return b->civ;
    case B_LVI: return b->lvi;
    case B_SR: return (uint8_t)b->sr;
    case B_PICB: return (uint8_t)b->picb;
    case B_PICB + 1: return (uint8_t)(b->picb >> 8);
    case B_PIV: return b->piv;
    case B_CR: return b->cr;
    default: return at < B_CIV ? (uint8_t)(b->bdbar >> (8 * at)) : 0;
    }
}

static void write_box(struct ac97 *a, struct ac97_box *b, unsigned at, uint8_t value)
{
    switch (at) {
    case B_LVI:
        write_lvi(a, b, value);
        break;
    case B_SR:
        b->sr &= (uint16_t) ~(value & SR_CLEARED);
        break;
    case B_CR:
        write_cr(a, b, value);
        break;
    default:
        if (at < B_CIV)
            b->bdbar = (b->bdbar & ~(0xffu << (8 * at))) | (uint32_t)(at ? value : value & 0xf8u) << (8 * at);
        break;
    }
}

/* ---- what they have in common ---- */

static uint32_t glob_sta(const struct ac97 *a)
{
    uint32_t sta = a->st->glob_sta | (a->st->down ? 0 : STA_PCR);

    for (unsigned i = 0; i < BOXES; i++)
        if (interrupts(&a->st->box[i]))
            sta |= sta_bits[i];
    return sta;
}

/* Samples go as fast as the codec's registers say from now on. */
static void follow_rates(struct ac97 *a)
{
    for (unsigned i = 0; i < BOXES; i++) {
        struct ac97_box *b = &a->st->box[i];
        uint32_t rate = rate_of(a, (enum box_kind)i);

        if (!b->clock.rate || b->clock.rate == rate)
            continue;
        sound_clock_change(&b->clock, rate);
        if (i != PO)
            sound_input_start(&b->in, rate);
    }
}

static void reset_codec(struct ac97 *a)
{
    reset_mixer(a->st);
    follow_rates(a);
}

static void write_glob_cnt(struct ac97 *a, uint32_t value)
{
    if ((a->st->glob_cnt & CNT_COLD) && !(value & CNT_COLD)) {
        a->st->down = 1;
        reset_codec(a);
    } else if (value & CNT_COLD) {
        a->st->down = 0;
    }
    if (value & CNT_WARM) /* wakes the link, and is done at once */
        a->st->mixer[R_POWER / 2] &= (uint16_t) ~(PR0 << 4);
    a->st->glob_cnt = value & CNT_BITS & ~CNT_WARM;
}

static uint8_t master_byte(struct ac97 *a, unsigned at)
{
    struct ac97_state *s = a->st;
    uint8_t cas;

    if (at < BOXES * 16)
        return at % 16 < 12 ? box_byte(&s->box[at / 16], at % 16)
               : at >= R_GLOB_CNT ? (uint8_t)(s->glob_cnt >> (8 * (at - R_GLOB_CNT))) : 0;
    if (at < R_CAS)
        return (uint8_t)(glob_sta(a) >> (8 * (at - R_GLOB_STA)));
    if (at > R_CAS)
        return 0;
    cas = s->cas; /* whoever reads a 0 has the codec, until he uses it */
    s->cas = 1;
    return cas;
}

static void write_master(struct ac97 *a, unsigned at, uint8_t value)
{
    struct ac97_state *s = a->st;
    uint32_t bits;

    if (at < BOXES * 16 && at % 16 < 12) {
        write_box(a, &s->box[at / 16], at % 16, value);
    } else if (at >= R_GLOB_CNT && at < R_GLOB_STA) {
        bits = 8 * (at - R_GLOB_CNT);
        write_glob_cnt(a, (s->glob_cnt & ~(0xffu << bits)) | (uint32_t)value << bits);
    } else if (at >= R_GLOB_STA && at < R_CAS) {
        bits = (uint32_t)value << 8 * (at - R_GLOB_STA);
        s->glob_sta &= ~(bits & STA_CLEARED);
        if (at == R_GLOB_STA + 2)
            s->glob_sta = (s->glob_sta & ~STA_KEPT) | (bits & STA_KEPT);
    }
}

/* ---- registers of the codec ---- */

static uint16_t read_mixer(struct ac97 *a, unsigned at)
{
    a->st->cas = 0;
    if (at >= CODEC_TOP || a->st->down || (mixer(a, R_POWER) & PR0 << 4)) { /* nobody there */
        a->st->glob_sta |= STA_RCS;
        return 0xffff;
    }
    return mixer(a, at);
}

static uint16_t without_sixth_bits(uint16_t value)
{
    if (value & LEVEL_6_LEFT)
        value |= 0x1f00;
    if (value & LEVEL_6_RIGHT)
        value |= 0x001f;
    return value & (uint16_t)~(LEVEL_6_LEFT | LEVEL_6_RIGHT);
}

/* The nearest one that there is (5.8.3). */
static uint16_t rate_near(uint16_t rate)
{
    return rate < RATE_LEAST ? RATE_LEAST : rate > RATE_USUAL ? RATE_USUAL : rate;
}

static void set_rate(struct ac97 *a, unsigned at, uint16_t rate)
{
    a->st->mixer[at / 2] = rate;
    follow_rates(a);
}

static void write_ext(struct ac97 *a, uint16_t value)
{
    a->st->mixer[R_EXT / 2] = value;
    if (!(value & EXT_VRA)) {
        set_rate(a, R_DAC_RATE, RATE_USUAL);
        set_rate(a, R_ADC_RATE, RATE_USUAL);
    }
    if (!(value & EXT_VRM))
        set_rate(a, R_MIC_RATE, RATE_USUAL);
}

static void write_mixer(struct ac97 *a, unsigned at, uint16_t value)
{
    const struct mixer_reg *r = at < CODEC_TOP ? find_reg(at) : NULL;
    uint16_t *reg = &a->st->mixer[at % CODEC_TOP / 2];

    a->st->cas = 0;
    if (!r || a->st->down || (mixer(a, R_POWER) & PR0 << 4))
        return;
    value &= r->writable;
    switch (at) {
    case R_RESET:
        reset_codec(a);
        break;
    case R_MASTER:
    case R_HEADPHONE:
    case R_MONO:
        *reg = without_sixth_bits(value);
        break;
    case R_POWER:
        *reg = value | power_status(value);
        break;
    case R_EXT:
        write_ext(a, value);
        break;
    case R_DAC_RATE:
    case R_ADC_RATE:
        if (mixer(a, R_EXT) & EXT_VRA)
            set_rate(a, at, rate_near(value));
        break;
    case R_MIC_RATE:
        if (mixer(a, R_EXT) & EXT_VRM)
            set_rate(a, at, rate_near(value));
        break;
    default:
        if (r->writable)
            *reg = value;
        break;
    }
}

/* ---- the device ---- */

static uint64_t ac97_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct ac97 *a = dev->wiring;
    uint64_t value = 0;

    catch_up(a);
    if (range == RANGE_MIXER) { /* words only */
        if (size == 2 && !(offset & 1u))
            return read_mixer(a, (unsigned)offset);
        a->st->cas = 0;
        return UINT64_MAX;
    }
    for (unsigned i = 0; i < size && offset + i < MASTER_BYTES; i++)
        value |= (uint64_t)master_byte(a, (unsigned)offset + i) << (8 * i);
    return value;
}

static void ac97_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ac97 *a = dev->wiring;

    catch_up(a);
    if (range == RANGE_MIXER) {
        if (size == 2 && !(offset & 1u))
            write_mixer(a, (unsigned)offset, (uint16_t)value);
        else
            a->st->cas = 0;
    } else {
        for (unsigned i = 0; i < size && offset + i < MASTER_BYTES; i++)
            write_master(a, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
    }
    update_irq(a);
}

static void ac97_reset(struct device *dev)
{
    struct ac97 *a = dev->wiring;

    pci_function_reset(&a->pci);
    for (unsigned i = 0; i < BOXES; i++) {
        stop_clock(a, &a->st->box[i]);
        a->st->box[i] = (struct ac97_box){.sr = SR_DCH};
    }
    reset_mixer(a->st);
    a->st->glob_cnt = a->st->glob_sta = 0;
    a->st->cas = a->st->down = 0;
}

/* The end of a buffer (one that does not tell of it may be followed by a short one that does), or a turn's end. */
static vtime_t ac97_deadline(const struct device *dev)
{
    const struct ac97 *a = dev->wiring;
    vtime_t least = VTIME_NEVER;

    for (unsigned i = 0; i < BOXES; i++) {
        const struct ac97_box *b = &a->st->box[i];
        unsigned width = channels((enum box_kind)i);
        uint64_t turn = (uint64_t)b->clock.rate * SOUND_TURN_NS / 1000000000u, left = (b->picb + width - 1u) / width;
        vtime_t at = sound_clock_when(&b->clock, left < turn ? left : turn);

        least = at < least ? at : least;
    }
    return least;
}

static void ac97_expire(struct device *dev, vtime_t now)
{
    (void)now;
    catch_up(dev->wiring);
}

static bool ac97_possible(const struct device *dev)
{
    const struct ac97 *a = dev->wiring;
    vtime_t now = machine_now(dev->machine);

    for (unsigned i = 0; i < BOXES; i++) {
        const struct ac97_box *b = &a->st->box[i];
        bool stands = !b->clock.rate;

        if (b->civ >= BUFFERS || b->lvi >= BUFFERS || b->piv >= BUFFERS || !sound_clock_possible(&b->clock, now) ||
            !sound_input_possible(&b->in) ||
            (!stands && (b->clock.rate < RATE_LEAST || b->clock.rate > RATE_USUAL || !b->picb || (b->sr & SR_DCH) ||
                         b->clock.rate != rate_of(a, (enum box_kind)i) || (i != PO && b->in.rate != b->clock.rate))))
            return false;
    }
    return a->st->cas <= 1 && a->st->down <= 1;
}

static void ac97_describe(const struct device *dev, struct buffer *out)
{
    static const char *const names[BOXES] = {"PCM in", "PCM out", "microphone"};
    const struct ac97 *a = dev->wiring;

    buffer_printf(out, "audiodev %s, master %04x, PCM %04x, GLOB_CNT %08x, GLOB_STA %08x\n", *dev->backend ? dev->backend : "none",
                  mixer(a, R_MASTER), mixer(a, R_PCM), a->st->glob_cnt, glob_sta(a));
    for (unsigned i = 0; i < BOXES; i++) {
        const struct ac97_box *b = &a->st->box[i];

        buffer_printf(out, "%s: %s, %u Hz, BDBAR %08x, CIV %u, LVI %u, PICB %u, SR %04x, CR %02x\n", names[i],
                      b->clock.rate ? "runs" : "stands", (unsigned)rate_of(a, (enum box_kind)i), b->bdbar, b->civ, b->lvi, b->picb,
                      b->sr, b->cr);
    }
}

static const struct device_ops ac97_ops = {
    .name = "AC97",
    .state_size = sizeof(struct ac97_state),
    .state_version = 1,
    .possible = ac97_possible,
    .reset = ac97_reset,
    .deadline = ac97_deadline,
    .expire = ac97_expire,
    .describe = ac97_describe,
    .read = ac97_read,
    .write = ac97_write,
};

const struct option_key ac97_keys[] = {SOUND_KEYS, {NULL, NULL}};

int ac97_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x2415, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                                           .class_code = 0x040100, .revision = 1, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &ac97_ops, name, sizeof(struct ac97));
    struct ac97 *a = dev->wiring;

    (void)d;
    a->dev = dev;
    a->st = dev->state;
    if (sound_connect(dev, props, err) < 0)
        return err->code;
    pci_function_init(&a->pci, s->pci, devfn, dev, a->st->config, &id);
    put_le16(a->pci.reset + PCI_STATUS, 0x0280);
    pci_add_bar(&a->pci, 0, PCI_BAR_IO, false, MIXER_BYTES, RANGE_MIXER);
    pci_add_bar(&a->pci, 1, PCI_BAR_IO, false, MASTER_BYTES, RANGE_MASTER);
    return 0;
}
