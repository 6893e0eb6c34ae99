/*
 * GIC version 3 (ARM IHI 0069H): distributor with affinity routing always on,
 * a redistributor for each CPU, and the CPU interface as system registers (chapter 12).
 *
 * Without EL3 there is one security state (GICD_CTLR.DS reads as 1). System
 * register access is always on (ICC_SRE_ELx reads as all ones).
 *
 * LPIs are in lpi.c, what makes them of messages is in its.c.
 *
 * Not modelled: memory-mapped CPU interface, range selectors. An interrupt that is for a CPU whose redistributor sleeps
 * (GICR_WAKER) reaches it all the same, as it wakes it; an SPI for any CPU goes to another one.
 */
#include "aarch64/virt/gic.h"

#include "aarch64/cpu.h"
#include "aarch64/virt/lpi.h"

#define LAST_WORD (GIC_WORDS - 1)
#define IIDR      0x43bu
#define PIDR2     0x3bu /* architecture version 3 */
#define PART_GICD 0x92u
#define PART_GICR 0x93u

enum { GICD_CTLR = 0x0000, GICD_TYPER = 0x0004, GICD_IIDR = 0x0008, GICD_IROUTER = 0x6000, ID_REGS = 0xffd0 };
enum { GICR_CTLR = 0x0000, GICR_IIDR = 0x0004, GICR_TYPER = 0x0008, GICR_WAKER = 0x0014, SGI_FRAME = 0x10000 };

#define CTLR_ARE_S  0x10u
#define CTLR_ARE_NS 0x20u
#define CTLR_DS     0x40u

/* As of a GIC-500, whose frames have 64 KiB each. `part`: PIDR0. */
static uint32_t read_id(uint32_t offset, uint8_t part)
{
    const uint8_t ids[12] = {0x44, 0, 0, 0, part, 0xb4, PIDR2, 0, 0x0d, 0xf0, 0x05, 0xb1};

    return ids[(offset - ID_REGS) / 4];
}

/* ---- distributor ---- */

static uint32_t read_dist_ctlr(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = gic_shared(dev);

    if (!w->security)
        return s->ctlr | CTLR_ARE_S | CTLR_DS;
    if (gic_nonsecure_view(dev))
        return (s->ctlr & GICD_EN_G1) | CTLR_ARE_S; /* there, bit 4 is ARE_NS */
    return s->ctlr | CTLR_ARE_S | CTLR_ARE_NS;
}

static void write_dist_ctlr(struct device *dev, uint32_t value)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = gic_shared(dev);
    uint32_t mine = GICD_EN_G0 | GICD_EN_G1 | (w->security ? GICD_EN_G1S : 0);

    if (gic_nonsecure_view(dev))
        mine = GICD_EN_G1;
    s->ctlr = (s->ctlr & ~mine) | (value & mine);
    gic_update(dev);
}

static bool router_at(const struct device *dev, uint32_t offset, unsigned *spi)
{
    unsigned irq = (offset - GICD_IROUTER) / 8;

    if (offset < GICD_IROUTER || irq < GIC_FIRST_SPI || irq >= GIC_IRQS)
        return false;
    *spi = irq - GIC_FIRST_SPI;
    return !gic_nonsecure_view(dev) || gic_group_of(dev, irq) == GIC_G1;
}

static uint32_t dist_read(struct device *dev, uint32_t offset)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = gic_shared(dev);
    unsigned spi;

    switch (offset) {
    case GICD_CTLR:
        return read_dist_ctlr(dev);
    case GICD_TYPER: /* bits of INTID, LPIs, affinity 3; 1 of N where there are several */
        return LAST_WORD | (w->security ? 1u << 10 : 0) | (w->lpis ? 1u << 17 | (LPI_BITS - 1) << 19 : 15u << 19) | 1u << 24 |
               (gic_count(dev) == 1 ? 1u << 25 : 0);
    case GICD_IIDR:
        return IIDR;
    default:
        if (offset >= ID_REGS)
            return read_id(offset, PART_GICD);
        if (router_at(dev, offset, &spi))
            return (uint32_t)(s->router[spi] >> (offset & 4 ? 32 : 0));
        return offset < 0x1000 ? gic_bank_read(dev, offset, 1, LAST_WORD) : 0;
    }
}

