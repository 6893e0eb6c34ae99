/*
 * eXtensible host controller (xHCI 1.1; it says 1.0, as QEMU's does): registers, root ports, and the device. What happens on
 * rings: xhci_event.c, xhci_command.c, xhci_transfer.c.
 *
 * There are four connectors. Each is two root ports: one of USB 3 (1 to 4), one of USB 2 (5 to 8); a device is at that of
 * its speed. Contexts have 32 bytes, addresses 64 bits.
 *
 * The controller does something when it is due only: the time of each endpoint, of the command ring, of interrupts that
 * moderation holds back is state, the earliest of them is the device's deadline. MFINDEX is computed.
 *
 * Not modelled: streams (MaxPSASize is 0), isochronous transfers (they end in errors), bandwidth, virtual functions, debug
 * capability, power states between U0 and U3 (accepted), saving and restoring (restoring fails, as after power was lost).
 */
#include "vm/dev/xhci.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/xhci_internal.h"
#include "vm/machine.h"

#define REG_SBRN      0x60u /* of configuration space; capabilities come behind it (5.2.3) */
#define BAR_BYTES     0x4000u
#define OPERATIONAL   0x0040u
#define PORT_REGS     0x0440u
#define RUNTIME       0x1000u
#define DOORBELLS     0x2000u
#define MSIX_AT       0x3000u
#define PENDING_AT    0x3800u
#define MICROFRAME    125000ull
#define WRAP          (0x4000u * MICROFRAME)

/* Of PORTPMSC, what can be written (5.4.9). */
#define PMSC_USB3 0x0001ffffu
#define PMSC_USB2 0xf001fff8u

enum { O_USBCMD = 0x00, O_USBSTS = 0x04, O_PAGESIZE = 0x08, O_DNCTRL = 0x14, O_CRCR = 0x18, O_DCBAAP = 0x30, O_CONFIG = 0x38 };
enum { I_IMAN = 0x00, I_IMOD = 0x04, I_ERSTSZ = 0x08, I_ERSTBA = 0x10, I_ERDP = 0x18 };

#define CRCR_CS   2u
#define CRCR_CA   4u
#define CRCR_CRR  8u
#define IMAN_IP   1u
#define IMAN_IE   2u
#define ERDP_EHB  8u

/* PORTSC (5.4.8). */
#define PORT_CCS   0x00000001u
#define PORT_PED   0x00000002u
#define PORT_PR    0x00000010u
#define PORT_PLS(n) ((uint32_t)(n) << 5)
#define PORT_PP    0x00000200u
#define PORT_SPEED(n) ((uint32_t)(n) << 10)
#define PORT_LWS   0x00010000u
#define PORT_CSC   0x00020000u
#define PORT_PEC   0x00040000u
#define PORT_WRC   0x00080000u
#define PORT_PRC   0x00200000u
#define PORT_PLC   0x00400000u
#define PORT_CHANGES 0x00fe0000u
#define PORT_KEPT  0x0e00c000u /* indicators, wake enables */
#define PORT_WPR   0x80000000u
enum { LINK_U0 = 0, LINK_U3 = 3, LINK_DISABLED = 4, LINK_RX_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };

/* ---- memory ---- */

static void stop(struct xhci *x)
{
    x->st->cmd &= ~XHCI_CMD_RS;
    x->st->sts |= XHCI_STS_HCH;
}

static bool mastered(struct xhci *x, bool done)
{
    if (!done) {
        x->st->sts |= XHCI_STS_HSE;
        stop(x);
    }
    return done;
}

bool xhci_read(struct xhci *x, uint64_t at, void *buf, size_t len)
{
    memset(buf, 0, len);
    return mastered(x, pci_dma_read(&x->pci, at, buf, len));
}

bool xhci_write(struct xhci *x, uint64_t at, const void *buf, size_t len)
{
    return mastered(x, pci_dma_write(&x->pci, at, buf, len));
}

