/*
 * What the example needs of its machine: CPUs, a console, an end.
 */
#ifndef JOBS_H
#define JOBS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

u32 count_cpus(void);
/* The other CPUs begin in cpu_main(). */
void wake_others(void);
/* Where each CPU begins. They are numbered in the order in which they come. */
void cpu_main(u32 cpu);
void print(const char *text);
/* Power off; or end with a status that says that something is wrong. */
void end(int good) __attribute__((noreturn));

static inline u32 add(volatile u32 *where, u32 n)
{
    return __atomic_fetch_add(where, n, __ATOMIC_SEQ_CST);
}

static inline void relax(void)
{
#ifdef __aarch64__
    __asm__ volatile("yield");
#else
    __asm__ volatile("pause");
#endif
}

#endif
