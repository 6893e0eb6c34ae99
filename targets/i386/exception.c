/*
 * Exceptions and interrupts (SDM 3A chapter 6, 17.3, 20; SDM 2: INT, IRET):
 * raising, delivery in real, protected and virtual-8086 mode, double and
 * triple faults, return, debug traps and the order in which pending things
 * are taken between instructions.
 *
 * How a step ends, from the view of this file:
 *   fault     the helper returns UOP_FAULT with c->exc pending; take_exception()
 *             delivers it with the EIP of the instruction;
 *   trap      single step, data breakpoints, task switch: collected in
 *             pending_db by stepped() and guest_watch(), delivered by the next
 *             take_event();
 *   software  INT n and friends deliver at once; if that faults, the INT did
 *             not happen and the fault is delivered instead.
 *
 * What delays or repeats: `shadow` (STI, MOV SS), RF and TF act on one
 * instruction each; while any is set instructions run one at a time and
 * stepped() retires them. An instruction that sets one of them itself while it
 * is being stepped marks that in tf_latched, so that stepped() leaves it alone.
 * In the shadow of MOV SS and POP SS (SDM 3A 6.8.3) the single-step trap due after the MOV itself is
 * lost; a data breakpoint that it met waits for the next boundary, or goes with the next #DB.
 *
 * A #DB clears DEBUGCTL.LBR and BTF (17.4.1, 17.14.1). With BTF the single-step trap is of branches only (17.4.3): of
 * instructions that do not go on behind themselves. While LBR is set, instructions run one at a time, too, and lbr.c hears of them.
 *
 * Not modelled: machine checks (nothing causes them), branch trace (DEBUGCTL's other bits are held only). #DF pushes the EIP
 * of the instruction that caused the first fault.
 */
#include "i386/protect.h"
#include "i386/svm.h"
#include "vm/line.h"

#define EFLAGS_DEFINED 0x003f7fd5u

/* ---- EFLAGS ---- */

uint32_t i386_get_eflags(const struct i386_cpu *c)
{
    return c->st->eflags | (flags_compute(&c->st->cc) & FLAGS_ALL);
}

/* Was the instruction in progress begun under single_step()? */
static bool being_stepped(const struct i386_state *s)
{
    return s->tf_latched || s->shadow || (s->eflags & (EFLAGS_TF | EFLAGS_RF)) || (s->debugctl & DEBUGCTL_LBR);
}

bool i386_single_step(const struct ucpu *u)
{
    const struct i386_state *s = (const struct i386_state *)(const void *)u->s;

    return s->shadow || (s->eflags & (EFLAGS_TF | EFLAGS_RF)) || (s->debugctl & DEBUGCTL_LBR);
}

/* RF lasts to the end of a repeated instruction (SDM 3B, 17.3.1.1), which a page fault in its middle has come back to: nothing
 * happens between its steps. */
bool i386_repeats(const struct ucpu *u)
{
    const struct i386_state *s = (const struct i386_state *)(const void *)u->s;

    return !s->shadow && !s->tf_latched && !(s->eflags & EFLAGS_TF);
}

void i386_set_eflags(struct i386_cpu *c, uint32_t value, uint32_t mask)
{
    struct i386_state *s = c->st;
    bool stepped = being_stepped(s);
    uint32_t old = s->eflags;

    mask &= EFLAGS_DEFINED;
    if (!c->model->has_cpuid)
        mask &= ~(EFLAGS_ID | EFLAGS_VIF | EFLAGS_VIP);
    if (mask & FLAGS_ALL) {
        uint32_t status = (mask & FLAGS_ALL) == FLAGS_ALL ? 0 : flags_compute(&s->cc) & FLAGS_ALL & ~mask;

        s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = status | (value & mask & FLAGS_ALL)};
    }
    mask &= ~FLAGS_ALL;
    s->eflags = (old & ~mask) | (value & mask) | EFLAGS_1;
    if (stepped) {
        if ((old ^ s->eflags) & EFLAGS_TF && !(s->tf_latched & (I386_LATCH_TF_SET | I386_LATCH_TF_CLEAR)))
            s->tf_latched |= old & EFLAGS_TF ? I386_LATCH_TF_CLEAR : I386_LATCH_TF_SET;
        if ((mask & EFLAGS_RF) && (value & EFLAGS_RF))
            s->tf_latched |= I386_LATCH_RF;
    }
    if ((old ^ s->eflags) & (EFLAGS_VM | EFLAGS_AC))
        i386_mode_changed(c);
}

void i386_replace_eflags(struct i386_state *s, uint32_t value)
{
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = value & FLAGS_ALL};
    s->eflags = (value & EFLAGS_DEFINED & ~FLAGS_ALL) | EFLAGS_1;
}

void i386_set_shadow(struct i386_cpu *c, unsigned kind)
{
    struct i386_state *s = c->st;

    /* In a row of MOV SS only the first delays (SDM 3A 6.8.3). */
    if (s->shadow && s->shadow >= kind)
        return;
    if (being_stepped(s))
        s->tf_latched |= I386_LATCH_SHADOW;
    s->shadow = kind;
}

/* Was it only branches that were to trap, and is the instruction in progress none that was taken? */
static bool not_a_branch(const struct i386_cpu *c)
{
    const struct i386_state *s = c->st;

    return (s->debugctl & DEBUGCTL_BTF) && (s->rep_active || s->rip == i386_next_eip(c));
}

