/*
 * Segment limits and types at random against the manual's sentences (SDM 3A 5.3, 5.4), written down here once more: what an
 * access of so many bytes at an offset may do in a segment of any type and limit, expanding up or down, of 16 and 32 bits,
 * through a prefix and on the stack, by each kind of instruction that has a way of its own, alone and amid others.
 */
#include <stdio.h>

#include "i386/lower.h"
#include "i386_bench.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

#define ROUNDS 60000

enum { SEGMENT_BASE = 0x300000, ALIGNED = 1, WRITES = 2, READS = 4, STRING = 8 };

static struct bench *b;
static struct i386_state *s;
static uint64_t seed;

static uint32_t rnd(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

static void setup(void)
{
    b = bench_new("max");
    s = b->s;
    seed = 1;
}

static void teardown(void)
{
    bench_free(b);
}

/* Accesses through FS at EBX, of strings at ESI. */
static const struct kind { uint8_t bytes[7], len; uint16_t size; unsigned how; } accesses[] = {
    {{0x64, 0x8a, 0x03}, 3, 1, READS}, /* mov al, [ebx] */
    {{0x64, 0x88, 0x03}, 3, 1, WRITES},
    {{0x64, 0x66, 0x8b, 0x03}, 4, 2, READS},
    {{0x64, 0x66, 0x89, 0x03}, 4, 2, WRITES},
    {{0x64, 0x8b, 0x03}, 3, 4, READS},
    {{0x64, 0x89, 0x03}, 3, 4, WRITES},
    {{0x64, 0x01, 0x03}, 3, 4, READS | WRITES}, /* add [ebx], eax */
    {{0x64, 0xf0, 0x0f, 0xc1, 0x03}, 5, 4, READS | WRITES}, /* lock xadd */
    {{0x64, 0x0f, 0xb6, 0x03}, 4, 1, READS}, /* movzx */
    {{0x64, 0x0f, 0xba, 0x2b, 0x01}, 5, 4, READS | WRITES}, /* bts */
    {{0x64, 0x0f, 0xc7, 0x0b}, 4, 8, READS | WRITES}, /* cmpxchg8b */
    {{0x64, 0x62, 0x03}, 3, 8, READS}, /* bound */
    {{0x64, 0xc4, 0x03}, 3, 6, READS}, /* les */
    {{0x64, 0x66, 0xc4, 0x03}, 4, 4, READS},
    {{0x64, 0x0f, 0x01, 0x03}, 4, 6, WRITES}, /* sgdt */
    {{0x64, 0x8c, 0x1b}, 3, 2, WRITES}, /* mov [ebx], ds */
    {{0x64, 0xd9, 0x03}, 3, 4, READS}, /* fld */
    {{0x64, 0xdd, 0x03}, 3, 8, READS},
    {{0x64, 0xdb, 0x2b}, 3, 10, READS},
    {{0x64, 0xdf, 0x23}, 3, 10, READS}, /* fbld */
    {{0x64, 0xdf, 0x13}, 3, 2, WRITES}, /* fist */
    {{0x64, 0xdd, 0x13}, 3, 8, WRITES}, /* fst */
    {{0x64, 0xdb, 0x3b}, 3, 10, WRITES}, /* fstp */
    {{0x64, 0xd9, 0x33}, 3, 28, WRITES}, /* fnstenv */
    {{0x64, 0x66, 0xd9, 0x33}, 4, 14, WRITES},
    {{0x64, 0xdd, 0x33}, 3, 108, WRITES}, /* fnsave */
    {{0x64, 0x0f, 0xae, 0x03}, 4, 512, WRITES | ALIGNED}, /* fxsave */
    {{0x64, 0x0f, 0x6f, 0x03}, 4, 8, READS}, /* movq mm0, */
    {{0x64, 0x0f, 0x60, 0x03}, 4, 4, READS}, /* punpcklbw mm0, */
    {{0x64, 0x0f, 0x10, 0x03}, 4, 16, READS}, /* movups */
    {{0x64, 0x0f, 0x11, 0x03}, 4, 16, WRITES},
    {{0x64, 0x0f, 0x58, 0x03}, 4, 16, READS | ALIGNED}, /* addps */
    {{0x64, 0x0f, 0x29, 0x03}, 4, 16, WRITES | ALIGNED}, /* movaps */
    {{0x64, 0xf3, 0x0f, 0x10, 0x03}, 5, 4, READS}, /* movss */
    {{0x64, 0x0f, 0x13, 0x03}, 4, 8, WRITES}, /* movlps */
    {{0x64, 0xc5, 0xfc, 0x10, 0x03}, 5, 32, READS}, /* vmovups */
    {{0x64, 0xc5, 0xfc, 0x11, 0x03}, 5, 32, WRITES},
    {{0x64, 0xac}, 2, 1, READS | STRING}, /* lods */
    {{0x64, 0xa5}, 2, 4, READS | STRING}, /* movs */
    {{0x64, 0x66, 0xa7}, 3, 2, READS | STRING}, /* cmps */
    {{0x64, 0x0f, 0xae, 0x3b}, 4, 1, 0}, /* clflush: of what can only be executed, too */
    {{0x64, 0x0f, 0x18, 0x0b}, 4, 0, 0}, /* prefetch: nothing */
};

/* Are all bytes of the access offsets of the segment? */
static bool inside(const struct i386_segment *sg, uint32_t offset, unsigned size)
{
    uint64_t first = offset, last = first + size - 1, top = sg->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;

    if (!size)
        return true;
    if ((sg->attr & 0xc) == 4)
        return first > sg->limit && last <= top;
    return last <= sg->limit;
}

static bool type_lets(const struct i386_segment *sg, unsigned how)
{
    bool code = sg->attr & 8, second = sg->attr & 2;

    if (how & WRITES && (code || !second))
        return false;
    return !(how & READS) || !code || second;
}

static struct i386_segment any_segment(bool stack)
{
    static const uint8_t types[] = {1, 3, 5, 7, 7, 3, 9, 0xb};
    static const uint32_t limits[] = {0xffff, 0xfff, 0xffffffff, 0x7fffffff, 0xfffff, 0, 0xfff0, 0xfffffffe, 0xffffefff};
    unsigned type = stack ? (rnd() & 1 ? 3 : 7) : types[rnd() % ARRAY_LEN(types)];
    struct i386_segment sg = {.base = rnd() % 3 ? SEGMENT_BASE : 0, .valid = 1, .selector = S_UDATA};

    sg.limit = rnd() & 1 ? limits[rnd() % ARRAY_LEN(limits)] : rnd() & 0xffff;
    sg.attr = (uint16_t)(SEG_ATTR_P | SEG_ATTR_S | 0x60 | type | (rnd() & 1 ? SEG_ATTR_DB : 0));
    return sg;
}

/* An offset near an end. */
static uint32_t any_offset(const struct i386_segment *sg, unsigned size)
{
    static const uint32_t ends[] = {0, 0x10000, 0x8000};
    uint32_t end = rnd() & 1 ? sg->limit : ends[rnd() % ARRAY_LEN(ends)];

    return end + 2 - rnd() % (size + 4);
}

/* Where memory is, and not what the test itself is made of. */
static bool is_free(const struct i386_segment *sg, uint32_t offset, unsigned size)
{
    uint32_t at = sg->base + offset;

    return at >= 0x200000 && at <= (4u << 20) - size;
}

static void begin(const uint8_t *bytes, unsigned len, unsigned nops)
{
    user_mode(b);
    s->eflags = EFLAGS_1;
    s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    s->xcr0 = 7;
    s->fcw = 0x37f;
    s->fsw = 0;
    s->ftag = 0;
    for (unsigned n = 0; n < nops; n++)
        poke8(b, UCODE + n, 0x90);
    poke(b, UCODE + nops, bytes, len);
    poke8(b, UCODE + nops + len, 0x90);
}

START_TEST(an_access_is_within_its_segment_or_faults)
{
    unsigned faults = 0, passed = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        const struct kind *a = &accesses[rnd() % ARRAY_LEN(accesses)];
        unsigned nops = rnd() % 3;
        struct i386_segment sg = any_segment(false);
        uint32_t offset = any_offset(&sg, a->size);
        bool good = type_lets(&sg, a->how) && inside(&sg, offset, a->size) && (!(a->how & ALIGNED) || !((sg.base + offset) & 15));

        if (a->size && good && !is_free(&sg, offset, a->size))
            continue;
        if (a->size && sg.limit == 0xffffffff && offset + a->size < offset)
            continue; /* around the end of 4 GiB: as processors like */
        begin(a->bytes, a->len, nops);
        if (good && a->size)
            for (unsigned n = 0; n < a->size; n++)
                poke8(b, (uint32_t)sg.base + offset + n, 0);
        s->seg[SEG_FS] = sg;
        s->gpr[EAX] = s->gpr[ECX] = s->gpr[EDX] = 0;
        s->gpr[EBX] = s->gpr[ESI] = offset;
        s->gpr[EDI] = DATA;
        refresh(b);
        steps(b, nops + 1);
        ck_assert_msg(s->rip == (good ? (uint64_t)UCODE + nops + a->len : handler(EXC_GP)),
                      "round %u access %d: base %llx limit %x attr %x offset %x: %llx", round, (int)(a - accesses),
                      (unsigned long long)sg.base, (unsigned)sg.limit, sg.attr, offset, (unsigned long long)s->rip);
        *(good ? &passed : &faults) += 1;
        if (!good)
            ck_assert_uint_eq(peek32(b, (uint32_t)s->gpr[ESP] + 4), UCODE + nops);
    }
    ck_assert_uint_gt(faults, ROUNDS / 8);
    ck_assert_uint_gt(passed, ROUNDS / 16);
}
END_TEST

