/*
 * The 8254 programmable interval timer (Intel 231164) and the port 61h around
 * it: gate of counter 2, speaker data, OUT2, and the refresh toggle, which
 * changes with every second request of a counter 1 programmed as the BIOS does
 * (18 ticks) whatever counter 1 really holds.
 *
 * The counters are never counted: each remembers the crystal tick at which its
 * counting element was loaded, and its value and output are functions of the
 * ticks elapsed since then. All six modes, BCD, gate, latches and read-back are
 * exact to the tick. A count written is loaded by the next tick, as the data
 * sheet says. A mode whose control word was written but not its count stands still.
 *
 * What the speaker makes of it is in pcspk.c. Not modelled: NMI sources of port 61h (read as 0).
 */
#include "i386/pc/pit.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

#define CONTROL_PORT 3u
#define TICK_NEVER   UINT64_MAX
#define REFRESH_TICKS 18u

enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };

DEVICE_STATE_BEGIN
struct pit_counter {
    uint64_t start;       /* tick of the load of the counting element (may be one ahead) */
    uint64_t held;        /* ticks counted when the gate stopped it */
    uint64_t next_at;     /* modes 2, 3: tick at which `next_count` takes over; TICK_NEVER: none */
    uint32_t count;       /* counts per cycle in effect: 1 to 65536 (10000 in BCD) */
    uint32_t next_count;
    uint16_t latch;       /* latched count, as it is read */
    uint8_t latch_bytes;  /* bytes of it still to be read: 0: not latched */
    uint8_t latch_high;   /* the next latched byte is the high one */
    uint8_t status;       /* latched status */
    uint8_t status_latched;
    uint8_t mode;         /* 0-5 */
    uint8_t rw;           /* RW_* */
    uint8_t bcd;
    uint8_t read_high;    /* RW_BOTH: next read is the high byte */
    uint8_t write_high;   /* RW_BOTH: next write is the high byte */
    uint8_t write_low;    /* the low byte written */
    uint8_t gate;
    uint8_t counting;     /* the counting element was loaded (or will be at `start`) */
    uint8_t stopped;      /* by the gate, or by the first byte of a count in mode 0 */
    uint8_t out_before;   /* OUT until `start` */
    uint8_t written;      /* a count was written since the control word */
    uint8_t reserved[7];
};

struct pit_state {
    struct pit_counter counter[3];
    uint64_t edge;        /* tick of the next change of OUT0 */
    uint8_t speaker;      /* port 61h bits 0-1 as written */
    uint8_t reserved[7];
};
DEVICE_STATE_END

static uint64_t ticks_now(const struct device *dev)
{
    return clock_ticks(machine_now(dev->machine), PIT_HZ);
}

/* Let a new count of modes 2 and 3 take over when its time has come. */
static void settle(struct pit_counter *c, uint64_t tick)
{
    bool low_half;

    if (tick < c->next_at)
        return;
    /* Mode 3 reloads at each half cycle: the low half begins late in the new cycle. */
    low_half = c->mode == 3 && (c->next_at - c->start) % c->count != 0;
    c->count = c->next_count;
    c->start = c->next_at - (low_half ? (c->count + 1) / 2 : 0);
    c->next_at = TICK_NEVER;
}

/* Ticks counted at `tick`; call only when loaded. */
static uint64_t elapsed(const struct pit_counter *c, uint64_t tick)
{
    return c->stopped ? c->held : tick - c->start;
}

static bool loaded(const struct pit_counter *c, uint64_t tick)
{
    return c->counting && (c->stopped || tick >= c->start);
}

static bool output(const struct pit_counter *c, uint64_t tick)
{
    uint64_t e;

    if (!loaded(c, tick))
        return c->out_before;
    e = elapsed(c, tick);
    switch (c->mode) {
    case 0:
    case 1:
        return e >= c->count;
    case 2:
        return c->stopped || e % c->count != c->count - 1 || c->count == 1;
    case 3:
        return c->stopped || e % c->count < (c->count + 1) / 2;
    default:
        return e != c->count;
    }
}

/* The first tick after `tick` at which the output may change. */
static uint64_t next_edge(const struct pit_counter *c, uint64_t tick)
{
    uint64_t e, p;

    if (!c->counting || c->stopped)
        return TICK_NEVER;
    if (tick < c->start)
        return c->start;
    e = tick - c->start;
    p = e % c->count;
    switch (c->mode) {
    case 0:
    case 1:
        return e < c->count ? c->start + c->count : TICK_NEVER;
    case 2:
        return tick - p + (p < c->count - 1 ? c->count - 1 : c->count);
    case 3:
        return tick - p + (p < (c->count + 1) / 2 && c->count > 1 ? (c->count + 1) / 2 : c->count);
    default:
        if (e > c->count)
            return TICK_NEVER;
        return c->start + c->count + (e == c->count);
    }
}

