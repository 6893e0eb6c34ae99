/*
 * Bare-metal workloads for the benchmark. One is picked when the guest is built:
 * WORK is its name, and SCALE divides the amount of work (1: some hundred million
 * instructions each). bench_main() returns when the work is done; the entry code of
 * the target then ends the guest.
 *
 * To add one: a function here or, if it is about interrupts and the like, in events.h; its name in LOOPS of bench/machines.py.
 */
#include <stdint.h>

#ifndef SCALE
#define SCALE 1
#endif

#define BUF_BYTES (4u << 20)

typedef float v4f __attribute__((vector_size(16)));

static uint32_t buf[BUF_BYTES / 4] __attribute__((aligned(32)));
volatile uint32_t sink;
volatile double fsink;
volatile uint32_t rare;

#define WORKLOAD __attribute__((unused)) static void

/* Integer arithmetic in registers. */
WORKLOAD crc(void)
{
    uint32_t c = ~0u;

    for (uint32_t i = 0; i < 24000000 / SCALE; i++) {
        c ^= i & 0xff;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (0xedb88320u & -(c & 1));
    }
    sink = c;
}

/* Multiplications and divisions. */
WORKLOAD muldiv(void)
{
    uint32_t a = 12345, sum = 0;

    for (uint32_t i = 1; i <= 40000000 / SCALE; i++) {
        a = a * 1664525u + 1013904223u;
        sum += a / (i | 1) + (uint32_t)((uint64_t)a * i >> 32);
    }
    sink = sum;
}

/* Byte stores and branches. */
WORKLOAD sieve(void)
{
    uint8_t *flags = (uint8_t *)buf;
    uint32_t count = 0;

    for (int round = 0; round < (SCALE > 60 ? 1 : 60 / SCALE); round++) {
        for (uint32_t i = 0; i < 1000000; i++)
            flags[i] = 1;
        for (uint32_t i = 2; i < 1000000; i++) {
            if (!flags[i])
                continue;
            count++;
            for (uint32_t k = i + i; k < 1000000; k += i)
                flags[k] = 0;
        }
    }
    sink = count;
}

/* Loads and stores, one after the other. */
WORKLOAD seqmem(void)
{
    uint32_t sum = 0;

    for (int round = 0; round < 300 / SCALE; round++)
        for (uint32_t i = 0; i < BUF_BYTES / 4; i++) {
            sum += buf[i];
            buf[i] = sum;
        }
    sink = sum;
}

/* Loads and stores, each on another page. */
WORKLOAD stride(void)
{
    uint32_t sum = 0;

    for (int round = 0; round < 80000 / SCALE; round++)
        for (uint32_t i = 0; i < BUF_BYTES / 4; i += 1024 + 16)
            sum += buf[i]++;
    sink = sum;
}

/* Memory of the guest's behind all that is its program's. */
#ifdef __aarch64__
#define FAR_MEMORY ((volatile uint32_t *)0x42000000)
#else
#define FAR_MEMORY ((volatile uint32_t *)0x2000000)
#endif

/* A page after the other, of 32 MiB. */
WORKLOAD pages(void)
{
    uint32_t sum = 0;

    for (int round = 0; round < 4000 / SCALE; round++)
        for (uint32_t i = 0; i < 8u << 20; i += 1024 + 16)
            sum += FAR_MEMORY[i]++;
    sink = sum;
}

/* Two words 4 MiB apart, in turn. */
WORKLOAD apart(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 60000000 / SCALE; i++)
        sum += FAR_MEMORY[0] + FAR_MEMORY[1u << 20];
    sink = sum;
}

/* Reads all over 64 MiB. */
WORKLOAD scattered(void)
{
    uint32_t sum = 0, x = 1;

    for (uint32_t i = 0; i < 30000000 / SCALE; i++) {
        x = x * 1664525u + 1013904223u;
        sum += FAR_MEMORY[x >> 8];
    }
    sink = sum;
}

/* Computes, and dirties 64 MiB over and over. */
WORKLOAD dirty(void)
{
    uint32_t x = 1;

    for (uint32_t i = 0; i < 30000000 / SCALE; i++) {
        for (int k = 0; k < 8; k++)
            x = x * 1664525u + 1013904223u;
        FAR_MEMORY[x >> 8] = x;
    }
    sink = x;
}

__attribute__((noinline, unused)) static uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* Calls and returns. */
WORKLOAD recurse(void)
{
    for (unsigned i = 0; i < 32 / SCALE; i++)
        sink = fib(30);
}

__attribute__((noinline, unused)) static uint32_t f0(uint32_t x) { return x + 1; }
__attribute__((noinline, unused)) static uint32_t f1(uint32_t x) { return x ^ 3; }
__attribute__((noinline, unused)) static uint32_t f2(uint32_t x) { return x * 5; }
__attribute__((noinline, unused)) static uint32_t f3(uint32_t x) { return x - 7; }

/* Calls through a table. */
WORKLOAD indirect(void)
{
    uint32_t (*volatile table[4])(uint32_t) = {f0, f1, f2, f3};
    uint32_t x = 1;

    for (uint32_t i = 0; i < 60000000 / SCALE; i++)
        x = table[x & 3](x);
    sink = x;
}

