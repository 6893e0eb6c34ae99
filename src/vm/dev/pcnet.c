/*
 * The AMD Am79C970A, PCnet-PCI II (its data sheet, publication 19436; names of registers and bits by it): I/O in words and double
 * words, the address PROM, CSRs and BCRs, the initialization block and the rings of both sizes in the software styles 0 to 3, filters by
 * address and hash, padding, stripping, the driver's own check sequences, loopback, polling of the transmit ring.
 *
 * A frame is sent when the last of its descriptors is the chip's, and then all of it at once. A frame from outside waits in the host
 * until the ring has room for one of usual length, and while the chip is stopped or suspended.
 *
 * Not modelled: collisions and broken frames (nobody sends one; their bits and counters stay 0), the physical side, LEDs other than the
 * link's, look-ahead (LAPPEN), magic packets and sleep, the serial EEPROM's pins (BCR19 only holds them), the FIFOs' and
 * the buses' test registers (CSRs that only hold what is written), parity.
 */
#include "vm/dev/pcnet.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/nic.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

#define PORTS        0x20u
#define REGISTERS    0x10u   /* above the PROM */
#define CLOCK_MHZ    33u     /* what the polling interval counts */
#define FCS_BYTES    4u
#define FRAME_USUAL  1518u   /* with check sequence: for less room nothing is taken */
#define FRAME_MOST   4095u   /* MCNT has 12 bits */
#define PACKET_MOST  0x10000u
#define CSRS         128u
#define BCRS         32u

enum { STATUS = 0, IADR = 1, MASKS = 3, FEATURES = 4, EXTENDED = 5, LENGTHS = 6, LADRF = 8, PADR = 12, MODE = 15, BADR = 24, BADX = 30,
       TXPOLLINT = 47, STYLE = 58, RCVRC = 72, XMTRC = 74, RCVRL = 76, XMTRL = 78, CHIP = 88, MFC = 112 };
enum { BCR_MC = 2, BCR_LNKST = 4, BCR_LED3 = 7, BCR_BSBC = 18, BCR_SWS = 20 };

/* CSR0. */
#define CSR0_ERR  0x8000u
#define CSR0_MISS 0x1000u
#define CSR0_MERR 0x0800u
#define CSR0_RINT 0x0400u
#define CSR0_TINT 0x0200u
#define CSR0_IDON 0x0100u
#define CSR0_INTR 0x0080u
#define CSR0_IENA 0x0040u
#define CSR0_RXON 0x0020u
#define CSR0_TXON 0x0010u
#define CSR0_TDMD 0x0008u
#define CSR0_STOP 0x0004u
#define CSR0_STRT 0x0002u
#define CSR0_INIT 0x0001u
#define CSR0_ERRORS 0x7800u
#define CSR0_CAUSES 0x7f00u
#define CSR0_MASKABLE 0x5f00u /* CERR interrupts nobody */
/* CSR4: causes, and what stops each from interrupting is the bit below it. */
#define CSR4_DPOLL 0x1000u
#define CSR4_ASTRP 0x0400u
#define CSR4_MFCO  0x0200u
#define CSR4_UINTCMD 0x0080u
#define CSR4_UINT  0x0040u
#define CSR4_TXSTRT 0x0008u
#define CSR4_CAUSES 0x026au
#define CSR4_MASKS 0x0115u
/* CSR5: causes, and what lets each interrupt is the bit below it. */
#define CSR5_TOKINTD 0x8000u
#define CSR5_LTINTEN 0x4000u
#define CSR5_CAUSES  0x0a90u
#define CSR5_ENABLES 0x0548u
#define CSR5_SPND    0x0001u
#define MODE_PROM   0x8000u
#define MODE_DRCVBC 0x4000u
#define MODE_DRCVPA 0x2000u
#define MODE_DXMTFCS 0x0008u
#define MODE_LOOP   0x0004u
#define MODE_DTX    0x0002u
#define MODE_DRX    0x0001u
#define MC_APROMWE  0x0100u
#define LED_OUT     0x8000u
#define LED_LINK    0x0040u
#define BSBC_DWIO   0x0080u
#define SWS_SIZE32  0x0100u
#define SWS_CSRPCNET 0x0200u

/* Descriptors: the upper half of their second word (style 2). */
#define D_OWN  0x8000u
#define D_ERR  0x4000u
#define D_OFLO 0x1000u
#define D_CRC  0x0800u
#define D_BUFF 0x0400u
#define D_STP  0x0200u
#define D_ENP  0x0100u
#define D_PAM  0x0040u
#define D_LAFM 0x0020u
#define D_BAM  0x0010u
#define T_ADD_FCS 0x2000u
#define T_LTINT 0x1000u
#define T_RESULT 0x5c00u /* ERR, MORE, ONE, DEF */

