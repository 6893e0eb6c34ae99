/*
 * Paging: linear to physical addresses (SDM 3A chapter 4).
 *
 * The modes that a 32-bit CPU has: paging off, 32-bit paging (4 KiB pages, and
 * 4 MiB pages with CR4.PSE and PSE-36), and PAE paging (4 KiB and 2 MiB pages,
 * execute-disable with EFER.NXE). Accessed and dirty bits are set by the walk
 * of an access that succeeds; a translation may be cached for writing only
 * once the dirty bit is set, so the first write walks again and sets it.
 *
 * There is no guest-visible TLB (vm/exec.h), therefore nothing to do for
 * global pages: a walk made now is always an answer that hardware may give.
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

#define PHYS_BITS 36
#define PHYS_MASK (((uint64_t)1 << PHYS_BITS) - 1)
/* PAE entries: physical address bits that must be zero (SDM 3A 4.4.2). */
#define PAE_RESERVED (~PHYS_MASK & ~PTE_NX)
/* PAE page-directory-pointer entries (SDM 3A 4.4.1). */
#define PDPTE_RESERVED (~PHYS_MASK | 0x1e6u)

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
    } level[2];       /* directory, then table; only a directory for a large page */
    paddr_t page;     /* of 4 KiB */
    bool user, writable, no_execute;
};

static paddr_t a20(const struct i386_state *s, paddr_t addr)
{
    return addr & (s->a20_mask | ~(paddr_t)0xffffffff);
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
    paddr_t addr = a20(s, (s->cr3 & 0xfffff000u) + (va >> 22) * 4);
    uint32_t pde = (uint32_t)read_entry(w, addr, 4);
    uint32_t pte;

    if (!(pde & PTE_P))
        return -1;
    out->user = pde & PTE_US;
    out->writable = pde & PTE_RW;
    add_level(out, addr, pde, 4);
    if ((pde & PTE_PS) && (s->cr4 & CR4_PSE)) {
        bool pse36 = w->cpu->model->features_edx & (1u << 17);
        uint32_t reserved = pse36 ? 0x3e0000u : 0x3fe000u;

        if (pde & reserved)
            return PF_RSVD;
        out->page = (pde & 0xffc00000u) | (va & 0x3ff000u);
        if (pse36)
            out->page |= (paddr_t)(pde >> 13 & 0xf) << 32;
        return 0;
    }
    addr = a20(s, (pde & 0xfffff000u) + (va >> 12 & 0x3ff) * 4);
    pte = (uint32_t)read_entry(w, addr, 4);
    if (!(pte & PTE_P))
        return -1;
    out->user = out->user && (pte & PTE_US);
    out->writable = out->writable && (pte & PTE_RW);
    add_level(out, addr, pte, 4);
    out->page = pte & 0xfffff000u;
    return 0;
}

/* PAE paging (SDM 3A 4.4). */
static int walk_pae(const struct walker *w, uint32_t va, struct walk *out)
{
    const struct i386_state *s = w->cpu->st;
    uint64_t reserved = PAE_RESERVED | (s->efer & EFER_NXE ? 0 : PTE_NX);
    uint64_t pdpte = s->pdpte[va >> 30];
    uint64_t pde, pte;
    paddr_t addr;

    if (!(pdpte & PTE_P))
        return -1;
    addr = a20(s, (pdpte & PHYS_MASK & PAGE_MASK) + (va >> 21 & 0x1ff) * 8);
    pde = read_entry(w, addr, 8);
    if (!(pde & PTE_P))
        return -1;
    out->user = pde & PTE_US;
    out->writable = pde & PTE_RW;
    out->no_execute = pde & PTE_NX;
    add_level(out, addr, pde, 8);
    if (pde & PTE_PS) {
        if (pde & (reserved | 0x1fe000u))
            return PF_RSVD;
        out->page = (pde & PHYS_MASK & ~(uint64_t)0x1fffff) | (va & 0x1ff000u);
        return 0;
    }
    if (pde & reserved)
        return PF_RSVD;
    addr = a20(s, (pde & PHYS_MASK & PAGE_MASK) + (va >> 12 & 0x1ff) * 8);
    pte = read_entry(w, addr, 8);
    if (!(pte & PTE_P))
        return -1;
    out->user = out->user && (pte & PTE_US);
    out->writable = out->writable && (pte & PTE_RW);
    out->no_execute = out->no_execute || (pte & PTE_NX);
    add_level(out, addr, pte, 8);
    if (pte & reserved)
        return PF_RSVD;
    out->page = pte & PHYS_MASK & PAGE_MASK;
    return 0;
}

static int walk_tables(const struct walker *w, uint32_t va, struct walk *out)
{
    *out = (struct walk){.levels = 0};
    if (w->cpu->st->cr4 & CR4_PAE)
        return walk_pae(w, va, out);
    return walk_32bit(w, va, out);
}

static bool page_fault(struct i386_cpu *c, uint32_t va, enum access access, unsigned mode, uint32_t error)
{
    if (access == ACCESS_WRITE)
        error |= PF_W;
    if (mode == MMU_USER)
        error |= PF_U;
    if (access == ACCESS_FETCH && (c->st->cr4 & CR4_PAE) && (c->st->efer & EFER_NXE))
        error |= PF_I;
    i386_raise_pf(c, va, error);
    return false;
}

