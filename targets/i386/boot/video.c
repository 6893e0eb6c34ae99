/*
 * What the loaders have in common about the display: the graphics mode that a
 * kernel gets for the one it asked for, and what is said of it.
 */
#include "i386/boot/boot.h"

#include <errno.h>
#include <string.h>

#include "vm/dev/vga.h"

#define DEFAULT_WIDTH  1024u
#define DEFAULT_HEIGHT 768u
#define MOST_PIXELS    (VGA_MEMORY_BYTES / 4)
#define TEXT_COLUMNS   80u
#define TEXT_ROWS      25u

int boot_choose_video(struct boot_video *v, const struct pc_config *config, uint32_t width, uint32_t height,
                      uint32_t bpp, struct error *err)
{
    if (!width && !height) {
        width = DEFAULT_WIDTH;
        height = DEFAULT_HEIGHT;
    }
    if (width < 8 || width > 4096 || width % 8 || !height || height > MOST_PIXELS / width)
        return error_set(err, -ENOTSUP,
                         "%s: its Multiboot header asks for %ux%u pixels; this display has widths of 8 to 4096 in "
                         "steps of 8, and at most %u pixels",
                         config->kernel.name, width, height, MOST_PIXELS);
    if (bpp && bpp != 15 && bpp != 16 && bpp != 24 && bpp != 32)
        return error_set(err, -ENOTSUP,
                         "%s: its Multiboot header asks for %u bits a pixel; this display has 15, 16, 24 and 32",
                         config->kernel.name, bpp);
    *v = (struct boot_video){.width = (uint16_t)width, .height = (uint16_t)height, .bpp = (uint16_t)(bpp ? bpp : 32)};
    return 0;
}

bool boot_framebuffer(struct boot_framebuffer *f, const struct pc_config *config, const struct boot_video *v)
{
    /* Position and size of red, green, blue. */
    static const uint8_t rgb555[6] = {10, 5, 5, 5, 0, 5}, rgb565[6] = {11, 5, 5, 6, 0, 5},
                         rgb888[6] = {16, 8, 8, 8, 0, 8};

    memset(f, 0, sizeof(*f));
    if (config->vga == PC_VGA_NONE)
        return false;
    if (!v->width) {
        *f = (struct boot_framebuffer){.address = 0xb8000, .pitch = TEXT_COLUMNS * 2, .width = TEXT_COLUMNS,
                                       .height = TEXT_ROWS, .bpp = 16, .type = BOOT_FRAMEBUFFER_TEXT};
        return true;
    }
    *f = (struct boot_framebuffer){.address = VGA_FIRMWARE_LFB, .pitch = v->width * ((v->bpp + 7u) / 8u),
                                   .width = v->width, .height = v->height, .bpp = (uint8_t)v->bpp,
                                   .type = BOOT_FRAMEBUFFER_RGB};
    memcpy(f->fields, v->bpp == 15 ? rgb555 : v->bpp == 16 ? rgb565 : rgb888, sizeof(f->fields));
    return true;
}
