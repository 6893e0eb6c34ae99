/*
 * The chips of the PC board, each alone on a machine without CPU: what their
 * data sheets promise, to the tick of their clocks.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "i386/pc.h"
#include "i386/pc/apic.h"
#include "i386/pc/dma.h"
#include "i386/pc/glue.h"
#include "i386/pc/i440fx.h"
#include "i386/pc/i8042.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/pci.h"
#include "i386/pc/pic.h"
#include "i386/pc/piix3.h"
#include "i386/pc/piix4_pm.h"
#include "i386/pc/pit.h"
#include "i386/pc/ports.h"
#include "i386/pc/ps2.h"
#include "i386/pc/rtc.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/clock.h"
#include "vm/dev/uart16550.h"
#include "vm/machine.h"

#define MS 1000000ull

/* ---- the bench: a machine, time, and lines that are watched ---- */

static struct machine *m;
static struct buffer sent;       /* what devices put out */
static uint64_t host_ns;         /* the host's clock */
static unsigned host_readings;

static struct {
    bool level;
    unsigned rises, falls;
    vtime_t rose_at;
} probe[4];

static void probe_set(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    if (level && !probe[n].level) {
        probe[n].rises++;
        probe[n].rose_at = machine_now(m);
    }
    if (!level && probe[n].level)
        probe[n].falls++;
    probe[n].level = level;
}

static struct line probe_line(unsigned n)
{
    return (struct line){.set = probe_set, .n = n};
}

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    host_readings++;
    return host_ns;
}

static void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx, (void)dev;
    buffer_append(&sent, buf, len);
}

static const struct machine_env env = {.host_clock = host_clock, .output = output};

static void setup(void)
{
    m = machine_create(16);
    m->env = &env;
    buffer_init(&sent);
    memset(probe, 0, sizeof(probe));
    host_ns = 0;
    host_readings = 0;
}

static void teardown(void)
{
    machine_destroy(m);
    buffer_finish(&sent);
}

static struct device *add(const struct device_ops *ops, void *wiring)
{
    struct device *dev = machine_add_device(m, ops, ops->name, wiring);

    return dev;
}

static void reset_all(void)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->reset)
            m->devices[i]->ops->reset(m->devices[i]);
}

/* Let virtual time go to `t`, with every deadline on the way served at its moment. */
static void run_to(vtime_t t)
{
    for (;;) {
        struct device *next = NULL;
        vtime_t least = VTIME_NEVER;

        for (unsigned i = 0; i < m->ndevices; i++) {
            struct device *d = m->devices[i];
            vtime_t at = d->ops->deadline ? d->ops->deadline(d) : VTIME_NEVER;

            if (at < least) {
                least = at;
                next = d;
            }
        }
        if (!next || least > t)
            break;
        if (least > m->st->warp)
            m->st->warp = least;
        next->ops->expire(next, m->st->warp);
    }
    m->st->warp = t;
}

static void run_for(uint64_t ns)
{
    run_to(m->st->warp + ns);
}

static uint8_t in(struct device *d, unsigned range, unsigned offset)
{
    return (uint8_t)d->ops->read(d, range, offset, 1);
}

static void out(struct device *d, unsigned range, unsigned offset, unsigned value)
{
    d->ops->write(d, range, offset, 1, value);
}

static void input(struct device *d, const void *data, size_t len)
{
    const struct event e = {.kind = EVENT_INPUT, .source = d->index, .len = (uint32_t)len, .data = data};

    d->ops->input(d, &e);
}

/* ---- clock.h ---- */

START_TEST(clock_conversions_are_exact_inverses)
{
    static const uint32_t hz[] = {1, 32768, 1193182, 3579545, 100000000, 1000000000};

    for (unsigned i = 0; i < ARRAY_LEN(hz); i++) {
        for (uint64_t n = 1; n < 40; n++) {
            uint64_t tick = n * n * n * 7919;
            vtime_t t = clock_time(tick, hz[i]);

            ck_assert_uint_eq(clock_ticks(t, hz[i]), tick);
            ck_assert_uint_eq(clock_ticks(t - 1, hz[i]), tick - 1);
        }
    }
    ck_assert_uint_eq(clock_ticks(NS_PER_SEC * 86400ull, 1193182), 1193182ull * 86400);
    ck_assert(clock_time(UINT64_MAX, 1) == VTIME_NEVER);
}
END_TEST

/* ---- 8259A ---- */

static struct device *new_pic(void)
{
    static struct pic_wiring wiring;
    struct device *pic;

    wiring.intr = probe_line(0);
    pic = add(&pic_ops, &wiring);
    reset_all();
    pic_firmware_setup(pic);
    out(pic, PIC_MASTER, 1, 0);
    out(pic, PIC_SLAVE, 1, 0);
    return pic;
}

START_TEST(pic_presents_the_highest_priority_request_first)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 4, true);
    pic_set_irq(pic, 1, true);
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x09);
    ck_assert_msg(!probe[0].level, "IR4 waits while IR1 is in service");
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0c);
}
END_TEST

START_TEST(pic_edge_request_is_taken_once)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 3, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0b);
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert_msg(!probe[0].level, "the line is still high, but it made no new edge");
    pic_set_irq(pic, 3, false);
    pic_set_irq(pic, 3, true);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(pic_level_request_comes_back_until_it_is_withdrawn)
{
    struct device *pic = new_pic();

    out(pic, PIC_ELCR, 1, 0x04); /* IRQ 10 */
    pic_set_irq(pic, 10, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x72);
    out(pic, PIC_SLAVE, 0, 0x20);
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x72);
    pic_set_irq(pic, 10, false);
    out(pic, PIC_SLAVE, 0, 0x20);
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(pic_slave_requests_go_through_the_cascade)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 8, true);
    pic_set_irq(pic, 3, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x70); /* IR2 beats IR3 */
    out(pic, PIC_SLAVE, 0, 0x20);
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0b);
}
END_TEST

START_TEST(pic_request_that_goes_away_is_spurious_ir7)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 5, true);
    pic_set_irq(pic, 5, false);
    ck_assert(!probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0f);
    out(pic, PIC_MASTER, 0, 0x0b); /* read ISR */
    ck_assert_msg(in(pic, PIC_MASTER, 0) == 0, "a spurious interrupt sets no in-service bit");
}
END_TEST

START_TEST(pic_registers_read_back_and_mask)
{
    struct device *pic = new_pic();

    out(pic, PIC_MASTER, 1, 0x10);
    ck_assert_uint_eq(in(pic, PIC_MASTER, 1), 0x10);
    pic_set_irq(pic, 4, true);
    ck_assert(!probe[0].level);
    out(pic, PIC_MASTER, 0, 0x0a);
    ck_assert_uint_eq(in(pic, PIC_MASTER, 0), 0x10);
    out(pic, PIC_MASTER, 1, 0x00);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(pic_automatic_eoi_leaves_nothing_in_service)
{
    struct device *pic = new_pic();

    out(pic, PIC_MASTER, 0, 0x11);
    out(pic, PIC_MASTER, 1, 0x20);
    out(pic, PIC_MASTER, 1, 0x04);
    out(pic, PIC_MASTER, 1, 0x03);
    out(pic, PIC_MASTER, 1, 0x00);
    pic_set_irq(pic, 6, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x26);
    out(pic, PIC_MASTER, 0, 0x0b);
    ck_assert_uint_eq(in(pic, PIC_MASTER, 0), 0);
}
END_TEST

START_TEST(pic_rotation_makes_the_served_input_the_lowest)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 3, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0b);
    out(pic, PIC_MASTER, 0, 0xa0); /* rotate on non-specific EOI */
    pic_set_irq(pic, 3, false);
    pic_set_irq(pic, 3, true);
    pic_set_irq(pic, 4, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0c);
}
END_TEST

START_TEST(pic_special_mask_lets_lower_priorities_through)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 1, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x09);
    pic_set_irq(pic, 5, true);
    ck_assert(!probe[0].level);
    out(pic, PIC_MASTER, 1, 0x02);
    out(pic, PIC_MASTER, 0, 0x68); /* special mask mode */
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0d);
}
END_TEST

START_TEST(pic_poll_acknowledges)
{
    struct device *pic = new_pic();

    pic_set_irq(pic, 4, true);
    out(pic, PIC_MASTER, 0, 0x0c);
    ck_assert_uint_eq(in(pic, PIC_MASTER, 0), 0x84);
    ck_assert(!probe[0].level);
    out(pic, PIC_MASTER, 0, 0x0c);
    ck_assert_uint_eq(in(pic, PIC_MASTER, 0), 0x00);
}
END_TEST

START_TEST(elcr_keeps_the_fixed_edge_inputs)
{
    struct device *pic = new_pic();

    out(pic, PIC_ELCR, 0, 0xff);
    out(pic, PIC_ELCR, 1, 0xff);
    ck_assert_uint_eq(in(pic, PIC_ELCR, 0), 0xf8);
    ck_assert_uint_eq(in(pic, PIC_ELCR, 1), 0xde);
}
END_TEST

