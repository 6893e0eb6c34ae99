/*
 * The checkpoint store: index, segments and their footprints, taking, restoring. What is
 * dropped when is thin.c's business, looking at checkpoints view.c's; the trees of pages
 * are in page_tree.c, the pages themselves in page_store.c.
 */
#include "checkpoint/checkpoint_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

/* ---- segments ---- */

static size_t segment_bytes(const struct segment *g)
{
    return sizeof(*g) + footprint_bytes(&g->f);
}

/* Take over the members of *f. */
static struct segment *segment_create(struct checkpoint_store *s, struct footprint *f)
{
    struct segment *g = xcalloc(1, sizeof(*g));

    g->refs = 1;
    g->f = *f;
    footprint_init(f);
    footprint_seal(&g->f);
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

/* The footprint of two segments that have become one; NULL if either is unknown. */
static struct segment *segment_join(struct checkpoint_store *s, struct segment *a, struct segment *b)
{
    struct footprint f;

    if (!a || !b)
        return NULL;
    if (a == b)
        return segment_ref(a);
    footprint_init(&f);
    footprint_join(&f, &a->f);
    footprint_join(&f, &b->f);
    return segment_create(s, &f);
}

/* ---- index ---- */

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

void checkpoint_insert(struct checkpoint_store *s, struct checkpoint *c)
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
void checkpoint_remove_at(struct checkpoint_store *s, size_t i)
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

/* ---- taking, restoring ---- */

struct checkpoint_store *checkpoint_store_create(struct machine *m, uint64_t budget_bytes)
{
    struct checkpoint_store *s = xcalloc(1, sizeof(*s));

    machine_lay_out(m);
    s->machine = m;
    s->budget_bytes = budget_bytes;
    s->levels = page_tree_levels(machine_pages(m));
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

/* Bring a page of the base tree up to date with the machine. */
static void update(void *ctx, struct page_space *space, uint64_t n)
{
    struct checkpoint_store *s = ctx;
    const uint8_t *bytes = page_space_page(space, n);
    struct page *old = page_tree_get(s->base, s->levels, space->first + n);

    if (!bytes || page_is_zero(bytes)) {
        if (old)
            page_tree_set(&s->pages, &s->base, s->levels, space->first + n, NULL);
        return;
    }
    /* Written but not changed is common enough (spinlocks, stacks). */
    if (old && page_equals(old, bytes))
        return;
    page_tree_set(&s->pages, &s->base, s->levels, space->first + n, page_create(&s->pages, bytes));
    s->pages_copied++;
}

static void clean_all(struct machine *m)
{
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_clean(m->spaces[i]);
}

struct checkpoint *checkpoint_draw(struct checkpoint_store *s)
{
    struct machine *m = s->machine;
    struct checkpoint *c = xcalloc(1, sizeof(*c));

    CHECK(!m->between);
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_each_dirty(m->spaces[i], update, s);
    clean_all(m);
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
    checkpoint_insert(s, c);
    s->takes++;
    return c;
}

struct restore {
    struct checkpoint_store *s;
    struct page_node *to;
    uint8_t scratch[PAGE_SIZE];
};

static void restore_page(struct restore *r, struct page_space *space, uint64_t n, const struct page *page)
{
    page_space_restore(space, n, page ? page_bytes(&r->s->pages, page, r->scratch) : NULL);
    r->s->pages_restored++;
}

static void restore_dirty(void *ctx, struct page_space *space, uint64_t n)
{
    struct restore *r = ctx;

    restore_page(r, space, n, page_tree_get(r->to, r->s->levels, space->first + n));
}

/* A page in which the two trees differ. */
static void restore_difference(void *ctx, uint64_t global, struct page *now, struct page *then)
{
    struct restore *r = ctx;
    uint64_t n;
    struct page_space *space = machine_space_of(r->s->machine, global, &n);

    (void)now;
    /* Those that are dirty have been seen to. */
    if (!space->ops->is_dirty(space, n))
        restore_page(r, space, n, then);
}

void checkpoint_restore(struct checkpoint_store *s, struct checkpoint *c)
{
    struct machine *m = s->machine;
    struct restore r = {.s = s, .to = c->root};

    /* Dirty pages first, while their spaces still say so. */
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_each_dirty(m->spaces[i], restore_dirty, &r);
    page_tree_compare(s->base, c->root, s->levels, restore_difference, &r);
    clean_all(m);
    page_node_ref(c->root);
    page_node_unref(&s->pages, s->base, s->levels);
    s->base = c->root;
    m->between = false;
    machine_restored(m);
    CHECK(m->st->position == c->position);
    c->used = ++s->uses;
    s->restores++;
}

void checkpoint_remove(struct checkpoint_store *s, struct checkpoint *c)
{
    size_t i = index_after(s, c->position) - 1;

    CHECK(s->list[i] == c && !c->pins && !c->holds);
    checkpoint_remove_at(s, i);
}

void checkpoint_pin(struct checkpoint_store *s, struct checkpoint *c)
{
    c->pins++;
    c->used = ++s->uses;
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

/* ---- footprints ---- */

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
