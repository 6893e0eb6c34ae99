/*
 * The interrupt controllers of a board with several CPUs: who gets what, and who got it first.
 */
#include <string.h>

#include "aarch64/cpu.h"
#include "aarch64/virt/gic.h"
#include "tests/check_main.h"

#define CPUS 3u
#define SPI(n) (32u + (n))
#define ICC_IAR1   SYSREG(3, 0, 12, 12, 0)
#define ICC_EOIR1  SYSREG(3, 0, 12, 12, 1)
#define ICC_IGRPEN1 SYSREG(3, 0, 12, 12, 7)
#define ICC_PMR    SYSREG(3, 0, 4, 6, 0)
#define ICC_BPR1   SYSREG(3, 0, 12, 12, 3)
#define ICC_RPR    SYSREG(3, 0, 12, 11, 3)
#define ICC_SGI1R  SYSREG(3, 0, 12, 11, 5)

static struct machine *m;
static struct gic_bus bus;
static struct gic_wiring wiring[CPUS];
static struct a64_cpu cpus[CPUS];
static struct a64_state states[CPUS];
static bool irq[CPUS];

static void set_irq(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    irq[n] = level;
}

static void by(unsigned cpu)
{
    m->runner = &cpus[cpu].u.cpu;
}

static void out(unsigned cpu, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    by(cpu);
    bus.gics[0]->ops->write(bus.gics[0], range, offset, size, value);
}

static uint64_t in(unsigned cpu, unsigned range, uint64_t offset, unsigned size)
{
    by(cpu);
    return bus.gics[0]->ops->read(bus.gics[0], range, offset, size) & UINT64_MAX >> (64 - 8 * size);
}

static void begin(unsigned version)
{
    static const char *const names[CPUS] = {"gic", "gic1", "gic2"};

    m = machine_create(16);
    bus.count = 0;
    memset(states, 0, sizeof(states));
    for (unsigned n = 0; n < CPUS; n++) {
        cpus[n].st = &states[n];
        cpus[n].u.cpu.index = n;
        states[n].el = 1;
        wiring[n] = (struct gic_wiring){.bus = &bus, .number = n, .affinity = n, .version = version, .cpu = &cpus[n],
                                        .irq = {.set = set_irq, .n = n}};
        bus.gics[n] = machine_add_device(m, n ? &gic_cpu_ops : version == 2 ? &gicv2_ops : &gicv3_ops, names[n], &wiring[n]);
        bus.count = n + 1;
    }
    for (unsigned n = 0; n < CPUS; n++)
        bus.gics[n]->ops->reset(bus.gics[n]);
    memset(irq, 0, sizeof(irq));
}

static void begin_v2(void)
{
    begin(2);
    out(0, GICV2_DIST, 0, 4, 1);
    for (unsigned n = 0; n < CPUS; n++) {
        out(n, GICV2_CPU, 4, 4, 0xf0);
        out(n, GICV2_CPU, 0, 4, 1);
    }
}

static void begin_v3(void)
{
    begin(3);
    out(0, GICV3_DIST, 0, 4, 2);
    for (unsigned n = 1; n < GIC_WORDS; n++)
        out(0, GICV3_DIST, 0x80 + 4 * n, 4, ~0u);
    for (unsigned n = 0; n < CPUS; n++) {
        out(n, GICV3_REDIST, 0x20000 * n + 0x14, 4, 0);
        out(n, GICV3_REDIST, 0x20000 * n + 0x10080, 4, ~0u);
        out(n, GICV3_REDIST, 0x20000 * n + 0x10100, 4, 0xffff);
        gicv3_sysreg_write(bus.gics[n], ICC_PMR, 0xf0);
        gicv3_sysreg_write(bus.gics[n], ICC_IGRPEN1, 1);
    }
}

static unsigned ack_v3(unsigned cpu)
{
    uint64_t v;

    ck_assert(gicv3_sysreg_read(bus.gics[cpu], ICC_IAR1, &v));
    return (unsigned)v;
}

static bool only(bool a, bool b, bool c)
{
    return irq[0] == a && irq[1] == b && irq[2] == c;
}

