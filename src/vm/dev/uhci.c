/*
 * Universal host controller (UHCI design guide 1.1): low and full speed USB on two ports, as in Intel's PIIX3, PIIX4 and ICH9.
 *
 * While the schedule runs, the work of a frame is done at its end, all at once: the frame list's entry and what it links to,
 * breadth and depth as the link pointers say, until the bits that a frame has time for are used up or the schedule has been
 * gone round without anything to do. Interrupts of the frame are raised then, as the guide says (2.1.2). A frame takes what
 * SOFMOD says: a millisecond. FRNUM counts those.
 *
 * What the guest has in memory is not trusted: a frame looks at no more than VISITS_MOST elements. PIDs that there are not and
 * lengths that are none are consistency errors, which halt the controller (2.1.2, Host Controller Process Error).
 *
 * Packets of the wrong data toggle are acknowledged and lost, as the USB's protocol has it (USB 2.0, 8.6): by the device those
 * that go out, by the controller those that come in, whose descriptors stay active.
 *
 * As a companion (masterbus=) it has ports of an EHCI controller, as long as that hands them to it: then devices come and go.
 *
 * Not modelled: single steps (SWDBG is kept), isochronous devices (descriptors for them end, without an answer), legacy
 * keyboard emulation by SMIs (LEGSUP keeps its enabling bits), over-current.
 */
#include "vm/dev/uhci.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

enum { R_USBCMD = 0x00, R_USBSTS = 0x02, R_USBINTR = 0x04, R_FRNUM = 0x06, R_FRBASEADD = 0x08, R_SOFMOD = 0x0c,
       R_PORTSC = 0x10 };

#define CMD_RS      0x0001u
#define CMD_HCRESET 0x0002u
#define CMD_GRESET  0x0004u
#define CMD_EGSM    0x0008u
#define CMD_FGR     0x0010u

#define STS_USBINT  0x0001u
#define STS_ERROR   0x0002u
#define STS_RESUME  0x0004u
#define STS_PROCESS 0x0010u
#define STS_HALTED  0x0020u
#define STS_CLEARED 0x001fu /* by writing ones */

#define INTR_ERROR  0x0001u
#define INTR_RESUME 0x0002u
#define INTR_IOC    0x0004u
#define INTR_SHORT  0x0008u

#define PORT_CCS     0x0001u
#define PORT_CSC     0x0002u
#define PORT_PED     0x0004u
#define PORT_PEDC    0x0008u
#define PORT_DPLUS   0x0010u
#define PORT_DMINUS  0x0020u
#define PORT_RD      0x0040u
#define PORT_ALWAYS  0x0080u
#define PORT_LSDA    0x0100u
#define PORT_PR      0x0200u
#define PORT_SUSPEND 0x1000u

#define LINK_T  0x1u
#define LINK_Q  0x2u
#define LINK_VF 0x4u

#define TD_ACTLEN  0x000007ffu
#define TD_TIMEOUT 0x00040000u
#define TD_NAK     0x00080000u
#define TD_BABBLE  0x00100000u
#define TD_STALLED 0x00400000u
#define TD_ACTIVE  0x00800000u
#define TD_STATUS  0x007e0000u /* the errors */
#define TD_IOC     0x01000000u
#define TD_ISO     0x02000000u
#define TD_LS      0x04000000u
#define TD_ERRORS  27          /* C_ERR: two bits from here */
#define TD_SPD     0x20000000u

#define UHCI_PORTS       2u
#define BAR_BYTES   32u
#define REG_SBRN    0x60u      /* of configuration space */
#define REG_LEGSUP  0xc0u
#define LEGSUP_PIRQ 0x2000u
#define PACKET_MOST 1280u      /* bytes (3.2.3) */
#define OVERHEAD    13u        /* bytes of a transaction besides its data: tokens, handshake, turning round (USB 2.0, 5.11.3) */
#define VISITS_MOST 2048u      /* elements looked at in a frame */

/* Why USBINT is set. */
#define CAUSE_IOC   1u
#define CAUSE_SHORT 2u

DEVICE_STATE_BEGIN
struct uhci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t frame_end;   /* vtime at which the frame ends, while the schedule runs */
    uint32_t frbaseadd;
    uint16_t cmd, sts, intr, frnum;
    uint16_t portsc[UHCI_PORTS];
    uint8_t sofmod;
    uint8_t cause;        /* of USBINT: CAUSE_... */
    uint8_t reserved[6];
};
DEVICE_STATE_END

