/*
 * A network of the guest's own, by libslirp: its TCP connections and UDP exchanges are the host's sockets.
 *
 * libslirp asks for the clock, timers, and descriptors to be looked at; all of that is the host's and no part of any
 * state. What it has for the guest comes by netdev_arrives(). Fragments of IPv4 it gets put together (net_fragments.h).
 */
#include "config.h"

#ifdef HAVE_SLIRP
#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/clock.h"
#include "host/net_fragments.h"
#include "host/netdev_kinds.h"
#include "host/stream.h"

#define MS 1000000u
/* Descriptors that others may want to look at: however many connections the guest has, they find room. */
#define OTHERS 48u

struct timer {
    struct timer *next;
    struct user *owner;
    SlirpTimerCb fn;
    void *ctx;
    uint64_t at_ms;     /* UINT64_MAX: not set */
};

/* A server in the guest's network that is a connection of ours (guestfwd). */
struct server {
    struct server *next;
    struct in_addr address;
    int port;
    struct stream stream;
};

struct user {
    Slirp *slirp;
    struct server *servers;
    struct fragments fragments;
    struct netdev *netdev;
    struct timer *timers;
    struct poller *polled; /* during slirp_pollfds_fill() */
};

static uint64_t now_ms(void)
{
    return host_monotonic_ns() / MS;
}

/* ---- what libslirp asks ---- */

static ssize_t on_packet(const void *buf, size_t len, void *ctx)
{
    struct user *u = ctx;

    netdev_arrives(u->netdev, buf, len);
    return (ssize_t)len;
}

static void on_guest_error(const char *text, void *ctx)
{
    (void)text;
    (void)ctx;
}

static int64_t on_clock(void *ctx)
{
    (void)ctx;
    return (int64_t)host_monotonic_ns();
}

static void *on_timer_new(SlirpTimerCb fn, void *fn_ctx, void *ctx)
{
    struct user *u = ctx;
    struct timer *t = xcalloc(1, sizeof(*t));

    *t = (struct timer){.next = u->timers, .owner = u, .fn = fn, .ctx = fn_ctx, .at_ms = UINT64_MAX};
    u->timers = t;
    return t;
}

static void on_timer_free(void *timer, void *ctx)
{
    struct user *u = ctx;

    for (struct timer **at = &u->timers; *at; at = &(*at)->next)
        if (*at == timer) {
            *at = (*at)->next;
            free(timer);
            return;
        }
}

static void on_timer_mod(void *timer, int64_t at_ms, void *ctx)
{
    struct timer *t = timer;

    (void)ctx;
    t->at_ms = at_ms < 0 ? 0 : (uint64_t)at_ms;
}

static void on_descriptor(int fd, void *ctx)
{
    (void)fd;
    (void)ctx;
}

static void on_notify(void *ctx)
{
    (void)ctx;
}

static const SlirpCb callbacks = {
    .send_packet = on_packet, .guest_error = on_guest_error, .clock_get_ns = on_clock, .timer_new = on_timer_new,
    .timer_free = on_timer_free, .timer_mod = on_timer_mod, .register_poll_fd = on_descriptor,
    .unregister_poll_fd = on_descriptor, .notify = on_notify,
};

/* ---- options ---- */

static const struct option_key keys[] = {
    {"net", "A.B.C.D[/BITS]"}, {"host", "A.B.C.D"}, {"dhcpstart", "A.B.C.D"}, {"dns", "A.B.C.D"},
    {"ipv4", "on|off"}, {"ipv6", "on|off"}, {"restrict", "on|off"}, {"hostname", "NAME"}, {"domainname", "NAME"},
    {"tftp", "DIR"}, {"tftp-server-name", "NAME"}, {"bootfile", "NAME"}, {"hostfwd", "tcp|udp:[HOST]:PORT-[GUEST]:PORT..."},
    {"guestfwd", "tcp:SERVER:PORT-tcp:HOST:PORT..."},
    {NULL, NULL},
};

