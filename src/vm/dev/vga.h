/* The display adapter: registers in vga.c, its memory in vga_memory.c, pictures of it in vga_draw.c. */
#ifndef HINDCAST_VM_DEV_VGA_H
#define HINDCAST_VM_DEV_VGA_H

#include "vm/dev/edid.h"
#include "vm/dev/parts.h"
#include "vm/dev/pci.h"
#include "vm/device.h"

struct buffer;
struct display_picture;
struct error;

#define VGA_MEMORY_BYTES ((uint32_t)16 << 20)
#define VGA_TEXT_BYTES   0x8000u  /* the storage of text cells: see vga_memory.c */
#define VGA_PLANES_BYTES 0x40000u /* the beginning of its memory, as the four planes */
#define VGA_WINDOW_BASE  0xa0000u
#define VGA_WINDOW_BYTES 0x20000u
#define VGA_MMIO_BYTES   0x1000u
#define VGA_ROM_BYTES    0x10000u /* the size that the expansion ROM's base register decodes */
/* Where a BIOS puts the framebuffer and the registers. */
#define VGA_FIRMWARE_LFB  0xfd000000u
#define VGA_FIRMWARE_MMIO 0xfebf0000u

/* Ranges: 3B0h-3DFh, 1CEh-1D1h, memory at A0000h, the registers in memory (BAR 2). */
enum { VGA_PORTS, VGA_VBE_PORTS, VGA_WINDOW, VGA_MMIO };

/* Register numbers (IBM PS/2 Hardware Interface, Video Subsystem; names are its). */
enum { SEQ_CLOCKING = 1, SEQ_MAP_MASK, SEQ_CHARACTER_MAP, SEQ_MEMORY_MODE, SEQ_REGS };
enum {
    CRTC_H_TOTAL = 0x00, CRTC_H_DISPLAY = 0x01, CRTC_V_TOTAL = 0x06, CRTC_OVERFLOW = 0x07, CRTC_PRESET_ROW = 0x08,
    CRTC_MAX_SCAN = 0x09, CRTC_CURSOR_START = 0x0a, CRTC_CURSOR_END = 0x0b, CRTC_START_HIGH = 0x0c,
    CRTC_START_LOW = 0x0d, CRTC_CURSOR_HIGH = 0x0e, CRTC_CURSOR_LOW = 0x0f, CRTC_V_RETRACE_START = 0x10,
    CRTC_V_RETRACE_END = 0x11, CRTC_V_DISPLAY = 0x12, CRTC_OFFSET = 0x13, CRTC_UNDERLINE = 0x14, CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18, CRTC_REGS
};
enum {
    GR_SET_RESET, GR_ENABLE_SET_RESET, GR_COLOR_COMPARE, GR_ROTATE, GR_READ_MAP, GR_MODE, GR_MISC, GR_DONT_CARE,
    GR_BIT_MASK, GR_REGS
};
enum { AR_MODE = 0x10, AR_OVERSCAN, AR_PLANE_ENABLE, AR_PANNING, AR_COLOR_SELECT, AR_REGS };
/* The display interface of Bochs and QEMU. */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
       VBE_Y_OFFSET, VBE_MEMORY_64K, VBE_REGS };

#define MISC_COLOR      0x01u
#define CLOCKING_8_DOTS 0x01u
#define CLOCKING_HALF   0x08u
#define CLOCKING_OFF    0x20u
#define MEMORY_ODD_EVEN_OFF 0x04u
#define MEMORY_CHAIN_4  0x08u
#define GMODE_READ_1    0x08u
#define GMODE_ODD_EVEN  0x10u
#define GMODE_SHIFT_CGA 0x20u
#define GMODE_SHIFT_256 0x40u
#define GMISC_GRAPHICS  0x01u
#define GMISC_ODD_EVEN  0x02u /* address bit 0 chooses a plane and is replaced */
#define AMODE_GRAPHICS  0x01u
#define AMODE_LINE      0x04u
#define AMODE_BLINK     0x08u
#define AMODE_8_BIT     0x40u
#define AMODE_P54       0x80u
#define ATTR_SHOWN      0x20u /* the attribute index's own bit */
#define VBE_ENABLED     0x01u
#define VBE_GETCAPS     0x02u
#define VBE_8BIT_DAC    0x20u
#define VBE_LFB         0x40u
#define VBE_NOCLEAR     0x80u

