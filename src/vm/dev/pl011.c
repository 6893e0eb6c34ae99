/*
 * The PrimeCell UART PL011 (ARM DDI 0183, revision r1p4: 16-byte FIFOs),
 * clocked at 24 MHz; register and bit names are the manual's.
 *
 * Input (EVENT_INPUT): raw bytes as they come over the line. input_room() is
 * the room in the receive FIFO; bytes beyond it are lost with an overrun error,
 * as on the wire. Output goes to machine_output().
 *
 * The transmitter is infinitely fast for who polls: FR never shows it busy or
 * full. The transmit interrupt that follows a write comes TX_IRQ_NS per byte
 * later, so that an interrupt-driven driver gets out of its handler between
 * two fillings of the FIFO. CR's enable bits are kept but not asked: guests that
 * print without setting the UART up are heard, as on other virtual machines.
 *
 * The far end holds CTS, DSR and DCD; in loopback the modem outputs come back as inputs, and each
 * input that changes raises its interrupt.
 *
 * Not modelled: DMA, IrDA, parity and framing errors, word lengths below 8, hardware flow control
 * (CR.RTSEn, CTSEn are kept), the integration test registers (80h-8Ch).
 * To extend: registers are in uart_read() and uart_write().
 */
#include "vm/dev/pl011.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum {
    DR = 0x00, RSR_ECR = 0x04, FR = 0x18, ILPR = 0x20, IBRD = 0x24, FBRD = 0x28, LCR_H = 0x2c, CR = 0x30,
    IFLS = 0x34, IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44, DMACR = 0x48, PERIPH_ID = 0xfe0,
};

#define FR_CTS  0x01u
#define FR_DSR  0x02u
#define FR_DCD  0x04u
#define FR_RXFE 0x10u
#define FR_RXFF 0x40u
#define FR_TXFE 0x80u
#define FR_RI   0x100u
#define FR_MODEM (FR_CTS | FR_DSR | FR_DCD | FR_RI)

#define LCR_BRK 0x01u
#define LCR_FEN 0x10u
#define CR_LBE  0x80u
#define CR_DTR  0x400u
#define CR_RTS  0x800u
#define CR_OUT1 0x1000u
#define CR_OUT2 0x2000u
#define CR_BITS 0xff87u
#define CR_RESET 0x300u /* TXE, RXE */

#define INT_RI  0x001u
#define INT_CTS 0x002u
#define INT_DCD 0x004u
#define INT_DSR 0x008u
#define INT_RX  0x010u
#define INT_TX  0x020u
#define INT_RT  0x040u
#define INT_BE  0x200u
#define INT_OE  0x400u
#define INT_ALL 0x7ffu

#define DR_BE  0x400u
#define DR_OE  0x800u
#define RSR_OE 0x8u

#define FIFO_SIZE  16u
#define UARTCLK_HZ 24000000u
/* Virtual time from a written byte to the transmit interrupt. */
#define TX_IRQ_NS 2000u
/* "32 bit periods" of the receive timeout. */
#define TIMEOUT_BITS 32u

static const uint8_t ids[8] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

DEVICE_STATE_BEGIN
struct pl011_state {
    uint32_t cr, lcr, ifls, imsc, ris, rsr, ibrd, fbrd, ilpr, dmacr;
    uint32_t head;          /* oldest entry of `fifo` */
    uint32_t count;         /* entries in `fifo` */
    uint32_t overrun;       /* the next byte received carries OE */
    uint32_t tx_burst;      /* bytes written since the transmitter was last empty */
    uint32_t modem;         /* modem inputs, as FR shows them */
    uint32_t reserved;
    uint16_t fifo[FIFO_SIZE]; /* byte, and error bits as in DR */
    uint64_t timeout_at;    /* vtime of the receive timeout, or VTIME_NEVER */
    uint64_t tx_at;         /* vtime at which the transmit FIFO drains, or VTIME_NEVER */
};
DEVICE_STATE_END

static unsigned capacity(const struct pl011_state *s)
{
    return s->lcr & LCR_FEN ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct pl011_state *s)
{
    static const uint8_t levels[8] = {2, 4, 8, 12, 14, 14, 14, 14};

    return s->lcr & LCR_FEN ? levels[s->ifls >> 3 & 7u] : 1;
}

static void update_irq(struct device *dev)
{
    const struct pl011_wiring *w = dev->wiring;
    const struct pl011_state *s = dev->state;

    line_set(&w->irq, s->ris & s->imsc);
}

