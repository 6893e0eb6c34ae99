/*
 * xHCI: transfer rings (4.9, 4.10, 6.4.1). An endpoint goes on a block or packet at a time, when it is due: soon after its
 * doorbell, after what came before has taken its time on the bus, or at the boundary of its interval. A device that
 * says NAK is not asked again until it says that it is ready.
 *
 * A packet may be of several blocks, and a block of many packets: where the endpoint stands is a block and the bytes of it
 * that were moved.
 *
 * What the guest has in memory is bounded: a turn takes TURN_STEPS steps at most, a packet no more than GATHER_MOST blocks,
 * links no more than LINKS_MOST that follow one another. Rings beyond that end in TRB Errors.
 */
#include <string.h>

#include "vm/dev/xhci_internal.h"
#include "vm/machine.h"

#define TURN_STEPS  256u
#define GATHER_MOST 64u
#define SKIP_MOST   1024u /* blocks of a transfer that has ended early */
#define LINKS_MOST  16u
#define SOON        1000u /* ns from a doorbell to the transfer */
#define BLOCK_NS    250u  /* for the controller to look at a block */
#define MICROFRAME  125000ull

/* What a step has come to. */
enum step {
    STEP_ON,     /* go on */
    STEP_TIME,   /* a packet was moved: it takes its time */
    STEP_WAIT,   /* NAK */
    STEP_END,    /* nothing is on the ring, or the endpoint has stopped */
};

/* An endpoint at work. */
struct work {
    struct xhci *x;
    struct xhci_endpoint *e;
    struct usb_device *d;
    unsigned slot, ep; /* counted from 0 */
    uint64_t bytes;    /* moved in this turn */
    unsigned steps;    /* of this turn */
};

/* ---- where things are ---- */

struct usb_device *xhci_device(struct xhci *x, const struct xhci_slot *s)
{
    struct usb_port *port;
    struct usb_device *d;

    if (!s->port || s->port > XHCI_ROOT_PORTS)
        return NULL;
    port = &x->usb.ports[(s->port - 1u) % XHCI_CONNECTORS];
    d = usb_find(port, s->address);
    /* A connector's two ports have one device, of the speed of one of them. */
    return port->dev && (port->dev->speed == USB_SUPER) == (s->port <= XHCI_CONNECTORS) ? d : NULL;
}

void xhci_save_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    const struct xhci_slot *s = &x->st->slot[slot];
    const struct xhci_endpoint *e = &s->ep[ep];
    uint64_t at = s->context + 32 * (ep + 1);
    uint32_t words[4];

    if (!xhci_read_words(x, at, words, 4))
        return;
    words[0] = (words[0] & ~7u) | e->state;
    words[2] = (uint32_t)e->dequeue;
    words[3] = (uint32_t)(e->dequeue >> 32);
    xhci_write_words(x, at, words, 4);
}

/* ---- events ---- */

static unsigned interrupter(const struct xhci_trb *t)
{
    unsigned n = t->status >> 22;

    return n < XHCI_VECTORS ? n : 0;
}

static void tell(struct work *w, const struct xhci_trb *t, uint64_t parameter, enum xhci_code code, uint32_t len, uint32_t flags)
{
    struct xhci_trb e = {.parameter = parameter, .status = (len & 0xffffffu) | (uint32_t)code << 24,
                         .control = (w->slot + 1) << 24 | (w->ep + 1) << 16 | TRB_TRANSFER_EVENT << 10 | flags};

    xhci_event(w->x, interrupter(t), &e, t->control & TRB_BEI);
}

/* Of the block at the dequeue pointer; `left`: bytes of it that were not moved. */
static void tell_block(struct work *w, const struct xhci_trb *t, enum xhci_code code, uint32_t left)
{
    tell(w, t, w->e->dequeue & ~15ull, code, left, 0);
}

static void tell_event_data(struct work *w, const struct xhci_trb *t, enum xhci_code code)
{
    tell(w, t, t->parameter, code, w->e->moved, TRB_ED);
    w->e->moved = 0;
}

static uint32_t block_len(const struct xhci_trb *t)
{
    return t->status & 0x1ffffu;
}

static uint32_t left_of(const struct xhci_endpoint *e, const struct xhci_trb *t)
{
    uint32_t len = block_len(t);

    return e->at < len ? len - e->at : 0;
}

