/* A TPM behind the command response buffer interface: see tpm_crb.c. */
#ifndef HINDCAST_VM_DEV_TPM_CRB_H
#define HINDCAST_VM_DEV_TPM_CRB_H

#include "vm/dev/tpm.h"

/* For device_models[]. */
extern const struct option_key tpm_crb_keys[];
int tpm_crb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err);

#endif
