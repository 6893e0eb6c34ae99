/* A framebuffer by the display interface of Bochs alone: see bochs_display.c. */
#ifndef HINDCAST_VM_DEV_BOCHS_DISPLAY_H
#define HINDCAST_VM_DEV_BOCHS_DISPLAY_H

#include "vm/dev/parts.h"

extern const struct option_key bochs_display_keys[];
int bochs_display_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err);
/* Bytes of memory that one with these properties has. */
uint64_t bochs_display_storage(const struct option_list *props);

#endif