static void dist_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    struct gic_state *s = gic_shared(dev);
    unsigned spi;

    if (offset == GICD_CTLR) {
        write_dist_ctlr(dev, value);
    } else if (router_at(dev, offset, &spi)) {
        if (offset & 4)
            s->router[spi] = (s->router[spi] & 0xffffffffu) | (uint64_t)(value & 0xffu) << 32;
        else
            s->router[spi] = (s->router[spi] & ~0xffffffffull) | (value & (gic_count(dev) == 1 ? 0xffffffu : 0x80ffffffu));
        gic_update(dev);
    } else if (offset < 0x1000) {
        gic_bank_write(dev, offset, value, mask, 1, LAST_WORD);
    }
}

/* ---- redistributor ---- */

static uint32_t redist_read(struct device *dev, uint32_t offset)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    uint32_t value;

    if (w->lpis && lpi_read(w->lpis, offset, &value))
        return value;
    if (offset >= SGI_FRAME)
        return offset < SGI_FRAME + 0x1000 ? gic_bank_read(dev, offset - SGI_FRAME, 0, 0) : 0;
    switch (offset) {
    case GICR_IIDR:  return IIDR;
    case GICR_TYPER: return w->number << 8 | (w->number + 1 == gic_count(dev) ? 0x10 : 0) | (w->lpis ? 1 : 0); /* the last one; LPIs */
    case GICR_TYPER + 4: return w->affinity;
    case GICR_WAKER: return gic_nonsecure_view(dev) ? 0 : s->waker;
    default:         return offset >= ID_REGS ? read_id(offset, PART_GICR) : 0;
    }
}

static void redist_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;

    if (w->lpis && lpi_write(w->lpis, offset, value))
        return;
    if (offset >= SGI_FRAME) {
        if (offset < SGI_FRAME + 0x1000)
            gic_bank_write(dev, offset - SGI_FRAME, value, mask, 0, 0);
    } else if (offset == GICR_WAKER && !gic_nonsecure_view(dev)) {
        s->waker = value & 2u ? 6u : 0; /* ChildrenAsleep follows ProcessorSleep at once */
        gic_update(dev);
    }
}

/* ---- CPU interface ---- */

#define ICC(crm, op2)  SYSREG(3, 0, 12, crm, op2)
#define ICC_PMR        SYSREG(3, 0, 4, 6, 0)
#define ICC_IAR0       ICC(8, 0)
#define ICC_EOIR0      ICC(8, 1)
#define ICC_HPPIR0     ICC(8, 2)
#define ICC_BPR0       ICC(8, 3)
#define ICC_AP0R0      ICC(8, 4)
#define ICC_AP0R3      ICC(8, 7)
#define ICC_AP1R0      ICC(9, 0)
#define ICC_AP1R3      ICC(9, 3)
#define ICC_DIR        ICC(11, 1)
#define ICC_RPR        ICC(11, 3)
#define ICC_SGI1R      ICC(11, 5)
#define ICC_ASGI1R     ICC(11, 6)
#define ICC_SGI0R      ICC(11, 7)
#define ICC_IAR1       ICC(12, 0)
#define ICC_EOIR1      ICC(12, 1)
#define ICC_HPPIR1     ICC(12, 2)
#define ICC_BPR1       ICC(12, 3)
#define ICC_CTLR       ICC(12, 4)
#define ICC_SRE        ICC(12, 5)
#define ICC_IGRPEN0    ICC(12, 6)
#define ICC_IGRPEN1    ICC(12, 7)
#define ICC_SRE_EL2    SYSREG(3, 4, 12, 9, 5)
#define ICC_CTLR_EL3   SYSREG(3, 6, 12, 12, 4)
#define ICC_SRE_EL3    SYSREG(3, 6, 12, 12, 5)
#define ICC_IGRPEN1_EL3 SYSREG(3, 6, 12, 12, 7)

