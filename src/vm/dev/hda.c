/*
 * The High Definition Audio controllers of Intel's ICH6 and ICH9 (High Definition Audio specification 1.0a, chapters 3 and 4): four
 * streams in, four out, commands by CORB and RIRB or immediate ones, MSI.
 *
 * A stream's frames go when their time has come: a few milliseconds' worth at a time, and up to the moment when a register is
 * looked at or changed; a buffer's end, its status and its interrupt come with its last frame. Positions in memory are written when
 * frames go. The wall clock has 24 MHz.
 *
 * A command is answered at once, not a frame of the link later; so is a codec's presence after a reset. Positions (LPIB) and lists of
 * buffers go round each for itself, as what the guest says of them may not fit together.
 *
 * Not modelled: what depends on the link's bandwidth (the payload registers say what there is, nothing is refused), striping,
 * FIFO errors, wake events other than those after a reset, codecs' unsolicited responses (ours have none to give: UNSOL is kept).
 */
#include "vm/dev/hda.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/clock.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

#define BAR_BYTES   0x4000u
#define STREAMS     8u      /* four in, then four out */
#define FIRST_OUT   4u
#define WALL_HZ     24000000u
#define RING        256u    /* entries of CORB and RIRB */
#define BDL_MOST    256u    /* descriptors of a list */
#define FRAMES_MOST 512u    /* in one piece, */
#define MOVED_MOST  16384u  /* and bytes */

/* Registers, by words of 32 bits (3.3). */
enum { R_GCAP = 0x00, R_PAYLOAD = 0x04, R_GCTL = 0x08, R_WAKEEN = 0x0c, R_GSTS = 0x10, R_INTCTL = 0x20, R_INTSTS = 0x24, R_WALCLK = 0x30,
       R_SSYNC_OLD = 0x34, R_SSYNC = 0x38, R_CORBL = 0x40, R_CORBU = 0x44, R_CORBP = 0x48, R_CORBCTL = 0x4c, R_RIRBL = 0x50, R_RIRBU = 0x54,
       R_RIRBP = 0x58, R_RIRBCTL = 0x5c, R_IC = 0x60, R_IR = 0x64, R_ICS = 0x68, R_DPL = 0x70, R_DPU = 0x74, R_STREAMS = 0x80,
       R_ALIASES = 0x2000 };
enum { S_CTL = 0x00, S_LPIB = 0x04, S_CBL = 0x08, S_LVI = 0x0c, S_FIFO = 0x10, S_BDL = 0x18, S_BDU = 0x1c, S_BYTES = 0x20 };

#define GCAP        0x01004401u /* version 1.0; four streams out, four in, 64 bits */
#define PAYLOAD     0x001d003cu
#define GCTL_CRST   0x001u
#define GCTL_FLUSH  0x002u
#define GCTL_UNSOL  0x100u
#define GSTS_FLUSHED 0x2u
#define INT_GLOBAL  0x80000000u
#define INT_CONTROL 0x40000000u
#define INT_STREAMS 0x000000ffu
#define CORB_MEIE   0x01u
#define CORB_RUN    0x02u
#define CORB_CMEI   0x01u
#define CORB_RPRST  0x8000u
#define RIRB_INT    0x01u
#define RIRB_RUN    0x02u
#define RIRB_OIC    0x04u
#define RIRB_RINTFL 0x01u
#define RIRB_OIS    0x04u
#define RIRB_WPRST  0x8000u
#define SIZE_256    0x42u   /* the only size that there is */
#define ICS_BUSY    0x01u
#define ICS_VALID   0x02u
#define DP_ENABLED  0x01u

#define CTL_SRST    0x01u
#define CTL_RUN     0x02u
#define CTL_IOCE    0x04u
#define CTL_FEIE    0x08u
#define CTL_DEIE    0x10u
#define CTL_BITS    0x00ff001eu
#define CTL_TAG(ctl) ((ctl) >> 20 & 0xfu)
#define STS_BCIS    0x04u
#define STS_FIFOE   0x08u
#define STS_DESE    0x10u
#define STS_READY   0x20u
#define STS_CLEARED (STS_BCIS | STS_FIFOE | STS_DESE)
#define FORMAT_44   0x4000u
#define FORMAT_BITS 0xff7fu /* that there are */

