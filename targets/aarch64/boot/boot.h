/*
 * What a boot loader makes of its files: chunks for physical memory, and where
 * the CPU starts. Made once, when the machine is created, so that every mistake
 * in a file is told then; applied at every reset.
 *
 * A loader gets images as bytes and trusts nothing in them. Adding one: write
 * a boot_load_*() that fills a plan, and call it from a64_boot_load().
 */
#ifndef HINDCAST_AARCH64_BOOT_H
#define HINDCAST_AARCH64_BOOT_H

#include "aarch64/virt.h"
#include "base/error.h"

struct memory;

/* `data` goes to `at`, zeros follow up to `size`. */
struct a64_boot_chunk {
    paddr_t at;
    uint64_t size;
    const uint8_t *data;
    size_t len;
};

struct a64_boot_plan {
    struct a64_boot_chunk *chunks;
    unsigned nchunks;
    uint8_t *unpacked;       /* the kernel, if it was compressed */
    const char *protocol;    /* "Linux" or "ELF" */
    paddr_t entry;
    paddr_t kernel_end;      /* first byte after what the kernel occupies */
    paddr_t initrd_start, initrd_end; /* equal: none */
    paddr_t dtb;             /* where the device tree goes */
    paddr_t pen;             /* with config->spin_table: where the other CPUs begin; 0: there is none */
};

/* The device tree gets that much room; the pen takes the end of it. */
#define A64_DTB_BYTES 0x10000u
#define A64_PEN_BYTES 0x1000u
/* The word that CPU n waits for in the pen: its cpu-release-addr. */
#define A64_PEN_RELEASE(n) (0x100u + 8u * (n))

/* Recognise config->kernel and plan its start, and where initrd and device tree go. */
int a64_boot_load(struct a64_boot_plan *plan, const struct virt_config *config, struct error *err);
void a64_boot_finish(struct a64_boot_plan *plan);
/* Put everything into memory. */
void a64_boot_apply(const struct a64_boot_plan *plan, struct memory *memory);

/* ---- for loaders ---- */

/* Add a chunk after a check that it lies in RAM and overlaps no other; `what` names it in the error. */
int a64_boot_add(struct a64_boot_plan *plan, const struct virt_config *config, paddr_t at, const void *data,
                 size_t len, uint64_t size, const char *what, struct error *err);

/* The kernel as it is after decompression. */
struct a64_kernel {
    const uint8_t *data;
    size_t len;
    const char *name;
};

/* gzip.c: is it gzip-compressed, or an EFI "zboot" image with such a payload? */
bool a64_boot_is_compressed(const void *data, size_t len);
/* Decompress to at most `limit` bytes. *out is to be freed. */
int a64_boot_decompress(const struct a64_kernel *in, uint64_t limit, uint8_t **out, size_t *out_len, struct error *err);
/* The first `want` bytes of what is inside; 0: damaged. */
size_t a64_boot_peek(const void *data, size_t len, uint8_t *out, size_t want);

/* image.c */
bool a64_boot_is_image(const void *data, size_t len);
int a64_boot_load_image(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                        struct error *err);

/* elf.c */
bool a64_boot_is_elf(const void *data, size_t len);
int a64_boot_load_elf(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                      struct error *err);

#endif
