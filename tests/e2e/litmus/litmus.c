/*
 * Litmus tests: what a few CPUs can see of each other's accesses. Each is made many times; how often each outcome came is told
 * at the end, a line for each test: its name, then OUTCOME:COUNT.
 */
#include "../../../examples/lost-update/jobs.h"

#define CPUS  4
#define TIMES 150

static volatile u32 cpus, waiting, round_number;
static volatile u32 x __attribute__((aligned(64))), y __attribute__((aligned(64)));
static volatile u32 r[4];
static u32 counts[256];

static void mp(u32 cpu)
{
    if (cpu == 0) {
        x = 1;
        y = 1;
    } else if (cpu == 1) {
        r[0] = y;
        r[1] = x;
    }
}

static void sb(u32 cpu)
{
    if (cpu == 0) {
        x = 1;
        r[0] = y;
    } else if (cpu == 1) {
        y = 1;
        r[1] = x;
    }
}

static void lb(u32 cpu)
{
    if (cpu == 0) {
        r[0] = x;
        y = 1;
    } else if (cpu == 1) {
        r[1] = y;
        x = 1;
    }
}

static void iriw(u32 cpu)
{
    if (cpu == 0) {
        x = 1;
    } else if (cpu == 1) {
        y = 1;
    } else if (cpu == 2) {
        r[0] = x;
        r[1] = y;
    } else {
        r[2] = y;
        r[3] = x;
    }
}

static void corr(u32 cpu)
{
    if (cpu == 0) {
        x = 1;
    } else if (cpu == 1) {
        r[0] = x;
        r[1] = x;
    }
}

static void two_writes(u32 cpu)
{
    if (cpu == 0) {
        x = 1;
        y = 2;
    } else if (cpu == 1) {
        y = 1;
        x = 2;
    }
}

/* LOCK XADD, LDXR and STXR. */
static void atomic_add(u32 cpu)
{
    if (cpu < 3)
        add(&x, 1);
}

/* The same without: it can go wrong. */
static void plain_add(u32 cpu)
{
    if (cpu < 2)
        x = x + 1;
}

static void exchange(u32 cpu)
{
    if (cpu < 2)
        r[cpu] = __atomic_exchange_n(&x, cpu + 1, __ATOMIC_SEQ_CST);
}

/* A store between LDXR and STXR, or CMPXCHG of what was read before, is noticed. */
static void compare_and_swap(u32 cpu)
{
    u32 old = 0;

    if (cpu < 3)
        r[cpu] = __atomic_compare_exchange_n(&x, &old, cpu + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static const struct test {
    const char *name;
    void (*make)(u32 cpu);
    u32 digits; /* of the outcome: r[0], r[1]..., or x, y */
    int memory;
} tests[] = {
    {"MP", mp, 2, 0},           {"SB", sb, 2, 0},
    {"LB", lb, 2, 0},           {"IRIW", iriw, 4, 0},
    {"CoRR", corr, 2, 0},       {"2+2W", two_writes, 2, 1},
    {"add", atomic_add, 1, 1},  {"plain", plain_add, 1, 1},
    {"xchg", exchange, 2, 0},   {"cas", compare_and_swap, 3, 0},
};

/* All CPUs meet here. */
static void meet(void)
{
    u32 number = round_number;

    if (add(&waiting, 1) + 1 == cpus) {
        waiting = 0;
        round_number = number + 1;
    }
    while (round_number == number)
        ;
}

static u32 outcome(const struct test *t)
{
    u32 sum = 0;

    for (u32 i = 0; i < t->digits; i++)
        sum = sum * 4 + (t->memory ? (i ? y : x) : r[i]);
    return sum;
}

static void print_number(u32 n)
{
    char text[12], *p = text + sizeof(text) - 1;

    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    print(p);
}

static void tell(const struct test *t)
{
    char digit[2] = "";

    print(t->name);
    for (u32 o = 0; o < 256; o++) {
        if (!counts[o])
            continue;
        print(" ");
        for (u32 i = t->digits; i-- > 0;) {
            digit[0] = (char)('0' + (o >> 2 * i & 3));
            print(digit);
        }
        print(":");
        print_number(counts[o]);
        counts[o] = 0;
    }
    print("\n");
}

static void run(const struct test *t, u32 cpu, u32 *random)
{
    for (u32 n = 0; n < TIMES; n++) {
        if (cpu == 0)
            x = y = r[0] = r[1] = r[2] = r[3] = 0;
        meet();
        *random = *random * 1664525 + 1013904223;
        for (u32 wait = *random >> 28; wait; wait--)
            __asm__ volatile("");
        t->make(cpu);
        meet();
        if (cpu == 0)
            counts[outcome(t)]++;
    }
    if (cpu == 0)
        tell(t);
}

void cpu_main(u32 cpu)
{
    u32 random = cpu * 77 + 1;

    if (cpu == 0) {
        cpus = CPUS;
        wake_others();
    }
    while (!cpus)
        ;
    for (u32 i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        run(&tests[i], cpu, &random);
    if (cpu == 0)
        end(1);
    for (;;)
#ifdef __aarch64__
        __asm__ volatile("wfi");
#else
        __asm__ volatile("hlt");
#endif
}
