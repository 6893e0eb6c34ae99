/*
 * What long mode adds to the system side (SDM 3A 5.8.3.1, 5.8.7, 5.8.8, 6.14; SDM 2B): interrupts
 * through gates of 16 bytes and the interrupt stack table, IRET, SYSCALL and SYSRET, SWAPGS, FSGSBASE, and the
 * small instructions that came later: STAC, RDTSCP, protection keys, RDRAND, INVPCID, MONITOR.
 *
 * Where makers differ: SYSCALL outside 64-bit mode and SYSENTER in long mode are as the model's maker
 * has them. A null selector in FS or GS makes its base 0 (Intel). MONITOR's range is a line of 64 bytes. SYSRET to an
 * address that is not canonical faults at level 0 on Intel's models, at level 3 on AMD's.
 */
#include "i386/insn.h"
#include "i386/lower.h"
#include "i386/protect.h"
#include "vm/line.h"

#include <string.h>

static int gp0(struct i386_cpu *c)
{
    return i386_raise_error(c, EXC_GP, 0);
}

/* ---- interrupts ---- */

static bool gate_error(struct i386_cpu *c, unsigned exception, const struct i386_delivery *d)
{
    return i386_fail(c, exception, d->vector * 8 + 2);
}

static bool read_gate(struct i386_cpu *c, const struct i386_delivery *d, struct i386_desc *gate)
{
    const struct i386_state *s = c->st;
    bool software = d->source == FROM_INT_N || d->source == FROM_SOFTWARE;
    uint32_t words[4];

    if (d->vector * 16 + 15 > s->idtr.limit)
        return gate_error(c, EXC_GP, d);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, s->idtr.base + d->vector * 16, words, 16))
        return false;
    *gate = (struct i386_desc){.lo = words[0], .hi = words[1], .upper = words[2]};
    if (!desc_is_system(gate) || (desc_type(gate) != SYS_INT32 && desc_type(gate) != SYS_TRAP32) || (words[3] & 0x1f00))
        return gate_error(c, EXC_GP, d);
    if (software && desc_dpl(gate) < s->cpl)
        return gate_error(c, EXC_GP, d);
    return desc_present(gate) || gate_error(c, EXC_NP, d);
}

/* The stack that the handler runs on: by the interrupt stack table, the inner level's, or the current one. */
static bool handler_stack(struct i386_cpu *c, const struct i386_desc *gate, unsigned cpl, struct i386_stack *st)
{
    unsigned ist = gate->hi & 7;

    if (ist)
        return i386_stack_tss64(c, TSS64_IST(ist), cpl, st);
    if (cpl < c->st->cpl)
        return i386_stack_tss64(c, TSS64_RSP(cpl), cpl, st);
    i386_stack_current(c, st);
    st->wide = true;
    return true;
}

static bool push_frame(struct i386_cpu *c, struct i386_stores *stores, struct i386_stack *st, const struct i386_delivery *d)
{
    const struct i386_state *s = c->st;
    uint32_t image = i386_get_eflags(c) | (d->set_rf ? EFLAGS_RF : 0);
    uint64_t values[] = {s->seg[SEG_SS].selector, s->gpr[ESP], image, s->seg[SEG_CS].selector, d->eip, d->error};

    st->rsp &= ~(uint64_t)15;
    return i386_stack_push_all(c, stores, st, 8, values, d->has_error ? 6 : 5);
}

bool i386_deliver_long(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_desc gate = {0}, code;
    struct i386_stack st;
    uint16_t selector;
    unsigned cpl;
    bool inner, switches;

    i386_stores_begin(&stores);
    if (!read_gate(c, d, &gate))
        return false;
    selector = gate_selector(&gate);
    if (selector_is_null(selector))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, &code))
        return false;
    if (!desc_is_code(&code) || desc_dpl(&code) > s->cpl || !desc_is_64bit(&code) || desc_is_32bit(&code))
        return i386_fail(c, EXC_GP, selector & 0xfffcu);
    if (!desc_present(&code))
        return i386_fail(c, EXC_NP, selector & 0xfffcu);
    inner = !desc_is_conforming(&code) && desc_dpl(&code) < s->cpl;
    switches = inner || (gate.hi & 7); /* by the interrupt stack table at any level (6.14.5) */
    cpl = inner ? desc_dpl(&code) : s->cpl;
    if (!handler_stack(c, &gate, cpl, &st) || !push_frame(c, &stores, &st, d) ||
        !i386_code_target(c, &code, gate_offset(&gate)) || !i386_stores_accessed(c, &stores, &code))
        return false;

    i386_stores_commit(c, &stores);
    if (switches)
        i386_null_segment(c, SEG_SS, (uint16_t)cpl);
    s->gpr[ESP] = st.rsp;
    s->seg[SEG_CS] = i386_desc_segment(&code, (uint16_t)((selector & 0xfffcu) | cpl));
    s->cpl = cpl;
    s->rip = gate_offset(&gate);
    s->eflags &= ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM);
    if (desc_type(&gate) == SYS_INT32)
        s->eflags &= ~EFLAGS_IF;
    return true;
}

