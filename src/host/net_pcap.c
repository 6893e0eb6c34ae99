/*
 * A capture as a network: its packets come to the guest at their times, and what the guest sends is written to another.
 *
 * Times are the guest's virtual ones: the first packet comes `start` seconds after the beginning of history (0 if it is not
 * said), each other one as long after the first as it was captured. (One that was captured before its predecessor comes with
 * it.) So what comes when is a function of file and guest; it is recorded all the same, as that of any network, and a
 * replay needs no file.
 *
 * The file is read through once at the beginning, so that one that cannot be played is refused there.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/capture.h"
#include "host/netdev_kinds.h"
#include "host/output.h"
#include "host/writer.h"

#define PIECE ((size_t)64 << 10)
#define NS UINT64_C(1000000000)

struct pcap {
    struct capture_reader reader;
    int fd;               /* of the capture that is played; -1: none */
    uint64_t offset;      /* of what is read next */
    uint8_t *piece;
    size_t have, used;    /* bytes of `piece` */
    uint64_t base_ns;     /* time of the first packet in the file */
    uint64_t start_ns;    /* and on the guest's clock */
    uint64_t due_ns;      /* of the packet before */
    bool over;            /* there are no more, or it cannot be read any more */

    struct host_writer out; /* fd -1: none */
    bool ng, failed;
    struct buffer text;
};

/* ---- playing ---- */

static long read_file(void *ctx, void *buf, size_t len)
{
    struct pcap *c = ctx;

    if (c->used == c->have) {
        ssize_t n = pread(c->fd, c->piece, PIECE, (off_t)c->offset);

        if (n <= 0)
            return n < 0 ? -errno : 0;
        c->offset += (uint64_t)n;
        c->have = (size_t)n;
        c->used = 0;
    }
    if (len > c->have - c->used)
        len = c->have - c->used;
    memcpy(buf, c->piece + c->used, len);
    c->used += len;
    return (long)len;
}

static int from_the_beginning(struct pcap *c, struct error *err)
{
    c->offset = c->have = c->used = 0;
    c->due_ns = 0;
    c->over = false;
    return capture_open(&c->reader, read_file, c, err);
}

/* The next packet, and when it is due. As capture_next(). */
static int take(struct pcap *c, struct capture_packet *p, uint64_t *due_ns, struct error *err)
{
    bool first = !c->reader.packets;
    int r = capture_next(&c->reader, p, err);
    uint64_t since;

    if (r <= 0)
        return r;
    if (first)
        c->base_ns = p->time_ns;
    since = p->time_ns > c->base_ns ? p->time_ns - c->base_ns : 0;
    *due_ns = since > INT64_MAX - c->start_ns ? INT64_MAX : c->start_ns + since;
    if (*due_ns < c->due_ns)
        *due_ns = c->due_ns;
    if (!*due_ns)
        *due_ns = 1;
    c->due_ns = *due_ns;
    return 1;
}