/* Registers and what of them a guest writes: when the chip is stopped or suspended only, but for the first ones. */
static const struct csr {
    uint8_t first, last;
    uint16_t bits;
    bool always;
} csrs[] = {
    {IADR, IADR + 1, 0xffff, false}, {MASKS, MASKS, 0x5f7c, true}, {7, 7, 0, true}, {LADRF, MODE, 0xffff, false}, {18, 45, 0xffff, false},
    {46, 46, 0xffff, false}, {TXPOLLINT, TXPOLLINT, 0xffff, false}, {48, 49, 0xffff, false}, {60, 67, 0xffff, false},
    {RCVRL, RCVRL, 0xffff, false}, {XMTRL, XMTRL, 0xffff, false}, {80, 80, 0x3fff, false}, {82, 82, 0xffff, false},
    {84, 86, 0xffff, false}, {100, 100, 0xffff, false}, {MFC, MFC, 0xffff, false}, {114, 114, 0xffff, false}, {122, 122, 0x0001, false},
    {124, 124, 0x001e, false},
};

/* Bits of BCRs that a guest writes, and what reset makes of them. */
static const struct bcr {
    uint16_t bits, reset;
} bcrs[BCRS] = {
    [0] = {0, 0x0005}, [1] = {0, 0x0005}, [2] = {0x7183, 0x0002}, [4] = {0x43ff, 0x00c0}, [5] = {0x43ff, 0x0084}, [6] = {0x43ff, 0x0088},
    [7] = {0x43ff, 0x0090}, [9] = {0x0007, 0}, [16] = {0xffe0, 0}, [17] = {0xffff, 0}, [18] = {0xfb60, 0x9001}, [19] = {0x0017, 0x0002},
    [20] = {0x04ff, SWS_CSRPCNET}, [21] = {0x0003, 0}, [22] = {0xffff, 0xff06},
};

DEVICE_STATE_BEGIN
struct pcnet_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t poll_at;     /* when the transmit ring is looked at without being asked; VTIME_NEVER */
    uint16_t csr[CSRS];
    uint16_t bcr[BCRS];
    uint8_t aprom[16];
    uint16_t rx_at, tx_at; /* of which descriptors is the turn */
    uint16_t rap;
    uint16_t reserved;
};
DEVICE_STATE_END

/* Wiring. */
struct pcnet {
    struct nic nic;             /* first */
    struct pci_function pci;
    struct pcnet_state *st;
};

/* A descriptor in the words of style 2, where it is not read from an older or newer one. */
struct descriptor {
    uint32_t address;
    uint16_t flags;
    uint16_t count;  /* bytes of the buffer */
    uint32_t result; /* RMD2, TMD2 */
};

static bool wide(const struct pcnet *c)
{
    return c->st->bcr[BCR_SWS] & SWS_SIZE32;
}

static uint32_t pair(const struct pcnet *c, unsigned first)
{
    return (uint32_t)c->st->csr[first + 1] << 16 | c->st->csr[first];
}

static void set_pair(struct pcnet *c, unsigned first, uint32_t value)
{
    c->st->csr[first] = (uint16_t)value;
    c->st->csr[first + 1] = (uint16_t)(value >> 16);
}

/* Descriptors of a ring; its length is held negative. */
static uint32_t ring_length(const struct pcnet *c, unsigned csr)
{
    return 0x10000u - c->st->csr[csr];
}

static bool suspended(const struct pcnet *c)
{
    return c->st->csr[EXTENDED] & CSR5_SPND;
}

/* ---- interrupts ---- */

static void update_interrupt(struct pcnet *c)
{
    uint16_t *csr = c->st->csr;
    bool any = (csr[STATUS] & ~csr[MASKS] & CSR0_MASKABLE) || (csr[FEATURES] >> 1 & ~csr[FEATURES] & CSR4_MASKS) ||
               (csr[FEATURES] & CSR4_UINT) || (csr[EXTENDED] >> 1 & csr[EXTENDED] & CSR5_ENABLES);

    csr[STATUS] &= (uint16_t)~(CSR0_INTR | CSR0_ERR);
    csr[STATUS] |= (uint16_t)((any ? CSR0_INTR : 0) | (csr[STATUS] & CSR0_ERRORS ? CSR0_ERR : 0));
    pci_set_intx(&c->pci, any && (csr[STATUS] & CSR0_IENA));
}

