/*
 * High precision event timers (IA-PC HPET specification 1.0a): a 64-bit counter of 100 MHz and three
 * comparators, each one-shot or periodic, of 64 or 32 bits, by edges or levels; legacy replacement, in which
 * timers 0 and 1 take the place of PIT and RTC. As QEMU's on the pc board: every timer can be periodic, and
 * reaches input 2 of the I/O APIC.
 *
 * Nothing is counted: the counter is a function of the ticks since it was started, and each timer
 * remembers the tick of its next match. Matches that nobody waits for are made up for at the next access.
 *
 * Writing a periodic comparator after VAL_SET sets the accumulator and the period; without it
 * the period only (2.3.9.2.2; both ways of programming, with one write and with two, come out right). In
 * 32-bit one-shot mode the wrap of the counter interrupts, too (2.3.9.2.1). The counter can be written
 * while it is halted. Registers are accessed by 4 or 8 bytes.
 *
 * Not modelled: interrupts as messages (FSB), as the capabilities say.
 */
#include "i386/pc/hpet.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

#define HPET_HZ     100000000u
#define PERIOD_FS   10000000ull
#define TICK_NEVER  UINT64_MAX

enum { CAPABILITIES = 0x000, CONFIG = 0x010, STATUS = 0x020, COUNTER = 0x0f0, TIMER = 0x100, TIMER_STRIDE = 0x20 };
enum { TIMER_CONFIG = 0x00, TIMER_COMPARATOR = 0x08 };

#define CONFIG_ENABLE 1u
#define CONFIG_LEGACY 2u

#define TN_LEVEL    0x0002u
#define TN_ENABLE   0x0004u
#define TN_PERIODIC 0x0008u
#define TN_VAL_SET  0x0040u
#define TN_32_BIT   0x0100u
#define TN_WRITABLE 0x014eu
#define TN_ROUTE_SHIFT 9u
#define TN_ROUTE    (0x1fu << TN_ROUTE_SHIFT)
#define TN_CAN_PERIODIC 0x0010u
#define TN_CAN_64   0x0020u
#define ROUTES      0x4u /* input 2 */
#define TN_RESET    ((uint64_t)ROUTES << 32 | TN_CAN_PERIODIC | TN_CAN_64)

DEVICE_STATE_BEGIN
struct hpet_timer {
    uint64_t config;
    uint64_t comparator;
    uint64_t period;
    uint64_t next;     /* tick of the next match; TICK_NEVER: none */
};

struct hpet_state {
    uint64_t config, status;
    uint64_t counter;  /* at tick `since`; the value while it is halted */
    uint64_t since;
    struct hpet_timer timer[HPET_TIMERS];
    uint8_t legacy_in; /* levels of PIT and RTC */
    uint8_t gsi2_held; /* by a level-triggered timer */
    uint8_t reserved[6];
};
DEVICE_STATE_END

static uint64_t tick_now(const struct device *dev)
{
    return clock_ticks(machine_now(dev->machine), HPET_HZ);
}

static uint64_t counter_at(const struct hpet_state *s, uint64_t tick)
{
    return s->config & CONFIG_ENABLE ? s->counter + (tick - s->since) : s->counter;
}

/* ---- lines ---- */

static bool replaces(const struct hpet_state *s, unsigned n)
{
    return n < 2 && (s->config & CONFIG_LEGACY);
}

static const struct line *line_of(const struct device *dev, unsigned n)
{
    static const struct line none;
    const struct hpet_wiring *w = dev->wiring;
    const struct hpet_state *s = dev->state;

    if (replaces(s, n))
        return n ? &w->irq8 : &w->irq0;
    return (s->timer[n].config & TN_ROUTE) >> TN_ROUTE_SHIFT == 2 ? &w->gsi2 : &none;
}

static bool level_of(const struct hpet_state *s, unsigned n)
{
    return (s->timer[n].config & TN_ENABLE) && (s->timer[n].config & TN_LEVEL) && (s->status >> n & 1u);
}

static bool level_of_irq(const struct hpet_state *s, unsigned n)
{
    return replaces(s, n) ? level_of(s, n) : s->legacy_in >> n & 1u;
}

/* IRQ 0 reaches the same input. */
static void drive_gsi2(struct device *dev)
{
    const struct hpet_wiring *w = dev->wiring;
    struct hpet_state *s = dev->state;
    bool held = false;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        held = held || (line_of(dev, n) == &w->gsi2 && level_of(s, n));
    if (held || s->gsi2_held)
        line_set(&w->gsi2, held || level_of_irq(s, 0));
    s->gsi2_held = held;
}

