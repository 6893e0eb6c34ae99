/*
 * What the properties of a storage device (--device) say of it, by QEMU's names: what it calls itself, its blocks. They end up in
 * drive.identity, where whoever answers for the drive (ATA, SCSI, NVMe, virtio) finds them.
 *
 * A new property: its key below for the devices that have it, disk_props_take(), struct drive_identity.
 */
#ifndef HINDCAST_VM_DEV_DISK_PROPS_H
#define HINDCAST_VM_DEV_DISK_PROPS_H

#include "base/option_list.h"
#include "vm/drive.h"

/* Which fields there are, and how wide. */
enum disk_kind { DISK_ATA, DISK_SCSI, DISK_USB, DISK_VIRTIO, DISK_NVME };

/* For option_key lists. */
#define DISK_SERIAL_KEY {"serial", "TEXT"}
#define DISK_BLOCK_KEYS {"logical_block_size", "512|4096"}, {"physical_block_size", "BYTES"}
#define DISK_IO_KEYS    {"min_io_size", "BYTES"}, {"opt_io_size", "BYTES"}
#define DISK_ATA_KEYS   DISK_SERIAL_KEY, {"model", "TEXT"}, {"ver", "TEXT"}, {"wwn", "NUMBER"}
#define DISK_SCSI_KEYS  DISK_SERIAL_KEY, {"vendor", "TEXT"}, {"product", "TEXT"}, {"ver", "TEXT"}, {"device_id", "TEXT"}, \
                        {"wwn", "NUMBER"}, {"port_wwn", "NUMBER"}, {"port_index", "1 to 65535"}
#define DISK_ROTATION_KEY {"rotation_rate", "0|1|RPM (1 turns not)"}

/* Take those that are there. 0, or -EINVAL: one does not fit. */
int disk_props_take(struct drive *d, enum disk_kind kind, const struct option_list *props, struct error *err);
/* Of a drive: the bytes of a physical block, a power of two, at least a sector's; log2 of how many sectors that is. */
uint32_t disk_physical_block(const struct drive *d);
unsigned disk_physical_exponent(const struct drive *d);

#endif
