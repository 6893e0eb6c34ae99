/*
 * The MC146818A real-time clock (Motorola data sheet) as found in the PIIX:
 * 128 bytes of CMOS memory behind ports 70h/71h and 128 more behind 72h/73h,
 * the century in byte 32h, and the memory sizes where PC BIOSes look for them.
 *
 * The date comes from the host's clock, read once: when the guest first needs
 * it (that reading is an event of the recording). From there on time passes
 * virtually; or else (machine.follow_host_clock) the host's clock is read whenever the guest looks, until the guest
 * sets the time itself. The flags of register C are computed when they are looked at;
 * only enabled interrupts have deadlines.
 *
 * An update cycle ends on the second; UIP is set during the 2228 us before
 * it (tBUC + tUC), and the new time and UF appear at its end. With the divider
 * held in reset time stands; released, the first update comes half a second later.
 *
 * Not modelled: the square wave output, daylight saving switches (DSE is kept,
 * nothing happens), the battery.
 */
#include "i386/pc/rtc.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum {
    SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR,
    REG_A, REG_B, REG_C, REG_D, SHUTDOWN = 0x0f, CENTURY = 0x32, BOOT_THIRD = 0x38, BOOT_FIRST = 0x3d, CPU_COUNT = 0x5f,
};

#define A_UIP  0x80u
#define A_DV_RUN   0x20u
#define A_DV_RESET 0x60u /* 11x */
#define B_SET  0x80u
#define B_PIE  0x40u
#define B_AIE  0x20u
#define B_UIE  0x10u
#define B_DM   0x04u
#define B_24   0x02u
#define C_IRQF 0x80u
#define C_PF   0x40u
#define C_AF   0x20u
#define C_UF   0x10u
#define D_VRT  0x80u
#define SHUTDOWN_RESUME 0xfeu /* what a BIOS finds in the shutdown byte when it is to resume from RAM (SeaBIOS, OVMF) */

#define UPDATE_NS 2228000u
#define CRYSTAL_HZ 32768u
#define DAY_SECONDS 86400u
#define NEVER UINT64_MAX
#define TIME_IS_GUESTS 2u

DEVICE_STATE_BEGIN
struct rtc_state {
    uint8_t cmos[256];
    uint8_t index[2];      /* address registers of the two banks */
    uint8_t nmi_disabled;  /* bit 7 of port 70h */
    uint8_t have_time;     /* `base` is valid: the host's clock was read; TIME_IS_GUESTS: the guest has set it */
    uint8_t weekday_shift; /* weekday as set minus the weekday of the date, modulo 7 */
    uint8_t reserved[3];
    /* While the clock runs: guest seconds since 1970 = base + (now - base_at) / 10^9. */
    uint64_t base;
    uint64_t base_at;      /* virtual time of a second's boundary; may lie up to a second ahead,
                            * and is then counted as of the second before (see seconds_at) */
    uint64_t flags_at;     /* register C's flags were looked at then; later causes are not in `flags` */
    uint64_t wake;         /* deadline of the next enabled interrupt, or NEVER */
};
DEVICE_STATE_END

struct date {
    unsigned second, minute, hour, weekday /* 1: Sunday */, day, month, year;
};

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    /* Years that begin in March put the leap day last; 400 years have 146097 days. */
    int64_t y = (int64_t)year - (month <= 2);
    int64_t m = (int64_t)month + (month <= 2 ? 9 : -3);

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + (int64_t)day - 1 - 719468;
}

static void date_of(uint64_t seconds, struct date *d)
{
    uint64_t days = seconds / DAY_SECONDS;
    uint64_t n = days + 719468;
    uint64_t era = n / 146097, doe = n % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t m = (5 * doy + 2) / 153;

    d->second = (unsigned)(seconds % 60);
    d->minute = (unsigned)(seconds / 60 % 60);
    d->hour = (unsigned)(seconds / 3600 % 24);
    d->weekday = (unsigned)((days + 4) % 7 + 1);
    d->day = (unsigned)(doy - (153 * m + 2) / 5 + 1);
    d->month = (unsigned)(m < 10 ? m + 3 : m - 9);
    d->year = (unsigned)(yoe + era * 400 + (d->month <= 2));
}