/* ---- 8254 ---- */

static struct device *new_pit(void)
{
    static struct pit_wiring wiring;
    struct device *pit;

    wiring.irq = probe_line(0);
    pit = add(&pit_ops, &wiring);
    reset_all();
    return pit;
}

static vtime_t tick(uint64_t n)
{
    return clock_time(n, PIT_HZ);
}

static void program(struct device *pit, unsigned n, unsigned mode, unsigned count)
{
    out(pit, PIT_COUNTERS, 3, n << 6 | 0x30 | mode << 1);
    out(pit, PIT_COUNTERS, n, count & 0xff);
    out(pit, PIT_COUNTERS, n, count >> 8);
}

static unsigned latched(struct device *pit, unsigned n)
{
    unsigned low;

    out(pit, PIT_COUNTERS, 3, n << 6);
    low = in(pit, PIT_COUNTERS, n);
    return low | (unsigned)in(pit, PIT_COUNTERS, n) << 8;
}

static unsigned pit_status(struct device *pit, unsigned n)
{
    out(pit, PIT_COUNTERS, 3, 0xe0 | 2u << n);
    return in(pit, PIT_COUNTERS, n);
}

START_TEST(pit_mode_0_raises_out_n_plus_1_clocks_after_the_write)
{
    struct device *pit = new_pit();

    run_to(tick(1000));
    program(pit, 0, 0, 100);
    ck_assert(!probe[0].level);
    run_to(tick(1101) - 1);
    ck_assert(!probe[0].level);
    run_to(tick(1101));
    ck_assert(probe[0].level);
    ck_assert_uint_eq(probe[0].rose_at, tick(1101));
    run_to(tick(1102));
    ck_assert_msg(latched(pit, 0) == 0xffff, "it goes on counting");
}
END_TEST

START_TEST(pit_mode_2_pulses_once_per_n_clocks)
{
    struct device *pit = new_pit();
    unsigned rises;

    program(pit, 0, 2, 1193);
    run_to(tick(1193));
    ck_assert_msg(!probe[0].level, "low during the last clock of the cycle");
    run_to(tick(1194));
    ck_assert(probe[0].level);
    ck_assert_uint_eq(probe[0].rose_at, tick(1194));
    rises = probe[0].rises;
    run_to(tick(1 + 1193 * 1001));
    ck_assert_uint_eq(probe[0].rises, rises + 1000);
}
END_TEST

START_TEST(pit_mode_2_count_goes_from_n_to_1)
{
    struct device *pit = new_pit();

    program(pit, 0, 2, 10);
    for (unsigned t = 1; t <= 30; t++) {
        run_to(tick(t));
        ck_assert_uint_eq(latched(pit, 0), 10 - (t - 1) % 10);
    }
}
END_TEST

START_TEST(pit_mode_3_is_a_square_wave_counting_by_two)
{
    struct device *pit = new_pit();
    static const unsigned even[] = {4, 2, 4, 2}, odd[] = {4, 2, 0, 4, 2};

    program(pit, 0, 3, 4);
    for (unsigned t = 1; t <= 12; t++) {
        run_to(tick(t));
        ck_assert_uint_eq(latched(pit, 0), even[(t - 1) % 4]);
        ck_assert_uint_eq(probe[0].level, (t - 1) % 4 < 2);
    }
    program(pit, 0, 3, 5);
    for (unsigned t = 13; t <= 27; t++) {
        run_to(tick(t));
        ck_assert_uint_eq(latched(pit, 0), odd[(t - 13) % 5]);
        ck_assert_uint_eq(probe[0].level, (t - 13) % 5 < 3);
    }
}
END_TEST

START_TEST(pit_new_count_in_mode_2_waits_for_the_end_of_the_cycle)
{
    struct device *pit = new_pit();

    program(pit, 0, 2, 100);
    run_to(tick(50));
    out(pit, PIT_COUNTERS, 0, 20);
    out(pit, PIT_COUNTERS, 0, 0);
    ck_assert_msg(pit_status(pit, 0) & 0x40, "null count until it is loaded");
    run_to(tick(100));
    ck_assert_uint_eq(latched(pit, 0), 1);
    run_to(tick(101));
    ck_assert_uint_eq(latched(pit, 0), 20);
    ck_assert(!(pit_status(pit, 0) & 0x40));
    ck_assert_uint_eq(probe[0].rose_at, tick(101));
    run_to(tick(121));
    ck_assert_uint_eq(probe[0].rose_at, tick(121));
}
END_TEST

START_TEST(pit_new_count_in_mode_3_waits_for_the_half_cycle)
{
    struct device *pit = new_pit();

    program(pit, 0, 3, 100); /* high until tick 51 */
    run_to(tick(30));
    out(pit, PIT_COUNTERS, 0, 40);
    out(pit, PIT_COUNTERS, 0, 0);
    run_to(tick(51));
    ck_assert(!probe[0].level);
    run_to(tick(70));
    ck_assert(!probe[0].level);
    run_to(tick(71));
    ck_assert_msg(probe[0].level, "20 clocks low: half of the new count");
}
END_TEST

START_TEST(pit_mode_4_strobes_low_for_one_clock)
{
    struct device *pit = new_pit();

    program(pit, 0, 4, 50);
    ck_assert(probe[0].level);
    run_to(tick(50));
    ck_assert(probe[0].level);
    run_to(tick(51));
    ck_assert(!probe[0].level);
    run_to(tick(52));
    ck_assert(probe[0].level);
    run_to(tick(200000));
    ck_assert_uint_eq(probe[0].falls, 1);
}
END_TEST

START_TEST(pit_modes_1_and_5_wait_for_the_gate)
{
    struct device *pit = new_pit();

    program(pit, 2, 1, 10);
    run_to(tick(100));
    ck_assert_msg(in(pit, PIT_PORT_61, 0) & 0x20, "OUT2 is high before the trigger");
    out(pit, PIT_PORT_61, 0, 1);
    run_to(tick(101));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
    run_to(tick(110));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
    run_to(tick(111));
    ck_assert(in(pit, PIT_PORT_61, 0) & 0x20);
    out(pit, PIT_PORT_61, 0, 0);
    program(pit, 2, 5, 10);
    out(pit, PIT_PORT_61, 0, 1);
    run_to(tick(121));
    ck_assert(in(pit, PIT_PORT_61, 0) & 0x20);
    run_to(tick(122));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
    run_to(tick(123));
    ck_assert(in(pit, PIT_PORT_61, 0) & 0x20);
}
END_TEST

START_TEST(pit_gate_stops_and_resumes_mode_0)
{
    struct device *pit = new_pit();

    out(pit, PIT_PORT_61, 0, 1);
    program(pit, 2, 0, 100);
    run_to(tick(41));
    ck_assert_uint_eq(latched(pit, 2), 60);
    out(pit, PIT_PORT_61, 0, 0);
    run_to(tick(500));
    ck_assert_uint_eq(latched(pit, 2), 60);
    out(pit, PIT_PORT_61, 0, 1);
    run_to(tick(559));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
    run_to(tick(560));
    ck_assert(in(pit, PIT_PORT_61, 0) & 0x20);
}
END_TEST

START_TEST(pit_gate_restarts_mode_3)
{
    struct device *pit = new_pit();

    out(pit, PIT_PORT_61, 0, 1);
    program(pit, 2, 3, 100);
    run_to(tick(60));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
    out(pit, PIT_PORT_61, 0, 0);
    ck_assert_msg(in(pit, PIT_PORT_61, 0) & 0x20, "a low gate forces OUT high at once");
    run_to(tick(70));
    out(pit, PIT_PORT_61, 0, 1);
    run_to(tick(71));
    ck_assert_uint_eq(latched(pit, 2), 100);
    run_to(tick(121));
    ck_assert(!(in(pit, PIT_PORT_61, 0) & 0x20));
}
END_TEST

START_TEST(pit_counts_in_bcd)
{
    struct device *pit = new_pit();

    out(pit, PIT_COUNTERS, 3, 0x31); /* counter 0, both bytes, mode 0, BCD */
    out(pit, PIT_COUNTERS, 0, 0x00);
    out(pit, PIT_COUNTERS, 0, 0x10); /* 1000 */
    run_to(tick(2));
    ck_assert_uint_eq(latched(pit, 0), 0x0999);
    run_to(tick(1001));
    ck_assert(probe[0].level);
    run_to(tick(1002));
    ck_assert_uint_eq(latched(pit, 0), 0x9999);
}
END_TEST

START_TEST(pit_latch_holds_until_it_is_read)
{
    struct device *pit = new_pit();

    program(pit, 0, 2, 1000);
    run_to(tick(11));
    out(pit, PIT_COUNTERS, 3, 0x00);
    run_to(tick(21));
    out(pit, PIT_COUNTERS, 3, 0x00); /* ignored */
    run_to(tick(31));
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 990 & 0xff);
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 990 >> 8);
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 970 & 0xff);
}
END_TEST

