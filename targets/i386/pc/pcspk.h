/* The PC's speaker: see pcspk.c. */
#ifndef HINDCAST_I386_PC_PCSPK_H
#define HINDCAST_I386_PC_PCSPK_H

#include "vm/device.h"

struct pcspk_wiring {
    struct device *pit; /* what drives it */
};

extern const struct device_ops pcspk_ops;

/* Let `pit` drive it. */
struct pit_wiring;
void pcspk_connect(struct device *speaker, struct pcspk_wiring *w, struct device *pit, struct pit_wiring *pw);

#endif