/* ---- going through a segment up to its end ---- */

/* Reads and writes at FS:EBX, alone and with an index; in a loop each: ADD EBX, EDX; DEC ECX; JNZ. */
static const struct walk { uint8_t bytes[8], len, size; unsigned how; } walks[] = {
    {{0x64, 0x8a, 0x03}, 3, 1, READS}, {{0x64, 0x66, 0x8b, 0x03}, 4, 2, READS}, {{0x64, 0x8b, 0x03}, 3, 4, READS},
    {{0x64, 0x8b, 0x44, 0x2b, 0x08}, 5, 4, READS}, /* mov eax, [ebx+ebp+8], where EBP is -8 */
    {{0x64, 0x03, 0x03}, 3, 4, READS}, {{0x64, 0x3b, 0x03}, 3, 4, READS}, {{0x64, 0x0f, 0xb7, 0x03}, 4, 2, READS},
    {{0x64, 0xd9, 0x03}, 3, 4, READS}, {{0x64, 0xdb, 0x2b}, 3, 10, READS}, /* fld */
    {{0x64, 0x0f, 0x10, 0x03}, 4, 16, READS}, {{0x64, 0xf3, 0x0f, 0x58, 0x03}, 5, 4, READS}, /* movups, addss */
    {{0x64, 0x89, 0x03}, 3, 4, WRITES}, {{0x64, 0x01, 0x03}, 3, 4, READS | WRITES}, {{0x64, 0xd9, 0x13}, 3, 4, WRITES},
    {{0x64, 0x89, 0x44, 0x2b, 0x08}, 5, 4, WRITES}, {{0x64, 0x83, 0x03, 0x01}, 4, 4, READS | WRITES},
};