DEVICE_STATE_BEGIN
struct hda_stream {
    struct sound_clock clock; /* while frames go */
    uint64_t bdl;             /* the list of buffers */
    uint64_t at;              /* where the current buffer's next byte is */
    uint32_t left;            /* bytes of it */
    uint32_t ctl, lpib, cbl;
    uint16_t fmt;
    uint8_t lvi, sts;
    uint8_t next;             /* descriptor that comes after the current one */
    uint8_t ioc;              /* of the current one */
    uint8_t reserved[2];
};

struct hda_state {
    uint8_t config[PCI_CONFIG_BYTES];
    struct hda_stream stream[STREAMS];
    uint64_t wall_began;      /* vtime of its 0 */
    uint64_t corb, rirb, positions;
    uint32_t gctl, intctl, ssync;
    uint32_t command, response; /* immediate ones */
    uint32_t signalled;       /* causes that messages were sent for */
    uint16_t wakeen, statests;
    uint8_t corb_rp, corb_wp, corbctl, corbsts;
    uint8_t rirb_wp, rintcnt, rirbctl, rirbsts;
    uint8_t answers;          /* since the last interrupt of RIRB */
    uint8_t corb_reset;       /* CORBRP bit 15 as it reads */
    uint8_t ics, responder;
    uint8_t gsts;
    uint8_t reserved[7];
};
DEVICE_STATE_END

/* Wiring. */
struct hda {
    struct hda_bus bus;
    struct pci_function pci;
    struct hda_state *st;
};

/* ---- formats (3.7.1) ---- */

static uint32_t format_rate(uint16_t fmt)
{
    uint32_t multiple = fmt >> 11 & 7u, divisor = (fmt >> 8 & 7u) + 1;

    return (fmt & FORMAT_44 ? 44100u : 48000u) * (multiple < 4 ? multiple + 1 : 1) / divisor;
}

/* Bytes of a sample. */
static unsigned format_width(uint16_t fmt)
{
    unsigned bits = fmt >> 4 & 7u;

    return bits == 0 ? 1 : bits == 1 ? 2 : 4;
}

static unsigned format_channels(uint16_t fmt)
{
    return (fmt & 0xfu) + 1;
}

static unsigned frame_bytes(uint16_t fmt)
{
    return format_width(fmt) * format_channels(fmt);
}

/* ---- interrupts (3.3.14, 3.3.15) ---- */

static uint32_t causes(const struct hda *h)
{
    const struct hda_state *s = h->st;
    uint32_t bits = 0;

    for (unsigned i = 0; i < STREAMS; i++) {
        const struct hda_stream *st = &s->stream[i];

        if (((st->sts & STS_BCIS) && (st->ctl & CTL_IOCE)) || ((st->sts & STS_FIFOE) && (st->ctl & CTL_FEIE)) ||
            ((st->sts & STS_DESE) && (st->ctl & CTL_DEIE)))
            bits |= 1u << i;
    }
    if (((s->rirbsts & RIRB_RINTFL) && (s->rirbctl & RIRB_INT)) || ((s->rirbsts & RIRB_OIS) && (s->rirbctl & RIRB_OIC)) ||
        ((s->corbsts & CORB_CMEI) && (s->corbctl & CORB_MEIE)) || (s->statests & s->wakeen))
        bits |= INT_CONTROL;
    return bits;
}

static uint32_t intsts(const struct hda *h)
{
    uint32_t bits = causes(h);

    return bits & h->st->intctl ? bits | INT_GLOBAL : bits;
}

/* A message for each cause that is new. */
static void update_irq(struct hda *h)
{
    struct hda_state *s = h->st;
    uint32_t active = s->intctl & INT_GLOBAL ? causes(h) & s->intctl : 0;

    if (pci_has_messages(&h->pci)) {
        pci_set_intx(&h->pci, false);
        if (active & ~s->signalled)
            pci_notify(&h->pci, 0);
    } else {
        pci_set_intx(&h->pci, active != 0);
    }
    s->signalled = active;
}

/* ---- streams ---- */

static unsigned index_of(const struct hda *h, const struct hda_stream *st)
{
    return (unsigned)(st - h->st->stream);
}

