/*
 * Rings of descriptors, and sending, of the 8254x family: see e1000_internal.h. Legacy and extended descriptors (8254x, 3.3 to 3.5).
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/e1000_internal.h"
#include "vm/dev/nic_ip.h"

#define PACKET_MOST 0x40000u /* of one segmentation; PAYLEN has 20 bits, nobody sends more */

struct e1000_ring e1000_ring_of(const struct e1000_mac *e, uint32_t base)
{
    struct e1000_ring r = {(uint64_t)e1000_reg(e, base + 4) << 32 | e1000_reg(e, base), e1000_reg(e, base + RING_LEN) / DESC_BYTES,
                           e1000_reg(e, base + RING_HEAD), e1000_reg(e, base + RING_TAIL)};

    if (r.head >= r.count || r.tail >= r.count)
        r.count = 0;
    return r;
}

uint32_t e1000_ring_used(const struct e1000_ring *r)
{
    return r->count ? (r->tail + r->count - r->head) % r->count : 0;
}

/* ---- sending ---- */

static void transmit_frame(struct e1000_mac *e, const uint8_t *frame, size_t len)
{
    uint8_t padded[NIC_FRAME_MIN] = {0};

    if (len < NIC_FRAME_MIN && (e1000_reg(e, TCTL) & TCTL_PSP)) {
        memcpy(padded, frame, len);
        frame = padded;
        len = NIC_FRAME_MIN;
    }
    e1000_count(e, TPT, 1);
    e1000_count(e, GPTC, 1);
    e1000_count(e, PTC64 + e1000_size_class(len + FCS_BYTES), 1);
    e1000_count_64(e, TOTL, len + FCS_BYTES);
    e1000_count_64(e, GOTCL, len + FCS_BYTES);
    if (len >= 6 && nic_is_broadcast(frame))
        e1000_count(e, BPTC, 1);
    else if (len >= 6 && nic_is_multicast(frame))
        e1000_count(e, MPTC, 1);
    if ((e1000_reg(e, RCTL) >> 6 & 3u) == 1 || (e1000_reg(e, RCTL) >> 6 & 3u) == 3 || (e->phy[PHY_CONTROL] & 0x4000u))
        e->receive(e, frame, len); /* loopback */
    else
        nic_send(&e->nic, frame, len);
}

/* The checksum of the bytes from `start` to `end` (0: to the last) goes to `at`, which holds what it begins with. */
static void put_checksum(uint8_t *frame, size_t len, size_t start, size_t at, size_t end)
{
    if (end && end < len)
        len = end + 1;
    if (start < len && at + 2 <= len)
        put_be16(frame + at, (uint16_t)~nic_sum(frame + start, len - start, 0));
}

/* What the descriptors of a packet ask for. */
struct packet {
    uint8_t *bytes;
    size_t len;
    uint32_t command, options; /* of the first data descriptor; of the last: special in bits 16-31 */
    bool extended;
    const uint32_t *context;
};

static void send_tagged(struct e1000_mac *e, const struct packet *p, uint8_t *frame, size_t len)
{
    uint8_t *longer;

    if (!(p->command & TX_VLE) || !(*e->ctrl & CTRL_VME) || len < 12) {
        transmit_frame(e, frame, len);
        return;
    }
    longer = xmalloc(len + 4);
    memcpy(longer, frame, 12);
    put_be16(longer + 12, (uint16_t)(e1000_reg(e, VET) ? e1000_reg(e, VET) : 0x8100u));
    put_be16(longer + 14, (uint16_t)(p->options >> 16));
    memcpy(longer + 16, frame + 12, len - 12);
    transmit_frame(e, longer, len + 4);
    free(longer);
}

static void put_checksums(const struct packet *p, uint8_t *frame, size_t len)
{
    const uint32_t *c = p->context;

    if (p->options & TX_IXSM)
        put_checksum(frame, len, c[0] & 0xffu, c[0] >> 8 & 0xffu, c[0] >> 16);
    if (p->options & TX_TXSM)
        put_checksum(frame, len, c[1] & 0xffu, c[1] >> 8 & 0xffu, c[1] >> 16);
}

/* One segment's headers: lengths, the datagram's identification, sequence number and flags. */
static void adapt_headers(const struct packet *p, uint8_t *frame, size_t len, uint32_t n, uint32_t offset, bool last)
{
    const uint32_t *c = p->context;
    size_t ip = c[0] & 0xffu, tcp = c[1] & 0xffu;

    if (ip + 8 > len || tcp + 18 > len || tcp < ip)
        return;
    if (c[2] & TUCMD_IP) {
        put_be16(frame + ip + 2, (uint16_t)(len - ip));
        put_be16(frame + ip + 4, (uint16_t)(get_be16(frame + ip + 4) + n));
    } else {
        put_be16(frame + ip + 4, (uint16_t)(len - ip - 40));
    }
    if (c[2] & TUCMD_TCP) {
        put_be32(frame + tcp + 4, get_be32(frame + tcp + 4) + offset);
        if (!last)
            frame[tcp + 13] &= (uint8_t)~0x09u; /* PSH and FIN are the last one's */
    } else {
        put_be16(frame + tcp + 4, (uint16_t)(len - tcp));
    }
    /* The pseudo header's sum came without a length. */
    if ((p->options & TX_TXSM) && (c[1] >> 8 & 0xffu) + 2 <= len) {
        uint8_t *at = frame + (c[1] >> 8 & 0xffu);
        uint32_t sum = get_be16(at) + (uint32_t)(len - tcp);

        put_be16(at, (uint16_t)((sum & 0xffffu) + (sum >> 16)));
    }
}

