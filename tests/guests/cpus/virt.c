/*
 * A guest on the virt board whose CPUs do to each other all that CPUs can do, and check it: PSCI, SGIs, PPIs, SPIs
 * that move, exclusives and events, atomics, code and translations that another CPU changes, timers and counters of each
 * CPU. Built with -DGIC=2 or 3 and -DCPUS=N.
 */
#include "claims.h"

#define UART  ((volatile uint32_t *)0x09000000)
#define GICD  0x08000000u
#define GICC  0x08010000u
#define GICR(cpu) (0x080a0000u + 0x20000u * (cpu))
#define REG(at) (*(volatile uint32_t *)(uintptr_t)(at))
#define REG64(at) (*(volatile uint64_t *)(uintptr_t)(at))

#define READ(name) ({ uint64_t v_; __asm__ volatile("mrs %0, " #name : "=r"(v_)); v_; })
#define WRITE(name, value) __asm__ volatile("msr " #name ", %0; isb" : : "r"((uint64_t)(value)) : "memory")

extern void secondary_start(void);
extern uint64_t table3[512];
static volatile uint32_t taken[MAX_CPUS][256]; /* interrupts by number */
static volatile uint64_t faults;

static void put(char c)
{
    *UART = (uint8_t)c;
}

static unsigned cpu_number(void)
{
    return (unsigned)READ(tpidr_el1);
}

static void relax(void)
{
    __asm__ volatile("yield" : : : "memory");
}

static void nudge(void)
{
    __asm__ volatile("dsb sy; sev" : : : "memory");
}

static void barrier(void)
{
    __asm__ volatile("dsb sy; isb" : : : "memory");
}

static void open_interrupts(bool open)
{
    if (open)
        __asm__ volatile("msr daifclr, #3" : : : "memory");
    else
        __asm__ volatile("msr daifset, #3" : : : "memory");
}

/* ---- the interrupt controller ---- */

static uint64_t affinity(unsigned cpu)
{
    return GIC == 2 ? cpu : (cpu & 15) | (uint64_t)(cpu >> 4) << 8;
}

void on_interrupt(int irq)
{
    unsigned cpu = cpu_number(), id;
    uint64_t iar = GIC == 2 ? REG(GICC + 0xc) : irq ? READ(s3_0_c12_c12_0) : READ(s3_0_c12_c8_0);

    id = iar & 0x3ff;
    if (id == 27)
        WRITE(cntv_ctl_el0, 0);
    if (id < 256)
        taken[cpu][id]++;
    if (id >= 1020)
        return;
    if (GIC == 2)
        REG(GICC + 0x10) = (uint32_t)iar;
    else if (irq)
        WRITE(s3_0_c12_c12_1, iar);
    else
        WRITE(s3_0_c12_c8_1, iar);
}

void on_fault(void)
{
    faults++;
    say("FAIL fault: ESR ");
    say_number(READ(esr_el1));
    say(" ELR ");
    say_number(READ(elr_el1));
    say("\n");
}

static void gic_cpu_init(unsigned cpu)
{
    if (GIC == 2) {
        REG(GICD + 0x100) = 0x0800ffff; /* SGIs and the virtual timer's PPI */
        REG(GICC + 4) = 0xff;
        REG(GICC) = 1;
        return;
    }
    REG(GICR(cpu) + 0x14) = 0;
    UNTIL(!(REG(GICR(cpu) + 0x14) & 4));
    REG(GICR(cpu) + 0x10080) = 0xffff7fff; /* group 1, SGI 15 in group 0 */
    REG(GICR(cpu) + 0x10100) = 0x0800ffff;
    WRITE(s3_0_c12_c12_5, 7);
    WRITE(s3_0_c4_c6_0, 0xff);
    WRITE(s3_0_c12_c12_6, 1);
    WRITE(s3_0_c12_c12_7, 1);
}

static void gic_init(void)
{
    if (GIC == 2) {
        REG(GICD) = 1;
        return;
    }
    REG(GICD) = 0x13; /* affinity routing, both groups */
    for (unsigned n = 1; n < 4; n++)
        REG(GICD + 0x80 + 4 * n) = 0xffffffff;
}

