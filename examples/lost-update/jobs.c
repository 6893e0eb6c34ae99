/*
 * A few CPUs work, and put what they have done on one list. In the end the first one looks whether all of it is there.
 *
 * It is, nearly always.
 */
#include "jobs.h"

#define CPUS 64
#define JOBS 8

struct job {
    struct job *next;
    u32 cpu, number, result;
    u32 seen;
};

static struct job jobs[CPUS][JOBS];
struct job *volatile done_list;
static volatile u32 cpus, there, finished;
struct job *lost;

/* Without a lock: the list only ever grows at its head. */
static void put(struct job *job)
{
    job->next = done_list;
    done_list = job;
}

/* So that no two jobs take the same time. */
static u32 work(u32 seed)
{
    u32 x = seed * 2654435761u;

    for (u32 n = 100 + (x >> 16) % 400; n; n--)
        x = x * 1664525 + 1013904223;
    return x;
}

static void do_jobs(u32 cpu)
{
    for (u32 n = 0; n < JOBS; n++) {
        struct job *job = &jobs[cpu][n];

        job->cpu = cpu;
        job->number = n;
        job->result = work(cpu * JOBS + n + 1);
        put(job);
    }
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

/* A job that is not on the list and stands before `next` (any, if that is 0). */
static struct job *find_missing(struct job *next)
{
    for (u32 cpu = 0; cpu < cpus; cpu++)
        for (u32 n = 0; n < JOBS; n++)
            if (!jobs[cpu][n].seen && (!next || jobs[cpu][n].next == next))
                return &jobs[cpu][n];
    return 0;
}

/* The job that was the head of the list when the list lost it. */
static struct job *find_lost(void)
{
    struct job *found = 0, *before;

    for (struct job *job = done_list; job; job = job->next)
        job->seen = 1;
    for (before = find_missing(0); before; before = find_missing(found))
        found = before;
    return found;
}

static void give_up(struct job *job)
{
    lost = job;
    print("lost: job ");
    print_number(job->number);
    print(" of CPU ");
    print_number(job->cpu);
    print("\n");
    end(0);
}

void cpu_main(u32 cpu)
{
    struct job *job;

    if (cpu == 0) {
        cpus = count_cpus();
        wake_others();
    }
    add(&there, 1);
    while (there < cpus)
        relax();
    do_jobs(cpu);
    add(&finished, 1);
    if (cpu != 0)
        return;
    while (finished < cpus)
        relax();
    job = find_lost();
    if (job)
        give_up(job);
    print("all jobs are there\n");
    end(1);
}
