/* The ports of a PC that belong to no chip: see glue.c. */
#ifndef HINDCAST_I386_PC_GLUE_H
#define HINDCAST_I386_PC_GLUE_H

#include "vm/device.h"

struct glue_wiring {
    struct line a20;      /* A20 gate of port 92h */
    struct line fpu_irq;  /* IRQ 13: released by a write to port F0h */
    struct line ignne;    /* IGNNE# to the core, asserted by port F0h; may be unconnected */
};

/* Ranges: port 92h, F0h-F1h, each debug-exit port (the first byte of it, with the access' width), and those of an
 * isa-debug-exit (any of them). */
enum { GLUE_PORT_92, GLUE_FPU, GLUE_DEBUG_EXIT, GLUE_DEBUG_EXIT_ANY };

extern const struct device_ops glue_ops;
/* Port E9h: every byte written is output; a read gives E9h, which is how guests find it. */
extern const struct device_ops debugcon_ops;

/* The 8042 moved the A20 gate: port 92h shows it. */
void glue_note_a20(struct device *dev, bool enabled);

#endif