void i386_stepped(struct ucpu *u)
{
    struct i386_state *s = i386_of(u)->st;
    uint32_t latch = s->tf_latched;

    bool loaded_ss = (latch & I386_LATCH_SHADOW) && s->shadow == I386_SHADOW_SS;

    if (s->debugctl & DEBUGCTL_LBR)
        i386_lbr_instruction(i386_of(u));
    if (((latch & I386_LATCH_TF_CLEAR) || ((s->eflags & EFLAGS_TF) && !(latch & I386_LATCH_TF_SET))) && !loaded_ss &&
        !not_a_branch(i386_of(u)))
        s->pending_db |= DR6_BS;
    if (!(latch & I386_LATCH_SHADOW))
        s->shadow = 0;
    if (!(latch & I386_LATCH_RF) && !s->rep_active)
        s->eflags &= ~EFLAGS_RF;
    s->tf_latched = 0;
}

/* ---- raising ---- */

static int raise(struct i386_cpu *c, unsigned vector, bool has_error, uint32_t error)
{
    c->exc.vector = (uint8_t)vector;
    c->exc.has_error = has_error;
    c->exc.error = error;
    c->exc.pending = true;
    c->exc.has_eip = false;
    c->exc.not_canonical = false;
    c->exc.exit = false;
    c->exc.during = 0;
    c->exc.dr6 = 0;
    return UOP_FAULT;
}

int i386_raise(struct i386_cpu *c, unsigned vector)
{
    return raise(c, vector, false, 0);
}

int i386_raise_error(struct i386_cpu *c, unsigned vector, uint32_t error)
{
    return raise(c, vector, true, error);
}

int i386_raise_pf(struct i386_cpu *c, uint64_t address, uint32_t error)
{
    c->exc.address = address;
    return raise(c, EXC_PF, true, error);
}

int i386_raise_db(struct i386_cpu *c, uint32_t dr6_bits)
{
    raise(c, EXC_DB, false, 0);
    c->exc.dr6 = dr6_bits;
    return UOP_FAULT;
}

/* ---- delivery ---- */

static bool gate_error(struct i386_cpu *c, unsigned exception, const struct i386_delivery *d)
{
    return i386_fail(c, exception, d->vector * 8 + 2);
}

/* Through the vector table of real mode, or of an 8086 program (VME). `image` is pushed. */
static bool deliver_vector(struct i386_cpu *c, const struct i386_delivery *d, uint64_t table, unsigned mode, uint32_t image)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_stack st;
    uint16_t entry[2];
    bool vm86 = i386_vm86(s);

    i386_stores_begin(&stores);
    if (!ucpu_load_mode(&c->u, mode, i386_system_address(s, table + d->vector * 4), entry, 4))
        return false;
    i386_stack_current(c, &st);
    if (!i386_stack_push(c, &stores, &st, 2, image) ||
        !i386_stack_push(c, &stores, &st, 2, s->seg[SEG_CS].selector) ||
        !i386_stack_push(c, &stores, &st, 2, d->eip))
        return false;
    if (!vm86 && entry[0] > s->seg[SEG_CS].limit)
        return i386_fail(c, EXC_GP, 0);
    i386_stores_commit(c, &stores);
    s->gpr[ESP] = st.rsp;
    i386_real_segment(s, SEG_CS, entry[1], vm86);
    s->rip = entry[0];
    return true;
}

static bool deliver_real(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;

    if (d->vector * 4 + 3 > s->idtr.limit)
        return gate_error(c, EXC_GP, d);
    if (!deliver_vector(c, d, s->idtr.base, MMU_SUPERVISOR, i386_get_eflags(c)))
        return false;
    s->eflags &= ~(EFLAGS_IF | EFLAGS_TF | EFLAGS_AC | EFLAGS_RF);
    return true;
}

/* Is INT n of a virtual-8086 task redirected to its own vector table (SDM 3B 20.3)?
 * 1, 0, or negative with an exception pending. */
static int vme_redirects(struct i386_cpu *c, unsigned vector)
{
    const struct i386_segment *tr = &c->st->seg[SEG_TR];
    uint32_t offset;
    uint16_t io_map;
    uint8_t bits;

    if (!(c->st->cr4 & CR4_VME))
        return 0;
    if (!tr->valid || !(tr->attr & SYS_32BIT) || tr->limit < 0x67)
        return i386_raise_error(c, EXC_GP, 0), -1;
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(c->st, tr->base + 0x66), &io_map, 2))
        return -1;
    offset = io_map - 32u + vector / 8;
    if (io_map < 32 || offset > tr->limit)
        return i386_raise_error(c, EXC_GP, 0), -1;
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(c->st, tr->base + offset), &bits, 1))
        return -1;
    return !(bits >> (vector & 7) & 1);
}

static bool deliver_redirected(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    uint32_t image = i386_get_eflags(c);
    uint32_t cleared = EFLAGS_TF | EFLAGS_RF;

    if (i386_iopl(s) < 3) {
        image = (image & ~EFLAGS_IF) | EFLAGS_IOPL | (s->eflags & EFLAGS_VIF ? EFLAGS_IF : 0);
        cleared |= EFLAGS_VIF;
    } else {
        cleared |= EFLAGS_IF;
    }
    if (!deliver_vector(c, d, 0, MMU_USER, image))
        return false;
    s->eflags &= ~cleared;
    return true;
}

