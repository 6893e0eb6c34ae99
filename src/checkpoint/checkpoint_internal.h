/*
 * The parts of the checkpoint store, for each other:
 *   checkpoint.c   the index, segments and their footprints, taking and restoring
 *   view.c         looking at checkpoints; putting together those from elsewhere
 *   thin.c         what is dropped when (policy)
 */
#ifndef HINDCAST_CHECKPOINT_CHECKPOINT_INTERNAL_H
#define HINDCAST_CHECKPOINT_CHECKPOINT_INTERNAL_H

#include <pthread.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/page_tree.h"
#include "vm/machine.h"

/* The checkpoints of a line of history that are its own: at and after its fork. */
struct checkpoint_line {
    struct checkpoint_line *parent; /* whose are the positions before `fork`; NULL: the first line */
    icount_t fork;
    struct checkpoint **list;       /* by position; of a fork, the first lies at it */
    size_t count, cap;
};

/* A footprint shared by the parts of a segment that was cut. */
struct segment {
    unsigned refs;
    struct footprint f; /* sealed */
};

struct checkpoint_seat {
    struct checkpoint_store *store;
    struct machine *machine;
    struct page_node *base;       /* machine state == base + the machine's dirty pages */
    bool in_place;                /* pages that are not dirty may be so in `base`, and in no other machine's */
    struct page_codec *codec;     /* the thread's that restores */
};

struct checkpoint_store {
    struct machine *machine;
    struct checkpoint_seat own;   /* that machine's */
    pthread_mutex_t lock;         /* recursive; of all that follows, while there are other seats */
    uint64_t budget_bytes;
    struct page_store pages;      /* page copies and their accounting */
    unsigned levels;              /* of the trees, whose pages have the machine's global numbers */
    struct checkpoint_line **lines;
    size_t nlines;
    struct checkpoint_line *line; /* the one in use */
    uint64_t footprint_bytes;
    uint64_t touches_bytes;       /* of all checkpoint.touches */
    uint64_t takes, restores, pages_copied, pages_restored, removed;
    uint64_t copy_ns;             /* by now_ns, that copying pages has taken, about */
    uint64_t (*now_ns)(void *ctx); /* NULL: not measured */
    void *clock_ctx;
    uint64_t copied_at_trim;      /* pages_copied when last trimmed */
    uint64_t uses;                /* counts pinning and restoring: checkpoint.used */
};

/* Make `c` findable, on the line in use. */
void checkpoint_insert(struct checkpoint_store *s, struct checkpoint *c);
/* Forget the checkpoint at index `i` of a line's own, whoever it is. */
void checkpoint_remove_at(struct checkpoint_store *s, struct checkpoint_line *line, size_t i);

#endif