/* A bit lasts (IBRD + FBRD / 64) * 16 clocks. */
static vtime_t timeout_ns(const struct pl011_state *s)
{
    uint64_t divisor = (uint64_t)s->ibrd * 64 + s->fbrd;

    if (divisor < 64)
        divisor = 13 * 64 + 1; /* not set up: 115200 baud */
    return TIMEOUT_BITS * 16 * divisor * NS_PER_SEC / (64ull * UARTCLK_HZ);
}

static void receive(struct device *dev, uint16_t entry)
{
    struct pl011_state *s = dev->state;

    if (s->count >= capacity(s)) {
        s->overrun = 1;
        s->rsr |= RSR_OE;
        s->ris |= INT_OE;
        return;
    }
    if (s->overrun)
        entry |= DR_OE;
    s->overrun = 0;
    s->fifo[(s->head + s->count) % FIFO_SIZE] = entry;
    s->count++;
    if (s->count >= trigger_level(s))
        s->ris |= INT_RX;
    s->timeout_at = machine_now(dev->machine) + timeout_ns(s);
}

static uint16_t pop(struct device *dev)
{
    struct pl011_state *s = dev->state;
    uint16_t entry;

    if (!s->count)
        return 0;
    entry = s->fifo[s->head];
    s->head = (s->head + 1) % FIFO_SIZE;
    s->count--;
    s->rsr = (s->rsr & RSR_OE) | (entry >> 8 & 0xfu); /* OE stays until ECR is written */
    if (s->count < trigger_level(s))
        s->ris &= ~INT_RX;
    if (s->count) {
        s->timeout_at = machine_now(dev->machine) + timeout_ns(s);
    } else {
        s->ris &= ~INT_RT;
        s->timeout_at = VTIME_NEVER;
    }
    return entry;
}

static void transmit(struct device *dev, uint8_t byte)
{
    struct pl011_state *s = dev->state;

    if (s->cr & CR_LBE)
        receive(dev, byte);
    else
        machine_output(dev, &byte, 1);
    s->ris &= ~INT_TX;
    s->tx_burst++;
    s->tx_at = machine_now(dev->machine) + (vtime_t)TX_IRQ_NS * s->tx_burst;
}

static void clear_fifo(struct pl011_state *s)
{
    s->count = 0;
    s->head = 0;
    s->overrun = 0;
    s->ris &= ~(INT_RX | INT_RT);
    s->timeout_at = VTIME_NEVER;
    memset(s->fifo, 0, sizeof(s->fifo));
}

static uint32_t read_flags(const struct pl011_state *s)
{
    return s->modem | FR_TXFE | (s->count ? 0 : FR_RXFE) | (s->count >= capacity(s) ? FR_RXFF : 0);
}

/* The modem inputs: in loopback the outputs (DDI 0183, UARTCR.LBE), else what the far end holds. */
static uint32_t modem_lines(uint32_t cr)
{
    if (!(cr & CR_LBE))
        return FR_CTS | FR_DSR | FR_DCD;
    return (cr & CR_RTS ? FR_CTS : 0) | (cr & CR_DTR ? FR_DSR : 0) | (cr & CR_OUT1 ? FR_DCD : 0) |
           (cr & CR_OUT2 ? FR_RI : 0);
}

static void update_modem(struct pl011_state *s)
{
    uint32_t lines = modem_lines(s->cr), changed = lines ^ s->modem;

    s->modem = lines;
    s->ris |= (changed & FR_RI ? INT_RI : 0) | (changed & FR_CTS ? INT_CTS : 0) | (changed & FR_DCD ? INT_DCD : 0) |
              (changed & FR_DSR ? INT_DSR : 0);
}

static uint64_t uart_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct pl011_state *s = dev->state;
    uint32_t value = 0;

    (void)range, (void)size;
    switch (offset) {
    case DR:
        value = pop(dev);
        update_irq(dev);
        break;
    case RSR_ECR: value = s->rsr; break;
    case FR:      value = read_flags(s); break;
    case ILPR:    value = s->ilpr; break;
    case IBRD:    value = s->ibrd; break;
    case FBRD:    value = s->fbrd; break;
    case LCR_H:   value = s->lcr; break;
    case CR:      value = s->cr; break;
    case IFLS:    value = s->ifls; break;
    case IMSC:    value = s->imsc; break;
    case RIS:     value = s->ris; break;
    case MIS:     value = s->ris & s->imsc; break;
    case DMACR:   value = s->dmacr; break;
    default:
        if (offset >= PERIPH_ID && offset < PERIPH_ID + 32)
            value = ids[(offset - PERIPH_ID) / 4];
        break;
    }
    return value;
}

