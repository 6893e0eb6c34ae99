/*
 * The cache of translated blocks.
 *
 * Blocks are keyed by the page of storage and the offset of their bytes, and by
 * PC, virtual address and mode: they stay good when translations change, and
 * are dropped when their bytes do. A page knows its blocks and, in 64-byte
 * chunks, which of its bytes they cover; where data in the same chunk is written, in bytes. So data beside code is written
 * at full speed.
 *
 * The jump cache maps a PC to a block, whatever the translations are: whoever jumps by it
 * looks into the TLB whether the address still leads to the block's bytes. So it needs no emptying when
 * translations change, and one program's second process finds what the first has left. Chains
 * (block.next) stay within a virtual page and therefore hold whatever the translations are (of an instruction that crosses into the next
 * one, whoever enters it looks); those to other pages,
 * and of calls to where they come back to (block.far), are taken by compiled code alone, which looks into the TLB as the jump cache's users do. A block knows the chains
 * that lead to it, and the JIT is told of each that comes or goes: its jumps go there by themselves.
 *
 * Footprints have to know of all blocks that are run. When one begins, an *epoch* does: an interpreter tells of each block that
 * it runs for the first time in it. Compiled code counts its entries anyway (jit/ran.c).
 *
 * Memory comes from one pool that is flushed as a whole, only from the run loop:
 * a dropped block may still be running.
 */
#include "vm/exec_priv.h"
#include "vm/footprint.h"
#include "vm/jit/jit.h"

#include "base/big_memory.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(BLOCK_MAX_INSNS < BLOCK_ALIGN, "a block's place and its steps are one number");

const struct block no_block = {.key = {.pc = UINT64_MAX, .mode = UINT64_MAX}};

static unsigned block_hash(uint32_t page, const struct block_key *key)
{
    uint64_t h = ((uint64_t)page << PAGE_SHIFT | (key->va & ~PAGE_MASK)) * UINT64_C(0x9e3779b97f4a7c15);

    h ^= (key->pc + key->mode) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (unsigned)(h >> (64 - HASH_BITS));
}

struct block *block_find(struct exec_shared *sh, uint32_t page, const struct block_key *key, bool alone)
{
    for (struct block *b = sh->hash[block_hash(page, key)]; b; b = b->hash_next)
        if (b->key.pc == key->pc && b->hash_page == page && b->key.mode == key->mode && b->key.va == key->va &&
            b->alone == alone)
            return b;
    return NULL;
}

struct block *block_alloc(struct exec_shared *sh, unsigned nuops, unsigned ninsns)
{
    size_t size = sizeof(struct block) + nuops * sizeof(struct uop) + ninsns * sizeof(struct block_insn);
    struct block *b;