static bool is_out(const struct hda *h, const struct hda_stream *st)
{
    return index_of(h, st) >= FIRST_OUT;
}

static uint32_t stream_rate(const struct hda_bus *bus, unsigned tag, bool out)
{
    const struct hda *h = bus->dev->wiring;

    for (unsigned i = out ? FIRST_OUT : 0; i < (out ? STREAMS : FIRST_OUT); i++)
        if (h->st->stream[i].clock.rate && CTL_TAG(h->st->stream[i].ctl) == tag)
            return h->st->stream[i].clock.rate;
    return 0;
}

static void tell_codecs(struct hda *h)
{
    for (unsigned i = 0; i < HDA_CODECS; i++)
        if (h->bus.codecs[i])
            hda_codec_follow(h->bus.codecs[i]);
}

/* The next descriptor with something in it becomes the current one. False: there is none (then the list is in error). */
static bool next_buffer(struct hda *h, struct hda_stream *st)
{
    uint8_t bytes[16];

    for (unsigned n = 0; n < BDL_MOST; n++) {
        if (!pci_dma_read(&h->pci, st->bdl + st->next * 16u, bytes, sizeof(bytes)))
            return false;
        st->at = get_le64(bytes);
        st->left = get_le32(bytes + 8);
        st->ioc = bytes[12] & 1u;
        st->next = st->next >= st->lvi ? 0 : (uint8_t)(st->next + 1);
        if (st->left)
            return true;
        if (st->ioc)
            st->sts |= STS_BCIS;
    }
    return false;
}

/* A frame's bytes to or from the buffers, which go on one behind the other. */
static bool move(struct hda *h, struct hda_stream *st, uint8_t *bytes, size_t len)
{
    bool out = is_out(h, st);

    while (len) {
        size_t n = len < st->left ? len : st->left;

        if (n && out)
            pci_dma_read(&h->pci, st->at, bytes, n);
        else if (n)
            pci_dma_write(&h->pci, st->at, bytes, n);
        st->at += n;
        st->left -= (uint32_t)n;
        bytes += n;
        len -= n;
        if (st->left)
            continue;
        if (st->ioc)
            st->sts |= STS_BCIS;
        st->ioc = 0;
        if (!next_buffer(h, st))
            return false;
    }
    return true;
}

static int32_t get_sample(const uint8_t *p, unsigned width)
{
    return width == 1 ? (int32_t)((uint32_t)(*p ^ 0x80u) << 24) : (int32_t)((uint32_t)get_le(p, width) << (32 - 8 * width));
}

static void put_sample(uint8_t *p, unsigned width, int32_t sample)
{
    put_le(p, ((uint32_t)sample >> (32 - 8 * width)) ^ (width == 1 ? 0x80u : 0), width);
}

static void stop_clock(struct hda *h, struct hda_stream *st)
{
    sound_clock_stop(&st->clock);
    st->sts &= (uint8_t)~STS_READY;
    tell_codecs(h);
}

/* The list cannot be gone on with (3.3.36). */
static void fail(struct hda *h, struct hda_stream *st)
{
    st->sts |= STS_DESE;
    st->ctl &= ~CTL_RUN;
    st->left = 0;
    stop_clock(h, st);
}

static void write_position(struct hda *h, const struct hda_stream *st)
{
    uint8_t bytes[4];

    if (!(h->st->positions & DP_ENABLED))
        return;
    put_le32(bytes, st->lpib);
    pci_dma_write(&h->pci, (h->st->positions & ~(uint64_t)0x7f) + 8u * index_of(h, st), bytes, sizeof(bytes));
}

