/*
 * Translation (DDI 0487 chapter D7 and D8, "The AArch64 Virtual Memory System
 * Architecture"): stage 1 of the EL1&0, EL2 and EL3 regimes and stage 2, with 4K,
 * 16K and 64K granules and 48-bit addresses.
 *
 * There is no guest-visible TLB (vm/exec.h), therefore nothing to do for ASIDs,
 * VMIDs, the contiguous bit and TLB maintenance: a walk made now is always an
 * answer that hardware may give. What the walk itself depends on (registers) is
 * the writers' to notice: sysreg.c flushes.
 *
 * Input sizes outside the architecture's limits (TxSZ) are clamped to them, and a
 * reserved granule is 4K; both are among the constrained choices.
 *
 * Of memory types only Device matters: data accesses to it that are not aligned are alignment
 * faults. It is Device memory if MAIR or stage 2 say so, or stage 1 is off; then all data is,
 * and the lowering checks (A64_MODE_ALIGN).
 *
 * Not modelled: hardware management of the access flag and dirty
 * state (v8.1).
 *
 * External aborts are synchronous: an access that no region of the board answers,
 * or a Non-secure access to one that answers to Secure ones only.
 */
#include "aarch64/system.h"

#include "base/buffer.h"

#include <string.h>

/* Fault status codes; the level goes into the low two bits. */
enum { FSC_ADDRESS_SIZE = 0x00, FSC_TRANSLATION = 0x04, FSC_ACCESS = 0x08, FSC_PERMISSION = 0x0c, FSC_EXTERNAL = 0x10,
       FSC_EXTERNAL_WALK = 0x14, FSC_ALIGNMENT = 0x21 };

#define DESC_VALID  BIT64(0)
#define DESC_TABLE  BIT64(1)
#define DESC_NS     BIT64(5)
#define DESC_AP1    BIT64(6)
#define DESC_AP2    BIT64(7)
#define DESC_AF     BIT64(10)
#define S2_NORMAL   (BIT64(4) | BIT64(5)) /* stage 2 MemAttr: zeros: Device memory */
#define DESC_PXN    BIT64(53)
#define DESC_UXN    BIT64(54)
#define TABLE_PXN   BIT64(59)
#define TABLE_XN    BIT64(60)
#define TABLE_AP0   BIT64(61)
#define TABLE_AP1   BIT64(62)
#define TABLE_NS    BIT64(63)

#define OA_MASK (BIT64(48) - 1)
#define TTBR_TABLE (OA_MASK & ~UINT64_C(1)) /* not: ASID or VMID, CnP */

/* How a walk reads its tables: with the side effects of the CPU, or without any. */
struct walker {
    const struct a64_cpu *c;
    struct ucpu *u;          /* NULL: the debugger looks */
    bool misaligned;         /* the access faults if it is to Device memory */
};

/* What a walk found, or why it failed. */
struct walk {
    bool failed, stage2, s1ptw; /* the fault, at which stage, while reading a stage 1 descriptor */
    unsigned fsc;
    uint64_t ipa;               /* of a stage 2 fault */
    paddr_t pa;                 /* of the byte */
    uint64_t desc;              /* the last stage 1 descriptor; 0: translation is off */
    unsigned level;
    uint64_t desc2;             /* of the last stage 2 leaf; 0: none */
    bool device;                /* it is Device memory */
    uint64_t span;              /* bytes that one such descriptor (valid or not) covers */
    bool user_read, user_write, user_exec, priv_read, priv_write, priv_exec;
    bool user_page;             /* AP[1]: what PAN looks at */
    bool secure;                /* of the output address; while walking: of the tables */
};

/* One set of tables. */
struct tables {
    uint64_t base;     /* of the first table */
    unsigned grain;    /* log2 of the page size */
    unsigned in_bits;  /* of an input address */
    unsigned out_bits; /* of an output address */
    unsigned level;    /* where to start */
    bool nested;       /* the tables lie at intermediate addresses: stage 2 applies to them */
};

