/* The 82574L, a network card: see e1000e.c. */
#ifndef HINDCAST_VM_DEV_E1000E_H
#define HINDCAST_VM_DEV_E1000E_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key e1000e_keys[];
int e1000e_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                struct error *err);

#endif
