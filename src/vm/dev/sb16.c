/*
 * The Sound Blaster 16 (Creative Technology, Sound Blaster Series Hardware Programming Guide: chapters 2 to 4 and 6): the digital
 * sound processor, of version 4.05, with its DMA of 8 and of 16 bits, and the mixer (sb16_mixer.c).
 *
 * A sample goes when its time has come. Bytes are fetched and stored a few milliseconds' worth at a time, and up to the moment when a
 * register of the card or of its DMA channel is looked at or changed; a block's end and its interrupt come with its last sample. When
 * the channel gives nothing, there is silence, and the block waits.
 *
 * Commands of older processors play and record mono, as version 4 has it, and a high-speed transfer is one like others. A
 * command that starts a transfer takes over at once. The host's recording comes in at the line.
 *
 * Its FM chip is a device of its own (opl.c).
 *
 * Not modelled: MIDI (what is sent goes nowhere), recording without DMA (20h, 28h: silence), the ASP, Creative's CD-ROM interface, the joystick.
 */
#include "vm/dev/sb16.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/isa_dma.h"
#include "vm/dev/opl.h"
#include "vm/dev/pci.h"
#include "vm/dev/ports.h"
#include "vm/dev/sb16_adpcm.h"
#include "vm/dev/sb16_mixer.h"
#include "vm/dev/sound.h"
#include "vm/machine.h"

/* Ports, from the base on. */
enum { FM = 0x0, FM_END = 0x4, MIXER_INDEX = 0x4, MIXER_DATA = 0x5, DSP_RESET = 0x6, FM_MONO = 0x8, FM_MONO_END = 0xa,
       DSP_DATA = 0xa, DSP_COMMAND = 0xc, DSP_STATUS = 0xe, DSP_ACK_16 = 0xf };
#define PORTS      16u
#define USUAL_BASE 0x220u

#define VERSION_MAJOR 4u
#define VERSION_MINOR 5u
#define ANSWERS       64u
#define NOT_BUSY      0x7fu /* bit 7 of both status ports says something */
#define HAS_DATA      0x80u
#define RATE_USUAL    11025u
#define RATE_LEAST    3906u
#define RATE_MOST     45454u
#define DIRECT_RATE   44100u
#define DIRECT_NS     50000000u /* after the last sample that was written */

static const unsigned irq_lines[4] = {9, 5, 7, 10}; /* in the order of the mixer's bits */
static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

/* What a block is made of. */
enum kind { NOTHING, PCM, SILENCE, ADPCM_4, ADPCM_26, ADPCM_2, KINDS };
enum { BYTES, WORDS, ENGINES };

DEVICE_STATE_BEGIN
/* A transfer by the channel of 8 or of 16 bits. */
struct sb16_engine {
    struct sound_clock clock; /* stands still while it is paused */
    uint32_t left;       /* of the block: samples, of ADPCM bytes */
    uint32_t block;      /* the next one's */
    uint8_t kind;        /* enum kind; NOTHING: it does not run */
    uint8_t paused;
    uint8_t again;       /* auto-initialized: a block follows, */
    uint8_t ends;        /* but after this one */
    uint8_t records;
    uint8_t stereo;
    uint8_t sign;        /* samples have one */
    uint8_t wants_reference; /* ADPCM: the next byte is a sample as it is */
    struct sb16_adpcm adpcm;
    uint8_t halted;      /* enum kind of what an exit from auto-initialization has ended; NOTHING: nothing */
    uint8_t reserved[3];
};

struct sb16_state {
    struct ct1745_state mixer;
    struct sb16_engine engine[ENGINES];
    struct sound_input in;       /* of whichever records */
    struct sound_clock direct;   /* samples written by command 10h */
    uint64_t direct_ends;        /* vtime */
    uint32_t rate_out, rate_in;  /* Hz */
    uint32_t block;              /* command 48h: bytes less one */
    uint8_t command;             /* whose bytes are missing */
    uint8_t needed, got;         /* how many, and how many there are */
    uint8_t args[3];
    uint8_t answers[ANSWERS];
    uint8_t answer_first, answer_count, last_answer;
    uint8_t resetting;           /* bit 0 of the reset port */
    uint8_t midi;                /* bytes that are written are MIDI's, until a reset */
    uint8_t speaker;
    uint8_t test;                /* command E4h */
    uint8_t identity, identity_count; /* of E2h */
    uint8_t direct_level;        /* as it was written */
    uint8_t reserved[4];
};
DEVICE_STATE_END