static uint8_t encode(const struct rtc_state *s, unsigned n)
{
    return (uint8_t)(s->cmos[REG_B] & B_DM ? n : (n / 10 % 10) << 4 | n % 10);
}

static unsigned decode(const struct rtc_state *s, uint8_t v)
{
    return s->cmos[REG_B] & B_DM ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct rtc_state *s, unsigned hour)
{
    unsigned h = hour % 12 ? hour % 12 : 12;

    if (s->cmos[REG_B] & B_24)
        return encode(s, hour);
    return (uint8_t)(encode(s, h) | (hour >= 12 ? 0x80u : 0));
}

static unsigned decode_hour(const struct rtc_state *s, uint8_t v)
{
    unsigned h;

    if (s->cmos[REG_B] & B_24)
        return decode(s, v);
    h = decode(s, v & 0x7fu) % 12;
    return v & 0x80u ? h + 12 : h;
}

static bool running(const struct rtc_state *s)
{
    return !(s->cmos[REG_B] & B_SET) && (s->cmos[REG_A] & A_DV_RESET) != A_DV_RESET;
}

/* Guest seconds at `t`; a boundary ahead means that the second before it is under way. */
static uint64_t seconds_at(const struct rtc_state *s, vtime_t t)
{
    if (t >= s->base_at)
        return s->base + (t - s->base_at) / NS_PER_SEC;
    return s->base - 1 - (s->base_at - 1 - t) / NS_PER_SEC;
}

/* The virtual time at which second `n` begins. */
static vtime_t second_starts(const struct rtc_state *s, uint64_t n)
{
    return s->base_at + (n - s->base) * NS_PER_SEC;
}

/* The phase of the divider chain: ns since it was last zero, modulo a second. */
static uint64_t phase(const struct rtc_state *s, vtime_t t)
{
    uint64_t offset = s->base_at % NS_PER_SEC;

    return (t % NS_PER_SEC + NS_PER_SEC - offset) % NS_PER_SEC;
}

/* Put the date at `now` into the registers of CMOS memory. */
static void store_time(struct rtc_state *s, vtime_t now)
{
    struct date d;

    date_of(seconds_at(s, now), &d);
    s->cmos[SECONDS] = encode(s, d.second);
    s->cmos[MINUTES] = encode(s, d.minute);
    s->cmos[HOURS] = encode_hour(s, d.hour);
    s->cmos[WEEKDAY] = encode(s, (d.weekday - 1 + s->weekday_shift) % 7 + 1);
    s->cmos[DAY] = encode(s, d.day);
    s->cmos[MONTH] = encode(s, d.month);
    s->cmos[YEAR] = encode(s, d.year % 100);
    /* The century byte is BCD by convention whatever DM says. */
    s->cmos[CENTURY] = (uint8_t)(d.year / 1000 % 10 << 4 | d.year / 100 % 10);
}

/* The clock starts at `now` from what the registers hold, `ahead` ns before its next second. */
static void start_time(struct rtc_state *s, vtime_t now, uint64_t ahead)
{
    unsigned century = (s->cmos[CENTURY] >> 4) * 10u + (s->cmos[CENTURY] & 15u);
    unsigned month = decode(s, s->cmos[MONTH]);
    unsigned day = decode(s, s->cmos[DAY]);
    unsigned year = century * 100 + decode(s, s->cmos[YEAR]) % 100;
    struct date d;
    int64_t days;

    if (year < 1970)
        year += year % 100 < 70 ? 2000 - year / 100 * 100 : 1900 - year / 100 * 100;
    month = month < 1 || month > 12 ? 1 : month;
    day = day < 1 || day > 31 ? 1 : day;
    days = days_of(year, month, day);
    s->base = (uint64_t)days * DAY_SECONDS + decode_hour(s, s->cmos[HOURS]) % 24 * 3600u +
              decode(s, s->cmos[MINUTES]) % 60 * 60u + decode(s, s->cmos[SECONDS]) % 60;
    date_of(s->base, &d);
    s->weekday_shift = (uint8_t)((decode(s, s->cmos[WEEKDAY]) % 7 + 14 - d.weekday) % 7);
    s->base++;
    s->base_at = now + ahead;
}

