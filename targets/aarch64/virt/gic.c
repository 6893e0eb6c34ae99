/*
 * What GIC versions 2 and 3 share (ARM IHI 0048, IHI 0069): the state of each
 * interrupt, its priority and group, what is signalled to the CPU, and the
 * registers that hold one field for each interrupt.
 *
 * With one CPU, targets of SPIs are not kept: version 2 reads them as 0,
 * as a uniprocessor does. Of several that an SPI of version 2 is for, each sees it until one has taken it; one of version 3
 * that is for any (1 of N) goes to the first that is awake and has its group enabled. Five bits of priority.
 *
 * LPIs (lpi.c) take part in choosing; they are Non-secure group 1 and never active.
 *
 * Not modelled: message-signalled SPIs, NSACR (reads as 0: Non-
 * secure software has no access to Secure interrupts).
 * To extend: a register with a field for each interrupt goes into
 * gic_bank_read() and gic_bank_write().
 */
#include "aarch64/virt/gic.h"

#include <stddef.h>
#include <string.h>

#include "aarch64/cpu.h"
#include "aarch64/virt/lpi.h"
#include "base/buffer.h"
#include "base/error.h"
#include "vm/machine.h"

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

void gic_note_security(struct device *dev)
{
    struct gic_wiring *w = dev->wiring;

    w->nonsecure = dev->machine->memory.nonsecure;
}

unsigned gic_count(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->bus ? w->bus->count : 1;
}

struct device *gic_nth(const struct device *dev, unsigned n)
{
    const struct gic_wiring *w = dev->wiring;

    return w->bus ? w->bus->gics[n] : (struct device *)(uintptr_t)dev;
}

struct device *gic_of_runner(struct device *first)
{
    return gic_count(first) > 1 ? gic_nth(first, first->machine->runner->index) : first;
}

struct gic_state *gic_shared(const struct device *dev)
{
    return gic_nth(dev, 0)->state;
}

struct gic_bank *gic_bank_of(const struct device *dev, unsigned word)
{
    struct gic_state *s = dev->state;

    return word ? &gic_shared(dev)->spi[word - 1] : &s->own;
}

/* The priority of an interrupt, as this CPU sees it. */
static uint8_t *priority_of(const struct device *dev, unsigned irq)
{
    struct gic_state *s = dev->state;

    return irq < GIC_FIRST_SPI ? &s->own_priority[irq] : &gic_shared(dev)->spi_priority[irq - GIC_FIRST_SPI];
}

/* The same of any interrupt, to look at. */
static uint8_t priority(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;

    return lpi_is(irq) ? lpi_priority(w->lpis, irq) : *priority_of(dev, irq);
}

static bool bit(uint32_t word, unsigned irq)
{
    return word >> (irq % 32) & 1u;
}

enum gic_group gic_group_of(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_bank *b;

    if (lpi_is(irq))
        return GIC_G1;
    b = gic_bank_of(dev, irq / 32);
    if (bit(b->group, irq))
        return GIC_G1;
    return w->version == 3 && w->security && bit(b->grpmod, irq) ? GIC_G1S : GIC_G0;
}

static bool group_on(const struct device *dev, enum gic_group g)
{
    const struct gic_state *s = dev->state;
    static const uint32_t enables[GIC_GROUPS] = {GICD_EN_G0, GICD_EN_G1S, GICD_EN_G1};


    return (gic_shared(dev)->ctlr & enables[g]) && s->on[g];
}

/* ---- choosing ---- */

/* The CPU that an SPI for any of them goes to. */
static const struct device *one_of_all(const struct device *dev, unsigned irq)
{
    for (unsigned i = 0; i < gic_count(dev); i++) {
        const struct device *d = gic_nth(dev, i);
        const struct gic_state *s = d->state;

        if (!(s->waker & 2u) && group_on(d, gic_group_of(d, irq)))
            return d;
    }
    return gic_nth(dev, 0);
}

/* Is the SPI for this CPU? */
static bool routed_here(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *shared = gic_shared(dev);
    uint64_t r;

    if (irq < GIC_FIRST_SPI)
        return true;
    if (w->version == 2)
        return gic_count(dev) == 1 || (shared->targets[irq - GIC_FIRST_SPI] >> w->number & 1u);
    r = shared->router[irq - GIC_FIRST_SPI];
    if (r & 1ull << 31)
        return gic_count(dev) == 1 || one_of_all(dev, irq) == dev;
    return ((r & 0xffffffu) | (r >> 8 & 0xff000000u)) == w->affinity;
}