static unsigned output_bits(const struct a64_cpu *c, unsigned ps)
{
    static const uint8_t bits[8] = {32, 36, 40, 42, 44, 48, 48, 48};
    unsigned n = bits[ps & 7];

    return n < c->model->pa_bits ? n : c->model->pa_bits;
}

/* Does a region of the board answer there? */
static bool on_the_bus(const struct a64_cpu *c, paddr_t addr, bool secure)
{
    const struct region *r = memory_find(&c->u.cpu.machine->memory, addr);

    return r && (secure || !r->secure);
}

/* False: an external abort. */
static bool read_descriptor(const struct walker *w, paddr_t addr, bool secure, uint64_t *value)
{
    if (a64_has_el(w->c, 3) && !on_the_bus(w->c, addr, secure))
        return false;
    *value = UINT64_MAX; /* what nobody answers */
    if (w->u)
        *value = ucpu_walk_read(w->u, addr, 8);
    else
        memory_read_bytes(&w->c->u.cpu.machine->memory, addr, value, 8);
    return *value != UINT64_MAX || on_the_bus(w->c, addr, secure);
}

static bool fail(struct walk *out, unsigned fsc, unsigned level)
{
    out->failed = true;
    out->fsc = fsc | level;
    out->level = level;
    return false;
}

/* ---- stage 2 ---- */

struct stage2 {
    paddr_t pa;
    uint64_t leaf;
    uint64_t span;              /* as walk.span, of stage 2 */
    bool read, write, exec;
};

static bool stage2_tables(const struct a64_cpu *c, struct tables *t)
{
    uint64_t vtcr = c->st->vtcr_el2;
    unsigned tsz = vtcr & 63, sl0 = vtcr >> 6 & 3, tg = vtcr >> 14 & 3, stride;
    unsigned lowest;

    if (tsz < 16)
        tsz = 16;
    if (tsz > 39)
        tsz = 39;
    t->nested = false;
    t->grain = tg == 1 ? 16 : tg == 2 ? 14 : 12;
    stride = t->grain - 3;
    t->in_bits = 64 - tsz;
    t->out_bits = output_bits(c, vtcr >> 16 & 7);
    if (sl0 == 3)
        return false;
    t->level = t->grain == 12 ? 2 - sl0 : 3 - sl0;
    /* Up to 16 concatenated tables at the start; never fewer bits than one table resolves. */
    lowest = t->grain + (3 - t->level) * stride;
    if (t->in_bits > lowest + stride + 4 || t->in_bits <= lowest)
        return false;
    t->base = c->st->vttbr_el2 & OA_MASK;
    return true;
}

/* Walk the tables for `addr`: the leaf descriptor, with what tables above it forbid in
 * *hierarchy. False: failed. */
static bool walk_tables(const struct walker *w, const struct tables *t, uint64_t addr, struct walk *out,
                        uint64_t *leaf, uint64_t *hierarchy);

static bool stage2_enabled(const struct a64_cpu *c)
{
    return a64_hcr(c) & (HCR_VM | HCR_DC);
}

/* `table`: the access is the read of a stage 1 descriptor. */
static bool walk_stage2(const struct walker *w, uint64_t ipa, enum access access, bool table, struct walk *out,
                        struct stage2 *s2)
{
    struct walk inner = {0};
    struct tables t;
    uint64_t leaf = 0, hierarchy, mask;
    bool allowed;

    out->stage2 = true;
    out->s1ptw = table;
    out->ipa = ipa;
    if (!stage2_tables(w->c, &t) || ipa >> t.in_bits)
        return fail(out, FSC_TRANSLATION, 0);
    if (!walk_tables(w, &t, ipa, &inner, &leaf, &hierarchy)) {
        s2->span = inner.span;
        out->failed = true;
        out->fsc = inner.fsc;
        return false;
    }
    s2->leaf = leaf;
    s2->read = leaf & DESC_AP1;
    s2->write = leaf & DESC_AP2;
    s2->exec = !(leaf & DESC_UXN);
    s2->span = inner.span;
    mask = inner.span - 1;
    s2->pa = (leaf & OA_MASK & ~mask) | (ipa & mask);
    allowed = access == ACCESS_READ ? s2->read : access == ACCESS_WRITE ? s2->write : s2->exec;
    if (table && (a64_hcr(w->c) & HCR_PTW) && !(leaf & 0x30))
        allowed = false; /* a table in Device memory */
    if (!table && w->misaligned && !(leaf & S2_NORMAL)) {
        out->failed = true;
        out->fsc = FSC_ALIGNMENT;
        return false;
    }
    if (!allowed)
        return fail(out, FSC_PERMISSION, inner.level);
    out->stage2 = out->s1ptw = false;
    return true;
}

