/*
 * Flat firmware images: mapped read-only so that they end at 4 GiB, and their
 * last 128 KiB once more below 1 MiB, where the chip set's PAM registers can
 * put RAM over them. The CPU starts at the reset vector in real mode (SDM 3A
 * 9.1.4), 16 bytes before the image's end. The mapping itself is the board's.
 */
#include <errno.h>

#include "i386/boot/boot.h"

#define BIOS_MAX ((size_t)16 << 20)

int boot_check_bios(const struct boot_image *bios, struct error *err)
{
    if (bios->len == 0)
        return error_set(err, -EINVAL, "%s: an empty firmware image", bios->name);
    if (bios->len % PAGE_SIZE)
        return error_set(err, -EINVAL,
                         "%s: a firmware image ends at 4 GiB and must be a multiple of 4096 bytes long, not %zu "
                         "(truncated?)",
                         bios->name, bios->len);
    if (bios->len > BIOS_MAX)
        return error_set(err, -EINVAL, "%s: a firmware image of %zu bytes; 16 MiB is the most", bios->name, bios->len);
    return 0;
}
