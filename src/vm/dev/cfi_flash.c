/*
 * NOR flash with the Intel command set (Intel StrataFlash J3; JEDEC CFI,
 * JESD68.01): two 16-bit chips side by side make a bank 32 bits wide. Both get
 * the same commands; what they answer appears in both halves of a word. Or one
 * chip of 8 bits is the bank (`byte_wide`), with blocks of 4 KiB: a PC's, as QEMU has it.
 *
 * The contents are pages of the machine's memory, so checkpoints have them; in
 * array mode the guest reads (and runs) them directly, in any other mode the
 * bank becomes a device. Programming can only clear bits; erasing sets them.
 * A reset goes back to array mode and keeps the contents.
 *
 * Everything happens at once: the status register always shows ready. With one exception: that of
 * a byte-wide bank is zero from its clearing to the next command that programs or erases. Chips are not so,
 * QEMU is, and OVMF takes it for the sign that there is flash.
 *
 * Not modelled: the time that things take, suspend, protection registers, and
 * block locks (they are accepted and read back as unlocked).
 */
#include "vm/dev/cfi_flash.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/machine.h"

#define STATUS_READY   0x80u
#define STATUS_ERASE   0x20u
#define STATUS_PROGRAM 0x10u

#define MANUFACTURER 0x89u
#define DEVICE_CODE  0x18u
#define BUFFER_SHIFT 10u /* write buffer of each chip: 1 KiB */
#define BUFFER_WORDS (2u << BUFFER_SHIFT >> 2)
#define BYTE_BUFFER_SHIFT 8u /* that of a byte-wide one: 256 bytes */

/* What the next write means, and what reads show. */
enum mode { ARRAY, STATUS, ID, CFI, PROGRAM, ERASE, BUFFER_COUNT, BUFFER_DATA, BUFFER_CONFIRM, LOCK };

DEVICE_STATE_BEGIN
struct cfi_flash_state {
    uint32_t mode;      /* enum mode */
    uint32_t status;
    uint32_t left;      /* BUFFER_DATA: words (byte-wide: bytes) still to come */
    uint32_t filled;    /* of them in the buffer */
    uint64_t at[BUFFER_WORDS];   /* offset and size (in bits 60-63) of each */
    uint32_t word[BUFFER_WORDS];
};
DEVICE_STATE_END

static enum region_kind kind_of(const struct cfi_flash_state *s)
{
    return s->mode == ARRAY ? REGION_ROMD : REGION_MMIO;
}

static void show(struct device *dev)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    const struct cfi_flash_state *s = dev->state;
    struct memory *mem = &dev->machine->memory;

    if (w->region < mem->nregions && mem->regions[w->region].kind != kind_of(s))
        memory_region_kind(mem, w->region, kind_of(s));
}

static void set_mode(struct device *dev, enum mode mode)
{
    struct cfi_flash_state *s = dev->state;

    s->mode = mode;
    show(dev);
}

static uint32_t block_bytes(const struct cfi_flash_wiring *w)
{
    return w->byte_wide ? CFI_FLASH_BYTE_BLOCK_BYTES : CFI_FLASH_BLOCK_BYTES;
}

static uint8_t cfi_byte(const struct cfi_flash_wiring *w, unsigned n)
{
    static const uint8_t table[0x35] = {
        [0x10] = 'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, /* Intel command set; its table at 31h */
        [0x1b] = 0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0, /* voltages, times */
        [0x28] = 0x02, 0x00, BUFFER_SHIFT, 0x00, 1, /* x8/x16, buffer, one kind of blocks */
        [0x31] = 'P', 'R', 'I', '1',
    };
    unsigned chips = w->byte_wide ? 1 : 2;
    uint64_t chip = w->size / chips, blocks = w->size / block_bytes(w) - 1;

    switch (n) {
    case 0x27: return (uint8_t)(63 - __builtin_clzll(chip)); /* of a power of two that it holds */
    case 0x2a: return w->byte_wide ? BYTE_BUFFER_SHIFT : BUFFER_SHIFT;
    case 0x2d: return (uint8_t)blocks;
    case 0x2e: return (uint8_t)(blocks >> 8);
    case 0x2f: return (uint8_t)(block_bytes(w) / chips >> 8);
    case 0x30: return (uint8_t)(block_bytes(w) / chips >> 16);
    case 0x35: return '0';
    default:   return n < sizeof(table) ? table[n] : 0;
    }
}

