/*
 * Calls and returns, where compiled code guesses (vm/jit/returns.c): functions at random that call each other, return elsewhere or not at
 * all, rewrite or remap what they come back to, or come back in another mode. A machine that compiles everything and one that interprets
 * come to the same states at the same positions.
 */
#include "i386_fixture.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

#define FUNCTIONS  24u
#define ITEMS      14u
#define CALLS      10u                 /* of the main loop */
#define MAIN       0x20000u
#define TABLE      0x3f000u            /* addresses of functions */
#define SAVED      0x3f800u            /* ESP of the main loop */
#define TWINS      0x200000u           /* of a page's bytes, others */
#define RAM        (4u << 20)
#define S_LOW      0xa0u               /* data below 2 GiB: code with it is of another mode */

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

struct soup {
    uint8_t bytes[RAM];
    uint32_t at, first[FUNCTIONS];
    uint32_t returns[FUNCTIONS * ITEMS + CALLS]; /* where calls come back to: a NOP or its like, and another one */
    unsigned nreturns;
};

static void put(struct soup *p, const void *bytes, unsigned n)
{
    memcpy(p->bytes + p->at, bytes, n);
    p->at += n;
}

#define PUT(p, ...) put(p, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put32(struct soup *p, uint32_t v) { put(p, &v, 4); }

/* A place that a call, of those there are so far, comes back to. */
static uint32_t some_return(const struct soup *p)
{
    return p->nreturns ? p->returns[roll(p->nreturns)] : MAIN;
}

static void put_call(struct soup *p)
{
    unsigned to = roll(FUNCTIONS);

    if (roll(3)) {
        PUT(p, 0xe8);
        put32(p, p->first[to] - (p->at + 4));
    } else {
        PUT(p, 0xff, 0x15);
        put32(p, TABLE + 4 * to);
    }
    p->returns[p->nreturns++] = p->at;
    PUT(p, 0x90, 0x90, 0x90);
    if (roll(10) == 0) /* #GP, or #PF, by the mode */
        PUT(p, 0xa3, 0, 0, 0, 0x90);
}

static void put_item(struct soup *p)
{
    uint32_t at;

    switch (roll(14)) {
    case 0: /* the byte there is written: NOP or INC EAX */
        PUT(p, 0x80, 0x35);
        put32(p, some_return(p));
        PUT(p, 0xd0);
        break;
    case 1: /* its page becomes the twin, or itself again */
        at = some_return(p);
        PUT(p, 0x81, 0x35);
        put32(p, pte(at));
        put32(p, TWINS);
        PUT(p, 0x0f, 0x01, 0x3d);
        put32(p, at);
        break;
    case 2: /* another mode */
        PUT(p, 0x68);
        put32(p, roll(2) ? S_DATA : S_LOW);
        PUT(p, 0x1f);
        break;
    case 3: /* back to the main loop, past all returns */
        if (roll(4) == 0) {
            PUT(p, 0x8b, 0x25);
            put32(p, SAVED);
            PUT(p, 0xe9);
            put32(p, MAIN - (p->at + 4));
        }
        break;
    case 4: /* one instruction further than the call wants */
        PUT(p, 0x83, 0x04, 0x24, 1, 0xc3);
        break;
    case 5: /* to somewhere else */
        PUT(p, 0x68);
        put32(p, some_return(p));
        PUT(p, 0xc3);
        break;
    case 6: PUT(p, 0x40); break;
    case 7: PUT(p, 0x46); break;
    default: put_call(p); break;
    }
}

/* Nothing is run without end: ECX counts calls down. */
static void make_soup(struct soup *p)
{
    memset(p, 0, sizeof(*p));
    for (unsigned i = 0; i < FUNCTIONS; i++)
        p->first[i] = MAIN + 0x1000 * (1 + i % 20) + 0x400 * (i / 20) + roll(0x80);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        p->at = p->first[i];
        PUT(p, 0x49, 0x79, 0x01, 0xc3); /* dec ecx; jns over the ret */
        for (unsigned k = 3 + roll(ITEMS - 3); k > 0; k--)
            put_item(p);
        PUT(p, 0xc3);
    }
    p->at = MAIN;
    PUT(p, 0x90, 0x90, 0xbc); /* the stack begins again */
    put32(p, KSTACK);
    PUT(p, 0x89, 0x25);
    put32(p, SAVED);
    PUT(p, 0xb9);
    put32(p, 60);
    for (unsigned i = 0; i < CALLS; i++)
        put_call(p);
    PUT(p, 0xe9);
    put32(p, MAIN - (p->at + 4));
    /* Each page's twin has INC EDX where it has NOPs. */
    memcpy(p->bytes + TWINS + MAIN, p->bytes + MAIN, TABLE - MAIN);
    for (uint32_t at = TWINS + MAIN; at < TWINS + TABLE; at++)
        if (p->bytes[at] == 0x90)
            p->bytes[at] = 0x42;
    for (unsigned i = 0; i < FUNCTIONS; i++)
        memcpy(p->bytes + TABLE + 4 * i, &p->first[i], 4);
}

