/*
 * What the cards of the 8254x family have in common: the 82540EM (e1000.c) and the 82574L (e1000e.c). Registers that only hold what is written,
 * statistics, filters, the PHY, flow control (e1000_mac.c); rings, and sending with checksums and segmentation (e1000_transmit.c).
 *
 * A card has its registers in its state, and says in a struct e1000_mac where.
 */
#ifndef HINDCAST_VM_DEV_E1000_INTERNAL_H
#define HINDCAST_VM_DEV_E1000_INTERNAL_H

#include "vm/dev/nic.h"
#include "vm/dev/pci.h"

/* Registers (8254x, 13.4; 82574, 10.2). */
enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, MDIC = 0x0020, FCAL = 0x0028, FCAH = 0x002c, FCT = 0x0030, VET = 0x0038, ICR = 0x00c0, ITR = 0x00c4, ICS = 0x00c8,
    IMS = 0x00d0, IMC = 0x00d8, RCTL = 0x0100, TXCW = 0x0178, RXCW = 0x0180, TCTL = 0x0400,
    RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, RDTR = 0x2820, RADV = 0x282c, RSRPD = 0x2c00,
    TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, TIDV = 0x3820, TADV = 0x382c,
    STATISTICS = 0x4000, RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600,
};
/* A ring's registers, from its base address on. */
enum { RING_BASE, RING_LEN = 0x08, RING_HEAD = 0x10, RING_TAIL = 0x18 };

#define CTRL_SLU  (1u << 6)
#define CTRL_RST  (1u << 26)
#define CTRL_RFCE (1u << 27)
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
#define ICR_SRPD  (1u << 16)
#define ICR_ACK   (1u << 17) /* 82574 */
#define ICR_BITS  0x0001ffffu
#define DELAY_FPD (1u << 31) /* of RDTR and TIDV: what waits is to come now */
#define RCTL_EN   (1u << 1)
#define RCTL_UPE  (1u << 3)
#define RCTL_MPE  (1u << 4)
#define RCTL_LPE  (1u << 5)
#define RCTL_BAM  (1u << 15)
#define RCTL_VFE  (1u << 18)
#define RCTL_DPF  (1u << 22)
#define RCTL_PMCF (1u << 23)
#define RCTL_BSEX (1u << 25)
#define RCTL_SECRC (1u << 26)
#define TCTL_EN   (1u << 1)
#define TCTL_PSP  (1u << 3)

/* Receive descriptors: status. */
#define RX_DD   0x01u
#define RX_EOP  0x02u
#define RX_IXSM 0x04u
#define RX_VP   0x08u
#define RX_UDPCS 0x10u      /* 82574 */
#define RX_TCPCS 0x20u
#define RX_IPCS 0x40u
#define RX_PIF  0x80u
/* ... and errors. */
#define RX_TCPE 0x20u
#define RX_IPE  0x40u

#define RXCSUM_IPOFL (1u << 8)
#define RXCSUM_TUOFL (1u << 9)
#define RXCSUM_IPV6OFL (1u << 10) /* 82540EM */

/* Transmit descriptors: the first word's commands, the second word's status and options. */
#define TX_EOP  (1u << 24)
#define TX_IC   (1u << 26)  /* legacy */
#define TX_TSE  (1u << 26)  /* extended */
#define TX_RS   (1u << 27)
#define TX_DEXT (1u << 29)
#define TX_VLE  (1u << 30)
#define TX_IDE  (1u << 31)
#define TX_DD   (1u << 0)
#define TX_TS   (1u << 4)   /* 82574: its time is to be kept */
#define TX_IXSM (1u << 8)
#define TX_TXSM (1u << 9)
#define TUCMD_TCP (1u << 24) /* in the context's third word */
#define TUCMD_IP  (1u << 25)
#define TUCMD_TSE (1u << 26)


#define DESC_BYTES 16u
#define FRAME_LONG 1522u    /* longer ones need RCTL.LPE; with frame check sequence */
#define FRAME_MOST 16384u
#define FCS_BYTES  4u
#define ADDRESSES  16u
#define EEPROM_WORDS 64u
#define PHY_REGISTERS 32u
#define PHY_PAGED   16u     /* registers from there on are others in each page, but for the page itself */
#define PHY_PAGES   8u

