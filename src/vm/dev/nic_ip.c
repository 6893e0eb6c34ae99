/*
 * IPv4 and IPv6 in network cards. See nic_ip.h.
 */
#include "vm/dev/nic_ip.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"

#define IP_HEADER_LEAST  20u
#define IP6_HEADER       40u
#define IP6_FRAGMENT     8u    /* bytes of that header */
#define TCP_HEADER_LEAST 20u
#define UDP_HEADER       8u
#define FIN_AND_PSH      0x09u
#define CWR              0x80u
#define MORE_FRAGMENTS   0x2000u /* of IPv4's flags and offset */

static uint32_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint32_t)sum;
}

/* In words of 32 bits and of the other order: a sum in ones' complement does not mind (RFC 1071, 2). */
uint32_t nic_sum(const uint8_t *bytes, size_t len, uint32_t sum)
{
    uint64_t low = 0, high = 0;
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        uint64_t word = get_le64(bytes + i);

        low += word & UINT32_MAX;
        high += word >> 32;
    }
    for (; i + 2 <= len; i += 2)
        low += get_le16(bytes + i);
    if (i < len)
        low += bytes[i];
    return fold((uint64_t)sum + __builtin_bswap16((uint16_t)fold((low & UINT32_MAX) + (low >> 32) + (high & UINT32_MAX) + (high >> 32))));
}

/* Where what has that type begins in a frame. 0: there is none. */
static size_t find_type(const uint8_t *frame, size_t len, unsigned type)
{
    size_t at = len >= 18 && get_be16(frame + 12) == 0x8100u ? 18 : 14;

    return len >= at && get_be16(frame + at - 2) == type ? at : 0;
}

bool nic_find_ip(const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    size_t at = find_type(frame, len, 0x0800u), header, total;

    if (!at || len < at + IP_HEADER_LEAST || frame[at] >> 4 != 4)
        return false;
    header = 4u * (frame[at] & 15u);
    total = get_be16(frame + at + 2);
    if (header < IP_HEADER_LEAST || total < header || total > len - at)
        return false;
    *ip = (struct nic_ip){.header = at, .transport = at + header, .end = at + total, .protocol = frame[at + 9],
                          .fragment = (get_be16(frame + at + 6) & 0x3fffu) != 0};
    return true;
}

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* Past the extension headers (RFC 8200, 4). */
bool nic_find_ip6(const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    size_t at = find_type(frame, len, 0x86ddu), total, header;
    uint8_t kind;

    if (!at || len < at + IP6_HEADER || frame[at] >> 4 != 6)
        return false;
    total = IP6_HEADER + get_be16(frame + at + 4);
    if (total > len - at)
        return false;
    *ip = (struct nic_ip){.header = at, .transport = at + IP6_HEADER, .end = at + total, .six = true};
    for (kind = frame[at + 6]; kind == HOP_BY_HOP || kind == ROUTING || kind == FRAGMENT || kind == DESTINATION;) {
        const uint8_t *h = frame + ip->transport;

        if (ip->fragment)
            break; /* the rest may be a part of anything */
        if (ip->end - ip->transport < 8)
            return false;
        header = kind == FRAGMENT ? IP6_FRAGMENT : 8u + 8u * h[1];
        if (header > ip->end - ip->transport)
            return false;
        ip->fragment = kind == FRAGMENT && (get_be16(h + 2) & 0xfff9u);
        ip->elsewhere = ip->elsewhere || (kind == ROUTING && h[3]);
        ip->transport += header;
        kind = h[0];
    }
    ip->protocol = kind;
    return true;
}

bool nic_find_any_ip(const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    return nic_find_ip(frame, len, ip) || nic_find_ip6(frame, len, ip);
}

void nic_put_ip_checksum(uint8_t *frame, const struct nic_ip *ip)
{
    uint8_t *at = frame + ip->header + 10;

    if (ip->six)
        return;
    put_be16(at, 0);
    put_be16(at, (uint16_t)~nic_sum(frame + ip->header, ip->transport - ip->header, 0));
}

/* Where the checksum is; NULL: there is none. */
static uint8_t *transport_checksum(uint8_t *frame, const struct nic_ip *ip)
{
    size_t len = ip->end - ip->transport;

    if (ip->protocol == IP_PROTOCOL_TCP && len >= TCP_HEADER_LEAST)
        return frame + ip->transport + 16;
    return ip->protocol == IP_PROTOCOL_UDP && len >= UDP_HEADER ? frame + ip->transport + 6 : NULL;
}

