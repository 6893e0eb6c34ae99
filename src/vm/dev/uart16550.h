/* The 16550A UART: see uart16550.c. */
#ifndef HINDCAST_VM_DEV_UART16550_H
#define HINDCAST_VM_DEV_UART16550_H

#include "vm/device.h"

struct uart16550_wiring {
    struct line irq;
    bool irq_needs_out2; /* MCR.OUT2 gates the interrupt line, as the wires of a PC do and QEMU does not */
};

extern const struct device_ops uart16550_ops;

/* What of it another device is made of, whose state begins with this and whose wiring with the above. */
#define UART16550_FIFO 16u
#define UART16550_PORTS 8u /* registers */

DEVICE_STATE_BEGIN
struct uart16550_state {
    uint8_t ier, fcr, lcr, mcr;
    uint8_t msr;           /* lines in 4-7, deltas in 0-3 */
    uint8_t scr;
    uint8_t errors;        /* LSR bits 1-4 that a read will show and clear */
    uint8_t thre_pending;  /* the THRE interrupt condition (reset by reading IIR or writing THR) */
    uint16_t divisor;
    uint8_t timeout;       /* the character timeout condition */
    uint8_t head;          /* oldest byte of `fifo` */
    uint32_t count;        /* bytes in `fifo` */
    uint32_t tx_burst;     /* bytes written since the transmitter was last empty */
    uint8_t fifo[UART16550_FIFO];
    uint8_t flags[UART16550_FIFO]; /* LSR bits 2-4 of each character, until it is at the top */
    uint32_t reserved;
    uint64_t timeout_at;   /* vtime of the character timeout, or VTIME_NEVER */
    uint64_t thre_at;      /* vtime at which the transmitter is empty for interrupts, or VTIME_NEVER */
};
DEVICE_STATE_END

/* Does it assert its interrupt? */
bool uart16550_interrupts(const struct device *dev);
uint64_t uart16550_read(struct device *dev, unsigned range, uint64_t offset, unsigned size);
void uart16550_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value);
void uart16550_reset(struct device *dev);
vtime_t uart16550_deadline(const struct device *dev);
void uart16550_expire(struct device *dev, vtime_t now);
void uart16550_input(struct device *dev, const struct event *e);
size_t uart16550_input_room(const struct device *dev);
void uart16550_describe(const struct device *dev, struct buffer *b);
bool uart16550_possible(const struct device *dev);

#endif
