/*
 * What GIC versions 2 and 3 share (ARM IHI 0048, IHI 0069): the state of each
 * interrupt, its priority and group, what is signalled to the CPU, and the
 * registers that hold one field for each interrupt.
 *
 * There is one CPU, so targets of SPIs are not kept (version 2 reads them as 0,
 * as a uniprocessor does) and SGIs have no source. Five bits of priority.
 *
 * Not modelled: LPIs, ITS, message-signalled SPIs, NSACR (reads as 0: Non-
 * secure software has no access to Secure interrupts), 1 of N distribution.
 * To extend: a register with a field for each interrupt goes into
 * gic_bank_read() and gic_bank_write().
 */
#include "aarch64/virt/gic.h"

#include <string.h>

#include "aarch64/cpu.h"
#include "base/buffer.h"
#include "base/error.h"

#define SCR_NS        1u
#define PRIORITY_BITS 0xf8u
#define IDLE          0xffu

/* Offsets in the distributor. */
enum {
    IGROUPR = 0x080, ISENABLER = 0x100, ICENABLER = 0x180, ISPENDR = 0x200, ICPENDR = 0x280, ISACTIVER = 0x300,
    ICACTIVER = 0x380, IPRIORITYR = 0x400, ITARGETSR = 0x800, ICFGR = 0xc00, IGRPMODR = 0xd00, NSACR = 0xe00,
};

bool gic_cpu_secure(const struct gic_wiring *w)
{
    const struct a64_state *st = w->cpu->st;

    return st->el == 3 || !(st->scr_el3 & SCR_NS);
}

bool gic_nonsecure_view(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->security && w->nonsecure;
}

static bool bit(const uint32_t *words, unsigned irq)
{
    return words[irq / 32] >> (irq % 32) & 1u;
}

enum gic_group gic_group_of(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;

    if (bit(s->group, irq))
        return GIC_G1;
    return w->version == 3 && w->security && bit(s->grpmod, irq) ? GIC_G1S : GIC_G0;
}

static bool group_on(const struct gic_state *s, enum gic_group g)
{
    static const uint32_t enables[GIC_GROUPS] = {GICD_EN_G0, GICD_EN_G1S, GICD_EN_G1};

    return (s->ctlr & enables[g]) && s->on[g];
}

/* ---- choosing ---- */

/* Version 3: is the SPI routed to this CPU (affinity 0) or to any? */
static bool routed_here(const struct gic_wiring *w, const struct gic_state *s, unsigned irq)
{
    uint64_t r;

    if (w->version == 2 || irq < GIC_FIRST_SPI)
        return true;
    r = s->router[irq - GIC_FIRST_SPI];
    return (r & 1ull << 31) || (r & 0xff00ffffffull) == 0;
}

unsigned gic_best(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    unsigned best = GIC_SPURIOUS;

    for (unsigned n = 0; n < GIC_WORDS; n++) {
        uint32_t pending = (s->latch[n] | (s->level[n] & ~s->edge[n])) & s->enabled[n] & ~s->active[n];

        for (; pending; pending &= pending - 1) {
            unsigned irq = n * 32 + (unsigned)__builtin_ctz(pending);

            if ((best == GIC_SPURIOUS || s->priority[irq] < s->priority[best]) &&
                group_on(s, gic_group_of(dev, irq)) && routed_here(w, s, irq))
                best = irq;
        }
    }
    return best;
}

uint8_t gic_group_mask(const struct device *dev, enum gic_group group)
{
    const struct gic_state *s = dev->state;
    bool common = group == GIC_G1 ? s->cbpr[0] : group == GIC_G1S && s->cbpr[1];
    unsigned shift = s->bpr[common ? GIC_G0 : group] + (common || group != GIC_G1);

    return (uint8_t)(0xffu << shift);
}

unsigned gic_running(const struct device *dev, enum gic_group *group)
{
    const struct gic_state *s = dev->state;
    unsigned least = 32;

    for (enum gic_group g = GIC_G0; g < GIC_GROUPS; g++) {
        unsigned n = s->apr[g] ? (unsigned)__builtin_ctz(s->apr[g]) : 32;

        if (n < least) {
            least = n;
            if (group)
                *group = g;
        }
    }
    return least == 32 ? IDLE : least << 3;
}

