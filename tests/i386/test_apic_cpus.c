/*
 * Local APICs of several CPUs and their I/O APIC: who is addressed, what each delivery mode does, what each register
 * holds, in memory and as an x2APIC (SDM 3A, chapter "Advanced Programmable Interrupt Controller"; Intel 290566).
 */
#include "tests/whole/chip_bench.h"

#include <stdio.h>

#include "i386/pc/apic.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/pic.h"

#define CPUS 20u

static struct device *apics[CPUS], *io_apic, *the_pic;
static struct apic_bus bus;
static struct apic_wiring wirings[CPUS];
static struct cpu cpus[CPUS];
static struct { unsigned nmi, init, startup; uint8_t vector; bool intr; uint64_t tsc_offset; } seen[CPUS];

static unsigned number_of(const void *ctx)
{
    return (unsigned)(uintptr_t)ctx;
}

static void on_nmi(void *ctx)
{
    seen[number_of(ctx)].nmi++;
}

static void on_init(void *ctx)
{
    seen[number_of(ctx)].init++;
}

static void on_startup(void *ctx, uint8_t vector)
{
    seen[number_of(ctx)].startup++;
    seen[number_of(ctx)].vector = vector;
}

static void on_intr(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    seen[n].intr = level;
}

static uint64_t tsc_of(void *ctx)
{
    return machine_now(m) + seen[number_of(ctx)].tsc_offset;
}

static uint32_t get(unsigned cpu, unsigned reg)
{
    m->runner = &cpus[cpu];
    return (uint32_t)apics[0]->ops->read(apics[0], 0, reg, 4);
}

static void set(unsigned cpu, unsigned reg, uint32_t value)
{
    m->runner = &cpus[cpu];
    apics[0]->ops->write(apics[0], 0, reg, 4, value);
}

static uint64_t rdmsr(unsigned cpu, uint32_t n)
{
    uint64_t value;

    ck_assert_msg(apic_msr_read(apics[cpu], n, &value), "RDMSR of %x", n);
    return value;
}

static void wrmsr(unsigned cpu, uint32_t n, uint64_t value)
{
    ck_assert_msg(apic_msr_write(apics[cpu], n, value), "WRMSR of %x", n);
}

static bool faults(uint32_t n, bool write, uint64_t value)
{
    return write ? !apic_msr_write(apics[0], n, value) : !apic_msr_read(apics[0], n, &value);
}

/* Software-enabled APICs with the IDs 0, 1, 2... */
static void new_cpus(enum apic_mode mode)
{
    static struct ioapic_wiring io_wiring;
    static struct pic_wiring pic_wiring;
    char name[16];

    memset(seen, 0, sizeof(seen));
    bus.count = 0;
    for (unsigned n = 0; n < CPUS; n++) {
        void *ctx = (void *)(uintptr_t)n;

        snprintf(name, sizeof(name), "apic%u", n);
        cpus[n] = (struct cpu){.machine = m, .index = n};
        wirings[n] = (struct apic_wiring){.bus = &bus, .id = (uint8_t)n, .intr = {.set = on_intr, .n = n}, .nmi = on_nmi,
                                          .init = on_init, .startup = on_startup, .tsc = tsc_of, .cpu = ctx};
        apics[n] = bus.apics[bus.count++] = machine_add_device(m, &apic_ops, name, &wirings[n]);
    }
    io_wiring.bus = &bus;
    io_apic = add(&ioapic_ops, &io_wiring);
    the_pic = add(&pic_ops, &pic_wiring);
    pic_wiring.intr = (struct line){.set = apic_set_lint0, .ctx = apics[0]};
    for (unsigned n = 0; n < CPUS; n++) {
        wirings[n].ioapic = io_apic;
        wirings[n].pic = the_pic;
    }
    reset_all();
    pic_firmware_setup(the_pic);
    for (unsigned n = 0; n < CPUS; n++) {
        apic_set_mode(apics[n], APIC_MEMORY);
        set(n, 0xf0, 0x1ff);
        apic_set_mode(apics[n], mode);
    }
}

