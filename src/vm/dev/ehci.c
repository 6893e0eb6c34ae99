/*
 * Enhanced host controller (EHCI 1.0): high speed USB on six ports, as in Intel's 82801DB (ICH4) and ICH9: registers, ports, time,
 * and the device. The schedules: ehci_queue.c, ehci_periodic.c.
 *
 * Low and full speed is for companions: UHCI controllers with masterbus= that share its ports (4.2), or for hubs of high speed,
 * whose transaction translators are reached by split transactions (4.12). Ports without a companion are always EHCI's.
 *
 * FRINDEX is computed of the time. The work of a microframe is done at its end: its part of the periodic schedule, then
 * the asynchronous one, until the bits that there is time for are used up, or it was gone round without anything to do. When
 * nothing was done for a while, the schedules are looked at once in a frame (HCCPARAMS says that whole frames may be cached),
 * and a CPU that sleeps is not woken for it (quiet_at). Interrupts are raised at the threshold that USBCMD sets (4.15).
 *
 * What the guest has in memory is not trusted: a microframe looks at no more than EHCI_VISITS_MOST elements. Where no
 * memory answers, or the function may not master the bus, the controller halts with a host system error.
 *
 * Not modelled: 64-bit addresses, other lengths of the frame list, park mode, port power and indicators (HCSPARAMS and HCCPARAMS
 * say so), over-current, Test modes (kept), the debug port, SMIs of legacy support (USBLEGCTLSTS keeps its enabling bits), FLADJ
 * (kept).
 */
#include "vm/dev/ehci.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/ehci_internal.h"
#include "vm/machine.h"

#define BAR_BYTES   0x1000u
#define OPERATIONAL 0x20u
enum { C_HCSPARAMS = 0x04, C_HCCPARAMS = 0x08 };
enum { O_USBCMD = 0x20, O_USBSTS = 0x24, O_USBINTR = 0x28, O_FRINDEX = 0x2c, O_PERIODIC = 0x34, O_ASYNC = 0x38, O_CONFIGFLAG = 0x60,
       O_PORTSC = 0x64 };

/* Of configuration space (2.1). */
enum { REG_SBRN = 0x60, REG_FLADJ = 0x61, REG_PORTWAKECAP = 0x62, REG_LEGSUP = 0x68, REG_LEGCTLSTS = 0x6c };
#define VERSION     0x0100u
#define HCCPARAMS   (0x80u | REG_LEGSUP << 8) /* whole frames are cached */

#define CMD_WRITTEN 0x00ff0033u /* besides IAAD and HCRESET, which are only set */
#define CMD_ITC(c)  ((c) >> 16 & 0xffu)
#define STS_CLEARED 0x0000003fu /* by writing ones; and what interrupts */
#define FRINDEX     0x3fffu
#define ROLLOVER    13          /* FRINDEX's bit that changes with it */

#define PORT_CCS     0x00000001u
#define PORT_CSC     0x00000002u
#define PORT_PED     0x00000004u
#define PORT_PEDC    0x00000008u
#define PORT_OCC     0x00000020u
#define PORT_FPR     0x00000040u
#define PORT_SUSPEND 0x00000080u
#define PORT_PR      0x00000100u
#define PORT_LINE_K  0x00000400u
#define PORT_LINE_J  0x00000800u
#define PORT_PP      0x00001000u
#define PORT_OWNER   0x00002000u
#define PORT_KEPT    0x007f0000u /* test mode, what wakes */
#define PORT_CHANGES (PORT_CSC | PORT_PEDC | PORT_OCC)

#define BITS        60000u /* of a microframe */
#define OVERHEAD    55u    /* bytes of a transaction besides its data (USB 2.0, 5.11.3) */
#define FULL_OVERHEAD 13u
#define BRISK       16u
#define NEVER_QUIET UINT64_MAX

/* ---- interrupts ---- */

static void update_irq(struct ehci *e)
{
    pci_set_intx(&e->pci, (e->st->sts & e->st->intr & STS_CLEARED) != 0);
}

void ehci_raise(struct ehci_work *w, uint32_t bits)
{
    w->e->st->pending |= bits;
}

static void commit(struct ehci_state *s)
{
    s->sts |= s->pending;
    s->pending = 0;
}

/* ---- memory ---- */

