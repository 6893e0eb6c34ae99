/*
 * The local APIC of a P6/Pentium 4 (SDM 3A, chapter "Advanced
 * Programmable Interrupt Controller"; register and field names are its). 4 KiB
 * of MMIO in range 0, at IA32_APIC_BASE; the board moves and hides the region.
 *
 * Modelled: IRR, ISR, TMR, TPR, PPR, EOI with broadcast, spurious vector and
 * software enable, LVT with all delivery modes that can happen here, the timer
 * (one-shot, periodic, all dividers) in virtual time, logical destinations (flat
 * and cluster), self IPIs, ESR. With the APIC disabled by its MSR, INTR reaches
 * the core directly. After reset LINT0 stands at ExtINT, unmasked, where the
 * SDM says masked: firmware does that in its first instructions, and guests
 * that were loaded without firmware rely on it.
 *
 * An access to the registers, which are at one address for all CPUs, is to the APIC of the CPU that
 * makes it. Of the destinations of a lowest-priority message it goes to the one of least processor priority, of these
 * to the first.
 *
 * Not modelled: APICs of several CPUs at different addresses, SMI, remote read,
 * x2APIC, the TSC-deadline timer, LVT entries for errors, thermal and
 * performance counters beyond being registers, interrupts raised by the ESR.
 */
#include "i386/pc/apic.h"

#include <string.h>

#include "base/buffer.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/pic.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum {
    REG_ID = 0x020, REG_VERSION = 0x030, REG_TPR = 0x080, REG_APR = 0x090, REG_PPR = 0x0a0, REG_EOI = 0x0b0,
    REG_LDR = 0x0d0, REG_DFR = 0x0e0, REG_SVR = 0x0f0, REG_ISR = 0x100, REG_TMR = 0x180, REG_IRR = 0x200,
    REG_ESR = 0x280, REG_ICR_LOW = 0x300, REG_ICR_HIGH = 0x310, REG_LVT_TIMER = 0x320,
    REG_LVT_ERROR = 0x370, REG_INITIAL = 0x380, REG_CURRENT = 0x390, REG_DIVIDE = 0x3e0,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define VERSION      (0x14u | (LVT_COUNT - 1u) << 16)
#define SVR_ENABLE   0x100u
#define LVT_MASKED   0x10000u
#define LVT_PERIODIC 0x20000u
#define LVT_LEVEL    0x08000u
#define LVT_DELIVERY 0x00700u
#define ICR_LOGICAL  0x00800u
#define ICR_ASSERT   0x04000u
#define ICR_LEVEL    0x08000u
#define ICR_SHORTHAND 0xc0000u
#define ESR_SEND_ILLEGAL    0x20u
#define ESR_RECEIVE_ILLEGAL 0x40u
#define ESR_ILLEGAL_REG     0x80u

DEVICE_STATE_BEGIN
struct apic_state {
    uint32_t id;             /* bits 24-31 */
    uint32_t tpr, ldr, dfr, svr;
    uint32_t icr[2];
    uint32_t lvt[LVT_COUNT];
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_pending; /* pending errors move to ESR when it is written */
    uint32_t initial, divide;
    uint32_t enabled;        /* IA32_APIC_BASE.EN */
    uint32_t lint0;          /* level from the 8259s */
    uint32_t expired;        /* the timer came to 0 in one-shot mode: it stays there until it is programmed */
    uint64_t started;        /* timer tick (bus clocks / divider) at which `initial` was loaded */
    uint64_t timer_at;       /* vtime of the next expiry, or VTIME_NEVER */
};
DEVICE_STATE_END

static bool get_bit(const uint32_t *set, unsigned n)
{
    return set[n >> 5] >> (n & 31u) & 1u;
}

static void put_bit(uint32_t *set, unsigned n, bool value)
{
    if (value)
        set[n >> 5] |= 1u << (n & 31u);
    else
        set[n >> 5] &= ~(1u << (n & 31u));
}

/* The highest vector in the set, or -1. */
static int highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--)
        if (set[i])
            return i * 32 + 31 - __builtin_clz(set[i]);
    return -1;
}

