/*
 * The observer's traps. See trap.h.
 *
 * The CPU that runs notices a changed list by traps.generation.
 */
#include "vm/trap.h"

#include "base/buffer.h"
#include "base/error.h"
#include "vm/machine.h"

#include <stdlib.h>
#include <string.h>

static bool same_list(const struct traps *t, const struct trap *list, unsigned count)
{
    if (t->count != count)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (t->list[i].address != list[i].address || t->list[i].len != list[i].len ||
            t->list[i].kinds != list[i].kinds || t->list[i].storage != list[i].storage ||
            t->list[i].loads != list[i].loads)
            return false;
    return true;
}

static unsigned filter_bit(uint64_t pc)
{
    return (unsigned)((pc * UINT64_C(0x9e3779b97f4a7c15)) >> 54);
}

static void flag_memory(struct memory *m, uint64_t first, uint64_t last, bool on)
{
    CHECK(last < m->pages.count);
    for (uint64_t page = first; page <= last; page++) {
        if (on)
            m->flags[page] |= PAGE_FLAG_WATCHED;
        else
            m->flags[page] &= (uint8_t)~PAGE_FLAG_WATCHED;
    }
}

/* Pages of memory with bytes under storage traps are flagged, so that no write to them goes unnoticed; of another space
 * it is enough to know that there are such bytes. */
static void flag_storage(struct machine *m, bool on)
{
    const struct traps *t = m->traps;

    for (unsigned i = 0; i < t->count; i++) {
        uint64_t first, pages = (t->list[i].address + t->list[i].len - 1) / PAGE_SIZE - t->list[i].address / PAGE_SIZE;
        struct page_space *s;

        if (!t->list[i].storage)
            continue;
        s = machine_space_of(m, t->list[i].address >> PAGE_SHIFT, &first);
        CHECK(s);
        if (s == &m->memory.pages)
            flag_memory(&m->memory, first, first + pages, on);
        else
            s->watched = on;
    }
}

bool machine_set_traps(struct machine *m, const struct trap *list, unsigned count)
{
    struct traps *t = m->traps;

    if (same_list(t, list, count))
        return false;
    flag_storage(m, false);
    free(t->list);
    t->list = NULL;
    if (count) {
        t->list = xmalloc(count * sizeof(list[0]));
        memcpy(t->list, list, count * sizeof(list[0]));
    }
    t->count = count;
    t->loads = false;
    t->filtered = true;
    memset(t->filter, 0, sizeof(t->filter));
    for (unsigned i = 0; i < count; i++)
        if (list[i].kinds & TRAP_EXEC)
            t->filter[filter_bit(list[i].address) >> 6] |= (uint64_t)1 << (filter_bit(list[i].address) & 63);
    for (unsigned i = 0; i < count; i++)
        t->loads |= list[i].loads;
    flag_storage(m, true);
    t->npending = 0;
    t->generation++;
    return true;
}

bool traps_have_exec(const struct traps *t, uint64_t pc)
{
    unsigned bit = filter_bit(pc);

    if (t->filtered && !(t->filter[bit >> 6] >> (bit & 63) & 1))
        return false;
    for (unsigned i = 0; i < t->count; i++)
        if ((t->list[i].kinds & TRAP_EXEC) && t->list[i].address == pc)
            return true;
    return false;
}

/* Do [a, a + alen) and [b, b + blen) share a byte? Neither is empty; a range may
 * end at the top of the address space. */
static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return a <= b + (blen - 1) && b <= a + (alen - 1);
}

const struct trap *traps_overlap(const struct trap *list, unsigned count, unsigned kinds, uint64_t va, uint64_t len)
{
    for (unsigned i = 0; i < count; i++)
        if ((list[i].kinds & kinds) && !list[i].storage && list[i].len && overlap(list[i].address, list[i].len, va, len))
            return &list[i];
    return NULL;
}

bool traps_report(struct machine *m, const struct trap_hit *hit)
{
    struct traps *t = m->traps;

    CHECK(!m->runner->running);
    if (m->st->position != m->run_from)
        m->between = false;
    if (hit->kind == TRAP_EXEC) {
        if (t->asked == hit->position)
            return false;
        t->asked = hit->position;
    }
    if (!t->hit || !t->hit(t->ctx, hit))
        return false;
    if (!t->stopped)
        t->stop_hit = *hit;
    t->stopped = true;
    return true;
}

/* ---- storage ---- */

uint64_t traps_storage_at(const struct page_space *s, uint64_t offset)
{
    return (s->first << PAGE_SHIFT) + offset;
}

bool traps_overlap_storage(const struct traps *t, uint32_t page, unsigned offset, unsigned len)
{
    /* Memory is the first space. */
    uint64_t from = (uint64_t)page << PAGE_SHIFT | offset;

    for (unsigned i = 0; i < t->count; i++)
        if (t->list[i].storage && (t->list[i].kinds & TRAP_WRITE) && overlap(t->list[i].address, t->list[i].len, from, len))
            return true;
    return false;
}