START_TEST(gicv2_says_how_many_cpus_there_are_and_which_one_asks)
{
    begin_v2();
    ck_assert_uint_eq(in(0, GICV2_DIST, 4, 4) >> 5 & 7, CPUS - 1);
    for (unsigned n = 0; n < CPUS; n++)
        ck_assert_uint_eq(in(n, GICV2_DIST, 0x800, 1), 1u << n);
    machine_destroy(m);
}
END_TEST

START_TEST(gicv2_sgi_goes_to_its_targets_and_names_its_source)
{
    begin_v2();
    out(0, GICV2_DIST, 0xf00, 4, 6u << 16 | 3);
    ck_assert(only(false, true, true));
    out(2, GICV2_DIST, 0xf00, 4, 2u << 16 | 3); /* CPU 1 has it from two */
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), 3);
    ck_assert_uint_eq(in(2, GICV2_CPU, 0x0c, 4), 3);
    out(1, GICV2_CPU, 0x10, 4, 3);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), 3 | 2 << 10);
    out(1, GICV2_CPU, 0x10, 4, 3 | 2 << 10);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), 1023);
    out(1, GICV2_DIST, 0xf00, 4, 1u << 24 | 5); /* all but itself */
    ck_assert(irq[0] && !irq[1]);
    ck_assert_uint_eq(in(0, GICV2_CPU, 0x0c, 4), 5 | 1 << 10);
    machine_destroy(m);
}
END_TEST

START_TEST(gicv2_says_what_it_is)
{
    begin_v2();
    ck_assert_uint_eq(in(0, GICV2_DIST, 0x08, 4), 0x0200143b); /* GIC-400 */
    ck_assert_uint_eq(in(0, GICV2_CPU, 0xfc, 4), 0x0202143b);
    ck_assert_uint_eq(in(0, GICV2_DIST, 0xfe8, 4), 0x2b);
    machine_destroy(m);
}
END_TEST

START_TEST(gicv2_group_1_sgi_names_its_source_in_the_alias_too)
{
    begin_v2();
    for (unsigned n = 0; n < CPUS; n++) {
        out(n, GICV2_DIST, 0x80, 4, 1u << 3);
        out(n, GICV2_CPU, 0, 4, 3);
    }
    out(0, GICV2_DIST, 0, 4, 3);
    out(2, GICV2_DIST, 0xf00, 4, 2u << 16 | 3);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x18, 4), 1022);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x28, 4), 3 | 2 << 10);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), 1022);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x20, 4), 3 | 2 << 10);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x14, 4), 0);      /* it runs, at the highest priority */
    out(1, GICV2_CPU, 0x24, 4, 3 | 2 << 10);
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x14, 4), 0xff);
    machine_destroy(m);
}
END_TEST

/* Which SGIs a Secure write means is told by NSATT; those of the Non-secure state are of group 1 whatever it says. */
START_TEST(gicv2_sgi_goes_to_the_group_that_is_meant)
{
    begin_v2();
    for (unsigned n = 0; n < CPUS; n++)
        wiring[n].security = true;
    out(1, GICV2_DIST, 0x80, 4, 1u << 3);
    for (unsigned nsatt = 0; nsatt < 2; nsatt++)
        for (unsigned ns = 0; ns < 2; ns++) {
            m->memory.nonsecure = ns;
            out(0, GICV2_DIST, 0xf00, 4, 6u << 16 | nsatt << 15 | 3);
            m->memory.nonsecure = false;
            ck_assert_uint_eq(in(1, GICV2_DIST, 0xf20, 4) >> 24, nsatt || ns ? 1 : 0);
            ck_assert_uint_eq(in(2, GICV2_DIST, 0xf20, 4) >> 24, nsatt || ns ? 0 : 1);
            out(1, GICV2_DIST, 0xf10, 4, ~0u);
            out(2, GICV2_DIST, 0xf10, 4, ~0u);
        }
    machine_destroy(m);
}
END_TEST

