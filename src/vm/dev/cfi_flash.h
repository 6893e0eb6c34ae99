/* A bank of Intel NOR flash: see cfi_flash.c. */
#ifndef HINDCAST_VM_DEV_CFI_FLASH_H
#define HINDCAST_VM_DEV_CFI_FLASH_H

#include "vm/device.h"

#define CFI_FLASH_BLOCK_BYTES 0x40000u /* erase unit of a bank of two chips: 128 KiB of each */
#define CFI_FLASH_BYTE_BLOCK_BYTES 0x1000u /* of a bank that is one chip of 8 bits */

struct cfi_flash_wiring {
    uint32_t page;      /* first page of the contents */
    uint64_t size;      /* bytes; a multiple of the erase unit */
    bool byte_wide;     /* one chip of 8 bits with small blocks, as a PC's */
    bool read_only;     /* programming and erasing fail */
    unsigned region;    /* the REGION_ROMD of memory.regions that shows it: range 0 */
};

extern const struct device_ops cfi_flash_ops;

/* What is in it now: wiring->size bytes, valid until the machine runs. */
const uint8_t *cfi_flash_contents(const struct device *dev, uint64_t *size);

#endif
