/*
 * The VGA's memory as the CPU sees it between A0000h and BFFFFh: four planes of
 * 64 KiB behind latches, a write pipeline and a map mask (IBM PS/2 Hardware
 * Interface, Video Subsystem, "Graphics Controller"), odd/even and chain-4
 * addressing; or, in the modes of the display interface, a bank of the
 * framebuffer.
 *
 * Odd/even addressing is three bits in three places: the sequencer's memory mode chooses the
 * planes of a write by address bit 0, the graphics controller's mode that of a read, and its
 * miscellaneous register replaces the bit, in both directions, whatever the other two say. Where
 * those two agree on odd and even planes it is replaced, too.
 *
 * Storage. Byte `o` of plane `p` is byte 4 * o + p of the framebuffer, with one
 * exception: of planes 0 and 1 the even bytes of the lower half, which are the
 * characters and attributes of text modes, lie beside each other in pages of
 * their own. So a text window is ordinary memory to the CPU (memmap.c maps those
 * pages when vga_text_window() says so), and writing text costs what writing RAM
 * costs. Reads that take this way do not load the latches: a program would have
 * to read in a text mode and then write in write mode 1 to notice.
 */
#include <string.h>

#include "vm/dev/vga.h"
#include "vm/machine.h"

/* Page and offset of a byte of a plane. */
static uint32_t locate(const struct device *dev, unsigned plane, uint32_t offset, uint32_t *in_page)
{
    const struct vga_wiring *w = dev->wiring;
    uint32_t first = w->page, at = offset * 4 + plane;

    if (plane < 2 && !(offset & 1u) && offset < VGA_TEXT_BYTES) {
        first = w->text_page;
        at = offset + plane;
    }
    *in_page = at & (PAGE_SIZE - 1);
    return first + (at >> PAGE_SHIFT);
}

static void store(struct device *dev, uint32_t page, uint32_t in_page, uint8_t value)
{
    struct memory *mem = &dev->machine->memory;

    memory_touch(mem, page, in_page, 1);
    mem->host[((uint64_t)page << PAGE_SHIFT) + in_page] = value;
}

uint8_t vga_plane_get(const struct device *dev, unsigned plane, uint32_t offset)
{
    uint32_t in_page, page = locate(dev, plane & 3u, offset & 0xffffu, &in_page);

    return memory_page(&dev->machine->memory, page)[in_page];
}

void vga_plane_set(struct device *dev, unsigned plane, uint32_t offset, uint8_t value)
{
    uint32_t in_page, page = locate(dev, plane & 3u, offset & 0xffffu, &in_page);

    store(dev, page, in_page, value);
}

void vga_clear(struct device *dev, uint32_t bytes)
{
    const struct vga_wiring *w = dev->wiring;
    struct memory *mem = &dev->machine->memory;
    uint32_t page = w->page;

    for (; bytes; page++) {
        uint32_t n = bytes < PAGE_SIZE ? bytes : (uint32_t)PAGE_SIZE;

        memory_touch(mem, page, 0, n);
        memset(mem->host + ((uint64_t)page << PAGE_SHIFT), 0, n);
        bytes -= n;
    }
}

void vga_clear_planes(struct device *dev)
{
    for (uint32_t offset = 0; offset < 0x10000u; offset++)
        for (unsigned p = 0; p < 4; p++)
            vga_plane_set(dev, p, offset, 0);
}

/* ---- the window ---- */

/* Where the window lies within A0000h-BFFFFh (miscellaneous register, memory map). */
static bool in_window(const struct vga_state *s, uint32_t *offset)
{
    static const struct {
        uint32_t base, size;
    } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned n = s->gr[GR_MISC] >> 2 & 3u;

    if (*offset < maps[n].base || *offset - maps[n].base >= maps[n].size)
        return false;
    *offset -= maps[n].base;
    return true;
}

bool vga_text_window(const struct device *dev, uint32_t *base)
{
    const struct vga_state *s = dev->state;
    unsigned map = s->gr[GR_MISC] >> 2 & 3u;

    *base = map == 2 ? 0xb0000u : 0xb8000u;
    return map >= 2 && !(s->seq[SEQ_MEMORY_MODE] & (MEMORY_ODD_EVEN_OFF | MEMORY_CHAIN_4)) && s->seq[SEQ_MAP_MASK] == 0x03 &&
           s->gr[GR_MODE] == GMODE_ODD_EVEN && !(s->gr[GR_READ_MAP] & 2u) &&
           s->gr[GR_ENABLE_SET_RESET] == 0 &&
           s->gr[GR_ROTATE] == 0 && s->gr[GR_BIT_MASK] == 0xff && !(s->vbe[VBE_ENABLE] & VBE_ENABLED);
}

