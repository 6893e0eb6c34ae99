/*
 * Thinning.
 *
 * What is dropped when (policy)
 * -----------------------------
 * Checkpoints are placed by the timeline; here it is only decided which of them
 * are worth their memory.
 *
 * A checkpoint's worth is the replay that it saves. If it were dropped, going to
 * a place behind it would start from its predecessor: the *gap* that opens is
 * what lies between its two neighbours, in steps (steps are what replay costs;
 * time slept is free). A long gap is acceptable far from where the user is and a
 * nuisance near it, so the gap is weighed against the *distance* from the
 * nearer of the present and the edge. Applied again and again this leaves gaps that grow
 * in proportion to distance: exponential spacing, N checkpoints for a history
 * that is 2^N long, and every stretch costs about the same fraction of the way
 * that the user has gone back to reach it.
 *
 * What is gained is the memory that nobody else has: pages that differ from those of both neighbours. A guest that
 * fills its memory bit by bit has checkpoints that share nearly all of it, so to drop one gains next to nothing. The
 * one with the least gap / distance for the memory that it frees goes first.
 *
 * Lines other than the one in use count the same, each with its own newest checkpoint as its edge.
 *
 * Below three quarters of the budget nothing is done. Above it, each trim
 * compresses a few of the oldest uncompressed pages: old pages are the ones that
 * survived thinning and are least likely to be wanted soon. A trim's share is
 * small (COMPRESS_PAGES, and no more than was copied since the last trim), so that
 * neither forward execution nor a backward step notices. Above the
 * budget checkpoints are dropped until it holds; when only pinned ones are left,
 * everything is compressed, and if that is not enough they go, too, the least
 * recently used first. What remains then (the oldest, the newest, what is in use)
 * is kept even over the budget: the store never fails for want of room. When the newest takes
 * about all of the budget, it is in vain to drop others for its sake: they have a part of the budget always (FOR_OTHERS). Pages over the budget are
 * compressed, too, but few at a time (OVER_PAGES): of a guest that keeps more memory dirty than the budget has
 * room for, all that is compressed of the newest is in vain when the next one comes, and took longer than
 * running there did.
 */
#include "checkpoint/checkpoint_internal.h"

#include <string.h>

/* Oldest raw pages that one trim compresses: one to three milliseconds. */
#define COMPRESS_PAGES 192
/* The same when that saves none that could go. */
#define OVER_PAGES 512
/* One part of the budget in so many is for the others, whatever the newest checkpoint takes. */
#define FOR_OTHERS 8
/* Memory that is nothing when checkpoints are compared. */
#define LITTLE_BYTES ((uint64_t)64 << 10)

static uint64_t bytes_held(const struct checkpoint_store *s)
{
    uint64_t bytes = s->pages.bytes + s->footprint_bytes + s->touches_bytes;

    for (size_t n = 0; n < s->nlines; n++)
        bytes += s->lines[n]->count * sizeof(struct checkpoint) + s->lines[n]->cap * sizeof(s->lines[n]->list[0]);
    return bytes;
}

static uint64_t distance(icount_t a, icount_t b)
{
    return a > b ? a - b : b - a;
}

/* A checkpoint by its place; i 0: none (the first of a line never goes). */
struct place {
    struct checkpoint_line *line;
    size_t i;
};

/* May the checkpoint at index `i` of a line's own be taken for want of memory? */
static bool can_go_at_last(const struct checkpoint_line *line, size_t i)
{
    return i && i + 1 < line->count && !line->list[i]->holds;
}

/* May thinning take it? */
static bool can_go(const struct checkpoint_line *line, size_t i)
{
    return can_go_at_last(line, i) && !line->list[i]->pins;
}

/* What goes with it. */
static uint64_t gain(const struct checkpoint_store *s, struct checkpoint *c)
{
    if (!c->own_bytes)
        c->own_bytes = page_tree_own_bytes(c->root, s->levels) + sizeof(*c);
    return c->own_bytes + LITTLE_BYTES;
}

/* The one that is worth least for what it costs. */
static struct place least_worth(const struct checkpoint_store *s, icount_t present, icount_t edge)
{
    struct place least = {.i = 0};
    double worth_of_least = 0;

    for (size_t n = 0; n < s->nlines; n++) {
        struct checkpoint_line *line = s->lines[n];
        icount_t end = line == s->line || !line->count ? edge : line->list[line->count - 1]->position;

        for (size_t i = 1; i + 1 < line->count; i++) {
            icount_t p = line->list[i]->position;
            uint64_t d = distance(p, present), e = distance(p, end);
            double worth;

            if (!can_go(line, i))
                continue;
            worth = (double)(line->list[i + 1]->position - line->list[i - 1]->position) / ((double)(d < e ? d : e) + 1) /
                    (double)gain(s, line->list[i]);
            if (!least.i || worth < worth_of_least) {
                least = (struct place){line, i};
                worth_of_least = worth;
            }
        }
    }
    return least;
}

