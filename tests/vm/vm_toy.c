/*
 * The toy CPU and its board. See vm_toy.h.
 */
#include "vm_toy.h"

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFF(member) ((unsigned)offsetof(struct toy_state, member))
#define REG(n)      (OFF(r) + 4u * ((n) & 7u))
#define TEMP(n)     (OFF(t) + 4u * (n))

enum { CAUSE_PF = 1, CAUSE_UD, CAUSE_TRAP, CAUSE_BREAK };

static struct toy *toy_cpu(const struct ucpu *c)
{
    return (struct toy *)(void *)(uintptr_t)c;
}

static int raise_exception(struct toy *t, uint32_t cause)
{
    t->st->pending = cause;
    return UOP_FAULT;
}

/* ---- helpers ---- */

static int help_undefined(struct ucpu *c, const struct uop *u)
{
    (void)u;
    return raise_exception(toy_cpu(c), CAUSE_UD);
}

static int help_trap(struct ucpu *c, const struct uop *u)
{
    (void)u;
    return raise_exception(toy_cpu(c), CAUSE_TRAP);
}

static int help_position(struct ucpu *c, const struct uop *u)
{
    uint32_t v = (uint32_t)machine_position(c->cpu.machine);

    memcpy(c->s + u->d, &v, 4);
    return UOP_NEXT;
}

static int help_yield(struct ucpu *c, const struct uop *u)
{
    (void)u;
    machine_yield(&c->cpu, machine_position(c->cpu.machine));
    return UOP_NEXT;
}

static int help_ipi(struct ucpu *c, const struct uop *u)
{
    struct machine *m = c->cpu.machine;
    uint32_t to;

    memcpy(&to, c->s + u->a, 4);
    toy_nth(m, to % m->ncpus)->st->irq = 1;
    machine_attention(m);
    return UOP_NEXT;
}

/* The repeated instruction; d: PC of the next one in the temporary. */
static int help_fill(struct ucpu *c, const struct uop *u)
{
    struct toy_state *s = toy_cpu(c)->st;
    uint64_t budget, n = 1;
    icount_t position;
    uint8_t *to;

    if (!s->r[6]) {
        s->pc = s->t[0];
        s->rep_active = 0;
        s->rep_start = 0;
        return UOP_LEAVE;
    }
    (void)u;
    position = c->cpu.limit - c->cpu.budget - 1; /* of the block's last instruction */
    budget = ucpu_rep_room(c) + 1;
    to = ucpu_host(c, s->r[7], ACCESS_WRITE);
    if (to) {
        n = PAGE_SIZE - (s->r[7] & ~PAGE_MASK);
        n = n < budget ? n : budget;
        n = n < s->r[6] ? n : s->r[6];
        memset(to, (uint8_t)s->r[0], n);
        ucpu_rep_used(c, n - 1);
    } else if (!ucpu_store(c, s->r[7], &s->r[0], 1)) {
        return UOP_FAULT;
    }
    if (!s->rep_active) {
        s->rep_active = 1;
        s->rep_start = position;
    }
    s->r[7] += (uint32_t)n;
    s->r[6] -= (uint32_t)n;
    s->pc = s->t[1];
    if (!s->r[6]) {
        s->pc = s->t[0];
        s->rep_active = 0;
        s->rep_start = 0;
    }
    return UOP_LEAVE;
}

static int help_setpt(struct ucpu *c, const struct uop *u)
{
    uint32_t v;

    memcpy(&v, c->s + u->a, 4);
    toy_cpu(c)->st->ptbase = v & 0x1f000;
    ucpu_roots_changed(c);
    ucpu_set_tlb_mode(c, toy_cpu(c)->st->ptbase != 0);
    return UOP_NEXT;
}

static int help_hlt(struct ucpu *c, const struct uop *u)
{
    (void)u;
    toy_cpu(c)->st->halted = 1;
    return UOP_NEXT;
}

