/*
 * The PC board: an i440FX/PIIX machine with ISA devices and a VGA.
 *
 * pc_create() builds a whole machine from a configuration in which every file
 * was already read: nothing in here opens files. The machine is handed over
 * reset, standing before its first instruction.
 *
 * What boots, by which image is given:
 *   bios, pflash[0] the flat image below 4 GiB, from the reset vector in real mode; it finds a
 *                   Linux kernel given beside it in the configuration device
 *   kernel          ELF (32 or 64 bits; by its PVH note, if it has one), Multiboot 1 or 2, or Linux bzImage, also
 *                   gzip-compressed, recognised by content, with
 *                   the state that each of these protocols prescribes; firmware
 *                   tables (ACPI, MultiProcessor) are laid out as a BIOS would
 *
 * Devices that take input (EVENT_INPUT; found by machine_find_device()):
 *   "uart0"... "uart3"  raw bytes as they come over the line (COM1 to COM4)
 *   "ps2kbd"         u16 little-endian words, one per key event (vm/dev/keys.h)
 *   "ps2mouse"       8-byte records: i16 dx (right), i16 dy (down), i16 dz (wheel towards
 *                    the user), u16 buttons held (bit 0 left, 1 right, 2 middle)
 * Devices that give output (machine_env.output): "uart0"... "uart3", "debugcon" (port E9h); "pcspk" (vm/dev/sound.h).
 */
#ifndef HINDCAST_I386_PC_H
#define HINDCAST_I386_PC_H

#include "base/error.h"
#include "vm/boot_image.h"
#include "vm/machine.h"

#define PC_MAX_SERIAL     4
#define PC_MAX_DEBUG_EXIT 4
#define PC_MAX_MODULES    64
#define PC_MAX_ROMS       4
#define PC_FIRMWARE_MAX   ((size_t)16 << 20) /* bytes of a firmware image, or of both flash banks */

enum pc_vga {
    PC_VGA_NONE,
    PC_VGA_STD, /* a VGA with the display interface of Bochs, as QEMU's `-vga std` */
    PC_VGA_VIRTIO, /* the same as part of a virtio GPU, as `-vga virtio` */
};

/* Use PC_CONFIG_INIT, then set what differs. Strings and images are kept by reference. */
struct pc_config {
    uint64_t memory_bytes;     /* a multiple of 4 KiB; at least 1 MiB */
    const char *cpu_model;     /* i386_model_find() */
    struct cpu_topology topology;
    struct schedule schedule;  /* quantum 0: the usual one */
    const char *gdb_arch;      /* what a debugger sees: "i386", "x86-64", "i8086", NULL: as the model */
    struct boot_image kernel;
    const struct boot_image *modules; /* Linux: the first is the initrd; Multiboot: the modules */
    unsigned nmodules;
    const char *append;        /* kernel command line; NULL: empty */
    struct boot_image bios;
    struct boot_image pflash[2]; /* instead of bios: flash, the second bank below the first */
    bool pflash_read_only[2];
    bool hpet;
    bool s3;                   /* it can be suspended to RAM */
    enum pc_vga vga;
    bool vga_is_device;        /* who gave them wrote --device */
    const char *vga_options;   /* its properties, "TYPE,KEY=VALUE,..." (secondary_vga_keys, virtio_vga_keys); NULL: no EDID */
    const struct boot_image *roms; /* option ROMs, given to a `bios` as fw_cfg files genroms/NAME */
    unsigned nroms;
    struct boot_image vga_bios;  /* in the display's expansion ROM, for a `bios` to find */
    const char *const *smbios; /* as given to --smbios (pc/smbios.c) */
    unsigned nsmbios;
    const char *uuid;          /* of the system; NULL: zeros */
    bool smbios_64;            /* an entry point of SMBIOS 3.0 */
    unsigned serial_count;     /* 16550As present: 0 to PC_MAX_SERIAL */
    bool serial_out2;          /* MCR.OUT2 gates their interrupts, as on a real PC */
    /* isa-debug-exit: an OUT of V ends the guest with status (V << 1) | 1. */
    uint16_t debug_exit_ports[PC_MAX_DEBUG_EXIT];
    unsigned debug_exit_count;
    unsigned icount_shift;     /* machine.icount_shift */
    const char *pcspk_audiodev; /* what the speaker is connected to (device.backend); NULL: nothing */
    bool no_reboot;            /* machine.no_reboot */
    const struct machine_parts *parts; /* drives and devices; used during pc_create() only; NULL: none */
};

#define PC_CONFIG_INIT \
    { \
        .memory_bytes = (uint64_t)128 << 20, .cpu_model = "pentium3", .serial_count = 2, .vga = PC_VGA_STD, .hpet = true, .s3 = true, \
        .debug_exit_ports = {0xf4, 0x501}, .debug_exit_count = 2 \
    }

/* Is a firmware image one for this board: does code for the reset vector stand at its end? */
bool pc_is_firmware(const void *data, size_t len);
/* Is the kernel one for a CPU with long mode: a bzImage with a 64-bit entry point, an ELF file for x86-64? Or is it
 * UEFI firmware, which as a rule is? */
bool pc_is_64bit(const void *data, size_t len);

/* 0, or a negative errno with a text that says what to change. */
int pc_create(struct machine **out, const struct pc_config *config, struct error *err);

#endif
