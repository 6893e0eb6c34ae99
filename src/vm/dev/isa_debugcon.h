/* A port for firmware's debug messages, see isa_debugcon.c. */
#ifndef HINDCAST_VM_DEV_ISA_DEBUGCON_H
#define HINDCAST_VM_DEV_ISA_DEBUGCON_H

#include "vm/dev/parts.h"

extern const struct option_key isa_debugcon_keys[];
int isa_debugcon_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                      struct error *err);

#endif
