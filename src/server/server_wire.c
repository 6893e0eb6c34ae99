/*
 * What went over the networks, asked of history: `packets`, `packet`, `pcap`; and which packet a write by a card was of.
 *
 * What came is in the log; what became of it, and what was sent, replicas find out by running the stretch
 * again (replay/query.h, TRAP_FRAME_IN). So the answer is the same at the live edge, in the past, on a branch, and of a
 * recording that is opened elsewhere.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/capture.h"
#include "host/writer.h"
#include "server_query.h"
#include "vm/dev/nic.h"

#define WRITE_AT_ONCE ((size_t)64 << 10)
#define SUMMARY_BYTES 64u /* of a frame, for the line that tells what it is */

/* A piece of a frame, as replicas note it. */
struct piece {
    uint64_t number, time_ns, offset, len, pc;
    const char *dropped;
    uint16_t device;
    bool from_guest;
    uint32_t nbytes;
    uint8_t bytes[]; /* the query's `room` */
};

struct wire {
    struct asked a;          /* first: it is the context of the callbacks */
    const struct device *card; /* NULL: all */
    uint64_t number;         /* `packet`: of this one; 0: of all */
    uint32_t room;           /* bytes of a frame that are wanted at most; TRAP_FRAME_PIECE: all of them, in pieces */
    struct host_writer file;
    struct buffer frame, text;
    unsigned interfaces[MACHINE_MAX_DEVICES]; /* by device */
    uint64_t packets;
    int status;              /* of writing */
    const char *dropped;     /* `packet`: what became of it, */
    uint64_t time_ns;        /* and when it came */
    bool seen;
};

static const struct device *device_of(const struct wire *w, const struct piece *p)
{
    return w->a.s->machine->devices[p->device];
}

/* ---- asking ---- */

static bool note_piece(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct wire *w = ctx;
    struct piece *p = record;

    if ((w->card && hit->device->index != w->card->index) || (w->number && hit->number != w->number) ||
        (hit->address && w->room < TRAP_FRAME_PIECE) || !asked_holds(&w->a, m, hit->cpu))
        return false;
    *p = (struct piece){.number = hit->number, .time_ns = hit->value, .offset = hit->address, .len = hit->len, .pc = hit->pc,
                        .dropped = hit->writer, .device = hit->device->index, .from_guest = hit->kind == TRAP_FRAME_OUT,
                        .nbytes = hit->nbytes < w->room ? hit->nbytes : w->room};
    memcpy(p->bytes, hit->bytes, p->nbytes);
    return true;
}

static int ask(struct wire *w, unsigned notes, bool (*answer)(void *, icount_t, const void *), struct query_result *result,
               struct error *err)
{
    const struct machine *m = w->a.s->machine;
    const struct component *counters[MACHINE_MAX_DEVICES];
    struct query q = {.notes = notes, .record_bytes = sizeof(struct piece) + w->room, .note = note_piece, .answer = answer,
                      .counters = counters};

    for (unsigned i = 0; i < m->ncomponents; i++)
        for (unsigned k = 0; k < m->ndevices; k++)
            if (m->devices[k]->listener && m->arena + m->components[i].offset == m->devices[k]->listener->state)
                counters[q.ncounters++] = &m->components[i];
    return asked_run(&w->a, &q, result, err);
}

/* The card of a netdev's id; NULL: the only one there is. */
static int find_card(const struct asked *a, const char *id, const struct device **card, struct error *err)
{
    const struct machine *m = a->s->machine;
    unsigned n = 0;

    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->backend_kind == BACKEND_NETDEV && (!id || !strcmp(m->devices[i]->backend, id))) {
            *card = m->devices[i];
            n++;
        }
    if (n == 1)
        return 0;
    return error_set(err, -ENOENT, n ? "there are several networks: say which (info network)" :
                     id ? "no card is connected to such a netdev (info network)" : "no card is connected to a network");
}

/* ---- packets ---- */

static void put_tcp_flags(struct buffer *b, unsigned flags)
{
    static const char names[] = "FSRPAU";

    buffer_append_byte(b, ' ');
    for (unsigned i = 0; i < 6; i++)
        if (flags >> i & 1)
            buffer_append_byte(b, (uint8_t)names[i]);
}

