/*
 * Checkpoints: copies of a machine's state in host memory, by position.
 *
 * A checkpoint is a persistent radix tree of refcounted pages that shares
 * every unchanged page (and every unchanged part of the tree) with its
 * neighbours; the machine's arena is cut into pages and kept in the same tree.
 * All-zero pages cost nothing. A page is copied when the machine is about to change it, not before: what is written once
 * and kept costs no memory but the machine's own; nor does what is still elsewhere (page_source.h). Old copies are compressed; whatever a page's form,
 * there is one way to get at its bytes.
 *
 *   taking one     costs a look at the pages written since the last take or restore, and a copy of each that is written again
 *   restoring one  costs the pages that differ between now and then
 *
 * A checkpoint may only be taken of a canonical state (machine.between clear).
 * History never changes, so a checkpoint stays valid for ever; dropping one
 * costs time later, never correctness.
 *
 * Between neighbouring checkpoints lies a *segment*; it belongs to the
 * checkpoint at its beginning. A segment may have a footprint: which code
 * the CPUs ran there, and the pages that they wrote and read. A footprint may name too much,
 * never too little. No footprint means: unknown, must be replayed. Of some of its pages may be known which bytes were touched
 * (vm/touches.h): whoever has run the whole segment with traps on them leaves that behind.
 *
 * Several machines may have the same store, each by a *seat* of its own and in a thread of its own: replicas, made from
 * the same configuration as the store's machine. What they may do meanwhile is said at checkpoint_seat_create().
 *
 * Lines. A history may fork: what lies before the fork is that of the line it comes from, what lies at and after it is
 * its own. The store holds the checkpoints of all lines. One line is in use; all that is said of positions (find, take,
 * next, trim...) is said of it. Another line's checkpoints may be held, viewed and restored as any other.
 *
 * The store never fails for being over its budget: it compresses and thins
 * (policy: thin.c). The oldest checkpoint and the newest stay; pinned ones are the last to go.
 */
#ifndef HINDCAST_CHECKPOINT_CHECKPOINT_H
#define HINDCAST_CHECKPOINT_CHECKPOINT_H

#include "base/types.h"
#include "checkpoint/page_source.h"
#include "vm/footprint.h"

struct machine;
struct page_space;
struct checkpoint_store;
struct checkpoint_line;
struct page_node;
struct segment;

enum checkpoint_kind {
    CHECKPOINT_AUTO, /* placed by host time spent */
    CHECKPOINT_RUNG, /* of the ladder near the present: the first to go */
};

struct checkpoint {
    icount_t position;
    vtime_t vtime;
    uint64_t effort_ns;        /* the caller's note: host time spent running up to here */
    enum checkpoint_kind kind;
    unsigned pins;             /* names that it has: the last to go */
    uint64_t used;             /* of those with pins, the one that was pinned or restored least recently has the least */
    unsigned holds;            /* who is using it just now: kept until they are done */
    struct page_node *root;    /* its pages; the store's own */
    uint64_t own_bytes;        /* host memory that goes with it, about, as long as its neighbours stay; 0: to be found out. The same */
    struct segment *segment;   /* footprint of the way to the next checkpoint; the store's own */
    struct touches *touches;   /* which bytes of some pages were touched on that way; NULL: not known of any. The same */
};

/* An empty store for the states of `m`, which must outlive it. Every page that
 * is not zero must be on the machine's dirty list when the first one is taken. */
struct checkpoint_store *checkpoint_store_create(struct machine *m, uint64_t budget_bytes);
void checkpoint_store_destroy(struct checkpoint_store *s);
/* By which copying is measured (checkpoint_store_info.copy_ns), in nanoseconds; asked in the thread of whoever copies. */
void checkpoint_store_clock(struct checkpoint_store *s, uint64_t (*now_ns)(void *ctx), void *ctx);
/* Where pages may be left instead of copied. Before the first checkpoint is taken. */
void checkpoint_store_source(struct checkpoint_store *s, const struct page_source *source);

/* The place of a machine at the store: the store's own machine's. */
struct checkpoint_seat;
struct checkpoint_seat *checkpoint_own_seat(struct checkpoint_store *s);
/* Of a replica, set up, reset, never run. As long as it is used by another thread, all threads may look for
 * checkpoints, take, restore and hold them, and note footprints; nobody may thin, remove, pin, compress, build or
 * view. */
struct checkpoint_seat *checkpoint_seat_create(struct checkpoint_store *s, struct machine *replica);
void checkpoint_seat_destroy(struct checkpoint_seat *seat);
struct checkpoint *checkpoint_seat_take(struct checkpoint_seat *seat, enum checkpoint_kind kind);
void checkpoint_seat_restore(struct checkpoint_seat *seat, struct checkpoint *c);
/* Call `page` with the pages (global numbers) that may not be the same in two seats' machines, in no order, some more than once:
 * in the time of what was changed, however large the machines are. */