static uint32_t modulus(const struct pit_counter *c)
{
    return c->bcd ? 10000 : 0x10000;
}

static uint16_t to_bcd(uint32_t n)
{
    return (uint16_t)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12 & 15u) * 1000;
}

/* What the counting element holds, as it is read. */
static uint16_t value(const struct pit_counter *c, uint64_t tick)
{
    uint64_t e = loaded(c, tick) ? elapsed(c, tick) : 0;
    uint64_t p = e % c->count;
    uint64_t half = (c->count + 1) / 2;
    uint32_t v;

    switch (c->mode) {
    case 2:
        v = (uint32_t)(c->count - p);
        break;
    case 3:
        v = (uint32_t)((c->count & ~1u) - 2 * (p < half ? p : p - half));
        break;
    default:
        v = (uint32_t)((c->count + modulus(c) - e % modulus(c)) % modulus(c));
        break;
    }
    v %= modulus(c);
    return c->bcd ? to_bcd(v) : (uint16_t)v;
}

/* Begin a cycle with the next tick. */
static void load(struct pit_counter *c, uint64_t tick, uint32_t count)
{
    c->out_before = output(c, tick);
    c->count = count;
    c->start = tick + 1;
    c->next_at = TICK_NEVER;
    c->counting = 1;
    c->stopped = 0;
    c->held = 0;
}

static void count_written(struct pit_counter *c, uint64_t tick, uint16_t raw)
{
    uint32_t count = c->bcd ? from_bcd(raw) : raw;
    bool first = !c->written;

    if (count == 0)
        count = modulus(c);
    c->written = 1;
    c->next_count = count;
    switch (c->mode) {
    case 0:
    case 4:
        load(c, tick, count);
        c->out_before = c->mode != 0;
        if (!c->gate) { /* loaded all the same, but does not count */
            c->stopped = 1;
            c->held = 0;
        }
        break;
    case 2:
    case 3:
        if (first) {
            load(c, tick, count);
            c->stopped = !c->gate;
        } else if (c->stopped) {
            c->count = count;
        } else if (tick < c->start) {
            c->count = count;
        } else {
            c->next_at = next_edge(c, tick);
            if (c->mode == 2 && (c->next_at - c->start) % c->count)
                c->next_at++; /* the cycle ends with the low tick, not before it */
        }
        break;
    default: /* 1 and 5 wait for a trigger, which takes next_count */
        if (first && !c->counting)
            c->count = count;
        break;
    }
}

static void control_written(struct pit_counter *c, uint8_t control)
{
    c->rw = control >> 4 & 3u;
    c->mode = control >> 1 & 7u;
    if (c->mode > 5)
        c->mode -= 4; /* X10 and X11 */
    c->bcd = control & 1u;
    c->out_before = c->mode != 0;
    c->counting = 0;
    c->stopped = 0;
    c->written = 0;
    c->next_at = TICK_NEVER;
    c->read_high = 0;
    c->write_high = 0;
    c->latch_bytes = 0;
    c->status_latched = 0;
}

static void latch_count(struct pit_counter *c, uint64_t tick)
{
    if (c->latch_bytes)
        return; /* the first latch holds until it is read */
    c->latch = value(c, tick);
    c->latch_bytes = c->rw == RW_BOTH ? 2 : 1;
    c->latch_high = c->rw == RW_HIGH;
}

static void latch_status(struct pit_counter *c, uint64_t tick)
{
    bool null_count = !c->written || c->next_at != TICK_NEVER || !loaded(c, tick);

    if (c->status_latched)
        return;
    c->status = (uint8_t)(output(c, tick) << 7 | null_count << 6 | c->rw << 4 | c->mode << 1 | c->bcd);
    c->status_latched = 1;
}

static void write_control(struct pit_state *s, uint64_t tick, uint8_t control)
{
    unsigned select = control >> 6;

    if (select == 3) {
        for (unsigned n = 0; n < 3; n++) {
            if (!(control >> (n + 1) & 1u))
                continue;
            if (!(control & 0x20u))
                latch_count(&s->counter[n], tick);
            if (!(control & 0x10u))
                latch_status(&s->counter[n], tick);
        }
    } else if ((control >> 4 & 3u) == RW_LATCH) {
        latch_count(&s->counter[select], tick);
    } else {
        control_written(&s->counter[select], control);
    }
}

