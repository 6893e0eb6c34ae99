/*
 * Byte streams and listening sockets (socket(7), tcp(7), unix(7)).
 *
 * Descriptors that are shared with other programs (stdin, stdout) are never
 * made non-blocking, because that would change them for the others too: they
 * are polled before each call instead, and written in small pieces.
 */
#include "host/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/clock.h"

/* A pipe or terminal that poll() calls writable takes this much without blocking. */
#define SAFE_WRITE 512
/* Clients that may wait while the one before them is served. */
#define BACKLOG 64

void stream_init(struct stream *s)
{
    memset(s, 0, sizeof *s);
    s->in = s->out = -1;
    buffer_init(&s->queue);
}

/* Take over a connected socket. */
static void stream_from_socket(struct stream *s, int fd)
{
    int on = 1;

    stream_init(s);
    s->in = s->out = fd;
    s->owned = s->is_socket = true;
    /* Packets are small and answered one by one. Fails harmlessly on unix sockets. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void stream_from_fds(struct stream *s, int in, int out)
{
    stream_init(s);
    s->in = in;
    s->out = out;
}

void stream_from_stdio(struct stream *s)
{
    stream_from_fds(s, STDIN_FILENO, STDOUT_FILENO);
}

void stream_close(struct stream *s)
{
    if (s->owned) {
        if (s->in >= 0)
            close(s->in);
        if (s->out >= 0 && s->out != s->in)
            close(s->out);
    }
    buffer_finish(&s->queue);
    stream_init(s);
}

static bool ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, 0) == 1;
}

static void mark_closed(struct stream *s)
{
    s->closed = true;
    buffer_clear(&s->queue);
}

/* What came is acknowledged at once: a client that sends in small pieces and has not set TCP_NODELAY waits for that before its next
 * packet, 40 ms each. (It holds until the system changes its mind, so it is said each time. Fails harmlessly on unix sockets.) */
static void acknowledge(const struct stream *s)
{
    int on = 1;

    if (s->is_socket)
        setsockopt(s->in, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

long stream_read(struct stream *s, void *buf, size_t len)
{
    ssize_t n;

    if (s->in < 0 || s->closed)
        return -1;
    if (len == 0)
        return 0;
    if (s->is_socket)
        n = recv(s->in, buf, len, MSG_DONTWAIT);
    else if (ready(s->in, POLLIN))
        n = read(s->in, buf, len);
    else
        return 0;
    if (n > 0) {
        acknowledge(s);
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    /* The end of a one-way descriptor does not end the other direction. */
    if (s->is_socket || s->in == s->out)
        mark_closed(s);
    else
        s->in = -1;
    return -1;
}

void stream_flush(struct stream *s)
{
    while (s->queue.len && s->out >= 0) {
        ssize_t n;

        if (s->is_socket) {
            n = send(s->out, s->queue.data, s->queue.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            size_t piece = s->queue.len < SAFE_WRITE ? s->queue.len : SAFE_WRITE;

            if (!ready(s->out, POLLOUT))
                return;
            n = write(s->out, s->queue.data, piece);
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) {
            mark_closed(s);
            return;
        }
        buffer_consume(&s->queue, (size_t)n);
    }
}

void stream_write(struct stream *s, const void *buf, size_t len)
{
    if (s->out < 0 || s->closed)
        return;
    buffer_append(&s->queue, buf, len);
    stream_flush(s);
}

void stream_drain(struct stream *s, uint64_t timeout_ns)
{
    uint64_t end = host_monotonic_ns() + timeout_ns;

    for (stream_flush(s); s->queue.len && !s->closed; stream_flush(s)) {
        struct poller p;
        uint64_t now = host_monotonic_ns();

        if (now >= end)
            return;
        poller_clear(&p);
        poller_add(&p, s->out, false, true);
        poller_wait(&p, end - now);
    }
}

void stream_poll(const struct stream *s, struct poller *p, bool want_read)
{
    if (s->closed)
        return;
    poller_add(p, s->in, want_read, false);
    poller_add(p, s->out, false, s->queue.len > 0);
}

/* ---- addresses ---- */

struct address {
    bool is_unix;
    char host[256]; /* or the path */
    char port[16];
};

static int bad_address(const char *where, struct error *err)
{
    return error_set(err, -EINVAL, "'%s' is no address: write HOST:PORT, :PORT or unix:PATH", where);
}

static int parse_address(const char *where, struct address *a, struct error *err)
{
    const char *host = where, *colon, *port;
    size_t hostlen;
    char *end;

    memset(a, 0, sizeof *a);
    if (strncmp(where, "unix:", 5) == 0) {
        if (where[5] == 0)
            return bad_address(where, err);
        if (strlen(where + 5) >= sizeof ((struct sockaddr_un *)0)->sun_path)
            return error_set(err, -ENAMETOOLONG, "%s: the path of a unix socket has at most %zu bytes", where,
                             sizeof ((struct sockaddr_un *)0)->sun_path - 1);
        a->is_unix = true;
        strcpy(a->host, where + 5);
        return 0;
    }
    if (strncmp(where, "tcp:", 4) == 0)
        host = where += 4;
    colon = strrchr(where, ':');
    port = colon ? colon + 1 : where;
    hostlen = colon ? (size_t)(colon - where) : 0;
    if (hostlen >= 2 && host[0] == '[' && host[hostlen - 1] == ']') {
        host++;
        hostlen -= 2;
    }
    unsigned long n = strtoul(port, &end, 10);
    if (hostlen >= sizeof a->host || *port < '0' || *port > '9' || *end)
        return bad_address(where, err);
    if (n > 65535)
        return error_set(err, -EINVAL, "%s: ports go from 0 to 65535", where);
    memcpy(a->host, host, hostlen);
    if (hostlen == 0)
        strcpy(a->host, "127.0.0.1");
    snprintf(a->port, sizeof a->port, "%lu", n);
    return 0;
}

static int unix_address(const struct address *a, struct sockaddr_un *sun)
{
    memset(sun, 0, sizeof *sun);
    sun->sun_family = AF_UNIX;
    strcpy(sun->sun_path, a->host);
    return 0;
}

static int resolve(const char *where, const struct address *a, bool passive, struct addrinfo **list,
                   struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    int r = getaddrinfo(a->host, a->port, &hints, list);

    if (r != 0)
        return error_set(err, -EADDRNOTAVAIL, "%s: %s", where, gai_strerror(r));
    return 0;
}

/* ---- listening ---- */

static void describe_tcp(struct listener *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char host[100], port[16];

    strcpy(l->name, "?");
    if (getsockname(l->fd, (struct sockaddr *)&ss, &len) < 0 ||
        getnameinfo((struct sockaddr *)&ss, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(l->name, sizeof l->name, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int listen_failed(struct listener *l, const char *where, const char *what, struct error *err)
{
    int e = errno;

    listener_close(l);
    if (e == EADDRINUSE)
        return error_set(err, -e,
                         "%s: already in use (is another hindcast or QEMU running?); choose another HOST:PORT", where);
    return error_set(err, -e, "%s: cannot %s: %s", where, what, strerror(e));
}

static int listen_unix(struct listener *l, const char *where, const struct address *a, struct error *err)
{
    struct sockaddr_un sun;
    struct stat st;

    unix_address(a, &sun);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return listen_failed(l, where, "make a socket", err);
    /* A socket that nobody listens on any more is a leftover: replace it. */
    if (stat(a->host, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (probe >= 0) {
            if (connect(probe, (struct sockaddr *)&sun, sizeof sun) < 0 && errno == ECONNREFUSED)
                unlink(a->host);
            close(probe);
        }
    }
    if (bind(l->fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        if (errno != EADDRINUSE || lstat(a->host, &st) < 0 || S_ISSOCK(st.st_mode))
            return listen_failed(l, where, "bind", err);
        listener_close(l);
        return error_set(err, -EEXIST, "%s: there is a file of that name, which is no socket: name another one", where);
    }
    l->unix_path = xstrdup(a->host);
    /* Who may connect may do to the guest what its owner may. */
    if (chmod(a->host, 0700) < 0)
        return listen_failed(l, where, "set the permissions of", err);
    if (listen(l->fd, BACKLOG) < 0)
        return listen_failed(l, where, "listen", err);
    snprintf(l->name, sizeof l->name, "%s", a->host);
    return 0;
}

int listener_open(struct listener *l, const char *where, struct error *err)
{
    struct addrinfo *list, *ai;
    struct address a;
    int on = 1;
    int r = parse_address(where, &a, err);

    memset(l, 0, sizeof *l);
    l->fd = -1;
    if (r < 0)
        return r;
    if (a.is_unix)
        return listen_unix(l, where, &a, err);
    r = resolve(where, &a, true, &list, err);
    if (r < 0)
        return r;
    errno = EADDRNOTAVAIL;
    for (ai = list; ai; ai = ai->ai_next) {
        l->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
        if (l->fd < 0)
            continue;
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(l->fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(l->fd, BACKLOG) == 0)
            break;
        int e = errno;
        close(l->fd);
        l->fd = -1;
        errno = e;
    }
    int e = errno;
    freeaddrinfo(list);
    errno = e;
    if (l->fd < 0)
        return listen_failed(l, where, "listen", err);
    describe_tcp(l);
    return 0;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    if (l->unix_path) {
        unlink(l->unix_path);
        free(l->unix_path);
        l->unix_path = NULL;
    }
}

bool listener_accept(struct listener *l, struct stream *client)
{
    int fd;

    if (l->fd < 0)
        return false;
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    stream_from_socket(client, fd);
    return true;
}

int stream_connect(struct stream *s, const char *where, struct error *err)
{
    struct address a;
    struct addrinfo *list, *ai;
    int fd = -1, r = parse_address(where, &a, err);

    stream_init(s);
    if (r < 0)
        return r;
    if (a.is_unix) {
        struct sockaddr_un sun;

        unix_address(&a, &sun);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
            r = error_set(err, -errno, "%s: cannot connect: %s", where, strerror(errno));
            if (fd >= 0)
                close(fd);
            return r;
        }
        stream_from_socket(s, fd);
        return 0;
    }
    r = resolve(where, &a, false, &list, err);
    if (r < 0)
        return r;
    for (ai = list; ai; ai = ai->ai_next) {
        fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
        if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
            break;
        r = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return error_set(err, -r, "%s: cannot connect: %s", where, strerror(r));
    stream_from_socket(s, fd);
    return 0;
}