static int help_eret(struct ucpu *c, const struct uop *u)
{
    struct toy_state *s = toy_cpu(c)->st;

    (void)u;
    s->pc = s->epc;
    s->ie = 1;
    if (s->cause == CAUSE_BREAK)
        s->resume_at = machine_position(c->cpu.machine) + 1;
    s->cause = 0;
    return UOP_LEAVE;
}

static int help_setdr(struct ucpu *c, const struct uop *u)
{
    struct toy_state *s = toy_cpu(c)->st;
    struct trap trap = {.len = 4};

    memcpy(&s->dr_addr, c->s + u->a, 4);
    s->dr_kind = u->b & 7;
    trap.address = s->dr_addr;
    trap.kinds = s->dr_kind;
    ucpu_set_guest_traps(c, &trap, s->dr_kind ? 1 : 0);
    return UOP_NEXT;
}

/* a: field offset, b: value */
static int help_set_field(struct ucpu *c, const struct uop *u)
{
    uint32_t v = u->b;

    memcpy(c->s + u->a, &v, 4);
    return UOP_NEXT;
}

static int help_base(struct ucpu *c, const struct uop *u)
{
    struct toy_state *s = toy_cpu(c)->st;
    uint32_t va = s->t[0] + s->base;

    s->base = u->b * 16;
    s->pc = va - s->base;
    return UOP_LEAVE;
}

/* ---- lowering ---- */

static const uint8_t lengths[TOY_OPS] = {
    [TOY_NOP] = 1, [TOY_MOVI] = 6, [TOY_ALU] = 5, [TOY_ALUI] = 5, [TOY_LD] = 6, [TOY_ST] = 6, [TOY_ADDM] = 6,
    [TOY_PUSH] = 3, [TOY_POP] = 3, [TOY_BR] = 4, [TOY_JMP] = 4, [TOY_JMPR] = 2, [TOY_POS] = 2, [TOY_FILL] = 1,
    [TOY_SETPT] = 2, [TOY_TRAP] = 1, [TOY_HLT] = 1, [TOY_ERET] = 1, [TOY_EI] = 2, [TOY_TF] = 2, [TOY_SETDR] = 3,
    [TOY_BASE] = 2, [TOY_SETCC] = 3, [TOY_JECXZ] = 4, [TOY_YIELD] = 1, [TOY_IPI] = 2,
};

static void lower_alu(struct builder *b, unsigned kind, unsigned d, unsigned a, unsigned bb, bool imm, uint32_t v)
{
    unsigned size = kind >> 6 & 3, op;

#define SIZED(name) (size == 0 ? UOP_##name##8_F : size == 1 ? UOP_##name##16_F : UOP_##name##32_F)
#define SIZEDI(name) (size == 0 ? UOP_##name##8I_F : size == 1 ? UOP_##name##16I_F : UOP_##name##32I_F)
#define BARE(name) (size == 0 ? UOP_##name##8 : size == 1 ? UOP_##name##16 : UOP_##name##32)
#define BAREI(name) (size == 0 ? UOP_##name##8I : size == 1 ? UOP_##name##16I : UOP_##name##32I)
    switch (kind & 0x3f) {
    case TOY_ADD: op = imm ? SIZEDI(ADD) : SIZED(ADD); break;
    case TOY_SUB: op = imm ? SIZEDI(SUB) : SIZED(SUB); break;
    case TOY_AND: op = imm ? SIZEDI(AND) : SIZED(AND); break;
    case TOY_OR: op = imm ? SIZEDI(OR) : SIZED(OR); break;
    case TOY_XOR: op = imm ? SIZEDI(XOR) : SIZED(XOR); break;
    case TOY_CMP: op = imm ? BAREI(CMP) : BARE(CMP); break;
    case TOY_TEST: op = imm ? BAREI(TEST) : BARE(TEST); break;
    case TOY_ADC: op = SIZED(ADC); break;
    case TOY_SBB: op = SIZED(SBB); break;
    case TOY_INC: op = SIZED(INC); break;
    case TOY_DEC: op = SIZED(DEC); break;
    case TOY_NEG: op = SIZED(NEG); break;
    case TOY_SHL: op = SIZEDI(SHL); v = v % 7 + 1; break;
    case TOY_SHR: op = SIZEDI(SHR); v = v % 7 + 1; break;
    default: op = SIZEDI(SAR); v = v % 7 + 1; break;
    }
    build(b, op, REG(d), REG(a), REG(bb), v, 0);
#undef SIZED
#undef SIZEDI
#undef BARE
#undef BAREI
}