/* What is above IP: ports, flags. */
static void put_transport(struct buffer *b, unsigned protocol, const uint8_t *p, size_t len)
{
    const char *name = protocol == 6 ? "TCP" : protocol == 17 ? "UDP" : protocol == 1 || protocol == 58 ? "ICMP" : NULL;

    if (!name)
        buffer_printf(b, " protocol %u", protocol);
    else
        buffer_printf(b, " %s", name);
    if ((protocol == 6 || protocol == 17) && len >= 4)
        buffer_printf(b, " %u>%u", get_be16(p), get_be16(p + 2));
    if (protocol == 6 && len >= 14)
        put_tcp_flags(b, p[13]);
    if ((protocol == 1 || protocol == 58) && len >= 1)
        buffer_printf(b, " type %u", p[0]);
}

static void put_address(struct buffer *b, const uint8_t *p, unsigned len)
{
    for (unsigned i = 0; i < len; i += len == 4 ? 1 : 2)
        buffer_printf(b, len == 4 ? "%s%u" : "%s%x", i ? len == 4 ? "." : ":" : "", len == 4 ? p[i] : get_be16(p + i));
}

/* A few words on what a frame is. */
static void put_summary(struct buffer *b, const uint8_t *p, size_t len)
{
    unsigned type, ihl;

    if (len < 14) {
        buffer_printf(b, "no Ethernet frame");
        return;
    }
    type = get_be16(p + 12);
    p += 14;
    len -= 14;
    if (type == 0x8100u && len >= 4) {
        buffer_printf(b, "VLAN %u ", get_be16(p) & 0xfffu);
        type = get_be16(p + 2);
        p += 4;
        len -= 4;
    }
    ihl = type == 0x0800u && len >= 20 ? (p[0] & 15u) * 4 : 0;
    if (ihl >= 20) {
        put_address(b, p + 12, 4);
        buffer_append_byte(b, '>');
        put_address(b, p + 16, 4);
        put_transport(b, p[9], p + ihl, len > ihl && !(get_be16(p + 6) & 0x1fffu) ? len - ihl : 0);
    } else if (type == 0x86ddu && len >= 40) {
        put_address(b, p + 8, 16);
        buffer_append_byte(b, '>');
        put_address(b, p + 24, 16);
        put_transport(b, p[6], p + 40, len - 40);
    } else if (type == 0x0806u && len >= 28) {
        buffer_printf(b, "ARP %s ", get_be16(p + 6) == 1 ? "who has" : get_be16(p + 6) == 2 ? "reply of" : "of");
        put_address(b, get_be16(p + 6) == 1 ? p + 24 : p + 14, 4);
    } else {
        buffer_printf(b, "type 0x%04x", type);
    }
}

static bool tell_packet(void *ctx, icount_t position, const void *record)
{
    struct wire *w = ctx;
    const struct piece *p = record;

    line_decimal(&w->a, "position", position);
    line_decimal(&w->a, "time", p->time_ns);
    line_word(&w->a, "netdev", device_of(w, p)->backend);
    line_word(&w->a, "direction", p->from_guest ? "out" : "in");
    line_decimal(&w->a, "number", p->number);
    line_decimal(&w->a, "length", p->len);
    line_word(&w->a, "result", p->from_guest ? "sent" : p->dropped ? "dropped" : "delivered");
    if (p->dropped)
        line_word(&w->a, "why", p->dropped);
    buffer_clear(&w->text);
    put_summary(&w->text, p->bytes, p->nbytes);
    buffer_append_byte(&w->text, 0);
    line_word(&w->a, "what", (const char *)w->text.data);
    if (p->from_guest && p->pc)
        line_hex(&w->a, "pc", p->pc);
    return line_end(&w->a);
}

static void finish(struct wire *w)
{
    buffer_finish(&w->frame);
    buffer_finish(&w->text);
    asked_finish(&w->a);
    free(w);
}

static struct wire *begin(struct rsp_monitor_call *call, unsigned least, unsigned most, uint32_t room, int *r, struct error *err)
{
    struct wire *w = xcalloc(1, sizeof(*w));

    w->room = room;
    w->file.fd = -1;
    buffer_init(&w->frame);
    buffer_init(&w->text);
    *r = asked_init(&w->a, call, least, most, err);
    return w;
}

