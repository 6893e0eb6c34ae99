/*
 * Exceptions (DDI 0487 chapter D1): syndromes, routing, entry and return,
 * interrupts and their masks, and the instructions that make exceptions or wait
 * for them.
 *
 * How a step ends, from the view of this file: a helper or a walk leaves c->exc
 * pending and returns UOP_FAULT; take_exception() enters it with the PC of the
 * instruction (SVC, HVC, SMC: of the next one). Interrupts and the software step
 * exception are taken by take_event(), between instructions.
 *
 * Sleeping: WFI and WFE set `halted` unless there is something that would end the
 * sleep at once. Whatever ends it (a line, an event) clears `halted` right
 * there, so a halted CPU is always one that sleeps on.
 *
 * Not modelled: AArch32 (a return to it is an illegal one), nested
 * virtualisation, debug state. SError: only virtual ones (HCR_EL2.VSE) arise.
 */
#include "aarch64/system.h"

#define SPSR_M    0xfu
#define SPSR_NRW  0x10u
#define SPSR_KEPT (PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F)

enum { VECTOR_SYNC = 0x000, VECTOR_IRQ = 0x080, VECTOR_FIQ = 0x100, VECTOR_SERROR = 0x180 };

/* ---- PSTATE ---- */

uint32_t a64_get_nzcv(const struct a64_cpu *c)
{
    uint32_t f = flags_compute(&c->st->cc);

    return (f & FLAG_S ? PSTATE_N : 0) | (f & FLAG_Z ? PSTATE_Z : 0) | (f & FLAG_C ? PSTATE_C : 0) |
           (f & FLAG_O ? PSTATE_V : 0);
}

void a64_set_nzcv(struct a64_cpu *c, uint32_t nzcv)
{
    uint32_t f = (nzcv & PSTATE_N ? FLAG_S : 0) | (nzcv & PSTATE_Z ? FLAG_Z : 0) | (nzcv & PSTATE_C ? FLAG_C : 0) |
                 (nzcv & PSTATE_V ? FLAG_O : 0);

    c->st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = f};
}

uint32_t a64_get_spsr(const struct a64_cpu *c)
{
    return a64_get_nzcv(c) | c->st->pstate | c->st->el << 2;
}

static uint64_t *banked_sp(struct a64_state *s)
{
    return &s->sp_el[s->pstate & PSTATE_SP ? s->el : 0];
}

void a64_set_mode(struct a64_cpu *c, unsigned el, bool spx)
{
    struct a64_state *s = c->st;
    bool counts = s->pmcntenset_el0 && el != s->el;
    struct a64_pmu counters;

    if (counts)
        a64_pmu_hold_after_step(c, &counters);
    *banked_sp(s) = s->sp;
    s->el = el;
    s->pstate = (s->pstate & ~PSTATE_SP) | (spx ? PSTATE_SP : 0);
    s->sp = *banked_sp(s);
    *banked_sp(s) = 0; /* the stale copy is always the same */
    if (counts)
        a64_pmu_release(c, &counters);
}

void a64_regime_changed(struct a64_cpu *c)
{
    if (c->noted_mode != c->st->el && c->u.cpu.running)
        traps_add_note(c->u.cpu.machine, &(struct trap_hit){.kind = TRAP_MODE, .number = c->st->el, .value = c->noted_mode});
    c->noted_mode = c->st->el;
    c->block_mode = a64_block_mode(c);
    ucpu_roots_changed(&c->u);
    ucpu_set_tlb_mode(&c->u, c->st->el);
    if (c->security != a64_security(c)) {
        c->security = a64_security(c);
        if (c->security_changed)
            c->security_changed(c->gic_ctx);
    }
}

/* ---- raising ---- */

unsigned a64_default_el(const struct a64_cpu *c)
{
    if (c->st->el)
        return c->st->el;
    return a64_hcr(c) & HCR_TGE ? 2 : 1;
}

/* Exception classes that differ by where the exception comes from. */
static unsigned class_from(unsigned ec, bool lower)
{
    switch (ec) {
    case EC_IABORT: case EC_DABORT: case EC_BREAK: case EC_STEP: case EC_WATCH:
        return lower ? ec - 1 : ec;
    default:
        return ec;
    }
}