START_TEST(pit_read_back_gives_status_before_count)
{
    struct device *pit = new_pit();

    program(pit, 0, 2, 1000);
    run_to(tick(101));
    out(pit, PIT_COUNTERS, 3, 0xc2);
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 0x80 | 0x30 | 2 << 1);
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 900 & 0xff);
    ck_assert_uint_eq(in(pit, PIT_COUNTERS, 0), 900 >> 8);
}
END_TEST

START_TEST(port_61_toggles_with_every_refresh)
{
    struct device *pit = new_pit();
    unsigned changes = 0, last = in(pit, PIT_PORT_61, 0) & 0x10;

    for (unsigned t = 1; t <= 1800; t++) {
        unsigned now;

        run_to(tick(t));
        now = in(pit, PIT_PORT_61, 0) & 0x10;
        changes += now != last;
        last = now;
    }
    ck_assert_uint_eq(changes, 100);
}
END_TEST

START_TEST(pit_loses_no_edge_when_served_late)
{
    struct device *pit = new_pit();

    program(pit, 0, 2, 2);
    m->st->warp = tick(2001);
    run_to(tick(2001));
    ck_assert_uint_eq(probe[0].falls, 1000);
}
END_TEST

/* ---- MC146818 ---- */

static struct device *new_rtc(uint64_t seconds, uint64_t ns)
{
    static struct rtc_wiring wiring;
    struct device *rtc;

    wiring = (struct rtc_wiring){.irq = probe_line(0), .memory_bytes = 64ull << 20};
    host_ns = seconds * NS_PER_SEC + ns;
    rtc = add(&rtc_ops, &wiring);
    reset_all();
    return rtc;
}

static uint8_t cmos(struct device *rtc, unsigned reg)
{
    out(rtc, 0, 0, reg);
    return in(rtc, 0, 1);
}

static void set_cmos(struct device *rtc, unsigned reg, unsigned value)
{
    out(rtc, 0, 0, reg);
    out(rtc, 0, 1, value);
}

/* 2024-02-28 23:59:58 UTC, a Wednesday */
#define LEAP_EVE 1709164798ull

START_TEST(rtc_tells_the_hosts_date_in_bcd)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    ck_assert_uint_eq(cmos(rtc, 0), 0x58);
    ck_assert_uint_eq(cmos(rtc, 2), 0x59);
    ck_assert_uint_eq(cmos(rtc, 4), 0x23);
    ck_assert_uint_eq(cmos(rtc, 6), 4);
    ck_assert_uint_eq(cmos(rtc, 7), 0x28);
    ck_assert_uint_eq(cmos(rtc, 8), 0x02);
    ck_assert_uint_eq(cmos(rtc, 9), 0x24);
    ck_assert_uint_eq(cmos(rtc, 0x32), 0x20);
    ck_assert_uint_eq(host_readings, 1);
}
END_TEST

START_TEST(rtc_knows_leap_days)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    cmos(rtc, 0);
    run_for(2000 * MS);
    ck_assert_uint_eq(cmos(rtc, 0), 0x00);
    ck_assert_uint_eq(cmos(rtc, 4), 0x00);
    ck_assert_uint_eq(cmos(rtc, 7), 0x29);
    run_for(86400 * 1000 * MS);
    ck_assert_uint_eq(cmos(rtc, 7), 0x01);
    ck_assert_uint_eq(cmos(rtc, 8), 0x03);
    ck_assert_uint_eq(cmos(rtc, 6), 6);
    ck_assert_uint_eq(host_readings, 1);
}
END_TEST

START_TEST(rtc_reads_the_host_only_when_asked)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    cmos(rtc, 0x15);
    set_cmos(rtc, 0x40, 7);
    run_for(5000 * MS);
    ck_assert_uint_eq(host_readings, 0);
    ck_assert_uint_eq(cmos(rtc, 0x40), 7);
}
END_TEST

START_TEST(rtc_updates_in_phase_with_the_host)
{
    struct device *rtc = new_rtc(LEAP_EVE, 900 * MS);

    ck_assert_uint_eq(cmos(rtc, 0), 0x58);
    run_for(100 * MS - 1);
    ck_assert_uint_eq(cmos(rtc, 0), 0x58);
    run_for(1);
    ck_assert_uint_eq(cmos(rtc, 0), 0x59);
}
END_TEST

START_TEST(rtc_shows_uip_before_the_update)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    ck_assert(!(cmos(rtc, 10) & 0x80));
    run_for(1000 * MS - 2228001);
    ck_assert(!(cmos(rtc, 10) & 0x80));
    run_for(1);
    ck_assert(cmos(rtc, 10) & 0x80);
    run_for(2228000);
    ck_assert(!(cmos(rtc, 10) & 0x80));
    ck_assert_uint_eq(cmos(rtc, 0), 0x59);
}
END_TEST

START_TEST(rtc_twelve_hour_and_binary_modes)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 11, 0x80); /* SET: load a new time in another format */
    set_cmos(rtc, 11, 0x84); /* binary, 12 hours */
    set_cmos(rtc, 4, 0x8c);  /* 12 PM */
    set_cmos(rtc, 2, 59);
    set_cmos(rtc, 0, 59);
    set_cmos(rtc, 11, 0x04);
    run_for(1000 * MS);
    ck_assert_uint_eq(cmos(rtc, 4), 0x81);
    ck_assert_uint_eq(cmos(rtc, 0), 0);
}
END_TEST

START_TEST(rtc_stands_still_while_set_and_keeps_what_is_written)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 11, 0x82);
    set_cmos(rtc, 0, 0x30);
    run_for(10000 * MS);
    ck_assert_uint_eq(cmos(rtc, 0), 0x30);
    set_cmos(rtc, 11, 0x02);
    run_for(1000 * MS);
    ck_assert_uint_eq(cmos(rtc, 0), 0x31);
}
END_TEST

START_TEST(rtc_first_update_comes_half_a_second_after_divider_reset)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 10, 0x76);
    run_for(3333 * MS);
    ck_assert_uint_eq(cmos(rtc, 0), 0x58);
    set_cmos(rtc, 10, 0x26);
    run_for(500 * MS - 1);
    ck_assert_uint_eq(cmos(rtc, 0), 0x58);
    run_for(1);
    ck_assert_uint_eq(cmos(rtc, 0), 0x59);
}
END_TEST

START_TEST(rtc_update_interrupt_comes_every_second)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 11, 0x12);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert(!probe[0].level);
        run_for(1000 * MS);
        ck_assert(probe[0].level);
        ck_assert_uint_eq(cmos(rtc, 12) & 0x90, 0x90);
        ck_assert_uint_eq(cmos(rtc, 12), 0);
    }
    ck_assert_uint_eq(probe[0].rises, 5);
}
END_TEST

START_TEST(rtc_flags_are_raised_without_interrupts_too)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    cmos(rtc, 12);
    run_for(1000 * MS);
    ck_assert_uint_eq(cmos(rtc, 12) & 0x50, 0x50); /* UF, and PF as a rate is set */
    ck_assert_uint_eq(probe[0].rises, 0);
}
END_TEST

START_TEST(rtc_alarm_rings_once_a_day_or_as_its_wildcards_say)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 1, 0x00);
    set_cmos(rtc, 3, 0x00);
    set_cmos(rtc, 5, 0x06);
    set_cmos(rtc, 11, 0x22);
    run_for((6 * 3600 + 2) * 1000 * MS - 1);
    ck_assert(!probe[0].level);
    run_for(1);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(cmos(rtc, 12) & 0xa0, 0xa0);
    set_cmos(rtc, 5, 0xff);
    set_cmos(rtc, 3, 0xff); /* every minute */
    run_for(60 * 1000 * MS);
    ck_assert_uint_eq(cmos(rtc, 12) & 0xa0, 0xa0);
}
END_TEST

START_TEST(rtc_periodic_interrupt_has_its_rate)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);
    unsigned n = 0;

    set_cmos(rtc, 10, 0x26); /* 1024 Hz */
    set_cmos(rtc, 11, 0x42);
    while (m->st->warp < 1000 * MS) {
        run_to(rtc_ops.deadline(rtc));
        if (m->st->warp > 1000 * MS)
            break;
        ck_assert(probe[0].level);
        ck_assert(cmos(rtc, 12) & 0x40);
        n++;
    }
    ck_assert_uint_eq(n, 1024);
}
END_TEST

START_TEST(rtc_tells_a_bios_how_much_memory_there_is)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    ck_assert_uint_eq(cmos(rtc, 0x15) | cmos(rtc, 0x16) << 8, 640);
    ck_assert_uint_eq(cmos(rtc, 0x30) | cmos(rtc, 0x31) << 8, 63 * 1024);
    ck_assert_uint_eq(cmos(rtc, 0x34) | cmos(rtc, 0x35) << 8, 48 * 16);
}
END_TEST

