/*
 * AMD's secure virtual machine (AMD64 APM 2, chapter 15; the control block: appendix B): VMRUN and #VMEXIT, VMLOAD, VMSAVE,
 * STGI, CLGI and their like; what is intercepted by bitmaps; virtual interrupts and injected events.
 *
 * One VMRUN is a step, an injected event the step after it, a #VMEXIT a step. The guest's translations stay apart from the
 * host's by their roots (i386_roots()); there is no TLB that a guest could see (mmu.c), so that ASIDs and TLB_CONTROL have
 * nothing to do.
 *
 * Where the manual leaves it open: an illegal state is found after the host's was saved, and leaves as all #VMEXITs do, the
 * control block's state as it was; a host's state that is illegal meanwhile ends the machine (15.31).
 *
 * Not modelled, and not in CPUID: decode assists, next RIP, VMCB clean bits, flush by ASID, virtualization of last branches, AVIC,
 * nested VMLOAD and VMSAVE, SEV, SKINIT (#UD), INIT's redirection (VM_CR.R_INIT is held), the intercept FERR_FREEZE.
 */
#include "i386/svm.h"
#include "i386/protect.h"
#include "vm/line.h"


/* A control block, in one direction or the other. */
struct vmcb {
    struct i386_cpu *c;
    paddr_t base;
    bool load;
};

static uint64_t field(const struct vmcb *m, unsigned offset, unsigned size, uint64_t value)
{
    struct memory *memory = &m->c->u.cpu.machine->memory;
    paddr_t at = i386_physical(m->c, m->base + offset);

    if (m->load)
        return memory_read(memory, at, size);
    memory_write(memory, at, size, value);
    return value;
}

static void field64(const struct vmcb *m, unsigned offset, uint64_t *value)
{
    *value = field(m, offset, 8, *value);
}

/* A base that is not canonical is loaded as what its upper bits should be (15.5.1). */
static void base(const struct vmcb *m, unsigned offset, uint64_t *value)
{
    field64(m, offset, value);
    if (m->load)
        *value = i386_register_address(m->c, *value);
}

static void wide32(const struct vmcb *m, unsigned offset, uint32_t *value)
{
    *value = (uint32_t)field(m, offset, 8, *value);
}

/* Attributes are bits 40-47 and 52-55 of a descriptor, together; P says whether a segment can be used. */
static void segment(const struct vmcb *m, unsigned at, struct i386_segment *s)
{
    unsigned attr = s->valid ? s->attr : s->attr & ~SEG_ATTR_P;

    s->selector = (uint16_t)field(m, at, 2, s->selector);
    attr = (unsigned)field(m, at + 2, 2, (attr & 0xff) | (attr >> 4 & 0xf00));
    s->limit = (uint32_t)field(m, at + 4, 4, s->limit);
    base(m, at + 8, &s->base);
    if (!m->load)
        return;
    s->attr = (uint16_t)((attr & 0xff) | (attr & 0xf00) << 4);
    s->valid = (s->attr & SEG_ATTR_P) != 0;
}

static void table(const struct vmcb *m, unsigned at, struct i386_dtr *t)
{
    t->limit = (uint32_t)field(m, at + 4, 4, t->limit) & 0xffff;
    base(m, at + 8, &t->base);
}

#define VMCB_IOPM     0x040
#define VMCB_MSRPM    0x048
#define VMCB_TSC      0x050
#define VMCB_ASID     0x058
#define VMCB_VIRTUAL  0x060
#define VMCB_SHADOW   0x068
#define VMCB_EXIT     0x070 /* code, EXITINFO1, EXITINFO2, EXITINTINFO */
#define VMCB_NESTED   0x090
#define VMCB_EVENTINJ 0x0a8
#define VMCB_NESTED_CR3 0x0b0
#define VMCB_PAT      0x668