/* Wiring. */
struct uhci {
    struct pci_function pci;
    struct usb_bus usb;
    struct usb_port *ports[UHCI_PORTS]; /* of `usb`, or of an EHCI controller whose companion this is */
    struct uhci_state *st;
};

struct td {
    uint32_t at;
    uint32_t link, control, token, buffer;
};

/* A frame in progress. */
struct frame {
    uint32_t bits;         /* that are left */
    unsigned visits;       /* elements looked at */
    uint32_t mark;         /* a queue head since which nothing was done (Brent's cycle detection) */
    unsigned since, until; /* queue heads visited since the mark, and after how many the mark moves */
    uint8_t cause;
    bool error;            /* USB error interrupt */
    bool halted;           /* by a consistency error */
};

/* ---- interrupts ---- */

static void update_irq(struct uhci *u)
{
    const struct uhci_state *s = u->st;
    bool level = ((s->cause & CAUSE_IOC) && (s->intr & INTR_IOC)) || ((s->cause & CAUSE_SHORT) && (s->intr & INTR_SHORT)) ||
                 ((s->sts & STS_ERROR) && (s->intr & INTR_ERROR)) || ((s->sts & STS_RESUME) && (s->intr & INTR_RESUME)) ||
                 (s->sts & STS_PROCESS);

    pci_set_intx(&u->pci, level && (get_le16(s->config + REG_LEGSUP) & LEGSUP_PIRQ));
}

/* ---- transfer descriptors ---- */

enum outcome {
    DONE,    /* the descriptor ended well */
    WAITS,   /* it stays active, or ended otherwise: the queue does not go on */
};

static bool read_td(struct uhci *u, uint32_t at, struct td *td)
{
    uint8_t bytes[16];

    td->at = at & ~15u;
    if (!pci_dma_read(&u->pci, td->at, bytes, sizeof(bytes)))
        return false;
    td->link = get_le32(bytes);
    td->control = get_le32(bytes + 4);
    td->token = get_le32(bytes + 8);
    td->buffer = get_le32(bytes + 12);
    return true;
}

static void write_control(struct uhci *u, const struct td *td, uint32_t control)
{
    uint8_t bytes[4];

    if (control == td->control)
        return;
    put_le32(bytes, control);
    pci_dma_write(&u->pci, td->at + 4, bytes, sizeof(bytes));
}

/* Lengths are kept less one: 7FFh is 0. */
static unsigned packet_len(const struct td *td)
{
    return ((td->token >> 21) + 1) & 0x7ffu;
}

static bool is_consistent(const struct td *td)
{
    unsigned pid = td->token & 0xffu;

    return (pid == USB_PID_IN || pid == USB_PID_OUT || pid == USB_PID_SETUP) && packet_len(td) <= PACKET_MOST;
}

static struct usb_device *port_device(const struct uhci *u, unsigned port)
{
    return usb_port_device(u->ports[port], &u->usb);
}

static struct usb_device *addressee(struct uhci *u, const struct td *td)
{
    struct usb_device *d = NULL;

    for (unsigned i = 0; i < UHCI_PORTS && !d; i++)
        if (port_device(u, i))
            d = usb_find(u->ports[i], td->token >> 8 & 0x7fu);
    return d && (d->speed == USB_LOW) == !!(td->control & TD_LS) ? d : NULL;
}

/* The transaction itself. *len: as usb_transact() has it. *lost: the toggle was the wrong one, what came is not wanted. */
static enum usb_answer transact(struct uhci *u, const struct td *td, uint8_t *buf, size_t *len, bool *lost)
{
    enum usb_pid pid = td->token & 0xffu;
    unsigned endpoint = td->token >> 15 & 15u;
    struct usb_device *d = addressee(u, td);

    return d ? usb_transact_toggled(d, pid, endpoint, td->token & 1u << 19, buf, len, lost) : USB_SILENCE;
}

/* An error that is counted: with the last one allowed the descriptor ends. 0: there is no end of them. */
static uint32_t count_error(struct frame *f, uint32_t control)
{
    unsigned left = control >> TD_ERRORS & 3u;

    control |= TD_TIMEOUT;
    if (left) {
        control -= 1u << TD_ERRORS;
        if (left == 1) {
            control = (control | TD_STALLED) & ~TD_ACTIVE;
            f->error = true;
        }
    }
    return control;
}

