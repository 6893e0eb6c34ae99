/*
 * Performance counters (SDM 3B 20.2, architectural performance monitoring, version 2; AMD APM 2, 13.2), of models with
 * `pmu=on`: four counters of 48 bits, and on Intel's three fixed ones.
 *
 *   Intel's   IA32_PERFEVTSELx, IA32_PMCx, IA32_FIXED_CTRx, IA32_FIXED_CTR_CTRL, IA32_PERF_GLOBAL_CTRL, _STATUS, _OVF_CTRL
 *   AMD's     PerfEvtSeln, PerfCtrn, of which nothing is in CPUID
 *
 * Events: instructions retired, and unhalted cycles (core and reference alike), which are nanoseconds of virtual time in
 * which this CPU made steps. Others, and those with INV, EDGE or a counter mask, count nothing; CPUID.0AH says which of the
 * architectural ones that are. Retired instructions are the CPU's steps without entries of interrupts and exceptions
 * that no instruction asked for, and with a repeated string instruction as one, when it ends (pmc_uncounted has the
 * others). So counters are functions of the CPU's steps, and nothing is done while they count: while one does, the state has
 * the difference between what it follows and its value, else its value.
 *
 * Whether one counts is a function of the state. Who changes what that depends on does so between hold() and release().
 * A step that changes the privilege level counts for the one where it began. A counter that overflows interrupts (the
 * LVT's entry of performance counters) after that very step: i386_pmu_room() says how many steps the CPU may make before
 * it stands and i386_pmu_stood() looks.
 *
 * Not modelled: precise events, IA32_PERF_CAPABILITIES (and so full-width writes), AnyThread, pin control;
 * AMD's extended and northbridge counters. A debugger's write counts nothing.
 *
 * An event that comes to be: its case in event_of(), its bit in i386_pmu_leaf().
 */
#include "i386/protect.h"

#include <string.h>

enum { COUNTERS = 4, FIXED = 3, ALL = COUNTERS + FIXED };
#define WIDTH 48
#define FULL  ((uint64_t)1 << WIDTH)

#define SEL_USR  0x10000u
#define SEL_OS   0x20000u
#define SEL_EDGE 0x40000u
#define SEL_INT  0x100000u
#define SEL_EN   0x400000u
#define SEL_INV  0x800000u
#define SEL_CMASK 0xff000000u
#define SEL_WRITABLE     0xffdfffffu            /* version 2: no AnyThread */
#define SEL_WRITABLE_AMD UINT64_C(0x30fffdfffff) /* and event bits 8-11, guest and host */
#define FIXED_OS  1u
#define FIXED_USR 2u
#define FIXED_PMI 8u
#define FIXED_WRITABLE 0xbbbu
#define GLOBAL_ALL ((((uint64_t)1 << FIXED) - 1) << 32 | ((1u << COUNTERS) - 1))
#define OVF_WRITABLE (GLOBAL_ALL | UINT64_C(3) << 62)

enum {
    MSR_PMC0 = 0xc1, MSR_EVTSEL0 = 0x186, MSR_FIXED_CTR0 = 0x309, MSR_FIXED_CTR_CTRL = 0x38d, MSR_GLOBAL_STATUS = 0x38e,
    MSR_GLOBAL_CTRL = 0x38f, MSR_GLOBAL_OVF_CTRL = 0x390,
};
#define MSR_AMD_EVTSEL0 0xc0010000u
#define MSR_AMD_PMC0    0xc0010004u

enum pmc_event { EVENT_NONE, EVENT_CYCLES, EVENT_INSTRUCTIONS };

/* Values of all counters, FULL and more: it overflowed; and when they had them. */
struct values {
    uint64_t v[ALL];
    icount_t position;
};

/* ---- which counters count, and what ---- */

static enum pmc_event event_of(const struct i386_cpu *c, uint64_t select)
{
    unsigned event = (unsigned)(select & 0xff) | (unsigned)(select >> 24 & 0xf00), mask = (unsigned)select >> 8 & 0xff;

    if (select & (SEL_EDGE | SEL_INV | SEL_CMASK))
        return EVENT_NONE;
    if (event == 0xc0)
        return c->model->amd || !mask ? EVENT_INSTRUCTIONS : EVENT_NONE;
    if (c->model->amd)
        return event == 0x76 ? EVENT_CYCLES : EVENT_NONE;
    return event == 0x3c && mask <= 1 ? EVENT_CYCLES : EVENT_NONE; /* core and reference cycles */
}

/* What counter n follows now. */
static enum pmc_event follows(const struct i386_cpu *c, unsigned n)
{
    const struct i386_state *s = c->st;
    uint64_t select;

