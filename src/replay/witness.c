/*
 * Witnesses. See witness.h.
 */
#include "replay/witness.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

/* Registers that are named before the rest is only counted. */
#define NAMES_MOST 8u
#define REG_BYTES  64u

/* Registers of one CPU. */
static unsigned nregs_of(const struct machine *m)
{
    return m->cpus[0]->ops->read_reg ? m->cpus[0]->ops->nregs : 0;
}

struct witness_shape witness_shape_of(const struct machine *m)
{
    return (struct witness_shape){m->ncomponents, m->ncpus * nregs_of(m)};
}

void witness_log_init(struct witness_log *l, struct witness_shape shape)
{
    *l = (struct witness_log){.shape = shape};
}

void witness_log_finish(struct witness_log *l)
{
    free(l->positions);
    free(l->tags);
    free(l->known);
    *l = (struct witness_log){.count = 0};
}

void witness_log_copy(struct witness_log *to, const struct witness_log *from, size_t count)
{
    size_t bytes = witness_bytes(&from->shape);

    witness_log_init(to, from->shape);
    to->count = to->cap = count;
    to->positions = xmalloc(count * sizeof(to->positions[0]) + 1);
    to->tags = xmalloc(count * bytes + 1);
    if (count) {
        memcpy(to->positions, from->positions, count * sizeof(to->positions[0]));
        memcpy(to->tags, from->tags, count * bytes);
    }
    to->partial = from->partial < count ? from->partial : count;
    if (!from->known)
        return;
    to->known = xmalloc(bytes);
    memcpy(to->known, from->known, bytes);
}

uint8_t *witness_log_add(struct witness_log *l, icount_t position)
{
    size_t bytes = witness_bytes(&l->shape);

    CHECK(!l->count || l->positions[l->count - 1] < position);
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->positions = xrealloc(l->positions, l->cap * sizeof(l->positions[0]));
        l->tags = xrealloc(l->tags, l->cap * bytes + 1);
    }
    l->positions[l->count] = position;
    return l->tags + l->count++ * bytes;
}

void witness_log_cut(struct witness_log *l, size_t count)
{
    l->count = count;
    if (l->partial > count)
        l->partial = count;
}

void witness_log_append(struct witness_log *l, const struct witness_log *more, icount_t position, icount_t end)
{
    size_t bytes = witness_bytes(&l->shape);

    for (size_t n = witness_log_find(more, position); n < more->count && more->positions[n] <= end; n++) {
        if (l->count && l->positions[l->count - 1] >= more->positions[n])
            continue;
        memcpy(witness_log_add(l, more->positions[n]), witness_log_tags(more, n), bytes);
        if (n >= more->partial)
            continue;
        if (!l->known) {
            l->known = xcalloc(bytes + 1, sizeof(bool));
            memset(l->known, true, bytes);
        }
        for (size_t i = 0; i < bytes; i++)
            l->known[i] &= more->known[i];
        l->partial = l->count;
    }
}

const uint8_t *witness_log_tags(const struct witness_log *l, size_t n)
{
    return l->tags + n * witness_bytes(&l->shape);
}

bool witness_log_differs(const struct witness_log *l, size_t n, const uint8_t *ours, uint8_t *theirs)
{
    const uint8_t *tags = witness_log_tags(l, n);
    size_t bytes = witness_bytes(&l->shape);

    for (size_t i = 0; i < bytes; i++)
        theirs[i] = n >= l->partial || l->known[i] ? tags[i] : ours[i];
    return memcmp(ours, theirs, bytes) != 0;
}

size_t witness_log_find(const struct witness_log *l, icount_t position)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (l->positions[mid] < position)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint8_t register_tag(const struct cpu *cpu, unsigned number)
{
    unsigned bytes = cpu->ops->regs[number].bits / 8u;
    uint8_t value[REG_BYTES];

    CHECK(bytes <= sizeof(value));
    cpu->ops->read_reg(cpu, number, value);
    return (uint8_t)hash_bytes(0, value, bytes);
}

void witness_take(const struct machine *m, uint8_t *tags)
{
    for (unsigned i = 0; i < m->ncomponents; i++) {
        uint64_t h = machine_component_hash(m, i);

        *tags++ = (uint8_t)h;
        *tags++ = (uint8_t)(h >> 8);
    }
    for (unsigned n = 0; n < m->ncpus; n++)
        for (unsigned i = 0; i < nregs_of(m); i++)
            *tags++ = register_tag(m->cpus[n], i);
}

/* The registers that differ, in brackets. */
static void name_registers(const struct machine *m, const uint8_t *a, const uint8_t *b, struct buffer *out)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < nregs_of(m); i++) {
        if (a[i] == b[i])
            continue;
        if (n < NAMES_MOST)
            buffer_printf(out, "%s%s", n ? ", " : " (", m->cpus[0]->ops->regs[i].name);
        n++;
    }
    if (n > NAMES_MOST)
        buffer_printf(out, " and %u more", n - NAMES_MOST);
    if (n)
        buffer_printf(out, ")");
}

void witness_name_differences(const struct machine *m, const uint8_t *a, const uint8_t *b, struct buffer *out)
{
    struct witness_shape shape = witness_shape_of(m);
    size_t regs = (size_t)shape.ncomponents * 2;
    const char *comma = "";

    for (uint32_t i = 0; i < shape.ncomponents; i++) {
        const struct component *c = &m->components[i];

        if (!memcmp(a + 2 * i, b + 2 * i, 2))
            continue;
        buffer_printf(out, "%s%s", comma, c->name);
        comma = ", ";
        for (unsigned n = 0; n < m->ncpus; n++)
            if (m->arena + c->offset == m->cpus[n]->state)
                name_registers(m, a + regs + n * nregs_of(m), b + regs + n * nregs_of(m), out);
    }
}