static enum build_next finish_exit(struct builder *b)
{
    build(b, UOP_EXIT, 0, 0, 0, 0, 0);
    return BUILD_END;
}

static void branch_to(struct builder *b, uint32_t next, const uint8_t *rel)
{
    b->target[0] = next;
    b->target[1] = (uint32_t)(next + (uint32_t)(int32_t)(int16_t)get_le16(rel));
}

static enum build_next toy_build(struct builder *b)
{
    const uint8_t *p = b->bytes + b->len;
    bool first = b->ninsns == 0;
    unsigned room = (first ? b->avail_first : b->avail) - b->len;
    unsigned op = p[0], len;
    uint32_t next, here = (uint32_t)b->key.pc + b->len;
    bool exits = op == TOY_POS || op == TOY_SETPT || op == TOY_HLT || op == TOY_ERET || op == TOY_EI ||
                 op == TOY_TF || op == TOY_SETDR || op == TOY_BASE || op == TOY_YIELD || op == TOY_IPI;
    enum build_next how = BUILD_MORE;

    len = op < TOY_OPS ? lengths[op] : 1;
    if (len > room || (exits && !first))
        return BUILD_STOP;
    next = here + len;
    b->insns[b->ninsns++] = (struct block_insn){
        .pc_offset = b->len, .first_uop = (uint16_t)b->nuops, .len = (uint8_t)len};
    switch (op) {
    case TOY_NOP:
        break;
    case TOY_MOVI:
        build(b, UOP_MOVI32, REG(p[1]), 0, 0, get_le32(p + 2), 0);
        break;
    case TOY_ALU:
    case TOY_ALUI:
        lower_alu(b, p[1], p[2], p[3], p[4], op == TOY_ALUI, (uint32_t)(int32_t)(int8_t)p[4]);
        break;
    case TOY_LD: {
        static const enum uop_code ops[] = {UOP_LD8_W, UOP_LD16_W, UOP_LD32_W, UOP_LDZ8_32_W,
                                            UOP_LDZ16_32_W, UOP_LDS8_32_W, UOP_LDS16_32_W, UOP_LDX32_W};

        build(b, ops[p[1] & 7], REG(p[2]), REG(p[3]), OFF(zero), get_le16(p + 4), 0);
        break;
    }
    case TOY_ST: {
        static const enum uop_code ops[] = {UOP_ST8_W, UOP_ST16_W, UOP_ST32_W, UOP_STI32_W};

        build(b, ops[p[1] & 3], REG(p[2]), REG(p[3]), 0, get_le16(p + 4), 0x11223344);
        break;
    }
    case TOY_ADDM:
        build(b, UOP_LDRW32_W, TEMP(0), REG(p[3]), 0, get_le16(p + 4), 0);
        build(b, UOP_ADD32, TEMP(1), TEMP(0), REG(p[2]), 0, 0);
        build(b, UOP_ST32_W, TEMP(1), REG(p[3]), 0, get_le16(p + 4), 0);
        build(b, UOP_ADD32_F, TEMP(0), TEMP(0), REG(p[2]), 0, 0);
        break;
    case TOY_PUSH:
        build(b, UOP_ST32_PRE_W, REG(p[1]), REG(p[2]), 0, 4, 0);
        break;
    case TOY_POP:
        build(b, UOP_LD32_POST_W, REG(p[1]), REG(p[2]), 0, 4, 0);
        break;
    case TOY_BR:
        branch_to(b, next, p + 2);
        build(b, UOP_BR, 0, 0, p[1] & 15, 0, 0);
        how = BUILD_END;
        break;
    case TOY_JMP:
        branch_to(b, next, p + 2);
        build(b, UOP_JMP, 0, 0, 0, 0, 0);
        how = BUILD_END;
        break;
    case TOY_JECXZ:
        branch_to(b, next, p + 2);
        build(b, UOP_BRZ32, 0, REG(p[1]), 0, 0, 0);
        how = BUILD_END;
        break;
    case TOY_JMPR:
        build(b, UOP_JMPR32, 0, REG(p[1]), 0, 0, 0);
        how = BUILD_END;
        break;
    case TOY_POS:
        build_call(b, help_position, REG(p[1]), 0, 0);
        how = finish_exit(b);
        break;
    case TOY_FILL:
        build(b, UOP_MOVI32, TEMP(0), 0, 0, next, 0);
        build(b, UOP_MOVI32, TEMP(1), 0, 0, here, 0);
        build_call(b, help_fill, 0, 0, 0);
        how = finish_exit(b);
        break;
    case TOY_SETPT:
        build_call(b, help_setpt, 0, REG(p[1]), 0);
        how = finish_exit(b);
        break;
    case TOY_TRAP:
        build_call(b, help_trap, 0, 0, 0);
        break;
    case TOY_HLT:
        build_call(b, help_hlt, 0, 0, 0);
        how = finish_exit(b);
        break;
    case TOY_ERET:
        build_call(b, help_eret, 0, 0, 0);
        how = finish_exit(b);
        break;
    case TOY_YIELD:
        build_call(b, help_yield, 0, 0, 0);
        how = finish_exit(b);
        break;
    case TOY_IPI:
        build_call(b, help_ipi, 0, REG(p[1]), 0);
        how = finish_exit(b);
        break;
    case TOY_EI:
        build_call(b, help_set_field, 0, OFF(ie), p[1] & 1);
        how = finish_exit(b);
        break;
    case TOY_TF:
        build_call(b, help_set_field, 0, OFF(tf), p[1] & 1);
        how = finish_exit(b);
        break;
    case TOY_SETDR:
        build_call(b, help_setdr, 0, REG(p[2]), p[1]);
        how = finish_exit(b);
        break;
    case TOY_BASE:
        build(b, UOP_MOVI32, TEMP(0), 0, 0, next, 0);
        build_call(b, help_base, 0, 0, p[1]);
        how = finish_exit(b);
        break;
    case TOY_SETCC:
        build(b, UOP_SETCC, REG(p[2]), 0, p[1] & 15, 0, 0);
        break;
    default:
        build_call(b, help_undefined, 0, 0, 0);
        break;
    }
    b->len += len;
    return how;
}

