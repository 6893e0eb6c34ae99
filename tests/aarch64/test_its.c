/*
 * LPIs and the ITS: registers, each command, tables of one and of two levels, what the CPUs get; nonsense.
 */
#include "tests/whole/chip_bench.h"

#include <stdio.h>

#include "aarch64/cpu.h"
#include "aarch64/virt/gic.h"
#include "aarch64/virt/its.h"
#include "aarch64/virt/lpi.h"

#define CPUS    3u
#define RAM     0x40000000ull
#define QUEUE   (RAM + 0x10000)
#define DEVICES (RAM + 0x20000)
#define LEVEL2  (RAM + 0x24000)
#define COLLECTIONS (RAM + 0x28000)
#define ITT     (RAM + 0x30000)
#define CONFIG  (RAM + 0x40000)
#define PENDING (RAM + 0x50000)

#define ICC_PMR     SYSREG(3, 0, 4, 6, 0)
#define ICC_IAR1    SYSREG(3, 0, 12, 12, 0)
#define ICC_EOIR1   SYSREG(3, 0, 12, 12, 1)
#define ICC_IGRPEN1 SYSREG(3, 0, 12, 12, 7)

static struct gic_bus bus;
static struct gic_wiring wiring[CPUS];
static struct lpi_wiring lpi_wiring[CPUS];
static struct its_wiring its_wiring;
static struct device *its;
static struct a64_cpu cpus[CPUS];
static struct a64_state states[CPUS];
static uint64_t written;

static uint64_t rd(unsigned cpu, uint32_t offset, unsigned size)
{
    return bus.gics[0]->ops->read(bus.gics[0], GICV3_REDIST, 0x20000 * cpu + offset, size) & UINT64_MAX >> (64 - 8 * size);
}

static void wr(unsigned cpu, uint32_t offset, unsigned size, uint64_t value)
{
    bus.gics[0]->ops->write(bus.gics[0], GICV3_REDIST, 0x20000 * cpu + offset, size, value);
}

static uint64_t get(uint32_t offset, unsigned size)
{
    return its_ops.read(its, 0, offset, size) & UINT64_MAX >> (64 - 8 * size);
}

static void put(uint32_t offset, unsigned size, uint64_t value)
{
    its_ops.write(its, 0, offset, size, value);
}

static void poke(paddr_t at, uint64_t value)
{
    memory_write(&m->memory, at, 8, value);
}

static void configure(unsigned irq, uint8_t byte)
{
    memory_write(&m->memory, CONFIG + irq - LPI_FIRST, 1, byte);
}

/* CPUs with their group 1 on, and RAM. */
static void new_gic(void)
{
    struct region ram = {.base = RAM, .size = 0x80000, .kind = REGION_RAM, .enabled = true};
    char name[16];

    machine_destroy(m);
    m = machine_create(256);
    m->env = &env;
    ram.page = memory_alloc(&m->memory, "ram", ram.size);
    memory_map(&m->memory, &ram);
    bus.count = 0;
    memset(states, 0, sizeof(states));
    for (unsigned n = 0; n < CPUS; n++) {
        cpus[n].st = &states[n];
        cpus[n].u.cpu.index = n;
        states[n].el = 1;
        wiring[n] = (struct gic_wiring){.bus = &bus, .number = n, .affinity = n, .version = 3, .cpu = &cpus[n],
                                        .irq = probe_line(n)};
        snprintf(name, sizeof(name), "gic%u", n);
        bus.gics[n] = machine_add_device(m, n ? &gic_cpu_ops : &gicv3_ops, name, &wiring[n]);
        bus.count = n + 1;
    }
    for (unsigned n = 0; n < CPUS; n++) {
        lpi_wiring[n] = (struct lpi_wiring){.gic = bus.gics[n]};
        snprintf(name, sizeof(name), "lpi%u", n);
        wiring[n].lpis = its_wiring.lpis[n] = machine_add_device(m, &lpi_ops, name, &lpi_wiring[n]);
    }
    its_wiring.count = CPUS;
    its = machine_add_device(m, &its_ops, "its", &its_wiring);
    m->runner = &cpus[0].u.cpu;
    reset_all();
    bus.gics[0]->ops->write(bus.gics[0], GICV3_DIST, 0, 4, 2);
    for (unsigned n = 0; n < CPUS; n++) {
        wr(n, 0x14, 4, 0);
        gicv3_sysreg_write(bus.gics[n], ICC_PMR, 0xf0);
        gicv3_sysreg_write(bus.gics[n], ICC_IGRPEN1, 1);
        wr(n, 0x70, 8, CONFIG | (LPI_BITS - 1));
        wr(n, 0x78, 8, (PENDING + 0x10000 * n) | 1ull << 62);
        wr(n, 0x00, 4, 1);
    }
    for (unsigned irq = LPI_FIRST; irq < LPI_FIRST + 64; irq++)
        configure(irq, 0xa1);
    written = 0;
}