/* SGI `id` to one CPU. */
static void sgi_to(unsigned cpu, unsigned id)
{
    barrier();
    if (GIC == 2)
        REG(GICD + 0xf00) = 1u << (16 + cpu) | id;
    else
        WRITE(s3_0_c12_c11_5, 1ull << (cpu & 15) | (uint64_t)(cpu >> 4) << 16 | (uint64_t)id << 24);
}

static void sgi_to_others(unsigned id)
{
    barrier();
    if (GIC == 2)
        REG(GICD + 0xf00) = 1u << 24 | id;
    else
        WRITE(s3_0_c12_c11_5, (uint64_t)1 << 40 | (uint64_t)id << 24);
}

/* ---- PSCI ---- */

static int64_t psci(uint64_t fn, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = fn, x1 __asm__("x1") = a, x2 __asm__("x2") = b, x3 __asm__("x3") = c;

    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    return (int64_t)x0;
}

#define CPU_SUSPEND   0xc4000001
#define CPU_OFF       0x84000002
#define CPU_ON        0xc4000003
#define AFFINITY_INFO 0xc4000004
#define SYSTEM_OFF    0x84000008

static int64_t start(unsigned cpu)
{
    return psci(CPU_ON, affinity(cpu), (uintptr_t)secondary_start, cpu);
}

void secondary_main(unsigned cpu)
{
    gic_cpu_init(cpu);
    open_interrupts(true);
    __sync_fetch_and_add(&ncpus, 1);
    nudge();
    serve(cpu);
}

static void goes_off(unsigned cpu)
{
    per_cpu[cpu].work = 0;
    psci(CPU_OFF, 0, 0, 0);
}

static void suspends(unsigned cpu)
{
    open_interrupts(false);
    per_cpu[cpu].at[0] = 1;
    UNTIL(per_cpu[cpu].at[1]); /* the interrupt is pending already */
    per_cpu[cpu].at[2] = (uint64_t)psci(CPU_SUSPEND, 0, 0, 0);
    per_cpu[cpu].at[0] = 2;
    per_cpu[cpu].at[2] |= (uint64_t)psci(CPU_SUSPEND, 0, 0, 0);
    open_interrupts(true);
}

static void claim_psci(void)
{
    bool ok = true;

    ncpus = 1;
    for (unsigned n = 1; n < CPUS; n++)
        ok &= psci(AFFINITY_INFO, affinity(n), 0, 0) == 1 && start(n) == 0;
    UNTIL(ncpus == CPUS);
    for (unsigned n = 0; n < CPUS; n++)
        ok &= psci(AFFINITY_INFO, affinity(n), 0, 0) == 0;
    claim("CPU_ON starts every CPU, and AFFINITY_INFO says so", ok);
    claim("a CPU that is on is ALREADY_ON", start(1) == -4 && start(0) == -4);
    claim("a CPU that is not there is INVALID_PARAMETERS", psci(CPU_ON, affinity(CPUS), (uintptr_t)secondary_start, 0) == -2 &&
          psci(CPU_ON, 0xff000000, (uintptr_t)secondary_start, 0) == -2 && psci(AFFINITY_INFO, affinity(CPUS), 0, 0) == -2 &&
          psci(AFFINITY_INFO, 0, 4, 0) == -2);
    claim("a cluster, and all of them, are on while one of their CPUs is",
          psci(AFFINITY_INFO, affinity(CPUS - 1) & ~0xffull, 1, 0) == 0 && psci(AFFINITY_INFO, affinity(CPUS - 1) | 0xff, 1, 0) == 0 &&
          psci(AFFINITY_INFO, 0, 2, 0) == 0 && psci(AFFINITY_INFO, 0xffffff, 3, 0) == 0 && psci(AFFINITY_INFO, 0xff0000, 1, 0) == -2 &&
          psci(AFFINITY_INFO, 0xff00000000, 3, 0) == -2 && psci(AFFINITY_INFO, 0x1000000, 0, 0) == -2);
    give(1, goes_off);
    UNTIL(psci(AFFINITY_INFO, affinity(1), 0, 0) == 1);
    claim("a CPU at nowhere is INVALID_ADDRESS, and stays off", psci(CPU_ON, affinity(1), 0x3f000000, 0) == -9 &&
          psci(CPU_ON, affinity(1), (uintptr_t)secondary_start + 2, 0) == -9 && psci(AFFINITY_INFO, affinity(1), 0, 0) == 1);
    ncpus--;
    claim("CPU_OFF and CPU_ON again", start(1) == 0);
    UNTIL(ncpus == CPUS);
    give(1, suspends);
    UNTIL(per_cpu[1].at[0] == 1);
    sgi_to(1, 1);
    per_cpu[1].at[1] = 1;
    UNTIL(per_cpu[1].at[0] == 2);
    finished(1);
    UNTIL(taken[1][1] == 1);
    claim("CPU_SUSPEND ends at once where an interrupt is pending", per_cpu[1].at[2] == 0);
    claim("what there is, and what not, is told",
          psci(0x84000000, 0, 0, 0) == 0x10001 && psci(0x84000006, 0, 0, 0) == 2 && psci(0x84000005, 0, 0, 0) == -1 &&
          psci(0x8400000a, 0x84000000, 0, 0) == 0 && psci(0x8400000a, CPU_SUSPEND, 0, 0) == 0 && psci(0x8400000a, 0x84000012, 0, 0) == 0 &&
          psci(0x8400000a, 0x84000005, 0, 0) == -1 && psci(0x8400000a, 0x80000000, 0, 0) == 0 && psci(0xc4000002, 0, 0, 0) == -1 &&
          psci(0x80000000, 0, 0, 0) == 0x10001 && psci(0x80000001, 0x80000001, 0, 0) == 0 && psci(0x80000001, 0x80008000, 0, 0) == -1 &&
          psci(0x84000012, 1, 0, 0) == -2 && psci(0xc4000012, 1, 0, 0) == -2);
    claim("CPU_SUSPEND to a state that nobody has is INVALID_PARAMETERS", psci(CPU_SUSPEND, 0x00020000, 0, 0) == -2);
}

