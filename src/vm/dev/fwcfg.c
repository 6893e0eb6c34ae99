/*
 * QEMU's firmware configuration device (its specification: docs/specs/fw_cfg),
 * through which firmware learns of memory and boot options. It has a selector, a
 * data register that gives the selected item's bytes in order, and DMA (read,
 * skip, select, and write of files that a device has the guest write). Two layouts:
 *   FWCFG_PORTS  selector at 0 (little-endian), data at 1, DMA address at 4
 *   FWCFG_MMIO   data at 0 (1 to 8 bytes wide), selector at 8 and DMA address
 *                at 16 (both big-endian)
 */
#include "vm/dev/fwcfg.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "vm/machine.h"

#define DMA_ERROR  0x01u
#define DMA_READ   0x02u
#define DMA_SKIP   0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE  0x10u
#define FWCFG_LIVE_MOST 64u /* bytes of a file that the guest can write */
#define KEY_MASK   0xbfffu /* bit 14 asked for writing once */

DEVICE_STATE_BEGIN
struct fwcfg_state {
    uint64_t dma_address;
    uint32_t offset;
    uint16_t key;
    uint8_t resets;     /* that there were, where files change at one: 0, 1, 2 for more */
    uint8_t reserved;
};
DEVICE_STATE_END

void fwcfg_add(struct fwcfg_wiring *w, uint16_t key, const void *data, size_t len)
{
    struct fwcfg_item *item = &w->items[w->nitems];

    CHECK(w->nitems < FWCFG_MAX_ITEMS);
    w->nitems++;
    memset(item, 0, sizeof(*item));
    item->key = key;
    item->len = (uint32_t)len;
    item->data = xmalloc(len ? len : 1);
    memcpy(item->data, data, len);
}

void fwcfg_add_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len)
{
    uint16_t key = FWCFG_FILE_FIRST;

    for (unsigned i = 0; i < w->nitems; i++)
        if (w->items[i].name[0])
            key++;
    fwcfg_add(w, key, data, len);
    strncpy(w->items[w->nitems - 1].name, name, sizeof(w->items[0].name) - 1);
}

void fwcfg_add_live_file(struct fwcfg_wiring *w, const char *name, uint8_t *bytes, size_t len, void (*written)(void *ctx), void *ctx)
{
    struct fwcfg_item *item;

    CHECK(len <= FWCFG_LIVE_MOST);
    fwcfg_add_file(w, name, bytes, len);
    item = &w->items[w->nitems - 1];
    item->live = bytes;
    item->written = written;
    item->written_ctx = ctx;
}

void fwcfg_set_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len)
{
    for (unsigned i = 0; i < w->nitems; i++)
        if (!strcmp(w->items[i].name, name)) {
            struct fwcfg_item *item = &w->items[i];

            item->data = xrealloc(item->data, len ? len : 1);
            item->len = (uint32_t)len;
            memcpy(item->data, data, len);
            return;
        }
    fwcfg_add_file(w, name, data, len);
}

void fwcfg_update_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len)
{
    for (unsigned i = 0; i < w->nitems; i++)
        if (!strcmp(w->items[i].name, name)) {
            CHECK(w->items[i].len == len);
            memcpy(w->items[i].data, data, len);
        }
}

void fwcfg_change_at_reset(struct fwcfg_wiring *w, const char *name, const void *data, size_t len)
{
    for (unsigned i = 0; i < w->nitems; i++)
        if (!strcmp(w->items[i].name, name)) {
            CHECK(w->items[i].len == len && !w->items[i].later);
            w->items[i].later = xmalloc(len);
            memcpy(w->items[i].later, data, len);
            w->changes = true;
        }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct fwcfg_item *const *)a)->name, (*(const struct fwcfg_item *const *)b)->name);
}

void fwcfg_seal(struct fwcfg_wiring *w)
{
    const struct fwcfg_item *files[FWCFG_MAX_ITEMS];
    struct buffer b;
    unsigned n = 0;

    for (unsigned i = 0; i < w->nitems; i++)
        if (w->items[i].name[0])
            files[n++] = &w->items[i];
    qsort(files, n, sizeof(files[0]), by_name);
    buffer_init(&b);
    buffer_append_be(&b, n, 4);
    for (unsigned i = 0; i < n; i++) {
        buffer_append_be(&b, files[i]->len, 4);
        buffer_append_be(&b, files[i]->key, 2);
        buffer_append_be(&b, 0, 2);
        buffer_append(&b, files[i]->name, sizeof(files[i]->name));
    }
    fwcfg_add(w, FWCFG_FILE_DIR, b.data, b.len);
    buffer_finish(&b);
}

void fwcfg_finish(struct fwcfg_wiring *w)
{
    for (unsigned i = 0; i < w->nitems; i++) {
        free(w->items[i].data);
        free(w->items[i].later);
    }
    w->nitems = 0;
}

static const struct fwcfg_item *current(const struct device *dev)
{
    const struct fwcfg_wiring *w = dev->wiring;
    const struct fwcfg_state *s = dev->state;

    if (w->refresh)
        w->refresh(w->refresh_ctx);
    for (unsigned i = 0; i < w->nitems; i++)
        if (w->items[i].key == s->key)
            return &w->items[i];
    return NULL;
}

static const uint8_t *contents(const struct device *dev, const struct fwcfg_item *item)
{
    const struct fwcfg_state *s = dev->state;

    if (item->live)
        return item->live;
    return item->later && s->resets > 1 ? item->later : item->data;
}