static void command(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t words[4] = {a, b, c, d};

    for (unsigned i = 0; i < 4; i++)
        poke(QUEUE + written + 8 * i, words[i]);
    written = (written + 32) % 0x1000;
    put(0x88, 8, written);
    ck_assert_uint_eq(get(0x90, 8), written);
}

#define MAPD(device, bits, valid) command(0x08 | (uint64_t)(device) << 32, (bits) - 1, ITT | (uint64_t)(valid) << 63, 0)
#define MAPC(collection, cpu)     command(0x09, 0, 1ull << 63 | (uint64_t)(cpu) << 16 | (collection), 0)
#define MAPTI(device, event, irq, collection) \
    command(0x0a | (uint64_t)(device) << 32, (event) | (uint64_t)(irq) << 32, collection, 0)
#define EVENT(what, device, event) command((what) | (uint64_t)(device) << 32, event, 0, 0)
enum { INT = 3, CLEAR = 4, INV = 12, DISCARD = 15 };

static void new_its(void)
{
    new_gic();
    put(0x80, 8, 1ull << 63 | QUEUE);
    put(0x100, 8, 1ull << 63 | DEVICES);
    put(0x108, 8, 1ull << 63 | COLLECTIONS);
    put(0x00, 4, 1);
    MAPC(5, 1);
    MAPD(0x18, 4, 1);
    MAPTI(0x18, 2, 8200, 5);
}

static unsigned take(unsigned cpu)
{
    uint64_t irq;

    gicv3_sysreg_read(bus.gics[cpu], ICC_IAR1, &irq);
    if (irq != GIC_SPURIOUS)
        gicv3_sysreg_write(bus.gics[cpu], ICC_EOIR1, irq);
    return (unsigned)irq;
}

START_TEST(registers_tell_what_there_is)
{
    new_gic();
    ck_assert_uint_eq(bus.gics[0]->ops->read(bus.gics[0], GICV3_DIST, 4, 4) >> 17 & 0x7f, 1 | 13 << 2);
    ck_assert_uint_eq(rd(0, 8, 4) & 1, 1);
    ck_assert_uint_eq(rd(0, 0, 4), 7);
    ck_assert_uint_eq(rd(2, 0x70, 8), CONFIG | 13);
    wr(2, 0x70, 8, 0);
    ck_assert_msg(rd(2, 0x70, 8) == (CONFIG | 13), "while LPIs are on, tables stay");
    ck_assert_msg(rd(2, 0x78, 8) == PENDING + 0x20000, "PTZ reads as 0");
    ck_assert_uint_eq(rd(2, 0xc0, 4), 0);
    ck_assert_uint_eq(get(0, 4), 0x80000000);
    ck_assert_uint_eq(get(8, 8), 1 | 7 << 4 | 15 << 8 | 15 << 13);
    ck_assert_uint_eq(get(8, 4), get(8, 8) & 0xffffffff);
    ck_assert_uint_eq(get(0xffe8, 4), 0x3b);
    ck_assert_uint_eq(get(0x100, 8) >> 48, 1 << 8 | 7);
    ck_assert_uint_eq(get(0x108, 8) >> 48, 4 << 8 | 7);
    ck_assert_uint_eq(get(0x110, 8), 0);
    put(0x108, 8, ~0ull);
    ck_assert_msg(!(get(0x108, 8) >> 62 & 1), "collections have one level");
    put(0x104, 4, 0x80000000);
    ck_assert_uint_eq(get(0x104, 4), 0x81070000);
    put(0, 4, 1);
    put(0x104, 4, 0);
    ck_assert_msg(get(0x104, 4) == 0x81070000, "while it is on, tables stay");
}
END_TEST

START_TEST(a_message_becomes_an_lpi_of_its_cpu)
{
    new_its();
    its_message(its, 0x18, 2);
    ck_assert(probe[1].level && !probe[0].level);
    ck_assert_uint_eq(take(0), GIC_SPURIOUS);
    ck_assert_uint_eq(take(1), 8200);
    ck_assert(!probe[1].level);
    ck_assert_uint_eq(take(1), GIC_SPURIOUS);
    its_message(its, 0x19, 2); /* another device, another event, one that is beyond its number */
    its_message(its, 0x18, 3);
    its_message(its, 0x18, 16);
    its_message(its, 0x10000, 2);
    ck_assert(!probe[1].level);
    put(0, 4, 0);
    its_message(its, 0x18, 2);
    ck_assert_msg(!probe[1].level, "the service is off");
}
END_TEST

