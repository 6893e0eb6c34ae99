/*
 * --fsdev and --virtfs, in QEMU's words: a directory of the host for a guest's virtio-9p device.
 */
#ifndef HINDCAST_OPTION_FSDEV_H
#define HINDCAST_OPTION_FSDEV_H

#include "option_drives.h"

#define OPTIONS_MAX_FSDEV 8

struct option_fsdev {
    char *id, *path;
    bool writable;      /* readonly=off was said: else nothing of the host changes */
};

struct option_fsdevs {
    struct option_fsdev list[OPTIONS_MAX_FSDEV];
    unsigned count;
    char *devices[OPTIONS_MAX_FSDEV]; /* what option_drives.devices[] points to, of --virtfs */
    unsigned ndevices;
};

/* Take the value of --fsdev: local,id=ID,path=DIR[,readonly=on|off][,security_model=none]. 0 or negative errno with *err. */
int option_fsdev_take(struct option_fsdevs *o, const char *arg, struct error *err);
/* That of --virtfs: the same and mount_tag=TAG, which stands for an --fsdev and a --device virtio-9p-pci. */
int option_virtfs_take(struct option_fsdevs *o, struct option_drives *devices, const char *arg, struct error *err);
void option_fsdevs_finish(struct option_fsdevs *o);

#endif
