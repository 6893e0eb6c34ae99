/*
 * Interrupt controllers and timers of the PC board, each alone: what their data
 * sheets promise, to the tick of their clocks.
 */
#include "tests/whole/chip_bench.h"

#include "i386/pc/apic.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/pic.h"
#include "i386/pc/pit.h"
#include "vm/dev/ports.h"
#include "i386/pc/rtc.h"
#include "vm/dev/clock.h"

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

START_TEST(pic_levels_are_of_elcr_whatever_icw1_says)
{
    struct device *pic = new_pic();

    for (unsigned word = 0; word < 4; word++) /* ICW1 with LTIM, ICW2 to ICW4 */
        out(pic, PIC_MASTER, word > 0, (const uint8_t[]){0x19, 0x08, 0x04, 0x01}[word]);
    out(pic, PIC_MASTER, 1, 0);
    pic_set_irq(pic, 3, true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x0b);
    out(pic, PIC_MASTER, 0, 0x20);
    ck_assert_msg(!probe[0].level, "the line is still high, but it made no new edge");
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

static unsigned alarms;

static void count_alarm(void *ctx)
{
    (void)ctx;
    alarms++;
}

static struct device *new_rtc(uint64_t seconds, uint64_t ns)
{
    static struct rtc_wiring wiring;
    struct device *rtc;

    wiring = (struct rtc_wiring){.irq = probe_line(0), .alarm = count_alarm, .memory_bytes = 64ull << 20};
    alarms = 0;
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

/* Each time that IRQ8# is asserted for it, and by no other interrupt. */
/* Reset for a machine that goes to sleep, or wakes. */
static void reset_rtc_for(struct device *rtc, enum reset_kind kind)
{
    m->resetting = kind;
    rtc_ops.reset(rtc);
    m->resetting = RESET_NONE;
}

START_TEST(rtc_keeps_its_alarm_while_the_machine_sleeps_and_says_so_to_firmware)
{
    struct device *rtc = new_rtc(1000000000, 0);

    set_cmos(rtc, 0x0f, 0x12);
    set_cmos(rtc, 1, 0xff), set_cmos(rtc, 3, 0xff), set_cmos(rtc, 5, 0xff);
    set_cmos(rtc, 11, 0x22);
    reset_rtc_for(rtc, RESET_SLEEP);
    ck_assert_uint_eq(cmos(rtc, 0x0e), 0);
    ck_assert_uint_eq(cmos(rtc, 0x0f), 0xfe);
    ck_assert_uint_eq(cmos(rtc, 11), 0x22);
    ck_assert(rtc_ops.deadline(rtc) != VTIME_NEVER);
    run_to(rtc_ops.deadline(rtc));
    ck_assert_uint_eq(alarms, 1);
    reset_rtc_for(rtc, RESET_WAKE);
    ck_assert_uint_eq(cmos(rtc, 0x0f), 0xfe);
    ck_assert_uint_eq(cmos(rtc, 11), 0x02);
    ck_assert_uint_eq(rtc_ops.deadline(rtc), VTIME_NEVER);
    rtc_forget_sleep(rtc);
    ck_assert_uint_eq(cmos(rtc, 0x0f), 0);
    reset_rtc_for(rtc, RESET_SYSTEM);
    ck_assert_msg(cmos(rtc, 0x0f) == 0, "an ordinary reset leaves the byte alone");
}
END_TEST

START_TEST(rtc_tells_of_an_alarm_that_may_wake)
{
    struct device *rtc = new_rtc(LEAP_EVE, 0);

    set_cmos(rtc, 1, 0xff);
    set_cmos(rtc, 3, 0xff);
    set_cmos(rtc, 5, 0xff);
    set_cmos(rtc, 11, 0x12); /* updates */
    run_for(2000 * MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(alarms, 0);
    cmos(rtc, 12);
    set_cmos(rtc, 11, 0x22);
    run_for(1000 * MS);
    ck_assert_uint_eq(alarms, 1);
    run_for(3000 * MS);
    ck_assert_uint_eq(alarms, 1);
    cmos(rtc, 12);
    run_for(1000 * MS);
    ck_assert_uint_eq(alarms, 2);
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
    static struct apic_bus bus;
    static struct apic_wiring wiring;
    static struct ioapic_wiring io_wiring;
    static struct pic_wiring pic_wiring;

    nmis = 0;
    lapic = add(&apic_ops, &wiring);
    io_apic = add(&ioapic_ops, &io_wiring);
    apic_pic = add(&pic_ops, &pic_wiring);
    bus = (struct apic_bus){.apics = {lapic}, .count = 1};
    wiring = (struct apic_wiring){.bus = &bus, .intr = probe_line(0), .pic = apic_pic, .ioapic = io_apic, .nmi = count_nmi};
    io_wiring.bus = &bus;
    pic_wiring.intr = (struct line){.set = apic_set_lint0, .ctx = lapic};
    reset_all();
    apic_set_mode(lapic, APIC_MEMORY);
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

START_TEST(apic_timer_that_expired_in_one_shot_mode_stays_at_0_as_a_periodic_one)
{
    new_apics();
    lapic_set(0x3e0, 0xb);
    lapic_set(0x320, 0x40);
    lapic_set(0x380, 1000);
    run_for(20000);
    ck_assert_uint_eq(lapic_get(0x390), 0);
    lapic_set(0x320, 0x20041);
    ck_assert_uint_eq(lapic_get(0x390), 0);
    run_for(50000);
    ck_assert_uint_eq(lapic_get(0x390), 0);
    ck_assert_uint_eq(lapic_get(0x220), 1); /* 40h came, 41h never */
    lapic_set(0x380, 1000);
    run_for(2500);
    ck_assert_uint_eq(lapic_get(0x390), 750);
    lapic_set(0x320, 0x42); /* to one-shot while it counts: it goes on from where it is */
    ck_assert_uint_eq(lapic_get(0x390), 750);
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
    apic_set_mode(lapic, APIC_DISABLED);
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

static void add_interrupt_tests(TCase *tc)
{
    ADD(clock_conversions_are_exact_inverses);
    ADD(pic_presents_the_highest_priority_request_first);
    ADD(pic_edge_request_is_taken_once);
    ADD(pic_level_request_comes_back_until_it_is_withdrawn);
    ADD(pic_levels_are_of_elcr_whatever_icw1_says);
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
    ADD(apic_timer_that_expired_in_one_shot_mode_stays_at_0_as_a_periodic_one);
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
    ADD(rtc_tells_of_an_alarm_that_may_wake);
    ADD(rtc_keeps_its_alarm_while_the_machine_sleeps_and_says_so_to_firmware);
    ADD(rtc_periodic_interrupt_has_its_rate);
    ADD(rtc_tells_a_bios_how_much_memory_there_is);
    ADD(rtc_keeps_memory_and_date_across_reset_but_no_enables);
}

CHIP_TESTS("pc_chips", add_interrupt_tests, add_timer_tests)
