/* A TPM's physical presence interface: see tpm_ppi.c. */
#ifndef HINDCAST_VM_DEV_TPM_PPI_H
#define HINDCAST_VM_DEV_TPM_PPI_H

#include "vm/dev/parts.h"

#define TPM_PPI_BYTES   0x400u
/* Where in it things are, from its beginning: a byte for each operation that says what firmware makes of it; the request, with its
 * parameter, and the last one with its result; whether memory is to be overwritten. */
#define TPM_PPI_RESULT  0x105u
#define TPM_PPI_REQUEST 0x109u
#define TPM_PPI_PARAMETER 0x10du
#define TPM_PPI_LAST    0x111u
#define TPM_PPI_OVERWRITE 0x15au

/* It goes at that address of the machine. */
void tpm_ppi_add(struct machine *m, paddr_t base);

#endif
