/*
 * The guest's ports to the host: serial ports, the debug console, semihosting's console. Each is a device of the
 * machine and a back end of the host (host/chardev.h) that it is connected to. Several ports may share one (mux=on): all of
 * them put out there, and one, which has the focus, gets what is typed; Ctrl-a c hands it on.
 *
 * What the guest puts out comes here from the timeline, once, past the live edge only. What the host has is read
 * while the guest is not far behind with it, and goes to the timeline as input; so a slow guest holds its senders
 * back, and a slow receiver its guest (server_ports_backlog()).
 *
 * Adding a kind of port: its functions (struct server_port_ops), and a line in port_kinds[].
 */
#include "server_internal.h"

#include <stdio.h>
#include <string.h>

/* Input is taken from the host in pieces, while the guest is not this far behind. */
#define INPUT_PIECE 512

/* ---- serial ports ---- */

static bool serial_wants_input(const struct server *s, const struct server_port *p)
{
    return timeline_input_pending(s->timeline, p->dev) < SERVER_INPUT_BACKLOG;
}

static bool serial_take_input(struct server *s, struct server_port *p)
{
    uint8_t bytes[INPUT_PIECE];
    size_t len = serial_wants_input(s, p) ? chardev_read(p->back, bytes, sizeof bytes) : 0;

    if (len)
        timeline_input(s->timeline, p->dev, bytes, len, false);
    return false;
}

static const struct server_port_ops serial_ops = {.wants_input = serial_wants_input, .take_input = serial_take_input};

/* ---- ports that only put out: the debug console; a serial port whose input comes through semihosting ---- */

static const struct server_port_ops output_ops;

/* ---- the table ---- */

static const struct port_kind {
    const char *prefix; /* what the device's name begins with */
    const struct server_port_ops *ops;
} port_kinds[] = {
    {"uart", &serial_ops},
    {"semihosting", &server_semihost_ops},
    {"debugcon", &output_ops},
};

static const struct server_port_ops *ops_of(const struct device *dev)
{
    if (dev->backend_kind == BACKEND_CHARDEV)
        return &serial_ops;
    for (unsigned i = 0; i < ARRAY_LEN(port_kinds); i++)
        if (!strncmp(dev->name, port_kinds[i].prefix, strlen(port_kinds[i].prefix)))
            return port_kinds[i].ops;
    return &output_ops;
}

/* ---- who gets what is typed ---- */

static struct server_port *focused_on(struct server *s, const struct chardev *back)
{
    for (unsigned i = 0; i < s->nports; i++)
        if (s->ports[i].back == back && s->ports[i].focused)
            return &s->ports[i];
    return NULL;
}

/* The next port of that back end that takes input. */
static void hand_on(struct server *s, struct chardev *back)
{
    struct server_port *now = focused_on(s, back);
    unsigned n = now ? (unsigned)(now - s->ports) : 0;

    for (unsigned i = 1; now && i <= s->nports; i++) {
        struct server_port *next = &s->ports[(n + i) % s->nports];

        if (next->back != back || !next->ops->take_input)
            continue;
        now->focused = false;
        next->focused = true;
        return;
    }
}

static void focus_first(struct server *s)
{
    for (unsigned i = 0; i < s->nports; i++)
        if (s->ports[i].ops->take_input && !focused_on(s, s->ports[i].back))
            s->ports[i].focused = true;
}

static struct server_port *find_port(struct server *s, const struct server_port_ops *ops)
{
    for (unsigned i = 0; i < s->nports; i++)
        if (s->ports[i].ops == ops)
            return &s->ports[i];
    return NULL;
}

void server_ports_init(struct server *s)
{
    const struct server_config *c = &s->config;

    for (unsigned i = 0; i < c->nconnections; i++) {
        struct device *dev = machine_find_device(s->machine, c->connections[i].device);

        if (dev)
            s->ports[s->nports++] = (struct server_port){
                .dev = dev, .back = c->connections[i].back, .ops = ops_of(dev)};
    }
    /* Semihosting deals out the input of the back end that it shares. */
    s->program = find_port(s, &server_semihost_ops);
    for (unsigned i = 0; s->program && i < s->nports; i++)
        if (s->ports[i].ops == &serial_ops && s->ports[i].back == s->program->back) {
            s->ports[i].ops = &output_ops;
            s->typed_port = &s->ports[i];
        }
    focus_first(s);
}

void server_ports_finish(struct server *s)
{
    for (unsigned i = 0; i < s->config.nbacks; i++)
        chardev_close(s->config.backs[i]);
}

/* ---- all of them ---- */

void server_ports_poll(struct server *s, struct poller *poller)
{
    for (unsigned i = 0; i < s->config.nbacks; i++) {
        bool wanted = false;

        for (unsigned k = 0; k < s->nports && !wanted; k++)
            wanted = timeline_outside(s->timeline) && s->ports[k].back == s->config.backs[i] && s->ports[k].focused &&
                     s->ports[k].ops->wants_input(s, &s->ports[k]);
        chardev_poll(s->config.backs[i], poller, wanted);
    }
}

