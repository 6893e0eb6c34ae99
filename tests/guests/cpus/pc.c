/*
 * A guest on a PC whose CPUs do to each other all that CPUs can do, and check it: INIT and STARTUP, IPIs of every mode and
 * shorthand, x2APIC, the I/O APIC, the TSC and its deadline, MONITOR and MWAIT, locked instructions, code and
 * translations that another CPU changes, MSRs of each CPU. Built with -DCPUS=N.
 */
#include "claims.h"

#define APIC(reg) (*(volatile uint32_t *)(0xfee00000u + (reg)))
#define IOAPIC(reg) (*(volatile uint32_t *)(0xfec00000u + (reg)))
enum { ID = 0x20, TPR = 0x80, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ICR = 0x300, ICR2 = 0x310, LVT_TIMER = 0x320 };

extern uint8_t trampoline[], trampoline_end[], vectors[];
extern uint64_t idt[256];

static volatile uint32_t taken[MAX_CPUS][256];
static volatile uint8_t number_of_id[256];
static volatile bool x2apic;
static volatile uint32_t faults, starts;

static void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint64_t rdmsr(uint32_t n)
{
    uint64_t v;

    __asm__ volatile("rdmsr" : "=A"(v) : "c"(n));
    return v;
}

static void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "A"(v), "c"(n) : "memory");
}

static uint64_t rdtsc(void)
{
    uint64_t v;

    __asm__ volatile("rdtsc" : "=A"(v));
    return v;
}

static uint32_t cpuid(uint32_t leaf, unsigned which)
{
    uint32_t r[4];

    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
    return r[which];
}

static void put(char c)
{
    outb(0x3f8, (uint8_t)c);
}

static unsigned own_id(void)
{
    return cpuid(1, 1) >> 24;
}

static unsigned cpu_number(void)
{
    return number_of_id[own_id()];
}

static void relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static void nudge(void)
{
}

static void open_interrupts(bool open)
{
    if (open)
        __asm__ volatile("sti" : : : "memory");
    else
        __asm__ volatile("cli" : : : "memory");
}

static void end_of_interrupt(void)
{
    if (x2apic)
        wrmsr(0x80b, 0);
    else
        APIC(EOI) = 0;
}

void on_interrupt(uint32_t vector, uint32_t error)
{
    (void)error;
    taken[cpu_number()][vector]++;
    if (vector >= 32)
        end_of_interrupt();
    else if (vector != 2) {
        faults++;
        say("FAIL exception ");
        say_number(vector);
        say("\n");
        for (;;)
            __asm__ volatile("cli; hlt");
    }
}

static void apic_init(void)
{
    APIC(SVR) = 0x1ff;
    APIC(LVT_TIMER) = 0x10000;
}

static void ipi(uint32_t destination, uint32_t low)
{
    if (x2apic) {
        wrmsr(0x830, (uint64_t)destination << 32 | low);
        return;
    }
    APIC(ICR2) = destination << 24;
    APIC(ICR) = low;
}

/* APIC IDs are numbers of CPUs where nothing was said about the topology. */
static void start(uint32_t destination, uint32_t shorthand)
{
    ipi(destination, shorthand | 0x4500);
    ipi(destination, shorthand | 0x4608);
    ipi(destination, shorthand | 0x4608); /* the second is ignored */
}

void secondary_main(void)
{
    unsigned cpu = own_id();

    apic_init();
    number_of_id[cpu] = (uint8_t)cpu;
    __sync_fetch_and_add(&starts, 1);
    __sync_fetch_and_add(&ncpus, 1);
    open_interrupts(true);
    serve(cpu);
}

static void make_idt(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t at = (uint32_t)(uintptr_t)vectors + 16 * i;

        idt[i] = (uint64_t)(at & 0xffff0000u) << 32 | (uint64_t)0x8e00 << 32 | 8u << 16 | (at & 0xffff);
    }
}

static void copy_trampoline(void)
{
    for (unsigned i = 0; i < (unsigned)(trampoline_end - trampoline); i++)
        ((volatile uint8_t *)0x8000)[i] = trampoline[i];
}

