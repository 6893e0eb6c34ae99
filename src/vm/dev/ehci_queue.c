/*
 * EHCI: queue heads, their transfer descriptors, and the asynchronous schedule (EHCI 1.0, 3.5, 3.6, 4.8, 4.10).
 *
 * A queue head is read anew at each turn, and what has changed of it is written back, as is a descriptor that ends. The count
 * of NAKs (RL, 4.9) is used up by one of them: within a pass a device will not have another answer.
 *
 * A split transaction (4.12) is made as a whole: the translator has it done between start and completion, which is here at
 * its first complete-split. So SplitXstate, C-prog-mask, S-bytes and FrameTag are never seen but as they are before and afterwards.
 */
#include "vm/dev/ehci_internal.h"

/* Words of a queue head. From QH_CURRENT on it is the overlay: QH_NEXT and all after it are as in a descriptor. */
enum { QH_LINK, QH_CHARS, QH_CAPS, QH_CURRENT, QH_NEXT, QH_ALT, QH_TOKEN, QH_BUFFER, QH_WORDS = 12 };
#define QTD_WORDS 8u
#define PAGES     5u

#define CHARS_H    0x00008000u
#define CHARS_DTC  0x00004000u
#define CHARS_INACTIVATE 0x00000080u

#define TOKEN_PING    0x00000001u
#define TOKEN_XACTERR 0x00000008u
#define TOKEN_BABBLE  0x00000010u
#define TOKEN_BUFFER  0x00000020u
#define TOKEN_HALTED  0x00000040u
#define TOKEN_ACTIVE  0x00000080u
#define TOKEN_CERR    0x00000c00u
#define TOKEN_CERR_ONE 0x00000400u
#define TOKEN_IOC     0x00008000u
#define TOKEN_DT      0x80000000u
#define TOKEN_PAGE    0x00007000u
#define TOKEN_TOTAL   0x7fff0000u
#define TOTAL(token)  ((token) >> 16 & 0x7fffu)

#define ALT_NAKS 0x1eu /* NakCnt */

struct queue {
    struct ehci_work *work;
    uint32_t at;
    uint32_t w[QH_WORDS], was[QH_WORDS];
};

static enum usb_speed speed_of(const struct queue *q)
{
    static const uint8_t speeds[] = {USB_FULL, USB_LOW, USB_HIGH, USB_SUPER};

    return speeds[q->w[QH_CHARS] >> 12 & 3u];
}

static void set_naks(struct queue *q, uint32_t count)
{
    q->w[QH_ALT] = (q->w[QH_ALT] & ~ALT_NAKS) | count << 1;
}

static uint32_t reload(const struct queue *q)
{
    return q->w[QH_CHARS] >> 28;
}

/* ---- from one descriptor to the next (4.10.2) ---- */

static bool advance(struct queue *q)
{
    bool alternate = TOTAL(q->w[QH_TOKEN]) && !(q->w[QH_ALT] & EHCI_LINK_T); /* a short packet was the last */
    uint32_t next = q->w[alternate ? QH_ALT : QH_NEXT], old = q->w[QH_TOKEN], qtd[QTD_WORDS];
    bool pings;

    if ((next & EHCI_LINK_T) || (q->w[QH_CHARS] & CHARS_INACTIVATE))
        return false;
    if (!ehci_read_words(q->work, next & EHCI_LINK_AT, qtd, QTD_WORDS) || !(qtd[2] & TOKEN_ACTIVE) || (qtd[2] & TOKEN_HALTED))
        return false;
    q->w[QH_CURRENT] = next & EHCI_LINK_AT;
    for (unsigned i = 0; i < QTD_WORDS; i++)
        q->w[QH_NEXT + i] = qtd[i];
    pings = speed_of(q) == USB_HIGH && !(qtd[2] >> 8 & 3u);
    if (!(q->w[QH_CHARS] & CHARS_DTC))
        q->w[QH_TOKEN] = (q->w[QH_TOKEN] & ~TOKEN_DT) | (old & TOKEN_DT);
    if (pings)
        q->w[QH_TOKEN] = (q->w[QH_TOKEN] & ~TOKEN_PING) | (old & TOKEN_PING);
    set_naks(q, reload(q));
    q->w[QH_BUFFER + 1] &= ~0xffu;
    q->w[QH_BUFFER + 2] &= ~0x1fu;
    q->work->did = true;
    return true;
}

