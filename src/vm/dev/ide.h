/* The IDE function of the PIIX3 and PIIX4: see ide.c. */
#ifndef HINDCAST_VM_DEV_IDE_H
#define HINDCAST_VM_DEV_IDE_H

#include "vm/dev/pci.h"
#include "vm/drive.h"

#define IDE_CHANNELS 2u

struct ide_wiring {
    struct pci_function pci;
    struct line irq[IDE_CHANNELS];         /* INTRQ of each channel */
    struct drive *drive[IDE_CHANNELS][2];  /* device 0 and 1; NULL: there is none */
};

/* Ranges: the command block of channel 0 and 1 (8 ports each), their control registers (one port each), and
 * the bus master's BAR. */
enum { IDE_COMMAND_0, IDE_COMMAND_1, IDE_CONTROL_0, IDE_CONTROL_1, IDE_BUS_MASTER };

extern const struct device_ops ide_ops;

/* As 8086:7010. */
void ide_plug(struct device *, struct pci_bus *bus, uint8_t devfn);
/* Both channels decoded at their usual ports, as a BIOS leaves them. */
void ide_firmware_setup(struct device *);

#endif