/* The endpoint stops because of an error. */
static enum step fail(struct work *w, const struct xhci_trb *t, enum xhci_code code)
{
    tell_block(w, t, code, left_of(w->e, t));
    w->e->state = code == CC_TRB ? EP_ERROR : EP_HALTED;
    xhci_save_endpoint(w->x, w->slot, w->ep);
    return STEP_END;
}

static enum step refused(struct work *w, const struct xhci_trb *t, enum usb_answer a)
{
    switch (a) {
    case USB_NAK:    return STEP_WAIT;
    case USB_STALL:  return fail(w, t, CC_STALL);
    case USB_BABBLE: return fail(w, t, CC_BABBLE);
    default:         return fail(w, t, CC_TRANSACTION);
    }
}

/* ---- the ring ---- */

static void advance(struct xhci_endpoint *e)
{
    e->dequeue += TRB_BYTES;
    e->at = 0;
}

/* The next block that is no link. False: there is none (STEP_END), or links lead nowhere. */
static bool look(struct work *w, uint64_t *dequeue, struct xhci_trb *t, bool *lost)
{
    *lost = false;
    for (unsigned links = 0;; links++) {
        if (!xhci_read_trb(w->x, *dequeue & ~15ull, t) || (t->control & TRB_CYCLE) != (*dequeue & TRB_CYCLE))
            return false;
        if (xhci_trb_type(t) != TRB_LINK)
            return true;
        if (links == LINKS_MOST) {
            *lost = true;
            return false;
        }
        *dequeue = xhci_follow(*dequeue, t);
    }
}

/* After a short packet: the rest of the transfer is passed over. It is told once, and by each Event Data block. */
static enum step skip(struct work *w, struct xhci_trb *t, bool told)
{
    struct xhci_endpoint *e = w->e;
    bool lost;

    for (unsigned n = 0; t->control & TRB_CHAIN; n++) {
        advance(e);
        if (!look(w, &e->dequeue, t, &lost) || n == SKIP_MOST)
            return lost || n == SKIP_MOST ? fail(w, t, CC_TRB) : STEP_END;
        if (xhci_trb_type(t) == TRB_EVENT_DATA) {
            tell_event_data(w, t, CC_SHORT);
        } else if (!told && (t->control & TRB_IOC)) {
            tell_block(w, t, CC_SHORT, block_len(t));
            told = true;
        }
    }
    advance(e);
    e->moved = 0;
    return STEP_TIME;
}

static enum step end_short(struct work *w, struct xhci_trb *t)
{
    bool told = t->control & (TRB_ISP | TRB_IOC);

    if (told)
        tell_block(w, t, CC_SHORT, left_of(w->e, t));
    return skip(w, t, told);
}

static void end_block(struct work *w, const struct xhci_trb *t)
{
    if (t->control & TRB_IOC)
        tell_block(w, t, CC_SUCCESS, 0);
    if (!(t->control & TRB_CHAIN))
        w->e->moved = 0;
    advance(w->e);
}

/* ---- packets ---- */

static void copy_out(struct work *w, const struct xhci_trb *t, uint32_t at, uint8_t *buf, uint32_t n)
{
    if (t->control & TRB_IDT) {
        for (uint32_t i = 0; i < n; i++)
            buf[i] = at + i < 8 ? (uint8_t)(t->parameter >> (8 * (at + i))) : 0;
    } else {
        xhci_read(w->x, t->parameter + at, buf, n);
    }
}

/* The bytes of a packet OUT from the block `t` on, without taking them. */
static uint32_t gather(struct work *w, const struct xhci_trb *first, uint8_t *buf)
{
    uint64_t dequeue = w->e->dequeue;
    struct xhci_trb t = *first;
    uint32_t at = w->e->at, n = 0;
    bool lost;

    for (unsigned blocks = 0; blocks < GATHER_MOST; blocks++) {
        uint32_t len = block_len(&t), take = len > at ? len - at : 0;

        if (xhci_trb_type(&t) != TRB_EVENT_DATA) {
            take = take < w->e->packet - n ? take : w->e->packet - n;
            copy_out(w, &t, at, buf + n, take);
            n += take;
        }
        if (n == w->e->packet || !(t.control & TRB_CHAIN))
            break;
        at = 0;
        dequeue += TRB_BYTES;
        if (!look(w, &dequeue, &t, &lost))
            break;
    }
    return n;
}

