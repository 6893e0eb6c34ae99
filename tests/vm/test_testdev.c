/*
 * The devices for test suites (vm/dev/testdev.c), register by register.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/testdev.h"

#define MEMORY_BAR BENCH_BAR_AT
#define PORT_BAR   0xc000u

static struct line isa_line(void *ctx, unsigned irq)
{
    (void)ctx;
    return irq == 5 || irq == 14 ? probe_line(irq == 14) : (struct line){0};
}

static uint16_t exit_base, exit_len;

static int note_exit(void *ctx, uint16_t base, uint16_t len, struct error *err)
{
    (void)ctx, (void)err;
    exit_base = base;
    exit_len = len;
    return 0;
}

static int plug(plug_fn *fn, const char *text, bool isa)
{
    struct sockets s = {.pci = &bench_bus, .machine = m, .isa_irq = isa ? isa_line : NULL, .debug_exit = isa ? note_exit : NULL};
    struct error e;

    return bench_plug(&s, "dut", fn, text, NULL, &e);
}

static uint32_t port_in(uint16_t port, unsigned size)
{
    return ports_read(&bench_ports, port, size);
}

static void port_out(uint16_t port, unsigned size, uint32_t value)
{
    ports_write(&bench_ports, port, size, value);
}

START_TEST(isa_debug_exit_asks_the_board_for_its_ports)
{
    new_disk_bench();
    ck_assert_int_eq(plug(isa_debug_exit_plug, "isa-debug-exit", true), 0);
    ck_assert(exit_base == 0x501 && exit_len == 2);
    ck_assert_int_eq(plug(isa_debug_exit_plug, "isa-debug-exit,iobase=0xf4,iosize=0x4", true), 0);
    ck_assert(exit_base == 0xf4 && exit_len == 4);
    ck_assert_int_lt(plug(isa_debug_exit_plug, "isa-debug-exit,iobase=0xfffe,iosize=4", true), 0);
    ck_assert_int_lt(plug(isa_debug_exit_plug, "isa-debug-exit,iosize=0", true), 0);
    ck_assert_int_lt(plug(isa_debug_exit_plug, "isa-debug-exit", false), 0);
}
END_TEST

START_TEST(pc_testdev_keeps_four_bytes_that_are_seen_twice)
{
    new_disk_bench();
    ck_assert_int_eq(plug(pc_testdev_plug, "pc-testdev", true), 0);
    reset_all();
    ck_assert_uint_eq(port_in(0xe0, 4), 0);
    port_out(0xe0, 4, 0x44332211);
    ck_assert_uint_eq(port_in(0xe0, 1), 0x11);
    ck_assert_uint_eq(port_in(0xe2, 2), 0x4433);
    ck_assert_uint_eq(port_in(0xe8, 4), 0x44332211);
    port_out(0xe9, 1, 0xaa);
    ck_assert_uint_eq(port_in(0xe0, 4), 0x4433aa11);
    port_out(0xe4, 4, 0x1000); /* drops a page: nothing to be seen */
    ck_assert_uint_eq(port_in(0xe0, 4), 0x4433aa11);
    ck_assert_int_lt(plug(pc_testdev_plug, "pc-testdev", true), 0);
}
END_TEST

START_TEST(pc_testdev_sets_interrupt_lines)
{
    new_disk_bench();
    ck_assert_int_eq(plug(pc_testdev_plug, "pc-testdev", true), 0);
    reset_all();
    port_out(0x2005, 1, 1);
    ck_assert(probe[0].level && !probe[1].level);
    port_out(0x200e, 1, 0x80);
    ck_assert(probe[0].level && probe[1].level);
    port_out(0x2005, 1, 0);
    ck_assert(!probe[0].level && probe[1].level);
    port_out(0x2017, 1, 1); /* there are sixteen only */
    ck_assert(!probe[0].level && probe[1].level);
}
END_TEST

START_TEST(pc_testdev_has_memory)
{
    struct memory *mem;

    new_disk_bench();
    ck_assert_int_eq(plug(pc_testdev_plug, "pc-testdev", true), 0);
    reset_all();
    mem = &m->memory;
    memory_write(mem, PC_TESTDEV_MEMORY, 8, UINT64_C(0x8877665544332211));
    ck_assert_uint_eq(memory_read(mem, PC_TESTDEV_MEMORY + 1, 1), 0x22);
    ck_assert_uint_eq(memory_read(mem, PC_TESTDEV_MEMORY + 3, 4), 0x77665544);
    memory_write(mem, PC_TESTDEV_MEMORY + PC_TESTDEV_MEMORY_BYTES - 2, 2, 0xbeef);
    ck_assert_uint_eq(memory_read(mem, PC_TESTDEV_MEMORY + PC_TESTDEV_MEMORY_BYTES - 2, 2), 0xbeef);
}
END_TEST

/* ---- pci-testdev ---- */

