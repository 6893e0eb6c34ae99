/*
 * What a guest's serial port is connected to on the host.
 *
 *   stdio               the terminal, in raw mode; Ctrl-a x quits, Ctrl-a h helps; Ctrl-c quits until the guest runs
 *   stderr              output only
 *   tcp:HOST:PORT[,server][,nowait]   as QEMU's; `server` listens, and waits for
 *   unix:PATH[,server][,nowait]       its client at start unless `nowait`
 *   pty                 a new pseudo-terminal, its name is told at start
 *   file:PATH           output only, the file is emptied first, unless that would destroy what is needed (output.h)
 *   pipe:PATH           PATH.in and PATH.out, named pipes that are there; or PATH for both directions
 *   gdb                 output only: shown by the debugger (handled by the server)
 *   none, null          nothing
 *
 * Output never blocks: it is queued, and chardev_backlog() tells how much waits
 * so that the guest can be held back. Output to nobody is dropped.
 */
#ifndef HINDCAST_HOST_CHARDEV_H
#define HINDCAST_HOST_CHARDEV_H

#include "base/error.h"
#include "host/output.h"
#include "host/poller.h"

struct chardev;

/* Keys that are meant for hindcast rather than for the guest. */
enum chardev_command { CHARDEV_NOTHING, CHARDEV_QUIT, CHARDEV_HELP, CHARDEV_BREAK };

/* Says how to write `spec` in its error. `*note` gets a line to tell the user at
 * start ("serial0 is /dev/pts/7"), or NULL; the caller frees it. `may`: what a file may replace (HOST_...). */
struct chardev *chardev_open(const char *spec, const char *name, unsigned may, char **note, struct error *err);
/* Write a copy of all output to a file. 0 or negative errno with *err. */
int chardev_log(struct chardev *c, const char *path, unsigned may, struct error *err);
/* Flushes for a moment, restores the terminal. */
void chardev_close(struct chardev *c);

void chardev_write(struct chardev *c, const void *buf, size_t len);
/* Input for the guest that is there now: bytes copied to `buf`. */
size_t chardev_read(struct chardev *c, void *buf, size_t len);
/* Will there never be any input (again)? */
bool chardev_input_ended(const struct chardev *c);
/* A command that was typed since the last call. */
enum chardev_command chardev_command(struct chardev *c);
/* Bytes of output that nobody has taken yet. */
size_t chardev_backlog(const struct chardev *c);
/* Serve connections, write queued output. Call after each wait. */
void chardev_service(struct chardev *c);
void chardev_poll(struct chardev *c, struct poller *p, bool want_read);
/* Does it take output away from the debugger's console (spec "gdb")? */
bool chardev_is_gdb(const struct chardev *c);
/* The guest runs from now on: Ctrl-c in the terminal is for it. */
void chardev_guest_runs(struct chardev *c);
/* Is it the terminal, in raw mode (lines must end with \r\n)? */
bool chardev_is_terminal(const struct chardev *c);

#endif
