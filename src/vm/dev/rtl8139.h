/* Realtek RTL8139C and RTL8139C+: see rtl8139.c. */
#ifndef HINDCAST_VM_DEV_RTL8139_H
#define HINDCAST_VM_DEV_RTL8139_H

#include "vm/dev/parts.h"

/* For device_models[]: "rtl8139". */
extern const struct option_key rtl8139_keys[];
int rtl8139_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err);

#endif
