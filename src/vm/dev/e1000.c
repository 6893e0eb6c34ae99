/*
 * The Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual; names of registers and
 * bits by it): legacy and extended transmit descriptors with checksums and TCP segmentation, receive descriptors, filters by
 * address, hash and VLAN, EEPROM by EERD and bit by bit, PHY by MDIC, statistics, interrupts, loopback.
 *
 * What is sent goes out when its last descriptor is there. A frame from outside waits in the host until the ring has room.
 *
 * Not modelled: delays of interrupts (RDTR, RADV, TIDV, TADV, ITR: they come at once), flow control, wake up, management,
 * checksums of what is received other than the packet checksum (descriptors say so: IXSM), flash.
 */
#include "vm/dev/e1000.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/nic.h"
#include "vm/dev/nic_ip.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

enum { RANGE_REGISTERS, RANGE_IO };

#define REGISTER_BYTES 0x20000u
#define IO_BYTES       0x40u

/* Registers (13.4). */
enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, MDIC = 0x0020, VET = 0x0038, ICR = 0x00c0, ICS = 0x00c8,
    IMS = 0x00d0, IMC = 0x00d8, RCTL = 0x0100, TXCW = 0x0178, RXCW = 0x0180, TCTL = 0x0400,
    RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
    TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818,
    STATISTICS = 0x4000, RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600, WUS = 0x5810,
};

#define CTRL_SLU  (1u << 6)
#define CTRL_RST  (1u << 26)
#define CTRL_VME  (1u << 30)
#define CTRL_PHY_RST (1u << 31)
#define STATUS_FD (1u << 0)
#define STATUS_LU (1u << 1)
#define STATUS_1000 (2u << 6)
#define EECD_SK   (1u << 0)
#define EECD_CS   (1u << 1)
#define EECD_DI   (1u << 2)
#define EECD_DO   (1u << 3)
#define EECD_REQ  (1u << 6)
#define EECD_GNT  (1u << 7)
#define EECD_PRES (1u << 8)
#define EERD_START (1u << 0)
#define EERD_DONE (1u << 4)
#define MDIC_READY (1u << 28)
#define MDIC_INTERRUPT (1u << 29)
#define MDIC_ERROR (1u << 30)
#define ICR_TXDW  (1u << 0)
#define ICR_TXQE  (1u << 1)
#define ICR_LSC   (1u << 2)
#define ICR_RXDMT0 (1u << 4)
#define ICR_RXO   (1u << 6)
#define ICR_RXT0  (1u << 7)
#define ICR_MDAC  (1u << 9)
#define ICR_BITS  0x0001ffffu
#define RCTL_EN   (1u << 1)
#define RCTL_UPE  (1u << 3)
#define RCTL_MPE  (1u << 4)
#define RCTL_LPE  (1u << 5)
#define RCTL_BAM  (1u << 15)
#define RCTL_VFE  (1u << 18)
#define RCTL_BSEX (1u << 25)
#define RCTL_SECRC (1u << 26)
#define TCTL_EN   (1u << 1)
#define TCTL_PSP  (1u << 3)

/* Receive descriptors: status. */
#define RX_DD   0x01u
#define RX_EOP  0x02u
#define RX_IXSM 0x04u
#define RX_VP   0x08u
#define RX_PIF  0x80u

/* Transmit descriptors: the first word's commands, the second word's status and options. */
#define TX_EOP  (1u << 24)
#define TX_IC   (1u << 26)  /* legacy */
#define TX_TSE  (1u << 26)  /* extended */
#define TX_RS   (1u << 27)
#define TX_DEXT (1u << 29)
#define TX_VLE  (1u << 30)
#define TX_DD   (1u << 0)
#define TX_IXSM (1u << 8)
#define TX_TXSM (1u << 9)
#define TUCMD_TCP (1u << 24) /* in the context's third word */
#define TUCMD_IP  (1u << 25)
#define TUCMD_TSE (1u << 26)

#define DESC_BYTES 16u
#define PACKET_MOST 0x40000u /* of one segmentation; PAYLEN has 20 bits, nobody sends more */
#define FRAME_LONG 1522u    /* longer ones need RCTL.LPE; with frame check sequence */
#define FRAME_MOST 16384u
#define FCS_BYTES  4u
#define ADDRESSES  16u
#define EEPROM_WORDS 64u
#define PHY_REGISTERS 32u

