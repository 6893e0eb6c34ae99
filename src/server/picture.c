/*
 * Pictures: netpbm's PPM (ppm(5)) to PNG, by libpng's simplified API.
 */
#include "config.h"

#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/output.h"
#include "host/writer.h"

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);

    return n >= k && !strcmp(name + n - k, suffix);
}

#ifdef HAVE_LIBPNG
#include <png.h>

/* "P6\nWIDTH HEIGHT\n255\n", then the pixels. */
static bool take_header(const struct buffer *ppm, png_image *image, const uint8_t **pixels)
{
    char header[64];
    size_t n = ppm->len < sizeof header - 1 ? ppm->len : sizeof header - 1;
    unsigned width, height;
    int used = 0;

    memcpy(header, ppm->data, n);
    header[n] = 0;
    if (sscanf(header, "P6 %u %u 255%n", &width, &height, &used) != 2 || !used ||
        (uint64_t)width * height * 3 != ppm->len - (size_t)used - 1)
        return false;
    image->width = width;
    image->height = height;
    *pixels = ppm->data + used + 1;
    return true;
}

static int to_png(const struct buffer *ppm, struct buffer *out, struct error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    const uint8_t *pixels;
    png_alloc_size_t size;

    CHECK(take_header(ppm, &image, &pixels));
    size = PNG_IMAGE_PNG_SIZE_MAX(image);
    if (!png_image_write_to_memory(&image, buffer_reserve(out, size), &size, 0, pixels, 0, NULL))
        return error_set(err, -EIO, "no PNG can be made of the picture: %s", image.message);
    out->len += size;
    return 0;
}
#else
static int to_png(const struct buffer *ppm, struct buffer *out, struct error *err)
{
    (void)ppm;
    (void)out;
    return error_set(err, -ENOSYS, "this hindcast was built without libpng: name a file .ppm");
}
#endif

int picture_write(const char *path, const struct buffer *ppm, bool force, struct error *err)
{
    struct buffer png;
    int r;

    if (ends_with(path, ".ppm"))
        return host_write_file(path, ppm->data, ppm->len, HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);
    buffer_init(&png);
    r = to_png(ppm, &png, err);
    if (r == 0)
        r = host_write_file(path, png.data, png.len, HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);
    buffer_finish(&png);
    return r;
}
