/*
 * Cards with a DP8390D (National Semiconductor's data sheet; names of registers and bits by it) and 32 KiB of memory of
 * their own behind it, as on a Novell NE2000:
 *
 *   ne2k_isa   an NE2000, at 20h I/O ports with an interrupt of the ISA bus (iobase, irq)
 *   ne2k_pci   an RTL8029AS, the same as a PCI function with identification and configuration in pages 0 and 3
 *
 * Ports 00h-0Fh are the DP8390D's registers, in pages by CR; at 10h-17h a word or (DCR.WTS) a byte of a remote DMA is read or
 * written; reading one of 18h-1Fh resets the DP8390D. It sees the address PROM at 0000h (each byte twice) and the memory at
 * 4000h-BFFFh; nothing answers elsewhere (ones).
 *
 * What is sent goes out, and is done, when TXP is written. A frame from outside waits in the host until the ring has room, while
 * the chip is stopped, and in loopback; and until the driver is done with the one before. On a cable of 10 Mbit/s frames do not come
 * faster than a driver reads them, and drivers count on that: Linux's reads nine and then says that all were received, and those
 * behind them would lie in the ring until another one came.
 *
 * Not modelled: collisions, broken frames and what counts them (nobody sends one); in loopback, what the receiver would put
 * into the FIFO (it reads as 0); ATD; the RTL8029AS's EEPROM by its pins.
 */
#include "vm/dev/ne2000.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/nic.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

#define PORTS        0x20u
#define PCI_PORTS    0x100u
#define DATA_PORT    0x10u
#define RESET_PORT   0x18u
#define RAM_START    0x4000u
#define RAM_BYTES    0x8000u
#define PROM_BYTES   0x20u
#define HEADER_BYTES 4u
#define FCS_BYTES    4u
#define FRAME_USUAL  1522u  /* with tag and check sequence; for less room nothing is taken */
#define FRAME_MOST   0x8000u
#define USUAL_PORT   0x300u
#define USUAL_IRQ    9u

/* Registers of page 0 when read; CR is in each page. */
enum { CR, CLDA0, CLDA1, BNRY, TSR, NCR, FIFO, ISR, CRDA0, CRDA1, ID0, ID1, RSR, CNTR0, CNTR1, CNTR2 };
/* When written. */
enum { PSTART = 1, PSTOP, W_BNRY, TPSR, TBCR0, TBCR1, W_ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR };
/* Page 1; of page 2 what is not as page 0 is written; of page 3. */
enum { PAR0 = 1, CURR = 7, MAR0 = 8 };
enum { NEXT_REMOTE = 3, NEXT_LOCAL = 5, COUNTER_HIGH, COUNTER_LOW };
enum { CR9346 = 1, CONFIG0 = 3, CONFIG2 = 5, CONFIG3, ASID0 = 14, ASID1 };

#define CR_STP 0x01u
#define CR_STA 0x02u
#define CR_TXP 0x04u
#define CR_RD  0x38u
#define RD_READ  0x08u
#define RD_WRITE 0x10u
#define RD_SEND  0x18u
#define RD_ABORT 0x20u
#define ISR_PRX 0x01u
#define ISR_PTX 0x02u
#define ISR_OVW 0x10u
#define ISR_CNT 0x20u
#define ISR_RDC 0x40u
#define ISR_RST 0x80u
#define DCR_WTS 0x01u
#define DCR_BOS 0x02u
#define TCR_CRC 0x01u
#define TCR_LB  0x06u
#define TSR_PTX 0x01u
#define RSR_PRX 0x01u
#define RSR_CRC 0x02u
#define RSR_MPA 0x10u
#define RSR_PHY 0x20u
#define RSR_DIS 0x40u
#define RCR_AB  0x04u
#define RCR_AM  0x08u
#define RCR_PRO 0x10u
#define RCR_MON 0x20u
#define EEM     0xc0u /* all set: configuration can be written */

