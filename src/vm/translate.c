/*
 * From a PC to a block: look-up, and building with the target's front end.
 *
 * A block never crosses a page, except that a first instruction may; then the
 * second page is translated at each look-up through the run loop. Code that no
 * page answers for (devices, mixed pages) reads as devices do, all ones, and
 * runs in blocks that are not kept.
 */
#include "vm/exec_priv.h"

#include "base/error.h"

#include <string.h>

/* Longest run of bytes beyond the page that a first instruction may want. */
#define BEYOND 16u

/* Page number of the code at `va`. False: the fetch faults. */
static bool fetch_page(struct ucpu *c, uint64_t va, uint32_t *page, paddr_t *pa)
{
    const struct tlb_info *t = softmmu_lookup(c, c->tlb_mode, va, ACCESS_FETCH);

    struct access_part p = {.va = va, .offset = (uint16_t)(va & ~PAGE_MASK)};

    if (!t)
        return false;
    p.page = t->page;
    p.number = t->number;
    p.secure = t->secure;
    if (softmmu_bus_fails(c, &p, ACCESS_FETCH))
        return false;
    *page = p.number;
    *pa = p.page;
    return true;
}

/* Show the first bytes of the page after key.va's, which is at `pa`. */
static void show_second(struct ucpu *c, struct builder *b, paddr_t pa)
{
    CHECK(b->bytes == c->exec->shared->bytes);
    memory_read_bytes(&c->cpu.machine->memory, pa, c->exec->shared->bytes + b->avail, BEYOND);
    b->avail_first = b->avail + BEYOND;
}

/* Where the bytes from key.va on are, and how many; those of the page after it are
 * shown to the decoder without any effect on the guest, if there are any. */
static void show_bytes(struct ucpu *c, struct builder *b, uint32_t page, paddr_t pa)
{
    struct exec_shared *sh = c->exec->shared;
    struct memory *m = &c->cpu.machine->memory;
    unsigned offset = (unsigned)(b->key.va & ~PAGE_MASK);
    paddr_t next;

    b->avail = (unsigned)PAGE_SIZE - offset;
    b->avail_first = b->avail;
    if (page != NO_PAGE && b->avail >= BEYOND) {
        b->bytes = memory_page(m, page) + offset;
        return;
    }
    b->bytes = sh->bytes;
    if (page != NO_PAGE)
        memcpy(sh->bytes, memory_page(m, page) + offset, b->avail);
    else
        memory_read_bytes(m, pa + offset, sh->bytes, b->avail);
    if (b->avail < BEYOND && c->cpu.ops->translate &&
        c->cpu.ops->translate(&c->cpu, next_page(c, b->key.va), &next))
        show_second(c, b, next);
}

/* Anybody's: blocks are for all CPUs. */
static bool exec_trap_at(const struct ucpu *c, uint64_t va)
{
    const struct machine *m = c->cpu.machine;

    if (!c->exec->shared->nexec)
        return false;
    for (unsigned i = 0; i < m->ncpus; i++) {
        const struct trap_copy *g = &ucpu_of(m->cpus[i])->exec->guest;
        struct traps guest = {.list = g->list, .count = g->count};

        if (traps_have_exec(&guest, va))
            return true;
    }
    return traps_have_exec(m->traps, va);
}

/* Append one instruction; returns what to do next. */
static enum build_next append(struct ucpu *c, struct builder *b)
{
    unsigned n = b->ninsns, first_uop = b->nuops, start = b->len;
    enum build_next next;

    b->insns[n] = (struct block_insn){0};
    b->target[0] = UINT64_MAX;
    next = c->fe->build(b);
    if (next == BUILD_STOP) {
        b->nuops = first_uop;
        b->ninsns = n;
        b->len = start;
        return next;
    }
    b->ninsns = n + 1;
    CHECK(b->len > start && b->nuops <= BLOCK_MAX_UOPS + 64);
    b->insns[n].pc_offset = start;
    b->insns[n].first_uop = (uint16_t)first_uop;
    b->insns[n].len = (uint8_t)(b->len - start);
    if (b->target[0] == UINT64_MAX)
        b->target[0] = (b->key.pc + b->len) & c->exec->va_mask;
    return next;
}

/* ---- instructions that reach devices ---- */

#define IO_REFUSALS 8

static struct io_place *io_place(struct exec_shared *sh, uint64_t at)
{
    return &sh->io_places[at * UINT64_C(0x9e3779b97f4a7c15) >> (64 - IO_PLACES_BITS)];
}

/* Is the instruction at that place to be a block of its own? */
static bool reaches_devices(struct exec_shared *sh, uint32_t page, unsigned offset)
{
    uint64_t at = (uint64_t)page << PAGE_SHIFT | offset;
    const struct io_place *p = io_place(sh, at);

    return p->at == at && p->refusals >= IO_REFUSALS;
}

void translate_note_io(struct exec_shared *sh, struct block *b, unsigned n)
{
    uint64_t at = ((uint64_t)b->page[0] << PAGE_SHIFT) + b->offset + b->insns[n].pc_offset;
    struct io_place *p = io_place(sh, at);

    if (!b->valid || b->page[1] != NO_PAGE)
        return;
    if (p->at != at)
        *p = (struct io_place){.at = at};
    if (p->refusals < IO_REFUSALS)
        p->refusals++;
    if (p->refusals == IO_REFUSALS)
        block_drop(sh, b);
}