/* Who has an interrupt of that vector? It is taken and ended. A bit for each CPU. */
static uint32_t taken(int vector)
{
    uint32_t who = 0;

    for (unsigned n = 0; n < CPUS; n++) {
        if (!seen[n].intr)
            continue;
        ck_assert_int_eq(apic_acknowledge(apics[n]), vector);
        who |= 1u << n;
        m->runner = &cpus[n];
        if (apics[n]->ops->read(apics[0], 0, 0x30, 4) == UINT64_MAX)
            wrmsr(n, 0x80b, 0);
        else
            set(n, 0xb0, 0);
    }
    return who;
}

static void send(unsigned cpu, uint32_t high, uint32_t low)
{
    set(cpu, 0x310, high);
    set(cpu, 0x300, low);
}

#define EVERYBODY ((1u << CPUS) - 1)

START_TEST(ipi_goes_to_a_physical_destination)
{
    new_cpus(APIC_MEMORY);
    send(3, 5u << 24, 0x04051);
    ck_assert_uint_eq(taken(0x51), 1u << 5);
    send(3, 3u << 24, 0x04051);
    ck_assert_uint_eq(taken(0x51), 1u << 3);
    send(3, 0xffu << 24, 0x04051);
    ck_assert_uint_eq(taken(0x51), EVERYBODY);
    send(3, 77u << 24, 0x04051);
    ck_assert_uint_eq(taken(0x51), 0);
    ck_assert_msg(!(get(3, 0x300) & 0x1000), "delivery status: idle");
    ck_assert_uint_eq(get(3, 0x310), 77u << 24);
}
END_TEST

START_TEST(ipi_goes_by_shorthand)
{
    new_cpus(APIC_MEMORY);
    send(3, 5u << 24, 0x44052);
    ck_assert_uint_eq(taken(0x52), 1u << 3);
    send(3, 5u << 24, 0x84052);
    ck_assert_uint_eq(taken(0x52), EVERYBODY);
    send(3, 5u << 24, 0xc4052);
    ck_assert_uint_eq(taken(0x52), EVERYBODY & ~(1u << 3));
}
END_TEST

START_TEST(ipi_goes_to_a_flat_logical_destination)
{
    new_cpus(APIC_MEMORY);
    for (unsigned n = 0; n < 8; n++)
        set(n, 0xd0, 1u << (24 + n));
    send(0, 0x15u << 24, 0x04853);
    ck_assert_uint_eq(taken(0x53), 0x15);
    send(0, 0xffu << 24, 0x04853);
    ck_assert_uint_eq(taken(0x53), 0xff);
}
END_TEST

START_TEST(ipi_goes_to_a_cluster)
{
    new_cpus(APIC_MEMORY);
    for (unsigned n = 0; n < CPUS; n++) {
        set(n, 0xe0, 0x0fffffff);
        set(n, 0xd0, (n / 4) << 28 | 1u << (24 + n % 4));
        ck_assert_uint_eq(get(n, 0xe0), 0x0fffffff);
    }
    send(0, 0x25u << 24, 0x04854);
    ck_assert_uint_eq(taken(0x54), 0x5u << 8);
    send(0, 0xffu << 24, 0x04854);
    ck_assert_uint_eq(taken(0x54), EVERYBODY);
}
END_TEST

START_TEST(lowest_priority_goes_to_who_does_least)
{
    new_cpus(APIC_MEMORY);
    for (unsigned n = 0; n < 4; n++) {
        set(n, 0xd0, 1u << (24 + n));
        set(n, 0x80, 0x40 - n * 0x10);
    }
    send(0, 0x0fu << 24, 0x04961);
    ck_assert_uint_eq(taken(0x61), 1u << 3);
    send(0, 0x07u << 24, 0x04961);
    ck_assert_uint_eq(taken(0x61), 1u << 2);
    for (unsigned n = 0; n < 4; n++)
        set(n, 0x80, 0);
    send(0, 0x0eu << 24, 0x04961);
    ck_assert_msg(taken(0x61) == 1u << 1, "of equals the first");
    set(1, 0xf0, 0xff);
    send(0, 0x0eu << 24, 0x04961);
    ck_assert_msg(taken(0x61) == 1u << 2, "not to one that its software has disabled");
}
END_TEST

