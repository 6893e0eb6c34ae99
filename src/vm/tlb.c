/*
 * What is cached of translations, and what it depends on.
 *
 * A context is what was cached under one value of the roots (frontend.roots: CR3;
 * TTBR0 and TTBR1...). Changing the roots changes the context;
 * one that was in use lately is found again as it was left, and a new one begins with what
 * is known of where its walks are the same: of the parts of the address space that keep their root, and where the
 * entries of the tables that walks begin with are equal (the kernel's half).
 *
 * Coherence (exec.h) is kept from the other end: each page that a cached walk read
 * is WALKED, and knows which of its 4-byte granules were read. When one is about to
 * change,
 *   - if it is the last entry of walks to pages of their own (the page table's entry
 *     of a 4 KiB page), just that page is forgotten, in every context: the table's
 *     place in it says which virtual address that is;
 *   - otherwise every context that depends on the table is emptied, as far as it does.
 *
 * Pages know contexts, not CPUs: a table that one CPU's walk went through is noticed to change
 * whichever CPU, or device, writes it.
 *
 * A TLB is looked up by address alone, for compiled code does it; what is put out of its place
 * goes to a few victims, from which a slow access gets it back, so that two pages that
 * want the same place do not cost a walk each time. TLBs begin small and grow when the guest
 * uses more pages than they have entries.
 *
 * To forget too much costs time; to forget too little would let caches influence
 * states. When in doubt, ucpu_flush_tlb().
 */
#include "vm/exec_priv.h"
#include "vm/jit/jit.h"

#include "base/big_memory.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* The TLBs grow when, within so many steps, so many times their entries were lost. To be got back from the
 * victims is a small loss. */
#define LOSS_STEPS  ((uint64_t)16 << 20)
#define LOSS_RATIO  4u
#define LOSS_WALK   16u
#define LOSS_RECALL 1u