/* ---- the walk of one stage ---- */

static bool walk_tables(const struct walker *w, const struct tables *t, uint64_t addr, struct walk *out,
                        uint64_t *leaf, uint64_t *hierarchy)
{
    unsigned stride = t->grain - 3, level = t->level;
    uint64_t table = t->base, desc;

    /* The first table may be smaller than a page, or several concatenated. */
    unsigned shift = t->grain + (3 - level) * stride;
    uint64_t index = (addr & (UINT64_MAX >> (64 - t->in_bits))) >> shift;

    *hierarchy = 0;
    table &= ~((BIT64(t->in_bits - shift + 3)) - 1);
    out->span = BIT64(shift);
    if (table >> t->out_bits)
        return fail(out, FSC_ADDRESS_SIZE, 0);
    for (;;) {
        paddr_t at = table | index << 3;
        struct stage2 s2;

        out->span = BIT64(shift);
        if (t->nested) {
            if (!walk_stage2(w, at, ACCESS_READ, true, out, &s2))
                return false;
            at = s2.pa;
        }
        if (!read_descriptor(w, at, out->secure, &desc))
            return fail(out, FSC_EXTERNAL_WALK, level);
        out->desc = desc;
        out->level = level;
        if (!(desc & DESC_VALID) || (level == 3 && !(desc & DESC_TABLE)))
            return fail(out, FSC_TRANSLATION, level);
        if (level == 3)
            break;
        if (!(desc & DESC_TABLE)) {
            if (level == 0 || (level == 1 && t->grain != 12))
                return fail(out, FSC_TRANSLATION, level);
            break;
        }
        table = desc & OA_MASK & ~(BIT64(t->grain) - 1);
        if (table >> t->out_bits)
            return fail(out, FSC_ADDRESS_SIZE, level);
        *hierarchy |= desc;
        if (desc & TABLE_NS)
            out->secure = false;
        level++;
        shift -= stride;
        index = addr >> shift & (BIT64(stride) - 1);
    }
    if ((desc & OA_MASK & ~(BIT64(shift) - 1)) >> t->out_bits)
        return fail(out, FSC_ADDRESS_SIZE, level);
    if (!(desc & DESC_AF))
        return fail(out, FSC_ACCESS, level);
    *leaf = desc;
    return true;
}

/* ---- stage 1 ---- */

static uint64_t strip_tag(uint64_t va, bool high)
{
    return high ? va | UINT64_C(0xff) << 56 : va & ~(UINT64_C(0xff) << 56);
}

static void allow_all(struct walk *out)
{
    out->user_read = out->user_write = out->user_exec = true;
    out->priv_read = out->priv_write = out->priv_exec = true;
}

/* Do accesses of level el's regime come from the Secure state? */
static bool regime_secure(const struct a64_cpu *c, unsigned el)
{
    return el == 3 || (el == 1 && a64_secure_below_el3(c));
}

/* Memory attributes of a stage 1 leaf, as MAIR has them. */
static uint64_t stage1_attributes(const struct a64_cpu *c, unsigned el, uint64_t leaf)
{
    return c->st->mair[el] >> (8 * (leaf >> 2 & 7)) & 0xff;
}

/* Is stage 1 of the regime on? */
static bool stage1_enabled(const struct a64_cpu *c, unsigned el)
{
    if (el == 1 && (a64_hcr(c) & (HCR_DC | HCR_TGE)))
        return false;
    return c->st->sctlr[el] & SCTLR_M;
}

/* While it is off: is data Device memory? */
static bool off_is_device(const struct a64_cpu *c, unsigned el)
{
    return !(el == 1 && (a64_hcr(c) & HCR_DC));
}