/* ---- interrupts ---- */

static void forget_taken(void)
{
    for (unsigned n = 0; n < MAX_CPUS; n++)
        for (unsigned id = 0; id < 256; id++)
            taken[n][id] = 0;
    barrier();
}

static void sgi_ring(unsigned cpu)
{
    sgi_to((cpu + 1) % ncpus, 4);
    UNTIL(taken[cpu][4]);
}

static void claim_sgis(void)
{
    bool ok = true;

    forget_taken();
    for (unsigned n = 0; n < ncpus; n++) {
        sgi_to(n, 3);
        UNTIL(taken[n][3]);
    }
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][3] == 1;
    claim("an SGI reaches the CPU that it is for", ok);
    all_do(sgi_ring);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][4] == 1;
    claim("all CPUs send at a time", ok);
    sgi_to_others(5);
    for (unsigned n = 1; n < ncpus; n++)
        UNTIL(taken[n][5]);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][5] == (n > 0);
    claim("an SGI to all but oneself", ok);
    if (GIC == 2) {
        REG(GICD + 0xf00) = 2u << 24 | 6;
        UNTIL(taken[0][6]);
        claim("an SGI to oneself", taken[0][6] == 1 && !taken[1][6]);
    } else {
        WRITE(s3_0_c12_c11_7, (uint64_t)1 << 1 | (uint64_t)15 << 24); /* ICC_SGI0R_EL1 */
        UNTIL(taken[1][15]);
        claim("an SGI of group 0 is an FIQ", taken[1][15] == 1);
        WRITE(s3_0_c12_c11_7, (uint64_t)1 << 1 | (uint64_t)7 << 24);
        WRITE(s3_0_c12_c11_5, (uint64_t)1 << 1 | (uint64_t)8 << 24);
        UNTIL(taken[1][8]);
        claim("and nothing where the interrupt is of the other group", !taken[1][7]);
    }
}

#define SPI 64u

static void spi_to(unsigned cpu)
{
    if (GIC == 2)
        ((volatile uint8_t *)(uintptr_t)(GICD + 0x800))[SPI] = (uint8_t)(1u << cpu);
    else
        REG64(GICD + 0x6000 + 8 * SPI) = affinity(cpu);
    barrier();
}

static void sits_closed(unsigned cpu)
{
    open_interrupts(false);
    per_cpu[cpu].at[0] = 1;
    UNTIL(per_cpu[cpu].at[1]);
    open_interrupts(true);
}

