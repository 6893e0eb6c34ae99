/*
 * Paging: linear to physical addresses (SDM 3A chapter 4).
 *
 * Paging off, 32-bit paging (4 KiB pages, and 4 MiB pages with CR4.PSE and PSE-36),
 * PAE paging (4 KiB and 2 MiB pages, execute-disable with EFER.NXE), and long mode's of four
 * levels, or five with CR4.LA57 (and pages of 1 GiB); SMEP, SMAP, protection keys. Accessed and dirty bits are set by the walk
 * of an access that succeeds; a translation may be cached for writing only
 * once the dirty bit is set, so the first write walks again and sets it.
 *
 * There is no guest-visible TLB (vm/exec.h), therefore nothing to do for
 * global pages and PCIDs: a walk made now is always an answer that hardware may give.
 *
 * Nested paging (AMD APM 2, 15.25): what a guest's tables hold, and what they lead to, are the guest's physical addresses, which the tables
 * that nCR3 names translate once more, in the manner of the host's paging. Each access is one of user mode there; that to a guest's
 * table is a write. What they do not allow is a #VMEXIT.
 *
 * Not modelled: caching attributes (PWT, PCD, PAT), which change no value.
 */
#include "i386/protect.h"
#include "i386/svm.h"

#include <string.h>

#define PTE_P   0x001u
#define PTE_RW  0x002u
#define PTE_US  0x004u
#define PTE_A   0x020u
#define PTE_D   0x040u
#define PTE_PS  0x080u
#define PTE_NX  ((uint64_t)1 << 63)

#define PF_P    0x01u
#define PF_W    0x02u
#define PF_U    0x04u
#define PF_RSVD 0x08u
#define PF_I    0x10u
#define PF_PK   0x20u

/* Where entries hold addresses, as wide as they can be. */
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)

/* Bits of a physical address that the model has. */
static uint64_t phys_mask(const struct i386_cpu *c)
{
    return ((uint64_t)1 << i386_phys_bits(c->model)) - 1;
}

/* How tables are walked. */
struct regime {
    uint64_t cr3, efer;
    uint32_t cr4;
    bool nested;   /* the tables of nested paging themselves */
};

/* How a walk reads its tables: with the side effects of the CPU, or without any. */
struct walker {
    const struct i386_cpu *cpu;
    struct ucpu *u; /* NULL: the debugger looks */
    struct regime regime;
};

static struct walker walker_of(const struct i386_cpu *c, struct ucpu *u)
{
    const struct i386_state *s = c->st;

    return (struct walker){.cpu = c, .u = u, .regime = {.cr3 = s->cr3, .efer = s->efer, .cr4 = s->cr4}};
}

/* What a walk found. */
struct walk {
    unsigned levels;
    struct {
        paddr_t addr;
        uint64_t entry;
        unsigned size;
    } level[5];       /* from the topmost table down to the page's entry */
    paddr_t page;     /* of 4 KiB */
    bool user, writable, no_execute;
    unsigned missing; /* nothing was found: log2 of the bytes that the absent entry covers */
};

static bool in_smram(const struct i386_cpu *c, paddr_t addr)
{
    return c->st->smm && c->smram != I386_SMRAM_OFF && addr - I386_SMRAM_BASE < I386_SMRAM_SIZE;
}

static paddr_t a20(const struct i386_state *s, paddr_t addr)
{
    return addr & (s->a20_mask | ~(paddr_t)0xffffffff);
}

paddr_t i386_physical(const struct i386_cpu *c, paddr_t addr)
{
    addr = a20(c->st, addr);
    return in_smram(c, addr) && c->smram == I386_SMRAM_ON ? addr | I386_SMRAM_VIEW : addr;
}

/* The same of an instruction fetch, and of a debugger. */
static paddr_t fetch_address(const struct i386_cpu *c, paddr_t addr)
{
    addr = a20(c->st, addr);
    return in_smram(c, addr) ? addr | I386_SMRAM_VIEW : addr;
}

static uint64_t read_entry(const struct walker *w, paddr_t addr, unsigned size)
{
    uint64_t value = 0;

    if (w->u)
        return ucpu_walk_read(w->u, addr, size);
    if (memory_read_bytes(&w->cpu->u.cpu.machine->memory, addr, &value, size) != size)
        return 0;
    return value;
}

