/*
 * A file that a guest is booted from, as the boards get it.
 */
#ifndef HINDCAST_VM_BOOT_IMAGE_H
#define HINDCAST_VM_BOOT_IMAGE_H

#include "base/types.h"

/* A file's contents; must stay valid while the machine lives (a reset loads it again). */
struct boot_image {
    const void *data;    /* NULL: not given */
    size_t len;          /* bytes; 0: the file is empty */
    const char *name;    /* file name, for messages and argv[0] of a Multiboot command line */
    const char *cmdline; /* Multiboot module: its own command line; NULL: `name` */
};

/* An ELF file: which CPU it is for; "": it is cut short. NULL: none. */
const char *boot_image_elf_machine(const struct boot_image *image);

#endif
