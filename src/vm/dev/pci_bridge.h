/* PCI-to-PCI bridges: see pci_bridge.c. */
#ifndef HINDCAST_VM_DEV_PCI_BRIDGE_H
#define HINDCAST_VM_DEV_PCI_BRIDGE_H

#include "vm/dev/parts.h"
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

/* The bus behind a bridge; NULL: the device is none. */
struct pci_bus *pci_bridge_secondary(const struct device *dev);
/* Is the function a root port? */
bool pci_bridge_is_port(const struct pci_function *f);

/* For device_models[]: "pci-bridge" and "pcie-root-port". Others go behind them by bus=ID. */
extern const struct option_key pci_bridge_keys[], pci_root_port_keys[];
int pci_bridge_device_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                           const struct option_list *props, struct error *err);
int pci_root_port_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err);

/* Plug it into `bus`. Before anything is plugged into its other side. */
void pci_bridge_plug(struct device *dev, struct pci_bus *bus, uint8_t devfn, enum pci_bridge_kind kind);

#endif