static bool reached(struct ehci_work *w, uint32_t at, size_t len, bool done)
{
    const struct memory *mem = &w->e->usb.dev->machine->memory;

    w->error |= !done || !memory_find(mem, at) || !memory_find(mem, (paddr_t)at + len - 1);
    return !w->error;
}

bool ehci_read(struct ehci_work *w, uint32_t at, void *buf, size_t len)
{
    memset(buf, 0, len);
    return !len || reached(w, at, len, pci_dma_read(&w->e->pci, at, buf, len));
}

bool ehci_write(struct ehci_work *w, uint32_t at, const void *buf, size_t len)
{
    return !len || reached(w, at, len, pci_dma_write(&w->e->pci, at, buf, len));
}

bool ehci_read_words(struct ehci_work *w, uint32_t at, uint32_t *words, unsigned n)
{
    uint8_t bytes[64];

    CHECK(4 * n <= sizeof(bytes));
    if (!ehci_read(w, at, bytes, 4 * n))
        return false;
    for (unsigned i = 0; i < n; i++)
        words[i] = get_le32(bytes + 4 * i);
    return true;
}

bool ehci_write_words(struct ehci_work *w, uint32_t at, const uint32_t *words, const uint32_t *was, unsigned n)
{
    uint8_t bytes[64];
    unsigned first = 0;

    CHECK(4 * n <= sizeof(bytes));
    while (first < n && words[first] == was[first])
        first++;
    while (n > first && words[n - 1] == was[n - 1])
        n--;
    for (unsigned i = first; i < n; i++)
        put_le32(bytes + 4 * i, words[i]);
    return ehci_write(w, at + 4 * first, bytes + 4 * first, 4 * (n - first));
}

/* ---- time ---- */

static bool runs(const struct ehci_state *s)
{
    return s->cmd & EHCI_CMD_RS;
}

/* Microframes since `since`. */
static uint64_t counted(const struct ehci *e)
{
    vtime_t now = machine_now(e->usb.dev->machine);

    return runs(e->st) && now > e->st->since ? (now - e->st->since) / EHCI_MICROFRAME : 0;
}

static uint32_t frindex(const struct ehci *e)
{
    return (uint32_t)(e->st->frindex + counted(e)) & FRINDEX;
}

/* USBSTS learns of the frame list's rollover when it is looked at, or when that is to interrupt. */
static void settle(struct ehci *e)
{
    struct ehci_state *s = e->st;
    uint64_t rolled = (s->frindex + counted(e)) >> ROLLOVER;

    if (runs(s) && rolled > s->rolled) {
        s->rolled = rolled;
        s->sts |= EHCI_STS_FLR;
    }
}

static bool works(const struct ehci_state *s)
{
    return s->pending || (s->cmd & (EHCI_CMD_PSE | EHCI_CMD_ASE | EHCI_CMD_IAAD));
}

/* When is there something to do? */
static void plan(struct ehci *e)
{
    struct ehci_state *s = e->st;
    uint64_t next = counted(e) + 1, rollover;
    bool soon = s->brisk || s->pending || (s->cmd & EHCI_CMD_IAAD);

    s->due = VTIME_NEVER;
    if (runs(s) && works(s)) {
        if (!soon)
            next += -(s->frindex + next) & 7u;
        s->due = s->since + next * EHCI_MICROFRAME;
    }
    rollover = s->since + (((s->rolled + 1) << ROLLOVER) - s->frindex) * EHCI_MICROFRAME;
    if (runs(s) && (s->intr & EHCI_STS_FLR) && rollover < s->due)
        s->due = rollover;
    machine_attention(e->usb.dev->machine);
}

static void start(struct ehci *e)
{
    struct ehci_state *s = e->st;

    s->sts &= ~EHCI_STS_HALTED;
    s->since = machine_now(e->usb.dev->machine);
    s->done = 0;
    s->rolled = s->frindex >> ROLLOVER;
    s->brisk = BRISK;
}

static void halt(struct ehci *e)
{
    struct ehci_state *s = e->st;

    settle(e);
    s->frindex = frindex(e);
    s->since = VTIME_NEVER;
    s->cmd &= ~EHCI_CMD_RS;
    s->sts |= EHCI_STS_HALTED;
    commit(s);
}

bool ehci_visit(struct ehci_work *w)
{
    if (!w->visits || w->error)
        return false;
    w->visits--;
    return true;
}

