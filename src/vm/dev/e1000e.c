/*
 * The Intel 82574L (82574 GbE Controller Family Datasheet; names of registers and bits by it): what the 8254x family has
 * (e1000_internal.h), and two queues each way, receive-side scaling, legacy, extended and packet split receive descriptors, MSI-X with IVAR,
 * MSI, automatic clearing and masking of interrupts, small packets and acknowledgements that are told at once (RSRPD, RAID), an NVM that
 * can be written, SYSTIM and time stamps of packets (e1000e_ptp.c), the PHY's pages.
 *
 * What is sent goes out when its last descriptor is there. A frame from outside waits in the host until each ring that it may
 * go to has room.
 *
 * Interrupts are delayed (RDTR, RADV, TIDV, TADV) and moderated (ITR; with MSI-X, each vector's EITR) in virtual time. What changes
 * such a register is for the next time that its timer is started, but a zero in ITR or EITR ends the interval.
 *
 * Not modelled: headers of NFS among what is split off, RSS by addresses in IPv6's extension headers, wake up, management, flash; the gaps
 * between frames (TIPG, AIT).
 */
#include "vm/dev/e1000e.h"

#include <stddef.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/e1000_internal.h"
#include "vm/dev/e1000e_ptp.h"
#include "vm/dev/nic_ip.h"
#include "vm/machine.h"

enum { RANGE_REGISTERS, RANGE_IO, RANGE_MSIX };

#define REGISTER_BYTES 0x20000u
#define IO_BYTES       0x20u
#define MSIX_BYTES     0x4000u
#define PENDING_AT     0x2000u
#define QUEUES         2u
#define QUEUE_REGS     0x100u   /* from the registers of a queue to those of the next */
#define VECTORS        5u
#define COUNTERS       10u      /* of interrupts: IAC to ICRXDMTC (10.2.8) */

enum { CTRL_EXT = 0x0018, EIAC = 0x00dc, IAM = 0x00e0, IVAR = 0x00e4, EITR = 0x00e8, EEWR = 0x102c, PSRCTL = 0x2170, RAID = 0x2c08, IAC = 0x4100, RFCTL = 0x5008, MRQC = 0x5818,
       SWSM = 0x5b50, RETA = 0x5c00, RSSRK = 0x5c80, SYSTIML = 0xb600, SYSTIMH = 0xb604, TIMINCA = 0xb608, TIMADJL = 0xb60c, TIMADJH = 0xb610,
       TSYNCTXCTL = 0xb614, TXSTMPL = 0xb618, TXSTMPH = 0xb61c, TSYNCRXCTL = 0xb620, RXSTMPL = 0xb624, RXSTMPH = 0xb628, RXSATRL = 0xb62c, RXSATRH = 0xb630,
       RXMTRL = 0xb634, RXUDP = 0xb638 };

#define CTRL_GIO_DISABLE (1u << 2)
#define STATUS_GIO  (1u << 19)
#define EEC_FIXED   0x00000300u /* an NVM is there, and was read */
#define NVM_START   (1u << 0)
#define NVM_DONE    (1u << 1)
#define CTRL_EXT_EIAME (1u << 24)
#define CTRL_EXT_IAME (1u << 27)
#define ICR_RXQ(q)  (1u << (20 + (q)))
#define ICR_TXQ(q)  (1u << (22 + (q)))
#define ICR_OTHER   (1u << 24)
#define ICR_ASSERTED (1u << 31)
#define ICR_VALID   0x01f783ffu /* reserved ones below bit 10, too: Linux tests each of these */
#define OTHERS_ALWAYS (ICR_LSC | ICR_RXO | ICR_MDAC | 1u << 18)
#define OTHERS      (OTHERS_ALWAYS | ICR_SRPD | ICR_ACK) /* these two if they are enabled: else each frame of TCP would interrupt by its vector */
#define RFCTL_IPV6XSUM_DIS (1u << 11)
#define RFCTL_ACKDIS (1u << 12)
#define RFCTL_ACKD_DIS (1u << 13)
#define RFCTL_IPFRSP_DIS (1u << 14)
#define TCP_ACK     0x10u
#define TSYNC_VALID 1u          /* there is a time stamp: TSYNCTXCTL, TSYNCRXCTL */
#define TSYNC_EN    (1u << 4)
#define TIMADJ_SIGN (1u << 31)
#define RX_TST      0x100u      /* status: its time was kept */
#define RFCTL_EXTEN (1u << 15)
#define RXCSUM_PCSD (1u << 13)
#define MRQC_RSS    1u
#define SWSM_SMBI   1u
#define SPLIT_DESC_BYTES 32u
#define SPLIT_BUFFERS 4u
#define HEADER_SPLIT 0x8000u    /* in a descriptor's header status */

/* What RSS can be of: its type in a descriptor (7.1.2.10), and MRQC's bit that enables it. */
enum rss { RSS_NONE, RSS_TCP4, RSS_IP4, RSS_TCP6, RSS_IP6_EX, RSS_IP6 };
#define MRQC_ENABLES(type) (1u << (15 + (type)))

#define QUEUE(q)                                                                                                                 \
    {RDBAL + (q) * QUEUE_REGS, 0xfffffff0u, 0}, {RDBAH + (q) * QUEUE_REGS, 0xffffffffu, 0}, {RDLEN + (q) * QUEUE_REGS, 0xfff80u, 0}, \
    {RDH + (q) * QUEUE_REGS, 0xffffu, 0}, {RDT + (q) * QUEUE_REGS, 0xffffu, 0}, {0x2828 + (q) * QUEUE_REGS, 0x013f3f3fu, 0x00010000}, \
    {TDBAL + (q) * QUEUE_REGS, 0xfffffff0u, 0}, {TDBAH + (q) * QUEUE_REGS, 0xffffffffu, 0}, {TDLEN + (q) * QUEUE_REGS, 0xfff80u, 0}, \
    {TDH + (q) * QUEUE_REGS, 0xffffu, 0}, {TDT + (q) * QUEUE_REGS, 0xffffu, 0}, {0x3828 + (q) * QUEUE_REGS, 0xffffffffu, 0}, \
    {0x3840 + (q) * QUEUE_REGS, 0xffffffffu, 0x00000403} /* RDBAL... RXDCTL, TDBAL... TXDCTL, TARC */

