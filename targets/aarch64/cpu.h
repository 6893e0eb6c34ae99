/*
 * The aarch64 CPU's state and the interfaces between the parts of the target.
 *
 *   decode.c      bit-pattern table -> struct insn              (insn.h)
 *   lower*.c      struct insn -> micro-ops                      (lower.h)
 *   mmu.c         translation tables, stages 1 and 2, faults, AT
 *   exception.c   syndromes, exception entry and return, routing, interrupts
 *   sysreg.c      MRS/MSR: one table row for each register
 *   pmu.c         performance monitors
 *   debug.c       software step, breakpoint and watchpoint registers, BRK
 *   fp*.c simd*.c crypto.c   floating point, Advanced SIMD, CRC, AES, SHA
 *   cpu.c regs.c  wiring into cpu_ops and frontend; gdb registers; models
 *
 * References are to the Arm Architecture Reference Manual, DDI 0487.
 *
 * The architecture level is ARMv8.0-A, with FEAT_CRC32, AES, SHA1, SHA256,
 * PMULL, LSE and PAN by model. AArch32 does not exist at any exception level
 * and data is little-endian only; the ID registers say so.
 */
#ifndef HINDCAST_AARCH64_CPU_H
#define HINDCAST_AARCH64_CPU_H

#include "vm/exec.h"
#include "vm/machine.h"

/* PSTATE and SPSR bits (C5.2, D19.2). NZCV live in a64_state.cc. */
#define PSTATE_SP  (1u << 0)  /* M[0]: SP_ELx rather than SP_EL0 */
#define PSTATE_F   (1u << 6)
#define PSTATE_I   (1u << 7)
#define PSTATE_A   (1u << 8)
#define PSTATE_D   (1u << 9)
#define PSTATE_IL  (1u << 20)
#define PSTATE_SS  (1u << 21)
#define PSTATE_PAN (1u << 22)
#define PSTATE_V   (1u << 28)
#define PSTATE_C   (1u << 29)
#define PSTATE_Z   (1u << 30)
#define PSTATE_N   (1u << 31)

/* Exception classes (D19.2.37, ESR_ELx.EC). */
enum {
    EC_UNKNOWN = 0x00, EC_WFX = 0x01, EC_FP = 0x07, EC_ILLEGAL = 0x0e, EC_SVC = 0x15, EC_HVC = 0x16,
    EC_SMC = 0x17, EC_SYSREG = 0x18, EC_IABORT_LOWER = 0x20, EC_IABORT = 0x21, EC_PC_ALIGN = 0x22,
    EC_DABORT_LOWER = 0x24, EC_DABORT = 0x25, EC_SP_ALIGN = 0x26, EC_FP_TRAP = 0x2c, EC_SERROR = 0x2f,
    EC_BREAK_LOWER = 0x30, EC_BREAK = 0x31, EC_STEP_LOWER = 0x32, EC_STEP = 0x33,
    EC_WATCH_LOWER = 0x34, EC_WATCH = 0x35, EC_BRK = 0x3c,
};

union a64_vreg {
    uint8_t  b[16];
    uint16_t h[8];
    uint32_t s[4];
    uint64_t d[2];
};

#define A64_BREAKPOINTS 6 /* ID_AA64DFR0_EL1 says so */
#define A64_CONTEXT_BREAKPOINTS 2 /* the last of them, which can match contexts */
#define A64_WATCHPOINTS 4

#define A64_EVENT_COUNTERS 6 /* PMCR_EL0.N says so */
#define A64_CYCLE_COUNTER 31 /* the place of its bits */

/* Generic timers. */
enum { TIMER_PHYS, TIMER_VIRT, TIMER_HYP, TIMER_SEC, TIMER_COUNT };

