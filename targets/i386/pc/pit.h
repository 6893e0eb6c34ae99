/* The 8254 interval timer and port 61h: see pit.c. */
#ifndef HINDCAST_I386_PC_PIT_H
#define HINDCAST_I386_PC_PIT_H

#include "vm/device.h"

#define PIT_HZ 1193182u

struct pit_wiring {
    struct line irq; /* OUT of counter 0 */
};

/* Ranges: ports 40h-43h, and port 61h. */
enum { PIT_COUNTERS, PIT_PORT_61 };

extern const struct device_ops pit_ops;

#endif
