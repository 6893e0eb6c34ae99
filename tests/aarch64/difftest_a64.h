/*
 * Random A64 instruction streams on the emulator and on libunicorn. See difftest_a64.c.
 *
 * To add a class of instructions: a generator in a file of its own, and a line in
 * a64_classes[].
 */
#ifndef HINDCAST_TESTS_DIFFTEST_A64_H
#define HINDCAST_TESTS_DIFFTEST_A64_H

#include "base/types.h"

/* Where things are, in both. */
#define A64_CODE      UINT64_C(0x40000000)
#define A64_CODE_SIZE 0x10000u
#define A64_ENTRY     (A64_CODE + 0x400) /* where programs begin */
#define A64_DATA      UINT64_C(0x40100000)
#define A64_DATA_SIZE 0x40000u
#define A64_MAX_WORDS 64

/* Registers with a role, which no generated instruction may write: */
#define A64_REG_INDEX 27 /* a small number */
#define A64_REG_DATA  28 /* the middle of the data, aligned to 64 */
/* A generator may use this one, as the base of an access with write-back or as an index. */
#define A64_REG_BASE  26
/* SP is in the middle of the data, too; generated instructions keep it there. */

struct a64_program {
    uint32_t words[A64_MAX_WORDS];
    unsigned count;
};

/* Random numbers: a deterministic stream. */
uint64_t a64_random(void);
/* One that likes edges: small numbers, powers of two, all ones... */
uint64_t a64_random_value(void);

static inline void a64_emit(struct a64_program *p, uint32_t word)
{
    p->words[p->count++] = word;
}

struct a64_class {
    const char *name;
    /* Append one instruction, or a few (at most 8) that belong together. */
    void (*generate)(struct a64_program *p);
};
/* Each in the file of its generators, with a NULL name at its end. */
extern const struct a64_class a64_integer_classes[];
extern const struct a64_class a64_fp_classes[];

/* A random word of the row of a64.def called `name`, allocated; register fields are such
 * that nothing with a role is written. */
uint32_t a64_random_word(const char *row);

#endif
