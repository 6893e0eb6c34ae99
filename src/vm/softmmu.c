/*
 * Software MMU: filling the TLB, and every guest access that the inline path does
 * not serve. What is cached, and when it is forgotten, is tlb.c's.
 *
 * A TLB entry has inline tags (exec.h) and an info with what the walk said, so
 * that devices, watched pages, pages with code and clean pages cost a slow
 * access but not a walk each time.
 *
 * An access that must be alone (device; bytes under an access trap; translated
 * code; page-table bytes that the translation of the code in progress depends on) is refused with
 * retry_alone, before anything was transferred, unless the step in progress is
 * a block of its own. Afterwards the block is left for the run loop.
 *
 * Not modelled: a guest-visible TLB; see exec.h.
 */
#include "vm/exec_priv.h"

#include "base/buffer.h"
#include "base/error.h"
#include "vm/footprint.h"
#include "vm/line.h"

#include <stdlib.h>
#include <string.h>

static struct memory *memory_of(const struct ucpu *c)
{
    return &c->cpu.machine->memory;
}

/* ---- what memory tells ---- */

static void on_cleaned(void *ctx)
{
    tlb_allow_no_writes(ctx);
}

static void on_line_flagged(void *ctx, uint32_t page)
{
    tlb_revoke_write(ctx, page);
}

static void on_remapped(void *ctx)
{
    tlb_flush_all(ctx);
}

static void on_page_changes(void *ctx, uint32_t page, unsigned offset, unsigned len)
{
    struct exec_shared *sh = ctx;

    if (!len)
        return;
    if (block_overlaps(sh, page, offset, len))
        block_invalidate(sh, page, offset, len);
    if (!sh->walk_writes && (sh->machine->memory.flags[page] & PAGE_FLAG_WALKED))
        tlb_table_changes(sh, page, offset, len);
}

static void on_page_replaced(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct exec_shared *sh = ctx;
    const uint8_t *old = memory_page(&sh->machine->memory, page);

    for (unsigned i = 0; i < 64; i++) {
        unsigned offset = i << PAGE_CHUNK_SHIFT, len = 1u << PAGE_CHUNK_SHIFT;

        if ((sh->pages[page].chunks >> i & 1) && memcmp(old + offset, bytes + offset, len))
            block_invalidate(sh, page, offset, len);
    }
    if (sh->machine->memory.flags[page] & PAGE_FLAG_WALKED)
        tlb_flush_all(sh);
}

/* ---- the walk's reads and writes ---- */

/* May the step in progress do what must be alone? Between steps (the walk of a fetch), in a
 * step that is no instruction, and in a block of one instruction, however it was come to. Says
 * the same all through an instruction. */
static bool may_alone(const struct ucpu *c)
{
    return !c->cpu.running || c->cpu.steps <= 1;
}

bool ucpu_be_alone(struct ucpu *c)
{
    if (!may_alone(c))
        c->retry_alone = true;
    return may_alone(c);
}

uint64_t ucpu_walk_read(struct ucpu *c, paddr_t addr, unsigned size)
{
    struct exec *x = c->exec;
    struct memory *m = memory_of(c);
    uint32_t page = memory_page_of(m, addr);
    uint64_t v = 0;

    if (page == NO_PAGE || (addr & ~PAGE_MASK) + size > PAGE_SIZE) {
        x->walk_uncacheable = true;
        if (x->only_looking)
            memory_read_bytes(m, addr, &v, size);
        else if (ucpu_be_alone(c))
            v = memory_read(m, addr, size);
        return v;
    }
    if (!x->nwalk_reads)
        x->first_walk_size = size;
    x->last_walk_read = x->nwalk_reads;
    x->last_walk_size = size;
    for (unsigned i = 0; i < size; i += 4) {
        if (x->nwalk_reads == MAX_WALK_READS) {
            x->walk_uncacheable = true;
            break;
        }
        /* By page of storage: it is the bytes that matter, not where they are mapped. */
        x->walk_reads[x->nwalk_reads++] = walk_granule(page, (unsigned)(addr & ~PAGE_MASK) + i);
    }
    memcpy(&v, memory_page(m, page) + (addr & ~PAGE_MASK), size);
    return v;
}

void ucpu_walk_write(struct ucpu *c, paddr_t addr, unsigned size, uint64_t value)
{
    struct machine *m = c->cpu.machine;
    const char *before;

    if (c->exec->only_looking) {
        c->exec->walk_uncacheable = true;
        return;
    }
    if (!ucpu_be_alone(c))
        return;
    before = m->acting;
    m->acting = "a page-table walk";
    c->exec->shared->walk_writes = true;
    memory_write(&m->memory, addr, size, value);
    c->exec->shared->walk_writes = false;
    m->acting = before;
}