static const struct e1000_plain plains[] = {
    QUEUE(0), QUEUE(1),
    {EECD, 0x0000005fu, 0}, {CTRL_EXT, 0xffffffffu, 0}, {0x001c, 0xffffffffu, 0}, /* EEC's pins, CTRL_EXT, FLA */
    {0x0028, 0xffffffffu, 0x00c28001}, {0x002c, 0xffffu, 0x0100}, {0x0030, 0xffffu, 0x8808}, {VET, 0xffffu, 0x8100}, /* FCAL, FCAH, FCT, VET */
    {ITR, 0xffffu, 0}, {EIAC, 0x01f00000u, 0}, {IAM, 0xffffffffu, 0}, {IVAR, 0x800fffffu, 0},
    {EITR, 0xffffu, 0}, {EITR + 4, 0xffffu, 0}, {EITR + 8, 0xffffu, 0}, {EITR + 12, 0xffffu, 0}, {EITR + 16, 0xffffu, 0},
    {RCTL, 0xffffffffu & ~0x88000001u, 0}, {0x0170, 0xffffu, 0}, {TCTL, 0x1ffffffau, 0x00000008}, /* RCTL, FCTTV, TCTL */
    {0x0410, 0x3fffffffu, 0x00602006}, {0x0458, 0xffffu, 0}, {0x0e00, 0xffffffffu, 0x07061302}, /* TIPG, AIT, LEDCTL */
    {0x0f00, 0x0fff00ffu, 0x00000008}, {0x0f08, 0xffffffffu, 0}, /* EXTCNF_CTRL, EXTCNF_SIZE */
    {0x1000, 0xffffu, 0x0014}, {0x1010, 0xffffffffu, 0x00040000}, /* PBA, EEMNGCTL: configuration is done */
    {0x2160, 0x8000fff8u, 0}, {0x2168, 0xfff8u, 0}, {PSRCTL, 0x3f3f3f7fu, 0x00040402}, /* FCRTL, FCRTH */
    {RDTR, 0xffffu, 0}, {RADV, 0xffffu, 0}, {0x2c00, 0xfffu, 0}, {0x2c08, 0xffffu, 0}, /* ... RSRPD, RAID */
    {TIDV, 0xffffu, 0}, {TADV, 0xffffu, 0},
    {RXCSUM, 0x37ffu, 0}, {RFCTL, 0xffffffffu, 0}, {MRQC, 0x001f0003u, 0}, /* RXCSUM, RFCTL, MRQC */
    {0x5800, 0xffffffffu, 0}, {0x5808, 0xffffffffu, 0}, {0x5820, 0xffffffffu, 0}, {0x5838, 0xffffffffu, 0}, /* WUC, WUFC, MANC, IPAV */
    {0x5860, 0xffffffffu, 0}, {0x5b00, 0xffffffffu, 0}, {0x5b08, 0xffffffffu, 0}, {0x5b64, 0xffffffffu, 0}, /* MANC2H, GCR, FUNCTAG, GCR2 */
    {0x5b10, 0xffffffffu, 0}, {0x5b14, 0xffffffffu, 0}, {0x5b18, 0xffffffffu, 0}, {0x5b1c, 0xffffffffu, 0}, /* GSCL */
    {SWSM, 0x0000000fu, 0}, {0x5b5c, 0xffffffffu, 0}, {TSYNCTXCTL, 0x10u, 0}, {TSYNCRXCTL, 0x1eu, 0}, /* SWSM, SW_FW_SYNC */
    {TIMINCA, 0xffffffffu, 0},
    /* Since version 3: */
    {TXCW, 0xc000ffffu, 0}, {TIMADJL, 0xffffffffu, 0}, {RXMTRL, 0xffffffffu, 0x000088f7}, {RXUDP, 0xffffu, 0x3f01},
};
#define PLAINS 85u
#define PLAINS_2 81u            /* of version 2 */

DEVICE_STATE_BEGIN
struct e1000e_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t time, time_from;   /* SYSTIM at that vtime */
    uint32_t ctrl, icr, ims, eerd, eewr, mdic, io_address;
    uint32_t told;              /* MSI-X: causes in ICR whose message has gone */
    uint32_t asserted;          /* a cause in ICR is enabled, and by pin or MSI has interrupted */
    uint32_t msix_pending;
    uint32_t msix[VECTORS][4];
    uint32_t plain[PLAINS];     /* in the order of plains[] */
    uint32_t hash[128];         /* MTA */
    uint32_t address[2 * ADDRESSES]; /* RAL, RAH */
    uint32_t vlans[128];        /* VFTA */
    uint32_t statistics[STATISTICS_COUNT];
    uint32_t counters[COUNTERS]; /* from IAC on */
    uint32_t contexts[QUEUES][2][4]; /* transmit: of checksums, of segmentation */
    uint32_t reta[32], key[10]; /* RETA, RSSRK */
    uint16_t phy[PHY_REGISTERS];
    uint16_t nvm[EEPROM_WORDS]; /* kept over resets */
    uint32_t reserved;
    /* Since version 2: */
    uint64_t interval_end;      /* ITR: by pin or MSI no interrupt is asserted before that vtime */
    uint64_t vector_interval_end[VECTORS]; /* EITR: nor is that message sent */
    struct e1000_delay received, transmitted;
    /* Since version 3: */
    struct e1000_delay acknowledged; /* RAID */
    uint64_t paused_until;      /* flow control: nothing is sent before that vtime */
    uint64_t received_at, sent_at, source; /* RXSTMP, TXSTMP, RXSATR */
    uint32_t stamped;           /* bit 0: received_at holds, until it has been read; bit 1: sent_at */
    uint32_t reserved_3;
    uint16_t phy_pages[(PHY_PAGES - 1) * PHY_PAGED];
};
DEVICE_STATE_END

#define STAMP_RECEIVED 1u
#define STAMP_SENT     2u

/* Wiring. */
struct e1000e {
    struct e1000_mac mac;       /* first */
    struct e1000e_state *st;
};

static uint32_t reg(const struct e1000e *e, uint32_t offset)
{
    return e1000_reg(&e->mac, offset);
}

/* ---- interrupts (7.4) ---- */