bool server_ports_take_input(struct server *s)
{
    bool awaited = false;

    /* On a branch it stays with the host, and comes to the guest that is live. */
    for (unsigned i = 0; i < s->nports && timeline_outside(s->timeline); i++)
        if (s->ports[i].focused)
            awaited |= s->ports[i].ops->take_input(s, &s->ports[i]);
    return awaited;
}

void server_ports_guest_runs(struct server *s)
{
    for (unsigned i = 0; i < s->config.nbacks; i++)
        chardev_guest_runs(s->config.backs[i]);
}

bool server_ports_have_terminal(const struct server *s)
{
    for (unsigned i = 0; i < s->config.nbacks; i++)
        if (chardev_is_terminal(s->config.backs[i]))
            return true;
    return false;
}

/* A break comes to whoever gets what is typed there. */
static void send_break(struct server *s, const struct chardev *back)
{
    const struct server_port *p = focused_on(s, back);

    if (p && p->dev->ops->takes_break && timeline_outside(s->timeline))
        timeline_break(s->timeline, p->dev);
}

static void obey(struct server *s, struct chardev *back)
{
    switch (chardev_command(back)) {
    case CHARDEV_BREAK:
        send_break(s, back);
        break;
    case CHARDEV_NEXT:
        hand_on(s, back);
        break;
    case CHARDEV_QUIT:
        s->quit = true;
        break;
    case CHARDEV_HELP:
        server_say(s, "Ctrl-a x ends hindcast, Ctrl-a Ctrl-a sends Ctrl-a, Ctrl-a b sends a break, Ctrl-a c types at the next port if "
                      "several are connected (--chardev ...,mux=on), Ctrl-a h shows this");
        break;
    default:
        break;
    }
}

void server_ports_serve(struct server *s)
{
    for (unsigned i = 0; i < s->config.nbacks; i++)
        chardev_service(s->config.backs[i]);
    server_ports_take_input(s);
    for (unsigned i = 0; i < s->config.nbacks; i++)
        obey(s, s->config.backs[i]);
}

void server_ports_output(struct server *s, const struct device *dev, const void *buf, size_t len)
{
    for (unsigned i = 0; i < s->nports; i++) {
        struct server_port *p = &s->ports[i];

        if (p->dev != dev)
            continue;
        p->used = true;
        if (chardev_is_gdb(p->back))
            server_to_debugger(s, buf, len);
        else
            chardev_write(p->back, buf, len);
        return;
    }
}

size_t server_ports_backlog(const struct server *s)
{
    size_t most = 0;

    for (unsigned i = 0; i < s->config.nbacks; i++) {
        size_t n = chardev_backlog(s->config.backs[i]);

        most = n > most ? n : most;
    }
    return most;
}

bool server_ports_clients_read(struct server *s, size_t limit)
{
    bool read = false;

    for (unsigned i = 0; i < s->config.nbacks; i++) {
        struct chardev *c = s->config.backs[i];

        if (chardev_client_backlog(c) > limit)
            read |= chardev_client_reads(c);
        if (chardev_lost(c) && !(s->told_lost >> i & 1u)) {
            s->told_lost |= UINT64_C(1) << i;
            server_say(s, "the client of %s does not read: what the guest puts out goes on being lost there (monitor info chardev)", chardev_name(c));
        }
    }
    return read;
}

/* ---- for the monitor ---- */

struct device *server_ports_line(const struct server *s, const char *id)
{
    for (unsigned i = 0; i < s->nports; i++)
        if (s->ports[i].dev->ops->takes_break && (!*id || !strcmp(chardev_name(s->ports[i].back), id) || !strcmp(s->ports[i].dev->name, id)))
            return s->ports[i].dev;
    return NULL;
}

void server_ports_describe(const struct server *s, struct buffer *out)
{
    for (unsigned i = 0; i < s->config.nbacks; i++) {
        bool any = false;

        chardev_describe(s->config.backs[i], out);
        for (unsigned k = 0; k < s->nports; k++)
            if (s->ports[k].back == s->config.backs[i]) {
                buffer_printf(out, "%s%s%s", any ? ", " : "    ", s->ports[k].dev->name,
                              s->ports[k].focused ? " (gets what is typed)" : "");
                any = true;
            }
        buffer_printf(out, "%s", any ? "\n" : "");
    }
}

struct chardev *server_ports_ring(const struct server *s, const char *id)
{
    for (unsigned i = 0; i < s->config.nbacks; i++)
        if (chardev_is_ring(s->config.backs[i]) && !strcmp(chardev_name(s->config.backs[i]), id))
            return s->config.backs[i];
    return NULL;
}