/* Statistics that are counted: offsets from STATISTICS, in words. */
enum { MPC = 4, XONRXC = 0x12, XOFFRXC = 0x14, FCRUC = 0x16, PRC64 = 0x17, GPRC = 0x1d, BPRC, MPRC, GPTC, GORCL = 0x22, GORCH, GOTCL, GOTCH, RNBC = 0x28, RUC, ROC = 0x2b,
       TORL = 0x30, TORH, TOTL, TOTH, TPR, TPT, PTC64, MPTC = 0x3c, BPTC, TSCTC, STATISTICS_COUNT = 0x40 };

enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_LINK_PARTNER = 5, PHY_EXPANSION, PHY_1000_STATUS = 10, PHY_EXTENDED = 15,
       PHY_SPECIFIC_STATUS = 17, PHY_INTERRUPTS = 19, PHY_PAGE = 22 };

/* A register that only holds what is written: offset, bits, after a reset. */
struct e1000_plain {
    uint16_t offset;
    uint32_t bits, reset;
};

/*
 * Interrupts that wait for more to come, of one direction: the timer that each frame starts anew (RDTR, TIDV) and the one that the
 * first one starts (RADV, TADV). Either lets them come and stops both. In a card's state; zeros: nothing waits.
 */
struct e1000_delay {
    uint64_t packet, absolute;  /* vtimes at which they run out; absolute 0: there is no such timer */
    uint32_t causes;            /* of ICR, which come then; 0: both stand */
    uint32_t reserved;
};

/* First in a card's wiring. */
struct e1000_mac {
    struct nic nic;
    struct pci_function pci;
    const struct e1000_plain *plains;
    unsigned nplains;
    const uint16_t *phy_reset;  /* PHY_REGISTERS */
    uint8_t udp_status;         /* RX_... of a frame whose UDP checksum was looked at */
    uint8_t *index;             /* which of plains[] is at an offset: e1000_mac_init() */
    /* In its state: */
    uint32_t *plain;            /* in the order of plains[] */
    uint32_t *ctrl, *mdic;
    uint32_t *hash, *address, *vlans; /* MTA, 128; RAL and RAH, 2 * ADDRESSES; VFTA, 128 */
    uint32_t *statistics;       /* STATISTICS_COUNT */
    uint16_t *phy;              /* PHY_REGISTERS */
    uint16_t *phy_pages;        /* PHY_PAGED of each page but the first; NULL: there are no pages */
    struct e1000_delay *received, *transmitted;
    uint64_t *paused_until;     /* flow control: nothing is sent before that vtime; 0: there was no pause */
    bool (*checks_six)(const struct e1000_mac *); /* does it look at checksums of IPv6? */
    void (*sent_stamped)(struct e1000_mac *);     /* a packet went out whose time is to be kept; NULL: nobody keeps it */
    void (*cause)(struct e1000_mac *, uint32_t bits); /* of ICR */
    const char *(*receive)(struct e1000_mac *, const uint8_t *frame, size_t len); /* NULL: it is in the guest's memory; else why not */
};

/* For an initialiser of it: what lies in a card's state, by the same names in each. */
#define E1000_IN_STATE(st) \
    .plain = (st)->plain, .ctrl = &(st)->ctrl, .mdic = &(st)->mdic, .hash = (st)->hash, .address = (st)->address, \
    .vlans = (st)->vlans, .statistics = (st)->statistics, .phy = (st)->phy, \
    .received = &(st)->received, .transmitted = &(st)->transmitted, .paused_until = &(st)->paused_until

/* A frame that comes in. */
struct e1000_frame {
    uint8_t bytes[FRAME_MOST + FCS_BYTES];
    size_t len;
    uint8_t status, errors;     /* RX_... */
    uint16_t tag;               /* of its VLAN */
};

struct e1000_ring {
    uint64_t base;
    uint32_t count, head, tail; /* count 0: nothing works with it */
};

/* ---- e1000_mac.c ---- */

