/*
 * The high precision event timers, register by register.
 */
#include "tests/whole/chip_bench.h"

#include "i386/pc/hpet.h"
#include "vm/dev/clock.h"

#define TICK 10ull /* ns */
#define LEVEL    0x0002u
#define ENABLE   0x0004u
#define PERIODIC 0x0008u
#define VAL_SET  0x0040u
#define BITS_32  0x0100u
#define ROUTE_2  0x0400u

enum { IRQ0, IRQ8, GSI2 }; /* probes */

static struct device *hpet;

static void new_hpet(void)
{
    static struct hpet_wiring w;

    w = (struct hpet_wiring){.irq0 = probe_line(IRQ0), .irq8 = probe_line(IRQ8), .gsi2 = probe_line(GSI2)};
    hpet = add(&hpet_ops, &w);
    reset_all();
}

static uint64_t get(unsigned reg, unsigned size)
{
    return hpet->ops->read(hpet, 0, reg, size) & (size == 8 ? UINT64_MAX : UINT32_MAX);
}

static void set(unsigned reg, unsigned size, uint64_t value)
{
    hpet->ops->write(hpet, 0, reg, size, value);
}

static unsigned timer(unsigned n, unsigned reg)
{
    return 0x100 + 0x20 * n + reg;
}

START_TEST(capabilities_say_what_there_is)
{
    new_hpet();
    ck_assert_uint_eq(get(0x000, 4), 0x8086a201); /* revision 1, 3 timers, 64 bits, legacy replacement */
    ck_assert_uint_eq(get(0x004, 4), 10000000);   /* fs */
    ck_assert_uint_eq(get(0x000, 8), 0x009896808086a201);
    set(0x000, 8, 0);
    ck_assert_uint_eq(get(0x000, 4), 0x8086a201);
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        ck_assert_uint_eq(get(timer(n, 0), 8), 0x0000000400000030); /* periodic, 64 bits, input 2, no FSB */
        ck_assert_uint_eq(get(timer(n, 8), 8), UINT64_MAX);
        ck_assert_uint_eq(get(timer(n, 16), 8), 0);
    }
    ck_assert_uint_eq(get(timer(3, 0), 4), 0);
    ck_assert_uint_eq(get(0x0f0, 8), 0);
    ck_assert_uint_eq(hpet_ops.read(hpet, 0, 0x0f0, 2), UINT64_MAX);
}
END_TEST

START_TEST(counter_runs_while_it_is_enabled_and_can_be_written_while_not)
{
    new_hpet();
    run_to(1000);
    ck_assert_uint_eq(get(0x0f0, 8), 0);
    set(0x0f0, 4, 0xfffffff0);
    set(0x0f4, 4, 7);
    set(0x010, 4, 1);
    run_to(1000 + 0x20 * TICK);
    ck_assert_uint_eq(get(0x0f0, 8), 0x800000010);
    ck_assert_uint_eq(get(0x0f4, 4), 8);
    set(0x0f0, 8, 0);
    ck_assert_uint_eq(get(0x0f0, 8), 0x800000010);
    set(0x010, 4, 0);
    run_to(5000);
    ck_assert_uint_eq(get(0x0f0, 8), 0x800000010);
    set(0x010, 4, 1);
    run_to(5000 + 5 * TICK);
    ck_assert_uint_eq(get(0x0f0, 8), 0x800000015);
    set(0x010, 4, 0xfffffffd);
    ck_assert_uint_eq(get(0x010, 8), 1);
}
END_TEST

START_TEST(one_shot_interrupts_once_by_an_edge)
{
    new_hpet();
    set(timer(0, 0), 4, ENABLE | ROUTE_2);
    ck_assert_uint_eq(get(timer(0, 0), 4), 0x0434);
    set(timer(0, 8), 8, 100);
    set(0x010, 4, 1);
    run_to(100 * TICK - 1);
    ck_assert_uint_eq(probe[GSI2].rises, 0);
    run_to(100 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 1);
    ck_assert_uint_eq(probe[GSI2].rose_at, 100 * TICK);
    ck_assert(!probe[GSI2].level);
    run_to(MS);
    ck_assert_uint_eq(probe[GSI2].rises, 1);
    ck_assert_uint_eq(get(timer(0, 8), 8), 100);
    ck_assert_uint_eq(get(0x020, 8), 0);
}
END_TEST