static void cause(struct pcnet *c, unsigned bits)
{
    c->st->csr[STATUS] |= (uint16_t)bits;
    update_interrupt(c);
}

/* ---- descriptors ---- */

static uint32_t descriptor_at(const struct pcnet *c, unsigned ring, uint32_t n)
{
    return pair(c, ring) + n * (wide(c) ? 16 : 8);
}

/* `d` of the bytes of one. */
static void unpack(const struct pcnet *c, const uint8_t *b, struct descriptor *d)
{
    bool swapped = (c->st->bcr[BCR_SWS] & 0xffu) == 3;
    uint16_t count;

    if (wide(c)) {
        *d = (struct descriptor){.address = get_le32(b + (swapped ? 8 : 0)), .flags = get_le16(b + 6),
                                 .result = get_le32(b + (swapped ? 0 : 8))};
        count = get_le16(b + 4);
    } else {
        *d = (struct descriptor){.address = get_le16(b) | (uint32_t)b[2] << 16 | (uint32_t)(c->st->csr[IADR + 1] & 0xff00u) << 16,
                                 .flags = (uint16_t)(b[3] << 8), .result = get_le16(b + 6)};
        count = get_le16(b + 4);
    }
    d->count = (uint16_t)(0x1000u - (count & 0xfffu));
}

static bool read_descriptor(struct pcnet *c, unsigned ring, uint32_t n, struct descriptor *d)
{
    uint8_t bytes[16];

    if (!pci_dma_read(&c->pci, descriptor_at(c, ring, n), bytes, wide(c) ? 16 : 8))
        return false;
    unpack(c, bytes, d);
    if (get_le64(bytes) == UINT64_MAX) { /* no memory answers there */
        c->st->csr[STATUS] |= CSR0_MERR;
        update_interrupt(c);
        return false;
    }
    return true;
}

/* Its result, and then its flags. */
static void give_back(struct pcnet *c, unsigned ring, uint32_t n, const struct descriptor *d, bool with_result)
{
    bool swapped = (c->st->bcr[BCR_SWS] & 0xffu) == 3;
    uint32_t at = descriptor_at(c, ring, n);
    uint8_t b[4];

    put_le32(b, d->result);
    if (with_result)
        pci_dma_write(&c->pci, at + (!wide(c) ? 6 : swapped ? 0 : 8), b, wide(c) ? 4 : 2);
    if (wide(c)) {
        put_le16(b, d->flags);
        pci_dma_write(&c->pci, at + 6, b, 2);
    } else {
        b[0] = (uint8_t)(d->flags >> 8);
        pci_dma_write(&c->pci, at + 3, b, 1);
    }
}

/* ---- receiving ---- */

static bool hash_match(const struct pcnet *c, const uint8_t *to)
{
    unsigned hash = nic_hash(to, true);

    return c->st->csr[LADRF + hash / 16] >> hash % 16 & 1u;
}

static bool is_ours(const struct pcnet *c, const uint8_t *to)
{
    for (unsigned i = 0; i < 3; i++)
        if (get_le16(to + 2 * i) != c->st->csr[PADR + i])
            return false;
    return true;
}

/* The flags that say why it is taken. */
static bool is_wanted(const struct pcnet *c, const uint8_t *to, uint16_t *flags)
{
    uint16_t mode = c->st->csr[MODE];

    *flags = 0;
    if (nic_is_broadcast(to) && !(mode & MODE_DRCVBC))
        *flags = D_BAM;
    else if (nic_is_multicast(to) && !nic_is_broadcast(to) && hash_match(c, to))
        *flags = D_LAFM;
    else if (is_ours(c, to) && !(mode & MODE_DRCVPA))
        *flags = D_PAM;
    return *flags || (mode & MODE_PROM);
}

/* Bytes that fit into the descriptors that are the chip's, as far as `enough`. Looks only: no trace is left. */
static uint32_t ring_takes(const struct pcnet *c, uint32_t enough)
{
    uint32_t length = ring_length(c, RCVRL), n = c->st->rx_at, room = 0;
    struct descriptor d;
    uint8_t bytes[16];

    for (uint32_t i = 0; i < length && room < enough; i++) {
        if (memory_read_bytes(&c->nic.dev->machine->memory, descriptor_at(c, BADR, n), bytes, wide(c) ? 16 : 8) != (wide(c) ? 16 : 8))
            break;
        unpack(c, bytes, &d);
        if (!(d.flags & D_OWN))
            break;
        room += d.count;
        n = (n + 1) % length;
    }
    return room;
}