void checkpoint_seats_compare(struct checkpoint_seat *a, struct checkpoint_seat *b, void (*page)(void *ctx, uint64_t global), void *ctx);
/* By the store's clock: what copying pages has taken since it was made, about. */
uint64_t checkpoint_copy_ns(const struct checkpoint_store *s);
/* How many pages one that is taken now has to look at. */
uint64_t checkpoint_seat_dirty(const struct checkpoint_seat *seat);
/* Is less held than the budget allows? */
bool checkpoint_has_room(struct checkpoint_store *s);

/* Take a checkpoint of the machine's present state, or return the one that is
 * already there (a rung becomes AUTO if AUTO is asked for). Does not thin. */
struct checkpoint *checkpoint_take(struct checkpoint_store *s, enum checkpoint_kind kind);
/* The same of the state as it is, whatever is known of that position, and not kept: for whoever
 * looks at it, until checkpoint_discard(). */
struct checkpoint *checkpoint_draw(struct checkpoint_store *s);
void checkpoint_discard(struct checkpoint_store *s, struct checkpoint *c);
/* Make the machine's state that of `c`. */
void checkpoint_restore(struct checkpoint_store *s, struct checkpoint *c);
/* Forget `c` (neither pinned nor held); its segment joins the one before. */
void checkpoint_remove(struct checkpoint_store *s, struct checkpoint *c);
/* Keep `c` through thinning, as long as the budget can hold it, until unpinned as often: for the user's names. When
 * nothing else is left to drop, checkpoint_trim() drops pinned ones, those first that were used least recently. */
void checkpoint_pin(struct checkpoint_store *s, struct checkpoint *c);
void checkpoint_unpin(struct checkpoint *c);
/* Keep `c`, whatever the budget, for the duration of some work. */
void checkpoint_hold(struct checkpoint *c);
void checkpoint_release(struct checkpoint *c);

/* The line in use: at first the only one. */
struct checkpoint_line *checkpoint_line(const struct checkpoint_store *s);
/* A new line, which leaves `from` at the position of `c`, a checkpoint on it. It is not in use yet. */
struct checkpoint_line *checkpoint_line_fork(struct checkpoint_store *s, struct checkpoint_line *from, const struct checkpoint *c);
/* Use another line. Nobody may be in the midst of noting a footprint. */
void checkpoint_line_use(struct checkpoint_store *s, struct checkpoint_line *line);
/* Forget a line: not the first, not in use, none forks from it, none of its checkpoints is held. */
void checkpoint_line_remove(struct checkpoint_store *s, struct checkpoint_line *line);
/* As checkpoint_find(), _at(), _count(), _nth(), on any line. */
struct checkpoint *checkpoint_line_find(const struct checkpoint_store *s, const struct checkpoint_line *line, icount_t position);
struct checkpoint *checkpoint_line_at(const struct checkpoint_store *s, const struct checkpoint_line *line, icount_t position);
size_t checkpoint_line_count(const struct checkpoint_store *s, const struct checkpoint_line *line);
struct checkpoint *checkpoint_line_nth(const struct checkpoint_store *s, const struct checkpoint_line *line, size_t n);

/* The newest checkpoint at or before `position` / the one exactly there; NULL: none. */
struct checkpoint *checkpoint_find(const struct checkpoint_store *s, icount_t position);
struct checkpoint *checkpoint_at(const struct checkpoint_store *s, icount_t position);
/* In order of position; NULL beyond either end. */
size_t checkpoint_count(const struct checkpoint_store *s);
struct checkpoint *checkpoint_nth(const struct checkpoint_store *s, size_t n);
struct checkpoint *checkpoint_next(const struct checkpoint_store *s, const struct checkpoint *c);
struct checkpoint *checkpoint_prev(const struct checkpoint_store *s, const struct checkpoint *c);

/* `len` bytes of the machine's arena there, from `offset` on. Costs a page or two. */
void checkpoint_read_arena(struct checkpoint_store *s, const struct checkpoint *c, size_t offset, void *buf, size_t len);

/* What is known of the segment that begins at `c`; NULL: nothing. */
const struct footprint *checkpoint_footprint(const struct checkpoint *c);
/* From position `from` to position `to`, no more was touched than what `f` holds: segments in
 * between of which nothing is known yet share it. The members of `f` are taken over and
 * sealed; `f` is left empty. */
void checkpoint_note_footprint(struct checkpoint_store *s, icount_t from, icount_t to, struct footprint *f);
/* From position `from` to position `to`, of the pages in `t` no more was touched than it says: segments in between get to know. */
void checkpoint_note_touches(struct checkpoint_store *s, icount_t from, icount_t to, const struct touches *t);
/* May one of the bytes from `first` to `last`, addresses or storage as `how` has them, have been touched so in the segment that
 * begins at `c`? Not asked while other threads note. */