unsigned gic_best(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    unsigned best = GIC_SPURIOUS, lpi;

    for (unsigned n = 0; n < GIC_WORDS; n++) {
        const struct gic_bank *b = gic_bank_of(dev, n);
        uint32_t pending = (b->latch | (b->level & ~b->edge)) & b->enabled & ~b->active;

        for (; pending; pending &= pending - 1) {
            unsigned irq = n * 32 + (unsigned)__builtin_ctz(pending);

            if ((best == GIC_SPURIOUS || *priority_of(dev, irq) < *priority_of(dev, best)) &&
                group_on(dev, gic_group_of(dev, irq)) && routed_here(dev, irq))
                best = irq;
        }
    }
    lpi = w->lpis && group_on(dev, GIC_G1) ? lpi_best(w->lpis) : 0;
    return lpi && (best == GIC_SPURIOUS || priority(dev, lpi) < *priority_of(dev, best)) ? lpi : best;
}

/* Bits of a priority that count for preemption. */
static uint8_t group_mask(const struct device *dev, enum gic_group group)
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

/* The Non-secure state's priorities 0 to ff are 80 to ff. */
static uint32_t as_half(uint32_t priority, bool halved)
{
    if (!halved)
        return priority;
    return priority & 0x80u ? priority << 1 & 0xffu : 0;
}

uint32_t gic_read_pmr(const struct device *dev, bool halved)
{
    const struct gic_state *s = dev->state;

    return as_half(s->pmr, halved);
}

void gic_write_pmr(struct device *dev, uint32_t value, bool halved)
{
    struct gic_state *s = dev->state;

    if (!halved)
        s->pmr = value & 0xf8u;
    else if (s->pmr & 0x80u)
        s->pmr = 0x80u | (value >> 1 & 0x78u);
}

uint32_t gic_read_rpr(const struct device *dev, bool halved)
{
    unsigned running = gic_running(dev, NULL);

    return running == IDLE ? running : as_half(running, halved);
}

uint32_t gic_bpr(uint32_t value, uint32_t least)
{
    return (value & 7u) < least ? least : value & 7u;
}

uint32_t gic_common_bpr(const struct device *dev)
{
    const struct gic_state *s = dev->state;

    return s->bpr[GIC_G0] < 7 ? s->bpr[GIC_G0] + 1 : 7;
}

bool gic_is_there(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;

    return irq < GIC_IRQS || (w->lpis && lpi_is(irq));
}

bool gic_preempts(const struct device *dev, unsigned irq)
{
    const struct gic_state *s = dev->state;
    unsigned running = gic_running(dev, NULL), mask;

    if (!gic_is_there(dev, irq) || priority(dev, irq) >= s->pmr)
        return false;
    mask = group_mask(dev, gic_group_of(dev, irq)); /* of both: BPR may be another one than when that was taken */
    return running == IDLE || (priority(dev, irq) & mask) < (running & mask);
}

void gic_activate(struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    enum gic_group g = gic_group_of(dev, irq);

    s->apr[g] |= 1u << ((priority(dev, irq) & group_mask(dev, g)) >> 3);
    if (lpi_is(irq)) {
        lpi_set_pending(w->lpis, irq, false);
        return;
    }
    gic_bank_of(dev, irq / 32)->active |= 1u << (irq % 32);
    gic_bank_of(dev, irq / 32)->latch &= ~(1u << (irq % 32));
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
    if (irq >= GIC_IRQS)
        return;
    gic_bank_of(dev, irq / 32)->active &= ~(1u << (irq % 32));
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

static void update_one(struct device *dev)
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

void gic_update(struct device *dev)
{
    for (unsigned i = 0; i < gic_count(dev); i++)
        update_one(gic_nth(dev, i));
}

/* ---- inputs ---- */

void gic_set_line(void *ctx, unsigned n, bool level)
{
    struct device *dev = ctx;
    struct gic_bank *b = gic_bank_of(dev, n / 32);
    uint32_t mask = 1u << (n % 32);

    CHECK(n >= GIC_FIRST_PPI && n < GIC_IRQS);
    if (!(b->level & mask) == !level)
        return;
    b->level ^= mask;
    if (level)
        b->latch |= b->edge & mask;
    gic_update(dev);
}

/* ---- registers with a field for each interrupt ---- */

/* What a Non-secure access may see of a word of interrupts. */
static uint32_t visible(const struct device *dev, unsigned word)
{
    return gic_nonsecure_view(dev) ? gic_bank_of(dev, word)->group : ~0u;
}

static uint32_t read_bits(struct device *dev, uint32_t offset, unsigned n)
{
    const struct gic_bank *b = gic_bank_of(dev, n);
    uint32_t see = visible(dev, n);

    switch (offset & ~0x7fu) {
    case IGROUPR:
        return gic_nonsecure_view(dev) ? 0 : b->group;
    case ISENABLER: case ICENABLER:
        return b->enabled & see;
    case ISPENDR: case ICPENDR:
        return (b->latch | (b->level & ~b->edge)) & see;
    case ISACTIVER: case ICACTIVER:
        return b->active & see;
    default:
        return 0;
    }
}

static void write_bits(struct device *dev, uint32_t offset, unsigned n, uint32_t value, uint32_t mask)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_bank *b = gic_bank_of(dev, n);
    uint32_t set = value & mask & visible(dev, n);
    /* Version 2's SGIs have registers of their own for that. */
    uint32_t pendable = w->version == 2 && n == 0 ? 0xffff0000u : ~0u;

    switch (offset & ~0x7fu) {
    case IGROUPR:
        if (!gic_nonsecure_view(dev))
            b->group = (b->group & ~mask) | (value & mask);
        break;
    case ISENABLER: b->enabled |= set | (w->version == 2 && n == 0 ? 0xffffu : 0); break;
    case ICENABLER: b->enabled &= ~(w->version == 2 && n == 0 ? set & 0xffff0000u : set); break;
    case ISPENDR:   b->latch |= set & pendable; break;
    case ICPENDR:   b->latch &= ~(set & pendable); break;
    case ISACTIVER: b->active |= set; break;
    case ICACTIVER: b->active &= ~set; break;
    default:        break;
    }
}

