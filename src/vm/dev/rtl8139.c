/*
 * The Realtek RTL8139C+ (RTL8139C+ data sheet; RTL8139C data sheet and programming guide; names of registers and bits by
 * them), or with chip=c an RTL8139C, which is the same without C+ mode: receive ring and four transmit descriptors of C mode, descriptor
 * rings of C+ mode (two for transmission) with checksums, segmentation of TCP and VLAN tags, tally counters, filters by address and
 * hash, the EEPROM pin by pin, MII registers, the timer, loopback.
 *
 * Registers lie in `r` as they are read; fields[] says which bits of them a guest writes. One that is written in part keeps its other
 * bytes. What is sent goes out, and is done, when the chip is told of it. A frame from outside waits in the host until the ring has room.
 *
 * Not modelled: early interrupts and thresholds, interrupt mitigation, wake-up and power management (EEPROM and CONFIG1 say that it
 * is off; the wake-up registers only hold what is written), flash, the serial bits of the PHY's test registers, collisions and broken
 * frames (nobody sends one; their bits and counters stay 0), descriptors' limit of 64 in a ring: the ring ends where EOR says.
 */
#include "vm/dev/rtl8139.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/eeprom93.h"
#include "vm/dev/nic.h"
#include "vm/dev/nic_ip.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

#define REGISTER_BYTES 0x100u
#define CLOCK_MHZ      33u     /* of the timer: PCI's */
#define FCS_BYTES      4u

/* Registers. */
enum {
    IDR = 0x00, MAR = 0x08, TSD = 0x10, DTCCR = 0x10, TSAD = 0x20, TNPDS = 0x20, THPDS = 0x28, RBSTART = 0x30, CR = 0x37, CAPR = 0x38,
    CBR = 0x3a, IMR = 0x3c, ISR = 0x3e, TCR = 0x40, RCR = 0x44, TCTR = 0x48, MPC = 0x4c, CR9346 = 0x50, CONFIG0 = 0x51,
    CONFIG1 = 0x52, TIMERINT = 0x54, MSR = 0x58, CONFIG3 = 0x59, CONFIG4 = 0x5a, RERID = 0x5e, TSAD_STATUS = 0x60, BMCR = 0x62, BMSR = 0x64,
    CONFIG5 = 0xd8, TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4,
};

#define CR_BUFE   0x01u
#define CR_TE     0x04u
#define CR_RE     0x08u
#define CR_RST    0x10u
#define INT_ROK   0x0001u
#define INT_RER   0x0002u
#define INT_TOK   0x0004u
#define INT_RXOVW 0x0010u /* C+ mode: no receive descriptor is free */
#define INT_TDU   0x0080u
#define INT_SW    0x0100u
#define INT_TIME  0x4000u
#define INT_SERR  0x8000u
#define INT_BITS  0xe1ffu
#define TSD_OWN   0x00002000u
#define TSD_TOK   0x00008000u
#define TSD_TUN   0x00004000u
#define TSD_TABT  0x40000000u
#define TSD_GIVEN 0x003f1fffu /* what the driver says: threshold, size */
#define TCR_CRC   0x00010000u /* the driver appends the check sequence */
#define TCR_LBK   0x00060000u
#define RCR_AAP   0x01u
#define RCR_APM   0x02u
#define RCR_AM    0x04u
#define RCR_AB    0x08u
#define RCR_WRAP  0x80u
#define EEM_LOAD  0x40u
#define EEM_PROGRAM 0x80u
#define EEM_WRITE 0xc0u
#define EE_BITS   0x0eu /* EECS, EESK, EEDI */
#define EEDO      0x01u
#define EEDI      0x02u
#define EESK      0x04u
#define EECS      0x08u
#define BMCR_RESET   0x8000u
#define BMCR_RESTART 0x0200u
#define BMCR_LOCKED  0x3100u
#define DTCCR_CMD 0x08u
#define POLL_HIGH 0x80u
#define POLL_NORMAL 0x40u
#define POLL_SWINT  0x01u
#define CPCR_TX   0x01u
#define CPCR_RX   0x02u
#define CPCR_CHECK 0x20u
#define CPCR_VLAN 0x40u

/* C mode: what stands before each frame in the ring. */
#define HEAD_ROK 0x0001u
#define HEAD_BAR 0x2000u
#define HEAD_PAM 0x4000u
#define HEAD_MAR 0x8000u
#define HEAD_BYTES 4u

/* C+ mode: descriptors of 16 bytes. */
#define DESC_BYTES 16u
#define DESC_OWN  0x80000000u
#define DESC_EOR  0x40000000u
#define DESC_FS   0x20000000u
#define DESC_LS   0x10000000u
#define TX_LGSEN  0x08000000u
#define TX_IPCS   0x00040000u
#define TX_UDPCS  0x00020000u
#define TX_TCPCS  0x00010000u
#define TX_RESULT 0x03ff0000u /* gone when it was sent: errors and collisions, none */
#define TX_TAGC   0x00020000u /* in the second word */
#define RX_MAR    0x04000000u
#define RX_PAM    0x02000000u
#define RX_BAR    0x01000000u
#define RX_PID_TCP 0x00010000u
#define RX_PID_UDP 0x00020000u
#define RX_PID_IP 0x00030000u
#define RX_IPF    0x00008000u
#define RX_UDPF   0x00004000u
#define RX_TCPF   0x00002000u
#define RX_SIZE   0x1fffu
#define RX_TAVA   0x00010000u /* in the second word */

