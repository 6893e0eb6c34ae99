/*
 * What displays have in common. See display.h.
 */
#include "vm/dev/display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/machine.h"

void display_picture_init(struct display_picture *p)
{
    p->width = p->height = 0;
    buffer_init(&p->rgb);
}

void display_picture_finish(struct display_picture *p)
{
    buffer_finish(&p->rgb);
}

void display_picture_size(struct display_picture *p, uint32_t width, uint32_t height)
{
    size_t bytes = (size_t)width * height * 3;

    p->width = width;
    p->height = height;
    buffer_clear(&p->rgb);
    memset(buffer_reserve(&p->rgb, bytes), 0, bytes);
    p->rgb.len = bytes;
}

void display_put_565(struct display_picture *p, uint32_t x, uint32_t y, uint16_t pixel)
{
    unsigned r = pixel >> 11, g = pixel >> 5 & 63u, b = pixel & 31u;

    display_picture_put(p, x, y, (uint8_t)(r << 3 | r >> 2), (uint8_t)(g << 2 | g >> 4), (uint8_t)(b << 3 | b >> 2));
}

int display_alloc(struct device *dev, char letter, uint64_t bytes, uint32_t *page, struct error *err)
{
    struct memory *mem = &dev->machine->memory;
    char name[sizeof(dev->name) + 2];

    if (mem->pages.nareas == PAGE_SPACE_MAX_AREAS || bytes >> PAGE_SHIFT > mem->max_pages - mem->pages.count)
        return error_set(err, -EINVAL, "there is no room for the memory of one display more");
    snprintf(name, sizeof(name), "%c:%s", letter, dev->name);
    *page = memory_alloc(mem, name, bytes);
    return 0;
}

const struct device *display_find(const struct machine *m, const char *name, struct error *err)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->display && (!name || !strcmp(m->devices[i]->name, name)))
            return m->devices[i];
    if (!name)
        error_set(err, -ENODEV, "this machine has no display (--vga std gives a pc one, --device bochs-display any board)");
    else if (machine_find_device(m, name))
        error_set(err, -ENODEV, "device '%s' is no display", name);
    else
        error_set(err, -ENODEV, "there is no device '%s'", name);
    return NULL;
}

/* It, if it has such a head. */
static const struct device *find_head(const struct machine *m, const char *name, unsigned n, struct error *err)
{
    const struct device *dev = display_find(m, name, err);
    unsigned heads = dev && dev->ops->display->heads ? dev->ops->display->heads(dev) : 1;

    if (!dev || n < heads)
        return dev;
    error_set(err, -ENODEV, "display '%s' has no head %u: they are numbered from 0, and there %s %u", dev->name, n,
              heads == 1 ? "is" : "are", heads);
    return NULL;
}

int display_draw(const struct machine *m, const char *name, unsigned n, struct display_picture *out, struct error *err)
{
    const struct device *dev = find_head(m, name, n, err);

    return dev ? dev->ops->display->picture(dev, n, out, err) : -ENODEV;
}

int display_read(const struct machine *m, const char *name, unsigned n, struct buffer *out, struct error *err)
{
    const struct device *dev = find_head(m, name, n, err);

    if (!dev)
        return -ENODEV;
    if (!dev->ops->display->text)
        return error_set(err, -EINVAL, "display '%s' shows graphics: screendump FILE draws it", dev->name);
    return dev->ops->display->text(dev, n, out, err);
}
