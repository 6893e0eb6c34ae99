/*
 * Layouts. See layout.h.
 */
#include "replay/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static void make_empty(struct layout *l)
{
    *l = (struct layout){.count = 0};
}

void layout_finish(struct layout *l)
{
    free(l->list);
    make_empty(l);
}

static bool entry_possible(const struct layout_entry *e)
{
    if (e->kind < LAYOUT_COMPONENT || e->kind >= LAYOUT_KINDS || !*e->name)
        return false;
    if (e->kind == LAYOUT_COMPONENT)
        return e->size <= LAYOUT_ARENA_MAX && e->at <= LAYOUT_ARENA_MAX - e->size;
    if (e->kind == LAYOUT_AREA)
        return e->size <= UINT64_C(1) << 40;
    return e->kind != LAYOUT_REGISTER || (e->size && e->size <= 4096 && e->at < 4096);
}

bool layout_add(struct layout *l, const struct layout_entry *e)
{
    if (!entry_possible(e) || l->count == LAYOUT_MAX || (l->count && e->kind < l->list[l->count - 1].kind))
        return false;
    if (!(l->count & (l->count - 1)))
        l->list = xrealloc(l->list, (l->count ? l->count * 2 : 1) * sizeof(l->list[0]));
    l->list[l->count++] = *e;
    for (unsigned kind = e->kind + 1u; kind <= LAYOUT_KINDS; kind++)
        l->first[kind] = l->count;
    if (e->kind == LAYOUT_COMPONENT && e->at + e->size > l->arena_bytes)
        l->arena_bytes = (uint32_t)(e->at + e->size);
    return true;
}

static void add(struct layout *l, enum layout_kind kind, const char *name, uint32_t version, uint64_t at, uint64_t size)
{
    struct layout_entry e = {.kind = kind, .version = version, .at = at, .size = size};

    CHECK(strlen(name) <= LAYOUT_NAME_MAX);
    strcpy(e.name, name);
    CHECK(layout_add(l, &e));
}

void layout_of_machine(struct layout *l, const struct machine *m)
{
    make_empty(l);
    for (unsigned i = 0; i < m->ncomponents; i++)
        add(l, LAYOUT_COMPONENT, m->components[i].name, m->components[i].version, m->components[i].offset,
            m->components[i].size);
    for (unsigned i = 0; i < m->nspaces; i++)
        for (unsigned k = 0; k < m->spaces[i]->nareas; k++)
            add(l, LAYOUT_AREA, m->spaces[i]->areas[k].name, 0, 0, m->spaces[i]->areas[k].count);
    for (unsigned i = 0; i < m->ndevices; i++)
        add(l, LAYOUT_DEVICE, m->devices[i]->name, 0, 0, 0);
    for (unsigned i = 0; i < m->ndrives; i++)
        add(l, LAYOUT_DRIVE, m->drives[i]->name, 0, 0, 0);
    for (unsigned n = 0; n < m->ncpus; n++) {
        const struct cpu_ops *ops = m->cpus[n]->ops;

        for (unsigned i = 0; ops->read_reg && i < ops->nregs; i++)
            add(l, LAYOUT_REGISTER, ops->regs[i].name, 0, n, ops->regs[i].bits);
    }
}

uint32_t layout_count(const struct layout *l, enum layout_kind kind)
{
    return l->first[kind + 1] - l->first[kind];
}

const struct layout_entry *layout_entry(const struct layout *l, enum layout_kind kind, uint32_t n)
{
    CHECK(n < layout_count(l, kind));
    return &l->list[l->first[kind] + n];
}

uint32_t layout_find(const struct layout *l, const struct layout_entry *e)
{
    for (uint32_t i = 0; i < layout_count(l, e->kind); i++) {
        const struct layout_entry *other = layout_entry(l, e->kind, i);

        if (!strcmp(other->name, e->name) && (e->kind != LAYOUT_REGISTER || other->at == e->at))
            return i;
    }
    return LAYOUT_NONE;
}

bool layout_same(const struct layout_entry *a, const struct layout_entry *b)
{
    return a->version == b->version && a->size == b->size;
}

/* The number in `to` of entry `n` of a kind in `from`, mostly the same. */
static uint32_t map_entry(const struct layout_entry *e, const struct layout *to, uint32_t n)
{
    bool same = n < layout_count(to, e->kind) && !strcmp(layout_entry(to, e->kind, n)->name, e->name) &&
                layout_entry(to, e->kind, n)->at == e->at;
    uint32_t there = same ? n : layout_find(to, e);

    return there != LAYOUT_NONE && layout_same(layout_entry(to, e->kind, there), e) ? there : LAYOUT_NONE;
}

void layout_map_init(struct layout_map *map, const struct layout *from, const struct layout *to)
{
    *map = (struct layout_map){.whole = true};
    for (enum layout_kind kind = LAYOUT_COMPONENT; kind < LAYOUT_KINDS; kind++) {
        uint32_t n = layout_count(from, kind);

        map->to[kind] = xcalloc(n + 1, sizeof(uint32_t));
        map->whole &= n == layout_count(to, kind);
        for (uint32_t i = 0; i < n; i++) {
            map->to[kind][i] = map_entry(layout_entry(from, kind, i), to, i);
            map->whole &= map->to[kind][i] == i;
        }
    }
}

void layout_map_finish(struct layout_map *map)
{
    for (unsigned kind = LAYOUT_COMPONENT; kind < LAYOUT_KINDS; kind++)
        free(map->to[kind]);
    *map = (struct layout_map){.whole = false};
}