bool gic_preempts(const struct device *dev, unsigned irq)
{
    const struct gic_state *s = dev->state;
    unsigned running = gic_running(dev, NULL);

    if (irq >= GIC_IRQS || s->priority[irq] >= s->pmr)
        return false;
    return running == IDLE || (s->priority[irq] & gic_group_mask(dev, gic_group_of(dev, irq))) < running;
}

void gic_activate(struct device *dev, unsigned irq)
{
    struct gic_state *s = dev->state;
    enum gic_group g = gic_group_of(dev, irq);

    s->active[irq / 32] |= 1u << (irq % 32);
    s->latch[irq / 32] &= ~(1u << (irq % 32));
    s->apr[g] |= 1u << ((s->priority[irq] & gic_group_mask(dev, g)) >> 3);
    gic_update(dev);
}

void gic_drop_priority(struct device *dev)
{
    struct gic_state *s = dev->state;
    enum gic_group g = GIC_G0;

    if (gic_running(dev, &g) == IDLE)
        return;
    s->apr[g] &= s->apr[g] - 1;
    gic_update(dev);
}

void gic_deactivate(struct device *dev, unsigned irq)
{
    struct gic_state *s = dev->state;

    if (irq >= GIC_IRQS)
        return;
    s->active[irq / 32] &= ~(1u << (irq % 32));
    gic_update(dev);
}

/* Version 3 (IHI 0069, 4.6.2): is the group's interrupt an FIQ where the CPU is now? */
static bool is_fiq(const struct device *dev, enum gic_group g)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;

    if (g == GIC_G0)
        return w->version == 3 || s->fiq_en;
    if (w->version == 2 || !w->security)
        return false;
    if (w->cpu->st->el == 3)
        return true;
    return gic_cpu_secure(w) ? g == GIC_G1 : g == GIC_G1S;
}

void gic_security_changed(void *ctx)
{
    gic_update(ctx);
}

void gic_update(struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    unsigned irq;
    bool signal, fiq;

    if (w->virtualization)
        gic_virt_update(dev);
    irq = gic_best(dev);
    signal = gic_preempts(dev, irq);
    fiq = signal && is_fiq(dev, gic_group_of(dev, irq));
    line_set(&w->irq, signal && !fiq);
    line_set(&w->fiq, fiq);
}

/* ---- inputs ---- */

void gic_set_line(void *ctx, unsigned n, bool level)
{
    struct device *dev = ctx;
    struct gic_state *s = dev->state;
    uint32_t mask = 1u << (n % 32);

    CHECK(n >= GIC_FIRST_PPI && n < GIC_IRQS);
    if (!(s->level[n / 32] & mask) == !level)
        return;
    s->level[n / 32] ^= mask;
    if (level)
        s->latch[n / 32] |= s->edge[n / 32] & mask;
    gic_update(dev);
}

/* ---- registers with a field for each interrupt ---- */

/* What a Non-secure access may see of a word of interrupts. */
static uint32_t visible(const struct device *dev, unsigned word)
{
    const struct gic_state *s = dev->state;

    return gic_nonsecure_view(dev) ? s->group[word] : ~0u;
}

static uint32_t read_bits(struct device *dev, uint32_t offset, unsigned n)
{
    const struct gic_state *s = dev->state;
    uint32_t see = visible(dev, n);

    switch (offset & ~0x7fu) {
    case IGROUPR:
        return gic_nonsecure_view(dev) ? 0 : s->group[n];
    case ISENABLER: case ICENABLER:
        return s->enabled[n] & see;
    case ISPENDR: case ICPENDR:
        return (s->latch[n] | (s->level[n] & ~s->edge[n])) & see;
    case ISACTIVER: case ICACTIVER:
        return s->active[n] & see;
    default:
        return 0;
    }
}

