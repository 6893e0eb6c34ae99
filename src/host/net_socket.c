/*
 * Cables to other emulators. By a stream: each frame behind its length, 32 bits, most significant byte first. By UDP:
 * a datagram for each frame. As QEMU's socket, stream and dgram have them.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/netdev_kinds.h"
#include "host/stream.h"

/* What a peer has not read; more is lost. */
#define BACKLOG_MOST ((size_t)4 << 20)
/* Taken at a time. */
#define PIECE 65536u

struct cable {
    struct listener listener; /* fd -1: we called, or there are no streams */
    struct stream stream;
    struct buffer in;         /* of the stream, up to a whole frame */
    int udp;                  /* -1: a stream */
    struct sockaddr_storage peer;
    socklen_t peer_len;
};

static struct cable *cable_of(struct netdev *n)
{
    if (!n->back) {
        struct cable *c = xcalloc(1, sizeof(*c));

        c->listener.fd = c->udp = -1;
        stream_init(&c->stream);
        buffer_init(&c->in);
        n->back = c;
    }
    return n->back;
}

static void cable_close(struct netdev *n)
{
    struct cable *c = n->back;

    if (!c)
        return;
    listener_close(&c->listener);
    stream_close(&c->stream);
    buffer_finish(&c->in);
    if (c->udp >= 0)
        close(c->udp);
    free(c);
}

/* ---- streams ---- */

static int listen_at(struct netdev *n, const char *where, char **note, struct error *err)
{
    struct cable *c = cable_of(n);
    struct buffer b;
    int r = listener_open(&c->listener, where, err);

    if (r < 0)
        return r;
    buffer_init(&b);
    buffer_printf(&b, "netdev %s listens on %s", n->id, c->listener.name);
    buffer_append_byte(&b, 0);
    *note = (char *)b.data;
    return 0;
}

static void send_stream(struct cable *c, const uint8_t *frame, size_t len)
{
    uint8_t head[4];

    if (!stream_open(&c->stream) || c->stream.queue.len + len > BACKLOG_MOST)
        return;
    put_be32(head, (uint32_t)len);
    stream_write(&c->stream, head, sizeof(head));
    stream_write(&c->stream, frame, len);
}

/* The whole frames that have come. A length that no frame has: the peer is no emulator. */
static void take_frames(struct netdev *n, struct cable *c)
{
    size_t at = 0;

    while (c->in.len - at >= 4) {
        uint32_t len = get_be32(c->in.data + at);

        if (len > NETDEV_FRAME_MOST) {
            stream_close(&c->stream);
            buffer_clear(&c->in);
            return;
        }
        if (c->in.len - at - 4 < len)
            break;
        netdev_arrives(n, c->in.data + at + 4, len);
        at += 4 + len;
    }
    buffer_consume(&c->in, at);
}

static void service_stream(struct netdev *n, struct cable *c)
{
    uint8_t piece[PIECE];
    long got;

    if (c->listener.fd >= 0 && !stream_open(&c->stream)) {
        stream_close(&c->stream);
        buffer_clear(&c->in);
        listener_accept(&c->listener, &c->stream);
    }
    if (!stream_open(&c->stream))
        return;
    stream_flush(&c->stream);
    if (!netdev_has_room(n))
        return; /* TCP makes the sender wait */
    got = stream_read(&c->stream, piece, sizeof(piece));
    if (got > 0) {
        buffer_append(&c->in, piece, (size_t)got);
        take_frames(n, c);
    }
}

/* ---- datagrams ---- */

/* "HOST:PORT" */
static int resolve(const char *where, int flags, struct sockaddr_storage *out, socklen_t *len, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = AF_INET, .ai_flags = AI_NUMERICSERV | flags}, *list;
    const char *colon = strrchr(where, ':');
    char host[256];
    int r;

    if (!colon || !colon[1])
        return error_set(err, -EINVAL, "%s: write HOST:PORT", where);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - where < 255 ? colon - where : 255), where);
    r = getaddrinfo(*host ? host : "127.0.0.1", colon + 1, &hints, &list);
    if (r)
        return error_set(err, -EADDRNOTAVAIL, "%s: %s", where, gai_strerror(r));
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static int open_udp(struct netdev *n, const char *local, const char *remote, struct error *err)
{
    struct cable *c = cable_of(n);
    struct sockaddr_storage at;
    socklen_t len;
    int r = resolve(remote, 0, &c->peer, &c->peer_len, err);

    if (r == 0)
        r = resolve(local, AI_PASSIVE, &at, &len, err);
    if (r < 0)
        return r;
    c->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->udp < 0 || bind(c->udp, (struct sockaddr *)&at, len) < 0)
        return error_set(err, -errno, "%s: cannot receive there: %s", local, strerror(errno));
    return 0;
}

/* Datagrams of others than the peer are not for us. */
static bool is_peer(const struct cable *c, const struct sockaddr_storage *from, socklen_t len)
{
    return len == c->peer_len && !memcmp(from, &c->peer, len);
}

