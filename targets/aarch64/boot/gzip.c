/*
 * Compressed kernels: gzip, and the EFI "zboot" wrapper
 * around one (a PE file with "zimg" at offset 4, payload offset and size after it).
 */
#include <errno.h>
#include <string.h>

#include "aarch64/boot/boot.h"
#include "base/bytes.h"
#include "vm/gunzip.h"

#define ZBOOT_HEADER 64u

static bool is_zboot(const uint8_t *p, size_t len)
{
    return len >= ZBOOT_HEADER && memcmp(p, "MZ", 2) == 0 && memcmp(p + 4, "zimg", 4) == 0 &&
           strncmp((const char *)p + 24, "gzip", 32) == 0;
}

bool a64_boot_is_compressed(const void *data, size_t len)
{
    const uint8_t *p = data;

    return gunzip_recognises(p, len) || is_zboot(p, len);
}

/* The gzip stream within the file. */
static bool payload(const uint8_t **p, size_t *len)
{
    uint32_t offset, size;

    if (!is_zboot(*p, *len))
        return true;
    offset = get_le32(*p + 8);
    size = get_le32(*p + 12);
    if (offset > *len || size > *len - offset)
        return false;
    *p += offset;
    *len = size;
    return true;
}

int a64_boot_decompress(const struct a64_kernel *in, uint64_t limit, uint8_t **out, size_t *out_len, struct error *err)
{
    const uint8_t *p = in->data;
    size_t len = in->len;

    if (!payload(&p, &len))
        return error_set(err, -ENOEXEC, "%s: truncated: its compressed kernel lies beyond the end of the file",
                         in->name);
    return gunzip(in->name, p, len, limit, out, out_len, err);
}

size_t a64_boot_peek(const void *data, size_t len, uint8_t *out, size_t want)
{
    const uint8_t *p = data;

    return payload(&p, &len) ? gunzip_peek(p, len, out, want) : 0;
}
