/*
 * Generic timers (DDI 0487 D12), and when the performance monitors' counters overflow (pmu.c),
 * from virtual time: the system counter is virtual nanoseconds / 16 (62.5 MHz).
 *
 * The registers are the CPU's state. One device carries what time alone can
 * change: the levels of the output lines and the exact times of their next
 * changes. Whoever changes a register calls a64_timers_changed().
 *
 * Also here: the event stream (EVNTEN) as far as it can be noticed,
 * that is while WFE sleeps: CNTKCTL_EL1's, of the virtual count, and CNTHCTL_EL2's, of the physical one.
 *
 * Not modelled: CNTFRQ_EL0 is a number only.
 */
#include "aarch64/system.h"

#include "base/buffer.h"

#include <stdio.h>
#include "base/error.h"

#define NS_PER_TICK (1000000000u / A64_CNTFRQ)

#define CTL_ENABLE 1u
#define CTL_IMASK  2u

#define LEVEL_PMU (1u << TIMER_COUNT)

DEVICE_STATE_BEGIN
struct timers_state {
    vtime_t change[TIMER_COUNT]; /* when the timer's condition next changes */
    vtime_t overflow;            /* when the cycle counter does */
    vtime_t event_overflow;      /* when an event counter may */
    vtime_t event;               /* when the event stream wakes WFE */
    uint32_t level;              /* of the output lines: bit TIMER_*, LEVEL_PMU */
    uint32_t reserved;
};
DEVICE_STATE_END

static struct a64_cpu *cpu_of(const struct device *dev)
{
    return dev->wiring;
}

static struct timers_state *state_of(const struct device *dev)
{
    return dev->state;
}

uint64_t a64_count(const struct a64_cpu *c)
{
    return machine_now(c->u.cpu.machine) / NS_PER_TICK;
}

uint64_t a64_timer_count(const struct a64_cpu *c, unsigned t)
{
    return a64_count(c) - (t == TIMER_VIRT ? c->st->cntvoff_el2 : 0);
}

bool a64_timer_condition(const struct a64_cpu *c, unsigned t)
{
    return a64_timer_count(c, t) >= c->st->timer[t].cval;
}

/* When does a counter that shows `now` here show `then`? */
static vtime_t time_of_count(const struct a64_cpu *c, uint64_t now, uint64_t then)
{
    uint64_t count = a64_count(c), ticks = then - now;

    if (ticks > UINT64_MAX / NS_PER_TICK - 1 - count)
        return VTIME_NEVER;
    return (count + ticks) * NS_PER_TICK;
}

/* ---- event stream ---- */

/* The next event of the stream that a control register makes of timer t's count. */
static vtime_t stream_time(const struct a64_cpu *c, uint64_t ctl, unsigned t)
{
    uint64_t count = a64_timer_count(c, t);
    unsigned bit = ctl >> 4 & 15;
    uint64_t period = BIT64(bit + 1), phase = ctl & 8 ? 0 : BIT64(bit);

    if (!(ctl & 4))
        return VTIME_NEVER;
    /* EVNTDIR: the bit goes from 1 to 0, else from 0 to 1. */
    return time_of_count(c, count, count + (period - ((count - phase) & (period - 1))));
}

static vtime_t event_time(const struct a64_cpu *c)
{
    vtime_t el1, el2;

    if (c->st->halted != HALTED_WFE)
        return VTIME_NEVER;
    el1 = stream_time(c, c->st->cntkctl_el1, TIMER_VIRT);
    el2 = stream_time(c, c->st->cnthctl_el2, TIMER_PHYS);
    return el1 < el2 ? el1 : el2;
}

/* ---- the device ---- */

static vtime_t next_change(const struct a64_cpu *c, unsigned t)
{
    uint64_t count = a64_timer_count(c, t);

    if (!(c->st->timer[t].ctl & CTL_ENABLE))
        return VTIME_NEVER;
    if (count < c->st->timer[t].cval)
        return time_of_count(c, count, c->st->timer[t].cval);
    if (t == TIMER_VIRT && c->st->cntvoff_el2 && count && c->st->timer[t].cval)
        return time_of_count(c, count, 0); /* the virtual count wraps round */
    return VTIME_NEVER;
}