int query_packets(struct rsp_monitor_call *call, struct error *err)
{
    struct query_result result;
    int r;
    struct wire *w = begin(call, 0, 1, SUMMARY_BYTES, &r, err);

    if (r == 0 && w->a.nwords)
        r = find_card(&w->a, w->a.words[0], &w->card, err);
    if (r == 0)
        r = ask(w, TRAP_FRAME_IN | TRAP_FRAME_OUT, tell_packet, &result, err);
    if (r == 0)
        asked_tell_end(&w->a, "packets", &result);
    finish(w);
    return r;
}

/* ---- packet ---- */

static bool note_fate(void *ctx, icount_t position, const void *record)
{
    struct wire *w = ctx;
    const struct piece *p = record;

    (void)position;
    w->seen = true;
    w->dropped = p->dropped;
    w->time_ns = p->time_ns;
    return false;
}

static void put_bytes(struct buffer *out, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += 16) {
        buffer_printf(out, "%04zx ", at);
        for (size_t i = at; i < at + 16; i++)
            buffer_printf(out, i < len ? " %02x" : "   ", i < len ? bytes[i] : 0u);
        buffer_printf(out, "  ");
        for (size_t i = at; i < at + 16 && i < len; i++)
            buffer_append_byte(out, bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
        buffer_append_byte(out, '\n');
    }
}

static int tell_arrival(struct wire *w, struct error *err)
{
    const struct event *e = server_net_arrival(w->a.s, w->card, w->number);
    struct buffer *out = w->a.call->out;
    struct query_result result;
    int r;

    if (!e)
        return error_set(err, -ENOENT, "netdev %s: in this history %" PRIu64 " packets came to the card", w->card->backend,
                         server_net_arrivals(w->a.s, w->card, ICOUNT_MAX));
    /* (Who runs may load other events.) */
    buffer_append(&w->frame, e->data, e->len);
    w->a.from = e->position;
    w->a.to = e->position + 1;
    w->a.threads = 1;
    r = ask(w, TRAP_FRAME_IN, note_fate, &result, err);
    if (r < 0)
        return r;
    buffer_printf(out, "packet %" PRIu64 " of %s, %zu bytes, position %" PRIu64, w->number, w->card->backend, w->frame.len, w->a.from);
    if (w->seen)
        buffer_printf(out, ", time %" PRIu64 " ns: %s%s", w->time_ns, w->dropped ? "dropped: " : "delivered", w->dropped ? w->dropped : "");
    buffer_printf(out, "\n");
    put_summary(out, w->frame.data, w->frame.len);
    buffer_append_byte(out, '\n');
    put_bytes(out, w->frame.data, w->frame.len);
    return 0;
}

int query_packet(struct rsp_monitor_call *call, struct error *err)
{
    int r;
    struct wire *w = begin(call, 1, 2, SUMMARY_BYTES, &r, err);

    if (r == 0)
        r = find_card(&w->a, w->a.nwords > 1 ? w->a.words[0] : NULL, &w->card, err);
    if (r == 0)
        r = asked_number(&w->a, w->a.nwords - 1, "number of a packet", &w->number, err);
    if (r == 0 && !w->number)
        r = error_set(err, -EINVAL, "packets are numbered from 1");
    if (r == 0 && (w->a.conditional || w->a.newest || w->a.limit || w->a.from || w->a.to != ICOUNT_MAX))
        r = error_set(err, -EINVAL, "one packet is shown: no if, from, to, newest, limit (packets takes them)");
    if (r == 0)
        r = tell_arrival(w, err);
    finish(w);
    return r;
}

/* ---- pcap ---- */

static void write_text(struct wire *w)
{
    if (w->status == 0)
        w->status = host_writer_write(&w->file, w->text.data, w->text.len);
    buffer_clear(&w->text);
}

static bool keep_piece(void *ctx, icount_t position, const void *record)
{
    struct wire *w = ctx;
    const struct piece *p = record;
    const struct device *card = device_of(w, p);

    if (!p->offset)
        buffer_clear(&w->frame);
    buffer_append(&w->frame, p->bytes, p->nbytes);
    if (p->offset + p->nbytes < p->len)
        return true;
    net_dump_write(&w->text, true, w->interfaces[card->index], &(struct net_packet){
        .netdev = card->backend, .from_guest = p->from_guest, .number = p->number, .position = position, .time_ns = p->time_ns,
        .frame = w->frame.data, .len = w->frame.len, .dropped = p->dropped}, UINT32_MAX);
    w->packets++;
    if (w->text.len >= WRITE_AT_ONCE)
        write_text(w);
    return w->status == 0;
}

