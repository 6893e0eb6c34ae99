/*
 * The local APIC of a P6/Pentium 4, and the x2APIC (SDM 3A, chapter "Advanced
 * Programmable Interrupt Controller"; register and field names are its). 4 KiB
 * of MMIO in range 0, at IA32_APIC_BASE; the board moves and hides the region. In x2APIC mode
 * the same registers are MSRs.
 *
 * Modelled: IRR, ISR, TMR, TPR, APR, PPR, EOI with broadcast, spurious vector and
 * software enable, LVT with all delivery modes that can happen here, the timer
 * (one-shot, periodic, all dividers, TSC deadline) in virtual time, logical destinations (flat,
 * cluster, x2APIC), self IPIs, ESR and the interrupt that it raises. With the APIC disabled by its MSR, INTR reaches
 * the core directly, and all that was programmed is lost. After reset LINT0 stands at ExtINT, unmasked, where the
 * SDM says masked: firmware does that in its first instructions, and guests
 * that were loaded without firmware rely on it.
 *
 * An access to the registers, which are at one address for all CPUs, is to the APIC of the CPU that
 * makes it. A lowest-priority message goes to a destination that has the vector already (its focus), else to the one
 * of least arbitration priority, of these to the first.
 *
 * An 8-bit destination (I/O APIC, MSI, xAPIC) is one of 32 bits for an APIC in x2APIC mode, FFH for all.
 *
 * Not modelled: APICs of several CPUs at different addresses, remote read, suppressed EOI broadcasts,
 * the LVT entry for thermal monitors beyond being a register.
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
#define LVT_TIMER_MODE   0x60000u
#define LVT_TSC_DEADLINE 0x40000u
#define LVT_REMOTE_IRR   0x04000u
#define LVT_LEVEL    0x08000u
#define LVT_DELIVERY 0x00700u
#define ICR_LOGICAL  0x00800u
#define ICR_ASSERT   0x04000u
#define ICR_LEVEL    0x08000u
#define ICR_SHORTHAND 0xc0000u
#define ICR_WRITABLE  0xccfffu
#define SVR_NO_FOCUS 0x200u
#define SVR_WRITABLE 0x3ffu
#define ESR_SEND_ILLEGAL    0x20u
#define ESR_RECEIVE_ILLEGAL 0x40u
#define ESR_ILLEGAL_REG     0x80u

DEVICE_STATE_BEGIN
struct apic_state {
    uint32_t id;             /* of the xAPIC: bits 24-31 */
    uint32_t tpr, ldr, dfr, svr;
    uint32_t icr[2];
    uint32_t lvt[LVT_COUNT];
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_pending; /* pending errors move to ESR when it is written */
    uint32_t initial, divide;
    uint32_t mode;           /* enum apic_mode */
    uint32_t lint0;          /* level from the 8259s */
    uint32_t expired;        /* the timer came to 0 in one-shot mode: it stays there until it is programmed */
    uint64_t started;        /* timer tick (bus clocks / divider) at which `initial` was loaded */
    uint64_t timer_at;       /* vtime of the next expiry, or VTIME_NEVER */
    uint64_t tsc_deadline;   /* IA32_TSC_DEADLINE; 0: not armed */
    uint32_t extint;         /* a message of that mode came: the 8259s will be asked */
    uint32_t reserved;
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

/* The APR (SDM 3A, "Determining IRR, ISR Arbitration Priority"). */
static uint32_t arbitration_priority(const struct apic_state *s)
{
    int isr = highest(s->isr), irr = highest(s->irr);
    uint32_t in_service = isr < 0 ? 0 : (uint32_t)isr & 0xf0u, requested = irr < 0 ? 0 : (uint32_t)irr & 0xf0u;
    uint32_t task = s->tpr & 0xf0u;

    if (task >= requested && task > in_service)
        return s->tpr & 0xffu;
    task &= in_service;
    return task > requested ? task : requested;
}

static bool software_enabled(const struct apic_state *s)
{
    return s->svr & SVR_ENABLE;
}

/* The vector that can be delivered now, or -1. */
static int deliverable(const struct apic_state *s)
{
    int irr = highest(s->irr);

    if (s->mode == APIC_DISABLED || !software_enabled(s) || irr < 0)
        return -1;
    return ((uint32_t)irr & 0xf0u) > (processor_priority(s) & 0xf0u) ? irr : -1;
}

