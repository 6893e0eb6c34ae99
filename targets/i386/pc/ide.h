/* The IDE function of the PIIX3, without drives: see ide.c. */
#ifndef HINDCAST_I386_PC_IDE_H
#define HINDCAST_I386_PC_IDE_H

#include "vm/dev/pci.h"

extern const struct device_ops ide_ops;

/* Both channels decoded at their usual ports, as a BIOS leaves them. */
void ide_firmware_setup(struct device *);

struct ide_wiring {
    struct pci_function pci;
};

void ide_plug(struct device *, struct pci_bus *bus);

#endif
