/* The I/O APIC: see ioapic.c. */
#ifndef HINDCAST_I386_PC_IOAPIC_H
#define HINDCAST_I386_PC_IOAPIC_H

#include "vm/device.h"

struct apic_bus;

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24u

struct ioapic_wiring {
    const struct apic_bus *bus; /* the local APICs */
};

extern const struct device_ops ioapic_ops;

/* Level of input `pin`; fits struct line. */
void ioapic_set_pin(void *dev, unsigned pin, bool level);
bool ioapic_is_masked(const struct device *dev, unsigned pin);
/* The local APIC ended the interrupt of a level-triggered vector. */
void ioapic_eoi(struct device *dev, uint8_t vector);

#endif
