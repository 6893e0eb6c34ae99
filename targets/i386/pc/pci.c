/*
 * PCI configuration mechanism 1 (PCI Local Bus Specification 2.1, 3.7.4.1):
 * CONFIG_ADDRESS at CF8h, reached by 32-bit accesses only, and CONFIG_DATA at
 * CFCh. One bus; functions register with the board's wiring.
 *
 * Not modelled: mechanism 2, special cycles, bridges, BAR-mapped functions (no
 * function of this board has one).
 */
#include "i386/pc/pci.h"

#include <string.h>

#include "base/buffer.h"

#define ADDRESS_ENABLE 0x80000000u

DEVICE_STATE_BEGIN
struct pci_state {
    uint32_t address;
    uint32_t reserved;
};
DEVICE_STATE_END

void pci_identify(uint8_t *config, uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t revision)
{
    config[PCI_VENDOR] = (uint8_t)vendor;
    config[PCI_VENDOR + 1] = (uint8_t)(vendor >> 8);
    config[PCI_DEVICE] = (uint8_t)device;
    config[PCI_DEVICE + 1] = (uint8_t)(device >> 8);
    config[PCI_REVISION] = revision;
    config[PCI_CLASS] = (uint8_t)class_code;
    config[PCI_CLASS + 1] = (uint8_t)(class_code >> 8);
    config[PCI_CLASS + 2] = (uint8_t)(class_code >> 16);
}

/* The function that CONFIG_ADDRESS selects, or NULL. */
static const struct pci_function *selected(const struct device *dev)
{
    const struct pci_wiring *w = dev->wiring;
    const struct pci_state *s = dev->state;

    if (!(s->address & ADDRESS_ENABLE) || (s->address >> 16 & 0xffu) != 0)
        return NULL;
    for (unsigned i = 0; i < w->nfunctions; i++)
        if (w->functions[i].devfn == (uint8_t)(s->address >> 8))
            return &w->functions[i];
    return NULL;
}

static uint64_t pci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct pci_state *s = dev->state;
    const struct pci_function *f;
    uint64_t value = 0;
    unsigned reg;

    if (range == PCI_ADDRESS)
        return size == 4 ? s->address : UINT64_MAX;
    f = selected(dev);
    if (!f)
        return UINT64_MAX;
    reg = (s->address & 0xfcu) + (unsigned)offset;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)f->config[reg + i] << (8 * i);
    return value;
}

static void pci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_state *s = dev->state;
    const struct pci_function *f;
    unsigned reg;

    if (range == PCI_ADDRESS) {
        if (size == 4)
            s->address = (uint32_t)value & 0x80fffffcu;
        return;
    }
    f = selected(dev);
    if (!f)
        return;
    reg = (s->address & 0xfcu) + (unsigned)offset;
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = f->writable(reg + i);

        f->config[reg + i] = (uint8_t)((f->config[reg + i] & ~mask) | ((uint8_t)(value >> (8 * i)) & mask));
    }
    if (f->written)
        f->written(f->owner, reg, size);
}

static void pci_reset(struct device *dev)
{
    struct pci_state *s = dev->state;

    s->address = 0;
}

static void pci_describe(const struct device *dev, struct buffer *b)
{
    const struct pci_wiring *w = dev->wiring;

    for (unsigned i = 0; i < w->nfunctions; i++) {
        const uint8_t *c = w->functions[i].config;

        buffer_printf(b, "00:%02x.%u %02x%02x:%02x%02x class %02x%02x\n", w->functions[i].devfn >> 3,
                      w->functions[i].devfn & 7u, c[1], c[0], c[3], c[2], c[11], c[10]);
    }
}

const struct device_ops pci_ops = {
    .name = "pci",
    .state_size = sizeof(struct pci_state),
    .reset = pci_reset,
    .describe = pci_describe,
    .read = pci_read,
    .write = pci_write,
};