static int take_address(const struct option_list *l, const char *key, struct in_addr *out, struct error *err)
{
    const char *text = option_list_get(l, key);

    if (!text || inet_pton(AF_INET, text, out) == 1)
        return 0;
    return error_set(err, -EINVAL, "%s=%s: write an address such as 10.0.2.2", key, text);
}

/* "A.B.C.D" or "A.B.C.D/BITS" */
static int take_net(const struct option_list *l, SlirpConfig *c, struct error *err)
{
    const char *text = option_list_get(l, "net"), *slash = text ? strchr(text, '/') : NULL;
    char address[20];
    uint64_t bits = 24;

    if (!text)
        return 0;
    snprintf(address, sizeof(address), "%.*s", (int)(slash && slash - text < 19 ? slash - text : 19), text);
    if ((slash && !option_parse_number(slash + 1, &bits)) || bits < 8 || bits > 30 ||
        inet_pton(AF_INET, address, &c->vnetwork) != 1)
        return error_set(err, -EINVAL, "net=%s: write a network such as 10.0.2.0/24 (8 to 30 bits)", text);
    c->vnetmask.s_addr = htonl(~0u << (32 - bits));
    c->vnetwork.s_addr &= c->vnetmask.s_addr;
    c->vhost.s_addr = c->vnetwork.s_addr | htonl(2);
    c->vnameserver.s_addr = c->vnetwork.s_addr | htonl(3);
    c->vdhcp_start.s_addr = c->vnetwork.s_addr | htonl(bits > 27 ? 4 : 15);
    return 0;
}

static int take_switches(const struct option_list *l, SlirpConfig *c, struct error *err)
{
    bool ipv4 = true, ipv6 = true, restricted = false;

    if (option_list_switch(l, "ipv4", &ipv4, err) < 0 || option_list_switch(l, "ipv6", &ipv6, err) < 0 ||
        option_list_switch(l, "restrict", &restricted, err) < 0)
        return -EINVAL;
    c->in_enabled = ipv4;
    c->in6_enabled = ipv6;
    c->restricted = restricted;
    return 0;
}

static int configure(const struct option_list *l, SlirpConfig *c, struct error *err)
{
    *c = (SlirpConfig){.version = 1, .vprefix_len = 64, .vhostname = option_list_get(l, "hostname"),
                       .tftp_server_name = option_list_get(l, "tftp-server-name"), .tftp_path = option_list_get(l, "tftp"),
                       .bootfile = option_list_get(l, "bootfile"), .vdomainname = option_list_get(l, "domainname")};
    inet_pton(AF_INET, "10.0.2.0", &c->vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &c->vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &c->vhost);
    inet_pton(AF_INET, "10.0.2.3", &c->vnameserver);
    inet_pton(AF_INET, "10.0.2.15", &c->vdhcp_start);
    inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c->vhost6);
    inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
    if (take_net(l, c, err) < 0 || take_address(l, "host", &c->vhost, err) < 0 ||
        take_address(l, "dns", &c->vnameserver, err) < 0 || take_address(l, "dhcpstart", &c->vdhcp_start, err) < 0)
        return -EINVAL;
    return take_switches(l, c, err);
}

/* "[ADDRESS]:PORT" */
static bool parse_end(char *text, struct in_addr *address, int *port)
{
    char *colon = strrchr(text, ':');
    uint64_t n;

    if (!colon)
        return false;
    *colon = 0;
    if (!option_parse_number(colon + 1, &n) || n > 65535)
        return false;
    *port = (int)n;
    return !*text || inet_pton(AF_INET, text, address) == 1;
}