/* When plains is set. */
void e1000_mac_init(struct e1000_mac *e);
void e1000_mac_finish(struct e1000_mac *e);
/* NULL: there is none. */
uint32_t *e1000_plain_of(const struct e1000_mac *e, uint32_t offset);
/* The value of one that there is. */
uint32_t e1000_reg(const struct e1000_mac *e, uint32_t offset);
void e1000_reset_plains(struct e1000_mac *e);
/* For states from files: has each only bits that can be written? (A ring of more descriptors takes too long to look through.) */
bool e1000_plains_possible(const struct e1000_mac *e);
/* A word of MTA, RA or VFTA. NULL: it is none. */
uint32_t *e1000_table_word(const struct e1000_mac *e, uint32_t offset);
/* Which of its bits can be written. */
uint32_t e1000_table_bits(uint32_t offset);
void e1000_count(struct e1000_mac *e, unsigned n, uint32_t more);
void e1000_count_64(struct e1000_mac *e, unsigned low, uint64_t more);
/* 64, 65-127, 128-255, 256-511, 512-1023, longer. */
unsigned e1000_size_class(size_t len);
void e1000_write_mdic(struct e1000_mac *e, uint32_t value);
/* Bytes of a receive buffer. */
uint32_t e1000_buffer_size(const struct e1000_mac *e);
/* Is the frame one to be received? NULL: yes, and it is in *f; else why not. */
const char *e1000_accept(struct e1000_mac *e, struct e1000_frame *f, const uint8_t *frame, size_t len);
/* There is room for it: count it; checksum and tag as the driver wants them. */
void e1000_finish(struct e1000_mac *e, struct e1000_frame *f);
/* There is not. */
void e1000_overrun(struct e1000_mac *e);
/* The packet checksum: of the bytes from RXCSUM.PCSS on, not complemented. */
uint16_t e1000_packet_checksum(const struct e1000_mac *e, const uint8_t *bytes, size_t len);

/* ---- interrupts ---- */

/* These causes are due, and have a timer. What is to come at once of them: nothing while it runs; without a delay, they and what waited. */
uint32_t e1000_delay_receive(struct e1000_mac *e, uint32_t causes);
uint32_t e1000_delay_transmit(struct e1000_mac *e, uint32_t causes);
/* What waits there, to come now. */
uint32_t e1000_flush_delay(struct e1000_delay *d);
/* RDTR or TIDV was written, with that. What is to come now. */
uint32_t e1000_write_delay(struct e1000_mac *e, uint32_t offset, uint32_t value);
/* A frame of that length has come. What is to come at once because it is small (RSRPD). */
uint32_t e1000_small_packet(const struct e1000_mac *e, size_t len);
/* These wait for a timer of so many ticks of 1.024 us, which the first of them starts. 0 ticks: what is to come at once. */
uint32_t e1000_put_off(const struct e1000_mac *e, struct e1000_delay *d, uint32_t ticks, uint32_t causes);
/* When it runs out. VTIME_NEVER: it stands. */
vtime_t e1000_delay_deadline(const struct e1000_delay *d);
/* When the first of the four timers runs out, or a pause ends. VTIME_NEVER: they stand. */
vtime_t e1000_delays_deadline(const struct e1000_mac *e);
/* Has a pause ended by now? Then there may be something to send. */
bool e1000_pause_over(struct e1000_mac *e, vtime_t now);
/* What is to come because timers have run out by now. */
uint32_t e1000_delays_expired(struct e1000_mac *e, vtime_t now);
/* An interrupt is wanted, by a register of intervals (ITR, EITR) and the state that says from which vtime on. May it be made? Then the
 * interval to the next one begins. */
bool e1000_interval_over(const struct e1000_mac *e, uint32_t offset, uint64_t *from);

/* ---- e1000_transmit.c ---- */

/* The ring whose registers begin at `base`. */
struct e1000_ring e1000_ring_of(const struct e1000_mac *e, uint32_t base);
/* Descriptors between head and tail. */
uint32_t e1000_ring_used(const struct e1000_ring *r);
/* Send what is in the ring at `base` as far as whole packets are there. contexts: of checksums, of segmentation. done: the causes when a
 * descriptor was that is to be reported. The causes of interrupts at once. */
uint32_t e1000_transmit(struct e1000_mac *e, uint32_t base, uint32_t contexts[2][4], uint32_t done);

#endif
