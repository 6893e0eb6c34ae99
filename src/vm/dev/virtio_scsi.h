/* virtio SCSI host adapters: see virtio_scsi.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_SCSI_H
#define HINDCAST_VM_DEV_VIRTIO_SCSI_H

#include "vm/dev/parts.h"

/* For device_models[]: "virtio-scsi-pci" and "virtio-scsi-device", the adapters, and what is plugged into them. */
extern const struct option_key virtio_scsi_keys[], virtio_scsi_mmio_keys[], scsi_disk_keys[], scsi_cd_keys[];
int virtio_scsi_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                          const struct option_list *props, struct error *err);
int virtio_scsi_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d,
                         const struct option_list *props, struct error *err);
/* "scsi-hd" and "scsi-cd": into the adapter that was made last. */
int scsi_disk_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                   struct error *err);

#endif