static bool matches(const struct rtc_state *s, unsigned reg, unsigned n)
{
    uint8_t v = s->cmos[reg];

    if ((v & 0xc0u) == 0xc0u)
        return true;
    return (reg == HOURS_ALARM ? decode_hour(s, v) : decode(s, v)) == n;
}

/* The first second of the day at or after `from` that the alarm matches; DAY_SECONDS: none. */
static unsigned alarm_of_day(const struct rtc_state *s, unsigned from)
{
    for (unsigned h = from / 3600; h < 24; h++) {
        if (!matches(s, HOURS_ALARM, h))
            continue;
        for (unsigned m = h == from / 3600 ? from / 60 % 60 : 0; m < 60; m++) {
            if (!matches(s, MINUTES_ALARM, m))
                continue;
            for (unsigned sec = h * 60 + m == from / 60 ? from % 60 : 0; sec < 60; sec++)
                if (matches(s, SECONDS_ALARM, sec))
                    return h * 3600 + m * 60 + sec;
        }
    }
    return DAY_SECONDS;
}

/* The first second after second `n` at which the alarm rings; NEVER: it never does. */
static uint64_t next_alarm(const struct rtc_state *s, uint64_t n)
{
    uint64_t day = (n + 1) / DAY_SECONDS * DAY_SECONDS;
    unsigned at = alarm_of_day(s, (unsigned)((n + 1) % DAY_SECONDS));

    if (at < DAY_SECONDS)
        return day + at;
    at = alarm_of_day(s, 0);
    return at < DAY_SECONDS ? day + DAY_SECONDS + at : NEVER;
}

/* Crystal ticks between periodic interrupts; 0: none (table 5 of the data sheet). */
static uint32_t periodic_ticks(const struct rtc_state *s)
{
    unsigned rs = s->cmos[REG_A] & 15u;

    if (!rs || (s->cmos[REG_A] & A_DV_RESET) == A_DV_RESET)
        return 0;
    return 1u << (rs <= 2 ? rs + 6 : rs - 1);
}

/* Periodic interrupts so far, counted from a fixed zero at which the divider chain was in phase. */
static uint64_t periods_at(const struct rtc_state *s, vtime_t t)
{
    return clock_ticks(t + NS_PER_SEC - s->base_at % NS_PER_SEC, CRYSTAL_HZ) / periodic_ticks(s);
}

static vtime_t next_period(const struct rtc_state *s, vtime_t t)
{
    uint64_t tick = (periods_at(s, t) + 1) * periodic_ticks(s);

    return clock_time(tick, CRYSTAL_HZ) + s->base_at % NS_PER_SEC - NS_PER_SEC;
}

static void update_line(struct device *dev)
{
    const struct rtc_wiring *w = dev->wiring;
    struct rtc_state *s = dev->state;
    uint8_t enabled = s->cmos[REG_C] & s->cmos[REG_B] & (C_PF | C_AF | C_UF);
    bool irq = enabled != 0, was = s->cmos[REG_C] & C_IRQF;

    s->cmos[REG_C] = (uint8_t)((s->cmos[REG_C] & ~C_IRQF) | (irq ? C_IRQF : 0));
    line_set(&w->irq, irq);
    if ((enabled & C_AF) && !was && w->alarm)
        w->alarm(w->alarm_ctx);
}