uint32_t nic_pseudo_sum(const uint8_t *frame, const struct nic_ip *ip)
{
    uint32_t rest = (uint32_t)(ip->protocol + (ip->end - ip->transport));

    return ip->six ? nic_sum(frame + ip->header + 8, 32, rest) : nic_sum(frame + ip->header + 12, 8, rest);
}

/* Pseudo header and all. */
static uint32_t transport_sum(const uint8_t *frame, const struct nic_ip *ip)
{
    return nic_sum(frame + ip->transport, ip->end - ip->transport, nic_pseudo_sum(frame, ip));
}

void nic_put_transport_checksum(uint8_t *frame, const struct nic_ip *ip)
{
    uint8_t *at = transport_checksum(frame, ip);
    uint16_t sum;

    if (!at)
        return;
    put_be16(at, 0);
    sum = (uint16_t)~transport_sum(frame, ip);
    put_be16(at, sum || ip->protocol != IP_PROTOCOL_UDP ? sum : 0xffffu);
}

bool nic_has_transport_checksum(const uint8_t *frame, const struct nic_ip *ip)
{
    const uint8_t *at = transport_checksum((uint8_t *)(uintptr_t)frame, ip);

    return at && !ip->fragment && !ip->elsewhere && (ip->protocol != IP_PROTOCOL_UDP || get_be16(at));
}

bool nic_ip_checksum_holds(const uint8_t *frame, const struct nic_ip *ip)
{
    return ip->six || nic_sum(frame + ip->header, ip->transport - ip->header, 0) == 0xffffu;
}

bool nic_transport_checksum_holds(const uint8_t *frame, const struct nic_ip *ip)
{
    const uint8_t *at = transport_checksum((uint8_t *)(uintptr_t)frame, ip);

    if (!at)
        return false;
    return ip->protocol == IP_PROTOCOL_UDP && !get_be16(at) ? !ip->six : transport_sum(frame, ip) == 0xffffu;
}

/* Of a packet that ends elsewhere now. */
static void put_length(uint8_t *frame, const struct nic_ip *ip)
{
    if (ip->six)
        put_be16(frame + ip->header + 4, (uint16_t)(ip->end - ip->header - IP6_HEADER));
    else
        put_be16(frame + ip->header + 2, (uint16_t)(ip->end - ip->header));
}

/* Headers and all of a TCP or UDP packet. 0: it is none. */
static size_t find_data(const uint8_t *frame, const struct nic_ip *ip)
{
    size_t len = ip->end - ip->transport, header = UDP_HEADER;

    if (ip->fragment || !transport_checksum((uint8_t *)(uintptr_t)frame, ip))
        return 0;
    if (ip->protocol == IP_PROTOCOL_TCP)
        header = 4u * (frame[ip->transport + 12] >> 4);
    return header < (ip->protocol == IP_PROTOCOL_TCP ? TCP_HEADER_LEAST : UDP_HEADER) || header > len ? 0 : ip->transport + header;
}

bool nic_segment(const uint8_t *frame, const struct nic_ip *whole, size_t mss, nic_take_fn *take, void *ctx)
{
    size_t headers = find_data(frame, whole), data = whole->end - headers;
    struct nic_ip ip = *whole;
    uint8_t *one;

    if (!headers || !mss)
        return false;
    one = xmalloc(headers + (mss < data ? mss : data));
    for (size_t done = 0, n = 0; done < data || !n; n++) {
        size_t piece = data - done < mss ? data - done : mss;
        uint8_t *transport = one + ip.transport;

        memcpy(one, frame, headers);
        memcpy(one + headers, frame + headers + done, piece);
        ip.end = headers + piece;
        put_length(one, &ip);
        if (!ip.six)
            put_be16(one + ip.header + 4, (uint16_t)(get_be16(frame + ip.header + 4) + n));
        if (ip.protocol == IP_PROTOCOL_TCP) {
            put_be32(transport + 4, get_be32(frame + ip.transport + 4) + (uint32_t)done);
            transport[13] &= (uint8_t)~((done + piece < data ? FIN_AND_PSH : 0) | (n ? CWR : 0));
        } else {
            put_be16(transport + 4, (uint16_t)(ip.end - ip.transport));
        }
        done += piece;
        nic_put_ip_checksum(one, &ip);
        nic_put_transport_checksum(one, &ip);
        take(ctx, one, ip.end);
    }
    free(one);
    return true;
}

/* The fragment header of IPv6, before what is carried. */
static void put_fragment_header(uint8_t *frame, const struct nic_ip *ip, unsigned offset_flags, uint32_t id)
{
    uint8_t *h = frame + ip->header + IP6_HEADER;

    h[0] = ip->protocol;
    h[1] = 0;
    put_be16(h + 2, (uint16_t)offset_flags);
    put_be32(h + 4, id);
    frame[ip->header + 6] = FRAGMENT;
}

