/*
 * A VGA (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; in
 * its colour and monochrome addresses) with the display interface of Bochs
 * ("VBE DISPI") for higher modes, as QEMU's `-vga std`: PCI function 00:02.0,
 * 1234:1111, framebuffer at BAR 0, the same registers in memory at BAR 2, video
 * BIOS in the expansion ROM. A *secondary* one (QEMU's `secondary-vga`) has the same registers, by BAR 2 only, and no window. It may be part of another display (virtio-vga),
 * which is shown once that has something to show. What the guest puts into it is drawn only when
 * somebody asks (vga_draw.c).
 *
 * Input status 1 follows the virtual clock and the CRT controller's timing.
 *
 * Not modelled: the vertical retrace interrupt, sense and feature bits, the
 * sequencer's reset, the memory's enable bit (GRUB for QEMU leaves it off), 64 KiB cards (memory mode bit 1), the odd/even page bit.
 */
#include "vm/dev/vga.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/display.h"
#include "vm/machine.h"

#define VBE_ID_OLDEST 0xb0c0u
#define VBE_ID_NEWEST 0xb0c5u
#define VBE_MAX_XRES  16000u
#define VBE_MAX_YRES  12000u

#define NS_PER_S 1000000000ull

static const uint8_t seq_mask[SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_mask[GR_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

/* ---- PCI ---- */

static void map_changed(struct device *dev)
{
    const struct vga_wiring *w = dev->wiring;

    if (w->map_changed)
        w->map_changed(w->map_ctx);
}

void vga_plug(struct device *dev, struct pci_bus *bus, uint8_t devfn)
{
    struct vga_wiring *w = dev->wiring;
    struct vga_state *s = dev->state;
    const struct pci_identity id = {.vendor = 0x1234, .device = 0x1111, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                                    .class_code = w->secondary ? 0x038000 : 0x030000, .revision = 2,
                                    .command = (uint16_t)(PCI_COMMAND_MEMORY | (w->secondary ? 0 : PCI_COMMAND_IO))};

    pci_function_init(&w->pci, bus, devfn, dev, s->config, &id);
    vga_plug_into(dev, &w->pci);
    pci_add_bar(&w->pci, 2, PCI_BAR_MEMORY, false, VGA_MMIO_BYTES, VGA_MMIO);
}

void vga_plug_into(struct device *dev, struct pci_function *f)
{
    struct vga_wiring *w = dev->wiring;

    w->shown_by = f;
    pci_add_paged_bar(f, 0, PCI_BAR_MEMORY, true, VGA_MEMORY_BYTES, w->page);
    if (w->has_rom)
        pci_add_paged_bar(f, PCI_ROM_BAR, PCI_BAR_ROM, false, VGA_ROM_BYTES, w->rom_page);
}

int vga_take_edid(struct vga_wiring *w, const struct option_list *props, struct error *err)
{
    struct edid_config edid;

    if (edid_take(&edid, props, err) < 0)
        return -EINVAL;
    w->has_edid = edid.on;
    edid_make(w->edid, edid.xres, edid.yres);
    return 0;
}

/* ---- timing ---- */

/* What the CRT controller counts, in its own units. */
struct timing {
    uint64_t dots_per_s;
    uint32_t dots_per_char, chars, lines; /* of a whole frame */
    uint32_t shown_chars, shown_lines, retrace_first, retrace_lines;
};

static struct timing timing_of(const struct vga_state *s)
{
    static const uint32_t clocks[4] = {25175000, 28322000, 25175000, 25175000};
    const uint8_t *c = s->crtc;
    uint32_t o = c[CRTC_OVERFLOW];
    struct timing t = {
        .dots_per_s = clocks[s->misc >> 2 & 3u] >> (s->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 1 : 0),
        .dots_per_char = s->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9,
        .chars = c[CRTC_H_TOTAL] + 5u,
        .lines = (c[CRTC_V_TOTAL] | (o & 0x01u) << 8 | (o & 0x20u) << 4) + 2u,
        .shown_chars = c[CRTC_H_DISPLAY] + 1u,
        .shown_lines = (c[CRTC_V_DISPLAY] | (o & 0x02u) << 7 | (o & 0x40u) << 3) + 1u,
        .retrace_first = c[CRTC_V_RETRACE_START] | (o & 0x04u) << 6 | (o & 0x80u) << 2,
    };

    /* It ends where the low 4 bits of the line agree. */
    t.retrace_lines = (c[CRTC_V_RETRACE_END] - t.retrace_first) & 15u;
    if (s->vbe[VBE_ENABLE] & VBE_ENABLED) { /* about 60 frames a second of the mode's size */
        t.shown_lines = s->vbe[VBE_YRES];
        t.retrace_first = t.shown_lines + 8;
        t.retrace_lines = 4;
        t.lines = t.shown_lines + 24;
        t.dots_per_s = (uint64_t)t.lines * t.chars * t.dots_per_char * 60;
    }
    return t;
}

#define ST01_NOT_SHOWN 0x01u
#define ST01_RETRACE   0x08u

static uint8_t input_status_1(const struct device *dev)
{
    struct timing t = timing_of(dev->state);
    uint64_t now = machine_now(dev->machine);
    uint64_t dots = now / NS_PER_S * t.dots_per_s + now % NS_PER_S * t.dots_per_s / NS_PER_S;
    uint32_t at = (uint32_t)(dots / t.dots_per_char % ((uint64_t)t.chars * t.lines));
    uint32_t line = at / t.chars, column = at % t.chars;
    uint8_t status = 0;

    if (line >= t.shown_lines || column >= t.shown_chars)
        status |= ST01_NOT_SHOWN;
    if (line >= t.retrace_first && line - t.retrace_first < (t.retrace_lines ? t.retrace_lines : 16))
        status |= ST01_RETRACE;
    return status;
}

/* ---- the display interface ---- */

static bool depth_is_known(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Of a plane, in the mode that has planes. */
static uint32_t line_bytes(const struct vga_state *s)
{
    unsigned bpp = s->vbe[VBE_BPP];

    return bpp == 4 ? s->vbe[VBE_VIRT_WIDTH] / 8u : s->vbe[VBE_VIRT_WIDTH] * ((bpp + 7u) / 8u);
}

/* Registers in bounds, so that nobody need fear them later. */
static void fit(struct vga_state *s)
{
    uint16_t *v = s->vbe;
    uint32_t lines;

    if (!depth_is_known(v[VBE_BPP]))
        v[VBE_BPP] = 8;
    v[VBE_XRES] &= 0xfff8u;
    v[VBE_XRES] = v[VBE_XRES] < 8 ? 8 : v[VBE_XRES] > VBE_MAX_XRES ? VBE_MAX_XRES : v[VBE_XRES];
    v[VBE_VIRT_WIDTH] &= 0xfff8u;
    if (v[VBE_VIRT_WIDTH] < v[VBE_XRES])
        v[VBE_VIRT_WIDTH] = v[VBE_XRES];
    if (v[VBE_VIRT_WIDTH] > VBE_MAX_XRES)
        v[VBE_VIRT_WIDTH] = VBE_MAX_XRES;
    lines = (v[VBE_BPP] == 4 ? 0x10000u : VGA_MEMORY_BYTES) / line_bytes(s);
    v[VBE_VIRT_HEIGHT] = (uint16_t)(lines > 0xffff ? 0xffff : lines);
    v[VBE_YRES] = v[VBE_YRES] < 1 ? 1 : v[VBE_YRES] > VBE_MAX_YRES ? VBE_MAX_YRES : v[VBE_YRES];
    if (v[VBE_YRES] > v[VBE_VIRT_HEIGHT])
        v[VBE_YRES] = v[VBE_VIRT_HEIGHT];
    if (v[VBE_X_OFFSET] > v[VBE_VIRT_WIDTH] - v[VBE_XRES])
        v[VBE_X_OFFSET] = (uint16_t)(v[VBE_VIRT_WIDTH] - v[VBE_XRES]);
    if (v[VBE_Y_OFFSET] > v[VBE_VIRT_HEIGHT] - v[VBE_YRES])
        v[VBE_Y_OFFSET] = (uint16_t)(v[VBE_VIRT_HEIGHT] - v[VBE_YRES]);
}

/* Graphics at A0000h in the old registers, too: 256 colours chained, or 4 planes. */
static void set_old_registers(struct vga_state *s)
{
    s->gr[GR_MISC] = (uint8_t)((s->gr[GR_MISC] & ~0x0cu) | 0x04u | GMISC_GRAPHICS);
    s->crtc[CRTC_MODE] |= 0x03u;
    s->seq[SEQ_MAP_MASK] = 0x0f;
    s->gr[GR_MODE] &= (uint8_t)~(GMODE_SHIFT_256 | GMODE_SHIFT_CGA);
    s->seq[SEQ_MEMORY_MODE] &= (uint8_t)~MEMORY_CHAIN_4;
    if (s->vbe[VBE_BPP] != 4) {
        s->gr[GR_MODE] |= GMODE_SHIFT_256;
        s->seq[SEQ_MEMORY_MODE] |= MEMORY_CHAIN_4;
    }
}

static void vbe_switch(struct device *dev, uint16_t value)
{
    struct vga_state *s = dev->state;
    bool was = s->vbe[VBE_ENABLE] & VBE_ENABLED;

    s->vbe[VBE_ENABLE] = value;
    s->vbe[VBE_BANK] = 0;
    if ((value & VBE_ENABLED) && !was) {
        s->vbe[VBE_VIRT_WIDTH] = s->vbe[VBE_X_OFFSET] = s->vbe[VBE_Y_OFFSET] = 0;
        fit(s);
        if (!(value & VBE_NOCLEAR) && s->vbe[VBE_BPP] == 4)
            vga_clear_planes(dev);
        else if (!(value & VBE_NOCLEAR))
            vga_clear(dev, line_bytes(s) * s->vbe[VBE_YRES]);
        set_old_registers(s);
    }
    map_changed(dev);
}

static void vbe_write(struct device *dev, unsigned index, uint16_t value)
{
    struct vga_state *s = dev->state;
    bool on = s->vbe[VBE_ENABLE] & VBE_ENABLED;

    switch (index) {
    case VBE_ID:
        if (value >= VBE_ID_OLDEST && value <= VBE_ID_NEWEST)
            s->vbe[VBE_ID] = value;
        return;
    case VBE_XRES: case VBE_YRES: case VBE_BPP:
        if (!on)
            s->vbe[index] = value;
        return;
    case VBE_ENABLE:
        vbe_switch(dev, value);
        return;
    case VBE_BANK:
        s->vbe[VBE_BANK] = value % (VGA_MEMORY_BYTES >> 16);
        return;
    case VBE_VIRT_WIDTH: case VBE_X_OFFSET: case VBE_Y_OFFSET:
        s->vbe[index] = value;
        if (on)
            fit(s);
        return;
    default:
        return;
    }
}

static uint16_t vbe_read(const struct vga_state *s, unsigned index)
{
    if (index >= VBE_REGS)
        return 0;
    if (s->vbe[VBE_ENABLE] & VBE_GETCAPS) {
        switch (index) {
        case VBE_XRES: return VBE_MAX_XRES;
        case VBE_YRES: return VBE_MAX_YRES;
        case VBE_BPP:  return 32;
        default:       break;
        }
    }
    return s->vbe[index];
}

/* ---- the old registers ---- */

static void dac_write(struct vga_state *s, uint8_t value)
{
    s->dac_new[s->dac_component++] = s->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? value : value & 0x3fu;
    if (s->dac_component < 3)
        return;
    memcpy(s->palette + 3 * s->dac_write, s->dac_new, 3);
    s->dac_component = 0;
    s->dac_write++;
}

static uint8_t dac_read(struct vga_state *s)
{
    uint8_t value = s->palette[3 * s->dac_read + s->dac_component++];

    if (s->dac_component == 3) {
        s->dac_component = 0;
        s->dac_read++;
    }
    return value;
}

/* One port, 3C0h, takes indices and values in turn; reading input status 1 makes it an index. */
static void attr_write(struct vga_state *s, uint8_t value)
{
    unsigned n = s->attr_index & 0x1fu;

    s->attr_data ^= 1;
    if (s->attr_data) {
        s->attr_index = value & 0x3fu;
        return;
    }
    if (n < AR_MODE) {
        if (!(s->attr_index & ATTR_SHOWN)) /* the palette is written only while it is not shown */
            s->attr[n] = value & 0x3fu;
    } else if (n < AR_REGS) {
        static const uint8_t mask[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};

        s->attr[n] = value & mask[n - AR_MODE];
    }
}

static void crtc_write(struct vga_state *s, uint8_t value)
{
    unsigned n = s->crtc_index;

    if (n >= CRTC_REGS)
        return;
    if (n <= CRTC_OVERFLOW && (s->crtc[CRTC_V_RETRACE_END] & 0x80u)) { /* protected, but for a bit of line compare */
        if (n == CRTC_OVERFLOW)
            s->crtc[n] = (uint8_t)((s->crtc[n] & ~0x10u) | (value & 0x10u));
        return;
    }
    s->crtc[n] = value;
}

/* Only one of 3Bxh and 3Dxh is there. */
static bool absent(const struct vga_state *s, unsigned port)
{
    return (port & 0xfff0u) == (s->misc & MISC_COLOR ? 0x3b0u : 0x3d0u);
}

static uint8_t port_read(struct device *dev, unsigned port)
{
    struct vga_state *s = dev->state;

    if (absent(s, port))
        return 0xff;
    switch (port) {
    case 0x3c0: return s->attr_data ? 0 : s->attr_index;
    case 0x3c1: return (s->attr_index & 0x1fu) < AR_REGS ? s->attr[s->attr_index & 0x1fu] : 0;
    case 0x3c2: return 0x10; /* input status 0: a monitor is there */
    case 0x3c4: return s->seq_index;
    case 0x3c5: return s->seq_index < SEQ_REGS ? s->seq[s->seq_index] : 0;
    case 0x3c6: return s->dac_mask;
    case 0x3c7: return s->dac_reading ? 3 : 0;
    case 0x3c8: return s->dac_write;
    case 0x3c9: return dac_read(s);
    case 0x3ca: return s->feature;
    case 0x3cc: return s->misc;
    case 0x3ce: return s->gr_index;
    case 0x3cf: return s->gr_index < GR_REGS ? s->gr[s->gr_index] : 0;
    case 0x3b4: case 0x3d4: return s->crtc_index;
    case 0x3b5: case 0x3d5: return s->crtc_index < CRTC_REGS ? s->crtc[s->crtc_index] : 0;
    case 0x3ba: case 0x3da:
        s->attr_data = 0;
        return input_status_1(dev);
    default: return 0xff;
    }
}

static void port_write(struct device *dev, unsigned port, uint8_t value)
{
    struct vga_state *s = dev->state;

    if (absent(s, port))
        return;
    switch (port) {
    case 0x3c0:
        attr_write(s, value);
        return;
    case 0x3c2:
        s->misc = value & 0xefu;
        break;
    case 0x3c4:
        s->seq_index = value & 0x07u;
        return;
    case 0x3c5:
        if (s->seq_index < SEQ_REGS)
            s->seq[s->seq_index] = value & seq_mask[s->seq_index];
        break;
    case 0x3c6:
        s->dac_mask = value;
        return;
    case 0x3c7:
        s->dac_read = value;
        s->dac_component = 0;
        s->dac_reading = 1;
        return;
    case 0x3c8:
        s->dac_write = value;
        s->dac_component = 0;
        s->dac_reading = 0;
        return;
    case 0x3c9:
        dac_write(s, value);
        return;
    case 0x3ce:
        s->gr_index = value & 0x0fu;
        return;
    case 0x3cf:
        if (s->gr_index < GR_REGS)
            s->gr[s->gr_index] = value & gr_mask[s->gr_index];
        break;
    case 0x3b4: case 0x3d4:
        s->crtc_index = value;
        return;
    case 0x3b5: case 0x3d5:
        crtc_write(s, value);
        return;
    case 0x3ba: case 0x3da:
        s->feature = value & 0x10u;
        return;
    default:
        return;
    }
    map_changed(dev);
}

/* ---- accesses ---- */

/* 1CEh index, 1CFh (and, aligned, 1D0h) data; 16 bits wide. */
static uint64_t vbe_port_read(const struct vga_state *s, uint64_t offset, unsigned size)
{
    uint16_t value = offset == 0 ? s->vbe_index : vbe_read(s, s->vbe_index);

    return size == 2 && offset <= 2 ? value : UINT64_MAX;
}

static void vbe_port_write(struct device *dev, uint64_t offset, unsigned size, uint16_t value)
{
    struct vga_state *s = dev->state;

    if (size != 2 || offset > 2)
        return;
    if (offset == 0)
        s->vbe_index = value;
    else
        vbe_write(dev, s->vbe_index, value);
}

/* BAR 2: 400h the ports from 3C0h on, 500h the display interface, 600h QEMU's own registers. */
#define MMIO_PORTS 0x400u
#define MMIO_VBE   0x500u
#define MMIO_OWN   0x600u
#define BIG_ENDIAN_OFF 0x1e1e1e1eu

static uint64_t mmio_read(struct device *dev, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS + 0x20) {
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)port_read(dev, 0x3c0u + (unsigned)(offset - MMIO_PORTS) + i) << (8 * i);
        return value;
    }
    if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGS && size == 2 && !(offset & 1))
        return vbe_read(dev->state, (unsigned)(offset - MMIO_VBE) / 2);
    if (offset + size <= EDID_BYTES) {
        const struct vga_wiring *w = dev->wiring;

        for (unsigned i = 0; w->has_edid && i < size; i++)
            value |= (uint64_t)w->edid[offset + i] << (8 * i);
        return value;
    }
    if (offset == MMIO_OWN && size == 4)
        return 8; /* bytes of them */
    if (offset == MMIO_OWN + 4 && size == 4)
        return BIG_ENDIAN_OFF;
    return offset < 0x400 ? 0 : UINT64_MAX;
}

