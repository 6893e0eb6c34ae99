/*
 * A serial port on USB: FTDI's FT232BM, as QEMU's usb-serial (FTDI's data sheet and its application notes AN232B-04, latency and
 * handshakes, and AN232B-05, baud rates; the vendor requests as drivers document them). It is connected to a --chardev.
 *
 * Each packet IN begins with two status bytes, modem and line, and has up to 62 bytes of data behind them. It goes when that
 * many are there, at once when an error is to be told or the event character has come, else when the latency timer, which
 * runs from one packet to the next, is at its end; then without data, too: a driver that reads gets status at that rate. (QEMU
 * has no such packets, sends data at once, and leaves the line status 0; here the transmitter is told empty.) Until then it
 * says NAK, and the timer is a deadline only while somebody has been told so.
 *
 * Input (EVENT_INPUT): raw bytes. input_room() is the room in the receive buffer, none before the device is configured; bytes
 * beyond it are lost with an overrun error. Output goes to machine_output(), at once. With the handshake by XON and XOFF, the far end's
 * XOFF holds it up; both characters are taken out of the data.
 *
 * It is plugged in from the start, whether or not anybody is connected (QEMU's always-plugged=on): what is plugged in is
 * configuration.
 *
 * Not modelled: how long characters take, at whatever rate and format; a break that the guest sends is kept, and seen by nobody,
 * as a chardev has none. One that comes sets BI in the packet that it is in; PE and FE are never set, and the error character is never
 * put in. The far end holds CTS, DSR and DCD. The EEPROM and the bit modes.
 */
#include "vm/dev/usb_serial.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/usb.h"
#include "vm/machine.h"

#define EP_IN  0x81u
#define EP_OUT 0x02u

/* Vendor requests. */
enum { RESET = 0, SET_MDM_CTRL = 1, SET_FLOW_CTRL = 2, SET_BAUD_RATE = 3, SET_DATA = 4, GET_MDM_ST = 5, SET_EVENT_CHR = 6,
       SET_ERROR_CHR = 7, SET_LATENCY = 9, GET_LATENCY = 10 };
enum { RESET_SIO = 0, RESET_PURGE_RX = 1, RESET_PURGE_TX = 2 };

#define MDM_DTR 0x01u
#define MDM_RTS 0x02u
#define MDM_MASK_SHIFT 8 /* of the bits that say which are set */

#define FLOW_RTS_CTS  0x01u
#define FLOW_DTR_DSR  0x02u
#define FLOW_XON_XOFF 0x04u

#define DATA_BITS         0x00ffu
#define DATA_PARITY_SHIFT 8
#define DATA_STOP_SHIFT   11
#define DATA_BREAK        0x4000u
enum { PARITY_NONE, PARITY_ODD, PARITY_EVEN, PARITY_MARK, PARITY_SPACE, PARITIES };
enum { STOP_1, STOP_1_5, STOP_2, STOPS };

#define CHR_ENABLED 0x100u /* in the value of SET_EVENT_CHR and SET_ERROR_CHR */

/* The status bytes. */
#define MODEM_ALWAYS 0x01u
#define MODEM_CTS    0x10u
#define MODEM_DSR    0x20u
#define MODEM_DCD    0x80u
#define LINE_OE      0x02u
#define LINE_BI      0x10u
#define LINE_THRE    0x20u
#define LINE_TEMT    0x40u

#define RECEIVE_BYTES 384u /* the chip's receive buffer */
#define PACKET_BYTES  64u
#define STATUS_BYTES  2u
#define PACKET_DATA   (PACKET_BYTES - STATUS_BYTES)
#define LATENCY_UNIT  1000000ull
#define DIVISOR_9600  0x4138u /* 312.5 */

DEVICE_STATE_BEGIN
struct serial_state {
    struct usb_state usb;
    uint64_t sent_at;     /* vtime of the last packet IN */
    uint32_t divisor;     /* as SET_BAUD_RATE gives it, 17 bits */
    uint16_t format;      /* as SET_DATA gives it */
    uint16_t head, count; /* of the receive buffer */
    uint8_t modem;        /* MDM_DTR, MDM_RTS */
    uint8_t flow;         /* FLOW_... */
    uint8_t xon, xoff;
    uint8_t event, event_on;
    uint8_t error, error_on;
    uint8_t latency;      /* ms */
    uint8_t line;         /* errors that are to be told: LINE_OE, LINE_BI */
    uint8_t urgent;       /* what is in the buffer does not wait for the timer */
    uint8_t waiting;      /* the host was told NAK */
    uint8_t held;         /* by XOFF */
    uint8_t reserved[1];
    uint8_t received[RECEIVE_BYTES];
};
DEVICE_STATE_END