/* Bring register C's flags up to `now`. */
static void collect_flags(struct rtc_state *s, vtime_t now)
{
    vtime_t since = s->flags_at;

    s->flags_at = now;
    if (!s->have_time)
        return;
    if (periodic_ticks(s) && periods_at(s, now) != periods_at(s, since))
        s->cmos[REG_C] |= C_PF;
    if (!running(s))
        return;
    if (seconds_at(s, now) != seconds_at(s, since)) {
        s->cmos[REG_C] |= C_UF;
        if (next_alarm(s, seconds_at(s, since)) <= seconds_at(s, now))
            s->cmos[REG_C] |= C_AF;
    }
}

static bool wants_host_time(const struct device *dev)
{
    const struct rtc_state *s = dev->state;

    return !s->have_time || (dev->machine->follow_host_clock && s->have_time != TIME_IS_GUESTS && running(s));
}

/* Read the host's clock, once; or each time. */
static void need_time(struct device *dev)
{
    struct rtc_state *s = dev->state;
    uint64_t host, now, part, before;

    if (!wants_host_time(dev))
        return;
    now = machine_now(dev->machine);
    if (s->have_time)
        collect_flags(s, now);
    before = seconds_at(s, now);
    host = machine_host_clock(dev->machine);
    part = host % NS_PER_SEC;
    if (s->have_time && host / NS_PER_SEC != before)
        s->cmos[REG_C] |= C_UF;
    s->have_time = 1;
    s->base = host / NS_PER_SEC;
    if (now >= part) {
        s->base_at = now - part;
    } else { /* the boundary lies before virtual time 0: count from the next one */
        s->base++;
        s->base_at = now + (NS_PER_SEC - part);
    }
    s->flags_at = now;
}

/* After any change: when does the next enabled, not yet flagged interrupt come? */
static void arm(struct device *dev)
{
    struct rtc_state *s = dev->state;
    uint8_t wanted = s->cmos[REG_B] & (uint8_t)~s->cmos[REG_C];
    vtime_t now = s->flags_at, t;
    uint64_t second, alarm;

    s->wake = NEVER;
    if (!s->have_time)
        return;
    if ((wanted & B_PIE) && periodic_ticks(s))
        s->wake = next_period(s, now);
    if (!running(s))
        return;
    second = seconds_at(s, now);
    if (wanted & B_UIE) {
        t = second_starts(s, second + 1);
        s->wake = t < s->wake ? t : s->wake;
    }
    alarm = wanted & B_AIE ? next_alarm(s, second) : NEVER;
    if (alarm != NEVER) {
        t = second_starts(s, alarm);
        s->wake = t < s->wake ? t : s->wake;
    }
}

static bool is_time(unsigned reg)
{
    return reg == SECONDS || reg == MINUTES || (reg >= HOURS && reg <= YEAR && reg != HOURS_ALARM) ||
           reg == CENTURY;
}

static uint8_t read_cmos(struct device *dev, unsigned reg)
{
    struct rtc_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);
    uint8_t value;

    if (is_time(reg)) {
        need_time(dev);
        if (running(s))
            store_time(s, now);
        return s->cmos[reg];
    }
    switch (reg) {
    case REG_A:
        need_time(dev);
        value = s->cmos[REG_A];
        if (running(s) && phase(s, now) >= NS_PER_SEC - UPDATE_NS)
            value |= A_UIP;
        return value;
    case REG_C:
        need_time(dev);
        collect_flags(s, now);
        update_line(dev);
        value = s->cmos[REG_C];
        s->cmos[REG_C] = 0;
        update_line(dev);
        arm(dev);
        return value;
    case REG_D:
        return D_VRT;
    default:
        return s->cmos[reg];
    }
}

/* From now on it is the guest's time that goes on. */
static void guest_has_set(struct device *dev)
{
    struct rtc_state *s = dev->state;

    if (dev->machine->follow_host_clock)
        s->have_time = TIME_IS_GUESTS;
}