static void mmio_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS + 0x20) {
        for (unsigned i = 0; i < size; i++)
            port_write(dev, 0x3c0u + (unsigned)(offset - MMIO_PORTS) + i, (uint8_t)(value >> (8 * i)));
        return;
    }
    if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGS && size == 2 && !(offset & 1))
        vbe_write(dev, (unsigned)(offset - MMIO_VBE) / 2, (uint16_t)value);
}

static uint64_t vga_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    switch (range) {
    case VGA_PORTS:
        return port_read(dev, 0x3b0u + (unsigned)offset);
    case VGA_VBE_PORTS:
        return vbe_port_read(dev->state, offset, size);
    case VGA_MMIO:
        return mmio_read(dev, offset, size);
    default:
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)vga_window_read(dev, (uint32_t)offset + i) << (8 * i);
        return value;
    }
}

static void vga_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    switch (range) {
    case VGA_PORTS:
        port_write(dev, 0x3b0u + (unsigned)offset, (uint8_t)value);
        break;
    case VGA_VBE_PORTS:
        vbe_port_write(dev, offset, size, (uint16_t)value);
        break;
    case VGA_MMIO:
        mmio_write(dev, offset, size, value);
        break;
    default:
        for (unsigned i = 0; i < size; i++)
            vga_window_write(dev, (uint32_t)offset + i, (uint8_t)(value >> (8 * i)));
        break;
    }
}

