/*
 * What is cached of translations, and what it depends on.
 *
 * A context is what was cached under one value of the roots (frontend.roots: CR3;
 * TTBR0 and TTBR1...), with its jump cache. Changing the roots changes the context;
 * one that was in use lately is found again as it was left.
 *
 * Coherence (exec.h) is kept from the other end: each page that a cached walk read
 * is WALKED, and knows which of its 4-byte granules were read. When one is about to
 * change,
 *   - if it is the last entry of walks to pages of their own (the page table's entry
 *     of a 4 KiB page), just that page is forgotten, in every context: the table's
 *     place in it says which virtual address that is;
 *   - otherwise every context that depends on the table is emptied.
 *
 * To forget too much costs time; to forget too little would let caches influence
 * states. When in doubt, ucpu_flush_tlb().
 */
#include "vm/exec_priv.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static struct memory *memory_of(const struct ucpu *c)
{
    return &c->cpu.machine->memory;
}

static bool bit(const uint64_t *bits, unsigned n)
{
    return bits[n / 64] >> (n % 64) & 1;
}

static void set_bit(uint64_t *bits, unsigned n)
{
    bits[n / 64] |= (uint64_t)1 << (n % 64);
}

static void clear_bit(uint64_t *bits, unsigned n)
{
    bits[n / 64] &= ~((uint64_t)1 << (n % 64));
}

/* ---- entries ---- */

static void clear_tags(struct tlb_entry *e)
{
    e->read = e->write = e->fetch = TLB_NO_TAG;
}

struct tlb_info *tlb_renew(struct ucpu *c, unsigned mode, unsigned index)
{
    struct tlb_context *t = c->exec->context;
    struct tlb_info *info = &t->infos[mode][index];

    clear_tags(&t->tlbs[mode][index]);
    if (!info->listed)
        t->filled[t->nfilled++] = (uint16_t)(mode * TLB_SIZE + index);
    *info = (struct tlb_info){.tag = TLB_NO_TAG, .listed = true};
    return info;
}

static void empty_context(struct exec *x, struct tlb_context *t)
{
    for (unsigned i = 0; i < t->nfilled; i++) {
        unsigned mode = t->filled[i] / TLB_SIZE, index = t->filled[i] % TLB_SIZE;

        clear_tags(&t->tlbs[mode][index]);
        t->infos[mode][index] = (struct tlb_info){.tag = TLB_NO_TAG};
    }
    t->nfilled = 0;
    block_flush_jumps(x, t);
}

/* ---- contexts ---- */

static struct tlb_context *new_context(struct exec *x)
{
    struct tlb_context *t = xcalloc(1, sizeof(*t));

    t->number = x->ncontexts;
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        for (unsigned i = 0; i < TLB_SIZE; i++) {
            clear_tags(&t->tlbs[mode][i]);
            t->infos[mode][i].tag = TLB_NO_TAG;
        }
    t->jump_used = true;
    block_flush_jumps(x, t);
    x->contexts[x->ncontexts++] = t;
    return t;
}

/* The one for these roots; else a new one, or the one that was not in use for longest. */
static struct tlb_context *find_context(struct exec *x, const uint64_t *roots)
{
    struct tlb_context *oldest = NULL;

    for (unsigned i = 0; i < x->ncontexts; i++) {
        struct tlb_context *t = x->contexts[i];

        if (!memcmp(t->roots, roots, sizeof(t->roots)))
            return t;
        if (!oldest || t->used < oldest->used)
            oldest = t;
    }
    if (x->ncontexts < TLB_CONTEXTS)
        oldest = new_context(x);
    else
        empty_context(x, oldest);
    memcpy(oldest->roots, roots, sizeof(oldest->roots));
    return oldest;
}

void ucpu_roots_changed(struct ucpu *c)
{
    struct exec *x = c->exec;
    uint64_t roots[TLB_ROOTS] = {0};

    if (c->fe->roots)
        c->fe->roots(c, roots);
    if (!memcmp(x->context->roots, roots, sizeof(roots)))
        return;
    exec_leave_soon(c);
    x->context = find_context(x, roots);
    x->context->used = ++x->context_uses;
    x->jump = x->context->jump;
    c->tlb = x->context->tlbs[c->tlb_mode];
}

void ucpu_set_tlb_mode(struct ucpu *c, unsigned mode)
{
    CHECK(mode < TLB_MODES);
    c->tlb_mode = mode;
    c->tlb = c->exec->context->tlbs[mode];
}