static void forget_taken(void)
{
    for (unsigned n = 0; n < MAX_CPUS; n++)
        for (unsigned v = 0; v < 256; v++)
            taken[n][v] = 0;
    __sync_synchronize();
}

/* Wait until all that was sent before has come: an IPI to everybody, which CPUs take after those of higher priority. */
static void settle(void)
{
    uint32_t before[MAX_CPUS];

    for (unsigned n = 0; n < ncpus; n++)
        before[n] = taken[n][0x21];
    ipi(0, 0x84021);
    for (unsigned n = 0; n < ncpus; n++)
        UNTIL(taken[n][0x21] != before[n]);
}

static unsigned how_many(unsigned vector)
{
    unsigned sum = 0;

    for (unsigned n = 0; n < ncpus; n++)
        sum += taken[n][vector];
    return sum;
}

/* ---- starting ---- */

static void waits_closed(unsigned cpu)
{
    open_interrupts(false);
    per_cpu[cpu].at[0] = 1;
    for (;;)
        relax();
}

static void claim_start(void)
{
    ncpus = 1;
    start(0, 0xc0000);
    UNTIL(ncpus == CPUS);
    claim("INIT and STARTUP to all but oneself start every CPU once", starts == CPUS - 1);
    per_cpu[CPUS - 1].at[0] = 0;
    give(CPUS - 1, waits_closed);
    UNTIL(per_cpu[CPUS - 1].at[0]);
    ncpus--;
    per_cpu[CPUS - 1].work = 0;
    start(CPUS - 1, 0);
    UNTIL(ncpus == CPUS);
    claim("INIT resets one CPU in the middle of its work", starts == CPUS);
}

/* ---- IPIs ---- */

static void flat_id(unsigned cpu)
{
    APIC(DFR) = 0xffffffff;
    APIC(LDR) = cpu < 8 ? 1u << (24 + cpu) : 0;
}

static void cluster_id(unsigned cpu)
{
    APIC(DFR) = 0x0fffffff;
    APIC(LDR) = cpu < 60 ? (cpu / 4) << 28 | 1u << (24 + cpu % 4) : 0;
}

static void high_priority(unsigned cpu)
{
    APIC(TPR) = cpu == 1 ? 0 : 0x30;
}

static void no_priority(unsigned cpu)
{
    (void)cpu;
    APIC(TPR) = 0;
}

static void claim_ipis(void)
{
    bool ok = true;

    forget_taken();
    for (unsigned n = 0; n < ncpus; n++) {
        ipi(n, 0x4040);
        UNTIL(taken[n][0x40]);
    }
    claim("an IPI to each by its ID", how_many(0x40) == ncpus);
    ipi(0xff, 0x4041);
    settle();
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][0x41] == 1;
    ipi(0, 0x84042);
    ipi(0, 0xc4043);
    ipi(0, 0x44044);
    settle();
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][0x42] == 1 && taken[n][0x43] == (n != 0) && taken[n][0x44] == (n == 0);
    claim("to all, to all but oneself, to oneself", ok);
    all_do(flat_id);
    ipi(3, 0x4845);
    settle();
    claim("to a flat logical destination", taken[0][0x45] == 1 && taken[1][0x45] == 1 && how_many(0x45) == 2);
    all_do(high_priority);
    ipi(ncpus < 8 ? (1u << ncpus) - 1 : 0xff, 0x4949);
    UNTIL(how_many(0x49));
    all_do(no_priority);
    settle();
    claim("lowest priority: to one, the least busy", taken[1][0x49] == 1 && how_many(0x49) == 1);
    all_do(cluster_id);
    ipi(0x03, 0x484a);
    ipi((ncpus - 1) / 4 << 4 | 1u << (ncpus - 1) % 4, 0x484b);
    settle();
    claim("to CPUs of a cluster", taken[0][0x4a] == 1 && taken[1][0x4a] == 1 && how_many(0x4a) == 2 &&
          (taken[ncpus - 1][0x4b] == 1 || ncpus > 60) && how_many(0x4b) <= 1);
    per_cpu[1].at[0] = 0;
    give(1, waits_closed);
    UNTIL(per_cpu[1].at[0]);
    ipi(1, 0x404c);
    ipi(1, 0x4400);
    UNTIL(taken[1][2]);
    claim("an NMI comes where an interrupt waits", taken[1][2] == 1 && !taken[1][0x4c]);
    ncpus--;
    per_cpu[1].work = 0;
    start(1, 0);
    UNTIL(ncpus == CPUS);
    settle();
    claim("after INIT what had waited is forgotten", !taken[1][0x4c]);
}

