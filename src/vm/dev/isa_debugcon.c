/*
 * --device isa-debugcon[,iobase=PORT][,chardev=ID]: the board's debug console answers at one more port, as firmware has its
 * messages at 402h (SeaBIOS and OVMF look whether a read gives E9h), and is connected to a --chardev. No device of its own:
 * the console's.
 */
#include "vm/dev/isa_debugcon.h"

#include <errno.h>

#include "vm/dev/pci.h"
#include "vm/dev/ports.h"
#include "vm/machine.h"

#define USUAL_PORT 0x402u

const struct option_key isa_debugcon_keys[] = {{"iobase", "PORT"}, {"chardev", "ID"}, {NULL, NULL}};

int isa_debugcon_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                      struct error *err)
{
    struct device *console = machine_find_device(s->machine, "debugcon");
    const struct ports *ports = s->pci->ports;
    uint64_t port = USUAL_PORT;

    (void)name, (void)devfn, (void)d;
    if (!console)
        return error_set(err, -EINVAL, "this board has no debug console");
    if (option_list_number(props, "iobase", 0, UINT16_MAX, &port, err) < 0)
        return -EINVAL;
    if (option_list_get(props, "chardev") && parts_connect_chardev(console, props, err) < 0)
        return -EINVAL;
    if (ports->owner[port] && ports->ranges[ports->owner[port] - 1].dev == console)
        return 0;
    if (ports->owner[port])
        return error_set(err, -EINVAL, "iobase=%#llx: another device answers there", (unsigned long long)port);
    ports_claim(s->pci->ports, console, (uint16_t)port, 1, 0, 1);
    return 0;
}