/* Change register A or B, which may stop or start the clock. */
static void write_mode(struct device *dev, unsigned reg, uint8_t value)
{
    struct rtc_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);
    bool ran = running(s);
    bool was_reset = (s->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
    uint64_t ahead;

    need_time(dev);
    collect_flags(s, now);
    if (ran)
        store_time(s, now); /* in the old format: DM and 24/12 do not convert */
    ahead = NS_PER_SEC - phase(s, now);
    if (reg == REG_A) {
        s->cmos[REG_A] = value & 0x7fu;
    } else {
        if (value & B_SET)
            value &= (uint8_t)~B_UIE; /* data sheet: SET clears UIE */
        s->cmos[REG_B] = value;
    }
    if (was_reset && (s->cmos[REG_A] & A_DV_RESET) != A_DV_RESET)
        ahead = NS_PER_SEC / 2;
    if (!running(s))
        return;
    start_time(s, now, ahead);
    if (!ran)
        guest_has_set(dev);
}

static void write_cmos(struct device *dev, unsigned reg, uint8_t value)
{
    struct rtc_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);

    if (reg == REG_C || reg == REG_D)
        return;
    if (reg == REG_A || reg == REG_B) {
        write_mode(dev, reg, value);
    } else if (is_time(reg)) {
        need_time(dev);
        collect_flags(s, now);
        if (running(s))
            store_time(s, now);
        s->cmos[reg] = value;
        guest_has_set(dev);
        if (running(s))
            start_time(s, now, NS_PER_SEC - phase(s, now));
    } else if (reg == SECONDS_ALARM || reg == MINUTES_ALARM || reg == HOURS_ALARM) {
        need_time(dev);
        collect_flags(s, now);
        s->cmos[reg] = value;
    } else {
        s->cmos[reg] = value;
        return;
    }
    update_line(dev);
    arm(dev);
}

static uint64_t rtc_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct rtc_state *s = dev->state;

    (void)range, (void)size;
    switch (offset) {
    case 1:
        return read_cmos(dev, s->index[0]);
    case 2:
        return s->index[1];
    case 3:
        return s->cmos[0x80u | s->index[1]];
    default:
        return UINT64_MAX; /* port 70h is write-only */
    }
}

static void rtc_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc_state *s = dev->state;

    (void)range, (void)size;
    switch (offset) {
    case 0:
        s->index[0] = value & 0x7fu;
        s->nmi_disabled = (uint8_t)(value >> 7 & 1u);
        break;
    case 1:
        write_cmos(dev, s->index[0], (uint8_t)value);
        break;
    case 2:
        s->index[1] = value & 0x7fu;
        break;
    default:
        s->cmos[0x80u | s->index[1]] = (uint8_t)value;
        break;
    }
}

/* No more than 16 bits hold. */
static void store_size(struct rtc_state *s, unsigned reg, uint64_t value)
{
    put_le16(s->cmos + reg, value > 0xffff ? 0xffff : (uint32_t)value);
}

unsigned rtc_floppy_equipment(const struct rtc_wiring *w)
{
    return w->floppies[1] ? 0x41 : w->floppies[0] ? 0x01 : 0;
}

/* What the setup program of a PC would have stored. */
static void store_sizes(struct rtc_state *s, const struct rtc_wiring *w)
{
    uint64_t memory = w->memory_bytes;
    uint64_t low = boot_low_bytes(memory);
    uint64_t high = memory - low;
    uint64_t extended = low > 0x100000 ? (low - 0x100000) >> 10 : 0;
    unsigned sum = 0;

    s->cmos[0x10] = (uint8_t)(w->floppies[0] << 4 | w->floppies[1]);
    s->cmos[0x14] = (uint8_t)(0x06 | rtc_floppy_equipment(w)); /* equipment: FPU, PS/2 pointing device, floppy drives */
    store_size(s, 0x15, 640);
    store_size(s, 0x17, extended);
    store_size(s, 0x30, extended);
    store_size(s, 0x34, low > 0x1000000 ? (low - 0x1000000) >> 16 : 0);
    put_le(s->cmos + 0x5b, high >> 16, 3);
    for (unsigned i = 0x10; i < 0x2e; i++)
        sum += s->cmos[i];
    put_be16(s->cmos + 0x2e, sum);
}

