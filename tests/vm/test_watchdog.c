/*
 * The watchdogs (vm/dev/watchdog.c), register by register, and what each action does.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/watchdog.h"

#define BAR 0x10010000u
#define TICK (30ull << 15) /* ns */

static struct device *dut;
static struct pci_function *f;
static unsigned buttons, nmis, smis;
static bool irq10;

static void irq10_is(void *ctx, unsigned n, bool level)
{
    (void)ctx, (void)n;
    irq10 = level;
}

static struct line line_of(void *ctx, unsigned irq)
{
    (void)ctx;
    return irq == 10 ? (struct line){.set = irq10_is} : (struct line){0};
}

static void smi(struct machine *machine)
{
    (void)machine;
    smis++;
}

static void button(struct machine *machine)
{
    (void)machine;
    buttons++;
}

static void nmi(struct machine *machine)
{
    (void)machine;
    nmis++;
}

static int plug(plug_fn *fn, const char *text, struct error *e)
{
    struct sockets s = {.pci = &bench_bus, .machine = m, .isa_irq = line_of};

    return bench_plug(&s, "dut", fn, text, NULL, e);
}

static void new_watchdog(plug_fn *fn, const char *text)
{
    struct error e;

    new_disk_bench();
    buttons = nmis = smis = 0;
    irq10 = false;
    m->smi = smi;
    m->powerdown = button;
    m->nmi = nmi;
    ck_assert_msg(plug(fn, text, &e) == 0, "%s", e.text);
    dut = machine_find_device(m, "dut");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    if (f) {
        pci_config_write(f, 0x10, 4, BAR);
        pci_config_write(f, PCI_COMMAND, 2, 7);
    }
}

static void unlock(void)
{
    memory_write(&m->memory, BAR + 0xc, 2, 0x80);
    memory_write(&m->memory, BAR + 0xc, 2, 0x86);
}

static void set(unsigned at, unsigned size, uint32_t value)
{
    unlock();
    memory_write(&m->memory, BAR + at, size, value);
}

static uint32_t get(unsigned at)
{
    return (uint32_t)memory_read(&m->memory, BAR + at, 4);
}

/* Preloads of 10 and 20 ticks of a millisecond; then it is enabled. */
static void enable(unsigned config, unsigned lock)
{
    pci_config_write(f, 0x60, 2, config);
    set(0, 4, 10);
    set(4, 4, 20);
    pci_config_write(f, 0x68, 1, lock);
}

START_TEST(registers_are_those_of_the_6300esb)
{
    new_watchdog(i6300esb_plug, "x");
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x25ab8086);
    ck_assert_uint_eq(pci_config_read(f, 8, 4) >> 8, 0x088000);
    ck_assert_uint_eq(get(0), 0xfffff);
    ck_assert_uint_eq(get(4), 0xfffff);
    ck_assert_uint_eq(get(8), 0);
    ck_assert_uint_eq(get(12), 0);
    pci_config_write(f, 0x60, 2, 0xffff);
    ck_assert_uint_eq(pci_config_read(f, 0x60, 2), 0x27);
    memory_write(&m->memory, BAR, 4, 5); /* not unlocked */
    ck_assert_uint_eq(get(0), 0xfffff);
    memory_write(&m->memory, BAR + 0xc, 2, 0x86);
    memory_write(&m->memory, BAR, 4, 5);
    ck_assert_uint_eq(get(0), 0xfffff);
    set(0, 4, 0xfff12345);
    ck_assert_uint_eq(get(0), 0x12345);
    memory_write(&m->memory, BAR, 4, 5); /* each write anew */
    ck_assert_uint_eq(get(0), 0x12345);
    unlock();
    memory_write(&m->memory, BAR + 4, 4, 7);
    ck_assert_uint_eq(get(4), 7);
    pci_config_write(f, 0x68, 1, 4);
    ck_assert_uint_eq(pci_config_read(f, 0x68, 1), 4);
    pci_config_write(f, 0x68, 1, 1);
    pci_config_write(f, 0x68, 1, 6);
    ck_assert_uint_eq(pci_config_read(f, 0x68, 1), 1); /* for good */
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
}
END_TEST

START_TEST(two_stages_end_in_a_reset_that_is_told_afterwards)
{
    new_watchdog(i6300esb_plug, "x");
    enable(0, 3);
    run_for(10 * TICK - 1);
    ck_assert_uint_eq(get(8), 0);
    run_for(1);
    ck_assert_uint_eq(get(8), 1); /* an interrupt's status */
    set(8, 4, 1);
    ck_assert_uint_eq(get(8), 0);
    pci_config_write(f, 0x68, 1, 0); /* locked: it goes on */
    run_for(20 * TICK - 1);
    ck_assert_uint_eq(m->st->reset_request, 0);
    run_for(1);
    ck_assert_uint_eq(m->st->reset_request, 1);
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
    reset_all();
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    ck_assert_uint_eq(pci_config_read(f, 0x68, 1), 0);
    ck_assert_uint_eq(get(0), 0xfffff);
    ck_assert_uint_eq(get(12), 0x1200);
    set(12, 2, 0x200);
    ck_assert_uint_eq(get(12), 0);
}
END_TEST

START_TEST(the_first_stage_interrupts_until_its_status_is_cleared)
{
    new_watchdog(i6300esb_plug, "x");
    enable(0x00, 2);
    run_for(10 * TICK - 1);
    ck_assert(!irq10);
    run_for(1);
    ck_assert(irq10);
    set(12, 2, 0x100); /* it begins again, and the interrupt stays */
    ck_assert(irq10);
    pci_config_write(f, 0x60, 2, 3); /* another type */
    ck_assert(!irq10);
    pci_config_write(f, 0x60, 2, 0);
    ck_assert(irq10);
    set(8, 4, 0);
    ck_assert(irq10);
    set(8, 4, 1);
    ck_assert(!irq10 && !get(8));
    run_for(10 * TICK);
    ck_assert(irq10);
    reset_all();
    ck_assert(!irq10);
    ck_assert_uint_eq(smis, 0);
}
END_TEST

