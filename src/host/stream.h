/*
 * Byte streams to the outside (TCP, unix sockets, pipes, terminals, pty): never
 * block, queue what cannot be written yet. And the listening sockets they come
 * from.
 */
#ifndef HINDCAST_HOST_STREAM_H
#define HINDCAST_HOST_STREAM_H

#include "base/buffer.h"
#include "base/error.h"
#include "host/poller.h"

struct stream {
    int in;             /* file descriptor read from, or -1 */
    int out;            /* file descriptor written to (may equal in), or -1 */
    bool owned;         /* close them at the end */
    bool is_socket;     /* use send/recv with MSG_DONTWAIT; else poll before each call */
    bool closed;        /* the peer went away, or an error; the queue was dropped */
    struct buffer queue; /* accepted, not yet written */
};

void stream_init(struct stream *s);
/* Use descriptors that somebody else owns (stdin and stdout). */
void stream_from_fds(struct stream *s, int in, int out);
/* The program's stdin and stdout. */
void stream_from_stdio(struct stream *s);
void stream_close(struct stream *s);
static inline bool stream_open(const struct stream *s)
{
    return (s->in >= 0 || s->out >= 0) && !s->closed;
}

/* What is there now, at most `len`: > 0; 0: nothing yet; -1: the peer is gone (and nothing more to read). */
long stream_read(struct stream *s, void *buf, size_t len);
/* Queue bytes and write as much as goes now. Bytes to a closed stream are dropped. */
void stream_write(struct stream *s, const void *buf, size_t len);
/* Write what the queue holds as far as it goes now. */
void stream_flush(struct stream *s);
/* Write the whole queue, waiting at most `timeout_ns`. */
void stream_drain(struct stream *s, uint64_t timeout_ns);
void stream_poll(const struct stream *s, struct poller *p, bool want_read);

/* A listening socket. */
struct listener {
    int fd;              /* -1: none */
    char *unix_path;     /* removed again at the end; NULL for TCP */
    char name[300];      /* as a person (and gdb's `target remote`) would write it */
};

/* Where to listen or connect: "HOST:PORT", ":PORT", "PORT", "unix:PATH"; an IPv6
 * host in brackets. No host means 127.0.0.1; port 0 lets the system choose (see
 * name). Error: says what is wrong, e.g. which port is in use and what to do. */
int listener_open(struct listener *l, const char *where, struct error *err);
void listener_close(struct listener *l);
/* The next client, or false when nobody waits. */
bool listener_accept(struct listener *l, struct stream *client);
int stream_connect(struct stream *s, const char *where, struct error *err);

#endif
