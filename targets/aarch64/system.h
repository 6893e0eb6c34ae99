/*
 * What the files of the system side of the aarch64 target share: mmu.c,
 * exception.c, sysreg.c, debug.c, timer.c, cpu.c, regs.c.
 */
#ifndef HINDCAST_AARCH64_SYSTEM_H
#define HINDCAST_AARCH64_SYSTEM_H

#include "aarch64/cpu.h"
#include "aarch64/lower.h"

#define BIT64(n) (UINT64_C(1) << (n))

/* SCTLR_ELx (D19.2.118). */
#define SCTLR_M    BIT64(0)
#define SCTLR_A    BIT64(1)
#define SCTLR_SA   BIT64(3)
#define SCTLR_SA0  BIT64(4)
#define SCTLR_UMA  BIT64(9)
#define SCTLR_DZE  BIT64(14)
#define SCTLR_UCT  BIT64(15)
#define SCTLR_NTWI BIT64(16)
#define SCTLR_NTWE BIT64(18)
#define SCTLR_WXN  BIT64(19)
#define SCTLR_SPAN BIT64(23)
#define SCTLR_E0E  BIT64(24)
#define SCTLR_EE   BIT64(25)
#define SCTLR_UCI  BIT64(26)

/* HCR_EL2 (D19.2.48). */
#define HCR_VM    BIT64(0)
#define HCR_PTW   BIT64(2)
#define HCR_FMO   BIT64(3)
#define HCR_IMO   BIT64(4)
#define HCR_AMO   BIT64(5)
#define HCR_VF    BIT64(6)
#define HCR_VI    BIT64(7)
#define HCR_VSE   BIT64(8)
#define HCR_DC    BIT64(12)
#define HCR_TWI   BIT64(13)
#define HCR_TWE   BIT64(14)
#define HCR_TID1  BIT64(16)
#define HCR_TID2  BIT64(17)
#define HCR_TID3  BIT64(18)
#define HCR_TSC   BIT64(19)
#define HCR_TIDCP BIT64(20)
#define HCR_TACR  BIT64(21)
#define HCR_TSW   BIT64(22)
#define HCR_TPC   BIT64(23)
#define HCR_TPU   BIT64(24)
#define HCR_TTLB  BIT64(25)
#define HCR_TVM   BIT64(26)
#define HCR_TGE   BIT64(27)
#define HCR_TDZ   BIT64(28)
#define HCR_HCD   BIT64(29)
#define HCR_TRVM  BIT64(30)
#define HCR_RW    BIT64(31)
#define HCR_CD    BIT64(32)

/* SCR_EL3 (D19.2.117). */
#define SCR_NS  BIT64(0)
#define SCR_IRQ BIT64(1)
#define SCR_FIQ BIT64(2)
#define SCR_EA  BIT64(3)
#define SCR_SMD BIT64(7)
#define SCR_HCE BIT64(8)
#define SCR_ST  BIT64(11)
#define SCR_TWI BIT64(12)
#define SCR_TWE BIT64(13)

/* MDCR_EL2, MDCR_EL3. */
#define MDCR_TPMCR BIT64(5)
#define MDCR_TPM   BIT64(6)
#define MDCR_TDE   BIT64(8)
#define MDCR_TDA   BIT64(9)
#define MDCR_TDOSA BIT64(10)
#define MDCR_TDRA  BIT64(11)
#define MDCR3_SDD  BIT64(16)

/* PMCR_EL0 */
#define PMCR_E  BIT64(0)
#define PMCR_P  BIT64(1)
#define PMCR_C  BIT64(2)
#define PMCR_D  BIT64(3)
#define PMCR_DP BIT64(5)
#define PMCR_LC BIT64(6)

/* MDSCR_EL1 */
#define MDSCR_SS   BIT64(0)
#define MDSCR_TDCC BIT64(12)
#define MDSCR_KDE  BIT64(13)
#define MDSCR_MDE  BIT64(15)

#define TCR_EPD0 BIT64(7)
#define TCR_EPD1 BIT64(23)
#define TCR_TBI0 BIT64(37)
#define TCR_TBI1 BIT64(38)
#define TCR2_TBI BIT64(20) /* TCR_EL2, TCR_EL3 */