/* Push what an interrupt gate pushes on the handler's stack. */
static bool push_frame(struct i386_cpu *c, struct i386_stores *stores, struct i386_stack *st, const struct i386_delivery *d,
                       unsigned size, bool inner)
{
    static const unsigned vm86_segments[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    const struct i386_state *s = c->st;
    uint64_t values[ARRAY_LEN(vm86_segments) + 6];
    unsigned n = 0;

    if (i386_vm86(s))
        for (unsigned i = 0; i < ARRAY_LEN(vm86_segments); i++)
            values[n++] = s->seg[vm86_segments[i]].selector;
    if (inner) {
        values[n++] = s->seg[SEG_SS].selector;
        values[n++] = s->gpr[ESP];
    }
    values[n++] = i386_get_eflags(c) | (d->set_rf ? EFLAGS_RF : 0);
    values[n++] = s->seg[SEG_CS].selector;
    values[n++] = d->eip;
    if (d->has_error)
        values[n++] = d->error;
    return i386_stack_push_all(c, stores, st, size, values, n);
}

/* Through an interrupt or trap gate. */
static bool deliver_gate(struct i386_cpu *c, const struct i386_delivery *d, const struct i386_desc *gate)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    uint16_t selector = gate_selector(gate);
    unsigned size = desc_type(gate) & SYS_32BIT ? 4 : 2;
    bool vm86 = i386_vm86(s), inner;
    struct i386_desc code;
    struct i386_stack st;
    unsigned cpl;

    i386_stores_begin(&stores);
    if (selector_is_null(selector))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, &code))
        return false;
    if (!desc_is_code(&code) || desc_dpl(&code) > s->cpl)
        return i386_fail(c, EXC_GP, selector & 0xfffcu);
    if (!desc_present(&code))
        return i386_fail(c, EXC_NP, selector & 0xfffcu);
    inner = !desc_is_conforming(&code) && desc_dpl(&code) < s->cpl;
    cpl = inner ? desc_dpl(&code) : s->cpl;
    if (vm86 && (!inner || cpl != 0))
        return i386_fail(c, EXC_GP, selector & 0xfffcu);

    if (!inner)
        i386_stack_current(c, &st);
    else if (!i386_stack_inner(c, &stores, cpl, &st))
        return false;
    if (!push_frame(c, &stores, &st, d, size, inner))
        return false;
    if (gate_offset(gate) > desc_limit(&code))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_stores_accessed(c, &stores, &code))
        return false;

    i386_stores_commit(c, &stores);
    if (vm86) {
        for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
            if (seg != SEG_CS && seg != SEG_SS)
                i386_null_segment(c, seg, 0);
        }
    }
    if (inner)
        s->seg[SEG_SS] = st.ss;
    s->gpr[ESP] = st.rsp;
    s->seg[SEG_CS] = i386_desc_segment(&code, (uint16_t)((selector & 0xfffcu) | cpl));
    s->cpl = cpl;
    s->rip = gate_offset(gate);
    s->eflags &= ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM);
    if (!(desc_type(gate) & 1))
        s->eflags &= ~EFLAGS_IF;
    return true;
}

static bool deliver_protected(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    bool software = d->source == FROM_INT_N || d->source == FROM_SOFTWARE;
    struct i386_desc gate;
    uint32_t words[2];

    if (d->source == FROM_INT_N && i386_vm86(s)) {
        int redirected = vme_redirects(c, d->vector);

        if (redirected < 0)
            return false;
        if (redirected)
            return deliver_redirected(c, d);
        if (i386_iopl(s) < 3)
            return i386_fail(c, EXC_GP, 0);
    }
    if (d->vector * 8 + 7 > s->idtr.limit)
        return gate_error(c, EXC_GP, d);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(s, s->idtr.base + d->vector * 8), words, 8))
        return false;
    gate = (struct i386_desc){.lo = words[0], .hi = words[1]};
    if (!desc_is_system(&gate))
        return gate_error(c, EXC_GP, d);
    switch (desc_type(&gate)) {
    case SYS_TASK_GATE: case SYS_INT16: case SYS_TRAP16: case SYS_INT32: case SYS_TRAP32:
        break;
    default:
        return gate_error(c, EXC_GP, d);
    }
    if (software && desc_dpl(&gate) < s->cpl)
        return gate_error(c, EXC_GP, d);
    if (!desc_present(&gate))
        return gate_error(c, EXC_NP, d);
    if (desc_type(&gate) == SYS_TASK_GATE) {
        uint32_t rf = s->eflags & EFLAGS_RF;
        int result;

        if (d->set_rf)
            s->eflags |= EFLAGS_RF;
        result = i386_task_switch(c, gate_selector(&gate), TASK_INT, d->eip, d->has_error, d->error);
        if (result == UOP_FAULT && !c->exc.has_eip)
            s->eflags = (s->eflags & ~EFLAGS_RF) | rf; /* the old task goes on as it was */
        return result != UOP_FAULT;
    }
    return deliver_gate(c, d, &gate);
}

void i386_wake(struct i386_cpu *c)
{
    if (c->st->halted >= I386_MWAIT)
        i386_watch_line(c, LINE_NONE); /* MONITOR is for one MWAIT */
    c->st->halted = 0;
}

bool i386_level_differs(const struct i386_state *s, const struct i386_level *before)
{
    return s->cpl != before->cpl || ((s->eflags ^ before->eflags) & (EFLAGS_VM | EFLAGS_AC)) ||
           !i386_same_hidden(&s->seg[SEG_CS], &before->cs) || !i386_same_hidden(&s->seg[SEG_SS], &before->ss);
}

/* A transfer to or from a handler is complete. */
static void level_changed(struct i386_cpu *c, const struct i386_level *before)
{
    if (i386_level_differs(c->st, before))
        i386_mode_changed(c);
}

/* What was in progress is over. */
static void delivered(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    i386_wake(c);
    s->shadow = 0;
    s->rep_active = 0;
    s->rep_start = 0;
    s->tf_latched = 0;
    c->exc.pending = false;
}