static struct bench *machine_with(const struct soup *p)
{
    b = bench_new("pentium4");
    s = b->s;
    poke(b, MAIN, p->bytes + MAIN, 0x20000);
    poke(b, TWINS + MAIN, p->bytes + TWINS + MAIN, 0x20000);
    descriptor(b, GDT + S_LOW, 0, 0x7ffff, 0x92, 0xc);
    s->gdtr.limit = S_LOW + 7;
    map_32bit();
    for (unsigned v = 0; v < 32; v++) { /* what faults begins again; EDI tells with which errors */
        static const uint8_t again[] = {0x03, 0x3c, 0x24, 0xe9};

        poke(b, handler(v), again, sizeof(again));
        poke32(b, handler(v) + 4, MAIN - (handler(v) + 8));
    }
    s->rip = MAIN;
    refresh(b);
    return b;
}

static void compare(struct bench *one, struct bench *other, uint8_t *a, uint8_t *c)
{
    ck_assert_uint_eq(one->m->st->position, other->m->st->position);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(one->s->gpr[i], other->s->gpr[i]);
    ck_assert_uint_eq(one->s->rip, other->s->rip);
    memory_read_bytes(&one->m->memory, 0, a, RAM);
    memory_read_bytes(&other->m->memory, 0, c, RAM);
    ck_assert(!memcmp(a, c, RAM));
}

START_TEST(calls_come_back_to_where_they_do_when_interpreted)
{
    struct soup *p = xmalloc(sizeof(*p));
    uint8_t *a = xmalloc(RAM), *c = xmalloc(RAM);

    for (unsigned round = 0; round < 40; round++) {
        struct bench *one, *other;

        seed = 1000u * (unsigned)_i + round;
        make_soup(p);
        one = machine_with(p);
        other = machine_with(p);
        if (!with_jit(&other->c->u))
            round = 40;
        for (unsigned n = 0; n < 20; n++) {
            unsigned len = 1 + roll(n < 10 ? 200 : 20000);

            steps(one, len);
            steps(other, len);
            compare(one, other, a, c);
        }
        bench_free(one);
        bench_free(other);
    }
    free(p);
    free(a);
    free(c);
}
END_TEST

/* A call that comes back with DS as it was, or with its limit at 2 GiB, in turns: what is stored above that is #PF, or #GP. */
START_TEST(a_call_comes_back_in_another_mode)
{
    unsigned faults[2] = {0};

    b = bench_new("pentium4");
    s = b->s;
    with_jit(&b->c->u);
    descriptor(b, GDT + S_LOW, 0, 0x7ffff, 0x92, 0xc);
    s->gdtr.limit = S_LOW + 7;
    map_32bit();
    poke32(b, DATA, S_DATA);
    poke16(b, handler(13), 0xfeeb); /* jmp $ */
    poke16(b, handler(14), 0xfeeb);
    CODE(b, 0xe8, 0x0b, 0, 0, 0);                   /* call f */
    CODE(b, 0xa3, 0, 0, 0, 0x90);                   /* mov [0x90000000], eax */
    CODE(b, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
    CODE(b, 0x81, 0x35, 0, 0, 4, 0, S_DATA ^ S_LOW, 0, 0, 0); /* f: xor dword [DATA], both */
    CODE(b, 0xff, 0x35, 0, 0, 4, 0, 0x1f, 0xc3);    /* push dword [DATA]; pop ds; ret */
    for (unsigned i = 0; i < 40; i++) {
        s->rip = KCODE;
        s->gpr[ESP] = KSTACK;
        s->seg[SEG_DS] = flat(S_DATA, 0x93);
        refresh(b);
        steps(b, 100);
        faults[i & 1] += s->rip == handler(i & 1 ? 14 : 13);
    }
    EQ(faults[0], 20);
    EQ(faults[1], 20);
    bench_free(b);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 returns");
    TCase *tc = tcase_create("returns");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, calls_come_back_to_where_they_do_when_interpreted, 0, 4);
    tcase_add_test(tc, a_call_comes_back_in_another_mode);
    suite_add_tcase(suite, tc);
    return suite;
}
