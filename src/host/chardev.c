/*
 * Serial back ends on the host (termios(3), pty(7)). See chardev.h.
 *
 * Adding one: a spec in chardev_open() that sets up `stream`.
 */
#include "host/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buffer.h"
#include "host/clock.h"
#include "host/stream.h"

#define ESCAPE_KEY 0x01 /* Ctrl-a */
#define INTERRUPT_KEY 0x03 /* Ctrl-c */
#define DRAIN_NS   1000000000u
#define RING_MOST  (1u << 26)

/* The last bytes of the output. */
struct ring {
    uint8_t *bytes; /* NULL: it is no ring */
    size_t size, first, count;
    struct buffer input; /* what the guest has not taken yet */
};

/* What has come from a telnet client of a command that is not whole yet (RFC 854). */
enum telnet { TELNET_DATA, TELNET_IAC, TELNET_OPTION, TELNET_SUB, TELNET_SUB_IAC };

struct chardev {
    char name[32];            /* for messages */
    char *spec;               /* as it was opened */
    struct stream stream;     /* the other end, if any */
    struct listener listener; /* `server`: where clients come from */
    bool raw;                 /* `saved` is to be restored */
    bool escapes;             /* Ctrl-a is ours */
    bool shared;              /* and Ctrl-a c turns to the next port */
    bool escaped;             /* Ctrl-a was typed, the next key decides */
    bool guest_runs;          /* Ctrl-c is the guest's */
    bool gdb;                 /* spec "gdb" */
    int log;                  /* gets a copy of the output; or -1 */
    bool pty;
    int pty_slave;            /* kept open, so that the master never sees a hang-up; or -1 */
    struct termios saved;
    enum chardev_command command;
    struct buffer later;      /* what came behind a break that is still to be obeyed */
    struct ring ring;
    size_t queued, told_taken; /* bytes that had to wait, in all; how many of them were taken when somebody last asked */
    uint64_t lost;            /* bytes of output that a client never got, which had stopped reading */
    bool telnet;
    enum telnet telnet_state;
    char *where;              /* a client that tries again: to whom, */
    uint64_t reconnect_ns;    /* after how long (0: it does not), */
    uint64_t reconnect_at;    /* and when next */
};

/* Restores the terminal when the program ends by exit() or panic. Process-wide by nature. */
static struct termios exit_termios;
static bool exit_restore;

static void restore_at_exit(void)
{
    if (exit_restore)
        tcsetattr(STDIN_FILENO, TCSANOW, &exit_termios);
    exit_restore = false;
}

static void make_raw(struct chardev *c)
{
    struct termios t;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &c->saved) < 0)
        return;
    t = c->saved;
    t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &t) < 0)
        return;
    c->raw = true;
    exit_termios = c->saved;
    exit_restore = true;
    atexit(restore_at_exit);
}

static int open_stdio(struct chardev *c)
{
    stream_from_fds(&c->stream, STDIN_FILENO, STDOUT_FILENO);
    make_raw(c);
    c->escapes = c->raw;
    return 0;
}

static int open_file(struct chardev *c, const char *path, unsigned may, struct error *err)
{
    int fd = host_output_open(path, may, err);

    if (fd < 0)
        return fd;
    stream_from_fds(&c->stream, -1, fd);
    c->stream.owned = true;
    return 0;
}

/* The guest's input is the pipe PATH.in (or PATH), its output PATH.out (or PATH). Both are opened for reading and
 * writing, so that neither waits for somebody nor ends with them. */
static int open_pipe(struct chardev *c, const char *path, struct error *err)
{
    struct buffer name;
    int fd[2];

    for (unsigned i = 0; i < 2; i++) {
        buffer_init(&name);
        buffer_printf(&name, "%s.%s", path, i ? "out" : "in");
        buffer_append_byte(&name, 0);
        fd[i] = open((const char *)name.data, O_RDWR | O_CLOEXEC);
        if (fd[i] < 0)
            fd[i] = open(path, O_RDWR | O_CLOEXEC);
        buffer_finish(&name);
        if (fd[i] < 0) {
            error_set(err, -errno, "%s: cannot open this pipe, nor %s.in and %s.out: %s", path, path, path, strerror(errno));
            if (i)
                close(fd[0]);
            return err->code;
        }
    }
    stream_from_fds(&c->stream, fd[0], fd[1]);
    c->stream.owned = true;
    return 0;
}