/* The vector of cause n of the five that have one. VECTORS: it has none. */
static unsigned vector_of(const struct e1000e *e, unsigned n)
{
    uint32_t entry = reg(e, IVAR) >> (4 * n) & 15u;

    return (entry & 8u) && (entry & 7u) < VECTORS ? entry & 7u : VECTORS;
}

/* The message for cause n, unless it has just gone for another: what it clears and masks by itself. */
static void fire(struct e1000e *e, unsigned n, bool shared)
{
    struct e1000e_state *s = e->st;
    uint32_t bit = 1u << (20 + n), ext = reg(e, CTRL_EXT);

    if (vector_of(e, n) < VECTORS && !shared)
        pci_notify(&e->mac.pci, vector_of(e, n));
    if (reg(e, EIAC) & bit) {
        s->icr &= ~bit;
        s->told &= ~bit;
        if (!(ext & CTRL_EXT_IAME))
            s->ims &= ~bit;
    }
    if (ext & CTRL_EXT_EIAME)
        s->ims &= ~(reg(e, IAM) & bit);
}

/* Causes that a message is due for, by n. */
static uint32_t untold(const struct e1000e *e)
{
    return (e->st->icr & e->st->ims & ~e->st->told) >> 20 & ((1u << VECTORS) - 1);
}

/* Causes of one vector have one message where there is an interval to the next one. */
static void update_messages(struct e1000e *e)
{
    struct e1000e_state *s = e->st;
    uint32_t begun = 0;         /* vectors whose interval has begun here */

    s->told &= s->icr & s->ims;
    for (unsigned n = 0; n < VECTORS; n++) {
        unsigned v = vector_of(e, n);
        bool shared = begun >> v & 1u;

        if (!(untold(e) >> n & 1u) ||
            (v < VECTORS && !shared && !e1000_interval_over(&e->mac, EITR + 4 * v, &s->vector_interval_end[v])))
            continue;
        if (v < VECTORS && reg(e, EITR + 4 * v))
            begun |= 1u << v;
        s->told |= 1u << (20 + n);
        fire(e, n, shared);
    }
}

static void update_interrupt(struct e1000e *e)
{
    struct e1000e_state *s = e->st;
    bool msix = pci_msix_enabled(&e->mac.pci), was = s->asserted;

    if (msix)
        update_messages(e);
    s->asserted = (s->icr & s->ims) && (was || msix || e1000_interval_over(&e->mac, ITR, &s->interval_end));
    if (s->asserted && !was) {
        if (s->counters[0] != UINT32_MAX)
            s->counters[0]++;
        if (pci_has_messages(&e->mac.pci) && !msix)
            pci_notify(&e->mac.pci, 0);
    }
    pci_set_intx(&e->mac.pci, s->asserted && !pci_has_messages(&e->mac.pci));
}

/* When may an interrupt be made that is held back by an interval? */
static vtime_t held_until(const struct e1000e *e)
{
    const struct e1000e_state *s = e->st;
    vtime_t least = VTIME_NEVER;

    if (!pci_msix_enabled(&e->mac.pci))
        return (s->icr & s->ims) && !s->asserted ? s->interval_end : VTIME_NEVER;
    for (unsigned n = 0; n < VECTORS; n++) {
        unsigned v = vector_of(e, n);
        vtime_t end = v < VECTORS ? s->vector_interval_end[v] : 0;

        if ((untold(e) >> n & 1u) && end < least)
            least = end;
    }
    return least;
}

static vtime_t e1000e_deadline(const struct device *dev)
{
    const struct e1000e *e = dev->wiring;
    vtime_t delays = e1000_delays_deadline(&e->mac), held = held_until(e), acknowledged = e1000_delay_deadline(&e->st->acknowledged);

    if (acknowledged < delays)
        delays = acknowledged;
    return held < delays ? held : delays;
}

static void cause(struct e1000_mac *mac, uint32_t bits)
{
    struct e1000e *e = mac->nic.dev->wiring;

    if (bits & (OTHERS_ALWAYS | (OTHERS & e->st->ims)))
        bits |= ICR_OTHER;
    e->st->icr |= bits & ICR_VALID;
    e->st->told &= ~bits;
    update_interrupt(e);
}

static void end_interval(struct e1000e *e, uint64_t *interval_end)
{
    *interval_end = 0;
    update_interrupt(e);
}

/* Reading clears it where an interrupt was asserted, or none is enabled (10.2.4.1). */
static uint32_t read_icr(struct e1000e *e)
{
    struct e1000e_state *s = e->st;
    uint32_t value = s->icr | (s->asserted ? ICR_ASSERTED : 0);

    if (s->asserted || !s->ims) {
        s->icr = 0;
        if (s->asserted && (reg(e, CTRL_EXT) & CTRL_EXT_IAME))
            s->ims &= ~reg(e, IAM);
        update_interrupt(e);
    }
    return value;
}

static void write_icr(struct e1000e *e, uint32_t value)
{
    struct e1000e_state *s = e->st;

    if (s->asserted && (reg(e, CTRL_EXT) & CTRL_EXT_IAME))
        s->ims &= ~reg(e, IAM);
    s->icr &= ~value;
    update_interrupt(e);
}

/* ---- NVM (10.2.3.2) ---- */

static void make_nvm(struct e1000e *e)
{
    uint16_t *w = e->st->nvm, sum = 0;

    for (unsigned i = 0; i < 3; i++)
        w[i] = get_le16(e->mac.nic.mac + 2 * i);
    w[0x03] = 0x0420;
    w[0x04] = 0xf746;
    w[0x05] = 0x2010;
    w[0x08] = w[0x09] = w[0x37] = 0xffff; /* no part number, no other address */
    w[0x0a] = 0x026b;
    w[0x0c] = w[0x0e] = 0x8086;
    w[0x0d] = 0x10d3;
    for (unsigned i = 0; i < EEPROM_WORDS - 1; i++)
        sum = (uint16_t)(sum + w[i]);
    w[EEPROM_WORDS - 1] = (uint16_t)(0xbaba - sum);
}

static void write_eerd(struct e1000e *e, uint32_t value)
{
    unsigned word = value >> 2 & 0x3fffu;

    e->st->eerd = value & 0xfffcu;
    if (value & NVM_START)
        e->st->eerd |= NVM_DONE | (uint32_t)(word < EEPROM_WORDS ? e->st->nvm[word] : 0xffffu) << 16;
}

