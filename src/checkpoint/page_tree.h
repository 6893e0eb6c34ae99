/*
 * Pages, and the persistent radix trees that checkpoints share them in.
 *
 * A page need not be a copy: as long as a machine has not changed it, its bytes are there, *in place*. Whoever made it so
 * calls page_move_out() before they change. Then it is a copy, unless they can be had again *elsewhere*: a disk's image has them.
 *
 * A tree maps a page number to a page; an absent page or subtree is all zero.
 * Nodes and pages are refcounted; a node that has more than one owner is
 * copied before it changes, so an update costs the path to it, and two trees
 * that came from each other are compared in the time of their difference.
 */
#ifndef HINDCAST_CHECKPOINT_PAGE_TREE_H
#define HINDCAST_CHECKPOINT_PAGE_TREE_H

#include "base/big_memory.h"
#include "base/types.h"
#include "checkpoint/page_codec.h"
#include "checkpoint/page_source.h"

#define PAGE_NODE_BITS 9
#define PAGE_NODE_SLOTS (1u << PAGE_NODE_BITS)

struct page {
    uint32_t refs;
    uint16_t size;        /* bytes at `data` if compressed; 0: PAGE_SIZE, raw */
    bool in_place;        /* `data` is the machine's; page_is_in_place() */
    bool elsewhere : 1;   /* there is no `data` but `where` */
    bool queued : 1;      /* raw and waiting on the queue to be compressed */
    uint64_t hash;        /* page_hash(); 0: nobody asked yet */
    union {
        struct {
            struct page *older, *newer; /* neighbours on that queue */
            uint8_t *data;
        };
        struct page_place where;
    };
};

struct page_node {
    uint32_t refs;
    void *slot[PAGE_NODE_SLOTS]; /* nodes of the level below, or pages; NULL: zero */
};

struct page_store {
    uint64_t bytes;       /* host memory of pages and nodes (without free ones) */
    uint64_t in_place_pages, elsewhere_pages, raw_pages, compressed_pages, compressed_bytes, nodes;
    struct page *oldest, *newest; /* queue of raw pages, in order of creation */
    struct page_slab raw;         /* raw pages' bytes */
    struct page_source source;    /* of pages that are elsewhere */
    struct page_codec *codec;     /* the compressor's state, made when first needed */
};

void page_store_init(struct page_store *ps);
/* Every page and node must be gone. */
void page_store_finish(struct page_store *ps);

/* A raw copy of PAGE_SIZE bytes, with one owner. */
struct page *page_create(struct page_store *ps, const uint8_t *bytes);
/* A page whose bytes are in place at `bytes`, with one owner. */
struct page *page_create_in_place(struct page_store *ps, const uint8_t *bytes);
/* Are they still there? (Other threads may look, and copy them under the lock that page_move_out() is called under.) */
static inline bool page_is_in_place(const struct page *p)
{
    return __atomic_load_n(&p->in_place, __ATOMIC_ACQUIRE);
}
/* Of a page that is in place: from now on it is a raw copy, or elsewhere. */
void page_move_out(struct page_store *ps, struct page *p);
void page_unref(struct page_store *ps, struct page *p);
/* The PAGE_SIZE bytes of `p`, whatever its form; `scratch` (PAGE_SIZE) may be used for them. */
const uint8_t *page_bytes(struct page_store *ps, const struct page *p, uint8_t *scratch);
/* The same with a decompressor of the caller's own (*codec is NULL at first), so that several threads can do it. */
const uint8_t *page_bytes_by(const struct page_store *ps, struct page_codec **codec, const struct page *p, uint8_t *scratch);
/* hash_bytes(seed, its bytes), computed once: wherever the page is shared it is the same page of the machine,
 * with the same seed. */
uint64_t page_hash(struct page_store *ps, struct page *p, uint64_t seed);
/* Are they known to be `bytes`? May say false of a page that is compressed or elsewhere. */
bool page_equals(const struct page *p, const uint8_t *bytes);
bool page_is_zero(const uint8_t *bytes);
/* Compress at most `most` of the oldest raw pages, where that makes them smaller. */
void page_store_compress(struct page_store *ps, uint64_t most);

/* Host memory that would be given back if nobody had this tree any more. Costs a look at each slot of its nodes that are no other tree's. */
uint64_t page_tree_own_bytes(const struct page_node *root, unsigned levels);
/* Pages of a tree that are not zero. Costs a look at each slot of it. */
uint64_t page_tree_count(const struct page_node *root, unsigned levels);
/* Levels of a tree for `npages` pages. */
unsigned page_tree_levels(uint64_t npages);
struct page_node *page_node_ref(struct page_node *n);
void page_node_unref(struct page_store *ps, struct page_node *n, unsigned levels);
/* The page, not a new reference; NULL: zero. */
struct page *page_tree_get(const struct page_node *root, unsigned levels, uint64_t n);
/* Put `page` (its reference is taken over; NULL: zero) into the tree at *root. */
void page_tree_set(struct page_store *ps, struct page_node **root, unsigned levels, uint64_t n,
                   struct page *page);
/* Call `differs` for each page number whose page is not the same object in both trees. */
void page_tree_compare(struct page_node *a, struct page_node *b, unsigned levels,
                       void (*differs)(void *ctx, uint64_t n, struct page *a, struct page *b),
                       void *ctx);

#endif
