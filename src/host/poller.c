/*
 * Waiting for several file descriptors at once (ppoll(2)), and signals.
 */
#include "host/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

void poller_add(struct poller *p, int fd, bool want_read, bool want_write)
{
    if (fd < 0 || (!want_read && !want_write))
        return;
    CHECK(p->count < POLLER_MAX);
    p->fds[p->count++] = (struct pollfd){
        .fd = fd,
        .events = (short)((want_read ? POLLIN : 0) | (want_write ? POLLOUT : 0)),
    };
}

/* Process-wide by nature, and no part of any machine. */
static volatile sig_atomic_t pending_signal;
/* Becomes readable with the first signal and stays so: a signal that comes just
 * before a wait ends it too. */
static int signal_pipe[2] = {-1, -1};

bool poller_wait(struct poller *p, uint64_t timeout_ns)
{
    struct timespec ts = {
        .tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u),
    };
    int n;

    poller_add(p, signal_pipe[0], true, false);
    n = ppoll(p->fds, p->count, timeout_ns == POLLER_WAIT_FOREVER ? NULL : &ts, NULL);
    return n != 0;
}

static void on_signal(int sig)
{
    int e = errno;
    ssize_t n;

    /* A second one, while the first is not being heeded: the ordinary death. */
    if (pending_signal)
        signal(sig, SIG_DFL);
    pending_signal = sig;
    n = write(signal_pipe[1], "", 1);
    (void)n;
    errno = e;
}

void host_signals_install(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa;

    CHECK(pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    memset(&sa, 0, sizeof sa);
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = on_signal;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        CHECK(sigaction(ends[i], &sa, NULL) == 0);
    sa.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGPIPE, &sa, NULL) == 0);
    /* A file that may not grow further: writing fails, and that is told. */
    CHECK(sigaction(SIGXFSZ, &sa, NULL) == 0);
}

int host_signal_pending(void)
{
    return pending_signal;
}

bool host_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}