START_TEST(the_first_stage_makes_one_smi_or_none)
{
    new_watchdog(i6300esb_plug, "x");
    enable(0x02, 2);
    run_for(10 * TICK);
    ck_assert_uint_eq(smis, 1);
    ck_assert_uint_eq(get(8), 1);
    ck_assert(!irq10);
    run_for(19 * TICK);
    ck_assert_uint_eq(smis, 1);
    new_watchdog(i6300esb_plug, "x");
    enable(0x03, 2);
    run_for(11 * TICK);
    ck_assert(!smis && !irq10 && !get(8));
    new_watchdog(i6300esb_plug, "x");
    enable(0x20, 6); /* free-running */
    run_for(31 * TICK);
    ck_assert(!smis && !irq10 && !get(8));
}
END_TEST

START_TEST(a_driver_that_reloads_in_time_is_left_alone)
{
    new_watchdog(i6300esb_plug, "x");
    enable(0x03, 2); /* without interrupt */
    for (unsigned n = 0; n < 5; n++) {
        run_for(25 * TICK); /* in the second stage */
        ck_assert_uint_eq(get(8), 0);
        set(12, 2, 0x100);
    }
    ck_assert_uint_eq(m->st->reset_request, 0);
    pci_config_write(f, 0x68, 1, 0);
    run_for(1000 * TICK);
    set(12, 2, 0x100);
    run_for(1000 * TICK);
    ck_assert_uint_eq(m->st->reset_request, 0);
}
END_TEST

START_TEST(ticks_may_be_microseconds_and_nothing_may_come_of_it)
{
    new_watchdog(i6300esb_plug, "x");
    enable(0x24, 6); /* no output, fast, free-running */
    ck_assert_uint_eq(dut->ops->deadline(dut), machine_now(m) + 10 * (30 << 5));
    run_for(30 * (30 << 5));
    ck_assert_uint_eq(m->st->reset_request, 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), machine_now(m) + 10 * (30 << 5));
    set(0, 4, 0);
    set(4, 4, 0);
    run_for(1000000); /* it comes to an end */
    ck_assert_uint_eq(get(12), 0);
}
END_TEST

static void expect_action(const char *text, unsigned end, unsigned button_count, unsigned nmi_count)
{
    new_watchdog(ib700_plug, text);
    ports_write(&bench_ports, 0x443, 1, 0xfa); /* 10 s */
    run_for(10000 * MS - 1);
    ck_assert(!m->st->end && !buttons && !nmis);
    run_for(1);
    ck_assert_uint_eq(m->st->end, end);
    ck_assert_uint_eq(buttons, button_count);
    ck_assert_uint_eq(nmis, nmi_count);
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
}

START_TEST(each_action_does_what_it_says)
{
    expect_action("x", GUEST_RUNS, 0, 0);
    ck_assert_uint_eq(m->st->reset_request, 1);
    expect_action("x,action=shutdown", GUEST_RUNS, 1, 0);
    expect_action("x,action=poweroff", GUEST_POWEROFF, 0, 0);
    expect_action("x,action=pause", GUEST_WATCHDOG, 0, 0);
    expect_action("x,action=debug", GUEST_WATCHDOG, 0, 0);
    expect_action("x,action=inject-nmi", GUEST_RUNS, 0, 1);
    expect_action("x,action=none", GUEST_RUNS, 0, 0);
    ck_assert_uint_eq(m->st->reset_request, 0);
}
END_TEST

START_TEST(the_ib700_is_started_and_stopped_by_its_ports)
{
    new_watchdog(ib700_plug, "x");
    ports_write(&bench_ports, 0x443, 1, 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), machine_now(m) + 30000 * MS);
    ports_write(&bench_ports, 0x443, 1, 14);
    ck_assert_uint_eq(dut->ops->deadline(dut), machine_now(m) + 2000 * MS);
    ports_write(&bench_ports, 0x441, 1, 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
    ck_assert_uint_eq(ports_read(&bench_ports, 0x443, 1), 0xff);
}
END_TEST

START_TEST(actions_that_there_are_not_are_refused)
{
    struct error e;

    new_disk_bench();
    ck_assert_int_lt(plug(i6300esb_plug, "x,action=explode", &e), 0);
    ck_assert_int_lt(plug(i6300esb_plug, "x,action=inject-nmi", &e), 0); /* this machine has no NMI */
    ck_assert_ptr_nonnull(strstr(e.text, "inject-nmi"));
    ck_assert_int_eq(watchdog_check_action("reset", &e), 0);
    ck_assert_int_lt(watchdog_check_action("", &e), 0);
}
END_TEST

static void claims(TCase *tc)
{
    tcase_add_test(tc, registers_are_those_of_the_6300esb);
    tcase_add_test(tc, two_stages_end_in_a_reset_that_is_told_afterwards);
    tcase_add_test(tc, the_first_stage_interrupts_until_its_status_is_cleared);
    tcase_add_test(tc, the_first_stage_makes_one_smi_or_none);
    tcase_add_test(tc, a_driver_that_reloads_in_time_is_left_alone);
    tcase_add_test(tc, ticks_may_be_microseconds_and_nothing_may_come_of_it);
    tcase_add_test(tc, each_action_does_what_it_says);
    tcase_add_test(tc, the_ib700_is_started_and_stopped_by_its_ports);
    tcase_add_test(tc, actions_that_there_are_not_are_refused);
}

CHIP_TESTS("watchdogs", claims)
