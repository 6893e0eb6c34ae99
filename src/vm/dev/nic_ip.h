/*
 * What network cards do with IPv4 and IPv6 in a frame: checksums (RFC 1071; RFC 8200, 8.1), one TCP or UDP packet made into several, and
 * several TCP packets made into one.
 */
#ifndef HINDCAST_VM_DEV_NIC_IP_H
#define HINDCAST_VM_DEV_NIC_IP_H

#include "base/types.h"

#define IP_PROTOCOL_TCP 6u
#define IP_PROTOCOL_UDP 17u

/* The sum of big-endian 16-bit words in ones' complement, going on from `sum`; an odd last byte is an upper half. */
uint32_t nic_sum(const uint8_t *bytes, size_t len, uint32_t sum);

/* Where things are in a frame, in bytes from its beginning. */
struct nic_ip {
    size_t header;    /* the IP header */
    size_t transport; /* what it carries; of IPv6, behind the extension headers */
    size_t end;       /* of that */
    uint8_t protocol; /* of what it carries */
    bool six;         /* IPv6 */
    bool fragment;    /* what it carries is a part of something only */
    bool elsewhere;   /* IPv6: a routing header has it go on to another address than the header's, of which its checksum is */
};

/* Is that frame (which may have a VLAN tag) an IPv4 packet with all of its header, and no longer than the frame? */
bool nic_find_ip(const uint8_t *frame, size_t len, struct nic_ip *ip);
/* ... an IPv6 packet (RFC 8200)? What follows extension headers that there are not (AH, ESP) is the transport. */
bool nic_find_ip6(const uint8_t *frame, size_t len, struct nic_ip *ip);
/* Either. */
bool nic_find_any_ip(const uint8_t *frame, size_t len, struct nic_ip *ip);
/* Put the right checksum into an IPv4 header; into the TCP or UDP that it carries (nothing if there is no whole header). */
void nic_put_ip_checksum(uint8_t *frame, const struct nic_ip *ip);
void nic_put_transport_checksum(uint8_t *frame, const struct nic_ip *ip);
/* The sum of the pseudo header, which a TCP or UDP checksum begins with. */
uint32_t nic_pseudo_sum(const uint8_t *frame, const struct nic_ip *ip);
/* Does it carry all of a TCP or UDP packet with a checksum? */
bool nic_has_transport_checksum(const uint8_t *frame, const struct nic_ip *ip);
/* Is it right? Of UDP over IPv4, a checksum of 0 means none. */
bool nic_ip_checksum_holds(const uint8_t *frame, const struct nic_ip *ip);
bool nic_transport_checksum_holds(const uint8_t *frame, const struct nic_ip *ip);

/* The other way round: append what the TCP packet in `next` carries to the frame, if it goes on where the frame's ends, both are of one
 * connection and say the same but for that, the first is as full as the packets before it were (`mss`; 0: there were none, *mss becomes
 * it), checksums hold and it all is at most `most` bytes. The frame's checksum is that of nothing until nic_joined(). */
bool nic_join(uint8_t *frame, size_t *len, size_t most, const uint8_t *next, size_t next_len, size_t *mss);
void nic_joined(uint8_t *frame, size_t len);

typedef void nic_take_fn(void *ctx, uint8_t *frame, size_t len);

/* Make frames with at most `mss` bytes of data each of one with a TCP or UDP packet, and hand each to `take`: lengths,
 * identification, sequence numbers, flags and checksums are its own. False: it has no such packet. */
bool nic_segment(const uint8_t *frame, const struct nic_ip *ip, size_t mss, nic_take_fn *take, void *ctx);

/* Make fragments of it, with at most `most` bytes (less, to a multiple of 8) of what it carries each (RFC 791, 3.2; RFC 8200, 4.5, where
 * `id` is their identification). False: it is too short for that, or a fragment, or has extension headers. */
bool nic_fragment(const uint8_t *frame, const struct nic_ip *ip, size_t most, uint32_t id, nic_take_fn *take, void *ctx);

#endif
