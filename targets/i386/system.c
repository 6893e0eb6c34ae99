/*
 * System instructions (SDM 2; 3A chapters 2, 9, 17, 18; 3B 35): control and
 * debug registers, descriptor table registers, time stamp, fast system calls, flags that privileges guard, I/O
 * permission.
 *
 * The time stamp counter runs at 1 GHz of virtual time on every model.
 *
 * What long mode adds is in long.c, CPUID in cpuid.c, model-specific registers in msr.c.
 *
 * INVLPG and global pages need no action (see mmu.c); INVD does not lose
 * data, for there is no cache.
 */
#include "i386/lower.h"
#include "i386/protect.h"
#include "i386/svm.h"

#include <string.h>

static uint32_t *at32(struct ucpu *u, unsigned offset)
{
    return (uint32_t *)(void *)(u->s + offset);
}

static uint64_t *at64(struct ucpu *u, unsigned offset)
{
    return (uint64_t *)(void *)(u->s + offset);
}

static uint16_t at16(struct ucpu *u, unsigned offset)
{
    uint16_t v;

    memcpy(&v, u->s + offset, sizeof v);
    return v;
}

static int gp0(struct i386_cpu *c)
{
    return i386_raise_error(c, EXC_GP, 0);
}

static bool has_feature(const struct i386_cpu *c, unsigned bit)
{
    return c->model->features_edx >> bit & 1;
}

/* ---- control registers (SDM 3A 2.5) ---- */

/* With PAE paging: reload the PDPTEs from `cr3`. */
static bool reload_pdptes(struct i386_cpu *c, uint64_t cr3)
{
    uint64_t pdpte[4];

    if (i386_svm_nested(c->st)) /* read when they are used (APM 2, 15.25.10) */
        return true;
    if (i386_read_pdptes(c, cr3, pdpte) < 0)
        return false;
    memcpy(c->st->pdpte, pdpte, sizeof pdpte);
    return true;
}

/* PG is being set or cleared, with EFER.LME: may that lead into or out of long mode (SDM 3A 9.8.5)? False: #GP. */
static bool long_mode_may_switch(const struct i386_cpu *c, bool on)
{
    const struct i386_state *s = c->st;
    bool tss16 = (s->seg[SEG_TR].attr & SEG_ATTR_TYPE) == SYS_TSS16_BUSY;

    /* AMD's do not mind: KVM gives the CPUs that it starts one of 16 bits. */
    if (on && (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].attr & SEG_ATTR_L) || (!c->model->amd && s->seg[SEG_TR].valid && tss16)))
        return false;
    return on || !(i386_64bit(s) || (s->cr4 & CR4_PCIDE));
}

static bool cr0_allowed(const struct i386_cpu *c, uint64_t value)
{
    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        return false;
    return !((c->st->cr0 ^ value) & CR0_PG) || !(c->st->efer & EFER_LME) || long_mode_may_switch(c, value & CR0_PG);
}

bool i386_set_cr0(struct i386_cpu *c, uint64_t wide)
{
    struct i386_state *s = c->st;
    uint32_t old = s->cr0, value = ((uint32_t)wide & CR0_WRITABLE) | CR0_ET, changed = old ^ value;

    if (!cr0_allowed(c, wide))
        return false;
    if ((changed & CR0_PG) && (s->efer & EFER_LME))
        s->efer = value & CR0_PG ? s->efer | EFER_LMA : s->efer & ~(uint64_t)EFER_LMA;
    if ((value & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s) && (changed & (CR0_PG | CR0_CD | CR0_NW)) &&
        !reload_pdptes(c, s->cr3))
        return false;
    s->cr0 = value;
    if (changed & CR0_PE)
        s->cpl = 0;
    i386_mode_changed(c);
    /* PE alone leaves every translation as it is: a BIOS goes to protected mode and back for each sector. */
    if (changed & (CR0_PG | CR0_WP))
        ucpu_flush_tlb(&c->u);
    else
        ucpu_roots_changed(&c->u); /* the PDPTEs may have been reloaded */
    return true;
}

static bool cr3_allowed(const struct i386_cpu *c, uint64_t value)
{
    if (c->st->cr4 & CR4_PCIDE)
        value &= ~((uint64_t)1 << 63); /* what is cached may stay: it always may */
    return !(i386_has(c->model, FEATURE_LM) ? value >> i386_phys_bits(c->model) : value >> 32);
}