/* Wiring. */
struct serial {
    struct usb_device usb;
};

static const uint8_t full[] = {
    9, USB_DT_CONFIGURATION, 32, 0, 1, 1, 0, 0xa0, 50,
    9, USB_DT_INTERFACE, 0, 0, 2, 0xff, 0xff, 0xff, 0,
    7, USB_DT_ENDPOINT, EP_IN, 2, PACKET_BYTES, 0, 0,
    7, USB_DT_ENDPOINT, EP_OUT, 2, PACKET_BYTES, 0, 0,
};

/* ---- to the host ---- */

/* When a packet goes even if there is nothing in it. */
static vtime_t timer_end(const struct serial_state *s)
{
    return s->sent_at + (s->latency ? s->latency : 1u) * LATENCY_UNIT;
}

static bool is_due(const struct serial_state *s, vtime_t now)
{
    return s->count >= PACKET_DATA || s->urgent || s->line || now >= timer_end(s);
}

/* Whoever waits for a packet is told that there is one. */
static void tell(struct usb_device *u)
{
    struct serial_state *s = u->dev->state;

    if (!s->waiting || !is_due(s, machine_now(u->dev->machine)))
        return;
    s->waiting = 0;
    machine_attention(u->dev->machine);
    usb_ready(u, EP_IN);
}

static void put_status(uint8_t *p, const struct serial_state *s)
{
    p[0] = MODEM_ALWAYS | MODEM_CTS | MODEM_DSR | MODEM_DCD;
    p[1] = (uint8_t)(LINE_THRE | LINE_TEMT | s->line);
}

static void purge_receiver(struct serial_state *s)
{
    s->head = s->count = 0;
    s->urgent = 0;
    memset(s->received, 0, sizeof(s->received));
}

static enum usb_answer serial_in(struct usb_device *u, unsigned endpoint, uint8_t *buf, size_t *len)
{
    struct serial_state *s = u->dev->state;
    vtime_t now = machine_now(u->dev->machine);
    size_t n = s->count < PACKET_DATA ? s->count : PACKET_DATA;

    (void)endpoint;
    if (!is_due(s, now)) {
        if (!s->waiting)
            machine_attention(u->dev->machine);
        s->waiting = 1;
        return USB_NAK;
    }
    if (*len < STATUS_BYTES + n)
        return USB_BABBLE;
    put_status(buf, s);
    for (size_t i = 0; i < n; i++)
        buf[STATUS_BYTES + i] = s->received[(s->head + i) % RECEIVE_BYTES];
    s->head = (uint16_t)((s->head + n) % RECEIVE_BYTES);
    s->count = (uint16_t)(s->count - n);
    *len = STATUS_BYTES + n;
    s->line = 0;
    s->sent_at = now;
    s->waiting = 0;
    if (!s->count)
        purge_receiver(s);
    machine_attention(u->dev->machine);
    return USB_ACK;
}

/* ---- from the host ---- */

static void let_go(struct usb_device *u)
{
    struct serial_state *s = u->dev->state;

    if (s->held)
        usb_ready(u, EP_OUT);
    s->held = 0;
}

static enum usb_answer serial_out(struct usb_device *u, unsigned endpoint, const uint8_t *buf, size_t len)
{
    const struct serial_state *s = u->dev->state;

    (void)endpoint;
    if (s->held)
        return USB_NAK;
    machine_output(u->dev, buf, len);
    return USB_ACK;
}

/* ---- from the line ---- */

/* XON or XOFF: it is none of the data. */
static bool handshake(struct usb_device *u, uint8_t byte)
{
    struct serial_state *s = u->dev->state;

    if (!(s->flow & FLOW_XON_XOFF) || (byte != s->xon && byte != s->xoff))
        return false;
    if (byte == s->xon)
        let_go(u);
    else
        s->held = 1;
    return true;
}

static void receive(struct serial_state *s, uint8_t byte)
{
    if (s->count == RECEIVE_BYTES) {
        s->line |= LINE_OE;
        return;
    }
    s->received[(s->head + s->count) % RECEIVE_BYTES] = byte;
    s->count++;
    if (s->event_on && byte == s->event)
        s->urgent = 1;
}