/* ---- forgetting all ---- */

static void forget_tables(struct ucpu *c)
{
    struct exec *x = c->exec;

    for (unsigned i = 0; i < x->nwalked_pages; i++) {
        uint32_t page = x->walked_pages[i];

        memory_of(c)->flags[page] &= (uint8_t)~PAGE_FLAG_WALKED;
        *x->pages[page].walked = (struct walked){0};
    }
    x->nwalked_pages = 0;
}

void ucpu_flush_tlb(struct ucpu *c)
{
    struct exec *x = c->exec;

    for (unsigned i = 0; i < x->ncontexts; i++)
        empty_context(x, x->contexts[i]);
    x->tlb_epoch++;
    x->stats.tlb_flushes++;
    forget_tables(c);
    exec_leave_soon(c);
    ucpu_roots_changed(c);
}

void tlb_allow_no_writes(struct ucpu *c)
{
    struct exec *x = c->exec;

    for (unsigned n = 0; n < x->ncontexts; n++) {
        struct tlb_context *t = x->contexts[n];

        for (unsigned i = 0; i < t->nfilled; i++)
            t->tlbs[t->filled[i] / TLB_SIZE][t->filled[i] % TLB_SIZE].write = TLB_NO_TAG;
    }
}

/* ---- inline writes ---- */

void tlb_note_write(struct ucpu *c, uint32_t page)
{
    struct page_derived *p = &c->exec->pages[page];

    if (p->granted_epoch != c->exec->tlb_epoch) {
        p->granted_epoch = c->exec->tlb_epoch;
        p->granted = 0;
    }
    p->granted |= 1u << c->exec->context->number;
}

void tlb_revoke_write(struct ucpu *c, uint32_t page)
{
    struct exec *x = c->exec;
    struct page_derived *p = &x->pages[page];

    if (p->granted_epoch != x->tlb_epoch)
        return;
    for (unsigned n = 0; n < x->ncontexts; n++) {
        struct tlb_context *t = x->contexts[n];

        for (unsigned i = 0; (p->granted >> n & 1) && i < t->nfilled; i++) {
            unsigned mode = t->filled[i] / TLB_SIZE, index = t->filled[i] % TLB_SIZE;

            if (t->infos[mode][index].number == page)
                t->tlbs[mode][index].write = TLB_NO_TAG;
        }
    }
    p->granted = 0;
}

/* ---- what translations depend on ---- */

static struct walked *note_table(struct ucpu *c, uint32_t page)
{
    struct exec *x = c->exec;
    struct page_derived *p = &x->pages[page];

    if (!p->walked)
        p->walked = xcalloc(1, sizeof(*p->walked));
    if (memory_of(c)->flags[page] & PAGE_FLAG_WALKED)
        return p->walked;
    memory_of(c)->flags[page] |= PAGE_FLAG_WALKED;
    if (!p->walked->listed) {
        if (x->nwalked_pages == x->cap_walked_pages) {
            x->cap_walked_pages = x->cap_walked_pages ? 2 * x->cap_walked_pages : 256;
            x->walked_pages = xrealloc(x->walked_pages, x->cap_walked_pages * sizeof(x->walked_pages[0]));
        }
        x->walked_pages[x->nwalked_pages++] = page;
        p->walked->listed = true;
    }
    tlb_revoke_write(c, page);
    return p->walked;
}

/* Granule `g` of a table is the last entry of the walk to the page at `va`: can the
 * address be told from the place? */
static bool has_place(struct walked *w, unsigned g, unsigned size, uint64_t va)
{
    uint64_t first = (va & PAGE_MASK) - (uint64_t)(g * 4 / size) * PAGE_SIZE;

    if (!w->entry_size) {
        w->entry_size = (uint8_t)size;
        w->first_va = first;
    }
    return w->entry_size == size && w->first_va == first;
}

uint64_t tlb_note_walk(struct ucpu *c, uint64_t va, enum access access, bool own_entry)
{
    struct exec *x = c->exec;
    uint64_t leaf = UINT64_MAX;

    for (unsigned i = 0; i < x->nwalk_reads; i++) {
        struct walked *w = note_table(c, (uint32_t)(x->walk_reads[i] >> PAGE_SHIFT));
        unsigned g = (unsigned)(x->walk_reads[i] & ~PAGE_MASK) / 4;

        w->contexts |= 1u << x->context->number;
        set_bit(w->granules, g);
        if (own_entry && i >= x->last_walk_read && has_place(w, g, x->last_walk_size, va))
            leaf = x->walk_reads[x->last_walk_read];
        else
            set_bit(w->shared, g);
        if (access == ACCESS_FETCH)
            set_bit(w->code, g);
    }
    return leaf;
}

