/*
 * Bare-metal workloads for the benchmark, one picked by the kernel command
 * line ("crc", "sieve", "seqmem", "stride", "recurse", "indirect", "forever").
 * Each runs a fixed amount of work and then leaves through the debug-exit port.
 */
#include <stdint.h>

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

#define BUF_BYTES (4u << 20)
static uint32_t buf[BUF_BYTES / 4];
volatile uint32_t sink;

static void crc(void)
{
    uint32_t c = ~0u;

    for (uint32_t i = 0; i < 24000000; i++) {
        c ^= i & 0xff;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (0xedb88320u & -(c & 1));
    }
    sink = c;
}

static void sieve(void)
{
    uint8_t *flags = (uint8_t *)buf;
    uint32_t count = 0;

    for (int round = 0; round < 60; round++) {
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

static void seqmem(void)
{
    uint32_t sum = 0;

    for (int round = 0; round < 300; round++)
        for (uint32_t i = 0; i < BUF_BYTES / 4; i++) {
            sum += buf[i];
            buf[i] = sum;
        }
    sink = sum;
}

static void stride(void)
{
    uint32_t sum = 0;

    for (int round = 0; round < 40000; round++)
        for (uint32_t i = 0; i < BUF_BYTES / 4; i += 1024 + 16)
            sum += buf[i]++;
    sink = sum;
}

static __attribute__((noinline)) uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void recurse(void)
{
    sink = fib(37);
}

static __attribute__((noinline)) uint32_t f0(uint32_t x) { return x + 1; }
static __attribute__((noinline)) uint32_t f1(uint32_t x) { return x ^ 3; }
static __attribute__((noinline)) uint32_t f2(uint32_t x) { return x * 5; }
static __attribute__((noinline)) uint32_t f3(uint32_t x) { return x - 7; }

static void indirect(void)
{
    uint32_t (*volatile table[4])(uint32_t) = {f0, f1, f2, f3};
    uint32_t x = 1;

    for (uint32_t i = 0; i < 60000000; i++)
        x = table[x & 3](x);
    sink = x;
}

/* Work without end, with stores all over a buffer: for reverse latency. */
static void forever(void)
{
    uint32_t x = 1;

    for (;;) {
        x = x * 1664525u + 1013904223u;
        buf[x >> 12] += x;
        sink = x;
    }
}

static int is(const char *word, const char *line)
{
    for (; *line; line++) {
        const char *w = word, *l = line;

        while (*w && *w == *l)
            w++, l++;
        if (!*w && (*l == 0 || *l == ' '))
            return 1;
    }
    return 0;
}

uint32_t bench_main(const struct multiboot_info *mb);
uint32_t bench_main(const struct multiboot_info *mb)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } work[] = {
        {"crc", crc},         {"sieve", sieve},       {"seqmem", seqmem},   {"stride", stride},
        {"recurse", recurse}, {"indirect", indirect}, {"forever", forever},
    };
    const char *line = (const char *)mb->cmdline;

    for (unsigned i = 0; i < sizeof(work) / sizeof(work[0]); i++)
        if (is(work[i].name, line)) {
            work[i].run();
            return 0x10;
        }
    return 0x11;
}
