/* How a CPU reaches PCI: see pci_host.c. */
#ifndef HINDCAST_VM_DEV_PCI_HOST_H
#define HINDCAST_VM_DEV_PCI_HOST_H

#include "vm/dev/pci.h"

#define PCI_ECAM_BYTES ((uint64_t)256 << 20) /* 256 buses */
#define PCI_IO_BYTES   0x10000u

/* Ranges: CONFIG_ADDRESS (CF8h, 4 bytes) and CONFIG_DATA (CFCh, 4 bytes); configuration space in memory, from bus 0
 * on; the port space in memory; a memory window (mapped before functions are plugged, whose memory hides it). Wiring: the root bus. */
enum { PCI_HOST_ADDRESS, PCI_HOST_DATA, PCI_HOST_ECAM, PCI_HOST_IO, PCI_HOST_WINDOW };

extern const struct device_ops pci_host_ops;

#endif
