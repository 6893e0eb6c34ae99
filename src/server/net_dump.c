/*
 * Captures of what goes over a network. See net_dump.h.
 */
#include "net_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/capture.h"
#include "base/option_list.h"
#include "host/writer.h"

#define MAXLEN_USUAL 65536u

struct net_dump {
    struct host_writer file;
    char *path, *netdev, *id;
    uint32_t most;
    bool ng, failed;
    bool begun; /* what is in the file is worth keeping */
    uint64_t packets;
    struct buffer text;
};

static const struct option_key keys[] = {
    {"qom-type", "filter-dump"}, {"id", "ID"}, {"netdev", "ID"}, {"file", "FILE"}, {"maxlen", "BYTES"}, {NULL, NULL}};

int net_dump_check(struct option_list *l, struct error *err)
{
    uint64_t most = MAXLEN_USUAL;
    int r = option_list_check(l, keys, err);

    if (r == 0 && (!option_list_get(l, "id") || !option_list_get(l, "netdev") || !option_list_get(l, "file")))
        r = error_set(err, -EINVAL, "--object filter-dump: it needs id=ID, netdev=ID and file=FILE");
    return r < 0 ? r : option_list_number(l, "maxlen", 1, UINT32_MAX, &most, err);
}

static void write_text(struct net_dump *d)
{
    int r = d->failed ? 0 : host_writer_write(&d->file, d->text.data, d->text.len);

    if (r < 0) {
        d->failed = true;
        fprintf(stderr, "hindcast: %s: %s: the capture ends here (monitor pcap writes all of it elsewhere)\n", d->path, strerror(-r));
    }
    buffer_clear(&d->text);
}

static int open_file(struct net_dump *d, const struct option_list *l, unsigned may, struct error *err)
{
    uint64_t most = MAXLEN_USUAL;
    size_t len;
    int r;

    option_list_number(l, "maxlen", 1, UINT32_MAX, &most, err);
    d->most = (uint32_t)most;
    d->path = xstrdup(option_list_get(l, "file"));
    d->netdev = xstrdup(option_list_get(l, "netdev"));
    d->id = xstrdup(option_list_get(l, "id"));
    len = strlen(d->path);
    d->ng = len > 7 && !strcmp(d->path + len - 7, ".pcapng");
    r = host_writer_open(&d->file, d->path, HOST_EMPTY_ONLY | may, err);
    if (r < 0)
        d->file.fd = -1;
    return r;
}

void net_dump_begin(struct net_dump *d)
{
    d->begun = true;
    capture_write_head(&d->text, d->ng);
    if (d->ng)
        capture_write_interface(&d->text, d->netdev);
    write_text(d);
}

struct net_dump *net_dump_open(const char *text, unsigned may, struct error *err)
{
    struct net_dump *d = xcalloc(1, sizeof(*d));
    struct option_list l;
    int r = option_list_parse(&l, "--object", text, "qom-type", NULL, err);

    d->file.fd = -1;
    buffer_init(&d->text);
    if (r == 0)
        r = net_dump_check(&l, err);
    if (r == 0)
        r = open_file(d, &l, may, err);
    if (r < 0)
        error_prefix(err, "--object filter-dump");
    option_list_finish(&l);
    if (r == 0)
        return d;
    net_dump_close(d);
    return NULL;
}

void net_dump_close(struct net_dump *d)
{
    if (d->file.fd >= 0 && d->begun)
        host_writer_close(&d->file);
    else if (d->file.fd >= 0)
        host_writer_abandon(&d->file, d->path);
    buffer_finish(&d->text);
    free(d->path);
    free(d->netdev);
    free(d->id);
    free(d);
}

const char *net_dump_netdev(const struct net_dump *d)
{
    return d->netdev;
}

void net_dump_write(struct buffer *b, bool ng, unsigned interface, const struct net_packet *p, uint32_t most)
{
    char comment[240];
    const struct capture_packet packet = {
        .time_ns = p->time_ns, .interface = interface, .len = (uint32_t)p->len,
        .kept = p->len < most ? (uint32_t)p->len : most, .data = p->frame, .from_guest = p->from_guest, .comment = comment,
    };

    snprintf(comment, sizeof(comment), "position=%" PRIu64 " netdev=%s direction=%s number=%" PRIu64 " %s%s", p->position, p->netdev,
             p->from_guest ? "out" : "in", p->number, p->from_guest ? "sent" : p->dropped ? "dropped: " : "delivered",
             !p->from_guest && p->dropped ? p->dropped : "");
    capture_write_packet(b, ng, &packet);
}

void net_dump_add(struct net_dump *d, const struct net_packet *p)
{
    net_dump_write(&d->text, d->ng, 0, p, d->most);
    d->packets++;
    write_text(d);
}

void net_dump_describe(const struct net_dump *d, struct buffer *out)
{
    buffer_printf(out, "filter-dump %s of netdev %s: %" PRIu64 " packets to %s%s\n", d->id, d->netdev, d->packets, d->path,
                  d->failed ? ", which cannot be written any more" : "");
}
