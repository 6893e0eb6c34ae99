/*
 * The debugger's connection: who comes, who stays, what is read and sent.
 *
 * One debugger at a time. Who connects meanwhile waits a moment, for the one before may just be going (a
 * script that waits for the port by connecting to it); then each of its packets is answered with the reason,
 * and it is sent away.
 */
#include <string.h>

#include "host/clock.h"
#include "server_internal.h"

#define MS 1000000u
/* A second debugger waits so long for the first to go, */
#define SECOND_WAITS_NS (300 * (uint64_t)MS)
/* and is told so long that it cannot be served. */
#define SECOND_TOLD_NS (2000 * (uint64_t)MS)

static const char one_at_a_time[] = "hindcast: another debugger is connected; one at a time";

/* The client does not read what it is sent: nothing more is read from it until it has. */
static bool client_lags(const struct server *s)
{
    return s->client.queue.len >= SERVER_CONSOLE_BACKLOG;
}

void server_client_poll(const struct server *s, struct poller *p, uint64_t *timeout_ns)
{
    const struct server_second *second = &s->second;
    uint64_t until, now;

    if (!second->open)
        poller_add(p, s->config.listener.fd, true, false);
    else if (second->session)
        stream_poll(&second->stream, p, true);
    if (s->session)
        stream_poll(&s->client, p, !client_lags(s));
    if (!second->open)
        return;
    now = host_monotonic_ns();
    until = second->since_ns + SECOND_WAITS_NS + (second->session ? SECOND_TOLD_NS : 0);
    if (!s->session && !second->session)
        until = now;
    if (*timeout_ns > (until > now ? until - now : 0))
        *timeout_ns = until > now ? until - now : 0;
}

static void take_client(struct server *s)
{
    struct server_second *second = &s->second;

    if (second->open && !second->session) {
        s->client = second->stream;
        second->open = false;
    } else if (!listener_accept(&s->config.listener, &s->client)) {
        return;
    }
    s->session = rsp_create(&s->info, &s->ops, s);
    rsp_set_tracing(s->session, s->tracing);
    if (s->machine->st->end == GUEST_TRIPLE_FAULT)
        rsp_begin_with(s->session, server_ended_cpu(s));
}

static void read_client(struct server *s)
{
    uint8_t bytes[8192];
    long n;

    /* A monitor command may run the guest, and so come by here again: then packets wait, but a Ctrl-C is seen. */
    if (client_lags(s) || s->client_lost)
        return;
    rsp_feed(s->session, "", 0); /* what came with the packet that is being answered */
    while ((n = stream_read(&s->client, bytes, sizeof bytes)) > 0) {
        s->heard_ns = host_monotonic_ns();
        rsp_feed(s->session, bytes, (size_t)n);
    }
    if (n < 0)
        s->client_lost = true;
}

static void close_second(struct server *s)
{
    struct server_second *second = &s->second;

    if (!second->open)
        return;
    rsp_destroy(second->session);
    stream_close(&second->stream);
    *second = (struct server_second){.open = false};
}

/* What this session has to say goes to its client, as far as that reads. */
static void send_output(struct rsp_session *session, struct stream *client)
{
    struct buffer *out;

    /* Taking output makes room for answers to packets that waited for it. */
    while ((out = rsp_output(session))->len && client->queue.len < SERVER_CONSOLE_BACKLOG && !client->closed) {
        stream_write(client, out->data, out->len);
        buffer_consume(out, out->len);
    }
    stream_flush(client);
}

static void turn_away(struct server *s)
{
    struct server_second *second = &s->second;
    uint8_t bytes[4096];
    long n;

    if (!second->session) {
        server_say(s, "a second debugger wanted to connect and was sent away: one at a time");
        second->session = rsp_create(&s->info, &s->ops, s);
        rsp_turn_away(second->session, one_at_a_time);
    }
    while ((n = stream_read(&second->stream, bytes, sizeof bytes)) > 0)
        rsp_feed(second->session, bytes, (size_t)n);
    send_output(second->session, &second->stream);
    if (n < 0 || second->stream.closed || rsp_ended(second->session) != RSP_GOES_ON ||
        host_monotonic_ns() - second->since_ns > SECOND_WAITS_NS + SECOND_TOLD_NS)
        close_second(s);
}

static void serve_second(struct server *s)
{
    struct server_second *second = &s->second;

    if (second->open && (second->session || host_monotonic_ns() - second->since_ns >= SECOND_WAITS_NS)) {
        turn_away(s);
    } else if (!second->open && s->session && !s->client_lost &&
               listener_accept(&s->config.listener, &second->stream)) {
        second->open = true;
        second->since_ns = host_monotonic_ns();
    }
}

void server_client_serve(struct server *s)
{
    if (s->session)
        read_client(s);
    else
        take_client(s);
    serve_second(s);
    server_client_flush(s);
}

void server_client_flush(struct server *s)
{
    if (!s->session || s->client_lost)
        return;
    send_output(s->session, &s->client);
    if (s->client.closed)
        s->client_lost = true;
}

size_t server_client_backlog(const struct server *s)
{
    return s->session ? s->client.queue.len + rsp_output(s->session)->len : 0;
}

static void drop_client(struct server *s)
{
    server_forget_stops(s);
    if (s->tracing)
        rsp_tracing_client_gone(s->tracing);
    rsp_destroy(s->session);
    s->session = NULL;
    stream_close(&s->client);
    s->client_lost = false;
    if (s->config.gdb_stdio)
        s->quit = true;
}

void server_client_check(struct server *s)
{
    enum rsp_end end = rsp_ended(s->session);

    if (end == RSP_GOES_ON && !s->client_lost)
        return;
    server_client_flush(s);
    if (end != RSP_GOES_ON)
        stream_drain(&s->client, 200 * MS);
    drop_client(s);
    if (s->config.gdb_stdio)
        return;
    switch (end) {
    case RSP_KILLED:
        s->quit = true;
        break;
    case RSP_DETACHED:
        s->free_running = !s->config.hold;
        server_say(s, "the debugger detached; the guest %s; the next one can attach to %s",
                   s->free_running ? "runs on" : "is held", s->config.listener.name);
        break;
    case RSP_FOREIGN:
        server_say(s, "a connection that began like HTTP was closed: a web page in a browser?");
        break;
    case RSP_GOES_ON:
        server_say(s, "the debugger's connection ended; the guest is held at position %" PRIu64
                   "; the next one can attach to %s",
                   timeline_position(s->timeline), s->config.listener.name);
        break;
    }
}

void server_client_finish(struct server *s)
{
    close_second(s);
    rsp_destroy(s->session);
    stream_close(&s->client);
    listener_close(&s->config.listener);
}