DEVICE_STATE_BEGIN
struct a64_state {
    uint64_t x[31];
    uint64_t sp;              /* the stack pointer in use; the banked copy of it below is stale */
    uint64_t pc;
    uint64_t zero;            /* always 0: XZR as a source */
    uint64_t sink;            /* XZR as a destination; 0 whenever the CPU stands */
    uint64_t reserved1;
    struct lazy_flags cc;     /* NZCV; explicit whenever the CPU stands */
    union a64_vreg v[32];
    uint32_t fpcr, fpsr;

    uint32_t el;              /* 0-3 */
    uint32_t pstate;          /* SP D A I F IL SS PAN; never NZCV or M[3:2] */
    uint64_t sp_el[4];        /* banked stack pointers */
    uint64_t elr[4], spsr[4]; /* [1..3]; banked by exception level */
    uint64_t esr[4], far[4], vbar[4], sctlr[4], actlr[4], tcr[4], mair[4], amair[4], afsr0[4], afsr1[4];
    uint64_t ttbr0[4], ttbr1; /* ttbr0[1..3]; ttbr1 of EL1 */
    uint64_t tpidr[4], tpidrro_el0, contextidr_el1;
    uint64_t cpacr_el1, cptr_el2, cptr_el3, csselr_el1, par_el1;
    uint64_t hcr_el2, hstr_el2, vttbr_el2, vtcr_el2, hpfar_el2, vpidr_el2, vmpidr_el2, mdcr_el2, mdcr_el3;
    uint64_t scr_el3, hacr_el2, cnthctl_el2, cntkctl_el1, cntvoff_el2, cntfrq_el0;
    struct {
        uint64_t cval;
        uint64_t ctl;         /* ENABLE, IMASK; ISTATUS is computed */
    } timer[TIMER_COUNT];

    /* Debug (chapter D2). */
    uint64_t mdscr_el1, osdlr_el1, oslsr_el1, mdccint_el1, dbgclaim, osdtrrx, osdtrtx;
    uint64_t dbgbvr[A64_BREAKPOINTS], dbgbcr[A64_BREAKPOINTS];
    uint64_t dbgwvr[A64_WATCHPOINTS], dbgwcr[A64_WATCHPOINTS];

    /* Performance monitors (pmu.c). */
    uint64_t pmcr_el0, pmcntenset_el0, pmovsset_el0, pmselr_el0, pmccfiltr_el0, pmuserenr_el0, pmintenset_el1;
    uint64_t pmccntr_base;    /* cycles less the value while the counter counts, else the value */
    uint64_t pmevcntr[A64_EVENT_COUNTERS], pmevtyper[A64_EVENT_COUNTERS]; /* likewise */
    uint64_t pmu_entries;     /* steps since reset that were exception entries without an instruction */

    /* Between instructions. */
    uint64_t exclusive_addr;  /* local monitor: virtual address of the last load-exclusive, or ~0: open */
    uint64_t exclusive_value[2];
    uint64_t exclusive_pa;    /* global monitor: physical address of that, as it was translated when the CPU last stood; ~0: open */
    uint32_t exclusive_size;  /* bytes */
    uint32_t halted;          /* WFI (1), WFE (2), switched off by PSCI (3), or semihosting waits for input (4) */
    uint32_t event_register;  /* WFE */
    uint32_t lines;           /* levels at the CPU's pins: bit 0 IRQ, 1 FIQ, 2 vIRQ, 3 vFIQ */
    uint32_t serror_pending;
    uint32_t step_syndrome;   /* software step: ISV and EX of the syndrome, while the exception is due */

    /* Temporaries of micro-ops; zero whenever the CPU stands. */
    uint64_t t[8];
    union a64_vreg vt[4];
};
DEVICE_STATE_END

#define S_OFF(member) ((unsigned)offsetof(struct a64_state, member))
#define S_X(r)        (S_OFF(x) + 8u * (unsigned)(r))
#define S_T(n)        (S_OFF(t) + 8u * (unsigned)(n))
#define S_V(r)        (S_OFF(v) + 16u * (unsigned)(r))
#define S_VT(n)       (S_OFF(vt) + 16u * (unsigned)(n))
/* Register number 31 as XZR source, XZR destination, or SP. */
static inline unsigned s_src(unsigned r)
{
    return r == 31 ? S_OFF(zero) : S_X(r);
}
static inline unsigned s_dst(unsigned r)
{
    return r == 31 ? S_OFF(sink) : S_X(r);
}
static inline unsigned s_sp(unsigned r)
{
    return r == 31 ? S_OFF(sp) : S_X(r);
}

