/*
 * What the boot loaders share: the plan, where initrd and device tree go (the
 * places that QEMU uses), and the plan's application.
 */
#include "aarch64/boot/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/memory.h"

#define MIB ((uint64_t)1 << 20)
#define INITRD_OFFSET (128 * MIB)
#define FLAT_OFFSET   0x80000u
#define DTB_ALIGN     (2 * MIB)

static uint64_t align_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

int a64_boot_add(struct a64_boot_plan *plan, const struct virt_config *config, paddr_t at, const void *data,
                 size_t len, uint64_t size, const char *what, struct error *err)
{
    if (at < VIRT_RAM_BASE || at - VIRT_RAM_BASE > config->memory_bytes ||
        size > config->memory_bytes - (at - VIRT_RAM_BASE))
        return error_set(err, -ENOMEM,
                         "%s: %s wants %llu bytes at %#llx, outside of the machine's memory, which is %llu MiB at "
                         "0x40000000 (give it more with --memory, or link the kernel elsewhere)",
                         config->kernel.name, what, (unsigned long long)size, (unsigned long long)at,
                         (unsigned long long)(config->memory_bytes / MIB));
    for (unsigned i = 0; i < plan->nchunks; i++)
        if (at < plan->chunks[i].at + plan->chunks[i].size && plan->chunks[i].at < at + size)
            return error_set(err, -EINVAL, "%s: %s at %#llx overlaps something loaded before it",
                             config->kernel.name, what, (unsigned long long)at);
    plan->chunks = xrealloc(plan->chunks, (plan->nchunks + 1) * sizeof(*plan->chunks));
    plan->chunks[plan->nchunks++] = (struct a64_boot_chunk){.at = at, .size = size, .data = data, .len = len};
    if (at + size > plan->kernel_end)
        plan->kernel_end = at + size;
    return 0;
}

static int place_initrd(struct a64_boot_plan *plan, const struct virt_config *config, struct error *err)
{
    uint64_t half = config->memory_bytes / 2;
    paddr_t kernel_end = plan->kernel_end;
    int rc;

    plan->initrd_start = VIRT_RAM_BASE + (half < INITRD_OFFSET ? half : INITRD_OFFSET);
    if (plan->initrd_start < kernel_end)
        plan->initrd_start = kernel_end;
    plan->initrd_start = align_up(plan->initrd_start, PAGE_SIZE);
    plan->initrd_end = plan->initrd_start;
    if (!config->initrd.data || !config->initrd.len)
        return 0;
    rc = a64_boot_add(plan, config, plan->initrd_start, config->initrd.data, config->initrd.len, config->initrd.len,
                      "the initrd", err);
    plan->initrd_end = plan->initrd_start + config->initrd.len;
    return rc;
}

/* Of an ELF program it lies at the beginning of RAM, if that is free, or else, without an initrd, at the end: such a program
 * uses what follows it without asking (as its heap: QEMU gives it no device tree then). Otherwise after the initrd. */
static int place_dtb(struct a64_boot_plan *plan, const struct virt_config *config, struct error *err)
{
    bool elf = strcmp(plan->protocol, "ELF") == 0;

    plan->dtb = align_up(plan->initrd_end, DTB_ALIGN);
    if (elf && a64_boot_add(plan, config, VIRT_RAM_BASE, NULL, 0, A64_DTB_BYTES, "", NULL) == 0) {
        plan->nchunks--;
        plan->dtb = VIRT_RAM_BASE;
        return 0;
    }
    if ((elf && !config->initrd.len) || plan->dtb - VIRT_RAM_BASE + A64_DTB_BYTES > config->memory_bytes)
        plan->dtb = (VIRT_RAM_BASE + config->memory_bytes - A64_DTB_BYTES) & ~(paddr_t)(A64_DTB_BYTES - 1);
    if (a64_boot_add(plan, config, plan->dtb, NULL, 0, A64_DTB_BYTES, "the device tree", err))
        return -ENOMEM;
    plan->nchunks--;
    return 0;
}

/* Where the other CPUs wait that a spin-table releases (booting.rst, "CPUs with a spin-table enable-method"): for a word of
 * their own that is no more zero. They are numbered in clusters of 16 (virt_affinity(); with a GIC of version 2 there is
 * one). What starts there finds X0 to X3 zero. */