static uint32_t processor_priority(const struct apic_state *s)
{
    int isr = highest(s->isr);
    uint32_t in_service = isr < 0 ? 0 : (uint32_t)isr & 0xf0u;

    return (s->tpr & 0xf0u) >= in_service ? s->tpr & 0xffu : in_service;
}

static bool software_enabled(const struct apic_state *s)
{
    return s->svr & SVR_ENABLE;
}

/* The vector that can be delivered now, or -1. */
static int deliverable(const struct apic_state *s)
{
    int irr = highest(s->irr);

    if (!s->enabled || !software_enabled(s) || irr < 0)
        return -1;
    return ((uint32_t)irr & 0xf0u) > (processor_priority(s) & 0xf0u) ? irr : -1;
}

/* Does LINT0 hand the 8259s' request to the core? */
static bool extint_pending(const struct apic_state *s)
{
    uint32_t lvt = s->lvt[LVT_LINT0];

    if (!s->lint0)
        return false;
    if (!s->enabled)
        return true;
    return !(lvt & LVT_MASKED) && (lvt & LVT_DELIVERY) >> 8 == APIC_EXTINT;
}

static void update(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;

    line_set(&w->intr, deliverable(s) >= 0 || extint_pending(s));
}

static void accept(struct device *dev, uint8_t vector, bool level)
{
    struct apic_state *s = dev->state;

    if (vector < 16) {
        s->esr_pending |= ESR_RECEIVE_ILLEGAL;
        return;
    }
    put_bit(s->irr, vector, true);
    put_bit(s->tmr, vector, level);
    update(dev);
}

/* The state after INIT: that after a reset, but for the ID. */
static void apic_init(struct device *dev)
{
    struct apic_state *s = dev->state;
    uint32_t id = s->id, enabled = s->enabled, lint0 = s->lint0;

    memset(s, 0, sizeof(*s));
    s->id = id;
    s->enabled = enabled;
    s->lint0 = lint0;
    s->dfr = 0xffffffffu;
    s->svr = 0xff;
    for (unsigned n = 0; n < LVT_COUNT; n++)
        s->lvt[n] = LVT_MASKED;
    s->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    s->timer_at = VTIME_NEVER;
    update(dev);
}

static void deliver(struct device *dev, enum apic_delivery delivery, uint8_t vector, bool level)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;

    if (!s->enabled)
        return;
    switch (delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (software_enabled(s))
            accept(dev, vector, level);
        break;
    case APIC_NMI:
        w->nmi(w->cpu);
        break;
    case APIC_INIT:
        apic_init(dev);
        w->init(w->cpu);
        break;
    case APIC_STARTUP:
        w->startup(w->cpu, vector);
        break;
    default: /* ExtINT is a level: see extint_pending(); SMI: not modelled */
        break;
    }
}

static bool addressed(const struct apic_state *s, uint8_t destination, bool logical)
{
    uint8_t ldr = (uint8_t)(s->ldr >> 24);

    if (!logical)
        return destination == 0xff || destination == s->id >> 24;
    if (s->dfr >> 28 == 0xf)
        return destination & ldr;
    if (s->dfr >> 28 == 0)
        return (destination == 0xff || destination >> 4 == ldr >> 4) && (destination & ldr & 15u);
    return false;
}

/* Of the APICs that are addressed: the one that a lowest-priority message goes to, or NULL. */
static struct device *least_busy(const struct apic_bus *bus, uint8_t destination, bool logical)
{
    struct device *best = NULL;

    for (unsigned i = 0; i < bus->count; i++) {
        const struct apic_state *s = bus->apics[i]->state;

        if (addressed(s, destination, logical) && s->enabled && software_enabled(s) &&
            (!best || processor_priority(s) < processor_priority(best->state)))
            best = bus->apics[i];
    }
    return best;
}

void apic_message(const struct apic_bus *bus, uint8_t destination, bool logical, enum apic_delivery delivery,
                  uint8_t vector, bool level)
{
    struct device *one = delivery == APIC_LOWEST ? least_busy(bus, destination, logical) : NULL;

    if (one)
        deliver(one, delivery, vector, level);
    for (unsigned i = 0; i < bus->count && delivery != APIC_LOWEST; i++)
        if (addressed(bus->apics[i]->state, destination, logical))
            deliver(bus->apics[i], delivery, vector, level);
}

