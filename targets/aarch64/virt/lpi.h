/* Locality-specific peripheral interrupts of a CPU: see lpi.c. */
#ifndef HINDCAST_AARCH64_VIRT_LPI_H
#define HINDCAST_AARCH64_VIRT_LPI_H

#include "vm/device.h"

/* 14 bits of INTID. */
#define LPI_BITS  14u
#define LPI_FIRST 8192u
#define LPI_COUNT 8192u

/* There is a device for each CPU, beside that of the GIC. */
struct lpi_wiring {
    struct device *gic;  /* the CPU's: told when something changes */
    bool security;       /* two security states: LPIs are Non-secure, of the lower half of the priorities */
};

extern const struct device_ops lpi_ops;

static inline bool lpi_is(unsigned irq)
{
    return irq >= LPI_FIRST && irq < LPI_FIRST + LPI_COUNT;
}

/* The pending and enabled LPI of highest priority; 0: there is none. */
unsigned lpi_best(const struct device *lpis);
/* Of one that is pending or active. */
uint8_t lpi_priority(const struct device *lpis, unsigned irq);
/* Make it pending (if LPIs are on, and it is one that there is), or not pending any more. */
void lpi_set_pending(struct device *lpis, unsigned irq, bool pending);
bool lpi_pending(const struct device *lpis, unsigned irq);
/* All that are pending at one become so at the other. */
void lpi_move_all(struct device *from, struct device *to);

/* The redistributor's registers about LPIs, 32 bits at a time. False: the offset is none of them. */
bool lpi_read(const struct device *lpis, uint32_t offset, uint32_t *value);
bool lpi_write(struct device *lpis, uint32_t offset, uint32_t value);

#endif
