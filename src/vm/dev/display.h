/*
 * Displays: devices that show something. One has a struct display_ops in its device_ops, and says what each of its heads
 * shows when somebody asks: nothing is drawn before. What is shown is a function of the state alone.
 *
 * The machine's screen is that of the first display that was plugged in (the board's own comes before those of --device).
 */
#ifndef HINDCAST_VM_DEV_DISPLAY_H
#define HINDCAST_VM_DEV_DISPLAY_H

#include "base/buffer.h"
#include "base/error.h"
#include "vm/device.h"

/* What a head shows: `width` times `height` pixels, each three bytes (red, green, blue), line by line from the top. */
struct display_picture {
    uint32_t width, height;
    struct buffer rgb;
};

/* Consecutive pages of memory. */
struct display_pages {
    uint32_t first, count;
};
#define DISPLAY_TEXT_AREAS 4u

struct display_ops {
    /* How many heads there are, from 0. NULL: one. */
    unsigned (*heads)(const struct device *);
    /* What head `n` shows, into an empty picture. 0, or -ENODATA with *err: it shows nothing, because it was not set up. */
    int (*picture)(const struct device *, unsigned n, struct display_picture *out, struct error *err);
    /* The characters that it shows, as lines of UTF-8 without blanks at their ends. 0; -EINVAL with *err: it shows
     * graphics; -ENODATA: nothing. NULL: it knows graphics only. */
    int (*text)(const struct device *, unsigned n, struct buffer *out, struct error *err);
    /* A write to which pages of memory may change the text: fills in at most DISPLAY_TEXT_AREAS stretches, returns how many.
     * What else does is accesses to the device. NULL where `text` is. */
    unsigned (*text_pages)(const struct device *, struct display_pages *areas);
};

void display_picture_init(struct display_picture *p);
void display_picture_finish(struct display_picture *p);
/* Make it that size, black. */
void display_picture_size(struct display_picture *p, uint32_t width, uint32_t height);
static inline void display_picture_put(struct display_picture *p, uint32_t x, uint32_t y, uint8_t r, uint8_t g, uint8_t b)
{
    uint8_t *at = p->rgb.data + 3 * ((size_t)y * p->width + x);

    at[0] = r;
    at[1] = g;
    at[2] = b;
}

/* A pixel of 16 bits: 5 red, 6 green, 5 blue. */
void display_put_565(struct display_picture *p, uint32_t x, uint32_t y, uint16_t pixel);

/* For plug functions: `bytes` of memory for a display behind a base address, an area whose name begins with that letter. 0 and the
 * first page, or -EINVAL with *err: there is no room for so many displays. Who asks for it is listed in device_storage[]
 * (parts.h), so that the board has reserved it. */
int display_alloc(struct device *dev, char letter, uint64_t bytes, uint32_t *page, struct error *err);

/* The display of that name, or (NULL) the machine's first one; NULL with *err: there is none. */
const struct device *display_find(const struct machine *m, const char *name, struct error *err);
/* What head `n` of the one of that name (NULL: the first) shows. 0, or a negative errno with *err: -ENODEV, and those of
 * display_ops. */
int display_draw(const struct machine *m, const char *name, unsigned n, struct display_picture *out, struct error *err);
int display_read(const struct machine *m, const char *name, unsigned n, struct buffer *out, struct error *err);

#endif