/* ---- which access was it? ---- */

static bool uses_stack(unsigned op)
{
    switch (op) {
    case INSN_PUSH: case INSN_POP: case INSN_PUSH_SREG: case INSN_POP_SREG: case INSN_PUSHF: case INSN_POPF: case INSN_ENTER:
    case INSN_LEAVE: case INSN_CALL: case INSN_CALL_IND: case INSN_RET:
        return true;
    default:
        return false;
    }
}

bool i386_stack_access(const struct i386_cpu *c, uint64_t va)
{
    const struct i386_state *s = c->st;
    uint8_t bytes[INSN_MAX_LEN];
    unsigned got = 0;
    struct insn i;
    paddr_t pa;

    while (got < sizeof bytes && i386_translate(&c->u.cpu, s->rip + got, &pa) &&
           memory_read_bytes(&c->u.cpu.machine->memory, pa, &bytes[got], 1) == 1)
        got++;
    if (i386_decode(bytes, got, DECODE_CODE64 | DECODE_P6 | DECODE_LM | DECODE_VEX, &i) != DECODE_OK)
        return false;
    if (uses_stack(i.op) && (!(i.flags & INSN_MEM) || va - s->gpr[ESP] + 8 < 16))
        return true;
    return (i.flags & INSN_MEM) && i.seg == SEG_SS;
}

/* ---- IRET ---- */

int i386_iret_long(struct i386_cpu *c, unsigned size)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    uint32_t mask = i386_iret_mask(s, size);
    uint64_t rip, cs, rflags, rsp = 0, ss = 0, frame[3], top[2];
    struct i386_level before = i386_level_now(s);
    bool outer, pops_stack, null = false;
    struct i386_desc code, stack;
    struct i386_stack st;

    i386_stores_begin(&stores);
    if (s->eflags & EFLAGS_NT)
        return gp0(c);
    i386_stack_current(c, &st);
    if (!i386_stack_pop_all(c, &st, size, frame, 3))
        return UOP_FAULT;
    rip = frame[0];
    cs = frame[1];
    rflags = frame[2];
    if (!i386_return_code(c, (uint16_t)cs, &code))
        return UOP_FAULT;
    outer = (cs & 3) > s->cpl;
    pops_stack = outer || i386_64bit(s);
    if (pops_stack) {
        if (!i386_stack_pop_all(c, &st, size, top, 2))
            return UOP_FAULT;
        rsp = top[0];
        ss = top[1];
        null = i386_null_stack_allowed((uint16_t)ss, cs & 3, &code);
        if (!null && !i386_return_stack(c, (uint16_t)ss, cs & 3, &stack))
            return UOP_FAULT;
    }
    if (!i386_code_target(c, &code, rip) || !i386_stores_accessed(c, &stores, &code) ||
        (pops_stack && !null && !i386_stores_accessed(c, &stores, &stack)))
        return UOP_FAULT;

    i386_stores_commit(c, &stores);
    s->seg[SEG_CS] = i386_desc_segment(&code, (uint16_t)cs);
    s->cpl = cs & 3;
    s->rip = rip;
    if (!pops_stack) {
        s->gpr[ESP] = st.rsp;
    } else {
        if (null)
            i386_null_segment(c, SEG_SS, (uint16_t)ss);
        else
            s->seg[SEG_SS] = i386_desc_segment(&stack, (uint16_t)ss);
        if (!i386_64bit(s) && !(s->seg[SEG_SS].attr & SEG_ATTR_DB))
            rsp = (s->gpr[ESP] & ~(uint64_t)0xffff) | (rsp & 0xffff);
        s->gpr[ESP] = rsp;
    }
    i386_set_eflags(c, (uint32_t)rflags, mask);
    if (outer)
        i386_hide_segments(c);
    s->nmi_blocked = 0;
    if (i386_level_differs(s, &before))
        i386_mode_changed(c);
    return UOP_LEAVE;
}

/* ---- SYSCALL, SYSRET (AMD APM 3) ---- */

#define SYSRET_FLAGS 0x003c7fd5u