START_TEST(level_holds_the_line_until_its_status_is_cleared)
{
    new_hpet();
    set(timer(1, 0), 4, ENABLE | LEVEL | ROUTE_2);
    set(timer(1, 8), 8, 50);
    set(0x010, 4, 1);
    run_to(60 * TICK);
    ck_assert(probe[GSI2].level);
    ck_assert_uint_eq(get(0x020, 8), 2);
    set(0x020, 4, 1);
    ck_assert(probe[GSI2].level);
    set(timer(1, 0), 4, LEVEL | ROUTE_2);
    ck_assert(!probe[GSI2].level);
    set(timer(1, 0), 4, ENABLE | LEVEL | ROUTE_2);
    ck_assert(probe[GSI2].level);
    set(0x020, 4, 2);
    ck_assert(!probe[GSI2].level);
    ck_assert_uint_eq(get(0x020, 8), 0);
}
END_TEST

START_TEST(a_disabled_timer_shows_its_status_and_no_interrupt)
{
    new_hpet();
    set(timer(2, 0), 4, LEVEL | ROUTE_2);
    set(timer(2, 8), 8, 50);
    set(0x010, 4, 1);
    run_to(60 * TICK);
    ck_assert_uint_eq(get(0x020, 8), 4);
    ck_assert_uint_eq(probe[GSI2].rises, 0);
}
END_TEST

/* Two writes: the accumulator, then the period; as Linux does it. */
START_TEST(periodic_timer_adds_its_period_to_the_accumulator)
{
    new_hpet();
    set(timer(0, 0), 4, ENABLE | PERIODIC | VAL_SET | BITS_32 | ROUTE_2);
    set(timer(0, 8), 4, 1000);
    ck_assert_uint_eq(get(timer(0, 0), 4) & VAL_SET, 0);
    set(timer(0, 8), 4, 300);
    set(0x010, 4, 1);
    ck_assert_uint_eq(get(timer(0, 8), 4), 1000);
    run_to(999 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 0);
    run_to(1000 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 1);
    ck_assert_uint_eq(get(timer(0, 8), 4), 1300);
    run_to(1299 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 1);
    run_to(1000 * TICK + 10 * 300 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 11);
    ck_assert_uint_eq(get(timer(0, 8), 4), 4300);
}
END_TEST

START_TEST(one_write_with_val_set_is_accumulator_and_period)
{
    new_hpet();
    set(timer(0, 0), 4, ENABLE | PERIODIC | VAL_SET | ROUTE_2);
    set(timer(0, 8), 8, 0x123);
    set(0x010, 4, 1);
    run_to(0x123 * TICK);
    ck_assert_uint_eq(get(timer(0, 8), 8), 0x246);
    run_to(0x246 * TICK);
    ck_assert_uint_eq(get(timer(0, 8), 8), 0x369);
    ck_assert_uint_eq(probe[GSI2].rises, 2);
}
END_TEST

START_TEST(a_periodic_timer_that_nobody_waits_for_is_made_up_for)
{
    new_hpet();
    set(timer(0, 0), 4, PERIODIC | VAL_SET);
    set(timer(0, 8), 8, 1000);
    set(0x010, 4, 1);
    ck_assert_uint_eq(hpet_ops.deadline(hpet), VTIME_NEVER);
    run_to(1000000 * TICK + 5);
    ck_assert_uint_eq(get(timer(0, 8), 8), 1001000);
}
END_TEST

START_TEST(comparator_of_32_bits_matches_each_round_and_the_wrap)
{
    const uint64_t round = (uint64_t)1 << 32;

    new_hpet();
    set(timer(0, 0), 4, ENABLE | BITS_32 | ROUTE_2);
    ck_assert_uint_eq(get(timer(0, 8), 8), UINT32_MAX);
    set(timer(0, 8), 8, 0xffffffff00000064);
    ck_assert_uint_eq(get(timer(0, 8), 8), 100);
    set(0x010, 4, 1);
    run_to(0);
    probe[GSI2].rises = 0; /* the counter was at a wrap */
    run_to(100 * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 1);
    run_to(round * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 2);
    run_to((round + 100) * TICK);
    ck_assert_uint_eq(probe[GSI2].rises, 3);
}
END_TEST