/* Statistics that are counted: offsets from STATISTICS, in words. */
enum { MPC = 4, PRC64 = 0x17, GPRC = 0x1d, BPRC, MPRC, GPTC, GORCL = 0x22, GORCH, GOTCL, GOTCH, RNBC = 0x28, RUC, ROC = 0x2b,
       TORL = 0x30, TORH, TOTL, TOTH, TPR, TPT, PTC64, MPTC = 0x3c, BPTC, TSCTC, STATISTICS_COUNT = 0x40 };

/* Registers that only hold what is written: offset, bits, after a reset. */
static const struct plain {
    uint16_t offset;
    uint32_t bits, reset;
} plains[] = {
    {0x0018, 0xffffffffu, 0}, /* CTRL_EXT */
    {0x0028, 0xffffffffu, 0}, {0x002c, 0xffffu, 0}, {0x0030, 0xffffu, 0}, /* FCAL, FCAH, FCT */
    {VET, 0xffffu, 0}, {0x00c4, 0xffffu, 0}, /* VET, ITR */
    {RCTL, 0x07ffffffu, 0}, {0x0170, 0xffffu, 0}, {TXCW, 0xffffffffu, 0}, {TCTL, 0x1fffffau, 0}, /* RCTL, FCTTV, TXCW, TCTL */
    {0x0410, 0x3fffffffu, 0x00602008}, {0x0458, 0xffffu, 0}, {0x0e00, 0xffffffffu, 0x07061302}, /* TIPG, AIT, LEDCTL */
    {0x1000, 0xffffu, 0x00000030}, {0x2160, 0x8000fff8u, 0}, {0x2168, 0xfff8u, 0}, /* PBA, FCRTL, FCRTH */
    {RDBAL, 0xfffffff0u, 0}, {RDBAH, 0xffffffffu, 0}, {RDLEN, 0xfff80u, 0}, {RDH, 0xffffu, 0}, {RDT, 0xffffu, 0},
    {0x2820, 0xffffu, 0}, {0x2828, 0x013f3f3fu, 0x00010000}, {0x282c, 0xffffu, 0}, {0x2c00, 0xfffu, 0}, /* RDTR... RSRPD */
    {0x3000, 0xffffffffu, 0}, /* TXDMAC */
    {TDBAL, 0xfffffff0u, 0}, {TDBAH, 0xffffffffu, 0}, {TDLEN, 0xfff80u, 0}, {TDH, 0xffffu, 0}, {TDT, 0xffffu, 0},
    {0x3820, 0xffffu, 0}, {0x3828, 0xffffffffu, 0}, {0x382c, 0xffffu, 0}, {0x3830, 0xffffffffu, 0x01000400}, /* TIDV... TSPMT */
    {RXCSUM, 0x7ffu, 0}, {0x5800, 0xffffffffu, 0}, {0x5808, 0xffffffffu, 0}, {0x5838, 0xffffffffu, 0}, /* WUC, WUFC, IPAV */
    {0x5820, 0xffffffffu, 0}, /* MANC */
};
#define PLAINS 40u

DEVICE_STATE_BEGIN
struct e1000_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t ctrl, icr, ims, eecd, eerd, mdic, io_address;
    uint32_t plain[PLAINS];     /* in the order of plains[] */
    uint32_t hash[128];         /* MTA */
    uint32_t address[2 * ADDRESSES]; /* RAL, RAH */
    uint32_t vlans[128];        /* VFTA */
    uint32_t statistics[STATISTICS_COUNT];
    uint32_t contexts[2][4];    /* transmit: of checksums, of segmentation */
    uint16_t phy[PHY_REGISTERS];
    uint16_t eeprom_in, eeprom_out; /* bits shifted in; the word that is shifted out */
    uint8_t eeprom_bits;        /* how many were shifted in: 0 before the start bit; 9: a whole command */
    uint8_t reserved[7];
};
DEVICE_STATE_END

/* Wiring. */
struct e1000 {
    struct nic nic;             /* first */
    struct pci_function pci;
    struct e1000_state *st;
    uint16_t eeprom[EEPROM_WORDS];
};

static uint32_t *plain_of(struct e1000_state *s, uint32_t offset)
{
    for (unsigned i = 0; i < PLAINS; i++)
        if (plains[i].offset == offset)
            return &s->plain[i];
    return NULL;
}