START_TEST(lowest_priority_to_all_goes_to_one)
{
    new_cpus(APIC_MEMORY);
    for (unsigned n = 0; n < CPUS; n++)
        set(n, 0x80, n == 4 ? 0x10 : n == 2 ? 0x20 : 0x30);
    send(0, 0, 0xc4161); /* all excluding self */
    ck_assert_uint_eq(taken(0x61), 1u << 4);
    send(4, 0, 0xc4161);
    ck_assert_uint_eq(taken(0x61), 1u << 2);
    send(4, 0, 0x84161); /* all including self */
    ck_assert_uint_eq(taken(0x61), 1u << 4);
}
END_TEST

START_TEST(lowest_priority_stays_with_its_focus)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x80, 0xf0);
    send(0, 0, 0x44061);
    send(1, 0xffu << 24, 0x04161);
    ck_assert_msg(!seen[1].intr, "CPU 0 has it already");
    set(0, 0x80, 0);
    ck_assert_uint_eq(taken(0x61), 1);
    set(0, 0x80, 0xf0);
    set(0, 0xf0, 0x3ff);
    send(0, 0, 0x44061);
    send(1, 0xffu << 24, 0x04161);
    ck_assert_msg(seen[1].intr, "CPU 0 does not look for it");
}
END_TEST

START_TEST(signals_go_to_who_is_addressed)
{
    new_cpus(APIC_MEMORY);
    send(0, 4u << 24, 0x04400);
    ck_assert_uint_eq(seen[4].nmi, 1);
    send(0, 4u << 24, 0x04500);
    ck_assert_uint_eq(seen[4].init, 1);
    send(0, 4u << 24, 0x0469a);
    ck_assert_uint_eq(seen[4].startup, 1);
    ck_assert_uint_eq(seen[4].vector, 0x9a);
    send(0, 4u << 24, 0x08500);
    ck_assert_msg(seen[4].init == 1, "a de-asserted INIT does nothing");
    set(5, 0xf0, 0xff);
    send(0, 5u << 24, 0x04400);
    ck_assert_msg(seen[5].nmi == 1, "an NMI reaches an APIC that is disabled by software");
    apic_set_mode(apics[5], APIC_DISABLED);
    send(0, 5u << 24, 0x04400);
    ck_assert_msg(seen[5].nmi == 1, "and not one that is disabled by IA32_APIC_BASE");
    ck_assert_uint_eq(seen[3].nmi + seen[3].init + seen[3].startup, 0);
}
END_TEST

START_TEST(extint_message_asks_the_8259s)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x350, 0x10700);
    out(the_pic, PIC_MASTER, 1, 0xfe);
    pic_set_irq(the_pic, 0, true);
    ck_assert(!seen[0].intr && !seen[2].intr);
    send(0, 2u << 24, 0x04700);
    ck_assert(seen[2].intr && !seen[0].intr);
    ck_assert_int_eq(apic_acknowledge(apics[2]), 0x08);
    ck_assert(!seen[2].intr);
    ck_assert_msg(!get(2, 0x100), "it is not in service here");
}
END_TEST

