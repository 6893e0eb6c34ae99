/*
 * QEMU's `ramfb`: firmware chooses a place in its memory for a framebuffer and says so in the file "etc/ramfb" of the
 * firmware configuration device, which it writes by DMA. All numbers are big-endian:
 *
 *   0 address (64 bits)   8 format (a DRM fourcc)   12 flags (0)   16 width   20 height   24 bytes a line (0: no gaps)
 *
 * What makes no sense (a format that is not known, sizes out of bounds, lines that overlap, bytes where there is no memory)
 * changes nothing: what was shown before still is.
 */
#include "vm/dev/ramfb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/display.h"
#include "vm/dev/fwcfg.h"
#include "vm/machine.h"

#define CONFIG_BYTES 28u
#define LEAST        16u    /* pixels, in either direction */
#define WIDTH_MOST   16000u
#define HEIGHT_MOST  12000u

DEVICE_STATE_BEGIN
struct ramfb_state {
    uint8_t file[CONFIG_BYTES];   /* as it was written */
    uint8_t reserved[4];
    uint64_t address, stride;     /* what is shown; */
    uint32_t width, height;       /* width 0: nothing */
    uint32_t format, reserved2;
};
DEVICE_STATE_END

/* Formats by their fourcc: where red, green and blue are among a pixel's bytes. */
struct format {
    char fourcc[5];
    uint8_t bytes, r, g, b;
};

static const struct format formats[] = {
    {"XR24", 4, 2, 1, 0}, {"AR24", 4, 2, 1, 0}, {"XB24", 4, 0, 1, 2}, {"AB24", 4, 0, 1, 2},
    {"RG24", 3, 2, 1, 0}, {"RG16", 2, 0, 0, 0}, /* 5, 6 and 5 bits */
};

static const struct format *find_format(uint32_t fourcc)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (get_le32(formats[i].fourcc) == fourcc)
            return &formats[i];
    return NULL;
}

/* Are all bytes of the lines stored in memory? */
static bool is_memory(const struct memory *mem, const struct ramfb_state *f, const struct format *format)
{
    uint64_t bytes = f->stride * (f->height - 1) + (uint64_t)f->width * format->bytes;

    if (f->address + bytes < f->address)
        return false;
    for (uint64_t at = f->address & PAGE_MASK; at < f->address + bytes; at += PAGE_SIZE)
        if (memory_page_of(mem, at) == UINT32_MAX)
            return false;
    return true;
}

/* The file was written. Fits fwcfg_item.written. */
static void take_config(void *ctx)
{
    struct device *dev = ctx;
    struct ramfb_state *s = dev->state;
    const uint8_t *c = s->file;
    struct ramfb_state f = {.address = get_be64(c), .format = get_be32(c + 8), .width = get_be32(c + 16),
                            .height = get_be32(c + 20), .stride = get_be32(c + 24)};
    const struct format *format = find_format(f.format);

    if (!format || f.width < LEAST || f.width > WIDTH_MOST || f.height < LEAST || f.height > HEIGHT_MOST)
        return;
    if (!f.stride)
        f.stride = (uint64_t)f.width * format->bytes;
    if (f.stride < (uint64_t)f.width * format->bytes || !is_memory(&dev->machine->memory, &f, format))
        return;
    s->address = f.address;
    s->format = f.format;
    s->width = f.width;
    s->height = f.height;
    s->stride = f.stride;
}

static int draw(const struct device *dev, unsigned head, struct display_picture *out, struct error *err)
{
    const struct ramfb_state *s = dev->state;
    const struct format *f = find_format(s->format);
    uint8_t *line;

    (void)head;
    if (!s->width || !f)
        return error_set(err, -ENODATA, "display '%s' shows nothing: no firmware or driver has set it up", dev->name);
    line = xcalloc(s->width, f->bytes);
    display_picture_size(out, s->width, s->height);
    for (uint32_t y = 0; y < s->height; y++) {
        memory_read_bytes(&dev->machine->memory, s->address + y * s->stride, line, (size_t)s->width * f->bytes);
        for (uint32_t x = 0; x < s->width; x++) {
            const uint8_t *p = line + (size_t)x * f->bytes;

            if (f->bytes == 2)
                display_put_565(out, x, y, get_le16(p));
            else
                display_picture_put(out, x, y, p[f->r], p[f->g], p[f->b]);
        }
    }
    free(line);
    return 0;
}

static const struct display_ops display = {.picture = draw};

static void ramfb_reset(struct device *dev)
{
    memset(dev->state, 0, sizeof(struct ramfb_state));
}

static bool ramfb_possible(const struct device *dev)
{
    const struct ramfb_state *s = dev->state;
    const struct format *f = find_format(s->format);

    return !s->width || (f && s->width <= WIDTH_MOST && s->height <= HEIGHT_MOST && s->stride >= (uint64_t)s->width * f->bytes &&
                         s->stride <= UINT32_MAX);
}

static void describe(const struct device *dev, struct buffer *b)
{
    const struct ramfb_state *s = dev->state;
    const struct format *f = find_format(s->format);

    if (s->width && f)
        buffer_printf(b, "shows %ux%u, %s, at %#llx, %llu bytes a line\n", s->width, s->height, f->fourcc,
                      (unsigned long long)s->address, (unsigned long long)s->stride);
    else
        buffer_printf(b, "shows nothing\n");
}

static const struct device_ops ramfb_ops = {
    .name = "ramfb",
    .state_size = sizeof(struct ramfb_state),
    .possible = ramfb_possible,
    .reset = ramfb_reset,
    .describe = describe,
    .display = &display,
};

int ramfb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err)
{
    struct ramfb_state *st;
    struct device *dev;

    (void)devfn, (void)d, (void)props;
    if (!s->fwcfg)
        return error_set(err, -EINVAL, "this board has no firmware configuration device");
    for (unsigned i = 0; i < s->fwcfg->nitems; i++)
        if (!strcmp(s->fwcfg->items[i].name, "etc/ramfb"))
            return error_set(err, -EINVAL, "there is a ramfb already");
    dev = machine_add_owned_device(s->machine, &ramfb_ops, name, 1);
    st = dev->state;
    fwcfg_add_live_file(s->fwcfg, "etc/ramfb", st->file, CONFIG_BYTES, take_config, dev);
    return 0;
}