/* It ended: with these bits of its status besides those that it has. */
static void retire(struct queue *q, uint32_t status)
{
    uint8_t bytes[8];

    q->work->did = true;
    q->w[QH_TOKEN] = (q->w[QH_TOKEN] & ~TOKEN_ACTIVE) | status;
    if (status & TOKEN_HALTED)
        ehci_raise(q->work, EHCI_STS_ERRINT);
    if (q->w[QH_TOKEN] & TOKEN_IOC)
        ehci_raise(q->work, EHCI_STS_INT);
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(q->w[QH_TOKEN] >> (8 * i));
        bytes[4 + i] = (uint8_t)(q->w[QH_BUFFER] >> (8 * i));
    }
    ehci_write(q->work, (q->w[QH_CURRENT] & EHCI_LINK_AT) + 8, bytes, sizeof(bytes));
}

/* ---- a transaction ---- */

/* Move bytes between `buf` and the descriptor's pages, from where it is; with `commit` it goes on behind them. False: it has no such
 * page, or memory could not be reached. */
static bool move(struct queue *q, uint8_t *buf, size_t len, bool in, bool commit)
{
    uint32_t page = q->w[QH_TOKEN] >> 12 & 7u, offset = q->w[QH_BUFFER] & 0xfffu;

    while (len) {
        size_t n = 4096u - offset < len ? 4096u - offset : len;
        uint32_t at;

        if (page >= PAGES)
            return false;
        at = (q->w[QH_BUFFER + page] & ~0xfffu) + offset;
        if (!(in ? ehci_write(q->work, at, buf, n) : ehci_read(q->work, at, buf, n)))
            return false;
        buf += n;
        len -= n;
        offset = (offset + (uint32_t)n) & 0xfffu;
        page += !offset;
    }
    if (commit) {
        q->w[QH_TOKEN] = (q->w[QH_TOKEN] & ~TOKEN_PAGE) | page << 12;
        q->w[QH_BUFFER] = (q->w[QH_BUFFER] & ~0xfffu) | offset;
    }
    return true;
}

/* Data went, or came: `n` bytes, of a packet that could have had `most`. */
static void acknowledged(struct queue *q, uint8_t *buf, size_t n, unsigned most, bool in)
{
    uint32_t total = TOTAL(q->w[QH_TOKEN]) - (uint32_t)n;

    if (!move(q, buf, n, in, true)) {
        retire(q, TOKEN_HALTED | TOKEN_BUFFER);
        return;
    }
    q->w[QH_TOKEN] = ((q->w[QH_TOKEN] & ~(TOKEN_TOTAL | TOKEN_PING)) | total << 16) ^ TOKEN_DT;
    set_naks(q, reload(q));
    if (in && n < most && total)
        ehci_raise(q->work, EHCI_STS_INT); /* short packet */
    if (!total || (in && n < most))
        retire(q, 0);
}

/* Nobody has answered: with the last error that is allowed the descriptor ends. */
static void count_error(struct queue *q)
{
    uint32_t left = q->w[QH_TOKEN] & TOKEN_CERR;

    q->w[QH_TOKEN] |= TOKEN_XACTERR;
    if (!left)
        return;
    q->w[QH_TOKEN] -= TOKEN_CERR_ONE;
    q->work->did = true;
    if (left == TOKEN_CERR_ONE)
        retire(q, TOKEN_HALTED);
}

/* True: the packet was acknowledged. */
static bool transact(struct queue *q)
{
    static const uint8_t pids[] = {USB_PID_OUT, USB_PID_IN, USB_PID_SETUP};
    unsigned pid = q->w[QH_TOKEN] >> 8 & 3u, most = q->w[QH_CHARS] >> 16 & 0x7ffu, total = TOTAL(q->w[QH_TOKEN]);
    bool in = pid == 1, lost = false;
    enum usb_answer a = USB_SILENCE;
    uint8_t buf[USB_PACKET_MOST];
    struct usb_device *d;
    size_t len;

    if (pid > 2 || speed_of(q) == USB_SUPER || most > sizeof(buf)) {
        retire(q, TOKEN_HALTED | TOKEN_XACTERR);
        return false;
    }
    len = total < most ? total : most;
    if (!ehci_afford(q->work, speed_of(q), (unsigned)len))
        return false;
    if (!in && !move(q, buf, len, false, false)) {
        retire(q, TOKEN_HALTED | TOKEN_BUFFER);
        return false;
    }
    d = ehci_addressee(q->work->e, speed_of(q), q->w[QH_CHARS] & 0x7fu, q->w[QH_CAPS] >> 16 & 0x7fu, q->w[QH_CAPS] >> 23 & 0x7fu);
    if (d)
        a = usb_transact_toggled(d, pids[pid], q->w[QH_CHARS] >> 8 & 15u, q->w[QH_TOKEN] & TOKEN_DT, buf, &len, &lost);
    q->work->did |= a != USB_NAK && a != USB_SILENCE;
    if (a == USB_ACK && !(in && lost)) {
        acknowledged(q, buf, len, most, in);
    } else if (a == USB_NAK) {
        set_naks(q, 0);
        if (!pid && speed_of(q) == USB_HIGH)
            q->w[QH_TOKEN] |= TOKEN_PING;
    } else if (a == USB_SILENCE) {
        count_error(q);
    } else if (a != USB_ACK) {
        retire(q, TOKEN_HALTED | (a == USB_BABBLE ? TOKEN_BABBLE : 0));
    }
    return a == USB_ACK;
}

