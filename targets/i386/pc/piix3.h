/* The PIIX3 PCI-ISA bridge: see piix3.c. */
#ifndef HINDCAST_I386_PC_PIIX3_H
#define HINDCAST_I386_PC_PIIX3_H

#include "vm/dev/pci.h"

struct piix3_wiring {
    struct pci_function pci;
    struct device *pic, *ioapic; /* ioapic NULL: none */
};

/* Range 0: the reset control register, port CF9h. */
extern const struct device_ops piix3_ops;

void piix3_plug(struct device *dev, struct pci_bus *bus);
/* An ISA interrupt request line (0-15); fits struct line. IRQ 0 is pin 2 of the I/O APIC. */
void piix3_set_irq(void *dev, unsigned irq, bool level);
/* PIRQA to PIRQD (0-3); fits struct line. */
void piix3_set_pirq(void *dev, unsigned pirq, bool level);
/* Route PIRQn to an ISA interrupt as a BIOS does. */
void piix3_route(struct device *dev, unsigned pirq, unsigned irq);

#endif
