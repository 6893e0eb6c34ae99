/* virtio consoles and serial ports: see virtio_console.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_CONSOLE_H
#define HINDCAST_VM_DEV_VIRTIO_CONSOLE_H

#include "vm/dev/parts.h"

extern const struct option_key virtio_serial_keys[], virtio_serial_mmio_keys[], virtio_port_keys[];
int virtio_serial_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                           struct error *err);
int virtio_serial_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                            struct error *err);
int virtconsole_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err);
int virtserialport_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);

#endif
