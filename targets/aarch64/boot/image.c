/*
 * The Linux arm64 Image (Documentation/arch/arm64/booting.rst): a 64-byte header
 * that says how much memory the kernel takes and where it wants to be relative
 * to a 2 MiB boundary. It starts with X0 = device tree, MMU and caches off.
 *
 * Kernels from before 3.17 leave image_size 0: then text_offset is 0x80000.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "aarch64/boot/boot.h"

#define HEADER_BYTES 64u
#define MAGIC_OFFSET 56u
#define FLAG_BIG_ENDIAN 1u
#define ALIGN ((uint64_t)2 << 20)
#define OLD_TEXT_OFFSET 0x80000u
/* What the boot protocol of those kernels wants free after them. */
#define OLD_EXTRA ((uint64_t)1 << 20)

bool a64_boot_is_image(const void *data, size_t len)
{
    return len >= HEADER_BYTES && memcmp((const uint8_t *)data + MAGIC_OFFSET, "ARM\x64", 4) == 0;
}

int a64_boot_load_image(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                        struct error *err)
{
    uint64_t text_offset = get_le64(kernel->data + 8), size = get_le64(kernel->data + 16);
    uint64_t flags = get_le64(kernel->data + 24);
    int rc;

    if (flags & FLAG_BIG_ENDIAN)
        return error_set(err, -ENOEXEC, "%s: a big-endian kernel; this CPU is little-endian only", kernel->name);
    if (size == 0) {
        text_offset = OLD_TEXT_OFFSET;
        size = kernel->len + OLD_EXTRA;
    }
    if (size < kernel->len)
        size = kernel->len;
    if (text_offset >= config->memory_bytes || size > config->memory_bytes)
        return error_set(err, -ENOMEM,
                         "%s: wants %llu bytes at offset %#llx of memory, the machine has %llu MiB (--memory)",
                         kernel->name, (unsigned long long)size, (unsigned long long)text_offset,
                         (unsigned long long)(config->memory_bytes >> 20));
    plan->protocol = "Linux";
    plan->entry = VIRT_RAM_BASE + text_offset;
    /* QEMU keeps the first megabytes free below kernels that want to be there, for loaders of its own. */
    if (text_offset < 4096 && size + ALIGN <= config->memory_bytes)
        plan->entry += ALIGN;
    /* The rest of `size` (its BSS) need not be zero, but nothing else may lie there. */
    rc = a64_boot_add(plan, config, plan->entry, kernel->data, kernel->len, kernel->len, "the kernel", err);
    if (!rc)
        plan->kernel_end = plan->entry + size;
    return rc;
}