bool i386_walk(struct ucpu *u, uint64_t va64, enum access access, unsigned mode, struct translation *t)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    const struct walker w = {.cpu = c, .u = u};
    uint32_t va = (uint32_t)va64;
    bool user = mode == MMU_USER;
    bool nx, may_write;
    struct walk found;
    unsigned last;
    int error;

    if (!(s->cr0 & CR0_PG)) {
        t->page = va & s->a20_mask & (uint32_t)PAGE_MASK;
        t->read = t->write = t->fetch = true;
        return true;
    }
    error = walk_tables(&w, va, &found);
    if (error)
        return page_fault(c, va, access, mode, error < 0 ? 0 : PF_P | (unsigned)error);

    nx = found.no_execute && (s->cr4 & CR4_PAE) && (s->efer & EFER_NXE);
    may_write = found.writable || (!user && !(s->cr0 & CR0_WP));
    if ((user && !found.user) || (access == ACCESS_WRITE && !may_write) || (access == ACCESS_FETCH && nx))
        return page_fault(c, va, access, mode, PF_P);

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
    t->page = a20(s, found.page);
    t->read = true;
    t->fetch = !nx;
    t->write = may_write && (found.level[last].entry & PTE_D);
    t->own_entry = found.levels == 2;
    return true;
}

void i386_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS])
{
    const struct i386_state *s = ((const struct i386_cpu *)(const void *)u)->st;

    if (!(s->cr0 & CR0_PG))
        return;
    if (s->cr4 & CR4_PAE)
        memcpy(roots, s->pdpte, sizeof s->pdpte);
    else
        roots[0] = s->cr3 & 0xfffff000u;
}

bool i386_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = {.cpu = c, .u = NULL};
    struct walk found;

    if (va > 0xffffffffu)
        return false;
    if (!(c->st->cr0 & CR0_PG)) {
        *pa = (uint32_t)va & c->st->a20_mask;
        return true;
    }
    if (walk_tables(&w, (uint32_t)va, &found))
        return false;
    *pa = a20(c->st, found.page) | (va & ~PAGE_MASK);
    return true;
}

/* Bytes that a directory entry covers. */
static uint64_t directory_span(const struct i386_state *s)
{
    return s->cr4 & CR4_PAE ? (uint64_t)1 << 21 : (uint64_t)1 << 22;
}

uint64_t i386_stretch(const struct cpu *cpu, uint64_t va)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = {.cpu = c, .u = NULL};
    struct walk found;
    uint64_t span = PAGE_SIZE;

    if (va > 0xffffffffu)
        return 0;
    if (!(c->st->cr0 & CR0_PG))
        span = (uint64_t)1 << 20; /* A20 may be off */
    else if (walk_tables(&w, (uint32_t)va, &found) && found.levels == 0)
        span = directory_span(c->st);
    return span - (va & (span - 1));
}

int i386_read_pdptes(struct i386_cpu *c, uint64_t cr3, uint64_t pdpte[4])
{
    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = memory_read(&c->u.cpu.machine->memory, a20(c->st, (cr3 & 0xffffffe0u) + i * 8), 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & PDPTE_RESERVED))
            return -1;
    }
    return 0;
}

int i386_load_pdptes(struct i386_cpu *c, uint64_t cr3)
{
    uint64_t pdpte[4];

    if (i386_read_pdptes(c, cr3, pdpte) < 0)
        return i386_raise_error(c, EXC_GP, 0);
    for (unsigned i = 0; i < 4; i++)
        c->st->pdpte[i] = pdpte[i];
    return UOP_NEXT;
}

/* ---- monitor info tlb --------------------------------------------------------- */

static void describe_run(struct buffer *out, uint64_t va, uint64_t len, paddr_t pa, const struct walk *walk)
{
    const uint64_t e = walk->level[walk->levels - 1].entry;

    buffer_printf(out, "%08llx-%08llx: %09llx %c%c%c%c%c%c%c\n", (unsigned long long)va,
                  (unsigned long long)(va + len - 1), (unsigned long long)pa, walk->no_execute ? 'X' : '-',
                  e & 0x100 ? 'G' : '-', walk->levels == 1 ? 'P' : '-', e & PTE_D ? 'D' : '-',
                  e & PTE_A ? 'A' : '-', walk->user ? 'U' : '-', walk->writable ? 'W' : '-');
}

/* Do two neighbouring pages read as one line? */
static bool same_kind(const struct walk *a, const struct walk *b)
{
    const uint64_t mask = 0x100 | PTE_D | PTE_A;

    return a->levels == b->levels && a->user == b->user && a->writable == b->writable &&
           a->no_execute == b->no_execute &&
           (a->level[a->levels - 1].entry & mask) == (b->level[b->levels - 1].entry & mask);
}

void i386_describe_tlb(const struct cpu *cpu, struct buffer *out)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct walker w = {.cpu = c, .u = NULL};
    struct walk run = {.levels = 0}, now;
    uint64_t start = 0, len = 0, span = directory_span(c->st);

    if (!(c->st->cr0 & CR0_PG)) {
        buffer_printf(out, "paging is off\n");
        return;
    }
    for (uint64_t va = 0; va <= 0xffffffffu;) {
        int error = walk_tables(&w, (uint32_t)va, &now);
        /* An absent directory entry: nothing below it. */
        uint64_t step = error && now.levels == 0 ? span - (va & (span - 1)) : PAGE_SIZE;
        bool joins = !error && len && now.page == run.page + len && same_kind(&now, &run);

        if (len && !joins) {
            describe_run(out, start, len, run.page, &run);
            len = 0;
        }
        if (!error) {
            if (!joins) {
                run = now;
                start = va;
            }
            len += step;
        }
        va += step;
    }
    if (len)
        describe_run(out, start, len, run.page, &run);
}