/* ---- the rest of the front end ---- */

static void toy_where(const struct ucpu *c, struct block_key *key)
{
    const struct toy_state *s = toy_cpu(c)->st;

    *key = (struct block_key){.pc = s->pc, .va = (uint32_t)(s->pc + s->base), .mode = s->ptbase != 0};
}

static void toy_set_pc(struct ucpu *c, uint64_t pc)
{
    toy_cpu(c)->st->pc = (uint32_t)pc;
}

/* Page table entries: bit 0 present, 1 writable, 5 accessed, 6 dirty, 7 no fetch. */
static bool toy_walk(struct ucpu *c, uint64_t va, enum access access, unsigned mode, struct translation *t)
{
    struct toy *toy = toy_cpu(c);
    paddr_t at = toy->st->ptbase + (va >> PAGE_SHIFT) * 4;
    uint32_t pte, want = 0x20;

    if (!mode) {
        *t = (struct translation){.page = va & PAGE_MASK, .read = true, .write = true, .fetch = true};
        return true;
    }
    if (va >> PAGE_SHIFT >= TOY_PAGES) {
        toy->st->fault_va = (uint32_t)va;
        raise_exception(toy, CAUSE_PF);
        return false;
    }
    pte = (uint32_t)ucpu_walk_read(c, at, 4);
    if (!(pte & 1) || (access == ACCESS_WRITE && !(pte & 2)) || (access == ACCESS_FETCH && (pte & 0x80))) {
        toy->st->fault_va = (uint32_t)va;
        raise_exception(toy, CAUSE_PF);
        return false;
    }
    if (access == ACCESS_WRITE)
        want |= 0x40;
    if ((pte & want) != want) {
        pte |= want;
        ucpu_walk_write(c, at, 4, pte);
    }
    *t = (struct translation){.page = pte & 0x3f000, .read = true, .write = (pte & 0x42) == 0x42,
                              .fetch = !(pte & 0x80), .own_entry = true};
    return true;
}

