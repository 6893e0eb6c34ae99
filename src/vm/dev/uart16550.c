/*
 * The 16550A UART (National Semiconductor PC16550D data sheet; register
 * numbers and bits by its names). Eight byte-wide registers in range 0.
 *
 * Input (EVENT_INPUT): raw bytes as they come over the line. input_room() is
 * the room in the receive FIFO; bytes beyond it are lost with an overrun error,
 * as on the wire. Output goes to machine_output().
 *
 * The transmitter is infinitely fast for who polls: LSR.THRE and LSR.TEMT are
 * always set. The THRE interrupt that follows a write comes TX_IRQ_NS per byte
 * later, so that an interrupt-driven driver gets out of its handler between
 * two fillings of the FIFO. The far end holds DCD, DSR and CTS; nothing ever
 * goes wrong on the line: a break, the far end's (an EVENT_INPUT of no bytes) or one sent in loopback, sets BI, and nothing PE and FE. Such a
 * flag belongs to its character: LSR shows it when that comes to the top of the FIFO, and bit 7
 * until then.
 *
 * Bytes pass whole, whatever word length LCR says: a program that never programs the
 * line (5 bits, after a reset) is heard all the same, as it is in QEMU.
 *
 * Not modelled: DMA modes (RXRDY, TXRDY), the baud rate of the transmitter,
 * sticky parity, word lengths below 8.
 */
#include "vm/dev/uart16550.h"

#include <string.h>

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_ERBFI 0x01u
#define IER_ETBEI 0x02u
#define IER_ELSI  0x04u
#define IER_EDSSI 0x08u

#define IIR_NONE    0x01u
#define IIR_MODEM   0x00u
#define IIR_THRE    0x02u
#define IIR_DATA    0x04u
#define IIR_TIMEOUT 0x0cu
#define IIR_LINE    0x06u
#define IIR_FIFOS   0xc0u

#define FCR_ENABLE   0x01u
#define FCR_RESET_RX 0x02u
#define FCR_RESET_TX 0x04u

#define LCR_DLAB  0x80u
#define LCR_BREAK 0x40u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u

#define LSR_DR    0x01u
#define LSR_OE    0x02u
#define LSR_BI    0x10u
#define LSR_THRE  0x20u
#define LSR_TEMT  0x40u
#define LSR_ERROR 0x80u /* in FIFO mode: a flag somewhere in the FIFO */
#define LSR_OF_CHARACTER 0x1cu /* PE, FE, BI */

#define MSR_LINES 0xf0u
#define MSR_CTS   0x10u
#define MSR_DSR   0x20u
#define MSR_RI    0x40u
#define MSR_DCD   0x80u

#define FIFO_SIZE UART16550_FIFO
/* Virtual time from a written byte to the THRE interrupt. */
#define TX_IRQ_NS 2000u
#define BAUD_BASE 115200u

static unsigned capacity(const struct uart16550_state *s)
{
    return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct uart16550_state *s)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* Four character times: data sheet, "FIFO interrupt mode operation". */
static vtime_t timeout_ns(const struct uart16550_state *s)
{
    unsigned bits = 1 + 5 + (s->lcr & 3u) + (s->lcr >> 3 & 1u) + 1 + (s->lcr >> 2 & 1u);
    uint64_t divisor = s->divisor ? s->divisor : 0x10000;

    return 4 * bits * divisor * NS_PER_SEC / BAUD_BASE;
}

static uint8_t identify(const struct uart16550_state *s)
{
    if ((s->ier & IER_ELSI) && s->errors)
        return IIR_LINE;
    if ((s->ier & IER_ERBFI) && s->count >= trigger_level(s))
        return IIR_DATA;
    if ((s->ier & IER_ERBFI) && s->timeout)
        return IIR_TIMEOUT;
    if ((s->ier & IER_ETBEI) && s->thre_pending)
        return IIR_THRE;
    if ((s->ier & IER_EDSSI) && (s->msr & 0x0fu))
        return IIR_MODEM;
    return IIR_NONE;
}