/* What one CPU has taken another may look at, end and make pending again; whose it is next is where it is sent to then. */
START_TEST(gicv2_active_and_pending_move_with_the_targets)
{
    begin_v2();
    out(0, GICV2_DIST, 0x104, 4, 2);
    out(0, GICV2_DIST, 0xc00 + 4 * (SPI(1) / 16), 4, 2u << (SPI(1) % 16 * 2)); /* an edge */
    out(0, GICV2_DIST, 0x800 + SPI(1), 1, 2);
    gic_set_line(bus.gics[0], SPI(1), true);
    gic_set_line(bus.gics[0], SPI(1), false);
    ck_assert(only(false, true, false));
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), SPI(1));
    ck_assert_uint_eq(in(2, GICV2_DIST, 0x304, 4), 2);
    gic_set_line(bus.gics[0], SPI(1), true); /* active and pending: nobody gets it */
    out(2, GICV2_DIST, 0x800 + SPI(1), 1, 4);
    ck_assert(only(false, false, false));
    ck_assert_uint_eq(in(0, GICV2_DIST, 0x204, 4), 2);
    out(1, GICV2_CPU, 0x10, 4, SPI(1));
    ck_assert(only(false, false, true));
    ck_assert_uint_eq(in(2, GICV2_CPU, 0x0c, 4), SPI(1));
    out(0, GICV2_DIST, 0x384, 4, 2); /* deactivated by another CPU: its priority still runs where it was taken */
    ck_assert_uint_eq(in(2, GICV2_DIST, 0x304, 4), 0);
    ck_assert_uint_eq(in(2, GICV2_CPU, 0x14, 4), 0);
    out(0, GICV2_DIST, 0x204, 4, 2);
    ck_assert(only(false, false, false));
    out(0, GICV2_DIST, 0x800 + SPI(1), 1, 1);
    ck_assert(only(true, false, false));
    out(0, GICV2_DIST, 0x284, 4, 2);
    ck_assert(only(false, false, false));
    machine_destroy(m);
}
END_TEST

START_TEST(gicv2_interrupt_for_several_is_taken_once)
{
    begin_v2();
    out(0, GICV2_DIST, 0x104, 4, 2);
    out(0, GICV2_DIST, 0x800 + SPI(1), 1, 6);
    ck_assert_uint_eq(in(0, GICV2_DIST, 0x800 + SPI(1), 1), 6);
    gic_set_line(bus.gics[0], SPI(1), true);
    ck_assert(only(false, true, true));
    ck_assert_uint_eq(in(2, GICV2_CPU, 0x0c, 4), SPI(1));
    ck_assert(only(false, false, false));
    ck_assert_uint_eq(in(1, GICV2_CPU, 0x0c, 4), 1023);
    machine_destroy(m);
}
END_TEST

START_TEST(private_interrupts_are_each_cpus_own)
{
    begin_v2();
    for (unsigned n = 0; n < CPUS; n++)
        out(n, GICV2_DIST, 0x100, 4, 1u << 27);
    gic_set_line(bus.gics[1], 27, true);
    ck_assert(only(false, true, false));
    out(1, GICV2_DIST, 0x180, 4, 1u << 27);
    ck_assert(only(false, false, false));
    ck_assert(in(0, GICV2_DIST, 0x100, 4) >> 27 & 1);
    machine_destroy(m);
}
END_TEST

START_TEST(gicv3_sgi_goes_by_affinity_or_to_all_others)
{
    begin_v3();
    by(0);
    gicv3_sysreg_write(bus.gics[0], ICC_SGI1R, 7ull << 24 | 4);
    ck_assert(only(false, false, true));
    ck_assert_uint_eq(ack_v3(2), 7);
    gicv3_sysreg_write(bus.gics[0], ICC_SGI1R, 1ull << 16 | 7ull << 24 | 7); /* another cluster */
    ck_assert(!irq[0] && !irq[1]);
    gicv3_sysreg_write(bus.gics[1], ICC_SGI1R, 1ull << 40 | 9ull << 24);
    ck_assert(irq[0] && !irq[1]);
    ck_assert_uint_eq(ack_v3(0), 9);
    machine_destroy(m);
}
END_TEST

