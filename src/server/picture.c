/*
 * Pictures as files: PNG by libpng, PPM as ppm(5) has it. See picture.h.
 */
#include "config.h"

#include "picture.h"

#include <errno.h>
#include <string.h>

#include "host/writer.h"

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);

    return n >= k && !strcmp(name + n - k, suffix);
}

static int to_ppm(const struct display_picture *picture, struct buffer *out)
{
    buffer_printf(out, "P6\n%u %u\n255\n", picture->width, picture->height);
    buffer_append(out, picture->rgb.data, picture->rgb.len);
    return 0;
}

#ifdef HAVE_LIBPNG
#include <png.h>

#define MOST_NOTES 8u

static void take_bytes(png_structp png, png_bytep data, size_t len)
{
    buffer_append(png_get_io_ptr(png), data, len);
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

/* libpng wants a function that does not return. */
static void give_up(png_structp png, png_const_charp text)
{
    error_set(png_get_error_ptr(png), -EIO, "no PNG can be made of the picture: %s", text);
    png_longjmp(png, 1);
}

static void no_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void put_notes(png_structp png, png_infop info, const struct picture_note *notes, unsigned nnotes)
{
    png_text text[MOST_NOTES];

    memset(text, 0, sizeof(text));
    for (unsigned i = 0; i < nnotes && i < MOST_NOTES; i++) {
        text[i].compression = PNG_TEXT_COMPRESSION_NONE;
        text[i].key = (char *)(uintptr_t)notes[i].key;
        text[i].text = (char *)(uintptr_t)notes[i].text;
    }
    png_set_text(png, info, text, (int)(nnotes < MOST_NOTES ? nnotes : MOST_NOTES));
}

/* What may fail: it jumps away then. */
static void put_picture(png_structp png, png_infop info, const struct display_picture *picture,
                        const struct picture_note *notes, unsigned nnotes)
{
    png_set_IHDR(png, info, picture->width, picture->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    put_notes(png, info, notes, nnotes);
    png_write_info(png, info);
    for (uint32_t y = 0; y < picture->height; y++)
        png_write_row(png, picture->rgb.data + (size_t)y * picture->width * 3);
    png_write_end(png, NULL);
}

static int to_png(const struct display_picture *picture, const struct picture_note *notes, unsigned nnotes, struct buffer *out,
                  struct error *err)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, err, give_up, no_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool failed = true;

    err->code = 0;
    if (info && !setjmp(png_jmpbuf(png))) {
        png_set_write_fn(png, out, take_bytes, flush_nothing);
        put_picture(png, info, picture, notes, nnotes);
        failed = false;
    }
    png_destroy_write_struct(&png, &info);
    if (failed && !err->code)
        error_set(err, -ENOMEM, "no PNG can be made of the picture");
    return failed ? err->code : 0;
}
#else
static int to_png(const struct display_picture *picture, const struct picture_note *notes, unsigned nnotes, struct buffer *out,
                  struct error *err)
{
    (void)picture, (void)notes, (void)nnotes, (void)out;
    return error_set(err, -ENOSYS, "this hindcast was built without libpng: name a file .ppm, or say -f ppm");
}
#endif

int picture_write(const char *path, enum picture_format format, const struct display_picture *picture,
                  const struct picture_note *notes, unsigned nnotes, unsigned may, struct error *err)
{
    bool ppm = format == PICTURE_PPM || (format == PICTURE_BY_NAME && ends_with(path, ".ppm"));
    struct buffer bytes;
    int r;

    buffer_init(&bytes);
    r = ppm ? to_ppm(picture, &bytes) : to_png(picture, notes, nnotes, &bytes, err);
    if (r == 0)
        r = host_write_file(path, bytes.data, bytes.len, may, err);
    buffer_finish(&bytes);
    return r;
}
