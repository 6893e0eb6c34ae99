/* The PL011 UART: see pl011.c. */
#ifndef HINDCAST_VM_DEV_PL011_H
#define HINDCAST_VM_DEV_PL011_H

#include "vm/device.h"

struct pl011_wiring {
    struct line irq; /* UARTINTR, the combined interrupt */
};

/* Range 0: 4 KiB of registers. */
extern const struct device_ops pl011_ops;

#endif