/* What VMRUN and #VMEXIT exchange, but for RFLAGS: `rflags`. */
static void guest_state(const struct vmcb *m, struct i386_state *s, uint64_t *rflags, unsigned *cpl)
{
    segment(m, 0x400, &s->seg[SEG_ES]);
    segment(m, 0x410, &s->seg[SEG_CS]);
    segment(m, 0x420, &s->seg[SEG_SS]);
    segment(m, 0x430, &s->seg[SEG_DS]);
    table(m, 0x460, &s->gdtr);
    table(m, 0x480, &s->idtr);
    *cpl = (unsigned)field(m, 0x4cb, 1, *cpl);
    field64(m, 0x4d0, &s->efer);
    wide32(m, 0x548, &s->cr4);
    field64(m, 0x550, &s->cr3);
    wide32(m, 0x558, &s->cr0);
    field64(m, 0x560, &s->dr[7]);
    field64(m, 0x568, &s->dr[6]);
    field64(m, 0x570, rflags);
    field64(m, 0x578, &s->rip);
    field64(m, 0x5d8, &s->gpr[ESP]);
    field64(m, 0x5f8, &s->gpr[EAX]);
    field64(m, 0x640, &s->cr2);
}

/* What VMLOAD and VMSAVE move (15.5.2). */
static void more_state(const struct vmcb *m, struct i386_state *s)
{
    uint64_t sysenter_cs = s->sysenter_cs;

    segment(m, 0x440, &s->seg[SEG_FS]);
    segment(m, 0x450, &s->seg[SEG_GS]);
    segment(m, 0x470, &s->seg[SEG_LDTR]);
    segment(m, 0x490, &s->seg[SEG_TR]);
    field64(m, 0x600, &s->star);
    field64(m, 0x608, &s->lstar);
    field64(m, 0x610, &s->cstar);
    field64(m, 0x618, &s->sfmask);
    base(m, 0x620, &s->kernel_gs_base);
    field64(m, 0x628, &sysenter_cs);
    field64(m, 0x630, &s->sysenter_esp);
    field64(m, 0x638, &s->sysenter_eip);
    s->sysenter_cs = (uint32_t)sysenter_cs;
}

/* ---- #VMEXIT ---- */

int i386_svm_exit(struct i386_cpu *c, uint64_t code, uint64_t info1, uint64_t info2)
{
    i386_raise(c, 0xff);
    c->exc.exit = true;
    c->exc.code = code;
    c->exc.info1 = info1;
    c->exc.info2 = info2;
    return UOP_FAULT;
}

/* The state is another one altogether. */
static void state_replaced(struct i386_cpu *c)
{
    i386_mode_changed(c);
    ucpu_roots_changed(&c->u);
    i386_update_traps(c);
}

static void between_guests(struct i386_state *s)
{
    s->halted = s->shadow = s->pending_db = s->rep_active = s->tf_latched = 0;
    s->rep_start = 0;
}

static void host_resumes(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    s->svm.guest = I386_SVM_HOST;
    s->svm.gif_clear = 1;
    s->svm.inject = s->svm.interrupts = 0;
    for (unsigned n = SEG_ES; n <= SEG_DS; n++)
        s->seg[n] = s->svm.host.seg[n];
    s->gdtr = s->svm.host.gdtr;
    s->idtr = s->svm.host.idtr;
    s->cr0 = (uint32_t)s->svm.host.cr0 | CR0_PE;
    s->cr3 = s->svm.host.cr3;
    s->cr4 = (uint32_t)s->svm.host.cr4;
    s->efer = s->svm.host.efer;
    s->dr[7] = DR7_FIXED;
    s->rip = s->svm.host.rip;
    s->gpr[EAX] = s->svm.host.rax;
    s->gpr[ESP] = s->svm.host.rsp;
    s->cpl = 0;
    if (s->svm.nested)
        s->pat = s->svm.host.pat;
    i386_replace_eflags(s, (uint32_t)s->svm.host.rflags & ~(EFLAGS_VM | EFLAGS_RF));
    state_replaced(c);
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s)) {
        if (i386_read_pdptes(c, s->cr3, s->pdpte) < 0)
            i386_shut_down(c, c->u.cpu.index);
        ucpu_roots_changed(&c->u);
    }
}