START_TEST(legacy_replacement_takes_the_place_of_pit_and_rtc)
{
    new_hpet();
    hpet_set_legacy(hpet, 0, true);
    hpet_set_legacy(hpet, 1, true);
    ck_assert(probe[IRQ0].level && probe[IRQ8].level);
    set(timer(0, 0), 4, ENABLE);
    set(timer(0, 8), 8, 10);
    set(timer(1, 0), 4, ENABLE | LEVEL);
    set(timer(1, 8), 8, 20);
    set(0x010, 4, 3);
    ck_assert(!probe[IRQ0].level && !probe[IRQ8].level);
    hpet_set_legacy(hpet, 0, false);
    hpet_set_legacy(hpet, 0, true);
    ck_assert(!probe[IRQ0].level);
    probe[IRQ0].rises = probe[IRQ8].rises = 0;
    run_to(30 * TICK);
    ck_assert_uint_eq(probe[IRQ0].rises, 1);
    ck_assert_uint_eq(probe[IRQ8].rises, 1);
    ck_assert(probe[IRQ8].level);
    ck_assert_uint_eq(probe[GSI2].rises, 0);
    set(0x010, 4, 1);
    ck_assert(probe[IRQ0].level && probe[IRQ8].level);
    hpet_set_legacy(hpet, 1, false);
    ck_assert(!probe[IRQ8].level);
}
END_TEST

START_TEST(routes_that_there_are_not_are_not_taken)
{
    new_hpet();
    set(timer(0, 0), 4, 5u << 9);
    ck_assert_uint_eq(get(timer(0, 0), 4), 0x30);
    set(timer(0, 0), 4, ROUTE_2 | 0x4000u); /* no messages either */
    ck_assert_uint_eq(get(timer(0, 0), 4), 0x430);
}
END_TEST

START_TEST(random_accesses_do_no_harm)
{
    uint32_t r = 1;

    new_hpet();
    for (unsigned i = 0; i < 20000; i++) {
        r = r * 1664525u + 1013904223u;
        set(r >> 8 & 0x3fcu, r & 1 ? 4 : 8, r & 2 ? r >> 20 : (uint64_t)r << 33);
        get(r >> 10 & 0x3fcu, r & 4 ? 4 : 8);
        if (hpet_ops.deadline(hpet) < machine_now(m) + 1000)
            run_to(hpet_ops.deadline(hpet) > machine_now(m) ? hpet_ops.deadline(hpet) : machine_now(m));
        run_to(machine_now(m) + (r >> 28));
    }
}
END_TEST

static void add_hpet_tests(TCase *tc)
{
    tcase_add_test(tc, capabilities_say_what_there_is);
    tcase_add_test(tc, counter_runs_while_it_is_enabled_and_can_be_written_while_not);
    tcase_add_test(tc, one_shot_interrupts_once_by_an_edge);
    tcase_add_test(tc, level_holds_the_line_until_its_status_is_cleared);
    tcase_add_test(tc, a_disabled_timer_shows_its_status_and_no_interrupt);
    tcase_add_test(tc, periodic_timer_adds_its_period_to_the_accumulator);
    tcase_add_test(tc, one_write_with_val_set_is_accumulator_and_period);
    tcase_add_test(tc, a_periodic_timer_that_nobody_waits_for_is_made_up_for);
    tcase_add_test(tc, comparator_of_32_bits_matches_each_round_and_the_wrap);
    tcase_add_test(tc, legacy_replacement_takes_the_place_of_pit_and_rtc);
    tcase_add_test(tc, routes_that_there_are_not_are_not_taken);
    tcase_add_test(tc, random_accesses_do_no_harm);
}

CHIP_TESTS("hpet", add_hpet_tests)
