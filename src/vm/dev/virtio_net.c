/*
 * The virtio network card (virtio 1.2, 5.1): one receive and one transmit queue, a control queue with filters of
 * addresses and of VLANs, checksums of what is sent and what comes in, TCP and UDP over IPv4 and IPv6 segmented by the card, UDP made
 * into fragments (UFO), receive buffers that are merged, offloads that are turned off and on while it runs.
 *
 * A frame that is sent goes out at once; a long TCP packet as segments that the wire takes. One from outside waits in the host until there
 * are buffers for it; what follows it in the same connection may come as one frame with it (device_ops.joined_room).
 *
 * Not modelled: several pairs of queues, hashing; the link is always up, and nothing ever has to be announced (GUEST_ANNOUNCE).
 * GSO, which drivers of before virtio 1.0 know, is not offered: what it means, its parts say.
 */
#include "vm/dev/virtio_net.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/nic.h"
#include "vm/dev/nic_ip.h"
#include "vm/dev/virtio_mmio.h"
#include "vm/dev/virtio_pci.h"
#include "vm/machine.h"

#define F_CSUM          (1ull << 0)
#define F_GUEST_CSUM    (1ull << 1)
#define F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define F_MAC           (1ull << 5)
#define F_GUEST_TSO4    (1ull << 7)
#define F_GUEST_TSO6    (1ull << 8)
#define F_GUEST_ECN     (1ull << 9)
#define F_GUEST_UFO     (1ull << 10)
#define F_HOST_TSO4     (1ull << 11)
#define F_HOST_TSO6     (1ull << 12)
#define F_HOST_ECN      (1ull << 13)
#define F_HOST_UFO      (1ull << 14)
#define F_MRG_RXBUF     (1ull << 15)
#define F_STATUS        (1ull << 16)
#define F_CTRL_VQ       (1ull << 17)
#define F_CTRL_RX       (1ull << 18)
#define F_CTRL_VLAN     (1ull << 19)
#define F_CTRL_RX_EXTRA (1ull << 20)
#define F_GUEST_ANNOUNCE (1ull << 21)
#define F_CTRL_MAC_ADDR (1ull << 23)
#define F_HOST_USO      (1ull << 56) /* virtio 1.3 */

#define GUEST_OFFLOADS  (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO)
#define HOST_SEGMENTS   (F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO | F_HOST_USO)

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_CONTROL, QUEUES };

#define CONFIG_BYTES 8u    /* mac, status */
#define LINK_UP      1u
#define HEADER_MOST  12u
#define HEADER_CSUM  1u    /* flags: checksum to be completed */
#define HEADER_VALID 2u    /* flags: it was found to be right */
#define GSO_ECN      0x80u /* with a kind of segmentation: CWR is set */
#define MTU          1500u
#define FRAME_MOST   65550u /* nobody sends a longer one */
#define TABLE_SIZE   32u   /* addresses of each kind; with more of them all are let in */
#define VLANS        4096u

/* Kinds of segmentation. */
enum { GSO_TCP4 = 1, GSO_UDP = 3, GSO_TCP6 = 4, GSO_UDP_L4 = 5 };

/* Commands of the control queue (5.1.6.5). */
enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_OFFLOADS = 5 };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_MODES };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };
enum { OFFLOADS_SET };
enum { CONTROL_OK, CONTROL_ERR };

DEVICE_STATE_BEGIN
struct net_table {
    uint32_t count;      /* of `address`; TABLE_SIZE + 1: too many, all are meant */
    uint8_t address[TABLE_SIZE][NIC_ADDRESS];
};

struct net_state {
    uint64_t received, sent, filtered; /* frames, for who looks at the card */
    uint8_t mac[NIC_ADDRESS];
    uint8_t modes;       /* bit n: RX_... n is on */
    uint8_t reserved;
    struct net_table unicast, multicast;
    uint32_t vlans[VLANS / 32];
    /* Since version 1: */
    uint64_t turned_off; /* of GUEST_OFFLOADS */
};

