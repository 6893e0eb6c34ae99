/* Devices for test suites: see testdev.c. */
#ifndef HINDCAST_VM_DEV_TESTDEV_H
#define HINDCAST_VM_DEV_TESTDEV_H

#include "vm/dev/parts.h"

#define PC_TESTDEV_MEMORY       0xff000000u /* physical address of its memory */
#define PC_TESTDEV_MEMORY_BYTES 0x10000u

extern const struct option_key isa_debug_exit_keys[];
int isa_debug_exit_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);
int pc_testdev_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err);
int pci_testdev_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err);

#endif
