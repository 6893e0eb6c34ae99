/* The I/O port space: see ports.c. */
#ifndef HINDCAST_VM_DEV_PORTS_H
#define HINDCAST_VM_DEV_PORTS_H

#include "vm/device.h"

struct machine;

#define PORTS_MAX_RANGES 200

struct port_range {
    struct device *dev;
    uint16_t base;
    uint16_t len;
    uint8_t range;   /* which of the device's ranges */
    uint8_t width;   /* widest access in bytes that the device takes whole */
    bool enabled;
};

struct ports {
    struct machine *machine; /* whose attention an access asks for; NULL: nobody's */
    struct port_range ranges[PORTS_MAX_RANGES];
    unsigned nranges;
    uint8_t owner[65536]; /* index into ranges plus 1; 0: nobody */
};

/* Add an enabled range; returns its index. Later ranges hide earlier ones. */
unsigned ports_claim(struct ports *p, struct device *dev, uint16_t base, uint16_t len, uint8_t range, uint8_t width);
/* Move a range, or (enabled false) take it off the bus. */
void ports_move(struct ports *p, unsigned index, uint16_t base, bool enabled);

/* IN and OUT; fit i386_cpu.io_read and io_write. */
uint32_t ports_read(void *ports, uint16_t port, unsigned size);
void ports_write(void *ports, uint16_t port, unsigned size, uint32_t value);

#endif