struct sb16 {
    struct device *dev;
    struct sb16_state *st;
    struct device *fm;          /* the FM chip */
    struct line irq[4];
    const struct isa_dma *dma;
    uint8_t irq_bits, dma_bits; /* as the user has set it up: registers 80h and 81h of the mixer */
};

/* ---- interrupts ---- */

static void update_irq(struct sb16 *c)
{
    for (unsigned i = 0; i < 4; i++)
        line_set(&c->irq[i], c->st->mixer.status && (c->st->mixer.irq >> i & 1u));
}

static void set_status(struct sb16 *c, uint8_t bit, bool set)
{
    c->st->mixer.status = (uint8_t)(set ? c->st->mixer.status | bit : c->st->mixer.status & ~bit);
    update_irq(c);
    machine_attention(c->dev->machine);
}

/* ---- transfers ---- */

static bool words(const struct sb16 *c, const struct sb16_engine *e)
{
    return e == &c->st->engine[WORDS];
}

static unsigned channels(const struct sb16_engine *e)
{
    return e->stereo ? 2 : 1;
}

/* Of a sample that is compressed. */
static unsigned bits_of(unsigned kind)
{
    return kind == ADPCM_4 ? 4 : kind == ADPCM_26 ? 3 : 2;
}

static void request(const struct sb16 *c, const struct sb16_engine *e, bool level)
{
    int channel = ct1745_channel(&c->st->mixer, words(c, e));

    if (channel >= 0)
        c->dma->request(c->dma->ctx, (unsigned)channel, level);
}

/* Returns how many bytes were moved. */
static uint32_t move(const struct sb16 *c, const struct sb16_engine *e, uint8_t *bytes, uint32_t len)
{
    int channel = ct1745_channel(&c->st->mixer, words(c, e));
    uint32_t done = 0, n;
    bool ended;

    do {
        n = channel < 0 ? 0 : c->dma->transfer(c->dma->ctx, (unsigned)channel, bytes + done, len - done, &ended);
        done += n;
    } while (n && done < len);
    return done;
}

static void stop_clock(struct sb16 *c, struct sb16_engine *e)
{
    if (e->clock.rate && !e->records)
        sound_end(c->dev, e->clock.rate);
    sound_clock_stop(&e->clock);
    request(c, e, false);
}

static void start_clock(struct sb16 *c, struct sb16_engine *e)
{
    uint32_t rate = e->records ? c->st->rate_in : c->st->rate_out;

    sound_clock_start(&e->clock, machine_now(c->dev->machine), rate);
    if (e->records)
        sound_input_start(&c->st->in, rate);
    else
        sound_begin(c->dev, rate);
    if (e->kind != SILENCE)
        request(c, e, true);
    machine_attention(c->dev->machine);
}

static void stop(struct sb16 *c, struct sb16_engine *e)
{
    stop_clock(c, e);
    *e = (struct sb16_engine){.adpcm = {.reference = e->adpcm.reference, .scale = e->adpcm.scale}};
}

static void stop_direct(struct sb16 *c)
{
    if (c->st->direct.rate)
        sound_end(c->dev, DIRECT_RATE);
    sound_clock_stop(&c->st->direct);
}

/* One converter plays, and one records. */
static void start(struct sb16 *c, unsigned which, struct sb16_engine how)
{
    struct sb16_engine *e = &c->st->engine[which], *other = &c->st->engine[!which];

    stop(c, e);
    if (other->kind != NOTHING && other->records == how.records)
        stop(c, other);
    if (!how.records)
        stop_direct(c);
    how.adpcm = e->adpcm;
    how.left = how.block;
    *e = how;
    start_clock(c, e);
}

static void end_block(struct sb16 *c, struct sb16_engine *e)
{
    if (e->again && !e->ends) {
        e->left = e->block;
    } else {
        stop_clock(c, e);
        e->halted = e->ends ? e->kind : NOTHING;
        e->kind = NOTHING;
    }
    set_status(c, words(c, e) ? CT1745_IRQ_16BIT : CT1745_IRQ_8BIT, true);
}