static int open_pty(struct chardev *c, char **note, struct error *err)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;
    const char *name;
    size_t size;

    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || (name = ptsname(fd)) == NULL) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return error_set(err, -e, "cannot make a pseudo-terminal: %s", strerror(e));
    }
    c->pty_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->pty_slave >= 0 && tcgetattr(c->pty_slave, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(c->pty_slave, TCSANOW, &t);
    }
    stream_from_fds(&c->stream, fd, fd);
    c->stream.owned = true;
    c->pty = true;
    size = strlen(name) + strlen(c->name) + 16;
    *note = xmalloc(size);
    snprintf(*note, size, "%s is %s", c->name, name);
    return 0;
}

/* Wait for the one client that must be there before the guest starts. */
static void wait_for_client(struct chardev *c)
{
    while (!stream_open(&c->stream) && !host_signal_pending()) {
        struct poller p;

        poller_clear(&p);
        poller_add(&p, c->listener.fd, true, false);
        poller_wait(&p, POLLER_WAIT_FOREVER);
        chardev_service(c);
    }
}

/* ---- telnet (RFC 854, 856, 857, 858) ---- */

enum { TELNET_SE = 240, TELNET_BREAK = 243, TELNET_SB = 250, TELNET_WILL = 251, TELNET_DO = 253, TELNET_DONT = 254, TELNET_IAC_BYTE = 255 };

/* A character at a time, whole bytes, and the guest echoes. */
static void greet(struct chardev *c)
{
    static const uint8_t offer[] = {
        TELNET_IAC_BYTE, TELNET_WILL, 1 /* echo */, TELNET_IAC_BYTE, TELNET_WILL, 3 /* suppress go-ahead */,
        TELNET_IAC_BYTE, TELNET_WILL, 0 /* binary */, TELNET_IAC_BYTE, TELNET_DO, 0,
    };

    c->telnet_state = TELNET_DATA;
    stream_write(&c->stream, offer, sizeof offer);
}

/* Take the commands out of what came; returns what is left. */
static size_t filter_telnet(struct chardev *c, uint8_t *buf, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t b = buf[i];

        switch (c->telnet_state) {
        case TELNET_DATA:
            if (b == TELNET_IAC_BYTE)
                c->telnet_state = TELNET_IAC;
            else
                buf[kept++] = b;
            break;
        case TELNET_IAC:
            c->telnet_state = b == TELNET_SB ? TELNET_SUB : b >= TELNET_WILL && b <= TELNET_DONT ? TELNET_OPTION : TELNET_DATA;
            if (b == TELNET_IAC_BYTE)
                buf[kept++] = b;
            else if (b == TELNET_BREAK)
                c->command = CHARDEV_BREAK;
            break;
        case TELNET_OPTION: /* what was offered is all that there is */
            c->telnet_state = TELNET_DATA;
            break;
        case TELNET_SUB:
            c->telnet_state = b == TELNET_IAC_BYTE ? TELNET_SUB_IAC : TELNET_SUB;
            break;
        case TELNET_SUB_IAC:
            c->telnet_state = b == TELNET_SE ? TELNET_DATA : TELNET_SUB;
            break;
        }
    }
    return kept;
}

/* A byte 255 of the guest's is two on the wire. */
static void write_telnet(struct chardev *c, const uint8_t *p, size_t len)
{
    static const uint8_t iac = TELNET_IAC_BYTE;

    while (len) {
        const uint8_t *q = memchr(p, iac, len);
        size_t n = q ? (size_t)(q - p) + 1 : len;

        stream_write(&c->stream, p, n);
        if (q)
            stream_write(&c->stream, &iac, 1);
        p += n;
        len -= n;
    }
}

/* ---- sockets ---- */

/* The client's other end may come later, and come again. */
static int connect_again(struct chardev *c, struct error *err)
{
    int r = stream_connect(&c->stream, c->where, err);

    if (r == 0 && c->telnet)
        greet(c);
    c->reconnect_at = host_monotonic_ns() + c->reconnect_ns;
    return c->reconnect_ns ? 0 : r;
}

static bool seconds_of(const char *text, uint64_t *ns)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *ns = (uint64_t)n * 1000000000u;
    return *text >= '0' && *text <= '9' && !*end && n <= 86400;
}

/* "server=on", "nowait"...: which of what can be said the word is about. */
static char topic_of(const char *word)
{
    return !strcmp(word, "nowait") ? 'w' : *word;
}

