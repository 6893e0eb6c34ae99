/*
 * QEMU's `bochs-display` (its docs/specs/standard-vga): a PCI function 1234:1111 of class "other display" that
 * has the display interface of Bochs without a VGA. BAR 0 is the framebuffer, BAR 2 has the registers:
 *
 *   000h  EDID
 *   500h  the interface's registers, 16 bits each: id, width, height, bits a pixel, enable, bank, width and
 *         height of what the framebuffer holds, x and y of what is shown in it, memory in 64 KiB
 *   600h  QEMU's own: 0 their bytes, 4 the order of bytes in a pixel
 *
 * Registers are kept as they are written; what cannot be shown (a depth but 16 and 32, less than 64 pixels in a
 * direction, more than there is memory) is not shown.
 *
 * Not modelled: a palette, banks, a ROM.
 */
#include "vm/dev/bochs_display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/display.h"
#include "vm/dev/edid.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
       VBE_Y_OFFSET, VBE_MEMORY_64K, VBE_REGS };
#define VBE_ID5       0xb0c5u
#define VBE_ENABLED   0x01u
#define LEAST_PIXELS  64u

#define MMIO_BYTES    0x1000u
#define MMIO_VBE      0x500u
#define MMIO_OWN      0x600u
#define OWN_BYTES     8u
#define LITTLE_ENDIAN_PIXELS 0x1e1e1e1eu
#define BIG_ENDIAN_PIXELS    0xbebebebeu

#define MEMORY_BYTES  ((uint64_t)16 << 20)
#define MEMORY_LEAST  ((uint64_t)4 << 20)
#define MEMORY_MOST   ((uint64_t)256 << 20)

DEVICE_STATE_BEGIN
struct bochs_display_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint16_t vbe[VBE_REGS];
    uint8_t big_endian;
    uint8_t reserved;
};
DEVICE_STATE_END

struct bochs_display {
    struct pci_function pci;
    uint32_t page;              /* first page of the framebuffer */
    uint64_t bytes;
    bool has_edid;
    uint8_t edid[EDID_BYTES];
};

/* ---- registers ---- */

static uint16_t vbe_get(const struct device *dev, unsigned n)
{
    const struct bochs_display_state *s = dev->state;
    const struct bochs_display *w = dev->wiring;

    switch (n) {
    case VBE_ID:         return VBE_ID5;
    case VBE_MEMORY_64K: return (uint16_t)(w->bytes >> 16);
    default:             return s->vbe[n];
    }
}

/* A byte of BAR 2. */
static uint8_t mmio_byte(const struct device *dev, uint64_t at)
{
    const struct bochs_display_state *s = dev->state;
    const struct bochs_display *w = dev->wiring;

    if (at < EDID_BYTES && w->has_edid)
        return w->edid[at];
    if (at >= MMIO_VBE && at < MMIO_VBE + 2 * VBE_REGS)
        return (uint8_t)(vbe_get(dev, (unsigned)(at - MMIO_VBE) / 2) >> (8 * (at & 1u)));
    if (at >= MMIO_OWN && at < MMIO_OWN + OWN_BYTES) {
        uint64_t own = OWN_BYTES | (uint64_t)(s->big_endian ? BIG_ENDIAN_PIXELS : LITTLE_ENDIAN_PIXELS) << 32;

        return (uint8_t)(own >> (8 * (at - MMIO_OWN)));
    }
    return 0;
}

static uint64_t display_read_mmio(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)mmio_byte(dev, offset + i) << (8 * i);
    return value;
}

static void display_write_mmio(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct bochs_display_state *s = dev->state;

    (void)range;
    if (offset == MMIO_OWN + 4 && size == 4 && (value == BIG_ENDIAN_PIXELS || value == LITTLE_ENDIAN_PIXELS)) {
        s->big_endian = value == BIG_ENDIAN_PIXELS;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i;

        if (at >= MMIO_VBE && at < MMIO_VBE + 2 * VBE_REGS) {
            uint16_t *reg = &s->vbe[(at - MMIO_VBE) / 2];
            unsigned shift = 8 * (at & 1u);

            *reg = (uint16_t)((*reg & ~(0xffu << shift)) | (value >> (8 * i) & 0xffu) << shift);
        }
    }
}

/* ---- what it shows ---- */

struct mode {
    uint32_t width, height, bytes; /* of a pixel */
    uint64_t stride, offset;
};

static bool mode_of(const struct device *dev, struct mode *m)
{
    const struct bochs_display_state *s = dev->state;
    const struct bochs_display *w = dev->wiring;
    const uint16_t *v = s->vbe;

    *m = (struct mode){.width = v[VBE_XRES], .height = v[VBE_YRES], .bytes = v[VBE_BPP] / 8u};
    m->stride = (uint64_t)(v[VBE_VIRT_WIDTH] > m->width ? v[VBE_VIRT_WIDTH] : m->width) * m->bytes;
    m->offset = (uint64_t)v[VBE_X_OFFSET] * m->bytes + v[VBE_Y_OFFSET] * m->stride;
    return (v[VBE_ENABLE] & VBE_ENABLED) && (v[VBE_BPP] == 16 || v[VBE_BPP] == 32) && m->width >= LEAST_PIXELS &&
           m->height >= LEAST_PIXELS && m->offset + m->stride * m->height <= w->bytes;
}