static void toy_roots(const struct ucpu *c, uint64_t roots[TLB_ROOTS])
{
    roots[0] = ((const struct toy *)(const void *)c)->st->ptbase;
}

static bool toy_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa)
{
    const struct toy_state *s = ((const struct toy *)(const void *)cpu)->st;
    uint32_t pte = 0;

    if (!s->ptbase) {
        *pa = va;
        return true;
    }
    if (va >> PAGE_SHIFT >= TOY_PAGES)
        return false;
    memory_read_bytes(&cpu->machine->memory, s->ptbase + (va >> PAGE_SHIFT) * 4, &pte, 4);
    *pa = (pte & 0x3f000) | (va & ~PAGE_MASK);
    return pte & 1;
}

static bool toy_event_ready(const struct ucpu *c)
{
    const struct toy_state *s = toy_cpu(c)->st;

    return s->pending_db || (s->irq && s->ie);
}

static bool toy_take_event(struct ucpu *c)
{
    struct toy_state *s = toy_cpu(c)->st;

    if (s->pending_db) {
        s->pending_db = 0;
        s->dbcount++;
        return true;
    }
    s->halted = 0;
    s->epc = s->pc;
    s->cause = 0;
    s->pc = s->ivec;
    s->ie = 0;
    return true;
}

static void toy_take_exception(struct ucpu *c)
{
    struct toy_state *s = toy_cpu(c)->st;

    CHECK(s->pending);
    s->epc = s->pc;
    s->cause = s->pending;
    s->pending = 0;
    s->pc = s->evec - s->base;
    s->ie = 0;
    s->rep_active = 0;
    s->rep_start = 0;
}

static bool toy_single_step(const struct ucpu *c)
{
    return toy_cpu(c)->st->tf;
}

static void toy_stepped(struct ucpu *c)
{
    toy_cpu(c)->st->pending_db = 1;
}

static bool toy_guest_break(struct ucpu *c, const struct trap_hit *hit)
{
    struct toy_state *s = toy_cpu(c)->st;

    if (s->resume_at == hit->position)
        return false;
    s->break_hits++;
    raise_exception(toy_cpu(c), CAUSE_BREAK);
    return true;
}

static void toy_guest_watch(struct ucpu *c, const struct trap_hit *hit)
{
    struct toy_state *s = toy_cpu(c)->st;

    s->watch_hits += 1 + (uint32_t)hit->kind * 100 + ((uint32_t)hit->address - s->dr_addr) * 10000;
    s->pending_db = 1;
}

static void toy_settle(struct ucpu *c)
{
    struct toy_state *s = toy_cpu(c)->st;

    flags_settle(&s->cc);
    memset(s->t, 0, sizeof(s->t));
    s->pending = 0;
}

static const struct frontend toy_frontend = {
    .where = toy_where,
    .set_pc = toy_set_pc,
    .build = toy_build,
    .walk = toy_walk,
    .roots = toy_roots,
    .event_ready = toy_event_ready,
    .take_event = toy_take_event,
    .take_exception = toy_take_exception,
    .single_step = toy_single_step,
    .stepped = toy_stepped,
    .guest_break = toy_guest_break,
    .guest_watch = toy_guest_watch,
    .settle = toy_settle,
};

/* ---- cpu_ops ---- */

