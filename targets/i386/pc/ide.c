/*
 * The IDE function of the PIIX3 (Intel 290550, 2.3), PCI function 00:01.1, with
 * both channels empty: a pulled-down bus, on which every register reads as 0, so
 * that a driver sees at once "not busy, nobody there" instead of waiting for a
 * floating bus to become ready.
 *
 * Not modelled: drives, the bus master (its base register is not there).
 */
#include "i386/pc/ide.h"

#include <string.h>

DEVICE_STATE_BEGIN
struct ide_state {
    uint8_t config[PCI_CONFIG_BYTES];
};
DEVICE_STATE_END

void ide_plug(struct device *dev, struct pci_bus *bus)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180,
                                           .command = PCI_COMMAND_IO | PCI_COMMAND_MASTER};
    struct ide_wiring *w = dev->wiring;
    struct ide_state *s = dev->state;

    pci_function_init(&w->pci, bus, PCI_DEVFN(1, 1), dev, s->config, &id);
    memset(w->pci.writable + 0x40, 0xff, 4); /* IDETIM */
    pci_put16(w->pci.reset, PCI_STATUS, 0x0280);
}

void ide_firmware_setup(struct device *dev)
{
    struct ide_state *s = dev->state;

    s->config[PCI_COMMAND] = 0x01;
    s->config[0x41] = s->config[0x43] = 0x80; /* IDETIM: decode enable */
}

static uint64_t ide_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)offset, (void)size;
    return 0;
}

static void ide_reset(struct device *dev)
{
    struct ide_wiring *w = dev->wiring;

    pci_function_reset(&w->pci);
}

static void ide_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)dev, (void)range, (void)offset, (void)size, (void)value;
}

const struct device_ops ide_ops = {
    .name = "ide",
    .state_size = sizeof(struct ide_state),
    .reset = ide_reset,
    .read = ide_read,
    .write = ide_write,
};
