/*
 * GIC version 2 (ARM IHI 0048B.b): the distributor's and the CPU interface's
 * registers, and the virtual interface control and virtual CPU interface
 * frames of the virtualization extensions. Compare gic.c, which has the rest.
 *
 * Without EL3 there are no Security Extensions: one view of everything, two groups.
 */
#include "aarch64/virt/gic.h"

#include "base/buffer.h"

#define LAST_WORD (GIC_WORDS - 1)
#define GICD_IDENTITY 0x0200143bu /* GIC-400 r0p1, ARM */
#define GICC_IDENTITY 0x0202143bu

/* Distributor. */
enum {
    GICD_CTLR = 0x000, GICD_TYPER = 0x004, GICD_IIDR = 0x008, GICD_SGIR = 0xf00, GICD_CPENDSGIR = 0xf10,
    GICD_SPENDSGIR = 0xf20, GICD_ID = 0xfd0,
};
/* CPU interface; the virtual one has the same offsets. */
enum {
    GICC_CTLR = 0x00, GICC_PMR = 0x04, GICC_BPR = 0x08, GICC_IAR = 0x0c, GICC_EOIR = 0x10, GICC_RPR = 0x14,
    GICC_HPPIR = 0x18, GICC_ABPR = 0x1c, GICC_AIAR = 0x20, GICC_AEOIR = 0x24, GICC_AHPPIR = 0x28,
    GICC_APR0 = 0xd0, GICC_NSAPR0 = 0xe0, GICC_IIDR = 0xfc, GICC_DIR = 0x1000,
};

#define SGIR_NSATT    0x8000u

#define CTLR_G0       0x001u
#define CTLR_G1       0x002u
#define CTLR_ACKCTL   0x004u
#define CTLR_FIQEN    0x008u
#define CTLR_CBPR     0x010u
#define CTLR_BYPASS   0x1e0u
#define CTLR_EOIMODE  0x200u
#define CTLR_EOIMODENS 0x400u

/* ---- distributor ---- */

static uint32_t dist_read(struct device *dev, uint32_t offset)
{
    static const uint8_t ids[12] = {0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1};
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    uint32_t value = 0;

    switch (offset) {
    case GICD_CTLR:
        return gic_nonsecure_view(dev) ? gic_shared(dev)->ctlr / GICD_EN_G1 : gic_shared(dev)->ctlr;
    case GICD_TYPER:
        return LAST_WORD | (gic_count(dev) - 1) << 5 | (w->security ? 1u << 10 : 0);
    case GICD_IIDR:
        return GICD_IDENTITY;
    case GICD_CPENDSGIR: case GICD_CPENDSGIR + 4: case GICD_CPENDSGIR + 8: case GICD_CPENDSGIR + 12:
    case GICD_SPENDSGIR: case GICD_SPENDSGIR + 4: case GICD_SPENDSGIR + 8: case GICD_SPENDSGIR + 12:
        for (unsigned i = 0; i < 4; i++)
            if (!gic_nonsecure_view(dev) || (s->own.group >> ((offset & 0xfu) + i) & 1u))
                value |= (uint32_t)s->sgi_sources[(offset & 0xfu) + i] << (8 * i);
        return value;
    default:
        if (offset >= GICD_ID)
            return ids[(offset - GICD_ID) / 4];
        return gic_bank_read(dev, offset, 0, LAST_WORD);
    }
}

/* An SGI is pending as long as it is from some CPU. */
static void set_sources(struct device *dev, unsigned irq, uint8_t sources)
{
    struct gic_state *s = dev->state;

    s->sgi_sources[irq] = sources;
    s->own.latch = (s->own.latch & ~(1u << irq)) | (sources ? 1u << irq : 0);
}

/* GICD_SGIR: to a list of CPUs, to all but this one, to this one. With Security Extensions only where the SGI is of the group
 * that is meant: the Non-secure state's own, or what NSATT says. */
