/*
 * Pictures of the screen, made from the VGA's registers and memory when somebody
 * asks. They read state and change none, so the past is drawn like the present.
 *
 * Drawn: text of any size with its font and cursor; 16 colours in planes, 4
 * colours of CGA modes, 256 colours, with the CRT controller's addressing, line
 * doubling, split screen; the display interface's modes of 4 to 32 bits. Blinking
 * things are drawn as in the half second when they show.
 *
 * Not drawn: the border, panning by single pixels, the underline of monochrome
 * text. Text is drawn whatever planes are enabled (GRUB for QEMU enables none). A
 * switched-off screen is black.
 */
#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "vm/dev/display.h"
#include "vm/dev/vga.h"
#include "vm/machine.h"

#define MAX_COLUMNS 256u

/* ---- colours ---- */

struct rgb {
    uint8_t r, g, b;
};

static struct rgb dac_color(const struct vga_state *s, uint8_t index)
{
    const uint8_t *p = s->palette + 3 * (index & s->dac_mask);
    struct rgb c = {p[0], p[1], p[2]};

    if (s->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
        return c;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t v = p[i] & 0x3fu;

        ((uint8_t *)&c)[i] = (uint8_t)(v << 2 | v >> 4);
    }
    return c;
}

/* One of 16 colours, by way of the attribute controller. */
static struct rgb attr_color(const struct vga_state *s, unsigned index)
{
    bool graphics = s->attr[AR_MODE] & AMODE_GRAPHICS;
    unsigned value = s->attr[index & (graphics ? s->attr[AR_PLANE_ENABLE] : 15u) & 15u];

    if (s->attr[AR_MODE] & AMODE_P54)
        value = (value & 0x0fu) | (s->attr[AR_COLOR_SELECT] & 3u) << 4;
    return dac_color(s, (uint8_t)((value & 0x3fu) | (s->attr[AR_COLOR_SELECT] & 0x0cu) << 4));
}

static void put(struct display_picture *pic, uint32_t x, uint32_t y, struct rgb c)
{
    display_picture_put(pic, x, y, c.r, c.g, c.b);
}

/* ---- geometry ---- */

/* What the CRT controller's registers amount to. */
struct geometry {
    uint32_t columns;     /* character clocks in a line */
    uint32_t lines;       /* scan lines of the screen */
    uint32_t row_lines;   /* scan lines of a row of characters */
    uint32_t start;       /* address counter at the top, and added with each row */
    uint32_t pitch;
    uint32_t split;       /* scan line from which the counter begins again at 0 */
    bool doubled;         /* each line is scanned twice */
};

static struct geometry geometry_of(const struct vga_state *s)
{
    const uint8_t *c = s->crtc;
    uint32_t o = c[CRTC_OVERFLOW];
    struct geometry g = {
        .columns = c[CRTC_H_DISPLAY] + 1u,
        .lines = (c[CRTC_V_DISPLAY] | (o & 0x02u) << 7 | (o & 0x40u) << 3) + 1u,
        .row_lines = (c[CRTC_MAX_SCAN] & 0x1fu) + 1u,
        .start = (uint32_t)c[CRTC_START_HIGH] << 8 | c[CRTC_START_LOW],
        .pitch = c[CRTC_OFFSET] * 2u,
        .split = (c[CRTC_LINE_COMPARE] | (o & 0x10u) << 4 | (c[CRTC_MAX_SCAN] & 0x40u) << 3) + 1u,
        .doubled = c[CRTC_MAX_SCAN] & 0x80u,
    };

    return g;
}

/* The address counter's way to the memory's address: byte, word or doubleword mode. */
static uint32_t memory_address(const struct vga_state *s, uint32_t counter)
{
    uint8_t mode = s->crtc[CRTC_MODE];

    counter &= 0xffffu;
    if (s->crtc[CRTC_UNDERLINE] & 0x40u)
        return (counter << 2 | (counter >> 14 & 3u)) & 0xffffu;
    if (!(mode & 0x40u))
        return (counter << 1 | (counter >> (mode & 0x20u ? 15 : 13) & 1u)) & 0xffffu;
    return counter;
}