/* CPU models: `--cpu`. */
struct a64_model {
    const char *name;
    uint64_t midr;
    uint64_t id_aa64isar0, id_aa64pfr0, id_aa64mmfr0, id_aa64mmfr1, id_aa64dfr0;
    uint64_t ctr, dczid, clidr, ccsidr[2][2]; /* [level][instruction] */
    bool lse, pan, crc, crypto;
    uint8_t pa_bits;
    uint8_t pmu_id; /* PMCR_EL0.IDCODE */
};
const struct a64_model *a64_model_find(const char *name);
extern const char a64_model_names[];

/* Which exception levels the board wants. */
#define A64_HAS_EL2 1u
#define A64_HAS_EL3 2u

/* What an instruction that faulted left behind; consumed within the step. */
struct a64_exception {
    bool pending, has_far, has_hpfar;
    uint8_t target_el;
    uint32_t esr;              /* complete: EC, IL, ISS */
    bool return_next;          /* ELR is the next instruction's address (SVC, HVC, SMC), not this one's */
    bool stage2_data;          /* a data access failed in stage 2: the syndrome may describe it (ISV) */
    uint64_t far, hpfar;
};

/* What became of a semihosting call. */
enum a64_semihost {
    A64_SEMIHOST_NOT,   /* it is none: take the architectural exception */
    A64_SEMIHOST_DONE,
    A64_SEMIHOST_WAITS, /* sleep; then make the instruction again */
};

struct a64_cpu {
    struct ucpu u;               /* u.cpu.state == st */
    struct a64_state *st;
    const struct a64_model *model;
    unsigned features;           /* A64_HAS_* */
    uint64_t mpidr;              /* MPIDR_EL1: the board's choice, before the first reset */
    struct a64_exception exc;
    bool unprivileged;           /* the access in progress is one of LDTR or STTR at EL1 */

    /* Derived from the state. */
    uint64_t block_mode;         /* a64_block_mode() */
    uint32_t noted_mode;         /* the exception level, as TRAP_MODE has it */
    uint8_t security;            /* a64_security() when last told to the board */
    /* Made by a64_create: the register description that gdb gets, and an index of the
     * system registers by SYSREG(). */
    struct cpu_ops ops;
    struct reg_desc *regs;
    uint16_t *reg_rows;          /* of those that are system registers, their rows */
    uint16_t *sysreg_index;

    /* Board: timer output lines (level) by TIMER_*, and the PMU's. */
    struct line timer_line[TIMER_COUNT], pmu_line;
    struct device *timers;       /* carries the generic timers' deadlines; made by a64_create */
    /* GICv3 CPU interface: ICC_*, ICV_*, ICH_* registers. True: handled. May be NULL
     * (then these are UNDEFINED). `enc` is SYSREG(). */
    bool (*gic_read)(void *ctx, uint32_t enc, uint64_t *value);
    bool (*gic_write)(void *ctx, uint32_t enc, uint64_t value);
    /* The level to which the access traps instead; 0: none. NULL: never. */
    unsigned (*gic_trap)(void *ctx, uint32_t enc, bool write);
    /* Whether the CPU is at EL3, or in the Secure state, is not what it was when this was last called.
     * May be NULL. */
    void (*security_changed)(void *ctx);
    void *gic_ctx;
    /* HVC and SMC conduits for PSCI: true: the call was a firmware call and is done
     * (results in x0-x3); false: take the architectural exception. May be NULL. */
    bool (*firmware_call)(void *ctx, struct a64_cpu *, bool smc);
    void *firmware_ctx;
    /* Semihosting (HLT 0xf000). NULL: there is none. */
    enum a64_semihost (*semihost)(void *ctx, struct a64_cpu *);
    void *semihost_ctx;
};