static struct memory *memory_of(const struct exec_shared *sh)
{
    return &sh->machine->memory;
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

/* An entry gets this, and is listed where it was. */
static void put_info(struct tlb_info *to, struct tlb_info info)
{
    info.listed = to->listed;
    *to = info;
}

static void forget_entry(struct tlb_table *table, unsigned index)
{
    clear_tags(&table->entries[index]);
    put_info(&table->infos[index], (struct tlb_info){.tag = TLB_NO_TAG});
}

static void make_table(const struct exec_shared *sh, struct tlb_context *t, unsigned mode)
{
    struct tlb_table *table = &t->tables[mode];
    unsigned n = (unsigned)sh->tlb_mask + 1 + TLB_VICTIMS;

    table->entries = xmalloc(n * sizeof(table->entries[0]));
    table->infos = xmalloc(n * sizeof(table->infos[0]));
    memory_at_once(table->entries, n * sizeof(table->entries[0]));
    memory_at_once(table->infos, n * sizeof(table->infos[0]));
    table->next_victim = 0;
    for (unsigned i = 0; i < n; i++) {
        table->infos[i].listed = 0;
        forget_entry(table, i);
    }
}

void tlb_make_table(struct ucpu *c, unsigned mode)
{
    make_table(c->exec->shared, c->exec->context, mode);
}

/* An entry comes into use for a part of the address space. */
static void list(struct tlb_context *t, unsigned mode, unsigned index, unsigned part)
{
    struct tlb_info *info = &t->tables[mode].infos[index];
    struct tlb_filled *f = &t->filled[part];

    if (info->listed >> part & 1)
        return;
    if (f->count == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 256;
        f->slots = xrealloc(f->slots, f->cap * sizeof(f->slots[0]));
    }
    f->slots[f->count++] = TLB_SLOT(mode, index);
    info->listed |= (uint8_t)(1u << part);
}

static struct tlb_table *table_of(struct tlb_context *t, uint32_t slot)
{
    return &t->tables[TLB_SLOT_MODE(slot)];
}

/* What the slots some places on have is wanted soon: it is all over the host's memory. (Inlined: compilers drop calls of functions that do
 * nothing else.) */
__attribute__((always_inline)) static inline void look_ahead(const struct tlb_context *t, const struct tlb_filled *f, unsigned i, const struct tlb_context *other)
{
    uint32_t slot;

    if (i + 8 >= f->count)
        return;
    slot = f->slots[i + 8];
    __builtin_prefetch(&t->tables[TLB_SLOT_MODE(slot)].infos[TLB_SLOT_INDEX(slot)]);
    __builtin_prefetch(&t->tables[TLB_SLOT_MODE(slot)].entries[TLB_SLOT_INDEX(slot)]);
    if (other && other->tables[TLB_SLOT_MODE(slot)].infos) {
        __builtin_prefetch(&other->tables[TLB_SLOT_MODE(slot)].infos[TLB_SLOT_INDEX(slot)], 1);
        __builtin_prefetch(&other->tables[TLB_SLOT_MODE(slot)].entries[TLB_SLOT_INDEX(slot)], 1);
    }
}

static void swap_entries(const struct exec_shared *sh, struct tlb_context *t, unsigned mode, unsigned a, unsigned b)
{
    struct tlb_table *table = &t->tables[mode];
    struct tlb_entry entry = table->entries[a];
    struct tlb_info info_a = table->infos[a], info_b = table->infos[b];

    table->entries[a] = table->entries[b];
    table->entries[b] = entry;
    put_info(&table->infos[a], info_b);
    put_info(&table->infos[b], info_a);
    if (info_b.tag != TLB_NO_TAG)
        list(t, mode, a, tlb_part(sh, info_b.tag));
    if (info_a.tag != TLB_NO_TAG)
        list(t, mode, b, tlb_part(sh, info_a.tag));
}

/* Many of these in little time: the guest's working set is larger than the TLB, or in each other's way. */
static void note_loss(struct ucpu *c, unsigned loss)
{
    struct exec_shared *sh = c->exec->shared;
    uint64_t position = c->cpu.limit - c->cpu.budget;

    if (position - sh->tlb_lost_since > LOSS_STEPS) {
        sh->tlb_lost_since = position;
        sh->tlb_lost = 0;
    }
    sh->tlb_lost += loss;
    if (sh->tlb_short || sh->tlb_lost < LOSS_WALK * LOSS_RATIO * (sh->tlb_mask + 1) ||
        sh->tlb_mask + 1 == (uint64_t)1 << TLB_BITS_MOST)
        return;
    sh->tlb_short = true;
    exec_leave_soon(sh);
}

struct tlb_info *tlb_renew(struct ucpu *c, unsigned mode, uint64_t va)
{
    struct tlb_context *t = c->exec->context;
    struct tlb_table *table = tlb_table(c, mode);
    unsigned index = tlb_index(c->exec->shared, va);
    uint64_t old = table->infos[index].tag;

