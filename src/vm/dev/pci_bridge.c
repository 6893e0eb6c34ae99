/*
 * PCI-to-PCI bridges (PCI-to-PCI Bridge Architecture Specification 1.2) and the root ports of PCI Express,
 * which look the same to software but for a capability: bus numbers, windows of I/O (32 bits), memory and
 * prefetchable memory (64 bits), bus mastering upwards, the reset of the secondary bus.
 * What the windows mean is in pci.c.
 *
 * Not modelled: VGA and ISA enable bits (kept), secondary status, hot-plug, error forwarding.
 */
#include "vm/dev/pci_bridge.h"

#include <errno.h>

#include "base/bytes.h"
#include "vm/machine.h"

#define CONTROL_RESET 0x40u
#define BRIDGE_ID     0x0001u
#define ROOT_PORT_ID  0x000cu

DEVICE_STATE_BEGIN
struct pci_bridge_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t in_reset; /* the secondary bus's reset is held */
    uint32_t reserved;
};
DEVICE_STATE_END

static void bridge_written(struct device *dev, unsigned offset, unsigned size)
{
    struct pci_bridge_wiring *w = dev->wiring;
    struct pci_bridge_state *s = dev->state;
    bool held = s->config[PCI_BRIDGE_CONTROL] & CONTROL_RESET;

    (void)offset, (void)size;
    if (held && !s->in_reset)
        for (unsigned i = 0; i < w->secondary.nfunctions; i++) {
            struct device *behind = w->secondary.functions[i]->dev;

            if (behind->ops->reset)
                behind->ops->reset(behind);
        }
    s->in_reset = held;
}

void pci_bridge_plug(struct device *dev, struct pci_bus *bus, uint8_t devfn, enum pci_bridge_kind kind)
{
    struct pci_bridge_wiring *w = dev->wiring;
    struct pci_bridge_state *s = dev->state;
    struct pci_function *f = &w->pci;
    const struct pci_identity id = {.vendor = 0x1b36, .device = kind == PCI_BRIDGE_ROOT_PORT ? ROOT_PORT_ID : BRIDGE_ID,
                                    .class_code = 0x060400, .pin = 1,
                                    .command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                               PCI_COMMAND_SERR | PCI_COMMAND_NO_INTX};

    pci_function_init(f, bus, devfn, dev, s->config, &id);
    f->reset[PCI_HEADER_TYPE] |= 1u;
    f->written = bridge_written;
    f->secondary = &w->secondary;
    w->secondary = (struct pci_bus){.machine = bus->machine, .ports = bus->ports, .bridge = f};
    for (unsigned reg = PCI_PRIMARY_BUS; reg <= PCI_SECONDARY_LATENCY; reg++)
        f->writable[reg] = 0xff;
    f->writable[PCI_IO_BASE] = f->writable[PCI_IO_LIMIT] = 0xf0;
    f->reset[PCI_IO_BASE] = f->reset[PCI_IO_LIMIT] = 0x01; /* 32 bits */
    f->clearing[PCI_SECONDARY_STATUS + 1] = 0xf9;
    put_le32(f->writable + PCI_MEMORY_BASE, 0xfff0fff0u);
    put_le32(f->writable + PCI_PREFETCH_BASE, 0xfff0fff0u);
    put_le32(f->reset + PCI_PREFETCH_BASE, 0x00010001u); /* 64 bits */
    put_le32(f->writable + PCI_PREFETCH_BASE_HIGH, ~0u);
    put_le32(f->writable + PCI_PREFETCH_LIMIT_HIGH, ~0u);
    put_le32(f->writable + PCI_IO_BASE_HIGH, ~0u);
    put_le16(f->writable + PCI_BRIDGE_CONTROL, 0x005f);
    if (kind == PCI_BRIDGE_ROOT_PORT) {
        pci_add_express(f, 4);
        pci_add_msi(f, 1, true);
    }
}

static void bridge_reset(struct device *dev)
{
    struct pci_bridge_wiring *w = dev->wiring;
    struct pci_bridge_state *s = dev->state;

    s->in_reset = 0;
    pci_function_reset(&w->pci);
}

const struct device_ops pci_bridge_ops = {
    .name = "pci-bridge",
    .state_size = sizeof(struct pci_bridge_state),
    .reset = bridge_reset,
};

struct pci_bus *pci_bridge_secondary(const struct device *dev)
{
    struct pci_bridge_wiring *w = dev->wiring;

    return dev->ops == &pci_bridge_ops ? &w->secondary : NULL;
}

bool pci_bridge_is_port(const struct pci_function *f)
{
    return get_le16(f->reset + 2) == ROOT_PORT_ID;
}

/* QEMU's words that change nothing here are taken. */
const struct option_key pci_bridge_keys[] = {{"chassis_nr", "N"}, {NULL, NULL}};
const struct option_key pci_root_port_keys[] = {{"chassis", "N"}, {"slot", "N"}, {"port", "N"}, {NULL, NULL}};

static int plug_bridge(struct sockets *s, const char *name, uint8_t devfn, enum pci_bridge_kind kind, struct error *err)
{
    if (kind == PCI_BRIDGE_ROOT_PORT && s->pci->bridge)
        return error_set(err, -EINVAL, "a root port goes on the root bus");
    pci_bridge_plug(machine_add_owned_device(s->machine, &pci_bridge_ops, name, sizeof(struct pci_bridge_wiring)), s->pci, devfn,
                    kind);
    return 0;
}

int pci_bridge_device_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                           const struct option_list *props, struct error *err)
{
    (void)d, (void)props;
    return plug_bridge(s, name, devfn, PCI_BRIDGE_CONVENTIONAL, err);
}

int pci_root_port_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err)
{
    (void)d, (void)props;
    return plug_bridge(s, name, devfn, PCI_BRIDGE_ROOT_PORT, err);
}