/* ---- filling ---- */

/* How traps and footprints call `va`. */
static uint64_t untagged(const struct ucpu *c, uint64_t va)
{
    return c->fe->untagged ? c->fe->untagged(c, va) : va;
}

static unsigned watched_kinds(const struct ucpu *c, uint64_t page)
{
    const struct traps *t = c->cpu.machine->traps;
    const struct trap_copy *g = &c->exec->guest;
    unsigned kinds = 0;

    for (unsigned kind = TRAP_WRITE; kind <= TRAP_READ; kind <<= 1)
        if (traps_overlap(t->list, t->count, kind, page, PAGE_SIZE) || traps_overlap(g->list, g->count, kind, page, PAGE_SIZE))
            kinds |= kind;
    return kinds;
}

/* Allow inline accesses to the page of `va`, if its translation is still `number`,
 * as far as nothing has to be noticed. With a footprint, only kinds of access that
 * were noted. */
static void grant(struct ucpu *c, unsigned mode, uint64_t va, uint32_t number, enum access access)
{
    const struct tlb_table *table = tlb_table(c, mode);
    unsigned index = tlb_index(c->exec->shared, va);
    const struct tlb_info *t = &table->infos[index];
    struct tlb_entry *e = &table->entries[index];
    const struct memory *m = memory_of(c);
    bool every = !c->cpu.machine->footprint;

    if (number == NO_PAGE || t->number != number || t->tag != (va & PAGE_MASK))
        return;
    e->addend = (uintptr_t)memory_page(m, t->number) - (uintptr_t)t->tag;
    if (!t->aligned && (t->perms & 1u << ACCESS_READ) && !(t->watched & TRAP_READ) && (every || access == ACCESS_READ))
        e->read = t->tag;
    if (!t->aligned && (t->perms & 1u << ACCESS_WRITE) && !(t->watched & TRAP_WRITE) && (every || access == ACCESS_WRITE) &&
        t->kind == REGION_RAM && m->flags[t->number] == PAGE_FLAG_DIRTY) {
        e->write = t->tag;
        tlb_note_write(c, t->number, t->tag);
    }
    if (t->perms & 1u << ACCESS_FETCH)
        e->fetch = t->tag;
}

/* Is there somebody at a physical address, for this kind of access? */
static bool answers(const struct memory *m, paddr_t at, bool secure)
{
    const struct region *r = memory_find(m, at);

    return r && (secure || !r->secure);
}

bool softmmu_bus_fails(struct ucpu *c, const struct access_part *p, enum access access)
{
    if (p->number != NO_PAGE || !c->fe->bus_error || answers(memory_of(c), p->page + p->offset, p->secure))
        return false;
    c->fe->bus_error(c, p->va, access);
    return true;
}

static const struct tlb_info *fill(struct ucpu *c, unsigned mode, uint64_t va, enum access access)
{
    struct exec *x = c->exec;
    struct tlb_info *t;
    struct translation tr = {0};
    enum region_kind kind = REGION_MMIO;

    x->shared->stats.tlb_misses++;
    x->nwalk_reads = 0;
    x->walk_uncacheable = false;
    if (!c->fe->walk(c, va, access, mode, &tr) || c->retry_alone)
        return NULL;

    t = tlb_renew(c, mode, va);
    t->tag = va & PAGE_MASK;
    t->perms = 0; /* this access only */
    t->leaf = UINT64_MAX;
    if (!x->walk_uncacheable) {
        t->leaf = tlb_note_walk(c, va, access, tr.own_entry);
        /* A fetch is a walk of its own: the tables then know that code was found through them. */
        t->perms = (uint8_t)(tr.read << ACCESS_READ | tr.write << ACCESS_WRITE |
                             (tr.fetch && access == ACCESS_FETCH) << ACCESS_FETCH);
    }
    t->page = tr.page & PAGE_MASK;
    t->secure = tr.secure;
    t->aligned = tr.aligned;
    t->number = NO_PAGE;
    t->device = NULL;
    t->noted = 0;
    if (!memory_classify(memory_of(c), t->page, &kind, &t->number) || !answers(memory_of(c), t->page, t->secure))
        t->number = NO_PAGE;
    t->kind = (uint8_t)kind;
    t->watched = (uint8_t)watched_kinds(c, untagged(c, t->tag));
    if (t->number != NO_PAGE && traps_overlap_loads(c->cpu.machine->traps, t->number, 0, PAGE_SIZE))
        t->watched |= TRAP_READ;
    if (t->number == NO_PAGE && !t->watched)
        t->device = memory_device_at(memory_of(c), t->page);
    if (t->device && t->device->secure && !t->secure)
        t->device = NULL;
    return t;
}