    t->bare &= ~(1u << tlb_part(c->exec->shared, va & PAGE_MASK));
    if (old != TLB_NO_TAG && old != (va & PAGE_MASK)) {
        unsigned victim = (unsigned)c->exec->shared->tlb_mask + 1 + table->next_victim++ % TLB_VICTIMS;

        if (table->infos[victim].tag != TLB_NO_TAG)
            note_loss(c, LOSS_WALK);
        swap_entries(c->exec->shared, t, mode, index, victim);
    }
    forget_entry(table, index);
    list(t, mode, index, tlb_part(c->exec->shared, va & PAGE_MASK));
    return &table->infos[index];
}

bool tlb_recall(struct ucpu *c, unsigned mode, uint64_t va)
{
    struct tlb_table *table = tlb_table(c, mode);
    unsigned index = tlb_index(c->exec->shared, va), first = (unsigned)c->exec->shared->tlb_mask + 1;

    if (table->infos[index].tag == (va & PAGE_MASK))
        return false; /* it is there: a page of a device, or watched */
    for (unsigned i = first; i < first + TLB_VICTIMS; i++)
        if (table->infos[i].tag == (va & PAGE_MASK)) {
            swap_entries(c->exec->shared, c->exec->context, mode, index, i);
            note_loss(c, LOSS_RECALL);
            return true;
        }
    return false;
}

/* Forget what a context knows of a part of the address space. */
static void empty_part(const struct exec_shared *sh, struct tlb_context *t, unsigned part)
{
    struct tlb_filled *f = &t->filled[part];

    for (unsigned i = 0; i < f->count; i++) {
        unsigned index = TLB_SLOT_INDEX(f->slots[i]);
        struct tlb_table *table = table_of(t, f->slots[i]);
        struct tlb_info *info = &table->infos[index];

        look_ahead(t, f, i, NULL);
        info->listed &= (uint8_t)~(1u << part);
        if (info->tag != TLB_NO_TAG && tlb_part(sh, info->tag) == part)
            forget_entry(table, index);
    }
    f->count = 0;
}

/* Forget what a context knows of some parts of the address space. */
static void empty_parts(const struct exec_shared *sh, struct tlb_context *t, unsigned parts)
{
    for (unsigned part = 0; part < TLB_PARTS; part++)
        if (parts >> part & 1)
            empty_part(sh, t, part);
    t->emptied |= parts;
    t->bare |= parts;
}

/* Inline writes to a page are being allowed in a context. */
static void note_write(struct exec_shared *sh, const struct tlb_context *t, uint32_t page, uint64_t va)
{
    struct page_derived *p = &sh->pages[page];

    if (p->granted_epoch != sh->tlb_epoch) {
        p->granted_epoch = sh->tlb_epoch;
        p->granted = 0;
    }
    if (!p->granted)
        p->granted_va = va;
    else if (p->granted_va != va)
        p->granted_va = GRANTED_MANY;
    p->granted |= context_bit(t);
}

/* ---- tables that were walked ---- */

static unsigned quarter_of(unsigned granule)
{
    return granule / (unsigned)(PAGE_SIZE / 4 / WALKED_QUARTERS);
}

static struct walked *note_table(struct exec_shared *sh, uint32_t page)
{
    struct page_derived *p = &sh->pages[page];

    if (!p->walked)
        p->walked = xcalloc(1, sizeof(*p->walked));
    if (memory_of(sh)->flags[page] & PAGE_FLAG_WALKED)
        return p->walked;
    memory_of(sh)->flags[page] |= PAGE_FLAG_WALKED;
    if (!p->walked->listed) {
        if (sh->nwalked_pages == sh->cap_walked_pages) {
            sh->cap_walked_pages = sh->cap_walked_pages ? 2 * sh->cap_walked_pages : 256;
            sh->walked_pages = xrealloc(sh->walked_pages, sh->cap_walked_pages * sizeof(sh->walked_pages[0]));
        }
        sh->walked_pages[sh->nwalked_pages++] = page;
        p->walked->listed = true;
    }
    tlb_revoke_write(sh, page);
    return p->walked;
}

/* Nothing that is cached depends on the page any more. (It stays in the list.) */
static void forget_table(struct exec_shared *sh, uint32_t page)
{
    struct walked *w = sh->pages[page].walked;

    *w = (struct walked){.listed = w->listed};
    memory_of(sh)->flags[page] &= (uint8_t)~PAGE_FLAG_WALKED;
}

/* ---- contexts ---- */

static struct tlb_context *new_context(struct exec *x)
{
    struct exec_shared *sh = x->shared;
    struct tlb_context *t = xcalloc(1, sizeof(*t));