static void put_walk(const struct walk *w)
{
    begin((const uint8_t[]){0xdb, 0xe3}, 2, 0); /* fninit */
    poke(b, UCODE + 2, w->bytes, w->len);
    poke(b, UCODE + 2 + w->len, (uint8_t[]){0x01, 0xd3, 0x49, 0x75, (uint8_t)-(w->len + 5)}, 5);
    s->gpr[EBP] = (uint32_t)-8;
    s->gpr[EAX] = 0;
    s->mxcsr = 0x1f80;
}

/* How often it can go round before it faults, of `most` times. */
static unsigned rounds_within(const struct walk *w, const struct i386_segment *sg, uint32_t offset, uint32_t step, unsigned most)
{
    unsigned n = 0;

    while (n < most && type_lets(sg, w->how) && (inside(sg, offset, w->size) || (sg->limit == 0xffffffff && (sg->attr & 0xc) != 4))) {
        offset += step;
        n++;
    }
    return n;
}

START_TEST(compiled_code_goes_to_the_end_of_a_segment_and_no_further)
{
    enum { TURNS = 40 };
    unsigned faults = 0, passed = 0;

    if (_i)
        with_jit(&b->c->u);
    for (unsigned round = 0; round < ROUNDS / 20; round++) {
        const struct walk *w = &walks[rnd() % ARRAY_LEN(walks)];
        struct i386_segment sg = any_segment(false);
        uint32_t step = rnd() % 3 ? w->size : 1 + rnd() % 8, offset = sg.limit - step * (rnd() % (TURNS + 10)) + rnd() % 3, want;

        sg.attr |= SEG_ATTR_DB;
        sg.base = SEGMENT_BASE; /* the last bytes of 4 GiB are below it */
        if (sg.limit != 0xffffffff)
            sg.limit &= 0xffff;
        if ((sg.attr & 0xc) == 4) {
            offset = sg.limit + step * (rnd() % (2 * TURNS));
            step = 0u - step;
        } else if (sg.limit != 0xffffffff) {
            offset = offset > sg.limit ? 0 : offset;
        }
        want = rounds_within(w, &sg, offset, step, TURNS);
        put_walk(w);
        s->seg[SEG_FS] = sg;
        s->gpr[EBX] = offset;
        s->gpr[EDX] = step;
        s->gpr[ECX] = 1000;
        refresh(b);
        steps(b, want == TURNS ? 1 + 4 * TURNS : 1 + 4 * want + 1);
        ck_assert_msg(s->gpr[EBX] == (uint32_t)(offset + want * step) && s->gpr[ECX] == 1000 - want &&
                          s->rip == (want == TURNS ? UCODE + 2u : handler(EXC_GP)),
                      "round %u access %d: limit %x attr %x offset %x step %x, %u times: ebx %llx ecx %llx at %llx", round,
                      (int)(w - walks), (unsigned)sg.limit, sg.attr, offset, step, want, (unsigned long long)s->gpr[EBX],
                      (unsigned long long)s->gpr[ECX], (unsigned long long)s->rip);
        *(want == TURNS ? &passed : &faults) += 1;
    }
    ck_assert_uint_gt(faults, ROUNDS / 100);
    ck_assert_uint_gt(passed, ROUNDS / 200);
}
END_TEST

