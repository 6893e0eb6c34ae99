/*
 * The Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual; names of registers and
 * bits by it): legacy and extended transmit descriptors with checksums and TCP segmentation, receive descriptors, filters by
 * address, hash and VLAN, EEPROM by EERD and bit by bit, PHY by MDIC, statistics, interrupts, loopback.
 *
 * What is sent goes out when its last descriptor is there. A frame from outside waits in the host until the ring has room.
 *
 * Interrupts are delayed (RDTR, RADV, TIDV, TADV) and moderated (ITR) in virtual time. What changes such a register is for the next
 * time that its timer is started, but a zero in ITR ends the interval.
 *
 * A pause that comes by flow control is kept; none is ever sent, for frames wait in the host.
 *
 * Not modelled: wake up, management, flash; the gaps between frames (TIPG, AIT).
 */
#include "vm/dev/e1000.h"

#include <stddef.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/e1000_internal.h"
#include "vm/machine.h"

enum { RANGE_REGISTERS, RANGE_IO };

#define REGISTER_BYTES 0x20000u
#define IO_BYTES       0x40u

/* Registers that only hold what is written: offset, bits, after a reset. */
static const struct e1000_plain plains[] = {
    {0x0018, 0xffffffffu, 0}, /* CTRL_EXT */
    {0x0028, 0xffffffffu, 0}, {0x002c, 0xffffu, 0}, {0x0030, 0xffffu, 0}, /* FCAL, FCAH, FCT */
    {VET, 0xffffu, 0}, {ITR, 0xffffu, 0},
    {RCTL, 0x07ffffffu, 0}, {0x0170, 0xffffu, 0}, {TXCW, 0xffffffffu, 0}, {TCTL, 0x1fffffau, 0}, /* RCTL, FCTTV, TXCW, TCTL */
    {0x0410, 0x3fffffffu, 0x00602008}, {0x0458, 0xffffu, 0}, {0x0e00, 0xffffffffu, 0x07061302}, /* TIPG, AIT, LEDCTL */
    {0x1000, 0xffffu, 0x00000030}, {0x2160, 0x8000fff8u, 0}, {0x2168, 0xfff8u, 0}, /* PBA, FCRTL, FCRTH */
    {RDBAL, 0xfffffff0u, 0}, {RDBAH, 0xffffffffu, 0}, {RDLEN, 0xfff80u, 0}, {RDH, 0xffffu, 0}, {RDT, 0xffffu, 0},
    {RDTR, 0xffffu, 0}, {0x2828, 0x013f3f3fu, 0x00010000}, {RADV, 0xffffu, 0}, {0x2c00, 0xfffu, 0}, /* RDTR... RSRPD */
    {0x3000, 0xffffffffu, 0}, /* TXDMAC */
    {TDBAL, 0xfffffff0u, 0}, {TDBAH, 0xffffffffu, 0}, {TDLEN, 0xfff80u, 0}, {TDH, 0xffffu, 0}, {TDT, 0xffffu, 0},
    {TIDV, 0xffffu, 0}, {0x3828, 0xffffffffu, 0}, {TADV, 0xffffu, 0}, {0x3830, 0xffffffffu, 0x01000400}, /* TIDV... TSPMT */
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
    uint8_t asserted;           /* INTA */
    uint8_t reserved[6];
    /* Since version 1: */
    uint64_t interval_end;      /* ITR: INTA is not asserted before that vtime */
    struct e1000_delay received, transmitted;
    /* Since version 2: */
    uint64_t paused_until;      /* flow control: nothing is sent before that vtime */
};
DEVICE_STATE_END

/* Wiring. */
struct e1000 {
    struct e1000_mac mac;       /* first */
    struct e1000_state *st;
    uint16_t eeprom[EEPROM_WORDS];
};

/* ---- interrupts ---- */

static void update_interrupt(struct e1000 *e)
{
    struct e1000_state *s = e->st;
    bool wanted = (s->icr & s->ims) != 0;

    s->asserted = wanted && (s->asserted || e1000_interval_over(&e->mac, ITR, &s->interval_end));
    pci_set_intx(&e->mac.pci, s->asserted);
}

static vtime_t e1000_deadline(const struct device *dev)
{
    const struct e1000 *e = dev->wiring;
    vtime_t delays = e1000_delays_deadline(&e->mac);
    bool held = (e->st->icr & e->st->ims) && !e->st->asserted;

    return held && e->st->interval_end < delays ? e->st->interval_end : delays;
}

static void cause(struct e1000_mac *mac, uint32_t bits)
{
    struct e1000 *e = mac->nic.dev->wiring;

    e->st->icr |= bits & ICR_BITS;
    update_interrupt(e);
}


/* ---- EEPROM (5) ---- */