bool a64_all_device(const struct a64_cpu *c)
{
    unsigned el = a64_regime_el(c->st->el);

    return !stage1_enabled(c, el) && off_is_device(c, el);
}

/* The tables that serve `va`. False: there are none. *va loses its tag. */
static bool stage1_tables(const struct a64_cpu *c, unsigned el, uint64_t *va, struct tables *t)
{
    static const uint8_t grain0[4] = {12, 16, 14, 12}, grain1[4] = {12, 14, 12, 16};
    const struct a64_state *s = c->st;
    uint64_t tcr = s->tcr[el], upper;
    bool high = el == 1 && (*va >> 55 & 1);
    bool tbi = el == 1 ? tcr & (high ? TCR_TBI1 : TCR_TBI0) : tcr & TCR2_TBI;
    unsigned tsz = (high ? tcr >> 16 : tcr) & 63;

    if (tsz < 16)
        tsz = 16;
    if (tsz > 39)
        tsz = 39;
    if (tbi)
        *va = strip_tag(*va, high);
    t->nested = el == 1 && stage2_enabled(c);
    t->in_bits = 64 - tsz;
    t->grain = high ? grain1[tcr >> 30 & 3] : grain0[tcr >> 14 & 3];
    t->out_bits = output_bits(c, el == 1 ? tcr >> 32 & 7 : tcr >> 16 & 7);
    t->base = (high ? s->ttbr1 : s->ttbr0[el]) & OA_MASK & ~UINT64_C(1);
    t->level = 4 - (t->in_bits - t->grain + (t->grain - 4)) / (t->grain - 3);
    upper = *va >> t->in_bits;
    if (upper != (high ? UINT64_MAX >> t->in_bits : 0))
        return false;
    return !(el == 1 && (tcr & (high ? TCR_EPD1 : TCR_EPD0)));
}

/* Permissions of a stage 1 leaf (D8.4). */
static void stage1_permissions(const struct a64_cpu *c, unsigned el, uint64_t leaf, uint64_t hierarchy, struct walk *out)
{
    bool user = leaf & DESC_AP1, read_only = leaf & DESC_AP2, wxn = c->st->sctlr[el] & SCTLR_WXN;
    bool uxn = leaf & DESC_UXN || hierarchy & TABLE_XN;

    read_only = read_only || (hierarchy & TABLE_AP1);
    if (el != 1) {
        out->priv_read = true;
        out->priv_write = !read_only;
        out->priv_exec = !uxn && !(wxn && !read_only);
        return;
    }
    user = user && !(hierarchy & TABLE_AP0);
    out->user_page = user;
    out->user_read = user;
    out->user_write = user && !read_only;
    out->user_exec = !uxn && !(wxn && out->user_write);
    out->priv_read = true;
    out->priv_write = !read_only;
    out->priv_exec = !(leaf & DESC_PXN) && !(hierarchy & TABLE_PXN) && !out->user_write && !(wxn && !read_only);
}

/* Stage 1 of level el's regime: pa is then an intermediate address. */
static bool walk_stage1(const struct walker *w, unsigned el, uint64_t va, struct walk *out)
{
    const struct a64_cpu *c = w->c;
    struct tables t;
    uint64_t leaf = 0, hierarchy, mask;

    out->secure = regime_secure(c, el);
    if (!stage1_enabled(c, el)) {
        bool high = el == 1 && (va >> 55 & 1);

        if (!high && (el == 1 ? c->st->tcr[el] & TCR_TBI0 : c->st->tcr[el] & TCR2_TBI))
            va = strip_tag(va, false);
        out->span = BIT64(30);
        if (va >> c->model->pa_bits)
            return fail(out, FSC_ADDRESS_SIZE, 0);
        allow_all(out);
        out->pa = va;
        out->device = off_is_device(c, el);
        return !(w->misaligned && out->device) || fail(out, FSC_ALIGNMENT, 0);
    }
    out->span = BIT64(39);
    if (!stage1_tables(c, el, &va, &t))
        return fail(out, FSC_TRANSLATION, 0);
    if (!walk_tables(w, &t, va, out, &leaf, &hierarchy))
        return false;
    if (leaf & DESC_NS)
        out->secure = false;
    out->device = !(stage1_attributes(c, el, leaf) & 0xf0);
    if (w->misaligned && out->device)
        return fail(out, FSC_ALIGNMENT, 0); /* before permissions */
    stage1_permissions(c, el, leaf, hierarchy, out);
    mask = out->span - 1;
    out->pa = (leaf & OA_MASK & ~mask) | (va & mask);
    return true;
}