bool i386_set_cr3(struct i386_cpu *c, uint64_t value)
{
    struct i386_state *s = c->st;
    bool pae = (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s), same;

    if (!cr3_allowed(c, value))
        return false;
    value &= ~((uint64_t)1 << 63);
    if (pae && !reload_pdptes(c, value))
        return false;
    /* Translations follow every change of their tables by themselves. */
    same = !(s->cr0 & CR0_PG) || (!pae && value == s->cr3);
    s->cr3 = value;
    if (!same)
        ucpu_roots_changed(&c->u);
    return true;
}

uint32_t i386_cr4_allowed(const struct i386_cpu *c)
{
    static const struct { unsigned feature; uint32_t bits; } by_feature[] = {
        {FEATURE_UMIP, CR4_UMIP}, {FEATURE_LA57, CR4_LA57}, {FEATURE_FSGSBASE, CR4_FSGSBASE}, {FEATURE_PCID, CR4_PCIDE},
        {FEATURE_XSAVE, CR4_OSXSAVE}, {FEATURE_SMEP, CR4_SMEP}, {FEATURE_SMAP, CR4_SMAP}, {FEATURE_PKU, CR4_PKE},
    };
    uint32_t mask = 0;

    if (has_feature(c, 1))
        mask |= CR4_VME | CR4_PVI;
    if (has_feature(c, 2))
        mask |= CR4_DE;
    if (has_feature(c, 3))
        mask |= CR4_PSE;
    if (has_feature(c, 4))
        mask |= CR4_TSD | CR4_PCE;
    if (has_feature(c, 6))
        mask |= CR4_PAE;
    if (has_feature(c, 7))
        mask |= CR4_MCE;
    if (has_feature(c, 13))
        mask |= CR4_PGE;
    if (c->model->has_fxsr)
        mask |= CR4_OSFXSR;
    if (c->model->has_sse)
        mask |= CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < ARRAY_LEN(by_feature); i++)
        if (i386_has(c->model, by_feature[i].feature))
            mask |= by_feature[i].bits;
    return mask;
}

static bool cr4_allowed(const struct i386_cpu *c, uint64_t value)
{
    const struct i386_state *s = c->st;
    uint64_t changed = s->cr4 ^ value;

    if (value & ~(uint64_t)i386_cr4_allowed(c))
        return false;
    if (i386_long(s) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
        return false;
    return !(changed & value & CR4_PCIDE) || (i386_long(s) && !(s->cr3 & 0xfff));
}

bool i386_set_cr4(struct i386_cpu *c, uint64_t wide)
{
    struct i386_state *s = c->st;
    uint32_t value = (uint32_t)wide, changed = s->cr4 ^ value;

    if (!cr4_allowed(c, wide))
        return false;
    if ((s->cr0 & CR0_PG) && (value & CR4_PAE) && !i386_long(s) && (changed & (CR4_PAE | CR4_PGE | CR4_PSE)) &&
        !reload_pdptes(c, s->cr3))
        return false;
    s->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57))
        ucpu_flush_tlb(&c->u);
    i386_mode_changed(c);
    return true;
}

/* The task priority: the local APIC's, or a guest's own (AMD APM 2, 15.21.2). */
static unsigned read_cr8(const struct i386_cpu *c)
{
    if (i386_svm_has_tpr(c->st))
        return c->st->svm.interrupts & 0xf;
    return c->cr8_read ? c->cr8_read(c->io_ctx) : 0;
}

static void write_cr8(struct i386_cpu *c, unsigned value)
{
    if (i386_svm_guest(c->st))
        c->st->svm.interrupts = (c->st->svm.interrupts & ~V_TPR) | value;
    if (!i386_svm_has_tpr(c->st) && c->cr8_write)
        c->cr8_write(c->io_ctx, value);
}

/* A write to CR0 is intercepted if it changes more than TS and MP (APM 2, 15.9). */
static bool only_some_intercept(const struct i386_cpu *c, uint64_t value)
{
    return i386_svm_intercepts(c->st, SVM_EXIT_CR0_SELECTIVE) && ((value ^ c->st->cr0) & ~(uint64_t)(CR0_TS | CR0_MP));
}

int i386_op_mov_from_cr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint64_t value = 0;

    if (s->cpl)
        return gp0(c);
    switch (op->a) {
    case 0: value = s->cr0; break;
    case 2: value = s->cr2; break;
    case 3: value = s->cr3; break;
    case 4: value = s->cr4; break;
    case 8: value = read_cr8(c); break;
    default: return i386_raise(c, EXC_UD);
    }
    *at64(u, op->d) = value;
    return UOP_NEXT;
}