static void make_eeprom(struct e1000 *e)
{
    uint16_t sum = 0;

    memset(e->eeprom, 0, sizeof(e->eeprom));
    for (unsigned i = 0; i < 3; i++)
        e->eeprom[i] = get_le16(e->mac.nic.mac + 2 * i);
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

static const uint16_t phy_reset[PHY_REGISTERS] = {
    [PHY_CONTROL] = 0x1140, [PHY_STATUS] = 0x796d, [PHY_ID1] = 0x0141, [PHY_ID2] = 0x0c20, [4] = 0x0de1,
    [PHY_LINK_PARTNER] = 0xc1e0, [PHY_EXPANSION] = 0x000f, [9] = 0x0e00, [PHY_1000_STATUS] = 0x3c00, [PHY_EXTENDED] = 0x3000,
    [16] = 0x0360, [PHY_SPECIFIC_STATUS] = 0xac00, [20] = 0x0d60,
};

/* ---- receiving ---- */

/* `bytes`, frame check sequence and all, into the ring: there is room. False: the ring is not in memory. */
static bool store_frame(struct e1000 *e, const struct e1000_frame *f)
{
    struct e1000_ring r = e1000_ring_of(&e->mac, RDBAL);
    uint16_t checksum = e1000_packet_checksum(&e->mac, f->bytes, f->len);
    uint32_t size = e1000_buffer_size(&e->mac);

    for (size_t done = 0; done < f->len;) {
        uint64_t at = r.base + (uint64_t)r.head * DESC_BYTES;
        size_t n = f->len - done < size ? f->len - done : size;
        uint8_t d[DESC_BYTES];

        if (!pci_dma_read(&e->mac.pci, at, d, sizeof(d)))
            return false;
        pci_dma_write(&e->mac.pci, get_le64(d), f->bytes + done, n);
        done += n;
        put_le16(d + 8, (uint16_t)n);
        put_le16(d + 10, checksum);
        d[12] = (uint8_t)(RX_DD | (done == f->len ? RX_EOP | f->status : 0));
        d[13] = done == f->len ? f->errors : 0;
        put_le16(d + 14, f->tag);
        pci_dma_write(&e->mac.pci, at + 8, d + 8, 8);
        r.head = r.head + 1 == r.count ? 0 : r.head + 1;
    }
    *e1000_plain_of(&e->mac, RDH) = r.head;
    return true;
}

/* Does what was stored leave few descriptors free (RDMTS)? */
static bool is_scarce(const struct e1000 *e)
{
    struct e1000_ring r = e1000_ring_of(&e->mac, RDBAL);
    unsigned fraction = e1000_reg(&e->mac, RCTL) >> 8 & 3u;

    return fraction < 3 && e1000_ring_used(&r) <= r.count >> (fraction + 1);
}

static const char *receive(struct e1000_mac *mac, const uint8_t *frame, size_t len)
{
    struct e1000 *e = mac->nic.dev->wiring;
    struct e1000_ring r = e1000_ring_of(mac, RDBAL);
    struct e1000_frame f;
    const char *why = e1000_accept(mac, &f, frame, len);
    uint32_t causes;
    bool stored;

    if (why)
        return why;
    if ((uint64_t)e1000_ring_used(&r) * e1000_buffer_size(mac) < f.len + FCS_BYTES) {
        e1000_overrun(mac);
        return "no buffer";
    }
    e1000_finish(mac, &f);
    stored = store_frame(e, &f);
    causes = e1000_delay_receive(mac, ICR_RXT0);
    causes |= e1000_small_packet(mac, f.len); /* may let come what was put off */
    cause(mac, causes | (is_scarce(e) ? ICR_RXDMT0 : 0));
    return stored ? NULL : "the ring is not in memory";
}

static void e1000_input(struct device *dev, const struct event *ev)
{
    struct e1000 *e = dev->wiring;
    const char *why = receive(&e->mac, ev->data, ev->len);

    if (why)
        nic_refuse(&e->mac.nic, why);
}

static size_t e1000_room(const struct device *dev)
{
    const struct e1000 *e = dev->wiring;
    struct e1000_ring r = e1000_ring_of(&e->mac, RDBAL);
    uint64_t bytes = (uint64_t)e1000_ring_used(&r) * e1000_buffer_size(&e->mac);

    return !(e1000_reg(&e->mac, RCTL) & RCTL_EN) || bytes < FRAME_LONG ? 0 : bytes > FRAME_MOST ? FRAME_MOST : (size_t)bytes - FCS_BYTES;
}

/* ---- registers ---- */

static void transmit(struct e1000 *e)
{
    uint32_t causes = e1000_transmit(&e->mac, TDBAL, e->st->contexts, ICR_TXDW);

    if (causes)
        cause(&e->mac, causes);
}

static void e1000_expire(struct device *dev, vtime_t now)
{
    struct e1000 *e = dev->wiring;

    if (e1000_pause_over(&e->mac, now))
        transmit(e);
    cause(&e->mac, e1000_delays_expired(&e->mac, now));
}

/* By software or the machine: all but the PCI side. */
static void reset_registers(struct e1000 *e)
{
    struct e1000_state *s = e->st;
    uint8_t config[PCI_CONFIG_BYTES];

    memcpy(config, s->config, sizeof(config));
    memset(s, 0, sizeof(*s));
    memcpy(s->config, config, sizeof(config));
    e1000_reset_plains(&e->mac);
    memcpy(s->phy, phy_reset, sizeof(phy_reset));
    s->ctrl = 0x00000a09;
    s->eecd = EECD_PRES | 0x10u | EECD_DO;
    s->mdic = MDIC_READY;
    s->address[0] = get_le32(e->mac.nic.mac);
    s->address[1] = 0x80000000u | get_le16(e->mac.nic.mac + 4);
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
        cause(&e->mac, ICR_LSC);
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
    at = e1000_table_word(&e->mac, offset);
    if (!at)
        at = e1000_plain_of(&e->mac, offset);
    return at ? *at : 0;
}

static void end_interval(struct e1000 *e)
{
    e->st->interval_end = 0;
    update_interrupt(e);
}

static void write_plain(struct e1000 *e, uint32_t offset, uint32_t value)
{
    uint32_t *at = e1000_plain_of(&e->mac, offset);

    if (!at)
        return;
    *at = value & plains[at - e->st->plain].bits;
    if (offset == TDT || offset == TCTL)
        transmit(e);
    else if (offset == RDT || offset == RCTL)
        machine_attention(e->mac.nic.dev->machine); /* there may be room for what waits */
    else if (offset == RDTR || offset == TIDV)
        cause(&e->mac, e1000_write_delay(&e->mac, offset, value));
    else if (offset == ITR && !*at)
        end_interval(e);
}

static void write_register(struct e1000 *e, uint32_t offset, uint32_t value)
{
    struct e1000_state *s = e->st;
    uint32_t *at = e1000_table_word(&e->mac, offset);

    switch (offset) {
    case CTRL: write_ctrl(e, value); return;
    case EECD: write_eecd(e, value); return;
    case EERD: write_eerd(e, value); return;
    case MDIC: e1000_write_mdic(&e->mac, value); return;
    case ICR: s->icr &= ~value; update_interrupt(e); return;
    case ICS: cause(&e->mac, value); return;
    case IMS: s->ims |= value & ICR_BITS; update_interrupt(e); return;
    case IMC: s->ims &= ~value; update_interrupt(e); return;
    default:
        break;
    }
    if (at)
        *at = value & e1000_table_bits(offset);
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

    pci_function_reset(&e->mac.pci);
    reset_registers(e);
}

static bool e1000_possible(const struct device *dev)
{
    const struct e1000 *e = dev->wiring;

    return e->st->eeprom_bits <= 9 && e1000_plains_possible(&e->mac);
}

/* Version 0 knew no delays and intervals, version 1 no pauses. */
static bool e1000_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    struct e1000_state *s = ((struct e1000 *)dev->wiring)->st;

    if (version > 1 || len != (version ? offsetof(struct e1000_state, paused_until) : offsetof(struct e1000_state, interval_end)))
        return false;
    memset(s, 0, sizeof(*s));
    memcpy(s, old, len);
    if (version == 0)
        s->asserted = (s->icr & s->ims) != 0;
    return true;
}