static bool deliver_by_rules(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    struct i386_level before = i386_level_now(s);
    bool done = i386_long(s) ? i386_deliver_long(c, d) : i386_protected(s) ? deliver_protected(c, d) : deliver_real(c, d);

    if (!done) {
        bool takes_ext = c->exc.vector == EXC_TS || c->exc.vector == EXC_NP || c->exc.vector == EXC_SS ||
                         c->exc.vector == EXC_GP;

        if (takes_ext && d->source != FROM_INT_N && d->source != FROM_SOFTWARE)
            c->exc.error |= 1;
        return false;
    }
    delivered(c);
    level_changed(c, &before);
    return true;
}

/* Deliver one event. False: another exception is pending, nothing happened (or a task
 * switch did: exc.has_eip). */
static bool deliver(struct i386_cpu *c, const struct i386_delivery *d)
{
    if (!i386_quick_gate(c, d))
        return deliver_by_rules(c, d);
    delivered(c);
    return true;
}

/* ---- exceptions while delivering (SDM 3A table 6-5) ---- */

static bool is_contributory(unsigned vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

static bool makes_double_fault(unsigned first, unsigned second)
{
    if (is_contributory(first))
        return is_contributory(second);
    return first == EXC_PF && (second == EXC_PF || is_contributory(second));
}

static bool is_fault_class(const struct i386_cpu *c)
{
    switch (c->exc.vector) {
    case EXC_DF: case EXC_MC: case EXC_NMI: case EXC_BP: case EXC_OF:
        return false;
    case EXC_DB:
        return c->exc.dr6 & DR6_BD; /* not a code breakpoint */
    default:
        return true;
    }
}

static void set_dr6(struct i386_state *s, uint32_t bits)
{
    if (bits & 0xf)
        s->dr[6] &= ~(uint64_t)0xf;
    s->dr[6] |= bits;
    s->dr[7] &= ~(uint64_t)DR7_GD;
    s->debugctl &= ~(uint64_t)(DEBUGCTL_LBR | DEBUGCTL_BTF);
}

/* A #DB takes along what waited for one: a data breakpoint in the shadow of MOV SS. */
static void set_dr6_and_pending(struct i386_state *s, uint32_t bits)
{
    set_dr6(s, bits | s->pending_db);
    s->pending_db = 0;
}

/* The pending exception becomes a delivery. */
static struct i386_delivery consume(struct i386_cpu *c)
{
    struct i386_state *s = c->st;
    struct i386_delivery d = {
        .source = FROM_EXCEPTION,
        .vector = c->exc.vector,
        .has_error = c->exc.has_error,
        .error = c->exc.error,
        .eip = c->exc.has_eip ? c->exc.eip : s->rip,
        .set_rf = is_fault_class(c),
    };

    c->exc.pending = false;
    c->exc.has_eip = false;
    if (d.vector == EXC_PF)
        s->cr2 = c->exc.address;
    if (d.vector == EXC_DB)
        set_dr6_and_pending(s, c->exc.dr6);
    return d;
}

void i386_shut_down(struct i386_cpu *c, uint32_t status)
{
    c->exc.pending = false;
    c->exc.has_eip = false;
    c->st->halted = I386_HALTED;
    c->st->shadow = 0;
    c->st->rep_active = 0;
    c->st->rep_start = 0;
    c->st->tf_latched = 0;
    machine_end(c->u.cpu.machine, GUEST_TRIPLE_FAULT, status);
}

const char *i386_exception_name(uint64_t vector)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS", "#NP", "#SS",
                                        "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM"};

    return vector < ARRAY_LEN(names) ? names[vector] : NULL;
}

static void note(const struct i386_cpu *c, const struct i386_delivery *d, bool taken)
{
    bool outside = d->source == FROM_OUTSIDE;

    if (!(c->u.cpu.machine->traps->notes & (TRAP_INTERRUPT | TRAP_EXCEPTION)))
        return;
    traps_add_note(c->u.cpu.machine, &(struct trap_hit){
        .kind = outside ? TRAP_INTERRUPT : TRAP_EXCEPTION,
        .number = d->vector,
        .asked = d->source == FROM_INT_N,
        .untaken = !taken,
        .value = d->has_error ? d->error : 0,
        .address = d->vector == EXC_PF && !outside ? c->st->cr2 : 0,
    });
}

/* Does the exception or #VMEXIT that is pending lead out of a guest (APM 2, 15.12)? Then that is done. `during`: the event that was being
 * delivered, or 0. */
static bool leaves_guest(struct i386_cpu *c, uint64_t during)
{
    struct i386_state *s = c->st;
    uint64_t code = c->exc.code, info1 = c->exc.info1, info2 = c->exc.info2;

    if (!c->exc.exit) {
        code = SVM_EXIT_EXCEPTION + c->exc.vector;
        if (!i386_svm_intercepts(s, (unsigned)code))
            return false;
        info1 = c->exc.has_error ? c->exc.error : 0;
        info2 = c->exc.vector == EXC_PF ? c->exc.address : 0;
        if (c->exc.vector == EXC_DB)
            set_dr6_and_pending(s, c->exc.dr6);
    }
    if (c->exc.has_eip)
        s->rip = c->exc.eip;
    c->exc.pending = c->exc.has_eip = false;
    i386_svm_leave(c, code, info1, info2, during);
    return true;
}