int a64_raise_to(struct a64_cpu *c, unsigned el, unsigned ec, uint32_t iss)
{
    c->exc = (struct a64_exception){
        .pending = true,
        .target_el = (uint8_t)el,
        .esr = class_from(ec, el > c->st->el) << ESR_EC_SHIFT | ESR_IL | iss,
    };
    return UOP_FAULT;
}

int a64_raise(struct a64_cpu *c, unsigned ec, uint32_t iss)
{
    return a64_raise_to(c, a64_default_el(c), ec, iss);
}

int a64_undefined(struct a64_cpu *c)
{
    return a64_raise(c, EC_UNKNOWN, 0);
}

int a64_raise_abort(struct a64_cpu *c, unsigned el, bool fetch, uint64_t va, uint32_t iss)
{
    a64_raise_to(c, el, fetch ? EC_IABORT : EC_DABORT, iss);
    c->exc.has_far = true;
    c->exc.far = va;
    return UOP_FAULT;
}

/* ---- entry ---- */

static unsigned vector_base(const struct a64_state *s, unsigned target)
{
    if (target > s->el)
        return 0x400;
    return s->pstate & PSTATE_SP ? 0x200 : 0;
}

static void enter(struct a64_cpu *c, unsigned target, unsigned vector, uint64_t ret)
{
    struct a64_state *s = c->st;
    unsigned base = vector_base(s, target);
    bool pan = c->model->pan && target == 1 && !(s->sctlr[1] & SCTLR_SPAN);

    s->spsr[target] = a64_get_spsr(c);
    s->elr[target] = ret;
    s->pmu_entries += !(c->exc.pending && c->exc.return_next);
    a64_set_mode(c, target, true);
    s->pstate |= PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F | (pan ? PSTATE_PAN : 0);
    s->pstate &= ~(PSTATE_IL | PSTATE_SS);
    s->pc = s->vbar[target] + base + vector;
    s->halted = 0;
    s->step_syndrome = 0;
    c->exc.pending = false;
    a64_regime_changed(c);
}

/* The syndrome of a single-register load or store without writeback that failed in
 * stage 2: ISV and what follows from it. */
static uint32_t describe_access(const struct a64_cpu *c)
{
    uint32_t insn, size, opc, sf, sse, iss;

    if (!a64_peek_insn(c, c->st->pc, &insn))
        return 0;
    size = insn >> 30;
    if ((insn & 0x3f000000u) == 0x08000000u && (insn & 0x00a00000u) == 0x00800000u) {
        /* load-acquire, store-release */
        return 1u << 24 | size << 22 | (insn & 31) << 16 | (size == 3) << 15 | (insn >> 15 & 1) << 14;
    }
    if ((insn & 0x3f000000u) == 0x18000000u && size < 3) /* of a literal */
        return 1u << 24 | (size == 1 ? 3u : 2u) << 22 | (size == 2) << 21 | (insn & 31) << 16 | (size != 0) << 15;
    if ((insn & 0x3a000000u) != 0x38000000u || (insn & 0x04000000u))
        return 0;
    if (!(insn & 0x01000000u) && !(insn & 0x00200000u) && (insn & 0x400u))
        return 0; /* pre- and post-index */
    if (!(insn & 0x01000000u) && (insn & 0x00200000u) && (insn & 0xc00u) != 0x800u)
        return 0; /* atomics */
    opc = insn >> 22 & 3;
    if (size == 3 && opc >= 2)
        return 0;
    sse = opc >= 2;
    sf = opc == 2 || (opc < 2 && size == 3);
    iss = 1u << 24 | size << 22 | sse << 21 | (insn & 31) << 16 | sf << 15;
    return iss;
}

