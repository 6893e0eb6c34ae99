/* Persistent radix trees of pages; see page_tree.h. */
#include "checkpoint/page_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

unsigned page_tree_levels(uint64_t npages)
{
    unsigned levels = 1;
    uint64_t reach = PAGE_NODE_SLOTS;

    while (reach < npages) {
        reach <<= PAGE_NODE_BITS;
        levels++;
    }
    return levels;
}

struct page_node *page_node_ref(struct page_node *n)
{
    if (n)
        n->refs++;
    return n;
}

static void slot_unref(struct page_store *ps, void *slot, unsigned levels)
{
    if (!slot)
        return;
    if (levels)
        page_node_unref(ps, slot, levels);
    else
        page_unref(ps, slot);
}

void page_node_unref(struct page_store *ps, struct page_node *n, unsigned levels)
{
    if (!n || --n->refs)
        return;
    for (unsigned i = 0; i < PAGE_NODE_SLOTS; i++)
        slot_unref(ps, n->slot[i], levels - 1);
    ps->bytes -= sizeof(*n);
    ps->nodes--;
    free(n);
}

static unsigned slot_index(uint64_t n, unsigned levels)
{
    return (unsigned)(n >> ((levels - 1) * PAGE_NODE_BITS)) & (PAGE_NODE_SLOTS - 1);
}

struct page *page_tree_get(const struct page_node *root, unsigned levels, uint64_t n)
{
    const void *at = root;

    for (; levels && at; levels--)
        at = ((const struct page_node *)at)->slot[slot_index(n, levels)];
    return (struct page *)at;
}

/* A node like `old` (or an empty one) with one owner. */
static struct page_node *node_copy(struct page_store *ps, const struct page_node *old, unsigned levels)
{
    struct page_node *n = xcalloc(1, sizeof(*n));

    ps->bytes += sizeof(*n);
    ps->nodes++;
    n->refs = 1;
    if (!old)
        return n;
    for (unsigned i = 0; i < PAGE_NODE_SLOTS; i++) {
        n->slot[i] = old->slot[i];
        if (!n->slot[i])
            continue;
        if (levels > 1)
            page_node_ref(n->slot[i]);
        else
            ((struct page *)n->slot[i])->refs++;
    }
    return n;
}

void page_tree_set(struct page_store *ps, struct page_node **root, unsigned levels, uint64_t n,
                   struct page *page)
{
    struct page_node *node = *root;
    void **slot;

    if (!node && !page)
        return;
    if (!node) {
        node = node_copy(ps, NULL, levels);
    } else if (node->refs > 1) {
        struct page_node *shared = node;

        node = node_copy(ps, shared, levels);
        shared->refs--;
    }
    *root = node;
    slot = &node->slot[slot_index(n, levels)];
    if (levels > 1) {
        struct page_node *below = *slot;

        page_tree_set(ps, &below, levels - 1, n, page);
        *slot = below;
        return;
    }
    slot_unref(ps, *slot, 0);
    *slot = page;
}

struct comparison {
    void (*differs)(void *ctx, uint64_t n, struct page *a, struct page *b);
    void *ctx;
};

static void compare(const struct comparison *c, void *a, void *b, unsigned levels, uint64_t n)
{
    struct page_node *x = a, *y = b;

    if (a == b)
        return;
    if (!levels) {
        c->differs(c->ctx, n, a, b);
        return;
    }
    for (unsigned i = 0; i < PAGE_NODE_SLOTS; i++)
        compare(c, x ? x->slot[i] : NULL, y ? y->slot[i] : NULL, levels - 1, n << PAGE_NODE_BITS | i);
}

void page_tree_compare(struct page_node *a, struct page_node *b, unsigned levels,
                       void (*differs)(void *ctx, uint64_t n, struct page *a, struct page *b),
                       void *ctx)
{
    struct comparison c = {differs, ctx};

    compare(&c, a, b, levels, 0);
}

static uint64_t page_own_bytes(const struct page *p)
{
    return p->refs > 1 ? 0 : sizeof(*p) + (p->in_place || p->elsewhere ? 0 : p->size ? p->size : PAGE_SIZE);
}

uint64_t page_tree_own_bytes(const struct page_node *root, unsigned levels)
{
    uint64_t bytes = sizeof(*root);

    if (!root || root->refs > 1)
        return 0;
    for (unsigned i = 0; i < PAGE_NODE_SLOTS; i++)
        if (root->slot[i])
            bytes += levels > 1 ? page_tree_own_bytes(root->slot[i], levels - 1) : page_own_bytes(root->slot[i]);
    return bytes;
}

uint64_t page_tree_count(const struct page_node *root, unsigned levels)
{
    uint64_t pages = 0;

    for (unsigned i = 0; root && i < PAGE_NODE_SLOTS; i++)
        if (root->slot[i])
            pages += levels > 1 ? page_tree_count(root->slot[i], levels - 1) : 1;
    return pages;
}
