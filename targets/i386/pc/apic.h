/* The local APIC: see apic.c. */
#ifndef HINDCAST_I386_PC_APIC_H
#define HINDCAST_I386_PC_APIC_H

#include "vm/machine.h"

#define APIC_DEFAULT_BASE 0xfee00000u
#define APIC_BASE_BSP     0x100u
#define APIC_BASE_ENABLE  0x800u

/* Frequency that the timer's divider divides. */
#define APIC_BUS_HZ 100000000u

enum apic_delivery {
    APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT, APIC_STARTUP, APIC_EXTINT,
};

/* All local APICs, by number of the CPU. */
struct apic_bus {
    struct device *apics[MACHINE_MAX_CPUS];
    unsigned count;
};

struct apic_wiring {
    const struct apic_bus *bus;
    uint8_t id;                /* after a reset */
    struct line intr;          /* INTR of the CPU core */
    struct device *pic;        /* who answers an ExtINT acknowledge */
    struct device *ioapic;     /* told of EOIs of level-triggered vectors; may be NULL */
    /* Signals of the CPU. */
    void (*nmi)(void *ctx);
    void (*init)(void *ctx);
    void (*startup)(void *ctx, uint8_t vector);
    void *cpu;
};

extern const struct device_ops apic_ops;

/* INTR from the 8259s (LINT0); fits struct line. */
void apic_set_lint0(void *dev, unsigned n, bool level);
/* A message from the I/O APIC or a device, addressed to `destination`. */
void apic_message(const struct apic_bus *bus, uint8_t destination, bool logical, enum apic_delivery delivery,
                  uint8_t vector, bool level);
/* The core acknowledges INTR: the vector, or -1: there is none any more. */
int apic_acknowledge(struct device *dev);
/* IA32_APIC_BASE was written (EN bit). */
void apic_set_enabled(struct device *dev, bool enabled);

#endif
