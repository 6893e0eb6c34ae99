/*
 * Bare-metal work for several CPUs of the benchmark, on the boards as the example of the lost update (examples/lost-update) sets
 * them up: each CPU computes, reads and writes memory of its own, and now and then adds to what all have. SCALE divides the work.
 */
#include "jobs.h"

#ifndef SCALE
#define SCALE 1
#endif

#define CPUS  64
#define WORDS 16384u

static u32 table[CPUS][WORDS];
static volatile u32 cpus, there, finished, sum;

static u32 work(u32 *own)
{
    u32 c = ~0u;

    for (u32 round = 0; round < 1000 / SCALE; round++) {
        for (u32 i = 0; i < WORDS; i++) {
            c ^= own[i];
            for (u32 k = 0; k < 4; k++)
                c = (c >> 1) ^ (0xedb88320u & -(c & 1));
            own[i] += c;
        }
        add(&sum, c);
    }
    return c;
}

void cpu_main(u32 cpu)
{
    if (cpu == 0) {
        cpus = count_cpus();
        wake_others();
    }
    add(&there, 1);
    while (there < cpus)
        relax();
    work(table[cpu % CPUS]);
    add(&finished, 1);
    if (cpu != 0)
        return;
    while (finished < cpus)
        relax();
    end(1);
}
