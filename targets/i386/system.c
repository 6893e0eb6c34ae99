/*
 * System instructions (SDM 2; 3A chapters 2, 9, 17, 18; 3B 35; 4): control and
 * debug registers, descriptor table registers, MSRs, CPUID, time stamp, fast
 * system calls, flags that privileges guard, I/O permission.
 *
 * The time stamp counter runs at 1 GHz of virtual time on every model.
 *
 * MSRs are those of the model's generation that system software touches.
 * They hold what is written and have no effect unless said here; performance
 * counters never count but with pmu=on (pmu.c; pentium4: MISC_ENABLE says that there are none). An
 * MSR that is not listed is #GP(0), as on hardware. Adding one: a member of
 * i386_state and a line in read_msr and write_msr.
 *
 * IA32_DEBUGCTL holds its model's bits. Last branches are not recorded: the registers for them can be read, and are 0, as
 * after a reset.
 *
 * What long mode adds is in long.c, CPUID in cpuid.c.
 *
 * INVLPG and global pages need no action (see mmu.c); INVD does not lose
 * data, for there is no cache.
 */
#include "i386/lower.h"
#include "i386/protect.h"

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

    if (i386_read_pdptes(c, cr3, pdpte) < 0)
        return false;
    memcpy(c->st->pdpte, pdpte, sizeof pdpte);
    return true;
}

/* PG is being set or cleared, with EFER.LME: into or out of long mode (SDM 3A 9.8.5). False: #GP. */
static bool long_mode_switches(struct i386_cpu *c, bool on)
{
    struct i386_state *s = c->st;
    bool tss16 = (s->seg[SEG_TR].attr & SEG_ATTR_TYPE) == SYS_TSS16_BUSY;

    if (on && (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].attr & SEG_ATTR_L) || (s->seg[SEG_TR].valid && tss16)))
        return false;
    if (!on && (i386_64bit(s) || (s->cr4 & CR4_PCIDE)))
        return false;
    s->efer = on ? s->efer | EFER_LMA : s->efer & ~(uint64_t)EFER_LMA;
    return true;
}