static void add_level(struct walk *out, paddr_t addr, uint64_t entry, unsigned size)
{
    out->level[out->levels].addr = addr;
    out->level[out->levels].entry = entry;
    out->level[out->levels].size = size;
    out->levels++;
}

/* What a walk returns besides page-fault error bits, and 0: found. */
enum { NOT_PRESENT = -1, NESTED_EXIT = -2 /* a #VMEXIT is pending, unless a debugger looks */ };

/* What nested paging makes of an address. */
struct nested {
    paddr_t page;
    bool writable, executable; /* without another walk */
};
static bool through_nested(const struct walker *w, uint64_t addr, enum access access, bool is_table, struct nested *out);

/* Where the entry is that the walk reads at `addr`. False: NESTED_EXIT. */
static bool entry_place(const struct walker *w, uint64_t addr, paddr_t *at)
{
    struct nested n;

    if (w->regime.nested || !i386_svm_nested(w->cpu->st)) {
        *at = i386_physical(w->cpu, addr);
        return true;
    }
    if (!through_nested(w, addr, ACCESS_WRITE, true, &n))
        return false;
    *at = i386_physical(w->cpu, n.page | (addr & ~PAGE_MASK));
    return true;
}

/* 32-bit paging (SDM 3A 4.3). */
static int walk_32bit(const struct walker *w, uint32_t va, struct walk *out)
{
    uint32_t pde, pte;
    paddr_t addr;

    out->missing = 22;
    if (!entry_place(w, (w->regime.cr3 & 0xfffff000u) + (va >> 22) * 4, &addr))
        return NESTED_EXIT;
    pde = (uint32_t)read_entry(w, addr, 4);
    if (!(pde & PTE_P))
        return NOT_PRESENT;
    out->user = pde & PTE_US;
    out->writable = pde & PTE_RW;
    add_level(out, addr, pde, 4);
    if ((pde & PTE_PS) && (w->regime.cr4 & CR4_PSE)) {
        /* Bits 13-20 are bits 32-39 of the address, as far as the model has those. */
        unsigned phys_bits = i386_phys_bits(w->cpu->model), most = phys_bits < 40 ? phys_bits : 40;
        bool pse36 = i386_has(w->cpu->model, FEATURE_PSE36);
        uint32_t extended = pse36 && most > 32 ? ((1u << (most - 32)) - 1) << 13 : 0, reserved = 0x3fe000u & ~extended;

        if (pde & reserved)
            return PF_RSVD;
        out->page = (pde & 0xffc00000u) | (va & 0x3ff000u);
        out->page |= (paddr_t)(pde & extended) << 19;
        return 0;
    }
    out->missing = 12;
    if (!entry_place(w, (pde & 0xfffff000u) + (va >> 12 & 0x3ff) * 4, &addr))
        return NESTED_EXIT;
    pte = (uint32_t)read_entry(w, addr, 4);
    if (!(pte & PTE_P))
        return NOT_PRESENT;
    out->user = out->user && (pte & PTE_US);
    out->writable = out->writable && (pte & PTE_RW);
    add_level(out, addr, pte, 4);
    out->page = pte & 0xfffff000u;
    return 0;
}

/* From the table at `table`, whose entries cover 1 << shift bytes each, down to the page (SDM 3A 4.4.2, 4.5). */
static int walk_down(const struct walker *w, uint64_t va, paddr_t table, unsigned shift, struct walk *out)
{
    bool one_gib = i386_has(w->cpu->model, FEATURE_PDPE1GB);
    uint64_t reserved = ~phys_mask(w->cpu) & ~PTE_NX;

    /* Long mode ignores bits 52-62 (in PAE paging they are reserved). */
    if (w->regime.efer & EFER_LMA)
        reserved &= ENTRY_ADDRESS;
    if (!(w->regime.efer & EFER_NXE))
        reserved |= PTE_NX;
    out->user = out->writable = true;
    for (;; shift -= 9) {
        uint64_t entry, span = (uint64_t)1 << shift;
        paddr_t addr;
        bool large;

        out->missing = shift;
        if (!entry_place(w, table + (va >> shift & 0x1ff) * 8, &addr))
            return NESTED_EXIT;
        entry = read_entry(w, addr, 8);
        large = shift > 12 && (entry & PTE_PS);
        if (!(entry & PTE_P))
            return NOT_PRESENT;
        add_level(out, addr, entry, 8);
        out->user = out->user && (entry & PTE_US);
        out->writable = out->writable && (entry & PTE_RW);
        out->no_execute = out->no_execute || (entry & PTE_NX);
        if ((entry & reserved) || (large && (shift > 30 || (shift == 30 && !one_gib))) ||
            (large && (entry & (span - 1) & ENTRY_ADDRESS & ~UINT64_C(0x1000))))
            return PF_RSVD;
        if (shift == 12 || large) {
            out->page = ((entry & ENTRY_ADDRESS & ~(span - 1)) | (va & (span - 1))) & PAGE_MASK;
            return 0;
        }
        table = entry & ENTRY_ADDRESS;
    }
}