static void write_eewr(struct e1000e *e, uint32_t value)
{
    unsigned word = value >> 2 & 0x3fffu;

    e->st->eewr = (value & ~NVM_START) | NVM_DONE;
    if ((value & NVM_START) && word < EEPROM_WORDS)
        e->st->nvm[word] = (uint16_t)(value >> 16);
}

/* The 82574's own PHY, as far as its registers are the Alaska's. */
static const uint16_t phy_reset[PHY_REGISTERS] = {
    [PHY_CONTROL] = 0x1140, [PHY_STATUS] = 0x796d, [PHY_ID1] = 0x0141, [PHY_ID2] = 0x0cb1, [4] = 0x0de1,
    [PHY_LINK_PARTNER] = 0xc1e0, [PHY_EXPANSION] = 0x000f, [9] = 0x0e00, [PHY_1000_STATUS] = 0x3c00, [PHY_EXTENDED] = 0x3000,
    [16] = 0x0360, [PHY_SPECIFIC_STATUS] = 0xac00, [20] = 0x0d60,
};

static void reset_phy(struct e1000e *e)
{
    uint16_t *pages = e->st->phy_pages;

    memcpy(e->st->phy, phy_reset, sizeof(phy_reset));
    memset(pages, 0, sizeof(e->st->phy_pages));
    pages[(2 - 1) * PHY_PAGED] = 0x0088;       /* page 2, 16 and 21: MAC specific control */
    pages[(2 - 1) * PHY_PAGED + 5] = 0x1046;
    pages[(3 - 1) * PHY_PAGED + 2] = 0x4005;   /* page 3, 18: timer of LEDs */
}

/* ---- SYSTIM (10.2.10) ---- */

/* Each TIMINCA.incperiod * 40 ns it grows by TIMINCA.incvalue. */
static uint64_t systim(const struct e1000e *e)
{
    uint32_t timinca = reg(e, TIMINCA);
    uint64_t period = (timinca >> 24) * 40u, now = machine_now(e->mac.nic.dev->machine);

    return e->st->time + (period && now > e->st->time_from ? (now - e->st->time_from) / period * (timinca & 0xffffffu) : 0);
}

static void set_systim(struct e1000e *e, uint64_t value)
{
    e->st->time = value;
    e->st->time_from = machine_now(e->mac.nic.dev->machine);
}

/* Writing TIMADJH adds both to the time once, or with its sign takes them from it. */
static void adjust_systim(struct e1000e *e, uint32_t high)
{
    uint64_t by = (uint64_t)(high & ~TIMADJ_SIGN) << 32 | reg(e, TIMADJL);

    set_systim(e, high & TIMADJ_SIGN ? systim(e) - by : systim(e) + by);
}

/* One time stamp is kept each way until its upper half is read. */
static void stamp_sent(struct e1000_mac *mac)
{
    struct e1000e *e = mac->nic.dev->wiring;
    struct e1000e_state *s = e->st;

    if (!(reg(e, TSYNCTXCTL) & TSYNC_EN) || (s->stamped & STAMP_SENT))
        return;
    s->sent_at = systim(e);
    s->stamped |= STAMP_SENT;
}

/* Was it? */
static bool stamp_received(struct e1000e *e, const uint8_t *frame, size_t len)
{
    const struct ptp_filter filter = {reg(e, TSYNCRXCTL), reg(e, RXMTRL), reg(e, RXUDP)};
    struct e1000e_state *s = e->st;
    uint64_t source;

    if (!(filter.tsyncrxctl & TSYNC_EN) || (s->stamped & STAMP_RECEIVED) || !ptp_wants(&filter, frame, len, &source))
        return false;
    s->received_at = systim(e);
    s->source = source;
    s->stamped |= STAMP_RECEIVED;
    return true;
}

/* ---- receive-side scaling (7.1.2.10) ---- */

static uint32_t toeplitz(const struct e1000e_state *s, const uint8_t *in, size_t len)
{
    uint32_t hash = 0;

    for (size_t bit = 0; bit < 8 * len; bit++) {
        size_t at = bit; /* the key's 32 bits from there on */
        uint32_t window = 0;

        if (!(in[bit / 8] >> (7 - bit % 8) & 1u))
            continue;
        for (unsigned i = 0; i < 32; i++, at++)
            window = window << 1 | (s->key[at / 32] >> (8 * (at / 8 % 4) + 7 - at % 8) & 1u);
        hash ^= window;
    }
    return hash;
}

/* Addresses, and ports if it is TCP, as they are hashed: bytes in `in`, and what type that is. */
static enum rss classify(const struct e1000e *e, const uint8_t *frame, size_t len, uint8_t *in, size_t *n)
{
    size_t at = len >= 18 && get_be16(frame + 12) == 0x8100u ? 18 : 14;
    struct nic_ip ip;

    if (nic_find_ip(frame, len, &ip)) {
        bool tcp = ip.protocol == IP_PROTOCOL_TCP && !ip.fragment && ip.transport + 4 <= len && (reg(e, MRQC) & MRQC_ENABLES(RSS_TCP4));

        memcpy(in, frame + ip.header + 12, 8);
        *n = tcp ? 12 : 8;
        if (tcp)
            memcpy(in + 8, frame + ip.transport, 4);
        return tcp ? RSS_TCP4 : reg(e, MRQC) & MRQC_ENABLES(RSS_IP4) ? RSS_IP4 : RSS_NONE;
    }
    if (len >= at + 40 && get_be16(frame + at - 2) == 0x86ddu) {
        bool tcp = frame[at + 6] == IP_PROTOCOL_TCP && len >= at + 44 && (reg(e, MRQC) & MRQC_ENABLES(RSS_TCP6));

        memcpy(in, frame + at + 8, 32);
        *n = tcp ? 36 : 32;
        if (tcp)
            memcpy(in + 32, frame + at + 40, 4);
        return tcp ? RSS_TCP6 : reg(e, MRQC) & MRQC_ENABLES(RSS_IP6) ? RSS_IP6 : RSS_NONE;
    }
    return RSS_NONE;
}

