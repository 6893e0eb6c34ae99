/*
 * What the cards of the 8254x family have in common: see e1000_internal.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/e1000_internal.h"
#include "vm/dev/nic_ip.h"
#include "vm/machine.h"

#define DELAY_NS    1024u   /* of RDTR, RADV, TIDV, TADV */
#define INTERVAL_NS 256u    /* of ITR and EITR */

/* ---- registers ---- */

#define PLAINS_END 0x10000u /* offsets of registers that only hold what is written */

void e1000_mac_init(struct e1000_mac *e)
{
    e->index = xcalloc(PLAINS_END / 4, 1);
    for (unsigned i = 0; i < e->nplains; i++)
        e->index[e->plains[i].offset / 4] = (uint8_t)(i + 1);
}

void e1000_mac_finish(struct e1000_mac *e)
{
    free(e->index);
}

uint32_t *e1000_plain_of(const struct e1000_mac *e, uint32_t offset)
{
    unsigned i = offset < PLAINS_END ? e->index[offset / 4] : 0;

    return i ? &e->plain[i - 1] : NULL;
}

uint32_t e1000_reg(const struct e1000_mac *e, uint32_t offset)
{
    return *e1000_plain_of(e, offset);
}

void e1000_reset_plains(struct e1000_mac *e)
{
    for (unsigned i = 0; i < e->nplains; i++)
        e->plain[i] = e->plains[i].reset;
}

bool e1000_plains_possible(const struct e1000_mac *e)
{
    for (unsigned i = 0; i < e->nplains; i++)
        if (e->plain[i] & ~e->plains[i].bits)
            return false;
    return true;
}

static uint32_t *word_of(uint32_t *table, uint32_t offset, uint32_t at, uint32_t words)
{
    return offset >= at && offset < at + 4 * words ? &table[(offset - at) / 4] : NULL;
}

uint32_t *e1000_table_word(const struct e1000_mac *e, uint32_t offset)
{
    uint32_t *hash = word_of(e->hash, offset, MTA, 128), *address = word_of(e->address, offset, RA, 2 * ADDRESSES);

    return hash ? hash : address ? address : word_of(e->vlans, offset, VFTA, 128);
}

/* RAH has upper bytes of an address, what it is compared with, and that it is valid. */
uint32_t e1000_table_bits(uint32_t offset)
{
    return offset >= RA && offset < RA + 8 * ADDRESSES && (offset & 4u) ? 0x8003ffffu : UINT32_MAX;
}

/* ---- statistics (13.7): 64-bit counters stay at their end, others too ---- */

void e1000_count(struct e1000_mac *e, unsigned n, uint32_t more)
{
    uint32_t *c = &e->statistics[n];

    *c = *c > UINT32_MAX - more ? UINT32_MAX : *c + more;
}

void e1000_count_64(struct e1000_mac *e, unsigned low, uint64_t more)
{
    uint32_t *c = &e->statistics[low];
    uint64_t v = (uint64_t)c[1] << 32 | c[0];

    v = v > UINT64_MAX - more ? UINT64_MAX : v + more;
    c[0] = (uint32_t)v;
    c[1] = (uint32_t)(v >> 32);
}

unsigned e1000_size_class(size_t len)
{
    return len <= 64 ? 0 : len < 128 ? 1 : len < 256 ? 2 : len < 512 ? 3 : len < 1024 ? 4 : 5;
}

/* ---- delays and intervals of interrupts (8254x, 13.4.18, 13.4.30, 13.4.31, 13.4.44, 13.4.46; 82574, 7.4) ---- */

vtime_t e1000_delay_deadline(const struct e1000_delay *d)
{
    return !d->causes ? VTIME_NEVER : d->absolute && d->absolute < d->packet ? d->absolute : d->packet;
}

uint32_t e1000_flush_delay(struct e1000_delay *d)
{
    uint32_t causes = d->causes;

    memset(d, 0, sizeof(*d));
    return causes;
}

static uint32_t put_off(const struct e1000_mac *e, struct e1000_delay *d, uint32_t packet, uint32_t absolute, uint32_t causes)
{
    vtime_t now = machine_now(e->nic.dev->machine);

    if (!packet)
        return causes | e1000_flush_delay(d);
    if (!d->causes && absolute)
        d->absolute = now + absolute * DELAY_NS;
    d->packet = now + packet * DELAY_NS;
    d->causes |= causes;
    return 0;
}