#define FRAME_USUAL 1522u   /* with a tag and check sequence: for less room nothing is taken */
#define FRAME_MOST  4096u   /* longer ones are errors */
#define PACKET_MOST 0x10000u /* of one transmission */
/* Rings may have no end. */
#define DESCRIPTORS_MOST 1024u /* in one frame; looked at for one poll, */
#define FRAMES_MOST 4096u      /* and frames sent for it; what is left waits for the next */

/* What guests write. Of `len` bytes at `at`, registers of `unit` bytes each: bits, and what a hardware reset makes of each. */
static const struct field {
    uint8_t at, len, unit;
    uint8_t flags;
    uint32_t bits, reset;
} fields[] = {
#define LOCKED  1u /* written only with EEM saying so */
#define KEPT    2u /* over a software reset */
#define PLUS    4u /* of the C+ only */
    {IDR, 6, 1, KEPT, 0xff, 0}, {MAR, 8, 4, KEPT, 0xffffffff, 0}, {TSD, 16, 4, 0, 0xffffffff, TSD_OWN}, {TSAD, 16, 4, 0, 0xffffffff, 0},
    {RBSTART, 4, 4, 0, 0xffffffff, 0}, {CR, 1, 1, 0, CR_TE | CR_RE, 0}, {CAPR, 2, 2, 0, 0xffff, 0xfff0}, {CBR, 2, 2, 0, 0, 0},
    {IMR, 2, 2, 0, INT_BITS, 0}, {ISR, 2, 2, 0, 0, 0}, {TCR, 4, 4, 0, 0x030707f0, 0x03000000}, {RCR, 4, 4, 0, 0x0f03ffbf, 0},
    {TCTR, 4, 4, KEPT, 0, 0}, {MPC, 4, 4, 0, 0, 0}, {CR9346, 1, 1, 0, 0xce, 0}, {CONFIG0, 1, 1, KEPT | LOCKED, 0x07, 0},
    {CONFIG1, 1, 1, KEPT | LOCKED, 0xf3, 0x0c}, {TIMERINT, 4, 4, 0, 0xffffffff, 0}, {MSR, 1, 1, KEPT, 0xc0, 0xd0},
    {CONFIG3, 1, 1, KEPT | LOCKED, 0x70, 0x01}, {CONFIG4, 1, 1, KEPT | LOCKED, 0xf5, 0}, {0x5c, 2, 2, 0, 0x0fff, 0}, /* ... MULINT */
    {RERID, 1, 1, 0, 0, 0x10}, {BMCR, 2, 2, KEPT, 0x3100, 0x1100}, {BMSR, 2, 2, KEPT, 0, 0x782d}, /* RERID... */
    {0x66, 2, 2, KEPT, 0xffff, 0x05e1}, {0x68, 2, 2, KEPT, 0, 0x45e1}, {0x6a, 2, 2, KEPT, 0, 0x0001}, /* ANAR, ANLPAR, ANER */
    {0x6c, 2, 2, KEPT, 0, 0}, {0x6e, 2, 2, KEPT, 0, 0}, {0x70, 2, 2, KEPT, 0x0080, 0}, {0x72, 2, 2, KEPT, 0, 0}, /* DIS... REC */
    {0x74, 4, 4, KEPT, 0x0000bfff, 0x000007c0}, {0x78, 4, 4, KEPT, 0xffffffff, 0}, {0x7c, 4, 4, KEPT, 0xffffffff, 0}, /* CSCR... */
    {0x80, 1, 1, KEPT, 0xff, 0}, {0x84, 80, 4, KEPT, 0xffffffff, 0}, {0xd4, 4, 4, KEPT, 0, 0}, /* PHY2_PARM, wake-up, FLASH */
    {CONFIG5, 1, 1, KEPT, 0x7f, 0}, {TPPOLL, 1, 1, PLUS, 0, 0}, {CPCR, 2, 2, PLUS, 0x007b, 0}, {0xe2, 2, 2, PLUS, 0xffff, 0},
    {RDSAR, 8, 4, PLUS, 0xffffffff, 0}, {0xec, 1, 1, PLUS, 0x3f, 0}, /* ... ETThR */
};

/* HWVERID in TCR. */
#define VERSION_C      0x74000000u
#define VERSION_C_PLUS 0x74800000u

DEVICE_STATE_BEGIN
struct rtl8139_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t r[REGISTER_BYTES];  /* registers */
    struct eeprom93_state eeprom;
    uint64_t timer_base;        /* virtual time at which TCTR was 0 */
    uint64_t timer_at;          /* when it reaches TimerInt; VTIME_NEVER */
    /* Tally counters. */
    uint64_t tx_ok, rx_ok, rx_physical, rx_broadcast;
    uint32_t rx_error, rx_multicast, missed;
    uint32_t tx_next;           /* C mode: which of the four descriptors is next */
    uint32_t rx_at;             /* C+ mode: of which descriptor of the ring is the turn */
    uint32_t tx_at[2];          /* of the rings for normal and for high priority */
    uint32_t loaded;            /* the EEPROM holds what the factory put there, or what was written since */
};
DEVICE_STATE_END