static bool cr_allowed(const struct i386_cpu *c, unsigned n, uint64_t value)
{
    switch (n) {
    case 0: return cr0_allowed(c, value);
    case 3: return cr3_allowed(c, value);
    case 4: return cr4_allowed(c, value);
    case 8: return value < 16;
    default: return true;
    }
}

/* Only what would be allowed is intercepted (APM 2, table 15-7). */
int i386_op_mov_to_cr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint64_t value = *at64(u, op->a);
    bool allowed = true;

    if (c->st->cpl || !cr_allowed(c, op->d, value))
        return gp0(c);
    if (i386_svm_intercepts(c->st, SVM_EXIT_CR_WRITE + op->d))
        return i386_svm_exit(c, SVM_EXIT_CR_WRITE + op->d, 0, 0);
    if (op->d == 0 && only_some_intercept(c, value))
        return i386_svm_exit(c, SVM_EXIT_CR0_SELECTIVE, 0, 0);
    switch (op->d) {
    case 0: allowed = i386_set_cr0(c, value); break; /* PDPTEs may be what forbids it */
    case 2: c->st->cr2 = value; break;
    case 3: allowed = i386_set_cr3(c, value); break;
    case 4: allowed = i386_set_cr4(c, value); break;
    case 8: write_cr8(c, (unsigned)value); break;
    default: return i386_raise(c, EXC_UD);
    }
    return allowed ? UOP_NEXT : gp0(c);
}

int i386_op_clts(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    (void)op;
    if (c->st->cpl)
        return gp0(c);
    c->st->cr0 &= ~CR0_TS;
    return UOP_NEXT;
}

int i386_op_lmsw(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const uint32_t mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
    uint32_t cr0 = c->st->cr0, value;

    if (c->st->cpl)
        return gp0(c);
    /* PE can be set, not cleared. */
    value = (cr0 & ~mask) | (at16(u, op->a) & mask) | (cr0 & CR0_PE);
    return i386_set_cr0(c, value) ? UOP_NEXT : gp0(c);
}

/* May SGDT, SIDT, SLDT, STR and SMSW be used? */
static bool umip_allows(const struct i386_cpu *c)
{
    return !c->st->cpl || !(c->st->cr4 & CR4_UMIP);
}

int i386_op_smsw(struct ucpu *u, const struct uop *op)
{
    if (!umip_allows(i386_of(u)))
        return gp0(i386_of(u));
    *at32(u, op->d) = i386_of(u)->st->cr0;
    return UOP_NEXT;
}

/* ---- debug registers (SDM 3B 17.2) ---- */

bool i386_set_dr(struct i386_cpu *c, unsigned n, uint64_t value)
{
    struct i386_state *s = c->st;

    if (n >= 6 ? value >> 32 : !i386_long(s) && value >> 32)
        return false;
    if (n == 6)
        value = (value & (0xfu | DR6_BD | DR6_BS | DR6_BT)) | DR6_FIXED;
    else if (n == 7)
        value = (value & 0xffff23ffu) | DR7_FIXED;
    s->dr[n] = value;
    i386_update_traps(c);
    return true;
}

/* Common checks of MOV from and to DR; *n becomes 6 or 7 for their aliases 4 and 5. `exit`: exit code of DR0. */
static int check_dr(struct i386_cpu *c, unsigned *n, unsigned exit)
{
    const struct i386_state *s = c->st;
    unsigned code = exit + *n;

    if (*n == 4 || *n == 5) {
        if (s->cr4 & CR4_DE)
            return i386_raise(c, EXC_UD);
        *n += 2;
    }
    if (s->cpl)
        return gp0(c);
    if (s->dr[7] & DR7_GD)
        return i386_raise_db(c, DR6_BD);
    if (i386_svm_intercepts(s, code))
        return i386_svm_exit(c, code, 0, 0);
    return UOP_NEXT;
}

int i386_op_mov_from_dr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned n = op->a;
    int result = check_dr(c, &n, SVM_EXIT_DR_READ);

    if (result == UOP_NEXT)
        *at64(u, op->d) = c->st->dr[n];
    return result;
}

