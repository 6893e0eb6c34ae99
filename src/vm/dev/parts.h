/*
 * What the user plugs into a board: drives, and devices of the board's sockets. Boards get a list of
 * parts with their configuration, and say what they have sockets for.
 *
 * A board calls parts_plug() once everything of its own is there, before the first reset. Where a drive or
 * device goes is the board's (struct sockets); what a device can be is a struct device_model, and
 * device_models[] in models.c lists those that there are.
 */
#ifndef HINDCAST_VM_DEV_PARTS_H
#define HINDCAST_VM_DEV_PARTS_H

#include "base/error.h"
#include "base/option_list.h"
#include "vm/boot_image.h"
#include "vm/dev/boot_order.h"
#include "vm/device.h"
#include "vm/drive.h"

/* Where a drive is plugged in without a --device of its own: QEMU's `if`. */
enum drive_interface { DRIVE_IF_NONE, DRIVE_IF_IDE, DRIVE_IF_SCSI, DRIVE_IF_FLOPPY, DRIVE_IF_VIRTIO, DRIVE_IF_SD, DRIVE_IF_PFLASH, DRIVE_IFS };

struct drive_part {
    struct drive_config config;
    enum drive_interface interface;
    unsigned index;           /* which of the places of that interface; IDE: 2 * channel + unit */
};

#define PARTS_MAX_DEVICES 32
#define PARTS_BOOT_MAX    16

struct machine_parts {
    struct drive_part drives[MACHINE_MAX_DRIVES];
    unsigned ndrives;
    const char *devices[PARTS_MAX_DEVICES]; /* as given to --device: "NAME[,KEY=VALUE...]" */
    unsigned ndevices;
    const struct boot_image *roms;   /* what devices' romfile= name, by that name */
    unsigned nroms;
    char boot_order[PARTS_BOOT_MAX]; /* letters: a, b floppies, c disk, d CD, n network; "": the board's usual order */
    char boot_once[PARTS_BOOT_MAX];  /* the same, for the first boot only; "": as always */
    bool boot_menu;           /* firmware may ask, */
    uint16_t boot_wait_ms;    /* so long; 0: as long as it does by itself */
    bool boot_strict;         /* it tries nothing that was not named */
    int32_t boot_retry_ms;    /* the pc's: after so long a BIOS that found nothing starts again; negative: never */
};

struct fwcfg_wiring;
struct isa_dma;
struct pci_bus;

#define PARTS_ANY_SLOT UINT32_MAX

/* What a board has room for. */
struct sockets {
    struct machine *machine;
    struct pci_bus *pci;      /* NULL: none */
    unsigned cards;           /* network cards plugged in so far */
    unsigned next_slot;       /* slots of the PCI bus from here on are free, unless something is there already */
    struct fwcfg_wiring *fwcfg; /* files are still added; NULL: the board has no such device */
    struct boot_order *boot;  /* what firmware can boot from; NULL: nobody asks */
    const char *models[DRIVE_IFS]; /* the device that a drive of that interface gets; NULL: see `drive` */
    void *ctx;
    unsigned wanted_slot;     /* for mmio_slot(): the one that the device's bus= names; PARTS_ANY_SLOT: none */
    /* Map range 0 of the device into slot `wanted`, or a free one, for virtio over memory-mapped registers
     * (VIRTIO_MMIO_SLOT_BYTES); *irq gets its interrupt, *base its address. 0, or -EINVAL: it is taken, or all are. NULL: the
     * board has none. */
    int (*mmio_slot)(void *ctx, unsigned wanted, struct device *dev, struct line *irq, paddr_t *base, struct error *err);
    paddr_t tpm_base;         /* where a TPM's registers go, TPM_REGION_BYTES (vm/dev/tpm.h); 0: there is no place for one */
    /* An interrupt of the ISA bus. NULL: the board has none. */
    struct line (*isa_irq)(void *ctx, unsigned irq);
    const struct isa_dma *isa_dma; /* the ISA bus' DMA (vm/dev/isa_dma.h), which stays; NULL: it has none */
    /* An option ROM that is in no BAR (rombar=0): firmware is to load it. NULL: there is no way to tell it. */
    void (*option_rom)(void *ctx, const struct boot_image *rom);
    /* A write to one of these ports ends the guest. 0, or -EINVAL: a device answers there. NULL: the board has no ports. */
    int (*debug_exit)(void *ctx, uint16_t base, uint16_t len, struct error *err);
    /* Plug in a drive whose interface has no model. 0, or -EINVAL: there is no such place, or it is taken. NULL: the
     * board has none. */
    int (*drive)(void *ctx, struct drive *d, const struct drive_part *part, struct error *err);
};