/* Wiring. */
struct rtl8139 {
    struct nic nic;             /* first */
    struct pci_function pci;
    struct rtl8139_state *st;
    bool plus;                  /* an RTL8139C+ */
    unsigned frames;            /* sent for the poll that is under way */
};

static uint32_t reg(const struct rtl8139 *c, unsigned at, unsigned size)
{
    return (uint32_t)get_le(c->st->r + at, size);
}

static void set_reg(struct rtl8139 *c, unsigned at, unsigned size, uint32_t value)
{
    put_le(c->st->r + at, value, size);
}

static bool plus_mode(const struct rtl8139 *c, unsigned bit)
{
    return c->plus && (reg(c, CPCR, 2) & bit);
}

/* ---- interrupts, the timer ---- */

static void update_interrupt(struct rtl8139 *c)
{
    pci_set_intx(&c->pci, (reg(c, ISR, 2) & reg(c, IMR, 2)) != 0);
}

static void cause(struct rtl8139 *c, uint32_t bits)
{
    set_reg(c, ISR, 2, reg(c, ISR, 2) | bits);
    update_interrupt(c);
}

/* Ticks since TCTR was 0; it shows 32 bits of them. */
static uint64_t ticks(const struct rtl8139 *c, vtime_t now)
{
    return (now - c->st->timer_base) * CLOCK_MHZ / 1000u;
}

static void set_timer(struct rtl8139 *c, vtime_t now)
{
    uint64_t wanted = reg(c, TIMERINT, 4), at = ticks(c, now), next = (at & ~0xffffffffull) | wanted;

    c->st->timer_at = VTIME_NEVER;
    if (!wanted)
        return;
    if (next <= at)
        next += 1ull << 32;
    next = c->st->timer_base + (next * 1000u + CLOCK_MHZ - 1) / CLOCK_MHZ;
    c->st->timer_at = next > now ? next : now + 1;
}

static vtime_t rtl8139_deadline(const struct device *dev)
{
    const struct rtl8139 *c = dev->wiring;

    return c->st->timer_at;
}

static void rtl8139_expire(struct device *dev, vtime_t now)
{
    struct rtl8139 *c = dev->wiring;

    cause(c, INT_TIME);
    set_timer(c, now);
}

/* ---- receiving ---- */

struct arrival {
    uint32_t head;   /* C mode: status in the ring */
    uint32_t status; /* C+ mode: status in the descriptor */
};

static bool is_wanted(struct rtl8139 *c, const uint8_t *to, struct arrival *a)
{
    uint32_t rcr = reg(c, RCR, 4);
    unsigned hash = nic_hash(to, false);

    if (nic_is_broadcast(to)) {
        *a = (struct arrival){HEAD_BAR, RX_BAR};
        return rcr & RCR_AB;
    }
    if (nic_is_multicast(to)) {
        *a = (struct arrival){HEAD_MAR, RX_MAR};
        return (rcr & RCR_AM) && (c->st->r[MAR + hash / 8] >> hash % 8 & 1u);
    }
    if (!memcmp(to, c->st->r + IDR, NIC_ADDRESS)) {
        *a = (struct arrival){HEAD_PAM, RX_PAM};
        return rcr & (RCR_APM | RCR_AAP);
    }
    *a = (struct arrival){0, 0};
    return rcr & RCR_AAP;
}

static void miss(struct rtl8139 *c)
{
    set_reg(c, MPC, 4, (reg(c, MPC, 4) + 1) & 0xffffffu);
    c->st->missed++;
    cause(c, INT_RXOVW);
}

/* C mode. */
static uint32_t ring_bytes(const struct rtl8139 *c)
{
    return 0x2000u << (reg(c, RCR, 4) >> 11 & 3u);
}

static uint32_t ring_free(const struct rtl8139 *c)
{
    uint32_t size = ring_bytes(c), free = (reg(c, CAPR, 2) + 16 - reg(c, CBR, 2)) % size;

    return free ? free : size;
}

/* How much a frame of that length takes there, with header and check sequence. */
static uint32_t ring_takes(size_t len)
{
    return (uint32_t)(HEAD_BYTES + len + FCS_BYTES + 3) & ~3u;
}

/* From offset `at` of the ring on, past its end (WRAP) or around it. */
static void write_ring(struct rtl8139 *c, uint32_t at, const uint8_t *bytes, uint32_t len)
{
    uint32_t size = ring_bytes(c), first = len;
    uint64_t base = reg(c, RBSTART, 4);

    if ((!(reg(c, RCR, 4) & RCR_WRAP) || size == 0x10000u) && len > size - at)
        first = size - at;
    pci_dma_write(&c->pci, base + at, bytes, first);
    if (first < len)
        pci_dma_write(&c->pci, base, bytes + first, len - first);
}

/* `bytes`: with room for the header before the frame, and the check sequence behind it. */
static bool store_in_ring(struct rtl8139 *c, uint8_t *bytes, size_t len, const struct arrival *a)
{
    uint32_t at = reg(c, CBR, 2) % ring_bytes(c);

    if (ring_takes(len) >= ring_free(c))
        return false;
    put_le16(bytes, HEAD_ROK | a->head);
    put_le16(bytes + 2, (uint32_t)(len + FCS_BYTES));
    write_ring(c, at, bytes, (uint32_t)(HEAD_BYTES + len + FCS_BYTES));
    set_reg(c, CBR, 2, (at + ring_takes(len)) % ring_bytes(c));
    return true;
}