/* Into the ring; what has no room is cut off, and the last descriptor says so. False: no descriptor is the chip's. */
static bool store_frame(struct pcnet *c, const uint8_t *bytes, size_t len, uint16_t flags, bool broken)
{
    uint32_t length = ring_length(c, RCVRL);
    struct descriptor d, next = {.flags = D_OWN};
    size_t done = 0;

    if (!read_descriptor(c, BADR, c->st->rx_at, &d) || !(d.flags & D_OWN))
        return false;
    for (; done < len && (next.flags & D_OWN); d = next) {
        uint32_t at = c->st->rx_at;
        size_t n = len - done < d.count ? len - done : d.count;

        pci_dma_write(&c->pci, d.address, bytes + done, n);
        d.flags = (uint16_t)((d.flags & (wide(c) ? 0x000fu : 0)) | (done ? 0 : D_STP));
        done += n;
        c->st->rx_at = (uint16_t)((at + 1) % length);
        if (done == len) {
            d.flags |= (uint16_t)(D_ENP | (wide(c) ? flags : 0) | (broken ? D_ERR | D_CRC : 0));
            d.result = (uint32_t)len;
        } else if (!read_descriptor(c, BADR, c->st->rx_at, &next) || !(next.flags & D_OWN)) {
            d.flags |= D_ERR | D_BUFF | D_OFLO;
            next.flags = 0;
        }
        give_back(c, BADR, at, &d, done == len);
    }
    return true;
}

static void miss(struct pcnet *c)
{
    if (!++c->st->csr[MFC])
        c->st->csr[FEATURES] |= CSR4_MFCO;
    cause(c, CSR0_MISS);
}

/* Frames by length (802.3) that were filled up lose what was added, and the check sequence. */
static size_t strip(const struct pcnet *c, const uint8_t *frame, size_t len)
{
    unsigned length = get_be16(frame + 12);

    return (c->st->csr[FEATURES] & CSR4_ASTRP) && length < NIC_FRAME_MIN - 14 ? 14 + length : len;
}

static const char *refusal(const struct pcnet *c, const uint8_t *frame, size_t len, uint16_t *flags)
{
    if (!(c->st->csr[STATUS] & CSR0_RXON) || suspended(c))
        return "the receiver is off";
    if (len < 14)
        return "shorter than a header";
    if (len + FCS_BYTES > FRAME_MOST)
        return "longer than the receiver takes";
    return is_wanted(c, frame, flags) ? NULL : "not for this address";
}

/* `fcs`: as it came with the frame. */
static void receive(struct pcnet *c, const uint8_t *frame, size_t len, uint32_t fcs)
{
    uint8_t bytes[FRAME_MOST + FCS_BYTES] = {0};
    bool broken;
    uint16_t flags = 0;
    const char *why = refusal(c, frame, len, &flags);

    if (why) {
        nic_refuse(&c->nic, why);
        return;
    }
    memcpy(bytes, frame, len);
    if (len < NIC_FRAME_MIN)
        len = NIC_FRAME_MIN;
    broken = fcs != nic_check_sequence(bytes, len);
    put_le32(bytes + len, fcs);
    len = strip(c, bytes, len + FCS_BYTES);
    if (store_frame(c, bytes, len, flags, broken)) {
        cause(c, CSR0_RINT);
    } else {
        nic_refuse(&c->nic, "no buffer");
        miss(c);
    }
}

static void pcnet_input(struct device *dev, const struct event *e)
{
    uint8_t padded[NIC_FRAME_MIN] = {0};

    memcpy(padded, e->data, e->len < sizeof(padded) ? e->len : sizeof(padded));
    receive(dev->wiring, e->data, e->len, e->len < sizeof(padded) ? nic_check_sequence(padded, sizeof(padded)) : nic_check_sequence(e->data, e->len));
}