static void send_sgi(struct device *dev, uint32_t value)
{
    const struct gic_wiring *w = dev->wiring;
    unsigned filter = value >> 24 & 3u, irq = value & 15u;
    unsigned group = gic_nonsecure_view(dev) || (value & SGIR_NSATT);
    uint32_t targets = filter == 0 ? value >> 16 & 0xffu : filter == 1 ? 0xffu & ~(1u << w->number) : 1u << w->number;

    if (filter == 3)
        return;
    for (unsigned n = 0; n < gic_count(dev); n++) {
        struct device *to = gic_nth(dev, n);
        const struct gic_state *s = to->state;

        if ((targets >> n & 1u) && (!w->security || (s->own.group >> irq & 1u) == group))
            set_sources(to, irq, s->sgi_sources[irq] | (uint8_t)(1u << w->number));
    }
    gic_update(dev);
}

static void write_sgi_pending(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    const struct gic_state *s = dev->state;

    for (unsigned i = 0; i < 4; i++) {
        unsigned irq = (offset & 0xfu) + i;
        uint8_t sources = (uint8_t)((value & mask) >> (8 * i));

        if (!sources || (gic_nonsecure_view(dev) && !(s->own.group >> irq & 1u)))
            continue;
        if (offset >= GICD_SPENDSGIR)
            set_sources(dev, irq, s->sgi_sources[irq] | (sources & (uint8_t)((1u << gic_count(dev)) - 1)));
        else
            set_sources(dev, irq, s->sgi_sources[irq] & (uint8_t)~sources);
    }
    gic_update(dev);
}

static void dist_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    struct gic_state *s = gic_shared(dev);

    if (offset == GICD_CTLR) {
        if (gic_nonsecure_view(dev))
            s->ctlr = (s->ctlr & GICD_EN_G0) | (value & 1u) * GICD_EN_G1;
        else
            s->ctlr = value & (GICD_EN_G0 | GICD_EN_G1);
        gic_update(dev);
    } else if (offset == GICD_SGIR) {
        send_sgi(dev, value);
    } else if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR + 16) {
        write_sgi_pending(dev, offset, value, mask);
    } else {
        gic_bank_write(dev, offset, value, mask, 0, LAST_WORD);
    }
}

/* ---- CPU interface ---- */

/* What an acknowledge or "highest pending" register shows of `irq`. */
static unsigned as_seen(const struct device *dev, unsigned irq, bool aliased)
{
    const struct gic_state *s = dev->state;
    enum gic_group g;

    if (irq == GIC_SPURIOUS)
        return irq;
    g = gic_group_of(dev, irq);
    if (gic_nonsecure_view(dev) || aliased)
        return g == GIC_G1 ? irq : GIC_SPURIOUS;
    return g == GIC_G1 && !s->ack_ctl ? GIC_OTHER_GROUP : irq;
}

/* The first CPU that an SGI is pending from, in its place (bits 10-12). */
static unsigned source_of(const struct device *dev, unsigned irq)
{
    const struct gic_state *s = dev->state;

    return irq < GIC_SGIS && s->sgi_sources[irq] ? (unsigned)__builtin_ctz(s->sgi_sources[irq]) << 10 : 0;
}

static unsigned best_seen(const struct device *dev, bool aliased)
{
    unsigned irq = as_seen(dev, gic_best(dev), aliased);

    return irq | source_of(dev, irq);
}

/* It stays pending if another CPU sent it, too. */
static unsigned acknowledge_sgi(struct device *dev, unsigned irq)
{
    const struct gic_state *s = dev->state;
    unsigned source = source_of(dev, irq);
    uint8_t rest = s->sgi_sources[irq] & (uint8_t)(s->sgi_sources[irq] - 1);

    gic_activate(dev, irq);
    set_sources(dev, irq, rest);
    gic_update(dev);
    return irq | source;
}

static unsigned acknowledge(struct device *dev, bool aliased)
{
    unsigned irq = gic_best(dev);

    if (!gic_preempts(dev, irq))
        return GIC_SPURIOUS;
    irq = as_seen(dev, irq, aliased);
    if (irq < GIC_SGIS)
        return acknowledge_sgi(dev, irq);
    if (irq < GIC_IRQS)
        gic_activate(dev, irq);
    return irq;
}

static void end_of_interrupt(struct device *dev, unsigned irq, bool aliased)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    bool ns = gic_nonsecure_view(dev);

    irq &= 0x3ffu;
    if (irq >= GIC_IRQS || ((ns || aliased) && gic_group_of(dev, irq) != GIC_G1))
        return;
    gic_drop_priority(dev);
    if (!s->eoi_split[w->security && !ns])
        gic_deactivate(dev, irq);
}

