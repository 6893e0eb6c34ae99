/*
 * Flat firmware images: mapped read-only so that they end at 4 GiB, and their
 * last 128 KiB once more below 1 MiB, where the chip set's PAM registers can
 * put RAM over them. The CPU starts at the reset vector in real mode (SDM 3A
 * 9.1.4), 16 bytes before the image's end. The mapping itself is the board's.
 */
#include <errno.h>
#include <string.h>

#include "i386/boot/boot.h"

int boot_check_bios(const struct boot_image *bios, struct error *err)
{
    if (bios->len == 0)
        return error_set(err, -EINVAL, "%s: an empty firmware image", bios->name);
    if (bios->len % PAGE_SIZE)
        return error_set(err, -EINVAL,
                         "%s: a firmware image ends at 4 GiB and must be a multiple of 4096 bytes long, not %zu "
                         "(truncated?)",
                         bios->name, bios->len);
    if (bios->len > PC_FIRMWARE_MAX)
        return error_set(err, -EINVAL, "%s: a firmware image of %zu bytes; 16 MiB is the most", bios->name, bios->len);
    return 0;
}

int boot_check_flash(const struct pc_config *config, struct error *err)
{
    size_t sum = 0;
    int rc;

    if (config->bios.data && config->pflash[0].data)
        return error_set(err, -EINVAL, "a bios and a first pflash: both would end at 4 GiB");
    if (config->bios.data && config->pflash[1].data)
        return error_set(err, -EINVAL, "a bios and a second pflash: give the first bank as pflash, too");
    if (config->pflash[1].data && !config->pflash[0].data)
        return error_set(err, -EINVAL, "%s: a second flash bank without a first", config->pflash[1].name);
    for (unsigned n = 0; n < 2; n++) {
        if (!config->pflash[n].data)
            continue;
        rc = boot_check_bios(&config->pflash[n], err);
        if (rc)
            return rc;
        sum += config->pflash[n].len;
    }
    if (sum > PC_FIRMWARE_MAX)
        return error_set(err, -EFBIG, "flash banks of %zu bytes; 16 MiB is the most for both", sum);
    return 0;
}

/* The 16 bytes at the reset vector: NOPs, CLI, CLD, WBINVD may stand before the jump. */
bool pc_is_firmware(const void *data, size_t len)
{
    const uint8_t *p = data;

    if (!p || len < 16 || len % PAGE_SIZE)
        return false;
    p += len - 16;
    for (unsigned i = 0; i < 12; i++) {
        if (p[i] == 0xe9 || p[i] == 0xea || p[i] == 0xeb)
            return true;
        if (p[i] == 0x0f && p[i + 1] == 0x09)
            i++;
        else if (p[i] != 0x90 && p[i] != 0xfa && p[i] != 0xfc)
            return p[i] == 0x0f && p[i + 1] == 0x20; /* MOV from CR0: EDK2's newer volume top */
    }
    return false;
}

/* UEFI PI 1.7 volume 3, 3.2.1: EFI_FIRMWARE_VOLUME_HEADER.Signature. */
bool boot_is_uefi(const struct boot_image *image)
{
    return image->len > 0x2c && !memcmp((const char *)image->data + 0x28, "_FVH", 4);
}