static void move_frames(struct hda *h, struct hda_stream *st, size_t n)
{
    unsigned width = format_width(st->fmt), channels = format_channels(st->fmt), tag = CTL_TAG(st->ctl);
    struct hda_frame frames[FRAMES_MOST];
    uint8_t bytes[MOVED_MOST] = {0};
    size_t len = n * width * channels;
    bool out = is_out(h, st), good;

    memset(frames, 0, n * sizeof(frames[0]));
    if (!out) {
        for (unsigned i = 0; i < HDA_CODECS; i++)
            if (h->bus.codecs[i])
                hda_codec_record(h->bus.codecs[i], tag, frames, n);
        for (size_t i = 0; i < n * channels; i++)
            put_sample(bytes + i * width, width, frames[i / channels].samples[i % channels]);
    }
    good = move(h, st, bytes, len);
    if (out) {
        for (size_t i = 0; i < n * channels; i++)
            frames[i / channels].samples[i % channels] = get_sample(bytes + i * width, width);
        for (unsigned i = 0; i < HDA_CODECS; i++)
            if (h->bus.codecs[i])
                hda_codec_play(h->bus.codecs[i], tag, frames, n);
    }
    st->lpib += (uint32_t)len;
    if (st->cbl && st->lpib >= st->cbl)
        st->lpib %= st->cbl;
    if (!good)
        fail(h, st);
}

/* Everything whose time has come. */
static void catch_up_stream(struct hda *h, struct hda_stream *st)
{
    size_t most = MOVED_MOST / frame_bytes(st->fmt);
    uint64_t due;
    bool any = false;

    most = most < FRAMES_MOST ? most : FRAMES_MOST;
    while ((due = sound_clock_due(&st->clock, machine_now(h->bus.dev->machine))) > 0) {
        size_t n = due < most ? (size_t)due : most;

        st->clock.done += n;
        move_frames(h, st, n);
        any = true;
    }
    if (any)
        write_position(h, st);
}

static void catch_up(struct hda *h)
{
    for (unsigned i = 0; i < STREAMS; i++)
        catch_up_stream(h, &h->st->stream[i]);
    update_irq(h);
}

/* Does it run, and does SSYNC not hold it (3.3.16)? */
static void follow_run(struct hda *h, struct hda_stream *st)
{
    bool runs = (st->ctl & CTL_RUN) && !(h->st->ssync >> index_of(h, st) & 1u);

    if (runs == (st->clock.rate != 0))
        return;
    if (!runs) {
        stop_clock(h, st);
        return;
    }
    if (!st->left && !next_buffer(h, st)) {
        fail(h, st);
        return;
    }
    st->sts |= STS_READY;
    sound_clock_start(&st->clock, machine_now(h->bus.dev->machine), format_rate(st->fmt));
    tell_codecs(h);
    machine_attention(h->bus.dev->machine);
}

static void reset_stream(struct hda *h, struct hda_stream *st)
{
    stop_clock(h, st);
    *st = (struct hda_stream){.ctl = CTL_SRST};
}

static void write_ctl(struct hda *h, struct hda_stream *st, uint32_t value)
{
    bool tagged = CTL_TAG(st->ctl) != CTL_TAG(value);

    if (value & CTL_SRST) {
        if (!(st->ctl & CTL_SRST))
            reset_stream(h, st);
        return;
    }
    st->ctl = value & CTL_BITS;
    follow_run(h, st);
    if (tagged)
        tell_codecs(h);
}

static uint32_t read_stream(const struct hda *h, const struct hda_stream *st, unsigned at)
{
    switch (at) {
    case S_CTL: return st->ctl | (uint32_t)st->sts << 24;
    case S_LPIB: return st->lpib;
    case S_CBL: return st->cbl;
    case S_LVI: return st->lvi;
    case S_FIFO: return (is_out(h, st) ? 0xbfu : 0x77u) | (uint32_t)st->fmt << 16;
    case S_BDL: return (uint32_t)st->bdl;
    case S_BDU: return (uint32_t)(st->bdl >> 32);
    default: return 0;
    }
}

/* `value` with what was there where nothing is written, `mask`: what is. */
static void write_stream(struct hda *h, struct hda_stream *st, unsigned at, uint32_t value, uint32_t mask)
{
    if (st->ctl & CTL_SRST && at != S_CTL)
        return;
    switch (at) {
    case S_CTL:
        st->sts &= (uint8_t) ~((value & mask) >> 24 & STS_CLEARED);
        write_ctl(h, st, value & 0x00ffffffu);
        break;
    case S_CBL:
        st->cbl = value;
        break;
    case S_LVI:
        st->lvi = (uint8_t)value;
        break;
    case S_FIFO:
        st->fmt = value >> 16 & FORMAT_BITS;
        if (st->clock.rate && st->clock.rate != format_rate(st->fmt)) {
            sound_clock_change(&st->clock, format_rate(st->fmt));
            tell_codecs(h);
        }
        break;
    case S_BDL:
        st->bdl = (st->bdl & ~(uint64_t)UINT32_MAX) | (value & ~0x7fu);
        break;
    case S_BDU:
        st->bdl = (st->bdl & UINT32_MAX) | (uint64_t)value << 32;
        break;
    default:
        break;
    }
}