/* With what carries it. */
struct net_pci_state {
    struct virtio_pci_state pci;
    struct net_state net;
};

struct net_mmio_state {
    struct virtio_state virtio;
    struct net_state net;
};
DEVICE_STATE_END

/* Wiring. */
struct net {
    union {
        struct virtio v;
        struct virtio_pci pci;
        struct virtio_mmio mmio;
    } t; /* first: virtio_pci.c and virtio_mmio.c find themselves there */
    struct net_state *st;
    struct nic nic;
    uint64_t without;    /* features that are not offered */
};

static struct net *of(const struct virtio *v)
{
    return v->dev->wiring;
}

static bool mode(const struct net_state *s, unsigned n)
{
    return s->modes >> n & 1u;
}

/* ---- configuration ---- */

static uint64_t features(const struct virtio *v)
{
    return (F_CSUM | HOST_SEGMENTS | GUEST_OFFLOADS | F_CTRL_GUEST_OFFLOADS | F_MRG_RXBUF | F_MAC | F_STATUS | F_CTRL_VQ | F_CTRL_RX |
            F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR | F_GUEST_ANNOUNCE | VIRTIO_F_RING_RESET) & ~of(v)->without;
}

/* Of what comes in: did the driver take this one, and has not turned it off? */
static bool offloads(const struct virtio *v, uint64_t feature)
{
    return virtio_has(v, feature & ~of(v)->st->turned_off);
}

static void config_read(const struct virtio *v, uint8_t *c)
{
    memcpy(c, of(v)->st->mac, NIC_ADDRESS);
    c[6] = LINK_UP;
}

/* Drivers of before virtio 1.0 write the address there. */
static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    if (offset < NIC_ADDRESS && !virtio_has(v, VIRTIO_F_VERSION_1))
        of(v)->st->mac[offset] = value;
}

/* Before each frame: flags, kind of segmentation, its sizes, where the checksum is; with VERSION_1 or MRG_RXBUF a count of buffers. */
static unsigned header_bytes(const struct virtio *v)
{
    return virtio_has(v, VIRTIO_F_VERSION_1 | F_MRG_RXBUF) ? HEADER_MOST : 10;
}

/* ---- sending ---- */

/* The Internet checksum (RFC 1071) from `start` on goes to `start` + `offset`, where that of the pseudo header is. */
static void complete_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
    uint16_t sum;

    if (start >= len || offset + 2 > len - start)
        return;
    sum = (uint16_t)~nic_sum(frame + start, len - start, 0);
    put_be16(frame + start + offset, sum ? sum : 0xffffu);
}

static void send_frame(void *ctx, uint8_t *frame, size_t len)
{
    struct net *n = ctx;

    n->st->sent++;
    nic_send(&n->nic, frame, len);
}

/* Does the frame have what a kind of segmentation is of? */
static bool find_packet(unsigned kind, const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    bool found = kind == GSO_TCP4 ? nic_find_ip(frame, len, ip) : kind == GSO_TCP6 ? nic_find_ip6(frame, len, ip) : nic_find_any_ip(frame, len, ip);

    return found && ip->protocol == (kind == GSO_TCP4 || kind == GSO_TCP6 ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP);
}

/* The kind of segmentation that the header asks for, of what is in the frame; 0: none, or such as nobody offered. */
static unsigned segmentation(const struct virtio *v, const uint8_t *header, const uint8_t *frame, size_t len, struct nic_ip *ip)
{
    static const uint64_t wanted[] = {[GSO_TCP4] = F_HOST_TSO4, [GSO_UDP] = F_HOST_UFO, [GSO_TCP6] = F_HOST_TSO6, [GSO_UDP_L4] = F_HOST_USO};
    unsigned kind = header[1] & ~GSO_ECN;

    return kind < ARRAY_LEN(wanted) && virtio_has(v, wanted[kind]) && find_packet(kind, frame, len, ip) ? kind : 0;
}