START_TEST(rtc_keeps_memory_and_date_across_reset_but_no_enables)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 0x50, 0x5a);
    set_cmos(rtc, 11, 0x72);
    run_for(1000 * MS);
    rtc_ops.reset(rtc);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(cmos(rtc, 0x50), 0x5a);
    ck_assert_uint_eq(cmos(rtc, 11), 0x02);
    ck_assert_uint_eq(cmos(rtc, 0), 0x59);
    ck_assert_uint_eq(host_readings, 1);
}
END_TEST

/* ---- 16550A ---- */

static struct device *new_uart(void)
{
    static struct uart16550_wiring wiring;
    struct device *uart;

    wiring = (struct uart16550_wiring){.irq = probe_line(0), .irq_needs_out2 = true};
    uart = add(&uart16550_ops, &wiring);
    reset_all();
    out(uart, 0, 3, 0x03);
    out(uart, 0, 4, 0x0b);
    return uart;
}

START_TEST(uart_sends_what_is_written)
{
    struct device *uart = new_uart();

    ck_assert_uint_eq(in(uart, 0, 5) & 0x60, 0x60);
    out(uart, 0, 0, 'h');
    out(uart, 0, 0, 'i');
    ck_assert_uint_eq(sent.len, 2);
    ck_assert_int_eq(memcmp(sent.data, "hi", 2), 0);
}
END_TEST

START_TEST(uart_enabling_the_thre_interrupt_on_an_empty_transmitter_raises_it)
{
    struct device *uart = new_uart();

    out(uart, 0, 1, 0x02);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0x02);
    ck_assert_msg(!probe[0].level, "reading IIR takes it back");
    ck_assert_uint_eq(in(uart, 0, 2), 0x01);
    out(uart, 0, 1, 0x00);
    out(uart, 0, 1, 0x02);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(uart_raises_thre_again_after_a_write_and_not_at_once)
{
    struct device *uart = new_uart();

    out(uart, 0, 1, 0x02);
    in(uart, 0, 2);
    out(uart, 0, 0, 'x');
    ck_assert(!probe[0].level);
    run_for(1 * MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0x02);
}
END_TEST

START_TEST(uart_receives_at_the_trigger_level)
{
    struct device *uart = new_uart();

    out(uart, 0, 2, 0x81); /* FIFO, trigger at 8 */
    out(uart, 0, 1, 0x01);
    input(uart, "1234567", 7);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 5) & 1, 1);
    input(uart, "8", 1);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0xc4);
    ck_assert_uint_eq(in(uart, 0, 0), '1');
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(uart_times_out_after_four_character_times)
{
    struct device *uart = new_uart();
    const uint64_t four = 4 * 10 * NS_PER_SEC / 115200ull;

    out(uart, 0, 2, 0x81);
    out(uart, 0, 1, 0x01);
    input(uart, "ab", 2);
    run_for(four - 1);
    ck_assert(!probe[0].level);
    run_for(1);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0xcc);
    ck_assert_uint_eq(in(uart, 0, 0), 'a');
    ck_assert(!probe[0].level);
    run_for(four);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 0), 'b');
    run_for(10 * four);
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(uart_has_room_for_16_bytes_and_reports_overruns)
{
    struct device *uart = new_uart();

    ck_assert_uint_eq(uart16550_ops.input_room(uart), 1);
    out(uart, 0, 2, 0x01);
    ck_assert_uint_eq(uart16550_ops.input_room(uart), 16);
    input(uart, "0123456789abcdef", 16);
    ck_assert_uint_eq(uart16550_ops.input_room(uart), 0);
    out(uart, 0, 1, 0x04);
    input(uart, "!", 1);
    ck_assert_uint_eq(in(uart, 0, 2), 0xc6);
    ck_assert_uint_eq(in(uart, 0, 5) & 0x03, 0x03);
    ck_assert_msg(!(in(uart, 0, 5) & 2), "reading LSR clears the error");
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(uart, 0, 0), (unsigned)"0123456789abcdef"[i]);
    ck_assert(!(in(uart, 0, 5) & 1));
}
END_TEST

START_TEST(uart_loops_back)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x1a); /* LOOP, OUT2, RTS */
    ck_assert_uint_eq(in(uart, 0, 6) & 0xf0, 0x90);
    out(uart, 0, 0, 0x5a);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert_uint_eq(in(uart, 0, 5) & 1, 1);
    ck_assert_uint_eq(in(uart, 0, 0), 0x5a);
    ck_assert_msg(in(uart, 0, 6) == 0x90, "reading MSR cleared the deltas");
    out(uart, 0, 4, 0x10);
    ck_assert_uint_eq(in(uart, 0, 6), 0x09);
}
END_TEST

START_TEST(uart_interrupts_only_through_out2)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x03);
    out(uart, 0, 1, 0x02);
    ck_assert(!probe[0].level);
    out(uart, 0, 4, 0x0b);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(uart_divisor_hides_behind_dlab)
{
    struct device *uart = new_uart();

    out(uart, 0, 3, 0x83);
    out(uart, 0, 0, 0x0c);
    out(uart, 0, 1, 0x01);
    ck_assert_uint_eq(in(uart, 0, 0), 0x0c);
    ck_assert_uint_eq(in(uart, 0, 1), 0x01);
    out(uart, 0, 3, 0x03);
    ck_assert_uint_eq(in(uart, 0, 1), 0x00);
    ck_assert_uint_eq(sent.len, 0);
    out(uart, 0, 7, 0xa5);
    ck_assert_uint_eq(in(uart, 0, 7), 0xa5);
}
END_TEST

/* ---- 8042 and what hangs on it ---- */

static struct device *kbc, *kbd, *mouse;

static void new_i8042(void)
{
    static struct i8042_wiring wiring;
    static struct ps2_wiring kbd_wiring, mouse_wiring;

    kbc = add(&i8042_ops, &wiring);
    kbd = add(&ps2kbd_ops, &kbd_wiring);
    mouse = add(&ps2mouse_ops, &mouse_wiring);
    wiring = (struct i8042_wiring){
        .kbd = kbd, .mouse = mouse, .irq1 = probe_line(0), .irq12 = probe_line(1), .a20 = probe_line(2)};
    kbd_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = kbc, .n = 0};
    mouse_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = kbc, .n = 1};
    reset_all();
}

static bool kbc_full(void)
{
    return in(kbc, I8042_COMMAND, 0) & 1;
}

static uint8_t kbc_get(void)
{
    ck_assert_msg(kbc_full(), "the output buffer is empty");
    return in(kbc, I8042_DATA, 0);
}

static void kbc_command_byte(unsigned value)
{
    out(kbc, I8042_COMMAND, 0, 0x60);
    out(kbc, I8042_DATA, 0, value);
}

static void to_mouse(unsigned byte)
{
    out(kbc, I8042_COMMAND, 0, 0xd4);
    out(kbc, I8042_DATA, 0, byte);
}

static void press(uint16_t word)
{
    const uint8_t data[2] = {(uint8_t)word, (uint8_t)(word >> 8)};

    input(kbd, data, 2);
}

START_TEST(i8042_passes_its_tests)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xaa);
    ck_assert_uint_eq(kbc_get(), 0x55);
    out(kbc, I8042_COMMAND, 0, 0xab);
    ck_assert_uint_eq(kbc_get(), 0x00);
    out(kbc, I8042_COMMAND, 0, 0xa9);
    ck_assert_uint_eq(kbc_get(), 0x00);
    kbc_command_byte(0x61);
    out(kbc, I8042_COMMAND, 0, 0x20);
    ck_assert_uint_eq(kbc_get(), 0x61);
}
END_TEST

START_TEST(i8042_moves_the_a20_gate)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xd1);
    out(kbc, I8042_DATA, 0, 0xdf);
    ck_assert(probe[2].level);
    out(kbc, I8042_COMMAND, 0, 0xd1);
    out(kbc, I8042_DATA, 0, 0xdd);
    ck_assert(!probe[2].level);
    out(kbc, I8042_COMMAND, 0, 0xd0);
    ck_assert(!(kbc_get() & 2));
}
END_TEST

START_TEST(i8042_resets_the_machine)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xff);
    ck_assert(!m->st->reset_request);
    out(kbc, I8042_COMMAND, 0, 0xfe);
    ck_assert(m->st->reset_request);
}
END_TEST