/* ---- samples ---- */

static int32_t from_raw(const struct sb16 *c, const struct sb16_engine *e, const uint8_t *p)
{
    if (words(c, e))
        return (int32_t)((uint32_t)(get_le16(p) ^ (e->sign ? 0u : 0x8000u)) << 16);
    return (int32_t)((uint32_t)(*p ^ (e->sign ? 0u : 0x80u)) << 24);
}

static void to_raw(const struct sb16 *c, const struct sb16_engine *e, int32_t sample, uint8_t *p)
{
    if (words(c, e))
        put_le16(p, (uint32_t)sample >> 16 ^ (e->sign ? 0u : 0x8000u));
    else
        *p = (uint8_t)((uint32_t)sample >> 24 ^ (e->sign ? 0u : 0x80u));
}

/* If a byte is there: else it stays as it was. */
static void next_packed(struct sb16 *c, struct sb16_engine *e)
{
    struct sb16_adpcm *a = &e->adpcm;

    if (!a->samples) {
        if (!e->left || !move(c, e, &a->packed, 1))
            return;
        e->left--;
        if (e->wants_reference) {
            a->reference = a->packed;
            a->scale = e->wants_reference = 0;
            return;
        }
        a->samples = (uint8_t)sb16_adpcm_samples(bits_of(e->kind));
    }
    sb16_adpcm_decode(a, bits_of(e->kind));
}

static void send(struct sb16 *c, uint32_t rate, struct sound_frame *frames, size_t n)
{
    uint32_t left = ct1745_play_gain(&c->st->mixer, true), right = ct1745_play_gain(&c->st->mixer, false);

    for (size_t i = 0; i < n; i++) {
        frames[i].left = sound_scale(frames[i].left, left);
        frames[i].right = sound_scale(frames[i].right, right);
    }
    sound_play(c->dev, rate, frames, n);
}

static void play_packed(struct sb16 *c, struct sb16_engine *e, size_t n)
{
    struct sound_frame frames[SOUND_PIECE];

    for (size_t i = 0; i < n; i++) {
        next_packed(c, e);
        frames[i].left = frames[i].right = (int32_t)((uint32_t)(e->adpcm.reference ^ 0x80u) << 24);
    }
    send(c, e->clock.rate, frames, n);
}

static void play(struct sb16 *c, struct sb16_engine *e, size_t n)
{
    unsigned width = words(c, e) ? 2 : 1;
    struct sound_frame frames[SOUND_PIECE];
    uint8_t bytes[SOUND_PIECE * 4] = {0};
    uint32_t want = (uint32_t)n * channels(e), got;

    want = want < e->left ? want : e->left;
    got = e->kind == SILENCE ? want : move(c, e, bytes, want * width) / width;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t l = i * channels(e), r = l + channels(e) - 1;

        frames[i].left = l < got && e->kind != SILENCE ? from_raw(c, e, bytes + l * width) : 0;
        frames[i].right = r < got && e->kind != SILENCE ? from_raw(c, e, bytes + r * width) : 0;
    }
    e->left -= got;
    send(c, e->clock.rate, frames, n);
}

static int32_t mixed(const struct sb16 *c, const struct sound_frame *f, bool left)
{
    int64_t sum = (int64_t)sound_scale(f->left, ct1745_record_gain(&c->st->mixer, true, left)) +
                  sound_scale(f->right, ct1745_record_gain(&c->st->mixer, false, left));

    return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

static void record(struct sb16 *c, struct sb16_engine *e, size_t n)
{
    unsigned width = words(c, e) ? 2 : 1;
    struct sound_frame frames[SOUND_PIECE];
    uint8_t bytes[SOUND_PIECE * 4];
    uint32_t want = 0;

    sound_record(c->dev, &c->st->in, frames, n);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < channels(e) && want < e->left; k++, want++)
            to_raw(c, e, mixed(c, &frames[i], k == 0), bytes + want * width);
    e->left -= move(c, e, bytes, want * width) / width;
}

