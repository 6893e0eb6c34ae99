/*
 * The A64 decoder: its table, the fields it takes out, and, where llvm-mc is
 * there, what it takes for allocated, word by word.
 */
#include "aarch64/insn.h"
#include "tests/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(no_two_rows_match_the_same_word)
{
    const struct a64_row *a, *b;

    for (unsigned i = 0; (a = a64_row(i)); i++) {
        ck_assert_uint_eq(a->value & ~a->mask, 0);
        for (unsigned k = i + 1; (b = a64_row(k)); k++)
            ck_assert_msg((a->value ^ b->value) & a->mask & b->mask, "%s and %s overlap", a->name, b->name);
    }
}
END_TEST

static uint64_t state = 88172645463325252u;

static uint32_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

START_TEST(every_row_has_words_that_decode_to_it)
{
    const struct a64_row *row;
    struct a64_insn insn;

    for (unsigned i = 0; (row = a64_row(i)); i++) {
        unsigned hits = 0;

        for (unsigned k = 0; k < 1000; k++) {
            a64_decode((random_word() & ~row->mask) | row->value, &insn);
            ck_assert(insn.kind == A64_UNALLOCATED || !strcmp(a64_kind_name(insn.kind), row->name));
            hits += insn.kind != A64_UNALLOCATED;
        }
        ck_assert_msg(hits, "%s never decodes", row->name);
    }
}
END_TEST

START_TEST(fields_are_where_the_manual_has_them)
{
    struct a64_insn i;

    a64_decode(0x9141fc62, &i); /* add x2, x3, #0x7f, lsl #12 */
    ck_assert_int_eq(i.kind, A64_ADDSUB_IMM);
    ck_assert(i.sf == 1 && i.op == 0 && i.S == 0 && i.sh == 1 && i.imm12 == 0x7f && i.Rn == 3 && i.Rd == 2);
    a64_decode(0xa9bf7bfd, &i); /* stp x29, x30, [sp, #-16]! */
    ck_assert_int_eq(i.kind, A64_PAIR);
    ck_assert(i.opc == 2 && !i.V && !i.L && i.mode == 3 && i.Rt == 29 && i.Rt2 == 30 && i.Rn == 31);
    ck_assert_int_eq(a64_signed(i.imm7, 7), -2);
    a64_decode(0x54ffffe1, &i); /* b.ne . - 4 */
    ck_assert_int_eq(i.kind, A64_B_COND);
    ck_assert(i.cond == 1);
    ck_assert_int_eq(a64_signed(i.imm19, 19), -1);
    a64_decode(0xd53be040, &i); /* mrs x0, cntvct_el0 */
    ck_assert_int_eq(i.kind, A64_SYSREG);
    ck_assert(i.L && i.o0 == 1 && i.op1 == 3 && i.CRn == 14 && i.CRm == 0 && i.op2 == 2 && i.Rt == 0);
    a64_decode(0xb7f80041, &i); /* tbnz x1, #63, . + 8 */
    ck_assert_int_eq(i.kind, A64_TBZ);
    ck_assert(i.b5 == 1 && i.b40 == 31 && i.op == 1 && i.imm14 == 2 && i.Rt == 1);
}
END_TEST

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

START_TEST(there_are_5334_logical_immediates_of_64_bits)
{
    static uint64_t all[8192];
    unsigned count = 0, distinct = 1;

    for (unsigned n = 0; n < 2; n++)
        for (unsigned imms = 0; imms < 64; imms++)
            for (unsigned immr = 0; immr < 64; immr++)
                if (a64_bitmask(n, imms, immr, &all[count]))
                    count++;
    qsort(all, count, sizeof all[0], compare);
    for (unsigned i = 1; i < count; i++)
        distinct += all[i] != all[i - 1];
    ck_assert_uint_eq(distinct, 5334);
    ck_assert(a64_bitmask(1, 0, 0, &all[0]) && all[0] == 1);
    ck_assert(a64_bitmask(0, 0x3c, 1, &all[0]) && all[0] == UINT64_C(0xaaaaaaaaaaaaaaaa));
    ck_assert(a64_bitmask(0, 7, 0, &all[0]) && all[0] == UINT64_C(0x000000ff000000ff));
}
END_TEST

/* ---- llvm-mc ---- */

#define WORDS 40000
#define MC "llvm-mc --disassemble -triple=aarch64 -mattr=+v8a,+el3,+crc,+lse,+pan,+neon,+fp-armv8"

/* Words that llvm-mc has a name for, though the manual makes them UNDEFINED or leaves them unallocated:
 * UDF, and system instructions with op0 = 0. */
static bool prints_anything(uint32_t word)
{
    return word < 0x10000 || (word & 0xffd80000u) == 0xd5000000u;
}

static uint32_t word_near_a_row(unsigned nrows)
{
    const struct a64_row *row = a64_row(random_word() % nrows);
    uint32_t word = (random_word() & ~row->mask) | row->value;

    if (random_word() % 8 == 0)
        word ^= 1u << random_word() % 32;
    if ((word >> 25 & 7) == 7) /* SIMD and FP are not this decoder's */
        word ^= 1u << 26;
    return word;
}

START_TEST(what_is_allocated_agrees_with_llvm)
{
    static bool refused[WORDS + 1];
    static uint32_t words[WORDS];
    char name[] = "/tmp/test_a64_XXXXXX", line[256];
    unsigned nrows = 0, n, lines = 0;
    int fd = mkstemp(name);
    FILE *f = fdopen(fd, "w");

    while (a64_row(nrows))
        nrows++;
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t w = words[i] = i % 2 ? word_near_a_row(nrows) : random_word() & ~(1u << 26);

        fprintf(f, "0x%02x 0x%02x 0x%02x 0x%02x\n", w & 0xff, w >> 8 & 0xff, w >> 16 & 0xff, w >> 24);
    }
    fclose(f);
    snprintf(line, sizeof line, MC " 2>&1 >/dev/null <%s", name);
    f = popen(line, "r");
    while (fgets(line, sizeof line, f)) {
        lines++;
        if (sscanf(line, "<stdin>:%u:", &n) == 1 && n <= WORDS && strstr(line, "invalid instruction encoding"))
            refused[n] = true;
    }
    unlink(name);
    ck_assert_int_eq(pclose(f), 0);
    ck_assert_uint_gt(lines, WORDS / 8);
    for (unsigned i = 0; i < WORDS; i++) {
        struct a64_insn insn;

        a64_decode(words[i], &insn);
        if (!prints_anything(words[i]))
            ck_assert_msg((insn.kind == A64_UNALLOCATED) == refused[i + 1], "%08x: %s, llvm-mc %s", words[i],
                          a64_kind_name(insn.kind), refused[i + 1] ? "refuses" : "accepts");
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("a64 decode");
    TCase *t = tcase_create("table");

    tcase_add_test(t, no_two_rows_match_the_same_word);
    tcase_add_test(t, every_row_has_words_that_decode_to_it);
    tcase_add_test(t, fields_are_where_the_manual_has_them);
    tcase_add_test(t, there_are_5334_logical_immediates_of_64_bits);
    suite_add_tcase(s, t);
    if (!system("echo 0x1f 0x20 0x03 0xd5 | " MC " >/dev/null 2>&1")) {
        t = tcase_create("llvm-mc");
        tcase_set_timeout(t, 60);
        tcase_add_test(t, what_is_allocated_agrees_with_llvm);
        suite_add_tcase(s, t);
    } else {
        puts("no llvm-mc for aarch64: not compared with it");
    }
    return s;
}