DEVICE_STATE_BEGIN
struct ne2000_state {
    uint8_t ram[RAM_BYTES];
    uint16_t tbcr, rsar, rbcr; /* as written; RBCR counts down */
    uint16_t crda, clda;       /* addresses of the remote and the local DMA */
    uint8_t cr, isr, imr, rcr, tcr, dcr, tsr, rsr;
    uint8_t pstart, pstop, bnry, tpsr, curr;
    uint8_t next_remote;       /* page after the packet that RD_SEND transfers */
    uint8_t par[NIC_ADDRESS], mar[8];
    uint8_t counter[3];
    uint8_t cr9346, config2, config3; /* of the RTL8029AS */
    uint8_t reserved[2];
};

struct ne2k_pci_state {
    struct ne2000_state core;
    uint8_t config[PCI_CONFIG_BYTES];
};
DEVICE_STATE_END

/* Wiring. */
struct ne2000 {
    struct nic nic;            /* first */
    struct pci_function pci;   /* of ne2k_pci, */
    struct line irq;           /* and of ne2k_isa */
    struct ne2000_state *st;
    bool on_pci;
};

/* ---- interrupts ---- */

static void update_interrupt(struct ne2000 *c)
{
    bool level = c->st->isr & c->st->imr & ~ISR_RST;

    if (c->on_pci)
        pci_set_intx(&c->pci, level);
    else
        line_set(&c->irq, level);
}

static void cause(struct ne2000 *c, unsigned bits)
{
    c->st->isr |= (uint8_t)bits;
    update_interrupt(c);
}

/* ---- the card's memory ---- */

static uint8_t prom_byte(const struct ne2000 *c, unsigned at)
{
    unsigned n = at / 2;

    return n < NIC_ADDRESS ? c->nic.mac[n] : n >= 14 ? 0x57 : 0; /* W: it has 16 data lines */
}

static uint8_t load(const struct ne2000 *c, uint16_t at)
{
    if (at < PROM_BYTES)
        return prom_byte(c, at);
    return at >= RAM_START && at - RAM_START < RAM_BYTES ? c->st->ram[at - RAM_START] : 0xff;
}

static void store(struct ne2000 *c, uint16_t at, uint8_t value)
{
    if (at >= RAM_START && at - RAM_START < RAM_BYTES)
        c->st->ram[at - RAM_START] = value;
}

/* One address further in the ring. */
static uint16_t after(const struct ne2000_state *s, uint16_t at, unsigned n)
{
    at = (uint16_t)(at + n);
    return at == s->pstop << 8 ? (uint16_t)(s->pstart << 8) : at;
}

static uint8_t next_page(const struct ne2000_state *s, uint8_t page)
{
    return (uint8_t)(after(s, (uint16_t)(page << 8), 256) >> 8);
}

/* ---- remote DMA ---- */

static bool remote_active(const struct ne2000_state *s, bool write)
{
    unsigned rd = s->cr & CR_RD;

    return s->rbcr && (write ? rd == RD_WRITE : rd == RD_READ || rd == RD_SEND);
}

/* So many bytes were transferred. */
static void remote_advance(struct ne2000 *c, unsigned n)
{
    struct ne2000_state *s = c->st;

    s->crda = after(s, s->crda, n);
    s->rbcr = (uint16_t)(s->rbcr > n ? s->rbcr - n : 0);
    if (s->rbcr)
        return;
    if ((s->cr & CR_RD) == RD_SEND) {
        s->bnry = s->next_remote;
        machine_attention(c->nic.dev->machine); /* there may be room for what waits */
    }
    cause(c, ISR_RDC);
}

/* One transfer, of a word or a byte as DCR says. */
static unsigned remote_read(struct ne2000 *c)
{
    const struct ne2000_state *s = c->st;
    uint16_t at = s->crda;
    unsigned value = 0xffff;

    if (!remote_active(s, false))
        return value;
    if (s->dcr & DCR_WTS) {
        unsigned low = load(c, at & 0xfffeu), high = load(c, at | 1u);

        value = s->dcr & DCR_BOS ? low << 8 | high : high << 8 | low;
    } else {
        value = load(c, at);
    }
    remote_advance(c, s->dcr & DCR_WTS ? 2 : 1);
    return value;
}