/* Frames until the block ends, if its channel serves. */
static uint64_t frames_left(const struct sb16_engine *e)
{
    unsigned packed = e->kind >= ADPCM_4 ? sb16_adpcm_samples(bits_of(e->kind)) : 0;

    if (packed)
        return (uint64_t)e->left * packed + e->adpcm.samples - (e->wants_reference ? packed - 1 : 0);
    return (e->left + channels(e) - 1) / channels(e);
}

static void catch_up_engine(struct sb16 *c, struct sb16_engine *e)
{
    uint64_t due;

    while ((due = sound_clock_due(&e->clock, machine_now(c->dev->machine))) > 0) {
        uint64_t left = frames_left(e);
        size_t n = due < SOUND_PIECE ? (size_t)due : SOUND_PIECE;

        n = left && left < n ? (size_t)left : n;
        if (e->records)
            record(c, e, n);
        else if (e->kind >= ADPCM_4)
            play_packed(c, e, n);
        else
            play(c, e, n);
        e->clock.done += n;
        if (!e->left && !e->adpcm.samples)
            end_block(c, e);
    }
}

static void catch_up_direct(struct sb16 *c)
{
    struct sb16_state *s = c->st;
    vtime_t now = machine_now(c->dev->machine);
    uint64_t due;

    while ((due = sound_clock_due(&s->direct, now)) > 0) {
        struct sound_frame frames[SOUND_PIECE];
        size_t n = due < SOUND_PIECE ? (size_t)due : SOUND_PIECE;

        for (size_t i = 0; i < n; i++)
            frames[i].left = frames[i].right = (int32_t)((uint32_t)(s->direct_level ^ 0x80u) << 24);
        send(c, DIRECT_RATE, frames, n);
        s->direct.done += n;
    }
    if (s->direct.rate && now >= s->direct_ends)
        stop_direct(c);
}

static void catch_up(void *ctx)
{
    struct sb16 *c = ctx;

    for (unsigned i = 0; i < ENGINES; i++)
        catch_up_engine(c, &c->st->engine[i]);
    catch_up_direct(c);
}

/* ---- the processor ---- */

static void answer(struct sb16_state *s, uint8_t byte)
{
    if (s->answer_count < ANSWERS)
        s->answers[(s->answer_first + s->answer_count++) % ANSWERS] = byte;
}

static uint8_t take_answer(struct sb16_state *s)
{
    if (s->answer_count) {
        s->last_answer = s->answers[s->answer_first];
        s->answer_first = (uint8_t)((s->answer_first + 1u) % ANSWERS);
        s->answer_count--;
    }
    return s->last_answer;
}

static void reset_dsp(struct sb16 *c)
{
    struct sb16_state *s = c->st;

    for (unsigned i = 0; i < ENGINES; i++) {
        stop(c, &s->engine[i]);
        s->engine[i] = (struct sb16_engine){.kind = NOTHING};
    }
    stop_direct(c);
    s->rate_out = s->rate_in = RATE_USUAL;
    s->block = 0;
    s->needed = s->got = 0;
    s->answer_count = 0;
    s->midi = s->speaker = 0;
    s->identity = 0xaa;
    s->identity_count = 0;
    set_status(c, CT1745_IRQ_8BIT | CT1745_IRQ_16BIT, false);
}

/* How many bytes a command has behind it. */
static unsigned args_of(uint8_t command)
{
    if (command >= 0xb0 && command <= 0xcf)
        return 3;
    switch (command) {
    case 0x05: case 0x0e: case 0x14: case 0x16: case 0x17: case 0x24: case 0x41: case 0x42: case 0x48: case 0x74: case 0x75: case 0x76:
    case 0x77: case 0x80:
        return 2;
    case 0x04: case 0x0f: case 0x10: case 0x38: case 0x40: case 0xe0: case 0xe2: case 0xe4: case 0xf9:
        return 1;
    default:
        return 0;
    }
}

static uint32_t clamp_rate(uint32_t rate)
{
    return rate < RATE_LEAST ? RATE_LEAST : rate > RATE_MOST ? RATE_MOST : rate;
}