/* Deliver *d and whatever exceptions that causes: one step in all. */
static void deliver_fully(struct i386_cpu *c, struct i386_delivery d)
{
    uint64_t base = c->st->seg[SEG_CS].base;

    while (!deliver(c, &d)) {
        unsigned first = d.source == FROM_EXCEPTION ? d.vector : EXC_NMI; /* NMI: benign */
        unsigned second = c->exc.vector;
        uint64_t event = i386_svm_guest(c->st) ? i386_svm_event(&d) : 0;

        if (d.source == FROM_EXCEPTION)
            note(c, &d, false);
        if (event && leaves_guest(c, event))
            return;
        if (first == EXC_DF && (is_contributory(second) || second == EXC_PF)) {
            d = consume(c);
            note(c, &d, false);
            if (i386_svm_intercepts(c->st, SVM_EXIT_SHUTDOWN)) {
                i386_svm_leave(c, SVM_EXIT_SHUTDOWN, 0, 0, 0);
                return;
            }
            i386_shut_down(c, SHUTDOWN_STATUS(c->u.cpu.index, second, d.has_error ? d.error : 0));
            return;
        }
        if (!c->exc.has_eip) { /* the second belongs to where the first did, which may be a task that was come to meanwhile */
            c->exc.has_eip = true;
            c->exc.eip = d.eip;
        }
        if (makes_double_fault(first, second)) {
            if (second == EXC_PF)
                c->st->cr2 = c->exc.address;
            raise(c, EXC_DF, true, 0);
            c->exc.has_eip = true;
            if (event && leaves_guest(c, event))
                return;
        }
        d = consume(c);
    }
    if (c->st->debugctl & DEBUGCTL_LBR)
        i386_lbr_event(c, base, d.eip);
    note(c, &d, true);
}

void i386_take_exception(struct ucpu *u)
{
    struct i386_cpu *c = i386_of(u);

    CHECK(c->exc.pending);
    if (c->exc.not_canonical && i386_stack_access(c, c->exc.address))
        c->exc.vector = EXC_SS;
    i386_pmu_uncount(c, 1);
    if (i386_svm_guest(c->st) && leaves_guest(c, c->exc.during))
        return;
    deliver_fully(c, consume(c));
}

void i386_note_syscall(const struct i386_cpu *c, enum trap_syscall how, unsigned value, uint64_t sp)
{
    if (c->u.cpu.machine->traps->notes & TRAP_SYSCALL)
        traps_add_note(c->u.cpu.machine, &(struct trap_hit){.kind = TRAP_SYSCALL, .number = how, .value = value, .address = sp});
}

int i386_software_int(struct i386_cpu *c, unsigned vector, uint64_t next_eip)
{
    unsigned n = vector & 0xff;
    struct i386_delivery d = {.source = FROM_INT_N, .vector = n, .eip = next_eip};
    uint64_t sp = c->st->gpr[ESP];
    uint32_t rf = c->st->eflags & EFLAGS_RF, waits = c->st->pending_db;
    bool stepped = being_stepped(c->st), from_user;

    if (!(vector & I386_INT_N)) {
        if (n == EXC_DB)
            d.source = FROM_ICEBP;
        else if (n == EXC_BP || n == EXC_OF)
            d.source = FROM_SOFTWARE;
    }
    if (d.source != FROM_INT_N && i386_svm_intercepts(c->st, SVM_EXIT_EXCEPTION + n))
        return i386_svm_exit(c, SVM_EXIT_EXCEPTION + n, 0, 0);
    from_user = i386_protected(c->st) && c->st->cpl == 3;
    c->st->eflags &= ~rf; /* it is over when the interrupt begins: 0 is pushed (SDM 3B 17.3.1.1) */
    if (!deliver(c, &d)) {
        if (!c->exc.has_eip) /* else it is another task */
            c->st->eflags |= rf;
        c->exc.during = i386_svm_event(&d);
        return UOP_FAULT;
    }
    /* A task gate's TF and RF are for the new task's first instruction. */
    if (stepped)
        c->st->tf_latched = (c->st->eflags & EFLAGS_TF ? I386_LATCH_TF_SET : 0) | (c->st->eflags & EFLAGS_RF ? I386_LATCH_RF : 0);
    note(c, &d, true);
    if (from_user && d.source == FROM_INT_N)
        i386_note_syscall(c, TRAP_INT, n, sp);
    if (d.source == FROM_ICEBP) { /* with what waited; a new task's T bit is for a #DB of its own */
        set_dr6(c->st, waits);
        c->st->pending_db &= ~waits;
    }
    return UOP_LEAVE;
}

/* ---- between instructions (SDM 3A table 6-2) ---- */

/* A virtual interrupt waits for a program that has just enabled its virtual IF (SDM 3B 20.3.2). */
static bool virtual_interrupt(const struct i386_state *s)
{
    if ((s->eflags & (EFLAGS_VIF | EFLAGS_VIP)) != (EFLAGS_VIF | EFLAGS_VIP) || i386_iopl(s) == 3)
        return false;
    if (i386_vm86(s))
        return s->cr4 & CR4_VME;
    return i386_protected(s) && s->cpl == 3 && (s->cr4 & CR4_PVI);
}

static bool trap_ready(const struct i386_state *s)
{
    return s->pending_db && s->shadow != I386_SHADOW_SS;
}

static bool nmi_ready(const struct i386_state *s)
{
    return s->nmi_pending && !s->nmi_blocked && !s->shadow && !s->svm.gif_clear;
}

static bool intr_ready(const struct i386_state *s)
{
    return s->intr_line && i386_svm_interruptible(s) && !s->shadow;
}

static bool smi_ready(const struct i386_state *s)
{
    return s->smi_pending && !s->smm && !s->shadow && s->halted != I386_WAITS && !s->svm.gif_clear;
}

static bool init_ready(const struct i386_state *s)
{
    return s->init_pending && !s->smm && !s->svm.gif_clear;
}