    t->number = sh->ncontexts;
    t->emptied = t->bare = TLB_ALL_PARTS;
    sh->contexts = xrealloc(sh->contexts, (sh->ncontexts + 1) * sizeof(sh->contexts[0]));
    sh->contexts[sh->ncontexts++] = t;
    x->contexts[x->ncontexts++] = t;
    return t;
}

/* Where walks are the same under the roots of two contexts. */
struct kinship {
    unsigned parts; /* bit n: in all of part n; else where an entry of its top table has its bit: */
    struct kin_table {
        struct top_table old, new;
        uint32_t old_page, new_page;
        uint64_t same[TOP_TABLE_MOST / 64];
    } tops[TLB_PARTS]; /* without entries: nowhere */
};

static void compare_tables(const struct exec_shared *sh, struct kin_table *k)
{
    const struct memory *m = memory_of(sh);
    const uint8_t *old, *new;

    k->old_page = memory_page_of(m, k->old.at);
    k->new_page = memory_page_of(m, k->new.at);
    if (k->old_page == NO_PAGE || k->new_page == NO_PAGE || k->old_page == k->new_page) {
        k->old.count = 0;
        return;
    }
    old = memory_page(m, k->old_page) + (k->old.at & ~PAGE_MASK);
    new = memory_page(m, k->new_page) + (k->new.at & ~PAGE_MASK);
    for (unsigned n = 0; n < k->old.count; n++)
        if (k->old.size == 8 ? get_le64(old + n * 8) == get_le64(new + n * 8) : get_le32(old + n * 4) == get_le32(new + n * 4))
            set_bit(k->same, n);
}

static bool find_kinship(const struct exec *x, const struct tlb_context *t, struct kinship *kin)
{
    const struct tlb_context *from = x->context;
    const struct frontend *fe = x->cpu->fe;
    bool any = false;

    *kin = (struct kinship){0};
    if (memcmp(from->roots + TLB_PARTS, t->roots + TLB_PARTS, (TLB_ROOTS - TLB_PARTS) * sizeof(t->roots[0])))
        return false;
    for (unsigned n = 0; n < TLB_PARTS; n++) {
        struct kin_table *k = &kin->tops[n];

        if (!(t->emptied >> n & 1))
            continue;
        if (t->roots[n] && t->roots[n] == from->roots[n])
            kin->parts |= 1u << n;
        else if (fe->top_table && fe->top_table(x->cpu, from->roots, n, &k->old) &&
                 fe->top_table(x->cpu, t->roots, n, &k->new))
            compare_tables(x->shared, k);
        else
            k->old.count = 0;
        any |= kin->parts >> n & 1 || k->old.count;
    }
    return any;
}

static bool walks_are_same(const struct exec_shared *sh, const struct kinship *kin, uint64_t va)
{
    unsigned part = tlb_part(sh, va);
    const struct kin_table *k = &kin->tops[part];

    return kin->parts >> part & 1 || (k->old.count && bit(k->same, (unsigned)(va >> k->old.shift) & (k->old.count - 1)));
}

/* What depended on an entry of the one table, now depends on that of the other. */
static void note_kin_table(struct exec_shared *sh, const struct tlb_context *t, const struct kin_table *k, unsigned part)
{
    const struct walked *old = sh->pages[k->old_page].walked;
    unsigned first_old = (unsigned)(k->old.at & ~PAGE_MASK) / 4, first_new = (unsigned)(k->new.at & ~PAGE_MASK) / 4;
    struct walked *w;

    if (!(memory_of(sh)->flags[k->old_page] & PAGE_FLAG_WALKED))
        return;
    w = note_table(sh, k->new_page);
    w->contexts |= context_bit(t);
    for (unsigned i = 0; i < k->old.count * k->old.size / 4; i++) {
        unsigned g = first_new + i;

        if (!bit(k->same, i * 4 / k->old.size) || !bit(old->granules, first_old + i))
            continue;
        set_bit(w->granules, g);
        set_bit(w->shared, g);
        set_bit(w->code, g);
        w->parts[quarter_of(g)] |= (uint8_t)(1u << part);
    }
}

/* Is that a table which walks began with and another one stands for now? */
static bool replaces(const struct kinship *kin, uint32_t page, const struct walked *w)
{
    bool top = false;

    for (unsigned n = 0; n < TLB_PARTS; n++) {
        if (kin->parts >> n & 1)
            return false;
        top |= kin->tops[n].old.count && kin->tops[n].old_page == page;
    }
    return top && !w->inner;
}

static void inherit_part(struct exec_shared *sh, const struct kinship *kin, const struct tlb_context *from, struct tlb_context *t,
                         unsigned part)
{
    const struct tlb_filled *f = &from->filled[part];

    for (unsigned i = 0; i < f->count; i++) {
        unsigned mode = TLB_SLOT_MODE(f->slots[i]), index = TLB_SLOT_INDEX(f->slots[i]);
        const struct tlb_table *table = &from->tables[mode];
        const struct tlb_info *info = &table->infos[index];
        struct tlb_info *to;

        look_ahead(from, f, i, t);
        if (info->tag == TLB_NO_TAG || tlb_part(sh, info->tag) != part || !walks_are_same(sh, kin, info->tag))
            continue;
        if (!t->tables[mode].entries)
            make_table(sh, t, mode);
        to = &t->tables[mode].infos[index];
        if (to->tag != TLB_NO_TAG)
            continue;
        list(t, mode, index, part);
        put_info(to, *info);
        t->tables[mode].entries[index] = table->entries[index];
        if (table->entries[index].write != TLB_NO_TAG)
            note_write(sh, t, info->number, info->tag);
    }
}

/* Take over what the current context knows where the other one's walks are the same, and it knows nothing. */
static void inherit(struct exec *x, struct tlb_context *t)
{
    struct exec_shared *sh = x->shared;
    const struct tlb_context *from = x->context;
    struct kinship kin;

    if (!find_kinship(x, t, &kin))
        return;
    for (unsigned part = 0; part < TLB_PARTS; part++)
        if (kin.parts >> part & 1 || kin.tops[part].old.count)
            inherit_part(sh, &kin, from, t, part);
    for (unsigned i = 0; i < sh->nwalked_pages; i++) {
        struct walked *w = sh->pages[sh->walked_pages[i]].walked;

        if ((w->contexts & context_bit(from)) && !replaces(&kin, sh->walked_pages[i], w))
            w->contexts |= context_bit(t);
    }
    for (unsigned n = 0; n < TLB_PARTS; n++)
        if (kin.tops[n].old.count)
            note_kin_table(sh, t, &kin.tops[n], n);
}

/* Machines of many CPUs have more contexts than there are bits. */
static bool shares_bit(const struct exec_shared *sh, const struct tlb_context *t)
{
    for (unsigned i = 0; i < sh->ncontexts; i++)
        if (sh->contexts[i] != t && context_bit(sh->contexts[i]) == context_bit(t))
            return true;
    return false;
}

/* No table that was walked has to do with a context any more: it is going to stand for other roots. (Else a table that is written when it is
 * long something else, would empty it. But what depends on it because of another context with the same bit, still does.) */
static void forget_context(struct exec_shared *sh, const struct tlb_context *t)
{
    empty_parts(sh, sh->contexts[t->number], TLB_ALL_PARTS);
    if (shares_bit(sh, t))
        return;
    for (unsigned i = 0; i < sh->nwalked_pages; i++) {
        uint32_t page = sh->walked_pages[i];
        struct walked *w = sh->pages[page].walked;

        w->contexts &= ~context_bit(t);
        if (!w->contexts)
            forget_table(sh, page);
    }
}

/* Did tables go since it was gone to, and nothing came in their place? As a rule its process has ended. */
static bool has_ended(const struct tlb_context *t)
{
    return t->emptied && t->bare == t->emptied;
}

/* The one for these roots; else one that has ended, a new one, or the one that
 * was not in use for longest. (The tables of a new one are memory to be had from the host, and to be read into the host's caches.) */
static struct tlb_context *choose_context(struct exec *x, const uint64_t *roots)
{
    struct tlb_context *oldest = NULL, *ended = NULL;