static uint32_t read_ctlr(const struct device *dev)
{
    const struct gic_wiring *w = dev->wiring;
    const struct gic_state *s = dev->state;
    uint32_t value = s->bypass & CTLR_BYPASS;

    if (gic_nonsecure_view(dev))
        return (s->bypass & 0x60u) | s->on[GIC_G1] | (s->eoi_split[0] ? CTLR_EOIMODE : 0);
    value |= s->on[GIC_G0] | s->on[GIC_G1] << 1 | s->ack_ctl << 2 | s->fiq_en << 3 | s->cbpr[0] << 4;
    value |= s->eoi_split[w->security] ? CTLR_EOIMODE : 0;
    return value | (w->security && s->eoi_split[0] ? CTLR_EOIMODENS : 0);
}

static void write_ctlr(struct device *dev, uint32_t value)
{
    const struct gic_wiring *w = dev->wiring;
    struct gic_state *s = dev->state;

    if (gic_nonsecure_view(dev)) {
        s->on[GIC_G1] = value & 1u;
        s->eoi_split[0] = (value & CTLR_EOIMODE) != 0;
        return;
    }
    s->on[GIC_G0] = value & 1u;
    s->on[GIC_G1] = value >> 1 & 1u;
    s->ack_ctl = value >> 2 & 1u;
    s->fiq_en = value >> 3 & 1u;
    s->cbpr[0] = value >> 4 & 1u;
    s->bypass = value & CTLR_BYPASS;
    s->eoi_split[w->security] = (value & CTLR_EOIMODE) != 0;
    if (w->security)
        s->eoi_split[0] = (value & CTLR_EOIMODENS) != 0;
}

/* With CBPR, the Non-secure one shows the Secure one, by one more (IHI 0048, 3.6.1). */
static uint32_t read_bpr(const struct device *dev)
{
    const struct gic_state *s = dev->state;

    if (!gic_nonsecure_view(dev))
        return s->bpr[GIC_G0];
    return s->cbpr[0] ? gic_common_bpr(dev) : s->bpr[GIC_G1];
}

static uint32_t cpu_read(struct device *dev, uint32_t offset)
{
    const struct gic_state *s = dev->state;
    bool ns = gic_nonsecure_view(dev);

    switch (offset) {
    case GICC_CTLR:   return read_ctlr(dev);
    case GICC_PMR:    return gic_read_pmr(dev, ns);
    case GICC_BPR:    return read_bpr(dev);
    case GICC_IAR:    return acknowledge(dev, false);
    case GICC_RPR:    return gic_read_rpr(dev, ns);
    case GICC_HPPIR:  return best_seen(dev, false);
    case GICC_ABPR:   return ns ? 0 : s->bpr[GIC_G1];
    case GICC_AIAR:   return ns ? GIC_SPURIOUS : acknowledge(dev, true);
    case GICC_AHPPIR: return ns ? GIC_SPURIOUS : best_seen(dev, true);
    case GICC_APR0:   return ns ? s->apr[GIC_G1] >> 16 : s->apr[GIC_G0];
    case GICC_NSAPR0: return ns ? 0 : s->apr[GIC_G1];
    case GICC_IIDR:   return GICC_IDENTITY;
    default:          return 0;
    }
}

static void cpu_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    struct gic_state *s = dev->state;
    bool ns = gic_nonsecure_view(dev);

    (void)mask;
    switch (offset) {
    case GICC_CTLR:
        write_ctlr(dev, value);
        break;
    case GICC_PMR:
        gic_write_pmr(dev, value, ns);
        break;
    case GICC_BPR:
        if (!ns)
            s->bpr[GIC_G0] = gic_bpr(value, 2);
        else if (!s->cbpr[0])
            s->bpr[GIC_G1] = gic_bpr(value, 3);
        break;
    case GICC_EOIR:
        end_of_interrupt(dev, value, false);
        break;
    case GICC_ABPR:
        if (!ns)
            s->bpr[GIC_G1] = gic_bpr(value, 3);
        break;
    case GICC_AEOIR:
        if (!ns)
            end_of_interrupt(dev, value, true);
        break;
    case GICC_APR0:
        s->apr[ns ? GIC_G1 : GIC_G0] = ns ? value << 16 | (s->apr[GIC_G1] & 0xffffu) : value;
        break;
    case GICC_NSAPR0:
        if (!ns)
            s->apr[GIC_G1] = value;
        break;
    case GICC_DIR:
        value &= 0x3ffu;
        if (value < GIC_IRQS && (!ns || gic_group_of(dev, value) == GIC_G1))
            gic_deactivate(dev, value);
        break;
    default:
        break;
    }
    gic_update(dev);
}