/* ---- a whole translation ---- */

/* What an access needs of the permissions; PAN does not count for AT, and never for fetches. */
static bool permitted(const struct walk *f, enum access access, bool user)
{
    switch (access) {
    case ACCESS_READ:
        return user ? f->user_read : f->priv_read;
    case ACCESS_WRITE:
        return user ? f->user_write : f->priv_write;
    default:
        return user ? f->user_exec : f->priv_exec;
    }
}

/* Both stages for an access. `user`: with EL0's permissions. False: out->failed. */
static bool walk_access(const struct walker *w, unsigned el, uint64_t va, enum access access, bool user, bool pan,
                        bool both, struct walk *out)
{
    struct stage2 s2;

    *out = (struct walk){0};
    if (!walk_stage1(w, el, va, out))
        return false;
    if (pan && out->user_page)
        out->priv_read = out->priv_write = false;
    if (!permitted(out, access, user))
        return fail(out, FSC_PERMISSION, out->level);
    if (!both || el != 1 || !stage2_enabled(w->c))
        return true;
    if (!walk_stage2(w, out->pa, access, false, out, &s2))
        return false;
    out->pa = s2.pa;
    out->desc2 = s2.leaf;
    out->device |= !(s2.leaf & S2_NORMAL);
    out->user_read &= s2.read, out->priv_read &= s2.read;
    out->user_write &= s2.write, out->priv_write &= s2.write;
    out->user_exec &= s2.exec, out->priv_exec &= s2.exec;
    return true;
}

static unsigned mode_el(unsigned mode)
{
    return mode < REGIME_EL2 ? 1 : mode;
}

/* Is the status one of FSC_EXTERNAL and FSC_EXTERNAL_WALK? */
static bool is_external(unsigned fsc)
{
    return fsc >= FSC_EXTERNAL && fsc <= FSC_EXTERNAL_WALK + 3;
}

static bool abort_of(struct a64_cpu *c, unsigned mode, uint64_t va, enum access access, const struct walk *found)
{
    uint32_t iss = found->fsc;
    unsigned target = a64_regime_el(c->st->el);

    /* A table may be read or not, whatever the access was for. */
    if (access == ACCESS_WRITE && !(found->s1ptw && (found->fsc & ~3u) == FSC_PERMISSION))
        iss |= ISS_WNR;
    if (found->s1ptw)
        iss |= ISS_S1PTW;
    (void)mode;
    if (c->st->el == 0)
        target = a64_default_el(c);
    if (found->stage2)
        target = 2;
    if (is_external(found->fsc) && a64_has_el(c, 3) && (c->st->scr_el3 & SCR_EA))
        target = 3;
    a64_raise_abort(c, target, access == ACCESS_FETCH, va, iss);
    if (found->stage2) {
        c->exc.has_hpfar = true;
        c->exc.hpfar = found->ipa >> 12 << 4;
        c->exc.stage2_data = access != ACCESS_FETCH && !found->s1ptw;
    }
    return false;
}

void a64_bus_error(struct ucpu *u, uint64_t va, enum access access)
{
    const struct walk found = {.failed = true, .fsc = FSC_EXTERNAL};

    abort_of(a64_of(u), u->tlb_mode, va, access, &found);
}