static void set_rate(struct sb16 *c, bool out, bool in, uint32_t rate)
{
    struct sb16_state *s = c->st;

    s->rate_out = out ? clamp_rate(rate) : s->rate_out;
    s->rate_in = in ? clamp_rate(rate) : s->rate_in;
    for (unsigned i = 0; i < ENGINES; i++) {
        struct sb16_engine *e = &s->engine[i];

        if (e->clock.rate && e->clock.rate != (e->records ? s->rate_in : s->rate_out)) {
            stop_clock(c, e);
            start_clock(c, e);
        }
    }
}

/* Bxh and Cxh: the command's low bits, a mode, samples less one. */
static void start_transfer(struct sb16 *c, uint8_t command)
{
    const uint8_t *a = c->st->args;

    start(c, command < 0xc0 ? WORDS : BYTES,
          (struct sb16_engine){.kind = PCM, .records = command >> 3 & 1u, .again = command >> 2 & 1u, .sign = a[0] >> 4 & 1u,
                               .stereo = a[0] >> 5 & 1u, .block = (get_le16(a + 1)) + 1u});
}

/* Commands of older processors; `len`: bytes less one. */
static void start_old(struct sb16 *c, enum kind kind, uint32_t len, bool again, bool records, bool reference)
{
    start(c, BYTES, (struct sb16_engine){.kind = (uint8_t)kind, .records = records, .again = again, .wants_reference = reference,
                                         .block = len + 1u});
}

static void pause_engine(struct sb16 *c, unsigned which, bool pause)
{
    struct sb16_engine *e = &c->st->engine[which];

    if (e->kind == NOTHING || e->paused == pause)
        return;
    e->paused = pause;
    if (pause)
        stop_clock(c, e);
    else
        start_clock(c, e);
}

/* Auto-initialization goes on, also if it has been exited from. */
static void go_on(struct sb16 *c, unsigned which)
{
    struct sb16_engine *e = &c->st->engine[which];

    e->ends = 0;
    if (e->kind != NOTHING || e->halted == NOTHING)
        return;
    e->kind = e->halted;
    e->halted = NOTHING;
    e->left = e->block;
    start_clock(c, e);
}

static void direct(struct sb16 *c, uint8_t level)
{
    struct sb16_state *s = c->st;
    vtime_t now = machine_now(c->dev->machine);

    for (unsigned i = 0; i < ENGINES; i++)
        if (s->engine[i].clock.rate && !s->engine[i].records)
            return;
    s->direct_level = level;
    s->direct_ends = now + DIRECT_NS;
    if (s->direct.rate)
        return;
    sound_clock_start(&s->direct, now, DIRECT_RATE);
    sound_begin(c->dev, DIRECT_RATE);
    machine_attention(c->dev->machine);
}

/* By DMA goes a byte that programs check the card by; each of four turns flips other bits. */
static void identify(struct sb16 *c, uint8_t arg)
{
    static const uint8_t flips[4] = {0x96, 0xa5, 0x69, 0x5a};
    struct sb16_state *s = c->st;
    uint8_t byte;

    byte = s->identity = (uint8_t)(s->identity + (arg ^ flips[s->identity_count++ % 4]));
    request(c, &s->engine[BYTES], true);
    move(c, &s->engine[BYTES], &byte, 1);
    request(c, &s->engine[BYTES], false);
}

static void execute_old(struct sb16 *c, uint8_t command)
{
    struct sb16_state *s = c->st;
    uint32_t len = get_le16(s->args);

    switch (command) {
    case 0x14: start_old(c, PCM, len, false, false, false); break;
    case 0x16: case 0x17: start_old(c, ADPCM_2, len, false, false, command & 1u); break;
    case 0x1c: case 0x90: start_old(c, PCM, s->block, true, false, false); break;
    case 0x1f: start_old(c, ADPCM_2, s->block, true, false, true); break;
    case 0x24: start_old(c, PCM, len, false, true, false); break;
    case 0x2c: case 0x98: start_old(c, PCM, s->block, true, true, false); break;
    case 0x74: case 0x75: start_old(c, ADPCM_4, len, false, false, command & 1u); break;
    case 0x76: case 0x77: start_old(c, ADPCM_26, len, false, false, command & 1u); break;
    case 0x7d: start_old(c, ADPCM_4, s->block, true, false, true); break;
    case 0x7f: start_old(c, ADPCM_26, s->block, true, false, true); break;
    case 0x80: start_old(c, SILENCE, len, false, false, false); break;
    case 0x91: start_old(c, PCM, s->block, false, false, false); break;
    case 0x99: start_old(c, PCM, s->block, false, true, false); break;
    default: break;
    }
}

