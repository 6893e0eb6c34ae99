/*
 * Hardware task switches (SDM 3A chapter 7): 16- and 32-bit TSSs, by JMP,
 * CALL, IRET and interrupts through task gates.
 *
 * Everything that can be checked without the new task's context is checked
 * first; a fault there belongs to the old task and leaves it untouched. After
 * the commit point faults belong to the new task, at its first instruction
 * (SDM 3A 7.3): exc.has_eip tells the delivery so.
 *
 * After a switch to a 16-bit TSS the upper halves of the general registers
 * are all ones and FS and GS are null.
 */
#include "i386/protect.h"
#include "i386/svm.h"

/* Offsets in the two formats (SDM 3A figures 7-2 and 7-10). */
struct tss_layout {
    uint8_t size;     /* of EIP, EFLAGS and general registers */
    uint8_t eip, eflags, gpr, seg, ldt;
    uint8_t seg_step; /* bytes from one selector to the next */
    uint8_t nsegs;    /* ES CS SS DS (FS GS) */
    uint8_t min_limit;
};

static const struct tss_layout tss16 = {2, 0x0e, 0x10, 0x12, 0x22, 0x2a, 2, 4, 0x2b};
static const struct tss_layout tss32 = {4, 0x20, 0x24, 0x28, 0x48, 0x60, 4, 6, 0x67};
#define TSS32_CR3  0x1c
#define TSS32_TRAP 0x64

/* What the new TSS holds. */
struct task_image {
    uint64_t cr3, eip, eflags, gpr[8];
    uint16_t seg[6], ldt, trap; /* bit 0 of trap: T */
};

/* Do something with each field in turn: the bytes at `va`, and what the image has of them. False: it was given up. */
typedef bool field_fn(void *ctx, uint64_t va, unsigned size, void *value);

static bool each_field(uint64_t base, const struct tss_layout *l, struct task_image *t, field_fn *fn, void *ctx)
{
    if (!fn(ctx, base + l->eip, l->size, &t->eip) || !fn(ctx, base + l->eflags, l->size, &t->eflags))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        if (!fn(ctx, base + l->gpr + i * l->size, l->size, &t->gpr[i]))
            return false;
    }
    for (unsigned i = 0; i < l->nsegs; i++) {
        if (!fn(ctx, base + l->seg + i * l->seg_step, 2, &t->seg[i]))
            return false;
    }
    if (!fn(ctx, base + l->ldt, 2, &t->ldt))
        return false;
    return l->size == 2 || (fn(ctx, base + TSS32_CR3, 4, &t->cr3) && fn(ctx, base + TSS32_TRAP, 2, &t->trap));
}

static bool read_field(void *ctx, uint64_t va, unsigned size, void *value)
{
    return ucpu_load_mode(ctx, MMU_SUPERVISOR, (uint32_t)va, value, size);
}

static bool read_image(struct i386_cpu *c, uint64_t base, const struct tss_layout *l, struct task_image *t)
{
    *t = (struct task_image){.cr3 = l->size == 2 ? c->st->cr3 : 0};
    for (unsigned i = 0; i < 8 && l->size == 2; i++)
        t->gpr[i] = 0xffff0000u;
    return each_field(base, l, t, read_field, &c->u);
}

static bool show_field(void *ctx, uint64_t va, unsigned size, void *value)
{
    i386_stores_show(ctx, (uint32_t)va, size, value);
    return true;
}

/* Note a store into a TSS. */
static bool store_field(struct i386_cpu *c, struct i386_stores *stores, uint64_t va, unsigned size, uint64_t value)
{
    return i386_stores_add(c, stores, MMU_SUPERVISOR, (uint32_t)va, size, value);
}

/* Note the stores that save the old task's registers. */
static bool save_image(struct i386_cpu *c, struct i386_stores *stores, uint64_t next_eip, uint32_t eflags)
{
    const struct i386_state *s = c->st;
    const struct i386_segment *tr = &s->seg[SEG_TR];
    const struct tss_layout *l = tr->attr & SYS_32BIT ? &tss32 : &tss16;

    if (!store_field(c, stores, tr->base + l->eip, l->size, next_eip) ||
        !store_field(c, stores, tr->base + l->eflags, l->size, eflags))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        if (!store_field(c, stores, tr->base + l->gpr + i * l->size, l->size, s->gpr[i]))
            return false;
    }
    for (unsigned i = 0; i < l->nsegs; i++) {
        if (!store_field(c, stores, tr->base + l->seg + i * l->seg_step, 2, s->seg[i].selector))
            return false;
    }
    return true;
}

/* Note the change of a TSS descriptor's busy bit. */
static bool set_busy(struct i386_cpu *c, struct i386_stores *stores, const struct i386_desc *d, bool busy)
{
    uint32_t hi = busy ? d->hi | 0x200 : d->hi & ~0x200u;

    return i386_stores_add(c, stores, MMU_SUPERVISOR, d->addr + 5, 1, hi >> 8 & 0xff);
}