bool xhci_read_trb(struct xhci *x, uint64_t at, struct xhci_trb *t)
{
    uint8_t bytes[TRB_BYTES];

    if (!xhci_read(x, at, bytes, sizeof(bytes)))
        return false;
    t->parameter = get_le64(bytes);
    t->status = get_le32(bytes + 8);
    t->control = get_le32(bytes + 12);
    return true;
}

bool xhci_read_words(struct xhci *x, uint64_t at, uint32_t *words, unsigned n)
{
    uint8_t bytes[32];

    CHECK(4 * n <= sizeof(bytes));
    if (!xhci_read(x, at, bytes, 4 * n))
        return false;
    for (unsigned i = 0; i < n; i++)
        words[i] = get_le32(bytes + 4 * i);
    return true;
}

bool xhci_write_words(struct xhci *x, uint64_t at, const uint32_t *words, unsigned n)
{
    uint8_t bytes[32];

    CHECK(4 * n <= sizeof(bytes));
    for (unsigned i = 0; i < n; i++)
        put_le32(bytes + 4 * i, words[i]);
    return xhci_write(x, at, bytes, 4 * n);
}

uint64_t xhci_follow(uint64_t dequeue, const struct xhci_trb *link)
{
    uint64_t cycle = (dequeue & TRB_CYCLE) ^ (link->control & TRB_TC ? 1u : 0);

    return (link->parameter & ~15ull) | cycle;
}

void xhci_fail(struct xhci *x)
{
    x->st->sts |= XHCI_STS_HCE;
    stop(x);
}

bool xhci_runs(const struct xhci *x)
{
    return !(x->st->sts & XHCI_STS_HCH);
}

vtime_t xhci_now(const struct xhci *x)
{
    return machine_now(x->usb.dev->machine);
}

/* ---- time ---- */

static vtime_t earlier(vtime_t a, vtime_t b)
{
    return a < b ? a : b;
}

void xhci_plan(struct xhci *x)
{
    struct xhci_state *s = x->st;
    vtime_t wake = xhci_interrupt_due(x);

    if (xhci_runs(x)) {
        wake = earlier(wake, s->command_at);
        if (s->cmd & XHCI_CMD_EWE)
            wake = earlier(wake, s->wrap_at);
        for (unsigned i = 0; i < XHCI_SLOTS; i++)
            for (unsigned ep = 0; s->slot[i].used && ep < XHCI_ENDPOINTS; ep++)
                wake = earlier(wake, s->slot[i].ep[ep].due);
    }
    s->wake = wake;
    machine_attention(x->usb.dev->machine);
}

/* ---- ports ---- */

/* The root port (counted from 0) that the device in a connector is at. */
static unsigned root_port(const struct usb_device *d, unsigned connector)
{
    return d->speed == USB_SUPER ? connector : connector + XHCI_CONNECTORS;
}

static struct usb_device *device_at(struct xhci *x, unsigned root)
{
    struct usb_device *d = x->usb.ports[root % XHCI_CONNECTORS].dev;

    return d && root_port(d, root % XHCI_CONNECTORS) == root ? d : NULL;
}

static void tell_port(struct xhci *x, unsigned n)
{
    struct xhci_trb t = {.parameter = (uint64_t)(n + 1) << 24, .status = (uint32_t)CC_SUCCESS << 24,
                         .control = TRB_PORT_EVENT << 10};

    x->st->untold |= 1u << n;
    if (!xhci_runs(x) || !xhci_has_room(x, 0))
        return;
    x->st->untold &= ~(1u << n);
    xhci_event(x, 0, &t, false);
}

static void tell_ports(struct xhci *x)
{
    for (unsigned n = 0; n < XHCI_ROOT_PORTS; n++)
        if (x->st->untold >> n & 1u)
            tell_port(x, n);
}

static void port_changed(struct xhci *x, unsigned n, uint32_t bits)
{
    uint32_t *p = &x->st->portsc[n];

    if ((*p & bits) == bits)
        return;
    *p |= bits;
    x->st->sts |= XHCI_STS_PCD;
    tell_port(x, n);
}