/* ---- the I/O APIC: its entry for the PIT's line ---- */

static void entry(unsigned pin, uint32_t high, uint32_t low)
{
    IOAPIC(0) = 0x11 + 2 * pin;
    IOAPIC(0x10) = high;
    IOAPIC(0) = 0x10 + 2 * pin;
    IOAPIC(0x10) = low;
}

static void one_shot(void)
{
    outb(0x43, 0x30); /* mode 0: the line rises once */
    outb(0x40, 50);
    outb(0x40, 0);
}

static void claim_ioapic(void)
{
    bool ok = true;

    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    forget_taken();
    for (unsigned n = 0; n < ncpus; n++) {
        entry(2, n << 24, 0x50);
        one_shot();
        UNTIL(taken[n][0x50]);
        ok &= how_many(0x50) == n + 1;
    }
    claim("a line through the I/O APIC goes to the CPU of its entry", ok);
    all_do(flat_id);
    entry(2, 0x03u << 24, 0x951); /* logical, lowest priority */
    one_shot();
    UNTIL(how_many(0x51));
    settle();
    claim("or to the least busy of a group", how_many(0x51) == 1 && taken[0][0x51] + taken[1][0x51] == 1);
    entry(2, 0, 0x10000);
}

/* ---- time ---- */

static volatile uint64_t tsc_seen;
static volatile uint32_t tsc_turn, tsc_back;

static void clocks_agree(unsigned cpu)
{
    for (unsigned i = 0; i < 20; i++) {
        uint64_t now;

        UNTIL(tsc_turn % ncpus == cpu);
        now = rdtsc();
        tsc_back += now < tsc_seen;
        tsc_seen = now;
        __sync_synchronize();
        tsc_turn = tsc_turn + 1;
    }
}

static void deadline(unsigned cpu)
{
    uint64_t at = rdtsc() + 2000 + 100 * cpu;

    APIC(LVT_TIMER) = 0x40060;
    wrmsr(0x6e0, at);
    per_cpu[cpu].at[2] = rdmsr(0x6e0) == at;
    UNTIL(taken[cpu][0x60]);
    per_cpu[cpu].at[2] &= rdtsc() >= at && rdmsr(0x6e0) == 0;
    APIC(LVT_TIMER) = 0x10000;
}

static void claim_time(void)
{
    bool ok = true;

    all_do(clocks_agree);
    claim("the time stamp never goes back from one CPU to the next", tsc_back == 0);
    if (!(cpuid(1, 2) >> 24 & 1))
        return;
    forget_taken();
    all_do(deadline);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= per_cpu[n].at[2] && taken[n][0x60] == 1;
    claim("each CPU's timer fires at its TSC deadline", ok);
}

/* ---- MONITOR ---- */

static struct { volatile uint32_t word, beside[15], far[16]; } line __attribute__((aligned(64)));

static void monitor(volatile uint32_t *at)
{
    __asm__ volatile("monitor" : : "a"(at), "c"(0), "d"(0) : "memory");
}

static void mwait(uint32_t extensions)
{
    __asm__ volatile("mwait" : : "a"(0), "c"(extensions) : "memory");
}

static void waits_for_the_line(unsigned cpu)
{
    open_interrupts(false);
    monitor(&line.word);
    per_cpu[cpu].at[0] = 1;
    mwait(0);
    per_cpu[cpu].at[1] = line.word;
    open_interrupts(true);
}

static void waits_for_an_interrupt(unsigned cpu)
{
    monitor(&line.word);
    per_cpu[cpu].at[0] = 1;
    mwait(0);
    per_cpu[cpu].at[1] = 1;
}

static void waits_for_a_masked_one(unsigned cpu)
{
    open_interrupts(false);
    monitor(&line.word);
    per_cpu[cpu].at[0] = 1;
    mwait(1);
    per_cpu[cpu].at[1] = 1 + taken[cpu][0x70];
    open_interrupts(true);
}