static bool scales(const struct e1000e *e)
{
    return (reg(e, MRQC) & 3u) == MRQC_RSS && (reg(e, RXCSUM) & RXCSUM_PCSD) && (reg(e, RFCTL) & RFCTL_EXTEN);
}

struct scaling {
    enum rss type;
    uint32_t hash;
    unsigned queue;
    bool stamped;       /* and its time was kept */
};

static struct scaling scale(const struct e1000e *e, const uint8_t *frame, size_t len)
{
    struct scaling r = {.type = RSS_NONE};
    uint8_t in[36];
    size_t n = 0;

    if (scales(e))
        r.type = classify(e, frame, len, in, &n);
    if (r.type) {
        r.hash = toeplitz(e->st, in, n);
        r.queue = e->st->reta[(r.hash & 127u) / 4] >> (8 * (r.hash & 3u) + 7) & 1u;
    }
    return r;
}

/* ---- receiving ---- */

/* Has a descriptor four buffers, the first of which is for headers (7.1.5.2)? */
static bool splits(const struct e1000e *e)
{
    return (reg(e, RCTL) >> 10 & 3u) == 1 && (reg(e, RFCTL) & RFCTL_EXTEN);
}

/* Bytes of one of them; 0: there is no such one. */
static uint32_t split_buffer_size(const struct e1000e *e, unsigned n)
{
    uint32_t psrctl = reg(e, PSRCTL);

    return n ? (psrctl >> (8 * n) & 0x3fu) * 1024 : (psrctl & 0x7fu) * 128;
}

/* Bytes of those behind headers. */
static uint32_t split_data_size(const struct e1000e *e)
{
    return split_buffer_size(e, 1) + split_buffer_size(e, 2) + split_buffer_size(e, 3);
}

/* Bytes of a frame that a descriptor has room for at least: where a header has a buffer of its own, the others'. */
static uint32_t descriptor_room(const struct e1000e *e)
{
    if (!splits(e))
        return e1000_buffer_size(&e->mac);
    return split_data_size(e) ? split_data_size(e) : split_buffer_size(e, 0);
}

/* Its head and tail count 16 bytes, whatever a descriptor has. */
static struct e1000_ring receive_ring(const struct e1000e *e, unsigned queue)
{
    return e1000_ring_of(&e->mac, RDBAL + queue * QUEUE_REGS);
}

/* Descriptors that frames can go into. */
static uint32_t receive_ring_free(const struct e1000e *e, const struct e1000_ring *r)
{
    return e1000_ring_used(r) / (splits(e) ? SPLIT_DESC_BYTES / DESC_BYTES : 1);
}

/* Of TCP or UDP. 0: it is neither. */
static size_t transport_header(unsigned protocol, const uint8_t *bytes, size_t len)
{
    size_t tcp = protocol == IP_PROTOCOL_TCP && len >= 20 ? (bytes[12] >> 4) * 4u : 0;

    if (protocol == IP_PROTOCOL_UDP && len >= 8)
        return 8;
    return tcp >= 20 && tcp <= len ? tcp : 0;
}

/* Bytes up to the end of TCP's or UDP's header, or of IP's. 0: it is no such packet. */
static size_t headers_of(const struct e1000e *e, const uint8_t *frame, size_t len)
{
    struct nic_ip ip;

    if (!nic_find_any_ip(frame, len, &ip))
        return 0;
    if (ip.fragment)
        return reg(e, RFCTL) & RFCTL_IPFRSP_DIS ? 0 : ip.transport;
    return ip.transport + transport_header(ip.protocol, frame + ip.transport, ip.end - ip.transport);
}

/* Bytes of a frame that go into the first buffer by themselves. 0: it is not split. */
static size_t split_off(const struct e1000e *e, const struct e1000_frame *f)
{
    size_t header = splits(e) && split_data_size(e) ? headers_of(e, f->bytes, f->len) : 0;

    return header <= split_buffer_size(e, 0) ? header : 0;
}

/* A descriptor's second half, or all of an extended one (7.1.4, 7.1.5). */
static void fill_descriptor(const struct e1000e *e, const struct e1000_frame *f, const struct scaling *r, uint16_t checksum, bool last,
                            size_t n, uint8_t *d)
{
    uint32_t status = RX_DD | (last ? RX_EOP | f->status | (r->stamped ? RX_TST : 0) : 0);
    uint8_t errors = last ? f->errors : 0;

    memset(d, 0, DESC_BYTES);
    if (reg(e, RFCTL) & RFCTL_EXTEN) {
        put_le32(d, (uint32_t)r->type | r->queue << 8);
        if (reg(e, RXCSUM) & RXCSUM_PCSD)
            put_le32(d + 4, r->hash);
        else
            put_le16(d + 6, checksum);
        put_le32(d + 8, status | (uint32_t)errors << 24);
        put_le16(d + 12, (uint16_t)n);
    } else {
        put_le16(d + 8, (uint16_t)n);
        put_le16(d + 10, checksum);
        d[12] = (uint8_t)status;
        d[13] = errors;
    }
    put_le16(d + 14, f->tag);
}

/* From byte `done` of a frame on into the buffers of a descriptor, `header` bytes of it by themselves, and how many went into each into
 * its end. The byte to go on from. */
static size_t store_split(struct e1000e *e, const struct e1000_frame *f, size_t header, size_t done, uint16_t *first, uint8_t *d)
{
    uint8_t end[DESC_BYTES] = {0};

    put_le16(end, header ? (uint16_t)(HEADER_SPLIT | header) : 0);
    for (unsigned i = 0; i < SPLIT_BUFFERS; i++) {
        size_t size = split_buffer_size(e, i), n = f->len - done < size ? f->len - done : size;

        if (!i && header)
            n = done ? 0 : header;
        if (n)
            pci_dma_write(&e->mac.pci, get_le64(d + 8 * i), f->bytes + done, n);
        done += n;
        if (i)
            put_le16(end + 2 * i, (uint16_t)n);
        else
            *first = (uint16_t)n;
    }
    memcpy(d + DESC_BYTES, end, sizeof(end));
    return done;
}

