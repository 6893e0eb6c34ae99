/* The local APIC: see apic.c. */
#ifndef HINDCAST_I386_PC_APIC_H
#define HINDCAST_I386_PC_APIC_H

#include "vm/machine.h"

#define APIC_DEFAULT_BASE 0xfee00000u
#define APIC_BASE_BSP     0x100u
#define APIC_BASE_X2      0x400u
#define APIC_BASE_ENABLE  0x800u

/* Frequency that the timer's divider divides. */
#define APIC_BUS_HZ 100000000u

enum apic_delivery {
    APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT, APIC_STARTUP, APIC_EXTINT,
};

/* As IA32_APIC_BASE has it: without EN, with it, and with EXTD, too. */
enum apic_mode { APIC_DISABLED, APIC_MEMORY, APIC_X2 };

/* The destination that is every CPU. */
#define APIC_ALL 0xffffffffu

/* All local APICs, by number of the CPU. */
struct apic_bus {
    struct device *apics[MACHINE_MAX_CPUS];
    unsigned count;
};

struct apic_wiring {
    const struct apic_bus *bus;
    uint8_t id;                /* after a reset, and in x2APIC mode */
    struct line intr;          /* INTR of the CPU core */
    struct device *pic;        /* who answers an ExtINT acknowledge */
    struct device *ioapic;     /* told of EOIs of level-triggered vectors; may be NULL */
    /* Signals of the CPU. */
    void (*nmi)(void *ctx);
    void (*smi)(void *ctx);
    void (*init)(void *ctx);
    void (*startup)(void *ctx, uint8_t vector);
    uint64_t (*tsc)(void *ctx); /* the time stamp counter, 1 GHz of virtual time; NULL: no TSC-deadline timer */
    void *cpu;
};

extern const struct device_ops apic_ops;

/* INTR from the 8259s (LINT0); fits struct line. */
/* A pulse at LINT1. False: this APIC is switched off, and its pin is the CPU's own NMI. */
bool apic_pulse_lint1(struct device *dev);
void apic_set_lint0(void *dev, unsigned n, bool level);
/* A message from the I/O APIC or a device, addressed to `destination`. False: no local APIC accepted it. */
bool apic_message(const struct apic_bus *bus, uint8_t destination, bool logical, enum apic_delivery delivery,
                  uint8_t vector, bool level);
/* The core acknowledges INTR: the vector, or -1: there is none any more. */
int apic_acknowledge(struct device *dev);
/* IA32_APIC_BASE was written. */
void apic_set_mode(struct device *dev, enum apic_mode mode);
/* A performance counter overflowed: its LVT entry is masked by that (SDM 3A, "Local Vector Table"). */
void apic_pmi(struct device *dev);
/* The time stamp counter was written. */
void apic_tsc_written(struct device *dev);
/* IA32_TSC_DEADLINE, and 800H-8FFH, which are there in x2APIC mode. False: #GP. */
bool apic_msr_read(struct device *dev, uint32_t n, uint64_t *value);
bool apic_msr_write(struct device *dev, uint32_t n, uint64_t value);
/* CR8: the class of the TPR, 0-15. */
unsigned apic_cr8(const struct device *dev);
void apic_set_cr8(struct device *dev, unsigned value);

#endif