static void does_not_wait(unsigned cpu)
{
    mwait(0); /* nothing is armed */
    monitor(&line.word);
    line.word = 9;
    mwait(0); /* it was written */
    per_cpu[cpu].at[1] = 1;
}

static void sleeper(work_fn *work)
{
    per_cpu[1].at[0] = per_cpu[1].at[1] = 0;
    give(1, work);
    UNTIL(per_cpu[1].at[0]);
    for (volatile unsigned i = 0; i < 3000; i++)
        ;
}

static void claim_mwait(void)
{
    bool ok;

    if (!(cpuid(1, 2) >> 3 & 1))
        return;
    forget_taken();
    claim("CPUID tells of MONITOR's line", cpuid(5, 0) == 64 && cpuid(5, 1) == 64 && (cpuid(5, 2) & 3) == 3);
    sleeper(waits_for_the_line);
    line.far[0] = 1;
    for (volatile unsigned i = 0; i < 3000; i++)
        ;
    ok = !per_cpu[1].at[1];
    line.word = 7;
    finished(1);
    claim("MWAIT ends by a write to the line, and no sooner", ok && per_cpu[1].at[1] == 7);
    sleeper(waits_for_the_line);
    line.word = 7; /* the same value */
    finished(1);
    sleeper(waits_for_the_line);
    line.beside[14] = 1;
    finished(1);
    claim("by one of the same value, by one beside", true);
    sleeper(waits_for_an_interrupt);
    ok = !per_cpu[1].at[1];
    ipi(1, 0x4070);
    finished(1);
    claim("by an interrupt", ok && taken[1][0x70] == 1);
    sleeper(waits_for_a_masked_one);
    ok = !per_cpu[1].at[1];
    ipi(1, 0x4070);
    finished(1);
    claim("by a masked one, if it is asked to", ok && per_cpu[1].at[1] == 2);
    give(1, does_not_wait);
    finished(1);
    claim("MWAIT does not wait for what was written already", true);
}

/* ---- code and translations ---- */

static uint8_t code[64] __attribute__((aligned(64)));
static volatile uint32_t code_turn, code_wrong;

static void runs_changed_code(unsigned cpu)
{
    for (unsigned i = 0; i < 40; i++) {
        if (i % ncpus == cpu) {
            UNTIL(code_turn == i * ncpus);
            code[0] = 0xb8; /* MOV EAX, i; RET */
            *(volatile uint32_t *)(code + 1) = i;
            code[5] = 0xc3;
            __sync_fetch_and_add(&code_turn, 1);
        } else {
            UNTIL(code_turn > i * ncpus);
            cpuid(0, 0); /* serializes */
            code_wrong += ((uint32_t(*)(void))(uintptr_t)code)() != i;
            __sync_fetch_and_add(&code_turn, 1);
        }
        UNTIL(code_turn >= (i + 1) * ncpus);
    }
}

static uint32_t directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static uint32_t frames[2][1024] __attribute__((aligned(4096)));
static volatile uint32_t map_wrong, shot;
#define WINDOW ((volatile uint32_t *)0x80000000u)

static void pages_on(unsigned cpu)
{
    (void)cpu;
    __asm__ volatile("mov %0, %%cr4" : : "r"(0x10)); /* PSE */
    __asm__ volatile("mov %0, %%cr3" : : "r"(directory));
    __asm__ volatile("mov %%cr0, %%eax; or $0x80000000, %%eax; mov %%eax, %%cr0" : : : "eax", "memory");
}

static void pages_off(unsigned cpu)
{
    (void)cpu;
    __asm__ volatile("mov %%cr0, %%eax; and $0x7fffffff, %%eax; mov %%eax, %%cr0" : : : "eax", "memory");
}

static void sees_the_page(unsigned cpu)
{
    __asm__ volatile("invlpg %0" : : "m"(*WINDOW));
    map_wrong += *WINDOW != 100 + (shot & 1);
    (void)cpu;
}

