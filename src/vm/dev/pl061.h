/* The PL061 GPIO: see pl061.c. */
#ifndef HINDCAST_VM_DEV_PL061_H
#define HINDCAST_VM_DEV_PL061_H

#include "vm/device.h"

struct pl061_wiring {
    struct line irq;    /* GPIOINTR */
    struct line out[8]; /* told when a line that the guest drives changes */
};

/* Range 0: 4 KiB of registers. */
extern const struct device_ops pl061_ops;

/* Hold input line `n` (0-7) high for `ns` of virtual time: a key is pressed and let go. */
void pl061_pulse(struct device *dev, unsigned n, vtime_t ns);

#endif
