/*
 * Pictures of a screen as files.
 */
#ifndef HINDCAST_PICTURE_H
#define HINDCAST_PICTURE_H

#include "base/buffer.h"
#include "base/error.h"

/* Write a binary PPM with 255 as its maximum to a file: as PNG, or as it is if the name ends with .ppm. 0 or negative
 * errno with *err; -ENOSYS: a PNG, and this hindcast was built without libpng. */
int picture_write(const char *path, const struct buffer *ppm, struct error *err);

#endif