/* What comes before the next instruction, in the order of the table. */
enum upcoming {
    EVENT_NONE, EVENT_INJECTED /* into a guest, by its VMRUN */, EVENT_SMI, EVENT_INIT, EVENT_TRAP, EVENT_NMI, EVENT_INTR,
    EVENT_VIP, EVENT_VINTR /* a guest's virtual interrupt */, EVENT_COUNT,
};

static enum upcoming next_event(const struct i386_state *s)
{
    if (s->svm.inject)
        return EVENT_INJECTED;
    if (smi_ready(s))
        return EVENT_SMI;
    if (init_ready(s))
        return EVENT_INIT;
    if (trap_ready(s))
        return EVENT_TRAP;
    if (nmi_ready(s))
        return EVENT_NMI;
    if (intr_ready(s))
        return EVENT_INTR;
    if (virtual_interrupt(s))
        return EVENT_VIP;
    return i386_svm_virtual_interrupt(s) ? EVENT_VINTR : EVENT_NONE;
}

bool i386_event_ready(const struct ucpu *u)
{
    const struct i386_state *s = (const struct i386_state *)(const void *)u->s;

    return s->halted == I386_WAITS ? s->init_pending : next_event(s) != EVENT_NONE;
}

bool i386_quiet(const struct ucpu *u)
{
    const struct i386_state *s = (const struct i386_state *)(const void *)u->s;

    if ((s->eflags & (EFLAGS_TF | EFLAGS_RF | EFLAGS_VIP)) || (s->intr_line && (s->eflags & EFLAGS_IF)) || (s->debugctl & DEBUGCTL_LBR))
        return false;
    if (s->svm.guest && (s->intr_line || s->svm.inject || (s->svm.interrupts & V_IRQ)))
        return false;
    return !(s->halted | s->shadow | s->pending_db | s->nmi_pending | s->smi_pending | s->init_pending);
}

/* Does the event lead out of a guest (APM 2, 15.13, 15.21)? It stays pending for the host. */
static bool guest_is_left(struct i386_cpu *c, enum upcoming event)
{
    static const uint8_t codes[EVENT_COUNT] = {
        [EVENT_SMI] = SVM_EXIT_SMI, [EVENT_INIT] = SVM_EXIT_INIT, [EVENT_TRAP] = SVM_EXIT_EXCEPTION + EXC_DB, [EVENT_NMI] = SVM_EXIT_NMI,
        [EVENT_INTR] = SVM_EXIT_INTR, [EVENT_VIP] = SVM_EXIT_EXCEPTION + EXC_GP, [EVENT_VINTR] = SVM_EXIT_VINTR,
    };

    if (!codes[event] || !i386_svm_intercepts(c->st, codes[event]))
        return false;
    if (event == EVENT_TRAP)
        set_dr6_and_pending(c->st, 0);
    i386_pmu_uncount(c, 1);
    i386_svm_leave(c, codes[event], 0, 0, 0);
    return true;
}

bool i386_take_event(struct ucpu *u)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    struct i386_delivery d = {.source = FROM_OUTSIDE, .eip = s->rip, .set_rf = s->rep_active};
    enum upcoming event = next_event(s);
    int vector;

    if (event == EVENT_NONE)
        return false;
    if (guest_is_left(c, event))
        return true;
    switch (event) {
    case EVENT_INJECTED:
        d = i386_svm_injected(c);
        break;
    case EVENT_SMI:
        i386_pmu_uncount(c, 1);
        i386_enter_smm(c);
        return true;
    case EVENT_INIT:
        i386_pmu_uncount(c, 1);
        i386_init_signal(c);
        return true;
    case EVENT_TRAP:
        set_dr6_and_pending(s, 0);
        d.source = FROM_EXCEPTION;
        d.vector = EXC_DB;
        break;
    case EVENT_NMI:
        s->nmi_pending = 0;
        s->nmi_blocked = 1;
        d.nmi = true;
        d.vector = EXC_NMI;
        break;
    case EVENT_INTR:
        vector = c->intack ? c->intack(c->intack_ctx) : -1;
        if (vector < 0) {
            s->intr_line = 0; /* the request has gone away */
            return false;
        }
        d.vector = (unsigned)vector & 0xff;
        break;
    case EVENT_VIP:
        d.source = FROM_EXCEPTION;
        d.vector = EXC_GP;
        d.has_error = true;
        d.set_rf = true;
        break;
    default: /* EVENT_VINTR */
        s->svm.interrupts &= ~V_IRQ;
        d.vector = V_INTR_VECTOR(s->svm.interrupts);
    }
    i386_pmu_uncount(c, 1);
    deliver_fully(c, d);
    return true;
}

void i386_set_intr(void *cpu, unsigned n, bool level)
{
    struct i386_cpu *c = cpu;

    (void)n;
    if (c->st->intr_line == level && c->st->halted != I386_MWAIT_BREAK)
        return;
    c->st->intr_line = level;
    if (level && c->st->halted == I386_MWAIT_BREAK)
        i386_wake(c);
    machine_attention(c->u.cpu.machine);
}

void i386_raise_nmi(struct i386_cpu *c)
{
    c->st->nmi_pending = 1;
    machine_attention(c->u.cpu.machine);
}

void i386_raise_smi(struct i386_cpu *c)
{
    c->st->smi_pending = 1;
    machine_attention(c->u.cpu.machine);
}

void i386_raise_init(struct i386_cpu *c)
{
    if (c->u.cpu.running || c->st->smm)
        c->st->init_pending = 1;
    else
        i386_init_signal(c);
    machine_attention(c->u.cpu.machine);
}

