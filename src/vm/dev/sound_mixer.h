/*
 * Several voices become one stream of frames of one rate.
 *
 * The stream runs while at least one voice plays, and time in which none does is not in it. A voice of the stream's rate is in it
 * sample by sample; others are interpolated linearly, in integers. What comes out is a function of what was put in and of its
 * order, not of the pieces that it came in. No machine, no host.
 */
#ifndef HINDCAST_VM_DEV_SOUND_MIXER_H
#define HINDCAST_VM_DEV_SOUND_MIXER_H

#include "vm/dev/sound.h"

#define SOUND_MIXER_VOICES 40u

/* A voice as far as it is in the stream. */
struct sound_mixer_voice {
    const void *who;           /* NULL: free */
    uint32_t rate;
    uint64_t at;               /* frame of the stream that comes next */
    uint64_t phase;            /* time from `last` to that, in 1 / (rates of both) seconds: below the stream's rate between two frames */
    struct sound_frame last;   /* of the voice */
    bool any;                  /* there is a last one */
};

struct sound_mixer {
    uint32_t rate;             /* of the stream, Hz */
    /* Frames of the stream that are ready. */
    void (*out)(void *ctx, const struct sound_frame *frames, size_t n);
    void *ctx;
    vtime_t began;             /* the stream's frame 0 */
    uint64_t base;             /* frame that sums[first] is */
    int64_t (*sums)[SOUND_CHANNELS]; /* from `base` on */
    size_t count, room;
    struct sound_mixer_voice voices[SOUND_MIXER_VOICES];
};

void sound_mixer_init(struct sound_mixer *m, uint32_t rate, void (*out)(void *ctx, const struct sound_frame *, size_t), void *ctx);
/* What is ready comes out before. */
void sound_mixer_finish(struct sound_mixer *m);
/* What the voice `who` puts out. */
void sound_mixer_take(struct sound_mixer *m, const void *who, const struct sound_output *o);

#endif