/* Does the block go on with the instruction `len` bytes into it, its `ninsns`th, after `nuops` micro-ops? */
static bool goes_on(const struct builder *b, unsigned len, unsigned ninsns, unsigned nuops)
{
    unsigned offset = (unsigned)(b->key.va & ~PAGE_MASK);

    return len < b->avail && nuops <= BLOCK_MAX_UOPS && ninsns < b->max_insns &&
           !exec_trap_at(b->cpu, (b->key.va + len) & b->cpu->exec->va_mask) &&
           !reaches_devices(b->cpu->exec->shared, b->page, offset + len);
}

bool builder_goes_on(const struct builder *b, unsigned len)
{
    return goes_on(b, b->len + len, b->ninsns + 1, b->nuops + BUILD_SPARE_UOPS);
}

static bool ends(const struct builder *b)
{
    return b->nuops && (uop_infos[b->uops[b->nuops - 1].op].attributes & UOP_ENDS);
}

/* Fill the builder from key on. False: not even the first instruction is complete in
 * the bytes shown. */
static bool gather(struct ucpu *c, struct builder *b)
{
    enum build_next next;

    b->nuops = b->ninsns = b->len = 0;
    b->wide = false;
    memset(b->target, 0, sizeof(b->target));
    do {
        if (b->ninsns && !goes_on(b, b->len, b->ninsns, b->nuops))
            break;
        next = append(c, b);
    } while (next == BUILD_MORE);
    if (!b->ninsns)
        return false;
    if (!ends(b)) {
        b->target[0] = (b->key.pc + b->len) & c->exec->va_mask;
        build(b, UOP_FALL, 0, 0, 0, 0, 0);
    }
    return true;
}

static struct block *finish(struct ucpu *c, const struct builder *b, uint32_t page, uint32_t second, bool alone)
{
    struct block *blk = block_alloc(c->exec->shared, b->nuops, b->ninsns);

    blk->key = b->key;
    blk->addend = page == NO_PAGE ? 0 : page_addend(c, page, b->key.va);
    blk->page[0] = page;
    blk->page[1] = second;
    blk->crosses = second != NO_PAGE;
    blk->offset = (uint16_t)(b->key.va & ~PAGE_MASK);
    blk->len = (uint16_t)b->len;
    blk->steps = (uint16_t)b->ninsns;
    blk->alone = alone;
    blk->wide = b->wide;
    blk->trapped = exec_trap_at(c, b->key.va);
    memcpy(blk->target, b->target, sizeof(blk->target));
    memcpy(blk->uops, b->uops, b->nuops * sizeof(b->uops[0]));
    memcpy(blk->insns, b->insns, b->ninsns * sizeof(b->insns[0]));
    c->exec->shared->stats.blocks_built++;
    if (page != NO_PAGE)
        block_insert(c->exec->shared, blk);
    return blk;
}

static struct block *build_block(struct ucpu *c, const struct block_key *key, uint32_t page, paddr_t pa,
                                 bool alone)
{
    struct builder *b = c->exec->shared->builder;
    uint32_t second = NO_PAGE;
    paddr_t pa2;
    bool complete;

    if (c->no_cache)
        block_flush_all(c->exec->shared);
    b->cpu = c;
    b->key = *key;
    b->page = page;
    b->max_insns = alone ? 1 : BLOCK_MAX_INSNS;
    show_bytes(c, b, page, pa);
    if (reaches_devices(c->exec->shared, page, (unsigned)(key->va & ~PAGE_MASK)))
        b->max_insns = 1;
    complete = gather(c, b);
    if (!complete || b->len > b->avail) {
        /* It reaches into the next page, which must be fetched from for good. */
        if (!fetch_page(c, next_page(c, key->va), &second, &pa2))
            return NULL;
        /* That walk may have set bits among the very bytes of the instruction. */
        show_bytes(c, b, page, pa);
        show_second(c, b, pa2);
        complete = gather(c, b);
        CHECK(complete);
        if (second == NO_PAGE)
            page = NO_PAGE;
        else if (b->len <= b->avail)
            second = NO_PAGE;
    }
    if (!c->no_optimise)
        optimise(b);
    return finish(c, b, page, second, alone || page == NO_PAGE);
}

struct block *translate(struct ucpu *c, const struct block_key *key, bool alone)
{
    uint32_t page, second;
    struct block *b;
    paddr_t pa, pa2;

    if (!fetch_page(c, key->va, &page, &pa))
        return NULL;
    alone |= page == NO_PAGE;
    b = page == NO_PAGE || c->no_cache ? NULL : block_find(c->exec->shared, page, key, alone);
    if (b && b->page[1] != NO_PAGE) {
        if (!fetch_page(c, next_page(c, key->va), &second, &pa2))
            return NULL;
        if (b->valid && second != b->page[1])
            block_drop(c->exec->shared, b);
        if (!b->valid) /* or the walk set bits among the bytes of the instruction */
            b = NULL;
    }
    if (!b)
        b = build_block(c, key, page, pa, alone);
    return b;
}
