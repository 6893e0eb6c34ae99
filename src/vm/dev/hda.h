/*
 * Intel High Definition Audio (specification 1.0a): the controller (hda.c), and what is between it and the codecs (hda_codec.c).
 */
#ifndef HINDCAST_VM_DEV_HDA_H
#define HINDCAST_VM_DEV_HDA_H

#include "vm/dev/parts.h"
#include "vm/dev/sound.h"

#define HDA_CODECS 15u

struct hda_codec;

/* The link: a controller and its codecs, by their addresses. */
struct hda_bus {
    struct device *dev;                    /* the controller */
    struct hda_codec *codecs[HDA_CODECS];  /* NULL: nobody */
    /* The rate of the frames that the stream of this tag carries in that direction just now, Hz; 0: it does not run. */
    uint32_t (*rate)(const struct hda_bus *bus, unsigned tag, bool out);
};

/* The bus of a controller; NULL: the device is none. */
struct hda_bus *hda_bus_of(struct device *dev);

/* ---- codecs ---- */

/* A frame of a stream: up to 16 samples, each full scale at 2^31. */
#define HDA_CHANNELS 16u
struct hda_frame {
    int32_t samples[HDA_CHANNELS];
};

/* A command, 4.2.1 of the specification: bits 27-20 node, 19-0 verb and payload. Its response. */
uint32_t hda_codec_command(struct hda_codec *c, uint32_t command);
/* The link was reset. */
void hda_codec_link_reset(struct hda_codec *c);
/* Streams have begun or ended, or carry another rate: tell whoever listens. */
void hda_codec_follow(struct hda_codec *c);
/* Frames of the stream `tag` go to its converters; what they bring for it is put into frames. At most SOUND_PIECE. */
void hda_codec_play(struct hda_codec *c, unsigned tag, const struct hda_frame *frames, size_t n);
void hda_codec_record(struct hda_codec *c, unsigned tag, struct hda_frame *frames, size_t n);

/* ---- plug functions ---- */

extern const struct option_key intel_hda_keys[], hda_codec_keys[];
int intel_hda_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);
int ich9_intel_hda_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int hda_output_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);
int hda_duplex_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);
int hda_micro_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);

#endif