/* Floating point, double precision (i386: x87). */
WORKLOAD fp(void)
{
    double x = 0.5, y = 0.25, sum = 0;

    for (uint32_t i = 1; i <= 8000000 / SCALE; i++) {
        x = x * 3.5 * (1.0 - x) + 0.001;
        y = (y + x) / 1.75;
        sum += x * y - 1.0 / (double)i;
    }
    fsink = sum;
}

#ifdef __x86_64__
/* Floating point of 80 bits, and x87's transcendental functions. */
WORKLOAD x87(void)
{
    long double x = 0.5L, sum = 0;

    for (uint32_t i = 1; i <= 4000000 / SCALE; i++) {
        x = x * 3.5L * (1.0L - x) + 0.001L;
        sum += x / (long double)i;
        if (!(i & 15)) {
            long double s = x;

            __asm__("fsin" : "+t"(s));
            sum += s;
        }
    }
    fsink = (double)sum;
}
#endif

#ifdef __SSE4_2__
/* The length of strings, 16 bytes at once (PCMPISTRI). */
WORKLOAD strings(void)
{
    typedef char v16 __attribute__((vector_size(16)));
    const v16 not_zero = {1, -1};
    char *text = (char *)buf;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < BUF_BYTES; i++)
        text[i] = i % 1000 == 999 ? 0 : 'a';
    for (uint32_t round = 0; round < 30 / SCALE + 1; round++)
        for (uint32_t at = 0; at + 1008 < BUF_BYTES; at += 1000) {
            uint32_t i = 0;

            while (!__builtin_ia32_pcmpistric128(not_zero, *(const v16 __attribute__((aligned(1), may_alias)) *)(text + at + i), 0x14) &&
                   i < 976)
                i += 16;
            sum += i;
        }
    sink = sum;
}
#endif

/* Four floats at once (SSE, Advanced SIMD). */
WORKLOAD simd(void)
{
    v4f *v = (v4f *)buf, k = {1.5f, 0.5f, 0.25f, 0.75f};

    for (unsigned i = 0; i < 4096; i++)
        v[i] = (v4f){(float)i, 1, 2, 3};
    for (unsigned round = 0; round < 6400 / SCALE; round++)
        for (unsigned i = 0; i < 4096; i++)
            v[i] = v[i] * k + k;
    fsink = v[17][1];
}

#ifdef __AVX2__
/* Eight floats at once, multiplied and added in one, and eight integers (AVX2, FMA). */
WORKLOAD avx(void)
{
    typedef float v8f __attribute__((vector_size(32)));
    typedef uint32_t v8u __attribute__((vector_size(32)));
    v8f *v = (v8f *)buf, k = {1.5f, 0.5f, 0.25f, 0.75f, 0.125f, 0.625f, 0.375f, 0.875f};
    v8u *w = (v8u *)buf + 4096, n = {3, 5, 7, 9, 11, 13, 15, 17};

    for (unsigned i = 0; i < 4096; i++)
        v[i] = (v8f){(float)i, 1, 2, 3, 4, 5, 6, 7};
    for (unsigned round = 0; round < 6400 / SCALE; round++)
        for (unsigned i = 0; i < 4096; i++) {
            v[i] = v[i] * k + k;
            w[i] = ((w[i] + n) << 3) ^ (w[i] >> 1);
        }
    fsink = v[17][1];
    sink = w[17][1];
}
#endif

/* Four integers at once (Advanced SIMD). */
WORKLOAD simdint(void)
{
    typedef uint32_t v4u __attribute__((vector_size(16)));
    v4u *v = (v4u *)buf, k = {3, 5, 7, 9};

    for (unsigned round = 0; round < 24000 / SCALE; round++)
        for (unsigned i = 0; i < 4096; i++)
            v[i] = ((v[i] + k) << 3) ^ (v[i] >> 1);
    sink = v[17][1];
}

/* Atomic additions and compare-and-swap (LOCK; exclusives). */
WORKLOAD atomics(void)
{
    for (uint32_t i = 0; i < 40000000 / SCALE; i++) {
        uint32_t expected = i & 1;

        __atomic_fetch_add(&buf[i & 63], i, __ATOMIC_SEQ_CST);
        __atomic_compare_exchange_n(&buf[64], &expected, expected ^ 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    sink = buf[7];
}

#include "events.h"

/* Stops of the reverse measurements: called once near the start, and seldom. */
__attribute__((noinline, used)) void once(void)
{
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline, used)) void seldom(uint32_t n)
{
    rare = n;
}

/* A session of 10 billion steps: stores all over a buffer, `once` at its start, `seldom` each 23 million steps. */
WORKLOAD session(void)
{
    uint32_t x = 1;

    once();
    for (uint32_t n = 0; n < 920000000 / SCALE; n++) {
        x = x * 1664525u + 1013904223u;
        buf[x >> 16] += x;
        sink = x;
        if (!(n & 0x1fffff))
            seldom(n);
    }
}

void bench_main(void);
void bench_main(void)
{
    WORK();
}