const char *a64_exception_name(uint64_t ec)
{
    switch (ec) {
    case EC_UNKNOWN: return "undefined";
    case EC_WFX: return "WFx";
    case EC_FP: return "FP-access";
    case EC_ILLEGAL: return "illegal-state";
    case EC_SVC: return "SVC";
    case EC_HVC: return "HVC";
    case EC_SMC: return "SMC";
    case 0x18: return "system-register";
    case EC_IABORT: case EC_IABORT - 1: return "instruction-abort";
    case 0x22: return "PC-alignment";
    case EC_DABORT: case EC_DABORT - 1: return "data-abort";
    case 0x26: return "SP-alignment";
    case 0x2c: return "FP-exception";
    case EC_SERROR: return "SError";
    case EC_BREAK: case EC_BREAK - 1: return "breakpoint";
    case EC_STEP: case EC_STEP - 1: return "software-step";
    case EC_WATCH: case EC_WATCH - 1: return "watchpoint";
    case 0x3c: return "BRK";
    default: return NULL;
    }
}

const char *a64_mode_name(uint64_t el)
{
    static const char *const names[] = {"EL0", "EL1", "EL2", "EL3"};

    return el < ARRAY_LEN(names) ? names[el] : NULL;
}

static void note_exception(const struct a64_cpu *c, uint32_t esr)
{
    struct machine *m = c->u.cpu.machine;

    traps_add_note(m, &(struct trap_hit){.kind = TRAP_EXCEPTION, .number = esr >> ESR_EC_SHIFT, .value = esr,
                                         .address = c->exc.has_far ? c->exc.far : 0});
    if (esr >> ESR_EC_SHIFT == EC_SVC)
        traps_add_note(m, &(struct trap_hit){.kind = TRAP_SYSCALL, .number = TRAP_SVC, .value = esr & 0xffff,
                                             .address = c->st->sp});
}

bool a64_retires(const struct ucpu *u)
{
    return ((const struct a64_cpu *)(const void *)u)->exc.return_next;
}

void a64_take_exception(struct ucpu *u)
{
    struct a64_cpu *c = a64_of(u);
    struct a64_state *s = c->st;
    unsigned el = c->exc.target_el;
    uint32_t esr = c->exc.esr;

    if (c->exc.stage2_data)
        esr |= describe_access(c);
    s->esr[el] = esr;
    if (c->exc.has_far)
        s->far[el] = c->exc.far;
    if (c->exc.has_hpfar)
        s->hpfar_el2 = c->exc.hpfar;
    note_exception(c, esr);
    enter(c, el, VECTOR_SYNC, s->pc + (c->exc.return_next ? 4 : 0));
}

/* ---- interrupts ---- */

/* Which level does a physical interrupt go to? `scr`, `hcr`: the bits that route it. */
static unsigned route(const struct a64_cpu *c, uint64_t scr, uint64_t hcr)
{
    if ((c->features & A64_HAS_EL3) && (c->st->scr_el3 & scr))
        return 3;
    if (a64_hcr(c) & (hcr | HCR_TGE))
        return 2;
    return 1;
}

/* Would it be taken now, going to `target`, masked by `mask`? */
static bool unmasked(const struct a64_state *s, unsigned target, uint32_t mask)
{
    if (target < s->el)
        return false;
    if (target > s->el && target > 1)
        return true;
    return !(s->pstate & mask);
}

/* The virtual ones: for EL1 and EL0 under a hypervisor that asked for it. */
static bool virtual_deliverable(const struct a64_cpu *c, uint64_t enable, uint32_t mask)
{
    uint64_t hcr = a64_hcr(c);

    return c->st->el < 2 && (hcr & enable) && !(hcr & HCR_TGE) && !(c->st->pstate & mask);
}

static bool virq_pending(const struct a64_cpu *c)
{
    return (c->st->lines & LINE_VIRQ) || (a64_hcr(c) & HCR_VI);
}

static bool vfiq_pending(const struct a64_cpu *c)
{
    return (c->st->lines & LINE_VFIQ) || (a64_hcr(c) & HCR_VF);
}

