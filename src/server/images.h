/*
 * What the guest is booted from: files that options name, or that a recording names or holds.
 */
#ifndef HINDCAST_IMAGES_H
#define HINDCAST_IMAGES_H

#include "options.h"
#include "replay/recording.h"
#include "vm/boot_image.h"

/* All images of a run, those of one kind side by side; lives as long as the machine. All zero: none. */
struct images {
    struct boot_image boot[RECORDING_MAX_IMAGES];  /* as the boards get them */
    enum image_kind kind[RECORDING_MAX_IMAGES];
    struct buffer bytes[RECORDING_MAX_IMAGES];     /* what `boot` points to */
    char *words[RECORDING_MAX_IMAGES];             /* "FILE WORDS" with the space made NUL; or NULL */
    struct recording_image described[RECORDING_MAX_IMAGES]; /* what a recording says of them; owns nothing */
    unsigned count;
};

void images_finish(struct images *im);
/* Read the files that the options name. 0 or negative errno with *err. */
int images_load(struct images *im, const struct options *o, struct error *err);
/* Read the images of a recording: from it, from where the options say that they are now, from where they were, or from
 * beside the recording. Afterwards the options name them as the recording does, for the guest saw those names. */
int images_load_recorded(struct images *im, const struct recording *r, struct options *o, struct error *err);
/* Say in im->described what they are; `embed`: with their bytes. */
void images_describe(struct images *im, bool embed);
/* The first of the images of a kind, and in *count how many lie side by side; an image that is "not given" if none. */
const struct boot_image *images_of(const struct images *im, enum image_kind kind, unsigned *count);
/* The first image of a kind. */
struct boot_image images_first(const struct images *im, enum image_kind kind);

/* The option that names images of that role in a recording. */
const char *images_option(uint32_t role);

#endif
