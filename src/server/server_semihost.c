/*
 * Semihosting between the guest's device and the host: the console's input.
 *
 * The console is where the first serial port is. Its output goes there like the
 * port's. Input goes to a program that waits in a semihosting read; else to the
 * serial port, once the guest has written to that (a guest that does not use the
 * port would leave it there); else it is kept. In a terminal, Enter is a line's
 * end and Ctrl-d the input's.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE      512
#define KEY_CTRL_D 4

void server_semihost_init(struct server *s)
{
    buffer_init(&s->typed);
}

void server_semihost_finish(struct server *s)
{
    buffer_finish(&s->typed);
}

/* ---- the console's input ---- */

/* A program waits, and nothing is on its way to it. */
static bool program_waits(const struct server *s)
{
    const struct device *dev = s->program->dev;

    return timeline_at_edge(s->timeline) && timeline_input_pending(s->timeline, dev) == 0 && dev->ops->input_room(dev) > 0;
}

/* The end of the input (1), or bytes. */
static void send_end(struct server *s)
{
    const uint8_t end = 1;

    timeline_input(s->timeline, s->program->dev, &end, 1, true);
}

static void send_to_program(struct server *s)
{
    bool terminal = chardev_is_terminal(s->program->back);
    uint8_t message[1 + PIECE] = {0};
    const uint8_t *typed = s->typed.data;
    size_t n = 0;

    if (terminal && typed[0] == KEY_CTRL_D) {
        buffer_consume(&s->typed, 1);
        send_end(s);
        return;
    }
    while (n < PIECE && n < s->typed.len && !(terminal && typed[n] == KEY_CTRL_D)) {
        message[1 + n] = terminal && typed[n] == '\r' ? '\n' : typed[n];
        n++;
    }
    timeline_input(s->timeline, s->program->dev, message, 1 + n, true);
    buffer_consume(&s->typed, n);
}

static void send_to_port(struct server *s)
{
    size_t pending = timeline_input_pending(s->timeline, s->typed_port->dev);
    size_t n = pending < SERVER_INPUT_BACKLOG ? SERVER_INPUT_BACKLOG - pending : 0;

    n = n < s->typed.len ? n : s->typed.len;
    if (!n)
        return;
    timeline_input(s->timeline, s->typed_port->dev, s->typed.data, n, false);
    buffer_consume(&s->typed, n);
}

/* Deal out what was typed. True: there was some for the program that waits. */
static bool deal_out(struct server *s)
{
    if (!program_waits(s)) {
        if (s->typed.len && s->typed_port && s->typed_port->used)
            send_to_port(s);
        return false;
    }
    if (s->typed.len)
        send_to_program(s);
    else if (chardev_input_ended(s->program->back))
        send_end(s);
    else
        return false;
    return true;
}

static bool wants_input(const struct server *s, const struct server_port *p)
{
    (void)p;
    return s->typed.len < SERVER_INPUT_BACKLOG;
}

static bool take_input(struct server *s, struct server_port *p)
{
    uint8_t bytes[PIECE];
    size_t len = wants_input(s, p) ? chardev_read(p->back, bytes, sizeof bytes) : 0;

    buffer_append(&s->typed, bytes, len);
    return deal_out(s);
}

const struct server_port_ops server_semihost_ops = {.wants_input = wants_input, .take_input = take_input};