/* FILE [FROM TO] [force] */
static int take_stretch(struct wire *w, bool *force, struct error *err)
{
    struct asked *a = &w->a;
    int r = 0;

    *force = a->nwords && !strcmp(a->words[a->nwords - 1], "force");
    a->nwords -= *force;
    if (a->nwords != 1 && a->nwords != 3)
        return error_set(err, -EINVAL, "write FILE, or FILE FROM TO, and force if the file may be replaced");
    if (a->newest || a->limit)
        return error_set(err, -EINVAL, "a capture has all packets, the oldest first");
    if (a->nwords == 3) {
        r = asked_position(a, a->words[1], &a->from, err);
        if (r == 0)
            r = asked_position(a, a->words[2], &a->to, err);
    }
    if (r == 0 && a->from > a->to)
        r = error_set(err, -EINVAL, "position %" PRIu64 " is after %" PRIu64, a->from, a->to);
    return r;
}

static void write_head(struct wire *w)
{
    const struct machine *m = w->a.s->machine;
    unsigned n = 0;

    capture_write_head(&w->text, true);
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->backend_kind == BACKEND_NETDEV) {
            capture_write_interface(&w->text, m->devices[i]->backend);
            w->interfaces[i] = n++;
        }
    write_text(w);
}

static int write_capture(struct wire *w, bool force, struct error *err)
{
    const char *path = w->a.words[0];
    struct query_result result;
    int r = host_writer_open_whole(&w->file, path, HOST_MONITOR | HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);

    if (r < 0)
        return r;
    write_head(w);
    r = ask(w, TRAP_FRAME_IN | TRAP_FRAME_OUT, keep_piece, &result, err);
    if (r == 0)
        write_text(w);
    if (r == 0 && w->status == 0 && result.end != QUERY_INTERRUPTED) {
        w->status = host_writer_commit(&w->file);
        if (w->status == 0)
            buffer_printf(w->a.call->out, "%s: %" PRIu64 " packets, from position %" PRIu64 " to %" PRIu64 "\n", path, w->packets,
                          result.from, result.to);
    } else {
        host_writer_close(&w->file);
    }
    if (r == 0 && w->status < 0)
        r = error_set(err, w->status, "%s: cannot write: %s", path, strerror(-w->status));
    else if (r == 0 && result.end == QUERY_INTERRUPTED)
        r = error_set(err, -EINTR, "interrupted: %s was not written", path);
    return r;
}

int query_pcap(struct rsp_monitor_call *call, struct error *err)
{
    const struct device *any = NULL;
    bool force;
    int r;
    struct wire *w = begin(call, 1, 4, TRAP_FRAME_PIECE, &r, err);

    if (r == 0)
        r = take_stretch(w, &force, err);
    if (r == 0 && find_card(&w->a, NULL, &any, err) < 0 && !any)
        r = err->code;
    if (r == 0)
        r = write_capture(w, force, err);
    finish(w);
    return r;
}

/* ---- whose write it was ---- */

void server_wire_blame(const struct server *s, const char *who, icount_t position, struct buffer *text)
{
    const struct event_log *log = timeline_log(s->timeline);
    const struct device *card = who ? machine_find_device(s->machine, who) : NULL;
    uint64_t first, count = 0, bytes = 0;
    const struct event *e;

    if (!card || card->backend_kind != BACKEND_NETDEV)
        return;
    for (uint64_t n = event_log_find(log, position); (e = event_log_get(log, n)) && e->position == position; n++)
        if (e->kind == EVENT_INPUT && e->source == card->index) {
            count++;
            bytes += e->len;
        }
    if (!count)
        return;
    first = server_net_arrivals(s, card, position) + 1;
    if (count == 1)
        buffer_printf(text, ": packet %" PRIu64 " of %s, %" PRIu64 " bytes, came to it at position %" PRIu64 " (monitor packet %s %"
                      PRIu64 ")", first, card->backend, bytes, position, card->backend, first);
    else
        buffer_printf(text, ": packets %" PRIu64 " to %" PRIu64 " of %s came to it at position %" PRIu64 " (monitor packet %s %"
                      PRIu64 ")", first, first + count - 1, card->backend, position, card->backend, first);
}