/* PAE paging (SDM 3A 4.4): bits 31 and 30 choose one of four registers. */
static int walk_pae(const struct walker *w, uint32_t va, struct walk *out)
{
    uint64_t pdpte = w->cpu->st->pdpte[va >> 30];
    paddr_t addr;

    out->missing = 30;
    if (i386_svm_nested(w->cpu->st)) { /* they are in memory for guests, and of nested tables (APM 2, 15.25.10) */
        if (!entry_place(w, (w->regime.cr3 & 0xffffffe0u) + (va >> 30) * 8, &addr))
            return NESTED_EXIT;
        pdpte = read_entry(w, addr, 8);
        if ((pdpte & PTE_P) && (pdpte & (~phys_mask(w->cpu) | 0x1e6u)))
            return PF_RSVD;
    }
    if (!(pdpte & PTE_P))
        return NOT_PRESENT;
    return walk_down(w, va, pdpte & ENTRY_ADDRESS & phys_mask(w->cpu), 21, out);
}

static int walk_tables(const struct walker *w, uint64_t va, struct walk *out)
{
    const struct regime *r = &w->regime;

    *out = (struct walk){.levels = 0};
    if (r->efer & EFER_LMA)
        return walk_down(w, va, r->cr3 & ENTRY_ADDRESS, r->cr4 & CR4_LA57 ? 48 : 39, out);
    if (r->cr4 & CR4_PAE)
        return walk_pae(w, (uint32_t)va, out);
    return walk_32bit(w, (uint32_t)va, out);
}

/* Accessed and dirty bits of what was found are set. */
static void note_access(struct ucpu *u, struct walk *found, bool write)
{
    unsigned last = found->levels - 1;

    for (unsigned i = 0; i <= last; i++) {
        uint64_t want = found->level[i].entry | PTE_A;

        if (i == last && write)
            want |= PTE_D;
        if (want != found->level[i].entry) {
            ucpu_walk_write(u, found->level[i].addr, found->level[i].size, want);
            found->level[i].entry = want;
        }
    }
}

/* ---- nested paging (AMD APM 2, 15.25) ---- */

#define NPF_PAGE  ((uint64_t)1 << 32) /* EXITINFO1: at the final address; */
#define NPF_TABLE ((uint64_t)1 << 33) /* at a table of the guest's */

static bool nested_fault(const struct walker *w, uint64_t addr, enum access access, bool is_table, unsigned error)
{
    struct i386_cpu *c;

    if (!w->u)
        return false;
    c = i386_of(w->u);
    error |= PF_U | (access == ACCESS_WRITE ? PF_W : 0);
    if (access == ACCESS_FETCH && (c->st->svm.host.efer & EFER_NXE) && (c->st->svm.host.cr4 & CR4_PAE))
        error |= PF_I;
    i386_svm_exit(c, SVM_EXIT_NPF, error | (is_table ? NPF_TABLE : NPF_PAGE), addr);
    return false;
}

static bool through_nested(const struct walker *w, uint64_t addr, enum access access, bool is_table, struct nested *out)
{
    const struct i386_state *s = w->cpu->st;
    const struct walker host = {.cpu = w->cpu, .u = w->u,
                                .regime = {.cr3 = s->svm.nested_cr3, .efer = s->svm.host.efer, .cr4 = (uint32_t)s->svm.host.cr4,
                                           .nested = true}};
    bool is_long = host.regime.efer & EFER_LMA, nx = (host.regime.efer & EFER_NXE) && (host.regime.cr4 & CR4_PAE), allowed;
    struct walk found;
    int error;

    if (addr >> (!is_long ? 32 : host.regime.cr4 & CR4_LA57 ? 57 : 48))
        return nested_fault(w, addr, access, is_table, 0);
    error = walk_tables(&host, addr, &found);
    if (error)
        return nested_fault(w, addr, access, is_table, error < 0 ? 0 : PF_P | (unsigned)error);
    allowed = found.user && (access == ACCESS_WRITE ? found.writable : access == ACCESS_READ || !(nx && found.no_execute));
    if (!allowed && w->u)
        return nested_fault(w, addr, access, is_table, PF_P);
    if (w->u)
        note_access(w->u, &found, access == ACCESS_WRITE);
    out->page = found.page;
    out->writable = found.writable && (found.level[found.levels - 1].entry & PTE_D);
    out->executable = !(nx && found.no_execute);
    return true;
}