#define CPTR_TFP   BIT64(10)
#define CPTR_TCPAC BIT64(31)

#define LINE_IRQ  1u
#define LINE_FIQ  2u
#define LINE_VIRQ 4u
#define LINE_VFIQ 8u

enum { HALTED_WFI = 1, HALTED_WFE = 2, HALTED_OFF = 3, HALTED_SEMIHOST = 4 };

/* Data abort syndrome bits (D19.2.37). */
#define ISS_CV   (1u << 24)
#define ISS_COND (14u << 20)
#define ISS_CM   (1u << 8)
#define ISS_S1PTW (1u << 7)
#define ISS_WNR  (1u << 6)
#define ESR_IL   (1u << 25)
#define ESR_EC_SHIFT 26

static inline bool a64_has_el(const struct a64_cpu *c, unsigned el)
{
    if (el == 2)
        return c->features & A64_HAS_EL2;
    if (el == 3)
        return c->features & A64_HAS_EL3;
    return true;
}

/* Secure state of the levels below EL3. */
static inline bool a64_secure_below_el3(const struct a64_cpu *c)
{
    return (c->features & A64_HAS_EL3) && !(c->st->scr_el3 & SCR_NS);
}

/* What an interrupt controller distinguishes: 2: at EL3; 1: in the Secure state below it; 0: neither. */
static inline uint8_t a64_security(const struct a64_cpu *c)
{
    return c->st->el == 3 ? 2 : a64_secure_below_el3(c);
}

/* EL2 exists and controls EL1 and EL0 now. */
static inline bool a64_el2_enabled(const struct a64_cpu *c)
{
    return (c->features & A64_HAS_EL2) && !a64_secure_below_el3(c);
}

/* HCR_EL2 as far as it is in force. */
static inline uint64_t a64_hcr(const struct a64_cpu *c)
{
    return a64_el2_enabled(c) ? c->st->hcr_el2 : 0;
}

/* The level whose translation regime `el` uses. */
static inline unsigned a64_regime_el(unsigned el)
{
    return el ? el : 1;
}

static inline const struct a64_cpu *a64_const(const struct cpu *cpu)
{
    return (const struct a64_cpu *)(const void *)cpu;
}

/* ---- exception.c ---- */
/* The target of exceptions from here that nothing routes elsewhere. */
unsigned a64_default_el(const struct a64_cpu *c);
/* Complete the pending data or instruction abort. */
int a64_raise_abort(struct a64_cpu *c, unsigned el, bool fetch, uint64_t va, uint32_t iss);
/* Change EL and stack pointer selection; banks SP. */
void a64_set_mode(struct a64_cpu *c, unsigned el, bool spx);
/* A value for PSTATE that a debugger writes. False: it cannot be. */
bool a64_write_pstate(struct a64_cpu *c, uint32_t value);
/* ISR_EL1 */
uint64_t a64_isr(const struct a64_cpu *c);
/* ---- mmu.c ---- */
/* Is stage 1 of the current regime off, and all data Device memory therefore? */
bool a64_all_device(const struct a64_cpu *c);
/* Would the access of a cache maintenance instruction be translated? PSTATE.PAN is not for these.
 * False: an exception is pending. */
bool a64_maintainable(struct a64_cpu *c, uint64_t va, enum access access);

/* ---- cpu.c ---- */
unsigned a64_highest_el(const struct a64_cpu *c);

/* ---- debug.c ---- */
/* Are debug exceptions enabled that would be taken from `el` with PSTATE.D = `masked`? */
bool a64_debug_enabled_from(const struct a64_cpu *c, unsigned el, bool secure, bool masked);
unsigned a64_debug_target(const struct a64_cpu *c);
/* Software step is active: DDI 0487 D2.12. */
bool a64_step_active(const struct a64_cpu *c);
bool a64_single_step(const struct ucpu *u);
void a64_stepped(struct ucpu *u);
bool a64_guest_break(struct ucpu *u, const struct trap_hit *hit);
bool a64_guest_watch_early(struct ucpu *u, const struct trap_hit *hit);
/* Invalidation of the cache line of `bytes` bytes around va counts as a write: true: a watchpoint
 * exception is pending instead of it. */