static void write_counter(struct pit_counter *c, uint64_t tick, uint8_t byte)
{
    switch (c->rw) {
    case RW_LOW:
        count_written(c, tick, byte);
        break;
    case RW_HIGH:
        count_written(c, tick, (uint16_t)(byte << 8));
        break;
    case RW_BOTH:
        if (c->write_high) {
            count_written(c, tick, (uint16_t)(byte << 8 | c->write_low));
        } else {
            c->write_low = byte;
            if (c->mode == 0) { /* the first byte stops the counting and lowers OUT */
                c->counting = 0;
                c->out_before = 0;
            }
        }
        c->write_high = !c->write_high;
        break;
    default: /* no control word was ever written */
        break;
    }
}

static uint8_t read_counter(struct pit_counter *c, uint64_t tick)
{
    uint16_t v;
    bool high;

    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->latch_bytes) {
        high = c->latch_high;
        c->latch_bytes--;
        c->latch_high = 1;
        return (uint8_t)(high ? c->latch >> 8 : c->latch);
    }
    v = value(c, tick);
    high = c->rw == RW_HIGH || (c->rw == RW_BOTH && c->read_high);
    if (c->rw == RW_BOTH)
        c->read_high = !c->read_high;
    return (uint8_t)(high ? v >> 8 : v);
}

static void set_gate(struct pit_counter *c, uint64_t tick, bool gate)
{
    bool rises = gate && !c->gate;
    bool falls = !gate && c->gate;

    c->gate = gate;
    if (!c->written)
        return;
    switch (c->mode) {
    case 0:
    case 4:
        if (falls && c->counting && !c->stopped) {
            c->held = tick >= c->start ? tick - c->start : 0;
            c->stopped = 1;
        } else if (rises && c->stopped) {
            c->start = tick - c->held;
            c->stopped = 0;
        }
        break;
    case 2:
    case 3:
        if (falls && !c->stopped) {
            c->held = tick >= c->start ? (tick - c->start) % c->count : 0;
            c->stopped = 1;
        } else if (rises) {
            load(c, tick, c->next_count);
            c->out_before = 1;
        }
        break;
    default:
        if (rises)
            load(c, tick, c->next_count);
        break;
    }
}

/* Drive IRQ 0 to what OUT0 is at `tick`, and look for the next change. */
static void follow_out0(struct device *dev, uint64_t tick)
{
    const struct pit_wiring *w = dev->wiring;
    struct pit_state *s = dev->state;

    settle(&s->counter[0], tick);
    line_set(&w->irq, output(&s->counter[0], tick));
    s->edge = next_edge(&s->counter[0], tick);
}

static uint8_t read_port_61(struct pit_state *s, uint64_t tick)
{
    return (uint8_t)(s->speaker | (tick / REFRESH_TICKS & 1u) << 4 | output(&s->counter[2], tick) << 5);
}

static void tell_speaker(const struct device *dev, bool changed)
{
    const struct pit_wiring *w = dev->wiring;

    if (w->speaker)
        (changed ? w->speaker_changed : w->speaker_sync)(w->speaker);
}

static uint64_t pit_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct pit_state *s = dev->state;
    uint64_t tick = ticks_now(dev);

    (void)size;
    tell_speaker(dev, false);
    for (unsigned n = 0; n < 3; n++)
        settle(&s->counter[n], tick);
    if (range == PIT_PORT_61)
        return read_port_61(s, tick);
    if (offset == CONTROL_PORT)
        return UINT64_MAX;
    return read_counter(&s->counter[offset], tick);
}

static void pit_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t data)
{
    struct pit_state *s = dev->state;
    uint64_t tick = ticks_now(dev);

    (void)size;
    tell_speaker(dev, false);
    for (unsigned n = 0; n < 3; n++)
        settle(&s->counter[n], tick);
    if (range == PIT_PORT_61) {
        s->speaker = (uint8_t)data & 3u;
        set_gate(&s->counter[2], tick, data & 1u);
    } else {
        if (offset == CONTROL_PORT)
            write_control(s, tick, (uint8_t)data);
        else
            write_counter(&s->counter[offset], tick, (uint8_t)data);
        follow_out0(dev, tick);
    }
    tell_speaker(dev, true);
}

/* ---- the speaker ---- */

bool pit_speaker_data(const struct device *pit)
{
    return ((const struct pit_state *)pit->state)->speaker & 2u;
}

bool pit_speaker_counts(const struct device *pit)
{
    const struct pit_counter *c = &((const struct pit_state *)pit->state)->counter[2];
    bool periodic = c->mode == 2 || c->mode == 3;

    if (c->next_at != TICK_NEVER)
        return true;
    return periodic ? c->counting && !c->stopped && c->count > 1 : next_edge(c, ticks_now(pit)) != TICK_NEVER;
}