bool traps_overlap_loads(const struct traps *t, uint32_t page, unsigned offset, unsigned len)
{
    uint64_t from = (uint64_t)page << PAGE_SHIFT | offset;

    for (unsigned i = 0; t->loads && i < t->count; i++)
        if (t->list[i].loads && overlap(t->list[i].address, t->list[i].len, from, len))
            return true;
    return false;
}

static uint64_t pc_of_step(const struct machine *m)
{
    const struct cpu *cpu = m->runner;

    return cpu && cpu->running && cpu->ops->step_pc ? cpu->ops->step_pc(cpu) : 0;
}

/* To be reported when the step in progress is done. */
static struct trap_hit *add_pending(struct machine *m, const struct trap_hit *hit)
{
    struct traps *t = m->traps;

    if (t->npending == t->pending_cap) {
        t->pending_cap = t->pending_cap ? t->pending_cap * 2 : 16;
        t->pending = xrealloc(t->pending, t->pending_cap * sizeof(t->pending[0]));
    }
    t->pending[t->npending] = *hit;
    for (unsigned i = 0; i < m->ncpus; i++)
        m->cpus[i]->attention = true;
    return &t->pending[t->npending++];
}

void traps_touch(struct machine *m, unsigned kind, const struct page_space *s, uint64_t offset, uint64_t len)
{
    struct traps *t = m->traps;
    uint64_t from = traps_storage_at(s, offset);

    for (unsigned i = 0; i < t->count && len; i++) {
        const struct trap *trap = &t->list[i];
        uint64_t first = trap->address > from ? trap->address : from;
        uint64_t end = trap->address + trap->len < from + len ? trap->address + trap->len : from + len;
        struct trap_hit *hit;

        if (!trap->storage || !(trap->kinds & kind) || !overlap(trap->address, trap->len, from, len))
            continue;
        hit = add_pending(m, &(struct trap_hit){
            .kind = kind,
            .cpu = m->runner ? m->runner->index : 0,
            .position = machine_position(m),
            .address = first,
            .len = end - first,
            .trap = i + 1,
            .changed = kind == TRAP_WRITE, /* or may be: it is about to be written */
            .storage = true,
            .writer = m->acting,
            .pc = pc_of_step(m),
        });
        if (s == &m->memory.pages)
            memcpy(hit->before, memory_page(&m->memory, (uint32_t)(first >> PAGE_SHIFT)) + (first & ~PAGE_MASK),
                   hit->len < TRAP_BYTES ? hit->len : TRAP_BYTES);
    }
}

/* Of the step in progress. In a block of several instructions, it is the last. */
static icount_t position_of_note(const struct machine *m)
{
    const struct cpu *cpu = m->runner;

    return cpu && cpu->running ? cpu->limit - cpu->budget - 1 : m->st->position;
}

void traps_add_note(struct machine *m, const struct trap_hit *note)
{
    const struct cpu *cpu = m->runner;
    struct trap_hit *hit;

    if (!(m->traps->notes & note->kind))
        return;
    hit = add_pending(m, note);
    hit->cpu = cpu ? cpu->index : 0;
    hit->pc = pc_of_step(m);
    hit->position = position_of_note(m);
}

void traps_note_frame(struct machine *m, unsigned kind, const struct device *card, uint64_t number, const char *dropped,
                      const uint8_t *frame, size_t len)
{
    struct trap_hit hit = {
        .kind = kind, .device = card, .number = number, .writer = dropped, .len = len, .pc = pc_of_step(m),
        .position = position_of_note(m), .value = machine_now(m),
    };

    for (; (m->traps->notes & kind) && hit.address < len; hit.address += hit.nbytes) {
        hit.nbytes = len - hit.address < TRAP_FRAME_PIECE ? (uint32_t)(len - hit.address) : TRAP_FRAME_PIECE;
        hit.bytes = xmalloc(hit.nbytes);
        memcpy(hit.bytes, frame + hit.address, hit.nbytes);
        add_pending(m, &hit);
    }
}

void traps_report_pending(struct machine *m)
{
    struct traps *t = m->traps;
    /* What a device does before a step belongs to that step, whoever makes it. */
    unsigned cpu = m->runner->stepped == m->st->position ? m->runner->index : 0;

    for (unsigned i = 0; i < t->npending; i++) {
        t->pending[i].cpu = cpu;
        if (t->pending[i].position < m->st->position)
            traps_report(m, &t->pending[i]);
    }
    traps_forget_pending(m);
}

void traps_forget_pending(struct machine *m)
{
    struct traps *t = m->traps;
    unsigned n = 0;

    for (unsigned i = 0; i < t->npending; i++)
        if (t->pending[i].position == m->st->position)
            t->pending[n++] = t->pending[i];
        else
            free(t->pending[i].bytes);
    t->npending = n;
}

void traps_drop_pending(struct traps *t)
{
    while (t->npending)
        free(t->pending[--t->npending].bytes);
}
