/*
 * The checkpoint store: index, taking, restoring, thinning. The trees of pages
 * are in page_tree.c, the pages themselves in page_store.c.
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
 * nearer of the present and the edge. The checkpoint with the smallest
 * gap / distance goes first. Applied again and again this leaves gaps that grow
 * in proportion to distance: exponential spacing, N checkpoints for a history
 * that is 2^N long, and every stretch costs about the same fraction of the way
 * that the user has gone back to reach it.
 *
 * Below three quarters of the budget nothing is done. Above it, each trim
 * compresses a few of the oldest uncompressed pages: old pages are the ones that
 * survived thinning and are least likely to be wanted soon. A trim's share is
 * small (COMPRESS_PAGES, and no more than was copied since the last trim), so that
 * neither forward execution nor a backward step notices. Above the
 * budget checkpoints are dropped until it holds; when nothing is left to drop,
 * everything is compressed. What remains then (the oldest, the newest, the
 * pinned) is kept even over the budget: the store never fails for want of room.
 */
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/page_tree.h"
#include "vm/machine.h"

/* Oldest raw pages that one trim compresses: one to three milliseconds. */
#define COMPRESS_PAGES 64

/* A footprint shared by the parts of a segment that was cut. */
struct segment {
    unsigned refs;
    struct footprint f; /* sealed */
};

struct checkpoint_store {
    struct machine *machine;
    uint64_t budget_bytes;
    struct page_store pages;      /* page copies and their accounting */
    unsigned levels;              /* of the trees */
    uint32_t arena_page;          /* index in the trees of the arena's first page */
    uint32_t arena_pages;
    struct page_node *base;       /* machine state == base + the machine's dirty pages */
    struct checkpoint **list;     /* by position */
    size_t count, cap;
    uint64_t footprint_bytes;
    uint64_t takes, restores, pages_copied, pages_restored, removed;
    uint64_t copied_at_trim;      /* pages_copied when last trimmed */
};

/* ------------------------------------------------------------------ segments */

static size_t segment_bytes(const struct segment *g)
{
    return sizeof(*g) + page_set_bytes(&g->f.code) + page_set_bytes(&g->f.written) +
           page_set_bytes(&g->f.read);
}

/* Take over the members of *f. */
static struct segment *segment_create(struct checkpoint_store *s, struct footprint *f)
{
    struct segment *g = xcalloc(1, sizeof(*g));

    g->refs = 1;
    g->f = *f;
    footprint_init(f);
    page_set_seal(&g->f.code);
    page_set_seal(&g->f.written);
    page_set_seal(&g->f.read);
    s->footprint_bytes += segment_bytes(g);
    return g;
}

static struct segment *segment_ref(struct segment *g)
{
    if (g)
        g->refs++;
    return g;
}

static void segment_unref(struct checkpoint_store *s, struct segment *g)
{
    if (!g || --g->refs)
        return;
    s->footprint_bytes -= segment_bytes(g);
    footprint_finish(&g->f);
    free(g);
}

static void set_join(struct page_set *to, const struct page_set *sealed)
{
    for (uint32_t i = 0; i < sealed->count; i++)
        page_set_add(to, sealed->slots[i] - 1);
}

/* The footprint of two segments that have become one; NULL if either is unknown. */
static struct segment *segment_join(struct checkpoint_store *s, struct segment *a, struct segment *b)
{
    struct footprint f;

    if (!a || !b)
        return NULL;
    if (a == b)
        return segment_ref(a);
    footprint_init(&f);
    set_join(&f.code, &a->f.code);
    set_join(&f.code, &b->f.code);
    set_join(&f.written, &a->f.written);
    set_join(&f.written, &b->f.written);
    set_join(&f.read, &a->f.read);
    set_join(&f.read, &b->f.read);
    return segment_create(s, &f);
}

/* --------------------------------------------------------------------- index */

/* Index of the first checkpoint after `position`. */
static size_t index_after(const struct checkpoint_store *s, icount_t position)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->list[mid]->position <= position)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct checkpoint *checkpoint_find(const struct checkpoint_store *s, icount_t position)
{
    size_t i = index_after(s, position);

    return i ? s->list[i - 1] : NULL;
}

struct checkpoint *checkpoint_at(const struct checkpoint_store *s, icount_t position)
{
    struct checkpoint *c = checkpoint_find(s, position);

    return c && c->position == position ? c : NULL;
}

size_t checkpoint_count(const struct checkpoint_store *s)
{
    return s->count;
}

struct checkpoint *checkpoint_nth(const struct checkpoint_store *s, size_t n)
{
    return n < s->count ? s->list[n] : NULL;
}

