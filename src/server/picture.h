/*
 * Pictures of a screen as files: PNG, with text chunks that say of what it is, or PPM.
 */
#ifndef HINDCAST_PICTURE_H
#define HINDCAST_PICTURE_H

#include "base/error.h"
#include "vm/dev/display.h"

enum picture_format { PICTURE_BY_NAME /* PPM if it ends with .ppm, else PNG */, PICTURE_PNG, PICTURE_PPM };

/* What a picture says of itself (PNG 11.3.4.3, tEXt): Latin-1, without line breaks. */
struct picture_note {
    const char *key;  /* 1 to 79 bytes */
    char text[64];
};

/* Write a picture to a file. `may`: HOST_... of host/output.h. 0 or a negative errno with *err; -ENOSYS: a PNG, and this hindcast was
 * built without libpng. */
int picture_write(const char *path, enum picture_format format, const struct display_picture *picture,
                  const struct picture_note *notes, unsigned nnotes, unsigned may, struct error *err);

#endif