START_TEST(init_leaves_id_and_mode)
{
    new_cpus(APIC_MEMORY);
    set(4, 0x20, 9u << 24);
    set(4, 0xd0, 4u << 24);
    set(4, 0x80, 0x20);
    send(0, 9u << 24, 0x04500);
    ck_assert_uint_eq(get(4, 0x20), 9u << 24);
    ck_assert_uint_eq(get(4, 0xd0), 0);
    ck_assert_uint_eq(get(4, 0x80), 0);
    ck_assert_uint_eq(get(4, 0xf0), 0xff);
    ck_assert_uint_eq(get(4, 0xe0), 0xffffffff);
    apic_set_mode(apics[4], APIC_X2);
    send(0, 4u << 24, 0x04500);
    ck_assert_uint_eq(rdmsr(4, 0x802), 4);
    ck_assert_uint_eq(rdmsr(4, 0x80d), 1u << 4);
}
END_TEST

/* ---- registers ---- */

START_TEST(registers_hold_what_can_be_written)
{
    static const struct { uint16_t reg; uint32_t ones; } rows[] = {
        {0x020, 0xff000000}, {0x080, 0xff}, {0x0d0, 0xff000000}, {0x0e0, 0xffffffff}, {0x0f0, 0x3ff}, {0x310, 0xff000000},
        {0x320, 0x700ff}, {0x330, 0x107ff}, {0x340, 0x107ff}, {0x350, 0x1a7ff}, {0x360, 0x1a7ff}, {0x370, 0x100ff},
        {0x3e0, 0xb},
        {0x030, 0x50014}, {0x090, 0xff}, {0x0a0, 0xff}, {0x100, 0}, {0x180, 0}, {0x200, 0}, {0x390, 0}, {0x0b0, 0},
    };

    new_cpus(APIC_MEMORY);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        set(0, rows[i].reg, 0xffffffff);
        ck_assert_msg(get(0, rows[i].reg) == rows[i].ones, "register %x: %x", rows[i].reg, get(0, rows[i].reg));
    }
    set(0, 0xe0, 0);
    ck_assert_uint_eq(get(0, 0xe0), 0x0fffffff);
    set(0, 0x280, 0);
    ck_assert_msg(get(0, 0x280) == 0, "none of them is illegal");
}
END_TEST

START_TEST(software_disable_masks_the_local_vectors)
{
    new_cpus(APIC_MEMORY);
    for (unsigned reg = 0x320; reg <= 0x370; reg += 0x10)
        set(0, reg, 0x40);
    set(0, 0xf0, 0xff);
    for (unsigned reg = 0x320; reg <= 0x370; reg += 0x10) {
        ck_assert_uint_eq(get(0, reg), 0x10040);
        set(0, reg, 0x41);
        ck_assert_uint_eq(get(0, reg), 0x10041);
    }
}
END_TEST

START_TEST(arbitration_priority_is_that_of_the_manual)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x80, 0x35);
    ck_assert_uint_eq(get(0, 0x90), 0x35);
    set(0, 0x300, 0x44071);
    ck_assert_uint_eq(get(0, 0x90), 0x70);
    ck_assert_int_eq(apic_acknowledge(apics[0]), 0x71);
    ck_assert_uint_eq(get(0, 0x90), 0x30); /* classes 3 and 7 */
    set(0, 0x80, 0x85);
    ck_assert_uint_eq(get(0, 0x90), 0x85);
}
END_TEST

START_TEST(an_error_interrupts_once_until_the_esr_is_written)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x370, 0xe1);
    get(0, 0x40);
    ck_assert_uint_eq(taken(0xe1), 1);
    get(0, 0x40);
    ck_assert_uint_eq(taken(0xe1), 0);
    ck_assert_uint_eq(get(0, 0x280), 0);
    set(0, 0x280, 0);
    ck_assert_uint_eq(get(0, 0x280), 0x80);
    send(0, 1u << 24, 0x04005);
    ck_assert_uint_eq(taken(0xe1), 1);
    set(0, 0x280, 0);
    ck_assert_uint_eq(get(0, 0x280), 0x20);
    set(1, 0x280, 0);
    ck_assert_uint_eq(get(1, 0x280), 0x40);
    set(0, 0x370, 0x05); /* the error's own vector is illegal */
    get(0, 0x40);
    set(0, 0x280, 0);
    ck_assert_uint_eq(get(0, 0x280), 0xc0);
}
END_TEST