bool uart16550_interrupts(const struct device *dev)
{
    const struct uart16550_wiring *w = dev->wiring;
    const struct uart16550_state *s = dev->state;
    bool gate = !w->irq_needs_out2 || (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    return gate && identify(s) != IIR_NONE;
}

static void update_irq(struct device *dev)
{
    const struct uart16550_wiring *w = dev->wiring;

    line_set(&w->irq, uart16550_interrupts(dev));
}

static void arm_timeout(struct device *dev)
{
    struct uart16550_state *s = dev->state;

    s->timeout = 0;
    s->timeout_at = VTIME_NEVER;
    if ((s->fcr & FCR_ENABLE) && s->count)
        s->timeout_at = machine_now(dev->machine) + timeout_ns(s);
}

/* What belongs to the character that is now at the top shows in LSR. */
static void reveal(struct uart16550_state *s)
{
    if (!s->count)
        return;
    s->errors |= s->flags[s->head];
    s->flags[s->head] = 0;
}

/* LSR bit 7. */
static bool error_in_fifo(const struct uart16550_state *s)
{
    uint8_t any = s->errors & LSR_OF_CHARACTER;

    if (!(s->fcr & FCR_ENABLE))
        return false;
    for (uint32_t i = 0; i < s->count; i++)
        any |= s->flags[(s->head + i) % FIFO_SIZE];
    return any;
}

static void receive(struct device *dev, uint8_t byte, uint8_t flags)
{
    struct uart16550_state *s = dev->state;

    if (s->count == capacity(s)) {
        s->errors |= LSR_OE;
        if (!(s->fcr & FCR_ENABLE)) { /* the holding register is overwritten */
            s->fifo[s->head] = byte;
            s->flags[s->head] = flags;
        }
    } else {
        s->fifo[(s->head + s->count) % FIFO_SIZE] = byte;
        s->flags[(s->head + s->count) % FIFO_SIZE] = flags;
        s->count++;
    }
    reveal(s);
    arm_timeout(dev);
}

static uint8_t pop(struct device *dev)
{
    struct uart16550_state *s = dev->state;
    uint8_t byte = s->fifo[s->head];

    if (!s->count)
        return byte; /* an empty receiver gives the last byte again */
    if (s->count > 1 || (s->fcr & FCR_ENABLE))
        s->head = (uint8_t)((s->head + 1) % FIFO_SIZE);
    s->count--;
    reveal(s);
    arm_timeout(dev);
    return byte;
}

static void clear_receiver(struct uart16550_state *s)
{
    s->count = 0;
    s->head = 0;
    s->errors = 0;
    s->timeout = 0;
    s->timeout_at = VTIME_NEVER;
    memset(s->fifo, 0, sizeof(s->fifo));
    memset(s->flags, 0, sizeof(s->flags));
}

static void transmit(struct device *dev, uint8_t byte)
{
    struct uart16550_state *s = dev->state;

    s->thre_pending = 0;
    update_irq(dev); /* the line falls, so that the next condition is an edge */
    if (s->mcr & MCR_LOOP)
        receive(dev, byte, 0);
    else
        machine_output(dev, &byte, 1);
    s->tx_burst++;
    s->thre_at = machine_now(dev->machine) + (vtime_t)TX_IRQ_NS * s->tx_burst;
}

static void write_ier(struct uart16550_state *s, uint8_t value)
{
    uint8_t raised = (uint8_t)(value & ~s->ier);

    s->ier = value & 0x0fu;
    /* Enabling the THRE interrupt while the holding register is empty raises it. */
    if ((raised & IER_ETBEI) && s->thre_at == VTIME_NEVER)
        s->thre_pending = 1;
}

static void write_fcr(struct uart16550_state *s, uint8_t value)
{
    /* Changing the FIFO enable bit clears both FIFOs. */
    if ((value ^ s->fcr) & FCR_ENABLE)
        value |= FCR_RESET_RX | FCR_RESET_TX;
    if (value & FCR_RESET_RX)
        clear_receiver(s);
    if ((value & FCR_RESET_TX) && s->thre_at != VTIME_NEVER) {
        s->thre_at = VTIME_NEVER;
        s->tx_burst = 0;
        s->thre_pending = 1;
    }
    s->fcr = value & FCR_ENABLE ? value & 0xc9u : 0;
}

/* Modem lines as seen by MSR: from MCR in loopback mode, else from the far end. */
static void update_modem(struct uart16550_state *s)
{
    uint8_t lines = MSR_DCD | MSR_DSR | MSR_CTS;
    uint8_t changed;

    if (s->mcr & MCR_LOOP) {
        lines = 0;
        lines |= s->mcr & MCR_RTS ? MSR_CTS : 0;
        lines |= s->mcr & MCR_DTR ? MSR_DSR : 0;
        lines |= s->mcr & MCR_OUT1 ? MSR_RI : 0;
        lines |= s->mcr & MCR_OUT2 ? MSR_DCD : 0;
    }
    changed = (uint8_t)((lines ^ s->msr) & MSR_LINES);
    if (lines & MSR_RI)
        changed &= (uint8_t)~MSR_RI; /* TERI: the trailing edge only */
    s->msr = (uint8_t)(lines | (s->msr & 0x0fu) | changed >> 4);
}

uint64_t uart16550_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct uart16550_state *s = dev->state;
    uint8_t value = 0;

    (void)range, (void)size;
    switch (offset) {
    case RBR_THR:
        value = s->lcr & LCR_DLAB ? (uint8_t)s->divisor : pop(dev);
        break;
    case IER:
        return s->lcr & LCR_DLAB ? (uint8_t)(s->divisor >> 8) : s->ier;
    case IIR_FCR:
        value = identify(s);
        if (value == IIR_THRE)
            s->thre_pending = 0;
        value |= s->fcr & FCR_ENABLE ? IIR_FIFOS : 0;
        break;
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        value = (uint8_t)(LSR_THRE | LSR_TEMT | s->errors | (s->count ? LSR_DR : 0) |
                          (error_in_fifo(s) ? LSR_ERROR : 0));
        if (!s->errors)
            return value; /* polled */
        s->errors = 0;
        break;
    case MSR:
        value = s->msr;
        s->msr &= MSR_LINES;
        break;
    case SCR:
        return s->scr;
    default:
        return UINT64_MAX;
    }
    update_irq(dev);
    return value;
}