    size = (size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
    if (size > POOL_BYTES - sh->pool_used)
        block_flush_all(sh);
    b = (struct block *)(void *)(sh->pool + sh->pool_used);
    sh->pool_used += size;
    *b = (struct block){0};
    if (sh->jit)
        jit_block_made(sh->jit, b);
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

/* Bytes of the page belong to a block. */
static void note_bytes(struct page_derived *p, unsigned offset, unsigned len)
{
    p->chunks |= page_chunks(offset, len);
    for (unsigned i = offset; p->bytes && i < offset + len; i++)
        p->bytes[i / 64] |= (uint64_t)1 << i % 64;
}

static void note_page(struct exec_shared *sh, struct block *b, unsigned side)
{
    struct memory *m = &sh->machine->memory;
    uint32_t page = b->page[side];
    struct page_derived *p = &sh->pages[page];
    unsigned offset, len;

    range_in(b, side, page, &offset, &len);
    note_bytes(p, offset, len);
    if (side == 0 || b->page[0] != page) {
        *page_link(b, page) = p->blocks;
        p->blocks = b;
    }
    if (!(m->flags[page] & PAGE_FLAG_CODE)) {
        m->flags[page] |= PAGE_FLAG_CODE;
        tlb_revoke_write(sh, page);
    }
}

/* What the page's blocks cover has shrunk. */
static void recount_page(struct exec_shared *sh, uint32_t page)
{
    struct page_derived *p = &sh->pages[page];
    unsigned offset, len;

    p->chunks = 0;
    if (p->bytes)
        memset(p->bytes, 0, PAGE_SIZE / 8);
    for (struct block *b = p->blocks; b; b = *page_link(b, page))
        for (unsigned side = 0; side < 2; side++)
            if (range_in(b, side, page, &offset, &len))
                note_bytes(p, offset, len);
    if (!p->blocks)
        sh->machine->memory.flags[page] &= (uint8_t)~PAGE_FLAG_CODE;
}

/* Take `b` out of the list of `page`. */
static void leave_page(struct exec_shared *sh, struct block *b, uint32_t page)
{
    struct block **at = &sh->pages[page].blocks;

    while (*at) {
        if (*at == b)
            *at = *page_link(b, page);
        else
            at = page_link(*at, page);
    }
}

/* ---- chains ---- */

static void unchain(struct exec_shared *sh, struct chain *chain)
{
    struct block *from = chain->from;
    unsigned edge;

    if (!chain->place)
        return;
    edge = (unsigned)(chain - from->chains);
    *chain->place = chain->other;
    if (chain->other)
        chain->other->place = chain->place;
    chain->place = NULL;
    if (edge < ARRAY_LEN(from->next))
        from->next[edge] = NULL;
    from->far[edge] = NULL;
    if (sh->jit)
        jit_chained(sh->jit, from, edge);
}

static void unchain_edges(struct exec_shared *sh, struct block *b)
{
    for (unsigned edge = 0; edge < EDGES; edge++)
        unchain(sh, &b->chains[edge]);
}

static void chain(struct exec_shared *sh, struct block *from, unsigned edge, struct block *to)
{
    struct chain *chain = &from->chains[edge];

    unchain(sh, chain);
    *chain = (struct chain){.from = from, .other = to->led_by, .place = &to->led_by};
    if (to->led_by)
        to->led_by->place = &chain->other;
    to->led_by = chain;
    if (edge_is_near(from, edge))
        from->next[edge] = to;
    else
        from->far[edge] = to;
    if (sh->jit)
        jit_chained(sh->jit, from, edge);
}

void block_link(struct exec_shared *sh, struct block *from, unsigned edge, struct block *to)
{
    if (edge == EDGE_NONE || !from->valid || !to->valid || from->alone || to->alone || to->trapped)
        return;
    if (edge_is_near(from, edge) ? from->page[0] != to->page[0] : !sh->jit)
        return;
    if (from->key.mode != to->key.mode || block_bias(from) != block_bias(to) || from->target[edge] != to->key.pc)
        return;
    if (block_chained(from, edge) != to)
        chain(sh, from, edge, to);
}

/* ---- keeping and dropping ---- */

void block_insert(struct exec_shared *sh, struct block *b)
{
    struct block **bucket = &sh->hash[block_hash(b->page[0], &b->key)];

    b->hash_page = b->page[0];
    if (sh->nlive == sh->cap_live) {
        sh->cap_live = sh->cap_live ? 2 * sh->cap_live : 1024;
        sh->live = xrealloc(sh->live, sh->cap_live * sizeof(sh->live[0]));
        sh->live_index = xrealloc(sh->live_index, sh->cap_live * sizeof(sh->live_index[0]));
    }
    b->valid = true;
    b->index = sh->nlive++;
    sh->live[b->index] = b;
    sh->live_index[b->index] = (struct live_block){.va = (uint32_t)b->key.va, .len = b->len};
    b->hash_next = *bucket;
    *bucket = b;
    for (unsigned side = 0; side < 2; side++)
        if (b->page[side] != NO_PAGE)
            note_page(sh, b, side);
}

static void leave_places(struct exec_shared *sh, const struct block *b)
{
    for (unsigned n = 0; n < 2; n++) {
        struct jump_place *place = jump_place(sh, b->key.pc, b->key.mode, b->alone, n);

        if (place->block == b)
            *place = (struct jump_place){.block = NULL};
    }
}

/* Take `b` out of everything but its pages. */
static void forget(struct exec_shared *sh, struct block *b)
{
    struct block **at = &sh->hash[block_hash(b->page[0], &b->key)];
    struct block *moved = sh->live[--sh->nlive];

    while (*at != b)
        at = &(*at)->hash_next;
    *at = b->hash_next;
    sh->live[b->index] = moved;
    sh->live_index[b->index] = sh->live_index[sh->nlive];
    moved->index = b->index;
    if (sh->link_from == b)
        sh->link_from = NULL;
    b->valid = false;
    leave_places(sh, b);
    b->key.mode = UINT64_MAX; /* nor does who has it at hand take it for what it was */
    unchain_edges(sh, b);
    while (b->led_by)
        unchain(sh, b->led_by);
}

void block_drop(struct exec_shared *sh, struct block *b)
{
    CHECK(b->valid);
    forget(sh, b);
    for (unsigned side = 0; side < 2; side++) {
        uint32_t page = b->page[side];

        if (page == NO_PAGE || (side == 1 && page == b->page[0]))
            continue;
        leave_page(sh, b, page);
        recount_page(sh, page);
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

void block_invalidate(struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len)
{
    struct page_derived *p = &sh->pages[page];
    struct block *next;
    bool any = false;

    for (struct block *b = p->blocks; b; b = next) {
        next = *page_link(b, page);
        if (overlaps(b, page, offset, len)) {
            block_drop(sh, b);
            any = true;
        }
    }
    /* Data beside code, and may be written again and again. */
    if (!any && p->blocks && !p->bytes) {
        p->bytes = xcalloc(PAGE_SIZE / 64, sizeof(p->bytes[0]));
        recount_page(sh, page);
    }
}

void block_drop_at(struct exec_shared *sh, const uint64_t *vas, unsigned count)
{
    for (unsigned i = 0; i < sh->nlive;) {
        bool hit = false;

        for (unsigned k = 0; k < count && !hit; k++)
            hit = (uint32_t)vas[k] - sh->live_index[i].va < sh->live_index[i].len;
        if (hit)
            block_drop(sh, sh->live[i]); /* another one takes its place */
        else
            i++;
    }
}

void block_found_by_jumps(struct exec_shared *sh, struct block *b)
{
    struct jump_place *first = jump_place(sh, b->key.pc, b->key.mode, b->alone, 0);
    struct jump_place *other = jump_place(sh, b->key.pc, b->key.mode, b->alone, 1);
    bool taken = first->block && first->key.pc != b->key.pc;

    /* A PC is looked for in the first place, and then in the other: it is never in both. (One that is in its other place already
     * is not moved back: two that are run in turns would lose theirs to it, which nobody runs.) */
    if (taken && other->block && other->key.pc != b->key.pc) {
        if (jump_place(sh, first->key.pc, first->key.mode, first->block->alone, 0) == first)
            *other = *first;
    } else if (taken) {
        first = other;
    } else if (other->block && other->key.pc == b->key.pc) {
        *other = (struct jump_place){.block = NULL};
    }
    *first = (struct jump_place){.entry = b->entry, .key = b->key, .addend = b->addend, .block = b};
}

void block_entry_changed(const struct exec_shared *sh, const struct block *b)
{
    for (unsigned n = 0; n < 2; n++) {
        struct jump_place *place = jump_place(sh, b->key.pc, b->key.mode, b->alone, n);

        if (place->block == b)
            place->entry = b->entry;
    }
}

void block_flush_all(struct exec_shared *sh)
{
    sh->stats.flushes++;
    if (sh->nlive < 16) {
        while (sh->nlive)
            block_drop(sh, sh->live[sh->nlive - 1]);
    } else {
        for (unsigned i = 0; i < sh->nlive; i++)
            for (unsigned side = 0; side < 2; side++) {
                uint32_t page = sh->live[i]->page[side];

                if (page == NO_PAGE)
                    continue;
                sh->pages[page].blocks = NULL;
                recount_page(sh, page);
            }
        for (unsigned i = 0; i < sh->nlive; i++)
            leave_places(sh, sh->live[i]);
        memset(sh->hash, 0, sizeof(sh->hash));
        sh->nlive = 0;
    }
    sh->link_from = NULL;
    ucpu_of(sh->machine->runner)->block = NULL;
    sh->pool_used = 0;
    if (sh->jit)
        jit_flush(sh->jit);
}

/* ---- footprints ---- */

void block_note_entry(struct ucpu *c, struct block *b)
{
    struct exec_shared *sh = c->exec->shared;
    struct footprint *f = sh->machine->footprint;
    unsigned first = (unsigned)PAGE_SIZE - b->offset;

    b->epoch = sh->epoch;
    if (!f)
        return;
    footprint_add_code(f, b->key.va, b->len < first ? b->len : first);
    if (b->len > first)
        footprint_add_code(f, next_page(c, b->key.va), b->len - first);
}

void block_cache_init(struct exec_shared *sh)
{
    sh->pool = region_map(POOL_BYTES);
    sh->jump = region_map(JUMP_SIZE * sizeof(sh->jump[0]));
    CHECK(sh->pool && sh->jump);
    sh->epoch = 1;
}

void block_cache_finish(struct exec_shared *sh)
{
    region_unmap(sh->pool, POOL_BYTES);
    region_unmap(sh->jump, JUMP_SIZE * sizeof(sh->jump[0]));
    free(sh->live);
    free(sh->live_index);
}