/* The interrupt to be taken now. 0: none; else the vector, and *target. */
static unsigned deliverable(const struct a64_cpu *c, unsigned *target)
{
    const struct a64_state *s = c->st;

    if (s->serror_pending) {
        *target = route(c, SCR_EA, HCR_AMO);
        if (unmasked(s, *target, PSTATE_A))
            return VECTOR_SERROR;
    }
    if (s->lines & LINE_FIQ) {
        *target = route(c, SCR_FIQ, HCR_FMO);
        if (unmasked(s, *target, PSTATE_F))
            return VECTOR_FIQ;
    }
    if (s->lines & LINE_IRQ) {
        *target = route(c, SCR_IRQ, HCR_IMO);
        if (unmasked(s, *target, PSTATE_I))
            return VECTOR_IRQ;
    }
    *target = 1;
    if ((a64_hcr(c) & HCR_VSE) && virtual_deliverable(c, HCR_AMO, PSTATE_A))
        return VECTOR_SERROR;
    if (vfiq_pending(c) && virtual_deliverable(c, HCR_FMO, PSTATE_F))
        return VECTOR_FIQ;
    if (virq_pending(c) && virtual_deliverable(c, HCR_IMO, PSTATE_I))
        return VECTOR_IRQ;
    return 0;
}

uint64_t a64_isr(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    uint64_t hcr = a64_hcr(c), isr = 0;
    bool guest = s->el < 2;

    if (guest && (hcr & HCR_IMO) ? virq_pending(c) : (s->lines & LINE_IRQ) != 0)
        isr |= 1u << 7;
    if (guest && (hcr & HCR_FMO) ? vfiq_pending(c) : (s->lines & LINE_FIQ) != 0)
        isr |= 1u << 6;
    if (guest && (hcr & HCR_AMO) ? (hcr & HCR_VSE) != 0 : s->serror_pending != 0)
        isr |= 1u << 8;
    return isr;
}

/* The software step exception is due: active and pending (D2.12.3). */
static bool step_due(const struct a64_cpu *c)
{
    return !(c->st->pstate & PSTATE_SS) && a64_step_active(c);
}

bool a64_event_ready(const struct ucpu *u)
{
    const struct a64_cpu *c = (const struct a64_cpu *)(const void *)u;
    unsigned target;

    if (c->st->halted)
        return false;
    return step_due(c) || deliverable(c, &target) || a64_context_break(c);
}

bool a64_quiet(const struct ucpu *u)
{
    const struct a64_state *s = (const struct a64_state *)(const void *)u->s;

    if (s->halted || (s->mdscr_el1 & (MDSCR_SS | MDSCR_MDE)))
        return false;
    return (!(s->lines | s->serror_pending) && !(s->hcr_el2 & (HCR_VSE | HCR_VI | HCR_VF))) || !a64_event_ready(u);
}

bool a64_take_event(struct ucpu *u)
{
    struct a64_cpu *c = a64_of(u);
    struct a64_state *s = c->st;
    unsigned target, vector;

    if (step_due(c)) {
        a64_raise_to(c, a64_debug_target(c), EC_STEP, s->step_syndrome | 0x22);
        a64_take_exception(u);
        return true;
    }
    vector = deliverable(c, &target);
    if (!vector && a64_context_break(c)) {
        a64_raise_context_break(c);
        a64_take_exception(u);
        return true;
    }
    if (!vector)
        return false;
    if (vector == VECTOR_SERROR) {
        s->esr[target] = (uint64_t)EC_SERROR << ESR_EC_SHIFT | ESR_IL;
        if (s->serror_pending && target >= route(c, SCR_EA, HCR_AMO))
            s->serror_pending = 0;
        else
            s->hcr_el2 &= ~HCR_VSE;
    }
    traps_add_note(c->u.cpu.machine, &(struct trap_hit){.kind = TRAP_INTERRUPT, .number = vector});
    enter(c, target, vector, s->pc);
    return true;
}

