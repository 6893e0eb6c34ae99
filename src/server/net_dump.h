/*
 * Captures of what goes over a network: --object filter-dump, as it happens; and how a packet is written down there and by
 * `monitor pcap`: with virtual time, and in pcapng with a comment such as
 *
 *   position=1234567 netdev=n0 direction=in number=17 delivered
 *   position=1234567 netdev=n0 direction=in number=18 dropped: no buffer
 *   position=1234890 netdev=n0 direction=out number=9 sent
 *
 * `position`: where the step begins in which the card got or sent it; `number`: which one it was of those that came to the card,
 * or that it sent. These words are for programs, too: more may be added at the end, none is changed.
 */
#ifndef HINDCAST_NET_DUMP_H
#define HINDCAST_NET_DUMP_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/types.h"

struct net_dump;

struct net_packet {
    const char *netdev;    /* id */
    bool from_guest;       /* else to it */
    uint64_t number;
    icount_t position;
    uint64_t time_ns;      /* virtual */
    const void *frame;
    size_t len;
    const char *dropped;   /* why it does not reach the guest; NULL: it does */
};

struct option_list;
/* Is that such a one, as far as its words go? 0 or -EINVAL with *err. */
int net_dump_check(struct option_list *l, struct error *err);

/* Open the file, and leave it empty. `text`: "filter-dump,id=..,netdev=..,file=..[,maxlen=..]"; pcapng if the file's name ends so, else pcap with
 * nanoseconds. `may`: HOST_... of output.h. NULL with *err. */
struct net_dump *net_dump_open(const char *text, unsigned may, struct error *err);
/* The guest begins: the file gets its head. */
void net_dump_begin(struct net_dump *d);
void net_dump_close(struct net_dump *d);
const char *net_dump_netdev(const struct net_dump *d);
void net_dump_add(struct net_dump *d, const struct net_packet *p);
/* A line of text. */
void net_dump_describe(const struct net_dump *d, struct buffer *out);

/* Append a packet to a capture's text. `interface`: its number there; `most`: bytes of it that are kept. */
void net_dump_write(struct buffer *b, bool ng, unsigned interface, const struct net_packet *p, uint32_t most);

#endif
