/* The PL031 real-time clock: see pl031.c. */
#ifndef HINDCAST_VM_DEV_PL031_H
#define HINDCAST_VM_DEV_PL031_H

#include "vm/device.h"

struct pl031_wiring {
    struct line irq; /* RTCINTR */
};

/* Range 0: 4 KiB of registers. */
extern const struct device_ops pl031_ops;

#endif