static void local_interrupt(struct device *dev, unsigned lvt)
{
    struct apic_state *s = dev->state;
    uint32_t entry = s->lvt[lvt];

    if (!(entry & LVT_MASKED))
        deliver(dev, (entry & LVT_DELIVERY) >> 8, (uint8_t)entry, lvt == LVT_LINT0 && (entry & LVT_LEVEL));
}

void apic_set_lint0(void *ctx, unsigned n, bool level)
{
    struct device *dev = ctx;
    struct apic_state *s = dev->state;
    bool rises = level && !s->lint0;

    (void)n;
    s->lint0 = level;
    if (rises && (s->lvt[LVT_LINT0] & LVT_DELIVERY) >> 8 != APIC_EXTINT)
        local_interrupt(dev, LVT_LINT0);
    update(dev);
}

int apic_acknowledge(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    int vector = deliverable(s);

    if (vector >= 0) {
        put_bit(s->irr, (unsigned)vector, false);
        put_bit(s->isr, (unsigned)vector, true);
        update(dev);
        return vector;
    }
    if (extint_pending(s))
        return pic_acknowledge(w->pic);
    update(dev);
    return -1;
}

static void end_of_interrupt(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    int vector = highest(s->isr);

    if (vector < 0)
        return;
    put_bit(s->isr, (unsigned)vector, false);
    if (get_bit(s->tmr, (unsigned)vector) && w->ioapic)
        ioapic_eoi(w->ioapic, (uint8_t)vector);
    update(dev);
}

/* ---- timer ---- */

static uint32_t divider(const struct apic_state *s)
{
    uint32_t code = (s->divide & 3u) | (s->divide >> 1 & 4u);

    return code == 7 ? 1 : 2u << code;
}

/* Timer ticks since virtual time 0 at the present divider. */
static uint64_t timer_ticks(const struct apic_state *s, vtime_t t)
{
    return clock_ticks(t, APIC_BUS_HZ) / divider(s);
}

static vtime_t timer_time(const struct apic_state *s, uint64_t tick)
{
    return clock_time(tick * divider(s), APIC_BUS_HZ);
}

static uint32_t current_count(const struct apic_state *s, vtime_t now)
{
    uint64_t e;

    if (!s->initial || s->expired)
        return 0;
    e = timer_ticks(s, now) - s->started;
    if (s->lvt[LVT_TIMER] & LVT_PERIODIC)
        return (uint32_t)(s->initial - e % s->initial);
    return e >= s->initial ? 0 : (uint32_t)(s->initial - e);
}

/* The next expiry later than tick `after` (counted as timer_ticks()). */
static void arm_timer(struct apic_state *s, uint64_t after)
{
    uint64_t e = after - s->started;

    s->timer_at = VTIME_NEVER;
    if (!s->initial || s->expired)
        return;
    if (s->lvt[LVT_TIMER] & LVT_PERIODIC)
        s->timer_at = timer_time(s, s->started + (e / s->initial + 1) * s->initial);
    else if (e < s->initial)
        s->timer_at = timer_time(s, s->started + s->initial);
}

/* Keep the current count across a change of the divider or of the mode: 0, too (SDM: "the timer
 * remains at its 0 value until reprogrammed"), which is a write of the initial count. */
static void change_timer(struct device *dev, uint32_t *reg, uint32_t value)
{
    struct apic_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);
    uint32_t count = current_count(s, now);
    uint64_t tick;

    *reg = value;
    tick = timer_ticks(s, now);
    s->started = tick + count - s->initial; /* may wrap below zero: only differences are used */
    s->expired = count == 0;
    arm_timer(s, tick);
}

static void set_initial(struct device *dev, uint32_t value)
{
    struct apic_state *s = dev->state;

    s->initial = value;
    s->expired = 0;
    s->started = timer_ticks(s, machine_now(dev->machine));
    arm_timer(s, s->started);
}

