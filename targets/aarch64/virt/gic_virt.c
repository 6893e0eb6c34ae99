/*
 * The virtual CPU interface (IHI 0069, chapter 6; IHI 0048, chapter 5): the
 * interrupts that a hypervisor hands to its guest through list registers. Kept
 * in version 3's layout; version 2's frames translate.
 *
 * Four list registers, five bits of priority. Not modelled: TSEI, for there
 * are no system errors. The traps of version 3 are in gicv3.c.
 */
#include "aarch64/virt/gic.h"

#define HCR_EN        1u
#define HCR_UIE       (1u << 1)
#define HCR_LRENPIE   (1u << 2)
#define HCR_NPIE      (1u << 3)
#define HCR_GRP_SHIFT 4
#define HCR_EOICOUNT  27

#define VMCR_FIQEN 8u
#define VMCR_CBPR  0x10u
#define VMCR_EOIM  0x200u
#define VMCR_WRITABLE 0xf8fc021fu

#define LR_EOI     (1ull << 41)
#define LR_GROUP   (1ull << 60)
#define LR_HW      (1ull << 61)
#define LR_PENDING (1ull << 62)
#define LR_ACTIVE  (1ull << 63)
#define LR_STATE   (3ull << 62)

#define PPI_MAINTENANCE_INTID 25u
#define IDLE 0xffu

static unsigned priority_of(uint64_t lr)
{
    return lr >> 48 & 0xf8u;
}

void gic_set_vmcr(struct gic_state *s, uint32_t mask, uint32_t value)
{
    s->vmcr = ((s->vmcr & ~mask) | (value & mask)) & VMCR_WRITABLE;
}

/* The list register with the pending interrupt of highest priority; -1: none. */
static int best(const struct gic_state *s)
{
    int found = -1;

    for (unsigned i = 0; i < GIC_LRS; i++) {
        unsigned group = (s->lr[i] & LR_GROUP) != 0;

        if ((s->lr[i] & LR_STATE) == LR_PENDING && (s->vmcr >> group & 1u) &&
            (found < 0 || priority_of(s->lr[i]) < priority_of(s->lr[found])))
            found = (int)i;
    }
    return s->hcr & HCR_EN ? found : -1;
}

static unsigned group_mask(const struct gic_state *s, unsigned group)
{
    bool one = group && !(s->vmcr & VMCR_CBPR);
    unsigned bpr = one ? s->vmcr >> 18 & 7u : s->vmcr >> 21 & 7u, least = one ? 3 : 2;

    bpr = bpr < least ? least : bpr;
    return 0xffu << (bpr + !one) & 0xffu;
}

unsigned gic_virt_running(const struct device *dev)
{
    const struct gic_state *s = dev->state;
    uint32_t both = s->vapr[0] | s->vapr[1];

    return both ? (unsigned)__builtin_ctz(both) << 3 : IDLE;
}

static bool preempts(const struct device *dev, int i)
{
    const struct gic_state *s = dev->state;
    unsigned running = gic_virt_running(dev), mask;

    if (i < 0 || priority_of(s->lr[i]) >= (s->vmcr >> 24 & 0xf8u))
        return false;
    mask = group_mask(s, (s->lr[i] & LR_GROUP) != 0);
    return running == IDLE || (priority_of(s->lr[i]) & mask) < (running & mask);
}

uint32_t gic_virt_eisr(const struct device *dev)
{
    const struct gic_state *s = dev->state;
    uint32_t value = 0;

    for (unsigned i = 0; i < GIC_LRS; i++)
        if (!(s->lr[i] & (LR_STATE | LR_HW)) && (s->lr[i] & LR_EOI))
            value |= 1u << i;
    return value;
}

uint32_t gic_virt_elrsr(const struct device *dev)
{
    const struct gic_state *s = dev->state;
    uint32_t value = 0;

    for (unsigned i = 0; i < GIC_LRS; i++)
        if (!(s->lr[i] & LR_STATE) && ((s->lr[i] & LR_HW) || !(s->lr[i] & LR_EOI)))
            value |= 1u << i;
    return value;
}