struct checkpoint *checkpoint_next(const struct checkpoint_store *s, const struct checkpoint *c)
{
    return checkpoint_nth(s, index_after(s, c->position));
}

struct checkpoint *checkpoint_prev(const struct checkpoint_store *s, const struct checkpoint *c)
{
    size_t i = index_after(s, c->position);

    return i >= 2 ? s->list[i - 2] : NULL;
}

static void index_insert(struct checkpoint_store *s, struct checkpoint *c)
{
    size_t i = index_after(s, c->position);

    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->list = xrealloc(s->list, s->cap * sizeof(s->list[0]));
    }
    memmove(s->list + i + 1, s->list + i, (s->count - i) * sizeof(s->list[0]));
    s->list[i] = c;
    s->count++;
}

static void drop(struct checkpoint_store *s, struct checkpoint *c)
{
    segment_unref(s, c->segment);
    page_node_unref(&s->pages, c->root, s->levels);
    free(c);
}

/* Forget the checkpoint at index `i`, whoever it is. */
static void remove_at(struct checkpoint_store *s, size_t i)
{
    struct checkpoint *c = s->list[i];

    if (i) {
        struct checkpoint *before = s->list[i - 1];
        struct segment *joined = NULL;

        if (i + 1 < s->count)
            joined = segment_join(s, before->segment, c->segment);
        segment_unref(s, before->segment);
        before->segment = joined;
    }
    s->count--;
    memmove(s->list + i, s->list + i + 1, (s->count - i) * sizeof(s->list[0]));
    drop(s, c);
    s->removed++;
}

/* -------------------------------------------------------- taking, restoring */

struct checkpoint_store *checkpoint_store_create(struct machine *m, uint64_t budget_bytes)
{
    struct checkpoint_store *s = xcalloc(1, sizeof(*s));

    s->machine = m;
    s->budget_bytes = budget_bytes;
    s->arena_page = m->memory.npages;
    s->arena_pages = (uint32_t)((m->arena_len + PAGE_SIZE - 1) >> PAGE_SHIFT);
    s->levels = page_tree_levels(s->arena_page + s->arena_pages);
    page_store_init(&s->pages);
    return s;
}

void checkpoint_store_destroy(struct checkpoint_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        drop(s, s->list[i]);
    page_node_unref(&s->pages, s->base, s->levels);
    page_store_finish(&s->pages);
    free(s->list);
    free(s);
}

/* Bring page `n` of the base tree up to date with `bytes`. */
static void update(struct checkpoint_store *s, uint32_t n, const uint8_t *bytes)
{
    struct page *old = page_tree_get(s->base, s->levels, n);

    if (page_is_zero(bytes)) {
        if (old)
            page_tree_set(&s->pages, &s->base, s->levels, n, NULL);
        return;
    }
    /* Written but not changed is common enough (spinlocks, stacks). */
    if (old && page_equals(old, bytes))
        return;
    page_tree_set(&s->pages, &s->base, s->levels, n, page_create(&s->pages, bytes));
    s->pages_copied++;
}

static void update_arena(struct checkpoint_store *s)
{
    const struct machine *m = s->machine;
    uint8_t last[PAGE_SIZE];

    for (uint32_t i = 0; i < s->arena_pages; i++) {
        size_t offset = (size_t)i << PAGE_SHIFT;
        size_t len = m->arena_len - offset;

        if (len >= PAGE_SIZE) {
            update(s, s->arena_page + i, m->arena + offset);
            continue;
        }
        memset(last, 0, sizeof(last));
        memcpy(last, m->arena + offset, len);
        update(s, s->arena_page + i, last);
    }
}

struct checkpoint *checkpoint_draw(struct checkpoint_store *s)
{
    struct machine *m = s->machine;
    struct memory *mem = &m->memory;
    struct checkpoint *c = xcalloc(1, sizeof(*c));

    CHECK(!m->between);
    for (uint32_t i = 0; i < mem->ndirty; i++)
        update(s, mem->dirty[i], memory_page(mem, mem->dirty[i]));
    update_arena(s);
    memory_clean(mem);
    c->position = m->st->position;
    c->vtime = machine_now(m);
    c->root = page_node_ref(s->base);
    return c;
}

void checkpoint_discard(struct checkpoint_store *s, struct checkpoint *c)
{
    drop(s, c);
}

struct checkpoint *checkpoint_take(struct checkpoint_store *s, enum checkpoint_kind kind)
{
    icount_t position = s->machine->st->position;
    struct checkpoint *c = checkpoint_at(s, position), *before;

