/*
 * Linux's perf events on the processor's own means, for test_perf_arm64.py and test_perf_amd64.py: performance counters,
 * samples by their overflow interrupt, breakpoint and watchpoint registers. Each line says what
 * was counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
#define CODE_LEN sizeof(long) /* as the interface has it */
#else
#define CODE_LEN 4
#endif

static volatile int samples;
static volatile long watched[4];

static void on_sample(int signal_number)
{
    (void)signal_number;
    samples++;
}

/* Two instructions a round. */
static void loop(long rounds)
{
#ifdef __x86_64__
    __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(rounds) : : "cc");
#else
    __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(rounds) : : "cc");
#endif
}

static __attribute__((noinline)) void target(void)
{
    __asm__ volatile("nop");
}

static int open_event(struct perf_event_attr *a)
{
    int fd;

    a->size = sizeof *a;
    a->disabled = a->exclude_kernel = a->exclude_hv = 1;
    fd = (int)syscall(SYS_perf_event_open, a, 0, -1, -1, 0);
    if (fd < 0)
        printf("events: no event of type %u: %s\n", a->type, strerror(errno));
    return fd;
}

static long stop(int fd)
{
    long count = -1;

    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    if (read(fd, &count, sizeof count) != sizeof count)
        count = -1;
    close(fd);
    return count;
}

static int hardware(unsigned long which, unsigned long period)
{
    struct perf_event_attr a = {.type = PERF_TYPE_HARDWARE, .config = which, .sample_period = period,
                                .wakeup_events = period != 0};

    return open_event(&a);
}

static int place(unsigned kind, const volatile void *address, unsigned len)
{
    struct perf_event_attr a = {.type = PERF_TYPE_BREAKPOINT, .bp_type = kind, .bp_addr = (unsigned long)address,
                                .bp_len = len, .sample_period = 1};

    return open_event(&a);
}

static void sampled(void)
{
    int fd = hardware(PERF_COUNT_HW_INSTRUCTIONS, 100000);

    signal(SIGUSR1, on_sample);
    mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
    fcntl(fd, F_SETSIG, SIGUSR1);
    fcntl(fd, F_SETOWN, getpid());
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(1000000);
    stop(fd);
    printf("events: %d samples\n", samples);
}

/* A child that does the same is another context: what it does is not counted. */
static void neighbour(void)
{
    if (!fork()) {
        target();
        watched[1] = 9;
        _exit(0);
    }
    wait(NULL);
}

int main(void)
{
    int fd;

    setbuf(stdout, NULL);
    fd = hardware(PERF_COUNT_HW_INSTRUCTIONS, 0);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(1000000);
    printf("events: %ld thousand instructions\n", stop(fd) / 1000);
    fd = hardware(PERF_COUNT_HW_CPU_CYCLES, 0);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(1000000);
    printf("events: %ld thousand cycles\n", stop(fd) / 1000);
    sampled();
    fd = place(HW_BREAKPOINT_X, (const volatile void *)target, CODE_LEN);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    for (int i = 0; i < 7; i++)
        target();
    neighbour();
    printf("events: %ld breakpoints\n", stop(fd));
    fd = place(HW_BREAKPOINT_W, &watched[1], 8);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    for (int i = 0; i < 5; i++)
        watched[0] = watched[1] = watched[2] = i;
    neighbour();
    printf("events: %ld stores\n", stop(fd));
    fd = place(HW_BREAKPOINT_RW, &watched[1], 4);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    for (int i = 0; i < 5; i++)
        watched[0] = watched[1];
    ((volatile char *)&watched[1])[4] = 1; /* beside it */
    printf("events: %ld loads\n", stop(fd));
    printf("events: done\n");
    return 0;
}
