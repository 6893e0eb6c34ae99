/*
 * Between the parts of the xHCI controller: registers, ports, the device (xhci.c), events and interrupts (xhci_event.c),
 * commands (xhci_command.c), transfers (xhci_transfer.c).
 */
#ifndef HINDCAST_VM_DEV_XHCI_INTERNAL_H
#define HINDCAST_VM_DEV_XHCI_INTERNAL_H

#include "vm/dev/pci.h"
#include "vm/dev/usb.h"

#define XHCI_SLOTS      32u
#define XHCI_ENDPOINTS  31u /* of a slot: device context indices 1 to 31 */
#define XHCI_VECTORS    16u /* interrupters */
#define XHCI_CONNECTORS 4u  /* each is a SuperSpeed port (1 to 4) and one of USB 2 (5 to 8) */
#define XHCI_ROOT_PORTS 8u
#define XHCI_COMMAND_NS 10000u /* of virtual time that a command takes */
#define XHCI_SEGMENTS   16u /* of an event ring, at most */

/* USBCMD, USBSTS (5.4.1, 5.4.2). */
#define XHCI_CMD_RS    0x0001u
#define XHCI_CMD_HCRST 0x0002u
#define XHCI_CMD_INTE  0x0004u
#define XHCI_CMD_HSEE  0x0008u
#define XHCI_CMD_CSS   0x0100u
#define XHCI_CMD_CRS   0x0200u
#define XHCI_CMD_EWE   0x0400u
#define XHCI_CMD_EU3S  0x0800u
#define XHCI_STS_HCH   0x0001u
#define XHCI_STS_HSE   0x0004u
#define XHCI_STS_EINT  0x0008u
#define XHCI_STS_PCD   0x0010u
#define XHCI_STS_SRE   0x0400u
#define XHCI_STS_HCE   0x1000u

/* Types of transfer request blocks (6.4.6). */
enum xhci_trb_type {
    TRB_NORMAL = 1, TRB_SETUP, TRB_DATA, TRB_STATUS, TRB_ISOCH, TRB_LINK, TRB_EVENT_DATA, TRB_NOOP,
    TRB_ENABLE_SLOT = 9, TRB_DISABLE_SLOT, TRB_ADDRESS_DEVICE, TRB_CONFIGURE_ENDPOINT, TRB_EVALUATE_CONTEXT, TRB_RESET_ENDPOINT,
    TRB_STOP_ENDPOINT, TRB_SET_DEQUEUE, TRB_RESET_DEVICE, TRB_COMMAND_NOOP = 23,
    TRB_TRANSFER_EVENT = 32, TRB_COMMAND_EVENT, TRB_PORT_EVENT, TRB_CONTROLLER_EVENT = 37, TRB_WRAP_EVENT = 39,
};

#define TRB_CYCLE 0x001u
#define TRB_TC    0x002u /* link: toggle the cycle */
#define TRB_ED    0x004u /* of an event: made by Event Data */
#define TRB_ISP   0x004u
#define TRB_CHAIN 0x010u
#define TRB_IOC   0x020u
#define TRB_IDT   0x040u
#define TRB_BEI   0x200u
#define TRB_BSR   0x200u /* address device */
#define TRB_DC    0x200u /* configure endpoint: deconfigure */
#define TRB_IN    0x10000u
#define TRB_BYTES 16u

/* Completion codes (6.4.5). */
enum xhci_code {
    CC_SUCCESS = 1, CC_BABBLE = 3, CC_TRANSACTION = 4, CC_TRB = 5, CC_STALL = 6, CC_NO_SLOTS = 9, CC_SLOT_DISABLED = 11,
    CC_ENDPOINT_DISABLED = 12, CC_SHORT = 13, CC_PARAMETER = 17, CC_CONTEXT_STATE = 19, CC_RING_FULL = 21, CC_MISSED = 23,
    CC_COMMANDS_STOPPED = 24, CC_STOPPED = 26, CC_STOPPED_LENGTH = 27,
};

/* Of slots and endpoints (6.2.2, 6.2.3). */
enum { SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };
enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };
enum { EP_ISOCH_OUT = 1, EP_BULK_OUT, EP_INTERRUPT_OUT, EP_CONTROL, EP_ISOCH_IN, EP_BULK_IN, EP_INTERRUPT_IN };

DEVICE_STATE_BEGIN
struct xhci_endpoint {
    uint64_t dequeue;   /* where the ring's next block is; bit 0: the cycle that it has */
    uint64_t due;       /* vtime at which it goes on, or VTIME_NEVER */
    uint32_t at;        /* bytes of that block that were moved */
    uint32_t moved;     /* bytes since the last Event Data block: EDTLA */
    uint16_t packet;    /* bytes of a packet, at most */
    uint8_t state, type;
    uint8_t interval;   /* 2^n * 125 us */
    uint8_t waiting;    /* the device said NAK */
    uint8_t in;         /* control: direction of the data stage */
    uint8_t reserved;
};