static void set_link(uint32_t *p, unsigned state)
{
    *p = (*p & ~PORT_PLS(15)) | PORT_PLS(state);
}

static unsigned link_of(uint32_t p)
{
    return p >> 5 & 15u;
}

/* As after power-on: what is plugged in has just been found. A link of USB 3 trains by itself. */
static void reset_port(struct xhci *x, unsigned n)
{
    static const uint8_t ids[USB_SPEEDS] = {[USB_LOW] = 2, [USB_FULL] = 1, [USB_HIGH] = 3, [USB_SUPER] = 4};
    const struct usb_device *d = device_at(x, n);
    uint32_t *p = &x->st->portsc[n];

    *p = PORT_PP;
    x->st->portpmsc[n] = 0;
    set_link(p, d ? d->speed == USB_SUPER ? LINK_U0 : LINK_POLLING : LINK_RX_DETECT);
    if (d) {
        *p |= PORT_CCS | PORT_SPEED(ids[d->speed]) | (d->speed == USB_SUPER ? PORT_PED : 0);
        port_changed(x, n, PORT_CSC);
    }
}

static void drive_reset(struct xhci *x, unsigned n, bool warm)
{
    struct usb_device *d = device_at(x, n);
    uint32_t *p = &x->st->portsc[n];

    if (!d)
        return;
    usb_bus_reset(d);
    *p |= PORT_PED;
    set_link(p, LINK_U0);
    port_changed(x, n, PORT_PRC | (warm ? PORT_WRC : 0));
}

/* Link state by software (4.15, 4.19): to U3, and out of it. */
static void write_link(struct xhci *x, unsigned n, unsigned state)
{
    uint32_t *p = &x->st->portsc[n];
    unsigned was = link_of(*p);

    if (state == LINK_U3 && was == LINK_U0 && (*p & PORT_PED)) {
        set_link(p, LINK_U3);
    } else if (state == LINK_RESUME && was == LINK_U3) {
        set_link(p, LINK_RESUME);
    } else if (state == LINK_U0 && (was == LINK_U3 || was == LINK_RESUME)) {
        set_link(p, LINK_U0);
        port_changed(x, n, PORT_PLC);
    } else if (state == LINK_RX_DETECT && n < XHCI_CONNECTORS && was == LINK_DISABLED) {
        reset_port(x, n);
    } else if (state == LINK_DISABLED && n < XHCI_CONNECTORS) {
        *p &= ~(PORT_PED | PORT_CCS);
        set_link(p, LINK_DISABLED);
    }
}

static void write_port(struct xhci *x, unsigned n, uint32_t value)
{
    uint32_t *p = &x->st->portsc[n];

    *p &= ~(value & PORT_CHANGES);
    *p = (*p & ~PORT_KEPT) | (value & PORT_KEPT);
    if (value & PORT_WPR && n < XHCI_CONNECTORS) {
        drive_reset(x, n, true);
    } else if (value & PORT_PR) {
        drive_reset(x, n, false);
    } else if ((value & PORT_PED) && (*p & PORT_PED)) {
        *p &= ~PORT_PED;
        set_link(p, LINK_DISABLED);
    } else if (value & PORT_LWS) {
        write_link(x, n, link_of(value));
    }
}

static bool bus_enabled(const struct usb_bus *bus, unsigned connector)
{
    struct xhci *x = bus->dev->wiring;
    const struct usb_device *d = bus->ports[connector].dev;
    uint32_t p = d ? x->st->portsc[root_port(d, connector)] : 0;

    return (p & PORT_PED) && link_of(p) != LINK_U3 && link_of(p) != LINK_RESUME;
}

static void bus_wakeup(struct usb_bus *bus, unsigned connector)
{
    struct xhci *x = bus->dev->wiring;
    unsigned n = root_port(bus->ports[connector].dev, connector);
    uint32_t *p = &x->st->portsc[n];

    if (!(*p & PORT_PED) || link_of(*p) != LINK_U3)
        return;
    set_link(p, LINK_RESUME);
    port_changed(x, n, PORT_PLC);
    xhci_plan(x);
}

