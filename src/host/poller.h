/*
 * Waiting for several file descriptors at once: a list that is filled anew
 * before each wait.
 */
#ifndef HINDCAST_HOST_POLLER_H
#define HINDCAST_HOST_POLLER_H

#include "base/types.h"

#include <poll.h>

#define POLLER_MAX 512 /* a guest may have many connections */

struct poller {
    struct pollfd fds[POLLER_MAX];
    unsigned count;
};

#define POLLER_WAIT_FOREVER UINT64_MAX

static inline void poller_clear(struct poller *p)
{
    p->count = 0;
}
/* Also wake when `fd` can be read or written; fd < 0 is ignored. */
void poller_add(struct poller *p, int fd, bool want_read, bool want_write);
/* Wait at most `timeout_ns` (0: look only). True: something is ready, or a signal came. */
bool poller_wait(struct poller *p, uint64_t timeout_ns);

/* Stop requests by signal (INT, TERM, HUP): install once; afterwards the number of the
 * last signal that came, or 0. They also end poller_wait(). PIPE is ignored. */
void host_signals_install(void);
int host_signal_pending(void);

bool host_stderr_is_terminal(void);

#endif
