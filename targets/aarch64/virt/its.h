/* The interrupt translation service: see its.c. */
#ifndef HINDCAST_AARCH64_VIRT_ITS_H
#define HINDCAST_AARCH64_VIRT_ITS_H

#include "vm/machine.h"

#define ITS_BYTES      0x20000u
#define ITS_TRANSLATER 0x10040u

struct its_wiring {
    struct device *lpis[MACHINE_MAX_CPUS]; /* of the CPUs, by number */
    unsigned count;
};

/* Range 0: ITS_BYTES. */
extern const struct device_ops its_ops;

/* A message of a device. */
void its_message(struct device *its, uint32_t device, uint32_t event);

#endif