/* ---- commands (3.3.18 to 3.3.32, 4.4) ---- */

/* False: nobody has that address. */
static bool command(struct hda *h, uint32_t word, uint32_t *response)
{
    struct hda_codec *c = word >> 28 < HDA_CODECS ? h->bus.codecs[word >> 28] : NULL;

    if (c)
        *response = hda_codec_command(c, word & 0x0fffffffu);
    return c != NULL;
}

static void answer(struct hda *h, unsigned address, uint32_t response)
{
    struct hda_state *s = h->st;
    uint8_t bytes[8];

    if (!(s->rirbctl & RIRB_RUN))
        return;
    put_le32(bytes, response);
    put_le32(bytes + 4, address);
    s->rirb_wp++;
    if (!pci_dma_write(&h->pci, s->rirb + 8u * s->rirb_wp, bytes, sizeof(bytes)))
        s->rirbsts |= RIRB_OIS;
    s->answers++;
    if (s->answers == s->rintcnt) { /* (0: 256 of them) */
        s->rirbsts |= RIRB_RINTFL;
        s->answers = 0;
    }
}

/* All commands that are there. A frame without a response ends each row of them, which also tells of those before it. */
static void run_corb(struct hda *h)
{
    struct hda_state *s = h->st;
    uint32_t response;
    uint8_t bytes[4];

    while ((s->corbctl & CORB_RUN) && s->corb_rp != s->corb_wp) {
        s->corb_rp++;
        if (!pci_dma_read(&h->pci, s->corb + 4u * s->corb_rp, bytes, sizeof(bytes))) {
            s->corbsts |= CORB_CMEI;
            s->corbctl &= (uint8_t)~CORB_RUN;
            break;
        }
        if (command(h, get_le32(bytes), &response))
            answer(h, get_le32(bytes) >> 28, response);
    }
    if (s->answers) {
        s->rirbsts |= RIRB_RINTFL;
        s->answers = 0;
    }
}

static void run_immediate(struct hda *h)
{
    struct hda_state *s = h->st;

    if (command(h, s->command, &s->response)) {
        s->ics |= ICS_VALID;
        s->responder = (uint8_t)(s->command >> 28);
    }
}

/* ---- the controller's registers ---- */

static void reset_controller(struct hda *h)
{
    struct hda_state *s = h->st;

    for (unsigned i = 0; i < STREAMS; i++) {
        reset_stream(h, &s->stream[i]);
        s->stream[i].ctl = 0;
    }
    s->corb = s->rirb = s->positions = 0;
    s->gctl = s->intctl = s->ssync = s->command = s->response = 0;
    s->corb_rp = s->corb_wp = s->corbctl = s->corbsts = s->rirb_wp = s->rintcnt = s->rirbctl = s->rirbsts = 0;
    s->answers = s->corb_reset = s->ics = s->responder = s->gsts = 0;
}

static void write_gctl(struct hda *h, uint32_t value)
{
    struct hda_state *s = h->st;
    bool was = s->gctl & GCTL_CRST, is = value & GCTL_CRST;

    if (was && !is) {
        reset_controller(h);
        for (unsigned i = 0; i < HDA_CODECS; i++)
            if (h->bus.codecs[i])
                hda_codec_link_reset(h->bus.codecs[i]);
        return;
    }
    if (!is)
        return;
    s->gctl = value & (GCTL_CRST | GCTL_UNSOL);
    if (value & GCTL_FLUSH)
        s->gsts |= GSTS_FLUSHED;
    if (was)
        return;
    s->wall_began = machine_now(h->bus.dev->machine);
    for (unsigned i = 0; i < HDA_CODECS; i++)
        if (h->bus.codecs[i])
            s->statests |= (uint16_t)(1u << i);
}