/* `n` bytes were moved, from `in` if that is not NULL: over the blocks from `t` on, each of which ends when it is full. */
static enum step consume(struct work *w, struct xhci_trb *t, const uint8_t *in, uint32_t n)
{
    struct xhci_endpoint *e = w->e;
    bool is_short = in && n < e->packet;
    bool lost;

    w->bytes += n;
    for (unsigned blocks = 0;; blocks++) {
        uint32_t left = left_of(e, t), take = n < left ? n : left;

        if (xhci_trb_type(t) == TRB_EVENT_DATA) {
            tell_event_data(w, t, CC_SUCCESS);
            advance(e);
        } else {
            if (in && take) {
                xhci_write(w->x, t->parameter + e->at, in, take);
                in += take;
            }
            e->at += take;
            e->moved += take;
            n -= take;
            if (e->at < block_len(t))
                return is_short ? end_short(w, t) : STEP_TIME;
            if (!(t->control & TRB_CHAIN)) {
                if (n)
                    return fail(w, t, CC_BABBLE);
                end_block(w, t);
                return STEP_TIME;
            }
            end_block(w, t);
        }
        if (!n && !is_short)
            return STEP_TIME;
        if (blocks == GATHER_MOST || !look(w, &e->dequeue, t, &lost))
            return blocks == GATHER_MOST || lost ? fail(w, t, CC_TRB) : STEP_END;
        if (!n && xhci_trb_type(t) != TRB_EVENT_DATA)
            return end_short(w, t);
        if (!n && !(t->control & TRB_CHAIN)) { /* all of the transfer was moved */
            tell_event_data(w, t, CC_SUCCESS);
            advance(e);
            return STEP_TIME;
        }
    }
}

static bool is_in(const struct xhci_endpoint *e)
{
    return e->type == EP_CONTROL ? e->in : e->type > EP_CONTROL;
}

/* A packet of the transfer whose block `t` is. */
static enum step packet(struct work *w, struct xhci_trb *t)
{
    struct xhci_endpoint *e = w->e;
    uint8_t buf[USB_PACKET_MOST];
    size_t len = e->packet;
    enum usb_answer a;

    if ((t->control & TRB_IDT) && (is_in(e) || block_len(t) > 8))
        return fail(w, t, CC_TRB);
    if (!left_of(e, t) && (t->control & TRB_CHAIN)) { /* of nothing */
        end_block(w, t);
        return STEP_ON;
    }
    if (is_in(e)) {
        a = usb_transact(w->d, USB_PID_IN, (w->ep + 1) / 2, buf, &len);
        return a == USB_ACK ? consume(w, t, buf, (uint32_t)len) : refused(w, t, a);
    }
    len = gather(w, t, buf);
    a = usb_transact(w->d, USB_PID_OUT, (w->ep + 1) / 2, buf, &len);
    return a == USB_ACK ? consume(w, t, NULL, (uint32_t)len) : refused(w, t, a);
}

static enum step setup_stage(struct work *w, const struct xhci_trb *t)
{
    uint8_t setup[8];
    size_t len = sizeof(setup);
    enum usb_answer a;

    if (w->e->type != EP_CONTROL || block_len(t) != sizeof(setup) || !(t->control & TRB_IDT))
        return fail(w, t, CC_TRB);
    copy_out(w, t, 0, setup, sizeof(setup));
    w->e->moved = 0;
    a = usb_transact(w->d, USB_PID_SETUP, (w->ep + 1) / 2, setup, &len);
    if (a != USB_ACK)
        return refused(w, t, a);
    end_block(w, t);
    return STEP_TIME;
}

static enum step status_stage(struct work *w, const struct xhci_trb *t)
{
    bool in = t->control & TRB_IN;
    uint8_t none[USB_PACKET_MOST];
    size_t len = in ? w->e->packet : 0;
    enum usb_answer a;

    if (w->e->type != EP_CONTROL)
        return fail(w, t, CC_TRB);
    a = usb_transact(w->d, in ? USB_PID_IN : USB_PID_OUT, (w->ep + 1) / 2, none, &len);
    if (a != USB_ACK)
        return refused(w, t, a);
    end_block(w, t);
    return STEP_TIME;
}

/* No device here has isochronous endpoints: whoever has set one up reads and writes nothing. */
static enum step isochronous(struct work *w, struct xhci_trb *t)
{
    tell_block(w, t, CC_TRANSACTION, left_of(w->e, t));
    return skip(w, t, true);
}

