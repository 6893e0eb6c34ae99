/*
 * Page spaces: guest-visible state that is kept in 4 KiB pages.
 *
 * A machine has several: its memory (RAM, ROM, flash, video memory), its arena, and one for each
 * disk. Checkpoints, state hashes and recordings know pages and nothing of what they mean. Within
 * its space a page has a *number*, from 0; machine_lay_out() gives each space a place in one
 * sequence of *global* numbers, which is what checkpoints' trees are indexed by. Nobody but this
 * file and the space's owner does arithmetic on either.
 *
 * A page that nobody touched is all zero, costs nothing and hashes to nothing: so a space may be
 * as large as it likes (2^40 bytes and more). struct sparse_pages is such a space; memory and arena
 * are kept in one piece.
 *
 * A space consists of *areas*: what is one thing (RAM, a flash bank) and has a name that every version calls
 * it by. Recordings and hashes name a page by its area and its number in it, so a page's hash does not
 * depend on what else the machine has.
 *
 * To add a space: page_space_init() or sparse_pages_init() it, and machine_add_pages() before the
 * machine is run. Before a page's bytes change, note it: page_space_touch() or sparse_page_touch().
 */
#ifndef HINDCAST_VM_PAGE_SPACE_H
#define HINDCAST_VM_PAGE_SPACE_H

#include "base/big_memory.h"
#include "base/types.h"

struct page_space;
/* A page, and its bytes. */
typedef void page_space_fn(void *ctx, uint64_t n, const uint8_t *bytes);

/* What the owner of a space provides. */
struct page_space_ops {
    /* The bytes of page `n`; NULL: all zero. Good until the page changes. */
    const uint8_t *(*page)(const struct page_space *s, uint64_t n);
    /* Call `each` with every page that may not be all zero, in no order. */
    void (*pages)(const struct page_space *s, page_space_fn *each, void *ctx);
    /* Was it touched since it was last cleaned? */
    bool (*is_dirty)(const struct page_space *s, uint64_t n);
    /* From now on it is dirty, or it is not. Not called of spaces that are always dirty. */
    void (*mark)(struct page_space *s, uint64_t n, bool dirty);
    /* Make its bytes those (NULL: all zero), without touching it: a checkpoint is being restored. */
    void (*restore)(struct page_space *s, uint64_t n, const uint8_t *bytes);
    /* Every page that was dirty was cleaned. May be NULL. */
    void (*cleaned)(struct page_space *s);
};

/* Consecutive pages of a space. */
struct page_area {
    char name[32];      /* unique in a machine, and the same in every version: recordings use it */
    struct page_space *space;
    uint64_t first, count; /* in the space */
    uint64_t seed;      /* page n's hash is hash_bytes(seed + n, page); of the name */
};

#define PAGE_SPACE_MAX_AREAS 32

struct page_space {
    char name[32];      /* unique in a machine */
    const struct page_space_ops *ops;
    void *owner;        /* for the ops */
    uint64_t count;     /* pages; final once the machine is laid out */
    uint64_t *dirty;    /* those that were touched since page_space_clean(), in order of first touch */
    uint64_t ndirty, dirty_cap;
    bool always_dirty;  /* every page is taken for dirty, always; `dirty` is not used */
    /* Told of a page that is not dirty and is about to be, while its bytes are what they were. NULL: nobody. */
    void (*changes)(void *ctx, struct page_space *s, uint64_t n);
    void *changes_ctx;
    bool watched;       /* there are storage traps on bytes of it (vm/trap.h); memory has flags of pages instead */
    struct page_area areas[PAGE_SPACE_MAX_AREAS]; /* in order, without holes. None: not hashed as pages */
    unsigned nareas;
    uint64_t first;     /* global number of page 0 */
};

/* Without pages. */
void page_space_init(struct page_space *s, const char *name, const struct page_space_ops *ops, void *owner);
/* `pages` more, which have that name. */
void page_space_add_area(struct page_space *s, const char *name, uint64_t pages);
/* The area of page `n`; NULL: none. */
const struct page_area *page_space_area(const struct page_space *s, uint64_t n);
/* The seed of the hash of page `n`, which is in an area. */
uint64_t page_space_seed(const struct page_space *s, uint64_t n);
void page_space_finish(struct page_space *s);

/* Page `n`'s bytes (NULL: all zero); make them those without touching it. */
static inline const uint8_t *page_space_page(const struct page_space *s, uint64_t n)
{
    return s->ops->page(s, n);
}
static inline void page_space_restore(struct page_space *s, uint64_t n, const uint8_t *bytes)
{
    s->ops->restore(s, n, bytes);
}
/* Page `n` is about to change. */
void page_space_touch(struct page_space *s, uint64_t n);
/* Forget which pages were touched. */
void page_space_clean(struct page_space *s);
/* How many pages are dirty. */
uint64_t page_space_dirty(const struct page_space *s);
/* Call `page` with each page that is dirty. */
void page_space_each_dirty(struct page_space *s, void (*page)(void *ctx, struct page_space *s, uint64_t n), void *ctx);
/* Sum, modulo 2^64, of the hashes of all pages that are not all zero: hash_bytes(its seed, page). */
uint64_t page_space_hash(const struct page_space *s);

/* A space that keeps only the pages that are not zero. */
struct sparse_page;
struct sparse_pages {
    struct page_space space;
    struct sparse_page **slots; /* open addressing by page number; NULL: free */
    uint64_t nslots, used;      /* a power of two; pages there */
    struct sparse_page *last;   /* the page found last */
    struct page_slab slab;      /* most pages' bytes */
};

/* For `len` bytes, as many as one likes. */
void sparse_pages_init(struct sparse_pages *s, const char *name, uint64_t len);
void sparse_pages_finish(struct sparse_pages *s);
/* The bytes of a page to read; NULL: all zero. */
const uint8_t *sparse_page(const struct sparse_pages *s, uint64_t n);
/* ... and to write: it is dirty from now on. */
uint8_t *sparse_page_touch(struct sparse_pages *s, uint64_t n);

#endif
