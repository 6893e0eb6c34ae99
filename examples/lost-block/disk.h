/*
 * The disk of the example: blocks of 1 KiB, moved by the controller itself while the CPU waits. The drivers are
 * i386/disk.c (IDE, bus master DMA) and aarch64/disk.c (virtio-blk).
 */
#ifndef DISK_H
#define DISK_H

#include "../stale-pointer/machine.h"

#define BLOCK_BYTES   1024
#define BLOCK_SECTORS (BLOCK_BYTES / 512)

void disk_init(void);
void disk_read(u32 block, void *to);
void disk_write(u32 block, const void *from);

#endif
