/*
 * The speaker of a PC: what port 61h bit 1 and OUT of counter 2 (pit.c) make to be heard.
 *
 * A frame is the part of its time in which the speaker was driven, to the nanosecond: so what a program does by pulse-width
 * modulation, faster than the sample clock, is heard as it would be. The cone is moved by changes only, as by the capacitor before a
 * real one: a high-pass of the first order, 30 Hz, takes away what is constant.
 *
 * It is looked after only while it sounds, and for a little while after.
 */
#include "i386/pc/pcspk.h"

#include <inttypes.h>

#include "base/buffer.h"
#include "i386/pc/pit.h"
#include "vm/dev/clock.h"
#include "vm/dev/sound.h"
#include "vm/machine.h"

#define RATE       48000u
#define SWING      (1 << 30)   /* from not driven to driven: a tone has a quarter of full scale */
#define FADE       256         /* frames of the high-pass's time constant */
#define HOLD_NS    100000000u  /* longer than counter 2 can take to one change of OUT, and than the high-pass remembers */

DEVICE_STATE_BEGIN
struct pcspk_state {
    struct sound_clock clock;
    uint64_t synced;      /* vtime up to which `driven` counts */
    uint64_t driven;      /* of the frame in progress: as pit_speaker_driven() counts */
    uint64_t until;       /* vtime at which it is looked whether it still sounds */
    int64_t high_pass;    /* what was heard last */
    int64_t level;        /* what was driven in the last frame, 0 to SWING */
    uint8_t data;         /* port 61h bit 1 */
    uint8_t reserved[7];
};
DEVICE_STATE_END

static struct sound_frame frame(struct pcspk_state *s, uint64_t ns)
{
    uint64_t part = s->driven / ns; /* of PIT_HZ */
    int64_t level = (int64_t)((part < PIT_HZ ? part : PIT_HZ) * SWING / PIT_HZ);

    s->high_pass += level - s->level - s->high_pass / FADE;
    s->level = level;
    s->driven = 0;
    return (struct sound_frame){(int32_t)s->high_pass, (int32_t)s->high_pass};
}

/* What was heard up to `now`. */
static void sync_to(struct device *dev, vtime_t now)
{
    const struct pcspk_wiring *w = dev->wiring;
    struct pcspk_state *s = dev->state;
    struct sound_frame frames[SOUND_PIECE];
    size_t n = 0;
    vtime_t end;

    while (s->clock.rate && (end = sound_clock_when(&s->clock, 1)) <= now) {
        s->driven += pit_speaker_driven(w->pit, s->synced, end);
        frames[n++] = frame(s, end - sound_clock_when(&s->clock, 0));
        s->synced = end;
        s->clock.done++;
        if (n == SOUND_PIECE) {
            sound_play(dev, RATE, frames, n);
            n = 0;
        }
    }
    if (s->clock.rate) {
        s->driven += pit_speaker_driven(w->pit, s->synced, now);
        s->synced = now;
    }
    sound_play(dev, RATE, frames, n);
}

static void silence(struct device *dev)
{
    struct pcspk_state *s = dev->state;

    if (s->clock.rate)
        sound_end(dev, RATE);
    *s = (struct pcspk_state){.until = VTIME_NEVER, .data = s->data};
}

static void pcspk_sync(void *ctx)
{
    struct device *dev = ctx;

    sync_to(dev, machine_now(dev->machine));
}

static void pcspk_changed(void *ctx)
{
    struct device *dev = ctx;
    const struct pcspk_wiring *w = dev->wiring;
    struct pcspk_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);
    bool was = s->data;

    s->data = pit_speaker_data(w->pit);
    if (!was && !s->data)
        return;
    s->until = now + HOLD_NS;
    if (!s->clock.rate) {
        sound_clock_start(&s->clock, now, RATE);
        s->synced = now;
        sound_begin(dev, RATE);
    }
    machine_attention(dev->machine);
}

void pcspk_connect(struct device *speaker, struct pcspk_wiring *w, struct device *pit, struct pit_wiring *pw)
{
    w->pit = pit;
    pw->speaker = speaker;
    pw->speaker_sync = pcspk_sync;
    pw->speaker_changed = pcspk_changed;
}

static void pcspk_reset(struct device *dev)
{
    struct pcspk_state *s = dev->state;

    s->data = 0;
    silence(dev);
}

static vtime_t pcspk_deadline(const struct device *dev)
{
    const struct pcspk_state *s = dev->state;

    return s->clock.rate ? s->synced + SOUND_TURN_NS : VTIME_NEVER;
}

static void pcspk_expire(struct device *dev, vtime_t now)
{
    const struct pcspk_wiring *w = dev->wiring;
    struct pcspk_state *s = dev->state;

    sync_to(dev, now);
    if (now < s->until)
        return;
    if (s->data && pit_speaker_counts(w->pit))
        s->until = now + HOLD_NS;
    else
        silence(dev);
}

static bool pcspk_possible(const struct device *dev)
{
    const struct pcspk_state *s = dev->state;
    const int64_t most = (int64_t)SWING * 2;
    vtime_t now = machine_now(dev->machine);

    if (s->data > 1 || s->level < 0 || s->level > SWING || s->high_pass > most || s->high_pass < -most)
        return false;
    return !s->clock.rate ||
           (s->clock.rate == RATE && sound_clock_possible(&s->clock, now) && s->synced <= now && now - s->synced < 2 * SOUND_TURN_NS &&
            s->synced >= sound_clock_when(&s->clock, 0) && s->synced <= sound_clock_when(&s->clock, 1) &&
            s->driven <= (uint64_t)NS_PER_SEC * PIT_HZ && s->until < VTIME_NEVER / 2);
}

static void pcspk_describe(const struct device *dev, struct buffer *b)
{
    const struct pcspk_state *s = dev->state;

    buffer_printf(b, "audiodev %s, %s\n", *dev->backend ? dev->backend : "none", s->clock.rate ? "sounds" : "silent");
}

const struct device_ops pcspk_ops = {
    .name = "pcspk",
    .state_size = sizeof(struct pcspk_state),
    .state_version = 1,
    .possible = pcspk_possible,
    .reset = pcspk_reset,
    .deadline = pcspk_deadline,
    .expire = pcspk_expire,
    .describe = pcspk_describe,
};