START_TEST(keyboard_answers_reset_and_identify)
{
    new_i8042();
    kbc_command_byte(0x01);
    out(kbc, I8042_DATA, 0, 0xff);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xaa);
    ck_assert(!probe[0].level);
    out(kbc, I8042_DATA, 0, 0xf2);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xab);
    ck_assert_uint_eq(kbc_get(), 0x83);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(keys_arrive_in_the_set_that_is_asked_for)
{
    static const struct { uint16_t key; uint8_t set1[8], set2[8]; } cases[] = {
        {0x1e, {0x1e}, {0x1c}},
        {0x1e | PC_KEY_RELEASE, {0x9e}, {0xf0, 0x1c}},
        {0x148, {0xe0, 0x48}, {0xe0, 0x75}},
        {0x148 | PC_KEY_RELEASE, {0xe0, 0xc8}, {0xe0, 0xf0, 0x75}},
        {0x41, {0x41}, {0x83}},
        {PC_KEY_PAUSE, {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}, {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}},
        {PC_KEY_PRINT, {0xe0, 0x2a, 0xe0, 0x37}, {0xe0, 0x12, 0xe0, 0x7c}},
    };

    new_i8042();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        kbc_command_byte(0x41); /* translating */
        press(cases[i].key);
        for (unsigned j = 0; j < 8 && cases[i].set1[j]; j++)
            ck_assert_uint_eq(kbc_get(), cases[i].set1[j]);
        ck_assert(!kbc_full());
        kbc_command_byte(0x01);
        press(cases[i].key);
        for (unsigned j = 0; j < 8 && cases[i].set2[j]; j++)
            ck_assert_uint_eq(kbc_get(), cases[i].set2[j]);
        ck_assert(!kbc_full());
    }
}
END_TEST

START_TEST(keyboard_speaks_set_3_and_set_1_itself)
{
    new_i8042();
    kbc_command_byte(0x01);
    out(kbc, I8042_DATA, 0, 0xf0);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    out(kbc, I8042_DATA, 0, 3);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    press(0x3b); /* F1 */
    ck_assert_uint_eq(kbc_get(), 0x07);
    press(0x3b | PC_KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0xf0);
    ck_assert_uint_eq(kbc_get(), 0x07);
    out(kbc, I8042_DATA, 0, 0xf0);
    kbc_get();
    out(kbc, I8042_DATA, 0, 0);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 3);
    out(kbc, I8042_DATA, 0, 0xf0);
    kbc_get();
    out(kbc, I8042_DATA, 0, 1);
    kbc_get();
    press(0x3b | PC_KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0xbb);
}
END_TEST

START_TEST(key_held_repeats_after_half_a_second)
{
    new_i8042();
    kbc_command_byte(0x41);
    press(0x1e);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(499 * MS);
    ck_assert(!kbc_full());
    run_for(1 * MS);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(100 * MS);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    press(0x1e | PC_KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0x9e);
    run_for(2000 * MS);
    ck_assert(!kbc_full());
}
END_TEST

static void put_word(uint8_t *data, unsigned i, uint16_t word)
{
    data[2 * i] = (uint8_t)word;
    data[2 * i + 1] = (uint8_t)(word >> 8);
}

START_TEST(a_key_is_held_as_long_as_the_input_says)
{
    uint8_t data[12];

    new_i8042();
    kbc_command_byte(0x41);
    put_word(data, 0, 0x1e);
    put_word(data, 1, PC_KEY_WAIT | 100);
    put_word(data, 2, 0x1e | PC_KEY_RELEASE);
    put_word(data, 3, PC_KEY_WAIT | 5);
    put_word(data, 4, 0x30);
    put_word(data, 5, PC_KEY_WAIT | 5);
    input(kbd, data, sizeof(data));
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(99 * MS);
    ck_assert(!kbc_full());
    run_for(1 * MS);
    ck_assert_uint_eq(kbc_get(), 0x9e);
    ck_assert(!kbc_full());
    press(0x31); /* what is typed next waits for its turn */
    run_for(5 * MS);
    ck_assert_uint_eq(kbc_get(), 0x30);
    ck_assert(!kbc_full());
    run_for(5 * MS);
    ck_assert_uint_eq(kbc_get(), 0x31);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(what_does_not_fit_is_typed_when_bytes_are_taken)
{
    uint8_t data[2 * 48];

    new_i8042();
    kbc_command_byte(0x41);
    for (unsigned i = 0; i < 48; i++)
        put_word(data, i, (uint16_t)((0x10 + i / 2) | (i % 2 ? PC_KEY_RELEASE : 0)));
    ck_assert_uint_ge(ps2kbd_ops.input_room(kbd), sizeof(data));
    input(kbd, data, sizeof(data));
    for (unsigned i = 0; i < 48; i++)
        ck_assert_uint_eq(kbc_get(), 0x10 + i / 2 + (i % 2 ? 0x80 : 0));
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(disabled_keyboard_holds_its_bytes)
{
    new_i8042();
    kbc_command_byte(0x51); /* keyboard clock off */
    press(0x1e);
    ck_assert(!kbc_full());
    out(kbc, I8042_COMMAND, 0, 0xae);
    ck_assert_uint_eq(kbc_get(), 0x1e);
}
END_TEST

START_TEST(keyboard_input_never_overflows_what_room_promised)
{
    uint8_t data[128];
    size_t room;

    new_i8042();
    kbc_command_byte(0x11);
    for (;;) {
        room = ps2kbd_ops.input_room(kbd);
        if (!room)
            break;
        ck_assert_uint_le(room, sizeof(data));
        ck_assert_uint_eq(room % 2, 0);
        data[0] = 0x48;
        data[1] = 0x81; /* release of an extended key: three bytes */
        input(kbd, data, 2);
    }
    kbc_command_byte(0x01);
    for (unsigned n = 0; kbc_full(); n++) {
        static const uint8_t up[] = {0xe0, 0xf0, 0x75};

        ck_assert_uint_eq(kbc_get(), up[n % 3]);
    }
}
END_TEST

START_TEST(mouse_reports_movement_and_buttons)
{
    static const uint8_t record[8] = {5, 0, 3, 0, 0, 0, 1, 0}; /* right, down, left button */

    new_i8042();
    kbc_command_byte(0x43);
    to_mouse(0xf4);
    ck_assert(probe[1].level);
    ck_assert_uint_eq(in(kbc, I8042_COMMAND, 0) & 0x21, 0x21);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    input(mouse, record, sizeof(record));
    ck_assert_uint_eq(kbc_get(), 0x29);
    ck_assert_uint_eq(kbc_get(), 5);
    ck_assert_uint_eq(kbc_get(), (uint8_t)-3);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(mouse_grows_a_wheel_by_the_magic_sequence)
{
    static const uint8_t rates[] = {200, 100, 80};
    static const uint8_t record[8] = {0, 0, 0, 0, 0xff, 0xff, 0, 0};

    new_i8042();
    to_mouse(0xff);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xaa);
    ck_assert_uint_eq(kbc_get(), 0x00);
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(0xf3);
        kbc_get();
        to_mouse(rates[i]);
        kbc_get();
    }
    to_mouse(0xf2);
    kbc_get();
    ck_assert_uint_eq(kbc_get(), 3);
    to_mouse(0xf4);
    kbc_get();
    input(mouse, record, sizeof(record));
    for (unsigned i = 0; i < 3; i++)
        kbc_get();
    ck_assert_uint_eq(kbc_get(), 0xff);
}
END_TEST

START_TEST(mouse_adds_up_what_does_not_fit)
{
    static const uint8_t record[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    unsigned total = 0;

    new_i8042();
    to_mouse(0xf4);
    kbc_get();
    for (unsigned i = 0; i < 100; i++)
        input(mouse, record, sizeof(record));
    while (kbc_full()) {
        kbc_get();
        total += kbc_get();
        kbc_get();
    }
    ck_assert_uint_eq(total, 100);
}
END_TEST

START_TEST(key_names_are_those_of_sendkey)
{
    uint16_t code;

    ck_assert(pc_key_code("a", &code) && code == 0x1e);
    ck_assert(pc_key_code("ret", &code) && code == 0x1c);
    ck_assert(pc_key_code("up", &code) && code == 0x148);
    ck_assert(pc_key_code("0x9d", &code) && code == 0x11d);
    ck_assert(!pc_key_code("nosuchkey", &code));
    ck_assert(!pc_key_code("0x", &code));
}
END_TEST

/* ---- APICs ---- */

static struct device *lapic, *io_apic, *apic_pic;
static unsigned nmis;

static void count_nmi(void *ctx)
{
    (void)ctx;
    nmis++;
}

static uint32_t lapic_get(unsigned reg)
{
    return (uint32_t)lapic->ops->read(lapic, 0, reg, 4);
}

static void lapic_set(unsigned reg, uint32_t value)
{
    lapic->ops->write(lapic, 0, reg, 4, value);
}

static void io_apic_set(unsigned reg, uint32_t value)
{
    io_apic->ops->write(io_apic, 0, 0x00, 4, reg);
    io_apic->ops->write(io_apic, 0, 0x10, 4, value);
}

static uint32_t io_apic_get(unsigned reg)
{
    io_apic->ops->write(io_apic, 0, 0x00, 4, reg);
    return (uint32_t)io_apic->ops->read(io_apic, 0, 0x10, 4);
}

static void new_apics(void)
{
    static struct apic_wiring wiring;
    static struct ioapic_wiring io_wiring;
    static struct pic_wiring pic_wiring;

    nmis = 0;
    lapic = add(&apic_ops, &wiring);
    io_apic = add(&ioapic_ops, &io_wiring);
    apic_pic = add(&pic_ops, &pic_wiring);
    wiring = (struct apic_wiring){.intr = probe_line(0), .pic = apic_pic, .ioapic = io_apic, .nmi = count_nmi};
    io_wiring.apic = lapic;
    pic_wiring.intr = (struct line){.set = apic_set_lint0, .ctx = lapic};
    reset_all();
    apic_set_enabled(lapic, true);
    pic_firmware_setup(apic_pic);
    lapic_set(0xf0, 0x1ff);
}

START_TEST(apic_identifies_itself)
{
    new_apics();
    ck_assert_uint_eq(lapic_get(0x30), 0x00050014);
    ck_assert_uint_eq(lapic_get(0x20), 0);
    ck_assert_uint_eq(lapic_get(0xf0), 0x1ff);
    ck_assert_uint_eq(io_apic_get(1), 0x00170011);
}
END_TEST

START_TEST(apic_delivers_by_priority_and_holds_back_by_tpr)
{
    new_apics();
    lapic_set(0x300, 0x40031); /* self IPIs */
    lapic_set(0x300, 0x40052);
    ck_assert(probe[0].level);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x52);
    ck_assert_uint_eq(lapic_get(0xa0), 0x50);
    ck_assert_msg(!probe[0].level, "31h waits while 52h is in service");
    ck_assert_uint_eq(lapic_get(0x100 + 0x20), 1u << (0x52 - 0x40));
    lapic_set(0x80, 0x40);
    lapic_set(0xb0, 0);
    ck_assert(!probe[0].level);
    lapic_set(0x80, 0);
    ck_assert(probe[0].level);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x31);
    lapic_set(0xb0, 0);
    ck_assert_int_eq(apic_acknowledge(lapic), -1);
}
END_TEST

