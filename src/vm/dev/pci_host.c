/*
 * How a CPU reaches PCI configuration space and ports: mechanism 1 (PCI Local Bus Specification 2.1,
 * 3.7.4.1: CONFIG_ADDRESS at CF8h, reached by 32-bit accesses only, and CONFIG_DATA at CFCh), the
 * enhanced mechanism (PCI Express Base 2.0, 7.2.2: 4 KiB of memory for each function), a port
 * space in memory for CPUs without one, and memory windows: where no function answers, reads are ones and writes
 * are lost, as of the rest of PCI. Which of these there are is the board's choice of ranges.
 *
 * Not modelled: mechanism 2, special cycles, extended capabilities.
 */
#include "vm/dev/pci_host.h"

#include "base/buffer.h"

#define ADDRESS_ENABLE 0x80000000u

DEVICE_STATE_BEGIN
struct pci_host_state {
    uint32_t address;
    uint32_t reserved;
};
DEVICE_STATE_END

/* The function and register that an access means; NULL: nobody is there. */
static struct pci_function *select_function(const struct device *dev, unsigned range, uint64_t offset, unsigned *reg)
{
    const struct pci_host_state *s = dev->state;

    if (range == PCI_HOST_ECAM) {
        *reg = (unsigned)offset & 0xfffu;
        return pci_find(dev->wiring, (uint8_t)(offset >> 20), (uint8_t)(offset >> 12));
    }
    *reg = (s->address & 0xfcu) + (unsigned)offset;
    return s->address & ADDRESS_ENABLE ? pci_find(dev->wiring, (uint8_t)(s->address >> 16), (uint8_t)(s->address >> 8))
                                       : NULL;
}

static uint64_t host_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct pci_host_state *s = dev->state;
    const struct pci_bus *root = dev->wiring;
    const struct pci_function *f;
    unsigned reg;

    if (range == PCI_HOST_WINDOW)
        return UINT64_MAX;
    if (range == PCI_HOST_ADDRESS)
        return size == 4 ? s->address : UINT64_MAX;
    if (range == PCI_HOST_IO)
        return size <= 4 ? ports_read(root->ports, (uint16_t)offset, size) : UINT64_MAX;
    f = select_function(dev, range, offset, &reg);
    return f ? pci_config_read(f, reg, size) : UINT64_MAX;
}

static void host_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_host_state *s = dev->state;
    const struct pci_bus *root = dev->wiring;
    struct pci_function *f;
    unsigned reg;

    if (range == PCI_HOST_WINDOW)
        return;
    if (range == PCI_HOST_ADDRESS) {
        if (size == 4)
            s->address = (uint32_t)value & 0x80fffffcu;
        return;
    }
    if (range == PCI_HOST_IO) {
        if (size <= 4)
            ports_write(root->ports, (uint16_t)offset, size, (uint32_t)value);
        return;
    }
    f = select_function(dev, range, offset, &reg);
    if (f)
        pci_config_write(f, reg, size, value);
}

static void host_reset(struct device *dev)
{
    struct pci_host_state *s = dev->state;

    s->address = 0;
}

static void host_restored(struct device *dev)
{
    pci_remap(dev->wiring);
}

static void host_describe(const struct device *dev, struct buffer *b)
{
    pci_describe(dev->wiring, b);
}

const struct device_ops pci_host_ops = {
    .name = "pci",
    .state_size = sizeof(struct pci_host_state),
    .reset = host_reset,
    .restored = host_restored,
    .describe = host_describe,
    .read = host_read,
    .write = host_write,
};
