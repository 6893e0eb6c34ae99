/* SD host controllers: see sdhci.c. */
#ifndef HINDCAST_VM_DEV_SDHCI_H
#define HINDCAST_VM_DEV_SDHCI_H

#include "vm/dev/parts.h"

/* For device_models[]: "sdhci-pci" (with the card in it, for a drive of the interface sd), and "sd-card", which goes into the
 * slot of the last one that is empty. */
extern const struct option_key sdhci_keys[], sd_card_keys[];
int sdhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err);
int sd_card_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err);
#endif
