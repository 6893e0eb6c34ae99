/*
 * Pictures of a screen as files.
 */
#ifndef HINDCAST_PICTURE_H
#define HINDCAST_PICTURE_H

#include "base/buffer.h"
#include "base/error.h"

/* Write a binary PPM with 255 as its maximum to a file: as PNG, or as it is if the name ends with .ppm; `force`: in place of another
 * file, too. 0 or negative
 * errno with *err; -ENOSYS: a PNG, and this hindcast was built without libpng. */
int picture_write(const char *path, const struct buffer *ppm, bool force, struct error *err);

#endif