/* Could a sleeping CPU not sleep on, with these interrupt lines and masks? */
static bool wakes(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    bool guest = s->el < 2 && !(a64_hcr(c) & HCR_TGE);
    unsigned target;

    if (s->halted == HALTED_OFF)
        return false;
    if ((s->halted == HALTED_WFE || s->halted == HALTED_SEMIHOST) && !deliverable(c, &target))
        return false;
    /* WFI: whether masked or not. */
    if ((s->lines & (LINE_IRQ | LINE_FIQ)) || s->serror_pending)
        return true;
    return guest && (((a64_hcr(c) & HCR_IMO) && virq_pending(c)) || ((a64_hcr(c) & HCR_FMO) && vfiq_pending(c)) ||
                     ((a64_hcr(c) & HCR_AMO) && (a64_hcr(c) & HCR_VSE)));
}

static void wake(struct a64_cpu *c)
{
    c->st->halted = 0;
    if (c->st->pmcntenset_el0)
        a64_timers_changed(c); /* instructions retire again */
    machine_attention(c->u.cpu.machine);
}

void a64_set_line(void *cpu, unsigned n, bool level)
{
    struct a64_cpu *c = cpu;
    uint32_t lines = (c->st->lines & ~(1u << n)) | (uint32_t)level << n;

    if (lines == c->st->lines)
        return;
    c->st->lines = lines;
    machine_attention(c->u.cpu.machine);
    if (c->st->halted && wakes(c))
        wake(c);
}

/* ---- instructions that make exceptions ---- */

/* What SVC, HVC and SMC have in common: they count as executed. */
static int call_exception(struct a64_cpu *c, unsigned el, unsigned ec, uint32_t imm)
{
    a64_raise_to(c, el, ec, imm);
    c->exc.return_next = true;
    if (a64_step_active(c))
        c->st->pstate &= ~PSTATE_SS;
    return UOP_FAULT;
}

int a64_op_svc(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);

    return call_exception(c, a64_default_el(c), EC_SVC, op->d);
}

static bool firmware(struct a64_cpu *c, bool smc)
{
    if (!c->firmware_call || !c->firmware_call(c->firmware_ctx, c, smc))
        return false;
    /* CPU_SUSPEND with an interrupt already there. */
    if (c->st->halted && wakes(c)) {
        c->st->halted = 0;
        a64_timers_changed(c);
    }
    return true;
}

int a64_op_hvc(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    const struct a64_state *s = c->st;

    if (s->el == 0)
        return a64_undefined(c);
    if (firmware(c, false))
        return UOP_NEXT;
    if (!(c->features & A64_HAS_EL2) || (s->el < 3 && a64_secure_below_el3(c)))
        return a64_undefined(c);
    if (c->features & A64_HAS_EL3 ? !(s->scr_el3 & SCR_HCE) : (s->hcr_el2 & HCR_HCD) != 0)
        return a64_undefined(c);
    return call_exception(c, s->el == 3 ? 3 : 2, EC_HVC, op->d);
}

int a64_op_smc(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    const struct a64_state *s = c->st;

    if (s->el == 0)
        return a64_undefined(c);
    if (s->el == 1 && (a64_hcr(c) & HCR_TSC))
        return a64_raise_to(c, 2, EC_SMC, op->d);
    if (firmware(c, true))
        return UOP_NEXT;
    if (!(c->features & A64_HAS_EL3) || (s->scr_el3 & SCR_SMD))
        return a64_undefined(c);
    return call_exception(c, 3, EC_SMC, op->d);
}

int a64_op_brk(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    unsigned target = a64_debug_target(c);

    return a64_raise_to(c, target > c->st->el ? target : c->st->el, EC_BRK, op->d);
}

int a64_op_illegal(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return a64_raise(a64_of(u), EC_ILLEGAL, 0);
}

int a64_op_pc_align(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);

    (void)op;
    a64_raise(c, EC_PC_ALIGN, 0);
    c->exc.has_far = true;
    c->exc.far = c->st->pc;
    return UOP_FAULT;
}

int a64_op_sp_align(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return a64_raise(a64_of(u), EC_SP_ALIGN, 0);
}

int a64_op_fp_trap(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    bool tge = op->d == 2 && (a64_hcr(c) & HCR_TGE) && c->st->el == 0 && !(c->st->cptr_el2 & CPTR_TFP);

    /* CPACR_EL1's trap, rerouted by TGE, says nothing about its reason (D1.13.2). */
    if (tge)
        return a64_raise_to(c, 2, EC_UNKNOWN, 0);
    return a64_raise_to(c, op->d, EC_FP, ISS_CV | ISS_COND);
}