bool checkpoint_touched(const struct checkpoint *c, enum touched how, uint64_t first, uint64_t last);

/* Come back under the budget. `present` and `edge` are the positions around which
 * checkpoints stay dense. Bounded work: see thin.c. */
void checkpoint_trim(struct checkpoint_store *s, icount_t present, icount_t edge);
/* Drop rungs until at most `keep` are left: those first that leave the least gap for how far from `present` they are, so
 * that what is left is ever denser towards it, and a search through many near hits does not cost the way further back. */
void checkpoint_trim_rungs(struct checkpoint_store *s, icount_t present, size_t keep);

/* A view of one checkpoint after the other. Moving it costs the pages that differ;
 * it keeps its place alive even when that checkpoint is removed. */
struct checkpoint_view;
/* It stands at nothing: all pages zero. */
struct checkpoint_view *checkpoint_view_create(struct checkpoint_store *s);
void checkpoint_view_destroy(struct checkpoint_view *v);
/* A page of one of the machine's spaces, its number there, its bytes (NULL: all zero). */
typedef void checkpoint_page_fn(void *ctx, const struct page_space *space, uint64_t n, const uint8_t *bytes);
/* Move to `c`; `changed` (may be NULL) is told each page that may differ. */
void checkpoint_view_move(struct checkpoint_view *v, const struct checkpoint *c, checkpoint_page_fn *changed, void *ctx);
/* Hash of the state at which it stands: machine_hash() there. Costs a pass over the arena. */
uint64_t checkpoint_view_hash(const struct checkpoint_view *v);
/* What the pages of an area (machine.areas) come to. */
#define CHECKPOINT_PAGE_SUMS 64u
struct checkpoint_area {
    uint64_t hash;   /* sum, modulo 2^64, of the hashes of all its pages that are not zero */
    /* Sums, modulo 2^32, of these hashes: [b]: of the pages whose number in the area has bit b set, for each bit
     * that a number has; then: of all. Whoever has those of another state knows the number of a page that alone
     * differs. */
    unsigned nsums;
    uint32_t sums[CHECKPOINT_PAGE_SUMS];
};
/* How many sums there are for an area of that many pages. */
static inline unsigned checkpoint_page_sums(uint64_t pages)
{
    unsigned bits = 0;

    while (bits < 63 && pages > (uint64_t)1 << bits)
        bits++;
    return bits + 1;
}
/* Those of the machine's areas, in its order, there. Costs nothing. */
const struct checkpoint_area *checkpoint_view_areas(const struct checkpoint_view *v);
/* The machine's arena there: arena_len bytes. */
void checkpoint_view_arena(const struct checkpoint_view *v, uint8_t *arena);
/* The bytes of a page there, or NULL: zero. `scratch` (PAGE_SIZE) may be used. */
const uint8_t *checkpoint_view_page(const struct checkpoint_view *v, const struct page_space *space, uint64_t n,
                                    uint8_t *scratch);

/* Checkpoints from elsewhere: put together page by page, each beginning as the one
 * that was placed before (the first: all zero). */
struct checkpoint_builder;
struct checkpoint_builder *checkpoint_builder_create(struct checkpoint_store *s);
/* The next one begins as the first did: all zero. */
void checkpoint_builder_clear(struct checkpoint_builder *b);
void checkpoint_builder_destroy(struct checkpoint_builder *b);
/* False: there is no such page. */
bool checkpoint_builder_page(struct checkpoint_builder *b, const struct page_space *space, uint64_t n,
                             const uint8_t *bytes);
/* Place what was put together. Returns the one that is there already, if there is
 * one; NULL if its state says that it is of another position. */
struct checkpoint *checkpoint_builder_place(struct checkpoint_builder *b, icount_t position, vtime_t vtime);

struct checkpoint_store_info {
    size_t checkpoints, rungs, pinned; /* of all lines */
    size_t lines;
    uint64_t budget_bytes;
    uint64_t bytes;             /* all host memory held: pages, tree, footprints */
    uint64_t in_place_pages, elsewhere_pages; /* whose bytes are where the machine has them; where the source has them */
    uint64_t raw_pages, compressed_pages;     /* copies */
    uint64_t compressed_bytes;  /* held by compressed pages */
    uint64_t nodes;             /* of the trees */
    uint64_t footprint_bytes;   /* with what is known of bytes */
    uint64_t takes, restores, pages_copied, pages_restored, removed; /* since creation */
    uint64_t copy_ns;           /* by its clock, that copying took since creation, about */
};
void checkpoint_store_info(const struct checkpoint_store *s, struct checkpoint_store_info *info);

#endif