/* Is it the queue's turn in a microframe (bit n of `mask`: n)? Split transactions have one at their first complete-split. */
static bool has_turn(const struct queue *q, unsigned mask)
{
    unsigned completes = q->w[QH_CAPS] >> 8 & 0xffu;

    if (!mask)
        return true;
    return mask & (speed_of(q) == USB_HIGH ? q->w[QH_CAPS] & 0xffu : completes & -completes);
}

/* A turn for the queue. True: something was done. */
static bool run_queue(struct queue *q, unsigned mask)
{
    unsigned n = mask && speed_of(q) == USB_HIGH ? q->w[QH_CAPS] >> 30 : 1; /* Mult: of periodic ones */
    bool before = q->work->did, did;

    q->work->did = false;
    if (!(q->w[QH_TOKEN] & TOKEN_HALTED) && ((q->w[QH_TOKEN] & TOKEN_ACTIVE) || advance(q)))
        do {
            if (!transact(q))
                break;
        } while (n-- > 1 && (q->w[QH_TOKEN] & TOKEN_ACTIVE));
    did = q->work->did;
    q->work->did |= before;
    ehci_write_words(q->work, q->at + 4 * QH_CURRENT, q->w + QH_CURRENT, q->was + QH_CURRENT, QH_WORDS - QH_CURRENT);
    return did;
}

static bool read_queue(struct ehci_work *w, uint32_t at, struct queue *q)
{
    q->work = w;
    q->at = at;
    if (!ehci_visit(w) || !ehci_read_words(w, at, q->w, QH_WORDS))
        return false;
    for (unsigned i = 0; i < QH_WORDS; i++)
        q->was[i] = q->w[i];
    return true;
}

uint32_t ehci_run_queue(struct ehci_work *w, uint32_t at, unsigned mask)
{
    struct queue q;

    if (!read_queue(w, at, &q))
        return EHCI_LINK_T;
    if (has_turn(&q, mask))
        run_queue(&q, mask);
    return q.w[QH_LINK];
}

/* ---- the asynchronous schedule ---- */

/* The head of the list is passed (4.8.3): false if nothing was done since it was passed last. */
static bool pass_head(struct ehci_state *s)
{
    bool reclaims = s->sts & EHCI_STS_RECL;

    s->sts &= ~EHCI_STS_RECL;
    return reclaims;
}

/* A doorbell promises that nothing is kept of a queue that was taken out of the list: its head never is. */
static void go_to_head(struct ehci_work *w)
{
    struct queue q;

    w->visits = EHCI_VISITS_MOST;
    for (uint32_t at = w->e->st->async; read_queue(w, at, &q); at = q.w[QH_LINK] & EHCI_LINK_AT) {
        w->e->st->async = at;
        if ((q.w[QH_CHARS] & CHARS_H) || (q.w[QH_LINK] & EHCI_LINK_T))
            return;
    }
}

void ehci_run_async(struct ehci_work *w)
{
    struct ehci_state *s = w->e->st;
    struct queue q;

    s->sts |= EHCI_STS_RECL;
    while (w->bits && read_queue(w, s->async, &q)) {
        if ((q.w[QH_CHARS] & CHARS_H) && !pass_head(s))
            break;
        if (run_queue(&q, 0))
            s->sts |= EHCI_STS_RECL;
        if (q.w[QH_LINK] & EHCI_LINK_T)
            break;
        s->async = q.w[QH_LINK] & EHCI_LINK_AT;
    }
    if (s->cmd & EHCI_CMD_IAAD)
        go_to_head(w);
}
