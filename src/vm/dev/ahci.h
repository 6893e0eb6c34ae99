/* AHCI host adapters: see ahci.c. */
#ifndef HINDCAST_VM_DEV_AHCI_H
#define HINDCAST_VM_DEV_AHCI_H

#include "vm/dev/parts.h"

/* For device_models[]: "ich9-ahci", the adapter, and "ide-hd" and "ide-cd", which go into the one that was made last. */
extern const struct option_key ahci_keys[], ahci_disk_keys[], ahci_cd_keys[];
int ahci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
              struct error *err);
int ahci_disk_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);

#endif
