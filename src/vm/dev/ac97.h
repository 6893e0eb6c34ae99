/* The AC'97 audio controller of Intel's 82801AA with its codec: see ac97.c. */
#ifndef HINDCAST_VM_DEV_AC97_H
#define HINDCAST_VM_DEV_AC97_H

#include "vm/dev/parts.h"

extern const struct option_key ac97_keys[];
int ac97_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err);

#endif