static uint32_t reg(const struct e1000 *e, uint32_t offset)
{
    return *plain_of(e->st, offset);
}

/* ---- interrupts ---- */

static void update_interrupt(struct e1000 *e)
{
    pci_set_intx(&e->pci, (e->st->icr & e->st->ims) != 0);
}

static void cause(struct e1000 *e, uint32_t bits)
{
    e->st->icr |= bits & ICR_BITS;
    update_interrupt(e);
}

/* ---- statistics (13.7): 64-bit counters stay at their end, others too ---- */

static void count(struct e1000 *e, unsigned n, uint32_t more)
{
    uint32_t *c = &e->st->statistics[n];

    *c = *c > UINT32_MAX - more ? UINT32_MAX : *c + more;
}

static void count_64(struct e1000 *e, unsigned low, uint64_t more)
{
    uint32_t *c = &e->st->statistics[low];
    uint64_t v = (uint64_t)c[1] << 32 | c[0];

    v = v > UINT64_MAX - more ? UINT64_MAX : v + more;
    c[0] = (uint32_t)v;
    c[1] = (uint32_t)(v >> 32);
}

/* 64, 65-127, 128-255, 256-511, 512-1023, longer. */
static unsigned size_class(size_t len)
{
    return len <= 64 ? 0 : len < 128 ? 1 : len < 256 ? 2 : len < 512 ? 3 : len < 1024 ? 4 : 5;
}

/* ---- EEPROM (5) ---- */

static void make_eeprom(struct e1000 *e)
{
    uint16_t sum = 0;

    memset(e->eeprom, 0, sizeof(e->eeprom));
    for (unsigned i = 0; i < 3; i++)
        e->eeprom[i] = get_le16(e->nic.mac + 2 * i);
    e->eeprom[0x08] = e->eeprom[0x09] = 0xffff; /* no part number */
    e->eeprom[0x0a] = 0x4408;
    e->eeprom[0x0b] = 0x1100;
    e->eeprom[0x0c] = 0x1af4;
    e->eeprom[0x0d] = 0x100e;
    e->eeprom[0x0e] = 0x8086;
    e->eeprom[0x0f] = 0x3040;
    for (unsigned i = 0; i < EEPROM_WORDS - 1; i++)
        sum = (uint16_t)(sum + e->eeprom[i]);
    e->eeprom[EEPROM_WORDS - 1] = (uint16_t)(0xbaba - sum);
}

/* Microwire: a start bit, two bits of opcode, six of address; then the word comes out, most significant bit first. */
static void clock_eeprom(struct e1000 *e, bool in)
{
    struct e1000_state *s = e->st;

    if (s->eeprom_bits == 9) {
        s->eecd = (s->eecd & ~EECD_DO) | (s->eeprom_out >> 15 ? EECD_DO : 0);
        s->eeprom_out = (uint16_t)(s->eeprom_out << 1);
        return;
    }
    if (!s->eeprom_bits && !in)
        return; /* no start bit yet */
    s->eeprom_in = (uint16_t)(s->eeprom_in << 1 | in);
    if (++s->eeprom_bits == 9 && (s->eeprom_in >> 6 & 7u) == 6u)
        s->eeprom_out = e->eeprom[s->eeprom_in & (EEPROM_WORDS - 1)];
}

static void write_eecd(struct e1000 *e, uint32_t value)
{
    struct e1000_state *s = e->st;
    uint32_t was = s->eecd, pins = EECD_SK | EECD_CS | EECD_DI | EECD_REQ;

    s->eecd = (was & ~(pins | EECD_GNT)) | (value & pins) | (value & EECD_REQ ? EECD_GNT : 0);
    if (!(value & EECD_CS)) {
        s->eeprom_bits = 0;
        s->eeprom_in = s->eeprom_out = 0;
        s->eecd |= EECD_DO;
    } else if ((value & EECD_SK) && !(was & EECD_SK)) {
        clock_eeprom(e, value & EECD_DI);
    }
}

static void write_eerd(struct e1000 *e, uint32_t value)
{
    unsigned word = value >> 8 & 0xffu;

    e->st->eerd = value & 0xff00u;
    if (value & EERD_START)
        e->st->eerd |= EERD_DONE | (uint32_t)(word < EEPROM_WORDS ? e->eeprom[word] : 0xffffu) << 16;
}

/* ---- PHY (13.4.9, and the Alaska's registers) ---- */

enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_LINK_PARTNER = 5, PHY_EXPANSION, PHY_1000_STATUS = 10, PHY_EXTENDED = 15,
       PHY_SPECIFIC_STATUS = 17, PHY_INTERRUPTS = 19 };

static const uint16_t phy_reset[PHY_REGISTERS] = {
    [PHY_CONTROL] = 0x1140, [PHY_STATUS] = 0x796d, [PHY_ID1] = 0x0141, [PHY_ID2] = 0x0c20, [4] = 0x0de1,
    [PHY_LINK_PARTNER] = 0xc1e0, [PHY_EXPANSION] = 0x000f, [9] = 0x0e00, [PHY_1000_STATUS] = 0x3c00, [PHY_EXTENDED] = 0x3000,
    [16] = 0x0360, [PHY_SPECIFIC_STATUS] = 0xac00, [20] = 0x0d60,
};

static bool phy_read_only(unsigned n)
{
    return (1u << n & (1u << PHY_STATUS | 1u << PHY_ID1 | 1u << PHY_ID2 | 1u << PHY_LINK_PARTNER | 1u << PHY_EXPANSION |
                       1u << PHY_1000_STATUS | 1u << PHY_EXTENDED | 1u << PHY_SPECIFIC_STATUS | 1u << PHY_INTERRUPTS)) != 0;
}

static void write_phy(struct e1000 *e, unsigned n, uint16_t value)
{
    if (n == PHY_CONTROL && (value & 0x8000u)) { /* reset */
        memcpy(e->st->phy, phy_reset, sizeof(phy_reset));
        cause(e, ICR_LSC);
    } else if (n == PHY_CONTROL) {
        e->st->phy[n] = value & 0xfdbfu;  /* negotiation is over at once */
        if (value & 0x0200u)
            cause(e, ICR_LSC);
    } else if (!phy_read_only(n)) {
        e->st->phy[n] = value;
    }
}

static void write_mdic(struct e1000 *e, uint32_t value)
{
    unsigned n = value >> 16 & 31u, op = value >> 26 & 3u;

    e->st->mdic = value & ~(MDIC_READY | MDIC_ERROR);
    if ((value >> 21 & 31u) != 1)
        e->st->mdic |= MDIC_ERROR;
    else if (op == 1)
        write_phy(e, n, (uint16_t)value);
    else if (op == 2)
        e->st->mdic = (e->st->mdic & ~0xffffu) | e->st->phy[n];
    e->st->mdic |= MDIC_READY;
    if (value & MDIC_INTERRUPT)
        cause(e, ICR_MDAC);
}

/* ---- rings ---- */

struct ring {
    uint64_t base;
    uint32_t count, head, tail;
};

static struct ring ring_of(const struct e1000 *e, uint32_t base)
{
    struct ring r = {(uint64_t)reg(e, base + 4) << 32 | reg(e, base), reg(e, base + 8) / DESC_BYTES, reg(e, base + 0x10),
                     reg(e, base + 0x18)};

    if (r.head >= r.count || r.tail >= r.count)
        r.count = 0; /* nothing works with such a ring */
    return r;
}

static uint32_t ring_used(const struct ring *r)
{
    return r->count ? (r->tail + r->count - r->head) % r->count : 0;
}

/* ---- receiving ---- */

static uint32_t buffer_size(const struct e1000 *e)
{
    uint32_t rctl = reg(e, RCTL), size = 2048u >> (rctl >> 16 & 3u);

    return rctl & RCTL_BSEX ? (size == 2048 ? 2048 : size * 16) : size;
}

static bool exact_match(const struct e1000_state *s, const uint8_t *to)
{
    uint32_t low = get_le32(to), high = get_le16(to + 4);

    for (unsigned i = 0; i < ADDRESSES; i++)
        if ((s->address[2 * i + 1] & 0x8003ffffu) == (0x80000000u | high) && s->address[2 * i] == low)
            return true;
    return false;
}

static bool hash_match(const struct e1000 *e, const uint8_t *to)
{
    static const uint8_t shifts[] = {4, 3, 2, 0};
    unsigned hash = ((unsigned)to[5] << 8 | to[4]) >> shifts[reg(e, RCTL) >> 12 & 3u] & 0xfffu;

    return e->st->hash[hash >> 5] >> (hash & 31u) & 1u;
}