START_TEST(configuration_enables_and_has_the_priority)
{
    new_its();
    MAPTI(0x18, 3, 8201, 5);
    configure(8200, 0xa0);
    its_message(its, 0x18, 2);
    ck_assert_msg(!probe[1].level, "not enabled");
    configure(8200, 0xa1);
    EVENT(INV, 0x18, 2);
    ck_assert_msg(probe[1].level, "it was pending all the time");
    configure(8201, 0x81);
    its_message(its, 0x18, 3);
    ck_assert_uint_eq(take(1), 8201);
    ck_assert_uint_eq(take(1), 8200);
    configure(8200, 0xa0);
    its_message(its, 0x18, 2);
    configure(8200, 0xa1);
    wr(1, 0xa0, 8, 8200); /* GICR_INVLPIR */
    ck_assert_uint_eq(take(1), 8200);
    configure(8200, 0xf1);
    its_message(its, 0x18, 2);
    ck_assert_msg(!probe[1].level, "not above the mask");
}
END_TEST

START_TEST(every_command_does_its_work)
{
    new_its();
    MAPC(6, 2);
    EVENT(INT, 0x18, 2);
    ck_assert(probe[1].level);
    EVENT(CLEAR, 0x18, 2);
    ck_assert(!probe[1].level);
    EVENT(INT, 0x18, 2);
    command(0x01 | 0x18ull << 32, 2, 6, 0); /* MOVI */
    ck_assert(!probe[1].level && probe[2].level);
    command(0x0e, 0, 2ull << 16, 0ull << 16); /* MOVALL from CPU 2 to 0 */
    ck_assert(!probe[2].level && probe[0].level);
    ck_assert_uint_eq(take(0), 8200);
    command(0x0b | 0x18ull << 32, 7, 6, 0); /* MAPI: 7 is no LPI */
    EVENT(INT, 0x18, 7);
    ck_assert(!probe[2].level);
    configure(8200, 0xa0);
    EVENT(INT, 0x18, 2);
    ck_assert(!probe[2].level);
    configure(8200, 0xa1);
    command(0x0d, 0, 6, 0); /* INVALL */
    ck_assert(probe[2].level);
    EVENT(DISCARD, 0x18, 2);
    ck_assert_msg(!probe[2].level, "with what was pending");
    EVENT(INT, 0x18, 2);
    ck_assert(!probe[2].level);
    MAPTI(0x18, 2, 8200, 6);
    command(0x05, 0, 2ull << 16, 0); /* SYNC */
    MAPD(0x18, 4, 0);
    EVENT(INT, 0x18, 2);
    ck_assert(!probe[2].level);
    MAPD(0x18, 4, 1);
    command(0x09, 0, 6, 0); /* MAPC, not valid */
    EVENT(INT, 0x18, 2);
    ck_assert(!probe[2].level);
    MAPC(6, 77); /* no such CPU */
    EVENT(INT, 0x18, 2);
    command(0xff, ~0ull, ~0ull, ~0ull);
    for (unsigned n = 0; n < CPUS; n++)
        ck_assert(!probe[n].level);
}
END_TEST

START_TEST(tables_of_devices_have_two_levels)
{
    new_gic();
    poke(DEVICES + 8 * (0x1234 / 512), 1ull << 63 | LEVEL2);
    put(0x80, 8, 1ull << 63 | QUEUE);
    put(0x100, 8, 1ull << 63 | 1ull << 62 | DEVICES);
    put(0x108, 8, 1ull << 63 | COLLECTIONS);
    put(0x00, 4, 1);
    MAPC(0, 0);
    MAPD(0x1234, 5, 1);
    MAPTI(0x1234, 31, 8192, 0);
    its_message(its, 0x1234, 31);
    ck_assert_uint_eq(take(0), 8192);
    ck_assert(memory_read(&m->memory, LEVEL2 + 8 * (0x1234 % 512), 8));
    MAPD(0x2234, 5, 1); /* that one has no page */
    MAPTI(0x2234, 31, 8193, 0);
    its_message(its, 0x2234, 31);
    ck_assert_uint_eq(take(0), GIC_SPURIOUS);
}
END_TEST