uint32_t e1000_put_off(const struct e1000_mac *e, struct e1000_delay *d, uint32_t ticks, uint32_t causes)
{
    if (!ticks)
        return causes | e1000_flush_delay(d);
    if (!d->causes)
        d->packet = machine_now(e->nic.dev->machine) + ticks * DELAY_NS;
    d->causes |= causes;
    return 0;
}

/* Its check sequence counts, a tag that is taken away does not: `len` is of what goes into memory, without one (82574, 10.2.5.10). */
uint32_t e1000_small_packet(const struct e1000_mac *e, size_t len)
{
    return len + (e1000_reg(e, RCTL) & RCTL_SECRC ? FCS_BYTES : 0) <= e1000_reg(e, RSRPD) ? ICR_SRPD | e1000_flush_delay(e->received) : 0;
}

uint32_t e1000_delay_receive(struct e1000_mac *e, uint32_t causes)
{
    return put_off(e, e->received, e1000_reg(e, RDTR), e1000_reg(e, RADV), causes);
}

uint32_t e1000_delay_transmit(struct e1000_mac *e, uint32_t causes)
{
    return put_off(e, e->transmitted, e1000_reg(e, TIDV), e1000_reg(e, TADV), causes);
}

uint32_t e1000_write_delay(struct e1000_mac *e, uint32_t offset, uint32_t value)
{
    return value & DELAY_FPD ? e1000_flush_delay(offset == RDTR ? e->received : e->transmitted) : 0;
}

vtime_t e1000_delays_deadline(const struct e1000_mac *e)
{
    vtime_t in = e1000_delay_deadline(e->received), out = e1000_delay_deadline(e->transmitted), first = in < out ? in : out;

    return *e->paused_until && *e->paused_until < first ? *e->paused_until : first;
}

bool e1000_pause_over(struct e1000_mac *e, vtime_t now)
{
    if (!*e->paused_until || *e->paused_until > now)
        return false;
    *e->paused_until = 0;
    return true;
}

uint32_t e1000_delays_expired(struct e1000_mac *e, vtime_t now)
{
    uint32_t causes = 0;

    if (e1000_delay_deadline(e->received) <= now)
        causes |= e1000_flush_delay(e->received);
    if (e1000_delay_deadline(e->transmitted) <= now)
        causes |= e1000_flush_delay(e->transmitted);
    return causes;
}

bool e1000_interval_over(const struct e1000_mac *e, uint32_t offset, uint64_t *from)
{
    vtime_t now = machine_now(e->nic.dev->machine);

    if (now < *from)
        return false;
    *from = now + e1000_reg(e, offset) * INTERVAL_NS;
    return true;
}

/* ---- PHY (13.4.9, and the Alaska's registers) ---- */

static bool phy_read_only(unsigned n)
{
    return (1u << n & (1u << PHY_STATUS | 1u << PHY_ID1 | 1u << PHY_ID2 | 1u << PHY_LINK_PARTNER | 1u << PHY_EXPANSION |
                       1u << PHY_1000_STATUS | 1u << PHY_EXTENDED | 1u << PHY_SPECIFIC_STATUS | 1u << PHY_INTERRUPTS)) != 0;
}

/* A register of the page that is selected. NULL: there is none. */
static uint16_t *phy_word(const struct e1000_mac *e, unsigned n)
{
    unsigned page = e->phy_pages && n >= PHY_PAGED && n != PHY_PAGE ? e->phy[PHY_PAGE] & 0xffu : 0;

    if (page >= PHY_PAGES)
        return NULL;
    return page ? &e->phy_pages[(page - 1) * PHY_PAGED + n - PHY_PAGED] : &e->phy[n];
}

static void write_phy(struct e1000_mac *e, unsigned n, uint16_t value)
{
    uint16_t *word = phy_word(e, n);

    if (n == PHY_CONTROL && (value & 0x8000u)) { /* reset */
        memcpy(e->phy, e->phy_reset, PHY_REGISTERS * sizeof(*e->phy));
        e->cause(e, ICR_LSC);
    } else if (n == PHY_CONTROL) {
        e->phy[n] = value & 0xfdbfu;  /* negotiation is over at once */
        if (value & 0x0200u)
            e->cause(e, ICR_LSC);
    } else if (word && (word != &e->phy[n] || !phy_read_only(n))) {
        *word = value;
    }
}

