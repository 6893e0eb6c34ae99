/*
 * The aarch64 CPU put together: tables of cpu_ops and of the front end, reset
 * state (DDI 0487 D1.9), idling, and what is derived from the state.
 */
#include "aarch64/system.h"

#include "base/buffer.h"
#include "vm/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct a64_cpu *to_cpu(struct cpu *cpu)
{
    return (struct a64_cpu *)(void *)cpu;
}

unsigned a64_highest_el(const struct a64_cpu *c)
{
    return c->features & A64_HAS_EL3 ? 3 : c->features & A64_HAS_EL2 ? 2 : 1;
}

/* ---- derived data ---- */

/* The level that an FP instruction traps to now, or 0. */
static unsigned fp_trap_el(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    unsigned fpen = s->cpacr_el1 >> 20 & 3;
    bool tge = a64_hcr(c) & HCR_TGE;

    if (s->el < 2 && !(tge && s->el == 1)) {
        if (fpen == 0 || fpen == 2 || (fpen == 1 && s->el == 0))
            return tge ? 2 : 1;
    }
    if (s->el <= 2 && a64_el2_enabled(c) && (s->cptr_el2 & CPTR_TFP))
        return 2;
    if ((c->features & A64_HAS_EL3) && (s->cptr_el3 & CPTR_TFP))
        return 3;
    return 0;
}

uint64_t a64_block_mode(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    unsigned el = s->el, regime = a64_regime_el(el);
    uint64_t sctlr = s->sctlr[regime], tcr = s->tcr[regime], mode = el;

    if (s->pstate & PSTATE_SP)
        mode |= A64_MODE_SPX;
    if (sctlr & (el ? SCTLR_SA : SCTLR_SA0))
        mode |= A64_MODE_SP_CHECK;
    if ((sctlr & SCTLR_A) || a64_all_device(c))
        mode |= A64_MODE_ALIGN;
    if (s->pstate & PSTATE_IL)
        mode |= A64_MODE_IL;
    if (tcr & (regime == 1 ? TCR_TBI0 : TCR2_TBI))
        mode |= A64_MODE_TBI0;
    if (regime == 1 && (tcr & TCR_TBI1))
        mode |= A64_MODE_TBI1;
    if (c->model->lse)
        mode |= A64_MODE_LSE;
    if (c->model->crc)
        mode |= A64_MODE_CRC;
    if (c->model->pan)
        mode |= A64_MODE_PAN;
    return mode | (uint64_t)fp_trap_el(c) << A64_MODE_FP_SHIFT;
}

static void state_replaced(struct a64_cpu *c)
{
    c->exc.pending = false;
    c->security = a64_security(c); /* the lines are as they belong to it */
    ucpu_drop_derived(&c->u.cpu);
    a64_regime_changed(c);
    a64_update_traps(c);
}

static void drop_derived(struct cpu *cpu)
{
    state_replaced(to_cpu(cpu));
}

/* ---- reset ---- */

/* Pins keep their level: they belong to the board. */
static void reset(struct cpu *cpu)
{
    struct a64_cpu *c = to_cpu(cpu);
    struct a64_state *s = c->st;
    uint32_t lines = s->lines;

    memset(s, 0, sizeof *s);
    s->lines = lines;
    s->el = a64_highest_el(c);
    s->pstate = PSTATE_SP | PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F;
    s->exclusive_addr = s->exclusive_pa = UINT64_MAX;
    line_watch(&c->u.cpu, LINE_NONE);
    a64_reset_sysregs(c);
    s->vmpidr_el2 = c->mpidr;
    a64_timers_changed(c);
    state_replaced(c);
}

void a64_enter_el(struct a64_cpu *c, unsigned el, uint64_t pc)
{
    struct a64_state *s = c->st;

    memset(s->x, 0, sizeof s->x);
    memset(s->sp_el, 0, sizeof s->sp_el);
    s->sp = 0;
    s->el = el;
    s->pstate = PSTATE_SP | PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F;
    s->pc = pc;
    if (el < 3 && (c->features & A64_HAS_EL3)) {
        s->scr_el3 |= SCR_NS | SCR_HCE;
        s->cptr_el3 = 0;
    }
    if (el < 2 && (c->features & A64_HAS_EL2)) {
        s->cptr_el2 = 0x33ff;
        s->cnthctl_el2 |= 3;
    }
    state_replaced(c);
}