bool ehci_afford(struct ehci_work *w, enum usb_speed speed, unsigned len)
{
    static const uint32_t bit_times[] = {[USB_LOW] = 320, [USB_FULL] = 40}; /* of 480 MHz */
    uint32_t bits = speed == USB_HIGH ? (len + OVERHEAD) * 8 : (len + FULL_OVERHEAD) * 8 * bit_times[speed];

    if (bits > BITS)
        bits = BITS;
    if (bits > w->bits) {
        w->bits = 0;
        return false;
    }
    w->bits -= bits;
    return true;
}

/* The threshold: does a microframe end between `from` and `to` at which interrupts are raised? */
static bool crosses_threshold(const struct ehci_state *s, uint64_t from, uint64_t to)
{
    uint32_t every = CMD_ITC(s->cmd);

    return every <= 1 || (s->frindex + from) / every != (s->frindex + to) / every;
}

/* The work of microframes [from, to). False: memory could not be reached. */
static bool run_schedules(struct ehci *e, uint64_t from, uint64_t to, bool *did)
{
    struct ehci_state *s = e->st;
    struct ehci_work w = {.e = e};
    uint32_t left = 0;

    for (uint64_t n = from; n < to; n++) {
        w.visits = EHCI_VISITS_MOST;
        w.bits = BITS;
        if (s->cmd & EHCI_CMD_PSE)
            ehci_run_periodic(&w, (uint32_t)(s->frindex + n) & FRINDEX);
        left += w.bits;
    }
    w.visits = EHCI_VISITS_MOST;
    w.bits = left;
    if (s->cmd & EHCI_CMD_ASE)
        ehci_run_async(&w);
    *did = w.did;
    return !w.error;
}

static void ehci_expire(struct device *dev, vtime_t now)
{
    struct ehci *e = dev->wiring;
    struct ehci_state *s = e->st;
    uint64_t from = s->done, to = counted(e);
    bool did, ok;

    (void)now;
    settle(e);
    if (to - from > 8)
        from = to - 8; /* nothing was scheduled */
    ok = run_schedules(e, from, to, &did);
    if (s->cmd & EHCI_CMD_IAAD) {
        s->cmd &= ~EHCI_CMD_IAAD;
        s->pending |= EHCI_STS_IAA;
        did = true;
    }
    s->brisk = did ? BRISK : to - from < s->brisk ? (uint8_t)(s->brisk - (to - from)) : 0;
    if (s->pending && crosses_threshold(s, s->done, to))
        commit(s);
    s->done = to;
    s->quiet_at = did || s->pending ? NEVER_QUIET : dev->machine->st->position;
    if (!ok) {
        s->sts |= EHCI_STS_HSE;
        halt(e);
    }
    plan(e);
    update_irq(e);
}

/* ---- ports ---- */

static struct usb_device *port_device(const struct ehci *e, unsigned n)
{
    return usb_port_device(&e->usb.ports[n], &e->usb);
}

struct usb_device *ehci_addressee(struct ehci *e, enum usb_speed speed, unsigned address, unsigned hub, unsigned port)
{
    struct usb_device *d = NULL;

    for (unsigned i = 0; i < EHCI_PORTS && !d; i++)
        if (port_device(e, i))
            d = usb_find(&e->usb.ports[i], speed == USB_HIGH ? address : hub);
    if (!d || d->speed != USB_HIGH || speed == USB_HIGH)
        return d && d->speed == USB_HIGH ? d : NULL;
    d = port && port <= d->nports ? usb_find(&d->ports[port - 1], address) : NULL;
    return d && d->speed == speed ? d : NULL;
}

static bool bus_enabled(const struct usb_bus *bus, unsigned port)
{
    const struct ehci *e = bus->dev->wiring;

    return (e->st->portsc[port] & (PORT_PED | PORT_SUSPEND)) == PORT_PED;
}

static bool bus_handed(const struct usb_bus *bus, unsigned port)
{
    const struct ehci *e = bus->dev->wiring;

    return e->st->portsc[port] & PORT_OWNER;
}

static void bus_wakeup(struct usb_bus *bus, unsigned port)
{
    struct ehci *e = bus->dev->wiring;

    if ((e->st->portsc[port] & (PORT_PED | PORT_SUSPEND)) == (PORT_PED | PORT_SUSPEND)) {
        e->st->portsc[port] |= PORT_FPR;
        e->st->sts |= EHCI_STS_PCD;
        update_irq(e);
    }
}

