/*
 * PCI, the chip set, and the small devices of the PC board.
 */
#include "tests/whole/chip_bench.h"

#include "i386/pc/dma.h"
#include "i386/pc/glue.h"
#include "i386/pc/i440fx.h"
#include "vm/dev/pci_host.h"
#include "i386/pc/pic.h"
#include "i386/pc/piix3.h"
#include "i386/pc/piix4_pm.h"
#include "vm/dev/ports.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/clock.h"

/* ---- PCI, chip set ---- */

static unsigned map_changes;

static void count_change(void *ctx)
{
    (void)ctx;
    map_changes++;
}

static struct device *pic, *pci_bus, *north, *south, *power;

static void new_chipset(void)
{
    static struct pci_bus bus;
    static struct ports ports;
    static struct i440fx_wiring north_wiring;
    static struct piix3_wiring south_wiring;
    static struct piix4_pm_wiring pm_wiring;
    static struct pic_wiring pic_wiring;

    memset(&ports, 0, sizeof(ports));
    bus = (struct pci_bus){.machine = m, .ports = &ports};
    map_changes = 0;
    pic_wiring.intr = probe_line(0);
    pic = add(&pic_ops, &pic_wiring);
    pci_bus = add(&pci_host_ops, &bus);
    north = add(&i440fx_ops, &north_wiring);
    south = add(&piix3_ops, &south_wiring);
    power = add(&piix4_pm_ops, &pm_wiring);
    north_wiring.map_changed = count_change;
    south_wiring = (struct piix3_wiring){.pic = pic};
    pm_wiring = (struct piix4_pm_wiring){.sci = probe_line(1), .map_changed = count_change};
    i440fx_plug(north, &bus);
    piix3_plug(south, &bus);
    piix4_pm_plug(power, &bus);
    reset_all();
}