bool a64_is_off(const struct a64_cpu *c)
{
    return c->st->halted == HALTED_OFF;
}

void a64_switch_off(struct a64_cpu *c)
{
    c->st->halted = HALTED_OFF;
    machine_attention(c->u.cpu.machine);
}

void a64_switch_on(struct a64_cpu *c, unsigned el, uint64_t pc, uint64_t argument)
{
    reset(&c->u.cpu);
    if ((c->features & A64_HAS_EL3) && el < 3)
        c->st->scr_el3 |= BIT64(10) | 3u << 4; /* RW, and bits that are one */
    if ((c->features & A64_HAS_EL2) && el < 2)
        c->st->hcr_el2 |= HCR_RW;
    a64_enter_el(c, el, pc);
    c->st->x[0] = argument;
    machine_attention(c->u.cpu.machine);
}

/* ---- cpu_ops ---- */

static bool idle(const struct cpu *cpu)
{
    return a64_const(cpu)->st->halted != 0;
}

static const char *activity(const struct cpu *cpu)
{
    switch (a64_const(cpu)->st->halted) {
    case 0:
        return "running";
    case HALTED_WFI:
        return "halted by WFI";
    case HALTED_WFE:
        return "halted by WFE";
    case HALTED_OFF:
        return "off";
    default:
        return "waiting for the host";
    }
}

static const char *awaits(const struct cpu *cpu)
{
    return a64_is_off(a64_const(cpu)) ? "PSCI's CPU_ON" : NULL;
}

static uint64_t pc(const struct cpu *cpu)
{
    return a64_const(cpu)->st->pc;
}

/* No instruction takes more than one step. */
static icount_t in_progress(const struct cpu *cpu)
{
    (void)cpu;
    return ICOUNT_MAX;
}

static bool between_instructions(const struct a64_state *s)
{
    static const uint64_t t[ARRAY_LEN(((struct a64_state *)0)->t)];
    static const union a64_vreg vt[ARRAY_LEN(((struct a64_state *)0)->vt)];

    return !s->zero && !s->sink && flags_canonical(&s->cc) && !memcmp(s->t, t, sizeof t) &&
           !memcmp(s->vt, vt, sizeof vt);
}

static bool possible(const struct cpu *cpu)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct a64_state *s = c->st;
    const uint32_t pstate = PSTATE_SP | PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F | PSTATE_IL | PSTATE_SS | PSTATE_PAN;

    if (!between_instructions(s) || s->el > 3 || (s->el == 2 && !(c->features & A64_HAS_EL2)) ||
        (s->el == 3 && !(c->features & A64_HAS_EL3)))
        return false;
    return !(s->pstate & ~pstate) && s->halted <= HALTED_SEMIHOST && s->exclusive_size <= 16;
}

static void destroy(struct cpu *cpu)
{
    struct a64_cpu *c = to_cpu(cpu);

    ucpu_finish(&c->u);
    free(c->regs);
    free(c->reg_rows);
    free(c->sysreg_index);
    free(c);
}

/* ---- front end ---- */

static void where(const struct ucpu *u, struct block_key *key)
{
    const struct a64_cpu *c = (const struct a64_cpu *)(const void *)u;

    key->pc = c->st->pc;
    key->va = c->st->pc;
    key->mode = c->block_mode;
}

static void set_pc(struct ucpu *u, uint64_t to)
{
    a64_of(u)->st->pc = to;
}

static void settle(struct ucpu *u)
{
    struct a64_state *s = a64_of(u)->st;

    flags_settle(&s->cc);
    s->sink = 0;
    memset(s->t, 0, sizeof s->t);
    memset(s->vt, 0, sizeof s->vt);
}

/* ---- the global monitor (DDI 0487 B2.9) ---- */

static paddr_t line(const struct cpu *cpu)
{
    return a64_const(cpu)->st->exclusive_pa;
}

static void stood(struct cpu *cpu)
{
    struct a64_state *s = to_cpu(cpu)->st;
    paddr_t pa = LINE_NONE;

    if (s->exclusive_addr == UINT64_MAX && s->exclusive_pa == LINE_NONE)
        return;
    if (s->exclusive_addr != UINT64_MAX && !a64_translate(cpu, s->exclusive_addr, &pa))
        pa = LINE_NONE;
    s->exclusive_pa = pa;
    line_watch(cpu, pa);
}