START_TEST(gicv3_active_and_pending_move_with_the_route)
{
    begin_v3();
    out(0, GICV3_DIST, 0x104, 4, 2);
    out(0, GICV3_DIST, 0xc00 + 4 * (SPI(1) / 16), 4, 2u << (SPI(1) % 16 * 2));
    out(0, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 1);
    gic_set_line(bus.gics[0], SPI(1), true);
    gic_set_line(bus.gics[0], SPI(1), false);
    ck_assert(only(false, true, false));
    ck_assert_uint_eq(ack_v3(1), SPI(1));
    gic_set_line(bus.gics[0], SPI(1), true);
    out(2, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 2);
    ck_assert(only(false, false, false));
    gicv3_sysreg_write(bus.gics[1], ICC_EOIR1, SPI(1));
    ck_assert(only(false, false, true));
    ck_assert_uint_eq(ack_v3(2), SPI(1));
    out(0, GICV3_DIST, 0x384, 4, 2);
    ck_assert_uint_eq(in(1, GICV3_DIST, 0x304, 4), 0);
    gicv3_sysreg_write(bus.gics[2], ICC_EOIR1, SPI(1));
    out(0, GICV3_DIST, 0x204, 4, 2);
    ck_assert(only(false, false, true));
    out(0, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 0x100); /* to nobody */
    ck_assert(only(false, false, false));
    ck_assert_uint_eq(in(0, GICV3_DIST, 0x204, 4), 2);
    out(0, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 0);
    ck_assert(only(true, false, false));
    machine_destroy(m);
}
END_TEST

