/* A TPM behind the FIFO interface (TIS): see tpm_tis.c. */
#ifndef HINDCAST_VM_DEV_TPM_TIS_H
#define HINDCAST_VM_DEV_TPM_TIS_H

#include "vm/dev/tpm.h"

/* For device_models[]: "tpm-tis" (ISA) and "tpm-tis-device" (virt's platform bus). */
extern const struct option_key tpm_tis_keys[], tpm_tis_device_keys[];
int tpm_tis_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err);
int tpm_tis_device_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err);

#endif