uint32_t gic_virt_misr(const struct device *dev)
{
    const struct gic_state *s = dev->state;
    unsigned valid = 0, pending = 0;
    uint32_t value = gic_virt_eisr(dev) ? 1u : 0;

    for (unsigned i = 0; i < GIC_LRS; i++) {
        valid += (s->lr[i] & LR_STATE) != 0;
        pending += (s->lr[i] & LR_STATE) == LR_PENDING;
    }
    value |= (s->hcr & HCR_UIE) && valid <= 1 ? 2u : 0;
    value |= (s->hcr & HCR_LRENPIE) && s->hcr >> HCR_EOICOUNT ? 4u : 0;
    value |= (s->hcr & HCR_NPIE) && !pending ? 8u : 0;
    for (unsigned g = 0; g < 2; g++) {
        unsigned wanted = s->hcr >> (HCR_GRP_SHIFT + 2 * g), on = s->vmcr >> g & 1u;

        value |= (wanted & 1u && on ? 1u : 0) << (HCR_GRP_SHIFT + 2 * g);
        value |= (wanted & 2u && !on ? 2u : 0) << (HCR_GRP_SHIFT + 2 * g);
    }
    return value;
}

void gic_virt_update(struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    int i = best(s);
    bool signal = preempts(dev, i);
    bool fiq = signal && !(s->lr[i] & LR_GROUP) && (w->version == 3 || (s->vmcr & VMCR_FIQEN));
    bool maintenance = (s->hcr & HCR_EN) && gic_virt_misr(dev);

    line_set(&w->virq, signal && !fiq);
    line_set(&w->vfiq, fiq);
    /* The caller looks at the input lines next. */
    s->own.level = (s->own.level & ~(1u << PPI_MAINTENANCE_INTID)) | (uint32_t)maintenance << PPI_MAINTENANCE_INTID;
}

unsigned gic_virt_best(const struct device *dev, unsigned group)
{
    const struct gic_state *s = dev->state;
    int i = best(s);

    if (i < 0 || ((s->lr[i] & LR_GROUP) != 0) != group)
        return GIC_SPURIOUS;
    return (unsigned)s->lr[i] & 0xffffu;
}

unsigned gic_virt_acknowledge(struct device *dev, unsigned group)
{
    struct gic_state *s = dev->state;
    unsigned irq = gic_virt_best(dev, group);
    int i = best(s);

    if (irq == GIC_SPURIOUS || !preempts(dev, i))
        return GIC_SPURIOUS;
    s->lr[i] = (s->lr[i] & ~LR_STATE) | LR_ACTIVE;
    s->vapr[group] |= 1u << ((priority_of(s->lr[i]) & group_mask(s, group)) >> 3);
    gic_update(dev);
    return irq;
}

void gic_virt_deactivate(struct device *dev, unsigned irq)
{
    struct gic_state *s = dev->state;

    for (unsigned i = 0; i < GIC_LRS; i++) {
        if (!(s->lr[i] & LR_ACTIVE) || (uint32_t)s->lr[i] != irq)
            continue;
        s->lr[i] &= ~LR_ACTIVE;
        if (s->lr[i] & LR_HW)
            gic_deactivate(dev, s->lr[i] >> 32 & 0x3ffu);
        gic_update(dev);
        return;
    }
    s->hcr += 1u << HCR_EOICOUNT;
    gic_update(dev);
}

void gic_virt_end(struct device *dev, unsigned group, unsigned irq)
{
    struct gic_state *s = dev->state;
    unsigned running = gic_virt_running(dev);

    if (irq >= 1020 && irq <= 1023)
        return;
    if (running == IDLE || !(s->vapr[group] >> (running >> 3) & 1u))
        return;
    s->vapr[group] &= s->vapr[group] - 1;
    if (s->vmcr & VMCR_EOIM)
        gic_update(dev);
    else
        gic_virt_deactivate(dev, irq);
}
