/* The 82441FX host bridge: see i440fx.c. */
#ifndef HINDCAST_I386_PC_I440FX_H
#define HINDCAST_I386_PC_I440FX_H

#include "vm/dev/pci.h"

struct i440fx_wiring {
    struct pci_function pci;
    /* PAM or SMRAM changed: the memory map must follow. */
    void (*map_changed)(void *ctx);
    void *map_ctx;
};

/* The 13 segments that PAM controls: C0000h to EC000h in steps of 16 KiB, then F0000h (64 KiB). */
#define I440FX_SEGMENTS 13u
#define I440FX_BIOS_SEGMENT 12u
#define PAM_READ  1u
#define PAM_WRITE 2u

extern const struct device_ops i440fx_ops;

void i440fx_plug(struct device *dev, struct pci_bus *bus);
/* PAM_READ, PAM_WRITE: which accesses to segment `n` go to DRAM instead of the bus. */
unsigned i440fx_pam(const struct device *dev, unsigned n);
void i440fx_set_pam(struct device *dev, unsigned n, unsigned attributes);
/* Is SMRAM (A0000h-BFFFFh) visible outside system management mode? */
bool i440fx_smram_open(const struct device *dev);
/* Is it visible in that mode, to instruction fetches or to data accesses? */
bool i440fx_smram_enabled(const struct device *dev, bool data);

#endif