static void put_exit(const struct vmcb *m, uint64_t code, uint64_t info1, uint64_t info2, uint64_t during)
{
    field(m, VMCB_EXIT, 8, code);
    field(m, VMCB_EXIT + 8, 8, info1);
    field(m, VMCB_EXIT + 16, 8, info2);
    field(m, VMCB_EXIT + 24, 8, during);
}

void i386_svm_leave(struct i386_cpu *c, uint64_t code, uint64_t info1, uint64_t info2, uint64_t during)
{
    struct vmcb m = {.c = c, .base = c->st->svm.vmcb};
    struct i386_state *s = c->st;
    uint64_t rflags = i386_get_eflags(c) | (s->rep_active ? EFLAGS_RF : 0), injected;
    struct machine *machine = c->u.cpu.machine;
    const char *before = machine->acting;
    unsigned cpl = s->cpl;

    i386_wake(c);
    machine->acting = "a #VMEXIT";
    guest_state(&m, s, &rflags, &cpl);
    if (s->svm.nested)
        field64(&m, VMCB_PAT, &s->pat);
    field(&m, VMCB_VIRTUAL, 8, s->svm.interrupts);
    field(&m, VMCB_SHADOW, 8, s->shadow != 0);
    put_exit(&m, code, info1, info2, during);
    m.load = true;
    injected = field(&m, VMCB_EVENTINJ, 8, 0);
    m.load = false;
    field(&m, VMCB_EVENTINJ, 8, injected & ~SVM_EVENT_VALID);
    machine->acting = before;
    between_guests(s);
    host_resumes(c);
    if ((s->eflags & EFLAGS_TF) && !(s->debugctl & DEBUGCTL_BTF)) /* VMRUN is over now, like any instruction that was stepped (15.5.1) */
        s->pending_db |= DR6_BS;
}

/* ---- events ---- */

enum { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFTWARE = 4 };
#define EVENT_ERROR UINT64_C(0x800)

uint64_t i386_svm_event(const struct i386_delivery *d)
{
    unsigned type = EVENT_EXCEPTION;

    if (d->source == FROM_OUTSIDE)
        type = d->nmi ? EVENT_NMI : EVENT_INTR;
    else if (d->source == FROM_INT_N)
        type = EVENT_SOFTWARE;
    return d->vector | type << 8 | SVM_EVENT_VALID | (d->has_error ? EVENT_ERROR | (uint64_t)d->error << 32 : 0);
}

static bool event_legal(uint64_t event)
{
    unsigned vector = event & 0xff;

    switch (event >> 8 & 7) {
    case EVENT_INTR: case EVENT_NMI: case EVENT_SOFTWARE:
        return true;
    case EVENT_EXCEPTION:
        return vector < 32 && vector != EXC_NMI;
    default:
        return false;
    }
}

struct i386_delivery i386_svm_injected(struct i386_cpu *c)
{
    uint64_t event = c->st->svm.inject;
    unsigned type = event >> 8 & 7;
    struct i386_delivery d = {.source = FROM_EXCEPTION, .vector = event & 0xff, .eip = c->st->rip};

    c->st->svm.inject = 0;
    if (type == EVENT_NMI)
        d.vector = EXC_NMI;
    if (type == EVENT_INTR || type == EVENT_NMI)
        d.source = FROM_OUTSIDE;
    else if (type == EVENT_SOFTWARE)
        d.source = FROM_INT_N;
    d.nmi = type == EVENT_NMI;
    if (type == EVENT_EXCEPTION && (event & EVENT_ERROR)) {
        d.has_error = true;
        d.error = (uint32_t)(event >> 32);
    }
    return d;
}