DEVICE_STATE_BEGIN
struct vga_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t misc, feature;
    uint8_t seq_index, crtc_index, gr_index, attr_index;
    uint8_t attr_data;         /* 3C0h takes an attribute register's value next, not its index */
    uint8_t dac_mask, dac_read, dac_write, dac_component; /* indices; which of red, green, blue comes next */
    uint8_t dac_reading;       /* 3C7h was written after 3C8h */
    uint8_t dac_new[3];        /* a colour takes effect with its third byte */
    uint8_t seq[SEQ_REGS];
    uint8_t crtc[CRTC_REGS];
    uint8_t gr[GR_REGS];
    uint8_t attr[AR_REGS];
    uint8_t latch[4];
    uint8_t palette[768];
    uint8_t reserved;
    uint16_t vbe_index;
    uint16_t vbe[VBE_REGS];
};
DEVICE_STATE_END

struct vga_wiring {
    struct pci_function pci;
    struct pci_function *shown_by; /* the function whose base addresses show it: `pci`, or that of a display which it is part of */
    /* That display, in whose place it is shown as long as this says that nothing else is; NULL: it is one by itself. */
    struct device *over;
    const struct display_ops *over_display;
    bool (*over_shows)(const struct device *over);
    void (*map_changed)(void *ctx); /* which accesses pages can answer; NULL: nobody wants to know */
    void *map_ctx;
    uint32_t page;      /* first page of VGA_MEMORY_BYTES */
    uint32_t text_page; /* first page of VGA_TEXT_BYTES */
    uint32_t rom_page;  /* first page of VGA_ROM_BYTES */
    bool has_rom;
    bool secondary;     /* it has no ports and no window at A0000h: all by its base addresses */
    bool has_edid;
    uint8_t edid[EDID_BYTES];
};

extern const struct device_ops vga_ops;

/* After the wiring has its pages. */
void vga_plug(struct device *, struct pci_bus *bus, uint8_t devfn);
/* The same as part of another display's function: framebuffer and ROM are at its base addresses, and who calls has the registers
 * answer (range VGA_MMIO). */
void vga_plug_into(struct device *, struct pci_function *f);
/* The properties edid, xres and yres of the board's own. 0, or -EINVAL with *err. */
int vga_take_edid(struct vga_wiring *w, const struct option_list *props, struct error *err);
/* Can the text cells' pages answer for [*base, *base + VGA_TEXT_BYTES)? */
bool vga_text_window(const struct device *, uint32_t *base);

/* Of displays that are a board's own: says so. */
int board_display_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err);
/* The `secondary-vga` of --device. */
extern const struct option_key secondary_vga_keys[];
int secondary_vga_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err);
uint64_t secondary_vga_storage(const struct option_list *props);

/* As a BIOS leaves it: 80x25 text (mode 3), a font, addresses assigned. */
void vga_firmware_setup(struct device *);
/* The framebuffer in a mode of the display interface; after vga_firmware_setup(). */
void vga_set_mode(struct device *, unsigned width, unsigned height, unsigned bpp);

/* The memory's accesses by way of the graphics controller (vga_memory.c). */
uint8_t vga_window_read(struct device *, uint32_t offset);
void vga_window_write(struct device *, uint32_t offset, uint8_t value);
/* One byte of the display memory's plane 0-3. */
uint8_t vga_plane_get(const struct device *, unsigned plane, uint32_t offset);
void vga_plane_set(struct device *, unsigned plane, uint32_t offset, uint8_t value);
/* Zeros: the first bytes of the framebuffer, or all four planes. */
void vga_clear(struct device *, uint32_t bytes);
void vga_clear_planes(struct device *);

/* Pictures (vga_draw.c): as display_ops has them. */
int vga_screen_text(const struct device *, unsigned head, struct buffer *out, struct error *err);
int vga_screen_picture(const struct device *, unsigned head, struct display_picture *out, struct error *err);
/* An 8x16 glyph of the font that vga_firmware_setup() loads (vga_font.c). */
void vga_glyph(unsigned character, uint8_t rows[16]);

#endif