static void bus_ready(struct usb_bus *bus, struct usb_device *d, unsigned endpoint)
{
    struct ehci *e = bus->dev->wiring;

    (void)d, (void)endpoint;
    e->st->brisk = BRISK;
    e->st->quiet_at = NEVER_QUIET;
    plan(e);
}

static void bus_describe(const struct usb_bus *bus, struct buffer *out)
{
    const struct ehci *e = bus->dev->wiring;

    buffer_printf(out, ", %s, frame %u", runs(e->st) ? "running" : "halted", frindex(e) >> 3);
}

static const struct usb_bus_ops bus_ops = {.enabled = bus_enabled, .wakeup = bus_wakeup, .ready = bus_ready, .describe = bus_describe,
                                           .handed = bus_handed};

/* A device has the speed that the port's owner knows. */
static void set_speed(struct ehci *e, unsigned n)
{
    if (e->usb.ports[n].companion)
        usb_port_set_speeds(&e->usb.ports[n], e->st->portsc[n] & PORT_OWNER ? 1u << USB_LOW | 1u << USB_FULL : 1u << USB_HIGH);
}

/* Hand the port to its companion, or take it from there: a device goes, or comes (4.2.2). */
static void set_owner(struct ehci *e, unsigned n, bool companion)
{
    struct usb_port *port = &e->usb.ports[n];
    uint32_t *p = &e->st->portsc[n];

    if (!port->companion || companion == !!(*p & PORT_OWNER))
        return;
    *p &= ~(PORT_CCS | PORT_PED | PORT_SUSPEND | PORT_FPR | PORT_PR | PORT_OWNER);
    *p |= companion ? PORT_OWNER : 0;
    set_speed(e, n);
    if (port->dev) {
        *p |= PORT_CSC | (companion ? 0 : PORT_CCS);
        e->st->sts |= EHCI_STS_PCD;
        port->companion->ops->routed(port->companion, port->companion_port);
    }
}

static void reset_ports(struct ehci *e)
{
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        set_owner(e, n, true);
        e->st->portsc[n] = PORT_PP | (e->usb.ports[n].companion ? PORT_OWNER : 0);
        if (port_device(e, n))
            e->st->portsc[n] |= PORT_CCS | PORT_CSC;
        set_speed(e, n);
    }
}

static uint32_t read_port(const struct ehci *e, unsigned n)
{
    const struct usb_device *d = port_device(e, n);
    uint32_t p = e->st->portsc[n];

    if (d && !(p & (PORT_PED | PORT_PR)))
        p |= d->speed == USB_LOW ? PORT_LINE_K : PORT_LINE_J;
    return p;
}

static void reset_port(struct ehci *e, unsigned n, bool on)
{
    struct usb_device *d = port_device(e, n);
    uint32_t *p = &e->st->portsc[n];

    if (on && !(*p & PORT_PR)) {
        *p &= ~(PORT_PED | PORT_SUSPEND | PORT_FPR);
        *p |= PORT_PR;
        if (d)
            usb_bus_reset(d);
    } else if (!on && (*p & PORT_PR)) {
        *p &= ~PORT_PR;
        if (d && d->speed == USB_HIGH)
            *p |= PORT_PED;
    }
}

static void write_port(struct ehci *e, unsigned n, uint32_t value)
{
    uint32_t *p = &e->st->portsc[n];

    *p &= ~((value & PORT_CHANGES) | PORT_KEPT);
    *p |= value & PORT_KEPT;
    if (e->st->configured)
        set_owner(e, n, value & PORT_OWNER);
    if (!(value & PORT_PED))
        *p &= ~(PORT_PED | PORT_SUSPEND | PORT_FPR);
    if ((*p & PORT_FPR) && !(value & PORT_FPR)) /* the resume has ended */
        *p &= ~(PORT_FPR | PORT_SUSPEND);
    else if ((*p & PORT_SUSPEND) && (value & PORT_FPR))
        *p |= PORT_FPR;
    else if ((*p & PORT_PED) && (value & PORT_SUSPEND))
        *p |= PORT_SUSPEND;
    reset_port(e, n, value & PORT_PR);
}

/* ---- registers ---- */

static void reset_controller(struct ehci *e)
{
    struct ehci_state *s = e->st;

    s->cmd = 0x00080000;
    s->sts = EHCI_STS_HALTED;
    s->intr = s->pending = s->frindex = s->periodic = s->async = s->configured = s->brisk = 0;
    s->since = s->due = VTIME_NEVER;
    s->done = s->rolled = 0;
    s->quiet_at = NEVER_QUIET;
    reset_ports(e);
    s->sts = EHCI_STS_HALTED;
}

