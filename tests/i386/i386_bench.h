/*
 * A bare i386 machine for unit tests: 4 MiB of RAM, flat protected mode with a
 * small GDT, an IDT whose handlers are known addresses, two stacks, no board.
 * Code is bytes put into memory; tests make steps and look at the state.
 */
#ifndef HINDCAST_TESTS_I386_BENCH_H
#define HINDCAST_TESTS_I386_BENCH_H

#include "base/buffer.h"
#include "i386/cpu.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum {
    GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, TSS2 = 0x3200, TSS16 = 0x3400, LDT = 0x3600,
    KSTACK = 0x8000, ESP0 = 0x9000, USTACK = 0xa000, STACK2 = 0xb000,
    HANDLERS = 0x10000, KCODE = 0x20000, UCODE = 0x30000, CODE2 = 0x38000, DATA = 0x40000, PAGES = 0x100000,
    /* selectors */
    S_CODE = 0x08, S_DATA = 0x10, S_UCODE = 0x1b, S_UDATA = 0x23, S_TSS = 0x28, S_TSS2 = 0x30, S_LDT = 0x38,
    S_GATE = 0x40, S_CONFORMING = 0x48, S_ABSENT = 0x50, S_DOWN = 0x58, S_CODE16 = 0x60, S_TASKGATE = 0x68,
    S_TSS16 = 0x70, S_EXECONLY = 0x78, S_RODATA = 0x80, S_SMALL = 0x88, S_DATA1 = 0x90, S_CODE1 = 0x98,
    GDT_LIMIT = 0x9f,
};

struct bench {
    struct machine *m;
    struct i386_model model;
    struct i386_cpu *c;
    struct i386_state *s;
    uint32_t at;         /* where code() puts the next bytes */
    int irq_vector;      /* what intack answers */
    unsigned intacks;
    uint16_t last_port;
    uint32_t last_out;
};

static inline void poke(struct bench *b, uint32_t addr, const void *data, size_t len)
{
    ck_assert_uint_eq(memory_write_bytes(&b->m->memory, addr, data, len, true), len);
}

static inline void poke32(struct bench *b, uint32_t addr, uint32_t v) { poke(b, addr, &v, 4); }
static inline void poke16(struct bench *b, uint32_t addr, uint16_t v) { poke(b, addr, &v, 2); }
static inline void poke8(struct bench *b, uint32_t addr, uint8_t v) { poke(b, addr, &v, 1); }
static inline void poke64(struct bench *b, uint32_t addr, uint64_t v) { poke(b, addr, &v, 8); }

static inline uint32_t peek32(struct bench *b, uint32_t addr)
{
    uint32_t v = 0;

    memory_read_bytes(&b->m->memory, addr, &v, 4);
    return v;
}
static inline uint16_t peek16(struct bench *b, uint32_t addr) { return (uint16_t)peek32(b, addr); }
static inline uint8_t peek8(struct bench *b, uint32_t addr) { return (uint8_t)peek32(b, addr); }

/* A code, data or system descriptor; type: bits 40-47 of it; flags: bits 52-55. */
static inline void descriptor(struct bench *b, uint32_t addr, uint32_t base, uint32_t limit, unsigned type, unsigned flags)
{
    poke32(b, addr, (base & 0xffff) << 16 | (limit & 0xffff));
    poke32(b, addr + 4, (base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | (base >> 16 & 0xff));
}

static inline void gate(struct bench *b, uint32_t addr, uint16_t selector, uint32_t offset, unsigned type, unsigned params)
{
    poke32(b, addr, (uint32_t)selector << 16 | (offset & 0xffff));
    poke32(b, addr + 4, (offset & 0xffff0000) | type << 8 | params);
}

static inline uint32_t handler(unsigned vector) { return HANDLERS + vector * 16; }

/* The state was changed by hand. */
static inline void refresh(struct bench *b)
{
    b->m->cpus[0]->ops->drop_derived(b->m->cpus[0]);
}

static inline int bench_intack(void *ctx)
{
    struct bench *b = ctx;

    b->intacks++;
    i386_set_intr(b->c, 0, false);
    return b->irq_vector;
}

static inline uint32_t bench_in(void *ctx, uint16_t port, unsigned size)
{
    struct bench *b = ctx;

    (void)size;
    b->last_port = port;
    return 0x12345678;
}

static inline void bench_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct bench *b = ctx;

    (void)size;
    b->last_port = port;
    b->last_out = value;
}

