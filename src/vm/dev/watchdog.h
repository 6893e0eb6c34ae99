/* Watchdogs: Intel's 6300ESB on PCI, iBASE's IB700 on ISA. See watchdog.c. */
#ifndef HINDCAST_VM_DEV_WATCHDOG_H
#define HINDCAST_VM_DEV_WATCHDOG_H

#include "vm/dev/parts.h"

extern const struct option_key i6300esb_keys[], ib700_keys[];
int i6300esb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err);
int ib700_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err);
/* Check the value of --watchdog-action. 0, or -EINVAL with *err. */
int watchdog_check_action(const char *action, struct error *err);

#endif