static unsigned connector_of(const struct usb_device *d)
{
    while (d->port->hub)
        d = d->port->hub;
    return d->port->n;
}

static void bus_ready(struct usb_bus *bus, struct usb_device *d, unsigned endpoint)
{
    struct xhci *x = bus->dev->wiring;
    unsigned index = 2 * (endpoint & 15u) + (endpoint >> 7 & 1u);

    if (!index)
        return;
    for (unsigned i = 0; i < XHCI_SLOTS; i++) {
        struct xhci_slot *s = &x->st->slot[i];

        if (s->used && s->address == d->st->address && s->port && (s->port - 1u) % XHCI_CONNECTORS == connector_of(d) &&
            s->ep[index - 1].waiting)
            xhci_activate(x, i, index - 1);
    }
}

static void bus_describe(const struct usb_bus *bus, struct buffer *out)
{
    const struct xhci *x = bus->dev->wiring;

    buffer_printf(out, ", %s", xhci_runs(x) ? "running" : "halted");
}

static const struct usb_bus_ops bus_ops = {.enabled = bus_enabled, .wakeup = bus_wakeup, .ready = bus_ready,
                                           .describe = bus_describe};

/* ---- capability registers (5.3, 7.2) ---- */

static uint32_t capability(uint64_t offset)
{
    switch (offset) {
    case 0x00: return 0x01000000u | OPERATIONAL;
    case 0x04: return XHCI_SLOTS | XHCI_VECTORS << 8 | XHCI_ROOT_PORTS << 24;
    case 0x08: return 0x0000004fu;  /* 16 segments of an event ring, scheduling threshold as QEMU's */
    case 0x10: return 0x00080001u;  /* 64-bit addresses; extended capabilities at 20h */
    case 0x14: return DOORBELLS;
    case 0x18: return RUNTIME;
    case 0x20: return 0x02000402u;  /* supported protocol: USB 2.0, the next one four words on */
    case 0x24: case 0x34: return 0x20425355u; /* "USB " */
    case 0x28: return (XHCI_CONNECTORS + 1) | XHCI_CONNECTORS << 8;
    case 0x30: return 0x03000002u;  /* USB 3.0 */
    case 0x38: return 1u | XHCI_CONNECTORS << 8;
    default:   return 0;
    }
}

/* ---- operational registers ---- */

/* HCRST, and power-on. */
static void reset_controller(struct xhci *x)
{
    struct xhci_state *s = x->st;

    s->cmd = s->dnctrl = s->configure = s->commands_run = s->untold = 0;
    s->sts = XHCI_STS_HCH;
    s->dcbaap = s->commands = 0;
    s->command_at = s->wrap_at = VTIME_NEVER;
    s->started = 0;
    memset(s->slot, 0, sizeof(s->slot));
    memset(s->intr, 0, sizeof(s->intr));
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        for (unsigned ep = 0; ep < XHCI_ENDPOINTS; ep++)
            s->slot[i].ep[ep].due = VTIME_NEVER;
    for (unsigned i = 0; i < XHCI_VECTORS; i++) {
        s->intr[i].imod = 4000; /* 5.5.2.2 */
        s->intr[i].cycle = 1;
    }
    for (unsigned n = 0; n < XHCI_ROOT_PORTS; n++) {
        if (device_at(x, n))
            usb_bus_reset(device_at(x, n));
        reset_port(x, n);
    }
}