bool a64_walk(struct ucpu *u, uint64_t va, enum access access, unsigned mode, struct translation *t)
{
    struct a64_cpu *c = a64_of(u);
    const struct walker w = {.c = c, .u = u, .misaligned = u->misaligned && access != ACCESS_FETCH};
    bool user = mode == REGIME_EL0, pan = mode == REGIME_EL1 && (c->st->pstate & PSTATE_PAN);
    struct walk found;

    if (access == ACCESS_FETCH && (va & 3)) {
        a64_op_pc_align(u, NULL);
        return false;
    }
    if (!walk_access(&w, mode_el(mode), va, access, user, pan, true, &found))
        return abort_of(c, mode, va, access, &found);
    t->page = found.pa & PAGE_MASK;
    t->read = user ? found.user_read : found.priv_read;
    t->write = user ? found.user_write : found.priv_write;
    t->fetch = user ? found.user_exec : found.priv_exec;
    t->secure = found.secure;
    t->aligned = found.device && !(!found.desc && off_is_device(c, mode_el(mode))); /* there the lowering checks */
    t->own_entry = found.span == PAGE_SIZE && found.desc && !(mode_el(mode) == 1 && stage2_enabled(c));
    return true;
}

bool a64_maintainable(struct a64_cpu *c, uint64_t va, enum access access)
{
    const struct walker w = {.c = c, .u = &c->u};
    struct walk found;

    return walk_access(&w, a64_regime_el(c->st->el), va, access, c->st->el == 0, false, true, &found) ||
           abort_of(c, c->u.tlb_mode, va, access, &found);
}

void a64_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS])
{
    const struct a64_cpu *c = (const struct a64_cpu *)(const void *)u;
    const struct a64_state *s = c->st;

    /* By bits 55 and 56 (which may be of a tag). */
    roots[0] = roots[2] = s->ttbr0[1] & TTBR_TABLE;
    roots[1] = roots[3] = s->ttbr1 & TTBR_TABLE;
    roots[4] = s->ttbr0[2] & TTBR_TABLE;
    roots[5] = s->ttbr0[3] & TTBR_TABLE;
    roots[6] = s->vttbr_el2 & TTBR_TABLE;
    /* Permissions of REGIME_EL1 are cached for one value of PAN. */
    roots[7] = (a64_hcr(c) & (HCR_VM | HCR_PTW | HCR_DC | HCR_TGE)) << 1 | (s->el == 1 && (s->pstate & PSTATE_PAN));
}

/* The debugger's view: whatever is mapped, readable or not. */
bool a64_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct walker w = {.c = c, .u = NULL};
    unsigned el = a64_regime_el(c->st->el);
    struct walk found = {0};
    struct stage2 s2;

    if (!walk_stage1(&w, el, va, &found))
        return false;
    if (el == 1 && stage2_enabled(c)) {
        if (!walk_stage2(&w, found.pa, ACCESS_READ, false, &found, &s2))
            return false;
        found.pa = s2.pa;
    }
    *pa = found.pa;
    return true;
}

/* What follows where no table serves addresses: the upper half, or nothing. */
static uint64_t to_upper_half(const struct a64_cpu *c, unsigned el, uint64_t va)
{
    uint64_t ones = UINT64_MAX;
    struct tables t;

    if (el != 1 || (va >> 55 & 1) || !stage1_enabled(c, el) || !stage1_tables(c, el, &ones, &t))
        return 0;
    return (UINT64_MAX << t.in_bits) - va;
}

uint64_t a64_stretch(const struct cpu *cpu, uint64_t va)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct walker w = {.c = c, .u = NULL};
    unsigned el = a64_regime_el(c->st->el);
    struct walk found = {0};
    struct stage2 s2 = {.span = 0};
    uint64_t span, plain = va;
    struct tables t;

    if (stage1_enabled(c, el) ? !stage1_tables(c, el, &plain, &t) : va >> c->model->pa_bits != 0)
        return to_upper_half(c, el, va);
    walk_stage1(&w, el, va, &found);
    span = found.span;
    if (!found.failed && el == 1 && stage2_enabled(c)) {
        walk_stage2(&w, found.pa, ACCESS_READ, false, &found, &s2);
        span = s2.span && s2.span < span ? s2.span : span;
    }
    return span - (va & (span - 1));
}

