/*
 * System registers and system instructions (DDI 0487 C5, D19): one table row for
 * each register, and the traps of accesses to them.
 *
 * Adding a register: a line in sysregs[]. A plain one is a member of the state;
 * others have functions. `el` is the lowest level that may access it, `trap` the
 * control that makes accesses trap (below, trap_of()). What is not in the table
 * is UNDEFINED; the identification space (op0 3, op1 0, CRn 0) reads as zero
 * where nothing is allocated. ICC_, ICV_ and ICH_ registers are the GIC's.
 *
 * Translation registers flush cached translations when their value changes; those of
 * a64_roots() (mmu.c) choose between them instead. TLB maintenance has nothing to do.
 *
 * Not modelled: AArch32 views (the few registers that AArch64 has for them hold their
 * value), trace, statistical profiling.
 */
#include "aarch64/system.h"

#include "base/buffer.h"
#include "base/error.h"

#include <string.h>

enum sysreg_trap {
    T_NONE,
    T_VM,      /* HCR_EL2.TVM, TRVM */
    T_ID1, T_ID2, T_ID3, /* HCR_EL2.TIDn */
    T_CTR,     /* SCTLR_EL1.UCT, HCR_EL2.TID2 */
    T_ACTLR,   /* HCR_EL2.TACR */
    T_CPACR,   /* CPTR_EL2.TCPAC, CPTR_EL3.TCPAC */
    T_CPTR2,   /* CPTR_EL3.TCPAC */
    T_DAIF,    /* SCTLR_EL1.UMA */
    T_PMU,     /* PMUSERENR_EL0.EN, MDCR_EL2.TPM */
    T_PMCR,    /* the same and MDCR_EL2.TPMCR */
    T_PMCCNTR, /* the same, reads also by PMUSERENR_EL0.CR */
    T_PMEVCNTR, /* the same, reads also by PMUSERENR_EL0.ER */
    T_PMSELR,  /* the same, also by PMUSERENR_EL0.ER */
    T_PMSWINC, /* the same, also by PMUSERENR_EL0.SW */
    T_PMUSEREN, /* EL0 reads only; MDCR_EL2.TPM */
    T_DEBUG,   /* MDCR_EL2.TDA */
    T_OSLOCK,  /* MDCR_EL2.TDOSA */
    T_DROM,    /* MDCR_EL2.TDRA */
    T_DCC,     /* MDSCR_EL1.TDCC, MDCR_EL2.TDA */
    T_CNTFRQ,  /* CNTKCTL_EL1.EL0PCTEN | EL0VCTEN */
    T_CNTPCT,  /* CNTKCTL_EL1.EL0PCTEN, CNTHCTL_EL2.EL1PCTEN */
    T_CNTVCT,  /* CNTKCTL_EL1.EL0VCTEN */
    T_CNTP,    /* CNTKCTL_EL1.EL0PTEN, CNTHCTL_EL2.EL1PCEN */
    T_CNTV,    /* CNTKCTL_EL1.EL0VTEN */
    T_CNTPS,   /* EL3, or secure EL1 with SCR_EL3.ST */
    T_IMPDEF,  /* HCR_EL2.TIDCP */
    T_FP,      /* checked by the lowering */
};

struct sysreg {
    uint32_t enc;      /* SYSREG() */
    const char *name;
    uint8_t el;        /* lowest level that may read it */
    uint8_t trap;      /* enum sysreg_trap */
    uint8_t flags;     /* RO... */
    uint8_t index;     /* for the functions */
    uint16_t offset;   /* of a plain one in the state; 0: none */
    uint64_t mask;     /* bits of a plain one that can be set */
    uint64_t reset;
    uint64_t (*read)(const struct a64_cpu *c, const struct sysreg *r);
    void (*write)(struct a64_cpu *c, const struct sysreg *r, uint64_t value);
};

enum {
    RO = 1,       /* writes are UNDEFINED */
    WO = 2,       /* reads are UNDEFINED */
    WRITE_EL1 = 4, /* EL0 reads, EL1 writes */
    WRITE_TOP = 8, /* the highest level writes */
    ACTS = 16,    /* a write does what is not told by a read: it clears what is written, starts something */
    HIDDEN = 32,  /* not for the debugger: a read has no meaning outside the CPU */
    ONLY_TOP = 64, /* exists at the highest level only */
};

static uint64_t *plain(const struct a64_cpu *c, const struct sysreg *r)
{
    return (uint64_t *)(void *)((uint8_t *)c->st + r->offset);
}

static void refresh_translation(struct a64_cpu *c)
{
    ucpu_flush_tlb(&c->u);
    a64_regime_changed(c);
}

/* ---- identification ---- */

static uint64_t read_zero(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)c, (void)r;
    return 0;
}

static void write_ignored(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)c, (void)r, (void)value;
}

static uint64_t read_midr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return c->st->el == 1 && a64_el2_enabled(c) ? c->st->vpidr_el2 : c->model->midr;
}

static uint64_t read_mpidr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return c->st->el == 1 && a64_el2_enabled(c) ? c->st->vmpidr_el2 : c->mpidr;
}

static uint64_t read_pfr0(const struct a64_cpu *c, const struct sysreg *r)
{
    uint64_t v = c->model->id_aa64pfr0;

    (void)r;
    if (!(c->features & A64_HAS_EL2))
        v &= ~UINT64_C(0xf00);
    if (!(c->features & A64_HAS_EL3))
        v &= ~UINT64_C(0xf000);
    if (c->gic_read)
        v |= UINT64_C(1) << 24;
    return v;
}

static uint64_t read_dfr0(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->id_aa64dfr0; }
static uint64_t read_isar0(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->id_aa64isar0; }
static uint64_t read_mmfr0(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->id_aa64mmfr0; }
static uint64_t read_mmfr1(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->id_aa64mmfr1; }
static uint64_t read_ctr(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->ctr; }
static uint64_t read_clidr(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->model->clidr; }

static uint64_t read_dczid(const struct a64_cpu *c, const struct sysreg *r)
{
    bool prohibited = (c->st->el == 0 && !(c->st->sctlr[1] & SCTLR_DZE)) || (c->st->el < 2 && (a64_hcr(c) & HCR_TDZ));

    (void)r;
    return c->model->dczid | (prohibited ? 16 : 0);
}

static uint64_t read_ccsidr(const struct a64_cpu *c, const struct sysreg *r)
{
    unsigned level = c->st->csselr_el1 >> 1 & 7;

    (void)r;
    return level < 2 ? c->model->ccsidr[level][c->st->csselr_el1 & 1] : 0;
}

/* ---- PSTATE and stack pointers ---- */

static uint64_t read_current_el(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return c->st->el << 2;
}

/* The bits of PSTATE in r->mask. */
static uint64_t read_pstate(const struct a64_cpu *c, const struct sysreg *r)
{
    return c->st->pstate & r->mask;
}

static void write_pstate(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    c->st->pstate = (c->st->pstate & ~(uint32_t)r->mask) | (uint32_t)(value & r->mask);
    a64_regime_changed(c);
}

static void write_spsel(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    a64_set_mode(c, c->st->el, c->st->el && (value & 1));
    a64_regime_changed(c);
}

static uint64_t read_nzcv(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return a64_get_nzcv(c);
}

static void write_nzcv(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    a64_set_nzcv(c, (uint32_t)value);
}

/* Is SP_ELn the stack pointer in use? */
static bool sp_in_use(const struct a64_cpu *c, unsigned n)
{
    return n == (c->st->pstate & PSTATE_SP ? c->st->el : 0);
}

static uint64_t read_sp(const struct a64_cpu *c, const struct sysreg *r)
{
    return sp_in_use(c, r->index) ? c->st->sp : c->st->sp_el[r->index];
}

static void write_sp(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    if (sp_in_use(c, r->index))
        c->st->sp = value;
    else
        c->st->sp_el[r->index] = value;
}

static uint64_t read_fpcr(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->st->fpcr; }
static uint64_t read_fpsr(const struct a64_cpu *c, const struct sysreg *r) { (void)r; return c->st->fpsr; }