START_TEST(a_performance_counters_interrupt_masks_its_entry)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x340, 0x51);
    apic_pmi(apics[0]);
    ck_assert_uint_eq(taken(0x51), 1);
    ck_assert_uint_eq(get(0, 0x340), 0x10051);
    apic_pmi(apics[0]);
    ck_assert_uint_eq(taken(0x51), 0);
}
END_TEST

START_TEST(lint0_as_a_level_comes_again_after_its_eoi)
{
    new_cpus(APIC_MEMORY);
    set(0, 0x350, 0x08044);
    apic_set_lint0(apics[0], 0, true);
    ck_assert_uint_eq(get(0, 0x350), 0x0c044);
    ck_assert_uint_eq(taken(0x44), 1);
    ck_assert_uint_eq(taken(0x44), 1);
    apic_set_lint0(apics[0], 0, false);
    ck_assert_uint_eq(taken(0x44), 1); /* that had been asked for */
    ck_assert_uint_eq(taken(0x44), 0);
    ck_assert_uint_eq(get(0, 0x350), 0x08044);
}
END_TEST

START_TEST(disabling_by_msr_loses_what_was_programmed)
{
    new_cpus(APIC_MEMORY);
    set(1, 0x20, 9u << 24);
    set(1, 0x80, 0x20);
    apic_set_mode(apics[1], APIC_DISABLED);
    ck_assert_uint_eq(get(1, 0x20), 0xffffffff);
    apic_set_mode(apics[1], APIC_MEMORY);
    ck_assert_uint_eq(get(1, 0x20), 1u << 24);
    ck_assert_uint_eq(get(1, 0x80), 0);
    ck_assert_uint_eq(get(1, 0xf0), 0xff);
}
END_TEST

/* ---- x2APIC ---- */

START_TEST(x2apic_has_ids_of_its_own)
{
    new_cpus(APIC_MEMORY);
    set(17, 0x20, 0x30u << 24);
    set(17, 0x80, 0x20);
    apic_set_mode(apics[17], APIC_X2);
    ck_assert_uint_eq(rdmsr(17, 0x802), 17);
    ck_assert_uint_eq(rdmsr(17, 0x80d), 1u << 16 | 1u << 1);
    ck_assert_msg(rdmsr(17, 0x808) == 0x20, "other registers are kept");
    ck_assert_msg(get(17, 0x20) == 0xffffffff, "nothing is in memory");
    ck_assert_uint_eq(rdmsr(17, 0x803), 0x50014);
}
END_TEST

START_TEST(x2apic_registers_are_those_of_the_table)
{
    static const uint32_t read_write[] = {0x808, 0x80f, 0x828, 0x830, 0x832, 0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x83e};
    static const uint32_t read_only[] = {0x802, 0x803, 0x80a, 0x80d, 0x810, 0x817, 0x818, 0x81f, 0x820, 0x827, 0x839};
    static const uint32_t write_only[] = {0x80b, 0x83f};
    uint8_t kinds[0x100] = {0};

    new_cpus(APIC_X2);
    for (unsigned i = 0; i < ARRAY_LEN(read_write); i++)
        kinds[read_write[i] & 0xff] = 3;
    for (unsigned i = 0; i < ARRAY_LEN(read_only); i++)
        kinds[read_only[i] & 0xff] = 1;
    for (unsigned n = 0x10; n < 0x28; n++)
        kinds[n] = 1;
    for (unsigned i = 0; i < ARRAY_LEN(write_only); i++)
        kinds[write_only[i] & 0xff] = 2;
    for (unsigned n = 0; n < 0x100; n++) {
        ck_assert_msg(faults(0x800 + n, false, 0) == !(kinds[n] & 1), "RDMSR of %x", 0x800 + n);
        ck_assert_msg(faults(0x800 + n, true, 0) == !(kinds[n] & 2), "WRMSR of %x", 0x800 + n);
        ck_assert_msg(n == 0x30 || faults(0x800 + n, true, (uint64_t)1 << 32), "upper half of %x", 0x800 + n);
    }
    ck_assert(faults(0x80b, true, 1) && faults(0x828, true, 1) && faults(0x808, true, 0x100) && faults(0x83f, true, 0x100));
    ck_assert(faults(0x830, true, 0x100000) && faults(0x832, true, 0x80000) && faults(0x83e, true, 4));
    apic_set_mode(apics[0], APIC_MEMORY);
    for (unsigned n = 0; n < 0x100; n++)
        ck_assert_msg(faults(0x800 + n, false, 0), "%x in xAPIC mode", 0x800 + n);
}
END_TEST