static bool address_is_wanted(const struct e1000 *e, const uint8_t *to)
{
    uint32_t rctl = reg(e, RCTL);

    if (exact_match(e->st, to) || (nic_is_broadcast(to) && (rctl & RCTL_BAM)))
        return true;
    return nic_is_multicast(to) ? (rctl & RCTL_MPE) || hash_match(e, to) : (rctl & RCTL_UPE) != 0;
}

static bool is_tagged(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    uint32_t type = reg(e, VET);

    return len >= 18 && get_be16(frame + 12) == (type ? type : 0x8100u);
}

static bool vlan_is_wanted(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (!(reg(e, RCTL) & RCTL_VFE) || !is_tagged(e, frame, len))
        return true;
    id = get_be16(frame + 14) & 0xfffu;
    return e->st->vlans[id >> 5] >> (id & 31u) & 1u;
}

/* The packet checksum: of the bytes from RXCSUM.PCSS on, not complemented. */
static uint16_t packet_checksum(const struct e1000 *e, const uint8_t *bytes, size_t len)
{
    size_t start = reg(e, RXCSUM) & 0xffu;

    return (uint16_t)(start < len ? nic_sum(bytes + start, len - start, 0) : 0);
}

/* `bytes`, frame check sequence and all, into the ring: there is room. False: the ring is not in memory. */
static bool store_frame(struct e1000 *e, const uint8_t *bytes, size_t len, uint8_t status, uint16_t tag)
{
    struct ring r = ring_of(e, RDBAL);
    uint16_t checksum = packet_checksum(e, bytes, len);
    uint32_t size = buffer_size(e);

    for (size_t done = 0; done < len;) {
        uint64_t at = r.base + (uint64_t)r.head * DESC_BYTES;
        size_t n = len - done < size ? len - done : size;
        uint8_t d[DESC_BYTES];

        if (!pci_dma_read(&e->pci, at, d, sizeof(d)))
            return false;
        pci_dma_write(&e->pci, get_le64(d), bytes + done, n);
        done += n;
        put_le16(d + 8, (uint16_t)n);
        put_le16(d + 10, checksum);
        d[12] = (uint8_t)(RX_DD | (done == len ? RX_EOP | status : 0));
        d[13] = 0;
        put_le16(d + 14, tag);
        pci_dma_write(&e->pci, at + 8, d + 8, 8);
        r.head = r.head + 1 == r.count ? 0 : r.head + 1;
    }
    *plain_of(e->st, RDH) = r.head;
    return true;
}

static void count_received(struct e1000 *e, const uint8_t *to, size_t len)
{
    count(e, GPRC, 1);
    count(e, PRC64 + size_class(len), 1);
    count_64(e, GORCL, len);
    if (nic_is_broadcast(to))
        count(e, BPRC, 1);
    else if (nic_is_multicast(to))
        count(e, MPRC, 1);
}

/* Does what was stored leave few descriptors free (RDMTS)? */
static bool is_scarce(const struct e1000 *e)
{
    struct ring r = ring_of(e, RDBAL);
    unsigned fraction = reg(e, RCTL) >> 8 & 3u;

    return fraction < 3 && ring_used(&r) <= r.count >> (fraction + 1);
}

/* NULL: it is in the guest's memory; else why not. */
static const char *receive(struct e1000 *e, const uint8_t *frame, size_t len)
{
    uint8_t bytes[FRAME_MOST + FCS_BYTES];
    struct ring r = ring_of(e, RDBAL);
    uint8_t status = RX_IXSM;
    uint16_t tag = 0;

    bool stored;

    if (!(reg(e, RCTL) & RCTL_EN))
        return "the receiver is off";
    if (len < 14 || len > FRAME_MOST)
        return len < 14 ? "shorter than a header" : "longer than any buffer";
    memcpy(bytes, frame, len);
    if (len < NIC_FRAME_MIN) {
        memset(bytes + len, 0, NIC_FRAME_MIN - len);
        len = NIC_FRAME_MIN;
    }
    count(e, TPR, 1);
    count_64(e, TORL, len + FCS_BYTES);
    if (len + FCS_BYTES > FRAME_LONG && !(reg(e, RCTL) & RCTL_LPE)) {
        count(e, ROC, 1);
        return "longer than the receiver takes";
    }
    if (!address_is_wanted(e, bytes))
        return "not to an address that the driver asked for";
    if (!vlan_is_wanted(e, bytes, len))
        return "not of a VLAN that the driver asked for";
    if ((uint64_t)ring_used(&r) * buffer_size(e) < len + FCS_BYTES) {
        count(e, RNBC, 1);
        count(e, MPC, 1);
        cause(e, ICR_RXO);
        return "no buffer";
    }
    count_received(e, bytes, len + FCS_BYTES);
    put_le32(bytes + len, nic_check_sequence(bytes, len));
    len += reg(e, RCTL) & RCTL_SECRC ? 0 : FCS_BYTES;
    if (!exact_match(e->st, bytes) && !nic_is_broadcast(bytes))
        status |= RX_PIF;
    if ((e->st->ctrl & CTRL_VME) && is_tagged(e, bytes, len)) {
        tag = get_be16(bytes + 14);
        status |= RX_VP;
        memmove(bytes + 12, bytes + 16, len - 16);
        len -= 4;
    }
    stored = store_frame(e, bytes, len, status, tag);
    cause(e, ICR_RXT0 | (is_scarce(e) ? ICR_RXDMT0 : 0));
    return stored ? NULL : "the ring is not in memory";
}