int i386_op_mov_to_dr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned n = op->d;
    int result = check_dr(c, &n, SVM_EXIT_DR_WRITE);

    if (result == UOP_NEXT && !i386_set_dr(c, n, *at64(u, op->a)))
        return gp0(c);
    return result;
}

/* ---- descriptor table registers ---- */

static int load_dtr(struct i386_cpu *c, const struct uop *op, struct i386_dtr *dtr)
{
    unsigned size = i386_64bit(c->st) ? 10 : 6;
    uint8_t bytes[10];
    uint16_t limit;
    uint64_t base = 0;

    if (c->st->cpl)
        return gp0(c);
    if (!i386_read(c, op->a, c->st->t[0], bytes, size))
        return UOP_FAULT;
    memcpy(&limit, bytes, 2);
    memcpy(&base, bytes + 2, size - 2);
    if (size == 10 && !i386_register_canonical(c, base))
        return gp0(c);
    dtr->limit = limit;
    dtr->base = op->b || size == 10 ? base : base & 0xffffff;
    return UOP_NEXT;
}

int i386_op_lgdt(struct ucpu *u, const struct uop *op)
{
    return load_dtr(i386_of(u), op, &i386_of(u)->st->gdtr);
}

int i386_op_lidt(struct ucpu *u, const struct uop *op)
{
    return load_dtr(i386_of(u), op, &i386_of(u)->st->idtr);
}

/* The base is stored whole whatever the operand size, as processors do. Limit and base are two stores, each of which is to be
 * aligned where that is checked (SDM 3A 3.5.1): the base, then, and not what begins with the limit. */
static int store_dtr(struct i386_cpu *c, const struct uop *op, const struct i386_dtr *dtr)
{
    unsigned size = i386_64bit(c->st) ? 10 : 6;
    uint16_t limit = (uint16_t)dtr->limit;
    uint8_t bytes[10];
    uint64_t linear, base;

    if (!umip_allows(c))
        return gp0(c);
    memcpy(bytes, &limit, 2);
    memcpy(bytes + 2, &dtr->base, size - 2);
    if (!i386_linear_aligned(c, op->a, c->st->t[0], size, 1, true, &linear) ||
        !i386_linear_aligned(c, op->a, c->st->t[0] + 2, size - 2, size - 2, true, &base))
        return UOP_FAULT;
    return ucpu_store(&c->u, linear, bytes, size) ? UOP_NEXT : UOP_FAULT;
}

int i386_op_sgdt(struct ucpu *u, const struct uop *op)
{
    return store_dtr(i386_of(u), op, &i386_of(u)->st->gdtr);
}

int i386_op_sidt(struct ucpu *u, const struct uop *op)
{
    return store_dtr(i386_of(u), op, &i386_of(u)->st->idtr);
}

/* The upper half of an LDT's or TSS's base. */
static bool read_long_base(struct i386_cpu *c, uint16_t selector, struct i386_desc *d)
{
    return i386_desc_read_upper(c, selector, d) && (i386_register_canonical(c, desc_base(d)) || i386_fail(c, EXC_GP, selector & 0xfffcu));
}

int i386_op_lldt(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint16_t selector = at16(u, op->a);
    struct i386_desc d;

    if (c->st->cpl)
        return gp0(c);
    if (selector_is_null(selector)) {
        i386_null_segment(c, SEG_LDTR, selector);
        return UOP_NEXT;
    }
    if (selector & 4)
        return i386_fault_selector(c, EXC_GP, selector);
    if (!i386_desc_read(c, selector, EXC_GP, &d))
        return UOP_FAULT;
    if (!desc_is_system(&d) || desc_type(&d) != SYS_LDT)
        return i386_fault_selector(c, EXC_GP, selector);
    if (!desc_present(&d))
        return i386_fault_selector(c, EXC_NP, selector);
    if (i386_long(c->st) && !read_long_base(c, selector, &d))
        return UOP_FAULT;
    c->st->seg[SEG_LDTR] = i386_desc_segment(&d, selector);
    return UOP_NEXT;
}