START_TEST(x2apic_ipi_is_one_write)
{
    new_cpus(APIC_X2);
    wrmsr(3, 0x830, (uint64_t)17 << 32 | 0x04055);
    ck_assert_uint_eq(taken(0x55), 1u << 17);
    ck_assert_uint_eq(rdmsr(3, 0x830), (uint64_t)17 << 32 | 0x04055);
    wrmsr(3, 0x830, (uint64_t)0xffffffff << 32 | 0x04055);
    ck_assert_uint_eq(taken(0x55), EVERYBODY);
    wrmsr(3, 0x830, (uint64_t)0xff << 32 | 0x04055);
    ck_assert_msg(taken(0x55) == 0, "FFH is an ID like others");
    wrmsr(3, 0x830, (uint64_t)0x1000a << 32 | 0x04855); /* cluster 1: 17, 19 */
    ck_assert_uint_eq(taken(0x55), 5u << 17);
    wrmsr(3, 0x830, (uint64_t)0xffffffff << 32 | 0x04855);
    ck_assert_uint_eq(taken(0x55), EVERYBODY);
    wrmsr(3, 0x830, 0xc4055);
    ck_assert_uint_eq(taken(0x55), EVERYBODY & ~(1u << 3));
    wrmsr(3, 0x83f, 0x56);
    ck_assert_uint_eq(taken(0x56), 1u << 3);
}
END_TEST

START_TEST(x2apic_takes_messages_of_8_bits)
{
    new_cpus(APIC_X2);
    apic_message(&bus, 5, false, APIC_FIXED, 0x60, false);
    ck_assert_uint_eq(taken(0x60), 1u << 5);
    apic_message(&bus, 0xff, false, APIC_FIXED, 0x60, false);
    ck_assert_uint_eq(taken(0x60), EVERYBODY);
    apic_message(&bus, 0x06, true, APIC_FIXED, 0x60, false);
    ck_assert_msg(taken(0x60) == 6, "cluster 0");
}
END_TEST

/* ---- TSC deadline ---- */

START_TEST(tsc_deadline_fires_once_when_the_counter_is_there)
{
    new_cpus(APIC_MEMORY);
    seen[1].tsc_offset = 1000000;
    run_for(500);
    wrmsr(1, 0x6e0, 1002000);
    ck_assert_msg(rdmsr(1, 0x6e0) == 0, "ignored in another mode");
    set(1, 0x320, 0x40040);
    wrmsr(1, 0x6e0, 1002000);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), 1002000);
    run_for(1499);
    ck_assert(!seen[1].intr);
    run_for(1);
    ck_assert_uint_eq(taken(0x40), 2);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), 0);
    run_for(100000);
    ck_assert(!seen[1].intr);
    wrmsr(1, 0x6e0, 5); /* gone by */
    ck_assert_uint_eq(taken(0x40), 2);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), 0);
    wrmsr(1, 0x6e0, UINT64_MAX);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), UINT64_MAX);
    ck_assert(apic_ops.deadline(apics[1]) == VTIME_NEVER);
    wrmsr(1, 0x6e0, 0);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), 0);
}
END_TEST