/* C+ mode. */
static uint64_t rx_descriptor(const struct rtl8139 *c, uint32_t n)
{
    return get_le64(c->st->r + RDSAR) + (uint64_t)n * DESC_BYTES;
}

/* Bytes that fit into the descriptors that are the chip's, as far as `enough`. Looks only: no trace is left. */
static uint32_t descriptors_take(const struct rtl8139 *c, uint32_t enough)
{
    const struct memory *mem = &c->nic.dev->machine->memory;
    uint32_t n = c->st->rx_at, room = 0, word;

    for (unsigned i = 0; i < DESCRIPTORS_MOST && room < enough; i++) {
        if (memory_read_bytes(mem, rx_descriptor(c, n), &word, 4) != 4 || !(word & DESC_OWN))
            break;
        room += word & RX_SIZE;
        n = word & DESC_EOR ? 0 : n + 1;
        if (n == c->st->rx_at)
            break;
    }
    return room;
}

/* What the chip finds of checksums. */
static uint32_t checked(const struct rtl8139 *c, const uint8_t *frame, size_t len)
{
    struct nic_ip ip;
    uint32_t status = RX_PID_IP;

    if (!plus_mode(c, CPCR_CHECK) || !nic_find_ip(frame, len, &ip))
        return 0;
    if (!ip.fragment && ip.protocol == IP_PROTOCOL_TCP)
        status = RX_PID_TCP | (nic_transport_checksum_holds(frame, &ip) ? 0 : RX_TCPF);
    else if (!ip.fragment && ip.protocol == IP_PROTOCOL_UDP)
        status = RX_PID_UDP | (nic_transport_checksum_holds(frame, &ip) ? 0 : RX_UDPF);
    return status | (nic_ip_checksum_holds(frame, &ip) ? 0 : RX_IPF);
}

static bool store_by_descriptors(struct rtl8139 *c, uint8_t *frame, size_t len, const struct arrival *a)
{
    struct rtl8139_state *s = c->st;
    uint32_t status = a->status | checked(c, frame, len), tag = 0;
    size_t done = 0;

    if (plus_mode(c, CPCR_VLAN) && len >= 18 && get_be16(frame + 12) == 0x8100u) {
        tag = RX_TAVA | get_le16(frame + 14);
        memmove(frame + 12, frame + 16, len + FCS_BYTES - 16);
        len -= 4;
    }
    len += FCS_BYTES;
    if (descriptors_take(c, (uint32_t)len) < len)
        return false;
    for (unsigned i = 0; i < DESCRIPTORS_MOST && done < len; i++) { /* what is written may change descriptors */
        uint64_t at = rx_descriptor(c, s->rx_at);
        uint32_t first = done ? 0 : DESC_FS, word, n;
        uint8_t d[DESC_BYTES];

        if (!pci_dma_read(&c->pci, at, d, sizeof(d)))
            return false;
        word = get_le32(d);
        n = (word & RX_SIZE) < len - done ? word & RX_SIZE : (uint32_t)(len - done);
        pci_dma_write(&c->pci, get_le64(d + 8), frame + done, n);
        done += n;
        put_le32(d, (word & DESC_EOR) | first | (done == len ? DESC_LS | status | (uint32_t)len : n));
        put_le32(d + 4, tag);
        pci_dma_write(&c->pci, at, d, 8);
        s->rx_at = word & DESC_EOR ? 0 : s->rx_at + 1;
    }
    return true;
}

static void count_received(struct rtl8139 *c, const struct arrival *a)
{
    struct rtl8139_state *s = c->st;

    s->rx_ok++;
    s->rx_physical += a->head == HEAD_PAM;
    s->rx_broadcast += a->head == HEAD_BAR;
    s->rx_multicast += a->head == HEAD_MAR;
}

static void receive(struct rtl8139 *c, const uint8_t *frame, size_t len)
{
    uint8_t bytes[HEAD_BYTES + FRAME_MOST + FCS_BYTES] = {0};
    struct arrival a;
    bool stored;

    if (!(reg(c, CR, 1) & CR_RE) || len < 14 || !is_wanted(c, frame, &a)) {
        nic_refuse(&c->nic, !(reg(c, CR, 1) & CR_RE) ? "the receiver is off" : len < 14 ? "shorter than a header" :
                   "not to an address that the driver asked for");
        return;
    }
    if (len + FCS_BYTES > FRAME_MOST) {
        nic_refuse(&c->nic, "longer than the receiver takes");
        c->st->rx_error++;
        cause(c, INT_RER);
        return;
    }
    memcpy(bytes + HEAD_BYTES, frame, len);
    if (len < NIC_FRAME_MIN)
        len = NIC_FRAME_MIN;
    put_le32(bytes + HEAD_BYTES + len, nic_check_sequence(bytes + HEAD_BYTES, len));
    stored = plus_mode(c, CPCR_RX) ? store_by_descriptors(c, bytes + HEAD_BYTES, len, &a) : store_in_ring(c, bytes, len, &a);
    if (!stored) {
        nic_refuse(&c->nic, "no buffer");
        miss(c);
        return;
    }
    count_received(c, &a);
    cause(c, INT_ROK);
}

static void rtl8139_input(struct device *dev, const struct event *e)
{
    receive(dev->wiring, e->data, e->len);
}