static int draw(const struct device *dev, unsigned head, struct display_picture *out, struct error *err)
{
    const struct bochs_display_state *s = dev->state;
    const struct bochs_display *w = dev->wiring;
    const uint8_t *memory = memory_page(&dev->machine->memory, w->page);
    struct mode m;

    (void)head;
    if (!mode_of(dev, &m))
        return error_set(err, -ENODATA, "display '%s' shows nothing: no mode that it has is set", dev->name);
    display_picture_size(out, m.width, m.height);
    for (uint32_t y = 0; y < m.height; y++)
        for (uint32_t x = 0; x < m.width; x++) {
            const uint8_t *p = memory + m.offset + y * m.stride + (uint64_t)x * m.bytes;

            if (m.bytes == 2)
                display_put_565(out, x, y, get_le16(p));
            else if (s->big_endian)
                display_picture_put(out, x, y, p[1], p[2], p[3]);
            else
                display_picture_put(out, x, y, p[2], p[1], p[0]);
        }
    return 0;
}

static const struct display_ops display = {.picture = draw};

/* ---- the device ---- */

static void display_reset(struct device *dev)
{
    struct bochs_display_state *s = dev->state;
    struct bochs_display *w = dev->wiring;

    memset(s, 0, sizeof(*s));
    pci_function_reset(&w->pci);
}

static void describe(const struct device *dev, struct buffer *b)
{
    const struct bochs_display_state *s = dev->state;
    struct mode m;

    if (mode_of(dev, &m))
        buffer_printf(b, "shows %ux%u, %u bits a pixel, from byte %llu of the framebuffer, %llu bytes a line\n", m.width, m.height,
                      8 * m.bytes, (unsigned long long)m.offset, (unsigned long long)m.stride);
    else
        buffer_printf(b, "shows nothing\n");
    buffer_printf(b, "registers");
    for (unsigned n = 0; n < VBE_REGS; n++)
        buffer_printf(b, " %04x", vbe_get(dev, n));
    buffer_printf(b, "%s\n", s->big_endian ? ", pixels big-endian" : "");
}

static const struct device_ops bochs_display_ops = {
    .name = "bochs-display",
    .state_size = sizeof(struct bochs_display_state),
    .reset = display_reset,
    .describe = describe,
    .read = display_read_mmio,
    .write = display_write_mmio,
    .display = &display,
};

const struct option_key bochs_display_keys[] = {{"vgamem", "SIZE"}, EDID_KEYS, {NULL, NULL}};

/* A power of two, as BARs are. */
static uint64_t memory_bytes(uint64_t asked)
{
    uint64_t bytes = MEMORY_LEAST;

    while (bytes < asked)
        bytes *= 2;
    return bytes;
}

uint64_t bochs_display_storage(const struct option_list *props)
{
    struct error err = {0};
    uint64_t bytes = MEMORY_BYTES;

    if (option_list_size(props, "vgamem", 1, &bytes, &err) < 0 || bytes > MEMORY_MOST)
        return 0; /* plugging it in tells of the mistake */
    return memory_bytes(bytes);
}

int bochs_display_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1234, .device = 0x1111, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                                           .class_code = 0x038000, .revision = 2, .command = PCI_COMMAND_MEMORY};
    struct edid_config edid;
    struct bochs_display *w;
    struct device *dev;
    uint64_t bytes = MEMORY_BYTES;

    (void)d;
    if (edid_take(&edid, props, err) < 0 || option_list_size(props, "vgamem", 1, &bytes, err) < 0)
        return -EINVAL;
    if (bytes < MEMORY_LEAST || bytes > MEMORY_MOST)
        return error_set(err, -EINVAL, "vgamem=%s: from 4M to 256M", option_list_get(props, "vgamem"));
    dev = machine_add_owned_device(s->machine, &bochs_display_ops, name, sizeof(*w));
    w = dev->wiring;
    w->bytes = memory_bytes(bytes);
    if (display_alloc(dev, 'v', w->bytes, &w->page, err) < 0)
        return err->code;
    w->has_edid = edid.on;
    edid_make(w->edid, edid.xres, edid.yres);
    pci_function_init(&w->pci, s->pci, devfn, dev, ((struct bochs_display_state *)dev->state)->config, &id);
    pci_add_paged_bar(&w->pci, 0, PCI_BAR_MEMORY, true, w->bytes, w->page);
    pci_add_bar(&w->pci, 2, PCI_BAR_MEMORY, false, MMIO_BYTES, 0);
    return 0;
}