static size_t pcnet_room(const struct device *dev)
{
    const struct pcnet *c = dev->wiring;

    if (!(c->st->csr[STATUS] & CSR0_RXON) || suspended(c) || !(c->st->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
        return 0;
    return ring_takes(c, FRAME_USUAL) >= FRAME_USUAL ? SIZE_MAX : 0;
}

/* ---- sending ---- */

/* `own_fcs`: it comes with its check sequence; a frame with a wrong one is lost on the wire, and told of in loopback. */
static void transmit_frame(struct pcnet *c, uint8_t *frame, size_t len, bool own_fcs)
{
    bool loop = c->st->csr[MODE] & MODE_LOOP;
    uint8_t padded[NIC_FRAME_MIN] = {0};
    uint32_t fcs = 0;

    if (own_fcs) {
        if (len < FCS_BYTES)
            return;
        len -= FCS_BYTES;
        fcs = get_le32(frame + len);
        if (!loop && fcs != nic_check_sequence(frame, len))
            return;
    }
    if (len < NIC_FRAME_MIN) {
        memcpy(padded, frame, len);
        frame = padded;
        len = NIC_FRAME_MIN;
    }
    if (loop)
        receive(c, frame, len, own_fcs ? fcs : nic_check_sequence(frame, len));
    else
        nic_send(&c->nic, frame, len);
}

/* How many descriptors the next frame has; 0: its end is not the chip's yet. */
static uint32_t frame_descriptors(struct pcnet *c)
{
    uint32_t length = ring_length(c, XMTRL);
    struct descriptor d;

    for (uint32_t i = 0; i < length; i++) {
        if (!read_descriptor(c, BADX, (c->st->tx_at + i) % length, &d) || !(d.flags & D_OWN))
            return 0;
        if (d.flags & D_ENP)
            return i + 1;
    }
    return 0;
}

/* TINT, unless TOKINTD keeps successes to those that ask for it (LTINT). */
static bool tells(const struct pcnet *c, const struct descriptor *last)
{
    uint16_t extended = c->st->csr[EXTENDED];

    return !(extended & CSR5_TOKINTD) || ((extended & CSR5_LTINTEN) && (last->flags & T_LTINT));
}

static void send_frame(struct pcnet *c, uint32_t descriptors)
{
    uint32_t length = ring_length(c, XMTRL);
    struct descriptor d = {.flags = 0};
    bool own_fcs = false, fits = true, told = false;
    uint8_t *bytes = NULL;
    size_t len = 0;

    c->st->csr[FEATURES] |= CSR4_TXSTRT;
    for (uint32_t i = 0; i < descriptors && read_descriptor(c, BADX, c->st->tx_at, &d); i++) {
        if (i == 0)
            own_fcs = (c->st->csr[MODE] & MODE_DXMTFCS) && !(d.flags & T_ADD_FCS);
        fits = fits && len + d.count <= PACKET_MOST;
        if (fits) {
            bytes = xrealloc(bytes, len + d.count);
            pci_dma_read(&c->pci, d.address, bytes + len, d.count);
            len += d.count;
        }
        told = tells(c, &d);
        d.flags &= (uint16_t)~(D_OWN | T_RESULT);
        d.result = 0;
        give_back(c, BADX, c->st->tx_at, &d, d.flags & D_ENP);
        c->st->tx_at = (uint16_t)((c->st->tx_at + 1) % length);
    }
    if (fits && len)
        transmit_frame(c, bytes, len, own_fcs);
    free(bytes);
    cause(c, told ? CSR0_TINT : 0);
}

static void poll(struct pcnet *c)
{
    uint32_t length = ring_length(c, XMTRL), n;

    /* A descriptor that is never given back, where no memory answers, must not be sent for ever. */
    for (uint32_t done = 0; done < length && (c->st->csr[STATUS] & CSR0_TXON) && !suspended(c) && (n = frame_descriptors(c)) > 0; done += n)
        send_frame(c, n);
}

/* The next look at the ring that nobody asks for. */
static void set_poll(struct pcnet *c)
{
    uint32_t interval = 0x10000u - c->st->csr[TXPOLLINT];
    bool polls = (c->st->csr[STATUS] & CSR0_TXON) && !(c->st->csr[FEATURES] & CSR4_DPOLL) && !suspended(c);

    c->st->poll_at = polls ? machine_now(c->nic.dev->machine) + interval * 1000u / CLOCK_MHZ + 1 : VTIME_NEVER;
}

static vtime_t pcnet_deadline(const struct device *dev)
{
    const struct pcnet *c = dev->wiring;

    return c->st->poll_at;
}

static void pcnet_expire(struct device *dev, vtime_t now)
{
    struct pcnet *c = dev->wiring;

    (void)now;
    poll(c);
    set_poll(c);
}

/* ---- starting, stopping ---- */

static void set_length(struct pcnet *c, unsigned csr, unsigned log)
{
    c->st->csr[csr] = (uint16_t)(0u - (1u << (log < 9 ? log : 9)));
}

/* The initialization block (of 28 bytes, or 24 of the LANCE's). */
static void initialize(struct pcnet *c)
{
    uint32_t high = (uint32_t)(c->st->csr[IADR + 1] & 0xff00u) << 16;
    unsigned rlen, tlen, padr;
    uint8_t b[28] = {0};

    if (!pci_dma_read(&c->pci, pair(c, IADR), b, wide(c) ? 28 : 24))
        return;
    c->st->csr[MODE] = get_le16(b);
    rlen = wide(c) ? b[2] >> 4 : b[0x13] >> 5;
    tlen = wide(c) ? b[3] >> 4 : b[0x17] >> 5;
    padr = wide(c) ? 4 : 2;
    for (unsigned i = 0; i < 3; i++)
        c->st->csr[PADR + i] = get_le16(b + padr + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        c->st->csr[LADRF + i] = get_le16(b + (wide(c) ? 12 : 8) + 2 * i);
    set_pair(c, BADR, wide(c) ? get_le32(b + 20) & ~15u : high | (get_le32(b + 16) & 0xfffff8u));
    set_pair(c, BADX, wide(c) ? get_le32(b + 24) & ~15u : high | (get_le32(b + 20) & 0xfffff8u));
    set_length(c, RCVRL, rlen);
    set_length(c, XMTRL, tlen);
    c->st->csr[LENGTHS] = (uint16_t)(tlen << 12 | rlen << 8);
    c->st->rx_at = c->st->tx_at = 0;
    c->st->csr[STATUS] = (uint16_t)((c->st->csr[STATUS] & ~CSR0_STOP) | CSR0_INIT);
    cause(c, CSR0_IDON);
}

static void start(struct pcnet *c)
{
    uint16_t mode = c->st->csr[MODE], *status = &c->st->csr[STATUS];

    *status = (uint16_t)((*status & ~CSR0_STOP) | CSR0_STRT | (mode & MODE_DRX ? 0 : CSR0_RXON) | (mode & MODE_DTX ? 0 : CSR0_TXON));
    set_poll(c);
    machine_attention(c->nic.dev->machine); /* there may be room for what waits */
}

static void stop(struct pcnet *c)
{
    c->st->csr[STATUS] = CSR0_STOP;
    c->st->csr[FEATURES] &= (uint16_t)~(CSR4_CAUSES | CSR4_UINTCMD);
    c->st->csr[EXTENDED] &= (uint16_t)~(0x0010u | CSR5_SPND);
    c->st->poll_at = VTIME_NEVER;
    update_interrupt(c);
}

/* CSRs that such a reset does not affect: addresses (Linux's loopback test initializes by the same block afterwards). */
static const struct {
    uint8_t first, last;
} kept[] = {{IADR, IADR + 1}, {PADR, PADR + 2}, {18, 45}, {60, 67}};

static void software_reset(struct pcnet *c)
{
    uint16_t *csr = c->st->csr, old[CSRS];

    memcpy(old, csr, sizeof(old));
    memset(csr, 0, sizeof(c->st->csr));
    for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
        memcpy(csr + kept[i].first, old + kept[i].first, (kept[i].last - kept[i].first + 1u) * sizeof(*csr));
    csr[STATUS] = CSR0_STOP;
    csr[FEATURES] = CSR4_MASKS;
    csr[80] = 0x1410;
    csr[CHIP] = 0x1003;
    csr[CHIP + 1] = 0x0262;
    csr[100] = 0x0200;
    c->st->rap = c->st->rx_at = c->st->tx_at = 0;
    c->st->poll_at = VTIME_NEVER;
    update_interrupt(c);
}

/* ---- CSRs and BCRs ---- */

static void write_status(struct pcnet *c, uint16_t value)
{
    uint16_t *status = &c->st->csr[STATUS];

    *status = (uint16_t)((*status & ~(value & CSR0_CAUSES) & ~CSR0_IENA) | (value & CSR0_IENA));
    if (value & CSR0_STOP) {
        stop(c);
        return;
    }
    if ((value & CSR0_INIT) && !(*status & CSR0_INIT))
        initialize(c);
    if ((value & CSR0_STRT) && !(*status & CSR0_STRT))
        start(c);
    if (value & CSR0_TDMD)
        poll(c);
    update_interrupt(c);
}

static void write_style(struct pcnet *c, uint16_t value)
{
    unsigned style = value & 0xffu;

    c->st->bcr[BCR_SWS] = (uint16_t)((value & 0x04ffu) | (style >= 1 && style <= 3 ? SWS_SIZE32 : 0) | (style == 1 ? 0 : SWS_CSRPCNET));
}

static void write_csr(struct pcnet *c, unsigned n, uint16_t value)
{
    uint16_t *csr = c->st->csr;
    bool stopped = (csr[STATUS] & CSR0_STOP) || suspended(c);

    switch (n) {
    case STATUS: write_status(c, value); return;
    case FEATURES:
        csr[n] = (uint16_t)((value & 0xfd15u) | (csr[n] & CSR4_CAUSES & ~value) | (value & CSR4_UINTCMD ? CSR4_UINT : 0));
        set_poll(c);
        break;
    case EXTENDED:
        csr[n] = (uint16_t)((value & 0xc56fu) | (csr[n] & CSR5_CAUSES & ~value));
        set_poll(c);
        machine_attention(c->nic.dev->machine);
        break;
    case 16: case 17: /* the same as IADR */
        if (stopped)
            csr[n - 15] = value;
        break;
    case STYLE:
        if (stopped)
            write_style(c, value);
        break;
    case RCVRC:
        if (stopped)
            c->st->rx_at = (uint16_t)((uint16_t)(value - csr[RCVRL]) % ring_length(c, RCVRL));
        break;
    case XMTRC:
        if (stopped)
            c->st->tx_at = (uint16_t)((uint16_t)(value - csr[XMTRL]) % ring_length(c, XMTRL));
        break;
    default:
        for (unsigned i = 0; i < ARRAY_LEN(csrs); i++)
            if (n >= csrs[i].first && n <= csrs[i].last && (csrs[i].always || stopped))
                csr[n] = value & csrs[i].bits;
        break;
    }
    if (n == RCVRL || n == XMTRL) /* the turn is one of the ring's */
        c->st->rx_at = (uint16_t)(c->st->rx_at % ring_length(c, RCVRL)), c->st->tx_at = (uint16_t)(c->st->tx_at % ring_length(c, XMTRL));
    update_interrupt(c);
}

static uint16_t read_csr(const struct pcnet *c, unsigned n)
{
    const uint16_t *csr = c->st->csr;

    switch (n) {
    case 16: case 17: return csr[n - 15];
    case 28: case 29: return (uint16_t)(descriptor_at(c, BADR, c->st->rx_at) >> (n == 29 ? 16 : 0)); /* CRDA */
    case 34: case 35: return (uint16_t)(descriptor_at(c, BADX, c->st->tx_at) >> (n == 35 ? 16 : 0)); /* CXDA */
    case STYLE: return c->st->bcr[BCR_SWS];
    case RCVRC: return (uint16_t)(csr[RCVRL] + c->st->rx_at);
    case XMTRC: return (uint16_t)(csr[XMTRL] + c->st->tx_at);
    default: return n < CSRS ? csr[n] : 0;
    }
}

static void write_bcr(struct pcnet *c, unsigned n, uint16_t value)
{
    if (n >= BCRS)
        return;
    if (n != BCR_SWS)
        c->st->bcr[n] = (uint16_t)((c->st->bcr[n] & ~bcrs[n].bits) | (value & bcrs[n].bits));
    else if ((c->st->csr[STATUS] & CSR0_STOP) || suspended(c))
        write_style(c, value);
}

/* LEDs say whether what they are for is so: here, that the link is up. */
static uint16_t read_bcr(const struct pcnet *c, unsigned n)
{
    uint16_t value = n < BCRS ? c->st->bcr[n] : 0;

    return n >= BCR_LNKST && n <= BCR_LED3 && (value & LED_LINK) ? value | LED_OUT : value;
}

/* ---- ports ---- */

enum { RDP, RAP, RESET, BDP };

static void write_register(struct pcnet *c, unsigned reg, uint16_t value)
{
    if (reg == RDP)
        write_csr(c, c->st->rap, value);
    else if (reg == RAP)
        c->st->rap = value & 0x7f;
    else if (reg == BDP)
        write_bcr(c, c->st->rap, value);
}

static uint16_t read_register(struct pcnet *c, unsigned reg)
{
    if (reg == RDP)
        return read_csr(c, c->st->rap);
    if (reg == RAP)
        return c->st->rap;
    if (reg == BDP)
        return read_bcr(c, c->st->rap);
    software_reset(c);
    return 0;
}

/* Of the PROM, anything; of the registers, what the mode prescribes: words, or double words. */
static uint64_t pcnet_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct pcnet *c = dev->wiring;
    unsigned each = c->st->bcr[BCR_BSBC] & BSBC_DWIO ? 4 : 2;
    uint64_t value = UINT64_MAX;

    (void)range;
    if (offset + size <= sizeof(c->st->aprom))
        return get_le(c->st->aprom + offset, size);
    if (offset < REGISTERS || offset + size > PORTS || size < each || offset % each)
        return value;
    for (unsigned i = 0; i < size && offset + i < REGISTERS + 4 * each; i += each)
        value = (value & ~(0xffffull << 8 * i)) | (uint64_t)read_register(c, (unsigned)(offset + i - REGISTERS) / each) << 8 * i;
    return each == 4 && size == 4 ? value & 0xffffu : value;
}

static void pcnet_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pcnet *c = dev->wiring;
    unsigned each = c->st->bcr[BCR_BSBC] & BSBC_DWIO ? 4 : 2;

    (void)range;
    if (offset + size <= sizeof(c->st->aprom)) {
        if (c->st->bcr[BCR_MC] & MC_APROMWE)
            put_le(c->st->aprom + offset, value, size);
        return;
    }
    if (offset < REGISTERS || offset + size > PORTS || size < each || offset % each)
        return;
    if (each == 2 && size == 4) {
        if (offset == REGISTERS) /* whoever writes so wants it so from now on, until a reset of the bus */
            c->st->bcr[BCR_BSBC] |= BSBC_DWIO;
        return;
    }
    for (unsigned i = 0; i < size && offset + i < REGISTERS + 4 * each; i += each)
        write_register(c, (unsigned)(offset + i - REGISTERS) / each, (uint16_t)(value >> 8 * i));
}

/* ---- the device ---- */

static void make_aprom(struct pcnet *c)
{
    uint8_t *p = c->st->aprom;
    uint16_t sum = 0;

    memset(p, 0, sizeof(c->st->aprom));
    memcpy(p, c->nic.mac, NIC_ADDRESS);
    p[9] = 0x11; /* hardware: PCI */
    p[14] = p[15] = 0x57;
    for (unsigned i = 0; i < sizeof(c->st->aprom); i++)
        sum = (uint16_t)(sum + p[i]);
    put_le16(p + 12, sum);
}

static void pcnet_reset(struct device *dev)
{
    struct pcnet *c = dev->wiring;

    pci_function_reset(&c->pci);
    for (unsigned n = 0; n < BCRS; n++)
        c->st->bcr[n] = bcrs[n].reset;
    make_aprom(c);
    memset(c->st->csr, 0, sizeof(c->st->csr)); /* by the bus: nothing is kept */
    for (unsigned i = 0; i < 3; i++)
        c->st->csr[PADR + i] = get_le16(c->nic.mac + 2 * i);
    software_reset(c);
}

static bool pcnet_possible(const struct device *dev)
{
    const struct pcnet *c = dev->wiring;

    return c->st->rap < CSRS;
}

static void pcnet_describe(const struct device *dev, struct buffer *b)
{
    const struct pcnet *c = dev->wiring;

    buffer_printf(b, "netdev %s, CSR0 %04x, style %u, receive ring %u at %u, transmit ring %u at %u, %u frames missed\n",
                  *dev->backend ? dev->backend : "none", c->st->csr[STATUS], c->st->bcr[BCR_SWS] & 0xffu, ring_length(c, RCVRL),
                  c->st->rx_at, ring_length(c, XMTRL), c->st->tx_at, c->st->csr[MFC]);
}

static const struct device_ops pcnet_ops = {
    .name = "pcnet",
    .state_size = sizeof(struct pcnet_state),
    .possible = pcnet_possible,
    .reset = pcnet_reset,
    .deadline = pcnet_deadline,
    .expire = pcnet_expire,
    .input = pcnet_input,
    .input_room = pcnet_room,
    .describe = pcnet_describe,
    .read = pcnet_read,
    .write = pcnet_write,
};

const struct option_key pcnet_keys[] = {NIC_KEYS, {NULL, NULL}};

int pcnet_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1022, .device = 0x2000, .class_code = 0x020000, .revision = 0x16, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &pcnet_ops, name, sizeof(struct pcnet));
    struct pcnet *c = dev->wiring;

    (void)d;
    c->st = dev->state;
    if (nic_init(&c->nic, s, dev, props, err) < 0)
        return err->code;
    pci_function_init(&c->pci, s->pci, devfn, dev, c->st->config, &id);
    put_le16(c->pci.reset + PCI_STATUS, 0x0280);
    c->pci.reset[PCI_MIN_GRANT] = 0x06;
    c->pci.reset[PCI_MAX_LATENCY] = 0xff;
    pci_add_bar(&c->pci, 0, PCI_BAR_IO, false, PORTS, 0);
    pci_add_bar(&c->pci, 1, PCI_BAR_MEMORY, false, PORTS, 0);
    nic_boots(s, &c->pci);
    return 0;
}