static size_t rtl8139_room(const struct device *dev)
{
    const struct rtl8139 *c = dev->wiring;
    bool room;

    if (!(reg(c, CR, 1) & CR_RE) || !(c->st->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
        return 0;
    room = plus_mode(c, CPCR_RX) ? descriptors_take(c, FRAME_USUAL) >= FRAME_USUAL : ring_takes(FRAME_USUAL) < ring_free(c);
    return room ? SIZE_MAX : 0;
}

/* ---- sending ---- */

static void transmit_frame(void *ctx, uint8_t *frame, size_t len)
{
    struct rtl8139 *c = ctx;
    uint8_t padded[NIC_FRAME_MIN] = {0};
    uint32_t tcr = reg(c, TCR, 4);

    c->frames++;
    if (tcr & TCR_CRC) { /* the frame comes with its check sequence: a wrong one is lost on the wire */
        if (len < FCS_BYTES || get_le32(frame + len - FCS_BYTES) != nic_check_sequence(frame, len - FCS_BYTES))
            return;
        len -= FCS_BYTES;
    }
    if (len < NIC_FRAME_MIN) {
        memcpy(padded, frame, len);
        frame = padded;
        len = NIC_FRAME_MIN;
    }
    if ((tcr & TCR_LBK) == TCR_LBK)
        receive(c, frame, len);
    else
        nic_send(&c->nic, frame, len);
}

/* C mode: the four descriptors, one after the other. */
static void transmit_slots(struct rtl8139 *c)
{
    uint8_t frame[TSD_OWN];

    for (;;) {
        unsigned at = TSD + 4 * c->st->tx_next;
        uint32_t status = reg(c, at, 4), len = status & (TSD_OWN - 1);

        if (!(reg(c, CR, 1) & CR_TE) || (status & TSD_OWN) || !pci_dma_read(&c->pci, reg(c, at + TSAD - TSD, 4), frame, len))
            return;
        transmit_frame(c, frame, len);
        c->st->tx_ok++;
        set_reg(c, at, 4, status | TSD_OWN | TSD_TOK);
        c->st->tx_next = (c->st->tx_next + 1) % 4;
        cause(c, INT_TOK);
    }
}

/* C+ mode. */
struct packet {
    uint8_t *bytes;
    size_t len;
    uint32_t command, tag; /* the first descriptor's words */
};

static void send_packet(struct rtl8139 *c, struct packet *p)
{
    bool ip_sum = p->command & TX_IPCS, udp = p->command & TX_UDPCS, tcp = p->command & TX_TCPCS;
    struct nic_ip ip;

    if ((p->tag & TX_TAGC) && p->len >= 12) {
        p->bytes = xrealloc(p->bytes, p->len + 4);
        memmove(p->bytes + 16, p->bytes + 12, p->len - 12);
        put_be16(p->bytes + 12, 0x8100);
        put_le16(p->bytes + 14, p->tag);
        p->len += 4;
    }
    if (p->command & TX_LGSEN) {
        if (nic_find_ip(p->bytes, p->len, &ip) && ip.protocol == IP_PROTOCOL_TCP &&
            nic_segment(p->bytes, &ip, p->command >> 16 & 0x7ffu, transmit_frame, c))
            return;
        ip_sum = udp = tcp = false;
    }
    if ((ip_sum || udp || tcp) && nic_find_ip(p->bytes, p->len, &ip)) {
        if (ip_sum)
            nic_put_ip_checksum(p->bytes, &ip);
        if (!ip.fragment && ((tcp && ip.protocol == IP_PROTOCOL_TCP) || (udp && ip.protocol == IP_PROTOCOL_UDP)))
            nic_put_transport_checksum(p->bytes, &ip);
    }
    transmit_frame(c, p->bytes, p->len);
}

static uint64_t tx_descriptor(const struct rtl8139 *c, unsigned ring, uint32_t n)
{
    return get_le64(c->st->r + (ring ? THPDS : TNPDS)) + (uint64_t)n * DESC_BYTES;
}

/* How many descriptors the next packet of the ring has; 0: its end is not the chip's yet. */
static unsigned packet_descriptors(struct rtl8139 *c, unsigned ring)
{
    uint32_t n = c->st->tx_at[ring], word;
    uint8_t d[DESC_BYTES];

    for (unsigned i = 1; i <= DESCRIPTORS_MOST; i++) {
        if (!pci_dma_read(&c->pci, tx_descriptor(c, ring, n), d, sizeof(d)))
            return 0;
        word = get_le32(d);
        if (get_le64(d + 8) == UINT64_MAX) { /* no memory answers there */
            cause(c, INT_SERR);
            return 0;
        }
        if (!(word & DESC_OWN))
            return 0;
        if (word & DESC_LS)
            return i;
        n = word & DESC_EOR ? 0 : n + 1;
        if (n == c->st->tx_at[ring])
            return 0;
    }
    return 0;
}

static void take_packet(struct rtl8139 *c, unsigned ring, unsigned descriptors)
{
    struct packet p = {.bytes = NULL};
    bool fits = true;

    for (unsigned i = 0; i < descriptors; i++) {
        uint64_t at = tx_descriptor(c, ring, c->st->tx_at[ring]);
        uint8_t d[DESC_BYTES];
        uint32_t word;
        size_t n;

        if (!pci_dma_read(&c->pci, at, d, sizeof(d)))
            break;
        word = get_le32(d);
        n = word & 0xffffu;
        if (i == 0) {
            p.command = word;
            p.tag = get_le32(d + 4);
        }
        fits = fits && p.len + n <= PACKET_MOST;
        if (fits) {
            p.bytes = xrealloc(p.bytes, p.len + n + 1);
            pci_dma_read(&c->pci, get_le64(d + 8), p.bytes + p.len, n);
            p.len += n;
        }
        put_le32(d, word & ~(DESC_OWN | TX_RESULT));
        pci_dma_write(&c->pci, at, d, 4);
        c->st->tx_at[ring] = word & DESC_EOR ? 0 : c->st->tx_at[ring] + 1;
    }
    if (fits && p.len)
        send_packet(c, &p);
    free(p.bytes);
    c->st->tx_ok++;
}

static void poll_ring(struct rtl8139 *c, unsigned ring)
{
    uint32_t causes = 0;
    unsigned n, done = 0;

    if (!(reg(c, CR, 1) & CR_TE) || !plus_mode(c, CPCR_TX))
        return;
    for (c->frames = 0; c->frames < FRAMES_MOST && done < DESCRIPTORS_MOST && (n = packet_descriptors(c, ring)) > 0; done += n) {
        take_packet(c, ring, n);
        causes |= INT_TOK;
    }
    cause(c, causes | (c->frames < FRAMES_MOST && done < DESCRIPTORS_MOST ? INT_TDU : 0));
}

/* ---- EEPROM, tally counters ---- */

/* Words of the EEPROM. */
enum { EE_ID, EE_VENDOR, EE_DEVICE, EE_SUBSYSTEM_VENDOR, EE_SUBSYSTEM, EE_LATENCY, EE_CONFIG3, EE_MAC, EE_CONFIG01 = 10,
       EE_CONFIG4 = 12, EE_CONFIG5 = 15 };
#define EE_VALID 0x8129u

static void make_eeprom(struct rtl8139 *c)
{
    uint16_t *w = c->st->eeprom.word;

    memset(w, 0, sizeof(c->st->eeprom.word));
    w[EE_ID] = EE_VALID;
    w[EE_VENDOR] = 0x10ec;
    w[EE_DEVICE] = 0x8139;
    w[EE_SUBSYSTEM_VENDOR] = 0x1af4;
    w[EE_SUBSYSTEM] = 0x1100;
    w[EE_LATENCY] = 0x4020; /* MXLAT, MNGNT */
    w[EE_CONFIG3] = 0x01d0; /* and MSR */
    for (unsigned i = 0; i < 3; i++)
        w[EE_MAC + i] = get_le16(c->nic.mac + 2 * i);
    w[EE_CONFIG01] = 0x0c00;
    c->st->loaded = 1;
}

/* What the chip takes from there by itself. */
static void load_eeprom(struct rtl8139 *c)
{
    const uint16_t *w = c->st->eeprom.word;

    if (w[EE_ID] != EE_VALID)
        return;
    for (unsigned i = 0; i < 3; i++)
        set_reg(c, IDR + 2 * i, 2, w[EE_MAC + i]);
    set_reg(c, CONFIG0, 1, w[EE_CONFIG01] & 0x07u);
    set_reg(c, CONFIG1, 1, (w[EE_CONFIG01] >> 8 & 0xf3u) | 0x0cu);
    set_reg(c, CONFIG3, 1, w[EE_CONFIG3] >> 8);
    set_reg(c, CONFIG4, 1, w[EE_CONFIG4] >> 8);
    set_reg(c, CONFIG5, 1, w[EE_CONFIG5] >> 8);
}

static void write_9346(struct rtl8139 *c, uint32_t value)
{
    uint32_t mode = value & EEM_WRITE;
    bool pins = mode == EEM_PROGRAM;

    eeprom93_pins(&c->st->eeprom, pins && (value & EECS), pins && (value & EESK), value & EEDI);
    if (mode == EEM_LOAD) {
        load_eeprom(c);
        mode = 0; /* done */
    }
    set_reg(c, CR9346, 1, mode | (pins ? value & EE_BITS : 0));
}

static void dump_tally(struct rtl8139 *c)
{
    const struct rtl8139_state *s = c->st;
    uint8_t t[64] = {0};

    put_le64(t, s->tx_ok);
    put_le64(t + 8, s->rx_ok);
    put_le32(t + 24, s->rx_error);
    put_le16(t + 28, s->missed);
    put_le64(t + 40, s->rx_physical);
    put_le64(t + 48, s->rx_broadcast);
    put_le32(t + 56, s->rx_multicast);
    pci_dma_write(&c->pci, get_le64(s->r + DTCCR) & ~63ull, t, sizeof(t));
}

/* ---- registers ---- */

static const struct field *field_at(const struct rtl8139 *c, unsigned at)
{
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        if (at >= fields[i].at && at - fields[i].at < fields[i].len)
            return (fields[i].flags & PLUS) && !c->plus ? NULL : &fields[i];
    return NULL;
}

/* By software, or (hard) by the bus. */
static void reset_registers(struct rtl8139 *c, bool hard)
{
    struct rtl8139_state *s = c->st;

    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        for (unsigned n = 0; n < fields[i].len && (hard || !(fields[i].flags & KEPT)); n += fields[i].unit)
            set_reg(c, fields[i].at + n, fields[i].unit, fields[i].reset);
    set_reg(c, TCR, 4, reg(c, TCR, 4) | (c->plus ? VERSION_C_PLUS : VERSION_C));
    set_reg(c, RERID, 1, c->st->config[PCI_REVISION]);
    s->tx_next = s->rx_at = s->tx_at[0] = s->tx_at[1] = 0;
    s->timer_at = VTIME_NEVER;
    update_interrupt(c);
}

static void write_tsd(struct rtl8139 *c, unsigned at, uint32_t value)
{
    uint32_t was = reg(c, at, 4);

    if (plus_mode(c, CPCR_TX | CPCR_RX)) {
        if (at >= DTCCR + 8)
            return;
        set_reg(c, at, 4, value);
        if (at == DTCCR && (value & DTCCR_CMD)) {
            dump_tally(c);
            set_reg(c, at, 4, value & ~DTCCR_CMD);
        }
        return;
    }
    if (value & TSD_OWN) { /* nothing to send: it only says how */
        set_reg(c, at, 4, (was & ~TSD_GIVEN) | (value & TSD_GIVEN));
        return;
    }
    set_reg(c, at, 4, value & TSD_GIVEN);
    transmit_slots(c);
}

static void write_cr(struct rtl8139 *c, uint32_t value)
{
    if (value & CR_RST)
        reset_registers(c, false);
    else
        set_reg(c, CR, 1, value & (CR_TE | CR_RE));
    if (!plus_mode(c, CPCR_TX))
        transmit_slots(c);
    machine_attention(c->nic.dev->machine); /* there may be room for what waits */
}

static void write_bmcr(struct rtl8139 *c, uint32_t value)
{
    uint32_t locked = (reg(c, CR9346, 1) & EEM_WRITE) == EEM_WRITE ? 0 : BMCR_LOCKED;

    if (value & BMCR_RESET)
        value = 0x1100;
    /* Negotiation, which RESTART asks for, is over at once. */
    set_reg(c, BMCR, 2, (reg(c, BMCR, 2) & locked) | (value & BMCR_LOCKED & ~locked));
}

static void write_poll(struct rtl8139 *c, uint32_t value)
{
    if (value & POLL_SWINT)
        cause(c, INT_SW);
    if (value & POLL_HIGH)
        poll_ring(c, 1);
    if (value & POLL_NORMAL)
        poll_ring(c, 0);
}

/* Registers with bits that only hold. */
static void write_plain(struct rtl8139 *c, const struct field *f, unsigned at, uint32_t value)
{
    if ((f->flags & LOCKED) && (reg(c, CR9346, 1) & EEM_WRITE) != EEM_WRITE)
        return;
    set_reg(c, at, f->unit, (reg(c, at, f->unit) & ~f->bits) | (value & f->bits));
    if (at == TNPDS)
        c->st->tx_at[0] = 0;
    else if (at == THPDS)
        c->st->tx_at[1] = 0;
    else if (at == RDSAR)
        c->st->rx_at = 0;
    if (at == CAPR || at == RCR || at == CPCR)
        machine_attention(c->nic.dev->machine);
    update_interrupt(c);
}

/* A register, whole; `given`: the bits that were written, the others of `value` being what it held. */
static void write_field(struct rtl8139 *c, const struct field *f, unsigned at, uint32_t value, uint32_t given)
{
    vtime_t now = machine_now(c->nic.dev->machine);

    switch (f->at) {
    case TSD: write_tsd(c, at, value); return;
    case CR: write_cr(c, value); return;
    case ISR: set_reg(c, ISR, 2, reg(c, ISR, 2) & ~(value & given)); update_interrupt(c); return;
    case TCTR: c->st->timer_base = now; set_timer(c, now); return;
    case MPC: set_reg(c, MPC, 4, 0); return;
    case CR9346: write_9346(c, value); return;
    case BMCR: write_bmcr(c, value); return;
    case TPPOLL: write_poll(c, value); return;
    case TCR:
        if (reg(c, CR, 1) & CR_TE) /* it can only be changed then */
            write_plain(c, f, at, value);
        return;
    default: write_plain(c, f, at, value); break;
    }
    if (f->at == TIMERINT)
        set_timer(c, now);
}

static void write_registers(struct rtl8139 *c, unsigned offset, unsigned size, uint64_t bytes)
{
    for (unsigned at = offset, end = offset + size; at < end;) {
        const struct field *f = at < REGISTER_BYTES ? field_at(c, at) : NULL;
        uint32_t value, given = 0;
        unsigned first;

        if (!f) {
            at++;
            continue;
        }
        first = f->at + (at - f->at) / f->unit * f->unit;
        value = reg(c, first, f->unit);
        for (; at < end && at - first < f->unit; at++) {
            unsigned shift = 8 * (at - first);

            given |= 0xffu << shift;
            value = (value & ~(0xffu << shift)) | ((uint32_t)(bytes >> 8 * (at - offset)) & 0xffu) << shift;
        }
        write_field(c, f, first, value, given);
    }
}

/* TSAD: OWN, TABT, TUN and TOK of the four descriptors. */
static uint32_t all_statuses(const struct rtl8139 *c)
{
    uint32_t all = 0;

    for (unsigned n = 0; n < 4; n++) {
        uint32_t s = reg(c, TSD + 4 * n, 4);

        all |= (s & TSD_OWN ? 1u << n : 0) | (s & TSD_TABT ? 0x10u << n : 0) | (s & TSD_TUN ? 0x100u << n : 0) |
               (s & TSD_TOK ? 0x1000u << n : 0);
    }
    return all;
}

static uint8_t read_byte(const struct rtl8139 *c, unsigned at)
{
    uint32_t ring = ring_bytes(c);

    switch (at) {
    case CR:
        return (uint8_t)(reg(c, CR, 1) | ((reg(c, CAPR, 2) + 16 - reg(c, CBR, 2)) % ring ? 0 : CR_BUFE));
    case CR9346:
        return (uint8_t)(reg(c, CR9346, 1) | (c->st->eeprom.out ? EEDO : 0));
    case TCTR: case TCTR + 1: case TCTR + 2: case TCTR + 3:
        return (uint8_t)(ticks(c, machine_now(c->nic.dev->machine)) >> 8 * (at - TCTR));
    case TSAD_STATUS: case TSAD_STATUS + 1:
        return (uint8_t)(all_statuses(c) >> 8 * (at - TSAD_STATUS));
    default:
        return c->st->r[at];
    }
}

static uint64_t rtl8139_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct rtl8139 *c = dev->wiring;
    uint64_t value = UINT64_MAX;

    (void)range;
    for (unsigned i = 0; i < size; i++)
        if (offset + i < REGISTER_BYTES)
            value = (value & ~(0xffull << 8 * i)) | (uint64_t)read_byte(c, (unsigned)offset + i) << 8 * i;
    return value;
}

static void rtl8139_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)range;
    if (offset < REGISTER_BYTES)
        write_registers(dev->wiring, (unsigned)offset, size, value);
}