static void remote_write(struct ne2000 *c, unsigned value)
{
    const struct ne2000_state *s = c->st;
    uint16_t at = s->crda;

    if (!remote_active(s, true))
        return;
    if (s->dcr & DCR_WTS) {
        store(c, at & 0xfffeu, (uint8_t)(s->dcr & DCR_BOS ? value >> 8 : value));
        store(c, at | 1u, (uint8_t)(s->dcr & DCR_BOS ? value : value >> 8));
    } else {
        store(c, at, (uint8_t)value);
    }
    remote_advance(c, s->dcr & DCR_WTS ? 2 : 1);
}

/* A packet from the ring, its header first: where it is and how long, the chip knows by itself. */
static void send_packet(struct ne2000_state *s, const struct ne2000 *c)
{
    uint16_t at = (uint16_t)(s->bnry << 8);

    s->crda = at;
    s->next_remote = load(c, (uint16_t)(at + 1));
    s->rbcr = (uint16_t)(load(c, (uint16_t)(at + 2)) | load(c, (uint16_t)(at + 3)) << 8);
}

/* ---- receiving ---- */

/* Pages from CURR on, before the boundary. */
static unsigned free_pages(const struct ne2000_state *s)
{
    unsigned n = 0;
    uint8_t page = s->curr;

    do {
        page = next_page(s, page);
        n++;
    } while (page != s->bnry && n < 256);
    return n;
}

static unsigned pages_for(size_t len)
{
    return (unsigned)(HEADER_BYTES + len + FCS_BYTES + 255) / 256;
}

static bool is_wanted(const struct ne2000_state *s, const uint8_t *to)
{
    unsigned hash = nic_hash(to, false);

    if (nic_is_broadcast(to))
        return s->rcr & RCR_AB;
    if (nic_is_multicast(to))
        return (s->rcr & RCR_AM) && (s->mar[hash / 8] >> hash % 8 & 1u);
    return (s->rcr & RCR_PRO) || !memcmp(to, s->par, NIC_ADDRESS);
}

static void miss(struct ne2000 *c)
{
    struct ne2000_state *s = c->st;

    s->rsr |= RSR_MPA;
    if (s->counter[2] < 192)
        s->counter[2]++;
    if (s->counter[2] >= 128)
        cause(c, ISR_CNT);
}

static void store_frame(struct ne2000 *c, const uint8_t *bytes, size_t len)
{
    struct ne2000_state *s = c->st;
    uint16_t at = (uint16_t)(s->curr << 8), count = (uint16_t)(len - HEADER_BYTES);

    for (size_t i = HEADER_BYTES; i < len; i++)
        store(c, at = after(s, at, i == HEADER_BYTES ? HEADER_BYTES : 1), bytes[i]);
    s->clda = after(s, at, 1);
    at = (uint16_t)(s->curr << 8);
    for (size_t done = 0; done < len; done += 256)
        s->curr = next_page(s, s->curr);
    store(c, at, s->rsr);
    store(c, (uint16_t)(at + 1), s->curr);
    store(c, (uint16_t)(at + 2), (uint8_t)count);
    store(c, (uint16_t)(at + 3), (uint8_t)(count >> 8));
}

