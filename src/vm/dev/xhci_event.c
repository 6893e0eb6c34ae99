/*
 * xHCI: event rings (4.9.4), interrupters and their moderation (4.17).
 *
 * Segment tables are read when an event is put: nothing of them is kept. An event is put as long as one more has room, for
 * the Ring Full event: commands and transfers wait until then, so that none is lost.
 */
#include "base/bytes.h"
#include "vm/dev/xhci_internal.h"
#include "vm/machine.h"

#define IMAN_IP  1u
#define IMAN_IE  2u
#define ERDP_EHB 8u
#define IMOD_NS  250u
#define SEGMENT_LEAST 16u
#define SEGMENT_MOST  4096u

struct segment {
    uint64_t base;
    uint32_t blocks;
};

static bool read_segment(struct xhci *x, const struct xhci_interrupter *i, unsigned n, struct segment *s)
{
    uint8_t entry[16];

    if (n >= i->erstsz || n >= XHCI_SEGMENTS || !xhci_read(x, i->erstba + 16 * n, entry, sizeof(entry)))
        return false;
    s->base = get_le64(entry) & ~63ull;
    s->blocks = get_le32(entry + 8) & 0xffffu;
    return s->blocks >= SEGMENT_LEAST && s->blocks <= SEGMENT_MOST;
}

/* Blocks between where the next event goes and the one that the guest handles next, without that one. False: the
 * table or ERDP makes no sense. */
static bool free_blocks(struct xhci *x, const struct xhci_interrupter *i, unsigned *n)
{
    uint64_t erdp = i->erdp & ~15ull;
    unsigned total = 0, at = 0, head = 0;
    bool found = false;
    struct segment s;

    for (unsigned k = 0; k < i->erstsz && k < XHCI_SEGMENTS; k++) {
        if (!read_segment(x, i, k, &s))
            return false;
        if (k == i->segment)
            at = total + (i->index < s.blocks ? i->index : 0);
        if (!found && erdp >= s.base && erdp < s.base + (uint64_t)s.blocks * TRB_BYTES) {
            head = total + (unsigned)((erdp - s.base) / TRB_BYTES);
            found = true;
        }
        total += s.blocks;
    }
    if (!found)
        return false;
    *n = (head + total - at - 1) % total;
    return true;
}

/* Where the next event goes, cycle bit and all. False: nowhere. */
static bool put(struct xhci *x, struct xhci_interrupter *i, const struct xhci_trb *t)
{
    struct segment s;
    uint8_t bytes[TRB_BYTES];

    if (!read_segment(x, i, i->segment, &s))
        return false;
    if (i->index >= s.blocks)
        i->index = 0;
    put_le64(bytes, t->parameter);
    put_le32(bytes + 8, t->status);
    put_le32(bytes + 12, (t->control & ~TRB_CYCLE) | i->cycle);
    if (!xhci_write(x, s.base + (uint64_t)i->index * TRB_BYTES, bytes, sizeof(bytes)))
        return false;
    if (++i->index == s.blocks) {
        i->index = 0;
        if (++i->segment >= i->erstsz) {
            i->segment = 0;
            i->cycle ^= 1u;
        }
    }
    return true;
}

static void put_full(struct xhci *x, struct xhci_interrupter *i)
{
    struct xhci_trb t = {.status = (uint32_t)CC_RING_FULL << 24, .control = TRB_CONTROLLER_EVENT << 10};

    if (i->full)
        return;
    i->full = 1;
    if (put(x, i, &t))
        i->pending = 1;
}

/* A ring that is not there has room for anything: it is lost. */
bool xhci_has_room(struct xhci *x, unsigned n)
{
    struct xhci_interrupter *i = &x->st->intr[n];
    unsigned room;

    if (!i->erstsz || !free_blocks(x, i, &room) || room > 1)
        return true;
    if (room)
        put_full(x, i);
    i->full = 1;
    return false;
}

void xhci_event(struct xhci *x, unsigned n, const struct xhci_trb *t, bool quiet)
{
    struct xhci_interrupter *i = &x->st->intr[n];

    if (!i->erstsz || !xhci_has_room(x, n))
        return;
    if (!put(x, i, t)) {
        xhci_fail(x);
        return;
    }
    if (!quiet)
        i->pending = 1;
    xhci_interrupt(x);
}

void xhci_ring_moved(struct xhci *x, unsigned n)
{
    struct xhci_interrupter *i = &x->st->intr[n];

    i->segment = i->index = 0;
    i->cycle = 1;
    i->full = i->pending = 0;
}

/* `handled`: EHB was cleared. What the guest has seen already needs no interrupt. */
void xhci_dequeued(struct xhci *x, unsigned n, bool handled)
{
    struct xhci_interrupter *i = &x->st->intr[n];
    unsigned room;
    struct segment s;

    if (!free_blocks(x, i, &room))
        return;
    if (room > 1)
        i->full = 0;
    if (handled && read_segment(x, i, i->segment, &s) && (i->erdp & ~15ull) == s.base + (uint64_t)i->index * TRB_BYTES)
        i->pending = 0;
    else if (handled)
        i->pending = 1;
    xhci_interrupt(x);
}

/* ---- interrupts ---- */

static bool may_interrupt(const struct xhci_interrupter *i)
{
    return i->pending && !(i->erdp & ERDP_EHB) && !(i->iman & IMAN_IP);
}

void xhci_update_pin(struct xhci *x)
{
    const struct xhci_state *s = x->st;
    bool level = false;

    for (unsigned n = 0; n < XHCI_VECTORS; n++)
        level |= (s->intr[n].iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE);
    pci_set_intx(&x->pci, level && (s->cmd & XHCI_CMD_INTE) && !pci_has_messages(&x->pci));
}

void xhci_interrupt(struct xhci *x)
{
    struct xhci_state *s = x->st;
    vtime_t now = xhci_now(x);

    for (unsigned n = 0; n < XHCI_VECTORS; n++) {
        struct xhci_interrupter *i = &s->intr[n];

        if (!may_interrupt(i) || now < i->ready_at)
            continue;
        i->pending = 0;
        i->ready_at = now + (vtime_t)(i->imod & 0xffffu) * IMOD_NS;
        i->erdp |= ERDP_EHB;
        i->iman |= IMAN_IP;
        s->sts |= XHCI_STS_EINT;
        if (pci_has_messages(&x->pci) && (i->iman & IMAN_IE) && (s->cmd & XHCI_CMD_INTE)) {
            pci_notify(&x->pci, n);
            i->iman &= ~IMAN_IP; /* 5.5.2.1: at once, where messages are used */
        }
    }
    xhci_update_pin(x);
}

vtime_t xhci_interrupt_due(const struct xhci *x)
{
    vtime_t due = VTIME_NEVER;

    for (unsigned n = 0; n < XHCI_VECTORS; n++)
        if (may_interrupt(&x->st->intr[n]) && x->st->intr[n].ready_at < due)
            due = x->st->intr[n].ready_at;
    return due;
}