    if (n >= COUNTERS) {
        unsigned fixed = n - COUNTERS;

        if (!(s->pmc_global_ctrl >> (32 + fixed) & 1) || !(s->pmc_fixed_ctrl >> (4 * fixed) & (s->pmc_user ? FIXED_USR : FIXED_OS)))
            return EVENT_NONE;
        return fixed ? EVENT_CYCLES : EVENT_INSTRUCTIONS;
    }
    select = s->pmc_select[n];
    if (!(select & SEL_EN) || !(select & (s->pmc_user ? SEL_USR : SEL_OS)) || (!c->model->amd && !(s->pmc_global_ctrl >> n & 1)))
        return EVENT_NONE;
    return event_of(c, select);
}

static bool interrupts(const struct i386_cpu *c, unsigned n)
{
    return n < COUNTERS ? (c->st->pmc_select[n] & SEL_INT) != 0 : (c->st->pmc_fixed_ctrl >> (4 * (n - COUNTERS)) & FIXED_PMI) != 0;
}

static uint64_t global_bit(unsigned n)
{
    return (uint64_t)1 << (n < COUNTERS ? n : 32 + n - COUNTERS);
}

/* That this CPU has made at a position: those of the run in progress are not in its share yet. */
static uint64_t steps_at(const struct i386_cpu *c, icount_t position)
{
    const struct cpu *cpu = &c->u.cpu;

    return cpu->share->steps + (cpu->running ? position - cpu->machine->st->position : 0);
}

static uint64_t source(const struct i386_cpu *c, enum pmc_event event, icount_t position)
{
    uint64_t steps = steps_at(c, position);

    return event == EVENT_CYCLES ? steps << c->u.cpu.machine->icount_shift : steps - c->st->pmc_uncounted;
}

/* ---- values ---- */

static void hold(const struct i386_cpu *c, icount_t position, struct values *v)
{
    v->position = position;
    for (unsigned n = 0; n < ALL; n++) {
        enum pmc_event event = follows(c, n);

        v->v[n] = event ? source(c, event, position) - c->st->pmc[n] : c->st->pmc[n];
    }
}

/* Counters go on from *v; those that have overflowed say so. Who runs leaves after its instruction: the room that it has is
 * another one now. */
static void release(struct i386_cpu *c, struct values *v)
{
    struct i386_state *s = c->st;
    bool pmi = false, counting = false;

    for (unsigned n = 0; n < ALL; n++) {
        if (v->v[n] < FULL)
            continue;
        v->v[n] &= FULL - 1;
        if (!c->model->amd)
            s->pmc_global_status |= global_bit(n);
        pmi |= interrupts(c, n);
    }
    if (pmi && (s->debugctl & DEBUGCTL_FREEZE))
        s->pmc_global_ctrl = 0;
    if (pmi && (s->debugctl & DEBUGCTL_FREEZE_LBRS))
        s->debugctl &= ~(uint64_t)DEBUGCTL_LBR;
    for (unsigned n = 0; n < ALL; n++) {
        enum pmc_event event = follows(c, n);

        s->pmc[n] = event ? source(c, event, v->position) - v->v[n] : v->v[n];
        counting |= event != EVENT_NONE;
    }
    if (counting)
        machine_attention(c->u.cpu.machine);
    if (pmi && c->pmi)
        c->pmi(c->io_ctx);
}

void i386_pmu_mode_changed(struct i386_cpu *c)
{
    struct values v;

    hold(c, machine_position(c->u.cpu.machine) + c->u.cpu.running, &v);
    c->st->pmc_user = c->st->cpl != 0;
    release(c, &v);
}

icount_t i386_pmu_room(const struct cpu *cpu)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    unsigned shift = cpu->machine->icount_shift;
    uint64_t least = ICOUNT_MAX;

    if (!c->model->pmu)
        return ICOUNT_MAX;
    for (unsigned n = 0; n < ALL; n++) {
        enum pmc_event event = follows(c, n);
        uint64_t v = event ? source(c, event, cpu->machine->st->position) - c->st->pmc[n] : 0, left = v < FULL ? FULL - v : 1;

        if (event == EVENT_CYCLES)
            left = (left + ((uint64_t)1 << shift) - 1) >> shift;
        if (event && left < least)
            least = left;
    }
    return least;
}

void i386_pmu_stood(struct i386_cpu *c)
{
    bool overflow = false;
    struct values v;

    hold(c, c->u.cpu.machine->st->position, &v);
    for (unsigned n = 0; n < ALL; n++)
        overflow |= v.v[n] >= FULL;
    if (overflow)
        release(c, &v);
}

/* ---- registers ---- */