static inline struct i386_segment flat(uint16_t selector, unsigned type)
{
    return (struct i386_segment){
        .selector = selector, .attr = (uint16_t)(0xc000 | type), .limit = 0xffffffff, .valid = 1};
}

/* Level 0, flat, at KCODE. */
static inline void kernel_mode(struct bench *b)
{
    struct i386_state *s = b->s;

    s->cr0 = CR0_PE | CR0_ET | CR0_NE;
    s->cpl = 0;
    s->seg[SEG_CS] = flat(S_CODE, 0x9b);
    s->seg[SEG_SS] = s->seg[SEG_DS] = s->seg[SEG_ES] = s->seg[SEG_FS] = s->seg[SEG_GS] = flat(S_DATA, 0x93);
    s->rip = b->at = KCODE;
    s->gpr[ESP] = KSTACK;
    refresh(b);
}

/* Level 3, flat, at UCODE. */
static inline void user_mode(struct bench *b)
{
    struct i386_state *s = b->s;

    s->cpl = 3;
    s->seg[SEG_CS] = flat(S_UCODE, 0xfb);
    s->seg[SEG_SS] = s->seg[SEG_DS] = s->seg[SEG_ES] = s->seg[SEG_FS] = s->seg[SEG_GS] = flat(S_UDATA, 0xf3);
    s->rip = b->at = UCODE;
    s->gpr[ESP] = USTACK;
    refresh(b);
}

/* Virtual-8086 mode at 3000:0000, stack 0:a000. */
static inline void vm86_mode(struct bench *b)
{
    struct i386_state *s = b->s;

    s->cpl = 3;
    s->eflags |= EFLAGS_VM;
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = (struct i386_segment){.attr = 0xf3, .limit = 0xffff, .valid = 1};
    s->seg[SEG_CS].selector = UCODE >> 4;
    s->seg[SEG_CS].base = UCODE;
    s->rip = 0;
    b->at = UCODE;
    s->gpr[ESP] = USTACK;
    refresh(b);
}

/* Real mode at 2000:0000, vectors at 0. */
static inline void real_mode(struct bench *b)
{
    struct i386_state *s = b->s;

    s->cr0 = CR0_ET | CR0_NE;
    s->cpl = 0;
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = (struct i386_segment){.attr = 0x93, .limit = 0xffff, .valid = 1};
    s->seg[SEG_CS].selector = KCODE >> 4;
    s->seg[SEG_CS].base = KCODE;
    s->rip = 0;
    s->idtr = (struct i386_dtr){.base = 0, .limit = 0x3ff};
    b->at = KCODE;
    s->gpr[ESP] = KSTACK;
    refresh(b);
}