/* A Non-secure access sees the lower half of the priorities as if it were all of them. */
static uint8_t read_priority(struct device *dev, unsigned irq)
{
    if (!gic_nonsecure_view(dev))
        return *priority_of(dev, irq);
    return bit(gic_bank_of(dev, irq / 32)->group, irq) ? (uint8_t)(*priority_of(dev, irq) << 1) : 0;
}

static void write_priority(struct device *dev, unsigned irq, uint8_t value)
{
    if (gic_nonsecure_view(dev)) {
        if (!bit(gic_bank_of(dev, irq / 32)->group, irq))
            return;
        value = 0x80u | value >> 1;
    }
    *priority_of(dev, irq) = value & PRIORITY_BITS;
}

static uint32_t read_config(struct device *dev, unsigned first_irq)
{
    const struct gic_bank *b = gic_bank_of(dev, first_irq / 32);
    uint32_t value = 0, see = visible(dev, first_irq / 32);

    for (unsigned i = 0; i < 16; i++)
        if (bit(b->edge, first_irq + i) && (see >> ((first_irq + i) % 32) & 1u))
            value |= 2u << (2 * i);
    return value;
}

static void write_config(struct device *dev, unsigned first_irq, uint32_t value, uint32_t mask)
{
    struct gic_bank *b = gic_bank_of(dev, first_irq / 32);
    uint32_t see = visible(dev, first_irq / 32);

    if (first_irq < GIC_FIRST_PPI)
        return; /* SGIs are edge-triggered */
    for (unsigned i = 0; i < 16; i++) {
        uint32_t m = 1u << ((first_irq + i) % 32);

        if (!(mask >> (2 * i) & 2u) || !(see & m))
            continue;
        if (value >> (2 * i) & 2u)
            b->edge |= m;
        else
            b->edge &= ~m;
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

/* Version 2: the CPUs that an interrupt is for. */
static uint8_t read_targets(struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;

    if (gic_count(dev) == 1 || !(visible(dev, irq / 32) >> (irq % 32) & 1u))
        return 0;
    return irq < GIC_FIRST_SPI ? (uint8_t)(1u << w->number) : gic_shared(dev)->targets[irq - GIC_FIRST_SPI];
}

static void write_targets(struct device *dev, unsigned irq, uint8_t value)
{
    if (gic_count(dev) > 1 && irq >= GIC_FIRST_SPI && (visible(dev, irq / 32) >> (irq % 32) & 1u))
        gic_shared(dev)->targets[irq - GIC_FIRST_SPI] = value & (uint8_t)((1u << gic_count(dev)) - 1);
}

uint32_t gic_bank_read(struct device *dev, uint32_t offset, unsigned first, unsigned last)
{
    const struct gic_wiring *w = dev->wiring;
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
    if (w->version == 2 && offset >= ITARGETSR && offset < ICFGR) {
        if (irqs_at(offset, 4, first, last, &irq))
            for (unsigned i = 0; i < 4; i++)
                value |= (uint32_t)read_targets(dev, irq + i) << (8 * i);
        return value;
    }
    if (offset >= ICFGR && offset < IGRPMODR)
        return irqs_at(offset, 16, first, last, &irq) ? read_config(dev, irq) : 0;
    if (offset >= IGRPMODR && offset < IGRPMODR + 0x80 && irqs_at(offset, 32, first, last, &irq) &&
        !gic_nonsecure_view(dev))
        return gic_bank_of(dev, irq / 32)->grpmod;
    return 0;
}

void gic_bank_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask, unsigned first, unsigned last)
{
    const struct gic_wiring *w = dev->wiring;
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
    } else if (w->version == 2 && offset >= ITARGETSR && offset < ICFGR) {
        if (irqs_at(offset, 4, first, last, &irq))
            for (unsigned i = 0; i < 4; i++)
                if (mask >> (8 * i) & 0xffu)
                    write_targets(dev, irq + i, (uint8_t)(value >> (8 * i)));
    } else if (offset >= ICFGR && offset < IGRPMODR) {
        if (irqs_at(offset, 16, first, last, &irq))
            write_config(dev, irq, value, mask);
    } else if (offset >= IGRPMODR && offset < IGRPMODR + 0x80) {
        if (w->security && w->version == 3 && !gic_nonsecure_view(dev) && irqs_at(offset, 32, first, last, &irq))
            gic_bank_of(dev, irq / 32)->grpmod = (gic_bank_of(dev, irq / 32)->grpmod & ~mask) | (value & mask);
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

/* The lines belong to others. */
static void clear_bank(struct gic_bank *b)
{
    *b = (struct gic_bank){.level = b->level};
}

void gic_reset(struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    struct gic_bank own = s->own;
    struct gic_bank spi[GIC_WORDS - 1];
    bool first = dev->ops->state_size == sizeof(*s);

    if (first)
        memcpy(spi, s->spi, sizeof(spi));
    memset(s, 0, dev->ops->state_size);
    clear_bank(&own);
    s->own = own;
    for (unsigned i = 0; first && i < GIC_WORDS - 1; i++) {
        clear_bank(&spi[i]);
        s->spi[i] = spi[i];
    }
    s->own.edge = 0xffffu;
    if (w->version == 2)
        s->own.enabled = 0xffffu;
    s->bpr[GIC_G0] = 2;
    s->bpr[GIC_G1S] = 2;
    s->bpr[GIC_G1] = 3;
    s->waker = 6;
    s->vmcr = 2u << 21 | 3u << 18;
    gic_update(dev);
}

void gic_all_nonsecure(struct device *dev)
{
    for (unsigned n = 0; n < gic_count(dev); n++) {
        struct gic_state *s = gic_nth(dev, n)->state;

        s->own.group = 0xffffffffu;
        memset(s->own_priority, 0x80, sizeof(s->own_priority));
        s->pmr = 0x80; /* a Secure one could not be changed */
    }
    for (unsigned i = 0; i < GIC_WORDS - 1; i++)
        gic_shared(dev)->spi[i].group = 0xffffffffu;
    memset(gic_shared(dev)->spi_priority, 0x80, GIC_SPIS);
    gic_update(dev);
}

static void describe_irq(const struct device *dev, unsigned irq, struct buffer *b)
{
    const struct gic_bank *k = gic_bank_of(dev, irq / 32);

    if (bit(k->enabled, irq) || bit(k->active, irq) || bit(k->latch, irq))
        buffer_printf(b, "%u: group %d priority %02x%s%s%s%s%s\n", irq, bit(k->group, irq), *priority_of(dev, irq),
                      bit(k->enabled, irq) ? " enabled" : "", bit(k->edge, irq) ? " edge" : "",
                      bit(k->level, irq) ? " high" : "", bit(k->latch, irq) ? " latched" : "",
                      bit(k->active, irq) ? " active" : "");
}

void gic_describe(const struct device *dev, struct buffer *b)
{
    const struct gic_state *s = dev->state;

    buffer_printf(b, "distributor enables %x, pmr %02x, running %02x, best pending %u\n", gic_shared(dev)->ctlr, s->pmr,
                  gic_running(dev, NULL), gic_best(dev));
    for (unsigned irq = 0; irq < (dev == gic_nth(dev, 0) ? GIC_IRQS : GIC_FIRST_SPI); irq++)
        describe_irq(dev, irq, b);
}

const struct device_ops gic_cpu_ops = {
    .name = "gic-cpu",
    .state_size = offsetof(struct gic_state, spi),
    .state_version = GIC_STATE_VERSION,
    .reset = gic_reset,
    .describe = gic_describe,
    .interrupts = true,
};
