/*
 * What a guest's serial port is connected to on the host.
 *
 *   stdio               the terminal, in raw mode; Ctrl-a x quits, Ctrl-a h helps; Ctrl-c quits until the guest runs
 *   stderr              output only
 *   tcp:HOST:PORT[,server][,nowait]   as QEMU's; `server` listens, and waits for
 *   unix:PATH[,server][,nowait]       its client at start unless `nowait`; reconnect=SECONDS: a client that
 *                                     was cut off tries again; telnet: the peer is a telnet client
 *   telnet:HOST:PORT[,server][,nowait]  tcp:...,telnet
 *   pty                 a new pseudo-terminal, its name is told at start
 *   file:PATH           output only, the file is emptied first, unless that would destroy what is needed (output.h)
 *   pipe:PATH           PATH.in and PATH.out, named pipes that are there; or PATH for both directions
 *   ringbuf:BYTES       memory: the last output (a power of two of bytes), for `monitor ringbuf_read`; input comes by
 *                       `monitor ringbuf_write`
 *   gdb                 output only: shown by the debugger (handled by the server)
 *   none, null          nothing
 *
 * Output never blocks: it is queued, and chardev_backlog() tells how much waits
 * so that the guest can be held back. For a client of a socket, which may have stopped reading, nobody is held for long
 * (chardev_client_backlog()): more than 16 MiB that wait for one are lost. Output to nobody is dropped.
 */
#ifndef HINDCAST_HOST_CHARDEV_H
#define HINDCAST_HOST_CHARDEV_H

#include "base/buffer.h"
#include "base/error.h"
#include "host/output.h"
#include "host/poller.h"

struct chardev;

/* Keys that are meant for hindcast rather than for the guest. */
enum chardev_command { CHARDEV_NOTHING, CHARDEV_QUIT, CHARDEV_HELP, CHARDEV_BREAK, CHARDEV_NEXT };

/* Says how to write `spec` in its error. `*note` gets a line to tell the user at
 * start ("serial0 is /dev/pts/7"), or NULL; the caller frees it. `may`: what a file may replace (HOST_...). */
struct chardev *chardev_open(const char *spec, const char *name, unsigned may, char **note, struct error *err);
/* Write a copy of all output to a file. 0 or negative errno with *err. */
int chardev_log(struct chardev *c, const char *path, unsigned may, struct error *err);
/* Of `file:`, which only puts out: input comes from this file. 0 or negative errno with *err. */
int chardev_input_file(struct chardev *c, const char *path, struct error *err);
/* Several ports are connected to it: Ctrl-a c in its input (CHARDEV_NEXT) turns to the next, whatever it is. */
void chardev_share(struct chardev *c);
/* Flushes for a moment, restores the terminal. */
void chardev_close(struct chardev *c);

void chardev_write(struct chardev *c, const void *buf, size_t len);
/* Input for the guest that is there now: bytes copied to `buf`. */
size_t chardev_read(struct chardev *c, void *buf, size_t len);
/* Will there never be any input (again)? */
bool chardev_input_ended(const struct chardev *c);
/* A command that was typed since the last call. */
enum chardev_command chardev_command(struct chardev *c);
/* Bytes of output that nobody has taken yet: of those that must be; of a client's. */
size_t chardev_backlog(const struct chardev *c);
size_t chardev_client_backlog(const struct chardev *c);
/* Has the client taken any since this was last asked? */
bool chardev_client_reads(struct chardev *c);
/* Bytes that a client did not get. */
uint64_t chardev_lost(const struct chardev *c);
/* Serve connections, write queued output. Call after each wait. */
void chardev_service(struct chardev *c);
void chardev_poll(struct chardev *c, struct poller *p, bool want_read);
/* Does it take output away from the debugger's console (spec "gdb")? */
bool chardev_is_gdb(const struct chardev *c);
/* The guest runs from now on: Ctrl-c in the terminal is for it. */
void chardev_guest_runs(struct chardev *c);
/* As it was opened. */
const char *chardev_name(const struct chardev *c);
/* Of `ringbuf:`; what it is no such one answers is 0. Take what is there, the oldest first. */
size_t chardev_ring_read(struct chardev *c, void *buf, size_t len);
/* Input for the guest. False: it is no ring. */
bool chardev_ring_write(struct chardev *c, const void *buf, size_t len);
bool chardev_is_ring(const struct chardev *c);
/* A line for `monitor info chardev`. */
void chardev_describe(const struct chardev *c, struct buffer *out);
/* Is it the terminal, in raw mode (lines must end with \r\n)? */
bool chardev_is_terminal(const struct chardev *c);

#endif