/* Does LINT0 hand the 8259s' request to the core, or a message ask for it? */
static bool extint_pending(const struct apic_state *s)
{
    uint32_t lvt = s->lvt[LVT_LINT0];

    if (!s->lint0)
        return s->extint;
    if (s->mode == APIC_DISABLED || s->extint)
        return true;
    return !(lvt & LVT_MASKED) && (lvt & LVT_DELIVERY) >> 8 == APIC_EXTINT;
}

static void update(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;

    line_set(&w->intr, deliverable(s) >= 0 || extint_pending(s));
}

static void local_interrupt(struct device *dev, unsigned lvt);

/* The first error since the ESR was written raises an interrupt. */
static void note_error(struct device *dev, uint32_t error)
{
    struct apic_state *s = dev->state;
    bool first = !s->esr_pending;

    s->esr_pending |= error;
    if (first)
        local_interrupt(dev, LVT_ERROR);
}

static void accept(struct device *dev, uint8_t vector, bool level)
{
    struct apic_state *s = dev->state;

    if (vector < 16) {
        note_error(dev, ESR_RECEIVE_ILLEGAL);
        return;
    }
    put_bit(s->irr, vector, true);
    put_bit(s->tmr, vector, level);
    update(dev);
}

/* The logical ID that an x2APIC has: 16 CPUs to a cluster. */
static uint32_t x2apic_ldr(uint32_t id)
{
    return id >> 4 << 16 | 1u << (id & 15u);
}

/* The state after INIT: that after a reset, but for the ID and the mode. */
static void apic_init(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    uint32_t id = s->id, mode = s->mode, lint0 = s->lint0;

    memset(s, 0, sizeof(*s));
    s->id = id;
    s->mode = mode;
    s->lint0 = lint0;
    s->ldr = mode == APIC_X2 ? x2apic_ldr(w->id) : 0;
    s->dfr = 0xffffffffu;
    s->svr = 0xff;
    for (unsigned n = 0; n < LVT_COUNT; n++)
        s->lvt[n] = LVT_MASKED;
    s->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    s->timer_at = VTIME_NEVER;
    update(dev);
}

/* False: it is not accepted. */
static bool deliver(struct device *dev, enum apic_delivery delivery, uint8_t vector, bool level)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;

    if (s->mode == APIC_DISABLED)
        return false;
    switch (delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (!software_enabled(s))
            return false;
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
    case APIC_EXTINT:
        s->extint = 1;
        update(dev);
        break;
    case APIC_SMI:
        w->smi(w->cpu);
        break;
    default: /* reserved */
        return false;
    }
    return true;
}

static bool addressed_logically(const struct device *dev, uint32_t destination)
{
    const struct apic_state *s = dev->state;
    uint8_t ldr = (uint8_t)(s->ldr >> 24);

    if (destination == APIC_ALL)
        return true;
    if (s->mode == APIC_X2)
        return destination >> 16 == s->ldr >> 16 && (destination & s->ldr & 0xffffu);
    if (destination > 0xff)
        return false;
    if (s->dfr >> 28 == 0xf)
        return destination & ldr;
    if (s->dfr >> 28 == 0)
        return (destination == 0xff || destination >> 4 == ldr >> 4) && (destination & ldr & 15u);
    return false;
}

static bool addressed(const struct device *dev, uint32_t destination, bool logical)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;

    if (logical)
        return addressed_logically(dev, destination);
    return destination == APIC_ALL || destination == (s->mode == APIC_X2 ? w->id : s->id >> 24);
}

static bool is_focus(const struct apic_state *s, uint8_t vector)
{
    return !(s->svr & SVR_NO_FOCUS) && (get_bit(s->irr, vector) || get_bit(s->isr, vector));
}

