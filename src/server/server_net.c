/*
 * The guest's network cards and what they are connected to on the host.
 *
 * A frame that the guest sends comes here from the timeline, once, past the live edge only. Frames from the host go to
 * the timeline as input, each whole, while the guest is not far behind with them; the others wait in the back end, and are
 * lost there in the end, unless their sender can be made to wait (host/netdev.h). A replay needs no network: its frames are
 * in the recording. One that goes on live sends nothing of its past: that was sent when it happened.
 *
 * A capture that is played (--netdev pcap) has its times on the guest's clock, so whoever goes on in another history
 * (a recording's end, a branch) goes on in the file after what that history was given.
 */
#include "server_internal.h"

#include <inttypes.h>
#include <string.h>

#include "host/netdev.h"
#include "vm/dev/nic.h"
#include "vm/dev/nic_ip.h"

/* Bytes of frames that the guest may be behind. */
#define NET_BACKLOG ((size_t)128 << 10)
/* The same of frames that wait for their time: so many that none is late, however far the clock jumps. */
#define NET_AHEAD   ((size_t)8 << 20)
/* Events that are looked at first for a packet that is not far away. */
#define FIRST_STRIDE 4096u

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
        s->nets[i].card = card_of(s, s->config.netdevs[i]);
}

void server_net_begin(struct server *s)
{
    for (unsigned i = 0; i < s->config.ndumps; i++)
        net_dump_begin(s->config.dumps[i]);
}

void server_net_finish(struct server *s)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_close(s->config.netdevs[i]);
    for (unsigned i = 0; i < s->config.ndumps; i++)
        net_dump_close(s->config.dumps[i]);
}

void server_net_poll(const struct server *s, struct poller *poller, uint64_t *timeout_ns)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_poll(s->config.netdevs[i], poller, timeout_ns);
}

/* So many frames had come to a card by the event of that number. */
struct known {
    uint64_t event, arrivals;
};

/* What the card's own count says of where the guest stands; of the beginning, if not all that comes to it there may have come. */
static struct known known_here(const struct server *s, const struct device *card)
{
    const struct event_log *log = timeline_log(s->timeline);
    icount_t here = machine_position(s->machine);
    uint64_t n = event_log_find(log, here);
    const struct event *e = event_log_get(log, n);
    struct nic_counts counts;

    if (e && e->position == here)
        return (struct known){0, 0};
    nic_counts(card, &counts);
    return (struct known){n, counts.arrived};
}

uint64_t server_net_arrivals(const struct server *s, const struct device *card, icount_t before)
{
    const struct event_log *log = timeline_log(s->timeline);
    const struct known k = known_here(s, card);
    uint64_t n = event_log_find(log, before);

    return n < k.event ? k.arrivals - event_log_inputs(log, card->index, n, k.event)
                       : k.arrivals + event_log_inputs(log, card->index, k.event, n);
}

const struct event *server_net_arrival(const struct server *s, const struct device *card, uint64_t number)
{
    const struct event_log *log = timeline_log(s->timeline);
    struct known k = known_here(s, card);
    uint64_t step = FIRST_STRIDE;

    /* Back to where fewer had come, in strides that grow. */
    while (k.arrivals >= number) {
        uint64_t from = k.event > step ? k.event - step : 0;

        k.arrivals -= event_log_inputs(log, card->index, from, k.event);
        k.event = from;
        step *= 2;
    }
    return event_log_get(log, event_log_find_input(log, card->index, k.event, number - k.arrivals - 1));
}

/* Frames that wait for their time: those of the history in use. */
static void take_timed(struct server *s, struct server_net *net, struct netdev *n)
{
    uint8_t frame[NETDEV_FRAME_MOST];
    unsigned branch = timeline_branch(s->timeline);
    uint64_t due;
    size_t len;

    if (!net->begun || net->branch != branch)
        netdev_rewind(n, server_net_arrivals(s, net->card, ICOUNT_MAX) + timeline_inputs_waiting(s->timeline, net->card));
    net->begun = true;
    net->branch = branch;
    while (timeline_input_pending(s->timeline, net->card) < NET_AHEAD && (len = netdev_receive(n, frame, sizeof(frame), &due)) > 0)
        timeline_input_at(s->timeline, net->card, frame, len, due);
}

/* What follows the frame, as far as the card wants it in one: as many hosts' cards and drivers do it. The card's frame is then one. */
static size_t join(struct server_net *net, struct netdev *n, uint8_t *frame, size_t len)
{
    const struct device_ops *ops = net->card->ops;
    size_t most = ops->joined_room ? ops->joined_room(net->card, frame, len) : 0, more, mss = 0;
    uint8_t taken[NETDEV_FRAME_MOST];
    const uint8_t *next;

    if (most > NETDEV_FRAME_MOST)
        most = NETDEV_FRAME_MOST;
    while (most && (next = netdev_peek(n, &more)) && nic_join(frame, &len, most, next, more, &mss)) {
        netdev_receive(n, taken, sizeof(taken), NULL);
        net->joined++;
    }
    if (mss)
        nic_joined(frame, len);
    return len;
}

