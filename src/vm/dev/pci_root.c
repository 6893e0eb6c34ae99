/*
 * The function that a generic PCI Express host bridge shows of itself, 00:00.0: 1b36:0008, as QEMU's
 * gpex has it. It has an identity and does nothing.
 */
#include "vm/dev/pci_root.h"

DEVICE_STATE_BEGIN
struct pci_root_state {
    uint8_t config[PCI_CONFIG_BYTES];
};
DEVICE_STATE_END

void pci_root_plug(struct device *dev, struct pci_bus *bus)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0008, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x060000};
    struct pci_root_wiring *w = dev->wiring;
    struct pci_root_state *s = dev->state;

    pci_function_init(&w->pci, bus, PCI_DEVFN(0, 0), dev, s->config, &id);
}

static void root_reset(struct device *dev)
{
    struct pci_root_wiring *w = dev->wiring;

    pci_function_reset(&w->pci);
}

const struct device_ops pci_root_ops = {
    .name = "pci-root",
    .state_size = sizeof(struct pci_root_state),
    .reset = root_reset,
};