/* ICC_CTLR_EL1: 5 bits of priority, 16 of INTID, affinity 3 valid. */
#define CTLR_FIXED   (4u << 8 | 1u << 15)
#define CTLR_CBPR    1u
#define CTLR_EOIMODE 2u

#define SCR_NS  1u
#define SCR_IRQ 2u
#define SCR_FIQ 4u
#define HCR_FMO (1ull << 3)
#define HCR_IMO (1ull << 4)

/* Which of the banked copies an access means: 1 for Secure, and its group 1. At EL3 SCR_EL3.NS chooses. */
static bool secure_bank(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->security && !(w->cpu->st->scr_el3 & SCR_NS);
}

static enum gic_group group1(const struct device *dev)
{
    return secure_bank(dev) ? GIC_G1S : GIC_G1;
}

static bool at_el3(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->cpu->st->el == 3;
}

/* Is it an access of the Non-secure state, with two of them? */
static bool from_nonsecure(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->security && !gic_cpu_secure(w);
}

static bool from_secure_el1(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return w->security && gic_cpu_secure(w) && w->cpu->st->el < 3;
}

/* Is group 0 EL3's own, so that the Non-secure state sees half of the priorities as all (IHI 0069, 4.8.1)? */
static bool halved_priorities(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;

    return from_nonsecure(dev) && (w->cpu->st->scr_el3 & SCR_FIQ);
}

/* The interrupt as ICC_IAR0, ICC_HPPIR0 (ICC_IAR1, ICC_HPPIR1) show it: group 0 is hidden from the Non-secure
 * state, the other state's group 1 from all but EL3. */
static unsigned as_seen(const struct device *dev, unsigned irq, unsigned group)
{
    enum gic_group g;

    if (irq == GIC_SPURIOUS)
        return irq;
    g = gic_group_of(dev, irq);
    if (group == 0) {
        if (g == GIC_G0)
            return from_nonsecure(dev) ? GIC_SPURIOUS : irq;
        if (!at_el3(dev))
            return GIC_SPURIOUS;
        return g == GIC_G1S ? GIC_SECURE : GIC_NONSECURE;
    }
    if (g == GIC_G0 || (g == GIC_G1S && from_nonsecure(dev)) || (g == GIC_G1 && from_secure_el1(dev)))
        return GIC_SPURIOUS;
    return irq;
}

static unsigned acknowledge(struct device *dev, unsigned group)
{
    unsigned irq = gic_best(dev);

    if (!gic_preempts(dev, irq))
        return GIC_SPURIOUS;
    irq = as_seen(dev, irq, group);
    if (gic_is_there(dev, irq))
        gic_activate(dev, irq);
    return irq;
}

static bool split_end(const struct device *dev)
{
    const struct gic_state *s = dev->state;

    return at_el3(dev) ? s->bypass & 1u : s->eoi_split[secure_bank(dev)];
}

/* May who writes ICC_EOIR<n> end an interrupt of group g? */
static bool may_end(const struct device *dev, unsigned group, enum gic_group g)
{
    switch (g) {
    case GIC_G0:  return group == 0 && !from_nonsecure(dev);
    case GIC_G1S: return group == 1 && !from_nonsecure(dev);
    default:      return group == 1 && !from_secure_el1(dev);
    }
}

static void end_of_interrupt(struct device *dev, unsigned group, uint64_t value)
{
    unsigned irq = value & 0xffffffu;
    enum gic_group g;

    if (!gic_is_there(dev, irq) || gic_running(dev, &g) == 0xff || !may_end(dev, group, g))
        return;
    gic_drop_priority(dev);
    if (!split_end(dev))
        gic_deactivate(dev, irq);
}

