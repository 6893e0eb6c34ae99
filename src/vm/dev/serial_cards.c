/*
 * Serial ports that are plugged in, each a 16550A (uart16550.h) connected to a --chardev:
 *
 *   isa-serial   at an I/O port with an interrupt of the ISA bus: the third and fourth COM port, or any other (iobase, irq)
 *   pci-serial   a PCI function (QEMU's docs/specs/pci-serial): its registers are BAR 0, eight I/O ports
 */
#include "vm/dev/serial_cards.h"

#include <errno.h>

#include "vm/dev/pci.h"
#include "vm/dev/uart16550.h"
#include "vm/machine.h"

#define COM_PORTS 4u

/* ---- PCI ---- */

DEVICE_STATE_BEGIN
struct pci_serial_state {
    struct uart16550_state uart; /* first: the UART's functions work on it */
    uint8_t config[PCI_CONFIG_BYTES];
};
DEVICE_STATE_END

struct pci_serial {
    struct uart16550_wiring uart; /* first, too */
    struct pci_function pci;
};

static void set_pin(void *ctx, unsigned n, bool level)
{
    struct pci_serial *p = ctx;

    (void)n;
    pci_set_intx(&p->pci, level);
}

static void pci_serial_reset(struct device *dev)
{
    struct pci_serial *p = dev->wiring;

    pci_function_reset(&p->pci);
    uart16550_reset(dev);
}

static const struct device_ops pci_serial_ops = {
    .name = "pci-serial",
    .state_size = sizeof(struct pci_serial_state),
    .possible = uart16550_possible,
    .reset = pci_serial_reset,
    .deadline = uart16550_deadline,
    .expire = uart16550_expire,
    .input = uart16550_input,
    .input_room = uart16550_input_room,
    .takes_break = true,
    .describe = uart16550_describe,
    .read = uart16550_read,
    .write = uart16550_write,
};

const struct option_key pci_serial_keys[] = {{"chardev", "ID"}, {NULL, NULL}};

int pci_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0002, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x070002, .revision = 1, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &pci_serial_ops, name, sizeof(struct pci_serial));
    struct pci_serial *p = dev->wiring;
    struct pci_serial_state *st = dev->state;

    (void)d;
    if (parts_connect_chardev(dev, props, err) < 0)
        return -EINVAL;
    p->uart.irq = (struct line){.set = set_pin, .ctx = p};
    pci_function_init(&p->pci, s->pci, devfn, dev, st->config, &id);
    pci_add_bar(&p->pci, 0, PCI_BAR_IO, false, UART16550_PORTS, 0);
    return 0;
}

/* ---- ISA ---- */

const struct option_key isa_serial_keys[] = {
    {"chardev", "ID"}, {"index", "0-3 (COM1-COM4)"}, {"iobase", "PORT"}, {"irq", "0-15"}, {NULL, NULL},
};

/* Is the place of COM port `n` (from 0) taken? */
static bool com_taken(const struct sockets *s, unsigned n, const uint16_t *base)
{
    return s->pci->ports->owner[base[n]];
}

/* Where it answers: what was given, else the place of a COM port that is free. */
static int choose_com(const struct sockets *s, const struct option_list *props, uint64_t *port, uint64_t *irq, struct error *err)
{
    static const uint16_t base[COM_PORTS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    uint64_t index = COM_PORTS;

    if (option_list_number(props, "index", 0, COM_PORTS - 1, &index, err) < 0)
        return -EINVAL;
    for (unsigned n = 0; n < COM_PORTS && index == COM_PORTS; n++)
        if (!com_taken(s, n, base))
            index = n;
    if (index < COM_PORTS) {
        *port = base[index];
        *irq = index % 2 ? 3 : 4;
    }
    if (option_list_number(props, "iobase", 0, UINT16_MAX + 1u - UART16550_PORTS, port, err) < 0 ||
        option_list_number(props, "irq", 0, 15, irq, err) < 0)
        return -EINVAL;
    if (!*port)
        return error_set(err, -EINVAL, "there are four COM ports already: give iobase=PORT and irq=N");
    for (unsigned i = 0; i < UART16550_PORTS; i++)
        if (s->pci->ports->owner[*port + i])
            return error_set(err, -EINVAL, "a device answers at port %#llx already (the board's own ports are connected by "
                             "--serial chardev:ID)", (unsigned long long)(*port + i));
    return 0;
}

int isa_serial_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err)
{
    uint64_t port = 0, irq = 4;
    struct uart16550_wiring *w;
    struct device *dev;

    (void)devfn, (void)d;
    if (!s->isa_irq)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (choose_com(s, props, &port, &irq, err) < 0)
        return -EINVAL;
    dev = machine_add_owned_device(s->machine, &uart16550_ops, name, sizeof(*w));
    w = dev->wiring;
    w->irq = s->isa_irq(s->ctx, (unsigned)irq);
    ports_claim(s->pci->ports, dev, (uint16_t)port, UART16550_PORTS, 0, 1);
    return parts_connect_chardev(dev, props, err);
}