static void write_cmd(struct xhci *x, uint32_t value)
{
    struct xhci_state *s = x->st;
    bool ran = xhci_runs(x);

    if (value & XHCI_CMD_HCRST) {
        reset_controller(x);
        return;
    }
    s->cmd = value & (XHCI_CMD_RS | XHCI_CMD_INTE | XHCI_CMD_HSEE | XHCI_CMD_EWE | XHCI_CMD_EU3S);
    if (value & XHCI_CMD_CSS)
        s->sts &= ~XHCI_STS_SRE;
    if (value & XHCI_CMD_CRS)
        s->sts |= XHCI_STS_SRE;
    if (!(value & XHCI_CMD_RS)) {
        s->sts |= XHCI_STS_HCH;
        s->commands_run = 0;
        s->command_at = VTIME_NEVER;
    } else if (!ran && !(s->sts & XHCI_STS_HCE)) {
        s->sts &= ~XHCI_STS_HCH;
        s->started = xhci_now(x);
        s->wrap_at = s->started + WRAP;
        tell_ports(x);
    }
}

static void write_crcr(struct xhci *x, bool upper, uint32_t value)
{
    struct xhci_state *s = x->st;

    if (!upper && (value & (CRCR_CS | CRCR_CA)) && s->commands_run) {
        xhci_stop_commands(x);
        return;
    }
    if (s->commands_run)
        return;
    if (upper)
        s->commands = (s->commands & 0xffffffffu) | (uint64_t)value << 32;
    else
        s->commands = (s->commands & ~0xffffffffull) | (value & ~0x3eu);
}

static uint32_t operational(const struct xhci *x, uint64_t offset)
{
    const struct xhci_state *s = x->st;

    switch (offset) {
    case O_USBCMD:     return s->cmd;
    case O_USBSTS:     return s->sts;
    case O_PAGESIZE:   return 1;
    case O_DNCTRL:     return s->dnctrl;
    case O_CRCR:       return s->commands_run ? CRCR_CRR : 0; /* all else reads as 0 */
    case O_DCBAAP:     return (uint32_t)s->dcbaap;
    case O_DCBAAP + 4: return (uint32_t)(s->dcbaap >> 32);
    case O_CONFIG:     return s->configure;
    default:           return 0;
    }
}

static void write_operational(struct xhci *x, uint64_t offset, uint32_t value)
{
    struct xhci_state *s = x->st;

    switch (offset) {
    case O_USBCMD:
        write_cmd(x, value);
        break;
    case O_USBSTS:
        s->sts &= ~(value & (XHCI_STS_HSE | XHCI_STS_EINT | XHCI_STS_PCD | XHCI_STS_SRE));
        break;
    case O_DNCTRL:
        s->dnctrl = value & 0xffffu;
        break;
    case O_CRCR: case O_CRCR + 4:
        write_crcr(x, offset & 4u, value);
        break;
    case O_DCBAAP:
        s->dcbaap = (s->dcbaap & ~0xffffffffull) | (value & ~63u);
        break;
    case O_DCBAAP + 4:
        s->dcbaap = (s->dcbaap & 0xffffffffu) | (uint64_t)value << 32;
        break;
    case O_CONFIG:
        s->configure = value & 0xffu;
        break;
    default:
        break;
    }
}

/* ---- runtime registers ---- */

static uint32_t mfindex(const struct xhci *x)
{
    return xhci_runs(x) ? (uint32_t)((xhci_now(x) - x->st->started) / MICROFRAME) & 0x3fffu : 0;
}

static uint32_t runtime(const struct xhci *x, uint64_t offset)
{
    const struct xhci_interrupter *i = &x->st->intr[((offset - 0x20) / 0x20) % XHCI_VECTORS];

    if (offset < 0x20 || offset >= 0x20 * (XHCI_VECTORS + 1))
        return offset ? 0 : mfindex(x);
    switch (offset & 0x1fu) {
    case I_IMAN:       return i->iman;
    case I_IMOD:       return i->imod;
    case I_ERSTSZ:     return i->erstsz;
    case I_ERSTBA:     return (uint32_t)i->erstba;
    case I_ERSTBA + 4: return (uint32_t)(i->erstba >> 32);
    case I_ERDP:       return (uint32_t)i->erdp;
    case I_ERDP + 4:   return (uint32_t)(i->erdp >> 32);
    default:           return 0;
    }
}

