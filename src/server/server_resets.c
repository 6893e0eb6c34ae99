/*
 * TCP connections of a past that is over. Where a recording goes on live, or a branch becomes live, the guest believes in
 * connections whose other ends are not there any more. Each that is known to have been open is reset: the guest gets a
 * segment with RST (RFC 9293, 3.5.2), as if its peer had answered that it knows of no connection.
 *
 * Which there are, the packets of the log say, those that came to the guest: a peer's segments show its address, what it
 * will send next, and what it has seen of the guest's. One is over when its peer has sent RST or FIN; of the latter the guest has
 * been told, and what it may send after it the network of today answers. (A connection of which nothing has come to the
 * guest is not known: there the guest waits for its answer, and asks again.)
 *
 * A number that RST must have is that which the guest expects next (RFC 5961, 3.2): the end of what has come. If the
 * card dropped that, the guest answers with an ACK, which the network of today answers with a reset of its own.
 */
#include "server_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "host/netdev.h"

#define FLOWS_MOST  65536u /* more are not looked at */
#define TOLD_MOST   4u     /* connections that are named */
#define TCP         6u
#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define ACK 0x10u
#define ETHERTYPE_VLAN 0x8100u
#define LINK_MOST   18u    /* bytes before IP, with a VLAN tag */
#define TCP_BYTES   20u

/* Addresses and ports, as they are in a segment that comes to the guest. */
struct flow_key {
    uint8_t from[16], to[16], ports[4]; /* IPv4: the first four bytes */
    uint8_t ipv6, reserved[3];
};

struct flow {
    struct flow_key key;
    bool used, over;
    uint8_t link[LINK_MOST];
    uint8_t link_bytes;
    uint32_t next;           /* sequence number after what has come */
    uint32_t acked;          /* what the peer has seen */
};

struct flows {
    struct flow *list;       /* by hash */
    uint32_t size, count;
};

/* ---- from packets ---- */

static struct flow *flow_at(struct flows *t, const struct flow_key *k)
{
    uint32_t i = (uint32_t)hash_bytes(0, k, sizeof(*k)) & (t->size - 1);

    while (t->list[i].used && memcmp(&t->list[i].key, k, sizeof(*k)) != 0)
        i = (i + 1) & (t->size - 1);
    return &t->list[i];
}

static void grow(struct flows *t)
{
    struct flows old = *t;

    t->size = old.size ? old.size * 2 : 256;
    t->list = xcalloc(t->size, sizeof(t->list[0]));
    for (uint32_t i = 0; i < old.size; i++)
        if (old.list[i].used)
            *flow_at(t, &old.list[i].key) = old.list[i];
    free(old.list);
}

/* A segment that came to the guest. */
struct segment {
    struct flow_key key;
    const uint8_t *tcp;
    size_t len, link_bytes;  /* of it with its data; before IP */
};

/* IP's head: *p and *len become TCP's. */
static bool take_ip(struct segment *g, const uint8_t *p, size_t len, unsigned type)
{
    size_t head, total;

    if (type == 0x0800u) {
        if (len < 20 || p[0] >> 4 != 4 || p[9] != TCP || (get_be16(p + 6) & 0x3fffu))
            return false; /* (Fragments of TCP do not come.) */
        head = (p[0] & 15u) * 4u;
        total = get_be16(p + 2);
        memcpy(g->key.from, p + 12, 4);
        memcpy(g->key.to, p + 16, 4);
    } else if (type == 0x86ddu) {
        if (len < 40 || p[6] != TCP)
            return false;
        head = 40;
        total = 40u + get_be16(p + 4);
        memcpy(g->key.from, p + 8, 16);
        memcpy(g->key.to, p + 24, 16);
        g->key.ipv6 = 1;
    } else {
        return false;
    }
    if (head < 20 || total > len || total < head + TCP_BYTES)
        return false;
    g->tcp = p + head;
    g->len = total - head;
    return true;
}

static bool take_segment(struct segment *g, const uint8_t *frame, size_t len)
{
    unsigned type;

    memset(g, 0, sizeof(*g));
    if (len < LINK_MOST)
        return false;
    type = get_be16(frame + 12);
    g->link_bytes = type == ETHERTYPE_VLAN ? 18 : 14;
    if (type == ETHERTYPE_VLAN)
        type = get_be16(frame + 16);
    if (!take_ip(g, frame + g->link_bytes, len - g->link_bytes, type) || (g->tcp[12] >> 4) * 4u < TCP_BYTES ||
        (g->tcp[12] >> 4) * 4u > g->len)
        return false;
    memcpy(g->key.ports, g->tcp, 4);
    return true;
}