/* The counter at the beginning of scan line `y`, and the line within its row. */
static uint32_t line_start(const struct geometry *g, uint32_t y, uint32_t *in_row)
{
    uint32_t from = y >= g->split ? g->split : 0, line = (y - from) >> (g->doubled ? 1 : 0);

    *in_row = line % g->row_lines;
    return (from ? 0 : g->start) + line / g->row_lines * g->pitch;
}

/* ---- text ---- */

struct text {
    uint32_t columns, rows;
};

static struct text text_of(const struct geometry *g)
{
    uint32_t scans = g->row_lines << (g->doubled ? 1 : 0), rows = g->lines / scans;

    return (struct text){.columns = g->columns > MAX_COLUMNS ? MAX_COLUMNS : g->columns, .rows = rows ? rows : 1};
}

static uint32_t cell_counter(const struct geometry *g, uint32_t row, uint32_t column)
{
    uint32_t in_row, scans = g->row_lines << (g->doubled ? 1 : 0);

    return line_start(g, row * scans, &in_row) + column;
}

/* Code page 437 outside ASCII. */
static const uint16_t low_437[32] = {
    ' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const uint16_t high_437[129] = { /* from 7Fh */
    0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec,
    0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3,
    0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd,
    0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551,
    0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554,
    0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a,
    0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
    0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7,
    0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static unsigned unicode_of(uint8_t c)
{
    return c < 0x20 ? low_437[c] : c < 0x7f ? c : c == 0xff ? ' ' : high_437[c - 0x7f];
}

static void append_utf8(struct buffer *b, unsigned u)
{
    if (u < 0x80) {
        buffer_append_byte(b, (uint8_t)u);
    } else if (u < 0x800) {
        buffer_append_byte(b, (uint8_t)(0xc0 | u >> 6));
        buffer_append_byte(b, (uint8_t)(0x80 | (u & 0x3f)));
    } else {
        buffer_append_byte(b, (uint8_t)(0xe0 | u >> 12));
        buffer_append_byte(b, (uint8_t)(0x80 | (u >> 6 & 0x3f)));
        buffer_append_byte(b, (uint8_t)(0x80 | (u & 0x3f)));
    }
}

int vga_screen_text(const struct device *dev, unsigned head, struct buffer *out, struct error *err)
{
    const struct vga_state *s = dev->state;
    struct geometry g = geometry_of(s);
    struct text t = text_of(&g);

    (void)head;
    if (s->vbe[VBE_ENABLE] & VBE_ENABLED)
        return error_set(err, -EINVAL, "the screen shows graphics, %ux%u: screendump FILE draws it", s->vbe[VBE_XRES],
                         s->vbe[VBE_YRES]);
    if ((s->gr[GR_MISC] & GMISC_GRAPHICS) || (s->attr[AR_MODE] & AMODE_GRAPHICS))
        return error_set(err, -EINVAL, "the screen shows graphics: screendump FILE draws it");
    if (g.columns < 2)
        return error_set(err, -ENODATA, "nobody has set up the display yet (a BIOS does it by --vga-bios)");
    for (uint32_t row = 0; row < t.rows; row++) {
        size_t last = out->len;

        for (uint32_t column = 0; column < t.columns; column++) {
            unsigned u = unicode_of(vga_plane_get(dev, 0, memory_address(s, cell_counter(&g, row, column))));

            append_utf8(out, u);
            if (u != ' ')
                last = out->len;
        }
        out->len = last; /* no blanks at the end of a line */
        buffer_append_byte(out, '\n');
    }
    return 0;
}

/* Where in plane 2 the font of a character with this attribute begins. */
static uint32_t font_base(const struct vga_state *s, uint8_t attribute)
{
    uint8_t map = s->seq[SEQ_CHARACTER_MAP];
    unsigned n = attribute & 8u ? (map >> 2 & 3u) | (map >> 3 & 4u) : (map & 3u) | (map >> 2 & 4u);

    return (n & 3u) * 0x4000u + (n >> 2) * 0x2000u;
}

struct cell {
    uint8_t character, attribute;
    bool cursor;
};

static void draw_cell_line(const struct vga_state *s, struct display_picture *pic, const struct cell *cell, uint8_t bits,
                           uint32_t x, uint32_t y, uint32_t dots)
{
    bool blink = s->attr[AR_MODE] & AMODE_BLINK;
    struct rgb fore = attr_color(s, cell->attribute & 15u);
    struct rgb back = attr_color(s, cell->attribute >> 4 & (blink ? 7u : 15u));

    for (uint32_t i = 0; i < dots; i++) {
        bool set = i < 8 && (bits >> (7 - i) & 1u);

        if (i == 8) /* the ninth dot of line characters repeats the eighth */
            set = (s->attr[AR_MODE] & AMODE_LINE) && cell->character >= 0xc0 && cell->character <= 0xdf && (bits & 1u);
        put(pic, x + i, y, set || cell->cursor ? fore : back);
    }
}

static void draw_text(const struct device *dev, struct display_picture *pic, const struct geometry *g)
{
    const struct vga_state *s = dev->state;
    const uint8_t *c = s->crtc;
    uint32_t dots = s->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
    uint32_t cursor = ((uint32_t)c[CRTC_CURSOR_HIGH] << 8 | c[CRTC_CURSOR_LOW]) & 0xffffu;

    for (uint32_t y = 0; y < pic->height; y++) {
        uint32_t in_row, counter = line_start(g, y, &in_row);
        bool cursor_line = !(c[CRTC_CURSOR_START] & 0x20u) && in_row >= (c[CRTC_CURSOR_START] & 0x1fu) &&
                           in_row <= (c[CRTC_CURSOR_END] & 0x1fu);

        for (uint32_t n = 0; (n + 1) * dots <= pic->width; n++) {
            uint32_t at = memory_address(s, counter + n);
            struct cell cell = {.character = vga_plane_get(dev, 0, at), .attribute = vga_plane_get(dev, 1, at)};
            uint32_t glyph = font_base(s, cell.attribute) + cell.character * 32u + in_row;

            cell.cursor = cursor_line && ((counter + n) & 0xffffu) == cursor;
            draw_cell_line(s, pic, &cell, vga_plane_get(dev, 2, glyph), n * dots, y, dots);
        }
    }
}

/* ---- graphics of the VGA ---- */

/* With the row scan counter's bits in the place of address bits 13 and 14 (CGA and Hercules modes). */
static uint32_t interleaved(const struct vga_state *s, uint32_t at, uint32_t in_row)
{
    uint8_t mode = s->crtc[CRTC_MODE];

    if (!(mode & 0x01u))
        at = (at & ~0x2000u) | (in_row & 1u) << 13;
    if (!(mode & 0x02u))
        at = (at & ~0x4000u) | (in_row & 2u) << 13;
    return at;
}

/* The 8 pixels of one character clock, as attribute indices; 4 of 8 bits in 256-colour modes. */
static void clock_pixels(const struct device *dev, uint32_t at, uint8_t pixels[8])
{
    const struct vga_state *s = dev->state;
    uint8_t plane[4];

    for (unsigned p = 0; p < 4; p++)
        plane[p] = vga_plane_get(dev, p, at);
    if (s->gr[GR_MODE] & GMODE_SHIFT_256) {
        for (unsigned i = 0; i < 4; i++)
            pixels[i] = plane[i];
    } else if (s->gr[GR_MODE] & GMODE_SHIFT_CGA) {
        for (unsigned i = 0; i < 8; i++) {
            unsigned low = plane[i / 4], high = plane[2 + i / 4], shift = 6 - 2 * (i & 3u);

            pixels[i] = (uint8_t)((low >> shift & 3u) | (high >> shift & 3u) << 2);
        }
    } else {
        for (unsigned i = 0; i < 8; i++)
            pixels[i] = (uint8_t)((plane[0] >> (7 - i) & 1u) | (plane[1] >> (7 - i) & 1u) << 1 |
                                  (plane[2] >> (7 - i) & 1u) << 2 | (plane[3] >> (7 - i) & 1u) << 3);
    }
}

static void draw_graphics(const struct device *dev, struct display_picture *pic, const struct geometry *g, unsigned step)
{
    const struct vga_state *s = dev->state;
    bool wide = s->gr[GR_MODE] & GMODE_SHIFT_256;
    uint32_t per_clock = wide ? 4 : 8;

    for (uint32_t y = 0; y < pic->height; y++) {
        uint32_t in_row, counter = line_start(g, y * step, &in_row);

        for (uint32_t n = 0; (n + 1) * per_clock <= pic->width; n++) {
            uint8_t pixels[8];

            clock_pixels(dev, interleaved(s, memory_address(s, counter + n), in_row), pixels);
            for (uint32_t i = 0; i < per_clock; i++)
                put(pic, n * per_clock + i, y, wide ? dac_color(s, pixels[i]) : attr_color(s, pixels[i]));
        }
    }
}

/* ---- graphics of the display interface ---- */

static uint8_t frame_byte(const struct device *dev, uint32_t at)
{
    const struct vga_wiring *w = dev->wiring;

    at &= VGA_MEMORY_BYTES - 1;
    return memory_page(&dev->machine->memory, w->page + (at >> PAGE_SHIFT))[at & (PAGE_SIZE - 1)];
}

static struct rgb spread(unsigned r, unsigned g, unsigned b, unsigned green_bits)
{
    return (struct rgb){(uint8_t)(r << 3 | r >> 2),
                        (uint8_t)(green_bits == 6 ? g << 2 | g >> 4 : g << 3 | g >> 2), (uint8_t)(b << 3 | b >> 2)};
}

static struct rgb vbe_pixel(const struct device *dev, uint32_t x, uint32_t y)
{
    const struct vga_state *s = dev->state;
    const uint16_t *v = s->vbe;
    uint32_t size = (v[VBE_BPP] + 7u) / 8u, at = (y * v[VBE_VIRT_WIDTH] + x) * size, value = 0;

    if (v[VBE_BPP] == 4) {
        uint8_t pixels[8];

        clock_pixels(dev, (y * v[VBE_VIRT_WIDTH] + x) / 8, pixels);
        return attr_color(s, pixels[x & 7u]);
    }
    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)frame_byte(dev, at + i) << (8 * i);
    switch (v[VBE_BPP]) {
    case 8:  return dac_color(s, (uint8_t)value);
    case 15: return spread(value >> 10 & 31u, value >> 5 & 31u, value & 31u, 5);
    case 16: return spread(value >> 11 & 31u, value >> 5 & 63u, value & 31u, 6);
    default: return (struct rgb){(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    }
}

static void draw_vbe(const struct device *dev, struct display_picture *pic)
{
    const struct vga_state *s = dev->state;

    for (uint32_t y = 0; y < pic->height; y++)
        for (uint32_t x = 0; x < pic->width; x++)
            put(pic, x, y, vbe_pixel(dev, x + s->vbe[VBE_X_OFFSET], y + s->vbe[VBE_Y_OFFSET]));
}

/* ---- the whole ---- */

int vga_screen_picture(const struct device *dev, unsigned head, struct display_picture *pic, struct error *err)
{
    const struct vga_state *s = dev->state;
    struct geometry g = geometry_of(s);
    bool vbe = s->vbe[VBE_ENABLE] & VBE_ENABLED, graphics = s->gr[GR_MISC] & GMISC_GRAPHICS;
    bool wide = s->gr[GR_MODE] & GMODE_SHIFT_256;
    /* Lines that show the same memory again are drawn once. */
    unsigned step = graphics && (s->crtc[CRTC_MODE] & 3u) == 3 ? g.row_lines << (g.doubled ? 1 : 0) : 1;
    uint32_t width = g.columns * (graphics ? wide ? 4 : 8 : s->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9);
    uint32_t height = g.lines / step;

    (void)head, (void)err;
    if (vbe)
        width = s->vbe[VBE_XRES], height = s->vbe[VBE_YRES];
    display_picture_size(pic, width, height ? height : 1);
    if (vbe)
        draw_vbe(dev, pic);
    else if (!(s->attr_index & ATTR_SHOWN) || (s->seq[SEQ_CLOCKING] & CLOCKING_OFF))
        return 0;
    else if (graphics)
        draw_graphics(dev, pic, &g, step);
    else
        draw_text(dev, pic, &g);
    return 0;
}
