/* A Sound Blaster 16 on the ISA bus: see sb16.c. */
#ifndef HINDCAST_VM_DEV_SB16_H
#define HINDCAST_VM_DEV_SB16_H

#include "vm/dev/parts.h"

/* For device_models[]. */
extern const struct option_key sb16_keys[];
int sb16_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err);

#endif