static void e1000_describe(const struct device *dev, struct buffer *b)
{
    struct e1000 *e = dev->wiring;
    struct e1000_ring rx = e1000_ring_of(&e->mac, RDBAL), tx = e1000_ring_of(&e->mac, TDBAL);

    buffer_printf(b, "netdev %s, link %s, receive ring %u of %u free, transmit ring %u of %u in use, ICR %08x, IMS %08x\n",
                  *dev->backend ? dev->backend : "none", e->st->ctrl & CTRL_SLU ? "up" : "down", e1000_ring_used(&rx), rx.count,
                  e1000_ring_used(&tx), tx.count, e->st->icr, e->st->ims);
}

static bool checks_six(const struct e1000_mac *mac)
{
    return e1000_reg(mac, RXCSUM) & RXCSUM_IPV6OFL;
}

static void e1000_destroy(struct device *dev)
{
    e1000_mac_finish(&((struct e1000 *)dev->wiring)->mac);
}

static const struct device_ops e1000_ops = {
    .name = "e1000",
    .state_size = sizeof(struct e1000_state),
    .state_version = 2,
    .upgrade = e1000_upgrade,
    .possible = e1000_possible,
    .reset = e1000_reset,
    .deadline = e1000_deadline,
    .expire = e1000_expire,
    .input = e1000_input,
    .input_room = e1000_room,
    .describe = e1000_describe,
    .read = e1000_read,
    .write = e1000_write,
    .destroy = e1000_destroy,
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
    e->mac = (struct e1000_mac){E1000_IN_STATE(e->st), .plains = plains, .nplains = PLAINS, .phy_reset = phy_reset, .udp_status = RX_TCPCS,
                                .cause = cause, .receive = receive, .checks_six = checks_six};
    e1000_mac_init(&e->mac);
    if (nic_init(&e->mac.nic, s, dev, props, err) < 0)
        return err->code;
    make_eeprom(e);
    pci_function_init(&e->mac.pci, s->pci, devfn, dev, e->st->config, &id);
    pci_add_bar(&e->mac.pci, 0, PCI_BAR_MEMORY, false, REGISTER_BYTES, RANGE_REGISTERS);
    pci_add_bar(&e->mac.pci, 1, PCI_BAR_IO, false, IO_BYTES, RANGE_IO);
    nic_boots(s, &e->mac.pci);
    return 0;
}