    for (unsigned i = 0; i < x->ncontexts; i++) {
        struct tlb_context *t = x->contexts[i];

        if (!memcmp(t->roots, roots, sizeof(t->roots)))
            return t;
        if (t != x->context && (!oldest || t->used < oldest->used))
            oldest = t;
        if (t != x->context && has_ended(t) && (!ended || t->used < ended->used))
            ended = t;
    }
    if (!ended && x->ncontexts < TLB_CONTEXTS)
        oldest = new_context(x);
    else
        forget_context(x->shared, oldest = ended ? ended : oldest);
    memcpy(oldest->roots, roots, sizeof(oldest->roots));
    return oldest;
}

static struct tlb_context *find_context(struct exec *x, const uint64_t *roots)
{
    struct tlb_context *t = choose_context(x, roots);

    if (t->emptied)
        inherit(x, t);
    t->emptied = t->bare = 0;
    return t;
}

/* (One by one: what has just been written word by word is slow to read in wider pieces.) */
static bool same_roots(const uint64_t *a, const uint64_t *b)
{
    for (unsigned i = 0; i < TLB_ROOTS; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

void ucpu_roots_changed(struct ucpu *c)
{
    struct exec *x = c->exec;
    uint64_t roots[TLB_ROOTS] = {0};

    if (c->fe->roots)
        c->fe->roots(c, roots);
    if (same_roots(x->context->roots, roots))
        return;
    exec_leave_soon(x->shared);
    x->context = find_context(x, roots);
    x->context->used = ++x->context_uses;
    c->tlb = tlb_table(c, c->tlb_mode)->entries;
}

void ucpu_set_tlb_mode(struct ucpu *c, unsigned mode)
{
    CHECK(mode < TLB_MODES);
    c->tlb_mode = mode;
    c->tlb = tlb_table(c, mode)->entries;
}

/* ---- forgetting all ---- */

static bool nothing_cached(const struct exec_shared *sh)
{
    for (unsigned i = 0; i < sh->ncontexts; i++)
        for (unsigned part = 0; part < TLB_PARTS; part++)
            if (sh->contexts[i]->filled[part].count)
                return false;
    return true;
}

/* Nothing that is cached depends on any page any more. */
static void forget_tables(struct exec_shared *sh)
{
    sh->tlb_epoch++;
    for (unsigned i = 0; i < sh->nwalked_pages; i++) {
        uint32_t page = sh->walked_pages[i];

        memory_of(sh)->flags[page] &= (uint8_t)~PAGE_FLAG_WALKED;
        *sh->pages[page].walked = (struct walked){0};
    }
    sh->nwalked_pages = 0;
}

void ucpu_flush_tlb(struct ucpu *c)
{
    struct exec *x = c->exec;
    struct exec_shared *sh = x->shared;

    for (unsigned i = 0; i < x->ncontexts; i++)
        empty_parts(sh, x->contexts[i], TLB_ALL_PARTS);
    sh->stats.tlb_flushes++;
    if (nothing_cached(sh))
        forget_tables(sh);
    exec_leave_soon(sh);
    ucpu_roots_changed(c);
}

void tlb_flush_all(struct exec_shared *sh)
{
    for (unsigned i = 0; i < sh->machine->ncpus; i++)
        ucpu_flush_tlb(ucpu_of(sh->machine->cpus[i]));
}

void tlb_allow_no_writes(struct exec_shared *sh)
{
    for (unsigned n = 0; n < sh->ncontexts; n++)
        for (unsigned part = 0; part < TLB_PARTS; part++) {
            struct tlb_context *t = sh->contexts[n];
            const struct tlb_filled *f = &t->filled[part];

            for (unsigned i = 0; i < f->count; i++)
                table_of(t, f->slots[i])->entries[TLB_SLOT_INDEX(f->slots[i])].write = TLB_NO_TAG;
        }
}

/* ---- inline writes ---- */

void tlb_note_write(struct ucpu *c, uint32_t page, uint64_t va)
{
    note_write(c->exec->shared, c->exec->context, page, va);
}

static void revoke_entry(struct tlb_table *table, unsigned index, uint32_t page)
{
    if (table->infos[index].number == page)
        table->entries[index].write = TLB_NO_TAG;
}

/* In a context in which the page was written inline at one address only. */
static void revoke_at(const struct exec_shared *sh, struct tlb_context *t, uint32_t page, uint64_t va)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        if (!t->tables[mode].entries)
            continue;
        revoke_entry(&t->tables[mode], tlb_index(sh, va), page);
        for (unsigned i = 0; i < TLB_VICTIMS; i++)
            revoke_entry(&t->tables[mode], (unsigned)sh->tlb_mask + 1 + i, page);
    }
}

/* In a context in which it was at several. */
static void revoke_everywhere(struct tlb_context *t, uint32_t page)
{
    for (unsigned part = 0; part < TLB_PARTS; part++) {
        const struct tlb_filled *f = &t->filled[part];

        for (unsigned i = 0; i < f->count; i++)
            revoke_entry(table_of(t, f->slots[i]), TLB_SLOT_INDEX(f->slots[i]), page);
    }
}

void tlb_revoke_write(struct exec_shared *sh, uint32_t page)
{
    struct page_derived *p = &sh->pages[page];

    if (p->granted_epoch != sh->tlb_epoch)
        return;
    for (unsigned n = 0; n < sh->ncontexts; n++) {
        struct tlb_context *t = sh->contexts[n];

        if (!(p->granted & context_bit(t)))
            continue;
        if (p->granted_va != GRANTED_MANY)
            revoke_at(sh, t, page, p->granted_va);
        else
            revoke_everywhere(t, page);
    }
    p->granted = 0;
}

/* ---- what translations depend on ---- */

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
        struct walked *w = note_table(x->shared, (uint32_t)(x->walk_reads[i] >> PAGE_SHIFT));
        unsigned g = (unsigned)(x->walk_reads[i] & ~PAGE_MASK) / 4;