static void write_cmd(struct ehci *e, uint32_t value)
{
    struct ehci_state *s = e->st;
    bool ran = runs(s);

    if (value & EHCI_CMD_HCRESET) {
        reset_controller(e);
        return;
    }
    if (ran && !(value & EHCI_CMD_RS))
        halt(e);
    if ((value & ~s->cmd) & (EHCI_CMD_PSE | EHCI_CMD_ASE))
        s->brisk = BRISK;
    s->cmd = (value & CMD_WRITTEN) | (s->cmd & EHCI_CMD_IAAD);
    if (runs(s) && (value & EHCI_CMD_ASE))
        s->cmd |= value & EHCI_CMD_IAAD;
    if (!ran && runs(s))
        start(e);
}

static void write_configured(struct ehci *e, uint32_t value)
{
    e->st->configured = value & 1u;
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        set_owner(e, n, !e->st->configured);
}

static uint32_t read_sts(struct ehci *e)
{
    const struct ehci_state *s = e->st;

    settle(e);
    return s->sts | (runs(s) && (s->cmd & EHCI_CMD_PSE) ? EHCI_STS_PSS : 0) | (runs(s) && (s->cmd & EHCI_CMD_ASE) ? EHCI_STS_ASS : 0);
}

/* N_PORTS, and which companions there are: so many, of so many ports each. */
static uint32_t structural(const struct ehci *e)
{
    unsigned shared = 0;

    for (unsigned n = 0; n < EHCI_PORTS; n++)
        shared += e->usb.ports[n].companion != NULL;
    return EHCI_PORTS | (shared ? 2u << 8 | (shared / 2) << 12 : 0);
}

static uint32_t read_word(struct ehci *e, unsigned offset)
{
    const struct ehci_state *s = e->st;

    switch (offset) {
    case 0:            return OPERATIONAL | VERSION << 16;
    case C_HCSPARAMS:  return structural(e);
    case C_HCCPARAMS:  return HCCPARAMS;
    case O_USBCMD:     return s->cmd;
    case O_USBSTS:     return read_sts(e);
    case O_USBINTR:    return s->intr;
    case O_FRINDEX:    return frindex(e);
    case O_PERIODIC:   return s->periodic;
    case O_ASYNC:      return s->async;
    case O_CONFIGFLAG: return s->configured;
    default:
        return offset >= O_PORTSC && offset < O_PORTSC + 4 * EHCI_PORTS ? read_port(e, (offset - O_PORTSC) / 4) : 0;
    }
}

static void write_word(struct ehci *e, unsigned offset, uint32_t value)
{
    struct ehci_state *s = e->st;

    settle(e);
    switch (offset) {
    case O_USBCMD:
        write_cmd(e, value);
        break;
    case O_USBSTS:
        s->sts &= ~(value & STS_CLEARED);
        break;
    case O_USBINTR:
        s->intr = value & STS_CLEARED;
        break;
    case O_FRINDEX:
        if (!runs(s))
            s->frindex = value & FRINDEX;
        break;
    case O_PERIODIC:
        s->periodic = value & 0xfffff000u;
        break;
    case O_ASYNC:
        s->async = value & EHCI_LINK_AT;
        break;
    case O_CONFIGFLAG:
        write_configured(e, value);
        break;
    default:
        if (offset >= O_PORTSC && offset < O_PORTSC + 4 * EHCI_PORTS)
            write_port(e, (offset - O_PORTSC) / 4, value);
        break;
    }
    s->quiet_at = NEVER_QUIET;
    plan(e);
    update_irq(e);
}

static uint64_t ehci_mmio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct ehci *e = dev->wiring;
    uint64_t value = 0;

    (void)range;
    for (unsigned at = offset & ~3u; at < offset + size; at += 4) {
        uint64_t word = read_word(e, at);

        value |= at < offset ? word >> (8 * (offset - at)) : word << (8 * (at - offset));
    }
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* Registers are of 32 bits; what is narrower leaves the rest as it is. */
static void ehci_mmio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ehci *e = dev->wiring;
    unsigned at = offset & ~3u;

    (void)range;
    if (size < 4) {
        unsigned shift = 8 * (offset & 3u);
        uint32_t rest = (at == O_USBSTS ? 0 : read_word(e, at)) & ~((uint32_t)((1ull << 8 * size) - 1) << shift);

        if (at >= O_PORTSC)
            rest &= ~PORT_CHANGES;
        write_word(e, at, rest | (uint32_t)value << shift);
        return;
    }
    for (unsigned i = 0; i < size; i += 4)
        write_word(e, at + i, (uint32_t)(value >> (8 * i)));
}