/* The pinned one that was used least recently. */
static struct place least_used(const struct checkpoint_store *s)
{
    struct place least = {.i = 0};

    for (size_t n = 0; n < s->nlines; n++) {
        struct checkpoint_line *line = s->lines[n];

        for (size_t i = 1; i + 1 < line->count; i++)
            if (line->list[i]->pins && can_go_at_last(line, i) &&
                (!least.i || line->list[i]->used < least.line->list[least.i]->used))
                least = (struct place){line, i};
    }
    return least;
}

/* How much is held at most. */
static uint64_t limit(const struct checkpoint_store *s)
{
    const struct checkpoint_line *line = s->line;
    const struct page_store *ps = &s->pages;
    uint64_t pages = ps->in_place_pages + ps->elsewhere_pages + ps->raw_pages + ps->compressed_pages, newest = 0;

    /* (Its pages are as large as others.) */
    if (line->count && pages)
        newest = page_tree_count(line->list[line->count - 1]->root, s->levels) * ((ps->bytes - ps->nodes * sizeof(struct page_node)) / pages);
    return newest + s->budget_bytes / FOR_OTHERS > s->budget_bytes ? newest + s->budget_bytes / FOR_OTHERS : s->budget_bytes;
}

void checkpoint_trim(struct checkpoint_store *s, icount_t present, icount_t edge)
{
    uint64_t share = s->pages_copied - s->copied_at_trim, most;
    struct place least;

    s->copied_at_trim = s->pages_copied;
    if (bytes_held(s) > s->budget_bytes / 4 * 3)
        page_store_compress(&s->pages, share < COMPRESS_PAGES ? share : COMPRESS_PAGES);
    if (bytes_held(s) <= s->budget_bytes)
        return;
    most = limit(s);
    while (bytes_held(s) > most && (least = least_worth(s, present, edge)).i)
        checkpoint_remove_at(s, least.line, least.i);
    if (bytes_held(s) > s->budget_bytes)
        page_store_compress(&s->pages, bytes_held(s) > most && least_used(s).i ? UINT64_MAX : OVER_PAGES);
    while (bytes_held(s) > most && (least = least_used(s)).i)
        checkpoint_remove_at(s, least.line, least.i);
}

/* What would be missing without it: the gap, measured against its distance from the present. */
static double rung_worth(const struct checkpoint_line *line, size_t i, icount_t present)
{
    icount_t gap = line->list[i + 1]->position - line->list[i - 1]->position;

    return (double)gap / (double)(distance(line->list[i]->position, present) + 1);
}

void checkpoint_trim_rungs(struct checkpoint_store *s, icount_t present, size_t keep)
{
    for (;;) {
        struct place least = {.i = 0};
        double worth_of_least = 0;
        size_t rungs = 0;

        for (size_t n = 0; n < s->nlines; n++) {
            struct checkpoint_line *line = s->lines[n];

            for (size_t i = 1; i + 1 < line->count; i++) {
                double worth;

                if (line->list[i]->kind != CHECKPOINT_RUNG || !can_go(line, i))
                    continue;
                worth = rung_worth(line, i, present);
                if (!rungs++ || worth < worth_of_least) {
                    least = (struct place){line, i};
                    worth_of_least = worth;
                }
            }
        }
        if (rungs <= keep)
            return;
        checkpoint_remove_at(s, least.line, least.i);
    }
}

void checkpoint_store_info(const struct checkpoint_store *s, struct checkpoint_store_info *info)
{
    memset(info, 0, sizeof(*info));
    info->lines = s->nlines;
    for (size_t n = 0; n < s->nlines; n++) {
        const struct checkpoint_line *line = s->lines[n];

        info->checkpoints += line->count;
        for (size_t i = 0; i < line->count; i++) {
            info->rungs += line->list[i]->kind == CHECKPOINT_RUNG;
            info->pinned += line->list[i]->pins != 0;
        }
    }
    info->budget_bytes = s->budget_bytes;
    info->bytes = bytes_held(s);
    info->in_place_pages = s->pages.in_place_pages;
    info->elsewhere_pages = s->pages.elsewhere_pages;
    info->raw_pages = s->pages.raw_pages;
    info->compressed_pages = s->pages.compressed_pages;
    info->compressed_bytes = s->pages.compressed_bytes;
    info->nodes = s->pages.nodes;
    info->footprint_bytes = s->footprint_bytes + s->touches_bytes;
    info->takes = s->takes;
    info->restores = s->restores;
    info->pages_copied = s->pages_copied;
    info->copy_ns = s->copy_ns;
    info->pages_restored = s->pages_restored;
    info->removed = s->removed;
}