/* ---- virtual interface control: the hypervisor's side ---- */

enum {
    GICH_HCR = 0x00, GICH_VTR = 0x04, GICH_VMCR = 0x08, GICH_MISR = 0x10, GICH_EISR0 = 0x20, GICH_ELRSR0 = 0x30,
    GICH_APR = 0xf0, GICH_LR0 = 0x100, GICH_LR_END = GICH_LR0 + 4 * GIC_LRS,
};
#define VTR (4u << 29 | 4u << 26 | (GIC_LRS - 1))
#define HCR_WRITABLE  0xf80000ffu
#define VMCR_ACKCTL   4u

/* List registers: ID 9-0, physical ID (or bit 19: EOI) 19-10, priority 27-23, state 29-28, group 30, HW 31. */
static uint64_t lr_from_v2(uint32_t v)
{
    uint64_t lr = (v & 0x3ffu) | (uint64_t)(v >> 23 & 0x1fu) << 51 | (uint64_t)(v >> 28 & 3u) << 62 |
                  (uint64_t)(v >> 30 & 1u) << 60 | (uint64_t)(v >> 31) << 61;

    return lr | (v >> 31 ? (uint64_t)(v >> 10 & 0x3ffu) << 32 : (uint64_t)(v >> 19 & 1u) << 41);
}

static uint32_t lr_to_v2(uint64_t lr)
{
    uint32_t v = (uint32_t)(lr & 0x3ffu) | (uint32_t)(lr >> 51 & 0x1fu) << 23 | (uint32_t)(lr >> 62) << 28 |
                 (uint32_t)(lr >> 60 & 1u) << 30 | (uint32_t)(lr >> 61 & 1u) << 31;

    return v | (lr >> 61 & 1u ? (uint32_t)(lr >> 32 & 0x3ffu) << 10 : (uint32_t)(lr >> 41 & 1u) << 19);
}

static uint32_t hyp_read(struct device *dev, uint32_t offset)
{
    const struct gic_state *s = dev->state;

    switch (offset) {
    case GICH_HCR:    return s->hcr;
    case GICH_VTR:    return VTR;
    case GICH_VMCR:   return s->vmcr;
    case GICH_MISR:   return gic_virt_misr(dev);
    case GICH_EISR0:  return gic_virt_eisr(dev);
    case GICH_ELRSR0: return gic_virt_elrsr(dev);
    case GICH_APR:    return s->vapr[0] | s->vapr[1];
    default:
        return offset >= GICH_LR0 && offset < GICH_LR_END ? lr_to_v2(s->lr[(offset - GICH_LR0) / 4]) : 0;
    }
}

static void hyp_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    struct gic_state *s = dev->state;

    (void)mask;
    if (offset == GICH_HCR) {
        s->hcr = value & HCR_WRITABLE;
    } else if (offset == GICH_VMCR) {
        gic_set_vmcr(s, ~0u, value);
    } else if (offset == GICH_APR) { /* one register for both groups: ours is by group, so all are group 1 */
        s->vapr[0] = 0;
        s->vapr[1] = value;
    } else if (offset >= GICH_LR0 && offset < GICH_LR_END) {
        s->lr[(offset - GICH_LR0) / 4] = lr_from_v2(value);
    }
    gic_update(dev);
}

/* ---- virtual CPU interface: the guest's side ---- */

static unsigned guest_acknowledge(struct device *dev, bool aliased)
{
    const struct gic_state *s = dev->state;
    unsigned irq = aliased ? gic_virt_acknowledge(dev, 1) : gic_virt_acknowledge(dev, 0);

    if (irq != GIC_SPURIOUS || aliased || gic_virt_best(dev, 1) == GIC_SPURIOUS)
        return irq;
    return s->vmcr & VMCR_ACKCTL ? gic_virt_acknowledge(dev, 1) : GIC_OTHER_GROUP;
}

