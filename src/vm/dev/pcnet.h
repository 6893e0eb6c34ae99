/* AMD Am79C970A (PCnet-PCI II): see pcnet.c. */
#ifndef HINDCAST_VM_DEV_PCNET_H
#define HINDCAST_VM_DEV_PCNET_H

#include "vm/dev/parts.h"

/* For device_models[]: "pcnet". */
extern const struct option_key pcnet_keys[];
int pcnet_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err);

#endif
