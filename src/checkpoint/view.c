/*
 * Looking at checkpoints without a machine, and putting together those that come from
 * elsewhere. See checkpoint.h.
 */
#include "checkpoint/checkpoint_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

/* --------------------------------------------------------------------- views */

struct checkpoint_view {
    struct checkpoint_store *s;
    struct page_node *root;    /* our own reference */
    uint64_t sum;
    uint32_t bits;             /* of the number of a memory page */
    uint32_t sums[CHECKPOINT_PAGE_SUMS];
    uint8_t scratch[PAGE_SIZE];
    /* While moving. */
    checkpoint_page_fn *changed;
    void *ctx;
};

struct checkpoint_view *checkpoint_view_create(struct checkpoint_store *s)
{
    struct checkpoint_view *v = xcalloc(1, sizeof(*v));

    v->s = s;
    while (v->bits < 32 && s->machine->memory.pages.count > (uint64_t)1 << v->bits)
        v->bits++;
    return v;
}

void checkpoint_view_destroy(struct checkpoint_view *v)
{
    if (!v)
        return;
    page_node_unref(&v->s->pages, v->root, v->s->levels);
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

static uint64_t hash_of(struct checkpoint_view *v, struct page *page, uint64_t global)
{
    return page ? page_hash(&v->s->pages, page, global + 1) : 0;
}

static void view_difference(void *ctx, uint64_t global, struct page *a, struct page *b)
{
    struct checkpoint_view *v = ctx;
    struct machine *m = v->s->machine;
    uint64_t more = hash_of(v, b, global) - hash_of(v, a, global);
    uint64_t n;
    struct page_space *space = machine_space_of(m, global, &n);

    CHECK(space);
    v->sum += more;
    if (space == &m->memory.pages)
        add_to_sums(v, (uint32_t)n, (uint32_t)more);
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
    return v->sum;
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