static void claim_code_and_maps(void)
{
    all_do(runs_changed_code);
    claim("code that another CPU wrote is run as it is now", code_wrong == 0);
    for (unsigned i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x83;
    directory[0x200] = (uint32_t)(uintptr_t)table | 3;
    frames[0][0] = 100;
    frames[1][0] = 101;
    table[0] = (uint32_t)(uintptr_t)frames[0] | 3;
    all_do(pages_on);
    for (shot = 0; shot < 20; shot = shot + 1) {
        table[0] = (uint32_t)(uintptr_t)frames[shot & 1] | 3;
        all_do(sees_the_page);
    }
    all_do(pages_off);
    claim("a translation that another CPU changed is used as it is now", map_wrong == 0);
}

/* ---- what each CPU has of its own ---- */

static void writes_msrs(unsigned cpu)
{
    wrmsr(0x200, 0x10000000u * (cpu % 8) | 6);
    wrmsr(0x175, (cpu + 5) << 12);
}

static void reads_msrs(unsigned cpu)
{
    per_cpu[cpu].at[3] = rdmsr(0x200) == (0x10000000u * (cpu % 8) | 6) && rdmsr(0x175) == (cpu + 5) << 12;
}

static void claim_own_registers(void)
{
    bool ok = true;

    all_do(writes_msrs);
    all_do(reads_msrs);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= per_cpu[n].at[3];
    claim("each CPU has its own MTRRs and stack for SYSENTER", ok);
    ok = (rdmsr(0x1b) & 0x100) != 0;
    claim("one is the bootstrap processor", ok);
}

/* ---- x2APIC ---- */

static void to_x2apic(unsigned cpu)
{
    wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    per_cpu[cpu].at[3] = rdmsr(0x802) == own_id() && rdmsr(0x80d) == (own_id() >> 4 << 16 | 1u << (own_id() & 15));
}

static void claim_x2apic(void)
{
    bool ok = true;

    if (!(cpuid(1, 2) >> 21 & 1))
        return;
    forget_taken();
    x2apic = true;
    all_do(to_x2apic);
    for (unsigned n = 0; n < ncpus; n++)
        ok &= per_cpu[n].at[3];
    claim("every APIC goes to x2APIC mode and knows its IDs", ok);
    for (unsigned n = 0; n < ncpus; n++) {
        ipi(n, 0x4052);
        UNTIL(taken[n][0x52]);
    }
    ipi(0xffffffff, 0x4053);
    ipi(3, 0x4854); /* cluster 0 */
    ipi(0, 0xc4055);
    wrmsr(0x83f, 0x56);
    settle();
    for (unsigned n = 0; n < ncpus; n++)
        ok &= taken[n][0x52] == 1 && taken[n][0x53] == 1 && taken[n][0x54] == (n < 2) && taken[n][0x55] == (n > 0) &&
              taken[n][0x56] == (n == 0);
    claim("its IPIs go where they are sent", ok);
    ok = true;
    for (unsigned n = 0; n < ncpus && n < 8; n++) {
        entry(2, n << 24, 0x57);
        one_shot();
        UNTIL(taken[n][0x57]);
    }
    entry(2, 0, 0x10000);
    claim("and the I/O APIC's messages reach it", how_many(0x57) == (ncpus < 8 ? ncpus : 8));
}

static void parks(unsigned cpu)
{
    per_cpu[cpu].work = 0;
    for (;;)
        __asm__ volatile("cli; hlt");
}

int main(void)
{
    number_of_id[own_id()] = 0;
    make_idt();
    copy_trampoline();
    apic_init();
    open_interrupts(true);
    claim_start();
    claim_atomics();
    claim_ipis();
    claim_ioapic();
    claim_time();
    claim_mwait();
    claim_code_and_maps();
    claim_own_registers();
    claim_x2apic();
    for (unsigned n = 1; n < ncpus; n++) {
        give(n, parks);
        UNTIL(!per_cpu[n].work);
    }
    entry(2, 0, 0x58);
    one_shot();
    while (!taken[0][0x58])
        __asm__ volatile("hlt");
    claim("all park, and a timer wakes one", faults == 0);
    __asm__ volatile("outl %0, %1" : : "a"(finish() ? 1 : 0x10), "Nd"((uint16_t)0xf4));
    return 0;
}
