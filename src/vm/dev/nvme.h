/* NVM Express controllers: see nvme.c. */
#ifndef HINDCAST_VM_DEV_NVME_H
#define HINDCAST_VM_DEV_NVME_H

#include "vm/dev/parts.h"

/* For device_models[]: "nvme". */
extern const struct option_key nvme_keys[];
int nvme_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err);

#endif
