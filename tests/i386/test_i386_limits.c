/*
 * Segment limits and types at random against the manual's sentences (SDM 3A 5.3, 5.4), written down here once more: what an
 * access of so many bytes at an offset may do in a segment of any type and limit, expanding up or down, of 16 and 32 bits,
 * through a prefix and on the stack, by each kind of instruction that has a way of its own, alone and amid others.
 */
#include <stdio.h>

#include "i386_bench.h"
#include "tests/check_main.h"

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
    tcase_add_test(t, an_item_is_within_the_stack_or_faults);
    suite_add_tcase(suite, t);
    return suite;
}