static void receive(struct ne2000 *c, const uint8_t *frame, size_t len)
{
    struct ne2000_state *s = c->st;
    uint8_t bytes[HEADER_BYTES + FRAME_MOST + FCS_BYTES] = {0};

    if ((s->cr & CR_STP) || (s->tcr & TCR_LB)) {
        nic_refuse(&c->nic, "the card is stopped");
        return;
    }
    if (len < 14 || len > FRAME_MOST || !is_wanted(s, frame)) {
        nic_refuse(&c->nic, len < 14 ? "too short" : len > FRAME_MOST ? "too long" : "not for this address");
        return;
    }
    s->rsr = RSR_PRX | (nic_is_multicast(frame) ? RSR_PHY : 0);
    if (s->rcr & RCR_MON) {
        s->rsr |= RSR_DIS;
        miss(c);
        nic_refuse(&c->nic, "the receiver only monitors");
        return;
    }
    memcpy(bytes + HEADER_BYTES, frame, len);
    if (len < NIC_FRAME_MIN)
        len = NIC_FRAME_MIN;
    if (pages_for(len) >= free_pages(s)) {
        s->rsr &= (uint8_t)~RSR_PRX;
        miss(c);
        cause(c, ISR_OVW | ISR_RST);
        nic_refuse(&c->nic, "no room in the ring");
        return;
    }
    put_le32(bytes + HEADER_BYTES + len, nic_check_sequence(bytes + HEADER_BYTES, len));
    store_frame(c, bytes, HEADER_BYTES + len + FCS_BYTES);
    cause(c, ISR_PRX);
}

static void ne2000_input(struct device *dev, const struct event *e)
{
    receive(dev->wiring, e->data, e->len);
}

/* Has all that came in been read? (BNRY is at CURR, or the page before it: both are usual.) */
static bool ring_read(const struct ne2000_state *s)
{
    return s->curr == s->bnry || next_page(s, s->bnry) == s->curr;
}

static size_t ne2000_room(const struct device *dev)
{
    const struct ne2000 *c = dev->wiring;
    const struct ne2000_state *s = c->st;

    if ((s->cr & CR_STP) || (s->tcr & TCR_LB))
        return 0;
    /* By interrupts, that is when PRX has been cleared; who polls need never do that, and has read the ring empty. */
    if ((s->isr & ISR_PRX) && ((s->imr & ISR_PRX) || !ring_read(s)))
        return 0;
    return (s->rcr & RCR_MON) || free_pages(s) > pages_for(FRAME_USUAL) ? SIZE_MAX : 0;
}

/* ---- sending ---- */

/* What the status registers say when a frame has come back (data sheet, Loopback Modes): carrier sense and heartbeat are
 * not there within the chip; the receiver finds its own check sequence wrong, unless the frame brought it along. */
static void loop_back(struct ne2000_state *s)
{
    static const uint8_t tsr[] = {TSR_PTX, 0x53, 0x43, 0x03};

    s->tsr = tsr[(s->tcr & TCR_LB) >> 1];
    s->rsr = s->tcr & TCR_CRC ? RSR_PRX : RSR_CRC;
}

static void transmit(struct ne2000 *c)
{
    struct ne2000_state *s = c->st;
    uint8_t frame[0x10000] = {0};
    size_t len = s->tbcr;

    for (size_t i = 0; i < len; i++)
        frame[i] = load(c, (uint16_t)((s->tpsr << 8) + i));
    s->clda = (uint16_t)((s->tpsr << 8) + len);
    s->cr &= (uint8_t)~CR_TXP;
    s->tsr = TSR_PTX;
    if (s->tcr & TCR_LB) {
        loop_back(s);
        len = 0;
    } else if (s->tcr & TCR_CRC) { /* the frame comes with its check sequence: a wrong one is lost on the wire */
        len = len >= FCS_BYTES && get_le32(frame + len - FCS_BYTES) == nic_check_sequence(frame, len - FCS_BYTES) ? len - FCS_BYTES : 0;
    }
    if (len)
        nic_send(&c->nic, frame, len < NIC_FRAME_MIN ? NIC_FRAME_MIN : len);
    cause(c, ISR_PTX);
}

/* ---- registers ---- */

/* As the pin does it: what is not named keeps its contents. */
static void reset_chip(struct ne2000 *c)
{
    struct ne2000_state *s = c->st;

    s->cr = CR_STP | RD_ABORT;
    s->isr = ISR_RST;
    s->imr = 0;
    s->dcr = 0x04; /* LAS */
    s->tcr = 0;
    s->rbcr = 0;
    update_interrupt(c);
}