static const uint8_t *contents(const struct device *dev, uint64_t offset)
{
    const struct cfi_flash_wiring *w = dev->wiring;

    return memory_page(&dev->machine->memory, w->page) + offset;
}

const uint8_t *cfi_flash_contents(const struct device *dev, uint64_t *size)
{
    const struct cfi_flash_wiring *w = dev->wiring;

    *size = w->size;
    return contents(dev, 0);
}

/* Change `size` bytes that lie within a page. */
static void store(struct device *dev, uint64_t offset, const void *bytes, unsigned size)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    struct memory *mem = &dev->machine->memory;
    uint32_t page = w->page + (uint32_t)(offset >> PAGE_SHIFT);

    memory_touch(mem, page, offset & (PAGE_SIZE - 1), size);
    memcpy(mem->host + ((uint64_t)w->page << PAGE_SHIFT) + offset, bytes, size);
}

static void program(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    struct cfi_flash_state *s = dev->state;
    uint8_t bytes[8];

    if (w->byte_wide)
        s->status |= STATUS_READY;
    if (w->read_only)
        s->status |= STATUS_PROGRAM;
    if (size > 8 || offset + size > w->size || w->read_only)
        return;
    for (unsigned i = 0; i < size; i++)
        bytes[i] = contents(dev, offset)[i] & (uint8_t)(value >> (8 * i));
    store(dev, offset, bytes, size);
}

static void erase(struct device *dev, uint64_t offset)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    struct cfi_flash_state *s = dev->state;
    uint8_t ones[PAGE_SIZE];
    uint64_t block = offset & ~(uint64_t)(block_bytes(w) - 1);

    s->status |= STATUS_READY | (w->read_only ? STATUS_ERASE : 0);
    if (w->read_only)
        return;
    memset(ones, 0xff, sizeof(ones));
    for (uint64_t at = block; at < block + block_bytes(w); at += PAGE_SIZE)
        if (memcmp(contents(dev, at), ones, PAGE_SIZE) != 0)
            store(dev, at, ones, PAGE_SIZE);
}

static uint64_t flash_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    const struct cfi_flash_state *s = dev->state;
    unsigned n = (unsigned)(offset >> (w->byte_wide ? 0 : 2) & 0xffu);
    uint64_t value = 0, chip;

    (void)range;
    switch (s->mode) {
    case ARRAY:
        for (unsigned i = 0; i < size && offset + i < w->size; i++)
            value |= (uint64_t)contents(dev, offset)[i] << (8 * i);
        return value;
    case ID:
        chip = n == 0 ? MANUFACTURER : n == 1 ? DEVICE_CODE : 0;
        break;
    case CFI:
        chip = cfi_byte(w, n);
        break;
    default:
        chip = s->status;
        break;
    }
    if (w->byte_wide)
        return chip * 0x0101010101010101ull;
    value = chip | chip << 16;
    value |= value << 32;
    return value >> (8 * (offset & 3));
}

static void command(struct device *dev, uint8_t c)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    struct cfi_flash_state *s = dev->state;

    switch (c) {
    case 0x10: case 0x40:
        set_mode(dev, PROGRAM);
        break;
    case 0x20:
        set_mode(dev, ERASE);
        break;
    case 0x50:
        s->status = w->byte_wide ? 0 : STATUS_READY;
        set_mode(dev, ARRAY);
        break;
    case 0x60:
        set_mode(dev, LOCK);
        break;
    case 0x70:
        set_mode(dev, STATUS);
        break;
    case 0x90:
        set_mode(dev, ID);
        break;
    case 0x98:
        set_mode(dev, CFI);
        break;
    case 0xe8:
        s->filled = 0;
        set_mode(dev, BUFFER_COUNT);
        break;
    default: /* 0xff: read array; anything else too */
        set_mode(dev, ARRAY);
        break;
    }
}