/* Code and constants are read by compiled code itself: no call of i386_op_linear. */
START_TEST(reads_of_code_and_constants_are_micro_ops)
{
    static const uint8_t types[] = {1, 0xb, 0xf};

    for (unsigned n = 0; n < ARRAY_LEN(types); n++) {
        struct i386_segment sg = {.base = SEGMENT_BASE, .valid = 1, .limit = 0xfff, .selector = S_UDATA,
                                  .attr = (uint16_t)(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | 0x60 | types[n])};

        user_mode(b);
        s->seg[SEG_FS] = sg;
        refresh(b);
        ck_assert_uint_eq(i386_block_mode(b->c) >> (MODE_READS_SHIFT + SEG_FS) & 1, 1);
        s->seg[SEG_FS].attr = (uint16_t)((sg.attr & ~0xfu) | 5); /* expand-down */
        ck_assert_uint_eq(i386_block_mode(b->c) >> (MODE_READS_SHIFT + SEG_FS) & 1, 0);
        s->seg[SEG_FS].attr = (uint16_t)((sg.attr & ~0xfu) | 9); /* execute-only */
        ck_assert_uint_eq(i386_block_mode(b->c) >> (MODE_READS_SHIFT + SEG_FS) & 1, 0);
    }
}
END_TEST