static void guest_end(struct device *dev, unsigned irq, bool aliased)
{
    const struct gic_state *s = dev->state;
    unsigned running = gic_virt_running(dev);

    /* There is one kind of active priorities here: the group is whose it is. */
    gic_virt_end(dev, aliased || (running != 0xff && !(s->vapr[0] >> (running >> 3) & 1u)), irq & 0x3ffu);
}

static uint32_t guest_read(struct device *dev, uint32_t offset)
{
    const struct gic_state *s = dev->state;

    switch (offset) {
    case GICC_CTLR:   return s->vmcr & 0x21fu;
    case GICC_PMR:    return s->vmcr >> 24;
    case GICC_BPR:    return s->vmcr >> 21 & 7u;
    case GICC_ABPR:   return s->vmcr >> 18 & 7u;
    case GICC_IAR:    return guest_acknowledge(dev, false);
    case GICC_AIAR:   return guest_acknowledge(dev, true);
    case GICC_RPR:    return gic_virt_running(dev);
    case GICC_HPPIR:
        if (gic_virt_best(dev, 0) != GIC_SPURIOUS || gic_virt_best(dev, 1) == GIC_SPURIOUS)
            return gic_virt_best(dev, 0);
        return s->vmcr & VMCR_ACKCTL ? gic_virt_best(dev, 1) : GIC_OTHER_GROUP;
    case GICC_AHPPIR: return gic_virt_best(dev, 1);
    case GICC_APR0:   return s->vapr[0] | s->vapr[1];
    case GICC_IIDR:   return GICC_IDENTITY;
    default:          return 0;
    }
}

static void guest_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask)
{
    struct gic_state *s = dev->state;

    (void)mask;
    switch (offset) {
    case GICC_CTLR:  gic_set_vmcr(s, 0x21fu, value); break;
    case GICC_PMR:   gic_set_vmcr(s, 0xffu << 24, value << 24); break;
    case GICC_BPR:   gic_set_vmcr(s, 7u << 21, gic_bpr(value, 2) << 21); break;
    case GICC_ABPR:  gic_set_vmcr(s, 7u << 18, gic_bpr(value, 3) << 18); break;
    case GICC_EOIR:  guest_end(dev, value, false); break;
    case GICC_AEOIR: guest_end(dev, value, true); break;
    case GICC_DIR:   gic_virt_deactivate(dev, value & 0x3ffu); break;
    default:         break;
    }
    gic_update(dev);
}

/* ---- the device ---- */

static uint64_t gicv2_read(struct device *first, unsigned range, uint64_t offset, unsigned size)
{
    struct device *dev = gic_of_runner(first);

    gic_note_security(dev);
    switch (range) {
    case GICV2_DIST: return offset < 0x1000 ? gic_read_sized(dev, offset, size, dist_read) : 0;
    case GICV2_CPU:  return gic_read_sized(dev, offset, size, cpu_read);
    case GICV2_HYP:  return gic_read_sized(dev, offset, size, hyp_read);
    default:         return gic_read_sized(dev, offset, size, guest_read);
    }
}

static void gicv2_write(struct device *first, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct device *dev = gic_of_runner(first);

    gic_note_security(dev);
    switch (range) {
    case GICV2_DIST:
        if (offset < 0x1000)
            gic_write_sized(dev, offset, size, value, dist_write);
        break;
    case GICV2_CPU:
        gic_write_sized(dev, offset, size, value, cpu_write);
        break;
    case GICV2_HYP:
        gic_write_sized(dev, offset, size, value, hyp_write);
        break;
    default:
        gic_write_sized(dev, offset, size, value, guest_write);
        break;
    }
}

const struct device_ops gicv2_ops = {
    .name = "gicv2",
    .state_size = sizeof(struct gic_state),
    .state_version = GIC_STATE_VERSION,
    .calm_reads = true,
    .calm_writes = true,
    .reset = gic_reset,
    .describe = gic_describe,
    .interrupts = true,
    .read = gicv2_read,
    .write = gicv2_write,
};