START_TEST(tsc_deadline_follows_the_counter_and_its_mode)
{
    new_cpus(APIC_MEMORY);
    set(1, 0x320, 0x40040);
    set(1, 0x380, 1000);
    ck_assert_msg(get(1, 0x380) == 0 && get(1, 0x390) == 0, "no counter in this mode");
    wrmsr(1, 0x6e0, 5000);
    seen[1].tsc_offset = 3000;
    apic_tsc_written(apics[1]);
    run_for(1999);
    ck_assert(!seen[1].intr);
    run_for(1);
    ck_assert_uint_eq(taken(0x40), 2);
    wrmsr(1, 0x6e0, 9000);
    set(1, 0x320, 0x00040);
    ck_assert_msg(apic_ops.deadline(apics[1]) == VTIME_NEVER, "leaving the mode disarms it");
    set(1, 0x320, 0x40040);
    ck_assert_uint_eq(rdmsr(1, 0x6e0), 0);
    set(1, 0x320, 0x50040);
    wrmsr(1, 0x6e0, 9000);
    run_for(10000);
    ck_assert_msg(!seen[1].intr && rdmsr(1, 0x6e0) == 0, "masked, it goes by unseen");
}
END_TEST

/* ---- I/O APIC ---- */

static void io_set(unsigned reg, uint32_t value)
{
    io_apic->ops->write(io_apic, 0, 0x00, 4, reg);
    io_apic->ops->write(io_apic, 0, 0x10, 4, value);
}

static uint32_t io_get(unsigned reg)
{
    io_apic->ops->write(io_apic, 0, 0x00, 4, reg);
    return (uint32_t)io_apic->ops->read(io_apic, 0, 0x10, 4);
}

START_TEST(ioapic_registers_hold_what_can_be_written)
{
    new_cpus(APIC_MEMORY);
    ck_assert_uint_eq(io_get(0x10), 0x10000);
    for (unsigned reg = 0; reg < 0x40; reg++)
        io_set(reg, 0xffffffff);
    ck_assert_uint_eq(io_get(0), 0x0f000000);
    ck_assert_uint_eq(io_get(1), 0x00170011);
    ck_assert_uint_eq(io_get(2), 0x0f000000);
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        ck_assert_uint_eq(io_get(0x10 + 2 * n), 0x1afff);
        ck_assert_uint_eq(io_get(0x11 + 2 * n), 0xff000000);
    }
    io_apic->ops->write(io_apic, 0, 0x00, 4, 0x112);
    ck_assert_uint_eq(io_apic->ops->read(io_apic, 0, 0x00, 4), 0x12);
}
END_TEST

START_TEST(ioapic_signals_are_edges_whatever_the_entry_says)
{
    new_cpus(APIC_MEMORY);
    io_set(0x11, 3u << 24);
    io_set(0x10, 0x08400); /* an NMI as a level */
    for (unsigned n = 1; n < 4; n++) {
        ioapic_set_pin(io_apic, 0, true);
        ck_assert_uint_eq(seen[3].nmi, n);
        ck_assert_msg(!(io_get(0x10) & 0x4000), "no EOI would clear it");
        ioapic_set_pin(io_apic, 0, false);
    }
}
END_TEST

START_TEST(ioapic_goes_to_the_least_busy_of_a_group)
{
    new_cpus(APIC_MEMORY);
    for (unsigned n = 0; n < 8; n++)
        set(n, 0xd0, 1u << (24 + n));
    set(0, 0x80, 0x50);
    io_set(0x11 + 8, 0xffu << 24);
    io_set(0x10 + 8, 0x00941);
    ioapic_set_pin(io_apic, 4, true);
    ck_assert_uint_eq(taken(0x41), 2);
}
END_TEST