/* ICC_DIR: interrupts that are taken at a higher level are not for those below it to deactivate. */
static bool may_deactivate(const struct device *dev, unsigned irq)
{
    const struct gic_wiring *w = dev->wiring;
    const struct a64_state *st = w->cpu->st;
    enum gic_group g = gic_group_of(dev, irq);
    bool fiq = g == GIC_G0;

    if (!split_end(dev))
        return false;
    if (st->el == 3)
        return true;
    if (from_nonsecure(dev) && g != GIC_G1)
        return false;
    if (w->security && (st->scr_el3 & (fiq ? SCR_FIQ : SCR_IRQ)))
        return false;
    return st->el == 2 || from_secure_el1(dev) || !w->virtualization || !(st->hcr_el2 & (fiq ? HCR_FMO : HCR_IMO));
}

/* Is the CPU among those that a write to ICC_SGI<n>R names: a list in one cluster, or (IRM) all but this one? */
static bool sgi_is_for(const struct device *dev, const struct device *to, uint64_t value)
{
    const struct gic_wiring *w = to->wiring;
    uint32_t cluster = (uint32_t)(value >> 16 & 0xffu) << 8 | (uint32_t)(value >> 32 & 0xffu) << 16 |
                       (uint32_t)(value >> 48 & 0xffu) << 24;

    if (value >> 40 & 1u)
        return to != dev;
    /* No range selectors: CPUs of a cluster beyond the 16th are not reached. */
    return (w->affinity & ~0xffu) == cluster && (w->affinity & 0xffu) < 16 && (value >> (w->affinity & 15u) & 1u);
}

/* A request for Secure group 1 is good for group 0; the Non-secure state reaches no Secure group (NSACR is 0). */
static void send_sgi(struct device *dev, uint64_t value, enum gic_group group)
{
    unsigned irq = value >> 24 & 15u;

    for (unsigned n = 0; n < gic_count(dev); n++) {
        struct device *to = gic_nth(dev, n);
        enum gic_group has = gic_group_of(to, irq);

        if (sgi_is_for(dev, to, value) && (has == group || (group == GIC_G1S && has == GIC_G0)) &&
            !(from_nonsecure(dev) && has != GIC_G1))
            gic_bank_of(to, 0)->latch |= 1u << irq;
    }
    gic_update(dev);
}

/* Does group 1's binary point follow group 0's, for who asks? EL3 sees them as they are. */
static bool common_bpr(const struct device *dev)
{
    const struct gic_state *s = dev->state;

    return !at_el3(dev) && s->cbpr[secure_bank(dev)];
}

static uint32_t read_bpr1(const struct device *dev)
{
    const struct gic_state *s = dev->state;

    if (!common_bpr(dev))
        return s->bpr[group1(dev)];
    return secure_bank(dev) ? s->bpr[GIC_G0] : gic_common_bpr(dev);
}

static void write_bpr(struct device *dev, unsigned group, uint64_t value)
{
    struct gic_state *s = dev->state;
    enum gic_group g = group ? group1(dev) : GIC_G0;

    if (group && common_bpr(dev)) {
        if (g == GIC_G1)
            return;
        g = GIC_G0;
    }
    s->bpr[g] = gic_bpr((uint32_t)value, g == GIC_G1 ? 3 : 2);
}

static void write_ctlr(struct device *dev, uint64_t value)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;
    bool bank = secure_bank(dev);

    if (!w->security) /* else CBPR is EL3's to change */
        s->cbpr[bank] = value & CTLR_CBPR;
    s->eoi_split[bank] = (value & CTLR_EOIMODE) != 0;
}