/* Segments have checksums of their own; a datagram's is completed before it is made into fragments. */
static void send(struct virtio *v, const struct virtio_chain *c)
{
    struct net *n = of(v);
    uint8_t header[HEADER_MOST], *frame;
    unsigned first = header_bytes(v), kind, size;
    size_t len = (size_t)(c->out - first);
    struct nic_ip ip;

    if (!virtio_out(v, c, 0, header, first))
        return;
    frame = xmalloc(len);
    if (virtio_out(v, c, first, frame, len)) {
        kind = segmentation(v, header, frame, len, &ip);
        size = get_le16(header + 4);
        if (!kind || kind == GSO_UDP || !nic_segment(frame, &ip, size, send_frame, n)) {
            if ((header[0] & HEADER_CSUM) && virtio_has(v, F_CSUM))
                complete_checksum(frame, len, get_le16(header + 6), get_le16(header + 8));
            if (kind != GSO_UDP || !nic_fragment(frame, &ip, size, (uint32_t)n->st->sent, send_frame, n))
                send_frame(n, frame, len);
        }
    }
    free(frame);
}

static void send_all(struct virtio *v)
{
    struct virtio_chain c;

    while (virtio_peek(v, QUEUE_TRANSMIT, &c)) {
        if (c.out <= header_bytes(v) || c.out > header_bytes(v) + FRAME_MOST) {
            virtio_broken(v);
            return;
        }
        send(v, &c);
        virtio_push(v, QUEUE_TRANSMIT, &c, 0);
    }
}

/* ---- control ---- */

static bool set_mode(struct virtio *v, const struct virtio_chain *c, unsigned command)
{
    struct net_state *s = of(v)->st;
    uint8_t on;

    if (command >= RX_MODES || c->out != 3 || !virtio_out(v, c, 2, &on, 1))
        return false;
    s->modes = (uint8_t)((s->modes & ~(1u << command)) | (on ? 1u << command : 0));
    return true;
}

/* A list of addresses: its length, then they. *at moves behind it. */
static bool take_table(struct virtio *v, const struct virtio_chain *c, uint64_t *at, struct net_table *t)
{
    uint32_t count;

    if (c->out - *at < 4 || !virtio_out(v, c, *at, &count, 4))
        return false;
    *at += 4;
    if (count > (c->out - *at) / NIC_ADDRESS)
        return false;
    memset(t, 0, sizeof(*t));
    t->count = count > TABLE_SIZE ? TABLE_SIZE + 1 : count;
    if (t->count <= TABLE_SIZE && count && !virtio_out(v, c, *at, t->address, count * NIC_ADDRESS))
        return false;
    *at += (uint64_t)count * NIC_ADDRESS;
    return true;
}

static bool set_addresses(struct virtio *v, const struct virtio_chain *c, unsigned command)
{
    struct net_state *s = of(v)->st;
    struct net_table unicast, multicast;
    uint64_t at = 2;

    if (command == MAC_ADDR_SET)
        return c->out == 2 + NIC_ADDRESS && virtio_out(v, c, 2, s->mac, NIC_ADDRESS);
    if (command != MAC_TABLE_SET || !take_table(v, c, &at, &unicast) || !take_table(v, c, &at, &multicast) || at != c->out)
        return false;
    s->unicast = unicast;
    s->multicast = multicast;
    return true;
}

static bool set_vlan(struct virtio *v, const struct virtio_chain *c, unsigned command)
{
    struct net_state *s = of(v)->st;
    uint16_t id;

    if (command > VLAN_DEL || c->out != 4 || !virtio_out(v, c, 2, &id, 2) || id >= VLANS)
        return false;
    if (command == VLAN_ADD)
        s->vlans[id / 32] |= 1u << id % 32;
    else
        s->vlans[id / 32] &= ~(1u << id % 32);
    return true;
}

