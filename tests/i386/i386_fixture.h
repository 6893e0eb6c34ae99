/*
 * What the tests of the i386 CPU's system side start from: a bare machine (i386_bench.h) for each claim.
 */
#ifndef HINDCAST_TESTS_I386_FIXTURE_H
#define HINDCAST_TESTS_I386_FIXTURE_H

#include "i386/protect.h"
#include "i386_bench.h"

static struct bench *b;
static struct i386_state *s;

static inline void setup_model(const char *model)
{
    b = bench_new(model);
    s = b->s;
}

static inline void setup(void)
{
    setup_model("pentium4");
}

static inline void teardown(void)
{
    bench_free(b);
}

/* The top of the handler's stack as an error code frame: error, eip, cs, eflags. */
static inline void expect_error(unsigned vector, uint32_t error, uint32_t eip)
{
    EXPECT_VECTOR(b, vector);
    EQ(stack32(b, 0), error);
    EQ(stack32(b, 1), eip);
}

static inline TCase *tcase(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    return tc;
}
#define ADD(t) tcase_add_test(tc, t)

/* A doubleword on the stack. */
static inline void push(uint32_t v)
{
    s->gpr[ESP] -= 4;
    poke32(b, s->gpr[ESP], v);
}

/* A 32-bit TSS of a task of level 0. */
static inline void make_task(uint32_t tss, uint32_t eip, uint32_t eflags)
{
    poke32(b, tss + 0x1c, 0);
    poke32(b, tss + 0x20, eip);
    poke32(b, tss + 0x24, eflags);
    for (unsigned i = 0; i < 8; i++)
        poke32(b, tss + 0x28 + 4 * i, 0x100 + i);
    poke32(b, tss + 0x38, STACK2);
    for (unsigned i = 0; i < 6; i++)
        poke16(b, tss + 0x48 + 4 * i, i == SEG_CS ? S_CODE : S_DATA);
    poke16(b, tss + 0x60, 0);
    poke16(b, tss + 0x64, 0);
}

#define PT0 (PAGES + 0x1000)

/* 32-bit paging: 4 MiB identity-mapped through PT0, everything user and writable; D and A clear. */
static inline void map_32bit(void)
{
    poke32(b, PAGES, PT0 | 7);
    for (unsigned i = 0; i < 1024; i++)
        poke32(b, PT0 + 4 * i, i << 12 | 7);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG;
    refresh(b);
}

/* Where the entry of an address is. */
static inline uint32_t pte(uint32_t va) { return PT0 + (va >> 12) * 4; }

static inline void set_pte(uint32_t va, uint32_t value) { poke32(b, pte(va), value); }

/* mov eax, [ebx] or mov [ebx], eax at `offset`. */
static inline void access(uint32_t offset, bool write)
{
    b->at = s->rip;
    if (write)
        CODE(b, 0x89, 0x03);
    else
        CODE(b, 0x8b, 0x03);
    s->gpr[EBX] = offset;
    steps(b, 1);
}

#endif