static bool cpu_read(struct device *dev, uint32_t enc, uint64_t *value)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    bool secure = secure_bank(dev);

    *value = 0;
    switch (enc) {
    case ICC_PMR:     *value = gic_read_pmr(dev, halved_priorities(dev)); return true;
    case ICC_IAR0:    *value = acknowledge(dev, 0); return true;
    case ICC_IAR1:    *value = acknowledge(dev, 1); return true;
    case ICC_HPPIR0:  *value = as_seen(dev, gic_best(dev), 0); return true;
    case ICC_HPPIR1:  *value = as_seen(dev, gic_best(dev), 1); return true;
    case ICC_BPR0:    *value = s->bpr[GIC_G0]; return true;
    case ICC_BPR1:    *value = read_bpr1(dev); return true;
    case ICC_AP0R0:   *value = s->apr[GIC_G0]; return true;
    case ICC_AP1R0:   *value = s->apr[group1(dev)]; return true;
    case ICC_RPR:     *value = gic_read_rpr(dev, halved_priorities(dev)); return true;
    case ICC_CTLR:
        *value = CTLR_FIXED | (s->cbpr[secure] ? CTLR_CBPR : 0) | (s->eoi_split[secure] ? CTLR_EOIMODE : 0);
        return true;
    case ICC_SRE:     *value = 7; return true;
    case ICC_IGRPEN0: *value = s->on[GIC_G0]; return true;
    case ICC_IGRPEN1: *value = s->on[group1(dev)]; return true;
    case ICC_SRE_EL2: *value = 15; return true;
    case ICC_SRE_EL3: *value = 15; return w->security;
    case ICC_CTLR_EL3:
        *value = CTLR_FIXED | 1u << 17 | s->cbpr[1] | s->cbpr[0] << 1 | s->bypass << 2 | s->eoi_split[1] << 3 |
                 s->eoi_split[0] << 4;
        return w->security;
    case ICC_IGRPEN1_EL3:
        *value = s->on[GIC_G1] | s->on[GIC_G1S] << 1;
        return w->security;
    default: /* AP<0,1>R<1-3>: with 5 bits of priority there is one register */
        return false;
    }
}

static bool cpu_write(struct device *dev, uint32_t enc, uint64_t value)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;

    switch (enc) {
    case ICC_PMR:    gic_write_pmr(dev, (uint32_t)value, halved_priorities(dev)); break;
    case ICC_EOIR0:  end_of_interrupt(dev, 0, value); break;
    case ICC_EOIR1:  end_of_interrupt(dev, 1, value); break;
    case ICC_BPR0:   write_bpr(dev, 0, value); break;
    case ICC_BPR1:   write_bpr(dev, 1, value); break;
    case ICC_AP0R0:  s->apr[GIC_G0] = (uint32_t)value; break;
    case ICC_AP1R0: /* Non-secure group 1 is never active in the Secure half of the priorities */
        s->apr[group1(dev)] = (uint32_t)value & (w->security && !secure_bank(dev) ? 0xffff0000u : ~0u);
        break;
    case ICC_DIR:
        value &= 0xffffffu;
        if (value < GIC_IRQS && may_deactivate(dev, (unsigned)value))
            gic_deactivate(dev, (unsigned)value);
        break;
    case ICC_SGI0R:  send_sgi(dev, value, GIC_G0); break;
    case ICC_SGI1R:  send_sgi(dev, value, w->security && gic_cpu_secure(w) ? GIC_G1S : GIC_G1); break;
    case ICC_ASGI1R: send_sgi(dev, value, w->security && gic_cpu_secure(w) ? GIC_G1 : GIC_G1S); break;
    case ICC_CTLR:   write_ctlr(dev, value); break;
    case ICC_SRE: case ICC_SRE_EL2:
        break;
    case ICC_IGRPEN0: s->on[GIC_G0] = value & 1u; break;
    case ICC_IGRPEN1: s->on[group1(dev)] = value & 1u; break;
    case ICC_SRE_EL3:
        return w->security;
    case ICC_CTLR_EL3:
        if (!w->security)
            return false;
        s->cbpr[1] = value & 1u;
        s->cbpr[0] = value >> 1 & 1u;
        s->bypass = value >> 2 & 1u;
        s->eoi_split[1] = value >> 3 & 1u;
        s->eoi_split[0] = value >> 4 & 1u;
        break;
    case ICC_IGRPEN1_EL3:
        if (!w->security)
            return false;
        s->on[GIC_G1] = value & 1u;
        s->on[GIC_G1S] = value >> 1 & 1u;
        break;
    default:
        return false;
    }
    gic_update(dev);
    return true;
}