static void toy_reset(struct cpu *cpu)
{
    struct toy *t = (struct toy *)(void *)cpu;

    memset(t->st, 0, sizeof(*t->st));
    t->st->resume_at = ICOUNT_MAX;
    t->st->pc = 0x1000;
    t->st->evec = 0x4000;
    t->st->ivec = 0x4800;
    ucpu_flush_tlb(&t->u);
    ucpu_set_guest_traps(&t->u, NULL, 0);
    ucpu_set_tlb_mode(&t->u, 0);
}

static bool toy_idle(const struct cpu *cpu)
{
    const struct toy_state *s = ((const struct toy *)(const void *)cpu)->st;

    return s->halted && !(s->irq && s->ie) && !s->pending_db;
}

static uint64_t toy_pc(const struct cpu *cpu)
{
    const struct toy_state *s = ((const struct toy *)(const void *)cpu)->st;

    return (uint32_t)(s->pc + s->base);
}

static icount_t toy_in_progress(const struct cpu *cpu)
{
    const struct toy_state *s = ((const struct toy *)(const void *)cpu)->st;

    return s->rep_active ? s->rep_start : ICOUNT_MAX;
}

/* What follows from the state: regime and debug register. */
static void toy_drop_derived(struct cpu *cpu)
{
    struct toy *t = (struct toy *)(void *)cpu;
    struct trap trap = {.address = t->st->dr_addr, .len = 4, .kinds = t->st->dr_kind};

    ucpu_set_tlb_mode(&t->u, t->st->ptbase != 0);
    ucpu_set_guest_traps(&t->u, &trap, t->st->dr_kind ? 1 : 0);
    ucpu_drop_derived(cpu);
}

static void toy_destroy(struct cpu *cpu)
{
    ucpu_finish((struct ucpu *)(void *)cpu);
    free(cpu);
}

static const struct reg_desc toy_regs[] = {
    {"r0", 32, "int32", "general", "toy", false, false, 0}, {"r1", 32, "int32", "general", "toy", false, false, 0},
    {"pc", 32, "code_ptr", "general", "toy", false, false, 0},
};

static bool toy_write_reg(struct cpu *cpu, unsigned n, const void *buf)
{
    struct toy_state *s = ((struct toy *)(void *)cpu)->st;

    memcpy(n == 2 ? &s->pc : &s->r[n], buf, 4);
    return true;
}

static const struct cpu_ops toy_ops = {
    .arch = "toy",
    .state_size = sizeof(struct toy_state),
    .reset = toy_reset,
    .run = ucpu_run,
    .idle = toy_idle,
    .translate = toy_translate,
    .pc = toy_pc,
    .in_progress = toy_in_progress,
    .drop_derived = toy_drop_derived,
    .note_code = ucpu_note_code,
    .destroy = toy_destroy,
    .regs = toy_regs,
    .nregs = ARRAY_LEN(toy_regs),
    .pc_reg = 2,
    .write_reg = toy_write_reg,
};

/* ---- the device ---- */

static vtime_t device_deadline(const struct device *dev)
{
    const struct toy_device_state *s = dev->state;

    return s->deadline ? s->deadline : VTIME_NEVER;
}

/* The line goes up for one CPU after the other, and down for the one that says so. */
static void set_irq(struct device *dev, bool level)
{
    const struct toy_device_state *s = dev->state;
    const struct machine *m = dev->machine;

    if (level)
        toy_nth(m, (s->expiries + s->inputs) % m->ncpus)->st->irq = 1;
    else
        toy_nth(m, m->runner->index)->st->irq = 0;
}

static void device_expire(struct device *dev, vtime_t now)
{
    struct toy_device_state *s = dev->state;

    CHECK(now >= s->deadline);
    s->deadline = 0;
    s->expiries++;
    s->last_position = machine_position(dev->machine);
    set_irq(dev, true);
}

static void device_input(struct device *dev, const struct event *e)
{
    struct toy_device_state *s = dev->state;

    s->inputs += e->len;
    s->last_position = machine_position(dev->machine);
    set_irq(dev, true);
}

