/*
 * The cache of translated blocks.
 *
 * Blocks are keyed by the page of storage and the offset of their bytes, and by
 * PC, virtual address and mode: they stay good when translations change, and
 * are dropped when their bytes do. A page knows its blocks and, in 64-byte
 * chunks, which of its bytes they cover, so that data beside code is written at
 * full speed.
 *
 * The jump cache of a TLB context maps a PC to a block under its translations; it
 * is emptied with them. Chains (block.next) stay within a virtual page and
 * therefore hold whatever the translations are.
 *
 * Memory comes from one pool that is flushed as a whole, only from the run loop:
 * a dropped block may still be running.
 */
#include "vm/exec_priv.h"
#include "vm/jit/jit.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define POOL_ALIGN 64u

static unsigned block_hash(uint32_t page, const struct block_key *key)
{
    uint64_t h = ((uint64_t)page << PAGE_SHIFT | (key->va & ~PAGE_MASK)) * UINT64_C(0x9e3779b97f4a7c15);

    h ^= (key->pc + key->mode) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (unsigned)(h >> (64 - HASH_BITS));
}

struct block *block_find(struct exec *x, uint32_t page, const struct block_key *key, bool alone)
{
    for (struct block *b = x->hash[block_hash(page, key)]; b; b = b->hash_next)
        if (b->key.pc == key->pc && b->hash_page == page && b->key.mode == key->mode && b->key.va == key->va &&
            b->alone == alone)
            return b;
    return NULL;
}

struct block *block_alloc(struct ucpu *c, unsigned nuops, unsigned ninsns)
{
    struct exec *x = c->exec;
    size_t size = sizeof(struct block) + nuops * sizeof(struct uop) + ninsns * sizeof(struct block_insn);
    struct block *b;

    size = (size + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1);
    if (size > POOL_BYTES - x->pool_used)
        block_flush_all(c);
    b = (struct block *)(void *)(x->pool + x->pool_used);
    x->pool_used += size;
    *b = (struct block){0};
    if (x->jit)
        jit_block_made(x->jit, b);
    b->uops = (struct uop *)(void *)(b + 1);
    b->nuops = nuops;
    b->insns = (struct block_insn *)(void *)(b->uops + nuops);
    return b;
}

/* ---- the blocks of a page ---- */

/* Which of the two page links of `b` belongs to `page`. */
static struct block **page_link(struct block *b, uint32_t page)
{
    return &b->page_next[b->page[0] == page ? 0 : 1];
}

/* The byte range of `b` within `page`, on its first or second side; false: none there. */
static bool range_in(const struct block *b, unsigned side, uint32_t page, unsigned *offset, unsigned *len)
{
    unsigned first = (unsigned)PAGE_SIZE - b->offset;

    if (b->page[side] != page)
        return false;
    if (side == 0) {
        *offset = b->offset;
        *len = b->len < first ? b->len : first;
    } else {
        *offset = 0;
        *len = b->len - first;
    }
    return true;
}

static void note_page(struct ucpu *c, struct block *b, unsigned side)
{
    struct memory *m = &c->cpu.machine->memory;
    uint32_t page = b->page[side];
    struct page_derived *p = &c->exec->pages[page];
    unsigned offset, len;

    range_in(b, side, page, &offset, &len);
    p->chunks |= code_chunks(offset, len);
    if (side == 0 || b->page[0] != page) {
        *page_link(b, page) = p->blocks;
        p->blocks = b;
    }
    if (!(m->flags[page] & PAGE_FLAG_CODE)) {
        m->flags[page] |= PAGE_FLAG_CODE;
        tlb_revoke_write(c, page);
    }
}

/* What the page's blocks cover has shrunk. */
static void recount_page(struct ucpu *c, uint32_t page)
{
    struct page_derived *p = &c->exec->pages[page];
    unsigned offset, len;

    p->chunks = 0;
    for (struct block *b = p->blocks; b; b = *page_link(b, page))
        for (unsigned side = 0; side < 2; side++)
            if (range_in(b, side, page, &offset, &len))
                p->chunks |= code_chunks(offset, len);
    if (!p->blocks)
        c->cpu.machine->memory.flags[page] &= (uint8_t)~PAGE_FLAG_CODE;
}

/* Take `b` out of the list of `page`, and out of the chains of the blocks there. */
static void leave_page(struct ucpu *c, struct block *b, uint32_t page)
{
    struct block **at = &c->exec->pages[page].blocks;

    while (*at) {
        struct block *other = *at;

        for (unsigned edge = 0; edge < 2; edge++)
            if (other->next[edge] == b)
                other->next[edge] = NULL;
        if (other == b)
            *at = *page_link(b, page);
        else
            at = page_link(other, page);
    }
}

/* ---- keeping and dropping ---- */