static uint32_t read_word(const struct hda *h, unsigned at)
{
    const struct hda_state *s = h->st;

    switch (at) {
    case R_GCAP: return GCAP;
    case R_PAYLOAD: return PAYLOAD;
    case R_GCTL: return s->gctl;
    case R_WAKEEN: return s->wakeen | (uint32_t)s->statests << 16;
    case R_GSTS: return s->gsts;
    case R_INTCTL: return s->intctl;
    case R_INTSTS: return intsts(h);
    case R_WALCLK: return s->gctl & GCTL_CRST ? (uint32_t)clock_ticks(machine_now(h->bus.dev->machine) - s->wall_began, WALL_HZ) : 0;
    case R_SSYNC_OLD:
    case R_SSYNC: return s->ssync;
    case R_CORBL: return (uint32_t)s->corb;
    case R_CORBU: return (uint32_t)(s->corb >> 32);
    case R_CORBP: return s->corb_wp | (uint32_t)s->corb_rp << 16 | (uint32_t)s->corb_reset << 31;
    case R_CORBCTL: return s->corbctl | (uint32_t)s->corbsts << 8 | SIZE_256 << 16;
    case R_RIRBL: return (uint32_t)s->rirb;
    case R_RIRBU: return (uint32_t)(s->rirb >> 32);
    case R_RIRBP: return s->rirb_wp | (uint32_t)s->rintcnt << 16;
    case R_RIRBCTL: return s->rirbctl | (uint32_t)s->rirbsts << 8 | SIZE_256 << 16;
    case R_IC: return s->command;
    case R_IR: return s->response;
    case R_ICS: return s->ics | (uint32_t)s->responder << 4;
    case R_DPL: return (uint32_t)s->positions;
    case R_DPU: return (uint32_t)(s->positions >> 32);
    default: break;
    }
    if (at >= R_STREAMS && at < R_STREAMS + STREAMS * S_BYTES)
        return read_stream(h, &s->stream[(at - R_STREAMS) / S_BYTES], (at - R_STREAMS) % S_BYTES);
    /* The wall clock and the positions again, in a page of their own. */
    if (at == R_ALIASES + R_WALCLK ||
        (at >= R_ALIASES + R_STREAMS && at < R_ALIASES + R_STREAMS + STREAMS * S_BYTES && at % S_BYTES == S_LPIB))
        return read_word(h, at - R_ALIASES);
    return 0;
}

static void low_half(uint64_t *reg, uint32_t value)
{
    *reg = (*reg & ~(uint64_t)UINT32_MAX) | value;
}

static void high_half(uint64_t *reg, uint32_t value)
{
    *reg = (*reg & UINT32_MAX) | (uint64_t)value << 32;
}

static void write_corb(struct hda *h, unsigned at, uint32_t value, uint32_t mask)
{
    struct hda_state *s = h->st;

    if (at == R_CORBP) {
        s->corb_wp = (uint8_t)value;
        if (mask >> 31) { /* the reset of the read pointer reads back until it is taken away again */
            s->corb_reset = (uint8_t)(value >> 31);
            s->corb_rp = s->corb_reset ? 0 : s->corb_rp;
        }
    } else {
        s->corbctl = value & (CORB_MEIE | CORB_RUN);
        s->corbsts &= (uint8_t) ~((value & mask) >> 8 & CORB_CMEI);
    }
    run_corb(h);
}

static void write_rirb(struct hda *h, unsigned at, uint32_t value, uint32_t mask)
{
    struct hda_state *s = h->st;

    if (at == R_RIRBP) {
        if (value & mask & RIRB_WPRST)
            s->rirb_wp = 0;
        s->rintcnt = (uint8_t)(value >> 16);
    } else {
        s->rirbctl = value & (RIRB_INT | RIRB_RUN | RIRB_OIC);
        s->rirbsts &= (uint8_t) ~((value & mask) >> 8 & (RIRB_RINTFL | RIRB_OIS));
    }
}

static void write_ics(struct hda *h, uint32_t value, uint32_t mask)
{
    struct hda_state *s = h->st;

    if (value & mask & ICS_VALID)
        s->ics &= (uint8_t)~ICS_VALID;
    if (value & mask & ICS_BUSY)
        run_immediate(h);
}