/* The next byte of the selected item; 0 past its end. */
static uint8_t next_byte(struct device *dev, const struct fwcfg_item *item)
{
    struct fwcfg_state *s = dev->state;

    if (!item || s->offset >= item->len)
        return 0;
    return contents(dev, item)[s->offset++];
}

static void select_key(struct fwcfg_state *s, uint16_t key)
{
    s->key = key & KEY_MASK;
    s->offset = 0;
}

static void dma_read_item(struct device *dev, uint64_t address, uint32_t len)
{
    static const uint8_t zeros[256];
    struct fwcfg_state *s = dev->state;
    const struct fwcfg_item *item = current(dev);
    struct memory *mem = &dev->machine->memory;
    uint32_t have = item && s->offset < item->len ? item->len - s->offset : 0;
    uint32_t n = len < have ? len : have;

    if (n)
        memory_write_bytes(mem, address, contents(dev, item) + s->offset, n, false);
    s->offset += n;
    /* The rest is zeroed; as far as there is memory, so that a length out of a hat costs little. */
    for (address += n, len -= n; len; address += n, len -= n) {
        n = len < sizeof(zeros) ? len : sizeof(zeros);
        if (memory_write_bytes(mem, address, zeros, n, false) == 0)
            break;
    }
}

/* All of it or nothing. False: the item, or what is left of it, cannot take so much. */
static bool dma_write_item(struct device *dev, uint64_t address, uint32_t len)
{
    struct fwcfg_state *s = dev->state;
    const struct fwcfg_item *item = current(dev);
    uint32_t have = item && s->offset < item->len ? item->len - s->offset : 0;
    uint8_t bytes[FWCFG_LIVE_MOST];
    bool fits = item && item->live && len <= have;

    if (fits && memory_dma_read(&dev->machine->memory, address, bytes, len) == len) {
        memcpy(item->live + s->offset, bytes, len);
        s->offset += len;
        item->written(item->written_ctx);
        return true;
    }
    s->offset += len < have ? len : have;
    return false;
}

/* The control structure: be32 control, be32 length, be64 address. */
static void run_dma(struct device *dev, uint64_t where)
{
    struct fwcfg_state *s = dev->state;
    const struct fwcfg_item *item;
    uint32_t control, len, have;
    uint64_t address;
    bool failed = false;
    uint8_t d[16] = {0};

    memory_dma_read(&dev->machine->memory, where, d, sizeof(d));
    control = get_be32(d);
    len = get_be32(d + 4);
    address = get_be64(d + 8);
    if (control & DMA_SELECT)
        select_key(s, (uint16_t)(control >> 16));
    item = current(dev);
    have = item && s->offset < item->len ? item->len - s->offset : 0;
    if (control & DMA_READ)
        dma_read_item(dev, address, len);
    else if (control & DMA_WRITE)
        failed = !dma_write_item(dev, address, len);
    else if (control & DMA_SKIP)
        s->offset += len < have ? len : have;
    memset(d, 0, 4);
    d[3] = failed ? DMA_ERROR : 0;
    memory_write_bytes(&dev->machine->memory, where, d, 4, false);
}

/* The DMA address register reads as its signature, big-endian. */
static uint64_t read_signature(uint64_t offset, unsigned size)
{
    static const char signature[8] = "QEMU CFG";
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)(uint8_t)signature[(offset + i) & 7u] << (8 * i);
    return value;
}

static uint64_t fwcfg_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct fwcfg_item *item = current(dev);
    uint64_t value = 0;

    if (range == FWCFG_PORTS) {
        if (offset >= 4)
            return read_signature(offset - 4, size);
        return offset == 1 ? next_byte(dev, item) : UINT64_MAX;
    }
    if (offset >= 16)
        return read_signature(offset - 16, size);
    if (offset >= 8)
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)next_byte(dev, item) << (8 * i);
    return value;
}

static void write_dma_address(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct fwcfg_state *s = dev->state;
    uint64_t where;

    if (offset == 0 && size == 8) {
        run_dma(dev, __builtin_bswap64(value));
    } else if (offset == 0 && size == 4) {
        s->dma_address = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
    } else if (offset == 4 && size == 4) {
        where = s->dma_address | __builtin_bswap32((uint32_t)value);
        s->dma_address = 0;
        run_dma(dev, where);
    }
}

static void fwcfg_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t selector = range == FWCFG_PORTS ? 0 : 8, dma = range == FWCFG_PORTS ? 4 : 16;

    if (offset == selector && size == 2)
        select_key(dev->state, range == FWCFG_PORTS ? (uint16_t)value : __builtin_bswap16((uint16_t)value));
    else if (offset >= dma)
        write_dma_address(dev, offset - dma, size, value);
}

static void fwcfg_reset(struct device *dev)
{
    const struct fwcfg_wiring *w = dev->wiring;
    struct fwcfg_state *s = dev->state;
    uint8_t resets = s->resets;

    memset(s, 0, sizeof(*s));
    if (w->changes)
        s->resets = resets < 2 ? (uint8_t)(resets + 1) : resets;
}

/* Version 0 had no files that change. */
static bool fwcfg_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    const struct fwcfg_wiring *w = dev->wiring;

    if (version != 0 || len != sizeof(struct fwcfg_state) || w->changes)
        return false;
    memcpy(dev->state, old, len);
    return true;
}

const struct device_ops fwcfg_ops = {
    .name = "fwcfg",
    .state_size = sizeof(struct fwcfg_state),
    .state_version = 1,
    .calm_reads = true,
    .upgrade = fwcfg_upgrade,
    .reset = fwcfg_reset,
    .read = fwcfg_read,
    .write = fwcfg_write,
};