static void e1000_input(struct device *dev, const struct event *ev)
{
    struct e1000 *e = dev->wiring;
    const char *why = receive(e, ev->data, ev->len);

    if (why)
        nic_refuse(&e->nic, why);
}

static size_t e1000_room(const struct device *dev)
{
    const struct e1000 *e = dev->wiring;
    struct ring r = ring_of(e, RDBAL);
    uint64_t bytes = (uint64_t)ring_used(&r) * buffer_size(e);

    return !(reg(e, RCTL) & RCTL_EN) || bytes < FRAME_LONG ? 0 : bytes > FRAME_MOST ? FRAME_MOST : (size_t)bytes - FCS_BYTES;
}

/* ---- sending ---- */

static void transmit_frame(struct e1000 *e, const uint8_t *frame, size_t len)
{
    uint8_t padded[NIC_FRAME_MIN] = {0};

    if (len < NIC_FRAME_MIN && (reg(e, TCTL) & TCTL_PSP)) {
        memcpy(padded, frame, len);
        frame = padded;
        len = NIC_FRAME_MIN;
    }
    count(e, TPT, 1);
    count(e, GPTC, 1);
    count(e, PTC64 + size_class(len + FCS_BYTES), 1);
    count_64(e, TOTL, len + FCS_BYTES);
    count_64(e, GOTCL, len + FCS_BYTES);
    if (len >= 6 && nic_is_broadcast(frame))
        count(e, BPTC, 1);
    else if (len >= 6 && nic_is_multicast(frame))
        count(e, MPTC, 1);
    if ((reg(e, RCTL) >> 6 & 3u) == 1 || (reg(e, RCTL) >> 6 & 3u) == 3 || (e->st->phy[PHY_CONTROL] & 0x4000u))
        receive(e, frame, len); /* loopback */
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

static void send_tagged(struct e1000 *e, const struct packet *p, uint8_t *frame, size_t len)
{
    uint8_t *longer;

    if (!(p->command & TX_VLE) || !(e->st->ctrl & CTRL_VME) || len < 12) {
        transmit_frame(e, frame, len);
        return;
    }
    longer = xmalloc(len + 4);
    memcpy(longer, frame, 12);
    put_be16(longer + 12, (uint16_t)(reg(e, VET) ? reg(e, VET) : 0x8100u));
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

static void send_segments(struct e1000 *e, const struct packet *p)
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
    count(e, TSCTC, 1);
    free(frame);
}

static void send_packet(struct e1000 *e, struct packet *p, const uint32_t *last)
{
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
static bool add_data(struct e1000 *e, struct packet *p, const uint32_t d[4])
{
    bool extended = d[2] & TX_DEXT;
    size_t n = d[2] & (extended ? 0xfffffu : 0xffffu);

    if (!p->bytes) {
        p->extended = extended;
        p->command = d[2];
        p->options = d[3];
        p->context = e->st->contexts[extended && (d[2] & TX_TSE)];
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

static bool read_descriptor(struct e1000 *e, const struct ring *r, uint32_t n, uint32_t d[4])
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
static uint32_t packet_descriptors(struct e1000 *e, const struct ring *r)
{
    uint32_t used = ring_used(r), d[4];

    for (uint32_t i = 0; i < used; i++) {
        if (!read_descriptor(e, r, (r->head + i) % r->count, d))
            return 0;
        if (is_context(d) || (d[2] & TX_EOP))
            return i + 1;
    }
    return 0;
}

static void write_back(struct e1000 *e, const struct ring *r, const uint32_t d[4])
{
    uint8_t status[4];

    if (!(d[2] & TX_RS))
        return;
    put_le32(status, d[3] | TX_DD);
    pci_dma_write(&e->pci, r->base + (uint64_t)r->head * DESC_BYTES + 12, status, sizeof(status));
}

/* The descriptors of one packet, or one context. */
static uint32_t take_packet(struct e1000 *e, struct ring *r, uint32_t n)
{
    struct packet p = {.bytes = NULL};
    uint32_t d[4] = {0}, causes = 0;
    bool good = true;

    for (uint32_t i = 0; i < n && read_descriptor(e, r, r->head, d); i++) {
        if (is_context(d))
            memcpy(e->st->contexts[(d[2] & TUCMD_TSE) != 0], d, sizeof(d));
        else
            good = good && add_data(e, &p, d);
        write_back(e, r, d);
        if (d[2] & TX_RS)
            causes |= ICR_TXDW;
        r->head = r->head + 1 == r->count ? 0 : r->head + 1;
    }
    if (good && p.len)
        send_packet(e, &p, d);
    free(p.bytes);
    return causes;
}

static void transmit(struct e1000 *e)
{
    struct ring r = ring_of(e, TDBAL);
    uint32_t causes = 0, n;

    if (!(reg(e, TCTL) & TCTL_EN) || !ring_used(&r))
        return;
    while ((n = packet_descriptors(e, &r)) > 0) {
        causes |= take_packet(e, &r, n);
        *plain_of(e->st, TDH) = r.head;
    }
    cause(e, causes | (ring_used(&r) ? 0 : ICR_TXQE));
}

/* ---- registers ---- */

/* By software or the machine: all but the PCI side. */
static void reset_registers(struct e1000 *e)
{
    struct e1000_state *s = e->st;
    uint8_t config[PCI_CONFIG_BYTES];

    memcpy(config, s->config, sizeof(config));
    memset(s, 0, sizeof(*s));
    memcpy(s->config, config, sizeof(config));
    for (unsigned i = 0; i < PLAINS; i++)
        s->plain[i] = plains[i].reset;
    memcpy(s->phy, phy_reset, sizeof(phy_reset));
    s->ctrl = 0x00000a09;
    s->eecd = EECD_PRES | 0x10u | EECD_DO;
    s->mdic = MDIC_READY;
    s->address[0] = get_le32(e->nic.mac);
    s->address[1] = 0x80000000u | get_le16(e->nic.mac + 4);
    update_interrupt(e);
}

static void write_ctrl(struct e1000 *e, uint32_t value)
{
    bool up = (value & CTRL_SLU) && !(e->st->ctrl & CTRL_SLU);

    if (value & CTRL_RST) {
        reset_registers(e);
        return;
    }
    if (value & CTRL_PHY_RST)
        memcpy(e->st->phy, phy_reset, sizeof(phy_reset));
    e->st->ctrl = value & ~CTRL_PHY_RST;
    if (up || (value & CTRL_PHY_RST))
        cause(e, ICR_LSC);
}

static uint32_t *table_word(struct e1000_state *s, uint32_t offset)
{
    if (offset >= MTA && offset < MTA + sizeof(s->hash))
        return &s->hash[(offset - MTA) / 4];
    if (offset >= RA && offset < RA + sizeof(s->address))
        return &s->address[(offset - RA) / 4];
    if (offset >= VFTA && offset < VFTA + sizeof(s->vlans))
        return &s->vlans[(offset - VFTA) / 4];
    return NULL;
}

static uint32_t read_register(struct e1000 *e, uint32_t offset)
{
    struct e1000_state *s = e->st;
    uint32_t *at, value;

    switch (offset) {
    case CTRL: return s->ctrl;
    case STATUS: return STATUS_FD | STATUS_1000 | (s->ctrl & CTRL_SLU ? STATUS_LU : 0);
    case EECD: return s->eecd;
    case EERD: return s->eerd;
    case MDIC: return s->mdic;
    case ICR:
        value = s->icr;
        s->icr = 0;
        update_interrupt(e);
        return value;
    case IMS: return s->ims;
    default:
        break;
    }
    if (offset >= STATISTICS && offset < STATISTICS + sizeof(s->statistics)) {
        at = &s->statistics[(offset - STATISTICS) / 4];
        value = *at;
        *at = 0;
        return value;
    }
    at = table_word(s, offset);
    if (!at)
        at = plain_of(s, offset);
    return at ? *at : 0;
}

static void write_plain(struct e1000 *e, uint32_t offset, uint32_t value)
{
    uint32_t *at = plain_of(e->st, offset);

    if (!at)
        return;
    *at = value & plains[at - e->st->plain].bits;
    if (offset == TDT || offset == TCTL)
        transmit(e);
    else if (offset == RDT || offset == RCTL)
        machine_attention(e->nic.dev->machine); /* there may be room for what waits */
}

static void write_register(struct e1000 *e, uint32_t offset, uint32_t value)
{
    struct e1000_state *s = e->st;
    uint32_t *at = table_word(s, offset);

    switch (offset) {
    case CTRL: write_ctrl(e, value); return;
    case EECD: write_eecd(e, value); return;
    case EERD: write_eerd(e, value); return;
    case MDIC: write_mdic(e, value); return;
    case ICR: s->icr &= ~value; update_interrupt(e); return;
    case ICS: cause(e, value); return;
    case IMS: s->ims |= value & ICR_BITS; update_interrupt(e); return;
    case IMC: s->ims &= ~value; update_interrupt(e); return;
    default:
        break;
    }
    if (at)
        *at = value;
    else
        write_plain(e, offset, value);
}

/* Ports: an address, then the register there (13.2.2). */
static uint64_t e1000_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct e1000 *e = dev->wiring;
    uint32_t value;

    if (range == RANGE_IO && offset < 4)
        value = e->st->io_address;
    else if (range == RANGE_IO)
        value = offset < 8 && e->st->io_address < REGISTER_BYTES ? read_register(e, e->st->io_address & ~3u) : 0;
    else
        value = read_register(e, (uint32_t)offset & ~3u);
    value >>= 8 * (offset & 3u);
    return size >= 4 ? value : value & ((1u << 8 * size) - 1);
}

/* Registers are written whole (13.2). */
static void e1000_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct e1000 *e = dev->wiring;

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

static void e1000_reset(struct device *dev)
{
    struct e1000 *e = dev->wiring;

    pci_function_reset(&e->pci);
    reset_registers(e);
}

static bool e1000_possible(const struct device *dev)
{
    const struct e1000 *e = dev->wiring;

    return e->st->eeprom_bits <= 9;
}

static void e1000_describe(const struct device *dev, struct buffer *b)
{
    struct e1000 *e = dev->wiring;
    struct ring rx = ring_of(e, RDBAL), tx = ring_of(e, TDBAL);

    buffer_printf(b, "netdev %s, link %s, receive ring %u of %u free, transmit ring %u of %u in use, ICR %08x, IMS %08x\n",
                  *dev->backend ? dev->backend : "none", e->st->ctrl & CTRL_SLU ? "up" : "down", ring_used(&rx), rx.count,
                  ring_used(&tx), tx.count, e->st->icr, e->st->ims);
}

static const struct device_ops e1000_ops = {
    .name = "e1000",
    .state_size = sizeof(struct e1000_state),
    .possible = e1000_possible,
    .reset = e1000_reset,
    .input = e1000_input,
    .input_room = e1000_room,
    .describe = e1000_describe,
    .read = e1000_read,
    .write = e1000_write,
};

const struct option_key e1000_keys[] = {NIC_KEYS, {NULL, NULL}};

int e1000_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x100e, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x020000, .revision = 3, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &e1000_ops, name, sizeof(struct e1000));
    struct e1000 *e = dev->wiring;

    (void)d;
    _Static_assert(ARRAY_LEN(plains) == PLAINS, "PLAINS is how many there are");
    e->st = dev->state;
    if (nic_init(&e->nic, s, dev, props, err) < 0)
        return err->code;
    make_eeprom(e);
    pci_function_init(&e->pci, s->pci, devfn, dev, e->st->config, &id);
    pci_add_bar(&e->pci, 0, PCI_BAR_MEMORY, false, REGISTER_BYTES, RANGE_REGISTERS);
    pci_add_bar(&e->pci, 1, PCI_BAR_IO, false, IO_BYTES, RANGE_IO);
    nic_boots(s, &e->pci);
    return 0;
}