static void write_bits(struct device *dev, uint32_t offset, unsigned n, uint32_t value, uint32_t mask)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    uint32_t set = value & mask & visible(dev, n);
    /* Version 2's SGIs have registers of their own for that. */
    uint32_t pendable = w->version == 2 && n == 0 ? 0xffff0000u : ~0u;

    switch (offset & ~0x7fu) {
    case IGROUPR:
        if (!gic_nonsecure_view(dev))
            s->group[n] = (s->group[n] & ~mask) | (value & mask);
        break;
    case ISENABLER: s->enabled[n] |= set | (w->version == 2 && n == 0 ? 0xffffu : 0); break;
    case ICENABLER: s->enabled[n] &= ~(w->version == 2 && n == 0 ? set & 0xffff0000u : set); break;
    case ISPENDR:   s->latch[n] |= set & pendable; break;
    case ICPENDR:   s->latch[n] &= ~(set & pendable); break;
    case ISACTIVER: s->active[n] |= set; break;
    case ICACTIVER: s->active[n] &= ~set; break;
    default:        break;
    }
}

/* A Non-secure access sees the lower half of the priorities as if it were all of them. */
static uint8_t read_priority(struct device *dev, unsigned irq)
{
    const struct gic_state *s = dev->state;

    if (!gic_nonsecure_view(dev))
        return s->priority[irq];
    return bit(s->group, irq) ? (uint8_t)(s->priority[irq] << 1) : 0;
}

static void write_priority(struct device *dev, unsigned irq, uint8_t value)
{
    struct gic_state *s = dev->state;

    if (gic_nonsecure_view(dev)) {
        if (!bit(s->group, irq))
            return;
        value = 0x80u | value >> 1;
    }
    s->priority[irq] = value & PRIORITY_BITS;
}

static uint32_t read_config(struct device *dev, unsigned first_irq)
{
    const struct gic_state *s = dev->state;
    uint32_t value = 0, see = visible(dev, first_irq / 32);

    for (unsigned i = 0; i < 16; i++)
        if (bit(s->edge, first_irq + i) && (see >> ((first_irq + i) % 32) & 1u))
            value |= 2u << (2 * i);
    return value;
}

static void write_config(struct device *dev, unsigned first_irq, uint32_t value, uint32_t mask)
{
    struct gic_state *s = dev->state;
    uint32_t see = visible(dev, first_irq / 32);

    if (first_irq < GIC_FIRST_PPI)
        return; /* SGIs are edge-triggered */
    for (unsigned i = 0; i < 16; i++) {
        uint32_t m = 1u << ((first_irq + i) % 32);

        if (!(mask >> (2 * i) & 2u) || !(see & m))
            continue;
        if (value >> (2 * i) & 2u)
            s->edge[first_irq / 32] |= m;
        else
            s->edge[first_irq / 32] &= ~m;
    }
}

/* The first of the interrupts that the register at `offset` has fields for, and whether they
 * all are in words [first, last]. */
static bool irqs_at(uint32_t offset, unsigned per_register, unsigned first, unsigned last, unsigned *irq)
{
    *irq = (offset & 0x3ffu) / 4 * per_register;
    if (per_register == 32 || per_register == 16)
        *irq = (offset & (per_register == 32 ? 0x7fu : 0xffu)) / 4 * per_register;
    return *irq / 32 >= first && *irq / 32 <= last;
}

uint32_t gic_bank_read(struct device *dev, uint32_t offset, unsigned first, unsigned last)
{
    const struct gic_state *s = dev->state;
    uint32_t value = 0;
    unsigned irq;

    offset &= ~3u;
    if (offset >= IGROUPR && offset < IPRIORITYR)
        return irqs_at(offset, 32, first, last, &irq) ? read_bits(dev, offset, irq / 32) : 0;
    if (offset >= IPRIORITYR && offset < ITARGETSR) {
        if (irqs_at(offset, 4, first, last, &irq))
            for (unsigned i = 0; i < 4; i++)
                value |= (uint32_t)read_priority(dev, irq + i) << (8 * i);
        return value;
    }
    if (offset >= ICFGR && offset < IGRPMODR)
        return irqs_at(offset, 16, first, last, &irq) ? read_config(dev, irq) : 0;
    if (offset >= IGRPMODR && offset < IGRPMODR + 0x80 && irqs_at(offset, 32, first, last, &irq) &&
        !gic_nonsecure_view(dev))
        return s->grpmod[irq / 32];
    return 0;
}