START_TEST(apic_timer_one_shot_counts_down_in_bus_clocks)
{
    new_apics();
    lapic_set(0x3e0, 0x0b); /* divide by 1 */
    lapic_set(0x320, 0x40);
    lapic_set(0x380, 1000);
    run_for(5000);
    ck_assert_uint_eq(lapic_get(0x390), 500);
    run_for(4999);
    ck_assert(!probe[0].level);
    run_for(1);
    ck_assert(probe[0].level);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x40);
    lapic_set(0xb0, 0);
    run_for(100000);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(lapic_get(0x390), 0);
}
END_TEST

START_TEST(apic_timer_periodic_with_divider)
{
    new_apics();
    lapic_set(0x3e0, 0x03); /* divide by 16: 160 ns a count */
    lapic_set(0x320, 0x20040);
    lapic_set(0x380, 100);
    for (unsigned i = 0; i < 10; i++) {
        run_for(16000);
        ck_assert(probe[0].level);
        ck_assert_int_eq(apic_acknowledge(lapic), 0x40);
        lapic_set(0xb0, 0);
    }
    ck_assert_uint_eq(probe[0].rises, 10);
    lapic_set(0x320, 0x30040);
    run_for(160000);
    ck_assert_msg(!probe[0].level, "masked");
    lapic_set(0x380, 0);
    ck_assert(apic_ops.deadline(lapic) == VTIME_NEVER);
}
END_TEST

START_TEST(apic_timer_keeps_its_count_when_the_divider_changes)
{
    new_apics();
    lapic_set(0x3e0, 0x0b);
    lapic_set(0x320, 0x40);
    lapic_set(0x380, 1000);
    run_for(4000);
    lapic_set(0x3e0, 0x00); /* divide by 2 */
    ck_assert_uint_eq(lapic_get(0x390), 600);
    run_for(11999);
    ck_assert(!probe[0].level);
    run_for(21);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(apic_passes_the_8259s_through_lint0)
{
    new_apics();
    out(apic_pic, PIC_MASTER, 1, 0xfe);
    lapic_set(0x350, 0x700);
    pic_set_irq(apic_pic, 0, true);
    ck_assert(probe[0].level);
    lapic_set(0x350, 0x10700);
    ck_assert(!probe[0].level);
    lapic_set(0x350, 0x700);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x08);
    out(apic_pic, PIC_MASTER, 0, 0x20);
    pic_set_irq(apic_pic, 0, false);
    lapic_set(0x350, 0x10700);
    apic_set_enabled(lapic, false);
    pic_set_irq(apic_pic, 0, true);
    ck_assert_msg(probe[0].level, "a disabled APIC is a wire");
}
END_TEST

START_TEST(apic_works_before_it_is_programmed_as_a_wire)
{
    new_apics();
    reset_all();
    pic_firmware_setup(apic_pic);
    out(apic_pic, PIC_MASTER, 1, 0xfe);
    pic_set_irq(apic_pic, 0, true);
    ck_assert(probe[0].level);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x08);
}
END_TEST

START_TEST(apic_reports_illegal_vectors_and_registers)
{
    new_apics();
    lapic_set(0x300, 0x40005);
    lapic_set(0x280, 0);
    ck_assert_uint_eq(lapic_get(0x280) & 0x60, 0x60);
    lapic_set(0x280, 0);
    ck_assert_uint_eq(lapic_get(0x280), 0);
    lapic_get(0x40);
    lapic_set(0x280, 0);
    ck_assert_uint_eq(lapic_get(0x280), 0x80);
}
END_TEST

START_TEST(apic_sends_itself_nmi)
{
    new_apics();
    lapic_set(0x300, 0x40400);
    ck_assert_uint_eq(nmis, 1);
}
END_TEST

START_TEST(ioapic_delivers_an_edge_once)
{
    new_apics();
    io_apic_set(0x10 + 2 * 4, 0x00034);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x34);
    lapic_set(0xb0, 0);
    ck_assert(!probe[0].level);
    ioapic_set_pin(io_apic, 4, false);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(ioapic_repeats_a_level_until_it_is_withdrawn)
{
    new_apics();
    io_apic_set(0x10 + 2 * 9, 0x08039);
    ioapic_set_pin(io_apic, 9, true);
    ck_assert_uint_eq(io_apic_get(0x10 + 2 * 9) & 0x4000, 0x4000);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x39);
    ck_assert(!probe[0].level);
    lapic_set(0xb0, 0);
    ck_assert(probe[0].level);
    ck_assert_int_eq(apic_acknowledge(lapic), 0x39);
    ioapic_set_pin(io_apic, 9, false);
    lapic_set(0xb0, 0);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(io_apic_get(0x10 + 2 * 9) & 0x4000, 0);
}
END_TEST

START_TEST(ioapic_masks_and_addresses_logically)
{
    new_apics();
    lapic_set(0xd0, 0x01000000);
    io_apic_set(0x11 + 2 * 4, 0x02000000);
    io_apic_set(0x10 + 2 * 4, 0x00834);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert_msg(!probe[0].level, "addressed to somebody else");
    ioapic_set_pin(io_apic, 4, false);
    io_apic_set(0x11 + 2 * 4, 0x03000000);
    io_apic_set(0x10 + 2 * 4, 0x10834);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert_msg(!probe[0].level, "masked: the edge is lost");
    io_apic_set(0x10 + 2 * 4, 0x00834);
    ck_assert(!probe[0].level);
    ioapic_set_pin(io_apic, 4, false);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert(probe[0].level);
}
END_TEST

/* ---- PCI, chip set ---- */

static unsigned map_changes;

static void count_change(void *ctx)
{
    (void)ctx;
    map_changes++;
}

static struct device *pci_bus, *north, *south, *power;

static void new_chipset(void)
{
    static struct pci_wiring wiring;
    static struct i440fx_wiring north_wiring;
    static struct piix3_wiring south_wiring;
    static struct piix4_pm_wiring pm_wiring;
    static struct pic_wiring pic_wiring;

    memset(&wiring, 0, sizeof(wiring));
    map_changes = 0;
    pic_wiring.intr = probe_line(0);
    apic_pic = add(&pic_ops, &pic_wiring);
    pci_bus = add(&pci_ops, &wiring);
    north = add(&i440fx_ops, &north_wiring);
    south = add(&piix3_ops, &south_wiring);
    power = add(&piix4_pm_ops, &pm_wiring);
    north_wiring.map_changed = count_change;
    south_wiring = (struct piix3_wiring){.pic = apic_pic};
    pm_wiring = (struct piix4_pm_wiring){.sci = probe_line(1), .map_changed = count_change};
    wiring.functions[wiring.nfunctions++] = i440fx_function(north);
    wiring.functions[wiring.nfunctions++] = piix3_function(south);
    wiring.functions[wiring.nfunctions++] = piix4_pm_function(power);
    reset_all();
}