/* The frame into the ring: there is room. False: the ring is not in memory. */
static bool store_frame(struct e1000e *e, const struct e1000_frame *f, const struct scaling *s)
{
    struct e1000_ring r = receive_ring(e, s->queue);
    uint16_t checksum = e1000_packet_checksum(&e->mac, f->bytes, f->len);
    bool split = splits(e);
    uint32_t size = e1000_buffer_size(&e->mac), bytes = split ? SPLIT_DESC_BYTES : DESC_BYTES;
    uint32_t told_from = reg(e, RFCTL) & RFCTL_EXTEN ? 0 : 8;
    size_t header = split_off(e, f);

    for (size_t done = 0; done < f->len;) {
        uint64_t at = r.base + (uint64_t)r.head * DESC_BYTES;
        uint16_t n = (uint16_t)(f->len - done < size ? f->len - done : size);
        uint8_t d[SPLIT_DESC_BYTES];

        if (!pci_dma_read(&e->mac.pci, at, d, bytes))
            return false;
        if (split) {
            done = store_split(e, f, header, done, &n, d);
        } else {
            pci_dma_write(&e->mac.pci, get_le64(d), f->bytes + done, n);
            done += n;
        }
        fill_descriptor(e, f, s, checksum, done == f->len, n, d);
        pci_dma_write(&e->mac.pci, at + told_from, d + told_from, bytes - told_from);
        r.head = (r.head + bytes / DESC_BYTES) % r.count;
    }
    *e1000_plain_of(&e->mac, RDH + s->queue * QUEUE_REGS) = r.head;
    return true;
}

/* Does what was stored leave few descriptors free (RDMTS)? */
static bool is_scarce(const struct e1000e *e, unsigned queue)
{
    struct e1000_ring r = receive_ring(e, queue);
    unsigned fraction = reg(e, RCTL) >> 8 & 3u;

    return fraction < 3 && e1000_ring_used(&r) <= r.count >> (fraction + 1);
}

/* An acknowledgement by TCP; with RFCTL.ACKD_DIS only such as has no data. */
static bool is_acknowledgement(const struct e1000e *e, const uint8_t *frame, size_t len)
{
    size_t header;
    struct nic_ip ip;

    if ((reg(e, RFCTL) & RFCTL_ACKDIS) || !nic_find_any_ip(frame, len, &ip) || ip.fragment)
        return false;
    header = ip.protocol == IP_PROTOCOL_TCP ? transport_header(IP_PROTOCOL_TCP, frame + ip.transport, ip.end - ip.transport) : 0;
    return header && (frame[ip.transport + 13] & TCP_ACK) && (!(reg(e, RFCTL) & RFCTL_ACKD_DIS) || ip.transport + header == ip.end);
}

static const char *receive(struct e1000_mac *mac, const uint8_t *frame, size_t len)
{
    struct e1000e *e = mac->nic.dev->wiring;
    struct e1000_frame f;
    struct e1000_ring r;
    struct scaling s;
    uint32_t causes;
    bool acknowledges;
    const char *why = e1000_accept(mac, &f, frame, len);

    if (why)
        return why;
    s = scale(e, f.bytes, f.len);
    r = receive_ring(e, s.queue);
    if ((uint64_t)receive_ring_free(e, &r) * descriptor_room(e) < f.len + FCS_BYTES) {
        e1000_overrun(mac);
        return "no buffer";
    }
    s.stamped = stamp_received(e, f.bytes, f.len);
    acknowledges = is_acknowledgement(e, f.bytes, f.len);
    e1000_finish(mac, &f);
    if (!store_frame(e, &f, &s))
        return "the ring is not in memory";
    causes = e1000_delay_receive(mac, ICR_RXT0 | ICR_RXQ(s.queue));
    causes |= e1000_small_packet(mac, f.len); /* may let come what was put off */
    if (acknowledges)
        causes |= e1000_put_off(mac, &e->st->acknowledged, reg(e, RAID), ICR_ACK);
    cause(mac, causes | (is_scarce(e, s.queue) ? ICR_RXDMT0 : 0));
    return NULL;
}

static void e1000e_input(struct device *dev, const struct event *ev)
{
    struct e1000e *e = dev->wiring;
    const char *why = receive(&e->mac, ev->data, ev->len);

    if (why)
        nic_refuse(&e->mac.nic, why);
}

static size_t e1000e_room(const struct device *dev)
{
    const struct e1000e *e = dev->wiring;
    size_t room = FRAME_MOST;

    for (unsigned q = 0; q < (scales(e) ? QUEUES : 1); q++) {
        struct e1000_ring r = receive_ring(e, q);
        uint64_t bytes = (uint64_t)receive_ring_free(e, &r) * descriptor_room(e);

        if (!(reg(e, RCTL) & RCTL_EN) || bytes < FRAME_LONG)
            return 0;
        if (bytes - FCS_BYTES < room)
            room = (size_t)bytes - FCS_BYTES;
    }
    return room;
}

/* ---- sending ---- */

static void transmit(struct e1000e *e, unsigned queue)
{
    uint32_t causes = e1000_transmit(&e->mac, TDBAL + queue * QUEUE_REGS, e->st->contexts[queue], ICR_TXDW | ICR_TXQ(queue));

    if (causes)
        cause(&e->mac, causes);
}

static void e1000e_expire(struct device *dev, vtime_t now)
{
    struct e1000e *e = dev->wiring;
    uint32_t causes = e1000_delays_expired(&e->mac, now);

    if (e1000_delay_deadline(&e->st->acknowledged) <= now)
        causes |= e1000_flush_delay(&e->st->acknowledged);
    if (e1000_pause_over(&e->mac, now))
        for (unsigned q = 0; q < QUEUES; q++)
            transmit(e, q);
    cause(&e->mac, causes);
}

/* ---- registers ---- */

/* By software or the machine: all but the PCI side and the NVM. */
static void reset_registers(struct e1000e *e)
{
    struct e1000e_state *s = e->st, old = *s;

    memset(s, 0, sizeof(*s));
    memcpy(s->config, old.config, sizeof(s->config));
    memcpy(s->nvm, old.nvm, sizeof(s->nvm));
    memcpy(s->msix, old.msix, sizeof(s->msix));
    s->msix_pending = old.msix_pending;
    e1000_reset_plains(&e->mac);
    reset_phy(e);
    s->ctrl = 0x00000a09;
    s->mdic = MDIC_READY;
    s->address[0] = s->nvm[0] | (uint32_t)s->nvm[1] << 16;
    s->address[1] = 0x80000000u | s->nvm[2];
    update_interrupt(e);
}