static bool page_fault(struct i386_cpu *c, uint64_t va, enum access access, unsigned mode, uint32_t error)
{
    const struct i386_state *s = c->st;
    bool nx = (s->cr4 & CR4_PAE) && (s->efer & EFER_NXE);

    if (access == ACCESS_WRITE)
        error |= PF_W;
    if (mode == MMU_USER)
        error |= PF_U;
    if (access == ACCESS_FETCH && (nx || (s->cr4 & CR4_SMEP)))
        error |= PF_I;
    i386_raise_pf(c, va, error);
    return false;
}

/* What protection keys forbid of a data access to a page of user mode (SDM 3A 4.6.2): reading, writing. */
static bool key_forbids(const struct i386_cpu *c, const struct walk *w, bool user, bool write)
{
    const struct i386_state *s = c->st;
    unsigned key = w->level[w->levels - 1].entry >> 59 & 15, bits = s->pkru >> (2 * key) & 3;

    if (!(s->cr4 & CR4_PKE) || !i386_long(s) || !w->user)
        return false;
    return (bits & 1) || (write && (bits & 2) && (user || (s->cr0 & CR0_WP)));
}

/* What may be done with the page. */
struct rights {
    bool read, write, fetch;
    bool read_by_key, write_by_key;
};

static struct rights rights_of(const struct i386_cpu *c, const struct walk *w, unsigned mode)
{
    const struct i386_state *s = c->st;
    bool user = mode == MMU_USER, nx = w->no_execute && (s->cr4 & CR4_PAE) && (s->efer & EFER_NXE);
    bool closed = !user && w->user && mode != MMU_OPEN && (s->cr4 & CR4_SMAP);
    struct rights r;

    r.read = user ? w->user : !closed;
    r.write = r.read && (w->writable || (!user && !(s->cr0 & CR0_WP)));
    r.fetch = (!user || w->user) && !nx && !(!user && w->user && (s->cr4 & CR4_SMEP));
    r.read_by_key = !key_forbids(c, w, user, false);
    r.write_by_key = !key_forbids(c, w, user, true);
    return r;
}

/* An address that is not canonical is no page fault. */
static bool not_canonical(struct i386_cpu *c, uint64_t va, enum access access)
{
    i386_raise_error(c, EXC_GP, 0);
    c->exc.address = va;
    c->exc.not_canonical = access != ACCESS_FETCH;
    return false;
}

unsigned i386_regime(const struct i386_state *s)
{
    if (s->cpl == 3)
        return MMU_USER;
    return (s->eflags & EFLAGS_AC) && (s->cr4 & CR4_SMAP) ? MMU_OPEN : MMU_SUPERVISOR;
}

/* Where the access to `va` goes. Where instructions come from another place than data, the translation is for this kind only. False: a #VMEXIT is
 * pending. */
static bool put_out(const struct walker *w, uint64_t va, paddr_t page, enum access access, struct translation *t)
{
    const struct i386_cpu *c = w->cpu;
    paddr_t data, code;
    struct nested n;

    if (i386_svm_nested(c->st)) {
        if (!through_nested(w, page | (va & ~PAGE_MASK), access, false, &n))
            return false;
        page = n.page;
        t->write = t->write && n.writable;
        t->fetch = t->fetch && n.executable;
        t->own_entry = false;
    }
    data = i386_physical(c, page);
    code = fetch_address(c, page);
    t->page = access == ACCESS_FETCH ? code : data;
    if (code == data)
        return true;
    if (access == ACCESS_FETCH)
        t->read = t->write = false;
    else
        t->fetch = false;
    return true;
}

