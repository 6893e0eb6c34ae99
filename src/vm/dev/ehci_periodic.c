/*
 * EHCI: the periodic schedule, and isochronous transfers (EHCI 1.0, 3.1, 3.3, 3.4, 4.6, 4.7, 4.12.3).
 *
 * A split isochronous transfer is made as a whole: OUT at its first start-split, IN at its first complete-split. Frame span
 * traversal nodes (3.7) are gone over by their normal path: nothing is left for a recovery path to complete.
 */
#include "vm/dev/ehci_internal.h"

/* An iTD: its link, transactions of eight microframes, pages with what is addressed. */
enum { ITD_TRANSACTION = 1, ITD_BUFFER = 9, ITD_WORDS = 16 };
#define ITD_PAGES   7u
#define ITD_ACTIVE  0x80000000u
#define ITD_BUFFERR 0x40000000u
#define ITD_BABBLE  0x20000000u
#define ITD_XACTERR 0x10000000u
#define ITD_LENGTH  0x0fff0000u
#define ITD_IOC     0x00008000u

enum { SITD_ENDPOINT = 1, SITD_MASKS, SITD_STATUS, SITD_PAGE0, SITD_PAGE1, SITD_WORDS = 7 };
#define SITD_IN       0x80000000u
#define SITD_IOC      0x80000000u
#define SITD_PAGE     0x40000000u
#define SITD_TOTAL    0x03ff0000u
#define SITD_ACTIVE   0x00000080u
#define SITD_ERR      0x00000040u
#define SITD_BABBLE   0x00000010u

/* ---- high speed ---- */

struct itd {
    struct ehci_work *work;
    uint32_t w[ITD_WORDS];
    uint32_t page, offset; /* where the transaction is */
};

static bool move(struct itd *t, uint8_t *buf, size_t len, bool in)
{
    while (len) {
        size_t n = 4096u - t->offset < len ? 4096u - t->offset : len;
        uint32_t at;

        if (t->page >= ITD_PAGES)
            return false;
        at = (t->w[ITD_BUFFER + t->page] & ~0xfffu) + t->offset;
        if (!(in ? ehci_write(t->work, at, buf, n) : ehci_read(t->work, at, buf, n)))
            return false;
        buf += n;
        len -= n;
        t->offset = (t->offset + (uint32_t)n) & 0xfffu;
        t->page += !t->offset;
    }
    return true;
}

/* The packets of a microframe, `len` bytes in all. The bytes that went, or came; *status: what went wrong. */
static unsigned run_packets(struct itd *t, unsigned len, uint32_t *status)
{
    const uint32_t *b = t->w + ITD_BUFFER;
    unsigned endpoint = b[0] >> 8 & 15u, most = b[1] & 0x7ffu, packets = b[2] & 3u ? b[2] & 3u : 1, moved = 0;
    bool in = b[1] & 0x800u;
    struct usb_device *d = ehci_addressee(t->work->e, USB_HIGH, b[0] & 0x7fu, 0, 0);
    uint8_t buf[USB_PACKET_MOST];

    if (most > sizeof(buf))
        most = sizeof(buf);
    do {
        size_t n = len - moved < most ? len - moved : most;
        enum usb_answer a = USB_SILENCE;

        if (!ehci_afford(t->work, USB_HIGH, (unsigned)n))
            break;
        if (!in && !move(t, buf, n, false)) {
            *status = ITD_BUFFERR;
            break;
        }
        if (d && endpoint)
            a = usb_transact(d, in ? USB_PID_IN : USB_PID_OUT, endpoint, buf, &n);
        if (in && a != USB_ACK) { /* OUT there is no handshake */
            *status = a == USB_BABBLE ? ITD_BABBLE : ITD_XACTERR;
            break;
        }
        if (in && !move(t, buf, n, true)) {
            *status = ITD_BUFFERR;
            break;
        }
        moved += (unsigned)n;
        if (in && n < most)
            break;
    } while (--packets && moved < len);
    return moved;
}

static uint32_t run_itd(struct ehci_work *w, uint32_t at, unsigned microframe)
{
    struct itd t = {.work = w};
    uint32_t *x = &t.w[ITD_TRANSACTION + microframe], was, status = 0;
    unsigned moved;

    if (!ehci_visit(w) || !ehci_read_words(w, at, t.w, ITD_WORDS))
        return EHCI_LINK_T;
    if (!(*x & ITD_ACTIVE))
        return t.w[0];
    was = *x;
    t.page = was >> 12 & 7u;
    t.offset = was & 0xfffu;
    moved = run_packets(&t, was >> 16 & 0xfffu, &status);
    *x &= ~(ITD_ACTIVE | ITD_BUFFERR | ITD_BABBLE | ITD_XACTERR);
    *x |= status;
    if (t.w[ITD_BUFFER + 1] & 0x800u)
        *x = (*x & ~ITD_LENGTH) | moved << 16;
    if (status)
        ehci_raise(w, EHCI_STS_ERRINT);
    if (*x & ITD_IOC)
        ehci_raise(w, EHCI_STS_INT);
    ehci_write_words(w, at + 4 * (ITD_TRANSACTION + microframe), x, &was, 1);
    w->did = true;
    return t.w[0];
}

