/*
 * Performance monitors (DDI 0487 chapter D13): PMUv3 of ARMv8.0 with the cycle counter and
 * six event counters.
 *
 * Events, which PMCEID0_EL0 tells: SW_INCR, INST_RETIRED, CPU_CYCLES, CHAIN. Any other counts
 * nothing. Cycles are nanoseconds of virtual time. Retired instructions are steps without the
 * entries of exceptions that no instruction asked for (a64_state.pmu_entries counts those). So a counter is
 * a function of position and virtual time, and nothing is done while it counts: while it does,
 * the state has the difference between its value and what it follows, else its value.
 *
 * Whether a counter counts (enable bits, filters by level, MDCR_EL2.HPMN) is a function of the
 * state. Who changes what that depends on does so between a64_pmu_hold(), which makes values of
 * all, and a64_pmu_release(), which lets them count on. Overflows are deadlines of the timers'
 * device (timer.c), so that their interrupts come at the exact position.
 *
 * CONSTRAINED UNPREDICTABLE choices: counters that are not accessible read as zero and ignore
 * writes.
 *
 * Not modelled: PMCR_EL0.X, the external interface; what came after v8.0 (64-bit event counters,
 * MDCR_EL2.HPMD). A debugger's write is a step of no CPU's and does not count.
 *
 * Adding an event: its number in `implemented`, what it follows in source().
 */
#include "aarch64/system.h"

enum { EVENT_SW_INCR = 0x00, EVENT_INST_RETIRED = 0x08, EVENT_CPU_CYCLES = 0x11, EVENT_CHAIN = 0x1e };

/* PMEVTYPER, PMCCFILTR. */
#define FILTER_P   BIT64(31)
#define FILTER_U   BIT64(30)
#define FILTER_NSK BIT64(29)
#define FILTER_NSU BIT64(28)
#define FILTER_NSH BIT64(27)
#define FILTER_M   BIT64(26)
#define EVENT(typer) ((unsigned)(typer) & 0x3ff)

#define MDCR_HPMN  UINT64_C(31)
#define MDCR_HPME  BIT64(7)
#define MDCR3_SPME BIT64(17)

const uint64_t a64_pmceid0 = BIT64(EVENT_SW_INCR) | BIT64(EVENT_INST_RETIRED) | BIT64(EVENT_CPU_CYCLES) |
                             BIT64(EVENT_CHAIN);

/* ---- which counters count ---- */

/* The first of the counters that are EL2's own. */
static unsigned first_of_el2(const struct a64_cpu *c)
{
    unsigned hpmn = (unsigned)(c->st->mdcr_el2 & MDCR_HPMN);

    return a64_has_el(c, 2) && hpmn < A64_EVENT_COUNTERS ? hpmn : A64_EVENT_COUNTERS;
}

unsigned a64_pmu_accessible(const struct a64_cpu *c)
{
    return c->st->el < 2 && a64_el2_enabled(c) ? first_of_el2(c) : A64_EVENT_COUNTERS;
}

/* Does PMCR_EL0.E, or for EL2's counters MDCR_EL2.HPME, enable counter n? */
static bool globally_enabled(const struct a64_cpu *c, unsigned n)
{
    if (n < A64_EVENT_COUNTERS && n >= first_of_el2(c))
        return c->st->mdcr_el2 & MDCR_HPME;
    return c->st->pmcr_el0 & PMCR_E;
}

/* Does a filter keep the counter from counting at this level? */
static bool filtered(const struct a64_cpu *c, uint64_t filter)
{
    bool secure = a64_secure_below_el3(c), el3 = a64_has_el(c, 3);
    bool p = filter & FILTER_P, u = filter & FILTER_U;

    switch (c->st->el) {
    case 0:
        return secure ? u : u != (el3 && (filter & FILTER_NSU));
    case 1:
        return secure ? p : p != (el3 && (filter & FILTER_NSK));
    case 2:
        return !(filter & FILTER_NSH);
    default:
        return p != !!(filter & FILTER_M);
    }
}

/* Is counting prohibited in the Secure state? The cycle counter minds only with PMCR_EL0.DP. */
static bool prohibited(const struct a64_cpu *c, unsigned n)
{
    bool secure = c->st->el == 3 || a64_secure_below_el3(c);

    if (!a64_has_el(c, 3) || !secure || (c->st->mdcr_el3 & MDCR3_SPME))
        return false;
    return n != A64_CYCLE_COUNTER || (c->st->pmcr_el0 & PMCR_DP);
}

static bool counts(const struct a64_cpu *c, unsigned n)
{
    const struct a64_state *s = c->st;

    return (s->pmcntenset_el0 >> n & 1) && globally_enabled(c, n) && !prohibited(c, n) &&
           !filtered(c, n == A64_CYCLE_COUNTER ? s->pmccfiltr_el0 : s->pmevtyper[n]);
}

static bool chained(const struct a64_cpu *c, unsigned n)
{
    return (n & 1) && EVENT(c->st->pmevtyper[n]) == EVENT_CHAIN && counts(c, n);
}

/* ---- what they follow ---- */

static vtime_t time_at(const struct a64_cpu *c, icount_t position)
{
    const struct machine *m = c->u.cpu.machine;

    return machine_now(m) + ((position - machine_position(m)) << m->icount_shift);
}

static unsigned divider(const struct a64_cpu *c)
{
    return c->st->pmcr_el0 & PMCR_D && !(c->st->pmcr_el0 & PMCR_LC) ? 6 : 0;
}

static uint64_t cycles(const struct a64_cpu *c, icount_t position)
{
    return time_at(c, position) >> divider(c);
}