void gic_bank_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask, unsigned first, unsigned last)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    unsigned irq;

    offset &= ~3u;
    if (offset >= IGROUPR && offset < IPRIORITYR) {
        if (irqs_at(offset, 32, first, last, &irq))
            write_bits(dev, offset, irq / 32, value, mask);
    } else if (offset >= IPRIORITYR && offset < ITARGETSR) {
        if (irqs_at(offset, 4, first, last, &irq))
            for (unsigned i = 0; i < 4; i++)
                if (mask >> (8 * i) & 0xffu)
                    write_priority(dev, irq + i, (uint8_t)(value >> (8 * i)));
    } else if (offset >= ICFGR && offset < IGRPMODR) {
        if (irqs_at(offset, 16, first, last, &irq))
            write_config(dev, irq, value, mask);
    } else if (offset >= IGRPMODR && offset < IGRPMODR + 0x80) {
        if (w->security && w->version == 3 && !gic_nonsecure_view(dev) && irqs_at(offset, 32, first, last, &irq))
            s->grpmod[irq / 32] = (s->grpmod[irq / 32] & ~mask) | (value & mask);
    }
    gic_update(dev);
}

/* ---- access sizes ---- */

uint64_t gic_read_sized(struct device *dev, uint64_t offset, unsigned size, gic_read32 *read)
{
    uint64_t value = read(dev, (uint32_t)offset & ~3u);

    if (size == 8)
        return value | (uint64_t)read(dev, (uint32_t)offset + 4) << 32;
    return value >> (8 * (offset & 3));
}

void gic_write_sized(struct device *dev, uint64_t offset, unsigned size, uint64_t value, gic_write32 *write)
{
    unsigned shift = 8 * (offset & 3);

    if (size >= 4)
        write(dev, (uint32_t)offset, (uint32_t)value, ~0u);
    else
        write(dev, (uint32_t)offset & ~3u, (uint32_t)value << shift, ((1u << (8 * size)) - 1) << shift);
    if (size == 8)
        write(dev, (uint32_t)offset + 4, (uint32_t)(value >> 32), ~0u);
}

/* ---- reset, description ---- */

void gic_reset(struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    uint32_t level[GIC_WORDS];

    memcpy(level, s->level, sizeof(level)); /* the lines belong to others */
    memset(s, 0, sizeof(*s));
    memcpy(s->level, level, sizeof(level));
    s->edge[0] = 0xffffu;
    if (w->version == 2)
        s->enabled[0] = 0xffffu;
    s->bpr[GIC_G0] = 2;
    s->bpr[GIC_G1S] = 2;
    s->bpr[GIC_G1] = 3;
    s->waker = 6;
    s->vmcr = 2u << 21 | 3u << 18;
    gic_update(dev);
}

void gic_all_nonsecure(struct device *dev)
{
    struct gic_state *s = dev->state;

    memset(s->group, 0xff, sizeof(s->group));
    for (unsigned i = 0; i < GIC_IRQS; i++)
        s->priority[i] = 0x80;
    s->pmr = 0x80; /* a Secure one could not be changed */
    gic_update(dev);
}

void gic_describe(const struct device *dev, struct buffer *b)
{
    const struct gic_state *s = dev->state;
    unsigned best = gic_best(dev);

    buffer_printf(b, "distributor enables %x, pmr %02x, running %02x, best pending %u\n", s->ctlr, s->pmr,
                  gic_running(dev, NULL), best);
    for (unsigned irq = 0; irq < GIC_IRQS; irq++)
        if (bit(s->enabled, irq) || bit(s->active, irq) || bit(s->latch, irq))
            buffer_printf(b, "%u: group %d priority %02x%s%s%s%s%s\n", irq, bit(s->group, irq), s->priority[irq],
                          bit(s->enabled, irq) ? " enabled" : "", bit(s->edge, irq) ? " edge" : "",
                          bit(s->level, irq) ? " high" : "", bit(s->latch, irq) ? " latched" : "",
                          bit(s->active, irq) ? " active" : "");
}