/* ---- full speed, behind a transaction translator ---- */

/* The data lie in one page, or go on in the second. */
static bool move_split(struct ehci_work *w, uint32_t *s, uint8_t *buf, size_t len, bool in)
{
    uint32_t offset = s[SITD_PAGE0] & 0xfffu;

    while (len) {
        size_t n = 4096u - offset < len ? 4096u - offset : len;
        uint32_t at = (s[s[SITD_STATUS] & SITD_PAGE ? SITD_PAGE1 : SITD_PAGE0] & ~0xfffu) + offset;

        if (!(in ? ehci_write(w, at, buf, n) : ehci_read(w, at, buf, n)))
            return false;
        buf += n;
        len -= n;
        offset = (offset + (uint32_t)n) & 0xfffu;
        if (!offset)
            s[SITD_STATUS] ^= SITD_PAGE;
    }
    s[SITD_PAGE0] = (s[SITD_PAGE0] & ~0xfffu) | offset;
    return true;
}

static void run_split(struct ehci_work *w, uint32_t *s)
{
    bool in = s[SITD_ENDPOINT] & SITD_IN;
    unsigned endpoint = s[SITD_ENDPOINT] >> 8 & 15u, total = s[SITD_STATUS] >> 16 & 0x3ffu;
    struct usb_device *d = ehci_addressee(w->e, USB_FULL, s[SITD_ENDPOINT] & 0x7fu, s[SITD_ENDPOINT] >> 16 & 0x7fu,
                                          s[SITD_ENDPOINT] >> 24 & 0x7fu);
    enum usb_answer a = USB_SILENCE;
    uint8_t buf[USB_PACKET_MOST];
    size_t len = total;
    bool ok = in || move_split(w, s, buf, len, false);

    if (ok && d && endpoint)
        a = usb_transact(d, in ? USB_PID_IN : USB_PID_OUT, endpoint, buf, &len);
    if (in && a == USB_ACK)
        ok = move_split(w, s, buf, len, true);
    s[SITD_STATUS] &= ~(SITD_ACTIVE | SITD_ERR | SITD_BABBLE);
    if (!ok || (in && a != USB_ACK)) {
        s[SITD_STATUS] |= a == USB_BABBLE ? SITD_BABBLE : SITD_ERR;
        ehci_raise(w, EHCI_STS_ERRINT);
        return;
    }
    s[SITD_STATUS] = (s[SITD_STATUS] & ~SITD_TOTAL) | (total - (uint32_t)len) << 16;
}

static uint32_t run_sitd(struct ehci_work *w, uint32_t at, unsigned microframe)
{
    uint32_t s[SITD_WORDS], was[SITD_WORDS];
    unsigned turns;

    if (!ehci_visit(w) || !ehci_read_words(w, at, s, SITD_WORDS))
        return EHCI_LINK_T;
    turns = s[SITD_ENDPOINT] & SITD_IN ? s[SITD_MASKS] >> 8 & 0xffu : s[SITD_MASKS] & 0xffu;
    if (!(s[SITD_STATUS] & SITD_ACTIVE) || !(turns & -turns & 1u << microframe) ||
        !ehci_afford(w, USB_FULL, s[SITD_STATUS] >> 16 & 0x3ffu))
        return s[0];
    for (unsigned i = 0; i < SITD_WORDS; i++)
        was[i] = s[i];
    run_split(w, s);
    if (s[SITD_STATUS] & SITD_IOC)
        ehci_raise(w, EHCI_STS_INT);
    ehci_write_words(w, at, s, was, SITD_WORDS);
    w->did = true;
    return s[0];
}

/* ---- the frame list ---- */

static uint32_t run_node(struct ehci_work *w, uint32_t at)
{
    uint32_t link;

    return ehci_visit(w) && ehci_read_words(w, at, &link, 1) ? link : EHCI_LINK_T;
}

void ehci_run_periodic(struct ehci_work *w, uint32_t frindex)
{
    unsigned microframe = frindex & 7u;
    uint32_t link;

    if (!ehci_read_words(w, w->e->st->periodic + 4 * (frindex >> 3 & 0x3ffu), &link, 1))
        return;
    while (!(link & EHCI_LINK_T)) {
        uint32_t at = link & EHCI_LINK_AT;

        switch (EHCI_TYPE(link)) {
        case EHCI_ITD:  link = run_itd(w, at, microframe); break;
        case EHCI_QH:   link = ehci_run_queue(w, at, 1u << microframe); break;
        case EHCI_SITD: link = run_sitd(w, at, microframe); break;
        case EHCI_FSTN: link = run_node(w, at); break;
        }
    }
}
