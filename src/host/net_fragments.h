/*
 * IPv4 datagrams that come in fragments, put together (RFC 791, 3.2): libslirp does not survive all fragments that a guest can
 * make, so it gets whole datagrams only.
 *
 * A few datagrams at a time: the oldest goes when another one begins. One whose fragments overlap, or say different things
 * of its length, is dropped (as RFC 5722 has it for IPv6).
 */
#ifndef HINDCAST_HOST_NET_FRAGMENTS_H
#define HINDCAST_HOST_NET_FRAGMENTS_H

#include "base/types.h"

#define FRAGMENTS_DATAGRAMS 8u
#define FRAGMENTS_LINK      14u          /* bytes of Ethernet's head */
#define FRAGMENTS_HEAD      60u          /* of IP's, at most */
#define FRAGMENTS_MOST      65535u       /* bytes of a datagram */

struct datagram {
    uint64_t began;          /* counts datagrams; 0: none */
    uint8_t key[11];         /* addresses, protocol, identification */
    uint8_t whole[FRAGMENTS_LINK + FRAGMENTS_MOST]; /* as a frame; IP's head is that of the first fragment */
    bool headed;
    unsigned head;           /* bytes of that head */
    unsigned len;            /* of the data; 0: not known */
    unsigned got;            /* bytes of the data that have come */
    uint8_t data[FRAGMENTS_MOST];
    uint8_t have[FRAGMENTS_MOST / 8 / 8 + 1]; /* by eight bytes of the data */
};

struct fragments {
    struct datagram *list;   /* NULL: none has come */
    uint64_t count;
};

/* Is that frame one? */
bool fragments_are(const uint8_t *frame, size_t len);
/* Take it. The datagram as one frame, *whole bytes of it, if it was the last that was missing; good until the next one. NULL: others
 * are missing, or it is a wrong one. */
const uint8_t *fragments_take(struct fragments *f, const uint8_t *frame, size_t len, size_t *whole);
void fragments_finish(struct fragments *f);

#endif
