/*
 * Between the parts of the EHCI controller: registers, ports, time, the device (ehci.c), queue heads and the asynchronous
 * schedule (ehci_queue.c), the periodic schedule and isochronous transfers (ehci_periodic.c).
 */
#ifndef HINDCAST_VM_DEV_EHCI_INTERNAL_H
#define HINDCAST_VM_DEV_EHCI_INTERNAL_H

#include "vm/dev/pci.h"
#include "vm/dev/usb.h"

#define EHCI_PORTS      6u
#define EHCI_MICROFRAME 125000ull /* ns */
#define EHCI_VISITS_MOST 512u     /* elements that are looked at in a microframe */

/* USBCMD, USBSTS and USBINTR (EHCI 1.0, 2.3.1 to 2.3.3). */
#define EHCI_CMD_RS      0x00000001u
#define EHCI_CMD_HCRESET 0x00000002u
#define EHCI_CMD_PSE     0x00000010u
#define EHCI_CMD_ASE     0x00000020u
#define EHCI_CMD_IAAD    0x00000040u
#define EHCI_STS_INT     0x00000001u
#define EHCI_STS_ERRINT  0x00000002u
#define EHCI_STS_PCD     0x00000004u
#define EHCI_STS_FLR     0x00000008u
#define EHCI_STS_HSE     0x00000010u
#define EHCI_STS_IAA     0x00000020u
#define EHCI_STS_HALTED  0x00001000u
#define EHCI_STS_RECL    0x00002000u
#define EHCI_STS_PSS     0x00004000u
#define EHCI_STS_ASS     0x00008000u

/* Link pointers (3.1, 3.5.1, 3.6). */
#define EHCI_LINK_T     0x1u
#define EHCI_LINK_AT    0xffffffe0u
#define EHCI_TYPE(link) ((link) >> 1 & 3u)
enum { EHCI_ITD, EHCI_QH, EHCI_SITD, EHCI_FSTN };

DEVICE_STATE_BEGIN
struct ehci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t since;        /* vtime at which FRINDEX was `frindex`, while it counts */
    uint64_t done;         /* microframes since then whose work is done */
    uint64_t rolled;       /* how often the frame list has been gone through since then, as far as USBSTS knows */
    uint64_t due;          /* vtime at which there is something to do, or VTIME_NEVER */
    uint64_t quiet_at;     /* position of the machine at which the schedules held nothing to do; UINT64_MAX: they did */
    uint32_t cmd, sts, intr;
    uint32_t pending;      /* bits of USBSTS that wait for the interrupt threshold */
    uint32_t frindex;
    uint32_t periodic, async; /* PERIODICLISTBASE, ASYNCLISTADDR */
    uint32_t configured;   /* CONFIGFLAG */
    uint32_t portsc[EHCI_PORTS];
    uint8_t brisk;         /* so many microframes are looked at one by one, before it is whole frames again */
    uint8_t reserved[7];
};
DEVICE_STATE_END

/* Wiring. */
struct ehci {
    struct pci_function pci;
    struct usb_bus usb;
    struct ehci_state *st;
};

/* Work in progress, of one or more microframes. */
struct ehci_work {
    struct ehci *e;
    uint32_t bits;    /* of the bus's time that are left */
    unsigned visits;  /* elements that may still be looked at */
    bool did;         /* something was done, whatever it was */
    bool error;       /* memory could not be reached: the controller halts */
};

/* ---- ehci.c ---- */

/* Memory as a bus master. False: it could not be reached (2.3.2, Host System Error); w->error is set. */
bool ehci_read(struct ehci_work *w, uint32_t at, void *buf, size_t len);
bool ehci_write(struct ehci_work *w, uint32_t at, const void *buf, size_t len);
bool ehci_read_words(struct ehci_work *w, uint32_t at, uint32_t *words, unsigned n);
/* Words of a structure back to memory; what has not changed is not written. */
bool ehci_write_words(struct ehci_work *w, uint32_t at, const uint32_t *words, const uint32_t *was, unsigned n);
/* USBSTS gets these bits at the next interrupt threshold. */
void ehci_raise(struct ehci_work *w, uint32_t bits);
/* One more element is looked at. False: enough. */
bool ehci_visit(struct ehci_work *w);
/* Is there time on the bus for a packet of so many bytes, at that speed? Takes it. */
bool ehci_afford(struct ehci_work *w, enum usb_speed speed, unsigned len);
/* Who is addressed: a device of high speed or, by hub and port of a split transaction (`speed` is not USB_HIGH), one behind the
 * transaction translator of a hub. NULL: nobody. */
struct usb_device *ehci_addressee(struct ehci *e, enum usb_speed speed, unsigned address, unsigned hub, unsigned port);

/* ---- ehci_queue.c ---- */

/* A visit of the queue head there, in a microframe of the periodic schedule (bit n of `mask`: n): if that is its turn, a transaction,
 * or Mult of them. Its horizontal link, or EHCI_LINK_T. */
uint32_t ehci_run_queue(struct ehci_work *w, uint32_t at, unsigned mask);
/* The asynchronous schedule, until time is used up or it was gone round without anything to do. */
void ehci_run_async(struct ehci_work *w);

/* ---- ehci_periodic.c ---- */

/* The periodic schedule of a microframe, by its FRINDEX. */
void ehci_run_periodic(struct ehci_work *w, uint32_t frindex);

#endif