int i386_op_ltr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint16_t selector = at16(u, op->a);
    struct i386_stores stores;
    struct i386_desc d;

    i386_stores_begin(&stores);
    if (c->st->cpl)
        return gp0(c);
    if (selector_is_null(selector))
        return gp0(c);
    if (selector & 4)
        return i386_fault_selector(c, EXC_GP, selector);
    if (!i386_desc_read(c, selector, EXC_GP, &d))
        return UOP_FAULT;
    if (!desc_is_system(&d) || (desc_type(&d) & ~SYS_32BIT) != SYS_TSS16 ||
        (i386_long(c->st) && desc_type(&d) != SYS_TSS32))
        return i386_fault_selector(c, EXC_GP, selector);
    if (!desc_present(&d))
        return i386_fault_selector(c, EXC_NP, selector);
    if (i386_long(c->st) && !read_long_base(c, selector, &d))
        return UOP_FAULT;
    d.hi |= 0x200; /* busy */
    if (!i386_stores_add(c, &stores, MMU_SUPERVISOR, d.addr + 5, 1, d.hi >> 8 & 0xff))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    c->st->seg[SEG_TR] = i386_desc_segment(&d, selector);
    return UOP_NEXT;
}

int i386_op_sldt(struct ucpu *u, const struct uop *op)
{
    if (!umip_allows(i386_of(u)))
        return gp0(i386_of(u));
    *at32(u, op->d) = i386_of(u)->st->seg[SEG_LDTR].selector;
    return UOP_NEXT;
}

int i386_op_str(struct ucpu *u, const struct uop *op)
{
    if (!umip_allows(i386_of(u)))
        return gp0(i386_of(u));
    *at32(u, op->d) = i386_of(u)->st->seg[SEG_TR].selector;
    return UOP_NEXT;
}

/* ---- looking at descriptors (SDM 2: LAR, LSL, VERR, VERW) ---- */

enum look { LOOK_LAR, LOOK_LSL, LOOK_READ, LOOK_WRITE };

/* Set of system descriptor types that an instruction can see. */
#define LAR_TYPES 0x1a3eu /* TSSs, LDT, call gates, task gate */
#define LSL_TYPES 0x0a0eu /* TSSs, LDT */
/* In long mode there are no 16-bit ones and no task gates. */
#define LAR_TYPES_LONG 0x1a04u
#define LSL_TYPES_LONG 0x0a04u

/* 1: *d is visible to the instruction; 0: it is not; negative: exception pending. */
static int look_up(struct i386_cpu *c, uint16_t selector, enum look look, struct i386_desc *d)
{
    unsigned cpl = c->st->cpl, rpl = selector & 3;
    uint64_t addr;
    uint32_t words[2];

    if (selector_is_null(selector) || !i386_desc_locate(c, selector, &addr))
        return 0;
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, addr, words, 8))
        return -1;
    *d = (struct i386_desc){.lo = words[0], .hi = words[1], .addr = addr};
    if (desc_is_system(d)) {
        bool is_long = i386_long(c->st);
        uint32_t types = look == LOOK_LAR ? (is_long ? LAR_TYPES_LONG : LAR_TYPES) :
                         look == LOOK_LSL ? (is_long ? LSL_TYPES_LONG : LSL_TYPES) : 0;

        if (!(types >> desc_type(d) & 1))
            return 0;
    }
    if (look == LOOK_READ && !desc_is_readable(d))
        return 0;
    if (look == LOOK_WRITE && !desc_is_writable_data(d))
        return 0;
    if (!desc_is_system(d) && desc_is_code(d) && desc_is_conforming(d))
        return 1;
    return desc_dpl(d) >= cpl && desc_dpl(d) >= rpl;
}

static void set_zf(struct i386_cpu *c, bool on)
{
    i386_set_eflags(c, on ? FLAG_Z : 0, FLAG_Z);
}

static int verify(struct ucpu *u, const struct uop *op, enum look look)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_desc d;
    int visible = look_up(c, at16(u, op->a), look, &d);

    if (visible < 0)
        return UOP_FAULT;
    set_zf(c, visible);
    return UOP_NEXT;
}

int i386_op_verr(struct ucpu *u, const struct uop *op)
{
    return verify(u, op, LOOK_READ);
}

int i386_op_verw(struct ucpu *u, const struct uop *op)
{
    return verify(u, op, LOOK_WRITE);
}

static int look_and_set(struct ucpu *u, const struct uop *op, enum look look)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_desc d;
    int visible = look_up(c, at16(u, op->a), look, &d);
    uint32_t value;

    if (visible < 0)
        return UOP_FAULT;
    set_zf(c, visible);
    if (!visible)
        return UOP_NEXT;
    value = look == LOOK_LAR ? d.hi & 0x00f0ff00u : desc_limit(&d);
    if (op->b)
        *at64(u, op->d) = value; /* outside 64-bit mode the upper half is 0 anyway */
    else
        memcpy(u->s + op->d, &value, 2);
    return UOP_NEXT;
}