static uint64_t toy_device_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct toy_device_state *s = dev->state;

    (void)range;
    s->reads++;
    s->last_position = machine_position(dev->machine);
    switch (offset) {
    case TOY_REG_POSITION:
        return s->last_position;
    case TOY_REG_COUNT:
        return s->reads;
    default:
        return offset * 0x01010101u + size;
    }
}

static void toy_device_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct toy_device_state *s = dev->state;
    struct memory *mem = &dev->machine->memory;

    (void)range;
    s->writes += size;
    s->last_position = machine_position(dev->machine);
    switch (offset) {
    case TOY_REG_TIMER:
        s->deadline = machine_now(dev->machine) + 1 + (value & 0xfff);
        break;
    case TOY_REG_ACK:
        set_irq(dev, false);
        break;
    case TOY_REG_DMA: {
        static const uint8_t data[8] = {TOY_ALU, 0x80 | TOY_ADD, 1, 1, 2, TOY_NOP, TOY_NOP, TOY_NOP};

        memory_write_bytes(mem, value & 0x1ffff, data, sizeof(data), false);
        break;
    }
    case TOY_REG_ALIAS:
        s->alias = value & 1;
        memory_region_enable(mem, 3, s->alias);
        break;
    case TOY_REG_END:
        machine_end(dev->machine, GUEST_DEBUG_EXIT, (uint32_t)value);
        break;
    default:
        break;
    }
}

static void device_reset(struct device *dev)
{
    memset(dev->state, 0, dev->ops->state_size);
    memory_region_enable(&dev->machine->memory, 3, false);
}

static void device_restored(struct device *dev)
{
    const struct toy_device_state *s = dev->state;

    memory_region_enable(&dev->machine->memory, 3, s->alias);
}

static const struct device_ops device_ops = {
    .name = "toydev",
    .state_size = sizeof(struct toy_device_state),
    .calm_reads = true,
    .calm_writes = true,
    .reset = device_reset,
    .deadline = device_deadline,
    .expire = device_expire,
    .input = device_input,
    .restored = device_restored,
    .read = toy_device_read,
    .write = toy_device_write,
};

static void add_cpu(struct machine *m)
{
    struct toy *t = xcalloc(1, sizeof(*t));
    char name[16];

    snprintf(name, sizeof(name), "cpu%u", m->ncpus);
    t->st = machine_alloc_state(m, name, 0, sizeof(*t->st));
    ucpu_init(&t->u, m, &toy_ops, &toy_frontend, t->st, OFF(cc));
}

struct machine *toy_machine(void)
{
    return toy_machine_of(1);
}

struct machine *toy_machine_of(unsigned ncpus)
{
    struct machine *m = machine_create(64);
    struct device *dev;
    uint32_t ram, rom;

    ram = memory_alloc(&m->memory, "ram", TOY_RAM);
    rom = memory_alloc(&m->memory, "ram", PAGE_SIZE);
    for (unsigned i = 0; i < ncpus; i++)
        add_cpu(m);
    dev = machine_add_device(m, &device_ops, "toydev0", NULL);
    memory_map(&m->memory, &(struct region){
        .base = 0, .size = TOY_RAM, .kind = REGION_RAM, .page = ram, .enabled = true});
    memory_map(&m->memory, &(struct region){
        .base = TOY_MMIO, .size = 64, .kind = REGION_MMIO, .dev = dev, .enabled = true});
    memory_map(&m->memory, &(struct region){
        .base = TOY_ROM, .size = PAGE_SIZE, .kind = REGION_ROM, .page = rom, .enabled = true});
    memory_map(&m->memory, &(struct region){
        .base = 0xa000, .size = PAGE_SIZE, .kind = REGION_RAM, .page = ram + 9, .enabled = false});
    memory_map(&m->memory, &(struct region){
        .base = TOY_MMIO_PAGE, .size = PAGE_SIZE, .kind = REGION_MMIO, .dev = dev, .enabled = true});
    machine_reset(m);
    return m;
}

void toy_poke(struct machine *m, paddr_t at, const void *bytes, size_t len)
{
    CHECK(memory_write_bytes(&m->memory, at, bytes, len, true) == len);
}