static uint32_t with_len(uint32_t control, size_t len)
{
    return (control & ~(TD_ACTLEN | TD_STATUS | TD_ACTIVE)) | ((uint32_t)(len - 1) & TD_ACTLEN);
}

static enum outcome finish(struct uhci *u, struct frame *f, const struct td *td, enum usb_answer a, size_t len, bool in)
{
    uint32_t control = td->control & ~TD_NAK;
    enum outcome o = WAITS;

    if (td->control & TD_ISO && a != USB_ACK) {
        control = with_len(control, 0) | TD_TIMEOUT;
        o = DONE;
    } else if (a == USB_ACK) {
        control = with_len(control, len);
        if (in && len < packet_len(td) && (control & TD_SPD) && !(control & TD_ISO))
            f->cause |= CAUSE_SHORT;
        else
            o = DONE;
    } else if (a == USB_NAK) {
        control |= TD_NAK;
    } else if (a == USB_SILENCE) {
        control = count_error(f, control);
    } else {
        control = with_len(control, 0) | TD_STALLED | (a == USB_BABBLE ? TD_BABBLE : 0);
        f->error = true;
    }
    if (!(control & TD_ACTIVE) && (control & TD_IOC))
        f->cause |= CAUSE_IOC;
    write_control(u, td, control);
    return o;
}

/* Is there time for it in this frame? */
static bool afford(struct frame *f, const struct td *td)
{
    uint32_t bits = (packet_len(td) + OVERHEAD) * 8 * (td->control & TD_LS ? 8 : 1);

    if (bits > f->bits) {
        f->bits = 0;
        return false;
    }
    f->bits -= bits;
    return true;
}

static enum outcome run_td(struct uhci *u, struct frame *f, const struct td *td)
{
    bool in = (td->token & 0xffu) == USB_PID_IN, lost = false;
    size_t len = packet_len(td);
    uint8_t buf[PACKET_MOST];
    enum usb_answer a;

    if (!is_consistent(td)) {
        f->halted = true;
        return WAITS;
    }
    if (!afford(f, td))
        return WAITS;
    if (!in)
        pci_dma_read(&u->pci, td->buffer, buf, len);
    a = transact(u, td, buf, &len, &lost);
    if (in && lost && a == USB_ACK)
        return WAITS;
    if (in && a == USB_ACK)
        pci_dma_write(&u->pci, td->buffer, buf, len);
    return finish(u, f, td, a, len, in);
}

/* ---- the schedule ---- */

/* Something was done: what was gone round before may have changed. */
static void progress(struct frame *f)
{
    f->mark = LINK_T;
    f->since = 0;
    f->until = 1;
}

/* False: everything from here on was seen since anything was done. */
static bool visit_queue(struct frame *f, uint32_t at)
{
    if (at == f->mark)
        return false;
    if (++f->since >= f->until) {
        f->mark = at;
        f->since = 0;
        f->until *= 2;
    }
    return true;
}

static bool goes_on(struct frame *f)
{
    return ++f->visits <= VISITS_MOST && f->bits && !f->halted;
}

/* A queue: its descriptors, as long as they end and say depth first. The link of where the schedule goes on. */
static uint32_t run_queue(struct uhci *u, struct frame *f, uint32_t at)
{
    uint32_t link, element;
    uint8_t bytes[8];
    struct td td;

    if (!pci_dma_read(&u->pci, at, bytes, sizeof(bytes)))
        return LINK_T;
    link = get_le32(bytes);
    element = get_le32(bytes + 4);
    if (!(element & LINK_T) && (element & LINK_Q))
        return element;
    while (!(element & LINK_T) && !(element & LINK_Q) && goes_on(f)) {
        if (!read_td(u, element, &td) || !(td.control & TD_ACTIVE) || run_td(u, f, &td) != DONE)
            break;
        progress(f);
        element = td.link;
        put_le32(bytes, element);
        pci_dma_write(&u->pci, at + 4, bytes, 4);
        if (!(element & LINK_VF))
            break;
    }
    return link;
}