bool server_net_take_input(struct server *s)
{
    uint8_t frame[NETDEV_FRAME_MOST];
    bool any = false;
    size_t len;

    for (unsigned i = 0; i < s->config.nnetdevs && timeline_outside(s->timeline); i++) {
        struct server_net *net = &s->nets[i];

        if (!net->card)
            continue;
        if (netdev_is_timed(s->config.netdevs[i])) {
            take_timed(s, net, s->config.netdevs[i]);
            continue;
        }
        while (timeline_input_pending(s->timeline, net->card) < NET_BACKLOG &&
               (len = netdev_receive(s->config.netdevs[i], frame, sizeof(frame), NULL)) > 0) {
            len = join(net, s->config.netdevs[i], frame, len);
            timeline_input(s->timeline, net->card, frame, len, true);
            any = true;
        }
    }
    return any;
}

void server_net_serve(struct server *s, const struct poller *poller)
{
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        netdev_service(s->config.netdevs[i], poller);
    server_net_take_input(s);
}

/* Does it happen now, past what was lived before? (A recording's past is heard once, too.) */
static bool is_live(const struct server *s)
{
    return machine_position(s->machine) >= timeline_edge(s->timeline);
}

static void dump(struct server *s, const struct device *card, const struct net_packet *p)
{
    for (unsigned i = 0; i < s->config.ndumps; i++)
        if (!strcmp(net_dump_netdev(s->config.dumps[i]), card->backend))
            net_dump_add(s->config.dumps[i], p);
}

bool server_net_output(struct server *s, const struct device *dev, const void *frame, size_t len)
{
    struct nic_counts counts;

    if (dev->backend_kind != BACKEND_NETDEV)
        return false;
    if (!is_live(s))
        return true;
    nic_counts(dev, &counts);
    dump(s, dev, &(struct net_packet){.netdev = dev->backend, .from_guest = true, .number = counts.sent, .frame = frame,
                                      .len = len, .position = machine_position(s->machine), .time_ns = machine_now(s->machine)});
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        if (s->nets[i].card == dev)
            netdev_send(s->config.netdevs[i], frame, len, machine_now(s->machine));
    return true;
}

void server_net_arrived(void *ctx, struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped)
{
    struct server *s = ctx;

    if (!timeline_outside(s->timeline) || !is_live(s))
        return;
    dump(s, dev, &(struct net_packet){.netdev = dev->backend, .number = number, .frame = frame, .len = len, .dropped = dropped,
                                      .position = machine_position(s->machine), .time_ns = machine_now(s->machine)});
    for (unsigned i = 0; i < s->config.nnetdevs; i++)
        if (s->nets[i].card == dev)
            s->nets[i].arrived++;
}

/* ---- info network ---- */

static void describe_back(const struct server *s, unsigned i, struct buffer *out)
{
    struct netdev_stats stats;
    uint64_t accepted;

    netdev_stats(s->config.netdevs[i], &stats);
    accepted = stats.received - stats.lost - s->nets[i].joined;
    buffer_printf(out, "  here, so far: %" PRIu64 " frames came, %" PRIu64 " were accepted for the guest, %" PRIu64
                  " refused for want of room; %" PRIu64 " of those accepted wait; %" PRIu64 " went out\n", stats.received, stats.received - stats.lost,
                  stats.lost, accepted + s->nets[i].resets > s->nets[i].arrived ? accepted + s->nets[i].resets - s->nets[i].arrived : 0,
                  stats.sent);
    if (s->nets[i].joined)
        buffer_printf(out, "  of those accepted, %" PRIu64 " came as part of the frame before them (TCP; the guest's driver takes it so)\n", s->nets[i].joined);
}

void server_net_describe(const struct server *s, struct buffer *out)
{
    for (unsigned i = 0; i < s->machine->ndevices; i++) {
        const struct device *dev = s->machine->devices[i];
        struct nic_counts counts;
        bool connected = false;

        if (dev->backend_kind != BACKEND_NETDEV)
            continue;
        for (unsigned k = 0; k < s->config.nnetdevs; k++)
            connected |= s->nets[k].card == dev;
        nic_counts(dev, &counts);
        buffer_printf(out, "netdev %s, card %s%s: up to this position %" PRIu64 " frames came to it, %" PRIu64 " delivered, %" PRIu64
                      " dropped; it sent %" PRIu64 "\n", dev->backend, dev->name, connected ? "" : ", not connected", counts.arrived,
                      counts.arrived - counts.dropped, counts.dropped, counts.sent);
        for (unsigned k = 0; k < s->config.nnetdevs; k++)
            if (s->nets[k].card == dev)
                describe_back(s, k, out);
    }
    for (unsigned i = 0; i < s->config.ndumps; i++)
        net_dump_describe(s->config.dumps[i], out);
    if (!out->len)
        buffer_printf(out, "no network cards\n");
}
