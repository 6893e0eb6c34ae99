/* Message-signalled SPIs: see gicv2m.c. */
#ifndef HINDCAST_AARCH64_VIRT_GICV2M_H
#define HINDCAST_AARCH64_VIRT_GICV2M_H

#include "vm/device.h"

/* Offset of MSI_SETSPI_NS, to which messages are written. */
#define GICV2M_SETSPI 0x40u

struct gicv2m_wiring {
    struct device *gic;
    unsigned first, count; /* interrupt numbers (32 and up) that messages can raise */
};

/* Range 0: 4 KiB. */
extern const struct device_ops gicv2m_ops;

#endif