static void serial_input(struct device *dev, const struct event *e)
{
    struct serial *p = dev->wiring;
    struct serial_state *s = dev->state;

    if (!s->usb.configuration)
        return;
    for (uint32_t i = 0; i < e->len; i++)
        if (!handshake(&p->usb, e->data[i]))
            receive(s, e->data[i]);
    if (!e->len) { /* a break: a character of zeros, in a packet whose status says so */
        receive(s, 0);
        s->line |= LINE_BI;
    }
    usb_wakeup(&p->usb);
    tell(&p->usb);
}

static size_t serial_input_room(const struct device *dev)
{
    const struct serial_state *s = dev->state;

    return s->usb.configuration ? RECEIVE_BYTES - s->count : 0;
}

/* ---- requests ---- */

static void reset_port(struct usb_device *u)
{
    struct serial_state *s = u->dev->state;

    purge_receiver(s);
    s->flow = 0;
    s->event = '\r';
    s->event_on = 0;
    s->modem = 0;
    let_go(u);
}

static enum usb_answer request_reset(struct usb_device *u, unsigned what)
{
    switch (what) {
    case RESET_SIO:      reset_port(u); return USB_ACK;
    case RESET_PURGE_RX: purge_receiver(u->dev->state); return USB_ACK;
    case RESET_PURGE_TX: return USB_ACK; /* nothing is on its way */
    default:             return USB_STALL;
    }
}

/* RTS is the handshake's, if that is by RTS and CTS. */
static void set_modem(struct serial_state *s, uint16_t value)
{
    unsigned which = value >> MDM_MASK_SHIFT & (s->flow & FLOW_RTS_CTS ? MDM_DTR : MDM_DTR | MDM_RTS);

    s->modem = (uint8_t)((s->modem & ~which) | (value & which));
}

static void set_flow(struct usb_device *u, const struct usb_setup *r)
{
    struct serial_state *s = u->dev->state;

    s->flow = r->index >> 8 & (FLOW_RTS_CTS | FLOW_DTR_DSR | FLOW_XON_XOFF);
    if (s->flow & FLOW_XON_XOFF) {
        s->xon = (uint8_t)r->value;
        s->xoff = (uint8_t)(r->value >> 8);
    } else {
        let_go(u);
    }
}

/* It has 7 and 8 bits; others are 8. */
static enum usb_answer set_data(struct serial_state *s, uint16_t value)
{
    unsigned parity = value >> DATA_PARITY_SHIFT & 7u, stop = value >> DATA_STOP_SHIFT & 7u;

    if (parity >= PARITIES || stop >= STOPS)
        return USB_STALL;
    s->format = value & (uint16_t)~DATA_BITS & 0x7fffu;
    s->format |= (value & DATA_BITS) == 7 ? 7 : 8;
    return USB_ACK;
}