static enum step step(struct work *w)
{
    struct xhci_endpoint *e = w->e;
    struct xhci_trb t;
    bool lost;

    if (!look(w, &e->dequeue, &t, &lost))
        return lost ? fail(w, &t, CC_TRB) : STEP_END;
    if (!xhci_has_room(w->x, interrupter(&t)))
        return STEP_WAIT;
    if (xhci_trb_type(&t) == TRB_NOOP) {
        end_block(w, &t);
        return STEP_ON;
    }
    if (xhci_trb_type(&t) == TRB_EVENT_DATA) {
        tell_event_data(w, &t, CC_SUCCESS);
        advance(e);
        return STEP_ON;
    }
    if (e->type == EP_ISOCH_IN || e->type == EP_ISOCH_OUT)
        return xhci_trb_type(&t) == TRB_ISOCH ? isochronous(w, &t) : fail(w, &t, CC_TRB);
    w->d = xhci_device(w->x, &w->x->st->slot[w->slot]);
    if (!w->d)
        return fail(w, &t, CC_TRANSACTION);
    switch (xhci_trb_type(&t)) {
    case TRB_SETUP:
        return setup_stage(w, &t);
    case TRB_STATUS:
        return status_stage(w, &t);
    case TRB_DATA:
        e->in = !!(t.control & TRB_IN);
        return e->type == EP_CONTROL ? packet(w, &t) : fail(w, &t, CC_TRB);
    case TRB_NORMAL:
        return packet(w, &t);
    default:
        return fail(w, &t, CC_TRB);
    }
}

/* ---- time ---- */

static bool is_periodic(const struct xhci_endpoint *e)
{
    return e->type == EP_INTERRUPT_IN || e->type == EP_INTERRUPT_OUT || e->type == EP_ISOCH_IN || e->type == EP_ISOCH_OUT;
}

/* The next boundary of the endpoint's interval. */
static vtime_t next_service(const struct xhci_endpoint *e, vtime_t now)
{
    vtime_t period = MICROFRAME << (e->interval & 15u);

    return (now / period + 1) * period;
}

/* How long so many bytes are on the bus: 1.2 MB/s, 40 MB/s, 400 MB/s. */
static vtime_t duration(const struct work *w)
{
    static const unsigned ps[USB_SPEEDS] = {[USB_LOW] = 6000000, [USB_FULL] = 833000, [USB_HIGH] = 25000, [USB_SUPER] = 2500};

    return SOON + w->steps * BLOCK_NS + (w->d ? w->bytes * ps[w->d->speed] / 1000 : 0);
}

void xhci_activate(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_endpoint *e = &x->st->slot[slot].ep[ep];
    vtime_t due = is_periodic(e) ? next_service(e, xhci_now(x)) : xhci_now(x) + SOON;

    if (e->state == EP_STOPPED) {
        e->state = EP_RUNNING;
        xhci_save_endpoint(x, slot, ep);
    }
    if (e->state != EP_RUNNING)
        return;
    e->waiting = 0;
    if (due < e->due)
        e->due = due;
    xhci_plan(x);
}

void xhci_transfer(struct xhci *x, unsigned slot, unsigned ep)
{
    struct work w = {.x = x, .e = &x->st->slot[slot].ep[ep], .slot = slot, .ep = ep};
    struct xhci_endpoint *e = w.e;
    enum step s = STEP_ON;

    e->due = VTIME_NEVER;
    e->waiting = 0;
    for (; w.steps < TURN_STEPS && e->state == EP_RUNNING && xhci_runs(x); w.steps++) {
        s = step(&w);
        if (s == STEP_WAIT || s == STEP_END || (s == STEP_TIME && is_periodic(e)))
            break;
    }
    if (s == STEP_WAIT)
        e->waiting = 1;
    else if (s != STEP_END && e->state == EP_RUNNING)
        e->due = is_periodic(e) ? next_service(e, xhci_now(x)) : xhci_now(x) + duration(&w);
}

void xhci_stop_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    struct work w = {.x = x, .e = &x->st->slot[slot].ep[ep], .slot = slot, .ep = ep};
    struct xhci_trb t;
    bool lost;

    if (!w.e->waiting && w.e->due == VTIME_NEVER && !w.e->at)
        return;
    if (!look(&w, &w.e->dequeue, &t, &lost))
        return;
    tell_block(&w, &t, CC_STOPPED, left_of(w.e, &t));
}
