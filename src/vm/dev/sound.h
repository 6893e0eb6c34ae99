/*
 * What sound cards have in common: a sample clock in virtual time, frames to the host, frames from it.
 *
 * A frame is a sample for each of two channels, left and right, signed and 32 bits wide: full scale is 2^31, whatever the
 * width on the card's side. A card sends what it plays by sound_begin(), sound_play(), sound_end(), which go out like the
 * bytes of a serial port (machine_output()): once, past the edge only. On the host's side sound_parse() takes them apart, and
 * sound_mixer.h makes one stream of those that are played together. So what is played has no influence on the state.
 *
 * What a card records comes from a file of the host's: sound_record() asks for it, and the answer is in the log
 * (EVENT_SOUND). Without a file, or after its end, there is silence.
 */
#ifndef HINDCAST_VM_DEV_SOUND_H
#define HINDCAST_VM_DEV_SOUND_H

#include "vm/dev/parts.h"

#define SOUND_CHANNELS 2u
/* Frames that are played or recorded in one piece. */
#define SOUND_PIECE    1024u
/* Hz. */
#define SOUND_RATE_MIN 1u
#define SOUND_RATE_MAX 768000u
/* While a card plays or records, it looks after it that often at least, in ns of virtual time. */
#define SOUND_TURN_NS  5000000u

/* For struct device_model.keys of a card. */
#define SOUND_KEYS {"audiodev", "ID"}

struct sound_frame {
    int32_t left, right;
};

/* ---- the sample clock: part of a device's state ---- */

DEVICE_STATE_BEGIN
struct sound_clock {
    uint64_t began;  /* vtime of frame 0 */
    uint64_t done;   /* frames that were played or recorded since */
    uint32_t rate;   /* Hz; 0: it stands still */
    uint32_t reserved;
};
DEVICE_STATE_END

void sound_clock_start(struct sound_clock *c, vtime_t now, uint32_t rate);
void sound_clock_stop(struct sound_clock *c);
/* Another rate, from the next frame on. */
void sound_clock_change(struct sound_clock *c, uint32_t rate);
/* Frames whose time has come and that were not done yet; whoever does them counts them in `done`. */
uint64_t sound_clock_due(const struct sound_clock *c, vtime_t now);
/* When `frames` more will be due; VTIME_NEVER while it stands still. */
vtime_t sound_clock_when(const struct sound_clock *c, uint64_t frames);
/* For device_ops.possible. `now`: of the machine. */
bool sound_clock_possible(const struct sound_clock *c, vtime_t now);

/* ---- playing ---- */

/* The device's audiodev property, which it may lack: then it plays to nobody. 0 or -EINVAL with *err. */
int sound_connect(struct device *dev, const struct option_list *props, struct error *err);
/* Frames of `rate` Hz follow, the first of them now. */
void sound_begin(struct device *dev, uint32_t rate);
/* At most SOUND_PIECE of them. */
void sound_play(struct device *dev, uint32_t rate, const struct sound_frame *frames, size_t n);
void sound_end(struct device *dev, uint32_t rate);

enum sound_kind { SOUND_BEGIN = 1, SOUND_FRAMES, SOUND_END };

/* What goes out of the device. */
struct sound_output {
    enum sound_kind kind;
    uint32_t rate;         /* Hz */
    vtime_t at;            /* when */
    const uint8_t *frames; /* SOUND_FRAMES: i32 left, i32 right each, little-endian */
    size_t count;
};

/* False: that is no sound. */
bool sound_parse(const void *data, size_t len, struct sound_output *out);

/* ---- recording ---- */

DEVICE_STATE_BEGIN
/* Where a card's input stands; part of its state. */
struct sound_input {
    uint64_t taken;  /* frames so far, */
    uint32_t rate;   /* of this rate; 0: none yet */
    uint32_t ended;  /* the host has no more: silence, until the next sound_input_start() */
};
DEVICE_STATE_END

/* Recording begins (again): what is taken follows what was taken last. */
void sound_input_start(struct sound_input *in, uint32_t rate);
/* The next `n` frames (at most SOUND_PIECE), of the rate that was given. */
void sound_record(struct device *dev, struct sound_input *in, struct sound_frame *frames, size_t n);
bool sound_input_possible(const struct sound_input *in);

/* ---- arithmetic ---- */

/* A sample times `gain`, which is 1 at SOUND_UNITY; what is too loud is cut off. */
#define SOUND_UNITY 65536u
int32_t sound_scale(int32_t sample, uint32_t gain);
/* The gain of a level in steps of a quarter of a decibel: 0 is SOUND_UNITY. From -1023 (nothing is heard below -384) to 255. */
uint32_t sound_gain(int quarters);

#endif
