/*
 * Far calls, jumps and returns, call gates, task switches, IRET and INT at random against the manual's pseudo-code
 * (i386_oracle.c): descriptors, selectors, stacks and TSSs that are mostly right and somewhere not, in real, virtual-8086,
 * protected and long mode; and a page that is not there, or not for that, in the middle of it. What is compared: registers with
 * their descriptors, all of memory, and so which fault came first, its error code, what was pushed where, and which task a fault
 * belongs to.
 */
#include <stdio.h>

#include "i386_bench64.h"
#include "i386_oracle.h"
#include "i386/insn.h"
#include "tests/check_main.h"
#include "tests/storm.h"

#define ROUNDS STORM(30000)

/* Memory of the cases; all of it below ORACLE_BYTES. Tables, their entries and TSSs go on in the next page, somewhere. */
enum {
    O_GDT = 0xfa4, O_IDT = 0x2000, O_LDT = 0x2fbc, O_TASK = 0x4fd0, O_TASK_STEP = 0x814, O_TASKS = 6,
    O_STACKS = 0x8000, O_HANDLERS = 0x10000, O_CODE = 0x18000, O_PAGES = 0x100000,
};

/* Descriptors of the GDT, by index; of the LDT there are LDT_ENTRIES at random. */
enum {
    G_NULL, G_CODE0, G_DATA0, G_CODE1, G_DATA1, G_CODE2, G_DATA2, G_CODE3, G_DATA3,
    G_CODE16_0, G_DATA16_0, G_CODE16_3, G_DATA16_3, G_CONFORMING0, G_CONFORMING1, G_CONFORMING3,
    G_DOWN3, G_READONLY3, G_LDT, G_LDT2, G_TASK, G_TASK_LAST = G_TASK + O_TASKS - 1, G_GATES, G_GATES_LAST = G_GATES + 7,
    G_CODE64_0 = 40, G_CODE64_1, G_CODE64_3, G_CONFORMING64, G_TSS64, G_TSS64_HIGH, G_GATES64, G_GATES64_LAST = G_GATES64 + 7,
    G_ENTRIES = 56, LDT_ENTRIES = 16,
};

static struct bench *b;
static struct i386_state *s;
static struct oracle *o;
static uint64_t seed;
static bool long_case;
static struct i386_state pristine;

static uint32_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static bool one_in(unsigned n) { return any() % n == 0; }
static unsigned below(unsigned n) { return any() % n; }
#define ANY_OF(...) ((const unsigned[]){__VA_ARGS__}[below(sizeof (const unsigned[]){__VA_ARGS__} / sizeof(unsigned))])

static void setup(void)
{
    b = bench64_new("max");
    s = b->s;
    o = xcalloc(1, sizeof *o);
    pristine = *s;
    seed = 88172645463325252u;
    for (unsigned n = 0; n < 2; n++)
        poke32(b, O_PAGES + 0x1000 * n, (O_PAGES + 0x2000 + 0x1000 * n) | 0x67);
    poke64(b, PD, PT | 0x67);
    for (unsigned n = 0; n < 1024; n++) {
        poke32(b, O_PAGES + 0x2000 + 4 * n, n << 12 | 0x67);
        poke32(b, O_PAGES + 0x3000 + 4 * n, n << 12 | 0x67);
    }
    for (unsigned n = 0; n < 512; n++)
        poke64(b, PT + 8 * n, n << 12 | 0x67);
}

static void teardown(void)
{
    bench_free(b);
    free(o);
}

/* ---- cases ---- */

static void m64(uint32_t at, uint64_t v) { memcpy(o->now.mem + at, &v, 8); }
static void m32(uint32_t at, uint32_t v) { memcpy(o->now.mem + at, &v, 4); }
static void m16(uint32_t at, uint16_t v) { memcpy(o->now.mem + at, &v, 2); }
static uint64_t get64(uint32_t at)
{
    uint64_t v;

    memcpy(&v, o->now.mem + at, 8);
    return v;
}