static void write_ctrl(struct e1000e *e, uint32_t value)
{
    bool up = (value & CTRL_SLU) && !(e->st->ctrl & CTRL_SLU);

    if (value & CTRL_RST) {
        reset_registers(e);
        return;
    }
    if (value & CTRL_PHY_RST)
        reset_phy(e);
    e->st->ctrl = value & ~CTRL_PHY_RST;
    if (up || (value & CTRL_PHY_RST))
        cause(&e->mac, ICR_LSC);
}

/* A word of a table, where reading and writing do no more. */
static uint32_t *table_word(struct e1000e *e, uint32_t offset)
{
    struct e1000e_state *s = e->st;

    if (offset >= RETA && offset < RETA + sizeof(s->reta))
        return &s->reta[(offset - RETA) / 4];
    if (offset >= RSSRK && offset < RSSRK + sizeof(s->key))
        return &s->key[(offset - RSSRK) / 4];
    return e1000_table_word(&e->mac, offset);
}

/* Statistics, which reading clears. */
static uint32_t *counter(struct e1000e_state *s, uint32_t offset)
{
    if (offset >= STATISTICS && offset < STATISTICS + sizeof(s->statistics))
        return &s->statistics[(offset - STATISTICS) / 4];
    return offset >= IAC && offset < IAC + sizeof(s->counters) ? &s->counters[(offset - IAC) / 4] : NULL;
}

static uint32_t read_register(struct e1000e *e, uint32_t offset)
{
    struct e1000e_state *s = e->st;
    uint32_t *at = counter(s, offset), value;

    switch (offset) {
    case CTRL: return s->ctrl;
    case STATUS:
        return STATUS_FD | STATUS_1000 | (s->ctrl & CTRL_SLU ? STATUS_LU : 0) | (s->ctrl & CTRL_GIO_DISABLE ? 0 : STATUS_GIO);
    case EECD: return reg(e, EECD) | EEC_FIXED | (reg(e, EECD) & EECD_REQ ? EECD_GNT : 0);
    case EERD: return s->eerd;
    case EEWR: return s->eewr;
    case MDIC: return s->mdic;
    case ICR: return read_icr(e);
    case IMS: return s->ims;
    case SYSTIML: return (uint32_t)systim(e);
    case SYSTIMH: return (uint32_t)(systim(e) >> 32);
    case TSYNCTXCTL: return reg(e, TSYNCTXCTL) | (s->stamped & STAMP_SENT ? TSYNC_VALID : 0);
    case TXSTMPL: return (uint32_t)s->sent_at;
    case TXSTMPH: s->stamped &= ~STAMP_SENT; return (uint32_t)(s->sent_at >> 32);
    case TSYNCRXCTL: return reg(e, TSYNCRXCTL) | (s->stamped & STAMP_RECEIVED ? TSYNC_VALID : 0);
    case RXSTMPL: return (uint32_t)s->received_at;
    case RXSTMPH: s->stamped &= ~STAMP_RECEIVED; return (uint32_t)(s->received_at >> 32);
    case RXSATRL: return (uint32_t)s->source;
    case RXSATRH: return (uint32_t)(s->source >> 32);
    case SWSM: /* whoever reads it has the semaphore, if it was free */
        value = reg(e, SWSM);
        *e1000_plain_of(&e->mac, SWSM) |= SWSM_SMBI;
        return value;
    default:
        break;
    }
    if (at) {
        value = *at;
        *at = 0;
        return value;
    }
    at = table_word(e, offset);
    if (!at)
        at = e1000_plain_of(&e->mac, offset);
    return at ? *at : 0;
}

static void write_plain(struct e1000e *e, uint32_t offset, uint32_t value)
{
    uint32_t *at = e1000_plain_of(&e->mac, offset);

    if (!at)
        return;
    if (offset == TIMINCA)
        set_systim(e, systim(e));
    *at = value & plains[at - e->st->plain].bits;
    for (unsigned q = 0; q < QUEUES; q++)
        if (offset == TCTL || offset == TDT + q * QUEUE_REGS)
            transmit(e, q);
    if (offset == RDTR || offset == TIDV)
        cause(&e->mac, e1000_write_delay(&e->mac, offset, value));
    else if (offset == ITR && !*at)
        end_interval(e, &e->st->interval_end);
    else if (offset >= EITR && offset < EITR + 4 * VECTORS && !*at)
        end_interval(e, &e->st->vector_interval_end[(offset - EITR) / 4]);
    machine_attention(e->mac.nic.dev->machine); /* there may be room for what waits */
}

static void write_register(struct e1000e *e, uint32_t offset, uint32_t value)
{
    struct e1000e_state *s = e->st;
    uint32_t *at = table_word(e, offset);

    switch (offset) {
    case CTRL: write_ctrl(e, value); return;
    case EERD: write_eerd(e, value); return;
    case EEWR: write_eewr(e, value); return;
    case MDIC: e1000_write_mdic(&e->mac, value); return;
    case ICR: write_icr(e, value); return;
    case ICS: cause(&e->mac, value); return;
    case IMS: s->ims |= value & ICR_VALID; update_interrupt(e); return;
    case IMC: s->ims &= ~value; update_interrupt(e); return;
    case SYSTIML: set_systim(e, (systim(e) & ~0xffffffffull) | value); return;
    case SYSTIMH: set_systim(e, (systim(e) & 0xffffffffull) | (uint64_t)value << 32); return;
    case TIMADJH: adjust_systim(e, value); return;
    default:
        break;
    }
    if (at)
        *at = value & e1000_table_bits(offset);
    else
        write_plain(e, offset, value);
}

/* Ports: an address, then the register there (10.2.1.2). */
static uint64_t e1000e_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct e1000e *e = dev->wiring;
    uint32_t value;

    if (range == RANGE_MSIX)
        return pci_msix_owns(&e->mac.pci, offset) ? pci_msix_read(&e->mac.pci, offset, size) : 0;
    if (range == RANGE_IO && offset < 4)
        value = e->st->io_address;
    else if (range == RANGE_IO)
        value = offset < 8 && e->st->io_address < REGISTER_BYTES ? read_register(e, e->st->io_address & ~3u) : 0;
    else
        value = read_register(e, (uint32_t)offset & ~3u);
    value >>= 8 * (offset & 3u);
    return size >= 4 ? value : value & ((1u << 8 * size) - 1);
}

