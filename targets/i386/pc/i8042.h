/* The keyboard controller: see i8042.c. */
#ifndef HINDCAST_I386_PC_I8042_H
#define HINDCAST_I386_PC_I8042_H

#include "vm/device.h"

struct i8042_wiring {
    struct device *kbd, *mouse; /* ps2kbd, ps2mouse */
    struct line irq1, irq12;
    struct line a20;
};

/* Ranges: ports 60h and 64h. */
enum { I8042_DATA, I8042_COMMAND };

extern const struct device_ops i8042_ops;

/* As a BIOS leaves it: keyboard on, IRQ 1, translation; the mouse off. */
void i8042_firmware_setup(struct device *dev);
/* `ready` lines of the keyboard (n 0) and the mouse (n 1); ctx is the controller. */
void i8042_set_ready(void *dev, unsigned n, bool level);
/* The A20 gate was moved by somebody else (port 92h): the output port shows it. */
void i8042_note_a20(struct device *dev, bool enabled);

#endif