static void write_cr(struct ne2000 *c, uint8_t value)
{
    struct ne2000_state *s = c->st;
    unsigned rd = value & CR_RD;

    s->cr = (uint8_t)((value & ~CR_TXP) | (s->cr & CR_TXP));
    if (value & CR_STP)
        cause(c, ISR_RST);
    else if (value & CR_STA)
        s->isr &= (uint8_t)~ISR_RST;
    if (rd == RD_SEND)
        send_packet(s, c);
    if (rd && !(rd & RD_ABORT) && !s->rbcr)
        cause(c, ISR_RDC); /* nothing to be transferred is transferred */
    if ((value & CR_TXP) && !(value & CR_STP))
        transmit(c);
    machine_attention(c->nic.dev->machine);
}

static uint8_t take_counter(struct ne2000_state *s, unsigned n)
{
    uint8_t value = s->counter[n];

    s->counter[n] = 0;
    return value;
}

static uint8_t read_page_0(struct ne2000 *c, unsigned reg)
{
    struct ne2000_state *s = c->st;

    switch (reg) {
    case CLDA0: return (uint8_t)s->clda;
    case CLDA1: return (uint8_t)(s->clda >> 8);
    case BNRY:  return s->bnry;
    case TSR:   return s->tsr;
    case ISR:   return s->isr;
    case CRDA0: return (uint8_t)s->crda;
    case CRDA1: return (uint8_t)(s->crda >> 8);
    case ID0:   return c->on_pci ? 0x50 : 0xff;
    case ID1:   return c->on_pci ? 0x43 : 0xff;
    case RSR:   return s->rsr;
    case CNTR0: case CNTR1: case CNTR2: return take_counter(s, reg - CNTR0);
    default:    return 0; /* NCR, FIFO */
    }
}

static uint8_t read_page_2(const struct ne2000_state *s, unsigned reg)
{
    switch (reg) {
    case PSTART: return s->pstart;
    case PSTOP:  return s->pstop;
    case NEXT_REMOTE: return s->next_remote;
    case TPSR:   return s->tpsr;
    case NEXT_LOCAL: return next_page(s, s->curr);
    case COUNTER_HIGH: return (uint8_t)(s->clda >> 8);
    case COUNTER_LOW: return (uint8_t)s->clda;
    case RCR:    return s->rcr | 0xc0u;
    case TCR:    return s->tcr | 0xe0u;
    case DCR:    return s->dcr | 0x80u;
    case IMR:    return s->imr | 0x80u;
    default:     return 0xff;
    }
}

static uint8_t read_page_3(const struct ne2000 *c, unsigned reg)
{
    switch (c->on_pci ? reg : 0) {
    case CR9346:  return c->st->cr9346;
    case CONFIG0: return 0;
    case CONFIG2: return c->st->config2;
    case CONFIG3: return c->st->config3;
    case ASID0:   return 0x29;
    case ASID1:   return 0x80;
    default:      return 0xff;
    }
}

static uint8_t read_register(struct ne2000 *c, unsigned reg)
{
    const struct ne2000_state *s = c->st;

    if (reg == CR)
        return s->cr;
    switch (s->cr >> 6) {
    case 0:  return read_page_0(c, reg);
    case 1:  return reg < CURR ? s->par[reg - PAR0] : reg == CURR ? s->curr : s->mar[reg - MAR0];
    case 2:  return read_page_2(s, reg);
    default: return read_page_3(c, reg);
    }
}

static void set_half(uint16_t *reg, bool high, uint8_t value)
{
    *reg = (uint16_t)(high ? (*reg & 0x00ffu) | value << 8 : (*reg & 0xff00u) | value);
}