    CHECK(!s->machine->between);
    if (c) {
        if (kind == CHECKPOINT_AUTO)
            c->kind = kind;
        return c;
    }
    c = checkpoint_draw(s);
    c->kind = kind;
    before = checkpoint_find(s, position);
    /* A known segment is cut in two: both parts touched no more than the whole. */
    if (before)
        c->segment = segment_ref(before->segment);
    index_insert(s, c);
    s->takes++;
    return c;
}

struct restore {
    struct checkpoint_store *s;
    uint8_t scratch[PAGE_SIZE];
};

static void restore_page(struct restore *r, uint32_t n, const struct page *page)
{
    struct checkpoint_store *s = r->s;

    if (n >= s->arena_page)
        return; /* of the arena, which is copied whole */
    memory_restore_page(&s->machine->memory, n, page ? page_bytes(&s->pages, page, r->scratch) : NULL);
    s->pages_restored++;
}

/* A page in which the two trees differ. */
static void restore_difference(void *ctx, uint32_t n, const struct page *now, const struct page *then)
{
    struct restore *r = ctx;

    (void)now;
    /* Those on the dirty list have been seen to. */
    if (n < r->s->arena_page && (r->s->machine->memory.flags[n] & PAGE_FLAG_DIRTY))
        return;
    restore_page(r, n, then);
}

static void restore_arena(struct restore *r, const struct page_node *root)
{
    struct checkpoint_store *s = r->s;
    struct machine *m = s->machine;

    for (uint32_t i = 0; i < s->arena_pages; i++) {
        size_t offset = (size_t)i << PAGE_SHIFT;
        size_t len = m->arena_len - offset < PAGE_SIZE ? m->arena_len - offset : PAGE_SIZE;
        const struct page *page = page_tree_get(root, s->levels, s->arena_page + i);

        if (page)
            memcpy(m->arena + offset, page_bytes(&s->pages, page, r->scratch), len);
        else
            memset(m->arena + offset, 0, len);
    }
}

void checkpoint_restore(struct checkpoint_store *s, const struct checkpoint *c)
{
    struct machine *m = s->machine;
    struct memory *mem = &m->memory;
    struct restore r = {.s = s};

    /* Dirty pages first, while their flags still say so. */
    for (uint32_t i = 0; i < mem->ndirty; i++)
        restore_page(&r, mem->dirty[i], page_tree_get(c->root, s->levels, mem->dirty[i]));
    page_tree_compare(s->base, c->root, s->levels, restore_difference, &r);
    restore_arena(&r, c->root);
    memory_clean(mem);
    page_node_ref(c->root);
    page_node_unref(&s->pages, s->base, s->levels);
    s->base = c->root;
    m->between = false;
    machine_restored(m);
    CHECK(m->st->position == c->position);
    s->restores++;
}

void checkpoint_remove(struct checkpoint_store *s, struct checkpoint *c)
{
    size_t i = index_after(s, c->position) - 1;

    CHECK(s->list[i] == c && !c->pins && !c->holds);
    remove_at(s, i);
}

void checkpoint_pin(struct checkpoint *c)
{
    c->pins++;
}

void checkpoint_unpin(struct checkpoint *c)
{
    CHECK(c->pins);
    c->pins--;
}

void checkpoint_hold(struct checkpoint *c)
{
    c->holds++;
}

void checkpoint_release(struct checkpoint *c)
{
    CHECK(c->holds);
    c->holds--;
}

/* --------------------------------------------------------------------- views */

struct checkpoint_view {
    struct checkpoint_store *s;
    struct page_node *root;    /* our own reference */
    uint32_t npages;
    uint64_t *hashes;          /* of every page; 0: zero page */
    uint64_t sum;
    uint32_t bits;             /* of the number of a memory page */
    uint32_t sums[CHECKPOINT_PAGE_SUMS];
    uint8_t scratch[PAGE_SIZE];
    /* While moving. */
    void (*changed)(void *ctx, uint32_t page, const uint8_t *bytes);
    void *ctx;
};

struct checkpoint_view *checkpoint_view_create(struct checkpoint_store *s)
{
    struct checkpoint_view *v = xcalloc(1, sizeof(*v));

    v->s = s;
    v->npages = s->arena_page + s->arena_pages;
    v->hashes = xcalloc(v->npages, sizeof(v->hashes[0]));
    while (v->bits < 32 && s->arena_page > (uint32_t)1 << v->bits)
        v->bits++;
    return v;
}

