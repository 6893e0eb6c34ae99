/* A framebuffer in guest memory: see ramfb.c. */
#ifndef HINDCAST_VM_DEV_RAMFB_H
#define HINDCAST_VM_DEV_RAMFB_H

#include "vm/dev/parts.h"

int ramfb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err);

#endif
