/* The 16550A UART: see uart16550.c. */
#ifndef HINDCAST_VM_DEV_UART16550_H
#define HINDCAST_VM_DEV_UART16550_H

#include "vm/device.h"

struct uart16550_wiring {
    struct line irq;
    bool irq_needs_out2; /* MCR.OUT2 gates the interrupt line, as the wires of a PC do and QEMU does not */
};

extern const struct device_ops uart16550_ops;

#endif