/* Does it need drive=ID? TAKES_CDROM and TAKES_FLOPPY: and what that names becomes such a drive, whatever its media= says. */
enum model_drive { TAKES_NONE, TAKES_DRIVE, TAKES_CDROM, TAKES_FLOPPY };

/* A kind of device. */
struct device_model {
    const char *name;                /* QEMU's, "virtio-blk-pci" */
    const char *bus;                 /* what it is plugged into: "PCI"; else plug() finds its place itself */
    const char *text;                /* what it is */
    enum model_drive takes;
    const struct option_key *keys;   /* properties besides those of every device; NULL: none */
    /* Make it. `name`: of the device, unique; `devfn`: where on s->pci; `d`: its drive, or NULL. */
    int (*plug)(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                struct error *err);
};

/* Ends with a model without a name. */
extern const struct device_model device_models[];
/* NULL: there is none of that name. */
const struct device_model *parts_find_model(const char *name);
/* There is none of that name (NULL: none was given): says so, and which it may be meant for. -EINVAL. */
int parts_unknown_model(const char *name, struct error *err);
#define PARTS_MAX_KEYS 48
/* All that --device takes of a model, its own properties last; ends with a NULL name. */
void parts_model_keys(const struct device_model *model, struct option_key keys[PARTS_MAX_KEYS]);

/* Devices with memory behind a base address: how many bytes (whole pages) one with these properties has. Ends with one without
 * a name. */
struct device_storage {
    const char *name;
    uint64_t (*bytes)(const struct option_list *props);
};
extern const struct device_storage device_storage[];
/* Bytes of all of them: boards reserve so much more memory (machine_create()). */
uint64_t parts_storage(const struct machine_parts *p);

/* For plug functions: what is being plugged in can be booted from. `kind`: boot_order.h; `parent`: the path of its
 * controller; the format makes the rest of its own: "/disk@0,0". */
void parts_boots(struct sockets *s, char kind, const char *parent, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Is bus= one of the board's own IDE channels, "ide.0" or "ide.1"? */
bool parts_ide_channel(const struct sockets *s, const char *bus, unsigned *channel);
/* For plug functions: into the place `index` of the board's own controllers or, unless unit= says which of the two, the
 * one after it. 0, or -EINVAL: they are taken, or there is none. */
int parts_plug_onboard(struct sockets *s, enum drive_interface interface, unsigned index, struct drive *d,
                       const struct option_list *props, struct error *err);
/* The floppy drives of the board's controller. */
extern const struct option_key floppy_keys[];
int floppy_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                struct error *err);
/* The kind of a drive that is no floppy. */
char parts_drive_kind(const struct drive *d);

/* For a device that has the property chardev=ID (device.backend). 0, or -EINVAL: it is not there, or too long. */
int parts_connect_chardev(struct device *dev, const struct option_list *props, struct error *err);
/* The error of a drive whose interface the board has not: -EINVAL, and *err says what to write instead. */
int parts_no_place(const struct drive_part *part, struct error *err);
/* Bytes that the option ROMs of all devices take of a machine's memory (machine_create()). */
uint64_t parts_rom_bytes(const struct machine_parts *p);
/* Make the drives and plug everything in. 0, or a negative errno with *err, which names drive or device. */
int parts_plug(const struct machine_parts *p, struct sockets *s, struct error *err);

#endif