static void run_frame(struct uhci *u, struct frame *f)
{
    const struct uhci_state *s = u->st;
    uint8_t bytes[4];
    uint32_t link;
    struct td td;

    if (!pci_dma_read(&u->pci, s->frbaseadd + 4 * (s->frnum & 0x3ffu), bytes, sizeof(bytes)))
        return;
    progress(f);
    for (link = get_le32(bytes); !(link & LINK_T) && goes_on(f);) {
        if (link & LINK_Q) {
            if (!visit_queue(f, link & ~15u))
                return;
            link = run_queue(u, f, link & ~15u);
            continue;
        }
        if (!read_td(u, link, &td))
            return;
        if (td.control & TD_ACTIVE && run_td(u, f, &td) == DONE)
            progress(f);
        link = td.link;
    }
}

static vtime_t frame_ns(const struct uhci_state *s)
{
    return (11936ull + s->sofmod) * 250 / 3; /* bit times of 12 MHz */
}

static void halt(struct uhci_state *s)
{
    s->cmd &= (uint16_t)~CMD_RS;
    s->sts |= STS_HALTED;
    s->frame_end = VTIME_NEVER;
}

static void uhci_expire(struct device *dev, vtime_t now)
{
    struct uhci *u = dev->wiring;
    struct uhci_state *s = u->st;
    struct frame f = {.bits = 11936u + s->sofmod};

    (void)now;
    run_frame(u, &f);
    s->frnum = (s->frnum + 1) & 0x7ffu;
    s->frame_end += frame_ns(s);
    s->cause |= f.cause;
    if (f.cause)
        s->sts |= STS_USBINT;
    if (f.error)
        s->sts |= STS_ERROR;
    if (f.halted) {
        s->sts |= STS_PROCESS;
        halt(s);
    }
    update_irq(u);
}

/* ---- ports ---- */

static bool bus_enabled(const struct usb_bus *bus, unsigned port)
{
    const struct uhci *u = bus->dev->wiring;

    return (u->st->portsc[port] & (PORT_PED | PORT_SUSPEND)) == PORT_PED && !(u->st->cmd & CMD_EGSM);
}

static void bus_wakeup(struct usb_bus *bus, unsigned port)
{
    struct uhci *u = bus->dev->wiring;
    struct uhci_state *s = u->st;

    if ((s->portsc[port] & PORT_PED) && ((s->portsc[port] & PORT_SUSPEND) || (s->cmd & CMD_EGSM))) {
        s->portsc[port] |= PORT_RD;
        s->sts |= STS_RESUME;
        update_irq(u);
    }
}

static void bus_describe(const struct usb_bus *bus, struct buffer *out)
{
    const struct uhci *u = bus->dev->wiring;

    buffer_printf(out, ", %s, frame %u", u->st->cmd & CMD_RS ? "running" : "halted", u->st->frnum);
}

static uint16_t connection(const struct usb_device *d)
{
    return d ? PORT_CCS | PORT_CSC | (d->speed == USB_LOW ? PORT_LSDA | PORT_DMINUS : PORT_DPLUS) : 0;
}

/* A device that comes, or goes, with the port. */
static void bus_routed(struct usb_bus *bus, unsigned port)
{
    struct uhci *u = bus->dev->wiring;

    u->st->portsc[port] = PORT_ALWAYS | PORT_CSC | connection(port_device(u, port));
}

static const struct usb_bus_ops bus_ops = {.enabled = bus_enabled, .wakeup = bus_wakeup, .describe = bus_describe, .routed = bus_routed};

/* As after power-on, or a reset of the controller: what is plugged in has just been found. */
static void reset_ports(struct uhci *u)
{
    for (unsigned i = 0; i < UHCI_PORTS; i++)
        u->st->portsc[i] = PORT_ALWAYS | connection(port_device(u, i));
}

static void write_port(struct uhci *u, unsigned n, uint16_t value)
{
    uint16_t *p = &u->st->portsc[n], was = *p;
    struct usb_device *d = port_device(u, n);
    uint16_t kept = PORT_PED | PORT_RD | PORT_PR | PORT_SUSPEND;

    *p &= (uint16_t)~((value & (PORT_CSC | PORT_PEDC)) | kept);
    *p |= value & kept;
    if (!d)
        *p &= (uint16_t)~(PORT_PED | PORT_SUSPEND | PORT_RD);
    if (*p & PORT_PR) {
        *p &= (uint16_t)~(PORT_PED | PORT_SUSPEND | PORT_RD);
        if (d && !(was & PORT_PR))
            usb_bus_reset(d);
    }
    if ((was & PORT_RD) && !(value & PORT_RD)) /* the resume has ended */
        *p &= (uint16_t)~PORT_SUSPEND;
}

/* ---- registers ---- */

