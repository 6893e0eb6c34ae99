/*
 * The guest's network cards and what they are connected to on the host.
 *
 * A frame that the guest sends comes here from the timeline, once, past the live edge only. Frames from the host go to
 * the timeline as input, each whole, while the guest is not far behind with them; the others wait in the back end, and are
 * lost there in the end (host/netdev.h). A replay needs no network: its frames are in the recording.
 */
#include "server_internal.h"

#include <inttypes.h>
#include <string.h>

#include "host/netdev.h"

/* Bytes of frames that the guest may be behind. */
#define NET_BACKLOG ((size_t)128 << 10)

static struct device *card_of(const struct server *s, const struct netdev *n)
{
    for (unsigned i = 0; i < s->machine->ndevices; i++)
        if (s->machine->devices[i]->backend_kind == BACKEND_NETDEV && !strcmp(s->machine->devices[i]->backend, netdev_id(n)))
            return s->machine->devices[i];
    return NULL;
}

void server_net_init(struct server *s)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        s->cards[i] = card_of(s, s->config.netdevs[i]);
}

void server_net_finish(struct server *s)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_close(s->config.netdevs[i]);
}

void server_net_poll(const struct server *s, struct poller *poller, uint64_t *timeout_ns)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_poll(s->config.netdevs[i], poller, timeout_ns);
}

bool server_net_take_input(struct server *s)
{
    uint8_t frame[NETDEV_FRAME_MOST];
    bool any = false;
    size_t len;

    for (unsigned i = 0; i < s->config.nnetdevs && timeline_outside(s->timeline); i++)
        while (s->cards[i] && timeline_input_pending(s->timeline, s->cards[i]) < NET_BACKLOG &&
               (len = netdev_receive(s->config.netdevs[i], frame, sizeof(frame))) > 0) {
            timeline_input(s->timeline, s->cards[i], frame, len, true);
            any = true;
        }
    return any;
}

void server_net_serve(struct server *s, const struct poller *poller)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_service(s->config.netdevs[i], poller);
    server_net_take_input(s);
}

bool server_net_output(struct server *s, const struct device *dev, const void *frame, size_t len)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        if (s->cards[i] == dev) {
            netdev_send(s->config.netdevs[i], frame, len);
            return true;
        }
    return false;
}

void server_net_describe(const struct server *s, struct buffer *out)
{
    struct netdev_stats stats;

    for (unsigned i = 0; i < s->config.nnetdevs; i++) {
        netdev_stats(s->config.netdevs[i], &stats);
        buffer_printf(out, "netdev %s, card %s: %" PRIu64 " frames to the guest, %" PRIu64 " from it, %" PRIu64
                      " lost because the guest did not take them\n", netdev_id(s->config.netdevs[i]),
                      s->cards[i] ? s->cards[i]->name : "none", stats.received, stats.sent, stats.lost);
    }
    for (unsigned i = 0; i < s->machine->ndevices; i++) {
        const struct device *dev = s->machine->devices[i];

        if (dev->backend_kind == BACKEND_NETDEV && !s->config.nnetdevs)
            buffer_printf(out, "card %s, netdev %s: not connected\n", dev->name, dev->backend);
    }
    if (!out->len)
        buffer_printf(out, "no network cards\n");
}