/* The guest has taken events. Who waited for room, goes on. */
static void write_erdp(struct xhci *x, unsigned n, bool upper, uint32_t value)
{
    struct xhci_state *s = x->st;
    struct xhci_interrupter *i = &s->intr[n];
    bool was_full = i->full, handled = !upper && (value & ERDP_EHB);

    if (upper)
        i->erdp = (i->erdp & 0xffffffffu) | (uint64_t)value << 32;
    else
        i->erdp = (i->erdp & ~0xfffffff7ull) | (value & ~ERDP_EHB);
    if (handled)
        i->erdp &= ~(uint64_t)ERDP_EHB;
    xhci_dequeued(x, n, handled);
    tell_ports(x);
    if (!was_full || i->full)
        return;
    if (s->commands_run)
        s->command_at = xhci_now(x) + XHCI_COMMAND_NS;
    for (unsigned slot = 0; slot < XHCI_SLOTS; slot++)
        for (unsigned ep = 0; s->slot[slot].used && ep < XHCI_ENDPOINTS; ep++)
            if (s->slot[slot].ep[ep].waiting)
                xhci_activate(x, slot, ep);
}

static void write_runtime(struct xhci *x, uint64_t offset, uint32_t value)
{
    unsigned n = (unsigned)((offset - 0x20) / 0x20);
    struct xhci_interrupter *i = &x->st->intr[n % XHCI_VECTORS];

    if (offset < 0x20 || n >= XHCI_VECTORS)
        return;
    switch (offset & 0x1fu) {
    case I_IMAN:
        i->iman = (i->iman & IMAN_IP & ~value) | (value & IMAN_IE);
        break;
    case I_IMOD:
        i->imod = value;
        break;
    case I_ERSTSZ:
        i->erstsz = value & 0xffffu;
        if (i->erstsz > XHCI_SEGMENTS)
            i->erstsz = XHCI_SEGMENTS;
        break;
    case I_ERSTBA:
        i->erstba = (i->erstba & ~0xffffffffull) | (value & ~63u);
        xhci_ring_moved(x, n);
        break;
    case I_ERSTBA + 4:
        i->erstba = (i->erstba & 0xffffffffu) | (uint64_t)value << 32;
        xhci_ring_moved(x, n);
        break;
    case I_ERDP: case I_ERDP + 4:
        write_erdp(x, n, offset & 4u, value);
        break;
    default:
        break;
    }
    xhci_interrupt(x);
}

/* ---- doorbells ---- */

static void doorbell(struct xhci *x, unsigned n, uint32_t value)
{
    struct xhci_state *s = x->st;
    unsigned target = value & 0xffu;

    if (!xhci_runs(x))
        return;
    if (!n && !target) {
        s->commands_run = 1;
        if (s->command_at == VTIME_NEVER)
            s->command_at = xhci_now(x) + XHCI_COMMAND_NS;
    } else if (n && n <= XHCI_SLOTS && target && target <= XHCI_ENDPOINTS && s->slot[n - 1].used && !(value >> 16)) {
        xhci_activate(x, n - 1, target - 1);
    }
}

/* ---- accesses ---- */

static uint32_t port_register(const struct xhci *x, uint64_t offset)
{
    unsigned n = (unsigned)(offset / 16);

    switch (offset & 12u) {
    case 0:  return x->st->portsc[n];
    case 4:  return x->st->portpmsc[n];
    default: return 0;
    }
}

static uint32_t read_register(const struct xhci *x, uint64_t offset)
{
    if (offset < OPERATIONAL)
        return capability(offset);
    if (offset >= PORT_REGS && offset < PORT_REGS + 16 * XHCI_ROOT_PORTS)
        return port_register(x, offset - PORT_REGS);
    if (offset < PORT_REGS)
        return operational(x, offset - OPERATIONAL);
    return offset >= RUNTIME && offset < DOORBELLS ? runtime(x, offset - RUNTIME) : 0;
}