/* "tcp|udp:[HOST]:PORT-[GUEST]:PORT". Without HOST, of this machine alone. */
static int forward(struct user *u, const char *rule, const SlirpConfig *c, struct error *err)
{
    struct in_addr from = {.s_addr = htonl(INADDR_LOOPBACK)}, to = c->vdhcp_start;
    bool udp = !strncmp(rule, "udp:", 4);
    char *text = xstrdup(!strncmp(rule, "tcp:", 4) || udp ? rule + 4 : *rule == ':' ? rule + 1 : rule);
    char *dash = strrchr(text, '-');
    int from_port = 0, to_port = 0, r = 0;

    if (dash)
        *dash = 0;
    if (!dash || !parse_end(text, &from, &from_port) || !parse_end(dash + 1, &to, &to_port) || !to_port)
        r = error_set(err, -EINVAL, "hostfwd=%s: write tcp|udp:[HOST]:PORT-[GUEST]:PORT, such as tcp::2222-:22", rule);
    else if (slirp_add_hostfwd(u->slirp, udp, from, from_port, to, to_port) < 0)
        r = error_set(err, -errno, "hostfwd=%s: cannot listen there: %s", rule, strerror(errno));
    free(text);
    return r;
}

/* What the guest sends to such a server. */
static ssize_t to_server(const void *buf, size_t len, void *opaque)
{
    struct server *v = opaque;

    stream_write(&v->stream, buf, len);
    return (ssize_t)len;
}

/* "tcp:SERVER:PORT-tcp:HOST:PORT" or "...-unix:PATH": one connection, made now, is the server. */
static int serve_by_connection(struct user *u, const char *rule, struct error *err)
{
    char *text = xstrdup(!strncmp(rule, "tcp:", 4) ? rule + 4 : *rule == ':' ? rule + 1 : rule), *dash = strchr(text, '-');
    struct server *v = xcalloc(1, sizeof(*v));
    const char *where = dash ? dash + 1 : "";
    int r = 0;

    v->next = u->servers;
    u->servers = v;
    stream_init(&v->stream);
    if (dash)
        *dash = 0;
    if (!strncmp(where, "cmd:", 4))
        r = error_set(err, -EINVAL, "guestfwd=%s: hindcast runs no programs: name a connection (tcp:HOST:PORT, unix:PATH)", rule);
    else if (!dash || !*text || !parse_end(text, &v->address, &v->port) || !v->port || !v->address.s_addr ||
             (strncmp(where, "tcp:", 4) && strncmp(where, "unix:", 5)) || !strchr(where, ':')[1])
        r = error_set(err, -EINVAL, "guestfwd=%s: write tcp:SERVER:PORT-tcp:HOST:PORT, such as tcp:10.0.2.100:80-tcp:127.0.0.1:8080", rule);
    else
        r = stream_connect(&v->stream, !strncmp(where, "tcp:", 4) ? where + 4 : where, err);
    if (r == 0 && slirp_add_guestfwd(u->slirp, to_server, v, &v->address, v->port) < 0)
        r = error_set(err, -EINVAL, "guestfwd=%s: SERVER must be an address of the guest's network that nobody has", rule);
    free(text);
    return r;
}

static int user_open(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    struct user *u = xcalloc(1, sizeof(*u));
    SlirpConfig c;
    struct stat st;

    (void)note;
    u->netdev = n;
    n->back = u;
    if (configure(l, &c, err) < 0)
        return -EINVAL;
    if (c.tftp_path && (stat(c.tftp_path, &st) < 0 || !S_ISDIR(st.st_mode)))
        return error_set(err, -ENOTDIR, "tftp=%s: there is no such directory", c.tftp_path);
    u->slirp = slirp_new(&c, &callbacks, u);
    if (!u->slirp)
        return error_set(err, -EINVAL, "libslirp does not take that: host, dns and dhcpstart must be different addresses of net");
    for (unsigned i = 0; option_list_nth(l, "hostfwd", i); i++)
        if (forward(u, option_list_nth(l, "hostfwd", i), &c, err) < 0)
            return err->code;
    for (unsigned i = 0; option_list_nth(l, "guestfwd", i); i++)
        if (serve_by_connection(u, option_list_nth(l, "guestfwd", i), err) < 0)
            return err->code;
    return 0;
}

