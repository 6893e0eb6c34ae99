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

/* ---- bytes touched in segments ---- */

/* What is known takes at most this part of the budget; when it is full all is forgotten, and who asks finds it out again. */
#define TOUCHES_SHARE 16u

/* Takes a copy; NULL, or of no page: nothing is known any more. */
static void set_touches(struct checkpoint_store *s, struct checkpoint *c, const struct touches *t)
{
    size_t bytes = t && t->count ? touches_bytes(t) : 0;
    struct touches *kept = bytes ? xmalloc(bytes) : NULL;

    if (kept)
        memcpy(kept, t, bytes);
    s->touches_bytes += bytes;
    s->touches_bytes -= touches_bytes(c->touches);
    free(c->touches);
    c->touches = kept;
}

static const struct footprint *footprint_of(const struct checkpoint *c)
{
    return c->segment ? &c->segment->f : NULL;
}

/* The segment of `c` joins the one before. */
static void join_touches(struct checkpoint_store *s, struct checkpoint *before, const struct checkpoint *c)
{
    struct touches t;

    if (!before->touches && !c->touches)
        return;
    touches_join(&t, before->touches, footprint_of(before), c->touches, footprint_of(c));
    set_touches(s, before, &t);
}

static void narrow_touches(struct checkpoint_store *s, struct checkpoint *c, const struct touches *more)
{
    struct touches t = {.count = 0};

    if (c->touches)
        memcpy(&t, c->touches, touches_bytes(c->touches));
    touches_narrow(&t, more, footprint_of(c));
    set_touches(s, c, &t);
}

static void forget_touches(struct checkpoint_store *s)
{
    for (size_t n = 0; n < s->nlines; n++)
        for (size_t i = 0; i < s->lines[n]->count; i++)
            set_touches(s, s->lines[n]->list[i], NULL);
}

/* ---- index ---- */

/* Whose own the checkpoint at that position is, on the way that leads to `line`. */
static struct checkpoint_line *owner(const struct checkpoint_line *line, icount_t position)
{
    while (line->parent && position < line->fork)
        line = line->parent;
    return (struct checkpoint_line *)(uintptr_t)line;
}