/* ---- waiting ---- */

/* A trap of WFI (WFE: `event`), or UOP_NEXT. */
static int wait_trap(struct a64_cpu *c, bool event)
{
    const struct a64_state *s = c->st;
    const uint32_t iss = ISS_CV | ISS_COND | event;

    if (s->el == 0 && !(s->sctlr[1] & (event ? SCTLR_NTWE : SCTLR_NTWI)))
        return a64_raise(c, EC_WFX, iss);
    if (s->el < 2 && (a64_hcr(c) & (event ? HCR_TWE : HCR_TWI)))
        return a64_raise_to(c, 2, EC_WFX, iss);
    if (s->el < 3 && (c->features & A64_HAS_EL3) && (s->scr_el3 & (event ? SCR_TWE : SCR_TWI)))
        return a64_raise_to(c, 3, EC_WFX, iss);
    return UOP_NEXT;
}

static bool would_sleep(struct a64_cpu *c, uint32_t how)
{
    bool sleeps;

    c->st->halted = how;
    sleeps = !wakes(c);
    c->st->halted = 0;
    return sleeps;
}

static void fall_asleep(struct a64_cpu *c, uint32_t how)
{
    c->st->halted = how;
    if (how == HALTED_WFE || c->st->pmcntenset_el0)
        a64_timers_changed(c); /* the event stream is worth looking at, instructions do not retire */
    c->u.cpu.attention = true;
}

void a64_wait_for_interrupt(struct a64_cpu *c)
{
    if (would_sleep(c, HALTED_WFI))
        fall_asleep(c, HALTED_WFI);
}

int a64_op_wfi(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    int r;

    (void)op;
    if (!would_sleep(c, HALTED_WFI))
        return UOP_NEXT;
    r = wait_trap(c, false);
    /* Stepped instructions complete (D2.12.5). */
    if (r == UOP_NEXT && !a64_step_active(c))
        fall_asleep(c, HALTED_WFI);
    return r;
}

/* Semihosting's trap, else UNDEFINED: there is no external debugger for which to halt (C6.2). */
int a64_op_hlt(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);

    switch (op->d == 0xf000 && c->semihost ? c->semihost(c->semihost_ctx, c) : A64_SEMIHOST_NOT) {
    case A64_SEMIHOST_DONE:
        return UOP_NEXT;
    case A64_SEMIHOST_WAITS:
        if (would_sleep(c, HALTED_SEMIHOST) && !a64_step_active(c))
            fall_asleep(c, HALTED_SEMIHOST);
        return UOP_LEAVE; /* PC stays */
    case A64_SEMIHOST_NOT:
        break;
    }
    return a64_undefined(c);
}

int a64_op_wfe(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);
    paddr_t pa;
    int r;

    (void)op;
    if (c->st->event_register) {
        c->st->event_register = 0;
        return UOP_NEXT;
    }
    if (!would_sleep(c, HALTED_WFE))
        return UOP_NEXT;
    r = wait_trap(c, true);
    if (r != UOP_NEXT || a64_step_active(c))
        return r;
    /* Who waits for another's store to what it has marked exclusive is woken by that. Where the address is not
     * translated any more it would not be: WFE may end for any reason (D1.16.1), and lets the others go on. */
    if (c->st->exclusive_addr != UINT64_MAX && !a64_translate(&c->u.cpu, c->st->exclusive_addr, &pa))
        ucpu_yield(u);
    else
        fall_asleep(c, HALTED_WFE);
    return r;
}

void a64_send_event(struct a64_cpu *c)
{
    if (c->st->halted == HALTED_WFE)
        wake(c);
    else
        c->st->event_register = 1;
}

/* SEVL: an event for this CPU (op->d is 0); SEV: for all. */
int a64_op_sev(struct ucpu *u, const struct uop *op)
{
    const struct machine *m = u->cpu.machine;

    a64_of(u)->st->event_register = 1;
    for (unsigned i = 0; op->d && i < m->ncpus; i++)
        a64_send_event((struct a64_cpu *)(void *)m->cpus[i]);
    return UOP_NEXT;
}