static uint32_t config_get(unsigned slot, unsigned fn, unsigned reg)
{
    pci_bus->ops->write(pci_bus, PCI_ADDRESS, 0, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    return (uint32_t)pci_bus->ops->read(pci_bus, PCI_DATA, 0, 4);
}

static void config_set(unsigned slot, unsigned fn, unsigned reg, unsigned size, uint32_t value)
{
    pci_bus->ops->write(pci_bus, PCI_ADDRESS, 0, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    pci_bus->ops->write(pci_bus, PCI_DATA, reg & 3, size, value);
}

START_TEST(pci_shows_the_three_functions_and_nothing_else)
{
    new_chipset();
    ck_assert_uint_eq(config_get(0, 0, 0), 0x12378086);
    ck_assert_uint_eq(config_get(1, 0, 0), 0x70008086);
    ck_assert_uint_eq(config_get(1, 3, 0), 0x71138086);
    ck_assert_uint_eq(config_get(1, 0, 0x0c) >> 16 & 0x80, 0x80);
    ck_assert_uint_eq(config_get(2, 0, 0), 0xffffffff);
    ck_assert_uint_eq(config_get(1, 1, 0), 0xffffffff);
    config_set(0, 0, 0, 4, 0);
    ck_assert_msg(config_get(0, 0, 0) == 0x12378086, "identity is read-only");
}
END_TEST

START_TEST(pci_address_takes_only_32_bit_accesses_with_the_enable_bit)
{
    new_chipset();
    pci_bus->ops->write(pci_bus, PCI_ADDRESS, 0, 4, 0x80000000u);
    pci_bus->ops->write(pci_bus, PCI_ADDRESS, 0, 1, 0x55);
    ck_assert_uint_eq(pci_bus->ops->read(pci_bus, PCI_ADDRESS, 0, 4), 0x80000000u);
    pci_bus->ops->write(pci_bus, PCI_ADDRESS, 0, 4, 0);
    ck_assert_uint_eq((uint32_t)pci_bus->ops->read(pci_bus, PCI_DATA, 0, 4), 0xffffffffu);
}
END_TEST

START_TEST(pam_registers_name_their_segments)
{
    new_chipset();
    config_set(0, 0, 0x59, 1, 0x30);
    ck_assert_uint_eq(i440fx_pam(north, I440FX_BIOS_SEGMENT), 3);
    config_set(0, 0, 0x5a, 1, 0x21);
    ck_assert_uint_eq(i440fx_pam(north, 0), PAM_READ);
    ck_assert_uint_eq(i440fx_pam(north, 1), PAM_WRITE);
    config_set(0, 0, 0x5f, 1, 0x10);
    ck_assert_uint_eq(i440fx_pam(north, 11), PAM_READ);
    ck_assert_uint_gt(map_changes, 0);
}
END_TEST

START_TEST(smram_lock_closes_it_for_good)
{
    new_chipset();
    config_set(0, 0, 0x72, 1, 0x4a);
    ck_assert(i440fx_smram_open(north));
    config_set(0, 0, 0x72, 1, 0x5a);
    ck_assert(!i440fx_smram_open(north));
}
END_TEST

START_TEST(pirqs_reach_the_isa_interrupt_they_are_routed_to)
{
    new_chipset();
    pic_firmware_setup(apic_pic);
    out(apic_pic, PIC_ELCR, 1, 0x0c);
    out(apic_pic, PIC_MASTER, 1, 0);
    out(apic_pic, PIC_SLAVE, 1, 0);
    piix3_set_pirq(south, 1, true);
    ck_assert(!probe[0].level);
    config_set(1, 0, 0x61, 1, 11);
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(apic_pic), 0x73);
    config_set(1, 0, 0x61, 1, 0x80);
    out(apic_pic, PIC_SLAVE, 0, 0x20);
    out(apic_pic, PIC_MASTER, 0, 0x20);
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(port_cf9_resets_on_the_rising_bit)
{
    new_chipset();
    out(south, 0, 0, 0x02);
    ck_assert(!m->st->reset_request);
    out(south, 0, 0, 0x06);
    ck_assert(m->st->reset_request);
}
END_TEST

static uint32_t pm_get(unsigned reg, unsigned size)
{
    return (uint32_t)power->ops->read(power, PM_IO, reg, size);
}

static void pm_set(unsigned reg, unsigned size, uint32_t value)
{
    power->ops->write(power, PM_IO, reg, size, value);
}

START_TEST(pm_timer_counts_at_3579545_hz_in_24_bits)
{
    new_chipset();
    run_to(NS_PER_SEC);
    ck_assert_uint_eq(pm_get(8, 4), 3579545);
    run_to(10ull * NS_PER_SEC);
    ck_assert_uint_eq(pm_get(8, 4), 35795450 & 0xffffff);
}
END_TEST

START_TEST(pm_timer_status_follows_bit_23)
{
    const vtime_t half = clock_time(1 << 23, PM_TIMER_HZ);

    new_chipset();
    run_to(half - 1);
    ck_assert_uint_eq(pm_get(0, 2), 0);
    run_to(half);
    ck_assert_uint_eq(pm_get(0, 2), 1);
    pm_set(0, 2, 1);
    ck_assert_uint_eq(pm_get(0, 2), 0);
    pm_set(4, 2, 1);
    pm_set(2, 2, 1);
    run_to(2 * half);
    ck_assert(probe[1].level);
    pm_set(0, 2, 1);
    ck_assert(!probe[1].level);
}
END_TEST

START_TEST(power_button_raises_sci_when_enabled)
{
    new_chipset();
    piix4_pm_firmware_setup(power);
    ck_assert_uint_eq(piix4_pm_base(power), PM_DEFAULT_BASE);
    piix4_pm_power_button(power);
    ck_assert(!probe[1].level);
    pm_set(2, 2, 0x100);
    ck_assert(probe[1].level);
    pm_set(0, 2, 0x100);
    ck_assert(!probe[1].level);
}
END_TEST

START_TEST(soft_off_ends_the_guest)
{
    new_chipset();
    pm_set(4, 2, 0x2401); /* a sleep type that is not soft-off */
    ck_assert_uint_eq(m->st->end, GUEST_RUNS);
    ck_assert_msg(pm_get(0, 2) & 0x8000, "it woke up at once");
    pm_set(4, 2, 0x2001);
    ck_assert_uint_eq(m->st->end, GUEST_POWEROFF);
}
END_TEST

START_TEST(apm_port_switches_acpi_mode)
{
    new_chipset();
    ck_assert_uint_eq(pm_get(4, 2) & 1, 0);
    out(power, PM_APM, 0, 0xf1);
    ck_assert_uint_eq(pm_get(4, 2) & 1, 1);
    out(power, PM_APM, 0, 0xf0);
    ck_assert_uint_eq(pm_get(4, 2) & 1, 0);
}
END_TEST

/* ---- the rest ---- */

START_TEST(dma_registers_read_back_through_the_flip_flop)
{
    struct device *dma = add(&dma_ops, NULL);

    reset_all();
    out(dma, DMA_8BIT, 12, 0);
    out(dma, DMA_8BIT, 4, 0x34);
    out(dma, DMA_8BIT, 4, 0x12);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 0x34);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 4), 0x12);
    out(dma, DMA_16BIT, 2 * 7, 0x55);
    out(dma, DMA_16BIT, 2 * 7, 0xaa);
    ck_assert_uint_eq(in(dma, DMA_16BIT, 2 * 7), 0x55);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 15), 0xff);
    out(dma, DMA_8BIT, 10, 2);
    ck_assert_uint_eq(in(dma, DMA_8BIT, 15), 0xfb);
    out(dma, DMA_PAGES, 3, 0x9a);
    ck_assert_uint_eq(in(dma, DMA_PAGES, 3), 0x9a);
}
END_TEST

START_TEST(debug_exit_port_ends_the_guest_with_a_status)
{
    static struct glue_wiring wiring;
    struct device *glue = add(&glue_ops, &wiring);

    reset_all();
    glue->ops->write(glue, GLUE_DEBUG_EXIT, 0, 4, 0x10);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    ck_assert_uint_eq(m->st->end_status, 0x21);
}
END_TEST

START_TEST(port_92_moves_a20_and_resets)
{
    static struct glue_wiring wiring;
    struct device *glue = add(&glue_ops, &wiring);

    wiring.a20 = probe_line(0);
    reset_all();
    out(glue, GLUE_PORT_92, 0, 0x02);
    ck_assert(probe[0].level);
    ck_assert(!m->st->reset_request);
    out(glue, GLUE_PORT_92, 0, 0x01);
    ck_assert(!probe[0].level);
    ck_assert(m->st->reset_request);
}
END_TEST