/* Of the APICs that are addressed, but for `except`: the one that a lowest-priority message goes to, or NULL. */
static struct device *least_busy(const struct apic_bus *bus, uint32_t destination, bool logical, uint8_t vector,
                                 const struct device *except)
{
    struct device *best = NULL;

    for (unsigned i = 0; i < bus->count; i++) {
        const struct apic_state *s = bus->apics[i]->state;

        if (bus->apics[i] == except || !addressed(bus->apics[i], destination, logical) || s->mode == APIC_DISABLED || !software_enabled(s))
            continue;
        if (is_focus(s, vector))
            return bus->apics[i];
        if (!best || arbitration_priority(s) < arbitration_priority(best->state))
            best = bus->apics[i];
    }
    return best;
}

/* To all that are addressed but `except` (NULL: nobody), or to one of them. False: none accepted it. */
static bool send(const struct apic_bus *bus, uint32_t destination, bool logical, enum apic_delivery delivery,
                 uint8_t vector, bool level, const struct device *except)
{
    struct device *one = delivery == APIC_LOWEST ? least_busy(bus, destination, logical, vector, except) : NULL;
    bool accepted = one && deliver(one, delivery, vector, level);

    for (unsigned i = 0; i < bus->count && delivery != APIC_LOWEST; i++)
        if (bus->apics[i] != except && addressed(bus->apics[i], destination, logical))
            accepted |= deliver(bus->apics[i], delivery, vector, level);
    return accepted;
}

bool apic_message(const struct apic_bus *bus, uint8_t destination, bool logical, enum apic_delivery delivery,
                  uint8_t vector, bool level)
{
    return send(bus, destination == 0xff && !logical ? APIC_ALL : destination, logical, delivery, vector, level, NULL);
}

static void local_interrupt(struct device *dev, unsigned lvt)
{
    struct apic_state *s = dev->state;
    uint32_t entry = s->lvt[lvt];
    bool level = lvt == LVT_LINT0 && (entry & LVT_LEVEL) && (entry & LVT_DELIVERY) >> 8 == APIC_FIXED;

    if ((entry & LVT_MASKED) || (level && (entry & LVT_REMOTE_IRR)))
        return;
    if (level && software_enabled(s))
        s->lvt[lvt] |= LVT_REMOTE_IRR;
    deliver(dev, (entry & LVT_DELIVERY) >> 8, (uint8_t)entry, level);
}

/* LINT0, where its entry makes it a level of its own, comes again after its EOI. */
static void repeat_lint0(struct device *dev, uint8_t vector)
{
    struct apic_state *s = dev->state;
    uint32_t *entry = &s->lvt[LVT_LINT0];

    if (!(*entry & LVT_REMOTE_IRR) || (uint8_t)*entry != vector)
        return;
    *entry &= ~LVT_REMOTE_IRR;
    if (s->lint0)
        local_interrupt(dev, LVT_LINT0);
}