/* Only such as the driver has taken (5.1.6.5.6). */
static bool set_offloads(struct virtio *v, const struct virtio_chain *c, unsigned command)
{
    uint64_t taken = v->st->features & GUEST_OFFLOADS, on;
    uint8_t bytes[8];

    if (command != OFFLOADS_SET || !virtio_has(v, F_CTRL_GUEST_OFFLOADS) || c->out != 2 + sizeof(bytes) ||
        !virtio_out(v, c, 2, bytes, sizeof(bytes)))
        return false;
    on = get_le64(bytes);
    if (on & ~taken)
        return false;
    of(v)->st->turned_off = taken & ~on;
    return true;
}

static bool obey(struct virtio *v, const struct virtio_chain *c)
{
    uint8_t command[2];

    if (c->out < 2 || !virtio_out(v, c, 0, command, 2))
        return false;
    switch (command[0]) {
    case CLASS_RX:
        return set_mode(v, c, command[1]);
    case CLASS_MAC:
        return set_addresses(v, c, command[1]);
    case CLASS_VLAN:
        return set_vlan(v, c, command[1]);
    case CLASS_OFFLOADS:
        return set_offloads(v, c, command[1]);
    case CLASS_ANNOUNCE: /* nothing was to be announced */
    default:
        return false;
    }
}