bool i386_walk(struct ucpu *u, uint64_t va, enum access access, unsigned mode, struct translation *t)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    const struct walker w = walker_of(c, u);
    struct rights may;
    struct walk found;
    bool by_key;
    int error;

    if (!i386_long(s))
        va = (uint32_t)va;
    if (!(s->cr0 & CR0_PG)) {
        t->read = t->write = t->fetch = true;
        return put_out(&w, va, va & (uint32_t)PAGE_MASK, access, t);
    }
    if (i386_long(s) && !i386_canonical(s, va))
        return not_canonical(c, va, access);
    error = walk_tables(&w, va, &found);
    if (error == NESTED_EXIT)
        return false;
    if (error)
        return page_fault(c, va, access, mode, error < 0 ? 0 : PF_P | (unsigned)error);

    may = rights_of(c, &found, mode);
    by_key = access == ACCESS_WRITE ? may.write_by_key : access == ACCESS_READ ? may.read_by_key : true;
    if (!by_key || (access == ACCESS_WRITE ? !may.write : access == ACCESS_READ ? !may.read : !may.fetch))
        return page_fault(c, va, access, mode, PF_P | (by_key ? 0 : PF_PK)); /* PK whatever else forbids it (SDM 3A 4.7) */

    note_access(u, &found, access == ACCESS_WRITE);
    t->read = may.read && may.read_by_key;
    t->fetch = may.fetch;
    t->write = may.write && may.write_by_key && (found.level[found.levels - 1].entry & PTE_D);
    t->own_entry = found.missing == 12;
    return put_out(&w, va, found.page, access, t);
}

/* What a guest's translations depend on besides its CR3: nCR3, and the modes, which the host has others of. */
static void guest_roots(const struct i386_state *s, uint64_t roots[TLB_ROOTS])
{
    const uint32_t cr4 = CR4_PSE | CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57;

    roots[TLB_PARTS] = s->svm.nested ? (s->svm.nested_cr3 & PAGE_MASK) | 3 : 1;
    roots[TLB_PARTS + 1] = (uint64_t)(s->cr4 & cr4) << 32 | (s->cr0 & (CR0_PG | CR0_WP)) | ((s->efer & (EFER_LMA | EFER_NXE)) >> 8);
    if (!s->svm.nested)
        return;
    roots[TLB_PARTS + 2] = (s->svm.host.cr4 & (CR4_PSE | CR4_PAE | CR4_LA57)) << 32 | (s->svm.host.efer & (EFER_LMA | EFER_NXE)) | 1;
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !i386_long(s))
        for (unsigned i = 0; i < TLB_PARTS; i++)
            roots[i] = (s->cr3 & 0xffffffe0u) | 1;
}
_Static_assert(TLB_PARTS + 2 < TLB_ROOTS, "room for the roots of guests");

void i386_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS])
{
    const struct i386_state *s = ((const struct i386_cpu *)(const void *)u)->st;

    if (i386_svm_guest(s))
        guest_roots(s, roots);
    if (!(s->cr0 & CR0_PG) || roots[0])
        return;
    if (i386_long(s)) {
        /* One table for all of the address space. */
        for (unsigned i = 0; i < TLB_PARTS; i++)
            roots[i] = (s->cr3 & ENTRY_ADDRESS) | 1;
        return;
    }
    if (s->cr4 & CR4_PAE)
        memcpy(roots, s->pdpte, sizeof s->pdpte);
    else
        roots[0] = s->cr3 & 0xfffff000u;
}

bool i386_top_table(const struct ucpu *u, const uint64_t roots[TLB_ROOTS], unsigned part, struct top_table *t)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)u;
    const struct i386_state *s = c->st;

    if (!(s->cr0 & CR0_PG) || i386_svm_nested(s))
        return false;
    if (i386_long(s))
        *t = (struct top_table){.at = roots[part] & ENTRY_ADDRESS, .count = 512, .size = 8, .shift = s->cr4 & CR4_LA57 ? 48 : 39};
    else if (s->cr4 & CR4_PAE)
        *t = (struct top_table){.at = roots[part] & ENTRY_ADDRESS, .count = roots[part] & PTE_P ? 512 : 0, .size = 8, .shift = 21};
    else
        *t = (struct top_table){.at = roots[0], .count = 1024, .size = 4, .shift = 22};
    t->at = i386_physical(c, t->at);
    return t->count;
}