static void receive_break(struct device *dev)
{
    struct pl011_state *s = dev->state;

    receive(dev, DR_BE);
    s->ris |= INT_BE;
}

static void write_lcr(struct device *dev, uint32_t value)
{
    struct pl011_state *s = dev->state;

    if ((value ^ s->lcr) & LCR_FEN)
        clear_fifo(s);
    if ((s->cr & CR_LBE) && (value & ~s->lcr & LCR_BRK))
        receive_break(dev);
    s->lcr = value & 0xffu;
}

static void uart_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pl011_state *s = dev->state;
    uint32_t v = (uint32_t)value;

    (void)range, (void)size;
    switch (offset) {
    case DR:      transmit(dev, (uint8_t)v); break;
    case RSR_ECR: s->rsr = 0; break;
    case ILPR:    s->ilpr = v & 0xffu; break;
    case IBRD:    s->ibrd = v & 0xffffu; break;
    case FBRD:    s->fbrd = v & 0x3fu; break;
    case LCR_H:   write_lcr(dev, v); break;
    case CR:
        s->cr = v & CR_BITS;
        update_modem(s);
        break;
    case IFLS:    s->ifls = v & 0x3fu; break;
    case IMSC:    s->imsc = v & INT_ALL; break;
    case ICR:     s->ris &= ~(v & INT_ALL); break;
    case DMACR:   s->dmacr = v & 7u; break;
    default:      break;
    }
    update_irq(dev);
}

static void uart_reset(struct device *dev)
{
    struct pl011_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    s->cr = CR_RESET;
    s->modem = modem_lines(s->cr);
    s->ifls = 0x12;
    s->timeout_at = VTIME_NEVER;
    s->tx_at = VTIME_NEVER;
    update_irq(dev);
}

static vtime_t uart_deadline(const struct device *dev)
{
    const struct pl011_state *s = dev->state;

    return s->timeout_at < s->tx_at ? s->timeout_at : s->tx_at;
}

static void uart_expire(struct device *dev, vtime_t now)
{
    struct pl011_state *s = dev->state;

    if (now >= s->timeout_at) {
        s->ris |= INT_RT;
        s->timeout_at = VTIME_NEVER;
    }
    if (now >= s->tx_at) {
        s->ris |= INT_TX;
        s->tx_at = VTIME_NEVER;
        s->tx_burst = 0;
    }
    update_irq(dev);
}

static void uart_input(struct device *dev, const struct event *e)
{
    const struct pl011_state *s = dev->state;

    for (uint32_t i = 0; i < e->len; i++)
        if (!(s->cr & CR_LBE)) /* the receiver is disconnected from the line */
            receive(dev, e->data[i]);
    if (!e->len && !(s->cr & CR_LBE))
        receive_break(dev);
    update_irq(dev);
}

static size_t uart_input_room(const struct device *dev)
{
    const struct pl011_state *s = dev->state;

    return s->cr & CR_LBE || s->count >= capacity(s) ? 0 : capacity(s) - s->count;
}

static void uart_describe(const struct device *dev, struct buffer *b)
{
    const struct pl011_state *s = dev->state;

    buffer_printf(b, "cr %04x lcr_h %02x imsc %03x ris %03x ibrd %u fbrd %u rx %u/%u trigger %u\n", s->cr, s->lcr,
                  s->imsc, s->ris, s->ibrd, s->fbrd, s->count, capacity(s), trigger_level(s));
}

static bool uart_possible(const struct device *dev)
{
    const struct pl011_state *s = dev->state;

    return s->head < FIFO_SIZE && s->count <= FIFO_SIZE && !(s->modem & ~FR_MODEM) &&
           machine_deadline_possible(dev->machine, s->timeout_at) && machine_deadline_possible(dev->machine, s->tx_at);
}

const struct device_ops pl011_ops = {
    .name = "pl011",
    .state_size = sizeof(struct pl011_state),
    .calm_reads = true,
    .calm_writes = true,
    .possible = uart_possible,
    .reset = uart_reset,
    .deadline = uart_deadline,
    .expire = uart_expire,
    .input = uart_input,
    .takes_break = true,
    .input_room = uart_input_room,
    .describe = uart_describe,
    .read = uart_read,
    .write = uart_write,
};