static void obey_all(struct virtio *v)
{
    struct virtio_chain c;

    while (virtio_peek(v, QUEUE_CONTROL, &c)) {
        uint8_t answer = obey(v, &c) ? CONTROL_OK : CONTROL_ERR;

        if (!c.in) {
            virtio_broken(v);
            return;
        }
        virtio_in(v, &c, c.in - 1, &answer, 1);
        virtio_push(v, QUEUE_CONTROL, &c, 1);
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    if (queue == QUEUE_TRANSMIT)
        send_all(v);
    else if (queue == QUEUE_CONTROL)
        obey_all(v);
    else
        machine_attention(v->dev->machine); /* there may be room for what waits */
}

/* ---- receiving ---- */

static bool in_table(const struct net_table *t, const uint8_t *address)
{
    if (t->count > TABLE_SIZE)
        return true;
    for (uint32_t i = 0; i < t->count; i++)
        if (!memcmp(t->address[i], address, NIC_ADDRESS))
            return true;
    return false;
}

static bool address_is_wanted(const struct net_state *s, const uint8_t *to)
{
    if (mode(s, RX_PROMISC))
        return true;
    if (nic_is_broadcast(to))
        return !mode(s, RX_NOBCAST);
    if (nic_is_multicast(to))
        return !mode(s, RX_NOMULTI) && (mode(s, RX_ALLMULTI) || in_table(&s->multicast, to));
    return !mode(s, RX_NOUNI) && (mode(s, RX_ALLUNI) || !memcmp(to, s->mac, NIC_ADDRESS) || in_table(&s->unicast, to));
}

/* NULL: the driver wants it. */
static const char *why_unwanted(const struct virtio *v, const uint8_t *frame, size_t len)
{
    const struct net_state *s = of(v)->st;

    if (len < 14)
        return "shorter than a header";
    if (virtio_has(v, F_CTRL_VLAN) && len >= 16 && get_be16(frame + 12) == 0x8100u) {
        unsigned id = get_be16(frame + 14) & 0xfffu;

        if (!(s->vlans[id / 32] >> id % 32 & 1u))
            return "not of a VLAN that the driver asked for";
    }
    return address_is_wanted(s, frame) ? NULL : "not to an address that the driver asked for";
}

/* Flags and where things are, of a frame with a right checksum that the driver may leave to the card. One that is longer than the wire's is TCP
 * packets put together: told as what a segmentation would make of it, its checksum as a driver leaves it to a card (5.1.6.4). */
static void tell_checksum(const struct virtio *v, uint8_t *header, uint8_t *frame, size_t len)
{
    struct nic_ip ip;
    size_t headers;

    if (!offloads(v, F_GUEST_CSUM) || !nic_find_any_ip(frame, len, &ip) || !nic_has_transport_checksum(frame, &ip) ||
        !nic_transport_checksum_holds(frame, &ip))
        return;
    if (!offloads(v, ip.six ? F_GUEST_TSO6 : F_GUEST_TSO4) || ip.protocol != IP_PROTOCOL_TCP || ip.end - ip.header <= MTU) {
        header[0] = HEADER_VALID;
        return;
    }
    headers = ip.transport + 4u * (frame[ip.transport + 12] >> 4);
    if (headers - ip.header >= MTU)
        return;
    header[0] = HEADER_CSUM;
    header[1] = ip.six ? GSO_TCP6 : GSO_TCP4;
    put_le16(header + 2, (uint32_t)headers);
    put_le16(header + 4, (uint32_t)(MTU - (headers - ip.header)));
    put_le16(header + 6, (uint32_t)ip.transport);
    put_le16(header + 8, 16);
    put_be16(frame + ip.transport + 16, nic_pseudo_sum(frame, &ip));
}

/* Header and frame into the next requests. NULL: they are there. */
static const char *store(struct virtio *v, const uint8_t *bytes, size_t len, unsigned buffers)
{
    struct virtio_chain c;
    size_t done = 0;

    for (; buffers-- && done < len;) {
        size_t n;

        if (!virtio_peek(v, QUEUE_RECEIVE, &c))
            return "no buffer";
        n = len - done < c.in ? len - done : (size_t)c.in;
        if (!virtio_in(v, &c, 0, bytes + done, n))
            return "the buffer is not in memory";
        virtio_push(v, QUEUE_RECEIVE, &c, (uint32_t)n);
        done += n;
    }
    return done < len ? "the next buffer is too short" : NULL;
}

static const char *receive(struct virtio *v, const uint8_t *frame, size_t len)
{
    unsigned first = header_bytes(v), buffers = 1;
    const char *why = why_unwanted(v, frame, len);
    struct virtio_chain c;
    uint8_t *bytes;

    if (why)
        return why;
    if (!virtio_waits(v, QUEUE_RECEIVE) || !virtio_peek(v, QUEUE_RECEIVE, &c))
        return "no buffer";
    if (virtio_has(v, F_MRG_RXBUF) ? virtio_space(v, QUEUE_RECEIVE, first + len, &buffers) < first + len || c.in < first : c.in < first + len)
        return "the next buffer is too short";
    bytes = xmalloc(first + len);
    memset(bytes, 0, first);
    memcpy(bytes + first, frame, len);
    tell_checksum(v, bytes, bytes + first, len);
    if (first == HEADER_MOST)
        put_le16(bytes + 10, buffers);
    why = store(v, bytes, first + len, buffers);
    free(bytes);
    return why;
}

static void net_input(struct device *dev, const struct event *e)
{
    struct net *n = dev->wiring;
    const char *why = receive(&n->t.v, e->data, e->len);

    if (why) {
        nic_refuse(&n->nic, why);
        n->st->filtered++;
    } else {
        n->st->received++;
    }
}

/* Of a frame, in buffers that wait. 0: there are none. */
static size_t room(const struct virtio *v)
{
    unsigned first = header_bytes(v), buffers;
    uint64_t space = virtio_space(v, QUEUE_RECEIVE, first + FRAME_MOST, &buffers);

    return space <= first ? 0 : space - first < FRAME_MOST ? (size_t)(space - first) : FRAME_MOST;
}

/* Whoever gave a buffer that is none hears of it when a frame comes. */
static size_t net_room(const struct device *dev)
{
    const struct virtio *v = &((const struct net *)dev->wiring)->t.v;
    size_t most;

    if (!virtio_waits(v, QUEUE_RECEIVE))
        return 0;
    most = virtio_has(v, F_MRG_RXBUF) ? room(v) : FRAME_MOST;
    return most ? most : FRAME_MOST;
}

/* No more than the ring has held: longer frames might never find room. */
static size_t net_joined_room(const struct device *dev, const uint8_t *frame, size_t len)
{
    const struct virtio *v = &((const struct net *)dev->wiring)->t.v;
    struct nic_ip ip;

    if (!offloads(v, F_GUEST_CSUM) || !virtio_has(v, F_MRG_RXBUF) || !nic_find_any_ip(frame, len, &ip))
        return 0;
    return offloads(v, ip.six ? F_GUEST_TSO6 : F_GUEST_TSO4) ? room(v) : 0;
}

/* ---- the device ---- */

static void forget(struct virtio *v)
{
    struct net *n = of(v);

    memset(n->st, 0, sizeof(*n->st));
    memcpy(n->st->mac, n->nic.mac, NIC_ADDRESS);
    n->st->modes = 1u << RX_PROMISC; /* until a driver says what it wants (5.1.6.5.1) */
}

static const struct virtio_class net_class = {
    .id = 1, .config_bytes = CONFIG_BYTES, .features = features, .config_read = config_read,
    .config_write = config_write, .notified = notified, .reset = forget};

static bool net_possible(const struct device *dev)
{
    const struct net *n = dev->wiring;

    return virtio_possible(&n->t.v) && n->st->unicast.count <= TABLE_SIZE + 1 && n->st->multicast.count <= TABLE_SIZE + 1;
}

static void net_describe(const struct device *dev, struct buffer *b)
{
    const struct net *n = dev->wiring;
    const uint8_t *m = n->st->mac;

    buffer_printf(b, "%02x:%02x:%02x:%02x:%02x:%02x, netdev %s: %" PRIu64 " frames received, %" PRIu64 " sent, %" PRIu64
                  " not wanted\n", m[0], m[1], m[2], m[3], m[4], m[5], *dev->backend ? dev->backend : "none",
                  n->st->received, n->st->sent, n->st->filtered);
    virtio_describe(&n->t.v, b);
}

/* Version 0 knew no offloads that can be turned off. */
static bool net_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    const size_t more = sizeof(struct net_state) - offsetof(struct net_state, turned_off);

    if (version != 0 || len != dev->ops->state_size - more)
        return false;
    memcpy(dev->state, old, len);
    memset((uint8_t *)dev->state + len, 0, more);
    return true;
}