static void new_pci_testdev(void)
{
    struct pci_function *f;

    new_disk_bench();
    ck_assert_int_eq(plug(pci_testdev_plug, "pci-testdev", false), 0);
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, PCI_BAR0, 4, MEMORY_BAR);
    pci_config_write(f, PCI_BAR0 + 4, 4, PORT_BAR);
    pci_config_write(f, PCI_COMMAND, 2, 3);
}

static uint8_t get(unsigned bar, unsigned at)
{
    return (uint8_t)(bar ? port_in((uint16_t)(PORT_BAR + at), 1) : memory_read(&m->memory, MEMORY_BAR + at, 1));
}

static void put(unsigned bar, unsigned at, unsigned size, uint32_t value)
{
    if (bar)
        port_out((uint16_t)(PORT_BAR + at), size, value);
    else
        memory_write(&m->memory, MEMORY_BAR + at, size, value);
}

static uint32_t word(unsigned bar, unsigned at)
{
    return get(bar, at) | get(bar, at + 1) << 8 | get(bar, at + 2) << 16 | (uint32_t)get(bar, at + 3) << 24;
}

START_TEST(pci_testdev_is_what_qemu_has)
{
    struct pci_function *f;

    new_pci_testdev();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x00051b36);
    ck_assert_uint_eq(pci_config_read(f, 8, 4), 0x00ff0000);
    ck_assert_uint_eq(pci_config_read(f, 0x3d, 1), 0);
    pci_config_write(f, PCI_BAR0, 4, 0xffffffff);
    pci_config_write(f, PCI_BAR0 + 4, 4, 0xffffffff);
    ck_assert_uint_eq(pci_config_read(f, PCI_BAR0, 4), 0xfffff000);
    ck_assert_uint_eq(pci_config_read(f, PCI_BAR0 + 4, 4), 0xffffff01);
}
END_TEST

START_TEST(pci_testdev_tells_of_the_test_that_runs)
{
    static const char *const names[] = {"mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd",
                                        "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd"};

    new_pci_testdev();
    for (unsigned at = 0; at < 20; at++)
        ck_assert_uint_eq(get(0, at), 0);
    for (unsigned n = 0; n < 6; n++) {
        unsigned bar = n / 3;

        put(bar, 0, 1, n % 3);
        ck_assert_uint_eq(get(bar, 0), n);
        ck_assert_uint_eq(get(bar, 1), 1);
        ck_assert_uint_eq(word(bar, 4), (bar ? 128 : 2048) + n);
        ck_assert_uint_eq(get(bar, 8), n % 3 == 1 ? 0xce : 0xfa);
        ck_assert_uint_eq(word(bar, 12), 0);
        for (unsigned i = 0; i <= strlen(names[n]); i++)
            ck_assert_uint_eq(get(bar, 16 + i), (uint8_t)names[n][i]);
        ck_assert_uint_eq(get(bar, 100), 0);
        ck_assert_uint_eq(get(!bar, 16), (uint8_t)names[n][0]); /* by either BAR */
    }
    put(0, 0, 1, 3); /* there is none */
    ck_assert_uint_eq(get(0, 1), 0);
}
END_TEST

START_TEST(pci_testdev_counts_what_no_event_takes)
{
    new_pci_testdev();
    for (unsigned bar = 0; bar < 2; bar++) {
        unsigned at = (bar ? 128 : 2048) + 3 * bar;

        put(bar, 0, 1, 0);
        put(bar, at, 1, 0xfa);
        put(bar, at, 1, 0xfb);
        put(bar, at + 1, 1, 0xfa);
        put(bar, at, 2, 0x00fa); /* of two bytes one is counted */
        ck_assert_uint_eq(word(bar, 12), 2);
        put(bar, 0, 1, 1);
        put(bar, at + 1, 1, 0xce);
        put(bar, at + 1, 1, 0);
        ck_assert_uint_eq(word(bar, 12), 0);
        put(bar, at + 1, 2, 0);
        ck_assert_uint_eq(word(bar, 12), 1);
        put(bar, 0, 1, 2);
        put(bar, at + 2, 1, 0xfa);
        put(bar, at + 2, 1, 0xce);
        ck_assert_uint_eq(word(bar, 12), 0);
        put(bar, 0, 1, 0); /* a test begins from 0 */
        ck_assert_uint_eq(word(bar, 12), 0);
    }
    put(0, 0, 1, 0);
    reset_all();
    ck_assert_uint_eq(bench_bus.functions[0]->config[PCI_COMMAND], 0);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(isa_debug_exit_asks_the_board_for_its_ports);
    ADD(pc_testdev_keeps_four_bytes_that_are_seen_twice);
    ADD(pc_testdev_sets_interrupt_lines);
    ADD(pc_testdev_has_memory);
    ADD(pci_testdev_is_what_qemu_has);
    ADD(pci_testdev_tells_of_the_test_that_runs);
    ADD(pci_testdev_counts_what_no_event_takes);
}

CHIP_TESTS("test devices", claims)