void uart16550_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct uart16550_state *s = dev->state;
    uint8_t byte = (uint8_t)value;

    (void)range, (void)size;
    switch (offset) {
    case RBR_THR:
        if (s->lcr & LCR_DLAB)
            s->divisor = (uint16_t)((s->divisor & 0xff00u) | byte);
        else
            transmit(dev, byte);
        break;
    case IER:
        if (s->lcr & LCR_DLAB)
            s->divisor = (uint16_t)((s->divisor & 0xffu) | (unsigned)byte << 8);
        else
            write_ier(s, byte);
        break;
    case IIR_FCR:
        write_fcr(s, byte);
        break;
    case LCR:
        /* A break sent in loopback mode is received. */
        if ((s->mcr & MCR_LOOP) && (byte & ~s->lcr & LCR_BREAK))
            receive(dev, 0, LSR_BI);
        s->lcr = byte;
        break;
    case MCR:
        s->mcr = byte & 0x1fu;
        update_modem(s);
        break;
    case SCR:
        s->scr = byte;
        break;
    default: /* LSR is for factory tests, MSR read-only */
        break;
    }
    update_irq(dev);
}

void uart16550_reset(struct device *dev)
{
    struct uart16550_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    s->divisor = 1;
    s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
    s->timeout_at = VTIME_NEVER;
    s->thre_at = VTIME_NEVER;
    update_irq(dev);
}

vtime_t uart16550_deadline(const struct device *dev)
{
    const struct uart16550_state *s = dev->state;

    return s->timeout_at < s->thre_at ? s->timeout_at : s->thre_at;
}

void uart16550_expire(struct device *dev, vtime_t now)
{
    struct uart16550_state *s = dev->state;

    if (now >= s->timeout_at) {
        s->timeout = 1;
        s->timeout_at = VTIME_NEVER;
    }
    if (now >= s->thre_at) {
        s->thre_pending = 1;
        s->thre_at = VTIME_NEVER;
        s->tx_burst = 0;
    }
    update_irq(dev);
}

void uart16550_input(struct device *dev, const struct event *e)
{
    const struct uart16550_state *s = dev->state;

    for (uint32_t i = 0; i < e->len; i++)
        if (!(s->mcr & MCR_LOOP)) /* the receiver is disconnected from the line */
            receive(dev, e->data[i], 0);
    if (!e->len && !(s->mcr & MCR_LOOP))
        receive(dev, 0, LSR_BI);
    update_irq(dev);
}

size_t uart16550_input_room(const struct device *dev)
{
    const struct uart16550_state *s = dev->state;

    return s->mcr & MCR_LOOP ? 0 : capacity(s) - s->count;
}

void uart16550_describe(const struct device *dev, struct buffer *b)
{
    const struct uart16550_state *s = dev->state;

    buffer_printf(b, "ier %02x iir %02x fcr %02x lcr %02x mcr %02x msr %02x divisor %u rx %u/%u trigger %u\n",
                  s->ier, identify(s), s->fcr, s->lcr, s->mcr, s->msr, s->divisor, (unsigned)s->count,
                  capacity(s), trigger_level(s));
}

bool uart16550_possible(const struct device *dev)
{
    const struct uart16550_state *s = dev->state;

    return s->head < FIFO_SIZE && s->count <= capacity(s) && machine_deadline_possible(dev->machine, s->timeout_at) &&
           machine_deadline_possible(dev->machine, s->thre_at);
}

const struct device_ops uart16550_ops = {
    .name = "uart16550",
    .state_size = sizeof(struct uart16550_state),
    .calm_reads = true,
    .calm_writes = true,
    .possible = uart16550_possible,
    .reset = uart16550_reset,
    .deadline = uart16550_deadline,
    .expire = uart16550_expire,
    .input = uart16550_input,
    .takes_break = true,
    .input_room = uart16550_input_room,
    .describe = uart16550_describe,
    .read = uart16550_read,
    .write = uart16550_write,
};