static void write_register(struct xhci *x, uint64_t offset, uint32_t value)
{
    if (offset < OPERATIONAL)
        return;
    if (offset < PORT_REGS) {
        write_operational(x, offset - OPERATIONAL, value);
    } else if (offset < PORT_REGS + 16 * XHCI_ROOT_PORTS) {
        unsigned n = (unsigned)((offset - PORT_REGS) / 16);

        if ((offset & 12u) == 0)
            write_port(x, n, value);
        else if ((offset & 12u) == 4)
            x->st->portpmsc[n] = value & (n < XHCI_CONNECTORS ? PMSC_USB3 : PMSC_USB2);
    } else if (offset >= RUNTIME && offset < DOORBELLS) {
        write_runtime(x, offset - RUNTIME, value);
    } else if (offset >= DOORBELLS && offset < MSIX_AT) {
        doorbell(x, (unsigned)(offset - DOORBELLS) / 4, value);
    }
}

static uint64_t xhci_mmio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct xhci *x = dev->wiring;
    uint64_t value;

    (void)range;
    if (pci_msix_owns(&x->pci, offset))
        return pci_msix_read(&x->pci, offset, size);
    value = read_register(x, offset & ~3ull);
    if (size == 8)
        value |= (uint64_t)read_register(x, (offset & ~3ull) + 4) << 32;
    return value >> (8 * (offset & 3u));
}

static void xhci_mmio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct xhci *x = dev->wiring;

    (void)range;
    if (pci_msix_owns(&x->pci, offset)) {
        pci_msix_write(&x->pci, offset, size, value);
        return;
    }
    if (size < 4 || (offset & 3u))
        return;
    write_register(x, offset, (uint32_t)value);
    if (size == 8)
        write_register(x, offset + 4, (uint32_t)(value >> 32));
    xhci_update_pin(x);
    xhci_plan(x);
}

/* ---- the device ---- */

static void xhci_expire(struct device *dev, vtime_t now)
{
    struct xhci *x = dev->wiring;
    struct xhci_state *s = x->st;

    if (xhci_runs(x) && (s->cmd & XHCI_CMD_EWE) && now >= s->wrap_at) {
        struct xhci_trb t = {.status = (uint32_t)CC_SUCCESS << 24, .control = TRB_WRAP_EVENT << 10};

        s->wrap_at = s->started + ((now - s->started) / WRAP + 1) * WRAP;
        xhci_event(x, 0, &t, false);
    }
    if (xhci_runs(x) && now >= s->command_at)
        xhci_command(x);
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        for (unsigned ep = 0; s->slot[i].used && ep < XHCI_ENDPOINTS; ep++)
            if (xhci_runs(x) && now >= s->slot[i].ep[ep].due)
                xhci_transfer(x, i, ep);
    xhci_interrupt(x);
    xhci_plan(x);
}

static vtime_t xhci_deadline(const struct device *dev)
{
    const struct xhci_state *s = dev->state;

    return s->wake;
}

static void xhci_reset(struct device *dev)
{
    struct xhci *x = dev->wiring;

    pci_function_reset(&x->pci);
    reset_controller(x);
    x->st->wake = VTIME_NEVER;
}

/* Messages take over from the pin, or give it back. */
static void xhci_configured(struct device *dev, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    xhci_update_pin(dev->wiring);
}

static bool slot_possible(const struct device *dev, const struct xhci_slot *s)
{
    if (s->used > 1 || s->state > SLOT_CONFIGURED || s->port > XHCI_ROOT_PORTS || s->address > 127)
        return false;
    for (unsigned ep = 0; ep < XHCI_ENDPOINTS; ep++) {
        const struct xhci_endpoint *e = &s->ep[ep];

        if (e->state > EP_ERROR || e->type > EP_INTERRUPT_IN || e->packet > USB_PACKET_MOST || e->waiting > 1 || e->in > 1 ||
            (e->state == EP_RUNNING && !e->packet) || !machine_deadline_possible(dev->machine, e->due))
            return false;
    }
    return true;
}