/* ---- virtual CPU interface: the hypervisor's side ---- */

#define ICH(crm, op2) SYSREG(3, 4, 12, crm, op2)
#define ICH_AP0R0  ICH(8, 0)
#define ICH_AP1R0  ICH(9, 0)
#define ICH_HCR    ICH(11, 0)
#define ICH_VTR    ICH(11, 1)
#define ICH_MISR   ICH(11, 2)
#define ICH_EISR   ICH(11, 3)
#define ICH_ELRSR  ICH(11, 5)
#define ICH_VMCR   ICH(11, 7)
#define ICH_LR0    ICH(12, 0)
#define ICH_LR_LAST ICH(12, GIC_LRS - 1)
/* 5 bits of priority and preemption, 16 of INTID, affinity 3 valid, no GICv4. */
#define VTR (4u << 29 | 4u << 26 | 1u << 21 | 1u << 20 | (GIC_LRS - 1))

#define HCR_WRITABLE  0xf8007cffu
#define ICH_HCR_TC    (1u << 10)
#define ICH_HCR_TALL0 (1u << 11)
#define ICH_HCR_TALL1 (1u << 12)
#define ICH_HCR_TDIR  (1u << 14)
#define VMCR_FIQEN    8u /* always set: system registers only */
#define LR_WRITABLE   0xf0ff1fff0000ffffull

static bool hyp_read(struct device *dev, uint32_t enc, uint64_t *value)
{
    const struct gic_state *s = dev->state;

    switch (enc) {
    case ICH_AP0R0: *value = s->vapr[0]; return true;
    case ICH_AP1R0: *value = s->vapr[1]; return true;
    case ICH_HCR:   *value = s->hcr; return true;
    case ICH_VTR:   *value = VTR; return true;
    case ICH_MISR:  *value = gic_virt_misr(dev); return true;
    case ICH_EISR:  *value = gic_virt_eisr(dev); return true;
    case ICH_ELRSR: *value = gic_virt_elrsr(dev); return true;
    case ICH_VMCR:  *value = s->vmcr | VMCR_FIQEN; return true;
    default:
        if (enc < ICH_LR0 || enc > ICH_LR_LAST)
            return false;
        *value = s->lr[enc - ICH_LR0];
        return true;
    }
}

static bool hyp_write(struct device *dev, uint32_t enc, uint64_t value)
{
    struct gic_state *s = dev->state;

    switch (enc) {
    case ICH_AP0R0: s->vapr[0] = (uint32_t)value; break;
    case ICH_AP1R0: s->vapr[1] = (uint32_t)value; break;
    case ICH_HCR:   s->hcr = (uint32_t)value & HCR_WRITABLE; break;
    case ICH_VMCR:  gic_set_vmcr(s, ~0u, (uint32_t)value); break;
    default:
        if (enc < ICH_LR0 || enc > ICH_LR_LAST)
            return false;
        s->lr[enc - ICH_LR0] = value & LR_WRITABLE;
        break;
    }
    gic_update(dev);
    return true;
}

/* ---- virtual CPU interface: the guest's side, by the names of the physical one ---- */

/* Field of ICH_VMCR_EL2. */
static uint32_t vmcr_field(const struct gic_state *s, unsigned shift, unsigned bits)
{
    return s->vmcr >> shift & ((1u << bits) - 1);
}

static void set_vmcr_field(struct gic_state *s, unsigned shift, unsigned bits, uint64_t value)
{
    gic_set_vmcr(s, ((1u << bits) - 1) << shift, (uint32_t)value << shift);
}