bool i386_svm_virtual_interrupt(const struct i386_state *s)
{
    uint64_t w = s->svm.interrupts;

    if (!i386_svm_guest(s) || !(w & V_IRQ) || !(s->eflags & EFLAGS_IF) || s->shadow)
        return false;
    if ((w & V_GIF_ENABLE) && !(w & V_GIF))
        return false;
    return (w & V_IGN_TPR) || (w & V_INTR_PRIO) >> 16 > (w & 0xf);
}

/* ---- bitmaps ---- */

/* Bits from `bit` on of a bitmap in memory. */
static unsigned bits_at(struct i386_cpu *c, paddr_t map, unsigned bit)
{
    return (unsigned)memory_read(&c->u.cpu.machine->memory, i386_physical(c, map + bit / 8), 2) >> (bit & 7);
}

bool i386_svm_io(struct i386_cpu *c, uint16_t port, unsigned size, unsigned kind)
{
    const struct i386_state *s = c->st;

    if (!i386_svm_intercepts(s, SVM_EXIT_IOIO) || !(bits_at(c, s->svm.iopm, port) & ((1u << size) - 1)))
        return true;
    i386_svm_exit(c, SVM_EXIT_IOIO, kind | size << 4 | (uint64_t)port << 16, i386_next_eip(c));
    return false;
}

bool i386_svm_msr(struct i386_cpu *c, uint32_t n, bool write)
{
    static const uint32_t ranges[] = {0, 0xc0000000u, 0xc0010000u}; /* of 8192 registers, two bits each */
    const struct i386_state *s = c->st;

    if (!i386_svm_intercepts(s, SVM_EXIT_MSR))
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        if (n - ranges[i] < 0x2000 && !(bits_at(c, s->svm.msrpm + i * 0x800, 2 * (n - ranges[i]) + write) & 1))
            return true;
    i386_svm_exit(c, SVM_EXIT_MSR, write, 0);
    return false;
}

/* ---- VMRUN ---- */

/* The privilege and mode checks that all have in common. */
static int refused(struct i386_cpu *c)
{
    const struct i386_state *s = c->st;

    if (!(s->efer & EFER_SVME) || !i386_protected(s) || i386_vm86(s))
        return i386_raise(c, EXC_UD);
    return s->cpl ? i386_raise_error(c, EXC_GP, 0) : UOP_NEXT;
}

/* The address in rAX of a page that holds a control block. */
static bool block_address(const struct i386_cpu *c, unsigned size, paddr_t *at)
{
    *at = size == 2 ? c->st->gpr[EAX] & 0xffff : size == 4 ? (uint32_t)c->st->gpr[EAX] : c->st->gpr[EAX];
    return !(*at & ~PAGE_MASK) && !(*at >> i386_phys_bits(c->model));
}

static void save_host(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    s->svm.host.rax = s->gpr[EAX];
    s->svm.host.rsp = s->gpr[ESP];
    s->svm.host.rip = i386_next_eip(c);
    s->svm.host.rflags = i386_get_eflags(c);
    s->svm.host.cr0 = s->cr0;
    s->svm.host.cr3 = s->cr3;
    s->svm.host.cr4 = s->cr4;
    s->svm.host.efer = s->efer;
    s->svm.host.pat = s->pat;
    for (unsigned n = SEG_ES; n <= SEG_DS; n++)
        s->svm.host.seg[n] = s->seg[n];
    s->svm.host.gdtr = s->gdtr;
    s->svm.host.idtr = s->idtr;
}
_Static_assert(SEG_ES == 0 && SEG_CS == 1 && SEG_SS == 2 && SEG_DS == 3, "i386_svm.host.seg");