void i386_startup(struct i386_cpu *c, uint8_t vector)
{
    struct i386_state *s = c->st;

    if (s->halted != I386_WAITS)
        return;
    s->seg[SEG_CS].selector = (uint16_t)(vector << 8);
    s->seg[SEG_CS].base = (uint32_t)vector << 12;
    s->rip = 0;
    s->halted = 0;
    i386_mode_changed(c);
    machine_attention(c->u.cpu.machine);
}

void i386_power_off(struct i386_cpu *c)
{
    c->st->halted = I386_WAITS;
}

void i386_resume_at(struct i386_cpu *c, uint32_t vector)
{
    struct i386_state *s = c->st;

    s->cr0 &= ~(CR0_CD | CR0_NW);
    s->seg[SEG_CS].selector = (uint16_t)(vector >> 4);
    s->seg[SEG_CS].base = vector & ~0xfu;
    s->rip = vector & 0xfu;
    i386_mode_changed(c);
}

/* ---- debug registers (SDM 3B 17.2) ---- */

enum { DR7_EXEC, DR7_WRITE, DR7_IO, DR7_ACCESS };

static bool dr_enabled(const struct i386_state *s, unsigned n)
{
    return s->dr[7] >> (2 * n) & 3;
}

static unsigned dr_type(const struct i386_state *s, unsigned n)
{
    return s->dr[7] >> (16 + 4 * n) & 3;
}

static unsigned dr_len(const struct i386_state *s, unsigned n)
{
    unsigned len = s->dr[7] >> (18 + 4 * n) & 3;

    return len == 2 ? (i386_long(s) ? 8 : 4) : len + 1; /* 8 bytes exist in long mode only */
}

/* The least address that breakpoint n covers. */
static uint64_t dr_base(const struct i386_state *s, unsigned n)
{
    return s->dr[n] & ~(uint64_t)(dr_len(s, n) - 1);
}

void i386_update_traps(struct i386_cpu *c)
{
    const struct i386_state *s = c->st;
    struct trap list[4];
    unsigned count = 0;

    for (unsigned n = 0; n < 4; n++) {
        if (!dr_enabled(s, n) || dr_type(s, n) == DR7_IO)
            continue;
        if (dr_type(s, n) == DR7_EXEC) {
            list[count++] = (struct trap){.address = s->dr[n], .len = 1, .kinds = TRAP_EXEC};
            continue;
        }
        list[count++] = (struct trap){
            .address = dr_base(s, n),
            .len = dr_len(s, n),
            .kinds = dr_type(s, n) == DR7_WRITE ? TRAP_WRITE : TRAP_READ | TRAP_WRITE,
        };
    }
    ucpu_set_guest_traps(&c->u, list, count);
}

bool i386_guest_break(struct ucpu *u, const struct trap_hit *hit)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint32_t bits = 0;

    if ((s->eflags & EFLAGS_RF) || s->shadow == I386_SHADOW_SS)
        return false;
    for (unsigned n = 0; n < 4; n++) {
        if (dr_enabled(s, n) && dr_type(s, n) == DR7_EXEC && s->dr[n] == hit->address)
            bits |= 1u << n;
    }
    if (!bits)
        return false;
    i386_raise_db(c, bits);
    return true;
}

void i386_guest_watch(struct ucpu *u, const struct trap_hit *hit)
{
    struct i386_state *s = i386_of(u)->st;

    for (unsigned n = 0; n < 4; n++) {
        unsigned type = dr_type(s, n);
        bool kind = type == DR7_ACCESS || (type == DR7_WRITE && hit->kind == TRAP_WRITE);

        if (dr_enabled(s, n) && kind && hit->address - dr_base(s, n) < dr_len(s, n))
            s->pending_db |= 1u << n;
    }
}

void i386_io_break(struct i386_cpu *c, uint16_t port, unsigned size)
{
    struct i386_state *s = c->st;

    if (!(s->cr4 & CR4_DE) || !(s->dr[7] & 0xff))
        return;
    for (unsigned n = 0; n < 4; n++) {
        uint64_t base = dr_base(s, n);

        if (dr_enabled(s, n) && dr_type(s, n) == DR7_IO && port < base + dr_len(s, n) && base < port + size) {
            s->pending_db |= 1u << n;
            machine_attention(c->u.cpu.machine);
        }
    }
}

/* ---- IRET ---- */

uint32_t i386_iret_mask(const struct i386_state *s, unsigned size)
{
    uint32_t mask = FLAGS_ALL | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT;
    bool op32 = size > 2;

    if (op32)
        mask |= EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;
    if (s->cpl <= i386_iopl(s))
        mask |= EFLAGS_IF;
    if (s->cpl == 0)
        mask |= EFLAGS_IOPL | (op32 ? EFLAGS_VIF | EFLAGS_VIP : 0);
    return mask;
}