START_TEST(fwcfg_lists_its_files_and_reads_them)
{
    static struct fwcfg_wiring wiring;
    struct device *dev;
    uint8_t dir[4 + 2 * 64];

    memset(&wiring, 0, sizeof(wiring));
    fwcfg_add(&wiring, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add_file(&wiring, "zeta", "zz", 2);
    fwcfg_add_file(&wiring, "alpha", "first", 5);
    fwcfg_seal(&wiring);
    dev = add(&fwcfg_ops, &wiring);
    reset_all();
    ck_assert_uint_eq(in(dev, 0, 1), 'Q');
    dev->ops->write(dev, 0, 0, 2, FWCFG_FILE_DIR);
    for (unsigned i = 0; i < sizeof(dir); i++)
        dir[i] = in(dev, 0, 1);
    ck_assert_uint_eq(dir[3], 2);
    ck_assert_str_eq((char *)dir + 12, "alpha");
    ck_assert_uint_eq(dir[7], 5);
    dev->ops->write(dev, 0, 0, 2, (uint64_t)dir[8] << 8 | dir[9]);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(in(dev, 0, 1), (unsigned)"first"[i]);
    ck_assert_msg(in(dev, 0, 1) == 0, "zeros past the end");
    fwcfg_finish(&wiring);
}
END_TEST

static uint64_t echo_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev;
    return range * 0x40 + offset + size * 0x10;
}

static void echo_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)dev, (void)range;
    buffer_printf(&sent, "%u/%u=%x ", (unsigned)offset, size, (unsigned)value);
}

static const struct device_ops echo_ops = {.name = "echo", .state_size = 8, .read = echo_read, .write = echo_write};

START_TEST(ports_split_wide_accesses_to_narrow_devices)
{
    static struct ports ports;
    struct device *dev = add(&echo_ops, NULL);

    memset(&ports, 0, sizeof(ports));
    ports_claim(&ports, dev, 0x100, 4, 0, 1);
    ports_claim(&ports, dev, 0x200, 4, 1, 4);
    ck_assert_uint_eq(ports_read(&ports, 0x100, 4), 0x13121110);
    ck_assert_uint_eq(ports_read(&ports, 0x200, 4), 0x80);
    ck_assert_uint_eq(ports_read(&ports, 0x202, 4), 0xffff0062);
    ck_assert_uint_eq(ports_read(&ports, 0x300, 4), 0xffffffff);
    ports_write(&ports, 0xfe, 4, 0x44332211);
    ports_write(&ports, 0x200, 2, 0xbeef);
    buffer_append_byte(&sent, 0);
    ck_assert_str_eq((char *)sent.data, "0/1=33 1/1=44 0/2=beef ");
    ports_move(&ports, 1, 0x300, true);
    ck_assert_uint_eq(ports_read(&ports, 0x200, 1), 0xff);
    ck_assert_uint_eq(ports_read(&ports, 0x300, 1), 0x50);
    ck_assert_uint_eq(ports_read(&ports, 0xffff, 2), 0xffff);
}
END_TEST

#define ADD(t) tcase_add_test(tc, t)

static void add_interrupt_tests(TCase *tc)
{
    ADD(clock_conversions_are_exact_inverses);
    ADD(pic_presents_the_highest_priority_request_first);
    ADD(pic_edge_request_is_taken_once);
    ADD(pic_level_request_comes_back_until_it_is_withdrawn);
    ADD(pic_slave_requests_go_through_the_cascade);
    ADD(pic_request_that_goes_away_is_spurious_ir7);
    ADD(pic_registers_read_back_and_mask);
    ADD(pic_automatic_eoi_leaves_nothing_in_service);
    ADD(pic_rotation_makes_the_served_input_the_lowest);
    ADD(pic_special_mask_lets_lower_priorities_through);
    ADD(pic_poll_acknowledges);
    ADD(elcr_keeps_the_fixed_edge_inputs);
    ADD(apic_identifies_itself);
    ADD(apic_delivers_by_priority_and_holds_back_by_tpr);
    ADD(apic_timer_one_shot_counts_down_in_bus_clocks);
    ADD(apic_timer_periodic_with_divider);
    ADD(apic_timer_keeps_its_count_when_the_divider_changes);
    ADD(apic_passes_the_8259s_through_lint0);
    ADD(apic_works_before_it_is_programmed_as_a_wire);
    ADD(apic_reports_illegal_vectors_and_registers);
    ADD(apic_sends_itself_nmi);
    ADD(ioapic_delivers_an_edge_once);
    ADD(ioapic_repeats_a_level_until_it_is_withdrawn);
    ADD(ioapic_masks_and_addresses_logically);
}

static void add_timer_tests(TCase *tc)
{
    ADD(pit_mode_0_raises_out_n_plus_1_clocks_after_the_write);
    ADD(pit_mode_2_pulses_once_per_n_clocks);
    ADD(pit_mode_2_count_goes_from_n_to_1);
    ADD(pit_mode_3_is_a_square_wave_counting_by_two);
    ADD(pit_new_count_in_mode_2_waits_for_the_end_of_the_cycle);
    ADD(pit_new_count_in_mode_3_waits_for_the_half_cycle);
    ADD(pit_mode_4_strobes_low_for_one_clock);
    ADD(pit_modes_1_and_5_wait_for_the_gate);
    ADD(pit_gate_stops_and_resumes_mode_0);
    ADD(pit_gate_restarts_mode_3);
    ADD(pit_counts_in_bcd);
    ADD(pit_latch_holds_until_it_is_read);
    ADD(pit_read_back_gives_status_before_count);
    ADD(port_61_toggles_with_every_refresh);
    ADD(pit_loses_no_edge_when_served_late);
    ADD(rtc_tells_the_hosts_date_in_bcd);
    ADD(rtc_knows_leap_days);
    ADD(rtc_reads_the_host_only_when_asked);
    ADD(rtc_updates_in_phase_with_the_host);
    ADD(rtc_shows_uip_before_the_update);
    ADD(rtc_twelve_hour_and_binary_modes);
    ADD(rtc_stands_still_while_set_and_keeps_what_is_written);
    ADD(rtc_first_update_comes_half_a_second_after_divider_reset);
    ADD(rtc_update_interrupt_comes_every_second);
    ADD(rtc_flags_are_raised_without_interrupts_too);
    ADD(rtc_alarm_rings_once_a_day_or_as_its_wildcards_say);
    ADD(rtc_periodic_interrupt_has_its_rate);
    ADD(rtc_tells_a_bios_how_much_memory_there_is);
    ADD(rtc_keeps_memory_and_date_across_reset_but_no_enables);
}

static void add_line_tests(TCase *tc)
{
    ADD(uart_sends_what_is_written);
    ADD(uart_enabling_the_thre_interrupt_on_an_empty_transmitter_raises_it);
    ADD(uart_raises_thre_again_after_a_write_and_not_at_once);
    ADD(uart_receives_at_the_trigger_level);
    ADD(uart_times_out_after_four_character_times);
    ADD(uart_has_room_for_16_bytes_and_reports_overruns);
    ADD(uart_loops_back);
    ADD(uart_interrupts_only_through_out2);
    ADD(uart_divisor_hides_behind_dlab);
    ADD(i8042_passes_its_tests);
    ADD(i8042_moves_the_a20_gate);
    ADD(i8042_resets_the_machine);
    ADD(keyboard_answers_reset_and_identify);
    ADD(keys_arrive_in_the_set_that_is_asked_for);
    ADD(keyboard_speaks_set_3_and_set_1_itself);
    ADD(key_held_repeats_after_half_a_second);
    ADD(a_key_is_held_as_long_as_the_input_says);
    ADD(what_does_not_fit_is_typed_when_bytes_are_taken);
    ADD(disabled_keyboard_holds_its_bytes);
    ADD(keyboard_input_never_overflows_what_room_promised);
    ADD(mouse_reports_movement_and_buttons);
    ADD(mouse_grows_a_wheel_by_the_magic_sequence);
    ADD(mouse_adds_up_what_does_not_fit);
    ADD(key_names_are_those_of_sendkey);
}

static void add_board_tests(TCase *tc)
{
    ADD(pci_shows_the_three_functions_and_nothing_else);
    ADD(pci_address_takes_only_32_bit_accesses_with_the_enable_bit);
    ADD(pam_registers_name_their_segments);
    ADD(smram_lock_closes_it_for_good);
    ADD(pirqs_reach_the_isa_interrupt_they_are_routed_to);
    ADD(port_cf9_resets_on_the_rising_bit);
    ADD(pm_timer_counts_at_3579545_hz_in_24_bits);
    ADD(pm_timer_status_follows_bit_23);
    ADD(power_button_raises_sci_when_enabled);
    ADD(soft_off_ends_the_guest);
    ADD(apm_port_switches_acpi_mode);
    ADD(dma_registers_read_back_through_the_flip_flop);
    ADD(debug_exit_port_ends_the_guest_with_a_status);
    ADD(port_92_moves_a20_and_resets);
    ADD(fwcfg_lists_its_files_and_reads_them);
    ADD(ports_split_wide_accesses_to_narrow_devices);
}

int main(void)
{
    static void (*const groups[])(TCase *) = {add_interrupt_tests, add_timer_tests, add_line_tests, add_board_tests};
    Suite *suite = suite_create("pc_chips");
    SRunner *runner;
    int failed;

    for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
        TCase *tc = tcase_create("pc_chips");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 30);
        groups[i](tc);
        suite_add_tcase(suite, tc);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
