/* Between netdev.c and the kinds of back ends: net_user.c, net_socket.c, net_tap.c, net_pcap.c. */
#ifndef HINDCAST_HOST_NETDEV_KINDS_H
#define HINDCAST_HOST_NETDEV_KINDS_H

#include "base/buffer.h"
#include "base/option_list.h"
#include "host/netdev.h"

struct netdev_kind {
    const char *name;
    const struct option_key *keys; /* besides type and id */
    /* Make what is behind n->back. 0 or negative errno with *err. */
    int (*open)(struct netdev *n, const struct option_list *l, char **note, struct error *err);
    void (*close)(struct netdev *n);
    void (*send)(struct netdev *n, const uint8_t *frame, size_t len);
    void (*poll)(struct netdev *n, struct poller *p, uint64_t *timeout_ns);
    void (*service)(struct netdev *n, const struct poller *p);
    /* Of timed ones: netdev_receive(), netdev_rewind(). NULL: frames come by netdev_arrives(). */
    size_t (*next)(struct netdev *n, uint8_t *frame, size_t size, uint64_t *due_ns);
    void (*rewind)(struct netdev *n, uint64_t frames);
};

struct netdev {
    const struct netdev_kind *kind;
    void *back;              /* the kind's own */
    char id[32];
    unsigned may;            /* HOST_... of output.h: what open() may write over */
    uint64_t guest_ns;       /* the guest's clock, during send() */
    struct buffer waiting;   /* frames for the guest, each behind its length as u32 */
    size_t taken;            /* bytes of them that were taken */
    struct netdev_stats stats;
};

/* A frame came for the guest. */
void netdev_arrives(struct netdev *n, const void *frame, size_t len);

/* Is there room for what comes? While there is none, whoever can make its sender wait does not read. */
bool netdev_has_room(const struct netdev *n);

extern const struct netdev_kind netdev_socket, netdev_stream, netdev_dgram, netdev_tap, netdev_pcap;
#ifdef HAVE_SLIRP
extern const struct netdev_kind netdev_user;
#endif

#endif
