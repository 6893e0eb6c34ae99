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

/* (Looking is not changing; the lock is no part of what is looked at.) */
static void lock(const struct checkpoint_store *s)
{
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&s->lock);
}

static void unlock(const struct checkpoint_store *s)
{
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&s->lock);
}

struct checkpoint *checkpoint_find(const struct checkpoint_store *s, icount_t position)
{
    struct checkpoint *c;
    size_t i;

    lock(s);
    i = index_after(s, position);
    c = i ? s->list[i - 1] : NULL;
    unlock(s);
    return c;
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
    struct checkpoint *next;

    lock(s);
    next = checkpoint_nth(s, index_after(s, c->position));
    unlock(s);
    return next;
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

    pthread_mutexattr_t recursive;

    machine_lay_out(m);
    s->machine = m;
    s->own = (struct checkpoint_seat){.store = s, .machine = m};
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
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
    page_node_unref(&s->pages, s->own.base, s->levels);
    page_codec_destroy(s->own.codec);
    page_store_finish(&s->pages);
    pthread_mutex_destroy(&s->lock);
    free(s->list);
    free(s);
}

struct checkpoint_seat *checkpoint_own_seat(struct checkpoint_store *s)
{
    return &s->own;
}

struct checkpoint_seat *checkpoint_seat_create(struct checkpoint_store *s, struct machine *replica)
{
    struct checkpoint_seat *seat = xcalloc(1, sizeof(*seat));

    machine_lay_out(replica);
    CHECK(machine_pages(replica) == machine_pages(s->machine) && replica->arena_len == s->machine->arena_len);
    *seat = (struct checkpoint_seat){.store = s, .machine = replica};
    return seat;
}

void checkpoint_seat_destroy(struct checkpoint_seat *seat)
{
    if (!seat)
        return;
    lock(seat->store);
    page_node_unref(&seat->store->pages, seat->base, seat->store->levels);
    unlock(seat->store);
    page_codec_destroy(seat->codec);
    free(seat);
}

bool checkpoint_has_room(struct checkpoint_store *s)
{
    bool room;

    lock(s);
    room = s->pages.bytes + s->footprint_bytes < s->budget_bytes;
    unlock(s);
    return room;
}

/* Bring a page of the base tree up to date with the machine. */
static void update(void *ctx, struct page_space *space, uint64_t n)
{
    struct checkpoint_seat *seat = ctx;
    struct checkpoint_store *s = seat->store;
    const uint8_t *bytes = page_space_page(space, n);
    struct page *old = page_tree_get(seat->base, s->levels, space->first + n);

    if (!bytes || page_is_zero(bytes)) {
        if (old)
            page_tree_set(&s->pages, &seat->base, s->levels, space->first + n, NULL);
        return;
    }
    /* Written but not changed is common enough (spinlocks, stacks). */
    if (old && page_equals(old, bytes))
        return;
    page_tree_set(&s->pages, &seat->base, s->levels, space->first + n, page_create(&s->pages, bytes));
    s->pages_copied++;
}

static void clean_all(struct machine *m)
{
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_clean(m->spaces[i]);
}

static struct checkpoint *draw(struct checkpoint_seat *seat)
{
    struct machine *m = seat->machine;
    struct checkpoint *c = xcalloc(1, sizeof(*c));

    CHECK(!m->between);
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_each_dirty(m->spaces[i], update, seat);
    clean_all(m);
    c->position = m->st->position;
    c->vtime = machine_now(m);
    c->root = page_node_ref(seat->base);
    return c;
}

struct checkpoint *checkpoint_draw(struct checkpoint_store *s)
{
    return draw(&s->own);
}

void checkpoint_discard(struct checkpoint_store *s, struct checkpoint *c)
{
    drop(s, c);
}

struct checkpoint *checkpoint_take(struct checkpoint_store *s, enum checkpoint_kind kind)
{
    return checkpoint_seat_take(&s->own, kind);
}

static struct checkpoint *take(struct checkpoint_seat *seat, enum checkpoint_kind kind)
{
    struct checkpoint_store *s = seat->store;
    icount_t position = seat->machine->st->position;
    struct checkpoint *c = checkpoint_at(s, position), *before;