bool i386_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = walker_of(c, NULL);
    struct walk found;

    if (i386_long(c->st) ? !i386_canonical(c->st, va) : va > 0xffffffffu)
        return false;
    found.page = (uint32_t)va & PAGE_MASK;
    if ((c->st->cr0 & CR0_PG) && walk_tables(&w, va, &found))
        return false;
    if (i386_svm_nested(c->st)) {
        struct nested n;

        if (!through_nested(&w, found.page, ACCESS_READ, false, &n))
            return false;
        found.page = n.page;
    }
    *pa = fetch_address(c, found.page) | (va & ~PAGE_MASK);
    return true;
}

uint64_t i386_stretch(const struct cpu *cpu, uint64_t va)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = walker_of(c, NULL);
    struct walk found;
    uint64_t span = PAGE_SIZE;

    if (i386_long(c->st)) {
        uint64_t hole = (uint64_t)1 << (c->st->cr4 & CR4_LA57 ? 56 : 47);

        if (!i386_canonical(c->st, va))
            return va < 0 - hole ? 0 - hole - va : PAGE_SIZE;
    } else if (va > 0xffffffffu) {
        return 0;
    }
    if (!(c->st->cr0 & CR0_PG))
        span = i386_svm_nested(c->st) ? PAGE_SIZE : (uint64_t)1 << 20; /* A20 may be off */
    else if (walk_tables(&w, va, &found))
        span = (uint64_t)1 << found.missing;
    if (c->st->smm && span > I386_SMRAM_SIZE)
        span = I386_SMRAM_SIZE; /* SMRAM begins and ends at multiples of that */
    return span - (va & (span - 1));
}

int i386_read_pdptes(struct i386_cpu *c, uint64_t cr3, uint64_t pdpte[4])
{
    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = memory_read(&c->u.cpu.machine->memory, i386_physical(c, (cr3 & 0xffffffe0u) + i * 8), 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & (~phys_mask(c) | 0x1e6u)))
            return -1;
    }
    return 0;
}

/* ---- monitor info tlb ---- */

static void describe_run(struct buffer *out, bool is_long, uint64_t va, uint64_t len, paddr_t pa, const struct walk *walk)
{
    const uint64_t e = walk->level[walk->levels - 1].entry;
    int digits = is_long ? 16 : 8;

    buffer_printf(out, "%0*llx-%0*llx: %0*llx %c%c%c%c%c%c%c\n", digits, (unsigned long long)va, digits,
                  (unsigned long long)(va + len - 1), is_long ? 13 : 9, (unsigned long long)pa, walk->no_execute ? 'X' : '-',
                  e & 0x100 ? 'G' : '-', walk->missing > 12 ? 'P' : '-', e & PTE_D ? 'D' : '-',
                  e & PTE_A ? 'A' : '-', walk->user ? 'U' : '-', walk->writable ? 'W' : '-');
}

/* Do two neighbouring pages read as one line? */
static bool same_kind(const struct walk *a, const struct walk *b)
{
    const uint64_t mask = 0x100 | PTE_D | PTE_A;

    return a->missing == b->missing && a->user == b->user && a->writable == b->writable &&
           a->no_execute == b->no_execute &&
           (a->level[a->levels - 1].entry & mask) == (b->level[b->levels - 1].entry & mask);
}

void i386_describe_tlb(const struct cpu *cpu, struct buffer *out)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = walker_of(c, NULL);
    bool is_long = i386_long(c->st);
    uint64_t va = 0, start = 0, len = 0, last = is_long ? UINT64_MAX : 0xffffffffu;
    struct walk run = {.levels = 0}, now;

    if (!(c->st->cr0 & CR0_PG)) {
        buffer_printf(out, "paging is off\n");
        return;
    }
    for (bool more = true; more;) {
        bool found = (!is_long || i386_canonical(c->st, va)) && !walk_tables(&w, va, &now);
        /* An absent entry: nothing below it. Large pages at once. */
        uint64_t step = found ? ((uint64_t)1 << now.missing) - (va & (((uint64_t)1 << now.missing) - 1)) : i386_stretch(cpu, va);
        bool joins = found && len && now.page == run.page + len && same_kind(&now, &run);

        if (len && !joins) {
            describe_run(out, is_long, start, len, run.page, &run);
            len = 0;
        }
        if (found) {
            if (!joins) {
                run = now;
                start = va;
            }
            len += step;
        }
        more = last - va >= step && step;
        va += step;
    }
    if (len)
        describe_run(out, is_long, start, len, run.page, &run);
}