static void service_udp(struct netdev *n, struct cable *c)
{
    uint8_t frame[NETDEV_FRAME_MOST];
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    ssize_t got;

    while (netdev_has_room(n) && (got = recvfrom(c->udp, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0) {
        if (is_peer(c, &from, len))
            netdev_arrives(n, frame, (size_t)got);
        len = sizeof(from);
    }
}

/* ---- all of them ---- */

static void cable_send(struct netdev *n, const uint8_t *frame, size_t len)
{
    struct cable *c = n->back;

    if (c->udp >= 0)
        (void)!sendto(c->udp, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&c->peer, c->peer_len);
    else
        send_stream(c, frame, len);
}

static void cable_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns)
{
    struct cable *c = n->back;

    (void)timeout_ns;
    poller_add(p, c->udp, netdev_has_room(n), false);
    if (c->udp < 0 && !stream_open(&c->stream))
        poller_add(p, c->listener.fd, true, false);
    else if (c->udp < 0)
        stream_poll(&c->stream, p, netdev_has_room(n));
}

static void cable_service(struct netdev *n, const struct poller *p)
{
    struct cable *c = n->back;

    (void)p;
    if (c->udp >= 0)
        service_udp(n, c);
    else
        service_stream(n, c);
}

/* ---- options ---- */

static int socket_open(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    const char *listen = option_list_get(l, "listen"), *connect = option_list_get(l, "connect");
    const char *udp = option_list_get(l, "udp"), *local = option_list_get(l, "localaddr");

    if ((listen != NULL) + (connect != NULL) + (udp != NULL) != 1 || (udp != NULL) != (local != NULL))
        return error_set(err, -EINVAL, "it needs one of listen=HOST:PORT, connect=HOST:PORT, or udp= with localaddr=");
    if (listen)
        return listen_at(n, listen, note, err);
    if (udp)
        return open_udp(n, local, udp, err);
    return stream_connect(&cable_of(n)->stream, connect, err);
}

/* An address of several keys, "addr.type" and so on, in one text; NULL with *err. The caller frees it. */
static char *address(const struct option_list *l, const char *prefix, struct error *err)
{
    static const char *const parts[] = {"type", "host", "port", "path"};
    const char *value[ARRAY_LEN(parts)];
    struct buffer b;

    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        char key[24];

        snprintf(key, sizeof(key), "%s.%s", prefix, parts[i]);
        value[i] = option_list_get(l, key);
    }
    if (value[0] && !strcmp(value[0], "unix") ? !value[3] : !value[0] || strcmp(value[0], "inet") || !value[2]) {
        error_set(err, -EINVAL, "it needs %s.type=inet,%s.host=HOST,%s.port=PORT, or for streams %s.type=unix,%s.path=PATH",
                  prefix, prefix, prefix, prefix, prefix);
        return NULL;
    }
    buffer_init(&b);
    if (value[3])
        buffer_printf(&b, "unix:%s", value[3]);
    else
        buffer_printf(&b, "%s:%s", value[1] ? value[1] : "", value[2]);
    buffer_append_byte(&b, 0);
    return (char *)b.data;
}

static int open_stream(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    char *where = address(l, "addr", err);
    bool server = false;
    int r = where ? option_list_switch(l, "server", &server, err) : -EINVAL;

    if (r == 0)
        r = server ? listen_at(n, where, note, err) : stream_connect(&cable_of(n)->stream, where, err);
    free(where);
    return r;
}

static int open_dgram(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    char *local = address(l, "local", err), *remote = local ? address(l, "remote", err) : NULL;
    int r = remote ? open_udp(n, local, remote, err) : -EINVAL;

    (void)note;
    free(local);
    free(remote);
    return r;
}

static const struct option_key socket_keys[] = {
    {"listen", "[HOST]:PORT"}, {"connect", "[HOST]:PORT"}, {"udp", "HOST:PORT"}, {"localaddr", "HOST:PORT"}, {NULL, NULL}};
static const struct option_key stream_keys[] = {
    {"server", "on|off"}, {"addr.type", "inet|unix"}, {"addr.host", "HOST"}, {"addr.port", "PORT"}, {"addr.path", "PATH"},
    {NULL, NULL}};
static const struct option_key dgram_keys[] = {
    {"local.type", "inet"}, {"local.host", "HOST"}, {"local.port", "PORT"},
    {"remote.type", "inet"}, {"remote.host", "HOST"}, {"remote.port", "PORT"}, {NULL, NULL}};

const struct netdev_kind netdev_socket = {
    .name = "socket", .keys = socket_keys, .open = socket_open, .close = cable_close, .send = cable_send,
    .poll = cable_poll, .service = cable_service};
const struct netdev_kind netdev_stream = {
    .name = "stream", .keys = stream_keys, .open = open_stream, .close = cable_close, .send = cable_send,
    .poll = cable_poll, .service = cable_service};
const struct netdev_kind netdev_dgram = {
    .name = "dgram", .keys = dgram_keys, .open = open_dgram, .close = cable_close, .send = cable_send,
    .poll = cable_poll, .service = cable_service};