START_TEST(a_level_is_ended_by_whoever_had_it)
{
    new_cpus(APIC_MEMORY);
    io_set(0x11 + 18, 6u << 24);
    io_set(0x10 + 18, 0x08042);
    ioapic_set_pin(io_apic, 9, true);
    ck_assert_int_eq(apic_acknowledge(apics[6]), 0x42);
    set(2, 0xb0, 0);
    ck_assert_msg(io_get(0x10 + 18) & 0x4000, "CPU 2 had nothing to end");
    ioapic_set_pin(io_apic, 9, false);
    set(6, 0xb0, 0);
    ck_assert(!(io_get(0x10 + 18) & 0x4000));
}
END_TEST

/* Remote IRR says that a local APIC has it. */
START_TEST(a_level_that_nobody_accepts_is_not_in_service)
{
    new_cpus(APIC_MEMORY);
    set(6, 0xf0, 0xff); /* software-disabled */
    io_set(0x11 + 18, 6u << 24);
    io_set(0x10 + 18, 0x08042);
    ioapic_set_pin(io_apic, 9, true);
    ck_assert(!(io_get(0x10 + 18) & 0x4000));
    io_set(0x11 + 18, 99u << 24); /* nobody's */
    io_set(0x10 + 18, 0x08042);
    ck_assert(!(io_get(0x10 + 18) & 0x4000));
    set(6, 0xf0, 0x1ff);
    io_set(0x11 + 18, 6u << 24);
    io_set(0x10 + 18, 0x08042);
    ck_assert(io_get(0x10 + 18) & 0x4000);
    ck_assert_int_eq(apic_acknowledge(apics[6]), 0x42);
}
END_TEST

START_TEST(self_ipi_of_an_illegal_vector_is_an_error_of_both_sides)
{
    new_cpus(APIC_X2);
    wrmsr(3, 0x83f, 0x0f);
    wrmsr(3, 0x828, 0);
    ck_assert_uint_eq(rdmsr(3, 0x828), 0x60);
    ck_assert_int_eq(apic_acknowledge(apics[3]), -1);
}
END_TEST

static void destinations(TCase *tc)
{
    ADD(ipi_goes_to_a_physical_destination);
    ADD(ipi_goes_by_shorthand);
    ADD(ipi_goes_to_a_flat_logical_destination);
    ADD(ipi_goes_to_a_cluster);
    ADD(lowest_priority_goes_to_who_does_least);
    ADD(lowest_priority_to_all_goes_to_one);
    ADD(lowest_priority_stays_with_its_focus);
    ADD(signals_go_to_who_is_addressed);
    ADD(extint_message_asks_the_8259s);
    ADD(init_leaves_id_and_mode);
}

static void registers(TCase *tc)
{
    ADD(registers_hold_what_can_be_written);
    ADD(software_disable_masks_the_local_vectors);
    ADD(arbitration_priority_is_that_of_the_manual);
    ADD(an_error_interrupts_once_until_the_esr_is_written);
    ADD(a_performance_counters_interrupt_masks_its_entry);
    ADD(lint0_as_a_level_comes_again_after_its_eoi);
    ADD(disabling_by_msr_loses_what_was_programmed);
}

static void x2apic(TCase *tc)
{
    ADD(x2apic_has_ids_of_its_own);
    ADD(x2apic_registers_are_those_of_the_table);
    ADD(x2apic_ipi_is_one_write);
    ADD(x2apic_takes_messages_of_8_bits);
    ADD(tsc_deadline_fires_once_when_the_counter_is_there);
    ADD(tsc_deadline_follows_the_counter_and_its_mode);
}

static void io_apics(TCase *tc)
{
    ADD(ioapic_registers_hold_what_can_be_written);
    ADD(ioapic_signals_are_edges_whatever_the_entry_says);
    ADD(ioapic_goes_to_the_least_busy_of_a_group);
    ADD(a_level_is_ended_by_whoever_had_it);
    ADD(a_level_that_nobody_accepts_is_not_in_service);
    ADD(self_ipi_of_an_illegal_vector_is_an_error_of_both_sides);
}

CHIP_TESTS("apic cpus", destinations, registers, x2apic, io_apics)
