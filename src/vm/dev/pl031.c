/*
 * The PrimeCell real-time clock PL031 (ARM DDI 0224): a 32-bit counter of
 * seconds since 1970 with one match register.
 *
 * The date comes from the host's clock, read once: when the guest first needs
 * it (that reading is an event of the recording). From there on time passes
 * virtually; or else (machine.follow_host_clock) the host's clock is read whenever the guest looks, until the guest
 * sets the time itself. A reset keeps the time, as a battery would.
 *
 * Not modelled: the test registers. CR.RTCstart reads as 1 (the clock always
 * runs); writing it does not restart the counter.
 */
#include "vm/dev/pl031.h"

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum {
    RTCDR = 0x00, RTCMR = 0x04, RTCLR = 0x08, RTCCR = 0x0c, RTCIMSC = 0x10, RTCRIS = 0x14, RTCMIS = 0x18,
    RTCICR = 0x1c, PERIPH_ID = 0xfe0,
};

#define TIME_IS_GUESTS 2u

static const uint8_t ids[8] = {0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

DEVICE_STATE_BEGIN
struct pl031_state {
    uint32_t have_time; /* `offset` is valid: the host's clock was read; TIME_IS_GUESTS: the guest has set it */
    uint32_t mr, lr, imsc, ris;
    uint32_t offset;    /* counter = offset + whole seconds of virtual time, modulo 2^32 */
    uint64_t match_at;  /* vtime of the next match, or VTIME_NEVER */
};
DEVICE_STATE_END

static void update_irq(struct device *dev)
{
    const struct pl031_wiring *w = dev->wiring;
    const struct pl031_state *s = dev->state;

    line_set(&w->irq, s->ris & s->imsc);
}

static vtime_t match_time(const struct device *dev, uint32_t ahead)
{
    uint64_t seconds = machine_now(dev->machine) / NS_PER_SEC + (ahead ? ahead : (uint64_t)1 << 32);

    return seconds * NS_PER_SEC;
}

/* The counter is set to the host's clock; a match that it passes over comes now. */
static void follow_host(struct device *dev, uint32_t now)
{
    struct pl031_state *s = dev->state;
    uint32_t before = s->offset + now, passed;
    bool first = !s->have_time;

    s->have_time = 1;
    s->offset = (uint32_t)(machine_host_clock(dev->machine) / NS_PER_SEC) - now;
    passed = s->offset + now - before;
    if (first || !passed || s->match_at == VTIME_NEVER)
        return;
    if (s->mr - before - 1 < passed && passed < (uint32_t)1 << 31)
        s->ris = 1;
    s->match_at = match_time(dev, s->mr - before - passed);
    update_irq(dev);
}

static uint32_t counter(struct device *dev)
{
    struct pl031_state *s = dev->state;
    uint32_t now = (uint32_t)(machine_now(dev->machine) / NS_PER_SEC);

    if (!s->have_time || (dev->machine->follow_host_clock && s->have_time != TIME_IS_GUESTS))
        follow_host(dev, now);
    return s->offset + now;
}

/* After a change of the counter or of MR: they may be equal now; if not, they are next in
 * (MR - counter) seconds. */
static void compare(struct device *dev)
{
    struct pl031_state *s = dev->state;
    uint32_t ahead = s->mr - counter(dev);

    if (!ahead)
        s->ris = 1;
    s->match_at = match_time(dev, ahead);
}

static uint64_t rtc_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct pl031_state *s = dev->state;

    (void)range, (void)size;
    switch (offset) {
    case RTCDR:   return counter(dev);
    case RTCMR:   return s->mr;
    case RTCLR:   return s->lr;
    case RTCCR:   return 1;
    case RTCIMSC: return s->imsc;
    case RTCRIS:  return s->ris;
    case RTCMIS:  return s->ris & s->imsc;
    default:
        if (offset >= PERIPH_ID && offset < PERIPH_ID + 32)
            return ids[(offset - PERIPH_ID) / 4];
        return 0;
    }
}

static void rtc_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pl031_state *s = dev->state;
    uint32_t v = (uint32_t)value;

    (void)range, (void)size;
    switch (offset) {
    case RTCMR:
        s->mr = v;
        compare(dev);
        break;
    case RTCLR:
        s->lr = v;
        s->have_time = dev->machine->follow_host_clock ? TIME_IS_GUESTS : 1;
        s->offset = v - (uint32_t)(machine_now(dev->machine) / NS_PER_SEC);
        compare(dev);
        break;
    case RTCIMSC:
        s->imsc = v & 1;
        break;
    case RTCICR:
        s->ris &= ~v & 1u;
        break;
    default:
        break;
    }
    update_irq(dev);
}

static void rtc_reset(struct device *dev)
{
    struct pl031_state *s = dev->state;

    s->mr = s->imsc = s->ris = 0;
    s->match_at = VTIME_NEVER;
    update_irq(dev);
}

static vtime_t rtc_deadline(const struct device *dev)
{
    const struct pl031_state *s = dev->state;

    return s->match_at;
}

static void rtc_expire(struct device *dev, vtime_t now)
{
    struct pl031_state *s = dev->state;

    (void)now;
    s->ris = 1;
    s->match_at += ((uint64_t)1 << 32) * NS_PER_SEC;
    update_irq(dev);
}

static void rtc_describe(const struct device *dev, struct buffer *b)
{
    const struct pl031_state *s = dev->state;
    uint32_t now = s->offset + (uint32_t)(machine_now(dev->machine) / NS_PER_SEC);

    if (s->have_time)
        buffer_printf(b, "counter %u match %u imsc %u ris %u\n", now, s->mr, s->imsc, s->ris);
    else
        buffer_printf(b, "not yet asked for the time; match %u imsc %u ris %u\n", s->mr, s->imsc, s->ris);
}

const struct device_ops pl031_ops = {
    .name = "pl031",
    .state_size = sizeof(struct pl031_state),
    .calm_reads = true,
    .reset = rtc_reset,
    .deadline = rtc_deadline,
    .expire = rtc_expire,
    .describe = rtc_describe,
    .read = rtc_read,
    .write = rtc_write,
};