bool a64_guest_watch_line(struct a64_cpu *c, uint64_t va, unsigned bytes);
/* Does a breakpoint that compares only the context match before the next instruction? */
bool a64_context_break(const struct a64_cpu *c);
/* Then leave its exception pending, or that of the instruction's fetch. */
void a64_raise_context_break(struct a64_cpu *c);
/* Breakpoint or watchpoint registers changed. */
void a64_update_traps(struct a64_cpu *c);

/* ---- timer.c ---- */
struct device *a64_add_timers(struct a64_cpu *c);
/* A timer's or counter's register changed: refresh lines and deadlines. */
void a64_timers_changed(struct a64_cpu *c);
/* The count that timer t compares with (its offset applied). */
uint64_t a64_timer_count(const struct a64_cpu *c, unsigned t);
bool a64_timer_condition(const struct a64_cpu *c, unsigned t);
struct a64_pmu;
/* The performance monitors' registers changed, or what they count: refresh their line and deadlines. */
void a64_pmu_rearm(struct a64_cpu *c, const struct a64_pmu *v);

/* ---- pmu.c ---- */
/* What the counters show at a position. */
struct a64_pmu {
    icount_t position;
    uint64_t cycles, event[A64_EVENT_COUNTERS];
    uint64_t overflow; /* PMOVSSET_EL0 */
};
extern const uint64_t a64_pmceid0;
/* Event counters that the current level can reach. */
unsigned a64_pmu_accessible(const struct a64_cpu *c);
/* Before the step in progress. */
void a64_pmu_values(const struct a64_cpu *c, struct a64_pmu *v);
/* All values and flags now (after the step in progress, if there is one), for changes of v or of what counting depends on;
 * then count on from v. The step in progress must be one whose position is exact. */
void a64_pmu_hold(struct a64_cpu *c, struct a64_pmu *v);
void a64_pmu_hold_after_step(struct a64_cpu *c, struct a64_pmu *v);
void a64_pmu_release(struct a64_cpu *c, const struct a64_pmu *v);
/* PMSWINC_EL0 */
void a64_pmu_software_increment(struct a64_cpu *c, uint64_t counters);
/* The level of the interrupt line. */
bool a64_pmu_interrupts(const struct a64_cpu *c);
/* When counters that show v overflow next: not before then. */
vtime_t a64_pmu_cycle_overflow(const struct a64_cpu *c, const struct a64_pmu *v);
vtime_t a64_pmu_event_overflow(const struct a64_cpu *c, const struct a64_pmu *v);

/* ---- sysreg.c ---- */
struct sysreg;
extern const unsigned a64_nsysregs; /* rows */
void a64_index_sysregs(struct a64_cpu *c);
const char *a64_sysreg_name(unsigned row);
/* As a debugger sees and writes it: no traps, no privilege. */
uint64_t a64_sysreg_peek(const struct a64_cpu *c, unsigned row);
bool a64_sysreg_poke(struct a64_cpu *c, unsigned row, uint64_t value);
/* Are the bits that it does not read as written those that it has not? (No: those that clear, reset, start.) */
bool a64_sysreg_exact(unsigned row);
/* Is the row one that this CPU has, and may gdb read it without side effects? */
bool a64_sysreg_visible(const struct a64_cpu *c, unsigned row);
void a64_reset_sysregs(struct a64_cpu *c);

/* ---- regs.c ---- */
/* Build c->regs and fill in the parts of c->ops that are about registers. */
void a64_make_regs(struct a64_cpu *c);
void a64_read_reg(const struct cpu *cpu, unsigned n, void *buf);
bool a64_write_reg(struct cpu *cpu, unsigned n, const void *buf);
const char *a64_feature_types(const char *feature);
void a64_describe(const struct cpu *cpu, struct buffer *out);
/* ---- mmu.c ---- */
void a64_describe_tlb(const struct cpu *cpu, struct buffer *out);
/* The 32-bit instruction at va, without side effects. */
bool a64_peek_insn(const struct a64_cpu *c, uint64_t va, uint32_t *insn);

#endif