static uint64_t d_of(uint32_t base, uint32_t limit, unsigned type, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
           (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate_of(uint16_t selector, uint32_t offset, unsigned type, unsigned count)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 | (uint64_t)type << 40 |
           (uint64_t)(offset >> 16) << 48;
}

/* One of those that code is called by; mostly of a level that fits. */
static uint16_t any_selector(void)
{
    unsigned index = one_in(12) ? below(64) : below(long_case ? G_ENTRIES : G_GATES_LAST + 1);
    unsigned table = one_in(12) ? 4 : 0;

    return (uint16_t)((table ? below(LDT_ENTRIES + 1) : index) << 3 | table | below(4));
}

static uint16_t code_selector(void)
{
    unsigned index = ANY_OF(G_CODE0, G_CODE1, G_CODE2, G_CODE3, G_CODE16_0, G_CODE16_3, G_CONFORMING0, G_CONFORMING1, G_CONFORMING3);

    if (long_case && !one_in(4))
        index = ANY_OF(G_CODE64_0, G_CODE64_0, G_CODE64_1, G_CODE64_3, G_CONFORMING64);
    if (one_in(16))
        return any_selector();
    return (uint16_t)(index << 3 | (one_in(4) ? below(4) : 0));
}

/* A selector of level `level`. */
static uint16_t code_of(unsigned level)
{
    unsigned index = ANY_OF(0, 0, 0, 1) ? G_CONFORMING0 : G_CODE0 + 2 * level;

    if (level == 0 && one_in(4))
        index = G_CODE16_0;
    if (level == 3 && one_in(3))
        index = ANY_OF(G_CODE16_3, G_CONFORMING1, G_CONFORMING3);
    if (long_case && !one_in(4))
        index = level == 0 ? G_CODE64_0 : level == 1 ? G_CODE64_1 : level == 3 ? G_CODE64_3 : G_CONFORMING64;
    return one_in(24) ? any_selector() : (uint16_t)(index << 3 | (one_in(24) ? below(4) : level));
}

static uint16_t data_of(unsigned level)
{
    unsigned index = G_DATA0 + 2 * level;

    if (level == 0 && one_in(4))
        index = G_DATA16_0;
    if (level == 3 && one_in(4))
        index = ANY_OF(G_DATA16_3, G_DATA16_3, G_DOWN3);
    return one_in(24) ? any_selector() : (uint16_t)(index << 3 | (one_in(24) ? below(4) : level));
}

static uint32_t any_stack(void)
{
    if (one_in(24))
        return ANY_OF(0, 2, 4, 6, 12, 0xffff, 0xfffe, 0xfffc, 0xfff0, 0x8003);
    return O_STACKS + 0x400 + below(0x1e) * 0x400 + (one_in(8) ? below(4) : one_in(3) ? 4 * below(12) : 0);
}

static uint32_t any_offset(void)
{
    if (one_in(16))
        return ANY_OF(0, 0xfff, 0x1000, 0xffff, 0x10000, 0x1ffff, 0xfffff, 0x100000, 0xffffffff);
    return O_CODE + below(0x100);
}

static uint64_t any_gate(void)
{
    unsigned type = (one_in(24) ? 0 : 0x80) | (one_in(6) ? below(4) << 5 : 0x60);

    if (long_case)
        return gate_of(code_selector(), any_offset(), type | (one_in(12) ? below(16) : 12), one_in(4) ? below(32) : 0);
    switch (below(8)) {
    case 0:
        return gate_of((uint16_t)((G_TASK + below(O_TASKS)) << 3 | (one_in(12) ? below(8) : 0)), any_offset(), type | 5, 0);
    case 1: case 2: case 3:
        return gate_of(code_selector(), any_offset(), type | 4, below(one_in(4) ? 32 : 4));
    default:
        return gate_of(code_selector(), any_offset(), type | 12, below(one_in(4) ? 32 : 4));
    }
}

static unsigned any_level(void) { return ANY_OF(0, 0, 0, 1, 2, 3, 3, 3, 3); }

static void put_task(unsigned n)
{
    uint32_t at = O_TASK + O_TASK_STEP * n;
    unsigned level = any_level();
    bool big = n != 1 && n != 4, vm = big && one_in(8), busy = n == 0 || one_in(4);
    uint32_t limit = one_in(24) ? below(0x70) : big ? 0x67 + below(8) : 0x2b;
    uint32_t efl = (any() & 0x3f7fd5 & ~(EFLAGS_VM | EFLAGS_TF)) | 2 | (vm ? EFLAGS_VM : 0);

    m64(O_GDT + 8 * (G_TASK + n), d_of(at, n ? limit : 0x8f, (one_in(24) ? 0 : 0x80) | (one_in(4) ? below(4) << 5 : 0x60) |
        (big ? 9 : 1) | (busy ? 2 : 0), 0));
    for (unsigned w = 0; w < 0x90; w += 4)
        m32(at + w, any());
    m16(at, (uint16_t)(one_in(12) ? any_selector() : (G_TASK + below(O_TASKS)) << 3));
    for (unsigned l = 0; l < 3; l++) {
        uint32_t sp = any_stack();

        if (big) {
            m32(at + 4 + 8 * l, sp);
            m16(at + 8 + 8 * l, data_of(l));
        } else {
            m16(at + 2 + 4 * l, (uint16_t)sp);
            m16(at + 4 + 4 * l, data_of(l));
        }
    }
    if (big) {
        m32(at + 0x1c, O_PAGES + 0x1000 * below(2));
        m32(at + 0x20, vm ? any_offset() & 0xffff : any_offset());
        m32(at + 0x24, efl);
        m32(at + 0x38, any_stack());
        for (unsigned n6 = 0; n6 < 6; n6++)
            m16(at + 0x48 + 4 * n6, n6 == SEG_CS ? code_of(level) : n6 == SEG_SS ? data_of(level) : one_in(4) ? 0 : data_of(3));
        m32(at + 0x60, one_in(3) ? 0 : one_in(16) ? any_selector() : ANY_OF(G_LDT, G_LDT2) << 3);
        m32(at + 0x64, (one_in(8) ? 1 : 0) | 0x880000); /* interrupts are redirected by what is at 68h */
    } else {
        m16(at + 0x0e, (uint16_t)any_offset());
        m16(at + 0x10, (uint16_t)efl);
        m16(at + 0x1a, (uint16_t)any_stack());
        for (unsigned n4 = 0; n4 < 4; n4++)
            m16(at + 0x22 + 2 * n4, n4 == SEG_CS ? code_of(level) : n4 == SEG_SS ? data_of(level) : one_in(4) ? 0 : data_of(3));
        m16(at + 0x2a, (uint16_t)(one_in(3) ? 0 : one_in(16) ? any_selector() : ANY_OF(G_LDT, G_LDT2) << 3));
    }
}

/* Something about a descriptor becomes wrong, or at least another. */
static uint64_t spoiled(uint64_t d)
{
    switch (below(6)) {
    case 0: return d ^ UINT64_C(1) << 47;
    case 1: return d ^ (uint64_t)(1 + below(3)) << 45;
    case 2: return d ^ (uint64_t)(1 + below(31)) << 40;
    case 3: return d ^ UINT64_C(1) << 54;
    case 4: return (d & ~UINT64_C(0x808f00000000ffff)) | ANY_OF(0, 0xfff, 0xffff, 0x8007, 0x9fff, 0x18020);
    default: return d ^ UINT64_C(1) << 53;
    }
}

static void put_descriptors(void)
{
    static const uint8_t level_types[] = {0x9a, 0x92, 0xba, 0xb2, 0xda, 0xd2, 0xfa, 0xf2};

    m64(O_GDT, 0);
    for (unsigned n = 0; n < 8; n++)
        m64(O_GDT + 8 * (G_CODE0 + n), d_of(0, 0xfffff, level_types[n], 0xc));
    m64(O_GDT + 8 * G_CODE16_0, d_of(0, 0x1ffff, 0x9a, 0));
    m64(O_GDT + 8 * G_DATA16_0, d_of(0, 0xffff, 0x92, 0));
    m64(O_GDT + 8 * G_CODE16_3, d_of(0, 0x1ffff, 0xfa, 0));
    m64(O_GDT + 8 * G_DATA16_3, d_of(0, 0xffff, 0xf2, 0));
    m64(O_GDT + 8 * G_CONFORMING0, d_of(0, 0xfffff, 0x9e, 0xc));
    m64(O_GDT + 8 * G_CONFORMING1, d_of(0, 0xfffff, 0xbc, 0xc));
    m64(O_GDT + 8 * G_CONFORMING3, d_of(0, 0xfffff, 0xfe, 0xc));
    m64(O_GDT + 8 * G_DOWN3, d_of(0, 0x0fff, 0xf6, 0x4));
    m64(O_GDT + 8 * G_READONLY3, d_of(0, 0xfffff, 0xf0, 0xc));
    m64(O_GDT + 8 * G_LDT, d_of(O_LDT, 8 * LDT_ENTRIES - 1, 0x82, 0));
    m64(O_GDT + 8 * G_LDT2, d_of(O_LDT, 8 * LDT_ENTRIES - 1, one_in(4) ? 0x02 : 0x82, 0));
    for (unsigned n = G_GATES; n <= G_GATES_LAST; n++)
        m64(O_GDT + 8 * n, any_gate());
    for (unsigned n = 0; n < O_TASKS; n++)
        put_task(n);
    m64(O_GDT + 8 * G_CODE64_0, d_of(0, 0xfffff, 0x9a, 0xa));
    m64(O_GDT + 8 * G_CODE64_1, d_of(0, 0xfffff, 0xba, 0xa));
    m64(O_GDT + 8 * G_CODE64_3, d_of(0, 0xfffff, 0xfa, 0xa));
    m64(O_GDT + 8 * G_CONFORMING64, d_of(0, 0xfffff, 0x9e, 0xa));
    m64(O_GDT + 8 * G_TSS64, d_of(O_TASK, 0x67, 0x8b, 0));
    m64(O_GDT + 8 * G_TSS64_HIGH, 0);
    for (unsigned n = G_GATES64; long_case && n <= G_GATES64_LAST; n += 2) {
        m64(O_GDT + 8 * n, any_gate());
        m64(O_GDT + 8 * n + 8, one_in(16) ? any() : one_in(12) ? 0x8000 : one_in(12) ? 0xffffffff : 0);
    }
    for (unsigned n = 0; n < LDT_ENTRIES; n++)
        m64(O_LDT + 8 * n, get64(O_GDT + 8 * below(G_GATES_LAST + 1)));
}

/* Vectors lead to level 0, or into a task of their own, or astray. */
static void put_vectors(void)
{
    for (unsigned v = 0; v < 32; v++) {
        unsigned kind = long_case ? ANY_OF(14, 14, 15) : ANY_OF(14, 14, 14, 15, 6, 7, 5);
        uint16_t selector = (uint16_t)((long_case ? G_CODE64_0 : kind == 5 ? G_TASK + below(O_TASKS) : G_CODE0) << 3);
        unsigned type = 0x80 | (one_in(3) ? 0x60 : 0) | kind;

        if (v >= 24) {
            selector = one_in(3) && kind != 5 ? code_selector() : selector;
            type = (one_in(16) ? 0 : 0x80) | (one_in(4) ? below(4) << 5 : 0x60) | (one_in(16) ? below(32) : kind);
        }
        if (long_case) {
            m64(O_IDT + 16 * v, gate_of(selector, O_HANDLERS + 16 * v, type, one_in(3) ? below(8) : 0));
            m64(O_IDT + 16 * v + 8, one_in(64) ? any() : 0);
        } else {
            m64(O_IDT + 8 * v, gate_of(selector, kind & 8 ? O_HANDLERS + 16 * v : 0x4000 + 16 * v, type, 0));
        }
    }
}

static void put_tss64(void)
{
    for (unsigned n = 0; n < 0x68; n += 4)
        m32(O_TASK + n, 0);
    for (unsigned n = 0; n < 3; n++)
        m64(O_TASK + 4 + 8 * n, one_in(24) ? UINT64_C(1) << 47 : any_stack());
    for (unsigned n = 1; n < 8; n++)
        m64(O_TASK + 28 + 8 * n, one_in(24) ? UINT64_C(1) << 50 : any_stack());
}

static struct i386_segment cache(uint16_t selector)
{
    uint32_t table = selector & 4 ? O_LDT : O_GDT;
    uint64_t d = get64(table + (selector & 0xfff8));
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    if (!(selector & 0xfffc))
        return (struct i386_segment){.selector = selector};
    return (struct i386_segment){.selector = selector, .valid = 1, .limit = d >> 55 & 1 ? limit << 12 | 0xfff : limit,
                                 .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
                                 .attr = (uint16_t)((d >> 40 & 0xff) | 1 | (d >> 52 & 0xf) << 12)};
}

/* The task register and the rest of what is not of a level. */
static void begin_state(void)
{
    struct i386_state *n = &o->now.s;

    for (unsigned r = 0; r < 16; r++)
        n->gpr[r] = long_case ? (uint64_t)any() << 32 | any() : r < 8 ? any() : 0;
    n->gdtr = (struct i386_dtr){.base = O_GDT, .limit = one_in(8) ? 8u * (20 + below(40)) - 1 : 8 * G_ENTRIES - 1};
    n->idtr = (struct i386_dtr){.base = O_IDT, .limit = (uint16_t)((one_in(24) ? 28 : 32) * (long_case ? 16 : 8) - 1)};
    n->efer = 0;
    n->cr4 = CR4_PSE;
    n->cr0 = CR0_PE | CR0_ET | CR0_NE | (one_in(3) ? CR0_PG | CR0_WP : 0); /* and see spoil_page() */
    n->cr3 = O_PAGES;
    n->cr2 = 0;
    n->dr[6] = DR6_FIXED;
    n->dr[7] = DR7_FIXED | (one_in(2) ? 0x300 : 0);
    n->seg[SEG_TR] = cache(G_TASK << 3);
    n->seg[SEG_LDTR] = one_in(4) ? (struct i386_segment){0} : cache(G_LDT << 3);
    n->seg[SEG_LDTR].attr &= 0xfffe;
    o->now.efl = EFLAGS_1 | (any() & (EFLAGS_IF | EFLAGS_IOPL | 0xcd5));
    if (long_case) {
        n->cr0 |= CR0_PG | CR0_WP;
        n->cr3 = PML4;
        n->cr4 = CR4_PAE;
        n->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
        n->seg[SEG_TR] = cache(G_TSS64 << 3);
        if (one_in(24))
            n->seg[SEG_TR].limit = below(0x68);
    }
}

static void begin_protected(bool code16)
{
    static const uint8_t rest[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    struct i386_state *n = &o->now.s;
    unsigned level = any_level(), code = code16 ? G_CODE16_0 : G_CODE0 + 2 * level;

    if (code16)
        level = one_in(2) ? 0 : 3;
    if (code16 && level)
        code = G_CODE16_3;
    if (long_case && !one_in(3)) {
        level = ANY_OF(0, 0, 1, 3, 3);
        code = level == 0 ? G_CODE64_0 : level == 1 ? G_CODE64_1 : G_CODE64_3;
    }
    n->cpl = level;
    n->seg[SEG_CS] = cache((uint16_t)(code << 3 | level));
    n->seg[SEG_SS] = cache((uint16_t)((level == 0 && one_in(4) ? G_DATA16_0 : level == 3 && one_in(4) ? ANY_OF(G_DATA16_3, G_DOWN3)
                                                                                                       : G_DATA0 + 2 * level) << 3 | level));
    for (unsigned k = 0; k < 4; k++)
        n->seg[rest[k]] = cache(one_in(4) ? (uint16_t)below(4) : (uint16_t)(ANY_OF(G_DATA0, G_DATA1, G_DATA2, G_DATA3, G_CONFORMING0, G_CODE3) << 3 | below(4)));
    n->rip = O_CODE;
    n->gpr[ESP] = any_stack();
    for (unsigned r = 0; r < 8 && !(n->seg[SEG_CS].attr & SEG_ATTR_L && long_case); r++)
        n->gpr[r] = (uint32_t)n->gpr[r];
}

static void begin_8086(bool real)
{
    struct i386_state *n = &o->now.s;

    for (unsigned k = 0; k < 6; k++)
        n->seg[k] = (struct i386_segment){.valid = 1, .limit = 0xffff, .attr = real ? 0x93 : 0xf3, .selector = 0};
    n->seg[SEG_CS].selector = O_CODE >> 4;
    n->seg[SEG_CS].base = O_CODE;
    n->cpl = real ? 0 : 3;
    n->rip = 0;
    n->gpr[ESP] = any_stack() & 0xffff;
    if (real) {
        n->cr0 = CR0_ET | CR0_NE;
        n->idtr.limit = one_in(8) ? below(0x80) : 0x3ff;
        for (unsigned v = 0; v < 32; v++)
            m32(O_IDT + 4 * v, (uint32_t)(O_HANDLERS >> 4) << 16 | 16 * v);
    } else {
        o->now.efl |= EFLAGS_VM | (one_in(3) ? EFLAGS_VIF : one_in(2) ? EFLAGS_VIP : 0);
        n->cr4 |= one_in(2) ? CR4_VME : 0;
        for (unsigned v = 0; v < 32; v++)
            m32(4 * v, (uint32_t)(O_HANDLERS >> 4) << 16 | 16 * v);
    }
}

/* A frame to return by. */
static void put_frame(unsigned size, bool flags)
{
    const struct i386_state *n = &o->now.s;
    unsigned level = n->cpl + (n->cpl < 3 && one_in(2) ? below(4 - n->cpl) : 0), items = 0;
    uint64_t item[10], base = n->seg[SEG_SS].base, sp = n->gpr[ESP];

    item[items++] = long_case && one_in(24) ? UINT64_C(0x800000000000) : any_offset();
    item[items++] = code_of(level);
    if (flags)
        item[items++] = (any() & 0x3d7fd5 & ~EFLAGS_VM) | 2 | (one_in(6) ? EFLAGS_VM : 0);
    item[items++] = any_stack();
    item[items++] = one_in(8) ? below(4) : data_of(level);
    while (items < 10)
        item[items++] = any() & 0xfff;
    if (flags && item[2] & EFLAGS_VM && n->cpl == 0)
        item[0] &= 0x1ffff;
    for (unsigned k = 0; k < items; k++)
        if (base + sp + (uint64_t)k * size <= ORACLE_BYTES - 8)
            memcpy(o->now.mem + base + sp + (uint64_t)k * size, &item[k], size);
}

/* ---- instructions ---- */

static void put_insn(struct oracle_insn *i)
{
    const struct i386_state *n = &o->now.s;
    bool code64 = long_case && n->seg[SEG_CS].attr & SEG_ATTR_L;
    unsigned usual = code64 || n->seg[SEG_CS].attr & SEG_ATTR_DB ? 4 : 2;
    uint8_t *p = o->now.mem + n->seg[SEG_CS].base + n->rip, *start = p;

    if (i->size == 8)
        *p++ = 0x48;
    else if (i->size != usual)
        *p++ = 0x66;
    if (i->kind == ORACLE_IRET) {
        *p++ = 0xcf;
    } else if (i->kind == ORACLE_INT) {
        *p++ = i->opcode;
        if (i->opcode == 0xcd)
            *p++ = (uint8_t)i->vector;
    } else if (i->kind == ORACLE_RETURN) {
        *p++ = 0xca;
        *p++ = (uint8_t)i->release;
        *p++ = (uint8_t)(i->release >> 8);
    } else if (code64) {
        *p++ = 0xff;
        *p++ = i->kind == ORACLE_CALL ? 0x1c : 0x2c;
        *p++ = 0x25;
        m32((uint32_t)(p - o->now.mem), O_CODE + 0x100);
        p += 4;
        memcpy(o->now.mem + O_CODE + 0x100, &i->offset, i->size);
        m16(O_CODE + 0x100 + i->size, i->selector);
    } else {
        *p++ = i->kind == ORACLE_CALL ? 0x9a : 0xea;
        memcpy(p, &i->offset, i->size);
        p += i->size;
        memcpy(p, &i->selector, 2);
        p += 2;
    }
    i->len = (unsigned)(p - start);
}

static unsigned any_size(void)
{
    bool code64 = long_case && o->now.s.seg[SEG_CS].attr & SEG_ATTR_L;

    return code64 ? ANY_OF(2, 4, 8, 8) : ANY_OF(2, 4, 4);
}

static struct oracle_insn any_insn(enum oracle_kind kind)
{
    struct oracle_insn i = {.kind = kind, .size = any_size(), .release = (uint16_t)(one_in(2) ? 0 : below(16) * 4)};

    i.opcode = (uint8_t)ANY_OF(0xcd, 0xcd, 0xcd, 0xcc, 0xf1, long_case ? 0xcc : 0xce);
    i.vector = one_in(3) ? below(32) : 24 + below(8);
    if (long_case && (kind == ORACLE_CALL || kind == ORACLE_JUMP) && one_in(2))
        i.selector = (uint16_t)((G_GATES64 + 2 * below(4)) << 3 | (one_in(6) ? below(4) : 0));
    else if (one_in(2))
        i.selector = (uint16_t)((G_GATES + below(8)) << 3 | (one_in(6) ? below(4) : 0));
    else
        i.selector = one_in(3) ? any_selector() : one_in(2) ? code_selector() : code_of(o->now.s.cpl);
    i.offset = i.size == 2 ? any_offset() & 0xffff : any_offset();
    if (i.size == 8 && one_in(16))
        i.offset |= (uint64_t)any() << 32;
    return i;
}

/* ---- pages ---- */

static uint64_t entry_of(unsigned page)
{
    return page << 12 | 0x67;
}

static uint64_t spoilt_entry(unsigned page, unsigned wrong)
{
    uint64_t e = entry_of(page);

    if (wrong & ORACLE_ABSENT)
        e &= ~UINT64_C(1);
    if (wrong & ORACLE_READONLY)
        e &= ~UINT64_C(2);
    if (wrong & ORACLE_SYSTEM)
        e &= ~UINT64_C(4);
    return wrong & ORACLE_NO_CODE ? e | UINT64_C(1) << 63 : e;
}

static void put_page(unsigned directory, unsigned page)
{
    unsigned wrong = o->page[directory][page];

    poke32(b, O_PAGES + 0x2000 + 0x1000 * directory + 4 * page, (uint32_t)spoilt_entry(page, wrong));
    if (directory == (PML4 >> 12 & 1))
        poke64(b, PT + 8 * page, spoilt_entry(page, wrong));
}

/* One page that is not as all of them were, for one of the two directories or both; the instruction can be fetched. */
static void spoil_page(void)
{
    unsigned page = one_in(3) ? below(8) : one_in(2) ? 8 + below(8) : ANY_OF(1, 1, 2, O_HANDLERS >> 12, O_CODE >> 12);
    unsigned wrong = ANY_OF(ORACLE_ABSENT, ORACLE_ABSENT, ORACLE_READONLY, ORACLE_SYSTEM, long_case ? ORACLE_NO_CODE : ORACLE_ABSENT);
    unsigned which = ANY_OF(1, 2, 3, 3);

    if (!(o->now.s.cr0 & CR0_PE))
        return;
    if (page == O_CODE >> 12)
        wrong = o->now.s.cpl == 3 ? ORACLE_READONLY : ANY_OF(ORACLE_SYSTEM, ORACLE_READONLY);
    o->now.s.cr0 |= CR0_PG;
    if (one_in(6))
        o->now.s.cr0 &= ~(uint64_t)CR0_WP;
    for (unsigned d = 0; d < 2; d++)
        if (which >> d & 1)
            o->page[d][page] = (uint8_t)wrong;
}

static void change_pages(void (*change)(void))
{
    uint8_t before[2][ORACLE_PAGES];

    memcpy(before, o->page, sizeof before);
    memset(o->page, 0, sizeof o->page);
    if (change)
        change();
    for (unsigned d = 0; d < 2; d++)
        for (unsigned page = 0; page < ORACLE_PAGES; page++)
            if (before[d][page] != o->page[d][page])
                put_page(d, page);
}

/* ---- running and comparing ---- */

static void interrupt(unsigned vector)
{
    b->irq_vector = (int)vector;
    i386_set_intr(b->c, 0, true);
}


static void give(void)
{
    *s = o->now.s;
    s->eflags = EFLAGS_1;
    i386_set_eflags(b->c, o->now.efl, 0x3f7fd7);
    poke(b, 0, o->now.mem, ORACLE_BYTES);
    refresh(b);
    ucpu_flush_tlb(&b->c->u);
}

static char why[400];

#define DIFFERS(what, got, want) \
    (snprintf(why, sizeof why, "%s: %llx, not %llx", what, (unsigned long long)(got), (unsigned long long)(want)), false)

static bool same_segment(unsigned n)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    const struct i386_segment *got = &s->seg[n], *want = &o->now.s.seg[n];

    if (got->selector != want->selector)
        return DIFFERS(names[n], got->selector, want->selector);
    if (o->half && n < SEG_LDTR)
        return true;
    if (got->valid != want->valid)
        return DIFFERS(names[n], got->valid, want->valid);
    if (!got->valid)
        return true;
    if (got->base != want->base)
        return DIFFERS("base", got->base, want->base);
    if (got->limit != want->limit)
        return DIFFERS("limit", got->limit, want->limit);
    return got->attr == want->attr || DIFFERS("attr", got->attr, want->attr);
}

/* A fault may have left what was about to be loaded accessed. */
static bool same_memory(void)
{
    static uint8_t got[ORACLE_BYTES];

    memory_read_bytes(&b->m->memory, 0, got, ORACLE_BYTES);
    if (!memcmp(got, o->now.mem, ORACLE_BYTES))
        return true;
    for (uint32_t n = 0; n < ORACLE_BYTES; n++) {
        bool of_gdt = n >= O_GDT && n < O_GDT + 8 * G_ENTRIES && (n - O_GDT) % 8 == 5;
        bool of_ldt = n >= O_LDT && n < O_LDT + 8 * LDT_ENTRIES && (n - O_LDT) % 8 == 5;
        uint8_t mask = (of_gdt || of_ldt) && got[n] & 0x10 && o->faulted ? 0xfe : 0xff;

        if ((got[n] ^ o->now.mem[n]) & mask) {
            snprintf(why, sizeof why, "memory at %x: %x, not %x", n, got[n], o->now.mem[n]);
            return false;
        }
    }
    return true;
}

/* Upper halves are undefined there (SDM 1, 3.4.1.1). */
static bool is_narrow(void)
{
    return !(s->efer & EFER_LMA && s->seg[SEG_CS].attr & SEG_ATTR_L);
}

static bool same(void)
{
    bool narrow = is_narrow();

    if ((b->m->st->end == GUEST_TRIPLE_FAULT) != o->shutdown)
        return DIFFERS("shutdown", b->m->st->end, o->shutdown);
    if (o->shutdown)
        return true;
    if (s->rip != o->now.s.rip)
        return DIFFERS("rip", s->rip, o->now.s.rip);
    for (unsigned n = 0; n < 8; n++)
        if (!same_segment(n))
            return false;
    for (unsigned n = 0; n < 16; n++)
        if ((s->gpr[n] ^ o->now.s.gpr[n]) & (narrow && n < 8 ? 0xffffffff : UINT64_MAX))
            return DIFFERS("gpr", s->gpr[n], o->now.s.gpr[n]);
    if (i386_get_eflags(b->c) != o->now.efl)
        return DIFFERS("eflags", i386_get_eflags(b->c), o->now.efl);
    if (s->cpl != o->now.s.cpl)
        return DIFFERS("cpl", s->cpl, o->now.s.cpl);
    if (s->cr0 != o->now.s.cr0)
        return DIFFERS("cr0", s->cr0, o->now.s.cr0);
    if (s->cr2 != o->now.s.cr2 && (!o->rough || (s->cr2 ^ o->now.s.cr2) >> 12))
        return DIFFERS("cr2", s->cr2, o->now.s.cr2);
    if (s->cr3 != o->now.s.cr3)
        return DIFFERS("cr3", s->cr3, o->now.s.cr3);
    if (s->dr[7] != o->now.s.dr[7])
        return DIFFERS("dr7", s->dr[7], o->now.s.dr[7]);
    if (!o->faulted && !!(s->pending_db & DR6_BT) != o->trapped)
        return DIFFERS("t bit", s->pending_db, o->trapped);
    return same_memory();
}

/* All is well so far, and nothing comes before the next instruction is fetched. */
static bool goes_on(void)
{
    if (o->shutdown || !same() || o->trapped || (o->now.efl & (EFLAGS_VIF | EFLAGS_VIP)) == (EFLAGS_VIF | EFLAGS_VIP))
        return false;
    for (unsigned n = 0; n < 8 && is_narrow(); n++)
        o->now.s.gpr[n] = s->gpr[n];
    return true;
}

static void tell(const struct oracle_insn *i, unsigned round)
{
    printf("round %u: kind %d size %u level %u cs %x attr %x selector %x offset %llx vector %u; %s %u(%x)%s: %s\n", round, i->kind,
           i->size, o->before.s.cpl, o->before.s.seg[SEG_CS].selector, o->before.s.seg[SEG_CS].attr, i->selector,
           (unsigned long long)i->offset, i->vector, o->faulted ? "fault" : "none", o->vector, o->error, o->half ? ", half" : "", why);
}

static bool spoils_pages;

static void storm(enum oracle_kind kind, void (*begin)(void), uint32_t expected)
{
    const char *more = getenv("HINDCAST_FUZZ_SEEDS");
    unsigned rounds = ROUNDS * (more ? (unsigned)atoi(more) : 1), good = 0, bad = 0, wrong = 0;
    uint32_t seen = 0;

    for (unsigned round = 0; round < rounds; round++) {
        struct oracle_insn i;

        memset(o->now.mem, 0, ORACLE_BYTES);
        o->now.s = pristine;
        put_descriptors();
        put_vectors();
        begin_state();
        begin();
        for (unsigned n = below(4); n > 1; n--) {
            unsigned index = 1 + below(long_case ? G_ENTRIES - 1 : G_GATES_LAST);

            m64(O_GDT + 8 * index, spoiled(get64(O_GDT + 8 * index)));
        }
        i = any_insn(kind);
        if (kind == ORACLE_IRET || kind == ORACLE_RETURN)
            put_frame(i.size, kind == ORACLE_IRET);
        if (kind == ORACLE_IRET && one_in(3))
            o->now.efl |= EFLAGS_NT;
        if (kind == ORACLE_INT && i.opcode == 0xce)
            o->now.efl |= FLAG_O;
        if (kind == ORACLE_OUTSIDE)
            o->now.efl |= EFLAGS_IF;
        else
            put_insn(&i);
        change_pages(spoils_pages && !one_in(8) ? spoil_page : NULL);
        give();
        oracle_run(o, &i);
        if (!o->astray) {
            if (kind == ORACLE_OUTSIDE)
                interrupt(i.vector);
            steps(b, 1);
            if (kind == ORACLE_OUTSIDE)
                i386_set_intr(b->c, 0, false);
            if (goes_on() && oracle_fetch(o) && !o->astray)
                steps(b, 1);
        }
        if (!o->astray) {
            seen |= o->seen;
            *(o->faulted ? &bad : &good) += 1;
            if (!same()) {
                tell(&i, round);
                wrong++;
            }
        }
        i386_set_intr(b->c, 0, false);
        if (b->m->st->end)
            machine_reset(b->m);
    }
    fflush(stdout);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(seen & expected, expected);
    ck_assert_uint_gt(good, ROUNDS / 20);
    ck_assert_uint_gt(bad, ROUNDS / 20);
}

static void of_32_bits(void) { begin_protected(false); }
static void of_16_bits(void) { begin_protected(true); }
static void of_real(void) { begin_8086(true); }
static void of_vm86(void) { begin_8086(false); }
static void of_long(void)
{
    put_tss64();
    begin_protected(false);
}

static void of_any_protected(void) { (one_in(4) ? of_16_bits : of_32_bits)(); }
static void of_8086(void) { (one_in(2) ? of_real : of_vm86)(); }

enum {
    IN_TASKS = SEEN_TASK | SEEN_TASK_16 | SEEN_TASK_VM86 | SEEN_TASK_HALF | SEEN_TASK_FAULT | SEEN_TRAPPED | SEEN_ERROR_TO_TASK,
    IN_DELIVERY = SEEN_LEVEL | SEEN_INWARD | SEEN_DOUBLE,
    IN_PAGES = SEEN_PAGE_FAULT | SEEN_PAGE_WRITE | SEEN_PAGE_USER | SEEN_PAGE_DOUBLE | SEEN_PAGE_FETCH,
    IN_PAGED_TASKS = SEEN_PAGE_NEW_TASK | SEEN_PAGE_OLD_TASK,
    IN_LONG = SEEN_LEVEL | SEEN_INWARD | SEEN_IST | SEEN_DOUBLE,
};

#define CLAIM(name, kind, begin, is_long, seen) CLAIM_OF_PAGES(name, kind, begin, is_long, false, seen)
#define CLAIM_OF_PAGES(name, kind, begin, is_long, spoils, seen) \
    START_TEST(name) \
    { \
        long_case = is_long; \
        spoils_pages = spoils; \
        storm(kind, begin, seen); \
    } \
    END_TEST

CLAIM(a_far_call_is_that_of_the_manual, ORACLE_CALL, of_any_protected, false,
      IN_TASKS | IN_DELIVERY | SEEN_CODE | SEEN_GATE_LEVEL | SEEN_GATE_INWARD | SEEN_PARAMETERS)
CLAIM(a_far_jump_is_that_of_the_manual, ORACLE_JUMP, of_any_protected, false,
      IN_TASKS | IN_DELIVERY | SEEN_CODE)
CLAIM(a_far_return_is_that_of_the_manual, ORACLE_RETURN, of_any_protected, false,
      IN_DELIVERY | SEEN_OUTWARD)
CLAIM(an_interrupt_return_is_that_of_the_manual, ORACLE_IRET, of_any_protected, false,
      IN_TASKS | IN_DELIVERY | SEEN_TASK_RETURN | SEEN_TO_VM86 | SEEN_OUTWARD)
CLAIM(a_software_interrupt_is_that_of_the_manual, ORACLE_INT, of_any_protected, false,
      IN_TASKS | IN_DELIVERY)
CLAIM(an_interrupt_is_that_of_the_manual, ORACLE_OUTSIDE, of_any_protected, false,
      IN_TASKS | IN_DELIVERY)
CLAIM(a_call_of_an_8086_is_that_of_the_manual, ORACLE_CALL, of_8086, false,
      SEEN_FROM_VM86)
CLAIM(a_jump_of_an_8086_is_that_of_the_manual, ORACLE_JUMP, of_8086, false,
      SEEN_FROM_VM86)
CLAIM(a_return_of_an_8086_is_that_of_the_manual, ORACLE_RETURN, of_8086, false,
      SEEN_FROM_VM86)
CLAIM(an_interrupt_return_of_an_8086_is_that_of_the_manual, ORACLE_IRET, of_8086, false,
      SEEN_FROM_VM86 | SEEN_VIRTUAL)
CLAIM(a_software_interrupt_of_an_8086_is_that_of_the_manual, ORACLE_INT, of_8086, false,
      IN_TASKS | SEEN_FROM_VM86 | SEEN_DOUBLE | SEEN_VIRTUAL)
CLAIM(an_interrupt_of_an_8086_is_that_of_the_manual, ORACLE_OUTSIDE, of_8086, false,
      IN_TASKS | SEEN_FROM_VM86 | SEEN_DOUBLE)
CLAIM(a_far_call_in_long_mode_is_that_of_the_manual, ORACLE_CALL, of_long, true,
      IN_LONG | SEEN_CODE | SEEN_GATE_LEVEL | SEEN_GATE_INWARD)
CLAIM(a_far_jump_in_long_mode_is_that_of_the_manual, ORACLE_JUMP, of_long, true,
      IN_LONG | SEEN_CODE)
CLAIM(a_far_return_in_long_mode_is_that_of_the_manual, ORACLE_RETURN, of_long, true,
      IN_LONG | SEEN_OUTWARD | SEEN_NULL_STACK)
CLAIM(an_interrupt_return_in_long_mode_is_that_of_the_manual, ORACLE_IRET, of_long, true,
      IN_LONG | SEEN_OUTWARD | SEEN_NULL_STACK)
CLAIM(a_software_interrupt_in_long_mode_is_that_of_the_manual, ORACLE_INT, of_long, true,
      IN_LONG)
CLAIM(an_interrupt_in_long_mode_is_that_of_the_manual, ORACLE_OUTSIDE, of_long, true,
      IN_LONG)
CLAIM_OF_PAGES(page_faults_in_a_far_call_are_those_of_the_manual, ORACLE_CALL, of_any_protected, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_a_far_jump_are_those_of_the_manual, ORACLE_JUMP, of_any_protected, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_a_far_return_are_those_of_the_manual, ORACLE_RETURN, of_any_protected, false, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_return_are_those_of_the_manual, ORACLE_IRET, of_any_protected, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_a_software_interrupt_are_those_of_the_manual, ORACLE_INT, of_any_protected, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_are_those_of_the_manual, ORACLE_OUTSIDE, of_any_protected, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_a_call_of_an_8086_are_those_of_the_manual, ORACLE_CALL, of_vm86, false, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_return_of_an_8086_are_those_of_the_manual, ORACLE_IRET, of_vm86, false, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_a_software_interrupt_of_an_8086_are_those_of_the_manual, ORACLE_INT, of_vm86, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_of_an_8086_are_those_of_the_manual, ORACLE_OUTSIDE, of_vm86, false, true,
      IN_PAGES | IN_PAGED_TASKS)
CLAIM_OF_PAGES(page_faults_in_a_far_call_in_long_mode_are_those_of_the_manual, ORACLE_CALL, of_long, true, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_a_far_jump_in_long_mode_are_those_of_the_manual, ORACLE_JUMP, of_long, true, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_a_far_return_in_long_mode_are_those_of_the_manual, ORACLE_RETURN, of_long, true, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_return_in_long_mode_are_those_of_the_manual, ORACLE_IRET, of_long, true, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_a_software_interrupt_in_long_mode_are_those_of_the_manual, ORACLE_INT, of_long, true, true,
      IN_PAGES)
CLAIM_OF_PAGES(page_faults_in_an_interrupt_in_long_mode_are_those_of_the_manual, ORACLE_OUTSIDE, of_long, true, true,
      IN_PAGES)

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 oracle");
    TCase *t = tcase_create("oracle");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, getenv("HINDCAST_FUZZ_SEEDS") ? 0 : 240);
    tcase_add_test(t, a_far_call_is_that_of_the_manual);
    tcase_add_test(t, a_far_jump_is_that_of_the_manual);
    tcase_add_test(t, a_far_return_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_return_is_that_of_the_manual);
    tcase_add_test(t, a_software_interrupt_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_is_that_of_the_manual);
    tcase_add_test(t, a_call_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, a_jump_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, a_return_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_return_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, a_software_interrupt_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_of_an_8086_is_that_of_the_manual);
    tcase_add_test(t, a_far_call_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, a_far_jump_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, a_far_return_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_return_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, a_software_interrupt_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, an_interrupt_in_long_mode_is_that_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_call_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_jump_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_return_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_return_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_software_interrupt_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_call_of_an_8086_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_return_of_an_8086_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_software_interrupt_of_an_8086_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_of_an_8086_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_call_in_long_mode_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_jump_in_long_mode_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_far_return_in_long_mode_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_return_in_long_mode_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_a_software_interrupt_in_long_mode_are_those_of_the_manual);
    tcase_add_test(t, page_faults_in_an_interrupt_in_long_mode_are_those_of_the_manual);
    suite_add_tcase(suite, t);
    return suite;
}
