/*
 * IPv4 in network cards. See nic_ip.h.
 */
#include "vm/dev/nic_ip.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"

#define IP_HEADER_LEAST  20u
#define TCP_HEADER_LEAST 20u
#define UDP_HEADER       8u
#define FIN_AND_PSH      0x09u

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

bool nic_find_ip(const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    size_t at = 14, header, total;

    if (len < 18)
        return false;
    if (get_be16(frame + 12) == 0x8100u)
        at = 18;
    if (get_be16(frame + at - 2) != 0x0800u || len < at + IP_HEADER_LEAST || frame[at] >> 4 != 4)
        return false;
    header = 4u * (frame[at] & 15u);
    total = get_be16(frame + at + 2);
    if (header < IP_HEADER_LEAST || total < header || total > len - at)
        return false;
    *ip = (struct nic_ip){.header = at, .transport = at + header, .end = at + total, .protocol = frame[at + 9],
                          .fragment = (get_be16(frame + at + 6) & 0x3fffu) != 0};
    return true;
}

void nic_put_ip_checksum(uint8_t *frame, const struct nic_ip *ip)
{
    uint8_t *at = frame + ip->header + 10;

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

/* Pseudo header and all. */
static uint32_t transport_sum(const uint8_t *frame, const struct nic_ip *ip)
{
    size_t len = ip->end - ip->transport;

    return nic_sum(frame + ip->transport, len, nic_sum(frame + ip->header + 12, 8, (uint32_t)(ip->protocol + len)));
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

    return at && !ip->fragment && (ip->protocol != IP_PROTOCOL_UDP || get_be16(at));
}

bool nic_ip_checksum_holds(const uint8_t *frame, const struct nic_ip *ip)
{
    return nic_sum(frame + ip->header, ip->transport - ip->header, 0) == 0xffffu;
}

bool nic_transport_checksum_holds(const uint8_t *frame, const struct nic_ip *ip)
{
    const uint8_t *at = transport_checksum((uint8_t *)(uintptr_t)frame, ip);

    return at && ((ip->protocol == IP_PROTOCOL_UDP && !get_be16(at)) || transport_sum(frame, ip) == 0xffffu);
}

bool nic_segment(const uint8_t *frame, size_t len, size_t mss, void (*take)(void *ctx, uint8_t *frame, size_t len), void *ctx)
{
    struct nic_ip ip;
    size_t headers, data;
    uint8_t *one;

    if (!nic_find_ip(frame, len, &ip) || ip.protocol != IP_PROTOCOL_TCP || ip.end - ip.transport < TCP_HEADER_LEAST || !mss)
        return false;
    headers = ip.transport + 4u * (frame[ip.transport + 12] >> 4);
    if (headers < ip.transport + TCP_HEADER_LEAST || headers > ip.end)
        return false;
    data = ip.end - headers;
    one = xmalloc(headers + (mss < data ? mss : data));
    for (size_t done = 0, n = 0; done < data || !n; n++) {
        size_t piece = data - done < mss ? data - done : mss;
        uint8_t *tcp = one + ip.transport;

        memcpy(one, frame, headers);
        memcpy(one + headers, frame + headers + done, piece);
        ip.end = headers + piece;
        put_be16(one + ip.header + 2, (uint16_t)(ip.end - ip.header));
        put_be16(one + ip.header + 4, (uint16_t)(get_be16(frame + ip.header + 4) + n));
        put_be32(tcp + 4, get_be32(frame + ip.transport + 4) + (uint32_t)done);
        done += piece;
        if (done < data)
            tcp[13] &= (uint8_t)~FIN_AND_PSH;
        nic_put_ip_checksum(one, &ip);
        nic_put_transport_checksum(one, &ip);
        take(ctx, one, ip.end);
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
    if (!nic_find_ip(frame, len, ip) || ip->header != 14 || ip->transport != 34 || ip->protocol != IP_PROTOCOL_TCP || ip->fragment ||
        ip->end != len || len < ip->transport + TCP_HEADER_LEAST)
        return false;
    *data = ip->transport + 4u * (frame[ip->transport + 12] >> 4);
    return *data >= ip->transport + TCP_HEADER_LEAST && *data < len && (frame[ip->transport + 13] & ~PSH) == ACK;
}

/* Everything but lengths, identification, sequence number, PSH and checksums. */
static bool same_headers(const uint8_t *a, const uint8_t *b, size_t data)
{
    return !memcmp(a, b, 16) && !memcmp(a + 20, b + 20, 4) && !memcmp(a + 26, b + 26, 12) && !memcmp(a + 42, b + 42, 5) &&
           !memcmp(a + 48, b + 48, 2) && !memcmp(a + 52, b + 52, data - 52);
}

bool nic_join(uint8_t *frame, size_t *len, size_t most, const uint8_t *next, size_t next_len, size_t *mss)
{
    size_t data, next_data, piece;
    struct nic_ip ip, next_ip;

    if (!plain_tcp(next, next_len, &next_ip, &next_data) || !plain_tcp(frame, *len, &ip, &data) || data != next_data ||
        (frame[47] & PSH) || !same_headers(frame, next, data))
        return false;
    piece = next_len - data;
    if (!*mss && (!nic_ip_checksum_holds(frame, &ip) || !nic_transport_checksum_holds(frame, &ip)))
        return false;
    if (piece > (*mss ? *mss : *len - data) || (*mss && (*len - data) % *mss) || *len + piece > most || *len + piece - 14 > UINT16_MAX ||
        get_be32(next + 38) != get_be32(frame + 38) + (uint32_t)(*len - data) || !nic_ip_checksum_holds(next, &next_ip) ||
        !nic_transport_checksum_holds(next, &next_ip))
        return false;
    if (!*mss)
        *mss = *len - data;
    memcpy(frame + *len, next + data, piece);
    *len += piece;
    frame[47] |= next[47] & PSH;
    put_be16(frame + 16, (uint16_t)(*len - 14));
    return true;
}

void nic_joined(uint8_t *frame, size_t len)
{
    struct nic_ip ip;

    if (!nic_find_ip(frame, len, &ip))
        return;
    nic_put_ip_checksum(frame, &ip);
    nic_put_transport_checksum(frame, &ip);
}