/* Index of the first of a line's own after `position`. */
static size_t index_after(const struct checkpoint_line *line, icount_t position)
{
    size_t low = 0, high = line->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (line->list[mid]->position <= position)
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

struct checkpoint *checkpoint_line_find(const struct checkpoint_store *s, const struct checkpoint_line *line, icount_t position)
{
    struct checkpoint *c;
    size_t i;

    lock(s);
    line = owner(line, position);
    i = index_after(line, position);
    c = i ? line->list[i - 1] : NULL;
    unlock(s);
    return c;
}

struct checkpoint *checkpoint_find(const struct checkpoint_store *s, icount_t position)
{
    return checkpoint_line_find(s, s->line, position);
}

struct checkpoint *checkpoint_line_at(const struct checkpoint_store *s, const struct checkpoint_line *line, icount_t position)
{
    struct checkpoint *c = checkpoint_line_find(s, line, position);

    return c && c->position == position ? c : NULL;
}

struct checkpoint *checkpoint_at(const struct checkpoint_store *s, icount_t position)
{
    return checkpoint_line_at(s, s->line, position);
}

/* How many checkpoints come before a line's own. (Each line forks behind its parent's fork.) */
static size_t inherited(const struct checkpoint_line *line)
{
    size_t n = 0;

    for (; line->parent; line = line->parent)
        n += line->fork ? index_after(line->parent, line->fork - 1) : 0;
    return n;
}

size_t checkpoint_line_count(const struct checkpoint_store *s, const struct checkpoint_line *line)
{
    (void)s;
    return inherited(line) + line->count;
}

size_t checkpoint_count(const struct checkpoint_store *s)
{
    return checkpoint_line_count(s, s->line);
}

struct checkpoint *checkpoint_line_nth(const struct checkpoint_store *s, const struct checkpoint_line *line, size_t n)
{
    size_t before = inherited(line);

    (void)s;
    while (n < before) {
        line = line->parent;
        before = inherited(line);
    }
    return n - before < line->count ? line->list[n - before] : NULL;
}

struct checkpoint *checkpoint_nth(const struct checkpoint_store *s, size_t n)
{
    return checkpoint_line_nth(s, s->line, n);
}

/* The first after `position`. */
static struct checkpoint *next_on(const struct checkpoint_line *line, icount_t position)
{
    struct checkpoint *c;
    size_t i;

    if (line->parent && position < line->fork) {
        c = next_on(line->parent, position);
        return c && c->position < line->fork ? c : line->list[0];
    }
    i = index_after(line, position);
    return i < line->count ? line->list[i] : NULL;
}

struct checkpoint *checkpoint_next(const struct checkpoint_store *s, const struct checkpoint *c)
{
    struct checkpoint *next;

    lock(s);
    next = next_on(s->line, c->position);
    unlock(s);
    return next;
}

struct checkpoint *checkpoint_prev(const struct checkpoint_store *s, const struct checkpoint *c)
{
    return c->position ? checkpoint_find(s, c->position - 1) : NULL;
}

static void insert(struct checkpoint_line *line, struct checkpoint *c)
{
    size_t i = index_after(line, c->position);

    if (line->count == line->cap) {
        line->cap = line->cap ? line->cap * 2 : 16;
        line->list = xrealloc(line->list, line->cap * sizeof(line->list[0]));
    }
    memmove(line->list + i + 1, line->list + i, (line->count - i) * sizeof(line->list[0]));
    line->list[i] = c;
    line->count++;
}

/* What is around index `i` of a line has changed. */
static void neighbours_changed(struct checkpoint_line *line, size_t i)
{
    for (size_t n = i ? i - 1 : 0; n <= i + 1 && n < line->count; n++)
        line->list[n]->own_bytes = 0;
}

void checkpoint_insert(struct checkpoint_store *s, struct checkpoint *c)
{
    struct checkpoint_line *line = owner(s->line, c->position);

    insert(line, c);
    neighbours_changed(line, index_after(line, c->position) - 1);
}

static void drop(struct checkpoint_store *s, struct checkpoint *c)
{
    set_touches(s, c, NULL);
    segment_unref(s, c->segment);
    page_node_unref(&s->pages, c->root, s->levels);
    free(c);
}

void checkpoint_remove_at(struct checkpoint_store *s, struct checkpoint_line *line, size_t i)
{
    struct checkpoint *c = line->list[i];

    CHECK(i || !line->parent);
    if (i) {
        struct checkpoint *before = line->list[i - 1];
        struct segment *joined = NULL;

        if (i + 1 < line->count)
            join_touches(s, before, c);
        else
            set_touches(s, before, NULL);
        if (i + 1 < line->count)
            joined = segment_join(s, before->segment, c->segment);
        segment_unref(s, before->segment);
        before->segment = joined;
    }
    line->count--;
    memmove(line->list + i, line->list + i + 1, (line->count - i) * sizeof(line->list[0]));
    neighbours_changed(line, i);
    drop(s, c);
    s->removed++;
}

/* ---- lines ---- */

static struct checkpoint_line *add_line(struct checkpoint_store *s)
{
    struct checkpoint_line *line = xcalloc(1, sizeof(*line));

    s->lines = xrealloc(s->lines, (s->nlines + 1) * sizeof(s->lines[0]));
    s->lines[s->nlines++] = line;
    return line;
}

static void free_line(struct checkpoint_store *s, struct checkpoint_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        drop(s, line->list[i]);
    free(line->list);
    free(line);
}

struct checkpoint_line *checkpoint_line(const struct checkpoint_store *s)
{
    return s->line;
}

struct checkpoint_line *checkpoint_line_fork(struct checkpoint_store *s, struct checkpoint_line *from, const struct checkpoint *c)
{
    struct checkpoint_line *line = add_line(s);
    struct checkpoint *first = xcalloc(1, sizeof(*first));

    CHECK(!from->parent || c->position > from->fork);
    line->parent = from;
    line->fork = c->position;
    first->position = c->position;
    first->vtime = c->vtime;
    first->effort_ns = c->effort_ns;
    first->root = page_node_ref(c->root);
    insert(line, first);
    return line;
}

void checkpoint_line_use(struct checkpoint_store *s, struct checkpoint_line *line)
{
    s->line = line;
}

void checkpoint_line_remove(struct checkpoint_store *s, struct checkpoint_line *line)
{
    size_t at = 0;

    CHECK(line->parent && line != s->line);
    for (size_t i = 0; i < s->nlines; i++) {
        CHECK(s->lines[i]->parent != line);
        if (s->lines[i] == line)
            at = i;
    }
    for (size_t i = 0; i < line->count; i++)
        CHECK(!line->list[i]->holds);
    s->nlines--;
    memmove(s->lines + at, s->lines + at + 1, (s->nlines - at) * sizeof(s->lines[0]));
    free_line(s, line);
}

/* ---- pages in place ---- */

/* Time that copies take is measured of one in so many, once there are so many: asking for it takes as long as to copy a page. */
#define COPIES_MEASURED 16u

static uint64_t clock_of(const struct checkpoint_store *s)
{
    return s->now_ns ? s->now_ns(s->clock_ctx) : 0;
}

/* When it begins, if it is one that is measured; else 0. */
static uint64_t copy_begins(struct checkpoint_store *s)
{
    return s->pages_copied++ % COPIES_MEASURED ? 0 : clock_of(s);
}

static void copy_ends(struct checkpoint_store *s, uint64_t began)
{
    if (began)
        s->copy_ns += (clock_of(s) - began) * COPIES_MEASURED;
}

/* A page of the seat's machine is about to change: of its bytes there shall be a copy. */
static void page_changes(void *ctx, struct page_space *space, uint64_t n)
{
    struct checkpoint_seat *seat = ctx;
    struct checkpoint_store *s = seat->store;
    struct page *p = page_tree_get(seat->base, s->levels, space->first + n);
    uint64_t began;

    if (!p || !page_is_in_place(p))
        return;
    lock(s);
    began = copy_begins(s);
    page_move_out(&s->pages, p);
    copy_ends(s, began);
    unlock(s);
}

static void watch_changes(struct checkpoint_seat *seat, bool watch)
{
    struct machine *m = seat->machine;

    for (unsigned i = 0; i < m->nspaces; i++) {
        m->spaces[i]->changes = watch ? page_changes : NULL;
        m->spaces[i]->changes_ctx = watch ? seat : NULL;
    }
}

void checkpoint_store_clock(struct checkpoint_store *s, uint64_t (*now_ns)(void *ctx), void *ctx)
{
    s->now_ns = now_ns;
    s->clock_ctx = ctx;
}

void checkpoint_store_source(struct checkpoint_store *s, const struct page_source *source)
{
    s->pages.source = *source;
}

/* ---- taking, restoring ---- */

struct checkpoint_store *checkpoint_store_create(struct machine *m, uint64_t budget_bytes)
{
    struct checkpoint_store *s = xcalloc(1, sizeof(*s));

    pthread_mutexattr_t recursive;

    machine_lay_out(m);
    s->machine = m;
    s->own = (struct checkpoint_seat){.store = s, .machine = m, .in_place = true};
    watch_changes(&s->own, true);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    s->budget_bytes = budget_bytes;
    s->levels = page_tree_levels(machine_pages(m));
    page_store_init(&s->pages);
    s->line = add_line(s);
    return s;
}

void checkpoint_store_destroy(struct checkpoint_store *s)
{
    if (!s)
        return;
    watch_changes(&s->own, false);
    for (size_t i = 0; i < s->nlines; i++)
        free_line(s, s->lines[i]);
    page_node_unref(&s->pages, s->own.base, s->levels);
    page_codec_destroy(s->own.codec);
    page_store_finish(&s->pages);
    pthread_mutex_destroy(&s->lock);
    free(s->lines);
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

uint64_t checkpoint_seat_dirty(const struct checkpoint_seat *seat)
{
    const struct machine *m = seat->machine;
    uint64_t pages = 0;

    for (unsigned i = 0; i < m->nspaces; i++)
        pages += page_space_dirty(m->spaces[i]);
    return pages;
}

uint64_t checkpoint_copy_ns(const struct checkpoint_store *s)
{
    uint64_t ns;

    lock(s);
    ns = s->copy_ns;
    unlock(s);
    return ns;
}

bool checkpoint_has_room(struct checkpoint_store *s)
{
    bool room;

    lock(s);
    room = s->pages.bytes + s->footprint_bytes + s->touches_bytes < s->budget_bytes;
    unlock(s);
    return room;
}

/* (What is dirty always is not told of when it changes; and a replica's machine goes before the store does.) */
static struct page *page_of(struct checkpoint_seat *seat, const struct page_space *space, const uint8_t *bytes)
{
    struct checkpoint_store *s = seat->store;
    uint64_t began;
    struct page *p;

    if (seat->in_place && !space->always_dirty)
        return page_create_in_place(&s->pages, bytes);
    began = copy_begins(s);
    p = page_create(&s->pages, bytes);
    copy_ends(s, began);
    return p;
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
    page_tree_set(&s->pages, &seat->base, s->levels, space->first + n, page_of(seat, space, bytes));
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
    if (before)
        set_touches(s, c, before->touches);
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

/* The bytes of a page, whoever's machine they are in, which runs meanwhile. */
static const uint8_t *bytes_of(struct restore *r, const struct page *page)
{
    bool copied = false;

    if (page_is_in_place(page)) {
        lock(r->seat->store);
        copied = page_is_in_place(page);
        if (copied)
            memcpy(r->scratch, page->data, PAGE_SIZE);
        unlock(r->seat->store);
    }
    return copied ? r->scratch : page_bytes_by(&r->seat->store->pages, &r->seat->codec, page, r->scratch);
}

static void restore_page(struct restore *r, struct page_space *space, uint64_t n, const struct page *page)
{
    page_space_restore(space, n, page ? bytes_of(r, page) : NULL);
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

    /* Those that are dirty have been seen to. */
    if (space->ops->is_dirty(space, n))
        return;
    if (now && r->seat->in_place)
        page_changes(r->seat, space, n);
    restore_page(r, space, n, then);
}

struct comparison {
    void (*page)(void *ctx, uint64_t global);
    void *ctx;
};

static void compare_dirty(void *ctx, struct page_space *space, uint64_t n)
{
    const struct comparison *c = ctx;

    c->page(c->ctx, space->first + n);
}

static void compare_difference(void *ctx, uint64_t global, struct page *a, struct page *b)
{
    const struct comparison *c = ctx;

    (void)a;
    (void)b;
    c->page(c->ctx, global);
}

void checkpoint_seats_compare(struct checkpoint_seat *a, struct checkpoint_seat *b, void (*page)(void *ctx, uint64_t global), void *ctx)
{
    struct comparison c = {.page = page, .ctx = ctx};

    for (unsigned i = 0; i < a->machine->nspaces; i++) {
        page_space_each_dirty(a->machine->spaces[i], compare_dirty, &c);
        page_space_each_dirty(b->machine->spaces[i], compare_dirty, &c);
    }
    page_tree_compare(a->base, b->base, a->store->levels, compare_difference, &c);
}

void checkpoint_restore(struct checkpoint_store *s, struct checkpoint *c)
{
    checkpoint_seat_restore(&s->own, c);
}

/* Both trees have owners, so nobody changes them meanwhile: pages are copied without the lock, but for those in place. */
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
    struct checkpoint_line *line = owner(s->line, c->position);
    size_t i = index_after(line, c->position) - 1;

    CHECK(line->list[i] == c && !c->pins && !c->holds);
    checkpoint_remove_at(s, line, i);
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

/* (A segment that a fork lies in is noted where its owner's ends, too: elsewhere something else may follow.) */
static void note_on(const struct checkpoint_line *line, icount_t from, icount_t to, struct segment *g)
{
    if (line->parent && from < line->fork)
        note_on(line->parent, from, to < line->fork ? to : line->fork, g);
    for (size_t i = from ? index_after(line, from - 1) : 0; i + 1 < line->count && line->list[i + 1]->position <= to; i++)
        if (!line->list[i]->segment)
            __atomic_store_n(&line->list[i]->segment, segment_ref(g), __ATOMIC_RELEASE);
}

void checkpoint_note_footprint(struct checkpoint_store *s, icount_t from, icount_t to, struct footprint *f)
{
    struct segment *g;

    lock(s);
    g = segment_create(s, f);
    note_on(s->line, from, to, g);
    segment_unref(s, g);
    unlock(s);
}

static void note_touches_on(struct checkpoint_store *s, const struct checkpoint_line *line, icount_t from, icount_t to,
                            const struct touches *t)
{
    if (line->parent && from < line->fork)
        note_touches_on(s, line->parent, from, to < line->fork ? to : line->fork, t);
    for (size_t i = from ? index_after(line, from - 1) : 0; i + 1 < line->count && line->list[i + 1]->position <= to; i++)
        narrow_touches(s, line->list[i], t);
}

void checkpoint_note_touches(struct checkpoint_store *s, icount_t from, icount_t to, const struct touches *t)
{
    lock(s);
    if (s->touches_bytes > s->budget_bytes / TOUCHES_SHARE)
        forget_touches(s);
    note_touches_on(s, s->line, from, to, t);
    unlock(s);
}

bool checkpoint_touched(const struct checkpoint *c, enum touched how, uint64_t first, uint64_t last)
{
    const struct footprint *f = checkpoint_footprint(c);
    uint64_t pages = (last >> PAGE_SHIFT) - (first >> PAGE_SHIFT);

    if (!f)
        return true;
    if (!page_set_has_any(footprint_set(f, how), first >> PAGE_SHIFT, last >> PAGE_SHIFT))
        return false;
    if (!c->touches || pages >= TOUCHES_MOST)
        return true;
    for (uint64_t page = first >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++) {
        const struct touch_map *map = touches_of(c->touches, how, page);
        unsigned from = page == first >> PAGE_SHIFT ? (unsigned)(first & ~PAGE_MASK) : 0;
        unsigned to = page == last >> PAGE_SHIFT ? (unsigned)(last & ~PAGE_MASK) : PAGE_SIZE - 1;

        if (page_set_has(footprint_set(f, how), page) && !(map && !touch_map_has(map, from, to)))
            return true;
    }
    return false;
}