static enum usb_answer get(const struct serial_state *s, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    switch (r->request) {
    case GET_MDM_ST:
        put_status(data, s);
        *len = STATUS_BYTES;
        return USB_ACK;
    case GET_LATENCY:
        data[0] = s->latency;
        *len = 1;
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

static enum usb_answer serial_control(struct usb_device *u, const struct usb_setup *r, uint8_t *data, uint16_t *len)
{
    struct serial_state *s = u->dev->state;

    if ((r->type & (USB_REQUEST_KIND | USB_REQUEST_RECIPIENT)) != (USB_REQUEST_VENDOR | USB_TO_DEVICE))
        return USB_STALL;
    if (r->type & USB_REQUEST_IN)
        return get(s, r, data, len);
    switch (r->request) {
    case RESET:
        return request_reset(u, r->value);
    case SET_MDM_CTRL:
        set_modem(s, r->value);
        return USB_ACK;
    case SET_FLOW_CTRL:
        set_flow(u, r);
        return USB_ACK;
    case SET_BAUD_RATE:
        s->divisor = r->value | (r->index & 1u) << 16;
        return USB_ACK;
    case SET_DATA:
        return set_data(s, r->value);
    case SET_EVENT_CHR:
        s->event = (uint8_t)r->value;
        s->event_on = !!(r->value & CHR_ENABLED);
        return USB_ACK;
    case SET_ERROR_CHR:
        s->error = (uint8_t)r->value;
        s->error_on = !!(r->value & CHR_ENABLED);
        return USB_ACK;
    case SET_LATENCY:
        s->latency = (uint8_t)r->value;
        machine_attention(u->dev->machine);
        return USB_ACK;
    default:
        return USB_STALL;
    }
}

/* ---- the device ---- */

static void serial_usb_reset(struct usb_device *u)
{
    struct serial_state *s = u->dev->state;

    memset(&s->usb + 1, 0, sizeof(*s) - sizeof(s->usb));
    s->sent_at = machine_now(u->dev->machine);
    s->divisor = DIVISOR_9600;
    s->format = 8;
    s->latency = 16;
    reset_port(u);
    machine_attention(u->dev->machine); /* there may be room for input */
}

static void serial_endpoint_reset(struct usb_device *u, unsigned endpoint)
{
    usb_ready(u, endpoint);
}

static const struct usb_class serial_class = {
    .product = "USB Serial", .vendor = 0x0403, .product_id = 0x6001, .release = 0x0400,
    .configurations = {[USB_FULL] = {full, sizeof(full)}},
    .reset = serial_usb_reset, .endpoint_reset = serial_endpoint_reset, .control = serial_control, .in = serial_in,
    .out = serial_out};

static void serial_reset(struct device *dev)
{
    struct serial *p = dev->wiring;

    usb_device_reset(&p->usb);
}

static vtime_t serial_deadline(const struct device *dev)
{
    const struct serial_state *s = dev->state;

    return s->waiting ? timer_end(s) : VTIME_NEVER;
}

static void serial_expire(struct device *dev, vtime_t now)
{
    struct serial *p = dev->wiring;

    (void)now;
    tell(&p->usb);
}

static bool serial_possible(const struct device *dev)
{
    const struct serial_state *s = dev->state;

    return usb_possible(&s->usb) && s->head < RECEIVE_BYTES && s->count <= RECEIVE_BYTES && s->sent_at < VTIME_NEVER / 2 &&
           s->waiting <= 1 && machine_deadline_possible(dev->machine, serial_deadline(dev)) &&
           (s->format >> DATA_PARITY_SHIFT & 7u) < PARITIES && (s->format >> DATA_STOP_SHIFT & 7u) < STOPS;
}

/* AN232B-05: 3 MHz by a divisor with eighths, and two divisors that stand for others. */
static unsigned baud_rate(uint32_t divisor)
{
    static const uint8_t eighths[8] = {0, 4, 2, 1, 3, 5, 6, 7};
    unsigned n = (divisor & 0x3fffu) * 8 + eighths[divisor >> 14 & 7u];

    return 24000000u / (n == 0 ? 8 : n == 8 ? 12 : n);
}

static void serial_describe(const struct device *dev, struct buffer *b)
{
    static const char *const stops[STOPS] = {"1", "1.5", "2"};
    const struct serial *p = dev->wiring;
    const struct serial_state *s = dev->state;

    usb_describe_state(&p->usb, b);
    buffer_printf(b, "%u baud, %u%c%s%s, dtr %u rts %u, handshakes %x%s, latency %u ms, event %02x%s, error %02x%s, rx %u/%u\n",
                  baud_rate(s->divisor), s->format & DATA_BITS, "NOEMS"[s->format >> DATA_PARITY_SHIFT & 7u],
                  stops[s->format >> DATA_STOP_SHIFT & 7u], s->format & DATA_BREAK ? ", break" : "", !!(s->modem & MDM_DTR),
                  !!(s->modem & MDM_RTS), s->flow, s->held ? " (held)" : "", s->latency, s->event, s->event_on ? "" : " off",
                  s->error, s->error_on ? "" : " off", s->count, RECEIVE_BYTES);
}

static const struct device_ops ops = {
    .name = "usb-serial",
    .state_size = sizeof(struct serial_state),
    .state_version = 1,
    .possible = serial_possible,
    .reset = serial_reset,
    .deadline = serial_deadline,
    .expire = serial_expire,
    .input = serial_input,
    .input_room = serial_input_room,
    .takes_break = true,
    .describe = serial_describe,
};

const struct option_key usb_serial_keys[] = {USB_KEYS, {"chardev", "ID"}, {"always-plugged", "on"}, {NULL, NULL}};

int usb_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err)
{
    struct device *dev = machine_add_owned_device(s->machine, &ops, name, sizeof(struct serial));
    struct serial *p = dev->wiring;
    bool plugged = true;

    (void)devfn, (void)d;
    if (option_list_switch(props, "always-plugged", &plugged, err) < 0)
        return -EINVAL;
    if (!plugged)
        return error_set(err, -EINVAL, "always-plugged=off: it is plugged in whether or not its chardev is connected");
    if (parts_connect_chardev(dev, props, err) < 0)
        return -EINVAL;
    if (usb_plug(&p->usb, s, dev, &serial_class, props, err) < 0)
        return err->code;
    if (!p->usb.serial[0]) /* a chip without one says that it is an older one */
        strcpy(p->usb.serial, "1");
    return 0;
}
