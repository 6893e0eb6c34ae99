/*
 * What the guests of several CPUs share: claims that are said on the serial port, and work for other CPUs.
 *
 * CPU 0 runs main(); every other CPU waits for a function (give()), runs it and says so (finished()). The board's file
 * has the entry, put(), cpu_number(), relax() (others may go on), nudge() (a CPU that relaxes looks again), end().
 */
#ifndef CPUS_CLAIMS_H
#define CPUS_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_CPUS 64

typedef void work_fn(unsigned cpu);

static void put(char c);
static unsigned cpu_number(void);
static void relax(void);
static void nudge(void);

static volatile unsigned ncpus; /* that are there */
static struct {
    work_fn *volatile work;
    volatile uint64_t at[6]; /* for the work's own use */
    char pad[64];
} per_cpu[MAX_CPUS];
static unsigned claims, failures;

static void say(const char *text)
{
    while (*text)
        put(*text++);
}

static void say_number(uint64_t n)
{
    char digits[20];
    unsigned i = 0;

    do
        digits[i++] = (char)('0' + n % 10);
    while (n /= 10);
    while (i)
        put(digits[--i]);
}

static void claim(const char *text, bool holds)
{
    claims++;
    failures += !holds;
    say(holds ? "ok   " : "FAIL ");
    say(text);
    say("\n");
}

static __attribute__((unused)) void note(const char *text, uint64_t n)
{
    say("     ");
    say(text);
    say(" ");
    say_number(n);
    say("\n");
}

#define UNTIL(condition) do { while (!(condition)) relax(); } while (0)

static void give(unsigned cpu, work_fn *work)
{
    __sync_synchronize();
    per_cpu[cpu].work = work;
    nudge();
}

static void finished(unsigned cpu)
{
    UNTIL(!per_cpu[cpu].work);
    __sync_synchronize();
}

/* All CPUs, this one too, do it; done when all have. */
static void all_do(work_fn *work)
{
    for (unsigned n = 1; n < ncpus; n++)
        give(n, work);
    work(0);
    for (unsigned n = 1; n < ncpus; n++)
        finished(n);
}

/* Where other CPUs live. */
static void serve(unsigned cpu)
{
    for (;;) {
        UNTIL(per_cpu[cpu].work);
        __sync_synchronize();
        per_cpu[cpu].work(cpu);
        __sync_synchronize();
        per_cpu[cpu].work = 0;
        nudge();
    }
}

/* ---- claims that do not depend on the board ---- */

#define TURNS 300u

static volatile uint32_t counter, lock_word, plain;
static volatile uint64_t wide;

static void count_atomically(unsigned cpu)
{
    (void)cpu;
    for (unsigned i = 0; i < TURNS; i++) {
        __sync_fetch_and_add(&counter, 1);
        for (uint64_t old = wide; !__sync_bool_compare_and_swap(&wide, old, old + 3); old = wide)
            ;
    }
}

static void count_locked(unsigned cpu)
{
    (void)cpu;
    for (unsigned i = 0; i < TURNS; i++) {
        while (__sync_lock_test_and_set(&lock_word, 1))
            relax();
        plain = plain + 1;
        __sync_lock_release(&lock_word);
        nudge();
    }
}

static void claim_atomics(void)
{
    counter = plain = 0;
    wide = 0;
    all_do(count_atomically);
    claim("atomic additions and compare-and-swaps of all CPUs lose nothing",
          counter == ncpus * TURNS && wide == 3ull * ncpus * TURNS);
    all_do(count_locked);
    claim("what a lock guards loses nothing", plain == ncpus * TURNS);
}

static int finish(void)
{
    say_number(claims);
    say(" claims, ");
    say_number(failures);
    say(failures ? " FAIL\n" : " failed: all hold\n");
    return failures != 0;
}

#endif