static bool guest_read(struct device *dev, uint32_t enc, uint64_t *value)
{
    const struct gic_state *s = dev->state;

    switch (enc) {
    case ICC_PMR:     *value = vmcr_field(s, 24, 8); return true;
    case ICC_IAR0:    *value = gic_virt_acknowledge(dev, 0); return true;
    case ICC_IAR1:    *value = gic_virt_acknowledge(dev, 1); return true;
    case ICC_HPPIR0:  *value = gic_virt_best(dev, 0); return true;
    case ICC_HPPIR1:  *value = gic_virt_best(dev, 1); return true;
    case ICC_BPR0:    *value = vmcr_field(s, 21, 3); return true;
    case ICC_BPR1:    *value = vmcr_field(s, 18, 3); return true;
    case ICC_AP0R0:   *value = s->vapr[0]; return true;
    case ICC_AP1R0:   *value = s->vapr[1]; return true;
    case ICC_RPR:     *value = gic_virt_running(dev); return true;
    case ICC_CTLR:    *value = CTLR_FIXED | vmcr_field(s, 4, 1) | vmcr_field(s, 9, 1) << 1; return true;
    case ICC_SRE:     *value = 7; return true;
    case ICC_IGRPEN0: *value = vmcr_field(s, 0, 1); return true;
    case ICC_IGRPEN1: *value = vmcr_field(s, 1, 1); return true;
    default:          return false;
    }
}

static bool guest_write(struct device *dev, uint32_t enc, uint64_t value)
{
    struct gic_state *s = dev->state;

    switch (enc) {
    case ICC_PMR:     set_vmcr_field(s, 24, 8, value); break;
    case ICC_EOIR0:   gic_virt_end(dev, 0, value & 0xffffffu); break;
    case ICC_EOIR1:   gic_virt_end(dev, 1, value & 0xffffffu); break;
    case ICC_DIR:     gic_virt_deactivate(dev, value & 0xffffffu); break;
    case ICC_BPR0:    set_vmcr_field(s, 21, 3, gic_bpr((uint32_t)value, 2)); break;
    case ICC_BPR1:    set_vmcr_field(s, 18, 3, gic_bpr((uint32_t)value, 3)); break;
    case ICC_AP0R0:   s->vapr[0] = (uint32_t)value; break;
    case ICC_AP1R0:   s->vapr[1] = (uint32_t)value; break;
    case ICC_CTLR:
        set_vmcr_field(s, 4, 1, value);
        set_vmcr_field(s, 9, 1, value >> 1);
        break;
    case ICC_SRE:     break;
    case ICC_IGRPEN0: set_vmcr_field(s, 0, 1, value); break;
    case ICC_IGRPEN1: set_vmcr_field(s, 1, 1, value); break;
    default:          return false;
    }
    gic_update(dev);
    return true;
}

/* Registers of group 0, of group 1, and (3) of both. */
static unsigned groups_of(uint32_t enc)
{
    switch (enc) {
    case ICC_IAR0: case ICC_EOIR0: case ICC_HPPIR0: case ICC_BPR0: case ICC_AP0R0: case ICC_IGRPEN0:
        return 1;
    case ICC_IAR1: case ICC_EOIR1: case ICC_HPPIR1: case ICC_BPR1: case ICC_AP1R0: case ICC_IGRPEN1:
        return 2;
    case ICC_PMR: case ICC_RPR: case ICC_CTLR: case ICC_DIR:
        return 3;
    default: /* SGIs go to the hypervisor by a trap, SRE is the same */
        return 0;
    }
}

/* Is there such an access? A read of what is written only is UNDEFINED, and so is the opposite: nobody's to trap. */
static bool has_direction(uint32_t enc, bool write)
{
    switch (enc) {
    case ICC_IAR0: case ICC_IAR1: case ICC_HPPIR0: case ICC_HPPIR1: case ICC_RPR:
        return !write;
    case ICC_EOIR0: case ICC_EOIR1: case ICC_DIR: case ICC_SGI0R: case ICC_SGI1R: case ICC_ASGI1R:
        return write;
    default:
        return true;
    }
}

/* Does the register mean the virtual interface for who accesses it? */
static bool is_virtual(const struct device *dev, uint32_t enc)
{
    const struct gic_wiring *w = dev->wiring;
    const struct a64_state *st = w->cpu->st;
    unsigned virtual = (st->hcr_el2 & HCR_FMO ? 1u : 0) | (st->hcr_el2 & HCR_IMO ? 2u : 0);

    return w->virtualization && st->el == 1 && !secure_bank(dev) && (groups_of(enc) & virtual);
}