static void apic_expire(struct device *dev, vtime_t now)
{
    struct apic_state *s = dev->state;
    vtime_t at = s->timer_at;

    if (now < at)
        return;
    arm_timer(s, timer_ticks(s, at));
    local_interrupt(dev, LVT_TIMER);
}

static vtime_t apic_deadline(const struct device *dev)
{
    const struct apic_state *s = dev->state;

    /* A masked timer runs on unseen: its count is computed when asked for, and unmasking arms it. */
    return s->lvt[LVT_TIMER] & LVT_MASKED ? VTIME_NEVER : s->timer_at;
}

/* ---- registers ---- */

static void send_ipi(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    uint32_t low = s->icr[0];
    enum apic_delivery delivery = (low & LVT_DELIVERY) >> 8;
    bool fixed = delivery == APIC_FIXED || delivery == APIC_LOWEST;

    if (fixed && (low & 0xffu) < 16)
        s->esr_pending |= ESR_SEND_ILLEGAL;
    if (delivery == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return; /* INIT level de-assert: of arbitration IDs, which are not modelled */
    switch ((low & ICR_SHORTHAND) >> 18) {
    case 0:
        apic_message(w->bus, (uint8_t)(s->icr[1] >> 24), low & ICR_LOGICAL, delivery, (uint8_t)low, false);
        break;
    case 1: /* self */
        deliver(dev, delivery, (uint8_t)low, false);
        break;
    default: /* all, including self and excluding it */
        for (unsigned i = 0; i < w->bus->count; i++)
            if (w->bus->apics[i] != dev || (low & ICR_SHORTHAND) >> 18 == 2)
                deliver(w->bus->apics[i], delivery, (uint8_t)low, false);
        break;
    }
}

static void write_lvt(struct device *dev, unsigned n, uint32_t value)
{
    static const uint32_t writable[LVT_COUNT] = {0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};
    struct apic_state *s = dev->state;

    value &= writable[n];
    if (!software_enabled(s))
        value |= LVT_MASKED;
    if (n == LVT_TIMER)
        change_timer(dev, &s->lvt[n], value);
    else
        s->lvt[n] = value;
}

static void write_svr(struct apic_state *s, uint32_t value)
{
    bool was = software_enabled(s);

    s->svr = value & 0x3ffu;
    if (was && !software_enabled(s)) /* all LVT entries are masked; pending requests are held */
        for (unsigned n = 0; n < LVT_COUNT; n++)
            s->lvt[n] |= LVT_MASKED;
}

static uint32_t read_register(struct device *dev, uint32_t reg)
{
    struct apic_state *s = dev->state;

    if (reg >= REG_ISR && reg < REG_ISR + 0x80)
        return s->isr[(reg - REG_ISR) >> 4];
    if (reg >= REG_TMR && reg < REG_TMR + 0x80)
        return s->tmr[(reg - REG_TMR) >> 4];
    if (reg >= REG_IRR && reg < REG_IRR + 0x80)
        return s->irr[(reg - REG_IRR) >> 4];
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR)
        return s->lvt[(reg - REG_LVT_TIMER) >> 4];
    switch (reg) {
    case REG_ID:       return s->id;
    case REG_VERSION:  return VERSION;
    case REG_TPR:      return s->tpr;
    case REG_APR:      return 0;
    case REG_PPR:      return processor_priority(s);
    case REG_LDR:      return s->ldr;
    case REG_DFR:      return s->dfr;
    case REG_SVR:      return s->svr;
    case REG_ESR:      return s->esr;
    case REG_ICR_LOW:  return s->icr[0];
    case REG_ICR_HIGH: return s->icr[1];
    case REG_INITIAL:  return s->initial;
    case REG_CURRENT:  return current_count(s, machine_now(dev->machine));
    case REG_DIVIDE:   return s->divide;
    case REG_EOI:      return 0;
    default:
        s->esr_pending |= ESR_ILLEGAL_REG;
        return 0;
    }
}