static void drive_all(struct device *dev)
{
    const struct hpet_wiring *w = dev->wiring;
    const struct hpet_state *s = dev->state;

    line_set(&w->irq0, level_of_irq(s, 0));
    line_set(&w->irq8, level_of_irq(s, 1));
    drive_gsi2(dev);
}

bool hpet_replaces(const struct device *dev, unsigned n)
{
    return replaces(dev->state, n);
}

void hpet_set_legacy(void *ctx, unsigned n, bool level)
{
    struct device *dev = ctx;
    const struct hpet_wiring *w = dev->wiring;
    struct hpet_state *s = dev->state;
    uint8_t bit = (uint8_t)(1u << n);

    s->legacy_in = level ? s->legacy_in | bit : s->legacy_in & (uint8_t)~bit;
    if (replaces(s, n))
        return;
    line_set(n ? &w->irq8 : &w->irq0, level);
    drive_gsi2(dev);
}

static void pulse(const struct device *dev, unsigned n)
{
    const struct hpet_wiring *w = dev->wiring;
    const struct hpet_state *s = dev->state;
    const struct line *line = line_of(dev, n);

    line_set(line, false);
    line_set(line, true);
    line_set(line, line == &w->gsi2 && (s->gsi2_held || level_of_irq(s, 0)));
}

/* ---- matches ---- */

static bool is_periodic(const struct hpet_timer *t)
{
    return t->config & TN_PERIODIC;
}

/* The first tick from `from` on at which timer and counter agree. */
static uint64_t match_from(const struct hpet_state *s, const struct hpet_timer *t, uint64_t from)
{
    uint64_t counter = counter_at(s, from), ahead = t->comparator - counter, wrap;

    if (!(s->config & CONFIG_ENABLE))
        return TICK_NEVER;
    if (t->config & TN_32_BIT) {
        ahead &= UINT32_MAX;
        wrap = (0 - counter) & UINT32_MAX;
        if (!is_periodic(t) && wrap < ahead)
            ahead = wrap;
    }
    return ahead > TICK_NEVER - from ? TICK_NEVER : from + ahead;
}

static void reschedule(struct hpet_state *s, uint64_t tick)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        s->timer[n].next = match_from(s, &s->timer[n], tick);
}

/* Timer `n` has matched at `next`, or several times since then. */
static void matched(struct device *dev, unsigned n, uint64_t tick)
{
    struct hpet_state *s = dev->state;
    struct hpet_timer *t = &s->timer[n];
    uint64_t times;

    if (is_periodic(t) && t->period && t->period <= TICK_NEVER - tick) {
        times = (tick - t->next) / t->period + 1;
        t->comparator += times * t->period;
        if (t->config & TN_32_BIT)
            t->comparator &= UINT32_MAX;
        t->next += times * t->period;
    } else {
        t->next = tick == TICK_NEVER ? TICK_NEVER : match_from(s, t, tick + 1);
    }
    if (t->config & TN_LEVEL) {
        s->status |= (uint64_t)1 << n;
        drive_all(dev);
    } else if (t->config & TN_ENABLE) {
        pulse(dev, n);
    }
}

static void catch_up(struct device *dev, uint64_t tick)
{
    const struct hpet_state *s = dev->state;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (s->timer[n].next <= tick)
            matched(dev, n, tick);
}

/* ---- registers ---- */

static uint64_t read_register(const struct hpet_state *s, unsigned reg, uint64_t tick)
{
    unsigned n = (reg - TIMER) / TIMER_STRIDE;

    switch (reg) {
    case CAPABILITIES: return PERIOD_FS << 32 | HPET_BLOCK_ID;
    case CONFIG:       return s->config;
    case STATUS:       return s->status;
    case COUNTER:      return counter_at(s, tick);
    default:           break;
    }
    if (reg < TIMER || n >= HPET_TIMERS)
        return 0;
    switch ((reg - TIMER) % TIMER_STRIDE) {
    case TIMER_CONFIG:     return s->timer[n].config;
    case TIMER_COMPARATOR: return s->timer[n].comparator;
    default:               return 0;
    }
}

static void write_config(struct hpet_state *s, uint64_t value, uint64_t tick)
{
    uint64_t counter = counter_at(s, tick);

    s->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    s->counter = counter;
    s->since = tick;
}

