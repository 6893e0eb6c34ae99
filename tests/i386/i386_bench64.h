/*
 * The bare machine of i386_bench.h in long mode: its memory is mapped 1:1 by pages of 2 MiB, all of it for level 3,
 * too, and from LOW again at HIGH. Handlers are at handler(vector), on the stack of the TSS or KSTACK.
 */
#ifndef HINDCAST_TESTS_I386_BENCH64_H
#define HINDCAST_TESTS_I386_BENCH64_H

#include "i386/protect.h"
#include "i386_bench.h"

enum {
    PML4 = 0x200000, PDPT = 0x201000, PD = 0x202000, PT = 0x203000, IDT64 = 0x204000, TSS64 = 0x205000,
    RSP0 = 0x8000, IST1 = 0xc000,
    S_CODE64 = 0xa0, S_UCODE64 = 0xab, S_TSS64 = 0xb0, S_LDT64 = 0xc0, S_GATE64 = 0xd0, GDT64_LIMIT = 0xdf,
};
#define HIGH UINT64_C(0xffff800000000000)

static inline void gate64(struct bench *b, uint32_t addr, uint16_t selector, uint64_t offset, unsigned type, unsigned ist)
{
    gate(b, addr, selector, (uint32_t)offset, type, ist);
    poke64(b, addr + 8, offset >> 32);
}

static inline void segment64(struct bench *b, unsigned seg, uint16_t selector, unsigned type, unsigned dpl)
{
    b->s->seg[seg] = i386_flat_segment(selector, type, dpl, type & 8 ? SEG_ATTR_L : SEG_ATTR_DB);
}

/* 64-bit mode at level 0 or 3. */
static inline void long_mode(struct bench *b, unsigned cpl)
{
    struct i386_state *s = b->s;

    s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    s->cr3 = PML4;
    s->cr4 |= CR4_PAE;
    s->efer |= EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    s->eflags = EFLAGS_1;
    s->cpl = cpl;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        segment64(b, n, cpl ? S_UDATA : S_DATA, 3, cpl);
    segment64(b, SEG_CS, cpl ? S_UCODE64 : S_CODE64, 11, cpl);
    s->rip = b->at = cpl ? UCODE : KCODE;
    s->gpr[ESP] = cpl ? USTACK : KSTACK;
    s->gdtr = (struct i386_dtr){.base = GDT, .limit = GDT64_LIMIT};
    s->idtr = (struct i386_dtr){.base = IDT64, .limit = 0xfff};
    s->seg[SEG_TR] = (struct i386_segment){.selector = S_TSS64, .base = TSS64, .limit = 0x67, .valid = 1, .attr = SEG_ATTR_P | 11};
    refresh(b);
    ucpu_flush_tlb(&b->c->u);
}

static inline struct bench *bench64_new(const char *model)
{
    struct bench *b = bench_new(model);

    poke64(b, PML4, PDPT | 7);
    poke64(b, PML4 + 8 * 256, PDPT | 7);
    poke64(b, PDPT, PD | 7);
    poke64(b, PD, 0x000087);
    poke64(b, PD + 8, 0x200087);
    descriptor(b, GDT + S_CODE64, 0, 0, 0x9b, 2);
    descriptor(b, GDT + (S_UCODE64 & ~7), 0, 0, 0xfb, 2);
    descriptor(b, GDT + S_TSS64, TSS64, 0x67, 0x8b, 0);
    descriptor(b, GDT + S_LDT64, LDT, 0x1f, 0x82, 0);
    gate64(b, GDT + S_GATE64, S_CODE64, CODE2, 0xec, 0);
    for (unsigned v = 0; v < 256; v++)
        gate64(b, IDT64 + v * 16, S_CODE64, handler(v), 0x8e, 0);
    gate64(b, IDT64 + 0x80 * 16, S_CODE64, handler(0x80), 0xee, 0);
    poke64(b, TSS64 + 4, RSP0);
    poke64(b, TSS64 + 36, IST1);
    poke16(b, TSS64 + 102, 0x68);
    long_mode(b, 0);
    return b;
}

static inline uint64_t peek64(struct bench *b, uint32_t addr)
{
    return peek32(b, addr) | (uint64_t)peek32(b, addr + 4) << 32;
}

/* The n-th 64-bit word from the top of the stack. */
static inline uint64_t stack64(struct bench *b, unsigned n)
{
    return peek64(b, (uint32_t)(b->s->gpr[ESP] + 8 * n));
}

#endif