static const uint8_t pen[] = {
    0xa4, 0x00, 0x38, 0xd5, /* pen: mrs  x4, mpidr_el1 */
    0x85, 0x3c, 0x48, 0xd3, /*      ubfx x5, x4, #8, #8 */
    0x84, 0x1c, 0x40, 0x92, /*      and  x4, x4, #0xff */
    0x84, 0x10, 0x05, 0x8b, /*      add  x4, x4, x5, lsl #4 */
    0x85, 0x07, 0x00, 0x10, /*      adr  x5, pen + 256 */
    0xa5, 0x0c, 0x04, 0x8b, /*      add  x5, x5, x4, lsl #3 */
    0xa4, 0x00, 0x40, 0xf9, /* 1:   ldr  x4, [x5] */
    0x64, 0x00, 0x00, 0xb5, /*      cbnz x4, 2f */
    0x5f, 0x20, 0x03, 0xd5, /*      wfe */
    0xfd, 0xff, 0xff, 0x17, /*      b    1b */
    0xe5, 0x03, 0x1f, 0xaa, /* 2:   mov  x5, xzr */
    0x80, 0x00, 0x1f, 0xd6, /*      br   x4 */
};

static int place_pen(struct a64_boot_plan *plan, const struct virt_config *config, struct error *err)
{
    plan->pen = plan->dtb + A64_DTB_BYTES - A64_PEN_BYTES;
    return a64_boot_add(plan, config, plan->pen, pen, sizeof(pen), A64_PEN_BYTES, "the pen of the spin-table", err);
}

/* Anything else is a program that stands where it is loaded: at 80000h of memory, as QEMU has it. */
static int load_flat(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                     struct error *err)
{
    const struct boot_image image = {.data = kernel->data, .len = kernel->len};
    const char *elf = boot_image_elf_machine(&image);

    if (!kernel->len)
        return error_set(err, -ENOEXEC, "%s: an empty file", kernel->name);
    if (elf)
        return error_set(err, -ENOEXEC, "%s: an ELF file for %s; virt runs those for aarch64", kernel->name, elf);
    plan->protocol = "flat";
    plan->entry = VIRT_RAM_BASE + FLAT_OFFSET;
    return a64_boot_add(plan, config, plan->entry, kernel->data, kernel->len, kernel->len, "the kernel", err);
}

int a64_boot_load(struct a64_boot_plan *plan, const struct virt_config *config, struct error *err)
{
    struct a64_kernel kernel = {.data = config->kernel.data, .len = config->kernel.len, .name = config->kernel.name};
    size_t len = 0;
    int rc = 0;

    if (a64_boot_is_compressed(kernel.data, kernel.len)) {
        rc = a64_boot_decompress(&kernel, config->memory_bytes, &plan->unpacked, &len, err);
        if (rc)
            return rc;
        kernel.data = plan->unpacked;
        kernel.len = len;
    }
    if (a64_boot_is_elf(kernel.data, kernel.len))
        rc = a64_boot_load_elf(plan, config, &kernel, err);
    else if (a64_boot_is_image(kernel.data, kernel.len))
        rc = a64_boot_load_image(plan, config, &kernel, err);
    else
        rc = load_flat(plan, config, &kernel, err);
    if (!rc)
        rc = place_initrd(plan, config, err);
    if (!rc)
        rc = place_dtb(plan, config, err);
    return rc || !config->spin_table || config->topology.cpus < 2 ? rc : place_pen(plan, config, err);
}

void a64_boot_finish(struct a64_boot_plan *plan)
{
    free(plan->chunks);
    free(plan->unpacked);
    memset(plan, 0, sizeof(*plan));
}

static void zero_fill(struct memory *memory, paddr_t at, uint64_t size)
{
    static const uint8_t zeros[PAGE_SIZE];

    while (size) {
        size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

        memory_write_bytes(memory, at, zeros, n, true);
        at += n;
        size -= n;
    }
}

void a64_boot_apply(const struct a64_boot_plan *plan, struct memory *memory)
{
    for (unsigned i = 0; i < plan->nchunks; i++) {
        const struct a64_boot_chunk *c = &plan->chunks[i];

        memory_write_bytes(memory, c->at, c->data, c->len, true);
        zero_fill(memory, c->at + c->len, c->size - c->len);
    }
}

bool virt_recognises(const void *data, size_t len)
{
    uint8_t head[64];

    if (a64_boot_is_compressed(data, len)) {
        len = a64_boot_peek(data, len, head, sizeof(head));
        data = head;
    }
    return a64_boot_is_elf(data, len) || a64_boot_is_image(data, len);
}
