/*
 * The options about drives, devices and the order of booting, in QEMU's words.
 */
#ifndef HINDCAST_OPTION_DRIVES_H
#define HINDCAST_OPTION_DRIVES_H

#include "base/buffer.h"
#include "base/error.h"
#include "vm/dev/parts.h"

struct options;

#define OPTIONS_MAX_FAULTS 16

/* A --drive, or what -hda and the like stand for. Its strings are its own. */
struct option_drive {
    char *file;           /* NULL: an empty drive */
    char *format;         /* NULL: what the first bytes say */
    char *snapshot;       /* name of a qcow2's internal snapshot; NULL: none */
    char *id;             /* NULL until options_settle_drives() */
    char *serial;         /* NULL: made of the id */
    bool any_interface;   /* the machine's usual one */
    enum drive_interface interface;
    bool any_index;       /* the next one that is free */
    unsigned index;
    enum drive_media media;
    uint32_t sector_size; /* logical_block_size= of its device; 0: as usual */
    bool read_only;
    enum drive_discard discard;
    uint64_t latency_ns, rate;
    struct drive_fault faults[OPTIONS_MAX_FAULTS];
    unsigned nfaults;
    bool write_back;      /* at the end, what it holds is kept: */
    char *write_back_file;/* in a qcow2 of this name; NULL: in the image itself */
    uint64_t size;        /* of the image, bytes; 0: what the file has */
    char *where;          /* where a recorded image is now; NULL: where it was */
};

/* All of a run. */
struct option_drives {
    struct option_drive list[MACHINE_MAX_DRIVES];
    unsigned count;
    const char *devices[PARTS_MAX_DEVICES];
    unsigned ndevices;
    char *settled[2 * PARTS_MAX_DEVICES]; /* those of them that option_drives_settle() has made of what was given */
    unsigned nsettled;
    const char *watchdog_action; /* of those that do not say; NULL: the usual one */
    bool old_mmio;        /* virtio devices in slots have version 1, if they do not say otherwise */
    char *roms[PARTS_MAX_DEVICES]; /* what they name by romfile=, each once */
    unsigned nroms;
    bool device_help;     /* --device help, or */
    const struct device_model *device_asked; /* --device NAME,help: of this one; NULL: of all */
    char boot_order[PARTS_BOOT_MAX], boot_once[PARTS_BOOT_MAX];
    bool boot_menu, boot_strict;
    uint64_t boot_wait_ms;   /* splash-time=; 0: not said */
    int32_t boot_retry_ms;   /* reboot-timeout=; -1: never */
};

/* Take the value of --drive. 0, or negative errno with *err. */
int option_drive_take(struct option_drives *o, const char *arg, struct error *err);
/* Is the drive that was taken last flash (if=pflash), which is no drive to us? Then it is given to the caller, who frees
 * it by option_drive_free(). */
bool option_drive_take_flash(struct option_drives *o, struct option_drive *d);
void option_drive_free(struct option_drive *d);
/* That of -hda to -hdd (index 0 to 3) and --cdrom (index 2); of -fda and -fdb; of -sd. */
int option_drive_take_file(struct option_drives *o, const char *file, enum drive_media media, unsigned index,
                           bool any_interface, enum drive_interface interface, struct error *err);
int option_device_take(struct option_drives *o, const char *arg, struct error *err);
int option_boot_take(struct option_drives *o, const char *arg, struct error *err);
/* The machine is known: give every drive its interface, place and id, and make a CD-ROM or floppy drive of what is one
 * for its --device. */
int option_drives_settle(struct option_drives *o, enum drive_interface usual, struct error *err);
void option_drives_finish(struct option_drives *o);

/* The drives of a recording are in `o`; those of `given` say where their images are now. */
int option_drives_locate(struct option_drives *o, const struct option_drives *given, struct error *err);

/* A drive as a recording tells it: option_drive_take() takes it again. With a NUL. */
void option_drive_describe(const struct option_drive *d, struct buffer *out);

#endif