void block_insert(struct ucpu *c, struct block *b)
{
    struct exec *x = c->exec;
    struct block **bucket = &x->hash[block_hash(b->page[0], &b->key)];

    b->hash_page = b->page[0];
    if (x->nlive == x->cap_live) {
        x->cap_live = x->cap_live ? 2 * x->cap_live : 1024;
        x->live = xrealloc(x->live, x->cap_live * sizeof(x->live[0]));
        x->live_index = xrealloc(x->live_index, x->cap_live * sizeof(x->live_index[0]));
    }
    b->valid = true;
    b->index = x->nlive++;
    x->live[b->index] = b;
    x->live_index[b->index] = (struct live_block){.va = (uint32_t)b->key.va, .len = b->len};
    b->hash_next = *bucket;
    *bucket = b;
    for (unsigned side = 0; side < 2; side++)
        if (b->page[side] != NO_PAGE)
            note_page(c, b, side);
}

/* Take `b` out of everything but its pages. */
static void forget(struct exec *x, struct block *b)
{
    struct block **at = &x->hash[block_hash(b->page[0], &b->key)];
    struct block *moved = x->live[--x->nlive];

    while (*at != b)
        at = &(*at)->hash_next;
    *at = b->hash_next;
    x->live[b->index] = moved;
    x->live_index[b->index] = x->live_index[x->nlive];
    moved->index = b->index;
    if (x->link_from == b)
        x->link_from = NULL;
    b->valid = false;
    b->key.mode = UINT64_MAX; /* the jump cache finds it no more */
    b->next[0] = b->next[1] = NULL;
}

void block_drop(struct ucpu *c, struct block *b)
{
    CHECK(b->valid);
    forget(c->exec, b);
    for (unsigned side = 0; side < 2; side++) {
        uint32_t page = b->page[side];

        if (page == NO_PAGE || (side == 1 && page == b->page[0]))
            continue;
        leave_page(c, b, page);
        recount_page(c, page);
    }
}

static bool overlaps(const struct block *b, uint32_t page, unsigned offset, unsigned len)
{
    unsigned from, n;

    for (unsigned side = 0; side < 2; side++)
        if (range_in(b, side, page, &from, &n) && from < offset + len && offset < from + n)
            return true;
    return false;
}

void block_invalidate(struct ucpu *c, uint32_t page, unsigned offset, unsigned len)
{
    struct block *next;

    for (struct block *b = c->exec->pages[page].blocks; b; b = next) {
        next = *page_link(b, page);
        if (overlaps(b, page, offset, len))
            block_drop(c, b);
    }
}

void block_drop_at(struct ucpu *c, const uint64_t *vas, unsigned count)
{
    struct exec *x = c->exec;

    for (unsigned i = 0; i < x->nlive;) {
        bool hit = false;

        for (unsigned k = 0; k < count && !hit; k++)
            hit = (uint32_t)vas[k] - x->live_index[i].va < x->live_index[i].len;
        if (hit)
            block_drop(c, x->live[i]); /* another one takes its place */
        else
            i++;
    }
}

void block_flush_jumps(struct exec *x, struct tlb_context *t, unsigned parts)
{
    if (!(t->jump_parts & parts))
        return;
    t->jump_parts &= ~parts;
    for (unsigned i = 0; i < JUMP_SIZE; i++)
        if (!t->jump_parts || (t->jump[i] != &x->no_block && (parts >> tlb_part(x, t->jump[i]->key.va) & 1)))
            t->jump[i] = &x->no_block;
}

void block_flush_all(struct ucpu *c)
{
    struct exec *x = c->exec;

    x->stats.flushes++;
    if (x->nlive < 16) {
        while (x->nlive)
            block_drop(c, x->live[x->nlive - 1]);
    } else {
        for (unsigned i = 0; i < x->nlive; i++)
            for (unsigned side = 0; side < 2; side++) {
                uint32_t page = x->live[i]->page[side];

                if (page == NO_PAGE)
                    continue;
                x->pages[page].chunks = 0;
                x->pages[page].blocks = NULL;
                c->cpu.machine->memory.flags[page] &= (uint8_t)~PAGE_FLAG_CODE;
            }
        memset(x->hash, 0, sizeof(x->hash));
        x->nlive = 0;
    }
    for (unsigned i = 0; i < x->ncontexts; i++)
        block_flush_jumps(x, x->contexts[i], TLB_ALL_PARTS);
    x->link_from = NULL;
    c->block = NULL;
    x->pool_used = 0;
    if (x->jit)
        jit_flush(x->jit);
}

void block_link(struct block *from, unsigned edge, struct block *to)
{
    if (edge > 1 || !from->valid || !to->valid || from->alone || to->alone || to->trapped)
        return;
    if (from->page[1] != NO_PAGE || to->page[1] != NO_PAGE || from->page[0] != to->page[0])
        return;
    if ((from->key.va ^ to->key.va) & PAGE_MASK)
        return;
    if (from->key.mode != to->key.mode || from->bias != to->bias || from->target[edge] != to->key.pc)
        return;
    from->next[edge] = to;
}

void block_cache_init(struct ucpu *c)
{
    struct exec *x = c->exec;

    x->pool = aligned_alloc(POOL_ALIGN, POOL_BYTES);
    CHECK(x->pool);
    x->no_block.key = (struct block_key){.pc = UINT64_MAX, .mode = UINT64_MAX};
}

void block_cache_finish(struct ucpu *c)
{
    free(c->exec->pool);
    free(c->exec->live);
    free(c->exec->live_index);
}
