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
            t->list[i].kinds != list[i].kinds)
            return false;
    return true;
}

void machine_set_traps(struct machine *m, const struct trap *list, unsigned count)
{
    struct traps *t = m->traps;

    if (same_list(t, list, count))
        return;
    free(t->list);
    t->list = NULL;
    if (count) {
        t->list = xmalloc(count * sizeof(list[0]));
        memcpy(t->list, list, count * sizeof(list[0]));
    }
    t->count = count;
    t->generation++;
}

bool traps_have_exec(const struct traps *t, uint64_t pc)
{
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

const struct trap *traps_overlap(const struct traps *t, unsigned kinds, uint64_t va, uint64_t len)
{
    for (unsigned i = 0; i < t->count; i++)
        if ((t->list[i].kinds & kinds) && t->list[i].len && overlap(t->list[i].address, t->list[i].len, va, len))
            return &t->list[i];
    return NULL;
}

bool traps_watch_page(const struct traps *t, uint64_t va)
{
    return traps_overlap(t, TRAP_READ | TRAP_WRITE, va & PAGE_MASK, PAGE_SIZE) != NULL;
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