static void write_fpcr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    c->st->fpcr = (uint32_t)value & 0x07c00000u; /* AHP DN FZ RMode; no trapping */
}

static void write_fpsr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    c->st->fpsr = (uint32_t)value & 0x0800009fu; /* QC and the cumulative bits */
}

/* ---- translation and control ---- */

static void write_regime(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    uint64_t *p = plain(c, r), old = *p;

    *p = value & r->mask;
    if (old != *p)
        refresh_translation(c);
}

/* One of a64_roots(), and nothing else. */
static void write_table(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    *plain(c, r) = value & r->mask;
    ucpu_roots_changed(&c->u);
}

/* One of a64_roots(). */
static void write_root(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    *plain(c, r) = value & r->mask;
    a64_regime_changed(c);
}

/* Only the block mode depends on it (CPACR, CPTR). */
static void write_mode(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    *plain(c, r) = value & r->mask;
    a64_regime_changed(c);
}

static void write_sctlr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    /* There are no big-endian data accesses: EE and E0E are RES0. */
    write_regime(c, r, value & ~(SCTLR_EE | SCTLR_E0E));
}

static void write_hcr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    write_root(c, r, value | HCR_RW); /* RW is RAO/WI: EL1 is AArch64 */
}

static void write_scr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    write_regime(c, r, value | 0x30 | BIT64(10));
    a64_timers_changed(c);
}

static uint64_t read_isr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return a64_isr(c);
}

static void write_rmr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    if (value & 2)
        machine_request_reset(c->u.cpu.machine);
}

static uint64_t read_rmr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)c, (void)r;
    return 1; /* AA64 */
}

/* ---- timers ---- */

static uint64_t read_count(const struct a64_cpu *c, const struct sysreg *r)
{
    return a64_timer_count(c, r->index);
}

static uint64_t read_tval(const struct a64_cpu *c, const struct sysreg *r)
{
    return (uint32_t)(c->st->timer[r->index].cval - a64_timer_count(c, r->index));
}

static void write_tval(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    c->st->timer[r->index].cval = a64_timer_count(c, r->index) + (uint64_t)(int64_t)(int32_t)value;
    a64_timers_changed(c);
}

static uint64_t read_cval(const struct a64_cpu *c, const struct sysreg *r)
{
    return c->st->timer[r->index].cval;
}

static void write_cval(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    c->st->timer[r->index].cval = value;
    a64_timers_changed(c);
}

static uint64_t read_ctl(const struct a64_cpu *c, const struct sysreg *r)
{
    uint64_t ctl = c->st->timer[r->index].ctl;

    return ctl | (ctl & 1 && a64_timer_condition(c, r->index) ? 4 : 0);
}

static void write_ctl(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    c->st->timer[r->index].ctl = value & 3;
    a64_timers_changed(c);
}

static void write_timer_control(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    *plain(c, r) = value & r->mask;
    a64_timers_changed(c);
}

/* ---- performance monitors ---- */

#define PMCR_FIXED UINT64_C(0x41000000) /* implementer Arm */
#define PM_CYCLES  BIT64(A64_CYCLE_COUNTER)
#define PMEVTYPER_BITS UINT64_C(0xfc0003ff)

/* Bits of the counters that the current level can reach. */
static uint64_t pm_mask(const struct a64_cpu *c)
{
    return PM_CYCLES | (BIT64(a64_pmu_accessible(c)) - 1);
}

static uint64_t read_pmcr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return c->st->pmcr_el0 | PMCR_FIXED | (uint64_t)c->model->pmu_id << 16 | (uint64_t)a64_pmu_accessible(c) << 11;
}

static void write_pmcr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    (void)r;
    a64_pmu_hold(c, &v);
    c->st->pmcr_el0 = value & 0x79;
    if (value & PMCR_C)
        v.cycles = 0;
    for (unsigned n = 0; (value & PMCR_P) && n < a64_pmu_accessible(c); n++)
        v.event[n] = 0;
    a64_pmu_release(c, &v);
}

static uint64_t read_pmset(const struct a64_cpu *c, const struct sysreg *r)
{
    return *plain(c, r) & pm_mask(c);
}

static void write_pmset(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    a64_pmu_hold(c, &v);
    *plain(c, r) |= value & pm_mask(c);
    a64_pmu_release(c, &v);
}

static void write_pmclear(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    a64_pmu_hold(c, &v);
    *plain(c, r) &= ~(value & pm_mask(c));
    a64_pmu_release(c, &v);
}

static uint64_t read_pmovs(const struct a64_cpu *c, const struct sysreg *r)
{
    struct a64_pmu v;

    (void)r;
    a64_pmu_values(c, &v);
    return v.overflow & pm_mask(c);
}

static void write_pmovs(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    a64_pmu_hold(c, &v);
    v.overflow = r->index ? v.overflow | (value & pm_mask(c)) : v.overflow & ~(value & pm_mask(c));
    a64_pmu_release(c, &v);
}

static void write_pmswinc(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    a64_pmu_software_increment(c, value & pm_mask(c));
}

static uint64_t read_pmccntr(const struct a64_cpu *c, const struct sysreg *r)
{
    struct a64_pmu v;

    (void)r;
    a64_pmu_values(c, &v);
    return v.cycles;
}

static void write_pmccntr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    (void)r;
    a64_pmu_hold(c, &v);
    v.cycles = value;
    a64_pmu_release(c, &v);
}

static void write_pmfilter(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    struct a64_pmu v;

    a64_pmu_hold(c, &v);
    *plain(c, r) = value & r->mask;
    a64_pmu_release(c, &v);
}

static uint64_t read_pmceid0(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)c, (void)r;
    return a64_pmceid0;
}

/* Event counter n, if the current level can reach it. */
static uint64_t get_pmevcntr(const struct a64_cpu *c, unsigned n)
{
    struct a64_pmu v;

    if (n >= a64_pmu_accessible(c))
        return 0;
    a64_pmu_values(c, &v);
    return v.event[n];
}

static void set_pmevcntr(struct a64_cpu *c, unsigned n, uint64_t value)
{
    struct a64_pmu v;

    if (n >= a64_pmu_accessible(c))
        return;
    a64_pmu_hold(c, &v);
    v.event[n] = (uint32_t)value;
    a64_pmu_release(c, &v);
}

static void set_pmevtyper(struct a64_cpu *c, unsigned n, uint64_t value)
{
    struct a64_pmu v;

    if (n >= a64_pmu_accessible(c))
        return;
    a64_pmu_hold(c, &v);
    c->st->pmevtyper[n] = value & PMEVTYPER_BITS;
    a64_pmu_release(c, &v);
}

static uint64_t read_pmevcntr(const struct a64_cpu *c, const struct sysreg *r)
{
    return get_pmevcntr(c, r->index);
}

static void write_pmevcntr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    set_pmevcntr(c, r->index, value);
}

static uint64_t read_pmevtyper(const struct a64_cpu *c, const struct sysreg *r)
{
    return r->index < a64_pmu_accessible(c) ? c->st->pmevtyper[r->index] : 0;
}

static void write_pmevtyper(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    set_pmevtyper(c, r->index, value);
}

/* Those that PMSELR_EL0 selects. */
static unsigned selected_counter(const struct a64_cpu *c)
{
    return c->st->pmselr_el0 & 31;
}

static uint64_t read_pmxevcntr(const struct a64_cpu *c, const struct sysreg *r)
{
    (void)r;
    return get_pmevcntr(c, selected_counter(c));
}

static void write_pmxevcntr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    set_pmevcntr(c, selected_counter(c), value);
}

static uint64_t read_pmxevtyper(const struct a64_cpu *c, const struct sysreg *r)
{
    unsigned n = selected_counter(c);

    (void)r;
    if (n == A64_CYCLE_COUNTER)
        return c->st->pmccfiltr_el0;
    return n < a64_pmu_accessible(c) ? c->st->pmevtyper[n] : 0;
}

