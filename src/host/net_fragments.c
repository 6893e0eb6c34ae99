/*
 * Fragments of IPv4 datagrams. See net_fragments.h.
 */
#include "host/net_fragments.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"

#define ETHERTYPE_IPV4 0x0800u
#define MORE           0x2000u
#define OFFSET         0x1fffu /* in units of eight bytes */
#define UNIT           8u

/* A fragment, if it is a right one. */
struct fragment {
    const uint8_t *ip, *data;
    unsigned head, len, offset;
    bool last;
};

bool fragments_are(const uint8_t *frame, size_t len)
{
    return len >= FRAGMENTS_LINK + 20u && get_be16(frame + 12) == ETHERTYPE_IPV4 &&
           (get_be16(frame + FRAGMENTS_LINK + 6) & (MORE | OFFSET)) != 0;
}

static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += get_be16(p + i);
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

static bool take_apart(struct fragment *g, const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + FRAGMENTS_LINK;
    unsigned total = get_be16(ip + 2), flags = get_be16(ip + 6);

    *g = (struct fragment){.ip = ip, .head = (ip[0] & 15u) * 4u, .offset = (flags & OFFSET) * UNIT, .last = !(flags & MORE)};
    if (ip[0] >> 4 != 4 || g->head < 20 || total < g->head || total > len - FRAGMENTS_LINK || checksum(ip, g->head) != 0)
        return false;
    g->len = total - g->head;
    g->data = ip + g->head;
    return g->len && (g->last || g->len % UNIT == 0) && g->offset + g->len <= FRAGMENTS_MOST - FRAGMENTS_HEAD;
}

/* The datagram that it is of, or a new one. */
static struct datagram *datagram_of(struct fragments *f, const struct fragment *g)
{
    struct datagram *oldest;
    uint8_t key[sizeof(oldest->key)];

    memcpy(key, g->ip + 12, 8);
    key[8] = g->ip[9];
    memcpy(key + 9, g->ip + 4, 2);
    if (!f->list)
        f->list = xcalloc(FRAGMENTS_DATAGRAMS, sizeof(f->list[0]));
    oldest = &f->list[0];
    for (unsigned i = 0; i < FRAGMENTS_DATAGRAMS; i++) {
        struct datagram *d = &f->list[i];

        if (d->began && !memcmp(d->key, key, sizeof(key)))
            return d;
        if (d->began < oldest->began)
            oldest = d;
    }
    oldest->began = ++f->count;
    oldest->headed = false;
    oldest->len = oldest->got = 0;
    memcpy(oldest->key, key, sizeof(key));
    memset(oldest->have, 0, sizeof(oldest->have));
    return oldest;
}

/* False: it does not go with what has come. */
static bool add(struct datagram *d, const struct fragment *g, const uint8_t *frame)
{
    unsigned end = g->offset + g->len;

    if (d->len ? end > d->len || (g->last && end != d->len) : false)
        return false;
    for (unsigned at = g->offset / UNIT; at < (end + UNIT - 1) / UNIT; at++) {
        if (d->have[at / 8] >> at % 8 & 1)
            return false;
        d->have[at / 8] |= (uint8_t)(1u << at % 8);
    }
    if (g->last) {
        /* Nothing may have come behind it. */
        for (unsigned at = (end + UNIT - 1) / UNIT; at < FRAGMENTS_MOST / UNIT; at++)
            if (d->have[at / 8] >> at % 8 & 1)
                return false;
        d->len = end;
    }
    memcpy(d->data + g->offset, g->data, g->len);
    d->got += g->len;
    if (!g->offset) {
        d->headed = true;
        d->head = g->head;
        memcpy(d->whole, frame, FRAGMENTS_LINK + g->head);
    }
    return true;
}

const uint8_t *fragments_take(struct fragments *f, const uint8_t *frame, size_t len, size_t *whole)
{
    struct fragment g;
    struct datagram *d;
    uint8_t *ip;

    if (!take_apart(&g, frame, len))
        return NULL;
    d = datagram_of(f, &g);
    if (!add(d, &g, frame)) {
        d->began = 0;
        return NULL;
    }
    if (!d->len || d->got < d->len || !d->headed)
        return NULL;
    ip = d->whole + FRAGMENTS_LINK;
    put_be16(ip + 2, d->head + d->len);
    put_be16(ip + 6, 0);
    put_be16(ip + 10, 0);
    put_be16(ip + 10, checksum(ip, d->head));
    memcpy(ip + d->head, d->data, d->len);
    d->began = 0;
    *whole = FRAGMENTS_LINK + d->head + d->len;
    return d->whole;
}

void fragments_finish(struct fragments *f)
{
    free(f->list);
    *f = (struct fragments){.count = 0};
}