int i386_op_lar(struct ucpu *u, const struct uop *op)
{
    return look_and_set(u, op, LOOK_LAR);
}

int i386_op_lsl(struct ucpu *u, const struct uop *op)
{
    return look_and_set(u, op, LOOK_LSL);
}

/* ---- caches, halt ---- */

static int privileged_nothing(struct ucpu *u)
{
    return i386_of(u)->st->cpl ? gp0(i386_of(u)) : UOP_NEXT;
}

int i386_op_invlpg(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return privileged_nothing(u);
}

int i386_op_invd(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return privileged_nothing(u);
}

int i386_op_hlt(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    (void)op;
    if (c->st->cpl)
        return gp0(c);
    c->st->halted = I386_HALTED;
    return UOP_NEXT;
}

/* PAUSE: whoever spins waits for another processor. */
int i386_op_pause(struct ucpu *u, const struct uop *op)
{
    (void)op;
    ucpu_yield(u);
    return UOP_NEXT;
}

/* ---- time stamp ---- */

/* The time stamp counter now. */
uint64_t i386_tsc(const struct i386_cpu *c)
{
    return machine_now(c->u.cpu.machine) + c->st->tsc_offset;
}

uint64_t i386_seen_tsc(const struct i386_cpu *c)
{
    return i386_tsc(c) + (i386_svm_guest(c->st) ? c->st->svm.tsc_offset : 0);
}

int i386_op_rdtsc(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t now;

    (void)op;
    if ((s->cr4 & CR4_TSD) && s->cpl)
        return gp0(c);
    now = i386_seen_tsc(c);
    s->gpr[EAX] = (uint32_t)now;
    s->gpr[EDX] = (uint32_t)(now >> 32);
    return UOP_NEXT;
}

/* ---- SYSENTER, SYSEXIT ---- */