static int open_socket(struct chardev *c, const char *spec, char **note, struct error *err)
{
    char where[300], said[8] = "", *option;
    bool server = false, wait = true;
    size_t size;
    int r;

    if (!strncmp(spec, "telnet:", 7)) {
        spec += 7;
        c->telnet = true;
    }

    if (strlen(spec) >= sizeof where)
        return error_set(err, -EINVAL, "the address is too long: %s", spec);
    strcpy(where, spec);
    strtok(where, ",");
    while ((option = strtok(NULL, ",")) != NULL) {
        const char topic[2] = {topic_of(option)};

        if (strstr(said, topic))
            return error_set(err, -EINVAL, "%s: '%s' says a second time what is said before", spec, option);
        if (strchr("swtrn", *topic))
            strcat(said, topic);
        if (!strcmp(option, "server") || !strcmp(option, "server=on"))
            server = true;
        else if (!strcmp(option, "nowait") || !strcmp(option, "wait=off"))
            wait = false;
        else if (!strcmp(option, "wait=on") || !strcmp(option, "wait"))
            wait = true;
        else if (!strcmp(option, "telnet") || !strcmp(option, "telnet=on"))
            c->telnet = true;
        else if (!strncmp(option, "reconnect=", 10) && seconds_of(option + 10, &c->reconnect_ns))
            continue;
        else if (strcmp(option, "server=off") && strcmp(option, "nodelay"))
            return error_set(err, -EINVAL, "unknown option '%s' in %s (there are: server, nowait, telnet, reconnect=SECONDS)",
                             option, spec);
    }
    if (server && c->reconnect_ns)
        return error_set(err, -EINVAL, "%s: who listens does not connect again: leave reconnect= or server out", spec);
    if (!server) {
        c->where = xstrdup(where);
        return connect_again(c, err);
    }
    r = listener_open(&c->listener, where, err);
    if (r < 0)
        return r;
    if (wait) {
        fprintf(stderr, "hindcast: %s waits for a connection to %s\n", c->name, c->listener.name);
        wait_for_client(c);
        return 0;
    }
    size = strlen(c->listener.name) + strlen(c->name) + 16;
    *note = xmalloc(size);
    snprintf(*note, size, "%s listens on %s", c->name, c->listener.name);
    return 0;
}

static int open_ring(struct chardev *c, const char *size, struct error *err)
{
    char *end;
    unsigned long long n = strtoull(size, &end, 10);

    if (*size < '0' || *size > '9' || *end || n < 1 || n > RING_MOST || (n & (n - 1)))
        return error_set(err, -EINVAL, "ringbuf of %s bytes: a power of two up to %u", size, RING_MOST);
    c->ring.bytes = xmalloc((size_t)n);
    c->ring.size = (size_t)n;
    return 0;
}