static void execute(struct sb16 *c, uint8_t command)
{
    struct sb16_state *s = c->st;
    const uint8_t *a = s->args;

    if (command >= 0xb0 && command <= 0xcf) {
        start_transfer(c, command);
        return;
    }
    switch (command) {
    case 0x0f: answer(s, 0xff); break; /* a register of the ASP, which is not there */
    case 0x10: direct(c, a[0]); break;
    case 0x20: case 0x28: answer(s, 0x80); break;
    case 0x34: case 0x35: case 0x36: case 0x37: s->midi = 1; break;
    case 0x40: set_rate(c, true, true, 1000000u / (256u - a[0])); break;
    case 0x41: set_rate(c, true, false, get_be16(a)); break;
    case 0x42: set_rate(c, false, true, get_be16(a)); break;
    case 0x45: go_on(c, BYTES); break;
    case 0x47: go_on(c, WORDS); break;
    case 0x48: s->block = get_le16(a); break;
    case 0xd0: pause_engine(c, BYTES, true); break;
    case 0xd1: s->speaker = 1; break;
    case 0xd3: s->speaker = 0; break;
    case 0xd4: pause_engine(c, BYTES, false); break;
    case 0xd5: pause_engine(c, WORDS, true); break;
    case 0xd6: pause_engine(c, WORDS, false); break;
    case 0xd8: answer(s, s->speaker ? 0xff : 0x00); break;
    case 0xd9: s->engine[WORDS].ends = s->engine[WORDS].again; break;
    case 0xda: s->engine[BYTES].ends = s->engine[BYTES].again; break;
    case 0xe0: answer(s, (uint8_t)~a[0]); break;
    case 0xe1:
        answer(s, VERSION_MAJOR);
        answer(s, VERSION_MINOR);
        break;
    case 0xe2: identify(c, a[0]); break;
    case 0xe3:
        for (unsigned i = 0; i < sizeof(copyright); i++)
            answer(s, (uint8_t)copyright[i]);
        break;
    case 0xe4: s->test = a[0]; break;
    case 0xe8: answer(s, s->test); break;
    case 0xf2: set_status(c, CT1745_IRQ_8BIT, true); break;
    case 0xf3: set_status(c, CT1745_IRQ_16BIT, true); break;
    case 0xf8: answer(s, 0); break;
    default: execute_old(c, command); break;
    }
}

static void write_dsp(struct sb16 *c, uint8_t byte)
{
    struct sb16_state *s = c->st;

    if (s->midi)
        return;
    if (s->got < s->needed) {
        s->args[s->got++] = byte;
    } else {
        s->command = byte;
        s->needed = (uint8_t)args_of(byte);
        s->got = 0;
    }
    if (s->got < s->needed)
        return;
    s->needed = s->got = 0;
    execute(c, s->command);
}

static void write_reset(struct sb16 *c, uint8_t value)
{
    bool ends = c->st->resetting && !(value & 1u);

    c->st->resetting = value & 1u;
    if (!ends)
        return;
    reset_dsp(c);
    answer(c->st, 0xaa);
}

/* ---- ports ---- */

static uint8_t read_port(struct sb16 *c, unsigned port)
{
    struct sb16_state *s = c->st;

    if (port < FM_END || (port >= FM_MONO && port < FM_MONO_END))
        return opl_read_port(c->fm, port % FM_MONO);
    switch (port) {
    case MIXER_INDEX:
        return s->mixer.index;
    case MIXER_DATA:
        return ct1745_read(&s->mixer);
    case DSP_DATA:
        return take_answer(s);
    case DSP_COMMAND:
        return NOT_BUSY;
    case DSP_STATUS:
        set_status(c, CT1745_IRQ_8BIT, false);
        return (uint8_t)(NOT_BUSY | (s->answer_count ? HAS_DATA : 0));
    case DSP_ACK_16:
        set_status(c, CT1745_IRQ_16BIT, false);
        return 0xff;
    default:
        return 0xff;
    }
}