static void write_page_0(struct ne2000 *c, unsigned reg, uint8_t value)
{
    struct ne2000_state *s = c->st;

    switch (reg) {
    case PSTART: s->pstart = value; break;
    case PSTOP:  s->pstop = value; break;
    case W_BNRY:
        s->bnry = value;
        s->isr &= (uint8_t)~(s->cr & CR_STP ? 0 : ISR_RST); /* packets were removed */
        break;
    case TPSR:   s->tpsr = value; break;
    case TBCR0:
    case TBCR1:  set_half(&s->tbcr, reg == TBCR1, value); break;
    case W_ISR:  s->isr &= (uint8_t)(~value | ISR_RST); break;
    case RSAR0:
    case RSAR1:
        set_half(&s->rsar, reg == RSAR1, value);
        s->crda = s->rsar;
        break;
    case RBCR0:
    case RBCR1:  set_half(&s->rbcr, reg == RBCR1, value); break;
    case RCR:    s->rcr = value & 0x3f; break;
    case TCR:    s->tcr = value & 0x1f; break;
    case DCR:    s->dcr = value & 0x7f; break;
    default:     s->imr = value & 0x7f; break;
    }
    update_interrupt(c);
    machine_attention(c->nic.dev->machine);
}

/* For the manufacturer's tests. */
static void write_page_2(struct ne2000_state *s, unsigned reg, uint8_t value)
{
    if (reg == CLDA0 || reg == CLDA1)
        set_half(&s->clda, reg == CLDA1, value);
    else if (reg == NEXT_REMOTE)
        s->next_remote = value;
    else if (reg == COUNTER_HIGH || reg == COUNTER_LOW)
        set_half(&s->clda, reg == COUNTER_HIGH, value);
}

static void write_page_3(struct ne2000 *c, unsigned reg, uint8_t value)
{
    bool unlocked = (c->st->cr9346 & EEM) == EEM;

    if (!c->on_pci)
        return;
    if (reg == CR9346)
        c->st->cr9346 = value & 0xce;
    else if (reg == CONFIG2 && unlocked)
        c->st->config2 = value & 0xf0;
    else if (reg == CONFIG3 && unlocked)
        c->st->config3 = value & 0x76;
}

static void write_register(struct ne2000 *c, unsigned reg, uint8_t value)
{
    struct ne2000_state *s = c->st;

    if (reg == CR) {
        write_cr(c, value);
        return;
    }
    switch (s->cr >> 6) {
    case 0:
        write_page_0(c, reg, value);
        break;
    case 1:
        if (reg < CURR)
            s->par[reg - PAR0] = value;
        else if (reg == CURR)
            s->curr = value;
        else
            s->mar[reg - MAR0] = value;
        machine_attention(c->nic.dev->machine);
        break;
    case 2:
        write_page_2(s, reg, value);
        break;
    default:
        write_page_3(c, reg, value);
        break;
    }
}

/* ---- ports ---- */

/* Bytes of one transfer: a narrower access gets the lower half of a word. */
static unsigned transfer_bytes(const struct ne2000 *c, unsigned size)
{
    return (c->st->dcr & DCR_WTS) && size >= 2 ? 2 : 1;
}

static uint64_t read_data(struct ne2000 *c, unsigned size)
{
    unsigned each = transfer_bytes(c, size);
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i += each)
        value |= (uint64_t)(remote_read(c) & (each == 2 ? 0xffffu : 0xffu)) << 8 * i;
    return value;
}

static void write_data(struct ne2000 *c, unsigned size, uint64_t value)
{
    unsigned each = transfer_bytes(c, size);

    for (unsigned i = 0; i < size; i += each)
        remote_write(c, (unsigned)(value >> 8 * i) & (each == 2 ? 0xffffu : 0xffu));
}

static uint64_t ne2000_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct ne2000 *c = dev->wiring;
    uint64_t value = 0;

    (void)range;
    if (offset >= DATA_PORT && offset < RESET_PORT)
        return read_data(c, size);
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)offset + i, byte = 0xff;

        if (at < DATA_PORT)
            byte = read_register(c, at);
        else if (at < RESET_PORT)
            byte = (unsigned)read_data(c, 1);
        else if (at < PORTS)
            reset_chip(c);
        value |= (uint64_t)byte << 8 * i;
    }
    return value;
}