static void load_controls(const struct vmcb *m, struct i386_svm *v)
{
    for (unsigned i = 0; i < SVM_EXIT_CODES / 16; i++)
        v->intercept[i] = (uint32_t)field(m, 2 * i, 2, 0);
    v->vmcb = m->base;
    v->iopm = field(m, VMCB_IOPM, 8, 0) & PAGE_MASK;
    v->msrpm = field(m, VMCB_MSRPM, 8, 0) & PAGE_MASK;
    v->tsc_offset = field(m, VMCB_TSC, 8, 0);
    v->interrupts = field(m, VMCB_VIRTUAL, 8, 0);
    v->nested = field(m, VMCB_NESTED, 8, 0) & 1;
    v->nested_cr3 = field(m, VMCB_NESTED_CR3, 8, 0);
    v->inject = field(m, VMCB_EVENTINJ, 8, 0);
    if (!(v->inject & SVM_EVENT_VALID))
        v->inject = 0;
}

/* Canonicalization of what is no error (15.5.1), and what has only 32 bits in the mode that comes. */
static void settle(struct i386_state *s, unsigned cpl, uint64_t rflags)
{
    s->cr0 = (s->cr0 & CR0_WRITABLE) | CR0_ET;
    s->efer &= ~(uint64_t)EFER_LMA;
    if ((s->efer & EFER_LME) && (s->cr0 & CR0_PG))
        s->efer |= EFER_LMA;
    s->dr[6] = (uint32_t)s->dr[6] | DR6_FIXED;
    s->dr[7] = (uint32_t)s->dr[7] | DR7_FIXED;
    s->cpl = !i386_protected(s) ? 0 : rflags & EFLAGS_VM ? 3 : cpl & 3;
    if (!i386_long(s))
        for (unsigned n = SEG_ES; n <= SEG_DS; n++)
            s->seg[n].base = (uint32_t)s->seg[n].base;
    if (!i386_64bit(s)) {
        s->rip = (uint32_t)s->rip;
        s->gpr[EAX] = (uint32_t)s->gpr[EAX];
        s->gpr[ESP] = (uint32_t)s->gpr[ESP];
    }
}

/* Is the state illegal (15.5.1)? *s is what was loaded, not settled yet; the wide registers' upper halves are in the block. */
static bool illegal(const struct vmcb *m, const struct i386_state *s, uint64_t rflags)
{
    const struct i386_cpu *c = m->c;
    uint64_t beyond = ~(uint64_t)0 << i386_phys_bits(c->model), cr4 = field(m, 0x548, 8, 0);
    bool paging = s->cr0 & CR0_PG, is_long = paging && (s->efer & EFER_LME);

    if (!(s->efer & EFER_SVME) || (s->efer & ~i386_efer_allowed(c)))
        return true;
    if (field(m, 0x558, 8, 0) >> 32 || ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)))
        return true;
    if ((cr4 & ~(uint64_t)i386_cr4_allowed(c)) || s->dr[6] >> 32 || s->dr[7] >> 32 || (is_long && (s->cr3 & beyond)))
        return true;
    if (is_long && (!(s->cr4 & CR4_PAE) || !(s->cr0 & CR0_PE) || (rflags & EFLAGS_VM)))
        return true;
    if (is_long && (s->seg[SEG_CS].attr & (SEG_ATTR_L | SEG_ATTR_DB)) == (SEG_ATTR_L | SEG_ATTR_DB))
        return true;
    if (!(s->svm.intercept[SVM_EXIT_VMRUN / 16] & 1u << SVM_EXIT_VMRUN % 16) || !(uint32_t)field(m, VMCB_ASID, 4, 0))
        return true;
    if (((s->svm.iopm + 0x2001) & beyond) || ((s->svm.msrpm + 0x2000) & beyond)) /* ports have three bits more than two pages */
        return true;
    if (s->svm.nested && (!i386_has(c->model, FEATURE_SVM_NPT) || !(s->svm.host.cr0 & CR0_PG) || (s->svm.nested_cr3 & beyond)))
        return true;
    return s->svm.inject && !event_legal(s->svm.inject);
}