static uint64_t sb16_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct sb16 *c = dev->wiring;
    uint64_t value = 0;

    (void)range;
    catch_up(c);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_port(c, (unsigned)offset + i) << (8 * i);
    return value;
}

static void write_port(struct sb16 *c, unsigned port, uint8_t value)
{
    struct sb16_state *s = c->st;

    if (port < FM_END || (port >= FM_MONO && port < FM_MONO_END)) {
        opl_write_port(c->fm, port % FM_MONO, value);
        return;
    }
    switch (port) {
    case MIXER_INDEX:
        s->mixer.index = value;
        break;
    case MIXER_DATA:
        opl_catch_up(c->fm);
        ct1745_write(&s->mixer, value);
        update_irq(c);
        break;
    case DSP_RESET:
        write_reset(c, value);
        break;
    case DSP_COMMAND:
        write_dsp(c, value);
        break;
    default:
        break;
    }
}

static void sb16_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct sb16 *c = dev->wiring;

    (void)range;
    catch_up(c);
    for (unsigned i = 0; i < size; i++)
        write_port(c, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
}

/* ---- the device ---- */

static vtime_t sb16_deadline(const struct device *dev)
{
    const struct sb16 *c = dev->wiring;
    vtime_t least = sound_clock_when(&c->st->direct, (uint64_t)DIRECT_RATE * SOUND_TURN_NS / 1000000000u);

    for (unsigned i = 0; i < ENGINES; i++) {
        const struct sb16_engine *e = &c->st->engine[i];
        uint64_t turn = (uint64_t)e->clock.rate * SOUND_TURN_NS / 1000000000u, left = frames_left(e);
        vtime_t at = sound_clock_when(&e->clock, left && left < turn ? left : turn);

        least = at < least ? at : least;
    }
    return least;
}

static void sb16_expire(struct device *dev, vtime_t now)
{
    (void)now;
    catch_up(dev->wiring);
}

static void sb16_reset(struct device *dev)
{
    struct sb16 *c = dev->wiring;
    struct sb16_state *s = c->st;
    const struct ct1745_state bus = {.irq = c->irq_bits, .dma = c->dma_bits};

    reset_dsp(c);
    s->mixer = bus;
    ct1745_reset(&s->mixer);
    s->resetting = s->test = s->last_answer = 0;
}

static bool sb16_possible(const struct device *dev)
{
    const struct sb16_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);

    for (unsigned i = 0; i < ENGINES; i++) {
        const struct sb16_engine *e = &s->engine[i];

        /* What runs has something to do: else a deadline would stand still. */
        if (e->kind >= KINDS || e->halted >= KINDS || (e->halted && !e->block) || e->left > 65536 || e->block > 65536 || e->adpcm.samples > 4 || e->adpcm.scale > 5 ||
            !sound_clock_possible(&e->clock, now) ||
            (e->clock.rate && (e->kind == NOTHING || e->clock.rate < RATE_LEAST || (!e->left && !e->adpcm.samples) || (e->wants_reference && !e->left) || !e->block || (e->records && e->kind != PCM))))
            return false;
    }
    return sound_input_possible(&s->in) && sound_clock_possible(&s->direct, now) && (!s->direct.rate || s->direct.rate == DIRECT_RATE) && s->rate_out >= RATE_LEAST &&
           s->rate_out <= RATE_MOST && s->rate_in >= RATE_LEAST && s->rate_in <= RATE_MOST && s->block <= UINT16_MAX && s->needed <= 3 &&
           s->got <= s->needed && s->answer_first < ANSWERS && s->answer_count <= ANSWERS;
}

static void sb16_describe(const struct device *dev, struct buffer *b)
{
    static const char *const kinds[KINDS] = {"nothing", "PCM", "silence", "4-bit ADPCM", "2.6-bit ADPCM", "2-bit ADPCM"};
    const struct sb16_state *s = dev->state;

    for (unsigned i = 0; i < ENGINES; i++) {
        const struct sb16_engine *e = &s->engine[i];

        buffer_printf(b, "%s bits: %s", i == WORDS ? "16" : "8", kinds[e->kind]);
        if (e->kind != NOTHING)
            buffer_printf(b, ", %s, %u Hz, %s, %u of %u left%s%s", e->records ? "recording" : "playing", e->clock.rate,
                          e->stereo ? "stereo" : "mono", e->left, e->block, e->again && !e->ends ? ", again and again" : "",
                          e->paused ? ", paused" : "");
        buffer_printf(b, "\n");
    }
}

