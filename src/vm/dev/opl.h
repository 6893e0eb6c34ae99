/*
 * FM chips as devices: an AdLib card (--device adlib), and that of a Sound Blaster 16. See opl.c.
 */
#ifndef HINDCAST_VM_DEV_OPL_H
#define HINDCAST_VM_DEV_OPL_H

#include "vm/dev/parts.h"

/* For struct device_model. */
extern const struct option_key adlib_keys[];
int adlib_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err);

/* How loud a card makes it: as sound.h has gains. */
typedef uint32_t opl_gain_fn(void *ctx, bool left);

/* A YMF262 that is part of a card, a device of its own at ports 388h to 38Bh, where nobody else is; it plays to whom `card` plays (which is
 * connected already). 0 or -EINVAL. */
int opl_add(struct sockets *s, struct device *card, opl_gain_fn *gain, void *ctx, struct device **chip, struct error *err);
/* The card's own ports: 0 to 3 of the chip. */
uint8_t opl_read_port(struct device *chip, unsigned port);
void opl_write_port(struct device *chip, unsigned port, uint8_t value);
/* The gain will be another one: what was until now is played as it was. */
void opl_catch_up(struct device *chip);

#endif