static void write_timer_config(struct hpet_timer *t, uint64_t value)
{
    uint64_t route = (value & TN_ROUTE) >> TN_ROUTE_SHIFT;

    t->config = (t->config & ~(uint64_t)TN_WRITABLE) | (value & TN_WRITABLE);
    if (ROUTES >> route & 1u)
        t->config = (t->config & ~(uint64_t)TN_ROUTE) | (value & TN_ROUTE);
    if (t->config & TN_32_BIT) {
        t->comparator &= UINT32_MAX;
        t->period &= UINT32_MAX;
    }
}

static uint64_t merge(uint64_t old, uint64_t value, uint64_t mask)
{
    return (old & ~mask) | (value & mask);
}

static void write_comparator(struct hpet_timer *t, uint64_t value, uint64_t mask)
{
    if (t->config & TN_32_BIT)
        value &= UINT32_MAX;
    if (!is_periodic(t) || (t->config & TN_VAL_SET))
        t->comparator = merge(t->comparator, value, mask);
    if (is_periodic(t))
        t->period = merge(t->period, value, mask);
    t->config &= ~(uint64_t)TN_VAL_SET;
}

static void write_register(struct hpet_state *s, unsigned reg, uint64_t value, uint64_t mask, uint64_t tick)
{
    unsigned n = (reg - TIMER) / TIMER_STRIDE;

    if (reg == CONFIG)
        write_config(s, merge(s->config, value, mask), tick);
    else if (reg == STATUS)
        s->status &= ~(value & mask);
    else if (reg == COUNTER && !(s->config & CONFIG_ENABLE))
        s->counter = merge(s->counter, value, mask);
    else if (reg < TIMER || n >= HPET_TIMERS)
        return;
    else if ((reg - TIMER) % TIMER_STRIDE == TIMER_CONFIG)
        write_timer_config(&s->timer[n], merge(s->timer[n].config, value, mask));
    else if ((reg - TIMER) % TIMER_STRIDE == TIMER_COMPARATOR)
        write_comparator(&s->timer[n], value, mask);
}

static uint64_t hpet_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    uint64_t tick = tick_now(dev), value;

    (void)range;
    if (size < 4)
        return UINT64_MAX;
    catch_up(dev, tick);
    value = read_register(dev->state, (unsigned)offset & ~7u, tick);
    return offset & 4u ? value >> 32 : value;
}

static void hpet_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t tick = tick_now(dev), mask = size == 8 ? UINT64_MAX : UINT32_MAX;
    unsigned shift = offset & 4u ? 32 : 0;

    (void)range;
    if (size < 4)
        return;
    catch_up(dev, tick);
    write_register(dev->state, (unsigned)offset & ~7u, value << shift, mask << shift, tick);
    reschedule(dev->state, tick);
    drive_all(dev);
    machine_attention(dev->machine);
}

/* ---- the device ---- */

static void hpet_reset(struct device *dev)
{
    struct hpet_state *s = dev->state;
    uint8_t legacy = s->legacy_in;

    memset(s, 0, sizeof(*s));
    s->legacy_in = legacy;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        s->timer[n] = (struct hpet_timer){.config = TN_RESET, .comparator = UINT64_MAX, .next = TICK_NEVER};
    drive_all(dev);
}

static vtime_t hpet_deadline(const struct device *dev)
{
    const struct hpet_state *s = dev->state;
    uint64_t next = TICK_NEVER;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if ((s->timer[n].config & TN_ENABLE) && !level_of(s, n) && s->timer[n].next < next)
            next = s->timer[n].next;
    return next == TICK_NEVER ? VTIME_NEVER : clock_time(next, HPET_HZ);
}

static void hpet_expire(struct device *dev, vtime_t now)
{
    catch_up(dev, clock_ticks(now, HPET_HZ));
}

static void hpet_describe(const struct device *dev, struct buffer *b)
{
    const struct hpet_state *s = dev->state;

    buffer_printf(b, "counter %016llx%s%s, status %x\n", (unsigned long long)counter_at(s, tick_now(dev)),
                  s->config & CONFIG_ENABLE ? "" : " halted", s->config & CONFIG_LEGACY ? " legacy replacement" : "",
                  (unsigned)s->status);
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        buffer_printf(b, "timer %u: config %08x comparator %016llx period %llx\n", n, (unsigned)s->timer[n].config,
                      (unsigned long long)s->timer[n].comparator, (unsigned long long)s->timer[n].period);
}

const struct device_ops hpet_ops = {
    .name = "hpet",
    .state_size = sizeof(struct hpet_state),
    .reset = hpet_reset,
    .deadline = hpet_deadline,
    .expire = hpet_expire,
    .describe = hpet_describe,
    .read = hpet_read,
    .write = hpet_write,
};