/* Real mode, and virtual-8086 mode with IOPL 3 or with VME. */
static int iret_real(struct i386_cpu *c, bool op32)
{
    struct i386_state *s = c->st;
    bool vm86 = i386_vm86(s), virtual_if = vm86 && i386_iopl(s) < 3;
    uint32_t mask = FLAGS_ALL | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT;
    uint32_t limit = vm86 ? 0xffff : s->seg[SEG_CS].limit;
    unsigned size = op32 ? 4 : 2;
    struct i386_stack st;
    uint64_t eip, cs, eflags;

    if (virtual_if && (op32 || !(s->cr4 & CR4_VME)))
        return i386_raise_error(c, EXC_GP, 0);
    i386_stack_current(c, &st);
    if (!i386_stack_pop(c, &st, size, &eip) || !i386_stack_pop(c, &st, size, &cs) ||
        !i386_stack_pop(c, &st, size, &eflags))
        return UOP_FAULT;
    if (eip > limit)
        return i386_raise_error(c, EXC_GP, 0);
    if (op32)
        mask |= EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;
    if (virtual_if) {
        if ((eflags & EFLAGS_TF) || ((eflags & EFLAGS_IF) && (s->eflags & EFLAGS_VIP)))
            return i386_raise_error(c, EXC_GP, 0);
        eflags |= eflags & EFLAGS_IF ? EFLAGS_VIF : 0;
        mask |= EFLAGS_VIF;
    } else {
        mask |= vm86 ? EFLAGS_IF : EFLAGS_IF | EFLAGS_IOPL;
    }
    s->gpr[ESP] = st.rsp;
    i386_real_segment(s, SEG_CS, (uint16_t)cs, vm86);
    s->rip = eip;
    i386_set_eflags(c, (uint32_t)eflags, mask);
    s->nmi_blocked = 0;
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* From level 0 to virtual-8086 mode; `st` is behind EFLAGS. */
static int iret_to_vm86(struct i386_cpu *c, struct i386_stack *st, uint64_t eip, uint64_t cs, uint32_t eflags)
{
    static const unsigned order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    struct i386_state *s = c->st;
    uint64_t esp, selector[ARRAY_LEN(order)];

    if (!i386_stack_pop(c, st, 4, &esp))
        return UOP_FAULT;
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        if (!i386_stack_pop(c, st, 4, &selector[i]))
            return UOP_FAULT;
    }
    if (eip > 0xffff)
        return i386_raise_error(c, EXC_GP, 0);
    i386_set_eflags(c, eflags, 0xffffffffu);
    s->cpl = 3;
    s->gpr[ESP] = esp;
    s->rip = eip;
    i386_real_segment(s, SEG_CS, (uint16_t)cs, true);
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        i386_real_segment(s, order[i], (uint16_t)selector[i], true);
    s->nmi_blocked = 0;
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* To the same or an outer level; `st` is behind EFLAGS. */
static int iret_level(struct i386_cpu *c, struct i386_stack *st, bool op32, uint64_t eip, uint16_t cs, uint32_t eflags)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    unsigned size = op32 ? 4 : 2, rpl = cs & 3;
    uint64_t esp = st->rsp, ss = 0, stack_top[2];
    struct i386_level before = i386_level_now(s);
    uint32_t mask = i386_iret_mask(s, op32 ? 4 : 2);
    struct i386_desc code, stack;
    bool outer = rpl > s->cpl;

    i386_stores_begin(&stores);
    if (!i386_return_code(c, cs, &code))
        return UOP_FAULT;
    if (outer) {
        if (!i386_stack_pop_all(c, st, size, stack_top, 2))
            return UOP_FAULT;
        esp = stack_top[0];
        ss = stack_top[1];
        if (!i386_return_stack(c, (uint16_t)ss, rpl, &stack) || !i386_stores_accessed(c, &stores, &stack))
            return UOP_FAULT;
    }
    if (eip > desc_limit(&code))
        return i386_raise_error(c, EXC_GP, 0);
    if (!i386_stores_accessed(c, &stores, &code))
        return UOP_FAULT;

    i386_stores_commit(c, &stores);
    if (outer) {
        s->seg[SEG_SS] = i386_desc_segment(&stack, (uint16_t)ss);
        if (!(s->seg[SEG_SS].attr & SEG_ATTR_DB))
            esp = (s->gpr[ESP] & ~(uint64_t)0xffff) | (esp & 0xffff);
    }
    s->gpr[ESP] = esp;
    s->seg[SEG_CS] = i386_desc_segment(&code, cs);
    s->cpl = rpl;
    s->rip = eip;
    i386_set_eflags(c, (uint32_t)eflags, mask);
    if (outer)
        i386_hide_segments(c);
    s->nmi_blocked = 0;
    level_changed(c, &before);
    return UOP_LEAVE;
}

/* NT is set: back to the task that the TSS links to. */
static int iret_task(struct i386_cpu *c)
{
    const struct i386_segment *tr = &c->st->seg[SEG_TR];
    uint16_t link;
    int result;

    if (!tr->valid)
        return i386_fault_selector(c, EXC_TS, tr->selector);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, tr->base, &link, 2))
        return UOP_FAULT;
    result = i386_task_switch(c, link, TASK_IRET, i386_next_eip(c), false, 0);
    if (result != UOP_FAULT)
        c->st->nmi_blocked = 0;
    return result;
}

static int iret_by_rules(struct i386_cpu *c, unsigned size)
{
    struct i386_state *s = c->st;
    bool op32 = size == 4;
    struct i386_stack st;
    uint64_t frame[3]; /* EIP, CS, EFLAGS */

    if (!i386_uses_descriptors(s))
        return iret_real(c, op32);
    if (i386_long(s))
        return i386_iret_long(c, size);
    if (s->eflags & EFLAGS_NT)
        return iret_task(c);
    i386_stack_current(c, &st);
    if (!i386_stack_pop_all(c, &st, size, frame, 3))
        return UOP_FAULT;
    if (op32 && (frame[2] & EFLAGS_VM) && s->cpl == 0)
        return iret_to_vm86(c, &st, frame[0], frame[1], (uint32_t)frame[2]);
    return iret_level(c, &st, op32, frame[0], (uint16_t)frame[1], (uint32_t)frame[2]);
}

int i386_iret(struct i386_cpu *c, unsigned size)
{
    int result = i386_quick_iret(c, size) ? UOP_LEAVE : iret_by_rules(c, size);

    /* NMIs are unblocked by one that faults, too (SDM 3A 6.7.1). */
    if (result == UOP_FAULT && c->exc.pending && !c->exc.exit && !c->u.retry_alone)
        c->st->nmi_blocked = 0;
    return result;
}