void checkpoint_view_destroy(struct checkpoint_view *v)
{
    if (!v)
        return;
    page_node_unref(&v->s->pages, v->root, v->s->levels);
    free(v->hashes);
    free(v);
}

/* The hash of memory page `n` has grown by that. */
static void add_to_sums(struct checkpoint_view *v, uint32_t n, uint32_t more)
{
    for (uint32_t b = 0; b < v->bits; b++)
        if (n >> b & 1)
            v->sums[b] += more;
    v->sums[v->bits] += more;
}

uint32_t checkpoint_view_sums(const struct checkpoint_view *v, uint32_t sums[CHECKPOINT_PAGE_SUMS])
{
    memcpy(sums, v->sums, sizeof(v->sums));
    return v->bits + 1;
}

static void view_difference(void *ctx, uint32_t n, const struct page *a, const struct page *b)
{
    struct checkpoint_view *v = ctx;
    uint64_t before = v->hashes[n];
    const uint8_t *bytes = b ? page_bytes(&v->s->pages, b, v->scratch) : NULL;

    (void)a;
    CHECK(n < v->npages);
    v->sum -= v->hashes[n];
    v->hashes[n] = bytes ? hash_bytes((uint64_t)n + 1, bytes, PAGE_SIZE) : 0;
    v->sum += v->hashes[n];
    if (n < v->s->arena_page)
        add_to_sums(v, n, (uint32_t)(v->hashes[n] - before));
    if (v->changed)
        v->changed(v->ctx, n, bytes);
}

void checkpoint_view_move(struct checkpoint_view *v, const struct checkpoint *c,
                          void (*changed)(void *ctx, uint32_t page, const uint8_t *bytes), void *ctx)
{
    v->changed = changed;
    v->ctx = ctx;
    page_tree_compare(v->root, c->root, v->s->levels, view_difference, v);
    page_node_ref(c->root);
    page_node_unref(&v->s->pages, v->root, v->s->levels);
    v->root = c->root;
}

uint64_t checkpoint_view_hash(const struct checkpoint_view *v)
{
    return v->sum;
}

const uint8_t *checkpoint_view_page(const struct checkpoint_view *v, uint32_t page, uint8_t *scratch)
{
    const struct page *p = page < v->npages ? page_tree_get(v->root, v->s->levels, page) : NULL;

    return p ? page_bytes(&v->s->pages, p, scratch) : NULL;
}

void checkpoint_view_arena(const struct checkpoint_view *v, uint8_t *arena)
{
    size_t len = v->s->machine->arena_len;
    uint8_t scratch[PAGE_SIZE];

    for (uint32_t i = 0; i < v->s->arena_pages; i++) {
        size_t offset = (size_t)i << PAGE_SHIFT, n = len - offset < PAGE_SIZE ? len - offset : PAGE_SIZE;
        const uint8_t *bytes = checkpoint_view_page(v, v->s->arena_page + i, scratch);

        if (bytes)
            memcpy(arena + offset, bytes, n);
        else
            memset(arena + offset, 0, n);
    }
}

/* ------------------------------------------------------------------ building */

struct checkpoint_builder {
    struct checkpoint_store *s;
    struct page_node *root;
};

struct checkpoint_builder *checkpoint_builder_create(struct checkpoint_store *s)
{
    struct checkpoint_builder *b = xcalloc(1, sizeof(*b));

    b->s = s;
    return b;
}

void checkpoint_builder_destroy(struct checkpoint_builder *b)
{
    if (!b)
        return;
    page_node_unref(&b->s->pages, b->root, b->s->levels);
    free(b);
}

void checkpoint_builder_clear(struct checkpoint_builder *b)
{
    page_node_unref(&b->s->pages, b->root, b->s->levels);
    b->root = NULL;
}

bool checkpoint_builder_page(struct checkpoint_builder *b, uint32_t page, const uint8_t *bytes)
{
    struct checkpoint_store *s = b->s;

    if (page >= s->arena_page + s->arena_pages)
        return false;
    if (bytes && page_is_zero(bytes))
        bytes = NULL;
    page_tree_set(&s->pages, &b->root, s->levels, page, bytes ? page_create(&s->pages, bytes) : NULL);
    return true;
}

struct checkpoint *checkpoint_builder_place(struct checkpoint_builder *b, icount_t position, vtime_t vtime)
{
    struct checkpoint_store *s = b->s;
    struct checkpoint *c = checkpoint_at(s, position);
    struct machine_state st = {0};
    uint8_t scratch[PAGE_SIZE];
    const struct page *first = b->root ? page_tree_get(b->root, s->levels, s->arena_page) : NULL;