static int open_spec(struct chardev *c, const char *spec, unsigned may, char **note, struct error *err)
{
    if (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"))
        return open_stdio(c);
    if (!strcmp(spec, "none") || !strcmp(spec, "null"))
        return 0;
    if (!strcmp(spec, "gdb")) {
        c->gdb = true;
        return 0;
    }
    if (!strcmp(spec, "stderr")) {
        stream_from_fds(&c->stream, -1, STDERR_FILENO);
        return 0;
    }
    if (!strcmp(spec, "pty"))
        return open_pty(c, note, err);
    if (!strncmp(spec, "file:", 5) && spec[5])
        return open_file(c, spec + 5, may, err);
    if (!strncmp(spec, "pipe:", 5) && spec[5])
        return open_pipe(c, spec + 5, err);
    if (!strncmp(spec, "ringbuf:", 8))
        return open_ring(c, spec + 8, err);
    if (!strncmp(spec, "tcp:", 4) || !strncmp(spec, "unix:", 5) || !strncmp(spec, "telnet:", 7))
        return open_socket(c, spec, note, err);
    return error_set(err, -EINVAL,
                     "'%s' is nothing that a serial port can be connected to: write stdio, "
                     "tcp:HOST:PORT[,server[,nowait]], telnet:HOST:PORT[,server[,nowait]], unix:PATH[,server[,nowait]], pty, "
                     "file:PATH, pipe:PATH, "
                     "chardev:ID, gdb, stderr or none",
                     spec);
}

struct chardev *chardev_open(const char *spec, const char *name, unsigned may, char **note, struct error *err)
{
    struct chardev *c = xcalloc(1, sizeof *c);

    *note = NULL;
    snprintf(c->name, sizeof c->name, "%s", name);
    c->spec = xstrdup(spec);
    buffer_init(&c->later);
    buffer_init(&c->ring.input);
    stream_init(&c->stream);
    c->listener.fd = -1;
    c->pty_slave = c->log = -1;
    if (open_spec(c, spec, may, note, err) < 0) {
        error_prefix(err, "%s", name);
        chardev_close(c);
        return NULL;
    }
    return c;
}

int chardev_log(struct chardev *c, const char *path, unsigned may, struct error *err)
{
    int fd = host_output_open(path, may, err);

    if (fd < 0)
        return fd;
    c->log = fd;
    return 0;
}

int chardev_input_file(struct chardev *c, const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return error_set(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    c->stream.in = fd;
    return 0;
}

void chardev_share(struct chardev *c)
{
    c->escapes = c->shared = true;
}

const char *chardev_name(const struct chardev *c)
{
    return c->name;
}

void chardev_close(struct chardev *c)
{
    if (!c)
        return;
    /* Nobody need be reading a pty. */
    if (stream_open(&c->stream) && !c->pty)
        stream_drain(&c->stream, DRAIN_NS);
    if (c->raw)
        restore_at_exit();
    stream_close(&c->stream);
    listener_close(&c->listener);
    if (c->pty_slave >= 0)
        close(c->pty_slave);
    if (c->log >= 0)
        close(c->log);
    free(c->ring.bytes);
    buffer_finish(&c->later);
    buffer_finish(&c->ring.input);
    free(c->where);
    free(c->spec);
    free(c);
}

/* A pty that nobody reads must not hold the guest back for ever. */
/* What waits for a client that does not read; more is lost. */
#define CLIENT_BACKLOG_MAX ((size_t)16 << 20)
#define PTY_BACKLOG_MAX ((size_t)1 << 16)

/* What does not go into the log (a full disk) is lost to it. */
static void copy_to_log(struct chardev *c, const uint8_t *p, size_t len)
{
    while (c->log >= 0 && len) {
        ssize_t n = write(c->log, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

/* The oldest bytes make room. */
static void ring_append(struct ring *r, const uint8_t *p, size_t len)
{
    for (size_t i = 0; r->bytes && i < len; i++) {
        r->bytes[(r->first + r->count) % r->size] = p[i];
        if (r->count < r->size)
            r->count++;
        else
            r->first = (r->first + 1) % r->size;
    }
}

/* Is it connected to somebody who may have other things to do than to read? */
static bool is_client(const struct chardev *c)
{
    return c->listener.fd >= 0 || c->where;
}

void chardev_write(struct chardev *c, const void *buf, size_t len)
{
    size_t waited = c->stream.queue.len;

    copy_to_log(c, buf, len);
    ring_append(&c->ring, buf, len);
    if (is_client(c) && waited >= CLIENT_BACKLOG_MAX)
        c->lost += len;
    else if (c->telnet)
        write_telnet(c, buf, len);
    else
        stream_write(&c->stream, buf, len);
    if (c->stream.queue.len > waited)
        c->queued += c->stream.queue.len - waited;
    if (c->pty && c->stream.queue.len > PTY_BACKLOG_MAX)
        buffer_clear(&c->stream.queue);
}

/* Take our own keys out of what was typed; returns what is left. */
static size_t filter_escapes(struct chardev *c, uint8_t *buf, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t key = buf[i];

        if (!c->escaped) {
            if (key == ESCAPE_KEY)
                c->escaped = true;
            else if (key == INTERRUPT_KEY && !c->guest_runs && c->raw)
                c->command = CHARDEV_QUIT;
            else
                buf[kept++] = key;
            continue;
        }
        c->escaped = false;
        if (key == ESCAPE_KEY)
            buf[kept++] = key;
        else if (key == 'x' || key == 'X')
            c->command = CHARDEV_QUIT;
        else if (key == 'b')
            c->command = CHARDEV_BREAK;
        else if (key == 'c' && c->shared)
            c->command = CHARDEV_NEXT;
        else
            c->command = CHARDEV_HELP;
    }
    return kept;
}

/* What of that is for the guest. At a break it ends, and the rest waits. */
static size_t filter(struct chardev *c, uint8_t *buf, size_t len)
{
    struct buffer rest;
    size_t kept = 0, i;

    if (!c->telnet && !c->escapes)
        return len;
    for (i = 0; i < len && c->command != CHARDEV_BREAK; i++) {
        uint8_t byte = buf[i];

        if ((!c->telnet || filter_telnet(c, &byte, 1)) && (!c->escapes || filter_escapes(c, &byte, 1)))
            buf[kept++] = byte;
    }
    if (i == len)
        return kept;
    buffer_init(&rest);
    buffer_append(&rest, buf + i, len - i);
    buffer_append(&rest, c->later.data, c->later.len);
    buffer_finish(&c->later);
    c->later = rest;
    return kept;
}

size_t chardev_read(struct chardev *c, void *buf, size_t len)
{
    long n;

    if (c->ring.input.len) {
        n = (long)(len < c->ring.input.len ? len : c->ring.input.len);
        memcpy(buf, c->ring.input.data, (size_t)n);
        buffer_consume(&c->ring.input, (size_t)n);
        return (size_t)n;
    }
    if (c->command == CHARDEV_BREAK) /* it comes first */
        return 0;
    if (c->later.len) {
        n = (long)(len < c->later.len ? len : c->later.len);
        memcpy(buf, c->later.data, (size_t)n);
        buffer_consume(&c->later, (size_t)n);
        return filter(c, buf, (size_t)n);
    }
    if (!stream_open(&c->stream) || c->stream.in < 0)
        return 0;
    n = stream_read(&c->stream, buf, len);
    return n > 0 ? filter(c, buf, (size_t)n) : 0;
}

size_t chardev_ring_read(struct chardev *c, void *buf, size_t len)
{
    struct ring *r = &c->ring;
    uint8_t *p = buf;
    size_t n = len < r->count ? len : r->count;

    for (size_t i = 0; i < n; i++)
        p[i] = r->bytes[(r->first + i) % r->size];
    r->first = n ? (r->first + n) % r->size : r->first;
    r->count -= n;
    return n;
}

bool chardev_ring_write(struct chardev *c, const void *buf, size_t len)
{
    if (c->ring.bytes)
        buffer_append(&c->ring.input, buf, len);
    return c->ring.bytes;
}

bool chardev_is_ring(const struct chardev *c)
{
    return c->ring.bytes;
}

void chardev_describe(const struct chardev *c, struct buffer *out)
{
    buffer_printf(out, "%s: %s", c->name, c->spec);
    if (is_client(c))
        buffer_printf(out, ", %s%s", stream_open(&c->stream) ? "connected" : "not connected",
                      c->listener.fd >= 0 ? ", listening" : "");
    if (c->ring.bytes)
        buffer_printf(out, ", %zu bytes", c->ring.count);
    if (c->stream.queue.len)
        buffer_printf(out, ", %zu bytes wait to be taken", c->stream.queue.len);
    if (c->lost)
        buffer_printf(out, ", %" PRIu64 " bytes were lost", c->lost);
    buffer_printf(out, "\n");
}

bool chardev_input_ended(const struct chardev *c)
{
    return !c->later.len && c->listener.fd < 0 && !c->reconnect_ns && !c->ring.bytes && (c->stream.in < 0 || c->stream.closed);
}

enum chardev_command chardev_command(struct chardev *c)
{
    enum chardev_command command = c->command;

    c->command = CHARDEV_NOTHING;
    return command;
}

size_t chardev_backlog(const struct chardev *c)
{
    return is_client(c) ? 0 : c->stream.queue.len;
}

size_t chardev_client_backlog(const struct chardev *c)
{
    return is_client(c) ? c->stream.queue.len : 0;
}

bool chardev_client_reads(struct chardev *c)
{
    size_t taken = c->queued - c->stream.queue.len;
    bool reads = taken != c->told_taken;

    c->told_taken = taken;
    return reads;
}

uint64_t chardev_lost(const struct chardev *c)
{
    return c->lost;
}

void chardev_service(struct chardev *c)
{
    struct error ignored;

    stream_flush(&c->stream);
    if (c->listener.fd < 0 && !c->reconnect_ns)
        return;
    if (c->stream.closed)
        stream_close(&c->stream);
    if (stream_open(&c->stream))
        return;
    if (c->listener.fd < 0) {
        if (host_monotonic_ns() >= c->reconnect_at)
            connect_again(c, &ignored);
    } else if (listener_accept(&c->listener, &c->stream) && c->telnet) {
        greet(c);
    }
}

void chardev_poll(struct chardev *c, struct poller *p, bool want_read)
{
    stream_poll(&c->stream, p, want_read);
    if (c->listener.fd >= 0 && !stream_open(&c->stream))
        poller_add(p, c->listener.fd, true, false);
}

bool chardev_is_gdb(const struct chardev *c)
{
    return c->gdb;
}

void chardev_guest_runs(struct chardev *c)
{
    c->guest_runs = true;
}

bool chardev_is_terminal(const struct chardev *c)
{
    return c->raw;
}