bool tlb_depends_on(const struct exec *x, uint32_t page, unsigned offset, unsigned len)
{
    const struct walked *w = x->pages[page].walked;

    for (unsigned g = offset / 4; w && g <= (offset + len - 1) / 4; g++)
        if (bit(w->granules, g) && (bit(w->shared, g) || bit(w->code, g)))
            return true;
    return false;
}

/* Code of storage page `number` (NO_PAGE: not known any more) was run through an entry that
 * changes: its blocks must not be jumped to without asking again. */
static void forget_jumps(struct exec *x, uint32_t number)
{
    for (unsigned n = 0; n < x->ncontexts; n++) {
        if (number == NO_PAGE)
            block_flush_jumps(x, x->contexts[n]);
        else
            block_forget_jumps(x, x->contexts[n], number);
    }
}

/* The entry of one page changes: granule `g` of table page `table`. */
static void forget_page(struct exec *x, uint32_t table, unsigned g)
{
    const struct walked *w = x->pages[table].walked;
    unsigned entry = g * 4 / w->entry_size;
    uint64_t leaf = walk_granule(table, entry * w->entry_size);
    uint64_t va = w->first_va + (uint64_t)entry * PAGE_SIZE;
    unsigned index = (unsigned)(va >> PAGE_SHIFT) & (TLB_SIZE - 1);
    uint32_t number = NO_PAGE;

    for (unsigned n = 0; n < x->ncontexts; n++) {
        struct tlb_context *t = x->contexts[n];

        for (unsigned mode = 0; mode < TLB_MODES; mode++) {
            struct tlb_info *info = &t->infos[mode][index];

            if (info->leaf != leaf || info->tag == TLB_NO_TAG)
                continue;
            number = info->number;
            clear_tags(&t->tlbs[mode][index]);
            *info = (struct tlb_info){.tag = TLB_NO_TAG, .listed = true};
        }
    }
    if (bit(w->code, g))
        forget_jumps(x, number);
}

/* A table changes that many walks may have gone through. */
static void forget_dependents(struct ucpu *c, uint32_t page)
{
    struct exec *x = c->exec;
    struct walked *w = x->pages[page].walked;
    bool listed = w->listed;

    for (unsigned n = 0; n < x->ncontexts; n++)
        if (w->contexts >> n & 1)
            empty_context(x, x->contexts[n]);
    /* Nothing depends on it any more. */
    *w = (struct walked){.listed = listed};
    memory_of(c)->flags[page] &= (uint8_t)~PAGE_FLAG_WALKED;
    x->stats.tlb_flushes++;
    exec_leave_soon(c);
}

void tlb_table_changes(struct ucpu *c, uint32_t page, unsigned offset, unsigned len)
{
    struct exec *x = c->exec;
    struct walked *w = x->pages[page].walked;
    unsigned last = (offset + len - 1) / 4;

    for (unsigned g = offset / 4; g <= last; g++)
        if (bit(w->granules, g) && bit(w->shared, g)) {
            forget_dependents(c, page);
            return;
        }
    for (unsigned g = offset / 4; g <= last; g++) {
        if (!bit(w->granules, g))
            continue;
        forget_page(x, page, g);
        if (bit(w->code, g))
            exec_leave_soon(c);
        clear_bit(w->granules, g);
        clear_bit(w->code, g);
    }
}

/* ---- making ---- */

void tlb_init(struct ucpu *c)
{
    struct exec *x = c->exec;

    x->pages = xcalloc(memory_of(c)->max_pages, sizeof(x->pages[0]));
    x->tlb_epoch = 1;
    x->context = new_context(x);
    x->jump = x->context->jump;
    ucpu_set_tlb_mode(c, 0);
}

void tlb_finish(struct ucpu *c)
{
    struct exec *x = c->exec;

    for (uint32_t i = 0; i < memory_of(c)->npages; i++)
        free(x->pages[i].walked);
    free(x->pages);
    free(x->walked_pages);
    while (x->ncontexts)
        free(x->contexts[--x->ncontexts]);
}