static void buffer_count(struct device *dev, uint64_t value)
{
    const struct cfi_flash_wiring *w = dev->wiring;
    struct cfi_flash_state *s = dev->state;
    uint32_t words = (uint32_t)(value & (w->byte_wide ? 0xffu : 0xffffu)) + 1;

    if (words > BUFFER_WORDS) {
        s->status |= STATUS_PROGRAM;
        set_mode(dev, STATUS);
        return;
    }
    s->left = words;
    set_mode(dev, BUFFER_DATA);
}

static void buffer_data(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct cfi_flash_state *s = dev->state;
    const struct cfi_flash_wiring *w = dev->wiring;
    unsigned n = size < 4 ? size : 4;

    if (w->byte_wide)
        n = n < s->left ? n : s->left;
    s->at[s->filled] = offset | (uint64_t)n << 60;
    s->word[s->filled] = (uint32_t)value;
    s->filled++;
    s->left -= w->byte_wide ? n : 1;
    if (s->left == 0)
        set_mode(dev, BUFFER_CONFIRM);
}

static void buffer_confirm(struct device *dev, uint8_t c)
{
    struct cfi_flash_state *s = dev->state;

    if (c == 0xd0)
        for (uint32_t i = 0; i < s->filled; i++)
            program(dev, s->at[i] & ~(15ull << 60), (unsigned)(s->at[i] >> 60), s->word[i]);
    else
        s->status |= STATUS_PROGRAM;
    memset(s->at, 0, sizeof(s->at));
    memset(s->word, 0, sizeof(s->word));
    s->filled = 0;
    set_mode(dev, STATUS);
}

static void flash_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct cfi_flash_state *s = dev->state;

    (void)range;
    switch (s->mode) {
    case PROGRAM:
        program(dev, offset, size, value);
        set_mode(dev, STATUS);
        break;
    case ERASE:
        if ((value & 0xffu) == 0xd0)
            erase(dev, offset);
        else
            s->status |= STATUS_ERASE | STATUS_PROGRAM;
        set_mode(dev, STATUS);
        break;
    case BUFFER_COUNT:
        buffer_count(dev, value);
        break;
    case BUFFER_DATA:
        buffer_data(dev, offset, size, value);
        break;
    case BUFFER_CONFIRM:
        buffer_confirm(dev, (uint8_t)value);
        break;
    case LOCK:
        set_mode(dev, STATUS);
        break;
    default:
        command(dev, (uint8_t)value);
        break;
    }
}

static void flash_reset(struct device *dev)
{
    struct cfi_flash_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    s->status = STATUS_READY;
    set_mode(dev, ARRAY);
}

static void flash_describe(const struct device *dev, struct buffer *b)
{
    static const char *const names[] = {"array", "status", "id", "cfi", "program", "erase", "buffer count",
                                        "buffer data", "buffer confirm", "lock"};
    const struct cfi_flash_state *s = dev->state;

    buffer_printf(b, "mode %s status %02x\n", s->mode < ARRAY_LEN(names) ? names[s->mode] : "?", s->status);
}

static bool flash_possible(const struct device *dev)
{
    const struct cfi_flash_state *s = dev->state;

    /* What is written beyond the bank is dropped by program(). */
    return s->mode <= LOCK && s->filled <= BUFFER_WORDS && s->left <= BUFFER_WORDS - s->filled &&
           (s->mode != BUFFER_DATA || s->left) && (s->mode != BUFFER_COUNT || !s->filled);
}

const struct device_ops cfi_flash_ops = {
    .name = "cfi_flash",
    .state_size = sizeof(struct cfi_flash_state),
    .possible = flash_possible,
    .reset = flash_reset,
    .restored = show,
    .describe = flash_describe,
    .read = flash_read,
    .write = flash_write,
};