static int open_in(struct pcap *c, const char *path, struct error *err)
{
    struct capture_packet p;
    struct stat st;
    uint64_t due;
    int r;

    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (c->fd < 0 || fstat(c->fd, &st) < 0)
        return error_set(err, -errno, "in=%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "in=%s: is no regular file", path);
    host_output_spare(c->fd);
    c->piece = xmalloc(PIECE);
    r = from_the_beginning(c, err);
    while (r >= 0 && (r = take(c, &p, &due, err)) > 0)
        ;
    if (r == 0)
        r = from_the_beginning(c, err);
    if (r < 0)
        error_prefix(err, "in=%s", path);
    return r;
}

static size_t pcap_next(struct netdev *n, uint8_t *frame, size_t size, uint64_t *due_ns)
{
    struct pcap *c = n->back;
    struct capture_packet p;
    struct error err;
    int r;

    if (c->fd < 0 || c->over)
        return 0;
    r = take(c, &p, due_ns, &err);
    if (r < 0) /* somebody has written to it since it was opened */
        fprintf(stderr, "hindcast: netdev %s: what is played ends here: %s\n", n->id, err.text);
    if (r <= 0) {
        c->over = true;
        return 0;
    }
    CHECK(p.len <= size);
    memcpy(frame, p.data, p.len);
    return p.len;
}

static void pcap_rewind(struct netdev *n, uint64_t frames)
{
    struct pcap *c = n->back;
    struct capture_packet p;
    struct error err;
    uint64_t due;

    if (c->fd < 0)
        return;
    c->over = from_the_beginning(c, &err) < 0;
    for (; frames && !c->over; frames--)
        c->over = take(c, &p, &due, &err) <= 0;
}

/* ---- writing ---- */

static int open_out(struct netdev *n, struct pcap *c, const char *path, struct error *err)
{
    size_t len = strlen(path);
    int r = host_writer_open(&c->out, path, HOST_EMPTY_ONLY | n->may, err);

    if (r < 0) {
        c->out.fd = -1;
        return r;
    }
    c->ng = len > 7 && !strcmp(path + len - 7, ".pcapng");
    capture_write_head(&c->text, c->ng);
    if (c->ng)
        capture_write_interface(&c->text, n->id);
    r = host_writer_write(&c->out, c->text.data, c->text.len);
    return r < 0 ? error_set(err, r, "out=%s: %s", path, strerror(-r)) : 0;
}

static void pcap_send(struct netdev *n, const uint8_t *frame, size_t len)
{
    struct pcap *c = n->back;
    struct capture_packet p = {.time_ns = n->guest_ns, .len = (uint32_t)len, .kept = (uint32_t)len, .data = frame, .from_guest = true};

    if (c->out.fd < 0 || c->failed)
        return;
    buffer_clear(&c->text);
    capture_write_packet(&c->text, c->ng, &p);
    if (host_writer_write(&c->out, c->text.data, c->text.len) < 0) {
        c->failed = true;
        fprintf(stderr, "hindcast: netdev %s: what the guest sends cannot be written any more: the capture ends here\n", n->id);
    }
}

/* ---- the back end ---- */

/* "SECONDS" or "SECONDS.FRACTION" */
static int take_start(const struct option_list *l, uint64_t *ns, struct error *err)
{
    const char *text = option_list_get(l, "start");
    unsigned long long seconds = 0;
    uint64_t fraction = 0, unit = NS / 10;
    const char *p = text;

    if (!text)
        return 0;
    for (; *p >= '0' && *p <= '9' && seconds < 1000000000u; p++)
        seconds = seconds * 10 + (unsigned)(*p - '0');
    if (p != text && *p == '.')
        for (p++; *p >= '0' && *p <= '9' && unit; p++, unit /= 10)
            fraction += (unsigned)(*p - '0') * unit;
    if (p == text || *p)
        return error_set(err, -EINVAL, "start=%s: write seconds on the guest's clock, such as 2.5", text);
    *ns = seconds * NS + fraction;
    return 0;
}

static int pcap_open(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    const char *in = option_list_get(l, "in"), *out = option_list_get(l, "out");
    struct pcap *c = xcalloc(1, sizeof(*c));
    int r;

    (void)note;
    n->back = c;
    c->fd = c->out.fd = -1;
    buffer_init(&c->text);
    if (!in && !out)
        return error_set(err, -EINVAL, "it needs in=FILE, a capture to play, or out=FILE, one to write");
    r = take_start(l, &c->start_ns, err);
    if (r == 0 && in)
        r = open_in(c, in, err);
    if (r == 0 && out)
        r = open_out(n, c, out, err);
    return r;
}

static void pcap_close(struct netdev *n)
{
    struct pcap *c = n->back;

    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    if (c->out.fd >= 0)
        host_writer_close(&c->out);
    buffer_finish(&c->text);
    free(c->piece);
    free(c);
}

static void pcap_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns)
{
    (void)n;
    (void)p;
    (void)timeout_ns;
}

static void pcap_service(struct netdev *n, const struct poller *p)
{
    (void)n;
    (void)p;
}

static const struct option_key keys[] = {{"in", "FILE"}, {"start", "SECONDS"}, {"out", "FILE"}, {NULL, NULL}};

const struct netdev_kind netdev_pcap = {
    .name = "pcap", .keys = keys, .open = pcap_open, .close = pcap_close, .send = pcap_send, .poll = pcap_poll,
    .service = pcap_service, .next = pcap_next, .rewind = pcap_rewind};