static void claim_spis(void)
{
    bool ok = true;

    forget_taken();
    REG(GICD + 0x100 + SPI / 8) = 1u << SPI % 32;
    for (unsigned n = 0; n < ncpus; n++) {
        spi_to(n);
        REG(GICD + 0x200 + SPI / 8) = 1u << SPI % 32;
        UNTIL(taken[n][SPI]);
    }
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][SPI] == 1;
    claim("an SPI goes where it is routed", ok);
    /* Pending at a CPU that does not take it, it moves to another. */
    per_cpu[1].at[0] = per_cpu[1].at[1] = 0;
    give(1, sits_closed);
    UNTIL(per_cpu[1].at[0]);
    spi_to(1);
    REG(GICD + 0x200 + SPI / 8) = 1u << SPI % 32;
    ok = (REG(GICD + 0x200 + SPI / 8) >> SPI % 32 & 1) && taken[1][SPI] == 1;
    spi_to(0);
    UNTIL(taken[0][SPI] == 2);
    per_cpu[1].at[1] = 1;
    finished(1);
    claim("a pending SPI moves with its route", ok && taken[1][SPI] == 1);
    /* Active, it is not delivered again before it is inactive. */
    spi_to(0);
    REG(GICD + 0x300 + SPI / 8) = 1u << SPI % 32;
    REG(GICD + 0x200 + SPI / 8) = 1u << SPI % 32;
    ok = taken[0][SPI] == 2;
    spi_to(1);
    for (unsigned i = 0; i < 100; i++)
        relax();
    ok &= taken[0][SPI] == 2 && taken[1][SPI] == 1;
    REG(GICD + 0x380 + SPI / 8) = 1u << SPI % 32;
    UNTIL(taken[1][SPI] == 2);
    claim("an active SPI waits, and comes at its new place", ok);
    if (GIC == 3) {
        REG64(GICD + 0x6000 + 8 * SPI) = (uint64_t)1 << 31;
        barrier();
        ok = true;
        for (unsigned i = 1; i <= 10; i++) {
            unsigned before = 0, after = 0;

            for (unsigned n = 0; n < ncpus; n++)
                before += taken[n][SPI];
            REG(GICD + 0x200 + SPI / 8) = 1u << SPI % 32;
            while (!after)
                for (unsigned n = (unsigned)(relax(), 0), sum = 0; n < ncpus; n++) {
                    sum += taken[n][SPI];
                    after = n + 1 == ncpus && sum > before ? sum - before : 0;
                }
            ok &= after == 1;
        }
        claim("an SPI of 1 of N comes once, to somebody", ok);
    }
}

static void own_timer(unsigned cpu)
{
    WRITE(cntv_cval_el0, READ(cntvct_el0) + 1000 + 100 * cpu);
    WRITE(cntv_ctl_el0, 1);
    UNTIL(taken[cpu][27]);
}

static volatile uint64_t clock_seen, clock_turn, clock_back;

static void clocks_agree(unsigned cpu)
{
    for (unsigned i = 0; i < 20; i++) {
        uint64_t now;

        UNTIL(clock_turn % ncpus == cpu);
        now = READ(cntvct_el0);
        clock_back += now < clock_seen;
        clock_seen = now;
        barrier();
        clock_turn = clock_turn + 1;
    }
}

static void own_counters(unsigned cpu)
{
    uint64_t before, after;

    WRITE(pmcntenset_el0, 0);
    WRITE(pmccfiltr_el0, 0);
    WRITE(pmevtyper0_el0, 8); /* INST_RETIRED */
    WRITE(pmcr_el0, 7);       /* enable, reset */
    WRITE(pmcntenset_el0, 1);
    before = READ(pmevcntr0_el0);
    for (unsigned i = 0; i < 50 * (cpu + 1); i++)
        __asm__ volatile("nop\n nop");
    after = READ(pmevcntr0_el0);
    WRITE(pmcntenclr_el0, 1);
    per_cpu[cpu].at[3] = after - before;
}