static void line_written(struct cpu *cpu)
{
    struct a64_state *s = to_cpu(cpu)->st;

    s->exclusive_addr = s->exclusive_pa = UINT64_MAX;
    a64_send_event(to_cpu(cpu));
}

static bool mode_is_user(uint64_t mode)
{
    return mode == 0;
}

/* AAPCS64, and Linux. */
static const struct cpu_abi *abi(const struct cpu *cpu, bool registers)
{
    static const char *const args[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", NULL};
    static const char *const calls[] = {"x0", "x1", "x2", "x3", "x4", "x5", NULL};
    static const struct cpu_abi aapcs = {"aapcs64", args, 0, "x30", false, "x0", 8, "x8", calls, "TTBR0_EL1",
                                         (((uint64_t)1 << 48) - 1) & ~(uint64_t)1, NULL};

    (void)cpu;
    (void)registers;
    return &aapcs;
}

static bool read_device(struct cpu *cpu, bool port, uint64_t addr, unsigned size, uint64_t *value)
{
    const struct a64_cpu *c = (struct a64_cpu *)(void *)cpu;
    struct memory *m = &cpu->machine->memory;

    if (port)
        return false;
    cpu->machine->runner = cpu; /* whose banked registers it sees */
    m->nonsecure = !(c->st->el == 3 || a64_secure_below_el3(c));
    *value = memory_read(m, addr, size);
    m->nonsecure = false;
    return true;
}

static const struct cpu_ops ops = {
    .arch = "aarch64",
    .state_size = sizeof(struct a64_state),
    .state_version = 2,
    .reset = reset,
    .run = ucpu_run,
    .idle = idle,
    .activity = activity,
    .awaits = awaits,
    .line = line,
    .line_written = line_written,
    .stood = stood,
    .translate = a64_translate,
    .read_device = read_device,
    .stretch = a64_stretch,
    .pc = pc,
    .step_pc = ucpu_step_pc,
    .mode_name = a64_mode_name,
    .mode_is_user = mode_is_user,
    .abi = abi,
    .exception_name = a64_exception_name,
    .exception_last = 0x3f,  /* the class, ESR_ELx.EC */
    .interrupt_last = 0x780, /* the offset in the vector table */
    .in_progress = in_progress,
    .watch_before = true,
    .char_unsigned = true,
    .drop_derived = drop_derived,
    .note_code = ucpu_note_code,
    .possible = possible,
    .destroy = destroy,
    .read_reg = a64_read_reg,
    .write_reg = a64_write_reg,
    .feature_types = a64_feature_types,
    .describe = a64_describe,
    .describe_tlb = a64_describe_tlb,
};

static const struct frontend frontend = {
    .va_bits = 64,
    .where = where,
    .set_pc = set_pc,
    .build = a64_build,
    .walk = a64_walk,
    .bus_error = a64_bus_error,
    .roots = a64_roots,
    .part_shift = 55,
    .event_ready = a64_event_ready,
    .quiet = a64_quiet,
    .take_event = a64_take_event,
    .take_exception = a64_take_exception,
    .retires = a64_retires,
    .single_step = a64_single_step,
    .zero = S_OFF(zero),
    .temporaries = S_OFF(t),
    .temporaries_len = sizeof(((struct a64_state *)NULL)->t),
    .stepped = a64_stepped,
    .guest_break = a64_guest_break,
    .guest_watch_early = a64_guest_watch_early,
    .untagged = a64_untagged,
    .float_op = a64_float_op,
    .settle = settle,
};

struct a64_cpu *a64_create(struct machine *m, const struct a64_model *model, unsigned features)
{
    struct a64_cpu *c = xcalloc(1, sizeof *c);
    char name[16];

    c->model = model;
    c->features = features;
    c->mpidr = UINT64_C(0x80000000);
    snprintf(name, sizeof name, "cpu%u", m->ncpus);
    c->st = machine_alloc_state(m, name, ops.state_version, sizeof *c->st);
    c->ops = ops;
    a64_index_sysregs(c);
    a64_make_regs(c);
    ucpu_init(&c->u, m, &c->ops, &frontend, c->st, S_OFF(cc));
    c->u.float_rules = a64_float_rules();
    c->timers = a64_add_timers(c);
    reset(&c->u.cpu);
    return c;
}