bool apic_pulse_lint1(struct device *dev)
{
    const struct apic_state *s = dev->state;

    if (s->mode == APIC_DISABLED)
        return false;
    local_interrupt(dev, LVT_LINT1);
    return true;
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
    if (extint_pending(s)) {
        s->extint = 0;
        update(dev);
        return pic_acknowledge(w->pic);
    }
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
    if (get_bit(s->tmr, (unsigned)vector)) {
        repeat_lint0(dev, (uint8_t)vector);
        if (w->ioapic)
            ioapic_eoi(w->ioapic, (uint8_t)vector);
    }
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

/* The timer waits for IA32_TSC_DEADLINE, and does not count. */
static bool counts_tsc(const struct apic_state *s)
{
    return (s->lvt[LVT_TIMER] & LVT_TIMER_MODE) == LVT_TSC_DEADLINE;
}

static bool is_periodic(const struct apic_state *s)
{
    return (s->lvt[LVT_TIMER] & LVT_TIMER_MODE) == LVT_PERIODIC;
}

static uint32_t current_count(const struct apic_state *s, vtime_t now)
{
    uint64_t e;

    if (!s->initial || s->expired || counts_tsc(s))
        return 0;
    e = timer_ticks(s, now) - s->started;
    if (is_periodic(s))
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
    if (is_periodic(s))
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

/* The entry of the timer's mode: to TSC-deadline mode and from it, the timer is stopped (SDM 3A, "TSC-Deadline
 * Mode"). */
static void write_timer(struct device *dev, uint32_t value)
{
    struct apic_state *s = dev->state;
    bool was = counts_tsc(s), becomes = (value & LVT_TIMER_MODE) == LVT_TSC_DEADLINE;

    if (!was && !becomes) {
        change_timer(dev, &s->lvt[LVT_TIMER], value);
        return;
    }
    s->lvt[LVT_TIMER] = value;
    if (was == becomes)
        return;
    s->initial = s->expired = 0;
    s->tsc_deadline = 0;
    s->timer_at = VTIME_NEVER;
}

/* Times further off never come, and could not be added to. */
#define DEADLINE_MOST ((uint64_t)1 << 60)

/* IA32_TSC_DEADLINE was written, or the time stamp counter. */
static void arm_deadline(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    uint64_t tsc = w->tsc(w->cpu);

    s->timer_at = VTIME_NEVER;
    if (!s->tsc_deadline)
        return;
    if (tsc >= s->tsc_deadline) {
        s->tsc_deadline = 0;
        local_interrupt(dev, LVT_TIMER);
    } else if (s->tsc_deadline - tsc < DEADLINE_MOST) {
        s->timer_at = machine_now(dev->machine) + (s->tsc_deadline - tsc);
    }
}

void apic_pmi(struct device *dev)
{
    struct apic_state *s = dev->state;

    local_interrupt(dev, LVT_PERF);
    s->lvt[LVT_PERF] |= LVT_MASKED;
}

void apic_tsc_written(struct device *dev)
{
    if (counts_tsc(dev->state))
        arm_deadline(dev);
}

static void set_initial(struct device *dev, uint32_t value)
{
    struct apic_state *s = dev->state;

    if (counts_tsc(s))
        return;
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
    if (counts_tsc(s)) {
        s->tsc_deadline = 0;
        s->timer_at = VTIME_NEVER;
        local_interrupt(dev, LVT_TIMER);
        return;
    }
    arm_timer(s, timer_ticks(s, at));
    local_interrupt(dev, LVT_TIMER);
}

static vtime_t apic_deadline(const struct device *dev)
{
    const struct apic_state *s = dev->state;

    if (counts_tsc(s))
        return s->timer_at;
    /* A masked timer runs on unseen: its count is computed when asked for, and unmasking arms it. */
    return s->lvt[LVT_TIMER] & LVT_MASKED ? VTIME_NEVER : s->timer_at;
}

/* ---- registers ---- */

static void send_ipi(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;
    uint32_t low = s->icr[0];
    enum apic_delivery delivery = (low & LVT_DELIVERY) >> 8;
    bool fixed = delivery == APIC_FIXED || delivery == APIC_LOWEST;

    if (fixed && (low & 0xffu) < 16)
        note_error(dev, ESR_SEND_ILLEGAL);
    if (delivery == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return; /* INIT level de-assert: of arbitration IDs, which are not modelled */
    switch ((low & ICR_SHORTHAND) >> 18) {
    case 0:
        if (s->mode == APIC_X2)
            send(w->bus, s->icr[1], low & ICR_LOGICAL, delivery, (uint8_t)low, false, NULL);
        else
            apic_message(w->bus, (uint8_t)(s->icr[1] >> 24), low & ICR_LOGICAL, delivery, (uint8_t)low, false);
        break;
    case 1: /* self */
        deliver(dev, delivery, (uint8_t)low, false);
        break;
    default: /* all, including self and excluding it */
        send(w->bus, APIC_ALL, false, delivery, (uint8_t)low, false, (low & ICR_SHORTHAND) >> 18 == 2 ? NULL : dev);
        break;
    }
}

static uint32_t lvt_writable(const struct device *dev, unsigned n)
{
    static const uint32_t writable[LVT_COUNT] = {0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};
    const struct apic_wiring *w = dev->wiring;

    return writable[n] | (n == LVT_TIMER && w->tsc ? LVT_TSC_DEADLINE : 0);
}

static void write_lvt(struct device *dev, unsigned n, uint32_t value)
{
    struct apic_state *s = dev->state;

    value &= lvt_writable(dev, n);
    if (!software_enabled(s))
        value |= LVT_MASKED;
    if (n == LVT_TIMER)
        write_timer(dev, value);
    else
        s->lvt[n] = value | (value & LVT_LEVEL ? s->lvt[n] & LVT_REMOTE_IRR : 0);
}

static void write_svr(struct apic_state *s, uint32_t value)
{
    bool was = software_enabled(s);

    s->svr = value & SVR_WRITABLE;
    if (was && !software_enabled(s)) /* all LVT entries are masked; pending requests are held */
        for (unsigned n = 0; n < LVT_COUNT; n++)
            s->lvt[n] |= LVT_MASKED;
}

static uint32_t read_register(struct device *dev, uint32_t reg)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;

    if (reg >= REG_ISR && reg < REG_ISR + 0x80)
        return s->isr[(reg - REG_ISR) >> 4];
    if (reg >= REG_TMR && reg < REG_TMR + 0x80)
        return s->tmr[(reg - REG_TMR) >> 4];
    if (reg >= REG_IRR && reg < REG_IRR + 0x80)
        return s->irr[(reg - REG_IRR) >> 4];
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR)
        return s->lvt[(reg - REG_LVT_TIMER) >> 4];
    switch (reg) {
    case REG_ID:       return s->mode == APIC_X2 ? w->id : s->id;
    case REG_VERSION:  return VERSION;
    case REG_TPR:      return s->tpr;
    case REG_APR:      return arbitration_priority(s);
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
        note_error(dev, ESR_ILLEGAL_REG);
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
        s->icr[0] = value & ICR_WRITABLE & ~0x1000u; /* delivery status reads 0: sent */
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
            note_error(dev, ESR_ILLEGAL_REG);
        break;
    }
}

/* The APIC of the CPU that makes the access. */
static struct device *own_apic(const struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;

    return w->bus->apics[dev->machine->runner ? dev->machine->runner->index : 0];
}

/* Are the registers where they are mapped? In x2APIC mode they are MSRs only. */
static bool in_memory(const struct device *dev)
{
    const struct apic_state *s = dev->state;

    return s->mode == APIC_MEMORY;
}

static uint64_t apic_read(struct device *any, unsigned range, uint64_t offset, unsigned size)
{
    struct device *dev = own_apic(any);
    uint32_t reg = (uint32_t)offset & 0xff0u;
    uint32_t value;

    (void)range;
    if (!in_memory(dev))
        return UINT64_MAX;
    if ((offset & 15u) + size > 4) /* registers are 32 bits at 16-byte steps; the rest is undefined */
        return 0;
    value = read_register(dev, reg) >> (8 * (offset & 3u));
    return value;
}

static void apic_write(struct device *any, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct device *dev = own_apic(any);
    vtime_t deadline = apic_deadline(dev);

    (void)range;
    if (!in_memory(dev))
        return;
    if ((offset & 15u) || size != 4) /* SDM: anything else is undefined; EOI is written in narrower ways */
        if ((offset & 0xff0u) != REG_EOI && (offset & 0xff0u) != REG_TPR)
            return;
    write_register(dev, (uint32_t)offset & 0xff0u, (uint32_t)value);
    update(dev);
    if (apic_deadline(dev) != deadline) /* which need not be that of `any` */
        machine_attention(dev->machine);
}

/* ---- MSRs (SDM 3A, "x2APIC Register Address Space") ---- */

enum { MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_SELF_IPI = 0x83f };

/* Is there such a register in x2APIC mode, and for reading or for writing? */
static bool msr_exists(uint32_t reg, bool write)
{
    if (reg >= REG_ISR && reg < REG_ESR)
        return !write;
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR)
        return true;
    switch (reg) {
    case REG_TPR: case REG_SVR: case REG_ESR: case REG_ICR_LOW: case REG_INITIAL: case REG_DIVIDE:
        return true;
    case REG_ID: case REG_VERSION: case REG_PPR: case REG_LDR: case REG_CURRENT:
        return !write;
    case REG_EOI:
        return write;
    default:
        return false;
    }
}