static void send_segments(struct e1000_mac *e, const struct packet *p)
{
    size_t header = p->context[3] >> 8 & 0xffu, mss = p->context[3] >> 16, done = header;
    uint8_t *frame;
    uint32_t n = 0;

    if (!header || !mss || p->len <= header)
        return;
    frame = xmalloc(header + mss);
    for (; done < p->len; n++) {
        size_t piece = p->len - done < mss ? p->len - done : mss;

        memcpy(frame, p->bytes, header);
        memcpy(frame + header, p->bytes + done, piece);
        adapt_headers(p, frame, header + piece, n, (uint32_t)(done - header), done + piece == p->len);
        put_checksums(p, frame, header + piece);
        send_tagged(e, p, frame, header + piece);
        done += piece;
    }
    e1000_count(e, TSCTC, 1);
    free(frame);
}

static void send_packet(struct e1000_mac *e, struct packet *p, const uint32_t *last)
{
    if (p->extended && (p->options & TX_TS) && e->sent_stamped)
        e->sent_stamped(e);
    if (p->extended && (p->command & TX_TSE)) {
        send_segments(e, p);
        return;
    }
    if (p->extended)
        put_checksums(p, p->bytes, p->len);
    else if (last[2] & TX_IC)
        put_checksum(p->bytes, p->len, last[3] >> 8 & 0xffu, last[2] >> 16 & 0xffu, 0);
    send_tagged(e, p, p->bytes, p->len);
}

/* Add a data descriptor's bytes. False: the packet is too long. */
static bool add_data(struct e1000_mac *e, struct packet *p, uint32_t contexts[2][4], const uint32_t d[4])
{
    bool extended = d[2] & TX_DEXT;
    size_t n = d[2] & (extended ? 0xfffffu : 0xffffu);

    if (!p->bytes) {
        p->extended = extended;
        p->command = d[2];
        p->options = d[3];
        p->context = contexts[extended && (d[2] & TX_TSE)];
    }
    p->options = (p->options & 0xffffu) | (d[3] & 0xffff0000u);
    if (n > PACKET_MOST - p->len)
        return false;
    p->bytes = xrealloc(p->bytes, p->len + n + 1);
    if (!pci_dma_read(&e->pci, (uint64_t)d[1] << 32 | d[0], p->bytes + p->len, n))
        return false;
    p->len += n;
    return true;
}

static bool read_descriptor(struct e1000_mac *e, const struct e1000_ring *r, uint32_t n, uint32_t d[4])
{
    uint8_t bytes[DESC_BYTES];

    if (!pci_dma_read(&e->pci, r->base + (uint64_t)n * DESC_BYTES, bytes, sizeof(bytes)))
        return false;
    for (unsigned i = 0; i < 4; i++)
        d[i] = get_le32(bytes + 4 * i);
    return true;
}

static bool is_context(const uint32_t d[4])
{
    return (d[2] & TX_DEXT) && !(d[2] >> 20 & 0xfu);
}

/* How many descriptors the next packet takes, contexts before it too; 0: its end is not there yet. */
static uint32_t packet_descriptors(struct e1000_mac *e, const struct e1000_ring *r)
{
    uint32_t used = e1000_ring_used(r), d[4];

    for (uint32_t i = 0; i < used; i++) {
        if (!read_descriptor(e, r, (r->head + i) % r->count, d))
            return 0;
        if (is_context(d) || (d[2] & TX_EOP))
            return i + 1;
    }
    return 0;
}

static void write_back(struct e1000_mac *e, const struct e1000_ring *r, const uint32_t d[4])
{
    uint8_t status[4];

    if (!(d[2] & TX_RS))
        return;
    put_le32(status, d[3] | TX_DD);
    pci_dma_write(&e->pci, r->base + (uint64_t)r->head * DESC_BYTES + 12, status, sizeof(status));
}

/* The descriptors of one packet, or one context. */
static uint32_t take_packet(struct e1000_mac *e, struct e1000_ring *r, uint32_t contexts[2][4], uint32_t n, uint32_t done)
{
    struct packet p = {.bytes = NULL};
    uint32_t d[4] = {0}, causes = 0;
    bool good = true;

    for (uint32_t i = 0; i < n && read_descriptor(e, r, r->head, d); i++) {
        if (is_context(d))
            memcpy(contexts[(d[2] & TUCMD_TSE) != 0], d, sizeof(d));
        else
            good = good && add_data(e, &p, contexts, d);
        write_back(e, r, d);
        if (d[2] & TX_RS)
            causes |= d[2] & TX_IDE ? e1000_delay_transmit(e, done) : done | e1000_flush_delay(e->transmitted);
        r->head = r->head + 1 == r->count ? 0 : r->head + 1;
    }
    if (good && p.len)
        send_packet(e, &p, d);
    free(p.bytes);
    return causes;
}

uint32_t e1000_transmit(struct e1000_mac *e, uint32_t base, uint32_t contexts[2][4], uint32_t done)
{
    struct e1000_ring r = e1000_ring_of(e, base);
    uint32_t causes = 0, n;

    if (!(e1000_reg(e, TCTL) & TCTL_EN) || !e1000_ring_used(&r) || *e->paused_until)
        return 0;
    while ((n = packet_descriptors(e, &r)) > 0) {
        causes |= take_packet(e, &r, contexts, n, done);
        *e1000_plain_of(e, base + RING_HEAD) = r.head;
    }
    return causes | (e1000_ring_used(&r) ? 0 : ICR_TXQE);
}
