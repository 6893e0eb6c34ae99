/*
 * Semihosting between the guest's device and the host: the console's input, and
 * requests for files.
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
#define BACKLOG    4096
#define KEY_CTRL_D 4

void server_semihost_init(struct server *s)
{
    buffer_init(&s->typed);
    s->semihost = s->config.serial_count ? machine_find_device(s->machine, "semihosting") : NULL;
}

void server_semihost_finish(struct server *s)
{
    buffer_finish(&s->typed);
    host_files_close(s->config.files);
    s->config.files = NULL;
}

/* ---- the console's input ---- */

/* A program waits, and nothing is on its way to it. */
static bool program_waits(const struct server *s)
{
    return timeline_at_edge(s->timeline) && timeline_input_pending(s->timeline, s->semihost) == 0 &&
           s->semihost->ops->input_room(s->semihost) > 0;
}

/* The end of the input (1), or bytes. */
static void send_end(struct server *s)
{
    const uint8_t end = 1;

    timeline_input(s->timeline, s->semihost, &end, 1, true);
}

static void send_to_program(struct server *s)
{
    bool terminal = chardev_is_terminal(s->config.serial[0]);
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
    timeline_input(s->timeline, s->semihost, message, 1 + n, true);
    buffer_consume(&s->typed, n);
}

static void send_to_port(struct server *s)
{
    size_t pending = timeline_input_pending(s->timeline, s->uart[0]);
    size_t n = pending < BACKLOG ? BACKLOG - pending : 0;

    n = n < s->typed.len ? n : s->typed.len;
    if (!n)
        return;
    timeline_input(s->timeline, s->uart[0], s->typed.data, n, false);
    buffer_consume(&s->typed, n);
}

bool server_semihost_input(struct server *s)
{
    if (!program_waits(s)) {
        if (s->typed.len && s->serial_used)
            send_to_port(s);
        return false;
    }
    if (s->typed.len)
        send_to_program(s);
    else if (chardev_input_ended(s->config.serial[0]))
        send_end(s);
    else
        return false;
    return true;
}

/* ---- files ---- */

void server_file_call(void *ctx, const struct file_request *request, struct file_answer *answer)
{
    struct server *s = ctx;

    if (s->config.files) {
        host_files_call(s->config.files, request, answer);
        return;
    }
    *answer = (struct file_answer){.error = EACCES, .data = answer->data};
    if (s->files_refused)
        return;
    s->files_refused = true;
    server_say(s, "the guest wanted file %s, by semihosting, and was refused it: --semihosting-dir DIRECTORY gives it "
               "the files of a directory", request->name);
}