        w->contexts |= context_bit(x->context);
        w->inner |= i * 4 >= x->first_walk_size;
        w->parts[quarter_of(g)] |= (uint8_t)(1u << tlb_part(x->shared, va));
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

/* Is the entry that granule `g` is of the one for the page at `va` alone, as the TLB knows it, or may it be? */
static bool may_lead_to(struct ucpu *c, const struct walked *w, uint32_t page, unsigned g, uint64_t va)
{
    const struct tlb_info *info = &tlb_table(c, c->tlb_mode)->infos[tlb_index(c->exec->shared, va)];

    return info->tag != (va & PAGE_MASK) || info->leaf == walk_granule(page, g * 4 / w->entry_size * w->entry_size);
}

unsigned tlb_free_of_code(struct ucpu *c, uint32_t page, unsigned offset, unsigned len)
{
    const struct walked *w = c->exec->shared->pages[page].walked;
    const struct block *b = c->block;

    for (unsigned g = offset / 4; w && g <= (offset + len - 1) / 4; g++) {
        if (!(w->granules[g / 64] & (w->shared[g / 64] | w->code[g / 64]))) {
            g |= 63;
            continue;
        }
        if (!bit(w->granules, g))
            continue;
        if (bit(w->shared, g) || (bit(w->code, g) && (!b || may_lead_to(c, w, page, g, b->key.va) ||
                                                      (b->crosses && may_lead_to(c, w, page, g, next_page(c, b->key.va))))))
            return g * 4 > offset ? g * 4 - offset : 0;
    }
    return len;
}

bool tlb_depends_on(const struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len)
{
    const struct walked *w = sh->pages[page].walked;

    for (unsigned g = offset / 4; w && g <= (offset + len - 1) / 4; g++)
        if (bit(w->granules, g))
            return true;
    return false;
}

static void forget_leaf(struct tlb_table *table, unsigned index, uint64_t leaf)
{
    if (table->infos[index].leaf == leaf && table->infos[index].tag != TLB_NO_TAG)
        forget_entry(table, index);
}

/* The entry of one page changes: granule `g` of table page `table`. */
static void forget_page(struct exec_shared *sh, uint32_t table, unsigned g)
{
    const struct walked *w = sh->pages[table].walked;
    unsigned entry = g * 4 / w->entry_size;
    uint64_t leaf = walk_granule(table, entry * w->entry_size);
    uint64_t va = w->first_va + (uint64_t)entry * PAGE_SIZE;

    for (unsigned n = 0; n < sh->ncontexts; n++) {
        struct tlb_context *t = sh->contexts[n];

        if (!(w->contexts & context_bit(t)))
            continue;
        for (unsigned mode = 0; mode < TLB_MODES; mode++) {
            if (!t->tables[mode].entries)
                continue;
            forget_leaf(&t->tables[mode], tlb_index(sh, va), leaf);
            for (unsigned i = 0; i < TLB_VICTIMS; i++)
                forget_leaf(&t->tables[mode], (unsigned)sh->tlb_mask + 1 + i, leaf);
        }
    }
}

/* Does nothing depend on a quarter of the table any more, or on all of it? (It may become a table of another kind, for other
 * addresses.) */
static void tidy_table(struct exec_shared *sh, uint32_t page, unsigned quarter)
{
    struct walked *w = sh->pages[page].walked;
    const unsigned words = WALKED_WORDS / WALKED_QUARTERS, first = quarter * words;

    for (unsigned i = first; i < first + words; i++)
        if (w->granules[i])
            return;
    for (unsigned i = first; i < first + words; i++)
        w->shared[i] = w->code[i] = 0;
    w->parts[quarter] = 0;
    for (unsigned i = 0; i < WALKED_QUARTERS; i++)
        if (w->parts[i])
            return;
    forget_table(sh, page);
}

/* An entry changes that many walks may have gone through. Tables are often for the whole address
 * space, a quarter for a part: so forget what depends on that quarter. */
static void forget_dependents(struct exec_shared *sh, uint32_t page, unsigned quarter)
{
    struct walked *w = sh->pages[page].walked;
    unsigned parts = w->parts[quarter], first = quarter * (WALKED_WORDS / WALKED_QUARTERS);

    for (unsigned n = 0; n < sh->ncontexts; n++)
        if (w->contexts & context_bit(sh->contexts[n]))
            empty_parts(sh, sh->contexts[n], parts);
    for (unsigned i = 0; i < WALKED_WORDS / WALKED_QUARTERS; i++)
        w->granules[first + i] = 0;
    sh->stats.tlb_flushes++;
    exec_leave_soon(sh);
    tidy_table(sh, page, quarter);
}

void tlb_table_changes(struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len)
{
    struct walked *w = sh->pages[page].walked;
    unsigned last = (offset + len - 1) / 4;

    for (unsigned g = offset / 4; g <= last; g++)
        if (bit(w->granules, g) && bit(w->shared, g))
            forget_dependents(sh, page, quarter_of(g));
    for (unsigned g = offset / 4; g <= last; g++) {
        if (!bit(w->granules, g))
            continue;
        forget_page(sh, page, g);
        if (bit(w->code, g))
            exec_leave_soon(sh);
        clear_bit(w->granules, g);
        clear_bit(w->code, g);
        tidy_table(sh, page, quarter_of(g));
    }
}

/* ---- making ---- */

static void free_tables(struct tlb_context *t)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        free(t->tables[mode].entries);
        free(t->tables[mode].infos);
        t->tables[mode] = (struct tlb_table){0};
    }
    for (unsigned part = 0; part < TLB_PARTS; part++)
        t->filled[part].count = 0;
}