void e1000_write_mdic(struct e1000_mac *e, uint32_t value)
{
    unsigned n = value >> 16 & 31u, op = value >> 26 & 3u;

    *e->mdic = value & ~(MDIC_READY | MDIC_ERROR);
    if ((value >> 21 & 31u) != 1)
        *e->mdic |= MDIC_ERROR;
    else if (op == 1)
        write_phy(e, n, (uint16_t)value);
    else if (op == 2)
        *e->mdic = (*e->mdic & ~0xffffu) | (phy_word(e, n) ? *phy_word(e, n) : 0);
    *e->mdic |= MDIC_READY;
    if (value & MDIC_INTERRUPT)
        e->cause(e, ICR_MDAC);
}

/* ---- receiving ---- */

uint32_t e1000_buffer_size(const struct e1000_mac *e)
{
    uint32_t rctl = e1000_reg(e, RCTL), size = 2048u >> (rctl >> 16 & 3u), flexible = rctl >> 27 & 15u;

    if (flexible)
        return flexible * 1024; /* 82574 */
    return rctl & RCTL_BSEX ? (size == 2048 ? 2048 : size * 16) : size;
}

static bool exact_match(const struct e1000_mac *e, const uint8_t *to)
{
    uint32_t low = get_le32(to), high = get_le16(to + 4);

    for (unsigned i = 0; i < ADDRESSES; i++)
        if ((e->address[2 * i + 1] & 0x8003ffffu) == (0x80000000u | high) && e->address[2 * i] == low)
            return true;
    return false;
}

static bool hash_match(const struct e1000_mac *e, const uint8_t *to)
{
    static const uint8_t shifts[] = {4, 3, 2, 0};
    unsigned hash = ((unsigned)to[5] << 8 | to[4]) >> shifts[e1000_reg(e, RCTL) >> 12 & 3u] & 0xfffu;

    return e->hash[hash >> 5] >> (hash & 31u) & 1u;
}

static bool address_is_wanted(const struct e1000_mac *e, const uint8_t *to)
{
    uint32_t rctl = e1000_reg(e, RCTL);

    if (exact_match(e, to) || (nic_is_broadcast(to) && (rctl & RCTL_BAM)))
        return true;
    return nic_is_multicast(to) ? (rctl & RCTL_MPE) || hash_match(e, to) : (rctl & RCTL_UPE) != 0;
}

static bool is_tagged(const struct e1000_mac *e, const uint8_t *frame, size_t len)
{
    uint32_t type = e1000_reg(e, VET);

    return len >= 18 && get_be16(frame + 12) == (type ? type : 0x8100u);
}

static bool vlan_is_wanted(const struct e1000_mac *e, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (!(e1000_reg(e, RCTL) & RCTL_VFE) || !is_tagged(e, frame, len))
        return true;
    id = get_be16(frame + 14) & 0xfffu;
    return e->vlans[id >> 5] >> (id & 31u) & 1u;
}

uint16_t e1000_packet_checksum(const struct e1000_mac *e, const uint8_t *bytes, size_t len)
{
    size_t start = e1000_reg(e, RXCSUM) & 0xffu;

    return (uint16_t)(start < len ? nic_sum(bytes + start, len - start, 0) : 0);
}

/* ---- flow control (8254x, 3.4; IEEE 802.3, 31) ---- */

#define PAUSE         1u
#define PAUSE_QUANTUM 512u /* ns: 512 bit times */

enum { NO_CONTROL, CONTROL_OTHER, CONTROL_PAUSE };

/* What of the MAC's own there is in a frame: of the right type, to the address of such frames or to ours. */
static unsigned control_kind(const struct e1000_mac *e, const uint8_t *frame)
{
    uint32_t type = e1000_reg(e, FCT);

    if (!type || get_be16(frame + 12) != type)
        return NO_CONTROL;
    if ((get_le32(frame) != e1000_reg(e, FCAL) || get_le16(frame + 4) != e1000_reg(e, FCAH)) &&
        (get_le32(frame) != e->address[0] || get_le16(frame + 4) != (e->address[1] & 0xffffu)))
        return NO_CONTROL;
    return get_be16(frame + 14) == PAUSE ? CONTROL_PAUSE : CONTROL_OTHER;
}

