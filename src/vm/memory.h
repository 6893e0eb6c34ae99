/*
 * Guest physical memory: page-backed storage, and the map from physical
 * addresses to storage or devices.
 *
 * All page-backed storage of a machine (RAM, ROM, flash, video memory) is one
 * array of 4 KiB pages, numbered from 0: the unit of dirty tracking,
 * checkpoints and hashing. A region of the physical map is backed by
 * consecutive pages or by a device; later regions hide earlier ones where they
 * overlap.
 *
 * Every write is announced by memory_touch(), or goes through a TLB entry handed out by the
 * softmmu (softmmu.c); both keep the page flags true:
 *   DIRTY   written since the page space (memory.pages) was cleaned
 *   CODE    some translated block was made from this page
 *   WALKED  some cached address translation depends on this page
 *   WATCHED a storage trap (vm/trap.h) is on some of its bytes
 *   LINE    a CPU waits for a write to a line of it (vm/line.h)
 * A TLB entry allows inline writes only to a page that is DIRTY and none of the
 * others, so the first write since a checkpoint, self-modifying code
 * and changes to live page tables are all noticed for free.
 *
 * An access that nothing claims reads all ones and is dropped on write; a CPU
 * whose front end has bus_error() (vm/exec.h) gets an exception for it instead.
 * With two security states, a region may answer to Secure accesses only. A region may be there for CPUs only. DMA by
 * memory_dma_read() and memory_write_bytes() without `rom` reaches neither.
 *
 * Not modelled: memory types and caches.
 */
#ifndef HINDCAST_VM_MEMORY_H
#define HINDCAST_VM_MEMORY_H

#include "base/types.h"
#include "vm/device.h"
#include "vm/page_space.h"

#define PAGE_FLAG_DIRTY  0x01u
#define PAGE_FLAG_CODE   0x02u
#define PAGE_FLAG_WALKED 0x04u
#define PAGE_FLAG_WATCHED 0x08u
#define PAGE_FLAG_LINE    0x10u

enum region_kind {
    REGION_RAM,  /* pages, readable and writable */
    REGION_ROM,  /* pages, writes are dropped */
    REGION_ROMD, /* pages for reads, device for writes (flash in array mode) */
    REGION_MMIO, /* device */
};

struct region {
    paddr_t base;       /* first address; any alignment for MMIO, page-aligned otherwise */
    uint64_t size;      /* bytes */
    enum region_kind kind;
    uint32_t page;      /* first page number (RAM, ROM, ROMD) */
    struct device *dev; /* MMIO and ROMD */
    unsigned range;     /* which of the device's ranges this is */
    bool enabled;       /* a disabled region is transparent */
    bool stored;        /* it has pages, though a device may answer just now (memory_map() sets it) */
    bool cpu_only;      /* it is not there for devices' DMA */
    bool secure;        /* whole pages that are not there for a CPU's Non-secure accesses */
};

#define MEMORY_MAX_REGIONS 256

/* Who derives things from pages and from the map (the execution core); the
 * members may be NULL. */
struct memory_observer {
    void *ctx;
    /* Bytes [offset, offset + len) of a page flagged CODE or WALKED are about to change. */
    void (*page_changes)(void *ctx, uint32_t page, unsigned offset, unsigned len);
    /* The same for a whole page that will be replaced by `bytes`; called for flagged pages only. */
    void (*page_replaced)(void *ctx, uint32_t page, const uint8_t *bytes);
    /* A page is flagged LINE: inline writes to it must be noticed. */
    void (*line_flagged)(void *ctx, uint32_t page);
    /* No page is DIRTY any more: inline writes must be noticed again. */
    void (*cleaned)(void *ctx);
    /* A region was added, moved, switched. */
    void (*remapped)(void *ctx);
};

/* From `from` to the next one's `from`, `region` answers (-1: nobody does). */
struct memory_span {
    paddr_t from;
    int32_t region;
};