static void write_register(struct device *dev, uint32_t reg, uint32_t value)
{
    struct apic_state *s = dev->state;

    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR) {
        write_lvt(dev, (reg - REG_LVT_TIMER) >> 4, value);
        return;
    }
    switch (reg) {
    case REG_ID:
        s->id = value & 0xff000000u;
        break;
    case REG_TPR:
        s->tpr = value & 0xffu;
        break;
    case REG_EOI:
        end_of_interrupt(dev);
        break;
    case REG_LDR:
        s->ldr = value & 0xff000000u;
        break;
    case REG_DFR:
        s->dfr = value | 0x0fffffffu;
        break;
    case REG_SVR:
        write_svr(s, value);
        break;
    case REG_ESR: /* a write latches what happened since the last one */
        s->esr = s->esr_pending;
        s->esr_pending = 0;
        break;
    case REG_ICR_LOW:
        s->icr[0] = value & 0xccfffu; /* delivery status reads 0: sent */
        send_ipi(dev);
        break;
    case REG_ICR_HIGH:
        s->icr[1] = value & 0xff000000u;
        break;
    case REG_INITIAL:
        set_initial(dev, value);
        break;
    case REG_DIVIDE:
        change_timer(dev, &s->divide, value & 0xbu);
        break;
    case REG_VERSION: case REG_APR: case REG_PPR: case REG_CURRENT:
        break;
    default:
        if (reg < REG_ISR || reg >= REG_ESR)
            s->esr_pending |= ESR_ILLEGAL_REG;
        break;
    }
}

/* The APIC of the CPU that makes the access. */
static struct device *own_apic(const struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;

    return w->bus->apics[dev->machine->runner ? dev->machine->runner->index : 0];
}

static uint64_t apic_read(struct device *any, unsigned range, uint64_t offset, unsigned size)
{
    struct device *dev = own_apic(any);
    uint32_t reg = (uint32_t)offset & 0xff0u;
    uint32_t value;

    (void)range;
    if ((offset & 15u) + size > 4) /* registers are 32 bits at 16-byte steps; the rest is undefined */
        return 0;
    value = read_register(dev, reg) >> (8 * (offset & 3u));
    return value;
}

static void apic_write(struct device *any, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct device *dev = own_apic(any);

    (void)range;
    if ((offset & 15u) || size != 4) /* SDM: anything else is undefined; EOI is written in narrower ways */
        if ((offset & 0xff0u) != REG_EOI && (offset & 0xff0u) != REG_TPR)
            return;
    write_register(dev, (uint32_t)offset & 0xff0u, (uint32_t)value);
    update(dev);
}

void apic_set_enabled(struct device *dev, bool enabled)
{
    struct apic_state *s = dev->state;

    s->enabled = enabled;
    update(dev);
}

static void apic_reset(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;

    s->id = (uint32_t)w->id << 24;
    apic_init(dev);
}

static void apic_describe(const struct device *dev, struct buffer *b)
{
    const struct apic_state *s = dev->state;

    buffer_printf(b, "%s, svr %03x tpr %02x ppr %02x irr %d isr %d ldr %08x dfr %08x\n",
                  s->enabled ? "enabled" : "disabled", s->svr, s->tpr, processor_priority(s),
                  highest(s->irr), highest(s->isr), s->ldr, s->dfr);
    buffer_printf(b, "timer %05x initial %u current %u divide by %u; lint0 %05x lint1 %05x\n", s->lvt[LVT_TIMER],
                  s->initial, current_count(s, machine_now(dev->machine)), divider(s), s->lvt[LVT_LINT0],
                  s->lvt[LVT_LINT1]);
}

/* Ticks that began long ago or wrap are as good as any: only differences are used. A masked timer's
 * expiry may be long past. */
static bool apic_possible(const struct device *dev)
{
    const struct apic_state *s = dev->state;

    return s->enabled <= 1 && s->lint0 <= 1 && s->expired <= 1;
}

const struct device_ops apic_ops = {
    .name = "apic",
    .state_size = sizeof(struct apic_state),
    .possible = apic_possible,
    .reset = apic_reset,
    .deadline = apic_deadline,
    .expire = apic_expire,
    .describe = apic_describe,
    .interrupts = true,
    .read = apic_read,
    .write = apic_write,
};