const struct tlb_info *softmmu_lookup(struct ucpu *c, unsigned mode, uint64_t va, enum access access)
{
    const struct tlb_info *t = &tlb_table(c, mode)->infos[tlb_index(c->exec->shared, va)];

    if ((t->tag != (va & PAGE_MASK) && !tlb_recall(c, mode, va)) || !(t->perms & 1u << access) || (t->aligned && c->misaligned))
        t = fill(c, mode, va, access);
    if (t && access == ACCESS_FETCH)
        grant(c, mode, va, t->number, access);
    return t;
}

/* ---- accesses ---- */

static void note_footprint(const struct ucpu *c, uint64_t va, uint32_t number, enum access access)
{
    struct footprint *f = c->cpu.machine->footprint;

    if (!f)
        return;
    page_set_add(access == ACCESS_WRITE ? &f->written : &f->read, va >> PAGE_SHIFT);
    if (access == ACCESS_READ && number != NO_PAGE)
        page_set_add(&f->loaded, number);
}

/* The same of bytes, where a trap on the page has brought every access here. */
static void note_touches(const struct ucpu *c, const struct access_part *p, enum access access)
{
    struct touches *t = c->cpu.machine->touches;

    if (!t || !p->watched)
        return;
    touches_add(t, access == ACCESS_WRITE ? TOUCHED_WRITTEN : TOUCHED_READ, p->trap_va >> PAGE_SHIFT, p->offset, p->len);
    if (access == ACCESS_READ && p->number != NO_PAGE)
        touches_add(t, TOUCHED_LOADED, p->number, p->offset, p->len);
}

static bool find_part(struct ucpu *c, unsigned mode, uint64_t va, unsigned len, enum access access,
                      struct access_part *p)
{
    const struct tlb_info *t = softmmu_lookup(c, mode, va, access);

    if (!t)
        return false;
    *p = (struct access_part){.va = va, .trap_va = untagged(c, va), .page = t->page, .number = t->number,
                              .offset = (uint16_t)(va & ~PAGE_MASK), .len = (uint16_t)len, .kind = t->kind,
                              .watched = t->watched, .secure = t->secure};
    note_footprint(c, p->trap_va, p->number, access);
    tlb_table(c, mode)->infos[tlb_index(c->exec->shared, va)].noted |= (uint8_t)(1u << access);
    note_touches(c, p, access);
    return true;
}

/* Split [va, va + size) by pages and translate each part, in order. 0: fault. */
static unsigned split(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access,
                           struct access_part parts[2])
{
    unsigned first = (unsigned)(PAGE_SIZE - (va & ~PAGE_MASK));

    va &= c->exec->va_mask;
    if (size <= first)
        return find_part(c, mode, va, size, access, &parts[0]) ? 1 : 0;
    if (!find_part(c, mode, va, first, access, &parts[0]) ||
        !find_part(c, mode, (va + first) & c->exec->va_mask, size - first, access, &parts[1]))
        return 0;
    return 2;
}

static unsigned find_parts(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access,
                           struct access_part parts[2])
{
    unsigned n, unit = c->exec->unit ? c->exec->unit : size;

    c->misaligned = va & (unit - 1);
    n = split(c, mode, va, size, access, parts);
    c->misaligned = false;
    return n;
}

/* Does a trap, the observer's or the guest's own, have a byte of the part? */
static bool hits_trap(const struct ucpu *c, unsigned kind, const struct access_part *p)
{
    const struct traps *t = c->cpu.machine->traps;
    const struct trap_copy *g = &c->exec->guest;

    return (p->watched & kind) && (traps_overlap(t->list, t->count, kind, p->trap_va, p->len) ||
                                   traps_overlap(g->list, g->count, kind, p->trap_va, p->len));
}

/* Does storing `from` change bytes of the part in [first, last], addresses as traps have them? */
static bool changes(const struct ucpu *c, const struct access_part *p, const uint8_t *from, uint64_t first, uint64_t last)
{
    uint64_t end = p->trap_va + (p->len - 1), skip = first - p->trap_va;

    if (!from)
        return false;
    if (p->number == NO_PAGE || p->kind != REGION_RAM)
        return p->number == NO_PAGE || p->kind == REGION_ROMD;
    if (last > end)
        last = end;
    return memcmp(memory_page(memory_of(c), p->number) + p->offset + skip, from + skip, (size_t)(last - first + 1)) != 0;
}

/* The hit of that trap in the step in progress, if there was one already: an instruction may make many accesses. */
static struct pending_hit *same_hit(const struct ucpu *c, bool guest, unsigned kind, unsigned trap)
{
    for (unsigned i = 0; i < c->npending_hits; i++) {
        struct pending_hit *h = &c->exec->hits[i];

        if (h->guest == guest && h->hit.kind == kind && h->hit.trap == trap)
            return h;
    }
    return NULL;
}