    CHECK(!seat->machine->between);
    if (c) {
        if (kind == CHECKPOINT_AUTO)
            c->kind = kind;
        return c;
    }
    c = draw(seat);
    c->kind = kind;
    before = checkpoint_find(s, position);
    /* A known segment is cut in two: both parts touched no more than the whole. */
    if (before)
        c->segment = segment_ref(before->segment);
    checkpoint_insert(s, c);
    s->takes++;
    return c;
}

struct checkpoint *checkpoint_seat_take(struct checkpoint_seat *seat, enum checkpoint_kind kind)
{
    struct checkpoint *c;

    lock(seat->store);
    c = take(seat, kind);
    unlock(seat->store);
    return c;
}

struct restore {
    struct checkpoint_seat *seat;
    struct page_node *to;
    uint64_t pages;
    uint8_t scratch[PAGE_SIZE];
};

static void restore_page(struct restore *r, struct page_space *space, uint64_t n, const struct page *page)
{
    page_space_restore(space, n, page ? page_bytes_by(&r->seat->codec, page, r->scratch) : NULL);
    r->pages++;
}

static void restore_dirty(void *ctx, struct page_space *space, uint64_t n)
{
    struct restore *r = ctx;

    restore_page(r, space, n, page_tree_get(r->to, r->seat->store->levels, space->first + n));
}

/* A page in which the two trees differ. */
static void restore_difference(void *ctx, uint64_t global, struct page *now, struct page *then)
{
    struct restore *r = ctx;
    uint64_t n;
    struct page_space *space = machine_space_of(r->seat->machine, global, &n);

    (void)now;
    /* Those that are dirty have been seen to. */
    if (!space->ops->is_dirty(space, n))
        restore_page(r, space, n, then);
}

void checkpoint_restore(struct checkpoint_store *s, struct checkpoint *c)
{
    checkpoint_seat_restore(&s->own, c);
}

/* Both trees have owners, so nobody changes them meanwhile: pages are copied without the lock. */
void checkpoint_seat_restore(struct checkpoint_seat *seat, struct checkpoint *c)
{
    struct checkpoint_store *s = seat->store;
    struct machine *m = seat->machine;
    struct restore r = {.seat = seat, .to = c->root};

    /* Dirty pages first, while their spaces still say so. */
    for (unsigned i = 0; i < m->nspaces; i++)
        page_space_each_dirty(m->spaces[i], restore_dirty, &r);
    page_tree_compare(seat->base, c->root, s->levels, restore_difference, &r);
    clean_all(m);
    lock(s);
    page_node_ref(c->root);
    page_node_unref(&s->pages, seat->base, s->levels);
    seat->base = c->root;
    c->used = ++s->uses;
    s->restores++;
    s->pages_restored += r.pages;
    unlock(s);
    m->between = false;
    machine_restored(m);
    CHECK(m->st->position == c->position);
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
    __atomic_add_fetch(&c->holds, 1, __ATOMIC_RELAXED);
}

void checkpoint_release(struct checkpoint *c)
{
    CHECK(__atomic_fetch_sub(&c->holds, 1, __ATOMIC_RELAXED));
}

/* ---- footprints ---- */

const struct footprint *checkpoint_footprint(const struct checkpoint *c)
{
    const struct segment *g = __atomic_load_n(&c->segment, __ATOMIC_ACQUIRE);

    return g ? &g->f : NULL;
}

void checkpoint_note_footprint(struct checkpoint_store *s, icount_t from, icount_t to, struct footprint *f)
{
    struct segment *g;

    lock(s);
    g = segment_create(s, f);
    for (size_t i = from ? index_after(s, from - 1) : 0; i + 1 < s->count && s->list[i + 1]->position <= to; i++)
        if (!s->list[i]->segment)
            __atomic_store_n(&s->list[i]->segment, segment_ref(g), __ATOMIC_RELEASE);
    segment_unref(s, g);
    unlock(s);
}