struct xhci_slot {
    uint64_t context;   /* of the device, in memory */
    uint8_t used;       /* between Enable Slot and Disable Slot */
    uint8_t state;
    uint8_t port;       /* root port, counted from 1; 0: not known */
    uint8_t address;    /* of the device */
    uint8_t reserved[20];
    struct xhci_endpoint ep[XHCI_ENDPOINTS]; /* [n]: device context index n + 1 */
};

struct xhci_interrupter {
    uint64_t erstba, erdp;
    uint64_t ready_at;  /* vtime before which it does not interrupt again */
    uint32_t iman, imod, erstsz;
    uint16_t segment;   /* where the next event goes: segment and block in it */
    uint16_t index;
    uint8_t cycle;
    uint8_t pending;    /* events that were not told */
    uint8_t full;       /* a Ring Full event was the last one that there was room for */
    uint8_t reserved[5];
};

struct xhci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t dcbaap;
    uint64_t commands;    /* dequeue pointer of the command ring, and its cycle */
    uint64_t command_at;  /* vtime at which the next command is carried out */
    uint64_t started;     /* vtime at which MFINDEX was 0 */
    uint64_t wrap_at;     /* vtime of the next wrap event */
    uint64_t wake;        /* the earliest of all that is due */
    uint32_t cmd, sts, dnctrl, configure;
    uint32_t commands_run; /* CRCR.CRR */
    uint32_t untold;      /* bit n: root port n + 1 has changed, and there was no room for the event */
    uint32_t portsc[XHCI_ROOT_PORTS], portpmsc[XHCI_ROOT_PORTS];
    uint32_t msix_pending, reserved;
    uint32_t msix[XHCI_VECTORS][4];
    struct xhci_interrupter intr[XHCI_VECTORS];
    struct xhci_slot slot[XHCI_SLOTS]; /* [n]: slot n + 1 */
};
DEVICE_STATE_END

/* Wiring. */
struct xhci {
    struct pci_function pci;
    struct usb_bus usb;
    struct xhci_state *st;
};

struct xhci_trb {
    uint64_t parameter;
    uint32_t status, control;
};

static inline unsigned xhci_trb_type(const struct xhci_trb *t)
{
    return t->control >> 10 & 0x3fu;
}

/* ---- xhci.c ---- */

/* Memory, as a bus master. False: the controller may not; it has halted with a host system error. */
bool xhci_read(struct xhci *x, uint64_t at, void *buf, size_t len);
bool xhci_write(struct xhci *x, uint64_t at, const void *buf, size_t len);
bool xhci_read_trb(struct xhci *x, uint64_t at, struct xhci_trb *t);
/* A context's four words from `at` on, and back. */
bool xhci_read_words(struct xhci *x, uint64_t at, uint32_t *words, unsigned n);
bool xhci_write_words(struct xhci *x, uint64_t at, const uint32_t *words, unsigned n);
/* The controller cannot go on (USBSTS.HCE). */
void xhci_fail(struct xhci *x);
bool xhci_runs(const struct xhci *x);
vtime_t xhci_now(const struct xhci *x);
/* Follow a link block: where it leads to, with the cycle. */
uint64_t xhci_follow(uint64_t dequeue, const struct xhci_trb *link);
/* Something may be due at another time than before. */
void xhci_plan(struct xhci *x);

/* ---- xhci_event.c ---- */

/* Is there room for an event, and one more? If not, a Ring Full event is the last one, and who asks waits until the
 * guest has taken some. */
bool xhci_has_room(struct xhci *x, unsigned interrupter);
/* Put an event on a ring; `quiet`: without an interrupt (BEI). Lost if there is no room. */
void xhci_event(struct xhci *x, unsigned interrupter, const struct xhci_trb *t, bool quiet);
/* The guest wrote an ERDP, or an ERST's address: the ring's state follows. */
void xhci_dequeued(struct xhci *x, unsigned interrupter, bool handled);
void xhci_ring_moved(struct xhci *x, unsigned interrupter);
/* Interrupts that are pending and may be told now. */
void xhci_interrupt(struct xhci *x);
/* Pins follow IP and IE. */
void xhci_update_pin(struct xhci *x);
/* When the next interrupt is due that moderation holds back. */
vtime_t xhci_interrupt_due(const struct xhci *x);

/* ---- xhci_command.c ---- */

/* Carry out what is on the command ring: one command. */
void xhci_command(struct xhci *x);
/* CRCR.CS or CA. */
void xhci_stop_commands(struct xhci *x);

/* ---- xhci_transfer.c ---- */

/* Do what the endpoint has to do now. Slot and index are counted from 0. */
void xhci_transfer(struct xhci *x, unsigned slot, unsigned ep);
/* A doorbell, or the device has something: the endpoint goes on when its time comes. */
void xhci_activate(struct xhci *x, unsigned slot, unsigned ep);
/* The device that a slot is for. NULL: it is not there (any more). */
struct usb_device *xhci_device(struct xhci *x, const struct xhci_slot *s);
/* Write state and dequeue pointer into the endpoint's context. */
void xhci_save_endpoint(struct xhci *x, unsigned slot, unsigned ep);
/* It is to stop: a Stopped event, if it was in the middle of something. */
void xhci_stop_endpoint(struct xhci *x, unsigned slot, unsigned ep);

#endif