static void ne2000_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ne2000 *c = dev->wiring;

    (void)range;
    if (offset >= DATA_PORT && offset < RESET_PORT) {
        write_data(c, size, value);
        return;
    }
    for (unsigned i = 0; i < size && offset + i < RESET_PORT; i++)
        if (offset + i < DATA_PORT)
            write_register(c, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
        else
            write_data(c, 1, value >> 8 * i & 0xffu);
}

/* ---- the devices ---- */

static void ne2000_reset(struct device *dev)
{
    struct ne2000 *c = dev->wiring;

    if (c->on_pci)
        pci_function_reset(&c->pci);
    memset(c->st, 0, sizeof(*c->st));
    c->st->config3 = 0x40; /* full duplex */
    reset_chip(c);
}

static void ne2000_describe(const struct device *dev, struct buffer *b)
{
    const struct ne2000 *c = dev->wiring;
    const struct ne2000_state *s = c->st;

    buffer_printf(b, "netdev %s, %s, ring pages %02x-%02x, CURR %02x, BNRY %02x, ISR %02x, IMR %02x, remote DMA at %04x, %u bytes left\n",
                  *dev->backend ? dev->backend : "none", s->cr & CR_STP ? "stopped" : "started", s->pstart, s->pstop, s->curr,
                  s->bnry, s->isr, s->imr, s->crda, s->rbcr);
}

static const struct device_ops ne2k_pci_ops = {
    .name = "ne2k_pci",
    .state_size = sizeof(struct ne2k_pci_state),
    .reset = ne2000_reset,
    .input = ne2000_input,
    .input_room = ne2000_room,
    .describe = ne2000_describe,
    .read = ne2000_read,
    .write = ne2000_write,
};

static const struct device_ops ne2k_isa_ops = {
    .name = "ne2k_isa",
    .state_size = sizeof(struct ne2000_state),
    .reset = ne2000_reset,
    .input = ne2000_input,
    .input_room = ne2000_room,
    .describe = ne2000_describe,
    .read = ne2000_read,
    .write = ne2000_write,
};

const struct option_key ne2k_pci_keys[] = {NIC_KEYS, {NULL, NULL}};

int ne2k_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x10ec, .device = 0x8029, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x020000, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &ne2k_pci_ops, name, sizeof(struct ne2000));
    struct ne2000 *c = dev->wiring;
    struct ne2k_pci_state *st = dev->state;

    (void)d;
    c->st = &st->core;
    c->on_pci = true;
    if (nic_init(&c->nic, s, dev, props, err) < 0)
        return err->code;
    pci_function_init(&c->pci, s->pci, devfn, dev, st->config, &id);
    pci_add_bar(&c->pci, 0, PCI_BAR_IO, false, PCI_PORTS, 0);
    nic_boots(s, &c->pci);
    return 0;
}

const struct option_key ne2k_isa_keys[] = {NIC_KEYS, {"iobase", "PORT"}, {"irq", "0-15"}, {NULL, NULL}};

int ne2k_isa_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err)
{
    uint64_t port = USUAL_PORT, irq = USUAL_IRQ;
    struct device *dev;
    struct ne2000 *c;

    (void)devfn, (void)d;
    if (!s->isa_irq)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (option_list_number(props, "iobase", 0, UINT16_MAX + 1u - PORTS, &port, err) < 0 ||
        option_list_number(props, "irq", 0, 15, &irq, err) < 0)
        return -EINVAL;
    for (unsigned i = 0; i < PORTS; i++)
        if (s->pci->ports->owner[port + i])
            return error_set(err, -EINVAL, "iobase=%#llx: another device answers at port %#llx", (unsigned long long)port,
                             (unsigned long long)(port + i));
    dev = machine_add_owned_device(s->machine, &ne2k_isa_ops, name, sizeof(*c));
    c = dev->wiring;
    c->st = dev->state;
    c->irq = s->isa_irq(s->ctx, (unsigned)irq);
    ports_claim(s->pci->ports, dev, (uint16_t)port, PORTS, 0, 2);
    return nic_init(&c->nic, s, dev, props, err);
}