static inline struct a64_cpu *a64_of(struct ucpu *u)
{
    return (struct a64_cpu *)(void *)u;
}

#define SYSREG(op0, op1, crn, crm, op2) \
    ((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 | (uint32_t)(crm) << 3 | (uint32_t)(op2))

struct a64_cpu *a64_create(struct machine *m, const struct a64_model *model, unsigned features);

/* Lines into the CPU: fit struct line. n: 0 IRQ, 1 FIQ, 2 vIRQ, 3 vFIQ. */
void a64_set_line(void *cpu, unsigned n, bool level);
/* Switched off, as PSCI CPU_OFF does it, until a64_switch_on(): as after a reset, then as if firmware had handed over
 * at `el`, with x0 = `argument`. */
void a64_switch_off(struct a64_cpu *c);
bool a64_is_off(const struct a64_cpu *c);
void a64_switch_on(struct a64_cpu *c, unsigned el, uint64_t pc, uint64_t argument);
/* As WFI does. */
void a64_wait_for_interrupt(struct a64_cpu *c);
/* An event for WFE: it ends, or the next one does. */
void a64_send_event(struct a64_cpu *c);
/* As if firmware had handed over at `el` (direct kernel boot): SP_ELx, DAIF masked,
 * registers zero. Called after reset by loaders. */
void a64_enter_el(struct a64_cpu *c, unsigned el, uint64_t pc);

/* ---- exception.c: raising; each returns UOP_FAULT ---- */
int a64_raise(struct a64_cpu *c, unsigned ec, uint32_t iss);           /* to the default target level */
int a64_raise_to(struct a64_cpu *c, unsigned el, unsigned ec, uint32_t iss);
int a64_undefined(struct a64_cpu *c);                                   /* EC 0 */
bool a64_event_ready(const struct ucpu *u);
bool a64_quiet(const struct ucpu *u);
bool a64_take_event(struct ucpu *u);
void a64_take_exception(struct ucpu *u);
bool a64_retires(const struct ucpu *u);
/* EL, SP, SCTLR, TTBR... changed: refresh the TLB regime and whatever the block key depends on. */
void a64_regime_changed(struct a64_cpu *c);
/* Words for an exception class, and for an exception level. NULL: there are none. */
const char *a64_exception_name(uint64_t ec);
const char *a64_mode_name(uint64_t el);

/* PSTATE.NZCV in its architectural place (bits 31-28). */
uint32_t a64_get_nzcv(const struct a64_cpu *c);
void a64_set_nzcv(struct a64_cpu *c, uint32_t nzcv);
/* The whole PSTATE as SPSR shows it. */
uint32_t a64_get_spsr(const struct a64_cpu *c);

/* ---- mmu.c ---- */
/* TLB regimes: EL0 and EL1 differ in permissions; EL2 and EL3 have tables of their own; the
 * unprivileged accesses LDTR/STTR use REGIME_EL0. */
enum { REGIME_EL0, REGIME_EL1, REGIME_EL2, REGIME_EL3 };
bool a64_walk(struct ucpu *u, uint64_t va, enum access access, unsigned mode, struct translation *t);
void a64_bus_error(struct ucpu *u, uint64_t va, enum access access);
void a64_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS]);
bool a64_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa);
uint64_t a64_stretch(const struct cpu *cpu, uint64_t va);
/* AT S1E0R and friends: result into PAR_EL1. */
int a64_at(struct a64_cpu *c, uint64_t va, unsigned op1, unsigned crm, unsigned op2);

/* ---- generic timer: counts virtual nanoseconds at CNTFRQ = 62.5 MHz (16 ns a tick) ---- */
#define A64_CNTFRQ 62500000u
uint64_t a64_count(const struct a64_cpu *c);

#endif
