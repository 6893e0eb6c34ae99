/* PCI-to-PCI bridges: see pci_bridge.c. */
#ifndef HINDCAST_VM_DEV_PCI_BRIDGE_H
#define HINDCAST_VM_DEV_PCI_BRIDGE_H

#include "vm/dev/pci.h"

enum pci_bridge_kind {
    PCI_BRIDGE_CONVENTIONAL, /* 1b36:0001 */
    PCI_BRIDGE_ROOT_PORT,    /* 1b36:000c, PCI Express */
};

struct pci_bridge_wiring {
    struct pci_function pci;
    struct pci_bus secondary; /* plug functions in here */
};

extern const struct device_ops pci_bridge_ops;

/* Plug it into `bus`. Before anything is plugged into its other side. */
void pci_bridge_plug(struct device *dev, struct pci_bus *bus, uint8_t devfn, enum pci_bridge_kind kind);

#endif