static const struct device_ops net_mmio_ops = {
    .name = "virtio-net-device",
    .state_size = sizeof(struct net_mmio_state),
    .state_version = 1,
    .upgrade = net_upgrade,
    .possible = net_possible,
    .reset = virtio_mmio_reset,
    .input = net_input,
    .input_room = net_room,
    .joined_room = net_joined_room,
    .describe = net_describe,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct device_ops net_pci_ops = {
    .name = "virtio-net-pci",
    .state_size = sizeof(struct net_pci_state),
    .state_version = 1,
    .upgrade = net_upgrade,
    .possible = net_possible,
    .reset = virtio_pci_reset,
    .input = net_input,
    .input_room = net_room,
    .joined_room = net_joined_room,
    .describe = net_describe,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

#define OFFLOAD_KEYS                                                                                                             \
    {"csum", "on|off"}, {"guest_csum", "on|off"}, {"host_tso4", "on|off"}, {"host_tso6", "on|off"}, {"host_ecn", "on|off"},       \
    {"host_ufo", "on|off"}, {"host_uso", "on|off"}, {"guest_tso4", "on|off"}, {"guest_tso6", "on|off"}, {"guest_ecn", "on|off"},  \
    {"guest_ufo", "on|off"}, {"ctrl_guest_offloads", "on|off"}, {"guest_announce", "on|off"}, {"mrg_rxbuf", "on|off"}

const struct option_key virtio_net_keys[] = {NIC_KEYS, OFFLOAD_KEYS, {"packed", "on|off"}, {"disable-legacy", "on|off"}, {NULL, NULL}};
const struct option_key virtio_net_mmio_keys[] = {NIC_KEYS, OFFLOAD_KEYS, VIRTIO_MMIO_KEYS, {NULL, NULL}};

/* What the properties take away, with what makes no sense without (5.1.3.1). */
static int take_offloads(const struct option_list *props, uint64_t *without, struct error *err)
{
    static const struct {
        const char *key;
        uint64_t features;
    } keys[] = {{"csum", F_CSUM | HOST_SEGMENTS}, {"guest_csum", GUEST_OFFLOADS}, {"host_tso4", F_HOST_TSO4}, {"host_tso6", F_HOST_TSO6},
                {"host_ecn", F_HOST_ECN}, {"host_ufo", F_HOST_UFO}, {"host_uso", F_HOST_USO}, {"guest_tso4", F_GUEST_TSO4},
                {"guest_tso6", F_GUEST_TSO6}, {"guest_ecn", F_GUEST_ECN}, {"guest_ufo", F_GUEST_UFO},
                {"ctrl_guest_offloads", F_CTRL_GUEST_OFFLOADS}, {"guest_announce", F_GUEST_ANNOUNCE}, {"mrg_rxbuf", F_MRG_RXBUF}};

    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        bool on = true;

        if (option_list_switch(props, keys[i].key, &on, err) < 0)
            return err->code;
        *without |= on ? 0 : keys[i].features;
    }
    if (!(~*without & (F_HOST_TSO4 | F_HOST_TSO6)))
        *without |= F_HOST_ECN;
    if (!(~*without & (F_GUEST_TSO4 | F_GUEST_TSO6)))
        *without |= F_GUEST_ECN;
    return 0;
}

/* The device as its properties say, without what carries it. NULL: they make no sense. */
static struct net *make(struct sockets *s, const struct device_ops *ops, const char *name, const struct option_list *props,
                        struct error *err)
{
    bool packed = false;
    struct device *dev;
    struct net *n;

    if (option_list_switch(props, "packed", &packed, err) < 0)
        return NULL;
    dev = machine_add_owned_device(s->machine, ops, name, sizeof(*n));
    n = dev->wiring;
    n->t.v = (struct virtio){.dev = dev, .class = &net_class, .queues = QUEUES, .packed = packed};
    return take_offloads(props, &n->without, err) == 0 && nic_init(&n->nic, s, dev, props, err) == 0 ? n : NULL;
}

int virtio_net_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                        const struct option_list *props, struct error *err)
{
    struct net_pci_state *st;
    bool modern = false;
    struct net *n;

    (void)d;
    if (option_list_switch(props, "disable-legacy", &modern, err) < 0)
        return err->code;
    n = make(s, &net_pci_ops, name, props, err);
    if (!n)
        return err->code;
    st = n->t.v.dev->state;
    n->st = &st->net;
    n->t.pci.st = &st->pci;
    n->t.pci.legacy = !modern;
    virtio_pci_plug(&n->t.pci, s->pci, devfn, 0x020000);
    nic_boots(s, &n->t.pci.pci);
    return 0;
}

int virtio_net_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err)
{
    struct net_mmio_state *st;
    char path[BOOT_PATH_BYTES];
    struct net *n;

    (void)devfn;
    (void)d;
    if (!s->mmio_slot)
        return error_set(err, -ENODEV, "this board has no slots for virtio over memory-mapped registers");
    n = make(s, &net_mmio_ops, name, props, err);
    if (!n)
        return err->code;
    st = n->t.v.dev->state;
    n->st = &st->net;
    n->t.v.st = &st->virtio;
    if (virtio_mmio_plug(&n->t.mmio, s, props, path, sizeof(path), err) < 0)
        return err->code;
    parts_boots(s, 'n', path, "/ethernet-phy@0");
    return 0;
}
