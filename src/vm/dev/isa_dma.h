/* The DMA channels of an ISA bus, for devices that are plugged into it. */
#ifndef HINDCAST_VM_DEV_ISA_DMA_H
#define HINDCAST_VM_DEV_ISA_DMA_H

#include "base/types.h"

/* Channels are 0 to 7 without 4; those from 5 on move words: then lengths are even. */
struct isa_dma {
    void *ctx;
    /* The level of the request line. */
    void (*request)(void *ctx, unsigned channel, bool level);
    /* Move up to `len` bytes between `bytes` and memory, in the direction that the channel has been given. Returns how many; *ended: the last
     * came with terminal count. */
    uint32_t (*transfer)(void *ctx, unsigned channel, uint8_t *bytes, uint32_t len, bool *ended);
    /* Have look(arg) called before the channel's registers are looked at or changed: who moves bytes late catches up there. */
    void (*follow)(void *ctx, unsigned channel, void (*look)(void *arg), void *arg);
};

#endif