/* Bits that may be set where a register is written as an MSR. */
static uint64_t msr_writable(const struct device *dev, uint32_t reg)
{
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR)
        return lvt_writable(dev, (reg - REG_LVT_TIMER) >> 4) | LVT_REMOTE_IRR | 0x1000u; /* and what is read-only */
    switch (reg) {
    case REG_TPR:     return 0xff;
    case REG_SVR:     return SVR_WRITABLE;
    case REG_ICR_LOW: return (uint64_t)0xffffffffu << 32 | ICR_WRITABLE;
    case REG_INITIAL: return 0xffffffffu;
    case REG_DIVIDE:  return 0xb;
    default:          return 0; /* EOI, ESR */
    }
}

bool apic_msr_read(struct device *dev, uint32_t n, uint64_t *value)
{
    const struct apic_wiring *w = dev->wiring;
    const struct apic_state *s = dev->state;
    uint32_t reg = (n - MSR_X2APIC) << 4;

    if (n == MSR_TSC_DEADLINE) {
        *value = s->tsc_deadline;
        return w->tsc != NULL;
    }
    if (s->mode != APIC_X2 || n == MSR_SELF_IPI || !msr_exists(reg, false))
        return false;
    *value = read_register(dev, reg) | (reg == REG_ICR_LOW ? (uint64_t)s->icr[1] << 32 : 0);
    return true;
}