void i386_pmu_reset(struct i386_cpu *c)
{
    c->st->pmc_global_ctrl = c->model->pmu && !c->model->amd ? (1u << COUNTERS) - 1 : 0;
}

/* CPUID.0AH: version 2, as EAX, EBX and EDX. */
void i386_pmu_leaf(const struct i386_model *m, uint32_t *eax, uint32_t *ebx, uint32_t *edx)
{
    if (!m->pmu || m->amd)
        return;
    *eax = 2 | COUNTERS << 8 | WIDTH << 16 | 7u << 24;
    *ebx = 0x78; /* not there: the last level cache's, branches, mispredicted ones */
    *edx = FIXED | WIDTH << 5;
}

/* A counter's number by its MSR's, or ALL. */
static unsigned counter_of(const struct i386_model *m, uint32_t n)
{
    uint32_t first = m->amd ? MSR_AMD_PMC0 : MSR_PMC0;

    if (n - first < COUNTERS)
        return n - first;
    return !m->amd && n - MSR_FIXED_CTR0 < FIXED ? COUNTERS + n - MSR_FIXED_CTR0 : ALL;
}

static bool is_select(const struct i386_model *m, uint32_t n)
{
    return n - (m->amd ? MSR_AMD_EVTSEL0 : MSR_EVTSEL0) < COUNTERS;
}

static bool is_global(const struct i386_model *m, uint32_t n)
{
    return !m->amd && n >= MSR_FIXED_CTR_CTRL && n <= MSR_GLOBAL_OVF_CTRL;
}

bool i386_pmu_has_msr(const struct i386_model *m, uint32_t n)
{
    return m->pmu && (counter_of(m, n) < ALL || is_select(m, n) || is_global(m, n));
}

static uint64_t value_of(const struct i386_cpu *c, unsigned n)
{
    struct values v;

    hold(c, machine_position(c->u.cpu.machine), &v);
    return v.v[n] & (FULL - 1);
}

uint64_t i386_pmu_read(const struct i386_cpu *c, uint32_t n)
{
    const struct i386_state *s = c->st;
    unsigned counter = counter_of(c->model, n);

    if (counter < ALL)
        return value_of(c, counter);
    if (is_select(c->model, n))
        return s->pmc_select[n - (c->model->amd ? MSR_AMD_EVTSEL0 : MSR_EVTSEL0)];
    switch (n) {
    case MSR_FIXED_CTR_CTRL: return s->pmc_fixed_ctrl;
    case MSR_GLOBAL_STATUS: return s->pmc_global_status;
    case MSR_GLOBAL_CTRL: return s->pmc_global_ctrl;
    default: return 0;
    }
}

/* False: a bit is reserved, or it can only be read. */
static bool put(struct i386_cpu *c, uint32_t n, uint64_t value, struct values *v)
{
    struct i386_state *s = c->st;
    bool amd = c->model->amd;
    unsigned counter = counter_of(c->model, n);

    if (counter < ALL) {
        /* Intel's are written with 32 bits, sign-extended, but for the fixed ones. */
        v->v[counter] = (!amd && counter < COUNTERS ? (uint64_t)(int64_t)(int32_t)value : value) & (FULL - 1);
        return amd || counter < COUNTERS || !(value >> WIDTH);
    }
    if (is_select(c->model, n)) {
        if (!amd && (value & ~(uint64_t)SEL_WRITABLE))
            return false;
        s->pmc_select[n - (amd ? MSR_AMD_EVTSEL0 : MSR_EVTSEL0)] = value & (amd ? SEL_WRITABLE_AMD : SEL_WRITABLE);
        return true;
    }
    switch (n) {
    case MSR_FIXED_CTR_CTRL:
        if (value & ~(uint64_t)FIXED_WRITABLE)
            return false;
        s->pmc_fixed_ctrl = value;
        return true;
    case MSR_GLOBAL_CTRL:
        if (value & ~GLOBAL_ALL)
            return false;
        s->pmc_global_ctrl = value;
        return true;
    case MSR_GLOBAL_OVF_CTRL:
        if (value & ~OVF_WRITABLE)
            return false;
        s->pmc_global_status &= ~value;
        return true;
    default: /* the status */
        return false;
    }
}

bool i386_pmu_write(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    struct values v;
    bool done;

    hold(c, machine_position(c->u.cpu.machine), &v);
    done = put(c, n, value, &v);
    if (done)
        release(c, &v);
    return done;
}

bool i386_pmu_rdpmc(const struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    bool fixed = !c->model->amd && (n & 0x40000000u);

    n &= fixed ? ~0x40000000u : ~0u;
    if (n >= (fixed ? FIXED : COUNTERS))
        return false;
    *value = value_of(c, fixed ? COUNTERS + n : n);
    return true;
}