bool i386_set_cr0(struct i386_cpu *c, uint64_t wide)
{
    struct i386_state *s = c->st;
    uint32_t old = s->cr0, value = ((uint32_t)wide & CR0_WRITABLE) | CR0_ET, changed;

    if (wide >> 32)
        return false;
    changed = old ^ value;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return false;
    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    if ((changed & CR0_PG) && (s->efer & EFER_LME) && !long_mode_switches(c, value & CR0_PG))
        return false;
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

bool i386_set_cr3(struct i386_cpu *c, uint64_t value)
{
    struct i386_state *s = c->st;
    bool pae = (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s), same;

    if (s->cr4 & CR4_PCIDE)
        value &= ~((uint64_t)1 << 63); /* what is cached may stay: it always may */
    if (i386_has(c->model, FEATURE_LM) ? value >> i386_phys_bits(c->model) : value >> 32)
        return false;
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

bool i386_set_cr4(struct i386_cpu *c, uint64_t wide)
{
    struct i386_state *s = c->st;
    uint32_t value = (uint32_t)wide, changed = s->cr4 ^ value;

    if (wide & ~(uint64_t)i386_cr4_allowed(c))
        return false;
    if (i386_long(s) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
        return false;
    if ((changed & value & CR4_PCIDE) && (!i386_long(s) || (s->cr3 & 0xfff)))
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
    case 8: value = c->cr8_read ? c->cr8_read(c->io_ctx) : 0; break;
    default: return i386_raise(c, EXC_UD);
    }
    *at64(u, op->d) = value;
    return UOP_NEXT;
}

int i386_op_mov_to_cr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint64_t value = *at64(u, op->a);
    bool allowed = true;

    if (c->st->cpl)
        return gp0(c);
    switch (op->d) {
    case 0: allowed = i386_set_cr0(c, value); break;
    case 2: c->st->cr2 = value; break;
    case 3: allowed = i386_set_cr3(c, value); break;
    case 4: allowed = i386_set_cr4(c, value); break;
    case 8:
        allowed = value < 16;
        if (allowed && c->cr8_write)
            c->cr8_write(c->io_ctx, (unsigned)value);
        break;
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

/* Common checks of MOV from and to DR; *n becomes 6 or 7 for their aliases 4 and 5. */
static int check_dr(struct i386_cpu *c, unsigned *n)
{
    const struct i386_state *s = c->st;

    if (*n == 4 || *n == 5) {
        if (s->cr4 & CR4_DE)
            return i386_raise(c, EXC_UD);
        *n += 2;
    }
    if (s->cpl)
        return gp0(c);
    if (s->dr[7] & DR7_GD)
        return i386_raise_db(c, DR6_BD);
    return UOP_NEXT;
}

int i386_op_mov_from_dr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned n = op->a;
    int result = check_dr(c, &n);

    if (result == UOP_NEXT)
        *at64(u, op->d) = c->st->dr[n];
    return result;
}

int i386_op_mov_to_dr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned n = op->d;
    int result = check_dr(c, &n);

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

/* ---- MSRs (SDM 4) ---- */

enum {
    MSR_P5_MC_ADDR = 0x0, MSR_P5_MC_TYPE = 0x1, MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_APIC_BASE = 0x1b, MSR_TSC_ADJUST = 0x3b,
    MSR_EBL_CR_POWERON = 0x2a, MSR_EBC_FREQUENCY_ID = 0x2c, MSR_BIOS_UPDT_TRIG = 0x79, MSR_BIOS_SIGN_ID = 0x8b,
    MSR_PERFCTR0 = 0xc1, MSR_PERFCTR1 = 0xc2, MSR_MTRRCAP = 0xfe, MSR_BBL_CR_CTL = 0x119, MSR_BBL_CR_CTL3 = 0x11e,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a, MSR_EVNTSEL0 = 0x186, MSR_EVNTSEL1 = 0x187, MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9, MSR_LASTBRANCH_FIRST = 0x1db, MSR_LASTINT_LAST = 0x1de, MSR_MTRR_VAR = 0x200,
    MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258, MSR_MTRR_FIX4K = 0x268, MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MC0_CTL = 0x400,
};
#define MSR_EFER 0xc0000080u
enum {
    MSR_STAR = 0xc0000081u, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE = 0xc0000100u, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
    MSR_TSC_AUX,
};
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_XSS          0xda0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu

#define MTRR_CAP       0x508u /* write combining, fixed ranges, 8 variable ranges */
#define MC_BANKS       4
#define APIC_BASE_BSP  0x100u
#define APIC_BASE_EXTD 0x400u
#define APIC_BASE_EN   0x800u
#define PAT_RESET      0x0007040600070406ull
#define MISC_FAST_STRINGS 1u

static bool is_p4(const struct i386_cpu *c)
{
    return !c->model->amd && (c->model->signature >> 8 & 15) == 15;
}

bool i386_has_misc_enable(const struct i386_model *m)
{
    return i386_is_core(m) || (!m->amd && (m->signature >> 8 & 15) == 15);
}

static bool has_misc_enable(const struct i386_cpu *c)
{
    return i386_has_misc_enable(c->model);
}

/* IA32_MISC_ENABLE after a reset. */
static uint64_t misc_enable(const struct i386_model *m)
{
    if (!i386_has_misc_enable(m))
        return 0;
    return MISC_FAST_STRINGS | (i386_has(m, FEATURE_MONITOR) ? MISC_ENABLE_MONITOR : 0);
}

/* The performance counters of the P6, which later processors do not have in this form. */
static bool has_p6_counters(const struct i386_cpu *c)
{
    return !c->model->amd && !has_misc_enable(c);
}

/* The time stamp counter now. */
uint64_t i386_tsc(const struct i386_cpu *c)
{
    return machine_now(c->u.cpu.machine) + c->st->tsc_offset;
}

void i386_reset_msrs(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    s->tsc_offset = 0 - machine_now(c->u.cpu.machine);
    s->apic_base = c->model->has_apic ? 0xfee00000u | (c->u.cpu.index ? 0 : APIC_BASE_BSP) | APIC_BASE_EN : 0;
    s->pat = PAT_RESET;
    s->misc_enable = misc_enable(c->model);
    s->efer = 0;
    s->xcr0 = XCR0_X87;
    s->star = s->lstar = s->cstar = s->sfmask = s->kernel_gs_base = s->tsc_aux = 0;
    s->pkru = 0;
    i386_pmu_reset(c);
}

/* The fixed-range MTRR that MSR n is, or -1. */
static int fixed_mtrr(uint32_t n)
{
    if (n == MSR_MTRR_FIX64K)
        return 0;
    if (n == MSR_MTRR_FIX16K || n == MSR_MTRR_FIX16K + 1)
        return (int)(1 + n - MSR_MTRR_FIX16K);
    if (n >= MSR_MTRR_FIX4K && n < MSR_MTRR_FIX4K + 8)
        return (int)(3 + n - MSR_MTRR_FIX4K);
    return -1;
}

/* The register of a machine check bank that MSR n is, or NULL. */
static uint64_t *bank_register(struct i386_state *s, uint32_t n)
{
    uint64_t *kinds[4] = {s->mc_ctl, s->mc_status, s->mc_addr, s->mc_misc};

    if (n < MSR_MC0_CTL || n >= MSR_MC0_CTL + 4 * MC_BANKS)
        return NULL;
    return &kinds[(n - MSR_MC0_CTL) & 3][(n - MSR_MC0_CTL) >> 2];
}

/* Is the MSR of a feature that the model lacks? */
static bool lacks_msr(const struct i386_model *m, uint32_t n)
{
    if (fixed_mtrr(n) >= 0 || (n >= MSR_MTRR_VAR && n < MSR_MTRR_VAR + 16) || n == MSR_MTRR_DEF_TYPE || n == MSR_MTRRCAP)
        return !i386_has(m, FEATURE_MTRR);
    if (n == MSR_MCG_CAP || n == MSR_MCG_STATUS || (n >= MSR_MC0_CTL && n < MSR_MC0_CTL + 4 * MC_BANKS))
        return !i386_has(m, FEATURE_MCA);
    if (n >= MSR_SYSENTER_CS && n <= MSR_SYSENTER_EIP)
        return !i386_has(m, FEATURE_SEP);
    return (n == MSR_PAT && !i386_has(m, FEATURE_PAT)) || (n == MSR_TSC && !i386_has(m, FEATURE_TSC)) ||
           (n == MSR_APIC_BASE && !m->has_apic);
}

/* MSRs that are plain 64-bit stores of the model, or NULL. */
static uint64_t *plain_msr(struct i386_cpu *c, uint32_t n)
{
    struct i386_state *s = c->st;
    int fixed = fixed_mtrr(n);

    if (fixed >= 0)
        return &s->mtrr_fixed[fixed];
    if (n >= MSR_MTRR_VAR && n < MSR_MTRR_VAR + 16)
        return n & 1 ? &s->mtrr_mask[(n - MSR_MTRR_VAR) / 2] : &s->mtrr_base[(n - MSR_MTRR_VAR) / 2];
    switch (n) {
    case MSR_BIOS_SIGN_ID: return &s->ucode_rev;
    case MSR_MCG_STATUS: return &s->mcg_status;
    case MSR_DEBUGCTL: return &s->debugctl;
    case MSR_MTRR_DEF_TYPE: return &s->mtrr_def_type;
    case MSR_PAT: return &s->pat;
    case MSR_MISC_ENABLE: return has_misc_enable(c) ? &s->misc_enable : NULL;
    case MSR_BBL_CR_CTL: return has_p6_counters(c) ? &s->bbl_ctl : NULL;
    case MSR_PERFCTR0: return has_p6_counters(c) ? &s->perf_ctr[0] : NULL;
    case MSR_PERFCTR1: return has_p6_counters(c) ? &s->perf_ctr[1] : NULL;
    case MSR_EVNTSEL0: return has_p6_counters(c) ? &s->perf_ctl[0] : NULL;
    case MSR_EVNTSEL1: return has_p6_counters(c) ? &s->perf_ctl[1] : NULL;
    }
    return bank_register(s, n);
}

/* MSRs that came with long mode. NULL: there is none, or it is the base of FS or GS. */
static uint64_t *long_msr(struct i386_cpu *c, uint32_t n)
{
    struct i386_state *s = c->st;

    switch (n) {
    case MSR_STAR: return &s->star;
    case MSR_LSTAR: return &s->lstar;
    case MSR_CSTAR: return &s->cstar;
    case MSR_SFMASK: return &s->sfmask;
    case MSR_FS_BASE: return &s->seg[SEG_FS].base;
    case MSR_GS_BASE: return &s->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE: return &s->kernel_gs_base;
    case MSR_TSC_AUX: return i386_has(c->model, FEATURE_RDTSCP) || i386_has(c->model, FEATURE_RDPID) ? &s->tsc_aux : NULL;
    default: return NULL;
    }
}

/* Is it there without long mode? STAR is for SYSCALL of AMD's legacy mode. */
static bool long_msr_exists(const struct i386_model *m, uint32_t n)
{
    return n == MSR_TSC_AUX || i386_has(m, FEATURE_LM) || (n == MSR_STAR && i386_has(m, FEATURE_SYSCALL));
}

static bool read_long_msr(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    const uint64_t *msr = long_msr(c, n);

    if (!msr || !long_msr_exists(c->model, n))
        return false;
    *value = *msr;
    return true;
}

static bool write_long_msr(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    uint64_t *msr = long_msr(c, n);
    bool address = n == MSR_LSTAR || n == MSR_CSTAR || (n >= MSR_FS_BASE && n <= MSR_KERNEL_GS_BASE);

    if (!msr || !long_msr_exists(c->model, n) || (address && !i386_register_canonical(c, value)) ||
        (n == MSR_TSC_AUX && value >> 32))
        return false;
    *msr = n == MSR_SFMASK ? (uint32_t)value : value;
    i386_mode_changed(c);
    return true;
}

static bool is_apic_msr(uint32_t n)
{
    return n == MSR_TSC_DEADLINE || (n >= MSR_X2APIC_FIRST && n <= MSR_X2APIC_LAST);
}

/* Registers of AMD's processors that system software looks at: all read as 0, and writes do nothing. */
static bool is_amd_msr(const struct i386_cpu *c, uint32_t n)
{
    static const uint32_t numbers[] = {
        0xc0010000u, 0xc0010001u, 0xc0010002u, 0xc0010003u, 0xc0010004u, 0xc0010005u, 0xc0010006u, 0xc0010007u, /* PERF_* */
        0xc0010010u, 0xc0010015u, 0xc001001au, 0xc001001du, 0xc001001fu, /* SYSCFG HWCR TOP_MEM TOP_MEM2 NB_CFG */
        0xc0010055u, 0xc0010058u, 0xc0010114u, 0xc0010140u, 0xc0010141u, /* INT_PENDING MMIO_CFG VM_CR OSVW */
        0xc0011022u, 0xc0011023u, 0xc0011029u,                           /* DC_CFG BU_CFG DE_CFG */
    };

    for (unsigned i = 0; c->model->amd && i < ARRAY_LEN(numbers); i++)
        if (numbers[i] == n)
            return true;
    return false;
}

static bool i386_read_msr(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    const struct i386_state *s = c->st;
    const uint64_t *plain = plain_msr(c, n);

    *value = 0;
    if (i386_pmu_has_msr(c->model, n)) {
        *value = i386_pmu_read(c, n);
        return true;
    }
    if (lacks_msr(c->model, n))
        return false;
    if (plain) {
        *value = *plain;
        return true;
    }
    switch (n) {
    case MSR_P5_MC_ADDR: case MSR_P5_MC_TYPE: case MSR_PLATFORM_ID: case MSR_EBL_CR_POWERON:
        return true;
    case MSR_EBC_FREQUENCY_ID:
        return is_p4(c);
    case MSR_BBL_CR_CTL3:
        return has_p6_counters(c);
    case MSR_TSC: *value = i386_tsc(c); return true;
    case MSR_TSC_ADJUST: *value = s->tsc_adjust; return i386_has(c->model, FEATURE_TSC_ADJUST);
    case MSR_APIC_BASE: *value = s->apic_base; return true;
    case MSR_MTRRCAP: *value = MTRR_CAP; return true;
    case MSR_SYSENTER_CS: *value = s->sysenter_cs; return true;
    case MSR_SYSENTER_ESP: *value = s->sysenter_esp; return true;
    case MSR_SYSENTER_EIP: *value = s->sysenter_eip; return true;
    case MSR_MCG_CAP: *value = MC_BANKS; return true;
    case MSR_EFER: *value = s->efer; return i386_efer_allowed(c->model) != 0;
    case MSR_XSS: return i386_has(c->model, FEATURE_XSAVES);
    }
    if (n >= MSR_STAR && n <= MSR_TSC_AUX)
        return read_long_msr(c, n, value);
    if (is_apic_msr(n))
        return c->apic_msr_read && c->apic_msr_read(c->io_ctx, n, value);
    return is_amd_msr(c, n) || (n >= MSR_LASTBRANCH_FIRST && n <= MSR_LASTINT_LAST);
}

static bool is_memory_type(uint64_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

/* Every byte of the value is a memory type; 7 (UC-) in the PAT only. */
static bool are_memory_types(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t type = value >> (8 * i) & 0xff;

        if (!is_memory_type(type) && !(pat && type == 7))
            return false;
    }
    return true;
}

/* The bits of IA32_DEBUGCTL and what it was called before (SDM 3B 17.4.1 and 17.10 to 17.14; AMD APM 2, 13.1.1). LBR and BTF
 * are in all of them. */
static uint64_t debugctl_allowed(const struct i386_cpu *c)
{
    if (c->model->amd)
        return 0x3f; /* pins */
    if (is_p4(c) || !i386_is_core(c->model))
        return 0x7f; /* NetBurst: TR, BTS, BTINT, BTS_OFF_OS, BTS_OFF_USR; P6: pins, TR */
    if (!i386_has(c->model, FEATURE_SSSE3))
        return c->model->pmu ? 0x1c3 | 0x1800 : 0x1c3; /* Core Duo: TR, BTS, BTINT; FREEZE_*_ON_PMI come with counters of version 2 */
    /* BTS_OFF_*, FREEZE_LBRS_ON_PMI, _PERFMON_ON_PMI, _WHILE_SMM; from Nehalem on UNCORE_PMI */
    return i386_has(c->model, FEATURE_SSE42) ? 0x7fc3 : 0x5fc3;
}

/* Are the reserved bits of a plain MSR clear (SDM 3A 11.11, 11.12; 3B 15.3)? */
static bool plain_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    if (fixed_mtrr(n) >= 0)
        return are_memory_types(value, false);
    if (n >= MSR_MTRR_VAR && n < MSR_MTRR_VAR + 16) {
        if (value >> i386_phys_bits(c->model))
            return false;
        return n & 1 ? !(value & 0x7ff) : !(value & 0xf00) && is_memory_type(value & 0xff);
    }
    switch (n) {
    case MSR_PAT: return are_memory_types(value, true);
    case MSR_MTRR_DEF_TYPE: return !(value & ~(uint64_t)0xcff) && is_memory_type(value & 0xff);
    case MSR_MCG_STATUS: return !(value & ~(uint64_t)7);
    case MSR_DEBUGCTL: return !(value & ~debugctl_allowed(c));
    }
    if (n >= MSR_MC0_CTL && (n & 3) == 0) /* MCi_CTL is all ones or nothing; systems leave out single errors of some processors */
        return !value || !~(value | 1 | 1u << 10);
    if (n >= MSR_MC0_CTL && (n & 3) == 1)
        return value == 0; /* MCi_STATUS can only be cleared */
    (void)c;
    return true;
}

/* IA32_TIME_STAMP_COUNTER or IA32_TSC_ADJUST was written: what that adds to the one, it adds to the other (SDM 3B 17.17.3). */
static void add_to_tsc(struct i386_cpu *c, uint64_t n)
{
    c->st->tsc_offset += n;
    if (i386_has(c->model, FEATURE_TSC_ADJUST))
        c->st->tsc_adjust += n;
    if (c->tsc_written)
        c->tsc_written(c->io_ctx);
}

/* EN and EXTD: x2APIC mode is entered from xAPIC mode, and left by disabling the APIC (SDM 3A, "x2APIC State
 * Transitions"). */
static bool apic_mode_switches(uint64_t from, uint64_t to)
{
    if ((to & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EXTD)
        return false;
    if (from & APIC_BASE_EXTD)
        return (to & APIC_BASE_EXTD) || !(to & APIC_BASE_EN);
    return !(to & APIC_BASE_EXTD) || (from & APIC_BASE_EN);
}

static bool write_apic_base(struct i386_cpu *c, uint64_t value)
{
    uint64_t reserved = i386_has(c->model, FEATURE_X2APIC) ? 0x2ff : 0x2ff | APIC_BASE_EXTD;

    if (!c->model->has_apic || value >> i386_phys_bits(c->model) || (value & reserved) ||
        !apic_mode_switches(c->st->apic_base, value))
        return false;
    c->st->apic_base = value;
    if (c->apic_base_written)
        c->apic_base_written(c->io_ctx, value);
    return true;
}

uint64_t i386_efer_allowed(const struct i386_model *m)
{
    uint64_t allowed = 0;

    if (i386_has(m, FEATURE_NX))
        allowed |= EFER_NXE;
    if (i386_has(m, FEATURE_SYSCALL))
        allowed |= EFER_SCE;
    if (i386_has(m, FEATURE_LM))
        allowed |= EFER_LME | EFER_LMA;
    return allowed;
}

static bool write_efer(struct i386_cpu *c, uint64_t value)
{
    struct i386_state *s = c->st;

    if (!i386_efer_allowed(c->model) || (value & ~i386_efer_allowed(c->model)))
        return false;
    if (((value ^ s->efer) & EFER_LME) && (s->cr0 & CR0_PG))
        return false;
    value = (value & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA);
    if ((value ^ s->efer) & EFER_NXE) {
        s->efer = value;
        ucpu_flush_tlb(&c->u);
    }
    s->efer = value;
    return true;
}

static bool write_sysenter(struct i386_cpu *c, uint64_t *msr, uint64_t value)
{
    bool lm = i386_has(c->model, FEATURE_LM);

    if (lm && !i386_register_canonical(c, value))
        return false;
    *msr = lm ? value : (uint32_t)value;
    return true;
}

bool i386_write_msr(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    struct i386_state *s = c->st;
    uint64_t *plain = plain_msr(c, n);

    if (i386_pmu_has_msr(c->model, n))
        return i386_pmu_write(c, n, value);
    if (lacks_msr(c->model, n))
        return false;
    if (plain) {
        if (!plain_allows(c, n, value))
            return false;
        /* P6 counters are written with 32 bits, sign-extended to 40. */
        if (n == MSR_PERFCTR0 || n == MSR_PERFCTR1)
            value = (uint64_t)(int64_t)(int32_t)value & 0xffffffffffull;
        *plain = value;
        return true;
    }
    switch (n) {
    case MSR_P5_MC_ADDR: case MSR_P5_MC_TYPE: case MSR_EBL_CR_POWERON: case MSR_BIOS_UPDT_TRIG:
        return true;
    case MSR_BBL_CR_CTL3:
        return has_p6_counters(c);
    case MSR_TSC: add_to_tsc(c, value - i386_tsc(c)); return true;
    case MSR_TSC_ADJUST:
        if (!i386_has(c->model, FEATURE_TSC_ADJUST))
            return false;
        add_to_tsc(c, value - s->tsc_adjust);
        return true;
    case MSR_APIC_BASE: return write_apic_base(c, value);
    case MSR_SYSENTER_CS: s->sysenter_cs = (uint32_t)value; return true;
    case MSR_SYSENTER_ESP: return write_sysenter(c, &s->sysenter_esp, value);
    case MSR_SYSENTER_EIP: return write_sysenter(c, &s->sysenter_eip, value);
    case MSR_EFER: return write_efer(c, value);
    case MSR_XSS: return i386_has(c->model, FEATURE_XSAVES) && !value; /* there are no supervisor components */
    }
    if (n >= MSR_STAR && n <= MSR_TSC_AUX)
        return write_long_msr(c, n, value);
    if (is_apic_msr(n))
        return c->apic_msr_write && c->apic_msr_write(c->io_ctx, n, value);
    return is_amd_msr(c, n);
}

int i386_op_rdmsr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t value;

    (void)op;
    if (s->cpl || !i386_read_msr(c, (uint32_t)s->gpr[ECX], &value))
        return gp0(c);
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = (uint32_t)(value >> 32);
    return UOP_NEXT;
}

int i386_op_wrmsr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint64_t value = s->gpr[EDX] << 32 | (uint32_t)s->gpr[EAX];

    (void)op;
    if (s->cpl || !i386_write_msr(c, (uint32_t)s->gpr[ECX], value))
        return gp0(c);
    return UOP_NEXT;
}

int i386_op_rdtsc(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t now;

    (void)op;
    if ((s->cr4 & CR4_TSD) && s->cpl)
        return gp0(c);
    now = i386_tsc(c);
    s->gpr[EAX] = (uint32_t)now;
    s->gpr[EDX] = (uint32_t)(now >> 32);
    return UOP_NEXT;
}

int i386_op_rdpmc(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint32_t n = (uint32_t)s->gpr[ECX];
    uint64_t value = 0;

    (void)op;
    if (s->cpl && !(s->cr4 & CR4_PCE))
        return gp0(c);
    if (c->model->pmu) {
        if (!i386_pmu_rdpmc(c, n, &value))
            return gp0(c);
    } else if (is_p4(c)) {
        if ((n & 0x7fffffffu) > 17)
            return gp0(c);
    } else if (has_p6_counters(c)) {
        if (n > 1)
            return gp0(c);
        value = s->perf_ctr[n];
    } else if (n > 3 && (n < 0x40000000u || n > 0x40000002u)) {
        return gp0(c);
    }
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = (uint32_t)(value >> 32);
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

    if ((s->intr_line | s->nmi_pending | s->smi_pending | s->init_pending | s->pending_db) && !ucpu_be_alone(u))
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
