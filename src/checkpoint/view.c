/*
 * Looking at checkpoints without a machine, and putting together those that come from
 * elsewhere. See checkpoint.h.
 */
#include "checkpoint/checkpoint_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

/* ---- views ---- */

struct checkpoint_view {
    struct checkpoint_store *s;
    struct page_node *root;    /* our own reference */
    struct checkpoint_area *areas; /* of each of the machine's areas */
    uint8_t scratch[PAGE_SIZE];
    /* While moving. */
    checkpoint_page_fn *changed;
    void *ctx;
};

struct checkpoint_view *checkpoint_view_create(struct checkpoint_store *s)
{
    struct checkpoint_view *v = xcalloc(1, sizeof(*v));

    v->s = s;
    v->areas = xcalloc(s->machine->nareas + 1, sizeof(v->areas[0]));
    for (unsigned i = 0; i < s->machine->nareas; i++)
        v->areas[i].nsums = checkpoint_page_sums(s->machine->areas[i]->count);
    return v;
}

void checkpoint_view_destroy(struct checkpoint_view *v)
{
    if (!v)
        return;
    page_node_unref(&v->s->pages, v->root, v->s->levels);
    free(v->areas);
    free(v);
}

/* Page `n` of an area has changed, and its hash with it. */
static void add_to_area(struct checkpoint_area *a, uint64_t n, uint64_t more)
{
    a->hash += more;
    for (unsigned b = 0; b + 1 < a->nsums; b++)
        if (n >> b & 1)
            a->sums[b] += (uint32_t)more;
    a->sums[a->nsums - 1] += (uint32_t)more;
}

const struct checkpoint_area *checkpoint_view_areas(const struct checkpoint_view *v)
{
    return v->areas;
}

static void note_difference(struct checkpoint_view *v, const struct page_space *space, uint64_t n, struct page *a,
                            struct page *b)
{
    const struct machine *m = v->s->machine;
    const struct page_area *area = page_space_area(space, n);
    uint64_t seed;

    if (!area)
        return;
    seed = page_space_seed(space, n);
    for (unsigned i = 0; i < m->nareas; i++)
        if (m->areas[i] == area)
            add_to_area(&v->areas[i], n - area->first, (b ? page_hash(&v->s->pages, b, seed) : 0) -
                                                       (a ? page_hash(&v->s->pages, a, seed) : 0));
}


static void view_difference(void *ctx, uint64_t global, struct page *a, struct page *b)
{
    struct checkpoint_view *v = ctx;
    uint64_t n;
    struct page_space *space = machine_space_of(v->s->machine, global, &n);

    CHECK(space);
    note_difference(v, space, n, a, b);
    if (v->changed)
        v->changed(v->ctx, space, n, b ? page_bytes(&v->s->pages, b, v->scratch) : NULL);
}

void checkpoint_view_move(struct checkpoint_view *v, const struct checkpoint *c, checkpoint_page_fn *changed, void *ctx)
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
    const struct machine *m = v->s->machine;
    uint8_t *arena = xmalloc(m->arena_len);
    uint64_t sum = 0;

    checkpoint_view_arena(v, arena);
    for (unsigned i = 0; i < m->ncomponents; i++)
        sum += component_hash(&m->components[i], arena + m->components[i].offset);
    for (unsigned i = 0; i < m->nareas; i++)
        sum += v->areas[i].hash;
    free(arena);
    return sum;
}

const uint8_t *checkpoint_view_page(const struct checkpoint_view *v, const struct page_space *space, uint64_t n,
                                    uint8_t *scratch)
{
    const struct page *p = n < space->count ? page_tree_get(v->root, v->s->levels, space->first + n) : NULL;

    return p ? page_bytes(&v->s->pages, p, scratch) : NULL;
}

void checkpoint_view_arena(const struct checkpoint_view *v, uint8_t *arena)
{
    const struct machine *m = v->s->machine;
    uint8_t scratch[PAGE_SIZE];

    for (uint32_t i = 0; i < m->arena_pages.count; i++) {
        const uint8_t *bytes = checkpoint_view_page(v, &m->arena_pages, i, scratch);
        size_t at = (size_t)i << PAGE_SHIFT, n = m->arena_len - at < PAGE_SIZE ? m->arena_len - at : PAGE_SIZE;

        if (bytes)
            memcpy(arena + at, bytes, n);
        else
            memset(arena + at, 0, n);
    }
}

void checkpoint_read_arena(struct checkpoint_store *s, const struct checkpoint *c, size_t offset, void *buf, size_t len)
{
    uint64_t first = s->machine->arena_pages.first;
    uint8_t scratch[PAGE_SIZE], *to = buf;

    CHECK(offset + len <= s->machine->arena_len);
    while (len) {
        size_t at = offset & (PAGE_SIZE - 1), n = PAGE_SIZE - at < len ? PAGE_SIZE - at : len;
        const struct page *p = page_tree_get(c->root, s->levels, first + (offset >> PAGE_SHIFT));

        if (p)
            memcpy(to, page_bytes(&s->pages, p, scratch) + at, n);
        else
            memset(to, 0, n);
        to += n;
        offset += n;
        len -= n;
    }
}

/* ---- building ---- */

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

bool checkpoint_builder_page(struct checkpoint_builder *b, const struct page_space *space, uint64_t n,
                             const uint8_t *bytes)
{
    struct checkpoint_store *s = b->s;

    if (n >= space->count)
        return false;
    if (bytes && page_is_zero(bytes))
        bytes = NULL;
    page_tree_set(&s->pages, &b->root, s->levels, space->first + n, bytes ? page_create(&s->pages, bytes) : NULL);
    return true;
}

struct checkpoint *checkpoint_builder_place(struct checkpoint_builder *b, icount_t position, vtime_t vtime)
{
    struct checkpoint_store *s = b->s;
    struct checkpoint *c = checkpoint_at(s, position);
    struct machine_state st = {0};
    uint8_t scratch[PAGE_SIZE];
    const struct page *first = page_tree_get(b->root, s->levels, s->machine->arena_pages.first);

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
    checkpoint_insert(s, c);
    return c;
}