static void reset_controller(struct uhci *u)
{
    struct uhci_state *s = u->st;

    s->cmd = s->intr = s->frnum = s->cause = 0;
    s->sts = STS_HALTED;
    s->frbaseadd = 0;
    s->sofmod = 0x40;
    s->frame_end = VTIME_NEVER;
    reset_ports(u);
}

static void write_cmd(struct uhci *u, uint16_t value)
{
    struct uhci_state *s = u->st;
    bool ran = s->cmd & CMD_RS;

    if (value & (CMD_HCRESET | CMD_GRESET)) {
        reset_controller(u);
        for (unsigned i = 0; i < UHCI_PORTS && (value & CMD_GRESET); i++)
            if (port_device(u, i))
                usb_bus_reset(port_device(u, i));
        s->cmd = value & CMD_GRESET;
        update_irq(u);
        return;
    }
    s->cmd = value & 0x00ffu;
    if (!(s->cmd & CMD_RS)) {
        halt(s);
    } else if (!ran) {
        s->sts &= (uint16_t)~STS_HALTED;
        s->frame_end = machine_now(u->usb.dev->machine) + frame_ns(s);
    }
    machine_attention(u->usb.dev->machine);
}

static uint16_t read_word(const struct uhci *u, unsigned offset)
{
    const struct uhci_state *s = u->st;

    switch (offset) {
    case R_USBCMD:        return s->cmd;
    case R_USBSTS:        return s->sts;
    case R_USBINTR:       return s->intr;
    case R_FRNUM:         return s->frnum;
    case R_FRBASEADD:     return (uint16_t)s->frbaseadd;
    case R_FRBASEADD + 2: return (uint16_t)(s->frbaseadd >> 16);
    case R_SOFMOD:        return s->sofmod;
    case R_PORTSC: case R_PORTSC + 2: return s->portsc[(offset - R_PORTSC) / 2];
    default:              return 0;
    }
}

static void write_word(struct uhci *u, unsigned offset, uint16_t value)
{
    struct uhci_state *s = u->st;

    switch (offset) {
    case R_USBCMD:
        write_cmd(u, value);
        break;
    case R_USBSTS:
        s->sts &= (uint16_t)~(value & STS_CLEARED);
        if (!(s->sts & STS_USBINT))
            s->cause = 0;
        break;
    case R_USBINTR:
        s->intr = value & 0x000fu;
        break;
    case R_FRNUM:
        if (s->sts & STS_HALTED)
            s->frnum = value & 0x07ffu;
        break;
    case R_FRBASEADD:
        s->frbaseadd = (s->frbaseadd & 0xffff0000u) | (value & 0xf000u);
        break;
    case R_FRBASEADD + 2:
        s->frbaseadd = (s->frbaseadd & 0x0000ffffu) | (uint32_t)value << 16;
        break;
    case R_SOFMOD:
        s->sofmod = value & 0x7fu;
        break;
    case R_PORTSC: case R_PORTSC + 2:
        write_port(u, (offset - R_PORTSC) / 2, value);
        break;
    default:
        break;
    }
    update_irq(u);
}

static uint64_t uhci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct uhci *u = dev->wiring;
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)(read_word(u, (unsigned)(offset + i) & ~1u) >> (8 * ((offset + i) & 1u)) & 0xffu) << (8 * i);
    return value;
}

/* Registers are of words; SOFMOD, of a byte, and halves of others are written as bytes with the rest as it was. */
static void uhci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct uhci *u = dev->wiring;
    unsigned at = (unsigned)offset & ~1u;

    (void)range;
    if (size == 1) {
        unsigned shift = 8 * (offset & 1u);
        uint16_t rest = (at == R_USBSTS ? 0 : read_word(u, at)) & (uint16_t)~(0xffu << shift);

        if (at >= R_PORTSC)
            rest &= (uint16_t)~(PORT_CSC | PORT_PEDC);
        write_word(u, at, (uint16_t)(rest | (value & 0xffu) << shift));
        return;
    }
    for (unsigned i = 0; i < size; i += 2)
        write_word(u, at + i, (uint16_t)(value >> (8 * i)));
}

/* ---- the device ---- */

static void uhci_reset(struct device *dev)
{
    struct uhci *u = dev->wiring;

    pci_function_reset(&u->pci);
    reset_controller(u);
}

/* A resume that a device asked for, or another interrupt, may go to the pin or not: LEGSUP. */
static void uhci_configured(struct device *dev, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    update_irq(dev->wiring);
}

