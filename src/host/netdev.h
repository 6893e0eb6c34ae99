/*
 * What a guest's network card is connected to on the host.
 *
 *   user,id=ID[,net=A.B.C.D/N][,host=..][,dhcpstart=..][,dns=..][,hostname=..][,domainname=..][,ipv4=off][,ipv6=off]
 *       [,restrict=on][,tftp=DIR][,bootfile=NAME][,hostfwd=tcp|udp:[HOST]:PORT-[GUEST]:PORT]...
 *       [,guestfwd=tcp:SERVER:PORT-tcp:HOST:PORT]...
 *                      a network of its own behind the host's sockets, by libslirp: DHCP, DNS, TFTP, the host at 10.0.2.2
 *   socket,id=ID,listen=|connect=[HOST]:PORT      a cable to another emulator: each frame behind its length, by TCP
 *   socket,id=ID,udp=HOST:PORT,localaddr=HOST:PORT  the same, a datagram for each frame
 *   stream,id=ID[,server=on],addr.type=inet|unix,addr.host=..,addr.port=..|addr.path=..
 *   dgram,id=ID,local.type=inet,local.host=..,local.port=..,remote.type=inet,remote.host=..,remote.port=..
 *   tap,id=ID[,ifname=NAME][,fd=N][,script=no][,downscript=no]   an interface of this machine, where that is permitted
 *   pcap,id=ID[,in=FILE][,start=SECONDS][,out=FILE]  what a capture holds comes at its times; what the guest sends is written
 *                      to one (pcap with nanoseconds; pcapng if its name says so). Times are the guest's
 *
 * These are QEMU's words, but for pcap, which it does not have. Where no host is named it is this one alone (127.0.0.1), also for hostfwd.
 *
 * Nothing blocks: frames wait in queues of a fixed size, and are lost and counted when those are full, as on a
 * wire that leads to a slow machine.
 */
#ifndef HINDCAST_HOST_NETDEV_H
#define HINDCAST_HOST_NETDEV_H

#include "base/error.h"
#include "host/poller.h"

/* The longest frame that is taken, in bytes. */
#define NETDEV_FRAME_MOST 65550u

struct netdev;

struct netdev_stats {
    uint64_t received, sent; /* frames that came from the host's side, that the guest sent */
    uint64_t lost;           /* of those that came: refused, because those before them had not been taken */
    uint64_t waiting;        /* of those that came: nobody has taken them yet */
};

/* `text` as above. NULL with *err, which names the option. *note: a line to tell the user at start, or NULL; the caller
 * frees it. `may`: HOST_... of output.h, for files that are written. */
struct netdev *netdev_open(const char *text, unsigned may, char **note, struct error *err);
void netdev_close(struct netdev *n);
const char *netdev_id(const struct netdev *n);

/* A frame that the guest sent, when its clock showed that. */
void netdev_send(struct netdev *n, const void *frame, size_t len, uint64_t guest_ns);
/* The next frame for the guest, at most `size` bytes (a longer one is lost). Its length; 0: none waits. */
size_t netdev_receive(struct netdev *n, void *frame, size_t size, uint64_t *due_ns);

/* The frame that netdev_receive() would give next, and its length, without taking it. NULL: none waits, or frames have their times. Good until
 * the next call of anything here. */
const uint8_t *netdev_peek(const struct netdev *n, size_t *len);

/* Does each frame have its time on the guest's clock? Then netdev_receive() says in *due_ns when it is to come (never 0); else
 * it does not touch it. */
bool netdev_is_timed(const struct netdev *n);
/* So many frames have been given to the guest already, in the history that goes on now. For timed ones. */
void netdev_rewind(struct netdev *n, uint64_t frames);

/* Before a wait: descriptors to look at, and how long at most. After it, with the same poller: move frames. */
void netdev_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns);
void netdev_service(struct netdev *n, const struct poller *p);

void netdev_stats(const struct netdev *n, struct netdev_stats *out);

/* Is that an --netdev value that could be opened, as far as its words go? 0 or -EINVAL with *err. The same for who only
 * wants to know its id: in *id, at most `size` bytes with the NUL. */
int netdev_check(const char *text, char *id, size_t size, struct error *err);

#endif
