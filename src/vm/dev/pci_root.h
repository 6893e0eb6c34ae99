/* The function that a host bridge itself is: see pci_root.c. */
#ifndef HINDCAST_VM_DEV_PCI_ROOT_H
#define HINDCAST_VM_DEV_PCI_ROOT_H

#include "vm/dev/pci.h"

struct pci_root_wiring {
    struct pci_function pci;
};

extern const struct device_ops pci_root_ops;

/* As 00:00.0. */
void pci_root_plug(struct device *dev, struct pci_bus *bus);

#endif