/* Registers are written whole. */
static void e1000e_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct e1000e *e = dev->wiring;

    if (range == RANGE_MSIX) {
        if (pci_msix_owns(&e->mac.pci, offset))
            pci_msix_write(&e->mac.pci, offset, size, value);
        return;
    }
    if (size < 4 || (offset & 3u))
        return;
    if (range == RANGE_IO && offset == 0)
        e->st->io_address = (uint32_t)value;
    else if (range == RANGE_IO && offset == 4 && e->st->io_address < REGISTER_BYTES)
        write_register(e, e->st->io_address & ~3u, (uint32_t)value);
    else if (range == RANGE_REGISTERS)
        write_register(e, (uint32_t)offset, (uint32_t)value);
}

/* ---- the device ---- */

static void e1000e_configured(struct device *dev, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    update_interrupt(dev->wiring);
}

static void e1000e_reset(struct device *dev)
{
    struct e1000e *e = dev->wiring;

    pci_function_reset(&e->mac.pci);
    reset_registers(e);
}

static bool e1000e_possible(const struct device *dev)
{
    const struct e1000e *e = dev->wiring;

    return e1000_plains_possible(&e->mac);
}

/* Version 1 knew no delays and intervals; version 2 less registers, and no time stamps and pauses. */
static bool e1000e_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    const size_t more = (PLAINS - PLAINS_2) * sizeof(uint32_t), head = offsetof(struct e1000e_state, plain) + PLAINS_2 * sizeof(uint32_t);
    struct e1000e *e = dev->wiring;
    struct e1000e_state *s = e->st;

    if (version < 1 || version > 2 ||
        len != (version == 1 ? offsetof(struct e1000e_state, interval_end) : offsetof(struct e1000e_state, acknowledged)) - more)
        return false;
    memset(s, 0, sizeof(*s));
    e1000_reset_plains(&e->mac);
    reset_phy(e);
    memcpy(s, old, head);
    memcpy((uint8_t *)s + head + more, (const uint8_t *)old + head, len - head);
    return true;
}

static bool checks_six(const struct e1000_mac *mac)
{
    return !(e1000_reg(mac, RFCTL) & RFCTL_IPV6XSUM_DIS);
}

static void e1000e_destroy(struct device *dev)
{
    e1000_mac_finish(&((struct e1000e *)dev->wiring)->mac);
}

static void e1000e_describe(const struct device *dev, struct buffer *b)
{
    const struct e1000e *e = dev->wiring;

    buffer_printf(b, "netdev %s, link %s, ICR %08x, IMS %08x, %s", *dev->backend ? dev->backend : "none",
                  e->st->ctrl & CTRL_SLU ? "up" : "down", e->st->icr, e->st->ims,
                  pci_msix_enabled(&e->mac.pci) ? "MSI-X" : pci_has_messages(&e->mac.pci) ? "MSI" : "INTA");
    for (unsigned q = 0; q < QUEUES; q++) {
        struct e1000_ring rx = receive_ring(e, q), tx = e1000_ring_of(&e->mac, TDBAL + q * QUEUE_REGS);

        buffer_printf(b, ", receive ring %u: %u of %u free, transmit ring %u: %u of %u in use", q, e1000_ring_used(&rx), rx.count, q,
                      e1000_ring_used(&tx), tx.count);
    }
    buffer_printf(b, "\n");
}

static const struct device_ops e1000e_ops = {
    .name = "e1000e",
    .state_size = sizeof(struct e1000e_state),
    .state_version = 3,
    .upgrade = e1000e_upgrade,
    .possible = e1000e_possible,
    .reset = e1000e_reset,
    .deadline = e1000e_deadline,
    .expire = e1000e_expire,
    .input = e1000e_input,
    .input_room = e1000e_room,
    .describe = e1000e_describe,
    .read = e1000e_read,
    .write = e1000e_write,
    .destroy = e1000e_destroy,
};

const struct option_key e1000e_keys[] = {NIC_KEYS, {NULL, NULL}};

int e1000e_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x10d3, .subsystem_vendor = 0x8086,
                                           .subsystem = 0x0000, .class_code = 0x020000, .revision = 0, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &e1000e_ops, name, sizeof(struct e1000e));
    struct e1000e *e = dev->wiring;

    (void)d;
    _Static_assert(ARRAY_LEN(plains) == PLAINS, "PLAINS is how many there are");
    e->st = dev->state;
    e->mac = (struct e1000_mac){E1000_IN_STATE(e->st), .plains = plains, .nplains = PLAINS, .phy_reset = phy_reset, .udp_status = RX_TCPCS | RX_UDPCS,
                                .phy_pages = e->st->phy_pages, .cause = cause, .receive = receive,
                                .checks_six = checks_six, .sent_stamped = stamp_sent};
    e1000_mac_init(&e->mac);
    if (nic_init(&e->mac.nic, s, dev, props, err) < 0)
        return err->code;
    make_nvm(e);
    pci_function_init(&e->mac.pci, s->pci, devfn, dev, e->st->config, &id);
    pci_add_bar(&e->mac.pci, 0, PCI_BAR_MEMORY, false, REGISTER_BYTES, RANGE_REGISTERS);
    if (s->pci->ports)
        pci_add_bar(&e->mac.pci, 2, PCI_BAR_IO, false, IO_BYTES, RANGE_IO);
    pci_add_bar(&e->mac.pci, 3, PCI_BAR_MEMORY, false, MSIX_BYTES, RANGE_MSIX);
    pci_add_msi(&e->mac.pci, 1, false);
    pci_add_express(&e->mac.pci, 0);
    pci_add_msix(&e->mac.pci, &(struct pci_msix){.table = e->st->msix[0], .pending = &e->st->msix_pending, .vectors = VECTORS, .bar = 3,
                                                 .table_at = 0, .pending_at = PENDING_AT});
    e->mac.pci.written = e1000e_configured;
    nic_boots(s, &e->mac.pci);
    return 0;
}
