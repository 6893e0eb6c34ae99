/*
 * What firmware can boot from and in which order it is to try: fw_cfg's file "bootorder", which SeaBIOS, OVMF and
 * EDK2 read (QEMU, docs/bootindex; SeaBIOS, docs/Runtime_config). A line for each place, in the form of an Open Firmware device
 * path (IEEE 1275) as QEMU makes it:
 *
 *   /pci@i0cf8/ide@1,1/drive@CHANNEL/disk@UNIT         /pci@i0cf8/pci8086,2922@SLOT/drive@PORT/disk@0    (AHCI)
 *   /pci@i0cf8/scsi@SLOT/disk@0,0                      /pci@i0cf8/scsi@SLOT/channel@0/disk@ID,LUN
 *   /pci@i0cf8/pci1b36,0010@SLOT/namespace@1,0         /pci@i0cf8/ethernet@SLOT/ethernet-phy@0
 *   /pci@i0cf8/isa@1/fdc@03f0/floppy@N                 /virtio-mmio@ADDRESS/disk@0,0
 *   /pci@i0cf8/usb@SLOT/storage@PORT/channel@0/disk@0,0
 *
 * First come the places with a bootindex, by it; then, for each letter of --boot order=, the others of that kind.
 *
 * Plugging parts in fills the list (parts.h), the board makes the file of it.
 */
#ifndef HINDCAST_VM_DEV_BOOT_ORDER_H
#define HINDCAST_VM_DEV_BOOT_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct fwcfg_wiring;
struct machine_parts;

#define BOOT_ORDER_MOST  64u
#define BOOT_PATH_BYTES  160u
#define BOOT_NO_INDEX    UINT32_MAX
#define BOOT_INDEX_MAX   (BOOT_NO_INDEX - 1)

struct boot_place {
    char path[BOOT_PATH_BYTES];
    char kind;       /* its letter in --boot: a, b floppies, c disk, d CD, n network */
    uint32_t index;  /* its bootindex; BOOT_NO_INDEX: it has none */
};

struct boot_order {
    struct boot_place places[BOOT_ORDER_MOST];
    unsigned count;
};

/* One more place, without an index. What there is no room for is left out. */
void boot_order_add(struct boot_order *o, char kind, const char *path);
/* Place `n` gets that index. 0, or -EINVAL: there is no such place, or another has that index. */
int boot_order_index(struct boot_order *o, unsigned n, uint32_t index, struct error *err);
/* The file for --boot and the places, unless it would be empty (`first`: a line before all others, with its newline or
 * without; NULL: none), and what else of --boot concerns firmware: how long it
 * shows its menu. */
void boot_order_files(const struct boot_order *o, const char *first, const struct machine_parts *p, struct fwcfg_wiring *w);

#endif