/* Of an access to that part; the bytes are still what they were. */
static void add_hit(struct ucpu *c, bool guest, const struct access_part *p, const struct trap_hit *hit)
{
    struct pending_hit *h = &c->exec->hits[c->npending_hits++];

    h->guest = guest;
    h->hit = *hit;
    h->hit.cpu = c->cpu.index;
    h->hit.position = machine_position(c->cpu.machine);
    h->hit.writer = c->cpu.machine->acting;
    h->hit.pc = ucpu_step_pc(&c->cpu);
    if (p->number != NO_PAGE)
        memcpy(h->hit.before, memory_page(memory_of(c), p->number) + p->offset + (hit->address - p->trap_va),
               hit->len < TRAP_BYTES ? hit->len : TRAP_BYTES);
}

static void add_hits(struct ucpu *c, const struct trap *list, unsigned count, bool guest, unsigned kind,
                     const struct access_part *p, const uint8_t *from)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t first = list[i].address > p->trap_va ? list[i].address : p->trap_va;
        struct pending_hit *same;
        uint64_t last;
        bool changed;

        if (!traps_overlap(&list[i], 1, kind, p->trap_va, p->len))
            continue;
        changed = changes(c, p, from, first, list[i].address + (list[i].len - 1));
        last = p->trap_va + (p->len - 1);
        if (last > list[i].address + (list[i].len - 1))
            last = list[i].address + (list[i].len - 1);
        same = same_hit(c, guest, kind, i + 1);
        if (same)
            same->hit.changed |= changed;
        else if (c->npending_hits < MAX_PENDING_HITS)
            add_hit(c, guest, p, &(struct trap_hit){.kind = kind, .address = first, .len = last - first + 1, .trap = i + 1,
                                                    .changed = changed});
    }
}

/* An access is made, or, with the bytes `from`, about to store them. */
static void note_hits(struct ucpu *c, unsigned kind, const struct access_part *p, const uint8_t *from)
{
    const struct traps *t = c->cpu.machine->traps;

    if (!c->cpu.running || !hits_trap(c, kind, p))
        return;
    add_hits(c, c->exec->guest.list, c->exec->guest.count, true, kind, p, from);
    add_hits(c, t->list, t->count, false, kind, p, from);
    exec_leave_soon(c->exec->shared);
}

/* A trap of the guest's own that wants to be an exception instead of the access. */
static bool guest_refuses(struct ucpu *c, unsigned kind, const struct access_part *parts, unsigned n)
{
    const struct trap_copy *g = &c->exec->guest;

    if (!c->fe->guest_watch_early || !c->cpu.running)
        return false;
    for (unsigned p = 0; p < n; p++)
        for (unsigned i = 0; (parts[p].watched & kind) && i < g->count; i++) {
            struct trap_hit hit = {.kind = kind, .cpu = c->cpu.index, .position = machine_position(c->cpu.machine),
                                   .address = g->list[i].address > parts[p].trap_va ? g->list[i].address
                                                                                    : parts[p].trap_va};

            if (traps_overlap(&g->list[i], 1, kind, parts[p].trap_va, parts[p].len) && c->fe->guest_watch_early(c, &hit))
                return true;
        }
    return false;
}

static bool bus_fails(struct ucpu *c, const struct access_part *parts, unsigned n, enum access access)
{
    for (unsigned i = 0; i < n; i++)
        if (softmmu_bus_fails(c, &parts[i], access))
            return true;
    return false;
}

static bool reads_watched(const struct ucpu *c, const struct access_part *p)
{
    return (p->watched & TRAP_READ) && p->number != NO_PAGE &&
           traps_overlap_loads(c->cpu.machine->traps, p->number, p->offset, p->len);
}

static bool load_needs_alone(const struct ucpu *c, const struct access_part *p)
{
    return p->number == NO_PAGE || hits_trap(c, TRAP_READ, p) || reads_watched(c, p);
}

static bool store_needs_alone(struct ucpu *c, const struct access_part *p)
{
    unsigned flags;

    if (hits_trap(c, TRAP_WRITE, p) || p->number == NO_PAGE || p->kind == REGION_ROMD)
        return true;
    if (p->kind != REGION_RAM)
        return false;
    flags = memory_of(c)->flags[p->number];
    if ((flags & PAGE_FLAG_WATCHED) && traps_overlap_storage(c->cpu.machine->traps, p->number, p->offset, p->len))
        return true;
    if ((flags & PAGE_FLAG_LINE) && line_is_watched(c->cpu.machine, p->number, p->offset, p->len))
        return true;
    if ((flags & PAGE_FLAG_CODE) && block_overlaps(c->exec->shared, p->number, p->offset, p->len))
        return true;
    return (flags & PAGE_FLAG_WALKED) && tlb_free_of_code(c, p->number, p->offset, p->len) < p->len;
}

