/*
 * Which frames an 82574 keeps the time of (82574 data sheet, 10.2.10; IEEE 1588).
 */
#ifndef HINDCAST_VM_DEV_E1000E_PTP_H
#define HINDCAST_VM_DEV_E1000E_PTP_H

#include "base/types.h"

/* What says which: the registers by these names. */
struct ptp_filter {
    uint32_t tsyncrxctl, rxmtrl, rxudp;
};

/* Is it one of these? Then *source: bytes that say whose it is, and its sequence number: RXSATRH above RXSATRL. (0 if it is no PTP.) */
bool ptp_wants(const struct ptp_filter *f, const uint8_t *frame, size_t len, uint64_t *source);

#endif
