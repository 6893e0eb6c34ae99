/*
 * Host time and entropy (clock_gettime(2), getrandom(2)).
 */
#include "host/clock.h"

#include <errno.h>
#include <sched.h>
#include <sys/random.h>
#include <time.h>

#include "base/error.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    CHECK(clock_gettime(id, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t host_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t host_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t host_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t host_zone_seconds(uint64_t wall_ns)
{
    time_t t = (time_t)(wall_ns / 1000000000u);
    struct tm tm;

    return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

void host_local_time(uint64_t wall_ns, const char *format, char *text, size_t size)
{
    time_t t = (time_t)(wall_ns / 1000000000u);
    struct tm tm;

    if (!localtime_r(&t, &tm) || !strftime(text, size, format, &tm))
        *text = 0;
}

void host_random(void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0) {
            CHECK(errno == EINTR);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

unsigned host_processors(void)
{
    cpu_set_t set;

    /* Those that we may use. */
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    return 1;
}