bool apic_msr_write(struct device *dev, uint32_t n, uint64_t value)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    uint32_t reg = (n - MSR_X2APIC) << 4;

    if (n == MSR_TSC_DEADLINE) {
        if (counts_tsc(s)) { /* else it is ignored */
            s->tsc_deadline = value;
            arm_deadline(dev);
        }
        return w->tsc != NULL;
    }
    if (s->mode != APIC_X2)
        return false;
    if (n == MSR_SELF_IPI) {
        if (value > 0xff)
            return false;
        if (value < 16)
            note_error(dev, ESR_SEND_ILLEGAL);
        deliver(dev, APIC_FIXED, (uint8_t)value, false);
        return true;
    }
    if (!msr_exists(reg, true) || (value & ~msr_writable(dev, reg)))
        return false;
    if (reg == REG_ICR_LOW)
        s->icr[1] = (uint32_t)(value >> 32);
    write_register(dev, reg, (uint32_t)value);
    update(dev);
    return true;
}

/* ---- modes ---- */

void apic_set_mode(struct device *dev, enum apic_mode mode)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;
    enum apic_mode was = s->mode;

    s->mode = mode;
    if (mode == APIC_DISABLED && was != mode)
        apic_init(dev);
    if (mode == APIC_X2 && was != mode) {
        s->ldr = x2apic_ldr(w->id);
        s->icr[1] = 0;
    }
    if (mode == APIC_MEMORY && was == APIC_DISABLED)
        s->id = (uint32_t)w->id << 24;
    update(dev);
}

unsigned apic_cr8(const struct device *dev)
{
    const struct apic_state *s = dev->state;

    return s->tpr >> 4;
}

void apic_set_cr8(struct device *dev, unsigned value)
{
    struct apic_state *s = dev->state;

    s->tpr = value << 4;
    update(dev);
}

static void apic_reset(struct device *dev)
{
    const struct apic_wiring *w = dev->wiring;
    struct apic_state *s = dev->state;

    s->id = (uint32_t)w->id << 24;
    s->mode = APIC_DISABLED; /* the board says what the CPU's IA32_APIC_BASE has */
    apic_init(dev);
}

static void apic_describe(const struct device *dev, struct buffer *b)
{
    const struct apic_state *s = dev->state;

    buffer_printf(b, "%s, svr %03x tpr %02x ppr %02x irr %d isr %d ldr %08x dfr %08x\n",
                  s->mode == APIC_X2 ? "x2APIC" : s->mode == APIC_MEMORY ? "enabled" : "disabled", s->svr, s->tpr, processor_priority(s),
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

    return s->mode <= APIC_X2 && s->lint0 <= 1 && s->expired <= 1 && s->extint <= 1 && s->tpr <= 0xff;
}

const struct device_ops apic_ops = {
    .name = "apic",
    .state_size = sizeof(struct apic_state),
    .state_version = 1,
    .possible = apic_possible,
    .reset = apic_reset,
    .calm_reads = true,
    .calm_writes = true,
    .deadline = apic_deadline,
    .expire = apic_expire,
    .describe = apic_describe,
    .interrupts = true,
    .read = apic_read,
    .write = apic_write,
};