static void write_pmxevtyper(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    unsigned n = selected_counter(c);
    struct a64_pmu v;

    (void)r;
    if (n != A64_CYCLE_COUNTER) {
        set_pmevtyper(c, n, value);
        return;
    }
    a64_pmu_hold(c, &v);
    c->st->pmccfiltr_el0 = value & 0xfc000000u;
    a64_pmu_release(c, &v);
}

/* ---- debug ---- */

#define BCR_BAS UINT64_C(0x1e0)

static void write_debug(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    *plain(c, r) = value & r->mask;
    a64_update_traps(c);
}

/* Some bits can be written while the OS lock is set only (D19.3.20). BAS of a breakpoint is RES1
 * where there is no AArch32. */
static void write_mdscr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    uint64_t mask = c->st->oslsr_el1 & 2 ? r->mask : MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE;

    c->st->mdscr_el1 = (c->st->mdscr_el1 & ~mask) | (value & mask);
    a64_update_traps(c);
}

static void write_dbgbcr(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    write_debug(c, r, value | BCR_BAS);
}

static void write_oslar(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    (void)r;
    c->st->oslsr_el1 = (c->st->oslsr_el1 & ~UINT64_C(2)) | (value & 1) << 1;
}

static uint64_t read_claim(const struct a64_cpu *c, const struct sysreg *r)
{
    return r->index ? c->st->dbgclaim : 0xff;
}

static void write_claim(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    if (r->index)
        c->st->dbgclaim &= ~value;
    else
        c->st->dbgclaim |= value & 0xff;
}

/* ---- the table ---- */

#define ALL UINT64_MAX
#define PLAIN(op0, op1, crn, crm, op2, n, lowest, trapped, member, value) \
    {.enc = SYSREG(op0, op1, crn, crm, op2), .name = n, .el = lowest, .trap = trapped, .offset = S_OFF(member), \
     .mask = ALL, .reset = value}
#define PLAIN_W(op0, op1, crn, crm, op2, n, lowest, trapped, member, bits, fn, value) \
    {.enc = SYSREG(op0, op1, crn, crm, op2), .name = n, .el = lowest, .trap = trapped, .offset = S_OFF(member), \
     .mask = bits, .write = fn, .reset = value}
#define FN(op0, op1, crn, crm, op2, n, lowest, trapped, attributes, i, rd, wr) \
    {.enc = SYSREG(op0, op1, crn, crm, op2), .name = n, .el = lowest, .trap = trapped, .flags = attributes, .index = i, \
     .read = rd, .write = wr}
#define ZERO(op0, op1, crn, crm, op2, n, lowest, trapped) \
    FN(op0, op1, crn, crm, op2, n, lowest, trapped, 0, 0, read_zero, write_ignored)
#define ID(op1, crn, crm, op2, n, trapped, rd) FN(3, op1, crn, crm, op2, n, 1, trapped, RO, 0, rd, NULL)
#define PSTATE_ROW(op1, crn, crm, op2, n, lowest, trapped, bits, wr) \
    {.enc = SYSREG(3, op1, crn, crm, op2), .name = n, .el = lowest, .trap = trapped, .mask = bits, \
     .read = read_pstate, .write = wr}