bool a64_peek_insn(const struct a64_cpu *c, uint64_t va, uint32_t *insn)
{
    paddr_t pa;

    return !(va & 3) && a64_translate(&c->u.cpu, va, &pa) &&
           memory_read_bytes(&c->u.cpu.machine->memory, pa, insn, 4) == 4;
}

int a64_alignment_fault(struct a64_cpu *c, uint64_t va, bool write)
{
    unsigned target = c->st->el ? c->st->el : a64_default_el(c);

    return a64_raise_abort(c, target, false, va, FSC_ALIGNMENT | (write ? ISS_WNR : 0));
}

int a64_misaligned(struct a64_cpu *c, unsigned regime, uint64_t va, bool write)
{
    bool fine;

    if (c->st->sctlr[a64_regime_el(c->st->el)] & SCTLR_A)
        return a64_alignment_fault(c, va, write);
    c->u.misaligned = true;
    fine = ucpu_probe(&c->u, regime, va, 1, write ? ACCESS_WRITE : ACCESS_READ);
    c->u.misaligned = false;
    return fine ? a64_alignment_fault(c, va, write) : UOP_FAULT;
}

/* ---- AT (C5.5) ---- */

#define PAR_F    BIT64(0)
#define PAR_PTW  BIT64(8)
#define PAR_S    BIT64(9)
#define PAR_NS   BIT64(9)
#define PAR_RES1 BIT64(11)

enum { SH_NON = 0, SH_OUTER = 2, SH_INNER = 3 };

/* Inner or outer cacheability of both stages: the weaker one; hints are those of stage 1. */
static unsigned combine_cacheability(unsigned s1, unsigned s2)
{
    if (s1 == 4 || s2 == 1)
        return 4; /* not cacheable */
    if (!(s1 & 4) || s2 == 2)
        return 8 | (s1 & 3); /* write-through */
    return s1;
}

/* Attributes of stage 1 with those of a stage 2 leaf (D8.6.5), as MAIR has them. */
static uint64_t combine_attributes(const struct a64_cpu *c, uint64_t attr, uint64_t leaf)
{
    unsigned outer = leaf >> 4 & 3, inner = leaf >> 2 & 3;

    if (!(attr & 0xf0) && !outer)
        return (attr >> 2 & 3) < inner ? attr : (uint64_t)inner << 2;
    if (!(attr & 0xf0))
        return attr;
    if (!outer)
        return (uint64_t)inner << 2;
    if (a64_hcr(c) & HCR_CD)
        outer = inner = 1;
    return combine_cacheability(attr >> 4 & 15, outer) << 4 | combine_cacheability(attr & 15, inner);
}

static unsigned combine_shareability(unsigned s1, unsigned s2)
{
    if (s1 == SH_OUTER || s2 == SH_OUTER)
        return SH_OUTER;
    return s1 == SH_INNER || s2 == SH_INNER ? SH_INNER : SH_NON;
}

/* Attributes and shareability as PAR shows them. */
static uint64_t par_attributes(const struct a64_cpu *c, unsigned el, const struct walk *found)
{
    uint64_t attr, sh = SH_NON;

    if (found->desc) {
        attr = stage1_attributes(c, el, found->desc);
        sh = found->desc >> 8 & 3;
    } else {
        attr = off_is_device(c, el) ? 0 : 0xff;
    }
    if (found->desc2) {
        attr = combine_attributes(c, attr, found->desc2);
        sh = combine_shareability((unsigned)sh, found->desc2 >> 8 & 3);
    }
    if (!(attr & 0xf0) || attr == 0x44)
        sh = SH_OUTER;
    return attr << 56 | sh << 7;
}

