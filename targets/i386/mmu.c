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
 * Not modelled: caching attributes (PWT, PCD, PAT), which change no value.
 */
#include "i386/protect.h"

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

/* How a walk reads its tables: with the side effects of the CPU, or without any. */
struct walker {
    const struct i386_cpu *cpu;
    struct ucpu *u; /* NULL: the debugger looks */
};

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

/* 32-bit paging (SDM 3A 4.3). Returns page-fault error bits, 0: found, or -1: not present. */
static int walk_32bit(const struct walker *w, uint32_t va, struct walk *out)
{
    const struct i386_state *s = w->cpu->st;
    paddr_t addr = i386_physical(w->cpu, (s->cr3 & 0xfffff000u) + (va >> 22) * 4);
    uint32_t pde = (uint32_t)read_entry(w, addr, 4);
    uint32_t pte;

    out->missing = 22;
    if (!(pde & PTE_P))
        return -1;
    out->user = pde & PTE_US;
    out->writable = pde & PTE_RW;
    add_level(out, addr, pde, 4);
    if ((pde & PTE_PS) && (s->cr4 & CR4_PSE)) {
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
    addr = i386_physical(w->cpu, (pde & 0xfffff000u) + (va >> 12 & 0x3ff) * 4);
    pte = (uint32_t)read_entry(w, addr, 4);
    if (!(pte & PTE_P))
        return -1;
    out->user = out->user && (pte & PTE_US);
    out->writable = out->writable && (pte & PTE_RW);
    add_level(out, addr, pte, 4);
    out->page = pte & 0xfffff000u;
    return 0;
}

/* From the table at `table`, whose entries cover 1 << shift bytes each, down to the page (SDM 3A 4.4.2, 4.5). */
static int walk_down(const struct walker *w, uint64_t va, paddr_t table, unsigned shift, struct walk *out)
{
    const struct i386_state *s = w->cpu->st;
    bool one_gib = i386_has(w->cpu->model, FEATURE_PDPE1GB);
    uint64_t reserved = ~phys_mask(w->cpu) & ~PTE_NX;

    /* Long mode ignores bits 52-62 (in PAE paging they are reserved). */
    if (i386_long(s))
        reserved &= ENTRY_ADDRESS;
    if (!(s->efer & EFER_NXE))
        reserved |= PTE_NX;
    out->user = out->writable = true;
    for (;; shift -= 9) {
        paddr_t addr = i386_physical(w->cpu, table + (va >> shift & 0x1ff) * 8);
        uint64_t entry = read_entry(w, addr, 8), span = (uint64_t)1 << shift;
        bool large = shift > 12 && (entry & PTE_PS);

        out->missing = shift;
        if (!(entry & PTE_P))
            return -1;
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

    out->missing = 30;
    if (!(pdpte & PTE_P))
        return -1;
    return walk_down(w, va, pdpte & ENTRY_ADDRESS & phys_mask(w->cpu), 21, out);
}

static int walk_tables(const struct walker *w, uint64_t va, struct walk *out)
{
    const struct i386_state *s = w->cpu->st;

    *out = (struct walk){.levels = 0};
    if (i386_long(s))
        return walk_down(w, va, s->cr3 & ENTRY_ADDRESS, s->cr4 & CR4_LA57 ? 48 : 39, out);
    if (s->cr4 & CR4_PAE)
        return walk_pae(w, (uint32_t)va, out);
    return walk_32bit(w, (uint32_t)va, out);
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

/* Where the access goes. Where instructions come from another place than data, the translation is for this kind only. */
static void put_out(const struct i386_cpu *c, paddr_t page, enum access access, struct translation *t)
{
    paddr_t data = i386_physical(c, page), code = fetch_address(c, page);

    t->page = access == ACCESS_FETCH ? code : data;
    if (code == data)
        return;
    if (access == ACCESS_FETCH)
        t->read = t->write = false;
    else
        t->fetch = false;
}

bool i386_walk(struct ucpu *u, uint64_t va, enum access access, unsigned mode, struct translation *t)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    const struct walker w = {.cpu = c, .u = u};
    struct rights may;
    struct walk found;
    unsigned last;
    bool by_key;
    int error;

    if (!i386_long(s))
        va = (uint32_t)va;
    if (!(s->cr0 & CR0_PG)) {
        t->read = t->write = t->fetch = true;
        put_out(c, va & (uint32_t)PAGE_MASK, access, t);
        return true;
    }
    if (i386_long(s) && !i386_canonical(s, va))
        return not_canonical(c, va, access);
    error = walk_tables(&w, va, &found);
    if (error)
        return page_fault(c, va, access, mode, error < 0 ? 0 : PF_P | (unsigned)error);

    may = rights_of(c, &found, mode);
    by_key = access == ACCESS_WRITE ? may.write_by_key : access == ACCESS_READ ? may.read_by_key : true;
    if (!by_key || (access == ACCESS_WRITE ? !may.write : access == ACCESS_READ ? !may.read : !may.fetch))
        return page_fault(c, va, access, mode, PF_P | (by_key ? 0 : PF_PK)); /* PK whatever else forbids it (SDM 3A 4.7) */

    last = found.levels - 1;
    for (unsigned i = 0; i <= last; i++) {
        uint64_t want = found.level[i].entry | PTE_A;

        if (i == last && access == ACCESS_WRITE)
            want |= PTE_D;
        if (want != found.level[i].entry) {
            ucpu_walk_write(u, found.level[i].addr, found.level[i].size, want);
            found.level[i].entry = want;
        }
    }
    t->read = may.read && may.read_by_key;
    t->fetch = may.fetch;
    t->write = may.write && may.write_by_key && (found.level[last].entry & PTE_D);
    t->own_entry = found.missing == 12;
    put_out(c, found.page, access, t);
    return true;
}

void i386_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS])
{
    const struct i386_state *s = ((const struct i386_cpu *)(const void *)u)->st;

    if (!(s->cr0 & CR0_PG))
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

    if (!(s->cr0 & CR0_PG))
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
    const struct walker w = {.cpu = c, .u = NULL};
    struct walk found;

    if (i386_long(c->st) ? !i386_canonical(c->st, va) : va > 0xffffffffu)
        return false;
    if (!(c->st->cr0 & CR0_PG)) {
        *pa = fetch_address(c, (uint32_t)va);
        return true;
    }
    if (walk_tables(&w, va, &found))
        return false;
    *pa = fetch_address(c, found.page) | (va & ~PAGE_MASK);
    return true;
}

uint64_t i386_stretch(const struct cpu *cpu, uint64_t va)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = {.cpu = c, .u = NULL};
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
        span = (uint64_t)1 << 20; /* A20 may be off */
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
    const struct walker w = {.cpu = c, .u = NULL};
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