static void user_close(struct netdev *n)
{
    struct user *u = n->back;

    if (!u)
        return;
    if (u->slirp)
        slirp_cleanup(u->slirp);
    while (u->timers)
        on_timer_free(u->timers, u);
    while (u->servers) {
        struct server *v = u->servers;

        u->servers = v->next;
        stream_close(&v->stream);
        free(v);
    }
    fragments_finish(&u->fragments);
    free(u);
}

/* ---- moving frames ---- */

static void user_send(struct netdev *n, const uint8_t *frame, size_t len)
{
    struct user *u = n->back;

    if (fragments_are(frame, len))
        frame = fragments_take(&u->fragments, frame, len, &len);
    if (frame)
        slirp_input(u->slirp, frame, (int)len);
}

static int add_descriptor(int fd, int events, void *ctx)
{
    struct user *u = ctx;
    short wanted = 0;

    if (u->polled->count + OTHERS >= POLLER_MAX)
        return -1;
    if (events & SLIRP_POLL_IN)
        wanted |= POLLIN;
    if (events & SLIRP_POLL_OUT)
        wanted |= POLLOUT;
    if (events & SLIRP_POLL_PRI)
        wanted |= POLLPRI;
    u->polled->fds[u->polled->count] = (struct pollfd){.fd = fd, .events = wanted};
    return (int)u->polled->count++;
}

static void user_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns)
{
    struct user *u = n->back;
    uint32_t ms = *timeout_ns / MS > UINT32_MAX - 1 ? UINT32_MAX : (uint32_t)(*timeout_ns / MS), before = ms;
    uint64_t now = now_ms();

    for (const struct server *v = u->servers; v; v = v->next)
        if (stream_open(&v->stream))
            stream_poll(&v->stream, p, slirp_socket_can_recv(u->slirp, v->address, v->port) > 0);
    u->polled = p;
    slirp_pollfds_fill(u->slirp, &ms, add_descriptor, u);
    if (ms < before)
        *timeout_ns = (uint64_t)ms * MS;
    for (const struct timer *t = u->timers; t; t = t->next)
        if (t->at_ms != UINT64_MAX && (t->at_ms <= now || (t->at_ms - now) * MS < *timeout_ns))
            *timeout_ns = t->at_ms <= now ? 0 : (t->at_ms - now) * MS;
}

static int events_of(int index, void *ctx)
{
    const struct poller *p = ctx;
    short got = index < 0 || (unsigned)index >= p->count ? 0 : p->fds[index].revents;

    return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
           (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void service_servers(struct user *u)
{
    uint8_t piece[4096];

    for (struct server *v = u->servers; v; v = v->next) {
        size_t room = slirp_socket_can_recv(u->slirp, v->address, v->port);
        long got;

        stream_flush(&v->stream);
        if (!room || !stream_open(&v->stream))
            continue;
        got = stream_read(&v->stream, piece, room < sizeof(piece) ? room : sizeof(piece));
        if (got > 0)
            slirp_socket_recv(u->slirp, v->address, v->port, piece, (int)got);
    }
}

static void user_service(struct netdev *n, const struct poller *p)
{
    struct user *u = n->back;
    uint64_t now = now_ms();

    service_servers(u);

    slirp_pollfds_poll(u->slirp, 0, events_of, (void *)(uintptr_t)p);
    for (struct timer *t = u->timers, *next; t; t = next) {
        next = t->next;
        if (t->at_ms <= now) {
            t->at_ms = UINT64_MAX;
            t->fn(t->ctx);
        }
    }
}

const struct netdev_kind netdev_user = {
    .name = "user", .keys = keys, .open = user_open, .close = user_close, .send = user_send, .poll = user_poll,
    .service = user_service};
#endif