static void claim_own_devices(void)
{
    bool ok = true;

    forget_taken();
    all_do(own_timer);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][27] == 1;
    claim("each CPU has its own timer", ok);
    all_do(clocks_agree);
    claim("the counter never goes back from one CPU to the next", clock_back == 0);
    all_do(own_counters);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= per_cpu[n].at[3] >= 100 * (n + 1) && per_cpu[n].at[3] < 100 * (n + 1) + 400 * (n + 1);
    for (unsigned n = 1; n < ncpus; n++)
        ok &= per_cpu[n].at[3] > per_cpu[n - 1].at[3];
    claim("each CPU counts its own instructions", ok);
}

/* ---- exclusives and events ---- */

static struct { volatile uint64_t word, beside[7], far[8]; } granule __attribute__((aligned(64)));

static uint64_t load_exclusive(volatile uint64_t *at)
{
    uint64_t v;

    __asm__ volatile("ldaxr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
    return v;
}

static bool store_exclusive(volatile uint64_t *at, uint64_t v)
{
    uint32_t failed;

    __asm__ volatile("stlxr %w0, %1, [%2]" : "=&r"(failed) : "r"(v), "r"(at) : "memory");
    return !failed;
}

static void stores_the_same(unsigned cpu)
{
    granule.word = granule.word;
    (void)cpu;
}

static void stores_beside(unsigned cpu)
{
    granule.beside[6] = cpu;
}

static void stores_far(unsigned cpu)
{
    granule.far[0] = cpu;
}

static void only_reads(unsigned cpu)
{
    per_cpu[cpu].at[4] = granule.word;
}

/* Is a reservation still there after another CPU did that? Without relax(): an exception return would lose it. */
static bool survives(work_fn *what)
{
    uint64_t v;
    bool stored;

    open_interrupts(false);
    v = load_exclusive(&granule.word);
    per_cpu[1].work = what;
    while (per_cpu[1].work)
        ;
    stored = store_exclusive(&granule.word, v);
    open_interrupts(true);
    return stored;
}

static void waits_for_the_word(unsigned cpu)
{
    uint64_t old, now;

    open_interrupts(false);
    __asm__ volatile("sevl; wfe");
    do {
        old = load_exclusive(&granule.word);
        per_cpu[cpu].at[0] = 1;
        __asm__ volatile("wfe" : : : "memory");
        per_cpu[cpu].at[5]++;
        now = granule.word;
    } while (old == now);
    open_interrupts(true);
}

static void waits_for_an_event(unsigned cpu)
{
    open_interrupts(false);
    __asm__ volatile("sevl; wfe");
    per_cpu[cpu].at[0] = 1;
    __asm__ volatile("wfe" : : : "memory");
    per_cpu[cpu].at[5]++;
    open_interrupts(true);
}

static void claim_exclusives(void)
{
    unsigned far = 0, reads = 0;

    claim("a store of the same value by another CPU is noticed", !survives(stores_the_same));
    claim("so is one to the same granule", !survives(stores_beside));
    for (unsigned i = 0; i < 4; i++) {
        far += survives(stores_far);
        reads += survives(only_reads);
    }
    claim("and not one to another, nor a load", far == 4 && reads == 4);
    per_cpu[1].at[0] = per_cpu[1].at[5] = 0;
    granule.word = 5;
    per_cpu[1].work = waits_for_the_word;
    __asm__ volatile("sev");
    while (!per_cpu[1].at[0])
        ;
    for (volatile unsigned i = 0; i < 3000; i++)
        ;
    granule.word = 6;
    while (per_cpu[1].work)
        ;
    claim("WFE ends by a store to what was marked, and no sooner", per_cpu[1].at[5] == 1);
    per_cpu[1].at[0] = per_cpu[1].at[5] = 0;
    per_cpu[1].work = waits_for_an_event;
    __asm__ volatile("sev");
    while (!per_cpu[1].at[0])
        ;
    for (volatile unsigned i = 0; i < 3000; i++)
        ;
    claim("WFE waits", per_cpu[1].at[5] == 0);
    __asm__ volatile("dsb sy; sev");
    while (per_cpu[1].work)
        ;
    claim("for another CPU's SEV", per_cpu[1].at[5] == 1);
}

/* LSE by hand: the compiler would ask for the extension. */
static volatile uint64_t lse_sum;

static void adds_by_lse(unsigned cpu)
{
    (void)cpu;
    for (unsigned i = 0; i < TURNS; i++)
        __asm__ volatile(".arch armv8.1-a\n ldaddal %0, xzr, [%1]" : : "r"(1ull), "r"(&lse_sum) : "memory");
}

/* ---- code and translations ---- */

static uint32_t code[16] __attribute__((aligned(64)));
static volatile uint64_t code_turn, code_wrong;

static void made_code(unsigned value)
{
    code[0] = 0xd2800000u | value << 5; /* MOV X0, #value */
    code[1] = 0xd65f03c0u;              /* RET */
    __asm__ volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb" : : "r"(code) : "memory");
}

static void runs_changed_code(unsigned cpu)
{
    for (unsigned i = 0; i < 40; i++) {
        if (i % ncpus == cpu) {
            UNTIL(code_turn == i * (uint64_t)ncpus);
            made_code(i);
            __sync_fetch_and_add(&code_turn, 1);
        } else {
            UNTIL(code_turn > i * (uint64_t)ncpus);
            __asm__ volatile("isb");
            code_wrong += ((uint64_t(*)(void))code)() != i;
            __sync_fetch_and_add(&code_turn, 1);
        }
        UNTIL(code_turn >= (i + 1) * (uint64_t)ncpus);
    }
}

static uint64_t pages[2][512] __attribute__((aligned(4096)));
static volatile uint64_t map_turn, map_wrong;
#define WINDOW ((volatile uint64_t *)0x80000000u)

static void sees_new_translations(unsigned cpu)
{
    for (unsigned i = 0; i < 40; i++) {
        if (i % ncpus == cpu) {
            UNTIL(map_turn == i * (uint64_t)ncpus);
            table3[0] = 0; /* break before make */
            __asm__ volatile("dsb ishst; tlbi vaae1is, %0; dsb ish; isb" : : "r"(0x80000000ull >> 12) : "memory");
            table3[0] = (uintptr_t)pages[i & 1] | 0x707;
            barrier();
        } else {
            UNTIL(map_turn > i * (uint64_t)ncpus);
            map_wrong += *WINDOW != 100 + (i & 1);
        }
        __sync_fetch_and_add(&map_turn, 1);
        UNTIL(map_turn >= (i + 1) * (uint64_t)ncpus);
    }
}

static void claim_code_and_maps(void)
{
    all_do(runs_changed_code);
    claim("code that another CPU wrote is run as it is now", code_wrong == 0);
    pages[0][0] = 100;
    pages[1][0] = 101;
    all_do(sees_new_translations);
    claim("a translation that another CPU changed is used as it is now", map_wrong == 0);
}

static uint64_t semihosting(uint64_t operation, const void *block)
{
    register uint64_t x0 __asm__("x0") = operation;
    register const void *x1 __asm__("x1") = block;

    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}

static void semihosts(unsigned cpu)
{
    static uint64_t at[MAX_CPUS][2];

    per_cpu[cpu].at[2] = semihosting(0x30, at[cpu]); /* SYS_ELAPSED */
    per_cpu[cpu].at[3] = at[cpu][0];
}

static void claim_semihosting(void)
{
    bool ok = true;

    all_do(semihosts);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= per_cpu[n].at[2] == 0 && per_cpu[n].at[3] > 0;
    claim("semihosting answers every CPU", ok);
}

static void parks(unsigned cpu)
{
    per_cpu[cpu].work = 0;
    for (;;)
        __asm__ volatile("wfi");
}

int main(void)
{
    gic_init();
    gic_cpu_init(0);
    open_interrupts(true);
    claim_psci();
    claim_atomics();
    all_do(adds_by_lse);
    claim("LSE additions of all CPUs lose nothing", lse_sum == (uint64_t)ncpus * TURNS);
    claim_sgis();
    claim_spis();
    claim_own_devices();
    claim_exclusives();
    claim_code_and_maps();
    claim_semihosting();
    for (unsigned n = 1; n < ncpus; n++) {
        give(n, parks);
        UNTIL(!per_cpu[n].work);
    }
    taken[0][27] = 0;
    WRITE(cntv_cval_el0, READ(cntvct_el0) + 100000);
    WRITE(cntv_ctl_el0, 1);
    while (!taken[0][27])
        __asm__ volatile("wfi");
    claim("all park, and a timer wakes its own", faults == 0);
    finish();
    psci(SYSTEM_OFF, 0, 0, 0);
    return 0;
}