static const struct device_ops sb16_ops = {
    .name = "sb16",
    .state_size = sizeof(struct sb16_state),
    .state_version = 1, /* 0 had timers of the FM chip in it */
    .possible = sb16_possible,
    .reset = sb16_reset,
    .deadline = sb16_deadline,
    .expire = sb16_expire,
    .describe = sb16_describe,
    .read = sb16_read,
    .write = sb16_write,
};

const struct option_key sb16_keys[] = {SOUND_KEYS, {"iobase", "0x220|0x240|0x260|0x280"}, {"irq", "2|5|7|9|10"}, {"dma", "0|1|3"}, {"dma16", "5|6|7"},
                                       {NULL, NULL}};

/* What the user has set it up for. */
struct setup {
    uint64_t base, irq, dma, dma16;
};

static uint32_t fm_gain(void *ctx, bool left)
{
    const struct sb16 *c = ctx;

    return ct1745_fm_gain(&c->st->mixer, left);
}

static int take_setup(const struct sockets *s, const struct option_list *props, struct setup *to, struct error *err)
{
    *to = (struct setup){.base = USUAL_BASE, .irq = 5, .dma = 1, .dma16 = 5};
    if (option_list_number(props, "iobase", 0, UINT16_MAX, &to->base, err) < 0 ||
        option_list_number(props, "irq", 2, 10, &to->irq, err) < 0 || option_list_number(props, "dma", 0, 3, &to->dma, err) < 0 ||
        option_list_number(props, "dma16", 5, 7, &to->dma16, err) < 0)
        return -EINVAL;
    to->irq = to->irq == 2 ? 9 : to->irq; /* where the AT has it */
    if (to->irq != 5 && to->irq != 7 && to->irq != 9 && to->irq != 10)
        return error_set(err, -EINVAL, "irq=%u: the card has 2 (or 9), 5, 7 and 10", (unsigned)to->irq);
    if (to->base < 0x220 || to->base > 0x280 || to->base & 0x1f)
        return error_set(err, -EINVAL, "iobase=%#x: the card has 0x220, 0x240, 0x260 and 0x280", (unsigned)to->base);
    if (to->dma == 2)
        return error_set(err, -EINVAL, "dma=2: the card has 0, 1 and 3");
    for (unsigned i = 0; i < PORTS; i++)
        if (s->pci->ports->owner[to->base + i])
            return error_set(err, -EINVAL, "iobase=%#llx: another device answers at port %#llx", (unsigned long long)to->base,
                             (unsigned long long)(to->base + i));
    return 0;
}

int sb16_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    struct setup setup;
    struct device *dev;
    struct sb16 *c;

    (void)devfn, (void)d;
    if (!s->isa_irq || !s->isa_dma)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (take_setup(s, props, &setup, err) < 0)
        return -EINVAL;
    dev = machine_add_owned_device(s->machine, &sb16_ops, name, sizeof(*c));
    c = dev->wiring;
    c->dev = dev;
    c->st = dev->state;
    c->dma = s->isa_dma;
    for (unsigned i = 0; i < 4; i++) {
        c->irq[i] = s->isa_irq(s->ctx, irq_lines[i]);
        if (setup.irq == irq_lines[i])
            c->irq_bits = (uint8_t)(1u << i);
    }
    c->dma_bits = (uint8_t)(1u << setup.dma | 1u << setup.dma16);
    c->dma->follow(c->dma->ctx, (unsigned)setup.dma, catch_up, c);
    c->dma->follow(c->dma->ctx, (unsigned)setup.dma16, catch_up, c);
    ports_claim(s->pci->ports, dev, (uint16_t)setup.base, PORTS, 0, 1);
    if (sound_connect(dev, props, err) < 0)
        return err->code;
    return opl_add(s, dev, fm_gain, c, &c->fm, err);
}