static inline void bench_tables(struct bench *b)
{
    descriptor(b, GDT + S_CODE, 0, 0xfffff, 0x9a, 0xc);
    descriptor(b, GDT + S_DATA, 0, 0xfffff, 0x92, 0xc);
    descriptor(b, GDT + (S_UCODE & ~7), 0, 0xfffff, 0xfa, 0xc);
    descriptor(b, GDT + (S_UDATA & ~7), 0, 0xfffff, 0xf2, 0xc);
    descriptor(b, GDT + S_TSS, TSS, 0x1ff, 0x89, 0);
    descriptor(b, GDT + S_TSS2, TSS2, 0x67, 0x89, 0);
    descriptor(b, GDT + S_LDT, LDT, 0x1f, 0x82, 0);
    gate(b, GDT + S_GATE, S_CODE, CODE2, 0xec, 2);
    descriptor(b, GDT + S_CONFORMING, 0, 0xfffff, 0x9e, 0xc);
    descriptor(b, GDT + S_ABSENT, 0, 0xfffff, 0x12, 0xc);
    descriptor(b, GDT + S_DOWN, DATA, 0xfff, 0x96, 0x4);
    descriptor(b, GDT + S_CODE16, 0, 0xffff, 0x9a, 0);
    gate(b, GDT + S_TASKGATE, S_TSS2, 0, 0xe5, 0);
    descriptor(b, GDT + S_TSS16, TSS16, 0x2b, 0x81, 0);
    descriptor(b, GDT + S_EXECONLY, 0, 0xfffff, 0x98, 0xc);
    descriptor(b, GDT + S_RODATA, 0, 0xfffff, 0x90, 0xc);
    descriptor(b, GDT + S_SMALL, DATA, 0xff, 0x92, 0x4);
    descriptor(b, GDT + S_DATA1, 0, 0xfffff, 0xb2, 0xc);
    descriptor(b, GDT + S_CODE1, 0, 0xfffff, 0xba, 0xc);
    for (unsigned v = 0; v < 256; v++)
        gate(b, IDT + v * 8, S_CODE, handler(v), 0x8e, 0);
    gate(b, IDT + 0x80 * 8, S_CODE, handler(0x80), 0xef, 0); /* trap gate for users */
    poke32(b, TSS + 4, ESP0);
    poke16(b, TSS + 8, S_DATA);
    poke16(b, TSS + 0x66, 0x88); /* I/O map; redirection map at 0x68 */
}

static inline struct bench *bench_new(const char *model)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct region ram = {.base = 0, .size = 4 << 20, .kind = REGION_RAM, .enabled = true};
    struct error err;

    b->m = machine_create(4096);
    ram.page = memory_alloc(&b->m->memory, "ram", ram.size);
    memory_map(&b->m->memory, &ram);
    CHECK(i386_model_parse(&b->model, model, &err) == 0);
    b->c = i386_create(b->m, &b->model);
    b->s = b->c->st;
    b->c->intack = bench_intack;
    b->c->intack_ctx = b;
    b->c->io_read = bench_in;
    b->c->io_write = bench_out;
    b->c->io_ctx = b;
    machine_reset(b->m);
    bench_tables(b);
    b->s->gdtr = (struct i386_dtr){.base = GDT, .limit = GDT_LIMIT};
    b->s->idtr = (struct i386_dtr){.base = IDT, .limit = 0x7ff};
    b->s->seg[SEG_TR] = (struct i386_segment){.selector = S_TSS, .attr = 0x8b, .base = TSS, .limit = 0x1ff, .valid = 1};
    poke8(b, GDT + S_TSS + 5, 0x8b); /* busy */
    kernel_mode(b);
    return b;
}

static inline void bench_free(struct bench *b)
{
    machine_destroy(b->m);
    free(b);
}

/* Put code where the last code ended. */
#define CODE(b, ...) \
    do { \
        static const uint8_t bytes_[] = {__VA_ARGS__}; \
        poke(b, (b)->at, bytes_, sizeof bytes_); \
        (b)->at += sizeof bytes_; \
    } while (0)

static inline enum stop_kind steps(struct bench *b, unsigned n)
{
    struct stop stop;

    machine_run(b->m, b->m->st->position + n, &stop);
    return stop.kind;
}

/* The n-th 32-bit word from the top of the stack. */
static inline uint32_t stack32(struct bench *b, unsigned n)
{
    return peek32(b, b->s->seg[SEG_SS].base + b->s->gpr[ESP] + 4 * n);
}
static inline uint16_t stack16(struct bench *b, unsigned n)
{
    return peek16(b, b->s->seg[SEG_SS].base + (b->s->gpr[ESP] & 0xffff) + 2 * n);
}

#define EXPECT_VECTOR(b, v) ck_assert_msg((b)->s->rip == handler(v), "eip %x, not vector %u (%x)", (unsigned)(b)->s->rip, (unsigned)(v), handler(v))
#define EQ(a, b) ck_assert_uint_eq(a, b)

#endif