static void note_size(struct exec *x)
{
    x->tlb_offsets = (uint32_t)(x->shared->tlb_mask * sizeof(struct tlb_entry));
}

static void resize(struct exec_shared *sh, uint64_t entries)
{
    sh->tlb_short = false;
    sh->tlb_lost = 0;
    sh->tlb_mask = entries - 1;
    for (unsigned i = 0; i < sh->ncontexts; i++)
        free_tables(sh->contexts[i]);
    for (unsigned i = 0; i < sh->machine->ncpus; i++) {
        struct ucpu *c = ucpu_of(sh->machine->cpus[i]);

        note_size(c->exec);
        ucpu_set_tlb_mode(c, c->tlb_mode);
    }
    if (sh->jit)
        jit_throw_away(sh->jit);
}

void tlb_grow(struct exec_shared *sh)
{
    uint64_t most = (uint64_t)1 << TLB_BITS_MOST, entries = 4 * (sh->tlb_mask + 1);

    if (sh->tlb_short)
        resize(sh, entries < most ? entries : most);
}

void ucpu_set_tlb_bits(struct ucpu *c, unsigned bits)
{
    CHECK(!c->cpu.running && bits <= TLB_BITS_MOST);
    resize(c->exec->shared, (uint64_t)1 << bits);
}

void tlb_init(struct exec_shared *sh)
{
    sh->pages = xcalloc(memory_of(sh)->max_pages, sizeof(sh->pages[0]));
    sh->tlb_epoch = 1;
    sh->tlb_mask = (1u << TLB_BITS_FIRST) - 1;
}

void tlb_init_cpu(struct ucpu *c)
{
    struct exec *x = c->exec;

    note_size(x);
    x->context = new_context(x);
    ucpu_set_tlb_mode(c, 0);
}

void tlb_finish(struct exec_shared *sh)
{
    for (uint32_t i = 0; i < memory_of(sh)->pages.count; i++) {
        free(sh->pages[i].walked);
        free(sh->pages[i].bytes);
    }
    free(sh->pages);
    free(sh->walked_pages);
    while (sh->ncontexts) {
        struct tlb_context *t = sh->contexts[--sh->ncontexts];

        free_tables(t);
        for (unsigned part = 0; part < TLB_PARTS; part++)
            free(t->filled[part].slots);
        free(t);
    }
    free(sh->contexts);
}