/* What an instruction does to the stack: items of `size` bytes, `items` of them. */
static const struct stacked { uint8_t bytes[5], len, size, items; bool pops; } stacked[] = {
    {{0x50}, 1, 4, 1, false}, {{0x66, 0x50}, 2, 2, 1, false}, {{0x58}, 1, 4, 1, true}, {{0x66, 0x58}, 2, 2, 1, true},
    {{0x60}, 1, 4, 8, false}, {{0x66, 0x60}, 2, 2, 8, false}, {{0x61}, 1, 4, 8, true}, {{0x66, 0x61}, 2, 2, 8, true},
    {{0x6a, 0x01}, 2, 4, 1, false}, {{0x9c}, 1, 4, 1, false}, {{0x9d}, 1, 4, 1, true}, {{0x06}, 1, 4, 1, false},
    {{0xc8, 0, 0, 0}, 4, 4, 1, false}, {{0x66, 0xc8, 0, 0, 0}, 5, 2, 1, false}, {{0xe8, 0, 0, 0, 0}, 5, 4, 1, false},
};

START_TEST(an_item_is_within_the_stack_or_faults)
{
    unsigned faults = 0, passed = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        const struct stacked *a = &stacked[rnd() % ARRAY_LEN(stacked)];
        unsigned nops = rnd() % 3;
        struct i386_segment sg = any_segment(true);
        uint32_t mask = sg.attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;
        uint32_t sp = any_offset(&sg, 40), at = sp & mask, end;
        bool good = true, usable = true;

        for (unsigned n = 0; n < a->items; n++) {
            if (!a->pops)
                at = (at - a->size) & mask;
            good = good && inside(&sg, at, a->size);
            usable = usable && is_free(&sg, at, a->size) && !(sg.limit == 0xffffffff && at + a->size < at);
            if (a->pops)
                at = (at + a->size) & mask;
        }
        end = (sp & ~mask) | at;
        if (!usable && (good || sg.limit == 0xffffffff))
            continue;
        begin(a->bytes, a->len, nops);
        if (good && a->pops)
            for (unsigned n = 0; n < a->items; n++)
                poke(b, (uint32_t)sg.base + (((sp & mask) + n * a->size) & mask), "\2\0\0", a->size);
        s->seg[SEG_SS] = sg;
        s->gpr[ESP] = sp;
        s->gpr[EBP] = 0;
        refresh(b);
        steps(b, nops + 1);
        ck_assert_msg(s->rip == (good ? (uint64_t)UCODE + nops + a->len : handler(EXC_SS)) && (!good || s->gpr[ESP] == end),
                      "round %u item %d: base %llx limit %x attr %x sp %x: %llx %llx", round, (int)(a - stacked),
                      (unsigned long long)sg.base, (unsigned)sg.limit, sg.attr, sp, (unsigned long long)s->rip,
                      (unsigned long long)s->gpr[ESP]);
        *(good ? &passed : &faults) += 1;
    }
    ck_assert_uint_gt(faults, ROUNDS / 8);
    ck_assert_uint_gt(passed, ROUNDS / 16);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 limits");
    TCase *t = tcase_create("limits");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, an_access_is_within_its_segment_or_faults);
    tcase_add_loop_test(t, compiled_code_goes_to_the_end_of_a_segment_and_no_further, 0, 2);
    tcase_add_test(t, reads_of_code_and_constants_are_micro_ops);
    tcase_add_test(t, an_item_is_within_the_stack_or_faults);
    suite_add_tcase(suite, t);
    return suite;
}