/* ---- the device ---- */

static void rtl8139_reset(struct device *dev)
{
    struct rtl8139 *c = dev->wiring;
    struct rtl8139_state *s = c->st;

    pci_function_reset(&c->pci);
    if (!s->loaded)
        make_eeprom(c);
    eeprom93_reset(&s->eeprom);
    s->tx_ok = s->rx_ok = s->rx_physical = s->rx_broadcast = 0;
    s->rx_error = s->rx_multicast = s->missed = 0;
    s->timer_base = machine_now(dev->machine);
    reset_registers(c, true);
    load_eeprom(c);
}

static bool rtl8139_possible(const struct device *dev)
{
    const struct rtl8139 *c = dev->wiring;

    return c->st->tx_next < 4;
}

static void rtl8139_describe(const struct device *dev, struct buffer *b)
{
    const struct rtl8139 *c = dev->wiring;

    buffer_printf(b, "netdev %s, %s mode%s%s, ", *dev->backend ? dev->backend : "none",
                  plus_mode(c, CPCR_TX | CPCR_RX) ? "C+" : "C", reg(c, CR, 1) & CR_RE ? ", receives" : "",
                  reg(c, CR, 1) & CR_TE ? ", transmits" : "");
    if (!plus_mode(c, CPCR_RX))
        buffer_printf(b, "receive ring %u bytes of %u free, ", ring_free(c), ring_bytes(c));
    buffer_printf(b, "ISR %04x, IMR %04x; %" PRIu64 " frames received, %" PRIu64 " sent, %u missed\n", reg(c, ISR, 2),
                  reg(c, IMR, 2), c->st->rx_ok, c->st->tx_ok, c->st->missed);
}