/* op1 and op2 say which regime, whose permissions, which stages. */
int a64_at(struct a64_cpu *c, uint64_t va, unsigned op1, unsigned crm, unsigned op2)
{
    const struct walker w = {.c = c, .u = &c->u};
    unsigned el = op1 == 6 ? 3 : op1 == 4 && op2 < 4 ? 2 : 1;
    enum access access = op2 & 1 ? ACCESS_WRITE : ACCESS_READ;
    bool user = el == 1 && (op2 & 2), both = op1 == 4 && op2 >= 4;
    struct walk found;
    uint64_t par;

    (void)crm;
    if (walk_access(&w, el, va, access, user, false, both, &found)) {
        par = (found.pa & OA_MASK & PAGE_MASK) | par_attributes(c, el, &found) | PAR_RES1;
        if (!found.secure)
            par |= PAR_NS;
    } else if (is_external(found.fsc)) {
        /* Not a result but an exception (D8.11). */
        abort_of(c, 0, va, access, &found);
        c->exc.esr |= ISS_CM | ISS_WNR;
        return UOP_FAULT;
    } else if (found.stage2 && found.s1ptw && !both && c->st->el == 1) {
        /* The hypervisor must hear of it (D8.11). */
        a64_raise_abort(c, 2, false, va, found.fsc | ISS_S1PTW | ISS_CM | ISS_WNR);
        c->exc.has_hpfar = true;
        c->exc.hpfar = found.ipa >> 12 << 4;
        return UOP_FAULT;
    } else {
        par = PAR_F | (uint64_t)found.fsc << 1 | PAR_RES1;
        if (found.stage2)
            par |= PAR_S;
        if (found.s1ptw)
            par |= PAR_PTW;
    }
    c->st->par_el1 = par;
    return UOP_NEXT;
}

/* ---- monitor info tlb ---- */

static void describe_run(struct buffer *out, uint64_t va, uint64_t len, const struct walk *f)
{
    buffer_printf(out, "%016llx-%016llx: %012llx EL1 %c%c%c EL0 %c%c%c level %u attr %u%s\n", (unsigned long long)va,
                  (unsigned long long)(va + len - 1), (unsigned long long)f->pa, f->priv_read ? 'r' : '-',
                  f->priv_write ? 'w' : '-', f->priv_exec ? 'x' : '-', f->user_read ? 'r' : '-',
                  f->user_write ? 'w' : '-', f->user_exec ? 'x' : '-', f->level, (unsigned)(f->desc >> 2 & 7),
                  f->desc & BIT64(11) ? " nG" : "");
}

/* Do two neighbours read as one line? */
static bool same_kind(const struct walk *a, const struct walk *b)
{
    const uint64_t mask = 0x1c | BIT64(11) | DESC_PXN | DESC_UXN | DESC_AP1 | DESC_AP2;

    return !((a->desc ^ b->desc) & mask) && a->priv_exec == b->priv_exec && a->priv_write == b->priv_write &&
           a->user_exec == b->user_exec && a->user_read == b->user_read && a->level == b->level;
}

/* One half of the address space: [from, from + 2^bits). */
static void describe_half(const struct walker *w, unsigned el, uint64_t from, unsigned bits, struct buffer *out)
{
    struct walk run = {0}, now;
    uint64_t start = 0, len = 0, step;

    for (uint64_t at = 0; at < BIT64(bits); at += step) {
        bool found, joins;

        now = (struct walk){0};
        found = walk_stage1(w, el, from + at, &now);
        step = now.span ? now.span : BIT64(bits);
        if (step > BIT64(bits))
            step = BIT64(bits);
        joins = found && len && now.pa == run.pa + len && same_kind(&now, &run);
        if (len && !joins) {
            describe_run(out, start, len, &run);
            len = 0;
        }
        if (found && !joins) {
            run = now;
            start = from + at;
        }
        if (found)
            len += step;
    }
    if (len)
        describe_run(out, start, len, &run);
}

void a64_describe_tlb(const struct cpu *cpu, struct buffer *out)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct walker w = {.c = c, .u = NULL};
    unsigned el = a64_regime_el(c->st->el);
    uint64_t zero = 0, ones = UINT64_MAX;
    struct tables t;

    if (!stage1_enabled(c, el)) {
        buffer_printf(out, "stage 1 translation is off\n");
        return;
    }
    if (stage1_tables(c, el, &zero, &t))
        describe_half(&w, el, 0, t.in_bits, out);
    if (el == 1 && stage1_tables(c, el, &ones, &t))
        describe_half(&w, el, UINT64_MAX << t.in_bits, t.in_bits, out);
}