/* What is left of an access is made as accesses of at most this many bytes. */
static unsigned device_unit(const struct ucpu *c, unsigned left)
{
    unsigned unit = c->exec->unit && c->exec->unit < DEVICE_UNIT ? c->exec->unit : DEVICE_UNIT;

    return left < unit ? left : unit;
}

static void load_from_device(struct ucpu *c, const struct access_part *p, uint8_t *to)
{
    memory_of(c)->nonsecure = !p->secure;
    for (unsigned done = 0; done < p->len;) {
        unsigned n = device_unit(c, p->len - done);
        uint64_t v = memory_read(memory_of(c), p->page + p->offset + done, n);

        memcpy(to + done, &v, n);
        done += n;
    }
    memory_of(c)->nonsecure = false;
    exec_leave_soon(c->exec->shared);
}

static void load_part(struct ucpu *c, unsigned mode, const struct access_part *p, uint8_t *to)
{
    if (p->number == NO_PAGE) {
        load_from_device(c, p, to);
    } else {
        memcpy(to, memory_page(memory_of(c), p->number) + p->offset, p->len);
        if (c->cpu.running && reads_watched(c, p)) {
            traps_touch(c->cpu.machine, TRAP_READ, &memory_of(c)->pages, ((uint64_t)p->number << PAGE_SHIFT) + p->offset, p->len);
            exec_leave_soon(c->exec->shared);
        }
        grant(c, mode, p->va, p->number, ACCESS_READ);
    }
    note_hits(c, TRAP_READ, p, NULL);
}

static void store_to_device(struct ucpu *c, const struct access_part *p, const uint8_t *from)
{
    memory_of(c)->nonsecure = !p->secure;
    for (unsigned done = 0; done < p->len;) {
        unsigned n = device_unit(c, p->len - done);
        uint64_t v = 0;

        memcpy(&v, from + done, n);
        memory_write(memory_of(c), p->page + p->offset + done, n, v);
        done += n;
    }
    memory_of(c)->nonsecure = false;
    exec_leave_soon(c->exec->shared);
}

static void store_to_ram(struct ucpu *c, unsigned mode, const struct access_part *p, const uint8_t *from)
{
    struct memory *m = memory_of(c);

    memory_touch(m, p->number, p->offset, p->len);
    memcpy(m->host + ((uint64_t)p->number << PAGE_SHIFT) + p->offset, from, p->len);
    grant(c, mode, p->va, p->number, ACCESS_WRITE);
}

static void store_part(struct ucpu *c, unsigned mode, const struct access_part *p, const uint8_t *from)
{
    note_hits(c, TRAP_WRITE, p, from);
    if (p->number == NO_PAGE || p->kind == REGION_ROMD)
        store_to_device(c, p, from);
    else if (p->kind == REGION_RAM)
        store_to_ram(c, mode, p, from);
}