/* ---- in the new task ---- */

/* A fault that belongs to the new task, before its first instruction. */
static int new_task_fault(struct i386_cpu *c)
{
    i386_mode_changed(c);
    c->exc.has_eip = true;
    c->exc.eip = c->st->rip;
    return UOP_FAULT;
}

static bool load_ldt(struct i386_cpu *c, uint16_t selector)
{
    struct i386_desc d;

    i386_null_segment(c, SEG_LDTR, selector);
    if (selector_is_null(selector))
        return true;
    if (selector & 4)
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    if (!i386_desc_read(c, selector, EXC_TS, &d))
        return false;
    if (!desc_is_system(&d) || desc_type(&d) != SYS_LDT || !desc_present(&d))
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    c->st->seg[SEG_LDTR] = i386_desc_segment(&d, selector);
    return true;
}

/* Load a register whose descriptor has been checked. */
static bool load_checked(struct i386_cpu *c, unsigned seg, struct i386_desc *d, uint16_t selector)
{
    struct i386_stores stores;

    i386_stores_begin(&stores);
    if (!i386_stores_accessed(c, &stores, d))
        return false;
    i386_stores_commit(c, &stores);
    c->st->seg[seg] = i386_desc_segment(d, selector);
    return true;
}

static bool load_cs(struct i386_cpu *c, uint16_t selector)
{
    unsigned rpl = selector & 3;
    struct i386_desc d;

    if (selector_is_null(selector))
        return i386_fail(c, EXC_TS, 0);
    if (!i386_desc_read(c, selector, EXC_TS, &d))
        return false;
    if (!desc_is_code(&d) || (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    if (!desc_present(&d))
        return i386_fail(c, EXC_NP, selector & 0xfffcu);
    return load_checked(c, SEG_CS, &d, selector);
}

static bool load_ss(struct i386_cpu *c, uint16_t selector)
{
    struct i386_desc d;

    if (selector_is_null(selector))
        return i386_fail(c, EXC_TS, 0);
    if (!i386_desc_read(c, selector, EXC_TS, &d))
        return false;
    if (!desc_is_writable_data(&d) || (selector & 3) != c->st->cpl || desc_dpl(&d) != c->st->cpl)
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    if (!desc_present(&d))
        return i386_fail(c, EXC_SS, selector & 0xfffcu);
    return load_checked(c, SEG_SS, &d, selector);
}

static bool load_data(struct i386_cpu *c, unsigned seg, uint16_t selector)
{
    bool conforming;
    struct i386_desc d;

    if (selector_is_null(selector))
        return true;
    if (!i386_desc_read(c, selector, EXC_TS, &d))
        return false;
    conforming = desc_is_code(&d) && desc_is_conforming(&d);
    if (!desc_is_readable(&d) ||
        (!conforming && (desc_dpl(&d) < c->st->cpl || desc_dpl(&d) < (selector & 3u))))
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    if (!desc_present(&d))
        return i386_fail(c, EXC_NP, selector & 0xfffcu);
    return load_checked(c, seg, &d, selector);
}

static bool load_segments(struct i386_cpu *c, const struct task_image *t)
{
    static const unsigned data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    struct i386_state *s = c->st;

    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        i386_null_segment(c, i, t->seg[i]);
    s->cpl = i386_vm86(s) ? 3 : t->seg[SEG_CS] & 3;
    if (!load_ldt(c, t->ldt))
        return false;
    if (i386_vm86(s)) {
        for (unsigned i = SEG_ES; i <= SEG_GS; i++)
            i386_real_segment(s, i, t->seg[i], true);
        return true;
    }
    if (!load_cs(c, t->seg[SEG_CS]) || !load_ss(c, t->seg[SEG_SS]))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
        if (!load_data(c, data[i], t->seg[data[i]]))
            return false;
    }
    return true;
}

static bool push_error(struct i386_cpu *c, unsigned size, uint32_t error)
{
    struct i386_stores stores;
    struct i386_stack st;

    i386_stores_begin(&stores);
    i386_stack_current(c, &st);
    if (!i386_stack_push(c, &stores, &st, size, error))
        return false;
    i386_stores_commit(c, &stores);
    c->st->gpr[ESP] = st.rsp;
    return true;
}

/* ---- the switch ---- */

/* Find and check the new task's TSS descriptor. */
static bool find_tss(struct i386_cpu *c, uint16_t selector, enum task_source source, struct i386_desc *d)
{
    unsigned vector = source == TASK_IRET ? EXC_TS : EXC_GP;
    unsigned want = source == TASK_IRET ? SYS_TSS16_BUSY : SYS_TSS16;
    const struct tss_layout *l;

    if (selector_is_null(selector) || (selector & 4))
        return i386_fail(c, vector, selector & 0xfffcu);
    if (!i386_desc_read(c, selector, vector, d))
        return false;
    if (!desc_is_system(d) || (desc_type(d) & ~SYS_32BIT) != want)
        return i386_fail(c, vector, selector & 0xfffcu);
    if (!desc_present(d))
        return i386_fail(c, EXC_NP, selector & 0xfffcu);
    l = desc_type(d) & SYS_32BIT ? &tss32 : &tss16;
    if (desc_limit(d) < l->min_limit)
        return i386_fail(c, EXC_TS, selector & 0xfffcu);
    return true;
}

/* Note every store that the switch makes in the old task's context. */
static bool plan_stores(struct i386_cpu *c, struct i386_stores *stores, const struct i386_desc *d,
                        enum task_source source, uint64_t next_eip)
{
    const struct i386_segment *tr = &c->st->seg[SEG_TR];
    uint32_t eflags = i386_get_eflags(c);
    struct i386_desc old;

    if (source == TASK_IRET)
        eflags &= ~EFLAGS_NT;
    if (!save_image(c, stores, next_eip, eflags))
        return false;
    if (source == TASK_JUMP || source == TASK_IRET) {
        if (!i386_desc_read(c, tr->selector, EXC_TS, &old) || !set_busy(c, stores, &old, false))
            return false;
    } else if (!i386_stores_add(c, stores, MMU_SUPERVISOR, desc_base(d), 2, tr->selector)) {
        return false;
    }
    return source == TASK_IRET || set_busy(c, stores, d, true);
}

/* Change the page tables with the task. */
static void switch_cr3(struct i386_cpu *c, uint64_t cr3, const uint64_t pdpte[4])
{
    struct i386_state *s = c->st;

    if (!(s->cr0 & CR0_PG))
        return;
    s->cr3 = cr3;
    if (s->cr4 & CR4_PAE) {
        for (unsigned i = 0; i < 4; i++)
            s->pdpte[i] = pdpte[i];
    }
    ucpu_roots_changed(&c->u);
}

int i386_task_switch(struct i386_cpu *c, uint16_t tss_selector, enum task_source source, uint64_t next_eip,
                     bool has_error, uint32_t error)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    const struct tss_layout *l;
    struct task_image t;
    struct i386_desc d;
    uint64_t pdpte[4] = {0};

    i386_stores_begin(&stores);
    if (!ucpu_be_alone(&c->u))
        return UOP_FAULT;
    if (i386_svm_intercepts(s, SVM_EXIT_TASK_SWITCH)) /* APM 2, 15.14.1 */
        return i386_svm_exit(c, SVM_EXIT_TASK_SWITCH, tss_selector,
                             error | (uint64_t)(source == TASK_IRET) << 36 | (uint64_t)(source == TASK_JUMP) << 38 |
                                 (uint64_t)has_error << 44 | (uint64_t)((s->eflags & EFLAGS_RF) != 0) << 48);
    if (!s->seg[SEG_TR].valid)
        return i386_fault_selector(c, EXC_TS, s->seg[SEG_TR].selector);
    if (!find_tss(c, tss_selector, source, &d))
        return UOP_FAULT;
    l = desc_type(&d) & SYS_32BIT ? &tss32 : &tss16;
    if (!read_image(c, desc_base(&d), l, &t) || !plan_stores(c, &stores, &d, source, next_eip))
        return UOP_FAULT;
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_svm_nested(s) && i386_read_pdptes(c, t.cr3, pdpte) < 0)
        return i386_fault_selector(c, EXC_TS, tss_selector);

    /* Nothing fails up to the new context. A task that returns to itself comes to what is just being saved. */
    each_field(desc_base(&d), l, &t, show_field, &stores);
    i386_stores_commit(c, &stores);
    if (source == TASK_CALL || source == TASK_INT)
        t.eflags |= EFLAGS_NT;
    d.hi |= 0x200;
    s->seg[SEG_TR] = i386_desc_segment(&d, tss_selector);
    s->cr0 |= CR0_TS;
    switch_cr3(c, t.cr3, pdpte);
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = t.gpr[i];
    s->rip = t.eip;
    i386_set_eflags(c, (uint32_t)t.eflags, 0xffffffffu);
    s->dr[7] &= ~(uint64_t)0x155; /* L0-L3 and LE */
    i386_update_traps(c);

    if (!load_segments(c, &t))
        return new_task_fault(c);
    i386_mode_changed(c);
    if (t.trap & 1)
        s->pending_db |= DR6_BT;
    if (has_error && !push_error(c, l->size, error))
        return new_task_fault(c);
    if (s->rip > s->seg[SEG_CS].limit) {
        i386_raise_error(c, EXC_GP, 0);
        return new_task_fault(c);
    }
    return UOP_LEAVE;
}