/* The display interface's modes of 8 bits and more: a bank of the framebuffer. */
static bool banked(const struct device *dev, uint32_t offset, uint32_t *page, uint32_t *in_page)
{
    const struct vga_wiring *w = dev->wiring;
    const struct vga_state *s = dev->state;
    uint32_t at = ((uint32_t)s->vbe[VBE_BANK] << 16) + offset;

    if (!(s->vbe[VBE_ENABLE] & VBE_ENABLED) || s->vbe[VBE_BPP] == 4)
        return false;
    at &= VGA_MEMORY_BYTES - 1;
    *page = w->page + (at >> PAGE_SHIFT);
    *in_page = at & (PAGE_SIZE - 1);
    return true;
}

/* Do sequencer and graphics controller agree on odd and even planes, as in a text mode? Address bit 0 is then replaced
 * without being asked for, too: GRUB as firmware does not ask. */
static bool odd_even_text(const struct vga_state *s)
{
    return (s->gr[GR_MODE] & GMODE_ODD_EVEN) && !(s->seq[SEQ_MEMORY_MODE] & MEMORY_ODD_EVEN_OFF);
}

/* The byte of a plane that a CPU address means. The bit that replaces address bit 0 is 0: see vga.c. */
static uint32_t plane_offset(const struct vga_state *s, uint32_t offset)
{
    if (s->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4)
        return offset & ~3u;
    return (s->gr[GR_MISC] & GMISC_ODD_EVEN) || odd_even_text(s) ? offset & ~1u : offset;
}

/* Read mode 1: which pixels have the colour to compare with. */
static uint8_t compare(const struct vga_state *s)
{
    uint8_t differs = 0;

    for (unsigned p = 0; p < 4; p++) {
        uint8_t want = s->gr[GR_COLOR_COMPARE] >> p & 1u ? 0xff : 0;

        if (s->gr[GR_DONT_CARE] >> p & 1u)
            differs |= s->latch[p] ^ want;
    }
    return (uint8_t)~differs;
}

uint8_t vga_window_read(struct device *dev, uint32_t offset)
{
    struct vga_state *s = dev->state;
    unsigned plane = s->gr[GR_READ_MAP] & 3u;
    uint32_t page, in_page;

    if (!in_window(s, &offset))
        return 0xff;
    if (banked(dev, offset, &page, &in_page))
        return memory_page(&dev->machine->memory, page)[in_page];
    if (s->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4)
        plane = offset & 3u;
    else if (s->gr[GR_MODE] & GMODE_ODD_EVEN)
        plane = (plane & 2u) | (offset & 1u);
    offset = plane_offset(s, offset);
    for (unsigned p = 0; p < 4; p++)
        s->latch[p] = vga_plane_get(dev, p, offset);
    if ((s->gr[GR_MODE] & GMODE_READ_1) && !(s->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4))
        return compare(s);
    return s->latch[plane];
}

static uint8_t rotated(const struct vga_state *s, uint8_t value)
{
    unsigned n = s->gr[GR_ROTATE] & 7u;

    return (uint8_t)(value >> n | value << (8 - n));
}

/* What the write modes make of the CPU's byte for plane `p`: new bits, and which of them count. */
static uint8_t plane_data(const struct vga_state *s, unsigned p, uint8_t value, uint8_t *mask)
{
    uint8_t set = s->gr[GR_SET_RESET] >> p & 1u ? 0xff : 0;

    *mask = s->gr[GR_BIT_MASK];
    switch (s->gr[GR_MODE] & 3u) {
    case 0:
        return s->gr[GR_ENABLE_SET_RESET] >> p & 1u ? set : rotated(s, value);
    case 2:
        return value >> p & 1u ? 0xff : 0;
    default: /* 3 */
        *mask &= rotated(s, value);
        return set;
    }
}

static uint8_t combined(const struct vga_state *s, unsigned p, uint8_t value)
{
    uint8_t mask, data, latch = s->latch[p];

    if ((s->gr[GR_MODE] & 3u) == 1)
        return latch;
    data = plane_data(s, p, value, &mask);
    switch (s->gr[GR_ROTATE] >> 3 & 3u) {
    case 1:  data &= latch; break;
    case 2:  data |= latch; break;
    case 3:  data ^= latch; break;
    default: break;
    }
    return (uint8_t)((data & mask) | (latch & ~mask));
}

void vga_window_write(struct device *dev, uint32_t offset, uint8_t value)
{
    struct vga_state *s = dev->state;
    unsigned planes = s->seq[SEQ_MAP_MASK];
    uint32_t page, in_page;

    if (!in_window(s, &offset))
        return;
    if (banked(dev, offset, &page, &in_page)) {
        store(dev, page, in_page, value);
        return;
    }
    if (s->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4)
        planes &= 1u << (offset & 3u);
    else if (!(s->seq[SEQ_MEMORY_MODE] & MEMORY_ODD_EVEN_OFF))
        planes &= offset & 1u ? 0xau : 0x5u;
    offset = plane_offset(s, offset);
    for (unsigned p = 0; p < 4; p++)
        if (planes >> p & 1u)
            vga_plane_set(dev, p, offset, combined(s, p, value));
}