/* A handler is interrupted by what is higher in its group priority (binary point), and by nothing else. */
START_TEST(gicv3_preemption_goes_by_the_binary_point)
{
    static const struct { unsigned bpr, low, high; bool preempts; } cases[] = {
        {3, 0xa0, 0x98, true}, {3, 0xa0, 0xa0, false}, {4, 0xa8, 0xa0, false}, {4, 0xa8, 0x98, true}, {7, 0xf0, 0x80, false},
        {7, 0x80, 0x78, true}, {0, 0xa0, 0x98, true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t running;

        begin_v3();
        gicv3_sysreg_write(bus.gics[1], ICC_PMR, 0xff);
        gicv3_sysreg_write(bus.gics[1], ICC_BPR1, cases[i].bpr);
        out(0, GICV3_REDIST, 0x20000 + 0x10400 + 5, 1, cases[i].low);
        out(0, GICV3_REDIST, 0x20000 + 0x10400 + 6, 1, cases[i].high);
        out(0, GICV3_REDIST, 0x20000 + 0x10200, 4, 1u << 5);
        ck_assert_uint_eq(ack_v3(1), 5);
        ck_assert(!irq[1]);
        out(0, GICV3_REDIST, 0x20000 + 0x10200, 4, 1u << 6);
        ck_assert_msg(irq[1] == cases[i].preempts, "case %u", i);
        ck_assert_uint_eq(ack_v3(1), cases[i].preempts ? 6 : 1023);
        gicv3_sysreg_write(bus.gics[1], ICC_EOIR1, cases[i].preempts ? 6 : 5);
        ck_assert(gicv3_sysreg_read(bus.gics[1], ICC_RPR, &running));
        ck_assert_uint_eq(running, cases[i].preempts ? (cases[i].low & 0xffu << (cases[i].bpr < 3 ? 3 : cases[i].bpr) & 0xffu) : 0xff);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(gicv3_redistributors_name_their_cpus)
{
    begin_v3();
    for (unsigned n = 0; n < CPUS; n++) {
        uint64_t typer = in(0, GICV3_REDIST, 0x20000 * n + 8, 8);

        ck_assert_uint_eq(typer >> 32, n);
        ck_assert_uint_eq(typer >> 8 & 0xffff, n);
        ck_assert_uint_eq(typer >> 4 & 1, n == CPUS - 1);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(gicv3_routes_to_one_or_to_the_first_that_is_awake)
{
    begin_v3();
    out(0, GICV3_DIST, 0x104, 4, 2);
    out(0, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 2);
    gic_set_line(bus.gics[0], SPI(1), true);
    ck_assert(only(false, false, true));
    out(0, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 1ull << 31);
    ck_assert(only(true, false, false));
    out(0, GICV3_REDIST, 0x14, 4, 2); /* CPU 0 goes to sleep */
    ck_assert(only(false, true, false));
    ck_assert_uint_eq(ack_v3(1), SPI(1));
    ck_assert(only(false, false, false));
    machine_destroy(m);
}
END_TEST

/* What a register of 32 bits is after a reset, after all ones were written to it, and then all zeros. `own`: another CPU's
 * is another one. */
struct holds {
    unsigned range;
    uint32_t offset, reset, ones, zeros;
    bool own;
};

static void hold(const struct holds *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct holds *h = &list[i];
        uint64_t second = h->range == GICV3_REDIST && wiring[0].version == 3 ? 0x20000 : 0;

#define HOLDS(cpu, at, what) \
    ck_assert_msg(in(cpu, h->range, at, 4) == (what), "range %u, %05x: %08llx, not %08x (line " XSTRING(__LINE__) ")", h->range, \
                  h->offset, (unsigned long long)in(cpu, h->range, at, 4), what)
#define STRING(n) #n
#define XSTRING(n) STRING(n)
        HOLDS(0, h->offset, h->reset);
        out(0, h->range, h->offset, 4, ~0u);
        HOLDS(0, h->offset, h->ones);
        HOLDS(1, h->offset + second, h->own ? h->reset : h->ones);
        out(0, h->range, h->offset, 4, 0);
        HOLDS(0, h->offset, h->zeros);
        out(0, h->range, h->offset, 4, h->reset);
    }
}

START_TEST(gicv2_registers_hold_what_can_be_written)
{
    static const struct holds list[] = {
        {GICV2_DIST, 0x000, 0, 3, 0, false},                                       /* GICD_CTLR */
        {GICV2_DIST, 0x004, 0x48, 0x48, 0x48, false},                              /* TYPER: 288 interrupts, 3 CPUs */
        {GICV2_DIST, 0x080, 0, ~0u, 0, true}, {GICV2_DIST, 0x084, 0, ~0u, 0, false}, /* IGROUPR */
        {GICV2_DIST, 0x0a0, 0, ~0u, 0, false}, {GICV2_DIST, 0x0a4, 0, 0, 0, false},  /* ... of the last there are, and not */
        {GICV2_DIST, 0x400, 0, 0xf8f8f8f8, 0, true}, {GICV2_DIST, 0x420, 0, 0xf8f8f8f8, 0, false}, /* IPRIORITYR */
        {GICV2_DIST, 0x51c, 0, 0xf8f8f8f8, 0, false}, {GICV2_DIST, 0x520, 0, 0, 0, false},
        {GICV2_DIST, 0x820, 0, 0x07070707, 0, false}, {GICV2_DIST, 0x91c, 0, 0x07070707, 0, false}, /* ITARGETSR */
        {GICV2_DIST, 0x920, 0, 0, 0, false},
        {GICV2_DIST, 0xc00, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa, false},            /* ICFGR: SGIs are edges */
        {GICV2_DIST, 0xc04, 0, 0xaaaaaaaa, 0, true}, {GICV2_DIST, 0xc08, 0, 0xaaaaaaaa, 0, false},
        {GICV2_DIST, 0xc44, 0, 0xaaaaaaaa, 0, false}, {GICV2_DIST, 0xc48, 0, 0, 0, false},
        {GICV2_DIST, 0xe00, 0, 0, 0, false},                                       /* NSACR */
        {GICV2_DIST, 0x00c, 0, 0, 0, false}, {GICV2_DIST, 0xd00, 0, 0, 0, false},  /* reserved; PPISR is another's */
        {GICV2_CPU, 0x00, 0, 0x3ff, 0, true},                                      /* GICC_CTLR */
        {GICV2_CPU, 0x04, 0, 0xf8, 0, true},                                       /* PMR */
        {GICV2_CPU, 0x08, 2, 7, 2, true}, {GICV2_CPU, 0x1c, 3, 7, 3, true},        /* BPR, ABPR */
        {GICV2_CPU, 0x14, 0xff, 0xff, 0xff, false},                                /* RPR */
        {GICV2_CPU, 0x18, 0x3ff, 0x3ff, 0x3ff, false}, {GICV2_CPU, 0x28, 0x3ff, 0x3ff, 0x3ff, false}, /* HPPIR, AHPPIR */
        {GICV2_CPU, 0x0c, 0x3ff, 0x3ff, 0x3ff, false}, {GICV2_CPU, 0x20, 0x3ff, 0x3ff, 0x3ff, false}, /* IAR, AIAR */
        {GICV2_CPU, 0xd0, 0, ~0u, 0, true}, {GICV2_CPU, 0xe0, 0, ~0u, 0, true},    /* APR0, NSAPR0 */
        {GICV2_CPU, 0xd4, 0, 0, 0, false}, {GICV2_CPU, 0x2c, 0, 0, 0, false},
    };

    begin(2);
    hold(list, ARRAY_LEN(list));
    for (unsigned n = 0; n < CPUS; n++) /* ITARGETSR0 to 7: oneself */
        for (unsigned i = 0; i < 32; i += 4) {
            out(n, GICV2_DIST, 0x800 + i, 4, ~0u);
            ck_assert_uint_eq(in(n, GICV2_DIST, 0x800 + i, 4), 0x01010101u << n);
        }
    machine_destroy(m);
}
END_TEST

START_TEST(gicv3_registers_hold_what_can_be_written)
{
    static const struct holds list[] = {
        {GICV3_DIST, 0x000, 0x50, 0x53, 0x50, false},                                /* GICD_CTLR: DS, ARE */
        {GICV3_DIST, 0x004, 0x1780008, 0x1780008, 0x1780008, false},                 /* TYPER: 1 of N, A3V, 16 bits of INTID */
        {GICV3_DIST, 0x008, 0x43b, 0x43b, 0x43b, false},
        {GICV3_DIST, 0x00c, 0, 0, 0, false}, {GICV3_DIST, 0x010, 0, 0, 0, false},    /* TYPER2, STATUSR */
        {GICV3_DIST, 0x040, 0, 0, 0, false},                                         /* SETSPI_NSR: no MBIS */
        /* With affinity routing, private interrupts are not the distributor's. */
        {GICV3_DIST, 0x080, 0, 0, 0, false}, {GICV3_DIST, 0x100, 0, 0, 0, false}, {GICV3_DIST, 0x400, 0, 0, 0, false},
        {GICV3_DIST, 0xc00, 0, 0, 0, false}, {GICV3_DIST, 0xc04, 0, 0, 0, false}, {GICV3_DIST, 0x820, 0, 0, 0, false},
        {GICV3_DIST, 0xf00, 0, 0, 0, false}, {GICV3_DIST, 0xf20, 0, 0, 0, false},
        {GICV3_DIST, 0x084, 0, ~0u, 0, false}, {GICV3_DIST, 0x0a0, 0, ~0u, 0, false}, {GICV3_DIST, 0x0a4, 0, 0, 0, false},
        {GICV3_DIST, 0x420, 0, 0xf8f8f8f8, 0, false}, {GICV3_DIST, 0x51c, 0, 0xf8f8f8f8, 0, false},
        {GICV3_DIST, 0x520, 0, 0, 0, false},
        {GICV3_DIST, 0xc08, 0, 0xaaaaaaaa, 0, false}, {GICV3_DIST, 0xc48, 0, 0, 0, false},
        {GICV3_DIST, 0xd04, 0, 0, 0, false}, {GICV3_DIST, 0xe08, 0, 0, 0, false},    /* one Security state: no IGRPMODR, NSACR */
        {GICV3_DIST, 0x6100, 0, 0x80ffffff, 0, false}, {GICV3_DIST, 0x6104, 0, 0xff, 0, false}, /* IROUTER32 */
        {GICV3_DIST, 0x60f8, 0, 0, 0, false},                                        /* of no SPI */
        {GICV3_DIST, 0x6000 + 8 * GIC_IRQS, 0, 0, 0, false},
        {GICV3_REDIST, 0x00000, 0, 0, 0, false},                                     /* GICR_CTLR: no LPIs */
        {GICV3_REDIST, 0x00004, 0x43b, 0x43b, 0x43b, false},
        {GICV3_REDIST, 0x00014, 6, 6, 0, true},                                      /* WAKER */
        {GICV3_REDIST, 0x00010, 0, 0, 0, false}, {GICV3_REDIST, 0x00040, 0, 0, 0, false},
        {GICV3_REDIST, 0x10080, 0, ~0u, 0, true},                                    /* IGROUPR0 */
        {GICV3_REDIST, 0x10400, 0, 0xf8f8f8f8, 0, true}, {GICV3_REDIST, 0x1041c, 0, 0xf8f8f8f8, 0, true},
        {GICV3_REDIST, 0x10420, 0, 0, 0, false},
        {GICV3_REDIST, 0x10c00, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa, false}, {GICV3_REDIST, 0x10c04, 0, 0xaaaaaaaa, 0, true},
        {GICV3_REDIST, 0x10d00, 0, 0, 0, false}, {GICV3_REDIST, 0x10e00, 0, 0, 0, false},
    };

    begin(3);
    hold(list, ARRAY_LEN(list));
    machine_destroy(m);
}
END_TEST

/* Set and clear are two views of one register; it is each CPU's own for private interrupts. */
START_TEST(registers_that_set_and_clear)
{
    for (unsigned version = 2; version <= 3; version++) {
        static const uint32_t pairs[] = {0x100, 0x200, 0x300};

        begin(version);
        for (unsigned i = 0; i < ARRAY_LEN(pairs); i++)
            for (unsigned word = 0; word < 3; word++) {
                bool own = word == 0;
                unsigned range = version == 3 ? own ? GICV3_REDIST : GICV3_DIST : GICV2_DIST;
                uint64_t at = pairs[i] + 4 * word + (version == 3 && own ? 0x10000 : 0), other = version == 3 && own ? 0x20000 : 0;
                /* Version 2: SGIs are always enabled, and pending by other registers. */
                uint32_t kept = version == 2 && own && i == 0 ? 0xffff : 0, settable = version == 2 && own && i < 2 ? 0xffff0000 : ~0u;

                ck_assert_uint_eq(in(0, range, at, 4), kept);
                out(0, range, at, 4, 0x0ff00ff0);
                ck_assert_uint_eq(in(0, range, at, 4), (0x0ff00ff0 & settable) | kept);
                out(0, range, at, 4, 0); /* zeros change nothing */
                out(0, range, at, 1, 0x81);
                ck_assert_uint_eq(in(0, range, at, 4), (0x0ff00ff1 & settable & ~0x0u) | (0x81 & settable) | kept);
                ck_assert_uint_eq(in(0, range, at + 0x80, 4), in(0, range, at, 4));
                ck_assert_uint_eq(in(1, range, at + other, 4), own ? kept : in(0, range, at, 4));
                out(0, range, at + 0x80, 4, 0x0f000f00);
                ck_assert_uint_eq(in(0, range, at, 4), ((0x00f000f1 | 0x81) & settable) | kept);
                out(0, range, at + 0x80, 4, ~0u);
                ck_assert_uint_eq(in(0, range, at, 4), kept);
            }
        machine_destroy(m);
    }
}
END_TEST

START_TEST(gicv3_system_registers_hold_what_can_be_written)
{
    static const struct {
        uint32_t enc;
        uint64_t reset, ones, zeros;
    } list[] = {
        {ICC_PMR, 0, 0xf8, 0}, {SYSREG(3, 0, 12, 8, 3), 2, 7, 2}, {ICC_BPR1, 3, 7, 3},            /* BPR0 */
        {SYSREG(3, 0, 12, 12, 4), 0x8400, 0x8403, 0x8400},                                       /* CTLR: 5 bits of priority */
        {SYSREG(3, 0, 12, 12, 5), 7, 7, 7},                                                      /* SRE */
        {SYSREG(3, 0, 12, 12, 6), 0, 1, 0}, {ICC_IGRPEN1, 0, 1, 0},
        {SYSREG(3, 0, 12, 8, 4), 0, 0xffffffff, 0}, {SYSREG(3, 0, 12, 9, 0), 0, 0xffffffff, 0},  /* AP0R0, AP1R0 */
    };
    /* RPR, HPPIR0, HPPIR1; with five bits of priority there are no AP0R1, AP1R1. */
    static const uint32_t read_only[] = {ICC_RPR, SYSREG(3, 0, 12, 8, 2), SYSREG(3, 0, 12, 12, 2)};
    static const uint32_t write_only[] = {SYSREG(3, 0, 12, 8, 1), ICC_EOIR1, SYSREG(3, 0, 12, 11, 1), ICC_SGI1R,
                                          SYSREG(3, 0, 12, 11, 6), SYSREG(3, 0, 12, 11, 7)};
    static const uint32_t none[] = {SYSREG(3, 0, 12, 8, 5), SYSREG(3, 0, 12, 9, 1), SYSREG(3, 6, 12, 12, 4)};
    uint64_t v, other;

    begin(3);
    for (unsigned i = 0; i < ARRAY_LEN(list); i++) {
        ck_assert(gicv3_sysreg_read(bus.gics[0], list[i].enc, &v));
        ck_assert_msg(v == list[i].reset, "register %u: reset %llx", i, (unsigned long long)v);
        ck_assert(gicv3_sysreg_write(bus.gics[0], list[i].enc, ~0ull) && gicv3_sysreg_read(bus.gics[0], list[i].enc, &v));
        ck_assert_msg(v == list[i].ones, "register %u: ones %llx", i, (unsigned long long)v);
        ck_assert(gicv3_sysreg_read(bus.gics[1], list[i].enc, &other) && other == list[i].reset);
        ck_assert(gicv3_sysreg_write(bus.gics[0], list[i].enc, 0) && gicv3_sysreg_read(bus.gics[0], list[i].enc, &v));
        ck_assert_msg(v == list[i].zeros, "register %u: zeros %llx", i, (unsigned long long)v);
    }
    for (unsigned i = 0; i < ARRAY_LEN(read_only); i++)
        ck_assert(gicv3_sysreg_read(bus.gics[0], read_only[i], &v) && !gicv3_sysreg_write(bus.gics[0], read_only[i], 0));
    for (unsigned i = 0; i < ARRAY_LEN(write_only); i++)
        ck_assert(!gicv3_sysreg_read(bus.gics[0], write_only[i], &v) && gicv3_sysreg_write(bus.gics[0], write_only[i], 1020));
    for (unsigned i = 0; i < ARRAY_LEN(none); i++)
        ck_assert(!gicv3_sysreg_read(bus.gics[0], none[i], &v) && !gicv3_sysreg_write(bus.gics[0], none[i], 0));
    machine_destroy(m);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("gic of several cpus");
    TCase *t = tcase_create("gic");

    tcase_add_test(t, gicv2_says_how_many_cpus_there_are_and_which_one_asks);
    tcase_add_test(t, gicv2_sgi_goes_to_its_targets_and_names_its_source);
    tcase_add_test(t, gicv2_says_what_it_is);
    tcase_add_test(t, gicv2_group_1_sgi_names_its_source_in_the_alias_too);
    tcase_add_test(t, gicv2_sgi_goes_to_the_group_that_is_meant);
    tcase_add_test(t, gicv2_active_and_pending_move_with_the_targets);
    tcase_add_test(t, gicv3_active_and_pending_move_with_the_route);
    tcase_add_test(t, gicv3_preemption_goes_by_the_binary_point);
    tcase_add_test(t, gicv2_interrupt_for_several_is_taken_once);
    tcase_add_test(t, private_interrupts_are_each_cpus_own);
    tcase_add_test(t, gicv3_sgi_goes_by_affinity_or_to_all_others);
    tcase_add_test(t, gicv3_redistributors_name_their_cpus);
    tcase_add_test(t, gicv3_routes_to_one_or_to_the_first_that_is_awake);
    tcase_add_test(t, gicv2_registers_hold_what_can_be_written);
    tcase_add_test(t, gicv3_registers_hold_what_can_be_written);
    tcase_add_test(t, registers_that_set_and_clear);
    tcase_add_test(t, gicv3_system_registers_hold_what_can_be_written);
    suite_add_tcase(suite, t);
    return suite;
}