static void write_ssync(struct hda *h, uint32_t value)
{
    h->st->ssync = value & INT_STREAMS;
    for (unsigned i = 0; i < STREAMS; i++)
        follow_run(h, &h->st->stream[i]);
}

/* `value`: with what was there where nothing is written; `mask`: what is. */
static void write_word(struct hda *h, unsigned at, uint32_t value, uint32_t mask)
{
    struct hda_state *s = h->st;

    switch (at) {
    case R_GCTL:
        write_gctl(h, value);
        return;
    case R_WAKEEN: /* these two stay as they are over a reset of the controller */
        s->wakeen = value & ((1u << HDA_CODECS) - 1);
        s->statests &= (uint16_t) ~((value & mask) >> 16);
        return;
    default:
        break;
    }
    if (!(s->gctl & GCTL_CRST))
        return;
    switch (at) {
    case R_GSTS: s->gsts &= (uint8_t) ~(value & mask & GSTS_FLUSHED); break;
    case R_INTCTL: s->intctl = value & (INT_GLOBAL | INT_CONTROL | INT_STREAMS); break;
    case R_SSYNC_OLD:
    case R_SSYNC: write_ssync(h, value); break;
    case R_CORBL: low_half(&s->corb, value & ~0x7fu); break;
    case R_CORBU: high_half(&s->corb, value); break;
    case R_CORBP:
    case R_CORBCTL: write_corb(h, at, value, mask); break;
    case R_RIRBL: low_half(&s->rirb, value & ~0x7fu); break;
    case R_RIRBU: high_half(&s->rirb, value); break;
    case R_RIRBP:
    case R_RIRBCTL: write_rirb(h, at, value, mask); break;
    case R_IC: s->command = value; break;
    case R_ICS: write_ics(h, value, mask); break;
    case R_DPL: low_half(&s->positions, value & ~0x7eu); break;
    case R_DPU: high_half(&s->positions, value); break;
    default:
        if (at >= R_STREAMS && at < R_STREAMS + STREAMS * S_BYTES)
            write_stream(h, &s->stream[(at - R_STREAMS) / S_BYTES], (at - R_STREAMS) % S_BYTES, value, mask);
        break;
    }
}

/* ---- the device ---- */

static uint64_t hda_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct hda *h = dev->wiring;
    uint64_t value;

    (void)range;
    catch_up(h);
    value = read_word(h, (unsigned)offset & ~3u) >> (8 * (offset & 3u));
    if (size == 8)
        value |= (uint64_t)read_word(h, (unsigned)offset + 4) << 32;
    return size < 4 ? value & ((1u << (8 * size)) - 1) : value;
}

static void hda_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct hda *h = dev->wiring;
    unsigned at = (unsigned)offset & ~3u, shift = 8 * (offset & 3u);
    uint32_t mask = (size >= 4 ? UINT32_MAX : (1u << (8 * size)) - 1) << shift;

    (void)range;
    catch_up(h);
    write_word(h, at, (read_word(h, at) & ~mask) | ((uint32_t)value << shift & mask), mask);
    if (size == 8)
        write_word(h, at + 4, (uint32_t)(value >> 32), UINT32_MAX);
    update_irq(h);
}

static void hda_reset(struct device *dev)
{
    struct hda *h = dev->wiring;

    pci_function_reset(&h->pci);
    for (unsigned i = 0; i < STREAMS; i++)
        h->st->stream[i] = (struct hda_stream){0};
    memset(&h->st->wall_began, 0, sizeof(*h->st) - offsetof(struct hda_state, wall_began));
}

/* The end of a buffer, or a turn's end. */
static vtime_t hda_deadline(const struct device *dev)
{
    const struct hda *h = dev->wiring;
    vtime_t least = VTIME_NEVER;

    for (unsigned i = 0; i < STREAMS; i++) {
        const struct hda_stream *st = &h->st->stream[i];
        uint64_t turn = (uint64_t)st->clock.rate * SOUND_TURN_NS / NS_PER_SEC, frame = frame_bytes(st->fmt);
        uint64_t left = ((uint64_t)st->left + frame - 1) / frame;
        vtime_t at = sound_clock_when(&st->clock, left < turn ? left : turn);

        least = at < least ? at : least;
    }
    return least;
}