static uint32_t levels(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    uint32_t level = 0;

    for (unsigned t = 0; t < TIMER_COUNT; t++)
        if ((s->timer[t].ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE && a64_timer_condition(c, t))
            level |= 1u << t;
    if (a64_pmu_interrupts(c))
        level |= LEVEL_PMU;
    return level;
}

static void drive(struct a64_cpu *c, struct timers_state *st)
{
    uint32_t level = levels(c), changed = level ^ st->level;

    st->level = level;
    for (unsigned t = 0; t < TIMER_COUNT; t++)
        if (changed >> t & 1)
            line_set(&c->timer_line[t], level >> t & 1);
    if (changed & LEVEL_PMU)
        line_set(&c->pmu_line, level & LEVEL_PMU);
}

static void refresh(struct a64_cpu *c)
{
    struct timers_state *st = state_of(c->timers);
    struct a64_pmu v;

    for (unsigned t = 0; t < TIMER_COUNT; t++)
        st->change[t] = next_change(c, t);
    a64_pmu_values(c, &v);
    st->overflow = a64_pmu_cycle_overflow(c, &v);
    st->event_overflow = a64_pmu_event_overflow(c, &v);
    st->event = event_time(c);
    drive(c, st);
}

void a64_pmu_rearm(struct a64_cpu *c, const struct a64_pmu *v)
{
    struct timers_state *st = state_of(c->timers);
    uint32_t level = (st->level & ~LEVEL_PMU) | (a64_pmu_interrupts(c) ? LEVEL_PMU : 0);
    bool changed = level != st->level;

    st->level = level;
    st->overflow = a64_pmu_cycle_overflow(c, v);
    st->event_overflow = a64_pmu_event_overflow(c, v);
    if (changed)
        line_set(&c->pmu_line, level & LEVEL_PMU);
    machine_attention(c->u.cpu.machine);
}

void a64_timers_changed(struct a64_cpu *c)
{
    refresh(c);
    machine_attention(c->u.cpu.machine);
}

static void timers_reset(struct device *dev)
{
    struct timers_state *st = state_of(dev);

    for (unsigned t = 0; t < TIMER_COUNT; t++)
        st->change[t] = VTIME_NEVER;
    st->overflow = st->event_overflow = st->event = VTIME_NEVER;
    st->level = 0;
}

static vtime_t timers_deadline(const struct device *dev)
{
    const struct timers_state *st = state_of(dev);
    vtime_t least = st->overflow < st->event ? st->overflow : st->event;

    if (st->event_overflow < least)
        least = st->event_overflow;
    for (unsigned t = 0; t < TIMER_COUNT; t++)
        if (st->change[t] < least)
            least = st->change[t];
    return least;
}

static void timers_expire(struct device *dev, vtime_t now)
{
    struct timers_state *st = state_of(dev);
    struct a64_cpu *c = cpu_of(dev);

    if (st->overflow <= now || st->event_overflow <= now) {
        struct a64_pmu v;

        a64_pmu_hold(c, &v);
        if (st->overflow <= now)
            v.overflow |= BIT64(A64_CYCLE_COUNTER);
        a64_pmu_release(c, &v);
    }
    if (st->event <= now && c->st->halted == HALTED_WFE)
        c->st->halted = 0;
    refresh(c);
}

static void timers_describe(const struct device *dev, struct buffer *out)
{
    static const char *const names[TIMER_COUNT] = {"physical", "virtual", "hypervisor", "secure"};
    const struct timers_state *st = state_of(dev);
    const struct a64_cpu *c = cpu_of(dev);

    buffer_printf(out, "count %llu\n", (unsigned long long)a64_count(c));
    for (unsigned t = 0; t < TIMER_COUNT; t++)
        buffer_printf(out, "%-10s ctl %x cval %llu line %u\n", names[t], (unsigned)c->st->timer[t].ctl,
                      (unsigned long long)c->st->timer[t].cval, st->level >> t & 1);
}

static const struct device_ops timers_ops = {
    .name = "timers",
    .state_size = sizeof(struct timers_state),
    .reset = timers_reset,
    .deadline = timers_deadline,
    .expire = timers_expire,
    .describe = timers_describe,
};

struct device *a64_add_timers(struct a64_cpu *c)
{
    unsigned n = c->u.cpu.index;
    char name[16];
    struct device *dev;

    snprintf(name, sizeof name, n ? "timers%u" : "timers", n);
    dev = machine_add_device(c->u.cpu.machine, &timers_ops, name, c);

    timers_reset(dev);
    return dev;
}
