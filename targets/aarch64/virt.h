/*
 * The virt board: QEMU's `virt` memory map and interrupt numbers, without PCI.
 *
 * virt_create() builds a whole machine from a configuration in which every file
 * was already read: nothing in here opens files. The machine is handed over
 * reset, standing before its first instruction.
 *
 * What boots, by which image is given:
 *   bios, pflash[0]  raw firmware at address 0, entered at the highest exception
 *                    level; a kernel beside it is offered through fw_cfg
 *   kernel           Linux Image (also gzip-compressed) or ELF, recognised by
 *                    content; entered at EL1, at EL2 with `virtualization`, with
 *                    X0 = device tree; with `secure` an ELF program is entered at
 *                    EL3, on all CPUs, as firmware is (but for `spin_table`)
 *
 * Devices that take input (EVENT_INPUT; found by machine_find_device()):
 *   "uart0"          raw bytes as they come over the line (PL011 at 0x09000000)
 *   "uart1"          likewise; exists with `secure` only (0x09040000)
 *   "semihosting"    virt/semihost.c; exists with `semihosting` only
 * Devices that give output (machine_env.output): "uart0", "uart1", "semihosting".
 */
#ifndef HINDCAST_AARCH64_VIRT_H
#define HINDCAST_AARCH64_VIRT_H

#include "base/error.h"
#include "vm/boot_image.h"
#include "vm/machine.h"

#define VIRT_RAM_BASE    ((paddr_t)0x40000000)
#define VIRT_FLASH_BYTES ((uint64_t)64 << 20) /* each of the two banks */

/* Use VIRT_CONFIG_INIT, then set what differs. Strings and images are kept by reference. */
struct virt_config {
    uint64_t memory_bytes;      /* a multiple of 4 KiB; at least 1 MiB */
    const char *cpu_model;      /* a64_model_find() */
    struct cpu_topology topology;
    struct schedule schedule;    /* quantum 0: the usual one */
    unsigned gic_version;       /* 2 or 3 */
    bool its;                   /* version 3: LPIs and the translation service; without: messages are SPIs */
    bool secure;                /* EL3 exists */
    bool virtualization;        /* EL2 exists */
    bool lowmem;                /* highmem=off: nothing lies above 4 GiB, neither memory nor PCI's windows */
    bool spin_table;            /* CPUs but the first wait in a pen, and not switched off for PSCI; for a kernel without firmware */
    struct boot_image kernel, initrd;
    const char *append;         /* kernel command line; NULL: empty */
    struct boot_image bios;     /* the same as pflash[0] */
    struct boot_image pflash[2];
    unsigned icount_shift;      /* machine.icount_shift */
    bool no_reboot;             /* machine.no_reboot */
    bool semihosting;           /* HLT #0xf000 is semihosting's trap */
    const char *semihost_cmdline; /* what SYS_GET_CMDLINE tells; NULL: empty */
    const struct machine_parts *parts; /* drives and devices; used during virt_create() only; NULL: none */
};

#define VIRT_CONFIG_INIT \
    { \
        .memory_bytes = (uint64_t)128 << 20, .cpu_model = "cortex-a57", .gic_version = 2 \
    }

/* The CPU models, space-separated (model.c). */
extern const char a64_model_names[];

/* 0, or a negative errno with a text that says what to change. */
int virt_create(struct machine **out, const struct virt_config *config, struct error *err);

/* The device tree as the guest gets it (valid while the machine lives). */
const void *virt_device_tree(const struct machine *m, size_t *len);

/* Is this image (perhaps gzip-compressed) one for this board rather than for a PC? */
bool virt_recognises(const void *data, size_t len);

#endif