/* Traps (IHI 0069, chapter 12, "accessibility"): registers of groups whose interrupts EL3 takes are EL3's, and
 * a hypervisor may want to see what its guest does with them. */
unsigned gicv3_sysreg_trap(void *ctx, uint32_t enc, bool write)
{
    static const unsigned tall[4] = {0, ICH_HCR_TALL0, ICH_HCR_TALL1, ICH_HCR_TC};
    const struct gic_wiring *w = ((struct device *)ctx)->wiring;
    const struct gic_state *s = ((struct device *)ctx)->state;
    const struct a64_state *st = w->cpu->st;
    bool sgi = enc == ICC_SGI0R || enc == ICC_SGI1R || enc == ICC_ASGI1R;
    unsigned groups = sgi ? 3 : groups_of(enc);
    bool guest = w->virtualization && st->el == 1 && (!w->security || (st->scr_el3 & SCR_NS));
    uint64_t virtual = guest ? st->hcr_el2 & (HCR_FMO | HCR_IMO) : 0;
    uint64_t scr = w->security ? st->scr_el3 : 0;

    if (!groups || st->el == 3 || !has_direction(enc, write))
        return 0;
    if (guest && ((s->hcr & tall[groups]) || (sgi && virtual) || (enc == ICC_DIR && (s->hcr & ICH_HCR_TDIR))))
        return 2;
    if (groups == 3)
        return (scr & SCR_FIQ) && (scr & SCR_IRQ) && !virtual ? 3 : 0;
    return (scr & (groups == 1 ? SCR_FIQ : SCR_IRQ)) && !(virtual & (groups == 1 ? HCR_FMO : HCR_IMO)) ? 3 : 0;
}

bool gicv3_sysreg_read(void *ctx, uint32_t enc, uint64_t *value)
{
    const struct gic_wiring *w = ((struct device *)ctx)->wiring;

    if (w->virtualization && hyp_read(ctx, enc, value))
        return true;
    return is_virtual(ctx, enc) ? guest_read(ctx, enc, value) : cpu_read(ctx, enc, value);
}

bool gicv3_sysreg_write(void *ctx, uint32_t enc, uint64_t value)
{
    const struct gic_wiring *w = ((struct device *)ctx)->wiring;

    if (w->virtualization && hyp_write(ctx, enc, value))
        return true;
    return is_virtual(ctx, enc) ? guest_write(ctx, enc, value) : cpu_write(ctx, enc, value);
}

/* ---- the device ---- */

#define REDIST_BYTES 0x20000u

/* The device that an access is to: redistributors lie one behind the other. */
static struct device *device_at(struct device *first, unsigned range, uint64_t *offset)
{
    struct device *dev = range == GICV3_DIST ? gic_of_runner(first) : gic_nth(first, (unsigned)(*offset / REDIST_BYTES));

    if (range == GICV3_REDIST)
        *offset %= REDIST_BYTES;
    gic_note_security(dev);
    return dev;
}

static uint64_t gicv3_read(struct device *first, unsigned range, uint64_t offset, unsigned size)
{
    struct device *dev = device_at(first, range, &offset);

    return gic_read_sized(dev, offset, size, range == GICV3_DIST ? dist_read : redist_read);
}

static void gicv3_write(struct device *first, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct device *dev = device_at(first, range, &offset);

    gic_write_sized(dev, offset, size, value, range == GICV3_DIST ? dist_write : redist_write);
}

const struct device_ops gicv3_ops = {
    .name = "gicv3",
    .state_size = sizeof(struct gic_state),
    .state_version = GIC_STATE_VERSION,
    .calm_reads = true,
    .calm_writes = true,
    .reset = gic_reset,
    .describe = gic_describe,
    .interrupts = true,
    .read = gicv3_read,
    .write = gicv3_write,
};