int i386_op_sysenter(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint16_t cs = (uint16_t)(s->sysenter_cs & 0xfffcu);
    uint64_t sp = s->gpr[ESP];
    bool is_long = i386_long(s), was_64bit = i386_64bit(s);

    (void)op;
    if (is_long && c->model->amd)
        return i386_raise(c, EXC_UD);
    if (!i386_protected(s) || !cs)
        return gp0(c);
    i386_set_eflags(c, 0, EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    i386_load_flat(&s->seg[SEG_CS], cs, 0xb, 0, is_long ? SEG_ATTR_L : SEG_ATTR_DB);
    i386_load_flat(&s->seg[SEG_SS], (uint16_t)(cs + 8), 0x3, 0, SEG_ATTR_DB);
    s->cpl = 0;
    s->gpr[ESP] = is_long ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    s->rip = is_long ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    i386_flat_loaded(c, was_64bit);
    i386_note_syscall(c, TRAP_SYSENTER, 0, sp);
    return UOP_LEAVE;
}

int i386_op_sysexit(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint16_t cs = (uint16_t)(s->sysenter_cs & 0xfffcu);
    uint64_t rip = s->gpr[EDX], rsp = s->gpr[ECX];
    bool was_64bit = i386_64bit(s);

    if (i386_long(s) && c->model->amd)
        return i386_raise(c, EXC_UD);
    if (!i386_protected(s) || !cs || s->cpl || (op->b && (!i386_canonical(s, rip) || !i386_canonical(s, rsp))))
        return gp0(c);
    i386_load_flat(&s->seg[SEG_CS], (uint16_t)(cs + (op->b ? 32 : 16)), 0xb, 3, op->b ? SEG_ATTR_L : SEG_ATTR_DB);
    i386_load_flat(&s->seg[SEG_SS], (uint16_t)(cs + (op->b ? 40 : 24)), 0x3, 3, SEG_ATTR_DB);
    s->cpl = 3;
    s->gpr[ESP] = op->b ? rsp : (uint32_t)rsp;
    s->rip = op->b ? rip : (uint32_t)rip;
    s->shadow = 0;
    i386_flat_loaded(c, was_64bit);
    return UOP_LEAVE;
}

/* ---- interrupt flag, PUSHF, POPF (SDM 2; 3B 20.3, 20.4) ---- */

enum if_control { IF_REAL, IF_VIRTUAL, IF_FAULT };

/* Which interrupt flag do CLI and STI act on? */
static enum if_control if_control(const struct i386_state *s)
{
    unsigned iopl = i386_iopl(s);

    if (!i386_protected(s) || s->cpl <= iopl)
        return IF_REAL;
    if (i386_vm86(s))
        return s->cr4 & CR4_VME ? IF_VIRTUAL : IF_FAULT;
    return s->cpl == 3 && (s->cr4 & CR4_PVI) ? IF_VIRTUAL : IF_FAULT;
}

int i386_op_cli(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    (void)op;
    switch (if_control(c->st)) {
    case IF_REAL: c->st->eflags &= ~EFLAGS_IF; return UOP_NEXT;
    case IF_VIRTUAL: c->st->eflags &= ~EFLAGS_VIF; return UOP_NEXT;
    default: return gp0(c);
    }
}

int i386_op_sti(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;

    (void)op;
    switch (if_control(s)) {
    case IF_REAL:
        if (!(s->eflags & EFLAGS_IF))
            i386_set_shadow(c, I386_SHADOW_STI);
        s->eflags |= EFLAGS_IF;
        return UOP_NEXT;
    case IF_VIRTUAL:
        if (s->eflags & EFLAGS_VIP)
            return gp0(c);
        s->eflags |= EFLAGS_VIF;
        return UOP_NEXT;
    default:
        return gp0(c);
    }
}

int i386_op_sti_between(struct ucpu *u, const struct uop *op)
{
    const struct i386_state *s = i386_of(u)->st;

    if ((s->intr_line | s->nmi_pending | s->smi_pending | s->init_pending | s->pending_db | (s->svm.interrupts & V_IRQ)) && !ucpu_be_alone(u))
        return UOP_FAULT;
    return i386_op_sti(u, op);
}

/* In virtual-8086 mode with IOPL < 3: may PUSHF and POPF go on, with VIF in IF's place? */
static bool vme_flags(const struct i386_state *s, bool op32)
{
    return (s->cr4 & CR4_VME) && !op32;
}

int i386_op_pushf(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint32_t image = i386_get_eflags(c) & ~(EFLAGS_RF | EFLAGS_VM);

    if (i386_vm86(s) && i386_iopl(s) < 3) {
        if (!vme_flags(s, op->a))
            return gp0(c);
        image = (image & ~EFLAGS_IF) | EFLAGS_IOPL | (s->eflags & EFLAGS_VIF ? EFLAGS_IF : 0);
    }
    *at64(u, op->d) = image;
    return UOP_NEXT;
}

int i386_op_popf(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint32_t mask = FLAGS_ALL | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT;
    uint32_t value = op->b ? *at32(u, op->a) : at16(u, op->a);

    if (op->b)
        mask |= EFLAGS_AC | EFLAGS_ID;
    if (i386_vm86(s) && i386_iopl(s) < 3) {
        if (!vme_flags(s, op->b))
            return gp0(c);
        if ((value & EFLAGS_TF) || ((value & EFLAGS_IF) && (s->eflags & EFLAGS_VIP)))
            return gp0(c);
        value |= value & EFLAGS_IF ? EFLAGS_VIF : 0;
        mask |= EFLAGS_VIF;
    } else {
        if (!i386_protected(s) || s->cpl <= i386_iopl(s))
            mask |= EFLAGS_IF;
        if (!i386_protected(s) || s->cpl == 0)
            mask |= EFLAGS_IOPL;
    }
    i386_set_eflags(c, value, mask);
    return UOP_NEXT;
}

/* ---- I/O permission (SDM 1, 18.5) ---- */

bool i386_io_allowed(struct i386_cpu *c, uint16_t port, unsigned size)
{
    const struct i386_state *s = c->st;
    const struct i386_segment *tr = &s->seg[SEG_TR];
    uint16_t map, bits;
    uint32_t offset;

    if (!i386_protected(s) || (!i386_vm86(s) && s->cpl <= i386_iopl(s)))
        return true;
    if (!tr->valid || !(tr->attr & SYS_32BIT) || tr->limit < 0x67)
        return i386_fail(c, EXC_GP, 0);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(s, tr->base + 0x66), &map, 2))
        return false;
    offset = map + port / 8u;
    if (offset + 1 > tr->limit)
        return i386_fail(c, EXC_GP, 0);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(s, tr->base + offset), &bits, 2))
        return false;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return i386_fail(c, EXC_GP, 0);
    return true;
}