#define TIMER(op1, crm, n, lowest, trapped, t) \
    FN(3, op1, 14, crm, 0, n "_TVAL" TIMER_SUFFIX_##t, lowest, trapped, ACTS, t, read_tval, write_tval), \
    FN(3, op1, 14, crm, 1, n "_CTL" TIMER_SUFFIX_##t, lowest, trapped, ACTS, t, read_ctl, write_ctl), \
    FN(3, op1, 14, crm, 2, n "_CVAL" TIMER_SUFFIX_##t, lowest, trapped, 0, t, read_cval, write_cval)
#define TIMER_SUFFIX_TIMER_PHYS "_EL0"
#define TIMER_SUFFIX_TIMER_VIRT "_EL0"
#define TIMER_SUFFIX_TIMER_HYP  "_EL2"
#define TIMER_SUFFIX_TIMER_SEC  "_EL1"
#define BREAKPOINT(n, bits) \
    PLAIN_W(2, 0, 0, n, 4, "DBGBVR" #n "_EL1", 1, T_DEBUG, dbgbvr[n], bits, write_debug, 0), \
    PLAIN_W(2, 0, 0, n, 5, "DBGBCR" #n "_EL1", 1, T_DEBUG, dbgbcr[n], BCR_BITS, write_dbgbcr, BCR_BAS)
#define WATCHPOINT(n) \
    PLAIN_W(2, 0, 0, n, 6, "DBGWVR" #n "_EL1", 1, T_DEBUG, dbgwvr[n], ALL & ~UINT64_C(3), write_debug, 0), \
    PLAIN_W(2, 0, 0, n, 7, "DBGWCR" #n "_EL1", 1, T_DEBUG, dbgwcr[n], WCR_BITS, write_debug, 0)
#define EVENT_COUNTER(n) \
    FN(3, 3, 14, 8, n, "PMEVCNTR" #n "_EL0", 0, T_PMEVCNTR, 0, n, read_pmevcntr, write_pmevcntr), \
    FN(3, 3, 14, 12, n, "PMEVTYPER" #n "_EL0", 0, T_PMU, 0, n, read_pmevtyper, write_pmevtyper)
#define BCR_BITS UINT64_C(0x00ffe1e7)
#define WCR_BITS UINT64_C(0x1f1fffff)

#define SCTLR1_RESET UINT64_C(0x30d50838)
#define SCTLR2_RESET UINT64_C(0x30c50838)

static const struct sysreg sysregs[] = {
    /* Identification. */
    ID(0, 0, 0, 0, "MIDR_EL1", T_NONE, read_midr),
    ID(0, 0, 0, 5, "MPIDR_EL1", T_NONE, read_mpidr),
    ID(0, 0, 0, 6, "REVIDR_EL1", T_ID1, read_zero),
    ID(0, 0, 4, 0, "ID_AA64PFR0_EL1", T_ID3, read_pfr0),
    ID(0, 0, 4, 1, "ID_AA64PFR1_EL1", T_ID3, read_zero),
    ID(0, 0, 5, 0, "ID_AA64DFR0_EL1", T_ID3, read_dfr0),
    ID(0, 0, 5, 1, "ID_AA64DFR1_EL1", T_ID3, read_zero),
    ID(0, 0, 5, 4, "ID_AA64AFR0_EL1", T_ID3, read_zero),
    ID(0, 0, 5, 5, "ID_AA64AFR1_EL1", T_ID3, read_zero),
    ID(0, 0, 6, 0, "ID_AA64ISAR0_EL1", T_ID3, read_isar0),
    ID(0, 0, 6, 1, "ID_AA64ISAR1_EL1", T_ID3, read_zero),
    ID(0, 0, 7, 0, "ID_AA64MMFR0_EL1", T_ID3, read_mmfr0),
    ID(0, 0, 7, 1, "ID_AA64MMFR1_EL1", T_ID3, read_mmfr1),
    ID(0, 0, 7, 2, "ID_AA64MMFR2_EL1", T_ID3, read_zero),
    ID(1, 0, 0, 0, "CCSIDR_EL1", T_ID2, read_ccsidr),
    ID(1, 0, 0, 1, "CLIDR_EL1", T_ID2, read_clidr),
    ID(1, 0, 0, 7, "AIDR_EL1", T_ID1, read_zero),
    PLAIN_W(3, 2, 0, 0, 0, "CSSELR_EL1", 1, T_ID2, csselr_el1, 0xf, NULL, 0),
    FN(3, 3, 0, 0, 1, "CTR_EL0", 0, T_CTR, RO, 0, read_ctr, NULL),
    FN(3, 3, 0, 0, 7, "DCZID_EL0", 0, T_NONE, RO, 0, read_dczid, NULL),
    PLAIN(3, 4, 0, 0, 0, "VPIDR_EL2", 2, T_NONE, vpidr_el2, 0),
    PLAIN(3, 4, 0, 0, 5, "VMPIDR_EL2", 2, T_NONE, vmpidr_el2, 0),

    /* Control. */
    PLAIN_W(3, 0, 1, 0, 0, "SCTLR_EL1", 1, T_VM, sctlr[1], 0xffffffff, write_sctlr, SCTLR1_RESET),
    PLAIN(3, 0, 1, 0, 1, "ACTLR_EL1", 1, T_ACTLR, actlr[1], 0),
    PLAIN_W(3, 0, 1, 0, 2, "CPACR_EL1", 1, T_CPACR, cpacr_el1, 0x10300000, write_mode, 0),
    PLAIN_W(3, 4, 1, 0, 0, "SCTLR_EL2", 2, T_NONE, sctlr[2], 0xffffffff, write_sctlr, SCTLR2_RESET),
    PLAIN(3, 4, 1, 0, 1, "ACTLR_EL2", 2, T_NONE, actlr[2], 0),
    PLAIN_W(3, 4, 1, 1, 0, "HCR_EL2", 2, T_NONE, hcr_el2, UINT64_C(0x3ffffffff), write_hcr, HCR_RW),
    PLAIN_W(3, 4, 1, 1, 1, "MDCR_EL2", 2, T_NONE, mdcr_el2, 0xfff, write_pmfilter, A64_EVENT_COUNTERS),
    PLAIN_W(3, 4, 1, 1, 2, "CPTR_EL2", 2, T_CPTR2, cptr_el2, ALL, write_mode, 0x33ff),
    PLAIN(3, 4, 1, 1, 3, "HSTR_EL2", 2, T_NONE, hstr_el2, 0),
    PLAIN(3, 4, 1, 1, 7, "HACR_EL2", 2, T_NONE, hacr_el2, 0),
    PLAIN_W(3, 6, 1, 0, 0, "SCTLR_EL3", 3, T_NONE, sctlr[3], 0xffffffff, write_sctlr, SCTLR2_RESET),
    PLAIN(3, 6, 1, 0, 1, "ACTLR_EL3", 3, T_NONE, actlr[3], 0),
    PLAIN_W(3, 6, 1, 1, 0, "SCR_EL3", 3, T_NONE, scr_el3, 0x3fff, write_scr, 0x430),
    ZERO(3, 6, 1, 1, 1, "SDER32_EL3", 3, T_NONE),
    PLAIN_W(3, 6, 1, 1, 2, "CPTR_EL3", 3, T_NONE, cptr_el3, ALL, write_mode, 0),
    PLAIN_W(3, 6, 1, 3, 1, "MDCR_EL3", 3, T_NONE, mdcr_el3, 0x33c640, write_pmfilter, 0),

    /* Translation. */
    PLAIN_W(3, 0, 2, 0, 0, "TTBR0_EL1", 1, T_VM, ttbr0[1], ALL, write_table, 0),
    PLAIN_W(3, 0, 2, 0, 1, "TTBR1_EL1", 1, T_VM, ttbr1, ALL, write_table, 0),
    PLAIN_W(3, 0, 2, 0, 2, "TCR_EL1", 1, T_VM, tcr[1], UINT64_C(0x7fffffffff), write_regime, 0),
    PLAIN_W(3, 4, 2, 0, 0, "TTBR0_EL2", 2, T_NONE, ttbr0[2], ALL, write_root, 0),
    PLAIN_W(3, 4, 2, 0, 2, "TCR_EL2", 2, T_NONE, tcr[2], ALL, write_regime, 0),
    PLAIN_W(3, 4, 2, 1, 0, "VTTBR_EL2", 2, T_NONE, vttbr_el2, ALL, write_root, 0),
    PLAIN_W(3, 4, 2, 1, 2, "VTCR_EL2", 2, T_NONE, vtcr_el2, ALL, write_regime, 0),
    PLAIN_W(3, 6, 2, 0, 0, "TTBR0_EL3", 3, T_NONE, ttbr0[3], ALL, write_root, 0),
    PLAIN_W(3, 6, 2, 0, 2, "TCR_EL3", 3, T_NONE, tcr[3], ALL, write_regime, 0),
    PLAIN_W(3, 0, 10, 2, 0, "MAIR_EL1", 1, T_VM, mair[1], ALL, write_regime, 0),
    PLAIN(3, 0, 10, 3, 0, "AMAIR_EL1", 1, T_VM, amair[1], 0),
    PLAIN_W(3, 4, 10, 2, 0, "MAIR_EL2", 2, T_NONE, mair[2], ALL, write_regime, 0),
    PLAIN(3, 4, 10, 3, 0, "AMAIR_EL2", 2, T_NONE, amair[2], 0),
    PLAIN_W(3, 6, 10, 2, 0, "MAIR_EL3", 3, T_NONE, mair[3], ALL, write_regime, 0),
    PLAIN(3, 6, 10, 3, 0, "AMAIR_EL3", 3, T_NONE, amair[3], 0),

    /* Exceptions. */
    PLAIN_W(3, 0, 4, 0, 0, "SPSR_EL1", 1, T_NONE, spsr[1], 0xffffffff, NULL, 0),
    PLAIN(3, 0, 4, 0, 1, "ELR_EL1", 1, T_NONE, elr[1], 0),
    PLAIN_W(3, 4, 4, 0, 0, "SPSR_EL2", 2, T_NONE, spsr[2], 0xffffffff, NULL, 0),
    PLAIN(3, 4, 4, 0, 1, "ELR_EL2", 2, T_NONE, elr[2], 0),
    PLAIN_W(3, 6, 4, 0, 0, "SPSR_EL3", 3, T_NONE, spsr[3], 0xffffffff, NULL, 0),
    PLAIN(3, 6, 4, 0, 1, "ELR_EL3", 3, T_NONE, elr[3], 0),
    FN(3, 0, 4, 1, 0, "SP_EL0", 1, T_NONE, 0, 0, read_sp, write_sp),
    FN(3, 4, 4, 1, 0, "SP_EL1", 2, T_NONE, 0, 1, read_sp, write_sp),
    FN(3, 6, 4, 1, 0, "SP_EL2", 3, T_NONE, 0, 2, read_sp, write_sp),
    PSTATE_ROW(0, 4, 2, 0, "SPSel", 1, T_NONE, PSTATE_SP, write_spsel),
    FN(3, 0, 4, 2, 2, "CurrentEL", 1, T_NONE, RO, 0, read_current_el, NULL),
    PSTATE_ROW(0, 4, 2, 3, "PAN", 1, T_NONE, PSTATE_PAN, write_pstate),
    FN(3, 3, 4, 2, 0, "NZCV", 0, T_NONE, 0, 0, read_nzcv, write_nzcv),
    PSTATE_ROW(3, 4, 2, 1, "DAIF", 0, T_DAIF, PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F, write_pstate),
    FN(3, 3, 4, 4, 0, "FPCR", 0, T_FP, HIDDEN, 0, read_fpcr, write_fpcr),
    FN(3, 3, 4, 4, 1, "FPSR", 0, T_FP, HIDDEN, 0, read_fpsr, write_fpsr),
    ZERO(3, 4, 4, 3, 0, "SPSR_irq", 2, T_NONE),
    ZERO(3, 4, 4, 3, 1, "SPSR_abt", 2, T_NONE),
    ZERO(3, 4, 4, 3, 2, "SPSR_und", 2, T_NONE),
    ZERO(3, 4, 4, 3, 3, "SPSR_fiq", 2, T_NONE),
    PLAIN(3, 0, 5, 1, 0, "AFSR0_EL1", 1, T_VM, afsr0[1], 0),
    PLAIN(3, 0, 5, 1, 1, "AFSR1_EL1", 1, T_VM, afsr1[1], 0),
    PLAIN_W(3, 0, 5, 2, 0, "ESR_EL1", 1, T_VM, esr[1], 0xffffffff, NULL, 0),
    PLAIN(3, 4, 5, 1, 0, "AFSR0_EL2", 2, T_NONE, afsr0[2], 0),
    PLAIN(3, 4, 5, 1, 1, "AFSR1_EL2", 2, T_NONE, afsr1[2], 0),
    PLAIN_W(3, 4, 5, 2, 0, "ESR_EL2", 2, T_NONE, esr[2], 0xffffffff, NULL, 0),
    PLAIN(3, 6, 5, 1, 0, "AFSR0_EL3", 3, T_NONE, afsr0[3], 0),
    PLAIN(3, 6, 5, 1, 1, "AFSR1_EL3", 3, T_NONE, afsr1[3], 0),
    PLAIN_W(3, 6, 5, 2, 0, "ESR_EL3", 3, T_NONE, esr[3], 0xffffffff, NULL, 0),
    PLAIN(3, 0, 6, 0, 0, "FAR_EL1", 1, T_VM, far[1], 0),
    PLAIN(3, 4, 6, 0, 0, "FAR_EL2", 2, T_NONE, far[2], 0),
    PLAIN_W(3, 4, 6, 0, 4, "HPFAR_EL2", 2, T_NONE, hpfar_el2, UINT64_C(0xfffffffff0), NULL, 0),
    PLAIN(3, 6, 6, 0, 0, "FAR_EL3", 3, T_NONE, far[3], 0),
    PLAIN(3, 0, 7, 4, 0, "PAR_EL1", 1, T_NONE, par_el1, 0),
    PLAIN_W(3, 0, 12, 0, 0, "VBAR_EL1", 1, T_NONE, vbar[1], ~UINT64_C(0x7ff), NULL, 0),
    PLAIN_W(3, 4, 12, 0, 0, "VBAR_EL2", 2, T_NONE, vbar[2], ~UINT64_C(0x7ff), NULL, 0),
    PLAIN_W(3, 6, 12, 0, 0, "VBAR_EL3", 3, T_NONE, vbar[3], ~UINT64_C(0x7ff), NULL, 0),
    FN(3, 0, 12, 0, 1, "RVBAR_EL1", 1, T_NONE, RO | ONLY_TOP, 0, read_zero, NULL),
    FN(3, 0, 12, 0, 2, "RMR_EL1", 1, T_NONE, ONLY_TOP | ACTS, 0, read_rmr, write_rmr),
    FN(3, 4, 12, 0, 1, "RVBAR_EL2", 2, T_NONE, RO | ONLY_TOP, 0, read_zero, NULL),
    FN(3, 4, 12, 0, 2, "RMR_EL2", 2, T_NONE, ONLY_TOP | ACTS, 0, read_rmr, write_rmr),
    FN(3, 6, 12, 0, 1, "RVBAR_EL3", 3, T_NONE, RO | ONLY_TOP, 0, read_zero, NULL),
    FN(3, 6, 12, 0, 2, "RMR_EL3", 3, T_NONE, ONLY_TOP | ACTS, 0, read_rmr, write_rmr),
    FN(3, 0, 12, 1, 0, "ISR_EL1", 1, T_NONE, RO, 0, read_isr, NULL),

    /* AArch32's, as far as AArch64 has them. */
    ZERO(3, 4, 3, 0, 0, "DACR32_EL2", 2, T_NONE),
    ZERO(3, 4, 5, 0, 1, "IFSR32_EL2", 2, T_NONE),
    ZERO(3, 4, 5, 3, 0, "FPEXC32_EL2", 2, T_NONE),
    ZERO(2, 4, 0, 7, 0, "DBGVCR32_EL2", 2, T_DEBUG),

    /* Software's own. */
    PLAIN_W(3, 0, 13, 0, 1, "CONTEXTIDR_EL1", 1, T_VM, contextidr_el1, 0xffffffff, NULL, 0),
    PLAIN(3, 0, 13, 0, 4, "TPIDR_EL1", 1, T_NONE, tpidr[1], 0),
    PLAIN(3, 3, 13, 0, 2, "TPIDR_EL0", 0, T_NONE, tpidr[0], 0),
    {.enc = SYSREG(3, 3, 13, 0, 3), .name = "TPIDRRO_EL0", .el = 0, .flags = WRITE_EL1,
     .offset = S_OFF(tpidrro_el0), .mask = ALL},
    PLAIN(3, 4, 13, 0, 2, "TPIDR_EL2", 2, T_NONE, tpidr[2], 0),
    PLAIN(3, 6, 13, 0, 2, "TPIDR_EL3", 3, T_NONE, tpidr[3], 0),

    /* Generic timers. */
    {.enc = SYSREG(3, 3, 14, 0, 0), .name = "CNTFRQ_EL0", .el = 0, .trap = T_CNTFRQ, .flags = WRITE_TOP,
     .offset = S_OFF(cntfrq_el0), .mask = 0xffffffff, .reset = A64_CNTFRQ},
    FN(3, 3, 14, 0, 1, "CNTPCT_EL0", 0, T_CNTPCT, RO, TIMER_PHYS, read_count, NULL),
    FN(3, 3, 14, 0, 2, "CNTVCT_EL0", 0, T_CNTVCT, RO, TIMER_VIRT, read_count, NULL),
    TIMER(3, 2, "CNTP", 0, T_CNTP, TIMER_PHYS),
    TIMER(3, 3, "CNTV", 0, T_CNTV, TIMER_VIRT),
    TIMER(4, 2, "CNTHP", 2, T_NONE, TIMER_HYP),
    TIMER(7, 2, "CNTPS", 1, T_CNTPS, TIMER_SEC),
    PLAIN_W(3, 0, 14, 1, 0, "CNTKCTL_EL1", 1, T_NONE, cntkctl_el1, 0x3ff, write_timer_control, 0),
    PLAIN_W(3, 4, 14, 1, 0, "CNTHCTL_EL2", 2, T_NONE, cnthctl_el2, 0xff, write_timer_control, 3),
    PLAIN_W(3, 4, 14, 0, 3, "CNTVOFF_EL2", 2, T_NONE, cntvoff_el2, ALL, write_timer_control, 0),

    /* Performance monitors. */
    FN(3, 3, 9, 12, 0, "PMCR_EL0", 0, T_PMCR, ACTS, 0, read_pmcr, write_pmcr),
    {.enc = SYSREG(3, 3, 9, 12, 1), .name = "PMCNTENSET_EL0", .trap = T_PMU, .offset = S_OFF(pmcntenset_el0),
     .mask = ALL, .read = read_pmset, .write = write_pmset},
    {.enc = SYSREG(3, 3, 9, 12, 2), .name = "PMCNTENCLR_EL0", .trap = T_PMU, .flags = ACTS, .offset = S_OFF(pmcntenset_el0),
     .mask = ALL, .read = read_pmset, .write = write_pmclear},
    FN(3, 3, 9, 12, 3, "PMOVSCLR_EL0", 0, T_PMU, ACTS, 0, read_pmovs, write_pmovs),
    FN(3, 3, 9, 14, 3, "PMOVSSET_EL0", 0, T_PMU, 0, 1, read_pmovs, write_pmovs),
    {.enc = SYSREG(3, 0, 9, 14, 1), .name = "PMINTENSET_EL1", .el = 1, .trap = T_PMU, .offset = S_OFF(pmintenset_el1),
     .mask = ALL, .read = read_pmset, .write = write_pmset},
    {.enc = SYSREG(3, 0, 9, 14, 2), .name = "PMINTENCLR_EL1", .el = 1, .trap = T_PMU, .flags = ACTS,
     .offset = S_OFF(pmintenset_el1), .mask = ALL, .read = read_pmset, .write = write_pmclear},
    FN(3, 3, 9, 12, 4, "PMSWINC_EL0", 0, T_PMSWINC, WO, 0, read_zero, write_pmswinc),
    PLAIN_W(3, 3, 9, 12, 5, "PMSELR_EL0", 0, T_PMSELR, pmselr_el0, 31, NULL, 0),
    FN(3, 3, 9, 12, 6, "PMCEID0_EL0", 0, T_PMU, RO, 0, read_pmceid0, NULL),
    FN(3, 3, 9, 12, 7, "PMCEID1_EL0", 0, T_PMU, RO, 0, read_zero, NULL),
    FN(3, 3, 9, 13, 0, "PMCCNTR_EL0", 0, T_PMCCNTR, 0, 0, read_pmccntr, write_pmccntr),
    FN(3, 3, 9, 13, 1, "PMXEVTYPER_EL0", 0, T_PMU, 0, 0, read_pmxevtyper, write_pmxevtyper),
    FN(3, 3, 9, 13, 2, "PMXEVCNTR_EL0", 0, T_PMEVCNTR, 0, 0, read_pmxevcntr, write_pmxevcntr),
    {.enc = SYSREG(3, 3, 9, 14, 0), .name = "PMUSERENR_EL0", .el = 0, .trap = T_PMUSEREN, .flags = WRITE_EL1,
     .offset = S_OFF(pmuserenr_el0), .mask = 15},
    PLAIN_W(3, 3, 14, 15, 7, "PMCCFILTR_EL0", 0, T_PMU, pmccfiltr_el0, 0xfc000000, write_pmfilter, 0),
    EVENT_COUNTER(0), EVENT_COUNTER(1), EVENT_COUNTER(2), EVENT_COUNTER(3), EVENT_COUNTER(4), EVENT_COUNTER(5),

    /* Debug. */
    PLAIN_W(2, 0, 0, 0, 2, "OSDTRRX_EL1", 1, T_DEBUG, osdtrrx, 0xffffffff, NULL, 0),
    PLAIN_W(2, 0, 0, 2, 0, "MDCCINT_EL1", 1, T_DEBUG, mdccint_el1, 0x60000000, NULL, 0),
    PLAIN_W(2, 0, 0, 2, 2, "MDSCR_EL1", 1, T_DEBUG, mdscr_el1, 0x6ce0f041, write_mdscr, 0),
    PLAIN_W(2, 0, 0, 3, 2, "OSDTRTX_EL1", 1, T_DEBUG, osdtrtx, 0xffffffff, NULL, 0),
    ZERO(2, 0, 0, 6, 2, "OSECCR_EL1", 1, T_DEBUG),
    BREAKPOINT(0, ALL & ~UINT64_C(3)), BREAKPOINT(1, ALL & ~UINT64_C(3)), BREAKPOINT(2, ALL & ~UINT64_C(3)),
    BREAKPOINT(3, ALL & ~UINT64_C(3)), BREAKPOINT(4, ALL), BREAKPOINT(5, ALL),
    WATCHPOINT(0), WATCHPOINT(1), WATCHPOINT(2), WATCHPOINT(3),
    FN(2, 0, 1, 0, 0, "MDRAR_EL1", 1, T_DROM, RO, 0, read_zero, NULL),
    FN(2, 0, 1, 0, 4, "OSLAR_EL1", 1, T_OSLOCK, WO, 0, read_zero, write_oslar),
    {.enc = SYSREG(2, 0, 1, 1, 4), .name = "OSLSR_EL1", .el = 1, .trap = T_OSLOCK, .flags = RO,
     .offset = S_OFF(oslsr_el1), .mask = ALL, .reset = 0xa},
    PLAIN_W(2, 0, 1, 3, 4, "OSDLR_EL1", 1, T_OSLOCK, osdlr_el1, 1, NULL, 0),
    ZERO(2, 0, 1, 4, 4, "DBGPRCR_EL1", 1, T_OSLOCK),
    FN(2, 0, 7, 8, 6, "DBGCLAIMSET_EL1", 1, T_DEBUG, ACTS, 0, read_claim, write_claim),
    FN(2, 0, 7, 9, 6, "DBGCLAIMCLR_EL1", 1, T_DEBUG, ACTS, 1, read_claim, write_claim),
    FN(2, 0, 7, 14, 6, "DBGAUTHSTATUS_EL1", 1, T_DEBUG, RO, 0, read_zero, NULL),
    FN(2, 3, 0, 1, 0, "MDCCSR_EL0", 0, T_DCC, RO, 0, read_zero, NULL),
    ZERO(2, 3, 0, 4, 0, "DBGDTR_EL0", 0, T_DCC),
    ZERO(2, 3, 0, 5, 0, "DBGDTRRX_EL0", 0, T_DCC),

    /* Cortex-A53 and A57's own that firmware and kernels touch. */
    ZERO(3, 1, 15, 2, 0, "CPUACTLR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 15, 2, 1, "CPUECTLR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 15, 2, 2, "CPUMERRSR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 15, 2, 3, "L2MERRSR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 11, 0, 2, "L2CTLR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 11, 0, 3, "L2ECTLR_EL1", 1, T_IMPDEF),
    ZERO(3, 1, 15, 0, 0, "L2ACTLR_EL1", 1, T_IMPDEF),
    FN(3, 1, 15, 3, 0, "CBAR_EL1", 1, T_IMPDEF, RO, 0, read_zero, NULL),
};

const unsigned a64_nsysregs = ARRAY_LEN(sysregs);

/* The identification space where nothing is allocated. */
static const struct sysreg reserved_id = {.name = "", .el = 1, .trap = T_ID3, .flags = RO, .read = read_zero};

void a64_reset_sysregs(struct a64_cpu *c)
{
    for (unsigned i = 0; i < a64_nsysregs; i++)
        if (sysregs[i].offset && !sysregs[i].read)
            *plain(c, &sysregs[i]) = sysregs[i].reset;
    c->st->vpidr_el2 = c->model->midr;
}

/* Does the CPU have the level and the feature that the register belongs to? */
static bool exists(const struct a64_cpu *c, const struct sysreg *r)
{
    if (r->el >= 2 && r->enc >> 11 & 4 && !a64_has_el(c, r->el))
        return r->el == 2 && a64_has_el(c, 3);
    if (r->trap == T_CNTPS && !a64_has_el(c, 3))
        return false;
    if ((r->flags & ONLY_TOP) && r->el != a64_highest_el(c))
        return false;
    if (r->read == read_pstate && r->mask == PSTATE_PAN)
        return c->model->pan;
    return true;
}

/* Places without a register, and with one that this CPU does not have. */
#define NO_ROW     UINT16_MAX
#define ABSENT_ROW (UINT16_MAX - 1)

void a64_index_sysregs(struct a64_cpu *c)
{
    c->sysreg_index = xmalloc(sizeof(uint16_t) << 16);
    memset(c->sysreg_index, 0xff, sizeof(uint16_t) << 16);
    for (unsigned i = 0; i < a64_nsysregs; i++) {
        CHECK(c->sysreg_index[sysregs[i].enc] == NO_ROW);
        c->sysreg_index[sysregs[i].enc] = exists(c, &sysregs[i]) ? (uint16_t)i : ABSENT_ROW;
    }
}

static const struct sysreg *find(const struct a64_cpu *c, uint32_t enc)
{
    uint16_t row = c->sysreg_index[enc & 0xffff];

    if (row < ABSENT_ROW)
        return &sysregs[row];
    if (row == ABSENT_ROW)
        return NULL;
    /* op0 3, op1 0, CRn 0, CRm 1-7 */
    if ((enc & ~UINT32_C(0x7f)) == SYSREG(3, 0, 0, 0, 0) && (enc >> 3 & 15) && (enc >> 3 & 15) < 8)
        return &reserved_id;
    return NULL;
}

static bool is_gic(uint32_t enc)
{
    unsigned op0 = enc >> 14, op1 = enc >> 11 & 7, crn = enc >> 7 & 15, crm = enc >> 3 & 15;

    if (op0 != 3)
        return false;
    if (crn == 4)
        return op1 == 0 && crm == 6;
    return crn == 12 && crm >= 8 && (op1 == 0 || op1 == 4 || op1 == 6);
}

/* ---- traps ---- */

#define PMUSER_EN BIT64(0)
#define PMUSER_SW BIT64(1)
#define PMUSER_CR BIT64(2)
#define PMUSER_ER BIT64(3)

/* May EL0 do it? */
static bool user_allowed(const struct a64_cpu *c, enum sysreg_trap t, bool write)
{
    const struct a64_state *s = c->st;

    switch (t) {
    case T_CTR:
        return s->sctlr[1] & SCTLR_UCT;
    case T_DAIF:
        return s->sctlr[1] & SCTLR_UMA;
    case T_PMU:
    case T_PMCR:
        return s->pmuserenr_el0 & PMUSER_EN;
    case T_PMCCNTR:
        return s->pmuserenr_el0 & (write ? PMUSER_EN : PMUSER_EN | PMUSER_CR);
    case T_PMEVCNTR:
        return s->pmuserenr_el0 & (write ? PMUSER_EN : PMUSER_EN | PMUSER_ER);
    case T_PMSELR:
        return s->pmuserenr_el0 & (PMUSER_EN | PMUSER_ER);
    case T_PMSWINC:
        return s->pmuserenr_el0 & (PMUSER_EN | PMUSER_SW);
    case T_DCC:
        return !(s->mdscr_el1 & MDSCR_TDCC);
    case T_CNTFRQ:
        return s->cntkctl_el1 & 3;
    case T_CNTPCT:
        return s->cntkctl_el1 & 1;
    case T_CNTVCT:
        return s->cntkctl_el1 & 2;
    case T_CNTV:
        return s->cntkctl_el1 & BIT64(8);
    case T_CNTP:
        return s->cntkctl_el1 & BIT64(9);
    default:
        return true;
    }
}

/* Does EL2 want to hear of it, from EL1 or EL0? */
static bool hypervisor_traps(const struct a64_cpu *c, enum sysreg_trap t, bool write)
{
    const struct a64_state *s = c->st;
    uint64_t hcr = s->hcr_el2, mdcr = s->mdcr_el2 | (hcr & HCR_TGE ? MDCR_TDE : 0);

    switch (t) {
    case T_VM:
        return hcr & (write ? HCR_TVM : HCR_TRVM);
    case T_ID1:
        return hcr & HCR_TID1;
    case T_ID2:
    case T_CTR:
        return hcr & HCR_TID2;
    case T_ID3:
        return hcr & HCR_TID3;
    case T_ACTLR:
        return hcr & HCR_TACR;
    case T_IMPDEF:
        return hcr & HCR_TIDCP;
    case T_CPACR:
        return s->cptr_el2 & CPTR_TCPAC;
    case T_PMCR:
        return mdcr & (MDCR_TPM | MDCR_TPMCR);
    case T_PMU:
    case T_PMCCNTR:
    case T_PMEVCNTR:
    case T_PMSELR:
    case T_PMSWINC:
    case T_PMUSEREN:
        return mdcr & MDCR_TPM;
    case T_DEBUG:
    case T_DCC:
        return mdcr & (MDCR_TDA | MDCR_TDE);
    case T_OSLOCK:
        return mdcr & (MDCR_TDOSA | MDCR_TDE);
    case T_DROM:
        return mdcr & (MDCR_TDRA | MDCR_TDE);
    case T_CNTPCT:
        return !(s->cnthctl_el2 & 1);
    case T_CNTP:
        return !(s->cnthctl_el2 & 2);
    default:
        return false;
    }
}

static bool monitor_traps(const struct a64_cpu *c, enum sysreg_trap t)
{
    switch (t) {
    case T_CPACR:
    case T_CPTR2:
        return c->st->cptr_el3 & CPTR_TCPAC;
    case T_PMU: case T_PMCR: case T_PMCCNTR: case T_PMEVCNTR: case T_PMSELR: case T_PMSWINC: case T_PMUSEREN:
        return c->st->mdcr_el3 & MDCR_TPM;
    case T_DEBUG: case T_DCC: case T_DROM:
        return c->st->mdcr_el3 & MDCR_TDA;
    case T_OSLOCK:
        return c->st->mdcr_el3 & MDCR_TDOSA;
    default:
        return false;
    }
}

/* The level that the access traps to, 0: none. */
static unsigned trap_of(const struct a64_cpu *c, enum sysreg_trap t, bool write)
{
    const struct a64_state *s = c->st;

    if (s->el == 0 && !user_allowed(c, t, write))
        return a64_default_el(c);
    if (s->el < 2 && a64_el2_enabled(c) && hypervisor_traps(c, t, write))
        return 2;
    if (s->el < 3 && a64_has_el(c, 3) && monitor_traps(c, t))
        return 3;
    return 0;
}

static uint32_t syndrome(uint32_t enc, unsigned rt, bool read)
{
    return (enc >> 14 & 3) << 20 | (enc & 7) << 17 | (enc >> 11 & 7) << 14 | (enc >> 7 & 15) << 10 | rt << 5 |
           (enc >> 3 & 15) << 1 | read;
}

/* Register number of the operand at a state offset. */
static unsigned operand_register(unsigned offset)
{
    return offset <= S_X(30) ? (offset - S_X(0)) / 8 : 31;
}

/* May the access happen? UOP_NEXT, or UOP_FAULT with the exception pending. */
static int check_access(struct a64_cpu *c, const struct sysreg *r, uint32_t enc, unsigned rt, bool write)
{
    unsigned el = c->st->el, lowest = r->el, target;

    if (write && (r->flags & WRITE_EL1))
        lowest = 1;
    if (write && (r->flags & WRITE_TOP))
        lowest = a64_highest_el(c);
    if (el < lowest || (r->flags & (write ? RO : WO)))
        return a64_undefined(c);
    if (r->trap == T_CNTPS && el < 3) {
        if (el != 1 || !a64_secure_below_el3(c))
            return a64_undefined(c);
        if (!(c->st->scr_el3 & SCR_ST))
            return a64_raise_to(c, 3, EC_SYSREG, syndrome(enc, rt, !write));
    }
    /* SP_EL0 is not for whoever uses it. */
    if (r->read == read_sp && r->index == 0 && !(c->st->pstate & PSTATE_SP))
        return a64_undefined(c);
    target = trap_of(c, (enum sysreg_trap)r->trap, write);
    return target ? a64_raise_to(c, target, EC_SYSREG, syndrome(enc, rt, !write)) : UOP_NEXT;
}

/* ---- access ---- */

static uint64_t read_row(const struct a64_cpu *c, const struct sysreg *r)
{
    return r->read ? r->read(c, r) : *plain(c, r);
}

static void write_row(struct a64_cpu *c, const struct sysreg *r, uint64_t value)
{
    if (r->write)
        r->write(c, r, value);
    else
        *plain(c, r) = value & r->mask;
}

static uint64_t load_operand(const struct ucpu *u, unsigned offset)
{
    uint64_t v;

    memcpy(&v, u->s + offset, sizeof v);
    return v;
}

static void store_operand(struct ucpu *u, unsigned offset, uint64_t v)
{
    memcpy(u->s + offset, &v, sizeof v);
}

/* Is it one of the encodings for what implementations define? */
static bool is_implementation_defined(uint32_t enc)
{
    unsigned crn = enc >> 7 & 15;

    return enc >> 14 == 3 && (crn == 11 || crn == 15);
}

/* A register that has no row: one of the interrupt controller's? UOP_FAULT: no, or it traps. */
static int gic_access(struct a64_cpu *c, uint32_t enc, unsigned rt, bool write, uint64_t *v)
{
    unsigned op1 = enc >> 11 & 7, lowest = op1 == 4 ? 2 : op1 == 6 ? 3 : 1, target;

    if (is_implementation_defined(enc) && c->st->el == 1 && (a64_hcr(c) & HCR_TIDCP))
        return a64_raise_to(c, 2, EC_SYSREG, syndrome(enc, rt, !write));
    if (!is_gic(enc) || !c->gic_read || c->st->el < lowest)
        return a64_undefined(c);
    target = c->gic_trap ? c->gic_trap(c->gic_ctx, enc, write) : 0;
    if (target)
        return a64_raise_to(c, target, EC_SYSREG, syndrome(enc, rt, !write));
    if (write ? c->gic_write(c->gic_ctx, enc, *v) : c->gic_read(c->gic_ctx, enc, v))
        return UOP_NEXT;
    return a64_undefined(c);
}

int a64_op_mrs(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    const struct sysreg *r = find(c, op->b);
    uint64_t v = 0;

    if (!r) {
        if (gic_access(c, op->b, operand_register(op->d), false, &v) != UOP_NEXT)
            return UOP_FAULT;
    } else {
        if (check_access(c, r, op->b, operand_register(op->d), false) != UOP_NEXT)
            return UOP_FAULT;
        v = read_row(c, r);
    }
    store_operand(u, op->d, v);
    return UOP_NEXT;
}

int a64_op_msr(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    const struct sysreg *r = find(c, op->b);
    uint64_t v = load_operand(u, op->a);

    if (!r)
        return gic_access(c, op->b, operand_register(op->a), true, &v);
    if (check_access(c, r, op->b, operand_register(op->a), true) != UOP_NEXT)
        return UOP_FAULT;
    write_row(c, r, v);
    return UOP_NEXT;
}

int a64_op_msr_imm(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    struct a64_state *s = c->st;
    uint32_t bits = ((uint32_t)op->a & 15) << 6;
    uint32_t enc = SYSREG(0, op->d >> 3, 4, op->a & 15, op->d & 7);

    switch (op->d) {
    case 0x05: /* SPSel */
        if (s->el == 0)
            return a64_undefined(c);
        a64_set_mode(c, s->el, op->a & 1);
        break;
    case 0x04: /* PAN */
        if (s->el == 0 || !c->model->pan)
            return a64_undefined(c);
        s->pstate = (s->pstate & ~PSTATE_PAN) | (op->a & 1 ? PSTATE_PAN : 0);
        break;
    case 0x1e: /* DAIFSet */
    case 0x1f: /* DAIFClr */
        if (s->el == 0 && !(s->sctlr[1] & SCTLR_UMA))
            return a64_raise(c, EC_SYSREG, syndrome(enc, 31, false));
        if (op->d == 0x1e)
            s->pstate |= bits;
        else
            s->pstate &= ~bits;
        break;
    default:
        return a64_undefined(c);
    }
    a64_regime_changed(c);
    return UOP_NEXT;
}

/* ---- SYS ---- */

/* A trap of a system instruction that has one, or UOP_NEXT. */
static int sys_trap(struct a64_cpu *c, const struct uop *op, uint64_t user_bit, uint64_t hcr_bits)
{
    uint32_t iss = syndrome(op->b, operand_register(op->a), false);

    if (c->st->el == 0 && !(c->st->sctlr[1] & user_bit))
        return user_bit ? a64_raise(c, EC_SYSREG, iss) : a64_undefined(c);
    if (c->st->el < 2 && (a64_hcr(c) & hcr_bits))
        return a64_raise_to(c, 2, EC_SYSREG, iss);
    return UOP_NEXT;
}

/* Maintenance by address: caches are coherent, what remains is the translation. */
static int maintain(struct a64_cpu *c, const struct uop *op, enum access access)
{
    if (a64_maintainable(c, load_operand(&c->u, op->a), access))
        return UOP_NEXT;
    c->exc.esr |= ISS_CM | ISS_WNR;
    c->exc.stage2_data = false;
    return UOP_FAULT;
}

#define CACHE_LINE_BYTES 64u /* CTR_EL0.DminLine = 4 */

static int cache_op(struct a64_cpu *c, const struct uop *op, unsigned op1, unsigned crm, unsigned op2)
{
    int r;

    switch (op1 << 8 | crm << 4 | op2) {
    case 0x010: /* IC IALLUIS */
    case 0x050: /* IC IALLU */
        return sys_trap(c, op, 0, HCR_TPU);
    case 0x062: /* DC ISW */
    case 0x0a2: /* DC CSW */
    case 0x0e2: /* DC CISW */
        return sys_trap(c, op, 0, HCR_TSW);
    case 0x061: /* DC IVAC */
        r = sys_trap(c, op, 0, HCR_TPC);
        if (r == UOP_NEXT)
            r = maintain(c, op, ACCESS_WRITE);
        return r == UOP_NEXT && a64_guest_watch_line(c, load_operand(&c->u, op->a), CACHE_LINE_BYTES) ? UOP_FAULT : r;
    case 0x351: /* IC IVAU */
    case 0x3b1: /* DC CVAU */
        r = sys_trap(c, op, SCTLR_UCI, HCR_TPU);
        return r == UOP_NEXT ? maintain(c, op, ACCESS_READ) : r;
    case 0x3a1: /* DC CVAC */
    case 0x3e1: /* DC CIVAC */
        r = sys_trap(c, op, SCTLR_UCI, HCR_TPC);
        return r == UOP_NEXT ? maintain(c, op, ACCESS_READ) : r;
    case 0x341: /* DC ZVA: comes here when it is trapped */
        return sys_trap(c, op, SCTLR_DZE, HCR_TDZ);
    default:
        return a64_undefined(c);
    }
}

/* The translation that AT asks for exists here. */
static int address_op(struct a64_cpu *c, const struct uop *op, unsigned op1, unsigned op2)
{
    unsigned lowest = op1 == 0 ? 1 : op1 == 4 ? 2 : 3;

    if (c->st->el < lowest || (op1 == 0 && op2 > 3) || (op1 == 4 && (op2 == 2 || op2 == 3)) || (op1 == 6 && op2 > 1))
        return a64_undefined(c);
    if (op1 == 4 && (!a64_has_el(c, 2) || (op2 < 2 && !a64_el2_enabled(c))))
        return a64_undefined(c);
    return a64_at(c, load_operand(&c->u, op->a), op1, 8, op2);
}

static int tlb_op(struct a64_cpu *c, const struct uop *op, unsigned op1, unsigned crm, unsigned op2)
{
    /* op2 values by CRm. */
    static const uint8_t el1 = 0xaf, el2 = 0x73, el3 = 0x23, ipa = 0x22;
    bool known = false;

    if (op1 == 0)
        known = (crm == 3 || crm == 7) && (el1 >> op2 & 1);
    else if (op1 == 4 && (crm == 3 || crm == 7))
        known = el2 >> op2 & 1;
    else if (op1 == 4 && (crm == 0 || crm == 4))
        known = ipa >> op2 & 1;
    else if (op1 == 6)
        known = (crm == 3 || crm == 7) && (el3 >> op2 & 1);
    if (!known || c->st->el < (op1 == 0 ? 1u : op1 == 4 ? 2u : 3u))
        return a64_undefined(c);
    if (op1 == 4 && !a64_has_el(c, 2) && op2 != 4 && op2 != 6)
        return a64_undefined(c);
    /* EL2's own: not from the Secure state. */
    if (op1 == 4 && (crm == 3 || crm == 7) && (op2 & 3) != 2 && op2 != 4 && !a64_el2_enabled(c))
        return a64_undefined(c);
    return op1 == 0 ? sys_trap(c, op, 0, HCR_TTLB) : UOP_NEXT;
}

int a64_op_sys(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    unsigned op1 = op->b >> 11 & 7, crn = op->b >> 7 & 15, crm = op->b >> 3 & 15, op2 = op->b & 7;

    if (crn == 7 && crm == 8)
        return address_op(c, op, op1, op2);
    if (crn == 7)
        return cache_op(c, op, op1, crm, op2);
    if (crn == 8)
        return tlb_op(c, op, op1, crm, op2);
    if ((crn == 11 || crn == 15) && c->st->el == 1 && (a64_hcr(c) & HCR_TIDCP))
        return a64_raise_to(c, 2, EC_SYSREG, syndrome(op->b, operand_register(op->a), false));
    return a64_undefined(c);
}

int a64_op_sysl(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return a64_undefined(a64_of(u)); /* v8.0 allocates none */
}

/* ---- for the debugger ---- */

const char *a64_sysreg_name(unsigned row)
{
    return sysregs[row].name;
}

bool a64_sysreg_visible(const struct a64_cpu *c, unsigned row)
{
    return !(sysregs[row].flags & (WO | HIDDEN)) && exists(c, &sysregs[row]);
}

bool a64_sysreg_exact(unsigned row)
{
    return !(sysregs[row].flags & ACTS);
}

uint64_t a64_sysreg_peek(const struct a64_cpu *c, unsigned row)
{
    return read_row(c, &sysregs[row]);
}

bool a64_sysreg_poke(struct a64_cpu *c, unsigned row, uint64_t value)
{
    const struct sysreg *r = &sysregs[row];

    if (value == read_row(c, r))
        return true; /* also those that cannot be changed: a debugger may write all of them back */
    if (r->flags & RO)
        return false;
    write_row(c, r, value);
    return true;
}
