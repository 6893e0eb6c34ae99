/*
 * Persistent reservations of a SCSI unit (SPC-3, 5.6). See scsi_reserve.c.
 */
#ifndef HINDCAST_VM_DEV_SCSI_RESERVE_H
#define HINDCAST_VM_DEV_SCSI_RESERVE_H

#include "vm/dev/scsi.h"

/* The commands PERSISTENT RESERVE IN and OUT; the latter's parameters: SCSI_GOOD, SCSI_CONFLICT, or SCSI_CHECK. */
void scsi_reserve_in(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c);
void scsi_reserve_out(struct scsi_unit *u, const uint8_t *cdb, struct scsi_command *c);
uint8_t scsi_reserve(struct scsi_unit *u, const uint8_t *cdb, const uint8_t *list, uint64_t len);

#endif