int a64_op_yield(struct ucpu *u, const struct uop *op)
{
    (void)op;
    ucpu_yield(u);
    return UOP_NEXT;
}

/* ---- return ---- */

/* The level that SPSR value `spsr` names, or -1 if a return to it is illegal (D1.11.2). */
static int return_level(const struct a64_cpu *c, uint32_t spsr)
{
    unsigned el = spsr >> 2 & 3;

    if (spsr & (SPSR_NRW | 2))
        return -1;
    if (el > c->st->el || !a64_has_el(c, el))
        return -1;
    if (el == 0 && (spsr & 1))
        return -1;
    if (el == 2 && a64_secure_below_el3(c))
        return -1;
    if (el == 1 && (a64_hcr(c) & HCR_TGE))
        return -1;
    return (int)el;
}

/* PSTATE.SS after a return (D2.12.4): only if stepping begins with it. */
static bool step_bit(const struct a64_cpu *c, uint32_t spsr, unsigned from, unsigned to)
{
    bool secure = a64_secure_below_el3(c);

    if (!(spsr & PSTATE_SS) || !(c->st->mdscr_el1 & MDSCR_SS))
        return false;
    if (a64_debug_enabled_from(c, from, from == 3 || secure, c->st->pstate & PSTATE_D))
        return false;
    return a64_debug_enabled_from(c, to, to == 3 || secure, spsr & PSTATE_D);
}

/* UOP_LEAVE or UOP_FAULT. */
static int do_eret(struct a64_cpu *c)
{
    struct a64_state *s = c->st;
    unsigned from = s->el;
    uint32_t spsr = (uint32_t)s->spsr[from], kept = SPSR_KEPT | PSTATE_IL | (c->model->pan ? PSTATE_PAN : 0);
    uint64_t ret = s->elr[from];
    int to = return_level(c, spsr);
    uint32_t step = step_bit(c, spsr, from, to < 0 ? from : (unsigned)to) ? PSTATE_SS : 0;

    if (to < 0) {
        kept &= ~PSTATE_PAN;
        s->pstate = (s->pstate & ~(kept | PSTATE_SS)) | (spsr & kept) | PSTATE_IL | step;
    } else {
        a64_set_mode(c, (unsigned)to, spsr & 1);
        s->pstate = (s->pstate & ~(kept | PSTATE_SS)) | (spsr & kept) | step;
    }
    a64_set_nzcv(c, spsr);
    s->pc = ret;
    s->step_syndrome = 0;
    s->exclusive_addr = UINT64_MAX;
    s->event_register = 1; /* B2.9: an exception return is an event for WFE */
    a64_regime_changed(c);
    return UOP_LEAVE;
}

int a64_op_eret(struct ucpu *u, const struct uop *op)
{
    struct a64_cpu *c = a64_of(u);

    (void)op;
    return c->st->el == 0 ? a64_undefined(c) : do_eret(c);
}

/* ---- by other hands ---- */

bool a64_write_pstate(struct a64_cpu *c, uint32_t value)
{
    const uint32_t flags = PSTATE_N | PSTATE_Z | PSTATE_C | PSTATE_V;
    const uint32_t bits = SPSR_KEPT | PSTATE_IL | PSTATE_SS | (c->model->pan ? PSTATE_PAN : 0);
    unsigned el = value >> 2 & 3;

    if (value & ~(flags | bits | SPSR_M) || (value & 2) || !a64_has_el(c, el) || (el == 0 && (value & 1)))
        return false;
    if (el != c->st->el && el == 2 && !a64_el2_enabled(c))
        return false;
    a64_set_mode(c, el, value & 1);
    c->st->pstate = (c->st->pstate & PSTATE_SP) | (value & bits);
    a64_set_nzcv(c, value);
    if (c->st->halted && wakes(c)) {
        c->st->halted = 0;
        a64_timers_changed(c);
    }
    a64_regime_changed(c);
    return true;
}
