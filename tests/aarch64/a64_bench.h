/*
 * A bare aarch64 machine for unit tests: 4 MiB of RAM at 1 GiB, no board,
 * translation off, vector tables at known addresses. Code is words put into
 * memory; tests make steps and look at the state.
 */
#ifndef HINDCAST_TESTS_A64_BENCH_H
#define HINDCAST_TESTS_A64_BENCH_H

#include "aarch64/system.h"
#include "base/buffer.h"

#include <check.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define RAM      UINT64_C(0x40000000)
#define VECTORS(el) (RAM + 0x1000 * (el)) /* el 1-3 */
#define CODE     (RAM + 0x10000)
#define UCODE    (RAM + 0x20000)
#define DATA     (RAM + 0x40000)
#define STACK    (RAM + 0x80000)
#define TABLES   (RAM + 0x100000)

struct bench {
    struct machine *m;
    struct a64_cpu *c;
    struct a64_state *s;
    uint64_t at; /* where code() puts the next word */
};

static inline void poke64(struct bench *b, uint64_t addr, uint64_t v)
{
    ck_assert_uint_eq(memory_write_bytes(&b->m->memory, addr, &v, 8, true), 8);
}
static inline void poke32(struct bench *b, uint64_t addr, uint32_t v)
{
    ck_assert_uint_eq(memory_write_bytes(&b->m->memory, addr, &v, 4, true), 4);
}
static inline uint64_t peek64(struct bench *b, uint64_t addr)
{
    uint64_t v = 0;

    memory_read_bytes(&b->m->memory, addr, &v, 8);
    return v;
}

/* The state was changed by hand. */
static inline void refresh(struct bench *b)
{
    b->m->cpus[0]->ops->drop_derived(b->m->cpus[0]);
}

/* Stand at `pc` at a level, with SP_ELx at the stack, interrupts masked above EL0. */
static inline void at_el(struct bench *b, unsigned el, uint64_t pc)
{
    a64_set_mode(b->c, el, el != 0);
    b->s->pstate = el ? PSTATE_SP | PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F : 0;
    b->s->sp = STACK;
    b->s->pc = b->at = pc;
    refresh(b);
}

static inline struct bench *bench_new(const char *model, unsigned features)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct region ram = {.base = RAM, .size = 4 << 20, .kind = REGION_RAM, .enabled = true};

    b->m = machine_create(4096);
    ram.page = memory_alloc(&b->m->memory, "ram", ram.size);
    memory_map(&b->m->memory, &ram);
    b->c = a64_create(b->m, a64_model_find(model), features);
    b->s = b->c->st;
    machine_reset(b->m);
    for (unsigned el = 1; el <= 3; el++)
        b->s->vbar[el] = VECTORS(el);
    b->s->oslsr_el1 &= ~UINT64_C(2);
    at_el(b, 1, CODE);
    return b;
}

static inline void bench_free(struct bench *b)
{
    machine_destroy(b->m);
    free(b);
}

/* Put words where the last code ended. */
#define EMIT(b, ...) \
    do { \
        const uint32_t words_[] = {__VA_ARGS__}; \
        for (unsigned i_ = 0; i_ < ARRAY_LEN(words_); i_++, (b)->at += 4) \
            poke32(b, (b)->at, words_[i_]); \
    } while (0)

static inline enum stop_kind steps(struct bench *b, unsigned n)
{
    struct stop stop;

    machine_run(b->m, b->m->st->position + n, &stop);
    return stop.kind;
}

/* Instructions. */
#define MRS(rt, enc)  (0xd5300000u | ((uint32_t)(enc) & 0x7fffu) << 5 | (uint32_t)(rt))
#define MSR(enc, rt)  (0xd5100000u | ((uint32_t)(enc) & 0x7fffu) << 5 | (uint32_t)(rt))
#define SYS(op1, crn, crm, op2, rt) (0xd5080000u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5 | (rt))
#define SVC(n)  (0xd4000001u | (n) << 5)
#define HVC(n)  (0xd4000002u | (n) << 5)
#define SMC(n)  (0xd4000003u | (n) << 5)
#define BRK(n)  (0xd4200000u | (n) << 5)
#define HLT(n)  (0xd4400000u | (n) << 5)
#define ERET    0xd69f03e0u
#define NOP     0xd503201fu
#define WFE     0xd503205fu
#define WFI     0xd503207fu
#define SEVL    0xd50320bfu
#define UDF     0x00000000u
#define LDR(rt, rn) (0xf9400000u | (rn) << 5 | (rt))
#define STR(rt, rn) (0xf9000000u | (rn) << 5 | (rt))
#define LDRB(rt, rn) (0x39400000u | (rn) << 5 | (rt))
#define LDTR(rt, rn) (0xf8400800u | (rn) << 5 | (rt))
#define BR(rn)  (0xd61f0000u | (rn) << 5)
#define MOVZ(rd, imm) (0xd2800000u | (uint32_t)(imm) << 5 | (rd))
#define DAIFSET(n) (0xd50340dfu | (n) << 8)
#define DAIFCLR(n) (0xd50340ffu | (n) << 8)
#define SPSEL(n)   (0xd50040bfu | (n) << 8)
#define MSR_PAN(n) (0xd500409fu | (n) << 8)
#define FMOV_ZERO  0x9e6703e0u /* fmov d0, xzr */

#define EQ(a, b) ck_assert_uint_eq(a, b)
/* At the handler of an exception to EL `level` from: 0 SP_EL0, 0x200 SP_ELx, 0x400 below. */
#define EXPECT_AT(b, level, from, vector) \
    do { \
        ck_assert_msg((b)->s->pc == VECTORS(level) + (from) + (vector), "pc %llx", (unsigned long long)(b)->s->pc); \
        EQ((b)->s->el, (level)); \
    } while (0)
#define EXPECT_ESR(b, level, ec, iss) EQ((b)->s->esr[level], (uint64_t)(ec) << 26 | 1u << 25 | (iss))

#endif
