/* Intel 82540EM Gigabit Ethernet: see e1000.c. */
#ifndef HINDCAST_VM_DEV_E1000_H
#define HINDCAST_VM_DEV_E1000_H

#include "vm/dev/parts.h"

/* For device_models[]: "e1000". */
extern const struct option_key e1000_keys[];
int e1000_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err);

#endif