/* ---- reset and firmware ---- */

static void vga_reset(struct device *dev)
{
    struct vga_wiring *w = dev->wiring;
    struct vga_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    if (w->shown_by == &w->pci)
        pci_function_reset(&w->pci);
    s->dac_mask = 0xff;
    s->vbe[VBE_ID] = VBE_ID_NEWEST;
    s->vbe[VBE_MEMORY_64K] = VGA_MEMORY_BYTES >> 16;
    map_changed(dev);
}

/* The 64 colours of an EGA, which a VGA's text modes keep. */
static void default_palette(struct vga_state *s)
{
    for (unsigned n = 0; n < 64; n++)
        for (unsigned c = 0; c < 3; c++)
            s->palette[3 * n + c] = (uint8_t)((n >> (2 - c) & 1u) * 0x2au + (n >> (5 - c) & 1u) * 0x15u);
}

void vga_firmware_setup(struct device *dev)
{
    static const uint8_t seq[SEQ_REGS] = {0x03, 0x00, 0x03, 0x00, 0x02};
    static const uint8_t crtc[CRTC_REGS] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
                                            0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
    static const uint8_t gr[GR_REGS] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
    static const uint8_t attr[AR_REGS] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                          0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
    struct vga_wiring *w = dev->wiring;
    struct vga_state *s = dev->state;
    uint8_t rows[16];

    s->misc = 0x67;
    memcpy(s->seq, seq, sizeof(seq));
    memcpy(s->crtc, crtc, sizeof(crtc));
    memcpy(s->gr, gr, sizeof(gr));
    memcpy(s->attr, attr, sizeof(attr));
    s->attr_index = ATTR_SHOWN;
    default_palette(s);
    for (unsigned n = 0; n < 256; n++) {
        vga_glyph(n, rows);
        for (unsigned y = 0; y < 16; y++)
            vga_plane_set(dev, 2, n * 32 + y, rows[y]);
    }
    for (uint32_t n = 0; n < VGA_TEXT_BYTES; n += 2) { /* blank, light grey on black */
        vga_plane_set(dev, 0, n, ' ');
        vga_plane_set(dev, 1, n, 0x07);
    }
    pci_config_write(w->shown_by, PCI_BAR0, 4, VGA_FIRMWARE_LFB);
    pci_config_write(w->shown_by, PCI_BAR0 + 8, 4, VGA_FIRMWARE_MMIO);
    pci_config_write(w->shown_by, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    map_changed(dev);
}

void vga_set_mode(struct device *dev, unsigned width, unsigned height, unsigned bpp)
{
    vbe_write(dev, VBE_XRES, (uint16_t)width);
    vbe_write(dev, VBE_YRES, (uint16_t)height);
    vbe_write(dev, VBE_BPP, (uint16_t)bpp);
    vbe_write(dev, VBE_ENABLE, VBE_ENABLED | VBE_LFB);
}

static void vga_describe(const struct device *dev, struct buffer *b)
{
    const struct vga_state *s = dev->state;
    const uint16_t *v = s->vbe;

    if (v[VBE_ENABLE] & VBE_ENABLED)
        buffer_printf(b, "display interface: %ux%ux%u, %u wide, from %u,%u\n", v[VBE_XRES], v[VBE_YRES], v[VBE_BPP],
                      v[VBE_VIRT_WIDTH], v[VBE_X_OFFSET], v[VBE_Y_OFFSET]);
    buffer_printf(b, "misc %02x\nsequencer ", s->misc);
    for (unsigned n = 0; n < SEQ_REGS; n++)
        buffer_printf(b, " %02x", s->seq[n]);
    buffer_printf(b, "\ncrtc      ");
    for (unsigned n = 0; n < CRTC_REGS; n++)
        buffer_printf(b, " %02x", s->crtc[n]);
    buffer_printf(b, "\ngraphics  ");
    for (unsigned n = 0; n < GR_REGS; n++)
        buffer_printf(b, " %02x", s->gr[n]);
    buffer_printf(b, "\nattribute ");
    for (unsigned n = 0; n < AR_REGS; n++)
        buffer_printf(b, " %02x", s->attr[n]);
    buffer_printf(b, "\n");
}

static bool vga_possible(const struct device *dev)
{
    const struct vga_state *s = dev->state;

    return s->dac_component < 3;
}

static unsigned vga_text_pages(const struct device *dev, struct display_pages *areas)
{
    const struct vga_wiring *w = dev->wiring;

    /* Characters of planes' odd bytes lie in the framebuffer (vga_memory.c). */
    areas[0] = (struct display_pages){w->text_page, VGA_TEXT_BYTES >> PAGE_SHIFT};
    areas[1] = (struct display_pages){w->page, VGA_PLANES_BYTES >> PAGE_SHIFT};
    return 2;
}

static bool over_shows(const struct device *dev)
{
    const struct vga_wiring *w = dev->wiring;

    return w->over && w->over_shows(w->over);
}

static unsigned heads(const struct device *dev)
{
    const struct vga_wiring *w = dev->wiring;

    return w->over ? w->over_display->heads(w->over) : 1;
}

static int picture(const struct device *dev, unsigned head, struct display_picture *out, struct error *err)
{
    const struct vga_wiring *w = dev->wiring;

    if (head || over_shows(dev))
        return w->over_display->picture(w->over, head, out, err);
    return vga_screen_picture(dev, head, out, err);
}

static int text(const struct device *dev, unsigned head, struct buffer *out, struct error *err)
{
    if (head || over_shows(dev))
        return error_set(err, -EINVAL, "the display shows graphics: monitor screendump FILE draws it");
    return vga_screen_text(dev, head, out, err);
}

static const struct display_ops vga_display = {
    .heads = heads,
    .picture = picture,
    .text = text,
    .text_pages = vga_text_pages,
};

const struct device_ops vga_ops = {
    .name = "vga",
    .state_size = sizeof(struct vga_state),
    .calm_reads = true,
    .possible = vga_possible,
    .reset = vga_reset,
    .describe = vga_describe,
    .display = &vga_display,
    .read = vga_read,
    .write = vga_write,
};

/* ---- plugged in by the user ---- */

int board_display_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err)
{
    (void)s, (void)name, (void)devfn, (void)d, (void)props;
    return error_set(err, -EINVAL, "only a board that comes with a VGA can have it (the pc's --vga)");
}

const struct option_key secondary_vga_keys[] = {EDID_KEYS, {NULL, NULL}};

uint64_t secondary_vga_storage(const struct option_list *props)
{
    (void)props;
    return VGA_MEMORY_BYTES + VGA_TEXT_BYTES;
}

int secondary_vga_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err)
{
    struct vga_wiring *w;
    struct device *dev;

    (void)d;
    dev = machine_add_owned_device(s->machine, &vga_ops, name, sizeof(*w));
    w = dev->wiring;
    w->secondary = true;
    if (vga_take_edid(w, props, err) < 0 || display_alloc(dev, 'v', VGA_MEMORY_BYTES, &w->page, err) < 0 ||
        display_alloc(dev, 't', VGA_TEXT_BYTES, &w->text_page, err) < 0)
        return -EINVAL;
    vga_plug(dev, s->pci, devfn);
    return 0;
}
