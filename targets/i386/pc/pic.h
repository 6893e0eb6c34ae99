/* The pair of 8259A interrupt controllers: see pic.c. */
#ifndef HINDCAST_I386_PC_PIC_H
#define HINDCAST_I386_PC_PIC_H

#include "vm/device.h"

struct pic_wiring {
    struct line intr; /* INT of the master */
};

/* Ranges: the ports of each chip, and the two ELCR bytes. */
enum { PIC_MASTER, PIC_SLAVE, PIC_ELCR };

extern const struct device_ops pic_ops;

/* Level of ISA interrupt request `irq` (0-15); fits struct line, ctx is the device. */
void pic_set_irq(void *dev, unsigned irq, bool level);
/* Is that one of its inputs masked? */
bool pic_is_masked(const struct device *dev, unsigned irq);
/* INTA cycles: the vector. Spurious requests give IR7's, as the chip does. */
int pic_acknowledge(struct device *dev);
/* Program both chips as a PC BIOS leaves them: vectors 08h and 70h, all masked. */
void pic_firmware_setup(struct device *dev);

#endif