/* Kinds of devices in the order in which they are tried, a nibble each (QEMU, hw/i386/pc.c; SeaBIOS reads it). */
static void store_boot_order(struct rtc_state *s, const char *letters)
{
    unsigned kinds[3] = {0};

    for (unsigned i = 0; i < ARRAY_LEN(kinds) && letters[i]; i++)
        kinds[i] = letters[i] == 'c' ? 2 : letters[i] == 'd' ? 3 : letters[i] == 'n' ? 4 : 1;
    s->cmos[BOOT_FIRST] = (uint8_t)(kinds[1] << 4 | kinds[0]);
    s->cmos[BOOT_THIRD] = (uint8_t)(kinds[2] << 4);
}

void rtc_forget_sleep(struct device *dev)
{
    struct rtc_state *s = dev->state;

    s->cmos[SHUTDOWN] = 0;
}

/* The battery keeps the alarm going while the machine sleeps. */
static void rtc_reset(struct device *dev)
{
    const struct rtc_wiring *w = dev->wiring;
    struct rtc_state *s = dev->state;
    enum reset_kind kind = dev->machine->resetting;

    if (kind == RESET_SLEEP || kind == RESET_WAKE)
        s->cmos[SHUTDOWN] = SHUTDOWN_RESUME;
    if (kind == RESET_SLEEP)
        return;
    if (*w->boot_order)
        store_boot_order(s, !s->cmos[REG_A] && *w->boot_once ? w->boot_once : w->boot_order);
    if (s->cmos[REG_A] == 0) { /* never powered before */
        s->cmos[REG_A] = A_DV_RUN | 6;
        s->cmos[REG_B] = B_24;
        s->cmos[CENTURY] = 0x20;
        store_sizes(s, w);
        s->cmos[CPU_COUNT] = (uint8_t)(w->cpus ? w->cpus - 1 : 0);
        s->wake = NEVER;
    }
    /* RESET# clears the enables and flags, nothing else. */
    collect_flags(s, machine_now(dev->machine));
    s->cmos[REG_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE | 0x08u);
    s->cmos[REG_C] = 0;
    s->index[0] = 0;
    s->index[1] = 0;
    s->nmi_disabled = 0;
    update_line(dev);
    arm(dev);
}

static vtime_t rtc_deadline(const struct device *dev)
{
    const struct rtc_state *s = dev->state;

    return s->wake;
}

static void rtc_expire(struct device *dev, vtime_t now)
{
    collect_flags(dev->state, now);
    update_line(dev);
    arm(dev);
}

static void rtc_describe(const struct device *dev, struct buffer *b)
{
    const struct rtc_state *s = dev->state;
    struct date d;

    buffer_printf(b, "a %02x b %02x c %02x index %02x\n", s->cmos[REG_A], s->cmos[REG_B], s->cmos[REG_C],
                  s->index[0]);
    if (!s->have_time)
        return;
    date_of(seconds_at(s, machine_now(dev->machine)), &d);
    buffer_printf(b, "%04u-%02u-%02u %02u:%02u:%02u\n", d.year, d.month, d.day, d.hour, d.minute, d.second);
}

static bool rtc_possible(const struct device *dev)
{
    const struct rtc_state *s = dev->state;
    vtime_t now = machine_now(dev->machine);

    return s->weekday_shift < 7 && s->base <= (uint64_t)1 << 40 && s->base_at <= now + 2 * NS_PER_SEC &&
           s->flags_at <= now && s->have_time <= 1;
}

const struct device_ops rtc_ops = {
    .name = "rtc",
    .state_size = sizeof(struct rtc_state),
    .calm_reads = true,
    .calm_writes = true,
    .possible = rtc_possible,
    .reset = rtc_reset,
    .deadline = rtc_deadline,
    .expire = rtc_expire,
    .describe = rtc_describe,
    .read = rtc_read,
    .write = rtc_write,
};