/* ---- the device ---- */

static void ehci_reset(struct device *dev)
{
    struct ehci *e = dev->wiring;

    pci_function_reset(&e->pci);
    reset_controller(e);
}

static void ehci_restored(struct device *dev)
{
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        set_speed(dev->wiring, n);
}

static vtime_t ehci_deadline(const struct device *dev)
{
    const struct ehci_state *s = dev->state;

    return s->due;
}

/* Nobody has changed anything since the schedules held nothing to do. */
static bool ehci_unheard(const struct device *dev)
{
    const struct ehci_state *s = dev->state;

    return s->quiet_at == dev->machine->st->position && !(s->intr & EHCI_STS_FLR);
}

static bool ehci_possible(const struct device *dev)
{
    const struct ehci *e = dev->wiring;
    const struct ehci_state *s = dev->state;

    return machine_deadline_possible(dev->machine, s->due) && s->frindex <= FRINDEX && s->brisk <= BRISK &&
           (!runs(s) || (s->since <= machine_now(dev->machine) && s->done <= counted(e) &&
                         s->rolled <= (s->frindex + counted(e)) >> ROLLOVER));
}

static void ehci_describe(const struct device *dev, struct buffer *b)
{
    const struct ehci_state *s = dev->state;

    buffer_printf(b, "cmd %08x sts %08x (pending %x) intr %02x frindex %04x periodic %08x async %08x configflag %u\nports", s->cmd,
                  s->sts, s->pending, s->intr, frindex(dev->wiring), s->periodic, s->async, s->configured);
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        buffer_printf(b, " %08x", read_port(dev->wiring, n));
    buffer_printf(b, "\n");
}

#define EHCI_OPS(ops_name)                                                                                                \
    {                                                                                                                     \
        .name = ops_name, .state_size = sizeof(struct ehci_state), .state_version = 1, .reset = ehci_reset,               \
        .deadline = ehci_deadline, .unheard = ehci_unheard, .expire = ehci_expire, .restored = ehci_restored,             \
        .possible = ehci_possible, .describe = ehci_describe, .read = ehci_mmio_read, .write = ehci_mmio_write            \
    }

static const struct device_ops ich4_ops = EHCI_OPS("usb-ehci");
static const struct device_ops ich9_ops = EHCI_OPS("ich9-usb-ehci1");

static int plug(struct sockets *s, const struct device_ops *ops, uint16_t id, uint8_t revision, const char *name, uint8_t devfn)
{
    struct pci_identity identity = {.vendor = 0x8086, .device = id, .class_code = 0x0c0320, .revision = revision, .pin = 4,
                                    .subsystem_vendor = 0x1af4, .subsystem = 0x1100};
    struct device *dev = machine_add_owned_device(s->machine, ops, name, sizeof(struct ehci));
    struct ehci *e = dev->wiring;

    e->st = dev->state;
    pci_function_init(&e->pci, s->pci, devfn, dev, e->st->config, &identity);
    pci_add_bar(&e->pci, 0, PCI_BAR_MEMORY, false, BAR_BYTES, 0);
    e->pci.reset[REG_SBRN] = 0x20;
    e->pci.reset[REG_FLADJ] = 0x20;
    e->pci.writable[REG_FLADJ] = 0x3f;
    put_le16(e->pci.writable + REG_PORTWAKECAP, 0x007f);
    put_le32(e->pci.reset + REG_LEGSUP, 0x00000001);
    put_le32(e->pci.writable + REG_LEGSUP, 0x01010000);
    put_le32(e->pci.writable + REG_LEGCTLSTS, 0x0000e03f);
    usb_bus_init(&e->usb, s->machine, dev, &bus_ops, EHCI_PORTS, 1u << USB_HIGH);
    return 0;
}

int usb_ehci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err)
{
    (void)d, (void)props, (void)err;
    return plug(s, &ich4_ops, 0x24cd, 0x10, name, devfn);
}

int ich9_usb_ehci1_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)d, (void)props, (void)err;
    return plug(s, &ich9_ops, 0x293a, 3, name, devfn);
}