int i386_op_vmrun(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st, image;
    struct vmcb m = {.c = c, .load = true};
    bool stepped = i386_single_step(u);
    uint64_t rflags = 0;
    unsigned cpl = 0;

    if (refused(c) != UOP_NEXT)
        return UOP_FAULT;
    if (!block_address(c, op->b, &m.base))
        return i386_raise_error(c, EXC_GP, 0);
    save_host(c);
    image = *s;
    load_controls(&m, &image.svm);
    guest_state(&m, &image, &rflags, &cpl);
    s->svm.nested = 0;
    if (illegal(&m, &image, rflags)) {
        m.load = false;
        put_exit(&m, SVM_EXIT_INVALID, 0, 0, 0);
        host_resumes(c);
        s->tf_latched = 0;
        return UOP_LEAVE;
    }
    settle(&image, cpl, rflags);
    image.svm.guest = I386_SVM_GUEST;
    image.svm.gif_clear = 0;
    if (image.svm.nested)
        image.pat = field(&m, VMCB_PAT, 8, 0);
    between_guests(&image);
    image.shadow = field(&m, VMCB_SHADOW, 8, 0) & 1 ? I386_SHADOW_STI : 0;
    *s = image;
    i386_replace_eflags(s, (uint32_t)rflags);
    if (stepped) /* what is set is for the guest's first instruction */
        s->tf_latched = I386_LATCH_TF_SET | I386_LATCH_SHADOW | I386_LATCH_RF;
    state_replaced(c);
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s) && !s->svm.nested) {
        if (i386_read_pdptes(c, s->cr3, s->pdpte) < 0)
            i386_svm_leave(c, SVM_EXIT_INVALID, 0, 0, 0);
        ucpu_roots_changed(u);
    }
    return UOP_LEAVE;
}

/* ---- the other instructions ---- */

static int move_more(struct i386_cpu *c, const struct uop *op, bool load)
{
    struct vmcb m = {.c = c, .load = load};

    if (refused(c) != UOP_NEXT)
        return UOP_FAULT;
    if (!block_address(c, op->b, &m.base))
        return i386_raise_error(c, EXC_GP, 0);
    more_state(&m, c->st);
    if (load)
        i386_mode_changed(c);
    return UOP_NEXT;
}

int i386_op_vmload(struct ucpu *u, const struct uop *op)
{
    return move_more(i386_of(u), op, true);
}

int i386_op_vmsave(struct ucpu *u, const struct uop *op)
{
    return move_more(i386_of(u), op, false);
}

/* Where it is not intercepted there is nobody to be called (15.13.3). */
int i386_op_vmmcall(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise(i386_of(u), EXC_UD);
}

int i386_op_skinit(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise(i386_of(u), EXC_UD);
}

int i386_op_invlpga(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return refused(i386_of(u));
}

int i386_op_gif(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;

    if (refused(c) != UOP_NEXT)
        return UOP_FAULT;
    if (i386_svm_guest(s) && (s->svm.interrupts & V_GIF_ENABLE)) /* 15.33.2 */
        s->svm.interrupts = op->a ? s->svm.interrupts | V_GIF : s->svm.interrupts & ~V_GIF;
    else
        s->svm.gif_clear = !op->a;
    return UOP_NEXT;
}

int i386_op_intercept(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    unsigned code = (op->a - S_OFF(svm.intercept)) * 4 + (unsigned)__builtin_ctz(op->d);

    if (s->cpl && ((op->b & I386_AFTER_LEVEL) || ((op->b & I386_AFTER_TSD) && (s->cr4 & CR4_TSD)) ||
                   ((op->b & I386_AFTER_PCE) && !(s->cr4 & CR4_PCE)) || ((op->b & I386_AFTER_UMIP) && (s->cr4 & CR4_UMIP))))
        return UOP_NEXT;
    if (((op->b & I386_AFTER_XSAVE) && !(s->cr4 & CR4_OSXSAVE)) ||
        ((op->b & I386_IF_ARMED) && s->monitor_line == LINE_NONE))
        return UOP_NEXT;
    return i386_svm_exit(c, code, 0, 0);
}