static void note_segment(struct flows *t, const uint8_t *frame, size_t len)
{
    struct segment g;
    struct flow *f;
    uint32_t end;
    unsigned flags;

    if (!take_segment(&g, frame, len))
        return;
    if (t->count * 2 >= t->size)
        grow(t);
    f = flow_at(t, &g.key);
    if (!f->used && t->count == FLOWS_MOST)
        return;
    flags = g.tcp[13];
    end = get_be32(g.tcp + 4) + (uint32_t)(g.len - (g.tcp[12] >> 4) * 4u) + ((flags & SYN) != 0) + ((flags & FIN) != 0);
    if (!f->used || (flags & SYN) || (int32_t)(end - f->next) > 0)
        f->next = end;
    if (!f->used || (flags & SYN))
        f->over = false;
    t->count += !f->used;
    f->used = true;
    f->key = g.key;
    f->over |= (flags & (RST | FIN)) != 0;
    f->link_bytes = (uint8_t)g.link_bytes;
    memcpy(f->link, frame, g.link_bytes);
    if (flags & ACK)
        f->acked = get_be32(g.tcp + 8);
}

/* ---- resets ---- */

static uint32_t sum_of(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += get_be16(p + i);
    return sum;
}

static uint16_t checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Returns its length. */
static size_t make_reset(const struct flow *f, uint8_t *frame)
{
    size_t address = f->key.ipv6 ? 16 : 4;
    uint8_t *ip = frame + f->link_bytes, *tcp = ip + (f->key.ipv6 ? 40 : 20);
    uint32_t sum = TCP + TCP_BYTES;

    memset(frame, 0, LINK_MOST + 40 + TCP_BYTES);
    memcpy(frame, f->link, f->link_bytes);
    if (f->key.ipv6) {
        ip[0] = 0x60;
        put_be16(ip + 4, TCP_BYTES);
        ip[6] = TCP;
        ip[7] = 64;
        memcpy(ip + 8, f->key.from, 16);
        memcpy(ip + 24, f->key.to, 16);
    } else {
        ip[0] = 0x45;
        put_be16(ip + 2, 20 + TCP_BYTES);
        ip[8] = 64;
        ip[9] = TCP;
        memcpy(ip + 12, f->key.from, 4);
        memcpy(ip + 16, f->key.to, 4);
        put_be16(ip + 10, checksum(sum_of(ip, 20, 0)));
    }
    memcpy(tcp, f->key.ports, 4);
    put_be32(tcp + 4, f->next);
    put_be32(tcp + 8, f->acked);
    tcp[12] = TCP_BYTES / 4 << 4;
    tcp[13] = RST | ACK;
    sum = sum_of(f->key.from, address, sum_of(f->key.to, address, sum));
    put_be16(tcp + 16, checksum(sum_of(tcp, TCP_BYTES, sum)));
    return (size_t)(tcp - frame) + TCP_BYTES;
}

static void put_end(struct buffer *b, const uint8_t *address, bool ipv6, const uint8_t *port)
{
    for (unsigned i = 0; i < (ipv6 ? 16u : 4u); i += ipv6 ? 2 : 1)
        buffer_printf(b, ipv6 ? "%s%x" : "%s%u", i ? ipv6 ? ":" : "." : ipv6 ? "[" : "", ipv6 ? get_be16(address + i) : address[i]);
    buffer_printf(b, ipv6 ? "]:%u" : ":%u", get_be16(port));
}

/* Of one card. Adds to the number of them, and to their names. */
static unsigned reset_flows(struct server *s, struct server_net *net, struct flows *t, unsigned told, struct buffer *names)
{
    uint8_t frame[LINK_MOST + 40 + TCP_BYTES];

    for (uint32_t i = 0; i < t->size; i++) {
        const struct flow *f = &t->list[i];

        if (!f->used || f->over)
            continue;
        timeline_input(s->timeline, net->card, frame, make_reset(f, frame), true);
        net->resets++;
        if (told++ >= TOLD_MOST)
            continue;
        buffer_printf(names, "%s", told == 1 ? ": " : ", ");
        put_end(names, f->key.to, f->key.ipv6, f->key.ports + 2);
        buffer_printf(names, " to ");
        put_end(names, f->key.from, f->key.ipv6, f->key.ports);
    }
    return told;
}

void server_net_reset_connections(struct server *s)
{
    const struct event_log *log = timeline_log(s->timeline);
    struct buffer names, text;
    unsigned told = 0;

    buffer_init(&names);
    for (unsigned i = 0; i < s->config.nnetdevs; i++) {
        struct server_net *net = &s->nets[i];
        struct flows t = {.count = 0};
        const struct event *e;

        /* Of a capture that is played nobody lives, now or then. */
        if (!net->card || netdev_is_timed(s->config.netdevs[i]))
            continue;
        for (uint64_t n = 0; (e = event_log_get(log, n)); n++)
            if (e->kind == EVENT_INPUT && e->source == net->card->index)
                note_segment(&t, e->data, e->len);
        told = reset_flows(s, net, &t, told, &names);
        free(t.list);
    }
    if (told) {
        buffer_append_byte(&names, 0);
        buffer_init(&text);
        buffer_printf(&text, "%u TCP connection%s of the guest's with a network that is not there any more %s reset%s%s", told,
                      told == 1 ? "" : "s", told == 1 ? "is" : "are", (const char *)names.data, told > TOLD_MOST ? ", ..." : "");
        buffer_append_byte(&text, 0);
        server_tell(s, (const char *)text.data);
        buffer_finish(&text);
    }
    buffer_finish(&names);
}