static vtime_t uhci_deadline(const struct device *dev)
{
    const struct uhci_state *s = dev->state;

    return s->frame_end;
}

static bool uhci_possible(const struct device *dev)
{
    const struct uhci_state *s = dev->state;

    return s->sofmod < 0x80 && machine_deadline_possible(dev->machine, s->frame_end);
}

static void uhci_describe(const struct device *dev, struct buffer *b)
{
    const struct uhci_state *s = dev->state;

    buffer_printf(b, "cmd %04x sts %04x intr %04x frnum %03x frbaseadd %08x ports %04x %04x\n", s->cmd, s->sts, s->intr, s->frnum,
                  s->frbaseadd, s->portsc[0], s->portsc[1]);
}

#define UHCI_OPS(ops_name)                                                                                      \
    {                                                                                                           \
        .name = ops_name, .state_size = sizeof(struct uhci_state), .state_version = 1, .reset = uhci_reset,     \
        .deadline = uhci_deadline, .expire = uhci_expire, .possible = uhci_possible, .describe = uhci_describe, \
        .read = uhci_read, .write = uhci_write                                                                  \
    }

/* A kind of it. Its pin is INTD where the function is part of a south bridge. */
struct kind {
    struct device_ops ops;
    uint16_t id;
    uint8_t revision, pin;
};

static const struct kind piix3 = {UHCI_OPS("piix3-usb-uhci"), 0x7020, 1, 4};
static const struct kind piix4 = {UHCI_OPS("piix4-usb-uhci"), 0x7112, 1, 4};
static const struct kind ich9[] = {{UHCI_OPS("ich9-usb-uhci1"), 0x2934, 3, 4},
                                   {UHCI_OPS("ich9-usb-uhci2"), 0x2935, 3, 2},
                                   {UHCI_OPS("ich9-usb-uhci3"), 0x2936, 3, 3}};

const struct option_key uhci_keys[] = {{"masterbus", "ID"}, {"firstport", "0 to 4"}, {NULL, NULL}};

static int plug(struct sockets *s, const struct kind *k, const char *name, uint8_t devfn, const struct option_list *props,
                struct error *err)
{
    struct pci_identity identity = {.vendor = 0x8086, .device = k->id, .class_code = 0x0c0300, .revision = k->revision, .pin = k->pin,
                                    .subsystem_vendor = 0x1af4, .subsystem = 0x1100};
    const unsigned speeds = 1u << USB_LOW | 1u << USB_FULL;
    struct device *dev;
    struct uhci *u;

    if (!s->pci->ports)
        return error_set(err, -ENODEV, "it needs I/O ports, which this board has not; --device qemu-xhci does without");
    if (option_list_get(props, "firstport") && !option_list_get(props, "masterbus"))
        return error_set(err, -EINVAL, "firstport= is for the companion of an EHCI controller: masterbus=ID");
    dev = machine_add_owned_device(s->machine, &k->ops, name, sizeof(*u));
    u = dev->wiring;
    u->st = dev->state;
    pci_function_init(&u->pci, s->pci, devfn, dev, u->st->config, &identity);
    pci_add_bar(&u->pci, 4, PCI_BAR_IO, false, BAR_BYTES, 0);
    u->pci.reset[REG_SBRN] = 0x10;
    put_le16(u->pci.reset + REG_LEGSUP, LEGSUP_PIRQ);
    put_le16(u->pci.writable + REG_LEGSUP, 0x20bfu);
    u->pci.written = uhci_configured;
    if (option_list_get(props, "masterbus"))
        return usb_companion_init(&u->usb, s->machine, dev, &bus_ops, u->ports, UHCI_PORTS, speeds, props, err);
    usb_bus_init(&u->usb, s->machine, dev, &bus_ops, UHCI_PORTS, speeds);
    for (unsigned i = 0; i < UHCI_PORTS; i++)
        u->ports[i] = &u->usb.ports[i];
    return 0;
}

int piix3_usb_uhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, &piix3, name, devfn, props, err);
}

int piix4_usb_uhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, &piix4, name, devfn, props, err);
}

int ich9_usb_uhci1_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, &ich9[0], name, devfn, props, err);
}

int ich9_usb_uhci2_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, &ich9[1], name, devfn, props, err);
}

int ich9_usb_uhci3_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d;
    return plug(s, &ich9[2], name, devfn, props, err);
}