START_TEST(what_is_pending_is_loaded_and_stored)
{
    new_its();
    configure(8200, 0xa0);
    its_message(its, 0x18, 2);
    wr(1, 0, 4, 0);
    ck_assert_uint_eq(memory_read(&m->memory, PENDING + 0x10000 + 1025, 1), 1); /* 8200 / 8 */
    configure(8200, 0xa1);
    its_message(its, 0x18, 2);
    ck_assert_msg(!probe[1].level, "LPIs are off");
    wr(1, 0x78, 8, PENDING + 0x10000);
    wr(1, 0, 4, 1);
    ck_assert_uint_eq(take(1), 8200);
    wr(1, 0, 4, 0);
    poke(PENDING + 0x10000 + 1024, 0x300);
    wr(1, 0x78, 8, (PENDING + 0x10000) | 1ull << 62);
    wr(1, 0, 4, 1);
    ck_assert_msg(take(1) == GIC_SPURIOUS, "it was said to be zero");
}
END_TEST

/* A pending table has a bit for each INTID that PROPBASER.IDbits counts, and nothing is stored behind it. */
START_TEST(what_lies_behind_a_small_pending_table_stays)
{
    new_its();
    wr(1, 0, 4, 0);
    wr(1, 0x70, 8, (rd(1, 0x70, 8) & ~0x1full) | 13); /* 14 bits: 2 KiB */
    wr(1, 0x78, 8, PENDING + 0x10000);
    poke(PENDING + 0x10000 + 2047, 0);
    poke(PENDING + 0x10000 + 2048, 0x5a);
    poke(PENDING + 0x10000 + 8191, 0xa5);
    wr(1, 0, 4, 1);
    its_message(its, 0x18, 2);
    wr(1, 0, 4, 0);
    ck_assert_uint_eq(memory_read(&m->memory, PENDING + 0x10000 + 1025, 1), 1);
    ck_assert_uint_eq(memory_read(&m->memory, PENDING + 0x10000 + 2048, 1), 0x5a);
    ck_assert_uint_eq(memory_read(&m->memory, PENDING + 0x10000 + 8191, 1), 0xa5);
}
END_TEST

START_TEST(a_queue_goes_round_and_stalls_where_it_cannot_be_read)
{
    new_its();
    for (unsigned i = 0; i < 300; i++)
        EVENT(INT, 0x18, 2);
    ck_assert_uint_eq(take(1), 8200);
    put(0, 4, 0);
    put(0x80, 8, 1ull << 63 | 0x1000); /* nothing is there */
    ck_assert_uint_eq(get(0x90, 8), 0);
    put(0x88, 8, 0);
    put(0, 4, 1);
    put(0x88, 8, 0x40);
    ck_assert_uint_eq(get(0x90, 8) & 1, 1);
    put(0x88, 8, 0x41); /* Retry, and the same again */
    ck_assert_uint_eq(get(0x90, 8) & 1, 1);
}
END_TEST

START_TEST(the_its_bears_random_commands)
{
    uint64_t x = (uint64_t)_i + 1;

    new_its();
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t c[4];

        for (unsigned k = 0; k < 4; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            c[k] = x ^ x >> 29;
            if (x >> 60 & 1)
                c[k] &= 0x8000000000ff00ffull;
        }
        c[0] = (c[0] & ~0xf0ull) | 0x18ull << 32 * (x >> 50 & 1);
        for (unsigned k = 0; k < 4; k++)
            poke(QUEUE + get(0x88, 8) + 8 * k, c[k]);
        put(0x88, 8, (get(0x88, 8) + 32) % 0x1000);
        its_message(its, (uint32_t)c[1] & 0x1f, (uint32_t)c[2] & 15);
        if (x >> 40 % 64 == 0)
            put((uint32_t)(x >> 20) & 0x1fc, 4, x);
        take(i % CPUS);
        if (!(x >> 33 & 0xff)) {
            put(0, 4, 0);
            put(0x100, 8, (x & 3) ? 1ull << 63 | DEVICES : c[1]);
            put(0x108, 8, (x & 12) ? 1ull << 63 | COLLECTIONS : c[2]);
            put(0, 4, 1);
            wr(i % CPUS, 0, 4, i & 1);
        }
        ck_assert(its_ops.possible(its) && lpi_ops.possible(its_wiring.lpis[i % CPUS]));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_tell_what_there_is);
    ADD(a_message_becomes_an_lpi_of_its_cpu);
    ADD(configuration_enables_and_has_the_priority);
    ADD(every_command_does_its_work);
    ADD(tables_of_devices_have_two_levels);
    ADD(what_is_pending_is_loaded_and_stored);
    ADD(what_lies_behind_a_small_pending_table_stays);
    ADD(a_queue_goes_round_and_stalls_where_it_cannot_be_read);
    tcase_add_loop_test(tc, the_its_bears_random_commands, 0, 4);
}

CHIP_TESTS("its", claims)
