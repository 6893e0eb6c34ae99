/* virtio memory balloons: see virtio_balloon.c. */
#ifndef HINDCAST_VM_DEV_VIRTIO_BALLOON_H
#define HINDCAST_VM_DEV_VIRTIO_BALLOON_H

#include "vm/dev/parts.h"

/* Bytes of an EVENT_INPUT for one: how many bytes of memory the guest shall keep. */
#define VIRTIO_BALLOON_INPUT 8u

extern const struct option_key virtio_balloon_keys[], virtio_balloon_mmio_keys[];
int virtio_balloon_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                            struct error *err);
int virtio_balloon_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                             struct error *err);
/* Bytes of memory that the guest has without one. */
uint64_t virtio_balloon_all(const struct machine *m);
/* Does a driver heed it? */
bool virtio_balloon_driven(const struct device *dev);
/* For `monitor info balloon`: what the balloon leaves the guest, and what that last said of its memory. */
void virtio_balloon_report(const struct device *dev, struct buffer *b);

#endif