/* Of the first `e` ticks of a counter that counts, those with OUT high. */
static uint64_t high_ticks(const struct pit_counter *c, uint64_t e)
{
    uint64_t cycles = e / c->count, p = e % c->count, half = (c->count + 1) / 2;

    switch (c->mode) {
    case 0:
    case 1:
        return e > c->count ? e - c->count : 0;
    case 2:
        return c->count == 1 ? e : cycles * (c->count - 1) + p;
    case 3:
        return cycles * half + (p < half ? p : half);
    default:
        return e - (e > c->count);
    }
}

/* The same of the ticks from `from` to `to`, while the count does not change. */
static uint64_t high_between(const struct pit_counter *c, uint64_t from, uint64_t to)
{
    uint64_t start = from > c->start ? from : c->start, high = 0;

    if (!c->counting || c->stopped)
        return output(c, from) ? to - from : 0;
    if (from < c->start)
        high = c->out_before ? (to < c->start ? to : c->start) - from : 0;
    return to > start ? high + high_ticks(c, to - c->start) - high_ticks(c, start - c->start) : high;
}

/* Nanoseconds of the tick in progress that have passed, times PIT_HZ. */
static uint64_t into_tick(vtime_t t)
{
    return t % NS_PER_SEC * PIT_HZ % NS_PER_SEC;
}

uint64_t pit_speaker_driven(const struct device *pit, vtime_t from, vtime_t to)
{
    const struct pit_state *s = pit->state;
    struct pit_counter c = s->counter[2];
    uint64_t a = clock_ticks(from, PIT_HZ), b = clock_ticks(to, PIT_HZ), high = 0, before;

    if (!(s->speaker & 2u))
        return 0;
    settle(&c, a);
    before = output(&c, a) ? into_tick(from) : 0;
    if (c.next_at < b) {
        high = high_between(&c, a, c.next_at);
        a = c.next_at;
        settle(&c, a);
    }
    high += high_between(&c, a, b);
    settle(&c, b);
    return high * NS_PER_SEC + (output(&c, b) ? into_tick(to) : 0) - before;
}

static void pit_reset(struct device *dev)
{
    struct pit_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 3; n++) {
        s->counter[n].count = 0x10000;
        s->counter[n].next_count = 0x10000;
        s->counter[n].rw = RW_BOTH;
        s->counter[n].mode = 3;
        s->counter[n].out_before = 1;
        s->counter[n].next_at = TICK_NEVER;
        s->counter[n].gate = n != 2;
    }
    follow_out0(dev, ticks_now(dev));
}

static vtime_t pit_deadline(const struct device *dev)
{
    const struct pit_state *s = dev->state;

    return s->edge == TICK_NEVER ? VTIME_NEVER : clock_time(s->edge, PIT_HZ);
}

static bool pit_unheard(const struct device *dev)
{
    const struct pit_wiring *w = dev->wiring;

    return w->irq_heard && !w->irq_heard(w->irq_ctx);
}

/* One change of OUT0 a call, in order, so that no edge is lost however late we are. */
static void pit_expire(struct device *dev, vtime_t now)
{
    struct pit_state *s = dev->state;

    (void)now;
    if (s->edge != TICK_NEVER)
        follow_out0(dev, s->edge);
}

static void pit_describe(const struct device *dev, struct buffer *b)
{
    const struct pit_state *s = dev->state;
    uint64_t tick = ticks_now(dev);

    for (unsigned n = 0; n < 3; n++) {
        const struct pit_counter *c = &s->counter[n];

        buffer_printf(b, "counter %u: mode %u%s, %u counts, gate %u, out %u, value %04x\n", n, c->mode,
                      c->bcd ? " bcd" : "", (unsigned)c->count, c->gate, output(c, tick), value(c, tick));
    }
}

static bool counter_possible(const struct pit_counter *c, uint64_t tick)
{
    return c->count >= 1 && c->count <= 0x10000 && c->next_count >= 1 && c->next_count <= 0x10000 && c->mode <= 5 &&
           c->start <= tick + 0x10000 && c->held <= tick &&
           (c->next_at == TICK_NEVER || (c->next_at >= c->start && c->next_at <= tick + 0x20000)) &&
           c->latch_bytes <= 2 && c->bcd <= 1 && c->gate <= 1 && c->counting <= 1 && c->stopped <= 1;
}

static bool pit_possible(const struct device *dev)
{
    const struct pit_state *s = dev->state;

    for (unsigned n = 0; n < 3; n++)
        if (!counter_possible(&s->counter[n], ticks_now(dev)))
            return false;
    return true;
}

const struct device_ops pit_ops = {
    .name = "pit",
    .state_size = sizeof(struct pit_state),
    .calm_reads = true,
    .possible = pit_possible,
    .reset = pit_reset,
    .deadline = pit_deadline,
    .unheard = pit_unheard,
    .expire = pit_expire,
    .describe = pit_describe,
    .read = pit_read,
    .write = pit_write,
};