/* Of the usual sizes without a call. */
static inline void copy_bytes(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

/* Traps, and translations that depend on other bytes of it, are all that forbids to write that page of memory inline,
 * and none of the traps has these bytes. */
static bool free_to_write(const struct ucpu *c, const struct tlb_info *t, unsigned offset, unsigned len)
{
    unsigned flags = memory_of(c)->flags[t->number];

    if (t->kind != REGION_RAM || (flags & ~(unsigned)(PAGE_FLAG_WATCHED | PAGE_FLAG_WALKED)) != PAGE_FLAG_DIRTY)
        return false;
    if ((flags & PAGE_FLAG_WALKED) && tlb_depends_on(c->exec->shared, t->number, offset, len))
        return false;
    if (flags & PAGE_FLAG_WATCHED)
        return !traps_overlap_storage(c->cpu.machine->traps, t->number, offset, len);
    return (flags & PAGE_FLAG_WALKED) || (t->watched & TRAP_WRITE);
}

/* Where in host memory an access to a page under traps, or a write to a page table, may be made at once, because no trap
 * has these bytes, no translation depends on them, and nobody else has to hear of it; what was touched is noted. NULL: it
 * goes the long way. */
static uint8_t *at_once(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access)
{
    const struct tlb_info *t = &tlb_table(c, mode)->infos[tlb_index(c->exec->shared, va)];
    unsigned offset = (unsigned)(va & ~PAGE_MASK);
    struct access_part p;

    if (t->tag != (va & PAGE_MASK) || size > PAGE_SIZE - offset || !(t->perms & t->noted & 1u << access) || t->aligned ||
        t->number == NO_PAGE)
        return NULL;
    if (access == ACCESS_WRITE ? !free_to_write(c, t, offset, size) : !(t->watched & TRAP_READ) || c->cpu.machine->traps->loads)
        return NULL;
    p = (struct access_part){.trap_va = untagged(c, va), .number = t->number, .offset = (uint16_t)offset, .len = (uint16_t)size,
                             .watched = t->watched};
    if (hits_trap(c, access == ACCESS_WRITE ? TRAP_WRITE : TRAP_READ, &p))
        return NULL;
    note_touches(c, &p, access);
    if (access == ACCESS_WRITE && c->cpu.machine->touches && (memory_of(c)->flags[t->number] & PAGE_FLAG_WATCHED))
        touches_add(c->cpu.machine->touches, TOUCHED_STORAGE, t->number, offset, size);
    return memory_of(c)->host + ((uint64_t)t->number << PAGE_SHIFT) + offset;
}

/* Inline access is not allowed. */
static __attribute__((noinline)) bool load_parts(struct ucpu *c, unsigned mode, uint64_t va, void *buf, unsigned size)
{
    const uint8_t *host = at_once(c, mode, va, size, ACCESS_READ);
    struct access_part parts[2];
    unsigned n, done = 0;

    if (host) {
        copy_bytes(buf, host, size);
        return true;
    }
    n = find_parts(c, mode, va, size, ACCESS_READ, parts);
    if (!n || guest_refuses(c, TRAP_READ, parts, n) || bus_fails(c, parts, n, ACCESS_READ))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (load_needs_alone(c, &parts[i]) && !ucpu_be_alone(c)) {
            c->exec->io_refused = parts[i].number == NO_PAGE;
            return false;
        }
    for (unsigned i = 0; i < n; i++) {
        load_part(c, mode, &parts[i], (uint8_t *)buf + done);
        done += parts[i].len;
    }
    return true;
}

bool ucpu_load_mode(struct ucpu *c, unsigned mode, uint64_t va, void *buf, unsigned size)
{
    const struct tlb_entry *e = &tlb_table(c, mode)->entries[tlb_index(c->exec->shared, va)];

    if (e->read == ((va + size - 1) & PAGE_MASK) ||
        (tlb_recall(c, mode, va) && e->read == ((va + size - 1) & PAGE_MASK))) {
        copy_bytes(buf, (const uint8_t *)((uintptr_t)va + e->addend), size);
        return true;
    }
    return load_parts(c, mode, va, buf, size);
}

/* Where inline access writes to [va, va + size), or NULL: it may not. */
static uint8_t *direct_store(struct ucpu *c, unsigned mode, uint64_t va, unsigned size)
{
    const struct tlb_entry *e = &tlb_table(c, mode)->entries[tlb_index(c->exec->shared, va)];

    return e->write == (va & PAGE_MASK) && e->write == ((va + size - 1) & PAGE_MASK) ? (uint8_t *)((uintptr_t)va + e->addend) : NULL;
}

bool ucpu_plan_store(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, struct planned_store *plan)
{
    const struct tlb_info *t;
    unsigned n;

    plan->direct = direct_store(c, mode, va, size);
    if (plan->direct) {
        t = &tlb_table(c, mode)->infos[tlb_index(c->exec->shared, va)];
        plan->part[0] = (struct access_part){.va = va, .trap_va = untagged(c, va), .page = t->page, .number = t->number,
                                             .offset = (uint16_t)(va & ~PAGE_MASK), .len = (uint16_t)size, .kind = t->kind,
                                             .watched = t->watched, .secure = t->secure};
        plan->nparts = 1;
        plan->mode = (uint8_t)mode;
        plan->alone = false;
        return true;
    }
    n = find_parts(c, mode, va, size, ACCESS_WRITE, plan->part);
    if (!n || guest_refuses(c, TRAP_WRITE, plan->part, n) || bus_fails(c, plan->part, n, ACCESS_WRITE))
        return false;
    plan->nparts = (uint8_t)n;
    plan->mode = (uint8_t)mode;
    plan->alone = false;
    for (unsigned i = 0; i < n; i++)
        plan->alone |= store_needs_alone(c, &plan->part[i]);
    if (plan->alone && !ucpu_be_alone(c)) {
        c->exec->io_refused = plan->part[0].number == NO_PAGE;
        return false;
    }
    return true;
}

void ucpu_make_store(struct ucpu *c, const struct planned_store *plan, const void *buf)
{
    unsigned done = 0;

    /* (What was planned after it may have marked its page.) */
    if (plan->direct && direct_store(c, plan->mode, plan->part[0].va, plan->part[0].len) == plan->direct) {
        copy_bytes(plan->direct, buf, plan->part[0].len);
        return;
    }
    for (unsigned i = 0; i < plan->nparts; i++) {
        store_part(c, plan->mode, &plan->part[i], (const uint8_t *)buf + done);
        done += plan->part[i].len;
    }
    if (plan->alone)
        exec_leave_soon(c->exec->shared);
}

bool ucpu_store_mode(struct ucpu *c, unsigned mode, uint64_t va, const void *buf, unsigned size)
{
    const struct tlb_entry *e = &tlb_table(c, mode)->entries[tlb_index(c->exec->shared, va)];
    struct planned_store plan;
    uint8_t *host = e->write == ((va + size - 1) & PAGE_MASK) ? NULL : at_once(c, mode, va, size, ACCESS_WRITE);

    if (host) {
        copy_bytes(host, buf, size);
        return true;
    }
    if (e->write == ((va + size - 1) & PAGE_MASK) ||
        (tlb_recall(c, mode, va) && e->write == ((va + size - 1) & PAGE_MASK))) {
        memcpy((uint8_t *)((uintptr_t)va + e->addend), buf, size);
        return true;
    }
    if (!ucpu_plan_store(c, mode, va, size, &plan))
        return false;
    ucpu_make_store(c, &plan, buf);
    return true;
}

bool ucpu_load(struct ucpu *c, uint64_t va, void *buf, unsigned size)
{
    return ucpu_load_mode(c, c->tlb_mode, va, buf, size);
}

bool ucpu_store(struct ucpu *c, uint64_t va, const void *buf, unsigned size)
{
    return ucpu_store_mode(c, c->tlb_mode, va, buf, size);
}

bool ucpu_load_units(struct ucpu *c, uint64_t va, void *buf, unsigned size, unsigned unit)
{
    bool ok;

    c->exec->unit = unit;
    ok = ucpu_load(c, va, buf, size);
    c->exec->unit = 0;
    return ok;
}

bool ucpu_store_units(struct ucpu *c, uint64_t va, const void *buf, unsigned size, unsigned unit)
{
    bool ok;

    c->exec->unit = unit;
    ok = ucpu_store(c, va, buf, size);
    c->exec->unit = 0;
    return ok;
}

/* Is it an access to a device that is cached, and nothing has to be noted of it? Then *t says where; else NULL. */
static const struct tlb_info *device_access(struct ucpu *c, uint64_t va, unsigned size, enum access access)
{
    const struct tlb_info *t = &tlb_table(c, c->tlb_mode)->infos[tlb_index(c->exec->shared, va)];

    if (t->tag != (va & PAGE_MASK) || t->tag != ((va + size - 1) & PAGE_MASK) || !t->device || !(t->perms & 1u << access) ||
        (t->aligned && (va & (size - 1))) || !(t->noted & 1u << access))
        return NULL;
    return t;
}

/* May the access to a device be made now? (One that leaves devices' deadlines and lines as they were disturbs nobody.) */
static bool begin_device_access(struct ucpu *c, const struct tlb_info *t)
{
    if (!ucpu_be_alone(c)) {
        c->exec->io_refused = true;
        return false;
    }
    memory_of(c)->nonsecure = !t->secure;
    return true;
}

static void end_device_access(struct ucpu *c)
{
    memory_of(c)->nonsecure = false;
    if (c->cpu.attention)
        exec_leave_soon(c->exec->shared);
}

bool softmmu_load_slow(struct ucpu *c, uint64_t va, unsigned size)
{
    const struct tlb_info *t = device_access(c, va, size, ACCESS_READ);

    c->exec->slow_value[0] = c->exec->slow_value[1] = 0;
    if (t) {
        if (!begin_device_access(c, t))
            return false;
        c->exec->slow_value[0] = memory_device_read(memory_of(c), t->device, t->page + (va & ~PAGE_MASK), size);
        end_device_access(c);
        return true;
    }
    return ucpu_load_mode(c, c->tlb_mode, va, c->exec->slow_value, size);
}

bool softmmu_load_rw_slow(struct ucpu *c, uint64_t va, unsigned size)
{
    return ucpu_probe(c, c->tlb_mode, va, size, ACCESS_WRITE) && softmmu_load_slow(c, va, size);
}

bool softmmu_store_slow(struct ucpu *c, uint64_t va, uint64_t value, unsigned size)
{
    const struct tlb_info *t = device_access(c, va, size, ACCESS_WRITE);

    if (t) {
        if (!begin_device_access(c, t))
            return false;
        memory_device_write(memory_of(c), t->device, t->page + (va & ~PAGE_MASK), size, value);
        end_device_access(c);
        return true;
    }
    return ucpu_store_mode(c, c->tlb_mode, va, &value, size);
}

static unsigned pair_bytes(unsigned each)
{
    return each < 16 ? 2 * each : each;
}

bool softmmu_load_pair_slow(struct ucpu *c, uint64_t va, unsigned each)
{
    c->exec->slow_value[0] = c->exec->slow_value[1] = 0;
    return ucpu_load_units(c, va, c->exec->slow_value, pair_bytes(each), each);
}

bool softmmu_store_pair_slow(struct ucpu *c, uint64_t va, const void *pair, unsigned each)
{
    return ucpu_store_units(c, va, pair, pair_bytes(each), each);
}

bool ucpu_probe(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access)
{
    uint64_t mask = c->exec->va_mask;
    uint64_t last = (va & ~PAGE_MASK) + (size ? size - 1 : 0); /* from the page's beginning */

    for (uint64_t at = 0; at <= last; at += PAGE_SIZE)
        if (!softmmu_lookup(c, mode, (at ? (va & PAGE_MASK) + at : va) & mask, access))
            return false;
    return true;
}

uint8_t *ucpu_host(struct ucpu *c, uint64_t va, enum access access)
{
    const struct tlb_entry *e = &c->tlb[tlb_index(c->exec->shared, va)];
    uint64_t tag = access == ACCESS_WRITE ? e->write : access == ACCESS_READ ? e->read : e->fetch;

    if (tag != (va & PAGE_MASK))
        return NULL;
    return (uint8_t *)((uintptr_t)va + e->addend);
}

/* Has the block in progress any of these bytes? */
static bool runs_from(const struct block *b, uint32_t page, unsigned offset, unsigned len)
{
    unsigned first = (unsigned)PAGE_SIZE - b->offset;

    return (b->page[0] == page && b->offset < offset + len && offset < (unsigned)b->offset + b->len) ||
           (b->crosses && b->page[1] == page && offset < b->len - first);
}

uint8_t *ucpu_host_overwritten(struct ucpu *c, uint64_t va, unsigned *len)
{
    const struct tlb_info *t = &tlb_table(c, c->tlb_mode)->infos[tlb_index(c->exec->shared, va)];
    unsigned offset = (unsigned)(va & ~PAGE_MASK);
    struct memory *m = memory_of(c);
    uint32_t page = t->number;
    unsigned flags;

    if (t->tag != (va & PAGE_MASK) || page == NO_PAGE || t->kind != REGION_RAM || t->watched || t->aligned ||
        !(t->perms & 1u << ACCESS_WRITE) || !(t->noted & 1u << ACCESS_WRITE))
        return NULL;
    flags = m->flags[page];
    if (!(flags & PAGE_FLAG_DIRTY) || (flags & ~(PAGE_FLAG_DIRTY | PAGE_FLAG_CODE | PAGE_FLAG_WALKED)) ||
        ((flags & PAGE_FLAG_CODE) && runs_from(c->block, page, offset, *len)))
        return NULL;
    if (flags & PAGE_FLAG_WALKED)
        *len = tlb_free_of_code(c, page, offset, *len);
    if (!*len)
        return NULL;
    memory_touch(m, page, offset, *len);
    if (t->tag != (va & PAGE_MASK) || t->number != page) /* that page's own translation was among what was dropped */
        return NULL;
    return m->host + ((uint64_t)page << PAGE_SHIFT) + offset;
}

uint8_t *ucpu_host_mode(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access)
{
    const struct tlb_entry *e = &tlb_table(c, mode)->entries[tlb_index(c->exec->shared, va)];
    uint64_t tag = access == ACCESS_WRITE ? e->write : e->read;

    if (tag != (va & PAGE_MASK) || tag != ((va + size - 1) & PAGE_MASK))
        return NULL;
    return (uint8_t *)((uintptr_t)va + e->addend);
}

struct ucpu_window ucpu_window(struct ucpu *c, unsigned mode)
{
    return (struct ucpu_window){tlb_table(c, mode)->entries, c->exec->shared->tlb_mask};
}

/* ---- making ---- */

void ucpu_set_va_bits(struct ucpu *c, unsigned bits)
{
    c->exec->va_mask = UINT64_MAX >> (64 - bits);
}

void softmmu_init(struct exec_shared *sh, const struct frontend *fe)
{
    sh->part_shift = fe->part_shift ? fe->part_shift : 62;
    sh->wide_part_shift = fe->wide_part_shift ? fe->wide_part_shift : sh->part_shift;
    sh->machine->memory.observer = (struct memory_observer){
        .ctx = sh,
        .page_changes = on_page_changes,
        .page_replaced = on_page_replaced,
        .line_flagged = on_line_flagged,
        .cleaned = on_cleaned,
        .remapped = on_remapped,
    };
}

void softmmu_finish(struct exec_shared *sh)
{
    sh->machine->memory.observer = (struct memory_observer){0};
}