static const struct device_ops rtl8139_ops = {
    .name = "rtl8139",
    .state_size = sizeof(struct rtl8139_state),
    .possible = rtl8139_possible,
    .reset = rtl8139_reset,
    .deadline = rtl8139_deadline,
    .expire = rtl8139_expire,
    .input = rtl8139_input,
    .input_room = rtl8139_room,
    .describe = rtl8139_describe,
    .read = rtl8139_read,
    .write = rtl8139_write,
};

const struct option_key rtl8139_keys[] = {NIC_KEYS, {"chip", "c|c+"}, {NULL, NULL}};

int rtl8139_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err)
{
    static const char *const chips[] = {"c", "c+", NULL};
    struct pci_identity id = {.vendor = 0x10ec, .device = 0x8139, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                              .class_code = 0x020000, .pin = 1};
    struct device *dev;
    struct rtl8139 *c;
    unsigned chip = 1;

    (void)d;
    if (option_list_choice(props, "chip", chips, &chip, err) < 0)
        return err->code;
    dev = machine_add_owned_device(s->machine, &rtl8139_ops, name, sizeof(*c));
    c = dev->wiring;
    c->st = dev->state;
    c->plus = chip;
    if (nic_init(&c->nic, s, dev, props, err) < 0)
        return err->code;
    id.revision = c->plus ? 0x20 : 0x10;
    pci_function_init(&c->pci, s->pci, devfn, dev, c->st->config, &id);
    c->pci.reset[PCI_MIN_GRANT] = 0x20;
    c->pci.reset[PCI_MAX_LATENCY] = 0x40;
    pci_add_bar(&c->pci, 0, PCI_BAR_IO, false, REGISTER_BYTES, 0);
    pci_add_bar(&c->pci, 1, PCI_BAR_MEMORY, false, REGISTER_BYTES, 0);
    nic_boots(s, &c->pci);
    return 0;
}