bool nic_fragment(const uint8_t *frame, const struct nic_ip *whole, size_t most, uint32_t id, nic_take_fn *take, void *ctx)
{
    size_t before = whole->transport + (whole->six ? IP6_FRAGMENT : 0), carried = whole->end - whole->transport;
    struct nic_ip ip = *whole;
    uint8_t *one;

    most &= ~(size_t)7;
    if (whole->fragment || !most || carried <= most || (whole->six && whole->transport != whole->header + IP6_HEADER))
        return false;
    one = xmalloc(before + most);
    for (size_t done = 0; done < carried;) {
        size_t piece = carried - done < most ? carried - done : most;
        bool last = done + piece == carried;

        memcpy(one, frame, whole->transport);
        memcpy(one + before, frame + whole->transport + done, piece);
        ip.end = before + piece;
        put_length(one, &ip);
        if (ip.six)
            put_fragment_header(one, &ip, (unsigned)done | !last, id);
        else
            put_be16(one + ip.header + 6, (uint16_t)((last ? 0 : MORE_FRAGMENTS) | done / 8));
        nic_put_ip_checksum(one, &ip);
        take(ctx, one, ip.end);
        done += piece;
    }
    free(one);
    return true;
}

/* ---- several TCP packets made into one ---- */

#define ACK 0x10u
#define PSH 0x08u

/* A TCP packet with data and without surprises, in a frame without padding: where its data begin. False: it is none. */
static bool plain_tcp(const uint8_t *frame, size_t len, struct nic_ip *ip, size_t *data)
{
    if (!nic_find_any_ip(frame, len, ip) || ip->header != 14 || ip->transport != (ip->six ? 54 : 34) || ip->protocol != IP_PROTOCOL_TCP ||
        ip->fragment || ip->end != len || len < ip->transport + TCP_HEADER_LEAST)
        return false;
    *data = ip->transport + 4u * (frame[ip->transport + 12] >> 4);
    return *data >= ip->transport + TCP_HEADER_LEAST && *data < len && (frame[ip->transport + 13] & ~PSH) == ACK;
}

/* Everything but lengths, identification, sequence number, PSH and checksums. */
static bool same_headers(const uint8_t *a, const uint8_t *b, const struct nic_ip *ip, size_t data)
{
    size_t tcp = ip->transport;

    if (ip->six ? memcmp(a, b, 18) || memcmp(a + 20, b + 20, 34) : memcmp(a, b, 16) || memcmp(a + 20, b + 20, 4) || memcmp(a + 26, b + 26, 8))
        return false;
    return !memcmp(a + tcp, b + tcp, 4) && !memcmp(a + tcp + 8, b + tcp + 8, 5) && !memcmp(a + tcp + 14, b + tcp + 14, 2) &&
           !memcmp(a + tcp + 18, b + tcp + 18, data - tcp - 18);
}

bool nic_join(uint8_t *frame, size_t *len, size_t most, const uint8_t *next, size_t next_len, size_t *mss)
{
    size_t data, next_data, piece, tcp;
    struct nic_ip ip, next_ip;

    if (!plain_tcp(next, next_len, &next_ip, &next_data) || !plain_tcp(frame, *len, &ip, &data) || ip.six != next_ip.six ||
        data != next_data || (frame[ip.transport + 13] & PSH) || !same_headers(frame, next, &ip, data))
        return false;
    tcp = ip.transport;
    piece = next_len - data;
    if (!*mss && (!nic_ip_checksum_holds(frame, &ip) || !nic_transport_checksum_holds(frame, &ip)))
        return false;
    if (piece > (*mss ? *mss : *len - data) || (*mss && (*len - data) % *mss) || *len + piece > most || *len + piece - 14 > UINT16_MAX ||
        get_be32(next + tcp + 4) != get_be32(frame + tcp + 4) + (uint32_t)(*len - data) || !nic_ip_checksum_holds(next, &next_ip) ||
        !nic_transport_checksum_holds(next, &next_ip))
        return false;
    if (!*mss)
        *mss = *len - data;
    memcpy(frame + *len, next + data, piece);
    *len += piece;
    frame[tcp + 13] |= next[tcp + 13] & PSH;
    ip.end = *len;
    put_length(frame, &ip);
    return true;
}

void nic_joined(uint8_t *frame, size_t len)
{
    struct nic_ip ip;

    if (!nic_find_any_ip(frame, len, &ip))
        return;
    nic_put_ip_checksum(frame, &ip);
    nic_put_transport_checksum(frame, &ip);
}