static uint32_t config_get(unsigned slot, unsigned fn, unsigned reg)
{
    pci_bus->ops->write(pci_bus, PCI_HOST_ADDRESS, 0, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    return (uint32_t)pci_bus->ops->read(pci_bus, PCI_HOST_DATA, 0, 4);
}

static void config_set(unsigned slot, unsigned fn, unsigned reg, unsigned size, uint32_t value)
{
    pci_bus->ops->write(pci_bus, PCI_HOST_ADDRESS, 0, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    pci_bus->ops->write(pci_bus, PCI_HOST_DATA, reg & 3, size, value);
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

START_TEST(chipset_registers_are_as_the_data_sheets_say_after_power_on)
{
    static const struct {
        unsigned fn, slot, reg;
        uint32_t value;
    } row[] = {
        {0, 0, 0x04, 0x02800006}, {0, 0, 0x50, 0x80000001}, {0, 0, 0x54, 0x01000000}, {0, 0, 0x58, 0}, {0, 0, 0x60, 0x01010101},
        {0, 0, 0x64, 0x01010101}, {0, 0, 0x68, 0}, {0, 0, 0x70, 0x00021000}, {0, 0, 0x90, 0}, {0, 1, 0x04, 0x02000007},
        {0, 1, 0x4c, 0x0003004d}, {0, 1, 0x60, 0x80808080}, {0, 1, 0x68, 0x00000200}, {0, 1, 0x70, 0x00000080}, {0, 1, 0x74, 0x0c0c0000},
        {0, 1, 0x78, 0x00000002}, {0, 1, 0xa0, 0x00000008}, {0, 1, 0xa4, 0}, {0, 1, 0xa8, 0x0000000f}, {3, 1, 0x0c, 0}, {3, 1, 0x40, 0x00000001},
    };

    new_chipset();
    for (unsigned i = 0; i < ARRAY_LEN(row); i++)
        ck_assert_msg(config_get(row[i].slot, row[i].fn, row[i].reg) == row[i].value, "%u.%u %02x: %08x", row[i].slot, row[i].fn,
                      row[i].reg, config_get(row[i].slot, row[i].fn, row[i].reg));
}
END_TEST

START_TEST(pci_address_takes_only_32_bit_accesses_with_the_enable_bit)
{
    new_chipset();
    pci_bus->ops->write(pci_bus, PCI_HOST_ADDRESS, 0, 4, 0x80000000u);
    pci_bus->ops->write(pci_bus, PCI_HOST_ADDRESS, 0, 1, 0x55);
    ck_assert_uint_eq(pci_bus->ops->read(pci_bus, PCI_HOST_ADDRESS, 0, 4), 0x80000000u);
    pci_bus->ops->write(pci_bus, PCI_HOST_ADDRESS, 0, 4, 0);
    ck_assert_uint_eq((uint32_t)pci_bus->ops->read(pci_bus, PCI_HOST_DATA, 0, 4), 0xffffffffu);
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
    pic_firmware_setup(pic);
    out(pic, PIC_ELCR, 1, 0x0c);
    out(pic, PIC_MASTER, 1, 0);
    out(pic, PIC_SLAVE, 1, 0);
    piix3_set_pirq(south, 1, true);
    ck_assert(!probe[0].level);
    config_set(1, 0, 0x61, 1, 11);
    ck_assert(probe[0].level);
    ck_assert_int_eq(pic_acknowledge(pic), 0x73);
    config_set(1, 0, 0x61, 1, 0x80);
    out(pic, PIC_SLAVE, 0, 0x20);
    out(pic, PIC_MASTER, 0, 0x20);
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

START_TEST(an_alarm_of_the_clock_raises_sci_when_enabled)
{
    new_chipset();
    piix4_pm_firmware_setup(power);
    piix4_pm_rtc_alarm(power);
    ck_assert(!probe[1].level);
    ck_assert_uint_eq(pm_get(0, 2) & 0x500, 0x400);
    pm_set(2, 2, 0x400);
    ck_assert(probe[1].level);
    pm_set(0, 2, 0x400);
    ck_assert(!probe[1].level);
}
END_TEST

START_TEST(soft_off_ends_the_guest)
{
    new_chipset();
    pm_set(4, 2, 0x0001); /* its type alone does not */
    ck_assert_uint_eq(m->st->end, GUEST_RUNS);
    pm_set(4, 2, 0x2001);
    ck_assert_uint_eq(m->st->end, GUEST_POWEROFF);
}
END_TEST

/* Neither asleep nor woken: the registers are as after a write without SLP_EN. */
START_TEST(sleep_types_that_the_tables_do_not_offer_do_nothing)
{
    new_chipset();
    for (unsigned type = 1; type < 8; type++) {
        pm_set(4, 2, 0x2001 | type << 10);
        ck_assert_uint_eq(m->st->end, GUEST_RUNS);
        ck_assert_uint_eq(m->st->reset_request, 0);
        ck_assert_uint_eq(pm_get(4, 2), 0x0001 | type << 10);
        ck_assert_msg(!(pm_get(0, 2) & 0x8000), "type %u says that it woke up", type);
    }
}
END_TEST

/* The reset that the machine would make of a request. */
static void reset_for(enum reset_kind kind)
{
    ck_assert_uint_eq(m->st->reset_request, kind);
    m->resetting = kind;
    reset_all();
    m->resetting = RESET_NONE;
    m->st->reset_request = RESET_NONE;
}

static void fall_asleep(uint16_t enabled)
{
    new_chipset();
    ((struct piix4_pm_wiring *)power->wiring)->has_s3 = true;
    pm_set(2, 2, enabled);
    config_set(0, 0, 0x58, 4, 0x33333000);
    pm_set(4, 2, 0x2401);
    ck_assert(piix4_pm_asleep(power));
    ck_assert_msg(pm_get(4, 2) == 0x0401, "SLP_EN is write-only");
}

START_TEST(suspended_to_ram_status_enables_and_the_shadow_have_power)
{
    fall_asleep(0x421);
    pm_set(0x1c, 1, 0x55);
    reset_for(RESET_SLEEP);
    ck_assert(piix4_pm_asleep(power));
    ck_assert_uint_eq(pm_get(2, 2), 0x421);
    ck_assert_uint_eq(pm_get(0x1c, 1), 0);
    ck_assert_uint_eq(config_get(0, 0, 0x58), 0x33333000);
    ck_assert_msg(piix4_pm_ops.deadline(power) == VTIME_NEVER, "the timer's interrupt does not wake");
    reset_all();
    ck_assert_msg(!piix4_pm_asleep(power) && pm_get(2, 2) == 0 && config_get(0, 0, 0x58) == 0, "a reset ends all of it");
}
END_TEST

START_TEST(the_power_button_wakes_and_an_alarm_that_is_not_enabled_does_not)
{
    fall_asleep(0);
    reset_for(RESET_SLEEP);
    piix4_pm_rtc_alarm(power);
    ck_assert_uint_eq(m->st->reset_request, RESET_NONE);
    piix4_pm_power_button(power);
    reset_for(RESET_WAKE);
    ck_assert(!piix4_pm_asleep(power));
    ck_assert_uint_eq(pm_get(0, 2) & 0x8500, 0x8500);
    ck_assert_uint_eq(config_get(0, 0, 0x58), 0x33333000);
    pm_set(0, 2, 0x8000);
    ck_assert_uint_eq(pm_get(0, 2) & 0x8500, 0x0500);
}
END_TEST

START_TEST(an_alarm_that_is_enabled_wakes)
{
    fall_asleep(0x400);
    reset_for(RESET_SLEEP);
    piix4_pm_rtc_alarm(power);
    ck_assert(!probe[1].level);
    reset_for(RESET_WAKE);
    ck_assert_uint_eq(pm_get(0, 2) & 0x8500, 0x8400);
    ck_assert_uint_eq(pm_get(2, 2), 0);
    ck_assert_uint_eq(pm_get(4, 2), 0);
}
END_TEST

START_TEST(what_wakes_and_was_there_before_wakes_at_once)
{
    new_chipset();
    ((struct piix4_pm_wiring *)power->wiring)->has_s3 = true;
    piix4_pm_rtc_alarm(power);
    pm_set(2, 2, 0x400);
    pm_set(4, 2, 0x2401);
    reset_for(RESET_WAKE);
    ck_assert_uint_eq(pm_get(0, 2) & 0x8500, 0x8400);
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
    buffer_printf(&sent, "%u ", (unsigned)offset);
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
    buffer_append_byte(&sent, 0);
    ck_assert_str_eq((char *)sent.data, "0 1 2 3 ");
    ck_assert_uint_eq(ports_read(&ports, 0x200, 4), 0x80);
    ck_assert_uint_eq(ports_read(&ports, 0x202, 4), 0xffff0062);
    ck_assert_uint_eq(ports_read(&ports, 0x300, 4), 0xffffffff);
    buffer_clear(&sent);
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

static void add_board_tests(TCase *tc)
{
    ADD(pci_shows_the_three_functions_and_nothing_else);
    ADD(chipset_registers_are_as_the_data_sheets_say_after_power_on);
    ADD(pci_address_takes_only_32_bit_accesses_with_the_enable_bit);
    ADD(pam_registers_name_their_segments);
    ADD(smram_lock_closes_it_for_good);
    ADD(pirqs_reach_the_isa_interrupt_they_are_routed_to);
    ADD(port_cf9_resets_on_the_rising_bit);
    ADD(pm_timer_counts_at_3579545_hz_in_24_bits);
    ADD(pm_timer_status_follows_bit_23);
    ADD(power_button_raises_sci_when_enabled);
    ADD(an_alarm_of_the_clock_raises_sci_when_enabled);
    ADD(soft_off_ends_the_guest);
    ADD(sleep_types_that_the_tables_do_not_offer_do_nothing);
    ADD(suspended_to_ram_status_enables_and_the_shadow_have_power);
    ADD(the_power_button_wakes_and_an_alarm_that_is_not_enabled_does_not);
    ADD(an_alarm_that_is_enabled_wakes);
    ADD(what_wakes_and_was_there_before_wakes_at_once);
    ADD(apm_port_switches_acpi_mode);
    ADD(dma_registers_read_back_through_the_flip_flop);
    ADD(debug_exit_port_ends_the_guest_with_a_status);
    ADD(port_92_moves_a20_and_resets);
    ADD(fwcfg_lists_its_files_and_reads_them);
    ADD(ports_split_wide_accesses_to_narrow_devices);
}

CHIP_TESTS("pc_board", add_board_tests)