static void hda_expire(struct device *dev, vtime_t now)
{
    (void)now;
    catch_up(dev->wiring);
}

static bool hda_possible(const struct device *dev)
{
    const struct hda *h = dev->wiring;
    vtime_t now = machine_now(dev->machine);

    for (unsigned i = 0; i < STREAMS; i++) {
        const struct hda_stream *st = &h->st->stream[i];

        if (!sound_clock_possible(&st->clock, now) || st->ioc > 1 || (st->fmt & ~FORMAT_BITS) ||
            (st->clock.rate && (st->clock.rate != format_rate(st->fmt) || !st->left || !(st->ctl & CTL_RUN))))
            return false;
    }
    return h->st->wall_began <= now && h->st->corb_reset <= 1;
}

static void hda_describe(const struct device *dev, struct buffer *b)
{
    const struct hda *h = dev->wiring;
    const struct hda_state *s = h->st;

    buffer_printf(b, "GCTL %08x, INTCTL %08x, INTSTS %08x, STATESTS %04x, CORB %u of %u, RIRB %u\n", s->gctl, s->intctl, intsts(h),
                  s->statests, s->corb_rp, s->corb_wp, s->rirb_wp);
    for (unsigned i = 0; i < STREAMS; i++) {
        const struct hda_stream *st = &s->stream[i];

        if (st->ctl)
            buffer_printf(b, "stream %u %s: %s, tag %u, format %04x (%u Hz), LPIB %u of %u, LVI %u, CTL %06x, STS %02x\n", i,
                          is_out(h, st) ? "out" : "in", st->clock.rate ? "runs" : "stands", CTL_TAG(st->ctl), st->fmt,
                          format_rate(st->fmt), st->lpib, st->cbl, st->lvi, st->ctl, st->sts);
    }
}

#define HDA_OPS(ops_name)                                                                                                 \
    {                                                                                                                     \
        .name = ops_name, .state_size = sizeof(struct hda_state), .state_version = 1, .possible = hda_possible,           \
        .reset = hda_reset, .deadline = hda_deadline, .expire = hda_expire, .describe = hda_describe, .read = hda_read,   \
        .write = hda_write                                                                                                \
    }

static const struct device_ops hda_ops[] = {HDA_OPS("intel-hda"), HDA_OPS("ich9-intel-hda")};

struct hda_bus *hda_bus_of(struct device *dev)
{
    return dev->ops == &hda_ops[0] || dev->ops == &hda_ops[1] ? &((struct hda *)dev->wiring)->bus : NULL;
}

const struct option_key intel_hda_keys[] = {{"msi", "on|off"}, {NULL, NULL}};

#define CAPABILITIES 0x60u
#define HDCTL        0x40u /* the link is in HDA mode */
#define TCSEL        0x44u

static int plug(struct sockets *s, const char *name, uint8_t devfn, const struct option_list *props, bool ich9, struct error *err)
{
    const struct pci_identity id = {.vendor = 0x8086, .device = ich9 ? 0x293e : 0x2668, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                                    .class_code = 0x040300, .revision = ich9 ? 3 : 1, .pin = 1};
    bool msi = true;
    struct device *dev;
    struct hda *h;

    if (option_list_switch(props, "msi", &msi, err) < 0)
        return -EINVAL;
    dev = machine_add_owned_device(s->machine, &hda_ops[ich9], name, sizeof(struct hda));
    h = dev->wiring;
    h->st = dev->state;
    h->bus.dev = dev;
    h->bus.rate = stream_rate;
    pci_function_init(&h->pci, s->pci, devfn, dev, h->st->config, &id);
    pci_add_bar(&h->pci, 0, PCI_BAR_MEMORY_64, false, BAR_BYTES, 0);
    h->pci.reset[HDCTL] = 1;
    h->pci.writable[TCSEL] = 7;
    h->pci.next_capability = CAPABILITIES;
    if (msi)
        pci_add_msi(&h->pci, 1, false);
    return 0;
}

int intel_hda_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    (void)d;
    return plug(s, name, devfn, props, false, err);
}

int ich9_intel_hda_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, name, devfn, props, true, err);
}
