/* PCI configuration space, mechanism 1: see pci.c. */
#ifndef HINDCAST_I386_PC_PCI_H
#define HINDCAST_I386_PC_PCI_H

#include "vm/device.h"

#define PCI_MAX_FUNCTIONS 16
#define PCI_CONFIG_BYTES  256u
#define PCI_DEVFN(slot, fn) ((uint8_t)((slot) << 3 | (fn)))

/* Offsets of the common header (PCI 2.1, 6.1). */
enum {
    PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, PCI_HEADER_TYPE = 0x0e, PCI_INTERRUPT_LINE = 0x3c, PCI_INTERRUPT_PIN = 0x3d,
};

/* A function on bus 0. */
struct pci_function {
    uint8_t devfn;
    uint8_t *config;           /* PCI_CONFIG_BYTES of the owner's state */
    /* Which bits of the byte at `offset` a write may change. */
    uint8_t (*writable)(unsigned offset);
    /* Bytes [offset, offset + size) were written. May be NULL. */
    void (*written)(struct device *owner, unsigned offset, unsigned size);
    struct device *owner;
};

struct pci_wiring {
    struct pci_function functions[PCI_MAX_FUNCTIONS];
    unsigned nfunctions;
};

/* Ranges: CONFIG_ADDRESS (CF8h, 4 bytes) and CONFIG_DATA (CFCh, 4 bytes). */
enum { PCI_ADDRESS, PCI_DATA };

extern const struct device_ops pci_ops;

/* Fill in the read-only identity of a function's configuration header. */
void pci_identify(uint8_t *config, uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t revision);

#endif