/* That this CPU has made: those of the run in progress are not in its share yet. */
static uint64_t steps(const struct a64_cpu *c, icount_t position)
{
    const struct cpu *cpu = &c->u.cpu;

    return cpu->share->steps + (cpu->running ? position - cpu->machine->st->position : 0);
}

/* Does event counter n follow something by itself now, and what does that show? */
static bool source(const struct a64_cpu *c, unsigned n, icount_t position, uint64_t *value)
{
    switch (EVENT(c->st->pmevtyper[n])) {
    case EVENT_CPU_CYCLES:
        *value = time_at(c, position);
        return counts(c, n);
    case EVENT_INST_RETIRED:
        *value = steps(c, position) - c->st->pmu_entries;
        return counts(c, n);
    default:
        return false;
    }
}

/* ---- values ---- */

/* Counter n of v goes up. */
static void add(const struct a64_cpu *c, struct a64_pmu *v, unsigned n, uint64_t by)
{
    uint64_t carry;

    v->event[n] += by;
    carry = v->event[n] >> 32;
    if (!carry)
        return;
    v->event[n] &= UINT32_MAX;
    v->overflow |= BIT64(n);
    if (n + 1 < A64_EVENT_COUNTERS && chained(c, n + 1))
        add(c, v, n + 1, carry);
}

static void values_at(const struct a64_cpu *c, icount_t position, struct a64_pmu *v)
{
    const struct a64_state *s = c->st;
    uint64_t now;

    v->position = position;
    v->overflow = s->pmovsset_el0;
    v->cycles = counts(c, A64_CYCLE_COUNTER) ? cycles(c, position) - s->pmccntr_base : s->pmccntr_base;
    for (unsigned n = 0; n < A64_EVENT_COUNTERS; n++)
        v->event[n] = source(c, n, position, &now) ? now - s->pmevcntr[n] : s->pmevcntr[n];
    for (unsigned n = 0; n < A64_EVENT_COUNTERS; n++)
        add(c, v, n, 0);
}

void a64_pmu_values(const struct a64_cpu *c, struct a64_pmu *v)
{
    values_at(c, machine_position(c->u.cpu.machine), v);
}

void a64_pmu_hold(struct a64_cpu *c, struct a64_pmu *v)
{
    a64_pmu_values(c, v);
}

void a64_pmu_hold_after_step(struct a64_cpu *c, struct a64_pmu *v)
{
    values_at(c, machine_position(c->u.cpu.machine) + c->u.cpu.running, v);
}

void a64_pmu_release(struct a64_cpu *c, const struct a64_pmu *v)
{
    struct a64_state *s = c->st;
    uint64_t now;

    s->pmovsset_el0 = v->overflow;
    s->pmccntr_base = counts(c, A64_CYCLE_COUNTER) ? cycles(c, v->position) - v->cycles : v->cycles;
    for (unsigned n = 0; n < A64_EVENT_COUNTERS; n++)
        s->pmevcntr[n] = source(c, n, v->position, &now) ? now - v->event[n] : v->event[n];
    a64_pmu_rearm(c, v);
}

void a64_pmu_software_increment(struct a64_cpu *c, uint64_t counters)
{
    struct a64_pmu v;

    a64_pmu_hold(c, &v);
    for (unsigned n = 0; n < A64_EVENT_COUNTERS; n++)
        if ((counters >> n & 1) && EVENT(c->st->pmevtyper[n]) == EVENT_SW_INCR && counts(c, n))
            add(c, &v, n, 1);
    a64_pmu_release(c, &v);
}

/* ---- overflow ---- */

bool a64_pmu_interrupts(const struct a64_cpu *c)
{
    uint64_t pending = c->st->pmovsset_el0 & c->st->pmintenset_el1;

    for (unsigned n = 0; pending && n < A64_EVENT_COUNTERS; n++)
        if (!globally_enabled(c, n))
            pending &= ~BIT64(n);
    if (!globally_enabled(c, A64_CYCLE_COUNTER))
        pending &= ~BIT64(A64_CYCLE_COUNTER);
    return pending;
}

vtime_t a64_pmu_cycle_overflow(const struct a64_cpu *c, const struct a64_pmu *v)
{
    unsigned shift = divider(c);
    uint64_t left = 0 - v->cycles, whole = cycles(c, v->position);

    if (!counts(c, A64_CYCLE_COUNTER))
        return VTIME_NEVER;
    if (!(c->st->pmcr_el0 & PMCR_LC))
        left = left & UINT32_MAX ? left & UINT32_MAX : BIT64(32);
    else if (!left)
        return VTIME_NEVER;
    if (left > (UINT64_MAX >> shift) - 1 - whole)
        return VTIME_NEVER;
    return (whole + left) << shift;
}

/* No instruction retires while the CPU sleeps. */
vtime_t a64_pmu_event_overflow(const struct a64_cpu *c, const struct a64_pmu *v)
{
    vtime_t least = VTIME_NEVER, now = time_at(c, v->position);
    unsigned shift = c->u.cpu.machine->icount_shift;
    uint64_t source_now;

    for (unsigned n = 0; n < A64_EVENT_COUNTERS; n++) {
        bool instructions = EVENT(c->st->pmevtyper[n]) == EVENT_INST_RETIRED;
        uint64_t left = BIT64(32) - v->event[n], ns = instructions ? left << shift : left;

        if (!source(c, n, v->position, &source_now) || (instructions && c->st->halted) || ns >= VTIME_NEVER - now)
            continue;
        if (now + ns < least)
            least = now + ns;
    }
    return least;
}