/* Is SYSCALL or SYSRET there in this mode? */
static bool syscall_exists(const struct i386_cpu *c)
{
    const struct i386_state *s = c->st;

    return (s->efer & EFER_SCE) && i386_protected(s) && !i386_vm86(s) && (c->model->amd || i386_64bit(s));
}

/* Of SYSCALL and SYSRET it is the TF which they leave that traps behind them: a kernel's entry, which SFMASK takes TF from, is not
 * stepped, and SYSRET to a program that is stepped traps before the program's first instruction. */
static void trap_by_new_tf(struct i386_state *s)
{
    s->tf_latched &= ~(uint32_t)(I386_LATCH_TF_SET | I386_LATCH_TF_CLEAR);
    if (s->eflags & EFLAGS_TF)
        s->pending_db |= DR6_BS;
}

int i386_op_syscall(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint16_t cs = (uint16_t)(s->star >> 32 & 0xfffcu);
    bool is_long = i386_long(s), from_64 = i386_64bit(s);
    uint32_t flags = i386_get_eflags(c);

    (void)op;
    if (!syscall_exists(c))
        return i386_raise(c, EXC_UD);
    s->gpr[ECX] = s->t[3];
    s->rip = from_64 ? s->lstar : is_long ? s->cstar : (uint32_t)s->star;
    if (is_long) {
        s->gpr[11] = flags & ~EFLAGS_RF;
        i386_set_eflags(c, 0, (uint32_t)s->sfmask | EFLAGS_RF);
    } else {
        i386_set_eflags(c, 0, EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    }
    trap_by_new_tf(s);
    i386_load_flat(&s->seg[SEG_CS], cs, 0xb, 0, is_long ? SEG_ATTR_L : SEG_ATTR_DB);
    i386_load_flat(&s->seg[SEG_SS], (uint16_t)(cs + 8), 3, 0, SEG_ATTR_DB);
    s->cpl = 0;
    i386_flat_loaded(c, from_64);
    i386_note_syscall(c, TRAP_SYSCALL_INSN, 0, s->gpr[ESP]);
    return UOP_LEAVE;
}

int i386_op_sysret(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint16_t cs = (uint16_t)(s->star >> 48 & 0xfffcu);
    uint64_t target = op->b ? s->gpr[ECX] : (uint32_t)s->gpr[ECX];
    bool from_64 = i386_64bit(s);

    if (!syscall_exists(c))
        return i386_raise(c, EXC_UD);
    if (s->cpl || (!c->model->amd && !i386_canonical(s, target)))
        return gp0(c);
    if (i386_long(s))
        i386_set_eflags(c, (uint32_t)s->gpr[11], SYSRET_FLAGS);
    else
        s->eflags |= EFLAGS_IF;
    trap_by_new_tf(s);
    if (op->b)
        i386_load_flat(&s->seg[SEG_CS], (uint16_t)(cs + 16), 0xb, 3, SEG_ATTR_L);
    else
        i386_load_flat(&s->seg[SEG_CS], cs, 0xb, 3, SEG_ATTR_DB);
    i386_load_flat(&s->seg[SEG_SS], (uint16_t)(cs + 8), 3, 3, SEG_ATTR_DB);
    s->cpl = 3;
    s->rip = target;
    i386_flat_loaded(c, from_64);
    return UOP_LEAVE;
}

/* ---- bases of FS and GS ---- */

int i386_op_swapgs(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t base = s->seg[SEG_GS].base;

    (void)op;
    if (s->cpl)
        return gp0(c);
    s->seg[SEG_GS].base = s->kernel_gs_base;
    s->kernel_gs_base = base;
    return UOP_NEXT;
}

int i386_op_fsgsbase(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_segment *g = &c->st->seg[op->b & 1 ? SEG_GS : SEG_FS];
    uint64_t value;

    if (!(c->st->cr4 & CR4_FSGSBASE))
        return i386_raise(c, EXC_UD);
    if (op->b < 2) {
        memcpy(u->s + op->d, &g->base, 8);
        return UOP_NEXT;
    }
    memcpy(&value, u->s + op->a, 8);
    if (!i386_register_canonical(c, value))
        return gp0(c);
    g->base = value;
    return UOP_NEXT;
}

/* ---- the rest ---- */

static void set_edx_eax(struct i386_state *s, uint64_t value)
{
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = value >> 32;
}

int i386_op_rdtscp(struct ucpu *u, const struct uop *op)
{
    int result = i386_op_rdtsc(u, op);

    if (result == UOP_NEXT)
        i386_of(u)->st->gpr[ECX] = (uint32_t)i386_of(u)->st->tsc_aux;
    return result;
}

int i386_op_smap(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    if (c->st->cpl)
        return i386_raise(c, EXC_UD);
    i386_set_eflags(c, op->a ? EFLAGS_AC : 0, EFLAGS_AC);
    return UOP_NEXT;
}

bool i386_monitor_enabled(const struct i386_cpu *c)
{
    return c->model->amd || i386_misc_enabled(c, MISC_ENABLE_MONITOR) || i386_generation(c->model) < GENERATION_NETBURST;
}

static bool monitor_allowed(const struct i386_cpu *c)
{
    return !c->st->cpl && i386_monitor_enabled(c);
}

int i386_op_monitor(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t address = op->b == 8 ? s->gpr[EAX] : op->b == 4 ? (uint32_t)s->gpr[EAX] : (uint16_t)s->gpr[EAX], linear;
    paddr_t pa;

    if (!monitor_allowed(c))
        return i386_raise(c, EXC_UD);
    if ((uint32_t)s->gpr[ECX])
        return gp0(c);
    if (!i386_linear(c, op->a, address, 1, false, &linear) || !ucpu_probe(u, u->tlb_mode, linear, 1, ACCESS_READ))
        return UOP_FAULT;
    i386_watch_line(c, i386_translate(&u->cpu, linear, &pa) ? pa : LINE_NONE);
    return UOP_NEXT;
}

/* A line of memory becomes 0 (APM 3, CLZERO): the one that rAX points into. */
int i386_op_clzero(struct ucpu *u, const struct uop *op)
{
    static const uint8_t zeros[LINE_BYTES];
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint64_t address = op->b == 8 ? s->gpr[EAX] : op->b == 4 ? (uint32_t)s->gpr[EAX] : (uint16_t)s->gpr[EAX], linear;

    if (!i386_linear(c, op->a, address, 1, true, &linear))
        return UOP_FAULT;
    linear &= ~(uint64_t)(LINE_BYTES - 1);
    if (!ucpu_probe(u, u->tlb_mode, linear, LINE_BYTES, ACCESS_WRITE) || !ucpu_store_units(u, linear, zeros, LINE_BYTES, 8))
        return UOP_FAULT;
    return UOP_NEXT;
}

/* Without an armed line it goes on at once. */
int i386_op_mwait(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint32_t extensions = (uint32_t)s->gpr[ECX];

    (void)op;
    if (!monitor_allowed(c))
        return i386_raise(c, EXC_UD);
    if (extensions > 1)
        return gp0(c);
    if (s->monitor_line == LINE_NONE || (extensions && s->intr_line))
        return UOP_NEXT;
    s->halted = extensions ? I386_MWAIT_BREAK : I386_MWAIT;
    return UOP_NEXT;
}

int i386_op_rdpkru(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    (void)op;
    if (!(c->st->cr4 & CR4_PKE))
        return i386_raise(c, EXC_UD);
    if ((uint32_t)c->st->gpr[ECX])
        return gp0(c);
    set_edx_eax(c->st, c->st->pkru);
    return UOP_NEXT;
}

void i386_set_pkru(struct i386_cpu *c, uint32_t value)
{
    if (c->st->pkru != value)
        ucpu_flush_tlb(&c->u);
    c->st->pkru = value;
}

int i386_op_wrpkru(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;

    (void)op;
    if (!(s->cr4 & CR4_PKE))
        return i386_raise(c, EXC_UD);
    if ((uint32_t)s->gpr[ECX] || (uint32_t)s->gpr[EDX])
        return gp0(c);
    i386_set_pkru(c, (uint32_t)s->gpr[EAX]);
    return UOP_NEXT;
}

int i386_op_random(struct ucpu *u, const struct uop *op)
{
    uint64_t value = 0;

    machine_entropy(u->cpu.machine, &value, op->a);
    memcpy(u->s + op->d, &value, sizeof value);
    i386_of(u)->st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = FLAG_C};
    return UOP_NEXT;
}

/* There is no TLB to see: only the checks (SDM 2A, INVPCID). */
int i386_op_invpcid(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint64_t type, descriptor[2];

    if (c->st->cpl)
        return gp0(c);
    memcpy(&type, u->s + op->d, 8);
    if (!i386_read(c, op->a, c->st->t[0], descriptor, 16))
        return UOP_FAULT;
    if (type > 3 || descriptor[0] >> 12 || (type == 0 && !i386_register_canonical(c, descriptor[1])) ||
        (type < 2 && (descriptor[0] & 0xfff) && !(c->st->cr4 & CR4_PCIDE)))
        return gp0(c);
    return UOP_NEXT;
}
