/* The firmware configuration device that SeaBIOS and EDK2 read: see fwcfg.c. */
#ifndef HINDCAST_VM_DEV_FWCFG_H
#define HINDCAST_VM_DEV_FWCFG_H

#include "vm/device.h"

#define FWCFG_MAX_ITEMS 64

/* Item numbers with fixed meanings. */
enum {
    FWCFG_SIGNATURE = 0x00, FWCFG_ID = 0x01, FWCFG_UUID = 0x02, FWCFG_RAM_SIZE = 0x03, FWCFG_NOGRAPHIC = 0x04,
    FWCFG_CPUS = 0x05, FWCFG_KERNEL_SIZE = 0x08, FWCFG_INITRD_SIZE = 0x0b, FWCFG_NUMA = 0x0d, FWCFG_BOOT_MENU = 0x0e, FWCFG_MAX_CPUS = 0x0f,
    FWCFG_KERNEL_DATA = 0x11, FWCFG_INITRD_DATA = 0x12, FWCFG_CMDLINE_SIZE = 0x14, FWCFG_CMDLINE_DATA = 0x15,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20, FWCFG_IRQ0_OVERRIDE = 0x8002, FWCFG_HPET = 0x8004,
};

/* Contents are constants of the machine's configuration, or functions of its state; owned by the wiring. */
struct fwcfg_item {
    uint16_t key;
    char name[56];  /* file name; empty: no file */
    uint8_t *data;
    uint8_t *later; /* the contents after another reset; NULL: the same */
    uint8_t *live;  /* a file that the guest can write: its bytes, in the state of a device; NULL: it cannot */
    void (*written)(void *ctx); /* ... and whom to tell */
    void *written_ctx;
    uint32_t len;
};

struct fwcfg_wiring {
    struct fwcfg_item items[FWCFG_MAX_ITEMS];
    unsigned nitems;
    bool changes;   /* a file does at a reset */
    /* Bring contents that depend on the state up to it, by fwcfg_update_file(). NULL: none do. */
    void (*refresh)(void *ctx);
    void *refresh_ctx;
};

/* The layouts, which are the device's ranges: 12 bytes of ports, 24 bytes of memory. */
enum { FWCFG_PORTS, FWCFG_MMIO };

extern const struct device_ops fwcfg_ops;

/* Add an item; `data` is copied. */
void fwcfg_add(struct fwcfg_wiring *w, uint16_t key, const void *data, size_t len);
void fwcfg_add_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len);
/* Add a file that the guest can write: `bytes`, in a device's state, are its contents. */
void fwcfg_add_live_file(struct fwcfg_wiring *w, const char *name, uint8_t *bytes, size_t len, void (*written)(void *ctx), void *ctx);
/* Add a file, or give the one that there is other contents. Before fwcfg_seal(). */
void fwcfg_set_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len);
/* Other contents, of the same size, for a file that there is. */
void fwcfg_update_file(struct fwcfg_wiring *w, const char *name, const void *data, size_t len);
/* The file holds this, of the same size, once the machine was reset a second time. */
void fwcfg_change_at_reset(struct fwcfg_wiring *w, const char *name, const void *data, size_t len);
/* After the last file: make the directory. */
void fwcfg_seal(struct fwcfg_wiring *w);
void fwcfg_finish(struct fwcfg_wiring *w);

#endif