static bool xhci_possible(const struct device *dev)
{
    const struct xhci_state *s = dev->state;

    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        if (!slot_possible(dev, &s->slot[i]))
            return false;
    for (unsigned i = 0; i < XHCI_VECTORS; i++)
        if (s->intr[i].cycle > 1 || s->intr[i].full > 1 || s->intr[i].erstsz > XHCI_SEGMENTS ||
            s->intr[i].ready_at > VTIME_NEVER / 2)
            return false;
    return machine_deadline_possible(dev->machine, s->wake) && machine_deadline_possible(dev->machine, s->command_at) &&
           s->started < VTIME_NEVER / 2;
}

static void xhci_describe(const struct device *dev, struct buffer *b)
{
    static const char *const states[] = {"disabled", "running", "halted", "stopped", "error"};
    const struct xhci_state *s = dev->state;

    buffer_printf(b, "cmd %04x sts %04x commands at %llx%s\n", s->cmd, s->sts, (unsigned long long)s->commands & ~15ull,
                  s->commands_run ? ", running" : "");
    for (unsigned n = 0; n < XHCI_ROOT_PORTS; n++)
        if (s->portsc[n] & PORT_CCS)
            buffer_printf(b, "port %u: %08x\n", n + 1, s->portsc[n]);
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        for (unsigned ep = 0; s->slot[i].used && ep < XHCI_ENDPOINTS; ep++)
            if (s->slot[i].ep[ep].state)
                buffer_printf(b, "slot %u endpoint %u: %s at %llx%s\n", i + 1, ep + 1, states[s->slot[i].ep[ep].state],
                              (unsigned long long)s->slot[i].ep[ep].dequeue & ~15ull,
                              s->slot[i].ep[ep].waiting ? ", waits for the device" : "");
}

static const struct device_ops xhci_ops = {
    .name = "qemu-xhci",
    .state_size = sizeof(struct xhci_state),
    .state_version = 1,
    .possible = xhci_possible,
    .reset = xhci_reset,
    .deadline = xhci_deadline,
    .expire = xhci_expire,
    .describe = xhci_describe,
    .read = xhci_mmio_read,
    .write = xhci_mmio_write,
};

const struct option_key qemu_xhci_keys[] = {{"p2", "4"}, {"p3", "4"}, {NULL, NULL}};

int qemu_xhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x000d, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                                           .class_code = 0x0c0330, .revision = 1, .pin = 1};
    uint64_t ports = XHCI_CONNECTORS;
    struct device *dev;
    struct xhci *x;

    (void)d;
    if (option_list_number(props, "p2", XHCI_CONNECTORS, XHCI_CONNECTORS, &ports, err) < 0 ||
        option_list_number(props, "p3", XHCI_CONNECTORS, XHCI_CONNECTORS, &ports, err) < 0)
        return err->code;
    if (s->machine->arena_len + 2 * sizeof(struct xhci_state) > MACHINE_ARENA_BYTES)
        return error_set(err, -ENOSPC, "there is no room for another xHCI controller");
    dev = machine_add_owned_device(s->machine, &xhci_ops, name, sizeof(*x));
    x = dev->wiring;
    x->st = dev->state;
    pci_function_init(&x->pci, s->pci, devfn, dev, x->st->config, &id);
    pci_add_bar(&x->pci, 0, PCI_BAR_MEMORY_64, false, BAR_BYTES, 0);
    x->pci.reset[REG_SBRN] = 0x30; /* USB 3.0 */
    x->pci.next_capability = REG_SBRN + 4;
    pci_add_msix(&x->pci, &(struct pci_msix){.table = x->st->msix[0], .pending = &x->st->msix_pending, .vectors = XHCI_VECTORS,
                                             .table_at = MSIX_AT, .pending_at = PENDING_AT});
    pci_add_express(&x->pci, 0);
    x->pci.written = xhci_configured;
    usb_bus_init(&x->usb, s->machine, dev, &bus_ops, XHCI_CONNECTORS,
                 1u << USB_LOW | 1u << USB_FULL | 1u << USB_HIGH | 1u << USB_SUPER);
    return 0;
}