/* NULL: it is to be looked at further. */
static const char *control(struct e1000_mac *e, const uint8_t *frame)
{
    unsigned kind = control_kind(e, frame), quanta = get_be16(frame + 16);

    if (kind == NO_CONTROL)
        return NULL;
    if (*e->ctrl & CTRL_RFCE) {
        e1000_count(e, kind == CONTROL_OTHER ? FCRUC : quanta ? XOFFRXC : XONRXC, 1);
        if (kind == CONTROL_PAUSE)
            *e->paused_until = machine_now(e->nic.dev->machine) + (vtime_t)quanta * PAUSE_QUANTUM;
    }
    if (kind == CONTROL_PAUSE)
        return e1000_reg(e, RCTL) & RCTL_DPF ? "a pause, for the card itself" : NULL;
    return e1000_reg(e, RCTL) & RCTL_PMCF ? NULL : "of MAC control, for the card itself";
}

static void count_received(struct e1000_mac *e, const uint8_t *to, size_t len)
{
    e1000_count(e, GPRC, 1);
    e1000_count(e, PRC64 + e1000_size_class(len), 1);
    e1000_count_64(e, GORCL, len);
    if (nic_is_broadcast(to))
        e1000_count(e, BPRC, 1);
    else if (nic_is_multicast(to))
        e1000_count(e, MPRC, 1);
}

const char *e1000_accept(struct e1000_mac *e, struct e1000_frame *f, const uint8_t *frame, size_t len)
{
    const char *why;

    if (!(e1000_reg(e, RCTL) & RCTL_EN))
        return "the receiver is off";
    if (len < 14 || len > FRAME_MOST)
        return len < 14 ? "shorter than a header" : "longer than any buffer";
    memcpy(f->bytes, frame, len);
    if (len < NIC_FRAME_MIN) {
        memset(f->bytes + len, 0, NIC_FRAME_MIN - len);
        len = NIC_FRAME_MIN;
    }
    f->len = len;
    e1000_count(e, TPR, 1);
    e1000_count_64(e, TORL, len + FCS_BYTES);
    if (len + FCS_BYTES > FRAME_LONG && !(e1000_reg(e, RCTL) & RCTL_LPE)) {
        e1000_count(e, ROC, 1);
        return "longer than the receiver takes";
    }
    why = control(e, f->bytes);
    if (why)
        return why;
    if (!address_is_wanted(e, f->bytes))
        return "not to an address that the driver asked for";
    return vlan_is_wanted(e, f->bytes, len) ? NULL : "not of a VLAN that the driver asked for";
}

void e1000_overrun(struct e1000_mac *e)
{
    e1000_count(e, RNBC, 1);
    e1000_count(e, MPC, 1);
    e->cause(e, ICR_RXO);
}

/* Which checksums it looks at, and which are wrong (8254x, 3.2.9; 82574, 7.1.10): not what a fragment carries, nor UDP without one. */
static void look_at_checksums(const struct e1000_mac *e, struct e1000_frame *f)
{
    uint32_t wanted = e1000_reg(e, RXCSUM);
    struct nic_ip ip;

    if (!nic_find_ip(f->bytes, f->len, &ip))
        wanted = e->checks_six(e) && nic_find_ip6(f->bytes, f->len, &ip) ? wanted & RXCSUM_TUOFL : 0;
    if (wanted & RXCSUM_IPOFL) {
        f->status |= RX_IPCS;
        f->errors |= nic_ip_checksum_holds(f->bytes, &ip) ? 0 : RX_IPE;
    }
    if ((wanted & RXCSUM_TUOFL) && nic_has_transport_checksum(f->bytes, &ip)) {
        f->status |= ip.protocol == IP_PROTOCOL_UDP ? e->udp_status : RX_TCPCS;
        f->errors |= nic_transport_checksum_holds(f->bytes, &ip) ? 0 : RX_TCPE;
    }
    if (!(f->status & (RX_IPCS | RX_TCPCS)))
        f->status |= RX_IXSM;
}

void e1000_finish(struct e1000_mac *e, struct e1000_frame *f)
{
    count_received(e, f->bytes, f->len + FCS_BYTES);
    f->status = f->errors = 0;
    look_at_checksums(e, f);
    put_le32(f->bytes + f->len, nic_check_sequence(f->bytes, f->len));
    f->len += e1000_reg(e, RCTL) & RCTL_SECRC ? 0 : FCS_BYTES;
    f->tag = 0;
    if (!exact_match(e, f->bytes) && !nic_is_broadcast(f->bytes))
        f->status |= RX_PIF;
    if ((*e->ctrl & CTRL_VME) && is_tagged(e, f->bytes, f->len)) {
        f->tag = get_be16(f->bytes + 14);
        f->status |= RX_VP;
        memmove(f->bytes + 12, f->bytes + 16, f->len - 16);
        f->len -= 4;
    }
}