    if (c)
        return c;
    if (first)
        memcpy(&st, page_bytes(&s->pages, first, scratch), sizeof(st));
    if (!first || st.position != position)
        return NULL;
    c = xcalloc(1, sizeof(*c));
    c->position = position;
    c->vtime = vtime;
    c->kind = CHECKPOINT_AUTO;
    c->root = page_node_ref(b->root);
    index_insert(s, c);
    return c;
}

/* ---------------------------------------------------------------- footprints */

const struct footprint *checkpoint_footprint(const struct checkpoint *c)
{
    return c->segment ? &c->segment->f : NULL;
}

void checkpoint_note_footprint(struct checkpoint_store *s, icount_t from, icount_t to, struct footprint *f)
{
    struct segment *g = segment_create(s, f);

    for (size_t i = from ? index_after(s, from - 1) : 0; i + 1 < s->count && s->list[i + 1]->position <= to; i++)
        if (!s->list[i]->segment)
            s->list[i]->segment = segment_ref(g);
    segment_unref(s, g);
}

/* ------------------------------------------------------------------ thinning */

static uint64_t bytes_held(const struct checkpoint_store *s)
{
    return s->pages.bytes + s->footprint_bytes + s->count * sizeof(struct checkpoint) +
           s->cap * sizeof(s->list[0]);
}

static uint64_t distance(icount_t a, icount_t b)
{
    return a > b ? a - b : b - a;
}

/* May thinning take the checkpoint at index `i`? */
static bool can_go(const struct checkpoint_store *s, size_t i)
{
    return i && i + 1 < s->count && !s->list[i]->pins && !s->list[i]->holds;
}

/* Index of the checkpoint that is worth least; 0: none can go. */
static size_t least_worth(const struct checkpoint_store *s, icount_t present, icount_t edge)
{
    size_t least = 0;
    double least_worth = 0;

    for (size_t i = 1; i + 1 < s->count; i++) {
        icount_t p = s->list[i]->position;
        uint64_t d = distance(p, present), e = distance(p, edge);
        double worth;

        if (!can_go(s, i))
            continue;
        worth = (double)(s->list[i + 1]->position - s->list[i - 1]->position) / ((double)(d < e ? d : e) + 1);
        if (!least || worth < least_worth) {
            least = i;
            least_worth = worth;
        }
    }
    return least;
}

void checkpoint_trim(struct checkpoint_store *s, icount_t present, icount_t edge)
{
    uint64_t share = s->pages_copied - s->copied_at_trim;
    size_t i;

    s->copied_at_trim = s->pages_copied;
    if (bytes_held(s) > s->budget_bytes / 4 * 3)
        page_store_compress(&s->pages, share < COMPRESS_PAGES ? share : COMPRESS_PAGES);
    while (bytes_held(s) > s->budget_bytes && (i = least_worth(s, present, edge)))
        remove_at(s, i);
    if (bytes_held(s) > s->budget_bytes)
        page_store_compress(&s->pages, UINT64_MAX);
}

void checkpoint_trim_rungs(struct checkpoint_store *s, icount_t present, size_t keep)
{
    for (;;) {
        size_t rungs = 0, furthest = 0;
        uint64_t furthest_distance = 0;

        for (size_t i = 1; i + 1 < s->count; i++) {
            uint64_t d = distance(s->list[i]->position, present);

            if (s->list[i]->kind != CHECKPOINT_RUNG || !can_go(s, i))
                continue;
            rungs++;
            if (d >= furthest_distance) {
                furthest = i;
                furthest_distance = d;
            }
        }
        if (rungs <= keep)
            return;
        remove_at(s, furthest);
    }
}

void checkpoint_store_info(const struct checkpoint_store *s, struct checkpoint_store_info *info)
{
    memset(info, 0, sizeof(*info));
    info->checkpoints = s->count;
    for (size_t i = 0; i < s->count; i++) {
        info->rungs += s->list[i]->kind == CHECKPOINT_RUNG;
        info->pinned += s->list[i]->pins != 0;
    }
    info->budget_bytes = s->budget_bytes;
    info->bytes = bytes_held(s);
    info->raw_pages = s->pages.raw_pages;
    info->compressed_pages = s->pages.compressed_pages;
    info->compressed_bytes = s->pages.compressed_bytes;
    info->nodes = s->pages.nodes;
    info->footprint_bytes = s->footprint_bytes;
    info->takes = s->takes;
    info->restores = s->restores;
    info->pages_copied = s->pages_copied;
    info->pages_restored = s->pages_restored;
    info->removed = s->removed;
}