struct memory {
    struct machine *machine;
    struct page_space pages; /* those in use; dirty: with PAGE_FLAG_DIRTY */
    uint8_t *host;       /* page n is at host + (n << PAGE_SHIFT) */
    uint32_t max_pages;  /* pages reserved */
    uint8_t *flags;      /* PAGE_FLAG_*, one byte a page */
    struct region regions[MEMORY_MAX_REGIONS]; /* later ones hide earlier ones */
    unsigned nregions;
    bool nonsecure;      /* the device access in progress is a CPU's Non-secure one; else false */
    struct memory_span spans[2 * MEMORY_MAX_REGIONS + 1]; /* the regions as they hide each other, ascending */
    unsigned nspans;
    struct memory_observer observer;
};

/* Reserve address space for at most `max_pages` pages (all zero). 0 or -ENOMEM. */
int memory_init(struct memory *m, struct machine *machine, uint32_t max_pages);
void memory_finish(struct memory *m);

/* Allocate `size` bytes (rounded up to pages) of zeroed storage, an area of that name (page_space.h); returns the
 * first page number. */
uint32_t memory_alloc(struct memory *m, const char *name, uint64_t size);
/* Put bytes into storage, from the beginning of a page on: for boards that fill ROMs. */
void memory_load(struct memory *m, uint32_t page, const void *data, size_t len);
/* Add a region; returns its index. Adding, moving and switching regions drops
 * every cached translation. */
unsigned memory_map(struct memory *m, const struct region *r);
void memory_region_enable(struct memory *m, unsigned index, bool enabled);
void memory_region_move(struct memory *m, unsigned index, paddr_t base);
void memory_region_kind(struct memory *m, unsigned index, enum region_kind kind);

/* The region that answers at `addr`, or NULL. */
const struct region *memory_find(const struct memory *m, paddr_t addr);
/* The page number behind a page-backed physical address, or UINT32_MAX. */
uint32_t memory_page_of(const struct memory *m, paddr_t addr);

/* The same, also where the device of a REGION_ROMD answers for a while (flash that takes commands): what is stored
 * there, for who looks without asking the device. */
uint32_t memory_storage_of(const struct memory *m, paddr_t addr);

/* Is the whole 4 KiB page at page-aligned `addr` answered by one page-backed region?
 * Then *kind and *page say which; false: devices, nothing, or a mixture. */
bool memory_classify(const struct memory *m, paddr_t addr, enum region_kind *kind, uint32_t *page);

/* Guest-visible accesses of 1 to 8 bytes, devices included; crossing a region is
 * allowed (it, and a size that is no power of two, makes several device
 * accesses). They happen at the machine's current position. A device access
 * calls machine_attention(). */
uint64_t memory_read(struct memory *m, paddr_t addr, unsigned size);
void memory_write(struct memory *m, paddr_t addr, unsigned size, uint64_t value);
/* The region of a device that answers for all of the 4 KiB page at page-aligned `addr`, or NULL: good until the map
 * changes. Accesses within the page, of 1, 2, 4 or 8 bytes: what memory_read() and memory_write() do there. */
const struct region *memory_device_at(const struct memory *m, paddr_t addr);
uint64_t memory_device_read(struct memory *m, const struct region *r, paddr_t addr, unsigned size);
void memory_device_write(struct memory *m, const struct region *r, paddr_t addr, unsigned size, uint64_t value);
/* Bulk transfers for DMA and loaders: RAM (and, with `rom`, ROM) only; devices
 * read as 0xff. Return the number of bytes that page-backed memory answered. */
size_t memory_read_bytes(const struct memory *m, paddr_t addr, void *buf, size_t len);
size_t memory_write_bytes(struct memory *m, paddr_t addr, const void *buf, size_t len, bool rom);
/* memory_read_bytes() for a device that fetches by DMA: watchpoints for reading see it. */
size_t memory_dma_read(struct memory *m, paddr_t addr, void *buf, size_t len);

/* The host address of page `n`; for reading (the checkpoint store, hashing). */
static inline const uint8_t *memory_page(const struct memory *m, uint32_t n)
{
    return m->host + ((uint64_t)n << PAGE_SHIFT);
}

/* Note that page `n` is about to be written: dirty list, and blocks made from
 * bytes [offset, offset+len) of it are dropped, and translations that depend on
 * those bytes. Call before the bytes change. */
void memory_touch(struct memory *m, uint32_t n, unsigned offset, unsigned len);

/* A CPU waits for a write to a line of page `n`. */
void memory_flag_line(struct memory *m, uint32_t n);

#endif
